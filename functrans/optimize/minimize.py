"""minimize: the place where a function is least, and how it moves with what the function depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..api.arguments import hides_internals
from ..api.grad import grad, value_and_grad
from ..api.jacobian import hvp
from ..core.trace import typeof
from ..errors import SolverOptionError
from ..lax.implicit import custom_root
from ..primitives.late_scipy import optimize
from .descent import BFGS, LBFGS, Limits, Method, NewtonCG, descend
from .linear import solve_symmetric
from .problem import Problem, checked_options, problem
from .result import CONVERGED, OptimizeResult

#: SciPy's name of each method, and whether it asks for products with the Hessian.
_METHODS: Final = {
    "bfgs": ("BFGS", False),
    "l-bfgs": ("L-BFGS-B", False),
    "l-bfgs-b": ("L-BFGS-B", False),
    "newton-cg": ("Newton-CG", True),
    "cg": ("CG", False),
    "trust-ncg": ("trust-ncg", True),
    "trust-krylov": ("trust-krylov", True),
}


@hides_internals
def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: str = "BFGS",
    tol: float | None = None,
    options: dict[str, Any] | None = None,
    bounds: Any = None,
    callback: Callable[[Any], Any] | None = None,
) -> OptimizeResult:
    """A local minimum of `fun(x, *args)`, found from x0 with the function's derivatives.

    Outside of transformations `scipy.optimize.minimize` does it, with gradients and Hessian-vector products of ours.
    Under `grad`, `jvp`, `vmap`, `jit`, in loops and on a GPU our own BFGS, L-BFGS and Newton-CG do, with SciPy's rules
    for when to stop.

    The solution differentiates with respect to args and to the traced values that fun closes over, to any order, as an
    implicit function: the gradient of fun is zero at x whatever these are. So the derivatives are as good as x is; they
    need a Hessian that is not singular, and a minimum that was found (`success`). x0 has derivative zero.

    Args:
        fun: `fun(x, *args)` returns a real scalar.
        x0: a pytree of real arrays; integers become float64.
        args: a tuple of pytrees (anything else counts as the only argument).
        method: "BFGS", "L-BFGS" or "Newton-CG"; outside of transformations also SciPy's "CG", "trust-ncg" and
            "trust-krylov".
        tol: when to stop. For BFGS a size of the gradient (1e-5), for L-BFGS also a relative decrease of the value
            (2.2e-9), for Newton-CG a mean size of steps (1e-5). A limit of 0 is never reached but by exact zeros.
        options: SciPy's for the method; under transformations maxiter, gtol, ftol, xtol, and maxcor (L-BFGS), as far
            as the method has them.
        bounds: SciPy's, for the elements of x in order; with L-BFGS, outside of transformations.
        callback: called with x after each iteration, outside of transformations.

    Returns:
        An OptimizeResult: x (a pytree like x0), fun, jac, success, status, message, nit, nfev, njev.

    Raises:
        SolverOptionError: an unknown method; while tracing also a method, option, bounds or callback that only SciPy
            has.
        NonDifferentiableError: x0 is complex. NonScalarOutputError: fun does not return a scalar.

    Example:
        >>> import numpy as np, functrans as ft
        >>> from functrans.optimize import minimize
        >>> def well(x, a):
        ...     return np.sum((x - a) ** 2) + np.sum(x**4)
        >>> minimize(well, np.zeros(2), 3.0).x.round(4)
        array([1., 1.])
        >>> float(ft.grad(lambda a: minimize(well, 0.0, a).x)(3.0).round(6))    # 2 / (2 + 12 x**2)
        0.142857
    """
    if not isinstance(method, str) or method.lower() not in _METHODS:
        raise SolverOptionError(
            f"minimize was asked for the method {method!r}.",
            f"It has {', '.join(dict.fromkeys(name for name, _ in _METHODS.values()))}.",
            "Choose one of them; they differ in memory (L-BFGS has little) and use of second derivatives (Newton-CG).",
        )
    name, uses_hessian = _METHODS[method.lower()]
    if bounds is not None and name != "L-BFGS-B":
        raise SolverOptionError(
            f"minimize was given bounds and the method {method!r}.", "Only L-BFGS has bounds.", 'Use method="L-BFGS".'
        )
    given = problem(fun, x0, args, "minimize")
    if given.is_plain:
        return _by_scipy(given, name, uses_hessian, tol, options, bounds, callback)
    if bounds is not None or callback is not None:
        what = "bounds" if bounds is not None else "a callback"
        raise SolverOptionError(
            f"minimize was given {what} while tracing, or with arrays on a GPU.",
            "There it is done by functrans itself, which has no such thing.",
            "Change variables to keep bounds (x = np.exp(u)); call functrans.debug.callback in the function.",
        )
    tracing, limits = _own_method(name, tol, options, typeof(given.start).size)
    return _by_ourselves(given, tracing, limits)


def _by_scipy(
    given: Problem, method: str, uses_hessian: bool, tol: Any, options: Any, bounds: Any, callback: Any
) -> OptimizeResult:
    """Outside of transformations."""
    dtype = typeof(given.start).dtype
    both, unravel = value_and_grad(given.function), given.unravel

    def fun(z: Any) -> tuple[float, Any]:
        value, gradient = both(z.astype(dtype))
        return float(value), gradient.astype(float)

    def hessp(z: Any, v: Any) -> Any:
        return hvp(given.function, z.astype(dtype), v.astype(dtype)).astype(float)

    found = optimize().minimize(
        fun, given.start.astype(float), jac=True, method=method, tol=tol, options=options, bounds=bounds,
        hessp=hessp if uses_hessian else None,
        callback=None if callback is None else lambda z: callback(unravel(z.astype(dtype))),
    )  # fmt: skip
    x = found.x.astype(dtype)
    return OptimizeResult(
        x=unravel(x), fun=dtype.type(found.fun), jac=unravel(np.asarray(found.jac).astype(dtype)),
        success=np.bool_(found.success), status=np.int64(found.status), nit=np.int64(found.nit),
        nfev=np.int64(found.nfev), njev=np.int64(found.njev), text=str(found.message),
    )  # fmt: skip


def _own_method(name: str, tol: Any, options: Any, size: int) -> tuple[Method, Limits]:
    """The method and its limits, with SciPy's defaults."""
    given = {} if tol is None else dict.fromkeys(("gtol", "ftol", "xtol"), float(tol))
    if name == "BFGS":
        known = {"gtol": given.get("gtol", 1e-5), "maxiter": 200 * size}
    elif name == "L-BFGS-B":
        known = {"gtol": given.get("gtol", 1e-5), "ftol": given.get("ftol", 2.220446049250313e-09)}
        known |= {"maxiter": 15000, "maxcor": 10}
    elif name == "Newton-CG":
        known = {"xtol": given.get("xtol", 1e-5), "maxiter": 200 * size}
    else:
        raise SolverOptionError(
            f"minimize was asked for the method {name!r} while tracing, or with arrays on a GPU.",
            "There it is done by functrans itself, which has BFGS, L-BFGS and Newton-CG.",
            "Choose one of these; Newton-CG is closest to the trust region methods.",
        )
    chosen = checked_options(options, known, f"minimize with {name}")
    limits = Limits(*(float(chosen.get(limit, 0.0)) for limit in ("gtol", "ftol", "xtol")), int(chosen["maxiter"]))
    if name == "BFGS":
        return BFGS(), limits
    return (NewtonCG() if name == "Newton-CG" else LBFGS(int(chosen["maxcor"]))), limits


def _by_ourselves(given: Problem, method: Method, limits: Limits) -> OptimizeResult:
    """Under transformations."""
    objective = given.function

    def solve(_: Any, x: Any) -> tuple[Any, Any]:
        found = descend(objective, x, method, limits)
        return found.x, (found.status, found.nit, found.nfev)

    x, (status, nit, nfev) = custom_root(grad(objective), given.start, solve, solve_symmetric, has_aux=True)
    value, gradient = value_and_grad(objective)(x)
    return OptimizeResult(
        x=given.unravel(x), fun=value, jac=given.unravel(gradient), success=status == CONVERGED, status=status, nit=nit,
        nfev=nfev, njev=nfev,
    )  # fmt: skip
