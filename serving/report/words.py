"""Numbers, dates and sentences as a reader of the language wants them."""

from __future__ import annotations

import datetime as dt
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

from features.measures import Measure
from serving.report.material import Language

__all__ = ["Words", "catalogue", "chinese_definitions"]

_NB = "\u00a0"
_MINUS = "\u2212"
_DASH = "\u2013"
_SIZES: Mapping[str, tuple[tuple[float, str], ...]] = {
    "en": ((1e9, f"{_NB}bn"), (1e6, f"{_NB}M"), (1e3, f"{_NB}k")),
    "zh": ((1e8, f"{_NB}亿"), (1e4, f"{_NB}万")),
}


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Every text of the page: key -> language -> text, from `texts.toml`."""
    source = resources.files("serving.report").joinpath("texts.toml").read_text(encoding="utf-8")
    found: dict[str, Mapping[str, str]] = {}

    def walk(branch: Mapping[str, object], path: str) -> None:
        for name, value in branch.items():
            assert isinstance(value, Mapping)
            key = f"{path}.{name}" if path else name
            if "en" in value:
                found[key] = value
            else:
                walk(value, key)

    walk(tomllib.loads(source), "")
    return found


@cache
def chinese_definitions() -> Mapping[str, str]:
    """The definition of every measure in Chinese: name -> text, from `measures_zh.toml`."""
    source = resources.files("serving.report").joinpath("measures_zh.toml")
    return tomllib.loads(source.read_text(encoding="utf-8"))


class Words:
    """Texts, numbers and dates of one language.

    Args:
        language: "en" or "zh".
        currency: Put before every amount.

    >>> words = Words("en", "£")
    >>> words.money(1234.5), words.short_money(-2500).replace("\u00a0", " ")
    ('£1,234', '\u2212£2.50 k')
    >>> words.percent(0.257), words.period("2024-05"), Words("zh").period("2024-05")
    ('26%', 'May 2024', '2024年5月')
    """

    def __init__(self, language: Language = "en", currency: str = "") -> None:
        self.language: Language = language
        self.currency = currency

    def t(self, key: str, **values: object) -> str:
        """The text of `key`, with `values` put in.

        Raises:
            KeyError: There is no such text; a test looks for every key in the code.
        """
        text = catalogue()[key][self.language]
        return text.format(**values) if values else text

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in catalogue()

    def name(self, group: str, value: str) -> str:
        """The text of a value of the data that the catalogue knows, else the value itself."""
        key = f"{group}.{value}"
        return self.t(key) if self.has(key) else value

    def definition(self, row: Measure) -> str:
        """What a measure is, as a sentence.

        >>> from features.measures import find
        >>> Words("en").definition(find("tickets")), Words("zh").definition(find("tickets"))
        ('Tickets opened.', '新开工单数。')
        """
        if self.language == "zh":
            return f"{chinese_definitions()[row.name]}。"
        text = row.definition
        return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")

    def count(self, value: float) -> str:
        """A whole number."""
        return _signed(value, f"{abs(value):,.0f}")

    def number(self, value: float, digits: int = 2) -> str:
        """A number with that many decimals."""
        return _signed(value, f"{abs(value):,.{digits}f}")

    def percent(self, value: float, digits: int = 0) -> str:
        """A share; a small one is never shown as none at all."""
        if not math.isfinite(value):
            return _DASH
        if 0 < abs(value) < 0.5 * 10 ** -(digits + 2):
            return f"<{_NB}{10.0**-digits:.{digits}f}%"
        return _signed(value, f"{abs(value) * 100:,.{digits}f}%")

    def money(self, value: float, digits: int | None = None) -> str:
        """An amount; only a small one has decimals, unless they are asked for."""
        if not math.isfinite(value):
            return _DASH
        decimals = (2 if 0 < abs(value) < 9.995 else 0) if digits is None else digits
        return _signed(value, f"{self.currency}{abs(value):,.{decimals}f}")

    def short(self, value: float) -> str:
        """A number in three significant figures: 1.23 M, 45.6 k, 789."""
        size = abs(value)
        for unit, name in _SIZES[self.language]:
            if size >= 0.9995 * unit:
                scaled = size / unit
                decimals = max(0, 2 - int(math.log10(max(scaled, 1))))
                return _signed(value, f"{scaled:,.{decimals}f}{name}")
        return _signed(value, f"{size:,.0f}")

    def short_money(self, value: float) -> str:
        """An amount in three significant figures."""
        text = self.short(abs(value))
        return _signed(value, self.currency + text)

    def unit(self, value: float, unit: str) -> str:
        """A measure's value by its unit."""
        if not math.isfinite(value):
            return _DASH
        if unit == "share":
            return self.percent(value, 1 if abs(value) < 0.0995 else 0)
        if unit == "money":
            return self.short_money(value) if abs(value) >= 1e5 else self.money(value)
        if unit == "count":
            return self.short(value) if abs(value) >= 1e6 else self.count(value)
        if unit == "points":
            return _signed(value, f"{abs(value):.0f}")
        if unit == "ratio":
            return self.number(value, 2)
        if unit == "p_value":
            return "<" + _NB + "0.001" if value < 0.0005 else f"{value:.3f}"
        digits = 1 if abs(value) < 99.5 else 0
        text = self.number(value, digits)
        return f"{text}{_NB}{self.t(f'unit.{unit}')}" if self.has(f"unit.{unit}") else text

    def signed(self, value: float, unit: str) -> str:
        """A difference by its unit, always with its sign; of shares in percentage points."""
        if not math.isfinite(value):
            return _DASH
        if unit == "share":
            return _plus(value, f"{abs(value) * 100:.1f}") + _NB + self.t("unit.pp")
        return _plus(value, self.unit(abs(value), unit).lstrip("+"))

    def change(self, now: float, before: float, unit: str) -> str:
        """The change from `before` to `now`: in percent, for shares and points as a difference."""
        if unit in ("share", "points"):
            difference = now - before
            if unit == "points":
                return _plus(difference, f"{abs(difference):.0f}")
            return self.signed(difference, unit)
        return _plus(now - before, f"{abs(now / before - 1) * 100:.0f}%") if before else _DASH

    def between(self, low: float, high: float, unit: str) -> str:
        """An interval."""
        return self.t("range", low=self.unit(low, unit), high=self.unit(high, unit))

    def date(self, day: dt.date) -> str:
        """A day."""
        if self.language == "zh":
            return f"{day.year}年{day.month}月{day.day}日"
        return f"{day.day} {day:%B %Y}"

    def period(self, label: str) -> str:
        """The name of a period: "2024-05", "2024-Q1" or "2024"."""
        if re.fullmatch(r"\d{4}-\d{2}", label):
            year, month = int(label[:4]), int(label[5:])
            if self.language == "zh":
                return f"{year}年{month}月"
            return f"{dt.date(year, month, 1):%B %Y}"
        if found := re.fullmatch(r"(\d{4})-Q(\d)", label):
            return (
                f"{found[1]}年第{found[2]}季度"
                if self.language == "zh"
                else f"Q{found[2]} {found[1]}"
            )
        return self.t("all_time") if label == "all" else label

    def short_period(self, label: str) -> str:
        """The same for an axis: "May 24"."""
        if re.fullmatch(r"\d{4}-\d{2}", label):
            if self.language == "zh":
                return f"{label[2:4]}年{int(label[5:])}月"
            return f"{dt.date(int(label[:4]), int(label[5:]), 1):%b} {label[2:4]}"
        return self.period(label)

    def join(self, texts: Iterable[str]) -> str:
        """Texts as a list within a sentence."""
        return ("、" if self.language == "zh" else ", ").join(texts)


def _signed(value: float, text: str) -> str:
    negative = value < 0 and any(c in "123456789" for c in text)
    return f"{_MINUS}{text}" if negative else text


def _plus(value: float, text: str) -> str:
    if not any(c in "123456789" for c in text):
        return text
    return f"{_MINUS if value < 0 else '+'}{text}"
