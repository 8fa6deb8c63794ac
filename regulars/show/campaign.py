"""The campaign before it is sent: the experiment it needs, and what its list comes to."""

from __future__ import annotations

from typing import Any

from .. import console

__all__ = ["show_experiment", "show_plan"]

_SHOWN = 12


def show_experiment(planned: dict[str, Any]) -> None:
    """Print a plan as a table and in words."""
    console.say(
        f"Of {planned['active_customers']:,} customers active before {planned['cutoff']}, "
        f"{planned['base']:.1%} bought in the {planned['window_days']} days from then on."
    )
    console.say(
        f"Treating one costs {planned['cost']:.2f}, one more buyer brings {planned['value']:.2f}. "
        f"Looked for: a rise by {100 * planned['effect']:.2f} points, seen with a chance of "
        f"{planned['power']:.0%} (two-sided, 5 %)."
    )
    console.show_table(
        "Customers that the experiment needs",
        [
            "treated",
            "customers",
            "in treatment",
            "in control",
            "days",
            "seen with all",
            "for spend",
        ],
        [
            [
                f"{row['treated_share']:.0%}",
                row["customers"],
                row["treated"],
                row["control"],
                "more than there are" if row["days"] is None else row["days"],
                "" if row["detectable_effect"] is None else f"{row['detectable_effect']:+.2%}",
                row["customers_for_spend"],
            ]
            for row in planned["plans"]
        ],
    )
    console.say(
        "days: until enough customers are there and the last window is over. seen with all: the "
        "smallest rise that all active customers together would show. for spend: customers that "
        "show a rise of the mean spend that pays for the cost."
    )


def show_plan(summary: dict[str, Any]) -> None:
    """Print what a plan comes to, from `serving.campaign_list.summarise`."""
    console.show_table(
        "Campaign",
        ["offer", "contacted", "held back", "expected cost", "expected profit", "breaks even at"],
        [
            [
                each["offer"],
                f"{each['contacted']:,}",
                f"{each['control']:,}",
                f"{each['expected_cost']:,.2f}",
                f"{each['expected_value']:,.2f}",
                _break_even(each),
            ]
            for each in summary["offers"]
        ],
    )
    rest = list(summary["why"].items())
    if rest:
        console.show_table(
            "Nothing is sent to",
            ["why", "customers"],
            [[why, f"{count:,}"] for why, count in rest],
        )
    suggested = {
        action.removeprefix("suggest:"): count
        for action, count in summary["actions"].items()
        if action.startswith("suggest:")
    }
    if suggested:
        console.show_table(
            "Suggested to those who stay",
            ["next", "customers"],
            [[name, f"{count:,}"] for name, count in list(suggested.items())[:_SHOWN]],
        )
    if summary["price"] > 0.0:
        console.say(
            f"The budget is the limit: the last unit of it earns {summary['price']:.2f} beyond "
            "itself."
        )


def _break_even(offer: dict[str, Any]) -> str:
    if offer["break_even_effect"] is None:
        return "-"
    if offer["break_even_save_rate"] is not None:
        return f"a save rate of {offer['break_even_save_rate']:.1%}"
    return f"{offer['break_even_effect']:.0%} of the effect"
