"""The quick way into programs for GPUs: a function in machine code that asks CuPy's arrays, with a stand-in for these."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from types import BuiltinFunctionType

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.backends.cuda.frames import Frame
from functrans.compiler.backends.cuda.gpu import Gpu
from functrans.errors import DeviceError, DeviceMismatchError, OutOfMemoryError, UnsupportedArgumentError
from tests.helpers.cuda.device import calls, refusing
from tests.helpers.cuda.driver import emulated_driver
from tests.helpers.stand_in_cupy import Device, Stream, ndarray

X = np.random.default_rng(0).normal(size=(4, 6))


@pytest.fixture(params=[1, 2], ids=["alone", "one of two"])
def cupy(request, monkeypatch):
    monkeypatch.setattr(Device, "count", request.param)
    ft.clear_caches()
    gc.collect()
    with emulated_driver() as found:
        yield found


def up(x):
    return ft.device_put(x, "cuda")


def quick(function, *args):
    """A compiled function that has a quick way for arguments like these."""
    run = ft.jit(function)
    run(*args)
    (call,) = run._quick.plain
    assert isinstance(call, BuiltinFunctionType)
    return run


def test_calls_do_what_the_function_does(cupy):
    for function, args in (
        (lambda x: np.sin(x) * 2, (X,)),
        (lambda x, y: (x + y[0], np.sum(x * y, axis=1), np.cumsum(x)), (X, X[::-1])),
        (lambda x: np.exp(x[:, ::2].T), (X.astype("f4"),)),
        (lambda z: z * np.conj(z), (X + 1j * X[::-1],)),
    ):
        given = list(map(up, args))
        run, wanted = quick(function, *given), ft.tree.leaves(function(*args))
        for _ in range(3):
            launched = calls("cuLaunchKernel")
            found = ft.tree.leaves(run(*given))
            assert calls("cuLaunchKernel") > launched
            for f, w in zip(found, wanted, strict=True):
                assert isinstance(f, ndarray)
                np.testing.assert_allclose(f.get(), w, rtol=1e-6)


def test_results_are_arrays_of_their_own(cupy):
    x = up(X)
    run = quick(lambda x: x * 2, x)
    first, second = run(x), run(x)
    second[...] = 0.0
    np.testing.assert_array_equal(first.get(), X * 2)


@pytest.mark.parametrize(
    "other",
    [X[:2], X[0], X[:, ::-1], X.T.copy().T, X.astype("f4"), X.astype(int), X[:0], np.float64(2), 2.5, X.ravel()[1:]],
)
def test_other_arguments_go_another_way(cupy, other):
    x = up(X)
    run = quick(lambda x: x * 2 + 1, x)
    given = up(X)[:, ::-1] if np.shares_memory(other, X) and other.strides[-1] < 0 else up(other)
    np.testing.assert_allclose(ft.device_get(run(given)), np.asarray(other) * 2 + 1, rtol=1e-6)
    with pytest.raises(TypeError):
        run()
    with pytest.raises(TypeError):
        run(x, x)
    with pytest.raises(TypeError):
        run("x")
    np.testing.assert_allclose(run(X), X * 2 + 1)  # on the host
    np.testing.assert_allclose(run(x).get(), X * 2 + 1)


def test_addresses_that_are_not_aligned_go_another_way(cupy):
    x = up(np.arange(64.0))
    run = quick(lambda x: x * 2, x[:32])
    np.testing.assert_array_equal(run(x[1:33]).get(), 2 * np.arange(1.0, 33.0))
    between = up(np.zeros(264, np.uint8))[2:258].view(float)
    with pytest.raises(UnsupportedArgumentError, match="no multiple of 8"):
        run(between)


def test_arrays_of_the_host_and_of_another_gpu_are_refused(cupy):
    x = up(X)
    run = quick(lambda x, y: x + y, x, x)
    with pytest.raises(DeviceMismatchError, match="argument 1 on the host"):
        run(x, X)
    if Device.count == 2:
        there = ft.device_put(X, "cuda:1")
        with pytest.raises(DeviceMismatchError, match="argument 1 on GPU 1"):
            run(x, there)
        assert run(there, there).device.id == 1
        with Device(1):
            assert run(x, x).device.id == 0


def test_a_thread_without_a_context_gets_one_first(cupy, monkeypatch):
    x = up(X)
    run = quick(lambda x: x * 2, x)
    made = []
    monkeypatch.setattr(cupy.cuda.runtime, "free", lambda address: made.append(threading.get_ident()))
    with refusing("cuCtxGetCurrent", 3):
        worker = threading.Thread(target=run, args=(x,))
        worker.start()
        worker.join()
    assert len(made) == 1
    before = calls("cuCtxGetCurrent")
    run(x)
    assert calls("cuCtxGetCurrent") == before + 1


def test_another_stream_has_memory_of_its_own(cupy, monkeypatch):
    x = up(X)
    run = quick(lambda x: np.sum(x, axis=0) * np.sum(x), x)
    asked, original = [], Gpu.stream
    monkeypatch.setattr(Gpu, "stream", lambda self: asked.append(original(self)[0]) or original(self))
    streams = Stream(non_blocking=True), Stream.ptds, Stream.null
    for stream in streams:
        with stream:
            np.testing.assert_allclose(run(x).get(), X.sum(0) * X.sum(), rtol=1e-12)
    assert asked == [streams[0].ptr, Stream.ptds.ptr]


def test_what_goes_wrong_is_said_as_always(cupy):
    x = up(X)

    def doubled(x):
        return x * 2

    run = quick(doubled, x)
    with refusing("cuLaunchKernel", 1), pytest.raises(DeviceError, match=r"A kernel \(multiply\) .*\n.*in doubled"):
        run(x)
    np.testing.assert_array_equal(run(x).get(), X * 2)


def test_no_memory_for_a_result(cupy, monkeypatch):
    x = up(X)
    run = quick(lambda x: x * 2, x)

    original = ndarray.__init__

    def no_more(self, host, *others, **names):
        if type(host) is tuple and host == X.shape:
            raise MemoryError
        original(self, host, *others, **names)

    with monkeypatch.context() as patch:
        patch.setattr(ndarray, "__init__", no_more)
        with pytest.raises(OutOfMemoryError, match=r"result 0 of a compiled function: 192 bytes"):
            run(x)
    np.testing.assert_array_equal(run(x).get(), X * 2)


def frames():
    """All there are now. (isinstance would ask weak proxies, whose objects may be gone.)"""
    return [found for found in gc.get_objects() if type(found) is Frame]


def test_its_memory_is_let_go_of_where_there_is_none_left(cupy, monkeypatch):
    x = up(X)
    of_others = frames()
    run, other = quick(lambda x: x * 2, x), ft.jit(np.sin)
    launched = calls("cuCtxGetCurrent")
    run(x)
    assert calls("cuCtxGetCurrent") == launched + 1
    (frame,) = [weakref.ref(own) for own in frames() if not any(own is other for other in of_others)]
    original = ndarray.__init__

    def no_more(self, host, *others, **names):
        if type(host) is tuple and frame() is not None:
            raise MemoryError
        original(self, host, *others, **names)

    monkeypatch.setattr(ndarray, "__init__", no_more)
    np.testing.assert_allclose(other(x).get(), np.sin(X))
    np.testing.assert_array_equal(run(x).get(), X * 2)
    assert calls("cuCtxGetCurrent") == launched + 1


def test_what_needs_python_has_no_such_way(cupy):
    x, table = up(np.random.default_rng(0).normal(size=(40, 50))), np.arange(3)
    for function in (
        lambda x: np.sort(x, 0),
        lambda x: x @ x.T,
        lambda x: x[x[:, 0].astype(int)],
        lambda x: (x, x * 2),
        lambda x: ft.pure_callback(lambda x: table, ft.ShapeDtypeStruct((3,), int), x),
    ):
        run = ft.jit(function)
        run(x)
        assert not any(isinstance(call, BuiltinFunctionType) for call in run._quick.plain)


def test_nothing_is_leaked(cupy):
    x = up(X)
    for function in (lambda x: x * 2, lambda x: (x * 2, x + 1)):
        run = quick(function, x)
        wrong = [X, up(X[:2]), up(X.astype("f4"))]
        watched = [x, x.shape, x.dtype, x._host, run._quick.plain[0], Stream.null, *wrong]

        def many(run=run, wrong=wrong):
            for _ in range(200):
                run(x)
                for other in wrong:
                    run(other)

        many()
        gc.collect()
        before, objects = list(map(sys.getrefcount, watched)), len(gc.get_objects())
        many()
        gc.collect()
        assert max(abs(a - b) for a, b in zip(map(sys.getrefcount, watched), before)) < 20
        assert len(gc.get_objects()) < objects + 100


def test_threads_share_it(cupy):
    arrays = [up(X + k) for k in range(6)]
    run = quick(lambda x: np.sum(np.sin(x), axis=0) - np.mean(x), arrays[0])
    results = {}

    def work(k):
        for _ in range(30):
            results[k] = run(arrays[k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(6):
        np.testing.assert_allclose(results[k].get(), np.sin(X + k).sum(0) - np.mean(X + k), rtol=1e-9)


def test_it_is_forgotten_with_the_function_and_when_settings_change(cupy):
    x = up(X)
    run = quick(lambda x: x * 2, x)
    call = run._quick.plain[0]
    with ft.config.using(deterministic=True):
        run(x)
    run(x)
    assert sys.getrefcount(call) <= 3
    ft.clear_caches()
    np.testing.assert_array_equal(call(x).get(), X * 2)
