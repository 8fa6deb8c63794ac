"""Value learned from earlier cutoffs: what the next label window of each customer will bring.

The examples are customers at one or several earlier cutoffs whose label windows, all of one
length, are closed: the features of a snapshot, what a buy-till-you-die model fitted at that
cutoff expected of them (`base`), and what came. All families have one face:

- `RecalibratedValue`: the expectation of the base times a smooth factor (`log_linear`), of four
  terms: the expectation itself, so that high and low ones can be drawn together, the number of
  purchases so far, how long the last gap was against the mean one, and how overdue the customer
  is. The first two are the usual miscalibration of purchase models by frequency class; the third
  is a trend and the fourth regularity, which those models do not know. Spend gets the same factor
  and a common one besides. Without a signal the factor is 1.
- `BoostedValue`: the same, and then trees on all features with that as their offset, kept where
  they help on later examples.
- `TwoPartValue`: trees for the probability of buying, for the purchases of buyers and for their
  spend; each of the last two has a log link and a loss whose minimum is the mean, so nothing has
  to be transformed back. With or without the base among the features.
- `QuantileValue`: the same, with the spend of buyers by its conditional quantiles: the mean is
  the integral of the quantile function, with normal tails in the logarithm beyond the outermost.

The level of the last two is set on held-back examples (`trees.level_factor`). Learned
values hold for the horizon they were learned at; `hybrid` carries them to others.
"""

from .boosted import BoostedValue
from .columns import HORIZON_FEATURES
from .family import BASE_COLUMNS, VALUE_COLUMNS, ValueModel, base_expectation
from .files import VALUE_MODELS, read_value_model, write_value_model
from .recalibrated import RecalibratedValue
from .two_part import QuantileValue, TwoPartBtydValue, TwoPartValue

__all__ = [
    "BASE_COLUMNS",
    "HORIZON_FEATURES",
    "VALUE_COLUMNS",
    "VALUE_MODELS",
    "BoostedValue",
    "QuantileValue",
    "RecalibratedValue",
    "TwoPartBtydValue",
    "TwoPartValue",
    "ValueModel",
    "base_expectation",
    "read_value_model",
    "write_value_model",
]
