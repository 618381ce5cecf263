"""root and fixed_point: solutions of equations, and how they move with what the equations depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..api.arguments import hides_internals, known_value
from ..api.jacobian import jacfwd
from ..core.trace import typeof
from ..errors import ShapeMismatchError, SolverError, SolverOptionError
from ..flatten_util import ravel_pytree
from ..lax.implicit import custom_root
from ..lax.loops import while_loop
from ..primitives.late_scipy import optimize
from .linear import largest, solve_general
from .newton import newton
from .problem import Problem, checked_options, problem
from .result import CONVERGED, OptimizeResult

_WITH_JACOBIAN: Final = ("hybr", "lm")
_WITHOUT: Final = ("broyden1", "broyden2", "anderson", "krylov", "df-sane")


@hides_internals
def root(
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: str = "hybr",
    tol: float | None = None,
    options: dict[str, Any] | None = None,
) -> OptimizeResult:
    """A solution of `fun(x, *args) = 0`, found from x0 with the function's Jacobian.

    Outside of transformations `scipy.optimize.root` does it, but for the method "newton". Under `grad`, `jvp`, `vmap`,
    `jit`, in loops and on a GPU it is our own method of Newton with halved steps, for any `method`: with the Jacobian
    written out for up to 200 unknowns, and by GMRES on products with it beyond.

    The solution differentiates with respect to args and to the traced values that fun closes over, to any order, as an
    implicit function: fun is zero at x whatever these are. x0 has derivative zero.

    Args:
        fun: `fun(x, *args)` returns as many real numbers as x has, in any pytree.
        x0: a pytree of real arrays; integers become float64.
        args: a tuple of pytrees (anything else counts as the only argument).
        method: "hybr", "lm" or "newton"; outside of transformations also SciPy's "broyden1", "broyden2", "anderson",
            "krylov" and "df-sane", which ask for no Jacobian.
        tol: when to stop; for Newton's method a size of steps relative to x (1.49e-8).
        options: SciPy's for the method; for Newton's method maxiter (100).

    Returns:
        An OptimizeResult: x (a pytree like x0), fun (as fun returned it), success, status, message, nit, nfev, njev.

    Raises:
        SolverOptionError: an unknown method, or an option that only SciPy has, while tracing.
        ShapeMismatchError: fun returns more or fewer numbers than x has.
        NonDifferentiableError: x0 is complex.

    Example:
        >>> import numpy as np, functrans as ft
        >>> from functrans.optimize import root
        >>> def circle_and_line(x, r):
        ...     return np.stack([x[0] ** 2 + x[1] ** 2 - r**2, x[0] - x[1]])
        >>> solve = lambda r: root(circle_and_line, np.array([1.0, 0.5]), r).x
        >>> solve(2.0).round(6), ft.jacrev(solve)(2.0).round(6)
        (array([1.414214, 1.414214]), array([0.707107, 0.707107]))
    """
    if method not in (*_WITH_JACOBIAN, *_WITHOUT, "newton"):
        raise SolverOptionError(
            f"root was asked for the method {method!r}.",
            f"It has {', '.join((*_WITH_JACOBIAN, 'newton', *_WITHOUT))}.",
            "Choose one of them.",
        )
    given = problem(fun, x0, args, "root")
    if given.is_plain and method != "newton":
        return _by_scipy(given, method, tol, options)
    return _by_newton(given, 1.49012e-8 if tol is None else float(tol), options)


def _by_scipy(given: Problem, method: str, tol: Any, options: Any) -> OptimizeResult:
    """Outside of transformations."""
    dtype = typeof(given.start).dtype
    residual = _residual(given, "root", may_differ=method == "lm")

    def fun(z: Any) -> Any:
        return residual(z.astype(dtype)).astype(float)

    def jacobian(z: Any) -> Any:
        return jacfwd(residual)(z.astype(dtype)).astype(float)

    derivative = {"jac": jacobian} if method in _WITH_JACOBIAN else {}
    found = optimize().root(fun, given.start.astype(float), method=method, tol=tol, options=options, **derivative)
    x = found.x.astype(dtype)
    count = np.int64(found.get("nfev", found.get("nit", 0)))
    return OptimizeResult(
        x=given.unravel(x), fun=given.function(x), jac=None, success=np.bool_(found.success),
        status=np.int64(CONVERGED if found.success else found.get("status", 1)), nit=np.int64(found.get("nit", count)),
        nfev=count, njev=np.int64(found.get("njev", 0)), text=str(found.message),
    )  # fmt: skip


def _by_newton(given: Problem, tol: float, options: Any) -> OptimizeResult:
    """Under transformations, and wherever it is asked for."""
    maxiter = int(checked_options(options, {"maxiter": 100}, "root")["maxiter"])
    residual = _residual(given, "root")

    def solve(function: Any, x: Any) -> tuple[Any, Any]:
        found = newton(function, x, tol, maxiter)
        return found.x, (found.status, found.nit, found.nfev)

    x, (status, nit, nfev) = custom_root(residual, given.start, solve, solve_general, has_aux=True)
    return OptimizeResult(
        x=given.unravel(x), fun=given.function(x), jac=None, success=status == CONVERGED, status=status, nit=nit,
        nfev=nfev, njev=nit,
    )  # fmt: skip


def _residual(given: Problem, name: str, may_differ: bool = False) -> Callable[[Any], Any]:
    """The function from vectors to vectors, of the same size unless they may differ."""
    size, dtype = typeof(given.start).size, typeof(given.start).dtype

    def residual(z: Any) -> Any:
        f, _ = ravel_pytree(given.function(z))
        if typeof(f).size != size and not may_differ:
            raise ShapeMismatchError(
                f"The function given to {name} returned {typeof(f).size} numbers for {size} unknowns.",
                "There is one equation for each unknown.",
                "Return as many numbers as x has; for more equations than unknowns minimise the sum of squares.",
            )
        return f.astype(dtype)

    return residual


@hides_internals
def fixed_point(
    func: Callable[..., Any], x0: Any, args: Any = (), xtol: float = 1e-8, maxiter: int = 500
) -> Any:
    """The x with `func(x, *args) = x` that repeating func leads to, from x0.

    Differentiates as an implicit function, as `root` does: backwards nothing is kept of the way there.

    Args:
        func: `func(x, *args)` returns a pytree like x, and brings points closer together.
        x0: a pytree of real arrays; integers become float64.
        args: a tuple of pytrees (anything else counts as the only argument).
        xtol: when to stop: a size of the last change, relative to x.
        maxiter: how often to apply func at most.

    Returns:
        A pytree like x0; NaN under `jit` and `vmap` if the iteration did not settle.

    Raises:
        SolverError: the iteration did not settle (outside of `jit` and `vmap`, where values are known).

    Example:
        >>> import numpy as np, functrans as ft
        >>> from functrans.optimize import fixed_point
        >>> solve = lambda a: fixed_point(lambda x: np.cos(a * x), 1.0)
        >>> round(float(solve(1.0)), 6), round(float(ft.grad(solve)(1.0)), 6)
        (0.739085, -0.297474)
    """
    given = problem(func, x0, args, "fixed_point")
    residual = _residual(given._replace(function=lambda z: _change(given, z)), "fixed_point")

    def is_small(x: Any, change: Any) -> Any:
        return change <= xtol * np.maximum(largest(x), xtol)

    def solve(residual: Any, x: Any) -> tuple[Any, Any]:
        def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
            x, _, k = state
            change = residual(x)
            return x + change, largest(change), k + 1

        far = np.full((), np.inf, typeof(x).dtype)[()]
        x, change, _ = while_loop(lambda s: ~is_small(s[0], s[1]) & (s[2] < maxiter), step, (x, far, np.int64(0)))
        is_settled = is_small(x, change)
        return np.where(is_settled, x, np.nan), is_settled

    x, is_settled = custom_root(residual, given.start, solve, solve_general, has_aux=True)
    is_settled = known_value(is_settled)
    if is_settled is not None and not is_settled:
        raise SolverError(
            f"The fixed point was not found in {maxiter} iterations.",
            "Repeating a function leads to a fixed point only if it brings points closer together.",
            "Allow for more iterations (maxiter), or solve func(x) - x = 0 by functrans.optimize.root.",
        )
    return given.unravel(x)


def _change(given: Problem, z: Any) -> Any:
    return ravel_pytree(given.function(z))[0] - z

