"""`skygen paper --figures` over tiny tiles and bundles that nobody trained."""

import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from ruamel.yaml import YAML

from skygen.cli import main
from skygen.experiments import figures
from skygen.files import read_json
from skygen.formats.png import contact_sheet
from skygen.params import load
from skygen.tiles.store import TileStore
from tests.conftest import ROOT

SIZES = {"r64": (64, ["r"]), "gri128": (128, ["g", "r", "i"])}
OF_TILES = ("06", "07", "10", "11", "12", "13", "14")


def draw():
    return CliRunner().invoke(main, ["paper", "--figures"])


@pytest.fixture(scope="module")
def clone(tmp_path_factory, write_fields, write_bundle):
    """A folder with both tile sets, all models and the experiments, and what the command said in it."""
    folder, rng = tmp_path_factory.mktemp("clone"), np.random.default_rng(0)
    for name, (size, bands) in SIZES.items():
        tiles = {
            split: {f"94-1-{field}": rng.normal(0, 0.03, (count, len(bands), size, size)).astype(np.float32)}
            for field, (split, count) in enumerate({"train": 70, "validation": 34, "test": 12}.items())
        }
        tiles["test"]["94-1-2"][:, :, 20:24, 30:34] += 5.0
        write_fields(folder / "data/tiles" / name, bands, tiles)
        for recipe in ("gan", "improved", "scene"):
            write_bundle(folder / f"models/{name}/{recipe}/0/bundle", recipe=recipe, tiles=name, size=size, bands=bands)
    (folder / "experiments").symlink_to(ROOT / "experiments")
    params = YAML().load(ROOT / "params.yaml")
    params["scales"]["laptop"]["training"]["r64"].update(batch=4, width=2)
    YAML().dump(params, folder / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(figures, "_ITERATIONS", 4)
        patch.setattr(figures, "_EVERY", 2)
        patch.setattr(figures, "_SHOWN", (2, 4))
        yield folder, draw()


@pytest.fixture
def drawn(clone):
    """The folder of the figures."""
    folder, said = clone
    assert said.exit_code == 0, said.output
    return folder / "reports/paper/figures"


def test_every_figure_of_the_paper_is_there_with_a_caption(drawn):
    captions = read_json(drawn / "captions.json")
    assert {path.name for path in drawn.iterdir()} == {*captions, "captions.json"}
    numbers = {name[7:9] for name in captions if name.startswith("figure-")}
    assert numbers == {"04", "05", *OF_TILES}
    assert {"figures-04-05.svg", "figures-08-09.svg", "section-3.3.svg"} < set(captions)
    for name, caption in captions.items():
        assert "scale laptop" in caption, name
        assert "commit" in caption, name
    assert "recipe improved, seed 0" in captions["figure-10.png"]
    assert "recipe gan, seed 0" in captions["figure-11.png"]


def test_real_tiles_are_shown_in_the_look_of_all_pictures(drawn, clone):
    store = TileStore.open(clone[0] / "data/tiles/gri128")
    expected = contact_sheet(store.split("test").array(), store.card.bands, 8)
    with Image.open(drawn / "real-gri128.png") as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(expected))


def test_a_mosaic_has_64_tiles_and_no_more_than_there_are(drawn):
    with Image.open(drawn / "figure-06.png") as picture:
        assert picture.size == (8 * 66 - 2, 8 * 66 - 2)
    with Image.open(drawn / "figure-12.png") as picture:
        assert picture.size == (8 * 66 - 2, 2 * 66 - 2)


def test_first_weights_and_latents_are_crossed(drawn):
    first, second = ((drawn / f"figure-{number}.png").read_bytes() for number in ("04", "05"))
    assert first != second
    with Image.open(drawn / "figure-04.png") as picture:  # two iterations, both latents, 4 x 4 tiles each
        assert picture.size == (2 * (2 * 262 + 16) + 16, 2 * (2 * 262 + 40) + 16)


def test_rates_are_those_of_eq_3(clone, monkeypatch):
    """As the paper prints them, whatever the scale multiplies them by; an epoch is 70 tiles, an iteration sees 20."""
    monkeypatch.chdir(clone[0])
    params = load(Path("params.yaml"))
    figure, caption = figures._Paper(params).figures["figures-08-09.svg"]()
    rates = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert [rates["s_dropout_iteration"][done] for done in (0, 1, 9)] == pytest.approx([0.5, 0.375, 0.475])
    assert [rates["s_dropout_epoch"][done] for done in (0, 3, 4, 7)] == pytest.approx([0.5, 0.5, 0.375, 5 / 12])
    assert set(rates["fixed"]) == {0.5}
    assert set(rates["none"]) == {0.0}
    assert f"before they are multiplied by {params.chosen.training['r64'].dropout_factor:g}" in caption


def test_the_page_names_every_figure_and_its_pictures_are_made_from_them(drawn, tmp_path, capsys):
    page, captions = (ROOT / "docs/paper.md").read_text(encoding="utf-8"), read_json(drawn / "captions.json")
    made = runpy.run_path(str(ROOT / "docs/pictures/paper.py"))
    for name in made["ARMS"]:  # which the experiments draw
        Image.new("RGB", (4, 4)).save(drawn.parent / f"{name}.png")
    made["main"](drawn.parent, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(re.findall(r"\(pictures/(paper-.*?)\)", page))
    assert [name for name in captions if name not in page] == []
    assert f"paper-r64.jpg: {captions['figure-10.png']}" in capsys.readouterr().out.splitlines()


def test_what_is_missing_or_damaged_is_named_and_the_rest_drawn(drawn, clone):
    missing, weights = clone[0] / "models/r64/improved", clone[0] / "models/gri128/gan/0/bundle/generator.safetensors"
    missing.rename(clone[0] / "away")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    try:
        said = draw()
        assert said.exit_code == 1
        assert "without figure-10.png: models/r64/improved/0/bundle: no such folder; make repro" in said.output
        assert "without figure-14.png: models/gri128/gan/0/bundle/generator.safetensors: " in said.output
        assert "figures missing: 2" in said.output
        assert {path.name for path in drawn.iterdir()} == {*read_json(drawn / "captions.json"), "captions.json"}
        assert not (drawn / "figure-10.png").exists()
        assert (drawn / "figure-11.png").exists()
    finally:
        (clone[0] / "away").rename(missing)
        weights.write_bytes(whole)


def test_figures_stand_alone():
    said = CliRunner().invoke(main, ["paper", "table1", "--figures"])
    assert said.exit_code == 2
    assert "--figures stands alone" in said.output


def test_without_tiles_there_is_a_sentence(drawn, clone, tmp_path, monkeypatch):
    shutil.copy(clone[0] / "params.yaml", tmp_path)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)
    said = draw()
    assert said.exit_code == 1
    assert "data/tiles/r64/tiles.json: no tile store here" in said.output
    assert (tmp_path / "reports/paper/figures/section-3.3.svg").is_file()
