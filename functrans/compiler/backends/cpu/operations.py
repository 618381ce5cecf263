"""Scalar operations as LLVM IR: one line each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ...loopnest import Apply

TYPES: Final = {
    "f8": "double", "f4": "float", "i8": "i64", "i4": "i32", "i2": "i16", "i1": "i8", "u8": "i64", "u4": "i32",
    "u2": "i16", "u1": "i8", "b1": "i1",
}  # fmt: skip


def type_name(dtype: np.dtype[Any]) -> str | None:
    """The LLVM type of a value in a register; None if kernels do not compute with this dtype."""
    return TYPES.get(dtype.kind + str(dtype.itemsize)) if dtype.isnative else None


def type_in_memory(dtype: np.dtype[Any]) -> str:
    """The LLVM type of an array element: a boolean is a byte there."""
    return "i8" if dtype.kind == "b" else TYPES[dtype.kind + str(dtype.itemsize)]


#: Functions of the C library with a vector version in libmvec, by the name of the primitive.
VECTOR_FUNCTIONS: Final = {
    "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log2": "log2", "log10": "log10", "log1p": "log1p",
    "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh",
    "cosh": "cosh", "tanh": "tanh", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "cbrt": "cbrt",
    "erf": "erf", "erfc": "erfc", "arctan2": "atan2", "hypot": "hypot", "power": "pow",
}  # fmt: skip

_FLOAT: Final = {
    "add": "fadd {t} {0}, {1}", "add_any": "fadd {t} {0}, {1}", "subtract": "fsub {t} {0}, {1}",
    "multiply": "fmul {t} {0}, {1}", "divide": "fdiv {t} {0}, {1}", "negative": "fneg {t} {0}",
    "positive": "select i1 true, {t} {0}, {t} {0}", "absolute": "call {t} @llvm.fabs.{m}({t} {0})",
    "square": "fmul {t} {0}, {0}", "sqrt": "call {t} @llvm.sqrt.{m}({t} {0})",
    "reciprocal": "fdiv {t} 1.0, {0}", "floor": "call {t} @llvm.floor.{m}({t} {0})",
    "ceil": "call {t} @llvm.ceil.{m}({t} {0})", "trunc": "call {t} @llvm.trunc.{m}({t} {0})",
    "rint": "call {t} @llvm.rint.{m}({t} {0})", "copysign": "call {t} @llvm.copysign.{m}({t} {0}, {t} {1})",
    "equal": "fcmp oeq {t} {0}, {1}", "not_equal": "fcmp une {t} {0}, {1}", "less": "fcmp olt {t} {0}, {1}",
    "less_equal": "fcmp ole {t} {0}, {1}", "greater": "fcmp ogt {t} {0}, {1}",
    "greater_equal": "fcmp oge {t} {0}, {1}", "isnan": "fcmp uno {t} {0}, 0.0",
}  # fmt: skip
_INTEGER: Final = {
    "add": "add {t} {0}, {1}", "add_any": "add {t} {0}, {1}", "subtract": "sub {t} {0}, {1}",
    "multiply": "mul {t} {0}, {1}", "square": "mul {t} {0}, {0}", "negative": "sub {t} 0, {0}",
    "bitwise_and": "and {t} {0}, {1}", "bitwise_or": "or {t} {0}, {1}", "bitwise_xor": "xor {t} {0}, {1}",
    "invert": "xor {t} {0}, -1", "equal": "icmp eq {t} {0}, {1}", "not_equal": "icmp ne {t} {0}, {1}",
}  # fmt: skip
_ORDER: Final = {"less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge"}
_LOGIC: Final = {
    "logical_and": "and i1 {0}, {1}", "logical_or": "or i1 {0}, {1}", "logical_xor": "xor i1 {0}, {1}",
    "logical_not": "xor i1 {0}, true", "bitwise_and": "and i1 {0}, {1}", "bitwise_or": "or i1 {0}, {1}",
    "bitwise_xor": "xor i1 {0}, {1}", "invert": "xor i1 {0}, true", "equal": "icmp eq i1 {0}, {1}",
    "not_equal": "icmp ne i1 {0}, {1}",
}  # fmt: skip

Emit = Callable[[str], str]


def is_supported(applied: Apply) -> bool:
    """Whether kernels have an operation for operands of these dtypes."""
    dtypes = [e.dtype for e in applied.operands]
    if any(type_name(dtype) is None for dtype in (*dtypes, applied.dtype)):
        return False
    name, kind = applied.operation, dtypes[-1].kind
    if name in ("convert", "select"):
        return name == "select" or not (kind == "f" and applied.dtype.kind in "iu")
    if name in ("scale", "scale_both"):
        return kind == "f"
    if name.startswith("reduce_"):
        return kind == "f"
    table = {"f": _FLOAT, "b": _LOGIC}.get(kind, _INTEGER)
    return (
        name in table
        or (kind == "f" and name in (*VECTOR_FUNCTIONS, "maximum", "minimum", "isinf", "isfinite", "sign"))
        or (kind in "iu" and name in (*_ORDER, "maximum", "minimum"))
    )


def emit_operation(applied: Apply, operands: Sequence[str], emit: Emit, call: Callable[..., str]) -> str:
    """Write an operation on registers; the register of its result.

    Args:
        emit: writes the right side of an assignment, and returns the register.
        call: `(function, type, operands)` writes the call of a C function with a vector version.
    """
    name, dtype = applied.operation, applied.operands[-1].dtype
    t, kind = type_name(dtype), dtype.kind
    if name == "convert":
        return _convert(operands[0], dtype, applied.dtype, emit)
    if name == "select":
        return emit(f"select i1 {operands[0]}, {t} {operands[1]}, {t} {operands[2]}")
    if name in ("scale", "scale_both"):
        return _scale(name, t, operands, emit)
    if kind == "f" and name in VECTOR_FUNCTIONS:
        return call(VECTOR_FUNCTIONS[name] + ("f" if dtype.itemsize == 4 else ""), t, operands)
    if name in ("maximum", "minimum"):
        return _extreme(name, t, kind, operands, emit)
    if kind in "iu" and name in _ORDER:
        return emit(f"icmp {'s' if kind == 'i' else 'u'}{_ORDER[name]} {t} {operands[0]}, {operands[1]}")
    if name in ("isinf", "isfinite"):
        size = emit(f"call {t} @llvm.fabs.{_suffix(t)}({t} {operands[0]})")
        return emit(f"fcmp {'oeq' if name == 'isinf' else 'one'} {t} {size}, 0x7FF0000000000000")
    if name == "sign":
        return _sign(t, operands[0], emit)
    template = {"f": _FLOAT, "b": _LOGIC}.get(kind, _INTEGER)[name]
    return emit(template.format(*operands, t=t, m=_suffix(t)))


def _suffix(t: str | None) -> str:
    """How intrinsics call a type."""
    return {"double": "f64", "float": "f32"}.get(t or "", str(t))


def _scale(name: str, t: str | None, operands: Sequence[str], emit: Emit) -> str:
    """The product, zero in place of NaN where a factor that absorbs is zero."""
    x, c = operands
    y = emit(f"fmul {t} {x}, {c}")
    is_nan = emit(f"fcmp uno {t} {y}, 0.0")
    is_zero = emit(f"fcmp oeq {t} {x}, 0.0")
    if name == "scale_both":
        other = emit(f"fcmp oeq {t} {c}, 0.0")
        is_zero = emit(f"or i1 {is_zero}, {other}")
    absorbs = emit(f"and i1 {is_nan}, {is_zero}")
    return emit(f"select i1 {absorbs}, {t} 0.0, {t} {y}")


def _extreme(name: str, t: str | None, kind: str, operands: Sequence[str], emit: Emit) -> str:
    """The first operand if it is NaN or attains the extreme, else the second, as NumPy."""
    x, y = operands
    if kind != "f":
        sign = "s" if kind == "i" else "u"
        keeps = emit(f"icmp {sign}{'ge' if name == 'maximum' else 'le'} {t} {x}, {y}")
    else:
        extreme = emit(f"fcmp {'oge' if name == 'maximum' else 'ole'} {t} {x}, {y}")
        is_nan = emit(f"fcmp uno {t} {x}, 0.0")
        keeps = emit(f"or i1 {extreme}, {is_nan}")
    return emit(f"select i1 {keeps}, {t} {x}, {t} {y}")


def _sign(t: str | None, x: str, emit: Emit) -> str:
    above, below, zero = (emit(f"fcmp {test} {t} {x}, 0.0") for test in ("ogt", "olt", "oeq"))
    at_zero = emit(f"select i1 {zero}, {t} 0.0, {t} {x}")  # NaN stays NaN
    negative = emit(f"select i1 {below}, {t} -1.0, {t} {at_zero}")
    return emit(f"select i1 {above}, {t} 1.0, {t} {negative}")


def _convert(x: str, have: np.dtype[Any], want: np.dtype[Any], emit: Emit) -> str:
    """A cast; those from floats to integers are left to NumPy."""
    a, b = type_name(have), type_name(want)
    if want.kind == "b":
        return emit(f"fcmp une {a} {x}, 0.0" if have.kind == "f" else f"icmp ne {a} {x}, 0")
    if have.kind == "f":
        return emit(f"{'fpext' if want.itemsize > have.itemsize else 'fptrunc'} {a} {x} to {b}")
    if want.kind == "f":
        return emit(f"{'sitofp' if have.kind == 'i' else 'uitofp'} {a} {x} to {b}")
    if have.kind != "b" and have.itemsize == want.itemsize:
        return x
    if have.kind != "b" and have.itemsize > want.itemsize:
        return emit(f"trunc {a} {x} to {b}")
    return emit(f"{'sext' if have.kind == 'i' else 'zext'} {a} {x} to {b}")
