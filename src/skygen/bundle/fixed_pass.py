"""A generator's pass of a fixed number of rows, in buffers that stay where they are: on a GPU one CUDA graph.

A few rows do not keep a GPU busy for as long as the CPU needs to start a kernel a layer; a graph starts all at once.
"""

import logging

import torch

from skygen.gan.networks import Generator

_WARM = 3  # passes before a capture, as torch asks for: libraries make what they keep
_logger = logging.getLogger(__name__)


class FixedPass:
    """Computes images of up to `rows` latents on a device, always with as many rows. For one thread at a time.

    On a GPU it `captures` a pass, to replay it; where torch cannot, it warns, and each kernel is started by itself.
    """

    def __init__(self, generator: Generator, rows: int, device: torch.device, captures: bool) -> None:
        self._generator = generator
        self._latents = torch.zeros(rows, generator.shape.latent_size, device=device)
        self._images = torch.empty(0)  # where the graph leaves them
        self._graph: torch.cuda.CUDAGraph | None = None
        if captures:
            self._capture()

    @property
    def captured(self) -> bool:
        """Whether passes are replayed."""
        return self._graph is not None

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """The images of the latents [n, latent_size]; where n is under `rows`, copies of the first fill the pass."""
        self.load(latents)
        if self._graph is None:
            return self.play()[: len(latents)]
        self._graph.replay()
        return self._images[: len(latents)].clone()

    def load(self, latents: torch.Tensor) -> None:
        """Send what the next pass draws."""
        self._latents[: len(latents)].copy_(latents)
        self._latents[len(latents) :].copy_(self._latents[:1].expand(len(self._latents) - len(latents), -1))

    def play(self) -> torch.Tensor:
        """The images of all rows that are loaded, without a wait for the device."""
        images: torch.Tensor = self._generator(self._latents)
        return images

    def _capture(self) -> None:
        """Record a pass on a stream of its own, after a few that are played; other threads may compute meanwhile."""
        device, graph = self._latents.device, torch.cuda.CUDAGraph()
        side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(_WARM):
                self.play()
        torch.cuda.current_stream(device).wait_stream(side)
        try:
            with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                self._images = self.play()
            self._graph = graph
        except RuntimeError as error:
            _logger.warning("passes are not captured as a CUDA graph, drawing goes on without: %s", error)
