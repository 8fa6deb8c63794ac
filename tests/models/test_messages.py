"""The sentences: every number in them is there, and is written as people write it."""

import string

import numpy as np
import pytest

import features.contracts
from features.catalogue import CATALOGUE, REASON_GROUPS
from models.base import ModelError
from models.messages import LANGUAGES, TOPICS, Message, get_language, is_known
from models.reasons import HIDDEN_GROUPS

MESSAGES = list(dict.fromkeys(message for topic in TOPICS for message in topic.messages))
NAMED = ("feature", "feature_unknown")  # for features without a message
ROWS = (*CATALOGUE, *features.contracts.FEATURES)
GROUP = {row.name: row.reason_group for row in ROWS}
SHOWN = [group for group in REASON_GROUPS if group not in HIDDEN_GROUPS]

languages = pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)


def names(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@languages
def test_every_message_has_a_text_and_every_text_a_message(language):
    assert {*language.texts} == {message.key for message in MESSAGES} | {*NAMED}


@languages
def test_a_text_has_only_numbers_that_its_message_gives(language):
    for message in MESSAGES:
        given = {*message.needs, *message.values}
        assert names(language.texts[message.key]) <= given, message.key


@languages
def test_every_kind_of_number_is_written(language):
    texts = language.texts.values()
    kinds = {kind for text in texts for *_, kind, _ in string.Formatter().parse(text) if kind}
    assert kinds <= {*language.kinds}
    assert "value" in language.kinds  # for names without a kind


def test_the_languages_tell_the_same_facts():
    first, *others = LANGUAGES.values()
    for other in others:
        assert {*other.texts} == {*first.texts}
        for key, text in first.texts.items():
            assert names(other.texts[key]) == names(text), key


@languages
def test_no_text_claims_points_of_probability(language):
    for text in language.texts.values():
        assert "point of" not in text
        assert "percentage point" not in text
        assert "百分点" not in text


def test_every_subject_that_is_shown_has_words():
    assert {topic.group for topic in TOPICS if topic.messages} == {*SHOWN}


def test_every_feature_of_the_catalogue_is_spoken_for_once():
    about = [name for topic in TOPICS for name in topic.about]
    assert len(set(about)) == len(about)
    silent = {name for name, group in GROUP.items() if group in SHOWN} - {*about}
    assert not silent, "no topic in models/messages is about them"


def test_messages_speak_of_features_of_the_catalogue_under_their_groups():
    assert {name for message in MESSAGES for name in (*message.needs, *message.lacks)} <= {*GROUP}
    for topic in TOPICS:
        assert {GROUP[name] for name in topic.about} <= {topic.group}
    kinds = {row.name: row.kind for row in ROWS}
    for message in MESSAGES:
        if message.when is not None:
            assert {kinds[name] for name in message.needs} == {"number"}


def test_a_message_fits_whoever_has_what_it_needs_and_lacks_what_it_lacks():
    columns = {"age": np.array([np.nan, 1.0, 9.0]), "tier": np.array(["a", "a", None], object)}
    known = {name: is_known(column) for name, column in columns.items()}
    assert Message("", ("height",)).fits(columns, known) is None
    assert Message("", ("age",)).fits(columns, known).tolist() == [False, True, True]
    assert Message("", ("age", "tier")).fits(columns, known).tolist() == [False, True, False]
    assert Message("", ("age",), ("tier",)).fits(columns, known).tolist() == [False, False, True]
    grown = Message("", ("age",), when=lambda c: c["age"] > 5)
    assert grown.fits(columns, known).tolist() == [False, False, True]


def test_an_unknown_language_is_refused_with_those_there_are():
    with pytest.raises(ModelError, match=r"'de'\n.*en, zh"):
        get_language("de")


def say(code, key, good=False, **values):
    arrays = {name: np.array([value]) for name, value in values.items()}
    (sentence,) = LANGUAGES[code].say(key, arrays, 1, good=good)
    return sentence


def test_a_sentence_begins_with_a_capital_letter_or_as_a_good_sign():
    assert say("en", "first_purchase", tenure_days=1.0) == "First purchase 1 day ago"
    assert (
        say("en", "first_purchase", True, tenure_days=9.0) == "Good sign: first purchase 9 days ago"
    )
    assert say("zh", "first_purchase", True, tenure_days=9.0) == "积极信号：首次购买距今 9 天"


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("days", 1.4, "1 day"),
        ("days", 1234.0, "1,234 days"),
        ("ago", 0.2, "today"),
        ("ago", 64.0, "64 days ago"),
        ("hours", 1.0, "1 hour"),
        ("hours", 72.0, "3 days"),
        ("times", 2.0, "twice"),
        ("purchases", 0.0, "no purchase"),
        ("products", 2.0, "2 different products"),
        ("every", 1.0, "day"),
        ("money", -20.4, "-20"),
        ("percent", 0.354, "35 %"),
        ("percent", 0.999, "99 %"),
        ("percent", 1.0, "100 %"),
        ("factor", 2.04, "2.0"),
        ("value", 0.25678, "0.257"),
        ("value", 12345.6, "12,346"),
        ("value", "gold", "gold"),
    ],
)
def test_numbers_are_written_by_their_kind_in_english(kind, value, written):
    assert LANGUAGES["en"].kinds[kind](value) == written


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("days", 1.0, "1 天"),
        ("hours", 72.0, "3 天"),
        ("purchases", 0.0, "没有购买"),
        ("purchases", 1234.0, "购买 1,234 次"),
        ("percent", 0.354, "35%"),
        ("value", "gold", "gold"),
    ],
)
def test_numbers_are_written_by_their_kind_in_chinese(kind, value, written):
    assert LANGUAGES["zh"].kinds[kind](value) == written


@languages
def test_a_smoothed_share_says_only_what_is_true_of_the_share_itself(language):
    for whole in range(1, 40):
        for part in range(whole + 1):
            said = language.kinds["smoothed"]((part + 1) / (whole + 2))
            percent = int("".join(c for c in said if c.isdigit()) or 50) / 100
            if "less" in said or "不到" in said:
                assert part / whole < percent
            elif "more" in said or "超过" in said:
                assert part / whole > percent
            else:
                assert 2 * part == whole
