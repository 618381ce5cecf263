"""Random programs of exact operations, updates, views and reads, with loops and branches, for compiled code.

A program works on a list of arrays. Nothing that it does rounds: numbers are small integers, in whatever dtype, so that
every correct way to run it gives the same bits. Old versions of arrays, views of them and parts of them are read long
after newer ones were made by updates: what is overwritten too early shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401  (NumPy knows bfloat16 by name then)
import numpy as np
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.core.dtypes import is_bfloat16

fnp = ft.numpy
#: All arrays of a program have one of these shapes, so that most operations fit.
EXTENTS = (3, 4)
SHAPES = ((), (4,), (3, 4), (4, 3), (3, 1), (1, 4), (2, 3, 4), (0, 4), (1,), (40,))
DTYPES = ("f8", "f4", "i8", "i4", "u1", "?", "c16", "f2", "i2", "u8", "c8", "bfloat16")


def small(x: Any) -> Any:
    """Numbers brought back to between -8 and 8, exactly, in their dtype."""
    kind = x.dtype.kind
    if kind in "?b":
        return x
    if kind == "u":
        return x % np.asarray(9, x.dtype)
    if kind == "c":
        return fnp.real(x) % 7 - 3 + 1j * (fnp.imag(x) % 5 - 2)
    return x % np.asarray(7, x.dtype) - np.asarray(3, x.dtype)


def fitted(x: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Some elements of x, repeated as need be, as an array of a shape and dtype."""
    size = int(np.prod(shape))
    x = fnp.reshape(x, (-1,))
    if not x.shape[0]:
        return fnp.zeros(shape, dtype)
    if x.shape[0] < size:
        x = fnp.concatenate([x] * -(-size // x.shape[0]))
    x = x[:size]
    if np.dtype(dtype).kind != "c" and x.dtype.kind == "c":
        x = fnp.real(x)
    if np.dtype(dtype).kind == "u":
        x = fnp.abs(x)  # what a negative float is as an unsigned integer nobody says
    return fnp.reshape(x.astype(dtype), shape)


BINARY = {
    "add": lambda x, y: x + y if x.dtype.kind != "b" else x | y,
    "subtract": lambda x, y: x - y if x.dtype.kind != "b" else x ^ y,
    "multiply": lambda x, y: x * y,
    "where": lambda x, y: np.where(x == y, x, y),
    "choose": lambda x, y: np.where(np.real(x) > np.real(y), y, x) if x.dtype.kind != "b" else x & ~y,
}
VIEWS = {
    "whole": lambda x: x,
    "transposed": lambda x: np.transpose(x),
    "reversed": lambda x: x[::-1] if x.ndim else x,
    "every other": lambda x: x[..., ::2] if x.ndim else x,
    "backwards": lambda x: x[..., ::-1] if x.ndim else x,
    "inner": lambda x: x[1:] if x.ndim else x,
    "first": lambda x: x[:1] if x.ndim else x,
    "flat": lambda x: x.reshape(-1),
    "longer": lambda x: x[None],
    "repeated": lambda x: np.broadcast_to(x, (2, *x.shape)),
    "column": lambda x: x[..., -1:] if x.ndim else x,
    "flat transposed": lambda x: np.transpose(x).reshape(-1),
}
PLACES = ("first", "last", "slice", "strided", "backwards", "rows", "repeated", "computed", "mask", "whole")
REDUCTIONS = ("sum", "max", "min", "any", "prod")


class Number(NamedTuple):
    """Which of the values there are, counted from the last."""

    back: int

    def of(self, values: Sequence[Any]) -> Any:
        return values[-1 - self.back % len(values)]


class Binary(NamedTuple):
    name: str
    x: Number
    y: Number

    def run(self, language: Any, values: Sequence[Any]) -> Any:
        x = self.x.of(values)
        return small(BINARY[self.name](x, fitted(self.y.of(values), x.shape, x.dtype)).astype(x.dtype))


class View(NamedTuple):
    name: str
    x: Number

    def run(self, language: Any, values: Sequence[Any]) -> Any:
        x = self.x.of(values)
        return x if np.size(x) > 50 or x.ndim > 3 else VIEWS[self.name](x)


class Cast(NamedTuple):
    dtype: str
    x: Number

    def run(self, language: Any, values: Sequence[Any]) -> Any:
        x = self.x.of(values)
        return small(fitted(x, x.shape, self.dtype))


class Reduction(NamedTuple):
    name: str
    axis: int
    keepdims: bool
    x: Number

    def run(self, language: Any, values: Sequence[Any]) -> Any:
        x = self.x.of(values)
        if not x.ndim or not x.size:
            return x
        if self.name == "prod":
            x = np.where(x == 2, x, np.ones_like(x))  # at most a power of two
            x = x[..., :8]
        elif x.dtype.kind == "c" and self.name != "any":
            x = np.real(x)
        function = getattr(np, self.name)
        found = function(x, axis=self.axis % x.ndim, keepdims=self.keepdims)
        return small(found)


class Joined(NamedTuple):
    how: str
    x: Number
    y: Number

    def run(self, language: Any, values: Sequence[Any]) -> Any:
        x = self.x.of(values)
        if np.size(x) > 30:
            return x
        y = fitted(self.y.of(values), x.shape, x.dtype)
        if self.how == "stack":
            return np.stack([x, y, x])
        if self.how == "pad":
            return np.pad(x, [(1, 2)] * x.ndim) if x.ndim else x
        return np.concatenate([y, x, y], axis=-1) if x.ndim else x


class Update(NamedTuple):
    """A part of an array set, added to or multiplied by a part of another one."""

    how: str
    place: str
    x: Number
    y: Number
    k: Number

    def run(self, language: Any, values: Sequence[Any]) -> Any:
        x = self.x.of(values)
        if not x.ndim or not x.size:
            return x
        n = x.shape[0]
        k = fitted(self.k.of(values), (), "i8") % n
        index = {
            "first": 0,
            "last": -1,
            "slice": slice(1, None),
            "strided": slice(None, None, 2),
            "backwards": slice(None, None, -1),
            "rows": np.array([0, n - 1]),
            "repeated": np.array([0, 0, n - 1, 0]),
            "computed": k,
            "mask": slice(0, 0),
            "whole": slice(None),
        }[self.place]
        part = x[index]
        update = fitted(self.y.of(values), part.shape, x.dtype)
        if self.how == "set":
            return fnp.at(x)[index].set(update)
        if x.dtype.kind == "b":
            return fnp.at(x)[index].set(update ^ part)
        if self.how == "add":
            return small(fnp.at(x)[index].add(update))
        # what is multiplied several times by the same must stay exact
        return small(fnp.at(x)[index].multiply(small(update)))


class Assigned(NamedTuple):
    """The same by item assignment, through a view of a copy."""

    x: Number
    y: Number
    k: Number

    def run(self, language: Any, values: Sequence[Any]) -> Any:
        x = self.x.of(values)
        if not x.ndim or not x.size:
            return x
        k = fitted(self.k.of(values), (), "i8") % x.shape[0]
        z = x.copy()
        z[k] = fitted(self.y.of(values), z.shape[1:], z.dtype)
        z[1:] = z[:-1]
        return z


class Gathered(NamedTuple):
    x: Number
    k: Number

    def run(self, language: Any, values: Sequence[Any]) -> Any:
        x = self.x.of(values)
        if not x.ndim or not x.shape[0] or x.size > 50:
            return x
        k = fitted(self.k.of(values), (3,), "i8") % x.shape[0]
        return x[k - x.shape[0] * (k > 0)]


class Loop(NamedTuple):
    """A body run again and again on some of the values; the other ones it may read."""

    kind: str
    count: int
    carried: tuple[Number, ...]
    body: Any

    def run(self, language: Any, values: Sequence[Any]) -> Any:
        carry = tuple(x.of(values) for x in self.carried)

        def step(i: Any, carry: Any) -> Any:
            inner = self.body.run(language, [*values, *carry, fnp.asarray(i)])
            return tuple(fitted(x, c.shape, c.dtype) for x, c in zip(inner[::-1], carry))

        def scanned(carry: Any, x: Any) -> Any:
            inner = self.body.run(language, [*values, x, *carry])
            found = tuple(fitted(y, c.shape, c.dtype) for y, c in zip(inner[::-1], carry))
            return found, (inner[-1], carry[0])

        rows = fitted(values[0], (self.count, 4), "f8")
        if self.kind in ("scan", "reverse scan"):
            (first, *_), (ys, before) = language.scan(scanned, carry, rows, self.kind == "reverse scan")
            return first if np.size(first) > np.size(ys) else ys if np.size(ys) < 60 else before
        count = self.count + fitted(values[0], (), "i8") % 2 if self.kind == "counted" else self.count
        if self.kind == "while":
            _, *found = language.while_loop(
                lambda c: c[0] < self.count, lambda c: (c[0] + 1, *step(c[0], c[1:])), (0, *carry)
            )
            return found[0]
        return language.fori_loop(count, step, carry)[0]


class Branch(NamedTuple):
    test: Number
    yes: Any
    no: Any

    def run(self, language: Any, values: Sequence[Any]) -> Any:
        x = values[-1]
        test = fitted(self.test.of(values), (), "i8") > 0

        def of(body: Any) -> Any:
            return lambda: fitted(body.run(language, values)[-1], x.shape, x.dtype)

        return language.cond(test, of(self.yes), of(self.no))


class Body(NamedTuple):
    """Statements, each of which adds a value."""

    statements: tuple[Any, ...]

    def run(self, language: Any, values: Sequence[Any]) -> list[Any]:
        values = list(values)
        for statement in self.statements:
            values.append(statement.run(language, values))
        return values


class Ours:
    """Loops and branches of functrans.lax."""

    @staticmethod
    def scan(f: Any, init: Any, xs: Any, reverse: bool) -> Any:
        return lax.scan(f, init, xs, reverse=reverse)

    while_loop = staticmethod(lax.while_loop)
    cond = staticmethod(lax.cond)

    @staticmethod
    def fori_loop(count: Any, body: Any, init: Any) -> Any:
        return lax.fori_loop(0, count, body, init)


class UpdateProgram(NamedTuple):
    """A function of arrays; the last few values are its results."""

    body: Body
    results: int

    def __call__(self, *inputs: Any) -> list[Any]:
        values = self.body.run(Ours, [fnp.asarray(x) for x in inputs])
        return values[-self.results :]


_numbers = st.integers(0, 5).map(Number)


@st.composite
def bodies(draw: st.DrawFn, depth: int, longest: int) -> Body:
    """Up to `longest` statements, with loops and branches nested `depth` deep."""
    simple = st.one_of(
        st.builds(Update, st.sampled_from(["set", "add", "multiply"]), st.sampled_from(PLACES), _numbers, _numbers, _numbers),
        st.builds(Update, st.just("set"), st.sampled_from(PLACES), _numbers, _numbers, _numbers),
        st.builds(View, st.sampled_from([*VIEWS]), _numbers),
        st.builds(Binary, st.sampled_from([*BINARY]), _numbers, _numbers),
        st.builds(Assigned, _numbers, _numbers, _numbers),
        st.builds(Gathered, _numbers, _numbers),
        st.builds(Joined, st.sampled_from(["stack", "concatenate", "pad"]), _numbers, _numbers),
        st.builds(Reduction, st.sampled_from(REDUCTIONS), st.integers(0, 2), st.booleans(), _numbers),
        st.builds(Cast, st.sampled_from(DTYPES), _numbers),
    )
    nested = [simple]
    if depth:
        body = bodies(depth - 1, 4)
        kinds = st.sampled_from(["for", "counted", "while", "scan", "reverse scan"])
        carried = st.lists(_numbers, min_size=1, max_size=3).map(tuple)
        nested += [
            st.builds(Loop, kinds, st.integers(1, 3), carried, body),
            st.builds(Branch, _numbers, body, bodies(depth - 1, 3)),
        ]
    return Body(tuple(draw(st.lists(st.one_of(*nested), min_size=1, max_size=longest))))


def update_programs() -> st.SearchStrategy[UpdateProgram]:
    """Programs of up to eight statements, loops and branches nested two deep."""
    return st.builds(UpdateProgram, bodies(2, 8), st.integers(1, 3))


@st.composite
def inputs(draw: st.DrawFn, count: int | None = None) -> tuple[np.ndarray, ...]:
    """One to three arrays of small integers, of any dtype and layout, some of which share memory."""
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    found: list[np.ndarray] = []
    for _ in range(draw(st.integers(1, 3)) if count is None else count):
        if found and draw(st.integers(0, 3)) == 0:  # a view of another one, or the same
            base = found[draw(st.integers(0, len(found) - 1))]
            found.append(VIEWS[draw(st.sampled_from(["whole", "transposed", "reversed", "inner", "every other"]))](base))
            continue
        shape, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(DTYPES))
        x = random.integers(0 if dtype[0] == "u" else -3, 4, shape)
        found.append(laid_out(np.asarray(x).astype(dtype), draw(st.sampled_from(LAYOUTS))))
    return tuple(found)


LAYOUTS = (
    "plain", "plain", "fortran", "strided", "backwards", "field", "read-only", "misaligned", "big-endian", "repeated",
)  # fmt: skip


def laid_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers, otherwise in memory."""
    if layout == "fortran":
        return np.asfortranarray(x) if x.ndim else x
    if layout == "strided":
        wide = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
        part = wide[(..., *(slice(None, None, 2) for _ in x.shape))]
        part[...] = x
        return part
    if layout == "field":
        records = np.zeros(x.shape, [("x", x.dtype), ("rest", x.real.dtype)])
        records["x"] = x
        return records["x"]
    if layout == "backwards":
        back = (slice(None, None, -1),) * x.ndim
        return x[back].copy()[(..., *back)]
    if layout == "read-only":
        x = x.copy()
        x.flags.writeable = False
    elif layout == "misaligned":
        room = np.zeros(x.nbytes + 1, np.uint8)
        odd = room[1 : 1 + x.nbytes].view(x.dtype) if x.nbytes else np.zeros(0, x.dtype)
        odd = odd.reshape(x.shape)
        odd[...] = x
        return odd
    elif layout == "big-endian" and not is_bfloat16(x.dtype):  # which ml_dtypes has in one order only
        return x.astype(x.dtype.newbyteorder(">"))
    elif layout == "repeated" and x.ndim:
        return np.broadcast_to(x[:1], x.shape)
    return x
