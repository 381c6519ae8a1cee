import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skygen.sky.stretch import Stretch

STRETCHES = st.builds(
    lambda softening, ratio: Stretch(softening, softening * ratio), st.floats(1e-3, 10), st.floats(1.5, 1e5)
)
SHIPPED = Stretch(0.2, 100.0)


@given(STRETCHES, st.floats(-1, 1))
def test_unstretch_is_the_inverse_inside_the_limit(stretch, share):
    flux = np.array([share * stretch.limit_nmgy])

    assert stretch.unstretch(stretch.stretch(flux)) == pytest.approx(flux, rel=1e-9, abs=1e-9 * stretch.softening_nmgy)


@given(STRETCHES, st.floats(-1, 1))
def test_stretch_is_the_inverse_of_unstretch(stretch, value):
    values = np.array([value])

    assert stretch.stretch(stretch.unstretch(values)) == pytest.approx(values, abs=1e-12)


@given(STRETCHES)
def test_zero_stays_and_the_limit_becomes_one(stretch):
    flux = np.array([0.0, stretch.limit_nmgy, -stretch.limit_nmgy])

    assert stretch.stretch(flux) == pytest.approx([0.0, 1.0, -1.0], abs=1e-12)
    assert stretch.stretch(flux)[0] == 0.0


@pytest.mark.parametrize("as_array", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_flux_beyond_the_limit_is_clipped(as_array):
    clipped = SHIPPED.stretch(as_array([1e6, 100.1, -1e6]))

    assert clipped.tolist() == [1.0, 1.0, -1.0]


def test_more_flux_is_never_a_smaller_value():
    flux = np.linspace(-150, 150, 10_001)
    values = SHIPPED.stretch(flux)
    inside = np.abs(flux) < 100

    assert (np.diff(values) >= 0).all()
    assert (np.diff(values[inside]) > 0).all()


def test_it_is_linear_well_under_the_softening_and_logarithmic_above():
    scale = math.asinh(100 / 0.2)

    assert SHIPPED.stretch(np.array([1e-3])) == pytest.approx(1e-3 / 0.2 / scale, rel=1e-5)
    ten, hundred = SHIPPED.stretch(np.array([10.0, 100.0]))
    assert hundred - ten == pytest.approx(math.log(10) / scale, rel=1e-3)


def test_torch_agrees_with_numpy():
    flux = np.random.default_rng(0).normal(0, 30, (4, 3, 8, 8)).astype(np.float32)
    values = SHIPPED.stretch(flux)

    assert SHIPPED.stretch(torch.from_numpy(flux)).numpy() == pytest.approx(values, abs=1e-6)
    assert SHIPPED.unstretch(torch.from_numpy(values)).numpy() == pytest.approx(SHIPPED.unstretch(values), rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_type_is_kept(dtype):
    flux = np.ones((2, 2), dtype)

    assert SHIPPED.stretch(flux).dtype == dtype
    assert SHIPPED.unstretch(flux).dtype == dtype
    assert SHIPPED.stretch(torch.from_numpy(flux)).numpy().dtype == dtype
