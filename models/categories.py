"""Categories: which levels are told apart, frozen at training, and their codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = [
    "MAX_LEVELS",
    "MIN_LEVEL_CUSTOMERS",
    "MIN_LEVEL_ROWS",
    "UNKNOWN",
    "category_codes",
    "factorised",
    "is_category",
    "learn_levels",
]

MAX_LEVELS = 32
"""More levels of a category than this are not told apart: trees look at no more at a split."""
MIN_LEVEL_ROWS = 20
"""A level seen in fewer training rows says nothing that could be told from chance."""
MIN_LEVEL_CUSTOMERS = 10
"""A level of fewer customers could be somebody's name, and goes wherever the model goes; one
customer has a row at every training cutoff."""
UNKNOWN = "__unk__"
"""Stands for all rare levels, and for those never seen in training."""


def is_category(column: pd.Series[Any]) -> bool:
    """Whether a column of no known kind is a category: text, or of a categorical type."""
    return isinstance(column.dtype, pd.CategoricalDtype) or (
        not pd.api.types.is_numeric_dtype(column.dtype)
        and pd.api.types.infer_dtype(column, skipna=True) in ("string", "categorical")
    )


def learn_levels(columns: Iterable[pd.Series[Any]]) -> tuple[str, ...]:
    """Return the levels of a category that are told apart, the most frequent first, then by name.

    Args:
        columns: The column at each training cutoff, on customer_id; or of all cutoffs together.

    >>> learn_levels([pd.Series(["b"] * 30 + ["a"] * 20 + ["rare"])])
    ('b', 'a')
    """
    rows: Counter[str] = Counter()
    customers: Counter[str] = Counter()  # the most at one cutoff
    for column in columns:
        codes, texts = factorised(column)
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        once = codes
        if not column.index.is_unique:
            pairs = pd.DataFrame({"who": column.index, "level": codes}).drop_duplicates()
            once = pairs["level"].to_numpy()
        people = np.bincount(once[once >= 0], minlength=len(texts))
        for text, count, who in zip(texts, counts.tolist(), people.tolist(), strict=True):
            rows[text] += count
            customers[text] = max(customers[text], who)
    rows.pop(UNKNOWN, None)
    ranked = sorted(rows.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        text
        for text, count in ranked[:MAX_LEVELS]
        if count >= MIN_LEVEL_ROWS and customers[text] >= MIN_LEVEL_CUSTOMERS
    )


def category_codes(column: pd.Series[Any], levels: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the code of each level, shape (n,): its place, then one for all others, or NaN.

    >>> category_codes(pd.Series(["a", "new", None]), ["b", "a"])
    array([ 1.,  2., nan], dtype=float32)
    """
    codes, texts = factorised(column)
    place = {text: i for i, text in enumerate(levels)}
    table = [*(float(place.get(text, len(levels))) for text in texts), np.nan]
    return np.array(table, dtype=np.float32)[codes]


def factorised(column: pd.Series[Any]) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Return the place of each value among the distinct ones, -1 where missing, and these as text.

    A whole number is written alike whatever the type of the column: 1 and 1.0 are "1".
    """
    codes, distinct = pd.factorize(column)
    texts = []
    for value in distinct:
        whole = isinstance(value, float | np.floating) and float(value).is_integer()
        texts.append(str(int(value)) if whole else str(value))
    return codes, texts
