"""What a run of a churn candidate shows: measures with intervals, tables and figures."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.churn import ChurnModel
from models.metrics.bootstrap import Resampled, resample
from training import figures, metrics
from training.churn_panel import ChurnSettings, Slice
from training.churn_rolling import Rolling
from training.dataset import Holdout
from training.metrics.policies import campaign_policies, profit_curve, stress
from training.run import Run

__all__ = ["REFERENCES", "Judged", "judge", "log_judged", "measures_by_cutoff"]

REFERENCES = {"days_since_last": "recency_rule", "btyd": "btyd"}
"""Rules that every candidate's campaign is held against: candidate -> name of the policy."""

REPLICATES = 300
MANY = 50_000
"""Customers above which fewer resamples do."""


@dataclass(frozen=True)
class Judged:
    """A candidate on the customers of the test cutoff who make up the headline measures.

    Attributes:
        name: Of the candidate.
        churned: 1 churned, 0 stayed.
        p: Its churn probabilities.
        one_time: Who has bought once.
        customers: Who they are.
        value: What each is worth who stays.
        measures: Under the names every run uses.
        resampled: The same measures on resampled customers.
        policies: What campaigns by it and by the rules earn.
        cutoffs: Measures by cutoff and group.
    """

    name: str
    churned: npt.NDArray[np.float64]
    p: npt.NDArray[np.float64]
    one_time: npt.NDArray[np.bool_]
    customers: npt.NDArray[np.object_]
    value: npt.NDArray[np.float64]
    measures: Mapping[str, float]
    resampled: Resampled
    policies: pd.DataFrame
    cutoffs: pd.DataFrame


def judge(
    name: str,
    p: npt.NDArray[np.float64],
    test: Slice,
    rules: Mapping[str, npt.NDArray[np.float64]],
    settings: ChurnSettings,
    cutoffs: pd.DataFrame,
    seed: int,
) -> Judged:
    """Measure a candidate's forecast of the test cutoff.

    Args:
        name: Of the candidate.
        p: Its churn probabilities, for all customers of the slice.
        test: The slice.
        rules: Names of `REFERENCES` -> their probabilities, as long.
        settings: What an offer costs.
        cutoffs: `measures_by_cutoff`.
        seed: Seed of the resampling.
    """
    keep = test.eligible
    y, mine, value = test.churned[keep], p[keep], test.value[keep]
    who = test.customers[keep]
    replicates = REPLICATES if len(y) <= MANY else REPLICATES // 3
    others = {label: q[keep] for label, q in rules.items()}
    return Judged(
        name,
        y,
        mine,
        test.one_time[keep],
        who,
        value,
        metrics.churn_metrics(y, mine, value=value, offer=settings.offer),
        resample(
            y,
            mine,
            who,
            value=value,
            offer=settings.offer,
            replicates=replicates,
            seed=seed,
        ),
        campaign_policies(
            y,
            {**others, "model": mine},
            value,
            settings.offer,
            who,
            replicates=replicates,
            seed=seed,
        ),
        cutoffs,
    )


def measures_by_cutoff(
    rolling: Rolling, name: str, cutoffs: Sequence[dt.date], settings: ChurnSettings
) -> pd.DataFrame:
    """Measures of a candidate's out-of-time forecasts at several cutoffs, by group.

    Returns:
        One row a cutoff and group ("all", "one_time", "repeat"; "all" are the eligible ones,
        the others all of their kind): cutoff, group, customers, churn_rate, mean_p, and the
        measures of `metrics.churn_metrics`.
    """
    rows = []
    for cutoff in cutoffs:
        s = rolling.panel.slices[cutoff]
        p = rolling.probability(name, cutoff)
        groups = {"all": s.eligible, "one_time": s.one_time, "repeat": ~s.one_time}
        for group, members in groups.items():
            if not members.any():
                continue
            y, mine = s.churned[members], p[members]
            found = metrics.churn_metrics(y, mine, value=s.value[members], offer=settings.offer)
            rows.append(
                {
                    "cutoff": str(cutoff),
                    "group": group,
                    "customers": int(members.sum()),
                    "churn_rate": float(y.mean()),
                    "mean_p": float(mine.mean()),
                    **{key.removeprefix("churn/"): value for key, value in found.items()},
                }
            )
    return pd.DataFrame(rows)


def log_judged(run: Run, judged: Judged, test: Holdout, settings: ChurnSettings, seed: int) -> None:
    """Log all that a candidate's run shows of its forecast of the test cutoff."""
    y, p = judged.churned, judged.p
    run.measure(judged.measures, test)
    for prefix, members in (
        ("churn_one_time", judged.one_time),
        ("churn_repeat", ~judged.one_time),
    ):
        if members.any() and not members.all():
            run.measure(metrics.churn_metrics(y[members], p[members], prefix), test)
    run.table("intervals", intervals(judged.resampled))
    run.table("cutoffs", judged.cutoffs)
    run.figure("levels", figures.levels(judged.cutoffs))
    run.figure("calibration", figures.calibration(y, p))
    run.table("calibration", metrics.reliability_table(y, p))
    run.figure("gain_and_lift", figures.gain_and_lift(y, p))
    run.table("gain", _gain(y, p))
    run.figure(
        "deciles",
        figures.deciles(
            y, p, title="Churn by decile of the score", what="churn rate", percent=True
        ),
    )
    run.table("deciles", metrics.decile_table(y, p))
    run.figure("scores", figures.scores(y, p))
    _log_money(run, judged, settings, seed)


def intervals(resampled: Resampled) -> pd.DataFrame:
    """Measures with the ends of their 95 % intervals, one row each."""
    rows = [{"measure": name, **resampled.interval(name)._asdict()} for name in resampled.sample]
    return pd.DataFrame(rows)


def log_importance(run: Run, model: ChurnModel) -> None:
    """Log what a model looks at, by feature and by reason group."""
    run.table("importance", model.importance())
    groups = model.group_importance()
    run.measure({f"importance/{group}": float(value) for group, value in groups.items()})


def _log_money(run: Run, judged: Judged, settings: ChurnSettings, seed: int) -> None:
    run.table("policies", judged.policies)
    curve = profit_curve(
        judged.churned, judged.p, judged.value, settings.offer, judged.customers, seed=seed
    )
    run.table("profit", curve)
    run.figure("profit", figures.profit_curve(curve, judged.policies))
    table = stress(judged.churned, judged.p, judged.value, settings.offer)
    run.table("stress", table)
    run.figure("stress", figures.stress(table))


def _gain(y: npt.NDArray[np.float64], p: npt.NDArray[np.float64]) -> dict[str, object]:
    at, gain = metrics.cumulative_gain(y, p)
    shares = [i / 20 for i in range(1, 21)]
    found = pd.Series(gain, index=at)
    grid = found.reindex(found.index.union(shares)).interpolate("index").loc[shares]
    return {
        "share_contacted": shares,
        "share_of_churners": grid.to_numpy(),
        "lift": grid.to_numpy() / np.array(shares),
    }
