"""A project in the folder of the store: a small sky, an encoder that knows it, and bundles whose ranking is known."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipelines import package
from skygen.bundle.bundle import Bundle
from skygen.encoder import network
from skygen.encoder.features import features_path, write_features
from skygen.files import sha256_folder
from skygen.params import ChampionParams
from skygen.selection import promotion
from skygen.selection.comparison import flaws
from tests.selection.altered import altered, brighten, collapse, deal_anew, write_sky

CHANGES = {"dealt": deal_anew, "bright": brighten, "flat": collapse}
GATES = ChampionParams(least_diversity=0.3, most_memorised=0.9, sky_noise=[0.9, 1.1])
PARAMS = SimpleNamespace(
    evaluation=SimpleNamespace(seed=0, champion=GATES),
    chosen=SimpleNamespace(evaluation=SimpleNamespace(halvings=100)),
)


def write_encoder(folder, store):
    """An encoder of random weights, which sees as much as any."""
    torch.manual_seed(0)
    card = network.EncoderCard(
        tiles="r64",
        size=64,
        bands=["r"],
        features=8,
        width=2,
        iterations=1,
        batch=2,
        lr=1e-3,
        seed=0,
        properties=["none"],
        train_fields=["900001-1-11"],
        train_tiles=len(store.split("train")),
        data_hash=store.card.data_hash,
    )
    network.save(folder, network.Frozen(network.Network(1, 2, 8), 8), card)
    return network.Encoder.load(folder)


@pytest.fixture(scope="session")
def project(store, write_bundle, write_fields):
    """The folder of the project, where the store is too, with the shipped params.yaml."""
    write_bundle(store / "models/r64/perfect/0/bundle")
    sky, *_ = write_sky(store / "data/tiles/r64", store / "models/r64/perfect/0/bundle", write_fields)
    write_features(store / features_path("r64"), write_encoder(store / "encoders/r64", sky), sky)
    for name, change in CHANGES.items():
        altered(store / "models/r64/perfect/0/bundle", store / f"models/r64/{name}/0/bundle", change)
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", store / "params.yaml")
    return store


@pytest.fixture
def registry(client):
    """The store's client, with an empty registry."""
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
    return client


@pytest.fixture(scope="module")
def found(project):
    """The hash of the encoder, and by recipe the flaws that the comparison has found."""
    sha256 = network.Encoder.load(project / "encoders/r64").sha256
    validation = promotion.validation_of("r64", PARAMS, sha256)
    bundles = {recipe: Bundle.load(promotion.bundle_folder("r64", recipe, 0)) for recipe in ("perfect", *CHANGES)}
    return sha256, {recipe: flaws(validation.measure(bundle).gates, GATES) for recipe, bundle in bundles.items()}


@pytest.fixture
def packaged(found, capsys):
    """A function: what the stage prints of a comparison that a recipe has won."""

    def run(recipe):
        eyes, flaws_of = found
        champions = {"r64": {"recipe": recipe, "seed": 0, "flaws": flaws_of[recipe]}}
        hashes = {f"r64/{recipe}": sha256_folder(promotion.bundle_folder("r64", recipe, 0))}
        package.register_all({"champions": champions, "encoder": {"r64": eyes}}, hashes, PARAMS)
        return capsys.readouterr().out.strip()

    return run
