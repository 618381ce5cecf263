"""functrans.scipy.sparse.linalg: solutions, and derivatives of the equation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.errors import MatrixShapeError
from functrans.scipy.sparse import linalg
from tests.helpers.agreement import check_agreement

TIGHT = {"tol": 1e-13}


def system(n: int, seed: int, positive: bool, dtype: Any = float) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, n)) / 3, rng.normal(size=n)
    a = a + 1j * rng.normal(size=(n, n)) / 3 if dtype is complex else a
    return (a @ a.conj().T if positive else a) + 3 * np.eye(n), b.astype(dtype)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.integers(0, 99), st.sampled_from([float, complex]), st.booleans())
def test_solutions(n: int, seed: int, dtype: Any, is_function: bool):
    for method, positive in ((linalg.cg, True), (linalg.bicgstab, False)):
        a, b = system(n, seed, positive, dtype)
        operator = (lambda x, a=a: a @ x) if is_function else a
        np.testing.assert_allclose(method(operator, b, **TIGHT)[0], np.linalg.solve(a, b), rtol=1e-8, atol=1e-9)
        begun = method(operator, b, np.ones(n), M=lambda x, a=a: x / np.diag(a).real, **TIGHT)[0]
        np.testing.assert_allclose(begun, np.linalg.solve(a, b), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("method", [linalg.cg, linalg.bicgstab], ids=["cg", "bicgstab"])
def test_derivatives(method: Any):
    a, b = system(3, 5, positive=True)
    check_agreement(
        lambda a, b: method((a + np.swapaxes(a, -1, -2)) / 2, b, **TIGHT)[0], a, b, tolerance=1e-9
    )


@pytest.mark.parametrize(("method", "size"), [(linalg.bicgstab, 3), (linalg.gmres, 2)], ids=["bicgstab", "gmres"])
def test_derivatives_of_an_equation_that_is_not_symmetric(method: Any, size: int):
    a, b = system(size, 6, positive=False)
    check_agreement(lambda a, b: method(a, b, **TIGHT)[0], a, b, tolerance=1e-9)


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("dtype", [float, complex])
def test_solutions_by_minimal_residuals(n: int, dtype: Any):
    a, b = system(n, 7, positive=False, dtype=dtype)
    wanted = np.linalg.solve(a, b)
    np.testing.assert_allclose(linalg.gmres(a, b, **TIGHT)[0], wanted, rtol=1e-8)
    improved = linalg.gmres(lambda x: a @ x, b, np.ones(n), M=lambda x: x / np.diag(a), **TIGHT)[0]
    np.testing.assert_allclose(improved, wanted, rtol=1e-8)


def test_restarts_and_ends_of_minimal_residuals():
    a, b = system(8, 3, positive=False)
    for restart in (1, 3, 8):
        found = linalg.gmres(a, b, tol=1e-10, restart=restart, maxiter=100)[0]
        np.testing.assert_allclose(found, np.linalg.solve(a, b), rtol=1e-7)
    assert np.linalg.norm(a @ linalg.gmres(a, b, tol=0.1, restart=2)[0] - b) <= 0.1 * np.linalg.norm(b)
    shifted = np.roll(np.eye(8), 1, axis=0)  # no space smaller than all of it helps
    np.testing.assert_array_equal(linalg.gmres(shifted, np.eye(8)[0], restart=4)[0], np.zeros(8))
    np.testing.assert_allclose(linalg.gmres(shifted, np.eye(8)[0])[0], np.eye(8)[7], atol=1e-12)


def test_pytrees():
    def apply(x: Any) -> Any:
        return {"u": 2 * x["u"] + x["v"].sum(), "v": 3 * x["v"] + x["u"]}

    b = {"u": np.array(1.0), "v": np.array([2.0, 3.0])}
    found, info = linalg.cg(apply, b, **TIGHT)
    assert info is None
    np.testing.assert_allclose(apply(found)["v"], b["v"])
    np.testing.assert_allclose(ft.jit(lambda b: linalg.cg(apply, b, **TIGHT)[0])(b)["u"], found["u"])


def test_ends():
    np.testing.assert_array_equal(linalg.cg(np.eye(2), np.zeros(2))[0], np.zeros(2))
    np.testing.assert_array_equal(linalg.bicgstab(np.eye(2), np.zeros(2))[0], np.zeros(2))
    np.testing.assert_array_equal(linalg.gmres(np.eye(2), np.zeros(2))[0], np.zeros(2))
    for method in (linalg.cg, linalg.bicgstab, linalg.gmres):
        np.testing.assert_allclose(method(np.diag([1.0, 5.0]), np.zeros(2), np.ones(2))[0], 0, atol=1e-12)
    a, b = system(6, 1, positive=True)
    np.testing.assert_array_equal(linalg.cg(a, b, maxiter=0)[0], np.zeros(6))
    assert np.linalg.norm(a @ linalg.cg(a, b, tol=0.1)[0] - b) <= 0.1 * np.linalg.norm(b)
    with pytest.raises(MatrixShapeError, match="for 6 unknowns"):
        linalg.cg(np.eye(5), b)
