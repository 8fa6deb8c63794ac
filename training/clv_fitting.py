"""Fit the models that CLV candidates are made of, on the history at one cutoff.

A part that several candidates share, such as the spend model, is fitted once.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from features.errors import InputError
from features.ledger import Ledger
from features.schema import nearest
from features.window import ObservationWindow
from models.base import ModelError
from models.btyd import PURCHASE_MODELS, PurchaseModel
from models.calendar import Calendar
from models.clv import CustomerLifetimeValue
from models.spend import FIRST_VALUE, GammaGamma
from models.spend_effects import ScaleBy
from training.clv_calendar import learn_calendar
from training.clv_history import History, Snapshots

__all__ = ["ClvSettings", "Fitting", "Fittings", "Purchases", "Spend"]

_QUICK = "laplace"  # how models of earlier cutoffs are fitted
# Fields of `ClvSettings`; the candidates are the members of a stack.
_RECIPE = ("covariates", "segment", "holidays", "priors", "candidates")


@dataclass(frozen=True)
class ClvSettings:
    """How future value is counted, and what may help to foretell it.

    Attributes:
        horizon_days: Days after the cutoff that count.
        annual_discount_rate: 0.10 means that money a year from now counts for 1 / 1.10.
        margin: Share of spend that is profit.
        covariates: "rate", "dropout", "spend" -> columns of attributes.
        segment: Column of groups that are drawn towards the whole.
        holidays: Country code whose public holidays the calendar knows.
        priors: Model -> parameter -> median and standard deviation of the logarithm.
        candidates: Names of the candidates to try; empty for all.
    """

    horizon_days: int = 365
    annual_discount_rate: float = 0.10
    margin: float = 1.0
    covariates: Mapping[str, Sequence[str]] = field(default_factory=dict)
    segment: str | None = None
    holidays: str | None = None
    priors: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    candidates: tuple[str, ...] = ()

    @property
    def attributes(self) -> tuple[str, ...]:
        """All columns of attributes that are asked for."""
        named = [name for group in self.covariates.values() for name in group]
        return tuple(dict.fromkeys([*named, *([self.segment] if self.segment else [])]))

    def recipe(self) -> dict[str, Any]:
        """What shapes a fit, as plain JSON for the card of a model."""
        found: dict[str, Any] = json.loads(
            json.dumps({name: getattr(self, name) for name in _RECIPE}, default=dict)
        )
        return found

    def with_recipe(self, said: Any) -> ClvSettings:
        """The same question, asked of models of another `recipe`.

        Raises:
            ModelError: It is no recipe.
        """
        try:
            return replace(
                self,
                covariates={str(k): tuple(map(str, v)) for k, v in said["covariates"].items()},
                segment=said["segment"],
                holidays=said["holidays"],
                priors={
                    str(model): {str(k): (float(a), float(b)) for k, (a, b) in each.items()}
                    for model, each in said["priors"].items()
                },
                candidates=tuple(map(str, said["candidates"])),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                "its card does not say with which covariates, segment, holidays and priors it was "
                f"fitted ({type(error).__name__}: {error})"
            ) from error


@dataclass(frozen=True)
class Purchases:
    """A way to foretell purchases.

    Attributes:
        model: Name in `PURCHASE_MODELS`.
        calendar: On a clock that runs by the season.
        covariates: With the covariates of the settings.
        segments: With the segment of the settings.
    """

    model: str
    calendar: bool = False
    covariates: bool = False
    segments: bool = False


@dataclass(frozen=True)
class Spend:
    """A way to foretell spend: the arguments of `GammaGamma`.

    Attributes:
        repeat_only: From repeat purchases only, as published.
        scale_by: What of a customer's frequency the level depends on.
        half_life_days: Recent purchases count for more.
        covariates: With the covariates of the settings.
    """

    repeat_only: bool = False
    scale_by: ScaleBy | None = None
    half_life_days: int | None = None
    covariates: bool = False

    def __str__(self) -> str:
        """In words, for the parameters of a run."""
        of = "repeat purchases" if self.repeat_only else "all purchases"
        parts = [f"gamma_gamma of {of}"]
        parts += [f"level by {self.scale_by}"] if self.scale_by else []
        parts += [f"half-life {self.half_life_days} days"] if self.half_life_days else []
        parts += ["covariates"] if self.covariates else []
        return ", ".join(parts)


class Fittings:
    """The fittings of one shop, each made once.

    Args:
        ledger: The trusted tables.
        settings: Covariates, segment, holidays and priors.
        seed: Seed of every fit.
    """

    def __init__(self, ledger: Ledger, settings: ClvSettings, *, seed: int) -> None:
        _check_priors(settings.priors)
        self.snapshots = Snapshots(ledger, settings.attributes)
        self.settings = settings
        self.seed = seed
        self._made: dict[tuple[ObservationWindow, str], Fitting] = {}
        self._fitted: dict[tuple[dt.date, dt.date, str], dict[Any, Any]] = {}

    def at(self, window: ObservationWindow, method: str = _QUICK) -> Fitting:
        """The fitting of a window.

        Args:
            window: History before the cutoff, horizon after it.
            method: "nuts", "laplace" or "map". Where the normal approximation that "laplace"
                starts from is not good enough, the sampler is asked.
        """
        key = (window, method)
        if key not in self._made:
            # What is fitted to a history does not depend on the horizon after it.
            fitted = self._fitted.setdefault((window.start, window.cutoff, method), {})
            self._made[key] = Fitting(self, History(self.snapshots, window), method, fitted)
        return self._made[key]

    def forget(self) -> None:
        """Let go of forecasts and snapshots, which take memory; what was fitted stays."""
        self._made.clear()
        self.snapshots.forget()


def _check_priors(priors: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse priors of a model or parameter that does not exist.

    Raises:
        InputError: Names it and what there is.
    """
    known = {label: kind.names for label, kind in PURCHASE_MODELS.items()}
    known[GammaGamma().label] = GammaGamma.names
    for model, parameters in priors.items():
        if model not in known:
            raise InputError(
                f"[clv.priors] names a model {model!r} that does not exist.",
                f"{nearest(model, known)} Models: {', '.join(known)}.",
            )
        for name in parameters:
            if name not in known[model]:
                raise InputError(
                    f"[clv.priors.{model}] names a parameter {name!r} that does not exist.",
                    f"Parameters: {', '.join(known[model])}.",
                )


class Fitting:
    """The models of one history. Made by `Fittings`."""

    def __init__(
        self, shop: Fittings, history: History, method: str, fitted: dict[Any, Any]
    ) -> None:
        self.shop = shop
        self.history = history
        self.method = method
        self._made: dict[Any, Any] = {}
        self._fitted = fitted

    @property
    def options(self) -> dict[str, Any]:
        """Arguments that the models' `predict` takes beside the inputs and the horizon."""
        return {"cutoff": self.history.window.cutoff}

    def clv(self, purchases: Purchases, spend: Spend) -> CustomerLifetimeValue:
        """A model of purchases and one of spend together.

        Raises:
            ModelError: One of them cannot be fitted.
        """
        calendar = self.calendar() if purchases.calendar else None
        return CustomerLifetimeValue(self.purchases(purchases), self.spend(spend), calendar)

    def calendar(self) -> Calendar:
        """The calendar factor of this history.

        Raises:
            ModelError: The history is too short to tell season from trend, or has none.
        """
        found: Calendar = _once(self._fitted, "calendar", self._learn_calendar)
        return found

    def purchases(self, what: Purchases) -> PurchaseModel:
        """A purchase model."""
        found: PurchaseModel = _once(self._fitted, what, lambda: self._fit_purchases(what))
        return found

    def spend(self, what: Spend) -> GammaGamma:
        """A spend model."""
        found: GammaGamma = _once(self._fitted, what, lambda: self._fit_spend(what))
        return found

    def examples(self) -> tuple[Fitting, ...]:
        """Fittings of earlier cutoffs whose outcome is known at this one, ascending.

        Raises:
            ModelError: There is none.
        """
        found = tuple(self.shop.at(history.window) for history in self.history.examples)
        if not found:
            raise ModelError(
                "The history is too short for an earlier cutoff to learn from.",
                "Take a longer history.",
            )
        return found

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, or the error it ended in, the first time it was asked."""
        return _once(self._made, key, make)

    def _learn_calendar(self) -> Calendar:
        ledger, cutoff = self.shop.snapshots.ledger, self.history.window.cutoff
        calendar, said = learn_calendar(ledger, cutoff, country=self.shop.settings.holidays)
        if calendar is None:
            raise ModelError(f"There is no calendar factor: {said}")
        return calendar

    def _fit_purchases(self, what: Purchases) -> PurchaseModel:
        asked = self.shop.settings
        kind = PURCHASE_MODELS[what.model]
        moved = {e: asked.covariates[e] for e in ("rate", "dropout") if e in asked.covariates}
        model = kind(
            covariates=moved if what.covariates else None,
            segment=asked.segment if what.segments else None,
        )
        rfm = self.history.inputs
        if what.calendar:
            rfm = self.calendar().operational(rfm, self.history.window.cutoff)
        fitted: PurchaseModel = self._fit(model, rfm, asked.priors.get(what.model, "weak"))
        return fitted

    def _fit_spend(self, what: Spend) -> GammaGamma:
        asked = self.shop.settings
        model = GammaGamma(
            scale_by=what.scale_by,
            half_life_days=what.half_life_days,
            covariates=tuple(asked.covariates.get("spend", ())) if what.covariates else (),
        )
        rfm = self.history.inputs
        if what.repeat_only:
            rfm = rfm.drop(columns=FIRST_VALUE)
        fitted: GammaGamma = self._fit(model, rfm, asked.priors.get("gamma_gamma", "weak"))
        return fitted

    def _fit(self, model: Any, rfm: pd.DataFrame, priors: Any) -> Any:
        seed = self.shop.seed
        if self.method != "laplace":
            return model.fit(rfm, seed=seed, method=self.method, priors=priors)
        try:
            return model.fit(rfm, seed=seed, method="laplace", priors=priors)
        except ModelError:
            return model.fit(rfm, seed=seed, method="nuts", priors=priors)


def _once(made: dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    if key not in made:
        try:
            made[key] = make()
        except ModelError as error:
            made[key] = error
    found = made[key]
    if isinstance(found, ModelError):
        raise found
    return found
