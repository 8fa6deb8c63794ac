"""Features that models compute: from what training learned, or from a fitted purchase model."""

from features.feature import Feature

__all__ = ["FEATURES"]

FEATURES: tuple[Feature, ...] = (
    Feature(
        "spend_percentile",
        "rank of net_spend_365 within the distribution of the training data, which is "
        "frozen with the model",
        "365",
        "C",
        -1,
        "spend",
        minimum=0,
        maximum=1,
        origin="model",
    ),
    Feature(
        "p_alive",
        "probability that the customer is still one, from a buy-till-you-die model",
        "all",
        "U",
        -1,
        "lateness",
        minimum=0,
        maximum=1,
        origin="model",
    ),
    Feature(
        "probability_no_purchase",
        "probability of no purchase in the horizon, from the same model",
        "all",
        "U",
        1,
        "lateness",
        minimum=0,
        maximum=1,
        origin="model",
    ),
    Feature(
        "expected_purchases",
        "expected purchases in the horizon, from the same model",
        "all",
        "U",
        -1,
        "frequency",
        minimum=0,
        origin="model",
    ),
    Feature(
        "aov_gg",
        "expected value of one of the customer's purchases, from a Gamma-Gamma model: the "
        "mean of the customer's repeat purchases shrunk to that of all customers; undefined "
        "when no such model can be fitted",
        "all",
        "U",
        0,
        "spend",
        minimum=0,
        origin="model",
    ),
    Feature(
        "value_if_alive",
        "money expected in the next 365 days if the customer still is one: "
        "expected purchases in them / p_alive * aov_gg; undefined without either model",
        "all",
        "U",
        0,
        "spend",
        minimum=0,
        origin="model",
    ),
)
"""What models add to a snapshot."""
