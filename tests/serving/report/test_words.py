"""Numbers, dates and the catalogue of texts."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import serving.report
from features.measures import MEASURES
from serving.report.material import LANGUAGES
from serving.report.words import Words, catalogue, chinese_definitions

SOURCES = sorted(Path(serving.report.__file__).parent.rglob("*.py"))
TEMPLATES = sorted(Path(serving.report.__file__).parent.glob("*.j2"))


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_text_is_there_in_every_language_with_the_same_names() -> None:
    for key, texts in catalogue().items():
        assert set(texts) == set(LANGUAGES), key
        assert all(texts.values()), key
        assert len({frozenset(_names(text)) for text in texts.values()}) == 1, key


def test_every_text_that_is_asked_for_is_there_and_none_is_left_over() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (*SOURCES, *TEMPLATES))
    asked = set(re.findall(r"\bt\(\s*[\"']([\w.]+)[\"']", code))
    assert asked <= set(catalogue())
    # Keys put together from parts: the part that is written out has to fit.
    written = set(re.findall(r"[\"']([\w.]+)", code)) | set(re.findall(r"f\"([\w.]+)\{", code))
    for key in catalogue():
        stems = {key, key.split(".")[0], key.rsplit(".", 1)[0] + "."}
        stems |= {key[: i + 1] for i, mark in enumerate(key) if mark in "._"}
        assert stems & written, key


def test_every_measure_has_a_chinese_title_and_definition() -> None:
    names = [row.name for row in MEASURES]
    assert list(chinese_definitions()) == names
    assert {f"measure.{name}" for name in names} <= set(catalogue())
    for text in chinese_definitions().values():
        assert re.search("[\u4e00-\u9fff]", text)
        assert not text.endswith(("。", "."))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "£0"), (7.4, "£7"), (999.6, "£1.00 k"), (12_345, "£12.3 k"), (456_789, "£457 k"),
     (1_234_567, "£1.23 M"), (5e9, "£5.00 bn"), (-2500, "\u2212£2.50 k")],
)  # fmt: skip
def test_money_is_short_and_never_wrong_by_a_thousand(value: float, text: str) -> None:
    assert Words("en", "£").short_money(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"), [(9_940, "9,940"), (12_345, "1.23 万"), (2.5e8, "2.50 亿")]
)
def test_chinese_counts_in_ten_thousands(value: float, text: str) -> None:
    assert Words("zh").short(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.256, "share", "26%"), (0.0512, "share", "5.1%"), (0.0, "share", "0.0%"),
     (31.6, "points", "32"),
     (-4, "points", "\u22124"), (2.345, "ratio", "2.35"), (0.0001, "p_value", "< 0.001"),
     (3.21, "months", "3.2 months"), (12.4, "hours", "12.4 h"), (2_500_000, "count", "2.50 M"),
     (1234, "count", "1,234"), (float("nan"), "share", "\u2013")],
)  # fmt: skip
def test_a_measure_is_written_by_its_unit(value: float, unit: str, text: str) -> None:
    assert Words("en").unit(value, unit).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("now", "before", "unit", "text"),
    [(110, 100, "money", "+10%"), (90, 100, "count", "\u221210%"), (0.5, 0.45, "share", "+5.0 pp"),
     (20, 35, "points", "\u221215"), (100, 100, "count", "0%"), (1, 0, "count", "\u2013")],
)  # fmt: skip
def test_changes_bear_their_sign(now: float, before: float, unit: str, text: str) -> None:
    assert Words("en").change(now, before, unit).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("label", "en", "zh"),
    [("2024-05", "May 2024", "2024年5月"), ("2024-Q1", "Q1 2024", "2024年第1季度"),
     ("2024", "2024", "2024"), ("all", "All time", "全部时间")],
)  # fmt: skip
def test_periods_have_names(label: str, en: str, zh: str) -> None:
    assert Words("en").period(label) == en
    assert Words("zh").period(label) == zh
