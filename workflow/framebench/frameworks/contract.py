"""The two contracts of a framework: an adapter to measure it, and an inspector to prove it.

A framework is a folder, `frameworks/<name>/`:
    adapter.py    everything for measuring: see `Adapter` and `Trainer`
    inspector.py  everything for the certificate and the diagnosis after a run: see `Inspecting` and `Inspector`. A
                  framework without it is measured, its diagnosis is null, and its certificate is refused
    faults.py, samples.py  faults and samples for the tests; measured code does not import them

A precision means the same in every framework:
    float32   weights, images and every computation in float32, TF32 switched off
    tf32      the same, but convolutions and matrix products may round their factors to TF32's 11 bits wherever the
              GPU's libraries have such a kernel
    bfloat16, float16
              mixed precision: weights, optimizer and loss in float32; convolutions and matrix products, forward and
              backward, in the lower precision, with the layers between them (ReLU, pooling, dropout); float16 with the
              framework's own loss scaling
    float64   for the certificate alone
In mixed precision, the numbers of a batch norm and all computations with them stay in float32.
Every run is tested for its precision afterwards: `framebench.measure.footprint`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from framebench.workloads.layers import BatchNorm, Workload

Span = tuple[float, float]  # start and end in ns
Weights = dict[str, np.ndarray]  # neutral name → neutral array, see Workload.weight_shapes
Tuning = Mapping[str, Any]  # settings of an adapter's OPTIONS; missing ones are as in "default"
NOT_TUNED: Tuning = MappingProxyType({})
# Part of an operation's name → attention kernel: PyTorch's (torch.nn.functional.scaled_dot_product_attention), JAX's.
ATTENTION = {
    "scaled_dot_product_flash_attention": "flash",
    "scaled_dot_product_efficient_attention": "efficient",
    "scaled_dot_product_cudnn_attention": "cudnn",
    "dot_product_attention_fwd": "cudnn",
}
MIXED_PRECISIONS = ("bfloat16", "float16")


class Pace(Protocol):
    """Listens to the training loop, which belongs to the framework."""

    def over(self, synchronise: Callable[[], object], steps: int = 1) -> bool:
        """Called after every step, or once for several steps taken in one call.

        May call `synchronise`, which waits for the device. Returns True to stop training.
        """


class Observer(Protocol):
    """Receives values from inside every training step; for the certificate, never while measuring."""

    def loss(self, value: np.ndarray) -> None:
        """The loss that the step minimises, a scalar."""

    def gradients(self, gradients: Weights) -> None:
        """The gradients that reach the optimizer, in the neutral layout."""

    def dropout(self, before: np.ndarray, after: np.ndarray) -> None:
        """Input and output of one dropout layer; called layer by layer."""


class Trainer(Protocol):
    """A model of one workload, in one framework, that can be fed, trained and queried."""

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

        Weights and images are float64 where `precision` is that, else float32. `cuda` is the one GPU that the process
        can see; its memory is allocated on demand.
        ValueError naming the layer where the weights do not fit the workload's model file; ValueError where the
        framework sees no GPU.
        """

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        """Take the data: (n, height, width, channels) in [0, 1] and int64 (n,), n a multiple of the batch.

        `device`: cut into batches on the device now; `host`: left in host memory for the framework's pipeline.
        """

    def train(self, pace: Pace) -> None:
        """Train on the batches in order, repeatedly, until `pace` says that the run is over."""

    def infer(self, pace: Pace, take: Callable[[np.ndarray], object]) -> None:
        """Take the batches through a net for inference in order, repeatedly, until `pace` says that it is over.

        `take` gets the output of each batch, (batch size, size) in the host's memory, before the pace is called.
        """

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, classes), or another output of the net, in evaluation mode."""

    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Loss in evaluation mode, shapes and types as in `feed`."""

    def weights(self) -> Weights:
        """The present weights in the neutral layout."""

    def load(self, weights: Weights) -> None:
        """Replace the weights and reset the optimizer; also between two training steps.

        ValueError naming the layer where a name or a shape does not fit.
        """

    def settings(self) -> dict[str, object]:
        """Settings in effect, as the framework itself reports them.

        They include `device`, where its weights are, and `threads`, if it reports their number.
        """

    def allocator_peaks_mib(self) -> tuple[float | None, float | None]:
        """Peak GPU memory in MiB allocated to tensors, and reserved by the framework; None: unknown."""


class Adapter(Protocol):
    """The module `frameworks/<name>/adapter.py`. It imports its framework at the top: that import is timed.

    Its constants are literals, as they are read without importing it. Track "tuned" needs two more. OPTIONS has the
    settings that the framework's own performance guide recommends: per device kind, "cpu" and "cuda", each setting's
    candidate values; the first is the default. TRAINING_OPTIONS names the settings that do not apply to inference, and
    may be missing.
    """

    LABEL: str  # the framework's name for readers
    ENVIRONMENT: str  # its environment in envs/
    MODEL_FILE: str  # name of its model file in a workload's folder
    TRACKS: tuple[str, ...]  # "default", the code that its own documentation shows; "tuned", the fastest settings
    PRECISIONS: Mapping[str, tuple[str, ...]]  # precisions on a "cpu" and on a GPU, "cuda"
    COLOUR: str  # in every figure, such as "#0072B2", different from the other frameworks'
    MARKER: str  # Matplotlib marker, for print without colour
    Trainer: type[Trainer]

    @staticmethod
    def start(threads: int, precision: str, device: str) -> object:
        """Configure the framework before its first computation, and put a first number on `device`.

        Every Trainer does so too. ValueError where the framework sees no GPU.
        """

    @staticmethod
    def versions() -> dict[str, str]:
        """`framework_version`, and `backend`: the library under the framework, with its version."""

    @staticmethod
    def out_of_memory(error: BaseException) -> bool:
        """True if the error reports that memory ran out, the host's or the GPU's."""


class Inspector(Protocol):
    """Looks into a trainer of its framework: for the certificate and, after a run, for its diagnosis."""

    def __init__(self, trainer: Any) -> None:
        """`trainer`: the trainer to look into."""

    def layer_inputs(self, images: np.ndarray) -> Weights:
        """The input of every convolution and dense layer of the spec in evaluation mode, by the layer's name.

        Neutral: channels last; (n, units) in H, W, C order after a flatten. A layer that the model file does not use is
        missing. ValueError naming the layer that does not fit the one before it.
        """

    def watch(self, observer: Observer) -> None:
        """Report every training step to `observer` from now on; call it before the first step."""

    def without_dropout(self) -> None:
        """Switch the dropout layers off in training too; call it before the first step."""

    def own_initial_weights(self) -> Weights | None:
        """The model file's own initial weights, before any are copied into it; None where it draws none."""

    def counted_flops(self, images: np.ndarray) -> int | None:
        """Floating-point operations of `logits` on these images, by the framework's own counter or from its trace.

        Convolutions and matrix products only, as in the spec; None where there is no counter. Forward only.
        """

    def counted_step_flops(self, images: np.ndarray, labels: np.ndarray) -> int | None:
        """The same for one training step on this batch, as it is measured; the step may be taken, or traced.

        The gradient of a layer's input counts as many as the layer itself; the first layer needs none. The gradient of
        a recurrent layer's first state may be left out.
        """

    def kernels(self, images: np.ndarray) -> dict[str, str]:
        """The implementations chosen for a batch where there are several: see the function `kernels`."""

    def product(self, size: int) -> Callable[[int], None]:
        """A function that multiplies two matrices (size, size) n times in the trainer's precision, and waits for it."""

    def copy(self, mib: int) -> Callable[[int], None]:
        """A function that copies so many MiB n times within the memory of the device, and waits for it."""


class Inspecting(Protocol):
    """The module `frameworks/<name>/inspector.py`."""

    Inspector: type[Inspector]

    @staticmethod
    def traced(device: str) -> AbstractContextManager[list[Span]]:
        """Follow the computations on `device`, `cpu` or `cuda`, with the framework's own profiler.

        When the context ends, the list has every kernel and copy of the GPU, or every operator on the CPU, with its
        start and end on a clock of the profiler; they may overlap. Enter and leave it while the device is idle.
        ValueError at its end where the profiler has no result.
        """


class Framework(NamedTuple):
    """Both modules of a framework that can be proved."""

    adapter: Adapter
    inspector: Inspecting


def kernels(
    workload: Workload, execution: str, operations: Collection[str], cudnn: str, fused: Collection[str]
) -> dict[str, str]:
    """The implementations that a framework chose where it has several, by the names of its operations.

    execution   `eager`, `graph` or `compiled`
    recurrent   for a net with a GRU: `cudnn` if its kernel is among the framework's `operations`, or `loop`
    batch_norm  for a net with a batch norm: `fused` if it has a kernel of its own, or `elementwise`
    attention   for a net with attention: the fused kernel among the operations, or `products`, written out
    """
    found = {"execution": execution}
    if workload.recurrent:
        found["recurrent"] = "cudnn" if cudnn in operations else "loop"
    if BatchNorm in workload.kinds.values():
        found["batch_norm"] = "elementwise" if set(fused).isdisjoint(operations) else "fused"
    if workload.attends:
        fused_ones = (kernel for part, kernel in ATTENTION.items() if any(part in name for name in operations))
        found["attention"] = next(fused_ones, "products")
    return found


def nothing() -> None:
    """Synchronises a device in step with the host: the results of the last step are in its memory."""


def stored_type(precision: str) -> str:
    """The type of weights, images and loss."""
    return "float64" if precision == "float64" else "float32"


def computed_type(precision: str) -> str:
    """The type of the factors of convolutions and matrix products."""
    return precision if precision in MIXED_PRECISIONS else stored_type(precision)


def check_fit(given: Mapping[str, Sequence[int]], model: Mapping[str, Sequence[int]]) -> None:
    """ValueError naming the layer where given weights do not fit a model: `layer/weight` → shape."""
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
    """Every setting of track `tuned` for a workload, on any device, at its value furthest from `default`.

    A setting of both device kinds gets the last value of the CPU.
    """
    without = () if workload.trains else getattr(adapter, "TRAINING_OPTIONS", ())
    offered = getattr(adapter, "OPTIONS", {})
    options = {**offered.get("cuda", {}), **offered.get("cpu", {})}
    return {name: values[-1] for name, values in options.items() if name not in without}
