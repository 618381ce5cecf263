"""Native code between guard pages, with memory full of NaN (tests/helpers/guarded.py), against the interpreter."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from tests.fuzz import Case, agree, cases
from tests.helpers.cases import all_cases
from tests.helpers.guarded import Fence, in_child, sanitised
from tests.helpers.limits import limited
from tests.helpers.tiers import staged

fnp = ft.numpy
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="made for Linux's mprotect"),
]
X = np.arange(1.0, 31.0).reshape(5, 6)
VECTOR = np.arange(1.0, 38.0)
STACK = np.arange(1.0, 106.0).reshape(3, 5, 7)
INDEX = np.array([3, -1, 0, 2, 2])

IMAGES = np.cos(np.arange(252.0)).reshape(3, 2, 7, 6)


def convolved(x: Any, w: Any) -> Any:
    return fnp.sum(lax.conv_general_dilated(x, w, (2, 1), "SAME") ** 2)


def leapfrog(carry: Any, x: Any) -> Any:
    return (carry[0] + 0.1 * carry[1], carry[1] - x), carry[0] * carry[1]


#: Everything that reads or writes at computed places, by name: functions of arguments.
FUNCTIONS: dict[str, tuple[Callable[..., Any], Sequence[Any]]] = {
    "slices": (lambda x: (x[1:-1, ::2] * 2, x[::-1, ::-1] + 0, x[-1] - 1, x[:, -1] * 3, x[4:4] + 1), [X]),
    "slice at": (lambda x, i: lax.dynamic_slice(x, (i, i + 1), (2, 3)) * 1, [X, 2]),
    "slice beyond": (lambda x, i: lax.dynamic_slice(x, (i, i), (5, 2)) * 1, [X, 100]),
    "update at": (lambda x, i: lax.dynamic_update_slice(x, np.full((2, 2), 9.0), (i, i)), [X, -1]),
    "gather": (lambda x, i: (x[i], x[:, i], x[i, i[::-1]], np.take(x, i, axis=1), x[i][:, i]), [X, INDEX]),
    "gather clipped": (lambda x, i: np.take(x, i * 100, axis=0, mode="clip"), [X, INDEX]),
    "scatter": (lambda x, i: (fnp.at(x)[i].set(-1), fnp.at(x)[:, i].add(2), fnp.at(x)[i, i].multiply(3)), [X, INDEX]),
    "scatter of parts": (lambda x: (fnp.at(x)[1:, ::2].add(x[:-1, ::2]), fnp.at(x)[-1].set(x[0])), [X]),
    "convolutions": (lambda x, w: ft.value_and_grad(convolved, (0, 1))(x, w), [IMAGES, IMAGES[0, :, :4, :4].reshape(4, 2, 2, 2)]),
    "convolutions of padding": (lambda x, w: [lax.conv_general_dilated(x, w, (2, 3), [pads, (1, 3)]) for pads in ((2, -1), (-1, 2), (3, 0))], [IMAGES[:, :, :1], IMAGES[:, :, :1, :2]]),
    "pad": (lambda x: (np.pad(x, ((1, 2), (0, 3))), np.pad(x, 1, mode="edge"), np.pad(x, 2, mode="wrap")), [X]),
    "concatenate": (lambda x, v: (np.concatenate([x, x[:1]]), np.concatenate([x[:, :1], x], 1), np.stack([v, v])), [X, VECTOR]),
    "roll": (lambda x: (np.roll(x, 2), np.roll(x, -1, 0), np.flip(x, 1), np.diff(x, axis=1), np.tile(x, 2)), [X]),
    "sums": (lambda x: [np.sum(x, a) for a in (None, 0, 1, 2, (0, 1), (0, 2), (1, 2))], [STACK]),
    "largest": (lambda x: [np.max(x, a) for a in (0, 1, 2, (0, 2))] + [np.min(x), np.argmax(x, 1)], [STACK]),
    "products": (lambda x: [np.prod(x / 20, a) for a in (0, 1, 2)] + [np.any(x > 3, 0), np.all(x > 3, 1)], [STACK]),
    "means": (lambda x: (np.mean(x, -1), np.var(x, 0), np.std(x), np.linalg.norm(x, axis=1)), [STACK]),
    "sum of turned": (lambda x: (np.sum(x.T, 0), np.sum(x[::-1, :, ::2], 1), np.sum(x[:, ::-1], 2)), [STACK]),
    "softmax": (lambda x: ft.scipy.special.softmax(x, axis=-1) if hasattr(ft, "scipy") else np.exp(x - x.max(-1, keepdims=True)), [STACK / 50]),
    "contractions": (lambda x, y: (x @ x.T, x.T @ x, y @ y[0].T, np.einsum("ijk,ilk->jl", y, y), x[0] @ x[1]), [X, STACK]),
    "large product": (lambda x: (x @ x.T)[3:, ::2] @ x[::2], [np.arange(40 * 33.0).reshape(40, 33) / 1e3]),
    "complex product": (lambda x: (x @ x.T) * 1j, [np.arange(40 * 33).reshape(40, 33) * (1e-3 + 1e-3j)]),
    "cumulative": (lambda x: (np.cumsum(x, 0), np.cumsum(x, 1), np.cumprod(x / 20, 1), np.sort(-x, 0)), [X]),
    "scan": (lambda v: lax.scan(leapfrog, (1.0, 0.5), v), [VECTOR]),
    "scan in reverse": (lambda v: lax.scan(leapfrog, (1.0, 0.5), v, reverse=True), [VECTOR]),
    "scan of rows": (lambda x: lax.scan(lambda c, r: (c[::-1] + r, c * r), x[0], x), [X]),
    "scan of rows in reverse": (lambda x: lax.scan(lambda c, r: (c + r.sum(), r[1:]), x[0], x[:, ::-1], reverse=True), [X]),
    "large carry": (lambda x: lax.scan(lambda c, r: (np.roll(c, 1) + r[0], c[3:5]), np.tile(x[0], 60), x), [X]),
    "no steps": (lambda x: lax.scan(lambda c, r: (c + r, c * r), x[0], x[:0]), [X]),
    "while": (lambda x: lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1][::-1] * 2), (0, x)), [X]),
    "loop of n": (lambda x, n: lax.fori_loop(0, n, lambda i, c: fnp.at(c)[i].set(c[-1]), x), [X, 5]),
    "gradient of a scan": (lambda v: ft.grad(lambda v: lax.scan(leapfrog, (1.0, 0.5), v)[1].sum())(v), [VECTOR / 20]),
    "gradient of rows": (lambda x: ft.grad(lambda x: lax.scan(lambda c, r: (np.tanh(c[::-1] + r), c), x[0], x)[1].sum())(x), [X]),
    "gradient of a while loop": (lambda v: ft.grad(lambda v: lax.while_loop(lambda c: c[1] < 40, lambda c: (np.tanh(c[0]) + v, c[1] + 1), (v, 0))[0].sum())(v), [VECTOR]),
    "gradient of n steps": (lambda x, n: ft.grad(lambda x: lax.fori_loop(0, n, lambda i, c: np.sin(c) * x, x).sum())(x), [X[0, :3], 50]),
    "branch": (lambda x, p: lax.cond(p > 2, lambda: x[1:] * 2, lambda: x[:-1] + 1), [X, 3]),
    "positions": (lambda x: (np.arange(7) * 2 + x[0, 0], fnp.eye(5, 6) + x, np.tril(x)), [X]),
    "types": (lambda x: (x.astype("i1"), x > 3, x.astype("f2"), x.astype("c8") * 1j, (x > 3) & (x < 9)), [X]),
    "numbers": (lambda x: (np.sin(x) + 3, x), [np.array(2.0)]),
    "convolution": (lambda x, v: np.convolve(x, v[:4]), [VECTOR, VECTOR]),
}  # fmt: skip


def laid_out(x: Any) -> list[Any]:
    """The same as it is, turned, backwards, and with room between the elements."""
    if not isinstance(x, np.ndarray) or not x.ndim:
        return [x, x, x, x]
    wide = np.zeros(tuple(2 * n + 1 for n in x.shape), x.dtype)[tuple(slice(1, None, 2) for _ in x.shape)]
    wide[...] = x
    back = (slice(None, None, -1),) * x.ndim
    return [x, np.asfortranarray(x), x[back].copy()[back], wide]


@pytest.mark.parametrize("tier", ["quick", "thorough", pytest.param("threads", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*FUNCTIONS])
def test_functions(name: str, tier: str) -> None:
    function, args = FUNCTIONS[name]

    def work(say: Callable[[str], None]) -> None:
        everything = list(zip(*map(laid_out, args)))
        for number, own in enumerate(everything if tier == "quick" else everything[:1]):
            say(f"{name}, layout {number}, {tier}")
            jaxpr = staged(function, own)
            everything_is_donated = tuple(range(len(own))) if number % 2 else ()
            for found in sanitised(jaxpr, own, tier, everything_is_donated):
                agree(found, jaxpr, own, 1e-11)

    in_child(work)


@pytest.mark.parametrize("kind", ["tensors", "updates", "stencils", "arrays", "derivatives", "loops"])
def test_random_programs(kind: str) -> None:
    def work(say: Callable[[str], None]) -> None:
        @settings(max_examples=25 if kind in ("updates", "stencils", "arrays") else 10)
        @given(case=cases((kind,)), tier=st.sampled_from(["quick", "quick", "thorough"]))
        def check(case: Case, tier: str) -> None:
            say(f"{case}, {tier}")
            jaxpr = staged(case.function, case.args)
            with limited(case.limits):
                results = sanitised(jaxpr, case.args, tier, case.donated)
            for found in results:
                agree(found, jaxpr, case.args, case.tolerance)

        check()

    in_child(work)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(8))
def test_every_primitive(share: int) -> None:
    def work(say: Callable[[str], None]) -> None:
        for case in all_cases()[share::8]:
            say(case.name)
            jaxpr = staged(case.function, case.args)
            for found in sanitised(jaxpr, case.args, "quick"):
                agree(found, jaxpr, case.args, 1e-9)

    in_child(work)


# ---- whether the fences hold


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("size", [1, 8, 4096, 5000])
def test_fences(at_end: bool, size: int) -> None:
    def touch(offset: int) -> Callable[[Any], None]:
        def work(say: Callable[[str], None]) -> None:
            x = Fence(at_end).array((size,), np.uint8)
            ctypes.c_char.from_address(x.ctypes.data + offset).value  # noqa: B018

        return work

    in_child(touch(0))
    in_child(touch(size - 1))
    with pytest.raises(AssertionError, match="exit code -11"):
        in_child(touch(size if at_end else -1))


def test_arguments_between_fences_cannot_be_written_to() -> None:
    def work(say: Callable[[str], None]) -> None:
        x = Fence(True).copy(np.arange(3.0))
        assert x.tolist() == [0, 1, 2]
        say("writing")
        ctypes.c_char.from_address(x.ctypes.data).value = b"1"

    with pytest.raises(AssertionError, match="exit code -11 after: writing"):
        in_child(work)


def test_memory_is_full_of_nan() -> None:
    fence = Fence(True)
    assert np.isnan(fence.array((3, 2), "f8")).all()
    assert np.isnan(fence.array(5, "f4")).all()
    assert (fence.array((2,), "i4") == -1).all()
