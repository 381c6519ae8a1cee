from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skygen.params import SOURCE_SNR_FLOOR
from skygen.sky.conditions import Density
from skygen.sky.field import FieldId
from skygen.sky.frame import read_frame
from skygen.sky.inspection.defects import DEFECT, touching
from skygen.sky.inspection.detection import SOURCE
from skygen.sky.inspection.inspect import (
    Inspection,
    InspectionError,
    inspect_field,
    read_inspection,
    read_offsets,
    write_inspection,
)
from skygen.sky.registration import moved
from skygen.sky.simulation.simulate import simulate_field

SURVEY = Path(__file__).parents[4] / "shared" / "sdss"
FIELD = FieldId(94, 1, 12)


@pytest.fixture(scope="module")
def frames():
    """A simulated field by band."""
    return {frame.band: frame for frame in simulate_field(3, 0)}


@pytest.fixture(scope="module")
def inspection(frames):
    """What that field holds."""
    return inspect_field(frames)


@pytest.fixture(scope="module")
def real():
    """A function: the frames of a field of the survey; skips where there are none."""

    def read(name):
        paths = {band: SURVEY / f"frame-{band}-{name}.fits.bz2" for band in "gri"}
        if not all(path.is_file() for path in paths.values()):
            pytest.skip(f"no frames of the survey in {SURVEY}")
        return {band: read_frame(path) for band, path in paths.items()}

    return read


def of(inspection, band, kind):
    defects = inspection.defects
    return defects[(defects["band"] == band) & (defects["kind"] == kind)]


def holds(defects, x, y, reach=20):
    return (np.hypot(defects["x0"] - x, defects["y0"] - y) < reach).any()


def test_a_field_has_sources_a_psf_noise_and_an_offset_for_each_band(inspection):
    assert inspection.sources.dtype == SOURCE
    assert inspection.defects.dtype == DEFECT
    assert (inspection.sources["snr"] >= SOURCE_SNR_FLOOR).all()
    assert 200 < len(inspection.sources) < 2000
    for by_band in (inspection.psf_fwhm_arcsec, inspection.psf_stars, inspection.sky_noise_nmgy, inspection.offset_px):
        assert sorted(by_band) == ["g", "i", "r"]
    assert all(0.8 < fwhm < 2.2 for fwhm in inspection.psf_fwhm_arcsec.values())
    assert min(inspection.psf_stars.values()) >= 5
    assert all(0.01 < noise < 0.08 for noise in inspection.sky_noise_nmgy.values())


def test_each_half_has_the_noise_of_its_amplifier(inspection):
    for band, halves in inspection.half_noise_nmgy.items():
        least, most = sorted(halves.values())
        assert least <= inspection.sky_noise_nmgy[band] <= most
        assert (most / least > 1.08) == (band == "i")  # as the survey's


def test_each_half_has_a_sky_level_far_below_its_noise(inspection):
    for band, halves in inspection.half_level_nmgy.items():
        assert set(halves) == {"left", "right"}
        assert all(abs(level) < 0.2 * inspection.sky_noise_nmgy[band] for level in halves.values())


def test_a_half_that_is_brighter_has_the_level_of_it(frames, inspection):
    flux = frames["i"].flux_nmgy.copy()
    flux[:, 1024:] += 0.01
    raised = inspect_field({**frames, "i": replace(frames["i"], flux_nmgy=flux)}).half_level_nmgy["i"]
    before = inspection.half_level_nmgy["i"]
    assert [raised["left"] - before["left"], raised["right"] - before["right"]] == pytest.approx([0, 0.01], abs=1e-6)


def test_a_half_without_noise_is_refused(frames):
    flux = frames["i"].flux_nmgy.copy()
    flux[:, 1024:] = 0.25
    with pytest.raises(InspectionError, match="more than half of the pixels in i are equal; fetch the file again"):
        inspect_field({**frames, "i": replace(frames["i"], flux_nmgy=flux)})


def test_the_simulations_wcs_is_exact_so_that_stars_lie_where_they_should(inspection):
    assert all(abs(offset) < 0.02 for offsets in inspection.offset_px.values() for offset in offsets)


def test_a_wrong_wcs_shows_as_the_offset_that_rights_it(frames):
    wrong = {**frames, "g": replace(frames["g"], wcs=moved(frames["g"].wcs, 0.4, -0.3))}
    offsets = inspect_field(wrong).offset_px
    right = {band: replace(frame, wcs=moved(frame.wcs, *offsets[band])) for band, frame in wrong.items()}

    assert offsets["g"] == pytest.approx((-0.4, 0.3), abs=0.02)
    assert inspect_field(right).offset_px["g"] == pytest.approx((0, 0), abs=0.01)


def test_one_band_is_enough(frames, inspection):
    alone = inspect_field({"r": frames["r"]})

    assert (alone.sources == inspection.sources).all()
    assert alone.psf_fwhm_arcsec["r"] == inspection.psf_fwhm_arcsec["r"]
    assert len(of(alone, "r", "trail")) == len(of(inspection, "r", "trail"))


def test_a_trail_and_an_empty_corner_are_kept_in_their_band(frames):
    flux = frames["i"].flux_nmgy.copy()
    rows, columns = np.indices(flux.shape)
    flux += np.float32(0.3) * np.exp(-(((columns - rows - 200) / 3) ** 2)).astype(np.float32)
    flux[:100, :150] = 0
    found = inspect_field({**frames, "i": replace(frames["i"], flux_nmgy=flux)})
    (trail,) = of(found, "i", "trail")

    assert abs(trail["x0"] - trail["y0"] - 200) < 10
    touched = touching(of(found, "i", "masked"), np.array([100, 300]), np.array([50, 50]), 64)["masked"]
    assert touched.tolist() == [True, False]
    assert len(of(found, "g", "trail")) + len(of(found, "r", "masked")) == 0


def test_what_is_written_is_read_the_same(tmp_path, inspection):
    path = tmp_path / "sources.fits"
    write_inspection(path, inspection, FIELD)
    sources, defects = read_inspection(path)

    assert sources.dtype == SOURCE
    assert (sources == inspection.sources).all()
    assert (defects == inspection.defects).all()
    assert read_offsets(path) == inspection.offset_px


def test_so_is_a_field_without_sources_and_defects(tmp_path):
    path = tmp_path / "sources.fits"
    nothing = Inspection(
        np.zeros(0, SOURCE), np.zeros(0, DEFECT), {}, {}, {}, {}, {}, {}, Density(stars=1.0, galaxies=1.0)
    )
    write_inspection(path, nothing, FIELD)

    assert [len(table) for table in read_inspection(path)] == [0, 0]


def test_the_same_inspection_gives_the_same_bytes(tmp_path, inspection, frames):
    for name, made in (("one", inspection), ("two", inspect_field(frames))):
        write_inspection(tmp_path / name, made, FIELD)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("place", [0.4, 0.999])
def test_a_damaged_file_is_refused_by_name(tmp_path, inspection, place):
    path = tmp_path / "sources.fits"
    write_inspection(path, inspection, FIELD)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"sources\.fits is damaged \(.*\); make it anew with the stage frames"):
        read_inspection(path)


@pytest.mark.parametrize("content", [b"", b"SIMPLE", b"no FITS at all" * 500])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "sources.fits").write_bytes(content)

    with pytest.raises(ValueError, match=r"sources\.fits is damaged"):
        read_inspection(tmp_path / "sources.fits")
    with pytest.raises(FileNotFoundError, match="none"):
        read_inspection(tmp_path / "none.fits")


def test_a_field_without_stars_is_refused_with_cause_and_remedy(frames):
    rng = np.random.default_rng(0)
    empty = {
        band: replace(frame, flux_nmgy=rng.normal(0, 0.03, frame.flux_nmgy.shape).astype(np.float32))
        for band, frame in frames.items()
    }

    with pytest.raises(InspectionError, match=r"fewer than 5 isolated stars in [gri] are bright enough") as refused:
        inspect_field(empty)
    assert refused.value.remedy == "leave the field out"


def test_a_field_full_of_light_is_refused(frames):
    flux = frames["r"].flux_nmgy.copy()
    flux[:600] += 1

    with pytest.raises(InspectionError, match=r"its sources in r cannot be told apart \(.*300000 active"):
        inspect_field({"r": replace(frames["r"], flux_nmgy=flux)})


def test_a_frame_that_is_mostly_constant_is_refused(frames):
    flux = frames["g"].flux_nmgy.copy()
    flux[:1200] = 0

    with pytest.raises(InspectionError, match="more than half of the pixels in g are equal"):
        inspect_field({**frames, "g": replace(frames["g"], flux_nmgy=flux)})


def test_the_trail_of_field_4510_4_30_is_found_in_r_alone(real):
    found = inspect_field(real("004510-4-0030"))
    (trail,) = of(found, "r", "trail")

    # Seen by eye: from the left edge at y = 1050 to the top edge at x = 300.
    at = np.interp(1250, *zip(*sorted([(trail["y0"], trail["x0"]), (trail["y1"], trail["x1"])]), strict=True))
    assert at == pytest.approx(140, abs=12)
    assert len(of(found, "g", "trail")) + len(of(found, "i", "trail")) == 0


def test_the_bright_star_of_field_94_1_12_has_a_halo_spikes_and_a_core_and_no_trail(real):
    found = inspect_field(real("000094-1-0012"))

    assert not (found.defects["kind"] == "trail").any()
    for band, (x, y) in {"g": (1819, 1282), "r": (1815, 1269), "i": (1814, 1272)}.items():
        assert holds(of(found, band, "saturated"), x, y)
        star = [halo for halo in of(found, band, "halo") if holds(np.array([halo]), x, y)]
        assert 60 < max(halo["radius_px"] for halo in star) < 200
        assert len(star) == (1 if band == "i" else 5)  # in i the halo reaches beyond the cross
