"""Write docs/features.md from the catalogue: `python docs/write_features.py`."""

from pathlib import Path

from features.catalogue import CATALOGUE, REASON_GROUPS
from features.contracts import FEATURES as CONTRACTS

INTRO = """\
# Features

Every feature of a snapshot, written from the catalogue by `docs/write_features.py`.

A feature sees rows with `timestamp < cutoff` and, where the source says when a row came to be
known, `known_at <= cutoff`. Windows are days that end at the cutoff. A value can be missing for
one of these reasons, and is never filled with a number that means something else:

- Z, structural zero: the window is observed and nothing happened, so the value is 0
- U, undefined: too few events for the formula to have a meaning
- C, censored: the window begins before the source does
- S, source absent: the column it needs does not exist; the feature is left out

Effect is the sign of the expected effect on the probability of churn. Features marked "model" are
computed by the models: from what they learn in training, or from a purchase model fitted on the
snapshot itself. A "category" is text, whose levels are frozen in training; all other features are
numbers.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [INTRO]
    for group, about in REASON_GROUPS.items():
        features = [row for row in (*CATALOGUE, *CONTRACTS) if row.reason_group == group]
        if not features:
            continue
        parts.append(f"\n## {group.capitalize()}: {about}\n")
        parts.append("| feature | definition at the cutoff | window | missing | effect | from |")
        parts.append("|---|---|---|---|---|---|")
        for f in features:
            definition = f.definition.replace("|", "\\|")
            effect = {-1: "less churn", 0: "", 1: "more churn"}[f.monotone]
            parts.append(
                f"| `{f.name}` | {definition} | {f.window} | {f.null_class} | {effect} "
                f"| {f.origin}{', category' if f.kind == 'category' else ''} |"
            )
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "features.md").write_text(page(), encoding="utf-8")
