"""Functions with rules of their own under every transformation: true rules change nothing, and each rule is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import product
from typing import Any
from zlib import crc32

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.custom_derivatives import CustomVJPPrimal, SymbolicZero
from functrans.errors import CustomRuleError, NonDifferentiableError, TransposeError
from tests.helpers.oracles import assert_trees_close

X, V = np.array([0.4, 1.1, -0.7]), np.array([0.3, -1.0, 0.7])
Function = Callable[[Any], Any]


# ---- true rules change nothing


def plain(x: Any) -> Any:
    return np.sin(x) * np.cos(x[::-1])


def by_assignment(x: Any) -> Any:
    y = x.copy()
    y[:] = np.sin(x)
    y *= np.cos(x[::-1])
    return y


def push(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    dy = np.cos(x) * np.cos(x[::-1]) * dx
    dy = dy - np.sin(x) * np.sin(x[::-1]) * dx[::-1]
    return plain(x), dy


def push_by_assignment(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    dy = np.zeros_like(dx)
    dy[:2] = (np.cos(x) * np.cos(x[::-1]) * dx)[:2]
    dy[2] = np.cos(x[2]) * np.cos(x[0]) * dx[2]
    dy -= np.sin(x) * np.sin(x[::-1]) * dx[::-1]
    return by_assignment(x), dy


def forward(x: Any) -> Any:
    return plain(x), {"x": x, "sin": np.sin(x)}


def backward(residuals: Any, ct: Any) -> Any:
    x, sin = residuals["x"], residuals["sin"]
    return (np.cos(x) * np.cos(x[::-1]) * ct - (sin * np.sin(x[::-1]) * ct)[::-1],)


def backward_by_assignment(residuals: Any, ct: Any) -> Any:
    x, sin = residuals["x"], residuals["sin"]
    found = fnp.zeros(3)
    found[...] = -(sin * np.sin(x[::-1]) * ct)[::-1]
    found[0] += np.cos(x[0]) * np.cos(x[2]) * ct[0]
    found[1:] += np.cos(x[1:]) * np.cos(x[::-1][1:]) * ct[1:]
    return (found,)


def lanes(size: int, mapped: Any, x: Any) -> Any:
    return np.sin(x) * np.cos(x[..., ::-1]), mapped[0]


def series(primals: Any, terms: Any) -> Any:
    return ft.jet(plain, primals, terms)


def recursive_push(primals: Any, tangents: Any) -> Any:
    return RECURSIVE(*primals), push(primals, tangents)[1]


def recursive_forward(x: Any) -> Any:
    return RECURSIVE(x), x


def recursive_backward(x: Any, ct: Any) -> Any:
    return (ft.vjp(plain, x)[1](ct)[0],)


RECURSIVE = ft.custom_rule(plain, jvp=recursive_push, vjp=(recursive_forward, recursive_backward))


def with_custom_jvp(rule: Any, **options: Any) -> Any:
    f = ft.custom_jvp(plain)
    f.defjvp(rule, **options)
    return f


def with_custom_vjp(forward: Any, backward: Any) -> Any:
    f = ft.custom_vjp(plain)
    f.defvjp(forward, backward)
    return f


RULES: dict[str, Any] = {
    "none": ft.custom_rule(plain),
    "jvp": ft.custom_rule(plain, jvp=push),
    "vjp": ft.custom_rule(plain, vjp=(forward, backward)),
    "batch": ft.custom_rule(plain, batch=lanes),
    "jet": ft.custom_rule(plain, jet=series),
    "all": ft.custom_rule(plain, jvp=push, vjp=(forward, backward), batch=lanes, jet=series),
    "custom_jvp": with_custom_jvp(push),
    "custom_vjp": with_custom_vjp(forward, backward),
    "assigning jvp": ft.custom_rule(by_assignment, jvp=push_by_assignment),
    "assigning vjp": ft.custom_rule(by_assignment, vjp=(forward, backward_by_assignment)),
    "recursive": RECURSIVE,
}

#: From functions of three numbers to such functions.
TRANSFORMS: dict[str, Callable[[Function], Function]] = {
    "jvp": lambda f: lambda x: ft.jvp(f, (x,), (V,))[1],
    "vjp": lambda f: lambda x: ft.vjp(f, x)[1](V)[0],
    "vmap": lambda f: lambda x: np.sum(ft.vmap(f)(np.stack([x, 2 * x])), axis=0),
    "jit": ft.jit,
    "checkpoint": ft.checkpoint,
    "jet": lambda f: lambda x: ft.jet(f, (x,), ([V, x],))[1][1],
    "scan": lambda f: lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0],
    "while": lambda f: lambda x: lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, f(c[1])), (0, x))[1],
    "cond": lambda f: lambda x: lax.cond(np.sum(x) > 0, f, np.sin, x),
}


def transformed(f: Function, *names: str) -> Any:
    """The value at X of a function after some transformations."""
    for name in names:
        f = TRANSFORMS[name](f)
    return f(X)


@cache
def plainly(*names: str) -> Any:
    return transformed(plain, *names)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("first", TRANSFORMS)
def test_true_rules_change_nothing(first: str, rules: str):
    """Each transformation, and each pair of them in each order."""
    assert_trees_close(transformed(RULES[rules], first), plainly(first))
    for second in TRANSFORMS:
        assert_trees_close(transformed(RULES[rules], first, second), plainly(first, second))


@pytest.mark.slow
@pytest.mark.parametrize("names", list(product(TRANSFORMS, repeat=3)), ids="-".join)
def test_true_rules_change_nothing_thrice(names: tuple[str, ...]):
    rules = list(RULES)[crc32("".join(names).encode()) % len(RULES)]
    assert_trees_close(transformed(RULES[rules], *names), plainly(*names))


@pytest.mark.parametrize("rules", RULES)
def test_hessians(rules: str):
    assert_trees_close(ft.hessian(lambda x: np.sum(RULES[rules](x) ** 2))(X), ft.hessian(lambda x: np.sum(plain(x) ** 2))(X))
    assert_trees_close(ft.jacfwd(ft.jacrev(RULES[rules]))(X), ft.jacfwd(ft.jacrev(plain))(X))
    assert_trees_close(ft.jacrev(ft.jacfwd(RULES[rules]))(X), ft.jacrev(ft.jacfwd(plain))(X))


# ---- pytrees, nondiff arguments, complex numbers


def of_trees(p: Any, n: Any, q: Any) -> Any:
    return {"y": p["a"] * np.sin(p["b"][0]) + q, "count": n, "z": (p["b"][0] ** 2 * q,)}


def of_trees_push(primals: Any, tangents: Any) -> Any:
    (p, n, q), (dp, _, dq) = primals, tangents
    a, (b,) = p["a"], p["b"]
    da, (db,) = dp["a"], dp["b"]
    return of_trees(p, n, q), {
        "y": da * np.sin(b) + a * np.cos(b) * db + dq,
        "count": np.zeros((), ft.float0),
        "z": (2 * b * db * q + b**2 * dq,),
    }


def of_trees_backward(residuals: Any, ct: Any) -> Any:
    p, q = residuals
    a, (b,) = p["a"], p["b"]
    dy, (dz,) = ct["y"], ct["z"]
    db = np.sum(a * np.cos(b) * dy + 2 * b * q * dz)
    return {"a": np.sin(b) * dy, "b": [db]}, None, dy + b**2 * dz


def of_trees_lanes(size: int, mapped: Any, p: Any, n: Any, q: Any) -> Any:
    assert mapped == ({"a": True, "b": [True]}, False, False)
    return of_trees({"a": p["a"], "b": [p["b"][0][:, None]]}, n, q), {"y": True, "count": False, "z": True}


TREE_RULES: dict[str, dict[str, Any]] = {
    "jvp": {"jvp": of_trees_push},
    "vjp": {"vjp": (lambda p, n, q: (of_trees(p, n, q), (p, q)), of_trees_backward)},
    "batch": {"batch": of_trees_lanes},
    "jet": {"jet": lambda primals, terms: ft.jet(of_trees, primals, terms)},
}
TREE = {"a": X, "b": [0.5]}


@pytest.mark.parametrize("rule", TREE_RULES)
def test_pytrees(rule: str):
    f = ft.custom_rule(of_trees, **TREE_RULES[rule])
    zero = np.zeros((), ft.float0)
    tangents = {"a": V, "b": [0.2]}, zero, V
    ct = {"y": V, "count": zero, "z": (X,)}
    stacked = {"a": np.stack([X, V]), "b": [np.array([0.5, 1.0])]}
    for transform in (lambda f: f, ft.jit):
        assert_trees_close(transform(f)(TREE, 3, X), of_trees(TREE, 3, X))
        assert_trees_close(ft.jvp(transform(f), (TREE, 3, X), tangents), ft.jvp(of_trees, (TREE, 3, X), tangents))
        assert_trees_close(ft.vjp(transform(f), TREE, 3, X)[1](ct), ft.vjp(of_trees, TREE, 3, X)[1](ct))
        axes = (0, None, None)
        assert_trees_close(ft.vmap(transform(f), axes)(stacked, 3, X), ft.vmap(of_trees, axes)(stacked, 3, X))
        terms = [TREE, {"a": V, "b": [0.1]}], [zero, zero], [X, V]
        assert_trees_close(ft.jet(transform(f), (TREE, 3, X), terms), ft.jet(of_trees, (TREE, 3, X), terms))


def test_complex_numbers():
    z, dz = np.array([1 + 2j, 0.5 - 1j]), np.array([0.3 - 1j, 2 + 0.1j])
    square = lambda z: z**2 * np.exp(z)  # noqa: E731
    slope = lambda z: (2 * z + z**2) * np.exp(z)  # noqa: E731
    length = lambda z: np.abs(z) ** 2  # noqa: E731
    by_jvp = ft.custom_rule(square, jvp=lambda p, t: (square(*p), slope(*p) * t[0]), check=(z,))
    by_vjp = ft.custom_rule(square, vjp=(lambda z: (square(z), z), lambda z, ct: (slope(z) * ct,)), check=(z,))
    for f in (by_jvp, by_vjp):
        assert_trees_close(ft.jvp(f, (z,), (dz,)), ft.jvp(square, (z,), (dz,)))
        assert_trees_close(ft.vjp(f, z)[1](dz), ft.vjp(square, z)[1](dz))
        assert_trees_close(ft.jacfwd(ft.jacrev(f, holomorphic=True), holomorphic=True)(z), np.zeros((2, 2, 2)) + ft.jacfwd(
            ft.jacrev(square, holomorphic=True), holomorphic=True)(z))  # fmt: skip
    real = ft.custom_rule(length, vjp=(lambda z: (length(z), z), lambda z, ct: (2 * np.conj(z) * ct,)), check=(z,))
    assert_trees_close(ft.grad(lambda z: np.sum(real(z)))(z), ft.grad(lambda z: np.sum(length(z)))(z))
    assert_trees_close(ft.jvp(real, (z,), (dz,)), ft.jvp(length, (z,), (dz,)))


@pytest.mark.parametrize("options", [{"nondiff_argnums": (0, 2)}, {"nondiff_argnums": 0, "nondiff_argnames": "m"},
                                     {"nondiff_argnames": ("g", "m")}, {"nondiff_argnums": (-1, 0)}])  # fmt: skip
def test_nondiff_arguments(options: Any):
    """They may be anything, and come first in the rules; by position, by name, or by default."""
    f = lambda g, x, m=3: g(x) * m  # noqa: E731
    slope = lambda g, x, m: ft.grad(lambda x: np.sum(g(x)))(x) * m  # noqa: E731
    tags: list[Any] = []

    def rule(g: Any, m: Any, primals: Any, tangents: Any) -> Any:
        tags.append((g, m))
        return f(g, *primals, m), slope(g, *primals, m) * tangents[0]

    def back(g: Any, m: Any, x: Any, ct: Any) -> Any:
        tags.append((g, m))
        return (slope(g, x, m) * ct,)

    by_jvp, by_vjp = ft.custom_jvp(f, **options), ft.custom_vjp(**options)(f)
    by_jvp.defjvp(rule)
    by_vjp.defvjp(lambda g, x, m: (f(g, x, m), x), back)
    both = ft.custom_rule(f, jvp=rule, vjp=(lambda g, x, m: (f(g, x, m), x), back), **options)
    both.def_batch(lambda g, m, size, mapped, x: (f(g, x, m), mapped[0]))
    both.def_jet(lambda g, m, primals, terms: ft.jet(lambda x: f(g, x, m), primals, terms), check=(np.sin, X, 3))
    for h in (by_jvp, by_vjp, both):
        tags.clear()
        for call in (lambda x, h=h: h(np.sin, x), lambda x, h=h: h(np.sin, m=3, x=x), lambda x, h=h: h(np.sin, x, 3)):
            assert_trees_close(ft.vjp(call, X)[1](V)[0], 3 * np.cos(X) * V)
            assert_trees_close(ft.jvp(call, (X,), (V,))[1], 3 * np.cos(X) * V)
            assert_trees_close(ft.jit(ft.vmap(ft.grad(call)))(X), 3 * np.cos(X))
        assert set(tags) == {(np.sin, 3)}
    assert_trees_close(ft.jet(partial(both, np.sin), (X,), ([V],))[1][0], 3 * np.cos(X) * V)


@pytest.mark.parametrize("kind", [ft.custom_jvp, ft.custom_vjp, ft.custom_rule], ids=lambda kind: kind.__name__)
def test_functions_with_rules_say_what_they_are(kind: Any):
    assert repr(kind(plain)) == f"<{kind.__name__} of {plain!r}>"


def test_methods():
    class Model:
        power = 3

        @ft.custom_jvp(nondiff_argnums=0)
        def f(self, x: Any) -> Any:
            return x**self.power

        @f.defjvp
        def f_jvp(self, primals: Any, tangents: Any) -> Any:
            (x,), (dx,) = primals, tangents
            return x**self.power, 3 * x**2 * dx

    assert ft.grad(Model().f)(2.0) == 12.0


# ---- each rule is used


def cube(x: Any) -> Any:
    return x**3


def false_push(primals: Any, tangents: Any) -> Any:
    return primals[0] ** 3, 10 * primals[0] * tangents[0]


FALSE_BACK = (lambda x: (x**3, x), lambda x, ct: (100 * x * ct,))
FALSE_JVP, FALSE_VJP = ft.custom_rule(cube, jvp=false_push), ft.custom_rule(cube, vjp=FALSE_BACK)
FALSE_BOTH = ft.custom_rule(cube, jvp=false_push, vjp=FALSE_BACK)
AROUND: dict[str, Callable[[Function], Function]] = {
    "bare": lambda f: f,
    "jit": ft.jit,
    "checkpoint": ft.checkpoint,
    "vmap": lambda f: lambda x: ft.vmap(f)(x[None])[0],
    "scan": lambda f: lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=1)[0],
    "while": lambda f: lambda x: lax.while_loop(lambda c: c[0] < 1, lambda c: (c[0] + 1, f(c[1])), (0, x))[1],
    "cond": lambda f: lambda x: lax.cond(np.sum(x) > -9, f, np.sin, x),
    "jit of vmap": lambda f: ft.jit(lambda x: ft.vmap(ft.jit(f))(x[None])[0]),
}


@pytest.mark.parametrize("around", AROUND)
def test_derivative_rules_are_used(around: str):
    """Rules for ten and a hundred times x as the derivative of x**3: nobody asks the function."""
    wrap = AROUND[around]
    push = lambda f: ft.jvp(wrap(f), (X,), (V,))[1]  # noqa: E731
    pull = lambda f: ft.vjp(wrap(f), X)[1](V)[0]  # noqa: E731
    assert_trees_close([push(FALSE_JVP), pull(FALSE_JVP)], [10 * X * V, 10 * X * V])
    assert_trees_close([push(FALSE_VJP), pull(FALSE_VJP)], [100 * X * V, 100 * X * V])
    assert_trees_close([push(FALSE_BOTH), pull(FALSE_BOTH)], [10 * X * V, 100 * X * V])
    taylor = lambda f: ft.jet(wrap(f), (X,), ([V, 0 * V],))[1]  # noqa: E731
    if around != "while":
        assert_trees_close(taylor(FALSE_JVP), [10 * X * V, 10 * V * V])
        assert_trees_close(taylor(FALSE_VJP), [100 * X * V, 100 * V * V])
    total = lambda f: lambda x: np.sum(wrap(f)(x))  # noqa: E731
    assert_trees_close(ft.hessian(total(FALSE_JVP))(X), np.diag([10.0] * 3))
    assert_trees_close(ft.hessian(total(FALSE_VJP))(X), np.diag([100.0] * 3))
    assert_trees_close(ft.hessian(total(FALSE_BOTH))(X), np.diag([100.0] * 3))
    assert_trees_close(ft.jacfwd(ft.jacfwd(total(FALSE_BOTH)))(X), np.diag([10.0] * 3))


@pytest.mark.parametrize("around", [name for name in AROUND if name not in ("vmap", "while", "jit of vmap")])
def test_batch_rules_are_used(around: str):
    f = ft.custom_rule(cube, batch=lambda size, mapped, x: (x**2 + size, mapped[0]))
    rows = np.stack([X, V])
    assert_trees_close(ft.vmap(AROUND[around](f))(rows), rows**2 + 2)
    assert_trees_close(ft.jit(ft.vmap(AROUND[around](f)))(rows), rows**2 + 2)
    assert_trees_close(ft.grad(lambda x: np.sum(ft.vmap(AROUND[around](f))(x)))(rows), 2 * rows)
    assert_trees_close(AROUND[around](f)(X), X**3)


@pytest.mark.parametrize("around", [name for name in AROUND if name != "while"])
def test_jet_rules_are_used(around: str):
    f = ft.custom_rule(cube, jet=lambda p, s: (p[0] ** 3, [7 * s[0][0], p[0] * s[0][1]]))
    g = AROUND[around](f)
    assert_trees_close(ft.jet(g, (X,), ([V, X],)), (X**3, [7 * V, X * X]))
    assert_trees_close(ft.jit(lambda x: ft.jet(g, (x,), ([V, X],)))(X), (X**3, [7 * V, X * X]))
    mapped = ft.vmap(lambda x, v: ft.jet(g, (x,), ([v, x],)))(np.stack([X, X]), np.stack([V, X]))
    assert_trees_close(mapped, (np.stack([X**3] * 2), [7 * np.stack([V, X]), np.stack([X * X] * 2)]))
    assert_trees_close(ft.jvp(g, (X,), (V,))[1], 3 * X**2 * V)


def test_rules_for_lanes_by_their_other_name() -> None:
    seen = []

    @ft.custom_batching.custom_vmap
    def f(x: Any, y: Any) -> Any:
        return {"product": x * y, "sum": np.sum(x)}

    @f.def_vmap
    def rule(axis_size: int, in_batched: Any, x: Any, y: Any) -> Any:
        seen.append((axis_size, tuple(in_batched)))
        return {"product": x * y, "sum": np.sum(x, axis=1)}, True

    x = np.arange(6.0).reshape(2, 3)
    mapped = ft.vmap(f, (0, None))
    assert_trees_close(mapped(x, X), {"product": x * X, "sum": np.sum(x, axis=1)})
    assert seen == [(2, (True, False))]
    assert_trees_close(ft.jit(mapped)(x, X), mapped(x, X))
    assert_trees_close(ft.grad(lambda x: np.sum(mapped(x, X)["product"] ** 2))(x), 2 * x * X**2)


@pytest.mark.parametrize("transform", [lambda f: f, ft.jit])
def test_lanes_one_after_the_other(transform: Any) -> None:
    counted = []

    @ft.custom_batching.sequential_vmap
    def f(x: Any, factors: Any) -> Any:
        counted.append(np.shape(x))
        return {"sums": np.cumsum(x) * factors["by"]}

    x, by = np.arange(6.0).reshape(2, 3), np.array([2.0, -1.0])
    wanted = {"sums": np.cumsum(x, axis=1) * by[:, None]}
    assert_trees_close(transform(ft.vmap(f))(x, {"by": by}), wanted)
    assert set(counted) == {(3,)}
    assert_trees_close(transform(ft.vmap(f, (1, None)))(x.T, {"by": 2.0}), {"sums": 2 * np.cumsum(x, axis=1)})
    gradient = ft.vmap(ft.grad(lambda x: np.sum(f(x, {"by": 2.0})["sums"])))
    assert_trees_close(transform(gradient)(x), np.tile([6.0, 4.0, 2.0], (2, 1)))


def test_only_batch_and_jet_rules_leave_derivatives_to_the_function():
    f = ft.custom_rule(cube, batch=lambda n, m, x: (x * 0, m[0]), jet=lambda p, s: (p[0], s[0]))
    assert_trees_close(ft.hessian(lambda x: np.sum(f(x)))(X), np.diag(6 * X))


def test_rules_may_use_what_only_numpy_knows():
    """Without staging, primals and residuals that are known are NumPy's arrays."""
    values: list[Any] = []

    def known(x: Any) -> Any:
        values.append(type(x))
        return np.vectorize(lambda e: float(e) * 2)(x)

    f = ft.custom_rule(known)
    f.def_jvp(lambda p, t: (f(*p), known(p[0]) / p[0] * t[0]))
    assert_trees_close(ft.vjp(f, X)[1](V)[0], 2 * V)
    f.def_vjp(lambda x: (f(x), x), lambda x, ct: (known(x) / x * ct,))
    assert_trees_close(ft.vjp(f, X)[1](V)[0], 2 * V)
    assert_trees_close(ft.jvp(f, (X,), (V,))[1], 2 * V)

    def closing_over(c: Any) -> Any:
        g = ft.custom_jvp(lambda x: known(x) * c)
        g.defjvp(lambda p, t: (g(*p), 2 * t[0] * c))
        return g

    assert_trees_close(ft.grad(lambda c: np.sum(closing_over(c)(X)))(V), 2 * X)
    assert set(values) == {np.ndarray}


def test_rules_may_be_undifferentiable():
    """A function that NumPy alone computes, with a rule: first derivatives, and an error beyond."""
    sine = lambda x: np.asarray(np.sin(np.asarray(x)))  # noqa: E731
    call = partial(ft.pure_callback, vmap_method="sequential")
    f = ft.custom_rule(lambda x: call(sine, ft.ShapeDtypeStruct(x.shape, x.dtype), x))
    f.def_jvp(lambda p, t: (f(*p), call(np.cos, ft.ShapeDtypeStruct((3,), "f8"), p[0]) * t[0]), check=(X,))
    assert_trees_close(ft.jit(lambda x: ft.vjp(f, x)[1](V)[0])(X), np.cos(X) * V)
    assert_trees_close(ft.vmap(lambda x: ft.jvp(f, (x,), (V,))[1])(X[None])[0], np.cos(X) * V)
    with pytest.raises(NonDifferentiableError):
        ft.hessian(lambda x: np.sum(f(x)))(X)


def test_backward_rules_that_are_not_linear_have_no_forward_mode():
    f = ft.custom_vjp(lambda x: x)
    f.defvjp(lambda x: (x, None), lambda _, ct: (np.clip(ct, -1, 1),))
    assert_trees_close(ft.grad(lambda x: f(x) * 10.0)(2.0), 1.0)
    with pytest.raises(TransposeError) as caught:
        ft.jvp(f, (2.0,), (1.0,))
    assert "backward rule of `<lambda>`" in caught.value.__notes__[0]


def test_residuals_without_lanes_are_not_repeated():
    shapes: list[Any] = []

    def back(w: Any, ct: Any) -> Any:
        shapes.append(w.shape)
        return None, w.T @ ct

    f = ft.custom_vjp(lambda w, x: w @ x)
    f.defvjp(lambda w, x: (w @ x, w), back)
    w, rows = np.arange(6.0).reshape(2, 3), np.ones((4, 3))
    found = ft.grad(lambda x: np.sum(ft.vmap(f, (None, 0))(w, x)))(rows)
    assert_trees_close(found, np.tile(w.sum(axis=0), (4, 1)))
    assert shapes == [(2, 3)]


# ---- symbolic zeros


def test_symbolic_zeros_in_jvp_rules():
    seen: list[Any] = []

    def rule(primals: Any, tangents: Any) -> Any:
        seen.append([isinstance(t, SymbolicZero) for t in tangents])
        (x, y, _), (dx, dy, dn) = primals, tangents
        terms = [a * b for a, b in ((dx, y), (dy, x)) if not isinstance(a, SymbolicZero)]
        assert isinstance(dn, SymbolicZero)
        assert (dn.shape, dn.dtype, dn.ndim, dn.size) == ((), np.dtype(int), 0, 1)
        return x * y, sum(terms)

    product = lambda x, y, n: x * y  # noqa: E731
    by_jvp = ft.custom_jvp(product)
    by_jvp.defjvp(rule, symbolic_zeros=True)
    by_rule = ft.custom_rule(product)
    by_rule.def_jvp(rule, symbolic_zeros=True, check=(2.0, 3.0, 4))
    for f in (by_jvp, by_rule):
        mapped = lambda f: lambda *xs: ft.vmap(f)(*(np.stack([x]) for x in xs))[0]  # noqa: E731
        for wrap in (lambda f: f, ft.jit, ft.checkpoint, mapped):
            seen.clear()
            assert ft.grad(wrap(f), 0)(2.0, 3.0, 4) == 3.0
            assert all(flags == [False, True, True] for flags in seen)
            assert ft.grad(wrap(f), (0, 1))(2.0, 3.0, 4) == (3.0, 2.0)
            assert seen[-1] == [False, False, True]


def test_symbolic_zeros_in_vjp_rules():
    seen: list[Any] = []

    def fwd(p: Any, y: Any) -> Any:
        assert all(type(x) is CustomVJPPrimal for x in (*p, y))
        seen.append([x.perturbed for x in (*p, y)])
        (a, b), y = (x.value for x in p), y.value
        return (a * y, b * y), (a, b, y)

    def bwd(residuals: Any, cts: Any) -> Any:
        a, b, y = residuals
        seen.append([type(ct) is SymbolicZero for ct in cts])
        da, db = (0.0 if type(ct) is SymbolicZero else ct for ct in cts)
        return (da * y, db * y), da * a + db * b

    fun = lambda p, y: (p[0] * y, p[1] * y)  # noqa: E731
    by_vjp = ft.custom_vjp(fun)
    by_vjp.defvjp(fwd, bwd, symbolic_zeros=True)
    by_rule = ft.custom_rule(fun)
    by_rule.def_vjp(fwd, bwd, symbolic_zeros=True, check=((2.0, 3.0), 4.0))
    for f in (by_vjp, by_rule):
        for wrap in (lambda f: f, ft.jit, ft.checkpoint):
            seen.clear()
            assert ft.grad(lambda y: wrap(f)((2.0, 3.0), y)[0])(4.0) == 2.0
            assert seen == [[False, False, True], [False, True]]
            seen.clear()
            assert ft.grad(lambda a, y: wrap(f)((a, 3.0), y)[1])(2.0, 4.0) == 0.0
            assert ft.grad(lambda p: sum(wrap(f)(p, 4.0)))((2.0, 3.0)) == (4.0, 4.0)
            assert seen[-2:] == [[True, True, False], [False, False]]


def test_rules_may_return_symbolic_zeros():
    f = ft.custom_jvp(lambda x, y: (x, x + y))
    f.defjvp(lambda p, t: (f(*p), (SymbolicZero.from_primal_value(p[0]), t[0] + t[1])))
    flag: list[bool] = []

    def g(x: Any) -> Any:
        a, b = f(x, x)
        flag.append(float(a) > 0)  # nothing is lost: a has no tangent
        return a * b

    assert ft.grad(g)(3.0) == 6.0
    assert ft.jit(ft.grad(lambda x: np.sum(f(x, x)[0])))(3.0) == 0.0
    h = ft.custom_vjp(lambda x, y: x * y)
    h.defvjp(lambda x, y: (x * y, y), lambda y, ct: (ct * y, SymbolicZero.from_primal_value(y)))
    assert ft.grad(h, (0, 1))(2.0, 3.0) == (3.0, 0.0)


def test_symbolic_zeros_and_a_python_if():
    """One way returns a zero, the other does not."""
    f = ft.custom_vjp(lambda x: x * 2)
    f.defvjp(lambda x: (x * 2, x), lambda x, ct: (2 * ct if x > 0 else None,))
    for x in (1.0, -1.0):
        wanted = 2.0 if x > 0 else 0.0
        assert ft.grad(f)(x) == wanted
        assert ft.jit(ft.grad(f))(x) == wanted
        assert ft.vmap(ft.grad(f))(np.array([x, 1.0])).tolist() == [wanted, 2.0]
        assert ft.grad(lambda x: np.sum(ft.vmap(f)(np.array([1.0, 1.0]) * x)))(x) == 2 * wanted


# ---- one rule for each argument


def test_defjvps():
    f = ft.custom_jvp(lambda x, n, y, z: (x * np.sin(y), z), nondiff_argnums=-3)
    by_y = lambda dy, out, x, y, z: (x * np.cos(y) * dy, 0 * z)  # noqa: E731
    f.defjvps(lambda dx, out, x, y, z: (dx * np.sin(y), 0 * z), by_y, None)
    assert_trees_close(ft.grad(lambda x, y: f(x, "any", y, 1.0)[0], (0, 1))(2.0, 0.3), (np.sin(0.3), 2 * np.cos(0.3)))
    assert ft.grad(lambda z: f(2.0, "any", 0.3, z)[1])(1.0) == 0.0
    g = ft.custom_jvp(lambda x, y: x)
    g.name = "g"
    g.defjvps(lambda *_: 0.0)
    with pytest.raises(CustomRuleError, match="`g` has 1 rules by argument for 2"):
        ft.grad(g)(1.0, 2.0)
    h = ft.custom_jvp(lambda x: x)
    h.defjvps(lambda dx, out, x: (dx, dx))
    with pytest.raises(CustomRuleError, match=r"jvp rule of `<lambda>` returned a tangent of structure"):
        ft.grad(h)(1.0)
