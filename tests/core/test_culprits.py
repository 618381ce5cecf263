"""Messages about values that are not known name what wanted them, and what to write in its place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.integrate

import functrans as ft
from functrans.errors import ConcretizationError, TracerConversionError

TABLE = np.arange(5.0)
FULL = np.full
RNG = np.random.default_rng(0)
VECTORIZED = np.vectorize(lambda x: x + 1)


def stored(x: Any) -> Any:
    out = np.zeros(3)
    out[0] = x[0]
    return out


def stored_slice(x: Any) -> Any:
    out = np.zeros(3)
    out[1:] = x
    return out


def added(x: Any) -> Any:
    out = np.zeros(3)
    out[0] += x[0]
    return out


def over_lines(x: Any) -> Any:
    return TABLE[
        ("é", x.astype(int))[1]
    ]  # fmt: skip


CASES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: TABLE[x.astype(int)], "functrans.numpy.take(TABLE, i) or functrans.numpy.asarray(TABLE)[i]"),
    (lambda x: ("é", TABLE[x.astype(int)]), "functrans.numpy.take(TABLE, i)"),
    (over_lines, "functrans.numpy.take(TABLE, i)"),
    (lambda x: [1.0, 2.0][x[0].astype(int)], "functrans.numpy.asarray([1.0, 2.0])[i]"),
    (stored, "`out` is a plain NumPy array: make it with np.zeros_like(x)"),
    (stored_slice, "`out` is a plain NumPy array"),
    (added, "`out` is a plain NumPy array"),
    (lambda x: np.array([x[0], x[1]]), "np.stack or functrans.numpy.array"),
    (lambda x: np.full(3, x[0]), "Call functrans.numpy.full,"),
    (lambda x: FULL(3, x[0]), "Call functrans.numpy.full,"),
    (lambda x: np.ascontiguousarray(x), "Call functrans.numpy.ascontiguousarray,"),
    (lambda x: np.arange(x[0]), "np.arange(n) * step"),
    (lambda x: np.vectorize(lambda y: y + 1)(x), "instead of np.vectorize"),
    (lambda x: VECTORIZED(x), "instead of np.vectorize"),
    (lambda x: np.r_[x, 1.0], "functrans.numpy.r_[...]"),
    (lambda x: np.c_[x, x], "functrans.numpy.c_[...]"),
    (lambda x: np.max([x[0], x[1]]), "inside of lists"),
    (lambda x: np.maximum.reduce([x, 2 * x]), "inside of lists"),
    (lambda x: np.sin([x[0], x[1]]), "inside of lists"),
    (lambda x: math.sin(x[0]), "np.sin instead of math.sin"),
    (lambda x: np.random.normal(x[0]), "functrans.random"),  # noqa: NPY002
    (lambda x: RNG.normal(x[0]), "functrans.random"),
    (lambda x: float(x[0]), "Leave `float(...)` out"),
    (lambda x: int(x[0]), "x.astype(int)"),
    (lambda x: list(range(x[0].astype(int))), "functrans.lax.fori_loop"),
    (lambda x: f"{x[0]:.2f}", "functrans.debug.print"),
    (lambda x: "{:.2f}".format(x[0]), "functrans.debug.print"),  # noqa: UP032
    (lambda x: scipy.integrate.quad(lambda t: t * x[0], 0, 1)[0], "scipy.integrate.quad computes with plain numbers"),
]


@pytest.mark.parametrize("case", CASES)
def test_what_wanted_a_value_is_named(case: Any):
    function, phrase = case
    x = np.array([1.0, 2.0])
    for call in (lambda: ft.jit(function)(x), lambda: ft.vmap(function)(np.stack([x, x]))):
        with pytest.raises((ConcretizationError, TracerConversionError)) as caught:
            call()
        assert phrase.lower() in caught.value.repair.lower()
        assert len(caught.value.repair) < 330


def test_without_source_the_message_says_all_there_is_to_say():
    names: dict[str, Any] = {"np": np}
    exec("f = lambda x: np.array([x, x])", names)
    with pytest.raises(ConcretizationError, match=r"functrans\.numpy\.array(.|\n)*functrans\.numpy\.vectorize"):
        ft.jit(names["f"])(1.0)
