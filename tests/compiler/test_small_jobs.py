"""Small jobs are shared with workers who are awake, and leave alone those who sleep or get no processor."""

from __future__ import annotations

import ctypes
from array import array

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.backends.cpu import encoding, tiers
from functrans.compiler.backends.cpu.engine import engine
from functrans.compiler.backends.cpu.runtime import HEADER, POOL_SIZE, THREADS
from functrans.compiler.backends.cpu.runtime import threads as pools

_RUN = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
_KERNEL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Pool:
    """A pool of its own, without threads, and a small job for it.

    Attributes:
        parts: those of the last run, from where to where.
    """

    def __init__(self, extent: int, grain: int, small: bool = True):
        self.parts: list[tuple[int, int]] = []
        self.room = array("q", [0] * (POOL_SIZE + 8))
        self.address = -(-self.room.buffer_info()[0] // 64) * 64
        self.first = (self.address - self.room.buffer_info()[0]) // 8
        ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(engine().runtime["start_pool"])(self.address)
        self.kernel = _KERNEL(self.note)
        self.slots = array("q", [0] * HEADER)
        self.slots[THREADS] = 2
        function = ctypes.cast(self.kernel, ctypes.c_void_p).value
        self.arguments = array("q", [self.address, function, 2, int(small), extent, grain])
        self.run_parallel = _RUN(engine().runtime["run_parallel"])

    def note(self, arguments: int, slots: int, begin: int, end: int) -> int:
        self.parts.append((begin, end))
        return 0

    def is_shared(self) -> bool:
        """Run the job; whether it was offered to others."""
        self.parts.clear()
        assert self.run_parallel(self.arguments.buffer_info()[0], self.slots.buffer_info()[0]) == 0
        return len(self.parts) > 1

    def set(self, place: int, number: int) -> None:
        self.room[self.first + place] = number


@pytest.mark.parametrize(("extent", "grain"), [(1000, 1), (1000, 64), (17, 4), (16, 1)])
def test_who_is_alone_takes_all_parts_in_order(extent: int, grain: int) -> None:
    pool = Pool(extent, grain, small=False)
    assert pool.is_shared()
    assert [begin for begin, _ in pool.parts] == [0, *(end for _, end in pool.parts[:-1])]
    assert pool.parts[-1][1] == extent
    assert all(begin % grain == 0 for begin, _ in pool.parts)


def test_sleepers_are_woken_less_and_less_often() -> None:
    pool = Pool(1000, 1)
    shared = [i for i in range(8000) if pool.is_shared()]
    ways = np.diff([-1, *shared])
    assert list(ways[:8]) == [8, 16, 32, 64, 128, 256, 512, 1024]
    assert set(ways[8:]) <= {pools.MOST_PERIOD}


def test_workers_who_never_come_are_left_alone_longer_and_longer() -> None:
    pool = Pool(1000, 1)
    pool.set(pools.POOL_WORKERS, 1)  # awake, but there is none
    shared = [pool.is_shared() for _ in range(10_000)]
    runs = np.flatnonzero(np.diff([False, *shared, False])).reshape(-1, 2)
    assert set(runs[:-1, 1] - runs[:-1, 0]) == {pools.PATIENCE_WITH_WORKERS}
    rests = runs[1:, 0] - runs[:-1, 1]
    assert list(rests) == [pools.LEAST_REST << k for k in range(len(rests))]
    assert len(rests) > 4


def test_jobs_that_are_not_small_are_always_shared() -> None:
    pool = Pool(1000, 1, small=False)
    assert all(pool.is_shared() for _ in range(200))


def test_a_job_that_stops_says_so() -> None:
    pool = Pool(1000, 1, small=False)
    pool.note = lambda *_: 7  # type: ignore[method-assign]
    pool.kernel = _KERNEL(pool.note)
    pool.arguments[1] = ctypes.cast(pool.kernel, ctypes.c_void_p).value or 0
    for _ in range(2):
        assert pool.run_parallel(pool.arguments.buffer_info()[0], pool.slots.buffer_info()[0]) == 7


def test_results_do_not_depend_on_who_is_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "WORTH_THREADS", 0)
    monkeypatch.setattr(encoding, "WORTH_WAKING", 1 << 60)
    monkeypatch.setattr(tiers, "PAYS", -1)
    before, ft.config.threads = ft.config.threads, 2
    try:
        x = np.random.default_rng(0).normal(size=(64, 1001))
        f = ft.jit(lambda x: (np.sum(x), np.exp(x) - np.mean(x, axis=1, keepdims=True), np.sort(x), np.fft.fft(x)))
        wanted = f(x)
        for _ in range(300):
            for found, first in zip(f(x), wanted):
                assert found.tobytes() == first.tobytes()
    finally:
        ft.config.threads = before
