from dataclasses import replace

import galsim
import numpy as np
import pytest

from skygen.sky.ccd import dark_variance_counts2, dark_variance_of_halves_counts2, gain_e_per_count
from skygen.sky.frame_format import sky_grid
from skygen.sky.simulation import light
from skygen.sky.simulation.artefacts import GROWN_PX, Trail, fill_saturated, saturated_pixels, trail_nmgy
from skygen.sky.simulation.catalogue import Catalogue
from skygen.sky.simulation.exposure import draw_exposures, draw_pointing, field_id
from skygen.sky.simulation.optics import Optics
from skygen.sky.simulation.simulate import BANDS, DEFERRED, expose
from skygen.sky.spread import GLOW

SMALL = (160, 192)
ROUND = galsim.Shear(g1=0, g2=0)


def sources(places, flux_nmgy, radius_px=0.0, bulge_share=0.0, axis_ratio=1.0):
    count = len(places)
    return Catalogue(
        x=np.array([x for x, _ in places], float),
        y=np.array([y for _, y in places], float),
        flux_nmgy={band: np.full(count, float(flux_nmgy)) for band in BANDS},
        disc_radius_px=np.full(count, radius_px),
        disc_axis_ratio=np.full(count, axis_ratio),
        bulge_radius_px=np.full(count, radius_px / 2),
        bulge_axis_ratio=np.full(count, axis_ratio),
        bulge_share=np.full(count, bulge_share),
        angle_deg=np.zeros(count),
    )


def take(catalogue, band="r", shape=SMALL, seed=1, **changed):
    rng = np.random.default_rng(seed)
    pointing = draw_pointing(rng, 0, shape)
    taken = draw_exposures(rng, field_id(0), pointing, shape)[band]
    optics = Optics(3.2, ROUND, GLOW[band], 0.3)
    exposure = replace(taken, **({"optics": optics, "trail": None, "full_well_counts": 60000.0} | changed))
    return expose(catalogue, pointing, exposure, shape, rng)


def distances(frame, x, y):
    rows, columns = np.mgrid[: frame.flux_nmgy.shape[0], : frame.flux_nmgy.shape[1]]
    return columns - x, rows - y


def expected_noise_nmgy(frame):
    gain = gain_e_per_count(frame.field_id, frame.band)
    dark = np.mean([*dark_variance_of_halves_counts2(frame.field_id, frame.band).values()])
    shared = (1 - DEFERRED) ** 2 + DEFERRED**2
    rounding = 1 / 12
    return np.sqrt(frame.sky_counts.mean() / gain * shared + dark + rounding) * frame.nmgy_per_count


@pytest.mark.parametrize("band", BANDS)
def test_empty_sky_has_the_noise_of_its_photons_and_electronics(band):
    frame = take(sources([], 1.0), band, (400, 400))
    assert np.std(frame.flux_nmgy) == pytest.approx(expected_noise_nmgy(frame), rel=0.008)
    assert abs(np.mean(frame.flux_nmgy)) < 4 * expected_noise_nmgy(frame) / 400
    assert abs(np.mean(frame.flux_nmgy[:, 0])) < 4 * expected_noise_nmgy(frame) / 20


def test_charge_read_with_the_next_pixel_correlates_neighbours_in_a_row_alone():
    flux = take(sources([], 1.0), "r", (900, 900)).flux_nmgy
    photons = 1 - dark_variance_counts2(field_id(0), "r") * 0.0052**2 / flux.var()  # of the variance
    assert np.corrcoef(flux[:, 1:].ravel(), flux[:, :-1].ravel())[0, 1] == pytest.approx(DEFERRED * photons, abs=0.004)
    assert np.corrcoef(flux[1:].ravel(), flux[:-1].ravel())[0, 1] == pytest.approx(0, abs=0.004)


def test_pixels_are_whole_counts_less_the_sky_times_the_calibration():
    frame = take(sources([], 1.0))
    x, y = sky_grid(SMALL)
    table = frame.sky_counts
    sky = (
        np.interp(y, np.arange(table.shape[0]), table[:, 0])[:, None]
        + np.interp(x, np.arange(table.shape[1]), table[0])
        - table[0, 0]
    )
    counts = frame.flux_nmgy / frame.calibration_nmgy_per_count + sky
    assert np.abs(counts - np.rint(counts)).max() < 0.03  # ten bits of a flux below 0.15 nmgy, in counts of 0.005


@pytest.mark.parametrize("fwhm_px", [2.6, 3.4, 4.2])
def test_the_psf_is_as_wide_as_asked_and_encloses_what_it_says(fwhm_px):
    optics = Optics(fwhm_px, ROUND, GLOW["r"], 0.0)
    assert optics.psf.flux == pytest.approx(1.0)
    assert optics.psf.calculateFWHM() == pytest.approx(fwhm_px, rel=1e-3)
    photons = optics.psf.shoot(400_000, galsim.BaseDeviate(1))
    radius = np.hypot(photons.x, photons.y)
    for limit in (0.5 * fwhm_px, fwhm_px, 3 * fwhm_px, 12 * fwhm_px):
        assert (radius < limit).mean() == pytest.approx(optics.enclosed(limit), abs=0.003)


def test_far_from_a_star_the_wing_falls_with_the_cube_of_distance_and_spikes_stand_out():
    optics = Optics(3.4, ROUND, (0.0, 45.0), 0.0)
    diagonal = np.array([40.0, 80.0]) / np.sqrt(2)
    near, far = (optics.halo(np.array([d]), np.array([d])).item() for d in diagonal)
    assert near / far == pytest.approx(8, rel=0.05)
    on_spike = optics.halo(np.array([40.0]), np.array([0.0])).item()
    assert on_spike > 2 * near
    turned = Optics(3.4, ROUND, (0.0, 45.0), np.pi / 4)
    assert turned.halo(diagonal[:1], diagonal[:1]).item() == pytest.approx(on_spike, rel=1e-6)


@pytest.mark.parametrize("flux", [1e4, 1e6, 1e8])
def test_beyond_its_reach_a_star_adds_less_than_what_is_asked(flux):
    for band in BANDS:
        optics = Optics(3.4, ROUND, GLOW[band], 0.0)
        reach = optics.reach_px(flux, 2.0)
        outside = flux * optics.halo(np.array([reach * 1.0]), np.array([0.0])).item()
        assert outside < 3 * 2.0  # wing, glow and spike, each at most that


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("flux_nmgy", [3.0, 300.0])  # shot as photons, drawn
def test_a_planted_star_has_its_flux_at_its_place(band, flux_nmgy):
    frame = take(sources([(90.0, 70.0)], flux_nmgy), band)
    x, y = frame.wcs.all_world2pix(*take(sources([], 1.0)).wcs.all_pix2world(90.0, 70.0, 0), 0)
    dx, dy = distances(frame, x, y)
    inside = np.hypot(dx, dy) < 20
    electrons_per_nmgy = gain_e_per_count(frame.field_id, band) / frame.nmgy_per_count
    assert (flux_nmgy * electrons_per_nmgy > light.DRAWN_FROM_E) == (flux_nmgy > 100)
    error = np.sqrt(inside.sum() * expected_noise_nmgy(frame) ** 2 + flux_nmgy / electrons_per_nmgy)
    expected = flux_nmgy * Optics(3.2, ROUND, GLOW[band], 0.3).enclosed(20)
    extra = 0.012 * flux_nmgy  # at most, of glow and spikes
    assert expected - 3.5 * error < frame.flux_nmgy[inside].sum() < expected + extra + 3.5 * error
    near = np.where(np.hypot(dx, dy) < 5, frame.flux_nmgy, 0)
    assert (near * dx).sum() / near.sum() == pytest.approx(0, abs=0.4)
    assert (near * dy).sum() / near.sum() == pytest.approx(0, abs=0.4)


@pytest.mark.parametrize(("radius_px", "bulge_share"), [(0.0, 0.0), (5.0, 0.0), (5.0, 1.0), (5.0, 0.4)])
def test_photons_and_drawing_show_the_same_source(monkeypatch, radius_px, bulge_share):
    source = sources([(95.0, 80.0)], 150.0, radius_px, bulge_share, axis_ratio=0.5)
    drawn = take(source)
    monkeypatch.setattr(light, "DRAWN_FROM_E", 1e9)
    shot = take(source)
    dx, dy = distances(drawn, 95, 80)
    for a, b in ((4, 4), (8, 4), (4, 8), (16, 16)):
        inside = (dx / a) ** 2 + (dy / b) ** 2 < 1
        assert shot.flux_nmgy[inside].sum() == pytest.approx(drawn.flux_nmgy[inside].sum(), rel=0.03)


def test_half_of_a_galaxys_light_is_within_its_radius_and_it_is_long_where_it_should_be():
    sharp = Optics(0.3, ROUND, (0.0, 45.0), 0.0)
    for axis_ratio in (1.0, 0.4):
        frame = take(sources([(95.0, 80.0)], 3000.0, 9.0, axis_ratio=axis_ratio), optics=sharp)
        dx, dy = distances(frame, 95, 80)
        inside = np.hypot(dx, dy / axis_ratio) < 9.0
        assert frame.flux_nmgy[inside].sum() == pytest.approx(1500, rel=0.05)


def test_what_overfills_a_pixel_runs_along_its_column():
    expected = np.zeros((60, 40))
    expected[30, 20] = 11e4  # eleven times the full well: ten more pixels, half of them up
    where = np.argwhere(saturated_pixels(expected, 1e4))
    assert where[:, 0].min() == 25 - GROWN_PX
    assert where[:, 0].max() == 35 + GROWN_PX
    assert set(where[:, 1]) == {19, 20, 21}
    assert not saturated_pixels(expected, 12e4).any()


def test_a_narrow_gap_is_filled_level_and_a_wide_one_sinks_to_half():
    image, gap = np.full((3, 60), 8.0), np.zeros((3, 60), bool)
    gap[1, 10:13] = gap[2, 20:45] = True
    image[gap] = 1e5
    filled = fill_saturated(image, gap)
    assert np.all(filled[:2] == 8.0)
    assert filled[2, 32] == pytest.approx(4.0, rel=1e-3)
    assert filled[2].max() == 8.0


def test_a_saturated_star_keeps_its_wings_and_loses_its_peak():
    star = sources([(95.0, 80.0)], 20_000.0)
    whole, clipped = take(star, full_well_counts=1e9), take(star, full_well_counts=40_000.0)
    distance = np.hypot(*distances(whole, 95, 80))
    limit = 40_000 * whole.nmgy_per_count
    assert clipped.flux_nmgy.max() < 1.1 * limit < 0.3 * whole.flux_nmgy.max()
    ring = (distance > 12) & (distance < 30)
    assert clipped.flux_nmgy[ring].sum() == pytest.approx(whole.flux_nmgy[ring].sum(), rel=0.02)


@pytest.mark.parametrize(("angle", "length"), [(0.0, 192.0), (np.pi / 2, 160.0), (np.arctan2(3, 4), 160 / 0.6)])
def test_a_trail_has_its_light_along_its_whole_length(angle, length):
    trail = Trail(96.0, 80.0, angle, 4.0, 2.0)
    wide = (160, 192 if angle == 0 else 400)
    assert trail_nmgy(replace(trail, x_px=wide[1] / 2), wide).sum() == pytest.approx(4.0 * length, rel=0.01)
    frame = take(sources([], 1.0), trail=trail)
    difference = frame.flux_nmgy - take(sources([], 1.0)).flux_nmgy
    assert difference.sum() == pytest.approx(trail_nmgy(trail, SMALL).sum(), rel=0.05)
