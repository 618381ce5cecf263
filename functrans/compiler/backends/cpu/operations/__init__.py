"""Scalar operations as LLVM IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .....primitives.scalar_functions import PREFIX as WRITTEN
from .....primitives.scalar_functions import known
from ....loopnest import Apply
from ....operations import COMPLEX_LIBRARY, has_formula, write_operation
from ....operations.values import DOUBLE
from .llvm import LlvmCode, literal, type_in_memory, type_name, vector_literal
from .runtime import (
    COMPLEX_SCIPY_FUNCTIONS,
    COMPLEX_WRITTEN_HERE,
    HALF_RUNTIME,
    OWN,
    REMAINDERS,
    SCIPY_FUNCTIONS,
    complex_scipy_address,
    is_its_own_in_single,
    runtime_calls,
    runtime_symbols,
    runtime_text,
    scipy_address,
)


def is_supported(applied: Apply) -> bool:
    """Whether kernels have an operation for operands of these dtypes."""
    name, operands = applied.operation, applied.operands
    if name.startswith(WRITTEN):
        return known[name].llvm(name) is not None
    if type_name(applied.dtype) is None or None in [type_name(e.dtype) for e in operands]:
        return False
    if name in COMPLEX_LIBRARY and operands[0].dtype.kind == "c":
        return name in COMPLEX_WRITTEN_HERE or complex_scipy_address(COMPLEX_SCIPY_FUNCTIONS[name]) != 0
    if name in SCIPY_FUNCTIONS and operands[0].dtype.kind == "f":
        own = SCIPY_FUNCTIONS[name]
        return scipy_address(own) != 0 and (operands[0].dtype == DOUBLE or not is_its_own_in_single(own))
    return has_formula(applied)


def emit_operation(
    applied: Apply, operands: Sequence[str], emit: Callable[[str], str], call: Callable[..., str], lanes: int = 0
) -> str:
    """Write an operation on registers; the register of its result.

    Args:
        emit: writes the right side of an assignment, and returns the register.
        call: `(function, type, operands)` writes the call of a C function with a vector version.
        lanes: as in `LlvmCode`.
    """
    return write_operation(LlvmCode(emit, call, lanes), applied, operands)


__all__ = [
    "HALF_RUNTIME", "OWN", "REMAINDERS", "LlvmCode", "emit_operation", "is_supported", "literal", "runtime_calls",
    "runtime_symbols", "runtime_text", "type_in_memory", "type_name", "vector_literal",
]  # fmt: skip
