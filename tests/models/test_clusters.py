"""Clusters: planted ones are found, none are found in a cloud, and nothing depends on row order."""

import numpy as np
import pandas as pd
import pytest

from models import artifact
from models.clusters import Clusters, NoClustersError
from models.segmentation import SEGMENT_OUTPUT, CustomerSegments
from models.segments import RfmCuts

NAMES = ["n_purchases_365", "days_since_last", "aov_365", "items_per_order_365"]


def cloud(n=600, seed=0):
    """One cloud of correlated, skewed features."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4)) @ (np.eye(4) + 0.4)
    return pd.DataFrame(np.exp(2.5 + 0.4 * z), columns=NAMES)


@pytest.fixture(scope="module")
def planted():
    """Three kinds of customers, which kind each is, and 50 who bought nothing for a year."""
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 3, 600)
    # Purchases a year, days since the last, spend and items an order.
    middle = np.array([[24, 10, 20, 1.5], [4, 60, 150, 12], [3, 90, 25, 2]])
    values = middle[kind] * np.exp(0.3 * rng.normal(size=(600, 4)))
    frame = pd.DataFrame(values, columns=NAMES)
    frame["discount_share_365"] = 0.0
    gone = frame.iloc[:50].assign(n_purchases_365=0.0, aov_365=np.nan, items_per_order_365=np.nan)
    frame = pd.concat([frame, gone], ignore_index=True)
    return frame, np.concatenate([kind, np.full(50, -1)])


@pytest.fixture(scope="module")
def found(planted):
    return Clusters.learn(planted[0], seed=0)


def test_planted_clusters_are_found_and_the_lapsed_are_in_none(planted, found):
    frame, kind = planted
    table = pd.crosstab(kind, found.assign(frame))
    assert table.loc[-1].to_dict() == {0: 50, 1: 0, 2: 0, 3: 0}
    assert table.loc[0:].max(axis=1).sum() >= 0.97 * 600
    assert found.stability > 0.9
    assert found.shares.sum() == pytest.approx(1.0)


def test_clusters_are_ordered_and_described_by_what_sets_them_apart(found):
    names = found.names()
    assert names[0] == "0: no purchase in the last year"
    assert "buys often" in names[1]
    assert any("large baskets" in name and "many items" in name for name in names[2:])
    assert len(found.names("zh")) == len(names)
    # A feature that is the same for everyone tells nobody apart.
    assert "discount_share_365" not in found.features


def test_the_order_of_rows_changes_nothing(planted, found):
    shuffled = planted[0].sample(frac=1.0, random_state=5)
    again = Clusters.learn(shuffled, seed=0)
    assert again.to_dict() == found.to_dict()


def test_clusters_are_stored_without_loss(planted, found):
    again = Clusters.from_dict(found.to_dict())
    assert again.to_dict() == found.to_dict()
    assert np.array_equal(again.assign(planted[0]), found.assign(planted[0]))


def test_a_customer_keeps_its_cluster_whoever_else_comes(planted, found):
    frame = planted[0]
    assert np.array_equal(found.assign(frame.iloc[:7]), found.assign(frame)[:7])


def test_a_cloud_is_not_cut_into_clusters():
    with pytest.raises(NoClustersError, match="no number of clusters passes"):
        Clusters.learn(cloud())


def test_too_few_customers_or_features_make_no_clusters():
    with pytest.raises(NoClustersError, match="at least 200"):
        Clusters.learn(cloud(100))
    with pytest.raises(NoClustersError, match="two features"):
        Clusters.learn(cloud(300)[["n_purchases_365"]])


def test_the_model_of_segments_comes_back_from_its_folder(planted, found, tmp_path):
    rfm = pd.DataFrame(
        {
            "frequency": [0.0, 5.0],
            "recency": [0.0, 20.0],
            "T": [9.0, 21.0],
            "monetary_value": [0.0, 30.0],
            "first_value": [10.0, 30.0],
        }
    )
    inputs = rfm.join(planted[0])
    for clusters, why in ((found, ""), (None, "too few customers")):
        cuts = RfmCuts((7, 30, 90, 365), (1, 2, 4, 8), (20, 50, 100, 200))
        model = CustomerSegments(cuts, clusters, why)
        before = inputs.copy()
        predicted = model.predict(inputs)
        assert inputs.equals(before)
        assert tuple(predicted.columns) == SEGMENT_OUTPUT
        folder = artifact.save(model, tmp_path / f"model{bool(why)}")
        again = artifact.load(folder, "segments")
        pd.testing.assert_frame_equal(again.predict(inputs), predicted)
        assert (predicted["cluster"] == "").all() == (clusters is None)
