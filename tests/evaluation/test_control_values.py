from types import SimpleNamespace

import pytest

from skygen.evaluation.control_values import ControlValues, read_control_values
from skygen.evaluation.scoring import CONTROLS
from skygen.files import write_json
from skygen.params import ParamsError


@pytest.fixture
def content(sky_store) -> dict:
    of_split = {
        "tiles": 20,
        "fields": 1,
        "repeated": 3,
        "values": {"frechet": dict.fromkeys(CONTROLS, 1.0)},
        "real_real": {"frechet": [0.9, 1.1]},
        "matched": {"frechet": [3.0, 4.0]},
    }
    return {
        "encoder": "e" * 64,
        "data": sky_store.card.data_hash,
        "seed": 3,
        "halvings": 2,
        "validation": of_split,
        "test": of_split | {"tiles": 60},
    }


def read(folder, store, content, sha256="e" * 64, seed=3, halvings=2) -> ControlValues:
    write_json(folder / "controls.json", content)
    return read_control_values(folder / "controls.json", store, SimpleNamespace(sha256=sha256), seed, halvings)


def test_what_was_written_is_read(tmp_path, sky_store, content):
    found = read(tmp_path, sky_store, content)

    assert found.model_dump() == content
    assert (found.of("validation").tiles, found.of("test").tiles) == (20, 60)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"sha256": "f" * 64},
            r"controls.json was measured with eeeeeeeeeeee, but the encoder of the set is ffffffffffff",
        ),
        ({"seed": 4}, r"controls.json was measured with 3, but evaluation.seed is 4"),
        ({"halvings": 5}, r"controls.json was measured with 2, but scales.SCALE.evaluation.halvings is 5"),
    ],
)
def test_controls_that_were_measured_otherwise_name_both_and_the_stage(tmp_path, sky_store, content, changed, message):
    with pytest.raises(ValueError, match=rf"{message}; run the stage controls@r64"):
        read(tmp_path, sky_store, content, **changed)


def test_controls_of_other_tiles_name_both_and_the_stage(tmp_path, sky_store, content):
    with pytest.raises(ValueError, match=r"with 0000, but the tiles in .*r64 is .*; run the stage controls@r64"):
        read(tmp_path, sky_store, content | {"data": "0000"})


def test_missing_controls_name_the_stage(tmp_path, sky_store):
    with pytest.raises(FileNotFoundError, match=r"controls.json: no controls; run the stage controls@r64"):
        read_control_values(tmp_path / "controls.json", sky_store, SimpleNamespace(sha256="e" * 64), 3, 2)


def test_a_file_that_holds_no_controls_names_the_key(tmp_path, sky_store, content):
    del content["test"]["matched"]

    with pytest.raises(ParamsError, match=r"controls.json: test.matched: missing"):
        read(tmp_path, sky_store, content)
