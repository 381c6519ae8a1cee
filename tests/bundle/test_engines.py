import copy
import hashlib
import importlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn

from skygen.bundle.engines import engine_for
from skygen.bundle.onnx_graph import graph_of
from skygen.cores import one_thread
from skygen.gan.networks import Generator, GeneratorShape, initialise
from skygen.sky.stretch import Stretch

STRETCH = Stretch(softening_nmgy=0.02, limit_nmgy=100.0)
SKY_NOISE_NMGY = 0.03  # of the survey in r: under it, flux is not seen
LATENTS = 100
CONVOLUTIONS = nn.Conv2d | nn.ConvTranspose2d
SIZES = [(64, 1), (80, 1), (128, 3), (144, 3)]  # canvas and bands
OF_BITS = list(product([80, 144], ["batch", "none"], ["eager", "onnx"]))


def network(canvas=64, bands=1, norm="batch", last="tanh", width=4, resampling="strided"):
    """A generator with random weights, offsets and statistics, whose images have values of about 0.3."""
    shape = GeneratorShape(
        kind="convolutional",
        canvas=canvas,
        bands=bands,
        width=width,
        latent_size=LATENTS,
        norm=norm,
        last=last,
        resampling=resampling,
    )
    generator, rng = Generator(shape).requires_grad_(False), torch.Generator().manual_seed(canvas)
    initialise(generator, "normal", None, rng)
    for layer in generator.layers:
        if isinstance(layer, CONVOLUTIONS) and layer.bias is not None:
            layer.bias.normal_(0.0, 0.3, generator=rng)
        elif isinstance(layer, CONVOLUTIONS):
            layer.weight *= 0.01  # features of a variance that the epsilon of batch norm is not small beside
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.uniform_(0.5, 2.0, generator=rng)
            layer.bias.normal_(0.0, 0.3, generator=rng)
            layer.momentum = 1.0
    generator.layers(latents(16)[:, :, None, None])  # the statistics become those of these features
    for layer in generator.layers:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var *= 0.5 + torch.rand(layer.num_features, generator=rng)
    painted = generator.eval().layers(latents(16)[:, :, None, None])
    generator.layers[-1].weight *= 0.3 / painted.std()
    return generator


def latents(n, seed=0, size=LATENTS):
    return torch.randn(n, size, generator=torch.Generator().manual_seed(seed))


def worst(images, expected):
    """The greatest error in flux, as a share of the flux; of the sky's noise where flux is under it."""
    flux, right = STRETCH.unstretch(images.double()), STRETCH.unstretch(expected.double())
    return float(((flux - right).abs() / right.abs().clamp(min=SKY_NOISE_NMGY)).max())


@pytest.mark.parametrize(("canvas", "bands"), SIZES)
@pytest.mark.parametrize("last", ["tanh", "relu", "softplus", "softmax"])
@pytest.mark.parametrize(("norm", "resampling"), [("batch", "strided"), ("none", "strided"), ("batch", "pooling")])
def test_onnx_s_flux_is_eager_s(canvas, bands, last, norm, resampling):
    generator, drawn = network(canvas, bands, norm, last, resampling=resampling), latents(3)
    images = engine_for(generator, "cpu", "onnx")(drawn)
    exact = copy.deepcopy(generator).double()(drawn.double())

    assert (images.shape, images.dtype, images.device.type) == ((3, bands, canvas, canvas), torch.float32, "cpu")
    assert STRETCH.unstretch(exact).std() > SKY_NOISE_NMGY  # there is flux to compare
    assert worst(images, engine_for(generator, "cpu", "eager")(drawn)) < 1e-3
    assert worst(images, exact) < 1e-4
    totals, right = (STRETCH.unstretch(seen.double()).sum((2, 3)) for seen in (images, exact))
    assert totals == pytest.approx(right, rel=1e-4, abs=SKY_NOISE_NMGY)


@pytest.mark.parametrize("name", ["weight", "bias", "running_mean", "running_var", "offset"])
def test_each_part_of_batch_norm_counts_and_an_offset_before_it(name):
    generator, drawn = network(64, 3, "batch", "tanh"), latents(2)
    before = engine_for(generator, "cpu", "onnx")(drawn)
    if name == "offset":
        generator.layers[0].bias = nn.Parameter(torch.full((32,), 0.01), requires_grad=False)
    else:
        getattr(generator.layers[1], name).data *= 1.05

    after = engine_for(generator, "cpu", "onnx")(drawn)
    assert worst(after, before) > 1e-3
    assert worst(after, engine_for(generator, "cpu", "eager")(drawn)) < 1e-4


def shared(engine, tile, n, place, seed):
    """The bits of `tile` [latent] drawn in a pass of n, at a place, beside strangers of `seed`."""
    rows = latents(n, seed)
    rows[place] = tile
    return hashlib.sha256(engine(rows)[place].numpy().tobytes()).hexdigest()


@pytest.mark.parametrize(("canvas", "bands"), SIZES)
@pytest.mark.parametrize(("norm", "width"), [("batch", 4), ("none", 16)])
@pytest.mark.parametrize("name", ["eager", "onnx"])
def test_a_tile_has_the_same_bits_in_every_pass(canvas, bands, norm, width, name):
    engine = engine_for(network(canvas, bands, norm, width=width), "cpu", name)
    tile, other = latents(2, seed=99)
    found = {shared(engine, tile, n, place, seed=n) for n in (*range(1, 9), 11) for place in range(n)}

    assert len(found) == 1
    assert shared(engine, other, 1, 0, seed=0) not in found


@pytest.mark.parametrize("name", ["eager", "onnx"])
def test_a_tile_has_the_same_bits_from_four_threads_at_once(name):
    engine = engine_for(network(144, 3, "none", width=16), "cpu", name)
    tiles = latents(4, seed=99)
    alone = [shared(engine, tile, 1, 0, seed=0) for tile in tiles]
    work = [(which, n, seed) for seed in range(3) for n in range(1, 9) for which in range(4)]

    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda job: shared(engine, tiles[job[0]], job[1], job[1] - 1, job[2]), work))
    assert beside == [alone[which] for which, _, _ in work]


def report():
    """The bits of a tile in passes of 1, 2 and 8 by every case, and by how many threads this process grew."""
    importlib.import_module("onnxruntime")  # which starts one for itself
    with one_thread():
        generators = [network(canvas, 3, norm, width=16) for canvas, norm, _ in OF_BITS]
        before = _threads()
        engines = [engine_for(made, "cpu", name) for made, (_, _, name) in zip(generators, OF_BITS, strict=True)]
    bits = [[shared(engine, latents(1, seed=99)[0], n, n - 1, seed=n) for n in (1, 2, 8)] for engine in engines]
    return {"bits": bits, "grown": _threads() - before}


def _threads():
    folder = Path("/proc/self/task")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def in_a_new_process(code, **environment):
    """What `code` prints as JSON in a process of its own, this file's folder on its path; None unsets a variable."""
    values = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    values = {key: value for key, value in values.items() if value is not None}
    command = [sys.executable, "-W", "error", "-c", f"import json\n{code}"]
    here = Path(__file__).parent
    ran = subprocess.run(command, check=False, env=values, cwd=here, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_new_processes_of_any_number_of_threads_give_the_same_bits_on_one_thread():
    code = "import test_engines; print(json.dumps(test_engines.report()))"
    reports = [in_a_new_process(code, OMP_NUM_THREADS=threads) for threads in ("1", "2", None)]

    here = report()["bits"]
    assert all(len(set(of_case)) == 1 for of_case in here)
    assert len({of_case[0] for of_case in here}) == len(OF_BITS)
    assert [found["bits"] for found in reports] == [here] * 3
    assert [found["grown"] for found in reports] == [0] * 3


def test_eager_leaves_torch_s_number_of_threads_alone():
    torch.set_num_threads(2)
    try:
        engine_for(network(), "cpu", "eager")(latents(1))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_latents_may_lie_anyhow_in_memory():
    drawn = latents(LATENTS, seed=1, size=3)
    for name in ("eager", "onnx"):
        engine = engine_for(network(), "cpu", name)
        assert torch.equal(engine(drawn.T), engine(drawn.T.contiguous()))


def test_auto_is_onnx_on_the_cpu_and_eager_elsewhere():
    assert engine_for(network(), "cpu").name == engine_for(network(), "cpu", "onnx").name == "onnx"
    assert engine_for(network(), "cpu", "eager").name == engine_for(network(), "meta").name == "eager"


@pytest.mark.parametrize("n", [1, 8, 11])
def test_another_device_draws_in_passes_of_eight(n):
    generator, rows = network(80, 3, "none", "relu"), []
    generator.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    images = engine_for(generator, "meta")(latents(n))

    assert (tuple(images.shape), images.device.type) == ((n, 3, 80, 80), "meta")
    assert set(rows) == {8}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_s_flux_is_the_cpu_s_and_its_bits_hang_on_no_neighbour():
    generator, drawn = network(144, 3, "none", "relu", width=16), latents(11)
    right = engine_for(copy.deepcopy(generator), "cpu", "eager")(drawn)
    engine = engine_for(generator, "cuda")

    assert worst(engine(drawn).cpu(), right) < 1e-3
    assert all(torch.equal(engine(drawn[i : i + 1]), engine(drawn)[i : i + 1]) for i in range(11))


def test_without_onnx_the_bundle_works_with_eager():
    code = """
import sys
sys.modules["onnx"] = sys.modules["onnxruntime"] = None
import skygen.bundle
from skygen.bundle.engines import engine_for
from test_engines import latents, network
try:
    engine_for(network(), "cpu", "onnx")
except ValueError as error:
    said = str(error)
engine = engine_for(network(), "cpu")
print(json.dumps({"name": engine.name, "shape": list(engine(latents(1)).shape), "said": said}))
"""
    found = in_a_new_process(code)

    assert (found["name"], found["shape"]) == ("eager", [1, 1, 64, 64])
    assert found["said"] == "engine is 'onnx', which needs the packages onnx and onnxruntime: install skygen[serve]"


def test_the_package_loads_neither_onnx_nor_its_runtime_before_an_engine_is_asked_for():
    code = (
        "import sys, skygen.bundle, skygen.bundle.engines; print(json.dumps([m for m in sys.modules if 'onnx' in m]))"
    )
    loaded = in_a_new_process(code)

    assert [name for name in loaded if name.split(".")[0] in ("onnx", "onnxruntime")] == []


@pytest.mark.parametrize(
    ("device", "name", "words"),
    [
        ("cpu", "openvino", "engine is 'openvino'; it must be 'auto', 'eager' or 'onnx'"),
        ("meta", "onnx", "engine is 'onnx' and device 'meta'; onnx computes on the CPU: choose 'auto' or 'eager'"),
    ],
)
def test_an_engine_that_there_is_not_is_refused(device, name, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        engine_for(network(), device, name)


@pytest.mark.parametrize(
    ("place", "layer", "words"),
    [
        (2, nn.GELU(), "for GELU"),
        (3, nn.Conv2d(32, 16, 3, 1, 1), "for Conv2d"),
        (3, nn.Upsample(scale_factor=2, mode="bilinear"), "for Upsample"),
        (3, nn.ConvTranspose2d(32, 16, 4, 2, 1, dilation=2), "its dilation is not"),
        (3, nn.ConvTranspose2d(32, 16, 4, 2, 1, groups=2), "its groups is not"),
        (3, nn.ConvTranspose2d(32, 16, (4, 6), 2, 1), "its kernel_size is not"),
        (0, nn.BatchNorm2d(100), "for BatchNorm2d"),
        (1, nn.BatchNorm2d(32, track_running_stats=False), "it keeps no running statistics"),
    ],
)
def test_a_layer_without_a_translation_is_named(place, layer, words):
    generator = network()
    generator.layers[place] = layer

    with pytest.raises(ValueError, match=rf"the ONNX graph has no translation .*{words}"):
        graph_of(generator)


@pytest.mark.parametrize(("place", "words"), [(3, "for ConvTranspose2d"), (-1, "for an Upsample with no convolution")])
def test_repeated_values_with_no_convolution_after_them_are_refused(place, words):
    generator = network(norm="none")
    generator.layers[place] = nn.Upsample(scale_factor=2)

    with pytest.raises(ValueError, match=f"the ONNX graph has no translation {words}"):
        graph_of(generator)


def test_a_last_activation_without_a_translation_is_named():
    generator = network()
    generator.last = torch.sin

    with pytest.raises(ValueError, match=r"no translation for the last activation .*sin"):
        graph_of(generator)
