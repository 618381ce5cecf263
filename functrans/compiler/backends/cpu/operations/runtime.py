"""What operations call beside vector functions: functions with branches, in LLVM IR, and those of C and SciPy.

`runtime_text` and `runtime_symbols` are what a module needs that calls them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Final

from .....primitives.late_scipy import c_function, late_ufuncs
from .....primitives.scalar_functions import PREFIX as WRITTEN
from .....primitives.scalar_functions import definitions
from .....primitives.zeta import BERNOULLI
from ....operations import COMPLEX_LIBRARY, LIBRARY
from ..lowlevel.modules import Module
from ..lowlevel.translation import literal
from . import zeta

_PURE: Final = "nounwind willreturn memory(none)"
#: Begins the names of the C library's functions in modules. By its own name, LLVM would know the logarithm of what is
#: positive, and then forget that there is a vector version; and of a remainder it would say that it is a number, where
#: it sees that it is none of an infinite one (SimplifyLibCalls, in LLVM 20 to 22: NaN has a remainder too).
OWN: Final = "functrans_c_"
#: Those without vector versions.
REMAINDERS: Final = ("fmod", "fmodf")
#: What the names of SciPy's functions begin with in a module.
SCIPY: Final = "scipy_special_"
COMPLEX_SCIPY: Final = "scipy_special_of_complex_"
#: The functions of two numbers that are no ufuncs of ours.
_OF_TWO: Final = {"bessel_of_order": "jv", "modified_bessel": "iv", "scaled_modified_bessel": "ive"}
#: Functions of SciPy with two results, and which of them it is, by the name of the operation.
_OF_PAIRS: Final = {
    "sine_integral": ("sici", 0), "cosine_integral": ("sici", 1),
    "fresnel_s": ("fresnel", 0), "fresnel_c": ("fresnel", 1),
}  # fmt: skip
#: What SciPy has and the C library has not, by the name of the operation.
SCIPY_FUNCTIONS: Final = {
    "erfcinv": "erfcinv", "ndtri": "ndtri", "log_ndtr": "log_ndtr", "lgamma": "gammaln",
    "digamma": "psi",
    **{name: name for name in LIBRARY if name not in _OF_PAIRS}, **_OF_TWO,
}  # fmt: skip
#: What SciPy has of complex numbers, likewise.
COMPLEX_SCIPY_FUNCTIONS: Final = {
    name: SCIPY_FUNCTIONS.get(name, name) for name in COMPLEX_LIBRARY if name not in _OF_PAIRS
}
#: Of real and of complex numbers in double precision, written here, by the name of the operation.
WRITTEN_HERE: Final = {
    "hurwitz_zeta": "functrans_hurwitz_zeta", **{name: f"functrans_{name}" for name in _OF_PAIRS}
}  # fmt: skip
COMPLEX_WRITTEN_HERE: Final = {name: f"functrans_complex_{name}" for name in _OF_PAIRS}


def _fmod(t: str, suffix: str, intrinsic: str, limit: str) -> str:
    """x - q * y for a quotient q that is known exactly; with a larger one the function of the C library.

    The rounded quotient may be one too large, not too small, and both differences are exact.
    """
    return f"""
declare {t} @{OWN}fmod{suffix}({t}, {t}) {_PURE}
define internal {t} @functrans_fmod{suffix}({t} %x, {t} %y) alwaysinline {_PURE} {{
entry:
  %ax = call {t} @llvm.fabs.{intrinsic}({t} %x)
  %ay = call {t} @llvm.fabs.{intrinsic}({t} %y)
  %ratio = fdiv {t} %ax, %ay
  %is_known = fcmp olt {t} %ratio, {limit}
  br i1 %is_known, label %done, label %far
far:
  %slow = call {t} @{OWN}fmod{suffix}({t} %x, {t} %y)
  br label %done
done:
  %given = phi {t} [0.0, %entry], [%slow, %far]
  %whole = call {t} @llvm.trunc.{intrinsic}({t} %ratio)
  %minus = fneg {t} %whole
  %difference = call {t} @llvm.fma.{intrinsic}({t} %minus, {t} %ay, {t} %ax)
  %more = fadd {t} %difference, %ay
  %is_below = fcmp olt {t} %difference, 0.0
  %rest = select i1 %is_below, {t} %more, {t} %difference
  %is_less = fcmp olt {t} %ax, %ay
  %size = select i1 %is_less, {t} %ax, {t} %rest
  %signed = call {t} @llvm.copysign.{intrinsic}({t} %size, {t} %x)
  %result = select i1 %is_known, {t} %signed, {t} %given
  ret {t} %result
}}"""


def _gcd(bits: int) -> str:
    """Euclid's algorithm on unsigned numbers."""
    t = f"i{bits}"
    return f"""
define internal {t} @functrans_gcd{bits}({t} %x, {t} %y) {_PURE} {{
entry:
  br label %loop
loop:
  %a = phi {t} [%x, %entry], [%b, %step]
  %b = phi {t} [%y, %entry], [%rest, %step]
  %is_done = icmp eq {t} %b, 0
  br i1 %is_done, label %done, label %step
step:
  %rest = urem {t} %a, %b
  br label %loop
done:
  ret {t} %a
}}"""


def _power(bits: int) -> str:
    """A power by squaring, for an exponent that is not negative."""
    t = f"i{bits}"
    return f"""
define internal {t} @functrans_power{bits}({t} %x, {t} %n) {_PURE} {{
entry:
  br label %loop
loop:
  %square = phi {t} [%x, %entry], [%next_square, %step]
  %left = phi {t} [%n, %entry], [%next_left, %step]
  %product = phi {t} [1, %entry], [%next_product, %step]
  %is_done = icmp eq {t} %left, 0
  br i1 %is_done, label %done, label %step
step:
  %is_odd = trunc {t} %left to i1
  %factor = select i1 %is_odd, {t} %square, {t} 1
  %next_product = mul {t} %product, %factor
  %next_square = mul {t} %square, %square
  %next_left = lshr {t} %left, 1
  br label %loop
done:
  ret {t} %product
}}"""


@cache
def _hurwitz_zeta() -> str:
    """The functions of zeta.py, and the numbers that they read."""
    coefficients = ", ".join(str(literal(b)) for b in BERNOULLI)
    functions = "\n".join(Module([zeta]).definitions.values())
    return f"""
@functrans_bernoulli = private constant [{len(BERNOULLI)} x double] [{coefficients}]
{functions}"""


def _one_of_a_pair(operation: str) -> str:
    """A function of SciPy that writes two results to where it is told, as one of these."""
    name, number = _OF_PAIRS[operation]
    return f"""
define internal double @{WRITTEN_HERE[operation]}(double %x) {{
  %results = alloca [2 x double]
  %second = getelementptr double, ptr %results, i64 1
  call void @{SCIPY}{name}(double %x, ptr %results, ptr %second)
  %place = getelementptr double, ptr %results, i64 {number}
  %result = load double, ptr %place
  ret double %result
}}"""


def _one_of_a_complex_pair(operation: str) -> str:
    """The same of complex numbers."""
    name, number = _OF_PAIRS[operation]
    return f"""
define internal {{double, double}} @{COMPLEX_WRITTEN_HERE[operation]}(double %x, double %y) {{
  %results = alloca [2 x {{double, double}}]
  %second = getelementptr {{double, double}}, ptr %results, i64 1
  call void @{COMPLEX_SCIPY}{name}(double %x, double %y, ptr %results, ptr %second)
  %place = getelementptr {{double, double}}, ptr %results, i64 {number}
  %result = load {{double, double}}, ptr %place
  ret {{double, double}} %result
}}"""


#: What gives the IR of functions, by their names.
DEFINITIONS: Final[dict[str, Callable[[], str]]] = {
    "functrans_fmod": partial(_fmod, "double", "", "f64", "0x4340000000000000"),  # 2.0**53
    "functrans_fmodf": partial(_fmod, "float", "f", "f32", "0x4170000000000000"),  # 2.0**24
    **{f"functrans_gcd{bits}": partial(_gcd, bits) for bits in (8, 16, 32, 64)},
    **{f"functrans_power{bits}": partial(_power, bits) for bits in (8, 16, 32, 64)},
    "functrans_hurwitz_zeta": _hurwitz_zeta,
    **{WRITTEN_HERE[name]: partial(_one_of_a_pair, name) for name in _OF_PAIRS},
    **{COMPLEX_WRITTEN_HERE[name]: partial(_one_of_a_complex_pair, name) for name in _OF_PAIRS},
}

#: A module for processors without instructions that convert half precision, under the names that LLVM calls.
HALF_RUNTIME: Final = f"""
define float @__extendhfsf2(half %x) {_PURE} {{
  %bits = bitcast half %x to i16
  %wide = zext i16 %bits to i32
  %size = and i32 %wide, 32767
  %shifted = shl i32 %size, 13
  %moved = bitcast i32 %shifted to float
  %scaled = fmul float %moved, 0x46F0000000000000  ; 2**112, the difference of the exponents of one
  %is_finite = icmp ult i32 %size, 31744
  %top = or i32 %shifted, 2139095040
  %finite = bitcast float %scaled to i32
  %number = select i1 %is_finite, i32 %finite, i32 %top
  %sign = and i32 %wide, 32768
  %place = shl i32 %sign, 16
  %all = or i32 %number, %place
  %result = bitcast i32 %all to float
  ret float %result
}}
define half @__truncsfhf2(float %x) {_PURE} {{
  %bits = bitcast float %x to i32
  %size = and i32 %bits, 2147483647
  %magnitude = bitcast i32 %size to float
  %padded = fadd float %magnitude, 0.5  ; whose last place is that of the least numbers
  %padded_bits = bitcast float %padded to i32
  %small = sub i32 %padded_bits, 1056964608
  %last = lshr i32 %size, 13
  %odd = and i32 %last, 1
  %moved = sub i32 %size, 939520001  ; 112 in the exponent, less nearly half of the last place
  %rounded = add i32 %moved, %odd
  %normal = lshr i32 %rounded, 13
  %is_small = icmp ult i32 %size, 947912704
  %finite = select i1 %is_small, i32 %small, i32 %normal
  %is_nan = icmp ugt i32 %size, 2139095040
  %none = select i1 %is_nan, i32 32256, i32 31744
  %is_large = icmp uge i32 %size, 1199570944
  %number = select i1 %is_large, i32 %none, i32 %finite
  %top = lshr i32 %bits, 16
  %sign = and i32 %top, 32768
  %all = or i32 %number, %sign
  %half = trunc i32 %all to i16
  %result = bitcast i16 %half to half
  ret half %result
}}
"""

_CALLED: Final = re.compile(r" @((?:functrans_|scipy_special_)\w+)\(")


def _called(text: str) -> list[str]:
    """The functions that a text calls, and those that definitions of these call."""
    found = set(_CALLED.findall(text))
    inner = {called for name in found if name in DEFINITIONS for called in _CALLED.findall(DEFINITIONS[name]())}
    return sorted(found | inner)


def runtime_text(text: str) -> str:
    """Definitions and declarations of the functions that the text of a module calls, to stand before it."""
    parts: list[str] = []
    for name in _called(text):
        if name in DEFINITIONS:
            parts.append(DEFINITIONS[name]())
        elif name.startswith(WRITTEN):
            parts.append(definitions[name].text)
        elif name.startswith(SCIPY):
            parts.append(_declaration(name))
    return "\n".join(parts)


def _declaration(name: str) -> str:
    """That of a function of SciPy, by its name in a module."""
    is_complex = name.startswith(COMPLEX_SCIPY)
    own = name.removeprefix(COMPLEX_SCIPY if is_complex else SCIPY)
    number = "double, double" if is_complex else "double"
    if own in dict(_OF_PAIRS.values()):
        return f"declare void @{name}({number}, ptr, ptr) nounwind willreturn"
    if is_complex:
        return f"declare {{double, double}} @{name}(double, double, i32) {_PURE}"
    return f"declare double @{name}({'double, ' * _operands_of(own)}i32) {_PURE}"


def runtime_calls(text: str) -> dict[str, tuple[str, int]]:
    """The C functions with vector versions that functions of users call which the text of a module calls."""
    found: dict[str, tuple[str, int]] = {}
    for name in _called(text):
        if name.startswith(WRITTEN):
            found.update(definitions[name].calls)
    return found


def runtime_symbols(text: str) -> dict[str, int]:
    """The addresses that the linker must know for the text of a module."""
    found: dict[str, int] = {}
    for name in _called(text):
        if name.startswith(COMPLEX_SCIPY):
            found[name] = complex_scipy_address(name.removeprefix(COMPLEX_SCIPY))
        elif name.startswith(SCIPY):
            found[name] = scipy_address(name.removeprefix(SCIPY))
    return found


def scipy_address(name: str) -> int:
    """The address of a function of scipy.special on real numbers, 0 if SciPy has none of that name."""
    if name in dict(_OF_PAIRS.values()):
        return c_function(name, "void (double, double *, double *)")
    return _scipy_function(name, "double")


def complex_scipy_address(name: str) -> int:
    """The same of one on complex numbers."""
    z = "__pyx_t_double_complex"
    if name in dict(_OF_PAIRS.values()):
        return c_function(name, f"void ({z}, {z} *, {z} *)")
    return c_function(name, f"{z} ({z}, int __pyx_skip_dispatch)")


def is_its_own_in_single(name: str) -> bool:
    """Whether a function of scipy.special computes single precision otherwise than by way of double precision."""
    return _scipy_function(name, "float") != 0


def _scipy_function(name: str, type_: str) -> int:
    operands = f"{type_}, " * _operands_of(name)
    return c_function(name, f"{type_} ({operands}int __pyx_skip_dispatch)")


def _operands_of(name: str) -> int:
    """How many numbers a function of scipy.special takes."""
    return 2 if name in _OF_TWO.values() else late_ufuncs[name].nin
