"""A lock excludes other processes, and dies with its holder."""

import subprocess
import sys

import pytest

from features.errors import InputError
from features.locking import hold
from features.progress import reporting

HOLDER = """
import sys
from pathlib import Path
from features.locking import hold
with hold(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "a.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_kept_out_until_it_is_killed(holder, tmp_path):
    path = tmp_path / "a.lock"
    refused = pytest.raises(InputError, match="Another process uses the store")
    with refused as caught, hold(path, "the store", seconds=0.3):
        pass
    assert str(path) in caught.value.hint
    holder.kill()
    with hold(path, "the store", seconds=60):
        pass


def test_whoever_waits_says_so(holder, tmp_path, monkeypatch):
    monkeypatch.setattr("features.locking._SILENT", 0.0)

    said = []

    class Reporter:
        def note(self, message):
            said.append(message)
            holder.kill()

    with reporting(Reporter()), hold(tmp_path / "a.lock", "the store", seconds=60):
        pass
    assert said == ["Waiting: another process uses the store."]


def test_locks_of_two_files_do_not_meet(holder, tmp_path):
    with hold(tmp_path / "b.lock", "it", seconds=0):
        pass


def test_where_no_file_can_be_made_it_is_said(tmp_path):
    refused = pytest.raises(InputError, match="cannot be made")
    with refused, hold(tmp_path / "no" / "a.lock", "it"):
        pass


def test_an_error_inside_lets_go(tmp_path):
    with pytest.raises(ZeroDivisionError), hold(tmp_path / "a.lock", "it"):
        raise ZeroDivisionError
    with hold(tmp_path / "a.lock", "it", seconds=0):
        pass
