"""The options that several commands share, and the kinds of values that options take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = [
    "DATE",
    "FILE",
    "FOLDER",
    "LANGUAGES",
    "config_option",
    "json_option",
    "output_option",
    "seed_option",
    "table_options",
]

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
DATE = click.DateTime(formats=["%Y-%m-%d"])

LANGUAGES = ("en", "zh")
"""Those of `models.messages`, which would be slow to ask."""


def config_option(command: F) -> F:
    """Where the configuration is."""
    return click.option(
        "-c",
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        default=Path("regulars.toml"),
        show_default=True,
        help="Configuration file, or the folder that holds it.",
    )(command)


def output_option(command: F) -> F:
    """The file that a table is written to."""
    return click.option(
        "-o", "--output", type=FILE, required=True, help="A .parquet or .csv file."
    )(command)


def json_option(command: F) -> F:
    """JSON in place of tables."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")(
        command
    )


def seed_option(command: F) -> F:
    """The seed of everything random."""
    return click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)(
        command
    )


def table_options(*, training: bool) -> Callable[[F], F]:
    """The options of a plain table of customers; some only make sense in training."""
    options = [
        click.option(
            "--table", type=FILE, help="A table of customers in place of a ledger: CSV or Parquet."
        ),
        click.option("--id", help="With --table: the column with the customer ids."),
        click.option("--name", help="With --table: the registered model."),
        click.option(
            "--decimal", type=click.Choice([".", ","]), help="With --table: the decimal mark."
        ),
    ]
    if training:
        options += [
            click.option("--label", help="With --table: the column that says who left."),
            click.option("--positive", help="With --table: the label of those who left."),
            click.option("--as-of", type=DATE, help="With --table: the day on which it was true."),
        ]

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
