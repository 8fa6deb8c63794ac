"""Look after a business and its models, by what the configuration says."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from .settings import monitor_settings, score_ledger

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.monitor import Monitoring

    from .config import Config

__all__ = ["watch_business"]


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
        ),
    )
