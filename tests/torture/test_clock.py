"""A clock that jumps: versions, lists and runs keep the order in which they were made."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
import pytest

from tests.torture.harness import command, files_are_whole, registry_is_whole, running, store

pytestmark = [pytest.mark.torture, pytest.mark.slow]

JUMPS = ("-2y", "+10y", "-1d", "+0")
"""Years back, years ahead, a day back, and as it is."""


def library() -> str:
    """The library that gives a process a clock of its own."""
    places = [Path(os.environ.get("REGULARS_FAKETIME", "/nowhere"))]
    places += [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    found = [str(place) for place in places if place.is_file()]
    if not found:
        pytest.skip("libfaketime is not installed (Debian: apt-get install libfaketime)")
    return found[0]


def test_a_clock_that_jumps_between_commands(rounds, shop):
    count = len(rounds(reduced=0, full=len(JUMPS)))
    preload = {"LD_PRELOAD": library(), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    client = mlflow.MlflowClient(store(shop), store(shop))
    lists = []
    for i, jump in enumerate(JUMPS[:count], 2):
        then = {**preload, "FAKETIME": jump}
        command("train", "churn", "--quick", folder=shop, **then).well()
        versions = client.search_model_versions("name = 'regulars-churn'")
        assert max(int(version.version) for version in versions) == i
        challenger = client.get_model_version_by_alias("regulars-churn", "challenger")
        assert int(challenger.version) == i
        command("score", "-o", "scores.csv", folder=shop, **then).well()
        lists.append((shop / "scores.csv").read_bytes())
        champions = registry_is_whole(shop)
        assert f"regulars-churn/{champions['regulars-churn']}".encode() in lists[-1]
        files_are_whole(shop)
        assert running(shop) == []


def test_a_clock_that_stands_before_the_data(rounds, shop):
    rounds(reduced=0, full=1)
    old = (shop / "scores.csv").read_bytes()
    then = {"LD_PRELOAD": library(), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME": "-20y"}
    said = command("score", "-o", "scores.csv", folder=shop, **then).refused()
    assert "in_future" in said
    assert "today" in said
    assert (shop / "scores.csv").read_bytes() == old
