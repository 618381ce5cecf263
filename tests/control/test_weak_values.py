"""Python numbers take the dtype of what they meet, in lanes, in branches and on the way back through loops too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.settings import config

X = np.linspace(0.2, 0.9, 5, dtype=np.float32)


def tamed(r: Any) -> Any:
    return r / (1 + r * r / 16)


def chosen(r: Any) -> Any:
    return r * lax.cond(r > 0.3, lambda: 2.0, lambda: 3.0)


def counted(r: Any) -> Any:
    return r * lax.while_loop(lambda c: c[1] < r * 4, lambda c: (c[0] * 1.5, c[1] + 1), (2.0, 0))[0]


def scaled(r: Any, p: Any = 2.0) -> Any:
    return lax.cond(r > 0.3, lambda: r * (p / 16), lambda: r)


@ft.custom_jvp
def product(r: Any, p: Any) -> Any:
    return r * p


@product.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return product(*primals), tangents[0] * (primals[1] / 1)


#: Functions of one number of single precision, with such a result.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "branches": chosen,
    "loop": counted,
    "branches in a loop": lambda r: lax.fori_loop(0, 2, lambda i, r: chosen(r), r),
    "loop in a loop": lambda r: lax.fori_loop(0, 2, lambda i, r: counted(r), r),
    "constants of derivatives": lambda r: lax.fori_loop(
        0, 2, lambda i, r: lax.cond(r > 0.3, lambda: tamed(r), lambda: r), r
    ),
    "scaled": scaled,
    "scaled in a loop": lambda r, p=2.0: lax.fori_loop(0, 2, lambda i, r: scaled(r, p), r),
    "custom rule": lambda r, p=2.0: lax.cond(r > 0.3, lambda: product(r, p), lambda: r),
    "scan of a program": lambda r: lax.scan(lambda c, x: (ft.jit(tamed)(c), x), r, None, length=2)[0],
    "scan of branches": lambda r: lax.scan(lambda c, x: (c, lax.cond(x > 0.3, tamed, lambda x: x, x)), 0.0, r[None])[1][0],
}  # fmt: skip


def curvature(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda r, *p: ft.jvp(lambda r: ft.grad(f)(r, *p), (r,), (r,))[1]


@pytest.mark.parametrize("backend", ["cpu", "interpreter"])
@pytest.mark.parametrize("derived", [lambda f: f, ft.grad, curvature], ids=["value", "gradient", "curvature"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_lanes_have_the_types_and_values_of_single_ones(name: str, derived: Any, backend: str) -> None:
    function = derived(FUNCTIONS[name])
    takes_number = name in ("scaled", "scaled in a loop", "custom rule")
    args = (2.0,) if takes_number else ()
    with config.using(backend=backend):
        wanted = np.array([function(x, *args) for x in X])
        assert wanted.dtype == np.float32
        by_lane = lambda xs, *p: ft.vmap(lambda x: function(x, *p))(xs)  # noqa: E731
        for found in (by_lane(X, *args), ft.jit(by_lane)(X, *args)):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-6)


def test_lanes_are_rounded_to_the_type_that_they_meet() -> None:
    third = np.float32(1) / np.float32(3)
    xs = np.array([third, -1, 1], np.float32)
    equal = lambda x: lax.cond(x > 0, lambda: 1 / 3, lambda: 1 / 5) == x  # noqa: E731
    for found in ([equal(x) for x in xs], ft.vmap(equal)(xs), ft.jit(ft.vmap(equal))(xs)):
        np.testing.assert_array_equal(found, [True, False, False])


def step(c: Any, number: Any) -> Any:
    return np.sum(c) / (20 + c * c * number)


#: Loops that run backwards with few states, where Python knows their length at first or compiled programs never do.
SWEPT: dict[str, Callable[..., Any]] = {
    "closed over": lambda x, p, count: lax.fori_loop(0, count, lambda i, c: step(c, p), x, checkpoint=2),
    "carried": lambda x, p, count: lax.while_loop(
        lambda c: c[1] < count, lambda c: (step(c[0], c[2]), c[1] + 1, c[2] * 1.5), (x, 0, p), checkpoint=2
    )[0],
    "scanned": lambda x, p, count: lax.scan(
        lambda c, _: ((step(c[0], c[1]), c[1] * 1.5), None), (x, p), None, length=5, checkpoint=2
    )[0][0],
}  # fmt: skip


@pytest.mark.parametrize("transform", [lambda f: f, ft.jit], ids=["as it stands", "jit"])
@pytest.mark.parametrize("derived", [ft.grad, curvature], ids=["gradient", "curvature"])
@pytest.mark.parametrize("name", SWEPT)
def test_numbers_have_no_precision_where_loops_run_backwards(name: str, derived: Any, transform: Any) -> None:
    x = np.linspace(0.2, 0.9, 40, dtype=np.float32)
    function = transform(derived(lambda x, p, count: np.sum(SWEPT[name](x, p, count))))
    wanted, found = function(x, np.float32(1.5), 5), function(x, 1.5, 5)
    assert np.all(wanted != 0)
    assert found.dtype == wanted.dtype == np.float32
    np.testing.assert_allclose(found, wanted, 2e-6)
