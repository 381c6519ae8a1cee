import pytest
from hypothesis import given
from hypothesis import strategies as st

from skygen.sky.field import FieldId
from skygen.tiles.split import SPLITS, split_fields

SHARES = st.floats(0.01, 0.49)
FIELDS = st.sets(st.builds(FieldId, st.integers(1, 999_999), st.integers(1, 6), st.integers(1, 999)), min_size=3)


def fields(count):
    return [FieldId(94, 1, number) for number in range(count)]


@given(FIELDS, SHARES, SHARES, st.integers(0, 2**63 - 1))
def test_every_field_is_in_one_split_and_no_split_is_empty(found, validation, test, seed):
    splits = split_fields(found, validation, test, seed)
    dealt = [field for split in SPLITS for field in splits[split]]

    assert sorted(dealt) == sorted(found)
    assert all(splits[split] == sorted(splits[split]) != [] for split in SPLITS)


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
    splits = split_fields(fields(count), *shares, seed=0)

    assert tuple(len(splits[split]) for split in ("train", "validation", "test")) == sizes


def test_the_split_knows_the_fields_and_the_seed_and_not_their_order():
    first = split_fields(fields(50), 0.2, 0.2, 0)

    assert split_fields(fields(50)[::-1], 0.2, 0.2, 0) == first
    assert split_fields(fields(50) * 2, 0.2, 0.2, 0) == first
    assert split_fields(fields(50), 0.2, 0.2, 1) != first


def test_a_new_field_moves_few_others():
    def place(splits):
        return {field: split for split in SPLITS for field in splits[split]}

    before, after = (place(split_fields(fields(count), 0.2, 0.2, 0)) for count in (100, 101))

    assert sum(before[field] != after[field] for field in before) <= 2


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_fields_are_refused(count):
    with pytest.raises(ValueError, match=f"{count} complete fields; a split needs at least 3"):
        split_fields(fields(count) * 2, 0.2, 0.2, 0)
