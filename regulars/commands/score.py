"""To know each customer: a row for every one, with predictions or with segments."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from .. import console
from ..options import (
    DATE,
    FILE,
    LANGUAGES,
    config_option,
    json_option,
    output_option,
    table_options,
)
from ..show.scores import (
    ScoredSummary,
    show_scored,
    show_scored_table,
    summarise_scored_table,
)
from ..show.segments import show_segments, summarise_segmented

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from ..config import Config
    from ..tables import TableOptions

__all__ = ["score", "segments"]

_MEMORY = "4GB"  # of the engine, where the configuration does not say


@click.command()
@click.argument("list_path", metavar="[LIST]", type=FILE, required=False)
@config_option
@click.option("-o", "--output", type=FILE, help="A .parquet or .csv file.")
@click.option(
    "--to",
    metavar="ADDRESS",
    help="A table of a database: postgresql://HOST/DATABASE?table=SCHEMA.TABLE or "
    "duckdb:///FILE?table=SCHEMA.TABLE.",
)
@click.option("--cutoff", type=DATE, help="Score as of this day. Default: the day after the last.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", help="Of the reasons.")
@table_options(training=False)
@json_option
def score(
    list_path: Path | None,
    config_path: Path,
    output: Path | None,
    to: str | None,
    cutoff: dt.datetime | None,
    language: str,
    table: Path | None,
    id: str | None,  # noqa: A002
    name: str | None,
    decimal: Literal[".", ","] | None,
    as_json: bool,
) -> None:
    """Score the customers in LIST, a file with a customer_id column (default: everyone).

    The list goes to a file (-o), to a table of a database (--to; docs/databases.md), or to both.
    With --table FILE the customers of a table are scored by the model that was trained on one.
    """
    from features.progress import task
    from serving.batch import check_output, writing_list
    from serving.database import check_target, parse_target, writing_scores
    from serving.id_list import read_list
    from serving.parts import folder_of

    from ..config import load_config
    from ..jobs import open_configured_ledger, scoring_customers
    from ..outputs import check_not_source
    from ..records import recorded
    from ..tables import TableOptions, check_only_with_table, table_config

    if output is None and to is None:
        raise click.UsageError("Say where the list goes: -o FILE, --to ADDRESS, or both.")
    if output is not None:
        check_output(output)
    ids = None if list_path is None else read_list(list_path)
    if table is not None:
        if cutoff is not None:
            raise click.UsageError("A table holds one moment only: leave out --cutoff.")
        options = TableOptions(table, id, decimal, name, language=language)
        _score_table(table_config(config_path), options, ids, output, to, as_json)
        return
    check_only_with_table(id=id, name=name, decimal=decimal)
    target = None if to is None else parse_target(to)
    if target is not None:
        check_target(target)
    config = load_config(config_path)
    check_not_source(config, output)
    ledger = open_configured_ledger(config, memory=_MEMORY)
    day = cutoff.date() if cutoff else None
    written = {} if output is None else {"output": str(output)}
    written |= {} if target is None else {"to": target.shown}
    # Where finished blocks wait until the list stands.
    work = folder_of(config.base / "scores" if output is None else output)
    summary = ScoredSummary()
    with (
        scoring_customers(config, ledger, day, ids, language=language, work=work) as found,
        recorded(
            config,
            ledger,
            found.blocks.as_of,
            found.churn,
            found.clv,
            found.decision,
            whole=found.blocks.whole,
        ) as record,
        ExitStack() as outputs,
        task("Writing", total=found.blocks.customers) as progress,
    ):
        takers: list[Callable[[pd.DataFrame], None]] = [summary.add]
        if output is not None:
            takers.append(outputs.enter_context(writing_list(output)))
        if target is not None:
            takers.append(outputs.enter_context(writing_scores(target)))
        for scored, plan in found.blocks:
            for take in takers:
                take(scored)
            record(scored, plan)
            progress.advance(len(scored))
    if as_json:
        console.show_json({**written, **summary.said})
        return
    show_scored(summary)
    places = " and ".join(written.values())
    console.say(f"Wrote {summary.customers:,} customers to {places}.")


def _score_table(
    config: Config,
    options: TableOptions,
    ids: list[str] | None,
    output: Path | None,
    to: str | None,
    as_json: bool,
) -> None:
    from serving.batch import write_list
    from serving.database import check_target, parse_target, write_scores
    from serving.table import TABLE_COLUMNS, TABLE_KEY

    from ..tables import score_customer_table

    target = None if to is None else parse_target(to, TABLE_COLUMNS, TABLE_KEY)
    if target is not None:
        check_target(target)
    scored = score_customer_table(config, options, ids)
    written = {}
    if output is not None:
        write_list(scored, output)
        written["output"] = str(output)
    if target is not None:
        write_scores(scored, target)
        written["to"] = target.shown
    if as_json:
        console.show_json({**written, **summarise_scored_table(scored)})
        return
    show_scored_table(scored)
    console.say(f"Wrote {len(scored):,} customers to {' and '.join(written.values())}.")


@click.command()
@config_option
@output_option
@click.option("--cutoff", type=DATE, help="As of this day. Default: the day after the last.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", help="Of the clusters.")
@json_option
def segments(
    config_path: Path, output: Path, cutoff: dt.datetime | None, language: str, as_json: bool
) -> None:
    """Write the segments of every customer: RFM, value and risk, cluster, next category.

    Cut points are those of `regulars train segments`, so that a customer changes segment because of
    itself. docs/segments.md defines each segment and says what to do with it.
    """
    from serving.batch import check_output, write_list

    from ..config import load_config
    from ..jobs import open_configured_ledger, score_customers
    from ..outputs import check_not_source
    from ..segments import segment_scores

    check_output(output)
    config = load_config(config_path)
    check_not_source(config, output)
    ledger = open_configured_ledger(config)
    scores = score_customers(config, ledger, cutoff.date() if cutoff else None, None)
    found = segment_scores(config, ledger, scores.frame, language=language)
    write_list(found.frame, output)
    if as_json:
        console.show_json({"output": str(output), **summarise_segmented(found, scores.frame)})
        return
    show_segments(found, scores.frame)
    console.say(f"Wrote {len(found.frame):,} customers to {output}.")
