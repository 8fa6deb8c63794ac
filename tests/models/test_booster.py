"""Growing trees: block by block, in an order of its own, with as many leaves as rows allow."""

import numpy as np
import pytest
from scipy.special import expit

from models import booster
from models.booster import TreeSettings, booster_text, contributions, default_parameters, grow
from models.order import canonical_order

FEW = TreeSettings(n_estimators=25)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 4)).astype(np.float32)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 3] = rng.integers(0, 5, 3000)
    z = np.nan_to_num(X[:, 0]) + (X[:, 3] == 2)
    return X, (rng.random(3000) < expit(z)).astype(float)


def text(X, y, **options):
    names = options.pop("names", list("abcd"))
    return booster_text(grow(X, y, options.pop("settings", FEW), names=names, **options))


def test_blocks_change_no_byte(rows, monkeypatch):
    whole = text(*rows, categories=[3])
    monkeypatch.setattr(booster._Rows, "batch_size", 77)
    assert text(*rows, categories=[3]) == whole


def test_columns_are_left_out_as_if_they_had_never_been(rows):
    X, y = rows
    chosen = text(X, y, columns=[0, 3], categories=[3], signs={0: 1, 1: -1})
    order = canonical_order(X, y)  # the order of the rows comes from the whole matrix
    narrow = np.ascontiguousarray(X[order][:, [0, 3]])
    again = grow(X, y, FEW, names=list("abcd"), columns=[0, 3], categories=[3], signs={0: 1})
    assert booster_text(again) == chosen
    assert contributions(again, narrow).shape == (3000, 3)
    assert "feature_names=a d" in chosen


def test_rows_and_matrix_are_not_written_to(rows):
    X, y = rows
    before = X.copy(), y.copy()
    text(X, y, validation=(X, y))
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_double_precision_is_read_as_well(rows):
    X, y = rows
    doubles = grow(X.astype(np.float64), y, FEW, names=list("abcd"))
    np.testing.assert_array_equal(
        booster.raw_scores(doubles, X), booster.raw_scores(doubles, X.astype(np.float64))
    )


@pytest.mark.parametrize("rows_", [1, 500, 10_000, 100_000, 5_000_000, 10**9])
def test_sizes_grow_slowly_and_stay_within_bounds(rows_):
    sizes = default_parameters(rows_)
    assert 2 <= sizes["num_leaves"] <= 12
    assert 10 <= sizes["min_data_in_leaf"] <= 100
    settings = TreeSettings(num_leaves=5).sized(rows_, stopping=True)
    assert settings.num_leaves == 5
    assert settings.n_estimators == 4 * sizes["n_estimators"]
    assert None not in settings.to_dict().values()
