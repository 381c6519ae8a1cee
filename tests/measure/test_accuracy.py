import numpy as np
import pytest

from skygen.measure.accuracy import PARTS, accuracy

REAL = dict(zip(PARTS, (0.8, 0.75, 0.9), strict=True))


def of(*parts):
    return dict(zip(PARTS, parts, strict=True))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((0.8, 0.75, 0.9), 1),
        ((1.0, 1.0, 1.0), 1),
        ((0.4, 0.75, 0.9), 3 / 4),
        ((0.8, 0.75, 0.225), 1 / 2),
        ((1.0, 0.0, 0.3), 0),
        ((0.0, 0.0, 0.0), 0),
        ((0.2, 0.1875, 0.225), 0.25),
    ],
)
def test_accuracy_of_known_parts_over_the_real_tiles_own(parts, expected):
    assert accuracy(of(*parts), REAL) == pytest.approx(expected)


def test_a_resampling_may_be_better_than_real_where_the_limit_is_lifted():
    assert accuracy(of(1.6, 1.5, 1.8), REAL, most=np.inf) == pytest.approx(2)


def test_arrays_go_elementwise():
    values = accuracy(of(np.array([0.8, 0.4]), np.array([0.75, 0.75]), 0.9), REAL)

    assert values == pytest.approx([1, 3 / 4])


@pytest.mark.parametrize("part", PARTS)
def test_real_tiles_without_a_part_say_nothing(part):
    assert accuracy(of(0.5, 0.5, 0.5), REAL | {part: 0.0}) == 0
