"""Cofactors and their derivatives in native programs: no return to Python but for singular matrices."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.primitives.determinants import cofactor_derivative, cofactors
from functrans.primitives.spectral import eig
from tests.helpers.tiers import interpreted, natively, staged

RANDOM = np.random.default_rng(0)


def matrices(dtype, shape, count, is_singular):
    found = [RANDOM.normal(size=shape) + (1j * RANDOM.normal(size=shape) if dtype in "FD" else 0) for _ in range(count)]
    if is_singular and shape[-1] > 1:
        found[0][..., 0, :] = found[0][..., 1, :] * 2
    return [x.astype(dtype) for x in found]


def cofactors_by_rows(a, *directions):
    """Signed determinants of what is left without a row and a column; to differentiate one in several directions is
    to replace as many of its rows by those of the directions, in every way."""
    n, found = a.shape[-1], np.zeros_like(a)
    for i, j in np.ndindex(n, n):
        minor, *others = (np.delete(np.delete(x, i, -2), j, -1) for x in (a, *directions))
        for rows in permutations(range(n - 1), len(directions)):
            replaced = minor.copy()
            for row, other in zip(rows, others):
                replaced[..., row, :] = other[..., row, :]
            found[..., i, j] += (-1) ** (i + j) * np.linalg.det(replaced)
    return found


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(["quick", "quick", "quick", "thorough"]), st.sampled_from("fdFD"),
    st.sampled_from([(), (1,), (3,), (2, 2)]), st.integers(1, 5), st.integers(0, 3), st.booleans(),
)  # fmt: skip
def test_derivatives_of_cofactors(tier, dtype, lanes, n, order, is_singular):
    args = matrices(dtype, (*lanes, n, n), order + 1, is_singular)
    jaxpr = staged(cofactor_derivative.bind if order else cofactors.bind, args)
    wanted = cofactors_by_rows(*(x.astype("D" if dtype in "FD" else "d") for x in args))
    size = max(1.0, np.max(np.abs(wanted)))
    for (found,) in (interpreted(jaxpr, args), natively(jaxpr, args, tier)):
        assert found.dtype == dtype
        assert np.max(np.abs(found - wanted)) <= (1e-4 if dtype in "fF" else 1e-11) * size


def test_second_derivatives_of_determinants_are_native():
    a = RANDOM.normal(size=(6, 6))
    hvp = lambda a, v: ft.jvp(ft.grad(np.linalg.det), (a,), (v,))[1]  # noqa: E731
    v = RANDOM.normal(size=(6, 6))
    assert "Python: cofactor_derivative" not in str(ft.jit(hvp).lower(a, v).kernels)
    step = 1e-5
    slope = (ft.grad(np.linalg.det)(a + step * v) - ft.grad(np.linalg.det)(a - step * v)) / (2 * step)
    np.testing.assert_allclose(ft.jit(hvp)(a, v), slope, rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from("fdFD"), st.sampled_from([(), (3,), (2, 2)]), st.integers(1, 12))
def test_eigenvalues_and_eigenvectors(dtype, lanes, n):
    """Conjugate pairs among them; up to their order, and the directions of eigenvectors."""
    (a,) = matrices(dtype, (*lanes, n, n), 1, False)
    jaxpr = staged(lambda a: [*eig.bind(a, vectors=True), *eig.bind(a, vectors=False)], [a])
    w, v, alone = natively(jaxpr, [a], "quick")
    assert w.dtype == v.dtype == alone.dtype == np.result_type(dtype, "F")
    limit = (1e-5 if dtype in "fF" else 1e-12) * 10 * n
    assert np.max(np.abs(a @ v - v * w[..., None, :])) <= limit
    np.testing.assert_allclose(np.linalg.norm(v, axis=-2), 1, rtol=limit)
    for found in (w, alone):
        distances = np.abs(found[..., :, None] - np.linalg.eigvals(a)[..., None, :])
        assert max(distances.min(-1).max(), distances.min(-2).max()) <= limit**0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_eigenvalues_of_what_is_not_finite_are_refused(value):
    a = np.stack([np.eye(3), np.eye(3)])
    f = ft.jit(np.linalg.eigvals)
    np.testing.assert_array_equal(f(a), np.ones((2, 3)))
    a[1, 2, 0] = value
    with pytest.raises(np.linalg.LinAlgError, match="infs or NaNs"):
        f(a)
