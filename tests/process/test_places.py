"""Where tiles lie on their planes."""

import numpy as np
import pytest
import torch

from skygen.process.cells import Catalogue
from skygen.process.haloes import spoilt
from skygen.process.light import Canvas
from skygen.process.places import APERTURE_PX, EDGE_PX, MOST_LUCK, SPACING_PX, Rule, enclosed, expected_snr, luck, tiles
from skygen.process.plane import Plane
from skygen.process.profiles import core_px
from skygen.process.view import Under, View
from skygen.sky.inspection.detection import detect
from skygen.sky.noise import pixel_noise
from tests.process.skies import boxes, conditions, process

SNR = 10.0


@pytest.fixture(scope="module")
def view():
    return View(process(), "gri")


def _tiles(view, n=200, size=64, which=None, snr=SNR, noise=0.028, density=(1.5, 1.2), drop=()):
    """Tiles `which`, or the first n, of seed 7."""
    which = np.arange(n) if which is None else np.array(which)
    rule = _rule(len(which), snr, noise, drop) if snr or drop else None
    seeds = np.full(len(which), 7, np.uint64)
    return tiles(view.cells, seeds, which, size, np.tile([density], (len(which), 1)), rule)


def _rule(n, snr=SNR, noise=0.028, drop=()):
    """What is asked of n places; g and i are seen as r is."""
    noise = np.broadcast_to(np.asarray(noise, np.float32)[..., None], (n, 3))
    return Rule("gri", noise, np.full((n, 3), 3.4, np.float32), snr, drop)


def _best_snr(view, at):
    """The highest S/N of a source in each box, found in another way: from the whole catalogue."""
    found = view.cells.catalogue(at, margin=0)
    rule = _rule(len(at.key))
    snr = expected_snr(found, rule, found.box) + luck(found, at, rule).clip(-MOST_LUCK, MOST_LUCK)
    last = at.width - EDGE_PX - 0.5
    inside = [(of.numpy() >= EDGE_PX - 0.5) & (of.numpy() < last) for of in (found.objects.x, found.objects.y)]
    best = np.zeros(len(at.key))
    np.maximum.at(best, found.box, snr * (inside[0] & inside[1]))
    return best


@pytest.mark.parametrize("size", [64, 128])
def test_a_tile_lies_at_the_first_place_at_which_a_source_stands(view, size):
    placed = _tiles(view, size=size)
    places = placed.x // SPACING_PX
    assert (placed.x % SPACING_PX == 0).all()
    assert places.max() > 0
    for place in range(int(places.max()) + 1):
        best = _best_snr(view, placed._replace(x=np.full(200, place * SPACING_PX)))
        assert (best[places == place] >= SNR).all()
        assert (best[places > place] < SNR).all()


@pytest.mark.parametrize(("size", "snr"), [(64, SNR), (128, None)])
def test_no_tile_lies_in_the_halo_of_a_star_outside_where_its_set_drops_these(view, size, snr):
    free, anywhere = (_tiles(view, 100, size, snr=snr, density=(8.0, 1.0), drop=drop) for drop in (["halo"], []))
    assert not _in_halo(view, free).any()
    assert _in_halo(view, anywhere).any()
    assert ((free.x == anywhere.x) | _in_halo(view, anywhere)).all()


def _in_halo(view, at):
    """Which boxes are spoilt, found from the catalogue of all that may shine in."""
    zero = np.zeros((len(at.key), 1), np.int64)
    return spoilt(view.cells.catalogue(at), zero, zero, at.width, _rule(len(at.key), drop=["halo"]).sight)[:, 0]


def test_as_many_sources_are_detected_as_the_rule_of_places_says(view):
    """Within 2 % and the scatter of so few, while what is expected alone falls short of it."""
    asked, expected, detected = 0, 0, 0
    for seed in range(4):
        plane = Plane(view, seed, conditions(density=(3.0, 2.4)))
        at = plane.box(0, 0, 1000, 1000)
        seen = plane.rectangle(0, 0, 1000, 1000)[1].astype(np.float64)
        found = view.cells.catalogue(at, margin=0, faintest=24.0)
        snr = expected_snr(found, _rule(1), np.zeros(len(found.box), int))
        expected += (snr >= SNR).sum()
        asked += (snr + luck(found, at, _rule(1)) >= SNR).sum()
        detected += len(detect(seen, pixel_noise(seen), SNR))
    assert abs(asked / detected - 1) < 0.03
    assert asked > expected


def test_the_source_for_which_a_tile_was_chosen_is_detected_in_it(view):
    placed, under = _tiles(view, 300), Under.of(conditions(300))
    seen = view.observed(placed, under)[:, 1].astype(np.float64)
    empty = np.mean([len(detect(tile, pixel_noise(tile), SNR)) == 0 for tile in seen])
    assert empty < 0.03  # 0.05 with luck that is not the noise of the tile


def test_a_tile_lies_at_place_0_where_nothing_is_asked_for(view):
    assert (_tiles(view, snr=None).x == 0).all()


def test_a_tile_lies_where_it_lies_whatever_else_is_drawn(view):
    whole = _tiles(view)
    for some in ([5], [199, 3], [*range(50, 120)]):
        part = _tiles(view, which=some)
        np.testing.assert_array_equal(part.x, whole.x[some])
        np.testing.assert_array_equal(part.key, whole.key[some])


def test_a_tile_s_place_depends_on_its_own_noise_and_on_no_other_tile_s(view):
    noise = np.repeat(np.array([0.028, 0.084], np.float32), 100)
    mixed, quiet, loud = (_tiles(view, noise=one).x for one in (noise, 0.028, 0.084))
    np.testing.assert_array_equal(mixed, np.concatenate([quiet[:100], loud[100:]]))
    assert (loud >= quiet).all()
    assert (loud > quiet).any()


def test_with_another_density_a_tile_shows_the_same_place(view):
    placed, under = _tiles(view, 20), Under.of(conditions(20))
    thin = placed._replace(density=placed.density * 0.5)
    light, less = (view.scenes(one, under).sum((1, 2, 3)) for one in (placed, thin))
    assert (less <= light).all()
    assert (less < light).any()


def test_where_there_is_no_source_at_all_the_first_place_is_taken(view):
    assert (_tiles(view, 20, density=(0, 0)).x == 0).all()


def test_the_expected_signal_is_that_of_an_aperture_on_the_drawn_light(view):
    """Each object alone, its centre at a random phase: the sum of the pixels whose centres lie in a finer aperture."""
    found = view.cells.catalogue(boxes(width=1200, height=1200), margin=False, faintest=21.5)
    n = min(len(found.box), 150)
    some = found.take(np.arange(len(found.box))[:: len(found.box) // n][:n])
    core = core_px(torch.full((n,), 3.4, dtype=torch.float64)).numpy()
    offset = torch.from_numpy(np.random.default_rng(2).uniform(-0.5, 0.5, (2, n)))
    moved = some._replace(objects=some.objects._replace(x=32 + offset[0], y=32 + offset[1]))
    drawn = view.drawn(moved, np.arange(n), _of_seeing(n, 3.4), Canvas(n, 3, 65, 65))[:, 1]
    seen = np.array(
        [_aperture(image, 32 + float(x), 32 + float(y)) for image, x, y in zip(drawn, *offset, strict=True)]
    )
    ratio = seen / (10 ** (-0.4 * (some.magnitude - 22.5)) * enclosed(some, core))
    assert abs(np.median(ratio) - 1) < 0.01
    assert np.abs(ratio - 1).max() < 0.12


def _of_seeing(n, fwhm_px):
    return Under.of(conditions(n)._replace(psf_fwhm_px=torch.full((n, 3), fwhm_px)))


def _aperture(image, x, y, fine=9):
    """The light within APERTURE_PX of (x, y), each pixel shared out evenly to 81 parts."""
    steps = (np.arange(65 * fine) + 0.5) / fine - 0.5
    inside = (steps - x) ** 2 + (steps[:, None] - y) ** 2 <= APERTURE_PX**2
    return float((image * inside.reshape(65, fine, 65, fine).mean((1, 3))).sum())


def test_tiles_are_rectangles_of_their_planes_to_the_bit(view):
    placed = _tiles(view, 30)
    drawn = view.observed(placed, Under.of(conditions(30)))
    for index in (0, 7, 29):
        plane = Plane(view, (7, index), conditions())
        np.testing.assert_array_equal(plane.rectangle(int(placed.x[index]), 0, 64, 64), drawn[index])


def test_the_scene_is_the_same_under_any_noise_and_nothing_is_added_without(view):
    placed = _tiles(view, 5)
    silent = conditions(5)._replace(sky_noise_nmgy=torch.zeros(5, 3), nmgy_per_electron=torch.zeros(5, 3))
    np.testing.assert_array_equal(view.observed(placed, Under.of(silent)), view.scenes(placed, Under.of(conditions(5))))


@pytest.mark.parametrize("size", [0, 129])
def test_a_tile_that_would_overlap_the_next_place_is_refused(view, size):
    with pytest.raises(ValueError, match=f"tiles of {size} px; they have 1 to 128 px"):
        _tiles(view, size=size)


def test_a_catalogue_keeps_its_columns_together(view):
    found = view.cells.catalogue(boxes())
    part = found.take(found.magnitude < 24)
    assert isinstance(part, Catalogue)
    assert len(part.id) == len(part.objects.x) == len(part.reach_px) == (found.magnitude < 24).sum()
