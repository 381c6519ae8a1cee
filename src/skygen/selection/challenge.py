"""A challenge: whether the champion of a comparison takes the place of the one that stands in the registry.

Both are measured anew, on today's validation tiles in the features of today's encoder. The interval of the difference
is a paired bootstrap's (Efron 1979): a resampling takes the same real tiles for both, and of both the generated tiles
of the same numbers, which were observed under the same sky.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skygen.bundle.bundle import Bundle
from skygen.encoder.network import Encoder
from skygen.evaluation.bootstrap import CONFIDENCE
from skygen.evaluation.control_values import weights_of
from skygen.evaluation.controls import held
from skygen.evaluation.generated import generated_tiles, tiles_seed
from skygen.evaluation.scoring import Described, describe, relate
from skygen.files import sha256_folder
from skygen.gan.card import BundleError
from skygen.measure.diversity import MOST_TILES
from skygen.measure.metric import Given, Measure
from skygen.measure.table import measures_of
from skygen.params import ChampionParams
from skygen.provenance import choose_device
from skygen.selection.comparison import GATES, RANKED_BY, flaws
from skygen.tiles.store import TileStore


@dataclass(frozen=True)
class Contender:
    """A bundle that stands, or wants to: what it is called, the hash it was registered by, and where it lies."""

    name: str
    sha256: str
    folder: Path | None  # None where it is lost


@dataclass(frozen=True)
class Verdict:
    """How a challenge ended: whether the challenger gets the alias, why in a sentence, and the numbers behind it."""

    replaces: bool
    reason: str
    numbers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """What a bundle's tiles are like: `frechet` [1 + R], the first the value itself, and the metrics of the gates."""

    frechet: NDArray[np.float64]
    gates: dict[str, float]


class ValidationTiles:
    """The validation tiles of a store in an encoder's features, where every bundle is measured alike."""

    def __init__(self, store: TileStore, encoder: Encoder, seed: int, bootstrap: int) -> None:
        """Take the halves, the generated tiles and the resamplings of an evaluation with `seed`."""
        self.store, self.encoder, self._seed = store, encoder, seed
        self._halves = held(store, "validation", seed)
        self._weights = weights_of(self._halves, bootstrap, seed)
        given = Given(store.card.bands, encoder.encode, train_features=encoder.train_features)
        self._measures = _with(measures_of(given), [RANKED_BY, *GATES])

    def measure(self, bundle: Bundle) -> Scores:
        """What the tiles of `bundle` are like; raises `ValueError` where they are not finite, or of another kind.

        The diversity of scenes is that of clean ones, since fresh noise would hide a collapse.
        """
        fields, seed = self._halves.fields, tiles_seed("validation", self._seed)
        described = describe(generated_tiles(bundle, self.store, fields, seed), self._measures)
        if bundle.card.conditions is not None:
            scenes = generated_tiles(bundle, self.store, fields[:MOST_TILES], seed, "none")
            described |= describe(scenes, _with(self._measures, ["diversity"]))
        fake, real = self._weights
        gates = relate(described, self._real, _with(self._measures, GATES), (fake[:1], real[:1]))
        ranked = relate(described, self._real, _with(self._measures, [RANKED_BY]), self._weights)
        return Scores(ranked[RANKED_BY], {key: float(values[0]) for key, values in gates.items()})

    @cached_property
    def _real(self) -> Described:
        return describe(self.store.split("validation").batch(self._halves.second), self._measures)


def challenge(
    challenger: Contender,
    found: Sequence[str],
    standing: Contender | None,
    validation: ValidationTiles,
    gates: ChampionParams,
) -> Verdict:
    """Whether `challenger`, in which the comparison has `found` these flaws, replaces `standing`.

    Whoever comes first stands, flaws or not: somebody must. After that, what fails a gate takes nobody's place, and
    what passes takes the place of one that is damaged, makes other tiles, fails a gate, or is worse by more than the
    95 % interval of the difference. Raises `BundleError` where the challenger itself cannot be loaded.
    """
    words = " and ".join(found)
    if standing is None:
        return Verdict(True, f"{challenger.name} is the first champion{f', though it {words}' if found else ''}")
    damage = _damage(standing)
    if standing.sha256 == challenger.sha256:
        if damage:
            return Verdict(True, f"{challenger.name} stands already and is registered anew: {damage}")
        return Verdict(False, f"{challenger.name} stands already; nothing changes")
    if found:
        return Verdict(False, f"{challenger.name} does not replace {standing.name}, for it {words}")
    if damage:
        return Verdict(True, f"{challenger.name} replaces {standing.name}, which cannot be loaded: {damage}")
    return _contest(challenger, standing, validation, gates)


def difference(challenger: NDArray[np.float64], standing: NDArray[np.float64]) -> tuple[float, float, float]:
    """The first of `challenger` - `standing` [1 + R] and the 95 % interval of it, which the other rows give.

    The interval is moved by the bootstrap's bias, so that it suits the value.
    """
    value, replicates = float(challenger[0] - standing[0]), challenger[1:] - standing[1:]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail]) - (replicates.mean() - value)
    return value, float(low), float(high)


def _contest(challenger: Contender, standing: Contender, validation: ValidationTiles, gates: ChampionParams) -> Verdict:
    """Who of two bundles is better, both of which can be loaded."""
    replaces = f"{challenger.name} replaces {standing.name}"
    ours = validation.measure(_load(challenger))  # first, so that what goes wrong after it is the other's fault
    numbers = {
        "encoder": validation.encoder.sha256,
        "data": validation.store.card.data_hash,
        "frechet": _text(ours.frechet[0]),
    }
    try:
        theirs = validation.measure(_load(standing))
    except ValueError as error:
        return Verdict(True, f"{replaces}, which cannot be compared: {error}", numbers)
    value, low, high = difference(ours.frechet, theirs.frechet)
    numbers |= {"standing_frechet": _text(theirs.frechet[0]), "difference": _text(value)}
    numbers |= {"interval": f"[{_text(low)}, {_text(high)}]"}
    if found := flaws(theirs.gates, gates):
        return Verdict(True, f"{replaces}, which today {' and '.join(found)}", numbers)
    said = (
        f"{RANKED_BY} {numbers['frechet']} against {numbers['standing_frechet']}, "
        f"a difference of {numbers['difference']} with a 95 % interval of {numbers['interval']}"
    )
    if high < 0:
        return Verdict(True, f"{replaces}: {said}, below 0", numbers)
    return Verdict(False, f"{challenger.name} does not replace {standing.name}: {said}, not below 0", numbers)


def _load(contender: Contender) -> Bundle:
    if contender.folder is None:
        raise BundleError("its files are lost")
    return Bundle.load(contender.folder, choose_device())


def _damage(standing: Contender) -> str:
    """Why a bundle that stands cannot be loaded; nothing where it can."""
    if standing.folder is not None and sha256_folder(standing.folder) != standing.sha256:
        return "its files are not those that were registered"
    try:
        _load(standing)
    except BundleError as error:
        return str(error).replace(f"{standing.folder}/", "")  # a folder that nobody will find again
    return ""


def _text(value: float) -> str:
    return f"{value:.4g}"


def _with(measures: Sequence[Measure], keys: Sequence[str]) -> list[Measure]:
    return [measure for measure in measures if set(measure.keys) & set(keys)]
