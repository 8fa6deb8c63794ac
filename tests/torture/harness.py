"""The real command line as a process that something happens to, and what must hold afterwards."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import pyarrow.parquet as pq

from features.scratch import PREFIX
from models.artifact import read_card
from regulars.cli import run
from serving.registry import CHURN, CLV, load
from serving.score_ledger import parse_score_ledger, read_lists, read_scores
from training.tracking import Tracking

ROOT = Path(__file__).parents[2]
CRASH = Path(__file__).with_name("crash.py")
READY = "Reading tables"  # on standard error: everything is imported, the work begins
_SAID = tempfile.TemporaryDirectory(prefix="said-")
LONGEST = 600  # seconds: nothing hangs


@dataclass(frozen=True)
class Done:
    """What became of a command.

    Attributes:
        code: Its exit code; negative: the signal that ended it.
        out: What it printed.
        err: What it said on standard error.
        work: Seconds from the moment at which everything was imported.
    """

    code: int
    out: str
    err: str
    work: float

    def well(self) -> Done:
        """Itself, if it succeeded."""
        assert self.code == 0, self.err
        return self

    def refused(self) -> str:
        """What it said when it gave up: one message, and no traceback."""
        assert "Traceback" not in self.err, self.err
        assert self.code == 2, (self.code, self.err)
        assert "Error: " in self.err, self.err
        return self.err[self.err.index("Error: ") :]


@dataclass
class Process:
    """A running command, the head of a process group of its own."""

    popen: subprocess.Popen[bytes]
    said: Path
    ready_at: float = field(default=0.0)

    def until(self, what: Callable[[], bool], seconds: float = LONGEST) -> bool:
        """Wait until something is so; False when the process ended before."""
        end = time.monotonic() + seconds
        while not what():
            if self.popen.poll() is not None:
                return what()
            assert time.monotonic() < end, f"hangs: {self.read('.err')}"
            time.sleep(0.002)
        return True

    def read(self, suffix: str) -> str:
        """What it has printed so far."""
        return self.said.with_suffix(suffix).read_text(encoding="utf-8", errors="replace")

    def ready(self) -> Process:
        """Itself, when everything is imported and the work begins."""
        self.until(lambda: READY in self.read(".err"))
        self.ready_at = time.monotonic()
        return self

    def kill(self) -> None:
        """Kill -9 the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def done(self) -> Done:
        """Wait for its end."""
        try:
            self.popen.wait(LONGEST)
        finally:
            self.kill()
        work = time.monotonic() - (self.ready_at or time.monotonic())
        return Done(self.popen.returncode, self.read(".out"), self.read(".err"), work)


def start(
    arguments: Sequence[str], folder: Path, program: Sequence[str] = ("-m", "regulars"), **env: str
) -> Process:
    """Start a command in a folder."""
    said = Path(_SAID.name) / str(time.monotonic_ns())
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    if "TMPDIR" not in env:
        own["TMPDIR"] = str(temporary(folder))
    with said.with_suffix(".out").open("wb") as out, said.with_suffix(".err").open("wb") as err:
        popen = subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, **own, **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    return Process(popen, said)


def command(*arguments: str, folder: Path, **env: str) -> Done:
    """Run a command to its end."""
    return start(arguments, folder, **env).ready().done()


def crash_at(moment: int | str, trace: Path, *arguments: str, folder: Path) -> Done:
    """Run a command that dies before it changes the disk for the n-th time, or in this way.

    With 0 it does not.
    """
    return start((str(moment), str(trace), *arguments), folder, (str(CRASH),)).ready().done()


def temporary(folder: Path) -> Path:
    """Where the commands of a shop have their temporary files."""
    place = folder.with_name(f"{folder.name}-temporary")
    place.mkdir(exist_ok=True)
    return place


def store(folder: Path) -> str:
    """The address of a shop's MLflow store."""
    return f"sqlite:///{folder / 'mlflow.db'}"


def registry_is_whole(folder: Path, server: str = "") -> dict[str, str]:
    """Both champions load, and every registered version has all its files.

    Args:
        folder: The shop.
        server: Address of the MLflow server that has its store open; "": nobody has.

    Returns:
        Registered model -> version of the champion.
    """
    with closing(sqlite3.connect(folder / "mlflow.db")) as con:
        assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    uri = server or store(folder)
    client = mlflow.MlflowClient(uri, uri)
    for registered in client.search_registered_models():
        for version in client.search_model_versions(f"name = '{registered.name}'"):
            place = client.get_model_version_download_uri(version.name, version.version)
            with tempfile.TemporaryDirectory() as temporary:
                files = Path(place.removeprefix("file://"))
                if not files.is_absolute():  # the server has them
                    with Tracking(uri, "").here():
                        files = Path(mlflow.artifacts.download_artifacts(place, dst_path=temporary))
                read_card(files / "artifacts" / "model")
    return {name: load(name, tracking_uri=uri).version for name in (CHURN, CLV)}


def files_are_whole(folder: Path) -> None:
    """Nothing that looks like a result is half of one."""
    for path in folder.glob("quarantine/*.parquet"):
        pq.read_table(path)


def ledger_is_whole(folder: Path) -> int:
    """The score ledger opens, and each list in it has all its rows.

    Returns:
        How many lists it holds.
    """
    place = parse_score_ledger("score_ledger.duckdb", folder)
    assert place is not None
    lists = read_lists(place)
    for row in lists.itertuples():
        assert len(read_scores(place, row.list_id, ["customer_id"])) == row.customers
    return len(lists)


def leftovers(folder: Path) -> list[str]:
    """Temporary files in a shop's folder, and folders of commands that are gone."""
    found = [
        *folder.glob("**/.*.tmp"),
        *folder.glob("**/*.new"),
        *folder.glob("**/.*.parts"),
        *folder.glob("*.wal"),
        *folder.glob("**/*-journal"),
        *temporary(folder).glob(f"{PREFIX}*"),
    ]
    return sorted(path.name for path in found)


def running(folder: Path) -> list[str]:
    """Runs that the store takes to be still at work."""
    client = mlflow.MlflowClient(store(folder), store(folder))
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = client.search_runs(experiments, "attributes.status = 'RUNNING'")
    return [run.info.run_name or run.info.run_id for run in found]


def moments(trace: Path) -> list[str]:
    """What `crash_at` has noted: what the process changed, in order."""
    return [line.split("\t", 1)[1] for line in trace.read_text().splitlines()]


def inside(*arguments: str) -> Done:
    """Run a command in this process, which is faster; the working folder is the caller's."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*arguments])
    return Done(code, out.getvalue(), err.getvalue(), 0.0)
