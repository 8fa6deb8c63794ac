"""Pictures of a campaign, of many customers, of one, and of none worth a contact."""

import numpy as np
import pytest

from models.decision import Offer
from training import figures, metrics


@pytest.mark.parametrize("value", [200.0, 30.0, 5.0])
@pytest.mark.parametrize("few", [None, ([1.0], [0.3]), ([0.0, 0.0], [0.3, 0.4])])
def test_it_is_a_picture(check_picture, forecast, value, few):
    y, p = few or forecast
    curve = metrics.profit_curve(y, p, value, Offer(), replicates=20)
    forecasts = {"days_since_last": np.full(len(p), 0.5), "lightgbm": p}
    table = metrics.campaign_policies(y, forecasts, value, Offer(), model="lightgbm", replicates=20)
    check_picture(figures.profit_curve, curve, table, model="lightgbm")
    check_picture(figures.stress, metrics.stress(y, p, value, Offer()))


def test_a_list_for_every_save_rate_that_one_may_believe_in(check_picture, forecast):
    rates = np.linspace(0.1, 0.9, 5)
    check_picture(figures.stress, metrics.stress(*forecast, 200.0, Offer(), assumed=rates))
