"""Inspector of PyTorch: forward hooks, its profiler and its counter of operations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from framebench.frameworks.contract import Observer, Span, kernels
from framebench.frameworks.pytorch.adapter import Trainer

# Kernels that identify an implementation, by the profiler's names.
CUDNN_RNN = "aten::_cudnn_rnn"
BATCH_NORMS = ("aten::cudnn_batch_norm", "aten::native_batch_norm")

COMPILED = "Torch-Compiled Region"  # the profiler's name for code made by torch.compile


class Inspector:
    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def layer_inputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        hooks = [
            module.register_forward_pre_hook(
                lambda module, inputs, name=name: found.update({name: inputs[0].numpy(force=True).copy()})
            )
            for name, module in self.trainer.model.named_modules()
            if f"{name}/kernel" in self.trainer.workload.weight_shapes
        ]
        try:
            self.trainer.logits(images)
        except RuntimeError as error:
            raise ValueError(f"layer {next(reversed(found), 'input')}: {error}") from error
        finally:
            for hook in hooks:
                hook.remove()
        return {name: self._neutral_input(name, array) for name, array in found.items()}

    def watch(self, observer: Observer) -> None:
        def before_update(optimizer: torch.optim.Optimizer, *_) -> None:
            parameters = self.trainer.model.named_parameters()
            gradients = {name: one.grad for name, one in parameters if one.grad is not None}
            observer.gradients(self.trainer._neutral_weights(gradients))

        self.trainer.loss_fn.register_forward_hook(lambda module, inputs, loss: observer.loss(loss.numpy(force=True)))
        self.trainer.optimizer.register_step_pre_hook(before_update)

        def dropped(dropout: nn.Dropout, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            if dropout.training:
                observer.dropout(inputs[0].numpy(force=True), output.numpy(force=True))

        for dropout in self._dropouts():
            dropout.register_forward_hook(dropped)

    def without_dropout(self) -> None:
        for dropout in self._dropouts():
            dropout.p = 0.0

    def own_initial_weights(self) -> dict[str, np.ndarray]:
        return self.trainer._neutral_weights(self.trainer._net().state_dict())

    def counted_flops(self, images: np.ndarray) -> int | None:
        return None if self.trainer.workload.recurrent else counted_flops(lambda: self.trainer.logits(images))

    def counted_step_flops(self, images: np.ndarray, labels: np.ndarray) -> int | None:
        trainer = self.trainer
        if trainer.workload.recurrent and trainer.device == "cuda":
            return None  # the counter does not know cuDNN's kernel
        x, y = (tensor.to(trainer.device) for tensor in trainer._tensors(images, labels))
        step = trainer._mixed_step if trainer.lower else trainer._step
        trainer.model.train()
        # A compiled net, in the operators that it was compiled from.
        measured, trainer.net = trainer.net, trainer.model
        try:
            return counted_flops(lambda: step(x, y))
        finally:
            trainer.net = measured

    def kernels(self, images: np.ndarray) -> dict[str, str]:
        # The measured net, so that nothing is compiled again.
        x = self.trainer._channels_first(images).to(self.trainer.device)
        self.trainer.model.train(self.trainer.workload.trains)
        with nullcontext() if self.trainer.workload.trains else torch.inference_mode():
            ran = operations(lambda: self.trainer._logits(self.trainer.net, x))
        return kernels(
            self.trainer.workload,
            "eager" if self.trainer.net is self.trainer.model else "compiled",
            ran,
            CUDNN_RNN,
            BATCH_NORMS,
        )

    def product(self, size: int) -> Callable[[int], None]:
        return product(self.trainer.device, self.trainer.computed, size)

    def copy(self, mib: int) -> Callable[[int], None]:
        return copy(self.trainer.device, mib)

    def _neutral_input(self, layer: str, array: np.ndarray) -> np.ndarray:
        """NCHW → NHWC; (n, units) re-counted from C, H, W to H, W, C after a flatten."""
        shape = array.shape
        if hwc := self.trainer.workload.flattened_from(layer):
            h, w, c = hwc
            array = array.reshape(-1, c, h, w)
        if array.ndim == 4:
            array = array.transpose(0, 2, 3, 1)
        return array.reshape(shape) if len(shape) == 2 else array

    def _dropouts(self) -> list[nn.Dropout]:
        return [module for module in self.trainer.model.modules() if isinstance(module, nn.Dropout)]


def _repeated(work: Callable[[], object], device: str) -> Callable[[int], None]:
    def repeat(times: int) -> None:
        for _ in range(times):
            work()
        if device == "cuda":
            torch.cuda.synchronize()

    return repeat


def product(device: str, computed: str, size: int) -> Callable[[int], None]:
    """See the contract, on the device with this name in PyTorch."""
    a, b = (torch.rand(size, size, device=device).to(getattr(torch, computed)) for _ in range(2))
    result = torch.empty_like(a)
    return _repeated(lambda: torch.matmul(a, b, out=result), device)


def copy(device: str, mib: int) -> Callable[[int], None]:
    """See the contract, on the device with this name in PyTorch."""
    source = torch.rand(mib * 2**18, device=device)
    copied = torch.empty_like(source)
    return _repeated(lambda: copied.copy_(source), device)


def operations(compute: Callable[[], object]) -> set[str]:
    """The names of the operations that PyTorch runs meanwhile."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        compute()
    return {event.key for event in seen.key_averages()}


@contextmanager
def traced(device: str) -> Iterator[list[Span]]:
    """See the contract: docs.pytorch.org/docs/stable/profiler.html"""
    on_gpu, activities = device == "cuda", torch.profiler.ProfilerActivity
    spans: list[Span] = []
    # On a GPU no operator of the host is followed, as that would slow it.
    with torch.profiler.profile(activities=[activities.CUDA if on_gpu else activities.CPU]) as seen:
        yield spans
    # The source from which `events` makes objects and trees, which for a recurrent net takes longer than the steps did.
    for event in seen.profiler.kineto_results.events():
        if not on_gpu and event.name().startswith(COMPILED):
            raise ValueError("PyTorch's profiler does not see the kernels that torch.compile makes for a CPU")
        # Besides the operators, which contain their inner ones, there are the optimizer's Python and autograd's engine;
        # besides a GPU's kernels and copies, annotations over stretches of the host's time.
        of_gpu = event.device_type() == torch.autograd.DeviceType.CUDA and not event.is_user_annotation()
        if of_gpu if on_gpu else event.name().startswith("aten::"):
            spans.append((event.start_ns(), event.end_ns()))


def counted_flops(compute: Callable[[], object]) -> int:
    """Floating-point operations that PyTorch counts meanwhile."""
    with FlopCounterMode(display=False) as counter:
        compute()
    return counter.get_total_flops()
