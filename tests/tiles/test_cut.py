from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from skygen.params import TileSetParams
from skygen.sky.field import FieldId
from skygen.sky.frame import Frame
from skygen.tiles.cut import cut_field, grid_places, random_places

SHAPE, SIZE = (200, 300), 64
FIELD = FieldId(94, 1, 12)
NOISE_NMGY = 0.025


def tile_set(**changes):
    values = {
        "size": SIZE,
        "bands": ["r"],
        "softening_nmgy": 0.2,
        "limit_nmgy": 100.0,
        "require_source": False,
        "source_snr": 10.0,
        "validation": 0.2,
        "test": 0.2,
        "seed": 0,
    }
    return TileSetParams(**{**values, **changes})


def astrometry(dx=0, dy=0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [336.66, -0.93]
    wcs.wcs.crpix = [150 + dx, 100 + dy]
    wcs.wcs.cd = [[-5.4e-08, 1.09953e-04], [1.09986e-04, 6.4e-09]]
    wcs.wcs.set()
    return wcs


def frame(flux, band="r", dx=0, dy=0):
    return Frame(FIELD, band, flux.astype(np.float32), astrometry(dx, dy), 0.005)


def noise(seed=0):
    return np.random.default_rng(seed).normal(0, NOISE_NMGY, SHAPE)


def star(x, y, flux_nmgy=50.0):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return flux_nmgy * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.5**2)) / (2 * np.pi * 1.5**2)


def places(*corners):
    x, y = np.array(corners).T
    return x, y


def test_a_tile_is_the_frame_at_its_place():
    reference, rng = frame(noise()), np.random.default_rng(1)
    tiles = cut_field({"r": reference}, tile_set(), random_places(SHAPE, SIZE, 30, rng), 30)

    assert tiles.flux_nmgy.shape == (30, 1, SIZE, SIZE)
    assert tiles.flux_nmgy.dtype == np.float32
    for flux, x, y in zip(tiles.flux_nmgy, tiles.x, tiles.y, strict=True):
        assert np.array_equal(flux[0], reference.flux_nmgy[y : y + SIZE, x : x + SIZE])


def test_random_places_fill_the_frame_and_stay_inside():
    x, y = random_places((100, 80), SIZE, 5000, np.random.default_rng(0))

    assert (x.min(), x.max(), y.min(), y.max()) == (0, 80 - SIZE, 0, 100 - SIZE)
    assert [places.tolist() for places in random_places((SIZE, SIZE), SIZE, 3, np.random.default_rng(0))] == [
        [0] * 3
    ] * 2


def test_grid_tiles_share_no_pixel_and_leave_no_room_for_another():
    covered = np.zeros(SHAPE, int)
    corners = list(zip(*grid_places(SHAPE, SIZE, np.random.default_rng(0)), strict=True))
    for x, y in corners:
        covered[y : y + SIZE, x : x + SIZE] += 1

    assert len(corners) == (SHAPE[0] // SIZE) * (SHAPE[1] // SIZE) == 12
    assert covered.max() == 1
    assert covered.sum() == 12 * SIZE**2
    assert corners != sorted(corners)


def test_the_grid_s_tiles_reassemble_the_frame():
    reference = frame(noise())
    tiles = cut_field({"r": reference}, tile_set(), grid_places(SHAPE, SIZE, np.random.default_rng(3)), 99)
    whole = np.full(SHAPE, np.nan, np.float32)
    for flux, x, y in zip(tiles.flux_nmgy, tiles.x, tiles.y, strict=True):
        whole[y : y + SIZE, x : x + SIZE] = flux[0]

    assert np.array_equal(whole[:192, :256], reference.flux_nmgy[:192, :256])


def test_a_tile_s_centre_lies_where_its_frame_s_astrometry_and_its_own_say():
    tiles = cut_field({"r": frame(noise())}, tile_set(), places((0, 0), (17, 5), (236, 136)), 3)
    for x, y, ra, dec in zip(tiles.x, tiles.y, tiles.ra_deg, tiles.dec_deg, strict=True):
        of_frame = astrometry().all_pix2world(x + 31.5, y + 31.5, 0)
        of_tile = astrometry(-x, -y).all_pix2world(31.5, 31.5, 0)

        assert [ra, dec] == pytest.approx([float(value) for value in of_frame], abs=1e-9)
        assert [ra, dec] == pytest.approx([float(value) for value in of_tile], abs=1e-9)


def offset_bands(dx, dy):
    """r and g of one sky: what r shows at (x, y) stands in g at (x + dx, y + dy)."""
    sky = np.random.default_rng(0).normal(0, 1, (SHAPE[0] + 40, SHAPE[1] + 40))
    rows, columns = SHAPE
    return {
        "r": frame(sky[20 : 20 + rows, 20 : 20 + columns]),
        "g": frame(sky[20 - dy : 20 - dy + rows, 20 - dx : 20 - dx + columns], "g", dx, dy),
    }


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 11), (-2, 14), (5, -7)])
def test_bands_show_the_same_sky(dx, dy):
    frames = offset_bands(dx, dy)
    tiles = cut_field(frames, tile_set(bands=["g", "r"]), random_places(SHAPE, SIZE, 40, np.random.default_rng(0)), 40)

    assert len(tiles.x) > 20
    assert np.array_equal(tiles.flux_nmgy[:, 0], tiles.flux_nmgy[:, 1])
    for flux, x, y in zip(tiles.flux_nmgy, tiles.x, tiles.y, strict=True):
        assert np.array_equal(flux[1], frames["r"].flux_nmgy[y : y + SIZE, x : x + SIZE])


def test_bands_stand_in_the_order_of_the_tile_set():
    frames = {band: frame(np.full(SHAPE, value), band) for band, value in (("r", 1.0), ("i", 2.0), ("g", 3.0))}
    tiles = cut_field(frames, tile_set(bands=["g", "r", "i"]), places((10, 20)), 1)

    assert tiles.flux_nmgy[0, :, 0, 0].tolist() == [3.0, 1.0, 2.0]


def test_a_tile_that_leaves_the_frame_in_a_band_is_dropped():
    top, right = SHAPE[0] - SIZE, SHAPE[1] - SIZE
    corners = [(0, 0), (2, 0), (2, top), (2, top - 11), (2, top - 10), (right, 0), (right - 3, 0)]
    kept = [(2, 0), (2, top - 11), (right, 0), (right - 3, 0)]
    tiles = cut_field(offset_bands(-2, 11), tile_set(bands=["g", "r"]), places(*corners), 9)

    assert list(zip(tiles.x.tolist(), tiles.y.tolist(), strict=True)) == kept
    assert tiles.survival == pytest.approx(4 / 7)


def test_a_band_may_turn_against_r():
    frames = {"r": frame(np.zeros(SHAPE)), "i": frame(np.zeros(SHAPE), "i")}
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    turned = frames["i"].wcs.deepcopy()
    turned.wcs.cd = turned.wcs.cd * 1.02  # pixels 2 % larger: from the centre, the same sky lies 2 % nearer
    turned.wcs.set()
    frames["i"] = replace(frames["i"], wcs=turned, flux_nmgy=(1000 * rows + columns).astype(np.float32))
    tiles = cut_field(frames, tile_set(bands=["r", "i"]), places((0, 68), (118, 68), (236, 68)), 3)
    columns_in_i = tiles.flux_nmgy[:, 1, 0, 0] % 1000

    assert (columns_in_i - tiles.x).tolist() == [2, 0, -2]  # 2 % of the 118 px between a tile's centre and the frame's


def test_only_tiles_that_hold_a_source_are_kept():
    reference = frame(noise() + star(150, 100))
    inside = [(100, 50), (110, 90), (145, 95)]
    at_the_edge = [(148, 60), (150 - 62, 60)]  # 2 px from the left edge, 1 px from the right one
    outside = [(0, 0), (151, 60), (236, 136), (20, 101)]
    corners = [*outside[:2], *inside, *at_the_edge, *outside[2:]]
    tiles = cut_field({"r": reference}, tile_set(require_source=True), places(*corners), 9)

    assert list(zip(tiles.x.tolist(), tiles.y.tolist(), strict=True)) == inside
    assert tiles.survival == pytest.approx(3 / 9)
    assert (tiles.flux_nmgy.max(axis=(1, 2, 3)) > 2).all()


def test_a_source_under_the_asked_ratio_does_not_count():
    reference = frame(noise() + star(150, 100, flux_nmgy=2.0))  # 2 nmgy: a ratio of about 12
    for snr, kept in ((10.0, 1), (15.0, 0)):
        tiles = cut_field({"r": reference}, tile_set(require_source=True, source_snr=snr), places((120, 70)), 1)
        assert len(tiles.x) == kept


def test_a_source_is_looked_for_in_r_alone():
    frames = {"r": frame(noise()), "g": frame(noise(1) + star(150, 100), "g")}
    tiles = cut_field(frames, tile_set(bands=["g", "r"], require_source=True), places((120, 70)), 1)

    assert tiles.flux_nmgy.shape == (0, 2, SIZE, SIZE)
    assert tiles.survival == 0


def test_the_first_tiles_that_are_kept_are_taken_up_to_the_limit():
    corners = places((5, 5), (1, 1), (3, 3), (4, 4))
    tiles = cut_field({"r": frame(noise())}, tile_set(), corners, 2)

    assert tiles.x.tolist() == [5, 1]
    assert tiles.survival == 1
