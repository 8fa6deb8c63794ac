"""Drift: are today's customers, and what is foretold for them, like those the model learned from?

Every input of a model and every prediction is compared with the reference that training kept
(`models.reference`) by the population stability index (`models.stability`). A difference counts
when the index is above the conventional limit and above what chance explains for so many customers
and columns. Even then it is no alarm yet:

- a column that grows by construction (tenure, counts since ever, the calendar) is exempt: the
  catalogue says so, and `[monitor] drift_exempt` can add more;
- what is the same as a year ago is season: that is compared with the ledger as it stood then, or
  with the cutoff of that season which the reference kept;
- what is the same as on the day of the training has moved slowly, and had moved already when the
  model was judged and registered.

Neither excuse holds for a column that comes out differently for the day of the training itself when
it is worked out again from today's ledger: then its history, a mapping or a definition has changed,
and a year ago has changed with it.

The index of an alarm is the smallest of these, so it calls for a person only when the customers are
unlike all that is known. A reason group has the index of its column that differs most.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.catalogue import CATALOGUE
from features.errors import InputError
from features.feature import Feature
from features.schema import nearest
from features.settings import FeatureSettings
from features.window import MIN_HISTORY_DAYS
from models.base import ModelError
from models.reference import Reference, read_reference
from serving.drift_numbers import MIN_CUSTOMERS, Comparison, DriftSettings, Row, judged
from serving.drift_words import drift_findings
from serving.findings import Finding
from serving.inputs import clv_params
from serving.model_inputs import Snapshots, model_inputs

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.registry import RegisteredModel

__all__ = [
    "GROWING",
    "Drift",
    "DriftSettings",
    "UnknownExemptionError",
    "look_for_drift",
    "reference_of",
]

GROWING = ("frequency", "recency", "T")
"""Inputs of the CLV model that grow with the age of the data."""
YEAR = 365


class UnknownExemptionError(InputError):
    """`[monitor] drift_exempt` names a column that there is not."""


@dataclass(frozen=True)
class Drift:
    """What was found about one model.

    Attributes:
        findings: What a person reads.
        table: One row a column, the fields of `serving.drift_numbers.Row`, with name and group as
            column and reason_group.
        shares: One row a column and bin: column, bin, training, year_ago, training_day, now.
    """

    findings: tuple[Finding, ...]
    table: pd.DataFrame
    shares: pd.DataFrame


def reference_of(model: RegisteredModel) -> Reference | None:
    """Return what the training of a model kept of its customers, None if it kept nothing.

    Raises:
        InputError: It cannot be read.
    """
    if model.folder is None:
        return None
    try:
        return read_reference(model.folder)
    except ModelError as error:
        raise InputError(f"{model.label}: {error.message}", error.hint) from error


def look_for_drift(
    ledger: Ledger,
    cutoff: dt.date,
    model: RegisteredModel,
    settings: DriftSettings | None = None,
    features: FeatureSettings | None = None,
    *,
    snapshots: Snapshots | None = None,
) -> Drift:
    """Compare the customers at a cutoff with those that a model was made from.

    Args:
        ledger: The trusted tables.
        cutoff: Everything before its midnight is known.
        model: A churn or CLV model.
        settings: What counts as drift.
        features: Features beside the catalogue, as in training.
        snapshots: Those that have been taken already, to share them between models.

    Returns:
        What was found; no findings and empty tables of a model that was registered without a
        reference, by an earlier version.

    Raises:
        InputError: An exempt column does not exist.
        NotEnoughDataError: Nothing is known at the cutoff.
    """
    settings = settings or DriftSettings()
    reference = reference_of(model)
    if reference is None:
        return Drift((), *_tables([], {}))
    snapshots = snapshots or Snapshots(ledger, features)
    now, catalogue = model_inputs(model, cutoff, snapshots, settings.most_rows)
    _check_exempt(settings.exempt, reference, catalogue)
    before = _a_year_before(ledger, cutoff)
    then = None
    if before is not None:
        then = model_inputs(model, before, snapshots, settings.most_rows)[0]
        then = then if len(then) >= MIN_CUSTOMERS else None
    exempt = {row.name for row in catalogue if row.drift_exempt}
    exempt |= {*settings.exempt, *(GROWING if str(model.card["kind"]) != "churn" else ())}
    again = None
    if ledger.first_day < reference.as_of < cutoff:
        again = model_inputs(model, reference.as_of, snapshots, settings.most_rows)[0]
    comparison = Comparison(reference, cutoff, settings)
    rows = [
        comparison.column(
            name,
            column,
            now.get(name),
            None if then is None else then.get(name),
            None if again is None else again.get(name),
        )
        for name, column in reference.columns.items()
    ]
    groups = {row.name: row.reason_group for row in (*CATALOGUE, *catalogue)}
    weight = _importance(model)
    rows = [
        replace(row, group=groups.get(row.name, ""), importance=weight.get(row.name, np.nan))
        for row in rows
    ]
    rows = judged(rows, exempt, settings)
    if any(row.verdict in ("watch", "act") and row.rewritten for row in rows):
        before, then = None, None  # what would be foretold for a year ago rests on it
    scores = _scores(comparison, model, cutoff, now, before, then)
    rows += judged(scores, settings.exempt, settings)
    table, shares = _tables(rows, comparison.shares)
    return Drift(tuple(drift_findings(table, model.label, cutoff, settings.watch)), table, shares)


def _scores(
    comparison: Comparison,
    model: RegisteredModel,
    cutoff: dt.date,
    now: pd.DataFrame,
    before: dt.date | None,
    then: pd.DataFrame | None,
) -> list[Row]:
    """Compare the predictions; none where a column that the model needs is gone."""
    reference = comparison.reference
    wanted = set(model.card.get("feature_names", model.card.get("input_columns", ())))
    if not reference.scores or wanted - set(now.columns):
        return []
    churn = str(model.card["kind"]) == "churn"
    foretold = model.predict(now, **({} if churn else clv_params(model, cutoff)))
    earlier = None
    if then is not None and before is not None and not wanted - set(then.columns):
        earlier = model.predict(then, **({} if churn else clv_params(model, before)))
    return [
        comparison.column(
            name,
            column,
            foretold[name],
            None if earlier is None else earlier[name],
            of="score",
        )
        for name, column in reference.scores.items()
    ]


def _importance(model: RegisteredModel) -> dict[str, float]:
    """Share of each column in what the model looks at; empty where its card does not say."""
    found = {str(k): float(v) for k, v in dict(model.card.get("importance", {})).items()}
    total = sum(found.values())
    return {name: value / total for name, value in found.items()} if total else {}


def _a_year_before(ledger: Ledger, cutoff: dt.date) -> dt.date | None:
    day = cutoff - dt.timedelta(days=YEAR)
    enough = day >= ledger.first_day + dt.timedelta(days=MIN_HISTORY_DAYS)
    return day if enough else None


def _check_exempt(
    exempt: Sequence[str], reference: Reference, catalogue: Sequence[Feature]
) -> None:
    named = {row.name for row in (*CATALOGUE, *catalogue)}
    known = {*named, *GROWING, *reference.columns, *reference.scores}
    for name in exempt:
        if name not in known:
            raise UnknownExemptionError(
                f"drift_exempt names a column {name!r} that no model reads.",
                f"{nearest(name, known)} docs/features.md lists the features.".strip(),
            )


def _tables(
    rows: Sequence[Row], shares: Mapping[str, pd.DataFrame]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = list(Row.__dataclass_fields__)
    table = pd.DataFrame([vars(row) for row in rows], columns=columns).rename(
        columns={"name": "column", "group": "reason_group"}
    )
    names = ["column", "bin", "training", "year_ago", "training_day", "now"]
    some = pd.concat(shares.values(), ignore_index=True) if shares else pd.DataFrame(columns=names)
    return table, some
