import numpy as np
import pytest

from skygen.measure.accuracy import accuracy


@pytest.mark.parametrize(
    ("precision", "coverage", "expected"),
    [(0.8, 0.9, 1), (1.0, 1.0, 1), (0.4, 0.9, 2 / 3), (0.8, 0.0, 0), (0.0, 0.0, 0), (0.2, 0.225, 0.25)],
)
def test_accuracy_of_known_parts_over_the_real_tiles_own(precision, coverage, expected):
    assert accuracy(precision, coverage, 0.8, 0.9) == pytest.approx(expected)


def test_arrays_go_elementwise():
    values = accuracy(np.array([0.8, 0.4]), np.array([0.9, 0.9]), np.array([0.8, 0.8]), 0.9)

    assert values == pytest.approx([1, 2 / 3])


def test_real_tiles_without_precision_say_nothing():
    assert accuracy(0.5, 0.5, 0.0, 0.9) == 0
