"""The pool of threads: what its workers do while the last parts of something are run."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from array import array

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.backends.cpu import threads
from functrans.compiler.backends.cpu.engine import engine
from functrans.compiler.backends.cpu.runtime import HEADER
from functrans.compiler.backends.cpu.runtime import threads as pool
from functrans.compiler.backends.cpu.runtime.header import THREADS
from functrans.settings import processors

PART = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def run_in_two_parts(part: ctypes._CFuncPtr) -> int:
    """Call a function for each of two parts, or once for both if there is nobody to share them with."""
    arguments = array("q", [threads.POOL, ctypes.cast(part, ctypes.c_void_p).value or 0, 2, 0, 2, 1])
    slots = array("q", [0] * HEADER)
    slots[THREADS] = min(2, threads.awake())
    run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(engine().runtime["run_parallel"])
    return run(arguments.buffer_info()[0], slots.buffer_info()[0])


def test_nobody_looks_for_parts_that_have_all_been_taken() -> None:
    """Whoever kept looking would need the processor that the last part may be waiting for."""
    if threads.awake() < 2:
        pytest.skip("there is one processor only")
    is_open = ctypes.c_int64.from_address(threads.POOL + 8 * pool.POOL_OPEN)
    caller, found = threading.get_ident(), []

    @PART
    def part(arguments: int, slots: int, begin: int, end: int) -> int:
        if end - begin == 1 and threading.get_ident() == caller:
            ends = time.monotonic() + 60
            while is_open.value and time.monotonic() < ends:
                time.sleep(0.001)
            found.append(is_open.value)
        return 0

    for _ in range(200):
        assert run_in_two_parts(part) == 0
        if found:
            break
    assert not any(found)


def test_a_part_that_fails_ends_the_others() -> None:
    @PART
    def part(arguments: int, slots: int, begin: int, end: int) -> int:
        return 7

    assert [run_in_two_parts(part) for _ in range(20)] == [7] * 20
    assert not ctypes.c_int64.from_address(threads.POOL + 8 * pool.POOL_OPEN).value


@pytest.mark.parametrize("shape", [(501, 64, 32), (40, 70, 300)])
def test_products_have_the_same_bits_whoever_takes_their_parts(shape: tuple[int, int, int]) -> None:
    """While another program has the threads, the caller takes all parts, which BLAS must not see as one."""
    m, k, n = shape
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(m, k)), rng.normal(size=(k, n))
    lock = ctypes.c_int64.from_address(threads.POOL + 8 * pool.POOL_LOCK)
    with ft.config.using(threads=4):
        product = ft.jit(np.matmul)
        shared = product(x, y)
        lock.value = 1
        try:
            alone = product(x, y)
        finally:
            lock.value = 0
    np.testing.assert_array_equal(shared, alone)
    np.testing.assert_allclose(shared, x @ y, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or processors() < 2, reason="there is one processor only")
@pytest.mark.parametrize("is_there", [True, False])
def test_who_is_woken_on_the_callers_processor_leaves_it(is_there: bool) -> None:
    own = array("q", [0] * pool.POOL_SIZE)
    place = ctypes.c_void_p(own.buffer_info()[0])
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
    allowed, found = os.sched_getaffinity(0), []

    def worker() -> None:
        function(engine().runtime["start_pool"])(place)
        first, other = sorted(allowed)[:2]
        os.sched_setaffinity(0, {first})
        own[pool.POOL_CALLER] = first if is_there else other
        function(engine().runtime["make_way"])(place)
        found.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()
    assert found == [allowed - {min(allowed)} if is_there else {min(allowed)}]


ELSEWHERE = """
import threading
import llvmlite.binding as llvm
import numpy as np
import functrans as ft
from functrans.compiler.backends.cpu.runtime import OF_LINUX
from functrans.compiler.backends.cpu.threads import awake

known = llvm.address_of_symbol
llvm.address_of_symbol = lambda name: None if name in OF_LINUX else known(name)
ft.config.threads = 2
x = np.ones(1_000_000)
print(ft.jit(lambda x: np.sqrt(x).sum())(x), awake(), threading.active_count())
"""


@pytest.mark.slow
def test_systems_without_such_semaphores_have_no_threads() -> None:
    found = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1000000.0", "1", "1"]


def test_machine_code_does_not_depend_on_who_compiles_beside_it() -> None:
    """Threads take turns with what knows the processor, and none uses it while another does."""
    compiler = engine().thorough
    texts = [ft.jit(lambda x, k=k: np.sin(x) ** k + x).lower(np.ones(5)).llvm for k in range(3)]
    alone = [compiler._new_object(text) for text in texts]
    at_once, barrier = [b""] * 3, threading.Barrier(3)

    def compile(k: int) -> None:
        barrier.wait()
        at_once[k] = compiler._new_object(texts[k])

    started = [threading.Thread(target=compile, args=(k,)) for k in range(3)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert at_once == alone
    assert len({id(machine) for machine in compiler.free}) == len(compiler.free)
