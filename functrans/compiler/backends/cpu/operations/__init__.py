"""Scalar operations as LLVM IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .....primitives.scalar_functions import PREFIX as WRITTEN
from .....primitives.scalar_functions import known
from ....loopnest import Apply
from ....operations import SPECIAL, has_formula, write_operation
from .llvm import LlvmCode, literal, type_in_memory, type_name
from .runtime import HALF_RUNTIME, SCIPY_FUNCTIONS, runtime_calls, runtime_symbols, runtime_text, scipy_address


def is_supported(applied: Apply) -> bool:
    """Whether kernels have an operation for operands of these dtypes."""
    name, operands = applied.operation, applied.operands
    if name.startswith(WRITTEN):
        return known[name].llvm(name) is not None
    if any(type_name(dtype) is None for dtype in (*(e.dtype for e in operands), applied.dtype)):
        return False
    if operands[0].dtype.kind == "f" and name in SPECIAL:
        return scipy_address(SCIPY_FUNCTIONS[name]) != 0
    return has_formula(applied)


def emit_operation(
    applied: Apply, operands: Sequence[str], emit: Callable[[str], str], call: Callable[..., str]
) -> str:
    """Write an operation on registers; the register of its result.

    Args:
        emit: writes the right side of an assignment, and returns the register.
        call: `(function, type, operands)` writes the call of a C function with a vector version.
    """
    if applied.operation.startswith(WRITTEN):
        return _call_of_written(applied, operands, emit)
    return write_operation(LlvmCode(emit, call), applied, operands)


def _call_of_written(applied: Apply, operands: Sequence[str], emit: Callable[[str], str]) -> str:
    """A function that a user wrote; its booleans are bytes."""
    typed = ", ".join(f"{type_name(e.dtype)} {register}" for e, register in zip(applied.operands, operands))
    function = known[applied.operation].llvm(applied.operation)
    assert function is not None
    found = emit(f"call {type_in_memory(applied.dtype)} @{function.name}({typed})")
    return emit(f"icmp ne i8 {found}, 0") if applied.dtype.kind == "b" else found


__all__ = [
    "HALF_RUNTIME", "LlvmCode", "emit_operation", "is_supported", "literal", "runtime_calls", "runtime_symbols",
    "runtime_text", "type_in_memory", "type_name",
]  # fmt: skip
