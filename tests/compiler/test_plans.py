"""What fusion decided of one program is what it would decide of another one that is alike but for sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.compiler import plans
from functrans.compiler.accesses import numbers_of, structure_of
from functrans.compiler.backends.cpu.codegen import supports
from functrans.compiler.fuse import KernelStep, fuse
from functrans.compiler.program import simplified
from functrans.core.jaxpr import Jaxpr
from tests.helpers.cases import all_cases
from tests.helpers.programs import Example, examples
from tests.helpers.tiers import staged

#: Factors by which arrays are made larger, beyond what counts as small.
SIZES = (plans.SMALL + 1, plans.SMALL + 3, 2 * plans.SMALL + 5)


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
            found.append((kernel.shape, structure_of(kernel), numbers_of(kernel), reads, step[1:]))
        else:
            found.append(step)
    return found


def made_anew(jaxpr: Jaxpr) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "_kept", {})
        return described(fuse(jaxpr, supports))


def programs(function: Callable[..., Any], args: Sequence[Any], sizes: Sequence[int] = SIZES) -> list[Jaxpr]:
    """A function staged for arguments of several sizes; those where shapes are no parameters."""
    found = []
    for times in sizes:
        try:
            found.append(simplified(staged(function, [stretched(x, times) for x in args])))
        except ft.errors.FunctransError:
            continue
    return found


def stretched(x: Any, times: int) -> Any:
    """An array that is larger along all axes but those of extent one."""
    for axis, extent in enumerate(np.shape(x)):
        x = x if extent == 1 else np.repeat(x, times, axis)
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
def test_programs(example: Example, sizes: list[int]) -> None:
    plans._kept.clear()
    assert_same_steps(programs(example.program, example.inputs, (1, *sizes)))


@settings(max_examples=25)
@given(examples(smooth=True, dtypes=("f8", "c16"), max_steps=4))
def test_gradients(example: Example) -> None:
    def pulled_back(*args: Any) -> Any:
        _, pull_back = ft.vjp(example.program, *args[:-1])
        return pull_back(args[-1])

    assert_same_steps(programs(pulled_back, (*example.inputs, example.cotangent), SIZES[:2]))


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
    """What is broadcast is computed again where that is not more often than it has elements."""

    def function(x: Any, y: Any) -> Any:
        return np.sum(np.tanh(x)[:, None] * y, axis=1)

    jaxprs = [simplified(staged(function, (ones(n), ones(n, m)))) for n, m in ((20, 30), (30, 20), (2000, 17))]
    assert_same_steps(jaxprs)


def test_no_more_is_kept_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MOST_PARTS", 60)
    for n in range(1, 15):
        ft.jit(lambda x, n=n: [np.sin(x) for _ in range(n)] and np.cos(x) ** n)(ones(n))
        assert sum(map(len, plans._kept)) <= plans.MOST_PARTS
