import subprocess
import sys
from pathlib import Path

import galsim
import numpy as np
import pytest
import torch

from skygen.process.light import SIDES_PX, Canvas, draw, reach_px
from skygen.sky.inspection.psf import measure_psf
from skygen.sky.units import PIXEL_SCALE_ARCSEC
from tests.process.seen import by_galsim, drawn, galaxy, objects, psf

ROOT = Path(__file__).parents[2]
SIZE = 128


@pytest.mark.parametrize("seeing_arcsec", [0.9, 1.1, 1.4, 1.7, 2.0])
def test_stars_drawn_for_a_fwhm_are_measured_to_have_it(seeing_arcsec):
    rng = np.random.default_rng(1)
    row, column = np.divmod(np.arange(32), 8)
    x, y = 48 * (column + 1) + rng.random(32), 48 * (row + 1) + rng.random(32)
    image = drawn(objects(x, y, [100.0]), [seeing_arcsec / PIXEL_SCALE_ARCSEC], 240, 432, faint_nmgy=0.01)[0]
    assert measure_psf(image.numpy(), x, y).fwhm_arcsec == pytest.approx(seeing_arcsec, rel=0.01)


@pytest.mark.parametrize("seeing_arcsec", [0.6, 1.0, 1.4, 2.0, 3.0])
def test_a_point_source_has_the_flux_place_peak_and_width_of_its_psf_at_any_phase(seeing_arcsec):
    rng = np.random.default_rng(2)
    fwhm_px = seeing_arcsec / PIXEL_SCALE_ARCSEC
    profile = psf(fwhm_px)
    for _ in range(20):  # five seeings make it a hundred
        x, y = SIZE // 2 + rng.random(2)
        ours = drawn(objects(x, y, [100.0]), [fwhm_px], SIZE, SIZE)[0].numpy()
        theirs = 100 * by_galsim(profile, x, y, SIZE, SIZE)
        assert ours.max() == pytest.approx(theirs.max(), rel=0.01)
        assert np.abs(ours - theirs).max() < 0.002 * theirs.max()
        here, there = _moments(ours, x, y), _moments(theirs, x, y)
        assert np.hypot(*here[:2]) < 0.02
        assert here[2:] == pytest.approx(there[2:], rel=0.01)


def _moments(image, x, y):
    """Centroid from (x, y) and second moments within 12 px of it."""
    dy, dx = np.mgrid[:SIZE, :SIZE] - np.array([y, x])[:, None, None]
    light = image * (np.hypot(dx, dy) < 12)
    return [(light * part).sum() / light.sum() for part in (dx, dy, dx**2, dy**2)]


@pytest.mark.parametrize("seeing_arcsec", [0.6, 1.4, 3.0])
def test_all_of_a_point_source_s_flux_is_drawn(seeing_arcsec):
    image = drawn(objects(1000.3, 1000.8, [1.0]), [seeing_arcsec / PIXEL_SCALE_ARCSEC], 2048, 2048, faint_nmgy=1e-14)
    assert image.sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("seeing_arcsec", "limit"), [(0.6, 0.02), (0.8, 0.01), (1.4, 0.01), (2.0, 0.01)])
def test_galaxies_are_those_of_galsim_within_a_percent_of_their_peak(seeing_arcsec, limit):
    rng = np.random.default_rng(3)
    fwhm_px = seeing_arcsec / PIXEL_SCALE_ARCSEC
    profile = psf(fwhm_px)
    for share in (0.0, 0.35, 1.0):
        for arcsec in np.geomspace(0.2, 8, 5):
            radius_px, ratio, angle = arcsec / PIXEL_SCALE_ARCSEC, rng.uniform(0.12, 1), rng.uniform(0, np.pi)
            x, y = SIZE // 2 + rng.random(2)
            ours = drawn(objects(x, y, [1.0], radius_px, ratio, share, angle), [fwhm_px], SIZE, SIZE)[0].numpy()
            seen = galsim.Convolve([galaxy(radius_px, ratio, share, angle), profile], propagate_gsparams=False)
            theirs = by_galsim(seen, x, y, SIZE, SIZE)
            assert np.abs(ours - theirs).max() < limit * theirs.max(), (share, arcsec, ratio)


def scene(count=60, dtype=torch.float64, bands=3):
    """Stars and galaxies of all sizes and fluxes, half and half, on and around a canvas of 64 px."""
    rng = np.random.default_rng(4)
    extended = np.arange(count) % 2
    return objects(
        *rng.uniform(-20, 84, (2, count)),
        10 ** rng.uniform(-2, 2.5, (count, bands)),
        10 ** rng.uniform(-0.3, 1.3, count) * extended,
        np.where(extended, rng.uniform(0.12, 1, count), 1),
        rng.random(count) * extended,
        rng.uniform(0, np.pi, count),
        dtype=dtype,
    )


@pytest.mark.parametrize("faint_nmgy", [1e-2, 1e-3])
@pytest.mark.parametrize("fwhm_px", [1.6, 3.4, 5.0])
def test_what_is_left_out_of_an_object_adds_less_to_any_pixel_than_is_allowed(faint_nmgy, fwhm_px):
    every = scene()
    for i in range(0, len(every.x), 3):
        one = every.take([i])._replace(x=torch.tensor([150.2]).double(), y=torch.tensor([149.7]).double())
        whole, part = (drawn(one, [fwhm_px] * 3, 300, 300, faint) for faint in (1e-9, faint_nmgy))
        assert (whole - part).abs().max() < faint_nmgy


def test_an_object_is_drawn_as_far_as_its_reach_and_not_at_all_where_it_is_too_faint():
    every = objects(150.0, 150.0, [[1e4], [30.0], [1.0], [1e-3]])
    fwhm = torch.tensor([3.4], dtype=torch.float64)
    reach = reach_px(every, fwhm, 0.01)
    assert reach.tolist() == sorted(reach.tolist(), reverse=True)
    assert reach[-1] == 0
    for i, distance in enumerate(reach.int().tolist()):
        lit = drawn(every.take([i]), [3.4], 300, 300, 0.01)[0].nonzero()
        assert len(lit) == (2 * distance) ** 2
        assert distance == 0 or lit.min() == 150 - distance


def test_canvases_that_cut_stamps_hold_the_same_light_as_those_that_do_not():
    one = scene()
    whole = drawn(one._replace(x=one.x + 200, y=one.y + 200), [3.4] * 3, 464, 464, 1e-3)
    part = drawn(one, [3.4] * 3, 61, 64, 1e-3)
    assert part.shape == (3, 61, 64)
    assert (part - whole[:, 200:261, 200:264]).abs().max() < 1e-3 * len(one.x) / 10
    assert (part - whole[:, 200:261, 200:264]).abs().median() < 1e-4


def test_single_precision_agrees_with_double():
    double, single = scene(), scene(dtype=torch.float32)
    exact, rough = drawn(double, [3.4] * 3, 64, 64, 1e-3), drawn(single, [3.4] * 3, 64, 64, 1e-3)
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() < 1e-5 * exact.max()


def test_gradients_are_those_of_finite_differences():
    start = objects(
        [7.3, 6.6, 8.2], [8.1, 7.4, 6.9], [[3.0, 5.0], [8.0, 4.0], [2.0, 2.0]], [0.0, 2.3, 9.0],
        [1.0, 0.4, 0.8], [0.0, 0.3, 0.7], [0.0, 0.6, 2.0],
    )  # fmt: skip
    tile, psf_fwhm_px = torch.tensor([0, 0, 1]), torch.tensor([[2.6, 3.1], [3.9, 3.5]], dtype=torch.float64)

    def light(*marks):
        return draw(start._make((start.is_galaxy, *marks)), tile, psf_fwhm_px, Canvas(2, 2, 16, 16), 1e-3)

    marks = [part.clone().requires_grad_() for part in start[1:]]
    assert torch.autograd.gradcheck(light, marks, eps=1e-6, atol=1e-6, rtol=1e-4, fast_mode=True)


BYTES = """
import hashlib, sys, torch
from tests.process.test_light import scene
from skygen.process.light import Canvas, draw
from skygen.process.bright import halo_of
threads, others, dtype = int(sys.argv[1]), int(sys.argv[2]), getattr(torch, sys.argv[3])
torch.set_num_threads(threads)
first, more = scene(dtype=dtype), scene(others, dtype)
tile = torch.cat([torch.zeros(len(first.x)), 1 + torch.arange(others) % 3]).long()
mixed = torch.argsort(torch.rand(len(tile), generator=torch.Generator().manual_seed(others)))
mixed = torch.cat([mixed, torch.arange(60)])  # the first canvas' objects come last, and in their order
mixed = mixed[(tile[mixed] > 0) | (torch.arange(len(mixed)) >= len(tile))]
both = type(first)(*(torch.cat(parts)[mixed] for parts in zip(first, more)))
psf = torch.full((4, 3), 3.4, dtype=torch.float64) + torch.arange(4)[:, None] * 0.13
image = draw(both, tile[mixed], psf, Canvas(4, 3, 64, 64), 1e-3, halo_of("gri"))
print(hashlib.sha256(image[0].contiguous().numpy().tobytes()).hexdigest())
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_canvas_is_the_same_to_the_byte_whatever_else_is_drawn_in_any_process_on_one_thread_or_two(dtype):
    digests = set()
    for threads, others in ((1, 0), (1, 7), (2, 29), (1, 150)):
        command = [sys.executable, "-c", BYTES, str(threads), str(others), dtype]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_the_sides_of_stamps_fill_the_vector_registers():
    assert all(side % 16 == 0 for side in SIDES_PX)
