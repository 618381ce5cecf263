"""Activations and other functions of neural networks, under JAX's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .core.avals import ShapedArray
from .core.devices import beside
from .core.trace import typeof
from .numpy.common import as_operand, normalize_axes, with_shape
from .primitives.elementwise import add, exp, expm1, greater, multiply, negative, select, subtract, tanh
from .primitives.foundation import broadcast_to
from .primitives.reductions import logsumexp as _logsumexp
from .primitives.special import erfc, expit, log_expit


def _zero(x: Any) -> Any:
    return typeof(x).dtype.type(0)


def relu(x: Any) -> Any:
    """max(x, 0), with derivative 0 at 0.

    Example:
        >>> import functrans as ft
        >>> float(ft.grad(ft.nn.relu)(0.0))
        0.0
    """
    x = as_operand(x)
    return select(greater(x, 0), x, _zero(x))


def leaky_relu(x: Any, negative_slope: Any = 0.01) -> Any:
    """x where it is positive, and negative_slope * x elsewhere."""
    x = as_operand(x)
    return select(greater(x, 0), x, multiply(negative_slope, x))


def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x where it is positive, and alpha * (exp(x) - 1) elsewhere."""
    x = as_operand(x)
    is_positive = greater(x, 0)
    return select(is_positive, x, multiply(alpha, expm1(select(is_positive, _zero(x), x))))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow."""
    return expit(as_operand(x))


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without loss for large negative x."""
    return log_expit(as_operand(x))


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return negative(log_expit(negative(as_operand(x))))


def silu(x: Any) -> Any:
    """x * sigmoid(x)."""
    x = as_operand(x)
    return multiply(x, expit(x))


swish = silu


def gelu(x: Any, approximate: bool = True) -> Any:
    """x times the normal distribution function of x; by default approximated with tanh (Hendrycks, Gimpel 2016)."""
    x = as_operand(x)
    if approximate:
        inner = multiply(float(np.sqrt(2 / np.pi)), add(x, multiply(0.044715, multiply(x, multiply(x, x)))))
        return multiply(multiply(0.5, x), add(1.0, tanh(inner)))
    return multiply(multiply(0.5, x), erfc(multiply(float(-np.sqrt(0.5)), x)))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) along axes, without overflow."""
    x = as_operand(x)
    aval: ShapedArray = typeof(x)
    axes = normalize_axes(axis, aval.ndim)
    y = _logsumexp(x, axes=axes)
    return with_shape(y, tuple(1 if i in axes else n for i, n in enumerate(aval.shape))) if keepdims else y


def log_softmax(x: Any, axis: Any = -1) -> Any:
    """x - logsumexp(x)."""
    x = as_operand(x)
    return subtract(x, logsumexp(x, axis, keepdims=True))


def softmax(x: Any, axis: Any = -1) -> Any:
    """exp(x) / sum(exp(x)), without overflow."""
    return exp(log_softmax(x, axis))


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


__all__ = [
    "elu", "gelu", "leaky_relu", "log_sigmoid", "log_softmax", "logsumexp", "one_hot", "relu", "sigmoid", "silu",
    "softmax", "softplus", "swish",
]  # fmt: skip
