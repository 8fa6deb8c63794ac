"""A lock excludes other processes, and dies with its holder."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from features import locking
from features.errors import InputError
from features.locking import hold, take
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


def test_no_file_stays_and_contenders_never_meet(tmp_path, monkeypatch):
    monkeypatch.setattr(locking, "_STEP", 0.0005)
    path, inside, most = tmp_path / "a.lock", [], []

    def work(number):
        for _ in range(50):
            with hold(path, "it", seconds=60):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert most == [1] * 200
    assert list(tmp_path.iterdir()) == []


def test_the_lock_on_a_file_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    path = tmp_path / "a.lock"
    taken = locking._taken

    def late(handle):
        if path.read_text():  # its holder lets go between the opening and the locking
            path.unlink()
            path.touch()
        return taken(handle)

    path.write_text("the first")
    monkeypatch.setattr(locking, "_taken", late)
    assert take(path) is None
    handle = take(path)
    assert handle is not None
    os.close(handle)
