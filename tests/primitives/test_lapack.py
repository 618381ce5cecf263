"""Triangular solves and LU without LAPACK, as for arrays that are not NumPy's own, against those with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from functrans.primitives import lapack
from functrans.primitives.determinants import products_without_each, products_without_pairs
from tests.helpers.oracles import assert_close

RANDOM = np.random.default_rng(2)


class Foreign(np.ndarray[Any, Any]):
    """An array that is not NumPy's own."""


def matrix(*shape: int, dtype: str) -> Any:
    x = RANDOM.uniform(-1, 1, shape)
    return (x + 1j * RANDOM.uniform(-1, 1, shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 3), (0, 0), (2, 0, 3), (0, 2, 2)])
def test_elimination_is_lapacks(shape: tuple[int, ...], dtype: str):
    a = matrix(*shape, dtype=dtype)
    lu, pivots, permutation = lapack.lu_factors(a)
    found = lapack.lu_factors(a.view(Foreign))
    assert type(found[0]) is Foreign
    assert_close(np.asarray(found[0]), lu)
    np.testing.assert_array_equal(np.asarray(found[1]), pivots)
    np.testing.assert_array_equal(np.asarray(found[2]), permutation)
    k = min(shape[-2:])
    lower = np.tril(lu[..., :k], -1) + np.eye(shape[-2], k)
    rows = np.take_along_axis(a, permutation[..., None].astype(int), axis=-2)
    assert_close(lower @ np.triu(lu[..., :k, :]), rows, 1e-5 if dtype in ("f4", "c8") else 1e-12)


@pytest.mark.parametrize("dtype", ["f8", "c16"])
@pytest.mark.parametrize("unit_diagonal", [False, True])
@pytest.mark.parametrize("conjugate_a", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("left_side", [False, True])
def test_triangular_solves(
    left_side: bool, lower: bool, transpose_a: bool, conjugate_a: bool, unit_diagonal: bool, dtype: str
):
    a = matrix(2, 3, 3, dtype=dtype) + 2 * np.eye(3)
    b = matrix(2, 3, 3, dtype=dtype)
    params = {
        "left_side": left_side, "lower": lower, "transpose_a": transpose_a, "conjugate_a": conjugate_a,
        "unit_diagonal": unit_diagonal,
    }  # fmt: skip
    x = lapack.solve_triangular(a, b, **params)
    op = np.tril(a) if lower else np.triu(a)
    op = op - (op - np.eye(3)) * np.eye(3) if unit_diagonal else op
    op = np.swapaxes(op, -1, -2) if transpose_a else op
    op = op.conj() if conjugate_a else op
    assert_close(op @ x if left_side else x @ op, b)
    assert_close(np.asarray(lapack.solve_triangular(a.view(Foreign), b.view(Foreign), **params)), x)


def test_a_zero_on_the_diagonal_gives_infinities():
    a, b = np.array([[0.0, 0.0], [1.0, 1.0]]), np.ones((2, 1))
    params = {"left_side": True, "lower": True, "transpose_a": False, "conjugate_a": False, "unit_diagonal": False}
    for x in (lapack.solve_triangular(a, b, **params), lapack.solve_triangular(a.view(Foreign), b, **params)):
        assert np.isinf(x[0, 0])


def test_products_of_others():
    s = np.array([[2.0, 3.0, 5.0], [0.0, 3.0, 5.0]])
    np.testing.assert_allclose(products_without_each(s), [[15, 10, 6], [15, 0, 0]])
    np.testing.assert_allclose(products_without_pairs(s)[0], [[0, 5, 3], [5, 0, 2], [3, 2, 0]])
