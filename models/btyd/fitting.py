"""From an RFM summary to the posterior draws of a purchase model."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Self

import numpy as np
import pandas as pd

from ..base import ModelError
from .cellwise import cellwise, effects_target
from .covariates import Cells, Design
from .formulas import FloatArray
from .grid import FINEST, NODE_BUDGET, on_grid, sample
from .histories import Histories, compress, suspects
from .mode import find_mode
from .parameters import Parameters
from .posterior import infer
from .rfm import check_histories
from .segments import pooled_target
from .target import Priors, Target, prior

__all__ = ["Fitting"]

_BLOCK_NODES = 1 << 20
"""Nodes that a likelihood is asked for at once: bounds its memory at any number of customers."""


class Fitting(Parameters):
    """How a purchase model learns: see `PurchaseModel`, of which this is a part."""

    @abstractmethod
    def _log_likelihood(self, parameters: FloatArray, nodes: Histories) -> tuple[float, FloatArray]:
        """Weighted log-likelihood of the nodes, and its gradient by the parameters.

        Args:
            parameters: (k, cells) in the order of `names`; column `nodes.cell[i]` holds for
                node i.
            nodes: Weighted histories.

        Returns:
            The sum over nodes of weight x log-likelihood, and its gradient, (k, cells).
        """

    @abstractmethod
    def _prior_centre(self, mean_T: float) -> dict[str, float]:
        """Median of the weak prior of each parameter, given the mean T in weeks."""

    @abstractmethod
    def _start(self, nodes: Histories) -> dict[str, float]:
        """Where the search for the mode begins."""

    def fit(
        self, rfm: pd.DataFrame, seed: int = 0, method: str = "nuts", priors: Priors = "weak"
    ) -> Self:
        """Learn the parameters.

        The weak prior is log-normal and independent for each parameter: its median is written in
        each model's `_prior_centre` (for a rate parameter such as alpha it follows the mean T,
        so the unit of time does not matter) and the standard deviation of the logarithm is 1.5,
        a factor of 20 either way at 95 %.

        Above `grid.NODE_BUDGET` different histories the likelihood runs on a grid that stands
        for them; `diagnostics["grid_shift_sd"]` is how far that moves the mode, in posterior
        standard deviations, and is at most `mode.MAX_SHIFT`.

        Args:
            rfm: The `input_columns`, times in weeks, and optionally weight. Not changed.
            seed: Makes the draws repeatable.
            method: "nuts" (full posterior), "laplace" (fast, checked by k-hat), or "map" (the
                mode only; no intervals). With segments "map" is empirical Bayes: the standard
                deviations between segments at their marginal mode, the rest at its mode given
                them; see `segments`.
            priors: "weak", "flat" (flat in the logarithms and the coefficients; its mode is the
                maximum likelihood), or parameter -> (median, standard deviation of the
                logarithm) for those that are not to have the weak prior, for example
                {"r": (0.3, 0.5)}. What shrinks segments is kept in all.

        Returns:
            The model itself.

        Raises:
            ModelError: Impossible rows, too little data, or draws that cannot be trusted.
        """
        began = time.perf_counter()
        exact = compress(self._learn(rfm))
        if not len(exact):
            raise ModelError("The RFM summary has no rows.", "Give one row a customer.")
        if not (exact.frequency > 0).any():
            raise ModelError(
                "No customer has bought more than once, so purchase rates cannot be learned.",
                "Take a longer history.",
            )
        if not (exact.T > 0).any():
            raise ModelError("T is 0 for every customer.", "Take a later cutoff.")
        if len(exact) > NODE_BUDGET:
            target = self._on_grid(exact, priors)
        else:
            target = self._target(exact, priors)
        fitted = infer(target, seed, method)
        self._draws = fitted.draws
        written = prior(priors, self._prior_centre(_mean_time(exact)))[2]
        self._diagnostics = {"model": self.label, "priors": written, **fitted.diagnostics}
        if self._design is not None:
            self._diagnostics |= {"cells": len(self._cells or ()), "unseen": self.unseen(rfm)}
        self._cells = None
        self._diagnostics["seconds"] = time.perf_counter() - began
        return self

    def _on_grid(self, exact: Histories, priors: Priors, fineness: int = 0) -> Target:
        """The posterior on a grid, with the means to check it and to take a finer one."""
        alpha = None
        if self._cells is None and "alpha" in self.names:
            rough = self._target(sample(exact, NODE_BUDGET), priors)
            point = rough.to_parameters(find_mode(rough).point)
            alpha = float(point[self.names.index("alpha")])
        nodes = on_grid(exact, fineness, alpha)
        if len(nodes) == len(exact):
            return self._target(exact, priors)
        on = [nodes]
        target = self._target(nodes, priors, lambda: on[0])

        def over_all(point: FloatArray) -> tuple[float, FloatArray]:
            on[0] = exact
            try:
                return target.log_likelihood(point)
            finally:
                on[0] = nodes

        finer = None
        if fineness < FINEST:
            finer = partial(self._on_grid, exact, priors, fineness + 1)
        return replace(
            target,
            weight=float(exact.weight.sum()),
            exact=over_all,
            finer=finer,
            suspects=partial(suspects, exact),
        )

    def _target(
        self,
        nodes: Histories,
        priors: Priors,
        running_on: Callable[[], Histories] | None = None,
    ) -> Target:
        """The posterior on nodes; `running_on` may exchange them for others at every call."""
        weight = float(nodes.weight.sum())
        centre, start = self._prior_centre(_mean_time(nodes)), self._start(nodes)
        prior_mean, prior_sd, _ = prior(priors, {name: centre[name] for name in self.names})

        def likelihood(parameters: FloatArray) -> tuple[float, FloatArray]:
            now = nodes if running_on is None else running_on()
            value, gradient = self._log_likelihood(parameters, now.at(slice(0, _BLOCK_NODES)))
            for begin in range(_BLOCK_NODES, len(now), _BLOCK_NODES):
                block = now.at(slice(begin, begin + _BLOCK_NODES))
                more, by_parameter = self._log_likelihood(parameters, block)
                value, gradient = value + more, gradient + by_parameter
            return value, gradient

        def log_likelihood(point: FloatArray) -> tuple[float, FloatArray]:
            parameters = np.exp(point.clip(-200.0, 200.0))[:, None]
            value, gradient = likelihood(parameters)
            return value, (gradient * parameters)[:, 0]

        plain = Target(
            names=self.names,
            log_likelihood=log_likelihood,
            to_parameters=np.exp,
            prior_mean=prior_mean,
            prior_sd=prior_sd,
            start=np.log([start[name] for name in self.names]),
            weight=weight,
            nodes=len(nodes),
            suspects=partial(suspects, nodes),
        )
        if self._cells is None:
            return plain
        return replace(self._with_effects(plain, likelihood, self._cells), suspects=plain.suspects)

    def _with_effects(
        self,
        plain: Target,
        likelihood: Callable[[FloatArray], tuple[float, FloatArray]],
        cells: Cells,
    ) -> Target:
        shares = {
            effect: np.array([moved.get(name, 0.0) for name in self.names])
            for effect, moved in self.effects.items()
        }
        values = {e: x for e, x in cells.numbers.items() if x.shape[1]}
        sd = self.coefficient_sd if np.isfinite(plain.prior_sd).all() else np.inf

        without = cellwise(likelihood, shares, values, None, len(cells))
        target = effects_target(plain, without, tuple(self._coefficients()), sd)
        if self.segment is None:
            return target
        work = cellwise(likelihood, shares, values, cells.segment, len(cells))
        prior = (float(np.log(self.segment_sd)), 1.0)
        return pooled_target(target, work, tuple(self._spreads()), tuple(self._offsets()), prior)

    def _learn(self, rfm: pd.DataFrame) -> Histories:
        """The histories of a frame; scales, levels and segments are learned from it."""
        histories = check_histories(rfm)
        self._draws = self._design = self._cells = None
        if (not self.covariates and self.segment is None) or not len(histories):
            return histories
        design = Design.learn(rfm, histories.weight, self.covariates, self.segment)
        cells = design.cells(rfm)
        self._design, self._cells = design, replace(cells, place=cells.place[:0])
        return replace(histories, cell=cells.place)

    def log_likelihood(self, rfm: pd.DataFrame) -> float:
        """Weighted log-likelihood of the histories at the posterior mean of the parameters."""
        histories, cells = self.read(rfm)
        point = {name: np.array([value]) for name, value in self.parameters.items()}
        found = self.at(point, cells, np.arange(len(cells)))
        rows = [np.broadcast_to(found[name], (len(cells), 1))[:, 0] for name in self.names]
        nodes = compress(replace(histories, cell=cells.place))
        return self._log_likelihood(np.stack(rows), nodes)[0]

    def prior_model(self, rfm: pd.DataFrame, draws: int = 400, seed: int = 0) -> Self:
        """The model before it has seen an outcome: draws of the prior it was fitted with.

        For prior predictive checks. Covariates and segments are at their means.

        Args:
            rfm: The summary; only the mean T is read, which the weak prior follows.
            draws: How many.
            seed: Makes them repeatable.

        Raises:
            ModelError: The model was fitted with a flat prior, which cannot be drawn from.
        """
        asked = self._diagnostics.get("priors", "weak")
        centre = self._prior_centre(_mean_time(compress(check_histories(rfm))))
        mean, sd, _ = prior(asked, {name: centre[name] for name in self.names})
        if not np.isfinite(sd).all():
            raise ModelError("A flat prior has no draws.", "Fit with priors='weak'.")
        z = np.random.default_rng(seed).standard_normal((draws, len(self.names)))
        points = np.exp(mean + sd * z)
        drawn = dict(zip(self.names, points.T, strict=True))
        return type(self).from_draws(drawn, None, {**self.describe(), "design": None})


def _mean_time(nodes: Histories) -> float:
    return float(nodes.weight @ nodes.T / nodes.weight.sum())
