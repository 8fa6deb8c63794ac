"""The main job by the command line: raw files in, registered models and a scored list out."""

import json
import shutil
from pathlib import Path

import duckdb
import mlflow
import pandas as pd
import pytest

from features.simulate import simulate
from regulars.cli import run

pytestmark = pytest.mark.slow

CHURN = ("logistic", "lightgbm_offset")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A shop on which `init`, `check` and `train` have run."""
    folder = tmp_path_factory.mktemp("shop")
    simulate(folder / "made", customers=500, days=600, seed=3)
    (folder / "data").mkdir()
    (folder / "made" / "orders.csv").rename(folder / "data" / "orders.csv")
    config = ["-c", str(folder / "regulars.toml")]
    assert run(["init", str(folder), "--transactions", str(folder / "data" / "orders.csv")]) == 0
    _ask_for(folder / "regulars.toml", "mbg_nbd", "bg_nbd", "recalibrated")
    assert run(["check", *config]) == 0
    assert run(["train", "--quick", *config]) == 0
    return folder


def _ask_for(config: Path, *candidates: str) -> None:
    """A few candidates, so that nobody has to wait."""
    text = config.read_text(encoding="utf-8")
    for section, names in (("[churn]", CHURN), ("[clv]", candidates)):
        assert f"{section}\n" in text
        text = text.replace(f"{section}\n", f"{section}\ncandidates = {list(names)}\n")
    config.write_text(text, encoding="utf-8")


def _with_fewer_candidates(folder: Path) -> None:
    config = folder / "regulars.toml"
    text = config.read_text(encoding="utf-8")
    for name in ("lightgbm_offset", "bg_nbd", "recalibrated"):
        assert f", '{name}'" in text
        text = text.replace(f", '{name}'", "")
    config.write_text(text, encoding="utf-8")


@pytest.fixture
def shop(trained, monkeypatch) -> Path:
    """The trained shop as the working folder; scores go to a folder of the test's own."""
    monkeypatch.chdir(trained)
    return trained


@pytest.fixture
def broken(trained, tmp_path, monkeypatch) -> Path:
    """A copy of the trained shop that a test may damage."""
    copy = tmp_path / "shop"
    shutil.copytree(trained, copy)
    monkeypatch.chdir(copy)
    return copy


def _client(folder: Path) -> mlflow.MlflowClient:
    store = f"sqlite:///{folder / 'mlflow.db'}"
    return mlflow.MlflowClient(store, store)


def test_init_writes_the_columns_that_it_recognised(shop):
    text = (shop / "regulars.toml").read_text(encoding="utf-8")
    assert 'customer_id = "Customer ID"' in text
    assert "Quantity" in text


def test_everybody_is_scored_by_default(shop, tmp_path, capsys):
    assert run(["score", "-o", str(tmp_path / "scores.parquet"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    scored = pd.read_parquet(tmp_path / "scores.parquet")
    assert said["customers"] == len(scored)
    known = scored[scored["status"] == "scored"]
    assert len(known) > 400
    assert known["churn_probability"].between(0, 1).all()
    assert (known["churn_low"] <= known["churn_probability"]).all()
    assert (known["churn_probability"] <= known["churn_high"]).all()
    assert (known["clv_low"] <= known["clv_high"]).all()
    assert known["p_alive"].between(0, 1).all()
    assert set(scored["churn_model"].dropna()) == {"regulars-churn/1"}


def test_the_list_goes_to_a_database_in_place_of_a_file_or_beside_it(shop, tmp_path, capsys):
    target = f"duckdb:///{tmp_path / 'scores.duckdb'}?table=crm.scores"
    out = tmp_path / "scores.csv"
    assert run(["score", "--to", target]) == 0
    assert "crm.scores of duckdb:///" in capsys.readouterr().out
    assert run(["score", "--to", target, "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["output"], said["to"].partition(" ")[0]) == (str(out), "crm.scores")
    with duckdb.connect(str(tmp_path / "scores.duckdb")) as con:
        found = con.execute("SELECT customer_id, clv FROM crm.scores ORDER BY ALL").fetchall()
    written = pd.read_csv(out, dtype={"customer_id": "str"}).sort_values("customer_id")
    assert found == list(written[["customer_id", "clv"]].itertuples(index=False, name=None))


def test_every_id_of_a_list_comes_back_in_the_order_asked(shop, tmp_path):
    everyone = pd.read_csv(shop / "data" / "orders.csv", dtype=str)["Customer ID"].dropna()
    asked = ["nobody", *sorted(set(everyone))[:5][::-1]]
    (tmp_path / "list.csv").write_text("\n".join(["customer_id", *asked]), encoding="utf-8")
    output = tmp_path / "scores.csv"
    assert run(["score", str(tmp_path / "list.csv"), "-o", str(output)]) == 0
    scored = pd.read_csv(output, dtype={"customer_id": str})
    assert scored["customer_id"].tolist() == asked
    assert scored["status"].iloc[0] == "unknown_customer"
    assert (scored["status"].iloc[1:] == "scored").any()


def test_scoring_twice_gives_the_same_bytes(shop, tmp_path):
    for name in ("a.parquet", "b.parquet"):
        assert run(["score", "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_damaged_score_ledger_costs_no_list(broken, tmp_path, capsys):
    (broken / "score_ledger.duckdb").write_bytes(b"no database" * 500)
    assert run(["score", "-o", str(tmp_path / "scores.csv")]) == 2
    assert "not recorded in the score ledger" in capsys.readouterr().err
    assert len(pd.read_csv(tmp_path / "scores.csv")) > 400


def test_the_campaign_list_agrees_with_the_scored_list(shop, tmp_path, capsys):
    assert run(["score", "-o", str(tmp_path / "scores.parquet")]) == 0
    output, plan = tmp_path / "campaign.csv", tmp_path / "plan.parquet"
    capsys.readouterr()
    assert run(["actions", "-o", str(output), "--plan", str(plan), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    listed = pd.read_csv(output, dtype={"customer_id": str})
    scored, planned = (pd.read_parquet(tmp_path / f"{n}.parquet") for n in ("scores", "plan"))
    with duckdb.connect(str(shop / "score_ledger.duckdb"), read_only=True) as con:
        kept = con.execute(
            "SELECT customer_id, churn_probability, arm FROM scores JOIN lists USING (list_id) "
            "WHERE as_of = ? ORDER BY ALL",
            [scored["as_of"].iloc[0].date()],
        ).df()
    known = (scored["status"] == "scored").to_numpy(bool)
    told = scored.loc[known, ["customer_id", "churn_probability"]].assign(arm=planned["arm"])
    told = told.sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(kept.astype(told.dtypes), told, check_exact=True)
    assert scored["action"].equals(planned["action"])
    assert scored["expected_value"].equals(planned["expected_value"])
    assert said["contacted"] == (listed["arm"] == "treatment").sum() > 0
    assert said["control"] == (listed["arm"] == "control").sum() > 0
    assert said["expected_value"] == pytest.approx(listed["expected_value"].sum())
    assert (scored["expected_value"].dropna() >= 0.0).all()
    assert run(["actions", "-o", str(output), "--budget", "100", "--offer", "offers"]) == 2
    _refused(capsys, "Did you mean offer?")


def test_segments_are_one_row_a_customer(shop, tmp_path, capsys):
    output = tmp_path / "segments.csv"
    assert run(["segments", "-o", str(output), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    table = pd.read_csv(output, dtype={"customer_id": str})
    assert said["customers"] == len(table) > 400
    scored = table["rfm_segment"].notna()
    assert table.loc[scored, "playbook"].notna().all()
    assert sum(row["customers"] for row in said["rfm_segments"]) == scored.sum()
    assert sum(row["customers"] for row in said["matrix"]) == scored.sum()


def test_a_snapshot_carries_labels_only_where_the_horizon_has_closed(shop, tmp_path, capsys):
    early, late = tmp_path / "early.parquet", tmp_path / "late.parquet"
    assert run(["snapshot", "--cutoff", "2023-10-01", "-o", str(early)]) == 0
    assert run(["snapshot", "--cutoff", "2024-02-01", "-o", str(late)]) == 0
    assert "churned" in pd.read_parquet(early).columns
    assert "churned" not in pd.read_parquet(late).columns
    assert "horizon still open" in capsys.readouterr().out


def test_the_report_is_one_page_that_needs_nothing_else(shop, tmp_path):
    assert run(["report", "-o", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert 'src="http' not in page
    assert "regulars-churn" in page
    assert "The last transaction is of" in page  # long ago, as `regulars monitor` says


def test_the_page_is_kept_with_the_winning_runs_and_names_no_customer(shop, tmp_path):
    client = _client(shop)
    ids = pd.read_csv(shop / "data" / "orders.csv", dtype=str)["Customer ID"].dropna().unique()
    for name in ("regulars-churn", "regulars-clv"):
        run_id = client.get_model_version_by_alias(name, "champion").run_id
        path = client.download_artifacts(run_id, "report.html", str(tmp_path))
        page = Path(path).read_text(encoding="utf-8")
        assert f"{name}/1" in page
        assert not [customer for customer in ids if customer in page]


def test_backtest_is_one_long_table_with_pictures_and_a_choice(
    broken, tmp_path, capsys, monkeypatch
):
    _with_fewer_candidates(broken)
    monkeypatch.setattr("training.backtest.MAX_CUTOFFS", 2)  # nobody has to wait for six
    assert run(["backtest", "-o", str(tmp_path / "backtest.csv"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    table = pd.read_csv(tmp_path / "backtest.csv")
    assert {"cutoff", "group", "candidate", "metric", "value"} <= set(table.columns)
    assert len(set(table["cutoff"])) > 1
    assert said["measurements"] == len(table)
    assert {"mbg_nbd", "past_rate"} <= {each["candidate"] for each in said["clv"]}
    assert said["choice"]
    for picture in said["figures"]:
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert {Path(p).parent.name for p in said["figures"]} == {"backtest_figures"}


def test_unknown_candidates_and_priors_are_refused_by_name(broken, capsys):
    config = broken / "regulars.toml"
    whole = config.read_text(encoding="utf-8")
    config.write_text(whole.replace("['mbg_nbd', ", "['mbg_ndb', "), encoding="utf-8")
    assert run(["train", "clv"]) == 2
    _refused(capsys, "Did you mean mbg_nbd")
    config.write_text(whole + "\n[clv.priors.mbg_nbd]\nrr = [1.0, 1.0]\n", encoding="utf-8")
    assert run(["train", "clv"]) == 2
    _refused(capsys, "Parameters: r, alpha, a, b")


def test_a_second_training_adds_a_version_and_says_who_is_champion(broken, capsys):
    _with_fewer_candidates(broken)
    assert run(["train", "churn", "--quick", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)[0]
    assert result["version"] == "2"
    client = _client(broken)
    champion = client.get_model_version_by_alias("regulars-churn", "champion")
    challenger = client.get_model_version_by_alias("regulars-churn", "challenger")
    assert challenger.version in (2, "2")
    assert champion.version in ((2, "2") if result["promoted"] else (1, "1"))


def _refused(capsys, words: str) -> None:
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert [line[:7] for line in err.splitlines()].count("Error: ") == 1, err
    assert words in err


def test_a_cutoff_after_the_data_is_refused(shop, tmp_path, capsys):
    assert run(["score", "--cutoff", "2099-01-01", "-o", str(tmp_path / "s.csv")]) == 2
    _refused(capsys, "2099-01-01")


def test_no_champion_is_said(broken, capsys):
    client = _client(broken)
    client.delete_registered_model_alias("regulars-clv", "champion")
    assert run(["score", "-o", "s.csv"]) == 2
    _refused(capsys, "champion")


def test_a_corrupted_artifact_is_named(broken, capsys):
    # A bare SQLite store knows its artifacts by absolute paths, so the copy shares them.
    client = _client(broken)
    version = client.get_model_version_by_alias("regulars-churn", "champion")
    model = client.get_logged_model(version.source.rsplit("/", 1)[-1])
    folder = Path(model.artifact_location.removeprefix("file://"))
    inputs = next(folder.rglob("inputs.json"))
    whole = inputs.read_bytes()
    try:
        inputs.write_bytes(whole[:-100] + b"x" * 100)
        assert run(["score", "-o", "s.csv"]) == 2
        _refused(capsys, "inputs.json")
        assert not (broken / "s.csv").exists()
    finally:
        inputs.write_bytes(whole)
