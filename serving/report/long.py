"""Reading the long table of measures."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["Long", "parts"]


def parts(segment: str) -> dict[str, str]:
    """The parts of a segment.

    >>> parts("cohort=2024-01|age=3"), parts("all")
    ({'cohort': '2024-01', 'age': '3'}, {})
    """
    return dict(part.split("=", 1) for part in segment.split("|") if "=" in part)


class Long:
    """The long table, by measure.

    Args:
        table: measure, period, segment, value, low, high, n, unit.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self._groups = {str(name): rows for name, rows in table.groupby("measure", sort=False)}
        self._empty = table.iloc[:0]

    def __contains__(self, measure: object) -> bool:
        return measure in self._groups

    def rows(self, measure: str) -> pd.DataFrame:
        """All rows of a measure."""
        return self._groups.get(measure, self._empty)

    def series(self, measure: str, segment: str = "all", last: int | None = None) -> pd.DataFrame:
        """The whole periods of one segment, in order of time."""
        rows = self.rows(measure)
        found = rows[(rows["segment"] == segment) & (rows["period"] != "all")]
        found = found.sort_values("period", kind="stable")
        return found if last is None else found.tail(last)

    def value(self, measure: str, segment: str = "all", period: str = "all") -> float:
        """One figure, NaN where there is none."""
        rows = self.rows(measure)
        found = rows[(rows["segment"] == segment) & (rows["period"] == period)]
        return float(found["value"].iloc[0]) if len(found) else float("nan")

    def by(self, measure: str, *keys: str, period: str | None = "all") -> pd.DataFrame:
        """The rows whose segment has just these keys, with a column for each.

        Args:
            measure: Its name.
            keys: Of the segment, such as "channel".
            period: Only that one; None: any.
        """
        rows = self.rows(measure)
        if period is not None:
            rows = rows[rows["period"] == period]
        split = [parts(str(segment)) for segment in rows["segment"]]
        fits = [set(found) == set(keys) for found in split]
        kept = [found for found, fit in zip(split, fits, strict=True) if fit]
        chosen = rows[np.array(fits, dtype=bool)].copy()
        for key in keys:
            chosen[key] = [found[key] for found in kept]
        return chosen

    def newest(self, measure: str, *keys: str) -> pd.DataFrame:
        """As `by`, for all time, or else for the latest period that has such rows."""
        found = self.by(measure, *keys)
        if len(found):
            return found
        every = self.by(measure, *keys, period=None)
        return every[every["period"] == every["period"].max()] if len(every) else every

    def year_before(self, measure: str, period: str) -> float:
        """The figure of the same period a year earlier, NaN where there is none."""
        return self.value(measure, period=f"{int(period[:4]) - 1}{period[4:]}")
