"""The catalogue refuses a folder that it cannot serve, and says what is wrong with it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from serving.bundles import ServedBundles
from serving.requests import RequestError
from skygen.files import read_json, write_json
from skygen.gan.card import BundleError

CPU = torch.device("cpu")


@pytest.fixture
def folder(bundles: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundles, tmp_path / "bundles"))


def test_champion_is_found_by_its_title_and_its_recipe(folder: Path) -> None:
    catalogue = ServedBundles.load(folder, CPU)
    assert catalogue.find("r64", "champion") is catalogue.find("r64", "improved")
    assert catalogue.find("r64", "champion") is not catalogue.find("r64", "gan")


def test_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"catalogue\.json: missing; .* SKYGEN_BUNDLES"):
        ServedBundles.load(tmp_path, CPU)


@pytest.mark.parametrize("champions", [{"r64": "nobody"}, {"r65": "gan"}])
def test_champion_without_a_bundle(folder: Path, champions: dict[str, str]) -> None:
    contents = read_json(folder / "catalogue.json")
    write_json(folder / "catalogue.json", contents | {"champions": champions})
    with pytest.raises(BundleError, match=r"no bundle, though .* names it champion"):
        ServedBundles.load(folder, CPU)


def test_missing_bundle(folder: Path) -> None:
    shutil.rmtree(folder / "gri128/scene")
    with pytest.raises(BundleError, match=r"gri128/scene/.*: missing"):
        ServedBundles.load(folder, CPU)


def test_a_whole_bundle_that_is_not_the_packaged_one(folder: Path) -> None:
    card = read_json(folder / "r64/gan/card.json")
    write_json(folder / "r64/gan/card.json", card | {"limit_nmgy": 50.0})
    with pytest.raises(BundleError, match=r"r64/gan: its sha256 is [0-9a-f]{64}, catalogue\.json says [0-9a-f]{64}"):
        ServedBundles.load(folder, CPU)


def test_other_real_tiles_than_those_packaged(folder: Path) -> None:
    real = np.load(folder / "r64/real.npy")
    np.save(folder / "r64/real.npy", real + 1)
    with pytest.raises(BundleError, match=r"r64/real\.npy: not what catalogue\.json says"):
        ServedBundles.load(folder, CPU)


def test_a_bundle_is_found_by_its_hash(folder: Path) -> None:
    catalogue = ServedBundles.load(folder, CPU)
    gan = catalogue.bundles["r64"]["gan"]
    assert catalogue.find("r64", "champion", version=gan.sha256) is gan
    with pytest.raises(RequestError, match="no such bundle of gri128 here"):
        catalogue.find("gri128", "champion", version=gan.sha256)


def test_damaged_bundle(folder: Path) -> None:
    weights = folder / "gri128/gan/generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BundleError, match="gri128/gan"):
        ServedBundles.load(folder, CPU)


def test_every_card_names_its_bundle(folder: Path) -> None:
    cards = ServedBundles.load(folder, CPU).cards()
    assert [(card["tiles"], card["recipe"], card["champion"]) for card in cards] == [
        ("r64", "gan", False),
        ("r64", "improved", True),
        ("gri128", "gan", True),
        ("gri128", "scene", False),
    ]
    assert len({card["sha256"] for card in cards}) == 4
    assert {card["registry_version"] for card in cards} == {None}


def test_a_champion_s_card_has_its_version_in_the_registry(folder: Path) -> None:
    write_json(folder / "catalogue.json", read_json(folder / "catalogue.json") | {"versions": {"r64": "7"}})
    cards = ServedBundles.load(folder, CPU).cards()
    assert [card["registry_version"] for card in cards] == [None, "7", None, None]
