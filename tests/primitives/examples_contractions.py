"""Examples for dot_general and conv_general."""

import numpy as np

from tests.helpers.examples import Example

rng = np.random.default_rng(6)


def normal(*shape, dtype=np.float64):
    draw = rng.normal(size=shape)
    return (draw + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else draw).astype(dtype)


def dot(x, y, summed, batch=((), ()), **options):
    return Example("dot_general", (x, y), {"dimension_numbers": (summed, batch)}, **options)


def conv(x, w, strides=(1,), padding=((0, 0),), x_dilation=(1,), w_dilation=(1,), groups=1, **options):
    params = {"strides": strides, "padding": padding, "x_dilation": x_dilation, "w_dilation": w_dilation}
    return Example("conv_general", (x, w), {**params, "groups": groups}, **options)


EXAMPLES = [
    dot(normal(3), normal(3), ((0,), (0,))),
    dot(normal(2, 3), normal(3, 4), ((1,), (0,))),
    dot(normal(2, 3), normal(3), ((1,), (0,))),
    dot(normal(2, 3), normal(4, 2), ((0,), (1,))),
    dot(normal(2, 3), normal(2), ((), ())),
    dot(normal(2, 3, 4), normal(4, 2, 3), ((1, 2), (2, 0))),
    dot(normal(5, 2, 3), normal(5, 3, 4), ((2,), (1,)), ((0,), (0,))),
    dot(normal(2, 5, 3), normal(3, 4, 5), ((2,), (0,)), ((1,), (2,))),
    dot(normal(2, 3, dtype=np.complex128), normal(3, 2, dtype=np.complex128), ((1,), (0,))),
    dot(normal(2, 3, dtype=np.complex128), normal(3, 2), ((1,), (0,))),
    dot(normal(2, 3, dtype=np.float32), normal(3, 2, dtype=np.float32), ((1,), (0,)), tolerance=1e-2),
    dot(np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2), ((1,), (0,)), smooth=False),
    dot(normal(2, 0), normal(0, 3), ((1,), (0,))),
    conv(normal(2, 1, 5), normal(3, 1, 2)),
    conv(normal(1, 2, 6), normal(2, 2, 3), strides=(2,), padding=((1, 2),)),
    conv(normal(1, 2, 5), normal(2, 2, 2), padding=((-1, 1),), x_dilation=(2,), w_dilation=(2,)),
    conv(normal(2, 4, 5), normal(6, 2, 3), padding=((1, 1),), groups=2),
    conv(normal(1, 2, 4, 5), normal(3, 2, 2, 3), strides=(1, 2), padding=((1, 0), (2, 1)), x_dilation=(1, 1),
         w_dilation=(2, 1)),
    conv(normal(1, 1, 4, dtype=np.complex128), normal(1, 1, 2, dtype=np.complex128)),
    conv(normal(1, 1, 4, dtype=np.float32), normal(1, 1, 2, dtype=np.float32), tolerance=1e-2),
]  # fmt: skip
