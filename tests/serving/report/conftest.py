"""What a report is made from, made up: every section has something to show."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from features.measures import COLUMNS, MEASURES
from serving.advice import Advice
from serving.drift import Drift
from serving.findings import Finding
from serving.look_back import Lookback
from serving.monitor import Monitoring
from serving.registry import CHURN, CLV, RegisteredModel
from serving.report import Material

MONTHS = [str(period) for period in pd.period_range("2023-01", "2024-06", freq="M")]
CHANNELS = ("search", "social")
UNITS = {row.name: row.unit for row in MEASURES}


def registered(name: str, card: dict[str, Any], metrics: dict[str, float]) -> RegisteredModel:
    """A model that is only asked who it is."""
    created = dt.datetime(2024, 7, 1, tzinfo=dt.UTC)
    return RegisteredModel(
        name, "1", "", f"models:/{name}/1", cast(Any, None), card, "run", metrics, created
    )


def scored_list(customers: int = 200, seed: int = 1) -> pd.DataFrame:
    """A scored list in which those likely to leave are worth little."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.7, 0.5, customers)
    clv = rng.lognormal(4, 1, customers) * (1.05 - p)
    frame = pd.DataFrame(
        {
            "customer_id": [f"C{i:07d}" for i in range(customers)],
            "as_of": pd.Timestamp("2024-07-01"),
            "status": "scored",
            "churn_probability": p,
            "churn_low": (p - 0.05).clip(0),
            "churn_high": (p + 0.05).clip(0, 1),
            "risk_tier": np.select([p < 0.4, p < 0.8], ["low", "medium"], "high"),
            "expected_spend": clv * 1.1,
            "clv": clv,
            "clv_low": clv * 0.4,
            "clv_high": clv * 2,
            "value_tier": np.select([clv < 20, clv < 60], ["low", "medium"], "high"),
            "reason_1": "Last purchase 90 days ago",
            "reason_2": None,
            "reason_3": None,
        }
    )
    strangers = pd.DataFrame({"customer_id": ["nobody"], "status": "unknown_customer"})
    return pd.concat([frame, strangers.assign(as_of=pd.Timestamp("2024-07-01"))]).reset_index(
        drop=True
    )


def plan_of(scored: pd.DataFrame) -> pd.DataFrame:
    """A plan that contacts those most worth it."""
    worth = scored["clv"] * scored["churn_probability"] * 0.3 - 5
    sent = (worth > 0).to_numpy()
    ranks = pd.Series(pd.NA, index=scored.index, dtype="Int64")
    ranks[sent] = worth[sent].rank(ascending=False, method="first").astype("int64")
    return pd.DataFrame(
        {
            "customer_id": scored["customer_id"],
            "action": np.where(sent, "voucher", "none"),
            "offer": np.where(sent, "voucher", None),
            "arm": np.where(sent, "treatment", None),
            "expected_value": worth.where(sent, 0.0),
            "rank": ranks,
        }
    )


def long_table() -> pd.DataFrame:
    """The long table with every measure that a section shows."""
    rng = np.random.default_rng(2)
    rows: list[tuple[Any, ...]] = []

    def put(measure: str, value: float, segment: str = "all", period: str = "all",
            spread: float | None = None, n: int = 100) -> None:  # fmt: skip
        ends = (np.nan, np.nan) if spread is None else (value - spread, value + spread)
        rows.append((measure, period, segment, value, *ends, n, UNITS.get(measure, "share")))

    def over_time(measure: str, level: float, spread: float | None = None) -> None:
        for i, month in enumerate(MONTHS):
            value = level * (1 + 0.02 * i + 0.1 * float(rng.random()))
            put(measure, value, period=month, spread=spread)

    for measure, level in (
        ("revenue", 12_000), ("active_customers", 120), ("new_customers", 30),
        ("returning_customers", 90), ("reactivated_customers", 12),
        ("sessions", 500),
        ("average_purchase_value", 40), ("tickets", 20), ("cac", 8), ("mau", 300), ("wau", 120),
        ("dau", 30), ("sessions_per_user", 2), ("session_minutes", 5), ("loyalty_members", 60),
        ("points_earned", 900), ("points_burnt", 500), ("points_expired", 90),
    ):  # fmt: skip
        over_time(measure, level)
    for measure, level, spread in (
        ("repeat_purchase_rate", 0.4, 0.05), ("churn_rate", 0.1, 0.02), ("nps", 25, 12),
        ("csat", 0.6, 0.06), ("revenue_share_top10", 0.3, 0.03), ("stickiness_dau_mau", 0.1, 0.01),
        ("stickiness_wau_mau", 0.3, 0.01), ("loyalty_enrolment_rate", 0.2, 0.02),
        ("redemption_rate", 0.4, 0.02), ("breakage_rate", 0.1, 0.02),
    ):  # fmt: skip
        over_time(measure, level, spread)
    for i, cohort in enumerate(MONTHS):
        for age in range(1, len(MONTHS) - i):
            put("retention_rate", 0.5 / age**0.5, f"cohort={cohort}|age={age}", MONTHS[i + age],
                0.05)  # fmt: skip
    for age in range(1, 18):
        put("survival_rate", 0.9**age, f"age={age}", spread=0.02)
    for start in ("high", "low"):
        for end in ("high", "low"):
            put("tier_migration", 0.8 if start == end else 0.2, f"from={start}|to={end}",
                MONTHS[-1])  # fmt: skip
    for kind in ("clv_historical", "clv_classic", "clv_predictive"):
        put(kind, 100)
    for name in ("nps", "csat", "csi", "survey_response_rate", "resolution_hours", "sentiment"):
        put(name, 0.6, spread=0.1)
    for i, group in enumerate(("promoter", "passive", "detractor")):
        put("nps_later_purchase_rate", 0.7 - 0.1 * i, f"group={group}", spread=0.05)
    put("nps_later_purchase_difference_adjusted", -0.05, "group=detractor", spread=0.1)
    for i, topic in enumerate(("delivery", "quality")):
        put("topic_share", 0.6 - 0.2 * i, f"topic={topic}", spread=0.05)
        put("topic_churn_difference", 0.1, f"topic={topic}", spread=0.04)
        put("topic_churn_difference_adjusted", 0.1 - 0.1 * i, f"topic={topic}", spread=0.04)
    for i, channel in enumerate(CHANNELS):
        for measure, value in (
            ("cac", 10),
            ("clv_predictive", 90),
            ("ltv_to_cac", 2.0),
            ("payback_months", 3),
        ):
            put(measure, value / (i + 1), f"channel={channel}", spread=0.3)  # fmt: skip
        for age in (1, 2, 3):
            put("cumulative_margin", 10.0 * age, f"channel={channel}|age={age}")
    for i, step in enumerate(("visit", "view", "cart", "purchase")):
        put("funnel_rate", 1 - 0.3 * i, f"step={step}")
    for outcome in ("purchases", "spend"):
        put("loyalty_effect_raw", 1.5, f"outcome={outcome}", spread=0.2)
        put("loyalty_effect_adjusted", 0.5, f"outcome={outcome}", spread=0.2)
    for i, campaign in enumerate(("email-2024-01", "voucher-2024-03")):
        for measure in ("campaign_effect_retention", "campaign_effect_spend", "campaign_profit",
                        "campaign_roi", "campaign_balance_p"):  # fmt: skip
            put(measure, 0.1 + 0.1 * i, f"campaign={campaign}", spread=0.15)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def evaluation() -> dict[str, dict[str, pd.DataFrame]]:
    """The tables that trainings log."""
    share = np.linspace(0, 1, 11)
    tenths = np.arange(1, 11)
    weeks = np.arange(1, 41)
    return {
        CHURN: {
            "calibration": pd.DataFrame(
                {"bin": tenths, "customers": 20, "mean_p": share[1:] - 0.05,
                 "churn_rate": share[1:] - 0.04, "low": share[:-1], "high": share[1:]}
            ),
            "profit": pd.DataFrame(
                {"share": share, "expected": share - share**2 / 2, "realised": share - share**2,
                 "low": share - share**2 - 0.1, "high": share - share**2 + 0.1}
            ),
            "policies": pd.DataFrame(
                {"policy": ["model", "everyone", "random", "nothing"],
                 "contacted": [0.5, 1, 0.5, 0],
                 "realised_profit": [2.0, 1.5, 1.0, 0.0], "low": [1, 1, 0.5, 0.0],
                 "high": [3, 2, 1.5, 0.0]}
            ),
            "intervals": pd.DataFrame(
                {"measure": ["churn/roc_auc"], "value": [0.8], "low": [0.75], "high": [0.85]}
            ),
        },
        CLV: {
            "deciles": pd.DataFrame(
                {"decile": tenths, "mean_predicted": 200.0 / tenths, "mean_actual": 190.0 / tenths}
            ),
            "frequency": pd.DataFrame(
                {"repeat_purchases": range(8), "expected": np.arange(8) * 1.1, "actual": range(8)}
            ),
            "tracking": pd.DataFrame(
                {"week": weeks, "stage": np.where(weeks <= 24, "calibration", "holdout"),
                 "actual": 5.0 + weeks, "expected": np.where(weeks < 5, np.nan, 6.0 + weeks)}
            ),
        },
        "regulars-uplift": {
            "qini": pd.DataFrame(
                {"treatment": "email", "share": share, "gain": share * 0.1 + 0.01,
                 "random": share * 0.1, "low": share * 0.1 - 0.01, "high": share * 0.1 + 0.03}
            )
        },
    }  # fmt: skip


def monitoring() -> Monitoring:
    """Findings of every severity, lists that are over and one that runs, and drift."""
    found = [
        Finding("breaks", "2024-06-01", "missing_days", 3.0, limit=40.0, n=40, severity="act",
                words="Nothing was sold on 3 open days.", remedy="Load them."),
        Finding("early", "2024-06-01", "early_returns", 0.1, 0.12, 0.16, 0.1, 900, "watch",
                "Few are back.", "Check the newest rows."),
        Finding("model", f"{CHURN}/1", "unseen_days", 20.0, limit=62.0, words="It is fresh."),
    ]  # fmt: skip
    days = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"])
    rates = {"churn_rate": 0.7, "mean_p": 0.72, "calibration_gap": 0.02}
    cohorts = pd.DataFrame(
        [
            {"list_id": i, "as_of": day, "model": f"{CHURN}/1", "kind": "churn", "judged": True,
             "part": "untouched", "measure": name, "value": rate, "low": rate - 0.03,
             "high": rate + 0.03, "n": 900}
            for i, day in enumerate(days)
            for name, rate in rates.items()
        ]
    )  # fmt: skip
    day = np.arange(1, 31)
    early = pd.DataFrame(
        {"list_id": 9, "as_of": pd.Timestamp("2024-06-01"), "model": f"{CHURN}/1",
         "part": "untouched", "day": day, "observed": day * 0.003, "expected": day * 0.005,
         "low": day * 0.004, "high": day * 0.006, "n": 900, "windows": 6, "curve": day / 90}
    )  # fmt: skip
    groups = ["rhythm", "spend", "browsing"]
    drift = pd.DataFrame(
        {"column": ["regularity", "mean_spend", "sessions"], "of": "input",
         "reason_group": groups, "psi": [0.3, 0.2, 0.05], "psi_year_ago": [0.3, 0.02, np.nan],
         "psi_training_day": [0.3, 0.1, 0.01], "verdict": ["act", "season", "same"]}
    )  # fmt: skip
    return Monitoring(
        dt.date(2024, 7, 1),
        tuple(found),
        (
            Advice(CHURN, "look_first", None, "Nothing was sold on 3 open days.", "broken"),
            Advice(CLV, "nothing", dt.date(2024, 7, 20), "It has seen all labels.", "fresh"),
        ),
        (),
        Lookback(cohorts.iloc[:0], cohorts, cohorts.iloc[:0], early),
        {CHURN: Drift((), drift, pd.DataFrame())},
    )


@pytest.fixture(scope="session")
def material() -> Material:
    """All of it together."""
    scored = scored_list()
    days = {"horizon_days": 365, "annual_discount_rate": 0.1, "margin": 0.4}
    segments = pd.DataFrame(
        {"rfm_segment": ["Champions", "Lost"], "customers": [50, 150], "share": [0.25, 0.75],
         "clv": [5000.0, 900.0], "churn_probability": [0.2, 0.9], "value_at_risk": [1000.0, 800.0]}
    )  # fmt: skip
    return Material(
        scored=scored,
        churn=registered(
            CHURN, {"kind": "churn", "horizon_days": 90}, {"churn/roc_auc": 0.8, "churn/ece": 0.02}
        ),
        clv=registered(CLV, {"kind": "clv", "extra": days}, {"clv/bias": -0.05}),
        quality={
            "transactions": {"read": 1000, "accepted": 990, "quarantined": {"duplicate": 10}},
            **{name: {"read": 10, "accepted": 10}
               for name in ("events", "surveys", "tickets", "contacts", "loyalty", "acquisition",
                            "customers", "subscriptions")},
        },
        measures=long_table(),
        notes=("2024-07 is not a whole period.",),
        catalogue=MEASURES,
        evaluation=evaluation(),
        plan=plan_of(scored),
        summary={
            "customers": 201, "contacted": 30, "control": 3, "expected_value": 400.0,
            "expected_cost": 90.0, "why": {"not worth it": 150}, "offers": [],
        },
        segments=segments,
        monitoring=monitoring(),
    )  # fmt: skip
