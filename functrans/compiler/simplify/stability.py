"""Stability: formulas that lose digits, or overflow on the way to a result that does not, written as ones that do not.

Each rule gives the value that the formula has in exact arithmetic, with a few roundings. Where the formula as written
gives NaN, an infinity or zero only because something on the way overflows, the result is what it should be; NaN stays
NaN, and infinite operands give the limit. Where a result is zero its sign may be another: log(1 + -0.0) is 0.0,
log1p(-0.0) is -0.0. The rules are for real floats.

Some that come to mind are not here, since they would change what special values give: sqrt(x*x + y*y) is NaN where x
is infinite and y NaN, and hypot is not; exp(log(x)) is NaN for negative x; 1 - sigmoid(x) as sigmoid(-x) would cost one
more exponential. The plain 1 / (1 + exp(-x)) is as accurate as any other form and stays as it is.
"""

from __future__ import annotations

import numpy as np

from ...core.jaxpr import Atom, Eqn
from ...primitives import elementwise as e
from ...primitives.foundation import convert, reduce_sum, reshape
from ...primitives.reductions import reduce_max
from ...primitives.selection import select
from .moves import sum_of_repeated
from .rewriting import Rewriter, Rules

#: What an array goes through, without being computed with, from a reduction to where it meets the array again.
STRETCHED = ("reshape", "broadcast_to")


def is_real(atom: Atom) -> bool:
    return atom.aval.dtype.kind == "f"


# ---- what formulas are made of


def plus_one(rewriter: Rewriter, atom: Atom) -> Atom | None:
    """x where the atom is 1 + x."""
    total = rewriter.definition(atom, "add")
    if total is None:
        return None
    for x, one in (total.inputs, total.inputs[::-1]):
        if x.aval == atom.aval and rewriter.constant(one) == 1:
            return x
    return None


def minus_from_one(rewriter: Rewriter, atom: Atom) -> Atom | None:
    """x where the atom is 1 - x."""
    difference = rewriter.definition(atom, "subtract")
    if difference is None or rewriter.constant(difference.inputs[0]) != 1:
        return None
    x = difference.inputs[1]
    return x if x.aval == atom.aval else None


def minus(rewriter: Rewriter, x: Atom) -> Atom:
    return rewriter.emit(e.negative, x)


def sigmoid_argument(rewriter: Rewriter, atom: Atom) -> Atom | None:
    """x where the atom is 1 / (1 + exp(-x))."""
    return rewriter.sigmoids.get(atom) or rewriter.operand(atom, "expit")


def exponentials(rewriter: Rewriter, eqn: Eqn) -> tuple[Atom, Atom] | None:
    """x and y of an operation on exp(x) and exp(y)."""
    x, y = (rewriter.operand(a, "exp") for a in eqn.inputs)
    return None if x is None or y is None else (x, y)


def are_opposite(rewriter: Rewriter, x: Atom, y: Atom) -> bool:
    return rewriter.operand(x, "negative") is y or rewriter.operand(y, "negative") is x


def softplus(rewriter: Rewriter, x: Atom) -> Atom:
    """log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|))."""
    rest = rewriter.emit(e.log1p, rewriter.emit(e.exp, minus(rewriter, rewriter.emit(e.absolute, x))))
    return rewriter.emit(e.add, rewriter.emit(e.maximum, x, 0.0), rest)


def is_shifted_by_maximum(rewriter: Rewriter, x: Atom) -> bool:
    """Whether somebody has seen to it that exponentials do not overflow: x is another x, less its maximum."""
    if x in rewriter.shifted:
        return True
    difference = rewriter.definition(x, "subtract")
    if difference is None:
        return False
    shift = difference.inputs[1]
    while (moved := rewriter.definition(shift, *STRETCHED, "select", "convert")) is not None:
        shift = moved.inputs[1 if moved.primitive is select else 0]
    return rewriter.definition(shift, "reduce_max") is not None


# ---- logarithms


def log_of_one_plus(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """log(1 + x) is log1p(x), and log(1 - x) is log1p(-x): exact to the last digits for small x."""
    x = plus_one(rewriter, eqn.inputs[0])
    if x is None:
        x = minus_from_one(rewriter, eqn.inputs[0])
        x = None if x is None else minus(rewriter, x)
    return None if x is None or not is_real(x) else rewriter.emit(e.log1p, x)


def log_of_exp(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """log(exp(x)) is x, also where exp(x) overflows."""
    return rewriter.operand(eqn.inputs[0], "exp") if is_real(eqn.inputs[0]) else None


def log_of_sum_of_exps(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """log(sum(exp(x))) is max(x) + log(sum(exp(x - max(x)))), which does not overflow, nor take the log of zero."""
    stretched = rewriter.definition(eqn.inputs[0], *STRETCHED)
    total = rewriter.definition(stretched.inputs[0] if stretched is not None else eqn.inputs[0], "reduce_sum")
    x = None if total is None else rewriter.operand(total.inputs[0], "exp")
    if total is None or x is None or not is_real(x) or 0 in x.aval.shape or is_shifted_by_maximum(rewriter, x):
        return None
    found = log_sum_exp(rewriter, x, total.params["axes"])
    return found if stretched is None else rewriter.emit(stretched.primitive, found, **stretched.params)


def log_sum_exp(rewriter: Rewriter, x: Atom, axes: tuple[int, ...]) -> Atom:
    """As the primitive logsumexp does it."""
    shift = finite_maximum(rewriter, x, axes)
    unit = tuple(1 if axis in axes else n for axis, n in enumerate(x.aval.shape))
    small = rewriter.emit(e.subtract, x, rewriter.emit(reshape, shift, shape=unit))
    rewriter.shifted.add(small)
    total = rewriter.emit(reduce_sum, rewriter.emit(e.exp, small), axes=axes)
    return rewriter.emit(e.add, rewriter.emit(e.log, total), shift)


def finite_maximum(rewriter: Rewriter, x: Atom, axes: tuple[int, ...]) -> Atom:
    """The maximum, and zero where that is infinite or NaN."""
    largest = rewriter.emit(reduce_max, x, axes=axes)
    return rewriter.emit(select, rewriter.emit(e.isfinite, largest), largest, 0.0)


def expanded_logsumexp(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """The primitive as what it is made of, which kernels can compute together with what is around it."""
    x, axes = eqn.inputs[0], eqn.params["axes"]
    if not is_real(x) or 0 in x.aval.shape:
        return None
    if x.aval.dtype != np.float16:
        return log_sum_exp(rewriter, x, axes)
    wide = rewriter.emit(convert, x, dtype=np.dtype(np.float32))
    return rewriter.emit(convert, log_sum_exp(rewriter, wide, axes), dtype=x.aval.dtype)


def log_of_two_exps(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """log(exp(x) + exp(y)) is logaddexp(x, y)."""
    total = rewriter.definition(eqn.inputs[0], "add")
    found = None if total is None else exponentials(rewriter, total)
    return rewriter.emit(e.logaddexp, *found) if found is not None and all(map(is_real, found)) else None


def log_of_softmax(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """log(exp(x) / sum(exp(x))) is z - log(sum(exp(z))) for z = x - max(x), also where the sum dwarfs exp(x)."""
    quotient = rewriter.definition(eqn.inputs[0], "divide")
    if quotient is None:
        return None
    x, moves, total = rewriter.operand(quotient.inputs[0], "exp"), [], quotient.inputs[1]
    while (move := rewriter.definition(total, *STRETCHED)) is not None:
        moves.append(move)
        total = move.inputs[0]
    summed = rewriter.definition(total, "reduce_sum")
    if x is None or summed is None or summed.inputs[0] is not quotient.inputs[0]:
        return None
    if not is_real(x) or 0 in x.aval.shape:
        return None

    def stretched(atom: Atom) -> Atom:
        for move in reversed(moves):
            atom = rewriter.emit(move.primitive, atom, **move.params)
        return atom

    if not is_shifted_by_maximum(rewriter, x):
        x = rewriter.emit(e.subtract, x, stretched(finite_maximum(rewriter, x, summed.params["axes"])))
        rewriter.shifted.add(x)
        total = rewriter.emit(reduce_sum, rewriter.emit(e.exp, x), **summed.params)
    return rewriter.emit(e.subtract, x, stretched(rewriter.emit(e.log, total)))


def log_of_sigmoid(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """log(sigmoid(x)) is -log(1 + exp(-x)), and log(1 - sigmoid(x)) is -log(1 + exp(x)): finite for all finite x."""
    x = sigmoid_argument(rewriter, eqn.inputs[0])
    if x is not None:
        return minus(rewriter, softplus(rewriter, minus(rewriter, x)))
    other = minus_from_one(rewriter, eqn.inputs[0])
    x = None if other is None else sigmoid_argument(rewriter, other)
    return None if x is None else minus(rewriter, softplus(rewriter, x))


def log1p_of_minus_sigmoid(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """log1p(-sigmoid(x)) is -log(1 + exp(x))."""
    other = rewriter.operand(eqn.inputs[0], "negative")
    x = None if other is None else sigmoid_argument(rewriter, other)
    return None if x is None else minus(rewriter, softplus(rewriter, x))


def log1p_of_exp(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """log1p(exp(x)) is max(x, 0) + log1p(exp(-|x|)), also where exp(x) overflows."""
    x = rewriter.operand(eqn.inputs[0], "exp")
    if x is None or not is_real(x) or rewriter.operand(x, "negative") in rewriter.nonnegative:
        return None
    return softplus(rewriter, x)


# ---- exponentials


def exp_minus_one(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """exp(x) - 1 is expm1(x): exact to the last digits for small x. 1 - exp(x) is -expm1(x)."""
    for place, one in ((0, 1), (1, 1)) if eqn.primitive is e.subtract else ((0, -1), (1, -1)):
        x = rewriter.operand(eqn.inputs[place], "exp")
        if x is None or not is_real(x) or rewriter.constant(eqn.inputs[1 - place]) != one:
            continue
        found = rewriter.emit(e.expm1, x)
        return minus(rewriter, found) if place == 1 and eqn.primitive is e.subtract else found
    return None


def exp_of_log_softmax(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """exp(x - logsumexp(x)) is exp(z) / sum(exp(z)) for z = x - max(x): by exponentials that are there already.

    Derivatives of logsumexp have zero in its place where it is not finite; nor is the maximum then, and z is x.
    """
    difference = rewriter.definition(eqn.inputs[0], "subtract")
    if difference is None or not is_real(eqn.inputs[0]):
        return None
    x, restored = difference.inputs
    shift = unstretched(rewriter, restored)
    choice = rewriter.definition(shift, "select")
    if choice is not None and rewriter.operand(choice.inputs[0], "isfinite") is choice.inputs[1]:
        shift = choice.inputs[1]
    result = rewriter.definition(shift, "add")
    total = None if result is None else rewriter.operand(result.inputs[0], "log")
    summed = None if total is None else rewriter.definition(total, "reduce_sum")
    small = None if summed is None else rewriter.operand(summed.inputs[0], "exp")
    if result is None or summed is None or small not in rewriter.shifted:
        return None
    z, axes = rewriter.definitions[small], summed.params["axes"]
    unit = tuple(1 if axis in axes else n for axis, n in enumerate(x.aval.shape))
    if z.inputs[0] is not x or unstretched(rewriter, z.inputs[1]) is not result.inputs[1]:
        return None
    if row_shape(rewriter, restored, len(unit)) != unit:
        return None
    if choice is not None:
        total = rewriter.emit(select, choice.inputs[0], total, 1.0)
    return rewriter.emit(e.divide, summed.inputs[0], rewriter.emit(reshape, total, shape=unit))


def unstretched(rewriter: Rewriter, atom: Atom) -> Atom:
    """What an array was before it was stretched."""
    while (move := rewriter.definition(atom, *STRETCHED)) is not None:
        atom = move.inputs[0]
    return atom


def row_shape(rewriter: Rewriter, atom: Atom, rank: int) -> tuple[int, ...]:
    """The shape that an array has before it is repeated, with so many axes."""
    while (repeated := rewriter.operand(atom, "broadcast_to")) is not None:
        atom = repeated
    return (1,) * (rank - atom.aval.ndim) + atom.aval.shape


def quotient_of_exps(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """exp(x) / (1 + exp(x)), which is NaN where exp(x) overflows, with the exponential of -|x| only."""
    x = rewriter.operand(eqn.inputs[0], "exp")
    if x is None or plus_one(rewriter, eqn.inputs[1]) is not eqn.inputs[0] or not is_real(x):
        return None
    small = rewriter.emit(e.exp, minus(rewriter, rewriter.emit(e.absolute, x)))
    above = rewriter.emit(select, rewriter.emit(e.greater_equal, x, 0.0), 1.0, small)
    found = rewriter.emit(e.divide, above, rewriter.emit(e.add, 1.0, small))
    rewriter.sigmoids[found] = x
    return found


def quotient_of_differences(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)), which is NaN where an exponential overflows, is tanh(x)."""
    difference, total = rewriter.definition(eqn.inputs[0], "subtract"), rewriter.definition(eqn.inputs[1], "add")
    found = None if difference is None else exponentials(rewriter, difference)
    others = None if total is None else exponentials(rewriter, total)
    if found is None or others is None or set(found) != set(others) or not are_opposite(rewriter, *found):
        return None
    return rewriter.emit(e.tanh, found[0]) if is_real(found[0]) else None


def notice_sigmoid(rewriter: Rewriter, eqn: Eqn) -> None:
    """Remember 1 / (1 + exp(-x)) for a logarithm of it."""
    if eqn.primitive is e.divide and rewriter.constant(eqn.inputs[0]) != 1:
        return
    exponential = plus_one(rewriter, eqn.inputs[-1])
    y = None if exponential is None else rewriter.operand(exponential, "exp")
    if y is not None and is_real(y) and y.aval == eqn.outputs[0].aval:
        x = rewriter.operand(y, "negative")
        rewriter.sigmoids[eqn.outputs[0]] = minus(rewriter, y) if x is None else x


# ---- roots and sums


def root_of_square(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """sqrt(x * x) is |x|, also where the square overflows or underflows."""
    x = rewriter.operand(eqn.inputs[0], "square")
    product = rewriter.definition(eqn.inputs[0], "multiply")
    if product is not None and product.inputs[0] is product.inputs[1]:
        x = product.inputs[0]
    return rewriter.emit(e.absolute, x) if x is not None and is_real(x) else None


def sum_of_equals(rewriter: Rewriter, eqn: Eqn) -> Atom | None:
    """The sum of n equal numbers is n times one of them: one rounding in the place of many."""
    dtype = eqn.outputs[0].aval.dtype
    if dtype.kind != "f" or eqn.inputs[0].aval.size > 2 ** np.finfo(dtype).nmant:
        return None
    return sum_of_repeated(rewriter, eqn, np.asarray)


STABILITY: Rules = {
    "log": (log_of_sigmoid, log_of_one_plus, log_of_exp, log_of_sum_of_exps, log_of_two_exps, log_of_softmax),
    "log1p": (log1p_of_minus_sigmoid, log1p_of_exp),
    "exp": (exp_of_log_softmax,),
    "subtract": (exp_minus_one,),
    "add": (exp_minus_one,),
    "divide": (quotient_of_exps, quotient_of_differences, notice_sigmoid),
    "reciprocal": (notice_sigmoid,),
    "sqrt": (root_of_square,),
    "reduce_sum": (sum_of_equals,),
}

#: Primitives that are written as others; no bit of a result changes.
EXPANSIONS: Rules = {"logsumexp": (expanded_logsumexp,)}
