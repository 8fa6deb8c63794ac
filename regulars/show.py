"""Results as readable tables on standard output."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console

if TYPE_CHECKING:
    import pandas as pd

    from features.label_report import LabelReport
    from features.profile import Profile
    from features.quality import QualityReport
    from training.backtest import Backtest
    from training.result import TrainingResult

    from .config import Config

__all__ = [
    "show_backtest",
    "show_label",
    "show_profile",
    "show_quality",
    "show_scored",
    "show_training",
    "show_where_to_look",
    "summarise_backtest",
    "summarise_scored",
]

_SHOWN = (
    "segments/clusters",
    "next/ndcg",
    "new/ndcg",
    "churn/roc_auc",
    "churn/brier",
    "churn/ece",
    "churn/mean_p_minus_rate",
    "churn/lift_at_10",
    "churn/realised_profit",
    "purchases/rmse",
    "purchases/bias",
    "clv/rmse",
    "clv/bias",
    "clv/gini",
    "clv/crps",
    "clv/coverage_90",
)
"""Measures worth a column on a screen; a run has them all."""

_CURVE_DAYS = (10, 20, 30, 60, 90, 120, 180, 270, 365)
"""Points of the D-curve on a screen; the JSON has them all."""


def show_quality(quality: "QualityReport", quarantine: Path) -> None:
    """Say for each table what was read, recognised, accepted and set aside, and why."""
    console.show_table(
        "Rows",
        ["table", "source", "read", "accepted", "set aside", "left out"],
        [
            [name, t.source, t.read, t.accepted, t.read - t.accepted, t.left_out]
            for name, t in quality.tables.items()
        ],
    )
    reasons = [
        [name, reason, count]
        for name, t in quality.tables.items()
        for reason, count in t.quarantined.items()
        if count
    ]
    if reasons:
        console.show_table("Set aside", ["table", "reason", "rows"], reasons)
        console.say(f"The rows themselves, with file and row number: {quarantine}")
    for name, why in quality.skipped.items():
        console.say(f"{name} is not used: {why}")
    for name, table in quality.tables.items():
        for standard, raw in table.recognised.items():
            if standard != raw:
                console.say(f"{name}.{standard} is read from {raw}")
        for column, count in table.unreadable.items():
            console.say(f"{name}.{column}: {count:,} values could not be read and are empty now")
        for note in table.notes:
            console.say(f"{name}: {note}")


def show_where_to_look(config: "Config") -> None:
    """Say how to open the MLflow UI on the runs of this configuration."""
    uri = config.mlflow.tracking_uri
    console.say()
    if uri.startswith("http"):
        console.say(f"Compare the runs: {uri}/#/experiments?workflowType=machine_learning")
    else:
        console.say(f"Compare the runs: mlflow ui --backend-store-uri {uri}")
        console.say("then open http://127.0.0.1:5000/#/experiments?workflowType=machine_learning")


def show_profile(profile: "Profile") -> None:
    """Print what the transactions hold, the churn rate by cutoff, and the data gate."""
    rows: list[list[object]] = [
        ["transactions", profile.rows],
        ["customers", profile.customers],
        ["  with a purchase", profile.buyers],
        ["  with one purchase only", f"{profile.one_time_share:.1%}"],
        ["purchases", profile.purchases],
        ["history", f"{profile.first_day} to {profile.last_day}, {_days(profile.history_days)}"],
        ["returns", f"{profile.returns:,} ({profile.returned_share:.1%} of sales)"],
        [
            "without a customer",
            f"{profile.without_customer:,} ({profile.without_customer_share:.1%})",
        ],
        ["exact duplicates set aside", profile.duplicates],
        ["exact duplicates kept", profile.duplicates_kept],
        ["closed weekdays", ", ".join(profile.closed_weekdays) or "none"],
        ["days without sales", profile.days_without_sales],
    ]
    console.show_table("Transactions", ["", ""], rows)
    if profile.gaps:
        console.show_table(
            "Gaps: no sales for longer than chance explains",
            ["from", "to", "days"],
            [[gap.first, gap.last, gap.days] for gap in profile.gaps],
        )
    if profile.churn:
        console.show_table(
            f"Base churn rate: no purchase in {profile.horizon_days} days",
            ["cutoff", "customers", "churned", "rate", "one-time", "repeat", "came back after"],
            [
                [
                    c.cutoff,
                    c.customers,
                    c.churned,
                    *map(_share, (c.rate, c.one_time_rate, c.repeat_rate, c.reactivation_rate)),
                ]
                for c in profile.churn
            ],
        )
    console.show_table(
        "Is it enough to learn from?",
        ["check", "met", "what it means"],
        [[check.check.replace("_", " "), check.ok, check.words] for check in profile.gate],
    )


def show_label(report: "LabelReport") -> None:
    """Print what the label report comes to, points of the D-curve, and other horizons."""
    spec, curve = report.spec, report.curve
    gap = f", {_days(spec.gap_days)} after the cutoff" if spec.gap_days else ""
    console.say(f"The label: no purchase in {_days(spec.horizon_days)}{gap}")
    for line in report.words:
        console.say(f"  - {line}")
    console.say()
    if curve is not None:
        shown = {point.days: point for point in curve.points}
        marked = {curve.best_days, spec.horizon_days}
        days = sorted(day for day in {*marked, *_CURVE_DAYS} if day in shown)
        console.show_table(
            f"Silence: who came back within {_days(curve.follow_up_days)}, "
            f"{len(curve.cutoffs)} cutoffs",
            [
                "days without a purchase",
                "called churned",
                "of them came back",
                "back but called churned",
                "gone but called active",
                "",
            ],
            [
                [
                    day,
                    shown[day].called_churned,
                    _share(shown[day].false_churn),
                    _share(shown[day].type_1),
                    _share(shown[day].type_2),
                    _mark(day, curve.best_days, spec.horizon_days),
                ]
                for day in days
            ],
        )
    if report.sensitivity:
        gaps = sorted({each.gap_days for each in report.sensitivity})
        at = {(each.horizon_days, each.gap_days): each for each in report.sensitivity}
        horizons = sorted({each.horizon_days for each in report.sensitivity})
        count = len(report.sensitivity_cutoffs)
        console.show_table(
            f"Other horizons and gaps, {count} cutoff{'' if count == 1 else 's'}: "
            "churn rate / came back in the next horizon",
            ["horizon", *(f"gap {gap}" for gap in gaps)],
            [
                [
                    _days(horizon),
                    *(
                        f"{_share(at[horizon, gap].rate)} / "
                        f"{_share(at[horizon, gap].reactivation_rate)}"
                        for gap in gaps
                    ),
                ]
                for horizon in horizons
            ],
        )


def _mark(day: int, best: int, horizon: int) -> str:
    return ", ".join(
        word for word, at in (("best", best), ("horizon in use", horizon)) if day == at
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _days(count: int) -> str:
    return f"{count:,} day{'' if count == 1 else 's'}"


def show_training(result: "TrainingResult") -> None:
    """Print how the candidates did and what became of the winner."""
    measured = result.metrics
    shown = [name for name in _SHOWN if name in measured.columns]
    shown += [str(name) for name in measured.columns if str(name).endswith("/qini_area")]
    how = "out of fold" if "folds" in result.cutoffs.get("evaluation", {}) else "out of time"
    console.show_table(
        f"{result.name}: candidates, {how}",
        ["candidate", *shown],
        [[str(name), *row] for name, *row in measured[shown].itertuples()],
    )
    if not result.version:
        console.say(f"{result.name}: nothing is registered, because {result.reason}.")
        return
    state = "champion" if result.promoted else "challenger"
    console.say(f"Chosen: {result.winner}")
    console.say(f"{result.name} version {result.version} is {state}: {result.reason}")


def summarise_backtest(result: "Backtest") -> dict[str, Any]:
    """The CLV candidates against the past rate, the choice, and what failed."""
    from training.clv_choice import grades

    graded = grades(result.clv.table)
    plain = graded.astype(object).where(graded.notna(), None)
    return {
        "measurements": len(result.table),
        "clv": [{"candidate": str(name), **row.to_dict()} for name, row in plain.iterrows()],
        "choice": result.clv.choice.reason,
        "failed": dict(result.clv.failed),
    }


def show_backtest(result: "Backtest") -> None:
    """Print how the candidates of both families did on average."""
    summary = summarise_backtest(result)
    console.show_table(
        "CLV at rolling cutoffs, means; skill is against the rule that the past rate continues",
        ["candidate", "loss", "skill", "better at", "purchases bias", "value bias", "value Gini"],
        [
            [
                each["candidate"],
                each["loss"],
                each["skill"],
                f"{each['wins']} of {each['cutoffs']}",
                *(each[name] for name in ("purchases_bias", "value_bias", "value_gini")),
            ]
            for each in summary["clv"]
        ],
    )
    console.say(f"Taken: {summary['choice']}")
    churn = result.table[result.table["family"] == "churn"]
    if len(churn):
        mean = churn.pivot_table(index="candidate", columns="metric", values="value")
        names = [name for name in _SHOWN if name in mean.columns]
        console.show_table(
            "Churn at rolling cutoffs, means",
            ["candidate", *names],
            [[str(name), *row] for name, *row in mean[names].itertuples()],
        )


def summarise_scored(scored: "pd.DataFrame") -> dict[str, Any]:
    """Counts of a scored list by status and tier, and its totals."""
    done = scored[scored["status"] == "scored"]
    return {
        "customers": len(scored),
        "status": {str(k): int(v) for k, v in scored["status"].value_counts().items()},
        "risk_tier": {str(k): int(v) for k, v in done["risk_tier"].value_counts().items()},
        "value_tier": {str(k): int(v) for k, v in done["value_tier"].value_counts().items()},
        "expected_churners": float(done["churn_probability"].sum()),
        "expected_purchases": float(done["expected_purchases"].sum()),
        "clv": float(done["clv"].sum()),
        "action": {str(k): int(v) for k, v in done["action"].value_counts().items()},
        "expected_value": float(done["expected_value"].sum()),
    }


def _kinds(actions: dict[str, int]) -> list[tuple[str, int]]:
    """Counts of actions, with all suggestions together."""
    found: dict[str, int] = {}
    for action, count in actions.items():
        kind = "suggest" if action.startswith("suggest:") else action
        found[kind] = found.get(kind, 0) + count
    return list(found.items())


def show_scored(scored: "pd.DataFrame") -> None:
    """Print the list's totals, its tiers, and the most valuable customers at high risk."""
    summary = summarise_scored(scored)
    console.show_table(
        "Scored list",
        ["", ""],
        [
            ["customers", f"{summary['customers']:,}"],
            *[[f"  {status}", f"{count:,}"] for status, count in summary["status"].items()],
            ["expected to churn", f"{summary['expected_churners']:,.0f}"],
            ["expected purchases", f"{summary['expected_purchases']:,.0f}"],
            ["CLV", f"{summary['clv']:,.0f}"],
            ["expected profit of the actions", f"{summary['expected_value']:,.0f}"],
            *[[f"  {action}", f"{count:,}"] for action, count in _kinds(summary["action"])],
        ],
    )
    at_risk = scored[(scored["status"] == "scored") & (scored["risk_tier"] != "low")]
    top = at_risk.assign(at_stake=at_risk["churn_probability"] * at_risk["clv"]).nlargest(
        5, "at_stake"
    )
    if len(top):
        console.show_table(
            "Most at stake",
            ["customer_id", "churn_probability", "clv", "reason"],
            top[["customer_id", "churn_probability", "clv", "reason_1"]].to_numpy().tolist(),
        )
