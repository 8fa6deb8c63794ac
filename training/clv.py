"""Train the customer-lifetime-value model: choose a candidate, judge it on a holdout, refit it.

The story of a training, top to bottom:

1. The end of the history is held out (`training.clv_holdout`).
2. All candidates are measured at rolling cutoffs whose outcomes end before the holdout
   (`training.clv_backtest`), and the rule of `training.clv_choice` takes one. The holdout has no
   say in it, so it judges the choice, too.
3. All candidates are fitted by full posterior on the summary before the holdout and measured on
   it: spend as it came, neither discounted nor multiplied by the margin.
4. The candidate that was taken is fitted again on the whole history, registered, and promoted by
   the rule of `training.promote`.

What a run shows besides its measures is in `training.clv_pictures`.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from features.catalogue import catalogue_hash
from features.compatibility import feature_facts
from features.ledger import Ledger
from features.progress import note, task
from features.window import ObservationWindow
from models.base import ModelError
from models.spend import FIRST_VALUE
from models.tiers import Tiers
from training.closing import close_training
from training.clv_backtest import ClvBacktest, backtest_clv, backtest_figures
from training.clv_candidates import (
    RULES,
    Forecast,
    candidates,
    describe,
    fit_candidate,
    forecast,
    measure,
)
from training.clv_card import clv_card, interval_table
from training.clv_choice import BASELINE, HISTORY_PARTS, grades
from training.clv_choice import RULE as CHOICE_RULE
from training.clv_contest import clv_contest
from training.clv_fitting import ClvSettings, Fitting, Fittings
from training.clv_holdout import holdout_window, rolling_windows, weekly_purchases
from training.clv_pictures import log_diagnostics, log_pictures
from training.dataset import Holdout, holdout
from training.model_card import headline
from training.reference import clv_reference
from training.result import TrainingResult
from training.run import Run
from training.signature import signature
from training.tracking import Tracking, markdown_table, new_training_id, regulars_version

__all__ = ["REGISTERED_NAME", "ClvSettings", "train_clv"]

REGISTERED_NAME = "regulars-clv"
SHOWN = (
    "purchases/rmse",
    "purchases/bias",
    "clv/rmse",
    "clv/bias",
    "clv/gini",
    "clv/crps",
    "clv/coverage_90",
)

_BACKTESTS = 3  # earlier cutoffs that a training chooses by


def train_clv(
    ledger: Ledger,
    settings: ClvSettings,
    *,
    seed: int = 0,
    tracking: Tracking,
    method: str = "nuts",
) -> TrainingResult:
    """Choose among the CLV candidates, register the one taken; the gate decides about its use.

    Args:
        ledger: The trusted tables.
        settings: How future value is counted, and what may help to foretell it.
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
    shop = Fittings(ledger, settings, seed=seed)
    earlier = rolling_windows(
        ledger.first_day, window.cutoff, settings.horizon_days, _BACKTESTS, parts=HISTORY_PARTS
    )
    backtest = backtest_clv(shop, earlier)
    shop.forget()

    training_id = new_training_id()
    fitting = shop.at(window, method)
    weekly = weekly_purchases(ledger, window)
    order = candidates(settings)
    forecasts, failed = _forecasts((*order, *RULES), fitting)
    measured = {name: measure(found, fitting) for name, found in forecasts.items()}
    results = pd.DataFrame({name: each.found for name, each in measured.items()}).T
    results.index.name = "candidate"
    winner, choice = _winner(backtest, [name for name in order if name in forecasts], failed)

    final_cutoff = ledger.last_day + dt.timedelta(days=1)
    everything = ObservationWindow(ledger.first_day, final_cutoff, 0, window.horizon_days)
    with task("Fitting the winner on the whole history", total=1) as progress:
        now = shop.at(everything, method)
        final = fit_candidate(winner, now)
        progress.advance()

    test = holdout("clv_holdout", window, fitting.history.labels)
    dates = {
        "calibration_start": str(window.start),
        "cutoff": str(window.cutoff),
        "holdout_end": str(window.label_end),
        "backtest": [str(each.cutoff) for each in earlier],
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
        "winner_rule": CHOICE_RULE,
        "choice": choice,
    }
    params = {
        "horizon_days": settings.horizon_days,
        "annual_discount_rate": settings.annual_discount_rate,
        "margin": settings.margin,
        "seed": seed,
        "calibration_days": (window.cutoff - window.start).days,
        "holdout_days": window.horizon_days,
        "backtest_cutoffs": len(earlier),
    }
    story = _story(window, test, results, choice, final_cutoff)
    pictures = backtest_figures(backtest)
    _log_failures(tracking, failed, training_id, tags, params)

    run_ids: dict[str, str] = {}
    registered = None
    with task("Logging to MLflow", total=len(forecasts)) as progress:
        for name, found in forecasts.items():
            made_of = {**describe(name), "method": method if name not in RULES else "none"}
            with tracking.run(
                name, family="clv", training_id=training_id, tags=tags, params={**params, **made_of}
            ) as run:
                run_ids[name] = run.run_id
                sure = interval_table(found, forecasts[BASELINE], fitting)
                if name == winner:
                    card = clv_card(name, choice, measured, sure, settings, fitting, ledger, dates)
                    registered = _register(
                        tracking, run, final, now, settings, measured[name].found, dates,
                        {**tags, "training_id": training_id, "trained_until": str(final_cutoff)},
                        card,
                    )  # fmt: skip
                run.uses(test, "test")
                run.measure(measured[name].found, test)
                run.table("intervals", sure)
                _log_backtest(run, backtest, pictures, name)
                log_diagnostics(run, found.model)
                log_pictures(run, fitting, found, measured[name], weekly)
                run.describe(story)
            progress.advance()
    assert registered is not None

    remark = ""
    if measured[BASELINE].found["clv/rmse"] <= measured[winner].found["clv/rmse"]:
        remark = "; mind that the past rate had the lower RMSE of value on this holdout"
        note("The past rate did better than the models on the holdout (RMSE of value).")
    return close_training(
        tracking,
        registered,
        contest=clv_contest(winner, forecasts, fitting, settings, test),
        training_id=training_id,
        run_ids=run_ids,
        results=results,
        winner=winner,
        story=story,
        dates=dates,
        remark=remark,
    )


def _forecasts(
    names: tuple[str, ...], fitting: Fitting
) -> tuple[dict[str, Forecast], dict[str, ModelError]]:
    """What each candidate expects in the holdout, and why some could not be fitted."""
    found: dict[str, Forecast] = {}
    failed: dict[str, ModelError] = {}
    with task("Fitting the candidates", total=len(names)) as progress:
        for name in names:
            try:
                found[name] = forecast(name, fitting)
            except ModelError as error:
                failed[name] = error
            progress.advance()
    if not any(each.model is not None for each in found.values()):
        raise next(iter(failed.values()))
    return found, failed


def _winner(
    backtest: ClvBacktest, fitted: list[str], failed: Mapping[str, ModelError]
) -> tuple[str, str]:
    """The candidate to register, and why: the backtest's choice if it could be fitted here."""
    taken, reason = backtest.choice.winner, backtest.choice.reason
    if taken in fitted:
        return taken, reason
    mean = backtest.choice.losses.mean(axis=1).reindex(fitted).dropna()
    instead = str(mean.idxmin()) if len(mean) else fitted[0]
    return instead, f"{instead}, as {taken} could not be fitted: {failed[taken].message}"


def _log_failures(
    tracking: Tracking,
    failed: Mapping[str, ModelError],
    training_id: str,
    tags: Mapping[str, Any],
    params: Mapping[str, Any],
) -> None:
    """A run that has failed for each candidate that could not be fitted."""
    for name, error in failed.items():
        if name in RULES:  # a rule that needs a longer history
            continue
        note(f"{name} could not be fitted and is left out: {error.message}")
        try:
            with tracking.run(
                name, family="clv", training_id=training_id, tags=tags, params=params
            ) as run:
                run.describe(f"{name} could not be fitted: {error.message}\n\n{error.hint}")
                raise error
        except ModelError:
            continue


def _log_backtest(
    run: Run, backtest: ClvBacktest, pictures: Mapping[str, Figure], name: str
) -> None:
    """How the candidate, and all of them, did at the earlier cutoffs."""
    table = backtest.table
    graded = grades(table) if len(table) else pd.DataFrame()
    if name in graded.index:
        row = graded.loc[name].to_dict()
        run.measure({f"backtest/{key}": row[key] for key in ("loss", "skill", "cutoffs", "wins")})
    run.table("backtest", graded.reset_index())
    run.table("backtest_cutoffs", table[table["candidate"] == name])
    for key, figure in pictures.items():
        run.figure(key, figure)


def _register(
    tracking: Tracking,
    run: Run,
    model: Any,
    fitting: Fitting,
    settings: ClvSettings,
    measured: Mapping[str, float],
    dates: Mapping[str, Any],
    tags: Mapping[str, Any],
    model_card: str,
) -> Any:
    rate, margin = settings.annual_discount_rate, settings.margin
    inputs = fitting.history.inputs[list(model.input_columns)]
    defaults = {
        "horizon_days": float(settings.horizon_days),
        "annual_discount_rate": rate,
        "margin": margin,
        "interval": 0.90,
    }
    when = {"cutoff": str(fitting.history.window.cutoff)}
    example = _example(inputs)
    asked = (settings.horizon_days, rate, margin)
    predicted = model.predict(inputs, *asked, intervals=False, **fitting.options)
    tiers = Tiers.learn(predicted["clv"])
    output = model.predict(example, *asked, **fitting.options)
    output["value_tier"] = tiers.assign(output["clv"])
    return tracking.register(
        run,
        REGISTERED_NAME,
        model,
        signature=signature(example, output, {**defaults, **when, "quantiles": ""}),
        input_example=example,
        card={
            **defaults,
            **when,
            "value_tiers": tiers.to_dict(),
            "training_id": tags["training_id"],
            "trained_until": tags["trained_until"],
            "cutoffs": dict(dates),
            "candidate": tags["winner"],
            "recipe": settings.recipe(),
            **feature_facts(),
        },
        tags={
            **tags,
            **headline(measured, SHOWN),
            "evaluation": "measures are those of the same recipe at the holdout, before the "
            "final fit on the whole history",
        },
        description=model_card,
        files=clv_reference(inputs, predicted, fitting.history.window.cutoff),
    )


def _example(inputs: pd.DataFrame) -> pd.DataFrame:
    """Two made-up customers: one purchase, and three repeat purchases of a usual value.

    Whatever else the model reads is the median of all customers, or the most common text.
    """
    repeat = inputs.loc[inputs["frequency"] > 0, "monetary_value"]
    usual = float(np.round(repeat.median(), -int(np.floor(np.log10(repeat.median())))))
    own = {
        "frequency": [0.0, 3.0],
        "recency": [0.0, 20.0],
        "T": [12.0, 26.0],
        "monetary_value": [0.0, usual],
        FIRST_VALUE: [usual, usual],
    }
    columns: dict[str, list[float] | list[str]] = {}
    for name in map(str, inputs.columns):
        values = inputs[name]
        if name in own:
            columns[name] = own[name]
        elif pd.api.types.is_numeric_dtype(values):
            columns[name] = [float(np.nan_to_num(values.median()))] * 2
        else:
            columns[name] = [str(values.mode().iloc[0])] * 2
    return pd.DataFrame(columns)


def _story(
    window: ObservationWindow,
    test: Holdout,
    results: pd.DataFrame,
    choice: str,
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
        f"Taken: {choice}. The rule: {CHOICE_RULE}. The holdout had no say in it. The registered "
        f"model is the same recipe on the whole history before {final_cutoff}."
    )
