"""The stage compare on the metrics of runs that were never trained: a project in a temporary folder."""

import re
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines import compare
from skygen.files import read_json, write_json
from skygen.formats.sheets import save_picture, sheet
from tests.report.rows import rows, section

SETS = {"r64": (64, "r"), "gri128": (128, "gri")}
RECIPES = {"gan": 0.4, "improved": 0.3, "scene": 0.2}


def distributions(mean: float, bands: str) -> dict:
    colours = {"g_r": [0.8, 0.9, 1 + mean], "r_i": [0.3, 0.4, 0.5 + mean]} if len(bands) > 1 else {}
    return {
        "histograms": {"number": {"edges": [-0.5, 0.5, 1.5], "share": [mean, 1 - mean]}},
        "spectra": {band: {"cycles": [1, 2], "power": [mean, 2 * mean]} for band in bands},
        "colours": colours,
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_store) -> Path:
    """A project's folder with tiles of noise, what the stages before have written, and what compare makes of it."""
    project = tmp_path_factory.mktemp("project")
    shutil.copy(Path(__file__).parents[2] / "params.yaml", project)
    rng = np.random.default_rng(0)
    for name, (size, bands) in SETS.items():
        flux = [{run: rng.normal(0, 0.03, (6, len(bands), size, size)).astype(np.float32)} for run in (94, 1035, 1043)]
        splits = dict(zip(("train", "validation", "test"), flux, strict=True))
        write_store(project / "data/tiles" / name, bands, splits)
        write_json(project / "reports" / name / "distributions.json", distributions(0.15, bands))
        for recipe, mean in RECIPES.items():
            write_run(project, f"{name}/{recipe}/0", mean, bands, flux[0][94])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        compare.main()
    return project


@pytest.fixture
def project(whole, tmp_path, monkeypatch) -> Path:
    """A copy of the whole project, made the current folder, to change and to compare again."""
    shutil.copytree(whole, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def write_run(project: Path, name: str, mean: float, bands: str, tiles: np.ndarray) -> None:
    reports = project / "reports" / name
    content = {"encoder": "e" * 64, "bundle": "b" * 64, "data": "d" * 64}
    counts = {"tiles": {"validation": 6, "test": 6}, "fields": {"validation": 1, "test": 1}}
    found = rows(mean, bands)
    found["sky_noise"] |= {"mean": 1.0, "exceeds": False}
    found["diversity"] |= {"mean": 0.9}
    sections = {split: section(found) for split in ("validation", "test")}
    write_json(reports / "metrics.json", content | counts | sections)
    write_json(reports / "distributions.json", distributions(mean, bands))
    for picture in ("grid.png", "neighbours.png"):
        save_picture(sheet(tiles, bands), reports / picture)
    row = {"images_seen": 32.0, "validation_score": 2.0, "validation_diversity": 0.8}
    write_json(project / "models" / name / "history.json", [row, {**row, "images_seen": 64.0}])


def test_compare_writes_one_report_as_text_and_as_a_page_with_every_picture(whole):
    reports = whole / "reports"
    champions = read_json(reports / "comparison.json")["champions"]
    text, page = ((reports / f"comparison.{kind}").read_text() for kind in ("md", "html"))
    assert {tiles: champion["recipe"] for tiles, champion in champions.items()} == dict.fromkeys(SETS, "scene")
    assert text.count("the champion is **`scene`**, seed 0.") == 2
    assert "of `gri128` on 6 tiles of 1 field (validation: 6 tiles of 1 field)" in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert all((reports / link).is_file() for link in links)
    assert page.count('src="data:image/') == len(links) == 17
    assert {path.name for path in (reports / "figures").iterdir()} == {
        Path(link).name for link in links if "/" in link
    } - {"neighbours.png"}
    with Image.open(reports / "figures/r64-tiles.png") as sheets, Image.open(reports / "r64/gan/0/grid.png") as grid:
        assert sheets.width > 2 * grid.width
        assert sheets.height > 2 * grid.height


def test_dvc_finds_the_series_of_every_recipe_and_of_real_tiles(whole):
    for tiles, name in product(SETS, ("curves", "spectra", "histograms")):
        rows = read_json(whole / f"reports/plots/{tiles}-{name}.json")
        assert {row["recipe"] for row in rows} == {"real", *RECIPES}
    for tiles, (recipe, mean) in product(SETS, RECIPES.items()):
        assert read_json(whole / f"reports/scores/{tiles}-{recipe}.json")["kernel"] == mean


def test_comparing_again_gives_the_same_files(whole, project):
    compare.main()

    files = [path.relative_to(whole) for path in (whole / "reports").rglob("*") if path.is_file()]
    assert [str(path) for path in files if (whole / path).read_bytes() != (project / path).read_bytes()] == []


def test_several_seeds_show_the_best_one_and_all_its_trainings(project):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("seeds: [0]", "seeds: [0, 1]"))
    tiles = np.zeros((4, 3, 128, 128), np.float32)
    for (name, (_, bands)), (recipe, mean) in product(SETS.items(), RECIPES.items()):
        write_run(project, f"{name}/{recipe}/1", mean - 0.05, bands, tiles[:, : len(bands)])
    compare.main()

    text = (project / "reports/comparison.md").read_text()
    assert "(gri128/scene/1/neighbours.png)" in text
    assert "over 2 seeds" in text
    rows = read_json(project / "reports/plots/r64-curves.json")
    assert {(row["recipe"], row["training"]) for row in rows} == {("real", 0), *product(RECIPES, (0, 1))}


def test_distributions_that_are_missing_are_named(project):
    (project / "reports/r64/gan/0/distributions.json").unlink()

    with pytest.raises(FileNotFoundError, match=r"r64/gan/0/distributions\.json"):
        compare.main()
