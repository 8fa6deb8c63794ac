"""Groups compared: textbook answers where rows are independent, honest ones where they are not."""

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from features.measures.association import difference, group_means, with_past_and_future


def table(frame: pd.DataFrame) -> ibis.Table:
    return ibis.memtable(pa.Table.from_pandas(frame, preserve_index=False))


@pytest.fixture
def rows() -> pd.DataFrame:
    """Stratum 0: 1 of 4 exposed and 4 of 8 others; stratum 1: 6 of 6 and 3 of 4; 2: 1 exposed."""
    parts = [(0, True, 1, 4), (0, False, 4, 8), (1, True, 6, 6), (1, False, 3, 4), (2, True, 0, 1)]
    made = [
        (stratum, exposed, int(i < hits)) for stratum, exposed, hits, n in parts for i in range(n)
    ]
    frame = pd.DataFrame(made, columns=["stratum", "exposed", "left"])
    return frame.assign(customer_id=[f"c{i}" for i in range(len(frame))])


def test_difference_by_hand(rows: pd.DataFrame) -> None:
    found = difference(table(rows), "left", ["stratum"])
    assert found is not None
    p1, p0 = 7 / 11, 7 / 12
    assert found.raw[0] == pytest.approx(p1 - p0)
    error = np.sqrt((p1 * (1 - p1) / 11 + p0 * (1 - p0) / 12) * 23 / 22)
    assert found.raw[2] - found.raw[0] == pytest.approx(stats.t.ppf(0.975, 22) * error, rel=1e-4)
    # Four with a base of 1/2 and six with one of 3/4; the eleventh has nobody to be compared with.
    assert found.adjusted[0] == pytest.approx((7 - 4 * 0.5 - 6 * 0.75) / 10)
    assert (found.n, found.compared) == (11, 10)


def test_same_customers_again_add_no_certainty(rows: pd.DataFrame) -> None:
    once = difference(table(rows), "left", ["stratum"])
    thrice = difference(table(pd.concat([rows] * 3)), "left", ["stratum"])
    assert once is not None
    assert thrice is not None
    assert thrice.raw == pytest.approx(once.raw, rel=1e-6)
    assert thrice.adjusted == pytest.approx(once.adjusted, rel=1e-6)
    assert thrice.n == 3 * once.n


def test_groups_without_spread_are_not_certain(rows: pd.DataFrame) -> None:
    few = rows[rows["exposed"] & (rows["stratum"] == 1)].head(3)
    found = difference(table(pd.concat([few, rows[~rows["exposed"]]])), "left", ["stratum"])
    assert found is not None
    # All three left. Wilson says that 44 % might have.
    assert found.raw[1] < found.raw[0] - (1 - 0.4385)


def test_nobody_to_compare_with(rows: pd.DataFrame) -> None:
    assert difference(table(rows[rows["exposed"]]), "left", ["stratum"]) is None


def test_means_of_groups(rows: pd.DataFrame) -> None:
    frame = rows.assign(group=np.where(rows["exposed"], "wrote", "silent"))
    found = group_means(table(frame), "group", "left").set_index("group")
    assert found["mean"].to_dict() == {
        "wrote": pytest.approx(7 / 11),
        "silent": pytest.approx(7 / 12),
    }
    assert found["n"].to_dict() == {"wrote": 11, "silent": 12}
    doubled = group_means(table(pd.concat([frame] * 2)), "group", "left").set_index("group")
    assert doubled["low"].to_numpy() == pytest.approx(found["low"].to_numpy(), rel=1e-3)


def test_mean_of_amounts_by_hand() -> None:
    frame = pd.DataFrame(
        {"customer_id": list("abcd"), "group": "all", "spend": [1.5, 2.5, 8.0, 0.0]}
    )
    money = table(frame).mutate(spend=ibis._.spend.cast("decimal(18, 4)"))
    found = group_means(money, "group", "spend").iloc[0]
    half = stats.t.ppf(0.975, 3) * frame["spend"].std() / 2
    assert found["mean"] == 3
    assert found["high"] - found["mean"] == pytest.approx(half, rel=1e-5)


def test_windows_are_half_open() -> None:
    start = pd.Timestamp("2024-06-01")
    offsets = [-366, -365, -1, 0, 29, 30]
    bought = pd.DataFrame({"customer_id": "a", "day": start + pd.to_timedelta(offsets, "D")})
    sold = table(bought.assign(value=10))
    sold = sold.mutate(day=sold.day.date(), value=sold["value"].cast("decimal(18, 4)"))
    moments = pd.DataFrame({"customer_id": ["a", "b"], "start": start})
    asked = table(moments)
    found = with_past_and_future(asked.mutate(start=asked.start.date()), sold, 30)
    told = found.order_by("customer_id").to_pyarrow().to_pandas()
    assert told["past"].tolist() == [2, 0]
    assert told["bought"].tolist() == [1, 0]
    assert told["spend"].astype(float).tolist() == [20, 0]
    # One day since the last purchase and two of them; never bought.
    assert told["stratum"].tolist() == [1, 16]
