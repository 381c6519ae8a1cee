"""The champions of a comparison challenge those of the registry, which gives the alias to whoever is better."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from skygen import tracking
from skygen.encoder.features import features_path, read_features
from skygen.encoder.network import load_encoder
from skygen.params import Params
from skygen.provenance import choose_device
from skygen.selection.challenge import Contender, ValidationTiles, challenge
from skygen.tiles.store import TileStore


def challenge_champion(tiles: str, comparison: dict[str, Any], sha256: str, params: Params) -> str:
    """Register the champion of a tile set, whose bundle's hash is `sha256`; what became of its challenge, in words.

    Raises `ConnectionError` where the registry does not answer: then the alias is where it was.
    """
    champion = comparison["champions"][tiles]
    recipe, seed = champion["recipe"], champion["seed"]
    folder = bundle_folder(tiles, recipe, seed)
    with TemporaryDirectory(prefix="skygen-standing-") as temporary:
        standing = tracking.standing_champion(tiles, Path(temporary))
        over = standing.version if standing else None
        challenger = Contender(f"{recipe}, seed {seed}", sha256, folder)
        other = Contender(f"version {over} ({standing.name})", standing.sha256, standing.folder) if standing else None
        validation = validation_of(tiles, comparison, params)
        verdict = challenge(challenger, champion["flaws"], other, validation, params.evaluation.champion)
    if standing and standing.sha256 == sha256 and not verdict.replaces:
        return verdict.reason
    tags = {"decision": verdict.reason, "standing_version": over or "none", **verdict.numbers}
    version = tracking.register(tiles, recipe, seed, folder, sha256, tags)
    if verdict.replaces:
        tracking.promote(tiles, version, over)
    return f"{verdict.reason} (version {version})"


def validation_of(tiles: str, comparison: dict[str, Any], params: Params) -> ValidationTiles:
    """Where bundles of a tile set meet; raises `ValueError` where the comparison was made with another encoder."""
    store = TileStore.open(Path("data/tiles") / tiles)
    encoder = load_encoder(store, choose_device())
    if encoder.sha256 != comparison["encoder"][tiles]:
        raise ValueError(
            f"reports/comparison.json was made with the encoder {comparison['encoder'][tiles]}, that of {tiles} is now "
            f"{encoder.sha256}; run dvc repro"
        )
    train_features = read_features(features_path(tiles), encoder, store)
    return ValidationTiles(store, encoder, train_features, params.evaluation.seed, params.chosen.evaluation.halvings)


def bundle_folder(tiles: str, recipe: str, seed: int) -> Path:
    """Where the training of a tile set, recipe and seed left its bundle."""
    return Path("models") / tiles / recipe / str(seed) / "bundle"
