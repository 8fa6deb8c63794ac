"""What a card keeps of the features, and what is told of their changes."""

import pytest

from features.catalogue import CATALOGUE
from features.compatibility import Changes, feature_changes, feature_facts, reads_of
from features.contracts import FEATURES as CONTRACTS
from features.settings import FeatureSettings


def with_hashes(**changes):
    facts = feature_facts()
    facts["feature_hashes"] |= changes
    facts["feature_hashes"] = {k: v for k, v in facts["feature_hashes"].items() if v is not None}
    return facts


def test_every_feature_has_a_hash_those_of_contracts_too():
    names = {row.name for row in (*CATALOGUE, *CONTRACTS)}
    assert set(feature_facts()["feature_hashes"]) == names


@pytest.mark.parametrize("place", [lambda facts: facts, lambda facts: {"extra": facts}])
def test_the_difference_is_gone_new_and_changed(place):
    card = place(with_hashes(moon_phase="x", gap_mean=None, contract_fee="x"))
    found = feature_changes(card)
    assert found == Changes(("moon_phase",), ("gap_mean",), ("contract_fee",))
    assert found.words() == "gone: moon_phase; new: gap_mean; defined otherwise: contract_fee"
    assert found.touching(["contract_fee", "gap_mean"]) == Changes(changed=("contract_fee",))
    assert not found.touching(["gap_cv"])
    assert found.without(found.touching(["contract_fee"])).changed == ()


def test_a_long_list_is_cut_off():
    words = Changes(new=tuple(f"f{i}" for i in range(14))).words()
    assert words.endswith("f9 and 4 more")


def test_the_users_own_file_counts_for_who_reads_what_is_not_in_the_catalogue(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("def features(tables, window): ...")
    settings = FeatureSettings(extra=str(path))
    facts = feature_facts(settings)
    assert not feature_changes(facts, settings)
    path.write_text("def features(tables, window): return None")
    found = feature_changes(facts, settings)
    assert found == Changes(own=True)
    assert found.touching(["gift_share", "gap_mean"]).own
    assert not found.touching(["gap_mean", "frequency", "T"])
    assert feature_changes(facts).own  # the file is not named any more
    assert not feature_changes(feature_facts(), settings)  # a model that never reads any


def test_a_card_without_facts_has_no_changes():
    assert not feature_changes({"kind": "next_purchase"})
    assert reads_of({"kind": "next_purchase"}) == ()
