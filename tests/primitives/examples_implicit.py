"""Solutions of equations around which the rules of their primitives are checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import lax
from tests.helpers.cases import ControlExample

_random = np.random.default_rng(14)
A = _random.normal(size=(3, 3)) + 3 * np.eye(3)
B = _random.normal(size=3)


def solved(a: Any, b: Any) -> Any:
    return lax.custom_linear_solve(
        lambda x: a @ x, b, lambda _, b: np.linalg.solve(a, b), lambda _, b: np.linalg.solve(a.T, b)
    )


def cube_root(a: Any) -> Any:
    def newton(f: Any, x: Any) -> Any:
        return lax.fori_loop(0, 9, lambda _, x: x - f(x) / (3 * x**2), x)

    return lax.custom_root(lambda x: x**3 - a, np.ones(3), newton, lambda g, y: y / g(np.ones(3)))


EXAMPLES = [
    ControlExample("linear_solve", solved, (A, B)),
    ControlExample("implicit_root", cube_root, (np.array([0.5, 2.0, 3.0]),)),
]
