"""The registry: which version of a model is in use, and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from .. import console
from ..options import config_option, json_option
from ..show.promotion import show_history, show_promotion

__all__ = ["promote"]


@click.command()
@click.argument("model", required=False)
@click.option(
    "--to",
    type=(click.Choice(["champion"]), str),
    metavar="champion VERSION",
    help="Put a version into use: its number, or as a scored list has it (regulars-clv/3).",
)
@click.option("--rollback", is_flag=True, help="Go back to the champion before.")
@click.option("--history", is_flag=True, help="Show who was champion when, and why.")
@click.option("--why", metavar="TEXT", help="The reason; kept in the history.")
@config_option
@json_option
def promote(
    model: str | None,
    to: tuple[str, str] | None,
    rollback: bool,
    history: bool,
    why: str | None,
    config_path: Path,
    as_json: bool,
) -> None:
    """Choose by hand which version of a model is in use, or look at the past.

    MODEL is churn, clv, segments, next, uplift, or the name of a registered model. Left out it is
    churn, and for --history all of them.

    \b
    regulars promote churn --to champion 3 --why "version 4 contacts too many"
    regulars promote clv --rollback --why "totals too high since Monday"
    regulars promote --history

    Every training ends with a gate that does this by itself (docs/registry.md). A version is taken
    only if scoring could load it.
    """  # noqa: D301
    from ..config import load_config
    from ..promotion import champion_history, promote_version, roll_back

    if (to is not None) + rollback + history != 1:
        raise click.UsageError("Give one of --to champion VERSION, --rollback and --history.")
    if history:
        if why is not None:
            raise click.UsageError("--why goes with --to or --rollback.")
        found = champion_history(load_config(config_path), model)
        if as_json:
            console.show_json(
                {name: [reign.to_dict() for reign in reigns] for name, reigns in found.items()}
            )
        else:
            show_history(found)
        return
    if why is None:
        raise click.UsageError('Say why, for whoever looks later: --why "..."')
    config = load_config(config_path)
    if to is not None:
        made = promote_version(config, model, to[1], why)
    else:
        made = roll_back(config, model, why)
    if as_json:
        console.show_json(asdict(made))
    else:
        show_promotion(made)
