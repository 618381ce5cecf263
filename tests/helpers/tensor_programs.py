"""Random programs over arrays of any shape, small and large, by the operations that a compiler treats each in its way.

There are two vocabularies. In programs of the exact one nothing rounds: numbers are small integers, in whatever dtype,
so that orders, places and types can be asked for. In programs of the smooth one everything has derivatives. Both share
what moves elements, convolutions, products, loops and branches. An operation fits itself to the shapes that it meets,
so a program runs on any arguments, of other shapes too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.core.dtypes import is_half, kind_of
from tests.helpers.update_programs import LAYOUTS, laid_out, small

fnp = ft.numpy
SMALL = ((), (1,), (5,), (17,), (3, 4), (4, 3), (1, 6), (6, 6), (0, 3), (2, 3, 4), (2, 3, 6, 5), (20, 2), (2, 33))
LARGE = (
    (40_000,), (70, 600), (600, 70), (130, 129), (20, 50, 41), (8, 3, 40, 40), (2000, 3), (3, 2000), (1500, 2, 2),
)  # fmt: skip
#: Results are cut to so many elements, and loops run over so many rows.
MOST, MOST_STEPS = 100_000, 20
EXACT, SMOOTH = ("f8", "f8", "f4", "i8", "i4", "u1", "?", "c16"), ("f8", "f8", "f4", "c16")


def fitted(y: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Elements of y, repeated as need be, as an array of a shape and dtype."""
    flat = np.reshape(y, (-1,))
    if not flat.shape[0]:
        return fnp.zeros(shape, dtype)
    count = prod(shape)
    if y.shape != shape:
        flat = flat[np.arange(count) % flat.shape[0]] if flat.shape[0] < count else flat[:count]
    return np.reshape(cast(flat, dtype), shape)


def cast(x: Any, dtype: Any) -> Any:
    """In a dtype, by way of a number that every dtype has."""
    if x.dtype.kind == "c" and np.dtype(dtype).kind != "c":
        x = np.real(x)
    if np.dtype(dtype).kind == "u" and kind_of(x.dtype) in "if":
        x = np.abs(x)
    return x.astype(dtype)


def tame(x: Any, is_exact: bool) -> Any:
    """Numbers brought back to small ones."""
    if is_exact:
        return small(x)
    return x / (1 + (np.real(x) ** 2 + np.imag(x) ** 2) / 16) if x.dtype.kind == "c" else x / (1 + x * x / 16)


class Draw(NamedTuple):
    """What an operation is given beside its operands.

    Attributes:
        a, b, c: numbers from 0 to 11, for it to make of what it wants.
    """

    a: int
    b: int
    c: int
    is_exact: bool

    def axis(self, x: Any) -> int:
        return self.a % x.ndim


# ---- what moves elements; these need at least one axis and one element


def _split(x: Any, y: Any, d: Draw) -> Any:
    axis = d.axis(x)
    factor = next(k for k in (2 + d.b % 6, 2, 3, 5, 1) if x.shape[axis] % k == 0)
    return np.reshape(x, (*x.shape[:axis], x.shape[axis] // factor, factor, *x.shape[axis + 1 :]))


def _sliced(x: Any, y: Any, d: Draw) -> Any:
    n = x.shape[d.axis(x)]
    span = slice(d.b % n, n - d.c % 3, 1 + d.c % 3) if d.b < 8 else slice(None, None, -1 - d.c % 3)
    return x[(slice(None),) * d.axis(x) + (span,)]


def _padded(x: Any, y: Any, d: Draw) -> Any:
    widths = [(d.b % 3, d.c % 4) if axis == d.axis(x) else (0, d.c % 2) for axis in range(x.ndim)]
    modes = ["constant", "edge", "wrap", "constant"] if x.dtype.kind == "b" or d.b % 2 else ["constant"]
    return np.pad(x, widths, mode=modes[d.c % len(modes)])  # type: ignore[call-overload]


def _rows(x: Any, d: Draw, mode: str) -> Any:
    n = x.shape[d.axis(x)]
    at = (np.arange(1 + d.b) * (1 + d.c)) % n if mode == "raise" else np.arange(1 + d.b) * (1 + d.c) - n
    return fnp.at(x)[(slice(None),) * d.axis(x) + (at,)].get(mode=None if mode == "raise" else mode)


def _places(y: Any, n: int, d: Draw) -> Any:
    """Indices of an array of n elements that depend on another array."""
    found = cast(fitted(y, (1 + d.b,), y.dtype), "i8") if d.is_exact else np.arange(1 + d.b)
    return (found * (1 + d.c) + np.arange(1 + d.b)) % n


def _gathered(x: Any, y: Any, d: Draw) -> Any:
    return np.take(x, _places(y, x.shape[d.axis(x)], d), axis=d.axis(x))


def _scattered(x: Any, y: Any, d: Draw) -> Any:
    mode = (None, "clip", "wrap", "drop")[d.a % 4]
    n, at = x.shape[0], _places(y, x.shape[0], d)
    at = at if mode is None else at * 2 - n // 2
    place = fnp.at(x)[at] if x.ndim == 1 or d.c % 2 else fnp.at(x)[at, d.c % x.shape[1]]
    new = fitted(y, place.get(mode="clip").shape, x.dtype)
    if x.dtype.kind == "b" or (d.b % 3 == 0 and len(np.unique(np.arange(1 + d.b) % n)) == 1 + d.b):
        return fnp.at(x)[0].set(new.ravel()[0])
    return tame(place.add(new, mode=mode) if d.b % 3 else place.multiply(tame(new, d.is_exact), mode=mode), d.is_exact)


def _window(x: Any, y: Any, d: Draw) -> Any:
    starts = [_places(y, n, d)[0] for n in x.shape]
    sizes = [1 + (d.b + axis) % n for axis, n in enumerate(x.shape)]
    part = lax.dynamic_slice(x, starts, sizes)
    return lax.dynamic_update_slice(x, part, [s * 0 + d.c for s in starts]) if d.a % 2 else part


MOVES: dict[str, Callable[[Any, Any, Draw], Any]] = {
    "transposed": lambda x, y, d: np.moveaxis(x, d.axis(x), d.b % x.ndim),
    "flat": lambda x, y, d: np.reshape(x, (-1,)),
    "transposed flat": lambda x, y, d: np.reshape(np.transpose(x), (-1,)),
    "merged": lambda x, y, d: np.reshape(x, (-1, *x.shape[2:])) if d.a % 2 else np.reshape(x, (*x.shape[:-2], -1)),
    "split": _split,
    "reversed": lambda x, y, d: np.flip(x, d.axis(x)),
    "rolled": lambda x, y, d: np.roll(x, d.b - 4, d.axis(x)),
    "sliced": _sliced,
    "element": lambda x, y, d: x[(slice(None),) * d.axis(x) + (d.b % x.shape[d.axis(x)],)],
    "padded": _padded,
    "joined": lambda x, y, d: np.concatenate([x, fitted(y, x.shape, x.dtype)], d.axis(x)),
    "stacked": lambda x, y, d: np.stack([x, fitted(y, x.shape, x.dtype), x][: 2 + d.b % 2], d.a % (x.ndim + 1)),
    "repeated": lambda x, y, d: np.repeat(x, 1 + d.b % 3, d.axis(x)),
    "tiled": lambda x, y, d: np.tile(x, 1 + d.b % 3),
    "broadcast": lambda x, y, d: np.broadcast_to(x, (1 + d.b % 3, *x.shape)),
    "triangle": lambda x, y, d: np.tril(x, d.b - 3) if x.ndim > 1 else x,
    "taken": lambda x, y, d: _rows(x, d, ("raise", "clip", "wrap", "fill")[d.a // 3]) if d.is_exact or d.a < 9 else x,
    "gathered": _gathered,
    "scattered": _scattered,
    "window": _window,
    "chosen": lambda x, y, d: np.where(np.arange(x.shape[-1]) % 3 == d.a % 3, x, fitted(y, x.shape, x.dtype)),
}  # fmt: skip

# ---- sums and products


def _axes(x: Any, d: Draw) -> Any:
    return (d.axis(x), None, tuple(range(x.ndim - 1)), tuple(range(1, x.ndim)))[d.b % 4]


def _centred(x: Any, y: Any, d: Draw) -> Any:
    return tame(x - np.sum(x, d.axis(x), keepdims=True, dtype=x.dtype), d.is_exact)


def _matrix(x: Any, d: Draw) -> Any:
    """As a matrix of at most so many columns that products stay small."""
    x = np.reshape(x, (x.shape[0], -1)) if d.a % 2 else np.reshape(x, (-1, x.shape[-1]))
    return x[:700, :700]


def _product(x: Any, y: Any, d: Draw) -> Any:
    a = _matrix(x, d)
    columns = (1, 2, 3, 8, 40)[d.b % 5]
    b = fitted(y, (columns, a.shape[1]) if d.c % 2 else (a.shape[1], columns), x.dtype)
    return a @ (b.T if d.c % 2 else b)


def _batched_product(x: Any, y: Any, d: Draw) -> Any:
    a = np.reshape(x, (-1, x.shape[-2], x.shape[-1]))[:, :30, :30] if x.ndim > 1 else x[None, :40, None]
    b = fitted(y, (a.shape[0], a.shape[2], 1 + d.b % 4), x.dtype)
    return np.einsum("bij,bjk->" + ("bik", "ik", "bi", "kbi", "jk")[d.c % 5], a, b)


def _convolution(x: Any, y: Any, d: Draw) -> Any:
    rank = 1 + d.a % 2
    groups = 1 + d.b % 2
    side = (7, 12, 33)[d.c % 3] if rank == 2 else (9, 40, 300)[d.c % 3]
    images = fitted(x, (1 + d.a // 4, 2 * groups, *(side + k for k in range(rank))), x.dtype)
    window = ((1,), (3,), (2,), (7,), (5,))[d.b % 5] * rank
    w = fitted(y, ((1, 2, 5)[d.c // 4] * groups, 2, *window), x.dtype)
    how = (
        {"padding": "VALID"}, {"padding": "SAME"}, {"padding": [(2, 1), (0, 3)][:rank]}, {"padding": [(-1, 2)] * rank},
        {"padding": "VALID", "rhs_dilation": (2, 1)[:rank]},
        {"padding": [(3, 3)] * rank, "lhs_dilation": (2, 3)[:rank]},
    )[d.a % 6]  # fmt: skip
    strides = ((1, 1), (2, 2), (1, 2), (3, 1))[(d.a + d.b) % 4][:rank]
    return lax.conv_general_dilated(images, w, strides, **how, feature_group_count=groups)


def _numeric(x: Any) -> Any:
    return x.astype("i4") if x.dtype.kind in "bu" else x


SUMS: dict[str, Callable[[Any, Any, Draw], Any]] = {
    "sum": lambda x, y, d: np.sum(x, _axes(x, d), keepdims=d.c % 2 == 0),
    "centred": _centred,
    "cumulative": lambda x, y, d: lax.cumsum(x, axis=d.axis(x), reverse=d.b % 2 == 0),
    "product": _product,
    "gram": lambda x, y, d: (lambda a: a @ a.T if d.b % 2 else a.T @ a)(_matrix(x, d)[:200, :200]),
    "batched product": _batched_product,
    "outer": lambda x, y, d: np.reshape(x, (-1,))[:50, None] * np.reshape(y, (-1,))[:40].astype(x.dtype),
    "convolution": _convolution,
    "add": lambda x, y, d: x + fitted(y, x.shape, x.dtype),
    "subtract": lambda x, y, d: x - np.reshape(y, (-1,))[0].astype(x.dtype),
    "multiply": lambda x, y, d: x * fitted(y, x.shape, x.dtype),
    "row added": lambda x, y, d: x + fitted(y, x.shape[-1:], x.dtype),
    "column multiplied": lambda x, y, d: x * fitted(y, x.shape[:-1], x.dtype)[..., None],
    "differences": lambda x, y, d: np.diff(x, axis=d.axis(x)),
}  # fmt: skip

# ---- what is exact: orders, places, integers, types


def _searched(x: Any, y: Any, d: Draw) -> Any:
    wanted, side = fitted(_numeric(y), (1 + d.b,), "f8"), ("left", "right")[d.c % 2]
    return np.searchsorted(np.sort(np.reshape(_numeric(x), (-1,))), wanted, side)


def _integers(x: Any, y: Any, d: Draw) -> Any:
    kind = ("i8", "i4", "i2", "i1", "u8", "u4")[d.b % 6]
    x, y = cast(x, kind), fitted(y, x.shape, kind)
    return (
        lambda: x // y, lambda: x % (y + y.dtype.type(5)), lambda: x << np.abs(y), lambda: x >> np.abs(y),
        lambda: x & y, lambda: x | ~y, lambda: x ^ y, lambda: np.gcd(x, y), lambda: np.maximum(x, y),
        lambda: x * x * x, lambda: np.sign(x), lambda: np.bitwise_count(x),
    )[d.a]()  # fmt: skip


def _ordered(function: Callable[[Any, Any, Draw], Any]) -> Callable[[Any, Any, Draw], Any]:
    return lambda x, y, d: function(np.real(x), np.real(y), d)


ORDERS: dict[str, Callable[[Any, Any, Draw], Any]] = {
    "sorted": lambda x, y, d: np.sort(x, d.axis(x)),
    "order": lambda x, y, d: np.argsort(x, d.axis(x), stable=True),
    "largest": _ordered(lambda x, y, d: np.max(x, _axes(x, d), keepdims=d.c % 2 == 0)),
    "smallest": _ordered(lambda x, y, d: np.min(x, _axes(x, d))),
    "place": _ordered(lambda x, y, d: (np.argmax if d.b % 2 else np.argmin)(x, d.axis(x))),
    "running": _ordered(lambda x, y, d: (lax.cummax if d.b % 2 else lax.cummin)(_numeric(x), axis=d.axis(x))),
    "any": lambda x, y, d: (np.any if d.c % 2 else np.all)(x, _axes(x, d)),
    "searched": _ordered(_searched),
    "integers": _ordered(_integers),
    "compared": lambda x, y, d: np.where(x == fitted(y, x.shape, x.dtype), x, -_numeric(x)),
    "rounded": _ordered(lambda x, y, d: np.floor(_numeric(x) * 0.5) + np.trunc(_numeric(x) / 4)),
    "cast": lambda x, y, d: cast(x, ("f8", "f4", "f2", "i8", "i2", "i1", "u1", "?", "c16", "c8", "bfloat16")[d.b % 11]),
    "top": _ordered(lambda x, y, d: lax.top_k(_numeric(x), 1 + d.b % x.shape[-1])[d.c % 2]),
    "bits": lambda x, y, d: ft.random.bits(ft.random.key(d.a), x.shape) % np.uint32(7),
}  # fmt: skip

# ---- what is smooth: functions, linear algebra


def _square(x: Any, d: Draw) -> Any:
    """Some well conditioned matrices."""
    n, batch = (1, 2, 3, 4, 5, 6, 9)[d.a % 7], (1, 3, 40)[d.b % 3]
    return fitted(x, (batch, n, n), x.dtype) * 0.5 + 3 * n * np.eye(n, dtype=x.dtype)


def _algebra(x: Any, y: Any, d: Draw) -> Any:
    a = _square(x, d)
    b = fitted(y, (*a.shape[:-1], 1 + d.c % 3), x.dtype)
    positive = a @ np.conj(np.swapaxes(a, -1, -2)) / a.shape[-1] ** 2
    return (
        lambda: np.linalg.solve(a, b), lambda: np.linalg.inv(a), lambda: np.linalg.det(a / a.shape[-1] / 3),
        lambda: np.linalg.cholesky(positive), lambda: np.linalg.slogdet(a)[1], lambda: np.linalg.qr(a)[1] ** 2,
        lambda: np.linalg.solve(np.swapaxes(a, -1, -2), b), lambda: np.linalg.solve(positive, b[..., 0:1]),
        lambda: np.linalg.solve(np.tril(a), b), lambda: np.linalg.matrix_power(a / 9, 3),
        lambda: np.linalg.cholesky(positive)[..., ::-1] @ b, lambda: np.linalg.inv(positive)[:, 0],
    )[d.c]()  # fmt: skip


def _normalised(x: Any, y: Any, d: Draw) -> Any:
    mean, variance = (f(x, d.axis(x), keepdims=True) for f in (np.mean, np.var))
    return (x - mean) / np.sqrt(1 + variance)


SMOOTH_FUNCTIONS: dict[str, Callable[[Any, Any, Draw], Any]] = {
    "sin": lambda x, y, d: np.sin(x),
    "bell": lambda x, y, d: np.exp(-x * x / 8),
    "tanh": lambda x, y, d: np.tanh(np.real(x)),
    "powers": lambda x, y, d: x ** (d.b % 5) / 50 + (1 + np.real(x) ** 2) ** (d.c / 4 - 1) / 50,
    "ratio": lambda x, y, d: x / (1 + np.real(fitted(y, x.shape, x.dtype)) ** 2),
    "length": lambda x, y, d: np.sqrt(1 + np.real(x) ** 2),
    "log": lambda x, y, d: np.log(1 + np.real(x) ** 2) + np.log1p(np.imag(x) ** 2),
    "angle": lambda x, y, d: np.arctan2(np.real(x), 3 + np.real(fitted(y, x.shape, x.dtype)) ** 2),
    "sigmoid": lambda x, y, d: ft.nn.sigmoid(np.real(x)) * x,
    "softplus": lambda x, y, d: ft.nn.softplus(np.real(x)) + np.log(1 + np.exp(np.real(x))),
    "gelu": lambda x, y, d: ft.nn.gelu(np.real(x), approximate=d.b % 2 == 0),
    "softmax": lambda x, y, d: ft.nn.softmax(np.real(x), d.axis(x)),
    "log softmax": lambda x, y, d: ft.nn.log_softmax(np.real(x), d.axis(x)),
    "logsumexp": lambda x, y, d: ft.nn.logsumexp(np.real(x), d.axis(x)),
    "normalised": _normalised,
    "mean": lambda x, y, d: np.mean(x, _axes(x, d), keepdims=d.c % 2 == 0),
    "cumulative product": lambda x, y, d: np.cumprod(0.9 + 0.05 * np.sin(np.real(x)), d.axis(x)),
    "running logsumexp": lambda x, y, d: lax.cumlogsumexp(np.real(x), axis=d.axis(x)),
    "norm": lambda x, y, d: np.sqrt(1e-3 + np.sum(np.abs(x) ** 2, d.axis(x))),
    "linear algebra": _algebra,
    "noise": lambda x, y, d: x + ft.random.normal(ft.random.key(d.a), x.shape, np.real(x).dtype) / 8,
    "complex": lambda x, y, d: np.real(x * (1 + 1j)) + np.imag(np.conj(x) * 1j) if x.dtype.kind == "c" else x,
}  # fmt: skip

VOCABULARY = {True: {**MOVES, **SUMS, **ORDERS}, False: {**MOVES, **SUMS, **SMOOTH_FUNCTIONS}}


class Step(NamedTuple):
    """An operation on two of the values, counted from the last; the result is tamed if that may be large."""

    name: str
    x: int
    y: int
    draw: Draw

    def run(self, values: Sequence[Any]) -> Any:
        x, y = (values[-1 - k % len(values)] for k in (self.x, self.y))
        if not x.ndim or not x.size or not y.size:
            return fnp.reshape(x, (-1,))
        if self.name in SUMS or is_half(x.dtype):
            x, y = ((z.astype("f4") if is_half(z.dtype) else _numeric(z)) for z in (x, y))
        found = VOCABULARY[self.draw.is_exact][self.name](x, y, self.draw)
        found = np.reshape(found, (-1,))[:MOST] if found.size > MOST else found
        return found if self.name in MOVES else tame(found, self.draw.is_exact)

    def __repr__(self) -> str:
        return f"{self.name}{tuple(self.draw[:3])} of {self.x}, {self.y}"


class Loop(NamedTuple):
    """Statements again and again, or on each row, or under a transformation."""

    kind: str
    x: int
    y: int
    count: int
    body: Any

    def run(self, values: Sequence[Any]) -> Any:
        x, y = (values[-1 - k % len(values)] for k in (self.x, self.y))
        if not x.ndim or not x.size or not y.size:
            return fnp.reshape(x, (-1,))
        rows = x[:MOST_STEPS]
        row = np.reshape(y, (-1,))[:40]

        def step(row: Any, x: Any) -> Any:
            return fitted(self.body.run([y, x, row])[-1], row.shape, row.dtype)

        def scanned(row: Any, x: Any) -> Any:
            row = step(row, x)
            return row, row[:2] if self.count % 2 else fitted(row, x.shape, x.dtype)

        def goes_on(row: Any, k: Any) -> Any:
            return (k < self.count) & (np.sum(np.real(row)) * 0 < 1)

        options = ({}, {}, {"checkpoint": True}, {"checkpoint": 2})[self.count % 4]
        if self.kind == "scan":
            last, found = lax.scan(scanned, row, rows, reverse=self.count > 6, **options)
            return found if self.count % 3 else last
        if self.kind == "for":
            return lax.fori_loop(0, self.count, lambda i, row: step(row, rows[i % rows.shape[0]]), row, **options)
        if self.kind == "while":
            further = lambda c: (step(c[0], rows[0]), c[1] + 1)  # noqa: E731
            return lax.while_loop(lambda c: goes_on(*c), further, (row, 0), **options)[0]
        if self.kind == "branch":
            return lax.cond(cast(row[0], "f8") > 0.3, lambda: step(row, rows[0]), lambda: row)
        if self.kind == "lanes":
            return ft.vmap(lambda x: step(row, x))(rows)
        if self.kind == "map":
            return lax.map(lambda x: step(row, x), rows, batch_size=(None, 3)[self.count % 2])
        lanes = fitted(x, (24, 3), x.dtype)
        if self.kind == "lanes of loops":
            return ft.vmap(lambda lane: lax.fori_loop(0, self.count, lambda _, lane: step(lane, lane), lane))(lanes)
        if self.kind == "lanes of different loops":
            counts = np.arange(24) % (1 + self.count)
            return ft.vmap(lambda lane, n: lax.fori_loop(0, n, lambda _, lane: step(lane, row), lane))(lanes, counts)
        return getattr(ft, self.kind)(step)(row, rows[0])

    def __repr__(self) -> str:
        return f"{self.kind}({self.count}) of {self.x}, {self.y} ({self.body!r})"


KINDS = (
    "scan", "for", "while", "branch", "lanes", "map", "lanes of loops", "lanes of different loops", "jit", "checkpoint",
)  # fmt: skip


class Body(NamedTuple):
    """Statements, each of which adds a value."""

    statements: tuple[Any, ...]

    def run(self, values: Sequence[Any]) -> list[Any]:
        values = list(values)
        for statement in self.statements:
            values.append(statement.run(values))
        return values

    def __repr__(self) -> str:
        return "; ".join(map(repr, self.statements))


class TensorProgram(NamedTuple):
    """A function of arrays whose last few values, or derivatives of them, are wanted."""

    body: Body
    results: int
    how: str
    is_exact: bool

    def __repr__(self) -> str:
        vocabulary = "exact" if self.is_exact else "smooth"
        return f"{self.how} of {self.results} results of the {vocabulary} program {self.body!r}"

    def values(self, *inputs: Any) -> list[Any]:
        return self.body.run([fnp.asarray(x) for x in inputs])[-self.results :]

    def __call__(self, *inputs: Any) -> Any:
        return HOW[self.how](self)(*inputs)

    def loss(self, *inputs: Any) -> Any:
        """A number with all elements of all results in it, each with a factor of its own."""
        found = [np.reshape(np.real(y) if y.dtype.kind == "c" else y, (-1,)) for y in self.values(*inputs)]
        return sum(np.sum(y.astype("f8") * (1 + np.arange(y.size) % 5)) for y in found)

    def floats(self, *inputs: Any) -> list[Any]:
        return [y if y.dtype.kind in "fc" else y.astype("f8") for y in self.values(*inputs)]

    def gradient(self, *inputs: Any) -> Any:
        return ft.grad(self.loss, tuple(range(len(inputs))))(*inputs)


#: What is asked of a program.
HOW: dict[str, Callable[[TensorProgram], Callable[..., Any]]] = {
    "values": lambda p: p.values,
    "gradient": lambda p: p.gradient,
    "tangents": lambda p: lambda *xs: ft.jvp(p.floats, xs, xs),
    "curvature": lambda p: lambda *xs: ft.jvp(p.gradient, xs, xs)[1],
    "lanes": lambda p: lambda *xs: ft.vmap(p.values)(*(np.stack([x, x[::-1] if x.ndim else x, x]) for x in xs)),
    "gradients of lanes": lambda p: lambda *xs: ft.vmap(p.gradient)(*(np.stack([x] * 17) for x in xs)),
}


@st.composite
def bodies(draw: st.DrawFn, is_exact: bool, depth: int, longest: int) -> Body:
    """Up to so many statements, with loops and branches nested `depth` deep."""
    number, operand = st.integers(0, 11), st.integers(0, 3)
    numbers = st.builds(Draw, number, number, number, st.just(is_exact))
    step = st.builds(Step, st.sampled_from([*VOCABULARY[is_exact]]), operand, operand, numbers)
    statement = step
    if depth:
        loop = st.builds(Loop, st.sampled_from(KINDS), operand, operand, number, bodies(is_exact, depth - 1, 3))
        statement = st.one_of(step, step, step, loop)
    return Body(tuple(draw(st.lists(statement, min_size=1, max_size=longest))))


@st.composite
def tensors(draw: st.DrawFn, dtypes: Sequence[str], is_exact: bool, may_be_large: bool) -> np.ndarray:
    """An array of one of some dtypes, of any layout."""
    shape = draw(st.sampled_from(LARGE if may_be_large and not draw(st.integers(0, 3)) else SMALL))
    dtype = draw(st.sampled_from(dtypes))
    random = np.random.default_rng(draw(st.integers(0, 100)))
    if is_exact:
        x = np.asarray(random.integers(0 if dtype[0] == "u" else -3, 4, shape))
    else:
        x = random.uniform(-1.5, 1.5, shape) + (1j * random.uniform(-1, 1, shape) if dtype[0] == "c" else 0)
    return laid_out(np.asarray(x).astype(dtype), draw(st.sampled_from(LAYOUTS)))


class TensorExample(NamedTuple):
    """A program, several sets of arguments for it, and how far results may be from each other; None: not at all."""

    program: TensorProgram
    arguments: tuple[tuple[np.ndarray, ...], ...]
    tolerance: float | None


@st.composite
def tensor_programs(draw: st.DrawFn, may_be_large: bool) -> TensorExample:
    """Programs of up to six statements, and one to three sets of one or two arguments."""
    is_exact = draw(st.booleans())
    how = draw(st.sampled_from(["values", "values", *HOW]))
    program = TensorProgram(draw(bodies(is_exact, 2, 6)), draw(st.integers(1, 2)), how, is_exact)
    is_differentiated, is_once = how not in ("values", "lanes"), how in ("values", "gradient", "tangents")
    exact, smooth = (("f8",), ("f8", "f8", "f4")) if is_differentiated else (EXACT, SMOOTH)
    dtypes = exact if is_exact else smooth
    args = st.tuples(*[tensors(dtypes, is_exact, may_be_large and is_once)] * draw(st.integers(1, 2)))
    sets = draw(st.lists(args, min_size=1, max_size=3))
    is_single = any(x.dtype.char in "fF" for args in sets for x in args)
    tolerance = (1e-9 if is_differentiated else None) if is_exact else 2e-3 if is_single else 1e-8
    return TensorExample(program, tuple(sets), tolerance)
