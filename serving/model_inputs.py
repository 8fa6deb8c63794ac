"""The inputs of a registered model at a cutoff: to look at the customers, not to score them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.attributes import attribute_names
from features.behaviour import RFM_COLUMNS
from features.feature import Feature
from features.settings import FeatureSettings
from features.window import ObservationWindow
from serving.inputs import AT_ONCE, Inputs

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.inputs import Taken
    from serving.registry import RegisteredModel

__all__ = ["Snapshots", "model_inputs"]


class Snapshots:
    """What is known of the customers of one ledger at some cutoffs, each taken once.

    Args:
        ledger: The trusted tables.
        settings: Features beside the catalogue, as in training.
    """

    def __init__(self, ledger: Ledger, settings: FeatureSettings | None = None) -> None:
        self.ledger = ledger
        self._settings = settings or FeatureSettings()
        self._taken: dict[tuple[ObservationWindow, bool, int, frozenset[str]], Taken] = {}

    def at(
        self,
        window: ObservationWindow,
        most_rows: int,
        *,
        contracts: bool = False,
        named: frozenset[str] = frozenset(),
    ) -> Taken:
        """All customers, or of a large shop about `most_rows` of them, evenly over their ids."""
        key = (window, contracts, most_rows, named)
        if key not in self._taken:
            inputs = Inputs.of(
                self.ledger, window, self._settings, contracts=contracts, named=named
            )
            step = -(-inputs.customers // most_rows)
            ids: list[str] = []
            for start in range(0, inputs.customers if step > 1 else 0, AT_ONCE):
                some = inputs.everyone(start, start + AT_ONCE)
                ids += some[-start % step :: step]
            self._taken[key] = inputs.take(ids)
        return self._taken[key]

    def summary(self, window: ObservationWindow, most_rows: int) -> Taken:
        """As `at`, of this cutoff with any horizon: the RFM summary is the same with all."""
        for (known, _, rows, _), taken in self._taken.items():
            if (known.start, known.cutoff, rows) == (window.start, window.cutoff, most_rows):
                return taken
        return self.at(window, most_rows)


def model_inputs(
    model: RegisteredModel, cutoff: dt.date, snapshots: Snapshots, most_rows: int
) -> tuple[pd.DataFrame, tuple[Feature, ...]]:
    """Take the inputs of a model at a cutoff.

    Args:
        model: A churn or CLV model.
        cutoff: Everything before its midnight is known.
        snapshots: Where they come from.
        most_rows: Of more customers, so many are taken, evenly over the sorted ids.

    Returns:
        One row a customer, with those of the model's input columns that the data has; and the
        rows of the catalogue.

    Raises:
        NotEnoughDataError: Nobody has bought anything before the cutoff.
    """
    first = snapshots.ledger.first_day
    if str(model.card["kind"]) == "churn":
        window = ObservationWindow(
            first, cutoff, int(model.card["gap_days"]), int(model.card["horizon_days"])
        )
        contracts = model.card.get("label", {}).get("of") == "subscriptions"
        taken = snapshots.at(window, most_rows, contracts=contracts)
        frame, wanted = taken.churn, list(model.card["feature_names"])
        catalogue = taken.at_risk.catalogue
    else:
        window = ObservationWindow(first, cutoff, 0, int(model.card["extra"]["horizon_days"]))
        wanted = list(model.card.get("input_columns", ()))
        # A column that the data has no more is not taken: whoever compares says that it is gone.
        named = frozenset(wanted) & frozenset(attribute_names(snapshots.ledger))
        if set(wanted) <= set(RFM_COLUMNS):
            taken = snapshots.summary(window, most_rows)
        else:
            taken = snapshots.at(window, most_rows, named=named)
        frame, catalogue = (
            taken.snapshot.rfm.join(taken.snapshot.features),
            taken.snapshot.catalogue,
        )
        if others := sorted(named - set(frame.columns)):
            frame = frame.join(taken.attributes(others))
    frame = frame[[name for name in wanted if name in frame.columns]]
    if len(frame) > most_rows:
        frame = frame.iloc[np.linspace(0, len(frame) - 1, most_rows).astype(int)]
    return frame, catalogue
