"""Train on a plain table of customers with a given label, and score one (`--table`)."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from .config import Config, load_config, parse_config

if TYPE_CHECKING:
    import pandas as pd

    from training.result import TrainingResult

__all__ = [
    "TableOptions",
    "check_only_with_table",
    "score_customer_table",
    "table_config",
    "train_on_table",
]


@dataclass(frozen=True)
class TableOptions:
    """What the command line says of a table.

    Attributes:
        path: The file.
        id: Column with the customer ids; None: found by its name.
        decimal: Decimal mark of numbers; None: what they prove.
        name: Registered model; None: the usual one.
        label: Column with the label.
        positive: Its value that means that the customer left; None: recognised.
        as_of: The day on which the columns were true.
        language: Of the reasons.
    """

    path: Path
    id: str | None = None
    decimal: Literal[".", ","] | None = None
    name: str | None = None
    label: str | None = None
    positive: str | None = None
    as_of: dt.date | None = None
    language: str = "en"


def check_only_with_table(**given: object) -> None:
    """Refuse options that say nothing without `--table`."""
    for name, value in given.items():
        if value is not None:
            raise click.UsageError(
                f"--{name.replace('_', '-')} goes with --table FILE, the table of customers."
            )


def table_config(path: Path) -> Config:
    """The configuration; a table needs none, so the usual one where none was named.

    Raises:
        ConfigError: The file that was named is not there, or cannot be used.
    """
    context = click.get_current_context()
    stated = context.get_parameter_source("config_path") is not click.core.ParameterSource.DEFAULT
    return load_config(path) if stated or path.exists() else parse_config("", path)


def train_on_table(config: Config, options: TableOptions, *, seed: int) -> "TrainingResult":
    """Train a churn model on a table."""
    from features.customer_table import read_customers
    from models.decision import Offer
    from training.table import REGISTERED_NAME, VALUE, train_table

    from .jobs import open_tracking

    if options.label is None:
        raise click.UsageError("--table needs --label COLUMN, the column that says who left.")
    said = config.decision
    frame = read_customers(options.path)
    return train_table(
        frame,
        label=options.label,
        id=options.id,
        positive=options.positive,
        decimal=options.decimal,
        as_of=options.as_of,
        name=REGISTERED_NAME if options.name is None else options.name,
        value=VALUE if said.value is None else said.value,
        offer=Offer(said.contact_cost, said.offer_cost, said.save_rate, said.redemption),
        seed=seed,
        tracking=open_tracking(config),
    )


def score_customer_table(
    config: Config, options: TableOptions, ids: Sequence[str] | None
) -> "pd.DataFrame":
    """Score the customers of a table; `ids` None means all of them."""
    from features.customer_table import read_customers
    from serving.registry import load
    from serving.table import REGISTERED_NAME, score_table

    frame = read_customers(options.path)
    name = REGISTERED_NAME if options.name is None else options.name
    churn = load(name, tracking_uri=config.mlflow.tracking_uri)
    return score_table(
        frame, churn, ids, id=options.id, decimal=options.decimal, language=options.language
    )
