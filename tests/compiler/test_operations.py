"""Every scalar operation of the CPU backend against NumPy, for every dtype: bit for bit where it is defined so."""

import ctypes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from functrans.compiler.backends.cpu.engine import engine
from functrans.compiler.backends.cpu.operations import HALF_RUNTIME, is_supported
from functrans.compiler.loopnest import Apply, Load
from functrans.compiler.operations.complexes import COMPLEXES
from functrans.compiler.operations.integers import BOOLEANS, INTEGERS
from functrans.compiler.operations.reals import REALS
from functrans.compiler.operations.values import SPECIAL
from functrans.core.primitive import registry
from tests.helpers.native import native, supported, ulps

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

BOOL, HALF, SINGLE, DOUBLE = (np.dtype(t) for t in "?efd")
SIGNED, UNSIGNED, FLOATS, COMPLEX = ([np.dtype(c) for c in codes] for codes in ("bhiq", "BHIQ", "efd", "FD"))
DTYPES = {"b": [BOOL], "i": SIGNED, "u": UNSIGNED, "f": FLOATS, "c": COMPLEX}
TABLES = {"b": BOOLEANS, "i": INTEGERS, "u": INTEGERS, "f": REALS, "c": COMPLEXES}
KIND_NAMES = {"b": "bool", "i": "signed", "u": "unsigned", "f": "float", "c": "complex"}

#: Functions of which NumPy's values have errors of their own; test_vector_math.py says how accurate ours are.
INEXACT = {
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh",
    "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "cbrt", "erf", "erfc", "arctan2", "hypot", "power", "float_power",
    "erfinv", "expit", "log_expit", "logit", "entr", "xlogy", "xlog1py", "logaddexp", "logaddexp2", "ndtr", "sinc",
    *SPECIAL,
}  # fmt: skip
#: Which of two zeros they return depends on how NumPy was compiled, or on other elements.
ANY_ZERO = {"maximum", "minimum", "fmax", "fmin", "scale", "scale_both"}


class Case:
    """One operation on operands of some dtypes."""

    def __init__(self, name, dtypes, result):
        self.name, self.dtypes, self.result = name, dtypes, result

    def __repr__(self):
        return f"{self.name}({', '.join(map(str, self.dtypes))})"

    def expected(self, *operands):
        params = {"order": 0} if self.name == "sinc" else {}
        with np.errstate(all="ignore"):
            return registry[self.name].impl(*operands, **params)[0]


def cases(kind, name):
    """The dtypes for which NumPy and kernels have an operation as such."""
    for dtype in DTYPES[kind]:
        primitive = registry[name]
        if name in ("real", "imag", "scale", "scale_both", "sinc"):
            part = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" and name in ("real", "imag") else dtype
            dtypes = (dtype,) * (2 if name.startswith("scale") else 1), part
        elif name == "ldexp":
            dtypes = (dtype, np.dtype(np.int64)), dtype
        else:
            try:
                *inputs, result = primitive.ufunc.resolve_dtypes((*(dtype,) * primitive.ufunc.nin, None))
            except TypeError:
                continue
            dtypes = tuple(inputs), result
        if name == "ldexp" or set(dtypes[0]) == {dtype}:
            operands = [np.zeros(1, d) for d in dtypes[0]]
            if supported(name, operands, dtypes[1]) and not (name == "sinc" and dtype == HALF):
                yield Case(name, *dtypes)


#: All operations but those that only the compiler writes (test_native_convolutions.py has multiply_add).
ALL = {
    kind: {name: list(cases(kind, name)) for name in table if name in registry} for kind, table in TABLES.items()
}


def special_numbers(dtype):
    """What operations treat as special, and their neighbours."""
    if dtype == BOOL:
        return np.array([False, True])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low = [limits.min, limits.min + 1, -64, -8, -7, -3, -2, -1] if dtype.kind == "i" else []
        return np.array([*low, 0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 32, 63, 64, limits.max - 1, limits.max], dtype)
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        numbers = [
            0, 0.25, 0.3, 0.5, 0.65, 1, 1.5, 2, 2.5, 3, 7, 10, 40, 88.5, 127.5, 600, 2049, limits.eps, 1 + limits.eps,
            1 - limits.epsneg, limits.max, limits.tiny, limits.tiny / 2, limits.smallest_subnormal, np.inf, np.nan,
        ]  # fmt: skip
        return np.array([*numbers, *(-x for x in numbers)], dtype)
    part = np.array([0, -0.0, 0.5, 1, -1, -3, 1e-3, 20, np.inf, -np.inf, np.nan], f"f{dtype.itemsize // 2}")
    re, im = np.meshgrid(part, part)
    return as_complex(re.ravel(), im.ravel())


def as_complex(re, im):
    z = np.empty(re.shape, np.result_type(re, np.complex64))
    z.real, z.imag = re, im
    return z


def random_numbers(dtype, count, seed):
    random = np.random.default_rng(seed)
    if dtype == BOOL:
        return random.random(count) < 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        wide = random.integers(limits.min, limits.max, count, dtype=dtype, endpoint=True)
        return np.where(random.random(count) < 0.5, wide, random.integers(0, 20, count).astype(dtype))
    if dtype.kind == "f":
        parts = [random.normal(size=count), 30 * random.normal(size=count), np.rint(10 * random.normal(size=count))]
        return random.choice(np.concatenate(parts), count).astype(dtype)
    part = np.dtype(f"f{dtype.itemsize // 2}")
    return as_complex(random_numbers(part, count, seed), random_numbers(part, count, seed + 1))


def operands_of(case):
    """All pairs of special numbers, and random ones: more than a vector, not a multiple of one."""
    if case.name == "ldexp":
        exponents = np.array([0, 1, -1, 10, -24, 130, -149, -1074, 1023, 1024, -1022, 2100, -2100, 2**40, -(2**40)])
        grid = np.meshgrid(special_numbers(case.dtypes[0]), exponents)
        return [a.ravel() for a in grid]
    special = np.meshgrid(*(special_numbers(dtype) for dtype in case.dtypes))
    return [
        np.concatenate([s.ravel(), random_numbers(dtype, 333, seed)])
        for seed, (s, dtype) in enumerate(zip(special, case.dtypes))
    ]


def check(case, *operands):
    """The same as NumPy; to some units in the last place where that has errors of its own."""
    got, want = native(case.name, operands, case.result), case.expected(*operands)
    assert got.dtype == want.dtype
    with np.errstate(all="ignore"):
        difference(case, got, want, operands)


def difference(case, got, want, operands):
    if case.dtypes[0].kind == "c" and got.dtype.kind in "fc" and case.name not in ("real", "imag"):
        check_complex(case, got, want, operands)
    elif got.dtype.kind != "f":
        defined = operands[0] != 0 if case.name == "reciprocal" else slice(None)  # 1 / 0 is as the compiler pleases
        np.testing.assert_array_equal(got[defined], want[defined], repr(case))
    elif case.name in INEXACT:
        check_inexact(case, got, want, operands)
    else:
        np.testing.assert_array_equal(got, want, repr(case))
        if case.name not in ANY_ZERO:
            zero = want == 0
            np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]), repr(case))


def check_inexact(case, got, want, operands):
    if case.name in ("ndtr", "erfc", "expit"):  # SciPy has no subnormal numbers, and large errors before them
        usual = ~(want < 1e-10)
        got, want, operands = got[usual], want[usual], [x[usual] for x in operands]
        tolerance = 200
    else:
        tolerance = 1 if got.dtype == HALF else 6
    error = ulps(got, want)
    if case.name.startswith("logaddexp"):  # it may be a small difference
        size = np.maximum(np.abs(operands[0]), np.abs(operands[1]))
        error = np.where(np.isfinite(size) & np.isfinite(want), error * np.minimum(1, np.abs(want) / size), error)
        error = np.nan_to_num(error, posinf=np.inf)
    bad = np.flatnonzero(~(error <= tolerance))
    assert not bad.size, (case, [x[bad[0]] for x in operands], got[bad[0]], want[bad[0]])


def check_complex(case, got, want, operands):
    """Infinite parts and NaN are the same; errors are small against the size of the result or its terms."""
    eps = np.finfo(got.dtype).eps
    size = np.abs(want)
    if case.name in ("multiply", "square", "scale", "scale_both"):
        size = np.abs(operands[0]) * np.abs(operands[-1])
    elif case.name in ("expm1", "log1p"):
        size = 1 + size + np.abs(operands[0])
    for g, w in ((got.real, want.real), (got.imag, want.imag)):
        same = (g == w) | (np.isnan(g) & np.isnan(w)) | (np.abs(g - w) <= 10 * eps * size)
        bad = np.flatnonzero(~same)
        assert not bad.size, (case, [x[bad[0]] for x in operands], got[bad[0]], want[bad[0]])


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k, t in ALL.items() for n in t], ids=lambda x: KIND_NAMES.get(x, x)
)
def test_operation(kind, name):
    for case in ALL[kind][name]:
        check(case, *operands_of(case))


def test_every_operation_of_the_tables_is_tested():
    untested = {(kind, name) for kind, table in ALL.items() for name, found in table.items() if not found}
    assert untested == {("i", "power"), ("c", "power")}  # only by a constant, see below


# ---- anything at all


def elements(dtype):
    """Any value, often a special one."""
    special = st.sampled_from(list(special_numbers(dtype)))
    if dtype.kind == "c":
        return special
    return st.one_of(special, hnp.from_dtype(dtype))


@st.composite
def any_operation(draw, kind):
    case = draw(st.sampled_from([case for found in ALL[kind].values() for case in found]))
    size = draw(st.integers(0, 37))
    return case, [draw(hnp.arrays(dtype, size, elements=elements(dtype))) for dtype in case.dtypes]


@pytest.mark.parametrize("kind", list(ALL), ids=KIND_NAMES.get)
@given(data=st.data())
def test_any_operation_on_anything(kind, data):
    case, operands = data.draw(any_operation(kind))
    check(case, *operands)


# ---- casts

ALL_DTYPES = [BOOL, *SIGNED, *UNSIGNED, *FLOATS, *COMPLEX]


def cast_by_numpy(x, dtype):
    if x.dtype.kind == "c" and dtype.kind not in "cb":
        x = x.real
    return x.astype(dtype)


@pytest.mark.parametrize("want", ALL_DTYPES, ids=str)
@pytest.mark.parametrize("have", ALL_DTYPES, ids=str)
def test_cast(have, want):
    x = np.concatenate([special_numbers(have), random_numbers(have, 333, 0)])
    if have.kind in "fc" and want.kind in "iu":
        wide = np.array([2.0**31, 2.0**32, 2.0**63, 2.0**64, 300, 70000, 9.3e18, 2.0**31 + 5, 1e30])
        x = np.concatenate([x, wide.astype(have), -wide.astype(have)])
    if want == np.uint32:  # NumPy's vector loops cast numbers beyond its limits otherwise than its scalar ones
        x = x[~(np.abs(x) >= 2.0**31) & ~np.isnan(x)]
    got, expected = native("convert", [x], want), cast_by_numpy(x, want)
    np.testing.assert_array_equal(got, expected)
    if want.kind == "f":
        np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(expected[got == 0]))


@given(hnp.arrays(DOUBLE, st.integers(1, 20), elements=st.floats(-7e4, 7e4) | st.floats(-1e-4, 1e-4)))
def test_cast_to_half_precision_rounds_once(x):
    np.testing.assert_array_equal(native("convert", [x], HALF).view(np.int16), x.astype(HALF).view(np.int16))


def test_cast_to_half_precision_at_all_midpoints():
    half = np.arange(0x7C00, dtype=np.uint16).view(HALF).astype(DOUBLE)
    middle = (half[1:] + half[:-1]) / 2
    x = np.concatenate([half, middle, np.nextafter(middle, 0), np.nextafter(middle, 1e6), [65519.999, 65520, 1e300]])
    x = np.concatenate([x, -x])
    np.testing.assert_array_equal(native("convert", [x], HALF).view(np.int16), x.astype(HALF).view(np.int16))


@pytest.mark.parametrize("name", [n for n, found in ALL["f"].items() for c in found if c.dtypes == (HALF,)])
def test_all_of_half_precision(name):
    x = np.arange(65536, dtype=np.uint16).view(HALF)
    (case,) = [c for c in ALL["f"][name] if c.dtypes == (HALF,)]
    check(case, x)


def test_half_precision_in_software():
    """The conversions for processors without instructions, under other names: all numbers, and what is between."""
    text = HALF_RUNTIME.replace("@__extendhfsf2", "@half_extended").replace("@__truncsfhf2", "@half_truncated")
    loop = """
define void @kernel_{name}(ptr %x, ptr %out, i64 %n) {{
entry:
  br label %body
body:
  %i = phi i64 [0, %entry], [%next, %body]
  %from = getelementptr {a}, ptr %x, i64 %i
  %bits = load {a}, ptr %from
  %number = bitcast {a} %bits to {b}
  %result = call {c} @half_{name}({b} %number)
  %raw = bitcast {c} %result to {d}
  %to = getelementptr {d}, ptr %out, i64 %i
  store {d} %raw, ptr %to
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %body, label %end
end:
  ret void
}}"""
    text += loop.format(name="extended", a="i16", b="half", c="float", d="i32")
    text += loop.format(name="truncated", a="i32", b="float", c="half", d="i16")
    addresses = engine().thorough.added(text, ("kernel_extended", "kernel_truncated"))
    half = np.arange(65536, dtype=np.uint16).view(HALF)
    single = half.astype(SINGLE)
    between = np.concatenate(
        [np.nextafter(single, SINGLE.type(x)) for x in (0, 1e9, -1e9)] + [single * 1.00048828125, single]
    )
    for address, x, want in zip(addresses, (half, between), (single, between.astype(HALF))):
        out = np.empty_like(want)
        ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, ctypes.c_int64)(address)(x.ctypes.data, out.ctypes.data, x.size)
        np.testing.assert_array_equal(out, want)
        np.testing.assert_array_equal(np.signbit(out), np.signbit(want))


# ---- operands that are constants


@pytest.mark.parametrize("exponent", [0, 0.5, 1, 2, 3, 4, -1, -2, 1.5, 7])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_power_by_a_constant(dtype, exponent):
    x = np.concatenate([special_numbers(dtype), random_numbers(dtype, 333, 0)])
    got, want = native("power", [x, exponent], dtype), x**exponent
    error = ulps(got, want)
    assert error.max() <= (1 if dtype == HALF else 2), (x[np.argmax(error)], got[np.argmax(error)])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_power_of_two(dtype):
    x = np.concatenate([special_numbers(dtype), random_numbers(dtype, 333, 0)])
    assert ulps(native("power", [2, x], dtype), np.power(dtype.type(2), x)).max() <= 2


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 10, 63, 64, 65, 100])
@pytest.mark.parametrize("dtype", [*SIGNED, *UNSIGNED], ids=str)
def test_integer_power_by_a_constant(dtype, exponent):
    x = np.concatenate([special_numbers(dtype), random_numbers(dtype, 333, 0)])
    np.testing.assert_array_equal(native("power", [x, exponent], dtype), x ** dtype.type(exponent))


@pytest.mark.parametrize("exponent", [0, 0.5, 1, 2, 3, 5, 12, 99, -1, -2, -7])
@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_complex_power_by_a_constant(dtype, exponent):
    x = random_numbers(dtype, 333, 0)
    x = x[np.abs(x) < (3 if abs(exponent) < 20 else 1.2)]
    x[0] = 0
    got, want = native("power", [x, exponent], dtype), np.power(x, np.full(1, exponent, dtype))
    size = np.where(np.isnan(want), 1, np.abs(want))
    np.testing.assert_array_less(
        np.abs(got - want)[1:], (10 + 3 * abs(exponent)) * np.finfo(dtype).eps * size[1:] + np.finfo(dtype).tiny
    )
    np.testing.assert_array_equal(got[0], want[0])


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_literals(dtype):
    """Any constant is written such that it is read again."""
    x = np.zeros(3, dtype)
    name = "logical_or" if dtype == BOOL else "add"
    for number in special_numbers(dtype)[:: 7 if dtype.kind == "c" else 1]:
        np.testing.assert_array_equal(native(name, [x, number], dtype), np.full(3, number) + x)


# ---- selection, and parts of complex numbers


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_select(dtype):
    x, y = random_numbers(dtype, 77, 0), random_numbers(dtype, 77, 5)
    condition = random_numbers(BOOL, 77, 1)
    np.testing.assert_array_equal(native("select", [condition, x, y], dtype), np.where(condition, x, y))


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_parts(dtype):
    part = np.dtype(f"f{dtype.itemsize // 2}")
    x, y = (np.concatenate([special_numbers(part), random_numbers(part, 77, k)]) for k in (0, 1))
    z = native("complex", [x, y], dtype)
    np.testing.assert_array_equal(z, as_complex(x, y))
    np.testing.assert_array_equal(native("conjugate", [z], dtype), z.conj())


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_complex_logarithm_near_the_unit_circle(dtype):
    """Where the real part is a small difference, by NumPy in more precision."""
    angle = np.random.default_rng(0).uniform(-3, 3, 3000)
    z = np.exp(1j * angle).astype(dtype)
    got = native("log", [z], dtype)
    want = np.log(z.astype(np.complex128 if dtype == np.complex64 else np.clongdouble))
    assert ulps(got.real, want.real).max() <= 4
    assert ulps(got.imag, want.imag).max() <= 4


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_complex_division_neither_over_nor_underflows(dtype):
    limits = np.finfo(dtype)
    size = np.array([limits.max / 4, limits.tiny * 16, 1])
    x = (size * (1 + 0.5j)).astype(dtype)
    np.testing.assert_allclose(native("divide", [x, x], dtype), 1, rtol=4 * limits.eps)


# ---- what there is not


def test_what_kernels_leave_to_numpy():
    x, n, z = np.zeros(1), np.zeros(1, int), np.zeros(1, complex)
    assert not supported("power", [n, n], n.dtype)  # which raises for negative exponents
    assert not supported("power", [n, -1], n.dtype)
    assert supported("power", [n, 3], n.dtype)
    assert not supported("power", [z, z], z.dtype)
    assert not supported("erf", [z], z.dtype)
    assert not supported("no such operation", [x], x.dtype)
    assert not supported("add", [x.astype(">f8"), x], x.dtype)
    assert not is_supported(Apply("add", (Load(0, (), np.dtype("U3")),) * 2, np.dtype("U3")))
