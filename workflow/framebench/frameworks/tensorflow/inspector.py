"""Inspector of TensorFlow: the graphs of its functions, and the traces of XLA's profiler."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from framebench.frameworks._xspace import XLA_INSTRUCTION, on_cpu, on_gpu
from framebench.frameworks.contract import Observer, Span, kernels
from framebench.frameworks.tensorflow.adapter import CPU, Trainer

# Kernels that identify an implementation, by their names in a graph.
CUDNN_RNN = "CudnnRNNV3"
BATCH_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
# Attributes of operations that name a function: a call computes it once, a loop in every iteration.
CALL, LOOP = "f", "body"


class Inspector:
    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def layer_inputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        @tf.function(autograph=False)
        def reaching(x: tf.Tensor) -> dict[str, tf.Tensor]:
            self.trainer.net(x, training=False)
            graph = tf.compat.v1.get_default_graph()
            found = {
                name.removesuffix("/kernel"): _multiplied_with(graph.capture(variable.handle))
                for name, variable in self.trainer.variables.items()
                if name.endswith("/kernel")
            }
            return {layer: tensor for layer, tensor in found.items() if tensor is not None}

        with tf.GradientTape() as tape:  # records the variables that were read
            try:
                found = reaching(tf.constant(images))
            except KeyError as error:
                layer, _, weight = error.args[0].partition("/")
                raise ValueError(f"layer {layer}: the model file has its {weight}, but none is given") from error
            except ValueError as error:
                read = {variable.ref() for variable in tape.watched_variables()}
                names = [name for name, variable in self.trainer.variables.items() if variable.ref() in read]
                layer, _, _ = names[-1].partition("/") if names else ("input", "", "")
                raise ValueError(f"layer {layer}: {error}") from error
        return {name: self._neutral_input(name, tensor.numpy()) for name, tensor in found.items()}

    def watch(self, observer: Observer) -> None:
        apply, step = self.trainer.optimizer.apply, self.trainer._step

        def watched_apply(gradients: list[tf.Tensor]) -> None:
            def tell(*arrays: np.ndarray) -> None:
                observer.gradients(dict(zip(self.trainer.variables, arrays, strict=True)))

            tf.numpy_function(tell, gradients, [])
            apply(gradients)

        def watched_step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            loss = step(x, y)
            tf.numpy_function(observer.loss, [loss], [])
            return loss

        self.trainer.optimizer.apply = watched_apply  # type: ignore[method-assign]
        self.trainer.step = tf.function(watched_step)
        if hasattr(self.trainer.net, "dropout"):
            dropout = self.trainer.net.dropout

            def watched_dropout(x: tf.Tensor, rate: float, training: bool) -> tf.Tensor:
                y = dropout(x, rate, training)
                if training:
                    tf.numpy_function(observer.dropout, [x, y], [])
                return y

            self.trainer.net.dropout = watched_dropout

    def without_dropout(self) -> None:
        if hasattr(self.trainer.net, "dropout"):
            self.trainer.net.dropout = lambda x, rate, training: x

    def own_initial_weights(self) -> None:
        return None

    def counted_flops(self, images: np.ndarray) -> int | None:
        if self.trainer.workload.recurrent:
            return None  # the counter takes a loop for one iteration of it
        return graph_flops(lambda x: self.trainer.net(x, training=False), images)

    def counted_step_flops(self, images: np.ndarray, labels: np.ndarray) -> int | None:
        # The part that `_scaled_step` skips where a gradient is not finite has no products.
        return step_flops(self.trainer._step, images, labels, self.trainer.workload.turns)

    def kernels(self, images: np.ndarray) -> dict[str, str]:
        ran = operations(partial(self.trainer._logits, training=self.trainer.workload.trains), images)
        return kernels(
            self.trainer.workload, "compiled" if self.trainer.jit_compile else "graph", ran, CUDNN_RNN, BATCH_NORMS
        )

    def product(self, size: int) -> Callable[[int], None]:
        return product(self.trainer.place, self.trainer.computed, size)

    def copy(self, mib: int) -> Callable[[int], None]:
        return copy(self.trainer.place, mib)

    def _neutral_input(self, layer: str, array: np.ndarray) -> np.ndarray:
        """Unchanged, except a sequence, which is multiplied step by step: (steps · n, size) → (n, steps, size)."""
        *steps, size = self.trainer.workload.input_of(layer)
        return array if array.ndim != 2 or not steps else array.reshape(*steps, -1, size).swapaxes(0, 1)


def _multiplied_with(variable: tf.Tensor) -> tf.Tensor | None:
    """In a graph: the first factor of the product, or convolution, whose second factor is a variable's value."""
    for read in variable.consumers():
        for user in read.outputs[0].consumers():
            if len(user.inputs) == 2 and user.inputs[1] is read.outputs[0]:
                return user.inputs[0]
    return None


def operations(net: Callable, images: np.ndarray) -> set[str]:
    """The names of the operations in the graph of `net`, and in the functions that it calls."""
    graph = tf.function(net).get_concrete_function(tf.constant(images)).graph.as_graph_def()
    inside = (node for function in graph.library.function for node in function.node_def)
    return {node.op for node in (*graph.node, *inside)}


@contextmanager
def traced(device: str) -> Iterator[list[Span]]:
    """See the contract: tensorflow.org/guide/profiler, "Profiling APIs"."""
    # Imported here, so that training does not wait for it.
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace  # noqa: PLC0415

    # On a GPU the host is not followed, as that would slow it.
    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=1 if device == "cuda" else 2)
    spans: list[Span] = []
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder, options):
            yield spans
        (file,) = Path(folder).rglob("*.xplane.pb")
        spans += spans_in(XSpace.FromString(file.read_bytes()), device)


def spans_in(profile: Any, device: str) -> list[Span]:
    """Spans of computation on the device, from a trace, an XSpace."""
    spans = []
    for plane in profile.planes:
        instruction = {number for number, stat in plane.stat_metadata.items() if stat.name == XLA_INSTRUCTION}
        for line in plane.lines:
            if device == "cuda" and not on_gpu(plane.name, line.name):
                continue
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if device == "cuda" or on_cpu(name, any(stat.metadata_id in instruction for stat in event.stats)):
                    start_ns = line.timestamp_ns + event.offset_ps / 1e3
                    spans.append((start_ns, start_ns + event.duration_ps / 1e3))
    return spans


def graph_flops(net: Callable, images: np.ndarray) -> int:
    """Floating-point operations that TensorFlow counts in the graph of `net`, without elementwise ones."""
    graph = tf.function(net).get_concrete_function(tf.constant(images)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    options.with_accounted_types(["Conv2D", "MatMul"]).with_empty_output()
    return tf.compat.v1.profiler.profile(graph, cmd="op", options=options.build()).total_float_ops


def step_flops(step: Callable, images: np.ndarray, labels: np.ndarray, turns: int) -> int:
    """Floating-point operations of the convolutions and matrix products in the graph of a training step.

    Every loop has `turns` iterations. TensorFlow's own counter leaves out loops, and takes the backward pass of a
    `valid` convolution to be as large as its padded input.
    """
    graph = tf.function(step).get_concrete_function(tf.constant(images), tf.constant(labels)).graph
    return 2 * _multiply_adds_in(graph, turns)


def _multiply_adds_in(graph: Any, turns: int) -> int:
    """Their number in a graph, without operations that lead to nothing and are never computed."""
    total = 0
    for operation in _needed(graph):
        total += _multiply_adds(operation)
        for attribute, times in ((CALL, 1), (LOOP, turns)):
            if attribute in operation.node_def.attr:
                inner = graph._get_function(operation.get_attr(attribute).name).graph
                total += times * _multiply_adds_in(inner, turns)
    return total


def _needed(graph: Any) -> set[tf.Operation]:
    """The operations that contribute to a graph's outputs or side effects."""
    needed: set[tf.Operation] = set()
    left = [output.op for output in graph.outputs] + list(graph.control_outputs)
    while left:
        operation = left.pop()
        if operation not in needed:
            needed.add(operation)
            left += [one.op for one in operation.inputs] + list(operation.control_inputs)
    return needed


def _multiply_adds(operation: tf.Operation) -> int:
    match operation.type:
        case "Conv2D":
            (first, second), result = operation.inputs, operation.outputs[0]
            return prod(result.shape) * prod(second.shape[:-1])
        case "Conv2DBackpropFilter":
            gradient, result = operation.inputs[2], operation.outputs[0]
            return prod(gradient.shape[:3]) * prod(result.shape)
        case "Conv2DBackpropInput":
            _, kernel, gradient = operation.inputs
            return prod(gradient.shape[:3]) * prod(kernel.shape)
        case "MatMul":
            first, result = operation.inputs[0], operation.outputs[0]
            return prod(first.shape) * result.shape[1]
    return 0


def product(place: str, computed: str, size: int) -> Callable[[int], None]:
    """See the contract, on the device `place` in TensorFlow's notation."""
    with tf.device(place):
        a, b = (tf.random.uniform((size, size), dtype=computed) for _ in range(2))
    return _repeated(lambda: tf.matmul(a, b), place)


def copy(place: str, mib: int) -> Callable[[int], None]:
    """See the contract, on the device `place` in TensorFlow's notation."""
    with tf.device(place):
        source = tf.random.uniform((mib * 2**18,))
    # tf.identity gives the same memory under another name. DeepCopy allocates each time, whose page faults belong to
    # the copy on a CPU; the ceiling is from the framework that copies fastest.
    return _repeated(lambda: tf.raw_ops.DeepCopy(x=source), place)


def _repeated(work: Callable[[], object], place: str) -> Callable[[int], None]:
    def repeat(times: int) -> None:
        with tf.device(place):
            for _ in range(times):
                work()
        if place != CPU:
            tf.test.experimental.sync_devices()

    return repeat
