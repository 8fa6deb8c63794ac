"""Every feature of a shop with all its tables is put into words, for every customer."""

import datetime as dt

import numpy as np
import pytest

from features.simulate import simulate
from features.snapshot import build_snapshot
from features.window import ObservationWindow
from models.messages import LANGUAGES
from models.reasons import HIDDEN_GROUPS, explain
from regulars.config import load_config
from regulars.init import write_config
from regulars.jobs import open_configured_ledger


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    """300 customers after three years: many have bought nothing for more than one."""
    folder = tmp_path_factory.mktemp("shop")
    simulate(folder / "data", customers=300, seed=1)
    write_config(folder, None, force=True)
    ledger = open_configured_ledger(load_config(folder))
    today = ledger.last_day + dt.timedelta(days=1)
    return build_snapshot(ledger, ObservationWindow(ledger.first_day, today))


@pytest.mark.parametrize("unread", [None, "days_since_last_return"], ids=["all", "no returns"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_reason_names_a_column(snapshot, language, unread):
    """Neither where a model reads all there is, nor where nothing was ever returned."""
    features = snapshot.features.drop(columns=[] if unread is None else [unread])
    groups = {row.name: row.reason_group for row in snapshot.catalogue if row.name in features}
    columns = {
        name: features[name].to_numpy(float)
        if features[name].dtype.kind in "fiub"
        else features[name].astype(object).where(features[name].notna(), None).to_numpy(object)
        for name in groups
    }
    assert len(groups) > 80
    for i, (name, group) in enumerate(groups.items()):
        if group in HIDDEN_GROUPS:
            continue
        for push in (1.0, -1.0):
            alone = np.zeros((len(features), len(groups)))
            alone[:, i] = push
            said = explain(alone, columns, groups, np.full(len(features), push < 0), language)
            named = [text for text in said.text[:, 0] if name in text.lower()]
            assert not named, named[0]
