"""Check and measure the project on a GPU, at most ten minutes a call: python -m tools.gpu, or make gpu.

It needs what training needs and nothing else: torch, numpy, pydantic, ruamel.yaml, safetensors and tqdm, and the packed
tile stores that `make gpu-pack` writes. A part that is done is not repeated: what a call leaves, the next one does.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from skygen.files import make_folder, read_json, write_json
from skygen.params import load_or_end
from tools.gpu import drawing, paths, trainings
from tools.gpu.asked import SETS, Asked
from tools.gpu.parts import Part, run

TRAINED = (
    ("gri128", "gan"),
    ("gri128", "improved"),
    ("gri128", "ambient"),
    ("sky", "scene"),
    ("r64", "gan"),
    ("r64", "improved"),
)
LONG = (("r64", "gan"), ("r64", "improved"))
BATCHES = (32, 64, 128, 256, 512)
SMOKE_S, PATHS_S, PARITY_S, LOSSES_S, SERVED_S = 30.0, 60.0, 30.0, 45.0, 30.0  # limits of a part
TIMED_S, SPEED_S = 3.0, 40.0  # of each way to play, and of all at one batch
ITERATING_S, TRAINING_S = 60.0, 90.0
LONG_S = 580.0
LEAST_S = 15.0  # with less time left no part is begun


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every part that is not done, print the table, write the JSON; ends with 1 where anything is not right."""
    asked = _asked(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu: torch sees no GPU here; --device cpu --iterations 3 runs the same on a CPU")
    params = load_or_end()
    if asked.scale not in params.scales:
        sys.exit(f"gpu: params.yaml has no scale {asked.scale!r}; it has {', '.join(params.scales)}")
    if lacking := [name for name in (*SETS, "sky") if not (asked.store / name / "tiles.json").is_file()]:
        sys.exit(f"gpu: {asked.store} has no tile store {', '.join(lacking)}; make gpu-pack writes them")
    make_folder(asked.out / "parts")
    ends, rows, left, wanted = time.monotonic() + 60 * asked.minutes, [], [], list(parts(asked))
    for number, part in enumerate(wanted):
        # What can go on at the next call leaves time for what comes after it.
        later = [
            other.limit_s for other in wanted[number + 1 :] if part.told and not (other.told or _done(other, asked))
        ]
        row = _done(part, asked) or _made(part, asked, ends - time.monotonic() - sum(later))
        rows += [row] if row else []
        left += [] if row and row["finished"] else [part.name]
    write_json(asked.out / "gpu.json", {"asked": _plain(asked), "parts": rows, "left": left})
    failed = [row["part"] for row in rows if row["failures"]]
    print(f"{asked.out / 'gpu.json'}: {len(rows) - len(failed)} of {len(rows)} parts are as they should be")
    if left:
        print(f"{len(left)} are left, the same command goes on with them: {', '.join(left)}")
    sys.exit(1 if failed else 0)


def parts(asked: Asked) -> Iterator[Part]:
    """The parts in turn; on a CPU their limits are ten times as long."""
    factor = 1.0 if asked.device == "cuda" else 10.0
    yield Part("smoke", drawing.smoke, (), SMOKE_S * factor)
    for rows in paths.ROWS:
        yield Part(f"paths {rows}", paths.paths, (rows,), PATHS_S * factor)
    pairs = [(tiles, name) for tiles in SETS for name in (drawing.PROCESS, drawing.PAINTER)]
    for tiles, name in pairs:
        yield Part(f"parity {tiles} {name}", drawing.parity, (tiles, name), PARITY_S * factor)
    for name in (*paths.PAINTED, drawing.PROCESS):
        yield Part(f"losses {name}", paths.losses, (name,), LOSSES_S * factor)
    for tiles in SETS:
        for batch in asked.batches:
            arguments = (tiles, str(batch), str(TIMED_S))
            yield Part(f"speed {tiles} {batch}", trainings.speed, arguments, SPEED_S * factor)
    for tiles, name in TRAINED:
        arguments = (tiles, name, str(ITERATING_S * factor))
        yield Part(f"training {tiles} {name}", trainings.training, arguments, TRAINING_S * factor)
    for tiles, name in LONG:
        yield Part(f"long {tiles} {name}", trainings.to_the_end, (tiles, name), LONG_S, told=True)
    for tiles, name in pairs:
        yield Part(f"served {tiles} {name}", drawing.served, (tiles, name), SERVED_S * factor)


def _asked(arguments: Sequence[str] | None) -> Asked:
    parser = argparse.ArgumentParser(prog="python -m tools.gpu", description="Check the project on a GPU.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--iterations", type=int, default=500, help="of each short training")
    parser.add_argument("--long", type=int, help="iterations of each long training; 20,000, on a CPU --iterations")
    parser.add_argument("--batches", type=int, nargs="+", help="at which speed is measured; 32 to 512, on a CPU 32")
    parser.add_argument("--minutes", type=float, help="that a call takes at most; 10, on a CPU 600")
    parser.add_argument("--scale", default="paper", help="of params.yaml, whose widths and batches are trained")
    parser.add_argument("--store", type=Path, default=Path("data/gpu"), help="folder of the packed tile stores")
    parser.add_argument("--bundles", type=Path, default=Path("bundles"), help="folder with bundles at SET/RECIPE")
    parser.add_argument("--out", type=Path, default=Path("reports/gpu"), help="folder for the results")
    parser.add_argument("--tiles", type=int, default=256, help="of each served pass")
    parser.add_argument("--rectangle", type=int, nargs=2, default=(2048, 1489), metavar=("WIDTH", "HEIGHT"))
    values = vars(parser.parse_args(arguments))
    on_gpu = values["device"] == "cuda"
    if values["long"] is None:
        values["long"] = trainings.PAPER if on_gpu else values["iterations"]
    values["batches"] = tuple(values["batches"] or (BATCHES if on_gpu else BATCHES[:1]))
    if values["minutes"] is None:
        values["minutes"] = 10.0 if on_gpu else 600.0
    for name in ("iterations", "tiles", "long", "minutes"):
        if values[name] <= 0:
            parser.error(f"--{name} is {values[name]}; it must be 1 or more")
    if min(values["batches"]) < 2:
        parser.error(f"--batches has {min(values['batches'])}; a batch has 2 tiles or more")
    return Asked(**{**values, "rectangle": tuple(values["rectangle"])})


def _done(part: Part, asked: Asked) -> dict[str, Any] | None:
    """The row of a part that an earlier call finished as it should be, for what is asked for now."""
    place = _place(part, asked)
    row: dict[str, Any] = read_json(place) if place.is_file() else {}
    done = row.get("finished") and not row.get("failures") and row.get("asked") == _decides(asked)
    return row if done else None


def _made(part: Part, asked: Asked, left_s: float) -> dict[str, Any] | None:
    """The row of a part that is run now; None where there is too little time for it."""
    limit = min(part.limit_s, left_s)
    if left_s < LEAST_S or (limit < part.limit_s and not part.told):
        return None
    row = run(part._replace(limit_s=limit), asked) | {"asked": _decides(asked)}
    write_json(_place(part, asked), row)
    said = ", ".join(f"{name} {_short(value)}" for name, value in row["measured"].items())
    verdict = "FAILED" if row["failures"] else "ok"
    print(f"{row['part']:26} {verdict:6} {row['seconds']:6.1f} s  {'; '.join([*row['failures'], said])}", flush=True)
    return row


def _place(part: Part, asked: Asked) -> Path:
    return asked.out / "parts" / f"{part.name.replace(' ', '-')}.json"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _decides(asked: Asked) -> dict[str, object]:
    """What of the question decides the answers."""
    return {name: getattr(asked, name) for name in ("device", "iterations", "long", "scale", "tiles")}


def _plain(asked: Asked) -> dict[str, object]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(asked).items()}


if __name__ == "__main__":
    main()
