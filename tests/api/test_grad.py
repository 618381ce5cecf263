"""grad, value_and_grad, jvp, vjp, linearize, linear_transpose: arguments, structures, conventions."""

from __future__ import annotations

import copy
import gc
import pickle
import time
import tracemalloc
import weakref
from collections import OrderedDict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.api import grad, jit
from functrans.transforms.partial_eval import close_over_residuals

X = np.array([0.5, -1.0, 2.0])
V = np.array([1.0, 3.0, -2.0])
Pair = namedtuple("Pair", ["left", "right"])


def assert_trees_close(found: Any, wanted: Any) -> None:
    """Same structure, same values."""
    assert ft.tree.structure(found) == ft.tree.structure(wanted)
    for f, w in zip(ft.tree.leaves(found), ft.tree.leaves(wanted)):
        np.testing.assert_allclose(f, w, rtol=1e-12, atol=1e-14)


# ---- which arguments


def product(a: Any, b: Any, c: Any = 3.0) -> Any:
    return np.sum(a * b**2) * c


@pytest.mark.parametrize(
    ("argnums", "wanted"),
    [
        (0, 4.0 * 3.0), (1, 2 * 2.0 * 2.0 * 3.0), (2, 8.0), (-1, 8.0), ((0,), (12.0,)), ((0, 1), (12.0, 24.0)),
        ((2, 0), (8.0, 12.0)), ([0, -1], (12.0, 8.0)),
    ],
)  # fmt: skip
def test_argnums(argnums: Any, wanted: Any):
    assert ft.grad(product, argnums)(2.0, 2.0, 3.0) == wanted
    assert ft.value_and_grad(product, argnums)(2.0, 2.0, 3.0) == (24.0, wanted)
    assert ft.jit(ft.grad(product, argnums))(2.0, 2.0, 3.0) == wanted


def test_defaults_and_keyword_arguments():
    assert ft.grad(product)(2.0, 2.0) == 12.0
    assert ft.grad(product)(2.0, 2.0, c=5.0) == 20.0
    assert ft.grad(product)(2.0, b=2.0) == 12.0


def test_arguments_that_are_not_differentiated_may_be_anything():
    f = lambda x, how, table: x * (2.0 if how == "double" else 3.0) + table["n"]  # noqa: E731
    assert ft.grad(f)(1.0, "double", {"n": 3}) == 2.0
    assert ft.grad(f)(1.0, None, {"n": np.array(1)}) == 3.0


def test_metadata_of_the_function():
    def loss(x: Any) -> Any:
        """The loss."""
        return x * x

    for transform in (ft.grad, ft.value_and_grad, ft.jit, ft.vmap, ft.jacfwd, ft.checkpoint, ft.custom_jvp):
        assert transform(loss).__name__ == "loss"
        assert transform(loss).__doc__ == "The loss."


def test_as_decorators_and_methods():
    class Model:
        def __init__(self, w: float):
            self.w = w

        @ft.grad
        def slope(x: Any) -> Any:
            return x**3

        def loss(self, x: Any) -> Any:
            return self.w * x**2

    assert Model.slope(2.0) == 12.0
    assert ft.grad(Model(3.0).loss)(2.0) == 12.0


# ---- structures


def test_gradient_by_a_tree():
    params = {"w": X, "b": (np.float64(2), [np.array([[1.0]])]), "none": None}

    def loss(p: Any) -> Any:
        return np.sum(p["w"] ** 2) * p["b"][0] + p["b"][1][0][0, 0] ** 3

    wanted = {"w": 4 * X, "b": (np.sum(X**2), [np.array([[3.0]])]), "none": None}
    assert_trees_close(ft.grad(loss)(params), wanted)
    assert_trees_close(ft.jit(ft.grad(loss))(params), wanted)
    assert_trees_close(ft.grad(ft.jit(loss))(params), wanted)


@pytest.mark.parametrize("make", [Pair, lambda a, b: OrderedDict(z=a, y=b), lambda a, b: [a, b]])
def test_containers_keep_their_type(make: Any):
    x = make(1.0, 2.0)
    gradient = ft.grad(lambda p: ft.tree.leaves(p)[0] * ft.tree.leaves(p)[1])(x)
    assert type(gradient) is type(x)
    assert ft.tree.leaves(gradient) == ft.tree.leaves(x)[::-1]


def test_empty_trees():
    assert ft.grad(lambda p: 1.0)(()) == ()
    assert ft.jvp(lambda p: (), ({},), ({},)) == ((), ())


def test_unused_arguments_have_zero_gradients():
    gradients = ft.grad(lambda a, b: np.sum(a), (0, 1))(X, np.ones((2, 2), "f4"))
    np.testing.assert_array_equal(gradients[1], np.zeros((2, 2)))
    assert gradients[1].dtype == np.float32
    assert ft.grad(lambda x: 3.0)(1.0) == 0.0
    np.testing.assert_array_equal(ft.grad(lambda x: np.sum(np.ones(2)))(X), np.zeros(3))


# ---- aux


def test_aux():
    f = lambda x: (np.sum(x**2), {"x": x, "text": "kept", "n": 3})  # noqa: E731
    gradient, aux = ft.grad(f, has_aux=True)(X)
    np.testing.assert_array_equal(gradient, 2 * X)
    np.testing.assert_array_equal(aux["x"], X)
    assert (aux["text"], aux["n"]) == ("kept", 3)
    (value, aux), gradient = ft.value_and_grad(f, has_aux=True)(X)
    assert value == np.sum(X**2)
    assert isinstance(aux["x"], np.ndarray)


def test_aux_of_the_others():
    f = lambda x: (np.sin(x), x * 2)  # noqa: E731
    value, tangent, aux = ft.jvp(f, (X,), (X,), has_aux=True)
    assert_trees_close((value, tangent, aux), (np.sin(X), np.cos(X) * X, 2 * X))
    value, pull_back, aux = ft.vjp(f, X, has_aux=True)
    assert_trees_close((value, pull_back(X), aux), (np.sin(X), (np.cos(X) * X,), 2 * X))
    value, f_jvp, aux = ft.linearize(f, X, has_aux=True)
    assert_trees_close((value, f_jvp(X), aux), (np.sin(X), np.cos(X) * X, 2 * X))


def test_aux_is_constant_to_outer_derivatives_only_as_it_should_be():
    """The aux of an inner gradient carries the outer derivative."""

    def outer(x: Any) -> Any:
        _, aux = ft.grad(lambda y: (y * x, y * y), has_aux=True)(x)
        return aux

    assert ft.grad(outer)(3.0) == 6.0


# ---- control flow and concrete values


def test_python_control_flow():
    def f(x: Any) -> Any:
        while x < 10:
            x = x * 2 if x > 1 else x * 3
        return x

    assert ft.grad(f)(0.5) == 3 * 2**3
    assert ft.jvp(f, (0.5,), (1.0,)) == (12.0, 24.0)


def test_recursion():
    def factorial_like(x: Any, n: int) -> Any:
        return x if n == 0 else x * factorial_like(x, n - 1)

    assert ft.grad(factorial_like)(2.0, 3) == 4 * 2.0**3


def test_long_chains_do_not_exhaust_the_stack():
    def f(x: Any) -> Any:
        for _ in range(5000):
            x = np.sin(x) + x * 1e-3
        return x

    x, slope = 0.5, 1.0
    for _ in range(5000):
        x, slope = np.sin(x) + x * 1e-3, slope * (np.cos(x) + 1e-3)
    np.testing.assert_allclose(ft.grad(f)(0.5), slope, rtol=1e-9)


# ---- complex numbers, in JAX's convention


Z = np.array([1.0 + 2.0j, -0.5 + 0.3j])


def test_gradient_of_a_real_loss_by_complex_numbers():
    """For f = |z|^2 the gradient is 2 conj(z)."""
    np.testing.assert_allclose(ft.grad(lambda z: np.sum(np.abs(z) ** 2))(Z), 2 * np.conj(Z))
    np.testing.assert_allclose(ft.grad(lambda z: np.sum(z.real * 3 + z.imag * 5))(Z), [3 - 5j, 3 - 5j])


def test_holomorphic():
    np.testing.assert_allclose(ft.grad(np.exp, holomorphic=True)(Z[0]), np.exp(Z[0]))
    np.testing.assert_allclose(ft.grad(lambda z: z**3, holomorphic=True)(Z[0]), 3 * Z[0] ** 2)
    value, derivative = ft.value_and_grad(np.sin, holomorphic=True)(Z[1])
    np.testing.assert_allclose([value, derivative], [np.sin(Z[1]), np.cos(Z[1])])
    np.testing.assert_allclose(ft.jacrev(np.sin, holomorphic=True)(Z), np.diag(np.cos(Z)))
    np.testing.assert_allclose(ft.jacfwd(np.sin, holomorphic=True)(Z), np.diag(np.cos(Z)))


def test_transposes_do_not_conjugate():
    (ct,) = ft.vjp(lambda z: z * (2 + 1j), Z)[1](np.ones(2, complex))
    np.testing.assert_array_equal(ct, [2 + 1j, 2 + 1j])


def test_real_to_complex_and_back():
    f = lambda x: np.real(np.exp(1j * x) * (1 + 2j))  # noqa: E731
    np.testing.assert_allclose(ft.vmap(ft.grad(f))(X), -np.sin(X) - 2 * np.cos(X))


# ---- jvp, vjp, linearize, linear_transpose


def test_jvp_of_trees():
    f = lambda p, q: {"s": p["a"] * q, "t": q}  # noqa: E731
    value, tangent = ft.jvp(f, ({"a": X}, 2.0), ({"a": np.ones(3)}, 1.0))
    assert_trees_close(value, {"s": 2 * X, "t": 2.0})
    assert_trees_close(tangent, {"s": 2 + X, "t": 1.0})


def test_vjp_of_trees():
    f = lambda p, q: {"s": p["a"] * q, "t": q}  # noqa: E731
    value, pull_back = ft.vjp(f, {"a": X}, 2.0)
    assert_trees_close(value, {"s": 2 * X, "t": 2.0})
    assert_trees_close(pull_back({"s": np.ones(3), "t": 10.0}), ({"a": np.full(3, 2.0)}, X.sum() + 10))


def test_linearize_computes_the_nonlinear_part_once():
    calls = []

    def f(x: Any) -> Any:
        calls.append(x)
        return np.sin(x) * x

    value, f_jvp = ft.linearize(f, X)
    for t in (X, 2 * X, np.zeros(3)):
        np.testing.assert_allclose(f_jvp(t), (np.cos(X) * X + np.sin(X)) * t)
    assert len(calls) == 1
    np.testing.assert_array_equal(value, np.sin(X) * X)
    np.testing.assert_allclose(ft.vmap(f_jvp)(np.eye(3)), np.diag(np.cos(X) * X + np.sin(X)))


def test_pullbacks_under_vmap_are_jacobians():
    _, pull_back = ft.vjp(lambda x: np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) @ x, X)
    np.testing.assert_array_equal(ft.vmap(pull_back)(np.eye(2))[0], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_linear_transpose():
    matrix = np.arange(6.0).reshape(2, 3)
    transposed = ft.linear_transpose(lambda x, y: (matrix @ x + y, 2 * y), X, np.ones(2))
    by_x, by_y = transposed((np.array([1.0, 2.0]), np.array([1.0, 0.0])))
    np.testing.assert_array_equal(by_x, matrix.T @ [1.0, 2.0])
    np.testing.assert_array_equal(by_y, [3.0, 2.0])


def test_linear_transpose_from_types_alone():
    transposed = ft.linear_transpose(lambda x: 3.0 * x, ft.ShapeDtypeStruct((3,), "f4"))
    (ct,) = transposed(np.ones(3, "f4"))
    np.testing.assert_array_equal(ct, np.full(3, 3.0))
    assert ct.dtype == np.float32


def test_stop_gradient():
    f = lambda x: x * ft.lax.stop_gradient(x)  # noqa: E731
    assert ft.grad(f)(3.0) == 3.0
    assert ft.grad(ft.grad(f))(3.0) == 0.0
    assert ft.jit(ft.grad(f))(3.0) == 3.0


def test_stop_gradient_of_containers():
    stopped = lambda x: ft.lax.stop_gradient({"a": x, "b": (x * 2, None, 3)})  # noqa: E731
    f = lambda x: x * stopped(x)["a"] + stopped(x)["b"][0]  # noqa: E731
    assert stopped(3.0) == {"a": 3.0, "b": (6.0, None, 3)}
    assert ft.grad(f)(3.0) == ft.jit(ft.grad(f))(3.0) == 3.0
    assert ft.jvp(f, (3.0,), (1.0,)) == (15.0, 3.0)


@pytest.mark.parametrize("copy", [ft.lax.stop_gradient, ft.lax.optimization_barrier])
@pytest.mark.parametrize("transform", [lambda f: f, ft.jit, ft.checkpoint, lambda f: lambda x: ft.jvp(f, (x,), (x,))[0]])
def test_assigning_into_what_was_stopped_leaves_the_original_alone(copy, transform):
    def f(x):
        x = x.copy()
        pair = copy((x, x))
        pair[0][0] = 10.0
        return np.sum(x), np.sum(pair[0]), np.sum(pair[1])

    assert transform(f)(np.array([1.0, 2.0])) == (3.0, 12.0, 3.0)


# ---- higher orders


def test_many_orders():
    f = np.sin
    for order in range(1, 7):
        f = ft.grad(f)
        np.testing.assert_allclose(f(0.7), np.sin(0.7 + order * np.pi / 2), rtol=1e-12)


def test_mixed_orders():
    f = lambda x, y: np.sin(x) * y**3  # noqa: E731
    assert ft.grad(ft.grad(f, 1), 0)(0.3, 2.0) == pytest.approx(np.cos(0.3) * 12)
    assert ft.grad(ft.grad(ft.grad(f, 1), 1), 0)(0.3, 2.0) == pytest.approx(np.cos(0.3) * 12)
    assert ft.grad(lambda x: ft.jvp(ft.grad(f, 1), (x, 2.0), (1.0, 0.0))[1])(0.3) == pytest.approx(-np.sin(0.3) * 12)


# ---- custom rules in grad


def test_custom_jvp_by_argument():
    @ft.custom_jvp
    def f(x: Any, y: Any) -> Any:
        return x * y

    f.defjvps(lambda t, result, x, y: 10 * t, None)
    assert ft.grad(f, (0, 1))(2.0, 3.0) == (10.0, 0.0)
    assert ft.grad(f, 1)(2.0, 3.0) == 0.0


def test_custom_rules_with_arguments_that_are_not_differentiated():
    scaled = ft.custom_jvp(lambda x, name: x * len(name), nondiff_argnums=(1,))
    scaled.defjvp(lambda name, primals, tangents: (scaled(primals[0], name), tangents[0] * 100 * len(name)))
    assert ft.grad(lambda x: scaled(x, "abc"))(2.0) == 300.0

    powered = ft.custom_vjp(lambda n, x: x**n, nondiff_argnums=(0,))
    powered.defvjp(lambda n, x: (x**n, x), lambda n, x, ct: (ct * 7.0 * n,))
    assert ft.grad(lambda x: powered(3, x))(2.0) == 21.0
    assert ft.jit(ft.grad(lambda x: powered(3, x)))(2.0) == 21.0


def test_custom_vjp_of_trees():
    @ft.custom_vjp
    def f(p: Any, unused: Any) -> Any:
        return {"y": p["a"] * p["b"]}

    f.defvjp(lambda p, unused: ({"y": p["a"] * p["b"]}, p), lambda p, ct: ({"a": ct["y"] * 2, "b": ct["y"] * 3}, None))
    gradient = ft.grad(lambda p, u: f(p, u)["y"], (0, 1))({"a": 1.0, "b": 2.0}, X)
    assert_trees_close(gradient, ({"a": 2.0, "b": 3.0}, np.zeros(3)))


# ---- linear functions that are kept


@ft.custom_vjp
def by_rule(x: Any) -> Any:
    return np.sin(x)


by_rule.defvjp(lambda x: (np.sin(x), x), lambda x, ct: (np.cos(x) * ct,))
#: Functions of three numbers whose derivatives are programs of several kinds.
PROGRAMS = {
    "straight": lambda x: np.sin(x) * x[::-1],
    "numbers": lambda x: np.stack([np.sin(e) * np.exp(e) for e in x]),
    "loop": lambda x: ft.lax.fori_loop(0, 4, lambda i, y: np.sin(y) * x, x),
    "long loop": lambda x: ft.lax.fori_loop(0, 3000, lambda i, y: y - 1e-3 * np.sin(y), x),
    "while": lambda x: ft.lax.while_loop(lambda y: np.sum(y) < 50, lambda y: y * y + 2, x),
    "branch": lambda x: ft.lax.cond(x[0] > 0, np.sin, lambda x: x * x, x),
    "checkpoint": ft.checkpoint(lambda x: np.exp(np.sin(x))),
    "jit": ft.jit(lambda x: np.linalg.solve(np.diag(x) + 3, x)),
    "constant": lambda x: x * np.arange(3.0),
}


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("linear", [ft.vjp, ft.linearize])
def test_copies_and_pickles_of_linear_functions(linear, program, again):
    """When fresh, and once they were run and compiled; what is done to a copy is done to the copy alone."""
    function = linear(PROGRAMS[program], X)[1]
    wanted = linear(PROGRAMS[program], X)[1](V)
    for run in (lambda f: f(V), lambda f: ft.jit(lambda f, v: f(v))(f, V)):
        other = again(function)
        assert_trees_close(run(other), wanted)
        assert_trees_close(run(function), wanted)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("linear", [ft.vjp, ft.linearize])
def test_linear_functions_of_one_program_are_traced_once(linear, program):
    runs = []

    @ft.jit
    def apply(function: Any, v: Any) -> Any:
        runs.append(program)
        return function(v)

    for x in (X, X + 0.1, X - 0.1, X, X + 1e-9):
        function = linear(PROGRAMS[program], x)[1]
        wanted = function(V)
        assert_trees_close(apply(function, V), wanted)
        assert_trees_close(apply(copy.deepcopy(function), V), wanted)
    assert len(runs) <= (2 if program == "branch" else 1)


@given(st.lists(st.sampled_from([0.5, 2.0, 2, -0.0, 0.0, np.float32(2), (2, 1), "sin"]), min_size=2, max_size=4))
@settings(max_examples=25)
def test_linear_functions_of_other_programs_are_told_apart(kinds):
    """Programs that differ by a constant, its dtype, a shape or a primitive; each is called again after the others."""

    def program(kind: Any) -> Any:
        if kind == "sin":
            return np.sin
        if isinstance(kind, tuple):
            return lambda x: np.reshape(np.tile(x, kind), -1)[:3] * 2
        return lambda x: np.where(x > 0, x * kind, kind)

    apply = ft.jit(lambda function, v: function(v))
    functions = [ft.linearize(program(kind), X)[1] for kind in kinds]
    for function in [*functions, *functions]:
        assert_trees_close(apply(function, V), function(V))


def test_no_more_traces_are_kept_than_are_of_use(monkeypatch):
    """Functions by rules that users wrote are all told apart: nobody knows what the rules close over."""
    monkeypatch.setattr(jit, "MOST_TRACES", 3)
    apply = ft.jit(lambda function, v: function(v))
    kept = []
    for k in range(6):
        function = ft.vjp(by_rule, X + k)[1]
        kept.append(weakref.ref(function.flattened()[1].jaxpr))
        for _ in range(2):
            assert_trees_close(apply(function, V), function(V))
    del function
    gc.collect()
    assert sum(k() is not None for k in kept) <= 4


def test_a_linear_function_has_one_structure_in_all_threads(monkeypatch):
    def slowly(*args: Any, **options: Any) -> Any:
        time.sleep(0.01)
        return close_over_residuals(*args, **options)

    monkeypatch.setattr(grad, "close_over_residuals", slowly)
    _, f_vjp = ft.vjp(lambda x: by_rule(x) * np.sum(x), X)
    with ThreadPoolExecutor(4) as pool:
        structures = set(pool.map(lambda _: ft.tree.structure(f_vjp), range(4)))
    assert len(structures) == 1


@pytest.mark.parametrize("linear", [ft.vjp, ft.linearize])
def test_linear_functions_keep_no_arrays_but_those_they_need(linear):
    x = np.zeros(200_000)
    tracemalloc.start()
    try:
        function = linear(lambda x: (np.sum(x), x[::2]), x)[1]
        assert tracemalloc.get_traced_memory()[0] < x.nbytes / 4
    finally:
        tracemalloc.stop()
    assert weakref.ref(function)() is function
