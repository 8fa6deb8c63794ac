"""Tests of what training keeps of its customers."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models import artifact
from models.base import ModelError
from models.bins import MIN_CUSTOMERS, Bins, learn_column
from models.reference import REFERENCE, Reference, read_reference
from models.segmentation import CustomerSegments
from models.segments import RfmCuts

NOW = dt.date(2024, 6, 1)
MONTHS = [dt.date(2023, month, 1) for month in range(1, 13)] + [dt.date(2024, 1, 1)]


def frame(seed: int, size: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    spend = rng.lognormal(3, 1, size)
    spend[rng.random(size) < 0.4] = 0.0
    gap = rng.exponential(30, size)
    gap[rng.random(size) < 0.3] = np.nan
    channel = rng.choice(["web", "shop", "fair"], size, p=[0.6, 0.395, 0.005])
    return pd.DataFrame(
        {"spend": spend, "gap": gap, "few": rng.integers(0, 3, size), "channel": channel}
    )


def learned() -> Reference:
    frames = {day: frame(i) for i, day in enumerate([*MONTHS, NOW])}
    scores = {
        day: pd.DataFrame({"p": f["gap"].fillna(9).rank(pct=True)}) for day, f in frames.items()
    }
    return Reference.learn(frames, NOW, list(frames[NOW]), categories=["channel"], scores=scores)


def test_zero_and_missing_values_stand_alone() -> None:
    reference = learned()
    bins = reference.columns["spend"].bins
    assert bins.names[0] == "up to 0"
    counts = bins.count(pd.Series([0.0, 0.0, np.nan, 1e-3, 1e9]))
    assert counts[0] == 2
    assert counts[-1] == 1
    gap, n = reference.columns["gap"].pooled(reference.learned_from)
    assert n == 400
    assert gap.sum() == pytest.approx(400)
    assert gap[-1] / n == pytest.approx(0.3, abs=0.03)
    # Deciles of what is known: all bins but the missing one hold about as many.
    assert gap[:-1].max() < 1.3 * gap[:-1].min()


def test_few_values_have_a_bin_each_and_ties_stay_together() -> None:
    bins = learned().columns["few"].bins
    assert bins.size == 4
    assert bins.codes(pd.Series([0, 1, 2, None])).tolist() == [0, 1, 2, 3]


def test_single_precision_changes_no_bin() -> None:
    values = pd.Series(np.repeat([0.1, 0.2, 0.3], 50))
    bins = learn_column({NOW: values}, [NOW], category=False).bins
    assert bins.count(values).tolist() == bins.count(values.astype("float32")).tolist()
    assert bins.count(values).tolist() == [50, 50, 50, 0]


def test_rare_levels_and_bins_are_merged() -> None:
    reference = learned()
    assert set(reference.columns["channel"].bins.levels) == {"web", "shop"}
    lone = pd.Series([*np.zeros(95), 1.0, 2.0, 3.0, 4.0, 5e6])
    bins = learn_column({NOW: lone}, [NOW], category=False).bins
    assert bins.count(lone).tolist() == [100, 0]
    rng = np.random.default_rng(0)
    for size in (10, 25, 99, 400):
        values = pd.Series(rng.lognormal(0, 2, size).round(1))
        assert learn_column({NOW: values}, [NOW], category=False).bins.count(values)[:-1].min() >= (
            MIN_CUSTOMERS
        )


def test_no_value_of_few_customers_is_written() -> None:
    frames = {NOW: frame(1).assign(channel="web")}
    frames[NOW].loc[:8, "channel"] = "secret"
    frames[NOW].loc[3, "spend"] = 987654.5
    text = Reference.learn(frames, NOW, list(frames[NOW]), categories=["channel"]).to_json()
    assert "secret" not in text
    assert "98765" not in text


def test_a_cutoff_at_which_nobody_has_a_value_is_left_out_of_the_column() -> None:
    frames = {day: frame(i) for i, day in enumerate([*MONTHS[:3], NOW])}
    frames[MONTHS[0]]["gap"] = np.nan
    column = Reference.learn(frames, NOW, ["gap"]).columns["gap"]
    assert MONTHS[0] not in column.counts
    assert column.pooled(MONTHS[:3])[0][-1] / 400 == pytest.approx(0.3, abs=0.05)
    assert column.pooled([MONTHS[0]])[1] == 0


def test_an_empty_column_has_no_bins_and_does_no_harm() -> None:
    empty = pd.DataFrame({"x": np.full(50, np.nan), "c": pd.Series([None] * 50, dtype="str")})
    reference = Reference.learn({NOW: empty}, NOW, ["x", "c"], categories=["c"])
    again = Reference.from_json(reference.to_json())
    assert again.columns["x"].pooled([NOW])[1] == 0


def test_order_of_rows_changes_nothing_and_it_reads_back() -> None:
    reference = learned()
    mixed = {day: frame(i).sample(frac=1, random_state=i) for i, day in enumerate([*MONTHS, NOW])}
    again = Reference.learn(mixed, NOW, list(mixed[NOW]), categories=["channel"])
    for name, column in reference.columns.items():
        assert again.columns[name].bins == column.bins
        for day, counts in column.counts.items():
            assert again.columns[name].counts[day].tolist() == counts.tolist()
    read = Reference.from_json(reference.to_json())
    assert read.to_json() == reference.to_json()
    assert read.training == tuple(MONTHS[1:])  # the latest twelve
    assert read.scores["p"].mean([NOW]) == pytest.approx(0.5, abs=0.01)


def test_the_same_season_of_a_year_ago() -> None:
    reference = learned()
    assert reference.a_year_before(dt.date(2024, 9, 10)) == dt.date(2023, 9, 1)
    assert reference.a_year_before(dt.date(2024, 9, 20)) == dt.date(2023, 10, 1)
    assert reference.a_year_before(dt.date(2025, 3, 1)) == dt.date(2023, 3, 1)
    assert reference.a_year_before(dt.date(2024, 3, 1)) == dt.date(2023, 3, 1)
    assert Reference(NOW, (), {}, {}).a_year_before(dt.date(2024, 8, 1)) is None


def test_bins_in_words() -> None:
    assert Bins((0.0,)).names == ("up to 0", "over 0", "missing")
    assert Bins().names == ("any", "missing")
    assert Bins(levels=("a",), category=True).names == ("a", "others", "missing")


def test_it_travels_with_a_model_under_its_checksums(tmp_path: Path) -> None:
    model = CustomerSegments(
        RfmCuts((1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0, 4.0)), None, "few"
    )
    text = learned().to_json()
    folder = artifact.save(model, tmp_path / "model", files={REFERENCE: text})
    assert REFERENCE in artifact.read_card(folder)["files"]
    found = read_reference(folder)
    assert found is not None
    assert found.to_json() == text
    assert read_reference(artifact.save(model, tmp_path / "older")) is None
    (folder / REFERENCE).write_text(text.replace("web", "wep"))
    with pytest.raises(ModelError, match="changed or damaged"):
        artifact.read_card(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.update(format=2),
        lambda d: d.pop("columns"),
        lambda d: d["columns"]["gap"]["counts"][0].append(1),
        lambda d: d["columns"]["gap"].update(counts=[]),
        lambda d: d.update(as_of="yesterday"),
    ],
)
def test_what_is_no_reference_is_refused(damage: object) -> None:
    described = json.loads(learned().to_json())
    damage(described)  # type: ignore[operator]
    with pytest.raises(ModelError):
        Reference.from_json(json.dumps(described))


def test_the_day_of_the_training_is_needed() -> None:
    with pytest.raises(ModelError, match="day of the training"):
        Reference.learn({MONTHS[0]: frame(0)}, NOW, ["gap"])
