"""The engines that can draw a bundle's tiles, side by side on one thread: what each costs, and whether it is exact.

PyTorch eager, torch.compile with frozen weights, ONNX Runtime and OpenVINO (of the extra `bench`), the last two from
the graph of `skygen.bundle.onnx_graph`. All compute in float32. The limit is a matrix product by torch or by ONNX
Runtime, whichever is faster: torch's library is slow on some processors.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime
import torch
from onnx import TensorProto, helper

from benchmarks.limits import flop, print_machine, side_by_side
from skygen.bundle.engines import engine_for
from skygen.bundle.onnx_graph import LATENTS, graph_of
from skygen.gan.camera import camera_of
from skygen.gan.networks import Generator, generator_shape, initialise
from skygen.gan.recipes import ConvolutionalRecipe, read_recipes
from skygen.params import TileSetParams, load
from skygen.sky.stretch import Stretch

BATCHES = (1, 8, 32)
RECIPES = ("gan", "improved")
SCALES = ("laptop", "paper")  # whose widths are drawn
SKY_NOISE_NMGY = 0.03  # of the survey in r: where flux is under it, differences are shares of it
PRODUCT = 1024  # side of the matrices whose product is the limit

Engine = Callable[[torch.Tensor], torch.Tensor]


class Case(NamedTuple):
    """A network to draw with, and how its images become flux."""

    name: str
    generator: Generator
    stretch: Stretch
    latents: torch.Tensor  # [32, latent_size]


def main() -> None:
    """Print a row a network and engine; times and the limit of a batch size are medians of one run, in turn."""
    torch.set_num_threads(1)
    print_machine()
    params = load(Path("params.yaml"))
    recipes = {name: row for name, row in read_recipes(params.recipes).items() if isinstance(row, ConvolutionalRecipe)}
    print(
        "                                           ms a tile in passes of   share of a product   same  greatest error"
    )
    print("tiles    recipe    width  engine            1       8      32        1     8    32      bits  in flux")
    for tiles, tile_set in params.judged.items():
        for recipe in RECIPES:
            for scale in SCALES:
                _rows(_case(tiles, tile_set, recipe, recipes[recipe], params.scales[scale].training[tiles].width))


def _case(tiles: str, tile_set: TileSetParams, name: str, recipe: ConvolutionalRecipe, width: int) -> Case:
    """A network of the recipe with the weights it starts from."""
    rng = torch.Generator().manual_seed(0)
    generator = Generator(generator_shape(recipe, tile_set.size, len(tile_set.bands), width))
    initialise(generator, recipe.init, recipe.init_std, rng)
    latents = torch.randn(max(BATCHES), recipe.latent_size, generator=rng)
    stretch = camera_of(recipe, Stretch(tile_set.softening_nmgy, tile_set.limit_nmgy)).stretch
    return Case(f"{tiles:8} {name:9} {width:5}", generator.eval().requires_grad_(False), stretch, latents)


def _rows(case: Case) -> None:
    engines = dict(_engines(case))
    times = [_times(case, list(engines.values()), n) for n in BATCHES]  # the last of each is the product's
    work = flop(lambda: case.generator(case.latents[:1]))
    right = case.stretch.unstretch(engines["eager"](case.latents))
    for place, (name, engine) in enumerate(engines.items()):
        milliseconds = "".join(f"{1e3 * of_batch[place]:8.2f}" for of_batch in times)
        shares = "".join(f"{work / of_batch[place] / (2 * PRODUCT**3 / of_batch[-1]):6.2f}" for of_batch in times)
        images = engine(case.latents)
        same = all(torch.equal(engine(case.latents[:n]), images[:n]) for n in BATCHES)
        error = (case.stretch.unstretch(images) - right).abs() / right.abs().clamp(min=SKY_NOISE_NMGY)
        print(f"{case.name}  {name:12}{milliseconds}   {shares}      {'yes' if same else 'no':4}  {error.max():.1e}")


def _times(case: Case, engines: list[Engine], n: int) -> list[float]:
    """Seconds a tile of each engine in passes of n, and those of a matrix product beside them."""
    works = [partial(engine, case.latents[:n]) for engine in engines]
    *of_engines, first, second = side_by_side(*works, *_products())
    return [*(seconds / n for seconds in of_engines), min(first, second)]


def _products() -> tuple[Callable[[], object], Callable[[], object]]:
    """A matrix product by torch, and the same by ONNX Runtime."""
    left, right = torch.randn(PRODUCT, PRODUCT), torch.randn(PRODUCT, PRODUCT)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [PRODUCT] * 2) for name in ("x", "y", "z")]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "y"], ["z"])], "product", values[:2], values[2:])
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: left @ right, lambda: session.run(None, {"x": left.numpy(), "y": right.numpy()})


def _engines(case: Case) -> Iterator[tuple[str, Engine]]:
    """The engines that work here; of one that does not, a line says why."""
    yield "eager", engine_for(case.generator, "cpu", "eager")
    for name, make in (("compile", _compiled), ("onnx", _onnx), ("openvino", _openvino)):
        try:
            engine = make(case.generator)
            for n in BATCHES:
                engine(case.latents[:n])
        except Exception as error:  # a compiler may fail in any way
            print(f"{case.name}  {name:12} does not work here: {type(error).__name__}: {str(error).splitlines()[0]}")
        else:
            yield name, engine


def _compiled(generator: Generator) -> Engine:
    """By torch's compiler, which may fold batch norm and keep weights in its own order."""
    torch.compiler.reset()
    network: Engine = torch.compile(generator, dynamic=False, options={"freezing": True})

    def compute(latents: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            return network(latents)

    return compute


def _onnx(generator: Generator) -> Engine:
    return engine_for(generator, "cpu", "onnx")


def _openvino(generator: Generator) -> Engine:
    import openvino

    core: Any = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    model = core.compile_model(core.read_model(graph_of(generator).SerializeToString()), "CPU", settings)
    return lambda latents: torch.from_numpy(model({LATENTS: latents.numpy()})[0].copy())


if __name__ == "__main__":
    main()
