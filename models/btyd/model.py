"""The face of every purchase model; a new one is one short file that subclasses it.

A model says its parameter names, its label and its effects; `_log_likelihood` with gradient,
`_prior_centre` and `_start` (see `fitting`); and `_alive`, `_future` and `_newcomer` (see
`predictions`). Checking, merging identical customers, inference, averaging over posterior draws
and quantiles are what the models share, once.
"""

from __future__ import annotations

from .fitting import Fitting
from .future import Future, thin_draws, weekly_rate
from .predictions import Predictions

__all__ = ["Future", "PurchaseModel", "thin_draws", "weekly_rate"]


class PurchaseModel(Fitting, Predictions):
    """A buy-till-you-die model of repeat purchases; times in weeks.

    Make one from known parameters (`from_parameters`) or learn it (`fit`). Predictions are
    averages over the posterior draws; with `quantiles` they come with the posterior quantiles of
    the quantity itself, which is not a range for what a customer will do: that range is in
    `models.clv`.

    Customers may differ by what else is known of them: see `models.btyd.covariates`.

    Args:
        covariates: Effect -> columns of the RFM frame that move it: "rate" (how often customers
            buy) and "dropout" (how soon they leave).
        segment: A column of groups, such as the channel or country: each gets its own rate and
            dropout, shrunk towards the population by how little is known of it.
        coefficient_sd: Prior standard deviation of a coefficient: on the scale of logarithms, for
            a covariate one standard deviation up, or one level against another. The default, 1,
            is a factor of 7 either way at 95 %.
        segment_sd: Prior median of the standard deviation between segments, on the scale of
            logarithms; its logarithm has the prior standard deviation 1, a factor of 7 at 95 %.

    >>> from models.btyd import ModifiedBetaGeoNBD
    >>> ModifiedBetaGeoNBD(covariates={"rate": ["age"]}, segment="channel").input_columns
    ('frequency', 'recency', 'T', 'age', 'channel')
    """
