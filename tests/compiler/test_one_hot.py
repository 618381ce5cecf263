"""Updates of one element of each row are choices, bit for bit; sums of rows of one element are that element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.compiler.assembly import assemble
from functrans.compiler.backends.cpu.codegen import supports
from functrans.compiler.instructions import ChainRun, CheckRun
from functrans.compiler.program import fused
from functrans.primitives import indexing
from functrans.primitives.indices import Indexing
from tests.helpers.bits import assert_same_bits
from tests.helpers.cuda.device import is_possible
from tests.helpers.cuda.running import ORDERS, emulated, lowered
from tests.helpers.tiers import TIERS, interpreted, natively, staged

SCATTERS = ("scatter_set", "scatter_add", "scatter_multiply", "scatter_min", "scatter_max")


def names(function: Any, *args: Any) -> list[str]:
    """The primitives of the simplified program."""
    return [eqn.primitive.name for eqn in ft.jit(function).lower(*args).simplified.eqns]


@st.composite
def updates_of_rows(draw: st.DrawFn) -> Any:
    """An array, updates and index arrays that name one element of each row, in all orders of axes; and what they mean."""
    rank = draw(st.integers(2, 4))
    shape = tuple(draw(st.lists(st.integers(2, 5), min_size=rank, max_size=rank)))
    axes = draw(st.permutations(range(rank)))[: draw(st.integers(2, rank))]
    row, *counted = axes
    places = draw(st.permutations(counted))  # the axis of x that each axis of the index arrays goes along
    unit = draw(st.integers(0, len(places)))
    together = [*(shape[axis] for axis in places)]
    together.insert(unit, 1)
    mode = draw(st.sampled_from(["raise", "clip", "wrap", "drop"]))
    bound = shape[row] if mode == "raise" else 2 * shape[row]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    indices = {row: rng.integers(-bound, bound, together).astype(draw(st.sampled_from(["i8", "i4", "i1"])))}
    for axis in counted:
        at = places.index(axis) + (places.index(axis) >= unit)
        indices[axis] = np.arange(shape[axis]).reshape([-1 if k == at else 1 for k in range(len(together))])
    spec = Indexing(tuple(axes), draw(st.integers(0, rank - len(axes))), mode)
    dtype = draw(st.sampled_from(["f8", "f4", "i4"]))
    x, updates = (rng.integers(-9, 9, n).astype(dtype) for n in (shape, spec.result_shape(shape, tuple(together))))
    return x, updates, indices[row], [indices[axis] for axis in counted], spec


@settings(max_examples=8)
@given(
    case=updates_of_rows(),
    name=st.sampled_from(SCATTERS),
    is_zero=st.booleans(),
    tier=st.sampled_from([*TIERS]),
    order=st.sampled_from(ORDERS),
)
def test_updates_are_choices(case: Any, name: str, is_zero: bool, tier: str, order: int) -> None:
    x, updates, labels, counts, spec = case

    def function(x: Any, updates: Any, labels: Any) -> Any:
        made = fnp.zeros(x.shape, x.dtype) if is_zero else x + x
        return [getattr(indexing, name)(made, updates, labels, *counts, spec=spec)]

    args = (x, updates, labels)
    assert not set(SCATTERS) & set(names(function, *args))
    jaxpr = staged(function, args)
    wanted = interpreted(jaxpr, args)
    assert_same_bits(natively(jaxpr, args, tier), wanted)
    if is_possible():
        assert_same_bits(emulated(jaxpr, args, order), wanted)


@pytest.mark.parametrize("form", ["counted twice", "too few rows", "in memory", "no row", "backwards"])
def test_other_updates_stay_what_they_are(form: str) -> None:
    labels, rows = np.array([2, 0, 2]), np.arange(3)
    functions = {
        "counted twice": lambda x: fnp.at(x + 1)[rows, rows, labels].add(1.0),
        "too few rows": lambda x: fnp.at(x + 1)[rows[:2], labels[:2]].add(1.0),
        "in memory": lambda x: fnp.at(x)[rows, labels].add(1.0),
        "no row": lambda x: fnp.at(x + 1)[labels].add(1.0),
        "backwards": lambda x: fnp.at(x + 1)[rows[::-1], labels].add(1.0),
    }
    x = np.random.default_rng(0).normal(size=(3, 3, 3))
    assert "scatter_add" in names(functions[form], x)
    assert_same_bits([ft.jit(functions[form])(x)], [functions[form](x)])


@pytest.mark.parametrize("wrong", [4, -5])
@pytest.mark.parametrize("steps", [0, 3])
def test_labels_are_checked(wrong: int, steps: int) -> None:
    def function(x: Any, labels: Any) -> Any:
        update = lambda x: fnp.at(x * 2)[np.arange(3), labels].set(1.0)  # noqa: E731
        return lax.fori_loop(0, steps, lambda _, x: update(x), x) if steps else update(x)

    x, labels = np.ones((3, 4)), np.array([3, -4, 0])
    assert "scatter_set" not in names(function, x, labels)
    assert_same_bits([ft.jit(function)(x, labels)], [function(x, labels)])
    labels[1] = wrong
    with pytest.raises(IndexError) as eager:
        function(x, labels)
    with pytest.raises(IndexError) as compiled:
        ft.jit(function)(x, labels)
    assert f"Index {wrong} is out of bounds for axis 1 with size 4" in str(compiled.value)
    assert type(compiled.value) is type(eager.value)


def cross_entropy(scores: Any, labels: Any) -> Any:
    return -np.mean(ft.nn.log_softmax(scores)[np.arange(len(labels)), labels])


def test_the_gradient_of_a_cross_entropy_is_one_chain() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(512, 100)), rng.integers(0, 100, 512)
    args, gradient = (scores, labels), ft.grad(cross_entropy)
    assert names(gradient, *args).count("exp") == 1
    jaxpr = staged(gradient, args)
    block = assemble(jaxpr, fused, supports, [x.strides for x in args]).block
    assert [type(run) for run in block] == [CheckRun, ChainRun]
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    p[np.arange(512), labels] -= 1
    np.testing.assert_allclose(ft.jit(gradient)(*args), p / 512, rtol=1e-12, atol=1e-17)
    if is_possible():
        assert [type(run) for run in lowered(jaxpr, args).assembled.block] == [CheckRun, ChainRun]
        np.testing.assert_allclose(*emulated(jaxpr, args, 1), p / 512, rtol=1e-12, atol=1e-17)


@settings(max_examples=12)
@given(
    labels=st.lists(st.integers(-3, 8), min_size=2, max_size=4),
    axes=st.sampled_from([(1,), (0, 1), (1, 2), (2, 1, 0)]),
    dtype=st.sampled_from(["i8", "i2", "u1"]),
    whole=st.booleans(),
)
def test_sums_of_rows(labels: list[int], axes: tuple[int, ...], dtype: str, whole: bool) -> None:
    numbers = np.array(labels).astype(dtype)[:, None, None]
    u = np.random.default_rng(0).normal(size=(len(labels), 1, 3))

    def function(numbers: Any, u: Any) -> Any:
        value = 2.5 if whole else u
        return np.sum(np.where(np.arange(5)[:, None] == numbers, value, 0.0), axes)

    assert "reduce_sum" not in names(function, numbers, u) or len(axes) > 1
    np.testing.assert_allclose(ft.jit(function)(numbers, u), function(numbers, u), rtol=1e-14)
