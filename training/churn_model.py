"""Put the parts of a churn candidate together: what is registered, and what its card says."""

import datetime as dt

from features.catalogue import catalogue_hash
from features.extra import extra_source
from models.churn import LOW_RISK_AT_MOST, ChurnModel
from models.tiers import Tiers
from training.churn_panel import ChurnSettings
from training.churn_rolling import Rolling

__all__ = ["assemble", "features_hash"]


def assemble(name: str, some: Rolling, full: Rolling, day: dt.date, seed: int) -> ChurnModel:
    """The model of a candidate as of a day, ready to be registered.

    Args:
        name: Of the candidate.
        some: Where its calibration is learned.
        full: Where it is fitted.
        day: A cutoff of the panel.
        seed: Written on the card.
    """
    settings = full.panel.settings
    fitted, calibration = full.fit(name, day), some.calibration(name, day)
    origins = some.origins(day)
    matrix = fitted.inputs.matrix(full.panel.slices[day].features)
    probability = calibration.calibrator(fitted.scorer.raw(matrix))
    return ChurnModel.assemble(
        inputs=fitted.inputs,
        scorer=fitted.scorer,
        calibrator=calibration.calibrator,
        interval=calibration.interval,
        tiers=Tiers.learn(probability, low_at_most=LOW_RISK_AT_MOST),
        horizon_days=settings.horizon_days,
        gap_days=settings.gap_days,
        sample=matrix,
        card={
            "candidate": name,
            "recipe": full.recipes[name].to_dict(),
            "label": settings.spec.to_dict() | {"of": settings.label},
            "dropped": dict(fitted.dropped),
            "catalogue_hash": features_hash(settings),
            "train_cutoffs": [str(c) for c in fitted.cutoffs],
            "calibration_cutoffs": [str(c) for c in origins],
            "trained_until": str(max(fitted.cutoffs) + settings.reach),
            "training": {
                "rows": fitted.rows,
                "customers": fitted.customers,
                "churn_rate": fitted.churn_rate,
                "rounds": fitted.scorer.rounds,
                "seed": seed,
            },
            "calibration": {
                "method": calibration.method,
                "source": calibration.source,
                "reason": calibration.reason,
            },
        },
    )


def features_hash(settings: ChurnSettings) -> str:
    """Hash of what the features mean: of the catalogue, and of the user's own file."""
    return catalogue_hash(extra_source=extra_source(settings.features))
