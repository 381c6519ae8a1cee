import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.scale import SURVEY_FIELDS, survey_places
from skygen.sky.field import FieldId
from skygen.sky.footprint import REACH_DEG
from skygen.tiles.split import hold_out_fields, split_fields
from skygen.tiles.store import SPLITS

SHARES = st.floats(0.01, 0.49)
FIELD_IDS = st.sets(st.builds(FieldId, st.integers(1, 999_999), st.integers(1, 6), st.integers(1, 999)), min_size=3)


def apart(fields):
    """Places of `fields`, each a degree or more from every other."""
    return {field: (1.5 * (index % 200), -60 + 1.5 * (index // 200)) for index, field in enumerate(sorted(fields))}


def fields(count):
    return [FieldId(94, 1, number) for number in range(count)]


def stripe(run, count, ra_deg=100.0, dec_deg=0.0):
    """A run along the equator, whose fields overlap as the survey's do: 1,361 new rows of 1,489 each."""
    step = 1361 * 0.396 / 3600
    return {FieldId(run, 1, number): ((ra_deg + number * step) % 360, dec_deg) for number in range(count)}


def split_of(splits):
    return {field: split for split in SPLITS for field in splits.fields[split]}


def assert_no_sky_is_shared(splits, places):
    of = split_of(splits)
    kept = sorted(of)
    places_of = SkyCoord(*np.array([places[field] for field in kept]).T, unit="deg")
    for one, other in np.argwhere(places_of[:, None].separation(places_of[None]).deg <= REACH_DEG).tolist():
        assert of[kept[one]] == of[kept[other]]
    assert sorted(kept + splits.left_out) == sorted(places)


@given(FIELD_IDS, SHARES, SHARES, st.integers(0, 2**63 - 1))
def test_every_field_is_in_one_split_and_no_split_is_empty(found, validation, test, seed):
    splits = split_fields(apart(found), validation, test, seed)
    dealt = [field for split in SPLITS for field in splits.fields[split]]

    assert sorted(dealt) == sorted(found)
    assert splits.left_out == []
    assert all(splits.fields[split] == sorted(splits.fields[split]) != [] for split in SPLITS)


@given(
    st.lists(st.tuples(st.floats(0, 12), st.floats(-3, 3)), min_size=3, max_size=60), SHARES, SHARES, st.integers(0, 9)
)
def test_no_sky_is_in_two_splits_wherever_fields_lie(found, validation, test, seed):
    places = dict(zip(fields(len(found)), found, strict=True))
    try:
        splits = split_fields(places, validation, test, seed)
    except ValueError:  # so close together that three splits cannot be had
        assume(False)
    assert_no_sky_is_shared(splits, places)
    assert all(splits.fields[split] for split in SPLITS)


@pytest.mark.parametrize(
    ("count", "shares", "sizes"),
    [
        (10, (0.2, 0.2), (6, 2, 2)),
        (2000, (0.2, 0.2), (1200, 400, 400)),
        (8, (0.25, 0.125), (5, 2, 1)),
        (3, (0.2, 0.2), (1, 1, 1)),
        (3, (0.49, 0.49), (1, 1, 1)),
        (100, (0.01, 0.3), (69, 1, 30)),
    ],
)
def test_shares_are_kept(count, shares, sizes):
    splits = split_fields(apart(fields(count)), *shares, seed=0)

    assert tuple(len(splits.fields[split]) for split in ("train", "validation", "test")) == sizes


def test_the_split_knows_the_fields_and_the_seed_and_not_their_order():
    places = apart(fields(50))
    first = split_fields(places, 0.2, 0.2, 0)

    assert split_fields(dict(reversed(places.items())), 0.2, 0.2, 0) == first
    assert split_fields(places, 0.2, 0.2, 1) != first


def test_a_new_field_moves_few_others():
    before, after = (split_of(split_fields(apart(fields(count)), 0.2, 0.2, 0)) for count in (100, 101))

    assert sum(before[field] != after[field] for field in before) <= 2


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_fields_are_refused(count):
    with pytest.raises(ValueError, match=f"{count} complete fields; a split needs at least 3"):
        split_fields(apart(fields(count)), 0.2, 0.2, 0)


def test_neighbours_of_a_run_and_nights_of_one_sky_stay_together():
    runs = {
        **stripe(100, 4),
        **stripe(200, 4, ra_deg=100.05),
        **stripe(300, 3, ra_deg=150),
        **stripe(400, 4, dec_deg=8),
    }
    places = {**runs, **{FieldId(run, 1, 1): (200.0 + run, 30.0) for run in range(1, 21)}}
    for seed in range(10):
        splits = split_fields(places, 0.2, 0.2, seed)
        of = split_of(splits)
        assert splits.left_out == []
        for together in ((100, 200), (300,), (400,)):
            assert len({of[field] for field in runs if field.run in together}) == 1
        assert_no_sky_is_shared(splits, places)


def test_a_group_bigger_than_a_held_out_split_trains():
    places = {**stripe(100, 12), **{FieldId(run, 1, 1): (200.0 + run, 30.0) for run in range(1, 13)}}
    for seed in range(5):
        splits = split_fields(places, 0.2, 0.2, seed)
        assert {field.run for field in splits.fields["validation"] + splits.fields["test"]} <= set(range(1, 13))
        assert [len(splits.fields[split]) for split in ("validation", "test")] == [5, 5]


def test_a_group_too_big_for_a_split_is_parted_and_what_is_near_a_border_left_out():
    places = stripe(100, 400, ra_deg=330)  # sixty degrees, over the edge of RA
    splits = split_fields(places, 0.2, 0.2, 0)

    assert_no_sky_is_shared(splits, places)
    assert 1 <= len(splits.left_out) <= 20  # one or two of 26 fields in a cell of four degrees
    shares = {split: len(splits.fields[split]) / 400 for split in SPLITS}
    assert 0.13 <= shares["validation"] <= 0.21
    assert 0.13 <= shares["test"] <= 0.21
    assert shares["train"] >= 0.55


def test_a_small_region_is_parted_too():
    ra, dec = (axis.ravel() for axis in np.meshgrid(180 + 0.2 * np.arange(10), 0.15 * np.arange(14)))
    places = dict(zip(fields(140), zip(ra.tolist(), dec.tolist(), strict=True), strict=True))
    splits = split_fields(places, 0.2, 0.2, 0)

    assert_no_sky_is_shared(splits, places)
    assert all(len(splits.fields[split]) >= 5 for split in SPLITS)


def test_fields_of_one_place_are_refused():
    with pytest.raises(ValueError, match=r"9 fields overlap so that they form 1 groups; .* lie further apart"):
        split_fields(dict.fromkeys(fields(9), (10.0, 0.0)), 0.2, 0.2, 0)


def test_the_named_fields_are_held_out_and_all_others_train():
    known = fields(8)
    splits = hold_out_fields(apart(known), [known[5], known[2]], [known[7]])

    assert splits.fields == {
        "train": [known[index] for index in (0, 1, 3, 4, 6)],
        "validation": [known[2], known[5]],
        "test": [known[7]],
    }
    assert splits.left_out == []


def test_eight_folds_test_each_of_eight_fields_once_and_never_in_two_splits():
    known = fields(8)
    folds = [hold_out_fields(apart(known), [known[(fold + 1) % 8]], [known[fold]]) for fold in range(8)]

    assert sorted(field for fold in folds for field in fold.fields["test"]) == known
    assert sorted(field for fold in folds for field in fold.fields["validation"]) == known
    for fold in folds:
        assert sorted(field for split in SPLITS for field in fold.fields[split]) == known
        assert len(fold.fields["train"]) == 6


def test_what_shares_sky_with_a_field_held_out_by_name_does_not_train():
    places = {**stripe(100, 9), **{FieldId(run, 1, 1): (200.0 + 2 * run, 30.0) for run in range(1, 4)}}
    splits = hold_out_fields(places, [FieldId(100, 1, 0)], [FieldId(100, 1, 6), FieldId(1, 1, 1)])

    assert splits.left_out == [FieldId(100, 1, number) for number in (1, 5, 7)]
    assert_no_sky_is_shared_with_held_out(splits, places)


def assert_no_sky_is_shared_with_held_out(splits, places):
    of = split_of(splits)
    held_out = [field for field, split in of.items() if split != "train"]
    sky = {field: SkyCoord(*places[field], unit="deg") for field in of}
    for one in held_out:
        for other in of:
            assert of[one] == of[other] or sky[one].separation(sky[other]).deg > REACH_DEG


def test_held_out_fields_of_two_splits_that_share_sky_are_refused():
    places = {**stripe(100, 9), **apart(fields(3))}
    with pytest.raises(ValueError, match="hold_out: 100-1-4 of validation shares sky with a field of test; name both"):
        hold_out_fields(places, [FieldId(100, 1, 4), FieldId(94, 1, 0)], [FieldId(100, 1, 5)])


def test_a_hold_out_that_leaves_nothing_to_train_on_is_refused():
    known = fields(3)
    with pytest.raises(ValueError, match="leaves no field to train on: 3 of 3 complete fields are held out; hold out"):
        hold_out_fields(apart(known), known[:2], known[2:])
    places = {**stripe(100, 2), FieldId(1, 1, 1): (200.0, 30.0)}
    with pytest.raises(ValueError, match=r"2 of 3 .* held out, and 100-1-0 shares sky with one that is; hold"):
        hold_out_fields(places, [FieldId(100, 1, 1)], [FieldId(1, 1, 1)])


@pytest.mark.slow
def test_the_whole_survey_can_be_split():
    places = survey_places()
    splits = split_fields(places, 0.2, 0.2, 0)  # benchmarks/scale.py says how long it takes

    assert len(places) == SURVEY_FIELDS
    assert len(splits.left_out) < 0.1 * SURVEY_FIELDS
    assert len(splits.fields["train"]) > 0.5 * SURVEY_FIELDS
    assert min(len(splits.fields[split]) for split in ("validation", "test")) > 0.12 * SURVEY_FIELDS
    kept = {
        split: SkyCoord(np.array([places[field] for field in splits.fields[split]]), unit="deg") for split in SPLITS
    }
    for one, other in (("test", "train"), ("test", "validation"), ("validation", "train")):
        nearest = kept[one][::50].match_to_catalog_sky(kept[other])[1]
        assert nearest.deg.min() > REACH_DEG
