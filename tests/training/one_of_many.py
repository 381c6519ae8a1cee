"""One process of a training by `torchrun`: its state and measurements at the end go to FOLDER, as its rank allows."""

import json
import os
import resource
import sys
import tempfile
from pathlib import Path

import torch

from skygen.gan.recipes import read_recipes
from skygen.params import load
from skygen.tiles.store import TileStore
from skygen.training.distributed import join_team
from skygen.training.loop import train
from tests.training.tiny import CPU, Recorder, content, scale

SIZES = scale(iterations=30, measurements=6)


def main(recipe: str, store: str, folder: str) -> None:
    torch.set_num_threads(1)
    with join_team(CPU) as team:
        tempfile.gettempdir()  # torch asks for it, and Python finds it by writing there
        if not team.writes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # from here on it cannot write a byte to a file
        say(rank=team.rank, size=team.size, pid=os.getpid(), life=int(os.environ["TORCHELASTIC_RESTART_COUNT"]))
        log = Recorder() if team.writes else None
        row = read_recipes(load(Path("params.yaml")).recipes)[recipe]
        state = train(row, SIZES, TileStore.open(Path(store)), 0, CPU, Path(folder) / "state.pt", log, team)
        say(rank=team.rank, weights=[float(weight.double().sum()) for weight in state.players.generator.parameters()])
        if team.writes:
            torch.save({"content": content(state), "measured": log.measured}, Path(folder) / "end.pt")


def say(**words) -> None:
    """A line of JSON, in one piece among those of the others."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
