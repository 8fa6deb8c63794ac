"""Drift is told from season, from ageing and from chance; a column that is gone is told at once."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.errors import InputError
from features.feature import Feature
from features.ledger import Ledger
from models.reference import REFERENCE, Reference
from serving.drift import Drift, DriftSettings, look_for_drift, reference_of
from serving.model_inputs import model_inputs
from serving.registry import RegisteredModel

START = pd.Timestamp("2022-01-01")
AS_OF = dt.date(2024, 1, 1)
NOW = dt.date(2024, 4, 1)
TRAINED = [dt.date(2023, month, 1) for month in range(2, 10)]
INPUTS = ["n_purchases_90", "net_spend_90", "aov_365", "days_since_last", "channel_main",
          "tenure_days", "net_spend_30", "gap_mean"]  # fmt: skip


class Stub(RegisteredModel):
    """A registered model whose prediction is a rule."""

    def predict(self, frame: pd.DataFrame, **params: float | str) -> pd.DataFrame:
        silent = frame["days_since_last"].clip(upper=400) / 400
        return pd.DataFrame({"churn_probability": silent}, index=frame.index)

    @property
    def params(self) -> tuple[str, ...]:
        return ()


def orders(season: float = 0.0) -> pd.DataFrame:
    """Purchases of 600 customers, who come and go; `season` makes spring busier by that factor."""
    rng = np.random.default_rng(7)
    days = (pd.Timestamp(NOW) - START).days
    begin = rng.uniform(-700, days, 1400)
    life = rng.exponential(350, 1400)
    size = rng.poisson(life * rng.gamma(2, 1 / 60, 1400))
    who = np.concatenate([np.arange(1400), np.repeat(np.arange(1400), size)])
    day = np.concatenate([begin, np.repeat(begin, size) + rng.uniform(0, np.repeat(life, size))])
    table = pd.DataFrame({"who": who, "day": np.floor(day)})
    table = table[(table["day"] >= 0) & (table["day"] < days)]
    table["timestamp"] = START + pd.to_timedelta(table["day"], unit="D")
    spring = table["timestamp"].dt.month <= 3
    table["amount"] = rng.lognormal(3, 0.6, len(table)).round(2)
    table.loc[spring, "amount"] = (table["amount"] * (1 + season))[spring].round(2)
    table["customer_id"] = "c" + table["who"].astype(str)
    table["channel"] = np.where(table["who"] % 3 == 0, "shop", "web")
    return table[["customer_id", "timestamp", "amount", "channel"]]


def model(card: Mapping[str, Any], folder: Path) -> Stub:
    return Stub("regulars-churn", "1", "", "", None, card, folder=folder)  # type: ignore[arg-type]


class Shop:
    """What is asked of a ledger, and its inputs worked out with pandas instead of on an engine."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.first_day = frame["timestamp"].min().date()

    def at(self, cutoff: dt.date) -> pd.DataFrame:
        known = self.frame[self.frame["timestamp"] < pd.Timestamp(cutoff)].sort_values("timestamp")
        days = (pd.Timestamp(cutoff) - known["timestamp"]).dt.days
        by = known.assign(days=days).groupby("customer_id")
        count, first, last = by["days"].count(), by["days"].max(), by["days"].min()

        def summed(window: int) -> pd.Series:
            some = known[days <= window].groupby("customer_id")["amount"]
            return some.sum().reindex(count.index, fill_value=0.0)

        bought = days[days <= 90].groupby(known["customer_id"]).count()
        year = known[days <= 365].groupby("customer_id")["amount"].mean()
        channel = by["channel"].last() if "channel" in known else None
        table = pd.DataFrame(
            {
                "n_purchases_90": bought.reindex(count.index, fill_value=0).astype(float),
                "net_spend_90": summed(90),
                "net_spend_30": summed(30),
                "aov_365": year.reindex(count.index),
                "days_since_last": last.astype(float),
                "tenure_days": first.astype(float),
                "gap_mean": ((first - last) / (count - 1)).where(count > 1),
                "channel_main": channel,
            }
        )
        return table if channel is not None else table.drop(columns="channel_main")


@pytest.fixture(autouse=True)
def _pandas_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    def inputs(
        model: RegisteredModel, cutoff: dt.date, snapshots: Any, most_rows: int
    ) -> tuple[pd.DataFrame, tuple[Feature, ...]]:
        if not isinstance(snapshots.ledger, Shop):
            return model_inputs(model, cutoff, snapshots, most_rows)
        return snapshots.ledger.at(cutoff).head(most_rows), CATALOGUE

    monkeypatch.setattr("serving.drift.model_inputs", inputs)


def trained_on(shop: pd.DataFrame, folder: Path, cutoffs: list[dt.date]) -> Stub:
    """A model with the reference that a training on a shop would keep."""
    importance = dict.fromkeys(INPUTS, 1.0) | {"net_spend_30": 0.001}
    card = {
        "kind": "churn",
        "gap_days": 0,
        "horizon_days": 90,
        "feature_names": INPUTS,
        "importance": importance,
    }
    made = model(card, folder)
    frames = {day: Shop(shop).at(day) for day in [*cutoffs, AS_OF]}
    scores = {day: made.predict(frame) for day, frame in frames.items()}
    kept = Reference.learn(frames, AS_OF, INPUTS, categories=["channel_main"], scores=scores)
    (folder / REFERENCE).write_text(kept.to_json())
    return made


@pytest.fixture(scope="module")
def shop() -> pd.DataFrame:
    return orders()


@pytest.fixture(scope="module")
def churn(shop: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Stub:
    return trained_on(shop, tmp_path_factory.mktemp("model"), TRAINED)


def look(shop: pd.DataFrame, churn: Stub, settings: DriftSettings | None = None) -> Drift:
    return look_for_drift(Shop(shop), NOW, churn, settings)  # type: ignore[arg-type]


def verdicts(drift: Drift) -> dict[str, str]:
    return dict(zip(drift.table["column"], drift.table["verdict"], strict=True))


def alarms(drift: Drift) -> set[tuple[str, str, str]]:
    return {(f.subject, f.measure, f.severity) for f in drift.findings if f.severity != "fine"}


def recent(shop: pd.DataFrame) -> pd.Series:
    return shop["timestamp"] >= pd.Timestamp(AS_OF)


def test_three_months_on_the_same_shop_is_no_alarm(shop: pd.DataFrame, churn: Stub) -> None:
    found = look(shop, churn)
    assert alarms(found) == set()
    assert verdicts(found)["tenure_days"] == "exempt"
    groups = {f.subject for f in found.findings if f.subject.startswith("group:")}
    assert {"group:spend", "group:frequency", "group:lateness", "group:channel"} <= groups
    assert {f.measure for f in found.findings if f.area == "score_drift"} == {"psi", "mean"}
    shares = found.shares.groupby("column")[["training", "training_day", "now"]].sum()
    assert np.allclose(shares, 1)


def test_another_unit_of_money_is_found_and_nothing_else(shop: pd.DataFrame, churn: Stub) -> None:
    broken = shop.assign(amount=shop["amount"].where(~recent(shop), shop["amount"] * 20).round(2))
    found = look(broken, churn)
    assert {("net_spend_90", "psi", "act"), ("group:spend", "psi", "act")} <= alarms(found)
    assert verdicts(found)["n_purchases_90"] == "same"
    assert verdicts(found)["gap_mean"] == "same"
    # It hardly weighs in the model, so it is one step less.
    assert ("net_spend_30", "psi", "watch") in alarms(found)


def test_a_user_may_exempt_a_column_but_not_one_that_is_not_there(
    shop: pd.DataFrame, churn: Stub
) -> None:
    broken = shop.assign(amount=shop["amount"].where(~recent(shop), shop["amount"] * 20).round(2))
    spend = ("net_spend_90", "net_spend_30", "aov_365")
    assert alarms(look(broken, churn, DriftSettings(exempt=spend))) == set()
    with pytest.raises(InputError, match="net_spend_9O"):
        look(shop, churn, DriftSettings(exempt=("net_spend_9O",)))


def test_what_was_so_a_year_ago_is_season(tmp_path: Path) -> None:
    # The model never saw a spring: it was trained on cutoffs from June on.
    seasonal = orders(season=4.0)
    churn = trained_on(seasonal, tmp_path, TRAINED[4:])
    found = look(seasonal, churn)
    row = found.table.set_index("column").loc["net_spend_90"]
    assert row["psi"] > 0.25
    assert row["verdict"] == "season"
    assert "season" in next(f.words for f in found.findings if f.subject == "net_spend_90")
    assert alarms(found) == set()


def test_a_history_that_was_rewritten_is_no_season(shop: pd.DataFrame, churn: Stub) -> None:
    # The unit has changed in the whole ledger, a year ago as well.
    found = look(shop.assign(amount=(shop["amount"] * 20).round(2)), churn)
    assert ("net_spend_90", "psi", "act") in alarms(found)
    words = next(f.words for f in found.findings if f.subject == "net_spend_90")
    assert "history, a mapping or a definition has changed" in words


def test_what_had_moved_when_the_model_was_made_is_ageing(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    moved = shop.assign(
        amount=shop["amount"].where(shop["timestamp"] < "2023-09-01", shop["amount"] * 20).round(2)
    )
    found = look(moved, trained_on(moved, tmp_path, TRAINED))
    assert verdicts(found)["net_spend_90"] == "ageing"
    assert alarms(found) == set()


def test_a_column_that_loses_its_values(shop: pd.DataFrame, churn: Stub) -> None:
    empty = shop.assign(channel=pd.Series(None, index=shop.index, dtype="str"))
    assert ("channel_main", "missing_share", "act") in alarms(look(empty, churn))


def test_a_column_that_is_gone(shop: pd.DataFrame, churn: Stub) -> None:
    found = look(shop.drop(columns="channel"), churn)
    assert alarms(found) == {("channel_main", "missing_share", "act")}
    assert not any(f.area == "score_drift" for f in found.findings)


def test_levels_that_nobody_knew(shop: pd.DataFrame, churn: Stub) -> None:
    renamed = shop.assign(channel=shop["channel"].where(~recent(shop), "kiosk"))
    found = alarms(look(renamed, churn))
    assert ("channel_main", "new_levels", "watch") in found


def test_an_older_model_without_a_reference(
    shop: pd.DataFrame, churn: Stub, tmp_path: Path
) -> None:
    older = replace(churn, folder=tmp_path)
    assert reference_of(older) is None
    found = look(shop, older)
    assert found.findings == ()
    assert found.table.empty
    (tmp_path / REFERENCE).write_text("{}")
    with pytest.raises(InputError, match="regulars-churn/1"):
        reference_of(older)


def test_order_of_rows_and_a_smaller_sample(shop: pd.DataFrame, churn: Stub) -> None:
    whole = look(shop, churn)
    mixed = look(shop.sample(frac=1, random_state=3), churn)
    pd.testing.assert_frame_equal(mixed.table, whole.table)
    few = look(shop, churn, DriftSettings(most_rows=200))
    assert set(few.table.query("of == 'input'")["m"]) == {200}
    assert alarms(few) == set()


def test_the_engine_gives_what_the_model_reads(shop: pd.DataFrame, churn: Stub) -> None:
    found = look_for_drift(Ledger.from_frames(shop), NOW, churn)
    by_pandas = look(shop, churn).table.set_index("column")
    by_engine = found.table.set_index("column")
    for name in ("net_spend_90", "days_since_last", "n_purchases_90"):
        assert by_engine.loc[name, "psi"] == pytest.approx(by_pandas.loc[name, "psi"], abs=0.02)
