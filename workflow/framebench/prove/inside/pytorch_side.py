"""A user's PyTorch module: its layers' weights as units, its settings, and its trace."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.overrides import TorchFunctionMode

from framebench.prove.inside.draws import Cast
from framebench.prove.inside.side import Side
from framebench.prove.inside.trace import Tracer
from framebench.prove.inside.units import Slot, Unit, part, same, transposed
from framebench.workloads import loading
from framebench.workloads.loading import UserError

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
NORMS = (*BATCH_NORMS, *INSTANCE_NORMS, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
GATES = {nn.LSTM: "ifco", nn.LSTMCell: "ifco", nn.GRU: "rzh", nn.GRUCell: "rzh", nn.RNN: "h", nn.RNNCell: "h"}
COUNTER = "num_batches_tracked"  # of a batch norm: no weight
ROLES = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}


class Gelus(TorchFunctionMode):
    """Gives the i-th GELU the i-th approximation, functional or not; later ones keep their own."""

    def __init__(self, approximations: Sequence[str]) -> None:
        super().__init__()
        self.left = list(approximations)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.nn.functional.gelu and self.left:
            kwargs["approximate"] = self.left.pop(0)
        return func(*args, **kwargs)


class PyTorchSide(Side):
    """The module of `pytorch.py`, in one precision; UserError if it cannot be proved."""

    def __init__(self, path: Path, function: str, precision: str, inputs: torch.Tensor) -> None:
        self.file, self.path = path.name, path
        self.rates = {}
        self.gelus: list[str] = []  # the approximation for each GELU, in order of execution
        self.dtype = getattr(torch, precision)
        default = torch.get_default_dtype()
        # Constants that a module computes while it is built should have the precision of the proof.
        torch.set_default_dtype(self.dtype)
        try:
            with Cast(self.dtype):
                module = loading.model(path, function)
        finally:
            torch.set_default_dtype(default)
            torch.set_grad_enabled(True)  # a user's file may have turned gradients off
        module = getattr(module, "_orig_mod", module)  # of torch.compile: compiled, no layer could be seen
        if isinstance(module, torch.jit.ScriptModule):
            raise UserError(
                f"{self.file}: {function}() returned a TorchScript module; it must return the module itself"
            )
        if not isinstance(module, nn.Module):
            raise UserError(
                f"{self.file}: {function}() returned {type(module).__name__}; it must return a torch.nn.Module"
            )
        self._check(module)
        self._take(module.to(self.dtype))
        try:
            with torch.no_grad():
                self._run(inputs, training=False)
        except Exception as error:  # whatever a user's module raises
            raise UserError(
                f"{self.file}: the module does not run on a batch of shape {list(inputs.shape)}, from problem.yaml:"
                f" input.shape (images channels first, sequences as they are): {loading.in_a_line(error)}",
                loading.told(error, path),
            ) from None

    def _take(self, module: nn.Module) -> None:
        self.module = module
        # A weight computed from others, as by weight_norm, belongs to its layer: the modules that compute it have no
        # name.
        names = ((one, name.partition(".parametrizations.")[0]) for name, one in module.named_modules())
        self.paths = {one: name.replace(".", "/") for one, name in names}
        self.units = list(_units(self.paths))

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [one for one in self.module.parameters() if one.requires_grad]

    def _run(self, inputs: torch.Tensor, training: bool) -> torch.Tensor:
        self.module.train(training)
        default = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with Gelus(self.gelus), Cast(self.dtype):
                return self.module(inputs.clone())  # a module may write into its input
        finally:
            torch.set_default_dtype(default)

    def round_constants(self) -> bool:
        """Round constants that are kept as buffers to float32, with which the user's file computes.

        True if that changes any. Keras's file may hold them in float32, for example as a NumPy array of this type.
        """
        weights = {id(slot.tensor) for unit in self.units for slot in unit.slots.values()}
        changed = False
        for one in self.module.buffers():
            if one.is_floating_point() and id(one) not in weights:
                exact = one.clone()
                one.copy_(one.float())
                changed |= not torch.equal(one, exact)
        return changed

    @property
    def known(self) -> list[torch.Tensor]:
        return [*self.module.parameters(), *self.module.buffers()]

    @property
    def stored(self) -> list[torch.Tensor]:
        return list(self.module.state_dict().values())

    @property
    def named(self) -> Iterator[tuple[str, torch.Tensor]]:
        state = self.module.state_dict()
        yield from ((f"pytorch/{name}", one) for name, one in state.items() if not name.endswith(COUNTER))

    def watched(self, layer: Any, path: str, tracer: Tracer) -> AbstractContextManager[None]:
        return _watched(layer, path, tracer)

    def name(self, path: str) -> str:
        """The module's name at a path, by named_modules()."""
        return path.replace("/", ".")

    def in_precision(self, precision: str) -> "PyTorchSide":
        """A copy with the same weights in another precision."""
        other = copy.copy(self)
        other.dtype = getattr(torch, precision)
        other._take(copy.deepcopy(self.module).to(other.dtype))
        return other

    def _check(self, module: nn.Module) -> None:
        if not any(True for _ in module.parameters()):
            raise UserError(f"{self.file}: the module has no parameters")
        if not any(one.requires_grad for one in module.parameters()):
            raise UserError(
                f"{self.file}: every parameter is frozen (requires_grad = False); a proof trains the module"
            )
        for name, parameter in module.named_parameters():
            if isinstance(parameter, nn.parameter.UninitializedParameter):
                raise UserError(f"{self.file}: parameter {name!r} has no shape yet; run a lazy module once in build()")
            if parameter.device.type != "cpu":
                raise UserError(
                    f"{self.file}: parameter {name!r} is on {parameter.device};"
                    " build() must return the module on the CPU"
                )
            if parameter.dtype not in (torch.float32, torch.float64):
                raise UserError(
                    f"{self.file}: parameter {name!r} is of type {parameter.dtype}; build() must return float32 weights"
                )


@contextmanager
def _watched(module: nn.Module, path: str, tracer: Tracer) -> Iterator[None]:
    forward = module.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        with tracer.inside(path):
            return forward(*args, **kwargs)

    module.forward = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        del module.forward


def _units(paths: dict[nn.Module, str]) -> Iterator[Unit]:
    seen: set[int] = set()
    for module, path in paths.items():
        for unit in _of(module, path):
            slots = {role: slot for role, slot in unit.slots.items() if id(slot.tensor) not in seen}
            if slots:  # none are left of a tied weight
                yield Unit(path, unit.kind, slots, unit.config, unit.whole)
        seen |= {id(one) for one in [*module.parameters(recurse=False), *module.buffers(recurse=False)]}


def _of(module: nn.Module, path: str) -> Iterator[Unit]:
    own = dict(module.named_parameters(recurse=False))
    if type(module) in GATES:
        yield from _recurrent(module, path)
    elif isinstance(module, nn.MultiheadAttention):
        yield from _attention(module, path)
    elif isinstance(module, NORMS):
        buffers = {name: one for name, one in module.named_buffers(recurse=False) if name in ROLES}
        slots = {ROLES[name]: Slot(one, lambda t: t.reshape(-1)) for name, one in {**own, **buffers}.items()}
        config = {"epsilon": module.eps, "norm": type(module).__name__.partition("Norm")[0].lower()}
        if isinstance(module, BATCH_NORMS):
            config |= {"momentum": None if module.momentum is None else 1 - module.momentum}
        if slots:
            yield Unit(path, "norm", slots, config)
    # A weight computed from others, as by weight_norm, is no parameter of the module.
    elif isinstance(module, (*CONVS, *TRANSPOSED, nn.Linear)) and "weight" in own:
        kernel = Slot(own["weight"], _kernel_view(module))
        slots = {"kernel": kernel} | ({"bias": Slot(own["bias"], same)} if "bias" in own else {})
        yield Unit(path, "kernel", slots, _conv(module) if not isinstance(module, nn.Linear) else {})
    else:
        whole = len(own) == 1
        makes = isinstance(module, (*CONVS, nn.Linear, ParametrizationList))
        config = {"made": "weight_norm, spectral_norm or pruning"} if makes else {}
        path = path.partition(".parametrizations.")[0]
        yield from (Unit(path, "bare", {name: Slot(one, same)}, config, whole) for name, one in own.items())


def _kernel_view(module: nn.Module) -> Any:
    if isinstance(module, nn.Linear):
        return transposed
    spatial = tuple(range(2, 2 + len(module.kernel_size)))
    order = (*spatial, 0, 1) if isinstance(module, TRANSPOSED) else (*spatial, 1, 0)
    return lambda weight: weight.permute(order)


def _conv(module: Any) -> dict[str, Any]:
    return {
        "kernel size": tuple(module.kernel_size),
        "stride": tuple(module.stride),
        "dilation": tuple(module.dilation),
        "groups": module.groups,
        "padding": module.padding if isinstance(module.padding, str) else tuple(module.padding),
        "filled with": module.padding_mode,
        **({"output padding": module.output_padding, "transposed": True} if isinstance(module, TRANSPOSED) else {}),
    }


def _attention(module: nn.MultiheadAttention, path: str) -> Iterator[Unit]:
    """The three projections that the module packs; its `out_proj` is a module of its own."""
    for i, name in enumerate("qkv"):
        if module.in_proj_weight is not None:
            kernel = Slot(module.in_proj_weight, part(i, 3, -1, transposed))
        else:
            kernel = Slot(getattr(module, f"{name}_proj_weight"), transposed)
        slots = {"kernel": kernel}
        if module.in_proj_bias is not None:
            slots["bias"] = Slot(module.in_proj_bias, part(i, 3, -1))
        config = {"projection": name, "batch first": module.batch_first}
        yield Unit(path, "kernel", slots, config, whole=False)
    for name in ("bias_k", "bias_v"):
        if getattr(module, name) is not None:
            yield Unit(path, "bare", {name: Slot(getattr(module, name), same)}, whole=False)


def _recurrent(module: Any, path: str) -> Iterator[Unit]:
    """A unit for each layer and direction."""
    gates = GATES[type(module)]
    count = len(gates)
    layers = getattr(module, "num_layers", 1)
    endings = [""] if not hasattr(module, "num_layers") else []
    for layer in range(layers if not endings else 0):
        endings += [f"_l{layer}", *([f"_l{layer}_reverse"] if module.bidirectional else [])]
    for ending in endings:
        slots = {}
        for gate in sorted(gates, key="ifcozrh".index):  # the order of Keras
            i = gates.index(gate)
            slots[f"kernel {gate}"] = Slot(getattr(module, f"weight_ih{ending}"), part(i, count, -1, transposed))
            slots[f"recurrent kernel {gate}"] = Slot(
                getattr(module, f"weight_hh{ending}"), part(i, count, -1, transposed)
            )
            if module.bias:
                slots[f"bias {gate}"] = Slot(getattr(module, f"bias_ih{ending}"), part(i, count, -1))
                slots[f"recurrent bias {gate}"] = Slot(getattr(module, f"bias_hh{ending}"), part(i, count, -1))
        config = {"cell": type(module).__name__.removesuffix("Cell") + "Cell", "backwards": ending.endswith("reverse")}
        if hasattr(module, "nonlinearity"):
            config |= {"activation": module.nonlinearity}
        if hasattr(module, "batch_first"):
            config |= {"batch first": module.batch_first}
        first = ending.startswith("_l0") or not ending
        yield Unit(path, "recurrent", slots, config, whole=first)
