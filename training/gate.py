"""The gate: is a new model as good as the one in use, on the same later customers?

Both forecast the same customers as of the same day, and neither has seen what came after it. The
customers are drawn again, the same ones for both (`models.metrics.bootstrap`), which gives every
difference an interval. A difference counts as sure if the whole 95 % interval lies on one side of
zero and the difference is larger than a margin below which nobody would notice.

The rule. The new model, the challenger, is

- refused if it is surely worse by any yardstick, money or calibration;
- promoted if it is surely better by one and surely worse by none;
- promoted, too, if it is newer (fitted on later or corrected data, or for what is asked now) and
  not likely worse: fewer than four in five draws show it worse by more than the margin, on the
  yardsticks that lead. Customers change, so of two models that are equally good the one that has
  seen the latest of them is the better bet. "Not surely worse" alone would not do: with few
  customers hardly anything is sure;
- kept waiting otherwise, and the champion stays.

Swap the two and every difference changes its sign: whoever is refused against a model would have
been surely better or as good in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from models.metrics.bootstrap import Difference, Resampled

__all__ = ["LIKELY", "RULE", "Outcome", "Verdict", "Yardstick", "judge"]

Outcome = Literal["promoted", "kept", "refused"]

RULE = (
    "refused if surely worse than the champion in money or calibration on the same later "
    "customers; promoted if surely better in one; promoted if newer and not likely worse; else "
    "kept. Sure: the 95 % interval (customers resampled, paired) lies on one side of zero, and the "
    "difference is larger than the margin. Likely: so it is in 80 % of the draws"
)

LIKELY = 0.8
"""Share of the draws that must show a newer model worse than the margin for it to wait."""


@dataclass(frozen=True)
class Yardstick:
    """One measure that the two are held against.

    Attributes:
        name: Of the measure in a `Resampled`.
        words: What a sentence calls it.
        about: "money" or "calibration" decide, "ranking" too where there is neither; "shown" only
            stands in the table.
        margin: A difference up to this counts as none.
        relative: Whether the margin is a share of the larger of the two values.
        higher_is_better: Whether more is better.
        leads: Whether a newer model waits if it is likely worse by this one.
    """

    name: str
    words: str
    about: Literal["money", "calibration", "ranking", "shown"]
    margin: float
    relative: bool = True
    higher_is_better: bool = False
    leads: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        outcome: What becomes of the challenger.
        reason: What it rests on, in words and figures.
        table: One row a yardstick: `measure`, `about`, `challenger`, `champion`, `difference`
            (challenger minus champion) with `low` and `high`, `margin`, and `verdict` ("better",
            "worse", "no sure difference", "undefined").
    """

    outcome: Outcome
    reason: str
    table: pd.DataFrame


def judge(
    ours: Resampled, theirs: Resampled, yardsticks: Sequence[Yardstick], *, newer: bool
) -> Verdict:
    """Apply `RULE`.

    Args:
        ours: The challenger's measures.
        theirs: The champion's, on the same draws.
        yardsticks: What counts, the most important first.
        newer: Whether the challenger is newer than the champion.

    Raises:
        ValueError: The two were not measured on the same draws.
    """
    rows = []
    sure: dict[str, list[str]] = {"better": [], "worse": []}
    behind, said = [], []
    for stick in yardsticks:
        a, b = (each.sample.get(stick.name, np.nan) for each in (ours, theirs))
        if not np.isfinite([a, b]).all():
            rows.append(_row(stick, a, b, Difference(*[np.nan] * 4), np.nan, "undefined"))
            continue
        found = ours.minus(theirs, stick.name)
        margin = stick.margin * max(abs(a), abs(b)) if stick.relative else stick.margin
        verdict = _verdict(stick, found, margin)
        rows.append(_row(stick, a, b, found, margin, verdict))
        if stick.about == "shown":
            continue
        said.append(words := _words(stick, a, b, found))
        if verdict in sure:
            sure[verdict].append(words)
        if stick.leads and _share_worse(stick, ours, theirs, margin) >= LIKELY:
            behind.append(words)
    outcome, reason = _decide(sure, behind, said, newer)
    return Verdict(outcome, reason, pd.DataFrame(rows))


def _decide(
    sure: dict[str, list[str]], behind: list[str], said: list[str], newer: bool
) -> tuple[Outcome, str]:
    if sure["worse"]:
        return "refused", f"surely worse: {'; '.join(sure['worse'])}"
    if sure["better"]:
        return "promoted", f"surely better, and worse in nothing: {'; '.join(sure['better'])}"
    everything = "; ".join(said) or "nothing could be measured"
    if not newer:
        return "kept", f"neither newer nor surely better: {everything}"
    if behind:
        return "kept", f"newer, but likely worse: {'; '.join(behind)}"
    if not said:
        return "kept", everything
    return "promoted", f"newer and as good: {everything}"


def _worse_by(stick: Yardstick, difference: Any) -> Any:
    return -difference if stick.higher_is_better else difference


def _share_worse(stick: Yardstick, ours: Resampled, theirs: Resampled, margin: float) -> float:
    """Share of the draws in which ours is worse by more than the margin."""
    drawn = ours.replicates[stick.name] - theirs.replicates[stick.name]
    drawn = drawn[np.isfinite(drawn)]
    return float((_worse_by(stick, drawn) > margin).mean()) if drawn.size else 0.0


def _verdict(stick: Yardstick, found: Difference, margin: float) -> str:
    if not np.isfinite([found.value, found.low, found.high]).all():
        return "undefined"
    if abs(found.value) <= margin or found.low <= 0.0 <= found.high:
        return "no sure difference"
    return "worse" if _worse_by(stick, found.value) > 0.0 else "better"


def _words(stick: Yardstick, ours: float, theirs: float, found: Difference) -> str:
    same = found.low == found.high == found.value == 0.0
    span = "no difference" if same else f"difference {found.low:+.2g} to {found.high:+.2g}"
    return f"{stick.words} {ours:.4g} against {theirs:.4g} ({span})"


def _row(
    stick: Yardstick, ours: float, theirs: float, found: Difference, margin: float, verdict: str
) -> dict[str, object]:
    return {
        "measure": stick.name,
        "about": stick.about,
        "challenger": ours,
        "champion": theirs,
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "margin": margin,
        "verdict": verdict,
    }
