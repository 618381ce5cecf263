"""Reductions and scans by an associative function: associative_scan, reduce, and the cumulative forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .. import tree
from ..api.arguments import hides_internals, input_leaf, own_results
from ..api.vmap import vmap
from ..core.trace import typeof
from ..errors import CarryMismatchError, ScanLengthError, ShapeMismatchError
from ..numpy.common import as_operand
from ..primitives import cumulative as _cumulative
from ..primitives.foundation import broadcast_to, reshape
from ..primitives.indexing import move_axis
from ..primitives.structural import concatenate, reverse, slice_axis, transpose


@hides_internals
def associative_scan(
    fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """All prefixes `x0, fn(x0, x1), fn(fn(x0, x1), x2), ...` in about 2 log2(n) vectorised steps.

    The method is the odd-even recursion of Blelloch, "Prefix sums and their applications" (1990): combine pairs of
    neighbours, scan those, and fill in the places between.

    Args:
        fn: associative; takes two pytrees like `elems` whose arrays have any extent along `axis`, and combines them
            element by element.
        elems: a pytree of arrays with the same extent along `axis`.
        reverse: whether to combine suffixes instead, from the end.

    Returns:
        A pytree like `elems`.

    Raises:
        ScanLengthError: there is no array, or extents along the axis differ.
        CarryMismatchError: fn returns another structure, shape or dtype than it is given.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.associative_scan(np.multiply, np.array([1.0, 2.0, 3.0, 4.0]))
        array([ 1.,  2.,  6., 24.])
    """
    leaves, treedef = tree.flatten(elems)
    leaves = [input_leaf(x) for x in leaves]
    length = _common_extent(leaves, axis)
    moved = [move_axis(x, axis % typeof(x).ndim, 0) for x in leaves]
    if reverse:
        moved = [_reversed(x) for x in moved]

    def combine(x: Sequence[Any], y: Sequence[Any]) -> list[Any]:
        """fn on flat leaves with the scanned axis in front."""
        given = [treedef.unflatten([move_axis(a, 0, axis % typeof(a).ndim) for a in part]) for part in (x, y)]
        found, out_tree = tree.flatten(fn(*given))
        found = [input_leaf(a) for a in found]
        _check_combined(found, out_tree, [typeof(a) for a in tree.leaves(given[0])], treedef)
        return [move_axis(a, axis % typeof(a).ndim, 0) for a in found]

    scanned = _prefixes(combine, moved, length)
    if reverse:
        scanned = [_reversed(x) for x in scanned]
    found = [move_axis(x, 0, axis % typeof(x).ndim) for x in scanned]
    return treedef.unflatten(own_results(found, leaves))


def _prefixes(combine: Callable[..., list[Any]], elements: list[Any], length: int) -> list[Any]:
    if length < 2:
        return elements
    even, odd = ([_strided(x, start, length - length % 2, 2) for x in elements] for start in (0, 1))
    at_odd = _prefixes(combine, combine(even, odd), length // 2)
    first = [_strided(x, 0, 1, 1) for x in elements]
    if length == 2:
        return [concatenate(x, y, axis=0) for x, y in zip(first, at_odd)]
    later = [_strided(x, 2, length, 2) for x in elements]
    between = combine([_strided(x, 0, (length - 1) // 2, 1) for x in at_odd], later)
    at_even = [concatenate(x, y, axis=0) for x, y in zip(first, between)]
    return [_interleaved(x, y, length) for x, y in zip(at_even, at_odd)]


def _interleaved(even: Any, odd: Any, length: int) -> Any:
    """x0 y0 x1 y1 ...: rows of two, read in order."""
    aval = typeof(even)
    missing = aval.shape[0] - typeof(odd).shape[0]
    if missing:
        odd = concatenate(odd, _strided(even, 0, 1, 1), axis=0)
    rows = [reshape(x, shape=(aval.shape[0], 1, *aval.shape[1:])) for x in (even, odd)]
    whole = reshape(concatenate(*rows, axis=1), shape=(2 * aval.shape[0], *aval.shape[1:]))
    return _strided(whole, 0, length, 1)


def _strided(x: Any, start: int, stop: int, stride: int) -> Any:
    return slice_axis(x, start, stop, axis=0, stride=stride)


def _reversed(x: Any) -> Any:
    return reverse(x, axes=(0,))


def _common_extent(leaves: Sequence[Any], axis: int) -> int:
    shapes = [typeof(x).shape for x in leaves]
    if not shapes or not all(-len(shape) <= axis < len(shape) for shape in shapes):
        shown = ", ".join(map(str, shapes)) or "no arrays"
        raise ScanLengthError(
            f"A scan along axis {axis} was given {shown}.", "Every array has that axis.", "Correct the axis."
        )
    extents = {shape[axis] for shape in shapes}
    if len(extents) > 1:
        raise ScanLengthError(
            f"A scan along axis {axis} was given arrays of different lengths: {', '.join(map(str, sorted(extents)))}.",
            "All are walked along together.",
            "Cut or pad them to one length.",
        )
    return extents.pop()


def _check_combined(found: Sequence[Any], out_tree: Any, want: Sequence[Any], treedef: Any) -> None:
    """Raise CarryMismatchError unless what was combined is of the kind that it was combined of."""
    have = [typeof(x) for x in found]
    if out_tree == treedef and [(a.shape, a.dtype) for a in have] == [(a.shape, a.dtype) for a in want]:
        return
    raise CarryMismatchError(
        f"A function that combines values was given ({', '.join(map(str, want))}) and returned "
        f"({', '.join(map(str, have))}).",
        "It makes one value of a kind of two of that kind.",
        "Return the same structure, shapes and dtypes.",
    )


@hides_internals
def reduce(operands: Any, init_values: Any, computation: Callable[[Any, Any], Any], dimensions: Sequence[int]) -> Any:
    """Combine all elements along some axes by an associative and commutative function, halving by halving.

    Args:
        operands: a pytree of arrays of one shape.
        init_values: a pytree like it of scalars: what an empty reduction gives, neutral to the function.
        computation: `(x, y) -> z` on two pytrees of scalars.
        dimensions: the axes to reduce.

    Raises:
        ShapeMismatchError: the operands have different shapes, or init_values are no scalars.
        CarryMismatchError: computation returns another structure or dtype than it is given.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.reduce(np.arange(6.0).reshape(2, 3), 0.0, np.hypot, (1,)).round(3)
        array([2.236, 7.071])
    """
    leaves, treedef = tree.flatten(operands)
    leaves = [as_operand(x) for x in leaves]
    initial = [as_operand(x) for x in tree.leaves(init_values)]
    shapes = {typeof(x).shape for x in leaves}
    if len(shapes) != 1 or len(initial) != len(leaves) or any(typeof(x).shape for x in initial):
        raise ShapeMismatchError(
            f"reduce was given operands of shapes {', '.join(map(str, shapes)) or 'none'} and {len(initial)} initial "
            "values.",
            "The operands have one shape, and each of them a scalar to begin with.",
            "Broadcast the operands, and give one initial value for each.",
        )
    (shape,) = shapes
    axes = sorted({axis % len(shape) for axis in dimensions})
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    kept_shape = tuple(shape[axis] for axis in kept)
    count = int(np.prod([shape[axis] for axis in axes], dtype=int))
    size = int(np.prod(kept_shape, dtype=int))
    order = (*axes, *kept)
    rows = [reshape(transpose(x, permutation=order), shape=(count, size)) for x in leaves]

    def computed(x: list[Any], y: list[Any]) -> list[Any]:
        found, out_tree = tree.flatten(computation(treedef.unflatten(x), treedef.unflatten(y)))
        _check_combined(found, out_tree, [typeof(a) for a in x], treedef)
        return found

    combined = vmap(vmap(computed))
    start = [broadcast_to(i, shape=(1, size)) for i in initial]
    rows = combined(start, _halved(combined, rows, count)) if count else start
    return treedef.unflatten([reshape(x, shape=kept_shape) for x in rows])


def _halved(combined: Callable[..., list[Any]], rows: list[Any], count: int) -> list[Any]:
    """What so many rows combine to, one row: the first half with the second, until there is one."""
    while count > 1:
        half = count // 2
        low, high = ([_strided(x, start, start + half, 1) for x in rows] for start in (0, half))
        joined = combined(low, high)
        if count % 2:
            joined = [concatenate(x, _strided(y, count - 1, count, 1), axis=0) for x, y in zip(joined, rows)]
        rows, count = joined, half + count % 2
    return rows


def cumsum(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Sums of all elements up to each one along an axis; from each one on with `reverse`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.cumsum(np.array([1, 2, 3]), reverse=True)
        array([6, 5, 3])
    """
    return _cumulated(_cumulative.cumsum, operand, axis, reverse)


def cumprod(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Products of all elements up to each one along an axis; from each one on with `reverse`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.cumprod(np.array([1, 2, 3]))
        array([1, 2, 6])
    """
    return _cumulated(_cumulative.cumprod, operand, axis, reverse)


def cummax(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The largest of all elements up to each one along an axis; from each one on with `reverse`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.cummax(np.array([1, 3, 2]))
        array([1, 3, 3])
    """
    return _cumulated(_cumulative.cummax, operand, axis, reverse)


def cummin(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The smallest of all elements up to each one along an axis; from each one on with `reverse`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.cummin(np.array([3, 5, 1, 2]))
        array([3, 3, 1, 1])
    """
    return _cumulated(_cumulative.cummin, operand, axis, reverse)


def cumlogsumexp(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """log(sum(exp)) of all elements up to each one along an axis; from each one on with `reverse`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.cumlogsumexp(np.array([1000.0, 1000.0])).round(4)
        array([1000.    , 1000.6931])
    """
    return _cumulated(_cumulative.cumlogsumexp, operand, axis, reverse)


def _cumulated(primitive: Any, operand: Any, axis: int, reverse: bool) -> Any:
    x = as_operand(operand)
    return primitive(x, axis=normalize_axis_index(axis, typeof(x).ndim), reverse=bool(reverse))
