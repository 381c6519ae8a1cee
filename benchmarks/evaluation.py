"""All metrics of one model, as tiles grow in number: wall time, peak memory, and what each measure costs.

The real tiles are tiles of the shipped bundle under another seed, so that anyone can run it. Each number of tiles is
measured in a process of its own.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.limits import print_machine
from skygen.bundle.bundle import Bundle
from skygen.encoder.network import Encoder, load_encoder
from skygen.evaluation.bundle import Evaluation
from skygen.evaluation.control_values import ControlValues, SplitControls
from skygen.evaluation.controls import held_out
from skygen.evaluation.scoring import CONTROLS
from skygen.measure.metric import Given, Measure
from skygen.measure.table import measures_of
from skygen.sky.conditions import Density
from skygen.sky.readout import field_of
from skygen.tiles.store import SPLITS, Survival, TileSetCard, TileStore
from skygen.tiles.writer import data_hash, describe_shard, write_card, write_shard

SIZES = (200, 1000, 5000)
GOALS_S = {"r64": 120, "gri128": 300}  # at 5,000, on two cores; memory under 4 GB
HALVINGS = 1000  # as scale paper
TRAIN_A_TILE = 20  # training tiles for each generated one, in memorised


def main(*arguments: str) -> None:
    """Print a table a tile set; with FOLDER, SET and a number of tiles, what one process measures, as JSON.

    A folder of frames, which the other benchmarks take, is not needed here.
    """
    if len(arguments) == 3:
        folder, tiles, count = arguments
        print(json.dumps(measure(Path(folder), tiles, int(count))))
        return
    print_machine()
    for tiles in GOALS_S:
        found = {}
        for size in SIZES:
            with TemporaryDirectory() as place:
                make_store(Path(place), tiles, size)
                found[size] = in_a_process(place, tiles, size)
        print_table(tiles, found)


def in_a_process(folder: str, tiles: str, count: int) -> dict[str, float]:
    """What `measure` finds in a fresh process, whose peak of memory is its own."""
    command = [sys.executable, "-m", "benchmarks.evaluation", folder, tiles, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def print_table(tiles: str, found: dict[int, dict[str, float]]) -> None:
    """Print what each step took, in Markdown: a line a step, a column a size."""
    print(f"\n## {tiles}\n")
    print(f"| seconds | {' | '.join(f'{count} + {count} tiles' for count in found)} |")
    print(f"|---|{'---:|' * len(found)}")
    for step in found[max(SIZES)]:
        print(f"| {step} | {' | '.join(f'{values.get(step, 0):.2f}' for values in found.values())} |")
    print(f"\nGoal for {max(SIZES)} + {max(SIZES)} tiles: {GOALS_S[tiles]} s on two cores, under 4 GB.")


def measure(folder: Path, tiles: str, count: int) -> dict[str, float]:
    """Seconds of each step of the evaluation of a model with `count` tiles, of the whole, and the peak memory in GB."""
    store, bundle, clock = TileStore.open(folder), Bundle.load(shipped(tiles)), Clock()
    encoder = load_encoder(store, torch.device("cpu"))
    train = np.random.default_rng(0).normal(0, 1, (TRAIN_A_TILE * count, encoder.card.features)).astype(np.float32)
    given = Given(store.card.bands, encoder.encode, 0, train, lambda some: some.mean(axis=(1, 2, 3)))
    measures = clock.watch(measures_of(given))
    bundle.generate = clock.timed("draw tiles", bundle.generate)  # type: ignore[method-assign]
    controls = no_controls(store, encoder, count, [key for each in measures for key in each.keys])
    evaluation = Evaluation(store, controls, measures)
    clock.timed("**all of it**", evaluation.measure)(bundle, held_out(store, "test", 0, HALVINGS))
    peak = {"peak memory, GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}
    return clock.seconds | {"processor time": time.process_time()} | peak


class Clock:
    """Adds up how long named steps take; steps that run side by side count each in full."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, whose time counts for `name`."""

        def run(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            found = work(*arguments, **named)
            self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - started
            return found

        return run

    def watch(self, measures: Sequence[Measure]) -> list[Measure]:
        """The same measures, each step of which is timed; what they share stays shared."""
        describes: dict[Callable[..., Any], Callable[..., Any]] = {}
        for each in measures:
            if each.describe not in describes:
                describes[each.describe] = self.timed(f"describe: {each.keys[0]}", each.describe)
        return [self._watch(each, describes[each.describe]) for each in measures]

    def _watch(self, measure: Measure, describe: Callable[..., Any]) -> Measure:
        name = ", ".join(measure.keys)

        def relate(fake: Any, real: Any) -> Callable[..., Any]:
            statistic = self.timed(f"relate: {name}", measure.relate)(fake, real)
            return self.timed(f"halve: {name}", statistic)

        return Measure(measure.keys, describe, relate)


def no_controls(store: TileStore, encoder: Encoder, count: int, keys: Sequence[str]) -> ControlValues:
    """Controls of no meaning, in place of those that the stage controls measures once for all models."""
    ones = {key: [1.0] * HALVINGS for key in ("accuracy", *keys)}
    controls = SplitControls(
        tiles=count,
        fields=1,
        repeated=0,
        values={key: dict.fromkeys(CONTROLS, 1.0) for key in ones},
        real_real=ones,
        matched=ones,
    )
    return ControlValues(
        encoder=encoder.sha256,
        data=store.card.data_hash,
        seed=0,
        halvings=HALVINGS,
        validation=controls,
        test=controls,
    )


def shipped(tiles: str) -> Path:
    """The bundle that is in the repository."""
    return Path("bundles") / tiles / "scene"


def make_store(folder: Path, tiles: str, count: int) -> TileStore:
    """A store of `count` tiles of the shipped bundle, as training tiles and as held-out ones alike."""
    bundle = Bundle.load(shipped(tiles))
    card = bundle.card
    conditions = {f"1-1-{number}/left": field for number, field in enumerate(card.conditions or [])}
    path, share = folder / "tiles.npy", -(-count // len(conditions))
    with write_shard(path, (len(card.bands), card.size, card.size), "float16") as writer:
        for number, (name, field) in enumerate(conditions.items()):
            first = number * share
            for start in range(first, min(first + share, count), 200):
                some = min(200, first + share - start, count - start)
                writer.add(name, bundle.generate(1, some, start, conditions=[field] * some))
    shard = describe_shard(path, writer.readouts)
    shards = {split: [shard] for split in SPLITS}
    densities = dict.fromkeys(map(field_of, conditions), Density(stars=1.0, galaxies=1.0))
    store = TileSetCard(
        name=tiles,
        size=card.size,
        bands=card.bands,
        dtype="float16",
        softening_nmgy=card.softening_nmgy,
        limit_nmgy=card.limit_nmgy,
        pixel_scale_arcsec=card.pixel_scale_arcsec,
        fields={split: [field_of(name) for name in conditions] for split in SPLITS},
        left_out={},
        survival=dict.fromkeys(SPLITS, Survival(tried=count, kept=1.0, spoilt={})),
        conditions=conditions,
        densities=densities,
        shards=shards,
        data_hash=data_hash(shards, conditions, densities),
    )
    write_card(folder, store)
    return TileStore(folder, store)


if __name__ == "__main__":
    main(*sys.argv[1:])
