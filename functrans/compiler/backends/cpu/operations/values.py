"""Scalars in registers, with the operators of Python: operations are written as the formulas that they are."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

BOOL: Final = np.dtype(np.bool_)
HALF, SINGLE, DOUBLE = (np.dtype(t) for t in (np.float16, np.float32, np.float64))
_TYPES: Final = {
    "f8": "double", "f4": "float", "f2": "half", "i8": "i64", "i4": "i32", "i2": "i16", "i1": "i8", "u8": "i64",
    "u4": "i32", "u2": "i16", "u1": "i8", "b1": "i1", "c16": "{double, double}", "c8": "{float, float}",
}  # fmt: skip
_SUFFIXES: Final = {"double": "f64", "float": "f32", "half": "f16"}
Number = bool | int | float


def type_name(dtype: np.dtype[Any]) -> str | None:
    """The LLVM type of a value in a register; None if kernels do not compute with this dtype."""
    return _TYPES.get(dtype.kind + str(dtype.itemsize)) if dtype.isnative else None


def type_in_memory(dtype: np.dtype[Any]) -> str:
    """The LLVM type of an array element: a boolean is a byte there."""
    return "i8" if dtype.kind == "b" else _TYPES[dtype.kind + str(dtype.itemsize)]


def literal(number: Any, dtype: np.dtype[Any]) -> str:
    """A number as LLVM writes it: floats by the bits of a double, which single precision has as well."""
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        t = type_name(part)
        return f"{{{t} {literal(number.real, part)}, {t} {literal(number.imag, part)}}}"
    if dtype == HALF:
        return f"0xH{np.float16(number).view(np.uint16):04X}"
    if dtype.kind == "f":
        number = float(number) if dtype == DOUBLE else float(np.float32(number))
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    if dtype.kind == "b":
        return "true" if number else "false"
    return str(int(number))


class Code(NamedTuple):
    """Where instructions are written.

    Attributes:
        emit: writes the right side of an assignment, and returns the register.
        call: `(function, type, operands)` writes the call of a C function with a vector version.
    """

    emit: Callable[[str], str]
    call: Callable[..., str]


class Value:
    """A scalar: its register or literal, and its dtype. Python numbers take the dtype of what they meet.

    Attributes:
        number: what it is, where that is known.
    """

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("code", "dtype", "number", "register")

    def __init__(self, code: Code, dtype: np.dtype[Any], register: str, number: Any = None):
        self.code = code
        self.dtype = dtype
        self.register = register
        self.number = number

    @property
    def type(self) -> str:
        return _TYPES[self.dtype.kind + str(self.dtype.itemsize)]

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"

    def emit(self, right_side: str, dtype: np.dtype[Any] | None = None) -> Value:
        """The result of an instruction, by default of the dtype of this value."""
        return Value(self.code, dtype or self.dtype, self.code.emit(right_side))

    def like(self, other: Value | Number) -> Value:
        """A Python number as a value of the dtype of this one."""
        if isinstance(other, Value):
            return other
        return Value(self.code, self.dtype, literal(other, self.dtype), other)

    def _with(self, instruction: str, other: Value | Number, dtype: np.dtype[Any] | None = None) -> Value:
        return self.emit(f"{instruction} {self.type} {self.register}, {self.like(other).register}", dtype)

    def __add__(self, other: Value | Number) -> Value:
        return self._with("fadd" if self.is_float else "add", other)

    def __sub__(self, other: Value | Number) -> Value:
        return self._with("fsub" if self.is_float else "sub", other)

    def __mul__(self, other: Value | Number) -> Value:
        return self._with("fmul" if self.is_float else "mul", other)

    def __truediv__(self, other: Value | Number) -> Value:
        return self._with("fdiv", other)

    def __radd__(self, other: Number) -> Value:
        return self.like(other) + self

    def __rsub__(self, other: Number) -> Value:
        return self.like(other) - self

    def __rmul__(self, other: Number) -> Value:
        return self.like(other) * self

    def __rtruediv__(self, other: Number) -> Value:
        return self.like(other) / self

    def __neg__(self) -> Value:
        return self.emit(f"fneg {self.type} {self.register}") if self.is_float else 0 - self

    def __invert__(self) -> Value:
        return self._with("xor", True if self.dtype.kind == "b" else -1)

    def __and__(self, other: Value | Number) -> Value:
        return self._with("and", other)

    def __or__(self, other: Value | Number) -> Value:
        return self._with("or", other)

    def __xor__(self, other: Value | Number) -> Value:
        return self._with("xor", other)

    def __lshift__(self, other: Value | Number) -> Value:
        """Undefined unless the other is less than the number of bits."""
        return self._with("shl", other)

    def __rshift__(self, other: Value | Number) -> Value:
        """Undefined unless the other is less than the number of bits."""
        return self._with("ashr" if self.dtype.kind == "i" else "lshr", other)

    def _compared(self, ordered: str, order: str, other: Value | Number) -> Value:
        if self.is_float:
            return self._with(f"fcmp {ordered}", other, BOOL)
        sign = "" if order in ("eq", "ne") else "s" if self.dtype.kind == "i" else "u"
        return self._with(f"icmp {sign}{order}", other, BOOL)

    def __lt__(self, other: Value | Number) -> Value:
        return self._compared("olt", "lt", other)

    def __le__(self, other: Value | Number) -> Value:
        return self._compared("ole", "le", other)

    def __gt__(self, other: Value | Number) -> Value:
        return self._compared("ogt", "gt", other)

    def __ge__(self, other: Value | Number) -> Value:
        return self._compared("oge", "ge", other)

    def __eq__(self, other: Value | Number) -> Value:  # type: ignore[override]
        return self._compared("oeq", "eq", other)

    def __ne__(self, other: Value | Number) -> Value:  # type: ignore[override]
        return self._compared("une", "ne", other)


def where(condition: Value, x: Value | Number, y: Value | Number) -> Value:
    """x where the condition holds, else y; at least one of them is a value."""
    if not isinstance(x, Value):
        assert isinstance(y, Value)
        x = y.like(x)
    return x.emit(f"select i1 {condition.register}, {x.type} {x.register}, {x.type} {x.like(y).register}")


def quotient(x: Value, y: Value) -> Value:
    """The quotient of integers, towards zero. Undefined for a divisor of zero, and where it overflows."""
    return x._with("sdiv" if x.dtype.kind == "i" else "udiv", y)


def intrinsic(name: str, x: Value, *others: Value | Number) -> Value:
    """An operation that LLVM has for all floats."""
    operands = ", ".join(f"{x.type} {x.like(o).register}" for o in (x, *others))
    return x.emit(f"call {x.type} @llvm.{name}.{_SUFFIXES[x.type]}({operands})")


def fabs(x: Value) -> Value:
    return intrinsic("fabs", x)


def sqrt(x: Value) -> Value:
    return intrinsic("sqrt", x)


def floor(x: Value) -> Value:
    return intrinsic("floor", x)


def copysign(x: Value | Number, y: Value) -> Value:
    return intrinsic("copysign", y.like(x), y)


def fma(x: Value, y: Value | Number, z: Value | Number) -> Value:
    """x * y + z with one rounding."""
    return intrinsic("fma", x, y, z)


def is_nan(x: Value) -> Value:
    return x._with("fcmp uno", 0.0, BOOL)


def is_infinite(x: Value) -> Value:
    return fabs(x) == float("inf")


def bits(x: Value) -> Value:
    """The bits of a float as a signed integer."""
    dtype = np.dtype(f"i{x.dtype.itemsize}")
    return x.emit(f"bitcast {x.type} {x.register} to {_TYPES[dtype.str[1:]]}", dtype)


def from_bits(i: Value) -> Value:
    """The float that has the bits of an integer."""
    dtype = np.dtype(f"f{i.dtype.itemsize}")
    return i.emit(f"bitcast {i.type} {i.register} to {_TYPES[dtype.str[1:]]}", dtype)


def function(name: str) -> Callable[..., Value]:
    """A function of the C library with a vector version, by its name for double precision."""

    def applied(x: Value, *others: Value) -> Value:
        full = name + ("f" if x.dtype == SINGLE else "")
        return Value(x.code, x.dtype, x.code.call(full, x.type, [x.register, *(o.register for o in others)]))

    return applied
