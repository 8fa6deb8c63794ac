"""How a scorer is made, written down: what a candidate of a training is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

from ..base import ModelError
from ..booster import TreeSettings

__all__ = ["LINEAR_PARAMS", "Recipe", "ScorerKind"]

ScorerKind = Literal["days_since_last", "btyd", "logistic", "lightgbm", "blend"]

LINEAR_PARAMS = ("C",)
"""What can be set of a logistic regression."""


@dataclass(frozen=True)
class Recipe:
    """What to fit, before any data.

    Args:
        kind: "days_since_last" (the churn rate by days of silence), "btyd" (the purchase model's
            probability of no purchase, as it is), "logistic", "lightgbm" or "blend".
        without: Features or reason groups that it may not see; "logistic" and "lightgbm" only.
        offset: Feature that holds a probability. Its log-odds are where "lightgbm" starts from,
            so that the trees only learn what it gets wrong.
        monotone: Whether "lightgbm" is held to the signs of the catalogue.
        params: Arguments that differ from the defaults: `TreeSettings` of "lightgbm",
            `LINEAR_PARAMS` of "logistic".
        members: Of a "blend": what is averaged.
        weights: Of its members; equal when left out.

    Examples:
        >>> Recipe.from_dict(Recipe("lightgbm", without=("season",)).to_dict()).without
        ('season',)
    """

    kind: ScorerKind
    without: tuple[str, ...] = ()
    offset: str | None = None
    monotone: bool = False
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)
    members: tuple[Recipe, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ModelError: An unknown kind or parameter, or a setting of another kind.
        """
        if self.kind not in get_args(ScorerKind):
            raise ModelError(
                f"unknown kind of scorer {self.kind!r}", f"Use {', '.join(get_args(ScorerKind))}."
            )
        known: tuple[str, ...] = ()
        if self.kind == "lightgbm":
            known = tuple(f.name for f in fields(TreeSettings))
        elif self.kind == "logistic":
            known = LINEAR_PARAMS
        if unknown := sorted(set(self.params) - set(known)):
            raise ModelError(
                f"{self.kind} has no parameter {', '.join(unknown)}",
                f"It has {', '.join(known) or 'none'}.",
            )
        if self.without and self.kind not in ("lightgbm", "logistic"):
            raise ModelError(f"{self.kind} sees no features that could be left out")
        if self.offset is not None and self.kind != "lightgbm":
            raise ModelError(f"only lightgbm starts from an offset, not {self.kind}")
        if bool(self.members) != (self.kind == "blend"):
            raise ModelError("a blend needs members, and nothing else has any")
        if self.weights and (
            len(self.weights) != len(self.members) or min(self.weights) < 0 or not sum(self.weights)
        ):
            raise ModelError("a blend needs a weight of 0 or more for each member, not all 0")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `from_dict` reads it back."""
        return {
            "kind": self.kind,
            "without": list(self.without),
            "offset": self.offset,
            "monotone": self.monotone,
            "params": dict(self.params),
            "members": [member.to_dict() for member in self.members],
            "weights": list(self.weights),
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` returned.

        Raises:
            ModelError: It describes nothing that could be fitted.
        """
        return cls(
            kind=description["kind"],
            without=tuple(description["without"]),
            offset=description["offset"],
            monotone=bool(description["monotone"]),
            params=dict(description["params"]),
            members=tuple(cls.from_dict(member) for member in description["members"]),
            weights=tuple(description["weights"]),
        )
