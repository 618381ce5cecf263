"""jit: when it traces, static arguments, captured values, methods, and looking inside."""

from __future__ import annotations

import copy
import functools
import pickle
from typing import Any

import numpy as np
import pytest

import functrans as ft

X = np.array([0.5, -1.0, 2.0])


class Counted:
    """A function that counts how often its Python code runs."""

    def __init__(self, function: Any):
        self.function = function
        self.runs = 0
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.runs += 1
        return self.function(*args, **kwargs)


# ---- one trace for each signature


def test_traced_once_for_each_shape_and_dtype():
    f = Counted(lambda x: x * 2)
    jitted = ft.jit(f)
    for args, runs in [
        (X, 1), (X + 1, 1), (np.ones(4), 2), (X.astype("f4"), 3), (np.ones(4), 3), (1.0, 4), (2.0, 4), (1, 5),
        (True, 6), (np.float64(1), 7), (np.ones(()), 7), (X[::-1], 7), (1j, 8),
    ]:  # fmt: skip
        np.testing.assert_array_equal(jitted(args), args * 2)
        assert f.runs == runs


def test_traced_once_for_each_structure():
    f = Counted(lambda p, **kw: ft.tree.leaves((p, kw)))
    jitted = ft.jit(f)
    for args, kwargs, runs in [
        (((1.0, 2.0),), {}, 1), (([1.0, 2.0],), {}, 2), (({"a": 1.0, "b": 2.0},), {}, 3),
        (({"b": 1.0, "a": 2.0},), {}, 3), (((1.0, None),), {}, 4), ((1.0,), {"k": 2.0}, 5), ((1.0,), {"j": 2.0}, 6),
        (((1.0, 2.0),), {}, 6),
    ]:  # fmt: skip
        assert jitted(*args, **kwargs) == ft.tree.leaves((args, kwargs))
        assert f.runs == runs


def test_traced_once_under_transformations():
    f = Counted(lambda x: np.sin(x) * x)
    jitted = ft.jit(f)
    for _ in range(3):
        ft.grad(jitted)(1.0)
        ft.jvp(jitted, (1.0,), (1.0,))
        ft.grad(ft.grad(jitted))(1.0)
    assert f.runs == 1
    for _ in range(3):
        ft.vmap(jitted)(X.astype("f4"))
        ft.vmap(ft.grad(jitted))(X.astype("f4"))
    assert f.runs == 2


def test_derived_programs_are_remembered():
    inner = ft.jit(lambda x: np.sin(x) * x)
    outer = Counted(ft.grad(inner))
    jitted = ft.jit(outer)
    assert jitted(1.0) == jitted(1.0)
    assert outer.runs == 1


# ---- static arguments


def power(x: Any, n: int, name: str = "sine") -> Any:
    for _ in range(n):
        x = np.sin(x) if name == "sine" else np.cos(x)
    return x


@pytest.mark.parametrize(
    "options",
    [
        {"static_argnums": (1, 2)}, {"static_argnames": ("n", "name")}, {"static_argnums": 1, "static_argnames": "name"},
        {"static_argnums": (-2, -1)},
    ],
)  # fmt: skip
def test_static_arguments(options: Any):
    f = Counted(power)
    jitted = ft.jit(f, **options)
    assert jitted(0.5, 2, "sine") == power(0.5, 2)
    assert jitted(0.7, 2, "sine") == power(0.7, 2)
    assert f.runs == 1
    assert jitted(0.5, 3, "cosine") == power(0.5, 3, "cosine")
    assert f.runs == 2


def test_static_arguments_by_name_or_position():
    jitted = ft.jit(power, static_argnames=("n", "name"))
    assert jitted(0.5, n=2) == jitted(0.5, 2) == jitted(x=0.5, n=2, name="sine") == power(0.5, 2)
    jitted = ft.jit(power, static_argnums=(1, 2))
    assert jitted(0.5, n=2, name="cosine") == power(0.5, 2, "cosine")


def test_equal_static_arguments_of_different_types_are_told_apart():
    jitted = ft.jit(lambda x, n: x + (10 if n is True else 20 if isinstance(n, float) else 30), static_argnums=1)
    assert (jitted(1.0, True), jitted(1.0, 1.0), jitted(1.0, 1)) == (11.0, 21.0, 31.0)


EQUAL = [(0.0, -0.0), ((1,), (1.0,)), ((2, -0.0), (2, 0.0)), (np.float32(0), np.float32(-0.0)), (0j, complex(0, -0.0))]


@pytest.mark.parametrize("pair", EQUAL, ids=repr)
@pytest.mark.parametrize("options", [{"static_argnums": 1}, {"static_argnames": "n"}], ids=repr)
def test_static_arguments_are_the_same_only_if_types_and_zeros_are(pair: Any, options: Any):
    """In tuples, too; on the first call and on those that take the quick way."""

    def f(x: Any, n: Any) -> Any:
        last = n[-1] if isinstance(n, tuple) else n
        return x * last, np.full_like(x, last, dtype=complex)

    x = np.arange(1, 3)
    by_name = "static_argnames" in options
    jitted = ft.jit(f, **options)
    for k in (0, 1, 0, 1, 1, 1, 1, 0):
        fresh = pickle.loads(pickle.dumps(pair[k]))  # not the object of the last call
        found = jitted(x, n=fresh) if by_name else jitted(x, fresh)
        for y, wanted in zip(found, f(x, pair[k]), strict=True):
            assert (y.dtype, y.tobytes()) == (wanted.dtype, wanted.tobytes())


def test_static_arguments_that_are_objects():
    def scaled(x: Any, f: Any, config: Any) -> Any:
        return f(x) * config[1]

    jitted = ft.jit(scaled, static_argnums=(1, 2))
    assert jitted(0.5, np.sin, ("a", 3)) == np.sin(0.5) * 3
    assert jitted(0.5, np.cos, ("a", 3)) == np.cos(0.5) * 3
    assert ft.grad(jitted)(0.5, np.sin, ("a", 3)) == np.cos(0.5) * 3


def test_decorator_with_options():
    @ft.jit(static_argnums=1)
    def f(x: Any, n: int) -> Any:
        return x * n

    @functools.partial(ft.jit, static_argnames="n")
    def g(x: Any, n: int) -> Any:
        return x + n

    assert (f(2.0, 3), g(2.0, n=3)) == (6.0, 5.0)


# ---- what a function captures


def test_captured_tracers():
    """A jitted function that closes over a traced value is differentiated, and batched, by that value too."""
    f = lambda x: ft.jit(lambda y: x * y * y)(x)  # noqa: E731
    assert ft.grad(f)(2.0) == 12.0
    assert ft.grad(ft.grad(f))(2.0) == 12.0
    np.testing.assert_allclose(ft.vmap(f)(X), X**3)
    np.testing.assert_allclose(ft.vmap(ft.grad(f))(X), 3 * X**2)
    assert ft.jit(f)(2.0) == 8.0


def test_captured_tracers_are_not_remembered():
    inner = None

    def f(x: Any) -> Any:
        return inner(2.0, x)  # type: ignore[misc]

    for _ in range(2):
        x_seen: list[Any] = []

        def g(y: Any, x: Any, x_seen: Any = x_seen) -> Any:
            return y * x

        inner = ft.jit(g)
        assert ft.grad(f)(3.0) == 2.0

    def closing_over(x: Any) -> Any:
        return cached(x)

    box: list[Any] = []
    cached = ft.jit(lambda y: y * (box[-1] if box else 1.0))

    def with_box(x: Any) -> Any:
        box.append(x)
        try:
            return cached(2.0)
        finally:
            box.pop()

    assert ft.grad(with_box)(3.0) == 2.0
    assert ft.grad(with_box)(4.0) == 2.0
    assert closing_over(5.0) == 5.0


def test_globals_are_read_when_traced():
    scale = [2.0]
    f = ft.jit(lambda x: x * scale[0])
    assert f(1.0) == 2.0
    scale[0] = 3.0
    assert f(1.0) == 2.0
    assert f(np.float32(1)) == 3.0


FACTOR = 2.0


def test_globals_that_were_replaced_are_read_again_by_another_jit(monkeypatch: pytest.MonkeyPatch):
    """Also those that only functions inside name; comprehensions are such before Python 3.12."""

    def with_comprehension(x: Any) -> Any:
        return sum([x * FACTOR for _ in range(2)])

    def with_functions(x: Any) -> Any:
        return (lambda y: (lambda z: z * FACTOR)(y))(x)

    for function, times in ((with_comprehension, 2.0), (with_functions, 1.0)):
        for factor in (2.0, 3.0):
            monkeypatch.setitem(globals(), "FACTOR", factor)
            assert ft.jit(function)(1.0) == times * factor


# ---- methods, results, nesting


def test_methods():
    class Model:
        def __init__(self, w: Any):
            self.w = w

        @ft.jit
        def norm(x: Any) -> Any:
            return np.sqrt(np.sum(x * x))

        @functools.partial(ft.jit, static_argnums=0)
        def scaled(self, x: Any) -> Any:
            return x * self.w

    model = Model(3.0)
    assert model.scaled(2.0) == 6.0
    assert Model(4.0).scaled(2.0) == 8.0
    assert ft.grad(model.scaled)(2.0) == 3.0
    assert Model.__dict__["norm"](X) == np.sqrt(np.sum(X * X))


def test_results_of_every_kind():
    result = ft.jit(lambda x: {"a": (x, None), "b": [], "c": 3, "d": True, "e": 1.5})(X)
    np.testing.assert_array_equal(result["a"][0], X)
    assert result["a"][1] is None
    assert result["b"] == []
    assert (result["c"], result["d"], result["e"]) == (3, True, 1.5)


def test_nested_jit_is_inlined_or_called_but_never_retraced():
    f = Counted(lambda x: np.sin(x))
    inner = ft.jit(f)
    outer = ft.jit(lambda x: inner(x) + inner(x) + inner(x))
    np.testing.assert_allclose(outer(0.5), 3 * np.sin(0.5))
    assert f.runs == 1


def test_side_effects_happen_while_tracing_only():
    seen = []
    f = ft.jit(lambda x: seen.append(1) or x)
    f(1.0)
    f(2.0)
    assert seen == [1]


def test_floating_point_warnings_do_not_escape():
    with np.errstate(all="raise"):
        assert np.isinf(ft.jit(lambda x: 1.0 / x)(np.zeros(1)))[0]
        assert np.isnan(ft.jit(lambda x: np.log(x))(-np.ones(1)))[0]


def test_many_arguments():
    leaves = [float(i) for i in range(300)]
    assert ft.jit(lambda p: sum(p))(leaves) == sum(leaves)
    assert ft.jit(ft.grad(lambda p: sum(x * i for i, x in enumerate(p))))(leaves) == leaves


# ---- looking inside


def test_lower():
    lowered = ft.jit(lambda x: np.sin(x) * 2).lower(ft.ShapeDtypeStruct((3,), "f4"))
    assert [eqn.primitive.name for eqn in lowered.jaxpr.eqns] == ["sin", "multiply"]
    assert lowered.jaxpr.out_avals[0].dtype == np.float32
    result = lowered.compile()(X.astype("f4"))
    np.testing.assert_allclose(result, np.sin(X.astype("f4")) * 2, rtol=1e-6)
    assert result.dtype == np.float32


def test_compiled_ahead_of_time():
    runs = []

    def f(p, n, *, scale):
        runs.append(n)
        return {"y": [p["a"] * n * scale, p["b"]]}

    p = {"a": X, "b": 2.0}
    compiled = ft.jit(f, static_argnums=1).lower(p, 3, scale=0.5).compile()
    found = compiled({"a": 2 * X, "b": 5.0}, scale=4.0)
    np.testing.assert_array_equal(found["y"][0], 24 * X)
    assert found["y"][1] == 5.0
    assert runs == [3]
    for args in (({"a": X[:1], "b": 2.0},), (p, 3), ({"a": X},), ({"a": X.astype("f4"), "b": 2.0},)):
        with pytest.raises(ft.errors.PytreeMismatchError, match="`f` was compiled for other arguments"):
            compiled(*args, scale=0.5)
    np.testing.assert_allclose(ft.grad(lambda x: compiled({"a": x, "b": 2.0}, scale=1.0)["y"][0].sum())(X), 3.0)


def test_lower_with_static_arguments():
    lowered = ft.jit(power, static_argnums=(1, 2)).lower(0.5, 4, "sine")
    assert len(lowered.jaxpr.eqns) == 4


def test_make_jaxpr_and_eval_shape():
    jaxpr = ft.make_jaxpr(lambda x, n: x * n, static_argnums=1)(X, 3)
    assert len(jaxpr.inputs) == 1
    shape = ft.eval_shape(lambda p, k: {"y": p["a"] @ p["a"].T, "k": k}, {"a": ft.ShapeDtypeStruct((5, 2), "f4")}, k=1)
    assert shape["y"] == ft.ShapeDtypeStruct((5, 5), "f4")
    assert shape["k"].dtype == np.int64


def test_eval_shape_computes_nothing():
    huge = ft.ShapeDtypeStruct((10**6, 10**6), "f8")
    assert ft.eval_shape(ft.grad(lambda x: np.sum(np.sin(x) ** 2)), huge) == huge
    assert ft.eval_shape(ft.vmap(np.sum), huge) == ft.ShapeDtypeStruct((10**6,), "f8")


def test_tangents_of_integers_are_returned():
    def f(x, i):
        return {"order": np.argsort(x), "value": np.sin(x) * i}

    x, i = np.arange(3.0), np.array([1, 2, 3])
    pushed = ft.jit(lambda x, i: ft.jvp(lambda x: f(x, i), (x,), (x,)))
    pulled = ft.jit(lambda x, i: ft.vjp(lambda x, i: f(x, i)["value"], x, i)[1](x))
    for _ in range(3):
        values, tangents = pushed(x, i)
        np.testing.assert_array_equal(values["order"], [0, 1, 2])
        assert (tangents["order"].dtype, tangents["order"].shape) == (ft.float0, (3,))
        np.testing.assert_allclose(tangents["value"], np.cos(x) * i * x)
        by_x, by_i = pulled(x, i)
        np.testing.assert_allclose(by_x, np.cos(x) * i * x)
        assert (by_i.dtype, by_i.shape) == (ft.float0, (3,))
    assert ft.jit(pulled)(x, i)[1].dtype == ft.float0


# ---- copies and pickles


@ft.jit
def decorated(x: Any) -> Any:
    return x * 2


class Scaled:
    """An object that holds a jitted method of its own."""

    def __init__(self, factor: float):
        self.factor = factor
        self.run = ft.jit(self.times)

    def times(self, x: Any) -> Any:
        return x * self.factor


@pytest.mark.parametrize("again", [lambda f: pickle.loads(pickle.dumps(f)), copy.copy, copy.deepcopy])
def test_copies_and_pickles(again: Any):
    """Before the first call and afterwards, when there is a program that is run at once."""
    functions = {
        ft.jit(np.sin): (X,), ft.jit(functools.partial(np.add, 3)): (X,), ft.checkpoint(np.cos): (X,),
        ft.jit(np.sum, static_argnames="axis", donate_argnums=0): (X.copy(), 0), decorated: (X,),
    }  # fmt: skip
    for function, args in functions.items():
        wanted = function.fun(*args)
        for _ in range(3):
            found = again(function)
            assert (found.static, found.donated, found.primitive) == (
                function.static, function.donated, function.primitive
            )  # fmt: skip
            np.testing.assert_array_equal(found(*args), wanted)
            np.testing.assert_array_equal(function(*args), wanted)
    assert again(decorated) is decorated


def test_a_jitted_method_is_copied_with_its_object():
    model = Scaled(2.0)
    for _ in range(3):
        for again in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
            other = again(model)
            other.factor = 5.0
            np.testing.assert_array_equal(other.run(X), X * 5)
        np.testing.assert_array_equal(model.run(X), X * 2)
