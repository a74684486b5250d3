"""JAX without a layer library: one `jax.jit` step per batch (docs.jax.dev, notebooks/Neural_Network_and_Data_Loading).

The page writes the net as functions on a tree of weights, as the model files here do; layers as objects belong to
Flax, a framework of its own. The optimizer and the loss are Optax's, which JAX's documentation recommends.
"""

import os
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from framebench import workloads
from framebench.frameworks.contract import (
    NOT_TUNED,
    Pace,
    Tuning,
    Weights,
    check_fit,
    computed_type,
    nothing,
    stored_type,
)
from framebench.workloads.layers import OF_BATCH_NORM, SGD, Adam, AdamW, Dropout, Workload

LABEL = "JAX"
ENVIRONMENT = "jax"
MODEL_FILE = "jax"
COLOUR = "#009E73"
MARKER = "v"
TRACKS = ("default", "tuned")
OPTIONS = {
    "cpu": {
        # An allocator that keeps freed memory; offered to every framework.
        "allocator": ("system", "tbbmalloc"),
        # The old weights' memory is reused for the new ones: docs.jax.dev/en/latest/buffer_donation.html
        "donate": (False, True),
        # Several steps in one call, by `lax.scan`: docs.jax.dev/en/latest/201/control-flow.html
        "steps_per_call": (1, 10),
    },
    "cuda": {
        "donate": (False, True),
        "steps_per_call": (1, 10),
    },
}
TRAINING_OPTIONS = ("donate", "steps_per_call")
# No float16: it needs loss scaling, which neither JAX nor Optax has.
PRECISIONS = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "tf32", "bfloat16")}

# docs.jax.dev/en/latest/_autosummary/jax.default_matmul_precision.html. It applies to products of float32 only, which a
# GPU computes in TF32 by default.
PRODUCTS = {"float32": "float32", "tf32": "tensorfloat32"}
DROPOUT_SEED = 0

State = tuple[Any, Any, Any]  # weights, optimizer state, and the key for dropout, or None


class Trainer:
    def __init__(
        self,
        workload: Workload,
        weights: Weights,
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
        self.stored, self.computed = stored_type(precision), computed_type(precision)
        self.model = workloads.model_file(workload.name, MODEL_FILE)
        self.optimizer = _optimizer(workload.optimizer) if workload.optimizer else optax.set_to_zero()
        on_device = self._on_device(weights)
        drops = any(isinstance(layer, Dropout) for layer in workload.layers)
        key = jax.device_put(jax.random.key(DROPOUT_SEED), self.place) if drops else None
        self.state: State = on_device, self.optimizer.init(on_device), key
        self.steps_per_call: int = tuning.get("steps_per_call", 1)
        self.donate: bool = tuning.get("donate", False)
        self.step = jax.jit(
            self._step if self.steps_per_call == 1 else self._steps, donate_argnums=0 if self.donate else ()
        )
        self.evaluate = jax.jit(self._logits)

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        x = images.reshape(-1, self.batch_size, *images.shape[1:])
        y = labels.reshape(-1, self.batch_size)
        if input == "device":
            x, y = jax.device_put((x, y), self.place)
        self.calls = self._calls_of_one_step(x, y) if self.steps_per_call == 1 else self._calls_of_steps(x, y)

    def _calls_of_one_step(self, x: Any, y: Any) -> Iterator[tuple]:
        batches = list(zip(x, y, strict=True))
        if isinstance(x, jax.Array):
            yield from cycle(batches)
        for batch in cycle(batches):
            yield jax.device_put(batch, self.place)

    def _calls_of_steps(self, x: Any, y: Any) -> Iterator[tuple]:
        several = np.arange(self.steps_per_call)
        for first in count(0, self.steps_per_call):
            numbers = (first + several) % len(x)
            if isinstance(x, jax.Array):
                yield x, y, numbers
            else:
                yield *jax.device_put((x[numbers], y[numbers]), self.place), several

    def train(self, pace: Pace) -> None:
        for batch in self.calls:
            self.state = self.step(self.state, *batch)
            if pace.over(self._synchronise, self.steps_per_call):
                return

    def infer(self, pace: Pace, take: Callable[[np.ndarray], object]) -> None:
        for x, _ in self.calls:
            take(np.asarray(self.evaluate(self.state[0], x)))
            if pace.over(nothing):
                return

    def _synchronise(self) -> None:
        jax.block_until_ready(self.state)

    def _step(self, state: State, x: jax.Array, y: jax.Array) -> State:
        weights, optimizer_state, key = state
        dropout_key = None
        if key is not None:
            key, dropout_key = jax.random.split(key)
        gradients = jax.grad(self._loss)(weights, x, y, dropout_key)
        updates, optimizer_state = self.optimizer.update(gradients, optimizer_state, weights)
        return optax.apply_updates(weights, updates), optimizer_state, key

    def _steps(self, state: State, x: jax.Array, y: jax.Array, numbers: jax.Array) -> State:
        """Takes a step on each batch of these numbers."""
        return jax.lax.scan(lambda state, number: (self._step(state, x[number], y[number]), None), state, numbers)[0]

    def _loss(self, weights: Weights, x: jax.Array, y: jax.Array, key: jax.Array | None = None) -> jax.Array:
        return _mean_loss(self._logits(weights, x, key), y)

    def _logits(self, weights: Weights, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Computes in one type and returns the type of the weights; a cast from a type to itself does nothing."""
        weights = {
            name: array if name.endswith(OF_BATCH_NORM) else array.astype(self.computed)
            for name, array in weights.items()
        }
        x = x if self.workload.tokens else x.astype(self.computed)
        logits = self.model.net(weights, x) if key is None else self.model.net(weights, x, key)
        return logits.astype(self.stored)

    def logits(self, images: np.ndarray) -> np.ndarray:
        return np.array(self.evaluate(self.state[0], jax.device_put(images, self.place)))

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        return float(_mean_loss(self.evaluate(self.state[0], jax.device_put(images, self.place)), labels))

    def weights(self) -> Weights:
        return {name: np.array(array) for name, array in self.state[0].items()}

    def load(self, weights: Weights) -> None:
        check_fit(
            {name: array.shape for name, array in weights.items()},
            {name: array.shape for name, array in self.state[0].items()},
        )
        on_device = self._on_device(weights)
        self.state = on_device, self.optimizer.init(on_device), self.state[2]

    def _on_device(self, weights: Weights) -> dict[str, jax.Array]:
        # Copied, since memory that is not JAX's own cannot be donated.
        return {name: jnp.array(array, self.stored, device=self.place) for name, array in weights.items()}

    def settings(self) -> dict[str, object]:
        return runtime_settings() | {
            "donate": self.donate,
            "steps_per_call": self.steps_per_call,
            "device": device_name(next(iter(self.state[0].values())).device),
            "computed_in": self.computed,
        }

    def allocator_peaks_mib(self) -> tuple[float | None, float | None]:
        return allocator_peaks_mib(self.place)


def _optimizer(optimizer: SGD | Adam | AdamW) -> optax.GradientTransformation:
    match optimizer:
        case SGD(learning_rate, momentum):
            return optax.sgd(learning_rate, momentum)
        case Adam(learning_rate, beta_1, beta_2, epsilon):
            return optax.adam(learning_rate, beta_1, beta_2, epsilon)
    raise ValueError(f"the adapter does not know the optimizer {optimizer}")


def _mean_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def start(threads: int, precision: str, device: str) -> jax.Device:
    """Configure JAX before its first computation; returns the device.

    ValueError where it sees no GPU, and where the process has already computed with another number of threads.
    """
    # Read at the first computation. The number of XLA's threads depends only on this variable of its PjRt client and on
    # the cores that the process may use (github.com/jax-ml/jax/issues/1539).
    os.environ["PJRT_NPROC"] = str(threads)
    # Memory is allocated on demand: docs.jax.dev/en/latest/gpu_memory_allocation.html
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if device == "cpu":
        # XLA computes bfloat16 in float32 there, and by default leaves out the intermediate roundings. This has no
        # effect on float32.
        _set_xla_flag("--xla_allow_excess_precision=false")
    jax.config.update("jax_enable_x64", precision == "float64")
    jax.config.update("jax_default_matmul_precision", PRODUCTS.get(precision))
    try:
        place = jax.devices(device)[0]
    except RuntimeError as error:
        raise ValueError(f"a GPU was requested, but JAX {jax.__version__} sees none ({error})") from error
    jax.block_until_ready(jnp.zeros(1, device=place))
    if device == "cpu" and xla_threads() != threads:
        raise ValueError(f"{threads} threads were requested, but XLA computes with {xla_threads()}")
    return place


def _set_xla_flag(flag: str) -> None:
    flags = os.environ.get("XLA_FLAGS", "").split()
    if flag not in flags:
        os.environ["XLA_FLAGS"] = " ".join([*flags, flag])


def xla_threads() -> int:
    """Number of this process's threads that compute for XLA on the CPU, by the name that it gives them."""
    names = Path("/proc/self/task").glob("*/comm")
    return sum(name.read_text(encoding="utf-8").startswith("tf_XLAEigen") for name in names)


def device_name(device: jax.Device) -> str:
    """JAX's name of the device, such as `cpu:0`."""
    return f"{device.platform}:{device.id}"


def runtime_settings() -> dict[str, object]:
    return {
        "threads": xla_threads(),
        "xla_flags": os.environ.get("XLA_FLAGS"),
        "default_matmul_precision": jax.config.jax_default_matmul_precision,
        "enable_x64": jax.config.jax_enable_x64,
    }


def allocator_peaks_mib(place: jax.Device) -> tuple[float | None, float | None]:
    """Peaks of this device in MiB; None where JAX does not count them, as on a CPU."""
    stats = place.memory_stats() or {}
    peaks = (stats.get(name) for name in ("peak_bytes_in_use", "peak_pool_bytes"))
    in_use, held = (None if peak is None else peak / 2**20 for peak in peaks)
    return in_use, held


def versions() -> dict[str, str]:
    return {"framework_version": jax.__version__, "backend": f"jaxlib {jax.lib.__version__}"}


def out_of_memory(error: BaseException) -> bool:
    # Messages of the allocators, and of the CUDA runtime, cuBLAS and cuDNN.
    said = ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY", "STATUS_ALLOC_FAILED")
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and any(words in str(error) for words in said)
    )
