"""Value learned from earlier cutoffs: what the next label window of each customer will bring.

The examples are customers at one or several earlier cutoffs whose label windows, all of one
length, are closed: the features of a snapshot, what a buy-till-you-die model fitted at that
cutoff expected of them (`base`), and what came. All families have one face:

- `RecalibratedValue`: the expectation of the base times a smooth factor (`log_linear`), of four
  terms: the expectation itself, so that high and low ones can be drawn together, the number of
  purchases so far, how long the last gap was against the mean one, and how overdue the customer
  is. The first two are the usual miscalibration of purchase models by frequency class; the third
  is a trend and the fourth regularity, which those models do not know. Spend gets the same factor
  and a common one besides. Without a signal the factor is 1.
- `BoostedValue`: the same, and then trees on all features with that as their offset, kept where
  they help on later examples.
- `TwoPartValue`: trees for the probability of buying, for the purchases of buyers and for their
  spend; each of the last two has a log link and a loss whose minimum is the mean, so nothing has
  to be transformed back. With or without the base among the features.
- `QuantileValue`: the same, with the spend of buyers by its conditional quantiles: the mean is
  the integral of the quantile function, with normal tails in the logarithm beyond the outermost.

The level of the last two is set on held-back examples (`value_trees.level_factor`). Learned
values hold for the horizon they were learned at; `hybrid` carries them to others.
"""

from __future__ import annotations

import gzip
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri

from .base import ModelError
from .booster import booster_text, raw_scores
from .inputs import SPEND_PERCENTILE, CatalogueRow, Inputs
from .log_linear import LogLinear
from .value_trees import Held, days_of, grow, held_back, level_factor

__all__ = [
    "BASE_COLUMNS",
    "HORIZON_FEATURES",
    "TERM_FEATURES",
    "VALUE_COLUMNS",
    "VALUE_MODELS",
    "BoostedValue",
    "QuantileValue",
    "RecalibratedValue",
    "TwoPartBtydValue",
    "TwoPartValue",
    "ValueModel",
    "base_expectation",
    "read_value_model",
    "write_value_model",
]

Floats = npt.NDArray[np.float64]

BASE_COLUMNS = ("p_alive", "probability_no_purchase", "expected_purchases", "expected_spend")
"""What the base model says of each customer, in the horizon of the labels."""

VALUE_COLUMNS = ("expected_purchases", "expected_spend")
"""What a value model says: expected in the horizon of the labels, undiscounted, before margin."""

TERM_FEATURES = ("n_purchases_all", "gap_last", "gap_mean", "overdue_ratio")
"""Features behind the terms of the smooth factor."""

HORIZON_FEATURES = ("n_prior_lapses", "yoy_same_window")
"""Features that depend on the horizon of their snapshot. Scoring takes one snapshot for all
models, so a value model does not read them."""

_SMALLEST = 1e-6  # of the mean: expectations are kept above this share of it


class _Predicts(Protocol):
    def predict(self, rfm: pd.DataFrame, *args: Any, **options: Any) -> pd.DataFrame:
        """Predictions with at least `BASE_COLUMNS`."""
        ...


def base_expectation(
    model: _Predicts, rfm: pd.DataFrame, horizon_days: float, **options: Any
) -> pd.DataFrame:
    """What a fitted CLV model expects, as a value model reads it: `BASE_COLUMNS`."""
    found = model.predict(rfm, horizon_days, annual_discount_rate=0.0, intervals=False, **options)
    return found[list(BASE_COLUMNS)]


class ValueModel(ABC):
    """The face of every family; see the module's text.

    Args:
        catalogue: Rows of the feature catalogue; features that only tell the season are left
            out unless the cutoffs span a year.
        num_threads: Threads of training; the result does not depend on it.

    Attributes:
        horizon_days: Length of the label windows it was taught on; 0 before `fit`.
        unit: Usual value of a purchase.
        facts: How the learning went; JSON-able.
    """

    label: ClassVar[str]
    """Short name."""

    def __init__(self, catalogue: Sequence[CatalogueRow] = (), num_threads: int = 1) -> None:
        self.catalogue = tuple(row for row in catalogue if row.name != SPEND_PERCENTILE)
        self.num_threads = num_threads
        self.horizon_days = 0.0
        self.unit = 1.0
        self.facts: dict[str, Any] = {}

    def fit(
        self,
        features: pd.DataFrame,
        base: pd.DataFrame,
        purchases: npt.ArrayLike | pd.Series[float],
        spend: npt.ArrayLike | pd.Series[float],
        horizon_days: float,
        seed: int = 0,
        groups: npt.ArrayLike | pd.Series[Any] | None = None,
    ) -> Self:
        """Learn from examples. The same bits for any order of the rows and number of threads.

        Args:
            features: Snapshot features of all examples, one below the other; index customer_id.
            base: `BASE_COLUMNS` for the same rows, from a model that knew nothing after their
                cutoffs.
            purchases: Purchases that came in the label window.
            spend: Spend that came.
            horizon_days: Length of the label windows.
            seed: Seed of the trees.
            groups: Cutoff of each row (dates or days); one cutoff when left out.

        Returns:
            The model itself.

        Raises:
            ModelError: The parts do not fit together, a column is missing, nobody bought, or
                the base expects nothing of anybody.
        """
        n = len(features)
        if n == 0:
            raise ModelError("there are no examples to learn a value model from")
        days = np.zeros(n, dtype=np.int64) if groups is None else days_of(groups, n)
        bought, spent = _outcome(purchases, n, "purchases"), _outcome(spend, n, "spend")
        if len(base) != n:
            raise ModelError(f"expected as many rows of base as examples, got {len(base)} and {n}")
        if not np.isfinite(horizon_days) or horizon_days <= 0:
            raise ModelError(f"horizon_days is {horizon_days}.", "Use a number of days above 0.")
        if not bought.any() or not spent.any():
            raise ModelError(
                "nobody among the examples bought anything in the label windows.",
                "Use a longer horizon or more customers.",
            )
        self.horizon_days = float(horizon_days)
        self.facts = {
            "examples": n,
            "cutoffs": len(np.unique(days)),
            "bought": int(sum(bought > 0)),
        }
        checked = _read_base(base)
        self.unit = _usual_value(checked)
        self._learn(features, checked, bought, spent, days, seed)
        return self

    @property
    @abstractmethod
    def feature_names(self) -> list[str]:
        """Features that `predict` reads."""

    @abstractmethod
    def _learn(
        self,
        features: pd.DataFrame,
        base: Mapping[str, Floats],
        purchases: Floats,
        spend: Floats,
        days: npt.NDArray[np.int64],
        seed: int,
    ) -> None:
        """Learn from checked examples."""

    @abstractmethod
    def _predict(self, features: pd.DataFrame, base: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        """Expected purchases and spend."""

    @abstractmethod
    def _describe(self) -> tuple[dict[str, Any], dict[str, lightgbm.Booster]]:
        """What to save: a JSON-able description and the trees."""

    @abstractmethod
    def _restore(
        self, description: Mapping[str, Any], trees: Mapping[str, lightgbm.Booster]
    ) -> None:
        """Take back what `_describe` returned."""

    def predict(self, features: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
        """Expected purchases and spend in a window of `horizon_days` after the cutoff.

        Args:
            features: At least `feature_names`; missing values allowed.
            base: `BASE_COLUMNS` at `horizon_days` for the same rows.

        Returns:
            `VALUE_COLUMNS` on the index of `features`: finite, at least 0.

        Raises:
            ModelError: Not fitted, or a column is missing or not numeric.
        """
        if not self.horizon_days:
            raise ModelError(f"{type(self).__name__} is not fitted.", "Call fit first.")
        if len(base) != len(features):
            raise ModelError(f"got {len(features)} rows of features and {len(base)} of base")
        found = self._predict(features, _read_base(base))
        return pd.DataFrame(
            dict(zip(VALUE_COLUMNS, found, strict=True)), index=features.index, dtype=np.float64
        )


class RecalibratedValue(ValueModel):
    """The base expectation times a smooth factor."""

    label = "recalibrated"

    _purchases: LogLinear
    _spend: LogLinear
    _centre: float  # logarithm of usual purchases

    @property
    def feature_names(self) -> list[str]:
        """Features that `predict` reads."""
        return list(TERM_FEATURES)

    def _learn(
        self,
        features: pd.DataFrame,
        base: Mapping[str, Floats],
        purchases: Floats,
        spend: Floats,
        days: npt.NDArray[np.int64],
        seed: int,
    ) -> None:
        self._centre = float(np.log(np.sort(base["expected_purchases"]).mean()))
        cutoffs = np.unique(days)
        windows = 1.0 + float(cutoffs[-1] - cutoffs[0]) / self.horizon_days
        panel: dict[str, Any] = {"windows": min(windows, len(cutoffs)), "cutoffs": len(cutoffs)}
        terms = self._terms(features, base)
        expected = base["expected_purchases"]
        self._purchases = LogLinear.fit(terms, expected, purchases, power=1.0, **panel)
        # A common factor only: any term of spend is settled by a few of the largest customers.
        learned = self._purchases.factor(terms) * base["expected_spend"]
        self._spend = LogLinear.fit(terms[:, :0], learned, spend, power=1.0, **panel)

    def _terms(self, features: pd.DataFrame, base: Mapping[str, Floats]) -> Floats:
        """Terms of the factor of purchases, (n, 4)."""
        number, last, mean, overdue = (_feature(features, name) for name in TERM_FEATURES)
        with np.errstate(divide="ignore", invalid="ignore"):
            trend = np.log(np.clip(last / mean, 0.05, 20.0))
            late = np.log(np.clip(overdue, 0.05, 20.0))
        # One gap is its own mean, and no gap has no mean: nothing is known, so no correction.
        trend = np.where((number >= 3) & np.isfinite(trend), trend, 0.0)
        late = np.where((number >= 2) & np.isfinite(late), late, 0.0)
        rate = np.log(base["expected_purchases"]) - self._centre
        return np.column_stack([rate, np.log(number), trend, late])

    def _predict(self, features: pd.DataFrame, base: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        terms = self._terms(features, base)
        factor = self._purchases.factor(terms)
        spend = factor * self._spend.factor(terms[:, :0]) * base["expected_spend"]
        return factor * base["expected_purchases"], spend

    def _describe(self) -> tuple[dict[str, Any], dict[str, lightgbm.Booster]]:
        return {
            "purchases": self._purchases.to_dict(),
            "spend": self._spend.to_dict(),
            "centre": self._centre,
        }, {}

    def _restore(
        self, description: Mapping[str, Any], trees: Mapping[str, lightgbm.Booster]
    ) -> None:
        self._purchases = LogLinear.from_dict(description["purchases"])
        self._spend = LogLinear.from_dict(description["spend"])
        self._centre = float(description["centre"])


class BoostedValue(ValueModel):
    """The recalibrated expectation as the offset of trees."""

    label = "boosted"

    _start: RecalibratedValue
    _inputs: Inputs
    _trees: dict[str, lightgbm.Booster]

    @property
    def feature_names(self) -> list[str]:
        """Features that `predict` reads."""
        return list(dict.fromkeys([*self._start.feature_names, *_plain(self._inputs)]))

    def _learn(
        self,
        features: pd.DataFrame,
        base: Mapping[str, Floats],
        purchases: Floats,
        spend: Floats,
        days: npt.NDArray[np.int64],
        seed: int,
    ) -> None:
        self._inputs, X = _choose(features, base, self.catalogue, days, with_base=True)
        split = held_back(days, features.index, self.horizon_days)
        # The offset of held-back examples must not have seen them either.
        early = self._recalibrated(features, base, purchases, spend, days, split.train)
        self._start = self._recalibrated(features, base, purchases, spend, days, None)
        self._trees = {}
        outcomes = {"purchases": (purchases, 1.0), "spend": (spend, 1.5)}
        before, now = early._predict(features, base), self._start._predict(features, base)
        for (name, (y, power)), first, final in zip(outcomes.items(), before, now, strict=True):
            scale = float(np.sort(y).mean())
            offset = np.where(split.held, first, final) / scale
            trees, _ = grow(
                X,
                y / scale,
                split,
                objective=_tweedie(power),
                offset=np.log(offset.clip(_SMALLEST)),
                seed=seed,
                num_threads=self.num_threads,
                must_help=True,
            )
            if trees is not None:
                self._trees[name] = trees
        self.facts |= {"held_back": int(split.held.sum()), "later": split.later}
        self.facts |= {f"{name}_trees": _rounds(self._trees, name) for name in outcomes}

    def _recalibrated(
        self,
        features: pd.DataFrame,
        base: Mapping[str, Floats],
        purchases: Floats,
        spend: Floats,
        days: npt.NDArray[np.int64],
        rows: npt.NDArray[np.bool_] | None,
    ) -> RecalibratedValue:
        at = slice(None) if rows is None else rows
        model = RecalibratedValue()
        model.horizon_days = self.horizon_days
        some = {name: values[at] for name, values in base.items()}
        model._learn(features[at], some, purchases[at], spend[at], days[at], 0)
        return model

    def _predict(self, features: pd.DataFrame, base: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        X = _matrix(self._inputs, features, base)
        first, second = self._start._predict(features, base)
        return self._raise("purchases", first, X), self._raise("spend", second, X)

    def _raise(self, name: str, start: Floats, X: Floats) -> Floats:
        if name not in self._trees:
            return start
        factor = np.exp(raw_scores(self._trees[name], X)).clip(0.2, 5.0)
        return factor * start

    def _describe(self) -> tuple[dict[str, Any], dict[str, lightgbm.Booster]]:
        return {
            "start": self._start._describe()[0],
            "inputs": self._inputs.to_dict(),
        }, self._trees

    def _restore(
        self, description: Mapping[str, Any], trees: Mapping[str, lightgbm.Booster]
    ) -> None:
        self._start = RecalibratedValue()
        self._start.horizon_days = self.horizon_days
        self._start._restore(description["start"], {})
        self._inputs = Inputs.from_dict(description["inputs"])
        self._trees = dict(trees)


class TwoPartValue(ValueModel):
    """Trees for who buys, and for the purchases and the spend of those who do."""

    label = "two_part"
    with_base: ClassVar[bool] = False
    """Whether the base is among the features."""

    _inputs: Inputs
    _trees: dict[str, lightgbm.Booster]
    _scales: dict[str, float]  # usual purchases and spend of a buyer, level factors included

    @property
    def feature_names(self) -> list[str]:
        """Features that `predict` reads."""
        return _plain(self._inputs)

    def _learn(
        self,
        features: pd.DataFrame,
        base: Mapping[str, Floats],
        purchases: Floats,
        spend: Floats,
        days: npt.NDArray[np.int64],
        seed: int,
    ) -> None:
        self._inputs, X = _choose(features, base, self.catalogue, days, with_base=self.with_base)
        split = held_back(days, features.index, self.horizon_days)
        buys = purchases > 0
        if min(buys[split.train].sum(), buys[split.held].sum()) < 10 or buys[split.train].all():
            raise ModelError(
                f"only {int(buys.sum())} of {len(buys)} examples bought anything: too few, or too "
                "many, to learn who does.",
                "Use more customers, more cutoffs or another horizon.",
            )
        options: dict[str, Any] = {"seed": seed, "num_threads": self.num_threads}
        trees, held = grow(
            X, buys.astype(float), split, objective={"objective": "binary"}, **options
        )
        assert trees is not None
        self._trees = {"buys": trees}
        chance = 1.0 / (1.0 + np.exp(-held))
        # Only buyers tell how much is bought.
        among = Held(split.train[buys], split.held[buys], split.later)
        self._scales = {}
        for name, y in (("purchases", purchases), ("spend", spend)):
            scale = float(np.sort(y[buys]).mean())
            amount = self._grow_amount(
                name, X[buys], y[buys] / scale, among, X[split.held], options
            )
            predicted = scale * chance * amount
            self._scales[name] = scale * level_factor(y[split.held], predicted)
        self.facts |= {"held_back": int(split.held.sum()), "later": split.later}
        self.facts |= {f"{name}_trees": t.num_trees() for name, t in self._trees.items()}

    def _grow_amount(
        self,
        name: str,
        X: Floats,
        y: Floats,
        split: Held,
        unseen: Floats,
        options: Mapping[str, Any],
    ) -> Floats:
        """Grow the trees of an amount; the amounts of held-back rows by trees without them."""
        objective = _tweedie(1.0 if name == "purchases" else 1.8)
        trees, raw = grow(X, y, split, objective=objective, score_at=unseen, **options)
        assert trees is not None
        self._trees[name] = trees
        return np.exp(raw)

    def _amount(self, name: str, X: Floats) -> Floats:
        """Mean of an amount given that anything is bought, in units of its scale."""
        return np.exp(raw_scores(self._trees[name], X))

    def _predict(self, features: pd.DataFrame, base: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        X = _matrix(self._inputs, features, base)
        chance = 1.0 / (1.0 + np.exp(-raw_scores(self._trees["buys"], X)))
        return (
            self._scales["purchases"] * chance * self._amount("purchases", X),
            self._scales["spend"] * chance * self._amount("spend", X),
        )

    def _describe(self) -> tuple[dict[str, Any], dict[str, lightgbm.Booster]]:
        return {"inputs": self._inputs.to_dict(), "scales": self._scales}, self._trees

    def _restore(
        self, description: Mapping[str, Any], trees: Mapping[str, lightgbm.Booster]
    ) -> None:
        self._inputs = Inputs.from_dict(description["inputs"])
        self._scales = {name: float(value) for name, value in description["scales"].items()}
        self._trees = dict(trees)


class TwoPartBtydValue(TwoPartValue):
    """The same with the base among the features."""

    label = "two_part_btyd"
    with_base = True


class QuantileValue(TwoPartBtydValue):
    """The same with the spend of buyers by its quantiles."""

    label = "quantile"

    levels: ClassVar[tuple[float, ...]] = (0.1, 0.3, 0.5, 0.7, 0.9)

    def _grow_amount(
        self,
        name: str,
        X: Floats,
        y: Floats,
        split: Held,
        unseen: Floats,
        options: Mapping[str, Any],
    ) -> Floats:
        if name == "purchases":
            return super()._grow_amount(name, X, y, split, unseen, options)
        logarithm = np.log(y.clip(0.01))
        found = []
        for level in self.levels:
            objective = {"objective": "quantile", "alpha": level, "metric": "quantile"}
            trees, raw = grow(X, logarithm, split, objective=objective, score_at=unseen, **options)
            assert trees is not None
            self._trees[f"spend_{round(100 * level)}"] = trees
            found.append(raw)
        return _mean_of_quantiles(np.sort(np.column_stack(found), axis=1), self.levels)

    def _amount(self, name: str, X: Floats) -> Floats:
        if name == "purchases":
            return super()._amount(name, X)
        quantiles = [raw_scores(self._trees[f"spend_{round(100 * u)}"], X) for u in self.levels]
        return _mean_of_quantiles(np.sort(np.column_stack(quantiles), axis=1), self.levels)


VALUE_MODELS: Mapping[str, type[ValueModel]] = {
    model.label: model
    for model in (RecalibratedValue, BoostedValue, TwoPartValue, TwoPartBtydValue, QuantileValue)
}
"""Value models by their short name."""


def write_value_model(model: ValueModel, folder: Path) -> dict[str, Any]:
    """Write the trees of a fitted model to `folder`; return its JSON-able description."""
    if not model.horizon_days:
        raise ModelError(f"{type(model).__name__} is not fitted.", "Call fit first.")
    description, trees = model._describe()
    for name, booster in trees.items():
        # LightGBM writes text, four times as long as it has to be.
        packed = gzip.compress(booster_text(booster).encode(), mtime=0)
        (folder / f"value_{name}.txt.gz").write_bytes(packed)
    return {
        "family": model.label,
        "horizon_days": model.horizon_days,
        "unit": model.unit,
        "features": model.feature_names,
        "trees": sorted(trees),
        "facts": model.facts,
        "fitted": description,
    }


def read_value_model(folder: Path, description: Mapping[str, Any]) -> ValueModel:
    """Read back what `write_value_model` wrote.

    Raises:
        ModelError: An unknown family, or a file that holds no trees.
    """
    family = str(description.get("family"))
    if family not in VALUE_MODELS:
        raise ModelError(f"This version cannot read a value model of the family {family!r}.")
    trees = {}
    for name in description["trees"]:
        path = folder / f"value_{name}.txt.gz"
        if path.parent != folder:
            raise ModelError(f"{folder}: {name!r} is not the plain name of a model file")
        try:
            text = gzip.decompress(path.read_bytes()).decode()
            trees[name] = lightgbm.Booster(model_str=text)
        except (lightgbm.basic.LightGBMError, OSError, EOFError, zlib.error, UnicodeError) as error:
            raise ModelError(f"{path}: not a LightGBM model ({error})") from error
    model = VALUE_MODELS[family]()
    model.horizon_days = float(description["horizon_days"])
    model.unit = float(description["unit"])
    model.facts = dict(description["facts"])
    model._restore(description["fitted"], trees)
    return model


def _outcome(values: npt.ArrayLike | pd.Series[float], count: int, what: str) -> Floats:
    out = np.asarray(values, dtype=np.float64)
    if out.shape != (count,):
        raise ModelError(f"expected {what} of each of {count} examples, got shape {out.shape}")
    if not (np.isfinite(out) & (out >= 0)).all():
        raise ModelError(f"{what} must be finite and at least 0 for every example")
    return out


def _read_base(base: pd.DataFrame) -> dict[str, Floats]:
    """The base columns as arrays; the expectations above 0, so that they have a logarithm."""
    if missing := [name for name in BASE_COLUMNS if name not in base.columns]:
        raise ModelError(f"the base lacks the columns {', '.join(missing)}")
    out = {name: base[name].to_numpy(dtype=np.float64) for name in BASE_COLUMNS}
    for name, values in out.items():
        if not (np.isfinite(values) & (values >= 0)).all():
            raise ModelError(f"the base's {name} is not finite and at least 0 everywhere")
    purchases = out["expected_purchases"].clip(1e-12)
    # No purchases and no spend: a value of one purchase is not known, so it is taken as one.
    each = np.divide(
        out["expected_spend"],
        out["expected_purchases"],
        out=np.ones_like(purchases),
        where=(out["expected_purchases"] > 1e-12) & (out["expected_spend"] > 0),
    )
    return {**out, "expected_purchases": purchases, "expected_spend": purchases * each}


def _usual_value(base: Mapping[str, Floats]) -> float:
    """Expected value of a purchase."""
    total = np.sort(base["expected_spend"]).sum()
    return float(total / np.sort(base["expected_purchases"]).sum())


def _feature(features: pd.DataFrame, name: str) -> Floats:
    if name not in features.columns:
        raise ModelError(
            f"the feature {name!r} is missing.",
            "Build the features with the version of regulars that trained the model.",
        )
    return features[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _with_base(features: pd.DataFrame, base: Mapping[str, Floats]) -> pd.DataFrame:
    plain = features.drop(columns=[n for n in BASE_COLUMNS if n in features.columns])
    return pd.concat([plain, pd.DataFrame(dict(base), index=features.index)], axis=1)


def _choose(
    features: pd.DataFrame,
    base: Mapping[str, Floats],
    catalogue: Sequence[CatalogueRow],
    days: npt.NDArray[np.int64],
    *,
    with_base: bool,
) -> tuple[Inputs, Floats]:
    """The features that trees see, and their matrix."""
    away = {*HORIZON_FEATURES, SPEND_PERCENTILE, *BASE_COLUMNS}
    numbers = features.select_dtypes("number")  # categories tell churn, hardly money
    frame = numbers.drop(columns=[name for name in numbers.columns if name in away])
    if with_base:
        frame = _with_base(frame, base)
    cutoffs = [pd.Timestamp(int(day), unit="D").date() for day in np.unique(days)]
    inputs, _ = Inputs.choose(frame, catalogue, cutoffs)
    return inputs, inputs.matrix(frame, "the examples").astype(np.float64)


def _plain(inputs: Inputs) -> list[str]:
    return [name for name in inputs.columns if name not in BASE_COLUMNS]


def _matrix(inputs: Inputs, features: pd.DataFrame, base: Mapping[str, Floats]) -> Floats:
    plain = _plain(inputs)
    if len(plain) == len(inputs.columns):
        return inputs.matrix(features).astype(np.float64)
    missing = [name for name in plain if name not in features.columns]
    if missing:
        inputs.matrix(features)  # says what is missing
    return inputs.matrix(_with_base(features[plain], base)).astype(np.float64)


def _tweedie(power: float) -> dict[str, Any]:
    """LightGBM's loss with log link and variance proportional to mean^power."""
    if power == 1.0:
        return {"objective": "poisson", "metric": "poisson"}
    return {"objective": "tweedie", "tweedie_variance_power": power, "metric": "tweedie"}


def _rounds(trees: Mapping[str, lightgbm.Booster], name: str) -> int:
    return trees[name].num_trees() if name in trees else 0


def _mean_of_quantiles(quantiles: Floats, levels: Sequence[float]) -> Floats:
    """Mean of exp(Q(U)) from quantiles of the logarithm, (n,).

    Between two levels the logarithm is linear in the normal score of the level, and beyond the
    outermost it goes on with the slope of the nearest piece: each piece is a part of a log-normal
    distribution, whose mean over a range of scores (a, b) is
    exp(m + s^2 / 2) (Phi(b - s) - Phi(a - s)).
    """
    score = ndtri(np.asarray(levels))
    slope = np.diff(quantiles, axis=1) / np.diff(score)
    # Beyond this spread the tail is a guess: a factor of 40 between the 5 % and the 95 % quantile.
    slope = slope.clip(0.0, 1.1)
    edges = np.concatenate([[-np.inf], score[1:-1], [np.inf]])
    total = np.zeros(len(quantiles))
    for i in range(len(levels) - 1):
        middle = quantiles[:, i] - slope[:, i] * score[i]
        part = ndtr(edges[i + 1] - slope[:, i]) - ndtr(edges[i] - slope[:, i])
        total += np.exp(middle + 0.5 * slope[:, i] ** 2) * part
    return total
