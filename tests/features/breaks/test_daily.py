"""Tests of features.breaks.daily."""

import numpy as np

from features.breaks.daily import count_days
from features.ledger import Ledger


def test_quantiles_of_a_day_are_right_to_one_percent(shop):
    ledger = Ledger.from_frames(shop)
    found = count_days(ledger, ledger.last_day)
    assert found is not None
    sold = shop[shop["amount"] > 0]
    by_day = sold.groupby(sold["timestamp"].dt.normalize())["amount"]
    for values, level in ((found.median, 0.5), (found.high, 0.9)):
        exact = by_day.agg(lambda v: np.quantile(v, level, method="inverted_cdf"))  # noqa: B023
        days = (exact.index - np.datetime64(found.first_day)).days
        inside = days < len(found)
        np.testing.assert_allclose(values[days[inside]], exact[inside], rtol=0.011)
    assert np.isnan(found.median[found.weekday == 6]).all()  # closed on Sundays
