"""When a new model takes the place of the one in use, and saying why.

The rule. The new version (the challenger) becomes the champion

1. if there is no champion;
2. if the champion was measured on the very same out-of-time test (the digest of customers,
   outcomes and windows is the same) and the challenger's recorded measure is lower;
3. if everything the champion has seen, labels included, lies before the new test cutoff: then
   the champion is scored on the new test, and the challenger must have the lower measure.

Otherwise the champion stays: a model that has seen part of the new test window, or may have
(where the test has no date), cannot be judged on it, and an unfair comparison is worse than
none. The measure is the Brier score for
churn and the RMSE of value for CLV; lower is better, a draw keeps the champion.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from models.base import ModelError
from training.dataset import Holdout
from training.tracking import CHAMPION, Tracking

__all__ = ["RULE", "Decision", "promote"]

RULE = (
    "promote if there is no champion; or if the champion has the same out-of-time test (equal "
    "digest) and the challenger's {metric} is lower; or if all that the champion has seen lies "
    "before the test cutoff and the challenger's {metric} on the test is lower; else keep"
)


@dataclass(frozen=True)
class Decision:
    """Whether the challenger was promoted, and why.

    Attributes:
        promoted: Whether it is the champion now.
        reason: One sentence.
        compared: How: `none`, `recorded`, `scored` or `not comparable`.
        challenger: The challenger's measure.
        champion: The champion's measure on the same test, None without a comparison.
        champion_version: Version that was champion before, None without one.
    """

    promoted: bool
    reason: str
    compared: str
    challenger: float
    champion: float | None = None
    champion_version: str | None = None


def promote(
    tracking: Tracking,
    version: ModelVersion,
    *,
    metric: str,
    measured: float,
    test: Holdout,
    score: Callable[[Any], float],
) -> Decision:
    """Apply the rule, move the alias `champion` if it says so, and write the reason down.

    Args:
        tracking: The store.
        version: The challenger, as registered.
        metric: Name of the measure, lower is better.
        measured: The challenger's measure on the test.
        test: The out-of-time test it was measured on.
        score: Measures a model, as loaded from its artifact, on the same test.

    Returns:
        The decision; it is also on the version as tags.
    """
    champion = tracking.alias(version.name, CHAMPION)
    decision = _decide(tracking, champion, metric, measured, test, score)
    if decision.promoted:
        tracking.client.set_registered_model_alias(version.name, CHAMPION, version.version)
    tags = {
        "promoted": str(decision.promoted).lower(),
        "reason": decision.reason,
        "promotion_rule": RULE.format(metric=metric),
        "compared": decision.compared,
    }
    for key, value in tags.items():
        tracking.client.set_model_version_tag(version.name, version.version, key, value)
    return decision


def _decide(
    tracking: Tracking,
    champion: ModelVersion | None,
    metric: str,
    measured: float,
    test: Holdout,
    score: Callable[[Any], float],
) -> Decision:
    if champion is None:
        return Decision(True, "there was no champion yet", "none", measured)
    label = f"champion (version {champion.version})"
    recorded = champion.tags.get(metric)
    if champion.tags.get("test_digest") == test.digest and recorded is not None:
        return _compare(measured, float(recorded), metric, "recorded", champion, label)
    until = champion.tags.get("trained_until")
    if "cutoff" not in test.facts:
        return Decision(
            False,
            f"the {label} stays: it was measured on another test, and this one has no date that "
            "could tell whether it has seen these customers",
            "not comparable",
            measured,
            None,
            str(champion.version),
        )
    cutoff = dt.date.fromisoformat(str(test.facts["cutoff"]))
    if until is None or dt.date.fromisoformat(until) > cutoff:
        seen = f"data until {until}" if until else "data up to an unknown day"
        return Decision(
            False,
            f"the {label} stays: it has seen {seen}, which reaches into the test window from "
            f"{cutoff} on, so the two cannot be compared on it yet",
            "not comparable",
            measured,
            None,
            str(champion.version),
        )
    try:
        theirs = score(tracking.load_artifact(champion))
    except ModelError as error:
        return Decision(
            False,
            f"the {label} stays: it cannot be scored on the new test ({error.message})",
            "not comparable",
            measured,
            None,
            str(champion.version),
        )
    return _compare(measured, theirs, metric, "scored", champion, label)


def _compare(
    ours: float, theirs: float, metric: str, how: str, champion: ModelVersion, label: str
) -> Decision:
    better = ours < theirs
    sign = "below" if better else "not below"
    verdict = f"the {label} gives way" if better else f"the {label} stays"
    reason = f"{verdict}: {metric} {ours:.5g} is {sign} its {theirs:.5g} on the same test"
    return Decision(better, reason, how, ours, theirs, str(champion.version))
