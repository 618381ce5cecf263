"""Messages about values that are not known name what wanted them, and what to write in its place."""

from __future__ import annotations

import math
import pickle
import re
import sys
from collections.abc import Callable
from operator import attrgetter
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.optimize
import scipy.special
import scipy.stats

import functrans as ft
from functrans.core import libraries
from functrans.errors import ConcretizationError, TracerConversionError

TABLE = np.arange(5.0)
FULL = np.full
RNG = np.random.default_rng(0)
VECTORIZED = np.vectorize(lambda x: x + 1)


def stored(x: Any) -> Any:
    out = np.zeros(3)
    out[0] = x[0]
    return out


def stored_slice(x: Any) -> Any:
    out = np.zeros(3)
    out[1:] = x
    return out


def added(x: Any) -> Any:
    out = np.zeros(3)
    out[0] += x[0]
    return out


def over_lines(x: Any) -> Any:
    return TABLE[
        ("é", x.astype(int))[1]
    ]  # fmt: skip


CASES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: TABLE[x.astype(int)], "functrans.numpy.take(TABLE, i) or functrans.numpy.asarray(TABLE)[i]"),
    (lambda x: ("é", TABLE[x.astype(int)]), "functrans.numpy.take(TABLE, i)"),
    (over_lines, "functrans.numpy.take(TABLE, i)"),
    (lambda x: [1.0, 2.0][x[0].astype(int)], "functrans.numpy.asarray([1.0, 2.0])[i]"),
    (stored, "`out` is a plain NumPy array: make it with np.zeros_like(x)"),
    (stored_slice, "`out` is a plain NumPy array"),
    (added, "`out` is a plain NumPy array"),
    (lambda x: np.array([x[0], x[1]]), "np.stack or functrans.numpy.array"),
    (lambda x: np.full(3, x[0]), "Call functrans.numpy.full,"),
    (lambda x: FULL(3, x[0]), "Call functrans.numpy.full,"),
    (lambda x: np.ascontiguousarray(x), "Call functrans.numpy.ascontiguousarray,"),
    (lambda x: np.arange(x[0]), "np.arange(n) * step"),
    (lambda x: np.vectorize(lambda y: y + 1)(x), "instead of np.vectorize"),
    (lambda x: VECTORIZED(x), "instead of np.vectorize"),
    (lambda x: np.r_[x, 1.0], "functrans.numpy.r_[...]"),
    (lambda x: np.c_[x, x], "functrans.numpy.c_[...]"),
    (lambda x: np.max([x[0], x[1]]), "inside of lists"),
    (lambda x: np.maximum.reduce([x, 2 * x]), "inside of lists"),
    (lambda x: np.sin([x[0], x[1]]), "inside of lists"),
    (lambda x: math.sin(x[0]), "np.sin instead of math.sin"),
    (lambda x: np.random.normal(x[0]), "functrans.random"),  # noqa: NPY002
    (lambda x: RNG.normal(x[0]), "functrans.random"),
    (lambda x: float(x[0]), "Leave `float(...)` out"),
    (lambda x: int(x[0]), "x.astype(int)"),
    (lambda x: list(range(x[0].astype(int))), "functrans.lax.fori_loop"),
    (lambda x: np.eye(x[0].astype(int)), "Shapes, axes and numbers of elements are fixed"),
    (lambda x: np.ones((x[0].astype(int), 2)), "Shapes, axes and numbers of elements are fixed"),
    (lambda x: x.reshape(x[0].astype(int), -1), "Shapes, axes and numbers of elements are fixed"),
    (lambda x: x.sum(axis=x[0].astype(int)), "Shapes, axes and numbers of elements are fixed"),
    (lambda x: np.split(x, x[0].astype(int)), "Shapes, axes and numbers of elements are fixed"),
    (lambda x: x[0].item(), "Leave `.item()` out"),
    (lambda x: x.tolist(), "Leave `.tolist()` out"),
    (lambda x: pickle.dumps(x), "Return the value, and pickle that"),
    (lambda x: f"{x[0]:.2f}", "functrans.debug.print"),
    (lambda x: "{:.2f}".format(x[0]), "functrans.debug.print"),  # noqa: UP032
    (lambda x: scipy.integrate.quad(lambda t: t * x[0], 0, 1)[0], "scipy.integrate.quad computes with plain numbers"),
    (lambda x: scipy.integrate.solve_ivp(lambda t, y: -x[0] * y, (0, 1), [1.0]), "functrans.integrate.odeint"),
    (lambda x: scipy.optimize.minimize(lambda t: t @ t + x[0], np.ones(2)), "functrans.optimize.minimize"),
    (lambda x: scipy.stats.norm.logpdf(1.0, x), "Call functrans.scipy.stats.norm.logpdf,"),
    (lambda x: scipy.stats.norm(x).pdf(1.0), "Call functrans.scipy.stats.norm.pdf,"),
    (lambda x: scipy.stats.multivariate_normal.logpdf(x, x), "scipy.stats.multivariate_normal.logpdf,"),
    (lambda x: scipy.fft.dct(x), "Call functrans.scipy.fft.dct,"),
    (lambda x: scipy.fft.rfft(x), "Call np.fft.rfft,"),
    (lambda x: scipy.linalg.norm(x), "Call np.linalg.norm,"),
    (lambda x: scipy.interpolate.CubicSpline([0, 1, 2], [0, 1, 4])(x), "scipy.interpolate.CubicSpline computes"),
    (lambda x: [v for _, v in np.ndenumerate(x)], "np.ndindex"),
    (lambda x: np.broadcast(x, x).shape, "np.broadcast_shapes"),
    (lambda x: np.polynomial.Polynomial([1.0, 2.0])(x), "np.polyval"),
]


@pytest.mark.parametrize("case", CASES)
def test_what_wanted_a_value_is_named(case: Any):
    function, phrase = case
    x = np.array([1.0, 2.0])
    for call in (lambda: ft.jit(function)(x), lambda: ft.vmap(function)(np.stack([x, x]))):
        with pytest.raises((ConcretizationError, TracerConversionError)) as caught:
            call()
        assert phrase.lower() in caught.value.repair.lower()
        assert len(caught.value.repair) < 330


def test_without_source_the_message_says_all_there_is_to_say():
    names: dict[str, Any] = {"np": np}
    exec("f = lambda x: np.array([x, x])", names)
    with pytest.raises(ConcretizationError, match=r"functrans\.numpy\.array(.|\n)*functrans\.numpy\.vectorize"):
        ft.jit(names["f"])(1.0)


def zero_by_brent(a: Any) -> Any:
    return scipy.optimize.brentq(lambda x: x**2 - a, 0, 5)


def test_an_error_that_a_library_has_replaced_is_shown_all_the_same():
    with pytest.raises(TracerConversionError, match=r"functrans\.optimize\.minimize"):
        ft.grad(lambda a: scipy.optimize.minimize(lambda x: (x - a) @ (x - a), np.ones(2)).fun)(2.0)


def zero_by_minpack(a: Any) -> Any:
    return scipy.optimize.fsolve(lambda x: x**2 - a, 1.0)[0]


@pytest.mark.parametrize("transform", [ft.jit, ft.grad, lambda f: ft.jit(ft.grad(f))], ids=["jit", "grad", "both"])
@pytest.mark.parametrize("function", [zero_by_brent, zero_by_minpack])
def test_an_error_that_compiled_code_drops_is_shown_all_the_same(function: Any, transform: Any, capfd: Any):
    """Brent's method goes on calling the function in spite of an error, and MINPACK prints it and raises another."""
    hook = sys.excepthook
    for _ in range(3):
        with pytest.raises((TracerConversionError, ConcretizationError), match=r"take functrans\.optimize\.root"):
            transform(function)(2.0)
    assert capfd.readouterr().err == ""
    assert sys.excepthook is hook


def test_errors_of_users_in_compiled_code_are_left_as_they_are():
    def faulty(x: Any) -> Any:
        raise KeyError("own mistake")

    with pytest.raises(KeyError, match="own mistake"):
        ft.grad(lambda a: a * scipy.optimize.brentq(faulty, 0, 5))(2.0)


def test_errors_of_libraries_get_a_note():
    with pytest.raises(Exception, match="Iterator operand") as caught:
        ft.jit(ft.grad(lambda a: sum(np.nditer(a))))(2.0)
    assert ["np.ndindex" in note for note in caught.value.__notes__] == [True]


def test_errors_of_users_are_left_as_they_are():
    def function(x: Any) -> Any:
        try:
            return np.zeros(3)[x]
        except ConcretizationError as error:
            raise ValueError("mine") from error

    with pytest.raises(ValueError, match="^mine$") as caught:
        ft.jit(function)(1)
    assert not hasattr(caught.value, "__notes__")


# ---- names that are not here


def modules(module: Any) -> dict[str, Any]:
    """A public module of the library, and those inside, by name."""
    inner = [getattr(module, name) for name in getattr(module, "__all__", ())]
    found = [modules(m) for m in inner if isinstance(m, ModuleType)]
    return {module.__name__: module, **{name: m for group in found for name, m in group.items()}}


@pytest.mark.parametrize("name", sorted({*libraries._REPAIRS, *map("functrans.{}".format, libraries._INSTEAD)}))
def test_names_of_other_libraries_say_what_to_take(name: str):
    module, _, attribute = name.rpartition(".")
    found = modules(ft).get(module)
    if not hasattr(found, "__getattr__") or hasattr(found, attribute):
        return  # SciPy's own says it, when it meets traced values
    with pytest.raises(AttributeError, match=f"^module '{module}' has no attribute '{attribute}'[.] .+") as caught:
        getattr(found, attribute)
    for ours in re.findall(r"functrans(?:\.\w+)+", str(caught.value).partition(". ")[2]):
        assert attrgetter(ours.removeprefix("functrans."))(ft), ours


def test_names_that_scipy_has_and_nobody_knows():
    assert scipy.linalg.orth
    with pytest.raises(AttributeError, match=r"scipy\.linalg\.orth computes with plain numbers.*pure_callback"):
        ft.scipy.linalg.orth  # noqa: B018
    with pytest.raises(AttributeError, match=r"Use np\.linalg\.eig\.$"):
        ft.scipy.linalg.eig  # noqa: B018
    for module in (ft, ft.debug, ft.scipy.linalg, ft.scipy.special):
        assert not hasattr(module, "__wrapped__")
        with pytest.raises(AttributeError, match="has no attribute 'nothing_at_all'$"):
            module.nothing_at_all  # noqa: B018


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: scipy.special.lambertw(x[0]), "functrans.optimize.root"),
        (lambda x: scipy.linalg.schur(np.diag(x)), "np.linalg.eig"),
        (lambda x: scipy.linalg.logm(np.diag(x)), "np.linalg.eig"),
    ],
)
def test_scipy_functions_that_have_no_namesake(call: Any, text: str):
    with pytest.raises(TypeError, match=re.escape(text)):
        ft.jit(call)(np.ones(3))


@pytest.mark.parametrize("make", [np.zeros, np.ones, np.empty, lambda n: np.full(n, 2.0)])
@pytest.mark.parametrize("transform", [ft.jit, ft.vmap, lambda f: lambda n: ft.jit(ft.vmap(f))(n)])
def test_a_shape_of_one_extent_that_is_traced(make: Any, transform: Any):
    """NumPy keeps what `__index__` raised to itself."""
    def allocated(n: Any) -> Any:
        return make(n)  # this line

    with pytest.raises(ConcretizationError, match=r"(?s)A shape was given by a traced value.*static_argnums") as e:
        transform(allocated)(np.array([3]) if transform is not ft.jit else 3)
    assert "return make(n)  # this line" in str(e.value) or "np.full(n, 2.0)" in str(e.value)
