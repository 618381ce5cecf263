"""Products of batches of matrices: arrays with the axes of the batch first, and chains over the batch; and of few rows."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.compiler.assembly import Assembler
from functrans.compiler.backends.cpu.codegen import supports
from functrans.compiler.backends.cpu.rows import has_library
from functrans.compiler.instructions import ChainRun, KernelRun, ProductRun
from functrans.compiler.program import fused
from functrans.compiler.simplify import simplify
from functrans.core.avals import ShapedArray
from functrans.core.jaxpr import Literal
from tests.compiler.test_native_convolutions import MACHINES, processor
from tests.compiler.test_partials import assembled
from tests.fuzz import Case
from tests.helpers.limits import limited
from tests.helpers.tiers import TIERS, natively, staged

fnp = ft.numpy
EXTENTS = {"b": 3, "h": 2, "t": 4, "s": 5, "d": 2}


def broadcast(x: Any, have: str, want: str) -> Any:
    """An array with one axis for each letter as one with others."""
    shared = [axis for axis in want if axis in have]
    x = fnp.einsum(f"{have}->{''.join(shared)}", x)
    return x[tuple(slice(None) if axis in have else None for axis in want)]


@st.composite
def programs(draw: Any) -> Any:
    """Arrays with named axes in any order: added to each other, multiplied as batches of matrices, reduced, returned.

    All numbers are small integers: nothing rounds, whatever the order of sums.
    """

    def axes(least: int) -> st.SearchStrategy[str]:
        return st.permutations("bhtsd").flatmap(lambda order: st.integers(least, 4).map(lambda n: "".join(order[:n])))

    names = draw(st.lists(axes(2), min_size=3, max_size=3))
    one = st.tuples(st.sampled_from("aaeeeerk"), st.integers(0, 9), axes(3), st.integers(0, 3))
    steps = [("a", 0, draw(axes(3)), 0), *draw(st.lists(one, min_size=2, max_size=5))]
    random = np.random.default_rng(draw(st.integers(0, 99)))
    args = tuple(random.integers(-2, 3, [EXTENTS[a] for a in name]).astype(float) for name in names)

    def function(*args: Any) -> Any:
        arrays, results = list(zip(args, names)), []
        for kind, i, wanted, k in steps:
            (x, of_x), (y, of_y) = arrays[-1], arrays[i % len(arrays)]
            if kind == "a":
                total = broadcast(x, of_x, wanted) - 2 * broadcast(y, of_y, wanted)
                arrays.append((fnp.sign(total), wanted))
            elif kind == "e" and set(of_x) != set(of_y):
                both = [axis for axis in wanted if axis in of_x or axis in of_y][: 2 + k]
                arrays.append((fnp.sign(fnp.einsum(f"{of_x},{of_y}->{''.join(both)}", x, y)), "".join(both)))
            elif kind == "r" and len(of_x) > 2:
                axis = k % len(of_x)
                arrays.append((fnp.max(x, axis), of_x.replace(of_x[axis], "")))
            else:
                results.append(x)
        return arrays[-1][0], results

    return function, args


def test_constants_are_put_in_order_when_the_program_is_made():
    c, x = np.arange(420.0).reshape(3, 5, 28), np.arange(70.0).reshape(14, 5)
    both = lambda x: (np.einsum("abd,cb->adc", c, x), np.einsum("abd,cb->adc", c, x + 1.0))  # noqa: E731
    block = assembled(both, x).block
    first, second = (run for run in block if isinstance(run, ProductRun))
    assert first.x == second.x
    assert all(prod(place.shape) != c.size for run in block if isinstance(run, KernelRun) for place in run.targets)
    for found, want in zip(ft.jit(both)(x), both(x)):
        np.testing.assert_array_equal(found, want)


def test_constants_that_nobody_else_keeps_are_told_apart():
    assembler = Assembler(fused, supports, has_library)
    places = [assembler.constant(Literal(np.array([k] * 3), ShapedArray((3,), np.dtype(int)))) for k in range(20)]
    assert [int(assembler.slots[place.slot].value[0]) for place in places] == list(range(20))


@settings(max_examples=80, deadline=None)
@given(
    drawn=programs(), tier=st.sampled_from(sorted(TIERS)),
    by=st.sampled_from([
        ["products by a library"], ["batches by a library", "nothing written out"], ["operands in rows"],
        ["products by a library", "factors transposed"],
    ]),
)  # fmt: skip
def test_any_order_of_axes(drawn: Any, tier: str, by: list[str]) -> None:
    function, args = drawn
    with limited(["chains of products", *by]):
        Case("batches", function, args, None).check(tier)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations("bhij"), summed=st.sampled_from(["b", "h", "i", "j", "bi", "hj"]), is_left=st.booleans())
def test_products_of_no_batch_of_arrays_that_others_read_as_one(order: list[str], summed: str, is_left: bool) -> None:
    """Their free axes had the order of the array, which had been turned for the others: a Hessian was wrong."""
    of_x, of_m = "".join(order), summed + "w"
    random = np.random.default_rng(0)
    x, y, m = (random.integers(-3, 4, (2,) * n).astype(float) for n in (4, 3, len(of_m)))
    operands = f"{of_x},{of_m}" if is_left else f"{of_m},{of_x}"  # the axes of the result are in alphabetical order

    def function(x: Any, y: Any, m: Any) -> Any:
        field = fnp.sign(x - 1) + 2
        batches = [fnp.einsum(f"{of_x},bjk->bhik", field, y * k) for k in (1, 2, 3)]
        return fnp.einsum(operands, *((field, m) if is_left else (m, field))), batches

    Case("batches", function, (x, y, m), None).check("quick")


@settings(max_examples=20, deadline=None)
@given(
    axes=st.tuples(*map(st.permutations, ("bik", "bkj", "bij"))), data=st.data(), dtype=st.sampled_from(["f4", "f8", "i8"]),
    step=st.sampled_from([1, 2, -1]), summed=st.sampled_from([9, 12, 16]),
)  # fmt: skip
def test_small_matrices_of_a_batch_are_multiplied_by_a_library(
    axes: Any, data: Any, dtype: str, step: int, summed: int
) -> None:
    of_x, of_y, of_z = map("".join, axes)
    rows, columns = data.draw(st.tuples(*[st.sampled_from([2, 5, 7])] * 2))
    extents, random = {"b": 3, "i": rows, "j": columns, "k": summed}, np.random.default_rng(0)
    x, y = (
        random.integers(-3, 4, [abs(step) * extents[axis] for axis in own]).astype(dtype)[(slice(None, None, step),) * 3]
        for own in (of_x, of_y)
    )
    function = lambda x, y: fnp.einsum(f"{of_x},{of_y}->{of_z}", x, y)  # noqa: E731
    (found,) = natively(staged(function, (x, y)), (x, y), "quick")
    np.testing.assert_array_equal(found, np.einsum(f"{of_x},{of_y}->{of_z}", x, y))
    links = [link for i in assembled(function, x, y).block for link in getattr(i, "links", [i])]
    is_for_library = dtype != "i8" and min(rows, columns) >= 5
    assert any(isinstance(link, ProductRun) for link in links) == is_for_library


@pytest.mark.parametrize("columns", [2, 6])
@pytest.mark.parametrize("by", [[], ["chains of products", "batches by a library"]])
def test_parts_of_matrices_are_multiplied_by_a_library(columns: int, by: list[str]) -> None:
    """A kernel reads a part of an array, from its first element on."""
    x = np.random.default_rng(0).integers(-3, 4, (1000, 12, 13)).astype(float)

    def loss(x: Any) -> Any:
        factor = np.reshape(np.concatenate([x, x, x]), (-1,))[: 1000 * 7 * columns * 2]
        return np.sum((x[:, :9, :7] @ np.reshape(factor, (1000, 7, columns, 2)).sum(-1)) ** 2)

    with limited(by):
        Case("parts", ft.grad(lambda x: loss(np.reshape(x, (1000, 12, 13)))), (x.reshape(20, 50, 12, 13),), None).check(
            "quick"
        )


def links_of(function: Any, *args: Any) -> list[Any]:
    """The instructions of a function, those of chains too."""
    return [link for i in assembled(function, *args).block for link in getattr(i, "links", [i])]


def test_products_over_the_same_space_are_all_left_to_a_library() -> None:
    x, y, z = np.random.default_rng(0).integers(-3, 4, (3, 5, 12, 12)).astype(float)
    function = lambda x, y, z: (z @ y.mT, x.mT @ z)  # noqa: E731
    assert sum(isinstance(link, ProductRun) for link in links_of(function, x, y, z)) == 2
    found = natively(staged(function, (x, y, z)), (x, y, z), "quick")
    for product, wanted in zip(found, (z @ y.mT, x.mT @ z), strict=True):
        np.testing.assert_array_equal(product, wanted)


@pytest.mark.parametrize(("shape", "is_transposed"), [((2, 40, 9, 20), 1), ((2, 9, 40, 20), 1), ((1, 9, 9, 400), 0)])
def test_products_of_rows_with_rows_transpose_the_smaller_factor(shape: tuple[int, ...], is_transposed: int) -> None:
    (count, rows, columns, terms), random = shape, np.random.default_rng(0)
    x, y = (random.integers(-3, 4, (count, n, terms)).astype(float) for n in (rows, columns))
    links = links_of(lambda x, y: x @ y.mT, x, y)
    (product,) = (link for link in links if isinstance(link, ProductRun))
    assert (product.x.strides[2], product.y.strides[1]).count(8) == 2 - is_transposed
    copied = [link.targets[0] for link in links if isinstance(link, KernelRun)]
    assert [prod(place.shape) for place in copied] == [count * min(rows, columns) * terms] * is_transposed
    (found,) = natively(staged(lambda x, y: x @ y.mT, (x, y)), (x, y), "quick")
    np.testing.assert_array_equal(found, x @ y.mT)


@settings(max_examples=12, deadline=None)
@given(
    rows=st.integers(1, 34), terms=st.integers(1, 40), columns=st.integers(1, 120),
    dtype=st.sampled_from(["f4", "f8"]), orders=st.tuples(*[st.sampled_from("CF")] * 2),
    machine=st.sampled_from(MACHINES), tier=st.sampled_from(sorted(TIERS)),
)  # fmt: skip
def test_products_of_few_rows(
    rows: int, terms: int, columns: int, dtype: str, orders: Any, machine: Any, tier: str
) -> None:
    """Whatever the extents and orders, and whatever the vectors of the processor."""
    random = np.random.default_rng(0)
    x, y = (
        np.asarray(random.integers(-3, 4, shape), dtype, order)
        for shape, order in zip(((rows, terms), (terms, columns)), orders)
    )
    with limited(("few rows by kernels", "products by a library")), processor(machine):
        (found,) = natively(staged(lambda x, y: x @ y, (x, y)), (x, y), tier)
    np.testing.assert_array_equal(found, x @ y)


@pytest.mark.parametrize(("rows", "is_few"), [(2, True), (32, True), (33, False)])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_large_matrices_meet_few_rows_in_kernels(rows: int, is_few: bool, is_transposed: bool) -> None:
    x, y = np.ones((rows, 200)), np.ones((90, 200)).T if is_transposed else np.ones((200, 90))
    assert any(isinstance(link, ProductRun) for link in links_of(lambda x, y: x @ y, x, y)) != is_few


def test_long_sums_of_few_rows_are_added_in_parts() -> None:
    """Ones after a large number: each would be lost in a single sum of single precision."""
    x, y = np.ones((2, 20_000), np.float32), np.ones((20_000, 8), np.float32)
    x[:, 0] = 2**24
    (found,) = natively(staged(lambda x, y: x @ y, (x, y)), (x, y))
    np.testing.assert_allclose(found, 2**24 + 19_999, rtol=3e-4)


def mixture(means: Any, factors: Any, x: Any) -> Any:
    """The likelihood of points, whose axis comes first, for components, which are the batch of the products."""
    centred = x[:, None, :] - means
    scaled = fnp.einsum("kij,nkj->nki", factors, centred)
    return fnp.sum(fnp.log(fnp.sum(fnp.exp(-0.5 * fnp.sum(scaled**2, 2)), 1)))


def attention(q: Any, k: Any, v: Any) -> Any:
    """Heads between positions and features, as most programs have them."""
    scores = fnp.einsum("bthd,bshd->bhts", q * 0.3, fnp.tanh(k))
    return fnp.einsum("bhts,bshd->bthd", ft.nn.softmax(scores), v)


def cases() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    random = np.random.default_rng(0)
    means, factors, x = random.normal(size=(12, 18)), random.normal(size=(12, 18, 18)), random.normal(size=(90, 18))
    q, k, v = random.normal(size=(3, 9, 30, 4, 20))
    gradient = ft.grad(lambda *args: fnp.sum(attention(*args) ** 2), (0, 1, 2))
    return {
        "mixture": (ft.value_and_grad(mixture, (0, 1)), (means, 0.1 * factors, x)),
        "attention": (attention, (q, k, v)), "its gradient": (gradient, (q, k, v)),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["mixture", "attention", "its gradient"])
@pytest.mark.parametrize("tier", sorted(TIERS))
def test_programs_with_batches(name: str, tier: str) -> None:
    function, args = cases()[name]
    Case(name, function, args, 1e-11).check(tier)


def test_the_batch_comes_first() -> None:
    """Neither is anything copied for a product, nor are its matrices far apart; and all runs component by component."""
    function, args = cases()["mixture"]
    block = assembled(function, *args).block
    run = [link for i in block for link in getattr(i, "links", [i])]
    products = [link for link in run if isinstance(link, ProductRun)]
    assert len(products) == 3
    for product in products:
        for place in product[:3]:
            assert place.strides[0] == max(place.strides)
    assert all(isinstance(link, KernelRun) for link in run if link not in products)
    mixed = [i for i in block if isinstance(i, ChainRun) and any(isinstance(link, ProductRun) for link in i.links)]
    assert [chain.rows for chain in mixed] == [12, 12]


def rows(block: Any) -> list[list[int]]:
    """The rows of the links of each chain with products, and of the products in no chain."""
    links = [getattr(i, "links", [i]) for i in block]
    return [[run.rows for run in group] for group in links if any(isinstance(run, ProductRun) for run in group)]


def test_several_axes_are_one_batch_of_a_chain() -> None:
    """Matrices are copied for products before the chain, not between its links."""
    for name in ("attention", "its gradient"):
        function, args = cases()[name]
        (chain,) = rows(assembled(function, *args).block)
        assert set(chain) == {9 * 4}


def test_short_kernels_run_before_chains() -> None:
    def function(x: Any, y: Any) -> Any:
        z = fnp.exp(x)
        total = fnp.sum(z, 1, keepdims=True)
        return fnp.max(z * total * fnp.sum(fnp.cos(y)), 1)

    x, y = np.random.default_rng(0).normal(size=(300, 200)), np.arange(20.0)
    short, chain = assembled(function, x, y).block
    assert isinstance(short, KernelRun)
    assert short.kernel.shape == (20,)
    assert [link.rows for link in chain.links] == [300] * 3
    for name in sorted(TIERS):
        Case("short kernels", function, (x, y), 1e-12).check(name)


def test_what_others_read_stays_as_it_is() -> None:
    """One product in another order does not pay for two transposed results."""

    def function(x: Any, y: Any) -> Any:
        z = fnp.exp(x)
        return z, z + 1, fnp.einsum("nki,kij->nkj", z, y)

    jaxpr = simplify(staged(function, (np.ones((30, 9, 20)), np.ones((9, 20, 20)))))
    assert [v.aval.shape for eqn in jaxpr.eqns if eqn.primitive.name == "exp" for v in eqn.outputs] == [(30, 9, 20)]


def test_exact_programs_are_not_turned() -> None:
    function, args = cases()["mixture"]
    jaxpr = simplify(staged(function, args), exact=True)
    assert (90, 12, 18) in [v.aval.shape for eqn in jaxpr.eqns for v in eqn.outputs if eqn.primitive.name == "subtract"]


def test_large_matrices_are_shared_one_by_one() -> None:
    """A chain over few or large matrices would leave threads without work, or fill no cache."""

    def function(x: Any, y: Any) -> Any:
        return fnp.tanh(fnp.tanh(x) @ y)

    for count, size in ((4, 40), (8, 300)):
        x = np.ones((count, size, size))
        assert any(isinstance(i, ProductRun) for i in assembled(function, x, x).block)
    x = np.ones((16, 40, 40))
    (chain,) = assembled(function, x, x).block
    assert isinstance(chain, ChainRun)
    assert len(chain.links) == 3
    assert "in 1 chain" in repr(ft.jit(function).lower(x, x).explain())
