"""Partially pooled segments, for every purchase model."""

import json

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.btyd import PURCHASE_MODELS, ModifiedBetaGeoNBD
from models.btyd.histories import compress

MODELS = [k for k in PURCHASE_MODELS.values() if k.effects and k.time_unit == "weeks"]
RATE = np.array([-0.6, -0.3, 0.0, 0.2, 0.7, 0.6])
DROPOUT = np.array([0.8, -0.6, 0.0, 0.4, -0.6, -0.6])
SIZES = (900, 900, 900, 900, 900, 4)


def new(kind, **asked):
    """A model to fit; how regular customers are is not the question here."""
    return kind(k=2, **asked) if kind.label == "mbg_cnbd_k" else kind(**asked)


def simulate(sizes, seed) -> pd.DataFrame:
    """MBG/NBD customers of segments s0, s1, ... with the offsets above."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(len(sizes)), sizes)
    n = len(of)
    T = rng.integers(35, 700, n) / 7.0
    rates = rng.gamma(0.8, 1 / 8.0, n) * np.exp(RATE[of])
    p = rng.beta(0.7 * np.exp(0.5 * DROPOUT[of]), 2.5 * np.exp(-0.5 * DROPOUT[of]))
    clock, x, last = np.zeros(n), np.zeros(n), np.zeros(n)
    alive = rng.random(n) > p
    while alive.any():
        clock += rng.exponential(1.0, n) / rates
        alive &= clock <= T
        x[alive] += 1
        last[alive] = clock[alive]
        alive &= rng.random(n) > p
    rfm = pd.DataFrame({"frequency": x, "recency": np.minimum(np.round(last, 1), T), "T": T})
    return rfm.assign(channel=[f"s{i}" for i in of])


@pytest.fixture(scope="module")
def shop() -> pd.DataFrame:
    return simulate(SIZES, 2)


@pytest.fixture(scope="module")
def fitted(shop):
    return ModifiedBetaGeoNBD(segment="channel").fit(shop, method="laplace", seed=1)


def test_segments_are_recovered_and_the_small_one_stays_with_the_population(fitted):
    table = fitted.segment_summary().set_index("segment")
    assert table["customers"].tolist() == list(SIZES)
    large = table.iloc[:5]
    # What is known is how segments differ, not where their common centre is.
    for effect, truth in (("rate", RATE), ("dropout", DROPOUT)):
        found = np.log(large[effect].to_numpy())
        error = found - found.mean() - (truth[:5] - truth[:5].mean())
        width = np.log(large[f"{effect}_high"] / large[f"{effect}_low"]).to_numpy() / 3.29
        assert (np.abs(error) < 3.5 * width).all()
        assert (large[f"{effect}_shrinkage"] < 0.4).all()
        small = table.loc["s5"]
        assert small[f"{effect}_shrinkage"] > 0.5
        assert abs(np.log(small[effect])) < 0.5 * abs(truth[5])
    assert 0.2 < fitted.parameters["sd_rate[channel]"] < 1.0


@pytest.mark.parametrize("kind", MODELS)
def test_the_gradient_is_the_slope_of_the_log_posterior(kind, shop):
    few = pd.concat([part.head(40) for _, part in shop.groupby("channel")])
    few = few.assign(frequency=few.frequency.clip(upper=20), age=np.arange(len(few)) % 7)
    model = new(kind, segment="channel", covariates={"rate": ["age"]})
    target = model._target(compress(model._learn(few)), "weak")
    assert target.names == model.parameter_names
    point = target.start + np.linspace(-0.3, 0.3, len(target.start))
    _, gradient = target.log_posterior(point)
    for i, step in enumerate(1e-5 * np.eye(len(point))):
        up, down = target.log_posterior(point + step)[0], target.log_posterior(point - step)[0]
        assert gradient[i] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-4)


def test_the_coordinates_have_the_density_of_the_plain_hierarchy(shop):
    """Partial centring only changes coordinates: density times Jacobian is the textbook's."""
    few = shop.groupby("channel").head(60)
    model = ModifiedBetaGeoNBD(segment="channel")
    nodes = compress(model._learn(few))
    target = model._target(nodes, "weak")
    k, groups = 4, 6
    rng = np.random.default_rng(0)

    def textbook(q):
        p = target.to_parameters(q)
        sd, offset = p[k : k + 2], p[k + 2 :].reshape(2, groups)
        cells = p[:k, None] * np.ones((1, groups))
        for j, share in enumerate(([0, -1, 0, 0], [0, 0, 0.5, -0.5])):
            cells = cells * np.exp(np.array(share)[:, None] * offset[j])
        value = model._log_likelihood(cells, nodes)[0]
        z = (q[:k] - target.prior_mean[:k]) / target.prior_sd[:k]
        value -= 0.5 * z @ z + 0.5 * ((np.log(sd) - np.log(0.25)) ** 2).sum()
        value -= (0.5 * (offset / sd[:, None]) ** 2 + np.log(sd)[:, None]).sum()
        # d offset / d w, one each: the Jacobian is triangular.
        step = np.zeros(len(q))
        for i in range(k + 2, len(q)):
            step[i] = 1e-6
            slope = target.to_parameters(q + step)[i] - target.to_parameters(q - step)[i]
            value += np.log(slope / 2e-6)
            step[i] = 0.0
        return value

    points = target.start + 0.2 * rng.standard_normal((4, len(target.start)))
    gap = [target.log_posterior(q)[0] - textbook(q) for q in points]
    np.testing.assert_allclose(gap, gap[0], atol=1e-5)


def test_alike_segments_give_the_model_without_segments(shop):
    """Two halves of one population: the offsets vanish and the rest is the plain fit."""
    one = shop[shop.channel == "s2"].reset_index(drop=True)
    half = one.assign(channel=np.where(np.arange(len(one)) % 2, "odd", "even"))
    twice = pd.concat([one.assign(channel="a"), one.assign(channel="b")])
    pooled = ModifiedBetaGeoNBD(segment="channel", segment_sd=1e-3).fit(half, method="map")
    plain = ModifiedBetaGeoNBD().fit(half, method="map")
    for name, value in plain.parameters.items():
        assert pooled.parameters[name] == pytest.approx(value, rel=1e-2)
    equal = ModifiedBetaGeoNBD(segment="channel").fit(twice, method="map")
    first, second = equal.segment_summary()["rate"]
    assert first == pytest.approx(second, rel=1e-6)
    assert first == pytest.approx(1.0, abs=0.02)  # the prior of alpha pulls them a little, as one


def test_segments_far_apart_and_large_are_fitted_as_if_alone(shop):
    loose = ModifiedBetaGeoNBD(segment="channel", segment_sd=20.0)
    big = shop[shop.channel.isin(["s0", "s4"])]
    model = loose.fit(big, method="map", priors="flat")
    for name in ("s0", "s4"):
        own = big[big.channel == name]
        alone = ModifiedBetaGeoNBD().fit(own, method="map", priors="flat")
        # r and a + b are shared, so the segment's own optimum is a little higher.
        assert model.log_likelihood(own) == pytest.approx(alone.log_likelihood(own), abs=6.0)


def test_an_unseen_segment_is_the_population(shop, fitted):
    new = shop.head(6).assign(channel=["?", "s1", "s1", "??", "s0", None])
    assert fitted.unseen(new) == {"channel": 3}
    names = ModifiedBetaGeoNBD.names
    plain = ModifiedBetaGeoNBD.from_draws({k: fitted.posterior[k] for k in names})
    rows = [0, 3, 5]
    np.testing.assert_allclose(
        fitted.expected_purchases(new, 20.0)[rows],
        plain.expected_purchases(new, 20.0)[rows],
        rtol=1e-9,
    )


def test_a_model_comes_back_from_its_draws_and_description(shop, fitted):
    description = json.loads(json.dumps(fitted.describe()))
    again = ModifiedBetaGeoNBD.from_draws(fitted.posterior, fitted.diagnostics, description)
    few = shop.iloc[::500]
    np.testing.assert_array_equal(
        again.expected_purchases(few, 10.0), fitted.expected_purchases(few, 10.0)
    )
    pd.testing.assert_frame_equal(again.segment_summary(), fitted.segment_summary())
    assert again.input_columns == ("frequency", "recency", "T", "channel")


def test_a_point_has_a_table_without_intervals(shop):
    model = ModifiedBetaGeoNBD(segment="channel").fit(shop, method="map")
    table = model.segment_summary()
    assert table[["rate", "dropout"]].notna().all(axis=None)
    assert table[["rate_low", "dropout_high", "rate_shrinkage"]].isna().all(axis=None)
    with pytest.raises(ModelError, match="no segments"):
        ModifiedBetaGeoNBD().fit(shop, method="map").segment_summary()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"segment": "region"}, "no column 'region'"),
        ({"segment": "one"}, "nothing to pool"),
        ({"segment": "channel", "covariates": {"rate": ["channel"]}}, "both a covariate and"),
    ],
)
def test_what_cannot_be_used_is_said(shop, asked, message):
    with pytest.raises(ModelError, match=message):
        ModifiedBetaGeoNBD(**asked).fit(shop.assign(one="a"), method="map")


@pytest.mark.slow
def test_the_sampler_and_the_fast_path_agree():
    rfm = simulate((300, 300, 300, 300, 300, 4), 3)
    nuts = ModifiedBetaGeoNBD(segment="channel").fit(rfm, seed=1)
    fast = ModifiedBetaGeoNBD(segment="channel").fit(rfm, seed=1, method="laplace")
    assert nuts.diagnostics["divergences"] == 0
    for name, draws in nuts.posterior.items():
        other = fast.posterior[name]
        scale = np.log if name in nuts.names or name.startswith("sd_") else np.asarray
        spread = scale(draws).std()
        assert scale(draws).mean() == pytest.approx(scale(other).mean(), abs=0.4 * spread), name
        assert spread == pytest.approx(scale(other).std(), rel=0.4), name
