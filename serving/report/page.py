"""From the material to the page: the sections in their order, the charts, the policy, the HTML."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from serving.report.blocks import Block, Figure, Section, Table
from serving.report.drawing import (
    AUTOSIZE,
    CONFIG,
    HEIGHT,
    library,
    picture,
    script_safe,
    without_gaps,
)
from serving.report.material import Material, Options
from serving.report.sections.acquisition import acquisition
from serving.report.sections.actions import actions
from serving.report.sections.campaigns import campaigns
from serving.report.sections.churn import churn
from serving.report.sections.clv import clv
from serving.report.sections.cohorts import cohorts
from serving.report.sections.data import data
from serving.report.sections.definitions import definitions
from serving.report.sections.engagement import engagement
from serving.report.sections.headlines import findings, headlines
from serving.report.sections.loyalty import loyalty
from serving.report.sections.monitoring import monitoring
from serving.report.sections.portfolio import portfolio
from serving.report.sections.value_risk import value_risk
from serving.report.sections.voice import voice
from serving.report.story import Story
from serving.report.words import Words

__all__ = ["SECTIONS", "render"]

SECTIONS: tuple[Callable[[Story], Section], ...] = (
    headlines, portfolio, cohorts, value_risk, churn, clv, voice, acquisition, engagement,
    loyalty, campaigns, actions, monitoring, data, definitions,
)  # fmt: skip
"""The sections, in the order of the page."""

_FILES = ("page.html.j2", "blocks.html.j2", "page.css", "page.js")


def render(material: Material, options: Options | None = None) -> str:
    """Return the report as one HTML page.

    The page loads nothing: style, scripts and charts are within it, and its own policy forbids
    the rest. Charts stand in it as drawings, too, so it can be read where no script runs.

    Args:
        material: What to tell of.
        options: Title, language and the like.

    Returns:
        The page, the same bytes for the same input.
    """
    options = options or Options()
    words = Words(options.language, options.currency)
    story = Story(material, options, words)
    sections = [_filled(section(story)) for section in SECTIONS]
    figures = [b for section in sections for b in section.blocks if isinstance(b, Figure)]
    specs = {f.key: without_gaps(f.spec) for f in figures}
    source = {name: _read(name) for name in _FILES}
    environment = Environment(
        loader=DictLoader(source), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    script = source["page.js"]
    charts = {
        "config": CONFIG,
        "autosize": AUTOSIZE,
        "charts": {key: {"height": HEIGHT, **spec} for key, spec in specs.items()},
    }
    return environment.get_template("page.html.j2").render(
        w=words,
        title=options.title or words.t("page.title"),
        as_of=words.date(material.as_of),
        findings=findings(story),
        sections=sections,
        customers=options.customers,
        pictures={f.key: Markup(picture(f.key, specs[f.key], wide=f.wide)) for f in figures},  # noqa: S704
        style=Markup(source["page.css"]),  # noqa: S704  (our own files)
        library=Markup(library()),  # noqa: S704
        script=Markup(script),  # noqa: S704
        charts=Markup(script_safe(charts)),  # noqa: S704
        hashes=[_digest(library()), _digest(script)],
    )


def _filled(section: Section) -> Section:
    """The section with no half of a row left empty: what stands alone takes it whole."""
    blocks: list[Block] = []
    alone = False
    for block in section.blocks:
        if block.wide and alone:
            blocks[-1] = _widened(blocks[-1])
        alone = not block.wide and not alone
        blocks.append(block)
    if alone:
        blocks[-1] = _widened(blocks[-1])
    return replace(section, blocks=blocks)


def _widened(block: Block) -> Block:
    return replace(block, wide=True) if isinstance(block, Figure | Table) else block


def _read(name: str) -> str:
    return resources.files("serving.report").joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """The hash by which the page's policy knows one of its scripts."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
