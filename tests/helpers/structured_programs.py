"""Random loops and branches, nested, that run with functrans.lax or as plain Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import functrans as ft
from functrans import lax

fnp = ft.numpy
ROWS = np.random.default_rng(5).uniform(-1, 1, size=(3, 2))
STEPS: tuple[tuple[str, Callable[[Any, Any, Any], Any]], ...] = (
    ("sin", lambda x, p, outer: np.sin(x) + p * 0.5),
    ("tanh", lambda x, p, outer: np.tanh(x * p + outer)),
    ("swap", lambda x, p, outer: x[::-1] * np.cos(outer)),
    ("ratio", lambda x, p, outer: x / (1 + outer**2) + p),
    ("square", lambda x, p, outer: x * x * 0.3 - outer * p),
    ("gather", lambda x, p, outer: x[np.minimum(np.arange(x.shape[0]), 1)] * outer[0] + x),
    ("assign", lambda x, p, outer: _assigned(x, outer)),
    ("bell", lambda x, p, outer: np.exp(-x * x) * outer + p),
    ("view", lambda x, p, outer: _written_through_a_view(x, outer)),
    ("modes", lambda x, p, outer: fnp.at(x)[MODES].add(p[0], mode="drop") + fnp.at(outer)[MODES[:1]].get(mode="wrap")),
    ("rule", lambda x, p, outer: _with_tangent_rule(x, p) + outer),
    ("rule backwards", lambda x, p, outer: _with_cotangent_rule(x, p) - outer),
)
#: Places of which some are outside.
MODES = np.array([-7, 0, 1, 99])


def _assigned(x: Any, outer: Any) -> Any:
    y = fnp.array(x)  # what transformations within the program give may be no tracer
    y[0] = y[1] * outer[0]
    return y


def _written_through_a_view(x: Any, outer: Any) -> Any:
    y = fnp.array(x)  # what transformations within the program give may be no tracer
    last = y[::-1]
    last[0] = outer[0]
    y[1:] += x[:-1]
    return y


@ft.custom_jvp
def _with_tangent_rule(x: Any, p: Any) -> Any:
    return np.sin(x) * p


_with_tangent_rule.defjvp(
    lambda primals, tangents: (
        np.sin(primals[0]) * primals[1],
        np.cos(primals[0]) * primals[1] * tangents[0] + np.sin(primals[0]) * tangents[1],
    )
)


@ft.custom_vjp
def _with_cotangent_rule(x: Any, p: Any) -> Any:
    return np.tanh(x * p)


_with_cotangent_rule.defvjp(
    lambda x, p: (np.tanh(x * p), (x, p)),
    lambda saved, ct: tuple(ct * factor * (1 - np.tanh(saved[0] * saved[1]) ** 2) for factor in saved[::-1]),
)


class Plain:
    """Loops and branches in Python."""

    @staticmethod
    def scan(f: Any, init: Any, xs: Any, reverse: bool, options: Any) -> Any:
        ys: list[Any] = []
        for x in xs[::-1] if reverse else xs:
            init, y = f(init, x)
            ys.append(y)
        return init, np.stack(ys[::-1] if reverse else ys)

    @staticmethod
    def while_loop(cond: Any, body: Any, init: Any, options: Any) -> Any:
        while cond(init):
            init = body(init)
        return init

    @staticmethod
    def fori_loop(count: Any, body: Any, init: Any, options: Any) -> Any:
        for i in range(int(count)):
            init = body(i, init)
        return init

    @staticmethod
    def cond(pred: Any, yes: Any, no: Any, x: Any) -> Any:
        return yes(x) if pred else no(x)


class Ours:
    """The same with functrans.lax."""

    @staticmethod
    def scan(f: Any, init: Any, xs: Any, reverse: bool, options: Any) -> Any:
        return lax.scan(f, init, xs, reverse=reverse, **options)

    @staticmethod
    def while_loop(cond: Any, body: Any, init: Any, options: Any) -> Any:
        return lax.while_loop(cond, body, init, **options)

    @staticmethod
    def fori_loop(count: Any, body: Any, init: Any, options: Any) -> Any:
        return lax.fori_loop(0, count, body, init, **options)

    cond = staticmethod(lax.cond)


class Step(NamedTuple):
    """One vector operation; `outer` is the value that the enclosing block began with."""

    number: int

    def run(self, language: Any, x: Any, p: Any, outer: Any) -> Any:
        return STEPS[self.number][1](x, p, outer)

    def __repr__(self) -> str:
        return STEPS[self.number][0]


class Scan(NamedTuple):
    body: Block
    reverse: bool
    options: dict[str, Any]

    def run(self, language: Any, x: Any, p: Any, outer: Any) -> Any:
        def step(c: Any, row: Any) -> Any:
            c = self.body.run(language, c + row, p, outer)
            return c, c * row

        rows = np.resize(ROWS, (len(ROWS), x.shape[0])).astype(x.dtype)
        x, ys = language.scan(step, x, rows, self.reverse, self.options)
        return x + np.sum(ys, axis=0)


class While(NamedTuple):
    """A loop that carries a number of Python's beside the array: it takes the dtype of what it meets."""

    body: Block
    most: int
    options: dict[str, Any]

    def run(self, language: Any, x: Any, p: Any, outer: Any) -> Any:
        def goes_on(carry: Any) -> Any:
            return (carry[0] < self.most) & (np.sum(carry[1] ** 2) < 9)

        def step(carry: Any) -> Any:
            number, x, factor = carry
            return number + 1, self.body.run(language, x * factor, p, outer), factor * 1.1

        return language.while_loop(goes_on, step, (0, x, 1.3), self.options)[1]


class Counted(NamedTuple):
    body: Block
    options: dict[str, Any]

    def run(self, language: Any, x: Any, p: Any, outer: Any) -> Any:
        def turned(y: Any) -> Any:  # the number of a step may be an integer of 64 bits
            return np.cos(y).astype(x.dtype)

        count = 1 + (outer[0] > 0) + (p[0] > 0)
        return language.fori_loop(count, lambda i, x: self.body.run(language, x * turned(i + x), p, outer), x, self.options)


class Branch(NamedTuple):
    yes: Block
    no: Block
    threshold: float

    def run(self, language: Any, x: Any, p: Any, outer: Any) -> Any:
        return language.cond(
            np.sum(x) > self.threshold,
            lambda x: self.yes.run(language, x, p, outer),
            lambda x: self.no.run(language, x, p, outer),
            x,
        )


class Jitted(NamedTuple):
    """A block under jit or checkpoint, in our language."""

    body: Block
    how: str

    def run(self, language: Any, x: Any, p: Any, outer: Any) -> Any:
        if language is Plain:
            return self.body.run(language, x, p, outer)
        return getattr(ft, self.how)(lambda x: self.body.run(language, x, p, outer))(x)


class Derived(NamedTuple):
    """A transformation of a block, whose function closes over what is outside of it."""

    body: Block
    how: str

    def run(self, language: Any, x: Any, p: Any, outer: Any) -> Any:
        f = lambda x, p: self.body.run(language, x, p, outer)  # noqa: E731
        return TRANSFORMATIONS[self.how][language is Plain](f, x, p)


def _by_custom_tangents(f: Any, x: Any, p: Any) -> Any:
    g = ft.custom_jvp(lambda x: f(x, p))
    g.defjvp(lambda primals, tangents: ft.jvp(lambda x: f(x, p), primals, tangents))
    return g(x)


def _by_custom_cotangents(f: Any, x: Any, p: Any) -> Any:
    g = ft.custom_vjp(f)
    g.defvjp(lambda *xs: ft.vjp(f, *xs), lambda pull_back, ct: pull_back(ct))
    return g(x, p)


def _second_derivative(f: Any, x: Any, p: Any) -> Any:
    slope = lambda x: ft.jvp(lambda x: f(x, p), (x,), (p,))[1]  # noqa: E731
    return ft.jvp(slope, (x,), (p,))[1]


def _total(f: Any) -> Any:
    return lambda x, p: np.sum(f(x, p) * p)


def _by_linear_transpose(f: Any, x: Any, p: Any) -> Any:
    _, f_jvp = ft.linearize(lambda p: f(x, p), p)
    return ft.linear_transpose(f_jvp, p)(x)[0]


#: Factors of lanes, and what their results count.
SCALES, WEIGHTS = (1.0, -0.5, 0.3), (0.5, 0.25, -1.0)


def _lanes(f: Any, x: Any, p: Any) -> Any:
    scales = np.array(SCALES, x.dtype)
    return ft.vmap(f, in_axes=(-1, None), out_axes=-1)(x[:, None] * scales, p) @ np.array(WEIGHTS, x.dtype)


def _lanes_of_both(f: Any, x: Any, p: Any) -> Any:
    scales = np.array(SCALES, x.dtype)[:, None]
    found = ft.vmap(lambda args: {"y": f(*args)}, in_axes=((0, 0),))((x * scales, p * scales[::-1]))
    return np.array(WEIGHTS, x.dtype) @ found["y"]


def _lanes_of_gradients(f: Any, x: Any, p: Any) -> Any:
    scales = np.array(SCALES, x.dtype)
    return np.sum(ft.vmap(ft.grad(_total(f)), (None, 0))(x, scales[:, None] * p), axis=0)


#: What a transformation of f(x, p) gives, and how that is computed with loops of Python and with jvp and vjp alone.
TRANSFORMATIONS: dict[str, tuple[Callable[[Any, Any, Any], Any], Callable[[Any, Any, Any], Any]]] = {
    "tangent": (lambda f, x, p: ft.jvp(lambda x: f(x, p), (x,), (p,))[1],) * 2,
    "cotangent": (lambda f, x, p: ft.vjp(f, x, p)[1](x)[0],) * 2,
    "gradient by what is closed over": (lambda f, x, p: ft.grad(lambda p: _total(f)(x, p))(p),) * 2,
    "linearized": (
        lambda f, x, p: ft.linearize(f, x, p)[1](p, x),
        lambda f, x, p: ft.jvp(f, (x, p), (p, x))[1],
    ),
    "transposed": (_by_linear_transpose, lambda f, x, p: ft.vjp(lambda p: f(x, p), p)[1](x)[0]),
    "jet": (lambda f, x, p: ft.jet(lambda x: f(x, p), (x,), ([p, x * 0],))[1][1], _second_derivative),
    "jacfwd": (
        lambda f, x, p: x @ ft.jacfwd(f)(x, p),
        lambda f, x, p: ft.vjp(lambda x: f(x, p), x)[1](x)[0],
    ),
    "jacrev": (
        lambda f, x, p: ft.jacrev(f, argnums=1)(x, p) @ x,
        lambda f, x, p: ft.jvp(lambda p: f(x, p), (p,), (x,))[1],
    ),
    "hessian": (
        lambda f, x, p: ft.hessian(_total(f))(x, p) @ x,
        lambda f, x, p: ft.jvp(lambda x: ft.grad(_total(f))(x, p), (x,), (x,))[1],
    ),
    "lanes": (_lanes, lambda f, x, p: sum(f(x * s, p) * w for s, w in zip(SCALES, WEIGHTS))),
    "lanes of both": (
        _lanes_of_both,
        lambda f, x, p: sum(f(x * s, p * z) * w for s, z, w in zip(SCALES, SCALES[::-1], WEIGHTS)),
    ),
    "lanes of gradients": (_lanes_of_gradients, lambda f, x, p: sum(ft.grad(_total(f))(x, p * s) for s in SCALES)),
    "custom jvp": (_by_custom_tangents, lambda f, x, p: f(x, p)),
    "custom vjp": (_by_custom_cotangents, lambda f, x, p: f(x, p)),
    "map": (
        lambda f, x, p: lax.map(lambda s: f(x, p * s), np.array(SCALES, x.dtype))[1],
        lambda f, x, p: f(x, p * SCALES[1]),
    ),
}


class Block(NamedTuple):
    """Statements one after the other."""

    statements: Sequence[Any]

    def run(self, language: Any, x: Any, p: Any, outer: Any) -> Any:
        start = x
        for statement in self.statements:
            x = statement.run(language, x, p, start if outer is None else start + 0.1 * outer)
        return np.sin(x)  # keeps values of any nesting within bounds


class StructuredProgram(NamedTuple):
    """A function of two vectors of one dtype and length."""

    block: Block

    def ours(self, x: Any, p: Any) -> Any:
        return self.block.run(Ours, x, p, None)

    def plain(self, x: Any, p: Any) -> Any:
        return self.block.run(Plain, x, p, None)


_scan_options = st.sampled_from([{}, {}, {"checkpoint": True}, {"checkpoint": 1}, {"checkpoint": "log"}, {"unroll": 2}])
_loop_options = st.sampled_from([{}, {}, {"checkpoint": True}, {"checkpoint": 2}, {"budget": 400}])


@st.composite
def blocks(draw: st.DrawFn, depth: int, are_derived: bool = False) -> Block:
    """Blocks of up to three statements, with loops, branches and, if wanted, transformations nested `depth` deep."""
    kinds = ["step", "scan", "while", "for", "branch", "jit", *["derived"] * (4 * are_derived)]
    statements: list[Any] = [Step(draw(st.integers(0, len(STEPS) - 1)))]
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(kinds)) if depth else "step"
        if kind == "step":
            statements.append(Step(draw(st.integers(0, len(STEPS) - 1))))
            continue
        body = draw(blocks(depth - 1, are_derived))
        if kind == "scan":
            statements.append(Scan(body, draw(st.booleans()), draw(_scan_options)))
        elif kind == "while":
            statements.append(While(body, draw(st.integers(0, 3)), draw(_loop_options)))
        elif kind == "for":
            statements.append(Counted(body, draw(_loop_options)))
        elif kind == "jit":
            statements.append(Jitted(body, draw(st.sampled_from(["jit", "checkpoint"]))))
        elif kind == "derived":
            statements.append(Derived(body, draw(st.sampled_from([*TRANSFORMATIONS]))))
        else:
            statements.append(Branch(body, draw(blocks(depth - 1, are_derived)), draw(st.floats(-1, 1))))
    return Block(tuple(statements))


def structured_programs(are_derived: bool = False) -> st.SearchStrategy[StructuredProgram]:
    """Programs with loops and branches, and transformations if wanted, up to three levels deep."""
    return st.builds(StructuredProgram, blocks(3, are_derived))


def vectors(size: int = 2, dtype: str = "f8") -> st.SearchStrategy[np.ndarray]:
    """Vectors of numbers between -1.5 and 1.5."""
    return st.integers(0, 1000).map(lambda seed: np.random.default_rng(seed).uniform(-1.5, 1.5, size).astype(dtype))
