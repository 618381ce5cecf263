"""Products of arrays: dot, matmul, einsum and their kin, all on dot_general."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import opt_einsum

from ..core.avals import typeof
from ..core.tracer import operators
from ..errors import ShapeMismatchError
from ..primitives.contractions import dot_general
from ..primitives.elementwise import multiply, subtract
from ..primitives.foundation import broadcast_shapes, reduce_sum
from ..primitives.structural import transpose as _transpose
from .common import as_operand, cast, normalize_axis, stretched, with_shape
from .protocols import METHODS, register_ufunc


def dot(x: Any, y: Any, out: None = None) -> Any:
    """numpy.dot."""
    x, y = as_operand(x), as_operand(y)
    a, b = typeof(x).ndim, typeof(y).ndim
    if not a or not b:
        return multiply(x, y)
    return _contract(x, y, (a - 1,), (max(b - 2, 0),))


def _contract(x: Any, y: Any, x_axes: Sequence[int], y_axes: Sequence[int]) -> Any:
    """The sum of products over pairs of axes; the other axes of x come first."""
    have, other = ([typeof(v).shape[i] for i in axes] for v, axes in ((x, x_axes), (y, y_axes)))
    if have != other:
        raise ShapeMismatchError(
            f"Arrays of shapes {typeof(x).shape} and {typeof(y).shape} cannot be multiplied: extents {have} against "
            f"{other} are to be summed over.",
            "The axes that are summed over must have the same extents.",
            "Transpose or reshape one of the arrays.",
        )
    return dot_general(x, y, dimension_numbers=((tuple(x_axes), tuple(y_axes)), ((), ())))


def matmul(x: Any, y: Any, /, out: None = None) -> Any:
    """numpy.matmul: leading axes broadcast."""
    x, y = as_operand(x), as_operand(y)
    a, b = typeof(x).ndim, typeof(y).ndim
    if not a or not b:
        raise ValueError("matmul: an operand has no axes; use multiply")
    if a <= 2 and b <= 2:
        return dot(x, y)
    if b <= 2:
        return _contract(x, y, (a - 1,), (max(b - 2, 0),))
    if typeof(x).shape[-1] != typeof(y).shape[-2]:
        return _contract(x, y, (a - 1,), (b - 2,))
    if a == 1:
        return with_shape(*_without_row(matmul(with_shape(x, (1, *typeof(x).shape)), y)))
    lanes = broadcast_shapes(typeof(x).shape[:-2], typeof(y).shape[:-2])
    x, y = (stretched(v, (*lanes, *typeof(v).shape[-2:])) for v in (x, y))
    count = len(lanes)
    batch = tuple(range(count))
    return dot_general(x, y, dimension_numbers=(((count + 1,), (count,)), (batch, batch)))


def _without_row(x: Any) -> tuple[Any, tuple[int, ...]]:
    shape = typeof(x).shape
    return x, (*shape[:-2], shape[-1])


def vecdot(x: Any, y: Any, /, *, axis: int = -1) -> Any:
    """numpy.vecdot: the sum of conj(x) * y along an axis."""
    return np.sum(multiply(np.conjugate(as_operand(x)), as_operand(y)), axis=axis)


def matvec(x: Any, y: Any, /) -> Any:
    """numpy.matvec."""
    return np.squeeze(matmul(x, np.expand_dims(y, -1)), -1)


def vecmat(x: Any, y: Any, /) -> Any:
    """numpy.vecmat: conj(x) times a matrix."""
    return np.squeeze(matmul(np.expand_dims(np.conjugate(as_operand(x)), -2), y), -2)


def inner(x: Any, y: Any, /) -> Any:
    """numpy.inner."""
    x, y = as_operand(x), as_operand(y)
    a, b = typeof(x).ndim, typeof(y).ndim
    return multiply(x, y) if not a or not b else _contract(x, y, (a - 1,), (b - 1,))


def outer(x: Any, y: Any, out: None = None) -> Any:
    """numpy.outer."""
    return multiply(with_shape(np.ravel(x), (np.size(x), 1)), np.ravel(y))


def vdot(x: Any, y: Any, /) -> Any:
    """numpy.vdot."""
    return dot(np.ravel(np.conjugate(as_operand(x))), np.ravel(as_operand(y)))


def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """numpy.tensordot."""
    x, y = as_operand(x), as_operand(y)
    a, b = typeof(x).ndim, typeof(y).ndim
    if isinstance(axes, (int, np.integer)):
        return _contract(x, y, range(a - int(axes), a), range(int(axes)))
    first, second = ([side] if isinstance(side, (int, np.integer)) else list(side) for side in axes)
    return _contract(x, y, [normalize_axis(i, a) for i in first], [normalize_axis(i, b) for i in second])


def kron(x: Any, y: Any) -> Any:
    """numpy.kron."""
    x, y = as_operand(x), as_operand(y)
    ndim = max(typeof(x).ndim, typeof(y).ndim)
    a, b = ((1,) * (ndim - typeof(v).ndim) + typeof(v).shape for v in (x, y))
    wide_x = with_shape(x, tuple(n for extent in a for n in (extent, 1)))
    wide_y = with_shape(y, tuple(n for extent in b for n in (1, extent)))
    return with_shape(multiply(wide_x, wide_y), tuple(m * n for m, n in zip(a, b)))


def cross(x: Any, y: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    """numpy.cross of vectors with three components."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = np.moveaxis(as_operand(x), axisa, -1), np.moveaxis(as_operand(y), axisb, -1)
    if typeof(x).shape[-1] != 3 or typeof(y).shape[-1] != 3:
        raise ValueError("cross: both arrays must have vectors with three components")
    x1, y1 = np.roll(x, -1, -1), np.roll(y, -1, -1)
    z = subtract(multiply(x, y1), multiply(x1, y))
    return np.moveaxis(np.roll(z, -1, -1), -1, axisc)


def einsum(*operands: Any, out: None = None, optimize: Any = True, dtype: Any = None, **options: Any) -> Any:
    """numpy.einsum: all of its notation; contracts pair by pair along a path found by opt_einsum.

    Reference:
        Smith and Gray, opt_einsum, Journal of Open Source Software 3 (2018).
    """
    inputs, output, arrays = opt_einsum.parser.parse_einsum_input(operands, shapes=False)
    arrays = [cast(as_operand(x), dtype) for x in arrays]
    terms = inputs.split(",")
    path = _einsum_path(f"{inputs}->{output}", tuple(typeof(x).shape for x in arrays), optimize is not False)
    for picked in path:
        chosen = sorted(picked, reverse=True)
        parts = [(terms.pop(i), arrays.pop(i)) for i in chosen]
        needed = set(output).union(*terms)
        term, result = _summed(*parts[0], needed.union(*(t for t, _ in parts[1:])))
        for other in parts[1:]:
            term, result = _einsum_pair((term, result), _summed(*other, needed | set(term)), needed)
        terms.append(term)
        arrays.append(result)
    term, result = _summed(terms[0], arrays[0], set(output))
    order = tuple(term.index(label) for label in output)
    return result if order == tuple(range(len(order))) else _transpose(result, permutation=order)


@cache
def _einsum_path(expression: str, shapes: tuple[tuple[int, ...], ...], optimize: bool) -> Any:
    if len(shapes) == 1:
        return [(0,)]
    if not optimize:
        return [tuple(range(len(shapes)))]
    return opt_einsum.contract_path(expression, *shapes, shapes=True, optimize="auto")[0]


def _summed(term: str, x: Any, needed: set[str]) -> tuple[str, Any]:
    """One operand without repeated labels (its diagonal is taken) and labels that nobody else needs."""
    while len(set(term)) < len(term):
        label = next(c for c in term if term.count(c) > 1)
        first, second = term.index(label), term.rindex(label)
        x = np.diagonal(x, axis1=first, axis2=second)
        term = "".join(c for i, c in enumerate(term) if i not in (first, second)) + label
    gone = tuple(i for i, c in enumerate(term) if c not in needed)
    return "".join(c for c in term if c in needed), reduce_sum(x, axes=gone) if gone else x


def _einsum_pair(first: tuple[str, Any], second: tuple[str, Any], needed: set[str]) -> tuple[str, Any]:
    """The contraction of two operands: shared labels that are needed are batch axes, the others are summed over."""
    (a, x), (b, y) = first, second
    a, x, b, y = _broadcast_labels(a, x, b, y)
    batch = [c for c in a if c in b and c in needed]
    summed = [c for c in a if c in b and c not in needed]
    numbers = tuple((tuple(map(a.index, labels)), tuple(map(b.index, labels))) for labels in (summed, batch))
    result = dot_general(x, y, dimension_numbers=numbers)
    rest = [c for c in a if c not in b] + [c for c in b if c not in a]
    return "".join(batch + rest), result


def _broadcast_labels(a: str, x: Any, b: str, y: Any) -> tuple[str, Any, str, Any]:
    """Operands in which shared labels have one extent: an axis of extent one is dropped where the other's is longer."""
    have = dict(zip(a, typeof(x).shape))
    other = dict(zip(b, typeof(y).shape))
    drop_a = [c for c in a if c in other and have[c] == 1 != other[c]]
    drop_b = [c for c in b if c in have and other[c] == 1 != have[c]]
    x = with_shape(x, tuple(n for c, n in have.items() if c not in drop_a))
    y = with_shape(y, tuple(n for c, n in other.items() if c not in drop_b))
    return "".join(c for c in a if c not in drop_a), x, "".join(c for c in b if c not in drop_b), y


def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """numpy.convolve of two vectors."""
    a, v = as_operand(a), as_operand(v)
    if typeof(a).size < typeof(v).size:
        a, v = v, a
    n, m = typeof(a).size, typeof(v).size
    padded = np.pad(a, m - 1)
    windows = np.take(padded, np.arange(n + m - 1)[:, None] + np.arange(m)[::-1], axis=0)
    everything = dot(windows, v)
    if mode == "full":
        return everything
    start, count = ((m - 1) // 2, n) if mode == "same" else (m - 1, n - m + 1)
    return everything[start : start + count]


def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """numpy.correlate of two vectors."""
    a, v = as_operand(a), as_operand(v)
    if typeof(a).size < typeof(v).size:
        return np.conjugate(np.flip(correlate(v, a, mode)))
    return convolve(a, np.conjugate(np.flip(v)), mode)


operators.matmul = matmul
register_ufunc(np.matmul, matmul)
register_ufunc(np.vecdot, vecdot)
for _name, _function in (("matvec", matvec), ("vecmat", vecmat)):
    if hasattr(np, _name):
        register_ufunc(getattr(np, _name), _function)
METHODS.update(dot=dot)
