"""Train the churn model: candidates on one out-of-time test, then the best recipe refitted.

The story of a training, top to bottom:

1. Monthly cutoffs, split so that no label window reaches into a later stage
   (`features.window.split_cutoffs`): train, calibration, test.
2. A snapshot at each: behaviour, and what a purchase model fitted on the purchases before
   that cutoff expects of each customer.
3. Candidates: the days-since-last rule, the purchase model's probability of no purchase, and
   LightGBM. All are measured on the test cutoff, which none of them has seen.
4. LightGBM is fitted again by the same recipe with every stage moved forward to the newest
   closed labels, registered, and promoted by the rule of `training.promote`.

So the measures of a version are those of its recipe at the test cutoff; the version itself
has seen newer data. Both sets of cutoffs are written on the run and on the version.
"""

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from features.catalogue import CATALOGUE, catalogue_hash
from features.ledger import Ledger
from features.progress import note, task
from features.snapshot import Snapshot, build_panel
from features.window import CutoffSplit, ObservationWindow, monthly_cutoffs, split_cutoffs
from models.baseline import BtydBaseline, DaysSinceLastRule
from models.btyd.features import btyd_features
from models.churn import ChurnModel, boosting_rounds
from training import figures, metrics
from training.dataset import holdout
from training.promote import RULE, promote
from training.result import TrainingResult
from training.run import Run
from training.signature import signature
from training.tracking import (
    Tracking,
    markdown_table,
    new_training_id,
    regulars_version,
)

__all__ = [
    "CANDIDATES",
    "REGISTERED_NAME",
    "ChurnSettings",
    "Panel",
    "churn_panel",
    "fit_candidates",
    "train_churn",
]

REGISTERED_NAME = "regulars-churn"
CANDIDATES = ("days_since_last", "btyd", "lightgbm")
WINNER = "lightgbm"
SHOWN = ("churn/roc_auc", "churn/brier", "churn/log_loss", "churn/ece", "churn/lift_at_10")

_MIN_ROUNDS, _MIN_FOLDS = 50, 2
_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class ChurnSettings:
    """What churn means here.

    Attributes:
        horizon_days: A customer who buys nothing for so long has churned.
        gap_days: Days between the cutoff and the start of the label window.
    """

    horizon_days: int = 90
    gap_days: int = 0


@dataclass(frozen=True)
class Panel:
    """Labelled snapshots of several cutoffs, ready for a model.

    Attributes:
        snapshots: Cutoff -> snapshot.
        features: Cutoff -> features of the snapshot and of the purchase model.
    """

    snapshots: Mapping[dt.date, Snapshot]
    features: Mapping[dt.date, pd.DataFrame]

    def of(self, cutoffs: Sequence[dt.date]) -> tuple[pd.DataFrame, "pd.Series[float]"]:
        """Features and outcomes of some cutoffs, one below the other."""
        return (
            pd.concat([self.features[c] for c in cutoffs]),
            pd.concat([self.churned(c) for c in cutoffs]),
        )

    def churned(self, cutoff: dt.date) -> "pd.Series[float]":
        """Outcomes at one cutoff."""
        labels = self.snapshots[cutoff].labels
        assert labels is not None  # only closed windows are in a panel
        return labels["churned"]


def churn_panel(ledger: Ledger, settings: ChurnSettings, cutoffs: Sequence[dt.date]) -> Panel:
    """Take labelled snapshots, and add the purchase model's features to each.

    The purchase model is fitted anew at every cutoff, on the purchases before it.
    """
    windows = [
        ObservationWindow(ledger.first_day, cutoff, settings.gap_days, settings.horizon_days)
        for cutoff in cutoffs
    ]
    snapshots = {snapshot.window.cutoff: snapshot for snapshot in build_panel(ledger, windows)}
    features = {}
    with task("Purchase model at each cutoff", total=len(snapshots)) as progress:
        for cutoff, snapshot in snapshots.items():
            expected = btyd_features(snapshot.rfm, settings.horizon_days)
            features[cutoff] = pd.concat([snapshot.features, expected], axis=1)
            progress.advance()
    return Panel(snapshots, features)


def fit_candidates(
    panel: Panel, split: CutoffSplit, settings: ChurnSettings, seed: int
) -> tuple[dict[str, "pd.Series[float]"], ChurnModel]:
    """Fit every candidate on training and calibration cutoffs, and forecast the test cutoff.

    Returns:
        Candidate -> churn probability on the customers of the test cutoff; the LightGBM model.
    """
    before = [*split.train, *split.calibration]
    test = panel.features[split.test]
    rule = DaysSinceLastRule.fit(*panel.of(before))
    model = fit_lightgbm(panel, split, settings, seed)
    forecasts = {
        "days_since_last": rule.predict(test),
        "btyd": BtydBaseline().predict(test),
        "lightgbm": model.predict(test, reasons=False)["churn_probability"],
    }
    return forecasts, model


def fit_lightgbm(
    panel: Panel, split: CutoffSplit, settings: ChurnSettings, seed: int
) -> ChurnModel:
    """Fit the churn model: rounds by rolling origin, trees on train, levels on calibration."""
    rounds = _rounds(panel, split.train, settings, seed)
    return ChurnModel.fit(
        *panel.of(split.train),
        *panel.of(split.calibration),
        horizon_days=settings.horizon_days,
        gap_days=settings.gap_days,
        catalogue=CATALOGUE,
        catalogue_hash=catalogue_hash(),
        train_cutoffs=split.train,
        calibration_cutoffs=split.calibration,
        params=None if rounds is None else {"n_estimators": rounds},
        seed=seed,
        num_threads=_THREADS,
    )


def _rounds(
    panel: Panel, train: Sequence[dt.date], settings: ChurnSettings, seed: int
) -> int | None:
    """The number of boosting rounds, by rolling origin inside the training cutoffs.

    Each later training cutoff v is foretold from those whose labels end by v, stopping when
    its log loss no longer falls; the median over the cutoffs is used. None, that is the
    default by the number of rows, where fewer than two such cutoffs exist or one of them has
    outcomes of one kind only.
    """
    reach = dt.timedelta(days=settings.gap_days + settings.horizon_days)
    folds = [([t for t in train if t + reach <= v], v) for v in train]
    folds = [
        (past, v)
        for past, v in folds
        if past and 0 < panel.churned(v).mean() < 1 and 0 < panel.of(past)[1].mean() < 1
    ]
    if len(folds) < _MIN_FOLDS:
        return None
    found = [
        boosting_rounds(
            *panel.of(past),
            *panel.of([v]),
            catalogue=CATALOGUE,
            train_cutoffs=past,
            seed=seed,
            num_threads=_THREADS,
        )
        for past, v in folds[-4:]
    ]
    return max(int(median(found)), _MIN_ROUNDS)


def train_churn(
    ledger: Ledger, settings: ChurnSettings, *, seed: int = 0, tracking: Tracking
) -> TrainingResult:
    """Fit and compare the churn candidates, register the model, promote it if it is better.

    Args:
        ledger: The trusted tables.
        settings: What churn means.
        seed: Same ledger, settings and seed: same measures.
        tracking: Where runs and models are kept.

    Returns:
        What came of it.

    Raises:
        NotEnoughDataError: The history is too short for training, calibration and test.
        ModelError: The outcomes at the cutoffs are all the same.
    """
    horizon, gap = settings.horizon_days, settings.gap_days
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, horizon, gap)
    split = split_cutoffs(cutoffs, horizon, gap)
    # The same rule with the day after the data in the place of the test cutoff.
    forward = split_cutoffs([*cutoffs, ledger.last_day + dt.timedelta(days=1)], horizon, gap)
    needed = {*split.train, *split.calibration, split.test, *forward.train, *forward.calibration}
    panel = churn_panel(ledger, settings, sorted(needed))

    training_id = new_training_id()
    with task("Fitting churn candidates", total=2) as progress:
        forecasts, evaluated = fit_candidates(panel, split, settings, seed)
        progress.advance()
        model = fit_lightgbm(panel, forward, settings, seed)
        progress.advance()

    snapshot = panel.snapshots[split.test]
    assert snapshot.labels is not None
    test = holdout("churn_test", snapshot.window, snapshot.labels)
    churned = panel.churned(split.test)
    dates = {"evaluation": _dates(split), "final": {**_dates(forward), "test": None}}
    tags = {
        "test_cutoff": str(split.test),
        "test_digest": test.digest,
        "cutoffs": dates,
        "catalogue_hash": catalogue_hash(),
        "data_fingerprint": ledger.fingerprint,
        "seed": seed,
        "regulars_version": regulars_version(),
    }
    settings_shown = {
        "horizon_days": horizon,
        "gap_days": gap,
        "seed": seed,
        "train_cutoffs": len(split.train),
        "calibration_cutoffs": len(split.calibration),
        "test_cutoff": str(split.test),
    }
    measured = {name: metrics.churn_metrics(churned, p) for name, p in forecasts.items()}
    results = pd.DataFrame(measured).T
    results.index.name = "candidate"
    run_ids: dict[str, str] = {}
    best = str(results["churn/brier"].idxmin())
    story = _story(split, forward, test.facts, results, best)

    registered = None
    with task("Logging to MLflow", total=len(CANDIDATES)) as progress:
        for name in CANDIDATES:
            params = settings_shown | (_shown_parameters(evaluated) if name == WINNER else {})
            with tracking.run(
                name, family="churn", training_id=training_id, tags=tags, params=params
            ) as run:
                run_ids[name] = run.run_id
                if name == WINNER:
                    until = str(model.card["trained_until"])
                    registered = tracking.register(
                        run,
                        REGISTERED_NAME,
                        model,
                        signature=_signature(model, panel.features[split.test]),
                        input_example=_example(model, panel.features[split.test]),
                        card={"training_id": training_id, "trained_until": until, "cutoffs": dates},
                        tags={
                            **tags,
                            **{key: repr(value) for key, value in measured[name].items()},
                            "training_id": training_id,
                            "trained_until": until,
                            "evaluation": "measures are those of the same recipe at the test "
                            "cutoff, before the final fit moved forward",
                        },
                        description=story,
                    )
                run.uses(test, "test")
                run.measure(measured[name], test)
                _log_groups(run, snapshot, churned, forecasts[name], test)
                _log_pictures(run, churned, forecasts[name])
                if name == WINNER:
                    run.table("cutoffs", _by_cutoff(panel, split, evaluated))
                    _log_importance(run, evaluated)
                else:
                    run.table("cutoffs", _by_cutoff(panel, split, None, forecasts[name]))
                run.describe(story)
            progress.advance()
    assert registered is not None

    def score(champion: Any) -> float:
        predicted = champion.predict(panel.features[split.test], reasons=False)
        return metrics.brier(churned, predicted["churn_probability"])

    decision = promote(
        tracking,
        registered,
        metric="churn/brier",
        measured=measured[WINNER]["churn/brier"],
        test=test,
        score=score,
    )
    reason = decision.reason
    if best != WINNER:
        reason += f"; mind that {best} had the lower Brier score on this test"
        note(f"The rule {best} did better than LightGBM on the test (Brier score).")
    tracking.explain(run_ids[WINNER], decision.promoted, reason, RULE.format(metric="churn/brier"))
    for run_id in run_ids.values():
        tracking.client.set_tag(run_id, "winner", WINNER)
    tracking.summarise(
        {"training_id": training_id},
        measured[WINNER],
        f"{story}\n\n**{REGISTERED_NAME} version {registered.version}**: {reason}.",
    )
    return TrainingResult(
        REGISTERED_NAME,
        str(registered.version),
        training_id,
        run_ids,
        results,
        WINNER,
        decision.promoted,
        reason,
        dates,
    )


def _dates(split: CutoffSplit) -> dict[str, Any]:
    return {
        "train": [str(day) for day in split.train],
        "calibration": [str(day) for day in split.calibration],
        "test": str(split.test),
    }


def _shown_parameters(model: ChurnModel) -> dict[str, Any]:
    training = model.card["training"]
    return {
        "rounds": training["rounds"],
        "monotone": training["monotone"],
        "calibration": model.card["calibration"]["method"],
        "features": len(model.model_features),
        **training["parameters"],
    }


def _log_groups(
    run: Run,
    snapshot: Snapshot,
    churned: "pd.Series[float]",
    p: "pd.Series[float]",
    test: Any,
) -> None:
    """Measures of one-time buyers and of repeat buyers apart."""
    once = snapshot.rfm["frequency"] == 0
    for prefix, members in (("churn_one_time", once), ("churn_repeat", ~once)):
        if members.any():
            run.measure(metrics.churn_metrics(churned[members], p[members], prefix), test)


def _log_pictures(run: Run, churned: "pd.Series[float]", p: "pd.Series[float]") -> None:
    run.figure("calibration", figures.calibration(churned, p))
    run.figure("gain_and_lift", figures.gain_and_lift(churned, p))
    run.figure(
        "deciles",
        figures.deciles(
            churned, p, title="Churn by decile of the score", what="churn rate", percent=True
        ),
    )
    run.figure("scores", figures.scores(churned, p))
    run.table("deciles", metrics.decile_table(churned, p))
    run.table("calibration", metrics.reliability_table(churned, p))
    at, gain = metrics.cumulative_gain(churned, p)
    shares = [i / 20 for i in range(1, 21)]
    found = pd.Series(gain, index=at)
    grid = found.reindex(found.index.union(shares)).interpolate("index").loc[shares]
    run.table(
        "gain",
        {"share_contacted": shares, "share_of_churners": grid, "lift": grid.to_numpy() / shares},
    )


def _by_cutoff(
    panel: Panel,
    split: CutoffSplit,
    model: ChurnModel | None,
    test_forecast: "pd.Series[float] | None" = None,
) -> pd.DataFrame:
    """Measures per cutoff and group; calibration cutoffs shaped the levels of LightGBM."""
    rows = []
    stages = [("calibration", c) for c in split.calibration] if model is not None else []
    for stage, cutoff in [*stages, ("test", split.test)]:
        if model is not None:
            p = model.predict(panel.features[cutoff], reasons=False)["churn_probability"]
        else:
            assert test_forecast is not None
            p = test_forecast
        churned = panel.churned(cutoff)
        once = panel.snapshots[cutoff].rfm["frequency"] == 0
        for group, members in (("all", once | ~once), ("one_time", once), ("repeat", ~once)):
            if members.any():
                found = metrics.churn_metrics(churned[members], p[members])
                rows.append(
                    {
                        "cutoff": str(cutoff),
                        "stage": stage,
                        "group": group,
                        "customers": int(members.sum()),
                        "churn_rate": float(churned[members].mean()),
                        **{name.removeprefix("churn/"): value for name, value in found.items()},
                    }
                )
    return pd.DataFrame(rows)


def _log_importance(run: Run, model: ChurnModel) -> None:
    run.table("importance", model.importance())
    groups = model.group_importance()
    run.measure({f"importance/{group}": float(value) for group, value in groups.items()})


def _example(model: ChurnModel, features: pd.DataFrame) -> pd.DataFrame:
    """Medians and lower quartiles of all customers: nobody's row."""
    inputs = features[model.feature_names]
    return inputs.quantile([0.5, 0.25]).fillna(0.0).reset_index(drop=True).astype("float64")


def _signature(model: ChurnModel, features: pd.DataFrame) -> Any:
    example = _example(model, features)
    return signature(example, model.predict(example))


def _story(
    split: CutoffSplit,
    forward: CutoffSplit,
    facts: Mapping[str, Any],
    results: pd.DataFrame,
    best: str,
) -> str:
    """What was done, in Markdown, for the page of a run or a version."""
    return (
        f"**Churn, out of time.** {facts['customers']:,} customers at the test cutoff "
        f"{split.test}; {facts['churned']:,} of them bought nothing from {facts['label_start']} "
        f"until {facts['label_end']}.\n\n"
        f"{markdown_table(results, SHOWN)}\n\n"
        f"Lowest Brier score: {best}. Trained on {len(split.train)} monthly cutoffs "
        f"({split.train[0]} to {split.train[-1]}), calibrated on "
        f"{', '.join(map(str, split.calibration))}. The registered model is the same recipe "
        f"moved forward: trained on {forward.train[0]} to {forward.train[-1]}, calibrated on "
        f"{', '.join(map(str, forward.calibration))}."
    )
