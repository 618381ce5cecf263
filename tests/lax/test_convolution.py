"""lax convolutions against sums written out, their layouts against each other, conv_transpose against transposition."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.errors import ConvolutionError, ShapeMismatchError
from functrans.testing import check_grads

RANDOM = np.random.default_rng(7)


def normal(*shape: int) -> Any:
    return RANDOM.normal(size=shape)


def spread(x: Any, dilation: Any) -> Any:
    """Zeros between neighbours along the axes of space."""
    shape = (*x.shape[:2], *((n - 1) * d + 1 for n, d in zip(x.shape[2:], dilation)))
    wide = np.zeros(shape, x.dtype)
    wide[(..., *(slice(None, None, d) for d in dilation))] = x
    return wide


@pytest.mark.parametrize("numbers", [None, ("NHWC", "HWIO", "NHWC"), ("NHWC", "OIHW", "NWHC")], ids=str)
def test_patches_are_what_a_convolution_sees(numbers: Any):
    x, w = normal(2, 3, 6, 5), normal(4, 3, 2, 3)
    options = {"window_strides": (2, 1), "padding": "SAME", "rhs_dilation": (1, 2)}
    wanted = lax.conv_general_dilated(x, w, **options)
    order = (0, 1, 2, 3) if numbers is None else (0, 2, 3, 1)
    patches = lambda x: lax.conv_general_dilated_patches(  # noqa: E731
        np.transpose(x, order), (2, 3), dimension_numbers=numbers, **options
    )
    found = patches(x)
    back = {None: (0, 1, 2, 3), "NHWC": (0, 3, 1, 2), "NWHC": (0, 3, 2, 1)}[numbers and numbers[2]]
    np.testing.assert_allclose(np.einsum("ok,nkhw->nohw", w.reshape(4, -1), np.transpose(found, back)), wanted)
    check_grads(patches, (x,), order=1)


def written_out(
    x: Any, w: Any, strides: Any, padding: Any, x_dilation: Any = (1, 1), w_dilation: Any = (1, 1), groups: int = 1
) -> Any:
    """The definition: one sum of products for each position of the window."""
    x, w = spread(x, x_dilation), spread(w, w_dilation)
    x = np.pad(x, [(0, 0), (0, 0), *((max(low, 0), max(high, 0)) for low, high in padding)])
    for axis, (low, high) in enumerate(padding, 2):
        x = np.take(x, range(max(-low, 0), x.shape[axis] - max(-high, 0)), axis)
    space = [max(0, (n - k) // s + 1) for n, k, s in zip(x.shape[2:], w.shape[2:], strides)]
    out = np.zeros((x.shape[0], w.shape[0], *space))
    features, channels = w.shape[0] // groups, w.shape[1]
    for o, place in itertools.product(range(w.shape[0]), np.ndindex(*space)):
        first = o // features * channels
        window = x[:, first : first + channels]
        window = window[(..., *(slice(i * s, i * s + k) for i, s, k in zip(place, strides, w.shape[2:])))]
        out[(slice(None), o, *place)] = (window * w[o]).sum(axis=tuple(range(1, x.ndim)))
    return out


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilations", [((1, 1), (1, 1)), ((2, 1), (1, 2)), ((1, 3), (2, 2))])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 2), (0, 3)), ((-1, 2), (1, -1)), ((4, -3), (0, 0))])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_the_definition(strides: Any, padding: Any, dilations: Any, groups: int):
    x, w = normal(2, 4, 5, 4), normal(6, 4 // groups, 2, 3)
    found = lax.conv_general_dilated(x, w, strides, padding, *dilations, feature_group_count=groups)
    np.testing.assert_allclose(found, written_out(x, w, strides, padding, *dilations, groups), atol=1e-12)


@pytest.mark.parametrize("window", [(1, 1), (3, 3), (2, 5), (7, 6)])
@pytest.mark.parametrize("channels", [(1, 1), (1, 8), (8, 1)])
def test_every_way_of_computing_it(channels: Any, window: Any):
    """Large windows and small ones, few features and many, one vector and many: other code, the same sums."""
    x, w = normal(3, channels[0], 9, 8), normal(channels[1], channels[0], *window)
    for padding in (((0, 0), (0, 0)), ((3, 2), (2, 3))):
        np.testing.assert_allclose(
            lax.conv_general_dilated(x, w, (1, 1), padding), written_out(x, w, (1, 1), padding), atol=1e-12
        )


def test_portions_of_a_large_one(monkeypatch: pytest.MonkeyPatch):
    x, w = normal(3, 2, 9, 8), normal(4, 2, 3, 3)
    wanted = written_out(x, w, (1, 1), ((1, 1), (1, 1)))
    for portion in (1, 300, 2000):
        monkeypatch.setattr("functrans.primitives.convolution._PORTION", portion)
        np.testing.assert_allclose(lax.conv(x, w, (1, 1), "SAME"), wanted, atol=1e-12)
        check_grads(lambda x, w: lax.conv(x, w, (2, 1), "SAME"), (x, w), order=1)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("n", "k"), [(7, 3), (6, 4), (5, 1), (3, 5)])
def test_named_paddings(n: int, k: int, stride: int):
    x, w = normal(1, 1, n), normal(1, 1, k)
    same = lax.conv(x, w, (stride,), "SAME")
    assert same.shape == (1, 1, -(-n // stride))
    total = max((same.shape[2] - 1) * stride + k - n, 0)
    for name, low in (("SAME", total // 2), ("SAME_LOWER", total - total // 2), ("VALID", 0)):
        high = 0 if name == "VALID" else total - low
        np.testing.assert_allclose(
            lax.conv(x, w, (stride,), name), written_out(x, w, (stride,), ((low, high),), (1,), (1,)), atol=1e-12
        )


def test_one_channel_is_numpys_correlation():
    x, w = normal(9), normal(4)
    found = lax.conv(x[None, None], w[None, None], (1,), "VALID")[0, 0]
    np.testing.assert_allclose(found, np.correlate(x, w, "valid"))


def test_layouts_are_transposes_of_each_other():
    x, w = normal(2, 5, 6, 4), normal(3, 2, 2, 6)
    options: dict[str, Any] = {"feature_group_count": 2, "rhs_dilation": (1, 2), "lhs_dilation": (2, 1)}
    arguments = (1, 2), ((1, 0), (2, 1))
    plain = lax.conv_general_dilated(np.moveaxis(x, -1, 1), np.transpose(w, (3, 2, 0, 1)), *arguments, **options)
    for out, order in (("NHWC", (0, 2, 3, 1)), ("CWNH", (1, 3, 0, 2))):
        found = lax.conv_general_dilated(x, w, *arguments, dimension_numbers=("NHWC", "HWIO", out), **options)
        np.testing.assert_allclose(found, np.transpose(plain, order), atol=1e-12)
    numbers = lax.conv_dimension_numbers(x.shape, w.shape, ("NHWC", "HWIO", "NHWC"))
    assert numbers == ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    np.testing.assert_allclose(
        lax.conv_general_dilated(x, w, *arguments, dimension_numbers=numbers, **options),
        np.moveaxis(plain, 1, -1), atol=1e-12,
    )  # fmt: skip


def test_batch_groups():
    x, w = normal(6, 2, 5), normal(4, 2, 3)
    found = lax.conv_general_dilated(x, w, (1,), "VALID", batch_group_count=2)
    halves = [lax.conv(x[3 * i : 3 * i + 3], w[2 * i : 2 * i + 2], (1,), "VALID") for i in range(2)]
    np.testing.assert_allclose(found, np.concatenate(halves, axis=1), atol=1e-12)


def test_a_wider_dtype_to_compute_in():
    x, w = np.ones((1, 1, 3), "i1"), np.full((1, 1, 3), 100, "i1")
    assert lax.conv(x, w, (1,), "VALID", preferred_element_type=np.int32).item() == 300
    assert lax.conv(x, w.astype("f4"), (1,), "VALID").dtype == np.float32


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 2), (0, 1))])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3), (4, 2)])
def test_conv_transpose(strides: Any, padding: Any):
    x, w = normal(2, 3, 4, 3), normal(3, 2, 3, 2)
    found = lax.conv_transpose(x, w, strides, padding)
    pads = padding
    if isinstance(padding, str):
        pads = []
        for k, s in zip((3, 2), strides):
            total = k + s - 2 if padding == "SAME" else k - 1 + max(k, s) - 1
            low = min(k - 1, -(-total // 2)) if padding == "SAME" else k - 1
            pads.append((low, total - low))
    wanted = written_out(np.moveaxis(x, -1, 1), np.transpose(w, (3, 2, 0, 1)), (1, 1), pads, strides)
    np.testing.assert_allclose(found, np.moveaxis(wanted, 1, -1), atol=1e-12)
    if padding == "SAME":
        assert found.shape == (2, 3 * strides[0], 4 * strides[1], 2)


def test_conv_transpose_with_the_kernel_transposed_is_the_transpose():
    y, w = normal(2, 3, 4, 2), normal(3, 2, 3, 2)
    layout = ("NHWC", "HWIO", "NHWC")

    def forward(x: Any) -> Any:
        return lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=layout)

    (wanted,) = ft.linear_transpose(forward, ft.ShapeDtypeStruct((2, 6, 8, 3), "f8"))(y)
    found = lax.conv_transpose(y, w, (2, 2), "SAME", transpose_kernel=True)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_derivatives_and_lanes():
    x, w = normal(2, 2, 7), normal(4, 1, 3)

    def f(x: Any, w: Any) -> Any:
        return np.sum(np.tanh(lax.conv_general_dilated(x, w, (2,), "SAME", feature_group_count=2)))

    check_grads(f, (x, w), order=2)
    for axes, lanes in (((None, 0), (x, np.stack([w, 2 * w]))), ((0, 0), (np.stack([x, -x]), np.stack([w, 2 * w])))):
        looped = [f(*(v if a is None else v[i] for v, a in zip(lanes, axes))) for i in range(2)]
        np.testing.assert_allclose(ft.vmap(f, in_axes=axes)(*lanes), looped)
    np.testing.assert_allclose(ft.jit(ft.grad(f, 1))(x, w), ft.grad(f, 1)(x, w))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "FULL"}, "'FULL'"),
        ({"padding": [(0, 0), (0, 0)]}, "2 pairs of padding"),
        ({"window_strides": (1, 1)}, r"window_strides=\(1, 1\)"),
        ({"window_strides": (0,)}, "positive integer"),
        ({"rhs_dilation": (1, 1)}, "rhs_dilation"),
        ({"lhs_dilation": (2,), "padding": "SAME"}, "lhs_dilation"),
        ({"dimension_numbers": ("NCHW", "OIHW", "NCHW")}, "layouts"),
        ({"dimension_numbers": ("NCH", "OIH", "NCW")}, "layouts"),
        ({"batch_group_count": 2}, "batch_group_count=2"),
        ({"batch_group_count": 3, "feature_group_count": 3}, "one of the two counts"),
    ],
)
def test_mistakes(options: Any, message: str):
    arguments: dict[str, Any] = {"window_strides": (1,), "padding": "VALID", **options}
    with pytest.raises(ConvolutionError, match=message):
        lax.conv_general_dilated(np.ones((3, 3, 3)), np.ones((3, 3, 2)), **arguments)


def test_mistakes_in_conv_transpose():
    with pytest.raises(ConvolutionError, match="'FULL'"):
        lax.conv_transpose(np.ones((1, 3, 1)), np.ones((2, 1, 1)), (1,), "FULL")
    with pytest.raises(ConvolutionError, match="three axes"):
        lax.conv_transpose(np.ones((1,) * 6), np.ones((1,) * 6), (1,) * 4, "VALID")


def test_mistakes_in_the_number_of_axes():
    for shapes in ([(1, 2, 3), (1, 2)], [(2,), (2,)]):
        with pytest.raises(ConvolutionError, match="axes of space"):
            lax.conv(*map(np.ones, shapes), (1,), "VALID")


@pytest.mark.parametrize(("x", "w", "groups"), [((1, 2, 3), (1, 1, 2), 1), ((1, 2, 3), (3, 1, 2), 2)])
def test_shapes_that_do_not_fit(x: Any, w: Any, groups: int):
    for wrap in (lambda f: f, ft.jit):
        with pytest.raises(ShapeMismatchError):
            wrap(lambda x, w: lax.conv_general_dilated(x, w, (1,), "VALID", feature_group_count=groups))(
                np.ones(x), np.ones(w)
            )
