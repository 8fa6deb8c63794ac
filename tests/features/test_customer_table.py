"""A plain table of customers: what is a number, what is no feature, what a label means."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from features.customer_table import customer_table, read_customers
from features.errors import InputError, NotEnoughDataError
from features.given_label import given_label, why_unfit


def customers(n=200, seed=0, **columns):
    """Contracts of which some were ended; nothing in them tells which."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customer_id": [f"K-{i:04d}" for i in range(n)],
            "fee": rng.gamma(4.0, 5.0, n).round(2),
            "plan": rng.choice(["basic", "plus", "pro"], n),
            "churn": rng.choice(["Yes", "No"], n, p=[0.3, 0.7]),
        }
    )
    return frame.assign(**columns)


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        (["1.5", "20", " ", "3e2"], "number", [1.5, 20.0, None, 300.0]),
        (["1,5", "2.000,25", "", "7"], "number", [1.5, 2000.25, None, 7.0]),
        (["$1.50", "€20", "NULL", "-"], "category", ["$1.50", "€20", None, "-"]),
        (["yes", " no ", "n/a", "yes"], "category", ["yes", "no", None, "yes"]),
        ([True, False, None, True], "number", [1.0, 0.0, None, 1.0]),
        ([Decimal("1.5"), None, Decimal("2"), Decimal("0")], "number", [1.5, None, 2.0, 0.0]),
        ([1, 2, 3, 4], "number", [1.0, 2.0, 3.0, 4.0]),
        (pd.Categorical(["a", "b", None, "a"]), "category", ["a", "b", None, "a"]),
        ([1, "x", None, "x"], "category", ["1", "x", None, "x"]),
    ],
)
def test_columns_are_numbers_or_text(values, kind, read):
    found = customer_table(pd.DataFrame({"customer_id": list("abcd"), "x": values}))
    assert found.kinds == {"x": kind}
    assert found.features["x"].astype(object).where(found.features["x"].notna(), None).tolist() == (
        read
    )


def test_text_among_numbers_is_missing_and_said():
    text = [str(i % 7) for i in range(200)]
    text[3], text[50] = "unknown", " "
    found = customer_table(customers(total=text), label="churn")
    assert found.kinds["total"] == "number"
    assert found.unreadable == {"total": 2}
    assert found.features["total"].isna().sum() == 2
    assert any("total is a number; 2 of its values" in note for note in found.notes())


def test_kinds_learned_in_training_hold_in_scoring():
    digits = pd.DataFrame({"customer_id": ["a", "b"], "code": ["7", "x"], "fee": ["1.5", "oops"]})
    found = customer_table(digits, kinds={"code": "category", "fee": "number"})
    assert found.features["code"].tolist() == ["7", "x"]
    assert found.features["fee"].tolist()[0] == 1.5
    assert found.unreadable == {"fee": 1}


@pytest.mark.parametrize(
    ("name", "column", "why"),
    [
        ("empty", lambda f: [None] * len(f), "no value"),
        ("token", lambda f: [f"t{i}" for i in range(len(f))], "value of its own"),
        ("row", lambda f: range(7, 7 + len(f)), "numbers the rows"),
        ("since", lambda f: pd.date_range("2020-01-01", periods=len(f)), "dates"),
        ("status", lambda f: f["churn"].map({"Yes": "gone", "No": "here"}), "tells the label"),
        ("flag", lambda f: (f["churn"] == "Yes").astype(int), "tells the label"),
        ("reason", lambda f: f["churn"].map({"Yes": "price", "No": None}), "tells the label"),
        ("ended", lambda f: np.where(f["churn"] == "Yes", 3.5, np.nan), "tells the label"),
        ("kept", lambda f: np.where(f["churn"] == "Yes", np.nan, 4.5), "tells the label"),
    ],
)
def test_columns_that_no_model_should_see(name, column, why):
    frame = customers()
    frame[name] = list(column(frame))
    found = customer_table(frame, label="churn")
    assert name not in found.features
    assert why in found.dropped[name]
    assert {"fee", "plan"} == set(found.features)


def test_a_useful_column_is_not_taken_for_a_telling_one():
    frame = customers()
    left = (frame["churn"] == "Yes").to_numpy()
    values = pd.Series(np.where(left, 5.0, 1.0))
    values[0] = 6.0 - values[0]  # one error
    label = pd.Series(left.astype(float))
    assert why_unfit(values, label) == ""
    assert why_unfit(values.map(str), label) == ""
    assert why_unfit(values.where(~left, np.nan), 1 - label) != ""


@pytest.mark.parametrize(
    ("values", "positive", "churned"),
    [
        (["Yes", "no "], None, "Yes"),
        ([1, 0], None, "1"),
        ([1.0, 0.0], None, "1"),
        ([True, False], None, "True"),
        (["Existing Customer", "Attrited Customer"], None, "Attrited Customer"),
        (["kept", "Left"], None, "Left"),
        (["Ja", "Nein"], "ja", "Ja"),
        (["0", "1"], "0", "0"),  # the user's word goes
    ],
)
def test_labels_are_recognised(values, positive, churned):
    frame = customers(churn=pd.Series(values * 100))
    found = customer_table(frame, label="churn", positive=positive)
    assert found.churned == churned
    assert found.label.mean() == 0.5


def test_rows_without_a_label_are_left_out_and_said():
    frame = customers()
    frame.loc[[3, 5], "churn"] = None
    found = customer_table(frame, label="churn")
    assert len(found.features) == len(found.label) == 198
    assert "K-0003" not in found.label.index
    assert any("2 rows without a label" in note for note in found.notes())


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        ({}, {"label": "chrun"}, "Did you mean churn?"),
        ({}, {"label": "churn", "id": "custmer_id"}, "Did you mean customer_id?"),
        ({}, {"label": "churn", "id": "churn"}, "both"),
        ({"churn": "Yes"}, {}, "only the value Yes (200)"),
        ({"churn": None}, {}, "no value"),
        ({"churn": ["a", "b", "c", "d"] * 50}, {}, "4 values: a (50), b (50)"),
        ({"churn": ["red", "blue"] * 100}, {}, "--positive blue"),
        ({"churn": ["yes", "true"] * 100}, {}, "not clear"),
        ({}, {"positive": "Maybe"}, "no value 'Maybe'"),
        ({"customer_id": ["a", "b"] * 100}, {}, "more than once, such as a, b"),
        ({"customer_id": ["a", " "] * 100}, {}, "the first is row 2"),
        ({"fee": pd.Timestamp("2020-01-01"), "plan": None}, {}, "No column"),
    ],
)
def test_what_cannot_be_used_is_refused(change, options, says):
    with pytest.raises(InputError) as refused:
        customer_table(customers(**change), **{"label": "churn", **options})
    assert says in str(refused.value)


def test_other_refusals():
    with pytest.raises(NotEnoughDataError, match="no rows"):
        customer_table(customers().iloc[:0], label="churn")
    with pytest.raises(InputError, match="two columns called 'fee'"):
        customer_table(pd.DataFrame([[1, 2]], columns=["fee", "fee"]))
    with pytest.raises(InputError, match="no column that is known to hold customer ids"):
        customer_table(pd.DataFrame({"a": [1]}))
    with pytest.raises(InputError, match="no column plan"):
        customer_table(customers().drop(columns="plan"), kinds={"plan": "category"})
    dated = customers(plan=dt.datetime(2020, 1, 1))
    with pytest.raises(InputError, match="dates"):
        customer_table(dated, kinds={"plan": "category"})


def test_ids_are_those_of_the_ledger():
    def ids(values):
        return customer_table(pd.DataFrame({"customer_id": values, "x": 1.0})).features.index

    assert ids([13085.0, 2.0]).tolist() == ["13085", "2"]
    assert ids(["13085.0", "2.0"]).tolist() == ["13085", "2"]
    assert ids([" 007 ", "b"]).tolist() == ["007", "b"]


def test_frame_is_not_written_to_and_order_does_not_matter():
    frame = customers()
    before = frame.copy(deep=True)
    found = customer_table(frame, label="churn").sorted()
    pd.testing.assert_frame_equal(frame, before)
    mixed = customer_table(frame.sample(frac=1, random_state=1), label="churn").sorted()
    pd.testing.assert_frame_equal(found.features, mixed.features)
    pd.testing.assert_series_equal(found.label, mixed.label)


@pytest.mark.parametrize("name", ["t.csv", "t [1].csv", "t.csv.gz", "t.parquet", "semicolon.csv"])
def test_files_of_any_kind_hold_the_same(tmp_path, name):
    path, frame = tmp_path / name, customers(50)
    if name.endswith("parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep=";" if "semi" in name else ",")
    read = customer_table(read_customers(path), label="churn")
    wanted = customer_table(frame, label="churn")
    pd.testing.assert_frame_equal(read.features, wanted.features)
    pd.testing.assert_series_equal(read.label, wanted.label, check_names=False)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        read_customers(tmp_path / "none.csv")
    path = tmp_path / "t.csv"
    path.write_text("customer_id,fee,churn\na,1,Yes\nb,2\n")
    with pytest.raises(InputError, match="row 2 cannot be read"):
        read_customers(path)


def test_label_of_numbers_keeps_its_words():
    outcome, churned = given_label(pd.Series(["1", "0", None]), "left", None)
    assert churned == "1"
    assert outcome.tolist()[:2] == [1.0, 0.0]
    assert np.isnan(outcome[2])
