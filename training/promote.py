"""At the end of a training: does the new version take the place of the one in use?

The rule is that of `training.gate`. What it needs is a fair comparison, and that depends on what
the champion has seen:

1. There is no champion, or it cannot be used any more (its files are gone or damaged, or it reads
   features that mean something else by now): the new version is promoted.
2. Everything the champion has seen, labels included, lies before the test cutoff: the champion, as
   loaded from its artifact, forecasts the test. So an old model is held to what it does today.
3. The champion has seen a part of the test window, as it has whenever models are trained more
   often than their horizon is long. As it is it would be judged on its own past. So the two recipes
   are compared: the champion's, with what its card has of its settings, is fitted again as of the
   test cutoff on what was known then, exactly as the challenger's was. No model stays for ever
   because it has seen too much.
4. The two answer different questions (another horizon, another label): the new version is refused,
   and a person decides by `regulars promote`.

The test is the one cutoff on which nothing of the challenger was fitted, tuned, calibrated or
chosen. Two trainings at once wait for each other (`training.champions.registry_lock`); where there
is no lock, the alias is looked at again before it is moved, and what has changed is judged again.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from features.compatibility import feature_changes, reads_of
from features.progress import note
from features.settings import FeatureSettings
from models.base import ModelError
from models.metrics.bootstrap import Resampled
from training.champions import CHAMPION, move_champion, registry_lock
from training.dataset import Holdout
from training.gate import RULE, Outcome, Yardstick, judge
from training.run import text
from training.tracking import Tracking

__all__ = ["APPOINTED", "Champion", "Contest", "Decision", "appoint", "promote"]

APPOINTED = "promoted whenever it is trained"
"""The rule for what there is nothing to compare with."""

_ROUNDS = 5  # of judging, while others move the champion


@dataclass(frozen=True)
class Champion:
    """The version in use.

    Attributes:
        model: As loaded from its artifact.
        card: Its whole card.
        tags: Of the version.
    """

    model: Any
    card: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contest:
    """What a training lays before the gate.

    Attributes:
        test: The out-of-time test.
        yardsticks: What counts on it.
        ours: The challenger's measures: of the candidate as fitted as of the test cutoff.
        as_it_is: Measures a champion as loaded from its artifact, on the same test and draws.
        again: Fits the champion's recipe as of the test cutoff, and measures that.
        objection: Why a champion cannot be compared; empty where it can.
        asked: What was asked for that makes another model of the same data, such as a horizon.
        features: Features beside the catalogue, as of now.
    """

    test: Holdout
    yardsticks: Sequence[Yardstick]
    ours: Resampled
    as_it_is: Callable[[Champion], Resampled]
    again: Callable[[Champion], Resampled]
    objection: Callable[[Champion], str] = lambda champion: ""
    asked: Mapping[str, Any] = field(default_factory=dict)
    features: FeatureSettings | None = None

    @property
    def cutoff(self) -> dt.date | None:
        """From when on the champion must not have seen anything; None: the test has no date."""
        found = self.test.facts.get("cutoff")
        return None if found is None else dt.date.fromisoformat(str(found))


@dataclass(frozen=True)
class Decision:
    """What became of the challenger, and why.

    Attributes:
        outcome: "promoted", "kept" or "refused".
        reason: One sentence.
        compared: How: "no champion", "unusable champion", "as it is", "recipes" or
            "not comparable".
        champion_version: The version that was champion before, empty without one.
        table: Of `training.gate.Verdict`; empty without a comparison.
    """

    outcome: Outcome
    reason: str
    compared: str
    champion_version: str = ""
    table: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def promoted(self) -> bool:
        """Whether the challenger is champion now."""
        return self.outcome == "promoted"


def promote(
    tracking: Tracking, version: ModelVersion, contest: Contest, *, training_id: str = ""
) -> Decision:
    """Apply the rule, move the alias `champion` if it says so, and write the reason down.

    Args:
        tracking: The store.
        version: The challenger, as registered.
        contest: What it is judged by.
        training_id: Of the training.

    Returns:
        The decision; it is also on the version as tags.
    """
    asked = _digest(contest.asked)
    with registry_lock(tracking.tracking_uri, version.name):
        _note_unfinished(tracking, version)
        decision = _judge_and_move(tracking, version, contest, asked, training_id)
        _write_down(tracking, version, decision, RULE, {"asked_digest": asked})
    return decision


def appoint(tracking: Tracking, version: ModelVersion, why: str, *, training_id: str) -> Decision:
    """Make a version champion that there is nothing to compare with, and write it down."""
    with registry_lock(tracking.tracking_uri, version.name):
        before = tracking.alias(version.name, CHAMPION)
        number = "" if before is None else str(before.version)
        decision = Decision("promoted", why, "not comparable", number)
        _move(tracking, version, why, training_id)
        _write_down(tracking, version, decision, APPOINTED, {})
    return decision


def _judge_and_move(
    tracking: Tracking, version: ModelVersion, contest: Contest, asked: str, training_id: str
) -> Decision:
    for _ in range(_ROUNDS):
        champion = tracking.alias(version.name, CHAMPION)
        decision = _decide(tracking, version, champion, contest, asked)
        now = tracking.alias(version.name, CHAMPION)
        if _number(now) != _number(champion):
            note(
                f"{version.name}: the champion was changed from version "
                f"{_number(champion) or 'none'} to {_number(now) or 'none'} meanwhile; judging "
                "again."
            )
            continue
        if decision.promoted and _number(champion) != str(version.version):
            _move(tracking, version, decision.reason, training_id)
        return decision
    return Decision(
        "refused",
        f"the champion was changed {_ROUNDS} times while version {version.version} was judged",
        "not comparable",
        _number(champion),
    )


def _move(tracking: Tracking, version: ModelVersion, why: str, training_id: str) -> None:
    move_champion(
        tracking.client,
        version.name,
        str(version.version),
        way="gate",
        why=why,
        training_id=training_id,
    )


def _decide(
    tracking: Tracking,
    version: ModelVersion,
    champion: ModelVersion | None,
    contest: Contest,
    asked: str,
) -> Decision:
    if champion is None:
        return Decision("promoted", "there was no champion yet", "no champion")
    old, new = str(champion.version), str(version.version)
    if old == new:
        return Decision("promoted", "it was made champion by hand meanwhile", "not comparable", old)

    def gone(why: str) -> Decision:
        reason = f"version {new} takes over from version {old}, which cannot be used any more"
        return Decision("promoted", f"{reason}: {why}", "unusable champion", old)

    def apart(why: str) -> Decision:
        reason = (
            f"version {old} stays champion: the two cannot be compared, {why}. To use the new one "
            f"all the same: regulars promote {version.name} --to champion {new} --why ..."
        )
        return Decision("refused", reason, "not comparable", old)

    try:
        model, card = tracking.load_with_card(champion)
    except ModelError as error:
        return gone(error.message)
    except FileNotFoundError as error:
        return gone(f"its files are missing ({error})")
    except (MlflowException, OSError) as error:
        return apart(f"as its files cannot be fetched ({str(error).splitlines()[0]})")
    changes = feature_changes(card, contest.features)
    if touching := changes.touching(reads_of(card)):
        return gone(f"it reads features that are not what they were ({touching.words()})")
    known = Champion(model, card, champion.tags)
    if objection := contest.objection(known):
        return apart(objection)

    until = champion.tags.get("trained_until")
    cutoff = contest.cutoff
    if until and cutoff is not None and dt.date.fromisoformat(until) <= cutoff:
        how = f"judged as it is on the customers of {cutoff}, of whom it has seen nothing later"
        compared = "as it is"
        try:
            theirs = contest.as_it_is(known)
        except ModelError as error:
            return gone(error.message)
    else:
        seen = f"it has seen data until {until}" if until else "nobody knows what it has seen"
        when = f"as of {cutoff}" if cutoff else "on the same customers"
        how = f"its recipe fitted again {when}, because {seen}"
        compared = "recipes"
        try:
            theirs = contest.again(known)
        except ModelError as error:
            return apart(f"as {seen}, and its recipe cannot be fitted again ({error.message})")
    verdict = judge(
        contest.ours, theirs, contest.yardsticks, newer=_newer(version, champion, asked)
    )
    start = {
        "promoted": f"version {new} takes over from version {old}",
        "kept": f"version {old} stays champion",
        "refused": f"version {new} is refused and version {old} stays champion",
    }[verdict.outcome]
    reason = f"{start} ({how}): {verdict.reason}"
    return Decision(verdict.outcome, reason, compared, old, verdict.table)


def _newer(version: ModelVersion, champion: ModelVersion, asked: str) -> bool:
    """Whether a challenger was fitted on later or other data, or for what is asked now."""
    ours, theirs = version.tags, champion.tags
    until, before = ours.get("trained_until", ""), theirs.get("trained_until", "")
    if until != before:
        return until > before
    data = "data_fingerprint" if "data_fingerprint" in ours else "test_digest"
    return ours.get(data) != theirs.get(data) or theirs.get("asked_digest", asked) != asked


def _note_unfinished(tracking: Tracking, version: ModelVersion) -> None:
    """Say of the version before this one that its training never came to an end, if it did not."""
    for number in range(int(version.version) - 1, 0, -1):
        try:
            before = tracking.client.get_model_version(version.name, str(number))
        except MlflowException:  # deleted
            continue
        # One that was made champion by hand, or just before its training was ended, is in use.
        in_use = _number(tracking.alias(version.name, CHAMPION)) == str(number)
        if "promoted" not in before.tags and not in_use:
            note(
                f"{version.name}: version {number} was registered, but has not been judged: its "
                "training was ended half-way, or is still at work. It is not in use."
            )
        return


def _write_down(
    tracking: Tracking,
    version: ModelVersion,
    decision: Decision,
    rule: str,
    more: Mapping[str, str],
) -> None:
    tags = {
        "gate": decision.outcome,
        "reason": decision.reason,
        "promotion_rule": rule,
        "compared": decision.compared,
        "champion_before": decision.champion_version or "none",
        **more,
        "promoted": str(decision.promoted).lower(),  # the last one: with it the judging is over
    }
    for key, value in tags.items():
        tracking.client.set_model_version_tag(version.name, version.version, key, text(value))


def _number(version: ModelVersion | None) -> str:
    return "" if version is None else str(version.version)


def _digest(asked: Mapping[str, Any]) -> str:
    said = json.dumps(asked, sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:16]
