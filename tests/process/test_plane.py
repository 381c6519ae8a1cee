"""Any rectangle of an endless plane, to the bit."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from skygen.process import view as views
from skygen.process.noise import BLOCK_PX
from skygen.process.plane import Plane
from skygen.process.truth import SATURATED
from skygen.process.view import Under, View, variance
from tests.process.rectangles import plane, rectangles
from tests.process.skies import boxes, conditions, process

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def one_plane():
    return plane()


def _in_a_process(threads, order):
    command = [sys.executable, "-W", "ignore", "-m", "tests.process.rectangles", str(threads), order]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(["src", "."])}
    lines = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment).stdout
    return dict(line.rsplit(" ", 1) for line in lines.splitlines())


def test_overlapping_rectangles_agree_to_the_bit_in_new_processes_on_one_thread_and_on_two(one_plane):
    whole = one_plane.rectangle(-300, -300, 620, 620)
    wanted = {}
    for x, y, width, height in rectangles():
        part = np.ascontiguousarray(whole[:, y + 300 : y + 300 + height, x + 300 : x + 300 + width])
        wanted[f"{x} {y} {width} {height}"] = hashlib.sha256(part.tobytes()).hexdigest()
    assert len(wanted) == 100
    assert _in_a_process(1, "forwards") == wanted
    assert _in_a_process(2, "backwards") == wanted


@pytest.mark.parametrize("canvas", [64, 128, 192])
def test_a_scene_does_not_depend_on_the_canvases_it_is_drawn_on(canvas, monkeypatch):
    """Without a background to add, so that the last bits of the faintest light count."""
    drawn = Plane(process(), 7, conditions())
    wanted = drawn.scene(-31, 900, 500, 333)
    monkeypatch.setattr(views, "CANVAS_PX", canvas)
    np.testing.assert_array_equal(drawn.scene(-31, 900, 500, 333), wanted)


def test_planes_drawn_together_are_those_drawn_alone():
    view, many, under = View(process(), "gri"), boxes(40), Under.of(conditions(40))
    together = view.observed(many, under)
    for some in ([3], [39, 0], [*range(10, 25)]):
        alone = view.observed(many.take(np.array(some)), under.take(np.array(some)))
        np.testing.assert_array_equal(alone, together[some])


@pytest.mark.parametrize("far", [10**9, -(10**9)])
def test_a_billion_px_from_the_origin_rectangles_agree_too(one_plane, far):
    whole = one_plane.rectangle(far, -far, 200, 150)
    assert np.array_equal(one_plane.rectangle(far + 70, 20 - far, 65, 64), whole[:, 20:84, 70:135])
    assert whole.std() > 0.01


def test_beyond_the_bounds_a_rectangle_is_refused(one_plane):
    with pytest.raises(ValueError, match=r"x from 1073737728 to 1073737792 px; the plane ends at"):
        one_plane.rectangle(2**30 - 4096, 0, 64, 64)


def test_seeds_and_tiles_have_planes_of_their_own():
    skies = [Plane(process(), seed, conditions()).rectangle(0, 0, 64, 64) for seed in (7, 8, (7, 0), (7, 1), (8, 0))]
    for place, one in enumerate(skies):
        for other in skies[:place]:
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.5
            assert not np.isclose(one, other).all(0).any()


def test_the_noise_of_a_pixel_has_the_variance_of_sky_and_photons():
    empty = Plane(process(), 7, conditions(), factors=(0, 0))
    drawn = empty.rectangle(-500, 0, 1000, 1000)
    for band, deviation in zip(drawn, (0.017, 0.028, 0.047), strict=True):
        assert abs(band.std() / deviation - 1) < 4 / 2e6**0.5
        assert abs(band.mean()) < 4 * deviation / 1000
    assert np.abs(np.corrcoef(drawn.reshape(3, -1)) - np.eye(3)).max() < 5e-3
    block = drawn[:, :64, 500:564].ravel()
    next_block = drawn[:, :64, 564:628].ravel()
    assert abs(np.corrcoef(block, next_block)[0, 1]) < 5 / len(block) ** 0.5


def test_a_rectangle_is_its_scene_and_noise_that_grows_with_the_light():
    bright = Plane(process(), 3, conditions(density=(4, 3)))
    scene, drawn = (draw(-200, -200, 900, 900) for draw in (bright.scene, bright.rectangle))
    normal = (drawn - scene) / np.sqrt(variance(scene[None], bright.under)[0])
    assert abs(normal.std() - 1) < 4 / (2 * normal.size) ** 0.5
    light = scene > 0.5
    assert abs(normal[light].std() - 1) < 5 / (2 * light.sum()) ** 0.5
    assert (drawn - scene)[1][light[1]].std() > 1.2 * 0.028


def test_the_sky_level_is_added_to_what_is_observed_and_to_no_scene():
    seen = conditions()
    plane, raised = (
        Plane(View(process(), "gri"), 7, seen._replace(sky_level_nmgy=torch.tensor([level])))
        for level in ([0.0, 0.0, 0.0], [0.001, -0.002, 0.003])
    )
    np.testing.assert_array_equal(plane.scene(5, 6, 70, 30), raised.scene(5, 6, 70, 30))
    rise = raised.rectangle(5, 6, 70, 30) - plane.rectangle(5, 6, 70, 30)
    np.testing.assert_allclose(rise, np.broadcast_to([[[0.001]], [[-0.002]], [[0.003]]], rise.shape), atol=1e-5)


def test_the_mean_light_of_undetected_objects_is_taken_away():
    parts = [Plane(process(background=value), 7, conditions()).scene(0, 0, 64, 64) for value in (0.0, 0.002)]
    np.testing.assert_allclose(parts[0] - parts[1], 0.002, rtol=0, atol=1e-6)


def test_a_factor_of_density_adds_and_takes_objects():
    light = [
        Plane(process(), 7, conditions(), factors=(factor, factor)).scene(0, 0, 400, 400).sum((1, 2))
        for factor in (0.0, 0.5, 1.0, 4.0)
    ]
    assert (light[0] == 0).all()
    assert (np.diff(light, axis=0) > 0).all()


@pytest.mark.parametrize(
    ("factors", "name"), [((-0.1, 1), "stars"), ((1, 4.5), "galaxies"), ((float("nan"), 1), "stars")]
)
def test_a_factor_out_of_range_is_refused(factors, name):
    with pytest.raises(ValueError, match=f"the density of {name} is .* times; it must be from 0 to 4"):
        Plane(process(), 7, conditions(), factors=factors)


def test_conditions_without_densities_are_refused():
    with pytest.raises(ValueError, match="the conditions have no densities"):
        Plane(process(), 7, conditions()._replace(density=None))


def test_a_psf_wider_than_objects_reach_is_refused():
    with pytest.raises(ValueError, match=r"a PSF of 8 px; at most 7\.6 px"):
        Plane(process(), 7, conditions()._replace(psf_fwhm_px=torch.full((1, 3), 8.0)))


def test_bands_must_be_those_of_the_process():
    with pytest.raises(ValueError, match="bands are r; the process has 3"):
        View(process(), ["r"])


def test_blocks_of_noise_are_64_px_as_the_docs_say():
    assert BLOCK_PX == 64


def test_the_saturated_core_of_a_star_is_the_same_in_every_rectangle(one_plane):
    bright = one_plane.view.cells.catalogue(boxes(width=6000, height=6000, seed=7), margin=False, faintest=12.5)
    sky = Plane(one_plane.view, (7, 0), conditions())
    stars = np.flatnonzero(~bright.objects.is_galaxy.numpy())
    x, y = (int(part[stars[0]]) for part in (bright.objects.x, bright.objects.y))
    whole, truth = sky.observed(x - 100, y - 150, 200, 300)
    for left, top, width, height in ((-3, -150, 103, 300), (-100, -2, 200, 5), (0, 0, 1, 1), (-100, 2, 120, 148)):
        part = whole[:, 150 + top : 150 + top + height, 100 + left : 100 + left + width]
        np.testing.assert_array_equal(sky.rectangle(x + left, y + top, width, height), part)
    row = truth.rows[truth.rows["object_id"] == bright.id[stars[0]]]
    assert row["flags"] & SATURATED == SATURATED
    box = sky.box(x - 100, y - 150, 200, 300)
    light = sky.view.light(sky.view.cells.catalogue(box), box, sky.under)[0]
    assert light[1].max() > 2 * sky.view.full_well_nmgy[1]
    inside = sum(truth.rows[f"flux_inside_{band}_nmgy"].sum() for band in "gri") + truth.left_out_nmgy.sum()
    scene = sky.scene(x - 100, y - 150, 200, 300).sum(dtype=np.float64) + 60_000 * truth.background_nmgy.sum()
    assert inside == pytest.approx(scene, rel=1e-4)
