"""Train the encoders in encoders/ anew, on a simulated survey: python -m tools.encoders [SET ...], or make encoders.

The survey and the tiles cut from it are made in a temporary folder, as section `encoder` of params.yaml says. The same
code and parameters give the same bits on the same kind of processor.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from skygen.encoder.network import ENCODERS
from skygen.encoder.training import train_encoder
from skygen.files import replace_folder
from skygen.params import FramesScale, Params, TilesParams, TilesScale, load_or_end
from skygen.sky.collect import collect_frames
from skygen.sky.simulation.exposure import BANDS
from skygen.tiles.build import build_tile_set
from skygen.tiles.store import TileStore

_SHARE, _HELD_OUT = 0.05, 8  # of the fields in each split that a store needs beside training, and of their tiles


def main(*names: str) -> None:
    """Train the encoders of these tile sets, or of all: each takes its place whole, or what was there stays."""
    params = load_or_end()
    unknown = sorted(set(names) - set(params.judged))
    if unknown:
        sys.exit(f"encoders: params.yaml has no encoder of {', '.join(unknown)}; it has {', '.join(params.judged)}")
    try:
        train(params, names or list(params.judged))
    except (ValueError, OSError) as error:
        sys.exit(f"encoders: {error}")


def train(params: Params, names: Sequence[str]) -> None:
    """Simulate the survey, then cut the tiles and train the encoder of each set; say which came of it.

    Raises `ValueError` where a set has bands that are not simulated.
    """
    for name in names:
        if lacking := sorted(set(params.tiles[name].bands) - set(BANDS)):
            raise ValueError(f"tiles.{name} asks for {', '.join(lacking)}, but sky is simulated in {', '.join(BANDS)}")
    with TemporaryDirectory(prefix="skygen-encoders-") as work:
        survey = Path(work) / "frames"
        collect_frames(survey_of(params), survey)
        for name in names:
            store = cut(params, name, survey, Path(work) / name)
            with replace_folder(ENCODERS / name) as folder:
                encoder = train_encoder(folder, store, params.encoder, params.encoder.sets[name])
            sys.stdout.write(f"encoder of {name}, of {encoder.card.train_tiles} tiles: {encoder.sha256}\n")


def survey_of(params: Params) -> Params:
    """The parameters of the simulated survey: in all bands, so that it is the same whichever sets are cut from it."""
    changes = {"source": "simulated", "seed": params.encoder.seed, "min_fields": 3, "scheduler": None}
    any_set = next(iter(params.judged.values())).model_dump()
    tiles = TilesParams.model_validate({"scheduler": None, "all": {**any_set, "bands": list(BANDS)}})
    scale = params.chosen.model_copy(update={"frames": FramesScale(fields=params.encoder.fields)})
    frames = params.frames.model_copy(update=changes)
    return params.model_copy(update={"frames": frames, "tiles": tiles, "scales": {params.scale: scale}})


def cut(params: Params, name: str, survey: Path, folder: Path) -> TileStore:
    """The tiles of one set, of which nearly all fields are for training."""
    tile_set = params.tiles[name].model_copy(update={"validation": _SHARE, "test": _SHARE, "hold_out": None})
    scale = TilesScale(train_a_field=params.encoder.sets[name].train_a_field, held_out_a_field=_HELD_OUT)
    build_tile_set(survey, folder, name, tile_set, scale)
    return TileStore.open(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
