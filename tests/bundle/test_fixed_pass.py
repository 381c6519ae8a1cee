"""The pass that a CUDA graph holds, without a GPU: that it is the plain one, and does what a capture allows."""

from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

from skygen.bundle.engines import engine_for
from skygen.bundle.fixed_pass import FixedPass
from tests.bundle.test_engines import latents, network
from tests.harness.captures import Captures
from tests.harness.elsewhere import ELSEWHERE, Elsewhere

CPU = torch.device("cpu")


@pytest.mark.parametrize("n", [1, 3, 8])
def test_a_fixed_pass_draws_what_the_engine_draws(n):
    generator, drawn = network(80, 3, "batch"), latents(n)
    one_pass = FixedPass(generator, 8, CPU, False)
    one_pass(latents(8, seed=1))  # what an earlier pass left must not show

    assert torch.equal(one_pass(drawn), engine_for(generator, CPU, "eager")(drawn))


def test_a_loaded_pass_reads_no_value_and_moves_nothing():
    one_pass = FixedPass(network(80, 3, "batch"), 8, CPU, False)
    one_pass.load(latents(3))

    with Captures():
        images = one_pass.play()
    assert images.isfinite().all()


def test_a_pass_elsewhere_mixes_no_devices():
    generator, drawn = network(), latents(3)
    expected = FixedPass(generator, 8, CPU, False)(drawn)
    with Elsewhere():
        images = FixedPass(generator.to(ELSEWHERE), 8, ELSEWHERE, False)(drawn)

    torch.testing.assert_close(images.near, expected)


class Gpu:
    """In place of torch.cuda, as there is no GPU: a replay plays the pass that was captured."""

    def __init__(self, refuses):
        self.refuses, self.captures, self.replays, self.one_pass = refuses, 0, 0, None

    Stream = current_stream = stream = staticmethod(lambda *_, **__: MagicMock())

    def CUDAGraph(self):  # noqa: N802 - torch's name
        return SimpleNamespace(replay=self._replay)

    @contextmanager
    def graph(self, graph, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"  # in a service others compute meanwhile
        self.captures += 1
        if self.refuses:
            raise RuntimeError("operation not permitted when stream is capturing")
        yield

    def _replay(self):
        self.replays += 1
        self.one_pass._images.copy_(self.one_pass.play())


@pytest.mark.parametrize(("captures", "refuses", "replays"), [(True, False, 2), (True, True, 0), (False, False, 0)])
def test_images_are_the_same_captured_refused_and_switched_off(monkeypatch, caplog, captures, refuses, replays):
    gpu = Gpu(refuses)
    for name in ("Stream", "current_stream", "stream", "CUDAGraph", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(gpu, name))
    generator = network()
    gpu.one_pass = one_pass = FixedPass(generator, 8, CPU, captures)
    first, second = latents(8), latents(3, seed=1)

    assert torch.equal(one_pass(first), FixedPass(generator, 8, CPU, False)(first))
    assert torch.equal(one_pass(second), FixedPass(generator, 8, CPU, False)(second))
    assert (gpu.captures, gpu.replays, one_pass.captured) == (int(captures), replays, replays > 0)
    assert ("not captured as a CUDA graph, drawing goes on without: operation" in caplog.text) == refuses
