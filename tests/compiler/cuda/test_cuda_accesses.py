"""How many sectors of 32 bytes the warps of each form of kernel ask for, as a multiple of what they have to.

What several requests ask for is counted each time: the cache may have it, but it has to be asked for.
"""

from __future__ import annotations

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax, nn
from tests.helpers.cuda.accesses import sectors


def values(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def definite(count, size):
    a = values(count, size, size)
    return a @ np.swapaxes(a, 1, 2) + size * np.eye(size, dtype=np.float32)


def normal(x):
    return (x - np.mean(x, 1, keepdims=True)) / np.std(x, 1, keepdims=True)


def solved(a, b):
    return np.linalg.solve(a, b[..., None])[..., 0]


def complex_product(x, y):
    return np.stack([x[:, 0] * y[:, 0] - x[:, 1] * y[:, 1], x[:, 0] * y[:, 1] + x[:, 1] * y[:, 0]], 1)


def waves(s):
    return lax.fori_loop(0, 5, lambda i, s: s + 0.1 * np.sin(s[::-1]), s)


INDICES = np.random.default_rng(0).integers(0, 500, 300)
TENS = values(64, 256)
#: Functions, their arguments, and how many times more is asked for than the arguments and results have.
FORMS = {
    "elementwise": (lambda x: x * 2, (TENS,), 1),
    "of complex numbers": (lambda x: x * 2j, (TENS + 0j,), 1),
    "from the end": (lambda x: x[:, ::-1] * 2, (TENS,), 1),
    "every second one": (lambda x: x[:, ::2] * 2, (TENS,), 1),
    "a part": (lambda x: x[:, 1:] * 2, (TENS,), 1.2),
    "a row of factors": (lambda x, b: x * b, (TENS, values(256)), 1.5),
    "a column of factors": (lambda x, b: x * b[:, None], (TENS, values(64)), 1.2),
    "a row of factors, not aligned": (lambda x, b: x * b, (values(63, 255), values(255)), 1.9),
    "two arrays side by side": (lambda x, y: np.concatenate([x, y], 1) * 2, (values(64, 100), values(64, 156)), 1.1),
    "padding": (lambda x: np.pad(x, 1) * 2, (values(64, 254),), 1.2),
    "roll": (lambda x: np.roll(x, 3, 1) * 2, (TENS,), 1.2),
    "repeat": (lambda x: np.repeat(x, 3, 1) * 2, (values(64, 100),), 1.2),
    "transpose": (lambda x: x.T * 2, (TENS,), 1),
    "transpose and what is not": (lambda x, y: x.T + y, (values(64, 96), values(96, 64)), 1),
    "transpose of three axes": (lambda x: np.transpose(x, (2, 0, 1)) * 2, (values(8, 40, 40),), 1),
    "rows": (lambda x: np.sum(x, 1), (TENS,), 1.1),
    "long rows": (lambda x: np.sum(x, 1), (values(4, 9000),), 1.1),
    "all": (np.sum, (values(100_000),), 1.1),
    "columns": (lambda x: np.sum(x, 0), (TENS,), 1.1),
    "many columns": (lambda x: np.sum(x, 0), (values(100, 3000),), 1.1),
    "an axis between": (lambda x: np.sum(x, 1), (values(20, 50, 64),), 1.1),
    "places of extremes": (lambda x: np.argmax(x, 1), (TENS,), 1.1),
    "diagonals": (lambda x: np.diagonal(x, 0, 1, 2) * 2, (values(300, 8, 8),), 1),
    "traces": (lambda x: np.einsum("bii->b", x), (values(300, 8, 8),), 1.1),
    "softmax": (nn.softmax, (TENS,), 1),
    "softmax of short rows": (nn.softmax, (values(4000, 8),), 1),
    "layer norm": (normal, (TENS,), 1),
    "gradient of layer norm": (ft.grad(lambda x: np.sum(normal(x) ** 3)), (TENS,), 1),
    "scan along rows": (lambda x: np.cumsum(x, 1), (TENS,), 1),
    "scan of columns": (lambda x: np.cumsum(x, 0), (TENS,), 1),
    "scan of columns in parts": (lambda x: np.cumsum(x, 0), (values(3000, 40),), 1.6),
    "scan and what is around it": (lambda x: np.cumsum(np.sin(x)) * 2, (values(10_000),), 1),
    "Cholesky factors by warps": (np.linalg.cholesky, (definite(40, 12),), 1.1),
    "equations by warps": (solved, (definite(40, 16), values(40, 16)), 1.1),
    "products of 4 x 4": (np.matmul, (values(500, 4, 4), values(500, 4, 4)), 1.4),
    "products of 8 x 8": (np.matmul, (values(500, 8, 8), values(500, 8, 8)), 1.4),
    "matrices times vectors": (lambda a, b: (a @ b[..., None])[..., 0], (values(500, 4, 4), values(500, 4)), 1),
    "vectors of length one": (lambda x: x / np.sqrt(np.sum(x * x, 1, keepdims=True)), (values(500, 4),), 1.5),
    "softmax of four": (nn.softmax, (values(4000, 4),), 1.5),
    "products of complex numbers as pairs": (complex_product, (values(500, 2), values(500, 2)), 1),
    "Cholesky factors": (np.linalg.cholesky, (definite(500, 4),), 2.4),
    "Cholesky factors of 8 x 8": (np.linalg.cholesky, (definite(100, 8),), 1.9),
    "inverses": (np.linalg.inv, (definite(500, 4),), 2.1),
    "equations": (solved, (definite(500, 4), values(500, 4)), 1.8),
    "rows that are gathered": (lambda x, i: np.take(x, i, 0, mode="clip"), (values(500, 64), INDICES), 2),
    "elements that are gathered": (lambda x, i: np.take(x, i, mode="clip"), (values(500), INDICES), 2),
}  # fmt: skip
#: What threads of a warp read far from each other, and had better not: what it comes to is known.
APART = {
    "softmax of columns": (lambda x: nn.softmax(x, 0), (TENS,), 4.1),
    "rows of a few numbers": (lambda x: np.sum(x, 1), (values(3000, 7),), 6.3),
    "scan of rows of a few numbers": (lambda x: np.cumsum(x, 1), (values(3000, 10),), 8),
    "inverses of 3 x 3": (np.linalg.inv, (definite(500, 3),), 8.2),
    "lanes": (ft.vmap(waves), (values(1000, 3),), 3),
    "sums at indices": (lambda i: fnp.at(np.zeros_like(i, shape=500))[i].add(1, mode="clip"), (INDICES,), 3.3),
}  # fmt: skip


@pytest.mark.parametrize("name", [*FORMS, *APART])
def test_sectors_that_are_asked_for(name):
    function, args, most = {**FORMS, **APART}[name]
    found = sectors(function, *args)
    assert found.read >= found.least_read
    assert found.written >= found.least_written
    assert 1 <= found.ratio <= most + 1e-9, found
    assert found.ratio > 0.8 * most, f"{found}: less than is said of it, which is {found.ratio:.2f}"


def test_sectors_are_counted_request_by_request():
    """A warp that writes side by side, that writes eight elements apart, and all of whose threads read one element."""
    x = values(8, 256)
    assert sectors(lambda x: x[0] * 2, x).written == 32
    assert sectors(lambda x: x[:, 0] * np.ones(256, np.float32)[:, None], x)[:2] == (64 * (8 + 1), 256)
