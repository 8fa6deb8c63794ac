"""A label that the user gives: which of its two values means that the customer left.

And which columns beside it are no features: those that name customers instead of describing
them, and those that tell the label because they were written down after it.
"""

from __future__ import annotations

import pandas as pd

from features.errors import SchemaError

__all__ = ["CHURNED_WORDS", "STAYED_WORDS", "given_label", "why_unfit"]

CHURNED_WORDS = frozenset(
    {
        *("1", "1.0", "true", "t", "yes", "y", "churn", "churned", "churner", "left", "leaver"),
        *("lost", "gone", "exited", "cancelled", "canceled", "terminated", "attrited", "attrition"),
        *("attrited customer", "lost customer", "churned customer"),
    }
)
"""Values of a label that mean that the customer left, in lower case."""

STAYED_WORDS = frozenset(
    {
        *("0", "0.0", "false", "f", "no", "n", "stay", "stayed", "active", "retained", "kept"),
        *("existing", "current", "loyal", "not churned", "no churn"),
        *("existing customer", "current customer", "active customer"),
    }
)
"""Values of a label that mean that the customer stayed, in lower case."""

MANY_LEVELS = 20
"""Up to so many different texts are a category, however few customers there are."""
OWN_VALUE = 0.5
"""Different texts a customer above which a column names customers, and does not describe them."""
TELLING_ROWS = 50
"""Customers from which it is no accident that a column separates the labels without an error."""

_SHOWN = 5


def given_label(
    values: pd.Series[str], name: str, positive: str | None
) -> tuple[pd.Series[float], str]:
    """Read a label.

    Args:
        values: The column as text.
        name: What it is called.
        positive: The value that means churned; None: recognised.

    Returns:
        1 churned, 0 stayed, missing where there is no value; and the value that means churned.

    Raises:
        SchemaError: It does not have two values, or it is not clear what they mean.
    """
    texts = values.str.strip()
    texts = texts.mask(texts == "")
    counts = texts.value_counts().sort_index()
    found = [str(value) for value in counts.index]
    shown = ", ".join(f"{value} ({counts[value]:,})" for value in found[:_SHOWN])
    if len(found) != 2:
        more = " ..." if len(found) > _SHOWN else ""
        what = f"{len(found)} values: {shown}{more}"
        if len(found) < 2:
            what = f"only the value {shown}" if found else "no value"
        raise SchemaError(
            f"The label {name} has {what}.",
            "It needs two: one for customers who left, one for those who stayed. Leave out other "
            "rows, or merge values beforehand.",
        )
    if positive is not None:
        fits = [v for v in found if v == positive] or [
            v for v in found if v.casefold() == positive.strip().casefold()
        ]
        if len(fits) != 1:
            raise SchemaError(
                f"The label {name} has no value {positive!r}.", f"Its values: {shown}."
            )
        churned = fits[0]
    else:
        left = [v for v in found if v.casefold() in CHURNED_WORDS]
        stayed = [v for v in found if v.casefold() in STAYED_WORDS]
        if len(left) != 1 or len(stayed) != 1:
            raise SchemaError(
                f"It is not clear which value of the label {name} means that the customer left: "
                f"{shown}.",
                f"Say so: --positive {found[0]} (in Python: positive={found[0]!r}).",
            )
        churned = left[0]
    return (texts == churned).astype("float64").mask(texts.isna()), churned


def why_unfit(values: pd.Series, label: pd.Series[float]) -> str:
    """Say why a column is no feature.

    Args:
        values: float64 or text.
        label: 1 churned, 0 stayed, on the same index.

    Returns:
        The reason, "" where the column may be one.
    """
    known = values.dropna()
    number = pd.api.types.is_numeric_dtype(values.dtype)
    if not len(known):
        return "it has no value"
    distinct = known.nunique()
    if not number and distinct > max(MANY_LEVELS, OWN_VALUE * len(known)):
        return "it has a value of its own for nearly every customer"
    whole = number and distinct == len(known) > MANY_LEVELS and (known == known.round()).all()
    if whole and known.max() - known.min() == len(known) - 1:
        return "it numbers the rows"
    if len(values) >= TELLING_ROWS and _tells(values, label, number=number):
        return "it tells the label without an error, so it cannot have been known before"
    return ""


def _tells(values: pd.Series, label: pd.Series[float], *, number: bool) -> bool:
    """Whether a threshold of a number, or the levels of a category, separate the labels exactly."""
    blank = values.isna()
    left, stayed = (values[(label == outcome) & ~blank] for outcome in (1, 0))
    if blank.any() and (not len(left) or not len(stayed)):
        # Known for one outcome only, such as the reason for leaving.
        return bool(label[blank].eq(0 if len(left) else 1).all())
    if number:
        if blank.any() or not len(left) or not len(stayed):
            return False
        return bool(left.max() < stayed.min() or stayed.max() < left.min())
    codes, levels = pd.factorize(values, use_na_sentinel=False)
    few = 1 < len(levels) <= len(values) / 5
    ends = label.groupby(codes).agg(["min", "max"])
    return few and bool((ends["min"] == ends["max"]).all())
