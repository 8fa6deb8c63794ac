"""What customers will do in a horizon: expectations, and the intervals round them.

The working side of `CustomerLifetimeValue.predict`: a `Question` holds everything that is the
same for all customers, and `answer` works it out for many of them.

Three things make it quick. What a customer who is alive will do depends on frequency and T alone,
and smoothly on T: it is worked out under every posterior draw at 24 Chebyshev points of
log(c + T) and interpolated from there; where the last coefficients of the series exceed 1e-12 of
the first ones, the range is halved. The chance of being alive is worked out once for each distinct
history. And an average over draws is then a product of two small matrices. (Where the future
depends on recency too, or every customer has parameters of their own, nothing can be shared and
each distinct history is worked out by itself.)

Counts have an exact distribution, a mixture over all draws. The distribution of value, given that
anything is bought, is read at one fixed low-discrepancy set of points: for each point the number
of purchases at its first coordinate's quantile, and, given the number, the value of the purchases
and the customer's own level of spend at its second and third; the fourth picks the draw of the
spend parameters.
"""

from __future__ import annotations

from .answer import answer
from .customers import Customers
from .draws import counts_by_draw
from .question import EXPECTATION_COLUMNS, NEXT_PURCHASE_COLUMNS, Question, quantile_columns

__all__ = [
    "EXPECTATION_COLUMNS",
    "NEXT_PURCHASE_COLUMNS",
    "Customers",
    "Question",
    "answer",
    "counts_by_draw",
    "quantile_columns",
]
