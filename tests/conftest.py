"""What all tests share."""

import os
from pathlib import Path

import pytest

# Before LightGBM loads: see regulars/__main__.py.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# A store that the developer's shell points at is not for tests.
os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="session")
def development_data() -> Path:
    """The folder of public data sets; tests that need it are skipped without it."""
    folder = os.environ.get("REGULARS_DATA")
    if not folder:
        pytest.skip("REGULARS_DATA is not set: it names a folder of public data sets")
    return Path(folder)
