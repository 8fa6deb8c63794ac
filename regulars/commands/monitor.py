"""To know whether the data and the models can still be trusted."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from .. import console
from ..options import DATE, FILE, config_option, json_option
from ..show.monitor import show_monitoring, summarise_monitoring

__all__ = ["monitor"]


@click.command()
@config_option
@click.option("-o", "--output", type=FILE, help="All findings as a .parquet or .csv file.")
@click.option("--cutoff", type=DATE, help="Look as of this day. Default: the day after the last.")
@json_option
def monitor(
    config_path: Path, output: Path | None, cutoff: dt.datetime | None, as_json: bool
) -> None:
    """Say what needs a person: breaks in the data, drift, models that err, and what to do.

    For every night: exit code 3 when something needs a person, 0 when nothing does, 2 when the
    configuration or the input is wrong. docs/monitoring.md says what is watched and why.
    """
    from serving.batch import check_output, write_list
    from serving.findings import findings_table

    from ..config import load_config
    from ..jobs import open_configured_ledger
    from ..monitor import asked_today, watch_business
    from ..outputs import check_not_source

    if output is not None:
        check_output(output)
    config = load_config(config_path)
    check_not_source(config, output)
    ledger = open_configured_ledger(config)
    day = cutoff.date() if cutoff else None
    found = watch_business(config, ledger, day, today=asked_today(config, day))
    if output is not None:
        table = findings_table(found.findings)
        table.insert(0, "as_of", str(found.as_of))
        write_list(table, output)
    if as_json:
        shown = {} if output is None else {"output": str(output)}
        console.show_json({**shown, **summarise_monitoring(found)})
    else:
        show_monitoring(found)
        if output is not None:
            console.say(f"Wrote {len(found.findings):,} findings to {output}.")
    if found.severity == "act":
        raise click.exceptions.Exit(3)
