"""PyTorch: the eager loop of its documentation (pytorch.org/tutorials/beginner/basics/optimization_tutorial)."""

import resource
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

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
from framebench.workloads.layers import GRU, SGD, Adam, AdamW, BatchNorm, Workload
from framebench.workloads.own import Own

LABEL = "PyTorch"
ENVIRONMENT = "pytorch"
MODEL_FILE = "pytorch"
COLOUR = "#D55E00"
MARKER = "D"
TRACKS = ("default", "tuned")
# From docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html:
OPTIONS = {
    "cpu": {
        # "Switch Memory allocator": one that keeps freed memory, instead of a page fault per page and step.
        "allocator": ("system", "tbbmalloc"),
        # "Use channels_last memory format for computer vision models": no conversion around each convolution.
        "channels_last": (False, True),
        # "Fuse operations": one kernel for several elementwise operations. Needs a C++ compiler on the machine.
        "compile": (False, True),
    },
    "cuda": {
        "channels_last": (False, True),
        # The same, in modes of docs.pytorch.org/docs/stable/generated/torch.compile.html: the second replays its
        # kernels as CUDA graphs, and the third also tries kernels out.
        "compile": (False, True, "reduce-overhead", "max-autotune"),
        # "Enable cuDNN auto-tuner": convolutions are tried out for their shapes.
        "cudnn_benchmark": (False, True),
        # docs.pytorch.org/docs/stable/optim.html: all weights are updated in one kernel.
        "fused": (False, True),
    },
}
TRAINING_OPTIONS = ("fused",)
# Not float16 on a CPU: 10 steps of vgg-cnn took 121 s in PyTorch and 174 s in TensorFlow, against 1 s in float32.
PRECISIONS = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "tf32", "bfloat16", "float16")}

# Kind of layer → neutral name of a weight → PyTorch's; other kinds have `weight` and `bias`.
NAMES: dict[type, dict[str, tuple[str, ...]]] = {
    GRU: {
        "kernel": ("weight_ih_l0",),
        "recurrent_kernel": ("weight_hh_l0",),
        "bias": ("bias_ih_l0", "bias_hh_l0"),
    },
    BatchNorm: {
        "gamma": ("weight",),
        "beta": ("bias",),
        "moving_mean": ("running_mean",),
        "moving_variance": ("running_var",),
    },
}
OWN = "pytorch/"  # prefix of a user's weights
LOSSES = {
    "softmax_cross_entropy": nn.CrossEntropyLoss,
    "mean_squared_error": nn.MSELoss,
    "binary_cross_entropy": nn.BCEWithLogitsLoss,
}
COUNTER = "num_batches_tracked"  # count of a batch norm in training: no weight


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
        start(threads, precision, device)
        torch.backends.cudnn.benchmark = tuning.get("cudnn_benchmark", False)
        self.device = device
        self.computed = computed_type(precision)
        self.lower = None if self.computed == stored_type(precision) else getattr(torch, self.computed)
        # Has no effect where it is not enabled.
        self.scaler = torch.amp.GradScaler(device, enabled=precision == "float16")
        self.memory_format = torch.channels_last if tuning.get("channels_last") else torch.contiguous_format
        self.workload = workload
        self.batch_size = batch_size
        self.model = self._net().to(device, getattr(torch, stored_type(precision)), memory_format=self.memory_format)
        if workload.optimizer:
            self.optimizer = _optimizer(workload.optimizer, self.model, fused=tuning.get("fused", False))
            self.loss_fn = LOSSES[workload.loss]()
        self.load(weights)
        compiled = tuning.get("compile")
        mode = compiled if isinstance(compiled, str) else None
        self.net = torch.compile(self.model, mode=mode) if compiled else self.model

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        x, y = self._tensors(images, labels)
        if input == "device":
            x, y = x.to(self.device), y.to(self.device)
            self.batches: Iterable = list(zip(x.split(self.batch_size), y.split(self.batch_size), strict=True))
            return
        collate = self._collated if self.memory_format == torch.channels_last and x.ndim == 4 else None
        data, on_gpu = TensorDataset(x, y), self.device == "cuda"
        loader = DataLoader(data, batch_size=self.batch_size, collate_fn=collate, pin_memory=on_gpu)
        self.batches = ToGpu(loader) if on_gpu else loader

    def train(self, pace: Pace) -> None:
        self.model.train()
        step = self._mixed_step if self.lower else self._step
        for _epoch in count():
            for x, y in self.batches:
                loss = step(x, y)
                if pace.over(synchronise=torch.cuda.synchronize if self.device == "cuda" else loss.item):
                    return

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = self._loss(self.net(x), y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def _mixed_step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The context of docs.pytorch.org/tutorials/recipes/recipes/amp_recipe."""
        loss = self._loss(self._logits(self.net, x), y)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return loss

    def _loss(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self.workload.classifies and y.ndim > 1 and logits.shape[:-1] == y.shape:
            # A class at every position, with the logits last; nn.CrossEntropyLoss has them second.
            return self.loss_fn(logits.flatten(0, -2), y.flatten())
        return self.loss_fn(logits, y)

    def _logits(self, net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        if self.lower is None:
            return net(x)
        with torch.autocast(self.device, self.lower):
            # The recipe computes the loss in here too, where autocast makes it float32 on a GPU; on a CPU it does not.
            return net(x).float()

    def infer(self, pace: Pace, take: Callable[[np.ndarray], object]) -> None:
        self.model.eval()
        # docs.pytorch.org/docs/stable/notes/autograd.html, "Inference Mode"
        with torch.inference_mode():
            for _epoch in count():
                for x, _ in self.batches:
                    take(self._logits(self.net, x).numpy(force=True))
                    if pace.over(nothing):
                        return

    @torch.no_grad()
    def logits(self, images: np.ndarray) -> np.ndarray:
        with self._evaluating():
            return self._logits(self.model, self._channels_first(images).to(self.device)).numpy(force=True)

    @torch.no_grad()
    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        x, y = self._tensors(images, labels)
        with self._evaluating():
            return self._loss(self._logits(self.model, x.to(self.device)), y.to(self.device)).item()

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Switches to evaluation mode; a net that trains then returns to training mode, also between two steps."""
        training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)

    def weights(self) -> dict[str, np.ndarray]:
        if isinstance(self.workload, Own):
            state = self.model.state_dict()
            return {f"{OWN}{name}": np.array(one.numpy(force=True)) for name, one in state.items() if _counts(name)}
        return self._neutral_weights(self.model.state_dict())

    def load(self, weights: dict[str, np.ndarray]) -> None:
        if isinstance(self.workload, Own):
            arrays = {name.removeprefix(OWN): one for name, one in weights.items() if name.startswith(OWN)}
        else:
            arrays = {
                own: one
                for name, array in weights.items()
                for own, one in zip(self._native_names(name), self._native(name, array), strict=True)
            }
        native = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        state = self.model.state_dict()
        counters = {name: one for name, one in state.items() if not _counts(name)}
        check_fit(_shapes(native), _shapes({name: one for name, one in state.items() if name not in counters}))
        self.model.load_state_dict(native | counters)
        if self.workload.trains:
            self.optimizer.state.clear()

    def settings(self) -> dict[str, object]:
        return runtime_settings() | {
            "channels_last": next(self.model.parameters()).is_contiguous(memory_format=torch.channels_last),
            "compiled": self.net is not self.model,
            "fused": bool(self.workload.trains and self.optimizer.defaults["fused"]),
            "device": str(next(self.model.parameters()).device),
            "autocast": self.computed if self.lower else None,
            "loss_scaling": self.scaler.is_enabled(),
        }

    def allocator_peaks_mib(self) -> tuple[float | None, float | None]:
        return allocator_peaks_mib(self.device)

    def _collated(self, samples: list[tuple[torch.Tensor, torch.Tensor]]) -> list[torch.Tensor]:
        x, y = default_collate(samples)
        return [x.contiguous(memory_format=self.memory_format), y]

    def _tensors(self, images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.from_numpy(labels)
        return self._channels_first(images), y if self.workload.classifies else _channels_second(y)

    def _channels_first(self, images: np.ndarray) -> torch.Tensor:
        if self.workload.tokens:
            return torch.from_numpy(images)
        # Contiguous by default: the layout of PyTorch's data sets and layers.
        x = _channels_second(torch.from_numpy(images))
        return x.contiguous(memory_format=self.memory_format) if x.ndim == 4 else x

    def _net(self) -> nn.Module:
        if isinstance(self.workload, Own):
            return self.workload.build(MODEL_FILE)
        return workloads.model_file(self.workload.name, MODEL_FILE).Net()

    def _neutral_weights(self, native: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
        found = {}
        for name in self.workload.weight_shapes:
            own = [native[one].numpy(force=True) for one in self._native_names(name) if one in native]
            if own:
                found[name] = np.array(self._neutral(name, own))
        return found

    def _native_names(self, name: str) -> list[str]:
        """PyTorch's names of a weight: one, but two for the biases of a GRU."""
        layer, _, weight = name.partition("/")
        if names := NAMES.get(self.workload.kinds[layer]):
            return [f"{layer}.{one}" for one in names[weight]]
        return [f"{layer}.{'bias' if weight == 'bias' else 'weight'}"]

    def _native(self, name: str, array: np.ndarray) -> list[np.ndarray]:
        """HWIO → OIHW; (in, out) → (out, in), its rows re-counted from H, W, C to C, H, W after a flatten.

        For a GRU, the gates z, r, n → r, z, n, and its two biases apart.
        """
        layer, _, weight = name.partition("/")
        if self.workload.kinds[layer] is GRU:
            array = _gates_swapped(array)
            return list(array) if weight == "bias" else [array.T]
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif weight == "kernel":
            if hwc := self.workload.flattened_from(layer):
                array = array.reshape(*hwc, -1).transpose(2, 0, 1, 3).reshape(array.shape)
            array = array.T
        return [array]

    def _neutral(self, name: str, arrays: list[np.ndarray]) -> np.ndarray:
        """The inverse of `_native`."""
        layer, _, weight = name.partition("/")
        if self.workload.kinds[layer] is GRU:
            return _gates_swapped(np.stack(arrays) if weight == "bias" else arrays[0].T)
        array = arrays[0]
        if array.ndim == 4:
            array = array.transpose(2, 3, 1, 0)
        elif weight == "kernel":
            array = array.T
            if hwc := self.workload.flattened_from(layer):
                h, w, c = hwc
                array = array.reshape(c, h, w, -1).transpose(1, 2, 0, 3).reshape(array.shape)
        return array


class ToGpu:
    """A loader's batches, copied from pinned memory while the GPU is at work.

    See docs.pytorch.org/docs/stable/notes/cuda.html, "Use pinned memory buffers".
    """

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for x, y in self.loader:
            yield x.to("cuda", non_blocking=True), y.to("cuda", non_blocking=True)


def _channels_second(x: torch.Tensor) -> torch.Tensor:
    """A batch of images, or of volumes, in PyTorch's layout; anything else as it is."""
    return x.movedim(-1, 1).contiguous() if x.ndim >= 4 else x


def _counts(name: str) -> bool:
    """True for a weight of a module, False for the number of its batches."""
    return not name.endswith(COUNTER)


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name.replace(".", "/"): tensor.shape for name, tensor in state.items()}


def _gates_swapped(array: np.ndarray) -> np.ndarray:
    """The first two of a GRU's three gates swapped, in the last axis."""
    first, second, new = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, new], axis=-1)


def _optimizer(optimizer: SGD | Adam | AdamW, model: nn.Module, fused: bool) -> torch.optim.Optimizer:
    # None leaves it to PyTorch, which is the default.
    options: dict = {"params": model.parameters(), "lr": optimizer.learning_rate, "fused": fused or None}
    match optimizer:
        case SGD(_, momentum):
            return torch.optim.SGD(**options, momentum=momentum)
        case AdamW(_, beta_1, beta_2, epsilon, weight_decay):
            return torch.optim.AdamW(**options, betas=(beta_1, beta_2), eps=epsilon, weight_decay=weight_decay)
        case Adam(_, beta_1, beta_2, epsilon):
            return torch.optim.Adam(**options, betas=(beta_1, beta_2), eps=epsilon)
    raise ValueError(f"the adapter does not know the optimizer {optimizer}")


def start(threads: int, precision: str, device: str) -> str:
    """See the contract; returns PyTorch's own name for the device, which is the contract's."""
    torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"a GPU was requested, but PyTorch {torch.__version__} sees none (built for CUDA {torch.version.cuda})"
        )
    if device == "cuda":
        # docs.pytorch.org/docs/stable/notes/cuda.html, "TensorFloat-32 (TF32) on Ampere (and later) devices"
        products = "tf32" if precision == "tf32" else "ieee"
        torch.backends.cuda.matmul.fp32_precision = products
        torch.backends.cudnn.conv.fp32_precision = products
    torch.zeros(1, device=device)
    return device


def runtime_settings() -> dict[str, object]:
    return {
        "threads": torch.get_num_threads(),
        "num_interop_threads": torch.get_num_interop_threads(),
        "mkldnn": torch.backends.mkldnn.is_available(),
        "cuda_matmul_fp32_precision": torch.backends.cuda.matmul.fp32_precision,
        "cudnn_conv_fp32_precision": torch.backends.cudnn.conv.fp32_precision,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


def allocator_peaks_mib(device: str) -> tuple[float | None, float | None]:
    """Peaks of this device in MiB; None, None on a CPU."""
    # Memory is allocated on demand by default: docs.pytorch.org/docs/stable/notes/cuda.html, "Memory management".
    if device != "cuda":
        return None, None
    return torch.cuda.max_memory_allocated() / 2**20, torch.cuda.max_memory_reserved() / 2**20


def versions() -> dict[str, str]:
    return {"framework_version": torch.__version__, "backend": f"torch {torch.__version__}"}


def out_of_memory(error: BaseException) -> bool:
    # A plain RuntimeError comes from the allocator of the CPU, from the CUDA runtime, and from cuBLAS and cuDNN.
    said = ("can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or (isinstance(error, RuntimeError) and any(words in str(error) for words in said))
        # oneDNN's message for several causes; only a memory limit is possible here.
        or (str(error) == "could not create a primitive" and _memory_is_limited())
    )


def _memory_is_limited() -> bool:
    return resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY
