"""Updates at computed indices, where many points may write to the same place.

Three ways: points are walked in order by one thread; what does not depend on the order is left to atomic operations;
and where one value of several is to stay, the points vote, the last one wins, and each place fetches its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ...instructions import KernelRun
from ...loopnest import (
    BOOL,
    INT,
    Affine,
    Apply,
    Kernel,
    Load,
    Output,
    Position,
    axis_index,
    cast,
    constant,
    digit,
    substituted,
)
from ...places import Place, contiguous_strides
from .layouts import FEW, colliding_axes

#: So many points in a row are walked in order, whatever else could be done.
SHORT_WALK = 32
#: Places fetch their values only if there are at most so many times more of them than points: each looks.
MOST_PLACES = 16

_VOTE = np.dtype(np.int32)


def walked_axes(kernel: Kernel, is_deterministic: bool) -> tuple[list[int], tuple[str | None, ...]]:
    """Axes that one thread walks in order, and how each output is combined with what is there."""
    colliding = sorted(colliding_axes(kernel))
    placed = [output for output in kernel.outputs if output.place is not None]
    is_atomic = bool(colliding) and all(_may_be_atomic(output, is_deterministic) for output in placed)
    kinds = tuple(None if o.combine is None else "atomic" if is_atomic else "alone" for o in kernel.outputs)
    return [] if is_atomic else colliding, kinds


def _may_be_atomic(output: Output, is_deterministic: bool) -> bool:
    """Whether updates may be done in any order: with the same results, or with those of one order or another."""
    dtype = output.expression.dtype
    if dtype.kind == "c" and output.combine != "add":  # of two parts that change together
        return False
    is_exact = output.combine in ("maximum", "minimum") or dtype.kind in "iub"
    return output.combine is not None and (is_exact or not is_deterministic)


def by_vote(run: KernelRun, scratch: int) -> tuple[list[KernelRun], int] | None:
    """Kernels that let the last of several values stay, and the bytes that they share; None if a walk is better.

    Args:
        scratch: the slot of the memory that they share.
    """
    kernel, (target, *_) = run.kernel, run.targets
    (output, *others) = kernel.outputs
    if others or output.place is None or output.combine is not None or not target.is_contiguous:
        return None
    points, places = prod(kernel.shape), prod(target.shape)
    walk = prod(kernel.shape[axis] for axis in colliding_axes(kernel))
    if walk <= SHORT_WALK or places > MOST_PLACES * points or max(points, places) >= FEW:
        return None
    strides = contiguous_strides(target.shape, _VOTE.itemsize)
    votes = Place(scratch, 0, target.shape, _VOTE, strides)
    runs = [
        KernelRun(Kernel(target.shape, 0, (Output(constant(-1, _VOTE), None),), ()), (), (votes,)),
        KernelRun(_voting(kernel), run.sources, (votes,)),
        KernelRun(_fetching(kernel, target), (*run.sources, votes, target), (target,)),
    ]
    return runs, places * _VOTE.itemsize


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """How far the number of a point moves with each axis."""
    return contiguous_strides(shape, 1)


def _voting(kernel: Kernel) -> Kernel:
    """Every point gives its number to the place that it writes to, where the largest stays."""
    number = Position(Affine(0, tuple(enumerate(_strides(kernel.shape)))), INT)
    (output,) = kernel.outputs
    vote = Output(cast(number, _VOTE), "maximum", output.place)
    return Kernel(kernel.shape, 0, (vote,), kernel.operands)


def _fetching(kernel: Kernel, target: Place) -> Kernel:
    """Every place computes what the point that has won would write; without one it keeps what it has."""
    space = tuple(map(axis_index, range(len(target.shape))))
    votes, before = object(), object()
    vote = Load(votes, space, _VOTE)
    number = Apply("maximum", (cast(vote, INT), constant(0, INT)), INT)
    point = tuple(
        Affine(0, (), ((1, digit(number, stride, extent)),)) if extent > 1 else Affine(0, ())
        for stride, extent in zip(_strides(kernel.shape), kernel.shape)
    )
    (output,) = kernel.outputs
    value, dtype = substituted(output.expression, point), output.expression.dtype
    has_won = Apply("greater_equal", (vote, constant(0, _VOTE)), BOOL)
    chosen = Apply("select", (has_won, value, Load(before, space, dtype)), dtype)
    return Kernel(target.shape, 0, (Output(chosen, None),), (*kernel.operands, votes, before))

