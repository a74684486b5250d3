"""Trainer of Keras on any backend: `compile` and `fit`, as in keras.io/guides/training_with_built_in_methods.

An adapter names its backend to Keras (KERAS_BACKEND) before it imports this, and adds what the backend needs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import cycle
from types import ModuleType
from typing import Any

import keras
import numpy as np
from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE

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
from framebench.workloads.layers import SGD, Adam, AdamW, Workload
from framebench.workloads.own import Own

ENDLESS = 10**9  # epochs: the pace ends `fit`
CALLS_PER_EPOCH = 1000
OWN = "keras/"  # prefix of a user's weights
LOSSES = {
    "softmax_cross_entropy": partial(keras.losses.SparseCategoricalCrossentropy, from_logits=True),
    "mean_squared_error": keras.losses.MeanSquaredError,
    "binary_cross_entropy": partial(keras.losses.BinaryCrossentropy, from_logits=True),
}


class KerasTrainer(ABC):
    """A Trainer without its backend's part."""

    backend: ModuleType  # the adapter of the backend

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
        self.place = self.backend.start(threads, precision, device)
        self.on_gpu = device != "cpu"
        self.workload = workload
        self.batch_size = batch_size
        self.steps_per_call: int = tuning.get("steps_per_execution", 1)
        self.stored, self.computed = stored_type(precision), computed_type(precision)
        keras.config.set_floatx(self.stored)
        # Some backends compute parts of float64 in float32 (products in PyTorch, tanh in JAX), and so does JAX by
        # default; there is no switch for it, and the certificate could prove nothing to more than 7 digits.
        BIT64_TO_BIT32_DTYPE["float64"] = self.stored
        # keras.io/api/mixed_precision/policy; `compile` adds the loss scaling of mixed_float16.
        keras.config.set_dtype_policy(self.computed if self.computed == self.stored else f"mixed_{self.computed}")
        with keras.device(self.place):
            self.model = self._build()
            if not workload.trains and self.computed != self.stored:
                # The rule of keras.io/guides/mixed_precision for the last layer. Otherwise half as many bytes would be
                # copied into the host's memory as in the other frameworks.
                output = keras.layers.Activation("linear", dtype=self.stored)(self.model.output)
                self.model = keras.Model(self.model.inputs, output)
        jit_compile = tuning.get("jit_compile", "auto")
        if workload.optimizer:
            self.model.compile(
                optimizer=self._optimizer(workload.optimizer),
                loss=LOSSES[workload.loss](),
                steps_per_execution=self.steps_per_call,
                jit_compile=jit_compile,
            )
        else:
            self.model.compile(jit_compile=jit_compile)
        self.load(weights)

    @abstractmethod
    def _batches(self, images: np.ndarray, labels: np.ndarray, input: str) -> Any:
        """The input of `fit`, on the device or in the host's memory; endless where a call takes several batches."""

    @abstractmethod
    def _synchronise(self) -> None:
        """Wait for the device, between two steps of `fit`."""

    @abstractmethod
    def _device(self) -> str:
        """Device of the weights, as named by the backend."""

    def allocator_peaks_mib(self) -> tuple[float | None, float | None]:
        return self.backend.allocator_peaks_mib(self.place)

    def _optimizer(self, optimizer: SGD | Adam | AdamW) -> keras.optimizers.Optimizer:
        match optimizer:
            case SGD(learning_rate, momentum):
                return keras.optimizers.SGD(learning_rate, momentum=momentum)
            case Adam() | AdamW():
                return _adam(optimizer, self._dense)
        raise ValueError(f"the adapter does not know the optimizer {optimizer}")

    def _dense(self, gradient: Any) -> Any:
        """A gradient as an array, for backends where it is not one."""
        return gradient

    def _update_variables(self) -> None:  # noqa: B027
        """Write the present values into the model's variables, where `fit` keeps them elsewhere while it trains."""

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        if not self.workload.trains:
            batches = images.reshape(-1, self.batch_size, *images.shape[1:])
            with keras.device(self.place):
                self.batches = [keras.ops.convert_to_tensor(one) for one in batches] if input == "device" else batches
            return
        if input == "host" and self.steps_per_call == 1:
            self.data = {"x": images, "y": labels, "batch_size": self.batch_size, "shuffle": False}
            return
        self.data = {"x": self._batches(images, labels, input), "shuffle": False}
        if self.steps_per_call > 1:
            # Endless, so that no call is left with fewer batches.
            self.data["steps_per_epoch"] = self.steps_per_call * CALLS_PER_EPOCH

    def train(self, pace: Pace) -> None:
        callback = PaceCallback(pace, self._synchronise, self.steps_per_call)
        with suppress(RunOver):
            self.model.fit(**self.data, epochs=ENDLESS, verbose=0, callbacks=[callback])

    def infer(self, pace: Pace, take: Callable[[np.ndarray], object]) -> None:
        # keras.io/api/models/model_training_apis: the method that returns the output of one batch to the host.
        for batch in cycle(self.batches):
            take(self.model.predict_on_batch(batch))
            if pace.over(nothing):
                return

    def logits(self, images: np.ndarray) -> np.ndarray:
        self._update_variables()
        return self.model.predict(images, batch_size=len(images), verbose=0).astype(self.stored)

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        self._update_variables()
        return float(self.model.evaluate(images, labels, batch_size=len(images), verbose=0))

    def weights(self) -> Weights:
        self._update_variables()
        return self._values(self.model)

    def load(self, weights: Weights) -> None:
        if isinstance(self.workload, Own):
            variables = own_variables(self.model)
            weights = {name: array for name, array in weights.items() if name.startswith(OWN)}
        else:
            names = {own_name(layer): layer for layer in self.workload.kinds}
            variables = {
                f"{names.get(layer.name, layer.name)}/{one.name}": one
                for layer in self.model.layers
                for one in layer.weights
            }
        check_fit(
            {name: array.shape for name, array in weights.items()}, {name: one.shape for name, one in variables.items()}
        )
        self._update_variables()
        for name, array in weights.items():
            variables[name].assign(array)
        if self.workload.trains:
            own = getattr(
                self.model.optimizer, "inner_optimizer", self.model.optimizer
            )  # within a loss scaling, which is not reset
            for kept in own.variables:
                if kept is not own._learning_rate:
                    kept.assign(np.zeros(kept.shape, kept.dtype))

    def settings(self) -> dict[str, object]:
        return self.backend.runtime_settings() | {
            "device": self._device(),
            "jit_compile": self.model.jit_compile,
            "steps_per_execution": self.model.steps_per_execution,
            "dtype_policy": self.model.dtype_policy.name,
            "optimizer": type(self.model.optimizer).__name__ if self.workload.trains else None,
        }

    def _build(self) -> keras.Model:
        if isinstance(self.workload, Own):
            return self.workload.build("keras")
        return workloads.model_file(self.workload.name, "keras").build()

    def _values(self, model: keras.Model) -> Weights:
        if isinstance(self.workload, Own):
            return {name: np.array(keras.ops.convert_to_numpy(one)) for name, one in own_variables(model).items()}
        return {name: keras.ops.convert_to_numpy(variable_of(model, name)) for name in self.workload.weight_shapes}


def own_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The weights of a user's model under names that are the same on every backend."""
    return {f"{OWN}{place:03}/{one.name}": one for place, one in enumerate(model.weights)}


def own_name(layer: str) -> str:
    """Keras's name of a layer of the spec: on PyTorch it may have no dots."""
    return layer.replace(".", "_")


def variable_of(model: keras.Model, name: str) -> keras.Variable:
    layer, weight = name.split("/")
    return next(one for one in model.get_layer(own_name(layer)).weights if one.name == weight)


def _adam(spec: Adam | AdamW, dense: Callable) -> keras.optimizers.Optimizer:
    """Keras's Adam, with epsilon added to the corrected √v̂, as in the spec and in algorithm 1 of the paper.

    Keras adds it to √v before the correction, which for small gradients is another function. So epsilon is multiplied
    here by the factor of the correction: one more number to compute per step.

    `dense` makes an array of a gradient that TensorFlow gives as rows with their places, as for an embedding. Keras
    3.15 squares the rows one by one: for a token that occurs twice in a batch it uses g² + h² instead of (g + h)².

    Reviews/s of gru-imdb, batch 64, on Keras (TensorFlow), 2 cores, 7 interleaved rounds, relative to Keras's own Adam:
    0.95 with epsilon corrected (0.85 to 1.19), 0.98 with both (0.84 to 1.11): no cost shows in this noise.
    """

    class CorrectedAdam(type(keras.optimizers.Adam())):  # type: ignore[misc]  # on PyTorch, a class of its own
        def _backend_update_step(self, grads: list, trainable_variables: list, learning_rate: Any) -> None:
            step = keras.ops.cast(self.iterations + 1, trainable_variables[0].dtype)
            self.epsilon = spec.epsilon * keras.ops.sqrt(1 - keras.ops.power(self.beta_2, step))
            super()._backend_update_step([dense(gradient) for gradient in grads], trainable_variables, learning_rate)
            self.epsilon = spec.epsilon

    numbers = spec.learning_rate, spec.beta_1, spec.beta_2, spec.epsilon
    if isinstance(spec, AdamW):
        return CorrectedAdam(*numbers, weight_decay=spec.weight_decay)
    return CorrectedAdam(*numbers)


class RunOver(Exception):  # noqa: N818
    """Leaves `fit` between two steps. `stop_training` would take effect only after one more."""


class PaceCallback(keras.callbacks.Callback):
    """Reports every step to the pace and ends `fit` when the run is over.

    It listens to the beginning of the next step: a callback at a step's end would make Keras convert the loss to a
    Python number after every step, which `fit` does not do by itself (callback_list.py, async dispatch).
    """

    def __init__(self, pace: Pace, synchronise: Callable[[], object], steps_per_call: int) -> None:
        super().__init__()
        self.pace = pace
        self.synchronise = synchronise
        self.steps_per_call = steps_per_call
        self.started = False

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if self.started and self.pace.over(self.synchronise, self.steps_per_call):
            raise RunOver
        self.started = True
