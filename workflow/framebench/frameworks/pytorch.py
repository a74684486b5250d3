"""PyTorch: the eager loop of its documentation (pytorch.org/tutorials/beginner/basics/optimization_tutorial)."""

from itertools import count

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from framebench import workloads
from framebench.frameworks import Observer, Pace
from framebench.workloads.layers import Workload

LABEL = "PyTorch"
ENVIRONMENT = "pytorch"
MODEL_FILE = "pytorch"
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
        torch.set_num_threads(threads)
        self.workload = workload
        self.batch_size = batch_size
        self.model = self._net().to(getattr(torch, precision))
        self.load(weights)
        self.loss_fn = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=workload.optimizer.learning_rate,
            momentum=workload.optimizer.momentum,
        )

    def feed(self, images: np.ndarray, labels: np.ndarray, input: str) -> None:
        x, y = _tensors(images, labels)
        if input == "device":
            self.batches = list(zip(x.split(self.batch_size), y.split(self.batch_size), strict=True))
        else:
            self.batches = DataLoader(TensorDataset(x, y), batch_size=self.batch_size)

    def train(self, pace: Pace) -> None:
        self.model.train()
        for _epoch in count():
            for x, y in self.batches:
                loss = self.loss_fn(self.model(x), y)
                loss.backward()
                self.optimizer.step()
                self.optimizer.zero_grad()
                if pace.over(synchronise=loss.item):
                    return

    @torch.no_grad()
    def logits(self, images: np.ndarray) -> np.ndarray:
        self.model.eval()
        return self.model(_channels_first(images)).numpy()

    @torch.no_grad()
    def loss(self, images: np.ndarray, labels: np.ndarray) -> float:
        self.model.eval()
        x, y = _tensors(images, labels)
        return self.loss_fn(self.model(x), y).item()

    def weights(self) -> dict[str, np.ndarray]:
        return self._neutral_weights(self.model.state_dict())

    def load(self, weights: dict[str, np.ndarray]) -> None:
        self.model.load_state_dict(
            {_native_name(name): torch.from_numpy(self._native(name, array)) for name, array in weights.items()}
        )

    def settings(self) -> dict[str, object]:
        return {
            "num_threads": torch.get_num_threads(),
            "num_interop_threads": torch.get_num_interop_threads(),
            "mkldnn": torch.backends.mkldnn.is_available(),
        }

    def watch(self, observer: Observer) -> None:
        def before_update(optimizer: torch.optim.Optimizer, *_) -> None:
            parameters = self.model.named_parameters()
            gradients = {name: one.grad for name, one in parameters if one.grad is not None}
            observer.gradients(self._neutral_weights(gradients))

        self.loss_fn.register_forward_hook(lambda module, inputs, loss: observer.loss(loss.detach().numpy()))
        self.optimizer.register_step_pre_hook(before_update)
        for dropout in self._dropouts():
            dropout.register_forward_hook(
                lambda module, inputs, output: observer.dropout(inputs[0].detach().numpy(), output.detach().numpy())
            )

    def without_dropout(self) -> None:
        for dropout in self._dropouts():
            dropout.p = 0.0

    def own_initial_weights(self) -> dict[str, np.ndarray]:
        return self._neutral_weights(self._net().state_dict())

    def counted_flops(self, images: np.ndarray) -> int:
        with FlopCounterMode(display=False) as counter:
            self.logits(images)
        return counter.get_total_flops()

    def _net(self) -> nn.Module:
        return workloads.model_file(self.workload.name, MODEL_FILE).Net()

    def _dropouts(self) -> list[nn.Dropout]:
        return [module for module in self.model.modules() if isinstance(module, nn.Dropout)]

    def _neutral_weights(self, native: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
        return {
            name: self._neutral(name, native[_native_name(name)].numpy())
            for name in self.workload.weight_shapes
            if _native_name(name) in native
        }

    def _native(self, name: str, array: np.ndarray) -> np.ndarray:
        """HWIO → OIHW; (in, out) → (out, in), its rows re-counted from H, W, C to C, H, W after a flatten."""
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif array.ndim == 2:
            if hwc := self.workload.flattened_from(name.removesuffix("/kernel")):
                array = array.reshape(*hwc, -1).transpose(2, 0, 1, 3).reshape(array.shape)
            array = array.T
        return np.ascontiguousarray(array)

    def _neutral(self, name: str, array: np.ndarray) -> np.ndarray:
        """The inverse of `_native`."""
        if array.ndim == 4:
            array = array.transpose(2, 3, 1, 0)
        elif array.ndim == 2:
            array = array.T
            if hwc := self.workload.flattened_from(name.removesuffix("/kernel")):
                h, w, c = hwc
                array = array.reshape(c, h, w, -1).transpose(1, 2, 0, 3).reshape(array.shape)
        return np.array(array)


def _native_name(name: str) -> str:
    return name.replace("/kernel", ".weight").replace("/bias", ".bias")


def _tensors(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return _channels_first(images), torch.from_numpy(labels)


def _channels_first(images: np.ndarray) -> torch.Tensor:
    # Contiguous: the layout that PyTorch's data sets give and its layers default to.
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def versions() -> dict[str, str]:
    return {"framework_version": torch.__version__, "backend": f"torch {torch.__version__}"}


def out_of_memory(error: BaseException) -> bool:
    # On the CPU, torch raises a plain RuntimeError from its allocator.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
