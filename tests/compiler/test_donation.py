"""Donated arguments: what is in their memory afterwards, what is allocated, and what is left alone.

That results are right is asked of all random programs, with any of their arguments donated (tests/fuzz.py).
"""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import functrans as ft
from functrans import errors, lax
from functrans.compiler.homes import Homes
from functrans.compiler.inspection.listing import is_copy
from functrans.compiler.program import native_program
from functrans.core.jaxpr import Literal
from tests.fuzz import Case, cases
from tests.helpers.bits import assert_same_bits
from tests.helpers.limits import limited
from tests.helpers.tiers import interpreted, staged

fnp = ft.numpy
set_at = lambda x, index, value: fnp.at(x)[index].set(value)  # noqa: E731
LARGE = 200_000
#: What Python's own objects may take in a call, in bytes.
LITTLE = 60_000


def vector(size: int = 500, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=size)


def copies(lowered: Any, shape: tuple[int, ...]) -> int:
    """How many instructions do nothing but copy an array of a shape, those in loops included."""
    return sum(is_copy(row.instruction) and row.instruction.targets[0].shape == shape for row in lowered._rows)


# ---- random programs


@settings(max_examples=25)
@given(case=cases(("updates", "stencils", "arrays")))
def test_results_have_memory_of_their_own(case: Case) -> None:
    """Only donated arrays are handed out, and no two results share memory."""
    jaxpr = staged(case.function, case.args)
    given = [np.array(x) if i in case.donated else x for i, x in enumerate(case.args)]
    with limited(case.limits):
        results = native_program(jaxpr, case.donated)(*given)
    arrays = [y for y in results if isinstance(y, np.ndarray) and y.size]
    kept = [x for i, x in enumerate(given) if i not in case.donated and isinstance(x, np.ndarray)]
    constants = [a.value for eqn in jaxpr.eqns for a in eqn.inputs if isinstance(a, Literal)]
    for k, y in enumerate(arrays):
        assert y.flags.writeable
        assert not any(np.may_share_memory(y, other) for other in (*arrays[:k], *kept))
        assert not any(isinstance(c, np.ndarray) and np.may_share_memory(y, c) for c in constants)


# ---- what is where


def test_a_result_is_the_donated_array_itself():
    step = ft.jit(lambda p, g: p - 0.1 * g, donate_argnums=0)
    p, g = vector(), vector(seed=1)
    wanted = p - 0.1 * g
    for _ in range(5):  # the first calls go the long way, later ones the quick one
        given = p.copy()
        result = step(given, g)
        assert result is given
        np.testing.assert_array_equal(result, wanted)


def test_pytrees_keep_their_arrays():
    """Each result is in the memory of the argument that stands where it does, not in that of another one."""

    def adam(state: Any, gradient: Any) -> Any:
        params, m, v = state
        m = ft.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = ft.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, v, gradient)
        return ft.tree.map(lambda p, m, v: p - 0.1 * m / (np.sqrt(v) + 1e-8), params, m, v), m, v

    shapes = {"w": (30, 20), "b": (20,), "c": (20,)}
    make = lambda seed: {name: np.abs(vector(n[0] * 20, seed)[: np.prod(n)]).reshape(n).copy() for name, n in shapes.items()}  # noqa: E731
    step = ft.jit(adam, donate_argnums=(0, 1))
    for _ in range(5):
        state, gradient = (make(0), make(1), make(2)), make(3)
        wanted = adam(state, gradient)
        leaves = ft.tree.leaves(state)
        results = ft.tree.leaves(step(state, gradient))
        assert all(x is y for x, y in zip(leaves, results, strict=True))
        for found, expected in zip(results, ft.tree.leaves(wanted)):
            np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_no_two_results_are_promised_the_same_argument():
    """A value on its way to one result is in the place of the argument when what becomes another one is computed."""

    def function(c: Any, x: Any, y: Any) -> Any:
        return c * np.sort(x) * 2, np.zeros_like(x), np.zeros_like(y), np.zeros_like(y)

    x = vector()
    results = ft.jit(function, donate_argnums=(1, 2))(x, x.copy(), x.copy())
    assert_same_bits(results, function(x, x, x))


def test_an_argument_that_is_a_result_is_handed_out():
    f = ft.jit(lambda x, y: (y * 2, x), donate_argnums=(0, 1))
    x, y = vector(), vector(seed=1)
    results = f(x, y)
    assert results[0] is y
    assert results[1] is x
    np.testing.assert_array_equal(x, vector())


def test_an_argument_is_handed_out_once():
    f = ft.jit(lambda x: (x, x, x.reshape(-1, 5), x + 1), donate_argnums=0)
    x = vector()
    results = f(x)
    assert sum(np.may_share_memory(x, y) for y in results) == 1
    np.testing.assert_array_equal(results[2], vector().reshape(-1, 5))
    np.testing.assert_array_equal(results[3], vector() + 1)


def test_memory_becomes_a_result_of_another_type():
    def f(x: Any) -> Any:
        return np.sum(x).astype(int) + np.arange(500).reshape(20, 25)

    step = ft.jit(f, donate_argnums=0)
    for _ in range(5):
        x = vector()
        result = step(x)
        assert result.base is x
        assert result.flags.writeable
        assert_same_bits([result], [f(vector())])


def test_a_number_is_not_handed_out_as_an_array():
    step = ft.jit(lambda x: np.reshape(x, ()), donate_argnums=0)
    results = [step(np.array([3.0])) for _ in range(4)]  # the last calls are quick ones
    assert [type(y) for y in results] == [np.float64] * 4
    assert results == [3.0] * 4


def test_a_result_that_reads_elsewhere_is_not_in_place():
    f = ft.jit(lambda x, y: (x[::-1] + y, y[::-1]), donate_argnums=(0, 1))
    results = f(vector(), vector(seed=1))
    np.testing.assert_array_equal(results[0], vector()[::-1] + vector(seed=1))
    np.testing.assert_array_equal(results[1], vector(seed=1)[::-1])


@pytest.mark.parametrize("rows", [1, 3])
def test_what_an_argument_begins_is_not_in_its_place(rows: int):
    def function(x: Any, y: Any) -> Any:
        first = np.exp(y[0])
        joined = np.concatenate([x, np.sort(y)])
        joined[:1] = first
        return joined

    x, y = np.ones(rows), np.arange(5.0)
    np.testing.assert_array_equal(ft.jit(function, donate_argnums=0)(x.copy(), y), function(x, y))


def test_item_assignment_copies_nothing():
    def assign(x: Any, i: Any) -> Any:
        x = x.copy()
        x[3] = 7
        x[i] += 1
        x[1:, 2] = x[:-1, 2] * 2
        return x

    f = ft.jit(assign, donate_argnums=0)
    x, i = np.ones((300, 200)), np.array([5, 7])
    assert copies(f.lower(x, i), x.shape) == 0
    given = x.copy()
    assert f(given, i) is given
    np.testing.assert_array_equal(given, assign(x, i))
    assert f.lower(x, i).memory.peak < x.nbytes
    np.testing.assert_array_equal(x, 1)


def test_assignment_to_what_is_no_result():
    f = ft.jit(lambda x: np.sum(set_at(set_at(x, 0, 5.0), slice(2, 9), 1.0)), donate_argnums=0)
    assert copies(f.lower(np.ones(LARGE)), (LARGE,)) == 0
    assert f(np.ones(LARGE)) == LARGE + 4


# ---- loops


RELAX = lambda i, u: set_at(u, slice(1, -1), 0.5 * (u[2:] + u[:-2]))  # noqa: E731  (two places by turns)
DECAY = lambda i, u: set_at(u, slice(1, -1), u[1:-1] * 0.5 + i)  # noqa: E731  (in one place)
FILL = lambda i, u: set_at(u, i, u[i - 1] * 0.5)  # noqa: E731  (one function)


@pytest.mark.parametrize("body", [RELAX, DECAY, FILL], ids=["by turns", "in place", "as one function"])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("is_known", [True, False])
def test_loops_begin_in_the_donated_array(body: Any, steps: int, is_known: bool):
    def run(u: Any, n: Any) -> Any:
        return lax.fori_loop(0, steps if is_known else n, body, u)

    f = ft.jit(run, donate_argnums=0)
    u = vector(LARGE)
    (wanted,) = interpreted(staged(run, (u, steps)), (u, steps))
    for _ in range(4):
        given = u.copy()
        assert f(given, steps) is given
        np.testing.assert_array_equal(given, wanted)
    undonated = ft.jit(run)(u, steps)
    np.testing.assert_array_equal(undonated, wanted)


def test_loops_copy_as_little_as_they_can():
    """One array is copied for a state that is not donated, none for one that is."""
    u = vector(LARGE)

    def lowered(body: Any, n: int, **options: Any) -> Any:
        return ft.jit(lambda u: lax.fori_loop(0, n, body, u), **options).lower(u)

    for body in (RELAX, DECAY):
        assert copies(lowered(body, 4), u.shape) == copies(lowered(body, 5), u.shape) == 1
        assert copies(lowered(body, 4, donate_argnums=0), u.shape) == 0
    assert copies(lowered(DECAY, 5, donate_argnums=0), u.shape) == 0
    assert copies(lowered(RELAX, 5, donate_argnums=0), u.shape) == 1
    assert lowered(DECAY, 5, donate_argnums=0).memory.peak < 1000


def test_a_temporary_state_is_where_a_loop_begins():
    f = lambda u: np.sum(lax.fori_loop(0, 4, DECAY, np.cumsum(u)))  # noqa: E731
    u = vector(LARGE)
    assert copies(ft.jit(f).lower(u), u.shape) == 0
    np.testing.assert_allclose(ft.jit(f)(u), f(u), rtol=1e-12)


def test_loops_in_loops():
    def sweep(i: Any, state: Any) -> Any:
        u, v = state
        u = lax.fori_loop(0, 3, RELAX, u)
        return lax.fori_loop(0, i, RELAX, v + u), u

    f = lambda u, v: lax.fori_loop(0, 5, sweep, (u, v))  # noqa: E731
    args = vector(300), vector(300, 1)
    for donated in ((), 0, 1, (0, 1)):
        step = ft.jit(f, donate_argnums=donated)
        for _ in range(4):
            for found, wanted in zip(step(*(x.copy() for x in args)), interpreted(staged(f, args), args)):
                np.testing.assert_array_equal(found, wanted)


def test_a_state_that_the_loop_also_reads_is_copied():
    f = ft.jit(lambda u: lax.fori_loop(0, 3, lambda i, c: DECAY(i, c) + u, u), donate_argnums=0)
    np.testing.assert_allclose(f(vector()), interpreted(staged(f.fun, (vector(),)), (vector(),))[0], rtol=1e-12)


def test_a_last_state_that_nobody_wants_has_memory_of_its_own():
    """It is where the donated array was; what the steps returned must not be put there as well."""
    function = ft.jit(lambda x: lax.scan(lambda c, k: (set_at(c, 0, k), c[::2]), x, np.arange(2.0))[1], donate_argnums=0)
    given = np.array([5.0, 1.0, 0.0, -2.0])
    np.testing.assert_array_equal(function(given), [[5.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize("donated", [(), 0])
def test_states_that_change_places(donated: Any):
    f = ft.jit(lambda s: lax.fori_loop(0, 3, lambda i, s: (s[1] * 2, s[0] + 1), s), donate_argnums=donated)
    for _ in range(3):
        a, b = f((vector(), vector(seed=1)))
        np.testing.assert_array_equal(a, ((vector(seed=1) * 2) + 1) * 2)
        np.testing.assert_array_equal(b, (vector() + 1) * 2 + 1)


def test_indices_that_a_kernel_overwrites_are_checked_again():
    """A carry of indices is changed where it is; that it was in range before says nothing."""
    table = vector(201)

    def step(i: Any, _: Any) -> Any:
        first = np.sort(np.take(fnp.asarray(table), i))
        return i + 1, np.sum(first) + np.sum(np.sort(np.take(fnp.asarray(table), i + 1)))

    f = ft.jit(lambda i: lax.scan(step, i, None, 1)[1])
    f(np.arange(200))
    with pytest.raises(errors.OutOfBoundsError):
        f(np.arange(1, 201))


# ---- what is allocated


@pytest.mark.parametrize(
    "function",
    [
        lambda x, g: x - 0.1 * g,
        lambda x, g: set_at(x, slice(3, 9), g[3:9]),
        lambda x, g: lax.fori_loop(0, 4, DECAY, x),
        lambda x, g: lax.fori_loop(1, 50, FILL, x),
        lambda x, g: np.sin(x) * np.sum(g) + np.cos(x),
    ],
    ids=["update", "assignment", "loop", "loop as one function", "after a reduction"],
)
def test_nothing_large_is_allocated(function: Any):
    step, x, g = ft.jit(function, donate_argnums=0), vector(LARGE), vector(LARGE, 1)
    for _ in range(3):
        x = step(x, g)
    first = x
    tracemalloc.start()
    try:
        for _ in range(5):
            x = step(x, g)
        assert tracemalloc.get_traced_memory()[1] < LITTLE < x.nbytes
    finally:
        tracemalloc.stop()
    assert x is first


def test_references_are_counted():
    step = ft.jit(lambda s, k: {"a": s["a"] * k, "b": (np.sum(s["b"]).astype(int) + np.arange(500),)}, donate_argnums=0)
    alive = sys.getrefcount(object())
    for _ in range(200):
        a, b = vector(), vector(seed=1)
        results = step({"a": a, "b": b}, 2.0)
        assert results["a"] is a
        assert results["b"][0].base is b
        del results
        assert sys.getrefcount(a) == sys.getrefcount(b) == alive + 1
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(200):
        step({"a": vector(), "b": vector(seed=1)}, 2.0)
    gc.collect()
    assert len(gc.get_objects()) < before + 50


# ---- what is copied, because it is not the caller's to give


def readonly(x: np.ndarray) -> np.ndarray:
    x.flags.writeable = False
    return x


def misaligned(x: np.ndarray) -> np.ndarray:
    room = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype)
    room[...] = x
    return room


class Subclass(np.ndarray):
    pass


UNSAFE: dict[str, Callable[[np.ndarray], Any]] = {
    "read-only": readonly,
    "a view": lambda x: x[:],
    "a part": lambda x: np.concatenate([x, x])[: len(x)],
    "every other one": lambda x: np.repeat(x, 2)[::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape),
    "misaligned": misaligned,
    "of another byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "a subclass": lambda x: x.view(Subclass),
    "of a buffer": lambda x: np.frombuffer(bytearray(x.tobytes())),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_what_is_not_to_be_given_away_is_copied(name: str):
    step = ft.jit(lambda x: set_at(x * 2, 0, 1.0), donate_argnums=0)
    for _ in range(4):
        x = UNSAFE[name](vector())
        before = np.array(x)
        result = step(x)
        assert not np.may_share_memory(result, x)
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(result, np.concatenate([[1.0], before[1:] * 2]))
        assert step(result) is result


def test_a_memory_map_is_not_overwritten(tmp_path: Path):
    path = tmp_path / "x"
    vector().tofile(path)
    step = ft.jit(lambda x: x + 1, donate_argnums=0)
    x = np.memmap(path, vector().dtype, "r+")
    for mapped in (x, np.asarray(x)):
        np.testing.assert_array_equal(step(mapped), vector() + 1)
    x.flush()
    np.testing.assert_array_equal(np.fromfile(path), vector())


@pytest.mark.parametrize(
    "other", [lambda x: x, lambda x: x[:], lambda x: x[::-1], lambda x: x[100:300], lambda x: x.reshape(20, 25).T[3]]
)
def test_arguments_that_share_memory(other: Any):
    def f(x: Any, y: Any) -> Any:
        return set_at(x, slice(0, 5), 9.0), np.sum(y), y * 2

    for donated in (0, 1, (0, 1)):
        step = ft.jit(f, donate_argnums=donated)
        warm = step(vector(), np.array(other(vector())))
        assert len(warm) == 3
        for _ in range(4):
            x = vector()
            y = other(x)
            wanted = f(x.copy(), y.copy())
            found = step(x, y)
            for result, expected in zip(found, wanted):
                np.testing.assert_allclose(result, expected, rtol=1e-12)
            np.testing.assert_array_equal(x, vector())


def test_what_has_no_memory_to_give():
    step = ft.jit(lambda n, k, s, e: (n * 2, k + 1, s - 1, e * 3), donate_argnums=(0, 1, 2, 3))
    for _ in range(4):
        zero = np.array(3.0)
        results = step(zero, 2, np.float32(1), np.ones((0, 3)))
        assert (float(results[0]), results[1], results[2]) == (6.0, 3, 0)
        assert results[3].shape == (0, 3)
        assert zero == 3.0


# ---- options


def test_names_and_numbers():
    f = lambda x, *, y, n=1: (x * n, y + n)  # noqa: E731
    for options in ({"donate_argnames": "y"}, {"donate_argnames": ["y"], "static_argnames": "n"}):
        step = ft.jit(f, **options)
        for _ in range(4):
            x, y = vector(), vector(seed=1)
            results = step(x, y=y, n=2)
            assert results[1] is y
            np.testing.assert_array_equal(x, vector())
    g = lambda x, y: x * 2 + y  # noqa: E731
    for step, call in (
        (ft.jit(g, donate_argnums=0), lambda f, x, y: f(x=x, y=y)),
        (ft.jit(g, donate_argnames="x"), lambda f, x, y: f(x, y)),
        (ft.jit(g, donate_argnums=-2), lambda f, x, y: f(x, y)),
        (ft.jit(lambda n, x, y: g(x, y), static_argnums=0, donate_argnums=1), lambda f, x, y: f("static", x, y)),
    ):
        for _ in range(4):
            x, y = vector(), vector(seed=1)
            assert call(step, x, y) is x
            np.testing.assert_array_equal(y, vector(seed=1))


def test_a_decorator_with_options():
    @ft.jit(donate_argnames=("state",))
    def step(state: Any) -> Any:
        return {"x": state["x"] + 1}

    x = vector()
    assert step({"x": x})["x"] is x


def test_an_argument_is_static_or_donated():
    with pytest.raises(errors.ArgumentIndexError, match="Argument 0 is marked as static and as donated"):
        ft.jit(lambda x: x, static_argnums=0, donate_argnums=0)
    with pytest.raises(errors.ArgumentIndexError, match="Argument 'x' is marked"):
        ft.jit(lambda x: x, static_argnames="x", donate_argnames="x")
    with pytest.raises(errors.ArgumentIndexError, match="donate_argnames names 'z'"):
        ft.jit(lambda x: x, donate_argnames="z")


def test_functions_with_and_without_donation_are_told_apart():
    f = lambda x: x * 2  # noqa: E731
    keeps, gives = ft.jit(f), ft.jit(f, donate_argnums=0)
    for _ in range(4):
        x, y = vector(), vector()
        assert gives(x) is x
        assert keeps(y) is not y
        np.testing.assert_array_equal(y, vector())


# ---- where donation means nothing


def test_transformations_ignore_it():
    step = ft.jit(lambda x, y: x * y + 1, donate_argnums=(0, 1))
    x, y = vector(), vector(seed=1)
    loss = lambda x, y: np.sum(step(x, y))  # noqa: E731
    for _ in range(3):
        np.testing.assert_array_equal(ft.grad(loss)(x, y), vector(seed=1))
        np.testing.assert_array_equal(ft.vmap(step)(x, y), vector() * vector(seed=1) + 1)
        np.testing.assert_array_equal(ft.jit(lambda x, y: step(x, y) + x)(x, y), vector() * vector(seed=1) + 1 + vector())
        ft.jvp(step, (x, y), (x, y))
        ft.jit(ft.grad(loss))(x, y)
    np.testing.assert_array_equal(x, vector())
    np.testing.assert_array_equal(y, vector(seed=1))


def test_the_gradient_of_a_step_may_be_donated_to():
    step = ft.jit(lambda x, y: x - 0.1 * ft.grad(lambda x: np.sum(np.sin(x) * y))(x), donate_argnums=0)
    x, y = vector(), vector(seed=1)
    assert step(x, y) is x
    np.testing.assert_allclose(x, vector() - 0.1 * np.cos(vector()) * y, rtol=1e-12)


def test_the_interpreter_ignores_it():
    with ft.config.using(backend="interpreter"):
        for f in (lambda x: x * 2, lambda x: x, lambda x: set_at(x, 0, 1.0)):
            x = vector()
            result = ft.jit(f, donate_argnums=0)(x[:])
            assert not np.may_share_memory(result, x)
            np.testing.assert_array_equal(x, vector())


# ---- errors and threads


def test_an_error_midway_leaves_everything_usable():
    def f(x: Any, i: Any) -> Any:
        x = x * 2
        return lax.fori_loop(0, 3, RELAX, set_at(x, i, 1.0))

    step, i = ft.jit(f, donate_argnums=0), np.array([3, 4])
    for _ in range(3):
        with pytest.raises(errors.OutOfBoundsError):
            step(vector(), np.array([3, 500]))
        np.testing.assert_allclose(step(vector(), i), f(vector(), i), rtol=1e-12)


def test_errors_between_steps_of_a_loop():
    def body(k: Any, u: Any) -> Any:
        return set_at(0.5 * (u + u[::-1]), fnp.array([0, 1]) + k * 100, 1.0) + np.sort(u)[0]

    step = ft.jit(lambda u, n: lax.fori_loop(0, n, body, u), donate_argnums=0)
    for n in (3, 9, 4, 9, 3):
        if n == 9:
            with pytest.raises(errors.OutOfBoundsError):
                step(vector(), n)
        else:
            found = step(vector(), n)
            np.testing.assert_allclose(found, interpreted(staged(step.fun, (vector(), n)), (vector(), n))[0], rtol=1e-12)


@pytest.mark.parametrize("size", [500, 50_000])
def test_eight_threads(size: int):
    step = ft.jit(lambda x, k: set_at(np.sin(x) + k, slice(0, 3), 0.0), donate_argnums=0)
    wanted, failures = vector(size), []
    for k in range(30):
        wanted = set_at(np.sin(wanted) + k, slice(0, 3), 0.0)
    step(vector(size), 0)

    def work() -> None:
        x = first = vector(size)
        for k in range(30):
            x = step(x, k)
        if x is not first or not np.allclose(x, wanted, rtol=1e-10):
            failures.append(x)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# ---- looking inside


def test_memory_says_what_is_reused():
    step = ft.jit(lambda p, m, g: (p - 0.1 * g, m * 0.9 + g, np.sum(g)), donate_argnums=(0, 1))
    memory = step.lower(vector(), vector(), vector()).memory
    assert memory.reused == {0: 0, 1: 1}
    assert memory.donated == 8000
    assert memory.results == 8008
    assert memory.peak == memory.arena + memory.constants + 8
    assert "result 0  in the memory of p:f64[500]" in repr(memory)
    assert ft.jit(step.fun).lower(vector(), vector(), vector()).memory.reused == {}


def test_explanations_say_what_is_reused_and_why_not():
    def f(a: Any, b: Any, c: Any, d: Any, e: Any, n: Any, turned: Any) -> Any:
        return a + 1, np.sum(set_at(b, 0, 1.0)), c[::-1], n * 2 + np.sum(d) + np.sum(e) + np.sum(turned)

    step = ft.jit(f, donate_argnums=range(7))
    args = vector(), vector(), vector(300), vector(7), vector(0), 2.0, np.ones((30, 20)).T
    said = dict(step.lower(*args).explain().sections)["Donation"]
    assert [sentence for _, sentence in said] == [
        "a is donated: result 0 is in its memory.",
        "b is donated: it is overwritten where it is.",
        "c is donated, but its memory is not reused: it is needed, or read at other places, while the results of its size "
        "are computed.",
        "d is donated, but its memory is not reused: no result takes as many bytes.",
        "e is donated, but its memory is not reused: it has no elements.",
        "n is donated, but its memory is not reused: it is a single number, or no array.",
        "turned is donated, but its memory is not reused: its elements do not lie in memory in row-major order, as those "
        "of a result do.",
    ]
    twice = ft.jit(lambda x, y: x * 2 + y, donate_argnums=0)
    x = vector()
    for pair, why in (
        ((x, x), "it has memory in common with another argument"),
        ((x[:], vector()), "it is a view of memory that something else owns"),
        ((readonly(vector()), vector()), "it may not be written to"),
    ):
        assert f"This x is copied first, for {why}." in twice.lower(*pair).explain().sentences
    assert "Donation" not in dict(ft.jit(twice.fun).lower(x, x).explain().sections)


def test_profiles_leave_arguments_alone():
    step = ft.jit(lambda x: np.sin(x) * 2, donate_argnums=0)
    x = vector()
    assert step.lower(x).profile(x).rows
    np.testing.assert_array_equal(x, vector())


def test_places_of_arguments_that_are_not_given_away_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel for hundreds of parameters has as many arguments and results: pairs of them are too many to look at."""
    tried = []
    overwritable = Homes.overwritable

    def counted(self: Homes, *args: Any) -> Any:
        tried.append(args)
        return overwritable(self, *args)

    monkeypatch.setattr(Homes, "overwritable", counted)
    parameters = [np.full(3, float(i)) for i in range(60)]
    step = ft.jit(lambda p, g: [x - 0.1 * y for x, y in zip(p, g)])
    for x, found in zip(parameters, step(parameters, parameters)):
        np.testing.assert_array_equal(found, x - 0.1 * x)
    assert len(tried) <= 60
