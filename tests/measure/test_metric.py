import numpy as np
import pytest

from skygen.measure import metric
from skygen.measure.metric import Meaning


def test_each_row_of_weights_gives_its_own_mean():
    values = np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
    rows = np.array([[1.0, 1, 1], [0, 2, 0], [3, 0, 1]])

    assert metric.average(values, rows) == pytest.approx(np.array([[3, 30], [2, 20], [2.25, 22.5]]))


def test_a_large_description_is_averaged_in_pieces(monkeypatch):
    values = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    whole = metric.average(values, np.ones((2, 4)))
    monkeypatch.setattr(metric, "_COLUMNS", 4)

    assert metric.average(values, np.ones((2, 4))) == pytest.approx(whole)
    assert whole[1] == pytest.approx(values.mean(axis=0), rel=1e-5)


def test_squared_distances_are_those_from_the_ideal():
    share, distance = Meaning(0.5, "share", "", excess="square"), Meaning(0, "distance", "", excess="itself")

    assert metric.squared(share, np.array([0.5, 0.9, 0.3])) == pytest.approx([0, 0.16, 0.04])
    assert metric.squared(distance, np.array([2.0, -0.1])) == pytest.approx([2, -0.1])


def test_what_is_no_distance_has_no_square():
    with pytest.raises(ValueError, match="values of 'precision' are no distances"):
        metric.squared(Meaning(1, "precision", ""), np.ones(2))
