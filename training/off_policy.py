"""What lists would have earned in past campaigns, with the effects that those really had.

Past campaigns whose arms were drawn at random tell what any list would have earned, without an
assumed save rate: among the customers on the list, those treated against those held back. It is the
effect of that campaign's offer, which need not be the one that is planned.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.campaigns import Campaign, campaign_outcomes, campaigns
from features.ledger import Ledger
from models.metrics.bootstrap import difference, distinct_customers, resampled_means
from models.metrics.inputs import Array
from models.uplift.balance import check_balance
from training.metrics.policies import MODEL
from training.policy_backtest import ALL, Moment, Terms, policy_lists

__all__ = ["NEAR", "off_policy", "off_policy_backtest"]

NEAR = dt.timedelta(days=45)
"""A forecast is used for a campaign that began so long after it, at most."""

_BEFORE = ["frequency", "recency", "T", "monetary_value", "purchases_before", "spend_before"]
_PERMUTATIONS = 199
_FEWEST = 20  # customers of an arm


def off_policy_backtest(
    ledger: Ledger,
    moments: Sequence[Moment],
    terms: Terms,
    *,
    window_days: int,
    margin: float = 1.0,
    replicates: int = 300,
    seed: int = 0,
) -> pd.DataFrame:
    """What the lists of the policies would have earned in the campaigns of the ledger.

    Each campaign is matched with the latest cutoff before it, `NEAR` at most; the lists are those
    that were to be had then. The outcome is margin x spend in the window - cost of the contacts.
    Campaigns whose arms do not look drawn at random are left out, and so are those with fewer than
    20 customers in an arm.

    Args:
        ledger: The trusted tables.
        moments: Cutoffs with forecasts that were made at them.
        terms: Offers and limits of a list.
        window_days: Days after the contact whose spend counts.
        margin: Share of spend that is profit.
        replicates: Resampled sets of customers behind the intervals.
        seed: Seed of the resampling and of the test for chance.

    Returns:
        The table of `off_policy` with `campaign` in front: "all" for all campaigns together where
        there are several, then each of them. No rows where no campaign fits.
    """
    parts: dict[str, _Part] = {}
    for campaign in campaigns(ledger):
        moment = _before(campaign, moments)
        if moment is None or not campaign.randomised:
            continue
        frame = campaign_outcomes(ledger, campaign.name, window_days=window_days)
        frame = frame[frame["treated"].notna() & frame.index.isin(moment.customers)]
        arm = frame["treated"].to_numpy(np.float64)
        if min(arm.sum(), (1.0 - arm).sum()) < _FEWEST:
            continue
        if not check_balance(frame[_BEFORE], arm, permutations=_PERMUTATIONS, seed=seed).random:
            continue
        place = pd.Index(moment.customers).get_indexer(frame.index)
        lists = policy_lists(moment, terms)
        parts[campaign.name] = _Part(
            margin * frame["spend"].to_numpy(np.float64) - frame["cost"].to_numpy(np.float64),
            arm,
            np.full(len(arm), arm.mean()),
            {name: each.share[place] for name, each in lists.items() if name != "oracle"},
            frame.index.to_numpy(object),
        )
    if len(parts) > 1:
        parts = {ALL: _together(list(parts.values())), **parts}
    found = []
    for name, part in parts.items():
        table = off_policy(
            part.outcome,
            part.arm,
            part.propensity,
            part.policies,
            part.customers,
            replicates=replicates,
            seed=seed,
        )
        table.insert(0, "campaign", name)
        found.append(table)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=_COLUMNS)


class _Part(NamedTuple):
    """The customers of a campaign, and who is on which list."""

    outcome: Array
    arm: Array
    propensity: Array
    policies: Mapping[str, Array]
    customers: npt.NDArray[np.object_]


def _together(parts: Sequence[_Part]) -> _Part:
    return _Part(
        np.concatenate([part.outcome for part in parts]),
        np.concatenate([part.arm for part in parts]),
        np.concatenate([part.propensity for part in parts]),
        {
            name: np.concatenate([part.policies[name] for part in parts])
            for name in parts[0].policies
        },
        np.concatenate([part.customers for part in parts]),
    )


_COLUMNS = [
    "campaign", "policy", "contacted", "gain", "low", "high", "minus_model", "minus_model_low",
    "minus_model_high", "treated", "control",
]  # fmt: skip


def _before(campaign: Campaign, moments: Sequence[Moment]) -> Moment | None:
    near = [m for m in moments if dt.timedelta(0) <= campaign.first_day - m.cutoff <= NEAR]
    return max(near, key=lambda m: m.cutoff, default=None)


def off_policy(
    outcome: npt.ArrayLike,
    treated: npt.ArrayLike,
    propensity: npt.ArrayLike,
    policies: Mapping[str, npt.ArrayLike],
    customers: npt.ArrayLike | None = None,
    *,
    model: str = MODEL,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """What lists would have earned in past campaigns whose arms were drawn at random.

    Inverse propensity weighting (Horvitz and Thompson 1952, JASA 47:663-685) of the customers whose
    arm is the one that the policy would have chosen, against contacting nobody: the mean over
    customers of share x (T Y / e - (1 - T) Y / (1 - e)). The mean outcome of each arm on the list
    is taken off first and added back, which removes most of the noise and no more than chance
    from the estimate (the self-normalised estimator: Hajek 1971; Swaminathan and Joachims 2015,
    NeurIPS 28:3231-3239).

    Args:
        outcome: Money that each customer brought after the contact, costs taken off.
        treated: 1 treatment, 0 control.
        propensity: Chance of the treatment arm, above 0 and below 1.
        policies: Policy -> how much of each customer is on its list, 0 to 1.
        customers: Customer of each row; None: every row is a customer of its own.
        model: The policy that the others are compared with.
        replicates: Resampled sets of customers behind the intervals.
        seed: Seed of the resampling.
        level: Of the intervals.

    Returns:
        One row a policy: `policy`, `contacted` (share), `gain`, `low`, `high` (money per customer
        of the base beyond contacting nobody), `minus_model`, `minus_model_low`,
        `minus_model_high`, `treated` and `control` (customers of the list in each arm). The gain is
        NaN where the list has nobody in one of the arms.

    Raises:
        ValueError: The arguments do not fit together.
    """
    y, arm = np.asarray(outcome, dtype=np.float64), np.asarray(treated, dtype=np.float64)
    e = np.broadcast_to(np.asarray(propensity, dtype=np.float64), y.shape)
    if y.shape != arm.shape or y.ndim != 1:
        raise ValueError(f"expected one outcome and one arm a row, got {y.shape}, {arm.shape}")
    if not np.isin(arm, (0.0, 1.0)).all() or not np.isfinite(y).all():
        raise ValueError("expected arms of 0 and 1, and finite outcomes")
    if not ((e > 0.0) & (e < 1.0)).all():
        raise ValueError("expected a chance of treatment above 0 and below 1 for everybody")
    code, clusters = distinct_customers(customers, y.size)
    share = {name: np.asarray(each, dtype=np.float64) for name, each in policies.items()}
    rows = np.stack([_gains(y, arm, e, each) for each in share.values()])
    drawn = resampled_means(rows, code, clusters, replicates, seed)
    mean, names = rows.mean(axis=1), list(share)
    ends = np.quantile(drawn, [0.5 * (1 - level), 0.5 * (1 + level)], axis=0)
    at = names.index(model)
    against = [
        difference(float(mean[i] - mean[at]), drawn[:, i] - drawn[:, at], level)
        for i in range(len(names))
    ]
    return pd.DataFrame(
        {
            "policy": names,
            "contacted": [float(each.mean()) for each in share.values()],
            "gain": mean,
            "low": ends[0],
            "high": ends[1],
            "minus_model": [each.value for each in against],
            "minus_model_low": [each.low for each in against],
            "minus_model_high": [each.high for each in against],
            "treated": [int(((each > 0.0) & (arm == 1.0)).sum()) for each in share.values()],
            "control": [int(((each > 0.0) & (arm == 0.0)).sum()) for each in share.values()],
        }
    )


def _gains(y: Array, arm: Array, e: Array, share: Array) -> Array:
    """What each customer's contact is estimated to have earned, weighted by their share."""
    if not share.any():
        return np.zeros_like(y)
    one, none = share * arm / e, share * (1.0 - arm) / (1.0 - e)
    if not (one.any() and none.any()):
        return np.full_like(y, np.nan)
    m1, m0 = (one * y).sum() / one.sum(), (none * y).sum() / none.sum()
    return np.asarray(one * (y - m1) - none * (y - m0) + share * (m1 - m0), dtype=np.float64)
