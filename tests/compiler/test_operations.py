"""Every scalar operation of the CPU backend against NumPy, for every dtype: bit for bit where it is defined so."""

import ctypes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from functrans.compiler.backends.cpu.engine import engine
from functrans.compiler.backends.cpu.lowlevel.modules import Module
from functrans.compiler.backends.cpu.operations import HALF_RUNTIME, is_supported
from functrans.compiler.loopnest import Apply, Load
from functrans.compiler.operations.complex_functions import COMPLEX_FUNCTIONS
from tests.helpers.native import native, supported, ulps
from tests.helpers.operations import (
    ALL,
    BOOL,
    COMPLEX,
    DOUBLE,
    FLOATS,
    HALF,
    KIND_NAMES,
    SIGNED,
    SINGLE,
    UNSIGNED,
    as_complex,
    difference,
    operands_of,
    random_numbers,
    special_numbers,
)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
GROWING = ("sin", "cos", "tan", "sinh", "cosh", "tanh")


def check(case, *operands):
    """The same as NumPy; to some units in the last place where that has errors of its own."""
    got, want = native(case.name, operands, case.result), case.expected(*operands)
    assert got.dtype == want.dtype
    with np.errstate(all="ignore"):
        difference(case, got, want, operands)


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k, t in ALL.items() for n in t], ids=lambda x: KIND_NAMES.get(x, x)
)
def test_operation(kind, name):
    for case in ALL[kind][name]:
        check(case, *operands_of(case))


def test_every_operation_of_the_tables_is_tested():
    untested = {(kind, name) for kind, table in ALL.items() for name, found in table.items() if not found}
    assert untested == {("i", "power")}  # only by a constant, see below


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
    found = engine().thorough.added(Module(inserted=text))
    addresses = found["kernel_extended"], found["kernel_truncated"]
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
@pytest.mark.parametrize("name", sorted(COMPLEX_FUNCTIONS))
def test_each_part_of_a_complex_function(name, dtype):
    """Of numbers of any size, with the signs of zeros; those that grow exponentially are in range up to 80."""
    part = np.dtype(f"f{dtype.itemsize // 2}")
    special = np.array([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 30.0, -30.0, np.inf, -np.inf, np.nan])
    re, im = (x.ravel() for x in np.meshgrid(special, special))
    most = np.log10(np.finfo(part).max) - 1
    rng = np.random.default_rng(0)
    size = rng.uniform(-most, np.log10(80) if name in GROWING else most, (2, 500))
    x, y = rng.choice([-1, 1], size.shape) * 10**size
    z = as_complex(np.append(re, x).astype(part), np.append(im, y).astype(part))
    got, want = native(name, [z], dtype), getattr(np, name)(z)
    for g, w in ((got.real, want.real), (got.imag, want.imag)):
        assert np.max(ulps(g, w)) <= 8
        np.testing.assert_array_equal(np.signbit(g)[w == 0], np.signbit(w)[w == 0])


@pytest.mark.parametrize("name", ["sinh", "cosh", "sin", "cos"])
def test_growing_functions_next_to_their_axis(name):
    """One part is exp(x) / 2 times a number so small that it is in range where exp(x) is far from that."""
    x = np.array([690.0, 720, 1390, 1405, 1415, 1440, 1453, 1460, 1e300, np.inf])
    x, y = (a.ravel() for a in np.meshgrid(x, [5e-324, 1e-310, 1e-300]))
    z = as_complex(x, y) if name in ("sinh", "cosh") else as_complex(y, x)
    got = native(name, [z], z.dtype)
    small = got.real if name == "sin" else got.imag
    np.testing.assert_allclose(np.abs(small), np.exp(x + np.log(y) - np.log(2)), 1e-12)


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
    assert not supported("erfinv", [z], z.dtype)
    assert not supported("no such operation", [x], x.dtype)
    assert not supported("add", [x.astype(">f8"), x], x.dtype)
    assert not is_supported(Apply("add", (Load(0, (), np.dtype("U3")),) * 2, np.dtype("U3")))
