"""A bundle of a process: tiles cut from skies, rectangles of one sky, what lies in them, and what can be chosen."""

import re

import numpy as np
import pytest

from skygen.bundle.bundle import Bundle, PaintedError
from skygen.bundle.tile import Factors, Rectangle, Tile, row, walk
from skygen.gan.card import BundleError

BANDS = ["g", "r", "i"]


@pytest.fixture(scope="module")
def sky(tmp_path_factory, write_bundle):
    folder = tmp_path_factory.mktemp("process")
    write_bundle(folder, recipe="scene", bands=BANDS)
    return Bundle.load(folder)


@pytest.fixture(scope="module")
def painted(tmp_path_factory, write_bundle):
    folder = tmp_path_factory.mktemp("gan")
    write_bundle(folder)
    return Bundle.load(folder)


def test_tiles_are_rectangles_of_the_places_that_their_origin_names(sky):
    tiles, origin = row(7, 3), sky.origin(row(7, 3))

    assert [place.plane for place in origin.places] == [(7, 0), (7, 1), (7, 2)]
    assert {(place.width, place.height) for place in origin.places} == {(64, 64)}
    assert len({tile.tobytes() for tile in sky.draw(tiles)}) == 3


@pytest.mark.parametrize("choice", [{"noise": "none"}, {"seeing": 2.0}, {"density": Factors(0.2, 3.0)}])
def test_a_tile_s_place_does_not_hang_on_how_it_is_seen(sky, choice):
    assert sky.origin(row(3, 4, **choice)).places == sky.origin(row(3, 4)).places


def test_a_lower_density_leaves_some_of_the_same_objects(sky):
    whole, few, none = (
        set(sky.sky_truth(Rectangle(5, 0, 0, 300, 300, density=Factors(factor, factor))).rows["object_id"])
        for factor in (1, 0.3, 0)
    )

    assert none == set()
    assert set() < few < whole


def test_the_field_s_density_is_drawn_with_its_conditions_or_given(sky):
    drawn = sky.conditions_of(row(0, 30))
    low, high = sky.card.densities
    noise_and_stars = zip(drawn.sky_noise_nmgy[:, 1].tolist(), drawn.density[:, 0].tolist(), strict=True)

    assert sorted(stars for _, stars in set(noise_and_stars)) == [low.stars, high.stars]
    given = sky.conditions_of([Tile(0, 0, field_density=high, density=Factors(2.0, 0.5))]).density
    assert given.tolist() == [[high.stars * 2, high.galaxies / 2]]


def test_densities_given_are_one_a_tile(sky):
    with pytest.raises(ValueError, match="densities of 2 tiles for 3 tiles"):
        sky.generate(0, 3, densities=sky.card.densities)


def test_overlapping_rectangles_agree_to_the_bit(sky):
    whole = sky.sky(Rectangle(11, -150, 200, 300, 260))
    part = sky.sky(Rectangle(11, -33, 251, 120, 140))

    assert (whole.shape, whole.dtype) == ((3, 260, 300), np.float32)
    assert part.tobytes() == np.ascontiguousarray(whole[:, 51:191, 117:237]).tobytes()


def test_a_rectangle_is_its_squares_put_together(sky):
    whole = Rectangle(11, -150, 200, 300, 260)
    found, flux = sky.sky(whole), np.full((3, 260, 300), np.nan, np.float32)
    for part in whole.squares():
        assert max(part.width, part.height) <= 256
        rows, columns = slice(part.y - 200, part.y - 200 + part.height), slice(part.x + 150, part.x + 150 + part.width)
        flux[:, rows, columns] = sky.sky(part)

    assert flux.tobytes() == found.tobytes()


def test_a_rectangle_is_under_the_conditions_of_the_seed_s_first_tile(sky):
    origin = sky.sky_origin(Rectangle(11, 5, 6, 70, 80, noise=0.05))

    assert origin.places == [(11, 5, 6, 70, 80)]
    assert np.array_equal(origin.sky_noise_nmgy, sky.conditions_of([Tile(11, 0, 0.05)]).sky_noise_nmgy)


def test_what_lies_in_a_rectangle_lies_in_a_larger_one(sky):
    small, large = (sky.sky_truth(Rectangle(2, 0, 0, side, side)) for side in (100, 200))
    centres = {row["object_id"]: (row["x"], row["y"]) for row in large.rows}

    inside = [row for row in small.rows if row["flags"] & 1 == 0]
    assert inside
    for each in inside:
        assert centres[each["object_id"]] == pytest.approx((each["x"], each["y"]), abs=1e-6)


def test_a_least_snr_leaves_the_brighter_objects(sky):
    everything, some = (sky.sky_truth(Rectangle(2, 0, 0, 200, 200), least).rows for least in (0, 10))

    assert 0 < len(some) < len(everything)
    assert set(some["object_id"]) < set(everything["object_id"])


def test_the_light_of_objects_and_what_is_left_out_are_the_clean_scene_s(sky):
    rectangle = Rectangle(2, -50, 30, 200, 150, noise="none")
    light = sky.sky(rectangle).sum((1, 2), dtype=np.float64)

    for least in (0, 20):
        truth = sky.sky_truth(rectangle, least)
        inside = [truth.rows[f"flux_inside_{band}_nmgy"].sum() for band in BANDS]
        np.testing.assert_allclose(np.add(inside, truth.left_out_nmgy), light, rtol=1e-4)


def test_the_truth_of_many_tiles_is_that_of_each(sky):
    together = sky.truth_all(row(4, 20))

    for tile, found in zip(row(4, 20), together, strict=True):
        (alone,) = sky.truth([tile])
        assert alone.rows.tobytes() == found.rows.tobytes()


@pytest.mark.parametrize("ask", [lambda of: of.sky(Rectangle(0, 0, 0, 8, 8)), lambda of: of.truth([Tile(0)])])
def test_a_recipe_that_paints_has_no_sky_and_no_truth(painted, ask):
    with pytest.raises(PaintedError, match="recipe gan paints tiles: it has no sky beyond them") as refused:
        ask(painted)
    assert refused.value.name == "model"


def test_a_recipe_that_paints_refuses_a_density(painted):
    with pytest.raises(PaintedError, match="recipe gan paints its density; it takes factors of 1 alone"):
        painted.generate(0, 1, density=Factors(2.0, 1.0))


def test_a_process_has_no_walks(sky):
    with pytest.raises(PaintedError, match="has no walks: between two seeds' skies objects would appear and vanish"):
        sky.draw_all(walk(Tile(1), 2, 4))


@pytest.mark.parametrize("factor", [-0.1, 4.1, float("nan"), True, "much"])
def test_a_density_out_of_range_is_named_with_what_is_allowed(sky, factor):
    words = f"density of galaxies is {factor!r}; it must be a factor from 0 to 4"
    with pytest.raises(ValueError, match=re.escape(words)):
        sky.generate(0, 1, density=Factors(1.0, factor))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0}, "width is 0; it must be from 1 to 4096 px"),
        ({"height": 4097}, "height is 4097; it must be from 1 to 4096 px"),
        ({"x": 10**9 + 1}, "x is 1000000001; it must be from -1000000000 to 1000000000 px"),
        ({"noise": 0}, "noise is 0"),
    ],
)
def test_a_rectangle_out_of_range_is_named_with_what_is_allowed(changes, words):
    with pytest.raises(ValueError, match=words):
        Rectangle(**{"seed": 0, "x": 0, "y": 0, "width": 8, "height": 8, **changes})


def test_a_process_without_densities_says_so(tmp_path, write_bundle):
    write_bundle(tmp_path, recipe="scene", densities=None)

    with pytest.raises(BundleError, match="lacks conditions or densities; train it anew"):
        Bundle.load(tmp_path).generate(0, 1)
