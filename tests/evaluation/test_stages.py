"""The stages evaluate and compare on bundles of untrained networks: a project in a temporary folder, no MLflow."""

import re
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pipelines import compare, evaluate
from skygen import bundle
from skygen.evaluation.scoring import entries
from skygen.files import read_json
from skygen.gan.networks import Discriminator
from skygen.measure.table import MEANINGS, metrics
from skygen.sky.conditions import BandConditions

SETS = {"r64": (64, "r"), "gri128": (128, "gri")}
RECIPES = ("gan", "improved", "scene")


@pytest.fixture
def project(tmp_path, monkeypatch, write_store, write_bundle) -> Path:
    """A project's folder, made the current one, with tiles of noise and an untrained bundle of every recipe."""
    shutil.copy(Path(__file__).parents[2] / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKYGEN_DEVICE", "cpu")
    rng = np.random.default_rng(0)
    for name, (size, bands) in SETS.items():
        flux = [{run: rng.normal(0, 0.03, (6, len(bands), size, size)).astype(np.float32)} for run in (94, 1035, 1043)]
        splits = dict(zip(("train", "validation", "test"), flux, strict=True))
        write_store(tmp_path / "data/tiles" / name, bands, splits)
        for seed, recipe in enumerate(RECIPES):
            torch.manual_seed(seed)
            folder = tmp_path / "models" / name / recipe / "0"
            card = write_bundle(folder / "bundle", seed, recipe, size, bands, tiles=name)
            save_discriminator(folder, card)
    return tmp_path


def save_discriminator(folder: Path, card: bundle.Card) -> None:
    network = Discriminator(card.size, len(card.bands), 2, card.row["norm"], card.row["logit_slope"])
    bundle.save_weights(folder / "discriminator.safetensors", network.state_dict())


@pytest.fixture
def logged(monkeypatch) -> list[tuple[str, str, int, bundle.Bundle, dict[str, float], list[Path]]]:
    """What the stage hands to MLflow, which tests of tracking cover."""
    calls: list[tuple[str, str, int, bundle.Bundle, dict[str, float], list[Path]]] = []
    monkeypatch.setattr(evaluate.tracking, "log_evaluation", lambda *arguments: calls.append(arguments))
    return calls


@pytest.mark.parametrize("recipe", ["gan", "scene"])
@pytest.mark.parametrize("tiles", SETS)
def test_evaluate_writes_both_sections_and_logs_the_same_values(project, logged, tiles, recipe):
    evaluate.main(tiles, recipe, "0")

    content = read_json(project / "reports" / tiles / recipe / "0/metrics.json")
    keys = [key for key in MEANINGS if tiles == "gri128" or key not in ("sources.g_r", "sources.r_i")]
    for section in content.values():
        assert list(dict(entries(section))) == keys
    [(*name, _, values, artifacts)] = logged
    assert name == [tiles, recipe, 0]
    assert values["test.sources.number"] == content["test"]["sources"]["number"]["value"]
    assert set(values) == {f"{split}.{key}" for split in ("validation", "test") for key in keys}
    assert all(path.is_file() for path in artifacts)


def test_scenes_are_seen_under_the_conditions_of_the_tiles_they_are_compared_with(tmp_path, write_fields, write_bundle):
    """Dark scenes, real tiles of noise in two fields that differ by five times: the noise agrees, and all is equal."""
    rng, levels = np.random.default_rng(1), {"94-1-12": 0.02, "1035-6-17": 0.1}
    conditions = {
        field: [BandConditions(sky_noise_nmgy=level, nmgy_per_electron=0.001, psf_fwhm_arcsec=1.3)]
        for field, level in levels.items()
    }
    tiles = {field: rng.normal(0, level, (24, 1, 64, 64)).astype(np.float32) for field, level in levels.items()}
    splits = {"train": tiles, "validation": tiles, "test": tiles}
    store = write_fields(tmp_path / "r64", "r", splits, conditions=conditions)
    card = write_bundle(tmp_path / "bundle", recipe="scene")
    weights = load_file(tmp_path / "bundle" / bundle.WEIGHTS)
    last = max(int(name.split(".")[1]) for name in weights)
    weights[f"layers.{last}.bias"] -= 1000  # softplus makes it nothing
    bundle.save(tmp_path / "dark", weights, card)

    dark = bundle.Bundle.load(tmp_path / "dark")
    fake, section = evaluate.measure(dark, store, "test", metrics("r"), 20)
    values = {key: metric["value"] for key, metric in entries(section)}

    assert fake.shape == (24, 1, 64, 64)
    assert values["sky_noise"] == pytest.approx(1, abs=0.02)
    assert values["pixel_w1"] < 0.002
    assert values["power_spectrum"] < 0.15
    assert values["diversity"] == section["diversity"]["collapsed"] == 0
    assert section["sky_noise"]["collapsed"] == pytest.approx(1, abs=0.02)
    assert section["pixel_w1"]["collapsed"] < 0.002


@pytest.mark.parametrize("recipe", ["gan", "scene"])
def test_evaluating_again_gives_the_same_files(project, logged, recipe):
    written = []
    for _ in range(2):
        evaluate.main("r64", recipe, "0")
        written.append([path.read_bytes() for path in logged[-1][-1]])

    assert written[0] == written[1]


def test_compare_writes_tables_figures_and_a_champion_a_set(project, logged):
    for tiles, recipe in product(SETS, RECIPES):
        evaluate.main(tiles, recipe, "0")
    compare.main()

    reports = project / "reports"
    champions = read_json(reports / "comparison.json")["champions"]
    text = (reports / "comparison.md").read_text()
    assert set(champions) == set(SETS)
    assert all(f"Champion: **`{champion['recipe']}`**" in text for champion in champions.values())
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (reports / link).is_file(), link
    with Image.open(reports / "figures/r64.png") as page, Image.open(reports / "r64/gan/0/grid.png") as grid:
        assert page.width > 2 * grid.width
        assert page.height > 2 * grid.height
