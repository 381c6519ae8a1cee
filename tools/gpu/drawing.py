"""The parts that draw: whether a device draws what the CPU draws, and how many tiles a second."""

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Rectangle, Tile, row
from skygen.provenance import device_name
from tools.gpu.asked import Asked, Found, picture
from tools.gpu.bundles import bundle_of

PROCESS, PAINTER = "scene", "gan"  # a recipe of each kind of generator
MOST_OFF = {PROCESS: 1e-5, PAINTER: 1e-4}  # of a pixel on the device from the CPU's, as share of the brightest
COMPARED = 24  # tiles
SEED = 7
_MEASURED = ("flux_inside_", "snr_", "blend", "flags")  # columns of a truth that are measured on pixels


def smoke(asked: Asked) -> Found:
    """The machine; fails where the device does not even multiply."""
    device = torch.device(asked.device)
    one = torch.ones(64, 64, device=device)
    right = bool((one @ one == 64).all())
    measured: dict[str, float | int | str | bool | None] = {
        "device": device_name(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    if asked.device == "cuda":
        of = torch.cuda.get_device_properties(device)
        measured |= {
            "driver": _driver(),
            "memory_gib": round(of.total_memory / 2**30, 1),
            "capability": f"{of.major}.{of.minor}",
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        }
    return Found(measured, [] if right else ["a product of ones is wrong"])


def _driver() -> str:
    try:
        said = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").splitlines()[0]
    except OSError:
        return "unknown"
    return said.removeprefix("NVRM version:").strip()


def parity(asked: Asked, tiles: str, name: str) -> Found:
    """How far a device's tiles are from the CPU's; of a process, its catalogue too."""
    with TemporaryDirectory() as folder:
        place, kind = bundle_of(asked, tiles, name, Path(folder))
        here, there = Bundle.load(place, "cpu", "eager"), Bundle.load(place, asked.device, "eager")
        plain = _without_graph(place, asked.device)
    wanted = row(SEED, COMPARED)
    right, first, again = here.draw_all(wanted), there.draw_all(wanted), there.draw_all(wanted)
    off = float(np.abs(first - right).max() / np.abs(right).max())
    alone = np.concatenate([there.draw_all([tile]) for tile in wanted[:4]])
    measured: dict[str, float | int | str | bool | None] = {
        "bundle": kind,
        "off": off,
        "repeats": bool(np.array_equal(first, again)),
        "same_alone": bool(np.array_equal(first[:4], alone)),
    }
    failures = [] if off <= MOST_OFF[name] else [f"pixels are {off:.1e} of the brightest off, over {MOST_OFF[name]:g}"]
    failures += [] if measured["repeats"] else ["the same tiles drawn twice differ"]
    if name == PAINTER:
        same = measured["same_without_graph"] = bool(np.array_equal(first, plain.draw_all(wanted)))
        failures += [] if same else ["tiles by a CUDA graph are others than without"]
    if name == PROCESS:
        differs, lacking = _catalogues(here, there)
        measured |= {"objects_differ": differs, "objects_of_one_alone": lacking}
        failures += [f"{differs} objects of the catalogue differ"] if differs else []
    picture(asked.out / f"parity-{tiles}-{name}.png", np.concatenate([right[:6], first[:6]]), here.card.bands)
    return Found(measured, failures)


def _catalogues(here: Bundle, there: Bundle) -> tuple[int, int]:
    """How many objects differ in what is no measurement of pixels; and how many one catalogue lacks.

    A row is there where an object shows a hundredth of the noise in some pixel: at that limit the last bits decide.
    """
    differs = lacking = 0
    wanted = row(SEED, COMPARED)
    for one, other in zip(here.truth_all(wanted), there.truth_all(wanted), strict=True):
        _, mine, others = np.intersect1d(one.rows["object_id"], other.rows["object_id"], return_indices=True)
        lacking += len(one.rows) + len(other.rows) - 2 * len(mine)
        own = [name for name in one.rows.dtype.names or () if not name.startswith(_MEASURED)]
        differs += int(np.any([one.rows[name][mine] != other.rows[name][others] for name in own], axis=0).sum())
    return differs, lacking


def served(asked: Asked, tiles: str, name: str) -> Found:
    """Tiles a second through a bundle; of a process, a rectangle of its sky too."""
    with TemporaryDirectory() as folder:
        place, kind = bundle_of(asked, tiles, name, Path(folder))
        bundle, plain = Bundle.load(place, asked.device), _without_graph(place, asked.device)
    wanted = row(SEED, asked.tiles)
    flux, seconds = _timed(bundle, wanted)
    measured: dict[str, float | int | str | bool | None] = {
        "bundle": kind,
        "tiles": len(flux),
        "tiles_per_second": len(flux) / seconds,
    }
    failures = [] if np.isfinite(flux).all() else ["pixels are not finite"]
    picture(asked.out / f"served-{tiles}-{name}.png", flux[:16], bundle.card.bands)
    if name == PAINTER:
        measured["tiles_per_second_without_graph"] = len(flux) / _timed(plain, wanted)[1]
    if name == PROCESS:
        sky, seconds = _rectangle(asked, bundle)
        measured |= {"rectangle_s": seconds, "rectangle_mpx_per_second": sky[0].size / 1e6 / seconds}
        failures += [] if np.isfinite(sky).all() else ["the rectangle's pixels are not finite"]
        picture(asked.out / f"sky-{tiles}.png", sky[None], bundle.card.bands)
    return Found(measured, failures)


def _timed(bundle: Bundle, wanted: Sequence[Tile]) -> tuple[NDArray[np.float32], float]:
    """The flux of the wanted tiles, and the seconds that it took."""
    bundle.draw_all(wanted[:8])
    began = time.perf_counter()
    flux = bundle.draw_all(wanted)
    return flux, time.perf_counter() - began


def _without_graph(place: Path, device: str) -> Bundle:
    """The bundle in a folder, on a device that is to start each kernel by itself."""
    before = os.environ.get("SKYGEN_GRAPHS")
    os.environ["SKYGEN_GRAPHS"] = "off"
    try:
        return Bundle.load(place, device, "eager")
    finally:
        del os.environ["SKYGEN_GRAPHS"]
        os.environ |= {} if before is None else {"SKYGEN_GRAPHS": before}


def _rectangle(asked: Asked, bundle: Bundle) -> tuple[NDArray[np.float32], float]:
    """A rectangle [bands, H, W] of a seed's sky, and the seconds that it took."""
    began = time.perf_counter()
    sky = bundle.sky(Rectangle(SEED, 0, 0, *asked.rectangle))
    return sky, time.perf_counter() - began
