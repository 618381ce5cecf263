"""Activations and other functions of neural networks, under JAX's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.devices import beside
from ..core.trace import typeof
from ..errors import ShapeMismatchError
from ..numpy.common import as_operand, normalize_axes, normalize_axis, with_shape
from ..primitives.elementwise import (
    absolute,
    add,
    divide,
    exp,
    expm1,
    greater,
    less_equal,
    log,
    log1p,
    multiply,
    negative,
    sqrt,
    square,
    subtract,
    tanh,
)
from ..primitives.foundation import broadcast_to
from ..primitives.reductions import logsumexp as _logsumexp
from ..primitives.selection import select, stop_gradient
from ..primitives.special import erfc, expit, log_expit
from ..primitives.structural import slice_axis


def _zero(x: Any) -> Any:
    return typeof(x).dtype.type(0)


def relu(x: Any) -> Any:
    """max(x, 0), with derivative 0 at 0; of NaN, NaN.

    Example:
        >>> import functrans as ft
        >>> float(ft.grad(ft.nn.relu)(0.0))
        0.0
    """
    x = as_operand(x)
    return select(less_equal(x, 0), _zero(x), x)


def leaky_relu(x: Any, negative_slope: Any = 0.01) -> Any:
    """x where it is positive, and negative_slope * x elsewhere.

    Example:
        >>> import functrans as ft
        >>> ft.nn.leaky_relu([-1.0, 2.0], 0.1)
        array([-0.1,  2. ])
    """
    x = as_operand(x)
    return select(greater(x, 0), x, multiply(negative_slope, x))


def relu6(x: Any) -> Any:
    """x between 0 and 6, with derivative 0 at both."""
    x = as_operand(x)
    return select(less_equal(x, 0), _zero(x), select(less_equal(6, x), typeof(x).dtype.type(6), x))


def hard_tanh(x: Any) -> Any:
    """x between -1 and 1, with derivative 0 at both."""
    x = as_operand(x)
    one = typeof(x).dtype.type(1)
    return select(less_equal(x, -1), -one, select(less_equal(1, x), one, x))


def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6."""
    return multiply(1 / 6, relu6(add(as_operand(x), 3.0)))


def hard_silu(x: Any) -> Any:
    """x * hard_sigmoid(x)."""
    x = as_operand(x)
    return multiply(x, hard_sigmoid(x))


hard_swish = hard_silu


def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x where it is positive, and alpha * (exp(x) - 1) elsewhere.

    Example:
        >>> import functrans as ft
        >>> ft.nn.elu([-1.0, 2.0]).round(4)
        array([-0.6321,  2.    ])
    """
    x = as_operand(x)
    is_positive = greater(x, 0)
    return select(is_positive, x, multiply(alpha, expm1(select(is_positive, _zero(x), x))))


def celu(x: Any, alpha: Any = 1.0) -> Any:
    """x where it is positive, and alpha * (exp(x / alpha) - 1) elsewhere."""
    return multiply(alpha, elu(divide(as_operand(x), alpha)))


def selu(x: Any) -> Any:
    """elu, scaled so that means and variances stay as they are from layer to layer (Klambauer et al. 2017).

    Example:
        >>> import functrans as ft
        >>> ft.nn.selu([-1.0, 1.0]).round(4)
        array([-1.1113,  1.0507])
    """
    return multiply(1.0507009873554805, elu(x, 1.6732632423543772))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow.

    Example:
        >>> import functrans as ft
        >>> ft.nn.sigmoid([-1000.0, 0.0, 1000.0])
        array([0. , 0.5, 1. ])
    """
    return expit(as_operand(x))


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without loss for large negative x.

    Example:
        >>> import functrans as ft
        >>> ft.nn.log_sigmoid([-1000.0, 0.0]).round(4)
        array([-1.000e+03, -6.931e-01])
    """
    return log_expit(as_operand(x))


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow.

    Example:
        >>> import functrans as ft
        >>> ft.nn.softplus([-1000.0, 0.0, 1000.0]).round(4)
        array([0.000e+00, 6.931e-01, 1.000e+03])
    """
    return negative(log_expit(negative(as_operand(x))))


def soft_sign(x: Any) -> Any:
    """x / (1 + abs(x))."""
    x = as_operand(x)
    return divide(x, add(1.0, absolute(x)))


def squareplus(x: Any, b: Any = 4.0) -> Any:
    """(x + sqrt(x**2 + b)) / 2: smooth, and near to relu far from zero."""
    x = as_operand(x)
    return multiply(0.5, add(x, sqrt(add(multiply(x, x), b))))


def sparse_plus(x: Any) -> Any:
    """0 up to -1, x from 1 on, and (x + 1)**2 / 4 in between."""
    x = as_operand(x)
    middle = multiply(0.25, square(add(x, 1.0)))
    return select(less_equal(x, -1), _zero(x), select(less_equal(1, x), x, middle))


def sparse_sigmoid(x: Any) -> Any:
    """(x + 1) / 2 between 0 and 1: the derivative of sparse_plus."""
    return multiply(0.5, add(hard_tanh(x), 1.0))


def identity(x: Any) -> Any:
    """x."""
    return as_operand(x)


def mish(x: Any) -> Any:
    """x * tanh(softplus(x)).

    Example:
        >>> import functrans as ft
        >>> ft.nn.mish([-1.0, 0.0, 1.0]).round(4)
        array([-0.3034,  0.    ,  0.8651])
    """
    x = as_operand(x)
    return multiply(x, tanh(softplus(x)))


def glu(x: Any, axis: int = -1) -> Any:
    """The first half along an axis times the sigmoid of the second.

    Raises:
        ShapeMismatchError: the extent of the axis is odd.

    Example:
        >>> import functrans as ft
        >>> ft.nn.glu([3.0, 4.0, 0.0, 1000.0])
        array([1.5, 4. ])
    """
    x = as_operand(x)
    axis = normalize_axis(axis, typeof(x).ndim)
    extent = typeof(x).shape[axis]
    if extent % 2:
        raise ShapeMismatchError(
            f"glu was given {extent} elements along axis {axis}.", "It multiplies two halves.", "Give an even number."
        )
    first, second = (slice_axis(x, i * extent // 2, (i + 1) * extent // 2, axis=axis) for i in range(2))
    return multiply(first, expit(second))


def silu(x: Any) -> Any:
    """x * sigmoid(x).

    Example:
        >>> import functrans as ft
        >>> ft.nn.silu([-1.0, 0.0, 1.0]).round(4)
        array([-0.2689,  0.    ,  0.7311])
    """
    x = as_operand(x)
    return multiply(x, expit(x))


swish = silu


def gelu(x: Any, approximate: bool = True) -> Any:
    """x times the normal distribution function of x; by default approximated with tanh (Hendrycks, Gimpel 2016).

    Example:
        >>> import functrans as ft
        >>> ft.nn.gelu([-1.0, 1.0]).round(5), ft.nn.gelu([-1.0, 1.0], approximate=False).round(5)
        (array([-0.15881,  0.84119]), array([-0.15866,  0.84134]))
    """
    x = as_operand(x)
    if approximate:
        inner = multiply(float(np.sqrt(2 / np.pi)), add(x, multiply(0.044715, multiply(x, multiply(x, x)))))
        return multiply(multiply(0.5, x), add(1.0, tanh(inner)))
    return multiply(multiply(0.5, x), erfc(multiply(float(-np.sqrt(0.5)), x)))


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False, *, where: Any = None
) -> Any:
    """log(sum(b * exp(a))) along axes, without overflow, of the elements where a mask holds.

    Where weights make the sum negative its logarithm is NaN, unless the sign is asked for.

    Args:
        return_sign: whether to return the logarithm of the absolute value, and the sign of the sum (of a complex sum,
            the number of absolute value one in its direction).

    Example:
        >>> import numpy as np, functrans as ft
        >>> float(ft.nn.logsumexp([1000.0, 1000.0, 2000.0], b=np.array([1.0, 2.0, 0.0])) - 1000).__round__(6)
        1.098612
        >>> [float(y) for y in ft.nn.logsumexp([0.0, 0.0], b=np.array([1.0, -3.0]), return_sign=True)]
        [0.6931471805599453, -1.0]
    """
    a = _masked(a, where)
    aval: ShapedArray = typeof(a)
    if b is not None or return_sign or aval.dtype.kind == "c":
        return _signed_logsumexp(a, 1.0 if b is None else b, axis, keepdims, return_sign)
    axes = normalize_axes(axis, aval.ndim)
    y = _logsumexp(a, axes=axes)
    return with_shape(y, tuple(1 if i in axes else n for i, n in enumerate(aval.shape))) if keepdims else y


def _signed_logsumexp(a: Any, b: Any, axis: Any, keepdims: bool, return_sign: bool) -> Any:
    """The sum is taken relative to its largest term, which counts as a constant: it cancels in derivatives."""
    a, b = np.broadcast_arrays(a, as_operand(b))
    a = np.where(np.equal(b, 0), -np.inf, a)  # CuPy leaves numbers as they are
    top = np.max(np.real(a), axis=axis, keepdims=True)
    top = stop_gradient(np.where(np.isfinite(top), top, 0))
    total = np.sum(b * np.exp(a - top), axis=axis, keepdims=True)
    total, top = (total, top) if keepdims else (np.squeeze(total, axis), np.squeeze(top, axis))
    with np.errstate(divide="ignore"):
        if not return_sign:
            return np.log(total) + top
        return np.log(np.abs(total)) + top, np.sign(total)


def _masked(x: Any, where: Any) -> Any:
    """x, and minus infinity where a mask does not hold."""
    x = as_operand(x)
    return x if where is None else np.where(where, x, typeof(x).dtype.type(-np.inf))


def logmeanexp(x: Any, axis: Any = None, where: Any = None, keepdims: bool = False) -> Any:
    """log(mean(exp(x))) along axes, without overflow, of the elements where a mask holds.

    Example:
        >>> import functrans as ft
        >>> float(ft.nn.logmeanexp([1000.0, 1000.0]))
        1000.0
    """
    x = as_operand(x)
    counted = np.ones_like(x, dtype=typeof(x).dtype) if where is None else np.broadcast_to(where, typeof(x).shape)
    count = np.sum(counted, axis=axis, keepdims=keepdims, dtype=np.float64).astype(typeof(x).dtype)
    return subtract(logsumexp(x, axis, keepdims=keepdims, where=where), np.log(count))


def log1mexp(x: Any) -> Any:
    """log(1 - exp(-x)) for x > 0, without loss for small x and for large (M. Maechler, 2012).

    Example:
        >>> import functrans as ft
        >>> float(ft.nn.log1mexp(1e-20).round(6))
        -46.051702
    """
    x = as_operand(x)
    with np.errstate(divide="ignore"):
        far, near = log1p(negative(exp(negative(x)))), log(negative(expm1(negative(x))))
    return select(greater(x, float(np.log(2))), far, near)


def log_softmax(x: Any, axis: Any = -1, *, where: Any = None) -> Any:
    """x - logsumexp(x), of the elements where a mask holds; minus infinity elsewhere.

    Example:
        >>> import functrans as ft
        >>> ft.nn.log_softmax([0.0, 1000.0])
        array([-1000.,     0.])
    """
    x = as_operand(x)
    return _masked(subtract(x, logsumexp(x, axis, keepdims=True, where=where)), where)


def softmax(x: Any, axis: Any = -1, *, where: Any = None) -> Any:
    """exp(x) / sum(exp(x)), without overflow, of the elements where a mask holds; zero elsewhere.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.nn.softmax([0.0, 1000.0])
        array([0., 1.])
        >>> ft.nn.softmax(np.zeros((2, 4)), axis=0)
        array([[0.5, 0.5, 0.5, 0.5],
               [0.5, 0.5, 0.5, 0.5]])
        >>> ft.nn.softmax([1.0, 2.0, 1.0], where=np.array([True, False, True]))
        array([0.5, 0. , 0.5])
    """
    return exp(log_softmax(x, axis, where=where))


def standardize(x: Any, axis: Any = -1, epsilon: Any = 1e-5) -> Any:
    """x with a mean of 0 and a variance of 1, but for epsilon, along axes.

    Example:
        >>> import functrans as ft
        >>> ft.nn.standardize([[1.0, 2.0, 3.0]]).round(3)
        array([[-1.225,  0.   ,  1.225]])
    """
    x = as_operand(x)
    centred = x - np.mean(x, axis=axis, keepdims=True)
    return centred / np.sqrt(np.var(x, axis=axis, keepdims=True) + epsilon)


def one_hot(x: Any, num_classes: int, dtype: Any = np.float64) -> Any:
    """An array with a new last axis that has a one at the place x says; all zeros where x is out of range.

    Example:
        >>> import functrans as ft
        >>> ft.nn.one_hot([0, 2], 3)
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    x = as_operand(x)
    shape = typeof(x).shape
    wide = broadcast_to(with_shape(x, (*shape, 1)), shape=(*shape, num_classes))
    return (wide == beside(x, np.arange(num_classes))).astype(dtype)
