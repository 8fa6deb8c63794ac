"""Which CLV candidate to take: the rule, and the table it reads.

The loss of a candidate at one cutoff asks three things of its purchases and of its value: how far
off it is for a customer (RMSE, against the rule "the past rate continues"), how far off the total
is (the bias without its sign; foretelling nothing has 1), and how far off the order is (1 minus
the normalised Gini; a random order has 1). The loss is the mean of the six; 0 is perfect. No
single one will do: RMSE hardly feels a total that is 15 % low, a good order says nothing of the
level, and absolute error and CRPS reward whoever foretells nothing where most buy nothing.

Over several cutoffs losses are averaged. The first candidate, MBG/NBD, is taken unless another
one's mean loss is at least 1 % lower; then the one with the lowest. Rules are measured, but not
taken. Cutoffs with less than twice the horizon of history behind them are looked at, but do not
count: the holdout, too, leaves two parts to learn from for one part to foretell, and what learns
needs history to show what it can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = [
    "BASELINE",
    "HISTORY_PARTS",
    "LOSS_PARTS",
    "RULE",
    "Choice",
    "choose",
    "grades",
    "losses",
]

BASELINE = "past_rate"
"""The rule that losses are measured against."""

HISTORY_PARTS = 2
"""Horizons of history that a cutoff needs behind it to count."""

LOSS_PARTS = tuple(
    f"{what}/{part}" for what in ("purchases", "clv") for part in ("rmse", "bias", "gini")
)
"""Measures that the loss is made of."""

_CLEARLY = 0.01

RULE = (
    "the first candidate unless another one's mean loss is at least 1 % lower, then the one with "
    "the lowest; over the cutoffs with at least twice the horizon of history; the loss is the mean "
    "of RMSE against the past rate's, bias without its sign, and 1 minus the normalised Gini, of "
    "purchases and of value"
)


@dataclass(frozen=True)
class Choice:
    """The candidate to take.

    Attributes:
        winner: Its name.
        reason: One sentence.
        losses: Candidates x cutoffs that count; empty where there was nothing to choose by.
    """

    winner: str
    reason: str
    losses: pd.DataFrame


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """Loss of each candidate at each cutoff.

    Args:
        table: A backtest: columns cutoff, group, candidate, metric, value.

    Returns:
        Candidates in the order of the table x cutoffs. A candidate that could not be fitted at a
        cutoff has no value there.

    >>> rows = [
    ...     ("2024-01-01", "all", name, f"{what}/{part}", value)
    ...     for what in ("purchases", "clv")
    ...     for name, values in (("mbg_nbd", (3.0, -0.15, 0.7)), ("past_rate", (4.0, 0.4, 0.6)))
    ...     for part, value in zip(("rmse", "bias", "gini"), values)
    ... ]
    >>> columns = ["cutoff", "group", "candidate", "metric", "value"]
    >>> losses(pd.DataFrame(rows, columns=columns)).round(3).to_dict()
    {'2024-01-01': {'mbg_nbd': 0.4, 'past_rate': 0.6}}
    """
    parts = table[table["metric"].isin(LOSS_PARTS) & (table["group"] == "all")]
    names = list(dict.fromkeys(parts["candidate"]))
    naive = parts[parts["candidate"] == BASELINE].set_index(["cutoff", "metric"])["value"]
    against = naive.where(naive > 0)  # a rule without error can only be equalled
    at = pd.MultiIndex.from_frame(parts[["cutoff", "metric"]])
    value = parts["value"]
    loss = value.abs()
    loss = loss.where(~parts["metric"].str.endswith("/rmse"), value / against.reindex(at).array)
    loss = loss.where(~parts["metric"].str.endswith("/gini"), 1.0 - value)
    long = parts.assign(loss=loss)
    mean, count = (
        long.pivot_table(index="candidate", columns="cutoff", values="loss", aggfunc=what)
        for what in ("mean", "count")
    )
    out = mean.where(count == len(LOSS_PARTS)).reindex(names)
    out.columns = [str(cutoff) for cutoff in out.columns]
    return out.rename_axis(index="candidate", columns="cutoff")


def choose(table: pd.DataFrame, order: Sequence[str]) -> Choice:
    """Apply `RULE`.

    Args:
        table: A backtest with the columns of `losses`, history_days and horizon_days; may be
            empty.
        order: Candidates that may be taken, the preferred one first, at least one.

    Returns:
        The choice. Without a backtest it is the first of `order`.
    """
    found = losses(table) if len(table) else pd.DataFrame()
    if len(table):
        enough = table["history_days"] >= HISTORY_PARTS * table["horizon_days"]
        counts = [column for column in found if column in set(table.loc[enough, "cutoff"])]
        found = found[counts]
    usable = found.loc[[name for name in order if name in found.index]].dropna()
    if usable.empty or not usable.shape[1]:
        return Choice(
            order[0],
            f"{order[0]}: the history before the holdout is too short to choose by",
            found,
        )
    mean = usable.mean(axis=1)
    first, best = str(mean.index[0]), str(mean.idxmin())
    winner = best if mean[best] <= (1.0 - _CLEARLY) * mean[first] else first
    cutoffs = usable.shape[1]
    over = f"{cutoffs} earlier cutoff" + ("s" if cutoffs > 1 else "")
    said = f"{winner}: mean loss {mean[winner]:.3f} over {over}"
    if winner != first:
        said += f" against {mean[first]:.3f} of {first}"
    elif winner != best:
        said += f"; {best} has {mean[best]:.3f}, which is less than 1 % lower"
    return Choice(winner, said, found)


def grades(table: pd.DataFrame) -> pd.DataFrame:
    """Each candidate against the past rate, in one row.

    Args:
        table: A backtest.

    Returns:
        Index candidate, the lowest loss first: `loss` (mean over cutoffs), `skill` (1 minus the
        loss over the past rate's; above 0 is better), `cutoffs` (at which it was measured),
        `wins` (at which it was better), and the means over cutoffs of `purchases_rmse`,
        `purchases_bias`, `value_rmse`, `value_bias`, `value_gini` and `coverage_90`, missing where
        undefined.
    """
    found = losses(table)
    everybody = table[table["group"] == "all"]
    mean = everybody.pivot_table(index="candidate", columns="metric", values="value")
    naive = found.loc[BASELINE] if BASELINE in found.index else pd.Series(dtype=float)
    out = pd.DataFrame(
        {
            "loss": found.mean(axis=1),
            "skill": 1.0 - found.div(naive, axis=1).mean(axis=1),
            "cutoffs": found.notna().sum(axis=1),
            "wins": found.lt(naive, axis=1).sum(axis=1),
        }
    )
    for name, metric in (
        ("purchases_rmse", "purchases/rmse"),
        ("purchases_bias", "purchases/bias"),
        ("value_rmse", "clv/rmse"),
        ("value_bias", "clv/bias"),
        ("value_gini", "clv/gini"),
        ("coverage_90", "clv/coverage_90"),
    ):
        out[name] = mean[metric].reindex(out.index) if metric in mean else np.nan
    return out.sort_values("loss", kind="stable")
