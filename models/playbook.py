"""The value x risk matrix: what each of its nine cells stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from .base import TIERS, ModelError
from .messages.plays import PLAY_TEXTS

__all__ = ["PLAYBOOK", "Play", "matrix", "play", "play_of"]

PLAYBOOK: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("high", "high"): "save",
        ("high", "medium"): "protect",
        ("high", "low"): "reward",
        ("medium", "high"): "win_back",
        ("medium", "medium"): "remind",
        ("medium", "low"): "grow",
        ("low", "high"): "let_go",
        ("low", "medium"): "automate",
        ("low", "low"): "welcome",
    }
)
"""(value tier, risk tier) -> code of the play, the most valuable first."""


@dataclass(frozen=True)
class Play:
    """What to do with the customers of a cell.

    Attributes:
        code: As in `PLAYBOOK`; the same in every language.
        value_tier: low, medium or high.
        risk_tier: low, medium or high.
        title: Two or three words.
        text: One or two sentences.
    """

    code: str
    value_tier: str
    risk_tier: str
    title: str
    text: str


def play(value_tier: str, risk_tier: str, language: str = "en") -> Play:
    """Return what a cell of the matrix stands for.

    Raises:
        ModelError: There is no such tier, or no text in the language.

    >>> play("high", "high").title
    'Save'
    """
    if (value_tier, risk_tier) not in PLAYBOOK:
        raise ModelError(f"tiers are {', '.join(TIERS)}, not {value_tier!r} and {risk_tier!r}")
    if language not in PLAY_TEXTS:
        raise ModelError(
            f"there are no texts in the language {language!r}",
            f"Languages: {', '.join(PLAY_TEXTS)}.",
        )
    code = PLAYBOOK[value_tier, risk_tier]
    return Play(code, value_tier, risk_tier, *PLAY_TEXTS[language][code])


def play_of(value_tier: pd.Series[str], risk_tier: pd.Series[str]) -> npt.NDArray[np.object_]:
    """Return the code of each customer's cell, shape (n,); None where a tier is missing.

    Raises:
        ModelError: A tier is not low, medium or high.

    >>> list(play_of(pd.Series(["high", None]), pd.Series(["low", "low"])))
    ['reward', None]
    """
    value, risk = (_codes(tiers) for tiers in (value_tier, risk_tier))
    codes = np.array([[PLAYBOOK[v, r] for r in TIERS] for v in TIERS], dtype=object)
    found = np.asarray(codes[value, risk], dtype=object)
    found[(value < 0) | (risk < 0)] = None
    return found


def matrix(scored: pd.DataFrame) -> pd.DataFrame:
    """Add up the value x risk matrix of a scored list.

    Args:
        scored: value_tier, risk_tier, clv and churn_probability; rows without a tier are left out.

    Returns:
        Nine rows, high value and high risk first: value_tier, risk_tier, playbook, customers
        (int64), share (of the customers with both tiers), clv (sum), churn_probability (mean, NaN
        for an empty cell), value_at_risk (sum of clv x churn_probability, in money).
    """
    known = scored[scored["value_tier"].notna() & scored["risk_tier"].notna()]
    rows = []
    for (value_tier, risk_tier), code in PLAYBOOK.items():
        cell = known[(known["value_tier"] == value_tier) & (known["risk_tier"] == risk_tier)]
        at_risk = (cell["clv"] * cell["churn_probability"]).sum()
        rows.append(
            {
                "value_tier": value_tier,
                "risk_tier": risk_tier,
                "playbook": code,
                "customers": len(cell),
                "share": len(cell) / len(known) if len(known) else np.nan,
                "clv": float(cell["clv"].sum()),
                "churn_probability": float(cell["churn_probability"].mean()),
                "value_at_risk": float(at_risk),
            }
        )
    return pd.DataFrame(rows)


def _codes(tiers: pd.Series[str]) -> npt.NDArray[np.int64]:
    found = pd.Index(TIERS, dtype=object).get_indexer(pd.Index(tiers, dtype=object))
    if ((found < 0) & tiers.notna().to_numpy()).any():
        raise ModelError(f"tiers are {', '.join(TIERS)} and nothing else")
    return np.asarray(found, dtype=np.int64)
