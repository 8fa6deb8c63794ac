import pytest

from features.catalogue import CATALOGUE, REASON_GROUPS, Feature, catalogue_hash, feature
from features.schema import TABLES


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


def test_every_reason_group_is_used() -> None:
    assert {row.reason_group for row in CATALOGUE} == set(REASON_GROUPS)


def test_a_feature_is_found_by_its_name() -> None:
    assert feature("gap_cv").name == "gap_cv"


def test_the_hash_is_stable() -> None:
    assert catalogue_hash() == catalogue_hash()
    assert int(catalogue_hash(), 16) >= 0
