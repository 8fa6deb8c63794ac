"""Queries at a cutoff: translated to SQL once, run at every cutoff with its own dates in it.

To build the expression of a snapshot and to translate it takes longer than to run it on a small
shop, and nothing changes from one cutoff to the next but the dates. So the expression is built
for a window whose moments lie far apart, in years that no data has (`_MOMENTS`), and each date in
the SQL tells by its year which moment it was counted from. Putting in those of a real window
gives the very text that its own expression would have been translated to.

Some columns depend on what a window covers (`ObservationWindow.observes`). These questions are
answered for the real window and kept: a translation serves the windows that give the same answers.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

__all__ = ["Queries"]

_MOMENTS = {
    3: ("start", dt.date(3500, 7, 1)),
    4: ("cutoff", dt.date(4500, 7, 1)),
    5: ("label_start", dt.date(5500, 7, 1)),
    6: ("label_end", dt.date(6500, 7, 1)),
}
"""Thousands of years -> moment of a window, and the day that stands for it."""

_HORIZON = 1_234_567_891
"""Days that stand for `horizon_days`: a number of 32 bits that nothing else is."""

_DATE = re.compile(rf"(MAKE_(?:DATE|TIMESTAMP)\()([3-6]\d\d\d), (\d+), (\d+)|\b{_HORIZON}\b")


@dataclass(frozen=True)
class _AnyWindow(ObservationWindow):
    """A window that stands for all windows of one shape.

    Attributes:
        like: A real one: it says what is covered.
        asked: (name of a method, argument) -> what `like` said.
    """

    like: ObservationWindow = field(kw_only=True)
    asked: dict[tuple[str, int], bool] = field(default_factory=dict, kw_only=True)

    @property
    def label_start(self) -> dt.date:
        """The day that stands for it."""
        return _MOMENTS[5][1]

    @property
    def label_end(self) -> dt.date:
        """The day that stands for it."""
        return _MOMENTS[6][1]

    def observes(self, days: int) -> bool:
        """What the real window says."""
        return self.asked.setdefault(("observes", days), self.like.observes(days))

    def observes_labels_before(self, days: int) -> bool:
        """What the real window says."""
        return self.asked.setdefault(
            ("observes_labels_before", days), self.like.observes_labels_before(days)
        )


@dataclass(frozen=True)
class _Translation:
    sql: str
    texts: dict[str, str]
    asked: dict[tuple[str, int], bool]

    def serves(self, window: ObservationWindow) -> bool:
        """Whether a window gives the same answers to the questions asked."""
        return all(getattr(window, name)(days) == said for (name, days), said in self.asked.items())

    def at(self, window: ObservationWindow) -> str:
        """The SQL with the dates of a window."""

        def put(found: re.Match[str]) -> str:
            if found[1] is None:
                return str(window.horizon_days)
            name, stand_in = _MOMENTS[int(found[2][0])]
            moment: dt.date = getattr(window, name)
            day = moment + (dt.date(int(found[2]), int(found[3]), int(found[4])) - stand_in)
            return f"{found[1]}{day.year}, {day.month}, {day.day}"

        return _DATE.sub(put, self.sql)


class Queries:
    """The translated queries of one engine.

    Args:
        con: The engine.
    """

    def __init__(self, con: Backend) -> None:
        self._con = con
        self._made: dict[Hashable, list[_Translation]] = {}

    def sql(
        self,
        key: Hashable,
        window: ObservationWindow,
        build: Callable[[ObservationWindow], ir.Table],
    ) -> str:
        """The SQL of a query in a window.

        Args:
            key: What else the query depends on; queries that differ have different keys.
            window: What is observed.
            build: The query of a window. It may use its `start`, `cutoff`, `label_start` and
                `label_end` and days counted from them, ask what it `observes`, and hold
                `horizon_days` as a literal of 32 bits. It may not reckon with parts of these
                dates, nor with numbers of days made of them, but on the engine.
        """
        return self._translation(key, window, build).at(window)

    def run(
        self,
        key: Hashable,
        window: ObservationWindow,
        build: Callable[[ObservationWindow], ir.Table],
    ) -> pd.DataFrame:
        """What a query gives in a window, rows in no particular order.

        The arguments are those of `sql`.
        """
        translation = self._translation(key, window, build)
        # Straight on the engine: Ibis would translate a long query a second time, and a relation
        # of DuckDB plan it twice.
        frame: pd.DataFrame = self._con.con.execute(translation.at(window)).df()
        return frame.astype(translation.texts)  # a text that is missing everywhere has no type

    def _translation(
        self,
        key: Hashable,
        window: ObservationWindow,
        build: Callable[[ObservationWindow], ir.Table],
    ) -> _Translation:
        made = self._made.setdefault(key, [])
        for translation in made:
            if translation.serves(window):
                return translation
        anywhen = _AnyWindow(_MOMENTS[3][1], _MOMENTS[4][1], 0, _HORIZON, like=window)
        query = build(anywhen)
        sql = self._con.compile(query)
        texts = {name: "str" for name, kind in query.schema().items() if kind.is_string()}
        made.append(_Translation(sql, texts, anywhen.asked))
        return made[-1]
