import bz2
import io
from dataclasses import replace
from pathlib import Path

import galsim
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from skygen.sky import simulate
from skygen.sky.camera import dark_variance_counts2, gain_e_per_count
from skygen.sky.catalogue import Catalogue, draw_catalogue
from skygen.sky.detection import detect
from skygen.sky.exposure import MOFFAT_BETA, draw_exposures, field_centre
from skygen.sky.field import FieldId, frame_name
from skygen.sky.frame import SHAPE, read_frame
from skygen.sky.frame_format import keep_significant_bits, sky_grid, write_frame
from skygen.sky.noise import sky_noise
from skygen.sky.simulate import BANDS, expose, simulate_field

SURVEY = Path(__file__).parents[3] / "shared" / "sdss"
SMALL = (160, 192)


def sources(places, flux_nmgy, half_light_radius_px=0.0, sersic=1, axis_ratio=1.0):
    count = len(places)
    return Catalogue(
        x=np.array([x for x, _ in places], float),
        y=np.array([y for _, y in places], float),
        flux_nmgy={band: np.full(count, float(flux_nmgy)) for band in BANDS},
        half_light_radius_px=np.full(count, half_light_radius_px),
        sersic=np.full(count, sersic),
        axis_ratio=np.full(count, axis_ratio),
        angle_deg=np.zeros(count),
    )


def take(catalogue, band="r", shape=SMALL, seed=1):
    rng = np.random.default_rng(seed)
    exposures = draw_exposures(rng, 0, shape)
    exposure = replace(exposures[band], psf=galsim.Moffat(beta=MOFFAT_BETA, fwhm=3.2))
    return expose(catalogue, exposures["r"].wcs, exposure, shape, rng)


def expected_noise_nmgy(frame):
    gain = gain_e_per_count(frame.field_id, frame.band)
    dark = dark_variance_counts2(frame.field_id, frame.band)
    rounding = 1 / 12
    return np.sqrt(frame.sky_counts.mean() / gain + dark + rounding) * frame.nmgy_per_count


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


@pytest.mark.parametrize(("band", "dx", "dy"), [("g", (-2.3, 6.3), (8.7, 14.3)), ("i", (-2.3, 3.3), (2.3, 4.0))])
def test_bands_are_offset_as_the_surveys_are(band, dx, dy):
    for seed in range(8):
        exposures = draw_exposures(np.random.default_rng(seed), seed)
        corners = np.array([[0.0, 2047.0, 0.0, 1023.0], [0.0, 1488.0, 1488.0, 744.0]])
        there = exposures[band].wcs.all_world2pix(*exposures["r"].wcs.all_pix2world(*corners, 0), 0)
        shift = np.array(there) - corners
        assert dx[0] - 0.5 < shift[0].min() <= shift[0].max() < dx[1] + 0.5
        assert dy[0] - 0.5 < shift[1].min() <= shift[1].max() < dy[1] + 0.5
        assert 0 < np.ptp(shift, axis=1).max() < 1.5  # one whole shift does not hold to the corners: the WCS must serve
        assert np.sqrt(-np.linalg.det(exposures[band].wcs.pixel_scale_matrix)) * 3600 == pytest.approx(0.396, rel=1e-3)


@pytest.mark.parametrize("band", BANDS)
def test_empty_sky_has_the_noise_of_its_photons_and_electronics(band):
    frame = take(sources([], 1.0), band, (400, 400))
    assert np.std(frame.flux_nmgy) == pytest.approx(expected_noise_nmgy(frame), rel=0.01)
    assert abs(np.mean(frame.flux_nmgy)) < 4 * expected_noise_nmgy(frame) / 400


def test_noise_of_fields_spans_the_surveys_range():
    noise = [float(sky_noise(simulate_field(0, index, SMALL)[1].flux_nmgy)) for index in range(8)]
    assert 0.022 < min(noise) < max(noise) < 0.033
    assert max(noise) / min(noise) > 1.1


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


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("flux_nmgy", [12.0, 300.0])  # shot as photons, drawn by FFT
def test_a_planted_star_has_its_flux_at_its_place(band, flux_nmgy):
    frame = take(sources([(90.0, 70.0)], flux_nmgy), band)
    reference = take(sources([], 1.0)).wcs
    x, y = frame.wcs.all_world2pix(*reference.all_pix2world(90.0, 70.0, 0), 0)
    rows, columns = np.mgrid[: SMALL[0], : SMALL[1]]
    distance = np.hypot(columns - x, rows - y)
    inside = distance < 20
    measured = frame.flux_nmgy[inside].sum()
    scale_px = 3.2 / (2 * np.sqrt(2 ** (1 / MOFFAT_BETA) - 1))
    enclosed = 1 - (1 + (20 / scale_px) ** 2) ** (1 - MOFFAT_BETA)
    gain_per_nmgy = gain_e_per_count(frame.field_id, band) / frame.nmgy_per_count
    error = np.sqrt(inside.sum() * expected_noise_nmgy(frame) ** 2 + flux_nmgy / gain_per_nmgy)
    assert abs(measured - enclosed * flux_nmgy) < 3.5 * error
    assert error < flux_nmgy / 5
    near = np.where(distance < 6, frame.flux_nmgy, 0)
    assert (near * columns).sum() / near.sum() == pytest.approx(float(x), abs=0.3)
    assert (near * rows).sum() / near.sum() == pytest.approx(float(y), abs=0.3)


@pytest.mark.parametrize("sersic", [1, 4])
def test_photons_and_fft_draw_the_same_galaxy(monkeypatch, sersic):
    galaxy = sources([(95.0, 80.0)], 150.0, half_light_radius_px=5.0, sersic=sersic, axis_ratio=0.5)
    drawn = take(galaxy).flux_nmgy
    monkeypatch.setattr(simulate, "SHOT_E", {"star": 1e9, "galaxy": 1e9})
    shot = take(galaxy).flux_nmgy
    rows, columns = np.mgrid[: SMALL[0], : SMALL[1]]
    for a, b in ((4, 4), (8, 4), (4, 8), (16, 16)):
        inside = ((columns - 95) / a) ** 2 + ((rows - 80) / b) ** 2 < 1
        assert shot[inside].sum() == pytest.approx(drawn[inside].sum(), rel=0.03)


def test_a_galaxy_is_long_where_its_axis_ratio_says():
    image = take(sources([(95.0, 80.0)], 200.0, half_light_radius_px=8.0, axis_ratio=0.4)).flux_nmgy[60:101, 75:116]
    rows, columns = np.mgrid[-20:21, -20:21]
    assert 1.4 < np.sqrt((image * columns**2).sum() / (image * rows**2).sum()) < 2.5


def test_significant_bits_keep_a_tenth_of_a_percent_and_once_is_enough():
    flux = np.random.default_rng(0).normal(0, 1, 10_000).astype(np.float32)
    kept = keep_significant_bits(flux)
    assert np.abs(kept / flux - 1).max() <= 2.0**-10
    assert not (kept.view(np.uint32) & 0x3FFF).any()
    assert np.array_equal(keep_significant_bits(kept), kept)
    assert np.array_equal(keep_significant_bits(-flux), -kept)


@pytest.fixture(scope="module")
def whole_frame(tmp_path_factory):
    frame = take(sources([(1000.0, 700.0)], 50.0), "g", SHAPE)
    path = tmp_path_factory.mktemp("frames") / frame_name("g", frame.field_id)
    write_frame(path, frame, "skygen test")
    with open_bz2(path) as hdus:
        yield path, frame, hdus


def open_bz2(path):
    return fits.open(io.BytesIO(bz2.decompress(path.read_bytes())))


def test_a_written_frame_reads_back(whole_frame):
    path, frame, _ = whole_frame
    back = read_frame(path)
    assert (back.field_id, back.band, back.nmgy_per_count) == (frame.field_id, "g", frame.nmgy_per_count)
    assert np.array_equal(back.flux_nmgy, frame.flux_nmgy)
    corners = np.array([[0.0, 2047.0], [0.0, 1488.0]])
    assert back.wcs.all_world2pix(*frame.wcs.all_pix2world(*corners, 0), 0) == pytest.approx(corners, abs=1e-6)


def test_a_written_frame_has_the_surveys_four_parts(whole_frame):
    path, frame, hdus = whole_frame
    assert 2e6 < path.stat().st_size < 5e6  # the survey's are 3.0 to 3.9 MB
    assert [type(hdu).__name__ for hdu in hdus] == ["PrimaryHDU", "ImageHDU", "BinTableHDU", "BinTableHDU"]
    assert (hdus[0].data.shape, hdus[0].data.dtype, hdus[0].header["BUNIT"]) == (SHAPE, ">f4", "nanomaggy")
    assert np.array_equal(hdus[1].data, frame.calibration_nmgy_per_count)
    sky = hdus[2].data[0]
    assert (sky["ALLSKY"].shape, sky["XINTERP"][0], sky["YINTERP"][0]) == ((192, 256), -0.4375, 0.5625)
    assert (hdus[3].data["RUN"][0], hdus[3].data["FILTER"][0]) == (frame.field_id.run, "g")


def test_the_astrometric_table_agrees_with_the_wcs(whole_frame):
    _, frame, hdus = whole_frame
    row_data = {name: hdus[3].data[name][0] for name in ("A", "B", "C", "D", "E", "F", "NODE", "INCL")}
    x, y = np.array([0.0, 2047.0, 1000.0]), np.array([0.0, 1488.0, 1488.0])
    column, row = x + 0.5, y + 0.5
    mu = np.radians(row_data["A"] + row_data["B"] * row + row_data["C"] * column - row_data["NODE"])
    nu = np.radians(row_data["D"] + row_data["E"] * row + row_data["F"] * column)
    tilt = np.radians(row_data["INCL"])
    east = np.sin(mu) * np.cos(nu) * np.cos(tilt) - np.sin(nu) * np.sin(tilt)
    ra = row_data["NODE"] + np.degrees(np.arctan2(east, np.cos(mu) * np.cos(nu)))
    dec = np.degrees(np.arcsin(np.sin(mu) * np.cos(nu) * np.sin(tilt) + np.sin(nu) * np.cos(tilt)))
    table, wcs = SkyCoord(ra, dec, unit="deg"), SkyCoord(*frame.wcs.all_pix2world(x, y, 0), unit="deg")
    assert table.separation(wcs).arcsec.max() < 0.01


@pytest.fixture(scope="module")
def survey_frames():
    names = [frame_name("r", FieldId(*identity)) for identity in ((94, 1, 12), (3918, 3, 213))]
    if not all((SURVEY / name).is_file() for name in names):
        pytest.skip(f"the survey's frames are not in {SURVEY}")
    return [read_frame(SURVEY / name) for name in names]


def r_frame(index, shape):
    rng = np.random.default_rng(index)
    exposure = draw_exposures(rng, index, shape)["r"]
    return expose(draw_catalogue(rng, shape), exposure.wcs, exposure, shape, rng)


def test_simulated_sources_are_as_many_and_as_bright_as_the_surveys(survey_frames):
    def measure(flux_nmgy):
        found = detect(flux_nmgy, float(sky_noise(flux_nmgy)), 10.0)
        return len(found) / flux_nmgy.size, np.median(found["flux_nmgy"]), np.median(found["half_light_radius_px"])

    real = np.mean([measure(frame.flux_nmgy[:744, :1024]) for frame in survey_frames], axis=0)
    simulated = np.mean([measure(r_frame(index, (744, 1024)).flux_nmgy) for index in range(3)], axis=0)
    assert (np.abs(np.log(simulated / real)) < np.log(1.5)).all()


def test_gain_and_dark_variance_give_the_noise_of_a_survey_frame(survey_frames):
    frame = survey_frames[0]
    with open_bz2(SURVEY / frame_name("r", frame.field_id)) as hdus:
        sky_counts, nmgy_per_count = float(hdus[2].data["ALLSKY"].mean()), float(hdus[1].data.mean())
    gain, dark = gain_e_per_count(frame.field_id, "r"), dark_variance_counts2(frame.field_id, "r")
    assert sky_noise(frame.flux_nmgy) == pytest.approx(np.sqrt(sky_counts / gain + dark) * nmgy_per_count, rel=0.06)
