"""Churn candidates at rolling cutoffs, each fitted only on what had closed by then.

For a cutoff c a candidate is fitted on the cutoffs whose label windows had ended by c, and its
scores at c are therefore out of time. What such scores of earlier cutoffs turned out to mean
teaches the calibration of later ones (`training.churn_calibration`). So the newest closed labels
train the trees and, through earlier trees, still calibrate: none is held back, and no outcome is
looked at twice. (Scikit-learn's `CalibratedClassifierCV(ensemble=False)` does the same with folds
in the place of cutoffs.)
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.inputs import Inputs
from models.scorers import BlendScorer, Recipe, Scorer, fit_scorer
from training.churn_calibration import CalibrationChoice, Scored, Unlabelled, choose_calibration
from training.churn_panel import Panel
from training.churn_recipes import AS_THEY_ARE, P_NONE

__all__ = ["Fitted", "Rolling"]

LATEST = 6
"""Latest earlier cutoffs that calibration looks at, beside those of the same season."""

SIDE_BY_SIDE_ROWS = 300_000
"""Up to so many rows candidates are fitted side by side, above one after the other."""

YEAR = dt.timedelta(days=365)
NEAR = dt.timedelta(days=46)


@dataclass(frozen=True)
class Fitted:
    """A candidate as of a cutoff.

    Attributes:
        inputs: The features.
        dropped: Features left out, with the reason.
        scorer: What was fitted.
        cutoffs: Those it was fitted on.
        rows: Rows it was fitted on.
        customers: Customers it was fitted on.
        churn_rate: Their churn rate.
    """

    inputs: Inputs
    dropped: Mapping[str, str]
    scorer: Scorer
    cutoffs: tuple[dt.date, ...]
    rows: int
    customers: int
    churn_rate: float


@dataclass(frozen=True)
class _Material:
    """What all candidates of a cutoff are fitted on."""

    day: dt.date
    cutoffs: tuple[dt.date, ...]
    inputs: Inputs
    dropped: Mapping[str, str]
    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.float64]
    customers: int


class Rolling:
    """Candidates at any cutoff of a panel. What has been fitted once is kept.

    Args:
        panel: The slices.
        recipes: Candidate -> recipe.
        seed: Seed of every fit.
        threads: Threads of the trees; they change nothing.
    """

    def __init__(
        self, panel: Panel, recipes: Mapping[str, Recipe], *, seed: int = 0, threads: int = 1
    ) -> None:
        self.panel = panel
        self.recipes = recipes
        self._seed, self._threads = seed, threads
        self._material: _Material | None = None
        self._scorers: dict[tuple[str, dt.date], Scorer] = {}
        self._fitted: dict[tuple[str, dt.date], Fitted] = {}
        self._scores: dict[tuple[str, dt.date], npt.NDArray[np.float64]] = {}
        self._calibrations: dict[tuple[str, dt.date], CalibrationChoice] = {}

    def can_score(self, day: dt.date) -> bool:
        """Whether anything had closed by a day, with customers of both kinds."""
        past = self.panel.training_for(day)
        return bool(past) and 0.0 < float(self.panel.training_outcomes(past).mean()) < 1.0

    def score_all(self, names: Iterable[str], day: dt.date) -> None:
        """Fit several candidates as of a day side by side, and score the day's customers.

        Small fits gain nothing from threads of their own, so each takes one.
        """
        material = self._prepared(day)
        parts = {_key(part): part for name in names for part in _parts(self.recipes[name])}
        if len(material.y) <= SIDE_BY_SIDE_ROWS:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(lambda part: self._scorer(part, material, 1), parts.values()))
        for name in names:
            self.scores(name, day)

    def fit(self, name: str, day: dt.date) -> Fitted:
        """The candidate as of a day: fitted on what had closed by then.

        Raises:
            ModelError: Nothing had closed, or its outcomes are all the same.
        """
        if (name, day) not in self._fitted:
            m = self._prepared(day)
            self._fitted[name, day] = Fitted(
                m.inputs,
                m.dropped,
                self._scorer(self.recipes[name], m, self._threads),
                m.cutoffs,
                len(m.y),
                m.customers,
                float(m.y.sum() / len(m.y)),
            )
        return self._fitted[name, day]

    def scores(self, name: str, day: dt.date) -> npt.NDArray[np.float64]:
        """Out-of-time log-odds of all customers of a slice."""
        if (name, day) not in self._scores:
            fitted = self.fit(name, day)
            matrix = fitted.inputs.matrix(self.panel.slices[day].features)
            self._scores[name, day] = fitted.scorer.raw(matrix)
        return self._scores[name, day]

    def calibration(self, name: str, day: dt.date) -> CalibrationChoice:
        """The calibration of a candidate for a day, learned from what had closed by then."""
        if (name, day) not in self._calibrations:
            now = self.panel.slices[day]
            origins = self.origins(day)
            self._calibrations[name, day] = choose_calibration(
                [self._scored(name, c) for c in origins],
                day,
                self.panel.settings.reach.days,
                now=Unlabelled(self.scores(name, day), self._anchor(day), now.one_time),
                methods=("none",) if name in AS_THEY_ARE else None,
            )
        return self._calibrations[name, day]

    def probability(self, name: str, day: dt.date) -> npt.NDArray[np.float64]:
        """Churn probabilities of all customers of a slice, forecast at that day."""
        return self.calibration(name, day).calibrator(self.scores(name, day))

    def origins(self, day: dt.date) -> list[dt.date]:
        """Earlier cutoffs that calibration for a day learns from, ascending.

        The latest closed ones, and those a year before the day and before the latest of them.
        """
        closed = [c for c in self.panel.closed_by(day) if self.can_score(c)]
        latest = closed[-LATEST:]
        seasons = [d - YEAR for d in (day, *latest[-3:])]
        return [c for c in closed if c in latest or any(abs(c - s) <= NEAR for s in seasons)]

    def _scored(self, name: str, day: dt.date) -> Scored:
        s = self.panel.slices[day]
        return Scored(
            day, self.scores(name, day), s.churned, s.customers, s.one_time, self._anchor(day)
        )

    def _anchor(self, day: dt.date) -> npt.NDArray[np.float64] | None:
        """The purchase model's probability of no purchase, where there is one."""
        features = self.panel.slices[day].features
        return features[P_NONE].to_numpy(np.float64) if P_NONE in features else None

    def _prepared(self, day: dt.date) -> _Material:
        """The training matrix as of a day. Only the last one is kept: it is large."""
        if self._material is None or self._material.day != day:
            self._material = None
            panel, past = self.panel, self.panel.training_for(day)
            frames = panel.training_frames(past)
            inputs, dropped = Inputs.choose(frames, panel.catalogue, past)
            people = (
                frames[0].index
                if len(frames) == 1
                else frames[0].index.append([f.index for f in frames[1:]])
            )
            self._material = _Material(
                day,
                tuple(past),
                inputs,
                dropped,
                inputs.matrix(frames),
                panel.training_outcomes(past),
                people.nunique(),
            )
        return self._material

    def _scorer(self, recipe: Recipe, m: _Material, threads: int) -> Scorer:
        key = (_key(recipe), m.day)
        if key not in self._scorers:
            if recipe.kind == "blend":
                members = tuple(self._scorer(part, m, threads) for part in recipe.members)
                weights = recipe.weights or (1.0,) * len(members)
                total = sum(weights)
                self._scorers[key] = BlendScorer(members, tuple(w / total for w in weights))
            else:
                self._scorers[key] = fit_scorer(
                    recipe, m.inputs, m.X, m.y, seed=self._seed, num_threads=threads
                )
        return self._scorers[key]


def _parts(recipe: Recipe) -> tuple[Recipe, ...]:
    """What has to be fitted for a recipe."""
    return recipe.members or (recipe,)


def _key(recipe: Recipe) -> str:
    return json.dumps(recipe.to_dict(), sort_keys=True)
