"""Algebra that changes no bit: NaNs, infinities, signs of zeros and dtypes stay as they are.

In the table, rules of the primitives that derivatives are made of (`scale`, `add_any`) stand apart: there the sign of a
zero that is a symbolic zero made an array is not defined, and may change.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.jaxpr import Atom, Eqn
from ...primitives import elementwise as e
from ...primitives.complex import real
from ...primitives.foundation import Primitive
from .pieces import sum_of_pieces, sum_with_negative_piece, sum_with_what_was_there
from .rewriting import Rewriter, Rule, Rules

Test = Callable[[Any, Eqn], bool]

# ---- which constants


def is_one(value: Any, eqn: Eqn) -> bool:
    """A factor that changes nothing; a complex one may make NaN of infinities."""
    return value == 1 and eqn.outputs[0].aval.dtype.kind != "c"


def is_positive_zero(value: Any, eqn: Eqn) -> bool:
    """x - 0.0 is x for every x; -0.0 - -0.0 is 0.0."""
    return value == 0 and not any(math.copysign(1, part) < 0 for part in (value.real, value.imag))


def is_negative_zero(value: Any, eqn: Eqn) -> bool:
    """x + -0.0 is x for every x; -0.0 + 0.0 is 0.0. Integers have one zero only."""
    kind = eqn.outputs[0].aval.dtype.kind
    parts = (value.real, value.imag) if kind == "c" else (value,)
    return value == 0 and (kind not in "fc" or all(math.copysign(1, part) < 0 for part in parts))


def is_true(value: Any, eqn: Eqn) -> bool:
    return eqn.outputs[0].aval.dtype.kind == "b" and bool(value)


def is_false(value: Any, eqn: Eqn) -> bool:
    return eqn.outputs[0].aval.dtype.kind == "b" and not value


# ---- rules of one shape


def neutral(test: Test, places: tuple[int, ...] = (0, 1)) -> Rule:
    """x * 1 is x: the other operand, where one is a constant that passes the test."""

    def rule(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
        for place in places:
            value = rewriter.constant(eqn.inputs[place])
            if value is not None and test(value, eqn):
                return eqn.inputs[1 - place]
        return None

    return rule


def absorbing(test: Test) -> Rule:
    """x & False is False: the constant, where one operand is one that passes the test."""

    def rule(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
        for atom in eqn.inputs:
            value = rewriter.constant(atom)
            if value is not None and test(value, eqn):
                return rewriter.filled(value, eqn.outputs[0].aval)
        return None

    return rule


def inverse(name: str) -> Rule:
    """-(-x) is x."""

    def rule(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
        return rewriter.operand(eqn.inputs[0], name)

    return rule


def without_sign(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """f(-x) is f(x), but for unsigned integers, of which -x is another one; squares of them wrap around as x does."""
    x = rewriter.operand(eqn.inputs[0], "negative")
    wraps = eqn.primitive is not e.square and eqn.inputs[0].aval.dtype.kind == "u"
    return None if x is None or wraps else rewriter.emit(eqn.primitive, x)


def opposite(name: str, primitive: Primitive) -> Rule:
    """not (x == y) is x != y, for NaN too."""

    def rule(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
        comparison = rewriter.definition(eqn.inputs[0], name)
        return None if comparison is None else rewriter.emit(primitive, *comparison.inputs)

    return rule


def identity(rewriter: Rewriter, eqn: Eqn) -> Atom:
    """The operand, if it has the type of the result."""
    return eqn.inputs[0]


def real_identity(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """The operand, if it is real."""
    return None if eqn.inputs[0].aval.dtype.kind == "c" else eqn.inputs[0]


def already_nonnegative(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """|x| is x where x is no less than zero."""
    return eqn.inputs[0] if eqn.inputs[0] in rewriter.nonnegative else None


def same_operands(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """max(x, x) is x."""
    return eqn.inputs[0] if eqn.inputs[0] is eqn.inputs[1] else None


def same_integers(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """x - x is zero, unless it may be NaN."""
    aval = eqn.outputs[0].aval
    is_same = eqn.inputs[0] is eqn.inputs[1] and aval.dtype.kind in "iu"
    return rewriter.filled(0, aval) if is_same else None


def negated(rewriter: Rewriter, atom: Atom, eqn: Eqn) -> Atom | None:
    """x where the atom is -x, computed in the dtype of the result: small integers may wrap around."""
    x = rewriter.operand(atom, "negative")
    return x if x is not None and x.aval.dtype == eqn.outputs[0].aval.dtype else None


def with_negative(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """x + -y is x - y, and -x + y is y - x; x - -y is x + y."""
    x, y = eqn.inputs
    minus_y = negated(rewriter, y, eqn)
    if eqn.primitive is e.subtract:
        return None if minus_y is None else rewriter.emit(e.add, x, minus_y)
    if minus_y is not None:
        return rewriter.emit(e.subtract, x, minus_y)
    minus_x = negated(rewriter, x, eqn)
    return None if minus_x is None else rewriter.emit(e.subtract, y, minus_x)


def two_negatives(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """-x * -y is x * y; complex division by zero looks at signs."""
    if eqn.primitive is e.divide and eqn.outputs[0].aval.dtype.kind == "c":
        return None
    x, y = (negated(rewriter, a, eqn) for a in eqn.inputs)
    return None if x is None or y is None else rewriter.emit(eqn.primitive, x, y)


def by_minus_one(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """x * -1 is -x, for signed real numbers."""
    for place in (0, 1) if eqn.primitive is e.multiply else (1,):
        x = eqn.inputs[1 - place]
        if rewriter.constant(eqn.inputs[place]) == -1 and x.aval.dtype.kind in "if":
            return rewriter.emit(e.negative, x)
    return None


def by_power_of_two(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """x / 4 is x * 0.25: both are rounded once, from the same number."""
    x, y = eqn.inputs
    dtype, value = eqn.outputs[0].aval.dtype, rewriter.constant(y)
    if value is None or dtype.kind != "f" or x.aval.dtype != dtype or not is_finite(value) or value == 0:
        return None
    with np.errstate(all="ignore"):
        value = dtype.type(value)
        factor = dtype.type(1) / value
    tiny = np.finfo(dtype).tiny
    if abs(np.frexp(value)[0]) != 0.5 or not tiny <= abs(value) or not tiny <= abs(factor) < np.inf:
        return None
    return rewriter.emit(e.multiply, x, factor.item() if y.aval.weak else factor)


def is_finite(value: Any) -> bool:
    """Whether a constant is a number that floats can hold."""
    try:
        return cmath.isfinite(value)
    except OverflowError:
        return False


# ---- derivatives


def unit_scale(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """1 * c is c, as a derivative of complex numbers too."""
    t, c = eqn.inputs
    return c if rewriter.constant(t) == 1 else t if rewriter.constant(c) == 1 else None


def zero_scale(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """0 * c is 0, whatever c is; for `scale_both` also t * 0."""
    t, c = map(rewriter.constant, eqn.inputs)
    is_zero = (t is not None and t == 0) or (c is not None and c == 0 and eqn.primitive.both)
    return rewriter.filled(0, eqn.outputs[0].aval) if is_zero and eqn.outputs[0].aval.dtype.kind in "fc" else None


def scale_by_constant(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A product that cannot be zero times infinity, where that counts, is a product: by a number, or by one of some
    numbers, as shares of extremes that tie are."""
    t, c = (values_of(rewriter, x) for x in eqn.inputs)
    if eqn.primitive.both:
        never_absorbs = any(values and all(is_finite(x) and x != 0 for x in values) for values in (t, c))
    else:
        never_absorbs = (c and all(map(is_finite, c))) or (t and all(x != 0 for x in t))
    return rewriter.emit(e.multiply, *eqn.inputs) if never_absorbs else None


def values_of(rewriter: Rewriter, atom: Atom, depth: int = 2) -> list[Any]:
    """All values that elements may have where these are chosen among constants; none if that is not known."""
    value = rewriter.constant(atom)
    if value is not None:
        return [value]
    choice = rewriter.definition(atom, "select") if depth else None
    found = [] if choice is None else [values_of(rewriter, x, depth - 1) for x in choice.inputs[1:]]
    return [] if [] in found else [value for values in found for value in values]


def plus_zero(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """A symbolic zero is gone: t + 0 is t."""
    x, y = eqn.inputs
    return x if rewriter.constant(y) == 0 else y if rewriter.constant(x) == 0 else None


# ---- complex numbers


def part_of_complex(place: int) -> Rule:
    """re(x + iy) is x."""

    def rule(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
        made = rewriter.definition(eqn.inputs[0], "complex")
        return None if made is None else made.inputs[place]

    return rule


def whole_of_parts(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """re(z) + i im(z) is z."""
    x, y = (rewriter.operand(a, name) for a, name in zip(eqn.inputs, ("real", "imag")))
    return x if x is y else None


def real_of_conjugate(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """The real part of a conjugate is that of the number."""
    z = rewriter.operand(eqn.inputs[0], "conjugate")
    return None if z is None else rewriter.emit(real, z)


ALGEBRA: Rules = {
    "add": (neutral(is_negative_zero), with_negative),
    "subtract": (neutral(is_positive_zero, (1,)), with_negative, same_integers),
    "multiply": (neutral(is_one), two_negatives, by_minus_one),
    "divide": (neutral(is_one, (1,)), two_negatives, by_minus_one, by_power_of_two),
    "negative": (inverse("negative"),),
    "positive": (identity,),
    "absolute": (already_nonnegative, without_sign),
    "fabs": (already_nonnegative, without_sign),
    "square": (without_sign,),
    "invert": (inverse("invert"),),
    "logical_not": (inverse("logical_not"), opposite("equal", e.not_equal), opposite("not_equal", e.equal)),
    "logical_and": (neutral(is_true), absorbing(is_false), same_operands),
    "bitwise_and": (neutral(is_true), absorbing(is_false), same_operands),
    "logical_or": (neutral(is_false), absorbing(is_true), same_operands),
    "bitwise_or": (neutral(is_false), absorbing(is_true), same_operands),
    "bitwise_xor": (neutral(is_false), same_integers),
    "maximum": (same_operands,),
    "minimum": (same_operands,),
    "fmax": (same_operands,),
    "fmin": (same_operands,),
    "real": (real_identity, part_of_complex(0), real_of_conjugate),
    "imag": (part_of_complex(1),),
    "conjugate": (real_identity, inverse("conjugate")),
    "complex": (whole_of_parts,),
    # derivatives
    "scale": (unit_scale, zero_scale, scale_by_constant),
    "scale_both": (unit_scale, zero_scale, scale_by_constant),
    "add_any": (plus_zero, with_negative, sum_with_what_was_there, sum_of_pieces, sum_with_negative_piece),
}
