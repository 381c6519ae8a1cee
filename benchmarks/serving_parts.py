"""What serving is made of, each part alone: the model at every batch size on all cores, and the encodings of a tile."""

import os
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import torch

from benchmarks.generation import _card
from benchmarks.limits import seconds
from skygen.bundle.bundle import Bundle
from skygen.bundle.engines import engine_for
from skygen.bundle.tile import Tile
from skygen.files import sha256_folder, write_json
from skygen.formats.encode import Format, encode
from skygen.gan import card as cards
from skygen.gan.networks import Generator, GeneratorShape
from skygen.gan.recipes import ConvolutionalRecipe, read_recipe
from skygen.params import load

RECIPE, WIDTH = "gan", 64
BATCHES = (1, 2, 4, 8)  # tiles a pass
FORMATS: tuple[Format, ...] = ("npy", "png", "fits", "json")


def write_bundles(folder: Path) -> None:
    """Write bundles of random weights of full width, one a tile set, and the catalogue that the service wants."""
    params = load(Path("params.yaml"))
    recipe = read_recipe(params.recipes[RECIPE], RECIPE)
    if not isinstance(recipe, ConvolutionalRecipe):
        raise TypeError(f"{RECIPE} has no network of a width")
    hashes = {}
    for name, tile_set in params.judged.items():
        card = _card(name, RECIPE, recipe, tile_set.size, tile_set.bands, WIDTH)
        torch.manual_seed(0)
        cards.save(folder / name / RECIPE, cards.module_of(card.generator).state_dict(), card)
        hashes[f"{name}/{RECIPE}"] = sha256_folder(folder / name / RECIPE)
    write_json(folder / "catalogue.json", {"champions": dict.fromkeys(params.judged, RECIPE), "sha256": hashes})


class Model:
    """A bundle in this process, to be measured without any service."""

    def __init__(self, folder: Path) -> None:
        self.bundle = Bundle.load(folder, "cpu")
        shape = self.bundle.card.generator
        if not isinstance(shape, GeneratorShape):
            raise TypeError("a process has no network that paints tiles")
        self.network, self._latent_size = engine_for(Generator(shape), "cpu"), shape.latent_size

    def one_tile_seconds(self) -> float:
        """Seconds of one tile drawn alone, on one thread."""
        seeds = count()
        return seconds(lambda: self.bundle.draw([Tile(next(seeds))]), runs=15)

    def tiles_per_second(self, batch: int, for_seconds: float) -> float:
        """Tiles drawn in passes of `batch` on every core at once: network, blur and noise."""
        return _on_every_core(lambda: self.bundle.draw([Tile(i) for i in range(batch)]), for_seconds) * batch

    def network_tiles_per_second(self, batch: int, for_seconds: float) -> float:
        """The same of the network alone."""
        latents = torch.randn(batch, self._latent_size)
        return _on_every_core(lambda: self.network(latents), for_seconds) * batch

    def encoding_seconds(self, name: Format) -> tuple[float, int]:
        """Seconds in which one tile is encoded, and the bytes that come of it."""
        tile = Tile(7)
        flux, origin = self.bundle.draw([tile]), self.bundle.origin([tile])
        return seconds(lambda: encode(flux, name, origin), runs=31), len(encode(flux, name, origin))


def _on_every_core(work: Callable[[], object], for_seconds: float) -> float:
    """How often a second a thread a core does `work`, all together."""
    done = [0] * (os.cpu_count() or 1)
    started = time.perf_counter()

    def repeat(place: int) -> None:
        while time.perf_counter() < started + for_seconds:
            work()
            done[place] += 1

    threads = [threading.Thread(target=repeat, args=(place,)) for place in range(len(done))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - started)
