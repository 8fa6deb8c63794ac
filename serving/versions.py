"""Versions of registered models: all, the newest, the one with an alias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from features.errors import InputError
from features.reading.addresses import shown_store
from serving.store import TRAIN, open_registry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["newest_version", "some_of", "version_with_alias", "versions"]

_TRAINED = ("churn", "clv", "segments", "next", "uplift")  # what `regulars train` takes


def versions(client: MlflowClient, name: str, uri: str) -> list[ModelVersion]:
    """All versions of a registered model, the newest first.

    Raises:
        InputError: There is none.
    """
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name='{name}'", page_token=token)
        found += page
        token = page.token
        if not token:
            break
    if not found:
        raise _absent(client, name, uri)
    return sorted(found, key=lambda each: -int(each.version))


def newest_version(name: str, tracking_uri: str | None = None) -> tuple[str, dict[str, str]]:
    """The number of the version that was registered last, and its tags.

    Raises:
        InputError: The registry cannot be asked, or has no such model.
    """
    with open_registry(tracking_uri) as (client, uri):
        last = versions(client, name, uri)[0]
    return str(last.version), dict(last.tags)


def version_with_alias(client: MlflowClient, name: str, alias: str, uri: str) -> ModelVersion:
    """The version of a registered model that bears an alias.

    Raises:
        InputError: There is no such model, or none of its versions bears the alias.
    """
    from mlflow.exceptions import MlflowException

    try:
        registered = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise _absent(client, name, uri) from error
    version = dict(registered.aliases).get(alias)
    if version is None:
        others = ", ".join(f"{key} (version {value})" for key, value in registered.aliases.items())
        raise InputError(
            f"No version of {name} is the {alias}" + (f"; there is {others}." if others else "."),
            _way_to(alias, name, client, dict(registered.aliases)),
        )
    return client.get_model_version(name, str(version))


def _absent(client: MlflowClient, name: str, uri: str) -> InputError:
    """What to say of a registered model that is not there: those that are, and how it is made."""
    there = sorted(str(each.name) for each in client.search_registered_models())
    short = name.removeprefix("regulars-")
    if not there:
        hint = TRAIN
    elif name != short and short in _TRAINED:
        hint = f"Run `regulars train {short}` first. There is {some_of(there)}."
    else:
        hint = f"Correct the name. There is {some_of(there)}."
    return InputError(f"There is no registered model {name} in {shown_store(uri)}.", hint)


def _way_to(alias: str, name: str, client: MlflowClient, aliases: Mapping[str, str]) -> str:
    """What to do where no version bears an alias."""
    newest = aliases.get("challenger")
    if alias != "champion" or newest is None:
        return "Run `regulars train`."
    by_hand = f"regulars promote {name} --to champion {newest} --why ..."
    tags = client.get_model_version(name, str(newest)).tags
    if "promoted" in tags:
        return f"Run `regulars train`, or put one into use: {by_hand}"
    return (
        f"The training of version {newest} was ended half-way, or is still at work: the version "
        f"has not been judged. Run `regulars train` again, or put it into use: {by_hand}"
    )


def some_of(names: list[str]) -> str:
    """The first ten names, and how many more there are."""
    more = len(names) - 10
    return ", ".join(names[:10]) + (f" and {more} more" if more > 0 else "")
