"""Buy-till-you-die models: how often customers will buy, and whether they are still there."""

from .beta_geo import BetaGeoNBD
from .model import PurchaseModel
from .modified_beta_geo import ModifiedBetaGeoNBD

__all__ = ["PURCHASE_MODELS", "BetaGeoNBD", "ModifiedBetaGeoNBD", "PurchaseModel"]

PURCHASE_MODELS: dict[str, type[PurchaseModel]] = {
    model.label: model for model in (BetaGeoNBD, ModifiedBetaGeoNBD)
}
"""Purchase models by their short name."""
