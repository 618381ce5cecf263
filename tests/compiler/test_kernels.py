"""Kernels: tiny axes that are written out, orders of loops, and divisions that are prepared before a loop."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.accesses import structure_of
from functrans.compiler.backends.cpu import codegen
from functrans.compiler.backends.cpu.layouts import tile_for
from functrans.compiler.instructions import KernelRun, copying
from functrans.compiler.loopnest import (
    INT,
    Affine,
    Apply,
    Constant,
    Kernel,
    Load,
    Output,
    constant,
    normalized,
    point,
)
from functrans.compiler.operations.values import DOUBLE
from functrans.compiler.places import Place
from functrans.compiler.unrolling import unrolled
from tests.fuzz import Case
from tests.helpers.bits import assert_same_bits, special_array
from tests.helpers.tiers import TIERS, assembled, interpreted, natively, staged

fnp = ft.numpy
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
TIER = st.sampled_from(["quick", "thorough", "threads"])
EXTENT = st.sampled_from([1, 2, 3, 4, 5, 8, 9, 40])


# ---- tiny axes


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=3), st.sampled_from([2, 3, 4]), st.booleans())
def test_axes_written_out_share_what_is_the_same(offsets: list[int], extent: int, is_along: bool) -> None:
    """Numbers and indices that are computed for each load are computed once; the others as before."""
    f8, shape = np.dtype(float), (100, extent)

    def element(offset: int, *index: Affine) -> Load:
        start = normalized(Load("n", (), INT), 7, 5 + abs(offset) % 2)
        return Load("x", (index[0], index[1] if is_along else Affine(0, ()), Affine(offset, ()).shifted(start)), f8)

    total = reduce(lambda x, y: Apply("add", (x, y), f8), [element(k, *point(2)) for k in offsets])
    outputs = tuple(Output(Apply(name, (total,), f8), None) for name in ("exp", "sin"))
    places = (Place(0, 0, (100, extent, 9), f8, (80 * extent, 72, 8)), Place(1, 0, (), INT, ()))
    targets = tuple(Place(k, 0, shape, f8, (8 * extent, 8)) for k in (2, 3))
    run = unrolled(KernelRun(Kernel(shape, 0, outputs, ("x", "n")), places, targets), False)
    everything = run.kernel.expressions()
    assert len(set(everything)) == len(everything)
    assert [target.offset for target in run.targets] == [8 * i for _ in outputs for i in range(extent)]


@given(st.integers(-20, 20), st.integers(1, 9), st.data())
def test_known_offsets_are_numbers(start: int, extent: int, data: st.DataObject) -> None:
    largest = data.draw(st.integers(0, extent))
    found = normalized(constant(start, INT), extent, largest)
    assert isinstance(found, Constant)
    assert found.number == np.clip(start + extent if start < 0 else start, 0, largest)


REDUCTIONS = {"sum": fnp.sum, "max": fnp.max, "min": fnp.min, "prod": fnp.prod, "any": fnp.any}


@st.composite
def reductions(draw: Any) -> Any:
    """A few reductions of one product of arrays that broadcast to one another, in drawn layouts; nothing rounds."""
    shape = tuple(draw(st.lists(EXTENT, min_size=1, max_size=3)))
    masks = draw(st.lists(st.tuples(*[st.booleans()] * len(shape)), min_size=1, max_size=3))
    orders = draw(st.lists(st.sampled_from("CF"), min_size=len(masks), max_size=len(masks)))
    dtype = draw(st.sampled_from(["f8", "f4", "i4"]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    args = [
        random.integers(-1, 2, [n if keeps else 1 for n, keeps in zip(shape, mask)]).astype(dtype, order=order)
        for mask, order in zip(masks, orders)
    ]
    subsets = st.lists(st.integers(0, len(shape) - 1), unique=True, max_size=len(shape)).map(tuple)
    reduced = draw(st.lists(st.tuples(st.sampled_from(sorted(REDUCTIONS)), subsets), min_size=1, max_size=3))

    def function(*xs: Any) -> Any:
        whole = fnp.broadcast_to(xs[0], shape)
        for x in xs[1:]:
            whole = whole * x
        results = [REDUCTIONS[name](whole - 1, axis=axes, keepdims=True) for name, axes in reduced]
        return results, [whole + y for y in results]

    return function, args


@settings(max_examples=80)
@given(drawn=reductions(), tier=TIER)
def test_reductions_along_tiny_axes(drawn: Any, tier: str) -> None:
    function, args = drawn
    Case("reductions", function, tuple(args), None).check(tier)


def accelerations(x: Any, m: Any) -> Any:
    apart = x[None, :, :] - x[:, None, :]
    squares = fnp.sum(apart**2, axis=-1) + 0.01
    return fnp.sum(apart * (m / (squares * fnp.sqrt(squares)))[:, :, None], axis=1)


def test_pairs_of_points_are_not_stored() -> None:
    n = 50
    random = np.random.default_rng(0)
    x, m = random.standard_normal((n, 3)), random.uniform(size=n)
    assert assembled(accelerations, x, m).arena < 8 * n * n
    for name in ("quick", "thorough", "threads"):
        Case("accelerations", accelerations, (x, m), 1e-13).check(name)


@pytest.mark.parametrize("name", ["quick", "thorough"])
@pytest.mark.parametrize("shape", [(40, 3), (40, 2, 3), (1, 3), (40, 1, 4)], ids=str)
def test_lengths_of_vectors(shape: tuple[int, ...], name: str) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    unit = lambda x: x / fnp.sqrt(fnp.sum(x**2, axis=-1, keepdims=True))  # noqa: E731
    assert len(assembled(unit, x).block) == 1
    Case("unit vectors", unit, (x,), 1e-14).check(name)


def test_few_numbers_are_added_as_numpy_adds_them() -> None:
    x = np.random.default_rng(0).standard_normal((100, 7)) * 10.0 ** np.arange(7)
    for dtype in (np.float64, np.float32, np.complex128):
        y = x.astype(dtype)
        np.testing.assert_array_equal(ft.jit(lambda y: y.sum(1))(y), y.sum(1))


def test_half_precision_is_added_in_single() -> None:
    x = np.full((50, 6), 0.1, np.float16)
    np.testing.assert_array_equal(ft.jit(lambda x: x.sum(1))(x), x.sum(1))


# ---- divisions


def divide_rows(x: Any, d: Any) -> Any:
    return x / d[:, None]


def assert_quotients(x: Any, d: Any, name: str) -> None:
    """The quotients that IEEE 754 asks for; tiny ones may be off by a unit in the last place."""
    (found,) = natively(staged(divide_rows, (x, d)), (x, d), name)
    with np.errstate(all="ignore"):
        wanted = x / d[:, None]
    is_tiny = (abs(wanted) < 2.0**-960) & (wanted != 0)
    same = (found.view(np.int64) == wanted.view(np.int64)) | (np.isnan(found) & np.isnan(wanted))
    assert np.all(same | is_tiny)
    assert np.all(abs(found - wanted)[is_tiny] <= np.spacing(abs(wanted))[is_tiny])


@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 32), tier=TIER, spread=st.sampled_from([0, 5, 60, 1000]))
def test_quotients_of_rows(seed: int, tier: str, spread: int) -> None:
    random = np.random.default_rng(seed)
    drawn = [
        random.uniform(-2, 2, shape) * 2.0 ** random.integers(-spread, spread + 1, shape) for shape in ((25, 200), 25)
    ]
    assert_quotients(*drawn, tier)


@pytest.mark.parametrize("tier", ["quick", "thorough"])
def test_quotients_of_special_numbers(tier: str) -> None:
    random = np.random.default_rng(0)
    special = np.array([0, 1, 3, np.inf, np.nan, 5e-324, 2e-308, 1.7e308, 2.0**900, 2.0**-900, 2.0**-1022, 1 / 3])
    d = np.concatenate([special, -special, special_array(random, (40,), np.dtype("f8"))])
    assert_quotients(np.broadcast_to(d, (len(d), len(d))).copy(), d, tier)


@settings(max_examples=20)
@given(seed=st.integers(0, 1 << 32))
def test_exact_quotients_are_exact(seed: int) -> None:
    random = np.random.default_rng(seed)
    d, q = random.integers(1, 1 << 26, 30).astype(float), random.integers(-(1 << 26), 1 << 26, (30, 50)).astype(float)
    (found,) = natively(staged(divide_rows, (q * d[:, None], d)), (q * d[:, None], d))
    np.testing.assert_array_equal(found, q)


# ---- orders of loops and strides


@settings(max_examples=30)
@given(
    steps=st.lists(st.sampled_from([-7, -2, -1, 1, 2, 3, 4, 5]), min_size=2, max_size=2),
    order=st.permutations([0, 1]),
    tier=TIER,
)
def test_strided_operands(steps: list[int], order: list[int], tier: str) -> None:
    x = np.arange(80.0 * 70).reshape(80, 70)[:: steps[0], :: steps[1]].transpose(order)

    def function(x: Any) -> Any:
        return x * 2, fnp.sum(x, 0), fnp.sum(x * x, 1), fnp.max(x), x[::-1] + x

    Case("strides", function, (x,), None).check(tier)



# ---- contractions of few terms


@settings(max_examples=40)
@given(
    extents=st.tuples(*[st.sampled_from([1, 2, 3, 4, 7, 40])] * 3),
    terms=st.integers(1, 4),
    spec=st.sampled_from(["ik,kj->ij", "ki,kj->ij", "bik,bkj->bij", "ik,jk->ji"]),
    dtype=st.sampled_from(["f8", "f4", "c16"]),
    tier=TIER,
)
def test_contractions_of_few_terms(extents: Any, terms: int, spec: str, dtype: str, tier: str) -> None:
    sizes = {**dict(zip("bij", extents)), "k": terms}
    random = np.random.default_rng(0)
    first, second = (
        random.integers(-9, 9, [sizes[axis] for axis in part]).astype(dtype)
        for part in spec.split("->")[0].split(",")
    )

    def function(x: Any, y: Any) -> Any:
        product = fnp.einsum(spec, x + 1, y * 2)
        return product + 1, fnp.sum(product, axis=-1)

    Case("contractions", function, (first, second), None).check(tier)


def test_a_rank_one_update_is_one_kernel() -> None:
    a, x, y = np.ones((30, 40)), np.arange(30.0), np.arange(40.0)
    update = lambda a, x, y: a + fnp.outer(x * 2, y)  # noqa: E731
    assert [type(i).__name__ for i in assembled(update, a, x, y).block] == ["KernelRun"]
    Case("rank one", update, (a, x, y), None).check("quick")


MOVES: dict[str, Any] = {
    "transposed": lambda x: x.T, "reversed": lambda x: x[:, ::-1], "a part": lambda x: x[1:, :2],
    "repeated": lambda x: np.broadcast_to(x, (2, *x.shape)), "a row": lambda x: x[0], "both": lambda x: x.T[::-1, 1:],
    "reshaped": lambda x: x.reshape(-1),
}  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    moves=st.lists(st.sampled_from(sorted(MOVES)), min_size=1, max_size=3), of=st.lists(st.integers(0, 2), min_size=3),
    is_returned=st.booleans(), is_read=st.booleans(), tier=TIER,
)  # fmt: skip
def test_results_that_only_move_what_was_computed(
    moves: list[str], of: list[int], is_returned: bool, is_read: bool, tier: str
) -> None:
    def function(x: Any, u: Any, v: Any) -> Any:
        computed = [fnp.outer(u, v) + 1, np.exp(x) * u[:, None], fnp.einsum("ij,i->ji", x, u).T]
        moved = [MOVES[name](computed[i]) for name, i in zip(moves, of)]
        moved += [(np.cos(y) * y)[::-1] for y in moved] if is_read else []
        return (*moved, *computed) if is_returned else moved

    rng = np.random.default_rng(0)
    Case("moved", function, (rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=4)), 1e-12).check(tier)


def test_a_result_that_was_moved_is_read_by_another_one() -> None:
    def function(x: Any, y: Any) -> Any:
        back = (x * y)[::-1]
        return back, (np.cos(back) * y)[::-1], (np.exp(back) * back).reshape(2, -1).T

    x = np.random.default_rng(0).normal(size=6)
    Case("moved", function, (x, x + 1), 1e-15).check("quick")


def test_what_a_view_shows_is_computed_again_before_the_view_is_made() -> None:
    def function(x: Any) -> Any:
        moved = fnp.sort(x).reshape(3, 1, 4)
        first = moved[:, 0, 0] + 1
        return fnp.sin(first), fnp.exp(first), fnp.sort(moved), fnp.cos(first)

    x = np.random.default_rng(0).normal(size=(3, 4))
    Case("moved", function, (x,), 1e-15, ("small kernels",)).check("quick")


def test_products_whose_axes_are_moved_are_computed_where_they_belong() -> None:
    x, y, u, v = np.ones((30, 40)), np.ones((30, 40)), np.ones(30), np.ones(40)
    pull = lambda x, y, ct: ft.vjp(lambda x, y: np.einsum("ij,ij->j", x, y), x, y)[1](ct)  # noqa: E731
    for function, args in ((pull, (x, y, v)), (lambda u, v: np.outer(u, v).T, (u, v)), (lambda x: np.exp(x)[3:], (x,))):
        assert [type(i).__name__ for i in assembled(function, *args).block] == ["KernelRun"]
    # What would be read across its rows twice is not.
    assert len(assembled(lambda x, y: (x * y).T, x, y).block) == 2


def test_copies_under_another_shape_are_made_where_they_belong() -> None:
    x = np.arange(12.0).reshape(3, 4)
    copies: list[Any] = [lambda x: np.tile(x, 3), lambda x: np.repeat(x, 3, axis=0), lambda x: x.T.reshape(-1)]
    for function in copies:
        assert len(assembled(function, x).block) == 1
        for argnums in ((), (0,)):
            np.testing.assert_array_equal(ft.jit(function, donate_argnums=argnums)(x.copy()), function(x))
        steps = ft.jit(lambda x, f=function: lax.fori_loop(0, 3, lambda _, x: f(x).reshape(-1)[:12].reshape(3, 4), x))
        wanted = x
        for _ in range(3):
            wanted = function(wanted).reshape(-1)[:12].reshape(3, 4)
        np.testing.assert_array_equal(steps(x), wanted)


@pytest.mark.parametrize("name", ["quick", "thorough", "threads"])
@pytest.mark.parametrize("shape", [(300, 261), (300, 512), (9, 1000), (3, 70, 300), (1000, 7), (70, 40)], ids=str)
def test_transposed_arrays_are_read_tile_by_tile(shape: tuple[int, ...], name: str) -> None:
    random = np.random.default_rng(0)
    x = random.integers(-9, 9, (*shape[:-2], shape[-1], shape[-2])).astype(float)
    y = random.integers(-9, 9, shape).astype(float)
    turn = lambda x, y: (np.swapaxes(x, -1, -2) * 2 + y, np.swapaxes(x, -1, -2) - 1)  # noqa: E731
    Case("transposed", turn, (x, y), None).check(name)
    Case("transposed", turn, (np.asfortranarray(x), y[..., ::-1]), None).check(name)


@given(rows=st.integers(1, 600), stride=st.integers(8, 1100).map(lambda n: 8 * n))
@example(rows=200, stride=4096)
@example(rows=20, stride=4096)
@example(rows=100, stride=1024)
def test_what_is_read_across_fits_into_the_cache(rows: int, stride: int) -> None:
    """The lines of a column lie in so many of the cache's 64 places, each of which has room for eight."""
    tile = tile_for([(0, 600), (1, rows)], [(8, stride), (8 * rows, 8)])
    places = len({line * stride // 64 % 64 for line in range(4096)})
    width = rows if tile is None else tile[1]
    assert width <= max(8 * places, 16)
    assert tile is None or rows > width


# ---- values that are read at other places


@pytest.mark.parametrize("length", [3, 120, 280, 700])
def test_long_chains_are_computed_where_they_are_read(length: int) -> None:
    """However long an expression is that a reader elsewhere computes again, and however it was composed."""

    def function(x: Any) -> Any:
        y = x
        for _ in range(length):
            y = -(y + x)
        return y[::-1] + y.T[:3]

    x = np.arange(9.0).reshape(3, 3)
    program = staged(function, (x,))
    np.testing.assert_array_equal(natively(program, (x,), "quick")[0], interpreted(program, (x,))[0])


def gates(psi: Any, gate: Any) -> Any:
    """A gate for each axis of an array with two elements along each."""
    for axis in range(psi.ndim):
        psi = np.moveaxis(np.tensordot(gate, psi, axes=[[1], [axis]]), 0, axis)
    return psi


@pytest.mark.parametrize("dtype", [float, complex])
def test_chains_of_tiny_contractions_are_not_computed_again_and_again(dtype: Any) -> None:
    """Each one reads the one before at two places, through a view: nested, they would take 2**n times as long."""
    rng, axes = np.random.default_rng(0), 9
    psi, gate = rng.normal(size=(2,) * axes).astype(dtype), rng.normal(size=(2, 2)).astype(dtype)
    compiled = ft.jit(gates)
    np.testing.assert_allclose(compiled(psi, gate), gates(psi, gate), rtol=1e-12, atol=1e-12)
    assert compiled.lower(psi, gate).cost.total.operations <= 4 * 3 * axes * psi.size


def links(a: Any, b: Any, length: int) -> Any:
    """An element of a product of many matrices, as of the pose of the last link of an arm."""
    product = a
    for _ in range(length):
        product = product @ b @ a
    return product[0, 1] * 2


@pytest.mark.parametrize("extent", [2, 3, 4])
def test_an_element_of_a_chain_of_small_products_takes_what_the_chain_takes(extent: int) -> None:
    """What the space of all elements is too large for is not computed for one element over and over again."""
    a, b = np.random.default_rng(0).normal(size=(2, extent, extent))
    jitted = ft.jit(links, static_argnums=2)
    for length in (1, 2, 3, 8):
        np.testing.assert_allclose(jitted(a, b, length), links(a, b, length), rtol=1e-9)
        assert jitted.lower(a, b, length).cost.total.operations <= 10 * length * 2 * extent**3


@given(st.data())
@settings(max_examples=40)
def test_kernels_over_other_extents_have_what_was_derived(data: Any) -> None:
    rank = data.draw(st.integers(0, 3))
    shapes = [tuple(data.draw(st.lists(EXTENT, min_size=rank, max_size=rank))) for _ in range(2)]
    first, second = (copying(Place(0, 0, shape, np.dtype(float), shape)) for shape in shapes)
    assert (first.shape, second.shape) == tuple(shapes)
    assert structure_of(first) is structure_of(second)
    assert first[1:] == second[1:]


# ---- what texts are known by

NUMBER = st.sampled_from([0.0, 0.5, 1.0, 3.0, 7.0, 0.1])
APPLIED = st.tuples(st.sampled_from(["add", "multiply", "divide", "maximum"]), st.booleans(), st.integers(0, 2))


@given(st.lists(APPLIED, max_size=4), st.booleans(), *[st.lists(NUMBER, min_size=3, max_size=3)] * 2)
def test_kernels_are_alike_if_and_only_if_their_texts_are(
    steps: list[tuple[str, bool, int]], fills: bool, first: list[float], second: list[float]
) -> None:
    def kernel(numbers: list[float]) -> Kernel:
        constants = [constant(number, DOUBLE) for number in numbers]
        expression: Any = Load(0, point(1), DOUBLE)
        for operation, is_left, number in steps:
            operands = (constants[number], expression) if is_left else (expression, constants[number])
            expression = Apply(operation, operands, DOUBLE)
        outputs = [Output(expression, None), *[Output(constants[0], None)] * fills]
        return Kernel((5,), 0, tuple(outputs), (0,))

    kernels = [kernel(numbers) for numbers in (first, second)]
    count = 2 + fills
    layout = codegen.Layout(1, None, False, 0, (1,) * count, ((),) * count, tuple(range(count)))
    one, other = (codegen.written(k, layout, "kernel").text for k in kernels)
    assert (structure_of(kernels[0]) == structure_of(kernels[1])) == (one == other)


def test_a_second_shape_writes_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that come of extents are arguments of kernels, and no reason to write a text again."""
    kept: dict[Any, Any] = {}
    monkeypatch.setattr(codegen, "_kept", kept)
    gradient = ft.jit(ft.grad(lambda x: np.mean(np.sin(x) ** 2) + np.var(x)))
    gradient(np.linspace(0, 1, 12))
    before = list(kept)
    gradient(np.linspace(0, 1, 14))
    assert before
    assert list(kept) == before


def test_an_index_made_of_shared_parts_is_looked_at_once() -> None:
    """Each step of a binary search uses the one before several times: to follow every way there would take for ever."""
    e: Any = constant(1, INT)
    for _ in range(200):
        e = Apply("add", (e, e), INT)
    load = Load(0, (Affine(0, (), ((1, e),)),), INT)
    assert {load: 1}[load] == 1


def test_what_is_overwritten_is_not_stored_by_masks():
    """Where only some elements change: kernels in place, and loops over single elements."""
    x, y = np.random.default_rng(0).normal(size=(2, 5000))
    in_place = lambda x, y: lax.fori_loop(0, 3, lambda i, x: np.where(x < y * i, y - x, x), x)  # noqa: E731
    one_by_one = lambda x, y: lax.fori_loop(  # noqa: E731
        0, 50, lambda i, x: lax.fori_loop(0, 40, lambda j, x: fnp.at(x)[j].set(np.where(x[j] < y[i], y[i], x[j])), x), x
    )
    for function in (in_place, one_by_one):
        lowered = ft.jit(function).lower(x, y)
        assert "freeze" in str(lowered.llvm)
        jaxpr = staged(function, (x, y))
        for name in TIERS:
            assert_same_bits(natively(jaxpr, (x, y), name), interpreted(jaxpr, (x, y)))


def test_complex_numbers_are_overwritten_in_vectors():
    """LLVM has no vectors of pairs, so these are frozen part by part. What is computed here is exact."""
    c = (np.random.default_rng(0).integers(-8, 9, (50, 100, 2)) / 4.0).view(complex)[..., 0]

    def escape(c):
        def step(i, state):
            z, count = state
            is_near = np.abs(z) < 2
            return np.where(is_near, z * z + c, z), count + is_near

        return lax.fori_loop(0, 4, step, (c, fnp.zeros(c.shape, int)))

    assert "fmul <" in ft.jit(escape).lower(c).optimized_llvm
    jaxpr = staged(escape, (c,))
    for name in TIERS:
        assert_same_bits(natively(jaxpr, (c,), name), interpreted(jaxpr, (c,)))
