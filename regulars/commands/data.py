"""To look at the data: is it fit to learn from, and what is known of each customer."""

import datetime as dt
from pathlib import Path

import click

from .. import console
from ..options import DATE, FOLDER, config_option, json_option, output_option
from ..show.data import show_breaks, show_label, show_profile, show_quality

__all__ = ["check", "snapshot"]


@click.command()
@config_option
@click.option("--figures", type=FOLDER, help="Folder for label.png, the label in a picture.")
@json_option
def check(config_path: Path, figures: Path | None, as_json: bool) -> None:
    """Read and validate the tables, profile them, and say whether they suffice for training.

    It also looks at the label: how often those called churned come back, and which horizon
    would suit these customers; and for breaks: missing days, renamed customers, repeated loads.
    """
    from features.breaks import find_breaks
    from features.label_report import label_report
    from features.profile import profile

    from ..config import load_config
    from ..figures import write_label_figure
    from ..jobs import open_configured_ledger
    from ..settings import label_spec

    config = load_config(config_path)
    spec = label_spec(config)
    ledger = open_configured_ledger(config)
    found = profile(ledger, spec.horizon_days, spec.gap_days, spec.eligibility)
    label = label_report(ledger, spec, found.churn)
    breaks = find_breaks(ledger)
    picture = None if figures is None else write_label_figure(label, figures)
    if as_json:
        quality = ledger.quality
        console.show_json(
            {
                "quality": quality.to_dict(),
                "skipped": quality.skipped,
                "profile": found.to_dict(),
                "label": label.to_dict(),
                "breaks": [one.to_dict() for one in breaks],
                **({} if picture is None else {"figures": [str(picture)]}),
            }
        )
        return
    show_quality(ledger.quality, config.quarantine)
    show_profile(found)
    show_label(label)
    show_breaks(breaks)
    if picture is not None:
        console.say(f"Wrote {picture}.")


@click.command()
@config_option
@click.option("--cutoff", type=DATE, required=True, help="Everything before this day is known.")
@output_option
def snapshot(config_path: Path, cutoff: dt.datetime, output: Path) -> None:
    """Write one row a customer: features at a cutoff, labels where the horizon has closed."""
    from features.snapshot import build_snapshot
    from features.window import ObservationWindow
    from models.btyd.features import btyd_features
    from serving.batch import check_output, write_list

    from ..config import load_config
    from ..jobs import open_configured_ledger
    from ..outputs import check_not_source

    check_output(output)
    config = load_config(config_path)
    check_not_source(config, output)
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
