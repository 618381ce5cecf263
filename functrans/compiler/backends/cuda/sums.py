"""Sums of floats at computed indices that do not depend on the order of their terms.

Integers can be added by atomic operations in any order. So each place first learns the largest exponent among its
terms; these become multiples of a power of two that goes with it, and are added up as integers of 64 bits, two of them
in double precision. The sum of the integers is exact, what terms lose as multiples is less than the rounding errors of
a sum in order, and it is rounded once. (Compare Demmel and Nguyen, "Parallel reproducible summation", 2015.)
"""

from __future__ import annotations

from math import prod

import numpy as np

from ...instructions import KernelRun
from ...loopnest import BOOL, INT, Apply, Expression, Kernel, Load, Output, axis_index, cast, constant
from ...operations.values import DOUBLE, SINGLE
from ...places import Place, contiguous_strides
from .layouts import colliding_axes

#: Sums of fewer terms are walked in order, and those at more places, or at so many times more of them than terms.
SHORT_WALK, MOST_PLACES, PLACES_FOR_A_TERM = 32, 1 << 26, 16
#: The bits of a sum of integers.
BITS = 62
#: In place of the exponent: no term but negative zeros, zeros only, and something that is not finite.
NOTHING, ZERO, BEYOND = -10_000, -5000, 10_000
#: What is added up for infinities, so that those of each sign can be told apart; for NaN, both.
POSITIVE, NEGATIVE = 1, 1 << 31

_EXPONENT = np.dtype(np.int32)


def by_integers(run: KernelRun, scratch: int) -> tuple[list[KernelRun], int] | None:
    """Kernels that add floats up at computed indices, and the bytes that they share; None if a walk in order is better.

    Args:
        scratch: the slot of the memory that they share.
    """
    kernel, (target, *_) = run.kernel, run.targets
    (output, *others) = kernel.outputs
    dtype = output.expression.dtype
    if others or output.place is None or output.combine != "add" or dtype not in (SINGLE, DOUBLE):
        return None
    terms, places = prod(kernel.shape[axis] for axis in colliding_axes(kernel)), prod(target.shape)
    if terms <= SHORT_WALK or places > min(MOST_PLACES, PLACES_FOR_A_TERM * prod(kernel.shape)):
        return None
    words = 1 if dtype == SINGLE else 2
    shared, size = _shared(target, scratch, words)
    bits = BITS - terms.bit_length()
    runs = [
        KernelRun(_begun(target.shape, words), (), shared),
        KernelRun(_exponents(kernel), run.sources, shared[:1]),
        KernelRun(_added(kernel, words, bits), (*run.sources, shared[0]), shared[1:]),
        KernelRun(_rounded(target, words, bits), (*shared, target), (target,)),
    ]
    return runs, size


def _shared(target: Place, scratch: int, words: int) -> tuple[tuple[Place, ...], int]:
    """Where exponents and sums are, and the bytes of all."""
    found: list[Place] = []
    offset = 0
    for dtype in (*[INT] * words, _EXPONENT):
        strides = contiguous_strides(target.shape, dtype.itemsize)
        found.append(Place(scratch, offset, target.shape, dtype, strides))
        offset += -(-prod(target.shape) * dtype.itemsize // 256) * 256
    return (found[-1], *found[:-1]), offset


def _begun(shape: tuple[int, ...], words: int) -> Kernel:
    """No terms yet."""
    zeros = [Output(constant(0, INT), None)] * words
    return Kernel(shape, 0, (Output(constant(NOTHING, _EXPONENT), None), *zeros), ())


def _exponents(kernel: Kernel) -> Kernel:
    """Each place gets the largest exponent of its terms."""
    (output,) = kernel.outputs
    x = cast(output.expression, DOUBLE)
    of_zero = _where(_test("signbit", x), constant(NOTHING, _EXPONENT), constant(ZERO, _EXPONENT))
    exponent = cast(Apply("binary_exponent", (x,), INT), _EXPONENT)
    exponent = _where(Apply("equal", (x, constant(0.0, DOUBLE)), BOOL), of_zero, exponent)
    exponent = _where(_test("isfinite", x), exponent, constant(BEYOND, _EXPONENT))
    return Kernel(kernel.shape, 0, (Output(exponent, "maximum", output.place),), kernel.operands)


def _added(kernel: Kernel, words: int, bits: int) -> Kernel:
    """Each place gets the sum of its terms as multiples of a power of two."""
    (output,) = kernel.outputs
    assert output.place is not None
    exponents = object()
    exponent = Load(exponents, output.place, _EXPONENT)
    is_beyond = Apply("equal", (exponent, constant(BEYOND, _EXPONENT)), BOOL)
    x = cast(output.expression, DOUBLE)
    of_infinity = _where(_test("signbit", x), constant(NEGATIVE, INT), constant(POSITIVE, INT))
    special = _where(_test("isinf", x), of_infinity, constant(0, INT))
    special = _where(_test("isnan", x), constant(POSITIVE + NEGATIVE, INT), special)
    way = _difference(constant(bits, INT), cast(exponent, INT))
    rest = Apply("ldexp", (_where(is_beyond, constant(0.0, DOUBLE), x), way), DOUBLE)
    sums: list[Expression] = []
    for _ in range(words):
        whole = Apply("rint", (rest,), DOUBLE)
        sums.append(_where(is_beyond, special, cast(whole, INT)))
        rest = Apply("ldexp", (Apply("subtract", (rest, whole), DOUBLE), constant(bits, INT)), DOUBLE)
    outputs = tuple(Output(total, "add", output.place) for total in sums)
    return Kernel(kernel.shape, 0, outputs, (*kernel.operands, exponents))


def _rounded(target: Place, words: int, bits: int) -> Kernel:
    """Each place adds what its terms come to."""
    here, dtype = tuple(map(axis_index, range(len(target.shape)))), target.dtype
    exponents, before, *sums = (object() for _ in range(2 + words))
    exponent, own = Load(exponents, here, _EXPONENT), Load(before, here, dtype)
    loads = [Load(total, here, INT) for total in sums]
    total: Expression | None = None
    for word, load in reversed(list(enumerate(loads, 1))):
        way = _difference(cast(exponent, INT), constant(bits * word, INT))
        part = Apply("ldexp", (cast(load, DOUBLE), way), DOUBLE)
        total = part if total is None else Apply("add", (part, total), DOUBLE)
    assert total is not None
    has_negative = Apply("greater_equal", (loads[0], constant(NEGATIVE, INT)), BOOL)
    rest = Apply("bitwise_and", (loads[0], constant(NEGATIVE - 1, INT)), INT)
    has_positive = Apply("greater", (rest, constant(0, INT)), BOOL)
    minus, plus, nan = (constant(number, DOUBLE) for number in (-np.inf, np.inf, np.nan))
    special = _where(has_negative, _where(has_positive, nan, minus), plus)
    total = _where(Apply("equal", (exponent, constant(BEYOND, _EXPONENT)), BOOL), special, total)
    after = cast(Apply("add", (cast(own, DOUBLE), total), DOUBLE), dtype)
    kept = _where(Apply("equal", (exponent, constant(NOTHING, _EXPONENT)), BOOL), own, after)
    return Kernel(target.shape, 0, (Output(kept, None),), (exponents, *sums, before))


def _where(condition: Expression, x: Expression, y: Expression) -> Expression:
    return Apply("select", (condition, x, y), x.dtype)


def _test(name: str, x: Expression) -> Expression:
    return Apply(name, (x,), BOOL)


def _difference(x: Expression, y: Expression) -> Expression:
    return Apply("subtract", (x, y), INT)
