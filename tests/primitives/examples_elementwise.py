"""Examples for the functions of each element, selection, complex numbers and special functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.helpers.examples import Example

F32, I32, U8 = np.float32, np.int32, np.uint8

X = np.array([[0.3, -0.7, 1.9], [-1.4, 0.6, 2.3]])
Y = np.array([[1.2, 0.4, -0.8], [0.9, -1.7, 2.2]])
ROW = np.array([0.7, -1.1, 1.6])
POSITIVE = np.array([0.2, 0.9, 1.7, 3.1])
UNIT = np.array([-0.8, -0.1, 0.35, 0.9])
INSIDE = np.array([0.1, 0.4, 0.75])
COMPLEX = np.array([0.4 + 0.3j, -0.9 + 0.5j, 1.2 - 0.8j])
OTHER = np.array([1.1 - 0.2j, 0.3 + 0.7j, -0.6 - 0.4j])
INTS = np.array([[3, -7, 2], [5, 4, -1]], I32)
POWERS = np.array([2, 3, 0, 1])
BITS = np.array([0b1100, 0b1010, 0b0111], U8)
FLAGS = np.array([True, False, True])
EMPTY = np.zeros((0, 3))
HALF = np.array([0.25, 0.5, 0.75], np.float16)


def unary(names: str, *inputs: Any, smooth: bool = True, **params: Any) -> list[Example]:
    """Each primitive on each input, in single precision and on scalars and nothing as well."""
    first = inputs[0]
    single = first.astype(np.complex64 if first.dtype.kind == "c" else F32)
    points = [*inputs, single, first.reshape(-1)[0], first.reshape(-1)[:0]]
    return [Example(name, (x,), params, smooth) for name in names.split() for x in points]


def binary(names: str, *pairs: tuple[Any, Any], smooth: bool = True) -> list[Example]:
    return [Example(name, pair, smooth=smooth) for name in names.split() for pair in pairs]


REALS = [(X, Y), (X, ROW), (X[:, :1], ROW), (X.astype(F32), 0.7), (EMPTY, ROW), (X[0, 0], Y)]
COMPLEXES = [(COMPLEX, OTHER), (COMPLEX, POSITIVE[:3]), (POSITIVE[:3], OTHER)]

EXAMPLES = [
    # arithmetic
    *binary("add subtract multiply divide", *REALS, *COMPLEXES, (2.0, Y), (X, 3)),
    *binary("add subtract multiply divide floor_divide remainder", (INTS, INTS), (INTS, X), smooth=False),
    *binary("remainder fmod", (X, Y), (X, 0.37), (X.astype(F32), ROW.astype(F32))),
    *binary("floor_divide", (X, Y), smooth=False),
    *unary("negative positive square", X, COMPLEX),
    *unary("negative positive square absolute sign", INTS, smooth=False),
    *unary("reciprocal", X, COMPLEX),
    # powers
    *unary("sqrt", POSITIVE, COMPLEX),
    *unary("cbrt", X),
    *binary(
        "power float_power", (POSITIVE, POSITIVE[::-1]), (COMPLEX, OTHER), (X, 2), (X, 3), (X, -1), (POSITIVE, 0.5)
    ),
    *binary("power float_power", (2.0, X), (POSITIVE, POWERS), (COMPLEX, 2), (-POSITIVE[:3], OTHER)),
    *binary("power float_power", (-2.0, OTHER)),
    *binary("power", (INTS, 2), (np.array([2, 3]), np.array([3, 2])), smooth=False),
    *unary("absolute", X, COMPLEX),
    *unary("fabs", X),
    *binary("hypot arctan2", *REALS[:-2]),
    # signs, roundings and neighbours
    *unary("sign", X, COMPLEX),
    *binary("copysign", (X, Y), (X, -1.0)),
    *unary("floor ceil trunc rint", X, INTS),
    *unary("signbit spacing", X, smooth=False),
    *binary("heaviside", (X, ROW), (X, 0.5)),
    *binary("nextafter", (X, Y), smooth=False),
    *binary("ldexp", (X, np.array([1, -2, 3])), (X.astype(F32), 2)),
    *[
        Example("bits", (x,), {"dtype": np.dtype(dtype)}, smooth=False)
        for x, dtypes in (
            (X, ("u8", "i8", "u1", "f4")), (X.astype(F32), ("u4", "i4", "u2")), (HALF, ("u2", "i2")), (INTS, ("f4", "u4")),
            (np.array([[1, 2**62 - 3]]), ("f8", "u4")), (BITS[:2], ("i1", "u2", "f2")), (np.arange(4, dtype="u2"), ("f8",)),
            (np.float32(1.5), ("i4",)), (EMPTY, ("u8",)),
        )
        for dtype in dtypes
    ],
    *unary("mantissa", X), *unary("exponent", X, smooth=False),
    # exponentials and logarithms
    *unary("exp exp2 expm1", X, COMPLEX),
    *unary("exp", HALF, INTS, smooth=False),
    *unary("log log2 log10 log1p", POSITIVE, COMPLEX),
    *binary("logaddexp logaddexp2", *REALS),
    # trigonometry
    *unary("sin cos tan sinh cosh tanh arctan arcsinh", X, COMPLEX),
    *unary("arcsin arccos arctanh", UNIT, COMPLEX),
    *unary("arccosh", POSITIVE + 1, COMPLEX),
    *unary("deg2rad rad2deg radians degrees", X),
    # comparison, logic and bits
    *binary("equal not_equal less less_equal greater greater_equal", (X, Y), (X, ROW), (INTS, 2), (FLAGS, FLAGS)),
    *binary("logical_and logical_or logical_xor", (FLAGS, ~FLAGS), (X, FLAGS), (INTS, INTS)),
    *unary("logical_not", FLAGS, X, smooth=False),
    *unary("isnan isinf isfinite", np.array([np.nan, np.inf, -np.inf, 0.0]), COMPLEX, smooth=False),
    *binary("bitwise_and bitwise_or bitwise_xor", (BITS, BITS[::-1]), (BITS, 3), (FLAGS, ~FLAGS)),
    *binary("left_shift right_shift", (BITS, np.array([1, 2, 0], U8)), (INTS, 2)),
    *binary("gcd lcm", (INTS, 6), (BITS, BITS[::-1])),
    *[Example(name, (BITS,)) for name in ("invert", "bitwise_count")],
    Example("invert", (FLAGS,)),
    # extremes and selection
    *binary("maximum minimum fmax fmin", *REALS),
    *binary("maximum minimum", (INTS, 2), (FLAGS, ~FLAGS), smooth=False),
    Example("select", (FLAGS, X, Y)),
    Example("select", (X > 0, X, 1.5)),
    Example("select", (X > 0, COMPLEX, X)),
    Example("select", (True, X.astype(F32), ROW.astype(F32))),
    Example("select", (FLAGS, INTS, 7), smooth=False),
    Example("stop_gradient", (X,), smooth=False),
    Example("stop_gradient", (FLAGS,), smooth=False),
    # complex numbers
    *unary("real imag conjugate", COMPLEX, X),
    *unary("real imag", INTS, smooth=False),
    Example("complex", (X, Y)),
    Example("complex", (X.astype(F32), ROW.astype(F32))),
    Example("complex", (X, 0.5)),
    # special functions
    *unary("erf erfc", X, COMPLEX),
    *unary("erfinv", UNIT),
    *unary("erfcinv", INSIDE + 0.5),
    *unary("ndtr", X),
    *unary("log_ndtr", X, np.array([-30.0, -8.0, 6.0])),
    *unary("ndtri logit entr", INSIDE),
    *unary("expit log_expit", X, np.array([-40.0, 40.0])),
    *unary("lgamma digamma", POSITIVE, np.array([-0.5, -2.3])),
    *binary("xlogy xlog1py", (POSITIVE, POSITIVE[::-1]), (POSITIVE, 2.0)),
    *unary("i0 i1 i0e i1e", X, np.array([0.0, 9.0, -25.0])[1:]),
    *unary("polygamma", POSITIVE, order=1),
    *unary("polygamma", POSITIVE, order=3),
    *unary("bessel_i scaled_bessel_i", X, order=2),
    *unary("bessel_j", X, np.array([0.0, 9.0, -25.0]), order=0),
    *unary("bessel_j", X, order=3),
    *unary("j0 j1", X, np.array([0.0, 9.0, -25.0])),
    *unary("y0 y1 k0 k1 k0e k1e", POSITIVE),
    *unary("exp1 expi", POSITIVE),
    *unary("erfcx", X),
    *unary("gamma", POSITIVE, np.array([-0.5, -2.3])),
    *unary("loggamma", POSITIVE),
    *unary("gammasgn", X, smooth=False),
    *binary("beta betaln poch", (POSITIVE, POSITIVE[::-1]), (POSITIVE, 2.0)),
    *binary("rel_entr kl_div", (POSITIVE, POSITIVE[::-1]), (POSITIVE, 2.0)),
    *binary("gammainc gammaincc", (POSITIVE, POSITIVE[::-1]), (POSITIVE, 2.0), (0.5, POSITIVE)),
    Example("betainc", (np.array([2, 1, 3]), 2, INSIDE)),  # no derivatives by integers
    Example("betainc", (POSITIVE[:3], POSITIVE[1:], INSIDE)),
    Example("betainc", (2.5, POSITIVE[:, None], INSIDE)),
    *binary("gammaincinv gammainccinv", (POSITIVE[:3], INSIDE), (1.5, INSIDE)),
    Example("betaincinv", (POSITIVE[:3], POSITIVE[1:], INSIDE)),
    Example("betaincinv", (2.5, POSITIVE[:, None], INSIDE)),
    *binary("stdtr", (POSITIVE[:3] + 1, X), (2.5, ROW)),
    *binary("stdtrit", (POSITIVE[:3] + 1, INSIDE), (2.5, INSIDE)),
    # integrals and hypergeometric functions
    Example("hyp1f1", (2, np.array([1, 3, 4]), X[0])),
    Example("hyp2f1", (2, 3, 5, INSIDE)),
    *unary("exprel", X),
    *unary("ellipk ellipe", np.array([-2.3, -0.4, *INSIDE])),
    *binary("boxcox boxcox1p", (POSITIVE, np.array([0.5, 0.0, -1.3, 2.0])), (POSITIVE, 0.0)),
    *unary("spence", POSITIVE),
    *unary("dawsn", X),
    *unary("wofz", COMPLEX),
    Example("expn", (np.array([0, 1, 3, 4]), POSITIVE)),
    Example("expn", (2, POSITIVE)),
    *binary("owens_t", (X, Y), (X, 0.5)),
    *unary("sine_integral fresnel_s fresnel_c", X, COMPLEX),
    *unary("cosine_integral", POSITIVE, COMPLEX),
    *binary("binom", (POSITIVE + 1, POSITIVE[::-1]), (POSITIVE, 0.5)),
    *unary("sinc", X, COMPLEX, np.array([0.0, 1e-3, 5.5]), order=0),
    *unary("sinc", X, np.array([0.0, 1e-3, 5.5]), order=1),
    *unary("sinc", X, order=4),
]
