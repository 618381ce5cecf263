"""Linear equations known by a function that multiplies by the matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..api.vmap import vmap
from ..core.devices import here
from ..core.dtypes import finfo
from ..core.trace import typeof
from ..lax.loops import scan, while_loop

#: Up to this size the matrix is written out.
DENSE: Final = 200
_RESTART: Final = 40

Matvec = Callable[[Any], Any]


def dense_matrix(matvec: Matvec, like: Any) -> Any:
    """The matrix itself."""
    aval = typeof(like)
    return vmap(matvec, out_axes=1)(here(np.eye(aval.size, dtype=aval.dtype)))


def solve_general(matvec: Matvec, b: Any) -> Any:
    """x with A x = b, as exact as possible."""
    if typeof(b).size <= DENSE:
        return np.linalg.solve(dense_matrix(matvec, b), b)
    return gmres(matvec, b, _tightest(b))


def solve_symmetric(matvec: Matvec, b: Any) -> Any:
    """x with A x = b for a positive definite matrix, as exact as possible."""
    if typeof(b).size <= DENSE:
        return np.linalg.solve(dense_matrix(matvec, b), b)
    return conjugate_gradients(matvec, b, _tightest(b) * norm(b), 10 * typeof(b).size)


def _tightest(b: Any) -> float:
    return 100 * float(finfo(typeof(b).dtype).eps)


def largest(x: Any) -> Any:
    """The largest size of an element, zero where there is none."""
    return np.max(np.abs(x)) if typeof(x).size else np.zeros((), typeof(x).dtype)[()]


def norm(x: Any) -> Any:
    """The Euclidean norm of a vector."""
    return np.sqrt(np.sum(x * x))


def conjugate_gradients(matvec: Matvec, b: Any, tolerance: Any, maxiter: int) -> Any:
    """x with |A x - b| <= tolerance for a positive definite matrix.

    Where the matrix turns out not to be, what was found so far, or b if that is nothing: a direction x with b x > 0 in
    any case (Nocedal and Wright, Numerical Optimization, 2nd edition, algorithm 7.1).
    """
    eps = float(finfo(typeof(b).dtype).eps)

    def goes_on(state: tuple[Any, ...]) -> Any:
        _, r, _, k, is_positive = state
        return is_positive & (norm(r) > tolerance) & (k < maxiter)

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        x, r, p, k, _ = state
        q = matvec(p)
        curvature, squared = np.sum(p * q), np.sum(r * r)
        is_positive = curvature > 3 * eps * np.sum(p * p)
        alpha = squared / np.where(is_positive, curvature, 1)
        after = r - alpha * q
        p_after = after + p * (np.sum(after * after) / squared)
        x_after = np.where(is_positive, x + alpha * p, np.where(k == 0, b, x))
        return x_after, after, p_after, k + 1, is_positive

    return while_loop(goes_on, step, (b * 0, b, b, np.int64(0), np.bool_(True)))[0]


def gmres(matvec: Matvec, b: Any, tolerance: Any) -> Any:
    """x with |A x - b| <= tolerance |b|, or the best there is (Saad and Schultz, 1986, restarted).

    It gives up when a cycle no longer halves the residual.
    """
    aval = typeof(b)
    count = min(_RESTART, aval.size)
    goal = tolerance * norm(b)

    def cycle(state: tuple[Any, ...]) -> tuple[Any, ...]:
        x, r, size, _ = state
        basis = np.zeros((count + 1, aval.size), aval.dtype)
        first = r / np.where(size > 0, size, 1)
        basis = basis + _unit(0, count + 1, aval.dtype)[:, None] * first

        def arnoldi(basis: Any, j: Any) -> tuple[Any, Any]:
            w = matvec(_unit(j, count + 1, aval.dtype) @ basis)
            column = basis @ w
            w = w - column @ basis
            again = basis @ w
            w = w - again @ basis
            length = norm(w)
            is_new = length > 0
            unit = _unit(j + 1, count + 1, aval.dtype)
            basis = basis + unit[:, None] * np.where(is_new, w / np.where(is_new, length, 1), 0)
            return basis, column + again + unit * length

        basis, columns = scan(arnoldi, basis, np.arange(count))
        y = np.linalg.pinv(columns.T) @ (_unit(0, count + 1, aval.dtype) * size)
        x = x + y @ basis[:count]
        r = b - matvec(x)
        after = norm(r)
        return x, r, after, after < size / 2

    def goes_on(state: tuple[Any, ...]) -> Any:
        return (state[2] > goal) & state[3]

    return while_loop(goes_on, cycle, (b * 0, b, norm(b), np.bool_(True)))[0]


def _unit(i: Any, size: int, dtype: Any) -> Any:
    """A unit vector."""
    return (np.arange(size) == i).astype(dtype)
