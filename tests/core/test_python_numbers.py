"""round, math.trunc, math.floor and math.ceil of a traced number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.errors import UnsupportedArgumentError

FUNCTIONS = {"round": round, "trunc": math.trunc, "floor": math.floor, "ceil": math.ceil}
NUMBERS = [0.5, 1.5, -2.5, 2.7, -2.7, np.float32(3.2), np.float64(-0.2), 7, np.int8(-3), True]


@pytest.mark.parametrize("x", NUMBERS, ids=repr)
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_as_in_python(function: Any, x: Any) -> None:
    wanted = function(np.asarray(x).item())  # not all of them know all of NumPy's scalars
    assert ft.jit(function)(x) == wanted
    assert ft.vmap(function)(np.stack([np.asarray(x)] * 2)).tolist() == [wanted] * 2


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_the_result_is_a_python_int(function: Any) -> None:
    """It takes the dtype of what it meets."""
    f = lambda s, x: x * function(s)  # noqa: E731
    for dtype in ("f4", "i1", "c8"):
        x = np.ones(2, dtype)
        assert ft.jit(f)(2.4, x).dtype == f(2.4, x).dtype == x.dtype
    assert ft.grad(lambda s: s * function(s))(2.4) == function(2.4)
    assert ft.jvp(function, (2.4,), (1.0,))[1].dtype == ft.float0


def test_digits() -> None:
    for x in (2.345, np.float32(-1.25), np.int64(125)):
        for digits in (1, 0, -1):
            assert ft.jit(lambda x: round(x, digits))(x) == round(x, digits)


def test_nan_has_no_integer() -> None:
    with pytest.raises(ValueError, match="NaN"):
        ft.jit(round)(np.nan)


@pytest.mark.parametrize("x", [np.ones(2), np.complex128(1j)], ids=["array", "complex"])
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_arrays_and_complex_numbers_have_none(function: Any, x: Any) -> None:
    with pytest.raises(UnsupportedArgumentError, match="Python integer was wanted of a traced array"):
        ft.jit(function)(x)
