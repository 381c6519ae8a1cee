"""The stages evaluate and compare on bundles of untrained networks: a project in a temporary folder, no MLflow."""

import re
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import compare, evaluate
from skygen import bundle
from skygen.evaluation.scoring import entries
from skygen.files import read_json
from skygen.gan.networks import Discriminator, Generator
from skygen.measure.table import MEANINGS
from skygen.provenance import versions

SETS = {"r64": (64, "r"), "gri128": (128, "gri")}
RECIPES = ("gan", "improved")


@pytest.fixture
def project(tmp_path, monkeypatch, write_store) -> Path:
    """A project's folder, made the current one, with tiles of noise and an untrained bundle of every recipe."""
    shutil.copy(Path(__file__).parents[2] / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKYGEN_DEVICE", "cpu")
    rng = np.random.default_rng(0)
    for name, (size, bands) in SETS.items():
        flux = [{run: rng.normal(0, 0.03, (6, len(bands), size, size)).astype(np.float32)} for run in (94, 1035)]
        write_store(tmp_path / "data/tiles" / name, bands, {"validation": flux[0], "test": flux[1]})
        for seed, recipe in enumerate(RECIPES):
            torch.manual_seed(seed)
            save_models(tmp_path / "models" / name / recipe / "0", name, recipe, size, bands)
    return tmp_path


def save_models(folder: Path, tiles: str, recipe: str, size: int, bands: str) -> None:
    card = bundle.Card(
        tiles=tiles,
        recipe=recipe,
        seed=0,
        scale="laptop",
        row={"logit_slope": 0.2},
        size=size,
        bands=list(bands),
        softening_nmgy=0.2,
        limit_nmgy=100.0,
        pixel_scale_arcsec=0.396,
        latent_size=8,
        latents="normal",
        width=2,
        iteration=0,
        images_seen=0,
        validation={},
        data_hash="",
        commit="unknown",
        trained_at="2026-11-23T00:00:00+00:00",
        versions=versions(),
    )
    bundle.save(folder / "bundle", Generator(size, len(bands), 2, 8).state_dict(), card)
    bundle.save_weights(folder / "discriminator.safetensors", Discriminator(size, len(bands), 2, 0.2).state_dict())


@pytest.fixture
def logged(monkeypatch) -> list[tuple[str, str, int, bundle.Bundle, dict[str, float], list[Path]]]:
    """What the stage hands to MLflow, which tests of tracking cover."""
    calls: list[tuple[str, str, int, bundle.Bundle, dict[str, float], list[Path]]] = []
    monkeypatch.setattr(evaluate.tracking, "log_evaluation", lambda *arguments: calls.append(arguments))
    return calls


@pytest.mark.parametrize("tiles", SETS)
def test_evaluate_writes_both_sections_and_logs_the_same_values(project, logged, tiles):
    evaluate.main(tiles, "gan", "0")

    content = read_json(project / "reports" / tiles / "gan/0/metrics.json")
    keys = [key for key in MEANINGS if tiles == "gri128" or key not in ("sources.g_r", "sources.r_i")]
    for section in content.values():
        assert set(dict(entries(section))) == set(keys)
    [(*name, _, values, artifacts)] = logged
    assert name == [tiles, "gan", 0]
    assert values["test.sources.number"] == content["test"]["sources"]["number"]["value"]
    assert set(values) == {f"{split}.{key}" for split in ("validation", "test") for key in keys}
    assert all(path.is_file() for path in artifacts)


def test_evaluating_again_gives_the_same_files(project, logged):
    written = []
    for _ in range(2):
        evaluate.main("r64", "gan", "0")
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
    with Image.open(reports / "figures/r64.png") as row, Image.open(reports / "r64/gan/0/grid.png") as grid:
        assert row.width > 3 * grid.width
