from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from scipy.stats import kstest

from benchmarks.field_statistics import measure_field
from skygen.sky.ccd import dark_variance_counts2, dark_variance_of_halves_counts2, gain_e_per_count
from skygen.sky.field import FieldId, frame_name
from skygen.sky.frame import SHAPE, read_frame
from skygen.sky.frame_format import write_frame
from skygen.sky.inspection.detection import detect
from skygen.sky.noise import sky_noise
from skygen.sky.registration import sky_position
from skygen.sky.simulation import catalogue as catalogue_module
from skygen.sky.simulation.catalogue import GALAXY_COUNTS, STAR_COUNTS, draw_catalogue
from skygen.sky.simulation.exposure import (
    SEEING_ARCSEC,
    SEEING_LIMITS_ARCSEC,
    SEEING_RATIO,
    TRAIL_SHARE,
    draw_exposures,
    draw_pointing,
    field_centre,
    field_id,
    shifted,
)
from skygen.sky.simulation.simulate import BANDS, View, expose, simulate_field, simulate_views
from skygen.sky.units import PIXEL_SCALE_ARCSEC

SURVEY = Path(__file__).parents[4] / "shared" / "sdss"
FIELDS = [(94, 1, 12), (1035, 6, 17), (1043, 5, 25), (1992, 1, 87), (3184, 2, 169), (3918, 3, 213), (4510, 4, 30)]
FIELDS += [(7264, 3, 111)]
SMALL = (160, 192)


def exposures(seed, shape=SHAPE):
    rng = np.random.default_rng(seed)
    return draw_exposures(rng, field_id(seed), draw_pointing(rng, seed, shape), shape)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    def written(seed, name):
        frames = simulate_field(seed, 1, SMALL)
        for frame in frames:
            write_frame(tmp_path / name / frame_name(frame.band, frame.field_id), frame, "test")
        return [path.read_bytes() for path in sorted((tmp_path / name).iterdir())]

    first = written(5, "first")
    assert len(first) == 3
    assert written(5, "again") == first
    assert all(one != other for one, other in zip(written(6, "other"), first, strict=True))


def test_a_field_shows_three_bands_of_one_place():
    frames = simulate_field(0, 7, SMALL)
    assert [frame.band for frame in frames] == ["g", "r", "i"]
    assert len({frame.field_id for frame in frames}) == 1
    assert frames[0].field_id != simulate_field(0, 8, SMALL)[0].field_id


def test_fields_lie_apart_and_off_the_galactic_plane():
    ra, dec = np.array([field_centre(index) for index in range(300)]).T
    places = SkyCoord(ra, dec, unit="deg")
    assert np.abs(places.galactic.b.deg).min() > 29.9
    assert places.match_to_catalog_sky(places, nthneighbor=2)[1].deg.min() > 1.0


@pytest.mark.parametrize(("band", "dx", "dy"), [("g", (-2.1, 5.6), (8.9, 14.0)), ("i", (-2.0, 2.9), (2.5, 3.8))])
def test_bands_are_offset_as_the_surveys_are(band, dx, dy):
    for seed in range(8):
        taken = exposures(seed)
        corners = np.array([[0.0, 2047.0, 0.0, 1023.0], [0.0, 1488.0, 1488.0, 744.0]])
        there = taken[band].wcs.all_world2pix(*taken["r"].wcs.all_pix2world(*corners, 0), 0)
        shift = np.array(there) - corners
        assert dx[0] - 0.5 < shift[0].min() <= shift[0].max() < dx[1] + 0.5
        assert dy[0] - 0.5 < shift[1].min() <= shift[1].max() < dy[1] + 0.5
        assert 0 < np.ptp(shift, axis=1).max() < 1.5  # one whole shift does not hold to the corners: the WCS must serve
        assert np.sqrt(-np.linalg.det(taken[band].wcs.pixel_scale_matrix)) * 3600 == pytest.approx(0.396, rel=1e-3)


@pytest.mark.parametrize(("band", "least", "most"), [("g", 0.016, 0.024), ("r", 0.023, 0.032), ("i", 0.037, 0.057)])
def test_noise_of_fields_spans_the_surveys_range(band, least, most):
    def noise_nmgy(seed):
        frame = exposures(seed, SMALL)[band]
        gain = gain_e_per_count(frame.field_id, band)
        dark = np.mean([*dark_variance_of_halves_counts2(frame.field_id, band).values()])
        return np.sqrt(frame.sky_counts.mean() / gain + dark) * np.median(frame.calibration_nmgy_per_count)

    noise = np.array([noise_nmgy(seed) for seed in range(60)])
    assert np.mean((noise > 0.94 * least) & (noise < 1.06 * most)) > 0.9
    assert noise.max() / noise.min() > 0.7 * most / least


def test_seeing_is_drawn_as_asked_in_every_band():
    fwhm = {band: [exposures(seed, SMALL)[band].optics.fwhm_px for seed in range(150)] for band in BANDS}
    mean, deviation = SEEING_ARCSEC
    in_r = np.array(fwhm["r"]) * PIXEL_SCALE_ARCSEC
    for band in BANDS:
        assert SEEING_LIMITS_ARCSEC[0] <= min(fwhm[band]) * PIXEL_SCALE_ARCSEC
        assert max(fwhm[band]) * PIXEL_SCALE_ARCSEC <= SEEING_LIMITS_ARCSEC[1] + 1e-9
    assert in_r.mean() == pytest.approx(mean, abs=4 * deviation / np.sqrt(150))
    for band in ("g", "i"):
        ratio = np.array(fwhm[band]) / fwhm["r"]
        assert ratio.mean() == pytest.approx(SEEING_RATIO[band][0], abs=4 * SEEING_RATIO[band][1] / np.sqrt(150))


def test_a_small_share_of_frames_has_a_satellites_trail():
    trails = sum(frame.trail is not None for seed in range(400) for frame in exposures(seed, SMALL).values())
    expected = 1200 * TRAIL_SHARE
    assert expected - 4 * np.sqrt(expected) < trails < expected + 4 * np.sqrt(expected)
    assert trails > 0


@pytest.mark.parametrize(
    ("counts", "scatter"), [(STAR_COUNTS, "STAR_SCATTER"), (GALAXY_COUNTS, "GALAXY_SCATTER")], ids=["stars", "galaxies"]
)
def test_magnitudes_are_as_many_and_as_distributed_as_the_counts_say(monkeypatch, counts, scatter):
    monkeypatch.setattr(catalogue_module, "STAR_SCATTER", 0.0)
    monkeypatch.setattr(catalogue_module, "GALAXY_SCATTER", 0.0)
    monkeypatch.setattr(catalogue_module, "BRIGHT_MARGIN_PX", catalogue_module.MARGIN_PX)  # one density everywhere
    drawn = [draw_catalogue(np.random.default_rng(seed)) for seed in range(5)]
    stars = scatter == "STAR_SCATTER"
    flux = np.concatenate([sky.flux_nmgy["r"][(sky.disc_radius_px == 0) == stars] for sky in drawn])
    mag = 22.5 - 2.5 * np.log10(flux)
    knots, logarithms = np.array(counts).T
    grid = np.linspace(knots[0], knots[-1], 20_001)
    cumulative = np.cumsum(10 ** np.interp(grid, knots, logarithms)) * (grid[1] - grid[0])
    margins = (1 + 2 * 48 / 1489) * (1 + 2 * 48 / 2048)
    expected = 5 * cumulative[-1] * margins
    assert mag.size == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert kstest(mag, lambda m: np.interp(m, grid, cumulative / cumulative[-1])).pvalue > 0.001


def test_some_galaxies_stand_in_groups_and_stars_do_not():
    def neighbours(drawn, chosen, radius=40.0):
        x, y = drawn.x[chosen], drawn.y[chosen]
        pairs = (np.hypot(x[:, None] - x, y[:, None] - y) < radius).sum() - x.size
        area = (1489 + 96) * (2048 + 96)
        return pairs / (x.size**2 * np.pi * radius**2 / area)  # 1 is no clustering, less what lies beyond the edges

    skies = [draw_catalogue(np.random.default_rng(seed)) for seed in range(4)]
    assert 1.04 < np.mean([neighbours(sky, sky.disc_radius_px > 0) for sky in skies]) < 1.2
    stars = [neighbours(sky, (sky.disc_radius_px == 0) & (sky.flux_nmgy["r"] < 250)) for sky in skies]
    assert 0.85 < np.mean(stars) < 1.1


@pytest.mark.parametrize("shift", [(0.0, 1361.0), (300.5, -700.0)])
@pytest.mark.parametrize("index", range(3))
def test_a_shifted_pointing_is_the_same_sky_so_many_pixels_on(shift, index):
    pointing = draw_pointing(np.random.default_rng(index), index)
    x, y = np.array([[0.0, 2047.0, 1024.0, 0.0, 2047.0], [0.0, 0.0, 744.0, 1488.0, 1488.0]])
    sky = sky_position(shifted(pointing, *shift), x, y)
    there = np.array(pointing.all_world2pix(*sky, 0))
    assert np.abs(there - np.array([x + shift[0], y + shift[1]])).max() < 0.05


def test_views_of_one_sky_show_the_same_sources_at_the_same_places():
    shape = (500, 700)
    views = [View(FieldId(900100, 1, 20)), View(FieldId(900100, 1, 21), dy_px=300.0), View(FieldId(900200, 3, 99))]
    below, above, again = simulate_views(4, 2, views, shape)
    assert [field[1].field_id for field in (below, above, again)] == [view.field_id for view in views]
    for other, overlap in ((above, (20.0, 180.0)), (again, (20.0, 480.0))):
        frame = other[1]
        found = detect(frame.flux_nmgy, float(sky_noise(frame.flux_nmgy)), 12.0)
        found = found[(found["y"] > overlap[0]) & (found["y"] < overlap[1]) & (found["x"] > 20) & (found["x"] < 680)]
        assert len(found) >= 4
        x, y = below[1].wcs.all_world2pix(*sky_position(frame.wcs, found["x"], found["y"]), 0)
        known = detect(below[1].flux_nmgy, float(sky_noise(below[1].flux_nmgy)), 5.0)
        dx, dy = known["x"][:, None] - x, known["y"][:, None] - y
        nearest = np.hypot(dx, dy).argmin(axis=0)
        assert np.abs(np.median([dx[nearest, range(x.size)], dy[nearest, range(x.size)]], axis=1)).max() < 0.4
        assert (np.hypot(dx, dy).min(axis=0) < 1.5).mean() >= 0.75  # the rest are blends that one seeing parts
    assert not np.array_equal(below[1].flux_nmgy, again[1].flux_nmgy)


def test_a_single_view_is_the_field_itself():
    (field,) = simulate_views(9, 4, [View(field_id(4))], SMALL)
    for one, other in zip(field, simulate_field(9, 4, SMALL), strict=True):
        assert np.array_equal(one.flux_nmgy, other.flux_nmgy)


def survey_paths(fields):
    paths = [{band: SURVEY / frame_name(band, FieldId(*identity)) for band in BANDS} for identity in fields]
    if not all(path.is_file() for field in paths for path in field.values()):
        pytest.skip(f"the survey's frames are not in {SURVEY}")
    return paths


def test_simulated_sources_are_as_many_and_as_bright_as_the_surveys():
    def measure(flux_nmgy):
        found = detect(flux_nmgy, float(sky_noise(flux_nmgy)), 10.0)
        return len(found) / flux_nmgy.size, np.median(found["flux_nmgy"]), np.median(found["half_light_radius_px"])

    def simulated_r(index, shape):
        rng = np.random.default_rng(index)
        sky, pointing = draw_catalogue(rng, shape), draw_pointing(rng, index, shape)
        return expose(sky, pointing, draw_exposures(rng, field_id(index), pointing, shape)["r"], shape, rng)

    frames = [read_frame(paths["r"]) for paths in survey_paths([FIELDS[0], FIELDS[5]])]
    real = np.mean([measure(frame.flux_nmgy[:744, :1024]) for frame in frames], axis=0)
    simulated = np.mean([measure(simulated_r(index, (744, 1024)).flux_nmgy) for index in range(3)], axis=0)
    assert (np.abs(np.log(simulated / real)) < np.log(1.5)).all()


@pytest.mark.slow
def test_every_statistic_of_simulated_fields_is_within_the_surveys_spread():
    real = [measure_field({band: read_frame(path) for band, path in paths.items()}) for paths in survey_paths(FIELDS)]
    simulated = [measure_field({frame.band: frame for frame in simulate_field(2019, index)}) for index in range(10)]
    outside = {}
    for name in real[0]:
        theirs, median = [field[name] for field in real], np.nanmedian([field[name] for field in simulated])
        if not np.nanmin(theirs) <= median <= np.nanmax(theirs):
            outside[name] = (np.nanmin(theirs), median, np.nanmax(theirs))
    assert len(real[0]) > 50
    assert outside == {}


def test_gain_and_dark_variance_give_the_noise_of_a_survey_frame():
    (paths,) = survey_paths([FIELDS[0]])
    frame = read_frame(paths["r"])
    sky_counts = 183.05  # the mean of HDU 2 of this frame
    gain, dark = gain_e_per_count(frame.field_id, "r"), dark_variance_counts2(frame.field_id, "r")
    expected = np.sqrt(sky_counts / gain + dark) * frame.nmgy_per_count
    assert sky_noise(frame.flux_nmgy) == pytest.approx(expected, rel=0.06)
