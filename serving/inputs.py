"""What a block of customers is scored from: features, RFM summary, and what the shop has in common.

A shop of up to `AT_ONCE` customers is looked at as a whole. A larger one never is: its customers
are taken a slice at a time (`features.slices`), and what is learned from all of them, such as the
parameters of the features of `models.btyd.features`, is learned beforehand. The numbers are the
same to the bit either way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.attributes import attributes, number_attributes
from features.errors import InputError
from features.slices import Slices
from features.snapshot import build_snapshot
from features.subscriptions import subscription_snapshot
from models.btyd.features import MOST, BtydFeatures

if TYPE_CHECKING:
    import datetime as dt

    from features.ledger import Ledger
    from features.settings import FeatureSettings
    from features.snapshot import Snapshot
    from features.window import ObservationWindow
    from serving.registry import RegisteredModel

__all__ = ["AT_ONCE", "CONTRACT_FEE", "VALUE", "Inputs", "Shop", "Taken", "clv_params"]

AT_ONCE = 100_000
"""Customers that are scored at once, and the largest shop that is looked at as a whole."""

CONTRACT_FEE = "contract_fee"
"""Feature: what a contract brings a month."""

VALUE = "value_if_alive"
"""Feature: what a customer spends in a year who stays."""

_CLV_SETTINGS = ("horizon_days", "annual_discount_rate", "margin")


def clv_params(model: RegisteredModel, cutoff: dt.date) -> dict[str, float | str]:
    """The settings that a CLV model was trained and judged with, at this cutoff.

    Raises:
        InputError: Its card does not say.
    """
    settings = model.card.get("extra", {})
    missing = [name for name in _CLV_SETTINGS if name not in settings]
    if missing:
        raise InputError(
            f"The card of {model.label} does not say its {', '.join(missing)}.",
            "Run `regulars train` again.",
        )
    found: dict[str, float | str] = {name: float(settings[name]) for name in _CLV_SETTINGS}
    if "cutoff" in model.params:
        found["cutoff"] = cutoff.isoformat()
    return found


@dataclass(frozen=True)
class Shop:
    """What is learned from all customers, to be said of each.

    Attributes:
        window: What is observed.
        contracts: Whether churn is the end of a contract.
        rfm: RFM summary of those at risk of leaving who have bought; of very many (`MOST`), of
            every k-th.
        fees: Fees of contracts, as far as they are known, of the same customers and of those at
            risk who never bought.
        whole: Whether these are all customers at hand.
    """

    window: ObservationWindow
    contracts: bool
    rfm: pd.DataFrame
    fees: pd.Series[float]
    whole: bool
    numbers: frozenset[str] | None = None

    @cached_property
    def btyd(self) -> BtydFeatures | None:
        """The models behind some of the features; None where nobody has bought twice."""
        if not (self.rfm["frequency"] > 0).any():
            return None
        return BtydFeatures.learn(self.rfm)

    @cached_property
    def first_value(self) -> float:
        """Mean value of a first purchase."""
        return float(self.rfm["first_value"].mean())

    @cached_property
    def usual_value(self) -> float | None:
        """Mean of what customers spend in a year who stay; None where it is known of nobody."""
        if self.btyd is None or self.btyd.spend is None:
            return None
        found = self.btyd.of(self.rfm, self.window.horizon_days)[VALUE].to_numpy()
        return float(found[~np.isnan(found)].mean()) if not np.isnan(found).all() else None

    @cached_property
    def usual_fee(self) -> float | None:
        """Mean fee; None where no fee is known."""
        known = self.fees.dropna()
        return float(known.to_numpy().mean()) if len(known) else None


@dataclass(frozen=True)
class Taken:
    """Customers with what is known of them; these are all customers in a small shop.

    Attributes:
        ledger: Tables that hold them; no others in a large shop.
        shop: What all customers have in common.
        snapshot: Those who have bought.
        at_risk: Those who are at risk of leaving; often the same.
    """

    ledger: Ledger
    shop: Shop
    snapshot: Snapshot
    at_risk: Snapshot

    @cached_property
    def churn(self) -> pd.DataFrame:
        """What a churn model reads, of `at_risk`."""
        features, rfm, btyd = self.at_risk.features, self.at_risk.rfm, self.shop.btyd
        if btyd is None:
            return features
        bought = rfm.dropna(subset=["frequency"])
        extra = btyd.of(bought, self.shop.window.horizon_days).reindex(rfm.index)
        return pd.concat([features, extra], axis=1)

    def value(self, clv: RegisteredModel) -> pd.DataFrame:
        """What the value model reads, of `snapshot`: RFM, features and static attributes."""
        wanted = set(clv.card.get("input_columns", ())) - set(self.snapshot.rfm.columns)
        chosen = [name for name in self.snapshot.features.columns if name in wanted]
        found = pd.concat([self.snapshot.rfm, self.snapshot.features[chosen]], axis=1)
        if others := sorted(wanted - set(chosen)):
            found = found.join(self.attributes(others))
        return found

    def attributes(self, names: Sequence[str]) -> pd.DataFrame:
        """Static attributes of those who have bought."""
        return attributes(self.ledger, self.shop.window, names, numbers=self.shop.numbers)


@dataclass(frozen=True)
class Inputs:
    """Where blocks of customers are taken from.

    Attributes:
        shop: What all customers have in common.
        customers: Number of customers with a known transaction.
        everyone: (start, stop) -> those of them at these places in order of id.
        take: Ids -> what is known of these customers, and perhaps of others.
    """

    shop: Shop
    customers: int
    everyone: Callable[[int, int], list[str]]
    take: Callable[[Sequence[str]], Taken] = field(repr=False)

    @classmethod
    def of(
        cls,
        ledger: Ledger,
        window: ObservationWindow,
        settings: FeatureSettings,
        *,
        contracts: bool,
        named: Collection[str] = (),
        at_once: int = AT_ONCE,
    ) -> Inputs:
        """Look at a shop as a whole, or get ready to take its customers in slices.

        Args:
            ledger: The trusted tables.
            window: What is observed.
            settings: Features beside the catalogue, as in training.
            contracts: Whether churn is the end of a contract.
            named: Static attributes that will be read.
            at_once: Largest shop that is looked at as a whole.

        Raises:
            InputError: Nobody has a transaction before the cutoff, or what is asked for is not
                in the data.
        """
        slices = Slices(ledger, window)
        if slices.customers <= at_once:
            return _whole(ledger, window, settings, contracts, slices)
        return _sliced(ledger, window, settings, contracts, frozenset(named), slices, at_once)


def _whole(
    ledger: Ledger,
    window: ObservationWindow,
    settings: FeatureSettings,
    contracts: bool,
    slices: Slices,
) -> Inputs:
    snapshot = build_snapshot(ledger, window, labels=False, settings=settings)
    at_risk = snapshot
    if contracts:
        at_risk = subscription_snapshot(ledger, window, labels=False, settings=settings)
    bought = at_risk.rfm.dropna(subset=["frequency"])
    fees = at_risk.features.get(CONTRACT_FEE, pd.Series(dtype=float))
    taken = Taken(ledger, Shop(window, contracts, bought, fees, True), snapshot, at_risk)
    return Inputs(taken.shop, slices.customers, slices.everyone, lambda ids: taken)


def _sliced(
    ledger: Ledger,
    window: ObservationWindow,
    settings: FeatureSettings,
    contracts: bool,
    named: frozenset[str],
    slices: Slices,
    size: int,
) -> Inputs:
    slices.settle(settings, size)
    rfm, fees = slices.sample(MOST, contracts=contracts)
    numbers = number_attributes(ledger, window, sorted(named)) if named else frozenset()
    shop = Shop(window, contracts, rfm, fees, False, numbers)

    def take(ids: Sequence[str]) -> Taken:
        slices.show(ids)
        snapshot = slices.snapshot()
        at_risk = slices.contracts() if contracts else snapshot
        return Taken(slices.shown, shop, snapshot, at_risk)

    return Inputs(shop, slices.customers, slices.everyone, take)
