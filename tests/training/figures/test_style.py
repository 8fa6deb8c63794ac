"""The look: no window, and only our own figures become pixels."""

import sys

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from training import figures
from training.figures.style import plural


def test_drawing_opens_no_window(forecast):
    figures.scores(*forecast)
    assert "matplotlib.pyplot" not in sys.modules or not mpl.get_backend().startswith("Tk")


def test_a_figure_made_elsewhere_is_refused():
    with pytest.raises(TypeError, match="made by this module"):
        figures.pixels(Figure())


def test_counts_carry_their_noun():
    assert (plural(1, "customer"), plural(1200, "customer")) == ("1 customer", "1,200 customers")
