"""To forget customers who ask for it, or whose data has had its time."""

from __future__ import annotations

from pathlib import Path

import click

from .. import console
from ..options import FILE, config_option, json_option
from ..show.forget import show_forgotten, summarise_forgotten

__all__ = ["forget"]


@click.command()
@click.argument("ids", metavar="[CUSTOMER_ID]...", nargs=-1)
@click.option("--list", "list_path", type=FILE, help="A file with a customer_id column.")
@config_option
@click.option(
    "--in",
    "named",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Also take them out of this file, or of all lists in this folder; may be repeated.",
)
@click.option(
    "--to",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="Also out of this table of scores, written as for `regulars score --to`; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Only say where they are.")
@json_option
def forget(
    ids: tuple[str, ...],
    list_path: Path | None,
    config_path: Path,
    named: tuple[Path, ...],
    addresses: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take customers out of everything that Regulars has written, and say what remains.

    The score ledger, lists and reports beside the configuration, quarantined rows, and what is
    named. The source is only read: delete them there first. Write -- before an id that starts with
    a hyphen. Exit code 3 when they remain somewhere, or a place could not be read; with --dry-run,
    when they would.
    """
    from serving.database import parse_target
    from serving.id_list import read_list

    from ..config import load_config
    from ..forget import forget_customers

    wanted = [text.strip() for text in ids]
    if list_path is not None:
        wanted += read_list(list_path)
    if not wanted or "" in wanted:
        raise click.UsageError("Say whom to forget: CUSTOMER_ID, --list FILE, or both.")
    wanted = list(dict.fromkeys(wanted))
    targets = [parse_target(address) for address in addresses]
    config = load_config(config_path)
    places = forget_customers(config, wanted, named=named, targets=targets, apply=not dry_run)
    if as_json:
        console.show_json(summarise_forgotten(wanted, places))
    else:
        show_forgotten(wanted, places)
    # A store of models on a server is never looked into, and holds no customers.
    seen = [place for place in places if place.kind != "models" or place.state == "remains"]
    if any(place.state in ("remains", "unread") for place in seen):
        raise click.exceptions.Exit(3)
