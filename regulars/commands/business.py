"""To follow the business: its measures as one table, and the page people look at."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal

import click

from .. import console
from ..options import DATE, FILE, LANGUAGES, config_option, json_option, output_option
from ..show.measures import show_measures, summarise_measures

__all__ = ["measures", "report"]


@click.command()
@config_option
@output_option
@click.option(
    "--by", type=click.Choice(["month", "quarter", "year"]), default="month", show_default=True
)
@click.option(
    "--segment",
    "segments",
    multiple=True,
    metavar="COLUMN",
    help="Also by this attribute of customers, or by cohort; may be repeated.",
)
@click.option("--no-models", is_flag=True, help="Leave out what the registered models tell.")
@json_option
def measures(
    config_path: Path,
    output: Path,
    by: Literal["month", "quarter", "year"],
    segments: tuple[str, ...],
    no_models: bool,
    as_json: bool,
) -> None:
    """Write the measures of the business, by period and segment, as one long table.

    Repeat purchases, retention and churn, lifetime value, acquisition cost, loyalty, what customers
    say, and more: docs/measures.md defines each. What a missing table makes impossible is said.
    """
    from serving.batch import check_output, write_list

    from ..config import load_config
    from ..jobs import open_configured_ledger
    from ..measures import measure_business
    from ..outputs import check_not_source

    check_output(output)
    config = load_config(config_path)
    check_not_source(config, output)
    ledger = open_configured_ledger(config)
    found = measure_business(config, ledger, by=by, segments=segments, models=not no_models)
    write_list(found.frame, output)
    if as_json:
        written = {"output": str(output), "rows": len(found.frame)}
        console.show_json({**written, **summarise_measures(found)})
        return
    show_measures(found)
    console.say(f"Wrote {len(found.frame):,} figures to {output}.")


@click.command()
@config_option
@click.option("-o", "--output", type=FILE, required=True, help="An .html file.")
@click.option("--cutoff", type=DATE, help="Score as of this day. Default: the day after the last.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--title", help="Heading of the page.")
@click.option("--currency", default="", help='Put before every amount, such as "£".')
@click.option(
    "--top",
    type=click.IntRange(0, 1000),
    default=25,
    show_default=True,
    help="Customers on the list to act on.",
)
@click.option("--hide-ids", is_flag=True, help="Show a number in place of each customer's id.")
def report(
    config_path: Path,
    output: Path,
    cutoff: dt.datetime | None,
    language: Literal["en", "zh"],
    title: str | None,
    currency: str,
    top: int,
    hide_ids: bool,
) -> None:
    """Write the page people look at: one self-contained HTML file that opens offline."""
    from serving.batch import check_output, write_text
    from serving.report import Options

    from ..config import load_config
    from ..jobs import open_configured_ledger, score_customers
    from ..monitor import asked_today
    from ..outputs import check_not_source
    from ..report import render_report

    check_output(output, text=True)
    config = load_config(config_path)
    check_not_source(config, output)
    ledger = open_configured_ledger(config)
    day = cutoff.date() if cutoff else None
    scores = score_customers(config, ledger, day, None, language=language)
    options = Options(title, language, currency, top, hide_ids)
    page = render_report(config, ledger, scores, options, today=asked_today(config, day))
    write_text(page, output)
    console.say(f"Wrote {output}.")
