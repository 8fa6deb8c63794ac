import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from features.errors import InputError
from features.extra import extra_source, load_extra
from features.feature import Feature
from features.ledger import Ledger
from features.settings import FeatureSettings
from features.snapshot import build_snapshot
from features.window import ObservationWindow

WINDOW = ObservationWindow(dt.date(2024, 1, 1), dt.date(2024, 7, 1))
SALES = pd.DataFrame(
    [
        ("a", "2024-02-01", 5.0, "gift", None),
        ("a", "2024-03-01", 5.0, "tea", None),
        ("a", "2024-03-02", 5.0, "gift", "2024-08-01"),
        ("a", "2024-07-01", 5.0, "gift", None),
        ("b", "2024-02-01", 5.0, "tea", None),
        ("c", "2024-02-01", 5.0, None, None),
    ],
    columns=["customer_id", "timestamp", "amount", "category", "known_at"],
)
TICKETS = pd.DataFrame(
    {"customer_id": ["a"], "opened_at": ["2024-06-01"], "resolved_at": ["2024-07-01"]}
)

GIFTS = '''
"""What a tea shop adds."""

from features.feature import Feature

FEATURES = (
    Feature("gift_share", "share of lines that are gifts", "all", "U", -1, "basket", maximum=1),
)


def features(tables, window):
    lines = tables["transactions"]
    lines = lines.filter(lines.category.notnull())
    gifts = (lines.category == "gift").cast("int64")
    return lines.group_by("customer_id").agg(
        gift_share=gifts.sum() / lines.count(),
        taste=lines.category.max(),
        any_gift=gifts.max() == 1,
    )
'''


@pytest.fixture(scope="module")
def shop() -> Ledger:
    return Ledger.from_frames(SALES, tickets=TICKETS)


def settings(folder: Path, text: str) -> FeatureSettings:
    (folder / "own.py").write_text(text, encoding="utf-8")
    return FeatureSettings(extra="own.py").beside(folder)


def body(*lines: str) -> str:
    return "import ibis\ndef features(tables, window):\n" + "".join(f"    {x}\n" for x in lines)


def test_columns_of_the_users_own_stand_last(shop: Ledger, tmp_path: Path) -> None:
    snapshot = build_snapshot(shop, WINDOW, settings=settings(tmp_path, GIFTS))
    own = snapshot.features[["gift_share", "taste", "any_gift"]]
    assert list(snapshot.features.columns[-3:]) == list(own.columns)
    # Neither the line of the cutoff's day nor the one that came in late is known.
    assert own.loc["a"].tolist() == [0.5, "tea", 1.0]
    assert own.loc["b"].tolist() == [0.0, "tea", 0.0]
    assert own.loc["c"].isna().all()
    assert own.dtypes.astype(str).tolist() == ["float64", "str", "float64"]
    assert list(tmp_path.iterdir()) == [tmp_path / "own.py"]


def test_the_catalogue_of_the_snapshot_knows_them(shop: Ledger, tmp_path: Path) -> None:
    snapshot = build_snapshot(shop, WINDOW, settings=settings(tmp_path, GIFTS))
    assert [row.name for row in snapshot.catalogue] == list(snapshot.features.columns)
    gift, taste, _ = snapshot.catalogue[-3:]
    assert (gift.reason_group, gift.monotone, gift.maximum) == ("basket", -1, 1)
    # What is not described is a subject of its own.
    assert taste == Feature(
        "taste", "of features() in own.py", "", "U", 0, "taste", sources=(), core=False,
        kind="category",
    )  # fmt: skip
    plain = build_snapshot(shop, WINDOW)
    pd.testing.assert_frame_equal(snapshot.features.iloc[:, :-3], plain.features)


def test_the_function_sees_nothing_of_the_future(shop: Ledger, tmp_path: Path) -> None:
    text = body(
        "t = tables['tickets']",
        "return t.group_by('customer_id').agg(open_now=t.resolved_at.isnull().sum())",
    )
    for cutoff, still_open in ((WINDOW.cutoff, 1), (dt.date(2024, 7, 2), 0)):
        window = ObservationWindow(WINDOW.start, cutoff)
        found = build_snapshot(shop, window, settings=settings(tmp_path, text)).features
        assert found.loc["a", "open_now"] == still_open


def test_the_window_is_handed_over(shop: Ledger, tmp_path: Path) -> None:
    text = body(
        "t = tables['transactions']",
        "last = ibis.literal(window.cutoff).delta(t.timestamp.max().date(), unit='day')",
        "return t.group_by('customer_id').agg(age=last)",
    )
    found = build_snapshot(shop, WINDOW, settings=settings(tmp_path, text)).features
    assert found["age"].equals(found["days_since_last"].rename("age"))


GROUP = "tables['transactions'].group_by('customer_id').agg"
TWICE = "tables['transactions'].select('customer_id', x=1)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", "cannot be run: SyntaxError"),
        ("import nothing_of_that_name", "cannot be run: ModuleNotFoundError"),
        ("x = 1", "has no function features"),
        ("features = 3", "has no function features"),
        ("FEATURES = ('x',)\ndef features(tables, window): ...", "no Feature"),
        (body("return tables['orders']"), "KeyError: 'orders'"),
        (body("return 3"), "returns int and not a table"),
        (body("return tables['transactions'].select('amount')"), "the columns amount"),
        (body(f"return {GROUP}(tenure_days=1)"), "'tenure_days', a name that is taken"),
        (body(f"return {GROUP}(p_alive=1)"), "'p_alive', a name that is taken"),
        (body(f"return {GROUP}(churned=1)"), "'churned', a name that is taken"),
        (body(f"return {GROUP}(**{{'a b': 1}})"), "a column 'a b'"),
        (body(f"return {GROUP}(x=ibis.now())"), "neither numbers nor text"),
        (body(f"return {TWICE}"), "several rows for customer a"),
        (body(f"return {GROUP}(x=ibis.literal(1e308) * 10)"), "an infinite x for customer a"),
        (body(f"return {GROUP}(x=ibis.literal('z').cast('int64'))"), "cannot be computed"),
        (
            "from features.feature import Feature\n"
            "FEATURES = (Feature('y', 'why', '', '', 0, 'basket'),)\n"
            + body(f"return {GROUP}(x=1)"),
            "returns no column 'y'",
        ),
        (
            "from features.feature import Feature\n"
            "FEATURES = Feature('x', 'why', '', '', 0, 'basket')\n"
            + body(f"return {GROUP}(x=ibis.literal('z'))"),
            'kind="category"',
        ),
    ],
)
def test_what_cannot_be_used_is_an_error_that_names_the_file(
    shop: Ledger, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        build_snapshot(shop, WINDOW, settings=settings(tmp_path, text))
    assert message in str(caught.value)
    assert str(tmp_path / "own.py") in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    lost = FeatureSettings(extra="lost.py").beside(tmp_path)
    with pytest.raises(InputError, match="is not there"):
        load_extra(lost)


def test_the_text_is_what_is_compared(tmp_path: Path) -> None:
    assert extra_source(FeatureSettings()) == ""
    assert load_extra(FeatureSettings()) is None
    first = settings(tmp_path, GIFTS)
    assert extra_source(first) == GIFTS
    changed = GIFTS.replace('== "gift"', '== "tea"')
    assert extra_source(settings(tmp_path, changed)) == changed
    # A changed file is run anew.
    shop = Ledger.from_frames(SALES)
    found = build_snapshot(shop, WINDOW, settings=first).features
    assert found.loc["b", "gift_share"] == 1.0


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "own_features.md"
    text = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    rows = [("a", "2023-06-01", 5.0, "gifts"), ("a", "2024-02-01", 5.0, "gifts")]
    rows += [("a", "2024-03-01", 5.0, "tea"), ("a", "2024-04-01", 5.0, "tea")]
    rows += [("a", "2024-04-01", -5.0, "gifts"), ("a", "2024-07-01", 5.0, "gifts")]
    columns = ["customer_id", "timestamp", "amount", "category"]
    shop = Ledger.from_frames(pd.DataFrame(rows, columns=columns))
    window = ObservationWindow(dt.date(2023, 6, 1), dt.date(2024, 7, 1))
    found = build_snapshot(shop, window, settings=settings(tmp_path, text)).features
    assert found.loc["a", "gift_share_365"] == pytest.approx(1 / 3)
    assert found.loc["a", "categories_365"] == 2
