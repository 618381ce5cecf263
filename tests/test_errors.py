"""What bad input gets: an error of its own class that says what happened, where, why, and how to repair it.

The line at fault is marked `# here` in each test; the message must name it.
"""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import errors, lax
from functrans import numpy as fnp
from functrans.numpy.protocols import ELSEWHERE

X = np.array([1.0, 2.0, 3.0])


@contextmanager
def mistake(error: type[errors.FunctransError], builtin: type[Exception], *phrases: str) -> Iterator[None]:
    """The block raises `error`, which a caller of NumPy would catch as `builtin`, with a message in four parts."""
    with pytest.raises(errors.FunctransError) as caught:
        yield
    raised = caught.value
    assert type(raised) is error, f"{type(raised).__name__}: {raised}"
    assert isinstance(raised, builtin)
    text = str(raised)
    assert raised.what
    assert raised.why
    assert raised.repair
    place = re.search(r"^At (.*):(\d+), in ", text, re.MULTILINE)
    assert place, f"no line is named in: {text}"
    line = linecache.getline(place[1], int(place[2]))
    assert place[1] == __file__
    assert "# here" in line, f"the message names the line {line!r}"
    for phrase in phrases:
        assert phrase in text, f"{phrase!r} is not in: {text}"


def jvp(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: ft.jvp(f, (x,), (x,))  # here


def vjp(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: ft.vjp(f, x)  # here


def vmap_of_two(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: ft.vmap(f)(np.stack([x, x]))  # here


def linearize(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: ft.linearize(f, x)  # here


def item(x: Any) -> Any:
    return x.item()  # here


def tolist(x: Any) -> Any:
    return x.tolist()  # here


under_each_transformation = pytest.mark.parametrize("transform", [ft.jit, jvp, vjp, vmap_of_two])


# ---- gradients


def test_gradient_of_a_vector():
    with mistake(errors.NonScalarOutputError, TypeError, "shape (3,)", "np.sum", "jacrev"):
        ft.grad(np.sin)(X)  # here


def test_gradient_of_several_outputs():
    with mistake(errors.NonScalarOutputError, TypeError, "2 outputs", "has_aux=True"):
        ft.grad(lambda x: (x, x))(1.0)  # here


def test_gradient_of_nothing():
    with mistake(errors.NonScalarOutputError, TypeError, "no output", "a function without `return`"):
        ft.grad(lambda x: None)(1.0)  # here


def test_gradient_of_an_integer():
    with mistake(errors.NonDifferentiableError, TypeError, "i64[]", "output"):
        ft.grad(lambda x: np.sum(x > 1))(X)  # here


def test_gradient_of_a_complex_output():
    with mistake(errors.NonDifferentiableError, TypeError, "c128[]", "holomorphic=True"):
        ft.grad(lambda x: np.sum(x * 1j))(X)  # here


def test_holomorphic_gradient_of_a_real_input():
    with mistake(errors.NonDifferentiableError, TypeError, "holomorphic=True", "f64[3]"):
        ft.grad(np.sum, holomorphic=True)(X)  # here


@pytest.mark.parametrize("integer", [2, True, np.int32(2), np.arange(3), np.array([True])], ids=repr)
def test_gradient_by_an_integer(integer: Any):
    with mistake(errors.NonDifferentiableError, TypeError, "argument 0", "astype(float)"):
        ft.grad(lambda x: np.sum(x) * 2.0)(integer)  # here


def test_gradient_by_an_integer_in_a_tree():
    with mistake(errors.NonDifferentiableError, TypeError, "argument 1", "['n'][1]", "i64[]"):
        ft.grad(lambda x, p: x * p["n"][0], argnums=1)(2.0, {"n": (1.0, 3)})  # here


@pytest.mark.parametrize(
    "thing", ["text", {1, 2}, object(), np.array(["a"]), np.array([{}], object), np.array(["2020"], "M8[Y]"), b"text"],
    ids=["str", "set", "object", "string array", "object array", "dates", "bytes"],
)  # fmt: skip
@pytest.mark.parametrize(
    "transform",
    [ft.grad, ft.jit, ft.vmap, ft.jacrev, ft.jacfwd, ft.make_jaxpr, ft.checkpoint, jvp, vjp, linearize],
)  # fmt: skip
def test_things_that_are_no_arrays(transform: Any, thing: Any):
    with mistake(errors.UnsupportedDtypeError, TypeError, "cannot be traced", "static_argnums"):
        transform(lambda x: 1.0)(thing)  # here


with_rule = ft.custom_jvp(lambda x, y: x)
with_rule.defjvp(lambda p, t: (p[0], t[0]))


@pytest.mark.parametrize(
    ("call", "place"),
    [
        (lambda: ft.jit(lambda x, y: x)(X, {"a": "text"}), "argument 1['a'] of `<lambda>`"),  # here
        (lambda: ft.jit(lambda x, n, y: x, static_argnums=(0, 1))(1, 2, ["text"]), "argument 2[0] of"),  # here
        (lambda: ft.jit(lambda x, n, y: x, static_argnums=(1,))("text", 2, X), "argument 0 of"),  # here
        (lambda: ft.jit(lambda x, *, y: x)(X, y="text"), "keyword argument y of"),  # here
        (lambda: ft.grad(lambda x, y: 1.0, 1)(X, {"a": 1.0, "b": "text"}), "argument 1['b']"),  # here
        (lambda: ft.jacrev(lambda x: x)([X, "text"]), "argument 0[1]"),  # here
        (lambda: ft.vmap(lambda x, y: x, (None, 0))(X, "text"), "argument 1"),  # here
        (lambda: ft.jvp(lambda x: x, ({"a": "text"},), ({"a": 1.0},)), "argument 0['a']"),  # here
        (lambda: ft.vjp(lambda x, y: x, X, "text"), "argument 1"),  # here
        (lambda: ft.jet(lambda x, y: x, (1.0, "text"), ([1.0], [1.0])), "argument 1"),  # here
        (lambda: with_rule(X, ["text"]), "argument 1[0]"),  # here
        (lambda: lax.scan(lambda c, x: (c, x), {"a": "text"}, X), "in the carry of scan, at ['a']"),  # here
        (lambda: lax.fori_loop(0, 3, lambda i, c: c, (1.0, "text")), "in the carry of fori_loop, at [1]"),  # here
        (lambda: lax.while_loop(lambda c: False, lambda c: c, "text"), "`init_val`"),  # here
        (lambda: lax.cond(True, lambda x: x, lambda x: x, "text"), "`operands[0]`"),  # here
        (lambda: ft.jit(lambda x: {"a": x, "b": "text"})(X), "in the result of the function, at ['b']"),  # here
        (lambda: ft.grad(lambda x: "text")(X), "in the result of the function."),  # here
        (lambda: ft.vmap(lambda x: (x, "text"))(X), "in the result of the function, at [1]"),  # here
    ],
)
def test_what_is_no_array_is_named(call: Any, place: str):
    with mistake(errors.UnsupportedDtypeError, TypeError, "type str cannot be traced", f"It is {place}"):
        call()


def test_object_array_inside_a_traced_function():
    table = np.array([1, "a", None], object)
    with mistake(errors.UnsupportedDtypeError, TypeError, "dtype object"):
        ft.jit(lambda x: fnp.multiply(x, table))(X)  # here


@pytest.mark.parametrize("dtype", [object, str, "M8[s]", np.longdouble])
def test_conversion_to_a_dtype_that_cannot_be_traced(dtype: Any):
    for transform in (ft.jit, jvp):
        with mistake(errors.UnsupportedDtypeError, TypeError, str(np.dtype(dtype))):
            transform(lambda x: x.astype(dtype))(X)  # here


def test_extended_precision():
    with mistake(errors.UnsupportedDtypeError, TypeError, np.dtype(np.longdouble).name):
        ft.grad(lambda x: x)(np.longdouble(2))  # here


@pytest.mark.parametrize("argnums", [1, -2, (0, 3), np.int64(5)])
@pytest.mark.parametrize("transform", [ft.grad, ft.value_and_grad, ft.jacfwd, ft.jacrev, ft.hessian])
def test_argnums_out_of_range(transform: Any, argnums: Any):
    with mistake(errors.ArgumentIndexError, ValueError, "argnums", "1 positional argument"):
        transform(np.sum, argnums=argnums)(X)  # here


@pytest.mark.parametrize("argnums", [(0.5,), None, "0", 0.5])
def test_argnums_that_are_no_integers(argnums: Any):
    with mistake(errors.ArgumentIndexError, ValueError, "argnums="):
        ft.grad(np.sum, argnums=argnums)(X)  # here


def test_argnums_twice():
    with mistake(errors.ArgumentIndexError, ValueError, "(0, -2)", "twice"):
        ft.grad(np.dot, argnums=(0, -2))(X, X)  # here


def test_argnums_of_a_keyword_argument():
    with mistake(errors.ArgumentIndexError, ValueError, "keyword arguments have no number"):
        ft.grad(lambda x: np.sum(x))(x=X)  # here


def test_aux_that_is_not_there():
    with mistake(errors.PytreeMismatchError, TypeError, "has_aux=True", "(result, aux)"):
        ft.grad(lambda x: x, has_aux=True)(1.0)  # here


def test_jacobian_of_integers():
    with mistake(errors.NonDifferentiableError, TypeError, "i64[3]"):
        ft.jacrev(lambda x: x)(np.arange(3))  # here
    with mistake(errors.NonDifferentiableError, TypeError, "output", "i64[3]"):
        ft.jacrev(lambda x: x.astype(int))(X)  # here


@pytest.mark.parametrize("jacobian", [ft.jacfwd, ft.jacrev])
def test_jacobian_of_a_function_that_returns_booleans(jacobian: Any):
    with mistake(errors.NonDifferentiableError, TypeError, "an output of type bool[3]"):
        jacobian(lambda x: x > 0)(X)  # here


# ---- jvp, vjp and their arguments


def test_tangents_of_another_structure():
    with mistake(errors.PytreeMismatchError, TypeError, "tangents", "primals"):
        ft.jvp(lambda p: p["a"], ({"a": 1.0},), ((1.0,),))  # here
    with mistake(errors.PytreeMismatchError, TypeError, "tangents", "primals"):
        ft.jvp(lambda x, y: x, (1.0, 2.0), (1.0,))  # here


def test_tangents_of_another_shape():
    with mistake(errors.ShapeMismatchError, ValueError, "tangent", "argument 0", "(2,)", "(3,)"):
        ft.jvp(np.sin, (X,), (np.ones(2),))  # here


def test_tangents_of_another_dtype():
    with mistake(errors.DtypeMismatchError, TypeError, "tangent", "f32[3]", "f64[3]", ".astype('float64')"):
        ft.jvp(np.sin, (X,), (np.ones(3, "f4"),))  # here
    with mistake(errors.DtypeMismatchError, TypeError, "tangent", "i64[3]", "f64[3]"):
        ft.jvp(np.sin, (X,), (np.ones(3, int),))  # here


def test_tangents_of_integers():
    with mistake(errors.DtypeMismatchError, TypeError, "float0"):
        ft.jvp(lambda n: n * 2, (np.arange(3),), (np.arange(3),))  # here
    with mistake(errors.DtypeMismatchError, TypeError, "float0"):
        ft.jvp(np.sin, (X,), (np.zeros(3, ft.float0),))  # here


def test_tangents_that_are_no_tuple():
    with pytest.raises(TypeError, match="tuples with one entry for each positional argument"):
        ft.jvp(np.sin, X, X)


def named_f(tree: Any) -> Any:
    return {"y": tree["y"] * 2.0}


named_f.__name__ = "f"


def test_linearized_tangents():
    _, f_jvp = ft.linearize(np.sin, X)
    with mistake(errors.ShapeMismatchError, ValueError, "tangent", "(2,)"):
        f_jvp(np.ones(2))  # here
    for call in (lambda: f_jvp(X, X), lambda: f_jvp([X]), lambda: f_jvp(), lambda: f_jvp(X, t=X)):  # here
        with mistake(errors.PytreeMismatchError, TypeError, "derivative of `sin`", "tangents of structure (*,)"):
            call()
    with mistake(errors.ShapeMismatchError, ValueError, "tangent of argument 0['y'] of `f`", "(2,)", "(3,)"):
        ft.linearize(named_f, {"y": X})[1]({"y": np.ones(2)})  # here


def test_cotangents():
    _, pull_back = ft.vjp(named_f, {"y": X})
    calls = (
        lambda: pull_back(X),  # here
        lambda: pull_back(),  # here
        lambda: pull_back({"y": X}, X),  # here
        lambda: pull_back(cotangents={"y": X}),  # here
        lambda: ft.linear_transpose(named_f, {"y": X})({"x": X}),  # here
    )
    for call in calls:
        phrases = ("derivative of `f`", "one pytree of cotangents, of structure {'y': *}", "`f_vjp((a, b))`")
        with mistake(errors.PytreeMismatchError, TypeError, *phrases):
            call()
    with mistake(errors.ShapeMismatchError, ValueError, "cotangent of the result['y'] of `f`", "()", "(3,)"):
        pull_back({"y": np.float64(1)})  # here
    with mistake(errors.DtypeMismatchError, TypeError, "cotangent of the result['y'] of `f`", "c128[3]", "f64[3]"):
        pull_back({"y": X + 0j})  # here


def test_transpose_of_what_is_not_linear():
    with mistake(errors.TransposeError, TypeError, "`sin` is not linear", "Use vjp"):
        ft.linear_transpose(lambda x: np.sin(x), X)(X)  # here
    with mistake(errors.TransposeError, TypeError, "not linear", "quadratic"):
        ft.linear_transpose(lambda x: x * x, X)(X)  # here


def test_jet_of_a_number_instead_of_a_series():
    with mistake(errors.PytreeMismatchError, TypeError, "float", "[1.0]"):
        ft.jet(np.sin, (1.0,), (1.0,))  # here


def test_segments_of_numbers_that_are_not_known():
    with mistake(errors.ConcretizationError, TypeError, "num_segments"):
        ft.jit(lambda i: ft.ops.segment_sum(X, i))(np.array([0, 1, 0]))  # here


def test_jet_series():
    with mistake(errors.PytreeMismatchError, TypeError, "series of lengths [1, 2]"):
        ft.jet(lambda x, y: x * y, (1.0, 2.0), ([1.0], [1.0, 0.0]))  # here
    with mistake(errors.ShapeMismatchError, ValueError, "series term"):
        ft.jet(np.sin, (X,), ([np.ones(2)],))  # here


# ---- custom rules


def test_rule_that_is_missing():
    with mistake(errors.CustomRuleError, TypeError, "`f` was called before", "@f.defjvp"):
        f = ft.custom_jvp(lambda x: x)
        f.name = "f"
        f(1.0)  # here
    with mistake(errors.CustomRuleError, TypeError, "called before", ".defvjp"):
        ft.custom_vjp(lambda x: x)(1.0)  # here


def with_jvp_rule(rule: Callable[..., Any]) -> Any:
    @ft.custom_jvp
    def f(x: Any) -> Any:
        return x * 1.0

    f.defjvp(rule)
    return f


@pytest.mark.parametrize(
    ("rule", "phrases"),
    [
        (lambda p, t: p[0] * 1.0, ("instead of a pair", "`f`")),
        (lambda p, t: (p[0], t[0], 0), ("instead of a pair",)),
        (lambda p, t: (p[0], (t[0],)), ("structure", "tangent")),
        (lambda p, t: (p[0], t[0][:1]), ("f64[1]", "f64[3]", "shape and dtype")),
        (lambda p, t: (p[0], t[0].astype("f4")), ("f32[3]", "f64[3]")),
    ],
    ids=["no pair", "triple", "structure", "shape", "dtype"],
)
def test_jvp_rules_that_return_the_wrong_thing(rule: Any, phrases: tuple[str, ...]):
    with mistake(errors.CustomRuleError, TypeError, *phrases):
        ft.jvp(with_jvp_rule(rule), (X,), (X,))  # here


def with_vjp_rule(backward: Callable[..., Any], forward: Callable[..., Any] = lambda x: (x * 1.0, None)) -> Any:
    @ft.custom_vjp
    def f(x: Any) -> Any:
        return x * 1.0

    f.defvjp(forward, backward)
    return f


@pytest.mark.parametrize(
    ("backward", "phrases"),
    [
        (lambda res, ct: ct, ("backward rule of `f`", "1 differentiable argument")),
        (lambda res, ct: (ct, ct), ("2 values", "1 differentiable argument")),
        (lambda res, ct: ((ct, ct),), ("structure",)),
        (lambda res, ct: (ct[:1],), ("f64[1]", "f64[3]", "Sum it over broadcast axes")),
        (lambda res, ct: (ct.astype("f4"),), ("f32[3]", "f64[3]", "astype")),
    ],
    ids=["no tuple", "too many", "structure", "shape", "dtype"],
)
def test_vjp_rules_that_return_the_wrong_thing(backward: Any, phrases: tuple[str, ...]):
    with mistake(errors.CustomRuleError, TypeError, *phrases):
        ft.vjp(with_vjp_rule(backward), X)[1](X)  # here


def test_forward_rule_that_returns_no_pair():
    f = with_vjp_rule(lambda res, ct: (ct,), forward=lambda x: x)
    with mistake(errors.CustomRuleError, TypeError, "forward", "instead of a pair"):
        ft.vjp(f, X)  # here


def test_custom_rule_with_keyword_only_arguments():
    f = ft.custom_jvp(lambda x, *, n: x * n)
    f.defjvp(lambda p, t: (p, t))
    with mistake(errors.CustomRuleError, TypeError, "keyword-only"):
        f(1.0, n=2)  # here


def test_nondiff_argnums_out_of_range():
    f = ft.custom_jvp(lambda x: x, nondiff_argnums=(1,))
    f.defjvp(lambda n, p, t: (p, t))
    with mistake(errors.ArgumentIndexError, ValueError, "nondiff_argnums"):
        f(1.0)  # here


# ---- vmap


def test_mapped_axes_of_different_sizes():
    with mistake(errors.MappedAxisError, ValueError, "argument 0: 3", "argument 1['a']: 2", "None in in_axes"):
        ft.vmap(lambda x, y: x)(X, {"a": np.ones(2)})  # here


def test_axis_size_that_disagrees():
    with mistake(errors.MappedAxisError, ValueError, "axis_size=4", "argument 0: 3"):
        ft.vmap(np.sin, axis_size=4)(X)  # here


@pytest.mark.parametrize("size", [-1, 2.0, "2"])
def test_axis_size_that_is_no_size(size: Any):
    with mistake(errors.MappedAxisError, ValueError, f"axis_size={size!r}"):
        ft.vmap(lambda: 1.0, axis_size=size)()  # here


def test_nothing_mapped():
    with mistake(errors.MappedAxisError, ValueError, "no mapped argument", "axis_size"):
        ft.vmap(np.sin, in_axes=None)(X)  # here
    with mistake(errors.MappedAxisError, ValueError, "no mapped argument"):
        ft.vmap(lambda: 1.0)()  # here


@pytest.mark.parametrize(("x", "axis"), [(X, 1), (X, -2), (np.float64(2), 0), (2.0, 0), (X, 0.0), (X, "i"), (X, True)])
def test_mapped_axis_out_of_range(x: Any, axis: Any):
    with mistake(errors.MappedAxisError, ValueError, repr(axis), str(np.shape(x)), "argument 0"):
        ft.vmap(lambda x: x, in_axes=axis)(x)  # here


def test_in_axes_of_another_length():
    with mistake(errors.MappedAxisError, ValueError, "in_axes has 1 entries", "2 positional arguments"):
        ft.vmap(lambda x, y: x, in_axes=(0,))(X, X)  # here


def test_in_axes_of_another_structure():
    with mistake(errors.PytreeMismatchError, TypeError, "in_axes", "not a prefix"):
        ft.vmap(lambda p: p["a"], in_axes=({"b": 0},))({"a": X})  # here


def test_out_axes():
    with mistake(errors.MappedAxisError, ValueError, "out_axes is None", "differs between lanes"):
        ft.vmap(np.sin, out_axes=None)(X)  # here
    with mistake(errors.MappedAxisError, ValueError, "out_axes=2", "1 axes"):
        ft.vmap(np.sin, out_axes=2)(X)  # here
    with mistake(errors.MappedAxisError, ValueError, "out_axes=True"):
        ft.vmap(np.sin, out_axes=True)(X)  # here
    with mistake(errors.PytreeMismatchError, TypeError, "out_axes", "not a prefix"):
        ft.vmap(np.sin, out_axes=(0, 0))(X)  # here


def test_collective_without_its_axis():
    with mistake(errors.UnboundAxisError, NameError, "'i'", "vmap"):
        ft.lax.psum(X, "i")  # here
    with mistake(errors.UnboundAxisError, NameError, "'i'"):
        ft.vmap(lambda x: ft.lax.psum(x, "i"), axis_name="j")(X)  # here


# ---- leaked tracers


@under_each_transformation
def test_leaked_tracer(transform: Any):
    kept: list[Any] = []
    transform(lambda x: kept.append(x) or x * 2)(X)
    with mistake(errors.LeakedTracerError, RuntimeError, "`sin`", "had ended", "Return the value"):
        np.sin(kept[0])  # here
    with mistake(errors.LeakedTracerError, RuntimeError, "`add`"):
        kept[0] + 1  # here


@under_each_transformation
def test_tracer_leaked_into_another_trace(transform: Any):
    kept: list[Any] = []
    transform(lambda x: kept.append(x * 1.0) or x * 2)(X)
    with mistake(errors.LeakedTracerError, RuntimeError, "had ended"):
        ft.grad(lambda x: np.sum(x * kept[0]))(X)  # here
    with mistake(errors.LeakedTracerError, RuntimeError, "had ended"):
        ft.jit(lambda x: x * kept[0])(X)  # here


@under_each_transformation
def test_assigning_into_a_leaked_tracer(transform: Any):
    kept: list[Any] = []
    transform(lambda x: kept.append(x.copy()) or x * 2)(X)
    with mistake(errors.ForeignAssignmentError, ValueError):
        kept[0][0] = 1.0  # here


# ---- values that are not known while tracing


@pytest.mark.parametrize("convert", [float, int, complex, item, tolist, np.asarray])
def test_python_values_under_jit(convert: Any):
    with mistake(errors.ConcretizationError, TypeError, "value is not known here", "traced once"):
        ft.jit(lambda x: convert(x))(2.0)  # here


def test_float_under_jit_offers_repairs():
    with mistake(errors.ConcretizationError, TypeError, "Leave `float(...)` out", "static_argnums"):
        ft.jit(lambda x: float(x))(2.0)  # here


@pytest.mark.parametrize(
    "use", [lambda n: range(n), lambda n: [1, 2, 3][n], lambda n: np.arange(n), lambda n: fnp.zeros(n)],
    ids=["range", "list", "arange", "shape"],
)  # fmt: skip
def test_index_under_jit(use: Any):
    def f(n: Any) -> Any:
        use(n)
        return n

    with pytest.raises(errors.ConcretizationError, match=r"not known here(.|\n)*static_argnums"):
        ft.jit(f)(1)


def test_plain_table_indexed_by_a_tracer():
    table = np.arange(10.0)
    with mistake(errors.ConcretizationError, TypeError, "functrans.numpy.take(table, i)", "asarray(table)[i]"):
        ft.jit(lambda i: table[i])(1)  # here
    with mistake(errors.TracerConversionError, TypeError, "functrans.numpy.take(table, i)", "batch would be lost"):
        ft.vmap(lambda i: table[i])(np.arange(3))  # here


def test_numpys_vectorize():
    vectorized = np.vectorize(lambda a: a + 1)
    with mistake(errors.ConcretizationError, TypeError, "nstead of np.vectorize take functrans.numpy.vectorize"):
        ft.jit(lambda x: vectorized(x))(X)  # here
    with mistake(errors.TracerConversionError, TypeError, "batch would be lost", "take functrans.numpy.vectorize"):
        ft.vmap(lambda x: vectorized(x))(X)  # here


def test_truth_value_of_a_tangent():
    with mistake(errors.ConcretizationError, TypeError, "functrans.numpy.where", "functrans.lax.cond"):
        ft.linear_transpose(lambda x: x if x > 0 else -x, 1.0)(1.0)  # here


def test_truth_value_of_an_array_is_numpys_error():
    message = "truth value of an array with more than one element is ambiguous"
    with pytest.raises(ValueError, match=message):
        ft.grad(lambda x: np.sum(x) if x > 0 else 0.0)(X)
    with mistake(errors.AmbiguousTruthError, ValueError, message, "np.any or np.all"):
        ft.jit(lambda x: np.sum(x) if x > 0 else 0.0)(X)  # here
    with mistake(errors.AmbiguousTruthError, ValueError, message):
        ft.vmap(lambda x: np.sum(x) if x > 0 else 0.0)(X.reshape(1, -1))  # here
    with mistake(errors.AmbiguousTruthError, ValueError, "empty array"):
        ft.jit(lambda x: np.sum(x) if x > 0 else 0.0)(np.zeros(0))  # here


# ---- plain NumPy arrays


@under_each_transformation
def test_tracer_stored_in_a_numpy_array(transform: Any):
    def f(x: Any) -> Any:
        out = np.zeros(3)
        out[0] = x[0]  # here
        return out

    expected = errors.ConcretizationError if transform is ft.jit else errors.TracerConversionError
    with mistake(expected, TypeError, "zeros_like"):
        transform(f)(X)


@under_each_transformation
def test_array_stored_in_a_numpy_array(transform: Any):
    def f(x: Any) -> Any:
        out = np.zeros(3)
        out[:] = x  # here
        return out

    expected = errors.ConcretizationError if transform is ft.jit else errors.TracerConversionError
    with mistake(expected, TypeError, "np.zeros_like(x), np.zeros(n, like=x) or functrans.numpy.zeros(n)"):
        transform(f)(X)


@under_each_transformation
def test_what_numpy_says_of_a_tracer_is_not_shown(transform: Any):
    """The error is shown alone, without NumPy's in its place before it and the frames of the library behind that."""

    def f(x: Any) -> Any:
        np.zeros(3)[0] = x[0]

    with pytest.raises(errors.FunctransError) as caught:
        transform(f)(X)
    text = "".join(traceback.format_exception(caught.value))
    assert text.count("Traceback (most recent call last)") == 1
    assert "setting an array element" not in text


def stored_in_a_copy(copy: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A function that stores an argument in a copy of another one."""

    def f(x: Any, table: Any) -> Any:
        table = copy(table, x)
        table[0] = x  # here
        return np.sum(table**2)

    return f


ONE_ARGUMENT_ONLY = {
    "grad": lambda f: lambda x, table: ft.grad(f)(x, table),  # here
    "vmap": lambda f: lambda x, table: ft.vmap(f, in_axes=(0, None))(np.stack([x, x]), table)[0],  # here
    "jvp": lambda f: lambda x, table: ft.jvp(lambda x: f(x, table), (x,), (1.0,))[0],  # here
    "closure": lambda f: lambda x, table: ft.jit(lambda x: f(x, table))(x),  # here
}


@pytest.mark.parametrize("transform", ONE_ARGUMENT_ONLY.values(), ids=ONE_ARGUMENT_ONLY.keys())
def test_arguments_that_are_not_transformed_stay_numpy_arrays(transform: Any):
    """What is stored in a copy of one of them is lost; the message says how to copy so that it is not."""
    with pytest.raises(TypeError) as caught:
        transform(stored_in_a_copy(lambda table, x: table.copy()))(1.5, X)
    assert "functrans.numpy.array(a) or np.array(a, like=x)" in str(caught.value)
    with mistake(type(caught.value), TypeError, "np.zeros_like(x)"):
        transform(stored_in_a_copy(lambda table, x: table.copy()))(1.5, X)
    with pytest.raises(errors.TracerConversionError, match=r"functrans.numpy.array\(a\)"):
        transform(lambda x, table: np.add(table, x, out=table.copy()))(1.5, X)
    for copy in (lambda table, x: fnp.array(table), lambda table, x: np.array(table, like=x), lambda t, x: fnp.asarray(t)):
        table = X.copy()
        wanted = 3.0 if transform is ONE_ARGUMENT_ONLY["grad"] else 15.25
        assert np.isclose(transform(stored_in_a_copy(copy))(1.5, table), wanted)
        np.testing.assert_array_equal(table, X)


@under_each_transformation
def test_augmented_assignment_of_a_numpy_array(transform: Any):
    def f(x: Any) -> Any:
        total = np.zeros(3)
        total += x  # here
        return total

    with mistake(errors.TracerConversionError, TypeError, "np.add", "a = a + x", "zeros_like"):
        transform(f)(X)


@under_each_transformation
def test_numpy_array_as_out(transform: Any):
    def f(x: Any) -> Any:
        out = np.zeros(3)
        np.sin(x, out=out)  # here
        return out

    with mistake(errors.TracerConversionError, TypeError, "np.sin", "zeros_like"):
        transform(f)(X)


@pytest.mark.parametrize("convert", [float, int, complex, np.asarray, item, tolist])
def test_conversions_that_would_lose_the_derivative(convert: Any):
    with mistake(errors.TracerConversionError, TypeError, "derivative would be lost", "stop_gradient"):
        ft.grad(lambda x: convert(x))(2.0)  # here


# ---- assignment


@under_each_transformation
def test_assigning_into_an_argument(transform: Any):
    def f(x: Any) -> Any:
        x[0] = 1.0  # here
        return x

    with mistake(errors.ArgumentMutationError, ValueError, "f64[3]", "pure", "x = x.copy()"):
        transform(f)(X.copy())


@under_each_transformation
def test_augmented_assignment_of_an_argument(transform: Any):
    def f(x: Any) -> Any:
        x *= 2  # here
        return x

    with mistake(errors.ArgumentMutationError, ValueError, "x = x.copy()", "x = x + ..."):
        transform(f)(X.copy())


def test_augmented_assignment_to_another_dtype():
    def f(x: Any) -> Any:
        n = np.zeros_like(x, dtype=int)
        n += x  # here
        return n

    with mistake(errors.DtypeMismatchError, TypeError, "f64[3]", "i64[3]", "x = x + ..."):
        ft.jit(f)(X)


def test_augmented_assignment_to_lower_precision_is_numpys():
    def f(x: Any) -> Any:
        y = x.astype("f4")
        y += x
        return y

    assert ft.jit(f)(X).dtype == f(X).dtype == np.float32


@under_each_transformation
def test_stale_view(transform: Any):
    def f(x: Any) -> Any:
        y = x * 2
        view = y[1:]
        y[1] = 5.0
        return np.sum(view)  # here

    with mistake(errors.StaleViewError, ValueError, "f64[2]", "after the array", "Take the view again"):
        transform(f)(X)


def test_stale_view_of_a_view():
    def f(x: Any) -> Any:
        y = x * 2
        view = y[1:][::-1]
        y[:] = 5.0
        return view * 2  # here

    with mistake(errors.StaleViewError, ValueError, "Take the view again"):
        ft.jit(f)(X)


def test_assigning_into_a_stale_view():
    def f(x: Any) -> Any:
        y = x * 2
        view = y[1:]
        y[:] = 5.0
        view[0] = 1.0  # here
        return y

    with mistake(errors.StaleViewError, ValueError, "Take the view again"):
        ft.jit(f)(X)


def test_assigning_into_a_view_that_is_no_index():
    def f(x: Any) -> Any:
        y = np.outer(x, x).ravel()
        y[0] = 1.0  # here
        return y

    with mistake(errors.ViewAssignmentError, ValueError, "f64[9]", "take a copy"):
        ft.jit(f)(X)


def test_assigning_under_another_transformation():
    def f(x: Any) -> Any:
        y = x * 2

        def inner(z: Any) -> Any:
            y[0] = z[0]  # here
            return z

        return ft.jvp(inner, (x,), (x,))[1]

    with mistake(errors.ForeignAssignmentError, ValueError, "another transformation", "x = x.copy()"):
        ft.jit(f)(X)


# ---- NumPy functions and their arguments


def test_unknown_function():
    with mistake(errors.UnknownFunctionError, TypeError, "numpy.busday_count", "functrans.numpy", "custom_jvp"):
        ft.jit(lambda x: np.busday_count(x, x))(X)  # here


@under_each_transformation
def test_functions_with_effects(transform: Any):
    with mistake(errors.UnknownFunctionError, TypeError, "numpy.save"):
        transform(lambda x: np.save("file", x))(X)  # here


def test_unknown_ufunc():
    ufunc = np.frompyfunc(lambda a: a, 1, 1)
    with mistake(errors.UnknownFunctionError, TypeError, "<lambda> (vectorized)", "custom_jvp"):
        ft.jit(lambda x: ufunc(x))(X)  # here


def test_unknown_ufunc_method():
    with mistake(errors.UnknownFunctionError, TypeError, "np.arctan2.reduceat"):
        ft.jit(lambda x: np.arctan2.reduceat(x, [0]))(X)  # here


@pytest.mark.parametrize("name", ["ctypes", "tofile", "byteswap", "setflags"])
def test_unknown_method(name: str):
    with mistake(errors.UnknownFunctionError, TypeError, f"`.{name}`"):
        ft.jit(lambda x: getattr(x, name))(X)  # here


@pytest.mark.parametrize("name", ELSEWHERE)
def test_attributes_of_other_libraries(name: str):
    with mistake(errors.ForeignAttributeError, AttributeError, f"`.{name}`", "Write "):
        ft.jit(lambda x: getattr(x, name))(X)  # here
    assert ft.jit(lambda x: x * hasattr(x, name))(1.0) == 0.0


@pytest.mark.parametrize("name", sorted({*ELSEWHERE} - {"cuda", "cpu", "to", "requires_grad", "block_until_ready"}))
def test_what_is_to_be_written_instead_works(name: str):
    code = ELSEWHERE[name].removesuffix(" for a function f").removesuffix(" itself")

    def written(x: Any) -> Any:
        known = {
            "functrans": ft, "np": np, "f": np.sum, "i": 0, "v": 1.0, "axis": 0, "axes": (0,), "shape": x.shape,
            "mask": True, "value": 0.0, "low": 1.5, "high": 2.5, "n": 2, "y": x,
        }  # fmt: skip
        return eval(code, {**known, "x": x})

    assert np.shape(ft.jit(written)(X)) == np.shape(written(X))


def test_attribute_that_no_array_has():
    with pytest.raises(AttributeError, match="'sinn'"):
        ft.jit(lambda x: x.sinn())(X)


def test_unknown_argument():
    with mistake(errors.UnsupportedArgumentError, TypeError, "np.sin", "subok"):
        ft.jit(lambda x: np.sin(x, subok=False))(X)  # here


def test_shapes_that_do_not_broadcast():
    with mistake(errors.ShapeMismatchError, ValueError, "(3,) and (2,)", "broadcast"):
        ft.jit(lambda x: x + np.ones(2))(X)  # here
    with pytest.raises(ValueError, match="broadcast"):
        ft.grad(lambda x: np.sum(x + np.ones(2)))(X)


def test_reshape_to_another_size():
    with mistake(errors.ShapeMismatchError, ValueError, "size 3", "(2,)"):
        ft.jit(lambda x: np.reshape(x, (2,)))(X)  # here


def test_ufunc_without_a_loop_for_the_dtype():
    with mistake(errors.UnsupportedDtypeError, TypeError, "`bitwise_and`", "float64"):
        ft.jit(lambda x: x & x)(X)  # here


def test_python_integer_that_is_an_argument_and_that_the_dtype_has_not():
    with mistake(errors.IntegerRangeError, OverflowError, "`multiply`", "-1", "uint32", "astype"):
        ft.jit(lambda x, n: x * n)(X.astype("u4"), -1)  # here
    with mistake(errors.IntegerRangeError, OverflowError, "`setitem`", "300", "int8", "astype"):
        ft.jit(lambda x, n: fnp.at(x)[0].set(n))(X.astype("i1"), 300)  # here


@pytest.mark.parametrize("size", [2, 40])
def test_equations_without_solutions_name_their_line(size: int):
    """The error is NumPy's; in a program that is compiled no frame tells where it comes from."""

    def f(a: Any) -> Any:
        b = 2 * a
        return lax.fori_loop(0, 2, lambda i, x: np.linalg.solve(b, x), np.ones(size)).sum()  # here

    for transform in (ft.jit, lambda f: ft.jit(ft.grad(f)), vmap_of_two):
        with pytest.raises(np.linalg.LinAlgError, match="^Singular matrix") as caught:
            transform(f)(np.zeros((size, size)))
        assert ["# here" in note for note in caught.value.__notes__] == [True]


def test_python_integer_that_the_dtype_has_not():
    with mistake(errors.IntegerRangeError, OverflowError, "`add`", "300", "uint8", "astype"):
        ft.jit(lambda x: x + 300)(X.astype("u1"))  # here
    with mistake(errors.IntegerRangeError, OverflowError, "`full`", "-1", "uint8"):
        ft.jit(lambda x: np.full_like(x, -1))(X.astype("u1"))  # here


@pytest.mark.parametrize("transform", [ft.jit, ft.grad, ft.vmap], ids=["jit", "grad", "vmap"])
def test_index_out_of_bounds(transform: Any):
    x = np.stack([X, X]) if transform is ft.vmap else X
    with pytest.raises(IndexError, match="5"):
        transform(lambda x: x[5])(x)


def test_length_of_a_scalar():
    with pytest.raises(TypeError, match="unsized"):
        ft.jit(lambda x: len(x))(1.0)
    with pytest.raises(TypeError, match=r"0-d|unsized"):
        ft.jit(lambda x: list(x))(1.0)


# ---- jit


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, X], ids=["list", "dict", "array"])
def test_static_argument_that_is_not_hashable(value: Any):
    with mistake(errors.StaticArgumentError, TypeError, "argument 1", type(value).__name__, "not hashable", "tuple"):
        ft.jit(lambda x, n: x, static_argnums=1)(X, value)  # here
    with mistake(errors.StaticArgumentError, TypeError, "argument 'n'", "not hashable"):
        ft.jit(lambda x, n: x, static_argnames="n")(X, n=value)  # here


def test_static_argnums_out_of_range():
    with mistake(errors.ArgumentIndexError, ValueError, "static_argnums=3"):
        ft.jit(lambda x: x, static_argnums=3)(X)  # here


def test_donate_argnums_out_of_range():
    with mistake(errors.ArgumentIndexError, ValueError, "donate_argnums=3"):
        ft.jit(lambda x: x, donate_argnums=3)(X)  # here


def test_static_argnames_that_no_parameter_has():
    with mistake(errors.ArgumentIndexError, ValueError, "static_argnames", "'m'"):
        ft.jit(lambda x, n: x, static_argnames="m")(X, 2)  # here


@pytest.mark.parametrize(
    "transform", [ft.jit, ft.grad, ft.vmap, ft.value_and_grad, ft.checkpoint, ft.jacfwd, ft.custom_jvp, ft.make_jaxpr]
)
def test_what_is_no_function(transform: Any):
    with pytest.raises(TypeError, match="function"):
        transform(3)


def test_result_that_is_no_array():
    with mistake(errors.UnsupportedDtypeError, TypeError, "str", "cannot be traced"):
        ft.jit(lambda x: "text")(X)  # here


# ---- tracebacks


def test_internal_frames_are_hidden(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FUNCTRANS_FULL_TRACEBACK", raising=False)
    assert not internal_files(lambda: ft.grad(ft.jit(ft.checkpoint(inverse_root)))(-1.0))
    monkeypatch.setenv("FUNCTRANS_FULL_TRACEBACK", "1")
    assert internal_files(lambda: ft.grad(ft.jit(ft.checkpoint(inverse_root)))(-1.0))
    monkeypatch.setenv("FUNCTRANS_FULL_TRACEBACK", "0")
    assert not internal_files(lambda: ft.grad(ft.jit(ft.checkpoint(inverse_root)))(-1.0))


def inverse_root(x: Any) -> Any:
    return np.sin(x).no_such_thing


def internal_files(run: Callable[[], Any]) -> list[str]:
    """Files of the library in the traceback, but for the wrapper that cuts it."""
    with pytest.raises(AttributeError) as caught:
        run()
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert files[-1] == __file__ or not files[-1].endswith("test_errors.py")
    return [file for file in files if "/functrans/" in file and not file.endswith("arguments.py")]


def test_the_users_frames_stay():
    with pytest.raises(AttributeError) as caught:
        ft.vmap(ft.grad(inverse_root))(X)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[0] == "test_the_users_frames_stay"
    assert "inverse_root" in names


def test_errors_of_the_user_pass_through():
    class Own(Exception):
        pass

    def f(x: Any) -> Any:
        raise Own("mine")

    for transform in (ft.jit, jvp, vjp, vmap_of_two):
        with pytest.raises(Own, match="mine"):
            transform(f)(X)
    assert ft.grad(lambda x: x * 2)(1.0) == 2.0  # nothing is left current


def test_every_error_is_a_builtin_too():
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.FunctransError)]
    assert len(classes) > 20
    for error in classes:
        assert error.__doc__
        if error is not errors.FunctransError:
            usual = TypeError, ValueError, IndexError, RuntimeError, NameError, ImportError, MemoryError, ArithmeticError
            assert issubclass(error, (*usual, AttributeError))
