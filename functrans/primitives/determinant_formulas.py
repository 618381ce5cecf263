"""Cofactors and their derivatives in terms of other primitives, which compiled programs consist of.

determinants.py says where the formulas come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.jaxpr import Jaxpr
from ..core.primitive import Primitive
from ..core.staging import trace_closed
from ..core.trace import typeof
from .complex import real
from .cumulative import cumprod
from .elementwise import absolute, add, divide, greater, logical_and, multiply, negative, subtract
from .foundation import as_dtype, broadcast_to, full, reduce_sum, reshape
from .matrices import column, conj, diagonal, identity_like, matmul, mH, mT, on_diagonal, row
from .reductions import reduce_max
from .selection import select
from .spectral import svd
from .structural import concatenate, slice_axis

#: A function of matrices (and of directions).
Formula = Callable[..., Any]


@lru_cache(maxsize=128)
def program_of(formula: Formula, avals: tuple[ShapedArray, ...], *others: Primitive) -> Jaxpr:
    """A formula as a program for operands of some types.

    Args:
        others: the primitives that the formula takes before those.
    """
    return trace_closed(lambda *operands: [formula(*others, *operands)], avals)


def assemble(
    assembler: Any, block: list[Any], formula: Formula, others: Sequence[Primitive], sources: Sequence[Any], target: Any
) -> None:
    """Add the instructions for a formula."""
    avals = tuple(ShapedArray(x.shape, x.dtype) for x in sources)
    block += assembler.block(program_of(formula, avals, *others), sources, [target])


def cofactors_by_values(det: Primitive, a: Any) -> Any:
    """The matrices of cofactors, from the singular values."""
    u, s, v_h = svd.bind(a, full_matrices=False, vectors=True)
    others = as_dtype(products_without_each(s), typeof(a).dtype)
    return multiply(orientation(det, u, v_h), conj(matmul(multiply(u, row(others)), v_h)))


def cofactor_slope(det: Primitive, a: Any, e: Any) -> Any:
    """The derivative of the cofactors of a in the direction e."""
    u, s, v_h = svd.bind(a, full_matrices=False, vectors=True)
    others = as_dtype(products_without_pairs(s), typeof(a).dtype)
    turned = matmul(mH(u), matmul(e, mH(v_h)))
    on_diagonals = reduce_sum(multiply(others, row(diagonal(turned))), axes=(typeof(a).ndim - 1,))
    # The adjugate of diag(s) + t is this, to first order in t; the cofactors are its transpose.
    slope = subtract(multiply(identity_like(a), column(on_diagonals)), multiply(others, turned))
    return multiply(orientation(det, u, v_h), matmul(conj(u), matmul(mT(slope), conj(v_h))))


def cofactor_derivative_of_order(cofactors: Primitive, a: Any, *directions: Any) -> Any:
    """The derivative of the cofactors of a in several directions, by polarization and interpolation."""
    aval, k = typeof(a), len(directions)
    total = full(value=0, shape=aval.shape, dtype=aval.dtype)
    if k >= aval.shape[-1]:
        return total
    for signs in product((1, -1), repeat=k - 1):
        e = directions[0]
        for sign, other in zip(signs, directions[1:]):
            e = add(e, other) if sign > 0 else subtract(e, other)
        coefficient = _taylor_coefficient(cofactors, a, e, k)
        coefficient = coefficient if aval.dtype.kind == "c" else real(coefficient)
        total = add(total, as_dtype(coefficient if prod(signs) > 0 else negative(coefficient), aval.dtype))
    return divide(total, aval.dtype.type(2 ** (k - 1)))


def _taylor_coefficient(cofactors: Primitive, a: Any, e: Any, k: int) -> Any:
    """The coefficient of t**k of the cofactors of a + t e, complex: from their values on a circle."""
    shape = typeof(a).shape
    n = shape[-1]
    size, length = (_largest(absolute(x)) for x in (a, e))
    has_length = greater(length, 0)
    radius = divide(
        select(logical_and(greater(size, 0), has_length), size, typeof(size).dtype.type(1)),
        select(has_length, length, typeof(length).dtype.type(1)),
    )
    radius = multiply(radius, typeof(radius).dtype.type(min(1.0, k / max(1, n - 1 - k))))
    whole = np.complex64 if typeof(radius).dtype == np.float32 else np.complex128
    circle = np.exp(2j * np.pi * np.arange(n) / n).reshape(n, *(1,) * len(shape))
    values = cofactors(add(row_of(a), multiply(multiply(row_of(radius), circle.astype(whole)), row_of(e))))
    mean = divide(reduce_sum(multiply(values, (circle**-k).astype(whole)), axes=(0,)), whole(n))
    power = radius
    for _ in range(k - 1):
        power = multiply(power, radius)
    return divide(mean, power)


def row_of(x: Any) -> Any:
    """With one more axis, in front."""
    return reshape(x, shape=(1, *typeof(x).shape))


def _largest(x: Any) -> Any:
    """The largest element of each matrix, as a matrix of one."""
    aval = typeof(x)
    return reshape(reduce_max(x, axes=(aval.ndim - 2, aval.ndim - 1)), shape=(*aval.shape[:-2], 1, 1))


def orientation(det: Primitive, u: Any, v_h: Any) -> Any:
    """det(u v^H) of the unitary factors, as 1 by 1 matrices."""
    return column(column(multiply(det(u), det(v_h))))


def products_without_each(s: Any) -> Any:
    """The product of all other elements, for each element of the last axis."""
    aval = typeof(s)
    n, axis = aval.shape[-1], aval.ndim - 1
    ones = full(value=1, shape=(*aval.shape[:-1], 1), dtype=aval.dtype)
    before = cumprod(concatenate(ones, slice_axis(s, 0, n - 1, axis=axis), axis=axis), axis=axis, reverse=False)
    after = cumprod(concatenate(slice_axis(s, 1, n, axis=axis), ones, axis=axis), axis=axis, reverse=True)
    return multiply(before, after)


def products_without_pairs(s: Any) -> Any:
    """For each pair of different elements of the last axis, the product of all others; zeros on the diagonal."""
    aval = typeof(s)
    n = aval.shape[-1]
    number = aval.dtype.type
    matrices = broadcast_to(row(s), shape=(*aval.shape, n))
    without_row = products_without_each(select(on_diagonal(n), number(1), matrices))
    return select(on_diagonal(n), number(0), without_row)
