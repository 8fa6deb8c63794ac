"""From contributions to sentences."""

import lightgbm
import numpy as np
import pytest

import features.contracts
from features.catalogue import CATALOGUE
from models.base import ModelError
from models.messages import LANGUAGES
from models.reasons import HIDDEN_GROUPS, MIN_CONTRIBUTION, explain, group_contributions

GROUPS = {
    "days_since_last": "lateness",
    "overdue_ratio": "lateness",
    "gap_mean": "rhythm",
    "n_purchases_365": "frequency",
    "is_one_time": "frequency",
    "month_sin": "season",
    "my_score": "loyalty_card",
}
ROWS = (*CATALOGUE, *features.contracts.FEATURES)
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
        {"days_since_last": 0.2, "overdue_ratio": 0.3, "n_purchases_365": 0.4, "my_score": 0.1},
        {"n_purchases_365": 3.0},
    )
    assert codes == ["lateness", "frequency", "loyalty_card"]
    assert weights == pytest.approx([0.5, 0.4, 0.1])
    assert texts == [
        "Usually buys every 21 days; last purchase 64 days ago",
        "3 purchases in the last 365 days",
        "My_score is 0.257",
    ]


def test_the_season_is_never_a_reason():
    assert reasons({"month_sin": 5.0})[0] == ["", "", ""]


def test_only_what_pushes_the_right_way_and_matters_is_a_reason():
    pushes = {"gap_mean": -0.4, "n_purchases_365": 0.3, "my_score": MIN_CONTRIBUTION / 2}
    assert reasons(pushes, {"n_purchases_365": 3.0})[0] == ["frequency", "", ""]
    codes, weights, texts = reasons(pushes, lowers=True)
    assert codes == ["rhythm", "", ""]
    assert weights[0] == -0.4
    assert np.isnan(weights[1])
    assert texts == ["Good sign: 21 days between purchases on average", "", ""]


def test_many_purchases_are_no_reason_to_worry():
    pushes = {"n_purchases_365": 0.4, "my_score": 0.1}
    assert reasons(pushes, {"n_purchases_365": 53.0})[0] == ["loyalty_card", "", ""]
    lowers = {name: -push for name, push in pushes.items()}
    texts = reasons(lowers, {"n_purchases_365": 53.0}, lowers=True)[2]
    assert texts[0] == "Good sign: 53 purchases in the last 365 days"


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
        ("trend", {"purchase_change_90": -0.7, "n_purchases_90": 2.0, "n_purchases_180": 7.0},
         "2 purchases in the last 90 days, 5 in the 90 days before"),
        ("trend", {"purchase_change_90": 0.0, "n_purchases_90": 0.0, "n_purchases_180": 0.0},
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
    groups = {next(iter(values)): group}
    weights = np.array([[0.5]])
    assert explain(weights, columns, groups, np.array([False])).text[0, 0] == text


@pytest.mark.parametrize(
    ("values", "lowers"),
    [
        ({"return_rate_365": 0.4}, True),
        ({"return_rate_365": 0.0}, False),
        ({"net_spend_365": -9.0}, True),
        ({"share_recent": np.nan, "n_purchases_180": 0.0}, True),
    ],
)
def test_what_reads_as_its_own_opposite_makes_room_for_the_next(values, lowers):
    groups = {"return_rate_365": "returns", "net_spend_365": "spend", "share_recent": "trend"}
    first = groups[next(iter(values))]
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
        ("share_recent", {"n_purchases_90": 1.0, "n_purchases_180": 5.0}, True),
        ("share_recent", {"n_purchases_90": 4.0, "n_purchases_180": 5.0}, False),
    ],
)
def test_being_late_is_no_good_sign_and_buying_much_no_worry(feature, values, worries):
    groups = {"days_since_last": "lateness", "net_spend_365": "spend", "share_recent": "trend"}
    columns = {name: np.array([value]) for name, value in values.items()}
    for raises in (True, False):
        weight = np.array([[0.5 if raises else -0.5]])
        group = {feature: groups[feature]}
        found = explain(weight, columns, group, np.array([not raises]))
        assert (found.code[0, 0] != "") == (raises == worries)


def test_where_nothing_raises_the_risk_the_good_signs_are_said():
    codes, weights, texts = reasons({"gap_mean": -0.4, "month_sin": 2.0})
    assert codes == ["rhythm", "", ""]
    assert weights[0] == -0.4
    assert texts[0] == "Good sign: 21 days between purchases on average"


def tell(values, weights, language="en", lowers=False, group=None):
    """Reasons of one customer: feature -> value, feature -> contribution."""
    catalogue = {row.name: row.reason_group for row in ROWS}
    groups = {name: group or catalogue[name] for name in weights}
    columns = {
        name: np.array([value], dtype=object if isinstance(value, str | None) else float)
        for name, value in values.items()
    }
    parts = np.array([list(weights.values())])
    return explain(parts, columns, groups, np.array([lowers]), language)


@pytest.mark.parametrize(
    ("about", "values", "english", "chinese"),
    [
        ("overdue_ratio", {"gap_mean": 21.0, "days_since_last": 64.0},
         "Usually buys every 21 days; last purchase 64 days ago",
         "通常每 21 天购买一次，上次购买距今 64 天"),
        ("gap_mean", {"gap_mean": 30.0, "n_purchases_all": 2.0, "days_since_last": 64.0},
         "Bought twice, 30 days apart; last purchase 64 days ago",
         "购买过两次，相隔 30 天，上次购买距今 64 天"),
        ("is_one_time", {"is_one_time": 1.0, "days_since_last": 1.0},
         "Bought once, 1 day ago", "只购买过一次，距今 1 天"),
        ("engage_change_30", {"sessions_30": 1.0, "engage_change_30": np.log(0.2)},
         "1 online visit in the last 30 days, 9 in the 30 days before",
         "最近 30 天线上访问 1 次，之前的 30 天线上访问 9 次"),
        ("days_since_session", {"days_since_session": np.nan},
         "No online visit so far", "至今没有线上访问"),
        ("spend_change_90", {"net_spend_90": 60.0, "net_spend_180": 160.0},
         "Spent 40 % less in the last 90 days than in the 90 days before",
         "最近 90 天的消费比之前的 90 天少 40%"),
        ("spend_change_90", {"net_spend_90": 0.0, "net_spend_180": 160.0},
         "Spent nothing in the last 90 days, 160 in the 90 days before",
         "最近 90 天没有消费，之前的 90 天消费 160"),
        ("last_nps", {"last_nps": 4.0, "days_since_nps": 12.0},
         "Gave 4 of 10 in the last survey, 12 days ago",
         "最近一次调查评分 4（满分 10），距今 12 天"),
        ("open_tickets", {"open_tickets": 2.0},
         "2 open support tickets", "有 2 个客服工单尚未解决"),
        ("open_rate_90", {"open_rate_90": 1 / 8},
         "Opened less than 13 % of the messages of the last 90 days",
         "最近 90 天打开了不到 13% 的营销消息"),
        ("acquisition_channel", {"acquisition_channel": "social"},
         "Came through social", "通过 social 成为客户"),
        ("acquisition_channel", {"acquisition_channel": None},
         "How the customer came is not known", "客户来源未知"),
        ("loyalty_tier", {"loyalty_tier": "gold", "points_balance": 1200.0, "is_member": 1.0},
         "Loyalty tier gold, 1,200 points", "会员等级 gold，积分 1,200"),
        ("last_order_ratio", {"last_order_ratio": 0.6},
         "Spent 40 % less than usual on the last purchase", "上次购买的金额比平时少 40%"),
    ],
)  # fmt: skip
def test_both_languages_say_it(about, values, english, chinese):
    values = {about: 1.0, **values}
    assert tell(values, {about: 0.5}).text[0, 0] == english
    assert tell(values, {about: 0.5}, "zh").text[0, 0] == chinese


def test_columns_of_the_user_are_named_in_both_languages():
    values, weights = {"customer_home_town": "Turin"}, {"customer_home_town": 1.0}
    assert tell(values, weights, group="profile").text[0, 0] == "Home town is Turin"
    assert tell(values, weights, "zh", group="profile").text[0, 0] == "Home town 为 Turin"
    unknown = {"my_score": np.nan}
    assert tell(unknown, {"my_score": 1.0}, group="my_score").text[0, 0] == "My_score is not known"
    chinese = tell(unknown, {"my_score": 1.0}, "zh", group="my_score")
    assert chinese.text[0, 0] == "My_score 未知"


def test_a_feature_of_the_users_own_is_named_in_whatever_group():
    values = {"n_products_365": 8.0, "gift_share": 0.25}
    found = tell(values, {"n_products_365": 0.1, "gift_share": 0.4}, group="basket")
    assert found.text[0, 0] == "Gift_share is 0.25"
    assert found.contribution[0, 0] == pytest.approx(0.5)


def test_a_group_speaks_of_its_features_that_weigh_most():
    values = {
        "open_tickets": 0.0,
        "tickets_30": 1.0,
        "tickets_90": 3.0,
        "neg_sentiment_share_180": 0.7,
    }
    weights = {"open_tickets": 0.1, "tickets_30": 0.3, "neg_sentiment_share_180": 0.2}
    assert tell(values, weights).text[0, 0] == "1 support ticket in the last 30 days"
    weights["neg_sentiment_share_180"] = 0.4
    found = tell(values, weights)
    assert "unhappy" in found.text[0, 0]
    assert found.contribution[0, 0] == pytest.approx(0.8)


def test_a_group_is_not_spoken_for_by_what_hardly_weighs():
    # That nothing was sent back cannot be said as a worry; that it once was weighs too little.
    values = {"return_rate_365": 0.0, "days_since_last_return": 500.0}
    assert tell(values, {"return_rate_365": 0.5, "days_since_last_return": 0.2}).code[0, 0] == ""
    found = tell(values, {"return_rate_365": 0.5, "days_since_last_return": 0.3})
    assert found.text[0, 0] == "Last sent something back 500 days ago"


def test_that_a_customer_is_gone_is_said_once():
    values = {
        "days_since_last": 400.0,
        "gap_mean": 21.0,
        "n_purchases_365": 0.0,
        "net_spend_365": 0.0,
    }
    weights = {
        "days_since_last": 0.5,
        "n_purchases_365": 0.4,
        "net_spend_365": 0.3,
        "gap_mean": 0.1,
    }
    found = tell(values, weights)
    assert found.code[0].tolist() == ["lateness", "rhythm", ""]


def test_an_unknown_language_is_refused():
    with pytest.raises(ModelError, match="'xx'"):
        tell({"is_member": 1.0}, {"is_member": 1.0}, "xx")


def _anybody(n, seed):
    """Values for all features, missing ones among them, and contributions."""
    rng = np.random.default_rng(seed)
    columns = {}
    for row in ROWS:
        if row.kind == "category":
            values = rng.choice(np.array(["web", "app", None], dtype=object), n)
        else:
            low = -3.0 if row.minimum is None else row.minimum
            high = low + 400.0 if row.maximum is None else row.maximum
            values = np.clip(low + rng.exponential((high - low) / 5.0, n), low, high)
            values = np.where(
                rng.random(n) < 0.3, low, np.where(rng.random(n) < 0.5, values, np.round(values))
            )
            values[rng.random(n) < 0.2] = np.nan
        columns[row.name] = values
    parts = rng.normal(0.0, 0.2, (n, len(ROWS)))
    return parts, columns, {row.name: row.reason_group for row in ROWS}, rng.random(n) < 0.4


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_values_the_reasons_can_be_read(seed):
    parts, columns, groups, lowers = _anybody(800, seed)
    found = {code: explain(parts, columns, groups, lowers, code) for code in LANGUAGES}
    english, chinese = found["en"], found["zh"]
    np.testing.assert_array_equal(english.code, chinese.code)
    np.testing.assert_array_equal(english.contribution, chinese.contribution)
    names, sums = group_contributions(parts, tuple(groups.values()))
    for code, reason in found.items():
        text = reason.text
        assert ((text == "") == (reason.code == "")).all()
        for row in text:
            said = [sentence for sentence in row if sentence]
            assert len(set(said)) == len(said)
        for sentence in set(text.ravel()):
            assert not any(wrong in sentence for wrong in ("nan", "None", "{", "inf", "  ", "-0 "))
        good = np.char.startswith(text.astype(str), LANGUAGES[code].good_sign)
        assert (good == (reason.contribution < 0)).all()
    weight = np.abs(english.contribution)
    assert not (np.diff(weight, axis=1) > 0).any()
    assert not HIDDEN_GROUPS & set(english.code.ravel())
    for row, codes in enumerate(english.code):
        for slot, code in enumerate(codes):
            if code:
                assert english.contribution[row, slot] == sums[row, names.index(code)]


def test_groups_and_base_add_up_to_the_raw_score():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(400, len(GROUPS)))
    y = (rng.random(400) < 1 / (1 + np.exp(-X[:, 0] - X[:, 2] * X[:, 3]))).astype(float)
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 7}
    booster = lightgbm.train(parameters, lightgbm.Dataset(X, y), num_boost_round=20)
    parts = booster.predict(X, pred_contrib=True)
    _, sums = group_contributions(parts[:, :-1], tuple(GROUPS.values()))
    raw = booster.predict(X, raw_score=True)
    np.testing.assert_allclose(sums.sum(axis=1) + parts[:, -1], raw, rtol=0, atol=1e-9)
