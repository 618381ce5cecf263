"""The current trace: nesting, perturbation confusion, threads and asyncio tasks."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.core.trace import EVAL, current_trace, named_axes

X = np.array([0.3, -1.2, 0.8])


def test_nothing_is_traced_by_default():
    assert current_trace.get() is EVAL
    assert EVAL.parent is EVAL


def test_the_previous_trace_comes_back():
    seen: list[Any] = []

    def f(x: Any) -> Any:
        before = current_trace.get()
        ft.grad(lambda y: y * y)(2.0)
        ft.jit(lambda y: y * 2)(1.0)
        ft.vmap(lambda y: y)(X)
        seen.append(current_trace.get() is before)
        return x * 2

    ft.jvp(f, (1.0,), (1.0,))
    ft.jit(f)(1.0)
    ft.vmap(f)(X)
    assert seen == [True] * 3
    assert current_trace.get() is EVAL


@pytest.mark.parametrize(
    "transform", [ft.jit, ft.grad, ft.vmap, ft.checkpoint, lambda f: lambda x: ft.vjp(f, x), ft.make_jaxpr]
)
def test_the_previous_trace_comes_back_after_an_error(transform: Any):
    def f(x: Any) -> Any:
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        transform(f)(X)
    assert current_trace.get() is EVAL
    assert ft.grad(lambda x: x * x)(3.0) == 6.0


def test_an_error_in_the_middle_leaves_the_outer_trace_alone():
    def f(x: Any) -> Any:
        try:
            ft.vmap(ft.grad(lambda y: y.no_such_attribute))(X)
        except AttributeError:
            pass
        return x * x

    assert ft.grad(f)(3.0) == 6.0
    assert ft.jit(f)(3.0) == 9.0


def test_no_perturbation_confusion():
    """d/dx (x * d/dy (x + y)) is 1, not 2 (Siskind and Pearlmutter 2005)."""
    for inner in (ft.grad, lambda f: lambda y: ft.jvp(f, (y,), (1.0,))[1]):
        for outer in (ft.grad, lambda f: lambda x: ft.jvp(f, (x,), (1.0,))[1]):
            derivative = outer(lambda x, inner=inner: x * inner(lambda y: x + y)(2.0))
            assert derivative(1.0) == 1.0
    assert ft.grad(lambda x: ft.grad(lambda y: x * y * y)(x))(3.0) == 12.0
    assert ft.vmap(lambda x: ft.grad(lambda y: x * np.sum(ft.vmap(lambda z: z * y * x)(X)))(1.0))(X) == pytest.approx(
        X * X * X.sum()
    )


def test_names_of_axes():
    seen: list[Any] = []
    ft.vmap(ft.vmap(lambda x: seen.append(named_axes()) or x, axis_name="inner"), axis_name="outer")(np.zeros((2, 3)))
    assert seen == [(("inner", 3), ("outer", 2))]
    assert named_axes() == ()


# ---- threads and tasks


def wait_for_each_other(count: int) -> Any:
    """A barrier that fails instead of hanging."""
    return threading.Barrier(count, timeout=600)


TRACES = {
    "grad": lambda f: ft.grad(lambda x: np.sum(f(x)))(X),
    "jit": lambda f: ft.jit(f)(X),
    "vmap": lambda f: ft.vmap(f)(X),
    "jvp": lambda f: ft.jvp(f, (X,), (X,))[1],
    "nested": lambda f: ft.jit(ft.vmap(ft.grad(f)))(X),
    "checkpoint": lambda f: ft.grad(lambda x: np.sum(ft.checkpoint(f)(x)))(X),
}


def test_threads_do_not_disturb_each_other():
    """All threads are in the middle of tracing at the same time."""
    wanted = {name: run(lambda x: np.sin(x) * x) for name, run in TRACES.items()}
    barrier = wait_for_each_other(len(TRACES))

    def traced_together(name: str) -> Any:
        def f(x: Any) -> Any:
            y = np.sin(x)
            barrier.wait()
            y = y * x
            barrier.wait()
            return y

        assert current_trace.get() is EVAL
        return TRACES[name](f)

    with ThreadPoolExecutor(len(TRACES)) as pool:
        found = dict(zip(TRACES, pool.map(traced_together, TRACES)))
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_thread_started_while_tracing_computes_on_its_own():
    results: list[Any] = []

    def f(x: Any) -> Any:
        def work() -> None:
            results.append((current_trace.get() is EVAL, np.sin(1.0), ft.grad(np.sin)(0.0)))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return x * 2

    assert ft.jit(f)(3.0) == 6.0
    assert results == [(True, np.sin(1.0), 1.0)]


def test_a_jitted_function_shared_by_threads():
    count = 8
    barrier = wait_for_each_other(count)
    f = ft.jit(ft.value_and_grad(lambda x: np.sum(np.tanh(x) ** 2)))

    def call(k: int) -> Any:
        barrier.wait()
        return [f(X[: 1 + (k + i) % 3] * k) for i in range(20)]

    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(call, range(count)))
    for k in range(count):
        for i in range(20):
            x = X[: 1 + (k + i) % 3] * k
            np.testing.assert_allclose(found[k][i][0], np.sum(np.tanh(x) ** 2), rtol=1e-12)
            np.testing.assert_allclose(found[k][i][1], 2 * np.tanh(x) / np.cosh(x) ** 2, rtol=1e-9, atol=1e-12)


def test_tasks_do_not_disturb_each_other():
    """Coroutines that give way to each other between transformations, each with traces of its own."""

    async def derivative(k: int) -> Any:
        total = 0.0
        for _ in range(5):
            assert current_trace.get() is EVAL
            total += ft.grad(ft.jit(lambda x: np.sin(k * x)))(0.0)
            await asyncio.sleep(0)
        return total

    async def together() -> Any:
        return await asyncio.gather(*(derivative(k) for k in range(6)))

    assert asyncio.run(together()) == [5.0 * k for k in range(6)]


def test_a_task_suspended_in_the_middle_of_a_trace():
    """A trace entered in one context is not seen from another: the generator below yields while it is current."""
    entered: list[Any] = []

    def f(x: Any) -> Any:
        other = contextvars.Context()
        entered.append((current_trace.get() is EVAL, other.run(current_trace.get) is EVAL))
        entered.append(other.run(lambda: ft.grad(lambda y: y**3)(2.0)))
        return x * x

    assert ft.grad(f)(3.0) == 6.0
    assert entered == [(False, True), 12.0]


def test_generators_run_under_the_trace_of_their_caller():
    def powers(x: Any) -> Any:
        y = x
        while True:
            yield y
            y = y * x

    def f(x: Any) -> Any:
        values = powers(x)
        return next(values) + next(values) + next(values)

    assert ft.grad(f)(2.0) == 1 + 2 * 2 + 3 * 4
    assert ft.jit(ft.grad(f))(2.0) == 17.0
