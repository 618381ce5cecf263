"""What fusion decided of one program is what it would decide of another one that is alike but for sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.compiler import fuse as fusion
from functrans.compiler import plans
from functrans.compiler.accesses import jumping_axes, numbers_of, structure_of, walks_of
from functrans.compiler.backends.cpu.codegen import supports
from functrans.compiler.fuse import KernelStep, fuse
from functrans.compiler.loopnest import Apply, Kernel, Load, Output, constant, kernel_over, point
from functrans.compiler.program import simplified
from functrans.core.jaxpr import Jaxpr
from functrans.core.primitive import Primitive, registry
from tests.helpers.cases import all_cases
from tests.helpers.programs import Example, examples
from tests.helpers.tiers import staged

Size = Callable[[int], int]


def multiplied(extent: int) -> int:
    return 11 * extent


def falling(extent: int) -> int:
    return max(70 - 6 * extent, 9)


def alike(extent: int) -> int:
    return 24


def few(extent: int) -> int:
    return 9 + extent % 8


#: What extents of two and more become, beyond what counts as small: in the order of before, in another, all the same,
#: or few enough for rules that write out what they do with each element.
SIZES: tuple[Size, ...] = (multiplied, falling, alike, few)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_kept", {})


def described(steps: Sequence[Any]) -> list[Any]:
    """Steps by all that counts: an equation as it is; of a kernel what is written, from what and to where."""
    found: list[Any] = []
    for step in steps:
        if isinstance(step, KernelStep):
            kernel = step.kernel
            reads = [(atom, load.index, load.dtype) for atom, load in step.reads()]
            derived = structure_of(kernel), numbers_of(kernel), walks_of(kernel), jumping_axes(kernel)
            found.append((kernel.shape, derived, reads, step[1:]))
        else:
            found.append(step)
    return found


def made_anew(jaxpr: Jaxpr) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "_kept", {})
        return described(fuse(jaxpr, supports))


def programs(function: Callable[..., Any], args: Sequence[Any], sizes: Sequence[Size] = SIZES) -> list[Jaxpr]:
    """A function staged for arguments of several sizes; those where shapes are no parameters."""
    found = []
    for size in sizes:
        try:
            found.append(simplified(staged(function, [resized(x, size) for x in args])))
        except ft.errors.FunctransError:
            continue
    return found


def resized(x: Any, size: Size) -> Any:
    """An array of other extents along all axes of more than one element."""
    for axis, extent in enumerate(np.shape(x)):
        x = x if extent < 2 else np.take(x, np.arange(size(extent)) % extent, axis)
    return x


def assert_same_steps(found: Sequence[Jaxpr]) -> None:
    for jaxpr in found:
        assert described(fuse(jaxpr, supports)) == made_anew(jaxpr)


def test_examples_of_all_primitives() -> None:
    cases = [case for case in all_cases() if case.direct and plans.may_be_lowered(case.primitive)]
    made = shared = 0
    for case in cases:
        found = programs(case.function, case.args, SIZES[:2])
        before = len(plans._kept)
        assert_same_steps(found)
        made += len(found)
        shared += before + len(found) - len(plans._kept)
    assert made > len(cases)
    assert shared > len(cases) // 2


@settings(max_examples=25)
@given(example=examples(dtypes=("f8", "f4", "c16")), sizes=st.permutations(SIZES))
def test_programs(example: Example, sizes: list[Size]) -> None:
    plans._kept.clear()
    assert_same_steps(programs(example.program, example.inputs, (lambda n: n, *sizes)))


@settings(max_examples=25)
@given(examples(smooth=True, dtypes=("f8", "c16"), max_steps=4))
def test_gradients(example: Example) -> None:
    def pulled_back(*args: Any) -> Any:
        _, pull_back = ft.vjp(example.program, *args[:-1])
        return pull_back(args[-1])

    assert_same_steps(programs(pulled_back, (*example.inputs, example.cotangent)))


# ---- kernels that steps have in common


@settings(max_examples=25)
@given(examples(smooth=True, dtypes=("f8", "f4", "c16"), max_steps=4))
def test_kernels_in_common_are_those_that_each_step_would_have(example: Example) -> None:
    """Of a program that does everything twice, on arrays of its own."""
    x = [np.stack([a, a]) for a in example.inputs]
    twice = staged(lambda *args: [example.program(*[a[k] for a in args]) for k in (0, 1)], x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fusion, "likeness", lambda kernel, literals: object())
        apart = made_anew(simplified(twice))
    assert made_anew(simplified(twice)) == apart


@pytest.mark.parametrize("transformation", [lambda f: f, ft.grad])
def test_programs_that_repeat_themselves_have_few_kernels(transformation: Any) -> None:
    def after(steps: int, x: Any) -> Any:
        for _ in range(steps):
            slope = ft.numpy.stack([x[1], -np.sin(x[0]) * x[1]])
            x = x + 0.1 * np.roll(slope, 1) * x @ np.ones((2, 2))
        return np.sum(x)

    counts = []
    for steps in (5, 20):
        jaxpr = simplified(staged(transformation(partial(after, steps)), [ones(2)]))
        kernels = [vars(step.kernel) for step in fuse(jaxpr, supports) if isinstance(step, KernelStep)]
        counts.append((len(kernels), len(set(map(id, kernels)))))
    assert counts[1][0] >= counts[0][0] + 15
    assert counts[1][1] == counts[0][1]


def test_kernels_are_alike_but_for_names_and_extents() -> None:
    def kernel(a: Any, b: Any, extent: int = 8, number: float = 2.0, combine: str | None = None) -> Kernel:
        x, y = (Load(name, point(1), np.dtype(float)) for name in (a, b))
        product = Apply("multiply", (x, constant(number, np.dtype(float))), x.dtype)
        output = Output(Apply("subtract", (product, y), x.dtype), combine)
        return kernel_over((extent,), int(combine is not None), (output,))

    same = plans.likeness(kernel("x", "y"), ())
    assert same == plans.likeness(kernel(3, "x", extent=9), ())
    others = [kernel("x", "x"), kernel("x", "y", number=-2.0), kernel("x", "y", combine="add")]
    assert len({same, *(plans.likeness(other, ()) for other in others), plans.likeness(kernel("x", "y"), (1,))}) == 5
    assert plans.likeness(kernel("x", "y", number=0.0), ()) != plans.likeness(kernel("x", "y", number=-0.0), ())


# ---- what is shared, and what is not


def plans_for(function: Callable[..., Any], *argument_lists: tuple[Any, ...]) -> int:
    """How many plans it takes for calls of a jitted function, whose results are right."""
    plans._kept.clear()
    compiled = ft.jit(function)
    for args in argument_lists:
        for got, want in zip(as_tuple(compiled(*args)), as_tuple(function(*args)), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)
    return len(plans._kept)


def as_tuple(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


def ones(*shape: int) -> np.ndarray[Any, Any]:
    return np.linspace(0.1, 0.9, int(np.prod(shape))).reshape(shape)


def test_one_plan_serves_all_sizes() -> None:
    def network(x: Any, w: Any) -> Any:
        return np.mean(np.tanh(x @ w * 3.0 + 1.0) ** 2, axis=0)

    sizes = [(20, 30), (30, 20), (65, 17), (17, 1000)]
    assert plans_for(network, *[(ones(n, m), ones(m, 40 + n)) for n, m in sizes]) == 1


def test_sizes_that_are_equal_or_small_have_plans_of_their_own() -> None:
    def function(x: Any, y: Any) -> Any:
        return np.sum(np.exp(x) * y, axis=1)

    sizes = [(20, 30), (30, 40), (30, 30), (5, 30), (6, 30), (1, 30)]
    assert plans_for(function, *[(ones(n, m), ones(n, m)) for n, m in sizes]) == 5


def test_sizes_that_happen_to_be_equal_matter_only_where_rules_see_both() -> None:
    def function(x: Any, y: Any) -> Any:
        return np.sum(np.exp(x), axis=0), np.tanh(y) * 2.0

    assert plans_for(function, *[(ones(n), ones(m, 9)) for n, m in ((20, 30), (30, 30), (40, 50))]) == 1
    reduced = [(np.sum, x, y) for x, y in (((20, 30), (40, 30)), ((20, 30), (20, 30)), ((50, 60), (50, 60)))]
    for total, x, y in reduced:  # one kernel for both, where their shapes are the same
        steps = fuse(simplified(staged(lambda x, y: (total(x, axis=1), total(y, axis=1)), (ones(*x), ones(*y)))), supports)
        assert len(steps) == (1 if x == y else 2)


def test_reductions_over_spaces_that_happen_to_be_equal() -> None:
    """Those of the rows of one matrix, and of the columns of another one, are one kernel if these are as long."""

    def function(x: Any, y: Any) -> Any:
        return np.sum(x, axis=1), np.sum(y, axis=0)

    for m, k in ((30, 40), (30, 30), (40, 50), (50, 50)):
        steps = fuse(simplified(staged(function, (ones(20, m), ones(k, 20)))), supports)
        assert len(steps) == (1 if m == k else 2)
    assert len({key[1:] for key in plans._kept}) == 1


def test_constants_are_those_of_each_program() -> None:
    def function(x: Any) -> Any:
        return x * len(x) + np.float64(1 / len(x))

    assert plans_for(function, *[(ones(n),) for n in (20, 21, 32, 20, 64)]) == 1


def test_arrays_of_one_number_are_those_of_each_program() -> None:
    def function(x: Any) -> Any:
        filled = np.full_like(x, 1 / len(x))
        return np.exp(x) * filled, filled, np.sum(filled[1:] + x[1:])

    assert plans_for(function, *[(ones(n),) for n in (20, 21, 32, 20, 64)]) == 1


def test_a_zero_keeps_its_sign() -> None:
    for zero in (0.0, -0.0, 0.0):
        found = ft.jit(lambda x, zero=zero: np.full_like(x, zero) * 2.0 + zero)(ones(20))
        assert np.array_equal(np.signbit(found), np.full(20, np.signbit(zero)))


def test_sizes_are_weighed_again() -> None:
    """What is read at other places is computed there if that is not more often than it has elements."""

    def function(x: Any, y: Any) -> Any:
        return np.exp(x)[:1] * y

    for n, m in ((20, 30), (30, 20), (50, 40), (40, 50)):
        steps = fuse(simplified(staged(function, (ones(n, 15), ones(m, 15)))), supports)
        assert len(steps) == (1 if m <= n else 2)
    assert len({key[1:] for key in plans._kept}) == 1


def test_results_that_only_move_elements_are_weighed_as_what_they_are() -> None:
    """A reshaped result is asked for after all equations, the last of which has results of another rank."""

    def function(a: Any, b: Any) -> Any:
        row = a.reshape(1, -1)
        squares = np.square(row)
        return (squares * row).reshape(-1), row, (b[:, None] * (3 * squares)).reshape(b.shape)

    assert plans_for(function, *[(ones(n), ones(n, n)) for n in (20, 30, 40)]) == 1


def test_what_rules_look_at_counts() -> None:
    x = ones(50)
    for part in (slice(0, 20), slice(3, 23), slice(1, 41, 2), slice(22, 2, -1)):
        for function in (lambda x, part=part: np.exp(x[part]) * 2.0, lambda x, part=part: np.exp(x)[part] * 2.0):
            np.testing.assert_allclose(ft.jit(function)(x), function(x), rtol=1e-14)


def test_no_more_is_kept_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MOST_PARTS", 60)
    for n in range(1, 15):
        ft.jit(lambda x, n=n: [np.sin(x) for _ in range(n)] and np.cos(x) ** n)(ones(n))
        assert sum(map(len, plans._kept)) <= plans.MOST_PARTS


def test_what_a_rule_looks_at_is_said_where_the_rule_is():
    """A class that has a rule of its own must not inherit what the rule of another one looks at."""
    for primitive in registry.values():
        says, *rules = (owner(type(primitive), name) for name in ("lowering_key", "lower", "lower_reduction"))
        assert says is Primitive or all(issubclass(says, rule) for rule in rules), primitive


def owner(kind: type, name: str) -> type:
    """The class that defines a method."""
    return next(base for base in kind.__mro__ if name in vars(base))


@pytest.mark.parametrize("function", [np.argmax, np.argmin])
def test_places_of_extremes_among_few_elements(function: Callable[..., Any]):
    for extent in (12, 15, 9, 16, 20, 10):
        x = np.arange(3.0 * extent).reshape(3, extent) * 7 % 5
        np.testing.assert_array_equal(ft.jit(lambda x: function(x, axis=1))(x), function(x, axis=1))


def test_zeros_of_other_signs_are_not_shared() -> None:
    for fill in (0.0, -0.0, 0.0):
        x = ft.jit(lambda x, i, fill=fill: ft.numpy.at(x)[i].get(mode="fill", fill_value=fill))(np.ones(3), np.array([0, 9]))
        np.testing.assert_array_equal(np.signbit(x), [False, np.signbit(fill)])
