"""`make encoders`: a simulated survey to encoders, each whole or not at all."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from skygen.encoder.network import CARD, HISTORY, WEIGHTS, Encoder
from skygen.params import load
from tools import encoders

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's folder, made the current one, whose encoders take no time to train."""
    raw = YAML().load(ROOT / "params.yaml")
    raw["encoder"]["fields"] = 3
    for training in raw["encoder"]["sets"].values():
        training.update(train_a_field=20, iterations=2, batch=4, width=2)
    YAML().dump(raw, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_sky(monkeypatch, sky_store):
    """No survey is simulated, and tiles of noise with a source each are what is cut from it."""
    monkeypatch.setattr(encoders, "collect_frames", lambda *_: None)
    monkeypatch.setattr(encoders, "cut", lambda *_: sky_store)


@pytest.mark.slow
def test_every_tile_set_gets_an_encoder_of_simulated_sky(project, capsys):
    encoders.main()

    params, said = load(project / "params.yaml"), capsys.readouterr().out
    for name, tile_set in params.judged.items():
        folder = project / "encoders" / name
        assert {path.name for path in folder.iterdir()} == {WEIGHTS, CARD, HISTORY}
        encoder = Encoder.load(folder)
        assert (encoder.card.tiles, encoder.card.size, encoder.card.bands) == (name, tile_set.size, tile_set.bands)
        assert len(encoder.card.train_fields) == 1
        assert encoder.card.train_fields[0].startswith("90000")
        assert encoder.card.train_tiles == 20
        assert encoder.sha256 in said


def test_one_set_can_be_trained_alone(project, no_sky, capsys):
    encoders.main("r64")

    assert [path.name for path in (project / "encoders").glob("[!.]*")] == ["r64"]
    assert Encoder.load(project / "encoders/r64").sha256 in capsys.readouterr().out


def test_a_training_that_fails_leaves_the_encoder_that_was_there(project, no_sky, monkeypatch):
    encoders.main("r64")
    before = Encoder.load(project / "encoders/r64").sha256

    def fail(folder, *_):
        (folder / WEIGHTS).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(encoders, "train_encoder", fail)
    with pytest.raises(SystemExit, match="encoders: no space left"):
        encoders.main("r64")
    assert Encoder.load(project / "encoders/r64").sha256 == before
    assert [path.name for path in (project / "encoders").glob("*") if path.is_dir()] == ["r64"]


def test_an_unknown_set_is_named_with_those_there_are(project):
    with pytest.raises(SystemExit, match=r"params\.yaml has no encoder of r65; it has r64, gri128"):
        encoders.main("r65")


def test_the_survey_is_simulated_in_all_bands_whatever_the_frames_and_of_another_sky(params):
    local = params.frames.model_copy(update={"source": "local", "min_fields": 50, "scheduler": "tcp://one:8786"})
    survey = encoders.survey_of(params.model_copy(update={"frames": local}))

    assert (survey.frames.source, survey.frames.seed) == ("simulated", params.encoder.seed)
    assert survey.frames.seed != params.frames.seed
    assert (survey.chosen.frames.fields, survey.frames.min_fields) == (params.encoder.fields, 3)
    assert [tile_set.bands for tile_set in survey.tiles.sets.values()] == [["g", "r", "i"]]
    assert survey.frames.scheduler is None


def test_bands_that_are_not_simulated_are_named_before_anything_is_made(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ultraviolet = params.tiles["r64"].model_copy(update={"bands": ["u", "r"]})
    tiles = type(params.tiles)(scheduler=None, r64=ultraviolet.model_dump())

    with pytest.raises(ValueError, match=r"tiles\.r64 asks for u, but sky is simulated in g, r, i"):
        encoders.train(params.model_copy(update={"tiles": tiles}), ["r64"])
    assert not list(tmp_path.iterdir())
