"""How the candidates did, in a training and at rolling cutoffs, and where to compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from features.reading.addresses import shown_store

from .. import console

if TYPE_CHECKING:
    from training.backtest import Backtest
    from training.result import TrainingResult

    from ..config import Config

__all__ = ["show_backtest", "show_training", "show_where_to_look", "summarise_backtest"]

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


def show_training(result: TrainingResult, champion: str) -> None:
    """Print how the candidates did and what became of the winner.

    Args:
        result: Of the training.
        champion: The version that is champion now, which may have been changed since the gate.
    """
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
    console.say(f"Chosen: {result.winner}")
    version = f"{result.name} version {result.version}"
    in_use = champion == result.version
    if result.promoted == in_use:
        console.say(f"{version} is {'champion' if in_use else 'challenger'}: {result.reason}")
        return
    now = f"version {champion}" if champion else "none"
    console.say(
        f"{version} was {result.outcome} ({result.reason}), but the champion was changed meanwhile "
        f"and is {now} now: regulars promote {result.name} --history says why."
    )


def show_where_to_look(config: Config) -> None:
    """Say how to open the MLflow UI on the runs of this configuration."""
    uri = shown_store(config.mlflow.tracking_uri)
    console.say()
    if uri.startswith("http"):
        page = f"{uri.rstrip('/')}/#/experiments?workflowType=machine_learning"
        console.say(f"Compare the runs: {page}")
        return
    hidden = "" if uri == config.mlflow.tracking_uri else " (with its user and password)"
    console.say(f"Compare the runs: mlflow ui --backend-store-uri {uri}{hidden}")
    console.say("then open http://127.0.0.1:5000/#/experiments?workflowType=machine_learning")


def summarise_backtest(result: Backtest) -> dict[str, Any]:
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


def show_backtest(result: Backtest) -> None:
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
