"""The report: one page that needs nothing else, says the right numbers and runs only its own."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import html5lib
import pandas as pd
import pytest

from features.breaks import KINDS
from features.catalogue import CATALOGUE
from features.measures import Missing
from features.measures.table import no_rows
from serving import monitor as monitor_module
from serving.advice import ACTIONS, Case, advise
from serving.findings import AREAS
from serving.monitor import Lack
from serving.registry import CHURN
from serving.report import Material, Options, render
from serving.report import page as page_module
from serving.report.sections.portfolio import decile_shares
from serving.report.words import Words
from serving.standing import InUse

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "<!--<script>",
    "</title><svg/onload=alert(1)>",
    "\u202ereversed \u2028 line",
]


@pytest.fixture(scope="module")
def html(material: Material) -> str:
    """The page in English."""
    return render(material, Options(currency="£"))


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """No drawings and no library, for tests of other things: both take their time."""
    monkeypatch.setattr(page_module, "picture", lambda key, spec, wide: "<svg></svg>")
    monkeypatch.setattr(page_module, "library", lambda: "window.vegaEmbed = null;")


def tree(page: str) -> Any:
    """The page as a browser reads it; strict: an error of syntax raises."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


def text(page: str) -> str:
    """What stands on the page to read."""
    return re.sub(r"\s+", " ", " ".join(_words(tree(page).find("body"))))


def _words(element: Any) -> list[str]:
    own = [] if element.tag in ("script", "style") or callable(element.tag) else [element.text]
    inside = [word for child in element for word in (*_words(child), child.tail)]
    return [word for word in (*own, *inside) if word]


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_valid_and_needs_nothing_from_elsewhere(
    material: Material, language: str
) -> None:
    page = render(material, Options(language=language))  # type: ignore[arg-type]
    root = tree(page)
    assert not [e for e in root.iter() if e.tag in ("link", "img", "iframe", "object", "form")]
    for element in root.iter():
        assert "src" not in element.attrib
        assert str(element.get("href", "#")).startswith("#")
        assert not [name for name in element.attrib if str(name).startswith("on")]
    assert root.get("lang") == {"en": "en", "zh": "zh-Hans"}[language]
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    targets = {str(e.get("href"))[1:] for e in root.iter() if e.get("href")}
    labels = {e.get("aria-labelledby") for e in root.iter() if e.get("aria-labelledby")}
    assert targets | labels <= set(ids)


def test_a_policy_allows_the_pages_own_scripts_and_no_others(html: str) -> None:
    root = tree(html)
    [policy] = [e.get("content") for e in root.iter("meta") if e.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    scripts = [e.text for e in root.iter("script") if e.get("type") != "application/json"]
    said = re.findall(r"'sha256-([^']+)'", policy)
    made = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert said == made
    assert len(said) == 2


def test_headings_go_down_one_level_at_a_time_and_every_section_has_content(html: str) -> None:
    root = tree(html)
    levels = [int(e.tag[1]) for e in root.iter() if e.tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    sections = list(root.iter("section"))
    assert len(sections) == 15
    missing = [e for e in root.iter("div") if e.get("class") == "missing"]
    assert [e.findtext("ul/li") for e in missing] == []
    for section in sections:
        assert section.findall("div/*")


def test_every_chart_has_a_finding_a_description_a_drawing_and_its_numbers(html: str) -> None:
    root = tree(html)
    specs = json.loads(next(e.text for e in root.iter("script") if e.get("type")))["charts"]
    figures = list(root.iter("figure"))
    assert len(figures) == len(specs) == 35
    for figure in figures:
        plot = next(e for e in figure.iter("div") if e.get("data-chart"))
        assert plot.get("role") == "img"
        assert len(plot.get("aria-label")) > 20
        assert plot.find("{*}svg") is not None or plot.find("svg") is not None
        assert figure.find("figcaption/h3").text
        assert len(list(figure.iter("tr"))) > 1
        assert plot.get("data-chart") in specs
    assert all(e.get("scope") in ("row", "col") for e in root.iter("th"))


def test_the_headlines_add_up(html: str, material: Material) -> None:
    said, known, words = text(html), material.known, Words("en", "£")
    leaving = known["churn_probability"].sum()
    assert f"{leaving:,.0f} of {len(known):,} customers" in said
    at_risk = (known["clv"] * known["churn_probability"]).sum()
    for money in (known["clv"].sum(), at_risk):
        assert words.short_money(money).replace("\u00a0", " ") in said
    top = decile_shares(known["clv"].to_numpy())[0]
    assert f"hold {top * 100:.0f}% of the value" in said
    revenue = material.measures.query("measure == 'revenue' and period == '2024-06'")["value"]
    before = material.measures.query("measure == 'revenue' and period == '2023-06'")["value"]
    change = revenue.iloc[0] / before.iloc[0] - 1
    assert f"{change * 100:.0f}% more than a year before" in said


def test_the_list_to_act_on_is_that_of_the_plan(html: str, material: Material) -> None:
    shown = re.findall(r'<bdi class="id">([^<]+)</bdi>', html)
    assert material.plan is not None
    sent = material.plan[material.plan["arm"] == "treatment"].sort_values("rank")
    assert shown == list(sent["customer_id"].head(25))
    assert len(shown) > 5


@pytest.mark.usefixtures("light")
def test_without_a_plan_the_list_is_by_value_at_risk(material: Material) -> None:
    html = render(replace(material, plan=None, summary=None), Options(top_n=5))
    shown = re.findall(r'<bdi class="id">([^<]+)</bdi>', html)
    known = material.known[material.known["risk_tier"] != "low"]
    risk = (known["clv"] * known["churn_probability"]).sort_values(ascending=False)
    assert shown == list(known.loc[risk.index[:5], "customer_id"])
    assert "there is no plan" in text(html)


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("options", [Options(hide_ids=True), Options(customers=False)])
def test_ids_can_be_hidden(material: Material, options: Options) -> None:
    html = render(material, options)
    assert not re.search(r"C0000\d{3}", html)
    assert ("Customer 1" in html) == options.customers
    assert ("Last purchase 90 days ago" in html) == options.customers


@pytest.mark.usefixtures("light")
def test_whatever_stands_in_the_data_is_only_text(material: Material) -> None:
    scored = material.scored.copy()
    scored["customer_id"] = [f"{HOSTILE[i % len(HOSTILE)]}{i}" for i in range(len(scored))]
    scored.loc[scored["status"] == "scored", "reason_1"] = "".join(HOSTILE)
    measures = material.measures.copy()
    channels = [f"channel={text}" for text in HOSTILE]
    ratio = measures.query("measure == 'ltv_to_cac'").iloc[:1]
    rows = pd.concat([ratio.assign(segment=channel) for channel in channels])
    bad = replace(material, scored=scored, measures=pd.concat([measures, rows]))
    html = render(bad, Options(title="".join(HOSTILE), currency=HOSTILE[1]))
    root = tree(html)
    assert len(list(root.iter("script"))) == 3
    assert not list(root.iter("img"))
    assert not [name for e in root.iter() for name in e.attrib if str(name).startswith("on")]
    data = json.loads(next(e.text for e in root.iter("script") if e.get("type")))
    names = {row["x"] for row in data["charts"]["ltv_to_cac"]["data"]["values"]}
    said = text(html)
    for hostile in HOSTILE:
        assert hostile in names
        assert re.sub(r"\s+", " ", hostile) in said


@pytest.mark.usefixtures("light")
def test_what_is_missing_is_said_with_what_would_fill_it(material: Material) -> None:
    missing = (Missing(("nps",), "There is no table of surveys."),)
    bare = replace(
        material, measures=no_rows(), missing=missing, evaluation={}, plan=None, summary=None,
        segments=None, quality={"transactions": {"read": 5, "accepted": 5}},
    )  # fmt: skip
    for language, sentences in {
        "en": ("needs the table surveys", "needs the table acquisition", "has no evaluation",
               "regulars train segments", "members, points, and the effect"),
        "zh": ("需要数据表 surveys", "需要数据表 acquisition", "没有评估表", "尚未学习分群"),
    }.items():  # fmt: skip
        said = text(render(bare, Options(language=language)))  # type: ignore[arg-type]
        for sentence in sentences:
            assert sentence in said


@pytest.mark.usefixtures("light")
def test_nobody_scored_still_gives_a_page(material: Material) -> None:
    nobody = material.scored[material.scored["status"] != "scored"]
    html = render(replace(material, scored=nobody, plan=None, summary=None))
    assert "The list is empty" in text(html)


def test_the_same_input_gives_the_same_bytes_and_is_not_written_to(
    html: str, material: Material
) -> None:
    scored, measures = material.scored.copy(deep=True), material.measures.copy(deep=True)
    assert render(material, Options(currency="£")) == html
    pd.testing.assert_frame_equal(material.scored, scored)
    pd.testing.assert_frame_equal(material.measures, measures)


@pytest.mark.usefixtures("light")
def test_a_model_without_a_run_says_so(material: Material) -> None:
    gone = {name: tables for name, tables in material.evaluation.items() if name != CHURN}
    said = text(render(replace(material, evaluation=gone)))
    assert "the run of regulars-churn/1 has no evaluation tables" in said


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_monitoring_is_told_in_both_languages_and_its_absence_in_a_sentence(
    material: Material, language: str
) -> None:
    options = Options(language=language)  # type: ignore[arg-type]
    said = Words(language)  # type: ignore[arg-type]
    assert material.monitoring is not None
    told = text(render(material, options))
    assert said.t("monitor.do_look_first") in told
    assert said.t("monitor.drift_moved", n=1, of=3) in told
    assert said.t("monitor.cohort_title", n=3, of=3) in told
    # Sentences are in English, so the other language has its own.
    assert ("Nothing was sold on 3 open days." in told) == (language == "en")
    nothing = text(render(replace(material, monitoring=None), options))
    assert said.t("monitor.not_watched") in nothing
    calm = replace(material.monitoring, findings=material.monitoring.findings[2:], drift={},
                   lookback=None, lacks=(Lack("none_closed", "x", day=None),))  # fmt: skip
    assert said.t("monitor.calm", of=1) in text(render(replace(material, monitoring=calm), options))


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_level_that_was_off_is_said_with_its_interval(material: Material, language: str) -> None:
    options = Options(language=language)  # type: ignore[arg-type]
    said = Words(language)  # type: ignore[arg-type]
    told = {}
    for least in (0.08, -0.01):
        ends = pd.DataFrame(
            {"measure": ["churn/mean_p_minus_rate"], "value": 0.11, "low": least, "high": 0.14}
        )
        tables = {**material.evaluation, CHURN: {"intervals": ends}}
        told[least] = text(render(replace(material, evaluation=tables), options))
    lead = said.t("churn.lead")
    low, high, gap = (said.signed(each, "share") for each in (0.08, 0.14, 0.11))
    between = said.t("range", low=low, high=high)
    sentence = said.t("churn.lead_off", lead=lead, gap=gap, between=between)
    sentence = " ".join(sentence.split())
    assert (sentence in told[0.08], sentence in told[-0.01]) == (True, False)
    assert lead in told[-0.01]


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_advice_says_why_a_person_chose_the_version_in_use(
    material: Material, language: str
) -> None:
    assert material.monitoring is not None
    chosen = InUse(dt.date(2024, 5, 2), "rollback", "totals too high")
    advice = advise(Case(CHURN, f"{CHURN}/1", unseen_days=40, in_use=chosen), dt.date(2024, 7, 1))
    found = replace(material.monitoring, advice=(advice,))
    told = text(render(replace(material, monitoring=found), Options(language=language)))  # type: ignore[arg-type]
    assert "totals too high" in told


def test_every_code_of_advice_and_lack_has_its_words() -> None:
    sources = Path(monitor_module.__file__).parent
    code = (sources / "advice.py").read_text() + (sources / "monitor.py").read_text()
    lacks = set(re.findall(r"Lack\(\s*\"(\w+)\"", code))
    assert len(lacks) == 6
    words = Words("en")
    assert all(words.has(f"monitor.lacks_{lack}") for lack in lacks)
    assert all(words.has(f"monitor.do_{action}") for action in ACTIONS)
    assert all(words.has(f"monitor.area_{area}") for area in AREAS)
    assert all(words.has(f"monitor.see_{area}") for area in AREAS)
    assert all(words.has(f"monitor_measure.{kind}") for kind in KINDS)
    assert all(words.has(f"monitor_group.{row.reason_group}") for row in CATALOGUE)
    codes = set(re.findall(r'"(no_model|broken|stopped|level|errs|changed|month|fresh)"', code))
    assert len(codes) == 8
    assert all(words.has(f"monitor.because_{one}") for one in codes)
