"""Functions of neural networks against their formulas, and their derivatives against differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import nn
from functrans.errors import ShapeMismatchError
from functrans.testing import check_grads

X = np.random.default_rng(0).normal(size=(4, 6)) * 3
MASK = X > -1
WEIGHTS = X**2

FORMULAS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "relu6": (nn.relu6, lambda x: np.clip(x, 0, 6)),
    "hard_tanh": (nn.hard_tanh, lambda x: np.clip(x, -1, 1)),
    "hard_sigmoid": (nn.hard_sigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "hard_swish": (nn.hard_swish, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "celu": (lambda x: nn.celu(x, 2.0), lambda x: np.where(x > 0, x, 2 * np.expm1(x / 2))),
    "selu": (nn.selu, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
    "soft_sign": (nn.soft_sign, lambda x: x / (1 + np.abs(x))),
    "mish": (nn.mish, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "glu": (lambda x: nn.glu(x, 1), lambda x: x[:, :3] / (1 + np.exp(-x[:, 3:]))),
    "standardize": (nn.standardize, lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)),
    "softmax of a part": (
        lambda x: nn.softmax(x, 1, where=MASK),
        lambda x: MASK * np.exp(x) / np.sum(MASK * np.exp(x), axis=1, keepdims=True),
    ),
    "logsumexp of a part": (
        lambda x: nn.logsumexp(x, 1, keepdims=True, where=MASK),
        lambda x: np.log(np.sum(np.exp(x), axis=1, keepdims=True, where=MASK)),
    ),
    "logsumexp with weights": (
        lambda x: nn.logsumexp(x, 1, b=WEIGHTS), lambda x: np.log(np.sum(WEIGHTS * np.exp(x), axis=1))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_functions_are_their_formulas(name: str) -> None:
    function, formula = FORMULAS[name]
    for found in (function(X), ft.jit(function)(X)):
        np.testing.assert_allclose(found, formula(X), rtol=1e-12, atol=1e-14)
    assert function(X.astype(np.float32)).dtype == np.float32 or name == "logsumexp with weights"
    check_grads(ft.jit(function), (X,), order=2)


ACTIVATIONS = (
    "relu", "leaky_relu", "relu6", "hard_tanh", "hard_sigmoid", "hard_silu", "elu", "celu", "selu", "sigmoid",
    "log_sigmoid", "softplus", "soft_sign", "squareplus", "sparse_plus", "sparse_sigmoid", "mish", "silu", "gelu",
)  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan(name: str) -> None:
    function = getattr(nn, name)
    for transformed in (function, ft.jit(function), ft.vmap(function)):
        assert np.isnan(transformed(np.array([np.nan, 1.0]))).tolist() == [True, False]


@pytest.mark.parametrize(("name", "kinks"), [("relu", [0.0]), ("relu6", [0.0, 6.0]), ("hard_tanh", [-1.0, 1.0])])
def test_derivatives_at_kinks_are_zero(name: str, kinks: list[float]) -> None:
    x = np.array([x + d for x in kinks for d in (0.0, -0.5, 0.5)])
    slopes = ft.jit(ft.vmap(ft.grad(getattr(nn, name))))(x).reshape(-1, 3)
    assert not slopes[:, 0].any()
    assert (slopes[:, 1:].sum(1) == 1).all()


def test_rows_that_are_masked_out_are_zero_and_have_no_derivative() -> None:
    mask = np.array([[True, True, False], [False, False, False]])
    x = np.array([[1.0, 1.0, 7.0], [1.0, 2.0, 3.0]])
    for transformed in (lambda f: f, ft.jit):
        found = transformed(lambda x: nn.softmax(x, where=mask))(x)
        np.testing.assert_allclose(found, [[0.5, 0.5, 0], [0, 0, 0]], rtol=1e-12)
        slope = transformed(ft.grad(lambda x: np.sum(nn.softmax(x, where=mask)[:, 0])))(x)
        np.testing.assert_allclose(slope, [[0.25, -0.25, 0], [0, 0, 0]], rtol=1e-12)


def test_weights_of_zero_leave_out_what_would_overflow() -> None:
    x = np.array([np.inf, 1000.0, 1001.0])
    np.testing.assert_allclose(nn.logsumexp(x, b=np.array([0.0, 1.0, 1.0])), 1001 + np.log1p(np.exp(-1)))
    assert nn.logsumexp(x, b=np.zeros(3)) == -np.inf


def test_glu_needs_two_halves() -> None:
    with pytest.raises(ShapeMismatchError):
        nn.glu(X[:3, :3])
