"""Tapes: what loops of unknown length leave for their derivatives, in native programs."""

from __future__ import annotations

import gc
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import errors, lax
from functrans.compiler.backends.cpu import native
from functrans.compiler.inspection.listing import blocks_in
from functrans.compiler.instructions import Block, PythonRun, RecurrenceRun
from functrans.compiler.loopnest import Constant, Load
from functrans.compiler.program import fused
from functrans.compiler.recurrence import Assign, Check, Repeat, statements_in
from functrans.core import stack
from tests.fuzz import Case
from tests.helpers.interruptions import interrupted
from tests.helpers.oracles import assert_all_close, assert_close
from tests.helpers.tiers import staged

fnp = ft.numpy
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
TIER = st.sampled_from(["quick", "thorough"])
X = np.linspace(0.3, 1.2, 8)


def check(function: Any, *args: Any, tolerance: float | None = 1e-12, tier: str = "quick") -> None:
    """Raise AssertionError unless both backends agree."""
    Case("a loop", function, args, tolerance).check(tier)


def calls_of_python(function: Any, *args: Any) -> list[str]:
    """The names of what a program calls Python for."""
    program = native.NativeProgram(staged(function, args), fused)
    program(*ft.tree.leaves(args))
    (binding,) = program.bindings.values()

    def walk(block: Block) -> Iterator[str]:
        for instruction in block:
            if isinstance(instruction, PythonRun):
                yield instruction.name
            for _, inner in blocks_in(instruction):
                yield from walk(inner)

    return list(walk(binding.assembled.block))


def power(x: Any, n: Any) -> Any:
    """tanh, n times, and twice that in between."""
    return np.sum(lax.fori_loop(0, n, lambda i, c: np.tanh(c) * 2 + x, x))


def newton(x: Any) -> Any:
    return lax.while_loop(lambda c: abs(c[1] - x) > 1e-9 * x, lambda c: (0.5 * (c[0] + x / c[0]), c[0] ** 2), (x, 0.0))[0]


def nested(x: Any, n: Any, m: Any) -> Any:
    def outer(c: Any) -> Any:
        inner = lax.while_loop(lambda d: d[1] < m + c[1] % 3, lambda d: (np.sin(d[0]) + x, d[1] + 1), (c[0], 0))
        return inner[0] * 0.5, c[1] + 1

    return np.sum(lax.while_loop(lambda c: c[1] < n, outer, (x, 0))[0])


@pytest.mark.parametrize("tier", ["quick", "thorough", "threads"])
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("steps", [0, 1, 16, 17, 65, 1000])
def test_gradients_for_any_number_of_steps(steps: int, size: int, tier: str) -> None:
    check(ft.grad(power), np.linspace(0.1, 0.4, size), steps, tier=tier)


@settings(max_examples=30)
@given(outer=st.integers(0, 20), inner=st.integers(-1, 20), size=st.sampled_from([0, 1, 70]), tier=TIER)
def test_loops_in_loops(outer: int, inner: int, size: int, tier: str) -> None:
    check(ft.grad(nested), np.linspace(0.1, 0.4, size), outer, inner, tier=tier)


@settings(max_examples=20)
@given(
    dtype=st.sampled_from(["f2", "f4", "f8", "c8", "c16"]),
    shape=st.sampled_from([(), (3,), (2, 0), (70,), (2, 3, 20)]),
    steps=st.integers(0, 40),
    tier=TIER,
)
def test_types(dtype: str, shape: Any, steps: int, tier: str) -> None:
    x = (np.ones(shape) * 0.3).astype(dtype)

    def loss(x: Any, n: Any) -> Any:
        def step(i: Any, c: Any) -> Any:  # leaves booleans and integers of other sizes, too
            y, k = c
            return np.where(k % 3 == 0, y * y, y * x) + x, k + np.int8(1)

        return np.sum(lax.fori_loop(0, n, step, (x, np.int8(0)))[0]).real

    check(ft.grad(loss), x, steps, tolerance={"f2": 1e-1, "f4": 1e-4, "c8": 1e-4}.get(dtype, 1e-11), tier=tier)


TRANSFORMED: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "gradient": (ft.grad(newton), (5.0,)),
    "second derivative": (ft.grad(ft.grad(newton)), (5.0,)),
    "forward over reverse": (ft.jvp, (ft.grad(newton), (5.0,), (1.0,))),
    "lanes that stop by themselves": (ft.vmap(ft.grad(newton)), (np.array([5.0, 1e-3, 700.0]),)),
    "gradient over lanes": (ft.grad(lambda x: np.sum(ft.vmap(newton)(x) ** 2)), (np.array([5.0, 1e-3, 700.0]),)),
    "lanes with their own number of steps": (ft.vmap(ft.grad(power)), (np.linspace(0.1, 0.4, 4), np.array([3, 0, 20, 7]))),
    "nested, in lanes": (ft.vmap(ft.grad(nested), (0, None, 0)), (np.linspace(0.1, 0.4, 3), 5, np.array([2, 0, 4]))),
    "Hessian": (ft.hessian(power), (np.linspace(0.1, 0.4, 3), 9)),
    "in a branch": (ft.grad(lambda x: lax.cond(x > 1, newton, lambda x: x, x)), (3.0,)),
    "in a scan": (ft.grad(lambda x: lax.scan(lambda c, a: (newton(c) + a, c), x, np.arange(4.0))[0]), (3.0,)),
    "jitted inside": (ft.grad(ft.jit(newton)), (5.0,)),
    "first one step, then many": (ft.grad(lambda x: power(x, 1) + power(x, 50)), (np.array([0.3, 0.2]),)),
}


@pytest.mark.parametrize("tier", ["quick", "thorough"])
@pytest.mark.parametrize("name", [*TRANSFORMED])
def test_transformations(name: str, tier: str) -> None:
    function, args = TRANSFORMED[name]
    if function is ft.jvp:
        inner, primals, tangents = args
        function, args = (lambda x, dx: ft.jvp(inner, (x,), (dx,))), (*primals, *tangents)
    check(function, *args, tolerance=1e-9, tier=tier)


def test_stacks_that_leave_a_program() -> None:
    x = np.linspace(0.1, 0.4, 3)
    wanted = ft.grad(power)(x, 40)
    _, pull = ft.vjp(ft.jit(lambda x: power(x, 40)), x)
    others = [ft.vjp(ft.jit(lambda x, k=k: power(x * k, 40)), x)[1] for k in range(3)]
    for _ in range(3):  # the same residuals again, though other loops have run meanwhile
        assert_all_close(pull(1.0)[0], wanted, 1e-12)
        for other in others:
            other(1.0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_stacks_that_leave_a_branch(sign: float) -> None:
    loss = lambda x, n: lax.cond(np.sum(x) > 0, lambda x: np.sum(np.sin(x)), lambda x: power(np.sin(x), n), x)  # noqa: E731
    check(ft.grad(loss), sign * X, 3)


def test_residuals_outlive_further_calls() -> None:
    f = ft.jit(lambda x: power(x, 40))
    points = [np.linspace(0.1, 0.4, 3) * k for k in (1.0, 0.5, 2.0)]
    pulls = [ft.vjp(f, x)[1] for x in points]
    for x, pull in zip(points, pulls):
        assert_all_close(pull(1.0)[0], ft.grad(power)(x, 40), 1e-12)


@pytest.mark.parametrize("name", ["gradient", "second derivative", "Hessian", "lanes with their own number of steps"])
def test_steps_run_without_python(name: str) -> None:
    function, args = TRANSFORMED[name]
    assert not {"while_loop", "scan"} & {*calls_of_python(function, *args)}


def test_steps_of_loops_in_loops_run_without_python() -> None:
    assert not {"while_loop", "scan"} & {*calls_of_python(ft.grad(nested), np.ones(70), 3, 2)}


def test_loops_in_loops_call_python_only_for_their_tapes() -> None:
    assert not calls_of_python(ft.grad(nested), np.ones(70), 3, 2)


# ---- loops in loops as one function


def solved(n: int, x: Any) -> Any:
    """A triangular system, one unknown after the other."""

    def row(i: Any, y: Any) -> Any:
        rest = lax.fori_loop(0, i, lambda j, rest: rest - np.cos(x[(i * j) % 8]) * y[j], x[i % 8])
        return fnp.at(y)[i].set(rest / (1.5 + np.sin(x[i % 8])))

    return np.sum(lax.fori_loop(0, n, row, fnp.zeros(n + 1)) ** 2)


def eliminated(n: int, x: Any) -> Any:
    """Gauss' elimination where the matrix is: three loops."""
    a = x * np.cos(np.arange(64.0)).reshape(8, 8) + 4.0 * np.eye(8)

    def step(k: Any, a: Any) -> Any:
        def row(i: Any, a: Any) -> Any:
            a = fnp.at(a)[i, k].set(a[i, k] / a[k, k])
            return lax.fori_loop(k + 1, n, lambda j, a: fnp.at(a)[i, j].add(-0.1 * a[i, k] * a[k, j]), a)

        return lax.fori_loop(k + 1, n, row, a)

    return np.sum(lax.fori_loop(0, n, step, a) ** 2)


def halved(n: int, x: Any) -> Any:
    """Loops of lengths that nobody knows before they end, in one another."""

    def outer(state: Any) -> Any:
        k, c = state
        small = lax.while_loop(lambda v: np.any(v > 1), lambda v: v * 0.6, np.abs(c) * 9)  # a vector for each step
        product = lax.while_loop(lambda s: s[0] < k % 4, lambda s: (s[0] + 1, np.sin(s[1]) + x[k]), (0, c[0]))[1]
        return k + 1, np.sin(c) * small + product

    return np.sum(lax.while_loop(lambda s: s[0] < n, outer, (0, x[:3]))[1])


def descended(n: int, x: Any) -> Any:
    """Each step takes a gradient of a loop: its tapes are needed in that step only."""

    def loss(c: Any, i: Any) -> Any:
        return lax.fori_loop(0, i % 5, lambda j, s: np.sin(s) * x[j], c) ** 2

    return lax.fori_loop(0, n, lambda i, c: c - 0.1 * ft.grad(loss)(c, i), x[0])


def chosen(n: int, x: Any) -> Any:
    """Loops in branches of loops."""

    def row(i: Any, c: Any) -> Any:
        def long(c: Any) -> Any:
            return lax.fori_loop(0, i, lambda j, c: np.sin(c) * x[j % 8], c)

        return lax.cond(i % 3 == 0, long, lambda c: lax.fori_loop(0, 2, lambda j, c: c * x[j], c), c) + x[i % 8]

    return lax.fori_loop(0, n, row, x[0])


def parted(n: int, x: Any) -> Any:
    """Loops of lengths that nobody knows in two branches, one of them in a branch of its own, and loops in loops there."""

    def shrunk(v: Any) -> Any:
        return lax.while_loop(lambda v: np.sum(v * v) > 0.5, lambda v: v * np.cos(v) * 0.7, v)

    def step(state: Any) -> Any:
        k, v = state

        def more(v: Any) -> Any:
            v = lax.cond(k % 4 == 0, lambda v: shrunk(v * x[k]), lambda v: v - 0.5, v)
            return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, shrunk(s[1] + x[s[0]])), (0, v))[1]

        return k + 1, lax.cond(k % 2 == 0, more, shrunk, v + x[:2])

    return np.sum(lax.while_loop(lambda s: s[0] < n, step, (0, x[2:4]))[1])


def stacked(n: int, x: Any) -> Any:
    """Inner loops that leave an array for whoever comes next."""

    def row(i: Any, c: Any) -> Any:
        last, all_of_them = lax.scan(lambda c, a: (np.sin(c) * a, c * a), c, x)
        return lax.fori_loop(0, i % 8, lambda j, c: c + all_of_them[j] * last, c)

    return lax.fori_loop(0, n, row, x[0])


def scanned(n: int, x: Any) -> Any:
    """Loops of known length in one of unknown length: what they leave is an entry of its stack, and is read backwards."""

    def scan(state: Any) -> Any:
        k, s, v = state
        (s, v), seen = lax.scan(lambda c, a: ((c[0] + 0.1 * c[1][0], np.tanh(0.8 * c[1] + c[0])), c[0] * a), (s, v), x)
        return k + 1, s + seen[k % 8], v

    _, s, v = lax.while_loop(lambda state: state[0] < n, scan, (0, x[0], x[1:4]))
    return s + np.sum(v)


def mixed(n: int, x: Any) -> Any:
    """Entries of several types."""

    def row(i: Any, c: Any) -> Any:
        z = lax.while_loop(
            lambda s: (abs(s[0]) > 0.5) & (s[1] < 9),
            lambda s: (np.where(s[1] % 2 == 0, s[0] * 0.7j, s[0] * s[0] * 0.3), s[1] + np.int8(1)),
            (c + x[i % 8] * (1 + 1j), np.int8(0)),
        )[0]
        return c * 0.5 + z

    return lax.fori_loop(0, n, row, x[0] * (1 + 0j)).real


def multiplied(n: int, x: Any) -> Any:
    """Nests in the steps of loops that are not one function themselves, as products of matrices are in these."""
    matrix = np.cos(np.arange(4900.0)).reshape(70, 70) / 7

    def nest(i: Any, y: Any) -> Any:
        def row(j: Any, y: Any) -> Any:
            total = lax.fori_loop(0, j, lambda k, s: s + np.sin(y[k]) * x[k % 8], y[i])
            return fnp.at(y)[j].set(total * 0.5)

        return lax.fori_loop(0, i + 2, row, np.tanh(matrix @ y))

    y = fnp.tile(x, 9)[:70]
    return np.sum(lax.fori_loop(0, 2, lambda _, y: lax.fori_loop(0, n, nest, y) + y, y)[:9])


NESTS: list[Any] = [solved, eliminated, halved, descended, chosen, parted, stacked, scanned, mixed, multiplied]


@pytest.mark.parametrize("nest", NESTS)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_gradients_of_nests(nest: Any, data: Any) -> None:
    tier, n = data.draw(TIER), data.draw(st.integers(0, 7))
    x = np.array(data.draw(st.lists(st.floats(0.2, 1.5), min_size=8, max_size=8)))
    check(lambda x: ft.grad(lambda x: nest(n, x))(x), x, tolerance=1e-9, tier=tier)


LEAVES = {
    "number": lambda k, i, s, v, y, x: (0.8 * np.sin(s) + y[(i * 2 + k) % 9] * x[k], v, y),
    "vector": lambda k, i, s, v, y, x: (s + 0.1 * v[k % 3], np.tanh(0.7 * v + s), y),
    "element": lambda k, i, s, v, y, x: (s, v, fnp.at(y)[(i + k) % 9].set(0.5 * s + y[(i * 3) % 9])),
}
LOOPS = ["counted", "known", "while", "scan", "cond", "twice"]
PROGRAMS = st.recursive(
    st.tuples(st.sampled_from([*LEAVES]), st.integers(0, 4)),
    lambda inner: st.tuples(st.sampled_from(LOOPS), st.integers(0, 4), inner, inner),
    max_leaves=5,
)


def ran(program: Any, i: Any, state: Any, x: Any) -> Any:
    """The state after a random program: leaves, or loops and branches of two programs, with a number each."""
    kind, k, *inner = program
    if kind in LEAVES:
        return LEAVES[kind](k, i, *state, x)

    def both(i: Any, state: Any) -> Any:
        return ran(inner[1], i, ran(inner[0], i, state, x), x)

    if kind == "counted":
        return lax.fori_loop(i % 2, i % 4 + k, both, state)
    if kind == "known":
        return lax.fori_loop(0, k, both, state)
    if kind == "while":
        return lax.while_loop(lambda t: (t[0] <= k) & (t[1][0] + t[0] > 0), lambda t: (t[0] + 1, both(*t)), (i % 2, state))[1]
    if kind == "scan":
        state, seen = lax.scan(lambda t, w: (both(i + 1, t), t[0] * w), state, x[:3])
        return state[0] + seen[i % 3], *state[1:]
    if kind == "cond":
        return lax.cond((i + k) % 3 == 0, *(lambda t, p=p: ran(p, i, t, x) for p in inner), state)
    return both(i, both(i, state))


@settings(max_examples=6, deadline=None)
@given(program=PROGRAMS, tier=TIER)
def test_gradients_of_random_nests(program: Any, tier: str) -> None:
    def loss(x: Any) -> Any:
        s, v, y = lax.fori_loop(0, 3, lambda i, t: ran(program, i, t, x), (x[0], x[1:4], x[np.arange(9) % 8]))
        return s + np.sum(v) + np.sum(y * y)

    check(ft.grad(loss), X, tolerance=1e-8, tier=tier)


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("transformed", [lambda f: ft.hvp(f, X, X), lambda f: ft.vmap(ft.grad(f))(np.stack([X, X / 2]))])
def test_other_derivatives_of_nests(nest: Any, transformed: Any) -> None:
    wanted = transformed(lambda x: nest(5, x))
    with ft.config.using(backend="interpreter"):
        assert_all_close(wanted, transformed(lambda x: nest(5, x)), 1e-8)


@pytest.mark.parametrize("nest", [solved, eliminated, halved, chosen, parted])
def test_a_gradient_of_a_nest_is_two_functions(nest: Any) -> None:
    """One runs all its loops forwards, and one backwards."""
    program = native.NativeProgram(staged(ft.grad(lambda x: nest(7, x)), (X,)), fused)
    program(X)
    (binding,) = program.bindings.values()
    kinds = [type(instruction).__name__ for instruction in binding.assembled.block]
    assert kinds.count("RecurrenceRun") == 2
    assert not {"LoopRun", "WhileRun"} & {*kinds}


def test_an_index_on_a_tape_is_read_and_checked_once_a_step() -> None:
    program = native.NativeProgram(staged(ft.grad(lambda x: solved(7, x)), (X,)), fused)
    program(X)
    (binding,) = program.bindings.values()
    _, backwards = [run for run in binding.assembled.block if isinstance(run, RecurrenceRun)]
    everything = list(statements_in(backwards.recurrence.statements))
    loads = [e for s in everything if isinstance(s, Assign) for e in s.values if isinstance(e, Load)]
    fixed = [e for e in loads if e.dtype == np.int64]
    assert len(fixed) == len({*fixed})
    (inner,) = (s for s in everything if isinstance(s, Repeat) and not isinstance(s.length, Constant))
    checks = [s for s in statements_in(inner.body) if isinstance(s, Check)]
    assert len(checks) == len({(s.indices, s.extents) for s in checks})


@pytest.mark.parametrize("nest", [solved, halved, parted, multiplied])
def test_nests_that_leave_a_program(nest: Any) -> None:
    """What they leave stays as it is while others run, and is read by a program that was not there then."""
    f = ft.jit(lambda x: nest(6, x))
    points = [X, X / 2, X / 3]
    pulls = [ft.vjp(f, x)[1] for x in points]
    for _ in range(2):
        for x, pull in zip(points, pulls):
            assert_all_close(pull(1.0), ft.jit(lambda x: [ft.grad(lambda x: nest(6, x))(x)])(x), 1e-11)


def test_a_nest_of_another_size_each_time() -> None:
    """Tapes are kept from call to call, and grow."""

    def loss(x: Any, n: Any) -> Any:
        return lax.fori_loop(0, n, lambda i, c: lax.fori_loop(0, i, lambda j, c: np.sin(c) * x[j % 8], c) + x[0], x[1])

    f = ft.jit(ft.grad(loss))
    value = ft.jit(loss)
    for n in (3, 200, 0, 50, 1, 300):
        slope = (value(X + 1e-6, n) - value(X - 1e-6, n)) / 2e-6
        assert_close(np.sum(f(X, n)), slope, 1e-6)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8))
@settings(max_examples=20, deadline=None)
def test_inner_loops_of_any_lengths(lengths: list[int]) -> None:
    """What an inner loop had last is only a guess at what it will have next."""

    def loss(x: Any, lengths: Any) -> Any:
        def outer(total: Any, n: Any) -> Any:
            return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, np.sin(s[1]) * x), (0, total))[1], None

        return lax.scan(outer, x, lengths)[0]

    f = ft.jit(ft.value_and_grad(loss))
    value, slope = 1.3, 1.0
    for _ in range(sum(lengths)):
        value, slope = np.sin(value) * 1.3, np.cos(value) * slope * 1.3 + np.sin(value)
    padded = np.array(lengths + [0] * (8 - len(lengths)))
    assert_all_close(f(1.3, padded), (value, slope), 1e-12)


def test_a_gradient_from_eight_threads() -> None:
    f = ft.jit(ft.grad(power))
    args = [(np.linspace(0.1, 0.4, 3) * k, 30 * k) for k in range(1, 9)]
    wanted = [f(*own) for own in args]
    start = threading.Barrier(8)

    def many(number: int) -> None:
        start.wait()
        for _ in range(30):
            assert_all_close(f(*args[number]), wanted[number], 1e-12)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(many, range(8)))


def twice(x: Any, n: Any) -> Any:
    """The same number of steps in two loops, one in the other."""
    return lax.fori_loop(0, 2, lambda i, c: lax.fori_loop(0, n, lambda j, c: np.sin(c) * x[i], c), x[0])


@pytest.mark.parametrize("function", [power, twice])
def test_no_memory_for_a_tape(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    f = ft.jit(ft.grad(function))
    x = np.linspace(0.1, 0.4, 3)
    wanted = f(x, 10)

    class Small:
        """NumPy on a machine with little memory."""

        def empty(self, shape: Any, dtype: Any) -> Any:
            if np.prod(shape) * np.dtype(dtype).itemsize > 10_000:
                raise MemoryError
            return np.empty(shape, dtype)

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

    with monkeypatch.context() as patch:
        patch.setattr(stack, "np", Small())
        with pytest.raises(errors.OutOfMemoryError, match="what a loop keeps for its derivative"):
            f(x, 5000)
        assert_all_close(f(x, 10), wanted, 1e-13)
    assert_all_close(f(x, 10), wanted, 1e-13)


@pytest.mark.parametrize("size", [3, 100])
def test_an_error_in_a_step(size: int) -> None:
    x = np.linspace(0.1, 0.4, size)

    def loss(x: Any, n: Any) -> Any:
        return lax.fori_loop(0, n, lambda i, c: np.sin(c) * x[i], x[0])

    f = ft.jit(ft.grad(loss))
    wanted = f(x, size)
    for _ in range(3):
        with pytest.raises(IndexError):
            f(x, size + 1)
        assert_all_close(f(x, size), wanted, 1e-13)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="made for Linux")
def test_ctrl_c_while_a_tape_grows() -> None:
    def endless(x: Any) -> Any:
        return lax.while_loop(lambda c: c < 1e300, lambda c: np.sin(c) * x, x)

    f = ft.jit(ft.grad(endless))
    interrupted(lambda: f(0.5), meanwhile=lambda: time.sleep(0.4))


def test_tapes_are_given_back() -> None:
    f = ft.jit(ft.grad(power))
    x = np.linspace(0.1, 0.4, 3)
    f(x, 10)
    tracemalloc.start()
    try:
        for steps in [3_000_000, *[100] * 300]:
            f(x, steps)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 36 * 2**20
        assert tracemalloc.get_traced_memory()[1] > 40 * 2**20
    finally:
        tracemalloc.stop()
