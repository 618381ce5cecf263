"""Random programs that assign to regions of a few arrays of one shape what they read from shifted regions of these.

As in update_programs, nothing rounds: every correct order of reads and writes gives the same bits, and a region that is
overwritten before its last read shows. Older versions are kept, and arrays take each other's names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import functrans as ft
from functrans import lax

fnp = ft.numpy
SHAPES = ((7,), (40,), (5, 6), (4, 4), (30, 40), (3, 4, 5))
LARGE = ((40_000,), (40, 900), (900, 40), (30, 20, 70))
DTYPES = ("f8", "f8", "f4", "i8", "i4", "c16", "?")


def small(x: Any) -> Any:
    """Numbers brought back to a few exact ones."""
    if x.dtype.kind == "b":
        return x
    if x.dtype.kind == "c":
        return np.real(x) % 7 - 3 + 1j * (np.imag(x) % 5 - 2)
    return (x % np.asarray(7, x.dtype) - np.asarray(3, x.dtype)).astype(x.dtype)


def combined(how: str, x: Any, y: Any) -> Any:
    """Two arrays as one."""
    if x.dtype.kind == "b":
        return {"add": x ^ y, "where": x & ~y, "last": y, "scaled": x | y}[how]
    if how == "where":
        return np.where(np.real(x) > np.real(y), y, x + y)
    return {"add": x - y, "last": y, "scaled": x * 2 + y}[how]


class Span(NamedTuple):
    """Places along an axis, from numbers that are fitted to its extent."""

    start: int
    count: int
    step: int

    def within(self, extent: int, count: int | None = None) -> slice:
        """As a slice; of so many places, if that is given."""
        wanted = 1 + self.count % extent if count is None else count
        step = self.step
        if (wanted - 1) * abs(step) >= extent:
            step = 1 if step > 0 else -1
        room = extent - (wanted - 1) * abs(step)
        first = self.start % room
        last = first + (wanted - 1) * abs(step)
        if step > 0:
            return slice(first, last + 1, step)
        return slice(last, first - 1 if first else None, step)


class Read(NamedTuple):
    """A region of an array, of the shape of what is assigned to; `where` it is itself if there are no spans."""

    array: int
    spans: tuple[Span, ...]

    def of(self, arrays: Sequence[Any], target: tuple[slice, ...]) -> Any:
        x = arrays[self.array % len(arrays)]
        counts = [len(range(*s.indices(n))) for s, n in zip(target, x.shape)]
        own = zip(self.spans, x.shape, counts)
        return x[tuple(span.within(n, count) for span, n, count in own) if self.spans else target]


class Assign(NamedTuple):
    """`x[region] = combination of reads`.

    Attributes:
        between: statements that run after the reads and before the assignment.
        use: what is done with what was assigned: "nothing"; it is kept, or kept with a part of it changed.
    """

    array: int
    spans: tuple[Span, ...]
    reads: tuple[Read, ...]
    how: str
    between: tuple[Any, ...]
    use: str

    def run(self, arrays: list[Any], kept: list[Any]) -> None:
        k = self.array % len(arrays)
        target = tuple(span.within(n) for span, n in zip(self.spans, arrays[k].shape))
        value, *others = [read.of(arrays, target) for read in self.reads]
        for other in others:
            value = small(combined(self.how, value, other))
        for statement in self.between:
            statement.run(arrays, kept)
        arrays[k] = fnp.at(arrays[k])[target].set(value)
        if self.use == "keep":
            kept.append(value)
        elif self.use == "change":
            kept.append(fnp.at(value)[::2].set(1))


class Sums(NamedTuple):
    """`x[number] = a reduction of an array along the first axis`."""

    array: int
    number: int
    source: int

    def run(self, arrays: list[Any], kept: list[Any]) -> None:
        k, x = self.array % len(arrays), arrays[self.source % len(arrays)]
        total = np.any(x, 0) if x.dtype.kind == "b" else small(np.sum(x, 0).astype(x.dtype))
        arrays[k] = fnp.at(arrays[k])[self.number % x.shape[0]].set(total)


class Whole(NamedTuple):
    """A new array in place of one: another, two together, or one rolled, padded, joined or filled."""

    how: str
    array: int
    x: int
    y: int
    amount: int

    def run(self, arrays: list[Any], kept: list[Any]) -> None:
        x, y = arrays[self.x % len(arrays)], arrays[self.y % len(arrays)]
        axis, n = self.amount % x.ndim, x.shape[self.amount % x.ndim]
        k = self.amount % (n - 1) + 1
        inner = (slice(1, -1),) * x.ndim
        head, _ = np.split(x, [k], axis)
        arrays[self.array % len(arrays)] = {
            "other": lambda: x,
            "combined": lambda: small(combined("add", x, y)),
            "rolled": lambda: small(combined("scaled", np.roll(x, k, axis), y)),
            "shifted": lambda: np.roll(x, k, axis),
            "framed": lambda: np.pad(x[inner], 1),
            "padded": lambda: np.pad(small(combined("add", x[inner], y[inner])), 1),
            "joined": lambda: np.concatenate([small(combined("add", head, head)), np.split(y, [k], axis)[1]], axis),
            "filled": lambda: fnp.full(x.shape, 1, x.dtype),
        }[self.how]()


class Keep(NamedTuple):
    """An array as it is now becomes a result."""

    array: int

    def run(self, arrays: list[Any], kept: list[Any]) -> None:
        kept.append(arrays[self.array % len(arrays)])


class Repeat(NamedTuple):
    """Statements again and again; what they keep in a scan is stacked.

    Attributes:
        carried: how many of the arrays the loop changes; what it makes of the other ones is forgotten after each step.
    """

    kind: str
    count: int
    carried: int
    body: tuple[Any, ...]

    def run(self, arrays: list[Any], kept: list[Any]) -> None:
        size = 1 + self.carried % len(arrays)
        constant = arrays[size:]

        def step(carry: Any) -> tuple[list[Any], list[Any]]:
            own, inner = [*carry, *constant], []
            for statement in self.body:
                statement.run(own, inner)
            return own[:size], inner

        carry, number = arrays[:size], np.real(arrays[0]).ravel()[0]
        if self.kind == "scan":
            carry, found = lax.scan(lambda c, _: step(c), carry, None, length=self.count)
            kept += found
        elif self.kind == "while":
            _, carry = lax.while_loop(lambda c: c[0] < self.count, lambda c: (c[0] + 1, step(c[1])[0]), (0, carry))
        elif self.kind == "branch":
            carry = lax.cond(number > 0, lambda: step(carry)[0], lambda: list(carry))
        else:
            count = self.count if self.kind == "fixed" else self.count + (number > 0) * 1
            carry = lax.fori_loop(0, count, lambda _, c: step(c)[0], carry)
        arrays[:size] = carry


class StencilProgram(NamedTuple):
    """A function of arrays of one shape and dtype, which returns their last versions and those that it kept."""

    statements: tuple[Any, ...]

    def __call__(self, *inputs: Any) -> list[Any]:
        arrays, kept = [fnp.asarray(x) for x in inputs], []
        for statement in self.statements:
            statement.run(arrays, kept)
        return [*arrays, *kept]


_small = st.integers(0, 5)


def _spans(ndim: int) -> st.SearchStrategy[tuple[Span, ...]]:
    span = st.builds(Span, st.integers(0, 7), st.integers(0, 40), st.sampled_from([1, 1, 1, 2, -1, -2]))
    inner = st.builds(Span, st.just(1), st.just(-3), st.just(1))  # all but the border
    return st.one_of(st.tuples(*[inner] * ndim), st.tuples(*[span] * ndim))


@st.composite
def statements(draw: st.DrawFn, ndim: int, depth: int, longest: int) -> tuple[Any, ...]:
    """Some statements, with loops nested `depth` deep."""
    reads = st.lists(st.builds(Read, _small, st.one_of(st.just(()), _spans(ndim))), min_size=1, max_size=3).map(tuple)
    combinations = st.sampled_from(["add", "where", "last", "scaled"])

    def assign(between: Any) -> Any:
        uses = st.sampled_from(["nothing", "nothing", "keep", "change"])
        return st.builds(Assign, _small, _spans(ndim), reads, combinations, between, uses)

    plain = assign(st.just(()))
    kinds = st.sampled_from(["other", "combined", "combined", "rolled", "shifted", "shifted", "framed", "padded", "joined", "filled"])
    simple = [
        plain,
        plain,
        assign(st.tuples(plain)),
        assign(st.tuples(assign(st.tuples(plain)))),
        st.builds(Sums, _small, _small, _small),
        st.builds(Whole, kinds, _small, _small, _small, _small),
        st.builds(Keep, _small),
    ]
    if depth:
        loops = st.sampled_from(["fixed", "fixed", "counted", "scan", "while", "branch"])
        simple.append(st.builds(Repeat, loops, st.integers(0, 4), _small, statements(ndim, depth - 1, 4)))
    return tuple(draw(st.lists(st.one_of(*simple), min_size=1, max_size=longest)))


@st.composite
def arrays(draw: st.DrawFn, ndim: int, count: int, may_be_large: bool) -> tuple[np.ndarray, ...]:
    """Arrays of one shape, with so many axes, and one dtype."""
    shapes = [s for s in (*SHAPES, *LARGE[: len(LARGE) * may_be_large]) if len(s) == ndim]
    shape, dtype = draw(st.sampled_from(shapes)), draw(st.sampled_from(DTYPES))
    random = np.random.default_rng(draw(st.integers(0, 100)))
    return tuple(random.integers(-3, 4, shape).astype(dtype) for _ in range(count))


@st.composite
def stencils(draw: st.DrawFn, may_be_large: bool) -> tuple[StencilProgram, int, tuple[np.ndarray, ...]]:
    """A program for arrays of so many axes, and one to three arrays for it."""
    ndim = draw(st.sampled_from([len(s) for s in SHAPES]))
    return StencilProgram(draw(statements(ndim, 2, 6))), ndim, draw(arrays(ndim, draw(st.integers(1, 3)), may_be_large))
