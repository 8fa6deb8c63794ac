"""The command line: the group of all commands, and what becomes of their errors.

The commands are in `commands/`, the options they share in `options.py`.
"""

import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from types import FrameType

import click

from features.errors import InputError

from . import console
from .commands.business import measures, report
from .commands.campaign import actions, power
from .commands.data import check, snapshot
from .commands.forget import forget
from .commands.learn import backtest, train
from .commands.monitor import monitor
from .commands.registry import promote
from .commands.score import score, segments
from .commands.serve import serve
from .commands.start import demo, init, simulate

__all__ = ["app", "run"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("regulars"), prog_name="regulars")
def app() -> None:
    """Which customers will stay, what each is worth, and whom to act on.

    On your own orders: `regulars init --transactions orders.csv`, `regulars train`,
    `regulars score -o scores.csv`. To look around first: `regulars demo`.
    """


for _command in (
    *(demo, init, simulate),
    *(check, snapshot),
    *(train, backtest, promote),
    *(score, segments, serve),
    *(power, actions),
    *(measures, report),
    *(monitor, forget),
):
    app.add_command(_command)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code.

    Returns:
        0 when it is done, 3 when it is done and found something that needs a person, 2 when the
        input or the configuration is wrong (one clear message on standard error), 130 when
        interrupted, 1 when the fault is ours (with a traceback).
    """
    from features.progress import reporting
    from features.scratch import own_scratch

    if not sys.warnoptions:
        # Warnings of libraries are for developers, who see them as errors in the tests.
        warnings.simplefilter("ignore")
    for noisy in ("mlflow", "alembic", "pymc", "pytensor", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # It prints a traceback of each error that it raises; what is told is up to us.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    with _interrupts() as interrupted:
        try:
            with own_scratch(), reporting(console.reporter()):
                # What a command returns is None; what it exits with comes back as a number.
                code = app.main(args=arguments, prog_name="regulars", standalone_mode=False)
        except click.exceptions.Exit as done:
            return done.exit_code
        except InputError as problem:
            if interrupted.is_set():
                return _say_interrupted()
            click.echo(console.printable(f"Error: {problem}"), err=True)
            return 2
        except click.ClickException as problem:
            problem.show()
            return 2
        except (click.Abort, KeyboardInterrupt):
            return _say_interrupted()
        except BrokenPipeError:
            # The reader of our output went away (`| head`): nothing is wrong.
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
            return 0
        except Exception as problem:
            from models.base import ModelError

            from .trouble import explained

            if interrupted.is_set():  # the engine answers Ctrl-C with an error of its own
                return _say_interrupted()
            if isinstance(problem, ModelError):
                click.echo(console.printable(f"Error: {problem}"), err=True)
                return 2
            if (known := explained(problem)) is not None:
                click.echo(console.printable(f"Error: {known}"), err=True)
                return 2
            traceback.print_exc()
            click.echo(
                "This is a defect of Regulars, not of your data. Please report it.", err=True
            )
            return 1
    return code if isinstance(code, int) else 0


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Note a Ctrl-C, whatever a library makes of the `KeyboardInterrupt` that it raises."""
    seen = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        seen.set()
        signal.default_int_handler(number, frame)

    usual = signal.default_int_handler
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not usual
    ):
        yield seen
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, usual)


def _say_interrupted() -> int:
    click.echo("Interrupted; earlier output is untouched.", err=True)
    return 130
