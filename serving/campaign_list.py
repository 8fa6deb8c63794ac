"""The list of a campaign: what to send to whom, whom to hold back, and what it comes to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from serving.actions import WHY
from serving.offers import Decision

__all__ = ["CAMPAIGN_COLUMNS", "campaign_list", "summarise"]

CAMPAIGN_COLUMNS = (
    "customer_id", "timestamp", "campaign", "arm", "cost", "offer", "rank", "expected_value",
    "value_if_kept", "churn_probability", "risk_tier", "value_tier", "reason_1", "reason_2",
    "reason_3",
)  # fmt: skip
"""Columns of a campaign list, in order. The first five are those of the table `contacts`."""


def campaign_list(plan: pd.DataFrame, scored: pd.DataFrame) -> pd.DataFrame:
    """The customers who are sent something and those held back, the best first.

    When the campaign is over, the file is the next period's table `contacts`: it says who was in
    which arm. Its `cost` is what was expected; better is what it came to.

    Args:
        plan: Of `serving.actions.plan`.
        scored: The scored list that it was made from, in the same order.

    Returns:
        One row a customer of either arm, with `CAMPAIGN_COLUMNS`: `timestamp` is the cutoff,
        `campaign` the offer's name and that day ("voucher-2025-07-01"), `cost` the expected one, 0
        in the control arm.
    """
    listed = np.asarray(plan["arm"].notna(), dtype=bool)
    rows, about = plan[listed], scored[listed]
    frame = rows.assign(
        timestamp=about["as_of"],
        campaign=rows["offer"] + "-" + about["as_of"].dt.strftime("%Y-%m-%d"),
        cost=rows["expected_cost"].round(2),
        **{name: about[name] for name in CAMPAIGN_COLUMNS if name not in plan and name in about},
    )
    return frame.sort_values("rank", ignore_index=True)[list(CAMPAIGN_COLUMNS)]


def summarise(plan: pd.DataFrame, decision: Decision) -> dict[str, Any]:
    """What a plan comes to.

    Args:
        plan: Of `serving.actions.plan`.
        decision: What it was made with.

    Returns:
        - `customers`; `actions`: action -> customers; `why`: reason for nothing -> customers;
        - `contacted`, `control`: customers of each arm;
        - `expected_value`, `expected_cost`: of all that is sent, in money;
        - `price`: what the last unit of the budget earns; 0 where the budget does not limit;
        - `offers`: for each offer `offer`, `effect`, `contacted`, `control`, `expected_value`,
          `expected_cost`, `break_even_effect`: the share of the effect believed in at which those
          contacted earn nothing, None where nobody is; and `break_even_save_rate`, that effect as
          a save rate, where one is assumed.
    """
    sent = plan[plan["arm"] == "treatment"]
    said = plan["why"].value_counts()
    offers = []
    for each in decision.offers:
        rows = sent[sent["offer"] == each.name]
        # A contact earns effect x (V - offer_cost) - what is given to those who stay anyway.
        given = float(rows["effect"].clip(lower=0.0).sum()) * each.offer.offer_cost
        gained = float(rows["expected_value"].sum() + rows["expected_cost"].sum()) - given
        share = (float(rows["expected_cost"].sum()) - given) / gained if len(rows) else None
        assumed = each.effect == "assumed"
        offers.append(
            {
                "offer": each.name,
                "effect": each.effect,
                "contacted": len(rows),
                "control": int(((plan["offer"] == each.name) & (plan["arm"] == "control")).sum()),
                "expected_value": float(rows["expected_value"].sum()),
                "expected_cost": float(rows["expected_cost"].sum()),
                "break_even_effect": share,
                "break_even_save_rate": None
                if share is None or not assumed
                else share * each.offer.save_rate,
            }
        )
    return {
        "customers": len(plan),
        "actions": {str(k): int(v) for k, v in plan["action"].value_counts().items()},
        "why": {why: int(said[why]) for why in WHY if why and why in said},
        "contacted": len(sent),
        "control": int((plan["arm"] == "control").sum()),
        "expected_value": float(sent["expected_value"].sum()),
        "expected_cost": float(sent["expected_cost"].sum()),
        "price": float(plan.attrs.get("price", 0.0)),
        "offers": offers,
    }
