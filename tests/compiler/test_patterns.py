"""What rules made once is what they would make again, of operands of any size: the same kernels in the same steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import functrans as ft
from functrans.compiler import fuse as fusion
from functrans.compiler import plans
from functrans.compiler.accesses import structure_of
from functrans.compiler.backends.cpu.codegen import supports
from functrans.compiler.fuse import KernelStep, fuse
from functrans.compiler.loopnest import point
from functrans.compiler.program import simplified
from functrans.core.jaxpr import Jaxpr
from tests.helpers.cases import all_cases
from tests.helpers.programs import Example, examples
from tests.helpers.tiers import staged

#: All examples of primitives of which patterns are kept, that give one array.
CASES = [case for case in all_cases() if case.direct and case.primitive.lowers_by_dtype]


def described(steps: Sequence[Any]) -> list[Any]:
    """Steps by all that counts: an equation as it is; of a kernel what is written, from what and to where."""
    found: list[Any] = []
    for step in steps:
        if isinstance(step, KernelStep):
            loads = [(load.operand, load.index) for load in step.kernel.loads()]
            places = step.kernel.shape, step.kernel.operands, step.sources, loads, step.outputs
            found.append((structure_of(step.kernel), places, step.equations, step.again))
        else:
            found.append(step)
    return found


def assert_same_steps(jaxpr: Jaxpr) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "MOST_PARTS", 0)  # or there would be one plan for both
        known = fuse(jaxpr, supports)
        patch.setattr(fusion, "pattern_of", lambda eqn, supports: None)
        asked = fuse(jaxpr, supports)
    assert described(known) == described(asked)


def stretched(x: Any, times: int) -> Any:
    """An array that is larger along all axes but those of extent one."""
    for axis, extent in enumerate(np.shape(x)):
        x = x if extent == 1 else np.repeat(x, times, axis)
    return x


def test_patterns_serve_all_sizes() -> None:
    seen = 0
    for case in CASES:
        for times in (1, 2, 3):
            try:
                jaxpr = staged(case.function, [stretched(x, times) for x in case.args])
            except ft.errors.ShapeMismatchError:  # a shape is a parameter
                continue
            assert_same_steps(jaxpr)
            seen += 1
    assert seen > 2 * len(CASES)


@given(examples(dtypes=("f8", "f4", "c16")))
def test_programs(example: Example) -> None:
    assert_same_steps(simplified(staged(example.program, example.inputs)))


@given(examples(smooth=True, dtypes=("f8", "c16"), max_steps=4))
def test_gradients(example: Example) -> None:
    def pulled_back(*args: Any) -> Any:
        _, pull_back = ft.vjp(example.program, *args[:-1])
        return pull_back(args[-1])

    assert_same_steps(simplified(staged(pulled_back, (*example.inputs, example.cotangent))))


@pytest.mark.parametrize("shape", [(), (5,), (5, 1), (1, 5), (1, 1), (3, 1, 4), (1, 3, 1)])
def test_axes_of_extent_one_are_no_reason_for_another_kernel(shape: tuple[int, ...]) -> None:
    """What is at the point itself is read there, though broadcasting would put it there as well."""

    def function(x: Any, y: Any) -> Any:
        z = np.exp(x * 2.0) + y
        return np.tanh(z) * np.sin(z), z / np.exp(z)

    x = np.linspace(0.1, 1.0, math.prod(shape)).reshape(shape)
    (step,) = fuse(simplified(staged(function, (x, x + 1.0))), supports)
    assert [load.index for load in step.kernel.loads()] == [point(len(shape))] * 2
    for got, want in zip(ft.jit(function)(x, x + 1.0), function(x, x + 1.0)):
        np.testing.assert_allclose(got, want, rtol=1e-14)
