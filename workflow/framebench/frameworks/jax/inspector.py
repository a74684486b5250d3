"""Inspector of JAX: the traces of its functions, and those of XLA's profiler."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np

from framebench.frameworks._xspace import XLA_INSTRUCTION, on_cpu, on_gpu
from framebench.frameworks.contract import Observer, Span, Weights, kernels
from framebench.frameworks.jax.adapter import Trainer

# Kernels that identify an implementation, by jax.experimental.rnn's names; a batch norm has none of its own.
CUDNN_RNN = "rnn_fwd"
BATCH_NORMS = ()


class Inspector:
    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def layer_inputs(self, images: np.ndarray) -> Weights:
        weights = self.trainer.state[0]
        read: list[str] = []

        def net(weights: Weights, x: jax.Array) -> jax.Array:
            return self.trainer.model.net(Noting(weights, read), x)

        try:
            traced = jax.make_jaxpr(net)(weights, images)
        except KeyError as error:
            layer, _, weight = error.args[0].partition("/")
            raise ValueError(f"layer {layer}: the model file has its {weight}, but none is given") from error
        except (TypeError, ValueError) as error:
            layer, _, _ = read[-1].partition("/") if read else ("input", "", "")
            raise ValueError(f"layer {layer}: {error}") from error
        # A tree's leaves are ordered by name.
        names = {id(variable): name for variable, name in zip(traced.jaxpr.invars, sorted(weights), strict=False)}
        found = {}
        for equation in traced.jaxpr.eqns:
            name = names.get(id(equation.invars[-1]), "")
            if len(equation.invars) == 2 and name.endswith("/kernel"):
                found[name.removesuffix("/kernel")] = equation.invars[0]
        reaching = traced.replace(jaxpr=traced.jaxpr.replace(outvars=list(found.values())))
        arrays = jax.extend.core.jaxpr_as_fun(reaching)(*jax.tree.leaves((weights, images)))
        return {layer: np.array(array) for layer, array in zip(found, arrays, strict=True)}

    def watch(self, observer: Observer) -> None:
        loss, optimizer = self.trainer._loss, self.trainer.optimizer

        def watched_loss(weights: Weights, x: jax.Array, y: jax.Array, key: jax.Array | None = None) -> jax.Array:
            # A function of the model file, replaced while the step that calls it is traced.
            functions = vars(self.trainer.model)
            own = dict(functions)
            if "dropout" in own:
                functions["dropout"] = watched_dropout(own["dropout"], observer)
            try:
                value = loss(weights, x, y, key)
            finally:
                functions.update(own)
            tell(observer.loss, value)
            return value

        def watched_update(gradients: Weights, *others: Any) -> tuple:
            tell(lambda *arrays: observer.gradients(dict(zip(gradients, arrays, strict=True))), *gradients.values())
            return optimizer.update(gradients, *others)

        self.trainer._loss = watched_loss  # type: ignore[method-assign]
        self.trainer.optimizer = optimizer._replace(update=watched_update)

    def without_dropout(self) -> None:
        self.trainer.state = *self.trainer.state[:2], None

    def own_initial_weights(self) -> None:
        return None

    def counted_flops(self, images: np.ndarray) -> int:
        return traced_flops(self.trainer.model.net, self.trainer.state[0], images)

    def counted_step_flops(self, images: np.ndarray, labels: np.ndarray) -> int:
        return traced_flops(self.trainer._step, self.trainer.state, images, labels)

    def kernels(self, images: np.ndarray) -> dict[str, str]:
        ran = operations(self.trainer.model.net, self.trainer.state[0], images)
        return kernels(self.trainer.workload, "compiled", ran, CUDNN_RNN, BATCH_NORMS)

    def product(self, size: int) -> Callable[[int], None]:
        return product(self.trainer.place, self.trainer.computed, size)

    def copy(self, mib: int) -> Callable[[int], None]:
        return copy(self.trainer.place, mib)


class Noting(dict):
    """Weights by name, with a list of the names that were read."""

    def __init__(self, weights: Weights, read: list[str]) -> None:
        super().__init__(weights)
        self.read = read

    def __getitem__(self, name: str) -> Any:
        self.read.append(name)
        return super().__getitem__(name)


def tell(function: Callable, *arrays: jax.Array) -> None:
    """Inside a traced step: call `function` with these as NumPy arrays when the step runs, in order."""
    jax.debug.callback(lambda *given: function(*map(np.asarray, given)), *arrays, ordered=True)


def watched_dropout(dropout: Callable, observer: Observer) -> Callable:
    """`dropout`, a function of an array and more arguments, with a report to the observer at each run."""

    def watched(x: jax.Array, *others: Any) -> jax.Array:
        y = dropout(x, *others)
        tell(observer.dropout, x, y)
        return y

    return watched


def operations(function: Callable, *arguments: Any) -> set[str]:
    """The names of the operations in a traced function."""
    return set(_primitives(jax.make_jaxpr(function)(*arguments).jaxpr))


def _primitives(jaxpr: Any) -> Iterator[str]:
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in equation.params.values():
            if isinstance(inner, jax.extend.core.ClosedJaxpr):
                yield from _primitives(inner.jaxpr)


@contextmanager
def traced(device: str) -> Iterator[list[Span]]:
    """See the contract: docs.jax.dev/en/latest/profiling.html"""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    # On a GPU, only the GPU is followed: following the host slows it.
    options.host_tracer_level = 1 if device == "cuda" else 2
    spans: list[Span] = []
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            yield spans
        (file,) = Path(folder).rglob("*.xplane.pb")
        spans += spans_in(jax.profiler.ProfileData.from_file(str(file)), device)


def spans_in(profile: jax.profiler.ProfileData, device: str) -> list[Span]:
    """Spans of computation on the device."""
    return [
        (event.start_ns, event.end_ns)
        for plane in profile.planes
        for line in plane.lines
        if device == "cpu" or on_gpu(plane.name, line.name)
        for event in line.events
        if device == "cuda" or on_cpu(event.name, any(name == XLA_INSTRUCTION for name, _ in event.stats))
    ]


def traced_flops(function: Callable, *arguments: Any) -> int:
    """Floating-point operations of the convolutions and matrix products in a traced function.

    The counter of JAX's compiler includes elementwise ones, and leaves out those on the zeros of a `same` convolution.
    """
    return 2 * _multiply_adds(jax.make_jaxpr(function)(*arguments).jaxpr)


def _multiply_adds(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        results = prod(equation.outvars[0].aval.shape)
        if equation.primitive.name == "conv_general_dilated":
            total += _of_convolution(equation)
        elif equation.primitive.name == "dot_general":
            (summed, _), _ = equation.params["dimension_numbers"]
            total += results * prod(equation.invars[0].aval.shape[axis] for axis in summed)
        for inner in equation.params.values():
            if isinstance(inner, jax.extend.core.ClosedJaxpr):
                total += equation.params.get("length", 1) * _multiply_adds(inner.jaxpr)  # length of a scan, in steps
    return total


def _of_convolution(equation: Any) -> int:
    """Multiply-adds of a convolution; padded all around its input, as in the backward pass, only the input counts."""
    given, kernel = (variable.aval.shape for variable in equation.invars)
    result, numbers = equation.outvars[0].aval.shape, equation.params["dimension_numbers"]
    count = prod(kernel) // kernel[numbers.rhs_spec[0]] * prod(result[axis] for axis in numbers.out_spec[:2])
    spatial = zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], numbers.out_spec[2:], strict=True)
    for (before, of_kernel, after), padding in zip(spatial, equation.params["padding"], strict=True):
        all_around = kernel[of_kernel] > 1 and sum(padding) == 2 * (kernel[of_kernel] - 1)
        count *= given[before] if all_around else result[after]
    return count


def product(place: jax.Device, computed: str, size: int) -> Callable[[int], None]:
    """See the contract, on this device."""
    a, b = (jax.device_put(jax.random.uniform(jax.random.key(0), (size, size), computed), place) for _ in range(2))
    multiplied = jax.jit(jnp.matmul)
    return _repeated(lambda: multiplied(a, b))


def copy(place: jax.Device, mib: int) -> Callable[[int], None]:
    """See the contract, on this device."""
    source = jax.device_put(jax.random.uniform(jax.random.key(0), (mib * 2**18,), "float32"), place)
    # New memory each time, whose page faults belong to the copy on a CPU; the ceiling is from the framework that copies
    # fastest.
    return _repeated(lambda: jnp.copy(source))


def _repeated(work: Callable[[], jax.Array]) -> Callable[[int], None]:
    def repeat(times: int) -> None:
        for _ in range(times):
            result = work()
        jax.block_until_ready(result)

    return repeat
