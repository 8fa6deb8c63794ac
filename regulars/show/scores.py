"""The scored list, from the ledger or from a plain table of customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import console

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["show_scored", "show_scored_table", "summarise_scored", "summarise_scored_table"]


def summarise_scored(scored: pd.DataFrame) -> dict[str, Any]:
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


def show_scored(scored: pd.DataFrame) -> None:
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


def _kinds(actions: dict[str, int]) -> list[tuple[str, int]]:
    """Counts of actions, with all suggestions together."""
    found: dict[str, int] = {}
    for action, count in actions.items():
        kind = "suggest" if action.startswith("suggest:") else action
        found[kind] = found.get(kind, 0) + count
    return list(found.items())


def summarise_scored_table(scored: pd.DataFrame) -> dict[str, Any]:
    """Counts of a scored table by status and tier."""
    return {
        "customers": len(scored),
        "status": {str(k): int(v) for k, v in scored["status"].value_counts().items()},
        "risk_tier": {str(k): int(v) for k, v in scored["risk_tier"].value_counts().items()},
        "expected_churners": float(scored["churn_probability"].sum()),
    }


def show_scored_table(scored: pd.DataFrame) -> None:
    """Print the totals, and the customers who are likeliest to leave."""
    summary = summarise_scored_table(scored)
    console.show_table(
        "Scored table",
        ["", ""],
        [
            ["customers", f"{summary['customers']:,}"],
            *[[f"  {status}", f"{count:,}"] for status, count in summary["status"].items()],
            *[[f"  {tier} risk", f"{count:,}"] for tier, count in summary["risk_tier"].items()],
            ["expected to churn", f"{summary['expected_churners']:,.0f}"],
        ],
    )
    top = scored[scored["status"] == "scored"].nlargest(5, "churn_probability")
    if len(top):
        shown = ["customer_id", "churn_probability", "reason_1", "reason_2"]
        rows = top[shown].astype(object).where(top[shown].notna(), "").to_numpy().tolist()
        console.show_table("Likeliest to leave", shown, rows)
