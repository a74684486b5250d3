"""Layers in the order in which they run, with fused layers cut as the other model has the parts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product

from framebench.prove.inside.trace import Trace
from framebench.prove.inside.units import Unit, gates, singles, split, split_inputs, squeezed, stacked


def in_order(units: Iterable[Unit], trace: Trace) -> list[Unit]:
    """Units by their first use in a forward pass; those that are never used come last."""
    return sorted(units, key=lambda unit: trace.first_use(unit.weights))


def fitted(ours: list[Unit], theirs: list[Unit]) -> tuple[list[Unit], list[Unit]]:
    """Both lists; layers fused or kept as bare parameters on one side are split where the other side has the parts."""
    ours, theirs = _gated(ours, theirs), _gated(theirs, ours)
    ours, theirs = _unfused(ours, theirs), _unfused(theirs, ours)
    return _bared(ours, theirs), _bared(theirs, ours)


def _surplus(units: list[Unit], others: list[Unit]) -> Counter:
    return Counter(unit.signature for unit in units) - Counter(unit.signature for unit in others)


def _gated(units: list[Unit], others: list[Unit]) -> list[Unit]:
    """Recurrent layers as one dense layer for each gate, if the other side has a cell of the user's own."""
    over = _surplus(units, others)
    if not any(signature[0] == "plain" for signature in _surplus(others, units)):
        return units  # one more layer of its kind
    return [
        part
        for unit in units
        for part in (gates(unit) if unit.kind == "recurrent" and over[unit.signature] else [unit])
    ]


def _unfused(units: list[Unit], others: list[Unit]) -> list[Unit]:
    """Fused layers and stacks of parameters, split into the parts that the other side has left."""
    wanted, over = _surplus(others, units), _surplus(units, others)
    sizes: dict[str, int] = {}  # of the stacks of a layer
    result = []
    for unit in units:
        done = [unit]
        if unit.signature[0] == "plain" and over[unit.signature]:
            for parts in _pieces(unit, wanted):
                needed = Counter(one.signature for one in parts)
                if needed <= wanted:
                    wanted -= needed
                    over[unit.signature] -= 1
                    done = parts
                    break
        if done[0].place is not None:
            sizes[unit.layer] = len(done)
        result.append(done)
    # A stack of biases has no layer of its own on the other side; it is cut like the kernels of its layer.
    return [
        part
        for done in result
        for unit in done
        for part in (
            stacked(unit)
            if unit.kind == "bare" and unit.place is None and sizes.get(unit.layer) == unit.main.shape[0]
            else [unit]
        )
    ]


def _pieces(unit: Unit, wanted: Counter) -> Iterator[list[Unit]]:
    """Ways to cut a layer: outputs in equal or in the wanted parts, inputs in two, both, or slices of a stack."""
    inside, outside = (1, 1, *unit.main.shape)[-2:]
    shapes = [signature[-1] for signature in wanted if wanted[signature] > 0 and signature[0] == "plain"]
    for parts in (3, 2, 4):
        if outside % parts == 0:
            yield split(unit, [outside // parts] * parts)
    fitting = [shape[-1] for shape in shapes if shape and shape[:-1] == squeezed(unit.main.shape[:-1])]
    for parts in (2, 3):
        for sizes in product(fitting, repeat=parts):
            if sum(sizes) == outside:
                yield split(unit, sizes)
    if unit.kind == "bare" and len(unit.main.shape) > 1 and unit.main.shape[0] > 1:
        yield stacked(unit)
    if unit.kind == "kernel":
        # A user's own cell may concatenate state and input, and compute all gates as one layer.
        for parts in (1, 4, 3, 2):
            rows = {
                shape[-2] if len(shape) == len(squeezed(unit.main.shape)) else 1 for shape in shapes if len(shape) > 1
            }
            for size in sorted(rows & set(range(1, inside))) if outside % parts == 0 else ():
                columns = split(unit, [outside // parts] * parts)
                yield [part for column in columns for part in split_inputs(column, (size, inside - size))]


def _bared(units: list[Unit], others: list[Unit]) -> list[Unit]:
    """Units of several arrays as single ones, where the other side has single arrays of these shapes left."""
    wanted, over, result = _surplus(others, units), _surplus(units, others), []
    for unit in units:
        parts = singles(unit)
        signatures = [part.signature for part in parts]
        several = len(parts) > 1 or unit.kind == "norm"
        apart = over[unit.signature] and several and all(wanted[one] for one in signatures)
        if apart:
            wanted -= Counter(signatures)
            over[unit.signature] -= 1
        result += parts if apart else [unit]
    return result
