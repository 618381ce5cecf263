"""Functions of each element: one line each, with the derivative by each operand as a function of (y, *xs)."""

from __future__ import annotations

from collections.abc import Sequence
from math import log as _ln
from math import pi
from typing import Any

import numpy as np

from ..core.avals import BOOL, INT, PYTHON_SCALARS, ZERO, ShapedArray, real_dtype
from ..core.devices import is_on_device
from ..core.dtypes import resolve_dtypes
from ..core.primitive import Primitive, is_hole
from ..core.trace import Params, operators, typeof
from ..errors import ShapeMismatchError, TransposeError, UnsupportedDtypeError
from .complex import conjugate, imag
from .foundation import Elementwise, Plain, add_any, convert, full, match, scale, unbroadcast, zeros
from .powers import Power, PowerLike, constant
from .python_operators import has_integer
from .selection import select

DOUBLE = np.dtype(np.float64)

# ---- arithmetic


class Product(Elementwise):
    """An elementwise function linear in its first operand, or in each of two: multiply and divide."""

    #: Whether it is linear in its second operand too.
    is_bilinear = False

    def transpose(self, cotangents: Sequence[Any], x: Any, y: Any) -> list[Any]:
        (ct,) = cotangents
        if is_hole(x) and not is_hole(y):
            return [unbroadcast(scale(ct, self.derivatives[0](None, None, y)), x.aval), None]
        if is_hole(y) and not is_hole(x) and self.is_bilinear:
            return [None, unbroadcast(scale(ct, x), y.aval)]
        raise TransposeError(
            f"`{self.name}` is not linear in the operands that are to be transposed.",
            "A product of two linear values is quadratic, and a quotient is linear in its numerator only.",
            "Use vjp for a function that is not linear.",
        )


class Multiply(PowerLike, Product):
    """Products; those of powers of one base are powers of it."""

    is_bilinear = True
    commutes = True

    def jvp_noting(
        self, primals: Sequence[Any], tangents: Sequence[Any], notes: Sequence[Power | None]
    ) -> tuple[Any, Any, list[Power | None]]:
        if primals[0] is not primals[1] and notes[0] is None and notes[1] is None:  # by far the commonest
            return *self.jvp(primals, tangents), [None]
        return super().jvp_noting(primals, tangents, notes)


add = Elementwise("add", np.add, (1, 1), operator=True, commutes=True, work=1)
subtract = Elementwise("subtract", np.subtract, (1, -1), operator=True, work=1)
negative = Elementwise("negative", np.negative, (-1,), operator=True, work=1)
positive = Elementwise("positive", np.positive, (1,), operator=True, work=1)
multiply = Multiply(
    "multiply",
    np.multiply,
    (lambda z, x, y: y, lambda z, x, y: x),
    Power.times,
    operator=True,
    is_polynomial=True,
    work=1,
)
divide = Product(
    "divide", np.divide, (lambda z, x, y: divide(1, y), lambda z, x, y: negative(divide(z, y))), operator=True, work=4
)
floor_divide = Elementwise("floor_divide", np.floor_divide, operator=True)
remainder = Elementwise("remainder", np.remainder, (1, lambda z, x, y: negative(floor_divide(x, y))), operator=True)
fmod = Elementwise("fmod", np.fmod, (1, lambda z, x, y: rint(divide(subtract(z, x), y))))
reciprocal = PowerLike("reciprocal", np.reciprocal, (lambda y, x: negative(square(y)),), lambda x: x.raised(-1), work=4)

# ---- powers, and what is made of them

square = PowerLike(
    "square", np.square, (lambda y, x: multiply(2, x),), lambda x: x.raised(2), is_polynomial=True, work=1
)
sqrt = PowerLike("sqrt", np.sqrt, (lambda y, x: divide(0.5, y),), lambda x: x.raised(0.5), work=4)
cbrt = PowerLike("cbrt", np.cbrt, (lambda y, x: divide(1 / 3, square(y)),), Power.cube_root)


class PowerOf(PowerLike):
    """Powers; of integers those with negative exponents are refused."""

    def impl(self, *xs: Any) -> list[Any]:
        if any(map(is_on_device, xs)) and all(typeof(x).dtype.kind in "iu" for x in xs) and np.any(xs[1] < 0):
            raise ValueError("Integers to negative integer powers are not allowed.")  # as NumPy does
        return super().impl(*xs)

    def may_fail(self, avals: Sequence[Any], params: Params) -> bool:
        return self.abstract_eval(*avals)[0].dtype.kind in "iu"

    def work_on(self, operands: Sequence[Any], params: Params) -> int | None:
        """Few halves are products, and a root or a reciprocal."""
        halves = 2 * getattr(operands[1], "value", np.nan)
        if np.ndim(halves) or halves not in range(-8, 9):
            return None
        return int(abs(halves)) // 2 + (halves % 2 != 0) * sqrt.work + (halves < 0) * reciprocal.work

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        """Of integers, with exponents that are known only when the program runs."""
        run = assembler.python(self, sources, targets, params)
        return assembler.integer_power(block, *sources, *targets, run)


power = PowerOf(
    "power",
    np.power,
    (lambda z, x, y: _power_by_base(x, y), lambda z, x, y: _power_by_exponent(z, x, y)),
    lambda x, y: x.raised(constant(y)),
    operator=True,
)
float_power = PowerLike("float_power", np.float_power, power.derivatives, power.note)
absolute = PowerLike(
    "absolute", np.absolute, (lambda y, x: _conjugate_sign(x),), Power.magnitude, operator=True, work=1
)
fabs = PowerLike("fabs", np.fabs, (lambda y, x: sign(x),), Power.magnitude, work=1)
hypot = PowerLike(
    "hypot",
    np.hypot,
    (lambda z, x, y: _ratio(x, z), lambda z, x, y: _ratio(y, z)),
    lambda x, y: Power((*x.parts, *y.parts), 1).magnitude() if x.exponent == y.exponent == 1 else None,
    is_polynomial=True,
)

# ---- signs, roundings and neighbours


class Ldexp(Elementwise):
    """`x * 2**n`: what n is cast to is not what x is."""

    def lower(self, result: Any, x: Any, n: Any) -> Any:
        def element(index: Any) -> Any:
            powers = result.of(INT).cast(n.broadcast(index))
            return result.apply_to(self.name, result.cast(x.broadcast(index)), powers)

        return element


class Neighbour(Elementwise):
    """Something of the numbers that a dtype has next to a number."""

    is_of_dtype = True


copysign = Elementwise("copysign", np.copysign, (lambda z, x, y: multiply(sign(x), copysign(1, y)), None))
signbit = Elementwise("signbit", np.signbit, work=1)
heaviside = Elementwise("heaviside", np.heaviside, (None, lambda z, x, y: equal(x, 0)))
floor = Elementwise("floor", np.floor)
ceil = Elementwise("ceil", np.ceil)
trunc = Elementwise("trunc", np.trunc)
rint = Elementwise("rint", np.rint)
nextafter = Neighbour("nextafter", np.nextafter, (1, None))
spacing = Neighbour("spacing", np.spacing)
ldexp = Ldexp("ldexp", np.ldexp, (lambda z, x, y: ldexp(_like(z, 1), y), None))

# ---- exponentials and logarithms

exp = Elementwise("exp", np.exp, (lambda y, x: y,))
exp2 = Elementwise("exp2", np.exp2, (lambda y, x: multiply(_ln(2), y),))
expm1 = Elementwise("expm1", np.expm1, (lambda y, x: add(y, 1),))
log = Elementwise("log", np.log, (lambda y, x: divide(1, x),))
log2 = Elementwise("log2", np.log2, (lambda y, x: divide(1 / _ln(2), x),))
log10 = Elementwise("log10", np.log10, (lambda y, x: divide(1 / _ln(10), x),))
log1p = Elementwise("log1p", np.log1p, (lambda y, x: divide(1, add(1, x)),))
logaddexp = Elementwise(
    "logaddexp", np.logaddexp, (lambda z, x, y: _weight(exp, z, x, y), lambda z, x, y: _weight(exp, z, y, x))
)
logaddexp2 = Elementwise(
    "logaddexp2", np.logaddexp2, (lambda z, x, y: _weight(exp2, z, x, y), lambda z, x, y: _weight(exp2, z, y, x))
)

# ---- trigonometry

sin = Elementwise("sin", np.sin, (lambda y, x: cos(x),))
cos = Elementwise("cos", np.cos, (lambda y, x: negative(sin(x)),))
tan = Elementwise("tan", np.tan, (lambda y, x: add(1, square(y)),))
arcsin = Elementwise("arcsin", np.arcsin, (lambda y, x: divide(1, _root_of_one_minus_square(x)),))
arccos = Elementwise("arccos", np.arccos, (lambda y, x: divide(-1, _root_of_one_minus_square(x)),))
arctan = Elementwise("arctan", np.arctan, (lambda y, x: divide(1, add(1, square(x))),))
arctan2 = Elementwise(
    "arctan2",
    np.arctan2,
    (lambda z, y, x: _over_square(x, hypot(x, y)), lambda z, y, x: negative(_over_square(y, hypot(x, y)))),
)
deg2rad = Elementwise("deg2rad", np.deg2rad, (pi / 180,))
rad2deg = Elementwise("rad2deg", np.rad2deg, (180 / pi,))
radians = Elementwise("radians", np.radians, (pi / 180,))
degrees = Elementwise("degrees", np.degrees, (180 / pi,))
sinh = Elementwise("sinh", np.sinh, (lambda y, x: cosh(x),))
cosh = Elementwise("cosh", np.cosh, (lambda y, x: sinh(x),))
tanh = Elementwise("tanh", np.tanh, (lambda y, x: subtract(1, square(y)),))
arcsinh = Elementwise("arcsinh", np.arcsinh, (lambda y, x: divide(1, sqrt(add(square(x), 1))),))
arccosh = Elementwise("arccosh", np.arccosh, (lambda y, x: divide(1, multiply(sqrt(subtract(x, 1)), sqrt(add(x, 1)))),))
arctanh = Elementwise("arctanh", np.arctanh, (lambda y, x: divide(1, multiply(subtract(1, x), add(1, x))),))

# ---- comparison, logic and bits


class Comparison(Elementwise):
    """A comparison, of integers as the numbers that they are: Python's are not cast, nor those of 64 bits rounded."""

    def stage(self, trace: Any, args: Sequence[Any], params: Params) -> list[Any]:
        for number, other in (args, args[::-1]):
            aval = typeof(other)
            if type(number) is not int or aval.dtype.kind not in "iu" or aval.weak:
                continue
            if has_integer(aval.dtype, number):
                args = [aval.dtype.type(x) if x is number else x for x in args]
            else:  # it is less than all of them, or greater
                value = self.python_operator(*(x if x is number else 0 for x in args))
                return trace.record(full, (), {"value": value, "shape": aval.shape, "dtype": BOOL})
        return super().stage(trace, args, params)

    def resolve_dtypes(self, avals: Sequence[ShapedArray]) -> tuple[np.dtype[Any], ...]:
        if len({aval.weak for aval in avals}) == 2 and all(aval.dtype.kind in "iu" for aval in avals):
            avals = [aval.strong() for aval in avals]
        return super().resolve_dtypes(avals)

    def lower(self, result: Any, x: Any, y: Any) -> Any:
        rule = super().lower(result, x, y)
        if rule is not None or {x.aval.dtype.kind, y.aval.dtype.kind} != {"i", "u"}:
            return rule
        integer, natural = result.of(INT), np.dtype(np.uint64)
        is_x = x.aval.dtype.kind == "i"
        if_negative = result.constant(self.python_operator(-1, 0) if is_x else self.python_operator(0, -1))

        def compare(index: Any) -> Any:
            both = x.broadcast(index), y.broadcast(index)
            is_negative = result.apply("less", both[not is_x], integer.constant(0), computes_in=INT)
            return result.choose(is_negative, if_negative, result.apply(self.name, *both, computes_in=natural))

        return compare


equal = Comparison("equal", np.equal, operator=True, commutes=True, work=1)
not_equal = Comparison("not_equal", np.not_equal, operator=True, commutes=True, work=1)
less = Comparison("less", np.less, operator=True, work=1)
less_equal = Comparison("less_equal", np.less_equal, operator=True, work=1)
greater = Comparison("greater", np.greater, operator=True, work=1)
greater_equal = Comparison("greater_equal", np.greater_equal, operator=True, work=1)
logical_and = Elementwise("logical_and", np.logical_and, commutes=True, work=1)
logical_or = Elementwise("logical_or", np.logical_or, commutes=True, work=1)
logical_xor = Elementwise("logical_xor", np.logical_xor, commutes=True, work=1)
logical_not = Elementwise("logical_not", np.logical_not, work=1)
isnan = Elementwise("isnan", np.isnan, work=1)
isinf = Elementwise("isinf", np.isinf, work=1)
isfinite = Elementwise("isfinite", np.isfinite, work=1)
bitwise_and = Elementwise("bitwise_and", np.bitwise_and, operator=True, commutes=True, work=1)
bitwise_or = Elementwise("bitwise_or", np.bitwise_or, operator=True, commutes=True, work=1)
bitwise_xor = Elementwise("bitwise_xor", np.bitwise_xor, operator=True, commutes=True, work=1)
invert = Elementwise("invert", np.invert, operator=True, work=1)
left_shift = Elementwise("left_shift", np.left_shift, operator=True)
right_shift = Elementwise("right_shift", np.right_shift, operator=True)
bitwise_count = Elementwise("bitwise_count", np.bitwise_count)
gcd = Elementwise("gcd", np.gcd)
lcm = Elementwise("lcm", np.lcm)

# ---- extremes: the operands that attain the result share its derivative equally


class Extreme(Elementwise):
    """What an operand that loses would have had of an infinite derivative is nothing: it is left out, not weighed."""

    def tangent(self, y: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        total: Any = ZERO
        for x, other, t in zip(primals, primals[::-1], tangents):
            if t is not ZERO:
                share = select(equal(y, other), _like(y, 0.5), _like(y, 1))
                t = select(equal(y, x), match(scale(t, share), y), _like(y, 0))
                total = t if total is ZERO else add_any(total, t)
        return total


maximum = Extreme("maximum", np.maximum, work=1)
minimum = Extreme("minimum", np.minimum, work=1)
fmax = Extreme("fmax", np.fmax, work=2)
fmin = Extreme("fmin", np.fmin, work=2)


class Sign(Elementwise):
    """-1, 0 or 1; of a complex number z/|z|, which turns at the rate Im(dz/z) and is flat at zero by definition."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        (z,), (dz,) = primals, tangents
        y = self(z)
        if typeof(z).dtype.kind != "c":
            return [y], [ZERO]
        with np.errstate(all="ignore"):
            turn = imag(scale(dz, conjugate(y)))
            return [y], [match(scale(turn, multiply(1j, _ratio(y, absolute(z)))), y)]


class PartOfFrexp(Plain):
    """One of the results of np.frexp: `x = mantissa * 2**exponent`, with 0.5 <= |mantissa| < 1.

    Args:
        number: which it is.
        operation: what kernels have for it, in double precision.
    """

    never_fails = True

    def __init__(self, name: str, number: int, operation: str):
        super().__init__(name)
        self.number = number
        self.operation = operation

    def abstract_eval(self, x: ShapedArray) -> list[ShapedArray]:
        return [ShapedArray(x.shape, resolve_dtypes(np.frexp, (x.dtype, None, None))[1 + self.number])]

    def impl(self, x: Any) -> list[Any]:
        return [np.frexp(x)[self.number]]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        y = self(*primals)
        if self.number:
            return [y], [ZERO]
        return [y], [match(scale(tangents[0], ldexp(_like(y, 1), negative(exponent(*primals)))), y)]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(*values)], [True]

    def lower(self, result: Any, x: Any) -> Any:
        gives = INT if self.number else DOUBLE
        return lambda index: result.cast(result.apply(self.operation, x.at(index), computes_in=DOUBLE, gives=gives))


class Bits(Primitive):
    """The bits of numbers, integers or floats, as numbers of another dtype.

    A wider one becomes several along a new last axis, and several along the last axis become one, lowest bits first.
    """

    lowers_by_dtype = True
    is_of_dtype = True

    def abstract_eval(self, x: ShapedArray, *, dtype: np.dtype[Any]) -> list[ShapedArray]:
        have, want = x.dtype.itemsize, dtype.itemsize
        if have < want and x.shape[-1:] != (want // have,):
            raise ShapeMismatchError(
                f"The bits of {x} were to be read as {dtype.name}.",
                f"{want // have} numbers of {x.dtype.name} make up one, and are along the last axis.",
                f"Reshape to (..., {want // have}).",
            )
        if not {x.dtype.kind, dtype.kind} <= set("iuf"):
            raise UnsupportedDtypeError(
                f"The bits of {x} were to be read as {dtype.name}.",
                "They are those of integers and floats.",
                "Convert booleans with `.astype(np.uint8)`, and take real and imaginary parts of complex numbers.",
            )
        shape = x.shape if have == want else (*x.shape, have // want) if have > want else x.shape[:-1]
        return [ShapedArray(shape, dtype)]

    def impl(self, x: Any, *, dtype: np.dtype[Any]) -> list[Any]:
        x = np.asarray(x) if type(x) in PYTHON_SCALARS else x
        if x.dtype.itemsize == dtype.itemsize:
            return [x.view(dtype).copy()]
        if x.dtype.itemsize > dtype.itemsize:
            return [x[..., None].copy(order="C").view(dtype)]
        return [x.copy(order="C").view(dtype)[..., 0].copy()]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, dtype: np.dtype[Any]) -> tuple[Any, Any]:
        return [self(*primals, dtype=dtype)], [ZERO]

    def batch(self, size: int, values: Sequence[Any], mapped: Any, *, dtype: np.dtype[Any]) -> tuple[Any, Any]:
        return [self(*values, dtype=dtype)], [True]

    def lower(self, result: Any, x: Any, *, dtype: np.dtype[Any]) -> Any:
        if x.aval.dtype.itemsize != dtype.itemsize:
            return None
        signed = result.of(np.dtype(f"i{dtype.itemsize}"))
        if dtype.kind == "f":
            return lambda index: result.apply_to("number_of_bits", signed.cast(x.at(index)))
        if x.aval.dtype.kind == "f":
            return lambda index: result.cast(signed.apply_to("bits_of_number", x.at(index)))
        return lambda index: result.cast(x.at(index))

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        (target,) = targets
        numbers = assembler.contiguous_copy(block, sources[0])
        assembler.copy(block, numbers._replace(dtype=target.dtype).reshaped(target.shape), target)
        return True


sign = Sign("sign", np.sign)
bits = Bits("bits")
mantissa = PartOfFrexp("mantissa", 0, "significand")
exponent = PartOfFrexp("exponent", 1, "binary_exponent")

# ---- derivatives that take more than a line


def _like(x: Any, value: float) -> Any:
    """A real constant in the precision of x."""
    aval = typeof(x)
    return value if aval.weak else real_dtype(aval.dtype).type(value)


def _conjugate_sign(x: Any) -> Any:
    """The derivative of |x|."""
    return conjugate(sign(x)) if typeof(x).dtype.kind == "c" else sign(x)


def _share(z: Any, x: Any, y: Any) -> Any:
    """One where x alone attains the extreme z, a half where y does too, zero elsewhere."""
    return select(equal(z, x), select(equal(z, y), _like(z, 0.5), _like(z, 1)), _like(z, 0))


def _weight(exponential: Elementwise, z: Any, x: Any, y: Any) -> Any:
    """exp(x - z) for z = log(exp(x) + exp(y)); infinite ones share as extremes do."""
    return select(isinf(z), _share(z, x, y), exponential(subtract(x, z)))


def _ratio(x: Any, length: Any) -> Any:
    """x / length, and zero where the length is."""
    is_zero = equal(length, 0)
    return select(is_zero, _like(length, 0), divide(x, select(is_zero, _like(length, 1), length)))


def _over_square(x: Any, length: Any) -> Any:
    """x / length**2 without overflow, and zero where the length is."""
    return _ratio(_ratio(x, length), length)


def _root_of_one_minus_square(x: Any) -> Any:
    """sqrt(1 - x**2), accurate near one and on the right side of the branch cuts."""
    return multiply(sqrt(subtract(1, x)), sqrt(add(1, x)))


def _power_by_base(x: Any, y: Any) -> Any:
    """y * x**(y - 1), which is zero for y = 0 even at x = 0."""
    if isinstance(y, (int, float)):
        return zeros(typeof(x)) if y == 0 else multiply(y, x if y == 2 else power(x, y - 1))
    both_zero = logical_and(equal(x, 0), equal(y, 0))
    return multiply(y, power(x, select(both_zero, 1, subtract(y, 1))))


def _power_by_exponent(z: Any, x: Any, y: Any) -> Any:
    """log(x) * x**y, which is zero at x = 0 for y > 0 (for y = 0 as well, where it is a convention)."""
    is_zero = equal(x, 0)
    if typeof(y).dtype.kind != "c":
        is_zero = logical_and(is_zero, greater_equal(y, 0))
    elif typeof(x).dtype.kind != "c":
        x = convert(x, dtype=typeof(z).dtype)  # negative numbers have logarithms there
    return select(is_zero, 0.0, multiply(log(select(is_zero, 1.0, x)), z))


OPERATORS = (
    "positive negative absolute invert add subtract multiply divide floor_divide remainder power bitwise_and "
    "bitwise_or bitwise_xor left_shift right_shift equal not_equal less less_equal greater greater_equal"
)
for _name in OPERATORS.split():
    setattr(operators, _name, globals()[_name])
operators.square = square  # of booleans
