"""Measures of voice and engagement on public data, against plain pandas."""

from pathlib import Path

import pandas as pd
import pytest

from features.ledger import Ledger
from features.measures import ask
from features.measures.engagement import engagement
from features.measures.satisfaction import satisfaction
from features.measures.voice import voice

pytestmark = pytest.mark.data


def test_reviews_of_olist(development_data: Path) -> None:
    orders = pd.read_parquet(development_data / "olist_sample_orders.parquet")
    reviews = pd.read_parquet(development_data / "olist_sample_reviews.parquet")
    surveys = pd.DataFrame(
        {
            "customer_id": reviews["customer_id"],
            "timestamp": reviews["review_answer_timestamp"],
            "kind": "csat",
            "score": reviews["review_score"],
            "scale_max": 5,
            "comment": reviews["review_comment_message"],
        }
    )
    surveys = surveys.drop_duplicates()  # as the ledger does with rows equal in every column
    columns = ["customer_id", "timestamp", "amount"]
    ledger = Ledger.from_frames(orders[columns], surveys=surveys)
    with ask(ledger) as asked:
        happy, said = satisfaction(asked).frame, voice(asked)
    # Of two answers at one moment the worse counts.
    order = ["timestamp", "score"]
    last = surveys.sort_values(order, ascending=[True, False]).groupby("customer_id").tail(1)
    whole = happy[happy["period"] == "all"].set_index("measure")
    assert whole.loc["csat", "value"] == pytest.approx((last["score"] >= 4).mean())
    assert whole.loc["csi", "value"] == pytest.approx(25 * (last["score"] - 1).mean())
    comments = surveys["comment"].str.strip().fillna("") != ""
    found = said.frame[said.frame["period"] == "all"].set_index(["measure", "segment"])
    assert found.loc[("comments", "all"), "value"] == comments.sum()
    topics = found.loc["topic_share"]
    assert 3 <= len(topics) <= 9
    # Those who have not got their parcel are angrier than those who recommend the shop.
    moods = found.loc["sentiment"]
    moods = moods[moods.index.str.contains("topic=")]["value"]
    assert moods[moods.index.str.contains("recebi")].max() < -0.3
    assert moods[moods.index.str.contains("recomendo")].min() > 0.2


def test_events_of_retailrocket(development_data: Path) -> None:
    events = pd.read_parquet(development_data / "retailrocket_sample.parquet")
    events["timestamp"] = events["timestamp"].dt.tz_localize(None)
    sold = events[events["event"] == "transaction"].assign(amount=1)
    columns = ["customer_id", "timestamp"]
    ledger = Ledger.from_frames(sold[[*columns, "amount"]], events=events[[*columns, "event"]])
    with ask(ledger) as asked:
        found = engagement(asked).frame
    table = found[found["period"] == "all"].set_index(["measure", "segment"])["value"]
    daily = events.groupby(events["timestamp"].dt.date)["customer_id"].nunique()
    end = min(events["timestamp"].max(), sold["timestamp"].max()).date()
    inside = daily[daily.index <= end]
    days = (end - events["timestamp"].min().date()).days + 1
    assert table["dau", "all"] == pytest.approx(inside.sum() / days)
    assert table["funnel_person_rate", "step=visit"] == 1
    assert table["funnel_person_rate", "step=view"] > table["funnel_person_rate", "step=cart"]
    viewed = events[events["event"] == "view"]["customer_id"].nunique()
    share = viewed / events["customer_id"].nunique()
    assert table["funnel_person_rate", "step=view"] == pytest.approx(share)
