"""What a report is made from: the scored list, the measures, what the models' runs recorded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from features.measures.table import no_rows

if TYPE_CHECKING:
    from features.measures.table import Measure, Missing
    from serving.monitor import Monitoring
    from serving.registry import RegisteredModel

__all__ = ["LANGUAGES", "Language", "Material", "Options"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@dataclass(frozen=True)
class Options:
    """How the page is to look.

    Attributes:
        title: Heading of the page; None: the usual one of the language.
        language: "en" or "zh" (simplified Chinese).
        currency: Put before every amount, for instance "£".
        top_n: How many customers the list to act on shows.
        hide_ids: Show a number in place of each customer's id.
        customers: Whether the page may hold rows of single customers at all.
    """

    title: str | None = None
    language: Language = "en"
    currency: str = ""
    top_n: int = 25
    hide_ids: bool = False
    customers: bool = True


@dataclass(frozen=True)
class Material:
    """All that the page is made from; a part that is not there is said on the page.

    Attributes:
        scored: The scored list, as `serving.scorer.score` returns it.
        churn: The churn model that made it.
        clv: The customer-lifetime-value model that made it.
        quality: Table -> counts of rows, as `Quality.to_dict` gives them.
        measures: The long table of `serving.measures`.
        missing: What could not be measured.
        notes: Sentences that readers of the measures have to know.
        catalogue: What every measure means.
        evaluation: Registered name -> name of a table of its run -> the table.
        plan: Of `serving.actions.plan`, row for row as the scored list; None without one.
        summary: What the plan comes to, as `serving.campaign_list.summarise` gives it.
        segments: Of `serving.segments.summarise_segments`; None without such a model.
        monitoring: Of `serving.monitor.monitor`; None where nothing was watched.
    """

    scored: pd.DataFrame
    churn: RegisteredModel
    clv: RegisteredModel
    quality: Mapping[str, Mapping[str, Any]]
    measures: pd.DataFrame = field(default_factory=no_rows)
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()
    catalogue: tuple[Measure, ...] = ()
    evaluation: Mapping[str, Mapping[str, pd.DataFrame]] = field(default_factory=dict)
    plan: pd.DataFrame | None = None
    summary: Mapping[str, Any] | None = None
    segments: pd.DataFrame | None = None
    monitoring: Monitoring | None = None

    @property
    def as_of(self) -> dt.date:
        """The day that the list was made for: everything before it is known."""
        day: dt.date = pd.Timestamp(self.scored["as_of"].iloc[0]).date()
        return day

    @property
    def known(self) -> pd.DataFrame:
        """The customers that could be scored."""
        return self.scored[self.scored["status"] == "scored"]

    def table(self, model: str, name: str) -> pd.DataFrame:
        """A table of a model's run, without rows where the run has none of that name."""
        return self.evaluation.get(model, {}).get(name, pd.DataFrame())
