"""What is known of the customers at one cutoff, and what came: all that CLV candidates read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from features.attributes import attributes
from features.labels import future_activity
from features.ledger import Ledger
from features.snapshot import Snapshot, build_snapshot
from features.window import ObservationWindow
from models.base import ModelError
from training.clv_holdout import STEP_DAYS

__all__ = ["History", "Snapshots"]

_EXAMPLES = 6  # earlier cutoffs that a learned candidate sees, at most
_WHAT = ("purchases", "spend")
_PARTS = 4  # their horizon is at most one part in so many of the history before


class Snapshots:
    """Snapshots of one ledger; each is taken once, however many histories share it.

    Args:
        ledger: The trusted tables.
        attributes: Static attributes of the customers that models may ask for.
    """

    def __init__(self, ledger: Ledger, attributes: Sequence[str] = ()) -> None:
        self.ledger = ledger
        self.attributes = tuple(attributes)
        self._taken: dict[ObservationWindow, Snapshot] = {}

    def at(self, window: ObservationWindow) -> Snapshot:
        """The snapshot of a window, with labels where it is closed."""
        if window not in self._taken:
            self._taken[window] = build_snapshot(self.ledger, window)
        return self._taken[window]

    def forget(self) -> None:
        """Let go of all snapshots."""
        self._taken.clear()


@dataclass(frozen=True)
class History:
    """The customers at a cutoff.

    Attributes:
        snapshots: Where snapshots come from.
        window: History before the cutoff and horizon after it.
    """

    snapshots: Snapshots
    window: ObservationWindow

    @cached_property
    def snapshot(self) -> Snapshot:
        """Features, RFM summary and labels of all customers known at the cutoff."""
        return self.snapshots.at(self.window)

    @property
    def rfm(self) -> pd.DataFrame:
        """The RFM summary."""
        return self.snapshot.rfm

    @property
    def labels(self) -> pd.DataFrame:
        """What came in the horizon.

        Raises:
            ValueError: The horizon is not over yet.
        """
        if self.snapshot.labels is None:
            raise ValueError(f"the horizon after {self.window.cutoff} is not over")
        return self.snapshot.labels

    @cached_property
    def inputs(self) -> pd.DataFrame:
        """Every column a model may ask for: RFM summary, features and static attributes."""
        found = self.snapshot.rfm.join(self.snapshot.features)
        asked = self.snapshots.attributes
        if asked:
            found = found.join(attributes(self.snapshots.ledger, self.window, asked))
        return found

    @cached_property
    def examples(self) -> Sequence[History]:
        """Earlier cutoffs whose outcome was known at this one, ascending, four weeks apart.

        Their horizon is that of this history, but at most a quarter of what lies before the
        cutoff, in whole weeks, so that several of them stand apart; the first comes a third of
        the way. They end by the cutoff: nothing that came after it is in them.
        """
        window = self.window
        before = (window.cutoff - window.start).days
        days = 7 * (min(window.horizon_days, before // _PARTS) // 7)
        found: list[History] = []
        cutoff = window.cutoff - dt.timedelta(days=days)
        while days and len(found) < _EXAMPLES and 3 * (cutoff - window.start).days >= before:
            at = ObservationWindow(window.start, cutoff, 0, days)
            found.append(History(self.snapshots, at))
            cutoff -= dt.timedelta(days=STEP_DAYS)
        return tuple(reversed(found))

    def last_year(self) -> pd.DataFrame:
        """What each customer bought and spent in the label window moved back by 365 days.

        Returns:
            Columns purchases_last_year and spend_last_year on the index of `rfm`; missing where
            nothing was bought.

        Raises:
            ModelError: The history does not reach back so far.
        """
        window, ledger = self.window, self.snapshots.ledger
        cutoff = window.cutoff - dt.timedelta(days=365)
        if cutoff < window.start or window.horizon_days + window.gap_days > 365:
            raise ModelError("The history does not hold the same window a year ago.")
        before = ObservationWindow(window.start, cutoff, window.gap_days, window.horizon_days)
        query = future_activity(ledger.transactions, before, ledger.purchase_unit, ledger.days)
        found = query.to_pyarrow().to_pandas().set_index("customer_id")
        found = found.rename(columns={f"future_{w}": f"{w}_last_year" for w in _WHAT})
        names = [f"{w}_last_year" for w in _WHAT]
        out: pd.DataFrame = found[names].astype(float).reindex(self.rfm.index)
        return out
