"""Functions of each element: one line each, with the derivative by each operand as a function of (y, *xs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray, typeof
from ..core.primitive import Primitive, is_hole
from ..core.tracer import operators
from .families import Elementwise, Product
from .foundation import align_ranks, broadcast_shapes, match, promoted, unbroadcast, zeros

# ---- arithmetic

add = Elementwise("add", np.add, (1, 1), operator=True)
subtract = Elementwise("subtract", np.subtract, (1, -1), operator=True)
negative = Elementwise("negative", np.negative, (-1,), operator=True)
positive = Elementwise("positive", np.positive, (1,), operator=True)
multiply = Product("multiply", np.multiply, (lambda z, x, y: y, lambda z, x, y: x), operator=True)
divide = Product(
    "divide", np.divide, (lambda z, x, y: divide(1, y), lambda z, x, y: negative(divide(z, y))), operator=True
)
floor_divide = Elementwise("floor_divide", np.floor_divide, operator=True)
remainder = Elementwise(
    "remainder", np.remainder, (1, lambda z, x, y: negative(floor_divide(x, y))), operator=True
)
fmod = Elementwise("fmod", np.fmod, (1, lambda z, x, y: negative(trunc(divide(x, y)))))
square = Elementwise("square", np.square, (lambda y, x: multiply(2, x),))
sqrt = Elementwise("sqrt", np.sqrt, (lambda y, x: divide(0.5, y),))
cbrt = Elementwise("cbrt", np.cbrt, (lambda y, x: divide(1 / 3, square(y)),))
reciprocal = Elementwise("reciprocal", np.reciprocal, (lambda y, x: negative(square(y)),))
power = Elementwise(
    "power",
    np.power,
    (lambda z, x, y: _power_by_base(x, y), lambda z, x, y: _power_by_exponent(z, x, y)),
    operator=True,
)
absolute = Elementwise("absolute", np.absolute, (lambda y, x: sign(x),), operator=True)
sign = Elementwise("sign", np.sign)
floor = Elementwise("floor", np.floor)
ceil = Elementwise("ceil", np.ceil)
trunc = Elementwise("trunc", np.trunc)
rint = Elementwise("rint", np.rint)

# ---- exponentials, logarithms, trigonometry

exp = Elementwise("exp", np.exp, (lambda y, x: y,))
exp2 = Elementwise("exp2", np.exp2, (lambda y, x: multiply(np.log(2.0), y),))
expm1 = Elementwise("expm1", np.expm1, (lambda y, x: add(y, 1),))
log = Elementwise("log", np.log, (lambda y, x: divide(1, x),))
log2 = Elementwise("log2", np.log2, (lambda y, x: divide(1 / np.log(2.0), x),))
log10 = Elementwise("log10", np.log10, (lambda y, x: divide(1 / np.log(10.0), x),))
log1p = Elementwise("log1p", np.log1p, (lambda y, x: divide(1, add(1, x)),))
sin = Elementwise("sin", np.sin, (lambda y, x: cos(x),))
cos = Elementwise("cos", np.cos, (lambda y, x: negative(sin(x)),))
tan = Elementwise("tan", np.tan, (lambda y, x: add(1, square(y)),))
sinh = Elementwise("sinh", np.sinh, (lambda y, x: cosh(x),))
cosh = Elementwise("cosh", np.cosh, (lambda y, x: sinh(x),))
tanh = Elementwise("tanh", np.tanh, (lambda y, x: subtract(1, square(y)),))

# ---- comparison, logic and bits

equal = Elementwise("equal", np.equal)
not_equal = Elementwise("not_equal", np.not_equal)
less = Elementwise("less", np.less)
less_equal = Elementwise("less_equal", np.less_equal)
greater = Elementwise("greater", np.greater)
greater_equal = Elementwise("greater_equal", np.greater_equal)
logical_and = Elementwise("logical_and", np.logical_and)
logical_or = Elementwise("logical_or", np.logical_or)
logical_xor = Elementwise("logical_xor", np.logical_xor)
logical_not = Elementwise("logical_not", np.logical_not)
bitwise_and = Elementwise("bitwise_and", np.bitwise_and, operator=True)
bitwise_or = Elementwise("bitwise_or", np.bitwise_or, operator=True)
bitwise_xor = Elementwise("bitwise_xor", np.bitwise_xor, operator=True)
invert = Elementwise("invert", np.invert, operator=True)
left_shift = Elementwise("left_shift", np.left_shift, operator=True)
right_shift = Elementwise("right_shift", np.right_shift, operator=True)
isnan = Elementwise("isnan", np.isnan)
isinf = Elementwise("isinf", np.isinf)
isfinite = Elementwise("isfinite", np.isfinite)
signbit = Elementwise("signbit", np.signbit)

# ---- selection

maximum = Elementwise(
    "maximum", np.maximum, (lambda z, x, y: _share(greater, x, y), lambda z, x, y: _share(greater, y, x))
)
minimum = Elementwise(
    "minimum", np.minimum, (lambda z, x, y: _share(less, x, y), lambda z, x, y: _share(less, y, x))
)


class Select(Primitive):
    """`select(condition, x, y)`: x where the condition holds and y elsewhere; linear in x and y together."""

    def abstract_eval(self, condition: ShapedArray, x: ShapedArray, y: ShapedArray) -> list[ShapedArray]:
        return [ShapedArray(broadcast_shapes(condition.shape, x.shape, y.shape), promoted(x, y))]

    def impl(self, condition: Any, x: Any, y: Any) -> list[Any]:
        return [np.where(condition, x, y)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        condition, x, y = primals
        _, dx, dy = tangents
        z = self(condition, x, y)
        # A tangent takes part in the dtype of its primal.
        dx, dy = (zeros(typeof(p)) if t is ZERO else t for p, t in ((x, dx), (y, dy)))
        return [z], [match(self(condition, dx, dy), z)]

    def transpose(self, cotangents: Sequence[Any], condition: Any, x: Any, y: Any) -> list[Any]:
        (ct,) = cotangents
        zero = typeof(ct).dtype.type(0)
        return [
            None,
            unbroadcast(self(condition, ct, zero), x.aval) if is_hole(x) else None,
            unbroadcast(self(condition, zero, ct), y.aval) if is_hole(y) else None,
        ]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(*align_ranks(size, values, mapped))], [True]


select = Select("select")


# ---- derivatives that take more than a line


def _share(beats: Primitive, x: Any, y: Any) -> Any:
    """One where x wins, a half where they tie, zero where it loses."""
    return select(beats(x, y), 1.0, select(equal(x, y), 0.5, 0.0))


def _power_by_base(x: Any, y: Any) -> Any:
    """y * x**(y - 1), which is zero for y = 0 even at x = 0."""
    if isinstance(y, (int, float)):
        return zeros(typeof(x)) if y == 0 else multiply(y, power(x, y - 1))
    is_zero = equal(y, 0)
    return select(is_zero, 0.0, multiply(y, power(x, select(is_zero, 1, subtract(y, 1)))))


def _power_by_exponent(z: Any, x: Any, y: Any) -> Any:
    """log(x) * x**y, which is zero at x = 0 (for y = 0 as well, where it is a convention)."""
    is_zero = equal(x, 0)
    return select(is_zero, 0.0, multiply(log(select(is_zero, 1.0, x)), z))




OPERATORS = (
    "positive negative absolute invert add subtract multiply divide floor_divide remainder power bitwise_and "
    "bitwise_or bitwise_xor left_shift right_shift equal not_equal less less_equal greater greater_equal"
)
for _name in OPERATORS.split():
    setattr(operators, _name, globals()[_name])
