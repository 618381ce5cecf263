"""What is known of integers: intervals against all numbers in them, and checks that are left out, but no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functrans.compiler.intervals import OPERATIONS, Interval, full, interval_of, join, simpler
from functrans.compiler.loopnest import BOOL, INT, Affine, Apply, Constant, Expression, Load, Register, constant, parts
from functrans.compiler.ranges import narrowed
from functrans.compiler.recurrence import Assign, Check, Choose, Failure, Repeat, Statement, Store, statements_in

I1 = np.dtype(np.int8)
#: Operations under other names than NumPy's functions.
OTHERS: dict[str, Callable[..., Any]] = {
    "select": np.where, "convert": lambda x: x, "not_equal": np.not_equal, "fmod": np.fmod,
}  # fmt: skip
UNARY = {"negative", "positive", "convert", "absolute", "square", "logical_not"}
COMPARISONS = {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"}
LOGICAL = {"logical_and", "logical_or", "logical_not"}
COUNTER, K, L, NUMBER = Register(0, INT), Register(1, INT), Register(2, INT), Register(3, INT)
UNKNOWN = Load(0, (Affine(0, ()),), INT)
FAILURE = Failure(None, (), "gather", None)


def computed(expression: Expression, values: dict[Expression, Any]) -> Any:
    """The value of an expression by those of its registers and loads."""
    if isinstance(expression, Constant):
        return expression.number
    if not isinstance(expression, Apply):
        return values[expression]
    function = OTHERS.get(expression.operation) or getattr(np, expression.operation)
    with np.errstate(all="ignore"):
        return np.asarray(function(*(computed(x, values) for x in expression.operands))).astype(expression.dtype)


def numbers_in(expression: Apply, intervals: Sequence[Interval]) -> list[Any]:
    """All combinations of numbers in the intervals of the operands, in 64 bits."""
    dtypes = [BOOL if x.dtype == BOOL else INT for x in expression.operands]
    axes = [np.arange(low, high + 1).astype(dtype) for (low, high), dtype in zip(intervals, dtypes)]
    return np.meshgrid(*axes, indexing="ij")


def is_exact(operation: str, intervals: Sequence[Interval]) -> bool:
    """Whether the interval of an operation is to have no other numbers than there are, if all of these fit."""
    if operation == "remainder":
        return intervals[0][0] >= 0 and intervals[0][1] < intervals[1][0]
    if operation == "floor_divide":
        return intervals[1][0] > 0
    return operation not in ("bitwise_and", "select")


# ---- intervals


@st.composite
def applications(draw: st.DrawFn) -> tuple[Apply, list[Interval]]:
    """An operation on registers of eight bits, or booleans, and intervals for these."""
    name = draw(st.sampled_from(sorted(OPERATIONS)))
    count = 3 if name == "select" else 1 if name in UNARY else 2
    dtypes = [BOOL if name in LOGICAL or (name == "select" and k == 0) else I1 for k in range(count)]
    bounds = [(0, 1) if dtype == BOOL else draw(st.sampled_from([(-6, 6), (-128, 127)])) for dtype in dtypes]
    if name == "select":
        bounds = [(max(low, -20), min(high, 20)) for low, high in bounds]
    ends = [sorted(draw(st.tuples(st.integers(*b), st.integers(*b)))) for b in bounds]
    result = BOOL if name in COMPARISONS | LOGICAL else I1
    operands = tuple(Register(k, dtype) for k, dtype in enumerate(dtypes))
    return Apply(name, operands, result), [(low, high) for low, high in ends]


@settings(max_examples=150)
@given(case=applications())
def test_an_interval_is_that_of_all_numbers_in_the_operands(case: tuple[Apply, list[Interval]]) -> None:
    expression, intervals = case
    dtype, operands = expression.dtype, dict(zip(expression.operands, numbers_in(expression, intervals)))
    values = computed(expression, operands)
    found = interval_of(expression, intervals)
    assert found is not None
    assert found[0] <= values.min()
    assert values.max() <= found[1]
    wide = values if dtype == BOOL else computed(expression._replace(dtype=INT), operands)
    if is_exact(expression.operation, intervals) and full(dtype) == join(full(dtype), (wide.min(), wide.max())):
        assert found == (wide.min(), wide.max())
    better = simpler(expression, intervals, found)
    if better is not None:
        np.testing.assert_array_equal(computed(better, operands), values)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_an_extreme_that_is_known_is_the_operand(name: str) -> None:
    for low, high in ((0, 2), (-3, 2), (2, 2), (0, 3)):
        for operands, intervals in (((K, L), [(low, high), (2, 5)]), ((L, K), [(2, 5), (low, high)])):
            known = {"maximum": L, "minimum": K}[name] if high <= 2 else None
            expression = Apply(name, operands, INT)
            assert simpler(expression, intervals, interval_of(expression, intervals)) in (known, constant(2, INT))


@pytest.mark.parametrize(("condition", "known"), [((1, 1), K), ((0, 0), L), ((0, 1), None)])
def test_a_choice_that_is_known_is_not_made(condition: Interval, known: Register | None) -> None:
    expression, intervals = Apply("select", (Register(5, BOOL), K, L), INT), [condition, (0, 2), (1, 5)]
    assert simpler(expression, intervals, interval_of(expression, intervals)) is known


def operations_in(expression: Expression) -> set[str]:
    own = {expression.operation} if isinstance(expression, Apply) else set()
    return own.union(*map(operations_in, parts(expression)))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_remainders_are_divisions_only_where_they_must_be(n: int) -> None:
    for low, high in combinations_with_replacement(range(-2 * n - 1, 3 * n + 1), 2):
        remainder = Apply("remainder", (K, constant(n, INT)), INT)
        intervals = [(low, high), (n, n)]
        better = simpler(remainder, intervals, interval_of(remainder, intervals)) or remainder
        given = np.arange(low, high + 1)
        np.testing.assert_array_equal(np.broadcast_to(computed(better, {K: given}), given.shape), given % n)
        is_near = (-n <= low and high < n) or (low >= 0 and high < 2 * n) or n == 1
        needed = set() if is_near else {"fmod"} if low >= 0 else {"remainder"}
        assert operations_in(better) & {"fmod", "remainder"} == needed


# ---- what is left out of programs


def checks_in(statements: Sequence[Statement]) -> int:
    return sum(isinstance(s, Check) for s in statements_in(statements))


def check(index: Expression, extent: int) -> Check:
    return Check((index,), (extent,), FAILURE)


def plus(x: Expression, number: int) -> Expression:
    return Apply("add", (x, constant(number, INT)), INT)


def times(x: Expression, number: int) -> Expression:
    return Apply("multiply", (x, constant(number, INT)), INT)


def repeated(length: Expression | None, body: Sequence[Statement], going: Expression | None = None) -> Repeat:
    return Repeat(COUNTER, length, (), going, (*body, Store(1, (), COUNTER)))


def limited(register: Register, low: int, high: int) -> list[Statement]:
    """Make a register an unknown number, but at least `low` and at most `high`, which goes before it."""
    number = Apply("maximum", (NUMBER, constant(low, INT)), INT)
    return [Assign((NUMBER,), (UNKNOWN,)), Assign((register,), (Apply("minimum", (number, constant(high, INT)), INT),))]


def is_inside(numbers: Sequence[int], extent: int) -> bool:
    return all(-extent <= i < extent for i in numbers)


small = st.integers(-4, 4)


@given(length=st.integers(1, 40), factor=small, offset=small, extent=st.integers(0, 50))
def test_a_counter_is_checked_only_if_it_leaves_its_axis(length: int, factor: int, offset: int, extent: int) -> None:
    own = plus(times(COUNTER, factor), offset)
    statements = narrowed([repeated(constant(length, INT), [check(own, extent)])])
    assert checks_in(statements) == (not is_inside([factor * i + offset for i in range(length)], extent))


@given(most=st.integers(1, 6), offset=st.integers(-2, 3), step=st.sampled_from([1, -1]), extent=st.integers(0, 9))
def test_a_counter_is_less_than_a_length_that_is_not_known(most: int, offset: int, step: int, extent: int) -> None:
    own = Apply("subtract", (plus(K, offset), COUNTER), INT) if step < 0 else plus(COUNTER, offset)
    statements = narrowed([*limited(K, 0, most), repeated(K, [check(own, extent)])])
    numbers = [(n - i if step < 0 else i) + offset for n in range(most + 1) for i in range(n)]
    assert checks_in(statements) == (not is_inside(numbers, extent))


@given(
    first=st.sampled_from([(), (("add", K), ("subtract", COUNTER))]),
    terms=st.lists(st.tuples(st.sampled_from(["add", "subtract"]), st.sampled_from([COUNTER, K, L])), max_size=2),
    low=small, way=st.integers(0, 4), offset=small, extent=st.integers(0, 6),
)  # fmt: skip
def test_sums_with_counters_and_lengths_are_checked_if_they_may_leave_their_axis(
    first: Sequence[tuple[str, Register]], terms: list[tuple[str, Register]], low: int, way: int, offset: int, extent: int
) -> None:
    own: Expression = constant(offset, INT)
    for operation, register in (*first, *terms):
        own = Apply(operation, (own, register), INT)
    given = [*limited(K, low, low + way), *limited(L, -1, 2)]
    statements = narrowed([*given, repeated(K, [check(own, extent)])])
    values = [(i, n, k) for n in range(low, low + way + 1) for i in range(n) for k in range(-1, 3)]
    numbers = [int(computed(own, {COUNTER: i, K: n, L: k})) for i, n, k in values]
    assert checks_in(statements) or is_inside(numbers, extent)


@given(
    numbers=st.lists(st.none() | st.tuples(small, st.integers(0, 3)), min_size=2, max_size=3),
    before=small, extent=st.integers(0, 8),
)  # fmt: skip
def test_after_a_choice_a_number_is_what_any_branch_makes_it(
    numbers: list[tuple[int, int] | None], before: int, extent: int
) -> None:
    ends = [(before, before) if pair is None else (pair[0], sum(pair)) for pair in numbers]
    branches = tuple(() if pair is None else tuple(limited(K, *own)) for pair, own in zip(numbers, ends))
    statements = [Assign((K,), (constant(before, INT),)), Choose(UNKNOWN, branches), check(K, extent), Store(1, (), K)]
    assert checks_in(narrowed(statements)) == (not is_inside([i for own in ends for i in own], extent))
    for chosen, own in enumerate(ends):
        statements[1] = Choose(constant(chosen, INT), branches)
        assert checks_in(narrowed(statements)) == (not is_inside(own, extent))


@given(start=small, step=st.integers(1, 3), way=st.integers(1, 12), extent=st.integers(0, 16))
def test_what_a_loop_changes_is_bounded_by_its_condition(start: int, step: int, way: int, extent: int) -> None:
    going = Apply("less", (K, constant(start + way, INT)), BOOL)
    body = [check(K, extent), Assign((K,), (plus(K, step),))]
    statements = narrowed([Assign((K,), (constant(start, INT),)), repeated(None, body, going)])
    assert checks_in(statements) == (not is_inside([start, start + way - 1], extent))


@given(start=small, step=st.integers(-3, 3), length=st.integers(1, 6), extent=st.integers(0, 20))
def test_what_grows_by_the_same_in_each_step_is_known(start: int, step: int, length: int, extent: int) -> None:
    body = [check(K, extent), Assign((K,), (plus(K, step),))]
    statements = narrowed([Assign((K,), (constant(start, INT),)), repeated(constant(length, INT), body)])
    assert checks_in(statements) == (not is_inside([start, start + step * (length - 1)], extent))


@given(low=small, high=small, first=st.integers(0, 6), second=st.integers(0, 6))
def test_a_check_that_was_passed_is_not_made_again(low: int, high: int, first: int, second: int) -> None:
    statements = [*limited(K, low, high), check(K, first), check(K, second), Store(1, (), K)]
    numbers = sorted({min(max(i, low), high) for i in range(-9, 10)})
    passed = [i for i in numbers if -first <= i < first]
    needed = (not is_inside(numbers, first)) + (not is_inside(passed or numbers, second))
    assert checks_in(narrowed(statements)) == needed
