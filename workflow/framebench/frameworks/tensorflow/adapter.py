"""TensorFlow without Keras: a custom loop over one `tf.function` step (tensorflow.org/guide/core)."""

import os
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf

from framebench import workloads
from framebench.frameworks.contract import (
    NOT_TUNED,
    Pace,
    Tuning,
    check_fit,
    computed_type,
    nothing,
    stored_type,
)
from framebench.workloads import layers
from framebench.workloads.layers import Workload

LABEL = "TensorFlow"
ENVIRONMENT = "tensorflow"
MODEL_FILE = "tensorflow"
COLOUR = "#56B4E9"
MARKER = "o"
CPU = "/CPU:0"
TRACKS = ("default", "tuned")
OPTIONS = {
    "cpu": {
        # An allocator that keeps freed memory; offered to every framework.
        "allocator": ("system", "tbbmalloc"),
        # A loop of steps inside one tf.function: tensorflow.org/guide/function#loops, and its advice in
        # tensorflow.org/guide/basic_training_loops to have the whole loop in the graph.
        "steps_per_call": (1, 10),
        # XLA fuses operations into kernels: tensorflow.org/xla/tf2xla/tutorials/jit_compile
        "jit_compile": (False, True),
    },
    "cuda": {
        "steps_per_call": (1, 10),
        "jit_compile": (False, True),
    },
}
TRAINING_OPTIONS = ("steps_per_call",)
# Not float16 on a CPU: 10 steps of vgg-cnn took 121 s in PyTorch and 174 s in TensorFlow, against 1 s in float32.
PRECISIONS = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "tf32", "bfloat16", "float16")}


class Trainer:
    def __init__(
        self,
        workload: Workload,
        weights: dict[str, np.ndarray],
        batch_size: int,
        threads: int,
        precision: str,
        *,
        tuning: Tuning = NOT_TUNED,
        device: str = "cpu",
    ) -> None:
        self.place = start(threads, precision, device)
        self.workload = workload
        self.batch_size = batch_size
        self.stored = stored_type(precision)
        self.computed = computed_type(precision)
        with tf.device(self.place):
            self.variables = {
                name: tf.Variable(weights[name], name=name.replace("/", "_"), dtype=self.stored)
                for name in workload.weight_shapes
            }
            if workload.optimizer:
                self.optimizer = OPTIMIZERS[type(workload.optimizer)](workload.optimizer, list(self.variables.values()))
        same = self.computed == self.stored
        read = self.variables if same else CastWhenRead(self.variables, self.computed)
        self.net = workloads.model_file(workload.name, MODEL_FILE).Net(read)
        self.steps_per_call: int = tuning.get("steps_per_call", 1)
        self.held: list[tf.Tensor] = []  # all batches, where the step takes them by number
        self.jit_compile: bool = tuning.get("jit_compile", False)
        # The only loss scaling of TensorFlow without Keras.
        self.loss_scale: Any = tf.compat.v1.mixed_precision.DynamicLossScale() if precision == "float16" else None
        step = self._scaled_step if self.loss_scale else self._step
        self.step = tf.function(step, jit_compile=self.jit_compile or None)
        self.evaluate = tf.function(partial(self._logits, training=False), jit_compile=self.jit_compile or None)

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        if input == "device" and self.steps_per_call > 1:
            # A graph cannot iterate over a Python list, and a data set delivers in the host's memory.
            shape = (-1, self.batch_size, *images.shape[1:])
            batches = images.reshape(shape), labels.reshape(shape[:2])
            if self.place == CPU:
                self.batches = tf.data.Dataset.from_tensor_slices(batches)
            else:
                with tf.device(self.place):
                    self.held = [tf.constant(array) for array in batches]
                self.batches = tf.data.Dataset.range(len(batches[0]))
        elif input == "device":
            starts = range(0, len(images), self.batch_size)
            with tf.device(self.place):
                self.batches = [
                    (tf.constant(images[i : i + self.batch_size]), tf.constant(labels[i : i + self.batch_size]))
                    for i in starts
                ]
        else:
            # Batch, then prefetch: tensorflow.org/guide/data_performance
            self.batches = (
                tf.data.Dataset.from_tensor_slices((images, labels)).batch(self.batch_size).prefetch(tf.data.AUTOTUNE)
            )

    def train(self, pace: Pace) -> None:
        if self.steps_per_call > 1:
            batches = iter(self.batches.repeat())
            loss = self._steps(batches)
            while not pace.over(self._synchroniser(loss), steps=self.steps_per_call):
                loss = self._steps(batches)
            return
        for _epoch in count():
            for x, y in self.batches:
                loss = self.step(x, y)
                if pace.over(self._synchroniser(loss)):
                    return

    def _synchroniser(self, loss: tf.Tensor) -> Callable[[], object]:
        return loss.numpy if self.place == CPU else tf.test.experimental.sync_devices

    def infer(self, pace: Pace, take: Callable[[np.ndarray], object]) -> None:
        for _epoch in count():
            for x, _ in self.batches:
                take(self.evaluate(x).numpy())
                if pace.over(nothing):
                    return

    def _step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = _mean_loss(self._logits(x, training=True), y)
        self.optimizer.apply(self._dense(tape.gradient(loss, self.optimizer.trained)))
        return loss

    def _scaled_step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The custom loop of tensorflow.org/guide/mixed_precision, "Loss scaling"."""
        scale = self.loss_scale()
        with tf.GradientTape() as tape:
            loss = _mean_loss(self._logits(x, training=True), y)
            scaled = scale * loss
        gradients = [gradient / scale for gradient in self._dense(tape.gradient(scaled, self.optimizer.trained))]
        _, finite = self.loss_scale.update(gradients)
        if finite:
            self.optimizer.apply(gradients)
        return loss

    def _dense(self, gradients: list[tf.Tensor | None]) -> list[tf.Tensor]:
        """Every gradient as a tensor: gathered rows come with their places instead."""
        for variable, gradient in zip(self.optimizer.trained, gradients, strict=True):
            if gradient is None:
                raise ValueError(f"{variable.name}: the model file does not use it")
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _logits(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """Computes in one type and returns the type of the weights; a cast from a type to itself does nothing.

        See tensorflow.org/guide/mixed_precision, whose layers cast their inputs and weights, the last its output.
        """
        x = x if x.dtype.is_integer else tf.cast(x, self.computed)
        return tf.cast(self.net(x, training=training), self.stored)

    @tf.function
    def _steps(self, batches: tf.data.Iterator) -> tf.Tensor:
        loss = tf.constant(0.0, self.stored)
        for _ in tf.range(self.steps_per_call):
            batch = next(batches)
            loss = self.step(*(tf.gather(array, batch) for array in self.held) if self.held else batch)
        return loss

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self._logits(tf.constant(images), training=False).numpy()

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        return float(_mean_loss(self._logits(tf.constant(images), training=False), tf.constant(labels)))

    def weights(self) -> dict[str, np.ndarray]:
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def load(self, weights: dict[str, np.ndarray]) -> None:
        check_fit(
            {name: array.shape for name, array in weights.items()},
            {name: variable.shape for name, variable in self.variables.items()},
        )
        for name, variable in self.variables.items():
            variable.assign(weights[name])
        if self.workload.trains:
            for kept in self.optimizer.kept:
                kept.assign(tf.zeros_like(kept))

    def settings(self) -> dict[str, object]:
        return runtime_settings() | {
            "jit_compile": self.jit_compile,
            "steps_per_call": self.steps_per_call,
            "device": next(iter(self.variables.values())).device,
            "computed_in": self.computed,
            "loss_scaling": self.loss_scale is not None,
        }

    def allocator_peaks_mib(self) -> tuple[float | None, float | None]:
        return allocator_peaks_mib(self.place)


class CastWhenRead:
    """Weights by name, in another type than the stored one."""

    def __init__(self, variables: dict[str, tf.Variable], dtype: str) -> None:
        self.variables = variables
        self.dtype = dtype

    def __getitem__(self, name: str) -> tf.Tensor:
        variable = self.variables[name]
        return variable if name.endswith(layers.OF_BATCH_NORM) else tf.cast(variable, self.dtype)


class Momentum(tf.Module):
    """SGD with momentum, written on variables as tensorflow.org/guide/core/optimizers_core shows."""

    def __init__(self, sgd: layers.SGD, variables: list[tf.Variable]) -> None:
        super().__init__()
        self.sgd = sgd
        self.trained = variables
        self.velocities = self.kept = [tf.Variable(tf.zeros_like(variable)) for variable in variables]

    def apply(self, gradients: list[tf.Tensor]) -> None:
        for variable, velocity, gradient in zip(self.trained, self.velocities, gradients, strict=True):
            velocity.assign(self.sgd.momentum * velocity + gradient)
            variable.assign_sub(self.sgd.learning_rate * velocity)


class Adam(tf.Module):
    """Adam, like the class of that name in tensorflow.org/guide/core/optimizers_core."""

    def __init__(self, adam: layers.Adam, variables: list[tf.Variable]) -> None:
        super().__init__()
        self.adam = adam
        self.trained = variables
        self.first, self.second = ([tf.Variable(tf.zeros_like(one)) for one in variables] for _ in range(2))
        self.step = tf.Variable(0.0, dtype=variables[0].dtype)
        self.kept = [*self.first, *self.second, self.step]

    def apply(self, gradients: list[tf.Tensor]) -> None:
        b1, b2 = self.adam.beta_1, self.adam.beta_2
        self.step.assign_add(1.0)
        for variable, m, v, gradient in zip(self.trained, self.first, self.second, gradients, strict=True):
            m.assign(b1 * m + (1 - b1) * gradient)
            v.assign(b2 * v + (1 - b2) * gradient**2)
            corrected, size = m / (1 - b1**self.step), tf.sqrt(v / (1 - b2**self.step))
            variable.assign_sub(self.adam.learning_rate * corrected / (size + self.adam.epsilon))


OPTIMIZERS = {layers.SGD: Momentum, layers.Adam: Adam}


def _mean_loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def start(threads: int, precision: str, device: str) -> str:
    """Configure TensorFlow before its first computation; returns its own name for the device.

    ValueError where it sees no GPU.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    # On by default: tensorflow.org/api_docs/python/tf/config/experimental/enable_tensor_float_32_execution
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")
    if device == "cpu":
        place = CPU
    else:
        place = "/GPU:0"
        _grow_memory()
    with tf.device(place):
        tf.zeros(1)
    return place


def _grow_memory() -> None:
    """Allocate a GPU's memory on demand; ValueError where there is no GPU."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise ValueError(
            f"a GPU was requested, but TensorFlow {tf.__version__} sees none "
            f"(built for CUDA: {'yes' if tf.test.is_built_with_cuda() else 'no'})"
        )
    for gpu in gpus:
        # All memory is allocated at once by default: tensorflow.org/guide/gpu, "Limiting GPU memory growth"
        tf.config.experimental.set_memory_growth(gpu, True)


def runtime_settings() -> dict[str, object]:
    return {
        "threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "tensor_float_32": tf.config.experimental.tensor_float_32_execution_enabled(),
        # cuDNN's autotuning is on unless this variable is 0; nothing else reports it.
        "TF_CUDNN_USE_AUTOTUNE": os.environ.get("TF_CUDNN_USE_AUTOTUNE"),
    }


def allocator_peaks_mib(place: str) -> tuple[float | None, None]:
    """Peaks of the device of that name in MiB; TensorFlow does not report its allocator's reserve."""
    if place == CPU:
        return None, None
    return tf.config.experimental.get_memory_info(place.removeprefix("/"))["peak"] / 2**20, None


def versions() -> dict[str, str]:
    return {"framework_version": tf.__version__, "backend": f"tensorflow {tf.__version__}"}


def out_of_memory(error: BaseException) -> bool:
    # Other classes occur where the CUDA runtime, cuBLAS or cuDNN cannot get memory for itself, and where data copied to
    # the GPU finds no room there: github.com/tensorflow/tensorflow/issues/7025
    said = (
        *("CUDA_ERROR_OUT_OF_MEMORY", "STATUS_ALLOC_FAILED", "RESOURCE_EXHAUSTED"),
        "Dst tensor is not initialized",
    )
    # TensorFlow keeps a graph in protocol buffers, which fail in classes of their own while a function is traced.
    # Writing fails with this message in two cases alone: out of memory, or a message nested 100 deep, which no graph
    # is.
    in_a_graph = (type(error).__name__ == "DecodeError" and "Arena alloc failed" in str(error)) or (
        type(error).__name__ == "EncodeError" and str(error) == "Failed to serialize proto"
    )
    return (
        isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
        or in_a_graph
        or (isinstance(error, tf.errors.OpError | RuntimeError) and any(words in str(error) for words in said))
    )
