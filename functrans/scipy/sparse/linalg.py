"""Linear equations solved by iteration, with derivatives of the equation and not of the iteration.

M. Hestenes and E. Stiefel, "Methods of conjugate gradients for solving linear systems", J. Res. Natl. Bur. Stand. 49,
1952; H. van der Vorst, "Bi-CGSTAB", SIAM J. Sci. Stat. Comput. 13, 1992; Y. Saad and M. Schultz, "GMRES", SIAM J. Sci.
Stat. Comput. 7, 1986.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.avals import is_inexact
from ...core.devices import beside
from ...core.trace import typeof
from ...errors import MatrixShapeError
from ...flatten_util import ravel_pytree
from ...lax.implicit import custom_linear_solve
from ...lax.loops import scan, while_loop
from ...numpy.common import as_operand, cast
from ...numpy.indexing import take
from ...primitives.selection import stop_gradient

Operator = Callable[[Any], Any]
#: From the operator, the right side, the first guess, the largest residual, the largest number of steps, and the
#: preconditioner to the solution.
Method = Callable[[Operator, Any, Any, Any, int, Operator], Any]


def cg(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Any, None]:
    """The solution x of A x = b for positive definite A, by conjugate gradients.

    It differentiates in b and in what A closes over, to any order, as the solution of the equation.

    Args:
        A: a matrix, or a linear function from pytrees like b to pytrees like b.
        b: a pytree of arrays.
        x0: where to begin; zero by default.
        tol, atol: the residual is to be at most max(tol * |b|, atol).
        maxiter: at most so many steps; ten for each unknown by default.
        M: about the inverse of A, positive definite: a matrix or a function.

    Returns:
        x, like b, and None.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy.sparse import linalg
        >>> linalg.cg(np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([6.0, 7.0]))[0].round(6)
        array([1., 2.])
    """
    return _solve(_conjugate_gradients, A, b, x0, tol, atol, maxiter, M, symmetric=True), None


def bicgstab(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Any, None]:
    """The solution x of A x = b for any A, by stabilized bi-conjugate gradients; the arguments are those of `cg`.

    It gives up, with what it has found, where the method breaks down.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy.sparse import linalg
        >>> linalg.bicgstab(lambda x: np.array([[4.0, 1.0], [-1.0, 3.0]]) @ x, np.array([6.0, 5.0]))[0].round(6)
        array([1., 2.])
    """
    return _solve(_stabilized, A, b, x0, tol, atol, maxiter, M, symmetric=False), None


def gmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
    solve_method: str = "batched",
) -> tuple[Any, None]:
    """The solution x of A x = b for any A, by minimal residuals; the arguments are those of `cg`.

    Args:
        restart: after so many products with A it begins anew, from what it has found.
        maxiter: begin at most so often.
        M: about the inverse of A; residuals are those of M A x = M b.
        solve_method: of no effect.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy.sparse import linalg
        >>> linalg.gmres(lambda x: np.array([[4.0, 1.0], [-1.0, 3.0]]) @ x, np.array([6.0, 5.0]))[0].round(6)
        array([1., 2.])
    """

    def method(matvec: Operator, rhs: Any, start: Any, largest: Any, steps: int, improve: Operator) -> Any:
        return _minimal_residuals(matvec, rhs, start, largest, steps, improve, restart)

    return _solve(method, A, b, x0, tol, atol, maxiter, M, symmetric=False), None


def _solve(
    method: Method, A: Any, b: Any, x0: Any, tol: float, atol: float, maxiter: int | None, M: Any, symmetric: bool
) -> Any:
    flat, unravel = ravel_pytree(b)
    flat = flat if is_inexact(typeof(flat).dtype) else cast(flat, np.float64)
    size = typeof(flat).size
    apply, improve = (_operator(operator, unravel, size) for operator in (A, M))
    start = flat * 0 if x0 is None else cast(stop_gradient(ravel_pytree(x0)[0]), typeof(flat).dtype)
    steps = 10 * size if maxiter is None else maxiter

    def solve(matvec: Operator, rhs: Any) -> Any:
        largest = np.maximum(tol * _norm(rhs), atol)
        return method(matvec, rhs, start, largest, steps, improve)

    return unravel(custom_linear_solve(apply, flat, solve, solve, symmetric=symmetric))


def _operator(operator: Any, unravel: Callable[[Any], Any], size: int) -> Operator:
    """A matrix or a function of pytrees, as a function of vectors; the identity for None.

    Raises:
        MatrixShapeError: the matrix is not square, or of another size than b.
    """
    if operator is None:
        return lambda x: x
    if callable(operator):
        return lambda x: ravel_pytree(operator(unravel(x)))[0]
    matrix = as_operand(operator)
    if typeof(matrix).shape != (size, size):
        raise MatrixShapeError(
            f"A matrix of type {typeof(matrix)} was given for {size} unknowns.",
            "It is square, with a row and a column for each.",
            "Pass such a matrix, or a function.",
        )
    return lambda x: np.matmul(matrix, x)


def _norm(x: Any) -> Any:
    return np.sqrt(np.real(np.vdot(x, x)))


def _conjugate_gradients(
    matvec: Operator, b: Any, x0: Any, largest: Any, steps: int, improve: Operator
) -> Any:
    def goes_on(state: tuple[Any, ...]) -> Any:
        return (_norm(state[1]) > largest) & (state[4] < steps)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        x, r, p, size, k = state
        q = matvec(p)
        alpha = _quotient(size, np.vdot(p, q))
        r = r - alpha * q
        z = improve(r)
        after = np.vdot(r, z)
        return x + alpha * p, r, z + _quotient(after, size) * p, after, k + 1

    r = b - matvec(x0)
    z = improve(r)
    return while_loop(goes_on, step, (x0, r, z, np.vdot(r, z), np.int64(0)))[0]


def _stabilized(matvec: Operator, b: Any, x0: Any, largest: Any, steps: int, improve: Operator) -> Any:
    def goes_on(state: tuple[Any, ...]) -> Any:
        return (_norm(state[1]) > largest) & (state[7] < steps) & state[8]

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        x, r, p, v, rho, alpha, omega, k, _ = state
        after = np.vdot(shadow, r)
        beta = _quotient(after, rho) * _quotient(alpha, omega)
        p = r + beta * (p - omega * v)
        turned = improve(p)
        v = matvec(turned)
        alpha = _quotient(after, np.vdot(shadow, v))
        s = r - alpha * v
        improved = improve(s)
        t = matvec(improved)
        omega = _quotient(np.vdot(t, s), np.vdot(t, t))
        is_sound = (after != 0) & ((omega != 0) | (_norm(s) <= largest))
        x = x + alpha * turned + omega * improved
        return x, s - omega * t, p, v, after, alpha, omega, k + 1, is_sound

    r = b - matvec(x0)
    shadow = r
    one = np.vdot(r, r) * 0 + 1
    state = (x0, r, r * 0, r * 0, one, one, one, np.int64(0), np.bool_(True))
    return while_loop(goes_on, step, state)[0]


def _minimal_residuals(
    matvec: Operator, b: Any, x0: Any, largest: Any, steps: int, improve: Operator, restart: int
) -> Any:
    """Cycles of Arnoldi's method, which looks for the best x in a growing space, until one does not help."""
    aval = typeof(b)
    count = min(restart, aval.size)
    unit = beside(b, np.eye(count + 1, dtype=aval.dtype))

    def arnoldi(basis: Any, j: Any) -> tuple[Any, Any]:
        w = improve(matvec(take(basis, j, axis=0)))
        column = basis.conj() @ w
        w = w - column @ basis
        again = basis.conj() @ w  # once more: rounding has left something of the basis
        w = w - again @ basis
        length = _norm(w)
        row = take(unit, j + 1, axis=0)
        return basis + row[:, None] * _quotient(w, length), column + again + row * length

    def cycle(state: tuple[Any, ...]) -> tuple[Any, ...]:
        x, r, size, k, _ = state
        basis, columns = scan(arnoldi, unit[0][:, None] * _quotient(r, size), np.arange(count))
        y = np.linalg.pinv(columns.T) @ (unit[0] * size)
        x = x + y @ basis[:count]
        r = improve(b - matvec(x))
        after = _norm(r)
        return x, r, after, k + 1, after < size

    def goes_on(state: tuple[Any, ...]) -> Any:
        return (state[2] > goal) & (state[3] < steps) & state[4]

    r = improve(b - matvec(x0))
    goal = largest * _quotient(_norm(improve(b)), _norm(b))
    return while_loop(goes_on, cycle, (x0, r, _norm(r), np.int64(0), np.bool_(True)))[0]


def _quotient(x: Any, y: Any) -> Any:
    """x / y, and zero where y is."""
    return np.where(y == 0, y * 0, x / np.where(y == 0, y * 0 + 1, y))
