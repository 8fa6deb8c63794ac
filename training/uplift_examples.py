"""Past randomised campaigns as examples: what was known at the contact, the arm, what came."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.campaigns import BEFORE, Campaign, campaign_outcomes, campaigns
from features.catalogue import CATALOGUE
from features.errors import NotEnoughDataError
from features.ledger import Ledger
from features.progress import note, task
from features.settings import FeatureSettings
from features.snapshot import build_snapshot
from features.window import ObservationWindow
from models.btyd.features import btyd_features
from models.conformal import chance
from models.inputs import Inputs
from models.uplift.balance import check_balance
from models.uplift.examples import Examples, cross_fitted_base, folds_of

__all__ = ["Pool", "Trial", "Trials", "trials"]

LONGEST = 7
"""Days between first and last contact of a campaign up to which one snapshot serves all."""

FEWEST = 50
"""Customers an arm needs."""

MOST = 50_000
"""Customers of one campaign that are learned from; of larger ones so many, told by their ids."""


@dataclass(frozen=True)
class Trial:
    """One randomised campaign.

    Attributes:
        campaign: Which.
        features: What was known of its customers on its first day: the features of a snapshot and
            of a purchase model, on the index customer_id.
        treated: 0 or 1, shape (n,).
        stayed: 1 with a purchase in the horizon after the contact, else 0.
    """

    campaign: Campaign
    features: pd.DataFrame
    treated: npt.NDArray[np.float64]
    stayed: npt.NDArray[np.float64]

    def closed(self, horizon_days: int) -> dt.date:
        """The day on which its outcomes are all known."""
        return self.campaign.last_day + dt.timedelta(days=horizon_days)


@dataclass(frozen=True)
class Trials:
    """All usable campaigns, in order of time.

    Attributes:
        each: The campaigns.
        horizon_days: Days after the contact within which a purchase means that a customer stayed.
    """

    each: tuple[Trial, ...]
    horizon_days: int

    @property
    def kinds(self) -> list[str]:
        """The kinds of treatment, by name."""
        return sorted({trial.campaign.kind for trial in self.each})

    def of(self, kind: str) -> tuple[Trial, ...]:
        """The campaigns of a kind."""
        return tuple(trial for trial in self.each if trial.campaign.kind == kind)

    def before(self, day: dt.date) -> "Trials":
        """Those whose outcomes were all known on a day."""
        known = (trial for trial in self.each if trial.closed(self.horizon_days) <= day)
        return Trials(tuple(known), self.horizon_days)


@dataclass(frozen=True)
class Pool:
    """The rows of several campaigns, ready to learn from.

    Attributes:
        inputs: The features; what only tells the season is left out, because a few days of
            contact would be learned by heart.
        X: Their matrix, shape (n, f).
        y: 1 stayed, 0 left.
        examples: Kind -> its examples, in the order of their rows.
    """

    inputs: Inputs
    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.float64]
    examples: dict[str, Examples]

    @classmethod
    def of(cls, found: Trials, seed: int, threads: int) -> "Pool":
        """Put campaigns together, with a base for each row that has not seen the customer."""
        frames = [trial.features for trial in found.each]
        chosen, _ = Inputs.choose(frames, CATALOGUE)
        inputs = Inputs(
            tuple(feature for feature in chosen.features if not feature.seasonal),
            chosen.percentiles,
        )
        X = inputs.matrix(frames)
        y, treated = (
            np.concatenate([getattr(trial, name) for trial in found.each])
            for name in ("stayed", "treated")
        )
        fold = np.concatenate([folds_of(frame.index) for frame in frames])
        number = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
        share = np.array([trial.treated.mean() for trial in found.each])[number]
        base = cross_fitted_base(inputs, X, y, fold, seed=seed, num_threads=threads)
        kinds = np.array([trial.campaign.kind for trial in found.each])
        examples = {}
        for kind in found.kinds:
            own = (kinds == kind)[number]
            codes = np.unique(number[own], return_inverse=True)[1].astype(np.int64)
            examples[kind] = Examples(
                inputs, X[own], y[own], treated[own], share[own], base[own], codes, fold[own]
            )
        return cls(inputs, X, y, examples)


def trials(ledger: Ledger, horizon_days: int, settings: FeatureSettings | None = None) -> Trials:
    """Collect the randomised campaigns of a ledger, and say which ones were left out and why.

    Args:
        ledger: The trusted tables.
        horizon_days: Days after the contact within which a purchase means that a customer stayed.
        settings: Features beside the catalogue.

    Raises:
        NotEnoughDataError: No campaign can be learned from.
    """
    if "contacts" not in ledger.tables:
        raise NotEnoughDataError(
            "There is no table of contacts that an uplift model could learn from.",
            "Put contacts.csv into the folder of [source] url, or name its file under "
            "[tables.contacts]; docs/campaigns.md says what it holds.",
        )
    known = [campaign for campaign in campaigns(ledger) if campaign.randomised]
    found: list[Trial] = []
    with task("Looking back at campaigns", total=len(known)) as progress:
        for campaign in known:
            trial = _trial(ledger, campaign, horizon_days, settings)
            if isinstance(trial, str):
                note(f"Campaign {campaign.name} is left out: {trial}.")
            else:
                found.append(trial)
            progress.advance()
    if not found:
        raise NotEnoughDataError(
            "There is no past campaign that an uplift model could learn from.",
            "It takes contacts with both arms (arm: treatment, control), at least "
            f"{FEWEST} customers in each, sent within {LONGEST} days, and a horizon of "
            f"{horizon_days} days that is over. docs/campaigns.md says how to plan one.",
        )
    return Trials(tuple(found), horizon_days)


def _trial(
    ledger: Ledger, campaign: Campaign, horizon_days: int, settings: FeatureSettings | None
) -> Trial | str:
    """The campaign as examples, or why it is none."""
    closed = campaign.last_day + dt.timedelta(days=horizon_days)
    if closed > ledger.last_day + dt.timedelta(days=1):
        return f"its horizon of {horizon_days} days is not over"
    if (campaign.last_day - campaign.first_day).days > LONGEST:
        return f"its contacts reach over more than {LONGEST} days"
    if min(campaign.treated, campaign.control) < FEWEST:
        return f"an arm has fewer than {FEWEST} customers"
    if campaign.first_day <= ledger.first_day:
        return "nothing is known before it"
    rows = campaign_outcomes(
        ledger, campaign.name, window_days=horizon_days, horizon_days=horizon_days
    )
    rows = rows[rows["treated"].notna()]
    if not check_balance(rows[list(BEFORE)], rows["treated"]).random:
        return "its arms do not look random"
    window = ObservationWindow(ledger.first_day, campaign.first_day, 0, horizon_days)
    snapshot = build_snapshot(ledger, window, labels=False, settings=settings)
    features = snapshot.features.join(btyd_features(snapshot.rfm, horizon_days))
    rows = rows.loc[rows.index.isin(features.index)]
    if len(rows) > MOST:
        rows = rows[chance(rows.index, "uplift sample") < MOST / len(rows)]
    arms, stayed = (rows[name].to_numpy(np.float64) for name in ("treated", "retained"))
    if min(arms.sum(), len(arms) - arms.sum()) < FEWEST or stayed.min() == stayed.max():
        return f"fewer than {FEWEST} customers of an arm had bought before it"
    return Trial(campaign, features.loc[rows.index], arms, stayed)
