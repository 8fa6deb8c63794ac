"""The churn candidates: what each is made of, from the simplest to the least simple."""

from collections.abc import Iterable, Mapping, Sequence

from features.errors import InputError
from features.schema import nearest
from models.btyd.features import BTYD_FEATURES
from models.scorers import Recipe
from training.churn_panel import Effort

__all__ = ["AS_THEY_ARE", "CANDIDATES", "P_NONE", "QUICK", "TUNED", "candidates", "tuned"]

P_NONE = "probability_no_purchase"
"""Feature with the purchase model's forecast."""

_OFFSET = Recipe("lightgbm", offset=P_NONE)

CANDIDATES: Mapping[str, Recipe] = {
    "days_since_last": Recipe("days_since_last"),
    "btyd": Recipe("btyd"),
    "logistic": Recipe("logistic"),
    "lightgbm": Recipe("lightgbm", without=BTYD_FEATURES),
    "lightgbm_btyd": Recipe("lightgbm"),
    "lightgbm_offset": _OFFSET,
    "blend": Recipe("blend", members=(Recipe("logistic"), _OFFSET)),
}
"""Candidate -> recipe, the simplest first.

- `days_since_last`: the churn rate by days of silence; what most shops do.
- `btyd`: the purchase model's probability of no purchase in the horizon; it needs no label.
- `logistic`: logistic regression on all features.
- `lightgbm`: trees on all features but those of the purchase model.
- `lightgbm_btyd`: trees on all features.
- `lightgbm_offset`: trees on all features that start from the log-odds of `btyd`, so that they
  learn only what it gets wrong.
- `blend`: the mean of the log-odds of `logistic` and `lightgbm_offset`.
"""

AS_THEY_ARE = ("days_since_last", "btyd")
"""The rules: never calibrated, as a shop would use them."""

TUNED = ("lightgbm_offset", "lightgbm_btyd", "lightgbm")
"""Candidates whose trees are tuned: the first that there is by a search, the others by what it
found, so that the comparison shows what they see and not the luck of a search."""

QUICK = ("days_since_last", "btyd", "logistic", "lightgbm_offset")
"""Candidates of a quick training of a shop with purchases."""

_NEEDS_BTYD = ("btyd", "lightgbm_btyd", "lightgbm_offset", "blend")


def candidates(effort: Effort, asked: Sequence[str], features: Iterable[str]) -> dict[str, Recipe]:
    """The candidates of a training, the simplest first.

    Args:
        effort: "quick" tries fewer.
        asked: Names asked for; empty: by the effort.
        features: What the panel has. Without a purchase model's forecasts the candidates that
            read them are left out, and without days_since_last that rule.

    Raises:
        InputError: A name that is no candidate, or none that this panel can have.
    """
    for name in asked:
        if name not in CANDIDATES:
            raise InputError(
                f"[churn] candidates: {name!r} is no churn candidate.",
                f"{nearest(name, CANDIDATES)} Candidates: {', '.join(CANDIDATES)}.",
            )
    have = set(features)
    lacking = {
        *(_NEEDS_BTYD if P_NONE not in have else ()),
        *(("days_since_last",) if "days_since_last" not in have else ()),
    }
    by_effort = QUICK if effort == "quick" else tuple(CANDIDATES)
    if effort == "quick" and "lightgbm_offset" in lacking:
        by_effort = ("logistic", "lightgbm")
    wanted = set(asked or by_effort)
    found = {name: recipe for name, recipe in CANDIDATES.items() if name in wanted - lacking}
    if not found:
        raise InputError(
            f"None of the churn candidates {', '.join(asked)} can be fitted on this data.",
            "They read purchases, and this label has none; leave [churn] candidates out.",
        )
    return found


def tuned(recipes: Mapping[str, Recipe], found: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """The recipes with those in `found` in the place of theirs; the blend takes them, too."""
    changed = {name: found.get(name, recipe) for name, recipe in recipes.items()}
    if "blend" in changed and "lightgbm_offset" in found:
        members = (CANDIDATES["logistic"], found["lightgbm_offset"])
        changed["blend"] = Recipe("blend", members=members)
    return changed
