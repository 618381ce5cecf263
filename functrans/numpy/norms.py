"""numpy.linalg: norms and condition numbers.

At zero the derivative of a norm is zero, and powers of Euclidean norms have their right derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.avals import is_inexact
from ..core.trace import typeof
from ..errors import MatrixShapeError
from ..primitives.complex import imag, real
from ..primitives.elementwise import add, square
from ..primitives.foundation import convert
from ..primitives.roots import root
from ..primitives.spectral import resolution
from .decompositions import svdvals
from .equations import inv


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """numpy.linalg.norm."""
    x = _inexact(x)
    ndim = typeof(x).ndim
    if axis is None and (ord is None or (ord in ("f", "fro") and ndim == 2) or (ord == 2 and ndim == 1)):
        return _euclidean(x, tuple(range(ndim)), keepdims)
    axes = _axes(axis, ndim)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    if axes[0] == axes[1]:
        raise ValueError("Duplicate axes given.")
    if ord in (None, "fro", "f"):
        return _euclidean(x, axes, keepdims)
    y = _matrix_norm(np.moveaxis(x, axes, (-2, -1)), ord)
    return np.expand_dims(y, tuple(sorted(axes))) if keepdims else y


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """numpy.linalg.vector_norm."""
    ndim = typeof(x).ndim
    axes = tuple(range(ndim)) if axis is None else _axes(axis, ndim)
    rest = [i for i in range(ndim) if i not in axes]
    flat = np.reshape(np.transpose(x, (*axes, *rest)), (-1, *(typeof(x).shape[i] for i in rest)))
    y = norm(flat, ord, 0)
    return np.expand_dims(y, tuple(sorted(axes))) if keepdims else y


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """numpy.linalg.matrix_norm."""
    return norm(x, ord, (-2, -1), keepdims)


def cond(x: Any, p: Any = None) -> Any:
    """numpy.linalg.cond; for norms other than 2 and -2 the matrices must be regular."""
    aval = typeof(x)
    if not aval.size:
        raise MatrixShapeError(
            f"The condition number of an array of type {aval} was asked for.",
            "It is not defined for empty matrices.",
            "Check the shape.",
        )
    if p in (None, 2, -2):
        s = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))


def _inexact(x: Any) -> Any:
    return x if is_inexact(typeof(x).dtype) else convert(x, dtype=np.dtype(np.float64))


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, tuple):
        try:
            axis = (int(axis),)
        except Exception as error:
            raise TypeError("'axis' must be None, an integer or a tuple of integers") from error
    return tuple(np.lib.array_utils.normalize_axis_index(i, ndim) for i in axis)


def _euclidean(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    squares = add(square(real(x)), square(imag(x))) if typeof(x).dtype.kind == "c" else square(x)
    return root(np.sum(squares, axis=axes, keepdims=keepdims), degree=2)


def _vector_norm(x: Any, order: Any, axis: int, keepdims: bool) -> Any:
    if order is None or order == 2:
        return _euclidean(x, (axis,), keepdims)
    if isinstance(order, str):
        raise ValueError(f"Invalid norm order '{order}' for vectors")
    if order == 0:
        counted = np.sum(x != 0, axis=axis, keepdims=keepdims)
        return counted.astype(typeof(x).dtype.type(0).real.dtype)
    size = np.abs(x)
    if order in (np.inf, -np.inf):
        return (np.max if order > 0 else np.min)(size, axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    powers = np.sum(size**order, axis=axis, keepdims=keepdims)
    return root(powers, degree=order) if order > 1 else powers ** (1 / order)


def _matrix_norm(x: Any, order: Any) -> Any:
    """The norm of matrices over the last two axes."""
    if order in (2, -2):
        return _extreme(order)(svdvals(x), axis=-1)
    if order in (1, -1, np.inf, -np.inf):
        sums = np.sum(np.abs(x), axis=-2 if abs(order) == 1 else -1)
        return _extreme(order)(sums, axis=-1)
    if order == "nuc":
        # Zero singular values are kinks, where the derivative is zero as for abs.
        s = svdvals(x)
        return np.sum(np.where(s > resolution(s), s, typeof(s).dtype.type(0)), axis=-1)
    raise ValueError("Invalid norm order for matrices.")


def _extreme(order: float) -> Callable[..., Any]:
    return np.max if order > 0 else np.min
