"""Who is champion, and who was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import console

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from training.champions import Reign

    from ..promotion import Promotion

__all__ = ["show_history", "show_promotion"]


def show_promotion(made: Promotion) -> None:
    """Print what was done."""
    before = f", in place of version {made.before}" if made.before else ""
    console.say(f"{made.name} version {made.version} is champion now{before}: {made.why}")


def show_history(history: Mapping[str, Sequence[Reign]]) -> None:
    """Print who was champion when, the latest first."""
    for name, reigns in history.items():
        if not reigns:
            console.say(f"{name} has never had a champion.")
            continue
        console.show_table(
            f"{name}: champions (times are UTC)",
            ["version", "from", "until", "way", "why"],
            [
                [
                    reign.version or "none",
                    _time(reign.since),
                    _time(reign.until) or "now",
                    f"{reign.way} ({reign.by})" if reign.by else reign.way,
                    reign.why,
                ]
                for reign in reversed(reigns)
            ],
        )


def _time(iso: str) -> str:
    return iso[:16].replace("T", " ")
