"""Why a customer has the score it has: contributions -> subjects -> sentences.

A scorer splits each raw score exactly into one contribution a feature plus a base (for trees
by TreeSHAP; Lundberg, Erion and Lee 2018, arXiv 1802.03888). Features that speak of the same
subject are added up to their reason group, the groups are ranked, and each of the first three
becomes a sentence of `messages` with the customer's own numbers: the one about the features
of the group that weigh most.

The contributions explain the score before calibration. A calibrator keeps the order, so a
reason that raises the score raises the probability; by how many points is not claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .base import REASON_COLUMNS
from .messages import TOPICS, Bools, Columns, Floats, Language, Message, get_language, is_known

__all__ = ["HIDDEN_GROUPS", "MIN_CONTRIBUTION", "Reasons", "explain", "group_contributions"]

HIDDEN_GROUPS = frozenset({"season"})
"""Groups that move the score but tell nobody anything about the customer."""

PROFILE = "profile"
"""The group whose features are columns of the user's own tables."""

MIN_CONTRIBUTION = 0.03
"""A group that moves the odds by less than about 3 % is no reason."""

ENOUGH = 0.5
"""A sentence may speak for a group if its features weigh half as much as the heaviest."""

TOP = len(REASON_COLUMNS)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reasons:
    """The reasons of n customers, strongest first; all arrays have the shape (n, 3).

    Args:
        code: Reason group, "" where there is no reason.
        contribution: Log-odds that the group adds to the score, NaN where there is no reason.
        text: Sentence, "" where there is no reason.
    """

    code: npt.NDArray[np.object_]
    contribution: Floats
    text: npt.NDArray[np.object_]


def group_contributions(
    contributions: Floats, groups: Sequence[str]
) -> tuple[tuple[str, ...], Floats]:
    """Add up the contributions of the features of each group.

    Args:
        contributions: Log-odds, one column a feature, shape (n, f).
        groups: Reason group of each feature, length f.

    Returns:
        The group names in order of first appearance, and their sums, shape (n, groups).
    """
    names = tuple(dict.fromkeys(groups))
    members = [[i for i, group in enumerate(groups) if group == name] for name in names]
    return names, _sums(np.ascontiguousarray(contributions.T), members).T


def explain(
    contributions: Floats,
    columns: Columns,
    groups: Mapping[str, str],
    lowers: Bools,
    language: str = "en",
) -> Reasons:
    """Name the subjects that push each score up most, or down most, and say them.

    What tells the same is said once: for a customer who bought once, lateness, rhythm and
    frequency are one fact, and something else is said instead. So it is when a sentence could
    only be read against its direction (`Message.reads`).

    Args:
        contributions: Log-odds, one column a feature, shape (n, f).
        columns: Feature -> its values, shape (n,) each: numbers with NaN where there is none,
            or text in an object array with None. A message that needs a feature which is not
            there, or is missing for a customer, is passed over.
        groups: Feature -> reason group, in the order of the contributions, length f.
        lowers: For whom the reasons are those that lower the risk, shape (n,). So they are for
            everybody else whom nothing puts at a higher risk.
        language: One of `messages.LANGUAGES`.

    Raises:
        ModelError: There are no texts in this language.
    """
    tongue = get_language(language)
    plan = _Plan.of(groups)
    columns, statement = plan.statements(columns, len(contributions))
    sign = np.where(lowers, -1.0, 1.0)
    parts = np.ascontiguousarray(contributions.T) * sign
    chosen, weight = plan.choose(parts, sign, statement)
    quiet = np.flatnonzero((chosen[0] < 0) & ~lowers)
    if len(quiet):
        sign[quiet] = -1.0
        chosen[:, quiet], weight[:, quiet] = plan.choose(
            -parts[:, quiet], sign[quiet], statement[:, quiet]
        )
        parts[:, quiet] *= -1.0
    text = plan.say(chosen, statement, columns, parts, sign < 0, tongue)
    codes = np.array([*(subject.group for subject in plan.subjects), ""], dtype=object)
    return Reasons(codes[chosen].T, (weight * sign).T, text.T)


@dataclass(frozen=True)
class _Subject:
    """Features of one group that one sentence speaks for, and the ways to put it."""

    group: str
    members: tuple[int, ...]
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class _Plan:
    """What there is to be said with the features of one model."""

    features: tuple[str, ...]
    subjects: tuple[_Subject, ...]
    messages: tuple[Message, ...]  # without repeats; statements are numbers of these

    @classmethod
    def of(cls, groups: Mapping[str, str]) -> _Plan:
        """Give every feature that may be spoken of to one subject."""
        features = tuple(groups)
        left = {i: group for i, group in enumerate(groups.values()) if group not in HIDDEN_GROUPS}
        subjects = []
        for topic in TOPICS:
            members = tuple(
                i
                for i, group in left.items()
                if group == topic.group and features[i] in topic.about
            )
            if members:
                subjects.append(_Subject(topic.group, members, topic.messages))
            for i in members:
                del left[i]
        subjects += [_Subject(group, (i,), ()) for i, group in left.items()]
        subjects.sort(key=lambda subject: subject.members)
        messages = dict.fromkeys(m for subject in subjects for m in subject.messages)
        return cls(features, tuple(subjects), tuple(messages))

    def statements(self, columns: Columns, count: int) -> tuple[Columns, Ints]:
        """Find what would be said about each subject to each customer.

        Returns:
            The columns that sentences need, and for each subject the number of its message, -1
            where none fits, shape (subjects, n).
        """
        wanted = {self.features[i] for subject in self.subjects for i in subject.members}
        wanted |= {name for m in self.messages for name in (*m.needs, *m.lacks)}
        ready = {name: _plain(columns[name]) for name in sorted(wanted) if name in columns}
        known = {name: is_known(column) for name, column in ready.items()}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            fits = {message: message.fits(ready, known) for message in self.messages}
        number = {message: i for i, message in enumerate(self.messages)}
        out = np.full((len(self.subjects), count), -1, dtype=np.int64)
        for row, subject in zip(out, self.subjects, strict=True):
            for message in reversed(subject.messages):
                if (fit := fits[message]) is not None:
                    row[fit] = number[message]
        return ready, out

    def choose(self, parts: Floats, sign: Floats, statement: Ints) -> tuple[Ints, Floats]:
        """Take the groups that push most, and of each the subject that pushes most.

        Args:
            parts: Contributions, positive where they push the way that is asked for, (f, n).
            sign: -1 for whom that is down, else 1, (n,).
            statement: From `statements`.

        Returns:
            The subjects, -1 where there is no further reason, and the sums of their groups, NaN
            there; both (3, n).
        """
        of_group = self._by_group()
        total = _sums(parts, [sorted(self._members(at)) for at in of_group])
        total[total < MIN_CONTRIBUTION] = -np.inf
        push = self._pushes(parts, sign, statement, of_group)
        fact = self._facts()[statement]
        chosen = np.full((TOP, parts.shape[1]), -1)
        weight = np.full(chosen.shape, np.nan)
        slot = np.zeros(parts.shape[1], dtype=np.int64)
        said = np.zeros(parts.shape[1], dtype=np.int64)
        # Each turn looks at the strongest group left of everybody who has room for a reason.
        open_rows = np.arange(parts.shape[1]) if of_group else np.arange(0)
        while len(open_rows):
            best = np.argmax(total[:, open_rows], axis=0)
            left = total[best, open_rows] > 0.0
            open_rows, best = open_rows[left], best[left]
            for g in np.unique(best):
                rows = open_rows[best == g]
                ranked = push[np.ix_(of_group[g], rows)]
                place = np.argmax(ranked, axis=0)
                subject = of_group[g][place]
                mute = ranked[place, np.arange(len(rows))] <= 0.0
                again = ~mute & ((said[rows] & fact[subject, rows]) != 0)
                push[subject[again], rows[again]] = -np.inf
                total_g = total[g, rows]
                total[g, rows[~again]] = -np.inf
                new = ~mute & ~again
                rows, subject = rows[new], subject[new]
                chosen[slot[rows], rows] = subject
                weight[slot[rows], rows] = total_g[new]
                said[rows] |= fact[subject, rows]
                slot[rows] += 1
            open_rows = open_rows[slot[open_rows] < TOP]
        return chosen, weight

    def _by_group(self) -> list[Ints]:
        """Return the subjects of each group."""
        groups: dict[str, list[int]] = {}
        for i, subject in enumerate(self.subjects):
            groups.setdefault(subject.group, []).append(i)
        return [np.array(subjects) for subjects in groups.values()]

    def _members(self, subjects: Ints) -> list[int]:
        return [i for number in subjects for i in self.subjects[number].members]

    def _pushes(
        self, parts: Floats, sign: Floats, statement: Ints, of_group: Sequence[Ints]
    ) -> Floats:
        """Return how much each subject pushes, -inf where it must not speak for its group."""
        push = _sums(parts, [subject.members for subject in self.subjects])
        for at in of_group:
            enough = ENOUGH * np.max(push[at], axis=0)
            push[at] = np.where(push[at] >= enough, push[at], -np.inf)
        reads = np.array([*(message.reads for message in self.messages), 0])[statement]
        push[(push <= 0.0) | (reads * sign < 0.0)] = -np.inf
        return push

    def _facts(self) -> Ints:
        """Return a bit for the fact of each message, 0 for those with one of their own."""
        names = sorted({message.fact for message in self.messages} - {""})
        bits = [1 << names.index(m.fact) if m.fact else 0 for m in self.messages]
        return np.array([*bits, 0], dtype=np.int64)

    def say(
        self,
        chosen: Ints,
        statement: Ints,
        columns: Columns,
        parts: Floats,
        good: Bools,
        language: Language,
    ) -> npt.NDArray[np.object_]:
        """Return the sentences of what was chosen, (3, n)."""
        text = np.full(chosen.shape, "", dtype=object)
        slot, row = np.nonzero(chosen >= 0)
        subject = chosen[slot, row]
        spoken = statement[subject, row]
        # Where no message fits, the feature that weighs most is named.
        for number in np.unique(subject[spoken < 0]):
            at = np.flatnonzero((subject == number) & (spoken < 0))
            members = np.array(self.subjects[number].members)
            strongest = members[np.argmax(parts[np.ix_(members, row[at])], axis=0)]
            spoken[at] = len(self.messages) + strongest
        key = 2 * spoken + good[row]
        order = np.argsort(key, kind="stable")
        for at in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
            if len(at):
                which, is_good = int(key[at[0]]) // 2, bool(key[at[0]] % 2)
                if which < len(self.messages):
                    said = _sentences(self.messages[which], columns, row[at], language, is_good)
                else:
                    feature = self.features[which - len(self.messages)]
                    label = feature
                    if self.subjects[subject[at[0]]].group == PROFILE:
                        label = feature.removeprefix("customer_").replace("_", " ")
                    said = _named(label, columns[feature][row[at]], language, is_good)
                text[slot[at], row[at]] = said
        return text


def _plain(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers as contiguous doubles, anything else as objects."""
    kind = object if np.asarray(column).dtype.kind in "OUST" else np.float64
    return np.ascontiguousarray(column, dtype=kind)


def _sums(parts: Floats, members: Sequence[Sequence[int]]) -> Floats:
    """Add up rows of an (f, n) array: one sum for each list of rows."""
    out = np.zeros((len(members), parts.shape[1]))
    # Row by row: the result for one customer cannot depend on who else is in the block.
    for total, rows in zip(out, members, strict=True):
        for row in rows:
            total += parts[row]
    return out


def _sentences(
    message: Message, columns: Columns, rows: Ints, language: Language, good: bool
) -> npt.NDArray[np.object_]:
    values = message.numbers({name: columns[name][rows] for name in message.needs})
    said = language.say(message.key, values, len(rows), good=good)
    return np.array(said, dtype=object)


def _named(
    name: str,
    values: npt.NDArray[Any],
    language: Language,
    good: bool,
) -> npt.NDArray[np.object_]:
    """Name a feature that there are no words for, and its value."""
    known = is_known(values)
    out = np.empty(len(values), dtype=object)
    for key, at in (("feature", known), ("feature_unknown", ~known)):
        fill: dict[str, npt.NDArray[Any] | str] = {"feature": name, "value": values[at]}
        out[at] = language.say(key, fill, int(at.sum()), good=good)
    return out
