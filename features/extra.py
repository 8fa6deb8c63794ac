"""Features of the user's own: a function in a file named in `[features] extra`.

The file defines one function. It gets the tables as they stood at the cutoff and the window, and
returns one row a customer:

    import ibis
    from features.feature import Feature

    FEATURES = (
        Feature("gift_share", "share of purchase lines that are gifts", "365", "U", 0, "basket"),
    )

    def features(tables, window):
        lines = tables["transactions"]
        gifts = lines.category == "gift"
        return lines.group_by("customer_id").agg(gift_share=gifts.mean())

The tables are expressions of Ibis. They hold nothing that was not known at the cutoff (see
`features.known_tables`), so the function cannot look ahead by mistake. A column of numbers
becomes a number, one of text a category; a customer who is not in the result has missing
values. `FEATURES` may describe the columns; one that it leaves out speaks about a subject of
its own.

The text of the file is part of what a model was trained on: `extra_source` gives it, for the
hash that training stores and scoring compares. Files that it imports are not.
"""

from __future__ import annotations

import hashlib
import re
import sys
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from features.errors import InputError
from features.feature import Feature, Kind
from features.known_tables import known_tables
from features.settings import FeatureSettings
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

__all__ = ["Extra", "extra_source", "load_extra"]

FUNCTION = "features"
"""Name of the function that the file defines."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Extra:
    """The user's own features.

    Attributes:
        path: The file.
        function: (tables, window) -> table, one row a customer.
        described: What the file says about its columns, by name.
    """

    path: Path
    function: Callable[[Mapping[str, ir.Table], ObservationWindow], ir.Table]
    described: Mapping[str, Feature]

    def table(
        self,
        tables: Mapping[str, ir.Table],
        window: ObservationWindow,
        taken: Collection[str],
    ) -> tuple[ir.Table, tuple[Feature, ...]]:
        """Call the function at a cutoff.

        Args:
            tables: All standard tables of the shop, by name.
            window: What is observed.
            taken: Names that no column may have.

        Returns:
            The expression, its columns in order: customer_id, then float64 or text; and a row
            of the catalogue for each of these. Whether the expression can be run, and whether
            a customer comes twice, shows only when it is run.

        Raises:
            InputError: The function fails or returns something else.
        """
        import ibis.expr.types as ir

        try:
            found = self.function(types.MappingProxyType(known_tables(tables, window)), window)
        except Exception as error:
            raise self.error(
                f"fails at the cutoff {window.cutoff}: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(found, ir.Table):
            raise self.error(
                f"returns {type(found).__name__} and not a table of Ibis.",
                "Build the result from the tables that it is given.",
            )
        if "customer_id" not in found.columns or len(found.columns) < 2:
            raise self.error(
                f"returns the columns {', '.join(found.columns) or '(none)'}.",
                "Return customer_id and at least one column beside it.",
            )
        columns: dict[str, ir.Value] = {}
        rows = []
        for name in found.columns:
            if name != "customer_id":
                columns[name], row = self._column(found, name, taken)
                rows.append(row)
        if unknown := [name for name in self.described if name not in columns]:
            raise self.error(
                f"returns no column {unknown[0]!r}, which FEATURES describes.",
                f"It returns: {', '.join(columns)}.",
            )
        owner = found.customer_id.cast("string")
        return found.select(customer_id=owner, **columns), tuple(rows)

    def _column(
        self, found: ir.Table, name: str, taken: Collection[str]
    ) -> tuple[ir.Value, Feature]:
        if name in taken:
            raise self.error(
                f"returns a column {name!r}, a name that is taken.", "Give it another name."
            )
        if not _NAME.fullmatch(name):
            raise self.error(
                f"returns a column {name!r}.", "Use letters, digits and underscores in names."
            )
        column = found[name]
        kind = column.type()
        value: ir.Value
        said: Kind
        if kind.is_numeric() or kind.is_boolean():
            value, said = column.cast("float64"), "number"
        elif kind.is_string():
            value, said = column, "category"
        else:
            raise self.error(
                f"returns {name!r} as {kind}, which is neither numbers nor text.",
                "Turn a time into a number of days before the cutoff.",
            )
        row = self.described.get(name)
        if row is None:
            about = f"of {FUNCTION}() in {self.path.name}"
            row = Feature(name, about, "", "U", 0, name, sources=(), core=False, kind=said)
        if row.kind != said:
            raise self.error(
                f"returns {name!r} as {kind}, but FEATURES says that it is a {row.kind}.",
                f'Return the other type, or write kind="{said}".',
            )
        return value, row

    def run(self, columns: ir.Table) -> pd.DataFrame:
        """Compute the user's columns.

        Args:
            columns: What `table` gave.

        Returns:
            The columns on customer_id, in no particular order.

        Raises:
            InputError: They cannot be computed.
        """
        try:
            found = columns.to_pyarrow()
        except Exception as error:
            raise self._failed(error) from error
        frame: pd.DataFrame = found.to_pandas()
        return frame.set_index("customer_id")

    def held(self, con: Backend, columns: ir.Table) -> ir.Table:
        """Compute the user's columns and hold them in the engine.

        Args:
            con: The engine.
            columns: What `table` gave.

        Raises:
            InputError: They cannot be computed.
        """
        import ibis

        try:
            return con.create_table(ibis.util.gen_name("extra"), columns, temp=True)
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> InputError:
        reason = str(error).strip().splitlines()[0]
        return self.error(f"gives a table that cannot be computed: {reason}")

    def check(self, columns: pd.DataFrame) -> None:
        """Refuse what came out of the engine but can be no feature.

        Args:
            columns: The user's columns of a snapshot, on customer_id.

        Raises:
            InputError: A customer comes twice, or a number is infinite.
        """
        twice = columns.index.duplicated()
        if twice.any():
            raise self.error(
                f"returns several rows for customer {columns.index[twice][0]}.",
                "Return one row a customer: end with group_by('customer_id').agg(...).",
            )
        for name in columns.select_dtypes("number").columns:
            infinite = np.isinf(columns[name].to_numpy())
            if infinite.any():
                raise self.error(
                    f"returns an infinite {name} for customer {columns.index[infinite][0]}.",
                    "Divide only where the divisor is not zero.",
                )

    def error(self, what: str, hint: str = "") -> InputError:
        """An error that names the file and the function."""
        return InputError(f"{self.path}: {FUNCTION}() {what}", hint)


def load_extra(settings: FeatureSettings) -> Extra | None:
    """Run the user's file and take its function; None where there is none.

    Raises:
        InputError: The file is not there, cannot be run, or has no such function.
    """
    if settings.extra is None:
        return None
    return _load(Path(settings.extra), extra_source(settings))


def extra_source(settings: FeatureSettings) -> str:
    """The text of the user's file, line ends as one kind; "" where there is no file.

    Raises:
        InputError: The file is not there or is no text.
    """
    if settings.extra is None:
        return ""
    path = Path(settings.extra)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"The file of extra features {path} is not there.",
            "Correct extra under [features], or leave it out.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The file of extra features {path} cannot be read: {error}") from None


@lru_cache(maxsize=8)
def _load(path: Path, text: str) -> Extra:
    name = "regulars_extra_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    module = types.ModuleType(name)
    module.__file__ = str(path)
    space: dict[str, Any] = vars(module)
    sys.modules[name] = module  # where dataclasses look up their annotations
    try:
        # The user's own code, by the user's own wish; compiled here, so that nothing is
        # written beside the file.
        exec(compile(text, str(path), "exec"), space)  # noqa: S102
    except Exception as error:
        raise InputError(
            f"The file of extra features {path} cannot be run: {type(error).__name__}: {error}"
        ) from error
    function = space.get(FUNCTION)
    if not callable(function):
        raise InputError(
            f"The file of extra features {path} has no function {FUNCTION}.",
            f"Define: def {FUNCTION}(tables, window): ...",
        )
    described = space.get("FEATURES", ())
    rows = described if isinstance(described, (tuple, list)) else (described,)
    if not all(isinstance(row, Feature) for row in rows):
        raise InputError(
            f"FEATURES in {path} holds something that is no Feature.",
            "Write FEATURES = (Feature(...), ...), with Feature from features.feature.",
        )
    return Extra(path, function, types.MappingProxyType({row.name: row for row in rows}))
