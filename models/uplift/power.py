"""How many customers, and for how long, an experiment needs to see an effect that is worth it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from ..base import ModelError

__all__ = [
    "Plan",
    "break_even_effect",
    "customers_for_mean",
    "customers_for_share",
    "detectable_mean",
    "detectable_share",
    "plan",
]

_MOST = 1e12


@dataclass(frozen=True)
class Plan:
    """What an experiment needs.

    Attributes:
        effect: The effect to be seen, in units of the outcome.
        treated: Customers of the treatment arm.
        control: Customers of the control arm.
        days: Days until as many customers have been contacted and the window of the last is over;
            None where it is not known how many can be contacted.
        detectable: The smallest effect that the customers at hand would show; None where their
            number is not known.
    """

    effect: float
    treated: int
    control: int
    days: int | None = None
    detectable: float | None = None

    @property
    def customers(self) -> int:
        """Customers of both arms."""
        return self.treated + self.control


def customers_for_share(
    base: float,
    effect: float,
    *,
    treated_share: float = 0.5,
    power: float = 0.8,
    alpha: float = 0.05,
) -> tuple[int, int]:
    """Customers that show an effect on a share, such as that of customers who buy.

    The two-sided test of two proportions on the arcsine scale (Cohen 1988, chapter 6), solved by
    statsmodels' `NormalIndPower`.

    Args:
        base: The share without treatment, between 0 and 1.
        effect: Change of the share.
        treated_share: Share of the customers that are treated.
        power: Chance that the test sees the effect if it is there.
        alpha: Chance that it sees one that is not.

    Returns:
        Customers of the treatment and of the control arm.

    Raises:
        ModelError: An argument is out of range, or there is no effect.

    >>> customers_for_share(0.10, 0.02)
    (3835, 3835)
    """
    from statsmodels.stats.power import NormalIndPower
    from statsmodels.stats.proportion import proportion_effectsize

    _check(treated_share, power, alpha)
    if not (0 < base < 1 and 0 <= base + effect <= 1):
        raise ModelError(
            f"a share of {base:g} cannot change by {effect:g}.", "Shares are between 0 and 1."
        )
    size = abs(float(proportion_effectsize(base + effect, base)))
    return _solved(NormalIndPower(), size, treated_share, power, alpha)


def customers_for_mean(
    deviation: float,
    effect: float,
    *,
    treated_share: float = 0.5,
    power: float = 0.8,
    alpha: float = 0.05,
) -> tuple[int, int]:
    """Customers that show an effect on a mean, such as that of what customers spend.

    The two-sided t-test, solved by statsmodels' `TTestIndPower`.

    Args:
        deviation: Standard deviation of the outcome between customers.
        effect: Change of the mean.
        treated_share: Share of the customers that are treated.
        power: Chance that the test sees the effect if it is there.
        alpha: Chance that it sees one that is not.

    Returns:
        Customers of the treatment and of the control arm.

    Raises:
        ModelError: An argument is out of range, or there is no effect.
    """
    from statsmodels.stats.power import TTestIndPower

    _check(treated_share, power, alpha)
    if not (math.isfinite(deviation) and deviation > 0):
        raise ModelError(f"a standard deviation must be above 0, got {deviation}.")
    return _solved(TTestIndPower(), abs(effect) / deviation, treated_share, power, alpha)


def detectable_share(
    base: float,
    customers: int,
    *,
    treated_share: float = 0.5,
    power: float = 0.8,
    alpha: float = 0.05,
) -> float:
    """The smallest rise of a share that so many customers show; see `customers_for_share`.

    >>> round(detectable_share(0.10, 7670), 4)
    0.02
    """
    from statsmodels.stats.power import NormalIndPower

    size = _detectable(NormalIndPower(), customers, treated_share, power, alpha)
    angle = min(2 * math.asin(math.sqrt(base)) + size, math.pi)
    return math.sin(angle / 2) ** 2 - base


def detectable_mean(
    deviation: float,
    customers: int,
    *,
    treated_share: float = 0.5,
    power: float = 0.8,
    alpha: float = 0.05,
) -> float:
    """The smallest change of a mean that so many customers show; see `customers_for_mean`."""
    from statsmodels.stats.power import TTestIndPower

    return deviation * _detectable(TTestIndPower(), customers, treated_share, power, alpha)


def break_even_effect(cost: float, value: float) -> float:
    """The effect that pays for itself: cost of treating one customer, by value of one outcome.

    Args:
        cost: Expected cost of treating a customer, whatever comes of it.
        value: Money that one more outcome brings, such as a customer who stays.

    Raises:
        ModelError: The cost is negative or the value not above 0.
    """
    if not (cost >= 0 and value > 0):
        raise ModelError(f"a cost of {cost:g} and a value of {value:g} have no break-even.")
    return cost / value


def plan(
    base: float,
    effect: float,
    *,
    window_days: int,
    available: int | None = None,
    customers_a_day: float | None = None,
    treated_share: float = 0.5,
    power: float = 0.8,
    alpha: float = 0.05,
) -> Plan:
    """Plan an experiment on a share, such as that of customers who buy in the window.

    Args:
        base: The share without treatment.
        effect: Change of the share that should be seen.
        window_days: Days after a contact in which its outcome falls.
        available: Customers that can be contacted at once.
        customers_a_day: Further customers that can be contacted each day.
        treated_share: Share of the customers that are treated.
        power: Chance that the test sees the effect if it is there.
        alpha: Chance that it sees one that is not.

    Raises:
        ModelError: As `customers_for_share`.
    """
    options = {"treated_share": treated_share, "power": power, "alpha": alpha}
    treated, control = customers_for_share(base, effect, **options)
    needed, detectable, days = treated + control, None, None
    if available is not None:
        if available >= 4:
            detectable = detectable_share(base, available, **options)
        missing = max(needed - available, 0)
        if not missing:
            days = window_days
        elif customers_a_day:
            days = math.ceil(missing / customers_a_day) + window_days
    return Plan(effect, treated, control, days, detectable)


def _check(treated_share: float, power: float, alpha: float) -> None:
    for name, value in (("treated_share", treated_share), ("power", power), ("alpha", alpha)):
        if not 0 < value < 1:
            raise ModelError(f"{name} must be between 0 and 1, got {value}.")
    if power <= alpha:
        raise ModelError(f"a power of {power} is no more than alpha, {alpha}.")


def _solved(
    test: object, size: float, treated_share: float, power: float, alpha: float
) -> tuple[int, int]:
    """Sizes of both arms; the first sample of statsmodels is the treatment arm."""
    if not size > 0:
        raise ModelError("no number of customers shows an effect of 0.")
    ratio = (1 - treated_share) / treated_share
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it does not converge is said by NaN, too
        found = test.solve_power(size, power=power, alpha=alpha, ratio=ratio)  # type: ignore[attr-defined]
    treated = min(float(np.asarray(found).item()), _MOST)
    if math.isnan(treated):
        raise ModelError(
            f"no number of customers is found for an effect of {size:.3g} standard deviations.",
            "Choose an effect that is neither minute nor beyond all doubt.",
        )
    return max(math.ceil(treated - 1e-9), 2), max(math.ceil(treated * ratio - 1e-9), 2)


def _detectable(
    test: object, customers: int, treated_share: float, power: float, alpha: float
) -> float:
    _check(treated_share, power, alpha)
    if customers < 4:
        raise ModelError(f"{customers} customers cannot make two arms.")
    treated = customers * treated_share
    ratio = (1 - treated_share) / treated_share
    # The solver gives a number or an array with one, and at times the root below 0.
    found = test.solve_power(  # type: ignore[attr-defined]
        None, nobs1=treated, power=power, alpha=alpha, ratio=ratio
    )
    return abs(float(np.asarray(found).item()))
