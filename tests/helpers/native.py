"""One operation of the CPU backend on arrays, compiled as the kernels are: a loop that LLVM may vectorise."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from itertools import count
from typing import Any

import numpy as np

from functrans.compiler.backends.cpu import engine as engines
from functrans.compiler.backends.cpu.operations import (
    emit_operation,
    is_supported,
    literal,
    runtime_symbols,
    runtime_text,
    type_in_memory,
)
from functrans.compiler.backends.cpu.writer import Writer
from functrans.compiler.loopnest import Apply, Constant, Load, constant

_numbers = count()


def applied(operation: str, operands: Sequence[Any], dtype: Any) -> Apply:
    """The operation on elements of arrays, and on numbers as constants of the first array's dtype."""
    dtypes = [x.dtype for x in operands if isinstance(x, np.ndarray)]
    leaves = [
        Load(k, (), x.dtype) if isinstance(x, np.ndarray) else constant(x, dtypes[0]) for k, x in enumerate(operands)
    ]
    return Apply(operation, tuple(leaves), np.dtype(dtype))


def supported(operation: str, operands: Sequence[Any], dtype: Any) -> bool:
    """Whether the backend has the operation."""
    return is_supported(applied(operation, operands, dtype))


def native(operation: str, operands: Sequence[Any], dtype: Any, fresh: bool = False) -> np.ndarray:
    """The results on one-dimensional arrays of one length; `fresh`: compiled anew, whatever was compiled before."""
    arrays = [np.ascontiguousarray(x) for x in operands if isinstance(x, np.ndarray)]
    size = len(arrays[0])
    key = applied(operation, operands, dtype), fresh
    out = np.full(size, 77).astype(dtype)
    function = compiled.__wrapped__(*key) if fresh else compiled(*key)
    if size:
        function(*(x.ctypes.data for x in (*arrays, out)), size)
    return out


@cache
def compiled(operation: Apply, fresh: bool = False) -> Any:
    """The function of a loop, by ctypes."""
    writer = loop(operation)
    if fresh:
        writer.lines.append(f"; {next(_numbers)}")  # the engine knows functions by their text
    if not hasattr(engines, "runtime_text"):  # the engine itself sees to that otherwise
        text = "\n".join(writer.lines)
        for name, address in runtime_symbols(text).items():
            engines.engine().llvm.add_symbol(name, address)
        writer.lines.insert(0, runtime_text(text))
    (code,) = engines.engine().compile([writer], False)
    arrays = [e for e in operation.operands if isinstance(e, Load)]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(arrays) + 1), ctypes.c_int64)(code.address)
    function.code = code  # the machine code lives no longer than this
    return function


def loop(operation: Apply) -> Writer:
    """A function of the addresses of the operands, that of the results, and their length (not zero)."""
    w = Writer()
    loads = [k for k, e in enumerate(operation.operands) if isinstance(e, Load)]
    parameters = ", ".join([*(f"ptr noalias %x{k}" for k in loads), "ptr noalias %out", "i64 %n"])
    w.lines.append(f"define void @{engines.NAME}({parameters}) #0 {{")
    w.label("entry")
    w.write("br label %body")
    w.label("body")
    w.lines.append("  %i = phi i64 [0, %entry], [%next, %body]")
    registers = [
        literal(e.number, e.dtype) if isinstance(e, Constant) else _element(w, f"%x{k}", e.dtype)
        for k, e in enumerate(operation.operands)
    ]
    value = emit_operation(operation, registers, w.emit, w.call)
    t, size = type_in_memory(operation.dtype), _alignment(operation.dtype)
    if operation.dtype.kind == "b":
        value = w.emit(f"zext i1 {value} to i8")
    place = w.emit(f"getelementptr {t}, ptr %out, i64 %i")
    w.write(f"store {t} {value}, ptr {place}, align {size}")
    w.lines.append("  %next = add nuw nsw i64 %i, 1")
    w.write(f"br i1 {w.emit('icmp slt i64 %next, %n')}, label %body, label %end")
    w.label("end")
    w.write("ret void")
    w.lines.append("}")
    return w


def _element(w: Writer, array: str, dtype: np.dtype[Any]) -> str:
    t = type_in_memory(dtype)
    place = w.emit(f"getelementptr {t}, ptr {array}, i64 %i")
    value = w.emit(f"load {t}, ptr {place}, align {_alignment(dtype)}")
    return w.emit(f"icmp ne i8 {value}, 0") if dtype.kind == "b" else value


def _alignment(dtype: np.dtype[Any]) -> int:
    return dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize


def ulps(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Errors in units in the last place of what is wanted (in more precision than what is got, if need be).

    Infinite where one is NaN or infinite and the other is not.
    """
    rounded = want.astype(got.dtype)
    place = np.spacing(np.maximum(np.abs(rounded), np.finfo(got.dtype).tiny))
    with np.errstate(all="ignore"):
        error = np.abs((got.astype(want.dtype) - want) / place.astype(want.dtype)).astype(float)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    odd = ~np.isfinite(got) | ~np.isfinite(rounded)
    return np.where(odd, np.where(same, 0.0, np.inf), error)
