"""A generator as an ONNX graph: what ONNX Runtime draws tiles with.

Written layer by layer, not traced, so that the graph is the network's arithmetic and nothing else. What is linear after
a transposed convolution, batch norm and the mixing of the light common to all bands, is folded into it: computed in
float64 and rounded to float32 once.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from skygen.gan import networks
from skygen.gan.networks import Generator

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

LATENTS, IMAGES = "latents", "images"  # the graph's input [n, latent_size] and output [n, bands, canvas, canvas]
_OPSET, _IR = 17, 8  # those of ONNX 1.12 (2022), which all runtimes know


class _Painting(NamedTuple):
    """A transposed convolution with what was folded into it, and whether ReLU follows."""

    weight: NDArray[np.float64]  # [in, out, kernel, kernel]
    bias: NDArray[np.float64]  # [out]
    stride: int
    padding: int
    relu: bool = False

    def scaled(self, scale: NDArray[np.float64], offset: NDArray[np.float64]) -> Self:
        """The same followed by x · scale + offset, each [out]: a channel is the second axis of its weight."""
        weight = self.weight * scale[None, :, None, None]
        return self._replace(weight=weight, bias=self.bias * scale + offset)

    def mixed(self, share: float) -> Self:
        """The same followed by adding the first channel to `share` times each of the others."""
        weight = self.weight[:, :1] + share * self.weight[:, 1:]
        return self._replace(weight=weight, bias=self.bias[:1] + share * self.bias[1:])

    def side(self, before: int) -> int:
        """The side of the image that becomes of one of `before` px."""
        return (before - 1) * self.stride - 2 * self.padding + int(self.weight.shape[-1])


@dataclass
class _Graph:
    """Nodes in a row, each fed with the one before."""

    nodes: "list[NodeProto]"
    constants: "list[TensorProto]"
    end: str  # the last node's output

    def then(self, operator: str, *inputs: str, **attributes: Any) -> None:
        """Append a node that takes the end and `inputs`."""
        from onnx import helper

        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [self.end, *inputs], [name], name, **attributes))
        self.end = name

    def constant(self, values: "NDArray[Any] | float") -> str:
        """The name of a new constant; floats become float32."""
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

    paintings = _paintings(generator)
    graph = _Graph([], [], LATENTS)
    graph.then("Unsqueeze", graph.constant(np.array([2, 3])))  # [n, latent_size, 1, 1]
    side = 1
    for painting in paintings:
        _paint(graph, painting)
        side = painting.side(side)
    latent_size, bands = paintings[0].weight.shape[0], len(paintings[-1].bias)
    _activate(graph, generator, bands, side)
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
    for layer in generator.layers:
        if isinstance(layer, nn.ConvTranspose2d):
            found.append(_painting(layer))
        elif isinstance(layer, nn.BatchNorm2d) and found and not found[-1].relu:
            found[-1] = found[-1].scaled(*_batch_norm(layer))
        elif isinstance(layer, nn.ReLU) and found:
            found[-1] = found[-1]._replace(relu=True)
        elif not isinstance(layer, nn.Identity):
            raise ValueError(
                f"the ONNX graph has no translation for {layer} after {len(found)} transposed convolutions"
            )
    if generator._colour is not None:
        found[-1] = found[-1].mixed(generator._colour)
    return found


def _painting(layer: nn.ConvTranspose2d) -> _Painting:
    stride, padding = layer.stride[0], int(layer.padding[0])
    plain = nn.ConvTranspose2d(1, 1, layer.kernel_size[0], stride, padding)
    for name in ("kernel_size", "stride", "padding", "output_padding", "dilation", "groups"):
        if getattr(layer, name) != getattr(plain, name):
            raise ValueError(f"the ONNX graph has no translation for {layer}: its {name} is not of the plain kind")
    bias = np.zeros(layer.out_channels) if layer.bias is None else _float64(layer.bias)
    return _Painting(_float64(layer.weight), bias, stride, padding)


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


def _paint(graph: _Graph, painting: _Painting) -> None:
    weight, bias = graph.constant(painting.weight), graph.constant(painting.bias)
    graph.then(
        "ConvTranspose",
        weight,
        bias,
        kernel_shape=painting.weight.shape[2:],
        strides=[painting.stride] * 2,
        pads=[painting.padding] * 4,
    )
    if painting.relu:
        graph.then("Relu")


def _activate(graph: _Graph, generator: Generator, bands: int, side: int) -> None:
    """Append the generator's last activation, to an end of [n, bands, side, side]."""
    name = next((name for name, known in networks._LAST.items() if known is generator._last), None)
    if name == "tanh":
        graph.then("Tanh")
    elif name == "relu":
        graph.then("Relu")
    elif name == "softplus":  # ONNX's has a sharpness of 1
        graph.then("Sub", graph.constant(networks._DARK))
        graph.then("Mul", graph.constant(networks._SHARPNESS))
        graph.then("Softplus")
        graph.then("Mul", graph.constant(1 / networks._SHARPNESS))
        graph.then("Clip", "", graph.constant(networks._BRIGHTEST))
    elif name == "softmax":
        graph.then("Reshape", graph.constant(np.array([0, bands, side * side])))
        graph.then("Softmax", axis=-1)
        graph.then("Mul", graph.constant(float(side * side)))
        graph.then("Sub", graph.constant(1.0))
        graph.then("Reshape", graph.constant(np.array([0, bands, side, side])))
    else:
        raise ValueError(f"the ONNX graph has no translation for the last activation {generator._last}")
