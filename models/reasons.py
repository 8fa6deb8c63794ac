"""Why a customer has the score it has: contributions -> subjects -> sentences.

LightGBM splits each raw score exactly into one contribution a feature plus a base
(TreeSHAP; Lundberg, Erion and Lee 2018, arXiv 1802.03888). Features that speak of the same
subject are added up to their reason group, the groups are ranked, and each of the first three
becomes a sentence with the customer's own numbers.

The contributions explain the score before calibration. A calibrator keeps the order, so a
reason that raises the score raises the probability; by how many points is not claimed.

A sentence states facts that anybody can check on the ledger. All texts stand in `TEXTS`,
keyed by language and message code; which message fits a customer is decided by `MESSAGES`,
the same in every language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

import numpy as np
import numpy.typing as npt

__all__ = [
    "HIDDEN_GROUPS",
    "MESSAGES",
    "MIN_CONTRIBUTION",
    "TEXTS",
    "Language",
    "Message",
    "Reasons",
    "explain",
    "group_contributions",
]

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, Floats]

HIDDEN_GROUPS = frozenset({"season"})
"""Groups that move the score but tell nobody anything about the customer."""

MIN_CONTRIBUTION = 0.03
"""A group that moves the odds by less than about 3 % is no reason."""


@dataclass(frozen=True)
class Message:
    """One way to speak about a reason group.

    Args:
        code: Key of its text, "group.variant".
        needs: Features that must have a value.
        when: Further condition on the arrays of these features, shape (n,) each.
        reads: 1 when the sentence can only be read as a reason to worry, -1 as a good sign.
            The trees may have learned the opposite (who sends goods back also buys), but said
            aloud it would puzzle; then the next reason takes its place.
        derived: Further numbers for the text, from the same arrays.
    """

    code: str
    needs: tuple[str, ...]
    when: Callable[[Columns], npt.NDArray[np.bool_]] | None = None
    reads: int = 0
    derived: Mapping[str, Callable[[Columns], Floats]] | None = None

    @property
    def group(self) -> str:
        """The reason group that the message speaks about."""
        return self.code.partition(".")[0]

    def fits(self, columns: Columns) -> npt.NDArray[np.bool_] | None:
        """Return for whom the message can be used, None when a feature is not there at all."""
        if any(name not in columns for name in self.needs):
            return None
        known = [np.isfinite(columns[name]) for name in self.needs]
        fit: npt.NDArray[np.bool_] = np.logical_and.reduce(known)
        return fit if self.when is None else fit & self.when(columns)


def _before_last_90(columns: Columns) -> Floats:
    return columns["n_purchases_180"] - columns["n_purchases_90"]


def _bought_once(columns: Columns) -> npt.NDArray[np.bool_]:
    return np.asarray(columns["is_one_time"] == 1)


def _minus(feature: str) -> Callable[[Columns], Floats]:
    return lambda columns: -columns[feature]


def _less_than(feature: str, limit: float) -> Callable[[Columns], npt.NDArray[np.bool_]]:
    return lambda columns: np.asarray(columns[feature] < limit)


def _frequency(window: int) -> tuple[Message, ...]:
    count = f"n_purchases_{window}"
    return (
        Message(f"frequency.none_{window}", (count,), _less_than(count, 0.5), reads=1),
        Message(f"frequency.{window}", (count,)),
    )


def _spend(window: int) -> tuple[Message, ...]:
    money = f"net_spend_{window}"
    return (
        Message(
            f"spend.negative_{window}",
            (money,),
            _less_than(money, -0.5),
            reads=1,
            derived={"excess": _minus(money)},
        ),
        Message(f"spend.none_{window}", (money,), _less_than(money, 0.5), reads=1),
        Message(f"spend.{window}", (money,)),
    )


def _middling(columns: Columns) -> npt.NDArray[np.bool_]:
    share = columns["spend_percentile"]
    return np.asarray((columns["net_spend_365"] >= 0.5) & (share >= 0.01) & (share <= 0.99))


_ONCE = ("is_one_time", "days_since_last")
_WINDOWS = (365, 180, 90, 30)  # the widest that the history covers is the one to speak of

# The first message of a group that fits is taken.
MESSAGES: tuple[Message, ...] = (
    Message("lateness.once", _ONCE, _bought_once),
    Message("lateness.rhythm", ("gap_mean", "days_since_last")),
    Message("lateness.last", ("days_since_last",)),
    Message("rhythm.once", _ONCE, _bought_once),
    Message("rhythm.gaps", ("gap_mean", "gap_max"), lambda c: c["gap_max"] > c["gap_mean"]),
    Message("rhythm.mean", ("gap_mean",)),
    Message("frequency.once", _ONCE, _bought_once),
    *(message for w in _WINDOWS for message in _frequency(w)),
    Message("frequency.all", ("n_purchases_all",)),
    Message("spend.rank", ("net_spend_365", "spend_percentile"), _middling),
    *(message for w in _WINDOWS for message in _spend(w)),
    Message("spend.order", ("aov_365",)),
    Message("trend.none", ("n_purchases_180",), _less_than("n_purchases_180", 0.5), reads=1),
    Message(
        "trend.purchases",
        ("n_purchases_90", "n_purchases_180"),
        derived={"before": _before_last_90},
    ),
    Message("basket.products", ("n_products_365",)),
    Message("returns.some", ("return_rate_365",), lambda c: c["return_rate_365"] >= 0.005, reads=1),
    Message("returns.none", ("return_rate_365",), lambda c: c["return_rate_365"] == 0, reads=-1),
    Message("discounts.some", ("discount_share_365",), lambda c: c["discount_share_365"] >= 0.005),
    Message("discounts.none", ("discount_share_365",), lambda c: c["discount_share_365"] == 0),
    Message("tenure.first", ("tenure_days",)),
)


@dataclass(frozen=True)
class Language:
    """The texts of one language.

    Args:
        texts: Message code -> text; `{name:kind}` is the number `name` said as `kind`.
        kinds: Kind -> how a number of that kind is written.
        generic: Text for a group without a fitting message; `{name}` and `{value:number}` of
            the feature that weighs most in it.
        unknown: The same when that feature has no value.
        lowers: Put before a reason that lowers the risk; `{reason}`.
    """

    texts: Mapping[str, str]
    kinds: Mapping[str, Callable[[float], str]]
    generic: str
    unknown: str
    lowers: str


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:,.3g}"


def _plural(one: str, many: str) -> Callable[[float], str]:
    def say(value: float) -> str:
        rounded = round(value)
        return f"no {one}" if not rounded else f"{rounded:,} {one if rounded == 1 else many}"

    return say


_ONCE_EN = "bought once, {days_since_last:days} ago"

TEXTS: Mapping[str, Language] = {
    "en": Language(
        texts={
            "lateness.once": _ONCE_EN,
            "lateness.rhythm": "usually buys every {gap_mean:every}; "
            "last purchase {days_since_last:days} ago",
            "lateness.last": "last purchase {days_since_last:days} ago",
            "rhythm.once": _ONCE_EN,
            "rhythm.gaps": "{gap_mean:days} between purchases on average, {gap_max:count} at most",
            "rhythm.mean": "{gap_mean:days} between purchases on average",
            "frequency.once": _ONCE_EN,
            **{f"frequency.none_{w}": f"no purchase in the last {w} days" for w in _WINDOWS},
            **{
                f"frequency.{w}": f"{{n_purchases_{w}:purchases}} in the last {w} days"
                for w in _WINDOWS
            },
            "frequency.all": "{n_purchases_all:purchases} so far",
            **{
                f"spend.negative_{w}": f"sent back {{excess:money}} more than was bought "
                f"in the last {w} days"
                for w in _WINDOWS
            },
            **{f"spend.none_{w}": f"spent nothing in the last {w} days" for w in _WINDOWS},
            "spend.rank": "spent {net_spend_365:money} in the last 365 days, "
            "more than {spend_percentile:percent} of customers",
            **{
                f"spend.{w}": f"spent {{net_spend_{w}:money}} in the last {w} days"
                for w in _WINDOWS
            },
            "spend.order": "{aov_365:money} a purchase",
            "trend.purchases": "{n_purchases_90:purchases} in the last 90 days, "
            "{before:count} in the 90 days before",
            "trend.none": "no purchase in the last 180 days",
            "basket.products": "{n_products_365:products} in the last 365 days",
            "returns.some": "sent back {return_rate_365:percent} of what was bought "
            "in the last 365 days",
            "returns.none": "sent nothing back in the last 365 days",
            "discounts.some": "saved {discount_share_365:percent} through discounts "
            "in the last 365 days",
            "discounts.none": "no discount in the last 365 days",
            "tenure.first": "first purchase {tenure_days:days} ago",
        },
        kinds={
            "days": _plural("day", "days"),
            "every": lambda v: "day" if round(v) == 1 else f"{round(v):,} days",
            "purchases": _plural("purchase", "purchases"),
            "products": _plural("product", "different products"),
            "count": lambda v: f"{round(v):,}",
            "money": lambda v: f"{round(v):,}",
            "percent": lambda v: f"{round(100 * v)} %",
            "number": _number,
        },
        generic="{name} is {value:number}",
        unknown="{name} is not known",
        lowers="Good sign: {reason}",
    ),
}
"""Language code -> texts. A further language is one more entry with the same message codes."""


@dataclass(frozen=True)
class Reasons:
    """The reasons of n customers, strongest first; all arrays have the shape (n, top).

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
    *,
    top: int = 3,
    language: str = "en",
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
        top: How many reasons.
        language: A key of `TEXTS`.
    """
    n = len(contributions)
    sign = np.where(lowers, -1.0, 1.0)[:, None]
    names, sums = group_contributions(contributions, tuple(groups.values()))
    shown = np.array([name not in HIDDEN_GROUPS for name in names], dtype=bool)
    push = np.where(shown, sums * sign, -np.inf)
    # Spare candidates stand by for what will not be said.
    order = np.argsort(-push, axis=1, kind="stable")[:, : top + 3]
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
            text[rows, slots], reads[rows, slots] = _say(
                name, values, tuple(groups), chosen, TEXTS[language]
            )
    keep = (order >= 0) & (reads * sign >= 0)
    for later in range(1, order.shape[1]):
        for earlier in range(later):
            keep[:, later] &= ~((text[:, later] == text[:, earlier]) & keep[:, earlier])
    # Close the gaps, keeping the order of what stays.
    place = np.argsort(~keep, axis=1, kind="stable")[:, :top]
    kept = np.take_along_axis(keep, place, axis=1)
    text = np.where(kept, np.take_along_axis(text, place, axis=1), "")
    push = np.where(kept, np.take_along_axis(push, place, axis=1) * sign, np.nan)
    codes = np.array([*names, ""], dtype=object)
    code = codes[np.where(kept, np.take_along_axis(order, place, axis=1), -1)]
    if (short := top - place.shape[1]) > 0:
        pad = ((0, 0), (0, short))
        text, code = (np.pad(a, pad, constant_values="") for a in (text, code))
        push = np.pad(push, pad, constant_values=np.nan)
    before, _, after = TEXTS[language].lowers.partition("{reason}")
    for row in np.flatnonzero(lowers):
        text[row] = [before + said + after if said else "" for said in text[row]]
    for slot in range(top if n else 0):
        text[:, slot] = [said[:1].upper() + said[1:] for said in text[:, slot]]
    return Reasons(code, push, text)


def _say(
    group: str,
    values: Columns,
    features: Sequence[str],
    strongest: npt.NDArray[np.int64],
    language: Language,
) -> tuple[npt.NDArray[np.object_], Floats]:
    """Return for each customer in `values` a text about one group, and how it reads."""
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
            chosen = {name: values[name][take] for name in message.needs}
            for name, derive in (message.derived or {}).items():
                chosen[name] = derive(chosen)
            out[take] = _fill(language.texts[message.code], chosen, language)
            reads[take] = message.reads
    for row in np.flatnonzero(left):
        name = features[strongest[row]]
        value = values[name][row]
        text = language.generic if np.isfinite(value) else language.unknown
        number = language.kinds["number"](value) if np.isfinite(value) else ""
        out[row] = text.replace("{name}", name).replace("{value:number}", number)
    return out, reads


def _fill(text: str, values: Columns, language: Language) -> list[str]:
    """Fill one text for many customers: each number is written once per distinct value."""
    count = len(next(iter(values.values())))
    parts: list[list[str]] = []
    for literal, field, kind, _ in Formatter().parse(text):
        if literal:
            parts.append([literal] * count)
        if field is not None:
            distinct, code = np.unique(values[field], return_inverse=True)
            say = language.kinds[kind or "number"]
            written = [say(value) for value in distinct.tolist()]
            parts.append([written[c] for c in code.tolist()])
    return ["".join(pieces) for pieces in zip(*parts, strict=True)]
