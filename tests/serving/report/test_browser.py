"""The report in a real browser: it runs without an error, draws, sorts, turns dark and prints."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serving.report import Material, Options, render

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium as the machine has it; nothing is downloaded."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    named = os.environ.get("REGULARS_BROWSER")
    path = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)}, nor REGULARS_BROWSER")
    with driver.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        launched = playwright.chromium.launch(executable_path=path, args=options)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def pages(material: Material, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of the page in both languages; one id is a trap."""
    scored = material.scored.copy()
    scored.loc[0, "customer_id"] = "</script><script>document.title = 'run'</script>"
    trapped = replace(material, scored=scored, plan=None)
    folder = tmp_path_factory.mktemp("report")
    found = {}
    for language in ("en", "zh"):
        path: Path = folder / f"{language}.html"
        options = Options(language=language, top_n=300)  # type: ignore[arg-type]
        path.write_text(render(trapped, options), encoding="utf-8")
        found[language] = path.as_uri()
    return found


def opened(browser: Browser, address: str, said: list[str], **options: object) -> Page:
    """The page once its charts are drawn; what the console says is added to `said`."""
    page = browser.new_page(**options)  # type: ignore[arg-type]
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda r: said.append(r.url) if not r.url.startswith("file:") else None)
    page.goto(address)
    page.wait_for_selector("html[data-ready]", timeout=30_000, state="attached")
    return page


def test_it_draws_every_chart_on_every_screen_in_both_languages(
    browser: Browser, pages: dict[str, str]
) -> None:
    said: list[str] = []
    for language, width, scheme in (("en", 1280, "light"), ("zh", 360, "dark")):
        viewport = {"width": width, "height": 800}
        page = opened(browser, pages[language], said, viewport=viewport, color_scheme=scheme)
        assert page.title() != "run"
        drawn = page.evaluate(
            """() => [...document.querySelectorAll("[data-chart]")].map((chart) => ({
                live: "live" in chart.dataset, drawings: chart.querySelectorAll("svg").length,
                marks: chart.querySelectorAll(".role-mark path").length,
                width: chart.querySelector("svg").getBoundingClientRect().width}))"""
        )
        assert len(drawn) == 35
        assert all(chart["live"] and chart["drawings"] == 1 for chart in drawn)
        assert all(chart["marks"] > 0 and 200 < chart["width"] <= width for chart in drawn)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.close()
    assert said == []


def test_tables_sort_by_their_headings_with_the_keyboard_too(
    browser: Browser, pages: dict[str, str]
) -> None:
    said: list[str] = []
    page = opened(browser, pages["en"], said, viewport={"width": 1280, "height": 800})
    heading = page.locator("table.people th", has_text="Lifetime value")
    cells = (
        "[...document.querySelectorAll('table.people td:nth-child(3)')].map((c) => +c.dataset.v)"
    )
    for direction, sign in (("descending", -1), ("ascending", 1)):
        heading.locator("button").focus()
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == direction
        values = page.evaluate(cells)
        assert len(values) > 10
        assert values == sorted(values, key=lambda value: sign * value)
    assert page.locator("table.people th[aria-sort]").count() == 1
    page.close()
    assert said == []


def test_it_turns_dark_and_light_and_shows_what_is_pointed_at(
    browser: Browser, pages: dict[str, str]
) -> None:
    said: list[str] = []
    page = opened(browser, pages["en"], said, viewport={"width": 1280, "height": 800})
    paper = "getComputedStyle(document.body).backgroundColor"
    bar = "getComputedStyle(document.querySelector('#figure-value .role-mark path')).fill"
    light = page.evaluate(paper), page.evaluate(bar)
    page.locator(".theme").click()
    dark = page.evaluate(paper), page.evaluate(bar)
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    page.locator(".theme").click()
    assert (page.evaluate(paper), page.evaluate(bar)) == light
    page.locator("#figure-value .role-mark path").first.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "most valuable" in page.locator("#vg-tooltip-element").inner_text()
    page.close()
    assert said == []


def test_without_script_it_can_be_read_and_it_prints(
    browser: Browser, pages: dict[str, str]
) -> None:
    page = browser.new_page(java_script_enabled=False, color_scheme="dark")
    page.goto(pages["en"])
    assert page.locator("[data-chart] > svg").count() == 35
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert 5 < pdf.count(b"/Type /Page\n") < 60
    page.close()
