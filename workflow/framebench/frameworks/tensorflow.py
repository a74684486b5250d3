"""TensorFlow without Keras: a custom loop over one `tf.function` step (tensorflow.org/guide/core)."""

from collections.abc import Callable
from itertools import count

import numpy as np
import tensorflow as tf

from framebench import workloads
from framebench.frameworks import Observer, Pace
from framebench.workloads.layers import SGD, Workload

LABEL = "TensorFlow"
ENVIRONMENT = "tensorflow"
MODEL_FILE = "tensorflow"
TRACKS = ("default",)


class Trainer:
    def __init__(
        self,
        workload: Workload,
        weights: dict[str, np.ndarray],
        batch_size: int,
        threads: int,
        precision: str,
    ) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.batch_size = batch_size
        self.variables = {
            name: tf.Variable(weights[name], name=name.replace("/", "_"), dtype=precision)
            for name in workload.weight_shapes
        }
        self.net = workloads.model_file(workload.name, MODEL_FILE).Net(self.variables)
        self.optimizer = Momentum(workload.optimizer, list(self.variables.values()))
        self.step = tf.function(self._step)

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        if input == "device":
            starts = range(0, len(images), self.batch_size)
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
        for _epoch in count():
            for x, y in self.batches:
                loss = self.step(x, y)
                if pace.over(synchronise=loss.numpy):
                    return

    def _step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = _mean_loss(self.net(x, training=True), y)
        self.optimizer.apply(tape.gradient(loss, self.optimizer.trained))
        return loss

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self.net(tf.constant(images), training=False).numpy()

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        return float(_mean_loss(self.net(tf.constant(images), training=False), tf.constant(labels)))

    def weights(self) -> dict[str, np.ndarray]:
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def load(self, weights: dict[str, np.ndarray]) -> None:
        for name, variable in self.variables.items():
            variable.assign(weights[name])

    def settings(self) -> dict[str, object]:
        return thread_settings() | {"jit_compile": False}

    def watch(self, observer: Observer) -> None:
        apply, step = self.optimizer.apply, self._step

        def watched_apply(gradients: list[tf.Tensor]) -> None:
            tell_gradients(observer, list(self.variables), gradients)
            apply(gradients)

        def watched_step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            loss = step(x, y)
            tf.numpy_function(observer.loss, [loss], [])
            return loss

        self.optimizer.apply = watched_apply  # type: ignore[method-assign]
        self.step = tf.function(watched_step)
        if hasattr(self.net, "dropout"):
            self.net.dropout = watched_dropout(self.net.dropout, observer)

    def without_dropout(self) -> None:
        if hasattr(self.net, "dropout"):
            self.net.dropout = lambda x, rate, training: x

    def own_initial_weights(self) -> None:
        return None

    def counted_flops(self, images: np.ndarray) -> int:
        return graph_flops(lambda x: self.net(x, training=False), images)


class Momentum(tf.Module):
    """SGD with momentum, written on variables as tensorflow.org/guide/core/optimizers_core shows."""

    def __init__(self, sgd: SGD, variables: list[tf.Variable]) -> None:
        super().__init__()
        self.sgd = sgd
        self.trained = variables
        self.velocities = [tf.Variable(tf.zeros_like(variable)) for variable in variables]

    def apply(self, gradients: list[tf.Tensor]) -> None:
        for variable, velocity, gradient in zip(self.trained, self.velocities, gradients, strict=True):
            if gradient is None:
                raise ValueError(f"{variable.name}: the model file does not use it")
            velocity.assign(self.sgd.momentum * velocity + gradient)
            variable.assign_sub(self.sgd.learning_rate * velocity)


def tell_gradients(observer: Observer, names: list[str], gradients: list[tf.Tensor | None]) -> None:
    """Inside a traced step: give the gradients that there are to the observer when the step runs."""
    known = {name: one for name, one in zip(names, gradients, strict=True) if one is not None}
    tf.numpy_function(
        lambda *arrays: observer.gradients(dict(zip(known, arrays, strict=True))), list(known.values()), []
    )


def watched_dropout(dropout: Callable, observer: Observer) -> Callable:
    """`dropout`, a function of a tensor and more, that tells the observer of it whenever it runs."""

    def watched(x: tf.Tensor, *args, **kwargs) -> tf.Tensor:
        y = dropout(x, *args, **kwargs)
        tf.numpy_function(observer.dropout, [x, y], [])
        return y

    return watched


def graph_flops(net: Callable, images: np.ndarray) -> int:
    """Floating-point operations that TensorFlow counts in the graph of `net`, without elementwise ones."""
    graph = tf.function(net).get_concrete_function(tf.constant(images)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    options.with_accounted_types(["Conv2D", "MatMul"]).with_empty_output()
    return tf.compat.v1.profiler.profile(graph, cmd="op", options=options.build()).total_float_ops


def _mean_loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def thread_settings() -> dict[str, object]:
    return {
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
    }


def versions() -> dict[str, str]:
    return {"framework_version": tf.__version__, "backend": f"tensorflow {tf.__version__}"}


def out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
