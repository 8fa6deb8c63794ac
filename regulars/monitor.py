"""Look after a business and its models, by what the configuration says."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from features.errors import InputError

from .settings import monitor_settings, score_ledger

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.monitor import Monitoring
    from serving.standing import InUse

    from .config import Config

__all__ = ["asked_today", "champions_in_use", "watch_business"]


def asked_today(config: Config, cutoff: dt.date | None) -> dt.date | None:
    """The shop's day, to tell whether data still arrives; None for a cutoff that was asked for.

    Whoever asks about a day in the past knows that it is not today.
    """
    return None if cutoff else dt.datetime.now(ZoneInfo(config.source.timezone)).date()


def watch_business(
    config: Config, ledger: Ledger, cutoff: dt.date | None = None, *, today: dt.date | None = None
) -> Monitoring:
    """Gather everything that is watched.

    Args:
        config: Says where everything is, and the limits.
        ledger: The trusted tables.
        cutoff: Everything before its midnight is known; the day after the last when None.
        today: To tell whether data still arrives; None: that is not asked.
    """
    from serving.drift import DriftSettings
    from serving.monitor import Watch, monitor

    return monitor(
        ledger,
        cutoff,
        Watch(
            config.mlflow.tracking_uri,
            score_ledger(config),
            monitor_settings(config),
            DriftSettings(config.monitor.drift_exempt),
            config.features,
            today,
            champions_in_use(config),
        ),
    )


def champions_in_use(config: Config) -> dict[str, InUse]:
    """How each champion came to be that; without those of which the registry tells nothing."""
    from serving.registry import CHURN, CLV
    from serving.standing import InUse

    from .promotion import champion_history

    found = {}
    for name in (CHURN, CLV):
        try:
            reigns = champion_history(config, name)[name]
        except InputError:  # monitoring finds it, too, and says so
            continue
        if reigns:
            now = reigns[-1]
            since = dt.datetime.fromisoformat(now.since).date()
            found[name] = InUse(since, now.way, now.why, now.by)
    return found
