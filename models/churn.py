"""Churn: the probability that a customer makes no purchase in the horizon.

`ChurnModel` is what gets registered: the trees of a `ChurnClassifier`, a calibrator and an
interval learned on later cutoffs, tier cut points and what is needed to say the reasons.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from .artifact import dump_json
from .base import (
    CHURN_COLUMNS,
    CHURN_HIGH,
    CHURN_LOW,
    CHURN_PROBABILITY,
    REASON_COLUMNS,
    RISK_TIER,
    TIERS,
    ModelError,
)
from .booster import booster_text, contributions, raw_scores
from .calibration import Calibrator, choose_calibrator
from .classifier import ChurnClassifier, canonical_order, default_parameters
from .inputs import SPEND_PERCENTILE, CatalogueRow, Feature, Inputs, Percentiles
from .reasons import Reasons, explain
from .tiers import Tiers
from .venn_abers import VennAbers

__all__ = ["BASE", "ChurnModel", "boosting_rounds"]

Floats = npt.NDArray[np.float64]

BASE = "base"
"""Column of `ChurnModel.contributions` that holds the score of the average training row."""

BLOCK = 16_384
"""Customers that are scored at a time."""
THREADS = min(4, os.cpu_count() or 1)
"""Blocks that are scored side by side."""

IMPORTANCE_ROWS = 5_000

LOW_RISK_AT_MOST = 0.5
"""Nobody who is more likely to leave than to stay is called low risk, in whatever shop."""


@dataclass(frozen=True, eq=False)
class ChurnModel:
    """A fitted churn model: what is registered, saved, loaded and scored with.

    Build it with `fit` or `artifact.load`.

    Attributes:
        horizon_days: Length of the label window.
        gap_days: Days between the cutoff and the label window.
        card: What the model says of itself; JSON-able.
        booster: The trees.
        inputs: The features they see.
        calibrator: From raw score to probability.
        interval: From raw score to the ends of the probability.
        tiers: Cut points of the risk tiers.
    """

    kind: ClassVar[str] = "churn"

    horizon_days: int
    gap_days: int
    card: Mapping[str, Any]
    booster: lightgbm.Booster = field(repr=False)
    inputs: Inputs = field(repr=False)
    calibrator: Calibrator = field(repr=False)
    interval: VennAbers = field(repr=False)
    tiers: Tiers = field(repr=False)

    @classmethod
    def fit(
        cls,
        train_X: pd.DataFrame,
        train_y: pd.Series[float],
        calibration_X: pd.DataFrame,
        calibration_y: pd.Series[float],
        *,
        horizon_days: int,
        gap_days: int = 0,
        catalogue: Sequence[CatalogueRow] = (),
        catalogue_hash: str = "",
        train_cutoffs: Sequence[date] = (),
        calibration_cutoffs: Sequence[date] = (),
        params: Mapping[str, Any] | None = None,
        seed: int = 0,
        num_threads: int = 1,
    ) -> Self:
        """Train, then calibrate on later cutoffs.

        The number of rounds is fixed beforehand (see `boosting_rounds`): trees that are stopped
        by the customers that calibrate them would look better there than they are.

        Args:
            train_X: Features of all training cutoffs, one below the other; index customer_id,
                so a customer appears once a cutoff. `Inputs.choose` says which columns are
                used, and `card["dropped"]` which are not.
            train_y: 1 churned, 0 stayed; same index.
            calibration_X: The same of later cutoffs, in any column order.
            calibration_y: Their outcomes.
            horizon_days: Length of the label window.
            gap_days: Days between the cutoff and the label window.
            catalogue: Rows of the feature catalogue. The trees are held to its signs.
            catalogue_hash: Kept on the card.
            train_cutoffs: Cutoffs of the training panel.
            calibration_cutoffs: Cutoffs of the calibration panel.
            params: Arguments of `ChurnClassifier` that differ from its defaults.
            seed: Seed of the trees.
            num_threads: Threads of training; the result does not depend on it.

        Raises:
            ModelError: The panels do not fit together, a label window of training reaches
                past the first calibration cutoff, or the outcomes are all the same.
        """
        _check_purged(train_cutoffs, calibration_cutoffs, gap_days + horizon_days)
        y = _outcomes(train_X, train_y, "training")
        later_y = _outcomes(calibration_X, calibration_y, "calibration")
        inputs, dropped = Inputs.choose(train_X, catalogue, train_cutoffs)
        later = inputs.matrix(calibration_X, "the calibration panel")
        classifier = _classifier(inputs, params or {}, seed, num_threads)
        classifier.fit(_named(inputs, train_X, "training"), y)
        booster = classifier.booster_
        score = raw_scores(booster, later)
        choice = choose_calibrator(score, later_y, calibration_X.index.to_numpy())
        card = {
            "horizon_days": int(horizon_days),
            "gap_days": int(gap_days),
            "features": [
                {"name": f.name, "reason_group": f.reason_group, "monotone": f.monotone}
                for f in inputs.features
            ],
            "feature_names": inputs.columns,
            "dropped": dropped,
            "catalogue_hash": catalogue_hash,
            "train_cutoffs": [d.isoformat() for d in sorted(train_cutoffs)],
            "calibration_cutoffs": [d.isoformat() for d in sorted(calibration_cutoffs)],
            "trained_until": (
                (max(calibration_cutoffs) + timedelta(days=gap_days + horizon_days)).isoformat()
                if calibration_cutoffs
                else None
            ),
            "training": {
                **_panel_facts(train_X, y),
                "rounds": booster.num_trees(),
                "monotone": bool(classifier.monotone_constraints),
                "parameters": _parameters(classifier, len(train_X)),
            },
            "calibration": {
                **_panel_facts(calibration_X, later_y),
                "method": choice.calibrator.method,
                "reason": choice.reason,
                "log_loss": dict(choice.log_loss),
            },
            "importance": _importance(booster, later, inputs.names),
            "lightgbm_version": lightgbm.__version__,
        }
        return cls(
            horizon_days=int(horizon_days),
            gap_days=int(gap_days),
            card=card,
            booster=booster,
            inputs=inputs,
            calibrator=choice.calibrator,
            interval=VennAbers.fit(score, later_y),
            tiers=Tiers.learn(choice.calibrator(score), low_at_most=LOW_RISK_AT_MOST),
        )

    @property
    def feature_names(self) -> list[str]:
        """Columns that `predict` needs, in the model's order."""
        return self.inputs.columns

    @property
    def model_features(self) -> list[str]:
        """Columns of `contributions`: the inputs and what is computed from them."""
        return self.inputs.names

    def predict(self, features: pd.DataFrame, *, reasons: bool = True) -> pd.DataFrame:
        """Score customers.

        Args:
            features: A frame with at least `feature_names`, in any order, numeric, missing
                values allowed. It is not written to.
            reasons: Whether to compute the reasons, which is most of the work. The columns
                are there, and empty, without them.

        Returns:
            A frame on the index of `features` with the columns `CHURN_COLUMNS`:

            * churn_probability: calibrated probability of no purchase in the horizon.
            * churn_low, churn_high: what calibration would say if this customer were added to
              it as one who stayed, and as one who churned (`VennAbers`), and always around the
              probability. Wide means that few calibration customers had such a score. It is
              not a range for what this one customer will do.
            * risk_tier: low, medium or high, by cut points frozen at training.
            * reason_1, reason_2, reason_3: the strongest reasons for more risk or, when the
              tier is low or nothing raises it, for less ("Good sign: ..."); empty where fewer
              push that way.

        Raises:
            ModelError: A column is missing, not numeric, or infinite somewhere.
        """

        def score(block: pd.DataFrame) -> pd.DataFrame:
            X = self.inputs.matrix(block)
            raw = raw_scores(self.booster, X)
            probability = self.calibrator(raw)
            low, high = self.interval(raw)
            tier = self.tiers.assign(probability)
            nothing = np.full((len(X), len(REASON_COLUMNS)), "", dtype=object)
            said = self._reasons(X, tier).text if reasons else nothing
            numbers = {
                CHURN_PROBABILITY: probability,
                CHURN_LOW: np.minimum(low, probability),
                CHURN_HIGH: np.maximum(high, probability),
            }
            words = zip((RISK_TIER, *REASON_COLUMNS), (tier, *said.T), strict=True)
            return pd.DataFrame(numbers | {k: pd.array(v, dtype="str") for k, v in words})

        return _by_block(score, features)[list(CHURN_COLUMNS)]

    def explain(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the reasons of each customer as codes with their weights.

        Returns:
            One row a customer: code_1..3, the reason groups of `predict`'s sentences ("" where
            there is none), and contribution_1..3, their log-odds (NaN where there is none).
        """

        def weigh(block: pd.DataFrame) -> pd.DataFrame:
            X = self.inputs.matrix(block)
            tier = self.tiers.assign(self.calibrator(raw_scores(self.booster, X)))
            found = self._reasons(X, tier)
            codes = {f"code_{k}": pd.array(c, dtype="str") for k, c in enumerate(found.code.T, 1)}
            weights = {f"contribution_{k}": w for k, w in enumerate(found.contribution.T, 1)}
            return pd.DataFrame(codes | weights)

        return _by_block(weigh, features)

    def contributions(self, features: pd.DataFrame) -> pd.DataFrame:
        """Split each raw score into one part a feature.

        Returns:
            Log-odds on the index of `features`: one column each of `model_features`, and last
            `base`. A row's sum is its raw score (`raw_scores`), before calibration.
        """
        parts = contributions(self.booster, self.inputs.matrix(features))
        return pd.DataFrame(parts, index=features.index, columns=[*self.model_features, BASE])

    def raw_scores(self, features: pd.DataFrame) -> pd.Series[float]:
        """Return the log-odds of churn before calibration."""
        score = raw_scores(self.booster, self.inputs.matrix(features))
        return pd.Series(score, index=features.index, name="raw_score")

    def importance(self) -> pd.DataFrame:
        """Return what the model looks at: mean absolute contribution on calibration customers.

        Returns:
            Columns feature, reason_group, importance (log-odds), greatest first.
        """
        groups = self.inputs.groups
        rows = [(name, groups[name], value) for name, value in self.card["importance"].items()]
        frame = pd.DataFrame(rows, columns=["feature", "reason_group", "importance"])
        return frame.sort_values(
            ["importance", "feature"], ascending=[False, True], ignore_index=True
        )

    def group_importance(self) -> pd.Series[float]:
        """Return the importance of each reason group, the sum over its features."""
        total = self.importance().groupby("reason_group")["importance"].sum()
        return total.sort_values(ascending=False, kind="stable")

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Write the parts of the model; return the card. See `artifact.save`."""
        ranked = self.inputs.percentiles
        parts = {
            "booster.txt": booster_text(self.booster),
            "calibrator.json": dump_json(
                {"point": self.calibrator.to_dict(), "interval": self.interval.to_dict()}
            ),
            "percentiles.json": dump_json({SPEND_PERCENTILE: ranked.to_dict() if ranked else None}),
            "tiers.json": dump_json({RISK_TIER: self.tiers.to_dict()}),
        }
        for name, text in parts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        return dict(self.card)

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` wrote. Use `artifact.load`, which checks the files first."""

        def part(name: str) -> Any:
            return json.loads((folder / name).read_text(encoding="utf-8"))

        path = folder / "booster.txt"
        try:
            booster = lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
        except (lightgbm.basic.LightGBMError, OSError, UnicodeError) as error:
            raise ModelError(f"{path}: not a LightGBM model ({error})") from error
        features = tuple(Feature(**row) for row in description["features"])
        if booster.num_feature() != len(features):
            raise ModelError(
                f"{path}: has {booster.num_feature()} features, the card lists {len(features)}"
            )
        ranked = part("percentiles.json")[SPEND_PERCENTILE]
        calibrator = part("calibrator.json")
        return cls(
            horizon_days=description["horizon_days"],
            gap_days=description["gap_days"],
            card=description,
            booster=booster,
            inputs=Inputs(features, Percentiles.from_dict(ranked) if ranked else None),
            calibrator=Calibrator.from_dict(calibrator["point"]),
            interval=VennAbers.from_dict(calibrator["interval"]),
            tiers=Tiers.from_dict(part("tiers.json")[RISK_TIER]),
        )

    def _reasons(self, X: Floats, tier: npt.NDArray[np.object_]) -> Reasons:
        parts = contributions(self.booster, X)[:, :-1]
        columns = dict(zip(self.inputs.names, X.T, strict=True))
        lowers = np.asarray(tier == TIERS[0], dtype=bool)
        said = explain(parts, columns, self.inputs.groups, lowers)
        # Where nothing raises the risk above the usual, what lowers it is the reason.
        silent = ~lowers & (said.text[:, 0] == "")
        if silent.any():
            said = explain(parts, columns, self.inputs.groups, lowers | silent)
        return said


def boosting_rounds(
    train_X: pd.DataFrame,
    train_y: pd.Series[float],
    later_X: pd.DataFrame,
    later_y: pd.Series[float],
    *,
    catalogue: Sequence[CatalogueRow] = (),
    train_cutoffs: Sequence[date] = (),
    seed: int = 0,
    num_threads: int = 1,
) -> int:
    """Return after how many rounds the log loss on a later panel no longer falls.

    To be used inside the training cutoffs, as `n_estimators` of a `ChurnModel` that is
    calibrated on cutoffs later still.

    Args:
        train_X: Features, as for `ChurnModel.fit`.
        train_y: 1 churned, 0 stayed; same index.
        later_X: Features of a cutoff not before the end of the label windows of `train_X`.
        later_y: Their outcomes.
        catalogue: Rows of the feature catalogue.
        train_cutoffs: Cutoffs of the training panel.
        seed: Seed of the trees.
        num_threads: Threads of training; the result does not depend on it.
    """
    inputs, _ = Inputs.choose(train_X, catalogue, train_cutoffs)
    classifier = _classifier(inputs, {}, seed, num_threads).fit(
        _named(inputs, train_X, "training"),
        _outcomes(train_X, train_y, "training"),
        (_named(inputs, later_X, "validation"), _outcomes(later_X, later_y, "validation")),
    )
    return int(classifier.booster_.num_trees())


def _classifier(
    inputs: Inputs, params: Mapping[str, Any], seed: int, num_threads: int
) -> ChurnClassifier:
    settings = {
        "monotone_constraints": inputs.signs,
        "random_state": seed,
        "num_threads": num_threads,
        **params,
    }
    if unknown := sorted(set(settings) - set(inspect.signature(ChurnClassifier).parameters)):
        raise ModelError(f"ChurnClassifier has no parameter {', '.join(unknown)}")
    return ChurnClassifier(**settings)


def _named(inputs: Inputs, X: pd.DataFrame, panel: str) -> pd.DataFrame:
    return pd.DataFrame(inputs.matrix(X, f"the {panel} panel"), columns=inputs.names)


def _check_purged(train: Sequence[date], calibration: Sequence[date], reach_days: int) -> None:
    if not train or not calibration:
        return
    label_end = max(train) + timedelta(days=reach_days)
    if label_end > min(calibration):
        raise ModelError(
            f"the label window of training cutoff {max(train)} ends on {label_end}, after the "
            f"first calibration cutoff {min(calibration)}",
            "Leave out the training cutoffs whose label windows reach into the calibration.",
        )


def _outcomes(X: pd.DataFrame, y: pd.Series[float], panel: str) -> Floats:
    out = np.asarray(y, dtype=np.float64)
    if len(X) != len(out) or not len(out):
        raise ModelError(f"the {panel} panel has {len(X)} rows and {len(out)} outcomes")
    if isinstance(y, pd.Series) and not y.index.equals(X.index):
        raise ModelError(f"rows and outcomes of the {panel} panel are not of the same customers")
    if not np.isin(out, (0.0, 1.0)).all():
        raise ModelError(f"outcomes of the {panel} panel must be 0 (stayed) or 1 (churned)")
    return out


def _panel_facts(X: pd.DataFrame, y: Floats) -> dict[str, Any]:
    return {"rows": len(X), "customers": X.index.nunique(), "churn_rate": float(y.sum() / len(y))}


def _parameters(classifier: ChurnClassifier, n_rows: int) -> dict[str, Any]:
    sizes = default_parameters(n_rows)
    return {
        name: sizes.get(name) if value is None else value
        for name, value in classifier.get_params().items()
        if name
        not in ("monotone_constraints", "num_threads", "n_estimators", "early_stopping_rounds")
    }


def _importance(booster: lightgbm.Booster, X: Floats, names: Sequence[str]) -> dict[str, float]:
    some = X[canonical_order(X, np.zeros(len(X)))[:IMPORTANCE_ROWS]]
    parts = np.abs(contributions(booster, some)[:, :-1])
    return dict(zip(names, parts.mean(axis=0).tolist(), strict=True))


def _by_block(work: Callable[[pd.DataFrame], pd.DataFrame], features: pd.DataFrame) -> pd.DataFrame:
    # Threads of ours around single-threaded calls: OpenMP's own threads spin while they wait,
    # which costs a factor of a hundred on a busy machine.
    starts = range(0, max(len(features), 1), BLOCK)
    blocks = [features.iloc[start : start + BLOCK] for start in starts]
    with ThreadPoolExecutor(THREADS) as pool:
        found = pd.concat(pool.map(work, blocks), ignore_index=True)
    return found.set_axis(features.index)
