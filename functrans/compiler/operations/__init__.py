"""Scalar operations of kernels, for every backend: tables of formulas, by the kind of number that they are for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ...core.dtypes import is_bfloat16, is_half, kind_of
from ...primitives.scalar_functions import PREFIX as WRITTEN
from ..loopnest import Apply, Constant, Expression
from .complex_values import Complex, as_complex, choose, convert_complex, read, written
from .complexes import COMPLEXES
from .conversions import convert
from .integers import BOOLEANS, INTEGERS
from .random import RANDOM
from .reals import BFLOATS, HALVES, REALS
from .values import (
    BOOL,
    COMPLEX_LIBRARY,
    HALF,
    LIBRARY,
    SINGLE,
    SPECIAL,
    SPECIAL_OF_TWO,
    Code,
    Value,
    where,
)

TABLES: Final[dict[str, dict[str, Callable[..., Any]]]] = {
    "f": REALS, "i": INTEGERS, "u": {**INTEGERS, **RANDOM}, "b": BOOLEANS, "c": COMPLEXES
}  # fmt: skip


def has_formula(applied: Apply) -> bool:
    """Whether there is an operation for operands of these kinds."""
    name, dtype = applied.operation, applied.operands[0].dtype
    if name in ("convert", "select"):
        return True
    if name == "complex":
        return dtype.kind == "f"
    if name == "power" and dtype.kind == "i":  # negative exponents raise
        number = _number(applied.operands[1])
        return number is not None and number >= 0
    return name in TABLES[kind_of(dtype)]


def write_operation(code: Code, applied: Apply, operands: Sequence[str]) -> str:
    """Write an operation on registers; the register of its result."""
    name, dtype = applied.operation, applied.operands[0].dtype
    if name.startswith(WRITTEN):
        return code.written(applied, operands)
    if name == "select":
        return _select(code, applied, operands)
    if name == "complex":
        parts = [Value(code, e.dtype, register) for e, register in zip(applied.operands, operands)]
        return written(Complex(*parts))
    by_bits = BFLOATS if is_bfloat16(dtype) else HALVES if dtype == HALF else {}
    if name in by_bits:
        return by_bits[name](*(Value(code, dtype, register) for register in operands)).register
    values = [_value(code, e, register, name) for e, register in zip(applied.operands, operands)]
    result = values[0] if name == "convert" else TABLES[kind_of(dtype)][name](*values)
    return _result(result, applied.dtype)


def _number(expression: Expression) -> Any:
    """A constant as a Python number; None for all else."""
    return expression.number.item() if isinstance(expression, Constant) else None


def _value(code: Code, expression: Expression, register: str, name: str) -> Any:
    """An operand as an operation takes it: half precision, unless it is only converted, in single."""
    dtype, number = expression.dtype, _number(expression)
    if dtype.kind == "c":
        return read(code, dtype, register, number)
    if not is_half(dtype) or name == "convert":
        return Value(code, dtype, register, number)
    if number is not None:
        return Value(code, SINGLE, code.literal(number, SINGLE), number)
    return convert(Value(code, dtype, register), SINGLE)


def _result(result: Value | Complex, dtype: np.dtype[Any]) -> str:
    if isinstance(result, Complex):
        converted = convert_complex(result, dtype)
        return written(converted) if isinstance(converted, Complex) else converted.register
    return written(as_complex(result, dtype)) if dtype.kind == "c" else convert(result, dtype).register


def _select(code: Code, applied: Apply, operands: Sequence[str]) -> str:
    condition, dtype = Value(code, BOOL, operands[0]), applied.dtype
    if dtype.kind == "c":
        x, y = (read(code, dtype, register, _number(e)) for e, register in zip(applied.operands[1:], operands[1:]))
        return written(choose(condition, x, y))
    x, y = (Value(code, dtype, register) for register in operands[1:])
    return where(condition, x, y).register


__all__ = [
    "COMPLEX_LIBRARY", "LIBRARY", "SPECIAL", "SPECIAL_OF_TWO", "Code", "Value", "has_formula", "write_operation",
]  # fmt: skip
