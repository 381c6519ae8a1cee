"""A challenge: whether the champion of a comparison takes the place of the one that stands in the registry.

Both are drawn and measured anew, on today's validation tiles in the features of today's encoder. The interval of the
difference is over halvings that both share: each compares the same real tiles with the generated tiles of the same
numbers, which were observed under the same sky.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skygen.bundle.bundle import Bundle
from skygen.encoder.network import Encoder
from skygen.evaluation.bundle import draw
from skygen.evaluation.controls import held_out
from skygen.evaluation.halvings import interval
from skygen.evaluation.scoring import Described, describe, relate
from skygen.files import sha256_folder
from skygen.gan.card import BundleError
from skygen.measure.metric import Given, Values
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
    """What a bundle's tiles are like: what they are ranked by, halving by halving [R], and the metrics of the gates."""

    ranked: Values
    gates: dict[str, float]


class ValidationTiles:
    """The validation tiles of a store in an encoder's features, where every bundle is measured alike."""

    def __init__(
        self, store: TileStore, encoder: Encoder, train_features: NDArray[np.float32], seed: int, halvings: int
    ) -> None:
        """Take the halvings and the generated tiles of an evaluation with `seed`."""
        self.store, self.encoder, self._seed = store, encoder, seed
        self._held = held_out(store, "validation", seed, halvings)
        given = Given(store.card.bands, encoder.encode, train_features=train_features)
        self._measures = [measure for measure in measures_of(given) if {RANKED_BY, *GATES} & set(measure.keys)]
        self._known: dict[str, Scores] = {}  # by the bundle's hash

    def measure(self, bundle: Bundle) -> Scores:
        """What the tiles of `bundle` are like; raises `ValueError` where they are not finite, or of another kind."""
        if bundle.sha256 not in self._known:
            _, described = draw(bundle, self.store, self._held, self._measures, self._seed)
            found = relate(described, self._real, self._measures, self._held.weights)
            gates = {key: float(found[key].mean()) for key in GATES}
            self._known[bundle.sha256] = Scores(found[RANKED_BY], gates)
        return self._known[bundle.sha256]

    @cached_property
    def _real(self) -> Described:
        return describe(self.store.split("validation").array(), self._measures)


def challenge(
    challenger: Contender,
    found: Sequence[str] | None,
    standing: Contender | None,
    validation: ValidationTiles,
    gates: ChampionParams,
) -> Verdict:
    """Whether `challenger`, in which the comparison has `found` these flaws, replaces `standing`; None: it is measured.

    Whoever comes first stands, flaws or not: somebody must. After that, what fails a gate takes nobody's place, and
    what passes takes the place of one that is damaged, makes other tiles, fails a gate, or is worse by more than the
    95 % interval of the difference. Raises `BundleError` where the challenger itself cannot be loaded.
    """
    if found is None:
        found = flaws(validation.measure(_load(challenger)).gates, gates)
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


def _contest(challenger: Contender, standing: Contender, validation: ValidationTiles, gates: ChampionParams) -> Verdict:
    """Who of two bundles is better, both of which can be loaded."""
    replaces = f"{challenger.name} replaces {standing.name}"
    ours = validation.measure(_load(challenger))  # first, so that what goes wrong after it is the other's fault
    numbers = {
        "encoder": validation.encoder.sha256,
        "data": validation.store.card.data_hash,
        RANKED_BY: _text(ours.ranked.mean()),
    }
    try:
        theirs = validation.measure(_load(standing))
    except ValueError as error:
        return Verdict(True, f"{replaces}, which cannot be compared: {error}", numbers)
    difference = ours.ranked - theirs.ranked
    low, high = interval(difference)
    numbers |= {f"standing_{RANKED_BY}": _text(theirs.ranked.mean()), "difference": _text(difference.mean())}
    numbers |= {"interval": f"[{_text(low)}, {_text(high)}]"}
    if found := flaws(theirs.gates, gates):
        return Verdict(True, f"{replaces}, which today {' and '.join(found)}", numbers)
    said = (
        f"{RANKED_BY} {numbers[RANKED_BY]} against {numbers[f'standing_{RANKED_BY}']}, "
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
