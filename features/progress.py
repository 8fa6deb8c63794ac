"""Progress of long work: the code that works reports, the command line shows.

Nothing is shown unless a caller installs a reporter, so the same code is silent in
a notebook, draws a bar on a terminal and prints plain lines in a log file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

__all__ = ["Reporter", "Task", "note", "reporting", "task"]


class Task(Protocol):
    """One piece of long work under way."""

    def advance(self, steps: int = 1) -> None:
        """Count steps as done."""


class Reporter(Protocol):
    """Shows progress somewhere."""

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        """Open a task of `total` steps (None: unknown) and close it at the end."""

    def note(self, message: str) -> None:
        """Say one line."""


class _Silent:
    def advance(self, steps: int = 1) -> None:
        del steps

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        del description, total
        yield self

    def note(self, message: str) -> None:
        del message


_reporter: ContextVar[Reporter] = ContextVar("reporter", default=_Silent())  # noqa: B039


@contextmanager
def task(description: str, total: int | None = None) -> Iterator[Task]:
    """Report a piece of long work of `total` steps to whoever listens.

    >>> with task("counting", total=2) as counting:
    ...     counting.advance()
    """
    with _reporter.get().task(description, total) as opened:
        yield opened


def note(message: str) -> None:
    """Say one line to whoever listens."""
    _reporter.get().note(message)


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Show what happens inside this block with `reporter`."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)
