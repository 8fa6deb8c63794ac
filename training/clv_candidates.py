"""The CLV candidates: what each is made of, what it expects, how it did, and which one wins.

Each model is a purchase model and a spend model by full posterior (`RECIPES`):

- `mbg_nbd`: MBG/NBD, and Gamma-Gamma on all purchases, the first one included;
- `mbg_nbd_repeat_spend`: MBG/NBD, and Gamma-Gamma as published, on repeat purchases;
- `bg_nbd`: BG/NBD, and Gamma-Gamma on all purchases.

`past_rate`, "everybody goes on as before", is the rule they have to beat.

The winner is the first model of this list, unless another one's RMSE of value on the holdout is
at least 1 % lower; then the one with the lowest wins. MBG/NBD comes first because BG/NBD takes
everybody who has bought once to be a customer still, by definition (P(alive) = 1), which must
pay before it is put up with.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.progress import Task, task
from models.base import RFM_COLUMNS, ModelError
from models.baseline import PastRateContinues
from models.btyd import PURCHASE_MODELS, PurchaseModel
from models.clv import CustomerLifetimeValue
from models.spend import FIRST_VALUE, GammaGamma, SpendOf
from training import metrics

__all__ = [
    "BASELINE",
    "CANDIDATES",
    "RECIPES",
    "WINNER_RULE",
    "Forecast",
    "Recipe",
    "choose_winner",
    "fit_models",
    "fit_recipe",
    "forecasts",
    "measure",
    "predictive_draws",
]

N = TypeVar("N")
T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """What a candidate is made of.

    Attributes:
        purchase_model: Name of the purchase model.
        spend_of: Which purchases spend is learned from.
    """

    purchase_model: str
    spend_of: SpendOf

    @property
    def columns(self) -> list[str]:
        """Columns of the RFM summary that it reads."""
        first = [FIRST_VALUE] if self.spend_of == "all_purchases" else []
        return [*RFM_COLUMNS, *first]


RECIPES: Mapping[str, Recipe] = {
    "mbg_nbd": Recipe("mbg_nbd", "all_purchases"),
    "mbg_nbd_repeat_spend": Recipe("mbg_nbd", "repeat_purchases"),
    "bg_nbd": Recipe("bg_nbd", "all_purchases"),
}
"""The models, in the order in which they are preferred."""

BASELINE = "past_rate"
CANDIDATES = (*RECIPES, BASELINE)

WINNER_RULE = (
    f"the first of {', '.join(RECIPES)}, unless another one's clv/rmse on the holdout is at least "
    "1 % lower; then the one with the lowest"
)

_CLEARLY = 0.01
_DRAWS = 200  # predictive draws a customer behind crps, coverage and PIT
_MEASURED = 20_000  # customers they are taken over, at most
_BLOCK = 1024


@dataclass(frozen=True)
class Forecast:
    """What a candidate expects of each customer in the holdout.

    Attributes:
        purchases: Expected purchases.
        spend: Expected spend.
        model: The fitted model, None for the baseline.
    """

    purchases: "pd.Series[float]"
    spend: "pd.Series[float]"
    model: CustomerLifetimeValue | None


def fit_recipe(
    name: str, rfm: pd.DataFrame, *, seed: int, method: str = "nuts"
) -> CustomerLifetimeValue:
    """Fit one of `RECIPES`.

    Args:
        name: The candidate.
        rfm: frequency, recency, T (weeks), monetary_value and first_value.
        seed: Seed of the draws.
        method: "nuts", "laplace" or "map".

    Raises:
        ModelError: It cannot be fitted.
    """
    recipe = RECIPES[name]
    return CustomerLifetimeValue().fit(
        rfm[recipe.columns], seed=seed, method=method, purchase_model=recipe.purchase_model
    )


def fit_models(
    rfm: pd.DataFrame, *, seed: int, method: str = "nuts"
) -> tuple[dict[str, CustomerLifetimeValue], dict[str, ModelError]]:
    """Fit all of `RECIPES`; a part that several of them share is fitted once.

    Args:
        rfm: frequency, recency, T (weeks), monetary_value and first_value.
        seed: Seed of the draws.
        method: "nuts", "laplace" or "map".

    Returns:
        The models that could be fitted, and the errors of those that could not.

    Raises:
        ModelError: None of them could be fitted.
    """
    wanted = list(RECIPES.values())
    models = list(dict.fromkeys(recipe.purchase_model for recipe in wanted))
    kinds = {recipe.spend_of: recipe.columns for recipe in wanted}

    def fit_purchases(name: str) -> PurchaseModel:
        return PURCHASE_MODELS[name]().fit(rfm, seed=seed, method=method)

    def fit_spend(spend_of: SpendOf) -> GammaGamma:
        return GammaGamma().fit(rfm[kinds[spend_of]], seed=seed, method=method)

    with task("Fitting purchase and spend models", total=len(models) + len(kinds)) as progress:
        purchases = _fit_each(models, fit_purchases, progress)
        spend = _fit_each(kinds, fit_spend, progress)
    fitted: dict[str, CustomerLifetimeValue] = {}
    failed: dict[str, ModelError] = {}
    for name, recipe in RECIPES.items():
        bought, spent = purchases[recipe.purchase_model], spend[recipe.spend_of]
        if isinstance(bought, ModelError):
            failed[name] = bought
        elif isinstance(spent, ModelError):
            failed[name] = spent
        else:
            fitted[name] = CustomerLifetimeValue(bought, spent)
    if not fitted:
        raise next(iter(failed.values()))
    return fitted, failed


def _fit_each(names: Iterable[N], fit: Callable[[N], T], progress: Task) -> dict[N, T | ModelError]:
    """What `fit` gives for each name, or the error it ends in."""
    found: dict[N, T | ModelError] = {}
    for name in names:
        try:
            found[name] = fit(name)
        except ModelError as error:
            found[name] = error
        progress.advance()
    return found


def choose_winner(rmse: Mapping[str, float]) -> str:
    """The candidate to register, by `WINNER_RULE`.

    Args:
        rmse: RMSE of value on the holdout of each model that could be fitted, at least one.

    >>> choose_winner({"mbg_nbd": 100.0, "mbg_nbd_repeat_spend": 104.0, "bg_nbd": 99.5})
    'mbg_nbd'
    >>> choose_winner({"mbg_nbd": 100.0, "mbg_nbd_repeat_spend": 98.5, "bg_nbd": 98.0})
    'bg_nbd'
    """
    in_order = [name for name in RECIPES if name in rmse]
    preferred, best = in_order[0], min(in_order, key=rmse.__getitem__)
    return best if rmse[best] <= (1.0 - _CLEARLY) * rmse[preferred] else preferred


def forecasts(
    fitted: Mapping[str, CustomerLifetimeValue], rfm: pd.DataFrame, days: int
) -> dict[str, Forecast]:
    """What each fitted model and the baseline expect in the next `days` days."""
    found = {}
    for name, model in fitted.items():
        # Neither discounted nor turned into margin: what came is measured as it came.
        expected = model.predict(rfm, horizon_days=days, annual_discount_rate=0.0)
        found[name] = Forecast(expected["expected_purchases"], expected["expected_spend"], model)
    found[BASELINE] = Forecast(
        PastRateContinues(days).predict(rfm), PastRateContinues(days, "spend").predict(rfm), None
    )
    return found


def measure(
    forecast: Forecast, rfm: pd.DataFrame, labels: pd.DataFrame, days: int, seed: int
) -> dict[str, float]:
    """Measure a forecast on what happened in the holdout.

    Args:
        forecast: What the candidate expects.
        rfm: The summary it was made from.
        labels: future_purchases and future_spend on the same index.
        days: Days of the holdout.
        seed: Seed of the predictive draws.

    Returns:
        `purchases/*` and `clv/*`, the spend as it came. Measures of the whole distribution are
        there for models with a posterior only.
    """
    bought, spent = labels["future_purchases"], labels["future_spend"]
    found = metrics.purchase_metrics(bought, forecast.purchases)
    found |= metrics.clv_metrics(spent, forecast.spend)
    if forecast.model is None or forecast.model.diagnostics["purchases"]["inference"] == "map":
        return found
    # Every k-th customer in the order of their ids: the same ones for all candidates.
    some = np.arange(0, len(rfm), -(-len(rfm) // _MEASURED))
    counts, money = predictive_draws(forecast.model, rfm.iloc[some], days, seed)
    whole = metrics.clv_metrics(spent.iloc[some], money.mean(axis=1), money, seed)
    for name in ("coverage_50", "coverage_90", "pit_ks"):
        found[f"clv/{name}"] = whole[f"clv/{name}"]
    found["purchases/crps"] = metrics.crps(bought.iloc[some], counts)
    return found


def predictive_draws(
    model: CustomerLifetimeValue, rfm: pd.DataFrame, days: int, seed: int, draws: int = _DRAWS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Draws of what each customer will buy and spend: the whole distribution, not its mean.

    The count is drawn from the predictive distribution of the purchase model. Given k purchases
    and a draw (p, q, gamma) of the spend parameters, the rate of a customer whose x known
    purchases have the mean value z is nu ~ Gamma(q + p x, rate gamma + x z), and the money is
    Gamma(p k, rate nu) (Fader and Hardie 2013, "The Gamma-Gamma Model of Monetary Value",
    section 2).

    Args:
        model: A fitted model with a posterior.
        rfm: n customers.
        days: Days to look ahead.
        seed: Seed of the draws.
        draws: How many, m.

    Returns:
        Purchases and spend, each (n, m).
    """
    if model.purchases is None or model.spend is None:
        raise ModelError("CustomerLifetimeValue is not fitted.", "Call fit first.")
    rng = np.random.default_rng(seed)
    weeks = days / 7.0
    expected = model.purchases.expected_purchases(rfm, weeks)
    counts = np.empty((len(rfm), draws))
    # Customers who will buy about as often are drawn together: one table of counts suits all.
    order = np.argsort(expected, kind="stable")
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        most = max(8, int(2 * expected[block].max()))
        while True:
            chances = model.purchases.purchase_distribution(rfm.iloc[block], weeks, most)
            reached = chances.sum(axis=1)
            if reached.min() > 1 - 1e-6 or most > 100_000:
                break
            most *= 2
        below = np.cumsum(chances, axis=1)[:, :-1]
        u = rng.random((len(block), draws)) * reached[:, None]
        for row, (edge, level) in enumerate(zip(below, u, strict=True)):
            counts[block[row]] = np.searchsorted(edge, level, side="right")
    posterior = model.spend.posterior
    which = rng.integers(0, len(posterior["p"]), draws)
    p, q, gamma = (posterior[name][which] for name in ("p", "q", "gamma"))
    x, z = (values[:, None] for values in model.spend.values(rfm))
    nu = rng.gamma(q + p * x) / (gamma + x * z)
    money = np.where(counts > 0, rng.gamma(np.maximum(p * counts, 1e-12)) / nu, 0.0)
    return counts, money
