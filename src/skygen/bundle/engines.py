"""What computes a generator's images from latents: PyTorch as it trained, or ONNX Runtime, behind one call.

An engine computes on the thread that calls it and on no other, so that callers run beside each other, and gives a tile
the same bits whatever is drawn beside it.
"""

import importlib.util
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from skygen.bundle.fixed_pass import FixedPass
from skygen.cores import one_thread
from skygen.gan.networks import Generator
from skygen.graphs import graphs_wanted

EngineName = Literal["auto", "eager", "onnx"]
_FEWEST = 2  # rows of a pass of eager on the CPU
_PASS = 8  # rows of every pass on a GPU
_STARTING = threading.Lock()  # of a pass on a GPU


@dataclass(frozen=True, slots=True)
class NamedEngine:
    """An engine: latents [n, latent_size] float32 on the CPU → images [n, bands, canvas, canvas] float32.

    The images lie on the CPU or on the engine's device. May be called from many threads at once.
    """

    name: str  # eager or onnx: of the same weights their bits differ, each its own
    compute: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """The images of the latents."""
        return self.compute(latents)


def engine_for(generator: Generator, device: torch.device | str, name: EngineName = "auto") -> NamedEngine:
    """The engine `name` for a generator in evaluation mode; `generator` is moved to `device`.

    Raises as `choose_engine`, and `ValueError` where `SKYGEN_GRAPHS` says neither `on` nor `off` on a GPU.
    """
    device = torch.device(device)
    name = choose_engine(device, name)
    generator = generator.to(device).eval().requires_grad_(False)
    if name == "onnx":
        return NamedEngine(name, _onnx(generator))
    return NamedEngine(name, _on_cpu(generator) if device.type == "cpu" else _on_gpu(generator, device))


def choose_engine(device: torch.device, name: EngineName = "auto") -> Literal["eager", "onnx"]:
    """The engine that `name` means on a device.

    auto is ONNX Runtime on the CPU where it is installed (onnx and onnxruntime), else eager. Raises `ValueError` for a
    name that there is not, and where onnx is asked for but is not installed, or for another device than the CPU.
    """
    if name not in ("auto", "eager", "onnx"):
        raise ValueError(f"engine is {name!r}; it must be 'auto', 'eager' or 'onnx'")
    if name == "auto":
        name = "onnx" if device.type == "cpu" and onnx_is_installed() else "eager"
    if name == "onnx" and device.type != "cpu":
        raise ValueError(f"engine is 'onnx' and device '{device}'; onnx computes on the CPU: choose 'auto' or 'eager'")
    if name == "onnx" and not onnx_is_installed():
        raise ValueError("engine is 'onnx', which needs the packages onnx and onnxruntime: install skygen[serve]")
    return name


def onnx_is_installed() -> bool:
    """Whether the packages are here that build an ONNX graph and compute it."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))


def _onnx(generator: Generator) -> Callable[[torch.Tensor], torch.Tensor]:
    """ONNX Runtime on the calling thread: no pool of its own, so a product's order does not hang on the cores."""
    import onnxruntime

    from skygen.bundle.onnx_graph import IMAGES, LATENTS, graph_of

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    model = graph_of(generator).SerializeToString()
    session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def compute(latents: torch.Tensor) -> torch.Tensor:
        (images,) = session.run([IMAGES], {LATENTS: latents.numpy()})
        return torch.from_numpy(np.asarray(images))

    return compute


def _on_cpu(generator: Generator) -> Callable[[torch.Tensor], torch.Tensor]:
    """PyTorch as it trained, in passes of at least two rows.

    For one alone oneDNN chooses another product in the first layer of some sizes (144 px), with other bits.
    """

    def compute(latents: torch.Tensor) -> torch.Tensor:
        with one_thread(), torch.inference_mode():
            copies = latents[:1].expand(max(0, _FEWEST - len(latents)), -1)
            images: torch.Tensor = generator(torch.cat([latents, copies]))
            return images[: len(latents)]

    return compute


def _on_gpu(generator: Generator, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """PyTorch as it trained, in passes of eight rows, no more and no fewer, of full float32 by deterministic kernels.

    Any number of rows may have a product of its own there; no GPU was at hand to measure.
    """
    with torch.inference_mode(), _exact_kernels():
        one_pass = FixedPass(generator, _PASS, device, device.type == "cuda" and graphs_wanted())

    def compute(latents: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), _exact_kernels():
            return torch.cat([one_pass(rows) for rows in torch.split(latents, _PASS)])

    return compute


@contextmanager
def _exact_kernels() -> Iterator[None]:
    """Choose cuDNN's kernels that repeat their bits, without TF32, whose ten binary digits would show in flux.

    What chooses them belongs to the process, so that one thread at a time is here: it starts kernels, the GPU's queue
    has the work.
    """
    with _STARTING, torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
