"""Tiles a second from a bundle, against its bare network and against the machine's matrix product."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.limits import flop, matmul_flop_per_second, print_machine, seconds
from skygen import bundle
from skygen.gan.networks import Generator
from skygen.params import Size, load

TILES = 32


def main() -> None:
    """Print a row a tile set and width."""
    print_machine()
    params = load(Path("params.yaml"))
    print("tiles    width  GFLOP/tile  bundle tiles/s  network tiles/s  bundle/network  network/matrix product")
    for name, tile_set in params.tiles.sets.items():
        for scale in params.scales.values():
            _row(name, tile_set.size, tile_set.bands, scale.training[name].width)


def _row(name: str, size: Size, bands: Sequence[str], width: int) -> None:
    network = Generator(size, len(bands), width, 100).eval()
    latents = torch.randn(TILES, 100)
    with TemporaryDirectory() as folder, torch.inference_mode():
        bundle.save(Path(folder), network.state_dict(), _card(name, size, bands, width))
        ready = bundle.Bundle.load(Path(folder))
        bare = seconds(lambda: network(latents))
        whole = seconds(lambda: ready.generate(7, TILES))
        work = flop(lambda: network(latents))
    share = work / bare / matmul_flop_per_second()
    print(
        f"{name:8} {width:5}  {work / TILES / 1e9:10.3f}  {TILES / whole:14.0f}  {TILES / bare:15.0f}"
        f"  {bare / whole:14.2f}  {share:22.2f}"
    )


def _card(name: str, size: Size, bands: Sequence[str], width: int) -> bundle.Card:
    return bundle.Card(
        tiles=name,
        recipe="untrained",
        seed=0,
        scale="laptop",
        row={},
        size=size,
        bands=list(bands),
        softening_nmgy=0.2,
        limit_nmgy=100.0,
        pixel_scale_arcsec=0.396,
        latent_size=100,
        latents="normal",
        width=width,
        iteration=0,
        images_seen=0,
        validation={},
        data_hash="",
        commit="",
        trained_at="",
        versions={},
    )


if __name__ == "__main__":
    main()
