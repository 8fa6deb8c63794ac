"""What a person sees: progress, tables and notes on a terminal, plain lines elsewhere."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from features.progress import Task

__all__ = [
    "Plain",
    "Terminal",
    "percent",
    "printable",
    "reporter",
    "say",
    "show_json",
    "show_table",
]

_ACTING = [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, 0x2028, 0x2029]
_ACTING += [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_SHOWN = {code: f"\\u{code:04x}" for code in _ACTING if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """A text with the characters shown that would act on a terminal or turn its direction.

    Ids and names of a shop may hold them: an escape sequence could hide a line or rename the
    window.

    >>> printable("c" + chr(27) + "[2J17") == "c" + chr(92) + "u001b[2J17"
    True
    """
    return text.translate(_SHOWN)


def say(message: str = "") -> None:
    """Print one line on standard output."""
    click.echo(printable(message))


def show_json(value: Any) -> None:
    """Print `value` as JSON on standard output; dates become ISO text, NaN becomes null."""
    click.echo(printable(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on standard output; numbers stand to the right.

    Args:
        title: One line above the table.
        columns: Column headings; all empty for a list of facts.
        rows: One sequence of cells a row; floats are shown with up to four digits.
    """
    from rich.box import SIMPLE, SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(printable(title), style="bold"),
        title_justify="left",
        header_style="dim",
        show_header=any(columns),
        box=SIMPLE_HEAD if any(columns) else SIMPLE,
    )
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(
            Text(printable(column)), justify="right" if numeric else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(printable(_cell(cell))) for cell in row))
    # A pipe or a file has no width: give the table room instead of wrapping it at 80.
    width = None if sys.stdout.isatty() else 160
    Console(file=sys.stdout, width=width, highlight=False).print(table)


def percent(share: float | None) -> str:
    """A share as a cell of a table; a dash where it is not known."""
    return "-" if share is None else f"{share:.1%}"


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


class _Lines:
    """A task that was announced by one line; nothing more is said until it ends."""

    def advance(self, steps: int = 1) -> None:
        del steps


class Plain:
    """Progress as plain lines on standard error, for logs and pipes."""

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        """Say what begins."""
        self.note(f"{description} ({total} steps)" if total and total > 1 else description)
        yield _Lines()

    def note(self, message: str) -> None:
        """Say one line."""
        click.echo(printable(message), err=True)


class Terminal:
    """Progress as bars on a terminal's standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import SpinnerColumn as Spinner
        from rich.progress import TimeElapsedColumn as Elapsed

        self._progress = Progress(
            Spinner(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Elapsed(),
            console=Console(stderr=True),
            transient=True,
        )

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        """Draw a bar until the task ends."""
        progress = self._progress
        with progress if not progress.live.is_started else _already():
            number = progress.add_task(printable(description), total=total)
            try:
                yield _Bar(progress, number)
            finally:
                progress.remove_task(number)

    def note(self, message: str) -> None:
        """Say one line above the bars."""
        self._progress.console.print(printable(message), markup=False, highlight=False)


class _Bar:
    def __init__(self, progress: Any, number: Any) -> None:
        self._progress, self._number = progress, number

    def advance(self, steps: int = 1) -> None:
        self._progress.advance(self._number, steps)


@contextmanager
def _already() -> Iterator[None]:
    yield


def reporter() -> Plain | Terminal:
    """Choose how progress is shown: bars where standard error is a terminal, lines elsewhere."""
    return Terminal() if sys.stderr.isatty() else Plain()
