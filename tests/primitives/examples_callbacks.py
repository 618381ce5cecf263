"""Callbacks around which the rules of their primitive are checked."""

from __future__ import annotations

from typing import Any

import numpy as np

import functrans as ft
from tests.helpers.cases import ControlExample

X = np.array([0.5, -1.0, 2.0])


def counted(x: Any) -> Any:
    shape = ft.ShapeDtypeStruct((), int)
    return x * 2, ft.pure_callback(lambda n: np.asarray(n + 1), shape, np.int64(3), vmap_method="sequential")


def sorted_by_numpy(x: Any) -> Any:
    return ft.pure_callback(np.sort, ft.ShapeDtypeStruct((3,), float), x, vmap_method="expand_dims")


EXAMPLES = [
    ControlExample("callback", counted, (X,)),
    ControlExample("callback", sorted_by_numpy, (X,), smooth=False),
]
