"""To act: how large a campaign has to be to be measured, and whom to send what."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from .. import console
from ..options import DATE, FILE, LANGUAGES, config_option, json_option, output_option
from ..show.campaign import show_experiment, show_plan

__all__ = ["actions", "power"]


@click.command()
@config_option
@click.option("--effect", type=float, help="Rise of the share of buyers to see, such as 0.02.")
@click.option("--cost", type=click.FloatRange(min=0), help="Of treating one customer.")
@click.option("--value", type=click.FloatRange(min=0, min_open=True), help="Of one more buyer.")
@click.option("--base", type=click.FloatRange(0, 1, min_open=True, max_open=True))
@click.option(
    "--treated-share", type=click.FloatRange(0, 1, min_open=True, max_open=True), multiple=True
)
@click.option("--power", "chance", type=click.FloatRange(0, 1, min_open=True, max_open=True))
@json_option
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
    from ..campaigns import plan_experiment
    from ..config import load_config
    from ..jobs import open_configured_ledger

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


@click.command()
@config_option
@output_option
@click.option("--cutoff", type=DATE, help="Decide as of this day. Default: the day after the last.")
@click.option("--offer", "offers", multiple=True, help="Only this offer; may be repeated.")
@click.option("--budget", type=click.FloatRange(min=0), help="Most that the list may cost.")
@click.option("--list-size", type=click.IntRange(min=1), help="Most customers to contact.")
@click.option(
    "--control-share",
    type=click.FloatRange(0, 1, max_open=True),
    help="Share held back by lot, so that the campaign can be measured.",
)
@click.option("--plan", "plan_path", type=FILE, help="A file for the whole plan: everyone, why.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", help="Of the reasons.")
@json_option
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

    from ..config import load_config
    from ..jobs import open_configured_ledger, score_customers
    from ..outputs import check_not_source
    from ..records import recorded
    from ..settings import changed, decision

    for path in filter(None, (output, plan_path)):
        check_output(path)
    config = load_config(config_path)
    check_not_source(config, output, plan_path)
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
    as_of = scores.frame["as_of"].iloc[0].date()
    with recorded(
        config, ledger, as_of, scores.churn, scores.clv, scores.decision, whole=True
    ) as record:
        write_list(listed, output)
        if plan_path is not None:
            write_list(scores.plan, plan_path)
        record(scores.frame, scores.plan)
    summary = summarise(scores.plan, chosen)
    if as_json:
        console.show_json({"output": str(output), **summary})
        return
    show_plan(summary)
    console.say(
        f"Wrote {summary['contacted']:,} customers to contact and {summary['control']:,} to hold "
        f"back to {output}."
    )
