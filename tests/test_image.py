"""functrans.image: pictures of other sizes, by what interpolation must keep and by sums written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.errors import ShapeMismatchError, UnsupportedArgumentError
from functrans.image import ResizeMethod, resize, scale_and_translate
from tests.helpers.agreement import check_agreement

X = np.random.default_rng(2).normal(size=(4, 6, 2))
SMOOTH = ["linear", "cubic", "lanczos3", "lanczos5"]
sizes = st.integers(1, 9)
ANTIALIAS = {"antialiased": True, "as it is": False}


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, st.sampled_from([*SMOOTH, "nearest"]), st.booleans())
def test_what_is_constant_stays_constant(n: int, m: int, method: str, antialias: bool):
    np.testing.assert_allclose(resize(np.full(n, 3.0), (m,), method, antialias), np.full(m, 3.0), rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, st.sampled_from([*SMOOTH, "nearest"]), st.booleans())
def test_pictures_turned_around_are_turned_around(n: int, m: int, method: str, antialias: bool):
    x = X[0, :, 0].repeat(2)[:n]
    if method != "nearest":  # which has ties
        turned = resize(x[::-1], (m,), method, antialias)[::-1]
        np.testing.assert_allclose(resize(x, (m,), method, antialias), turned, atol=1e-12)
    np.testing.assert_array_equal(resize(x, (n,), method, antialias), x)


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_straight_lines_stay_straight_inside(method: str):
    line = resize(np.arange(8.0), (24,), method)[6:-6]
    np.testing.assert_allclose(np.diff(line), 1 / 3, rtol=1e-12)
    np.testing.assert_allclose(line[0], 6.5 / 3 - 0.5, rtol=1e-12)


def triangle(distance: float) -> float:
    return max(0.0, 1 - abs(distance))


@pytest.mark.parametrize("antialias", ANTIALIAS.values(), ids=ANTIALIAS)
@pytest.mark.parametrize("sizes", [(4, 9), (9, 4), (7, 3), (1, 5), (6, 1)])
def test_linear_interpolation_written_out(sizes: tuple[int, int], antialias: bool):
    n, m = sizes
    x = np.sin(np.arange(float(n)))
    width = max(n / m, 1.0) if antialias else 1.0
    for j, found in enumerate(resize(x, (m,), "bilinear", antialias)):
        middle = (j + 0.5) * n / m - 0.5
        weights = np.array([triangle((middle - i) / width) for i in range(n)])
        np.testing.assert_allclose(found, weights @ x / weights.sum(), rtol=1e-12)


@pytest.mark.parametrize("sizes", [(4, 9), (9, 4), (5, 5), (1, 5), (6, 1)])
def test_nearest_pixels(sizes: tuple[int, int]):
    n, m = sizes
    wanted = [int((j + 0.5) * n / m) for j in range(m)]
    np.testing.assert_array_equal(resize(np.arange(n), (m,), "nearest"), wanted)
    check_agreement(lambda x: resize(x, (3, 8, 2), "nearest"), X)


@pytest.mark.parametrize("antialias", ANTIALIAS.values(), ids=ANTIALIAS)
@pytest.mark.parametrize("method", SMOOTH)
def test_transformations_and_derivatives(method: str, antialias: bool):
    check_agreement(lambda x: resize(x, (3, 8, 2), method, antialias), X)
    scale, move = np.array([0.7, 2.1]), np.array([0.4, -3.0])
    check_agreement(lambda x, s, t: scale_and_translate(x, (6, 5, 2), (0, 1), s, t, method, antialias), X, scale, move)
    by_scale = scale_and_translate(X, (3, 8, 2), (0, -2), [3 / 4, 8 / 6], [0.0, 0.0], method, antialias)
    np.testing.assert_allclose(resize(X, (3, 8, 2), method, antialias), by_scale, rtol=1e-12)


def test_moved_pictures_have_zeros_beside_them():
    found = scale_and_translate(np.array([1.0, 2.0, 3.0]), (7,), (0,), [1.0], [2.0], "cubic")
    np.testing.assert_allclose(found, [0, 0, 1, 2, 3, 0, 0], atol=1e-12)


def test_dtypes():
    assert resize(X.astype(np.float32), (3, 3, 2), ResizeMethod.CUBIC).dtype == np.float32
    assert resize(np.arange(4, dtype=np.uint8), (8,), "linear").dtype == np.float32
    assert resize(np.arange(4, dtype=np.uint8), (8,), "nearest").dtype == np.uint8
    assert ft.jit(lambda x: resize(x, (8,), "linear"))(np.arange(4)).dtype == np.float64
    np.testing.assert_allclose(resize(X * 1j, (3, 3, 2), "cubic"), 1j * resize(X, (3, 3, 2), "cubic"), rtol=1e-12)


def test_refusals():
    for call in (
        lambda: resize(X, (3, 3), "cubic"),
        lambda: scale_and_translate(X, (3, 3, 3), (0, 1), [1.0, 1.0], [0.0, 0.0], "cubic"),
        lambda: scale_and_translate(X, (3, 3, 2), (0, 1), [1.0], [0.0], "cubic"),
    ):
        with pytest.raises(ShapeMismatchError):
            call()
    calls: list[Any] = [
        lambda: resize(X, (3, 3, 2), "best"),
        lambda: scale_and_translate(X, (3, 6, 2), (0,), [1.0], [0.0], "nearest"),
    ]
    for call in calls:
        with pytest.raises(UnsupportedArgumentError):
            call()
