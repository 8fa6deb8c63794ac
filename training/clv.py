"""Train the customer-lifetime-value model: candidates on a holdout, the best one refitted.

The story of a training, top to bottom:

1. The end of the history is held out: as many days as the CLV horizon, but at most a third of
   the history, in whole weeks. Two parts to learn from for one part to foretell is what a
   purchase model needs to tell a slow buyer from one who has left; a longer holdout would
   starve it, a shorter one would judge it on one season.
2. Candidates are fitted on the summary before the cutoff: MBG/NBD and BG/NBD, each with
   Gamma-Gamma and by full posterior, and the baseline "everybody goes on as before".
3. All are measured on the purchases and the money of the holdout: spend as it came, neither
   discounted nor multiplied by the margin.
4. Of the two models the one with the lower RMSE of value wins. It is fitted again on the whole
   history, registered, and promoted by the rule of `training.promote`.
"""

import contextlib
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import catalogue_hash
from features.errors import NotEnoughDataError
from features.ledger import Ledger
from features.progress import note, task
from features.purchases import purchases
from features.snapshot import Snapshot, build_snapshot
from features.window import ObservationWindow
from models.base import RFM_COLUMNS, ModelError
from models.baseline import PastRateContinues
from models.clv import CustomerLifetimeValue
from models.tiers import Tiers
from training import figures, metrics
from training.promote import RULE, promote
from training.result import TrainingResult
from training.tracking import (
    Holdout,
    Run,
    Tracking,
    double_signature,
    holdout,
    markdown_table,
    new_training_id,
    regulars_version,
)

__all__ = [
    "CANDIDATES",
    "REGISTERED_NAME",
    "ClvSettings",
    "Forecast",
    "fit_models",
    "forecasts",
    "holdout_window",
    "predictive_draws",
    "train_clv",
]

REGISTERED_NAME = "regulars-clv"
MODELS = ("mbg_nbd", "bg_nbd")
BASELINE = "past_rate"
CANDIDATES = (*MODELS, BASELINE)
SHOWN = ("purchases/rmse", "purchases/bias", "clv/rmse", "clv/bias", "clv/gini", "clv/nmae")
WINNER_RULE = "lowest clv/rmse on the holdout among the purchase models"

HOLDOUT_SHARE = 3
"""The holdout is at most one part in this many of the history."""

_MIN_CALIBRATION_DAYS = 28
_DRAWS = 200  # predictive draws a customer behind crps, coverage and PIT
_MEASURED = 20_000  # customers they are taken over, at most
_BLOCK = 1024


@dataclass(frozen=True)
class ClvSettings:
    """How future value is counted.

    Attributes:
        horizon_days: Days after the cutoff that count.
        annual_discount_rate: 0.10 means that money a year from now counts for 1 / 1.10.
        margin: Share of spend that is profit.
    """

    horizon_days: int = 365
    annual_discount_rate: float = 0.10
    margin: float = 1.0


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


def holdout_window(
    first_day: dt.date, last_day: dt.date, horizon_days: int, *, end: dt.date | None = None
) -> ObservationWindow:
    """The calibration period and the holdout of a history.

    The holdout has min(`horizon_days`, a third of the history) days, in whole weeks where it
    is a week or more, and ends with the history.

    Args:
        first_day: First day of the source.
        last_day: Last day of the source.
        horizon_days: The horizon asked for.
        end: Day after the holdout; the day after `last_day` when left out.

    Raises:
        NotEnoughDataError: Fewer than four weeks are left to learn from.

    >>> window = holdout_window(dt.date(2009, 12, 1), dt.date(2010, 11, 30), 365)
    >>> str(window.cutoff), window.horizon_days
    ('2010-08-04', 119)
    """
    end = end or last_day + dt.timedelta(days=1)
    history = (end - first_day).days
    days = min(horizon_days, history // HOLDOUT_SHARE)
    if days >= 7:
        days -= days % 7
    if days < 1 or history - days < _MIN_CALIBRATION_DAYS:
        raise NotEnoughDataError(
            f"The history has {history} days, {first_day} to {end - dt.timedelta(days=1)}.",
            "A CLV model needs at least six weeks: four to learn from and two to be judged on; "
            "half a year or more is better.",
        )
    return ObservationWindow(first_day, end - dt.timedelta(days=days), 0, days)


def fit_models(
    rfm: pd.DataFrame, *, seed: int, method: str = "nuts"
) -> tuple[dict[str, CustomerLifetimeValue], dict[str, ModelError]]:
    """Fit every purchase model with its spend model.

    Args:
        rfm: frequency, recency, T (weeks), monetary_value.
        seed: Seed of the draws.
        method: "nuts", "laplace" or "map".

    Returns:
        The models that could be fitted, and the errors of those that could not.

    Raises:
        ModelError: None of them could be fitted.
    """
    fitted: dict[str, CustomerLifetimeValue] = {}
    failed: dict[str, ModelError] = {}
    with task("Fitting purchase and spend models", total=len(MODELS)) as progress:
        for name in MODELS:
            try:
                fitted[name] = CustomerLifetimeValue().fit(
                    rfm, seed=seed, method=method, purchase_model=name
                )
            except ModelError as error:
                failed[name] = error
            progress.advance()
    if not fitted:
        raise failed[MODELS[0]]
    return fitted, failed


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


def predictive_draws(
    model: CustomerLifetimeValue, rfm: pd.DataFrame, days: int, seed: int, draws: int = _DRAWS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Draws of what each customer will buy and spend: the whole distribution, not its mean.

    The count is drawn from the predictive distribution of the purchase model. Given k purchases
    and a draw (p, q, gamma) of the spend parameters, the customer's own rate is
    nu ~ Gamma(q + p x, rate gamma + x z) and the money is Gamma(p k, rate nu) (Fader and Hardie
    2013, "The Gamma-Gamma Model of Monetary Value", section 2).

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
    x = rfm["frequency"].to_numpy(np.float64)[:, None]
    z = rfm["monetary_value"].to_numpy(np.float64)[:, None]
    nu = rng.gamma(q + p * x) / (gamma + x * z)
    money = np.where(counts > 0, rng.gamma(np.maximum(p * counts, 1e-12)) / nu, 0.0)
    return counts, money


def train_clv(
    ledger: Ledger,
    settings: ClvSettings,
    *,
    seed: int = 0,
    tracking: Tracking,
    method: str = "nuts",
) -> TrainingResult:
    """Fit and compare the CLV candidates, register the best, promote it if it is better.

    Args:
        ledger: The trusted tables.
        settings: How future value is counted.
        seed: Same ledger, settings and seed: same measures.
        tracking: Where runs and models are kept.
        method: How posteriors are found: "nuts", or "laplace" for a quick look.

    Returns:
        What came of it.

    Raises:
        NotEnoughDataError: The history is too short for a holdout.
        ModelError: No model can be fitted to this history.
    """
    window = holdout_window(ledger.first_day, ledger.last_day, settings.horizon_days)
    with task("Summarising purchases", total=2) as progress:
        snapshot = build_snapshot(ledger, window)
        progress.advance()
        weekly = _weekly_purchases(ledger, window)
        progress.advance()
    labels = snapshot.labels
    assert labels is not None  # the holdout lies within the history
    rfm = snapshot.rfm[list(RFM_COLUMNS)]

    training_id = new_training_id()
    fitted, failed = fit_models(rfm, seed=seed, method=method)
    expected = forecasts(fitted, rfm, window.horizon_days)
    measured = {
        name: _measure(forecast, rfm, labels, window.horizon_days, seed)
        for name, forecast in expected.items()
    }
    results = pd.DataFrame(measured).T
    results.index.name = "candidate"
    winner = min(fitted, key=lambda name: measured[name]["clv/rmse"])

    final_cutoff = ledger.last_day + dt.timedelta(days=1)
    everything = ObservationWindow(ledger.first_day, final_cutoff, 0, settings.horizon_days)
    now = build_snapshot(ledger, everything, labels=False).rfm[list(RFM_COLUMNS)]
    with task("Fitting the winner on the whole history", total=1) as progress:
        final = CustomerLifetimeValue().fit(now, seed=seed, method=method, purchase_model=winner)
        progress.advance()

    test = holdout("clv_holdout", window, labels)
    dates = {
        "calibration_start": str(window.start),
        "cutoff": str(window.cutoff),
        "holdout_end": str(window.label_end),
        "final": str(final_cutoff),
    }
    tags = {
        "test_cutoff": str(window.cutoff),
        "test_digest": test.digest,
        "cutoffs": dates,
        "catalogue_hash": catalogue_hash(),
        "data_fingerprint": ledger.fingerprint,
        "seed": seed,
        "regulars_version": regulars_version(),
        "winner": winner,
        "winner_rule": WINNER_RULE,
    }
    params = {
        "horizon_days": settings.horizon_days,
        "annual_discount_rate": settings.annual_discount_rate,
        "margin": settings.margin,
        "seed": seed,
        "calibration_days": (window.cutoff - window.start).days,
        "holdout_days": window.horizon_days,
    }
    story = _story(window, test, results, winner, final_cutoff)
    for name, error in failed.items():
        note(f"{name} could not be fitted and is left out: {error.message}")
        with (
            contextlib.suppress(ModelError),
            tracking.run(
                name, family="clv", training_id=training_id, tags=tags, params=params
            ) as run,
        ):
            run.describe(f"{name} could not be fitted: {error.message}\n\n{error.hint}")
            raise error

    run_ids: dict[str, str] = {}
    registered = None
    with task("Logging to MLflow", total=len(expected)) as progress:
        for name, forecast in expected.items():
            about = {**params, "method": method if forecast.model is not None else "none"}
            with tracking.run(
                name, family="clv", training_id=training_id, tags=tags, params=about
            ) as run:
                run_ids[name] = run.run_id
                if name == winner:
                    registered = _register(
                        tracking, run, final, now, settings, measured[name], dates,
                        {**tags, "training_id": training_id, "trained_until": str(final_cutoff)},
                        story,
                    )  # fmt: skip
                run.uses(test, "test")
                run.measure(measured[name], test)
                _log_diagnostics(run, forecast.model)
                _log_pictures(run, snapshot, forecast, weekly, window)
                run.describe(story)
            progress.advance()
    assert registered is not None

    def score(champion: Any) -> float:
        predicted = champion.predict(rfm, horizon_days=window.horizon_days)
        return metrics.rmse(labels["future_spend"], predicted["expected_spend"])

    decision = promote(
        tracking,
        registered,
        metric="clv/rmse",
        measured=measured[winner]["clv/rmse"],
        test=test,
        score=score,
    )
    reason = decision.reason
    if measured[BASELINE]["clv/rmse"] <= measured[winner]["clv/rmse"]:
        reason += "; mind that the past rate had the lower RMSE of value on this holdout"
        note("The past rate did better than the models on the holdout (RMSE of value).")
    tracking.explain(run_ids[winner], decision.promoted, reason, RULE.format(metric="clv/rmse"))
    tracking.summarise(
        {"training_id": training_id},
        measured[winner],
        f"{story}\n\n**{REGISTERED_NAME} version {registered.version}**: {reason}.",
    )
    return TrainingResult(
        REGISTERED_NAME,
        str(registered.version),
        training_id,
        run_ids,
        results,
        winner,
        decision.promoted,
        reason,
        dates,
    )


def _measure(
    forecast: Forecast, rfm: pd.DataFrame, labels: pd.DataFrame, days: int, seed: int
) -> dict[str, float]:
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


def _register(
    tracking: Tracking,
    run: Run,
    model: CustomerLifetimeValue,
    rfm: pd.DataFrame,
    settings: ClvSettings,
    measured: Mapping[str, float],
    dates: Mapping[str, str],
    tags: Mapping[str, Any],
    story: str,
) -> Any:
    rate, margin = settings.annual_discount_rate, settings.margin
    defaults = {
        "horizon_days": float(settings.horizon_days),
        "annual_discount_rate": rate,
        "margin": margin,
        "interval": 0.90,
    }
    example = _example(rfm)
    tiers = Tiers.learn(model.predict(rfm, settings.horizon_days, rate, margin)["clv"])
    output = model.predict(example, settings.horizon_days, rate, margin)
    output["value_tier"] = tiers.assign(output["clv"])
    return tracking.register(
        run,
        REGISTERED_NAME,
        model,
        signature=double_signature(list(RFM_COLUMNS), output, defaults),
        input_example=example,
        card={
            **defaults,
            "value_tiers": tiers.to_dict(),
            "training_id": tags["training_id"],
            "trained_until": tags["trained_until"],
            "cutoffs": dict(dates),
        },
        tags={
            **tags,
            **{key: repr(value) for key, value in measured.items()},
            "evaluation": "measures are those of the same recipe at the holdout, before the "
            "final fit on the whole history",
        },
        description=story,
    )


def _example(rfm: pd.DataFrame) -> pd.DataFrame:
    """Two made-up customers: one purchase, and three repeat purchases of a usual value."""
    repeat = rfm.loc[rfm["frequency"] > 0, "monetary_value"]
    usual = float(np.round(repeat.median(), -int(np.floor(np.log10(repeat.median())))))
    return pd.DataFrame(
        {
            "frequency": [0.0, 3.0],
            "recency": [0.0, 20.0],
            "T": [12.0, 26.0],
            "monetary_value": [0.0, usual],
        }
    )


@dataclass(frozen=True)
class _Weekly:
    """Purchases of the customers known at the cutoff, in weeks counted from the cutoff.

    Attributes:
        repeats: Repeat purchases in each week.
        ends: Days from the start of the source to the end of each week.
        births: Day offset of a first purchase -> customers.
        cutoff_week: Weeks before the cutoff.
    """

    repeats: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]
    births: npt.NDArray[np.float64]
    cutoff_week: int


def _weekly_purchases(ledger: Ledger, window: ObservationWindow) -> _Weekly:
    """Count repeat purchases by week and first purchases by day, on the engine."""
    bought = purchases(ledger.transactions, window.label_end, ledger.purchase_unit)
    first = bought.group_by("customer_id").agg(first=bought.day.min())
    first = first.filter(first["first"] < window.cutoff)
    joined = bought.inner_join(first, "customer_id")
    by_day = joined.group_by("day").agg(n=joined.count()).order_by("day").to_pyarrow().to_pydict()
    born = first.rename(day="first").group_by("day").agg(n=lambda t: t.count())
    by_birth = born.order_by("day").to_pyarrow().to_pydict()
    days = (window.label_end - window.start).days
    counts, births = np.zeros(days), np.zeros(days)
    for into, table in ((counts, by_day), (births, by_birth)):
        for day, n in zip(table["day"], table["n"], strict=True):
            into[(day - window.start).days] += n
    before = (window.cutoff - window.start).days
    # Weeks end at the cutoff and every seven days from it, so the first one may be short.
    ends = np.unique(np.concatenate([np.arange(before, 0, -7), np.arange(before, days + 1, 7)]))
    summed = np.concatenate([[0.0], np.cumsum(counts - births)])
    repeats = np.diff(np.concatenate([[0.0], summed[ends]]))
    return _Weekly(repeats, ends, births, int((ends <= before).sum()))


def _expected_weekly(
    weekly: _Weekly, forecast: Forecast, window: ObservationWindow
) -> npt.NDArray[np.float64]:
    """Repeat purchases that a candidate expects in each week of all customers together."""
    if forecast.model is None or forecast.model.purchases is None:
        a_week = float(forecast.purchases.sum()) * 7.0 / window.horizon_days
        out = np.full(len(weekly.repeats), np.nan)
        out[weekly.cutoff_week :] = a_week
        return out
    ages = np.arange(1, len(weekly.births) + 1)
    grown = np.concatenate(
        [[0.0], forecast.model.purchases.expected_purchases_new_customer(ages / 7.0)]
    )
    # Customers of each day times what one of that age has bought, at the end of each week.
    total = np.array([weekly.births[:end] @ grown[end:0:-1] for end in weekly.ends])
    return np.diff(np.concatenate([[0.0], total]))


def _log_diagnostics(run: Run, model: CustomerLifetimeValue | None) -> None:
    columns = ["model", "parameter", "mean", "sd", "q05", "median", "q95"]
    if model is None:
        run.table("posterior", pd.DataFrame(columns=columns))
        run.figure("posterior", figures.posterior({}))
        return
    run.table("posterior", model.posterior_summary())
    parts = model.diagnostics
    both = [parts["purchases"], parts["spend"]]
    found = {}
    for name, key, pick in (
        ("r_hat_max", "r_hat", max),
        ("ess_min", "ess", min),
        ("divergences", "divergences", sum),
        ("seconds", "seconds", sum),
    ):
        values = [part[key] for part in both if part.get(key) is not None]
        if values:
            found[f"sampler/{name}"] = float(pick(values))
    run.measure(found)
    if model.purchases is not None and model.spend is not None:
        draws = {**model.purchases.posterior, **model.spend.posterior}
        run.figure("posterior", figures.posterior(draws))


def _log_pictures(
    run: Run, snapshot: Snapshot, forecast: Forecast, weekly: _Weekly, window: ObservationWindow
) -> None:
    labels, rfm = snapshot.labels, snapshot.rfm
    assert labels is not None
    spent = labels["future_spend"]
    run.figure(
        "deciles",
        figures.deciles(
            spent, forecast.spend, title="Value by decile", what="spend per customer in the holdout"
        ),
    )
    run.table("deciles", metrics.decile_table(spent, forecast.spend))
    run.figure(
        "frequency",
        figures.frequency(rfm["frequency"], labels["future_purchases"], forecast.purchases),
    )
    group = rfm["frequency"].clip(upper=7).rename("repeat_purchases")
    run.table(
        "frequency",
        pd.DataFrame({"actual": labels["future_purchases"], "expected": forecast.purchases})
        .groupby(group)
        .agg(customers=("actual", "size"), actual=("actual", "mean"), expected=("expected", "mean"))
        .reset_index(),
    )
    expected = _expected_weekly(weekly, forecast, window)
    run.figure("tracking", figures.tracking(weekly.repeats, expected, weekly.cutoff_week))
    run.table(
        "tracking",
        {
            "week": np.arange(1, len(expected) + 1),
            "stage": np.where(
                np.arange(len(expected)) < weekly.cutoff_week, "calibration", "holdout"
            ),
            "actual": weekly.repeats,
            "expected": expected,
        },
    )
    days, frequencies, alive = _alive_grid(forecast.model, rfm, window)
    run.figure(
        "p_alive",
        figures.alive_matrix(
            alive,
            frequencies,
            days,
            subtitle=f"P(alive) of one who first bought {days[-1] / 7:.0f} weeks ago"
            if forecast.model is not None
            else "the past rate takes everybody to be alive",
        ),
    )


def _alive_grid(
    model: CustomerLifetimeValue | None, rfm: pd.DataFrame, window: ObservationWindow
) -> tuple[list[float], list[float], npt.NDArray[np.float64]]:
    """P(alive) over days since the last purchase (rows) and frequency (columns).

    All first bought when the calibration period began; one without a repeat purchase has been
    silent since the first, so there T is the silence itself.
    """
    most = int(np.clip(rfm["frequency"].quantile(0.98), 5, 20))
    length = (window.cutoff - window.start).days
    days = np.linspace(0, length, 41).round()
    frequency = np.arange(most + 1, dtype=np.float64)
    if model is None or model.purchases is None:
        return days.tolist(), frequency.tolist(), np.ones((days.size, frequency.size))
    d, x = (grid.ravel() for grid in np.meshgrid(days, frequency, indexing="ij"))
    once = x == 0
    recency = np.where(once, 0.0, (length - d) / 7.0)
    T = np.where(once, d, length) / 7.0
    # Several purchases need some days to happen in.
    asked = pd.DataFrame(
        {"frequency": x, "recency": np.where(once, 0.0, np.maximum(recency, 1 / 7)), "T": T}
    )
    alive = model.purchases.probability_alive(asked)
    return days.tolist(), frequency.tolist(), alive.reshape(days.size, frequency.size)


def _story(
    window: ObservationWindow,
    test: Holdout,
    results: pd.DataFrame,
    winner: str,
    final_cutoff: dt.date,
) -> str:
    """What was done, in Markdown, for the page of a run or a version."""
    return (
        f"**Customer lifetime value, on a holdout.** Fitted on {window.start} to "
        f"{window.cutoff - dt.timedelta(days=1)}, judged on the {window.horizon_days} days from "
        f"{window.cutoff}: {test.facts['customers']:,} customers made "
        f"{test.facts['purchases']:,} purchases. `clv/*` measure the spend of the holdout as it "
        f"came, before margin and discount.\n\n"
        f"{markdown_table(results, SHOWN)}\n\n"
        f"Winner: {winner} ({WINNER_RULE}). The registered model is the same recipe on the whole "
        f"history before {final_cutoff}."
    )
