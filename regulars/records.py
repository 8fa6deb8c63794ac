"""Record scored lists where the configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .settings import score_ledger

if TYPE_CHECKING:
    import datetime as dt
    from contextlib import AbstractContextManager

    from features.ledger import Ledger
    from serving.offers import Decision
    from serving.recording import Record
    from serving.registry import RegisteredModel

    from .config import Config

__all__ = ["recorded"]


def recorded(
    config: Config,
    ledger: Ledger,
    as_of: dt.date,
    churn: RegisteredModel,
    clv: RegisteredModel,
    decision: Decision | None,
    *,
    whole: bool,
) -> AbstractContextManager[Record]:
    """Record a list in the score ledger, if there is to be one; see `serving.recording`.

    Args:
        config: Says where the score ledger is.
        ledger: The tables that were scored.
        as_of: The cutoff.
        churn: The churn model.
        clv: The value model.
        decision: What could be sent.
        whole: Whether everyone was scored.
    """
    from serving.recording import recording
    from serving.score_ledger import list_facts

    facts = list_facts(
        as_of, churn, clv, whole=whole, data_until=ledger.last_day, decision=decision
    )
    return recording(score_ledger(config), facts)
