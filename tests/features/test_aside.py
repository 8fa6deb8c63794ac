"""A file is replaced whole or not at all, and what a killed writer left is removed."""

import os
import stat
import subprocess
import sys
import textwrap

import pytest

from features.aside import aside_of, written_aside


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("old")
    return path


def killed_while_writing(target):
    """A process that dies by kill -9 in the middle of writing."""
    script = f"""
        import os, signal
        from pathlib import Path
        from features.aside import written_aside
        with written_aside(Path({str(target)!r})) as path:
            path.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -9


def test_a_file_is_there_when_the_block_has_ended(target):
    with written_aside(target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert aside_of(target) == []


def test_an_error_leaves_the_old_file_and_nothing_else(target):
    with pytest.raises(TypeError), written_aside(target) as path:
        path.write_text(None)
    assert [path.name for path in target.parent.iterdir()] == ["list.csv"]
    assert target.read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="no kill -9")
def test_what_a_killed_process_left_is_removed_by_the_next_writer(target):
    killed_while_writing(target)
    assert target.read_text() == "old"
    assert [path.read_text() for path in aside_of(target)] == ["half"]
    with written_aside(target) as path:
        path.write_text("new")
        assert aside_of(target) == [path]
    assert target.read_text() == "new"


def test_two_writers_do_not_disturb_each_other(target):
    with written_aside(target) as one, written_aside(target) as other:
        one.write_text("one")
        other.write_text("other")
        assert sorted(aside_of(target)) == sorted([one, other])
    assert target.read_text() == "one"  # who ends last
    assert aside_of(target) == []


def test_files_of_other_names_stay(target):
    names = [".list.csv.tmp", ".list.csv.mine.tmp", ".other.csv.0123456789ab.tmp"]
    for name in names:
        target.with_name(name).write_text("mine")
    with written_aside(target) as path:
        path.write_text("new")
    assert sorted(path.name for path in target.parent.iterdir()) == sorted([*names, "list.csv"])


@pytest.mark.skipif(os.name == "nt", reason="no such permissions")
def test_permissions_are_those_of_the_old_file_or_of_the_umask(target, tmp_path):
    target.chmod(0o640)
    with written_aside(target) as path:
        path.write_text("new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    (tmp_path / "usual").touch()
    with written_aside(tmp_path / "fresh") as path:
        path.write_text("new")
    assert (tmp_path / "fresh").stat().st_mode == (tmp_path / "usual").stat().st_mode
