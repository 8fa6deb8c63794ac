"""Who is champion, by hand: put a version into use, go back to the one before, look at the past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from training.champions import Reign, Way

    from .config import Config

__all__ = [
    "MODELS",
    "Promotion",
    "champion_history",
    "champion_now",
    "named",
    "promote_version",
    "roll_back",
]

MODELS: Mapping[str, str] = {
    "churn": "regulars-churn",
    "clv": "regulars-clv",
    "segments": "regulars-segments",
    "next": "regulars-next",
    "uplift": "regulars-uplift",
}
"""Short name -> registered model."""


@dataclass(frozen=True)
class Promotion:
    """A move of the champion that was made.

    Attributes:
        name: The registered model.
        version: The champion now.
        before: The champion before, empty without one.
        why: The reason that was given.
    """

    name: str
    version: str
    before: str
    why: str


def named(model: str) -> str:
    """The registered model that a short name stands for; any other name is taken as it is.

    >>> named("clv"), named("shop-churn")
    ('regulars-clv', 'shop-churn')
    """
    return MODELS.get(model, model)


def promote_version(config: Config, model: str | None, version: str, why: str) -> Promotion:
    """Make a version champion, after loading it as scoring would.

    Args:
        config: Says where the registry is.
        model: Short or registered name; None: the one in `version`, else churn.
        version: Its number, or as a scored list has it: regulars-clv/3.
        why: The reason, kept in the history.

    Raises:
        InputError: No reason; no such version; its files are missing, damaged or pickled; or it
            reads features that are not what they were.
    """
    given, _, number = version.rpartition("/")
    if given and model and named(given) != named(model):
        raise InputError(f"{version} is no version of {named(model)}.", "Name one model.")
    return _move(config, named(given or model or "churn"), number, "hand", why)


def roll_back(config: Config, model: str | None, why: str) -> Promotion:
    """Make the champion before the present one champion again.

    Raises:
        InputError: As for `promote_version`, or there was none before.
    """
    from serving.store import open_registry
    from serving.versions import versions
    from training.champions import predecessor

    name = named(model or "churn")
    _check_reason(why)
    with open_registry(config.mlflow.tracking_uri) as (client, uri):
        versions(client, name, uri)
        before = predecessor(client, name)
    if not before:
        raise InputError(
            f"{name} has had no champion before the present one.",
            f"Look at `regulars promote {name} --history`, and name a version with --to.",
        )
    return _move(config, name, before, "rollback", why)


def champion_history(config: Config, model: str | None) -> dict[str, list[Reign]]:
    """Who was champion when, of one model or of all that are registered; the first one first.

    Raises:
        InputError: The registry cannot be reached, or has no such model.
    """
    from serving.store import open_registry
    from serving.versions import versions
    from training.champions import reigns

    with open_registry(config.mlflow.tracking_uri) as (client, uri):
        if model is not None:
            versions(client, named(model), uri)
            names = [named(model)]
        else:
            names = sorted(str(found.name) for found in client.search_registered_models())
        return {name: reigns(client, name) for name in names}


def champion_now(config: Config, name: str) -> str:
    """The version of a registered model that bears the alias at this moment; empty without one.

    Raises:
        InputError: The registry cannot be reached.
    """
    from serving.store import open_registry
    from training.champions import CHAMPION, by_alias

    with open_registry(config.mlflow.tracking_uri) as (client, _):
        found = by_alias(client, name, CHAMPION)
    return "" if found is None else str(found.version)


def _move(config: Config, name: str, number: str, way: Way, why: str) -> Promotion:
    from serving.compatibility import check_features
    from serving.registry import load_version
    from serving.store import open_registry
    from training.champions import (
        CHAMPION,
        by_alias,
        move_champion,
        predecessor,
        registry_lock,
    )

    _check_reason(why)
    uri = config.mlflow.tracking_uri
    check_features(load_version(name, number, uri), config.features)
    with registry_lock(uri, name), open_registry(uri) as (client, _):
        champion = by_alias(client, name, CHAMPION)
        before = "" if champion is None else str(champion.version)
        if before == number:
            raise InputError(f"{name} version {number} is the champion already.")
        if way == "rollback" and predecessor(client, name) != number:
            raise InputError(
                f"The champion of {name} was changed meanwhile: it is version {before} now.",
                f"Look at `regulars promote {name} --history`, and roll back again if need be.",
            )
        move_champion(client, name, number, way=way, why=why.strip())
    return Promotion(name, number, before, why.strip())


def _check_reason(why: str) -> None:
    from training.champions import MOST_WORDS

    if not why.strip():
        raise InputError("There is no reason.", 'Give one: --why "Complaints since Monday".')
    if len(why) > MOST_WORDS:
        raise InputError(
            f"The reason has {len(why):,} characters, more than {MOST_WORDS:,}.",
            "Say it in fewer, and keep the rest elsewhere.",
        )
