"""Attention against its definition, and initializers against the variances they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import nn, random
from functrans.errors import InvalidShapeError, ShapeMismatchError, UnsupportedArgumentError
from tests.helpers.agreement import check_agreement

RANDOM = np.random.default_rng(0)
QUERY, KEY, VALUE = RANDOM.normal(size=(2, 5, 4, 3)), RANDOM.normal(size=(2, 6, 2, 3)), RANDOM.normal(size=(2, 6, 2, 3))
BIAS, MASK = RANDOM.normal(size=(4, 5, 6)), RANDOM.random((2, 1, 5, 6)) > 0.3


def by_definition(seen: Any, bias: Any = 0.0, scale: float = 3**-0.5) -> Any:
    """Each head and place on its own; zeros where nothing is seen."""
    out = np.zeros_like(QUERY)
    seen, bias = np.broadcast_to(seen, (2, 4, 5, 6)), np.broadcast_to(bias, (2, 4, 5, 6))
    for b, head, place in np.ndindex(2, 4, 5):
        which = np.flatnonzero(seen[b, head, place])
        logits = scale * KEY[b, which, head // 2] @ QUERY[b, place, head] + bias[b, head, place, which]
        if len(which):
            out[b, place, head] = np.exp(logits) / np.exp(logits).sum() @ VALUE[b, which, head // 2]
    return out


ROW, COLUMN = np.arange(5)[:, None], np.arange(6)
LENGTHS = np.array([2, 5]), np.array([3, 6])
OPTIONS: dict[str, tuple[dict[str, Any], Any]] = {
    "plain": ({}, by_definition(True)),
    "causal": ({"is_causal": True}, by_definition(ROW >= COLUMN)),
    "window": ({"local_window_size": (1, 2)}, by_definition((COLUMN >= ROW - 1) & (COLUMN <= ROW + 2))),
    "narrow": ({"local_window_size": 1, "is_causal": True}, by_definition((COLUMN >= ROW - 1) & (COLUMN <= ROW))),
    "bias": ({"bias": BIAS, "scale": 0.4}, by_definition(True, BIAS, 0.4)),
    "mask": ({"mask": MASK}, by_definition(MASK)),
    "lengths": (
        {"query_seq_lengths": LENGTHS[0], "key_value_seq_lengths": LENGTHS[1]},
        by_definition((LENGTHS[0][:, None, None, None] > ROW) & (LENGTHS[1][:, None, None, None] > COLUMN)),
    ),
    "nothing": ({"mask": np.zeros((5, 6), bool)}, np.zeros_like(QUERY)),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_attention(name: str):
    options, wanted = OPTIONS[name]
    np.testing.assert_allclose(nn.dot_product_attention(QUERY, KEY, VALUE, **options), wanted, atol=1e-13)
    if name in ("causal", "lengths", "nothing"):
        lanes = name == "causal"
        check_agreement(lambda *xs: nn.dot_product_attention(*xs, **options), QUERY, KEY, VALUE, lanes=lanes)


def test_attention_without_a_batch():
    got = nn.dot_product_attention(QUERY[0], KEY[0], VALUE[0])
    np.testing.assert_allclose(got, OPTIONS["plain"][1][0], atol=1e-13)
    assert nn.dot_product_attention(*(x.astype(np.float32) for x in (QUERY, KEY, VALUE))).dtype == np.float32


def test_what_attention_refuses():
    with pytest.raises(ShapeMismatchError, match=r"dot_product_attention was given shapes"):
        nn.dot_product_attention(QUERY, KEY[..., :2], VALUE)
    with pytest.raises(UnsupportedArgumentError):
        nn.dot_product_attention(QUERY, KEY, VALUE, implementation="triton")


@pytest.mark.parametrize(
    ("make", "variance"),
    [
        (nn.initializers.glorot_normal, 1 / 150),
        (nn.initializers.glorot_uniform, 1 / 150),
        (nn.initializers.he_normal, 2 / 100),
        (nn.initializers.he_uniform, 2 / 100),
        (nn.initializers.lecun_normal, 1 / 100),
        (nn.initializers.lecun_uniform, 1 / 100),
        (lambda: nn.initializers.variance_scaling(3.0, "fan_out", "normal"), 3 / 200),
        (lambda: nn.initializers.variance_scaling(1.0, "fan_geo_avg", "normal"), 1 / 20000**0.5),
        (lambda: nn.initializers.normal(0.1), 0.01),
        (lambda: nn.initializers.uniform(0.1), 0.01 / 3),
        (lambda: nn.initializers.truncated_normal(0.1, lower=-9, upper=9), 0.01),
    ],
)
def test_variances(make: Any, variance: float):
    """Of a window of 4 with 25 inputs and 50 outputs."""
    drawn = make()(random.key(1), (4, 25, 50), np.float32)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(np.mean(drawn**2), variance, rtol=0.06)
    np.testing.assert_allclose(ft.jit(lambda key: make()(key, (4, 25, 50), np.float32))(random.key(1)), drawn, rtol=1e-5)


def test_other_initializers():
    key = random.key(2)
    np.testing.assert_array_equal(nn.initializers.zeros(key, (2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(nn.initializers.ones(key, (2,), np.float32), np.ones(2, np.float32))
    np.testing.assert_array_equal(nn.initializers.constant(2.5)(key, (2,)), np.full(2, 2.5))
    for shape in ((3, 4, 2), (2, 5)):
        columns = nn.initializers.orthogonal(2.0)(key, shape).reshape(-1, shape[-1])
        square = columns.T @ columns if len(columns) >= shape[-1] else columns @ columns.T
        np.testing.assert_allclose(square, 4 * np.eye(len(square)), atol=1e-12)
    window = nn.initializers.delta_orthogonal()(key, (3, 3, 2, 4))
    np.testing.assert_allclose(window[1, 1] @ window[1, 1].T, np.eye(2), atol=1e-12)
    assert np.count_nonzero(window) == np.count_nonzero(window[1, 1])
    by_batch = nn.initializers.variance_scaling(1.0, "fan_in", "uniform", batch_axis=0)(key, (50, 3, 2))
    assert 0.9 < np.abs(by_batch).max() < 1
    for refused in (
        lambda: nn.initializers.he_normal()(key, (3,)),
        lambda: nn.initializers.delta_orthogonal()(key, (3, 4, 2)),
    ):
        with pytest.raises(InvalidShapeError):
            refused()
    with pytest.raises(UnsupportedArgumentError):
        nn.initializers.variance_scaling(1.0, "fan", "normal")


def test_small_functions():
    x = np.array([-2.0, -0.5, 0.3, 1.7])
    np.testing.assert_allclose(nn.squareplus(x, 2.0), (x + np.sqrt(x**2 + 2)) / 2)
    np.testing.assert_allclose(nn.sparse_plus(x), [0, 0.0625, 0.4225, 1.7])
    np.testing.assert_allclose(ft.grad(lambda x: np.sum(nn.sparse_plus(x)))(x), nn.sparse_sigmoid(x))
    np.testing.assert_allclose(nn.logmeanexp(x, where=x > 0), np.log(np.mean(np.exp(x[2:]))))
    np.testing.assert_allclose(nn.log1mexp(np.array([1e-20, 0.3, 2.0, 50.0])), [
        np.log(1e-20), np.log(1 - np.exp(-0.3)), np.log(1 - np.exp(-2)), -np.exp(-50.0)
    ])  # fmt: skip
    check_agreement(nn.log1mexp, x[2:])
    check_agreement(nn.logmeanexp, x)
