"""The written architecture and the code say the same."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["features", "models", "training", "serving", "regulars"]


def _modules() -> set[str]:
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "__init__.py":
                found.add(str(path.relative_to(ROOT)))
    return found


def test_every_module_is_listed_in_architecture_md_and_every_listed_module_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    listed = set(re.findall(rf"`((?:{'|'.join(PACKAGES)})/[\w/]+\.py)`", text))
    assert listed == _modules()


def test_every_public_module_states_what_it_offers():
    missing = [
        module
        for module in sorted(_modules())
        if "__all__" not in (ROOT / module).read_text(encoding="utf-8")
    ]
    assert missing == []


def _loaded_after(code: str) -> set[str]:
    command = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", command],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stdout.split())


HEAVY = {"pymc", "mlflow", "lightgbm", "ibis", "duckdb", "pandas", "numpy", "sklearn", "matplotlib"}


@pytest.mark.parametrize("command", [[], ["train"], ["score"], ["demo"]])
def test_help_loads_no_heavy_library(command):
    code = (
        "import contextlib, io\n"
        "from regulars.cli import run\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    assert run({[*command, '--help']!r}) == 0"
    )
    assert _loaded_after(code).isdisjoint(HEAVY)


def test_serving_loads_no_sampler():
    modules = [
        module.removesuffix(".py").replace("/", ".")
        for module in sorted(_modules())
        if module.startswith("serving/")
    ]
    loaded = _loaded_after(f"import {', '.join(modules)}, models.artifact, models.btyd, models.clv")
    assert loaded.isdisjoint({"pymc", "pytensor", "nutpie", "arviz"})


@pytest.mark.parametrize("package", ["features", "models"])
def test_features_and_models_load_no_mlflow(package):
    modules = [
        module.removesuffix(".py").replace("/", ".")
        for module in sorted(_modules())
        if module.startswith(f"{package}/")
    ]
    assert "mlflow" not in _loaded_after(f"import {', '.join(modules)}")


def test_nothing_unpickles():
    pattern = re.compile(r"\b(c?loud)?pickle\.(load|dump)|joblib\.(load|dump)|allow_pickle=True")
    offenders = [
        module
        for module in sorted(_modules())
        if pattern.search((ROOT / module).read_text(encoding="utf-8"))
    ]
    assert offenders == []


@pytest.mark.parametrize("name", ["features", "measures"])
def test_the_page_of_a_catalogue_is_what_it_says(name):
    script = ROOT / "docs" / f"write_{name}.py"
    spec = importlib.util.spec_from_file_location(f"write_{name}", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") == module.page()
