"""Arrays made of parts: which memory they share, that nothing is overwritten too early, and that little is copied."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler import overlap, regions
from functrans.compiler.assembly import assemble
from functrans.compiler.backends.cpu.codegen import supports
from functrans.compiler.inspection.listing import is_copy
from functrans.compiler.instructions import KernelRun, LoopRun
from functrans.compiler.overlap import accessed, are_same, do_overlap, with_units
from functrans.compiler.places import Place, contiguous_strides
from functrans.compiler.program import fused
from functrans.compiler.regions import Region, around, copy_around, surroundings
from functrans.core.avals import ShapedArray
from functrans.core.primitive import registry
from tests.fuzz import Case, cases
from tests.helpers.calls import calls_in
from tests.helpers.tiers import staged

fnp = ft.numpy
set_at = lambda x, index, value: fnp.at(x)[index].set(value)  # noqa: E731
F8 = np.dtype("f8")
SHAPE = (40, 50)
X, Y = (np.random.default_rng(k).integers(-3, 4, SHAPE).astype(float) for k in (0, 1))
INNER = (slice(1, -1), slice(1, -1))


# ---- random programs


@settings(max_examples=40)
@given(case=cases(("stencils",)), tier=st.sampled_from(["quick", "quick", "quick", "thorough", "threads"]))
def test_assignments_to_regions(case: Case, tier: str) -> None:
    case.check(tier)


# ---- overlap


@st.composite
def places(draw: st.DrawFn) -> Place:
    """A view of an array of 4 x 5 x 6 elements."""
    found = Place(0, 0, (4, 5, 6), F8, contiguous_strides((4, 5, 6), 8))
    spans = [draw(st.tuples(st.integers(0, n - 1), st.integers(0, n), st.integers(1, 3))) for n in found.shape]
    found = found.sliced(*zip(*[(first, max(first, last), step) for first, last, step in spans]))
    found = found.reversed(draw(st.sets(st.integers(0, 2))))
    found = found.transposed(draw(st.permutations(range(3))))
    if draw(st.booleans()):  # a diagonal
        n = min(found.shape[:2])
        found = found._replace(shape=(n, found.shape[2]), strides=(sum(found.strides[:2]), found.strides[2]))
    return found._replace(offset=found.offset + draw(st.sampled_from([0, 0, 0, 4, 8])))


def bytes_of(place: Place) -> set[int]:
    starts = {place.offset + int(np.dot(i, place.strides)) for i in np.ndindex(*place.shape)}
    return {start + k for start in starts for k in range(place.dtype.itemsize)}


@settings(max_examples=300)
@given(x=places(), y=places())
def test_overlap_is_what_elements_have_in_common(x: Place, y: Place) -> None:
    assert do_overlap(x, y) == do_overlap(y, x) == bool(bytes_of(x) & bytes_of(y))
    assert not do_overlap(x, y._replace(slot=1))


@pytest.mark.parametrize("distance", range(-9, 10))
def test_overlap_is_counted_in_bytes(distance: int) -> None:
    one = Place(0, 16, (1,), F8, (8,))
    assert do_overlap(one, one._replace(offset=16 + distance)) == (abs(distance) < 8)


def test_overlap_of_large_arrays() -> None:
    whole = Place(0, 0, (5000, 7000), F8, (56000, 8))
    red = whole.sliced((0, 0), (5000, 7000), (1, 2))
    black = whole.sliced((0, 1), (5000, 7000), (1, 2))
    assert not do_overlap(red, black)
    assert do_overlap(red, whole.sliced((4999, 1), (5000, 7000), (1, 1)))
    assert not do_overlap(whole.sliced((0, 6999), (5000, 7000), (1, 1)), whole.sliced((0, 0), (5000, 6999), (1, 1)))
    many = Place(0, 0, (9,) * 6, F8, (7008, 5008, 3024, 1008, 512, 96))
    assert do_overlap(many, many._replace(offset=10008))  # no, but that takes too long to find out


spans = st.tuples(st.integers(0, 29), st.integers(1, 30))


@given(x=st.tuples(*[spans] * 3), y=st.tuples(*[spans] * 3), steps=st.tuples(*[st.integers(1, 4)] * 3))
def test_whether_parts_with_the_same_steps_overlap_is_found_out_in_few_attempts(x: Any, y: Any, steps: Any) -> None:
    whole = Place(0, 0, (30, 30, 30), F8, contiguous_strides((30, 30, 30), 8))
    ranges = [[range(first, min(first + n, 30), step) for (first, n), step in zip(part, steps)] for part in (x, y)]
    parts = [whole.sliced(*zip(*[(r.start, r.stop, r.step) for r in part])) for part in ranges]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "MOST_ATTEMPTS", 16)  # two numbers for each stride
        assert do_overlap(*parts) == all(set(a) & set(b) for a, b in zip(*ranges))


@given(x=places(), shape=st.permutations([1, 1, 4, 5]))
def test_units_make_no_difference(x: Place, shape: list[int]) -> None:
    longer = with_units(x, (1, *x.shape, 1))
    assert longer is not None
    assert are_same(longer, x)
    assert longer.shape == (1, *x.shape, 1)
    found = with_units(Place(0, 0, (4, 5), F8, (40, 8)), shape)
    assert (found is None) == ([n for n in shape if n > 1] != [4, 5])
    assert found is None or found.is_contiguous


def test_what_a_load_reads() -> None:
    jaxpr = staged(lambda x: (x[1:-1, 2:] - x[2:, ::-1][:, :-2]) * 1.0, [X])
    (step,) = fused(jaxpr).steps
    whole = Place(0, 0, SHAPE, F8, contiguous_strides(SHAPE, 8))
    first, second = [accessed(load, whole, step.kernel.shape) for load in step.kernel.loads()]
    assert first == whole.sliced((1, 2), (39, 50), (1, 1))
    assert second == whole.sliced((2, 2), (40, 50), (1, 1)).reversed((1,))


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5), st.integers(0, 6)), max_size=3))
def test_surroundings(axes: list[tuple[int, int, int]]) -> None:
    shape = tuple(n for n, _, _ in axes)
    starts = tuple(first % n for n, first, _ in axes)
    limits = tuple(min(n, first % n + 1 + more) for n, first, more in axes)
    region = Region(starts, limits, (1,) * len(shape))
    counts = np.zeros(shape, int)
    for each in [region, *surroundings(shape, region)]:
        counts[tuple(map(slice, *each))] += 1
    assert (counts == 1).all()
    for each in around(shape, region):
        counts[tuple(map(slice, *each))] += 1
    assert (counts[tuple(map(slice, *region))] >= 1).all()
    counts[tuple(map(slice, *region))] = 2
    assert (counts == 2).all()


# ---- programs in which something would be overwritten too early


def red_black(_: Any, x: Any) -> Any:
    x = set_at(x, slice(1, -1, 2), x[:-2:2] * 2 - x[2::2])
    return set_at(x, slice(2, -1, 2), x[1:-2:2] - x[3::2]) % 7


def part_changed(x: Any, y: Any) -> Any:
    def step(_: Any, c: Any) -> Any:
        a, b = c
        v = (a[11:21] * 2 - y[:10]) % 5
        a = set_at(a, slice(10, 20), v)
        return a, set_at(b, slice(5, 15), set_at(v, slice(None, None, 2), 7.0))

    return lax.fori_loop(0, 3, step, (x, y))


def constant_changed(x: Any, y: Any) -> Any:
    z = np.sort(x)

    def step(i: Any, a: Any) -> Any:
        return lax.dynamic_update_slice(z, np.sign(a[:3]), (i, 0))[::-1] - a

    return lax.fori_loop(0, 4, step, y) * 1


def read_after(x: Any, y: Any) -> Any:
    z = np.sort(y)
    u = x[5:9] - y[5:9]
    z = set_at(z, slice(3, 7), u)
    z = set_at(z, slice(4, 6), np.sort(x[:2]))
    return z * 1, np.sort(u)


def both_at_once(x: Any, y: Any) -> Any:
    z = np.sort(x)
    first, second = x[:20] * 2, y[:20] - x[1:21]
    return set_at(set_at(z, slice(0, 20), first), slice(5, 25), second), first.sum() + second.sum()


def swapped(x: Any, y: Any) -> Any:
    return lax.fori_loop(0, 3, lambda _, c: (set_at(c[1], INNER, c[0][2:, 2:]), set_at(c[0], 0, c[1][1])), (x, y))


def twice(x: Any, y: Any) -> Any:
    def step(_: Any, a: Any) -> Any:
        for _ in range(2):
            a = set_at(a, INNER, a[2:, 1:-1] - a[:-2, 1:-1] + y[1:-1, 2:])
        return set_at(a, (slice(None), 0), a[:, 2]) % 5

    return lax.fori_loop(0, 5, step, x)


def bounded(x: Any, y: Any) -> Any:
    """The border stays in some loops, and changes in others."""

    def relaxed(a: Any) -> Any:
        return set_at(a, INNER, (a[2:, 1:-1] - a[:-2, 1:-1] + y[1:-1, 2:]) % 5)

    def strided(a: Any) -> Any:
        return set_at(a, (slice(1, -1, 2), slice(1, -1, 2)), a[2::2, 2::2] - a[:-2:2, :-2:2])

    steps = [
        relaxed,
        lambda a: set_at(relaxed(a), 0, y[3]),
        lambda a: set_at(relaxed(a), (slice(2, 5), slice(1, 9)), 2.0),
        lambda a: relaxed(relaxed(a)),
        lambda a: relaxed(set_at(a, -1, a[4])),
        lambda a: set_at(set_at(relaxed(a), (3, slice(2, 5)), 1.0), (slice(1, 5), slice(2, -1)), 2.0)[::-1],
        strided,
        lambda a: strided(strided(a)),
        lambda a: relaxed(strided(a)) % 5,
        lambda a: strided(relaxed(a)) % 5,
        lambda a: lax.fori_loop(0, 3, lambda _, a: relaxed(a), set_at(a, 0, a[1])),
        lambda a: np.where(a[0, 0] < 0, relaxed(a), set_at(a, (0, slice(5, 9)), 3.0)),
    ]
    return [lax.fori_loop(0, n, lambda _, a, step=step: step(a), x) for step in steps for n in (1, 4)]


def other_borders(x: Any, y: Any) -> Any:
    """What becomes of a carry does not come from it, or shares its memory with something else for a while."""

    def relaxed(a: Any) -> Any:
        return set_at(a, INNER, (a[2:, 1:-1] - a[:-2, 1:-1]) % 5)

    def changed_after(_: Any, c: Any) -> Any:
        a, total = c
        return relaxed(a), total + np.sort(set_at(a, (slice(0, 2), 0), total[0, 0] + 1))

    def exchanged(_: Any, c: Any) -> Any:
        b = c[0] % 3 - 1
        return relaxed(relaxed(c[1])), b

    return (
        lax.fori_loop(0, 3, exchanged, (x, y)),
        lax.fori_loop(0, 3, changed_after, (x, y)),
    )


def rolled_and_changed(x: Any, y: Any) -> Any:
    def step(_: Any, c: Any) -> Any:
        a, b = c
        r, p = np.roll(a, 3, 0), np.pad(b[1:-1, 1:-1], 1, constant_values=2)
        a = set_at(a, slice(2, 9), p[3:10] - r[1:8])
        b = set_at(b, INNER, p[2:, 1:-1] - r[1:-1, :-2])
        return (a + np.roll(r, -1, 1)) % 5, (b + p) % 5

    return lax.fori_loop(0, 3, step, (x, y))


def pieces_of_pieces(x: Any, y: Any) -> Any:
    r = np.roll(np.roll(np.pad(x, 1), 2, 0), -3, 1)
    both = np.concatenate([r[3:], np.roll(y, 1, 1)[:, :1] * np.ones((1, 52)), r[5:9]])
    far = [np.roll(r, (i, j), (0, 1)) for i in (-2, 1) for j in (-3, 4)]  # too many pieces
    return both[1:-1] * 2, sum(far) + r, np.sum(np.roll(x, 1, 0) * x, 1), np.max(np.roll(x, 1, 1) - x, 1), np.sort(r)


PROGRAMS: dict[str, Callable[..., Any]] = {
    "borders": bounded,
    "rolled, and then changed": rolled_and_changed,
    "pieces of pieces": pieces_of_pieces,
    "rolled over itself": lambda x, y: lax.fori_loop(0, 3, lambda _, a: set_at(a, slice(0, 20), np.roll(a, 1, 0)[:20] - y[3:23]), x),
    "borders of others": other_borders,
    "red and black": lambda x, y: lax.fori_loop(0, 3, red_black, x),
    "a part that is changed": part_changed,
    "constants of a loop": constant_changed,
    "a part that is read later": read_after,
    "two parts by one kernel": both_at_once,
    "exchanged carries": swapped,
    "two steps in one": twice,
    "rows moved down": lambda x, y: lax.fori_loop(0, 3, lambda _, a: set_at(a, slice(1, None), a[:-1]), x),
    "rows moved up, some": lambda x, y: lax.fori_loop(0, 3, lambda _, a: set_at(a, slice(0, 3), a[2:5]), x),
    "turned around": lambda x, y: lax.fori_loop(0, 3, lambda _, a: set_at(a, slice(None), a[::-1, ::-1] + a), x),
    "border": lambda x, y: lax.fori_loop(0, 3, lambda _, a: set_at(set_at(a, (slice(None), -1), a[:, -2]), 0, a[1]), x),
    "computed place": lambda x, y: lax.fori_loop(0, 3, lambda i, a: lax.dynamic_update_slice(a, a[1:5, 1:5] + 1, (i, i)), x),
    "its own place": lambda x, y: lax.fori_loop(0, 3, lambda i, a: lax.dynamic_update_slice(a, a[1:5] + 1, (a[0, 0].astype(int), i)), x),
    "its own indices": lambda x, y: lax.fori_loop(0, 3, lambda _, a: set_at(a, a[0, :4], a[4:8]), x.astype(int)),
    "concatenated twice": lambda x, y: (lambda u: (np.concatenate([u, y, u * 1]), np.concatenate([u, u], 1)))(x + y),
    "padded": lambda x, y: (np.pad(x + y, 2), np.pad(np.pad(x * 2, 1), 1, constant_values=3), np.pad(x - y, 1)[1:-1] + x[:, :1]),
    "zeros": lambda x, y: (set_at(set_at(np.zeros_like(x), INNER, x[2:, 2:] * y[2:, 2:]), 0, y[0]), set_at(fnp.full(SHAPE, 2.0), 3, x[0] - 1)),
}  # fmt: skip


@pytest.fixture
def cheap_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "KERNEL_CALL", 0)


@pytest.mark.usefixtures("cheap_calls")
@pytest.mark.parametrize("name", [*PROGRAMS])
def test_nothing_is_overwritten_too_early(name: str) -> None:
    for tier in ("quick", "threads"):
        Case(name, PROGRAMS[name], (X, Y), None, ("free kernels",)).check(tier)


@st.composite
def pipelines(draw: st.DrawFn) -> Callable[..., Any]:
    """Values of one shape, each made of two others by something that must be finished before it is used."""
    makers = [
        lambda a, b: a - b * 2, lambda a, b: np.sort(a) + b, lambda a, b: a[::-1] - b, lambda a, b: a - b.sum(0),
        lambda a, b: a + b.sum(1, keepdims=True), lambda a, b: set_at(a, INNER, b[INNER]), lambda a, b: np.sort(a),
        lambda a, b: np.concatenate([b[:20], a[20:]]), lambda a, b: a * np.sort(b)[:, :1] + a, lambda a, b: a % 3,
        lambda a, b: np.roll(a, 1, 0) - b, lambda a, b: lax.fori_loop(0, 2, lambda i, c: np.sort(c) - a.sum(0), b),
        lambda a, b: np.where(a[0, 0] > b[0, 0], np.sort(a) * 2, a - b.sum(0)),
    ]  # fmt: skip
    operand = st.integers(0, 2)  # counted from the last value
    steps = draw(st.lists(st.tuples(st.sampled_from(range(len(makers))), operand, operand), min_size=2, max_size=8))
    wanted = draw(st.sets(st.integers(0, len(steps)), max_size=3))
    reshaped = draw(st.sets(st.integers(0, len(steps)), max_size=2))
    repeats = draw(st.booleans())

    def once(x: Any, y: Any) -> Any:
        values = [y * 2, y, x]
        for maker, a, b in steps:
            values.append(makers[maker](values[-1 - a], values[-1 - b]) % 7)
        return values

    def function(x: Any, y: Any) -> Any:
        if repeats:
            x = lax.fori_loop(0, 3, lambda _, c: once(c, y)[-1], x)
        values = once(x, y)
        return values[-1], [values[-1 - k] for k in sorted(wanted)], [values[-1 - k].reshape(-1) for k in reshaped]

    return function


@settings(max_examples=60)
@given(function=pipelines(), tier=st.sampled_from(["quick", "quick", "thorough", "threads"]))
def test_values_that_take_each_others_places(function: Callable[..., Any], tier: str) -> None:
    Case("pipelines", function, (X, Y), None, ("free kernels",)).check(tier)


# ---- what is not copied


def kernels(function: Callable[..., Any], *args: Any) -> list[KernelRun]:
    """The kernels of a program, or of its first loop."""
    jaxpr = staged(function, args)
    block = assemble(jaxpr, fused, supports, [np.asarray(x).strides for x in args]).block
    loops = [run for run in block if isinstance(run, LoopRun)]
    found = []
    for run in loops[0].body if loops else block:
        found += getattr(run, "links", [run])
    return [run for run in found if isinstance(run, KernelRun)]


def sizes(runs: list[KernelRun]) -> list[int]:
    return [prod(run.kernel.shape) for run in runs]


def test_what_is_read_where_it_is_written_is_computed_in_place() -> None:
    def step(_: Any, fields: Any) -> Any:
        e, h = fields
        e = set_at(e, slice(1, None), e[1:] - 0.5 * (h[1:] - h[:-1]))
        return e, set_at(h, slice(None, -1), h[:-1] - 0.7 * (e[1:] - e[:-1]))

    runs = kernels(lambda e, h: lax.fori_loop(0, 9, step, (e, h)), X, Y)
    assert sizes(runs) == [39 * 50, 39 * 50]
    assert all(run.targets[0].slot in {source.slot for source in run.sources} for run in runs)


def test_what_is_read_around_is_computed_into_the_other_carry() -> None:
    x = np.ones((100, 100))
    runs = kernels(lambda x: lax.fori_loop(0, 9, lambda _, a: set_at(a, INNER, a[2:, 1:-1] + a[:-2, 1:-1]), x), x)
    assert max(sizes(runs)) == sizes(runs)[-1] == 98 * 98
    assert sum(sizes(runs)) <= 100 * 100


def test_disjoint_regions_are_copied_in_place() -> None:
    x = np.ones((100_000, 5))
    runs = kernels(lambda x: lax.fori_loop(0, 9, lambda _, a: set_at(a, (slice(None), -1), a[::-1, -2] * 1), x), x)
    assert sizes(runs) == [100_000]


def test_parts_are_computed_where_they_belong() -> None:
    assert sizes(kernels(lambda x, y: np.concatenate([x + y, x * y]), X, Y)) == [2000]
    x = np.ones((100, 100))
    assert sum(sizes(kernels(lambda x: np.pad(x * 2, 1), x))) == 102 * 102
    assert sum(sizes(kernels(lambda x: set_at(np.zeros((102, 102)), INNER, x * 2), x))) == 102 * 102


@pytest.mark.parametrize("shifted", [lambda x: np.roll(x, 1, 1), lambda x: np.pad(x, 1)[2:, 1:-1], lambda x: np.roll(x, (2, -1), (0, 1))])
def test_pieces_are_read_where_they_are(shifted: Callable[..., Any]) -> None:
    x = np.arange(10_000.0).reshape(100, 100)
    runs = kernels(lambda x: shifted(x) * 2 - x, x)
    assert sum(sizes(runs)) == 10_000
    np.testing.assert_array_equal(ft.jit(lambda x: shifted(x) * 2 - x)(x), shifted(x) * 2 - x)


def test_small_arrays_are_put_together_in_memory() -> None:
    assert len(kernels(lambda x: np.roll(x, 1) * 2 - x, np.ones(100))) == 3


def test_parts_that_are_in_memory_are_sooner_read_where_they_are_than_those_that_are_computed() -> None:
    x = np.ones(800)
    assert sum(sizes(kernels(lambda x: np.roll(x, 1) * 2 - x, x))) == 800
    assert sizes(kernels(lambda x: np.pad(np.cumsum(x)[1:-1] * 3, 1) * 2 - np.roll(x, 1) + np.sort(x), x))[-1] < 800
    assert sizes(kernels(lambda x: np.pad(np.exp(x[1:-1]), 1) * x[::-1] - np.pad(np.sin(x[2:]), (0, 2)), x))[-1] == 800


def test_what_becomes_a_result_is_computed_in_its_place() -> None:
    def shares(x: Any) -> Any:
        y = np.exp(x)
        return y / np.sum(y)

    jaxpr = staged(shares, [X])
    assembled = assemble(jaxpr, fused, supports, [X.strides])
    assert assembled.arena < X.nbytes
    (*_, run) = [link for run in assembled.block for link in getattr(run, "links", [run])]
    assert run.targets[0] == assembled.results[0]
    assert run.targets[0].slot in {source.slot for source in run.sources}


def test_what_becomes_a_result_under_another_shape_is_computed_in_its_place() -> None:
    def shares(x: Any) -> Any:
        y = np.exp(x)
        return (y / np.sum(y, 0)).reshape(-1)

    assert sizes(kernels(shares, X)) == [X.size] * 3
    assert len(kernels(lambda x: [np.cumsum(x, 1).reshape(shape) for shape in (-1, (50, 40))], X)) == 1  # copies one


def test_what_is_needed_again_keeps_its_place() -> None:
    def function(x: Any) -> Any:
        y = np.exp(x)
        z = y - np.sum(y)
        return z, y, np.sum(z) * y[::-1]

    for name in ("quick", "thorough", "threads"):
        Case("needed again", function, (X,), 1e-13).check(name)


def test_what_surrounds_a_region_is_all_that_is_copied() -> None:
    x = np.ones((100, 100))
    runs = kernels(lambda x, y: set_at(x, slice(10, None), y), x, np.zeros((90, 100)))
    assert sorted(sizes(runs)) == [1000, 9000]


@pytest.mark.parametrize("name", ["row", "element", "window"])
def test_cotangents_of_what_was_overwritten_are_written_where_they_are(name: str) -> None:
    """The cotangent of the new part is read before zeros are put in its place."""
    large = np.ones((60, 60))
    part = {"row": lambda i: i, "element": lambda i: (i, i + 1)}.get(name)

    def step(i: Any, x: Any) -> Any:
        if part is None:
            return lax.dynamic_update_slice(x, np.sin(lax.dynamic_slice(x, (i, i), (2, 2))), (i, i))
        return set_at(x, part(i), np.sin(x[part(i)]))

    gradient = ft.grad(lambda x: np.sum(lax.fori_loop(2, 50, step, x)))
    np.testing.assert_allclose(ft.jit(gradient)(large), gradient(large), rtol=1e-14)
    copied = [row for row in ft.jit(gradient).lower(large)._rows if row.depth and is_copy(row.instruction)]
    assert all(prod(row.instruction.targets[0].shape) < large.size // 2 for row in copied)


def test_copies_of_small_arrays_are_single() -> None:
    copies: list[Any] = []

    class Assembler:
        def copy(self, block: Any, source: Place, target: Place) -> None:
            copies.append(source.shape)

    place = Place(0, 0, (8, 8), F8, (64, 8))
    copy_around(Assembler(), [], place, place, Region((1, 1), (7, 7), (1, 1)))
    assert copies == [(8, 8)]


# ---- programs of any length


def chain_of_updates(x: Any, n: int) -> Any:
    x = x.copy()
    for i in range(n):
        x[i % 50] = np.sin(x[(i + 1) % 50]) * 0.5
    return x


LONG: dict[str, Callable[[Any, int], Any]] = {
    "updates": chain_of_updates,
    "updates in a loop": lambda x, n: lax.fori_loop(0, 3, lambda i, x: chain_of_updates(x, n), x),
    "states": lambda x, n: lax.fori_loop(0, 3, lambda i, c: [np.sin(v) for v in c], [x * k for k in range(n)]),
    "pieces": lambda x, n: fnp.stack([np.sin(x) * i for i in range(n)]),
    "kernels": lambda x, n: ft.tree.reduce(lambda x, i: np.cumsum(x) * 0.1 + i, [x, *range(n)]),
}


@pytest.mark.parametrize("name", sorted(LONG))
def test_values_get_places_with_as_many_questions_as_there_are_steps(name: str) -> None:
    """Twice the steps, twice the calls: nobody looks at all of a program for each of its values."""
    found = []
    for n in (80, 160):
        jaxpr = staged(lambda x: LONG[name](x, n), (np.ones(50),))
        fused(jaxpr)
        found.append(calls_in(lambda: assemble(jaxpr, fused, supports, [(8,)])).total())
    assert found[1] < 2.5 * found[0]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.integers(0, 2))
def test_all_parts_of_a_result_at_once(extents: list[int], axis: int) -> None:
    avals = [ShapedArray((*[2] * axis, n, *[3] * (2 - axis)), F8) for n in extents]
    primitives: list[tuple[Any, Any, dict[str, Any]]] = [
        (registry["concatenate"], avals, {"axis": axis}),
        (registry["pad"], avals[:1] + [ShapedArray((), F8)], {"padding": ((1, 0, 0),) * 3}),
    ]
    for primitive, operands, params in primitives:
        one_by_one = [primitive.part_of_result(k, operands, **params) for k in range(len(operands))]
        assert primitive.parts_of_result(operands, **params) == one_by_one


def test_what_a_loop_leaves_lives_until_it_is_brought_home():
    """How often the two places of the state were exchanged is not known: it may be in either."""
    jaxpr = staged(lambda x: lax.while_loop(lambda c: c[0, 0] < 9, lambda c: np.flip(c, 0) + c, x), (X,))
    slots = assemble(jaxpr, fused, supports, [X.strides]).slots
    states = [slot for slot in slots if slot.behind]
    assert states
    for state in states:
        assert all(slot.last >= state.last for slot in state.behind)
