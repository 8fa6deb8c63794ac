import datetime as dt

import numpy as np
import pytest

from features.catalogue import CATALOGUE, REASON_GROUPS, Feature, catalogue_hash, feature
from features.ledger import Ledger, open_ledger
from features.schema import TABLES
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings
from features.simulate import MAPPING, simulate
from features.snapshot import build_snapshot
from features.window import ObservationWindow


def test_names_are_unique() -> None:
    assert len({row.name for row in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_a_row_is_well_formed(row: Feature) -> None:
    assert row.definition
    assert set(row.null_class) <= set("ZUCS")
    assert row.reason_group in REASON_GROUPS
    assert row.window in ("", "all", "365 + horizon") or int(row.window) > 0
    assert ("undefined" in row.definition) <= ("U" in row.null_class)
    for source in row.sources:
        table, column = source.split(".")
        assert TABLES[table].column(column)


def test_a_category_has_no_order() -> None:
    for row in CATALOGUE:
        if row.kind == "category":
            assert (row.minimum, row.maximum, row.monotone) == (None, None, 0)


def test_a_feature_is_found_by_its_name() -> None:
    assert feature("gap_cv").name == "gap_cv"


def test_the_hash_is_stable() -> None:
    assert catalogue_hash() == catalogue_hash()
    assert int(catalogue_hash(), 16) >= 0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    made = simulate(tmp_path_factory.mktemp("shop") / "data", customers=400, seed=5)
    return open_ledger(
        SourceSettings(url=str(made.folder)),
        {name: TableSettings.model_validate(dict(columns)) for name, columns in MAPPING.items()},
        PolicySettings(),
        PurchaseSettings(),
        made.folder,
        None,
    )


def test_a_shop_with_all_tables_has_every_feature_within_its_bounds(shop: Ledger) -> None:
    window = ObservationWindow(shop.first_day, shop.last_day - dt.timedelta(days=90))
    features = build_snapshot(shop, window).features
    columns = {
        f"{name}.{column}" for name, table in shop.tables.items() for column in table.columns
    }
    here = [row for row in CATALOGUE if row.origin == "engine" and columns >= {*row.sources}]
    assert list(features.columns) == [row.name for row in here]
    for row in here:
        values = features[row.name].dropna()
        if row.kind == "category":
            assert values.map(lambda value: isinstance(value, str)).all(), row.name
            continue
        assert features[row.name].dtype == np.float64, row.name
        assert len(values), row.name
        assert np.isfinite(values).all(), row.name
        assert row.minimum is None or (values >= row.minimum).all(), row.name
        assert row.maximum is None or (values <= row.maximum).all(), row.name
        if not set("UC") & set(row.null_class):
            assert len(values) == len(features), row.name
