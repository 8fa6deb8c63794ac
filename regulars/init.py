"""Write a first `regulars.toml`, commented, with the columns recognised in the user's file."""

import os
import re
from pathlib import Path

from features.errors import InputError, SchemaError
from features.schema import TABLES, recognise
from features.source import raw_columns

from .config import parse_config

__all__ = ["write_config"]

_TEMPLATE = """\
# What Regulars reads and what is asked of it. Paths are relative to this file.

[source]
url = {url}                  # a folder, duckdb:///shop.duckdb or postgresql://host/shop
timezone = "UTC"             # the clock the shop lives by, for example "Europe/London"

# Each column is the name of a column in your file, or an SQL expression over its columns.
[tables.transactions]
{transactions}
# where = "StockCode NOT IN ('POST', 'DOT')"   # rows to use; the others are left out
# timestamp_format = "%d/%m/%Y %H:%M"          # when dates are not written as 2024-12-31
# decimal = ","                                # when 1,50 means one and a half

# Further tables switch on further features and measures:
# [tables.events]        customer_id, timestamp, event
# [tables.surveys]       customer_id, timestamp, kind (nps, csat), score
# [tables.tickets]       customer_id, opened_at, resolved_at, topic
# [tables.contacts]      customer_id, timestamp, campaign, arm (treatment, control)

[policies]
duplicates = "auto"          # rows equal in every column: "drop", "keep", or "auto"
zero_amount = "keep"         # or "quarantine"

[purchases]
unit = "day"                 # one purchase = one customer-day net of returns, or "order"

[churn]
horizon_days = {horizon}            # who buys nothing for this many days has churned
gap_days = 0                 # days between scoring and the first day a campaign can act on

[clv]
horizon_days = 365
annual_discount_rate = 0.10
margin = 1.0                 # share of spend that is profit
# segment = "channel"                          # groups with rates of their own, as a candidate
# holidays = "GB"                              # public holidays for the calendar candidate
# [clv.covariates]           rate, dropout and spend: lists of columns, as a candidate

[decision]                   # whom to contact; set your own costs
contact_cost = 1.0           # of reaching one customer, in the money of the transactions
offer_cost = 10.0            # of the offer when it is taken
save_rate = 0.30             # of those who would leave, the share that the offer keeps
control_share = 0.10         # held back by lot, so that the campaign can be measured
# budget = 500.0                               # most that a list may cost
# [[decision.offers]]        several offers: name, and what differs from the above

[campaigns]
window_days = {window}             # after a contact; purchases and spend in them are its outcome

[mlflow]
tracking_uri = "sqlite:///mlflow.db"   # MLFLOW_TRACKING_URI in the environment wins over it
experiment = "regulars"
"""


def write_config(
    folder: Path, transactions: Path | None, *, force: bool, window_days: int = 30
) -> tuple[Path, list[str]]:
    """Write `folder/regulars.toml`.

    Args:
        folder: Made if it is not there.
        transactions: The user's file of orders or order lines, or a glob of such files; the
            columns (of the first) are recognised.
        force: Replace a file that is there.
        window_days: Days after a contact in which a campaign works.

    Returns:
        The path written, and a line for each thing recognised or missing.

    Raises:
        InputError: The file exists already, the folder cannot be written to, or the
            transactions cannot be read.
    """
    path = folder / "regulars.toml"
    if path.exists() and not force:
        raise InputError(f"{path} exists already.", "Add --force to replace it.")
    url, lines, said = _transactions(folder, transactions)
    text = _TEMPLATE.format(
        url=_quoted(url), transactions="\n".join(lines), horizon=90, window=window_days
    )
    parse_config(text, path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise InputError(
            f"{path} cannot be written: {problem.strerror}.", "Choose a folder you can write to."
        ) from None
    return path, said


def _transactions(folder: Path, file: Path | None) -> tuple[str, list[str], list[str]]:
    """The folder of the tables, the lines of `[tables.transactions]`, and what to say."""
    table = TABLES["transactions"]
    if file is None:
        lines = ['from = "orders.csv"         # a file, a glob such as "orders/*.parquet"']
        lines += [f'# {column} = "..."' for column in table.required]
        said = ["Columns with common names will be recognised; map the others by hand."]
        return "data", lines, said
    columns = raw_columns(_one_of(file))
    found = {
        standard: _plain(expression)
        for standard, expression in recognise("transactions", columns).items()
    }
    missing = [column for column in table.required if column not in found]
    if len(missing) == len(table.required):
        raise SchemaError(
            f"{file} does not look like transactions: its columns are {', '.join(columns)}.",
            f"Needed: {', '.join(table.required)}. If they are there under other names, run "
            "`regulars init` without --transactions and name the file and its columns in "
            "regulars.toml.",
        )
    place = file.parent.resolve() / file.name  # a link keeps its own name
    source = os.path.relpath(place, folder.resolve()).replace(os.sep, "/")
    # Other tables are looked for beside the orders; many files have a folder of their own.
    url = "." if not file.exists() else source.rpartition("/")[0] or "."
    source = source if url == "." else file.name
    lines = [f"from = {_quoted(source)}"]
    lines += [f"{standard} = {_quoted(raw)}" for standard, raw in found.items()]
    lines += [f'# {column} = "..."  # not recognised: say which column' for column in missing]
    if missing:
        listed = ", ".join(" ".join(column.split()) for column in columns)
        lines += ["# columns found: " + "".join(filter(str.isprintable, listed))]
    said = [f"{standard} is read from {raw}" for standard, raw in found.items()]
    said += [f"{column}: no column recognised; say which in regulars.toml" for column in missing]
    return url, lines, said


def _one_of(file: Path) -> Path:
    """The file whose columns are read: the first where a glob was given."""
    if file.suffix.lower() in (".duckdb", ".db"):
        raise InputError(
            f"{file} is a database.",
            f'Run `regulars init` without --transactions and set url = "duckdb:///{file.name}" '
            "in regulars.toml.",
        )
    if file.exists() or not any(sign in file.name for sign in "*?["):
        return file
    found = sorted(path for path in file.parent.glob(file.name) if path.is_file())
    if not found:
        raise InputError(f"No file matches {file}.", "Name a CSV or Parquet file, or a glob.")
    return found[0]


def _plain(expression: str) -> str:
    """A column in SQL quotes by its bare name; expressions stay as they are."""
    quoted = re.fullmatch(r'"((?:[^"]|"")+)"', expression)
    return quoted[1].replace('""', '"') if quoted else expression


def _quoted(text: str) -> str:
    """A TOML string."""
    if "'" not in text and ('"' in text or "\\" in text):
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
