from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from skygen.sky.field import FieldId
from skygen.sky.frame import Frame
from skygen.sky.inspection.defects import DEFECT
from skygen.sky.inspection.detection import SOURCE
from skygen.tiles.cut import FLAGS, cut_field, grid_count, grid_places, random_places
from tests.tiles.conftest import make_tile_set

SHAPE, SIZE = (200, 300), 64
FIELD = FieldId(94, 1, 12)
NOISE_NMGY = 0.025


def tile_set(**changes):
    return make_tile_set(**{"size": SIZE, "bands": ["r"], "require_source": False, **changes})


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


def sources(*found):
    """Sources at (x, y, snr)."""
    table = np.zeros(len(found), SOURCE)
    for row, (x, y, snr) in zip(table, found, strict=True):
        row["x"], row["y"], row["snr"] = x, y, snr
    return table


def defects(*found):
    return np.array(list(found), DEFECT)


def cut(frames, at, limit, tiles=None, found=(), spoilt=()):
    return cut_field(frames, sources(*found), defects(*spoilt), tiles or tile_set(), at, limit)


def places(*corners):
    x, y = np.array(corners).T
    return x, y


def test_a_tile_is_the_frame_at_its_place():
    reference, rng = frame(noise()), np.random.default_rng(1)
    tiles = cut({"r": reference}, random_places(SHAPE, SIZE, 30, rng), 30)

    assert tiles.flux_nmgy.shape == (30, 1, SIZE, SIZE)
    assert tiles.flux_nmgy.dtype == np.float32
    for flux, x, y in zip(tiles.flux_nmgy, tiles.x, tiles.y, strict=True):
        assert np.array_equal(flux[0], reference.flux_nmgy[y : y + SIZE, x : x + SIZE])


def test_blocks_are_the_tiles_in_turn(monkeypatch):
    monkeypatch.setattr("skygen.tiles.cut._BLOCK_PX", 7 * 2 * SIZE**2)
    at = random_places(SHAPE, SIZE, 30, np.random.default_rng(1))
    tiles = cut(offset_bands(3, 11), at, 30, tile_set(bands=["g", "r"]))
    halves, blocks = zip(*((half, block.copy()) for half, block in tiles.blocks()), strict=True)
    left = int((~tiles.right).sum())

    assert np.array_equal(np.concatenate(blocks), tiles.flux_nmgy)
    assert list(halves) == sorted(halves)
    for half, count in (("left", left), ("right", len(tiles.x) - left)):
        sizes = [len(block) for of, block in zip(halves, blocks, strict=True) if of == half]
        assert sizes == [7] * (count // 7) + [count % 7] * (count % 7 > 0)


def test_the_left_half_s_tiles_come_first_each_half_s_in_the_order_of_places():
    corners = [
        (236, 0),
        (117, 5),
        (118, 5),
        (0, 9),
        (119, 1),
        (30, 0),
    ]  # 150 px is the middle: 118 + 32 begins the right
    tiles = cut({"r": frame(noise())}, places(*corners), 5)

    assert kept_of(tiles) == [(117, 5), (0, 9), (236, 0), (118, 5), (119, 1)]
    assert tiles.right.tolist() == [False] * 2 + [True] * 3


@pytest.mark.parametrize("size", [64, 128])
def test_no_tile_of_a_frame_s_grid_lies_in_both_halves(size):
    x, _ = grid_places((1489, 2048), size, np.random.default_rng(0))

    assert ((x + size <= 1024) | (x >= 1024)).all()


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

    assert len(corners) == grid_count(SHAPE, SIZE) == 12
    assert covered.max() == 1
    assert covered.sum() == 12 * SIZE**2
    assert corners != sorted(corners)


def test_the_grid_s_tiles_reassemble_the_frame():
    reference = frame(noise())
    tiles = cut({"r": reference}, grid_places(SHAPE, SIZE, np.random.default_rng(3)), 99)
    whole = np.full(SHAPE, np.nan, np.float32)
    for flux, x, y in zip(tiles.flux_nmgy, tiles.x, tiles.y, strict=True):
        whole[y : y + SIZE, x : x + SIZE] = flux[0]

    assert np.array_equal(whole[:192, :256], reference.flux_nmgy[:192, :256])


def test_a_tile_s_centre_lies_where_its_frame_s_astrometry_and_its_own_say():
    tiles = cut({"r": frame(noise())}, places((0, 0), (17, 5), (236, 136)), 3)
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
    tiles = cut(frames, random_places(SHAPE, SIZE, 40, np.random.default_rng(0)), 40, tile_set(bands=["g", "r"]))

    assert len(tiles.x) > 20
    assert np.array_equal(tiles.flux_nmgy[:, 0], tiles.flux_nmgy[:, 1])
    for flux, x, y in zip(tiles.flux_nmgy, tiles.x, tiles.y, strict=True):
        assert np.array_equal(flux[1], frames["r"].flux_nmgy[y : y + SIZE, x : x + SIZE])


def test_bands_stand_in_the_order_of_the_tile_set():
    frames = {band: frame(np.full(SHAPE, value), band) for band, value in (("r", 1.0), ("i", 2.0), ("g", 3.0))}
    tiles = cut(frames, places((10, 20)), 1, tile_set(bands=["g", "r", "i"]))

    assert tiles.flux_nmgy[0, :, 0, 0].tolist() == [3.0, 1.0, 2.0]


def test_a_tile_that_leaves_the_frame_in_a_band_is_dropped():
    top, right = SHAPE[0] - SIZE, SHAPE[1] - SIZE
    corners = [(0, 0), (2, 0), (2, top), (2, top - 11), (2, top - 10), (right, 0), (right - 3, 0)]
    kept = [(2, 0), (2, top - 11), (right, 0), (right - 3, 0)]
    tiles = cut(offset_bands(-2, 11), places(*corners), 9, tile_set(bands=["g", "r"]))

    assert list(zip(tiles.x.tolist(), tiles.y.tolist(), strict=True)) == kept
    assert (tiles.tried, tiles.good) == (7, 4)
    assert tiles.spoilt == {"outside": 3, "trail": 0, "halo": 0, "masked": 0}


def test_a_band_may_turn_against_r():
    frames = {"r": frame(np.zeros(SHAPE)), "i": frame(np.zeros(SHAPE), "i")}
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    turned = frames["i"].wcs.deepcopy()
    turned.wcs.cd = turned.wcs.cd * 1.02  # pixels 2 % larger: from the centre, the same sky lies 2 % nearer
    turned.wcs.set()
    frames["i"] = replace(frames["i"], wcs=turned, flux_nmgy=(1000 * rows + columns).astype(np.float32))
    tiles = cut(frames, places((0, 68), (118, 68), (236, 68)), 3, tile_set(bands=["r", "i"]))
    columns_in_i = tiles.flux_nmgy[:, 1, 0, 0] % 1000

    assert (columns_in_i - tiles.x).tolist() == [2, 0, -2]  # 2 % of the 118 px between a tile's centre and the frame's


def kept_of(tiles):
    return list(zip(tiles.x.tolist(), tiles.y.tolist(), strict=True))


def left_first(corners):
    """`corners`, those of tiles whose centre lies in the left half first."""
    return sorted(corners, key=lambda corner: corner[0] + SIZE // 2 >= SHAPE[1] // 2)


def test_only_tiles_that_hold_a_source_are_kept():
    inside = [(100, 50), (110, 90), (145, 95)]
    at_the_edge = [(148, 60), (150 - 62, 60)]  # 2 px from the left edge, 1 px from the right one
    outside = [(0, 0), (151, 60), (236, 136), (20, 101)]
    corners = [*outside[:2], *inside, *at_the_edge, *outside[2:]]
    tiles = cut({"r": frame(noise())}, places(*corners), 9, tile_set(require_source=True), [(150.2, 99.7, 12.0)])

    assert kept_of(tiles) == inside
    assert (tiles.tried, tiles.good, tiles.spoilt["no source"]) == (9, 3, 6)


def test_a_source_counts_from_four_pixels_off_the_edge():
    corners = [(146, 60), (147, 60), (150 - 59, 60), (150 - 60, 60), (100, 96), (100, 97), (100, 41), (100, 40)]
    tiles = cut({"r": frame(noise())}, places(*corners), 9, tile_set(require_source=True), [(150, 100, 12.0)])

    assert kept_of(tiles) == left_first([(146, 60), (150 - 59, 60), (100, 96), (100, 41)])


def test_a_source_under_the_asked_ratio_does_not_count():
    for snr, kept in ((10.0, 1), (12.5, 1), (15.0, 0)):
        asked = tile_set(require_source=True, source_snr=snr)
        tiles = cut({"r": frame(noise())}, places((120, 70)), 1, asked, [(150, 100, 12.5), (290, 190, 99.0)])
        assert len(tiles.x) == kept


def test_a_sky_without_sources_gives_no_tile():
    tiles = cut({"r": frame(noise())}, places((120, 70)), 1, tile_set(require_source=True))

    assert tiles.flux_nmgy.shape == (0, 1, SIZE, SIZE)
    assert (tiles.good, tiles.spoilt["no source"]) == (0, 1)
    assert cut({"r": frame(noise())}, places((120, 70)), 1).good == 1


def test_tiles_that_a_dropped_flag_touches_are_dropped_and_others_carry_their_flags():
    trail = ("r", "trail", 0.0, 150.0, 299.0, 150.0, 5.0)  # along a row
    saturated = ("r", "saturated", 30.0, 30.0, 30.0, 30.0, 4.0)
    at = places((0, 0), (0, 130), (100, 20), (200, 86))
    tiles = cut({"r": frame(noise())}, at, 9, spoilt=[trail, saturated])

    assert kept_of(tiles) == [(0, 0), (100, 20)]
    assert tiles.spoilt == {"outside": 0, "trail": 2, "halo": 0, "masked": 0}
    assert tiles.flags["saturated"].tolist() == [True, False]
    everything = cut({"r": frame(noise())}, at, 9, tile_set(drop=[]), spoilt=[trail, saturated])
    assert everything.flags["trail"].tolist() == [False, True, False, True]
    assert set(everything.flags) == set(FLAGS)
    nothing_saturated = tile_set(drop=["saturated"])
    assert kept_of(cut({"r": frame(noise())}, at, 9, nothing_saturated, spoilt=[trail, saturated])) == [
        (0, 130),
        (100, 20),
        (200, 86),
    ]


def test_a_defect_counts_where_the_registered_tile_lies_in_its_own_band():
    frames = offset_bands(3, 11)  # what r shows at (x, y) stands in g at (x + 3, y + 11)
    masked = [("g", "masked", 153.0, 111.0, 153.0, 111.0, 0.5)]  # in r: (150, 100)
    at = places((150, 100), (151, 100), (150 - 63, 100), (150 - 64, 100), (150, 101), (150, 100 - 63))
    asked = tile_set(bands=["g", "r"])

    assert kept_of(cut(frames, at, 9, asked, spoilt=masked)) == left_first([(151, 100), (150 - 64, 100), (150, 101)])
    elsewhere = [("i", *masked[0][1:])]  # in a band that the tile set does not hold
    assert len(cut(frames, at, 9, asked, spoilt=elsewhere).x) == 6


def test_a_halo_spoils_tiles_beside_its_star_and_not_the_one_that_shows_it():
    halo = [("r", "halo", 150.0, 100.0, 150.0, 100.0, 40.0)]
    tiles = cut({"r": frame(noise())}, places((120, 70), (160, 70), (200, 70)), 9, spoilt=halo)

    assert kept_of(tiles) == [(120, 70), (200, 70)]


def test_the_first_tiles_that_are_fit_are_taken_up_to_the_limit():
    corners = places((5, 5), (1, 1), (3, 3), (4, 4))
    tiles = cut({"r": frame(noise())}, corners, 2)

    assert tiles.x.tolist() == [5, 1]
    assert (tiles.tried, tiles.good) == (4, 4)
