"""Checks of derivatives, for users' own functions and for the library's tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import tree
from .api.devices import device_get
from .api.grad import jvp, vjp
from .core.devices import beside
from .core.dtypes import finfo
from .core.trace import typeof


def check_grads(
    fun: Callable[..., Any],
    args: Sequence[Any],
    order: int = 1,
    modes: Sequence[str] = ("fwd", "rev"),
    rtol: float | None = None,
    atol: float | None = None,
    eps: float = 1e-5,
) -> None:
    """Compare derivatives with central differences along random directions.

    Args:
        fun: a function of pytrees of arrays; its differences are taken in double precision, whatever these have.
        args: the point, on the host or on a GPU.
        order: up to which derivative (differences of derivatives of one order less).
        modes: "fwd" for jvp, "rev" for vjp.
        rtol, atol: by default 1e-5 and 1e-6, and 16 times the rounding error of an argument of less precision.

    Raises:
        AssertionError: a derivative is off.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.testing.check_grads(lambda x: np.sum(np.sin(x)), (np.ones(3),), order=2)
    """
    args = tuple(args)
    rounding = 16 * max((float(finfo(typeof(x).dtype).eps) for x in tree.leaves(args)), default=0.0)
    rtol = max(1e-5, rounding) if rtol is None else rtol
    atol = max(1e-6, rounding) if atol is None else atol
    rng = np.random.default_rng(0)
    direction = _random_like(args, rng)
    above = fun(*tree.map(lambda x, d: _in_double(x) + eps * _in_double(d), args, direction))
    below = fun(*tree.map(lambda x, d: _in_double(x) - eps * _in_double(d), args, direction))
    expected = tree.map(lambda a, b: (_on_host(a) - _on_host(b)) / (2 * eps), above, below)
    if "fwd" in modes:
        _, tangent = jvp(fun, args, direction)
        tree.map(lambda t, e: np.testing.assert_allclose(_on_host(t), e, rtol, atol, err_msg="jvp"), tangent, expected)
    if "rev" in modes:
        out, pull_back = vjp(fun, *args)
        cotangent = _random_like(out, rng)
        forward, backward = _dot(cotangent, expected), _dot(pull_back(cotangent), direction)
        np.testing.assert_allclose(backward, forward, rtol, atol, err_msg="vjp")
    if order > 1:
        check_grads(
            lambda *xs: jvp(fun, xs, tree.map(_cast_like, direction, xs))[1], args, order - 1, modes, 10 * rtol,
            10 * atol, eps,
        )


def _in_double(x: Any) -> Any:
    """Numbers of any precision in double precision; Python's as they are."""
    aval = typeof(x)
    return x if aval.weak else x.astype(np.complex128 if aval.dtype.kind == "c" else np.float64)


def _cast_like(t: Any, x: Any) -> Any:
    """A tangent in the dtype of its primal."""
    return t if typeof(x).weak or typeof(t).dtype == typeof(x).dtype else t.astype(typeof(x).dtype)


def _on_host(x: Any) -> Any:
    return np.asarray(device_get(x))


def _random_like(values: Any, rng: np.random.Generator) -> Any:
    """Random numbers like some values, where these are."""

    def one(x: Any) -> Any:
        aval = typeof(x)
        draw = np.asarray(rng.normal(size=aval.shape))
        draw = draw + 1j * rng.normal(size=aval.shape) if aval.dtype.kind == "c" else draw
        return beside(x, draw.astype(aval.dtype)[()])

    return tree.map(one, values)


def _dot(x: Any, y: Any) -> Any:
    """The real part of the sum of products of all leaves, without conjugation."""
    pairs = zip(tree.leaves(x), tree.leaves(y), strict=True)
    return sum(np.real(np.sum(_on_host(a) * _on_host(b))) for a, b in pairs)
