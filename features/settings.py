"""What the user may say about the source, the tables, the policies and a purchase.

These are the parts of `regulars.toml` that reading needs. Unknown keys are rejected.
"""

import datetime as dt
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = [
    "FeatureSettings",
    "PolicySettings",
    "PurchaseSettings",
    "SourceSettings",
    "TableSettings",
]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SourceSettings(_Settings):
    """Where the tables are and what clock the shop lives by.

    Attributes:
        url: A folder of CSV and Parquet files, `duckdb:///shop.duckdb` (both relative to the
            folder of the configuration file), or `postgresql://host/shop`. `${NAME}` stands for
            an environment variable, and is replaced only when the source is opened.
        timezone: IANA name of the shop's time zone. Times that carry an offset are converted
            to it; times without one are taken to be in it already.
        memory: Most memory that the engine takes for the tables and what is made of them, such as
            "8GB"; what does not fit goes to temporary files. By default four fifths of the
            machine's, and 4 GB while a list is scored.
    """

    url: str = "data"
    timezone: str = "UTC"
    memory: str | None = Field(default=None, pattern=r"^[1-9][0-9]*(\.[0-9]+)? ?(MB|GB|TB)$")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"{value!r} is no known time zone; write an IANA name such as Europe/London"
            ) from None
        return value


class TableSettings(_Settings):
    """Where one table comes from and what its columns are called there.

    In TOML the columns are flat keys beside `from` and `where`; they are gathered here.

    >>> TableSettings.model_validate({"from": "orders.csv", "amount": "Quantity * Price"}).columns
    {'amount': 'Quantity * Price'}

    Attributes:
        from_: File, glob or table name (`from` in TOML). Left out: the file named after the table.
        where: A scalar SQL condition; rows that do not meet it are left out (and counted).
        columns: Standard column -> raw column name or scalar SQL expression over the raw row.
        encoding: Text encoding of CSV files (`cp1252`, `utf-16`); detected when left out.
        separator: Field separator of CSV files: one character, or `"whitespace"` for columns
            aligned with blanks. Detected when left out.
        decimal: Decimal mark of numbers in CSV files, `"."` or `","`. Detected when left out.
        timestamp_format: strptime format of the table's times, for example `"%d/%m/%Y %H:%M"`.
        header: Whether the first row of a CSV file names the columns.
        column_names: Names of the columns when there is no header.
    """

    from_: str | None = Field(default=None, alias="from")
    where: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    encoding: str | None = None
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    timestamp_format: str | None = None
    header: bool = True
    column_names: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather_columns(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known = {"from", *cls.model_fields}
        columns = dict(data.get("columns") or {})
        for key, value in data.items():
            if key not in known:
                if not isinstance(value, str):
                    raise ValueError(
                        f"{key} must be text: the name of a column or an SQL expression, "
                        f"not {value!r}"
                    )
                columns[key] = value
        return {**{k: v for k, v in data.items() if k in known}, "columns": columns}

    @field_validator("separator")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is None or value == "whitespace":
            return value
        if len(value) != 1 or value in '"\r\n':
            raise ValueError(
                f"{value!r} is no separator; write one character such as ';' or \"whitespace\""
            )
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                "".encode(value)
            except LookupError:
                raise ValueError(
                    f"{value!r} is no known text encoding; for example utf-8, cp1252, utf-16"
                ) from None
        return value

    @model_validator(mode="after")
    def _names_without_header(self) -> Self:
        if self.header and self.column_names is not None:
            raise ValueError("column_names is for files without a header: set header = false too")
        if not self.header and not self.column_names:
            raise ValueError("header = false needs column_names = [...], one name a column")
        return self


class PolicySettings(_Settings):
    """What to do with rows that can be read but may not be meant.

    Attributes:
        duplicates: Rows equal to an earlier row in every raw column. `"auto"` drops them when
            the row says enough to tell a repeated line from a repeated purchase (see
            `features.quality`), `"drop"` and `"keep"` say it outright.
        zero_amount: Transactions of amount zero. Kept by default: they are no purchase (a
            purchase needs a positive net amount), but they are part of the record.
        negative_quantity: Transactions with a quantity below zero whose amount is not: stock
            write-offs and the like. Set aside by default; a return has an amount below zero.
        history_start: Rows before this day are set aside. The default removes the dates that
            computers and spreadsheets write for "none": 1899-12-30, 1900-01-01, 1970-01-01.
        history_end: The last day of the history; later rows are set aside. None means today
            in the shop's time zone.
        isolated_future: Rows after a silence of more than a year behind everything else, at
            most one in a thousand: slips such as 2101 for 2011, which would otherwise make
            every customer look long gone. Set aside by default.
    """

    duplicates: Literal["auto", "drop", "keep"] = "auto"
    zero_amount: Literal["keep", "quarantine"] = "keep"
    negative_quantity: Literal["keep", "quarantine"] = "quarantine"
    history_start: dt.date = dt.date(1970, 1, 2)
    history_end: dt.date | None = None
    isolated_future: Literal["keep", "quarantine"] = "quarantine"


class PurchaseSettings(_Settings):
    """What counts as one purchase.

    Attributes:
        unit: `"day"`: all that a customer buys on one day, net of returns. `"order"`: each order.
    """

    unit: Literal["day", "order"] = "day"


class FeatureSettings(_Settings):
    """What is known of customers beside the catalogue (`[features]`).

    Attributes:
        extra: A Python file with a function `features` that adds columns; see
            `features.extra`. Relative to the folder of the configuration file.
        attributes: Attributes of customers that are used, such as `"gender"` or
            `"acquisition.campaign"`; see `features.profile_attributes`. None by default: an
            attribute without a history is used as it stands today, at every cutoff of the
            past, and only the user can tell whether that gives the future away.
    """

    extra: str | None = None
    attributes: tuple[str, ...] = ()

    def beside(self, folder: Path) -> Self:
        """The same with `extra` as an absolute path, taken relative to a folder."""
        if self.extra is None:
            return self
        return self.model_copy(update={"extra": str((folder / self.extra).resolve())})
