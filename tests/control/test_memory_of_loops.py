"""What loops keep for their derivatives: residuals, states, and how often a step is run again."""

from __future__ import annotations

import gc
import tracemalloc
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.control.loop import merge
from functrans.control.schedule import reversed_segments, split_point
from functrans.control.segments import rows_for, schedule
from functrans.core.avals import ShapedArray, StackAval
from functrans.core.jaxpr import Jaxpr, eval_jaxpr, sub_jaxprs
from functrans.core.stack import BLOCK_BYTES, Stack
from functrans.transforms.partial_eval import partial_eval_jaxpr

W = np.random.default_rng(3).normal(size=(4, 4)) * 0.3
XS = np.random.default_rng(4).normal(size=(6, 4))


def loops(jaxpr: Jaxpr) -> list[Any]:
    """All equations that are scans, at any depth."""
    found = []
    for eqn in jaxpr.eqns:
        found += [eqn] if eqn.primitive.name == "scan" else []
        found += [inner for sub in sub_jaxprs(eqn) for inner in loops(sub)]
    return found


def stacked_by_the_forward_loop(function: Any, *args: Any) -> list[str]:
    """The types of what the first loop of a gradient collects."""
    first, *_ = loops(ft.make_jaxpr(ft.grad(function))(*args))
    return [str(v.aval) for v in first.outputs[first.params["carry"] :]]


def test_constants_are_no_residuals() -> None:
    def loss(c: Any) -> Any:
        return np.sum(lax.scan(lambda c, x: (np.cos(W) @ c * x, None), c, XS)[0])

    # The body is linear in c: what the derivative needs is W and the rows of XS, and those are there already.
    assert stacked_by_the_forward_loop(loss, np.ones(4)) == []


def test_what_does_not_change_is_computed_once() -> None:
    def loss(w: Any) -> Any:
        return np.sum(lax.scan(lambda c, x: (np.tanh(np.sin(w) @ c), None), np.ones(4), XS)[0])

    # The state and the tanh of each step; neither w nor sin(w) nor cos(w), which are 4 x 4.
    assert set(stacked_by_the_forward_loop(loss, W)) == {"f64[6,4]"}


def test_inputs_are_not_collected_again() -> None:
    def loss(xs: Any) -> Any:
        return np.sum(lax.scan(lambda c, x: (c + x**2, None), np.zeros(4), xs)[0])

    kept = stacked_by_the_forward_loop(loss, XS)
    assert len(kept) <= 1


def test_a_result_that_is_a_residual_is_kept_once() -> None:
    def loss(c: Any) -> Any:
        c, ys = lax.scan(lambda c, x: (np.tanh(c + x),) * 2, c, XS)
        return np.sum(ys) + np.sum(c)

    assert len(stacked_by_the_forward_loop(loss, np.ones(4))) <= 2


CHOICES = {
    "extreme": (lambda c, x: np.maximum(c, x * 0.5), ["bool[6,4]"] * 2),
    "where": (lambda c, x: np.where(x > 0, c, -c), ["bool[6,4]"]),
    "two extremes": (lambda c, x: np.minimum(c, 0.3) + np.maximum(c, x), ["bool[6,4]"] * 4),
    "product": (lambda c, x: c * c, ["f64[6,4]"]),
}


@pytest.mark.parametrize("name", CHOICES)
def test_what_is_made_of_a_boolean_is_not_kept_beside_it(name: str) -> None:
    step, kept = CHOICES[name]

    def loss(c: Any) -> Any:
        return np.sum(lax.scan(lambda c, x: (step(c, x), None), c, XS)[0])

    def steps(c: Any) -> Any:
        for x in XS:
            c = step(c, x)
        return np.sum(c)

    c = np.array([0.5, -0.25, 0.0, 1.0])
    assert sorted(stacked_by_the_forward_loop(loss, c)) == sorted(kept)
    for derivative in (ft.grad, ft.hessian):
        for found in (derivative(loss), ft.jit(derivative(loss))):
            np.testing.assert_allclose(found(c), derivative(steps)(c), rtol=1e-13)


@given(unknown=st.tuples(*[st.booleans()] * 3), forced=st.booleans())
def test_halves_of_a_program_make_the_whole(unknown: tuple[bool, ...], forced: bool) -> None:
    def function(x: Any, y: Any, n: Any) -> Any:
        is_larger = x > y
        place = np.where(is_larger, n * 2, n + 1)
        return np.where(is_larger, x, y) * place, np.maximum(x, y) * np.minimum(x, y), place - n

    args = np.array([1.0, 2.0, 0.0]), np.array([2.0, 1.0, 0.0]), np.array([1, 2, 3])
    jaxpr = ft.make_jaxpr(function)(*args)
    known, rest, out_unknown = partial_eval_jaxpr(jaxpr, unknown, (False, forced, False))
    results = eval_jaxpr(known, *(x for x, is_unknown in zip(args, unknown) if not is_unknown))
    count = out_unknown.count(False)
    others = eval_jaxpr(rest, *results[count:], *(x for x, is_unknown in zip(args, unknown) if is_unknown))
    found = merge(results[:count], others, out_unknown)
    for y, wanted in zip(found, eval_jaxpr(jaxpr, *args), strict=True):
        np.testing.assert_array_equal(y, wanted)


MOVES = {
    "roll": lambda x: np.roll(x, 1),
    "back": lambda x: np.roll(x, -1),
    "reversed": lambda x: x[::-1],
    "turned": lambda x: x.reshape(2, 2).T.reshape(4),
    "shifted": lambda x: np.concatenate([np.zeros(1), x[:-1]]),
    "repeated": lambda x: np.broadcast_to(x[:, None], (4, 3)).reshape(12)[::3],
}


@settings(max_examples=10)
@given(st.lists(st.sampled_from(sorted(MOVES)), min_size=1, max_size=3, unique=True))
def test_what_only_moves_elements_is_not_kept_beside_them(names: list[str]) -> None:
    def step(c: Any, x: Any) -> Any:
        for name in names:
            x = x + MOVES[name](c) * c
        return x, None

    def unrolled(c: Any) -> Any:
        for x in XS:
            c, _ = step(c, x)
        return np.sum(c)

    loss = lambda c: np.sum(lax.scan(step, c, XS)[0])  # noqa: E731
    c = np.array([0.1, -0.2, 0.3, 0.4])
    assert stacked_by_the_forward_loop(loss, c) == ["f64[6,4]"]  # the states alone
    np.testing.assert_allclose(ft.grad(loss)(c), ft.grad(unrolled)(c), rtol=1e-12)


# ---- few states


class Counter:
    """Counts the steps that are run, and the most states held at a time."""

    def __init__(self, length: int, slots: int):
        self.advanced = 0
        order = []
        for begin, state, end in reversed_segments(self.advance, 0, length, slots):
            assert state == begin  # the state of a step is its number here
            order += range(begin, end)[::-1]
            self.advanced += end - begin - 1  # all its states are kept
        assert order == list(range(length - 1, -1, -1))

    def advance(self, state: int, begin: int, end: int) -> int:
        assert state == begin
        self.advanced += end - begin
        return end


@cache
def fewest_steps(length: int, slots: int) -> int:
    """The least number of steps to run again, by trying every place for the next state."""
    if length <= 1:
        return 0
    if slots == 1:
        return length * (length - 1) // 2
    return min(
        middle + fewest_steps(length - middle, slots - 1) + fewest_steps(middle, slots) for middle in range(1, length)
    )


@pytest.mark.parametrize("slots", range(1, 7))
def test_no_schedule_runs_fewer_steps(slots: int) -> None:
    for length in range(60):
        assert Counter(length, slots).advanced == fewest_steps(length, slots)


@given(st.integers(1, 10**6), st.integers(1, 40))
def test_a_split_leaves_something_on_both_sides(length: int, slots: int) -> None:
    if length > 1:
        assert 0 < split_point(length, slots) < length


@pytest.mark.parametrize("slots", [1, 2, 4, 9, 150])
def test_few_states_are_kept(slots: int) -> None:
    alive: set[int] = {0}

    def advance(state: int, begin: int, end: int) -> int:
        alive.add(end)
        return end

    for begin, state, end in reversed_segments(advance, 0, 100, slots):
        assert len(alive | set(range(begin, end))) <= slots + 1  # where no slot is free, a state is passed on at once
        alive.discard(state)
        if slots == 1:
            alive.add(0)


@given(st.integers(0, 300), st.integers(1, 60))
def test_a_schedule_finds_each_state_in_its_row(length: int, slots: int) -> None:
    rows: list[Any] = [None] * rows_for(length, slots)
    rows[0] = 0
    reversed_steps: list[int] = []
    for begin, row, steps in zip(*schedule(length, slots)):
        assert rows[row] == begin
        if steps < 0:
            rows[row + 1] = begin - steps
            continue
        for k in range(1, steps):
            rows[row + k] = begin + k
        reversed_steps += range(begin, begin + steps)[::-1]
    assert reversed_steps == list(range(length))[::-1]


def test_a_sweep_of_a_known_length_is_all_native() -> None:
    def loss(c: Any, x: Any) -> Any:
        c, ys = lax.scan(lambda c, x: (np.tanh(c * x), np.sum(np.sin(c))), c, x, checkpoint=2)
        return np.sum(c) + np.sum(ys)

    assert "in Python" not in str(ft.explain(ft.grad(loss, argnums=(0, 1)), np.ones(4), XS))


@pytest.mark.parametrize("is_reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 17])
@pytest.mark.parametrize("slots", [1, 2, 3, 8, 100])
def test_few_states_are_enough(slots: int, length: int, is_reverse: bool) -> None:
    xs = np.random.default_rng(length).normal(size=(length, 3))

    def loss(c: Any, w: Any, x: Any, **options: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            return np.tanh(w @ c + x), np.sin(c[0] * x)

        c, ys = lax.scan(step, c, x, reverse=is_reverse, **options)
        return np.sum(c) + np.sum(ys * np.cos(ys))

    args = np.ones(3), W[:3, :3], xs
    for how in (lambda f: f, ft.jit):
        found = how(ft.grad(lambda *args: loss(*args, checkpoint=slots), argnums=(0, 1, 2)))(*args)
        for x, y in zip(found, ft.grad(loss, argnums=(0, 1, 2))(*args)):
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14)


def test_a_loop_with_few_states_collects_nothing() -> None:
    def loss(c: Any) -> Any:
        return np.sum(lax.scan(lambda c, x: (np.tanh(c * x), None), c, XS, checkpoint=2)[0])

    assert stacked_by_the_forward_loop(loss, np.ones(4)) == []


def test_a_loop_that_recomputes_keeps_its_carry() -> None:
    def loss(c: Any) -> Any:
        return np.sum(lax.scan(lambda c, x: (np.tanh(np.sin(np.cos(c * x))), None), c, XS, checkpoint=True)[0])

    assert stacked_by_the_forward_loop(loss, np.ones(4)) == ["f64[6,4]"]


@pytest.mark.parametrize(
    "options",
    [{"checkpoint": 0}, {"checkpoint": -2}, {"checkpoint": "few"}, {"budget": 0}, {"budget": 3.5}, {"budget": 31}],
)
def test_what_cannot_be_kept(options: Any) -> None:
    with pytest.raises(ValueError, match="checkpoint is|budget"):
        lax.scan(lambda c, _: (c, None), np.ones(4), None, length=3, **options)


def test_a_budget_and_a_number_of_states() -> None:
    with pytest.raises(TypeError, match="not both"):
        lax.while_loop(lambda c: c < 1, lambda c: c + 1, 0.0, budget=100, checkpoint=2)


# ---- measured


CARRY = np.linspace(0.1, 1.0, 8_000)
#: What a step of such a loop works with, its program, and tables of the Python interpreter that grow just then (by 2 MB).
CONSTANT = 4 * 2**20
#: What tracing takes besides, and kernels that are compiled again because their program is another one.
TRACING = 4 * 2**20


def plain_gradient(loss: Any, c: Any) -> Any:
    return ft.grad(loss)(c)


def hessian_times_c(loss: Any, c: Any) -> Any:
    return ft.hvp(loss, c, c)


def peak_of(derivative: Any, steps: int) -> int:
    """Bytes that a derivative of a loop takes at the worst moment of a second call, and keeps from the first one.

    A compiled program may hold on to its memory between calls, so that counting begins before the first one. What
    that takes for a moment, to trace and compile, does not count; nor what a loop of three steps has brought about.
    """
    derivative(3)(CARRY)
    function = derivative(steps)
    gc.collect()
    tracemalloc.start()
    try:
        function(CARRY)
        gc.collect()
        tracemalloc.reset_peak()
        function(CARRY)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def repeated_by_while_loop(step: Any, c: Any, n: int, **options: Any) -> Any:
    return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, step(s[1])), (0, c), **options)[1]


def repeated_by_scan(step: Any, c: Any, n: int, **options: Any) -> Any:
    return lax.scan(lambda c, _: (step(c), None), c, None, length=n, **options)[0]


def derivative_of(loop: Any, derivative: Any, wrap: Any = ft.jit, **options: Any) -> Any:
    """For a number of steps: a derivative of such a loop, as a function of the carry that it begins with."""

    def for_steps(steps: int) -> Any:
        def loss(c: Any) -> Any:
            return np.sum(loop(lambda c: np.sin(c) * 1.1, c, steps, **options))

        return wrap(lambda c: derivative(loss, c))

    return for_steps


every_loop = pytest.mark.parametrize("loop", [repeated_by_while_loop, repeated_by_scan])


@every_loop
@pytest.mark.parametrize(("derivative", "steps"), [(plain_gradient, 1_000), (hessian_times_c, 500)])
def test_a_derivative_keeps_to_its_budget(loop: Any, derivative: Any, steps: int) -> None:
    budget, everything = 50 * CARRY.nbytes, steps * CARRY.nbytes
    peak = peak_of(derivative_of(loop, derivative, budget=budget), steps)
    assert peak < budget + CONSTANT < everything / 3


@every_loop
def test_a_logarithm_of_the_steps_is_enough(loop: Any) -> None:
    peak = peak_of(derivative_of(loop, plain_gradient, checkpoint="log"), 1_000)
    assert peak < 12 * CARRY.nbytes + CONSTANT


@every_loop
@pytest.mark.parametrize("steps", [200, 1_000])
def test_a_plain_gradient_keeps_one_array_a_step(loop: Any, steps: int) -> None:
    residuals = steps * CARRY.nbytes  # cos(c), and nothing twice
    assert residuals < peak_of(derivative_of(loop, plain_gradient), steps) < residuals + CONSTANT + BLOCK_BYTES


@every_loop
def test_bounds_hold_without_jit_too(loop: Any) -> None:
    budget, everything = 10 * CARRY.nbytes, 1_000 * CARRY.nbytes
    peak = peak_of(derivative_of(loop, plain_gradient, lambda f: f, budget=budget), 1_000)
    assert peak < budget + CONSTANT + TRACING < everything / 3


@pytest.mark.parametrize("entry", [ShapedArray((), np.dtype(float)), ShapedArray((3, 50), np.dtype(float))])
def test_a_stack_grows_without_moving_what_it_holds(entry: ShapedArray) -> None:
    stack = Stack(StackAval(entry))
    first = None
    values = np.random.default_rng(0).normal(size=(5_000, *entry.shape))
    for value in values:
        stack.append(value)
        first = stack.blocks[0] if first is None else first
    assert stack.blocks[0] is first
    assert first.nbytes >= 2048  # a new block takes longer than a few steps
    assert all(block.nbytes <= BLOCK_BYTES for block in stack.blocks)
    assert sum(block.nbytes for block in stack.blocks) <= values.nbytes + min(BLOCK_BYTES, values.nbytes)
    np.testing.assert_array_equal([stack[i] for i in range(len(values))], values)


def test_stacks_that_grew_otherwise_are_added_entry_by_entry() -> None:
    aval = StackAval(ShapedArray((2,), np.dtype(float)))
    grown, made = Stack(aval), Stack(aval, 1_000)
    for i in range(1_000):
        grown.append(np.full(2, float(i)))
        made[i] = np.array([1.0, 2.0])
    total = grown + made
    np.testing.assert_array_equal([total[i] for i in (0, 15, 16, 999)], [[1, 2], [16, 17], [17, 18], [1000, 1001]])


def test_stacks_of_stacks_are_added() -> None:
    inner = StackAval(ShapedArray((), np.dtype(float)))
    outer = Stack(StackAval(inner))
    for length in range(20):
        entry = Stack(inner)
        for i in range(length):
            entry.append(float(i))
        outer.append(entry)
    total = outer + outer
    assert [total[19][i] for i in range(19)] == [2.0 * i for i in range(19)]
    assert total[0].length == 0
