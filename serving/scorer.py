"""Score customers: one row for every id asked for, in the order asked, whatever happens to it."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from features.attributes import attribute_names
from features.errors import InputError
from features.extra import extra_source
from features.progress import note, task
from features.settings import FeatureSettings
from features.window import ObservationWindow
from serving.blocks import Asked, Blocks, Job
from serving.compatibility import check_features
from serving.id_list import check_unique
from serving.inputs import AT_ONCE, Inputs, clv_params
from serving.offers import Decision
from serving.parts import opened_parts
from serving.scored import SCORED_DTYPES, STATUSES
from serving.stakes import COST
from serving.weighing import eligible_by

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.registry import RegisteredModel

__all__ = [
    "SCORED_DTYPES",
    "STATUSES",
    "default_cutoff",
    "score",
    "score_and_plan",
    "scoring",
    "together",
]


def default_cutoff(ledger: Ledger) -> dt.date:
    """The day after the last day of the ledger: everything it holds is known."""
    return ledger.last_day + dt.timedelta(days=1)


def score(
    ledger: Ledger,
    cutoff: dt.date | None,
    churn: RegisteredModel,
    clv: RegisteredModel,
    ids: Sequence[str] | None = None,
    *,
    settings: FeatureSettings | None = None,
    language: str = "en",
) -> pd.DataFrame:
    """The scored list of `score_and_plan` without a decision: action and value of it are empty."""
    return score_and_plan(ledger, cutoff, churn, clv, ids, settings=settings, language=language)[0]


def score_and_plan(
    ledger: Ledger,
    cutoff: dt.date | None,
    churn: RegisteredModel,
    clv: RegisteredModel,
    ids: Sequence[str] | None = None,
    *,
    settings: FeatureSettings | None = None,
    language: str = "en",
    decision: Decision | None = None,
    uplift: Mapping[str, RegisteredModel] | None = None,
    following: RegisteredModel | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The blocks of `scoring`, put together.

    Returns:
        The scored list, one row for each id, in the order asked, with the columns and types of
        `SCORED_DTYPES`; and the plan, row for row (no rows without a decision), with the price of
        money in `attrs["price"]`.

    Raises:
        InputError: As for `scoring`.
    """
    with scoring(
        ledger,
        cutoff,
        churn,
        clv,
        ids,
        settings=settings,
        language=language,
        decision=decision,
        uplift=uplift,
        following=following,
    ) as blocks:
        return together(blocks)


def together(blocks: Blocks) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The scored list and the plan whole, from their blocks; as `score_and_plan`."""
    scored, plans = zip(*blocks, strict=True)
    plan = pd.concat(plans, ignore_index=True)
    plan.attrs["price"] = blocks.price
    return pd.concat(scored, ignore_index=True), plan


@contextmanager
def scoring(
    ledger: Ledger,
    cutoff: dt.date | None,
    churn: RegisteredModel,
    clv: RegisteredModel,
    ids: Sequence[str] | None = None,
    *,
    settings: FeatureSettings | None = None,
    language: str = "en",
    decision: Decision | None = None,
    uplift: Mapping[str, RegisteredModel] | None = None,
    following: RegisteredModel | None = None,
    work: Path | None = None,
    at_once: int = AT_ONCE,
) -> Iterator[Blocks]:
    """Score customers at a cutoff, block by block, and decide what to do with each.

    The list is scored when the context is entered, and gone through inside it:

        with scoring(ledger, None, churn, clv, decision=decision) as blocks:
            for scored, plan in blocks:
                ...

    The status of a customer is

    - `scored`: has a purchase before the cutoff;
    - `too_new`: the first purchase comes at or after the cutoff (or became known after it);
    - `no_history`: is in some table, but never bought: only returns or zero amounts, or only
      events, surveys and the like;
    - `unknown_customer`: is in no table.

    A customer with `no_history` has the estimate of a new customer in `expected_purchases`,
    `expected_spend`, `clv`, `clv_low` and `clv_high`: what follows if they make their first
    purchase at the cutoff, without that purchase itself. Whether they ever will the models do not
    say, and of somebody who never bought there is no `p_alive`. Their static attributes are not
    read. All other rows that are not scored carry no predictions.

    Probabilities are of no purchase within the churn model's horizon after its gap; purchases,
    spend (undiscounted, before margin) and CLV (discounted margin) are expected within the CLV
    model's horizon, and a model with a calendar takes it from the cutoff on. `action` and
    `expected_value` are those of the plan (`serving.actions.plan`); of somebody who is not scored
    they say nothing.

    Args:
        ledger: The trusted tables.
        cutoff: Everything before its midnight is known; `default_cutoff` when None.
        churn: The churn model.
        clv: The customer-lifetime-value model.
        ids: The customers asked for. When None, everyone with a transaction before the
            cutoff, sorted by id.
        settings: Features beside the catalogue, as in training.
        language: Of the reasons: "en" or "zh".
        decision: What may be sent, and what it costs; None: nothing is decided.
        uplift: Offer -> the uplift model that knows its effect, for each offer of the decision
            whose effect is learned.
        following: The model of what is bought next, for suggestions to those who stay.
        work: Folder for finished blocks (`serving.parts.folder_of`). If the run is ended before
            the list stands, the next one with the same data, models, settings and ids finds them
            there. None: a temporary one.
        at_once: Customers of a block.

    Yields:
        The blocks. How many customers are in one has no influence on what is said of them.

    Raises:
        InputError: The cutoff lies outside the data, an id is asked for twice or empty, a
            model does not fit the data or this version's features, an offer needs a model that
            was not given, or a model knows no campaign of its kind.
    """
    as_of = _checked_cutoff(ledger, cutoff)
    _check_kind(churn, "churn")
    _check_kind(clv, "clv")
    settings = settings or FeatureSettings()
    for model in (churn, clv, *(uplift or {}).values()):
        check_features(model, settings)
    for model in (churn, clv):
        _note_seen(model, as_of)
    params = clv_params(clv, as_of)
    listed = None if ids is None else _checked_ids(ids)
    job = Job(as_of, churn, clv, params, language, decision, uplift or {}, following)
    window = ObservationWindow(
        start=ledger.first_day,
        cutoff=as_of,
        gap_days=int(churn.card["gap_days"]),
        horizon_days=int(churn.card["horizon_days"]),
    )
    with task("Building features", total=1) as building:
        # What is learned from everyone at the cutoff must not depend on the list.
        inputs = Inputs.of(
            ledger,
            window,
            settings,
            contracts=churn.card.get("label", {}).get("of") == "subscriptions",
            named=_attributes(ledger, clv, decision),
            at_once=at_once,
        )
        building.advance()
    asked = Asked(listed, inputs.customers if listed is None else len(listed), at_once, inputs)
    key = "" if work is None else _made_from(ledger, job, settings, listed, at_once)
    with opened_parts(work, key, asked.customers) as parts:
        yield Blocks.made(job, asked, parts, ledger)


def _attributes(ledger: Ledger, clv: RegisteredModel, decision: Decision | None) -> list[str]:
    """Static attributes that are read beside the features."""
    wanted = set(clv.card.get("input_columns", ()))
    if decision is not None:
        wanted |= set(eligible_by(decision.offers))
        wanted |= {COST} if decision.use_acquisition_cost else set()
    return sorted(wanted & set(attribute_names(ledger)))


def _made_from(
    ledger: Ledger, job: Job, settings: FeatureSettings, ids: Sequence[str] | None, size: int
) -> str:
    """What the blocks of a list rest on: none of it may differ where some are used again."""
    uplift = [job.uplift[offer] for offer in sorted(job.uplift)]
    models = (job.churn, job.clv, *uplift, job.following)
    said = (
        version("regulars"),
        ledger.fingerprint,
        ledger.purchase_unit,
        job.as_of,
        [(m.label, m.model_id, m.run_id, sorted(m.card.items(), key=str)) for m in models if m],
        sorted((offer, m.label, m.model_id) for offer, m in job.uplift.items()),
        sorted(job.params.items()),
        job.language,
        job.decision,
        settings.model_dump_json(),
        extra_source(settings),
        size,
        None if ids is None else hashlib.sha256("\0".join(ids).encode()).hexdigest(),
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _checked_cutoff(ledger: Ledger, cutoff: dt.date | None) -> dt.date:
    latest = default_cutoff(ledger)
    if cutoff is None:
        return latest
    if cutoff > latest:
        raise InputError(
            f"The cutoff {cutoff} is after the end of the data: the last transaction is of "
            f"{ledger.last_day}.",
            f"Use {latest} or an earlier day. Later, days without data would count as silence.",
        )
    if cutoff <= ledger.first_day:
        raise InputError(
            f"Nothing is known at the cutoff {cutoff}: the first transaction is of "
            f"{ledger.first_day}.",
            f"Use a day from {ledger.first_day + dt.timedelta(days=1)} to {latest}.",
        )
    return cutoff


def _checked_ids(ids: Iterable[str]) -> list[str]:
    asked = list(ids)
    if not asked:
        raise InputError("The list of customers is empty.", "Give at least one customer id.")
    empty = [row for row, value in enumerate(asked, 1) if not value]
    if empty:
        raise InputError(f"The list of customers has an empty id in row {empty[0]}.")
    check_unique(asked, range(1, len(asked) + 1), "The list of customers")
    return asked


def _check_kind(model: RegisteredModel, kind: str) -> None:
    # "clv_learned" and "clv_stack" are kinds of "clv".
    if str(model.card.get("kind")).split("_")[0] != kind:
        raise InputError(
            f"{model.label} is a {model.card.get('kind')} model, not a {kind} model.",
            "Run `regulars train` to register the right one.",
        )


def _note_seen(model: RegisteredModel, cutoff: dt.date) -> None:
    """Say so when the model was trained on what happened after the cutoff."""
    until = model.trained_until
    if until is not None and until > cutoff:
        note(
            f"{model.label} has learned from what happened up to {until}, after the cutoff "
            f"{cutoff}: do not judge it by these scores."
        )
