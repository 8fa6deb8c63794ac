"""What monitoring found: first what needs a person, then the rest by area, then what to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .. import console

if TYPE_CHECKING:
    from serving.monitor import Monitoring

__all__ = ["show_monitoring", "summarise_monitoring"]

_AREAS = {
    "breaks": "breaks in the data",
    "data": "arrival of data",
    "model": "models in use",
    "performance": "lists that are over",
    "early": "early returns",
    "estimate": "lists that still run",
    "score_drift": "predictions",
    "drift": "inputs",
}
_DO = {
    "train": "train",
    "look_first": "look at the data first",
    "retrain": "retrain now",
    "wait": "retrain on",
    "nothing": "nothing until",
}
_MOST = 15
"""Findings worth watching on a screen; the file and the JSON have them all."""


def summarise_monitoring(found: Monitoring) -> dict[str, Any]:
    """Everything that was found.

    Returns:
        `as_of`, `severity` (the gravest), `findings` (in order, a mapping each), `advice` (name,
        action, day, reason, code, by_hand) and `missing` (code, subject, day, words).
    """
    return {
        "as_of": found.as_of,
        "severity": found.severity,
        "findings": [asdict(one) for one in found.findings],
        "advice": [asdict(one) for one in found.advice],
        "missing": [asdict(one) for one in found.lacks],
    }


def show_monitoring(found: Monitoring) -> None:
    """Print it for a person."""
    urgent = [one for one in found.findings if one.severity == "act"]
    watched = [one for one in found.findings if one.severity == "watch"]
    # A group says what its columns say.
    single = [one for one in watched if not one.subject.startswith("group:")]
    console.say(
        f"{found.as_of}: {len(urgent)} finding{'' if len(urgent) == 1 else 's'} "
        f"need{'s' if len(urgent) == 1 else ''} a person, {len(watched)} to watch, "
        f"{len(found.findings) - len(urgent) - len(watched)} fine."
    )
    for one in urgent:
        console.say(f"  ! {one.words}")
        console.say(f"    {one.remedy}")
    for one in single[:_MOST]:
        console.say(f"  - {one.words}")
    if len(single) > _MOST:
        console.say(f"  - and {len(single) - _MOST} more: write them with -o, or use --json.")
    rows: list[list[object]] = []
    for area, name in _AREAS.items():
        here = [one.severity for one in found.findings if one.area == area]
        if here:
            rows.append([name, *(here.count(severity) for severity in ("act", "watch", "fine"))])
    console.show_table("What was looked at", ["", "a person", "watch", "fine"], rows)
    console.show_table(
        "Advice",
        ["model", "do", "because"],
        [
            [one.name, _DO[one.action] + (f" {one.day}" if one.day else ""), one.reason]
            for one in found.advice
        ],
    )
    for lack in found.lacks:
        console.say(f"Not looked at: {lack.words}")
