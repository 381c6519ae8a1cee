"""A process drawn on a pretended device, whose catalogue and stamps stay the CPU's."""

import numpy as np
import pytest
import torch

from skygen.process.light import add_at
from skygen.process.truth import truth_of
from skygen.process.view import Under, View
from tests.harness.elsewhere import ELSEWHERE, Elsewhere
from tests.process.skies import boxes, conditions, process

GRI = ("g", "r", "i")


@pytest.fixture(autouse=True)
def _no_inference_mode(monkeypatch):
    """In it torch moves tensors out of the pretended device's sight."""
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)


def test_a_sky_drawn_elsewhere_is_the_cpu_s_to_a_hundred_thousandth_of_its_brightest_pixel():
    wanted, under = boxes(3, 80, 64), Under.of(conditions(3))
    here = View(process(), GRI).observed(wanted, under)
    with Elsewhere():
        view = View(process(), GRI, ELSEWHERE)
        there, again = view.observed(wanted, under), view.observed(wanted, under)

    assert np.abs(there - here).max() < 1e-5 * np.abs(here).max()
    assert np.array_equal(there, again)


def test_a_truth_elsewhere_has_the_cpu_s_objects():
    wanted, under = boxes(1), Under.of(conditions())
    (here,) = truth_of(View(process(), GRI), wanted, under, 1.0)
    with Elsewhere():
        (there,) = truth_of(View(process(), GRI, ELSEWHERE), wanted, under, 1.0)

    assert len(here.rows) > 3
    for name in ("object_id", "x", "y", "flux_r_nmgy", "half_light_radius_arcsec", "angle_deg"):
        assert np.array_equal(there.rows[name], here.rows[name])


def test_light_that_meets_in_one_pixel_adds_up_on_any_device():
    index, light = torch.tensor([4, 1, 4, 4]), torch.tensor([1.0, 2.0, 4.0, 8.0])
    here = torch.ones(6)
    add_at(here, index, light)
    with Elsewhere():
        there = torch.ones(6).to(ELSEWHERE)
        add_at(there, index.to(ELSEWHERE), light.to(ELSEWHERE))

    assert here.tolist() == there.tolist() == [1, 3, 1, 1, 14, 1]
