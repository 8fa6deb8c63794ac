"""A query translated once gives, in every window, the SQL it would be translated to itself."""

import datetime as dt

import pandas as pd
import pytest

from features.ledger import Ledger
from features.profile_attributes import attribute_features, with_profile
from features.queries import Queries
from features.simulate import simulate
from features.snapshot import build_snapshot, snapshot_expression
from features.window import ObservationWindow

WINDOWS = {
    "everything observed": (None, dt.date(2023, 3, 1), 0, 90),
    "the same shape, another day of the month, gap and horizon": (
        *(None, dt.date(2022, 12, 31), 7, 365),
    ),
    "a label window that is not known a year before": (None, dt.date(2023, 3, 2), 0, 400),
    "half a year observed": (dt.date(2022, 8, 1), dt.date(2023, 2, 28), 0, 30),
    "a day observed": (dt.date(2023, 1, 30), dt.date(2023, 1, 31), 30, 200),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A shop with all tables."""
    folder = tmp_path_factory.mktemp("shop")
    simulate(folder, customers=60, days=700, seed=1)
    frames = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".csv", ".parquet") and not path.stem.startswith("truth"):
            read = pd.read_csv if path.suffix == ".csv" else pd.read_parquet
            frames[path.stem] = read(path)
    return Ledger.from_frames(frames.pop("orders"), **frames)


def _window(ledger: Ledger, case: str) -> ObservationWindow:
    start, cutoff, gap, horizon = WINDOWS[case]
    return ObservationWindow(start or ledger.first_day, cutoff, gap, horizon)


@pytest.mark.parametrize("case", WINDOWS)
def test_the_text_is_that_of_the_windows_own_expression(shop: Ledger, case: str) -> None:
    found = attribute_features(shop, ["channel"])

    def build(window: ObservationWindow):  # type: ignore[no-untyped-def]
        query = snapshot_expression(
            shop.transactions,
            window,
            shop.purchase_unit,
            labels=True,
            days=shop.days,
            tables=shop.tables,
            seen=shop.visits,
        )
        return with_profile(query, shop, window, found)

    window = _window(shop, case)
    assert shop.queries.sql("test", window, build) == shop.con.compile(build(window))


def test_windows_of_one_shape_share_a_translation(shop: Ledger) -> None:
    queries = Queries(shop.con)
    built = []

    def build(window: ObservationWindow):  # type: ignore[no-untyped-def]
        built.append(window)
        rows = window.known(shop.transactions)
        return rows.agg(n=rows.count()) if window.observes(90) else rows.agg(n=-rows.count())

    first = shop.first_day
    counts = [
        queries.run("n", ObservationWindow(first, first + dt.timedelta(days=days)), build)["n"]
        for days in (200, 300, 20, 40, 200)
    ]
    assert len(built) == 2
    rows = shop.transactions.to_pyarrow().to_pandas()["timestamp"]
    said = [count.iloc[0] for count in counts]
    before = [(rows < pd.Timestamp(first + dt.timedelta(days=d))).sum() for d in (200, 300, 20, 40)]
    assert said == [before[0], before[1], -before[2], -before[3], before[0]]
    queries.run("other", ObservationWindow(first, first + dt.timedelta(days=200)), build)
    assert len(built) == 3


def test_the_season_is_the_months(shop: Ledger) -> None:
    # A twelfth of the circle a month, from January on.
    circle = {1: (0.0, 1.0), 4: (1.0, 0.0), 8: (-0.5, -0.866025403784), 7: (0.0, -1.0)}
    for month, (sin, cos) in circle.items():
        window = ObservationWindow(shop.first_day, dt.date(2023, month, 15))
        found = build_snapshot(shop, window, labels=False).features
        assert set(found["month_sin"]) == {sin}
        assert set(found["month_cos"]) == {cos}
