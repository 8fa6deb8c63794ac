"""Train the customer-lifetime-value model: candidates on a holdout, the best one refitted.

The story of a training, top to bottom:

1. The end of the history is held out (`training.clv_holdout`).
2. Candidates are fitted on the summary before the cutoff (`training.clv_candidates`): models of
   purchases and spend by full posterior, and the baseline "everybody goes on as before".
3. All are measured on the purchases and the money of the holdout: spend as it came, neither
   discounted nor multiplied by the margin.
4. MBG/NBD with spend of all purchases wins, unless another model's RMSE of value is at least
   1 % lower: then the one with the lowest (`training.clv_candidates.choose_winner`). The winner
   is fitted again on the whole history, registered, and promoted by the rule of
   `training.promote`.

What a run shows besides its measures is in `training.clv_pictures`.
"""

import contextlib
import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.catalogue import catalogue_hash
from features.ledger import Ledger
from features.progress import note, task
from features.snapshot import build_snapshot
from features.window import ObservationWindow
from models.base import ModelError
from models.clv import CustomerLifetimeValue
from models.tiers import Tiers
from training import metrics
from training.clv_candidates import (
    BASELINE,
    CANDIDATES,
    RECIPES,
    WINNER_RULE,
    choose_winner,
    fit_models,
    fit_recipe,
    forecasts,
    measure,
)
from training.clv_holdout import holdout_window, weekly_purchases
from training.clv_pictures import log_diagnostics, log_pictures
from training.dataset import Holdout, holdout
from training.promote import RULE, promote
from training.result import TrainingResult
from training.run import Run
from training.signature import double_signature
from training.tracking import (
    Tracking,
    markdown_table,
    new_training_id,
    regulars_version,
)

__all__ = ["CANDIDATES", "REGISTERED_NAME", "ClvSettings", "train_clv"]

REGISTERED_NAME = "regulars-clv"
SHOWN = ("purchases/rmse", "purchases/bias", "clv/rmse", "clv/bias", "clv/gini", "clv/nmae")


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
        weekly = weekly_purchases(ledger, window)
        progress.advance()
    labels = snapshot.labels
    assert labels is not None  # the holdout lies within the history
    rfm = snapshot.rfm

    training_id = new_training_id()
    fitted, failed = fit_models(rfm, seed=seed, method=method)
    expected = forecasts(fitted, rfm, window.horizon_days)
    measured = {
        name: measure(forecast, rfm, labels, window.horizon_days, seed)
        for name, forecast in expected.items()
    }
    results = pd.DataFrame(measured).T
    results.index.name = "candidate"
    winner = choose_winner({name: measured[name]["clv/rmse"] for name in fitted})

    final_cutoff = ledger.last_day + dt.timedelta(days=1)
    everything = ObservationWindow(ledger.first_day, final_cutoff, 0, settings.horizon_days)
    now = build_snapshot(ledger, everything, labels=False).rfm
    with task("Fitting the winner on the whole history", total=1) as progress:
        final = fit_recipe(winner, now, seed=seed, method=method)
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
            made_of = (
                {**asdict(RECIPES[name]), "method": method}
                if name in RECIPES
                else {"method": "none"}
            )
            with tracking.run(
                name, family="clv", training_id=training_id, tags=tags, params={**params, **made_of}
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
                log_diagnostics(run, forecast.model)
                log_pictures(run, snapshot, forecast, weekly, window)
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
    example = _example(rfm)[list(model.input_columns)]
    tiers = Tiers.learn(model.predict(rfm, settings.horizon_days, rate, margin)["clv"])
    output = model.predict(example, settings.horizon_days, rate, margin)
    output["value_tier"] = tiers.assign(output["clv"])
    return tracking.register(
        run,
        REGISTERED_NAME,
        model,
        signature=double_signature(model.input_columns, output, defaults),
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
            "first_value": [usual, usual],
        }
    )


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
