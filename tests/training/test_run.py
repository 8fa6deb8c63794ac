"""What a campaign is called reaches MLflow as a name: no path, no markup, no formula."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from training.figures.uplift import qini
from training.run import Run, escaped, plain_name

EVIL = (
    "../../../etc/cron.d/x",
    "..",
    "/etc/passwd",
    "a\\..\\b",
    "x\0y",
    "voucher €5 – 50 %",
    "😀",
    "$\\frac$",
    "<img src=http://evil.example/x>",
    "![x](http://evil.example/x)",
    "a|b\n# c",
    "x" * 400,
    "",
)


@pytest.mark.parametrize("name", EVIL)
def test_a_name_is_no_path(name: str) -> None:
    plain = plain_name(f"uplift/{name}/qini_area")
    assert ".." not in plain.split("/")
    assert not plain.startswith("/")
    assert all(part and len(part) <= 60 for part in plain.split("/"))


@pytest.mark.parametrize("name", EVIL)
def test_a_name_is_no_markup(name: str) -> None:
    shown = escaped(name)
    assert "<" not in shown
    assert "\n" not in shown
    for sign in "![](|":
        assert shown.count(sign) == shown.count("\\" + sign)


def test_mlflow_takes_every_name_and_writes_within_the_run(tmp_path: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("x", (tmp_path / "artifacts").as_uri())
    run = Run(client, client.create_run(experiment).info.run_id, "")
    client.log_metric(run.run_id, "first", 1.0)
    curve = pd.DataFrame({"share": [0.0, 1.0], "gain": 0.0, "random": 0.0, "low": 0.0, "high": 0.0})
    for name in EVIL:
        title = name.replace("$", r"\$").replace("\0", "")[:80]
        run.figure(f"qini_{name}", qini(curve, title=title))
        client.log_metric(run.run_id, plain_name(f"uplift/{name}/auuc"), float(np.pi))
    assert {p.name for p in tmp_path.iterdir()} <= {"mlflow.db", "artifacts"}
