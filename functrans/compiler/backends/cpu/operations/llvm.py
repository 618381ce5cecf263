"""The operations that formulas are made of, as LLVM IR."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from .....core.dtypes import is_bfloat16
from .....primitives.scalar_functions import known
from ....loopnest import Apply
from ....operations.complex_values import Complex
from ....operations.conversions import convert
from ....operations.values import DOUBLE, HALF, LIBRARY, SINGLE, SPECIAL, SPECIAL_OF_TWO, Value, where
from .runtime import (
    COMPLEX_SCIPY,
    COMPLEX_SCIPY_FUNCTIONS,
    COMPLEX_WRITTEN_HERE,
    SCIPY,
    SCIPY_FUNCTIONS,
    WRITTEN_HERE,
)

_TYPES: Final = {
    "f8": "double", "f4": "float", "f2": "half", "i8": "i64", "i4": "i32", "i2": "i16", "i1": "i8", "u8": "i64",
    "u4": "i32", "u2": "i16", "u1": "i8", "b1": "i1", "c16": "{double, double}", "c8": "{float, float}",
    "V2": "i16",  # bfloat16, by its bits
}  # fmt: skip
#: Instructions on two operands of a type, for floats and for integers; what depends on the sign is in `_instruction`.
_FLOATS: Final = {
    "add": "fadd", "subtract": "fsub", "multiply": "fmul", "divide": "fdiv", "less": "fcmp olt",
    "less_equal": "fcmp ole", "greater": "fcmp ogt", "greater_equal": "fcmp oge", "equal": "fcmp oeq",
    "not_equal": "fcmp une",
}  # fmt: skip
_INTEGERS: Final = {
    "add": "add", "subtract": "sub", "multiply": "mul", "and": "and", "or": "or", "xor": "xor", "shift_left": "shl",
    "equal": "icmp eq", "not_equal": "icmp ne",
}  # fmt: skip
_SIGNED: Final = {
    "quotient": "sdiv", "shift_right": "ashr", "less": "icmp slt", "less_equal": "icmp sle", "greater": "icmp sgt",
    "greater_equal": "icmp sge",
}  # fmt: skip
_UNSIGNED: Final = {
    "quotient": "udiv", "shift_right": "lshr", "less": "icmp ult", "less_equal": "icmp ule", "greater": "icmp ugt",
    "greater_equal": "icmp uge",
}  # fmt: skip
#: Operations on floats for which LLVM has intrinsics.
_INTRINSICS: Final = {
    "absolute": "fabs", "square_root": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint",
    "copysign": "copysign", "fma": "fma", "multiply_add": "fmuladd",
}  # fmt: skip


@lru_cache(64)
def type_name(dtype: np.dtype[Any]) -> str | None:
    """The LLVM type of a value in a register; None if kernels do not compute with this dtype."""
    return _TYPES.get(dtype.kind + str(dtype.itemsize)) if dtype.isnative else None


@lru_cache(64)
def type_in_memory(dtype: np.dtype[Any]) -> str:
    """The LLVM type of an array element: a boolean is a byte there."""
    return "i8" if dtype.kind == "b" else _TYPES[dtype.kind + str(dtype.itemsize)]


def literal(number: Any, dtype: np.dtype[Any]) -> str:
    """A number as LLVM writes it: floats by the bits of a double, which single precision has as well."""
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        t = type_name(part)
        return f"{{{t} {literal(number.real, part)}, {t} {literal(number.imag, part)}}}"
    if is_bfloat16(dtype):
        return str(int(np.asarray(number).astype(dtype).view(np.uint16)))
    if dtype == HALF:
        return f"0xH{np.float16(number).view(np.uint16):04X}"
    if dtype.kind == "f":
        number = float(number) if dtype == DOUBLE else float(np.float32(number))
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    if dtype.kind == "b":
        return "true" if number else "false"
    return str(int(number))


def vector_literal(number: str, type_: str | None, lanes: int) -> str:
    """A vector of equal numbers of a type."""
    return f"<{', '.join([f'{type_} {number}'] * lanes)}>"


class LlvmCode(NamedTuple):
    """Where instructions are written; the contract is `Code`.

    Attributes:
        emit: writes the right side of an assignment, and returns the register.
        call: `(function, type, operands)` writes the call of a C function with a vector version.
        lanes: how many real numbers each register has, side by side; 0: one number.
    """

    emit: Callable[[str], str]
    call: Callable[..., str]
    lanes: int = 0
    built_in = frozenset()

    def literal(self, number: Any, dtype: np.dtype[Any]) -> str:
        found = literal(number, dtype)
        return vector_literal(found, type_name(dtype), self.lanes) if self.lanes else found

    def type(self, dtype: np.dtype[Any]) -> str:
        type_ = _TYPES[dtype.kind + str(dtype.itemsize)]
        return f"<{self.lanes} x {type_}>" if self.lanes else type_

    def _type(self, x: Value) -> str:
        return self.type(x.dtype)

    def operation(self, name: str, operands: Sequence[Value], dtype: np.dtype[Any]) -> str:
        own = getattr(self, f"_{name}", None)
        if own is not None:
            return own(*operands, dtype)
        x = operands[0]
        if x.dtype.kind == "f" and name in _INTRINSICS:
            return self._intrinsic(_INTRINSICS[name], operands)
        instruction = _instruction(name, x.dtype)
        if instruction is not None:
            return self.emit(f"{instruction} {self._type(x)} {x.register}, {operands[1].register}")
        if name in (*SPECIAL, *SPECIAL_OF_TWO, *LIBRARY):
            return self._scipy(name, operands)
        return self._function(name, *operands)

    def parts(self, register: str, dtype: np.dtype[Any]) -> tuple[str, str]:
        t = type_name(dtype)
        return self.emit(f"extractvalue {t} {register}, 0"), self.emit(f"extractvalue {t} {register}, 1")

    def whole(self, re: Value, im: Value) -> str:
        t = self._type(re)
        half = self.emit(f"insertvalue {{{t}, {t}}} poison, {t} {re.register}, 0")
        return self.emit(f"insertvalue {{{t}, {t}}} {half}, {t} {im.register}, 1")

    def frozen(self, register: str, dtype: np.dtype[Any]) -> str:
        """What was read from memory that is overwritten, frozen: else LLVM makes masked stores of `select(mask, new,
        old)`, which take AMD's processors several times as long as a select. The parts of a complex number are frozen
        one by one, for LLVM has no vectors of pairs."""
        if dtype.kind == "c":
            part = np.dtype(f"f{dtype.itemsize // 2}")
            re, im = (Value(self, part, self.frozen(x, part)) for x in self.parts(register, dtype))
            return self.whole(re, im)
        return self.emit(f"freeze {type_in_memory(dtype)} {register}")

    def written(self, applied: Apply, operands: Sequence[str]) -> str:
        """A function that a user wrote; its booleans are bytes."""
        typed = ", ".join(f"{type_name(e.dtype)} {register}" for e, register in zip(applied.operands, operands))
        function = known[applied.operation].llvm(applied.operation)
        assert function is not None
        found = self.emit(f"call {type_in_memory(applied.dtype)} @{function.name}({typed})")
        return self.emit(f"icmp ne i8 {found}, 0") if applied.dtype.kind == "b" else found

    def complex_function(self, name: str, z: Complex) -> Complex:
        """A function of SciPy, in double precision, which is passed alike everywhere."""
        x, y = (convert(part, DOUBLE).register for part in (z.re, z.im))
        if name in COMPLEX_SCIPY_FUNCTIONS:
            call = f"@{COMPLEX_SCIPY}{COMPLEX_SCIPY_FUNCTIONS[name]}(double {x}, double {y}, i32 0)"
        else:
            call = f"@{COMPLEX_WRITTEN_HERE[name]}(double {x}, double {y})"
        pair = self.emit(f"call {{double, double}} {call}")
        parts = (Value(self, DOUBLE, r) for r in self.parts(pair, np.dtype(np.complex128)))
        return Complex(*(convert(part, z.re.dtype) for part in parts))

    # ---- operations that are no instruction on operands of one type

    def _negate(self, x: Value, dtype: np.dtype[Any]) -> str:
        if x.dtype.kind == "f":
            return self.emit(f"fneg {self._type(x)} {x.register}")
        return self.emit(f"sub {self._type(x)} {self.literal(0, x.dtype)}, {x.register}")

    def _is_nan(self, x: Value, dtype: np.dtype[Any]) -> str:
        return self.emit(f"fcmp uno {self._type(x)} {x.register}, {self.literal(0.0, x.dtype)}")

    def _select(self, condition: Value, x: Value, y: Value, dtype: np.dtype[Any]) -> str:
        return self._selected(condition, x, y, "")

    def _usually(self, condition: Value, x: Value, y: Value, dtype: np.dtype[Any]) -> str:
        """A branch in the end, which processors guess, unless LLVM makes vectors of it."""
        return self._selected(condition, x, y, "" if self.lanes else ", !prof !usual")

    def _selected(self, condition: Value, x: Value, y: Value, hint: str) -> str:
        operands = ", ".join(f"{self._type(o)} {o.register}" for o in (condition, x, y))
        return self.emit(f"select {operands}{hint}")

    def _convert(self, x: Value, dtype: np.dtype[Any]) -> str:
        have = x.dtype
        if have.kind == "f" and dtype.kind == "f":
            instruction = "fpext" if dtype.itemsize > have.itemsize else "fptrunc"
        elif have.kind == "f":
            instruction = "fptosi"
        elif dtype.kind == "f":
            instruction = "sitofp" if have.kind == "i" else "uitofp"
        elif have.itemsize > dtype.itemsize and have.kind != "b":
            instruction = "trunc"
        else:
            instruction = "sext" if have.kind == "i" else "zext"
        return self.emit(f"{instruction} {self._type(x)} {x.register} to {self.type(dtype)}")

    def _reinterpret(self, x: Value, dtype: np.dtype[Any]) -> str:
        if self._type(x) == self.type(dtype):  # LLVM's integers have no sign
            return x.register
        return self.emit(f"bitcast {self._type(x)} {x.register} to {self.type(dtype)}")

    def _count_ones(self, x: Value, dtype: np.dtype[Any]) -> str:
        return self._intrinsic("ctpop", [x])

    def _log(self, x: Value, dtype: np.dtype[Any]) -> str:
        """Logarithms of zeros and negative numbers, which are often masked out, are left out (`_function`)."""
        is_singular = x <= 0.0
        found = Value(self, x.dtype, self._function("log", where(is_singular, 1.0, x)))
        return where(is_singular, where(x == 0.0, x.like(-np.inf), np.nan), found).register

    def _fmod(self, x: Value, y: Value, dtype: np.dtype[Any]) -> str:
        return self._defined("fmodf" if x.dtype == SINGLE else "fmod", x, y)

    def _gcd(self, x: Value, y: Value, dtype: np.dtype[Any]) -> str:
        return self._defined(f"gcd{8 * x.dtype.itemsize}", x, y)

    def _integer_power(self, x: Value, y: Value, dtype: np.dtype[Any]) -> str:
        return self._defined(f"power{8 * x.dtype.itemsize}", x, y)

    def _defined(self, name: str, x: Value, y: Value) -> str:
        t, u = self._type(x), self._type(y)
        return self.emit(f"call {t} @functrans_{name}({t} {x.register}, {u} {y.register})")

    def _function(self, name: str, *operands: Value) -> str:
        """A function of the C library. Its vector versions take ten times as long where one operand is special."""
        x = operands[0]
        return self.call(name + ("f" if x.dtype == SINGLE else ""), self._type(x), [o.register for o in operands])

    def _scipy(self, name: str, operands: Sequence[Value]) -> str:
        """A function of scipy.special, computed in double precision as its ufunc does, or one that stands for it."""
        wide = [f"double {convert(x, DOUBLE).register}" for x in operands]
        if name in WRITTEN_HERE:
            found = self.emit(f"call double @{WRITTEN_HERE[name]}({', '.join(wide)})")
        else:
            found = self.emit(f"call double @{SCIPY}{SCIPY_FUNCTIONS[name]}({', '.join(wide)}, i32 0)")
        return convert(Value(self, DOUBLE, found), operands[0].dtype).register

    def _intrinsic(self, name: str, operands: Sequence[Value]) -> str:
        x = operands[0]
        t, suffix = self._type(x), ("f" if x.dtype.kind == "f" else "i") + str(8 * x.dtype.itemsize)
        full = f"{name}.v{self.lanes}{suffix}" if self.lanes else f"{name}.{suffix}"
        return self.emit(f"call {t} @llvm.{full}({', '.join(f'{t} {o.register}' for o in operands)})")


def _instruction(name: str, dtype: np.dtype[Any]) -> str | None:
    """The instruction on two operands of a dtype, if there is one."""
    if dtype.kind == "f":
        return _FLOATS.get(name)
    return _INTEGERS.get(name) or (_SIGNED if dtype.kind == "i" else _UNSIGNED).get(name)
