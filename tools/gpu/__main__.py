"""Check the project on a machine with a GPU, in at most five minutes: python -m tools.gpu, or make gpu.

It needs what training needs and nothing else: torch, numpy, pydantic, ruamel.yaml, safetensors and tqdm, and the packed
tile stores that `make gpu-pack` writes.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from skygen.files import make_folder, write_json
from skygen.params import load_or_end
from tools.gpu import drawing, trainings
from tools.gpu.asked import SETS, Asked
from tools.gpu.parts import Part, run

TRAINED = (("r64", "gan"), ("r64", "improved"), ("gri128", "gan"), ("gri128", "improved"), ("sky", "scene"))
SMOKE_S, PARITY_S, TRAINING_S, SERVED_S = 20.0, 17.0, 24.0, 22.0  # limits of a part: 296 s together
ITERATING_S = 9.0  # of a training's limit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every part, print the table, write the JSON; ends with 1 where anything is not as it should be."""
    asked = _asked(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu: torch sees no GPU here; --device cpu --iterations 3 runs the same on a CPU")
    params = load_or_end()
    if asked.scale not in params.scales:
        sys.exit(f"gpu: params.yaml has no scale {asked.scale!r}; it has {', '.join(params.scales)}")
    if lacking := [name for name in (*SETS, "sky") if not (asked.store / name / "tiles.json").is_file()]:
        sys.exit(f"gpu: {asked.store} has no tile store {', '.join(lacking)}; make gpu-pack writes them")
    make_folder(asked.out)
    rows = [_reported(run(part, asked)) for part in parts(limited=asked.device == "cuda")]
    write_json(asked.out / "gpu.json", {"asked": _plain(asked), "parts": rows})
    failed = [row["part"] for row in rows if row["failures"]]
    print(f"{asked.out / 'gpu.json'}: {len(rows) - len(failed)} of {len(rows)} parts are as they should be")
    sys.exit(1 if failed else 0)


def parts(limited: bool = True) -> Iterator[Part]:
    """The parts in turn; on a CPU their limits are ten times as long."""
    factor = 1.0 if limited else 10.0
    yield Part("smoke", drawing.smoke, (), SMOKE_S * factor)
    pairs = [(tiles, name) for tiles in SETS for name in (drawing.PROCESS, drawing.PAINTER)]
    for tiles, name in pairs:
        yield Part(f"parity {tiles} {name}", drawing.parity, (tiles, name), PARITY_S * factor)
    for tiles, name in TRAINED:
        seconds = str(ITERATING_S * factor)
        yield Part(f"training {tiles} {name}", trainings.training, (tiles, name, seconds), TRAINING_S * factor)
    for tiles, name in pairs:
        yield Part(f"served {tiles} {name}", drawing.served, (tiles, name), SERVED_S * factor)


def _asked(arguments: Sequence[str] | None) -> Asked:
    parser = argparse.ArgumentParser(prog="python -m tools.gpu", description="Check the project on a GPU.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--iterations", type=int, default=300, help="of each training")
    parser.add_argument("--scale", default="paper", help="of params.yaml, whose widths and batches are trained")
    parser.add_argument("--store", type=Path, default=Path("data/gpu"), help="folder of the packed tile stores")
    parser.add_argument("--bundles", type=Path, default=Path("bundles"), help="folder with bundles at SET/RECIPE")
    parser.add_argument("--out", type=Path, default=Path("reports/gpu"), help="folder for gpu.json and the pictures")
    parser.add_argument("--tiles", type=int, default=256, help="of each served pass")
    parser.add_argument("--rectangle", type=int, nargs=2, default=(2048, 1489), metavar=("WIDTH", "HEIGHT"))
    values = vars(parser.parse_args(arguments))
    for name in ("iterations", "tiles"):
        if values[name] < 1:
            parser.error(f"--{name} is {values[name]}; it must be 1 or more")
    return Asked(**{**values, "rectangle": tuple(values["rectangle"])})


def _reported(row: dict[str, Any]) -> dict[str, Any]:
    """Print the row of a part, and give it back."""
    said = ", ".join(f"{name} {_short(value)}" for name, value in row["measured"].items())
    verdict = "FAILED" if row["failures"] else "ok"
    print(f"{row['part']:26} {verdict:6} {row['seconds']:6.1f} s  {'; '.join([*row['failures'], said])}", flush=True)
    return row


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _plain(asked: Asked) -> dict[str, object]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(asked).items()}


if __name__ == "__main__":
    main()
