"""Loss, gradients and steps of both models, and how far rounding alone can move each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import isfinite
from random import Random
from typing import Any

import keras
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from framebench.prove.inside.deciding import loss
from framebench.prove.inside.drawing import STEPS
from framebench.prove.inside.draws import shared
from framebench.prove.inside.keras_side import KerasSide
from framebench.prove.inside.pytorch_side import PyTorchSide

Arrays = dict[str, torch.Tensor]
# A few roundings: of a quotient, a root, an exponential and the additions around them.
ELEMENTARY = 8
DRAWN = 2**20  # fewest random numbers that displacements are taken from
# Operations without rounding, and those whose backward pass asks which element was the largest.
EXACT = (
    *("copy_", "zero_", "fill_", "clone", "detach", "empty_like", "zeros_like", "ones_like", "zeros", "new_zeros"),
    *("new_empty", "cat", "stack", "where", "flip", "neg", "relu", "relu_", "threshold_backward", "index_select"),
    *("embedding", "gather", "masked_fill", "constant_pad_nd", "bernoulli_", "lift_fresh", "_to_copy"),
    *("max_pool2d_with_indices", "amax", "amin", "max", "min", "topk", "sort"),
)
SUMS = ("sum", "mean", "var", "linalg_vector_norm", "avg_pool2d", "_adaptive_avg_pool2d", "embedding_dense_backward")


class Displaced(TorchDispatchMode):
    """Displaces the result of every operation as far as rounding to a unit roundoff can.

    An inner product or a sum of n terms is off by at most n·unit·Σ|terms| (Higham, Accuracy and Stability of Numerical
    Algorithms, eq. 3.5); for terms of both signs, Σ|terms| is about √n times the size of the result. For float32, whose
    worst case says nothing, ELEMENTARY units replace n (`growing` false).
    """

    def __init__(self, unit: float, growing: bool, seed: int) -> None:
        super().__init__()
        self.unit, self.growing = unit, growing
        self.generator, self.places = torch.Generator().manual_seed(seed), Random(seed)
        self.drawn = torch.empty(0, dtype=torch.float64)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        returns = func._schema.returns
        view = any(one.alias_info is not None and not one.alias_info.is_write for one in returns)
        if view or name in EXACT:
            return result
        n = terms(name, [one for one in args if isinstance(one, torch.Tensor)], result)
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, torch.Tensor) and one.is_floating_point() and one.numel():
                self._displace(one, name, args, n)
        return result

    def _displace(self, one: torch.Tensor, name: str, args: Sequence[Any], n: int) -> None:
        noise = self._noise(one)
        with torch.no_grad():
            if n > 1:
                size = float(torch.linalg.vector_norm(one)) / one.numel() ** 0.5
                if not isfinite(size):  # a mask of −∞ stays one
                    size = float(torch.where(one.isfinite(), one, 0.0).square().mean().sqrt())
                one.add_(noise, alpha=size * (n**1.5 if self.growing else ELEMENTARY) * self.unit)
                return
            sizes = one.abs().mul_(ELEMENTARY)
            if name in ("add", "sub", "add_", "sub_", "rsub"):
                for other in args[:2]:
                    if isinstance(other, torch.Tensor) and other.shape == one.shape:
                        sizes = torch.maximum(sizes, other.abs())
            one.addcmul_(noise, torch.nan_to_num_(sizes, posinf=0.0), value=self.unit)

    def _noise(self, one: torch.Tensor) -> torch.Tensor:
        """Numbers from −1 to 1: a random stretch of numbers drawn once, since drawing takes half of the time."""
        count = one.numel()
        if missing := max(count, DRAWN) - len(self.drawn[: max(count, DRAWN)]):
            more = torch.rand(missing, generator=self.generator, dtype=torch.float64) * 2 - 1
            self.drawn = torch.cat([self.drawn, more])
        first = self.places.randrange(len(self.drawn) - count + 1)
        return self.drawn[first : first + count].view(one.shape).to(one.dtype)


def terms(name: str, tensors: Sequence[torch.Tensor], result: Any) -> int:
    """Length of the longest sum that an operation makes for one element of its result."""
    first = tensors[0] if tensors else None
    n = 1
    if name in ("mm", "bmm"):
        n = tensors[0].shape[-1]
    elif name in ("addmm", "baddbmm"):
        n = tensors[1].shape[-1]
    elif name == "convolution":
        n = tensors[1].numel() // tensors[1].shape[0]
    elif name == "convolution_backward":
        gradient, _, weight = tensors[:3]
        n = max(gradient.numel() // gradient.shape[1], weight.numel() // weight.shape[1])
    elif first is not None and "batch_norm" in name:
        n = first.numel() // first.shape[1]
    elif first is not None and ("layer_norm" in name or "group_norm" in name):
        n = first.numel() // max(1, first.shape[0])
    elif first is not None and "softmax" in name:
        n = first.shape[-1]
    elif first is not None and name in SUMS:
        one = result[0] if isinstance(result, tuple) else result
        n = max(2, first.numel() // max(1, one.numel()))
    return n


@dataclass(frozen=True)
class Problem:
    """The part of problem.yaml that training needs."""

    loss: str
    optimizer: Mapping[str, Any]

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> "Problem":
        """The problem of a request, with one epsilon of Adam for both: Keras's."""
        optimizer = request["optimizer"]
        if isinstance(optimizer.get("epsilon"), dict):
            optimizer = optimizer | {"epsilon": optimizer["epsilon"]["keras"]}
        return cls(request["loss"], optimizer)


@dataclass(frozen=True)
class Batch:
    """One batch in the layout of each framework."""

    inputs: tuple[torch.Tensor, torch.Tensor]
    targets: tuple[torch.Tensor, torch.Tensor]

    def typed(self, dtype: torch.dtype) -> "Batch":
        def one(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(dtype) if tensor.is_floating_point() else tensor

        return Batch(*(tuple(map(one, pair)) for pair in (self.inputs, self.targets)))  # type: ignore[arg-type]


class KerasTraining:
    """Loss and steps of the Keras side, by Keras's own losses and optimizers."""

    def __init__(self, side: KerasSide, problem: Problem) -> None:
        self.side = side
        self.loss_of = loss(problem.loss)
        self.problem = problem
        self.optimizer = _keras_optimizer(problem.optimizer)
        self.step = 0

    def loss(self, batch: Batch, training: bool) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.side.run(batch.inputs[0], training)
        return logits, self.loss_of(batch.targets[0], logits)

    def learn(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """One step; logits and loss before it. The gradients stay in the weights."""
        for one in self.side.parameters:
            one.grad = None
        logits, loss = self.loss(batch, True)
        loss.backward()
        self.step += 1
        variables = self.side.model.trainable_variables
        gradients = [torch.zeros_like(one.value) if one.value.grad is None else one.value.grad for one in variables]
        epsilon = self.problem.optimizer.get("epsilon")
        if epsilon is not None:
            # Keras adds epsilon before the bias correction; the paper and PyTorch after it.
            self.optimizer.epsilon = epsilon * (1 - self.optimizer.beta_2**self.step) ** 0.5
        with torch.no_grad():
            self.optimizer.apply(gradients, variables)
        return logits.detach(), loss.detach()


class PyTorchTraining:
    """Loss and steps of the PyTorch side, by torch.nn.functional and torch.optim."""

    def __init__(self, side: PyTorchSide, problem: Problem) -> None:
        self.side, self.problem = side, problem
        self.optimizer = _torch_optimizer(problem.optimizer, side.parameters)

    def loss(self, batch: Batch, training: bool) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.side.run(batch.inputs[1], training)
        match self.problem.loss:
            case "softmax_cross_entropy":
                flat = logits.shape[:-1] == batch.targets[1].shape
                scores = logits.flatten(0, -2) if flat else logits
                loss = F.cross_entropy(scores, batch.targets[1].flatten() if flat else batch.targets[1])
            case "mean_squared_error":
                loss = F.mse_loss(logits, batch.targets[1])
            case _:
                loss = F.binary_cross_entropy_with_logits(logits, batch.targets[1])
        return logits, loss

    def learn(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        self.optimizer.zero_grad()
        logits, loss = self.loss(batch, True)
        loss.backward()
        self.optimizer.step()
        return logits.detach(), loss.detach()


def _keras_optimizer(asked: Mapping[str, Any]) -> keras.optimizers.Optimizer:
    match asked["name"]:
        case "sgd":
            return keras.optimizers.SGD(asked["learning_rate"], momentum=asked["momentum"])
        case "adam":
            return keras.optimizers.Adam(
                asked["learning_rate"], beta_1=asked["beta_1"], beta_2=asked["beta_2"], epsilon=asked["epsilon"]
            )
    return keras.optimizers.AdamW(
        asked["learning_rate"],
        weight_decay=asked["weight_decay"],
        beta_1=asked["beta_1"],
        beta_2=asked["beta_2"],
        epsilon=asked["epsilon"],
    )


def _torch_optimizer(asked: Mapping[str, Any], parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    if asked["name"] == "sgd":
        return torch.optim.SGD(parameters, asked["learning_rate"], momentum=asked["momentum"])
    betas, epsilon = (asked["beta_1"], asked["beta_2"]), asked["epsilon"]
    if asked["name"] == "adam":
        return torch.optim.Adam(parameters, asked["learning_rate"], betas, epsilon)
    return torch.optim.AdamW(parameters, asked["learning_rate"], betas, epsilon, weight_decay=asked["weight_decay"])


def trajectory(
    training: KerasTraining | PyTorchTraining,
    batches: Sequence[Batch],
    read: Callable[[str], Iterator[tuple[str, torch.Tensor]]],
    displaced: Displaced | None = None,
    masks: list[torch.Tensor] | None = None,
) -> Arrays:
    """Every compared quantity by name, with the draws of dropout shared.

    `read` gives the arrays of a side by layer and role: of `value` and of `grad`. The side keeps its weights of the
    last step. `masks` are those of the first step's dropouts, which a displaced side takes from the exact one:
    displaced, it would drop an element or two differently, and no bound would be left.
    """
    found: Arrays = {}
    with displaced or nullcontext():
        with torch.no_grad():
            logits, loss = training.loss(batches[0], False)
        found |= {"evaluation logits": logits.detach(), "evaluation loss": loss.detach()}
        before = {name: array.clone() for name, array in read("value")}
        losses = []
        for step, batch in enumerate(batches, 1):
            with shared(training.side.rates, masks=masks if step == 1 else None):
                logits, loss = training.learn(batch)
            losses.append(loss)
            if step == 1:
                found["training logits"] = logits
                found |= {f"gradient/{name}": array.clone() for name, array in read("grad")}
            if step in STEPS:
                for name, array in read("value"):
                    kind = "statistics" if name.endswith((" mean", " variance")) else "update"
                    steps = f"{step} step{'s' if step > 1 else ''}"
                    found[f"{kind} after {steps}/{name}"] = array - before[name]
    found["training losses"] = torch.stack([loss.reshape(()) for loss in losses])
    return found


def distance(one: torch.Tensor, exact: torch.Tensor) -> float:
    """Euclidean norm of the difference, relative to that of the exact array."""
    size = float(exact.double().norm())
    difference = float((one.double() - exact.double()).norm())
    return difference / size if size else (0.0 if not difference else float("inf"))
