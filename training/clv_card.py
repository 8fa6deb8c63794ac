"""The model card of a CLV model, from its training, and how sure its measures are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from features.ledger import Ledger
from models.metrics.bootstrap import Interval
from training.clv_candidates import Forecast, Measured
from training.clv_choice import BASELINE
from training.clv_contest import Expected, resample_value
from training.clv_fitting import ClvSettings, Fitting
from training.model_card import bullets, data_section, interval_text, model_card, table
from training.run import escaped

__all__ = ["clv_card", "interval_table"]

_YEAR, _WEEK = 365, 7
_RESAMPLED = tuple(
    f"{what}/{name}" for what in ("purchases", "clv") for name in ("rmse", "bias", "gini")
)
_SHOWN = {
    "purchases/rmse": "error of expected purchases",
    "purchases/bias": "expected minus made, to made",
    "purchases/gini": "order of customers by purchases, 1 is perfect",
    "clv/rmse": "error of expected spend",
    "clv/bias": "expected minus spent, to spent",
    "clv/gini": "order of customers by spend, 1 is perfect",
    "purchases/coverage_90": "share of customers inside their 90 % interval",
    "clv/coverage_90": "share of customers inside their 90 % interval",
}


def interval_table(found: Forecast, naive: Forecast, fitting: Fitting) -> pd.DataFrame:
    """Measures of a forecast in the holdout with the ends of their 95 % intervals, one row each.

    Args:
        found: What the candidate expects.
        naive: What the past rate does.
        fitting: The history before the holdout.
    """
    labels = fitting.history.labels
    nothing = np.full(len(labels), np.nan)
    each = (
        *(labels["future_purchases"], labels["future_spend"], found.purchases, found.spend),
        *(naive.purchases, naive.spend),
    )
    came, spent, purchases, spend, *past = (np.asarray(x, dtype=np.float64) for x in each)
    expected = Expected(purchases, spend, nothing, nothing)
    resampled = resample_value(came, spent, expected, *past, seed=fitting.shop.seed)
    rows = [
        {"measure": key, **resampled.interval(key)._asdict()}
        for key in _RESAMPLED
        if key in resampled.sample
    ]
    return pd.DataFrame(rows, columns=["measure", *Interval._fields])


def clv_card(
    winner: str,
    choice: str,
    measured: Mapping[str, Measured],
    intervals: pd.DataFrame,
    settings: ClvSettings,
    fitting: Fitting,
    ledger: Ledger,
    dates: Mapping[str, Any],
) -> str:
    """Describe the chosen CLV model of a training in Markdown.

    Args:
        winner: The candidate.
        choice: Why it was chosen.
        measured: Candidate -> how it did in the holdout.
        intervals: `interval_table` of the winner.
        settings: How value is counted.
        fitting: The history before the holdout.
        ledger: What the model was made from.
        dates: The cutoffs.
    """
    days = fitting.history.window.horizon_days
    return model_card(
        f"Customer lifetime value: {winner}",
        {
            "Intended use": (
                f"Tells for every customer the purchases and the money to expect in the "
                f"{settings.horizon_days} days after the cutoff, with intervals: the margin of "
                f"{settings.margin:.0%} of spend, discounted by "
                f"{settings.annual_discount_rate:.0%} a year. For budgets, tiers and the value at "
                "stake when a customer may leave. Sums over many customers are surer than any one "
                "of them. Not for prices, credit or anything that weighs on a person's rights."
            ),
            "Measured on a holdout": _measures(winner, measured, intervals, fitting),
            "Limits": bullets(_limits(winner, measured, settings, fitting, ledger)),
            "Data": data_section(ledger),
            "Cutoffs": bullets(
                [
                    (
                        f"Judged on {days} days from {dates['cutoff']}, "
                        f"fitted on what came from {dates['calibration_start']} on before them."
                    ),
                    f"Chosen on earlier cutoffs: {', '.join(dates['backtest']) or 'none'}.",
                    (
                        f"Fitted for use on everything before {dates['final']}; seed "
                        f"{fitting.shop.seed}."
                    ),
                ]
            ),
            "How it was chosen": f"{escaped(choice)}.",
            "How to use it": (
                "`regulars score -o scores.csv` scores everyone with the champion; "
                "`mlflow models serve -m models:/regulars-clv@champion` answers requests. Output: "
                "`p_alive`, `expected_purchases`, `expected_spend`, `clv` with `clv_low` and "
                "`clv_high`, `value_tier`."
            ),
        },
    )


def _measures(
    winner: str, measured: Mapping[str, Measured], intervals: pd.DataFrame, fitting: Fitting
) -> str:
    bounds = intervals[["value", "low", "high"]].itertuples(index=False)
    sure = {key: Interval(*ends) for key, ends in zip(intervals["measure"], bounds, strict=True)}
    found = measured[winner].found
    rows = []
    for key, meaning in _SHOWN.items():
        if key not in found:
            continue
        interval = interval_text(sure[key]) if key in sure else "-"
        rule = measured[BASELINE].found.get(key)
        other = "-" if rule is None else f"{rule:.4g}"
        rows.append([f"{key}: {meaning}", f"{found[key]:.4g}", interval, other])
    labels = fitting.history.labels
    head = (
        f"{len(labels):,} customers, who made {int(labels['future_purchases'].sum()):,} purchases; "
        f"spend as it came, before margin and discount; 95 % intervals, customers resampled. "
        f"{BASELINE}: every customer goes on at the past rate.\n\n"
    )
    return head + table(["measure", "value", "95 %", BASELINE], rows)


def _limits(
    winner: str,
    measured: Mapping[str, Measured],
    settings: ClvSettings,
    fitting: Fitting,
    ledger: Ledger,
) -> list[str]:
    found = []
    days = fitting.history.window.horizon_days
    if days < settings.horizon_days - _WEEK:
        found.append(
            f"Judged on {days} days, used for {settings.horizon_days}: the days beyond are "
            "foretold, not checked."
        )
    if measured[BASELINE].found["clv/rmse"] <= measured[winner].found["clv/rmse"]:
        found.append("The past rate had the lower error of value on this holdout.")
    if (ledger.last_day - ledger.first_day).days < 2 * _YEAR:
        found.append("Less than two years of history: a season can pass for a trend.")
    groups = {
        name: each["clv/bias"]
        for name, (_, each) in measured[winner].groups.items()
        if name != "all" and np.isfinite(each.get("clv/bias", np.nan))
    }
    if groups:
        said = ", ".join(f"{escaped(name)} {value:+.0%}" for name, value in groups.items())
        found.append(f"Bias of value by purchases before the holdout: {said}.")
    found.append(
        "Intervals hold the chance of each customer and the uncertainty of the parameters, not a "
        "world that changes."
    )
    return found
