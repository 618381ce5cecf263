"""Accuracy of the functions in kernels: at most 4 units in the last place, and the special values of NumPy.

Single precision is held against double, and double against the 80 bits of x86 or mpmath. The bounds are what was
measured on some hundred thousand points each, in single precision on a quarter of all floats, rounded up.
"""

import math

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.backends.cpu.engine import engine
from tests.helpers.native import native, ulps
from tests.helpers.tiers import tier

try:
    import mpmath
except ImportError:
    mpmath = None

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

F64, F32 = np.dtype(np.float64), np.dtype(np.float32)
HAS_LONG = np.finfo(np.longdouble).eps < 1e-18
#: Measured errors in ulp, in double and in single precision: of our exp and tanh, and of the others with libmvec of
#: glibc 2.36 on AVX2 and AVX-512, the larger ones.
MEASURED = {
    "exp": (1.0, 1.1), "exp2": (1.7, 1.1), "expm1": (2.9, 2.4), "log": (1.6, 3.95), "log2": (2.1, 2.2),
    "log10": (2.1, 3.4), "log1p": (2.0, 2.0), "sin": (3.3, 1.9), "cos": (3.5, 2.0), "tan": (3.4, 3.8),
    "arcsin": (2.6, 3.1), "arccos": (1.8, 2.2), "arctan": (2.6, 2.4), "sinh": (1.9, 1.9), "cosh": (2.0, 2.4),
    "tanh": (2.6, 2.5), "arcsinh": (2.1, 2.1), "arccosh": (2.7, 2.9), "arctanh": (2.0, 2.1), "cbrt": (1.8, 2.9),
    "erf": (2.0, 4.0), "erfc": (1.9, 1.6), "arctan2": (2.9, 3.3), "hypot": (1.2, 1.2), "power": (1.0, 0.7),
}  # fmt: skip
UNARY = [name for name in MEASURED if name not in ("arctan2", "hypot", "power", "erf", "erfc")]


def edges(dtype):
    """Zeros, infinities, NaN, limits of the format and of functions, multiples of pi/2, and their neighbours."""
    limits = np.finfo(dtype)
    numbers = [
        0, 0.25, 0.5, 0.7071, 1, 1.5, 2, 3, 10, 20, 30, 88, 88.7, 89, 100, 103.97, 104, 126, 127, 128, 149, 150, 700, 709,
        709.78, 709.8, 710, 710.5, 745, 746, 1000, 1022, 1023.5, 1024, 1074, 1075, 1076, 1e-3, 1e-5, 1e-10, 1e5, 1e10,
        1e20, 1e30, limits.max, limits.tiny, 0.75 * limits.tiny, limits.smallest_subnormal, limits.eps, 1 - limits.epsneg,
        1 + limits.eps, np.inf, np.nan, *np.arange(1, 3000) * (np.pi / 2), *2.0 ** np.arange(-120, 120),
    ]  # fmt: skip
    x = np.array(numbers).astype(dtype)
    x = np.concatenate([x, -x])
    return np.concatenate([x, np.nextafter(x, dtype.type(np.inf)), np.nextafter(x, dtype.type(-np.inf))])


def dense(dtype, count=20000, seed=0):
    """Random numbers of all sizes, most of them where functions change."""
    random, limits = np.random.default_rng(seed), np.finfo(dtype)
    least, most = np.log10(float(limits.tiny)), np.log10(float(limits.max))
    signs = random.choice([-1, 1], count)
    parts = [
        random.normal(size=count), random.uniform(-20, 20, count), random.uniform(-1, 1, count),
        random.uniform(-750, 750, count), signs * 10 ** random.uniform(least, most, count),
        signs * 10 ** random.uniform(-12, 3, count), 1 + signs * 10 ** random.uniform(-15, -1, count),
        random.uniform(0, 3, count),
    ]  # fmt: skip
    return np.concatenate(parts).astype(dtype)


def check(name, dtype, got, want, places):
    """Errors within the bound, and signs of zeros as they ought to be."""
    error = ulps(got, want)
    worst = np.argmax(error)
    allowed = MEASURED[name][dtype == F32] if engine().has_vector_functions else 4.0
    assert error[worst] <= min(4.0, allowed + 0.3), (
        name,
        dtype,
        float(error[worst]),
        [float(p[worst]) for p in places],
    )
    zero = want == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


def exact(function, dtype, *operands):
    """The values in more precision."""
    if dtype == F64 and not HAS_LONG:
        pytest.skip("long double is double on this machine")
    return function(*(x.astype(np.longdouble if dtype == F64 else np.float64) for x in operands))


@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_functions(name, dtype):
    x = np.concatenate([edges(dtype), dense(dtype)])
    check(name, dtype, native(name, [x], dtype), exact(getattr(np, name), dtype, x), [x])


@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
@pytest.mark.parametrize("name", ["arctan2", "hypot", "power"])
def test_functions_of_two(name, dtype):
    limits = np.finfo(dtype)
    special = np.array(
        [0, 1, 2, 3, 0.5, 1 / 3, 1e10, limits.max, limits.tiny, limits.smallest_subnormal, np.inf, np.nan]
    )
    special = np.concatenate([special, -special]).astype(dtype)
    random = np.random.default_rng(1)
    x, y = dense(dtype, seed=2), dense(dtype, seed=3)
    y = random.permutation(y)
    near = x * random.normal(size=x.size).astype(dtype)
    y = np.where(random.random(x.size) < 0.5, y, near)
    x, y = (np.concatenate([a.ravel(), b]) for a, b in zip(np.meshgrid(special, special), (x, y)))
    check(name, dtype, native(name, [x, y], dtype), exact(getattr(np, name), dtype, x, y), [x, y])


def error_function(name, x):
    """erf or erfc of doubles, beyond double precision if mpmath is there."""
    if mpmath is None:
        return np.array([getattr(math, name)(v) for v in x])
    with mpmath.workprec(120):
        values = [getattr(mpmath, name)(mpmath.mpf(float(v))) if np.isfinite(v) else getattr(math, name)(v) for v in x]
        high = np.array([float(v) for v in values], np.longdouble)
        return high + np.array([float(v - float(h)) if np.isfinite(h) else 0.0 for v, h in zip(values, high)])


@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_error_functions(name, dtype):
    random = np.random.default_rng(4)
    count = 2000 if dtype == F64 and mpmath else 20000
    parts = [
        edges(dtype)[::17],
        random.normal(size=count),
        random.uniform(-6, 28, count),
        10 ** random.uniform(-40, 0, count),
    ]
    x = np.concatenate(parts).astype(dtype)
    got, want = native(name, [x], dtype), error_function(name, x)
    if mpmath is None and dtype == F64:
        assert ulps(got, want).max() <= 3  # one of which is that of math.erf
    else:
        check(name, dtype, got, want, [x])


# ---- what is made of these functions

#: Formulas for more precision, and bounds in double and in single precision: the errors of two functions add up.
COMPOSED = {
    "expit": (lambda x: np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x))), 4.0, 4.0),
    "log_expit": (lambda x: np.where(x < 0, x, 0) - np.log1p(np.exp(-np.abs(x))), 4.3, 4.0),
    "entr": (lambda x: np.where(x > 0, -x * np.log(x), np.where(x < 0, -np.inf, np.abs(x))), 3.0, 5.0),
    "xlogy": (lambda x, y: np.where((x == 0) & ~np.isnan(y), 0, x * np.log(y)), 3.0, 5.0),
    "xlog1py": (lambda x, y: np.where((x == 0) & ~np.isnan(y), 0, x * np.log1p(y)), 3.0, 3.5),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
@pytest.mark.parametrize("name", COMPOSED)
def test_compositions(name, dtype):
    formula, *bounds = COMPOSED[name]
    x = np.concatenate([edges(dtype), dense(dtype, seed=5)])
    operands = [x, np.random.default_rng(6).permutation(x)][: formula.__code__.co_argcount]
    error = ulps(native(name, operands, dtype), exact(formula, dtype, *operands))
    assert error.max() <= bounds[dtype == F32], [float(a[np.argmax(error)]) for a in operands]


@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
def test_logit(dtype):
    x = np.abs(np.concatenate([edges(dtype), dense(dtype, seed=7)])) % 1
    want = exact(lambda x: np.log(x) - np.log1p(-x), dtype, x)
    near = np.abs(x - 0.5) < 0.25
    want[near] = exact(lambda x: np.log1p(2 * (x - 0.5)) - np.log1p(-2 * (x - 0.5)), dtype, x[near])
    assert ulps(native("logit", [x], dtype), want).max() <= 4


@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
@pytest.mark.parametrize("name", ["logaddexp", "logaddexp2"])
def test_logaddexp(name, dtype):
    """Units in the last place of the largest operand: the result may be a small difference of two."""
    x = np.concatenate([edges(dtype), dense(dtype, seed=8)])
    random = np.random.default_rng(9)
    y = np.where(random.random(x.size) < 0.5, random.permutation(x), x + random.normal(size=x.size)).astype(dtype)
    base = {"logaddexp": (np.exp, 1), "logaddexp2": (np.exp2, np.log(np.longdouble(2)))}[name]
    x, y = x[np.isfinite(x) & np.isfinite(y)], y[np.isfinite(x) & np.isfinite(y)]

    def formula(x, y):
        exponential, scale = base
        return np.maximum(x, y) + np.log1p(exponential(-np.abs(x - y))) / x.dtype.type(scale)

    got, want = native(name, [x, y], dtype), exact(formula, dtype, x, y)
    is_finite = np.isfinite(want.astype(dtype))
    np.testing.assert_array_equal(np.isfinite(got), is_finite)
    size = np.maximum(np.maximum(np.abs(x), np.abs(y)), np.abs(want.astype(dtype)))
    error = np.abs(got.astype(want.dtype) - want) / np.spacing(np.maximum(size, np.finfo(dtype).tiny))
    assert error[is_finite].max() <= 4


@pytest.mark.skipif(mpmath is None, reason="mpmath is not installed")
@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
def test_normal_distribution_function(dtype):
    random = np.random.default_rng(10)
    x = np.concatenate([random.uniform(-38, 10, 800), 3 * random.normal(size=800)]).astype(dtype)
    with mpmath.workprec(120):
        values = [mpmath.ncdf(mpmath.mpf(float(v))) for v in x]
        want = np.array([float(v) for v in values], np.longdouble)
        want += np.array([float(v - float(h)) for v, h in zip(values, want)])
    normal = want > np.finfo(dtype).tiny
    assert ulps(native("ndtr", [x], dtype), want)[normal].max() <= 3.5


def test_a_loop_calls_the_vector_functions():
    if not engine().has_vector_functions:
        pytest.skip("there are none on this machine")
    x = np.random.default_rng(11).normal(size=64)
    one_by_one = np.array([math.sin(v) for v in x])
    assert np.any(native("sin", [np.tile(x, 100)], F64)[:64] != one_by_one)  # of another library, to the last bit


@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
def test_logarithms_of_what_is_known_to_be_positive_have_the_same_bits(dtype):
    """LLVM knew what to make of these, and then had no vector version of it."""
    x = np.abs(np.random.default_rng(12).normal(size=6400)).astype(dtype) + dtype.type(1e-6)
    logs, guarded = ft.jit(np.log), ft.jit(lambda x: np.log(np.where(x > 0.5, x, dtype.type(0.25))))
    with tier("thorough"):
        want = logs(np.where(x > 0.5, x, dtype.type(0.25)))
        np.testing.assert_array_equal(guarded(x), want)


@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
@pytest.mark.parametrize("name", ["exp", "log"])
def test_special_operands_leave_their_neighbours_alone(name, dtype):
    """They are replaced before a vector function sees them; a formula takes them as they are."""
    x = np.abs(np.random.default_rng(13).normal(size=640)).astype(dtype)
    special = np.array([-np.inf, -1e30, -800, -0.0, 0.0, np.inf, np.nan, -1.0], dtype)
    mixed = np.where(np.arange(x.size) % 3 == 0, np.resize(special, x.size), x)
    got = native(name, [mixed], dtype)
    plain = np.arange(x.size) % 3 != 0
    assert ulps(got[plain], exact(getattr(np, name), dtype, x)[plain]).max() <= 4
    want = getattr(np, name)(mixed)[~plain]
    assert ulps(got[~plain], want.astype(np.longdouble)).max() <= 4
    np.testing.assert_array_equal(got[~plain][~np.isfinite(want)], want[~np.isfinite(want)])


# ---- without vector functions


def test_scalar_functions_serve_where_there_are_no_vector_functions(monkeypatch):
    monkeypatch.setattr(engine(), "has_vector_functions", False)
    x = dense(F64, 300, seed=12)
    for name in UNARY:
        got = native(name, [x], F64, fresh=True)
        assert ulps(got, exact(getattr(np, name), F64, x)).max() <= 4, name
    np.testing.assert_array_equal(native("sin", [x], F64, fresh=True), [math.sin(v) for v in x])


@pytest.mark.skipif(mpmath is None, reason="mpmath is not installed")
@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
def test_inverse_error_function(dtype):
    random = np.random.default_rng(11)
    close = 10 ** random.uniform(-16, -0.1, 300)  # to one
    parts = [random.uniform(-1, 1, 600), 1 - close, close - 1, 10 ** random.uniform(-30, 0, 300)]
    x = np.concatenate(parts).astype(dtype)
    x = x[np.abs(x) < 1]
    with mpmath.workprec(120):
        values = [mpmath.erfinv(mpmath.mpf(float(v))) for v in x]
        want = np.array([float(v) for v in values], np.longdouble)
        want += np.array([float(v - float(h)) for v, h in zip(values, want)])
    assert ulps(native("erfinv", [x], dtype), want).max() <= 4
    special = np.array([0.0, -0.0, 1.0, -1.0, 1.5, -np.inf, np.nan], dtype)
    got = native("erfinv", [special], dtype)
    np.testing.assert_array_equal(got, np.array([0, 0, np.inf, -np.inf, np.nan, np.nan, np.nan], dtype))
    assert not np.signbit(got[:2]).any()
