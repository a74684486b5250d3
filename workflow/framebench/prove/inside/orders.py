"""Other orders in which the inputs or outputs of a layer may be counted, as after a flatten."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations

import torch

from framebench.prove.inside.pairs import Pair, in_words, layouts, taken
from framebench.prove.inside.trace import VIEWS, Trace
from framebench.prove.inside.units import Unit, View, same, squeezed

MOST_AXES = 3  # of a grid of outputs, whose every order is tried
# Operations that keep the channels of a tensor apart and in their order.
CHANNELWISE = (
    *("relu", "relu_", "silu", "gelu", "elu", "leaky_relu", "sigmoid", "tanh", "native_batch_norm", "mean"),
    *("max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "constant_pad_nd", "native_dropout"),
    *("add", "add_", "sub", "mul", "mul_", "div"),
    *("upsample_nearest2d", "upsample_bilinear2d", "cudnn_batch_norm", "_native_batch_norm_legit_no_training"),
)


def orders(pair: Pair, trace: Trace, outputs: bool = False) -> Iterator[Pair]:
    """The pair with its kernel's inputs, or outputs, counted in another order of their underlying axes."""
    if not outputs:
        yield from (one for one in layouts(pair.keras, pair.pytorch) if one.order != pair.order)
    if pair.order:
        return
    shape = pair.keras.main.shape
    if outputs or pair.keras.kind == pair.pytorch.kind == "norm":
        places = taken_after(pair.keras, trace) if outputs else taken(pair.keras, trace)
        for dims in dict.fromkeys(grids_of(places, trace, shape[-1])):
            for order in _other_orders(len(dims)):
                yield _reordered(pair, dims, order)
        return
    if pair.views != (same, same):
        yield from _patch_orders(pair)
    if len(squeezed(shape)) != 2:
        return
    inside, outside = squeezed(shape)
    for dims in dict.fromkeys(grids_of(taken(pair.keras, trace), trace, inside)):
        *spatial, channels = dims
        rank = len(dims)
        ours = _grid((*spatial, channels), None, outside)
        theirs = _grid((channels, *spatial), (*range(1, rank), 0, rank), outside)
        words = f"inputs of {in_words(dims)} counted channels first by PyTorch"
        yield replace(pair, views=(ours, theirs), order=words)


def _other_orders(rank: int) -> list[tuple[int, ...]]:
    """Orders of axes, the likeliest first: channels first. For many axes, no other is tried."""
    first = (rank - 1, *range(rank - 1))
    return list(dict.fromkeys([first, *permutations(range(rank))] if rank <= MOST_AXES else [first]))[:5]


def _reordered(pair: Pair, dims: tuple[int, ...], order: tuple[int, ...]) -> Pair:
    """The pair with outputs that are a grid of `dims` in Keras, whose axes stand in `order` in PyTorch."""
    there = tuple(dims[i] for i in order)
    ours, theirs = last_axes(dims, range(len(dims))), last_axes(there, [order.index(i) for i in range(len(dims))])
    units = []
    for unit, view in ((pair.keras, ours), (pair.pytorch, theirs)):
        rest = [role for role in unit.slots if unit.kind == "norm" or role == "bias"]
        units.append(replace(unit, slots={**unit.slots, **{role: unit.slots[role].through(view) for role in rest}}))
    before, after = pair.views
    views = (lambda kernel: ours(before(kernel)), lambda kernel: theirs(after(kernel)))
    words = f"outputs of {in_words(dims)} counted as {in_words(there)} by PyTorch"
    return replace(pair, keras=units[0], pytorch=units[1], views=views, order=words)


def last_axes(dims: Sequence[int], order: Sequence[int]) -> View:
    """The last axis as several, in another order."""

    def viewed(array: torch.Tensor) -> torch.Tensor:
        apart = array.unflatten(-1, tuple(dims))
        lead = apart.ndim - len(dims)
        return apart.permute(*range(lead), *(lead + i for i in order))

    return viewed


def _patch_orders(pair: Pair) -> Iterator[Pair]:
    """A kernel over patches whose partner takes them flat, with the channels of a patch first."""
    here, there = pair.keras.main.shape, pair.pytorch.main.shape
    if len(there) == 2 < len(here):
        dims = (here[-2], *here[:-2])
        order = (*range(1, len(dims)), 0, len(dims))
        view: View = lambda kernel: kernel.unflatten(0, dims).permute(order)  # noqa: E731
        yield replace(pair, views=(same, view), order="patches counted channels first by PyTorch")
    if len(here) == 2 < len(there):
        dims = (there[-2], *there[:-2])
        order = (*range(1, len(dims)), 0, len(dims))
        view = lambda kernel: kernel.unflatten(0, dims).permute(order)  # noqa: E731
        yield replace(pair, views=(view, same), order="patches counted channels first by Keras")


def _grid(dims: tuple[int, ...], order: tuple[int, ...] | None, after: int) -> View:
    def viewed(kernel: torch.Tensor) -> torch.Tensor:
        # Splitting an axis is always a view, of a transposed kernel too.
        split = (kernel.squeeze() if kernel.ndim != 2 else kernel).unflatten(0, dims)
        return split.permute(order) if order else split

    return viewed


def grids_of(places: Iterable[int], trace: Trace, size: int) -> Iterator[tuple[int, ...]]:
    """Shapes, without the batch, of tensors that were flattened to `size` elements a sample."""
    for place in places:
        node: int | None = place
        while node is not None:
            shape = trace.nodes[node].shape
            for first in range(1, len(shape) - 1):
                if torch.Size(shape[first:]).numel() == size:
                    yield shape[first:]
            one = trace.nodes[node]
            live = [parent for parent in one.parents if trace.nodes[parent].live]
            kept = one.operation in CHANNELWISE and live and trace.nodes[live[0]].shape == shape
            node = live[0] if live and (kept or one.operation in VIEWS) else None


def taken_after(unit: Unit, trace: Trace) -> list[int]:
    """The views of a unit's result, which may be its output as a grid."""
    made = {i for i, node in enumerate(trace.nodes) if node.uses & unit.weights}
    for i, node in enumerate(trace.nodes):
        if set(node.parents) & made and node.operation in (*VIEWS, "relu", "add", "gelu", "silu", "leaky_relu"):
            made.add(i)
    return sorted(made)
