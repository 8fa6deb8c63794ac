"""Two commands at one thing: both end well or one says why not, and nothing is lost."""

from __future__ import annotations

import mlflow
import pyarrow.csv as pacsv
import pytest

from tests.torture.harness import (
    files_are_whole,
    leftovers,
    registry_is_whole,
    running,
    start,
    store,
)

pytestmark = [pytest.mark.torture, pytest.mark.slow]

SCORE = ("score", "-o", "scores.csv")
TRAIN = ("train", "churn", "--quick")


def test_two_lists_into_one_file(rounds, shop):
    for seed in rounds(reduced=0, full=8):
        with rounds.told(seed):
            both = [start((*SCORE, *more), shop) for more in ((), ("--cutoff", "2023-07-01"))]
            ended = [process.done() for process in both]
            for done in ended:
                assert not done.code or done.refused()
            assert any(not done.code for done in ended)
            rows = pacsv.read_csv(shop / "scores.csv").num_rows
            assert rows in (131, 150)
            files_are_whole(shop)
            assert leftovers(shop) == []


def test_two_trainings_on_one_store(rounds, shop):
    for seed in rounds(reduced=0, full=5):
        with rounds.told(seed):
            client = mlflow.MlflowClient(store(shop), store(shop))
            before = len(client.search_model_versions("name = 'regulars-churn'"))
            both = [start((*TRAIN, "--seed", str(seed + i)), shop) for i in range(2)]
            for process in both:
                process.done().well()
            after = client.search_model_versions("name = 'regulars-churn'")
            assert len(after) == before + 2
            assert len({version.version for version in after}) == len(after)
            registry_is_whole(shop)
            assert running(shop) == []


def test_scoring_while_training(rounds, shop):
    for seed in rounds(reduced=0, full=3):
        with rounds.told(seed):
            training = start((*TRAIN, "--seed", str(seed)), shop)
            while training.popen.poll() is None:
                start(SCORE, shop).done().well()
                assert pacsv.read_csv(shop / "scores.csv").num_rows == 150
            training.done().well()
            registry_is_whole(shop)
