"""The selection of good fields, on lists whose sky is known."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from skygen.sky.archive.crowded import CROWDED
from skygen.sky.archive.download import SurveyError
from skygen.sky.archive.fields import HALF_DIAGONAL_DEG, FieldList, select
from tests.sky.archive.field_lists import FIELD_STEP_DEG, changed, grid, joined, places, sky


@pytest.mark.parametrize(
    "values",
    [
        {"seeing_arcsec": 1.51},
        {"seeing_arcsec": -1.0},
        {"seeing_arcsec": np.nan},
        {"score": 0.59},
        {"score": np.nan},
        {"ra_deg": 266.4, "dec_deg": -28.9},  # the centre of the Galaxy
        {"ra_deg": 205.548, "dec_deg": 28.6},  # a third of a degree from the middle of M 3
    ],
    ids=str,
)
def test_a_field_that_is_not_as_asked_is_not_chosen(selection, values):
    fields = grid((180, 182), (30, 32))
    row = 5
    (name,) = fields.names(np.array([row]))
    assert name in select(fields, selection, 16)
    bad = changed(fields, row, **values)
    assert select(bad, selection, 15) == [other for other in fields.names(np.arange(16)) if other != name]
    with pytest.raises(SurveyError, match=r"16 fields are asked for; of the 16 listed 1[56] .* of these 15 overlap"):
        select(bad, selection, 16)


def test_fields_at_the_limits_are_chosen(selection):
    fields = changed(sky([180.0], [30.0]), 0, seeing_arcsec=1.5, score=0.6)
    assert select(fields, selection, 1) == fields.names(np.array([0]))


def test_fields_on_either_side_of_the_galaxy_are_chosen(selection):
    fields = sky([180.0, 10.0], [30.0, 0.0])  # at galactic latitudes of +79 and -63 degrees
    assert select(fields, selection, 2) == fields.names(np.array([0, 1]))


def test_no_chosen_field_overlaps_another(selection):
    # Two camera columns of a run, whose fields share rows, and the same sky on another night, a little off.
    along = np.arange(60) * FIELD_STEP_DEG
    scans = [sky(180 + along, 30 + offset, run=run) for run, offset in [(1000, 0), (1001, 0.21), (1002, 0.05)]]
    fields = joined(*scans)
    found = places(fields, select(fields, selection, 20))
    _, nearest, _ = found.match_to_catalog_sky(found, nthneighbor=2)
    assert 2 * HALF_DIAGONAL_DEG <= nearest.deg.min() < 2 * FIELD_STEP_DEG * 2


def test_half_a_diagonal_covers_a_frame_its_bands_and_the_lists_centres():
    offset_px = 64 + 14  # the list's fields lack 64 rows at either end; the bands lie up to 14 px apart
    assert 0.396 / 3600 * (np.hypot(2048, 1489) / 2 + offset_px) <= HALF_DIAGONAL_DEG


def test_nothing_overlaps_a_reserved_field_even_one_that_is_not_good_itself(selection):
    fields = changed(grid((180, 182), (30, 31), step_deg=0.25), 20, score=0.1)
    (reserved,) = fields.names(np.array([20]))
    wanted = selection.model_copy(update={"reserved": [str(reserved)]})
    near = places(fields, [reserved])[0]
    assert places(fields, select(fields, selection, 8)).separation(near).deg.min() < 2 * HALF_DIAGONAL_DEG
    assert places(fields, select(fields, wanted, 8)).separation(near).deg.min() >= 2 * HALF_DIAGONAL_DEG


def test_a_reserved_field_that_is_not_listed_is_an_error(selection):
    wanted = selection.model_copy(update={"reserved": ["94-1-12"]})
    with pytest.raises(SurveyError, match=r"selection\.reserved: the survey's list has no 94-1-12"):
        select(sky([180], [30]), wanted, 1)


def test_the_choice_depends_on_the_list_alone_and_grows_with_the_count(selection):
    fields = grid((150, 170), (20, 40), step_deg=0.4)
    order = np.random.default_rng(1).permutation(len(fields.run))
    shuffled = FieldList(**{name: column[order] for name, column in vars(fields).items()})
    few, many = select(fields, selection, 40), select(fields, selection, 90)
    assert select(shuffled, selection, 90) == many
    assert set(few) < set(many)
    assert many == sorted(many)


def test_sky_that_was_scanned_often_is_not_chosen_more_often(selection):
    once = grid((150, 170), (10, 30))
    often = [grid((180, 200), (10, 30), run=2000 + night) for night in range(20)]
    fields = joined(once, *often)
    chosen = select(fields, selection, 200)
    from_once = sum(name.run == 1000 for name in chosen)
    assert 70 <= from_once <= 130  # 100 with a standard deviation of 7, where by number of fields it would be 10
    assert len({name.run for name in chosen}) > 15


def test_the_crowded_places_lie_where_the_sky_has_them():
    where = SkyCoord([place.ra_deg for place in CROWDED], [place.dec_deg for place in CROWDED], unit=u.deg)
    assert np.abs(where.galactic.b.deg).min() > 15
    named = {place.name: place for place in CROWDED}
    assert len(named) == len(CROWDED)
    # The catalogue's own galactic coordinates, to which its equatorial ones must turn.
    for name, l_deg, b_deg in [("M 13", 59.01, 40.91), ("M 15", 65.01, -27.31), ("Pal 5", 0.85, 45.86)]:
        place = SkyCoord(named[name].ra_deg, named[name].dec_deg, unit=u.deg)
        assert place.separation(SkyCoord(l_deg, b_deg, unit=u.deg, frame="galactic")).deg < 0.02
    assert all(0.5 < place.radius_arcmin < 100 for place in CROWDED)
