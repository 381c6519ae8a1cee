import bz2
import io

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from skygen.sky.field import frame_name
from skygen.sky.frame import SHAPE, read_frame
from skygen.sky.frame_file import keep_significant_bits
from skygen.sky.frame_format import write_frame
from skygen.sky.simulation.catalogue import draw_catalogue
from skygen.sky.simulation.exposure import draw_exposures, draw_pointing, field_id
from skygen.sky.simulation.simulate import expose


def test_significant_bits_keep_a_tenth_of_a_percent_and_once_is_enough():
    flux = np.random.default_rng(0).normal(0, 1, 10_000).astype(np.float32)
    kept = keep_significant_bits(flux)
    assert np.abs(kept / flux - 1).max() <= 2.0**-10
    assert not (kept.view(np.uint32) & 0x3FFF).any()
    assert np.array_equal(keep_significant_bits(kept), kept)
    assert np.array_equal(keep_significant_bits(-flux), -kept)


@pytest.fixture(scope="module")
def whole_frame(tmp_path_factory):
    rng = np.random.default_rng(5)
    pointing = draw_pointing(rng, 3)
    exposure = draw_exposures(rng, field_id(3), pointing)["g"]
    frame = expose(draw_catalogue(rng), pointing, exposure, SHAPE, rng)
    path = tmp_path_factory.mktemp("frames") / frame_name("g", frame.field_id)
    write_frame(path, frame, "skygen test")
    with open_bz2(path) as hdus:
        yield path, frame, hdus


def open_bz2(path):
    return fits.open(io.BytesIO(bz2.decompress(path.read_bytes())))


def test_a_written_frame_reads_back(whole_frame):
    path, frame, _ = whole_frame
    back = read_frame(path)
    assert (back.field_id, back.band, back.nmgy_per_count) == (frame.field_id, "g", pytest.approx(frame.nmgy_per_count))
    assert np.array_equal(back.flux_nmgy, frame.flux_nmgy)
    assert not (back.flux_nmgy.view(np.uint32) & 0x3FFF).any()  # the survey keeps ten binary digits
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
