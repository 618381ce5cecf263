"""What is kept of traces, programs and machine code: for whom, for how long, and what becomes of it when it is damaged."""

from __future__ import annotations

import functools
import gc
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.api.jit import Jitted
from functrans.api.traces import traces_of
from functrans.compiler import accesses, disk
from functrans.compiler.backends.cpu import engine as engines
from functrans.compiler.backends.cpu import machine_code, native, tiers
from functrans.compiler.backends.cpu.engine import engine
from functrans.compiler.disk import DiskCache
from functrans.core.jaxpr import Jaxpr
from functrans.settings import processors

ROOT = Path(__file__).parents[2]
KEYS = [f"{share:02x}{'0' * 37}{number}" for share in (0, 255) for number in range(3)]
X = np.linspace(0.1, 1.0, 5)

_numbers = count(10)


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    """What every process compiles is there already, and of what tests of other files have left nothing but that."""
    ft.clear_caches()
    gc.unfreeze()  # it is garbage only now (conftest.survivors)
    gc.collect()
    gc.freeze()
    ft.jit(lambda x: np.sin(x))(X)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for machine code, and nothing in memory."""
    monkeypatch.setenv("FUNCTRANS_CACHE_DIR", str(tmp_path))
    ft.clear_caches()
    return tmp_path / "objects"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that LLVM compiles from now on."""
    texts: list[str] = []
    original = engines._Compiler._new_object

    def spy(self: Any, text: str) -> bytes:
        texts.append(text)
        return original(self, text)

    monkeypatch.setattr(engines._Compiler, "_new_object", spy)
    return texts


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def new_function() -> Callable[[Any], Any]:
    """A function whose machine code nobody has yet: numbers that are added are part of the text."""
    number = float(next(_numbers)) + 0.125
    return lambda x: np.sin(x) + number


def forget() -> None:
    """As if in another process, but for what runs instructions."""
    ft.clear_caches()
    gc.collect()


# ---- the folder itself


def test_what_is_put_is_got(tmp_path):
    cache = DiskCache(str(tmp_path / "a" / "b"), 1 << 24)
    for number, key in enumerate(KEYS):
        assert cache.get(key) is None
        cache.put(key, b"x" * number)
    assert [cache.get(key) for key in KEYS] == [b"x" * number for number in range(6)]
    cache.put(KEYS[0], b"other")
    assert cache.get(KEYS[0]) == b"other"
    cache.clear()
    assert not files(tmp_path)


def test_clear_leaves_the_files_of_others(tmp_path):
    cache = DiskCache(str(tmp_path), 1 << 24)
    cache.put(KEYS[0], b"x")
    (tmp_path / "letter").write_text("dear")
    cache.clear()
    assert files(tmp_path) == [tmp_path / "letter"]


def test_folders_are_nobody_elses(tmp_path):
    cache = DiskCache(str(tmp_path / "new"), 1 << 24)
    cache.put(KEYS[0], b"x")
    if os.name == "posix":
        assert Path(cache.path(KEYS[0])).parent.stat().st_mode & 0o077 == 0
        assert Path(cache.path(KEYS[0])).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data + b"more",
        lambda data: bytes(len(data)),
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:],
        lambda data: b"functrans machine code 0\n" + data[25:],
        lambda data: b"PK\x03\x04 something else altogether" * 100,
    ],
    ids=["less", "half", "nothing", "more", "zeros", "bit", "checksum", "format", "foreign"],
)
def test_damage_is_a_miss(folder, compiled, damage):
    f = new_function()
    want = ft.jit(f)(X)
    assert len(compiled) == 1
    assert len(files(folder)) == 1
    for path in files(folder):
        path.write_bytes(damage(path.read_bytes()))
    forget()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(ft.jit(f)(X), want)
    assert len(compiled) == 2
    forget()
    np.testing.assert_array_equal(ft.jit(f)(X), want)  # the damaged file was replaced
    assert len(compiled) == 2


def test_the_content_of_another_key_is_a_miss(tmp_path):
    cache = DiskCache(str(tmp_path), 1 << 24)
    cache.put(KEYS[0], b"x")
    os.replace(cache.path(KEYS[0]), cache.path(KEYS[1]))
    assert cache.get(KEYS[1]) is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users have no numbers here")
def test_files_of_another_user_are_not_run(tmp_path, monkeypatch):
    cache = DiskCache(str(tmp_path), 1 << 24)
    cache.put(KEYS[0], b"x")
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert cache.get(KEYS[0]) == (b"x" if owner == 0 else None)  # what is the administrator's may be


def test_size_is_bounded(tmp_path):
    cache = DiskCache(str(tmp_path), disk.SHARES * 5 * disk.BLOCK)
    keys = [f"07{number:038x}" for number in range(40)]
    for key in keys:
        cache.put(key, b"x" * 3000)
        assert len(files(tmp_path)) <= 5
    assert cache.get(keys[-1]) is not None
    cache.put(keys[0], b"x" * 6 * disk.BLOCK)  # more than there is room for at all
    assert cache.get(keys[0]) is None


def test_what_was_used_least_recently_goes_first(tmp_path):
    cache = DiskCache(str(tmp_path), disk.SHARES * 4 * disk.BLOCK)
    keys = [f"07{number:038x}" for number in range(5)]
    for age, key in enumerate(keys[:4]):
        cache.put(key, b"x")
        then = time.time() - 100_000 + age
        os.utime(cache.path(key), (then, then))
    assert cache.get(keys[0]) == b"x"  # used just now
    cache.put(keys[4], b"x")
    assert [cache.get(key) is not None for key in keys] == [True, False, False, True, True]


def test_what_was_never_finished_goes(tmp_path):
    cache = DiskCache(str(tmp_path), 1 << 24)
    cache.put(KEYS[0], b"x")
    old, new = (Path(cache.path(KEYS[0])).with_name(name) for name in (".old", ".new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1.0, 1.0))
    cache.put(KEYS[1], b"x")
    assert not old.exists()
    assert new.exists()
    assert cache.get(KEYS[0]) == b"x"


def without_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("makedirs", "replace", "utime", "remove"):
        monkeypatch.setattr(os, name, fails)


def test_a_read_only_folder_can_be_read(folder, compiled, monkeypatch):
    f, g = new_function(), new_function()
    want = ft.jit(f)(X)
    for path in files(folder):
        os.utime(path, (1.0, 1.0))
    forget()
    without_writing(monkeypatch)
    np.testing.assert_array_equal(ft.jit(f)(X), want)
    assert len(compiled) == 1
    assert ft.jit(g)(X).shape == X.shape
    ft.clear_caches(disk=True)  # as far as possible
    assert len(compiled) == 2


@pytest.mark.parametrize("place", ["a file", "under a file", "forbidden", "nameless"])
def test_a_folder_that_cannot_be(tmp_path, monkeypatch, compiled, place):
    (tmp_path / "file").write_text("here first")
    (tmp_path / "closed").mkdir(mode=0o500)
    folders = {
        "a file": tmp_path / "file", "under a file": tmp_path / "file" / "folder", "forbidden": tmp_path / "closed",
        "nameless": tmp_path / ("x" * 300),
    }  # fmt: skip
    monkeypatch.setenv("FUNCTRANS_CACHE_DIR", str(folders[place]))
    forget()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ft.jit(new_function())(X).shape == X.shape
        ft.clear_caches(disk=True)
    assert len(compiled) == 1


def test_half_a_write_leaves_nothing(tmp_path, monkeypatch):
    cache = DiskCache(str(tmp_path), 1 << 24)

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    cache.put(KEYS[0], b"x")
    assert not files(tmp_path)


def test_settings_turn_it_off(folder, compiled):
    f = new_function()
    with ft.config.using(disk_cache=False):
        ft.jit(f)(X)
        assert not files(folder)
    forget()
    ft.jit(f)(X)
    assert len(files(folder)) == 1
    forget()
    with ft.config.using(disk_cache=False):
        ft.jit(f)(X)
    assert len(compiled) == 3
    for name, value in (("disk_cache", 1), ("disk_cache", None), ("disk_cache_size", 0), ("disk_cache_size", 1.5)):
        with pytest.raises(ValueError, match=name):
            setattr(ft.config, name, value)


def test_the_usual_folder_is_the_users(monkeypatch):
    monkeypatch.delenv("FUNCTRANS_CACHE_DIR")
    found = disk.disk_cache()
    assert found is None or "functrans" in found.folder
    monkeypatch.setattr(disk, "_usual_folder", lambda: "~/.cache/functrans")  # where there is no home
    assert disk.disk_cache() is None
    disk.clear_disk()


# ---- between processes

PROGRAM = """
import sys
import threading
import numpy as np
import scipy.special
import functrans as ft
from functrans.compiler.backends.cpu import engine

compiled = []
original = engine._Compiler._new_object
engine._Compiler._new_object = lambda self, text: (compiled.append(text), original(self, text))[1]

def loss(w, x):
    return np.sum(np.tanh(x @ w) ** 2)

def step(c, x):
    return np.sin(c) + x, c.sum()

results = [
    ft.jit(lambda x: np.sin(x) * 2 + 1)(np.ones(1000)),
    ft.jit(lambda x: np.cos(x) * 3)(np.ones(100_000)).sum(),
    ft.jit(ft.grad(loss))(np.ones((3, 2)), np.ones((4, 3))),
    ft.jit(lambda xs: ft.lax.scan(step, xs[0], xs))(np.ones((4, 100)))[1],
    ft.jit(lambda x: x + np.float16(2))(np.ones(3, np.float16)),
    ft.jit(lambda x: scipy.special.gammaln(x) + np.fmod(x, 2.5))(np.arange(1.0, 4)),
]
print(len(compiled), *(float(np.sum(x)) for x in results))
"""


def process(folder: Path, program: str = PROGRAM, **environment: str) -> subprocess.Popen[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT), "FUNCTRANS_CACHE_DIR": str(folder)} | environment
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def output(running: subprocess.Popen[str]) -> list[str]:
    with running:
        out, err = running.communicate(timeout=600)
    assert running.returncode == 0, err
    assert err == ""
    return out.split()


def test_processes_share_machine_code(tmp_path):
    first, *want = output(process(tmp_path))
    assert int(first) > 5
    again, *got = output(process(tmp_path))
    assert again == "0"
    assert got == want
    off, *got = output(process(tmp_path, FUNCTRANS_CACHE="0"))
    assert off == first
    assert got == want


def test_processes_may_write_at_once(tmp_path):
    running = [process(tmp_path) for _ in range(3)]
    results = [output(one)[1:] for one in running]
    assert results[0] == results[1] == results[2]
    assert not [path for path in files(tmp_path) if path.name.startswith(".")]
    assert output(process(tmp_path))[0] == "0"


# ---- threads that compile


def several(x: Any) -> Any:
    """Enough kernels for several threads, each worth compiling thoroughly at once."""
    return np.sin(x).sum(0), np.cos(x).sum(1), np.sort(x, 0) * x, np.tanh(x).max()


@pytest.mark.skipif(processors() < 2, reason="one processor compiles one by one")
def test_objects_are_the_same_whoever_makes_them(folder, compiled, monkeypatch):
    names = set()
    original = engines._object
    monkeypatch.setattr(engines, "_object", lambda *args: (names.add(threading.get_ident()), original(*args))[1])
    x = np.random.default_rng(0).uniform(size=(400, 500))
    with ft.config.using(threads=2):
        got = ft.jit(several)(x)
    assert len(compiled) > 3
    assert names - {threading.get_ident()}
    objects = {path.name: path.read_bytes() for path in files(folder)}
    forget()
    shutil.rmtree(folder)
    with ft.config.using(threads=1):
        again = ft.jit(several)(x)
    assert objects == {path.name: path.read_bytes() for path in files(folder)}
    for one, other in zip(got, again):
        np.testing.assert_array_equal(one, other)


def test_an_interpreter_that_shuts_down_compiles_without_threads(tmp_path):
    program = """
import atexit
import numpy as np
import functrans as ft

x = np.ones((400, 500))
f = ft.jit(lambda x: (np.sin(x).sum(0), np.cos(x).sum(1), np.tanh(x).max()))
atexit.register(lambda: print(float(f(x)[2])))
"""
    assert output(process(tmp_path, program)) == [str(float(np.tanh(1.0)))]


# ---- what keys depend on


def test_other_machines_and_other_ways_have_other_keys(monkeypatch):
    keys = {compiler.key("text") for compiler in (engine().quick, engine().thorough, engine().plain)}
    monkeypatch.setattr(engine(), "identity", engine().identity.replace(engine().cpu, "other"))
    keys |= {compiler.key("text") for compiler in (engine().quick, engine().thorough, engine().plain)}
    keys.add(engine().quick.key("texts"))
    assert len(keys) == 7


def test_code_without_vector_functions_is_other_code(folder, compiled, monkeypatch):
    if not engine().has_vector_functions:
        pytest.skip("there are none on this machine")
    f = new_function()
    ft.jit(f)(X)
    forget()
    monkeypatch.setattr(engine(), "has_vector_functions", False)
    ft.jit(f)(X)
    assert len(compiled) == 2
    forget()


def test_better_code_is_used_where_there_is_some(folder, compiled):
    f = new_function()
    ft.jit(f)(np.ones(200_000))  # worth compiling thoroughly
    kernels = [text for text in compiled if "RUN_PROGRAM" not in text]
    assert len(kernels) == 1
    forget()
    ft.jit(f)(X)  # worth compiling quickly
    assert [text for text in compiled if "RUN_PROGRAM" not in text] == kernels


# ---- machine code in memory


def test_programs_share_machine_code(compiled):
    number = next(_numbers) + 0.125
    with ft.config.using(disk_cache=False):
        ft.jit(lambda x: np.sin(x) + number)(X)
        ft.jit(lambda y: np.sin(y) + number)(X)
    assert len(compiled) == 1


def test_machine_code_is_freed(monkeypatch):
    monkeypatch.setattr(machine_code, "KEPT", 4)
    monkeypatch.setattr(machine_code, "FUNCTIONS_IN_PAGES", 2)
    some = ft.jit(new_function())
    for _ in range(3):
        some(X)  # the quick way in is made once for all
    del some
    forget()
    before = {id(x) for x in _alive(machine_code.Pages)}
    functions = []
    for _ in range(3):
        functions.append(ft.jit(new_function()))
        functions[-1](X)
    for _ in range(20):
        ft.jit(new_function())(X)
    after = [x for x in _alive(machine_code.Pages) if id(x) not in before]
    assert len(after) <= 6
    for f in functions:
        assert f(X).shape == X.shape  # what is in use is still there
    del functions, f, after
    forget()
    assert len([x for x in _alive(machine_code.Pages) if id(x) not in before]) <= 1  # room for what comes


def _alive(*types: type) -> list[Any]:
    gc.collect()
    return [x for x in gc.get_objects() if type(x) in types]


def test_functions_take_everything_with_them():
    def use() -> weakref.ref[Any]:
        def f(x: Any) -> Any:
            return np.sum(np.sin(x) * x)

        ft.jit(f)(X)
        ft.jit(ft.grad(f))(X)
        ft.grad(ft.jit(f))(X)
        ft.vmap(ft.jit(f))(X[None])
        ft.jit(lambda xs: ft.lax.scan(lambda c, x: (c * x, c), 1.0, xs))(X)
        ft.jit(ft.checkpoint(f))(X)
        return weakref.ref(f)

    kinds = Jaxpr, native.NativeProgram, native.Binding, Jitted
    use()
    before = len(_alive(*kinds))
    references = [use() for _ in range(40)]
    assert len(_alive(*kinds)) == before
    assert all(reference() is None for reference in references)


# ---- traces


def test_jits_of_one_function_share_its_traces():
    calls = []

    def f(x):
        calls.append(x)
        return x * 2.0

    for _ in range(3):
        ft.jit(f)(X)
    assert len(calls) == 1
    ft.jit(f, donate_argnums=0)(X.copy())
    assert len(calls) == 2
    ft.jit(f, static_argnums=0)(2.0)
    ft.jit(f, static_argnums=0)(2.0)
    assert len(calls) == 3


def test_a_function_that_has_changed_is_traced_again():
    scale = 2.0

    def f(x, shift=0.0):
        return x * scale + shift

    assert ft.jit(f)(1.0) == 2.0
    scale = 3.0
    assert ft.jit(f)(1.0) == 3.0
    f.__defaults__ = (1.0,)
    assert ft.jit(f)(1.0) == 4.0
    f.__code__ = (lambda x, shift: x - shift).__code__.replace(co_freevars=f.__code__.co_freevars)
    assert ft.jit(f)(1.0) == 0.0


def test_what_wraps_a_function_has_traces_of_its_own():
    def f(x):
        return x * 2.0

    assert ft.jit(f)(1.0) == 2.0

    @functools.wraps(f)
    def g(x):
        return x * 3.0

    assert ft.jit(g)(1.0) == 3.0
    assert ft.jit(f)(1.0) == 2.0


def test_callables_that_are_no_functions():
    class Scaled:
        def __init__(self, number):
            self.number = number

        def __call__(self, x):
            return x * self.number

        def method(self, x):
            return x + self.number

    a = Scaled(2.0)
    assert ft.jit(a)(1.0) == 2.0
    a.number = 3.0
    assert ft.jit(a)(1.0) == 3.0
    assert ft.jit(a.method)(1.0) == 4.0
    assert ft.jit(functools.partial(pow, 2.0))(3.0) == 8.0


def module_function(x):
    return x + 1.0


def test_functions_with_traces_can_be_pickled():
    ft.jit(module_function)(X)
    traces, table = traces_of(module_function, ())
    assert pickle.loads(pickle.dumps(module_function)) is module_function
    copied = pickle.loads(pickle.dumps(vars(module_function)))  # as those pickle a function who do so by value
    assert all(not value.tables for value in copied.values())
    assert traces.is_of(module_function)


def test_clear_caches_forgets_traces_and_programs():
    calls = []

    @ft.jit
    def f(x):
        calls.append(x)
        return np.sin(x) * 2

    want = f(X)
    f(X)
    before = len(_alive(native.NativeProgram))
    assert len(calls) == 1
    ft.clear_caches()
    assert len(_alive(native.NativeProgram)) < before
    np.testing.assert_array_equal(f(X), want)
    assert len(calls) == 2


def test_clear_caches_on_disk(folder):
    f = new_function()
    ft.jit(f)(X)
    ft.clear_caches()
    assert len(files(folder)) == 1
    ft.clear_caches(disk=True)
    assert not folder.exists()
    assert ft.jit(f)(X).shape == X.shape


def test_clear_caches_during_calls(compiled):
    @ft.jit
    def f(x):
        ft.debug.callback(lambda _: ft.clear_caches(), x)
        return x + 1.0

    for number in range(3):
        assert f(float(number)) == number + 1.0


# ---- a second shape


def shaped(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def scanned(xs: Any) -> Any:
    return ft.lax.scan(lambda c, x: (np.sin(c) + x, c * x), xs[0], xs)


def attended(q: Any, k: Any, v: Any) -> Any:
    return ft.nn.softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v


#: None of the extents is tiny: those would be part of the text of a kernel.
SECOND_SHAPES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]] = {
    "elementwise": (lambda x, y: np.sin(x) * y, (shaped(17, 15), shaped(15)), (shaped(31, 11), shaped(11))),
    "outer": (lambda x, y: x[:, None] - y, (shaped(17), shaped(15)), (shaped(31), shaped(11))),
    "transposed": (lambda x, y: x.T + y, (shaped(17, 15), shaped(15, 17)), (shaped(30, 50), shaped(50, 30))),
    "sum": (lambda x: x.sum(), (shaped(17),), (shaped(31),)),
    "sum of rows": (lambda x: x.sum(1), (shaped(17, 16),), (shaped(20, 31),)),
    "sum of columns": (lambda x: x.sum(0), (shaped(17, 16),), (shaped(31, 20),)),
    "mean": (lambda x: x.mean(), (shaped(17),), (shaped(31),)),
    "mean in half the room": (lambda x: x.mean(), (shaped(17).astype("f4"),), (shaped(31).astype("f4"),)),
    "mean of a power of two": (lambda x: x.mean(), (shaped(64),), (shaped(256),)),
    "variance": (lambda x: x.var(0), (shaped(17, 13),), (shaped(31, 19),)),
    "softmax": (lambda x: ft.nn.softmax(x), (shaped(17, 13),), (shaped(31, 19),)),
    "layer norm": (
        lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5),
        (shaped(17, 13),),
        (shaped(31, 19),),
    ),
    "matrices": (lambda x, y: np.tanh(x @ y), (shaped(17, 13), shaped(13, 15)), (shaped(31, 19), shaped(19, 18))),
    "batches": (
        lambda x, y: np.einsum("bij,bjk->bik", x, y) * 2,
        (shaped(17, 13, 14), shaped(17, 14, 15)),
        (shaped(31, 19, 18), shaped(31, 18, 17)),
    ),
    "many matrices": (
        lambda x, y: (np.linalg.solve(x, y), *np.linalg.qr(x)),
        (shaped(17, 13, 13), shaped(17, 13, 1)),
        (shaped(31, 19, 19), shaped(31, 19, 1)),
    ),
    "attention": (attended, (shaped(15, 13), shaped(17, 13), shaped(17, 14)), (shaped(19, 18), shaped(20, 18), shaped(20, 16))),
    "scan of numbers": (scanned, (shaped(17),), (shaped(31),)),
    "scan of rows": (scanned, (shaped(17, 300),), (shaped(19, 350),)),
    "gradient of a scan": (
        ft.grad(lambda xs: scanned(xs)[0].sum()),
        (shaped(17, 300),),
        (shaped(19, 350),),
    ),
    "stencil": (lambda x: x[2:, 1:-1] + x[:-2, 1:-1] - x[1:-1, 2:], (shaped(17, 18),), (shaped(31, 40),)),
    "joined": (lambda x: np.concatenate([x, x * 2]), (shaped(17),), (shaped(31),)),
    "looked up": (lambda x, i: x[i] * 2, (shaped(17), np.array([1, -1])), (shaped(31), np.array([3, -1, 2]))),
    "an offset": (lambda x, i: ft.lax.dynamic_slice(x, (i,), (3,)) * 2, (shaped(17), 2), (shaped(31), 3)),
    "gradient": (
        ft.grad(lambda w, x, y: np.mean((np.tanh(x @ w) - y) ** 2)),
        (shaped(17), shaped(15, 17), shaped(15)),
        (shaped(31), shaped(16, 31), shaped(16)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SECOND_SHAPES)
def test_a_second_shape_compiles_nothing(name, compiled, monkeypatch):
    monkeypatch.setattr(tiers, "PAYS", 1 << 60)  # the larger one may be worth compiling thoroughly
    f, first, second = SECOND_SHAPES[name]
    with ft.config.using(disk_cache=False):
        forget()
        program = ft.jit(lambda *args: f(*args))
        program(*first)
        assert compiled or name == "sum"
        compiled.clear()
        got = program(*second)
        assert compiled == []
    with ft.config.using(backend="interpreter"):
        want = ft.jit(lambda *args: f(*args))(*second)
    for x, y in zip(ft.tree.leaves(got), ft.tree.leaves(want)):
        np.testing.assert_allclose(x, y, rtol=1e-6 if y.dtype == np.float32 else 1e-12, atol=1e-12)


def test_numbers_of_a_formula_are_part_of_the_text(compiled):
    """Two programs whose divisors differ share machine code; a divisor that is a power of two is a factor."""
    with ft.config.using(disk_cache=False):
        forget()
        results = [ft.jit(eval(f"lambda x: x / {number} + np.cos(x)", {"np": np}))(X) for number in (3.5, 7.0)]
        assert len(compiled) == 1
        halves = [ft.jit(eval(f"lambda x: x / {number} + np.cos(x)", {"np": np}))(X) for number in (8.0, 0.25)]
    assert len(compiled) == 2
    for got, number in zip([*results, *halves], (3.5, 7.0, 8.0, 0.25)):
        np.testing.assert_allclose(got, X / number + np.cos(X), rtol=1e-15)


def test_many_numbers_stay_in_the_text(compiled):
    """A kernel has no more numbers as arguments than there are registers for."""
    numbers = np.linspace(1.5, 9.25, accesses.MOST_NUMBERS + 4)

    def f(x):
        for number in numbers:
            x = x * float(number)
        return x

    np.testing.assert_allclose(ft.jit(f)(X), X * np.prod(numbers), rtol=1e-13)
    assert "%k" not in "".join(compiled)
