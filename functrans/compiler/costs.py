"""What operations cost, roughly: what is worth storing, and what is worth threads, depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .loopnest import Apply, Expression, Kernel, derived, expressions_in

#: What operations cost, in additions; those that are not here are transcendental.
COSTS = {
    **dict.fromkeys(("add", "subtract", "multiply", "negative", "positive", "absolute", "square", "add_any"), 1),
    **dict.fromkeys(("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "maximum", "minimum"), 1),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor", "logical_not", "select", "convert", "sign"), 1),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "isnan", "isinf", "isfinite"), 1),
    **dict.fromkeys(("floor", "ceil", "trunc", "rint", "copysign"), 1),
    **dict.fromkeys(("left_shift", "right_shift", "signbit", "heaviside", "real", "imag", "conjugate"), 1),
    **dict.fromkeys(("scale", "scale_both", "fmax", "fmin", "nextafter", "spacing", "complex", "multiply_add"), 2),
    **dict.fromkeys(("divide", "sqrt", "reciprocal"), 4),
    **dict.fromkeys(("fmod", "remainder", "floor_divide"), 8),
    **dict.fromkeys(("ldexp", "significand", "binary_exponent"), 8),
    "threefry2x32": 60,
    "unit_float": 3,
}
TRANSCENDENTAL = 20


def operation_cost(applied: Apply) -> int:
    """What an operation costs at one point, in additions."""
    return COSTS.get(applied.operation, TRANSCENDENTAL)


def is_transcendental(applied: Apply) -> bool:
    """Whether an operation takes many instructions, each of which waits for the one before."""
    return operation_cost(applied) >= TRANSCENDENTAL


def measured(expressions: Sequence[Expression]) -> tuple[int, int]:
    """The cost and the number of operations."""
    costs = [operation_cost(e) for e in expressions if type(e) is Apply]
    return sum(costs), len(costs)


def cost_of_expressions(roots: Iterable[Expression]) -> int:
    """The cost of some expressions and all that they are made of."""
    return measured(list(expressions_in(roots)))[0]


@derived
def cost_of(kernel: Kernel) -> int:
    """The cost of one point of a kernel."""
    return measured(kernel.expressions())[0]
