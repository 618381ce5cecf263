"""Functions of numbers around which the rules of their primitive are checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import functrans as ft
from tests.helpers.cases import ControlExample

X = np.array([0.4, -1.3, 2.2])
Y = np.array([[0.7], [1.1]])


@ft.elementwise
def bend(x: Any, y: Any) -> Any:
    return math.sin(x) * y if x > 0 else x * math.exp(y)


@ft.elementwise(derivatives=(lambda z, x, n: n * x ** (n - 1), None))
def power(x: Any, n: Any) -> Any:
    result = x
    for _ in range(n - 1):
        result *= x
    return result


def bent(x: Any, y: Any) -> Any:
    return bend(x, y)


def raised(x: Any) -> Any:
    return power(x, 3)


def is_large(x: Any) -> Any:
    return ft.elementwise(lambda u: u > 1.0, name="is_large")(x)


EXAMPLES = [
    ControlExample("scalar_function", bent, (X, Y)),
    ControlExample("scalar_function", bent, (X.astype(np.float32), 0.5)),
    ControlExample("scalar_function", bent, (0.5, Y)),
    ControlExample("scalar_function", raised, (X,)),
    ControlExample("scalar_function", is_large, (X,), smooth=False),
]
