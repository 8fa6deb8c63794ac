"""What a purchase model knows about each customer, as features for the churn model."""

from __future__ import annotations

import pandas as pd

from .modified_beta_geo import ModifiedBetaGeoNBD

__all__ = ["BTYD_FEATURES", "btyd_features"]

BTYD_FEATURES = ("p_alive", "probability_no_purchase", "expected_purchases")


def btyd_features(rfm: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """Fit MBG/NBD to these customers and say what it expects of each of them.

    The posterior mode under the weak prior: deterministic, and as good as the full posterior
    for a point feature. Only what happened before the cutoff of `rfm` enters.

    Args:
        rfm: Columns frequency, recency and T (weeks). Not changed.
        horizon_days: Days after the cutoff to look ahead.

    Returns:
        A frame on the index of `rfm` with `p_alive`, `probability_no_purchase` (in the horizon)
        and `expected_purchases` (in the horizon).

    Raises:
        ModelError: Impossible rows, or nobody has bought twice.
    """
    model = ModifiedBetaGeoNBD().fit(rfm, method="map")
    weeks = horizon_days / 7.0
    values = (
        model.probability_alive(rfm),
        model.probability_no_purchase(rfm, weeks),
        model.expected_purchases(rfm, weeks),
    )
    return pd.DataFrame(dict(zip(BTYD_FEATURES, values, strict=True)), index=rfm.index)
