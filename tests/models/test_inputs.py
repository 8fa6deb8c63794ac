"""From a frame to the matrix: which columns, and the frozen percentile."""

import numpy as np
import pandas as pd

from models.inputs import Feature, Inputs, Percentiles

SPEND = Feature("spend_percentile", "spend", -1)


def test_percentiles_known_answer():
    ranks = Percentiles.learn("x", [*np.arange(101.0), np.nan])
    np.testing.assert_allclose(ranks([-5, 0, 25, 50.5, 100, 900]), [0, 0, 0.25, 0.505, 1, 1])
    assert np.isnan(ranks([np.nan])[0])
    ties = Percentiles.learn("x", [0.0] * 50 + [1.0] * 50)
    np.testing.assert_allclose(ties([0.0, 1.0]), [0.245, 0.75], atol=0.01)
    assert Percentiles.from_dict(ties.to_dict()) == ties


def test_the_computed_column_is_asked_for_by_its_source():
    X = pd.DataFrame({"net_spend_365": [1.0, 2.0, 3.0], "b": [0.0, 1.0, np.nan]})
    inputs, dropped = Inputs.choose(X, [Feature("b", "own"), SPEND], [])
    assert dropped == {}
    assert inputs.names == ["b", "spend_percentile", "net_spend_365"]
    assert inputs.columns == ["b", "net_spend_365"]
    assert inputs.signs == {"spend_percentile": -1}
    np.testing.assert_allclose(inputs.matrix(X)[:, 1], [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(inputs.matrix(X[["net_spend_365", "b"]]), inputs.matrix(X))


def test_a_spend_that_does_not_differ_has_no_percentile():
    X = pd.DataFrame({"net_spend_365": [5.0, np.nan, 5.0], "net_spend_90": [np.nan] * 3})
    inputs, dropped = Inputs.choose(X, [SPEND], [])
    assert inputs.names == ["net_spend_365"]
    assert inputs.percentiles is None
    assert dropped == {"net_spend_90": "no value in training"}
