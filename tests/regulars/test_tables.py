"""`--table`: train on contracts with a given label, score them, and say what is wrong."""

import json
import shutil

import duckdb
import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from regulars.cli import run


def contracts(n, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customerID": [f"{1000 + i}-X" for i in range(n)],
            "Senior": rng.integers(0, 2, n),
            "tenure (months)": rng.integers(1, 72, n),
            "Contract": rng.choice(
                ["Month-to-month", "One year", "Two year"], n, p=[0.6, 0.3, 0.1]
            ),
            "TotalCharges": [f"{value:.2f}" for value in rng.gamma(2.0, 900.0, n)],
        }
    )
    monthly = frame["Contract"] == "Month-to-month"
    z = -2.5 + 2.0 * monthly - 0.03 * (frame["tenure (months)"] - 20)
    frame["Churn"] = np.where(rng.random(n) < expit(z), "Yes", "No")
    frame.loc[[2, 4, 7], "TotalCharges"] = " "
    return frame


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder without a configuration, in which a table was trained on."""
    folder = tmp_path_factory.mktemp("table")
    contracts(500).to_csv(folder / "telco.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        command = ["train", "churn", "--table", "telco.csv", "--label", "Churn"]
        assert run([*command, "--id", "customerID"]) == 0
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """A copy that a test may write to; the store is the one of the training."""
    shutil.copy(trained / "telco.csv", tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{trained / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_is_scored_by_the_model_trained_on_one(folder, capsys):
    new = contracts(40, seed=9).drop(columns="Churn")
    new.loc[0, "Contract"] = "Lifetime"  # never seen in training
    new.loc[1, "Contract"] = None
    new.to_parquet(folder / "new.parquet")
    command = ["score", "--table", "new.parquet", "--id", "customerID", "-o", "out.csv"]
    assert run([*command, "--json"]) == 0
    said = capsys.readouterr()
    assert "TotalCharges is a number; 3 of its values are none" in said.err
    assert json.loads(said.out)["customers"] == 40
    scored = pd.read_csv(folder / "out.csv")
    assert scored["customer_id"].tolist() == new["customerID"].tolist()
    assert (scored["status"] == "scored").all()
    assert scored["churn_model"].eq("regulars-churn-table/1").all()
    said = scored[["reason_1", "reason_2", "reason_3"]].fillna("").agg(" ".join, axis=1)
    assert not said.str.contains("__unk__").any()
    p = scored.set_index("customer_id")["churn_probability"]
    assert p.between(0, 1).all()
    monthly = new.set_index("customerID")["Contract"] == "Month-to-month"
    assert p[monthly].mean() > p[~monthly].mean() + 0.1
    high = scored[scored["risk_tier"] == "high"]
    assert high["reason_1"].isin(["Contract is Month-to-month"]).any()


def test_the_ids_of_a_list_are_answered_in_its_order(folder):
    (folder / "list.csv").write_text("customer_id\n1007-X\nnobody\n1002-X\n")
    command = ["score", "list.csv", "--table", "telco.csv", "-o", "out.parquet"]
    assert run(command) == 0
    scored = pd.read_parquet(folder / "out.parquet")
    assert scored["customer_id"].tolist() == ["1007-X", "nobody", "1002-X"]
    assert scored["status"].tolist() == ["scored", "unknown_customer", "scored"]
    assert scored["churn_probability"].isna().tolist() == [False, True, False]


def test_a_table_is_scored_into_a_database_once(folder):
    to = "duckdb:///scored.duckdb?table=crm.contracts"
    for _ in range(2):
        assert run(["score", "--table", "telco.csv", "--to", to, "-o", "same.parquet"]) == 0
    with duckdb.connect(folder / "scored.duckdb", read_only=True) as con:
        found = con.execute("SELECT * FROM crm.contracts ORDER BY customer_id").df()
    written = pd.read_parquet(folder / "same.parquet").sort_values("customer_id")
    assert list(found) == list(written)
    assert found["churn_probability"].tolist() == written["churn_probability"].tolist()


def test_reasons_in_another_language(folder):
    command = ["score", "--table", "telco.csv", "-o", "out.parquet", "--language", "zh"]
    assert run(command) == 0
    said = pd.read_parquet(folder / "out.parquet")["reason_1"].dropna()
    assert said.str.contains("[\u4e00-\u9fff]").all()


def test_mlflow_serves_text_columns(trained):
    frame = contracts(30, seed=3).drop(columns=["customerID", "Churn"])
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
    frame[["Senior", "tenure (months)"]] = frame[["Senior", "tenure (months)"]].astype("float64")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{trained / 'mlflow.db'}")
    try:
        served = mlflow.pyfunc.load_model("models:/regulars-churn-table@champion")
        found = served.predict(frame)
    finally:
        mlflow.set_tracking_uri(before)
    assert len(found) == 30
    assert found["churn_probability"].between(0, 1).all()
    texts = [each.name for each in served.metadata.signature.inputs if each.type.name == "string"]
    assert texts == ["Contract"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--label", "Chrun"], "Did you mean Churn?"),
        (["--label", "Churn", "--id", "customer"], "Did you mean customerID?"),
        (["--label", "Contract"], "3 values: Month-to-month"),
        (["--label", "Senior", "--positive", "2"], "no value '2'"),
        (["--label", "Churn", "--id", "Contract"], "more than once, such as"),
        (["--label", "Churn", "--name", " "], "no name"),
        ([], "--label COLUMN"),
    ],
)
def test_a_wrong_training_is_refused(folder, capsys, options, says):
    assert run(["train", "churn", "--table", "telco.csv", *options]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["train", "clv", "--table", "telco.csv"], "trains a churn model"),
        (["train", "churn", "--label", "Churn"], "--label goes with --table"),
        (["train", "--table", "none.csv", "--label", "Churn"], "There is no file none.csv"),
        (["train", "--table", "telco.csv", "--label", "Churn", "-c", "no.toml"], "no.toml"),
        (["score", "--id", "x", "-o", "out.csv"], "--id goes with --table"),
        (["score", "--table", "telco.csv", "--cutoff", "2024-01-01", "-o", "out.csv"], "--cutoff"),
        (["score", "--table", "telco.csv", "--name", "other", "-o", "out.csv"], "model other"),
        (["score", "--table", "short.csv", "-o", "out.csv"], "no column TotalCharges"),
        (["score", "--table", "telco.csv", "-o", "out.xlsx"], "out.xlsx"),
    ],
)
def test_other_mistakes_are_refused(folder, capsys, command, says):
    contracts(30).drop(columns="TotalCharges").to_csv(folder / "short.csv", index=False)
    assert run(command) == 2
    assert says in capsys.readouterr().err
    assert not (folder / "out.csv").exists()


def test_one_outcome_only_is_refused(folder, capsys):
    contracts(60).assign(Churn="No").to_csv(folder / "all.csv", index=False)
    assert run(["train", "--table", "all.csv", "--label", "Churn"]) == 2
    assert "only the value No (60)" in capsys.readouterr().err
