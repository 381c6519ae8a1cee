"""Who becomes champion: the comparison's best challenges, people promote, refuse and roll back.

All of it happens within `tracking.contest`, and all of it is in the audit.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from skygen import tracking
from skygen.bundle.bundle import Bundle
from skygen.encoder.features import features_path, read_features
from skygen.encoder.network import load_encoder
from skygen.params import Params, load
from skygen.provenance import choose_device
from skygen.selection.challenge import Contender, ValidationTiles, Verdict, challenge
from skygen.tiles.store import TileStore

PARAMS = Path("params.yaml")


@dataclass(frozen=True)
class Outcome:
    """Whether a version is champion now, and why in a sentence."""

    promoted: bool
    said: str


def challenge_champion(tiles: str, comparison: dict[str, Any], sha256: str, params: Params) -> str:
    """Register the best of a tile set's comparison, whose bundle is `sha256`; what became of its challenge, in words.

    One that was refused or rolled back does not challenge; `NoChampionError` where no champion stands either. Raises
    `ConnectionError` where the registry does not answer: then the alias is where it was.
    """
    champion = comparison["champions"][tiles]
    recipe, seed = champion["recipe"], champion["seed"]
    name, folder = f"{recipe}, seed {seed}", bundle_folder(tiles, recipe, seed)
    with TemporaryDirectory(prefix="skygen-standing-") as temporary:
        standing = tracking.standing_champion(tiles, Path(temporary))
        bar = tracking.registered(tiles).audit.bar(sha256)
        if bar is not None and (standing is None or standing.sha256 != sha256):
            return _barred(name, tiles, bar, standing)
        over = standing.version if standing else None
        verdict = challenge(
            Contender(name, sha256, folder),
            champion["flaws"],
            _contender(standing),
            validation_of(tiles, params, comparison["encoder"][tiles]),
            params.evaluation.champion,
        )
    if standing and standing.sha256 == sha256 and not verdict.replaces:
        return verdict.reason
    version = tracking.register(tiles, recipe, seed, folder, sha256, _tags(verdict, over))
    why = "the best of the comparison"
    if verdict.replaces:
        tracking.promote(tiles, version, over, why, verdict.reason)
    else:
        tracking.write_entry(tiles, tracking.NOT_PROMOTED, version, over, why, verdict.reason)
    return f"{verdict.reason} (version {version})"


def promote_version(tiles: str, version: str, why: str, *, anyway: bool = False) -> Outcome:
    """Promote a version where it is better than the champion, measured on the validation tiles here, or `anyway`.

    Raises `ValueError` where there is no such version, its files are not whole, or the two cannot be compared here;
    `ConnectionError` and `BlockingIOError` as `tracking.promote`.
    """
    why = tracking.checked_why(why)
    with tracking.contest(), TemporaryDirectory(prefix="skygen-promote-") as temporary:
        held = tracking.registered(tiles)
        chosen = held.find(version)
        if version == held.standing:
            return Outcome(True, f"{chosen} stands already; nothing changes")
        folder = tracking.fetch_version(tiles, chosen, Path(temporary) / "chosen")
        Bundle.load(folder, engine="eager")
        verdict = _compare(tiles, Contender(str(chosen), chosen.sha256, folder), Path(temporary), anyway)
        tracking.tag_challenge(tiles, version, _tags(verdict, held.standing))
        if verdict.replaces or anyway:
            tracking.promote(tiles, version, held.standing, why, verdict.reason, anyway=not verdict.replaces)
            return Outcome(True, f"{chosen} is champion of {tiles} now: {verdict.reason}")
        tracking.write_entry(tiles, tracking.NOT_PROMOTED, version, held.standing, why, verdict.reason)
        return Outcome(False, verdict.reason)


def refuse_version(tiles: str, version: str, why: str) -> str:
    """See to it that the stage package never promotes the bundle of a version; what was done, in words.

    Raises `ValueError` where there is no such version or it stands; `ConnectionError` and `BlockingIOError` as
    `tracking.promote`.
    """
    why = tracking.checked_why(why)
    with tracking.contest():
        held = tracking.registered(tiles)
        chosen, champion = held.find(version), held.champion
        if champion is not None and champion.sha256 == chosen.sha256:
            raise ValueError(f"{chosen} is the champion of {tiles}; roll back instead: skygen rollback {tiles} --why …")
        tracking.write_entry(tiles, tracking.REFUSED, version, held.standing, why)
    return f"{chosen} of {tiles} is refused: the stage package will not promote it, skygen promote may"


def roll_back(tiles: str, why: str) -> str:
    """Give the alias back to the champion that stood before, and refuse the one that stands; what was done, in words.

    Raises `ValueError` where none stood before, or its files are not whole; `ConnectionError` and `BlockingIOError` as
    `tracking.promote`. Then nothing changes.
    """
    why = tracking.checked_why(why)
    with tracking.contest(), TemporaryDirectory(prefix="skygen-rollback-") as temporary:
        held = tracking.registered(tiles)
        champion, before = held.champion, held.before()
        if champion is None:
            raise ValueError(f"{tiles} has no champion that could be rolled back; see skygen models")
        if before is None:
            raise ValueError(
                f"nothing stood before {champion} of {tiles} that is there and was not refused; promote another "
                f"version: skygen promote {tiles} VERSION --why …"
            )
        Bundle.load(tracking.fetch_version(tiles, before, Path(temporary)), engine="eager")
        tracking.roll_back(tiles, champion.version, before.version, why)
    return f"{before} is champion of {tiles} again; {champion} is rolled back"


def validation_of(tiles: str, params: Params, encoder_sha256: str | None = None) -> ValidationTiles:
    """Where bundles of a tile set meet; raises `ValueError` where the comparison was made with another encoder."""
    store = TileStore.open(Path("data/tiles") / tiles)
    encoder = load_encoder(store, choose_device())
    if encoder_sha256 not in (None, encoder.sha256):
        raise ValueError(
            f"reports/comparison.json was made with the encoder {encoder_sha256}, that of {tiles} is now "
            f"{encoder.sha256}; run dvc repro"
        )
    train_features = read_features(features_path(tiles), encoder, store)
    return ValidationTiles(store, encoder, train_features, params.evaluation.seed, params.chosen.evaluation.halvings)


def bundle_folder(tiles: str, recipe: str, seed: int) -> Path:
    """Where the training of a tile set, recipe and seed left its bundle."""
    return Path("models") / tiles / recipe / str(seed) / "bundle"


def _compare(tiles: str, chosen: Contender, folder: Path, anyway: bool) -> Verdict:
    """The verdict of the champion rule on `chosen`; where they cannot be compared, that, if it is promoted `anyway`."""
    try:
        params = load(PARAMS)
        standing = tracking.standing_champion(tiles, folder / "standing")
        validation = validation_of(tiles, params)
        return challenge(chosen, None, _contender(standing), validation, params.evaluation.champion)
    except (OSError, ValueError) as error:
        if not anyway:
            raise ValueError(f"{chosen.name} cannot be compared here: {error}; --anyway promotes without") from error
        return Verdict(False, f"not compared: {error}")


def _contender(standing: tracking.Standing | None) -> Contender | None:
    if standing is None:
        return None
    return Contender(f"version {standing.version} ({standing.name})", standing.sha256, standing.folder)


def _barred(name: str, tiles: str, bar: tracking.Entry, standing: tracking.Standing | None) -> str:
    said = f"{name} was {bar.action} as version {bar.version} by {bar.who} ({bar.why})"
    if standing is None:
        raise tracking.NoChampionError(
            f"{said}, and no champion stands; promote a version: skygen promote {tiles} VERSION --why …"
        )
    return f"{said} and does not challenge version {standing.version} ({standing.name})"


def _tags(verdict: Verdict, over: str | None) -> dict[str, str]:
    return {"decision": verdict.reason, "standing_version": over or "none", **verdict.numbers}
