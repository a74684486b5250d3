"""A Keras model on the PyTorch backend: its layers' weights as units, its settings, and its trace."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import wraps
from math import prod
from operator import itemgetter
from pathlib import Path
from typing import Any

import keras
import torch
from keras import layers
from keras.src.layers.rnn.conv_lstm import ConvLSTMCell
from torch.overrides import TorchFunctionMode

from framebench.prove.inside.deciding import decided
from framebench.prove.inside.draws import Cast
from framebench.prove.inside.side import Side
from framebench.prove.inside.trace import Tracer
from framebench.prove.inside.units import Slot, Unit, View, part, same, shaped
from framebench.workloads import loading
from framebench.workloads.loading import UserError

CELLS = {layers.LSTMCell: "ifco", layers.GRUCell: "zrh", layers.SimpleRNNCell: "h", ConvLSTMCell: "ifco"}
NORMS = (layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization, layers.RMSNormalization)
ROLES = {"moving_mean": "mean", "moving_variance": "variance", "scale": "gamma"}


class Contiguous(TorchFunctionMode):
    """Convolutions of arrays in PyTorch's own layout.

    Keras passes its kernels as permuted views, for which PyTorch 2.13 has no gradient in float64 ("slow_conv2d:
    grad_weight must be contiguous").
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.conv2d:
            plain = torch.contiguous_format
            args = tuple(one.clone(memory_format=plain) if isinstance(one, torch.Tensor) else one for one in args)
            kwargs = {
                name: one.clone(memory_format=plain) if isinstance(one, torch.Tensor) else one
                for name, one in kwargs.items()
            }
        return func(*args, **kwargs)


class KerasSide(Side):
    """The model of `keras.py`, in one precision; UserError if it cannot be proved."""

    def __init__(self, path: Path, function: str, precision: str, inputs: torch.Tensor) -> None:
        self.file, self.path = path.name, path
        self.rates = {}
        self.dtype = getattr(torch, precision)
        keras.utils.clear_session()
        self.overruled: list[str] = []
        with decided(precision, self.overruled):
            self.model = loading.model(path, function)
            torch.set_grad_enabled(True)  # a user's file may have turned gradients off
            if not isinstance(self.model, keras.Model):
                kind = type(self.model).__name__
                raise UserError(f"{self.file}: {function}() returned {kind}; it must return a keras.Model")
            try:
                self._run(inputs, training=False)
            except Exception as error:  # whatever a user's layers raise
                raise _unfit(path, self.model, inputs, error) from None
        if not self.model.weights:
            raise UserError(f"{self.file}: the model has no weights")
        if not self.model.trainable_weights:
            raise UserError(f"{self.file}: every layer is frozen (trainable = False); a proof trains the model")
        self.paths = dict(_paths(self.model))
        self._convert(precision)
        self.units = list(_units(self.paths))

    def _run(self, inputs: torch.Tensor, training: bool) -> torch.Tensor:
        with Contiguous(), Cast(self.dtype):
            return self.model(inputs, training=training)

    @property
    def parameters(self) -> list[torch.Tensor]:
        return [one.value for one in self.model.trainable_variables]

    @property
    def known(self) -> list[torch.Tensor]:
        return [one.value for one in self.model.variables]

    @property
    def stored(self) -> list[torch.Tensor]:
        return [one.value for one in self.model.weights]

    @property
    def named(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from ((f"keras/{place:03}/{one.name}", one.value) for place, one in enumerate(self.model.weights))

    def watched(self, layer: Any, path: str, tracer: Tracer) -> AbstractContextManager[None]:
        return _watched(layer, path, tracer)

    def layers(self, *kinds: type) -> Iterator[tuple[str, Any]]:
        yield from ((path, one) for one, path in self.paths.items() if isinstance(one, kinds))

    def name(self, path: str) -> str:
        """The user's name of the layer at a path; a part within a layer of Keras itself has that layer's name."""
        names = path.split("/") if path else []
        for i, name in enumerate(names, 1):
            if type(self.at("/".join(names[:i]))).__module__.startswith("keras.src.layers"):
                return name
        return names[-1] if names else self.model.name

    def _convert(self, precision: str) -> None:
        """Give layers with a type of their own, such as the last one under mixed precision, the type of the proof."""
        for path, one in self.layers(layers.Layer):
            if one.dtype_policy.name != precision and not isinstance(one, keras.Model):
                self.overruled.append(f"dtype {one.dtype_policy.name} of layer {path!r}")
                one.dtype_policy = precision
        for variable in self.model.variables:
            if variable.value.dtype.is_floating_point and variable._dtype != precision:
                # A new parameter: the gradient of this one would be accumulated in its first type.
                variable._value = torch.nn.Parameter(
                    variable.value.detach().to(self.dtype), requires_grad=variable.trainable
                )
                variable._dtype = precision


def _unfit(path: Path, model: keras.Model, inputs: torch.Tensor, error: Exception) -> UserError:
    file = path.name
    shape = tuple(inputs.shape[1:])
    wanted = None
    with suppress(Exception):
        wanted = tuple(model.input_shape[1:])
    sizes = zip(shape, wanted or (), strict=False)
    if wanted and (len(wanted) != len(shape) or any(b is not None and a != b for a, b in sizes)):
        return UserError(f"{file}: the model takes {wanted}, but problem.yaml: input.shape is {list(shape)}")
    return UserError(
        f"{file}: the model does not run on a batch of problem.yaml: input.shape {list(shape)}:"
        f" {loading.in_a_line(error)}",
        loading.told(error, path),
    )


def _paths(model: keras.Model) -> Iterator[tuple[Any, str]]:
    """Every operation of a model with its path: names of layers, joined by /; the model's own is empty."""
    seen: set[int] = set()
    yield model, ""
    todo: list[tuple[Any, str]] = [(model, "")]
    while todo:
        parent, prefix = todo.pop(0)
        inner = list(getattr(parent, "_operations", [])) + list(parent._layers)
        for one in inner:
            if id(one) in seen or isinstance(one, layers.InputLayer) or not hasattr(one, "call"):
                continue
            seen.add(id(one))
            path = f"{prefix}/{one.name}" if prefix else one.name
            yield one, path
            if isinstance(one, layers.Layer):
                todo.append((one, path))


@contextmanager
def _watched(one: Any, path: str, tracer: Tracer) -> Iterator[None]:
    """Hooks of torch.nn.Module do not reach the layers of Keras, so `call` itself is replaced for the time."""
    call = one.call

    @wraps(call)
    def watched(*args: Any, **kwargs: Any) -> Any:
        with tracer.inside(path):
            return call(*args, **kwargs)

    object.__setattr__(one, "call", watched)
    try:
        yield
    finally:
        object.__delattr__(one, "call")


def _units(paths: dict[Any, str]) -> Iterator[Unit]:
    seen: set[int] = set()
    for one, path in paths.items():
        if not isinstance(one, layers.Layer) or id(one) in seen:
            continue
        cell = getattr(one, "cell", None)
        if cell is not None and id(cell) not in seen and type(cell) in CELLS:
            seen.add(id(cell))
            yield from _recurrent(path, cell, one)
        elif type(one) in CELLS:
            yield from _recurrent(path, one, one)
        else:
            yield from _plain(path, one)


def _plain(path: str, one: layers.Layer) -> Iterator[Unit]:
    """The units of a layer that is not recurrent."""
    own = {
        variable.path.rpartition("/")[2]: variable.value
        for variable in [*one._trainable_variables, *one._non_trainable_variables]
        if variable.value.dtype.is_floating_point
    }
    if not own:
        return
    match one:
        case layers.SeparableConv1D() | layers.SeparableConv2D():
            depthwise = own.pop("depthwise_kernel")
            config = _conv(one) | {"groups": depthwise.shape[-2]}
            yield Unit(path, "kernel", {"kernel": Slot(depthwise, _depthwise)}, config, False)
            yield Unit(path, "kernel", _with_bias(Slot(own["pointwise_kernel"], same), own), {}, False)
        case layers.DepthwiseConv1D() | layers.DepthwiseConv2D():
            yield Unit(
                path,
                "kernel",
                _with_bias(Slot(own["kernel"], _depthwise), own),
                _conv(one) | {"groups": own["kernel"].shape[-2]},
            )
        case layers.Conv1DTranspose() | layers.Conv2DTranspose() | layers.Conv3DTranspose():
            kernel = Slot(own["kernel"], lambda kernel: kernel.transpose(-1, -2))
            yield Unit(path, "kernel", _with_bias(kernel, own), _conv(one) | {"transposed": True})
        case layers.EinsumDense():
            terms, kernel_axes = one.equation.split("->")[0].split(",")
            shape = own["kernel"].shape
            inner = prod(n for axis, n in zip(kernel_axes, shape, strict=True) if axis in terms)
            ordered = kernel_axes == "".join(sorted(kernel_axes, key=lambda axis: axis not in terms))
            if not ordered:
                yield from (Unit(path, "bare", {name: Slot(value, same)}) for name, value in own.items())
                return
            yield Unit(path, "kernel", _with_bias(Slot(own["kernel"], shaped(inner, -1)), own, shaped(-1)))
        case layers.Dense():
            yield Unit(path, "kernel", _with_bias(Slot(own["kernel"], same), own))
        case _ if hasattr(one, "kernel_size") and "kernel" in own:
            yield Unit(path, "kernel", _with_bias(Slot(own["kernel"], same), own), _conv(one))
        case _ if isinstance(one, NORMS):
            kind = type(one).__name__.removesuffix("Normalization").lower()
            config = {"epsilon": one.epsilon, "norm": "instance" if getattr(one, "groups", 0) == -1 else kind}
            if isinstance(one, layers.BatchNormalization):
                config |= {"momentum": one.momentum}
            slots = {ROLES.get(name, name): Slot(value, shaped(-1)) for name, value in own.items()}
            yield Unit(path, "norm", slots, config)
        case _:
            yield from (Unit(path, "bare", {name: Slot(value, same)}, {}, len(own) == 1) for name, value in own.items())


def _with_bias(kernel: Slot, own: dict[str, torch.Tensor], view: View = same) -> dict[str, Slot]:
    return {"kernel": kernel} | ({"bias": Slot(own["bias"], view)} if "bias" in own else {})


def _depthwise(kernel: torch.Tensor) -> torch.Tensor:
    *spatial, channels, multiplier = kernel.shape
    return kernel.reshape(*spatial, 1, channels * multiplier)


def _conv(one: Any) -> dict[str, Any]:
    rank = len(one.kernel_size)
    return {
        "kernel size": tuple(one.kernel_size),
        "stride": _each(one.strides, rank),
        "dilation": _each(one.dilation_rate, rank),
        "groups": getattr(one, "groups", 1),
        "padding": one.padding,
    }


def _each(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,) * rank


def _recurrent(path: str, cell: Any, layer: Any) -> Iterator[Unit]:
    gates = CELLS[type(cell)]
    slots = {}
    for i, gate in enumerate(gates):
        of_gate = part(i, len(gates), -1)
        slots[f"kernel {gate}"] = Slot(cell.kernel.value, of_gate)
        slots[f"recurrent kernel {gate}"] = Slot(cell.recurrent_kernel.value, of_gate)
        if cell.use_bias and cell.bias.value.ndim == 2:  # of the input and of the state
            slots[f"bias {gate}"] = Slot(cell.bias.value, part(i, len(gates), -1, itemgetter(0)))
            slots[f"recurrent bias {gate}"] = Slot(cell.bias.value, part(i, len(gates), -1, itemgetter(1)))
        elif cell.use_bias:
            slots[f"bias {gate}"] = Slot(cell.bias.value, of_gate)
    config = {"cell": type(cell).__name__, "backwards": bool(getattr(layer, "go_backwards", False))}
    config |= {"activation": cell.activation.__name__}
    if hasattr(cell, "recurrent_activation"):
        config |= {"recurrent activation": cell.recurrent_activation.__name__}
    if hasattr(cell, "reset_after"):
        config |= {"reset after": cell.reset_after}
    yield Unit(path, "recurrent", slots, config)
