"""A plain table of customers: features of the user's own and, for training, a given label.

One row a customer, as a subscription business exports it: contract, fees, use, and whether the
customer left. There is no ledger behind it and no time in it: what the columns mean, and that
they were known before the label came about, is the user's to see to. What can be checked is
checked here: who is in the table, which columns are numbers, and which of them no model should
be shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import duckdb
import pandas as pd
import pyarrow as pa

from features.errors import InputError, NotEnoughDataError, SchemaError
from features.given_label import given_label, why_unfit
from features.reading.delimited import FILE, ROW
from features.reading.values import Decimal, detect_decimal, number_sql, text_sql
from features.schema import nearest, quote, recognise
from features.settings import SourceSettings, TableSettings
from features.source import open_table, raw_columns

__all__ = ["CustomerTable", "Kind", "customer_table", "read_customers"]

Kind = Literal["number", "category"]

NUMBERS_AT_LEAST = 0.95
"""Share of the values of a text column that must read as numbers for it to be one of numbers."""
_WIDEST = 2_000
_SHOWN = 5


@dataclass(frozen=True)
class CustomerTable:
    """Customers, what is known of them and, for training, whether they left.

    Attributes:
        features: One row a customer, index customer_id (text); numbers as float64, missing NaN,
            categories as text, missing None.
        label: 1 churned, 0 stayed, on the same index; None for a table to score.
        churned: The value of the label column that means churned.
        dropped: Column -> why it is not a feature.
        unreadable: Column of numbers -> how many of its values are none, and count as missing.
        unlabelled: Rows left out because their label is missing.
    """

    features: pd.DataFrame
    label: pd.Series[float] | None = None
    churned: str = ""
    dropped: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, int] = field(default_factory=dict)
    unlabelled: int = 0

    @property
    def kinds(self) -> dict[str, Kind]:
        """Feature -> whether it is a number or a category."""
        numeric = pd.api.types.is_numeric_dtype
        return {
            str(name): "number" if numeric(column.dtype) else "category"
            for name, column in self.features.items()
        }

    def sorted(self) -> CustomerTable:
        """The same in the order of the ids, so that nothing depends on the order of the source."""
        label = None if self.label is None else self.label.sort_index()
        return replace(self, features=self.features.sort_index(), label=label)

    def notes(self) -> list[str]:
        """What should be said about the table, a sentence each."""
        found = [f"{name} is left out: {why}." for name, why in self.dropped.items()]
        found += [
            f"{name} is a number; {count:,} of its values are none and count as missing."
            for name, count in self.unreadable.items()
        ]
        if self.unlabelled:
            found.append(f"{self.unlabelled:,} rows without a label are left out.")
        return found


def read_customers(path: Path) -> pd.DataFrame:
    """Read a table from a CSV or Parquet file.

    Args:
        path: The file, also packed (`.gz`, `.zst`); separator and encoding are recognised.

    Returns:
        The columns under their own names, all text when the file is text.

    Raises:
        InputError: The file is not there or cannot be read, has too many columns, or a row of a
            CSV file has more or fewer fields than the header.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Give the path of a CSV or Parquet file.")
    settings = TableSettings.model_validate({"from": path.name})
    if (width := len(raw_columns(path))) > _WIDEST:
        raise SchemaError(
            f"{path} has {width:,} columns; at most {_WIDEST:,} are read.",
            "Leave out what says nothing of whether a customer leaves.",
        )
    with duckdb.connect() as con:
        raw = open_table(con, SourceSettings(url="."), "customers", settings, path.resolve().parent)
        if raw.rejects is not None:
            number, reason = con.execute(
                f"SELECT {quote(ROW)}, reason FROM {raw.rejects} ORDER BY 1 LIMIT 1"  # noqa: S608
            ).fetchall()[0]
            raise SchemaError(
                f"{path}: row {number:,} cannot be read ({reason.replace('_', ' ')}).",
                "Correct the row, or export the table again.",
            )
        rows = con.sql(
            f"SELECT * EXCLUDE ({quote(FILE)}, {quote(ROW)}) FROM {raw.relation} "  # noqa: S608
            f"ORDER BY {quote(ROW)}"
        )
        frame: pd.DataFrame = rows.to_arrow_table().to_pandas()
    return frame


def customer_table(
    frame: pd.DataFrame,
    *,
    label: str | None = None,
    id: str | None = None,  # noqa: A002
    positive: str | None = None,
    kinds: Mapping[str, Kind] | None = None,
    decimal: Decimal | None = None,
) -> CustomerTable:
    """Make sense of a table: ids, label, numbers and categories.

    Text of which at least 95 % read as numbers is a number; blanks and words such as "null" are
    missing. For training, columns are left out that name customers instead of describing them,
    that are dates, and that tell the label without an error: such a column was written down
    after the customer had left, or is the label itself.

    Args:
        frame: One row a customer, any types; it is not written to.
        label: Column with the label. None: the table is to be scored.
        id: Column with the customer ids. None: a column by one of the names that ledgers use
            for it.
        positive: The value of the label that means churned. None: recognised, if one of its two
            values is one of `CHURNED_WORDS` and the other of `STAYED_WORDS`.
        kinds: The features wanted, as the model learned them. None: all columns, each as what it
            looks like.
        decimal: Decimal mark of numbers that are written as text. None: what they prove.

    Raises:
        SchemaError: A column is missing or repeats, an id is missing or repeats, or the label
            does not have two values of known meaning.
        NotEnoughDataError: There are no rows, or no feature is left.
    """
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f"The table has two columns called {twice!r}.", "Rename one of them.")
    frame = frame.set_axis(names, axis=1)
    if not len(frame):
        raise NotEnoughDataError("The table has no rows.", "Give one row a customer.")
    key = id or _id_column(names)
    _check_there([key], names)
    if label is not None:
        _check_there([label], names)
        if label == key:
            raise SchemaError(f"{label!r} cannot be both the label and the id.")
    ids = _ids(frame[key], key)
    outcome, churned, unlabelled = None, "", 0
    if label is not None:
        outcome, churned = given_label(as_text(frame[label]), label, positive)
        kept = outcome.notna().to_numpy()
        unlabelled = int((~kept).sum())
        frame, outcome, ids = frame[kept], outcome[kept].set_axis(ids[kept]), ids[kept]
    if kinds is None:
        wanted = [name for name in names if name not in (key, label)]
    else:
        wanted = list(kinds)
        _check_there(wanted, names)
    columns, dropped = _as_text_or_number(frame[wanted], keep=kinds is not None)
    texts = {name: column for name, column in columns.items() if column.dtype != "float64"}
    read, unreadable = _read_texts(pd.DataFrame(texts), kinds, decimal)
    features = pd.DataFrame({**columns, **read}).set_axis(ids)
    if outcome is not None:
        why = {name: why_unfit(features[name], outcome) for name in features.columns}
        dropped |= {name: reason for name, reason in why.items() if reason}
        features = features.drop(columns=[name for name, reason in why.items() if reason])
        if not features.shape[1]:
            raise NotEnoughDataError(
                "No column of the table can be used as a feature.",
                " ".join(f"{name}: {reason}." for name, reason in list(dropped.items())[:_SHOWN]),
            )
    unreadable = {name: count for name, count in unreadable.items() if name in features.columns}
    return CustomerTable(features, outcome, churned, dropped, unreadable, unlabelled)


def _check_there(wanted: Sequence[str], names: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        some = ", ".join(missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        listed = f"Its columns: {', '.join(names[:30])}."
        raise SchemaError(
            f"The table has no column {some}{more}.",
            f"{nearest(missing[0], names)} {listed}".strip(),
        )


def _id_column(names: Sequence[str]) -> str:
    found = recognise("customers", names).get("customer_id")
    if found is None:
        raise SchemaError(
            f"The table has no column that is known to hold customer ids: {', '.join(names[:30])}.",
            "Name it with --id (in Python: id=...).",
        )
    return found[1:-1].replace('""', '"')


def _ids(values: pd.Series, name: str) -> pd.Index[str]:
    """The ids as text, as the ledger has them: present, different, without a needless `.0`."""
    texts = as_text(values).str.strip()
    missing = texts.isna() | (texts == "")
    if missing.any():
        raise SchemaError(
            f"Column {name}: {int(missing.sum()):,} rows have no customer id, the first is row "
            f"{int(missing.to_numpy().argmax()) + 1:,}.",
            "Fill in the ids or remove the rows.",
        )
    numbers = texts[texts.str.fullmatch(r"[0-9.]+")]
    if len(numbers) and numbers.str.fullmatch(r"[0-9]+[.]0+").all():
        texts = texts.str.replace(r"^([0-9]+)[.]0+$", r"\1", regex=True)
    twice = texts[texts.duplicated(keep=False)]
    if len(twice):
        some = ", ".join(map(str, twice.unique()[:_SHOWN]))
        raise SchemaError(
            f"Column {name}: {twice.nunique():,} customers are in the table more than once, such "
            f"as {some}.",
            "Keep one row a customer.",
        )
    return pd.Index(texts.to_numpy(), name="customer_id", dtype="str")


def as_text(values: pd.Series) -> pd.Series[str]:
    """Any column as text, missing values kept; whole numbers without a decimal part."""
    if pd.api.types.is_float_dtype(values.dtype):
        known = values[values.notna()]
        if (known == known.round()).all():
            values = values.astype("Int64")
    return values.astype("object").map(str, na_action="ignore").astype("str")


def _as_text_or_number(
    frame: pd.DataFrame, *, keep: bool
) -> tuple[dict[str, pd.Series], dict[str, str]]:
    """Columns as float64 or text; what is neither is left out, with the reason."""
    columns: dict[str, pd.Series] = {}
    dropped: dict[str, str] = {}
    for name, column in frame.items():
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if isinstance(column.dtype, pd.CategoricalDtype):
            column, kind = column.astype("object"), "categorical"
        if kind in ("integer", "floating", "mixed-integer-float", "decimal", "boolean"):
            columns[str(name)] = column.astype("Float64").astype("float64")
        elif kind in ("string", "categorical", "mixed-integer", "mixed", "empty") and not any(
            isinstance(value, (list, dict, tuple, set, bytes)) for value in column.head(100)
        ):
            columns[str(name)] = column.map(str, na_action="ignore").astype("str")
        else:
            dropped[str(name)] = (
                "it holds dates; use days before the day the table was made"
                if kind in ("datetime64", "datetime", "date", "timedelta", "timedelta64")
                else f"it holds {kind}, which is neither a number nor text"
            )
    if keep and dropped:
        name, why = next(iter(dropped.items()))
        raise SchemaError(f"Column {name} cannot be read: {why}.")
    return columns, dropped


def _read_texts(
    texts: pd.DataFrame, kinds: Mapping[str, Kind] | None, decimal: Decimal | None
) -> tuple[dict[str, pd.Series], dict[str, int]]:
    """Text columns as numbers or tidy text, and how many values of each number are none."""
    if not texts.shape[1]:
        return {}, {}
    with duckdb.connect() as con:
        plain = [f"c{i}" for i in range(texts.shape[1])]  # names may differ in case only
        name_of = dict(zip(plain, texts.columns, strict=True))
        arrays = [pa.array(texts[name], pa.string(), from_pandas=True) for name in texts.columns]
        con.register("texts", pa.table(arrays, names=plain))
        known = ", ".join(f"count({text_sql(c)})" for c in plain)
        marks: tuple[Decimal, ...] = (".", ",")
        fit = ", ".join(f"count({number_sql(c, mark)})" for c in plain for mark in marks)
        row = con.execute(f"SELECT {known}, {fit} FROM texts").fetchall()[0]  # noqa: S608
        size = len(plain)
        share = {
            c: max(row[size + 2 * i], row[size + 2 * i + 1]) / row[i] if row[i] else 0.0
            for i, c in enumerate(plain)
        }
        if kinds is None:
            numbers = [c for c in plain if share[c] >= NUMBERS_AT_LEAST]
        else:
            numbers = [c for c in plain if kinds[name_of[c]] == "number"]
        mark = decimal or detect_decimal(con, "texts", numbers, where="The table")[0]
        said = ", ".join(
            f"{number_sql(c, mark) if c in numbers else text_sql(c)} AS {c}" for c in plain
        )
        found = con.sql(f"SELECT {said} FROM texts").to_arrow_table()  # noqa: S608
    read: dict[str, pd.Series] = {}
    unreadable: dict[str, int] = {}
    for i, c in enumerate(plain):
        column = found.column(c).to_pandas().set_axis(texts.index)
        if c in numbers:
            column = column.astype("float64")
            column = column.where(column.abs() != float("inf"))
            if lost := int(texts.iloc[:, i].notna().sum() - column.notna().sum()):
                unreadable[str(name_of[c])] = lost
        read[str(name_of[c])] = column if c in numbers else column.astype("str")
    return read, unreadable
