"""The features of training tiles on disk: what was written is read, and nothing else passes for it."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from skygen.encoder import features
from skygen.encoder.features import read_features, write_features

MADE_ANEW = r"; run the stage controls@r64"


@pytest.fixture(scope="module")
def written(tmp_path_factory, encoder, sky_store):
    path = tmp_path_factory.mktemp("features") / "r64.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_AT_ONCE", 70)  # 300 tiles in five parts, the last one short
        write_features(path, encoder, sky_store)
    return path


@pytest.fixture
def path(written, tmp_path):
    """A copy, to be damaged."""
    return shutil.copy(written, tmp_path / "r64.safetensors")


def test_what_is_read_are_the_features_of_the_training_tiles_in_their_order(written, encoder, sky_store):
    found = read_features(written, encoder, sky_store)

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, encoder.encode(sky_store.split("train").array()))


def test_written_again_they_are_the_same_bytes(written, encoder, sky_store, tmp_path):
    write_features(tmp_path / "again.safetensors", encoder, sky_store)

    assert (tmp_path / "again.safetensors").read_bytes() == written.read_bytes()


def test_writing_that_fails_leaves_what_was_there(path, encoder, sky_store):
    before = path.read_bytes()

    def fail(_tiles):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write_features(path, SimpleNamespace(card=encoder.card, sha256="f" * 64, encode=fail), sky_store)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_missing_features_name_the_stage(tmp_path, encoder, sky_store):
    with pytest.raises(FileNotFoundError, match=r"r64.safetensors: no features of the training tiles" + MADE_ANEW):
        read_features(tmp_path / "r64.safetensors", encoder, sky_store)


def test_features_by_another_encoder_name_both_and_the_stage(path, encoder, sky_store):
    other = SimpleNamespace(card=encoder.card, sha256="f" * 64)

    with pytest.raises(ValueError, match=rf"with the encoder {encoder.sha256[:12]}, not ffffffffffff{MADE_ANEW}"):
        read_features(path, other, sky_store)


def test_features_of_other_tiles_name_both_and_the_stage(path, encoder, sky_store, write_store, sky, tmp_path):
    tiles = {split: {run: sky(run, 20)} for run, split in enumerate(("train", "validation", "test"))}
    other = write_store(tmp_path / "r64", "r", tiles)
    ours, theirs = other.card.data_hash[:12], sky_store.card.data_hash[:12]

    with pytest.raises(ValueError, match=rf"with the tiles {theirs}, not {ours}{MADE_ANEW}"):
        read_features(path, encoder, other)


@pytest.mark.parametrize("length", [0, 5, 100, -4])
def test_damaged_features_name_the_stage(path, encoder, sky_store, length):
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(ValueError, match=rf"r64.safetensors: not the features .*{MADE_ANEW}"):
        read_features(path, encoder, sky_store)


def test_a_file_of_another_make_names_the_stage(path, encoder, sky_store):
    path.write_bytes(features.save({"other": np.zeros((2, 2), np.float32)}))

    with pytest.raises(ValueError, match=rf"r64.safetensors: .*{MADE_ANEW}"):
        read_features(path, encoder, sky_store)
