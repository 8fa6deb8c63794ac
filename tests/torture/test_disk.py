"""A disk that fills up or cannot be written to: a message, and what was there stays."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.torture.conftest import copied
from tests.torture.harness import (
    command,
    files_are_whole,
    inside,
    ledger_is_whole,
    leftovers,
    registry_is_whole,
    running,
)

pytestmark = pytest.mark.torture

SIZE = 96  # MB


@dataclass(frozen=True)
class Disk:
    """A small disk of the test's own.

    Attributes:
        path: Where it is.
    """

    path: Path

    def leave(self, free: int) -> None:
        """Fill the disk until so many bytes are free."""
        self.make_room()
        room = os.statvfs(self.path)
        used = max(room.f_bavail * room.f_frsize - free, 0)
        with (self.path / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, used)

    def make_room(self) -> None:
        """Remove what fills it."""
        (self.path / "filler").unlink(missing_ok=True)

    def allow(self, how: str) -> None:
        """Mount it again: `ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system in memory, which only root can mount."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = shutil.which("mount")
    mounted = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SIZE}m", "regulars", str(path)],
        capture_output=True,
        check=False,
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_list_on_a_full_disk(shop, disk, monkeypatch):
    monkeypatch.chdir(shop)
    target = disk.path / "scores.csv"
    target.write_text("old")
    for free in (0, 4096, 16384):
        disk.leave(free)
        assert re.search("No space left|no room", inside("score", "-o", str(target)).refused())
        assert target.read_text() == "old"
        assert leftovers(disk.path) in ([], [".scores.csv.parts"])  # blocks for the next run
    disk.make_room()
    inside("score", "-o", str(target)).well()
    assert leftovers(disk.path) == []
    assert target.read_bytes().startswith(b'"customer_id"')


def test_a_quarantine_on_a_full_disk(shop, disk, monkeypatch):
    monkeypatch.chdir(shop)
    with (shop / "data" / "orders.csv").open("a") as file:
        file.write("".join(f"broken {i}\n" for i in range(20)))
    shutil.rmtree(shop / "quarantine", ignore_errors=True)
    (shop / "quarantine").symlink_to(disk.path)
    old = (shop / "scores.csv").read_bytes()
    disk.leave(0)
    assert "No space left" in inside("score", "-o", "scores.csv").refused()
    assert (shop / "scores.csv").read_bytes() == old
    disk.make_room()
    inside("score", "-o", "scores.csv").well()
    files_are_whole(shop)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["score", "train"])
def test_everything_on_a_disk_that_fills_up(rounds, made, disk, what):
    """Shop, store and temporary files; what is free is drawn by lot."""
    seeds = rounds(reduced=0, full={"score": 20, "train": 20}[what])
    shop = copied(made, disk.path / "shop")
    arguments = {"score": ("score", "-o", "scores.csv"), "train": ("train", "churn", "--quick")}
    old = (shop / "scores.csv").read_bytes()
    new = old
    refused = 0
    for seed in seeds:
        with rounds.told(seed):
            most = {"score": 2**19, "train": 2**23}[what]
            disk.leave(int(random.Random(seed).uniform(0, most)))
            before = registry_is_whole(shop)
            done = command(*arguments[what], folder=shop)
            if done.code:
                refused += 1
                assert re.search("space|full|room", done.refused()), done.err
            disk.make_room()
            if what == "score" and not done.code:
                new = (shop / "scores.csv").read_bytes()
            assert (shop / "scores.csv").read_bytes() in (old, new)
            after = registry_is_whole(shop)
            assert all(int(after[name]) >= int(before[name]) for name in before)
            files_are_whole(shop)
    assert refused or len(seeds) < 20  # by lot, a few may all have room
    command(*arguments[what], folder=shop).well()
    assert running(shop) == []
    assert leftovers(shop) == []


def test_folders_that_cannot_be_written_to(shop, disk, monkeypatch):
    monkeypatch.chdir(shop)
    target = disk.path / "scores.csv"
    target.write_text("old")
    disk.allow("ro")
    said = inside("score", "-o", str(target)).refused()
    assert "cannot be written to" in said or "Read-only" in said
    disk.allow("rw")
    assert target.read_text() == "old"


@pytest.mark.slow
def test_a_shop_that_cannot_be_written_to(rounds, made, disk, tmp_path):
    rounds(reduced=0, full=1)
    shop = copied(made, disk.path / "shop")
    disk.allow("ro")
    for arguments in (
        ("score", "-o", "scores.csv"),
        ("train", "churn", "--quick"),
        ("check",),
        ("report", "-o", "report.html"),
        ("actions", "-o", "actions.csv"),
    ):
        done = command(*arguments, folder=shop, TMPDIR=str(tmp_path))
        if done.code or arguments != ("check",):  # which need not write anything
            done.refused()
    disk.allow("rw")
    registry_is_whole(shop)
    command("score", "-o", "scores.csv", folder=shop).well()


@pytest.mark.slow
def test_no_room_for_temporary_files(rounds, shop, disk):
    rounds(reduced=0, full=1)
    old = (shop / "scores.csv").read_bytes()
    # With nothing free Python would take another folder: room for its trial, not for a model.
    disk.leave(8192)
    done = command("score", "-o", "scores.csv", folder=shop, TMPDIR=str(disk.path))
    assert "There is no room" in done.refused()
    assert (shop / "scores.csv").read_bytes() == old
    assert ledger_is_whole(shop) == 1
    assert not list(disk.path.glob("regulars-*"))
    disk.make_room()
    command("score", "-o", "scores.csv", folder=shop, TMPDIR=str(disk.path)).well()
    assert ledger_is_whole(shop) == 2
    assert not list(disk.path.glob("regulars-*"))
    registry_is_whole(shop)
