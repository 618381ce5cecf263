"""When programs for a GPU do their work: graphs, streams, memory that running kernels use, and kernels that fail.

The late emulator does nothing before somebody waits for it, and spoils memory that is given back too early.
"""

from __future__ import annotations

import ctypes
import gc
import re
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cuda import frames
from functrans.compiler.backends.cuda.program import CudaProgram
from functrans.compiler.program import fused_for_gpu
from functrans.errors import DeviceError, OutOfMemoryError, UnsupportedArgumentError
from tests.helpers.cuda.device import Emulator, LateEmulator, calls, refusing, runtime
from tests.helpers.cuda.running import divided
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture
def launched():
    """Loops run as launches, however little work they are, and each kernel is a launch of its own."""
    with divided("launches"):
        yield


def program(function, args, device):
    return CudaProgram(staged(function, args), fused_for_gpu, device)


def deep(x):
    """Several kernels in a row: means along one axis and along the other."""
    for k in range(8):
        x = x * 0.5 + np.mean(x, axis=k % 2, keepdims=True)
    return x


# ---- graphs


def counted(*names):
    return [calls(name) for name in names]


def differences(before, *names):
    return [calls(name) - had for name, had in zip(names, before)]


NAMES = ("cuLaunchKernel", "cuGraphInstantiateWithFlags", "cuGraphLaunch", "cuGraphExecKernelNodeSetParams_v2")


@pytest.mark.usefixtures("launched")
def test_launches_that_are_seen_again_become_a_graph():
    device, x = Emulator(), values(6, 6)
    run, there = program(deep, (x,), device), device.upload(x)
    wanted = deep(x)
    kept = []  # so that each result has an address of its own
    before = counted(*NAMES)
    for _ in range(6):
        kept.append(run(there)[0])
        np.testing.assert_allclose(kept[-1], wanted, rtol=1e-12)
    launches, graphs, replays, told = differences(before, *NAMES)
    assert graphs == 1
    assert replays == 5
    assert launches == len(next(iter(run.bindings.values())).encoded.segments[0].launches)
    assert told == 4, "only the kernel that writes the result has another address each time"


@pytest.mark.usefixtures("launched")
def test_addresses_that_take_turns_have_graphs_of_their_own():
    device = Emulator()
    first, second = values(6, 6), values(6, 6, seed=1)
    run = program(lambda x, y: deep(x * y) + x - y, (first, second), device)
    pairs = [tuple(map(device.upload, pair)) for pair in ((first, second), (second, first))]
    before = counted(*NAMES)
    for k in range(12):
        x, y = pairs[k % 2]
        np.testing.assert_allclose(run(x, y)[0], deep(first * second) + np.asarray(x) - np.asarray(y), rtol=1e-12)
    assert differences(before, *NAMES)[2] >= 9


def test_loops_replay_the_launches_of_their_steps(launched):
    device, x = Emulator(), values(30, 30)
    function = lambda x: lax.fori_loop(0, 30, lambda i, c: np.cos(deep(c) * 1e-3), x)  # noqa: E731
    run, there = program(function, (x,), device), device.upload(x)
    before = counted(*NAMES)
    np.testing.assert_allclose(run(there)[0], interpreted(staged(function, (x,)), (x,))[0], rtol=1e-9)
    launches, graphs, replays, told = differences(before, *NAMES)
    assert replays >= 26
    assert graphs <= 3  # the state changes places in each step
    assert told <= 2


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize(
    "name", ["cuGraphCreate", "cuGraphAddKernelNode_v2", "cuGraphInstantiateWithFlags", "cuGraphExecKernelNodeSetParams_v2"]
)
def test_where_graphs_cannot_be_had_kernels_are_launched(name):
    device, x = Emulator(), values(6, 6)
    run, there, kept = program(deep, (x,), device), device.upload(x), []
    with refusing(name, 801):
        for _ in range(5):
            kept.append(run(there)[0])
            np.testing.assert_allclose(kept[-1], deep(x), rtol=1e-12)


@pytest.mark.usefixtures("launched")
def test_a_graph_that_cannot_be_launched_is_an_error_with_cudas_text():
    device, x = Emulator(), values(6, 6)
    run, there = program(deep, (x,), device), device.upload(x)
    run(there)
    with refusing("cuGraphLaunch", 801), pytest.raises(DeviceError, match=r"A graph of \d+ kernels failed on emulator, code 801"):
        run(there)
    np.testing.assert_allclose(run(there)[0], deep(x), rtol=1e-12)


@pytest.mark.usefixtures("launched")
def test_there_are_no_graphs_while_a_stream_is_recorded_or_if_none_are_wanted():
    device, x = Emulator(), values(6, 6)
    run, there = program(deep, (x,), device), device.upload(x)
    before = counted(*NAMES)
    with refusing("cuStreamIsCapturing", 906):
        for _ in range(4):
            run(there)
    with ft.config.using(cuda_graphs=False):
        for _ in range(4):
            run(there)
    assert differences(before, *NAMES)[1:] == [0, 0, 0]


@pytest.mark.usefixtures("launched")
def test_graphs_are_given_back():
    device, x = Emulator(), values(6, 6)
    run, there = program(deep, (x,), device), device.upload(x)
    gc.collect()  # graphs of other tests
    before = counted("cuGraphInstantiateWithFlags", "cuGraphExecDestroy", "cuGraphDestroy")
    for _ in range(3):
        run(there)
    del run
    gc.collect()
    assert differences(before, "cuGraphInstantiateWithFlags", "cuGraphExecDestroy", "cuGraphDestroy") == [1, 1, 1]


# ---- streams and memory


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=12), st.booleans())
def test_work_on_several_streams_that_nobody_waits_for(steps, is_large):
    """Each stream has a chain of its own; arrays are let go of while kernels that read them have not begun."""
    x = values(6, 6)
    device = LateEmulator()
    run = program(lambda x, y: (deep(x * y) + 1.0, np.sum(x)), (x, x), device)
    with pytest.MonkeyPatch.context() as patch, device:
        patch.setattr(frames, "LARGE", 0 if is_large else 1 << 20)
        state, wanted = {}, {}
        for stream, waits in steps:
            with device.on(stream):
                if stream not in state:
                    state[stream], wanted[stream] = device.upload(x), x
                state[stream] = run(state[stream], state[stream])[0]
                wanted[stream] = deep(wanted[stream] * wanted[stream]) + 1.0
                if waits:
                    np.testing.assert_allclose(device.download(state[stream]), wanted[stream], rtol=1e-9)
        for stream in reversed(list(state)):
            with device.on(stream):
                np.testing.assert_allclose(device.download(state[stream]), wanted[stream], rtol=1e-9)


def test_the_default_stream_of_each_thread_has_memory_of_its_own():
    """As CuPy's per-thread default streams, which have one address."""
    x = values(6, 6)
    device = LateEmulator()
    with device:
        run = program(deep, (x,), device)
        run(device.upload(x))
        device.stream = lambda: (0, threading.get_ident())
        there, found = [device.upload(x * k) for k in range(3)], {}
        device.synchronize()
        barrier = threading.Barrier(3)

        def work(k):
            found[k] = run(there[k])[0]
            barrier.wait()

        threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(next(iter(run.bindings.values())).frames.by_stream) == 4
        for k in range(3):
            np.testing.assert_allclose(device.download(found[k]), deep(x * k), rtol=1e-12, atol=1e-14)


def test_memory_is_kept_for_a_few_streams_only():
    device, x = Emulator(), values(6, 6)
    run, there = program(deep, (x,), device), device.upload(x)
    run(there)
    first = weakref.ref(next(iter(run.bindings.values())).frames.by_stream[0][0])
    for stream in range(1, frames.MOST_STREAMS + 2):
        device.current = stream
        run(there)
    gc.collect()
    assert first() is None
    assert len(next(iter(run.bindings.values())).frames.by_stream) == frames.MOST_STREAMS


def test_constants_are_there_for_all_streams():
    x, table = values(6, 6), values(6, 6, seed=1)
    with LateEmulator() as device:
        run = program(lambda x: x * table, (x,), device)
        run(device.upload(x))
        with device.on(1):
            np.testing.assert_array_equal(device.download(run(device.upload(x))[0]), x * table)


def test_calls_wait_for_nothing():
    x = values(6, 6)
    with LateEmulator() as device:
        run, there = program(lambda x: (deep(x), lax.fori_loop(0, 5, lambda i, c: np.sin(c), x)), (x,), device), device.upload(x)
        before = calls("cuStreamSynchronize")
        results = run(there)
        assert calls("cuStreamSynchronize") == before
        assert np.isnan(np.asarray(results[0])).all()
        np.testing.assert_allclose(device.download(results[0]), deep(x), rtol=1e-12)


@pytest.mark.parametrize("has_checks", [False, True])
def test_while_loops_wait_once_a_step(has_checks, launched):
    x = values(70, 70)
    with LateEmulator() as device:
        index = (lambda c: c[(c[:2, 0] % 3).astype(int)][:1]) if has_checks else (lambda c: c[:1])
        function = lambda x: lax.while_loop(  # noqa: E731
            lambda c: np.sum(c) < 1e6, lambda c: c * c + 1 + 0 * index(c), x
        )
        run, there = program(function, (x,), device), device.upload(x)
        steps, c = 0, x
        while np.sum(c) < 1e6:
            steps, c = steps + 1, c * c + 1
        before = calls("cuStreamSynchronize")
        found = run(there)[0]
        checks = bool(next(iter(run.bindings.values())).encoded.checks)
        assert calls("cuStreamSynchronize") - before == steps + 1 + checks
        np.testing.assert_allclose(device.download(found), c, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "f2", "f4", "f8", "c8", "c16"])
def test_numbers_of_the_host_are_handed_to_a_kernel(dtype):
    device, x = Emulator(), values(4)
    number = np.dtype(dtype).type(3)
    run = program(lambda x, a, b: (x * a, a + b), (x, number, 2.5), device)
    uploads = []
    device.upload, original = lambda host: uploads.append(host) or original(host), device.upload
    there = original(x)
    for k in (1, 2, 0):
        a = number * np.dtype(dtype).type(k)
        assert_all_close([np.array(y) for y in run(there, a, 2.5 * k)], [x * a, a + 2.5 * k], 1e-12)
    assert not uploads


# ---- memory that is not there


def test_what_does_not_fit_is_named_and_the_program_goes_on(monkeypatch):
    device, x = Emulator(), values(40)
    run, there = program(lambda x: (np.sum(np.outer(x, x) @ np.outer(x, x)), np.outer(x, x)), (x,), device), device.upload(x)
    wanted = np.sum(np.outer(x, x) @ np.outer(x, x))
    original, left = device.empty, [0]

    def empty(shape, dtype):
        if left[0] == 0 and np.prod(shape) >= 1600:
            raise MemoryError
        left[0] -= 1
        return original(shape, dtype)

    monkeypatch.setattr(device, "empty", empty)
    with pytest.raises(OutOfMemoryError, match=r"on emulator for the temporary values .*: \d{5} bytes"):
        run(there)
    left[0] = 2
    with pytest.raises(MemoryError, match=r"for result 1 of a compiled function: 12800 bytes, float64\[40, 40\]"):
        run(there)
    left[0] = 1 << 30
    np.testing.assert_allclose(run(there)[0], wanted, rtol=1e-12)


def test_what_is_kept_for_later_runs_is_let_go_of_first(monkeypatch):
    device, x = Emulator(), values(40)
    first, second = (program(f, (x,), device) for f in (lambda x: np.sum(np.outer(x, x) @ np.outer(x, x)), np.sin))
    there = device.upload(x)
    first(there)
    frame = weakref.ref(next(iter(first.bindings.values())).frames.by_stream[0][0])
    original = device.empty

    def empty(shape, dtype):
        if frame() is not None:
            raise MemoryError
        return original(shape, dtype)

    monkeypatch.setattr(device, "empty", empty)
    np.testing.assert_allclose(second(there)[0], np.sin(x))


def test_memory_for_temporaries_is_held_until_all_is_launched(monkeypatch):
    device, x = Emulator(), values(600)
    original, made, gone = device.empty, [], []

    def empty(shape, dtype):
        array = original(shape, dtype)
        made.append(weakref.ref(array))
        return array

    def look(v):
        gone.append(sum(array() is None for array in made))
        return v

    def run(x):
        large = np.sin(np.outer(x, x) @ np.outer(x, x))
        looked = ft.pure_callback(look, ft.ShapeDtypeStruct((), float), np.sum(large))
        return looked + np.sum(large * large)

    monkeypatch.setattr(device, "empty", empty)
    found = program(run, (x,), device)
    for _ in range(2):
        made.clear()
        found(device.upload(x))
    assert frames.is_lent(next(iter(found.bindings.values())).encoded)
    assert gone == [0, 0]


# ---- kernels that fail

#: What some threads of a block do not reach is a fault of its kernel.
stuck = ft.elementwise(lambda x: x, cuda="if (x > 0) __syncthreads(); return x;", parameters=("x",))


def faulty(x):
    return np.sin(stuck(x))


def fine(x):
    return np.cos(x) + 1


def test_a_kernel_that_fails_is_among_those_that_are_named_by_whatever_is_called_next():
    x = np.linspace(-1.0, 1.0, 64)
    with LateEmulator() as device:
        wrong, right, there = program(faulty, (x,), device), program(fine, (x,), device), device.upload(x)
        wrong(there)
        with pytest.raises(AssertionError):
            device.synchronize()
        with pytest.raises(DeviceError, match="A kernel failed on emulator, code 719: deadlock in block") as found:
            right(there)
        assert re.search(r"a kernel \(.*sin\) for test_cuda_execution.py:\d+ \(faulty\)", str(found.value))
        assert "config.synchronous" in str(found.value)


def test_a_kernel_that_fails_and_is_the_only_one_is_named():
    x = np.linspace(-1.0, 1.0, 64)
    with LateEmulator() as device:
        wrong, there = program(faulty, (x,), device), device.upload(x)
        wrong(there)
        with pytest.raises(AssertionError):
            device.synchronize()
        with pytest.raises(DeviceError, match=r"A kernel \(.*sin\) failed on emulator, code 719: .*\n.*in faulty"):
            wrong(there)


def test_a_kernel_that_is_waited_for_is_named_itself():
    x = np.linspace(-1.0, 1.0, 64)
    with LateEmulator() as device, ft.config.using(synchronous=True):
        wrong, there = program(lambda x: faulty(x) * np.sum(x), (x,), device), device.upload(x)
        with pytest.raises(DeviceError, match=r"A kernel \(.*\) failed on emulator, code 719: .*\n.*in faulty") as found:
            wrong(there)
        assert "one of" not in str(found.value)


# ---- arrays that are unlike others


def unaligned(device, x, offset):
    room = device.empty((x.nbytes + 64,), np.uint8)
    start = -room.ctypes.data % 64 + offset
    y = np.ndarray(x.shape, x.dtype, room, start)
    y[...] = x
    return y


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "c16"])
def test_arrays_at_any_address_that_their_elements_allow(dtype):
    device, x = Emulator(), (10 * values(64)).astype(dtype)
    run = program(lambda x: (x * 2, np.sum(x)), (x,), device)
    size = np.dtype(dtype).itemsize // (2 if dtype[0] == "c" else 1)
    for offset in (0, size, 3 * size):
        found = run(unaligned(device, x, offset))
        assert_all_close([np.array(y) for y in found], [x * 2, np.sum(x)], 1e-5)
    with pytest.raises(UnsupportedArgumentError, match=f"Argument 0 .*no multiple of {size}"):
        run(unaligned(device, x, size // 2))
    odd = np.ndarray((8,), dtype, device.empty((1000,), np.uint8), 0, (2 * size + size // 2,))
    with pytest.raises(UnsupportedArgumentError, match="strides that are no multiples"):
        run.binding(run.placed([odd])[1])


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0)])
def test_arrays_without_elements(shape):
    device, x = Emulator(), np.zeros(shape)
    functions = {
        "points": lambda x: np.sin(x) * 2, "sum": np.sum, "sums of rows": lambda x: np.sum(x, -1),
        "product": lambda x: np.prod(x, 0), "softmax": lambda x: x - np.sum(x, -1, keepdims=True),
        "cumulative": lambda x: np.cumsum(x, 0), "sort": lambda x: np.sort(x, 0),
        "matrices": lambda x: x @ x.T, "the other way": lambda x: x.T @ x,
        "loop": lambda x: lax.scan(lambda c, v: (c + np.sum(v), c), 0.0, x),
    }  # fmt: skip
    for name, function in functions.items():
        jaxpr = staged(function, (x,))
        found = CudaProgram(jaxpr, fused_for_gpu, device)(device.upload(x))
        assert_all_close([np.array(y) for y in found], interpreted(jaxpr, (x,)), 1e-12), name


def views(x):
    return {
        "reversed": x[::-1, ::-1], "every other": x[::2, 1::3], "transposed": x.T, "backwards": x[::-2, ::-1],
        "broadcast": np.broadcast_to(x[0], x.shape), "one column": x[:, 3:4],
    }  # fmt: skip


@pytest.mark.parametrize("view", views(np.zeros((12, 10))))
def test_strides_of_any_kind(view):
    device, x = Emulator(), views(values(12, 10))[view]
    function = lambda x: (np.exp(x) * x.T.T, np.sum(x, 0), np.sum(x, 1), x @ x.T, np.cumsum(x, 1), x[1:, ::-1])  # noqa: E731
    jaxpr = staged(function, (x,))
    found = CudaProgram(jaxpr, fused_for_gpu, device)(device.upload(x))
    assert_all_close([np.array(y) for y in found], interpreted(jaxpr, (x,)), 1e-12)


def far_apart(shape, strides, dtype, seed=0):
    """An array in memory that is reserved and mostly never touched."""
    size = sum((n - 1) * abs(s) for n, s in zip(shape, strides)) + np.dtype(dtype).itemsize
    memory = reserved(size)
    low = -sum((n - 1) * s for n, s in zip(shape, strides) if s < 0)
    x = np.ndarray(shape, dtype, memory, low, strides)
    x[...] = (10 * values(*shape, seed=seed)).astype(dtype)
    return x


def reserved(size):
    """So many bytes of addresses; pages come with what is written to them."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    no_reserve, private, anonymous = 0x4000, 0x02, 0x20
    address = libc.mmap(None, ctypes.c_size_t(size), 3, private | anonymous | no_reserve, -1, ctypes.c_long(0))
    assert address not in (None, ctypes.c_void_p(-1).value)
    memory = (ctypes.c_char * size).from_address(address)
    weakref.finalize(memory, libc.munmap, ctypes.c_void_p(address), ctypes.c_size_t(size))
    return memory


@pytest.mark.parametrize("strides", [(1 << 33, 8), (8, 1 << 33), (-(1 << 33), 1 << 20), (1 << 31, 1 << 35)])
def test_elements_that_lie_far_apart_are_found_with_64_bits(strides):
    """What arrays of 2**31 elements and more need of addresses, in arrays of few elements."""
    device, x = Emulator(), far_apart((5, 6), strides, "f8")
    w = values(4, 6)
    function = lambda x, w, i: (  # noqa: E731
        np.exp(x) * 2, np.sum(x, 0), np.max(x, 1), np.sum(x), x - np.sum(x, -1, keepdims=True), np.cumsum(x, 0), x[i],
        lax.scan(lambda c, v: (c + v, np.sum(c)), w[0], x),
    )  # fmt: skip
    i = np.array([3, -1, 0])
    jaxpr = staged(function, (np.array(x), w, i))
    run = CudaProgram(jaxpr, fused_for_gpu, device)
    found = run(x, device.upload(w), device.upload(i))
    assert_all_close([np.array(y) for y in found], interpreted(jaxpr, (np.array(x), w, i)), 1e-12)


def test_a_function_of_the_emulator_that_is_called_by_address():
    """Of the emulator: it runs kernels late, in the order of each stream, and stops at the first fault."""
    with LateEmulator() as device:
        text = "KERNEL KERNEL_NAME(int *const x, const int by) { *x = *x * 10 + by; }"
        kernel = device.module({"kernel": text}).function("kernel")
        x = np.zeros(1, np.int32)
        for stream, number in ((1, 1), (2, 2), (1, 3)):
            numbers = (ctypes.c_int64(x.ctypes.data), ctypes.c_int64(number))
            given = (ctypes.c_void_p * 2)(*map(ctypes.addressof, numbers))
            size = (1, 1, 1, 1, 1, 1, 0)
            assert not runtime().emulated_cuLaunchKernel(ctypes.c_void_p(kernel), *size, ctypes.c_void_p(stream), given, None)
        assert x[0] == 0
        runtime().emulated_cuStreamSynchronize(ctypes.c_void_p(2))
        assert x[0] == 2
        runtime().emulated_cuStreamSynchronize(ctypes.c_void_p(1))
        assert x[0] == 213
