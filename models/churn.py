"""Churn: the probability that a customer makes no purchase in the horizon.

`ChurnModel` is what gets registered: the features it reads, a scorer, a calibrator and an
interval learned on later cutoffs, tier cut points and what is needed to say the reasons.
"""

from __future__ import annotations

import json
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
)
from .calibration import Calibrator, choose_calibrator
from .inputs import CatalogueRow, Inputs
from .order import canonical_order
from .panel import check_purged, outcomes, panel_facts
from .reasons import Reasons, explain
from .scorers import Recipe, Scorer, fit_scorer, read_scorer
from .scorers.scorer import BLOCK, THREADS, Matrix
from .tiers import Tiers
from .venn_abers import VennAbers

__all__ = ["BASE", "LOW_RISK_AT_MOST", "ChurnModel"]

BASE = "base"
"""Column of `ChurnModel.contributions` that holds the score of the average training row."""

IMPORTANCE_ROWS = 5_000

LOW_RISK_AT_MOST = 0.5
"""Nobody who is more likely to leave than to stay is called low risk, in whatever shop."""


@dataclass(frozen=True, eq=False)
class ChurnModel:
    """A fitted churn model: what is registered, saved, loaded and scored with.

    Build it with `assemble`, `fit` or `artifact.load`.

    Attributes:
        horizon_days: Length of the label window.
        gap_days: Days between the cutoff and the label window.
        card: What the model says of itself; JSON-able.
        inputs: The features it reads.
        scorer: From their matrix to log-odds.
        calibrator: From log-odds to probability.
        interval: From log-odds to the ends of the probability.
        tiers: Cut points of the risk tiers.
    """

    kind: ClassVar[str] = "churn"

    horizon_days: int
    gap_days: int
    card: Mapping[str, Any]
    inputs: Inputs = field(repr=False)
    scorer: Scorer = field(repr=False)
    calibrator: Calibrator = field(repr=False)
    interval: VennAbers = field(repr=False)
    tiers: Tiers = field(repr=False)

    @classmethod
    def assemble(
        cls,
        *,
        inputs: Inputs,
        scorer: Scorer,
        calibrator: Calibrator,
        interval: VennAbers,
        tiers: Tiers,
        horizon_days: int,
        gap_days: int,
        sample: Matrix,
        card: Mapping[str, Any],
    ) -> Self:
        """Put together parts that were learned elsewhere.

        Args:
            inputs: The features.
            scorer: Fitted on their matrix.
            calibrator: Learned from scores of cutoffs later than those of the scorer.
            interval: Learned from the same scores.
            tiers: Cut points of the calibrated probability.
            horizon_days: Length of the label window.
            gap_days: Days between the cutoff and the label window.
            sample: Matrix of the customers whose contributions tell the importance of the
                features (at most 5,000 of them are looked at), best of a cutoff later than
                training; shape (n, f), n > 0.
            card: What else the card says; JSON-able.

        Returns:
            The model. Its card has, beside `card`: horizon_days, gap_days, features,
            feature_names, text_columns, scorer, importance and lightgbm_version.
        """
        own = {
            "horizon_days": int(horizon_days),
            "gap_days": int(gap_days),
            "features": [f.to_dict() for f in inputs.features],
            "feature_names": inputs.columns,
            "text_columns": inputs.text_columns,
            "scorer": scorer.description,
            "importance": _importance(scorer, sample, inputs.names),
            "lightgbm_version": lightgbm.__version__,
        }
        return cls(
            horizon_days=int(horizon_days),
            gap_days=int(gap_days),
            card={**card, **own},
            inputs=inputs,
            scorer=scorer,
            calibrator=calibrator,
            interval=interval,
            tiers=tiers,
        )

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
        recipe: Recipe | None = None,
        catalogue: Sequence[CatalogueRow] = (),
        catalogue_hash: str = "",
        train_cutoffs: Sequence[date] = (),
        calibration_cutoffs: Sequence[date] = (),
        seed: int = 0,
        num_threads: int = 1,
    ) -> Self:
        """Train, then calibrate on later cutoffs: the whole chain for one pair of panels.

        The number of rounds is fixed beforehand: trees that are stopped by the customers that
        calibrate them would look better there than they are.

        Args:
            train_X: Features of all training cutoffs, one below the other; index customer_id,
                so a customer appears once a cutoff. `Inputs.choose` says which columns are
                used, and `card["dropped"]` which are not.
            train_y: 1 churned, 0 stayed; same index.
            calibration_X: The same of later cutoffs, in any column order.
            calibration_y: Their outcomes.
            horizon_days: Length of the label window.
            gap_days: Days between the cutoff and the label window.
            recipe: What to fit; `Recipe("lightgbm")` when left out.
            catalogue: Rows of the feature catalogue.
            catalogue_hash: Kept on the card.
            train_cutoffs: Cutoffs of the training panel.
            calibration_cutoffs: Cutoffs of the calibration panel.
            seed: Seed of the trees.
            num_threads: Threads of training; the result does not depend on it.

        Raises:
            ModelError: The panels do not fit together, a label window of training reaches
                past the first calibration cutoff, or the outcomes are all the same.
        """
        check_purged(train_cutoffs, calibration_cutoffs, gap_days + horizon_days)
        y = outcomes(train_X, train_y, "training")
        later_y = outcomes(calibration_X, calibration_y, "calibration")
        recipe = recipe or Recipe("lightgbm")
        inputs, dropped = Inputs.choose(train_X, catalogue, train_cutoffs)
        later = inputs.matrix(calibration_X, "the calibration panel")
        scorer = fit_scorer(
            recipe,
            inputs,
            inputs.matrix(train_X, "the training panel"),
            y,
            seed=seed,
            num_threads=num_threads,
        )
        score = scorer.raw(later)
        choice = choose_calibrator(score, later_y, calibration_X.index.to_numpy())
        until = max(calibration_cutoffs) if calibration_cutoffs else None
        reach = timedelta(days=gap_days + horizon_days)
        return cls.assemble(
            inputs=inputs,
            scorer=scorer,
            calibrator=choice.calibrator,
            interval=VennAbers.fit(score, later_y),
            tiers=Tiers.learn(choice.calibrator(score), low_at_most=LOW_RISK_AT_MOST),
            horizon_days=horizon_days,
            gap_days=gap_days,
            sample=later,
            card={
                "recipe": recipe.to_dict(),
                "dropped": dropped,
                "catalogue_hash": catalogue_hash,
                "train_cutoffs": [d.isoformat() for d in sorted(train_cutoffs)],
                "calibration_cutoffs": [d.isoformat() for d in sorted(calibration_cutoffs)],
                "trained_until": (until + reach).isoformat() if until else None,
                "training": {**panel_facts(train_X, y), "rounds": scorer.rounds, "seed": seed},
                "calibration": {
                    **panel_facts(calibration_X, later_y),
                    "method": choice.calibrator.method,
                    "reason": choice.reason,
                    "log_loss": dict(choice.log_loss),
                },
            },
        )

    @property
    def feature_names(self) -> list[str]:
        """Columns that `predict` needs, in the model's order."""
        return self.inputs.columns

    @property
    def text_columns(self) -> list[str]:
        """Those of them that are categories and hold text; all others hold numbers."""
        return self.inputs.text_columns

    @property
    def model_features(self) -> list[str]:
        """Columns of `contributions`: the inputs and what is computed from them."""
        return self.inputs.names

    def predict(
        self, features: pd.DataFrame, *, reasons: bool = True, language: str = "en"
    ) -> pd.DataFrame:
        """Score customers.

        Args:
            features: A frame with at least `feature_names`, in any order, missing values
                allowed: numbers, and text in `text_columns`. It is not written to.
            reasons: Whether to compute the reasons, which is most of the work. The columns
                are there, and empty, without them.
            language: Language of the reasons, one of `messages.LANGUAGES`.

        Returns:
            A frame on the index of `features` with the columns `CHURN_COLUMNS`:

            * churn_probability: calibrated probability of no purchase in the horizon.
            * churn_low, churn_high: what calibration would say if this customer were added to
              it as one who stayed, and as one who churned (`VennAbers`), and always around the
              probability; wider by as much as the level was usually off at earlier cutoffs.
              Wide means that few calibration customers had such a score. It is not a range for
              what this one customer will do.
            * risk_tier: low, medium or high, by cut points frozen at training.
            * reason_1, reason_2, reason_3: the strongest reasons for more risk or, when the
              tier is low or nothing raises it, for less ("Good sign: ..."); empty where fewer
              push that way.

        Raises:
            ModelError: A column is missing, not numeric, or infinite somewhere, or the language
                is unknown.
        """

        def score(block: pd.DataFrame) -> pd.DataFrame:
            X = self.inputs.matrix(block)
            raw = self.scorer.raw(X)
            probability = self.calibrator(raw)
            low, high = self.interval.around(raw, probability)
            tier = self.tiers.assign(probability)
            nothing = np.full((len(X), len(REASON_COLUMNS)), "", dtype=object)
            said = self._reasons(block, X, tier, language).text if reasons else nothing
            numbers = {
                CHURN_PROBABILITY: probability,
                CHURN_LOW: low,
                CHURN_HIGH: high,
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
            tier = self.tiers.assign(self.calibrator(self.scorer.raw(X)))
            found = self._reasons(block, X, tier, "en")
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
        parts = self.scorer.contributions(self.inputs.matrix(features))
        return pd.DataFrame(parts, index=features.index, columns=[*self.model_features, BASE])

    def raw_scores(self, features: pd.DataFrame) -> pd.Series[float]:
        """Return the log-odds of churn before calibration."""
        score = self.scorer.raw(self.inputs.matrix(features))
        return pd.Series(score, index=features.index, name="raw_score")

    def importance(self) -> pd.DataFrame:
        """Return what the model looks at: mean absolute contribution on later customers.

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
        parts = {
            **self.scorer.to_parts(),
            "inputs.json": dump_json(self.inputs.to_dict()),
            "calibrator.json": dump_json(
                {"point": self.calibrator.to_dict(), "interval": self.interval.to_dict()}
            ),
            "tiers.json": dump_json({RISK_TIER: self.tiers.to_dict()}),
        }
        for name, text in parts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        return dict(self.card)

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` wrote. Use `artifact.load`, which checks the files first."""

        def text(name: str) -> str:
            return (folder / name).read_text(encoding="utf-8")

        calibrator = json.loads(text("calibrator.json"))
        return cls(
            horizon_days=description["horizon_days"],
            gap_days=description["gap_days"],
            card=description,
            inputs=Inputs.from_dict(json.loads(text("inputs.json"))),
            scorer=read_scorer(description["scorer"], text),
            calibrator=Calibrator.from_dict(calibrator["point"]),
            interval=VennAbers.from_dict(calibrator["interval"]),
            tiers=Tiers.from_dict(json.loads(text("tiers.json"))[RISK_TIER]),
        )

    def _reasons(
        self, block: pd.DataFrame, X: Matrix, tier: npt.NDArray[np.object_], language: str
    ) -> Reasons:
        return explain(
            self.scorer.contributions(X)[:, :-1],
            self.inputs.values(block, X),
            self.inputs.groups,
            np.asarray(tier == TIERS[0], dtype=bool),
            language,
        )


def _importance(scorer: Scorer, X: Matrix, names: Sequence[str]) -> dict[str, float]:
    some = X[canonical_order(X, np.zeros(len(X)))[:IMPORTANCE_ROWS]]
    parts = np.abs(scorer.contributions(some)[:, :-1])
    return dict(zip(names, parts.mean(axis=0).tolist(), strict=True))


def _by_block(work: Callable[[pd.DataFrame], pd.DataFrame], features: pd.DataFrame) -> pd.DataFrame:
    # Threads of ours around single-threaded calls; see `scorers.scorer.by_block`.
    starts = range(0, max(len(features), 1), BLOCK)
    blocks = [features.iloc[start : start + BLOCK] for start in starts]
    if len(blocks) == 1:  # a request to a model server: a thread would cost as much as the work
        return work(features).set_axis(features.index)
    with ThreadPoolExecutor(THREADS) as pool:
        found = pd.concat(pool.map(work, blocks), ignore_index=True)
    return found.set_axis(features.index)
