"""From contributions to sentences."""

import numpy as np
import pytest

from models.reasons import MIN_CONTRIBUTION, explain, group_contributions

GROUPS = {
    "days_since_last": "lateness",
    "overdue_ratio": "lateness",
    "gap_mean": "rhythm",
    "n_purchases_365": "frequency",
    "is_one_time": "frequency",
    "month_sin": "season",
    "my_score": "loyalty_card",
}
REGULAR = {
    "days_since_last": 64.0,
    "overdue_ratio": 3.0,
    "gap_mean": 21.2,
    "n_purchases_365": 1234.0,
    "is_one_time": 0.0,
    "month_sin": 0.5,
    "my_score": 0.256789,
}


def reasons(contributions, values=None, lowers=False):
    row = np.array([[contributions.get(name, 0.0) for name in GROUPS]])
    columns = {k: np.array([v]) for k, v in {**REGULAR, **(values or {})}.items()}
    columns = {k: v for k, v in columns.items() if not np.isnan(v[0]) or k in GROUPS}
    found = explain(row, columns, GROUPS, np.array([lowers]))
    return found.code[0].tolist(), found.contribution[0].tolist(), found.text[0].tolist()


def test_contributions_of_a_group_add_up_and_rank():
    codes, weights, texts = reasons(
        {"days_since_last": 0.2, "overdue_ratio": 0.3, "n_purchases_365": 0.4, "my_score": 0.1}
    )
    assert codes == ["lateness", "frequency", "loyalty_card"]
    assert weights == pytest.approx([0.5, 0.4, 0.1])
    assert texts == [
        "Usually buys every 21 days; last purchase 64 days ago",
        "1,234 purchases in the last 365 days",
        "My_score is 0.257",
    ]


def test_the_season_is_never_a_reason():
    assert reasons({"month_sin": 5.0})[0] == ["", "", ""]


def test_only_what_pushes_the_right_way_and_matters_is_a_reason():
    pushes = {"gap_mean": -0.4, "n_purchases_365": 0.3, "my_score": MIN_CONTRIBUTION / 2}
    assert reasons(pushes)[0] == ["frequency", "", ""]
    codes, weights, texts = reasons(pushes, lowers=True)
    assert codes == ["rhythm", "", ""]
    assert weights[0] == -0.4
    assert np.isnan(weights[1])
    assert texts == ["Good sign: 21 days between purchases on average", "", ""]


def test_what_reads_the_same_is_said_once():
    one_time = {"is_one_time": 1.0, "gap_mean": np.nan, "overdue_ratio": np.nan}
    codes, _, texts = reasons(
        {"days_since_last": 0.5, "gap_mean": 0.4, "is_one_time": 0.3, "my_score": 0.2}, one_time
    )
    assert texts == ["Bought once, 64 days ago", "My_score is 0.257", ""]
    assert codes == ["lateness", "loyalty_card", ""]


@pytest.mark.parametrize(
    ("feature", "values", "text"),
    [
        ("days_since_last", {"days_since_last": 2.0, "gap_mean": 1.0},
         "Usually buys every day; last purchase 2 days ago"),
        ("days_since_last", {"gap_mean": np.nan}, "Last purchase 64 days ago"),
        ("gap_mean", {"gap_mean": np.nan}, "Gap_mean is not known"),
        ("n_purchases_365", {"n_purchases_365": 1.0}, "1 purchase in the last 365 days"),
        ("n_purchases_365", {"n_purchases_365": 0.0}, "No purchase in the last 365 days"),
        ("n_purchases_365", {"n_purchases_365": np.nan, "n_purchases_90": 2.0},
         "2 purchases in the last 90 days"),
        ("my_score", {"my_score": np.nan}, "My_score is not known"),
        ("my_score", {"my_score": 12345.6}, "My_score is 12,346"),
    ],
)  # fmt: skip
def test_sentences_take_the_customers_numbers(feature, values, text):
    assert reasons({feature: 1.0}, values)[2][0] == text


@pytest.mark.parametrize(
    ("group", "values", "text"),
    [
        ("spend", {"net_spend_365": 1234.4, "spend_percentile": 0.354},
         "Spent 1,234 in the last 365 days, more than 35 % of customers"),
        ("spend", {"net_spend_365": 9999.0, "spend_percentile": 1.0},
         "Spent 9,999 in the last 365 days"),
        ("spend", {"net_spend_180": 0.0}, "Spent nothing in the last 180 days"),
        ("spend", {"net_spend_365": -20.0},
         "Sent back 20 more than was bought in the last 365 days"),
        ("trend", {"n_purchases_90": 2.0, "n_purchases_180": 7.0},
         "2 purchases in the last 90 days, 5 in the 90 days before"),
        ("trend", {"n_purchases_90": 0.0, "n_purchases_180": 0.0},
         "No purchase in the last 180 days"),
        ("basket", {"n_products_365": 1.0}, "1 product in the last 365 days"),
        ("basket", {"n_products_365": 8.0}, "8 different products in the last 365 days"),
        ("returns", {"return_rate_365": 0.12},
         "Sent back 12 % of what was bought in the last 365 days"),
        ("spend", {"net_spend_365": 0.0}, "Spent nothing in the last 365 days"),
        ("discounts", {"discount_share_365": 0.4},
         "Saved 40 % through discounts in the last 365 days"),
        ("tenure", {"tenure_days": 400.0}, "First purchase 400 days ago"),
        ("rhythm", {"gap_mean": 20.0, "gap_max": 80.0},
         "20 days between purchases on average, 80 at most"),
    ],
)  # fmt: skip
def test_each_subject_has_its_words(group, values, text):
    columns = {name: np.array([value]) for name, value in values.items()}
    groups = dict.fromkeys(values, group)
    weights = np.full((1, len(values)), 0.5)
    assert explain(weights, columns, groups, np.array([False])).text[0, 0] == text


@pytest.mark.parametrize(
    ("values", "lowers"),
    [
        ({"return_rate_365": 0.4}, True),
        ({"return_rate_365": 0.0}, False),
        ({"net_spend_365": -9.0}, True),
        ({"n_purchases_180": 0.0}, True),
    ],
)
def test_what_reads_as_its_own_opposite_makes_room_for_the_next(values, lowers):
    groups = {"return_rate_365": "returns", "net_spend_365": "spend", "n_purchases_180": "trend"}
    (first,) = (groups[name] for name in values)
    columns = {name: np.array([value]) for name, value in values.items()}
    columns["tenure_days"] = np.array([9.0])
    weights = np.array([[-0.5, -0.4]]) * (1 if lowers else -1)
    used = {next(iter(values)): first, "tenure_days": "tenure"}
    found = explain(weights, columns, used, np.array([lowers]))
    assert found.code[0].tolist() == ["tenure", "", ""]
    said = explain(-weights, columns, used, np.array([not lowers]))
    assert said.code[0].tolist() == [first, "tenure", ""]


def test_one_customer_reads_the_same_alone_and_in_company():
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 0.3, (200, len(GROUPS)))
    columns = {name: rng.gamma(2, 20, 200).round(1) for name in GROUPS}
    columns["gap_mean"][::3] = np.nan
    lowers = rng.random(200) < 0.5
    together = explain(weights, columns, GROUPS, lowers)
    for i in (0, 3, 77):
        alone = explain(weights[[i]], {k: v[[i]] for k, v in columns.items()}, GROUPS, lowers[[i]])
        assert alone.text[0].tolist() == together.text[i].tolist()
        np.testing.assert_array_equal(alone.contribution[0], together.contribution[i])


def test_groups_sum_to_the_whole():
    weights = np.random.default_rng(2).normal(size=(50, len(GROUPS)))
    names, sums = group_contributions(weights, tuple(GROUPS.values()))
    assert names == ("lateness", "rhythm", "frequency", "season", "loyalty_card")
    np.testing.assert_allclose(sums.sum(axis=1), weights.sum(axis=1))


def test_no_customers_and_fewer_groups_than_reasons():
    empty = explain(np.empty((0, 1)), {"a": np.empty(0)}, {"a": "a"}, np.empty(0, dtype=bool))
    assert empty.text.shape == (0, 3)
    one = explain(np.ones((1, 1)), {"a": np.ones(1)}, {"a": "a"}, np.array([False]))
    assert one.code.tolist() == [["a", "", ""]]


@pytest.mark.parametrize(
    ("feature", "values", "worries"),
    [
        ("days_since_last", {"days_since_last": 46.0, "gap_mean": 4.0}, True),
        ("days_since_last", {"days_since_last": 3.0, "gap_mean": 30.0}, False),
        ("net_spend_365", {"net_spend_365": 598.0, "spend_percentile": 0.97}, False),
        ("net_spend_365", {"net_spend_365": 12.0, "spend_percentile": 0.1}, True),
        ("n_purchases_90", {"n_purchases_90": 1.0, "n_purchases_180": 5.0}, True),
        ("n_purchases_90", {"n_purchases_90": 4.0, "n_purchases_180": 5.0}, False),
    ],
)
def test_being_late_is_no_good_sign_and_buying_much_no_worry(feature, values, worries):
    groups = {"days_since_last": "lateness", "net_spend_365": "spend", "n_purchases_90": "trend"}
    columns = {name: np.array([value]) for name, value in values.items()}
    for raises in (True, False):
        weight = np.array([[0.5 if raises else -0.5]])
        group = {feature: groups[feature]}
        found = explain(weight, columns, group, np.array([not raises]))
        assert (found.code[0, 0] != "") == (raises == worries)
