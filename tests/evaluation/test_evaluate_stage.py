"""The stages controls and evaluate on bundles of untrained networks: a project in a temporary folder, no MLflow."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from pipelines import controls, evaluate
from skygen.bundle.bundle import Bundle
from skygen.encoder.training import train_encoder
from skygen.evaluation.scoring import entries
from skygen.files import read_json
from skygen.gan import card as cards
from skygen.gan.networks import Discriminator
from skygen.measure import two_sample_pixels
from skygen.measure.table import MEANINGS
from skygen.params import EncoderParams, EncoderTraining

SETS = {"r64": (64, "r"), "gri128": (128, "gri")}
COLOURS = ("sources.g_r", "sources.r_i")
TRAINING = EncoderTraining(train_a_field=24, iterations=4, batch=4, width=2)
PARAMS = EncoderParams(fields=3, seed=0, features=8, lr=1e-3, sets=dict.fromkeys(SETS, TRAINING))


@pytest.fixture(scope="module", autouse=True)
def _short_trainings():
    """The classifier of pixels would take most of the time here, whatever it finds in ten tiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_sample_pixels, "_LEAST_STEPS", 8)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_store, write_bundle, sky) -> Path:
    """A project with tiles, an encoder and the controls of every set, and an untrained bundle of two recipes."""
    folder = tmp_path_factory.mktemp("project")
    params = YAML().load(Path(__file__).parents[2] / "params.yaml")
    params["scales"]["laptop"]["evaluation"]["halvings"] = 20
    YAML().dump(params, folder / "params.yaml")
    for tiles, (size, bands) in SETS.items():
        flux = [{run: sky(run, count, size, len(bands))} for run, count in ((94, 24), (1035, 20), (1043, 20))]
        splits = dict(zip(("train", "validation", "test"), flux, strict=True))
        store = write_store(folder / "data/tiles" / tiles, bands, splits)
        place = folder / "encoders" / tiles
        place.mkdir(parents=True)
        train_encoder(place, store, PARAMS, TRAINING)
        for seed, recipe in enumerate(("gan", "scene")):
            torch.manual_seed(seed)
            run = folder / "models" / tiles / recipe / "0"
            card = write_bundle(run / "bundle", seed, recipe, size, bands, tiles=tiles)
            if recipe == "gan":  # what judges a process takes no whole tiles, and is not kept
                save_discriminator(run, card)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SKYGEN_DEVICE", "cpu")
        for tiles in SETS:
            controls.main(tiles)
    return folder


def save_discriminator(folder: Path, card: cards.Card) -> None:
    network = Discriminator(card.size, len(card.bands), 2, card.row["discriminator_norm"], card.row["logit_slope"])
    cards.save_weights(folder / "discriminator.safetensors", network.state_dict())


@pytest.fixture
def project(made, tmp_path, monkeypatch) -> Path:
    """A copy of `made` of one's own, made the current folder."""
    folder = tmp_path / "project"
    shutil.copytree(made, folder, copy_function=shutil.copy)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SKYGEN_DEVICE", "cpu")
    return folder


@pytest.fixture
def logged(monkeypatch) -> list[tuple[str, str, int, str, dict[str, float], list[Path]]]:
    """What the stage hands to MLflow, which tests of tracking cover."""
    calls: list[tuple[str, str, int, str, dict[str, float], list[Path]]] = []
    monkeypatch.setattr(evaluate.tracking, "log_evaluation", lambda *arguments: calls.append(arguments))
    return calls


@pytest.mark.parametrize(("tiles", "recipe"), [("r64", "gan"), ("gri128", "scene")])
def test_evaluate_writes_both_sections_with_their_origin_and_logs_the_same_values(project, logged, tiles, recipe):
    evaluate.main(tiles, recipe, "0")

    content = read_json(project / "reports" / tiles / recipe / "0/metrics.json")
    without = ("discriminator_accuracy",) if recipe == "scene" else COLOURS
    keys = [key for key in MEANINGS if key not in without] + ["accuracy_own_density"] * (recipe == "scene")
    [(*name, sha256, values, artifacts)] = logged
    assert list(content) == ["encoder", "bundle", "data", "tiles", "fields", "validation", "test"]
    assert content["tiles"] == {"validation": 20, "test": 20}
    assert content["fields"] == {"validation": 1, "test": 1}
    assert content["bundle"] == sha256 == Bundle.load(Path("models") / tiles / recipe / "0/bundle").sha256
    assert content["data"] == read_json(project / "data/tiles" / tiles / "tiles.json")["data_hash"]
    for split in ("validation", "test"):
        assert list(dict(entries(content[split]))) == keys
    assert name == [tiles, recipe, 0]
    assert values["test.sources.number"] == content["test"]["sources"]["number"]["value"]
    assert set(values) == {f"{split}.{key}" for split in ("validation", "test") for key in keys}
    assert {path.name for path in artifacts} == {"metrics.json", "distributions.json", "grid.png", "neighbours.png"}
    for path in artifacts:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert len(picture.convert("L").getcolors()) > 5  # not a blank page


def test_controls_stand_beside_the_values_and_are_measured_once(project, logged):
    evaluate.main("r64", "gan", "0")

    content = read_json(project / "reports/r64/gan/0/metrics.json")
    measured = read_json(project / "reports/r64/controls.json")
    assert content["encoder"] == measured["encoder"]
    for split in ("validation", "test"):
        for key, metric in entries(content[split]):
            if key != "discriminator_accuracy":
                controls = measured[split]["values"][key]
                assert {name: metric[name] for name in controls} == controls, key


def test_generated_and_real_tiles_have_the_same_histograms_to_be_drawn_over_each_other(project, logged):
    evaluate.main("r64", "gan", "0")

    real, fake = (read_json(project / "reports/r64" / place / "distributions.json") for place in (".", "gan/0"))
    assert real["histograms"].keys() == fake["histograms"].keys()
    for name, histogram in real["histograms"].items():
        assert histogram["edges"] == fake["histograms"][name]["edges"], name
    assert real["spectra"]["r"]["cycles"] == fake["spectra"]["r"]["cycles"]
    assert real["spectra"]["r"]["power"] != fake["spectra"]["r"]["power"]


@pytest.mark.parametrize("recipe", ["gan", "scene"])
def test_evaluating_again_gives_the_same_files(project, logged, recipe):
    written = []
    for _ in range(2):
        evaluate.main("r64", recipe, "0")
        written.append([path.read_bytes() for path in logged[-1][-1]])

    assert written[0] == written[1]


def test_controls_of_the_same_tiles_and_encoder_are_the_same_bytes(project):
    before = [(project / "reports/r64" / name).read_bytes() for name in ("controls.json", "distributions.json")]
    controls.main("r64")

    assert before == [(project / "reports/r64" / name).read_bytes() for name in ("controls.json", "distributions.json")]


def test_another_seed_of_the_evaluation_asks_for_new_controls_and_draws_other_tiles(project, logged):
    evaluate.main("r64", "gan", "0")
    params = YAML().load(project / "params.yaml")
    params["evaluation"]["seed"] = 1
    YAML().dump(params, project / "params.yaml")
    with pytest.raises(ValueError, match=r"measured with 0, but evaluation.seed is 1; run the stage controls@r64"):
        evaluate.main("r64", "gan", "0")

    controls.main("r64")
    evaluate.main("r64", "gan", "0")
    (*_, one, _), (*_, other, _) = logged
    assert one.keys() == other.keys()
    for key in ("test.frechet", "validation.frechet", "test.pixel_w1", "test.sky_noise"):
        assert one[key] != other[key], key


def test_an_encoder_trained_anew_asks_for_new_controls(project):
    store = evaluate.TileStore.open(project / "data/tiles/r64")
    train_encoder(project / "encoders/r64", store, PARAMS.model_copy(update={"seed": 1}), TRAINING)

    with pytest.raises(
        ValueError, match=r"controls.json was measured with .* but the encoder of the set .* stage controls@r64"
    ):
        evaluate.main("r64", "gan", "0")


def test_without_controls_the_stage_that_makes_them_is_named(project):
    (project / "reports/r64/controls.json").unlink()

    with pytest.raises(FileNotFoundError, match=r"no controls; run the stage controls@r64"):
        evaluate.main("r64", "gan", "0")
