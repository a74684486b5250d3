"""Dropout that drops the same elements in two models, and measures the share that a model drops by itself.

An element's uniform number is made from its value, so it does not depend on a model's layout or order.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from keras.src import backend
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from framebench.prove.inside.trace import moments

# Values are rounded to this before they are hashed: far enough above float64 noise that hardly one element in a million
# rounds either way, and far below the differences between elements.
GRAIN = 1e-4
RANDOM = ("rand", "rand_like", "uniform_", "randn", "randn_like", "normal", "normal_", "bernoulli", "bernoulli_")


@dataclass(frozen=True)
class Call:
    """One dropout in a forward pass: its rate, the share that it dropped of `units`, and its layer.

    `place` is its place among the dropouts of the pass, `moments` are those of its input.
    """

    place: int
    rate: float
    dropped: float
    units: int
    owner: str
    moments: tuple[float, ...]


@dataclass
class Draws:
    """The dropouts of a forward pass, in order.

    `owner` returns the running layer, `own` leaves them random, `rates` replace their own, by place. `masks` are filled
    with the elements kept; masks that are given are reused.
    """

    owner: Callable[[], str]
    own: bool
    rates: Mapping[int, float]
    masks: list[torch.Tensor] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    others: int = 0  # random tensors besides dropout

    def mask(self, source: torch.Tensor, rate: float) -> torch.Tensor:
        """Factors for the next dropout of `source`: 0 for a dropped element, 1 / (1 − rate) for the rest."""
        rate = self.rates.get(len(self.calls), rate)
        place = len(self.calls)
        if place == len(self.masks):
            self.masks.append((torch.rand_like(source) if self.own else uniform(source)) < 1 - rate)
        kept = self.masks[place]
        dropped = float((~kept).double().mean())
        self.calls.append(Call(len(self.calls), rate, dropped, kept.numel(), self.owner(), moments(source)))
        return kept.to(source.dtype) / (1 - rate)


def uniform(values: torch.Tensor) -> torch.Tensor:
    """Numbers in [0, 1) that depend only on the values; the usual sine hash, in float64.

    NumPy computes it, which no mode of PyTorch's dispatcher sees: displaced by rounding, a hash is another number.
    """
    grains = np.round(values.detach().double().numpy() / GRAIN)
    hashed = np.sin(np.remainder(grains, 1e6) * 12.9898 + 1.0) * 43758.5453
    return torch.from_numpy(np.asarray(hashed - np.floor(hashed)))


class Shared(TorchDispatchMode):
    """Replaces the random draws of every dropout by draws made from its input."""

    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self.draws = draws
        self._empty: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in RANDOM and id(args[0]) not in self._empty and not self.draws.own:
            return self._drawn(name, args, func(*args, **(kwargs or {})))
        if name == "bernoulli_" and id(args[0]) in self._empty:
            noise, source = self._empty.pop(id(args[0]))
            keep = float(args[1]) if len(args) > 1 else 0.5  # a default is not handed on
            # PyTorch divides by its own share of what is kept next.
            return noise.copy_(self.draws.mask(source, 1 - keep) * keep)
        result = func(*args, **(kwargs or {}))
        if name == "empty_like":
            self._empty[id(result)] = (result, args[0])
        return result

    def _drawn(self, name: str, args: Any, result: torch.Tensor) -> torch.Tensor:
        """Other random numbers, as of stochastic depth: the i-th request of a pass gives the same in both models."""
        self.draws.others += 1
        generator = torch.Generator().manual_seed(self.draws.others)
        numbers = torch.rand(result.shape, generator=generator, dtype=torch.float64)
        if "bernoulli" in name:
            probability = args[0] if name == "bernoulli" else args[1] if len(args) > 1 else 0.5
            return result.copy_(numbers >= 1 - probability)
        # Mean and deviation, or least and most, if given; defaults are not handed on.
        asked = list(args[:2] if name == "normal" else args[1:3] if name in ("normal_", "uniform_") else ())
        first, second = asked + [0.0, 1.0][len(asked) :]
        if "norm" in name or "randn" in name:
            return result.copy_(first + second * torch.special.ndtri(numbers.clamp(1e-9, 1 - 1e-9)))
        return result.copy_(first + (second - first) * numbers)


class Cast(TorchFunctionMode):
    """Gives the type of the proof to code that asks for float32 by name, as `x.float()` does."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.float:
            return args[0].to(self.dtype)
        swapped = {name: self._typed(one) for name, one in (kwargs or {}).items()}
        return func(*map(self._typed, args), **swapped)

    def _typed(self, value: Any) -> Any:
        return self.dtype if value is torch.float32 else value


@contextmanager
def shared(
    rates: Mapping[int, float],
    owner: Callable[[], str] = str,
    own: bool = False,
    masks: list[torch.Tensor] | None = None,
) -> Iterator[Draws]:
    """Context in which dropout draws by `Shared`; yields the Draws. Whole channels are dropped by their sums."""
    draws = Draws(owner, own, rates, [] if masks is None else masks)

    def over(dims: Callable[[torch.Tensor], tuple[int, ...]]) -> Callable:
        def dropout(x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
            return _by_sums(x, p, dims(x), draws) if training and p else x

        return dropout

    def keras_dropout(inputs: torch.Tensor, rate: float, noise_shape: Any = None, seed: Any = None) -> torch.Tensor:
        if not rate:
            return inputs
        if noise_shape is None:
            return F.dropout(inputs, rate)
        dims = tuple(i for i, size in enumerate(noise_shape) if size == 1 and inputs.shape[i] != 1)
        if dims == tuple(range(1, inputs.ndim)):
            # Stochastic depth, which PyTorch's users write by hand: a number for each sample, by `_drawn`.
            return inputs * (torch.rand_like(inputs[(slice(None), *(slice(1),) * len(dims))]) >= rate) / (1 - rate)
        return _by_sums(inputs, rate, dims, draws)

    originals = [(backend.random, "dropout", backend.random.dropout)]
    originals += [
        (F, name, getattr(F, name))
        for name in ("dropout1d", "dropout2d", "dropout3d", "feature_dropout")
        if hasattr(F, name)
    ]
    for holder, name, _ in originals:
        setattr(holder, name, keras_dropout if holder is backend.random else over(lambda x: tuple(range(2, x.ndim))))
    try:
        with Shared(draws):
            yield draws
    finally:
        for holder, name, original in originals:
            setattr(holder, name, original)


def _by_sums(x: torch.Tensor, rate: float, dims: tuple[int, ...], draws: Draws) -> torch.Tensor:
    sums = x.detach().sum(dim=dims, keepdim=True) if dims else x.detach()
    return x * draws.mask(sums, rate)
