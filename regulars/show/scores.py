"""The scored list, from the ledger or from a plain table of customers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .. import console

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ScoredSummary", "show_scored", "show_scored_table", "summarise_scored_table"]


class ScoredSummary:
    """What a scored list comes to, from its blocks.

    Attributes:
        customers: Length of the list.
        top: The five customers with most at stake.
    """

    def __init__(self) -> None:
        self.customers = 0
        self.top: pd.DataFrame | None = None
        self._counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("status", "risk_tier", "value_tier", "action")
        }
        self._totals = dict.fromkeys(
            ("churn_probability", "expected_purchases", "clv", "expected_value"), 0.0
        )

    def add(self, scored: pd.DataFrame) -> None:
        """Take a block."""
        import pandas as pd

        done = scored[scored["status"] == "scored"]
        self.customers += len(scored)
        for name, counts in self._counts.items():
            rows = scored if name == "status" else done
            counts.update({str(k): int(v) for k, v in rows[name].value_counts().items()})
        for name in self._totals:
            self._totals[name] += float(done[name].sum())
        at_risk = done[done["risk_tier"] != "low"]
        top = at_risk.assign(at_stake=at_risk["churn_probability"] * at_risk["clv"])
        both = top if self.top is None else pd.concat([self.top, top])
        self.top = both.nlargest(5, "at_stake")

    @property
    def said(self) -> dict[str, Any]:
        """Counts by status, tier and action, and totals."""
        counts = {name: dict(found.most_common()) for name, found in self._counts.items()}
        totals = self._totals
        return {
            "customers": self.customers,
            "status": counts["status"],
            "risk_tier": counts["risk_tier"],
            "value_tier": counts["value_tier"],
            "expected_churners": totals["churn_probability"],
            "expected_purchases": totals["expected_purchases"],
            "clv": totals["clv"],
            "action": counts["action"],
            "expected_value": totals["expected_value"],
        }


def show_scored(scored: ScoredSummary) -> None:
    """Print the list's totals, its tiers, and the most valuable customers at high risk."""
    summary, top = scored.said, scored.top
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
    if top is not None and len(top):
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
