"""Labelled snapshots at many cutoffs, ready for churn models: what is known, and what came."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.attributes import attributes
from features.catalogue import CATALOGUE
from features.feature import Feature
from features.labels import LabelSpec, eligible
from features.ledger import Ledger
from features.progress import task
from features.settings import FeatureSettings
from features.snapshot import Snapshot, build_snapshot
from features.subscriptions import RENEWAL_DAYS, subscription_snapshot
from features.window import MAX_TRAINING_CUTOFFS, ObservationWindow
from models.btyd.features import btyd_features
from models.decision import Offer
from models.worth import value_if_kept
from training.policy_backtest import Terms

__all__ = ["ChurnSettings", "Effort", "Panel", "Slice", "churn_panel"]

Effort = Literal["quick", "usual", "thorough"]

FEE = "contract_fee"
"""Feature that says what a contract brings a month."""
VALUE = "value_if_alive"
"""Feature that says what a customer is worth who stays."""

COST = "acquisition.cost"
"""Attribute that says what a customer cost to win."""


@dataclass(frozen=True)
class ChurnSettings:
    """What churn means here, what is known of customers, and what a retention offer costs.

    Attributes:
        horizon_days: A customer who buys nothing for so long has churned.
        gap_days: Days between the cutoff and the start of the label window.
        eligibility: Who trains the model and makes up the headline measures: "everyone", or
            "cadence" (`features.labels.eligible`).
        label: "purchases": no purchase in the label window; "subscriptions": a contract that
            runs at the cutoff ends in it.
        features: Features beside the catalogue.
        offer: What keeping a customer costs, and how often it succeeds.
        terms: The offers and limits that the backtest of the plan is made with; None: the offer.
        value: What a customer is worth who stays; None: by the purchase and spend models, and
            where they say nothing the mean of the others, or of a first purchase.
        margin: Share of spend that is profit, for the value by these models.
        use_acquisition_cost: Whether a customer is worth no more than the acquisition table
            says they cost (`models.decision.value_at_stake`).
        effort: "quick" tries fewer candidates and tunes nothing, "thorough" tunes longer.
        trials: Most tuning trials a candidate; None: by the effort.
        minutes: Most minutes of tuning a candidate; None: no limit. With a limit in time the
            outcome depends on the machine.
        candidates: Names of the candidates to try; empty: by the effort.
    """

    horizon_days: int = 90
    gap_days: int = 0
    eligibility: Literal["everyone", "cadence"] = "everyone"
    label: Literal["purchases", "subscriptions"] = "purchases"
    features: FeatureSettings = field(default_factory=FeatureSettings)
    offer: Offer = field(default_factory=Offer)
    terms: Terms | None = None
    value: float | None = None
    margin: float = 1.0
    use_acquisition_cost: bool = False
    effort: Effort = "usual"
    trials: int | None = None
    minutes: float | None = None
    candidates: tuple[str, ...] = ()

    @property
    def reach(self) -> dt.timedelta:
        """From a cutoff to the day on which its labels are known.

        That is the end of the label window, and for contracts so much later that a renewal would
        have been seen.
        """
        wait = RENEWAL_DAYS if self.label == "subscriptions" else 0
        return dt.timedelta(days=self.gap_days + self.horizon_days + wait)

    @property
    def spec(self) -> LabelSpec:
        """The label."""
        return LabelSpec(self.horizon_days, self.gap_days, self.eligibility)


@dataclass(frozen=True)
class Slice:
    """All customers at one cutoff; the parts share one index.

    Attributes:
        window: What was observed and what was to be foretold.
        features: float32 numbers and text categories: the snapshot's, and those of the
            purchase model.
        one_time: Who has bought once.
        eligible: Who trains the model.
        value: What each is worth who stays, in money.
        labels: churned, future_purchases, future_spend; None while the label window is open.
    """

    window: ObservationWindow
    features: pd.DataFrame
    one_time: npt.NDArray[np.bool_]
    eligible: npt.NDArray[np.bool_]
    value: npt.NDArray[np.float64]
    labels: pd.DataFrame | None

    @property
    def customers(self) -> npt.NDArray[np.object_]:
        """Who they are."""
        return self.features.index.to_numpy(dtype=object)

    @property
    def churned(self) -> npt.NDArray[np.float64]:
        """1 where the customer churned, 0 where they stayed."""
        assert self.labels is not None  # asked of closed windows only
        return self.labels["churned"].to_numpy(np.float64)

    def take(self, keep: npt.NDArray[np.bool_]) -> "Slice":
        """Some of the customers."""
        return replace(
            self,
            features=self.features[keep],
            one_time=self.one_time[keep],
            eligible=self.eligible[keep],
            value=self.value[keep],
            labels=None if self.labels is None else self.labels[keep],
        )


@dataclass(frozen=True)
class Panel:
    """Slices at many cutoffs.

    Attributes:
        settings: What churn means.
        catalogue: What is known of each feature.
        slices: Cutoff -> slice, ascending.
    """

    settings: ChurnSettings
    catalogue: tuple[Feature, ...]
    slices: Mapping[dt.date, Slice]

    def closed_by(self, day: dt.date) -> list[dt.date]:
        """Cutoffs whose label windows have ended by a day: those a model of that day may use."""
        reach = self.settings.reach
        return [c for c, s in self.slices.items() if s.labels is not None and c + reach <= day]

    def training_for(self, day: dt.date) -> list[dt.date]:
        """Cutoffs that train a model which scores at a day: the latest that have closed."""
        return self.closed_by(day)[-MAX_TRAINING_CUTOFFS:]

    def rows(self, cutoffs: Sequence[dt.date]) -> int:
        """Rows of some cutoffs that train."""
        return sum(int(self.slices[c].eligible.sum()) for c in cutoffs)

    def training_frames(self, cutoffs: Sequence[dt.date]) -> list[pd.DataFrame]:
        """Features of those who train, cutoff by cutoff."""
        chosen = [self.slices[c] for c in cutoffs]
        return [s.features if s.eligible.all() else s.features[s.eligible] for s in chosen]

    def training_outcomes(self, cutoffs: Sequence[dt.date]) -> npt.NDArray[np.float64]:
        """Outcomes of those who train, in the same order."""
        chosen = [self.slices[c] for c in cutoffs]
        return np.concatenate([s.churned[s.eligible] for s in chosen])

    def sample(self, most_rows: int) -> "Panel":
        """The same customers at every cutoff, as many as make up a number of rows.

        Who is in it depends on the customer's id only.
        """
        total = sum(len(s.features) for s in self.slices.values())
        if total <= most_rows:
            return self
        limit = int(most_rows / total * 2**32)
        slices = {c: s.take(_drawn(s.customers) < limit) for c, s in self.slices.items()}
        return replace(self, slices=slices)


def churn_panel(ledger: Ledger, settings: ChurnSettings, cutoffs: Sequence[dt.date]) -> Panel:
    """Take a snapshot at every cutoff, labelled where its window is closed.

    The purchase and spend models behind some of the features are fitted anew at every cutoff,
    on what was known before it.

    Args:
        ledger: The trusted tables.
        settings: What churn means, and which features there are.
        cutoffs: In any order.
    """
    slices = {}
    catalogue: dict[str, Feature] = {row.name: row for row in CATALOGUE}
    with task("Building features", total=len(cutoffs)) as progress:
        for cutoff in sorted(cutoffs):
            window = ObservationWindow(
                ledger.first_day, cutoff, settings.gap_days, settings.horizon_days
            )
            take = build_snapshot if settings.label == "purchases" else subscription_snapshot
            snapshot = take(ledger, window, settings=settings.features)
            catalogue |= {row.name: row for row in snapshot.catalogue}
            slices[cutoff] = _slice(ledger, snapshot, settings)
            progress.advance()
    return Panel(settings, tuple(catalogue.values()), slices)


def _slice(ledger: Ledger, snapshot: Snapshot, settings: ChurnSettings) -> Slice:
    expected = _expected(snapshot.rfm, settings)
    features = pd.concat([snapshot.features, expected], axis=1)
    numbers = features.select_dtypes("number").columns
    return Slice(
        snapshot.window,
        # Half the memory; the models see 32 bits anyway.
        features.astype(dict.fromkeys(numbers, np.float32)),
        snapshot.rfm["frequency"].to_numpy() == 0,
        _eligible(snapshot.rfm, settings),
        _value(ledger, snapshot, expected, settings),
        snapshot.labels,
    )


def _expected(rfm: pd.DataFrame, settings: ChurnSettings) -> pd.DataFrame:
    """Forecasts of the purchase model; missing for holders of contracts who never bought."""
    bought = rfm.dropna(subset=["frequency"])
    if settings.label == "subscriptions" and not (bought["frequency"] > 0).any():
        return pd.DataFrame(index=rfm.index)  # a business without repeat purchases
    return btyd_features(bought, settings.horizon_days).reindex(rfm.index)


def _eligible(rfm: pd.DataFrame, settings: ChurnSettings) -> npt.NDArray[np.bool_]:
    if settings.label == "subscriptions":  # everyone whose contract runs
        return np.ones(len(rfm), dtype=bool)
    return eligible(rfm, settings.spec).to_numpy(bool)


def _value(
    ledger: Ledger, snapshot: Snapshot, expected: pd.DataFrame, settings: ChurnSettings
) -> npt.NDArray[np.float64]:
    known = expected.get(VALUE, pd.Series(np.nan, index=expected.index))
    fee = snapshot.features.get(FEE) if settings.label == "subscriptions" else None
    cost = None
    if settings.use_acquisition_cost:
        cost = attributes(ledger, snapshot.window, [COST])[COST].reindex(expected.index)
    return value_if_kept(
        known,
        margin=settings.margin,
        first_value=float(snapshot.rfm["first_value"].mean()),
        fixed=settings.value,
        fee=fee,
        acquisition_cost=cost,
    )


def _drawn(customers: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
    """A number below 2^32 for each id, as good as drawn by lot, always the same."""
    return np.array(
        [
            int.from_bytes(hashlib.blake2b(str(c).encode(), digest_size=4).digest())
            for c in customers
        ],
        dtype=np.int64,
    )
