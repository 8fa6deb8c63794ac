"""What every section is told from, and the small things that sections share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from serving.report.blocks import Cell
from serving.report.long import Long
from serving.report.material import Material, Options
from serving.report.words import Words

__all__ = ["Story"]


@dataclass(frozen=True)
class Story:
    """The material with the words to tell it in."""

    material: Material
    options: Options
    words: Words

    @cached_property
    def long(self) -> Long:
        """The measures."""
        return Long(self.material.measures)

    def title(self, measure: str) -> str:
        """The name of a measure in the language, else as the catalogue has it."""
        if self.words.has(f"measure.{measure}"):
            return self.words.t(f"measure.{measure}")
        titles = {row.name: row.title for row in self.material.catalogue}
        return titles.get(measure, measure.replace("_", " "))

    def lacking(self, *measures: str) -> list[str]:
        """What a section lacks of these measures, and what would fill it; one sentence each."""
        absent = [name for name in measures if name not in self.long]
        found: dict[str, list[str]] = {}
        for name in absent:
            reasons = [one.needs for one in self.material.missing if name in one.measures]
            found.setdefault(self._remedy(name, reasons), []).append(self.title(name))
        return [
            self.words.t("missing.of", names=self.words.join(names), why=why)
            for why, names in found.items()
        ]

    def _remedy(self, measure: str, reasons: Sequence[str]) -> str:
        rows = [row for row in self.material.catalogue if row.name == measure]
        needs = [name for row in rows for name in row.needs]
        tables = sorted({name.split(".")[0] for name in needs} - set(self.material.quality))
        if tables:
            return self.words.t("missing.table", tables=self.words.join(tables))
        if reasons and self.words.language == "en":
            return " ".join(dict.fromkeys(reasons))
        if needs:
            return self.words.t("missing.more", needs=self.words.join(dict.fromkeys(needs)))
        return self.words.t("missing.unmeasured")

    def said(self, row: Mapping[Any, Any] | pd.Series) -> str:
        """A figure of the long table with its interval, in words."""
        value = self.words.unit(row["value"], row["unit"])
        if not math.isfinite(row["low"]):
            return value
        between = self.words.between(row["low"], row["high"], row["unit"])
        return self.words.t("value_between", value=value, between=between)

    def cells(self, row: Mapping[Any, Any] | pd.Series) -> list[str | Cell]:
        """A figure, its interval and its n, as cells of a table."""
        between = (
            self.words.between(row["low"], row["high"], row["unit"])
            if math.isfinite(row["low"])
            else ""
        )
        return [
            Cell(self.words.unit(row["value"], row["unit"]), float(row["value"])),
            between,
            Cell(self.words.count(row["n"]), float(row["n"])),
        ]

    def compared(self, parts: Mapping[str, pd.DataFrame], key: str) -> list[list[str | Cell]]:
        """One row for each value of `key`, by size: its name, its n, and each measure's figure.

        Args:
            parts: Measure -> its rows, as `Long.by` gives them for the key.
            key: The column that names the rows.
        """
        w = self.words
        found = {
            (name, str(row[key])): row
            for name, rows in parts.items()
            for row in rows.to_dict("records")
        }
        sizes: dict[str, float] = {}
        for (_, name), row in found.items():
            sizes[name] = max(sizes.get(name, 0.0), float(row["n"]))
        table = []
        for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
            cells: list[str | Cell] = [name, Cell(w.count(sizes[name]), sizes[name])]
            for measure in parts:
                row = found.get((measure, name), {})
                if not row:
                    cells.append(Cell("\u2013"))
                    continue
                whole = math.isfinite(row["low"]) and math.isfinite(row["high"])
                note = w.between(row["low"], row["high"], row["unit"]) if whole else ""
                cells.append(Cell(w.unit(row["value"], row["unit"]), float(row["value"]), note))
            table.append(cells)
        return table
