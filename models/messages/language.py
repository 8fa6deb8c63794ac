"""A language: its texts, how it writes numbers, and how a text is filled for many customers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from string import Formatter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..categories import UNKNOWN

__all__ = ["Kind", "Language", "number", "share", "value"]

Kind = Callable[[Any], str]


@dataclass(frozen=True)
class Language:
    """Everything that differs between languages.

    Args:
        texts: Key of a message -> its text, in which `{name:kind}` stands for a number. Two
            texts are for features without a message: "feature" with a name and a value,
            "feature_unknown" with a name. They begin without a capital letter.
        kinds: Kind of number -> how it is written.
        good_sign: What stands before a reason for a lower risk.
    """

    texts: Mapping[str, str]
    kinds: Mapping[str, Kind]
    good_sign: str

    def say(
        self,
        key: str,
        values: Mapping[str, npt.NDArray[Any] | float | str],
        count: int,
        *,
        good: bool = False,
    ) -> list[str]:
        """Return the sentence for each customer.

        Args:
            key: Of the text.
            values: What it speaks of: an array over the customers, or one value for all.
            count: Number of customers.
            good: Whether it is said as a good sign.
        """
        parts: list[str | list[str]] = []
        for literal, name, kind, _ in Formatter().parse(self.texts[key]):
            if literal:
                parts.append(literal)
            if name is not None:
                parts.append(_written(values[name], self.kinds[kind or "value"]))
        parts[0] = self._opening(parts[0], good)
        columns = [repeat(part, count) if isinstance(part, str) else part for part in parts]
        return list(map("".join, zip(*columns, strict=True)))

    def _opening(self, part: str | list[str], good: bool) -> str | list[str]:
        if isinstance(part, str):
            return self.good_sign + part if good else part[:1].upper() + part[1:]
        if good:
            return [self.good_sign + said for said in part]
        return [said[:1].upper() + said[1:] for said in part]


def _written(value: npt.NDArray[Any] | float | str, write: Kind) -> str | list[str]:
    if isinstance(value, str | float | int):
        return write(value)
    # Each value is written once per distinct value.
    code, distinct = pd.factorize(value)
    written = np.array([write(one) for one in distinct.tolist()], dtype=object)
    out: list[str] = written[code].tolist()
    return out


def number(value: float) -> str:
    """Write any number: no decimals from 100 on, else three digits.

    >>> number(0.25678), number(12345.6), number(20.0)
    ('0.257', '12,346', '20')
    """
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:,.3g}"


def value(other: str) -> Kind:
    """Return how to write a text or any number.

    Args:
        other: What is written for a rare level of a category, or one that training did not see.

    >>> value("something else")("gold"), value("something else")("__unk__"), value("-")(2.5)
    ('gold', 'something else', '2.5')
    """

    def write(one: str | float) -> str:
        if isinstance(one, str):
            return other if one == UNKNOWN else one
        return number(one)

    return write


def share(value: float) -> int:
    """Return a share in percent; only nothing is 0, and of a part never 100.

    >>> share(0.354), share(0.0001), share(0.9999), share(1.0)
    (35, 1, 99, 100)
    """
    rounded = round(100 * value)
    return min(max(rounded, 1), 99) if 0 < value < 1 else rounded
