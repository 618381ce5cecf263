"""Products of arrays: dot, matmul and their kin on dot_general; convolve and correlate on conv_general."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.dtypes import result_type
from ..core.trace import operators, typeof
from ..errors import ShapeMismatchError
from ..primitives.contractions import DimensionNumbers, contraction_error, dot_general
from ..primitives.convolution import conv_general
from ..primitives.elementwise import add, multiply, subtract
from ..primitives.foundation import Shape, zeros
from ..primitives.matrices import conj
from ..primitives.structural import concatenate, reverse, slice_axis
from ..primitives.structural import transpose as _transpose
from .common import as_operand, cast, normalize_axes, normalize_axis, with_shape
from .manipulation import moveaxis
from .positions import stored
from .protocols import METHODS


def _operands(a: Any, b: Any) -> tuple[Any, Any]:
    """Array-likes as operands of one dtype; Python scalars count as arrays, as they do for NumPy's products."""
    a, b = as_operand(a), as_operand(b)
    x, y = typeof(a), typeof(b)
    if x.dtype == y.dtype and not x.weak and not y.weak:
        return a, b
    dtype = result_type(x.dtype, y.dtype)
    return cast(a, dtype), cast(b, dtype)


def _contract(a: Any, b: Any, a_axes: Sequence[int], b_axes: Sequence[int]) -> Any:
    """The sum of products over pairs of axes; the other axes of a come first, then those of b."""
    shape, other = typeof(a).shape, typeof(b).shape
    for i, j in zip(a_axes, b_axes):
        if shape[i] != other[j]:
            raise contraction_error(shape, other, tuple(a_axes), tuple(b_axes))
    return dot_general(a, b, dimension_numbers=((tuple(a_axes), tuple(b_axes)), ((), ())))


def dot(a: Any, b: Any, out: Any = None) -> Any:
    """numpy.dot: sums over the last axis of a and the last but one of b."""
    a, b = _operands(a, b)
    m, n = len(typeof(a).shape), len(typeof(b).shape)
    product = _contract(a, b, (m - 1,), (max(n - 2, 0),)) if m and n else multiply(a, b)
    return stored(product, out)


def inner(a: Any, b: Any, /) -> Any:
    """numpy.inner: sums over the last axes."""
    a, b = _operands(a, b)
    m, n = typeof(a).ndim, typeof(b).ndim
    return _contract(a, b, (m - 1,), (n - 1,)) if m and n else multiply(a, b)


def outer(a: Any, b: Any, out: Any = None) -> Any:
    """numpy.outer: all products of two elements."""
    a, b = _operands(a, b)
    return stored(multiply(with_shape(a, (typeof(a).size, 1)), with_shape(b, (typeof(b).size,))), out)


def vdot(a: Any, b: Any, /) -> Any:
    """numpy.vdot: the inner product of two flattened arrays, of the conjugate of a."""
    a, b = _operands(a, b)
    return dot(*(with_shape(x, (typeof(x).size,)) for x in (conj(a), b)))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """numpy.tensordot: sums over pairs of axes."""
    a, b = _operands(a, b)
    m, n = typeof(a).ndim, typeof(b).ndim
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(m, n):
            raise ShapeMismatchError(
                f"tensordot cannot sum over {axes} axes of arrays of shapes {typeof(a).shape} and {typeof(b).shape}."
            )
        a_axes, b_axes = tuple(range(m - int(axes), m)), tuple(range(int(axes)))
    else:
        a_axes, b_axes = normalize_axes(axes[0], m), normalize_axes(axes[1], n)
    if len(a_axes) != len(b_axes):
        raise ShapeMismatchError(f"tensordot was given {len(a_axes)} axes of one array and {len(b_axes)} of the other.")
    return _contract(a, b, a_axes, b_axes)


def kron(a: Any, b: Any) -> Any:
    """numpy.kron: the Kronecker product."""
    a, b = _operands(a, b)
    ndim = max(typeof(a).ndim, typeof(b).ndim)
    m, n = ((1,) * (ndim - typeof(x).ndim) + typeof(x).shape for x in (a, b))
    a = with_shape(a, tuple(extent for i in m for extent in (i, 1)))
    b = with_shape(b, tuple(extent for j in n for extent in (1, j)))
    return with_shape(multiply(a, b), tuple(i * j for i, j in zip(m, n)))


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """numpy.cross of vectors with three components, or two, of which the third counts as zero."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = _operands(a, b)
    parts = []
    for x, along in ((a, axisa), (b, axisb)):
        shape = typeof(x).shape
        along = normalize_axis(along, len(shape))
        if shape[along] not in (2, 3):
            raise ShapeMismatchError(
                f"The cross product was asked for of vectors with {shape[along]} components.",
                "It is defined for vectors with two or three.",
                "Choose the axis of the components with axisa and axisb.",
            )
        x = moveaxis(x, along, -1)
        parts.append([slice_axis(x, i, i + 1, axis=-1) for i in range(shape[along])])
    (a0, a1, *a2), (b0, b1, *b2) = parts
    last = subtract(multiply(a0, b1), multiply(a1, b0))
    if not a2 and not b2:
        return with_shape(last, typeof(last).shape[:-1])
    first = _difference([a1, *b2], [*a2, b1])
    second = _difference([*a2, b0], [a0, *b2])
    return moveaxis(concatenate(first, second, last, axis=typeof(last).ndim - 1), -1, axisc)


def _difference(gain: Sequence[Any], loss: Sequence[Any]) -> Any:
    """One product less another; a product with a component that is not there is zero."""
    if len(gain) == len(loss) == 2:
        return subtract(multiply(*gain), multiply(*loss))
    return multiply(*gain) if len(gain) == 2 else subtract(0, multiply(*loss))


# ---- matrix products that broadcast


def matmul(x1: Any, x2: Any, /) -> Any:
    """numpy.matmul: matrix products; axes before the last two broadcast."""
    x1, x2 = _operands(x1, x2)
    shape, other = typeof(x1).shape, typeof(x2).shape
    if not shape or not other:
        raise ShapeMismatchError(
            f"matmul was called on arrays of shapes {shape} and {other}.",
            "Both must have at least one axis.",
            "Use multiply (`*`) for scalars.",
        )
    if len(shape) <= 2 and len(other) <= 2:
        return _contract(x1, x2, (len(shape) - 1,), (max(len(other) - 2, 0),))
    return _broadcast_product(x1, x2, len(shape) == 1, len(other) == 1)


def matvec(x1: Any, x2: Any, /) -> Any:
    """numpy.matvec: matrices times vectors."""
    _check_core("matvec", x1, x2, 2, 1)
    x1, x2 = _operands(x1, x2)
    return _broadcast_product(x1, x2, False, True)


def vecmat(x1: Any, x2: Any, /) -> Any:
    """numpy.vecmat: conjugated vectors times matrices."""
    _check_core("vecmat", x1, x2, 1, 2)
    x1, x2 = _operands(x1, x2)
    return _broadcast_product(conj(x1), x2, True, False)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """numpy.vecdot: the sum of conj(x1) * x2 along an axis."""
    _check_core("vecdot", x1, x2, 1, 1)
    x1, x2 = _operands(x1, x2)
    if axis != -1:
        x1, x2 = moveaxis(x1, axis, -1), moveaxis(x2, axis, -1)
    return _broadcast_product(conj(x1), x2, True, True)


def _check_core(name: str, x1: Any, x2: Any, first: int, second: int) -> None:
    if typeof(as_operand(x1)).ndim < first or typeof(as_operand(x2)).ndim < second:
        raise ShapeMismatchError(
            f"{name} was called on arrays of {typeof(as_operand(x1)).ndim} and {typeof(as_operand(x2)).ndim} axes.",
            f"They must have at least {first} and {second}.",
            "Add axes with `x[None]`.",
        )


def _broadcast_product(a: Any, b: Any, a_is_vector: bool, b_is_vector: bool) -> Any:
    """Matrix or vector products, one for each index of the leading axes, which broadcast without being repeated."""
    shape, other = typeof(a).shape, typeof(b).shape
    plan = _plan(shape, other, a_is_vector, b_is_vector)
    product = dot_general(with_shape(a, plan.a_shape), with_shape(b, plan.b_shape), dimension_numbers=plan.numbers)
    return product if plan.permutation is None else _transpose(product, permutation=plan.permutation)


class _Plan(NamedTuple):
    """Both operands without the axes that broadcast, the contraction, and the order of the axes of its result."""

    a_shape: Shape
    b_shape: Shape
    numbers: DimensionNumbers
    permutation: Shape | None


@lru_cache(maxsize=4096)
def _plan(shape: Shape, other: Shape, a_is_vector: bool, b_is_vector: bool) -> _Plan:
    """A leading axis that only one operand has, or the other has with extent one, is a free axis of the contraction."""
    a_lead, b_lead = shape[: len(shape) - 2 + a_is_vector], other[: len(other) - 2 + b_is_vector]
    a_core, b_core = shape[len(a_lead) :], other[len(b_lead) :]
    if a_core[-1] != b_core[0]:
        raise contraction_error(shape, other, (len(shape) - 1,), (len(b_lead),))
    count = max(len(a_lead), len(b_lead))
    a_all, b_all = ((1,) * (count - len(lead)) + lead for lead in (a_lead, b_lead))
    both = [i for i in range(count) if a_all[i] == b_all[i]]
    a_only = [i for i in range(count) if i not in both and b_all[i] == 1]
    b_only = [i for i in range(count) if i not in both and i not in a_only]
    if any(a_all[i] != 1 for i in b_only):
        raise ShapeMismatchError(
            f"Stacks of matrices of shapes {shape} and {other} cannot be broadcast together.",
            "Aligned at the right, two extents before the last two axes must be equal or one of them 1.",
            "Insert axes with `x[:, None]`, or transpose one of the arrays.",
        )
    a_axes, b_axes = sorted([*both, *a_only]), sorted([*both, *b_only])
    order = [*both, *a_only, *([] if a_is_vector else ["row"]), *b_only, *([] if b_is_vector else ["column"])]
    wanted = [name for name in (*range(count), "row", "column") if name in order]
    numbers: DimensionNumbers = (
        ((len(a_axes) + len(a_core) - 1,), (len(b_axes),)),
        (tuple(map(a_axes.index, both)), tuple(map(b_axes.index, both))),
    )
    permutation = None if order == wanted else tuple(map(order.index, wanted))
    a_shape, b_shape = (*(a_all[i] for i in a_axes), *a_core), (*(b_all[i] for i in b_axes), *b_core)
    return _Plan(a_shape, b_shape, numbers, permutation)


# ---- sliding products


def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """numpy.convolve of two vectors."""
    a, v = _vectors(a, v)
    if typeof(v).size > typeof(a).size:
        a, v = v, a
    return _slide(a, reverse(v, axes=(0,)), mode)


def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """numpy.correlate of two vectors: of a with the conjugate of v."""
    a, v = _vectors(a, v)
    v = conj(v)
    if typeof(v).size > typeof(a).size:
        return reverse(_slide(v, a, mode), axes=(0,))
    return _slide(a, v, mode)


def _vectors(a: Any, v: Any) -> list[Any]:
    found = [with_shape(x, (1,)) if not typeof(x).shape else x for x in _operands(a, v)]
    for x, name in zip(found, "av"):
        if typeof(x).ndim > 1 or not typeof(x).size:
            raise ShapeMismatchError(
                f"`{name}` has shape {typeof(x).shape}.",
                "Both operands must be vectors that are not empty.",
                "Use functrans.lax.conv_general_dilated for more axes.",
            )
    return found


def _slide(x: Any, w: Any, mode: str) -> Any:
    """Products with a window no longer than x, at the positions that the mode names."""
    n, m = typeof(x).size, typeof(w).size
    paddings = {"full": (m - 1, m - 1), "same": (m // 2, m - m // 2 - 1), "valid": (0, 0)}
    if mode not in paddings:
        raise ValueError(f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})")
    y = conv_general(
        with_shape(x, (1, 1, n)), with_shape(w, (1, 1, m)),
        strides=(1,), padding=(paddings[mode],), x_dilation=(1,), w_dilation=(1,), groups=1,
    )  # fmt: skip
    return with_shape(y, (prod(typeof(y).shape),))


def polyval(p: Any, x: Any) -> Any:
    """numpy.polyval: the polynomial with coefficients p, highest power first, at x; Horner's rule."""
    p, x = as_operand(p), as_operand(x)
    y = zeros(typeof(x).strong())
    for i in range(len(p)):
        y = add(multiply(y, x), p[i])
    return y


operators.matmul = matmul
METHODS.update(dot=dot)
