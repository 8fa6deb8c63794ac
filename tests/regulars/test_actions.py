"""`regulars actions`: what the command line changes, and what it prints."""

import pytest

from features.errors import InputError
from models.decision import Offer
from regulars.cli import run
from regulars.settings import changed
from regulars.show.campaign import show_plan
from serving.offers import Decision, PlannedOffer

GIFT, CALL = PlannedOffer("gift", Offer(1.0, 5.0, 0.2)), PlannedOffer("call", Offer(4.0, 0.0, 0.2))
USUAL = Decision((GIFT, CALL), budget=100.0, control_share=0.2)


def test_the_command_line_wins_over_the_configuration():
    assert changed(USUAL) == USUAL
    found = changed(USUAL, offers=("call",), budget=0.0, list_size=5, control_share=0.0)
    assert (found.offers, found.budget, found.list_size) == ((CALL,), 0.0, 5)
    assert found.control_share == 0.0
    assert changed(USUAL, offers=("call", "gift", "call")).offers == (CALL, GIFT)


def test_an_offer_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(InputError, match="There is no offer called gifts") as caught:
        changed(USUAL, offers=("gifts",))
    assert "Did you mean gift?" in caught.value.hint
    assert "[[decision.offers]]" in caught.value.hint


def test_the_summary_says_what_it_earns_and_where_it_breaks_even(capsys):
    show_plan(
        {
            "offers": [
                {"offer": "gift", "contacted": 1200, "control": 130, "expected_cost": 2101.4,
                 "expected_value": 7039.3, "break_even_effect": 0.19,
                 "break_even_save_rate": 0.038},
                {"offer": "learned", "contacted": 3, "control": 0, "expected_cost": 9.0,
                 "expected_value": 1.0, "break_even_effect": 0.8, "break_even_save_rate": None},
                {"offer": "call", "contacted": 0, "control": 0, "expected_cost": 0.0,
                 "expected_value": 0.0, "break_even_effect": None, "break_even_save_rate": None},
            ],
            "why": {"control": 130, "over budget": 12},
            "actions": {"gift": 1200, "control:gift": 130, "suggest:Toys": 40, "none": 20},
            "price": 5.59,
        }
    )  # fmt: skip
    said = capsys.readouterr().out
    for words in ("7,039.30", "a save rate of 3.8%", "80% of the effect", "over budget", "Toys",
                  "earns 5.59 beyond itself"):  # fmt: skip
        assert words in said


def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path, capsys):
    assert run(["actions", "-o", str(tmp_path / "list.txt"), "-c", str(tmp_path)]) == 2
    assert "how to write it" in capsys.readouterr().err
    arguments = ["actions", "-o", str(tmp_path / "list.csv"), "--control-share", "1.0"]
    assert run(arguments) == 2
