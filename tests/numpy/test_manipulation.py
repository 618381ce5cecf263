"""Shape functions and reductions: NumPy's values, and derivatives against differences, in every transformation."""

import numpy as np
import pytest

import functrans as ft

FUNCTIONS = {
    "mean": lambda x: np.mean(x, axis=0),
    "mean_all": lambda x: np.mean(x),
    "mean_where": lambda x: np.mean(x, axis=1, where=np.array([True, False, True])),
    "var": lambda x: np.var(x, axis=1, ddof=1),
    "std": lambda x: np.std(x),
    "sum_keepdims": lambda x: np.sum(x, axis=(0,), keepdims=True),
    "sum_where": lambda x: np.sum(x, where=np.array([True, False, True]), initial=2.0),
    "max": lambda x: np.max(x, axis=1),
    "min": lambda x: np.min(x),
    "ptp": lambda x: np.ptp(x, axis=0),
    "prod": lambda x: np.prod(x, 0),
    "cumsum": lambda x: np.cumsum(x, 1),
    "cumprod": lambda x: np.cumprod(x),
    "add_reduce": lambda x: np.add.reduce(x),
    "maximum_accumulate": lambda x: np.maximum.accumulate(x, axis=0),
    "average": lambda x: np.average(x, axis=0, weights=np.arange(4.0)),
    "stack": lambda x: np.stack([x, x * 2]),
    "concatenate": lambda x: np.concatenate([x, x], 1),
    "concatenate_flat": lambda x: np.concatenate([x, x * x], None),
    "hstack": lambda x: np.hstack([x, x]),
    "dstack": lambda x: np.dstack([x, x]),
    "column_stack": lambda x: np.column_stack([x[:, 0], x]),
    "block": lambda x: np.block([[x, x], [x, x]]),
    "tile": lambda x: np.tile(x, (2, 2)),
    "repeat": lambda x: np.repeat(x, 3, axis=1),
    "repeat_each": lambda x: np.repeat(x, [1, 0, 2], axis=1),
    "roll": lambda x: np.roll(x, 1, axis=0),
    "roll_flat": lambda x: np.roll(x, 2),
    "pad": lambda x: np.pad(x, 1),
    "pad_values": lambda x: np.pad(x, ((1, 2), (0, 1)), constant_values=((1, 2), (3, 4))),
    "pad_reflect": lambda x: np.pad(x, 2, mode="reflect"),
    "diff": lambda x: np.diff(x, axis=0),
    "trapezoid": lambda x: np.trapezoid(x),
    "trapezoid_at": lambda x: np.trapezoid(x, np.array([0.0, 1.0, 3.0])),
    "transpose_reshape": lambda x: x.T.reshape(2, 6),
    "reshape_fortran": lambda x: np.reshape(x, (6, 2), order="F"),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "expand_dims": lambda x: np.expand_dims(x, (0, 2)),
    "squeeze": lambda x: np.squeeze(x[:1]),
    "flip": lambda x: np.flip(x),
    "rot90": lambda x: np.rot90(x),
    "split": lambda x: np.split(x, 2)[1],
    "array_split": lambda x: np.array_split(x, 3)[0],
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 4, 3)),
    "atleast_3d": lambda x: np.atleast_3d(x),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_values_derivatives_and_lanes_agree_with_numpy(function):
    rng = np.random.default_rng(0)
    x, direction = rng.normal(size=(2, 4, 3))
    expected, jitted = function(x), ft.jit(function)(x)
    assert (np.shape(jitted), jitted.dtype) == (np.shape(expected), expected.dtype)
    np.testing.assert_allclose(jitted, expected, rtol=1e-13)
    slope = (function(x + 1e-6 * direction) - function(x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(np.tensordot(ft.jacrev(function)(x), direction, 2), slope, atol=1e-8)
    np.testing.assert_allclose(ft.jvp(function, (x,), (direction,))[1], slope, atol=1e-8)
    lanes = ft.vmap(function)(np.stack([x, direction]))
    np.testing.assert_allclose(lanes[1], function(direction), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "complex64"])
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "any", "all", "cumsum", "argmax", "var"])
def test_reductions_have_the_dtype_and_value_of_numpy(name, dtype):
    x = np.array([[1, 0, 3], [2, 5, 1]]).astype(dtype)
    expected = getattr(np, name)(x, axis=1)
    found = ft.jit(lambda x: getattr(np, name)(x, axis=1))(x)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-3 if dtype == "float16" else 1e-6)


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_derivatives_of_products_with_zeros(zeros):
    x = np.array([2.0, 3.0, 5.0, 7.0])
    x[:zeros] = 0.0
    others = np.array([np.prod(np.delete(x, i)) for i in range(4)])
    np.testing.assert_allclose(ft.grad(np.prod)(x), others)
    pairs = [[0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(ft.hessian(np.prod)(x), pairs)
    np.testing.assert_allclose(ft.hessian(lambda x: np.cumprod(x)[-1])(x), pairs)


def test_ties_of_extremes_share_the_cotangent():
    np.testing.assert_array_equal(ft.grad(np.max)(np.array([1.0, 3.0, 3.0])), [0.0, 0.5, 0.5])
    np.testing.assert_array_equal(ft.grad(np.min)(np.array([1.0, 1.0, 3.0])), [0.5, 0.5, 0.0])


def test_empty_extremes_raise_as_numpy_does():
    with pytest.raises(ValueError, match="zero-size array"):
        ft.jit(np.max)(np.zeros((0,)))
