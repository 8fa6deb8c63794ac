"""Why a customer has the score it has: contributions -> subjects -> sentences.

LightGBM splits each raw score exactly into one contribution a feature plus a base
(TreeSHAP; Lundberg, Erion and Lee 2018, arXiv 1802.03888). Features that speak of the same
subject are added up to their reason group, the groups are ranked, and each of the first three
becomes a sentence of `messages` with the customer's own numbers.

The contributions explain the score before calibration. A calibrator keeps the order, so a
reason that raises the score raises the probability; by how many points is not claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .base import REASON_COLUMNS
from .messages import KINDS, MESSAGES, Columns, Floats

__all__ = ["HIDDEN_GROUPS", "MIN_CONTRIBUTION", "Reasons", "explain", "group_contributions"]

HIDDEN_GROUPS = frozenset({"season"})
"""Groups that move the score but tell nobody anything about the customer."""

MIN_CONTRIBUTION = 0.03
"""A group that moves the odds by less than about 3 % is no reason."""

TOP = len(REASON_COLUMNS)


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
    sums = np.zeros((len(contributions), len(names)))
    # Column by column: the result for one customer cannot depend on who else is in the block.
    for column, group in enumerate(groups):
        sums[:, names.index(group)] += contributions[:, column]
    return names, sums


def explain(
    contributions: Floats,
    columns: Columns,
    groups: Mapping[str, str],
    lowers: npt.NDArray[np.bool_],
) -> Reasons:
    """Name the subjects that push each score up most, or down most, and say them.

    What would read the same is said once: for a customer who bought once, lateness, rhythm and
    frequency are one fact, and the next reason moves up. So it does when a sentence could only
    be read against its direction (`Message.reads`).

    Args:
        contributions: Log-odds, one column a feature, shape (n, f).
        columns: Feature -> its values, shape (n,) each. A message that needs a feature which is
            not there, or is missing for a customer, is passed over.
        groups: Feature -> reason group, in the order of the contributions, length f.
        lowers: For whom the reasons are those that lower the risk, shape (n,).
    """
    sign = np.where(lowers, -1.0, 1.0)[:, None]
    names, sums = group_contributions(contributions, tuple(groups.values()))
    shown = np.array([name not in HIDDEN_GROUPS for name in names], dtype=bool)
    push = np.where(shown, sums * sign, -np.inf)
    # Spare candidates stand by for what will not be said.
    order = np.argsort(-push, axis=1, kind="stable")[:, : TOP + 3]
    push = np.take_along_axis(push, order, axis=1)
    order = np.where(push >= MIN_CONTRIBUTION, order, -1)
    text = np.full(order.shape, "", dtype=object)
    reads = np.zeros(order.shape)
    for g, name in enumerate(names):
        rows, slots = np.nonzero(order == g)
        if len(rows):
            members = np.flatnonzero([group == name for group in groups.values()])
            strongest = np.argmax((contributions * sign)[np.ix_(rows, members)], axis=1)
            chosen = members[strongest]
            values = {key: column[rows] for key, column in columns.items()}
            text[rows, slots], reads[rows, slots] = _say(name, values, tuple(groups), chosen)
    keep = (order >= 0) & (reads * sign >= 0)
    for later in range(1, order.shape[1]):
        for earlier in range(later):
            keep[:, later] &= ~((text[:, later] == text[:, earlier]) & keep[:, earlier])
    # Close the gaps, keeping the order of what stays.
    place = np.argsort(~keep, axis=1, kind="stable")[:, :TOP]
    kept = np.take_along_axis(keep, place, axis=1)
    text = np.where(kept, np.take_along_axis(text, place, axis=1), "")
    push = np.where(kept, np.take_along_axis(push, place, axis=1) * sign, np.nan)
    codes = np.array([*names, ""], dtype=object)
    code = codes[np.where(kept, np.take_along_axis(order, place, axis=1), -1)]
    pad = ((0, 0), (0, TOP - place.shape[1]))
    text, code = (np.pad(a, pad, constant_values="") for a in (text, code))
    push = np.pad(push, pad, constant_values=np.nan)
    for row in np.flatnonzero(lowers):
        text[row] = [f"good sign: {said}" if said else "" for said in text[row]]
    for slot in range(TOP if len(text) else 0):
        text[:, slot] = [said[:1].upper() + said[1:] for said in text[:, slot]]
    return Reasons(code, push, text)


def _say(
    group: str, values: Columns, features: Sequence[str], strongest: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.object_], Floats]:
    """Return for each customer in `values` a text about one group, and how it reads.

    Where no message fits, the feature that weighs most (`features[strongest]`) is named.
    """
    reads = np.zeros(len(strongest))
    out = np.full(len(strongest), "", dtype=object)
    left = np.ones(len(strongest), dtype=bool)
    for message in MESSAGES:
        fits = message.fits(values) if message.group == group else None
        if fits is None:
            continue
        take = np.flatnonzero(fits & left)
        if len(take):
            left[take] = False
            out[take] = message.say({name: values[name][take] for name in message.needs})
            reads[take] = message.reads
    for row in np.flatnonzero(left):
        name = features[strongest[row]]
        value = values[name][row]
        out[row] = f"{name} is " + (KINDS["number"](value) if np.isfinite(value) else "not known")
    return out, reads
