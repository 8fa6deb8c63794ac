"""What is bought next: methods on hand-made histories, and the stored model."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from models import artifact
from models.base import ModelError
from models.next_purchase import METHODS, QUESTIONS, NextPurchase, history_text

ITEMS = np.array(["bread", "butter", "cheese", "wine"], dtype=object)
DEFAULT = {"next": "repeat", "new": "ease"}


def fitted(rows, methods=DEFAULT, recent=None, l2=1.0):
    counts = sparse.csr_array(np.array(rows, dtype=float))
    lately = np.ones(counts.nnz, dtype=bool) if recent is None else recent
    names = np.array([item.title() for item in ITEMS], dtype=object)
    return NextPurchase.fit(counts, lately, ITEMS, names, item="category", methods=methods, l2=l2)


# Who buys bread buys butter, who buys cheese buys wine; bread is the most popular.
SHOP = [[1, 2, 0, 0]] * 6 + [[1, 1, 0, 0]] * 4 + [[0, 0, 1, 1]] * 5 + [[1, 0, 0, 0]] * 2


def named(model, rows, question, method):
    place = {item: i for i, item in enumerate(ITEMS)}
    order = [place[key] for key in model.items]
    counts = sparse.csr_array(np.array(rows, dtype=float)[:, order])
    ranked = model.rank(counts, question, 4, method)
    return [[model.items[i] if i >= 0 else None for i in row] for row in ranked]


def test_popularity_ignores_the_customer_and_new_leaves_out_what_was_bought():
    model = fitted(SHOP)
    assert model.items == ("bread", "butter", "cheese", "wine")
    rows = [[0, 0, 0, 0], [0, 0, 9, 0]]
    everyone = ["bread", "butter", "cheese", "wine"]
    assert named(model, rows, "next", "popularity") == [everyone] * 2
    assert named(model, rows, "new", "popularity")[1] == ["bread", "butter", "wine", None]


def test_repeat_is_what_they_buy_anyway_and_popularity_settles_ties():
    model = fitted(SHOP)
    found = named(model, [[0, 1, 0, 3], [0, 0, 0, 0]], "next", "repeat")
    assert found == [["wine", "butter", "bread", "cheese"], ["bread", "butter", "cheese", "wine"]]


def test_recent_popularity_counts_late_purchases_only():
    counts = sparse.csr_array(np.array(SHOP, dtype=float))
    model = fitted(SHOP, recent=counts.indices >= 2)
    assert named(model, [[0, 0, 0, 0]], "next", "recent_popularity")[0][:2] == ["cheese", "wine"]


def test_ease_knows_what_goes_with_what():
    model = fitted(SHOP)
    assert named(model, [[0, 0, 1, 0]], "new", "ease")[0][0] == "wine"
    assert named(model, [[1, 0, 0, 0]], "new", "ease")[0][0] == "butter"
    # What the customer buys anyway comes first, and its companion before a popular stranger.
    found = named(model, [[0, 0, 2, 0]], "next", "repeat_ease")[0]
    assert found[:2] == ["cheese", "wine"]


def test_ease_is_the_ridge_regression_of_each_item_on_the_others():
    counts = sparse.csr_array(np.array(SHOP, dtype=float))
    model = fitted(SHOP, l2=3.0)
    x = np.log1p(counts.toarray())
    for j in range(4):
        others = [i for i in range(4) if i != j]
        gram = x[:, others].T @ x[:, others] + 3.0 * np.eye(3)
        weights = np.linalg.solve(gram, x[:, others].T @ x[:, j])
        got = model.weights.toarray()[others, j]
        assert got == pytest.approx(weights, abs=1e-6)


def test_predictions_are_names_and_come_back_from_the_folder(tmp_path):
    model = fitted(SHOP)
    frame = pd.DataFrame(
        {"bought": [history_text({"wine": 2, "unheard of": 9}), "{}"]}, index=["a", "b"]
    )
    predicted = model.predict(frame)
    assert predicted.loc["a"].tolist() == ["Wine", "Bread", "Butter", "Cheese", "Bread", "Butter"]
    assert predicted.loc["b", "next_1"] == "Bread"
    again = artifact.load(artifact.save(model, tmp_path / "model"), "next_purchase")
    pd.testing.assert_frame_equal(again.predict(frame), predicted)
    assert again.methods == model.methods


def test_the_same_customers_give_the_same_bytes_in_any_order(tmp_path):
    folders = [
        artifact.save(fitted(rows), tmp_path / name)
        for name, rows in (("one", SHOP), ("two", SHOP[::-1]))
    ]
    cards = [(folder / "card.json").read_bytes() for folder in folders]
    assert cards[0] == cards[1]


def test_every_method_answers_its_question():
    model = fitted(SHOP)
    for question in QUESTIONS:
        for method in METHODS[question]:
            other = model.with_methods({**DEFAULT, question: method})
            found = other.predict(pd.DataFrame({"bought": ['{"bread": 1}']}))
            assert found[f"{question}_1"].tolist() != [""]


@pytest.mark.parametrize("text", ["bread", "[1]", '{"bread": "much"}', None])
def test_a_history_that_is_none_is_refused(text):
    with pytest.raises(ModelError, match="does not say what was bought"):
        fitted(SHOP).predict(pd.DataFrame({"bought": [text]}))


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ModelError, match="does not answer"):
        fitted(SHOP, {"next": "ease", "new": "repeat"})
    with pytest.raises(ModelError, match="bought nothing"):
        fitted([[0, 0, 0, 0]])
    with pytest.raises(ModelError, match="above 0"):
        fitted(SHOP, l2=0.0)
    with pytest.raises(ModelError, match="column bought is missing"):
        fitted(SHOP).predict(pd.DataFrame({"x": [1]}))
