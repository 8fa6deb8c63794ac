"""What a training that was killed leaves in MLflow: runs that look as if they were still at work.

Each run says which process opened it. The next training closes those of processes that are gone,
as KILLED. A process of another machine cannot be seen; its runs are closed when they are a week
old. One that is closed by mistake is none the worse: at its end it is marked as what it became.
"""

import hashlib
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

__all__ = ["PROCESS", "close_dead_runs", "this_process"]

PROCESS = "regulars.process"
"""Tag of a run: the machine (as a hash), its start, the process and the process's start."""

ENDED = "regulars.ended"
"""Tag of a run that was closed by a later training: why."""

_LONGEST = 7 * 24 * 3600  # seconds: no training takes longer
_PAGE = 1000


def this_process() -> str:
    """What tells this process from every other."""
    return " ".join((*_machine(), str(os.getpid()), _start_of(os.getpid())))


def close_dead_runs(client: MlflowClient, experiment_id: str) -> int:
    """Mark runs as KILLED whose process has ended without closing them, and their models as failed.

    Returns:
        How many there were.
    """
    found = client.search_runs([experiment_id], "attributes.status = 'RUNNING'", max_results=_PAGE)
    dead = [run for run in found if PROCESS in run.data.tags and _gone(run)]
    for run in dead:
        run_id = run.info.run_id
        for model in client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"):
            if str(model.status) == "PENDING":
                client.finalize_logged_model(model.model_id, "FAILED")
        client.set_tag(run_id, ENDED, "The process was killed, or the machine went down.")
        client.set_terminated(run_id, "KILLED")
    return len(dead)


def _gone(run: Run) -> bool:
    host, boot, process, start = _parts(run.data.tags[PROCESS].split(" "))
    here, booted = _machine()
    if host != here:
        return time.time() - float(run.info.start_time) / 1000 > _LONGEST
    if boot != booted:
        return True
    return not process.isdecimal() or not _alive(int(process), start)


def _parts(said: Sequence[str]) -> tuple[str, str, str, str]:
    if len(said) != 4:
        return "", "", "", ""
    return said[0], said[1], said[2], said[3]


def _machine() -> tuple[str, str]:
    """A hash of the machine's name, and what tells one start of it from another."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    name = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]
    return name, boot.read_text().strip()[:13] if boot.is_file() else "-"


def _alive(process: int, start: str) -> bool:
    if os.name == "nt":  # where asking would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _start_of(process) == start


def _start_of(process: int) -> str:
    """When a process started, in the kernel's ticks; "-" where the system does not say.

    >>> _start_of(os.getpid()) == _start_of(os.getpid())
    True
    """
    try:
        said = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return "-"
    return said.rpartition(")")[2].split()[19]  # the name before it may hold anything
