"""What became of the customers who were to be forgotten."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from .. import console

if TYPE_CHECKING:
    from serving.forget import Place

__all__ = ["show_forgotten", "summarise_forgotten"]

_STATES = {
    "removed": "removed",
    "found": "would be removed",
    "clean": "not there",
    "remains": "still there",
    "unread": "not looked into",
}
_SHOWN = 20

_BEYOND = (
    "What no command can take back: figures and parameters that models learned from everyone, "
    "copies of lists that were sent elsewhere, logs of earlier commands, and backups."
)
_POSTGRES = (
    "PostgreSQL keeps deleted rows on its disk until the table is vacuumed, and in its log and "
    "copies for as long as those are kept: `VACUUM FULL` of the table writes it anew."
)


def summarise_forgotten(ids: Collection[str], places: Sequence[Place]) -> dict[str, Any]:
    """What was looked at, and who was found nowhere.

    Returns:
        `customers`; `places`, each with name, kind, state, customers, rows (None where they
        were not counted) and remedy; `nowhere`, the ids that are in none of them.
    """
    found: set[str] = set().union(*(place.found for place in places))
    return {
        "customers": len(ids),
        "places": [
            {
                "name": place.name,
                "kind": place.kind,
                "state": place.state,
                "customers": len(place.found),
                "rows": place.rows,
                "remedy": place.remedy,
            }
            for place in places
        ],
        "nowhere": sorted(set(ids) - found),
    }


def show_forgotten(ids: Collection[str], places: Sequence[Place]) -> None:
    """Print every place that was looked at, what a person has to do, and what remains anyway."""
    console.show_table(
        f"Looked for {len(ids):,} customer{'' if len(ids) == 1 else 's'}",
        ["place", "", "rows"],
        [[place.name, _STATES[place.state], place.rows] for place in places],
    )
    for place in places:
        if place.remedy:
            console.say(f"  - {place.name}: {place.remedy}")
    if any(place.state == "removed" and "postgres" in place.name for place in places):
        console.say(f"  - {_POSTGRES}")
    nowhere = summarise_forgotten(ids, places)["nowhere"]
    if nowhere:
        shown = ", ".join(map(_printable, nowhere[:_SHOWN]))
        more = f" and {len(nowhere) - _SHOWN:,} more" if len(nowhere) > _SHOWN else ""
        console.say(f"In none of these places: {shown}{more}.")
    console.say(_BEYOND)


def _printable(text: str) -> str:
    r"""An id that may hold what would steer a terminal.

    >>> _printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
