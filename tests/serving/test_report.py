"""The report: one page that needs nothing else, says the right numbers and runs nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from serving.registry import RegisteredModel
from serving.report import _scale, _Words, render
from serving.scorer import score

Models = tuple[RegisteredModel, RegisteredModel]

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "</title><svg/onload=alert(1)>",
    "\u202ereversed",
]


class Page(HTMLParser):
    """Collects what a page is made of, and checks that every element is closed in order."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "input"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len({name for name, _ in attrs}) == len(attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def scored(ledger: Ledger, registered: Models) -> pd.DataFrame:
    """The scored list of the test shop, with strangers in it."""
    ids = sorted(set(ledger.transactions.to_pyarrow()["customer_id"].to_pylist()))
    return score(ledger, None, *registered, ids=[*ids, "nobody"])


@pytest.fixture(scope="module")
def html(ledger: Ledger, scored: pd.DataFrame, registered: Models) -> str:
    """The page."""
    return render(ledger, scored, registered, currency="£")


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(html: str) -> None:
    page = Page(html)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "form"}
    for _, attributes in page.tags:
        assert not {"src", "href"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "http" not in html.replace("http-equiv", "")
    assert "url(" not in html
    assert len(html) < 300_000


def test_a_policy_in_the_page_forbids_scripts(html: str) -> None:
    policy = [a for tag, a in Page(html).tags if tag == "meta" and "http-equiv" in a]
    assert policy[0]["http-equiv"] == "Content-Security-Policy"
    assert "default-src 'none'" in str(policy[0]["content"])


def test_the_headlines_add_up(html: str, scored: pd.DataFrame) -> None:
    text = Page(html).text
    known = scored[scored["status"] == "scored"]
    leaving = known["churn_probability"].sum()
    assert f"{len(known):,}" in text
    assert f"{leaving:,.0f} customers with no purchase in 90 days" in text
    at_risk = known["clv"] * known["churn_probability"]
    for money in (known["clv"].sum(), at_risk.sum()):
        assert _Words("£").short_money(money).replace("\u00a0", " ") in text
    top = np.sort(known["clv"])[::-1][: -(-len(known) // 10)].sum() / known["clv"].sum()
    assert f"hold {top * 100:.0f} % of the value" in text


def test_the_list_to_act_on_is_by_value_at_risk(
    ledger: Ledger, scored: pd.DataFrame, registered: Models
) -> None:
    html = render(ledger, scored, registered, top_n=5)
    shown = re.findall(r'<bdi class="id">([^<]+)</bdi>', html)
    known = scored[scored["risk_tier"].isin(["medium", "high"])]
    risk = (known["clv"] * known["churn_probability"]).sort_values(ascending=False)
    assert shown == list(known.loc[risk.index[:5], "customer_id"])
    assert known.loc[risk.index[0], "reason_1"] in Page(html).text


def test_months_and_data_quality_are_those_of_the_ledger(html: str, ledger: Ledger) -> None:
    text = Page(html).text
    rows = ledger.transactions.to_pyarrow().to_pandas()
    june = rows[rows["timestamp"].dt.to_period("M") == "2024-06"]
    assert f"Jun 2024 £{float(june['amount'].sum()):,.0f}" in text
    buyers = june.loc[june["amount"] > 0, "customer_id"].nunique()
    assert f"Jun 2024 {buyers:,}" in text
    assert f"transactions {len(rows):,} {len(rows):,} 0" in text
    assert "1 in no table" in text
    assert "1 known, but no purchase yet" in text


def test_models_are_named_with_their_measures(html: str) -> None:
    text = Page(html).text
    assert "regulars-churn/1" in text
    assert "regulars-clv/1" in text
    assert "0.750" in text
    assert "\u22125.0 %" in text


def test_every_chart_and_table_can_be_read_without_seeing_it(html: str) -> None:
    page = Page(html)
    charts = [a for tag, a in page.tags if tag == "svg" and a.get("role") == "img"]
    assert len(charts) == 4
    assert all(len(str(chart["aria-label"])) > 30 for chart in charts)
    hidden = [a for tag, a in page.tags if tag == "svg" and a.get("role") != "img"]
    assert all(a.get("aria-hidden") == "true" for a in hidden)
    heads = [a for tag, a in page.tags if tag == "th"]
    assert all(a.get("scope") in ("row", "col") for a in heads)
    assert html.count("<figcaption>") == html.count("<figure")
    labels = {a["aria-labelledby"] for tag, a in page.tags if a.get("aria-labelledby")}
    assert labels <= {a.get("id") for _, a in page.tags}


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_stands_in_the_data_is_only_text(
    ledger: Ledger, scored: pd.DataFrame, registered: Models, text: str
) -> None:
    bad = scored.copy()
    bad["customer_id"] = [f"{text}{i}" for i in range(len(bad))]
    for column in ("reason_1", "reason_2"):
        bad.loc[bad["status"] == "scored", column] = text
    html = render(ledger, bad, registered, title=text, currency=text[:3])
    page = Page(html)
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, a in page.tags for name in a)
    assert text in "".join(page.words)


def test_nobody_scored_still_gives_a_page(
    ledger: Ledger, scored: pd.DataFrame, registered: Models
) -> None:
    html = render(ledger, scored[scored["status"] != "scored"], registered)
    assert "No customer could be scored." in Page(html).text


def test_a_model_without_measures_says_so(
    ledger: Ledger, scored: pd.DataFrame, registered: Models
) -> None:
    churn, clv = registered
    html = render(ledger, scored, (replace(churn, metrics={}, created=None), clv))
    assert "No evaluation is stored with this version." in Page(html).text


def test_the_same_input_gives_the_same_bytes_and_is_not_written_to(
    ledger: Ledger, scored: pd.DataFrame, registered: Models, html: str
) -> None:
    before = scored.copy(deep=True)
    assert render(ledger, scored, registered, currency="£") == html
    pd.testing.assert_frame_equal(scored, before)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "£0"), (7.4, "£7"), (999.6, "£1.00 k"), (12_345, "£12.3 k"), (456_789, "£457 k"),
     (1_234_567, "£1.23 M"), (5e9, "£5.00 bn"), (-2500, "\u2212£2.50 k")],
)  # fmt: skip
def test_money_is_short_and_never_wrong_by_a_thousand(value: float, text: str) -> None:
    assert _Words("£").short_money(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.004, "0.00"), (9.99, "9.99"), (9.999, "10"), (1234.5, "1,234")]
)
def test_only_small_amounts_have_decimals(value: float, text: str) -> None:
    assert _Words("").money(value) == text


@pytest.mark.parametrize("highest", [0.003, 0.5, 1, 7, 10, 99, 1234, 5.5e8])
def test_an_axis_holds_its_highest_value_and_little_more(highest: float) -> None:
    top, ticks = _scale(highest, str)
    assert highest <= top * (1 + 1e-9) <= 2 * highest
    assert 2 <= len(ticks) <= 6
    assert [at for at, _ in ticks] == sorted((at for at, _ in ticks), reverse=True)
    assert (ticks[0][0], ticks[-1][0]) == (100, 0)
