"""Loops over many lanes: all steps of one lane as one function, against the interpreter, which runs all lanes step by
step."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.lanes import programs
from functrans.compiler.lanes.apart import candidates
from functrans.compiler.lanes.programs import one_lane_of_loop
from functrans.compiler.lanes.rules import NotLanewise
from functrans.core.avals import ShapedArray
from functrans.core.jaxpr import Jaxpr, Var, check_jaxpr, eval_jaxpr
from functrans.settings import config
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import TIERS, interpreted, natively, staged, tier

fnp = ft.numpy
LANES = 37
TOLERANCE = 1e-11


def values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(0.1, 0.9, shape)


def is_by_lane(function: Any, *args: Any) -> bool:
    """Whether a program has a loop that is run lane by lane."""
    return "lanes side by side" in str(ft.jit(function).lower(*args).kernels)


def check(function: Any, *args: Any, tolerance: float = TOLERANCE) -> None:
    """Native code, in all tiers, gives what the interpreter gives."""
    jaxpr = staged(function, args)
    wanted = interpreted(jaxpr, args)
    for name in TIERS:
        assert_all_close(natively(jaxpr, args, name), wanted, tolerance)


# ---- what a step does to a lane: a vector of three numbers, a number, and the number of the step

W = values(3, 3, seed=7)
TABLE = values(5, seed=8)
PERMUTED = np.array([3, -1, 0, 2, -4])
BY_LANE = values(LANES, 3, seed=9)


def place(s: Any, n: int) -> Any:
    """An index from the end or from the beginning, which depends on a number."""
    return fnp.clip((s * 2 * n).astype(int) - n, -n, n - 1)


STEPS: dict[str, Any] = {
    "sine": lambda v, s, i: (fnp.sin(v), s),
    "shift": lambda v, s, i: (fnp.roll(v, 1), s),
    "reverse": lambda v, s, i: (v[::-1], s + v[0]),
    "stack": lambda v, s, i: (fnp.stack([v[1], s, v[0]]), v[2]),
    "concatenate": lambda v, s, i: (fnp.concatenate([v[:1], v[1:] * s]), s),
    "pad": lambda v, s, i: (fnp.pad(v[1:], (1, 0)) + v, s),
    "product": lambda v, s, i: (W @ v / 3, s),
    "norm": lambda v, s, i: (v, fnp.sqrt(fnp.sum(v * v))),
    "largest": lambda v, s, i: (v / (1 + fnp.max(v)), s),
    "choice": lambda v, s, i: (fnp.where(v > s, v, s / (1 + v)), s),
    "outer": lambda v, s, i: (fnp.sum(v[:, None] * v[None, :], axis=0), s),
    "reshape": lambda v, s, i: (fnp.reshape(fnp.broadcast_to(v, (2, 3)), (3, 2))[:, 0], s),
    "set": lambda v, s, i: (fnp.at(v)[1].set(s), s),
    "add": lambda v, s, i: (fnp.at(v)[0].add(s), s),
    "count": lambda v, s, i: (v, s / (1 + i)),
    "table": lambda v, s, i: (v, s + TABLE[2] * fnp.asarray(TABLE)[i % 5]),
    "cumulative": lambda v, s, i: (fnp.cumsum(v[::-1]) / 3, s * fnp.cumprod(v)[1]),
    "place of the largest": lambda v, s, i: (v, s + 0.1 * fnp.argmax(v)),
    "look up": lambda v, s, i: (v, s + fnp.asarray(TABLE)[place(s, 5)]),
    "look up twice": lambda v, s, i: (v, s + fnp.asarray(TABLE)[fnp.asarray(PERMUTED)[place(s, 5)]]),
    "read": lambda v, s, i: (v, s * v[place(s, 3)]),
    "write": lambda v, s, i: (fnp.at(v)[place(s, 3)].set(s), s),
    "exchange": lambda v, s, i: (fnp.at(v)[fnp.stack([place(s, 3), -1])].set(v[::2]), s + v[place(v[0], 3)]),
    "dtype": lambda v, s, i: ((v * 3).astype(np.int32) / 4 + v, s),
    "inner loop": lambda v, s, i: (lax.fori_loop(0, 3, lambda k, v: v * 0.5 + s * k, v), s),
    "inner scan": lambda v, s, i: (v, lax.scan(lambda c, x: (c * x + 0.1, None), s, v)[0]),
    "branch": lambda v, s, i: (lax.cond(i % 2 == 0, lambda v: v + 0.1, lambda v: v * 0.9, v), s),
}  # fmt: skip


def lane_loop(kind: str, names: tuple[str, ...]) -> Any:
    """A loop of one lane: `v, s, xs -> ...`."""

    def step(v: Any, s: Any, i: Any) -> Any:
        for name in names:
            v, s = STEPS[name](v, s, i)
        return fnp.tanh(v), fnp.tanh(s)

    def scanned(v: Any, s: Any, xs: Any) -> Any:
        def body(c: Any, x: Any) -> Any:
            v, s = step(c[0] + x, c[1], c[2])
            return (v, s, c[2] + 1), (s, v[0])

        return lax.scan(body, (v, s, 0), xs, reverse=kind == "backwards")

    def counted(v: Any, s: Any, xs: Any) -> Any:
        return lax.fori_loop(0, 4, lambda i, c: step(c[0] + xs[1], c[1], i), (v, s))

    def stopped(v: Any, s: Any, xs: Any) -> Any:
        def body(c: Any) -> Any:
            return (*step(c[0] + xs[0], c[1], c[2]), c[2] + 1)

        return lax.while_loop(lambda c: (c[2] < 6) & (c[0][0] + c[1] < 1.6), body, (v, s, 0))

    return {"scan": scanned, "backwards": scanned, "fori": counted, "while": stopped}[kind]


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["scan", "backwards", "fori", "while"]),
    st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4),
    st.sampled_from(sorted(TIERS)),
)
def test_batched_loops(kind: str, names: list[str], tier_name: str) -> None:
    args = values(LANES, 3), values(LANES, seed=1), values(LANES, 5, 3, seed=2)
    jaxpr = staged(ft.vmap(lane_loop(kind, tuple(names))), args)
    assert_all_close(natively(jaxpr, args, tier_name), interpreted(jaxpr, args), TOLERANCE)


@pytest.mark.parametrize("kind", ["scan", "fori", "while"])
@pytest.mark.parametrize("name", sorted(set(STEPS) - {"table"}))
def test_what_is_run_lane_by_lane(kind: str, name: str) -> None:
    args = values(LANES, 3), values(LANES, seed=1), values(LANES, 5, 3, seed=2)
    is_branch_of_each = kind == "while" and name == "branch"
    assert is_by_lane(ft.vmap(lane_loop(kind, (name,))), *args) != is_branch_of_each


def loops_of(function: Any, *args: Any) -> list[Any]:
    simplified = ft.jit(function).lower(*args).simplified
    return [eqn for eqn in simplified.eqns if eqn.primitive.name == "scan"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4), st.integers(0, LANES - 1))
def test_the_program_of_one_lane(names: list[str], lane: int) -> None:
    """It gives what the program of all lanes gives for that lane."""
    args = values(LANES, 3), values(LANES, seed=1), values(LANES, 5, 3, seed=2)
    (eqn,) = loops_of(ft.vmap(lane_loop("scan", tuple(names))), *args)
    body, first, carry = (eqn.params[key] for key in ("body", "consts", "carry"))
    shapes = [v.aval.shape for v in body.inputs]
    axes = [0 if first <= k < first + carry and LANES in shape[:1] else None for k, shape in enumerate(shapes)]
    found = one_lane_of_loop(body, first, carry, axes, LANES, lambda jaxpr: jaxpr)
    check_jaxpr(found.jaxpr)
    given_values = [
        np.asarray(values(*a.shape, seed=k) * 3, a.dtype) if a.shape else np.asarray(k, a.dtype)[()]
        for k, a in enumerate(body.in_avals)
    ]
    parts = [np.take(np.asarray(literal.value), [lane], axis) for literal, axis in found.constants]
    parts += [x if axis is None else np.take(x, [lane], axis) for x, axis in zip(given_values, found.inputs)]
    whole, own = eval_jaxpr(body, *given_values), eval_jaxpr(found.jaxpr, *parts)
    wanted = [x if axis is None else np.take(x, [lane], axis) for x, axis in zip(whole, found.outputs)]
    assert_all_close(own, wanted, 1e-14)


# ---- lanes that have to do with each other


@pytest.mark.parametrize(
    "step",
    [
        lambda c: c - fnp.mean(c),
        lambda c: fnp.roll(c, 1) * 0.5,
        lambda c: fnp.cumsum(c) / 99,
        lambda c: c[::-1] + 0.5,
        lambda c: fnp.sort(c) * 0.9,
        lambda c: c * c[3],
        lambda c: c @ values(LANES, LANES) / LANES,
        lambda c: fnp.where(fnp.any(c > 0.8), c * 0.5, c),
        lambda c: fnp.at(c)[4].set(0.5),
        lambda c: c + fnp.arange(float(LANES)) * 1e-3,
        lambda c: fnp.reshape(fnp.stack([c, c * 2]), (-1,))[::2] * 0.9,
    ],
)  # fmt: skip
def test_what_lanes_share(step: Any) -> None:
    x = values(LANES)
    check(lambda x: lax.fori_loop(0, 5, lambda i, c: step(c), x), x)


def test_a_condition_on_all_lanes() -> None:
    x = values(LANES)
    check(lambda x: lax.while_loop(lambda c: fnp.sum(c) < 60.0, lambda c: c * 1.1, x), x)
    check(lambda x: lax.while_loop(lambda c: fnp.any(c < 3.0), lambda c: c * 1.1, x), x)
    assert not is_by_lane(lambda x: lax.while_loop(lambda c: fnp.any(c < 3.0), lambda c: c * 1.1, x), x)


def test_lanes_that_stop_on_their_own() -> None:
    """Each takes its own number of steps; what it had then stays as it is, also where further steps would give NaN."""

    def collatz(n: Any) -> Any:
        def body(c: Any) -> Any:
            n, steps = c
            return fnp.where(n % 2 == 0, n // 2, 3 * n + 1), steps + 1

        return lax.while_loop(lambda c: c[0] != 1, body, (n, 0))

    def roots(x: Any) -> Any:
        return lax.while_loop(lambda x: x > 0.5, lambda x: fnp.sqrt(x - 0.5) * 0.9, x)

    n, x = np.arange(1, 200), np.linspace(-3.0, 3.0, 200)
    assert is_by_lane(ft.vmap(collatz), n)
    check(ft.vmap(collatz), n)
    assert is_by_lane(ft.vmap(roots), x)
    check(ft.vmap(roots), x)
    check(ft.vmap(roots), x - 9.0)


# ---- inputs and results


def test_layouts_of_what_each_step_reads() -> None:
    f = lambda xs: lax.scan(lambda c, x: (0.9 * c + x, c * x), 0.0, xs)  # noqa: E731
    xs = values(LANES, 40)
    for axis, array in ((0, xs), (1, xs.T), (1, xs.T.copy()), (0, xs[:, ::-1]), (0, np.asfortranarray(xs))):
        for out in (0, 1):
            function = ft.vmap(f, in_axes=axis, out_axes=(0, out))
            assert is_by_lane(function, array)
            check(function, array, tolerance=0)


@settings(max_examples=12)
@given(lanes=st.integers(16, 41), steps=st.sampled_from([1, 2, 37, 512]), arrays=st.integers(1, 5), data=st.data())
def test_streams(lanes: int, steps: int, arrays: int, data: Any) -> None:
    """Lanes whose elements are far apart run in small blocks, with remainders, and write where results belong."""
    dtype = data.draw(st.sampled_from([np.float64, np.float32, np.complex128]))
    is_backwards = data.draw(st.booleans())
    xs = [values(lanes, steps, seed=k).astype(dtype) for k in range(arrays)]

    def step(c: Any, x: Any) -> Any:
        c = (c[1], sum(x) * fnp.asarray(0.5, dtype) - c[0])
        return c, (c[1], c[0] * x[0])[: 1 + arrays % 2]

    zero = dtype(0)
    function = ft.vmap(lambda *xs: lax.scan(step, (zero, zero), xs, reverse=is_backwards))
    check(function, *xs, tolerance=1e-4 if dtype is np.float32 else TOLERANCE)


def test_a_transposed_result_is_written_at_once() -> None:
    """If nobody else needs what each step computes; and by kernels, where it is copied from rows."""
    x, w = values(LANES, 40), values(50, 50)
    f = ft.vmap(lambda x: lax.scan(lambda c, x: (0.9 * c + x, c * x), 0.0, x)[1])
    kernels = str(ft.jit(f).lower(x).kernels)
    assert "r0 as f64[40,37]" in kernels
    assert "copy" not in kernels
    again = lambda x: (f(x), f(x).T, fnp.sum(f(x), axis=0))  # noqa: E731
    check(again, x)
    check(lambda x: (f(x), f(x) + 1.0, f(x)[::-1]), x)
    by_kernels = lambda x: lax.scan(lambda c, _: (fnp.sin(w @ c) * 0.1, c), x, None, length=4)[1].T  # noqa: E731
    check(by_kernels, values(50))
    numbers = lambda x: lax.scan(lambda c, _: (fnp.roll(c, 1) * 0.9, c), x, None, length=40)[1].T  # noqa: E731
    check(numbers, values(3), tolerance=0)
    stacked = lambda x: lax.scan(lambda c, _: (c * 0.5, fnp.stack([c, c + 1])), x, None, length=4)[1]  # noqa: E731
    check(lambda x: stacked(x).transpose(1, 2, 0), values(20), tolerance=0)
    inner = lambda x: lax.fori_loop(0, 3, lambda i, x: f(x), x)  # noqa: E731
    check(inner, x)
    donated = ft.jit(lambda x: f(x) + 0 * x, donate_argnums=0)
    assert_all_close([donated(x.copy())], [f(x)], TOLERANCE)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.complex128, np.int32, np.uint8, np.bool_])
def test_types(dtype: Any) -> None:
    x = (values(LANES, 70) * 5).astype(dtype)
    check(lambda x: lax.scan(lambda c, x: (x, c), x[:, 0], x.T), x, tolerance=0)
    if dtype != np.bool_:
        check(ft.vmap(lambda x: lax.scan(lambda c, x: (c + x, c * x), x[0], x)), x, tolerance=1e-3)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers_of_lanes_are_kept_in_two_arrays(dtype: Any) -> None:
    """Vectors of lanes are vectors of real parts and of imaginary ones, for functions of vectors too."""
    c = (values(LANES, seed=1) - 1.5 + 1j * values(LANES, seed=2)).astype(dtype)

    def escape(c: Any) -> Any:
        body = lambda s: (s[0] * s[0] + c, s[1] + 1)  # noqa: E731
        return lax.while_loop(lambda s: (np.abs(s[0]) < 2) & (s[1] < 8), body, (c, 0))

    lowered = ft.jit(ft.vmap(escape)).lower(c)
    assert is_by_lane(ft.vmap(escape), c)
    number = {np.complex64: "float", np.complex128: "double"}[dtype]
    assert f"x {number}], align 64" in lowered.llvm
    assert f"x {{{number}, {number}}}]" not in lowered.llvm
    check(ft.vmap(escape), c, tolerance=1e-3 if dtype is np.complex64 else TOLERANCE)


def test_lanes_along_another_axis() -> None:
    """The longest axis of the state, where the first one is short."""
    x = values(3, 300)
    step = lambda c: fnp.stack([c[1], c[2], c[0] * 0.5])  # noqa: E731
    function = lambda x: lax.fori_loop(0, 9, lambda i, c: step(c), x)  # noqa: E731
    assert is_by_lane(function, x)
    check(function, x, tolerance=0)


def test_constants_of_lanes() -> None:
    x = values(LANES, 3)
    function = lambda x: lax.fori_loop(0, 4, lambda i, c: c * BY_LANE + 1.0, x)  # noqa: E731
    assert is_by_lane(function, x)
    check(function, x, tolerance=0)


def test_what_is_the_same_for_all_lanes() -> None:
    """It is computed, carried and delivered too, where the caller's array may be overwritten with it."""

    def function(x: Any, t: Any) -> Any:
        def body(c: Any, _: Any) -> Any:
            x, t = c
            return (x * fnp.sum(t), t / (1 + fnp.sum(t))), t

        return lax.scan(body, (x, t), None, length=6)

    x, t = values(600), values(4)
    assert is_by_lane(function, x, t)
    check(function, x, t)
    donated = ft.jit(function, donate_argnums=(0, 1))
    assert_all_close(ft.tree.leaves(donated(x.copy(), t.copy())), ft.tree.leaves(function(x, t)), TOLERANCE)


#: What a step does with a state, some arrays that it reads, the results of the step, and the number of an array.
USES: dict[str, Any] = {
    "changed": lambda c, us, ys, k: us.__setitem__(k, fnp.sin(us[k])),
    "joined": lambda c, us, ys, k: us.__setitem__(k, us[k] * us[k - 1]),
    "by lane": lambda c, us, ys, k: c.append(c[-1] * 0.5 + us[k]),
    "as a whole": lambda c, us, ys, k: c.append(c[-1] * 0.5 + fnp.sum(us[k]) / LANES),
    "handed on": lambda c, us, ys, k: ys.append(us[k]),
}  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(USES)), st.integers(0, 2)), min_size=1, max_size=8))
def test_inputs_turn_out_to_have_lanes(uses: list[tuple[str, int]]) -> None:
    """After they, or what has been made of them, were the same for all lanes, or are so nevertheless."""

    def step(c: Any, xs: Any) -> Any:
        states, ys, us = [c], [c], [*xs]
        for name, k in uses:
            USES[name](states, us, ys, k)
        return states[-1], tuple(ys)

    args = values(LANES), tuple(values(4, LANES, seed=k) for k in range(3))
    jaxpr = staged(lambda c, xs: lax.scan(step, c, xs), args)
    leaves = ft.tree.leaves(args)
    assert_all_close(natively(jaxpr, leaves, "thorough"), interpreted(jaxpr, leaves), TOLERANCE)


@pytest.mark.parametrize("count", [1, 40])
def test_many_inputs_take_few_walks(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What residuals a gradient's loop reads is found in the same walks, however many there are."""
    walks: list[Any] = []
    run = programs._Program.run
    monkeypatch.setattr(programs._Program, "run", lambda self: (walks.append(self), run(self))[1])

    def step(c: Any, xs: Any) -> Any:
        for x in xs:
            c = c * 0.5 + fnp.sin(x)
        return c, c

    function = lambda c, xs: lax.scan(step, c, xs)  # noqa: E731
    assert is_by_lane(function, values(LANES), tuple(values(3, LANES, seed=k) for k in range(count)))
    assert len(walks) <= 2


def test_much_that_is_made_of_one_input() -> None:
    """One after the other, more often than Python would call functions one inside the other."""

    def step(c: Any, x: Any) -> Any:
        for _ in range(600):
            x = fnp.sin(x)
        return c * 0.5 + x, c

    check(lambda c, xs: lax.scan(step, c, xs), values(LANES), values(2, LANES))


def test_lanes_are_looked_for_once() -> None:
    """Along the first axis and the last one, where these are two."""
    shapes = (LANES,), (LANES, 5), (5, LANES)
    inputs = [[Var(ShapedArray(shape, np.dtype(np.float64))) for shape in some] for some in (shapes[:1], shapes)]
    assert [size for size, _ in candidates(Jaxpr(inputs[0], [], []), 0, 1)] == [LANES]
    assert [axes for _, axes in candidates(Jaxpr(inputs[1], [], []), 0, 3)] == [[0, 0, None], [0, None, 1]]


def test_states_that_change_places() -> None:
    x, y = values(300), values(300, seed=1)
    check(lambda x, y: lax.fori_loop(0, 5, lambda i, c: (c[1], c[0] * 0.5), (x, y)), x, y, tolerance=0)


def test_derivatives() -> None:
    def lorenz(s: Any) -> Any:
        x, y, z = s
        return fnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    def end(s: Any) -> Any:
        return lax.scan(lambda s, _: (s + 0.01 * lorenz(s), s[0]), s, None, length=20)

    def loss(s: Any) -> Any:
        (last, path) = ft.vmap(end)(s)
        return fnp.sum(last**2) + fnp.sum(path)

    s = values(LANES, 3)
    check(ft.grad(loss), s)
    listing = str(ft.jit(ft.grad(loss)).lower(s).kernels)
    assert listing.count("lanes side by side") == 2
    check(lambda s: ft.jvp(loss, (s,), (s,)), s)
    check(lambda s: ft.jvp(ft.grad(loss), (s,), (s,)), s)


def test_a_tape_that_would_be_read_by_lane() -> None:
    def loss(x: Any) -> Any:
        def step(y: Any, _: Any) -> Any:
            squares = lambda _, y: np.sum(y) ** 2 * np.ones(3)  # noqa: E731
            found = ft.vmap(lambda n, y: lax.fori_loop(0, n, squares, y))(np.zeros(24, int), np.ones((24, 3)) * y)
            return found[0, 0], None

        return lax.scan(step, x, None, 2, checkpoint=True)[0]

    check(ft.vmap(ft.grad(loss)), values(17))


def test_a_loop_in_a_loop_of_lanes() -> None:
    """Products of small matrices and solutions of recurrences inside each step."""

    def step(c: Any, a: Any) -> Any:
        c = lax.fori_loop(0, 4, lambda i, c: c + 0.1 * (a @ c) / (1 + i), c)
        return c, fnp.sum(c)

    function = ft.vmap(lambda c, a: lax.scan(step, c, a))
    args = values(LANES, 3), values(LANES, 6, 3, 3)
    assert is_by_lane(function, *args)
    check(function, *args)


def test_tables_read_by_lanes() -> None:
    """Indices are checked, with the user's line in the error."""

    def function(i: Any) -> Any:
        return lax.fori_loop(0, 5, lambda _, c: (c[0] + 1, c[1] + fnp.asarray(TABLE)[c[0]]), (i, 0.0))

    i = np.zeros(LANES, int)
    assert is_by_lane(ft.vmap(function), i)
    check(ft.vmap(function), i)
    with pytest.raises(IndexError, match="Index 5 is out of bounds"):
        ft.jit(ft.vmap(function))(i + np.arange(LANES) // 36)


def walk(following: Any, values: Any, first: Any) -> Any:
    """Go from row to row of a table until one says so; add up what is there at a place that each step says."""

    def step(c: Any) -> Any:
        row, total = c
        return following[row], total + values[row, row // 2]

    return lax.while_loop(lambda c: c[1] < 3.0, step, (first, 0.0))


def walk_arguments(lanes: int) -> list[Any]:
    following = np.random.default_rng(3).permutation(20)
    return [following, values(20, 10), np.arange(lanes) % 20]


def test_lanes_that_go_their_own_way() -> None:
    function = ft.vmap(walk, in_axes=(None, None, 0))
    assert is_by_lane(function, *walk_arguments(LANES))
    check(function, *walk_arguments(LANES))


def test_rows_of_lanes_read_at_indices_of_their_own() -> None:
    """As a decision does that asks for a feature of a sample."""

    def decide(features: Any, x: Any) -> Any:
        step = lambda c: (fnp.where(x[features[c[0]]] < 0.5, 2 * c[0] + 1, 2 * c[0] + 2), c[1] + x[0])  # noqa: E731
        return lax.while_loop(lambda c: c[0] < 15, step, (0, 0.0))

    args = np.arange(15) % 4, values(LANES, 4)
    function = ft.vmap(decide, in_axes=(None, 0))
    assert is_by_lane(function, *args)
    check(function, *args)


@settings(max_examples=15, deadline=None)
@given(st.integers(16, 700), st.data())
def test_indices_that_one_lane_has_wrong(lanes: int, data: Any) -> None:
    """Whichever lane it is, whoever runs it: the error names the index; afterwards all is as before."""
    bad = data.draw(st.integers(0, lanes - 1))
    at, number = data.draw(st.integers(0, 19)), data.draw(st.sampled_from([20, -21, 10**6, -(2**62)]))
    following, table, first = walk_arguments(lanes)
    wrong = first.copy()
    wrong[bad] = number
    with tier(data.draw(st.sampled_from(["quick", "thorough", "threads"]))):
        compiled = ft.jit(ft.vmap(walk, in_axes=(None, None, 0)))
        wanted = compiled(following, table, first)
        with pytest.raises(IndexError, match=f"Index {number} is out of bounds"):
            compiled(following, table, wrong)
        changed = following.copy()
        changed[at] = number
        if at in first:
            with pytest.raises(IndexError, match=f"Index {number} is out of bounds"):
                compiled(changed, table, first)
        assert_all_close(compiled(following, table, first), wanted)


def test_an_index_that_all_lanes_have_wrong() -> None:
    """One that is the same for all of them, so that it is checked once for a block."""

    def function(n: Any, x: Any) -> Any:
        return lax.fori_loop(0, n, lambda i, s: fnp.sin(s) + fnp.asarray(TABLE)[2 * i], x)

    compiled, x = ft.jit(ft.vmap(function, in_axes=(None, 0))), values(LANES)
    assert is_by_lane(ft.vmap(function, in_axes=(None, 0)), 3, x)
    check(ft.vmap(function, in_axes=(None, 0)), 3, x)
    with pytest.raises(IndexError, match="Index 6 is out of bounds"):
        compiled(5, x)
    assert_all_close([compiled(0, x)], [x])


def test_inside_other_programs() -> None:
    """Loops of lanes in loops that are not, in branches, and under other transformations."""
    x = values(LANES, 3)
    inner = ft.vmap(lambda c: lax.fori_loop(0, 5, lambda i, c: fnp.sin(c) + 0.1, c))
    check(lambda x: lax.fori_loop(0, 3, lambda i, x: inner(x) - fnp.mean(x), x), x)
    check(lambda x, k: lax.cond(k, inner, fnp.cos, x), x, True)
    check(ft.vmap(inner), values(2, LANES, 3))
    check(ft.vmap(ft.vmap(lambda c: lax.fori_loop(0, 5, lambda i, c: c * c, c))), values(20, 40))


# ---- how it runs


def test_the_number_of_threads_changes_nothing() -> None:
    x = values(1000, 3)
    f = ft.vmap(lambda c: lax.fori_loop(0, 9, lambda i, c: c * c + 0.1, c))
    results = []
    for count in (1, 2, 4):
        with tier("threads"), config.using(threads=count):
            results.append(ft.jit(lambda x: f(x) + 0)(x))
    assert all(np.array_equal(results[0], y) for y in results[1:])


def interrupted(function: Any, *args: Any) -> None:
    """See that a call that does not end by itself can be interrupted."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            function(*args)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["thorough", "threads"])
def test_a_loop_of_lanes_can_be_interrupted(name: str) -> None:
    """Also one that never ends by itself."""
    function = ft.vmap(lambda x: lax.while_loop(lambda c: c[0] < 2.0, lambda c: (c[0] * 1.0, c[1] + 1), (x, 0)))
    x = values(LANES)
    with tier(name):
        compiled = ft.jit(function)
        assert_all_close(compiled(x + 2.0), [x + 2.0, np.zeros(LANES, int)])
        interrupted(compiled, x)
        assert_all_close(compiled(x + 2.0), [x + 2.0, np.zeros(LANES, int)])


@pytest.mark.parametrize("name", ["thorough", "threads"])
def test_streams_can_be_interrupted(name: str) -> None:
    def function(x: Any, rows: Any, n: Any) -> Any:
        step = lambda row: lambda i, x: lax.scan(lambda x, r: (x * r, None), x, row)[0]  # noqa: E731
        return ft.vmap(lambda x, row: lax.fori_loop(0, n, step(row), x))(x, rows)

    x, rows = values(LANES), values(LANES, 50)
    assert is_by_lane(function, x, rows, 3)
    with tier(name):
        compiled = ft.jit(function)
        assert_all_close([compiled(x, rows, 3)], [x * np.prod(rows, axis=1) ** 3], TOLERANCE)
        interrupted(compiled, x, rows, 10**12)
        assert_all_close([compiled(x, rows, 3)], [x * np.prod(rows, axis=1) ** 3], TOLERANCE)


def test_what_a_reader_is_told() -> None:
    x = values(LANES, 3)
    function = ft.vmap(lambda c: lax.fori_loop(0, 5, lambda i, c: c * c, c))
    assert f"Its {LANES} lanes have nothing to do with each other" in str(ft.explain(function, x))
    few = values(4, 3)
    assert not is_by_lane(function, few)
    (eqn,) = loops_of(lambda x: lax.fori_loop(0, 5, lambda i, c: c - fnp.mean(c), x), values(LANES))
    with pytest.raises(NotLanewise):
        one_lane_of_loop(eqn.params["body"], 0, 1, [0], LANES, lambda jaxpr: jaxpr)
