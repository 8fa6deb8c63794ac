"""`regulars actions`: the decision as the command line changes it, and what a plan comes to."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from features.errors import InputError
from features.schema import nearest

from . import console

if TYPE_CHECKING:
    from serving.actions import Decision

__all__ = ["changed", "show_plan"]

_SHOWN = 12


def changed(
    decision: "Decision",
    *,
    offers: tuple[str, ...] = (),
    budget: float | None = None,
    list_size: int | None = None,
    control_share: float | None = None,
) -> "Decision":
    """The decision with what was said on the command line in the place of the configuration.

    Args:
        decision: Of the configuration.
        offers: Names of the offers to choose from; none: all.
        budget: Most that the list may cost.
        list_size: Most customers who are sent something.
        control_share: Share to hold back.

    Raises:
        InputError: There is no offer of that name.
    """
    known = {each.name: each for each in decision.offers}
    for name in offers:
        if name not in known:
            raise InputError(
                f"There is no offer called {name}.",
                f"{nearest(name, known)} There is: {', '.join(known)}. "
                "Offers stand in [[decision.offers]].".strip(),
            )
    return replace(
        decision,
        offers=tuple(known[name] for name in dict.fromkeys(offers)) or decision.offers,
        budget=decision.budget if budget is None else budget,
        list_size=decision.list_size if list_size is None else list_size,
        control_share=decision.control_share if control_share is None else control_share,
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
