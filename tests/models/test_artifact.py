"""Model folders: the same bytes out, the same predictions back, and frank about damage."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import models
from models import artifact
from models.base import ModelError, SavableModel
from models.churn import ChurnModel
from models.inputs import Feature
from models.scorers import Recipe


def panel(n, seed):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {"days_since_last": rng.gamma(2, 40, n).round(), "net_spend_365": rng.gamma(2, 99, n)},
        index=pd.Index(np.arange(n).astype(str), name="customer_id"),
    )
    y = pd.Series((rng.random(n) < X["days_since_last"] / 250).astype(float), index=X.index)
    return X, y


CATALOGUE = [
    Feature("days_since_last", "lateness", 1),
    Feature("spend_percentile", "spend", -1),
]


def fit(**changes):
    options = {
        "horizon_days": 90,
        "catalogue": CATALOGUE,
        "recipe": Recipe("lightgbm", params={"n_estimators": 25}),
    }
    return ChurnModel.fit(*panel(1200, 1), *panel(1200, 2), **{**options, **changes})


@pytest.fixture(scope="module")
def model():
    return fit()


@pytest.fixture
def folder(model, tmp_path):
    return artifact.save(model, tmp_path / "model", extra={"metrics": {"churn/roc_auc": 0.75}})


def test_predictions_come_back_bit_for_bit(model, folder):
    X, _ = panel(500, 3)
    again = artifact.load(folder)
    assert isinstance(again, SavableModel)
    pd.testing.assert_frame_equal(again.predict(X), model.predict(X), check_exact=True)
    pd.testing.assert_frame_equal(again.contributions(X), model.contributions(X), check_exact=True)
    pd.testing.assert_frame_equal(again.importance(), model.importance(), check_exact=True)
    assert again.feature_names == model.feature_names
    assert (again.horizon_days, again.gap_days) == (90, 0)


def test_the_same_model_gives_the_same_bytes(folder, tmp_path):
    loaded = artifact.load(folder)
    extra = artifact.read_card(folder)["extra"]
    twin = artifact.save(fit(num_threads=3), tmp_path / "twin", extra=extra)
    copy = artifact.save(loaded, tmp_path / "copy", extra=extra)
    for other in (twin, copy):
        assert {p.name for p in other.iterdir()} == {p.name for p in folder.iterdir()}
        for path in folder.iterdir():
            assert (other / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_card_says_what_the_model_is(folder):
    card = artifact.read_card(folder)
    assert card["kind"] == "churn"
    assert card["extra"]["metrics"]["churn/roc_auc"] == 0.75
    assert {"features", "feature_names", "catalogue_hash", "training", "dropped"} <= set(card)
    assert set(card["files"]) == {
        "booster.txt",
        "calibrator.json",
        "inputs.json",
        "tiers.json",
    }
    # No customer is in it.
    assert all(name not in json.dumps(card) for name in ("customer_id", '"1199"'))


def change(name, old, new):
    def apply(folder):
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return apply


def edit_card(**entries):
    def apply(folder):
        path = folder / "card.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))

    return apply


CORRUPTIONS = {
    "no folder": (shutil.rmtree, "card.json: not found"),
    "no card": (lambda f: (f / "card.json").unlink(), "card.json: not found"),
    "empty card": (lambda f: (f / "card.json").write_text(""), "card.json: not valid JSON"),
    "binary card": (
        lambda f: (f / "card.json").write_bytes(b"\xff\x00\x81"),
        "card.json: not valid",
    ),
    "card of something else": (lambda f: (f / "card.json").write_text("[1]"), "not the card"),
    "card is a folder": (
        lambda f: ((f / "card.json").unlink(), (f / "card.json").mkdir()),
        "card.json: cannot be read",
    ),
    "future format": (edit_card(format_version=99), "format_version is 99"),
    "earlier format": (
        edit_card(format_version=1),
        "format_version is 1, written by .*reads 2\n.*the version of regulars that saved it",
    ),
    "unknown kind": (edit_card(kind="weather"), "unknown model kind 'weather'"),
    "no checksums": (edit_card(files=None), "'files' is not a table"),
    "path in a name": (edit_card(files={"../secret": "0"}), "not the plain name"),
    "windows path in a name": (edit_card(files={"a\\b": "0"}), "not the plain name"),
    "missing booster": (
        lambda f: (f / "booster.txt").unlink(),
        "booster.txt: listed in .* missing",
    ),
    "one digit of the booster": (change("booster.txt", "0.", "1."), "booster.txt: changed"),
    "calibrator edited": (change("calibrator.json", "method", "metho"), "calibrator.json: changed"),
    "cut short": (lambda f: (f / "tiers.json").write_text("{"), "tiers.json: changed"),
    "a foreign file": (lambda f: (f / "extra.bin").touch(), "extra.bin: not part of this model"),
}


@pytest.mark.parametrize(("damage", "message"), CORRUPTIONS.values(), ids=CORRUPTIONS)
def test_damage_is_named_with_a_remedy(folder, damage, message):
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        artifact.load(folder)
    assert caught.value.hint


KEPT = Path(__file__).parent / "artifacts"
"""Folders that earlier versions of this program wrote."""


def test_a_folder_of_an_earlier_version_predicts_what_it_did(tmp_path):
    told = json.loads((KEPT / "format_2_predicted.json").read_text())
    customers, predicted = (pd.DataFrame(**told[key]) for key in ("customers", "predicted"))
    found = artifact.load(KEPT / "format_2", "churn").predict(customers.astype("float64"))
    assert list(found) == list(predicted)
    for name in ("churn_probability", "churn_low", "churn_high"):
        np.testing.assert_allclose(found[name], predicted[name], rtol=1e-9)
    assert found["risk_tier"].tolist() == predicted["risk_tier"].tolist()


def test_a_folder_of_a_format_that_is_no_longer_read_is_refused_and_its_version_named():
    refused = r"format_version is 1, written by Regulars 0\.1\.0; this program .* reads 2"
    with pytest.raises(ModelError, match=refused):
        artifact.load(KEPT / "format_1")


def reseal(folder):
    """Write new checksums, as a foreign program would that makes such folders itself."""
    card = json.loads((folder / "card.json").read_text())
    card["files"] = {p.name: artifact._sha256(p) for p in folder.iterdir() if p.name != "card.json"}
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("booster.txt", "not a tree"),
        ("booster.txt", ""),
        ("calibrator.json", "{}"),
        ("tiers.json", "nonsense"),
        ("inputs.json", "[]"),
    ],
)
def test_intact_files_that_make_no_model(folder, name, content):
    (folder / name).write_text(content)
    reseal(folder)
    with pytest.raises(ModelError, match=r"booster\.txt|do not make a churn model"):
        artifact.load(folder)


def test_a_model_of_another_kind_is_refused(folder):
    with pytest.raises(ModelError, match="expected a model of kind 'clv', found 'churn'"):
        artifact.load(folder, kind="clv")


def test_a_folder_in_use_is_not_overwritten(model, folder):
    before = (folder / "card.json").read_bytes()
    with pytest.raises(ModelError, match="not an empty folder"):
        artifact.save(model, folder)
    assert (folder / "card.json").read_bytes() == before


def test_nothing_is_left_behind_when_saving_fails(tmp_path):
    class Broken:
        kind: ClassVar[str] = "churn"

        def to_folder(self, folder):
            (folder / "half.json").write_text("{")
            return {"value": float("nan")}

    with pytest.raises(ModelError, match="cannot be written as JSON"):
        artifact.save(Broken(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_go(model, tmp_path):
    (tmp_path / "taken").write_text("")
    for target in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(ModelError, match="cannot save a model"):
            artifact.save(model, target)


def test_nothing_in_models_reads_or_writes_pickles():
    for path in Path(models.__file__).parent.rglob("*.py"):
        text = path.read_text()
        assert "import pickle" not in text, path
        assert "import joblib" not in text, path
        assert "allow_pickle=True" not in text, path


PRIVATE = """
import importlib.util, sys
from pathlib import Path

source, folder, decoy, name = sys.argv[1:5]
sys.path.insert(0, decoy)
import models
assert models.MINE == 42
spec = importlib.util.spec_from_file_location(
    name, Path(source) / "__init__.py", submodule_search_locations=[source]
)
package = importlib.util.module_from_spec(spec)
sys.modules[name] = package
spec.loader.exec_module(package)
artifact = importlib.import_module(name + ".artifact")
import pandas as pd
model = artifact.load(folder)
frame = pd.DataFrame({"days_since_last": [5.0, 300.0], "net_spend_365": [900.0, 10.0]})
print(model.predict(frame).to_json(double_precision=15))
import models as still
assert still.MINE == 42 and not hasattr(still, "artifact")
loaded = sorted(m for m in sys.modules if m.startswith("models") or m.split(".")[0] in
                ("features", "training", "serving", "regulars", "pymc", "mlflow", "ibis"))
assert loaded == ["models"], loaded
"""


def test_the_source_runs_under_a_private_name_beside_a_foreign_models(model, folder, tmp_path):
    source = tmp_path / "shipped"
    shutil.copytree(
        Path(models.__file__).parent, source, ignore=shutil.ignore_patterns("__pycache__")
    )
    decoy = tmp_path / "application"
    (decoy / "models").mkdir(parents=True)
    (decoy / "models" / "__init__.py").write_text("MINE = 42\n")
    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", PRIVATE, source, folder, decoy, "_private_xyz"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    frame = pd.DataFrame({"days_since_last": [5.0, 300.0], "net_spend_365": [900.0, 10.0]})
    assert run.stdout.strip() == model.predict(frame).to_json(double_precision=15)
