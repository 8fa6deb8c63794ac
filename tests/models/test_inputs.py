"""From frames to the matrix: which columns, the levels of categories, the frozen percentile."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.inputs import Feature, Inputs, Percentiles

SPEND = Feature("spend_percentile", "spend", -1)
CHANNEL = Feature("channel", "channel", kind="category")


def test_percentiles_known_answer():
    ranks = Percentiles.learn("x", [*np.arange(101.0), np.nan])
    np.testing.assert_allclose(ranks([-5, 0, 25, 50.5, 100, 900]), [0, 0, 0.25, 0.505, 1, 1])
    assert np.isnan(ranks([np.nan])[0])
    ties = Percentiles.learn("x", [0.0] * 50 + [1.0] * 50)
    np.testing.assert_allclose(ties([0.0, 1.0]), [0.245, 0.75], atol=0.01)
    assert Percentiles.from_dict(ties.to_dict()) == ties


def test_the_computed_column_is_asked_for_by_its_source():
    X = pd.DataFrame({"net_spend_365": [1.0, 2.0, 3.0], "b": [0.0, 1.0, np.nan]})
    inputs, dropped = Inputs.choose(X, [Feature("b", "own"), SPEND])
    assert dropped == {}
    assert inputs.names == ["b", "spend_percentile", "net_spend_365"]
    assert inputs.columns == ["b", "net_spend_365"]
    assert inputs.signs == {"spend_percentile": -1}
    np.testing.assert_allclose(inputs.matrix(X)[:, 1], [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(inputs.matrix(X[["net_spend_365", "b"]]), inputs.matrix(X))


def test_a_spend_that_does_not_differ_has_no_percentile():
    X = pd.DataFrame({"net_spend_365": [5.0, np.nan, 5.0], "net_spend_90": [np.nan] * 3})
    inputs, dropped = Inputs.choose(X, [SPEND])
    assert inputs.names == ["net_spend_365"]
    assert inputs.percentiles is None
    assert dropped == {"net_spend_90": "no value in training"}


# -- Several snapshots -----------------------------------------------------------------------


def snapshots():
    rng = np.random.default_rng(1)
    frames = []
    for k, rows in enumerate((40, 70, 50)):
        frame = pd.DataFrame(
            {
                "days_since_last": rng.integers(1, 300, rows).astype(float),
                "net_spend_365": rng.gamma(2, 50, rows),
                "same": 3.0,
                "differs_between": float(k),
                "month_sin": [0.0, 0.5, 0.87][k],
                "channel": rng.choice(["shop", "web", "app", None], rows),
            },
            index=pd.Index([f"c{i}" for i in range(rows)], name="customer_id"),
        )
        frames.append(frame)
    return frames


CATALOGUE = [SPEND, CHANNEL, Feature("month_sin", "season", seasonal=True)]


@pytest.mark.parametrize("cutoffs", [[], [date(2024, 1, 1), date(2025, 1, 1)]])
def test_snapshots_one_by_one_are_as_good_as_one_below_the_other(cutoffs):
    frames = snapshots()
    apart = Inputs.choose(frames, CATALOGUE, cutoffs)
    together = Inputs.choose(pd.concat(frames), CATALOGUE, cutoffs)
    assert apart == together
    np.testing.assert_array_equal(
        apart[0].matrix(frames), together[0].matrix(pd.concat(frames)), strict=True
    )
    assert apart[1]["same"] == "the same value in all training rows"
    assert "differs_between" in apart[0].names
    assert ("month_sin" in apart[0].names) == bool(cutoffs)


def test_the_matrix_is_32_bit_and_the_same_wherever_a_customer_stands():
    frames = snapshots()
    inputs, _ = Inputs.choose(frames, CATALOGUE)
    X = inputs.matrix(frames)
    assert X.dtype == np.float32
    assert X.flags.c_contiguous
    one = frames[1].loc[["c7"], inputs.columns[::-1]]
    np.testing.assert_array_equal(inputs.matrix(one)[0], X[len(frames[0]) + 7])
    assert inputs.matrix(one.iloc[:0]).shape == (0, len(inputs.names))


def test_inputs_survive_json():
    inputs, _ = Inputs.choose(snapshots(), CATALOGUE)
    assert Inputs.from_dict(inputs.to_dict()) == inputs


def test_snapshots_of_other_columns_are_refused():
    first, second, _ = snapshots()
    with pytest.raises(ModelError, match="lacks 1 of 6 columns: channel"):
        Inputs.choose([first, second.drop(columns="channel")])
    with pytest.raises(ModelError, match="at least one frame"):
        Inputs.choose([])


def test_values_beyond_32_bits_stay_finite_and_infinity_is_refused():
    X = pd.DataFrame({"a": [1.0, 1e300, -1e300, np.nan]}, index=list("wxyz"))
    inputs, _ = Inputs.choose(X)
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(inputs.matrix(X)[:, 0], [1, largest, -largest, np.nan])
    with pytest.raises(ModelError, match="'a' is infinite for customer x"):
        inputs.matrix(X.replace(1e300, np.inf))


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, 0, None], dtype="Int64"),
        pd.array([True, False, None], dtype="boolean"),
        np.array([Decimal(1), Decimal(0), None], dtype=object),
        np.array([True, False, None], dtype=object),
        np.array([1.0, 0.0, np.nan], dtype=np.float32),
    ],
)
def test_numbers_of_every_type(column):
    inputs, _ = Inputs.choose(pd.DataFrame({"a": [1.0, 0.0]}), [Feature("a", "own")])
    np.testing.assert_array_equal(inputs.matrix(pd.DataFrame({"a": column}))[:, 0], [1, 0, np.nan])


# -- Categories ------------------------------------------------------------------------------


def rows(**counts):
    """A column with each level so many times."""
    return pd.Series([level for level, count in counts.items() for _ in range(count)])


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_columns_that_hold_text_are_categories_without_a_catalogue(dtype):
    X = pd.DataFrame({"plan": rows(monthly=30, yearly=25).astype(dtype), "n": np.arange(55.0)})
    inputs, _ = Inputs.choose(X)
    assert (inputs.categories, inputs.text_columns) == (["plan"], ["plan"])
    assert inputs.features[1].levels == ("monthly", "yearly")
    assert inputs.matrix(X)[:, 1].tolist() == [0.0] * 30 + [1.0] * 25


def test_a_level_is_the_same_whatever_the_type_of_the_column():
    known = rows(**{"1": 20, "2": 30})
    inputs, _ = Inputs.choose(
        pd.DataFrame({"tier": known}), [Feature("tier", "own", kind="category")]
    )
    expected = inputs.matrix(pd.DataFrame({"tier": ["1", "2", "2"]}))
    for column in ([1, 2, 2], [1.0, 2.0, 2.0], pd.Categorical([1, 2, 2])):
        np.testing.assert_array_equal(inputs.matrix(pd.DataFrame({"tier": column})), expected)


def test_categories_without_a_level_worth_telling_are_left_out():
    X = pd.DataFrame({"name": [f"n{i}" for i in range(60)], "n": np.arange(60.0)})
    X["nothing"] = pd.Series([None] * 60, dtype="str")
    X["always"] = "yes"
    inputs, dropped = Inputs.choose(X)
    assert inputs.names == ["n"]
    assert dropped == {
        "name": "no level in 20 training rows",
        "nothing": "no value in training",
        "always": "the same value in all training rows",
    }


def test_a_category_has_no_sign_and_is_said_in_its_own_words():
    X = pd.DataFrame({"channel": rows(shop=30, web=30), "n": np.arange(60.0)})
    inputs, _ = Inputs.choose(X, [Feature("channel", "channel", 1, kind="category")])
    assert inputs.signs == {}
    new = pd.DataFrame({"channel": ["web", "fair", None], "n": [1.0, np.nan, 2.0]})
    said = inputs.values(new, inputs.matrix(new))
    assert said["channel"].tolist() == ["web", "fair", None]
    np.testing.assert_array_equal(said["n"], [1.0, np.nan, 2.0])


def test_text_where_a_number_belongs_is_refused():
    X = pd.DataFrame({"a": rows(x=30, y=30)})
    with pytest.raises(ModelError, match="'a' must be numeric"):
        Inputs.choose(X, [Feature("a", "own")])


# -- Leaving out -----------------------------------------------------------------------------


def test_features_are_left_out_by_name_or_by_group():
    inputs, _ = Inputs.choose(
        pd.DataFrame({"a": [0.0, 1], "b": [0.0, 1], "c": [0.0, 1]}),
        [Feature("a", "one"), Feature("b", "two"), Feature("c", "two")],
    )
    assert inputs.without(()) == (0, 1, 2)
    assert inputs.without(("a", "not there")) == (1, 2)
    assert inputs.without(("two",)) == (0,)
    with pytest.raises(ModelError, match="no feature remains without one, two"):
        inputs.without(("two", "one"))
