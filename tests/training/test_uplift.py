"""Uplift models of a shop whose campaigns work on some customers only."""

import numpy as np
import pandas as pd
import pytest

from features.errors import NotEnoughDataError
from features.ledger import Ledger, open_ledger
from features.settings import PolicySettings, PurchaseSettings, SourceSettings
from features.simulate import simulate
from models.booster import raw_scores
from models.uplift.examples import fit_base
from models.uplift.learners import fit_effects
from models.uplift.qini import true_qini
from serving.campaigns import CampaignSettings, measure_campaigns
from serving.registry import load
from training.uplift import REGISTERED_NAME, UpliftSettings, train_uplift
from training.uplift_examples import Pool, trials


def shop(customers=700, effect=0.6, seed=1):
    """Two voucher campaigns, which make only customers buy who use the app."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"SECRET-{i:04d}" for i in range(customers)])
    app = rng.random(customers) < 0.5
    start = pd.Timestamp("2024-01-01")
    rows = [
        (who, start + pd.Timedelta(days=float(day)), 20.0, "app" if uses else "store")
        for who, uses in zip(ids, app, strict=True)
        for day in rng.uniform(0, 300, rng.poisson(5) + 1)
    ]
    contacts = []
    for day in (120, 220):
        sent = start + pd.Timedelta(days=day, hours=5)
        treated = rng.random(customers) < 0.5
        for who, uses, given in zip(ids, app, treated, strict=True):
            arm = "treatment" if given else "control"
            contacts.append((who, sent, f"voucher-{day}", arm, 1.0 * given))
            if given and uses and rng.random() < effect:
                later = sent + pd.Timedelta(days=float(rng.uniform(0, 29)))
                rows.append((who, later, 30.0, "app"))
    return Ledger.from_frames(
        pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount", "channel"]),
        contacts=pd.DataFrame(
            contacts, columns=["customer_id", "timestamp", "campaign", "arm", "cost"]
        ),
    )


@pytest.fixture(scope="module")
def ledger():
    return shop()


def test_campaigns_as_examples(ledger):
    found = trials(ledger, 30)
    assert found.kinds == ["voucher"]
    first, last = found.each
    assert first.features.index.equals(first.features.index.sort_values())
    assert len(first.stayed) == len(first.treated) == len(first.features)
    # Nothing after the contact is known: the second campaign's customers have seen the first.
    assert first.features["contacts_90"].fillna(0).max() == 0
    assert last.features["probability_no_purchase"].notna().all()
    assert [t.campaign.name for t in found.before(last.campaign.first_day).each] == ["voucher-120"]
    assert not found.before(first.campaign.first_day).each


def test_a_shop_without_experiments_is_refused(ledger):
    with pytest.raises(NotEnoughDataError, match="no past campaign"):
        trials(ledger, 365)


def test_a_shop_without_contacts_is_told_so():
    orders = pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [1.0]})
    with pytest.raises(NotEnoughDataError, match="no table of contacts"):
        trials(Ledger.from_frames(orders), 90)


@pytest.mark.slow
def test_a_training_registers_what_can_be_foretold(ledger, store):
    tracking = store[0]
    result = train_uplift(ledger, UpliftSettings(30), seed=1, tracking=tracking)
    assert (result.name, result.version, result.promoted) == (REGISTERED_NAME, "1", True)
    chosen = result.metrics.loc["chosen"]
    assert chosen["uplift/voucher/qini_area_low"] > 0
    assert chosen["uplift/minus_qini_area"] < 0
    version = tracking.alias(REGISTERED_NAME, "champion")
    model = tracking.load_artifact(version)
    features = trials(ledger, 30).each[-1].features
    said = model.predict(features)
    assert list(said) == ["uplift_voucher", "stay_voucher", "spend_voucher"]
    client = tracking.client
    files = {f.path for f in client.list_artifacts(result.run_ids["chosen"])}
    assert {"qini.json", "qini_voucher.png"} <= files
    local = client.download_artifacts(result.run_ids["chosen"], "qini.json")
    table = pd.read_json(local, orient="split")
    assert {"treatment", "share", "gain", "random", "low", "high"} <= set(table)
    loaded = load(REGISTERED_NAME, tracking_uri=tracking.tracking_uri)
    pd.testing.assert_frame_equal(loaded.predict(features), said, check_exact=False)


@pytest.mark.slow
def test_where_nothing_can_be_foretold_nothing_is_registered(store):
    known = shop(300, effect=0.0, seed=3)
    result = train_uplift(known, UpliftSettings(30), seed=1, tracking=store[0])
    assert result.version == ""
    assert "better than at random" in result.reason


@pytest.mark.slow
def test_a_simulated_shops_truth_is_found(tmp_path):
    simulate(tmp_path, customers=2000, seed=7)
    truth = pd.read_parquet(tmp_path / "truth_contacts.parquet")
    ledger = open_ledger(
        SourceSettings(url=str(tmp_path)), {}, PolicySettings(), PurchaseSettings(), tmp_path, None
    )
    reports = measure_campaigns(ledger, CampaignSettings(42, 42)).reports
    truth["tau"] = truth["purchase_probability_treatment"] - truth["purchase_probability_control"]
    average = truth.groupby("campaign")["tau"].mean()
    covered = [
        reports[name].effects["purchase"].low <= tau <= reports[name].effects["purchase"].high
        for name, tau in average.items()
    ]
    assert sum(covered) >= len(covered) - 1
    found = trials(ledger, 42)
    test = found.of("voucher")[-1]
    pool = Pool.of(found.before(test.campaign.first_day), 0, 1)
    X = pool.inputs.matrix(test.features)
    base = raw_scores(fit_base(pool.inputs, pool.X, pool.y, seed=0), X)
    score = fit_effects("odds", pool.examples["voucher"], seed=0)(X, base)
    true = truth[truth["campaign"] == test.campaign.name].set_index("customer_id")["tau"]
    effect = true.reindex(test.features.index).to_numpy()
    assert true_qini(effect, score) > 0.45 * true_qini(effect, effect)
