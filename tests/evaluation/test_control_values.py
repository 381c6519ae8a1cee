from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from skygen.evaluation.control_values import ControlValues, read_control_values, weights_of
from skygen.evaluation.controls import held
from skygen.files import write_json
from skygen.measure.accuracy import PARTS
from skygen.params import ParamsError

FOLDER = Path("encoders/r64")


def encoder_of(data_hash: str, sha256: str = "e" * 64) -> SimpleNamespace:
    return SimpleNamespace(sha256=sha256, card=SimpleNamespace(data_hash=data_hash))


@pytest.fixture
def content(sky_store) -> dict:
    controls = {key: {"real_real": 0.9, "between_fields": 0.5, "collapsed": 0.1} for key in PARTS}
    replicates = {"precision": [0.8, 0.95], "recall": [0.6, 0.7], "coverage": [0.7, 0.9]}
    return {
        "encoder": "e" * 64,
        "data": sky_store.card.data_hash,
        "seed": 3,
        "bootstrap": 2,
        "tiles": {"validation": 20, "test": 60},
        "repeated": {"validation": 3, "test": 5},
        "validation": controls,
        "test": controls,
        "replicates": {"validation": replicates, "test": replicates},
    }


def read(folder, store, content, sha256="e" * 64, seed=3, bootstrap=2) -> ControlValues:
    write_json(folder / "controls.json", content)
    encoder = encoder_of(store.card.data_hash, sha256)
    return read_control_values(folder / "controls.json", store, encoder, FOLDER, seed, bootstrap)


def test_what_was_written_is_read_with_the_real_real_value_before_its_resamplings(tmp_path, sky_store, content):
    found = read(tmp_path, sky_store, content)

    assert found.model_dump() == content
    np.testing.assert_array_equal(found.real_real("test")["precision"], [0.9, 0.8, 0.95])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"sha256": "f" * 64},
            r"controls.json was measured with eeeeeeeeeeee, but the encoder in .*r64 is ffffffffffff",
        ),
        ({"seed": 4}, r"controls.json was measured with 3, but evaluation.seed is 4"),
        ({"bootstrap": 5}, r"controls.json was measured with 2, but scales.SCALE.evaluation.bootstrap is 5"),
    ],
)
def test_controls_that_were_measured_otherwise_name_both_and_the_stage(tmp_path, sky_store, content, changed, message):
    with pytest.raises(ValueError, match=rf"{message}; run the stage controls@r64"):
        read(tmp_path, sky_store, content, **changed)


def test_controls_of_other_tiles_name_both_and_the_stage(tmp_path, sky_store, content):
    with pytest.raises(ValueError, match=r"with 0000, but the tiles in .*r64 is .*; run the stage controls@r64"):
        read(tmp_path, sky_store, content | {"data": "0000"})


def test_missing_controls_name_the_stage(tmp_path, sky_store):
    encoder = encoder_of(sky_store.card.data_hash)

    with pytest.raises(FileNotFoundError, match=r"controls.json: no controls; run the stage controls@r64"):
        read_control_values(tmp_path / "controls.json", sky_store, encoder, FOLDER, 3, 2)


def test_a_file_that_is_no_yardstick_names_the_key(tmp_path, sky_store, content):
    del content["replicates"]

    with pytest.raises(ParamsError, match=r"controls.json: replicates: missing"):
        read(tmp_path, sky_store, content)


def test_splits_and_evaluations_are_resampled_each_in_their_own_way(sky_store):
    rows = {
        (split, seed): weights_of(held(sky_store, split, seed), 1, seed)[1][1, :20].tolist()
        for split in ("validation", "test")
        for seed in (0, 1)
    }

    assert len({tuple(row) for row in rows.values()}) == 4
    assert rows["test", 1] == weights_of(held(sky_store, "test", 1), 1, 1)[1][1, :20].tolist()
