"""What LLVM gets wrong does not come up.

Signs of vectors are those of the right registers, in the machine code that runs and in that which is shown; and what is
left of NaN is NaN.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft

pytest.importorskip("llvmlite")

from functrans.compiler.backends.cpu.engine import NAME, engine
from tests.helpers.limits import limited
from tests.helpers.tiers import natively, staged

#: Vectors in 16 registers, all that there were before AVX-512, are elsewhere after this.
ELSEWHERE = f'  call void asm sideeffect "", "{",".join(f"~{{xmm{k}}}" for k in range(16))}"()'
SIZES = [(4, 32), (16, 8), (4, 64), (8, 32), (32, 8)]


def signs(lanes: int, bits: int, shows_all: bool) -> str:
    """A function that stores what it chooses by the second and the last sign of a vector; or all signs as well."""
    vector, mask = f"<{lanes} x i{bits}>", f"<{lanes} x i1>"
    lines = [
        f"define void @{NAME}(ptr %x, ptr %out) #0 {{",
        f"  %v = load {vector}, ptr %x, align 1",
        ELSEWHERE,
        f"  %m = icmp slt {vector} %v, zeroinitializer",
        ELSEWHERE,
    ]
    for k, lane in enumerate((1, lanes - 1)):
        lines += [
            f"  %m{k} = extractelement {mask} %m, i64 {lane}",
            f"  %n{k} = select i1 %m{k}, i32 {40 + k}, i32 {-3 - k}",
            f"  %p{k} = getelementptr i32, ptr %out, i64 {k}",
            f"  store i32 %n{k}, ptr %p{k}",
        ]
    lines += [f"  %all = sext {mask} %m to {vector}", f"  store {vector} %{'all' if shows_all else 'v'}, ptr %x, align 1"]
    return "\n".join([*lines, "  ret void", "}"])


@pytest.mark.skipif(not engine().triple.startswith("x86_64"), reason="registers by their names")
@pytest.mark.parametrize("shows_all", [False, True])
@pytest.mark.parametrize(("lanes", "bits"), SIZES)
def test_signs_are_those_of_the_register_that_a_vector_is_in(lanes: int, bits: int, shows_all: bool) -> None:
    """Compiled without LLVM's passes, which would look at single numbers."""
    name = f"signs_{lanes}_{bits}_{shows_all}"
    text = engine().module_of({signs(lanes, bits, shows_all): {}}, [name])
    ((code,),) = engine().plain.compiled([(text, [name])])
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address)
    for negative in range(4):
        x, out = np.ones(lanes, f"i{bits // 8}"), np.zeros(2, np.int32)
        x[1], x[lanes - 1] = -(negative & 1) or 1, -(negative >> 1) or 1
        wanted = -(x < 0).astype(x.dtype) if shows_all else x.copy()
        function(x.ctypes.data, out.ctypes.data)
        assert out.tolist() == [40 if negative & 1 else -3, 41 if negative >> 1 else -4]
        np.testing.assert_array_equal(x, wanted)


def chosen(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Remainders of numbers of both signs."""
    number = x[:, :6].astype(np.int32)
    return np.where(x[:, :6] == abs(y[:, :6]).astype(np.uint8), number, -number) % 7 - 3


def test_a_program_whose_signs_are_in_high_registers() -> None:
    """Six columns that are written out: found by random programs."""
    x = np.array([[0, 1, 3, 1, 3, 3], [0, 3, 0, 0, 2, 0], [1, 1, 1, 3, 1, 3]], np.uint8).repeat(6, axis=1)
    y = np.arange(72.0).reshape(3, 24) % 7 - 3
    with limited(["much written out"]):
        (found,) = natively(staged(chosen, (x, y)), (x, y))
        assembly = ft.jit(chosen).lower(x, y).asm
    np.testing.assert_array_equal(found, chosen(x, y))
    assert not re.search(r"v(movmskp[sd]|pmovmskb)\t%[xy]mm(1[6-9]|[23]\d)", assembly)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("remainder", [np.fmod, np.remainder])
def test_what_is_left_of_nan_is_nan(remainder: Callable[..., Any], dtype: type) -> None:
    """Of a number that is seen to be finite or NaN, by one that is seen not to be zero."""

    def is_nan(x: np.ndarray) -> np.ndarray:
        return np.isnan(remainder(np.where(np.isinf(x), 0, x), 3))

    x = np.array([np.nan, np.inf, -np.inf, 1e30, 5.5, -7.25, 0.0] * 5, dtype)
    for tier in ("quick", "thorough"):
        (found,) = natively(staged(is_nan, (x,)), (x,), tier)
        np.testing.assert_array_equal(found, np.isnan(x))
