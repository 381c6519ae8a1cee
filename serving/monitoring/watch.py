"""The thread that watches a worker while it serves: its device by canaries, what it draws, and its memory.

It has the priority of any other: one that yields its core while it holds Python's lock would halt every request.
"""

import hashlib
import logging
import math
import threading
import time
from collections.abc import Iterator
from typing import Final

from serving.bundles import ServedBundles
from serving.monitoring import metrics, quality
from serving.monitoring.health import Health
from serving.requests import CHAMPION
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile
from skygen.formats.encode import MEDIA_TYPES

EVERY_SECONDS: Final = 5.0
CANARY_SECONDS: Final = 60.0
CANARY: Final = Tile(seed=2**62 + 1)
DIGITS: Final = 12  # of a hash in a label

_log = logging.getLogger(__name__)


def start(catalogue: ServedBundles, health: Health | None = None) -> "Watch":
    """The thread that watches a worker's bundles, started once their canaries are drawn and the real tiles measured.

    `health` is told how every canary ends.
    """
    metrics.forget_dead_workers()
    metrics.WORKER_STARTS.inc()
    for gauge in (metrics.IN_FLIGHT, metrics.QUEUED_TILES):
        gauge.set(0)  # a process may have the number, and so the files, of a dead one
    for bundle in _bundles(catalogue):
        _announce(bundle, catalogue)
    for tiles, real in catalogue.real.items():
        quality.measure_real(tiles, catalogue.find(tiles, CHAMPION).card.bands, real.flux)
    watch = Watch(catalogue, health or Health())
    watch.start()
    return watch


class Watch(threading.Thread):
    """Measures, every few seconds, what `record` kept and the memory in use, and every minute the canaries."""

    def __init__(self, catalogue: ServedBundles, health: Health) -> None:
        super().__init__(name="skygen-watch", daemon=True)
        self._health = health
        self._over = threading.Event()
        self._canaries = {bundle: canary(bundle) for bundle in _bundles(catalogue)}
        self._drawn = time.monotonic()
        for bundle, digest in self._canaries.items():
            card, version = bundle.card, bundle.sha256[:DIGITS]
            metrics.CANARY_INFO.labels(card.tiles, card.recipe, version, bundle.engine, digest[:DIGITS]).set(1)
            metrics.CANARY_MISMATCHES.labels(card.tiles, card.recipe)

    def run(self) -> None:
        """Look about until told to stop; what goes wrong is logged and ends nothing."""
        while True:
            for part in (self.test_device, self.look):
                try:
                    part()
                except Exception:
                    _log.exception("the watch on what is served failed; it goes on")
            if self._over.wait(EVERY_SECONDS):
                return

    def look(self) -> None:
        """Once around: workers that died, the latest passes, and memory."""
        metrics.forget_dead_workers()
        quality.measure_latest()
        quality.measure_memory()

    def test_device(self) -> None:
        """Draw the canaries where they are due: every minute, and each time round where passes fail."""
        is_due = time.monotonic() - self._drawn >= CANARY_SECONDS
        if is_due or self._health.ill_seconds() > 0:
            self._drawn = time.monotonic() if self.check_canaries() else -math.inf

    def check_canaries(self) -> bool:
        """Draw every canary again, and count and log those that differ from the first; whether all could be drawn."""
        are_drawn = True
        for bundle, first in self._canaries.items():
            found, card = self._draw(bundle), bundle.card
            are_drawn = are_drawn and found is not None
            if found is not None and found != first:
                metrics.CANARY_MISMATCHES.labels(card.tiles, card.recipe).inc()
                _log.error(
                    "%s/%s: its canary has the hash %s and had %s when this worker started: the same request no longer "
                    "gives the same bytes; replace the worker, and look at the machine's memory and libraries",
                    *(card.tiles, card.recipe, found[:DIGITS], first[:DIGITS]),
                )
        return are_drawn

    def _draw(self, bundle: Bundle) -> str | None:
        """The hash of a bundle's canary; None where it cannot be drawn, which is told."""
        self._health.canary_begins()
        try:
            found = canary(bundle)
        except Exception:
            _log.exception("%s/%s: its canary cannot be drawn", bundle.card.tiles, bundle.card.recipe)
            self._health.failed(bundle, "canary")
            return None
        finally:
            self._health.canary_ends()
        self._health.passed()
        return found

    def stop(self) -> None:
        """End the thread, and wait until it has ended."""
        self._over.set()
        self.join()


def canary(bundle: Bundle) -> str:
    """The hash of the bytes of one fixed tile: the same for ever by one bundle, engine and kind of device."""
    return hashlib.sha256(bundle.draw([CANARY]).astype("<f4").tobytes()).hexdigest()


def _bundles(catalogue: ServedBundles) -> Iterator[Bundle]:
    return (bundle for recipes in catalogue.bundles.values() for bundle in recipes.values())


def _announce(bundle: Bundle, catalogue: ServedBundles) -> None:
    """The series of a bundle: what it is, and its counters at 0, so that their first event shows in a rate."""
    card, key = bundle.card, (bundle.card.tiles, bundle.card.recipe)
    champion = "true" if catalogue.champions.get(card.tiles) == card.recipe else "false"
    version, data = bundle.sha256[:DIGITS], card.data_hash[:DIGITS]
    metrics.MODEL_INFO.labels(*key, champion, version, data, bundle.engine).set(1)
    for form in MEDIA_TYPES:
        metrics.TILES.labels(*key, form)
    for band in card.bands:
        metrics.SAMPLE_SKY_NOISE.labels(*key, band)
    metrics.SAMPLE_DIVERSITY.labels(*key)
    metrics.SAMPLE_PIXELS.labels(*key)
    for kind in ("request", "canary"):
        metrics.FAILED_PASSES.labels(*key, kind)
    for kind in ("nonfinite", "saturated"):
        metrics.SAMPLE_BAD_PIXELS.labels(*key, kind)
