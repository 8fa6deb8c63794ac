"""The segments of the customers: how many, how much they are worth, how many will leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import console

if TYPE_CHECKING:
    import pandas as pd

    from ..segments import Segmented

__all__ = ["show_segments", "summarise_segmented"]


def summarise_segmented(found: Segmented, scored: pd.DataFrame) -> dict[str, Any]:
    """Sizes, value and churn by RFM segment and cluster, and the value x risk matrix."""
    from models.playbook import matrix
    from serving.segments import summarise_segments

    tables = {
        "rfm_segments": summarise_segments(found.frame, scored),
        "matrix": matrix(scored),
        "clusters": summarise_segments(found.frame, scored, "cluster"),
    }
    said = {
        name: table.astype(object).where(table.notna(), None).to_dict("records")
        for name, table in tables.items()
    }
    return {"customers": len(found.frame), **said}


def show_segments(found: Segmented, scored: pd.DataFrame) -> None:
    """Print the RFM segments, the value x risk matrix and the clusters."""
    summary = summarise_segmented(found, scored)
    headers = ["customers", "share", "CLV", "of CLV", "churn", "CLV at risk"]

    def cells(row: dict[str, Any]) -> list[Any]:
        return [
            f"{row['customers']:,}",
            console.percent(row["share"]),
            f"{row['clv']:,.0f}",
            console.percent(row["clv_share"]),
            console.percent(row["churn_probability"]),
            f"{row['value_at_risk']:,.0f}",
        ]

    console.show_table(
        "RFM segments",
        ["segment", *headers],
        [[row["rfm_segment"], *cells(row)] for row in summary["rfm_segments"]],
    )
    console.show_table(
        "Value and risk",
        ["value", "risk", "playbook", "customers", "share", "CLV", "churn", "CLV at risk"],
        [
            [
                row["value_tier"],
                row["risk_tier"],
                row["playbook"],
                f"{row['customers']:,}",
                console.percent(row["share"]),
                f"{row['clv']:,.0f}",
                console.percent(row["churn_probability"]),
                f"{row['value_at_risk']:,.0f}",
            ]
            for row in summary["matrix"]
        ],
    )
    if summary["clusters"]:
        console.show_table(
            "Clusters",
            ["cluster", *headers],
            [[row["cluster"], *cells(row)] for row in summary["clusters"]],
        )
    else:
        console.say(f"No clusters: {found.segments.card.get('no_clusters')}.")
