"""To learn: train the models, and measure all candidates over time."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from .. import console
from ..options import (
    FOLDER,
    config_option,
    json_option,
    output_option,
    seed_option,
    table_options,
)
from ..show.training import (
    show_backtest,
    show_training,
    show_where_to_look,
    summarise_backtest,
)

if TYPE_CHECKING:
    from training.churn_panel import Effort

__all__ = ["backtest", "train"]


@click.command()
@click.argument(
    "what",
    type=click.Choice(["churn", "clv", "segments", "next", "uplift", "all"]),
    default="all",
)
@config_option
@table_options(training=True)
@click.option("--quick", "effort", flag_value="quick", help="Fewer churn candidates, no tuning.")
@click.option("--usual", "effort", flag_value="usual", default=True, help="The default.")
@click.option("--thorough", "effort", flag_value="thorough", help="Tune churn for much longer.")
@seed_option
@json_option
def train(
    what: str,
    config_path: Path,
    effort: Effort,
    table: Path | None,
    id: str | None,  # noqa: A002
    name: str | None,
    decimal: Literal[".", ","] | None,
    label: str | None,
    positive: str | None,
    as_of: dt.datetime | None,
    seed: int,
    as_json: bool,
) -> None:
    """Fit the models, evaluate them out of time, log them to MLflow, and judge them at the gate.

    With --table FILE --label COLUMN a churn model is trained on a plain table of customers whose
    label is given, such as contracts with a column that says who left.
    """
    from ..config import load_config
    from ..jobs import open_configured_ledger, train_models
    from ..promotion import champion_now
    from ..report import keep_report
    from ..tables import TableOptions, check_only_with_table, table_config, train_on_table

    if table is None:
        check_only_with_table(
            id=id, name=name, decimal=decimal, label=label, positive=positive, as_of=as_of
        )
        config = load_config(config_path)
        ledger = open_configured_ledger(config)
        results = train_models(config, ledger, what, seed=seed, effort=effort)
        keep_report(config, ledger, results)
    else:
        if what not in ("churn", "all"):
            raise click.UsageError("A table trains a churn model: regulars train churn --table ...")
        config = table_config(config_path)
        day = as_of.date() if as_of else None
        options = TableOptions(table, id, decimal, name, label, positive, day)
        results = [train_on_table(config, options, seed=seed)]
    if as_json:
        console.show_json([result.to_dict() for result in results])
        return
    for result in results:
        show_training(result, champion_now(config, result.name))
    show_where_to_look(config)


@click.command()
@config_option
@output_option
@click.option(
    "--figures",
    type=FOLDER,
    help="Folder for the pictures. Default: beside the output, named after it.",
)
@seed_option
@json_option
def backtest(
    config_path: Path, output: Path, figures: Path | None, seed: int, as_json: bool
) -> None:
    """Measure every candidate and baseline at rolling cutoffs; writes one long table."""
    from serving.batch import check_output, write_list

    from ..config import load_config
    from ..figures import write_figures
    from ..jobs import backtest_models, open_configured_ledger
    from ..outputs import check_not_source

    check_output(output)
    config = load_config(config_path)
    check_not_source(config, output)
    result = backtest_models(config, open_configured_ledger(config), seed=seed)
    write_list(result.table, output)
    folder = figures or output.parent / f"{output.name.split('.')[0]}_figures"
    pictures = write_figures(result, folder)
    if as_json:
        written = {"output": str(output), "figures": [str(path) for path in pictures]}
        console.show_json({**written, **summarise_backtest(result)})
        return
    show_backtest(result)
    console.say(f"Wrote {len(result.table):,} measurements to {output}, pictures to {folder}.")
