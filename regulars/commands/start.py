"""To start with: a demonstration, a configuration for one's own data, a simulated shop."""

from pathlib import Path

import click

from .. import console
from ..options import FILE, FOLDER, seed_option

__all__ = ["demo", "init", "simulate"]


@click.command()
@click.argument("folder", type=FOLDER, default=Path("demo"))
@click.option("--customers", type=click.IntRange(200, 1_000_000), default=5000, show_default=True)
@seed_option
def demo(folder: Path, customers: int, seed: int) -> None:
    """Run the whole job on a simulated shop in FOLDER: simulate, check, train, score, report."""
    from ..demo import run_demo

    run_demo(folder, customers=customers, seed=seed)


@click.command()
@click.argument("folder", type=FOLDER, default=Path())
@click.option(
    "--transactions",
    type=FILE,
    help="The file of orders or order lines, or a quoted glob; columns are read off it.",
)
@click.option("--force", is_flag=True, help="Replace a regulars.toml that is there already.")
def init(folder: Path, transactions: Path | None, force: bool) -> None:
    """Write a commented regulars.toml in FOLDER, with the columns recognised in your file."""
    from ..init import write_config

    path, recognised = write_config(folder, transactions, force=force)
    for line in recognised:
        console.say(line)
    console.say(f"Wrote {path}. Look it over, then run: regulars check --config {path}")


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--customers", type=click.IntRange(1, 10_000_000), default=5000, show_default=True)
@click.option(
    "--days", type=click.IntRange(30, 3650), default=1095, show_default=True, help="History."
)
@seed_option
def simulate(folder: Path, customers: int, days: int, seed: int) -> None:
    """Write a synthetic shop with known truth to FOLDER: every table, and truth.parquet."""
    from features.simulate import simulate as simulate_shop

    simulation = simulate_shop(folder, customers=customers, days=days, seed=seed)
    console.show_table(
        f"Simulated shop in {folder}",
        ["file", "rows"],
        [[name, count] for name, count in simulation.rows.items()],
    )
