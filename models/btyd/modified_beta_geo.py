"""MBG/NBD: as BG/NBD, but the customer can leave right after the first purchase, too.

Batislam, Denizel & Filiztekin (2007), "Empirical validation and comparison of models for
customer base analysis", International Journal of Research in Marketing 24(3), 201-209; and,
as CBG/NBD, Hoppe & Wagner (2007), "Customer Base Analysis: The Case for a Central Variant of
the Betageometric/NBD Model", Marketing ZFP 3(2), 75-90.

A customer with x repeat purchases has had x + 1 chances to leave, so x + 1 takes the place of x
wherever FHL count them:

    L = G(r+x) alpha^r / G(r) * { B(a, b+x+1)/B(a, b) (alpha+T)^-(r+x)
                                + B(a+1, b+x)/B(a, b) (alpha+tx)^-(r+x) }

(Batislam et al. eq. A3; Hoppe & Wagner eq. 5). Given alive, p ~ Beta(a, b+x+1), and from there
the future is that of BG/NBD.
"""

from __future__ import annotations

from typing import ClassVar

from .beta_geo import BetaGeoNBD

__all__ = ["ModifiedBetaGeoNBD"]


class ModifiedBetaGeoNBD(BetaGeoNBD):
    """MBG/NBD with parameters r, alpha (purchase rate) and a, b (dropout).

    One-time buyers may have left already, so `probability_alive` is below 1 for everybody.

    >>> m = ModifiedBetaGeoNBD.from_parameters(r=0.525, alpha=6.183, a=0.891, b=1.614)
    >>> round(float(m.expected_purchases_new_customer(1.0)), 4)
    0.0531
    """

    label: ClassVar[str] = "mbg_nbd"
    first_chance: ClassVar[int] = 1
