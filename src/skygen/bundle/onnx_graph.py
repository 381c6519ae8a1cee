"""A generator as an ONNX graph: what ONNX Runtime draws tiles with.

Written layer by layer, not traced, so that the graph is the network's arithmetic and nothing else. What is linear after
a transposed convolution, batch norm, is folded into it: computed in float64 and rounded to float32 once.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from skygen.gan import networks
from skygen.gan.networks import Generator
from skygen.gan.recipes import Last

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

LATENTS, IMAGES = "latents", "images"  # the graph's input [n, latent_size] and output [n, bands, canvas, canvas]
# By axis, what a convolution of 3 after values are repeated weighs as a transposed one: [4, 3].
_REPEATED = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=np.float64)
_OPSET, _IR = 17, 8  # those of ONNX 1.12 (2022), which all runtimes know


class _Painting(NamedTuple):
    """A transposed convolution with what was folded into it, and whether ReLU follows."""

    weight: NDArray[np.float64]  # [in, out, kernel, kernel]
    bias: NDArray[np.float64]  # [out]
    stride: int
    padding: int
    relu: bool = False

    def scaled(self, scale: NDArray[np.float64], offset: NDArray[np.float64]) -> Self:
        """The same followed by x · scale + offset, each [out] or one: a channel is the second axis of its weight."""
        weight = self.weight * scale.reshape(1, -1, 1, 1)
        return self._replace(weight=weight, bias=self.bias * scale + offset)

    def side(self, before: int) -> int:
        """The side of the image that becomes of one of `before` px."""
        return (before - 1) * self.stride - 2 * self.padding + int(self.weight.shape[-1])


@dataclass
class _Graph:
    """Nodes in the order in which they are computed; a value is known by its name."""

    nodes: "list[NodeProto]"
    constants: "list[TensorProto]"

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The value of a new node."""
        from onnx import helper

        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, values: "NDArray[Any] | float") -> str:
        """The value of a new constant; floats become float32."""
        from onnx import numpy_helper

        array = np.asarray(values)
        name = f"constant_{len(self.constants)}"
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def graph_of(generator: Generator) -> "ModelProto":
    """The ONNX model of `generator` in evaluation mode: float32, for any number of latents.

    Raises `ValueError` where a layer has no translation here.
    """
    from onnx import TensorProto, checker, helper

    paintings, last = _paintings(generator), _last(generator)
    latent_size, bands, side = paintings[0].weight.shape[0], len(paintings[-1].bias), 1
    graph = _Graph([], [])
    value = graph.node("Unsqueeze", LATENTS, graph.constant(np.array([2, 3])))  # [n, latent_size, 1, 1]
    for painting in paintings:
        value, side = _paint(graph, value, painting), painting.side(side)
    _activate(graph, value, last, (bands, side))
    graph.nodes[-1].output[0] = IMAGES
    drawn = helper.make_graph(
        graph.nodes,
        "generator",
        [helper.make_tensor_value_info(LATENTS, TensorProto.FLOAT, ["n", latent_size])],
        [helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, ["n", bands, side, side])],
        graph.constants,
    )
    model = helper.make_model(drawn, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    checker.check_model(model, full_check=True)
    return model


def _paintings(generator: Generator) -> list[_Painting]:
    """The layers, with all that is linear folded into the transposed convolution before it."""
    found: list[_Painting] = []
    repeated = False
    for layer in generator.layers:
        if isinstance(layer, nn.ConvTranspose2d) and not repeated:
            found.append(_painting(layer))
        elif isinstance(layer, nn.Upsample) and _doubles(layer) and found and not repeated:
            repeated = True
        elif isinstance(layer, nn.Conv2d) and repeated:
            found.append(_painting_of_repeated(layer))
            repeated = False
        elif isinstance(layer, nn.BatchNorm2d) and found and not found[-1].relu:
            found[-1] = found[-1].scaled(*_batch_norm(layer))
        elif isinstance(layer, nn.ReLU) and found:
            found[-1] = found[-1]._replace(relu=True)
        elif not isinstance(layer, nn.Identity):
            raise ValueError(
                f"the ONNX graph has no translation for {layer} after {len(found)} transposed convolutions"
            )
    if repeated:
        raise ValueError("the ONNX graph has no translation for an Upsample with no convolution after it")
    return found


def _doubles(layer: nn.Upsample) -> bool:
    return (layer.mode, layer.scale_factor) == ("nearest", 2.0)


def _painting(layer: nn.ConvTranspose2d) -> _Painting:
    stride, padding = layer.stride[0], int(layer.padding[0])
    _refuse_unlike(layer, nn.ConvTranspose2d(1, 1, layer.kernel_size[0], stride, padding))
    return _Painting(_float64(layer.weight), _bias(layer), stride, padding)


def _painting_of_repeated(layer: nn.Conv2d) -> _Painting:
    """A convolution of the map that repeats each value four times: the transposed one with the same results."""
    _refuse_unlike(layer, nn.Conv2d(1, 1, 3, 1, 1))
    weight = np.einsum("ya,xb,oiab->ioyx", _REPEATED, _REPEATED, _float64(layer.weight))
    return _Painting(weight, _bias(layer), 2, 1)


def _refuse_unlike(layer: nn.Conv2d | nn.ConvTranspose2d, plain: nn.Module) -> None:
    for name in ("kernel_size", "stride", "padding", "output_padding", "dilation", "groups", "padding_mode"):
        if getattr(layer, name) != getattr(plain, name):
            raise ValueError(f"the ONNX graph has no translation for {layer}: its {name} is not of the plain kind")


def _bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> NDArray[np.float64]:
    return np.zeros(layer.out_channels) if layer.bias is None else _float64(layer.bias)


def _batch_norm(layer: nn.BatchNorm2d) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and offset by which batch norm in evaluation mode multiplies and shifts each channel."""
    if layer.running_mean is None or layer.running_var is None:
        raise ValueError(f"the ONNX graph has no translation for {layer}: it keeps no running statistics")
    scale = 1 / np.sqrt(_float64(layer.running_var) + layer.eps)
    if layer.affine:
        scale = scale * _float64(layer.weight)
        return scale, _float64(layer.bias) - scale * _float64(layer.running_mean)
    return scale, -scale * _float64(layer.running_mean)


def _float64(values: Tensor) -> NDArray[np.float64]:
    return np.asarray(values.detach().cpu().double().numpy())


def _paint(graph: _Graph, value: str, painting: _Painting) -> str:
    value = graph.node(
        "ConvTranspose",
        value,
        graph.constant(painting.weight),
        graph.constant(painting.bias),
        kernel_shape=painting.weight.shape[2:],
        strides=[painting.stride] * 2,
        pads=[painting.padding] * 4,
    )
    return graph.node("Relu", value) if painting.relu else value


def _last(generator: Generator) -> Last:
    """The name of the generator's last activation."""
    for name, activation in networks.LAST.items():
        if activation is generator.last:
            return name
    raise ValueError(f"the ONNX graph has no translation for the last activation {generator.last}")


def _activate(graph: _Graph, value: str, last: Last, shape: tuple[int, int]) -> None:
    """Append the last activation of a value of [n, bands, side, side]; `shape` is bands and side."""
    if last == "tanh":
        graph.node("Tanh", value)
    elif last == "relu":
        graph.node("Relu", value)
    elif last == "softplus":
        graph.node("Softplus", value)
    else:
        bands, side = shape
        pixels = graph.node("Reshape", value, graph.constant(np.array([0, bands, side * side])))
        light = graph.node("Mul", graph.node("Softmax", pixels, axis=-1), graph.constant(float(side * side)))
        centred = graph.node("Sub", light, graph.constant(1.0))
        graph.node("Reshape", centred, graph.constant(np.array([0, bands, side, side])))
