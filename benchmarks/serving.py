"""The service against its parts and its peers: tiles a second, waiting times, many tiles at once, encodings.

Closed loops of 1, 16 and 64 clients in a process of their own on the same cores; servers and parts are measured in
turn, three times, and the median counts. Networks of full width with random weights. `--quick` has shorter windows.
"""

import argparse
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.limits import print_machine
from benchmarks.load import FIRST_SEED, Load, Measured, measure
from benchmarks.peers.servers import (
    BENTOML,
    FASTAPI,
    LITSERVE,
    LITSERVE_BATCHES,
    LITSERVE_BATCHES_2,
    NOTHING,
    SETS,
    SKYGEN,
    Server,
    started,
)
from benchmarks.serving_parts import BATCHES, FORMATS, RECIPE, Model, write_bundles

ROUNDS = 3
LARGE = 256  # tiles
CLIENTS = (1, 16, 64)
MANY = 16
TAKEN = ("npy", "png")


class Case(NamedTuple):
    """Who is asked for what, by how many clients."""

    server: Server
    tiles: str
    format: str
    clients: int = MANY
    engine: str = "auto"
    n: int = 1


class Seen(NamedTuple):
    """The windows of every case, and the parts alone by tile set and batch."""

    windows: dict[Case, list[Measured]]
    model: dict[tuple[str, int], list[float]]
    network: dict[tuple[str, int], list[float]]
    one_tile: dict[str, list[float]]

    def rate(self, case: Case) -> float:
        """Answers a second."""
        return self._median(case, lambda window: window.per_second)

    def p50(self, case: Case) -> float:
        """Seconds."""
        return self._median(case, lambda window: window.p50_seconds)

    def p99(self, case: Case) -> float:
        """Seconds."""
        return self._median(case, lambda window: window.p99_seconds)

    def best(self, of: dict[tuple[str, int], list[float]], tiles: str) -> float:
        """Tiles a second at the best batch."""
        return max(statistics.median(of[tiles, batch]) for batch in BATCHES)

    def _median(self, case: Case, of: Callable[[Measured], float]) -> float:
        return statistics.median(of(window) for window in self.windows[case])
