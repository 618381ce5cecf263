"""debug_nans: where NaN begins, whatever runs the program; disable_jit: programs mean what they do as Python."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import config, debug_nans, disable_jit, lax
from functrans.errors import ConditionError, NaNError
from functrans.settings import changes

X = np.array([0.5, -1.5, 2.0])


def log(x: Any) -> Any:
    y = 2 * x
    return np.sum(np.log(y))  # here


def in_branch(x: Any) -> Any:
    return lax.cond(x[0] < 9, lambda x: np.sum(np.sqrt(x)), np.sum, x)  # here


def in_scan(x: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        return np.arccos(carry + x), x  # here

    return lax.scan(step, 1.0, x)[0]


def in_while(x: Any) -> Any:
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + np.sqrt(x[c[0]])), (0, 0.0))[1]  # here


def of_infinities(x: Any) -> Any:
    return np.sum(np.exp(x * 1e3) - np.exp(x * 1e3))  # here


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "jit": ft.jit, "grad": ft.grad, "jit of grad": lambda f: ft.jit(ft.value_and_grad(f)),
    "vmap of jit": lambda f: lambda x: ft.vmap(ft.jit(f))(np.stack([x, x])), "checkpoint": ft.checkpoint,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("function", [log, in_branch, in_scan, in_while, of_infinities], ids=lambda f: f.__name__)
def test_nan_is_found_where_it_begins(function: Any, transform: str):
    transformed = TRANSFORMS[transform](function)
    transformed(X)  # and once more by a quicker way
    with debug_nans(), pytest.raises(NaNError, match="# here") as caught:
        transformed(X)
    assert isinstance(caught.value, FloatingPointError)
    assert f", in {function.__name__}" in str(caught.value) or "lambda" in str(caught.value) or "step" in str(caught.value)
    transformed(X)


def test_message_names_the_element_and_its_operands():
    with debug_nans(), pytest.raises(NaNError, match=r"^`log` gave NaN of -3.0, at element \(1,\) of f64\[3\]"):
        ft.jit(log)(X)


@pytest.mark.parametrize("backend", ["cpu", "interpreter"])
def test_nan_is_found_that_an_error_comes_from(backend: str):
    values = ft.jit(lambda x: np.linalg.svd(np.sqrt(x), compute_uv=False))
    with debug_nans(), config.using(backend=backend):
        with pytest.raises(NaNError, match="^`sqrt` gave NaN of -1.0"):
            values(np.array([[4.0, -1.0], [1.0, 1.0]]))
        with pytest.raises(np.linalg.LinAlgError, match="SVD"):
            values(np.full((2, 2), np.nan))


@pytest.mark.parametrize("backend", ["cpu", "interpreter"])
def test_nan_that_was_given_is_no_error(backend: str):
    """Neither as an argument nor as a constant; nor what is masked out of the result."""
    with debug_nans(), config.using(backend=backend):
        assert np.isnan(ft.jit(log)(np.array([1.0, np.nan])))
        np.testing.assert_array_equal(ft.jit(lambda x: np.where(x > 0, x, np.nan))(X), [0.5, np.nan, 2.0])
        np.testing.assert_array_equal(ft.jit(lambda x: np.where(x > 0, np.sqrt(x), 0))(X**2 - 1)[0], 0)


def test_arguments_are_not_overwritten_while_nan_is_looked_for():
    x = X.copy()
    with debug_nans(), pytest.raises(NaNError, match=r"-1\.5"):
        ft.jit(np.sqrt, donate_argnums=0)(x)
    np.testing.assert_array_equal(x, X)


def rnn(w: Any, x: Any) -> Any:
    def step(state: Any, row: Any) -> Any:
        state = np.tanh(w @ state + row)
        return state, (state[0], None)

    state, (firsts, _) = lax.scan(step, np.zeros(3), x)
    return np.sum(state) + np.sum(firsts**2)


PROGRAMS: dict[str, tuple[Any, Any]] = {
    "scan": (rnn, (np.outer(X, X) / 4, np.outer(X, [1.0, 0.5, -0.5]))),
    "scan backwards": (lambda x: lax.scan(lambda c, a: (c * 0.5 + a, c), 0.0, x, reverse=True)[1] @ x, (X,)),
    "scan of nothing": (lambda x: lax.scan(lambda c, a: (c + a, c), x, x[:0])[0].sum(), (X,)),
    "while_loop": (lambda a: lax.while_loop(lambda x: abs(x * x - a) > 1e-9, lambda x: (x + a / x) / 2, a), (2.0,)),
    "fori_loop": (lambda x, n: lax.fori_loop(0, n, lambda i, c: c * x + i, x).sum(), (X, 4)),
    "cond": (lambda x: lax.cond(x[0] > 0, lambda x: np.exp(x).sum(), lambda x: (x**2).sum(), x), (X,)),
    "switch": (lambda x: lax.switch(7, [np.sum, lambda x: (x**3).sum()], x), (X,)),
    "map": (lambda x: lax.map(lambda r: r**2, x, batch_size=2).sum(), (X,)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_the_same_as_python(name: str):
    """Values, derivatives, lanes and dtypes."""
    function, args = PROGRAMS[name]
    lanes = [np.stack([x, 2 * x]) if isinstance(x, np.ndarray) else np.array([x, 2 * x]) for x in args]
    for transform in (ft.jit, lambda f: ft.jit(ft.grad(f)), ft.hessian):
        wanted = transform(function)(*args)
        with disable_jit():
            found = transform(function)(*args)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
        assert np.asarray(found).dtype == np.asarray(wanted).dtype
    wanted = ft.vmap(ft.jit(function))(*lanes)
    with disable_jit():
        np.testing.assert_allclose(ft.vmap(ft.jit(function))(*lanes), wanted, rtol=1e-12)


def test_values_are_concrete_without_jit():
    seen: list[Any] = []

    @ft.jit
    def f(x: Any, n: int) -> Any:
        return lax.fori_loop(0, n, lambda i, y: seen.append((i, y)) or y + x, x)

    assert f(1.0, 2) == 3.0
    assert not any(isinstance(y, float) for _, y in seen)
    seen.clear()
    with disable_jit():
        assert f(1.0, 2) == 3.0
        assert seen == [(0, 1.0), (1, 2.0)]
        with disable_jit(False):
            assert f(1.0, 2) == 3.0
        assert len(seen) == 2


def test_loops_whose_end_is_not_known_are_traced():
    """Also where that turns out after some steps, and where a predicate is no single number."""

    def f(x: Any) -> Any:
        return lax.while_loop(lambda y: y < 3.0, lambda y: y + x, 0.0)

    with disable_jit():
        np.testing.assert_array_equal(ft.vmap(f)(np.array([1.0, 2.0])), [3.0, 4.0])
        assert ft.jit(f).lower(1.0).compile()(2.0) == 4.0
        with pytest.raises(ConditionError):
            lax.while_loop(lambda y: np.array([True]), lambda y: y, 0.0)


def test_settings_of_threads_are_counted_while_they_take_turns():
    """Blocks that begin and end at the same time leave nothing behind."""

    def work() -> None:
        for _ in range(2000):
            with debug_nans(), disable_jit():
                pass

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert changes.debugging == 0
