"""The CLV candidates: what each is made of, what it expects, and how it did.

Three kinds, in the order in which they are preferred when they do equally well:

- models of purchases and spend (`MODELS`), with their posterior: the purchase models of the field
  with spend learned from all purchases, MBG/NBD with other spend models, and MBG/NBD on a clock
  that runs by the season or with what is known of the customers (`Purchases`, `Spend`);
- `stack`, the purchase models weighted by how they did at earlier cutoffs, and values learned from
  earlier cutoffs on the base of `mbg_nbd` (`LEARNED`);
- rules (`RULES`), which a model has to beat and which are never registered.

MBG/NBD comes first because BG/NBD takes everybody who has bought once to be a customer still, by
definition (P(alive) = 1), which must pay before it is put up with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import InputError
from features.schema import nearest
from models.baseline import HiatusRule, PastRateContinues, SameWindowLastYear, Zero
from models.clv import CustomerLifetimeValue, quantile_columns
from training import metrics
from training.clv_choice import BASELINE
from training.clv_fitting import ClvSettings, Fitting, Purchases, Spend
from training.clv_learning import fit_learned, fit_stack

__all__ = [
    "GROUPS",
    "LEARNED",
    "MODELS",
    "ON_REQUEST",
    "RULES",
    "STACK",
    "Forecast",
    "Measured",
    "candidates",
    "describe",
    "fit_candidate",
    "forecast",
    "measure",
    "predictive_sample",
]

_ALL = Spend()
_PLAIN = Purchases("mbg_nbd")

MODELS: Mapping[str, tuple[Purchases, Spend]] = {
    "mbg_nbd": (_PLAIN, _ALL),
    "mbg_nbd_repeat_spend": (_PLAIN, Spend(repeat_only=True)),
    "mbg_nbd_frequency_spend": (_PLAIN, Spend(scale_by="frequency")),
    "mbg_nbd_tier_spend": (_PLAIN, Spend(scale_by="tier")),
    "mbg_nbd_recent_90_spend": (_PLAIN, Spend(half_life_days=90)),
    "mbg_nbd_recent_180_spend": (_PLAIN, Spend(half_life_days=180)),
    "mbg_nbd_recent_365_spend": (_PLAIN, Spend(half_life_days=365)),
    "bg_nbd": (Purchases("bg_nbd"), _ALL),
    "pareto_nbd": (Purchases("pareto_nbd"), _ALL),
    "mbg_cnbd_k": (Purchases("mbg_cnbd_k"), _ALL),
    "mbg_nbd_calendar": (Purchases("mbg_nbd", calendar=True), _ALL),
    "mbg_nbd_covariates": (Purchases("mbg_nbd", covariates=True), Spend(covariates=True)),
    "mbg_nbd_segments": (Purchases("mbg_nbd", segments=True), _ALL),
}
"""Models of purchases and spend, the simplest first."""

STACK = "stack"
"""The purchase models of the field together."""

LEARNED: Mapping[str, str] = {
    "recalibrated": "recalibrated",
    "boosted": "boosted",
    "two_part": "two_part",
    "two_part_btyd": "two_part_btyd",
    "quantile": "quantile",
}
"""Candidate -> family in `models.value.VALUE_MODELS`."""

ON_REQUEST = frozenset(
    {
        *("mbg_nbd_frequency_spend", "mbg_nbd_tier_spend"),
        *("mbg_nbd_recent_90_spend", "mbg_nbd_recent_365_spend"),
        *("two_part", "two_part_btyd", "quantile"),
    }
)
"""Candidates that a backtest measures and a training tries only where they are named: close
relatives of others, and learners that a purchase model has beaten wherever we have looked."""

RULES = (BASELINE, "hiatus", "last_year", "zero")

_MEMBERS = ("mbg_nbd", "bg_nbd", "pareto_nbd", "mbg_cnbd_k")

_DRAWS = 200  # predictive draws a customer behind the measures of a distribution
_MEASURED = 5_000  # customers they are taken over, at most
_LEVELS = 20  # quantiles that stand for draws where a model gives none

GROUPS: Mapping[str, tuple[float, float]] = {
    "all": (0.0, np.inf),
    "repeat 0": (0.0, 0.0),
    "repeat 1": (1.0, 1.0),
    "repeat 2-3": (2.0, 3.0),
    "repeat 4+": (4.0, np.inf),
}
"""Groups of customers by their repeat purchases so far, ends included."""


@dataclass(frozen=True)
class Forecast:
    """What a candidate expects of each customer in the holdout.

    Attributes:
        purchases: Expected purchases.
        spend: Expected spend.
        model: The fitted model, None for a rule.
    """

    purchases: "pd.Series[float]"
    spend: "pd.Series[float]"
    model: Any | None


def candidates(settings: ClvSettings, *, every: bool = False) -> tuple[str, ...]:
    """The candidates that may be registered under these settings, the simplest first.

    The candidates with covariates or segments are there where columns for them are named.

    Args:
        settings: May name the candidates to try.
        every: With those that a training leaves out unless they are named (`ON_REQUEST`).

    Raises:
        InputError: The settings name a candidate that does not exist.
    """
    left_out = set()
    if not settings.covariates:
        left_out.add("mbg_nbd_covariates")
    if settings.segment is None:
        left_out.add("mbg_nbd_segments")
    known = [name for name in (*MODELS, STACK, *LEARNED) if name not in left_out]
    for name in settings.candidates:
        if name not in known:
            raise InputError(
                f"There is no CLV candidate {name!r}.",
                f"{nearest(name, known)} Candidates: {', '.join(known)}.",
            )
    if settings.candidates:
        return tuple(name for name in known if name in settings.candidates)
    return tuple(name for name in known if every or name not in ON_REQUEST)


def describe(name: str) -> dict[str, str]:
    """What a candidate is made of, for the parameters of its run."""
    if name in MODELS:
        purchases, spend = MODELS[name]
        on = [key for key in ("calendar", "covariates", "segments") if getattr(purchases, key)]
        return {"purchase_model": "+".join([purchases.model, *on]), "spend_model": str(spend)}
    if name == STACK:
        return {"purchase_model": "+".join(_MEMBERS), "spend_model": str(_ALL)}
    if name in LEARNED:
        return {"purchase_model": _PLAIN.model, "spend_model": str(_ALL), "learned": LEARNED[name]}
    return {"purchase_model": "none", "spend_model": "none"}


def fit_candidate(name: str, fitting: Fitting) -> Any:
    """Fit one of `candidates` on a history.

    Returns:
        A model with the face of `models.clv.CustomerLifetimeValue`.

    Raises:
        ModelError: It cannot be fitted to this history.
    """
    if name in MODELS:
        return fitting.clv(*MODELS[name])
    if name == STACK:
        asked = candidates(fitting.shop.settings)
        named = [member for member in _MEMBERS if member in asked]
        # Asked for by itself it has all members.
        members = {m: MODELS[m][0] for m in (named if len(named) > 1 else _MEMBERS)}
        return fitting.once(STACK, lambda: fit_stack(fitting, members, _ALL))
    return fitting.once(name, lambda: fit_learned(fitting, LEARNED[name], _PLAIN, _ALL))


def forecast(name: str, fitting: Fitting) -> Forecast:
    """What a candidate or a rule expects in the horizon of a history.

    Raises:
        ModelError: It cannot be fitted to this history.
    """
    days = fitting.history.window.horizon_days
    if name in RULES:
        purchases, spend = _rule(name, fitting)
        return Forecast(purchases, spend, None)
    model = fit_candidate(name, fitting)
    # Neither discounted nor turned into margin: what came is measured as it came.
    expected = model.predict(
        fitting.history.inputs, days, annual_discount_rate=0.0, intervals=False, **fitting.options
    )
    return Forecast(expected["expected_purchases"], expected["expected_spend"], model)


def _rule(name: str, fitting: Fitting) -> "tuple[pd.Series[float], pd.Series[float]]":
    """Purchases and spend by one of `RULES`."""
    history = fitting.history
    days, rfm = history.window.horizon_days, history.rfm
    if name == "last_year":
        past = history.last_year()
        return (
            SameWindowLastYear("purchases").predict(past),
            SameWindowLastYear("spend").predict(past),
        )
    if name == "hiatus":
        earlier = fitting.examples()[-1].history
        came = earlier.labels["future_purchases"]
        learned = HiatusRule.fit(earlier.rfm, came, earlier.window.horizon_days).hiatus_days
        return (
            HiatusRule(learned, days).predict(rfm),
            HiatusRule(learned, days, "spend").predict(rfm),
        )
    if name == "zero":
        return Zero().predict(rfm), Zero().predict(rfm)
    return PastRateContinues(days).predict(rfm), PastRateContinues(days, "spend").predict(rfm)


@dataclass(frozen=True)
class Measured:
    """How a forecast did.

    Attributes:
        groups: Group of `GROUPS` -> its customers, and `purchases/*` and `clv/*` among them.
        pit: "purchases" and "value" -> randomised PIT values of the customers measured; none for
            a candidate without a distribution.
    """

    groups: Mapping[str, tuple[int, Mapping[str, float]]]
    pit: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    @property
    def found(self) -> Mapping[str, float]:
        """`purchases/*` and `clv/*` among all customers."""
        return self.groups["all"][1]


def measure(found: Forecast, fitting: Fitting) -> Measured:
    """Measure a forecast on what happened in the holdout.

    Args:
        found: What the candidate expects.
        fitting: The history it was made from; its horizon is over.

    Returns:
        Measures of purchases and of the spend as it came. Those of the whole distribution are
        there for candidates that give one; they are taken over 5,000 customers at most, the same
        ones for all candidates.
    """
    labels, seed = fitting.history.labels, fitting.shop.seed
    frequency = fitting.history.rfm["frequency"].to_numpy()
    # Every k-th customer in the order of their ids.
    some = np.arange(0, len(labels), -(-len(labels) // _MEASURED))
    sample = None if found.model is None else predictive_sample(found.model, fitting, some)
    spaced = not isinstance(found.model, CustomerLifetimeValue)
    groups: dict[str, tuple[int, Mapping[str, float]]] = {}
    pit = {}
    for group, (low, high) in GROUPS.items():
        members = (frequency >= low) & (frequency <= high)
        if not members.any():
            continue
        out: dict[str, float] = {}
        for place, (what, label, expected) in enumerate(
            (
                ("purchases", "future_purchases", found.purchases),
                ("clv", "future_spend", found.spend),
            )
        ):
            y = labels[label].to_numpy()
            point = metrics.purchase_metrics if what == "purchases" else metrics.clv_metrics
            out |= point(y[members], expected.to_numpy()[members])
            if found.model is None:
                # All of a rule's probability lies on the one number it gives.
                out[f"{what}/crps"] = out[f"{what}/mae"]
            elif sample is not None and members[some].any():
                draws, came = sample[place][members[some]], y[some][members[some]]
                whole = metrics.distribution_metrics(came, draws, seed, spaced=spaced)
                out |= {f"{what}/{name}": value for name, value in whole.items()}
                if group == "all":
                    rng = np.random.default_rng(seed)
                    name = "value" if what == "clv" else what
                    pit[name] = metrics.randomised_pit(came, draws, rng, spaced=spaced)
        groups[group] = (int(members.sum()), out)
    return Measured(groups, pit)


def predictive_sample(
    model: Any, fitting: Fitting, rows: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Points of the predictive distribution of purchases and of spend in the horizon.

    Draws where the model gives them, evenly spaced quantiles where it does not.

    Args:
        model: A fitted model.
        fitting: The history it was fitted on.
        rows: Customers wanted, n places.

    Returns:
        Purchases and spend, (n, points) each; None for a model without a distribution.
    """
    inputs = fitting.history.inputs.iloc[rows]
    days = fitting.history.window.horizon_days
    if isinstance(model, CustomerLifetimeValue):
        if model.diagnostics["purchases"]["inference"] == "map":
            return None
        return model.draw(inputs, days, _DRAWS, fitting.shop.seed, **fitting.options)
    levels = [(i + 0.5) / _LEVELS for i in range(_LEVELS)]
    of_purchases, of_value = quantile_columns(levels)
    said = model.predict(
        inputs, days, annual_discount_rate=0.0, quantiles=levels, **fitting.options
    )
    if said[of_value[0]].isna().any():
        return None
    return said[list(of_purchases)].to_numpy(), said[list(of_value)].to_numpy()
