"""All temporary files of a process are in one folder, which goes with the process."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from features.errors import InputError
from features.scratch import own_scratch

KILLED = """
import os, signal, tempfile
from features.scratch import own_scratch
with own_scratch() as folder:
    (folder / "customers.csv").write_text("C1")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The system's folder for temporary files, of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_everything_temporary_goes_there_and_away(place):
    with own_scratch() as folder:
        assert folder.parent == place
        with tempfile.NamedTemporaryFile() as file:
            assert Path(file.name).parent == folder
        (folder / "left").write_text("C1")
    assert list(place.iterdir()) == []
    assert tempfile.gettempdir() == str(place)


@pytest.mark.skipif(os.name == "nt", reason="no kill -9")
def test_folders_of_killed_processes_are_removed_and_those_of_living_ones_stay(place):
    environment = {**os.environ, "TMPDIR": str(place)}
    subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False)
    assert [path.name for path in place.glob("regulars-*/customers.csv")] == ["customers.csv"]
    with own_scratch() as one, own_scratch():
        tempfile.tempdir = str(place)
        with own_scratch():
            assert one.is_dir()
    assert list(place.iterdir()) == []


def test_folders_of_others_stay(place):
    (place / "regulars-pg").mkdir()
    with own_scratch():
        pass
    assert [path.name for path in place.iterdir()] == ["regulars-pg"]


def test_no_place_for_temporary_files_is_one_message(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="temporary files"), own_scratch():
        pass
