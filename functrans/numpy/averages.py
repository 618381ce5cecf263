"""Means, variances and covariances."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.avals import is_inexact, real_dtype
from ..core.dtypes import result_type
from ..core.trace import typeof
from ..errors import ShapeMismatchError
from ..primitives.complex import conjugate, imag, real
from ..primitives.elementwise import add, divide, maximum, multiply, subtract
from ..primitives.roots import root
from .common import as_operand, cast, check_cast, normalize_axes, stretched, with_shape
from .positions import cell, stored
from .protocols import METHODS
from .reducing import F64, chosen_correction, count, squared_magnitude, widened, working_dtypes
from .reductions import sum


def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True
) -> Any:
    """numpy.mean; float16 is summed in float32, integers in float64."""
    x = as_operand(a)
    axes = normalize_axes(axis, typeof(x).ndim)
    working, final = working_dtypes(x, dtype)
    working = widened(working, dtype, out)
    y = divide(sum(x, axes, working, None, keepdims, where=where), count(x, axes, keepdims, where, working))
    return cast(y, final) if out is None else stored(y, out)


def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: bool = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    """numpy.var: the mean squared magnitude of deviations, with `ddof` (or `correction`) taken off the count."""
    y, final = _variance(a, axis, dtype, out, chosen_correction(ddof, correction), keepdims, where, mean)
    return cast(y, final) if out is None else stored(y, out)


def std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: bool = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    """numpy.std. Like that of a norm, its derivative is zero where all elements are equal."""
    y, final = _variance(a, axis, dtype, out, chosen_correction(ddof, correction), keepdims, where, mean)
    y = root(y, degree=2)
    if out is None:
        return cast(y, final)
    check_cast(y, cell(out, "out").dtype)  # which mean and var do not ask, but the square root does
    return stored(y, out)


def _variance(
    a: Any, axis: Any, dtype: Any, out: Any, correction: Any, keepdims: bool, where: Any, mean: Any
) -> tuple[Any, np.dtype[Any]]:
    """The variance, in the dtype that it is computed in, and the dtype that it is to be converted to."""
    x = as_operand(a)
    axes = normalize_axes(axis, typeof(x).ndim)
    working, final = working_dtypes(x, dtype)
    final = real_dtype(final) if typeof(x).dtype.kind == "c" else final
    squares, n = _squares_and_count(cast(x, working), axes, correction, keepdims, where, mean)
    summed = widened(typeof(squares).dtype, dtype, out)
    return divide(sum(squares, axes, summed, None, keepdims, where=where), n), final


def _squares_and_count(
    x: Any, axes: tuple[int, ...], ddof: Any, keepdims: bool, where: Any, center: Any
) -> tuple[Any, Any]:
    """Squared deviations, and their number less `ddof`, but not less than zero."""
    dtype = typeof(x).dtype
    if center is None:
        center = divide(sum(x, axes, dtype, None, True, where=where), count(x, axes, True, where, dtype))
    squares = squared_magnitude(subtract(x, center))
    n = count(x, axes, keepdims, where, dtype)
    n = max(n - ddof, 0) if isinstance(n, int) and isinstance(ddof, (int, float)) else maximum(subtract(n, ddof), 0)
    return squares, n


def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """numpy.average; weights that sum to zero give NaN or infinity."""
    x = as_operand(a)
    axes = normalize_axes(axis, typeof(x).ndim)
    if weights is None:
        result = mean(x, axes, keepdims=keepdims)
        total: Any = np.float64(count(x, axes, False, True, F64))
    else:
        weights = _matching_weights(as_operand(weights), typeof(x).shape, axis, axes)
        dtypes = [typeof(x).dtype, typeof(weights).dtype]
        dtype = result_type(*dtypes, *([] if is_inexact(dtypes[0]) else [F64]))
        total = sum(weights, axes, dtype, None, keepdims)
        result = divide(sum(multiply(cast(x, dtype), cast(weights, dtype)), axes, dtype, None, keepdims), total)
    return (result, stretched(cast(total, typeof(result).dtype), typeof(result).shape)) if returned else result


def _matching_weights(weights: Any, shape: tuple[int, ...], axis: Any, axes: tuple[int, ...]) -> Any:
    """Weights of the shape of what they weigh; they may have only the axes that are averaged over."""
    have = typeof(weights).shape
    if have == shape:
        return weights
    if axis is None:
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    if have != tuple(shape[i] for i in axes):
        raise ShapeMismatchError(
            f"Shape of weights must be consistent with shape of a along specified axis: {have} and {shape}.",
            "Weights have the shape of the array, or that of the axes that are averaged over.",
            "Reshape the weights.",
        )
    ordered = np.transpose(weights, sorted(range(len(axes)), key=axes.__getitem__))
    return stretched(with_shape(ordered, tuple(n if i in axes else 1 for i, n in enumerate(shape))), shape)


# ---- covariances


def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    """numpy.cov."""
    x = _variables(m, y, rowvar, dtype)
    if not typeof(x).shape[0]:
        return np.zeros((0, 0))
    ddof = (0 if bias else 1) if ddof is None else ddof
    if ddof != int(ddof):
        raise ValueError("ddof must be integer")
    weights = _observation_weights(typeof(x).shape[1], fweights, aweights)
    center, total = average(x, 1, weights, True, keepdims=True)
    deviations = cast(subtract(x, center), typeof(x).dtype)
    weighted = deviations if weights is None else multiply(deviations, weights)
    products = np.matmul(deviations, np.swapaxes(conjugate(weighted), 0, 1))
    factor: Any = typeof(x).shape[1] - ddof
    if weights is not None:
        total = real(total[0, 0])
        excess = ddof if aweights is None else divide(multiply(ddof, sum(multiply(weights, aweights))), total)
        factor = subtract(total, excess)
    return np.squeeze(cast(divide(products, maximum(factor, 0.0)), typeof(products).dtype))


def _variables(m: Any, y: Any, rowvar: bool, dtype: Any) -> Any:
    """One variable in each row."""
    operands = [as_operand(v) for v in (m, y) if v is not None]
    if dtype is None:
        dtype = result_type(*(typeof(v).dtype for v in operands), F64)
    rows: list[Any] = []
    for name, v in zip("my", operands):
        shape = typeof(v).shape
        if len(shape) > 2:
            raise ValueError(f"{name} has more than 2 dimensions")
        v = cast(v, dtype) if len(shape) == 2 else with_shape(cast(v, dtype), (1, prod(shape)))
        rows.append(v if rowvar or len(shape) != 2 or (name == "y" and shape[0] == 1) else np.transpose(v))
    return rows[0] if len(rows) == 1 else np.concatenate(rows, 0)


def _observation_weights(size: int, fweights: Any, aweights: Any) -> Any:
    given = [cast(as_operand(w), F64) for w in (fweights, aweights) if w is not None]
    for name, w in zip(("fweights", "aweights") if fweights is not None else ("aweights",), given):
        if typeof(w).shape != (size,):
            raise RuntimeError(f"incompatible numbers of samples and {name}")
    return None if not given else given[0] if len(given) == 1 else multiply(*given)


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """numpy.corrcoef."""
    c = cov(x, y, rowvar, dtype=dtype)
    if not typeof(c).shape:
        return divide(c, c)
    scales = np.sqrt(real(np.diagonal(c)))
    return _clipped(divide(divide(c, scales[:, None]), scales[None, :]))


def _clipped(c: Any) -> Any:
    """Within [-1, 1], which rounding may have left; the derivative is not clipped."""
    if typeof(c).dtype.kind == "c":
        return add(_clipped(real(c)), multiply(1j, _clipped(imag(c))))
    return np.where(np.greater(c, 1), 1.0, np.where(np.less(c, -1), -1.0, c))


METHODS.update(mean=mean, var=var, std=std)

