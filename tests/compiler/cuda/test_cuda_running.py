"""How programs for a GPU run: loops and branches, products, errors, memory, threads and streams."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cuda.program import CudaProgram
from functrans.compiler.program import fused_for_gpu
from functrans.errors import DeviceError, OutOfBoundsError, OutOfMemoryError
from tests.helpers.cuda.device import Emulator, calls, runtime
from tests.helpers.cuda.running import ORDERS, emulated, kernels_of, lowered, on_device
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged


def check(function, *args, order=0, tolerance=1e-12):
    jaxpr = staged(function, args)
    assert_all_close(emulated(jaxpr, args, order), interpreted(jaxpr, args), tolerance)


def values(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# ---- loops and branches


@pytest.mark.parametrize("order", ORDERS)
def test_loops_of_large_states(order):
    w, x, xs = values((70, 70)) / 9, values(70), values((5, 70), 1)
    step = lambda c, x: (np.tanh(w @ c + x), np.sum(c))  # noqa: E731
    check(lambda c, xs: lax.scan(step, c, xs), x, xs, order=order)
    check(lambda c, xs: lax.scan(step, c, xs, reverse=True), x, xs, order=order)
    check(lambda c, n: lax.fori_loop(0, n, lambda i, c: np.sin(c) + i, c), x, 4, order=order)
    check(lambda c: lax.while_loop(lambda c: np.sum(c) < 200.0, lambda c: c * c + 1, c), x, order=order)
    check(lambda c, k: lax.switch(k, [np.sin, lambda c: c * 2, lambda c: c @ w], c), x, 1, order=order)
    check(lambda c, xs: ft.grad(lambda c: np.sum(lax.scan(step, c, xs)[0]))(c), x, xs, order=order)


@pytest.mark.parametrize("order", ORDERS)
def test_loops_of_small_states_are_one_kernel(order):
    def lorenz(s):
        x, y, z = s
        return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    step = lambda s, _: (s + 0.01 * lorenz(s), s[0])  # noqa: E731
    check(lambda s: lax.scan(step, s, None, length=50), np.ones(3), order=order)
    check(lambda s: lax.while_loop(lambda s: s[0] < 9, lambda s: s + 0.01 * lorenz(s), s), np.ones(3), order=order)
    check(lambda n, x: lax.fori_loop(0, n, lambda i, x: x * 1.5 + i, x), 7, 0.5, order=order)


def stepped(s):
    """One step of an ordinary differential equation for three numbers."""
    x, y, z = s
    return s + 0.01 * np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def root(a):
    return lax.while_loop(lambda x: abs(x * x - a) > 1e-9, lambda x: (x + a / x) / 2, a)


@pytest.mark.parametrize("order", ORDERS)
def test_lanes_of_a_loop_are_threads(order):
    s, xs = np.abs(values((150, 3))), np.abs(values((150, 6), 1))
    solved = ft.vmap(lambda s: lax.scan(lambda s, _: (stepped(s), s[0]), s, None, length=8))
    check(solved, s, order=order)
    check(ft.grad(lambda s: np.sum(solved(s)[0]) + np.sum(solved(s)[1])), s, order=order)
    check(ft.vmap(lambda x: lax.scan(lambda c, x: (0.9 * c + x, c), 0.0, x, reverse=True)), xs, order=order)
    check(ft.vmap(root), xs[:, 0] + 1.0, order=order)
    check(ft.vmap(lambda c, a: lax.fori_loop(0, 3, lambda i, c: np.sum(a) * c + i, c)), s, xs, order=order)


def test_lanes_of_a_loop_are_one_kernel():
    for count in (20, 5000):
        [text] = kernels_of(ft.vmap(lambda s: lax.fori_loop(0, 9, lambda i, s: stepped(s), s)), values((count, 3)))
        assert "const int64 lanes" in text


@pytest.mark.parametrize("order", ORDERS)
def test_lanes_that_read_a_table_at_indices_of_their_own(order):
    def walk(following, first):
        step = lambda c: (following[c[0]], c[1] + c[0])  # noqa: E731
        return lax.while_loop(lambda c: c[1] < 30, step, (first, 0))

    function = ft.vmap(walk, in_axes=(None, 0))
    following, first = np.random.default_rng(0).permutation(20), np.arange(150) % 20
    texts = kernels_of(function, following, first)
    assert any("const int64 lanes" in text for text in texts)
    check(function, following, first, order=order)
    first[[70, 130]] = 20, -21
    with pytest.raises(OutOfBoundsError, match="Index (20|-21) is out of bounds"):
        emulated(staged(function, (following, first)), (following, first), order)


def test_states_that_change_places():
    check(lambda a, b: lax.fori_loop(0, 3, lambda i, s: (s[1] * 2, s[0] + 1), (a, b)), values(100), values(100, 1))


# ---- products


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_products(dtype):
    a, b, c = (values(shape, k).astype(dtype) for k, shape in enumerate([(9, 17), (17, 5), (3, 17, 9)]))
    tolerance = 1e-5 if dtype in ("f4", "c8") else 1e-12
    check(lambda a, b: a @ b, a, b, tolerance=tolerance)
    check(lambda a, b: b.T @ a.T, a, b, tolerance=tolerance)
    check(lambda a, c: np.einsum("ij,kji->ki", a, c), a, c, tolerance=tolerance)
    check(lambda b, c: np.einsum("jl,kji->kil", b, c), b, c, tolerance=tolerance)


# ---- errors


def take(x, i):
    return np.sin(x)[i] * 2


def test_indices_out_of_bounds_name_the_line():
    x = values(40)
    with pytest.raises(OutOfBoundsError, match=r"Index 40 .*\n.*test_cuda_running.py:\d+, in take"):
        emulated(staged(take, (x, 0)), (x, np.array(40)))
    with pytest.raises(OutOfBoundsError, match="Index -41"):
        emulated(staged(take, (x, np.zeros(3, int))), (x, np.array([0, -41, 99])))


#: Functions of an array and of numbers that become indices, which some kernel computes, and how many launches they are.
CHECKED = {
    "one by one": (lambda x, y: x[y.astype(int)], 2),
    "several at once": (lambda x, y: x[(y * 2).astype(int)] * x[(y * 2).astype(int)[::-1]], 2),
    "an index that is a result": (lambda x, y: (y.astype(int), x[y.astype(int)]), 2),
    "with others at the same time": (lambda x, y: (x[y.astype(int)], np.sin(x[:7])), 3),
    "updates": (lambda x, y: ft.numpy.at(x)[y.astype(int)].add(y), 3),
    "integers in a place of their own": (lambda x, y: x[y.reshape(2, -1).T.astype(int)], 2),
}


@pytest.mark.parametrize("name", CHECKED)
def test_indices_are_checked_by_the_kernel_that_computes_them(name):
    function, count = CHECKED[name]
    x, y = values(40), np.arange(20.0)
    jaxpr = staged(lambda x, y: ft.tree.leaves(function(x, y)), (x, y))
    launches = lowered(jaxpr, (x, y)).all_launches
    assert not any(launch.about == "a check of indices" for launch in launches)
    assert len(launches) <= count
    for order in ORDERS:
        assert_all_close(emulated(jaxpr, (x, y), order), interpreted(jaxpr, (x, y)), 1e-12)
        y[13] = 41.0
        with pytest.raises(OutOfBoundsError, match=r"Index (41|82) is out of bounds"):
            emulated(jaxpr, (x, y), order)
        y[13] = 13.0


@pytest.mark.parametrize("order", ORDERS)
def test_of_two_checks_the_first_one_fails(order):
    """Whichever kernels make them."""

    def function(x, y, z):
        return x[(y * 1).astype(int)], x[(y * 3).astype(int)], x[z]

    x, y, z = values(40), np.full(300, 50.0), np.full(3, 60)
    with pytest.raises(OutOfBoundsError, match="Index 50 is out of bounds"):
        emulated(staged(function, (x, y, z)), (x, y, z), order)


def test_loops_end_where_an_index_is_out_of_bounds():
    def run(x, i):
        step = lambda c: x[(c[:1].astype(int) + i) % 50] * 0 + c  # noqa: E731
        return lax.while_loop(lambda c: np.sum(c) < 1e9, step, x)

    x = np.zeros(40)
    with pytest.raises(OutOfBoundsError):
        emulated(staged(run, (x, 0)), (x, 45))


def test_loops_of_launches_end_where_an_index_is_out_of_bounds():
    def run(x, last):
        def step(s):
            c, n = s
            return np.tanh(c @ c * 1e-3 + x[n * 10]), n + 1

        return lax.while_loop(lambda s: s[1] < last, step, (x, 0))

    x = values((40, 40))
    check(run, x, 4)
    before = calls("cuLaunchKernel")
    with pytest.raises(OutOfBoundsError, match="Index 40"):
        emulated(staged(run, (x, 0)), (x, 1000))
    assert calls("cuLaunchKernel") - before < 100


def test_small_loops_refuse_indices_out_of_bounds():
    def run(x, i):
        return lax.fori_loop(0, 5, lambda k, s: (s[0] + x[s[1]], s[1] + i), (0.0, 0))[0]

    x = np.arange(4.0)
    check(run, x, np.array(0))
    with pytest.raises(OutOfBoundsError, match=r"Index 4 .*\n.*test_cuda_running.py:\d+"):
        emulated(staged(run, (x, np.array(1))), (x, np.array(1)))


def test_a_program_can_be_used_after_an_error():
    device, x = Emulator(), values(40)
    program = CudaProgram(staged(take, (x, 0)), fused_for_gpu, device)
    for index in (3, 77, 4):
        if index == 77:
            with pytest.raises(OutOfBoundsError):
                program(device.upload(x), index)
        else:
            assert np.asarray(program(device.upload(x), index)[0]) == np.sin(x)[index] * 2


def test_failed_launches_name_the_kernel_and_the_line(monkeypatch):
    device, x = Emulator(), values(40)
    program = CudaProgram(staged(lambda x: np.sin(x) * 2, (x,)), fused_for_gpu, device)
    binding = program(device.upload(x)) and next(iter(program.bindings.values()))
    launches = [kept for kept in binding.encoded.kept if kept is not None and not hasattr(kept, "functions")]
    launches[0][5] = 0  # no blocks at all
    with pytest.raises(DeviceError, match=r"A kernel \(sin, multiply\) failed on emulator, code 1: .*\n.*test_cuda_running"):
        program(device.upload(x))


def test_no_memory(monkeypatch):
    device, x = Emulator(), values(40)
    program = CudaProgram(staged(lambda x: np.sum(np.outer(x, x) @ np.outer(x, x)), (x,)), fused_for_gpu, device)
    original = device.empty

    def empty(shape, dtype):
        if np.prod(shape) > 1000:
            raise MemoryError
        return original(shape, dtype)

    monkeypatch.setattr(device, "empty", empty)
    with pytest.raises(OutOfMemoryError, match=r"on emulator for the temporary values .* \d+ bytes"):
        program(device.upload(x))


# ---- several at once


def test_programs_run_in_several_threads():
    device, x = Emulator(), values((30, 40))
    program = CudaProgram(staged(softmax, (x,)), fused_for_gpu, device)
    results = [None] * 8

    def work(k):
        for _ in range(10):
            results[k] = np.array(program(*on_device(device, [x + k]))[0])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_allclose(result, softmax(x), rtol=1e-12)


def softmax(x):
    e = np.exp(x - np.max(x, -1, keepdims=True))
    return e / np.sum(e, -1, keepdims=True)


def test_python_is_called_on_arrays_of_the_device():
    x = values((6, 6))
    check(lambda x: np.linalg.inv(np.sin(x)) + np.sort(x, 0), x)


def test_deadlocks_are_found():
    """Of the emulator: a barrier that some threads do not reach."""
    device = Emulator()
    text = "KERNEL __launch_bounds__(32) KERNEL_NAME() { if (threadIdx.x < 7) __syncthreads(); }"
    kernel = device.module({"kernel": text}).function("kernel")
    code = runtime().emulated_cuLaunchKernel(ctypes.c_void_p(kernel), 1, 1, 1, 32, 1, 1, 0, None, None, None)
    assert code == 719
    assert "deadlock in block (0, 0, 0): 7 of 32" in device.error(code)
