"""One adapter per framework, and the small contract that the clock and the certificate need from each.

An adapter module imports its framework at the top (that import is timed) and declares
    LABEL        the framework's name as a reader knows it
    ENVIRONMENT  which of envs/ it is installed by
    MODEL_FILE   which file of a workload's folder it builds its model from
    TRACKS       how it can be driven: "default", the code that its own documentation shows; "tuned", the fastest
                 of the settings that its own performance guide recommends
    OPTIONS      for "tuned": on a "cpu" and on a GPU, "cuda", each such setting's name and values, first the one that
                 "default" has there, as it has on the other
    TRAINING_OPTIONS  those of them that inference has no use for; need not be there
    PRECISIONS   in what it trains on a "cpu" and on a GPU, "cuda"
and holds `start()`, `Trainer`, `traced()`, `versions()` and `out_of_memory(error)`.

A precision is the same thing in every framework:
    float32   weights, images and every computation in float32, TF32 switched off
    tf32      the same, but convolutions and matrix products may round their factors to TF32's 11 bits wherever the
              GPU's libraries have such a kernel
    bfloat16, float16
              mixed precision: weights, optimizer and loss in float32; convolutions and matrix products, forwards and
              backwards, in the lower precision, and so is what stands between them (ReLU, pooling, dropout);
              float16 with the framework's own loss scaling
    float64   for the certificate alone
The numbers of a batch norm stay in float32 in mixed precision, and so does what is computed with them.
Which of them is in effect is seen in numbers after every run: `framebench.measure.footprint`.
"""

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from framebench.frameworks import self_comparison
from framebench.workloads.layers import BatchNorm, Workload

Span = tuple[float, float]  # start and end in ns
Weights = dict[str, np.ndarray]  # neutral name → neutral array, see Workload.weight_shapes
Tuning = Mapping[str, Any]  # settings of an adapter's OPTIONS; one that is missing is as in "default"
NOT_TUNED: Tuning = MappingProxyType({})
MIXED_PRECISIONS = ("bfloat16", "float16")


class Pace(Protocol):
    """Listens to the training loop, which belongs to the framework."""

    def over(self, synchronise: Callable[[], object], steps: int = 1) -> bool:
        """Is told of every step, or of the steps that were taken in one call.

        May call `synchronise`, which waits for the device. True: stop training.
        """


class Observer(Protocol):
    """Is told what happens inside every training step; for the certificate, never while measuring."""

    def loss(self, value: np.ndarray) -> None:
        """The loss that the step minimises, a scalar."""

    def gradients(self, gradients: Weights) -> None:
        """What the optimizer is given, in the neutral layout."""

    def dropout(self, before: np.ndarray, after: np.ndarray) -> None:
        """What one dropout layer was given and what it passed on; called layer by layer."""


class Trainer(Protocol):
    """A model of one workload, in one framework, that can be fed, trained and looked into."""

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
        """Build the model with these initial weights on `device`, `cpu` or `cuda`, using `threads` CPU threads.

        Weights and images are float64 where `precision` is that, else float32. `cuda` is the one GPU that the
        process can see, whose memory is taken as it is needed.
        ValueError naming the layer where the weights do not fit the workload's model file; ValueError where the
        framework sees no GPU.
        """

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        """Take the data: (n, height, width, channels) in [0, 1] and int64 (n,), n a multiple of the batch.

        `device`: cut into batches on the device now; `host`: left in host memory for the framework's pipeline.
        """

    def train(self, pace: Pace) -> None:
        """Train on the batches in order, again and again, until `pace` says that the run is over."""

    def infer(self, pace: Pace, take: Callable[[np.ndarray], object]) -> None:
        """Take the batches through a net of inference in order, again and again, until `pace` says that it is over.

        `take` is given what came out of each, (batch size, size) in the host's memory, before the pace is told.
        """

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, classes), or what else the net gives, in evaluation mode."""

    def layer_inputs(self, images: np.ndarray) -> Weights:
        """What reaches every convolution and dense layer of the spec in evaluation mode, by the layer's name.

        Neutral: channels last; (n, units) in H, W, C order after a flatten. A layer that the model file does
        not use is missing. ValueError naming the layer that does not fit the one before it.
        """

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Loss in evaluation mode, shapes and types as in `feed`."""

    def weights(self) -> Weights:
        """The present weights in the neutral layout."""

    def load(self, weights: Weights) -> None:
        """Replace the weights; ValueError naming the layer where a name or a shape does not fit."""

    def settings(self) -> dict[str, object]:
        """What is in effect in the framework, as it reports it itself: the device of its weights among it."""

    def kernels(self, images: np.ndarray) -> dict[str, str]:
        """Which of several ways the framework takes for a batch, seen in what it runs: see the function `kernels`."""

    def allocator_peaks_mib(self) -> tuple[float | None, float | None]:
        """Most memory of the GPU that tensors took at a time, and that the framework held for them; None: unknown."""

    def product(self, size: int) -> Callable[[int], None]:
        """What multiplies two matrices (size, size) so many times in the trainer's precision, then waits for it."""

    def copy(self, mib: int) -> Callable[[int], None]:
        """What copies so many MiB so many times within the memory of the device, then waits for it."""

    def watch(self, observer: Observer) -> None:
        """Tell `observer` of every training step from now on; before the first one."""

    def without_dropout(self) -> None:
        """Make the dropout layers pass everything in training too; before the first training step."""

    def own_initial_weights(self) -> Weights | None:
        """What the model file draws when nobody copies weights into it; None where it draws none."""

    def counted_flops(self, images: np.ndarray) -> int | None:
        """Floating-point operations of `logits` on these images, by the framework's own counter or what it traces.

        Convolutions and matrix products only, as in the spec; None where there is no counter. Forward only,
        since TensorFlow's takes a `valid` convolution's way back to be as large as its padded input.
        """


class Adapter(Protocol):
    """What an adapter module holds."""

    LABEL: str
    ENVIRONMENT: str
    MODEL_FILE: str
    TRACKS: tuple[str, ...]
    OPTIONS: Mapping[str, Mapping[str, tuple[object, ...]]]
    PRECISIONS: Mapping[str, tuple[str, ...]]
    Trainer: type[Trainer]

    @staticmethod
    def start(threads: int, precision: str, device: str) -> object:
        """Set what the framework must know before it computes, and put a first number on `device`.

        Every Trainer does so too. ValueError where the framework sees no GPU.
        """

    @staticmethod
    def traced(device: str) -> AbstractContextManager[list[Span]]:
        """Follow what is computed on `device`, `cpu` or `cuda`, with the framework's own profiler.

        When the context ends, the list has every kernel and copy of the GPU, or every operator on the CPU, with its
        start and end on a clock of the profiler; they may overlap. It is entered and left while the device is idle.
        ValueError at its end where the profiler cannot tell.
        """

    @staticmethod
    def versions() -> dict[str, str]:
        """`framework_version`, and `backend`: what computes under the framework, with its version."""

    @staticmethod
    def out_of_memory(error: BaseException) -> bool:
        """Whether the error says that memory ran out, the host's or the GPU's."""


def kernels(
    workload: Workload, execution: str, operations: Collection[str], cudnn: str, fused: Collection[str]
) -> dict[str, str]:
    """What a framework runs where there are several ways.

    execution   `eager`, `graph` or `compiled`
    recurrent   of a net with a GRU: `cudnn` where its kernel is among the framework's `operations`, or `loop`
    batch_norm  of a net with one: `fused` where a kernel of its own is, or `elementwise`
    """
    found = {"execution": execution}
    if workload.recurrent:
        found["recurrent"] = "cudnn" if cudnn in operations else "loop"
    if BatchNorm in workload.kinds.values():
        found["batch_norm"] = "elementwise" if set(fused).isdisjoint(operations) else "fused"
    return found


def nothing() -> None:
    """Synchronises a device with which the host is in step: what came of the last step is in its memory."""


def stored_type(precision: str) -> str:
    """The type of weights, images and loss."""
    return "float64" if precision == "float64" else "float32"


def computed_type(precision: str) -> str:
    """The type that convolutions and matrix products are given."""
    return precision if precision in MIXED_PRECISIONS else stored_type(precision)


def check_fit(given: Mapping[str, Sequence[int]], model: Mapping[str, Sequence[int]]) -> None:
    """ValueError naming the layer where weights that are given are not those of a model: `layer/weight` → shape."""
    for name in [*given, *model]:
        layer, _, weight = name.rpartition("/")
        if name not in model:
            raise ValueError(f"layer {layer}: its {weight} is given, but the model file has none")
        if name not in given:
            raise ValueError(f"layer {layer}: the model file has its {weight}, but none is given")
        ours, theirs = tuple(given[name]), tuple(model[name])
        if ours != theirs:
            raise ValueError(f"layer {layer}: the {weight} given has shape {ours}, that of the model file {theirs}")


def furthest(adapter: Adapter, workload: Workload) -> dict[str, object]:
    """Every setting of track `tuned` for a workload, on whatever device, as far from `default` as it goes.

    Where both kinds of device have it, with the last value of the CPU.
    """
    without = () if workload.trains else getattr(adapter, "TRAINING_OPTIONS", ())
    options = {**adapter.OPTIONS["cuda"], **adapter.OPTIONS["cpu"]}
    return {name: values[-1] for name, values in options.items() if name not in without}


def load(name: str) -> Adapter:
    """The adapter of framework `name`, or of the one behind it; importing it imports the framework."""
    return importlib.import_module(f"framebench.frameworks.{self_comparison.base(name).replace('-', '_')}")  # type: ignore[return-value]
