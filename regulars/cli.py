"""The command line: each command reads the configuration, calls one part, and says what came out.

Heavy libraries are imported inside the commands, so that `--help` answers at once.
"""

import datetime as dt
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from features.errors import InputError

from . import console

if TYPE_CHECKING:
    from training.churn_panel import Effort

    from .config import Config
    from .tables import TableOptions

__all__ = ["app", "run"]

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_DATE = click.DateTime(formats=["%Y-%m-%d"])

LANGUAGES = ("en", "zh")
"""Those of `models.messages`, which would be slow to ask."""


def _config_option(command: F) -> F:
    return click.option(
        "-c",
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        default=Path("regulars.toml"),
        show_default=True,
        help="Configuration file, or the folder that holds it.",
    )(command)


def _json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")(
        command
    )


def _seed_option(command: F) -> F:
    return click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)(
        command
    )


def _table_options(*, training: bool) -> Callable[[F], F]:
    """The options of a plain table of customers; some only make sense in training."""
    options = [
        click.option(
            "--table", type=_FILE, help="A table of customers in place of a ledger: CSV or Parquet."
        ),
        click.option("--id", help="With --table: the column with the customer ids."),
        click.option("--name", help="With --table: the registered model."),
        click.option(
            "--decimal", type=click.Choice([".", ","]), help="With --table: the decimal mark."
        ),
    ]
    if training:
        options += [
            click.option("--label", help="With --table: the column that says who left."),
            click.option("--positive", help="With --table: the label of those who left."),
            click.option("--as-of", type=_DATE, help="With --table: the day on which it was true."),
        ]

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("regulars"), prog_name="regulars")
def app() -> None:
    """Which customers will stay, what each is worth, and whom to act on.

    On your own orders: `regulars init --transactions orders.csv`, `regulars train`,
    `regulars score -o scores.csv`. To look around first: `regulars demo`.
    """


@app.command()
@click.argument("folder", type=_FOLDER, default=Path("demo"))
@click.option("--customers", type=click.IntRange(200, 1_000_000), default=5000, show_default=True)
@_seed_option
def demo(folder: Path, customers: int, seed: int) -> None:
    """Run the whole job on a simulated shop in FOLDER: simulate, check, train, score, report."""
    from .demo import run_demo

    run_demo(folder, customers=customers, seed=seed)


@app.command()
@click.argument("folder", type=_FOLDER, default=Path())
@click.option(
    "--transactions",
    type=_FILE,
    help="The file of orders or order lines, or a quoted glob; columns are read off it.",
)
@click.option("--force", is_flag=True, help="Replace a regulars.toml that is there already.")
def init(folder: Path, transactions: Path | None, force: bool) -> None:
    """Write a commented regulars.toml in FOLDER, with the columns recognised in your file."""
    from .init import write_config

    path, recognised = write_config(folder, transactions, force=force)
    for line in recognised:
        console.say(line)
    console.say(f"Wrote {path}. Look it over, then run: regulars check --config {path}")


@app.command()
@click.argument("folder", type=_FOLDER)
@click.option("--customers", type=click.IntRange(1, 10_000_000), default=5000, show_default=True)
@click.option(
    "--days", type=click.IntRange(30, 3650), default=1095, show_default=True, help="History."
)
@_seed_option
def simulate(folder: Path, customers: int, days: int, seed: int) -> None:
    """Write a synthetic shop with known truth to FOLDER: every table, and truth.parquet."""
    from features.simulate import simulate as simulate_shop

    simulation = simulate_shop(folder, customers=customers, days=days, seed=seed)
    console.show_table(
        f"Simulated shop in {folder}",
        ["file", "rows"],
        [[name, count] for name, count in simulation.rows.items()],
    )


@app.command()
@_config_option
@click.option("--figures", type=_FOLDER, help="Folder for label.png, the label in a picture.")
@_json_option
def check(config_path: Path, figures: Path | None, as_json: bool) -> None:
    """Read and validate the tables, profile them, and say whether they suffice for training.

    It also looks at the label: how often those called churned come back, and which horizon
    would suit these customers.
    """
    from features.label_report import label_report
    from features.profile import profile

    from .config import load_config
    from .jobs import label_spec, open_configured_ledger, write_label_figure

    config = load_config(config_path)
    spec = label_spec(config)
    ledger = open_configured_ledger(config)
    found = profile(ledger, spec.horizon_days, spec.gap_days, spec.eligibility)
    label = label_report(ledger, spec, found.churn)
    picture = None if figures is None else write_label_figure(label, figures)
    if as_json:
        quality = ledger.quality
        console.show_json(
            {
                "quality": quality.to_dict(),
                "skipped": quality.skipped,
                "profile": found.to_dict(),
                "label": label.to_dict(),
                **({} if picture is None else {"figures": [str(picture)]}),
            }
        )
        return
    from .show import show_label, show_profile, show_quality

    show_quality(ledger.quality, config.quarantine)
    show_profile(found)
    show_label(label)
    if picture is not None:
        console.say(f"Wrote {picture}.")


@app.command()
@_config_option
@click.option("--cutoff", type=_DATE, required=True, help="Everything before this day is known.")
@click.option("-o", "--output", type=_FILE, required=True, help="A .parquet or .csv file.")
def snapshot(config_path: Path, cutoff: dt.datetime, output: Path) -> None:
    """Write one row a customer: features at a cutoff, labels where the horizon has closed."""
    from features.snapshot import build_snapshot
    from features.window import ObservationWindow
    from models.btyd.features import btyd_features
    from serving.batch import check_output, write_list

    from .config import load_config
    from .jobs import open_configured_ledger

    check_output(output)
    config = load_config(config_path)
    ledger = open_configured_ledger(config)
    window = ObservationWindow(
        ledger.first_day, cutoff.date(), config.churn.gap_days, config.churn.horizon_days
    )
    built = build_snapshot(ledger, window, settings=config.features)
    expected = btyd_features(built.rfm, config.churn.horizon_days)
    frame = built.features.join(expected).join(built.rfm)
    if built.labels is not None:
        frame = frame.join(built.labels)
    write_list(frame.reset_index(), output)
    labelled = "with labels" if built.labels is not None else "without labels: horizon still open"
    console.say(
        f"Wrote {len(frame):,} customers x {frame.shape[1]} columns to {output}, {labelled}."
    )


@app.command()
@click.argument(
    "what",
    type=click.Choice(["churn", "clv", "segments", "next", "uplift", "all"]),
    default="all",
)
@_config_option
@_table_options(training=True)
@click.option("--quick", "effort", flag_value="quick", help="Fewer churn candidates, no tuning.")
@click.option("--usual", "effort", flag_value="usual", default=True, help="The default.")
@click.option("--thorough", "effort", flag_value="thorough", help="Tune churn for much longer.")
@_seed_option
@_json_option
def train(
    what: str,
    config_path: Path,
    effort: "Effort",
    table: Path | None,
    id: str | None,  # noqa: A002
    name: str | None,
    decimal: Literal[".", ","] | None,
    label: str | None,
    positive: str | None,
    as_of: dt.datetime | None,
    seed: int,
    as_json: bool,
) -> None:
    """Fit the models, evaluate them out of time, log them to MLflow, and promote if better.

    With --table FILE --label COLUMN a churn model is trained on a plain table of customers whose
    label is given, such as contracts with a column that says who left.
    """
    from .config import load_config
    from .jobs import open_configured_ledger, train_models
    from .report import keep_report
    from .show import show_training, show_where_to_look
    from .tables import TableOptions, check_only_with_table, table_config, train_on_table

    if table is None:
        check_only_with_table(
            id=id, name=name, decimal=decimal, label=label, positive=positive, as_of=as_of
        )
        config = load_config(config_path)
        ledger = open_configured_ledger(config)
        results = train_models(config, ledger, what, seed=seed, effort=effort)
        keep_report(config, ledger, results)
    else:
        if what not in ("churn", "all"):
            raise click.UsageError("A table trains a churn model: regulars train churn --table ...")
        config = table_config(config_path)
        day = as_of.date() if as_of else None
        options = TableOptions(table, id, decimal, name, label, positive, day)
        results = [train_on_table(config, options, seed=seed)]
    if as_json:
        console.show_json([result.to_dict() for result in results])
        return
    for result in results:
        show_training(result)
    show_where_to_look(config)


@app.command()
@_config_option
@click.option("-o", "--output", type=_FILE, required=True, help="A .parquet or .csv file.")
@click.option(
    "--figures",
    type=_FOLDER,
    help="Folder for the pictures. Default: beside the output, named after it.",
)
@_seed_option
@_json_option
def backtest(
    config_path: Path, output: Path, figures: Path | None, seed: int, as_json: bool
) -> None:
    """Measure every candidate and baseline at rolling cutoffs; writes one long table."""
    from serving.batch import check_output, write_list

    from .config import load_config
    from .jobs import backtest_models, open_configured_ledger, write_figures
    from .show import show_backtest, summarise_backtest

    check_output(output)
    config = load_config(config_path)
    result = backtest_models(config, open_configured_ledger(config), seed=seed)
    write_list(result.table, output)
    folder = figures or output.parent / f"{output.name.split('.')[0]}_figures"
    pictures = write_figures(result, folder)
    if as_json:
        written = {"output": str(output), "figures": [str(path) for path in pictures]}
        console.show_json({**written, **summarise_backtest(result)})
        return
    show_backtest(result)
    console.say(f"Wrote {len(result.table):,} measurements to {output}, pictures to {folder}.")


@app.command()
@click.argument("list_path", metavar="[LIST]", type=_FILE, required=False)
@_config_option
@click.option("-o", "--output", type=_FILE, required=True, help="A .parquet or .csv file.")
@click.option("--cutoff", type=_DATE, help="Score as of this day. Default: the day after the last.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", help="Of the reasons.")
@_table_options(training=False)
@_json_option
def score(
    list_path: Path | None,
    config_path: Path,
    output: Path,
    cutoff: dt.datetime | None,
    language: str,
    table: Path | None,
    id: str | None,  # noqa: A002
    name: str | None,
    decimal: Literal[".", ","] | None,
    as_json: bool,
) -> None:
    """Score the customers in LIST, a file with a customer_id column (default: everyone).

    With --table FILE the customers of a table are scored by the model that was trained on one.
    """
    from serving.batch import check_output, read_list, write_list

    from .config import load_config
    from .jobs import open_configured_ledger, score_customers
    from .show import show_scored, summarise_scored
    from .tables import TableOptions, check_only_with_table, table_config

    check_output(output)
    ids = None if list_path is None else read_list(list_path)
    if table is not None:
        if cutoff is not None:
            raise click.UsageError("A table holds one moment only: leave out --cutoff.")
        options = TableOptions(table, id, decimal, name, language=language)
        _score_table(table_config(config_path), options, ids, output, as_json)
        return
    check_only_with_table(id=id, name=name, decimal=decimal)
    config = load_config(config_path)
    ledger = open_configured_ledger(config)
    day = cutoff.date() if cutoff else None
    scored = score_customers(config, ledger, day, ids, language=language).frame
    write_list(scored, output)
    if as_json:
        console.show_json({"output": str(output), **summarise_scored(scored)})
        return
    show_scored(scored)
    console.say(f"Wrote {len(scored):,} customers to {output}.")


def _score_table(
    config: "Config", options: "TableOptions", ids: list[str] | None, output: Path, as_json: bool
) -> None:
    from serving.batch import write_list

    from .tables import score_customer_table, show_scored_table, summarise_scored_table

    scored = score_customer_table(config, options, ids)
    write_list(scored, output)
    if as_json:
        console.show_json({"output": str(output), **summarise_scored_table(scored)})
        return
    show_scored_table(scored)
    console.say(f"Wrote {len(scored):,} customers to {output}.")


@app.command()
@_config_option
@click.option("-o", "--output", type=_FILE, required=True, help="A .parquet or .csv file.")
@click.option(
    "--cutoff", type=_DATE, help="Decide as of this day. Default: the day after the last."
)
@click.option("--offer", "offers", multiple=True, help="Only this offer; may be repeated.")
@click.option("--budget", type=click.FloatRange(min=0), help="Most that the list may cost.")
@click.option("--list-size", type=click.IntRange(min=1), help="Most customers to contact.")
@click.option(
    "--control-share",
    type=click.FloatRange(0, 1, max_open=True),
    help="Share held back by lot, so that the campaign can be measured.",
)
@click.option("--plan", "plan_path", type=_FILE, help="A file for the whole plan: everyone, why.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", help="Of the reasons.")
@_json_option
def actions(
    config_path: Path,
    output: Path,
    cutoff: dt.datetime | None,
    offers: tuple[str, ...],
    budget: float | None,
    list_size: int | None,
    control_share: float | None,
    plan_path: Path | None,
    language: str,
    as_json: bool,
) -> None:
    """Write the list of a campaign: whom to send which offer, and whom to hold back.

    The offers, their costs and the limits stand under [decision] of the configuration. The file can
    be read as the table contacts when the campaign is over, to measure it.
    """
    from serving.batch import check_output, write_list
    from serving.campaign_list import campaign_list, summarise

    from .actions import changed, show_plan
    from .config import load_config
    from .jobs import decision, open_configured_ledger, score_customers

    for path in filter(None, (output, plan_path)):
        check_output(path)
    config = load_config(config_path)
    chosen = changed(
        decision(config),
        offers=offers,
        budget=budget,
        list_size=list_size,
        control_share=control_share,
    )
    ledger = open_configured_ledger(config)
    day = cutoff.date() if cutoff else None
    scores = score_customers(config, ledger, day, None, language=language, chosen=chosen)
    listed = campaign_list(scores.plan, scores.frame)
    write_list(listed, output)
    if plan_path is not None:
        write_list(scores.plan, plan_path)
    summary = summarise(scores.plan, chosen)
    if as_json:
        console.show_json({"output": str(output), **summary})
        return
    show_plan(summary)
    console.say(
        f"Wrote {summary['contacted']:,} customers to contact and {summary['control']:,} to hold "
        f"back to {output}."
    )


@app.command()
@_config_option
@click.option("-o", "--output", type=_FILE, required=True, help="A .parquet or .csv file.")
@click.option("--cutoff", type=_DATE, help="As of this day. Default: the day after the last.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", help="Of the clusters.")
@_json_option
def segments(
    config_path: Path, output: Path, cutoff: dt.datetime | None, language: str, as_json: bool
) -> None:
    """Write the segments of every customer: RFM, value and risk, cluster, next category.

    Cut points are those of `regulars train segments`, so that a customer changes segment because of
    itself. docs/segments.md defines each segment and says what to do with it.
    """
    from serving.batch import check_output, write_list

    from .config import load_config
    from .jobs import open_configured_ledger, score_customers
    from .segments import segment_scores, show_segments, summarise

    check_output(output)
    config = load_config(config_path)
    ledger = open_configured_ledger(config)
    scores = score_customers(config, ledger, cutoff.date() if cutoff else None, None)
    found = segment_scores(config, ledger, scores, language=language)
    write_list(found.frame, output)
    if as_json:
        console.show_json({"output": str(output), **summarise(found, scores.frame)})
        return
    show_segments(found, scores.frame)
    console.say(f"Wrote {len(found.frame):,} customers to {output}.")


@app.command()
@_config_option
@click.option("-o", "--output", type=_FILE, required=True, help="A .parquet or .csv file.")
@click.option(
    "--by", type=click.Choice(["month", "quarter", "year"]), default="month", show_default=True
)
@click.option(
    "--segment",
    "segments",
    multiple=True,
    metavar="COLUMN",
    help="Also by this attribute of customers, or by cohort; may be repeated.",
)
@click.option("--no-models", is_flag=True, help="Leave out what the registered models tell.")
@_json_option
def measures(
    config_path: Path,
    output: Path,
    by: Literal["month", "quarter", "year"],
    segments: tuple[str, ...],
    no_models: bool,
    as_json: bool,
) -> None:
    """Write the measures of the business, by period and segment, as one long table.

    Repeat purchases, retention and churn, lifetime value, acquisition cost, loyalty, what customers
    say, and more: docs/measures.md defines each. What a missing table makes impossible is said.
    """
    from serving.batch import check_output, write_list

    from .config import load_config
    from .jobs import open_configured_ledger
    from .measures import measure_business, show_measures, summarise_measures

    check_output(output)
    config = load_config(config_path)
    ledger = open_configured_ledger(config)
    found = measure_business(config, ledger, by=by, segments=segments, models=not no_models)
    write_list(found.frame, output)
    if as_json:
        written = {"output": str(output), "rows": len(found.frame)}
        console.show_json({**written, **summarise_measures(found)})
        return
    show_measures(found)
    console.say(f"Wrote {len(found.frame):,} figures to {output}.")


@app.command()
@_config_option
@click.option("--effect", type=float, help="Rise of the share of buyers to see, such as 0.02.")
@click.option("--cost", type=click.FloatRange(min=0), help="Of treating one customer.")
@click.option("--value", type=click.FloatRange(min=0, min_open=True), help="Of one more buyer.")
@click.option("--base", type=click.FloatRange(0, 1, min_open=True, max_open=True))
@click.option(
    "--treated-share", type=click.FloatRange(0, 1, min_open=True, max_open=True), multiple=True
)
@click.option("--power", "chance", type=click.FloatRange(0, 1, min_open=True, max_open=True))
@_json_option
def power(
    config_path: Path,
    effect: float | None,
    cost: float | None,
    value: float | None,
    base: float | None,
    treated_share: tuple[float, ...],
    chance: float | None,
    as_json: bool,
) -> None:
    """How many customers, and days, a campaign's experiment needs to see an effect worth its cost.

    The base is the share of active customers who bought in the last window of the data
    ([campaigns] window_days); the effect, unless it is given, the one that pays for the cost under
    [decision].
    """
    from .campaigns import plan_experiment, show_experiment
    from .config import load_config
    from .jobs import open_configured_ledger

    config = load_config(config_path)
    ledger = open_configured_ledger(config)
    planned = plan_experiment(
        config,
        ledger,
        effect=effect,
        cost=cost,
        value=value,
        base=base,
        treated_shares=treated_share,
        power=0.8 if chance is None else chance,
    )
    if as_json:
        console.show_json(planned)
        return
    show_experiment(planned)


@app.command()
@_config_option
@click.option("-o", "--output", type=_FILE, required=True, help="An .html file.")
@click.option("--cutoff", type=_DATE, help="Score as of this day. Default: the day after the last.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--title", help="Heading of the page.")
@click.option("--currency", default="", help='Put before every amount, such as "£".')
@click.option(
    "--top",
    type=click.IntRange(0, 1000),
    default=25,
    show_default=True,
    help="Customers on the list to act on.",
)
@click.option("--hide-ids", is_flag=True, help="Show a number in place of each customer's id.")
def report(
    config_path: Path,
    output: Path,
    cutoff: dt.datetime | None,
    language: Literal["en", "zh"],
    title: str | None,
    currency: str,
    top: int,
    hide_ids: bool,
) -> None:
    """Write the page people look at: one self-contained HTML file that opens offline."""
    from serving.batch import check_output, write_text
    from serving.report import Options

    from .config import load_config
    from .jobs import open_configured_ledger, score_customers
    from .report import render_report

    check_output(output, text=True)
    config = load_config(config_path)
    ledger = open_configured_ledger(config)
    day = cutoff.date() if cutoff else None
    scores = score_customers(config, ledger, day, None, language=language)
    options = Options(title, language, currency, top, hide_ids)
    write_text(render_report(config, ledger, scores, options), output)
    console.say(f"Wrote {output}.")


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code.

    Returns:
        0 when it is done, 2 when the input or the configuration is wrong (one clear message
        on standard error), 130 when interrupted, 1 when the fault is ours (with a traceback).
    """
    from features.progress import reporting

    if not sys.warnoptions:
        # Warnings of libraries are for developers, who see them as errors in the tests.
        warnings.simplefilter("ignore")
    for noisy in ("mlflow", "alembic", "pymc", "pytensor", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with _interrupts() as interrupted:
        try:
            with reporting(console.reporter()):
                app.main(args=arguments, prog_name="regulars", standalone_mode=False)
        except click.exceptions.Exit as done:
            return done.exit_code
        except InputError as problem:
            if interrupted.is_set():
                return _say_interrupted()
            click.echo(f"Error: {problem}", err=True)
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

            if interrupted.is_set():  # the engine answers Ctrl-C with an error of its own
                return _say_interrupted()
            if isinstance(problem, ModelError):
                click.echo(f"Error: {problem}", err=True)
                return 2
            traceback.print_exc()
            click.echo(
                "This is a defect of Regulars, not of your data. Please report it.", err=True
            )
            return 1
    return 0


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
