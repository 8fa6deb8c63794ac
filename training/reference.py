"""What is kept with a registered model so that drift can be told later (`models.reference`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pandas as pd

from models.base import CHURN_PROBABILITY
from models.categories import is_category
from models.churn import ChurnModel
from models.reference import MAX_CUTOFFS, REFERENCE, Reference
from training.churn_panel import Panel

__all__ = ["CLV_SCORES", "churn_reference", "clv_reference"]

CLV_SCORES = ("clv", "expected_purchases")
"""Predictions of the CLV model whose distribution is kept."""


def churn_reference(
    model: ChurnModel, panel: Panel, trained_on: Sequence[dt.date], now: dt.date
) -> dict[str, str]:
    """Count the customers that a churn model learned from, and those on the day of the training.

    Args:
        model: The model that is registered.
        panel: Its slices, or a sample of their customers.
        trained_on: Cutoffs whose outcomes it learned from.
        now: The day after the data.

    Returns:
        The file to keep with the model, as `Tracking.register` takes it.
    """
    cutoffs = [*sorted(trained_on)[-MAX_CUTOFFS:], now]
    frames = {day: panel.slices[day].features for day in cutoffs}
    scores = {
        day: model.predict(frame, reasons=False)[[CHURN_PROBABILITY]]
        for day, frame in frames.items()
    }
    found = Reference.learn(
        frames, now, model.feature_names, categories=model.text_columns, scores=scores
    )
    return {REFERENCE: found.to_json()}


def clv_reference(inputs: pd.DataFrame, predicted: pd.DataFrame, now: dt.date) -> dict[str, str]:
    """Count the customers whose histories a CLV model was fitted to.

    Args:
        inputs: Inputs of the model as of the day after the data.
        predicted: What it foretells for them.
        now: That day.

    Returns:
        As `churn_reference`.
    """
    columns = list(map(str, inputs.columns))
    texts = [name for name in columns if is_category(inputs[name])]
    found = Reference.learn(
        {now: inputs}, now, columns, categories=texts, scores={now: predicted[list(CLV_SCORES)]}
    )
    return {REFERENCE: found.to_json()}
