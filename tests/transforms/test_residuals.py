"""Which values one half of a program gives to the other, and which that one computes again."""

from __future__ import annotations

from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.control.loop import merge
from functrans.core.avals import ShapedArray
from functrans.core.jaxpr import Jaxpr, check_jaxpr, eval_jaxpr
from functrans.core.primitive import registry
from functrans.transforms import residuals
from functrans.transforms.partial_eval import partial_eval_jaxpr
from functrans.transforms.residuals import SINK, SOURCE, Network, split_jaxpr, with_fewest_residuals
from tests.helpers.limits import changed

# ---- minimum cuts

NODES = (SOURCE, *range(4), SINK)
CAPACITIES = st.dictionaries(
    st.tuples(st.sampled_from(NODES[:-1]), st.sampled_from(NODES[1:])).filter(lambda pair: pair[0] != pair[1]),
    st.integers(0, 5),
    max_size=12,
)


@settings(deadline=None)
@given(CAPACITIES)
def test_no_cut_is_smaller_and_none_so_small_leaves_less_behind(capacities: dict[Any, int]) -> None:
    network = Network()
    for (a, b), capacity in capacities.items():
        network.connect(a, b, capacity)
    behind = network.cut_next_to_sink()

    def size(behind: set[Any]) -> int:
        return sum(c for (a, b), c in capacities.items() if a not in behind and b in behind)

    inner = NODES[1:-1]
    others = chain.from_iterable(combinations(inner, n) for n in range(len(inner) + 1))
    assert SINK in behind
    assert SOURCE not in behind
    assert (size(behind), len(behind)) == min((size({SINK, *nodes}), len({SINK, *nodes})) for nodes in others)


# ---- halves

UNARY = {
    "negative": np.negative, "square": np.square, "double": lambda x: 2 * x, "power": lambda x: x**3,
    "root": lambda x: np.sqrt(x * x + 1), "sin": np.sin, "exp": lambda x: np.exp(-x * x), "back": lambda x: x[::-1],
    "roll": lambda x: np.roll(x, 1), "total": lambda x: x * np.sum(x) * 0.1, "fall": lambda x: np.where(x > 0, x, 0.5 * x),
    "most": lambda x: x - np.max(x), "reciprocal": lambda x: 1 / (2 + x * x),
}  # fmt: skip
BINARY = {"add": np.add, "multiply": np.multiply, "subtract": np.subtract, "maximum": np.maximum, "hypot": np.hypot}
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted({**UNARY, **BINARY})), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=7
)
X = np.array([0.7, -0.4, 1.3])


def computed(steps: Any, *values: Any) -> Any:
    """What a chain of functions, each of the values so far, makes of these."""
    found = list(values)
    for name, i, j in steps:
        x, y = found[i % len(found)], found[j % len(found)]
        found.append(UNARY[name](x) if name in UNARY else BINARY[name](x, y))
    return np.tanh(found[-1])


def kept_bytes(known: Jaxpr, count: int, at_hand: Any) -> int:
    """The bytes of the residuals that are not at hand."""
    return sum(a.aval.size * a.aval.dtype.itemsize for a in dict.fromkeys(known.outputs[count:]) if a not in at_hand)


@settings(max_examples=30, deadline=None)
@given(STEPS, st.sampled_from([1, 2, 5, residuals.WINDOW]))
def test_halves_with_few_residuals_compute_the_same_to_the_last_bit(steps: Any, window: int) -> None:
    tangent = lambda x, y, dx: ft.jvp(lambda x: computed(steps, x, y), (x,), (dx,))  # noqa: E731
    args, unknown = (X, X[::-1].copy(), np.array([1.0, -2.0, 0.5])), (False, False, True)
    jaxpr = ft.make_jaxpr(tangent)(*args)
    known, rest, out_unknown = partial_eval_jaxpr(jaxpr, unknown)
    count = out_unknown.count(False)
    with changed([(residuals, "WINDOW", window)]):
        fewer = with_fewest_residuals(known, rest, count, known.inputs)
    for half in fewer:
        check_jaxpr(half)
    assert kept_bytes(fewer[0], count, known.inputs) <= kept_bytes(known, count, known.inputs)
    for first, second in (fewer, split_jaxpr(jaxpr, unknown)[:2]):
        outs = eval_jaxpr(first, *args[:2])
        found = merge(outs[:count], eval_jaxpr(second, *outs[count:], args[2]), out_unknown)
        for y, wanted in zip(found, eval_jaxpr(jaxpr, *args), strict=True):
            np.testing.assert_array_equal(y, wanted)


@settings(max_examples=4, deadline=None)
@given(STEPS)
def test_gradients_of_loops_are_those_of_their_steps(steps: Any) -> None:
    ys = np.linspace(-1, 1, 12).reshape(4, 3)

    def by_loop(x: Any) -> Any:
        return np.sum(lax.scan(lambda c, y: (computed(steps, c, y), None), x, ys)[0])

    def by_steps(x: Any) -> Any:
        for y in ys:
            x = computed(steps, x, y)
        return np.sum(x)

    wanted = ft.grad(by_steps)(X)
    for derivative in (ft.grad(by_loop), ft.jit(ft.grad(by_loop))):
        np.testing.assert_allclose(derivative(X), wanted, rtol=1e-9, atol=1e-12)


def residuals_of(step: Any, *avals: Any) -> list[str]:
    """The types of what a loop over such a step keeps of each step, but for its inputs."""
    carry = tuple(np.full(shape, 0.5) for shape in avals)
    loss = lambda carry: sum(map(np.sum, lax.scan(lambda c, _: (step(*c), None), carry, None, length=5)[0]))  # noqa: E731
    first = next(e for e in ft.make_jaxpr(ft.grad(loss))(carry).eqns if e.primitive.name == "scan")
    return [str(ShapedArray(v.aval.shape[1:], v.aval.dtype)) for v in first.outputs[first.params["carry"] :]]


def bodies(q: Any, v: Any) -> Any:
    """Bodies that attract each other."""
    between = q[:, None] - q[None, :]
    square = np.sum(between**2, axis=2) + 0.1
    v = v - 0.01 * np.sum(between / square[..., None] ** 1.5, axis=1)
    return q + 0.01 * v, v


def diffusion(u: Any) -> Any:
    """A stencil whose coefficients depend on the state."""
    return (u + 0.1 / (1 + u**2) * (np.roll(u, 1) - 2 * u + np.roll(u, -1)),)


def advection(u: Any) -> Any:
    """A stencil in the inside of an array."""
    u = u.copy()
    u[1:-1] = u[1:-1] - 0.1 * u[1:-1] * (u[2:] - u[:-2])
    return (u,)


def triangle(x: Any) -> Any:
    """The same mask, written twice."""
    n = np.arange(8)
    return (np.where(np.cumsum(x) > n, x, 0.0) * np.sin(x[0]) + np.where(np.cumsum(x) > n, 0.5 * x, x),)


@pytest.mark.parametrize(
    ("step", "shapes", "kept"),
    [
        (bodies, [(6, 3), (6, 3)], {"f64[6,3]": 1, "f64[6,6,1]": 1}),
        (diffusion, [(50,)], {"f64[50]": 1}),
        (advection, [(50,)], {"f64[50]": 1}),
        (triangle, [(8,)], {"bool[8]": 1, "f64[]": 2, "f64[8]": 1}),
    ],
)
def test_what_is_cheap_is_computed_again(step: Any, shapes: Any, kept: dict[str, int]) -> None:
    found = residuals_of(step, *shapes)
    assert {name: found.count(name) for name in found} == kept


def test_what_takes_long_is_not_computed_again() -> None:
    # Both keep one number for each, whatever is cheaper to keep; a sine that the first half needs is not repeated.
    assert residuals_of(lambda x: (np.sin(x) * np.cos(x),), (4,)) == ["f64[4]"] * 2


def test_the_work_of_a_primitive_is_small_or_unknown() -> None:
    for primitive in registry.values():
        assert primitive.work is None or (primitive.never_fails and 0 <= primitive.work <= 8), primitive


def test_many_equations_are_cut_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of a few equations is in one network."""
    sizes: list[int] = []
    monkeypatch.setattr(
        residuals.Network, "cut_next_to_sink",
        lambda self, cut=residuals.Network.cut_next_to_sink: sizes.append(len(self.left)) or cut(self),
    )  # fmt: skip

    def steps(x: Any, count: int) -> Any:
        for _ in range(count):
            x = np.sin(x) + x * x / 4
        return x

    for count in (100, 400):
        sizes.clear()
        step = lambda i, x, count=count: steps(x, count)  # noqa: E731
        ft.make_jaxpr(ft.grad(lambda x: lax.fori_loop(0, 3, step, x)))(0.5)
        assert max(sizes) <= 6 * residuals.WINDOW
        assert sum(sizes) <= 30 * count
