"""Concentration of value and moves between tiers by hand."""

import pandas as pd
import pytest

from features.ledger import Ledger
from features.measures import Found, ask
from features.measures.portfolio import portfolio


def found(
    rows: list[tuple[str, str, float]],
    by: str = "month",
    cuts: tuple[float, float] | None = None,
) -> Found:
    table = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])
    with ask(Ledger.from_frames(table), by=by, cuts=cuts) as question:
        return portfolio(question)


def told(result: Found, name: str, period: str = "all") -> dict[str, float]:
    table = result.frame
    table = table[(table["measure"] == name) & (table["period"] == period)]
    return dict(zip(table["segment"], table["value"], strict=True))


def test_concentration_by_hand() -> None:
    # 20 customers bring 1, 2, ... 20: 210 in all.
    result = found([(f"c{i}", "2024-01-01", i) for i in range(1, 21)])
    assert told(result, "revenue_share_top10") == {"all": pytest.approx(39 / 210)}
    # For 1 ... n the Gini coefficient is (n - 1) / (3 n).
    assert told(result, "value_gini") == {"all": pytest.approx(19 / 60)}
    deciles = told(result, "value_decile_share")
    assert deciles["decile=1"] == pytest.approx(39 / 210)
    assert deciles["decile=10"] == pytest.approx(3 / 210)
    assert sum(deciles.values()) == pytest.approx(1)


def test_equal_customers_are_not_concentrated() -> None:
    result = found([(f"c{i}", "2024-01-01", 3) for i in range(11)])
    assert told(result, "value_gini") == {"all": pytest.approx(0, abs=1e-12)}
    # Eleven customers: two in the first tenth.
    assert told(result, "revenue_share_top10") == {"all": pytest.approx(2 / 11)}


def test_fewer_than_ten_customers_have_no_deciles() -> None:
    assert not len(found([(f"c{i}", "2024-01-01", 3) for i in range(9)]).frame)


def test_moves_between_tiers_by_hand() -> None:
    """Tiers are learned on 2022: 1 to 10, so low up to 5, medium up to 8."""
    rows = [(f"c{i}", "2022-01-01", float(i)) for i in range(1, 11)]
    rows += [("c1", "2023-06-01", 8.0), ("c8", "2023-06-01", 8.01), ("new", "2023-12-31", 2.0)]
    result = found(rows, by="year")
    moves = told(result, "tier_migration", "2023")
    assert moves == {
        "from=low|to=medium": pytest.approx(1 / 5),
        "from=low|to=none": pytest.approx(4 / 5),
        "from=medium|to=high": pytest.approx(1 / 3),
        "from=medium|to=none": pytest.approx(2 / 3),
        "from=high|to=none": 1,
        "from=new|to=low": 1,
    }
    assert result.notes[0].startswith("Value tiers: low up to 5.00 of revenue in twelve months")


def test_cut_points_can_be_given() -> None:
    rows = [(f"c{i}", "2022-01-01", float(i)) for i in range(1, 11)] + [("c1", "2023-12-31", 1.0)]
    result = found(rows, by="year", cuts=(0.5, 9.5))
    moves = told(result, "tier_migration", "2023")
    assert set(moves) == {"from=medium|to=medium", "from=medium|to=none", "from=high|to=none"}
    assert result.notes[0].endswith("medium up to 9.50, as given.")


def test_a_customer_moves_because_of_itself() -> None:
    """Many big newcomers change neither the cut points nor anybody's tier."""
    rows = [(f"c{i}", f"{year}-01-01", float(i)) for i in range(1, 11) for year in (2022, 2023)]
    rows += [("c0", "2023-12-31", 1.0)]
    crowd = [(f"big{i}", "2023-05-05", 1e6) for i in range(50)]
    quiet, crowded = (
        told(found(own, by="year"), "tier_migration", "2023") for own in (rows, rows + crowd)
    )
    assert {k: v for k, v in crowded.items() if "new" not in k} == {
        k: v for k, v in quiet.items() if "new" not in k
    }
