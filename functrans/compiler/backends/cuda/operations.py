"""The operations that formulas are made of, as CUDA C++. The prelude has the types, by NumPy's names of dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ....core.dtypes import is_bfloat16, kind_of
from ....primitives.scalar_functions import PREFIX as WRITTEN
from ....primitives.scalar_functions import known
from ...loopnest import Apply, Expression
from ...operations import COMPLEX_LIBRARY, LIBRARY, SPECIAL, SPECIAL_OF_TWO, Value, has_formula
from ...operations.complex_values import Complex
from ...operations.conversions import convert
from ...operations.values import HALF, SINGLE

_TYPES: Final = frozenset((
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16",
    "float32", "float64", "complex64", "complex128",
))  # fmt: skip
_SYMBOLS: Final = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "quotient": "/", "and": "&", "or": "|", "xor": "^",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=",
    "shift_left": "<<", "shift_right": ">>",
}  # fmt: skip
#: Operations on integers that are done on unsigned ones: in C++, only these may overflow.
_MODULAR: Final = frozenset(("add", "subtract", "multiply", "shift_left"))
_FUNCTIONS: Final = {
    "absolute": "fabs", "square_root": "sqrt", "multiply_add": "fma", "ndtri": "normcdfinv", "i0": "cyl_bessel_i0",
    "i1": "cyl_bessel_i1", "gamma": "tgamma",
}  # fmt: skip
#: Functions of the prelude, which has them in double precision.
_DOUBLE: Final = frozenset(("digamma", "log_ndtr", "i0e", "i1e", *SPECIAL_OF_TWO))
#: Those of `LIBRARY` that CUDA has; in double precision always, for in single they lose digits at their zeros.
OF_CUDA: Final = frozenset(("erfcx", "gamma", "j0", "j1", "y0", "y1"))
#: Functions of the prelude in single precision.
_SINGLE: Final = {"sin": "sine", "cos": "cosine"}
#: Functions of the prelude for integers.
_INTEGER: Final = frozenset(("gcd", "integer_power"))


def type_name(dtype: np.dtype[Any]) -> str | None:
    """The type of a value; None if kernels do not compute with this dtype."""
    return dtype.name if dtype.name in _TYPES and dtype.isnative else None


def supports(expression: Expression) -> bool:
    """Whether kernels know a dtype, and an operation, a reduction (`reduce_add` and so on) or an update on it."""
    if not isinstance(expression, Apply):
        return type_name(expression.dtype) is not None
    if any(type_name(dtype) is None for dtype in (*(e.dtype for e in expression.operands), expression.dtype)):
        return False
    if expression.operation.startswith(WRITTEN):
        return known[expression.operation].cuda_lambda(expression.operation) is not None
    name, is_complex = expression.operation, expression.operands[0].dtype.kind == "c"
    if name in (COMPLEX_LIBRARY if is_complex else LIBRARY):
        return not is_complex and name in OF_CUDA
    if name.startswith(("reduce_", "update_")):
        is_order_needed = name.endswith(("_maximum", "_minimum"))
        return kind_of(expression.dtype) in "fiub" or (expression.dtype.kind == "c" and not is_order_needed)
    return has_formula(expression)


def literal(number: Any, dtype: np.dtype[Any]) -> str:
    """A number as C++ writes it."""
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        return f"{dtype.name}{{{literal(number.real, part)}, {literal(number.imag, part)}}}"
    if dtype == HALF:
        return f"float16{{0x{np.float16(number).view(np.uint16):04x}}}"
    if is_bfloat16(dtype):
        return f"bfloat16{{0x{int(np.asarray(number).astype(dtype).view(np.uint16)):04x}}}"
    if dtype.kind == "f":
        return _float(dtype.type(number), "f" if dtype == SINGLE else "")
    if dtype.kind == "b":
        return "true" if number else "false"
    number = int(number)
    if dtype.itemsize < 4:
        return f"({dtype.name}){number}"
    suffix = ("u" if dtype.kind == "u" else "") + ("ll" if dtype.itemsize == 8 else "")
    return f"({number + 1}{suffix} - 1)" if number == np.iinfo(dtype).min < 0 else f"{number}{suffix}"


def _float(number: Any, suffix: str) -> str:
    bits = 8 * number.dtype.itemsize
    if np.isnan(number):
        return f"nan{bits}()"
    if np.isinf(number):
        return f"{'-' if number < 0 else ''}infinity{bits}()"
    text = str(number)
    return text + ("" if "." in text or "e" in text else ".0") + suffix


class CudaCode:
    """Where statements are written; the contract is `Code`.

    Args:
        write: takes a type and an expression, and returns the name of a new variable.
    """

    #: CUDA's tangent takes 16 instructions in single precision, our formula some 40. Threads may take different ways.
    built_in: Final = frozenset(("exp", "tanh", "i0", "i1", "i0e", "i1e", "modified_bessel", "scaled_modified_bessel"))

    def __init__(self, write: Callable[[str, str], str]):
        self.write = write

    def literal(self, number: Any, dtype: np.dtype[Any]) -> str:
        return literal(number, dtype)

    def operation(self, name: str, operands: Sequence[Value], dtype: np.dtype[Any]) -> str:
        if operands[0].dtype == HALF and name not in ("select", "usually", "reinterpret", "convert"):
            return self._in_single(name, operands, dtype)
        return self.write(dtype.name, self._expression(name, operands, dtype))

    def parts(self, register: str, dtype: np.dtype[Any]) -> tuple[str, str]:
        return f"{register}.re", f"{register}.im"

    def whole(self, re: Value, im: Value) -> str:
        name = f"complex{16 * re.dtype.itemsize}"
        return self.write(name, f"{name}{{{re.register}, {im.register}}}")

    def complex_function(self, name: str, z: Complex) -> Complex:
        raise NotImplementedError(name)  # `supports` says so before

    def written(self, applied: Apply, operands: Sequence[str]) -> str:
        """A function that a user wrote in CUDA C++."""
        function = known[applied.operation].cuda_lambda(applied.operation)
        return self.write(applied.dtype.name, f"{function}({', '.join(operands)})")

    def _in_single(self, name: str, operands: Sequence[Value], dtype: np.dtype[Any]) -> str:
        """An operation on numbers of half precision, which have none of their own here."""
        wide = [Value(self, SINGLE, self.write("float32", f"single({x.register})")) for x in operands]
        result = SINGLE if dtype == HALF else dtype
        return convert(Value(self, result, self.operation(name, wide, result)), dtype).register

    def _expression(self, name: str, operands: Sequence[Value], dtype: np.dtype[Any]) -> str:
        x, registers = operands[0], [o.register for o in operands]
        if name in _SYMBOLS:
            return _infix(name, x.dtype, registers, dtype)
        if name == "negate":
            return f"-{registers[0]}" if dtype.kind == "f" else _infix("subtract", dtype, ["0", *registers], dtype)
        if name in ("select", "usually"):
            return f"{registers[0]} ? {registers[1]} : {registers[2]}"
        if name == "is_nan":
            return f"{registers[0]} != {registers[0]}"
        if name == "reinterpret":
            return f"reinterpret<{dtype.name}>({registers[0]})"
        if name == "convert":
            return _cast(registers[0], x.dtype, dtype)
        if name == "count_ones":
            return f"({dtype.name})__popcll((uint64){registers[0]})"
        if name in _INTEGER:
            return f"{name}({', '.join(registers)})"
        if name in _DOUBLE or name in OF_CUDA:
            wide = ", ".join(f"(float64){register}" for register in registers)
            return f"({dtype.name}){_FUNCTIONS.get(name, name)}({wide})"
        if dtype == SINGLE:
            return f"{_SINGLE.get(name, _FUNCTIONS.get(name, name) + 'f')}({', '.join(registers)})"
        return f"{_FUNCTIONS.get(name, name)}({', '.join(registers)})"


def _infix(name: str, operands: np.dtype[Any], registers: Sequence[str], dtype: np.dtype[Any]) -> str:
    x, y = registers
    symbol = _SYMBOLS[name]
    if operands.kind not in "iu":
        return f"{x} {symbol} {y}"
    if name in _MODULAR:
        wide = "uint64" if operands.itemsize == 8 else "uint32"
        return f"({dtype.name})(({wide}){x} {symbol} ({wide}){y})"
    return f"{x} {symbol} {y}" if dtype.kind == "b" else f"({dtype.name})({x} {symbol} {y})"


def _cast(register: str, have: np.dtype[Any], want: np.dtype[Any]) -> str:
    single = f"single({register})" if have == HALF else register
    return f"half((float32){single})" if want == HALF else f"({want.name}){single}"


__all__ = ["SPECIAL", "CudaCode", "literal", "supports", "type_name"]
