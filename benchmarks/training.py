"""Seconds a training iteration by recipe and tile set, the share spent on data, and the ratio to the matrix product."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.limits import flop, matmul_flop_per_second, print_machine, seconds
from skygen.gan.recipes import Recipe, read_recipes
from skygen.params import TileSetParams, TrainingScale, load
from skygen.sky.stretch import Stretch
from skygen.tiles.dataset import TileDataset, draw_batch
from skygen.tiles.store import TileSplit
from skygen.tiles.writer import describe_shard, write_shard
from skygen.training.state import new_state
from skygen.training.step import update_discriminator, update_generator

STORED = 256  # tiles of noise: what they show does not change how long a step takes


def main() -> None:
    """Print a row a tile set and recipe, at the scale that params.yaml names."""
    print_machine()
    params = load(Path("params.yaml"))
    print("tiles    recipe    width  batch  s/iteration  images/s  data share  iteration/matrix product")
    for tiles, tile_set in params.tiles.sets.items():
        for name, row in read_recipes(params.recipes).items():
            scale = params.chosen.training[tiles]
            _row(tiles, name, row.at_scale(scale), tile_set, scale)


def _row(tiles: str, name: str, recipe: Recipe, tile_set: TileSetParams, scale: TrainingScale) -> None:
    stretch, rng = Stretch(tile_set.softening_nmgy, tile_set.limit_nmgy), torch.Generator().manual_seed(0)
    players = new_state(recipe, tile_set.size, len(tile_set.bands), scale.width, 0, torch.device("cpu")).players
    with TemporaryDirectory() as folder:
        dataset = _dataset(Path(folder), tile_set)

        def draw() -> torch.Tensor:
            return stretch.stretch(draw_batch(dataset, scale.batch, rng))

        def iterate() -> None:
            for _ in range(recipe.critic_steps):
                update_discriminator(players, recipe, draw(), recipe.dropout_rate, rng)
            update_generator(players, recipe, scale.batch, recipe.dropout_rate, rng)

        whole, data = seconds(iterate, runs=5), seconds(draw) * recipe.critic_steps
        share = flop(iterate) / whole / matmul_flop_per_second()
    images = scale.batch * recipe.critic_steps / whole
    print(
        f"{tiles:8} {name:9} {scale.width:5}  {scale.batch:5}  {whole:11.3f}  {images:8.0f}"
        f"  {data / whole:10.3f}  {share:24.2f}"
    )


def _dataset(folder: Path, tile_set: TileSetParams) -> TileDataset:
    shape = (STORED, len(tile_set.bands), tile_set.size, tile_set.size)
    noise = np.random.default_rng(0).normal(0, 0.03, shape).astype(np.float32)
    path = folder / "train.npy"
    with write_shard(path, noise.shape[1:], tile_set.dtype) as writer:
        writer.add("1-1-1", noise)
    return TileDataset(TileSplit(folder, [describe_shard(path, writer.fields)], noise.shape[1:], tile_set.dtype))


if __name__ == "__main__":
    main()
