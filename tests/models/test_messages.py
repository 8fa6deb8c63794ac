"""The sentences: every number in them is there, and is written as people write it."""

import string

import numpy as np
import pytest

from models.messages import KINDS, MESSAGES


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.text)
def test_a_text_has_only_numbers_that_its_message_gives(message):
    given = {*message.needs, *message.derived}
    for _, name, kind, _ in string.Formatter().parse(message.text):
        assert name is None or (name in given and kind in KINDS)


def test_messages_speak_of_groups_and_features_of_the_catalogue():
    from features.catalogue import CATALOGUE, REASON_GROUPS

    assert {message.group for message in MESSAGES} <= set(REASON_GROUPS)
    known = {feature.name for feature in CATALOGUE}
    assert {name for message in MESSAGES for name in message.needs} <= known


def test_a_message_fits_whoever_has_the_values_it_needs():
    (message,) = (m for m in MESSAGES if m.group == "tenure")
    assert message.fits({}) is None
    columns = {"tenure_days": np.array([np.nan, 1.0])}
    assert message.fits(columns).tolist() == [False, True]
    known = {"tenure_days": np.array([1.0, 400.0])}
    assert message.say(known) == ["first purchase 1 day ago", "first purchase 400 days ago"]


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("days", 1.4, "1 day"),
        ("days", 1234.0, "1,234 days"),
        ("purchases", 0.0, "no purchase"),
        ("products", 2.0, "2 different products"),
        ("every", 1.0, "day"),
        ("money", -20.4, "-20"),
        ("percent", 0.354, "35 %"),
        ("number", 0.25678, "0.257"),
        ("number", 12345.6, "12,346"),
    ],
)
def test_numbers_are_written_by_their_kind(kind, value, written):
    assert KINDS[kind](value) == written
