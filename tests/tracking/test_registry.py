"""The registry of champions: who stands, what becomes of a version, and what must never move the alias."""

import shutil

import mlflow
import numpy as np
import pytest

from skygen import tracking
from skygen.bundle.bundle import Bundle
from skygen.files import sha256_folder

SETS = iter(f"set{number}" for number in range(100))


@pytest.fixture
def tiles():
    """The name of a tile set of which nothing is registered."""
    return next(SETS)


def register(tiles, folder, **challenge):
    return tracking.register(tiles, "gan", 0, folder, sha256_folder(folder), challenge)


def stand(tiles, folder, over=None):
    version = register(tiles, folder)
    tracking.promote(tiles, version, over)
    return version


def champion(client, tiles):
    return str(client.get_model_version_by_alias(f"skygen-{tiles}", "champion").version)


def artifacts_of(store, client, tiles, version):
    """The folder in which the store keeps the files of a version."""
    model = client.get_model_version(f"skygen-{tiles}", version).source.removeprefix("models:/")
    (folder,) = store.glob(f"ml*/**/{model}/artifacts")
    return folder


def test_a_set_without_a_champion_has_none_standing(tiles, tmp_path, bundle_of):
    assert tracking.standing_champion(tiles, tmp_path) is None
    register(tiles, bundle_of(50))
    assert tracking.standing_champion(tiles, tmp_path) is None


def test_the_standing_champion_comes_back_byte_for_byte(tiles, tmp_path, bundle_of, trained):
    folder = bundle_of(51)
    trained(folder)
    version = stand(tiles, folder)
    standing = tracking.standing_champion(tiles, tmp_path / "fetched")

    assert (standing.version, standing.name, standing.sha256) == (version, "gan, seed 0", sha256_folder(folder))
    assert sha256_folder(standing.folder) == sha256_folder(folder)


def test_a_champion_is_registered_once_and_serves_the_bundle_s_tiles(client, tiles, bundle_of, trained):
    folder = bundle_of(52)
    trained(folder)
    first = stand(tiles, folder)
    again = register(tiles, folder)
    model = mlflow.pyfunc.load_model(f"models:/skygen-{tiles}@champion")

    assert first == again
    assert len(client.search_model_versions(f"name = 'skygen-{tiles}'")) == 1
    assert client.get_model_version_by_alias(f"skygen-{tiles}", "champion").tags["recipe"] == "gan"
    assert np.array_equal(model.predict({"seed": [7], "n": [4]}), Bundle.load(folder).generate(7, 4))


def test_the_alias_goes_where_it_is_sent_and_versions_are_found_again(client, tiles, bundle_of, trained):
    first, second = bundle_of(53), bundle_of(54)
    trained(first)
    versions, over = [], None
    for folder in (first, second, first):  # the second was trained where this store is not
        versions.append(over := stand(tiles, folder, over))
        assert champion(client, tiles) == over

    assert versions == ["1", "2", "1"]
    assert len(client.search_model_versions(f"name = 'skygen-{tiles}'")) == 2


def test_a_challenger_is_registered_with_its_challenge_and_without_the_alias(client, tiles, bundle_of):
    standing = stand(tiles, bundle_of(55))
    version = register(tiles, bundle_of(56), decision="does not replace", difference="0.1")
    entry = client.get_model_version(f"skygen-{tiles}", version)

    assert {name: value for name, value in entry.tags.items() if name.startswith("challenge.")} == {
        "challenge.decision": "does not replace",
        "challenge.difference": "0.1",
    }
    assert champion(client, tiles) == standing


def test_a_later_challenge_leaves_nothing_of_an_earlier_one(client, tiles, bundle_of):
    register(tiles, bundle_of(57), decision="does not replace", difference="0.1")
    version = register(tiles, bundle_of(57), decision="first")
    tags = client.get_model_version(f"skygen-{tiles}", version).tags

    assert tags["challenge.decision"] == "first"
    assert "challenge.difference" not in tags
    assert tags["recipe"] == "gan"


def test_the_alias_is_not_taken_from_one_that_became_champion_meanwhile(client, tiles, bundle_of):
    first = stand(tiles, bundle_of(58))
    stand(tiles, bundle_of(59), over=first)
    late = register(tiles, bundle_of(60))

    with pytest.raises(BlockingIOError, match=f"version 2 of skygen-{tiles} became champion while version 3"):
        tracking.promote(tiles, late, over=first)
    assert champion(client, tiles) == "2"


def test_files_that_the_store_has_lost_are_told(store, client, tiles, tmp_path, bundle_of):
    version = stand(tiles, bundle_of(61))
    shutil.rmtree(artifacts_of(store, client, tiles, version))

    assert tracking.standing_champion(tiles, tmp_path / "fetched").folder is None


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_a_version_whose_files_are_damaged_is_registered_anew(damage, store, client, tiles, bundle_of, tmp_path):
    folder = bundle_of(63 if damage == "changed" else 64)
    version = stand(tiles, folder)
    kept = artifacts_of(store, client, tiles, version)
    if damage == "lost":
        shutil.rmtree(kept)
    else:
        (weights,) = kept.rglob("generator.safetensors")
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    anew = register(tiles, folder)
    tracking.promote(tiles, anew, over=version)

    assert (version, anew) == ("1", "2")
    assert sha256_folder(tracking.standing_champion(tiles, tmp_path / "anew").folder) == sha256_folder(folder)
    assert register(tiles, folder) == "2"


def test_a_champion_whose_version_was_deleted_stands_no_more(client, tiles, tmp_path, bundle_of):
    version = stand(tiles, bundle_of(65))
    client.delete_model_version(f"skygen-{tiles}", version)

    assert tracking.standing_champion(tiles, tmp_path) is None


@pytest.mark.parametrize("absent", ["nobody", "silent"])
def test_a_store_that_does_not_answer_is_said_and_the_alias_stays(
    absent, request, client, tiles, bundle_of, tmp_path, monkeypatch, little_patience
):
    first, second = bundle_of(66), bundle_of(67)
    version = stand(tiles, first)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue(absent))
        for call in (
            lambda: tracking.standing_champion(tiles, tmp_path),
            lambda: register(tiles, second),
            lambda: tracking.promote(tiles, "2", over=version),
        ):
            with pytest.raises(ConnectionError, match=r"the registry at http://127.* does not answer"):
                call()

    assert champion(client, tiles) == version
