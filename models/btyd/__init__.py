"""Buy-till-you-die models: how often customers will buy, and whether they are still there."""

from .beta_geo import BetaGeoNBD
from .beta_geo_beta_binomial import BetaGeoBetaBinomial
from .model import PurchaseModel
from .modified_beta_geo import ModifiedBetaGeoNBD
from .modified_beta_geo_cnbd import ModifiedBetaGeoCNBD
from .pareto_nbd import ParetoNBD

__all__ = [
    "PURCHASE_MODELS",
    "BetaGeoBetaBinomial",
    "BetaGeoNBD",
    "ModifiedBetaGeoCNBD",
    "ModifiedBetaGeoNBD",
    "ParetoNBD",
    "PurchaseModel",
]

PURCHASE_MODELS: dict[str, type[PurchaseModel]] = {
    model.label: model for model in (BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD, ModifiedBetaGeoCNBD)
}
"""Purchase models by their short name: those that count time in weeks.

`BetaGeoBetaBinomial` counts opportunities to buy and is for whoever has those.
"""
