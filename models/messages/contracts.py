"""What can be said about a customer's contract: its age, its fee and plan, when it renews."""

from __future__ import annotations

import numpy as np

from .message import Columns, Floats, Message, Topic, at_least, below, topic, ways

__all__ = ["CONTRACT_TOPICS"]


def _change(c: Columns) -> Floats:
    return np.asarray(np.abs(c["contract_fee_change"]))


_AGE = (
    Message("subscribed", ("subscribed_days",)),
    Message("contract_age", ("contract_days",)),
)
_PLAN = (Message("contract_plan", ("contract_plan",)), *_AGE)
_FEE = (Message("contract_fee", ("contract_fee",)), *_AGE)

CONTRACT_TOPICS: tuple[Topic, ...] = (
    topic("contract", *_AGE, about=["subscribed_days"]),
    *(
        topic("contract", Message(key, (name,)), *_AGE, about=[name])
        for key, name in (
            ("contract_age", "contract_days"),
            ("first_contract", "subscriber_days"),
            ("contracts_so_far", "n_contracts"),
            ("contracts_running", "n_running_contracts"),
            ("month_renewal", "days_to_month_renewal"),
            ("year_renewal", "days_to_year_renewal"),
        )
    ),
    topic(
        "contract",
        Message("contract_lapses", ("n_lapses",), when=at_least("n_lapses", 0.5)),
        Message("no_contract_lapse", ("n_lapses",)),
        *_AGE,
        about=["n_lapses"],
    ),
    topic("contract", *_FEE, about=["contract_fee"]),
    topic(
        "contract",
        *ways(
            "fee_rose",
            "contract_fee_change",
            by=[(at_least("contract_fee_change", 0.005), 1)],
            change=_change,
        ),
        *ways(
            "fee_fell",
            "contract_fee_change",
            by=[(below("contract_fee_change", -0.005), -1)],
            change=_change,
        ),
        Message("fee_kept", ("contract_fee_change",)),
        *_FEE,
        about=["contract_fee_change"],
    ),
    topic("contract", *_PLAN, about=["contract_plan"]),
    topic(
        "contract",
        Message(
            "plan_changed",
            ("contract_plan_changed",),
            when=at_least("contract_plan_changed", 0.5),
        ),
        Message("plan_kept", ("contract_plan_changed",)),
        *_PLAN,
        about=["contract_plan_changed"],
    ),
)
"""What can be said about a customer's contract."""
