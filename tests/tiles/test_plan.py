import pytest
from hypothesis import given
from hypothesis import strategies as st

from skygen.sky.field import FieldId
from skygen.tiles.plan import TILES_A_SHARD, plan_shards
from skygen.tiles.store import SPLITS

TRAIN = {"train": 84, "validation": 25, "test": 25}
FIELD_IDS = st.sets(st.builds(FieldId, st.integers(1, 9999), st.integers(1, 6), st.integers(1, 999)), max_size=300)


def fields(count):
    return [FieldId(94 + number // 500, 1 + number % 6, number % 500) for number in range(count)]


def plan(train, seed=0, tiles_a_field=84):
    of_splits = {"train": train, "validation": [], "test": []}
    return {
        shard.name: tuple(shard.fields) for shard in plan_shards(of_splits, {**TRAIN, "train": tiles_a_field}, seed)
    }


@given(FIELD_IDS, st.integers(0, 9), st.integers(1, 1200))
def test_every_field_is_in_one_shard_and_no_shard_is_too_big(found, seed, tiles_a_field):
    shards = plan(found, seed, tiles_a_field)

    assert sorted(field for members in shards.values() for field in members) == sorted(found)
    assert all(1 <= len(members) <= max(1, TILES_A_SHARD // tiles_a_field) for members in shards.values())
    assert list(shards) == sorted(shards)


def test_shards_are_of_about_a_thousand_tiles():
    sizes = [84 * len(members) for members in plan(fields(1200)).values()]

    assert 500 < sum(sizes) / len(sizes) <= 1000


def test_a_few_fields_are_one_shard_named_as_their_split():
    assert plan(fields(5)) == {"train": tuple(sorted(fields(5), key=plan(fields(5))["train"].index))}
    assert set(plan(fields(5))["train"]) == set(fields(5))


def test_each_split_has_its_own_shards():
    shards = plan_shards({"train": fields(40)[:20], "validation": fields(40)[20:30], "test": fields(40)[30:]}, TRAIN, 0)

    assert [split for split in SPLITS if any(shard.split == split for shard in shards)] == list(SPLITS)
    assert all(shard.name.startswith(shard.split) for shard in shards)


def test_the_plan_knows_the_fields_and_the_seed_and_not_their_order():
    assert plan(fields(100)[::-1]) == plan(fields(100))
    assert plan(fields(100), seed=1) != plan(fields(100))


@pytest.mark.parametrize("count", [1, 5, 11, 12, 60, 500, 1200])
def test_a_new_field_changes_one_shard_or_parts_it(count):
    for new in range(20):
        before, after = plan(fields(count)), plan([*fields(count), FieldId(7000 + new, 1, 1)])
        gone, come = set(before.items()) - set(after.items()), set(after.items()) - set(before.items())
        assert len(gone) <= 1
        parted = {field for _, members in gone for field in members} | {FieldId(7000 + new, 1, 1)}
        assert {field for _, members in come for field in members} == parted
        assert 1 <= len(come) <= 3  # two where it parts, three where all but one fall on one side of the next bit
