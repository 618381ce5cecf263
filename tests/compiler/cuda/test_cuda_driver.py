"""The device that programs have on a GPU, with a stand-in for CuPy and the emulator in place of the driver."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler import program
from functrans.compiler.backends.cuda import gpu
from functrans.compiler.backends.cuda.gpu import PER_THREAD, library
from functrans.errors import DeviceError, DeviceMismatchError, MissingPackageError, OutOfBoundsError
from tests.helpers.cuda.device import refusing
from tests.helpers.cuda.driver import emulated_driver
from tests.helpers.stand_in_cupy import Stream, ndarray

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def cupy():
    with emulated_driver() as found:
        yield found


def values(*shape):
    return np.random.default_rng(0).normal(size=shape)


def up(x):
    return ft.device_put(x, "cuda")


def check(function, *args, tolerance=1e-11):
    """Three calls: the first, the quick one, and one that replays a graph."""
    run, there = ft.jit(function), [up(x) if isinstance(x, np.ndarray) else x for x in args]
    wanted = ft.tree.leaves(function(*args))
    for _ in range(3):
        found = ft.tree.leaves(run(*there))
        for f, w in zip(found, wanted, strict=True):
            assert isinstance(f, ndarray) or not np.ndim(w)
            np.testing.assert_allclose(ft.device_get(f), w, rtol=tolerance, atol=tolerance)


def deep(x):
    for k in range(6):
        x = x * 0.5 + np.mean(x, axis=k % 2, keepdims=True)
    return x


def test_programs_of_all_kinds(cupy):
    x, table = values(6, 6), values(6)
    check(lambda x: np.sin(x) * 2, x)
    check(lambda x, a: {"y": (np.cos(x) * a,), "z": x.sum()}, x, 2.5)
    check(deep, x)
    check(ft.grad(lambda x, w: np.sum(np.tanh(x @ w) ** 2)), values(40, 50), values(50, 30) / 9)
    assert cupy.handles, "cuBLAS is told the stream"
    check(lambda x: lax.while_loop(lambda c: np.sum(c * c) < 100.0, lambda c: c * 1.1 + 1, x), x)
    check(ft.grad(lambda x: np.sum(lax.while_loop(lambda c: np.sum(c * c) < 100.0, lambda c: c * 1.1 + 1, x))), x)
    check(lambda x: np.sort(np.sin(x), 0) * 2, x)
    check(lambda x: x[::-1, 1:], x)
    check(lambda x: x * table, x)


def test_programs_of_arrays_without_elements():
    """These are no kernels; what is made out of nothing is made on the GPU."""
    x = values(0, 3)
    check(ft.grad(lambda x: np.sum(x.T * 2)), x)
    check(lambda x: ft.numpy.at(x)[:1].set(1.0), x)
    check(lambda x: (np.sum(x, 0), np.arange(0) * 1.0, np.zeros((0, 2)), x + np.arange(3.0)), x)


def test_arguments_in_trees_and_by_name():
    f = ft.jit(lambda p, *, scale: [p["a"] * scale, (p["b"][0] + 1,)])
    p = {"a": values(4), "b": [values(3)]}
    for k in (2.0, 3.0, 4):
        found = f(up(p), scale=k)
        np.testing.assert_allclose(ft.device_get(found[0]), p["a"] * k)
        np.testing.assert_allclose(ft.device_get(found[1][0]), p["b"][0] + 1)


def test_other_arguments_than_those_of_the_last_call_find_their_own_programs():
    f = ft.jit(lambda x, a: np.sin(x) * a)
    x = values(8, 8)
    views = (x, x, x[:, ::2], x.T, x.astype("f4"), x[0], x, x[1:3])
    for a in (2.0, np.float32(3), 2):
        for v in views:
            found = ft.device_get(f(up(v) if v.base is None else up(x)[:, ::2] if v.shape == (8, 4) else up(v), a))
            assert found.dtype == (np.sin(v) * a).dtype
            np.testing.assert_allclose(found, np.sin(v) * a, rtol=1e-6)
    with pytest.raises(DeviceMismatchError):
        f(up(x), x)
    np.testing.assert_allclose(f(x, 2.0), np.sin(x) * 2)


def test_two_gpus():
    f, x = ft.jit(lambda x: np.sin(x) * 2), values(8)
    for _ in range(3):
        for number in (0, 1):
            y = f(ft.device_put(x, f"cuda:{number}"))
            assert y.device.id == number
            np.testing.assert_allclose(ft.device_get(y), np.sin(x) * 2)
    with pytest.raises(DeviceMismatchError, match="argument 0 is on GPU 0, argument 1 on GPU 1"):
        ft.jit(np.add)(up(x), ft.device_put(x, "cuda:1"))


def test_streams_are_told_apart_and_kept():
    run, x = ft.jit(deep), up(values(6, 6))
    device = program.gpu(0)
    run(x)
    first = Stream(non_blocking=True)
    with first:
        run(x)
        pointer, key = device.stream()
        assert (pointer, key) == (first.ptr, first)
    keys = []

    def work():
        with Stream.ptds:
            keys.append(device.stream())
            run(x)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [pointer for pointer, _ in keys] == [PER_THREAD] * 2
    assert all(key[0] is Stream.ptds for _, key in keys)
    assert device.stream()[0] == 0


def test_errors():
    x = up(values(5))
    f = ft.jit(lambda x, i: x[i])
    for _ in range(2):
        with pytest.raises(OutOfBoundsError, match="Index 9"):
            f(x, up(np.array([0, 9])))
    product, w = ft.jit(lambda x: np.sin(x) @ x), up(values(40, 40))
    product(w)
    text = r"A product of matrices by cuBLAS \(.*\) failed on .*CUBLAS_STATUS_INVALID_VALUE"
    with refusing("cublasDgemmStridedBatched_64", 7), pytest.raises(DeviceError, match=text):
        product(w)
    wrong = ft.elementwise(lambda x: x, cuda="if (threadIdx.x == 1) __syncthreads(); return x;", parameters=("x",))
    with pytest.raises(DeviceError, match="A kernel failed on Stand-in|A kernel .* failed on Stand-in"):
        ft.jit(lambda x: np.sin(wrong(x)))(x)


def test_kernels_may_have_the_shared_memory_that_launches_ask_for(cupy):
    """Together with what is in its text, that of a kernel may be more than CUDA gives without having been asked."""
    softmax = lambda x: np.exp(x - x.max(1, keepdims=True)) / np.sum(np.exp(x), 1, keepdims=True)  # noqa: E731
    f, module = ft.jit(softmax), program.gpu(0).module
    kernels = []
    program.gpu(0).module = lambda functions: kernels.append(module(functions)) or kernels[-1]
    for n in (1500, 2000, 1200):
        f(up(values(2, n)))
    assert [(attribute, size) for _, attribute, size in cupy.attributes] == [(8, 8 * 1500), (8, 8 * 2000)]
    assert len({id(kernel) for kernel in kernels}) == 1, "the same kernels for all"


def test_without_cublas_a_product_says_what_to_install(cupy):
    def missing(name):
        raise ImportError('Failure finding "libcublas.so"')

    with pytest.MonkeyPatch.context() as patch:  # undone before the driver's own replacement is
        patch.delattr(cupy.cuda, "cublas")
        patch.setattr(cupy.cuda, "__getattr__", missing, raising=False)
        patch.setattr(gpu, "library", library)
        with pytest.raises(
            MissingPackageError, match=r'(?s)A product .*"libcublas.so".*pip install functrans\[cuda13\]'
        ):
            ft.jit(np.matmul)(up(values(40, 50)), up(values(50, 30)))


def test_a_fault_is_explained_by_whoever_waits(cupy, monkeypatch):
    x, f = up(values(5)), ft.jit(lambda x: np.sin(x) * 2)
    y = f(x)
    error = cupy.cuda.runtime.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")
    error.status = 700

    def fail(self):
        raise error

    monkeypatch.setattr(cupy.cuda.Device, "synchronize", fail)
    with pytest.raises(DeviceError, match=r"(?s)A kernel \(sin, multiply\) failed on Stand-in, cudaErrorIllegalAddress.*<lambda>"):
        ft.block_until_ready(y)


def test_whatever_is_called_after_a_fault_explains_it(cupy, monkeypatch):
    """CUDA refuses everything then, even to make another device the current one, which CuPy does at the end of blocks."""
    x, f = up(values(5)), ft.jit(lambda x: np.sin(x) * 2)
    y = [f(x) for _ in range(3)][-1]
    error = cupy.cuda.runtime.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")
    error.status = 700

    def fail(*_):
        raise error

    monkeypatch.setattr(cupy.cuda.Device, "__exit__", fail)
    monkeypatch.setattr(cupy.cuda.Device, "synchronize", fail)
    monkeypatch.setattr(ndarray, "get", fail)
    monkeypatch.setattr(ndarray, "__init__", fail)
    calls = {
        "f": lambda: f(x), "another": lambda: ft.jit(np.tan)(x), "grad": lambda: ft.grad(lambda x: np.sum(x * x))(x),
        "device_get": lambda: ft.device_get(y), "block_until_ready": lambda: ft.block_until_ready(y),
    }  # fmt: skip
    for name, call in calls.items():
        with pytest.raises(DeviceError, match=r"(?s)A kernel \(sin, multiply\) failed on Stand-in, cudaError") as found:
            call()
        assert found.value.__suppress_context__, name
        assert "contextlib" not in str(found.value)
    with pytest.raises(ZeroDivisionError):
        ft.jit(lambda x: x * (1 // 0))(x)
