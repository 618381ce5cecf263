"""How native programs behave: many threads, forks, callbacks, Ctrl-C, errors, warnings, memory."""

from __future__ import annotations

import gc
import inspect
import os
import resource
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import errors, lax
from functrans.compiler.backends.cpu import codegen, native, threads, tiers
from functrans.compiler.program import fused
from functrans.settings import processors
from tests.helpers.bits import assert_same_bits
from tests.helpers.guarded import in_child
from tests.helpers.interruptions import interrupted
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import TIERS, natively, staged, tier

fnp = ft.numpy
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="made for Linux")


# ---- threads


def mixture(x: Any, n: Any) -> Any:
    """Kernels, temporaries, a loop in registers and one in memory, a branch, a library call."""
    y = np.sort(np.sin(x) * n)
    z, rows = lax.scan(lambda c, a: (c[::-1] + a, c.sum()), y, x[:5])
    k = lax.fori_loop(0, n, lambda i, k: k * 1.5 + x[i], 0.0)
    return lax.cond(n > 3, lambda: z * k, lambda: z - k), rows, x @ y


@pytest.mark.parametrize("size", [8, 400])
@pytest.mark.parametrize("function", [mixture, lambda x, n: (np.cumsum(x * n)[::-1] * 2, np.sum(x) + n)], ids=["mixture", "simple"])
def test_one_function_from_eight_threads(function: Any, size: int) -> None:
    f = ft.jit(function)
    random = np.random.default_rng(0)
    args = [(random.normal(size=size), int(n)) for n in random.integers(1, 7, 8)]
    wanted = [ft.tree.leaves(ft.jit(function)(*own)) for own in args]
    start = threading.Barrier(8)

    def many(number: int) -> None:
        start.wait()
        for _ in range(60):
            assert_all_close(ft.tree.leaves(f(*args[number])), wanted[number], 1e-12)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(many, range(8)))


def test_large_arrays_from_eight_threads() -> None:
    f = ft.jit(lambda x: (np.sin(x) * 2, np.sum(x), np.max(x * x)))
    x = np.random.default_rng(0).normal(size=(300, 400))
    wanted = f(x)
    with ft.config.using(threads=2), ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: f(x), range(80)):
            assert_all_close(found, wanted, 1e-13)


def test_a_function_that_calls_itself_from_a_callback() -> None:
    depths: list[int] = []

    def deeper(x: Any) -> Any:
        depths.append(len(depths))
        return np.asarray(f(x - 1)) if x[0] > 0 else x * 0.0

    @ft.jit
    def f(x: Any) -> Any:
        y = x * 3
        below = ft.pure_callback(deeper, ft.ShapeDtypeStruct((4,), float), x)
        return y + below * 2

    def plain(x: Any) -> Any:
        return x * 3 + (plain(x - 1) if x[0] > 0 else x * 0.0) * 2

    x = np.full(4, 5.0)
    np.testing.assert_array_equal(f(x), plain(x))
    assert len(depths) >= 6
    np.testing.assert_array_equal(f(x), plain(x))


def test_numbers_of_threads_agree() -> None:
    x = np.random.default_rng(0).normal(size=(700, 500))
    elementwise = ft.jit(lambda x: (np.sin(x) * np.exp(-x * x), x[::-1].T * 2, np.where(x > 0, x, -x)))
    reductions = ft.jit(lambda x: (np.sum(x), np.sum(x, 0), np.sum(x, 1), np.mean(np.exp(x)), np.max(x, 0)))
    found = {}
    for count in (1, 2, 4, 64):
        with ft.config.using(threads=count):
            found[count] = [*elementwise(x)], [*reductions(x)]
    for count in (2, 4, 64):
        assert_same_bits(found[count][0], found[1][0])
        for y, z in zip(found[count][1], found[1][1]):
            np.testing.assert_allclose(y, z, rtol=1e-12, atol=1e-11)


def test_programs_that_run_on_threads_have_the_quick_way_in() -> None:
    f = ft.jit(lambda x: np.sin(x) + 1)
    x = np.linspace(0, 1, 1_000_000)
    for _ in range(3):
        np.testing.assert_allclose(f(x), np.sin(x) + 1, rtol=1e-14)
    assert f._quick.plain
    with ft.config.using(threads=1):
        np.testing.assert_allclose(f(x), np.sin(x) + 1, rtol=1e-14)


@LINUX
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking a process with threads
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_forked_processes(size: int) -> None:
    f = ft.jit(lambda x: (np.sin(x) + 1, np.sum(x), x[:10] @ x[:10]))
    x = np.arange(float(size)) / size
    wanted = f(x)
    large = f(np.arange(1_000_000.0) / size)  # the parent has threads by now
    elementwise = ft.jit(lambda x: np.sin(x) + 1)
    elementwise(np.ones(1_000_000))
    assert large is not None

    def work(say: Callable[[str], None]) -> None:
        threading.Timer(600, lambda: os._exit(77)).start()
        for _ in range(3):
            say("calling what the parent compiled")
            assert_all_close(f(x), wanted, 1e-13)
        say("calling what runs on threads")
        elementwise(np.ones(1_000_000))
        assert processors() == 1 or threads._workers
        say("compiling")
        assert_all_close([ft.jit(lambda x: np.cos(x) * 3)(x)], [np.cos(x) * 3], 1e-13)

    in_child(work)
    assert_all_close(f(x), wanted, 1e-13)


@pytest.mark.parametrize("layout", ["plain", "turned"])
def test_threads_do_not_outnumber_processors(layout: str) -> None:
    assert processors() >= 1
    x = np.ones((600, 600)) if layout == "plain" else np.ones((600, 600)).T
    with ft.config.using(threads=1000):
        np.testing.assert_array_equal(ft.jit(lambda x: x + np.sqrt(x))(x), np.full((600, 600), 2.0))


# ---- Ctrl-C

LONG_LOOPS = {
    "while loop": "lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, np.cos(c[1][::-1])), (0, np.ones(500)))",
    "while loop in registers": "lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, np.cos(c[1])), (0, 1.0))",
    "recurrence": "lax.fori_loop(0, n, lambda i, x: x * 1.0000001 + 1e-9, 1.0)",
    "heavy recurrence": "lax.fori_loop(0, n, lambda i, x: np.sin(np.exp(np.cos(np.tan(x)))) + x[::-1], np.arange(12.0))",
    "recurrence of known length": "lax.fori_loop(0, 10**10, lambda i, x: x * 1.0000001 + n, 1.0)",
    "scan": "lax.scan(lambda c, _: (np.sin(c * 1.1)[::-1] + c.sum(), None), np.ones(500) * n, None, length=10**9)",
    "scan of little work": "lax.scan(lambda c, _: (c[::-1] * 1.5, None), np.ones(300) * n, None, length=10**9)",
    "loop that calls a library": "lax.fori_loop(0, n, lambda i, x: np.sort(x)[::-1] * 1.0, np.arange(500.0))",
    "loop that calls Python": "lax.fori_loop(0, n, lambda i, x: ft.pure_callback(np.flip, x, x) * 1.0, np.arange(500.0))",
    "nested loops": "lax.fori_loop(0, n, lambda i, x: lax.fori_loop(0, n, lambda j, y: np.cos(y)[::-1], x), np.ones(400))",
    "recurrence in a loop": "lax.fori_loop(0, n, lambda i, x: np.sort(x) * lax.fori_loop(0, 5000, lambda j, y: np.cos(y), x[0]), np.ones(400))",
}  # fmt: skip

INTERRUPTION = """
import os, signal, sys, threading
import numpy as np
import functrans as ft
from functrans import lax

for name, loop in LOOPS:
    f = ft.jit(eval("lambda n: " + loop))
    if "10**" not in loop:
        before = f(4)
    try:
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        f(10**9)
        sys.exit(name + " came to an end")
    except KeyboardInterrupt:
        pass
    if "10**" not in loop:
        for x, y in zip(ft.tree.leaves(f(4)), ft.tree.leaves(before)):
            np.testing.assert_array_equal(x, y)
"""


@LINUX
@pytest.mark.parametrize("half", [0, 1])
def test_ctrl_c(half: int) -> None:
    loops = [*LONG_LOOPS.items()][half::2]
    run_apart(INTERRUPTION.replace("LOOPS", repr(loops)))


def run_apart(code: str) -> str:
    """Run a program in a new process; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0 and not done.stderr, f"{done.returncode}: {done.stdout}{done.stderr}"  # noqa: PT018
    return done.stdout


@LINUX
def test_handlers_of_signals_run_and_may_raise_anything() -> None:
    run_apart(
        """
        import os, signal, threading, time
        import numpy as np
        import functrans as ft
        from functrans import lax

        class Enough(Exception):
            pass

        rings = []
        def ring(*_):
            rings.append(1)
            if len(rings) == 3:
                raise Enough("three times")

        signal.signal(signal.SIGUSR1, ring)
        f = ft.jit(lambda n: lax.while_loop(lambda c: c < n, lambda c: c + np.cos(c) ** 2, 0.0))
        f(1.0)
        def ring_on():  # more often than needed: two signals at once are one
            while True:
                time.sleep(0.1)
                os.kill(os.getpid(), signal.SIGUSR1)

        try:
            threading.Thread(target=ring_on, daemon=True).start()
            f(np.inf)
        except Enough as error:
            assert str(error) == "three times"
        assert len(rings) >= 3
        """
    )


def test_other_threads_run_meanwhile() -> None:
    f = ft.jit(lambda n: lax.fori_loop(0, n, lambda i, x: np.cos(x) * 1.1, 1.0))
    f(1)
    interrupted(lambda: f(10**15), meanwhile=lambda: [time.sleep(0.001) for _ in range(20)])


# ---- errors


def line_of(function: Any, part: str) -> str:
    """`file:number` of the line of a function's source that has some text in it."""
    lines, start = inspect.getsourcelines(function)
    (number,) = (i for i, line in enumerate(lines) if part in line)
    return f"{os.path.basename(__file__)}:{start + number}"


def out_of_bounds(x: Any, i: Any) -> Any:
    y = np.sin(x)
    z = y[i] + 1  # here
    return z * y


def out_of_bounds_in_a_loop(x: Any, i: Any) -> Any:
    def body(k: Any, c: Any) -> Any:
        return c + x[k + i]  # here

    return lax.fori_loop(0, 3, body, 0.0)


def out_of_bounds_in_a_large_loop(x: Any, i: Any) -> Any:
    def body(c: Any, k: Any) -> Any:
        d = c * 2
        return fnp.at(d)[k + i].set(7), d.sum()  # here

    return lax.scan(body, np.ones(300) * x[0], np.arange(1, 300, 100))


def out_of_bounds_in_a_branch(x: Any, i: Any) -> Any:
    def yes() -> Any:
        return np.take(x, np.stack([i, i * 3]))  # here

    return lax.cond(i > 2, yes, lambda: x[:2])


def out_of_bounds_in_reverse(x: Any, i: Any) -> Any:
    def loss(x: Any) -> Any:
        def body(c: Any) -> Any:
            return c[0] + 1, c[1] * np.sin(x[c[0]])  # here

        return lax.while_loop(lambda c: c[0] < i, body, (0, 1.0))[1]

    return ft.grad(loss)(x)


@pytest.mark.parametrize("function", [
    out_of_bounds, out_of_bounds_in_a_loop, out_of_bounds_in_a_large_loop, out_of_bounds_in_a_branch,
    out_of_bounds_in_reverse,
])  # fmt: skip
@pytest.mark.parametrize("bad", [400, 10**15])
def test_an_index_out_of_bounds_names_the_line(function: Any, bad: int) -> None:
    x = np.arange(1.0, 8.0)
    bad = min(bad, 400) if function is out_of_bounds_in_reverse else bad
    f = ft.jit(function)
    for _ in range(2):
        wanted = ft.tree.leaves(f(x, 2))
        with pytest.raises(IndexError) as caught:
            f(x, bad)
        assert type(caught.value) is errors.OutOfBoundsError
        assert line_of(function, "# here") in str(caught.value)
        assert "out of bounds" in str(caught.value)
        assert_all_close(ft.tree.leaves(f(x, 2)), wanted, 0)


@pytest.mark.parametrize("tier_name", [*TIERS])
@pytest.mark.parametrize("index", [5, -6, 2**63 - 1, -(2**63), 2**31])
@pytest.mark.parametrize("shape", [(), (3,), (2, 2)], ids=str)
def test_indices_of_all_kinds_are_checked(index: int, shape: Any, tier_name: str) -> None:
    x, i = np.arange(5.0), np.full(shape, index)
    for function in (lambda x, i: x[i], lambda x, i: fnp.at(x)[i].set(1), lambda x, i: fnp.at(x)[i].add(1)):
        jaxpr = staged(function, (x, i))
        with pytest.raises(errors.OutOfBoundsError):
            natively(jaxpr, (x, i), tier_name)
        assert_same_bits([x], [np.arange(5.0)])


@pytest.mark.parametrize("index", [2**64 - 1, 2**64 - 6, 2**63, 4, 5])
def test_large_unsigned_indices(index: int) -> None:
    """NumPy takes them for negative ones."""
    x, i = np.arange(5.0), np.array([0, index], np.uint64)
    f = ft.jit(lambda x, i: x[i] * 2)
    try:
        wanted = x[i] * 2
    except IndexError:
        with pytest.raises(IndexError):
            f(x, i)
        return
    assert_same_bits([f(x, i)], [wanted])


def test_errors_of_callbacks_stay_as_they_are() -> None:
    class Mine(Exception):
        pass

    def fails(x: Any) -> Any:
        if x > 3:
            raise Mine("of my own")
        return x

    f = ft.jit(lambda x: lax.fori_loop(0, 9, lambda i, c: ft.pure_callback(fails, c, c) + 1.0, x))
    with pytest.raises(Mine, match="of my own") as caught:
        f(0.0)
    assert any(entry.name == "fails" for entry in caught.traceback)
    assert f(-20.0) == -11


def test_an_error_in_a_callback_names_its_own_line() -> None:
    table = ft.jit(lambda x, i: x[i])  # at fault

    def inner(i: Any) -> Any:
        return np.asarray(table(np.arange(3.0), int(i)))

    f = ft.jit(lambda i: ft.pure_callback(inner, ft.ShapeDtypeStruct((), float), i) * 2)
    assert f(1) == 2
    with pytest.raises(errors.OutOfBoundsError) as caught:
        f(7)
    assert line_of(test_an_error_in_a_callback_names_its_own_line, "# at " + "fault") in str(caught.value)


@pytest.mark.parametrize("start", [
    np.uint64(2**64 - 1), np.uint64(2**63), np.uint64(1), np.int64(-2), np.int8(-3), np.uint8(200), np.int64(-(2**63)),
])  # fmt: skip
def test_starts_of_slices_are_moved_into_bounds(start: Any) -> None:
    f = ft.jit(lambda x, i: (lax.dynamic_slice(x, (i,), (2,)) * 1, lax.dynamic_update_slice(x, np.ones(2), (i,))))
    x = np.arange(6.0)
    with ft.config.using(backend="interpreter"):
        wanted = f(x, start)
    assert_same_bits([*f(x, start)], [*wanted])


# ---- no memory


@pytest.fixture
def huge() -> int:
    """More numbers than any machine has room for, though not more than can be counted."""
    return 1 << 45


def test_no_room_for_a_result(huge: int) -> None:
    f = ft.jit(lambda x: (x + 1, np.broadcast_to(x, (huge,)) * 2))
    for _ in range(2):
        with pytest.raises(MemoryError, match=rf"result 1 .* {8 * huge} bytes, float64\[{huge}\]") as caught:
            f(np.ones(1))
        assert type(caught.value) is errors.OutOfMemoryError


def test_no_room_for_temporary_values(huge: int) -> None:
    f = ft.jit(lambda x: np.sum(np.sort(np.broadcast_to(x, (huge,)) * 2)))
    with pytest.raises(errors.OutOfMemoryError, match="the temporary values"):
        f(np.ones(1))
    assert f.lower(np.ones(1)) is not None


def test_more_bytes_than_can_be_counted() -> None:
    with pytest.raises(MemoryError, match="result 0"):
        ft.jit(lambda x: np.broadcast_to(x, (1 << 62,)) * 2)(np.ones(1))


# ---- LLVM refuses


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiplications that LLVM does not know."""
    emit = codegen.Writer.emit

    def changed(self: Any, right_side: str) -> str:
        return emit(self, right_side.replace("fmul ", "fmultiply "))

    monkeypatch.setattr(codegen.Writer, "emit", changed)


def test_a_kernel_that_cannot_be_compiled(broken: None) -> None:
    f = ft.jit(lambda x: (np.sin(x) * 2.5, np.max(x), x))
    x = np.arange(3.0)
    with pytest.warns(errors.NativeCompilationWarning) as caught:
        first = f(x)
    (warning,) = caught
    text = str(warning.message)
    assert all(part in text for part in ("sin", "2.5", "range(3)", "fmultiply", "expected instruction", "interpreted"))
    assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = f(x)
    for found in (first, second):
        assert_all_close(found, (np.sin(x) * 2.5, 2.0, x), 1e-15)


def test_a_kernel_that_compiles_quickly_only() -> None:
    with tier("quick"), pytest.MonkeyPatch.context() as monkeypatch:
        x = np.arange(3.0)
        program = native.NativeProgram(staged(lambda x: x * 2.75, (x,)), fused)
        program(x)
        compile_ = native.engine().compile

        def refuse(writers: Any, is_quick: bool) -> Any:
            if is_quick:
                return compile_(writers, is_quick)
            raise RuntimeError("too hard")

        monkeypatch.setattr(native.engine(), "compile", refuse)
        (binding,) = program.bindings.values()
        binding.tiers.calls_left[0] = 3
        monkeypatch.setattr(tiers, "PAYS", 0)
        with pytest.warns(errors.NativeCompilationWarning, match="too hard") as caught:
            found = [program(x)[0] for _ in range(9)]
        assert len(caught) == 1
        assert_same_bits(found, [x * 2.75] * 9)


# ---- leaks


def resident() -> float:
    """The memory of this process, in MiB."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def grown(work: Callable[[], None], times: int) -> float:
    """By how many MiB memory grows, once everything that is kept is there."""
    for _ in range(times // 3):
        work()
    before = resident()
    for _ in range(times):
        work()
    return resident() - before


@LINUX
def test_calls_keep_no_memory() -> None:
    f = ft.jit(mixture)
    callback = ft.jit(lambda x: ft.pure_callback(np.sort, ft.ShapeDtypeStruct((40,), float), x) * 2)
    fails = ft.jit(lambda x, i: x[i] * np.sort(x))
    x = np.arange(40.0)

    def work() -> None:
        f(x, 4)
        callback(x)
        with pytest.raises(IndexError):
            fails(x, 50)

    assert grown(work, 1500) < 4


def test_large_results_are_given_back() -> None:
    f = ft.jit(lambda x: np.sort(x * 2)[::-1] + x)
    x = np.ones(1_000_000)
    assert grown(lambda: f(x).sum(), 30) < 40


def compilations(times: int) -> float:
    x = np.arange(6.0)

    def work() -> None:
        f = ft.jit(lambda x: lax.scan(lambda c, a: (np.tanh(c + a), c), 0.0, np.sort(x) * 2))
        f(x)

    return grown(work, times)


@LINUX
def test_compilations_keep_no_memory() -> None:
    assert compilations(150) < 8


@LINUX
@pytest.mark.slow
def test_ten_thousand_compilations_keep_no_memory() -> None:
    assert compilations(10_000) < 64
