"""Callbacks: how often, in which order and with what they are called, in every nesting."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.errors import CallbackError, NonDifferentiableError

X = np.array([1.0, 2.0, 3.0])
FLOAT = ft.ShapeDtypeStruct((), float)


def watched(seen: list[Any]) -> Callable[[Any], Any]:
    """sin(x)**2, telling of x on the way."""

    def function(x: Any) -> Any:
        ft.debug.callback(lambda x: seen.append(float(x)), x)
        return np.sin(x) ** 2

    return function


ONCE = {
    "eager": lambda f: f(0.5),
    "jit": lambda f: ft.jit(f)(0.5),
    "grad": lambda f: ft.grad(f)(0.5),
    "jit grad": lambda f: ft.jit(ft.grad(f))(0.5),
    "grad jit": lambda f: ft.grad(ft.jit(f))(0.5),
    "jvp": lambda f: ft.jvp(f, (0.5,), (1.0,)),
    "hvp": lambda f: ft.jvp(ft.grad(f), (0.5,), (1.0,)),
    "grad grad": lambda f: ft.grad(ft.grad(f))(0.5),
    "jit grad grad": lambda f: ft.jit(ft.grad(ft.grad(f)))(0.5),
    "jet": lambda f: ft.jet(f, (0.5,), ((1.0, 0.0),)),
    "checkpoint": lambda f: ft.grad(ft.checkpoint(f))(0.5),
    "jit checkpoint": lambda f: ft.jit(ft.grad(ft.checkpoint(f)))(0.5),
    "unmapped": lambda f: ft.vmap(lambda _: f(0.5))(X),
}


@pytest.mark.parametrize("run", ONCE.values(), ids=ONCE.keys())
def test_called_once(run: Any) -> None:
    seen: list[float] = []
    run(watched(seen))
    assert seen == [0.5]


LANES = {
    "vmap": lambda f: ft.vmap(f)(X),
    "jit vmap": lambda f: ft.jit(ft.vmap(f))(X),
    "vmap jit": lambda f: ft.vmap(ft.jit(f))(X),
    "vmap grad": lambda f: ft.vmap(ft.grad(f))(X),
    "grad vmap": lambda f: ft.grad(lambda x: np.sum(ft.vmap(f)(x)))(X),
    "map": lambda f: lax.map(f, X),
    "scan": lambda f: lax.scan(lambda c, x: (c + f(x), None), 0.0, X),
    "grad scan": lambda f: ft.grad(lambda x: lax.scan(lambda c, x: (c + f(x), None), 0.0, x)[0])(X),
    "checkpointed scan": lambda f: ft.grad(
        lambda x: lax.scan(lambda c, x: (c + f(x), None), 0.0, x, checkpoint=1)[0]
    )(X),
    "recomputing scan": lambda f: ft.jit(
        ft.grad(lambda x: lax.scan(lambda c, x: (np.sin(c) + f(x), None), 0.0, x, checkpoint=True)[0])
    )(X),
    "while_loop": lambda f: ft.grad(
        lambda y: lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1] * f(c[0])), (y, y))[1]
    )(1.0),
}


@pytest.mark.parametrize("run", LANES.values(), ids=LANES.keys())
def test_called_for_each_lane_or_step_in_order(run: Any) -> None:
    seen: list[float] = []
    run(watched(seen))
    assert seen == [1.0, 2.0, 3.0]


def test_a_branch_that_is_not_taken_does_not_call() -> None:
    seen: list[float] = []
    f = ft.jit(lambda x: lax.cond(x > 0, watched(seen), np.cos, x))
    f(-1.0)
    assert seen == []
    ft.grad(f)(2.0)
    assert seen == [2.0]


def test_calls_come_in_the_order_of_the_program() -> None:
    seen: list[str] = []

    @ft.jit
    def f(x: Any) -> Any:
        for name in ("a", "b", "c"):
            ft.debug.callback(lambda _, name=name: seen.append(name), x)
            ft.io_callback(lambda name=name: seen.append(name.upper()), None)
        return x

    f(1.0)
    f(1.0)
    assert "".join(seen) == "aAbBcC" * 2


def test_the_same_call_twice_is_two_calls() -> None:
    counter = iter(range(10))
    draw = lambda: ft.io_callback(lambda: next(counter), ft.ShapeDtypeStruct((), int))  # noqa: E731
    assert ft.jit(lambda: (draw(), draw()))() == (0, 1)


def test_formatting(capsys: pytest.CaptureFixture[str]) -> None:
    @ft.jit
    def f(x: Any) -> Any:
        ft.debug.print("{} is {x:.1f} {what}", "it", x=x[0], what="long")
        return x

    f(X)
    assert capsys.readouterr().out == "it is 1.0 long\n"
    with pytest.raises(TypeError, match="formats a string"):
        ft.debug.print(X)


def norm(x: Any) -> Any:
    return np.float64(np.linalg.norm(x))


def test_pure_callbacks() -> None:
    f = lambda x: ft.pure_callback(norm, FLOAT, x, vmap_method="sequential") * 2  # noqa: E731
    assert f(X) == ft.jit(f)(X) == 2 * norm(X)
    rows = np.stack([X, 2 * X])
    for function in (ft.vmap(f), ft.jit(ft.vmap(f)), ft.vmap(ft.jit(f))):
        np.testing.assert_allclose(function(rows), [2 * norm(X), 4 * norm(X)])
    nested = ft.vmap(ft.vmap(f))(np.stack([rows, 3 * rows]))
    np.testing.assert_allclose(nested, norm(X) * np.array([[2, 4], [6, 12]]))


@pytest.mark.parametrize(("method", "shapes"), [("expand_dims", [(2, 3), (1,)]), ("broadcast_all", [(2, 3), (2,)])])
def test_all_lanes_in_one_call(method: str, shapes: Any) -> None:
    calls: list[Any] = []

    def scaled(x: Any, factor: Any) -> Any:
        calls.append([x.shape, factor.shape])
        return x * factor[..., None]

    f = lambda x: ft.pure_callback(scaled, ft.ShapeDtypeStruct((3,), float), x, 2.0, vmap_method=method)  # noqa: E731
    np.testing.assert_array_equal(ft.vmap(f)(np.stack([X, -X])), [2 * X, -2 * X])
    assert calls == [shapes]


def test_unused_pure_callbacks_vanish_and_others_do_not() -> None:
    calls: list[str] = []

    def f(x: Any) -> Any:
        ft.pure_callback(lambda x: calls.append("pure") or x, FLOAT, x)
        ft.io_callback(lambda x: calls.append("io") or x, FLOAT, x)
        return x

    ft.jit(f)(1.0)
    assert calls == ["io"]


def test_derivatives_of_callbacks() -> None:
    for call in (ft.pure_callback, ft.io_callback):
        f = lambda x, call=call: call(norm, FLOAT, x)  # noqa: E731
        with pytest.raises(NonDifferentiableError, match="callback `norm` was to be differentiated"):
            ft.grad(f)(X)
        with pytest.raises(NonDifferentiableError, match="custom_rule, custom_jvp or custom_vjp"):
            ft.jit(ft.grad(f))(X)
        assert ft.grad(lambda x, f=f: np.sum(x) * f(lax.stop_gradient(x)))(X)[0] == norm(X)
    g = ft.custom_jvp(lambda x: ft.pure_callback(norm, FLOAT, x))
    g.defjvp(lambda x, dx: (g(*x), np.dot(x[0], dx[0]) / g(*x)))
    np.testing.assert_allclose(ft.jit(ft.grad(g))(X), X / norm(X))


def test_a_callback_with_a_custom_rule() -> None:
    sine = ft.custom_rule(lambda x: ft.pure_callback(lambda x: np.sin(x), FLOAT, x, vmap_method="broadcast_all"))
    sine.def_vjp(lambda x: (sine(x), x), lambda x, ct: (ct * np.cos(x),))
    for f in (sine, ft.jit(sine)):
        np.testing.assert_allclose(f(0.5), np.sin(0.5))
        np.testing.assert_allclose(ft.vmap(ft.grad(f))(X), np.cos(X))
        np.testing.assert_allclose(ft.jvp(f, (0.5,), (2.0,))[1], 2 * np.cos(0.5))
        np.testing.assert_allclose(ft.grad(ft.grad(f))(0.5), -np.sin(0.5))


def test_ordered_callbacks_keep_the_order_of_the_program() -> None:
    told: list[str] = []

    def tell(name: str, x: Any) -> Any:
        return ft.io_callback(lambda x: told.append(f"{name}{x:.0f}") or x, FLOAT, x, ordered=True)

    @ft.jit
    def f(x: Any) -> Any:
        x, _ = lax.scan(lambda c, i: (tell("scan", c + i), None), x, np.array([1.0, 1.0]))
        x = lax.cond(x > 0, lambda x: tell("yes", x), lambda x: tell("no", x), x)
        x = lax.while_loop(lambda c: tell("more", c) < 5, lambda c: tell("step", c + 1), x)
        x = lax.fori_loop(0, x.astype(int) - 3, lambda i, c: tell("i", c + i), x)
        return tell("end", x)

    assert f(1.0) == 6.0
    assert " ".join(told) == "scan2 scan3 yes3 more3 step4 more4 step5 more5 i5 i6 end6"
    told.clear()
    np.testing.assert_array_equal(ft.vmap(lambda x: x + tell("same for all", 2.0))(X), X + 2)
    assert told == ["same for all2"]


def test_operands_cannot_be_written_to() -> None:
    x = X.copy()

    def vandal(x: Any) -> Any:
        x[0] = 99.0

    with pytest.raises(ValueError, match="read-only"):
        ft.jit(lambda x: ft.debug.callback(vandal, x) or x)(x)
    np.testing.assert_array_equal(x, X)


ANYWHERE = {
    "eager": lambda f: f(1.0),
    "jit": lambda f: ft.jit(f)(1.0),
    "grad": lambda f: ft.grad(f)(1.0),
    "jvp": lambda f: ft.jvp(f, (1.0,), (1.0,)),
    "vmap": lambda f: ft.vmap(f)(X),
    "jit vmap grad": lambda f: ft.jit(ft.vmap(ft.grad(f)))(X),
    "scan": lambda f: lax.scan(lambda c, x: (c, f(x)), 0.0, X),
    "scan with a bar": lambda f: lax.scan(lambda c, x: (c, f(x)), 0.0, X, progress=True),
    "while_loop": lambda f: ft.grad(lambda x: lax.while_loop(lambda c: c < 3, lambda c: c + f(c), x))(1.0),
    "cond": lambda f: ft.vmap(lambda x: lax.cond(x > 1, f, lambda x: x, x))(X),
    "checkpoint": lambda f: ft.grad(ft.checkpoint(f))(1.0),
}


class Unwell(Exception):
    """An exception that cannot be made again from its arguments."""

    def __init__(self, state: Any, *, hint: str):
        super().__init__(f"{state}, {hint}")


@pytest.mark.parametrize("run", ANYWHERE.values(), ids=ANYWHERE.keys())
@pytest.mark.parametrize("error", [Unwell(3, hint="rest"), KeyboardInterrupt(), StopIteration()], ids=type)
@pytest.mark.parametrize("call", [ft.pure_callback, ft.io_callback, None], ids=["pure", "io", "debug"])
def test_exceptions_come_through_as_they_are(run: Any, error: BaseException, call: Any) -> None:
    def fails(x: Any) -> Any:
        raise error

    def f(x: Any) -> Any:
        if call is None:
            ft.debug.callback(fails, x)
            return x
        options = {"vmap_method": "sequential"} if call is ft.pure_callback else {}
        return x * call(fails, FLOAT, lax.stop_gradient(x), **options)

    if run is ANYWHERE["scan with a bar"]:
        pytest.importorskip("tqdm")
    with pytest.raises(type(error)) as caught:
        run(f)
    assert caught.value is error
    assert ft.grad(np.sin)(0.0) == 1.0  # and no transformation is left half open


@pytest.mark.parametrize(
    ("fmt", "missing"),
    [("{} {}", "1"), ("{y:.1f}", "y"), ("{0} {1.real}", "1"), ("{x:{width}}", "width"), ("{x[0]} {z[0]}", "z")],
)
def test_a_failing_format_says_so(fmt: str, missing: str) -> None:
    with pytest.raises(CallbackError, match=re.escape(f"is to print {{{missing}}}, which it is not given")):
        ft.jit(lambda x: ft.debug.print(fmt, x, x=x) or x)(1.0)


@pytest.mark.parametrize("fmt", ["{", "}", "{} {0}", "{0} {}", "{x", "{!z}", "{x[0}", "{0:{}}", "{x:{"])
def test_what_is_no_format_says_so(fmt: str) -> None:
    with pytest.raises(ValueError) as plain:
        fmt.format(1.0, 2.0, x=X)
    for wrap in (lambda f: f, ft.jit):
        with pytest.raises(CallbackError, match=re.escape(f"{fmt!r}: {plain.value}")) as caught:
            wrap(lambda x: ft.debug.print(fmt, x, x, x=x))(1.0)  # this line
        assert "# this line" in str(caught.value)


@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit, ft.vmap], ids=["eager", "jit", "vmap"])
@pytest.mark.parametrize("fmt", ["{:d}", "{x:zz}", "{x.nothing}", "{x[3]}", "{x:.2f} {0:{x!r}s}"])
def test_formats_that_values_do_not_take_say_where_they_are(fmt: str, wrap: Any) -> None:
    given = np.float64(1.5)
    with pytest.raises((ArithmeticError, AttributeError, LookupError, TypeError, ValueError)) as plain:
        fmt.format(given, x=given)
    with pytest.raises(CallbackError, match=re.escape(f"{fmt!r}: {plain.value}")) as caught:
        wrap(lambda x: ft.debug.print(fmt, x, x=x) or x)(np.full(3, 1.5) if wrap is ft.vmap else given)  # this line
    assert "# this line" in str(caught.value)


@pytest.mark.parametrize("fmt", ["{{}} {}", "{x:>{width}}", "{1.real} {0}", "{} {:{}}", "no value"])
def test_formats_name_what_is_given(fmt: str, capsys: pytest.CaptureFixture[str]) -> None:
    ft.debug.print(fmt, 1.5, 2.5, 8, x=3, width=6)
    assert capsys.readouterr().out == fmt.format(1.5, 2.5, 8, x=3, width=6) + "\n"


@pytest.mark.parametrize("call", [ft.pure_callback, ft.io_callback], ids=["pure", "io"])
@pytest.mark.parametrize(
    "run", [lambda f: f(X), lambda f: ft.jit(f)(X), lambda f: lax.map(f, X[None])], ids=["eager", "jit", "map"]
)
@pytest.mark.parametrize(
    ("result", "text"),
    [
        (lambda x: x, "The callback `<lambda>` returned float64[3], but float64[] was declared."),
        (lambda x: np.float32(1), "returned float32[], but float64[] was declared."),
        (lambda x: 1j, "returned complex128[], but float64[] was declared."),
        (lambda x: (x, x), "returned another pytree than was declared:"),
        (lambda x: None, "returned another pytree than was declared:"),
    ],
    ids=["shape", "dtype", "number", "structure", "nothing"],
)
def test_results_that_were_not_declared(result: Any, text: str, run: Any, call: Any) -> None:
    with pytest.raises(CallbackError) as caught:
        run(lambda x: call(result, FLOAT, x))  # this line
    message = str(caught.value)
    assert text in message
    assert "test_callbacks.py" in message  # where the call stands
    assert "`run(lambda x: call(result, FLOAT, x))  # this line`" in message
    assert "Correct result_shape_dtypes" in message


def test_the_leaf_that_was_not_declared() -> None:
    declared = {"mean": FLOAT, "spread": ft.ShapeDtypeStruct((2,), np.float32)}
    with pytest.raises(CallbackError, match=r"returned float64\[\] at .*spread.*, but float32\[2\] was declared"):
        ft.pure_callback(lambda x: {"mean": np.mean(x), "spread": np.std(x)}, declared, X)


@pytest.mark.parametrize("like", [1.5, np.float64(1.5), np.array(1.5), FLOAT], ids=repr)
def test_results_are_declared_by_something_like_them(like: Any) -> None:
    assert ft.jit(lambda x: ft.pure_callback(norm, like, x))(X) == norm(X)


def test_what_cannot_be_called_or_declared() -> None:
    with pytest.raises(CallbackError, match="`norm` were declared by <class 'float'> at .*length"):
        ft.pure_callback(norm, {"length": float}, X)
    with pytest.raises(TypeError, match="a callback is a function, not float"):
        ft.pure_callback(1.0, FLOAT, X)
    with pytest.raises(TypeError, match="a callback is a function, not str"):
        ft.debug.callback("text", X)


@pytest.mark.parametrize("run", ANYWHERE.values(), ids=ANYWHERE.keys())
def test_a_callback_is_no_part_of_what_is_traced(run: Any) -> None:
    """It may use functrans itself, for things of its own."""
    kinds: list[type] = []

    def uses_functrans(x: Any) -> Any:
        kinds.append(type(ft.numpy.zeros(2) + x))
        kinds.append(type(ft.vmap(ft.jit(ft.grad(np.sin)))(np.array([x]))))

    if run is ANYWHERE["scan with a bar"]:
        pytest.importorskip("tqdm")
    run(lambda x: ft.debug.callback(uses_functrans, x) or x)
    assert kinds
    assert set(kinds) == {np.ndarray}


def test_what_vmap_refuses() -> None:
    with pytest.raises(CallbackError, match="vmap_method: 'sequential'"):
        ft.vmap(lambda x: ft.pure_callback(norm, FLOAT, x))(X)
    with pytest.raises(CallbackError, match="ordered callback"):
        ft.vmap(lambda x: ft.io_callback(norm, FLOAT, x, ordered=True))(X)
    with pytest.raises(ValueError, match="vmap_method is one of"):
        ft.pure_callback(norm, FLOAT, X, vmap_method="all")


def test_linearized_functions_do_not_call_again() -> None:
    seen: list[float] = []
    _, f_jvp = ft.linearize(watched(seen), 0.5)
    f_jvp(1.0)
    f_jvp(2.0)
    assert seen == [0.5]
