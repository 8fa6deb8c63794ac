"""Few nodes stand for many customers, with effects and fractional numbers of purchases too."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln

from models.btyd.mode import find_mode
from models.spend_effects import Effects
from models.spend_likelihood import learn_spreads, spend_target


def customers(n, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "frequency": rng.negative_binomial(0.8, 0.2, n).astype(float),
            "age": rng.normal(40.0, 10.0, n),
            "country": rng.choice(["at", "de", "uk"], n, p=[0.1, 0.3, 0.6]),
        }
    )
    x = rng.uniform(1.0, 8.0, n)
    return frame, x, np.exp(rng.normal(3.0, 1.2, n)), rng.uniform(0.5, 3.0, n)


def likelihood(x, z, weight, p, q, g):
    value = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(g)
    value += p * x * np.log(x * z) - np.log(z) - (p * x + q) * np.log(g + x * z)
    return weight @ value


def test_without_effects_it_is_the_plain_likelihood():
    _, x, z, weight = customers(3000)
    target = spend_target(x, z, weight, "weak")
    assert target.nodes < 150
    for point in (np.array([0.4, 0.9, 2.5]), np.array([2.0, -1.0, 1.0])):
        p, above_one, gamma = np.exp(point)
        exact = likelihood(x, z, weight, p, 1.0 + above_one, gamma)
        assert target.log_likelihood(point)[0] == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("scale_by", ["frequency", "tier"])
def test_value_and_gradient_with_effects(scale_by):
    frame, x, z, weight = customers(4000)
    effects = Effects.learn(frame, weight, scale_by, ["country"], None)
    place, rows = effects.cells(frame)
    target = spend_target(x, z, weight, "flat", effects, place, rows)
    assert target.nodes < len(x)
    rng = np.random.default_rng(1)
    point = np.concatenate([[1.2, 0.9, 2.5], rng.normal(0.0, 0.3, len(effects.names))])
    value, gradient = target.log_likelihood(point)
    g = np.exp(2.5 + effects.design(frame) @ point[3:])
    exact = likelihood(x, z, weight, np.exp(1.2), 1.0 + np.exp(0.9), g)
    assert value == pytest.approx(exact, rel=1e-10)
    assert target.exact is not None
    by_all = target.exact(point)
    assert by_all[0] == pytest.approx(exact, rel=1e-12)
    np.testing.assert_allclose(by_all[1], gradient, rtol=1e-7, atol=1e-6)
    for i, direction in enumerate(np.eye(len(point))):
        up, down = (target.log_likelihood(point + s * 1e-5 * direction)[0] for s in (1, -1))
        assert gradient[i] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-3)


def test_rows_of_the_design_have_an_average_of_nothing():
    frame, *_ = customers(2000)
    effects = Effects.learn(frame, np.ones(2000), "frequency", ["age"], "country")
    design = effects.design(frame)
    assert effects.names == (
        "effect:frequency",
        "effect:age",
        "effect:country:at",
        "effect:country:de",
        "effect:country:uk",
    )
    assert effects.inputs == ("frequency", "age", "country")
    np.testing.assert_allclose(design[:, :2].mean(axis=0), 0.0, atol=1e-3)
    assert (design[:, 2:].sum(axis=1) == 1.0).all()
    stranger = frame.head(1).assign(country="fr", age=np.nan)
    np.testing.assert_array_equal(effects.design(stranger)[0, 1:], 0.0)
    assert Effects.from_description(effects.describe()) == effects


def test_tiers_hold_fifty_customers_each():
    frame, *_ = customers(1500)
    effects = Effects.learn(frame, np.ones(1500), "tier", (), None)
    held = effects.design(frame).sum(axis=0)
    assert held.min() >= 50
    assert held.sum() == 1500
    assert effects.names[:3] == (
        "effect:frequency:0+",
        "effect:frequency:1+",
        "effect:frequency:2+",
    )


def test_spreads_follow_how_much_segments_differ():
    rng = np.random.default_rng(4)
    n = 6000
    group = rng.integers(0, 12, n)
    level = rng.normal(0.0, 0.5, 12)
    x = rng.integers(1, 5, n).astype(float)
    nu = rng.gamma(4.0, 1 / 15.0, n)
    found = {}
    for name, scale in {"differ": np.exp(level[group]), "same": np.ones(n)}.items():
        frame = pd.DataFrame({"group": group.astype(str)})
        effects = Effects.learn(frame, np.ones(n), None, (), "group")
        z = rng.gamma(6.0 * x) / nu / x * scale
        target = spend_target(x, z, np.ones(n), "weak", effects, *effects.cells(frame))
        target, effects = learn_spreads(target, effects)
        found[name] = effects.segment_spread
        assert find_mode(target).point.shape == (15,)
    assert found["differ"] == pytest.approx(level.std(), rel=0.3)
    assert found["same"] < 0.12
