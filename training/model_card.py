"""The model card: what a model is for, how good it is, what it was made from, and its limits.

The card is written in Markdown from the training itself, stands as the description of the version
in the registry and as `model_card.md` among the artifacts of its run. The order of the sections
follows Mitchell et al., "Model Cards for Model Reporting", FAT* 2019: intended use, data, label
and cutoffs, measures with intervals beside a baseline, limits. It holds counts and names of columns
only, nothing of a customer.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from features.ledger import Ledger
from models.metrics.bootstrap import Interval

__all__ = [
    "ABOUT",
    "LIMIT",
    "bullets",
    "data_section",
    "headline",
    "interval_text",
    "model_card",
    "shortened",
    "table",
]

LIMIT = 5000
"""Most characters of the description of a version in MLflow's database."""
ABOUT = {
    "regulars-churn": "Who will leave: the probability that a customer buys nothing within the "
    "horizon (or that a contract ends), with a tier and reasons.",
    "regulars-clv": "What each customer is worth: P(alive), purchases, spend and discounted margin "
    "to expect within the horizon, with intervals.",
    "regulars-segments": "RFM segments by cut points that are learned once, and clusters where "
    "they are stable.",
    "regulars-next": "What a customer buys next, by what others with the same purchases bought.",
    "regulars-uplift": "Whom a contact changes: the effect of each kind of campaign on a customer, "
    "learned from randomised campaigns.",
}
"""What each registered model is, for its page; the alias champion is the version in use."""


def model_card(title: str, sections: Mapping[str, str]) -> str:
    """A card in Markdown: a title, then each section under its heading.

    Args:
        title: What kind of model, and which candidate.
        sections: Heading -> Markdown, what counts most first; the empty ones are left out.

    >>> print(model_card("Churn warning", {"Intended use": "To warn.", "Data": ""}))
    # Churn warning
    <BLANKLINE>
    ## Intended use
    <BLANKLINE>
    To warn.
    """
    parts = [f"# {title}", *(f"## {name}\n\n{text}" for name, text in sections.items() if text)]
    return "\n\n".join(parts)


def shortened(card: str) -> str:
    """A card of at most `LIMIT` characters: whole sections go from its end, and it says so."""
    parts = card.split("\n\n## ")
    if len(card) <= LIMIT:
        return card
    remark = "\n\n*Shortened: the whole card is `model_card.md` of the run.*"
    while len("\n\n## ".join(parts) + remark) > LIMIT and len(parts) > 1:
        parts.pop()
    return "\n\n## ".join(parts) + remark


def data_section(ledger: Ledger) -> str:
    """What was read: the tables with their rows, and what was set aside."""
    rows = []
    for name, quality in ledger.quality.tables.items():
        aside = sum(quality.quarantined.values())
        rows.append([name, f"{quality.read:,}", f"{quality.accepted:,}", f"{aside:,}"])
    return (
        f"Transactions from {ledger.first_day} to {ledger.last_day}; one purchase is what a "
        f"customer buys in one {ledger.purchase_unit}. Data fingerprint "
        f"`{ledger.fingerprint}`.\n\n{table(['table', 'rows read', 'used', 'set aside'], rows)}"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, the first column to the left, the others to the right.

    >>> print(table(["measure", "value"], [["churn/brier", "0.104"]]))
    | measure | value |
    |---|---:|
    | churn/brier | 0.104 |
    """
    lines = [f"| {' | '.join(header)} |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def bullets(items: Sequence[str]) -> str:
    """A list in Markdown."""
    return "\n".join(f"- {item}" for item in items)


def headline(measures: Mapping[str, float], names: Sequence[str]) -> dict[str, str]:
    """The measures that stand on a version as tags: few, and as short as a page can show them.

    >>> headline({"churn/brier": 0.104145, "churn/ece": float("nan")}, ["churn/brier", "churn/ece"])
    {'churn/brier': '0.1041'}
    """
    return {n: f"{measures[n]:.4g}" for n in names if n in measures and np.isfinite(measures[n])}


def interval_text(interval: Interval) -> str:
    """An interval as a cell, a dash where it is not known.

    >>> interval_text(Interval(0.91, 0.9012, 0.9188))
    '0.901 to 0.919'
    """
    if not (np.isfinite(interval.low) and np.isfinite(interval.high)):
        return "-"
    return f"{interval.low:.3g} to {interval.high:.3g}"
