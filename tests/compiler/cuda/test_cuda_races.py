"""Threads that touch the same memory wait for each other: what the emulator says of kernels that do not, and of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax, nn
from functrans.compiler.backends.cuda.launches import NAME, Launch, Pointer
from tests.helpers.cuda.device import Emulator
from tests.helpers.cuda.launching import launch
from tests.helpers.cuda.running import ORDERS, emulated
from tests.helpers.tiers import staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

SHARED = "__shared__ int32 s[256]; const int32 t = threadIdx.x; s[t] = x[t]; y += 256 * blockIdx.x;"
OWN = "const int32 t = blockIdx.x * 256 + threadIdx.x;"
#: Kernels of two blocks, and what is wrong with them, if anything.
KERNELS = {
    "a barrier": (f"{SHARED} __syncthreads(); y[t] = s[255 - t];", ""),
    "no barrier": (f"{SHARED} y[t] = s[255 - t];", "shared memory"),
    "no barrier before it is written again": (f"{SHARED} __syncthreads(); y[t] = s[255 - t]; s[t] = 0;", "shared memory"),
    "warps": (f"{SHARED} __syncwarp(); y[t] = s[t ^ 31];", ""),
    "more than warps": (f"{SHARED} __syncwarp(); y[t] = s[t ^ 32];", "shared memory"),
    "parts of warps": (f"{SHARED} meet<8>(); y[t] = s[t ^ 7];", ""),
    "more than parts of warps": (f"{SHARED} meet<8>(); y[t] = s[t ^ 8];", "shared memory"),
    "a shuffle orders no memory": (f"{SHARED} y[t] = exchanged(x[t], 1) + s[t ^ 1];", "shared memory"),
    "what nobody has written": (f"__shared__ int32 s[256]; {OWN} y[t] = s[threadIdx.x];", "that nobody has written"),
    "dynamic memory": (
        f"{OWN} int32 *const s = (int32 *)shared_memory; s[threadIdx.x] = 1; y[t] = s[threadIdx.x ^ 1];",
        "shared memory",
    ),
    "one's own elements": (f"{OWN} y[t] = x[t]; y[t] += 1;", ""),
    "elements of another block": (f"{OWN} y[t] = 1; if (t >= 256) y[t - 256] = 2;", "global memory written"),
    "elements that all write": ("y[0] = threadIdx.x;", "global memory written"),
    "elements that all write alike": ("y[0] = 1;", ""),
    "atomic updates": ("atomic_update<Add>(y, 1); atomic_update<Maximum>(y, 1);", ""),
    "atomic updates and others": ("atomic_update<Add>(y, 1); y[0] = 1;", "global memory"),
    "the last block": (f"{OWN} y[t] = x[t]; if (is_last_block(counter)) y[threadIdx.x] = y[threadIdx.x + 256];", ""),
    "a block that need not be the last": (
        f"{OWN} y[t] = x[t]; is_last_block(counter); y[threadIdx.x] = y[threadIdx.x + 256];", "global memory"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_races_are_found(name: str) -> None:
    text, wrong = KERNELS[name]
    head = f"KERNEL {NAME}(const int32 *const x, int32 *y, uint32 *const counter)"
    given = Launch(f"{head} {{ {text} }}", (2, 1, 1), (256, 1, 1), 1024, (Pointer(0, 0), Pointer(1, 0), Pointer(2, 0)))
    for order in ORDERS:
        arrays = np.arange(512, dtype=np.int32), np.zeros(512, np.int32), np.zeros(1, np.uint32)
        launch(Emulator(order), given, arrays)  # unless it is asked to, the emulator does not look
        if not wrong:
            launch(Emulator(order, is_watched=True), given, arrays)
            continue
        with pytest.raises(AssertionError, match=wrong):
            launch(Emulator(order, is_watched=True), given, arrays)


def values(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape)


def spd(*shape: int) -> Any:
    x = values(*shape)
    return x @ np.swapaxes(x, -1, -2) + shape[-1] * np.eye(shape[-1])


INDICES = np.random.default_rng(0).integers(0, 10, 3000)
#: Functions by the ways in which threads work together, and arguments.
PROGRAMS = {
    "columns": (lambda x: (x.sum(0), x.max(0)), values(300, 40)),
    "the last block": (lambda x: x / np.sqrt(np.sum(x * x)), values(100_000)),
    "chains of parts of warps": (lambda x: nn.softmax(x, axis=(1, 2)), values(70, 5, 4)),
    "chains of warps": (lambda x: np.cumsum(nn.softmax(x), 1), values(30, 300)),
    "chains of blocks": (nn.softmax, values(5, 3000)),
    "scans in parts": (np.cumsum, values(40_000)),
    "tiles": (lambda x: x.T * 2, values(100, 70)),
    "products": (lambda x: (x * 9).astype(int) @ (x * 9).astype(int).T, values(70, 40)),
    "copies of blocks": (lambda x: ft.numpy.at(np.zeros_like(x)[:10])[INDICES].max(x), values(3000).astype("f2")),
    "votes": (lambda x: ft.numpy.at(np.zeros_like(x))[INDICES * 7].set(x), values(3000)),
    "loops": (lambda x: lax.fori_loop(0, 3, lambda i, c: np.cos(c - c.mean(0) + np.cumsum(c, 1)), x), values(20, 30)),
    "lanes": (lambda x: lax.fori_loop(0, np.sum(x > 0) % 9, lambda i, c: np.cos(c + i) * c, x), values(300)),
    "elimination": (lambda x: np.linalg.slogdet(x), values(9, 9, 9)),
    "Cholesky factors": (np.linalg.cholesky, spd(9, 17, 17)),
    "reflections": (np.linalg.qr, values(9, 12, 7)),
    "rotations": (np.linalg.eigh, spd(3, 9, 9)),
    "rotations from one side": (np.linalg.svd, values(3, 7, 9)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernels_have_no_races(name: str) -> None:
    function, x = PROGRAMS[name]
    emulated(staged(function, (x,)), (x,), order=2, is_watched=True)
