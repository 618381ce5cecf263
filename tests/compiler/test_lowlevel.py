"""Low-level functions: as machine code they do what they do as Python."""

import ast
import ctypes
import struct
from array import array
from importlib.machinery import SourcelessFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from py_compile import compile as compile_file
from zipfile import ZipFile
from zipimport import zipimporter

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("llvmlite")

from functrans.compiler.backends.cpu import runtime as cpu_runtime
from functrans.compiler.backends.cpu.engine import engine
from functrans.compiler.backends.cpu.lowlevel.modules import Module
from functrans.compiler.backends.cpu.lowlevel.translation import PREFIX, signature, translated
from functrans.compiler.backends.cuda import runtime as cuda_runtime
from functrans.errors import MissingPackageError
from tests.helpers import lowlevel_functions

KEEP = """
@kept = internal global double 0.0
define internal i64 @keep(double %x) {
  store double %x, ptr @kept
  ret i64 ptrtoint (ptr @kept to i64)
}
"""
INTS = st.integers(-50, 50)


@ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
def called(values, is_right):
    return 10 * is_right + (values != 0)


@pytest.fixture(scope="module")
def compiled():
    """The functions of lowlevel_functions, compiled."""
    module = Module([lowlevel_functions], inserted=KEEP)
    symbols = {f"{PREFIX}WHERE": 12345, f"{PREFIX}CALLED": ctypes.cast(called, ctypes.c_void_p).value}
    addresses = engine().plain.added(module, symbols)
    return {name: ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 2)(at) for name, at in addresses.items()}


class Memory:
    """Numbers as Words."""

    def __init__(self, values, start=0):
        self.values, self.start = values, start

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Memory(self.values, self.start + index.start)
        return self.values[self.start + index]

    def __setitem__(self, index, value):
        self.values[self.start + index] = value

    def __iter__(self):  # of two numbers that follow each other
        return iter(self.values[self.start : self.start + 2])


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("greatest_divisor", st.tuples(st.integers(0, 10**12), st.integers(0, 10**12))),
        ("steps_to_one", st.tuples(st.integers(0, 10**6))),
        ("primes_below", st.tuples(st.integers(-5, 200))),
        ("kind_of", st.tuples(INTS, INTS)),
        ("steps_of_newton", st.tuples(INTS, INTS)),
        ("comparisons_of_floats", st.tuples(st.integers(-3, 3), st.integers(-3, 3))),
        ("first_repeated", st.tuples(st.integers(0, 999))),
    ],
)
def test_numbers(compiled, name, numbers):
    @given(numbers)
    def check(args):
        assert compiled[name](*args, *[0] * (2 - len(args))) == getattr(lowlevel_functions, name)(*args)

    check()


@pytest.mark.parametrize("name", ["sort", "sum_of_pairs"])
def test_memory(compiled, name):
    @given(st.lists(INTS, min_size=2, max_size=20).filter(lambda x: len(x) % 2 == 0))
    def check(values):
        count = len(values) if name == "sort" else len(values) // 2
        memory, expected = array("q", values), list(values)
        found = compiled[name](memory.buffer_info()[0], count)
        assert found == getattr(lowlevel_functions, name)(Memory(expected), count)
        assert list(memory) == expected

    check()


def test_operations_on_memory(compiled):
    bits = struct.unpack("q", struct.pack("d", -1.25))[0] | 0xFF
    memory = array("q", [bits, (7 << 32) | 9, 1, -1, *[-1] * 6])
    assert compiled["memory_operations"](memory.buffer_info()[0], 0) == 11
    low = struct.unpack("i", struct.pack("q", bits)[:4])[0]
    assert list(memory)[4:] == [255, low, (7 << 32) | 5, 1, abs(low), 12345]


def test_atomic_operations(compiled):
    memory = array("q", [0, 0])
    assert compiled["atomic_operations"](memory.buffer_info()[0], 0) == 3 + 8
    assert list(memory) == [16, 100]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(x: int) -> int:\n    return g(x)", "g is not known"),
        ("def f(x: int) -> int:\n    return [x][0]", "have no List"),
        ("def f(x: int) -> int:\n    with x:\n        pass", "have no With"),
        ("def f(x: int) -> int:\n    if x > 0:\n        y = 1\n    return y", "y has no value"),
        ("def f(x: int) -> int:\n    x = x > 0\n    return x", "x has two types"),
        ("def f(x: int) -> int:\n    del x", "have no Delete"),
    ],
)
def test_what_cannot_be_translated(source, message):
    (node,) = ast.parse(source).body
    with pytest.raises(SyntaxError, match=message):
        translated(node, {"f": signature(node)}, {})


def test_modules_say_what_they_depend_on():
    modules = [
        cpu_runtime.RUNTIME, cpu_runtime.ENTER, cpu_runtime.CALL, cuda_runtime.RUNTIME, cuda_runtime.ENTER
    ]  # fmt: skip
    digests = [module.digest for module in modules]
    assert len(set(digests)) == len(digests)
    assert digests == [Module(module.files, module.inserted).digest for module in modules]
    changed = Module(cpu_runtime.CALL.files, "; nothing")
    assert changed.digest != cpu_runtime.CALL.digest
    for module in modules:
        assert engine().llvm.parse_assembly(module.text).verify() is None


def imported(name, loader):
    """A module that a loader finds."""
    found = module_from_spec(spec_from_loader(name, loader))
    loader.exec_module(found)
    return found


def test_texts_in_archives(tmp_path):
    with ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(lowlevel_functions.__file__, "archived.py")
    file = imported("archived", zipimporter(str(tmp_path / "all.zip")))
    found, wanted = (Module([x], inserted=KEEP) for x in (file, lowlevel_functions))
    assert found.functions.keys() == wanted.functions.keys()
    assert (found.text, found.digest) == (wanted.text, wanted.digest)


def test_bytecode_without_texts_is_refused(tmp_path):
    path = tmp_path / "bare.pyc"
    compile_file(Path(lowlevel_functions.__file__), cfile=path)
    file = imported("bare", SourcelessFileLoader("bare", str(path)))
    with pytest.raises(MissingPackageError, match="only their bytecode.*\n(.*\n)*.*begins with bare"):
        _ = Module([file]).digest
