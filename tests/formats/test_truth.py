"""The table TRUTH and catalogue files: the process' own rows, on the sky of the image's WCS, with units."""

import dataclasses
import io
import subprocess
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from photutils.aperture import CircularAperture, SkyCircularAperture, aperture_photometry

from skygen.formats.catalogue import CATALOGUE_TYPES, CatalogueFormat, catalogue, read_truth, truth_table
from skygen.formats.encode import encode, head, part
from skygen.formats.fits import to_fits
from skygen.formats.origin import Origin, Truth
from skygen.formats.truth import described
from skygen.formats.wcs import REACH_PX
from tests.formats.planes import SCALE_ARCSEC, SHA256, SIDE, origin, tiles, truth
from tests.programs import program

PLACES = [(0, 0), (-30_000, 44_000), (REACH_PX, 0)]  # the last leaves the sky
SKY = ("ra", "dec", "position_angle_deg")


def three(bands: str = "gri") -> tuple[Origin, list[Truth]]:
    return origin(bands, PLACES, first=4), [truth(bands, count, count) for count in (12, 0, 5)]


def file_of_three(bands: str = "gri") -> bytes:
    of_tiles, truths = three(bands)
    return to_fits(tiles(3, bands), of_tiles, truths)


@pytest.mark.parametrize("bands", ["r", "gri"])
def test_every_image_has_its_truth_behind_it(bands: str) -> None:
    _, truths = three(bands)
    with fits.open(io.BytesIO(file_of_three(bands)), checksum=True) as hdus:
        assert [(hdu.name, hdu.ver) for hdu in hdus[1:]] == [(n, v) for v in (1, 2, 3) for n in ("TILE", "TRUTH")]
        for version, given in enumerate(truths, start=1):
            table, image = hdus["TRUTH", version], hdus["TILE", version].header
            assert [table.header[key] for key in ("SEED", "INDEX", "MODEL", "PLANEX")] == [
                image[key] for key in ("SEED", "INDEX", "MODEL", "PLANEX")
            ]
            for name in set(given.rows.dtype.names or ()) - {f"mag_{band}" for band in bands}:
                assert table.data[name].tolist() == given.rows[name].astype(table.data[name].dtype).tolist()


@pytest.mark.parametrize("bands", ["r", "gri"])
def test_an_object_stands_where_the_wcs_of_its_image_puts_it(bands: str) -> None:
    with fits.open(io.BytesIO(file_of_three(bands))) as hdus:
        rows, wcs = hdus["TRUTH", 1].data, WCS(hdus["TILE", 1].header).celestial
        x, y = wcs.wcs_world2pix(rows["ra"], rows["dec"], 0)
        assert np.stack([x, y]) == pytest.approx(np.stack([rows["x"], rows["y"]]), abs=1e-6)
        assert hdus["TRUTH", 1].header["XYORIGIN"] == 0


def test_far_from_the_tangent_point_objects_have_no_position() -> None:
    with fits.open(io.BytesIO(file_of_three())) as hdus:
        assert all(np.isnan(hdus["TRUTH", 3].data[name]).all() for name in SKY)
        assert not any(np.isnan(hdus["TRUTH", 1].data[name]).any() for name in SKY)


def test_what_has_no_flux_has_no_magnitude() -> None:
    with fits.open(io.BytesIO(file_of_three())) as hdus:
        assert [np.isnan(hdus["TRUTH", 1].data[f"mag_{band}"]).tolist() for band in "gri"] == [
            [True] + [False] * 11
        ] * 3


def test_the_header_tells_the_light_left_out() -> None:
    of_tile, given = origin("gri", [(0, 0)]), truth(min_snr=5.0)
    with fits.open(io.BytesIO(to_fits(tiles(1, "gri"), of_tile, [given]))) as hdus:
        header = hdus["TRUTH"].header
    assert [header[f"LEFT_{band}"] for band in "GRI"] == pytest.approx(given.left_out_nmgy, rel=1e-8)
    assert (header["MINSNR"], header["MAGZERO"], header["OBJECT"]) == (5, 22.5, "fictitious sky")


def test_a_reader_of_the_virtual_observatory_gets_units_and_metadata() -> None:
    table = Table.read(io.BytesIO(file_of_three()), hdu=2, unit_parse_strict="silent")
    assert (table["ra"].unit, table["half_light_radius_arcsec"].unit, table["mag_r"].unit) == (u.deg, u.arcsec, u.mag)
    assert (str(table["flux_r_nmgy"].unit), table["x"].unit) == ("nanomaggy", u.pix)
    assert (table.meta["MODEL"], table.meta["INDEX"]) == (SHA256, 4)


def test_photutils_measures_at_the_positions_of_the_truth() -> None:
    with fits.open(io.BytesIO(file_of_three("r"))) as hdus:
        image, wcs = hdus[1].data.astype("<f4"), WCS(hdus[1].header)
    (table, *_) = read_truth(file_of_three("r"))
    by_pixel = CircularAperture(np.stack([table["x"], table["y"]], axis=1), r=4)
    by_sky = SkyCircularAperture(SkyCoord(table["ra"], table["dec"]), r=4 * SCALE_ARCSEC * u.arcsec)
    sums = [aperture_photometry(image, apertures, wcs=wcs)["aperture_sum"].data for apertures in (by_pixel, by_sky)]
    np.testing.assert_allclose(*sums, atol=1e-3)
    assert np.isfinite(sums[0]).sum() > 5  # apertures about centres far outside hold no pixel


@pytest.mark.parametrize("bands", ["r", "gri"])
def test_fitsverify_finds_nothing(tmp_path: Path, bands: str) -> None:
    of_tiles, truths = three(bands)
    of_seed = origin(bands, [(-9, 10**9)], seed=2**63 - 1, of_tiles=False)
    contents = {
        "tiles": file_of_three(bands),
        "without truth": to_fits(tiles(3, bands), of_tiles),
        "of the seed": to_fits(tiles(1, bands), of_seed, truths[:1]),
        "catalogue": catalogue(truths, of_tiles, "fits"),
        "empty catalogue": catalogue([truth(bands, 0)], of_seed, "fits"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        run = subprocess.run([program("fitsverify"), tmp_path / name], capture_output=True, text=True, check=False)
        assert "found 0 warning(s) and 0 error(s)" in run.stdout, run.stdout


def test_a_file_with_truths_is_what_astropy_writes() -> None:
    """Byte by byte, from the cards and data that astropy read: nothing that is filled in differs."""
    content = file_of_three()
    again = io.BytesIO()
    with fits.open(io.BytesIO(content)) as hdus:
        for hdu in hdus:
            hdu.data  # noqa: B018  # what is not loaded would be copied as it is
            hdu.add_datasum(when="data unit checksum")
            hdu.add_checksum(when="HDU checksum", override_datasum=True)
        hdus.writeto(again)
    assert again.getvalue() == content


def test_a_file_depends_on_tiles_and_truth_alone_and_not_on_how_it_is_parted() -> None:
    of_tiles, truths = three()
    flux = tiles(3, "gri")
    whole = encode(flux, "fits", of_tiles, truths)
    parted = head("fits", flux.shape)
    for start, end in ((0, 2), (2, 3)):
        some = dataclasses.replace(
            of_tiles,
            first=of_tiles.first + start,
            places=(of_tiles.places or ())[start:end],
            sky_noise_nmgy=None if of_tiles.sky_noise_nmgy is None else of_tiles.sky_noise_nmgy[start:end],
        )
        parted += part(flux[start:end], "fits", some, start, truths[start:end])
    assert parted == whole == encode(flux, "fits", *three())


@pytest.mark.parametrize("name", ["ecsv", "csv"])
@pytest.mark.parametrize("of_tiles", [True, False])
def test_a_catalogue_reads_back_equal(name: CatalogueFormat, of_tiles: bool) -> None:
    if of_tiles:
        of_all, truths = three()
    else:
        of_all, truths = origin("gri", [(5, 6)], of_tiles=False), [truth()]
    expected, content = truth_table(truths, of_all), catalogue(truths, of_all, name)
    found = Table.read(content.decode(), format=f"ascii.{name}")
    assert found.colnames == expected.colnames == list(described(tuple("gri")))[0 if of_tiles else 1 :]
    for column in expected.itercols():
        np.testing.assert_array_equal(found[column.name].astype(column.dtype), column)
        assert name == "csv" or found[column.name].unit == column.unit
    assert name == "csv" or found.meta == expected.meta
    assert content == catalogue(truths, of_all, name)


def test_a_catalogue_in_fits_reads_back_equal() -> None:
    of_tiles, truths = three()
    expected, content = truth_table(truths, of_tiles), catalogue(truths, of_tiles, "fits")
    (found,) = read_truth(content)
    for column in expected.itercols():
        np.testing.assert_array_equal(found[column.name], column)
        assert found[column.name].unit == column.unit
    assert {key: found.meta[key] for key in expected.meta} == expected.meta
    assert expected["index"].tolist() == [4] * 12 + [6] * 5
    assert content == catalogue(truths, of_tiles, "fits")


def test_a_catalogue_says_where_it_comes_from() -> None:
    of_tiles, truths = three()
    meta = truth_table(truths, of_tiles).meta
    expected = {"SEED": 7, "MODEL": SHA256, "MAGZERO": 22.5, "MAGSYS": "nearly AB", "OBJECT": "fictitious sky"}
    assert {key: meta[key] for key in expected} == expected
    assert meta["LEFT_R"] == pytest.approx(sum(given.left_out_nmgy[1] for given in truths))
    assert not {"INDEX", "PLANEX", "SKYSIG_R"} & set(meta)  # tiles differ in them
    of_seed = truth_table([truth()], origin("gri", [(5, 6)], of_tiles=False)).meta
    assert (of_seed["PLANEX"], of_seed["PLANEY"], of_seed["SKYSIG_R"]) == (5, 6, 0.03)


def test_noise_of_nothing_stays_in_the_metadata() -> None:
    silent = dataclasses.replace(origin("r", [(5, 6)], of_tiles=False), noise=0)
    assert truth_table([truth("r")], silent).meta["NOISE"] == 0.0


def test_each_catalogue_format_has_a_media_type() -> None:
    assert set(CATALOGUE_TYPES) == {"fits", "ecsv", "csv"}


def test_tiles_that_lie_on_no_plane_have_no_truth() -> None:
    painted = dataclasses.replace(origin("r", [(0, 0)]), places=None)
    with pytest.raises(ValueError, match="lie on no plane"):
        to_fits(tiles(1, "r"), painted, [truth("r")])
    with pytest.raises(ValueError, match="1 truths of 0 places"):
        catalogue([truth("r")], painted, "ecsv")
    with pytest.raises(ValueError, match="no table TRUTH"):
        read_truth(to_fits(tiles(1, "r"), painted))


def test_tiles_and_truths_and_places_must_agree() -> None:
    of_tiles, truths = three("r")
    with pytest.raises(ValueError, match="3 tiles have 2 truths"):
        to_fits(tiles(3, "r"), of_tiles, truths[:2])
    with pytest.raises(ValueError, match=r"have the places .* wanted .*\(7, 5\), 64, 64"):
        to_fits(tiles(2, "r"), of_tiles)
    with pytest.raises(ValueError, match=r"have the places .* wanted .*\(7, 4\), 8, 64"):
        to_fits(tiles(3, "r")[..., :8], of_tiles)


def test_a_truth_without_a_column_is_refused_by_its_name() -> None:
    given = truth("r")
    names = [name for name in given.rows.dtype.names or () if name != "axis_ratio"]
    with pytest.raises(ValueError, match="lacks the columns axis_ratio"):
        to_fits(tiles(1, "r"), origin("r", [(0, 0)]), [dataclasses.replace(given, rows=given.rows[names])])


def test_a_tile_of_a_plane_is_as_large_as_its_place() -> None:
    assert all((place.width, place.height) == (SIDE, SIDE) for place in three()[0].places or ())
