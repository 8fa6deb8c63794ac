"""Regularity against published values, closed forms and known truth."""

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest

from features.behaviour import behaviour
from features.expressions import days_before
from features.ledger import Ledger
from features.regularity import clumpiness, clumpiness_sums
from features.rhythm import with_gaps
from features.window import ObservationWindow

CUTOFF = dt.date(2024, 7, 1)
WINDOW = ObservationWindow(dt.date(2015, 1, 1), CUTOFF)


def ledger(ages: Mapping[str, Sequence[int]]) -> Ledger:
    """Purchases of 10 by the days before the cutoff."""
    rows = [
        {"customer_id": name, "timestamp": pd.Timestamp(CUTOFF) - pd.Timedelta(age, "D")}
        for name, own in ages.items()
        for age in own
    ]
    return Ledger.from_frames(pd.DataFrame(rows).assign(amount=10))


def ages_of(gaps: Sequence[int], since: int) -> list[int]:
    """Days before the cutoff from gaps, oldest first, and the days since the last purchase."""
    return [since + sum(gaps[i:]) for i in range(len(gaps) + 1)]


def features(ages: Mapping[str, Sequence[int]]) -> pd.DataFrame:
    shop = ledger(ages)
    found = behaviour(shop.transactions, WINDOW, "day", shop.days).to_pyarrow().to_pandas()
    return found.set_index("customer_id").sort_index()


def test_clumpiness_of_the_sequences_of_zhang_bradlow_and_small() -> None:
    # Thirty days, six purchases; the first purchase of all, 300 days ago, is not counted.
    sequences = {
        "a": [1, 6, 11, 16, 21, 26],
        "b": [2, 3, 4, 27, 28, 29],
        "c": [13, 14, 15, 16, 17, 18],
        "one": [15],
    }
    shop = ledger({name: [300, *(31 - day for day in own)] for name, own in sequences.items()})
    bought = with_gaps(shop.purchases(CUTOFF), WINDOW)
    customers = bought.group_by("customer_id").agg(
        days_since_last=bought.since_last.max(),
        tenure_days=days_before(bought.day.min(), WINDOW),
        **clumpiness_sums(bought, WINDOW, days=30),
    )
    measured = (
        customers.select("customer_id", h=clumpiness(customers, days=30)).to_pyarrow().to_pandas()
    )
    h = measured.set_index("customer_id").h.sort_index()
    np.testing.assert_allclose(h, [0.036, 0.477, 0.341, np.nan], atol=5e-4)


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return features(
        {
            "doubling": ages_of([2, 4, 8, 16], 5),
            "even": ages_of([7, 7, 7, 7, 7], 21),
            "at once": ages_of([1, 1, 1, 900], 900),
            "young": ages_of([10, 10, 10], 10),
            "pair": [30, 10],
        }
    )


def test_gaps_that_double_have_a_slope_of_ln_2(found: pd.DataFrame) -> None:
    np.testing.assert_allclose(found.gap_trend["doubling"], np.log(2), rtol=1e-7)
    assert found.gap_trend["even"] == 0
    assert found.gap_trend[["young", "pair"]].isna().all()


def test_lateness_is_measured_in_spreads_of_the_own_gaps(found: pd.DataFrame) -> None:
    logs = np.log([2, 4, 8, 16])
    expected = (np.log(5) - logs.mean()) / logs.std(ddof=1)
    np.testing.assert_allclose(found.overdue_z["doubling"], expected, rtol=1e-7)
    assert found.overdue_z[["even", "young", "pair"]].isna().all()


def test_burstiness_goes_from_even_gaps_to_all_purchases_at_once(found: pd.DataFrame) -> None:
    assert found.burstiness[["even", "young"]].tolist() == [-1, -1]
    # r = sqrt(n - 1), its largest value, is nearly reached.
    np.testing.assert_allclose(found.burstiness["at once"], 1, atol=0.01)
    assert np.isnan(found.burstiness["pair"])


def test_a_young_customer_is_measured_from_the_first_purchase(found: pd.DataFrame) -> None:
    # Evenly spread over all 40 days, of which 365 were never to be had.
    np.testing.assert_allclose(found.clumpiness["young"], 0, atol=1e-9)
    assert np.isnan(found.clumpiness["pair"])


def test_even_gaps_are_pulled_towards_those_of_the_others(found: pd.DataFrame) -> None:
    k = found.regularity_k
    assert k["even"] > k["young"] > k["doubling"] > k["at once"]
    assert np.isnan(k["pair"])


def test_without_any_uneven_gap_there_is_no_shape() -> None:
    alone = features({"even": ages_of([7, 7, 7, 7, 7], 21)})
    assert alone.regularity_k.isna().all()


@pytest.mark.parametrize("shape", [1.0, 2.0, 4.0])
def test_the_shape_of_gamma_gaps_is_found(shape: float) -> None:
    rng = np.random.default_rng(7)
    gaps = np.round(rng.gamma(shape, 60 / shape, (150, 12))).astype(int) + 1
    k = features({str(i): ages_of([*own], 3) for i, own in enumerate(gaps)}).regularity_k
    # What is shrunk is ln(mean) - mean of ln, about 1 / (2 k).
    np.testing.assert_allclose(1 / (1 / k).mean(), shape, rtol=0.12)
