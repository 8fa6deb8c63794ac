"""The measures of the business: the latest period on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import console

if TYPE_CHECKING:
    import pandas as pd

    from features.measures import Found

__all__ = ["show_measures", "summarise_measures"]

_CHANNEL = (
    "cac",
    "clv_historical",
    "clv_classic",
    "clv_predictive",
    "ltv_to_cac",
    "payback_months",
)
"""Measures shown by channel of acquisition, where the first is known."""

_CAMPAIGN = (
    "campaign_effect_purchase",
    "campaign_effect_spend",
    "campaign_effect_retention",
    "campaign_profit",
    "campaign_roi",
    "campaign_balance_p",
)
"""Measures shown by campaign, where the first is known."""


def summarise_measures(found: Found) -> dict[str, Any]:
    """The latest whole period against the one before, what is known over all data, what is not.

    Returns:
        `latest` and `before` (labels, None where there is none), `measures` (name, title, unit,
        before, latest, low, high, n: of everyone in the latest period), `all_data` (name,
        title, unit, value, low, high, n), `missing` (measures, needs) and `notes`.
    """
    from features.measures import find

    table = found.frame[found.frame["segment"] == "all"]
    labels = sorted(set(table["period"]) - {"all"})
    latest, before = ([None, None, *labels][-1], [None, None, *labels][-2])

    def told(rows: pd.DataFrame) -> list[dict[str, Any]]:
        return [
            {"measure": row["measure"], "title": find(row["measure"]).title, **_figures(row)}
            for row in rows.to_dict("records")
        ]

    earlier = table[table["period"] == before].set_index("measure")["value"]
    now = told(table[table["period"] == latest])
    return {
        "latest": latest,
        "before": before,
        "measures": [{**row, "before": earlier.get(row["measure"])} for row in now],
        "all_data": told(table[table["period"] == "all"]),
        "missing": [{"measures": list(m.measures), "needs": m.needs} for m in found.missing],
        "notes": list(found.notes),
    }


def _figures(row: dict[Any, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("value", "low", "high", "n", "unit")}


def show_measures(found: Found) -> None:
    """Print the latest period against the one before, all data, channels, and what is missing."""
    summary = summarise_measures(found)
    if summary["latest"] is not None:
        console.show_table(
            f"{summary['latest']} against {summary['before'] or 'nothing before it'}",
            ["", "unit", "before", "latest", "95 %", "of"],
            [
                [
                    row["title"],
                    _unit(row),
                    _shown(row["before"], row["unit"]),
                    _shown(row["value"], row["unit"]),
                    _interval(row),
                    row["n"],
                ]
                for row in summary["measures"]
            ],
        )
    periodic = {row["measure"] for row in summary["measures"]}
    whole = [row for row in summary["all_data"] if row["measure"] not in periodic]
    if whole:
        console.show_table(
            "Over all data",
            ["", "unit", "value", "95 %", "of"],
            [
                [
                    row["title"],
                    _unit(row),
                    _shown(row["value"], row["unit"]),
                    _interval(row),
                    row["n"],
                ]
                for row in whole
            ],
        )
    _show_wide(found, "By channel of acquisition, over all data", "channel", _CHANNEL)
    _show_wide(found, "Campaigns: treated against control", "campaign", _CAMPAIGN)
    if summary["missing"]:
        console.show_table(
            "Not measured",
            ["measures", "why"],
            [[", ".join(each["measures"]), each["needs"]] for each in summary["missing"]],
        )
    for sentence in summary["notes"]:
        console.say(f"  - {sentence}")


def _show_wide(found: Found, title: str, key: str, names: Sequence[str]) -> None:
    """Print some measures over all data, a row a value of one segment column."""
    table = found.frame
    parts = table["segment"].str.split("=", n=1, expand=True).reindex(columns=range(2))
    own = (parts[0] == key) & ~table["segment"].str.contains("|", regex=False)
    own &= (table["period"] == "all") & table["measure"].isin(names)
    if not (table.loc[own, "measure"] == names[0]).any():
        return
    order = list(dict.fromkeys(table.loc[own, "segment"]))
    values = table[own].pivot_table(index="segment", columns="measure", values="value")
    units = dict(zip(table["measure"], table["unit"], strict=True))
    there = [name for name in names if name in values.columns]
    console.show_table(
        title,
        [key, *(name.removeprefix(f"{key}_").replace("_", " ") for name in there)],
        [
            [segment.partition("=")[2], *(_shown(values[n][segment], units[n]) for n in there)]
            for segment in order
        ],
    )


def _unit(row: dict[str, Any]) -> str:
    return str(row["unit"]).replace("_", " ")


def _interval(row: dict[str, Any]) -> str:
    if row["low"] != row["low"]:
        return ""
    return f"{_shown(row['low'], row['unit'])} to {_shown(row['high'], row['unit'])}"


def _shown(value: float | None, unit: str) -> str:
    if value is None or value != value:
        return "-"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "p_value":
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.2f}"
