"""What a section of the page is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Block", "Cell", "Figure", "Matrix", "Notes", "People", "Section", "Table", "Tile", "Tiles",
]  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, what it sorts by, and a smaller second line."""

    text: str
    sort: float | str | None = None
    note: str = ""
    shade: float | None = None


@dataclass(frozen=True)
class Table:
    """A table; the first column names the rows, those not in `texts` are numbers.

    A folded one shows its title until it is opened.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    title: str = ""
    note: str = ""
    texts: frozenset[int] = frozenset()
    sortable: bool = False
    wide: bool = True
    folded: bool = False

    kind = "table"


@dataclass(frozen=True)
class Figure:
    """A chart: a finding as its title, the same in words, and the numbers as a table."""

    key: str
    title: str
    note: str
    alt: str
    spec: Mapping[str, Any]
    table: Table
    legend: Sequence[tuple[str, str]] = ()
    wide: bool = False
    caution: str = ""

    kind = "figure"


@dataclass(frozen=True)
class Tile:
    """A headline number: value, change, what that means, and its course as a small line."""

    label: str
    value: str
    note: str = ""
    change: str = ""
    good: bool | None = None
    second: str = ""
    line: str = ""


@dataclass(frozen=True)
class Tiles:
    """A row of headline numbers."""

    tiles: Sequence[Tile]
    title: str = ""

    kind = "tiles"
    wide = True


@dataclass(frozen=True)
class Matrix:
    """Value by risk, with what each cell stands for."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]

    kind = "matrix"
    wide = True


@dataclass(frozen=True)
class People:
    """The list to act on."""

    headers: Sequence[str]
    rows: Sequence[Mapping[str, Any]]

    kind = "people"
    wide = True


@dataclass(frozen=True)
class Notes:
    """Sentences behind a heading that opens them."""

    title: str
    sentences: Sequence[str]

    kind = "notes"
    wide = True


Block = Table | Figure | Tiles | Matrix | People | Notes


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        key: Its anchor.
        title: Its heading.
        lead: One or two sentences below it.
        blocks: What it shows.
        missing: What it lacks, each with what would fill it.
    """

    key: str
    title: str
    lead: str
    blocks: Sequence[Block] = ()
    missing: Sequence[str] = field(default_factory=tuple)
