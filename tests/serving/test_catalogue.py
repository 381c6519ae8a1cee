"""The catalogue refuses a folder that it cannot serve, and says what is wrong with it."""

import shutil
from pathlib import Path

import pytest
import torch

from serving.catalogue import Catalogue
from skygen.bundle import BundleError
from skygen.files import write_json

CPU = torch.device("cpu")


@pytest.fixture
def folder(bundles: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundles, tmp_path / "bundles"))


def test_champion_is_found_by_its_title_and_its_recipe(folder: Path) -> None:
    catalogue = Catalogue.load(folder, CPU)
    assert catalogue.find("r64", "champion") is catalogue.find("r64", "improved")
    assert catalogue.find("r64", "champion") is not catalogue.find("r64", "gan")


def test_no_champions_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"champions\.json: missing; .* SKYGEN_BUNDLES"):
        Catalogue.load(tmp_path, CPU)


@pytest.mark.parametrize("champions", [{"r64": "nobody"}, {"r65": "gan"}])
def test_champion_without_a_bundle(folder: Path, champions: dict[str, str]) -> None:
    write_json(folder / "champions.json", champions)
    with pytest.raises(FileNotFoundError, match=r"no bundle, though .* names it champion"):
        Catalogue.load(folder, CPU)


def test_damaged_bundle(folder: Path) -> None:
    weights = folder / "gri128/gan/generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BundleError, match="gri128/gan"):
        Catalogue.load(folder, CPU)


def test_every_card_names_its_bundle(folder: Path) -> None:
    cards = Catalogue.load(folder, CPU).cards()
    assert [(card["tiles"], card["recipe"], card["champion"]) for card in cards] == [
        ("r64", "gan", False),
        ("r64", "improved", True),
        ("gri128", "gan", True),
        ("gri128", "scene", False),
    ]
    assert len({card["sha256"] for card in cards}) == 4
