"""BentoML as one meets it first: an endpoint that returns an array, which it writes as lists in JSON."""

import bentoml
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.model import Engine, bundle_of


@bentoml.service
class Plain:
    """Tiles as JSON."""

    @bentoml.api(route="/generate")  # type: ignore[untyped-decorator]
    def generate(self, tiles: str, n: int = 1, seed: int = 0, engine: Engine = "auto") -> NDArray[np.float32]:
        """The tiles of a seed."""
        return bundle_of(tiles, engine).generate(seed, n)
