"""How strong something unmeasured would have to be to explain an observational effect away."""

from __future__ import annotations

import math

__all__ = ["e_value", "e_value_limit", "ratio_of_difference"]


def e_value(ratio: float) -> float:
    """E-value of a risk ratio: RR + sqrt(RR (RR - 1)), of its inverse where it is below 1.

    VanderWeele & Ding 2017, "Sensitivity Analysis in Observational Research: Introducing the
    E-Value", Ann Intern Med 167:268. It holds for ratios of rates and of means that are not
    negative as well.

    Returns:
        The risk ratio that ties something unmeasured to both treatment and outcome, 1 or more;
        NaN for a ratio that is not above 0.

    >>> round(e_value(3.9), 2), round(e_value(0.8), 2), e_value(1.0)
    (7.26, 1.81, 1.0)
    """
    if not ratio > 0 or math.isinf(ratio):
        return math.nan
    above = max(ratio, 1 / ratio)
    return above + math.sqrt(above * (above - 1))


def e_value_limit(low: float, high: float) -> float:
    """E-value of the end of an interval that is nearer to no effect; 1 where it holds 1.

    >>> round(e_value_limit(1.8, 8.7), 2), e_value_limit(0.9, 2.0)
    (3.0, 1.0)
    """
    if low <= 1 <= high:
        return 1.0
    return e_value(low if low > 1 else high)


def ratio_of_difference(difference: float) -> float:
    """About the risk ratio that a difference in standard deviations stands for: exp(0.91 d).

    VanderWeele & Ding 2017.
    """
    return math.exp(0.91 * difference)
