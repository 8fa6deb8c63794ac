"""Several CLV models as one: a weighted mean of what they expect, and a level.

The weights are learned on earlier cutoffs by non-negative least squares (Breiman 1996, "Stacked
regressions", Machine Learning 24, 49-64) and drawn towards equal ones, which on a single label
window are hard to beat. The level is the factor that would have brought the totals of those
cutoffs right (`value.trees.level_factor`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from .base import ModelError
from .hybrid import LifetimeValueModel, round_outward
from .nested import read_nested, write_nested
from .order import canonical_order
from .predictive import quantile_columns

__all__ = ["StackedLifetimeValue", "stack_weights"]

Floats = npt.NDArray[np.float64]

PRIOR_SD = 0.2
"""Prior standard deviation of a weight about 1 / members."""

_OF_PURCHASES = (
    "expected_purchases",
    "purchases_low",
    "purchases_high",
    "purchases_mean_low",
    "purchases_mean_high",
)
_OF_VALUE = ("expected_spend", "clv", "clv_low", "clv_high", "clv_mean_low", "clv_mean_high")


def stack_weights(expected: npt.ArrayLike, outcome: npt.ArrayLike, share: float = 1.0) -> Floats:
    """Weights of several expectations of one outcome.

    Least squares with variance proportional to the mean expectation (so that the heaviest
    customers do not decide alone), weights of at least 0 that add up to 1, normal about
    1 / members beforehand. The outcome is first brought to the level of the expectations.

    Args:
        expected: (n, members), at least 0.
        outcome: (n,), at least 0.
        share: Independent rows over rows, below 1 where label windows overlap.

    Returns:
        (members,).

    >>> rng = np.random.default_rng(0)
    >>> good, bad = rng.gamma(1.0, 1.0, 5000), rng.gamma(1.0, 1.0, 5000)
    >>> stack_weights(np.column_stack([good, bad]), rng.poisson(good)).round(1).tolist()
    [1.0, 0.0]
    """
    p, y = np.asarray(expected, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    if p.ndim != 2 or y.shape != p.shape[:1] or not len(y):
        raise ModelError(f"expected (n, members) and (n,), got {p.shape} and {y.shape}")
    order = canonical_order(p, y)
    p, y = p[order], y[order]
    members = p.shape[1]
    equal = p.mean(axis=1)
    if members == 1 or equal.sum() <= 0.0 or y.sum() <= 0.0:
        return np.full(members, 1.0 / members)
    y = y * (equal.sum() / y.sum())
    sd = np.sqrt(equal.clip(0.01 * equal.mean()))
    dispersion = float((((y - equal) / sd) ** 2).mean())
    # Sums without threads, then a problem of the size of the members.
    by_row = p * (np.sqrt(share / dispersion) / sd)[:, None]
    outcome_by_row = y * np.sqrt(share / dispersion) / sd
    precision = np.einsum("ni,nj->ij", by_row, by_row) + np.eye(members) / PRIOR_SD**2
    right = np.einsum("ni,n->i", by_row, outcome_by_row) + 1.0 / members / PRIOR_SD**2
    tight = 1e4 * float(precision.max())
    root = np.linalg.cholesky(precision + tight).T
    found, _ = nnls(root, np.linalg.solve(root.T, right + tight))
    return np.asarray(found / found.sum())


class StackedLifetimeValue:
    """A weighted mean of fitted CLV models.

    Quantiles are averaged, too (Vincent 1912; Ratcliff 1979, Psychological Bulletin 86, 446-461),
    which keeps the shape of the members' distributions.

    Args:
        members: Fitted models by name; those without weight are left out.
        weights: One a member, adding up to 1; equal ones when left out.
        level_of_purchases: What expected purchases are multiplied by.
        level_of_spend: What expected spend and value are multiplied by.
    """

    kind: ClassVar[str] = "clv_stack"
    """Name of the model family in `card.json`."""

    def __init__(
        self,
        members: Mapping[str, LifetimeValueModel],
        weights: Sequence[float] | npt.ArrayLike | None = None,
        level_of_purchases: float = 1.0,
        level_of_spend: float = 1.0,
    ) -> None:
        if not members:
            raise ModelError("a stack needs at least one model")
        found = np.full(len(members), 1.0 / len(members))
        if weights is not None:
            found = np.asarray(weights, dtype=np.float64)
        if found.shape != (len(members),) or (found < 0).any() or abs(found.sum() - 1.0) > 1e-9:
            raise ModelError(
                f"expected {len(members)} weights of at least 0 that add up to 1, got {found}"
            )
        for level in (level_of_purchases, level_of_spend):
            if not (np.isfinite(level) and level > 0):
                raise ModelError(f"a level must be above 0, got {level}")
        carried = [name for name, weight in zip(members, found, strict=True) if weight > 0.0]
        self.members = {name: members[name] for name in carried}
        self.weights = found[found > 0.0]
        self.level_of_purchases = float(level_of_purchases)
        self.level_of_spend = float(level_of_spend)

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns that `predict` needs."""
        return tuple(dict.fromkeys(c for m in self.members.values() for c in m.input_columns))

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Those of them that are read as text."""
        return tuple(dict.fromkeys(c for m in self.members.values() for c in m.text_columns))

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Diagnostics of the heaviest member, and under "stack" weights and levels."""
        names = list(self.members)
        heaviest = self.members[names[int(np.argmax(self.weights))]]
        stack = {
            "weights": dict(zip(names, self.weights.tolist(), strict=True)),
            "level_of_purchases": self.level_of_purchases,
            "level_of_spend": self.level_of_spend,
        }
        return {**heaviest.diagnostics, "stack": stack}

    def posterior_summary(self) -> pd.DataFrame:
        """One row a parameter of each member, as `CustomerLifetimeValue.posterior_summary`."""
        found = [m.posterior_summary().assign(member=name) for name, m in self.members.items()]
        return pd.concat(found, ignore_index=True)

    def predict(
        self,
        rfm: pd.DataFrame,
        *args: Any,
        quantiles: Sequence[float] | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """What each customer will do; arguments and columns are those of the members' `predict`.

        The next purchase is the mean over the members that give one.
        """
        parts = (
            member.predict(rfm, *args, quantiles=quantiles, **options)
            for member in self.members.values()
        )
        return self._mean(parts, () if quantiles is None else quantiles)

    def predict_new_customers(
        self,
        customers: pd.DataFrame,
        *args: Any,
        quantiles: Sequence[float] | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """What to expect of customers of whom no purchase is known, as the members' method."""
        parts = (
            member.predict_new_customers(customers, *args, quantiles=quantiles, **options)
            for member in self.members.values()
        )
        return self._mean(parts, () if quantiles is None else quantiles)

    def _mean(self, parts: Iterable[pd.DataFrame], quantiles: Sequence[float]) -> pd.DataFrame:
        """The weighted mean of what the members say, at the learned level."""
        of_purchases, of_value = quantile_columns(quantiles)
        total, known = np.zeros(1), np.zeros(1)
        for part, weight in zip(parts, self.weights, strict=True):
            values = part.to_numpy(dtype=np.float64)
            total = total + weight * np.nan_to_num(values, nan=0.0)
            known = known + weight * np.isfinite(values)
        out = pd.DataFrame(total, columns=part.columns, index=part.index)
        share = pd.DataFrame(known, columns=part.columns, index=part.index)
        waits = [name for name in out.columns if name.startswith("next_purchase")]
        averaged = (out[waits] / share[waits]).where(share[waits] >= 0.5)
        # What one member does not know is unknown, but for the wait: it is cut off at ten years.
        out = out.where(share > 1.0 - 1e-9)
        out[waits] = averaged
        for columns, level in (
            ((*_OF_PURCHASES, *of_purchases), self.level_of_purchases),
            ((*_OF_VALUE, *of_value), self.level_of_spend),
        ):
            for name in (name for name in columns if name in out.columns):
                out[name] = out[name] * level
        round_outward(out, quantiles)
        if {"historic_value", "total_value"} <= set(out.columns):
            out["total_value"] = out["historic_value"] + out["clv"]
        return out

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Write the members to `folder`; return the description."""
        return {
            "members": [
                {
                    "name": name,
                    "weight": float(weight),
                    **write_nested(member, folder, f"member_{place}_"),
                }
                for place, ((name, member), weight) in enumerate(
                    zip(self.members.items(), self.weights, strict=True)
                )
            ],
            "level_of_purchases": self.level_of_purchases,
            "level_of_spend": self.level_of_spend,
            "input_columns": list(self.input_columns),
            "time_unit": "weeks",
        }

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` wrote.

        Raises:
            ModelError: A file is missing or damaged, or of a kind this version does not know.
        """
        members = description["members"]
        return cls(
            {member["name"]: read_nested(folder, member) for member in members},
            [member["weight"] for member in members],
            description["level_of_purchases"],
            description["level_of_spend"],
        )
