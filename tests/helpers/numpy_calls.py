"""Random calls of NumPy's functions with any of their options, for comparison of what is traced with NumPy itself.

A program is a few calls, each on results of earlier ones, arguments, arrays that are not traced and numbers. One table
says which options functions have and what may be given for them. Nobody sees to it that a call makes sense: what NumPy
refuses is to be refused when it is traced, too.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.exceptions import ComplexWarning

import functrans as ft
from functrans.errors import (
    ConcretizationError,
    TracedMaskError,
    TracerConversionError,
    UnknownFunctionError,
    UnsupportedArgumentError,
)
from tests.helpers.bits import special_array
from tests.helpers.oracles import assert_all_close
from tests.helpers.update_programs import LAYOUTS, laid_out

fnp = ft.numpy
DTYPES = ("f8", "f8", "f4", "i8", "i4", "?", "c16", "c8", "f2", "u1", "u8", "i1", "i2", "u4")
SHAPES = ((), (3,), (2, 3), (3, 3), (3, 2), (1, 3), (3, 1), (1,), (0,), (0, 3), (3, 0), (2, 3, 2), (2, 1, 3), (4,))
#: Programs whose results have more elements than this go on without them.
LARGEST = 300


# ---- operands, which become values when a program runs


class Value(NamedTuple):
    """An earlier value, counted from the last."""

    back: int

    def of(self, values: Sequence[Any]) -> Any:
        return values[-1 - self.back % len(values)]


class Mask(NamedTuple):
    """Where an earlier value is not zero."""

    back: int

    def of(self, values: Sequence[Any]) -> Any:
        return Value(self.back).of(values) != 0


class Positions(NamedTuple):
    """Indices of an axis of some extent, made of an earlier value."""

    back: int
    extent: int

    def of(self, values: Sequence[Any]) -> Any:
        x = np.nan_to_num(np.real(Value(self.back).of(values)), posinf=1, neginf=-1)
        return np.clip(x, -self.extent, self.extent - 1).astype(int)


class Several(NamedTuple):
    """A list or tuple of operands."""

    kind: type
    parts: tuple[Any, ...]

    def of(self, values: Sequence[Any]) -> Any:
        return self.kind(meant(x, values) for x in self.parts)


class Fresh(NamedTuple):
    """A part of an array that is made for results to be stored in."""

    shape: tuple[int, ...]
    dtype: str
    part: Any

    def of(self, values: Sequence[Any]) -> Any:
        return fnp.ones(self.shape, self.dtype)[self.part]


def meant(x: Any, values: Sequence[Any]) -> Any:
    """What an operand or the value of an option stands for."""
    return x.of(values) if isinstance(x, (Value, Mask, Positions, Several, Fresh)) else x


# ---- programs


def _assigned(x: Any, index: Any, y: Any, update: Callable[[Any, Any], Any]) -> Any:
    x = np.array(x)
    x[index] = update(x[index], y)
    return x


PYTHONS = "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift lt le eq ne"
#: What is no function or method of NumPy.
OTHERS: dict[str, Callable[..., Any]] = {
    **{f"operator.{name}": getattr(operator, name) for name in PYTHONS.split()},
    "item.get": operator.getitem,
    "item.set": lambda x, index, y: _assigned(x, index, y, lambda old, new: new),
    "item.add": lambda x, index, y: _assigned(x, index, y, operator.iadd),
    "item.multiply": lambda x, index, y: _assigned(x, index, y, operator.imul),
}


class Call(NamedTuple):
    """One call.

    Attributes:
        name: of a function of NumPy ("linalg.norm"), a method of arrays (".sum") or one of OTHERS.
        is_strict: whether functrans refuses what NumPy refuses.
    """

    name: str
    args: tuple[Any, ...]
    options: dict[str, Any]
    is_strict: bool

    def run(self, values: Sequence[Any]) -> list[Any]:
        """The results; what a method or function gives in a tuple or list are several."""
        args = [meant(x, values) for x in self.args]
        found = self.function(*args, **{key: meant(x, values) for key, x in self.options.items()})
        results = list(found) if isinstance(found, (tuple, list)) else [found]
        return [np.asarray(y) if type(y) is bool else y for y in results]  # which np.allclose gives of arrays only

    @property
    def function(self) -> Callable[..., Any]:
        if self.name.startswith("."):
            return lambda x, *args, **options: getattr(x, self.name[1:])(*args, **options)
        return OTHERS.get(self.name) or operator.attrgetter(self.name)(np)

    def __repr__(self) -> str:
        given = [*map(repr, self.args), *(f"{key}={x!r}" for key, x in self.options.items())]
        return f"{self.name}({', '.join(given)})"


class Calls:
    """A program: calls one after the other, and the results of all of them."""

    def __init__(self, calls: Sequence[Call]):
        self.calls = list(calls)

    def __call__(self, *args: Any) -> list[Any]:
        values = list(args)
        for call in self.calls:
            values += call.run(values)
        return values[len(args) :]

    def __repr__(self) -> str:
        return "; ".join(map(repr, self.calls))


# ---- what may be given

BACK = st.integers(0, 7)
VALUE = st.builds(Value, BACK)
BOOL = st.booleans()
NUMBER = st.sampled_from((
    0, 1, -1, 2, 3, 0.5, -0.0, -2.5, True, False, 1j, 255, float("inf"), float("nan"), np.float32(1.5), np.int8(-2),
    np.float64(0.25), np.uint8(3), np.bool_(True), 2**40, np.complex64(1 + 2j),
))  # fmt: skip
CONSTANT = st.sampled_from((
    np.array([1.0, -2.0, 0.5]), np.array([[1, 2, -3]]), np.array(2), np.array([[0.5], [-1.5]]), [1, 2, 3], [[1.0], [2.0]],
    np.array([True, False, True]), np.array([1, 2, 3], "u1"), np.array([1.5, 2, 3], "f4"), np.ones((3, 3)), (0, 1),
))  # fmt: skip
OPERAND = st.one_of(VALUE, VALUE, VALUE, VALUE, NUMBER, CONSTANT)
MASK = st.one_of(st.builds(Mask, BACK), st.sampled_from((True, False, np.array([True, False, True]), [[True], [False]])))
AXIS = st.sampled_from((0, -1, 1, 0, -1, -2, 2, 5, np.int64(0)))
AXIS_OR_NONE = st.one_of(st.none(), AXIS)
AXES = st.one_of(AXIS_OR_NONE, st.sampled_from(((), (0,), (-1,), (0, 1), (1, 0), (-1, 0), (0, 0), (0, 1, 2), (7,))))
DTYPE = st.sampled_from((None, "f8", "f4", "i8", "i4", "c16", "u1", "?", "f2", float, int, bool, complex, np.float32))
CASTING = st.sampled_from(("same_kind", "unsafe", "safe", "no such rule"))
ORDER = st.sampled_from("CF")  # traced arrays have no other
PARTS = st.sampled_from((np.s_[...], np.s_[...], np.s_[..., ::-1]))
OUT = st.builds(Fresh, st.sampled_from(SHAPES), st.sampled_from(DTYPES), PARTS)
FEW = st.integers(-3, 4)
SHAPE = st.sampled_from((
    (), 3, -1, (3,), (-1,), (2, 3), (3, -1), (-1, 1), (1, 3), (6,), (3, 2), (-1, -1), (0,), (0, -1), (2, 3, 2), [3, 1],
))  # fmt: skip
INDICES = st.one_of(
    st.builds(Positions, BACK, st.sampled_from((1, 2, 3))),
    st.sampled_from((0, -1, 2, [0, 1], [0, -1, 0], [], [[0], [1]], 9, -4, np.array([1, 0]), np.uint8(1))),
)
INDEX = st.one_of(INDICES, st.builds(Mask, BACK), st.sampled_from((
    np.s_[:], np.s_[1:], np.s_[::-1], np.s_[::2], ..., None, (0, 0), (..., 0), (..., None), np.s_[:, 0], np.s_[0, :], (),
    ([0, 1], 0), np.s_[:, [0, 1]], np.s_[[0, 1], :, [1, 0]], (None, 0, ...), np.s_[5:1:-1], np.s_[-2:9], True, False,
    np.s_[..., [True, False, True]], [True, False, True], np.array([[0, 1], [1, 0]]), np.s_[1:1], (0, True), 1.0,
    (np.array([[0], [1]]), np.array([0, 1])), np.int8(-1), np.s_[..., ::-2], (..., ...), (0, 0, 0, 0), np.s_[:, None, [0, 0]],
)))  # fmt: skip
METHOD = st.sampled_from((
    "linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull", "inverted_cdf", "averaged_inverted_cdf",
    "closest_observation", "interpolated_inverted_cdf", "median_unbiased", "normal_unbiased", "no such method",
))  # fmt: skip
PLACES = st.sampled_from((0, 1, -1, [0, 1], [0, 0], np.s_[0:2], 9, [True, False, True], []))
DIVISION = st.sampled_from((1, 2, 3, [1], [1, 2], [2, 1], [0, -1], 0, [9], ()))
WIDTHS = st.sampled_from((0, 1, (1, 2), [(1, 0)], [(0, 1), (2, 0)], -1, (4, 5), [2]))


def several(operands: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[Several]:
    """Lists and tuples of up to three operands."""
    parts = st.lists(operands, min_size=least, max_size=3).map(tuple)
    return st.builds(Several, st.sampled_from((list, tuple)), parts)


def one_of(*choices: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(choices)


REDUCING = {"axis": AXES, "keepdims": BOOL, "where": MASK}
EXTREME = {**REDUCING, "initial": NUMBER, "out": OUT}
TOTAL = {**EXTREME, "dtype": DTYPE}
MEAN = {**REDUCING, "dtype": DTYPE}
SPREAD = {**REDUCING, "ddof": one_of(0, 1, 2, 3, 0.5, -1)}
UFUNC = {"dtype": DTYPE, "casting": CASTING, "out": OUT, "where": MASK, "order": ORDER}


class Row(NamedTuple):
    """Functions, their arguments by place, and their options."""

    names: str
    args: tuple[Any, ...]
    options: dict[str, Any] = {}  # noqa: RUF012 (nobody writes to it)
    is_strict: bool = True


LENIENT = False
TABLE = (
    Row("negative positive absolute fabs sign conjugate exp exp2 log log2 log10 expm1 log1p sqrt square cbrt reciprocal "
        "sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh deg2rad rad2deg invert logical_not "
        "isfinite isinf isnan signbit floor ceil trunc rint spacing bitwise_count", (VALUE,), UFUNC),
    Row("add subtract multiply divide floor_divide remainder fmod power float_power logaddexp logaddexp2 arctan2 hypot "
        "maximum minimum fmax fmin copysign nextafter heaviside ldexp gcd lcm bitwise_and bitwise_or bitwise_xor "
        "left_shift right_shift logical_and logical_or logical_xor greater less_equal equal not_equal", (VALUE, OPERAND),
        UFUNC),
    Row("add subtract multiply divide floor_divide remainder fmod power maximum copysign left_shift less equal",
        (NUMBER, VALUE)),
    Row("matmul vecdot", (VALUE, VALUE), {"dtype": DTYPE, "casting": CASTING, "out": OUT}),
    Row("fix real imag angle isreal iscomplex isposinf isneginf sinc i0 modf frexp", (VALUE,)),
    Row("divmod", (VALUE, OPERAND)),
    Row("isclose allclose", (VALUE, OPERAND), {"rtol": one_of(0.1, 0), "atol": one_of(0.5, 1.0), "equal_nan": BOOL}),
    Row("array_equal", (VALUE, OPERAND), {"equal_nan": BOOL}),
    Row("array_equiv", (VALUE, OPERAND)),
    Row("add.reduce multiply.reduce maximum.reduce minimum.reduce logical_and.reduce logical_or.reduce "
        "logical_xor.reduce bitwise_and.reduce bitwise_or.reduce bitwise_xor.reduce sum prod nansum nanprod .sum .prod",
        (VALUE,), TOTAL, LENIENT),
    Row("fmax.reduce fmin.reduce logaddexp.reduce", (VALUE,), TOTAL, LENIENT),
    Row("add.accumulate multiply.accumulate maximum.accumulate minimum.accumulate logical_and.accumulate",
        (VALUE,), {"axis": AXIS, "dtype": DTYPE}),  # with `out` of no elements NumPy 2.4 writes outside of it
    Row("add.reduceat multiply.reduceat maximum.reduceat", (VALUE, one_of([0], [0, 1], [1, 0], [0, 0], [], [2, 0], [9])),
        {"axis": AXIS, "dtype": DTYPE}),
    Row("add.outer subtract.outer multiply.outer maximum.outer less.outer power.outer", (VALUE, OPERAND),
        {"dtype": DTYPE}),
    Row("max min nanmax nanmin .max .min", (VALUE,), EXTREME, LENIENT),
    Row("any all .any .all", (VALUE,), {**REDUCING, "out": OUT}),
    Row("mean nanmean .mean", (VALUE,), MEAN),
    Row("std var nanstd nanvar .std .var", (VALUE,), SPREAD),
    Row("ptp median", (VALUE,), {"axis": AXES, "keepdims": BOOL}, LENIENT),
    Row("nanmedian", (VALUE,), {"axis": AXIS_OR_NONE, "keepdims": BOOL}, LENIENT),
    Row("count_nonzero", (VALUE,), {"axis": AXES, "keepdims": BOOL}),
    Row("argmax argmin nanargmax nanargmin .argmax", (VALUE,), {"axis": AXIS_OR_NONE, "keepdims": BOOL}, LENIENT),
    Row("quantile nanquantile", (VALUE, one_of(0, 1, 0.5, 0.3, [0.1, 0.9], [[0.25], [0.5]], 1.5, -0.1, [], True)),
        {"axis": AXES, "keepdims": BOOL, "method": METHOD}, LENIENT),
    Row("percentile nanpercentile", (VALUE, one_of(0, 100, 50, 33.3, [10, 90], 101, 25)),
        {"axis": AXES, "keepdims": BOOL, "method": METHOD}, LENIENT),
    Row("average", (VALUE,), {"axis": AXES, "keepdims": BOOL, "weights": OPERAND, "returned": BOOL},
        LENIENT),
    Row("cumsum cumprod nancumsum nancumprod", (VALUE,), {"axis": AXIS_OR_NONE, "dtype": DTYPE}),
    Row("cumulative_sum cumulative_prod", (VALUE,), {"axis": AXIS_OR_NONE, "dtype": DTYPE, "include_initial": BOOL}),
    Row("diff", (VALUE,), {"n": FEW, "axis": AXIS, "prepend": OPERAND, "append": OPERAND}),
    Row("ediff1d", (VALUE,), {"to_end": OPERAND, "to_begin": OPERAND}),
    Row("gradient", (VALUE,), {"axis": AXES, "edge_order": one_of(1, 2, 3)}),
    Row("gradient", (VALUE, OPERAND), {"axis": AXES, "edge_order": one_of(1, 2)}, LENIENT),
    Row("trapezoid", (VALUE,), {"x": OPERAND, "dx": NUMBER, "axis": AXIS}),
    Row("unwrap", (VALUE,), {"axis": AXIS, "discont": NUMBER, "period": one_of(2, 3.5, 1)}),
    Row("sort argsort", (VALUE,), {"axis": AXIS_OR_NONE, "stable": st.just(True)}),
    Row("lexsort", (several(VALUE),), {"axis": AXIS}, LENIENT),
    Row("searchsorted", (one_of([1, 2, 3], [0.5, 0.5, 2.0], np.array([-1, 0, 0, 2], "f4"), []), OPERAND),
        {"side": one_of("left", "right")}),
    Row("digitize", (VALUE, one_of([-1, 0, 2], [2, 1, 0], [0.5], [], [1, 1], [0, 2, 1])), {"right": BOOL}),
    Row("interp", (VALUE, one_of([-1.0, 0, 2], [0.0], [0, 0, 1.0]), OPERAND),
        {"left": NUMBER, "right": NUMBER, "period": one_of(2, 3.0, -1.5)}),
    Row("histogram", (VALUE,), {"bins": one_of(3, [-1, 0.5, 2], 1), "range": one_of((-1, 2), (0.0, 0.0), (2, 1)),
                                "weights": VALUE, "density": BOOL}, LENIENT),
    # Where values are not known, there are as many bins as was said: here more than the largest of `Positions`.
    Row("bincount", (INDICES,), {"weights": OPERAND, "minlength": one_of(0, 3, 5)}),
    Row("isin", (VALUE, OPERAND), {"invert": BOOL}),
    Row("where", (st.one_of(MASK, OPERAND), OPERAND, OPERAND)),
    Row("clip .clip", (VALUE, st.one_of(st.none(), OPERAND), st.one_of(st.none(), OPERAND)), {"out": OUT}),
    Row("clip", (VALUE,), {"min": OPERAND, "max": OPERAND}),
    Row("nan_to_num", (VALUE,), {"nan": NUMBER, "posinf": NUMBER, "neginf": NUMBER}, LENIENT),
    Row("round .round", (VALUE,), {"decimals": FEW}, LENIENT),
    Row("select", (several(MASK), several(OPERAND)), {"default": NUMBER}),
    Row("choose", (INDICES, several(OPERAND)), {"mode": one_of("raise", "wrap", "clip")}, LENIENT),  # NumPy refuses []
    Row("concatenate stack", (several(OPERAND, 0),), {"axis": AXIS_OR_NONE, "dtype": DTYPE, "casting": CASTING}),
    Row("hstack vstack", (several(OPERAND, 0),), {"dtype": DTYPE, "casting": CASTING}),
    Row("dstack column_stack", (several(OPERAND, 0),)),
    Row("append", (VALUE, OPERAND), {"axis": AXIS_OR_NONE}),
    Row("insert", (VALUE, PLACES, OPERAND), {"axis": AXIS_OR_NONE}),
    Row("delete", (VALUE, PLACES), {"axis": AXIS_OR_NONE}),
    Row("roll", (VALUE, one_of(0, 1, -2, (1, 2), 7, [1])), {"axis": AXES}),
    Row("flip", (VALUE,), {"axis": AXES}),
    Row("rot90", (VALUE,), {"k": FEW, "axes": one_of((0, 1), (1, 0), (-1, 0), (0, 0), (-1, -2))}),
    Row("repeat .repeat", (VALUE, one_of(0, 1, 2, [1, 2, 0], [2], [1, 0], ())), {"axis": AXIS_OR_NONE}),
    Row("tile", (VALUE, one_of(0, 1, 2, (2, 1), (1, 2, 1), (), [0, 2], np.int8(2)))),
    Row("pad", (VALUE, WIDTHS), {"mode": one_of("constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp",
                                                "maximum", "mean", "median", "minimum")}),
    Row("pad", (VALUE, WIDTHS), {"constant_values": st.one_of(OPERAND, one_of((1, 2), [(3, 4)]))}),
    Row("pad", (VALUE, WIDTHS, one_of("reflect", "symmetric")), {"reflect_type": one_of("odd", "even")}),
    Row("pad", (VALUE, WIDTHS, one_of("maximum", "mean")), {"stat_length": one_of(1, 2, (1, 2), 9, None)}),
    Row("pad", (VALUE, WIDTHS, st.just("linear_ramp")), {"end_values": one_of(0, 2.5, (1, 2), 3)}),
    Row("take .take", (VALUE, INDICES), {"axis": AXIS_OR_NONE, "mode": one_of("raise", "wrap", "clip"), "out": OUT},
        LENIENT),
    Row("take_along_axis", (VALUE, INDICES), {"axis": AXIS_OR_NONE}, LENIENT),  # NumPy refuses lists
    Row("compress extract", (one_of([True, False], [1, 0, 1], []), VALUE)),
    Row("reshape .reshape", (VALUE, SHAPE), {"order": ORDER}),
    Row("ravel .ravel .flatten", (VALUE,), {"order": ORDER}),
    Row("resize", (VALUE, one_of((), 3, (2, 2), (0,), (5,), -1, (2, -1)))),
    Row("squeeze .squeeze", (VALUE,), {"axis": AXES}),
    Row("expand_dims", (VALUE, AXES)),
    Row("broadcast_to", (VALUE, SHAPE)),
    Row("broadcast_arrays atleast_1d atleast_2d", (VALUE, OPERAND)),
    Row("meshgrid", (VALUE, OPERAND), {"indexing": one_of("ij", "xy", "no such indexing"), "sparse": BOOL}),
    Row("transpose .transpose", (VALUE,), {"axes": one_of((0,), (1, 0), (-1, 0), (2, 0, 1), (0, 0), None)}),
    Row("moveaxis", (VALUE, AXES, AXES), {}, LENIENT),
    Row("swapaxes .swapaxes", (VALUE, AXIS, AXIS)),
    Row("rollaxis", (VALUE, AXIS), {"start": FEW}),
    Row("trace", (VALUE,), {"offset": FEW, "axis1": AXIS, "axis2": AXIS, "dtype": DTYPE}),
    Row("diagonal .diagonal", (VALUE,), {"offset": FEW, "axis1": AXIS, "axis2": AXIS}),
    Row("diag tril triu", (VALUE,), {"k": FEW}),
    Row("vander", (VALUE,), {"N": one_of(0, 2, None), "increasing": BOOL}),
    Row("split array_split", (VALUE, DIVISION), {"axis": AXIS}),
    Row("unstack", (VALUE,), {"axis": AXIS}),
    Row("dot inner outer vdot kron linalg.outer linalg.vecdot", (VALUE, OPERAND)),
    Row("cross", (VALUE, OPERAND), {"axisa": AXIS, "axisb": AXIS, "axisc": AXIS, "axis": AXIS}),
    Row("tensordot", (VALUE, OPERAND), {"axes": one_of(0, 1, 2, (0, 0), ([0], [-1]), ([0, 1], [0, 1]), ([0], [0, 1]))}),
    Row("convolve correlate", (VALUE, VALUE), {"mode": one_of("full", "same", "valid", "no such mode")}, LENIENT),
    Row("einsum", (one_of("i->", "ii", "ij->j", "ijk->ki", "...i->...", "i,i"), VALUE), {"dtype": one_of("f8", "c16")}),
    Row("einsum", (one_of("i", "ij->ji", "ji", "ii->i", "i...->...", ""), VALUE)),
    Row("einsum", (one_of("i,i", "i,i->i", "ij,j", "ij,kj->ik", "i,j", "...i,...i", "i,ij->", "ii,i->i", ",i"),
                   VALUE, OPERAND)),
    Row("cov", (VALUE,), {"bias": BOOL, "ddof": one_of(0, 1, 2), "fweights": one_of([1, 2, 1], [1, 1]),
                          "aweights": one_of([0.5, 1, 2], [1, 1])}),
    Row("linalg.norm", (VALUE,), {"ord": one_of(None, 1, 2, np.inf, -np.inf, 0, -1, 3, 0.5, "fro", "no such norm"),
                                  "axis": AXES, "keepdims": BOOL}),
    Row("full_like", (VALUE, OPERAND), {"dtype": DTYPE, "shape": one_of(None, 3, (2, 3), ())}),
    Row("ones_like zeros_like", (VALUE,), {"dtype": DTYPE, "shape": one_of(None, 3, (2, 3), ())}),
    Row(".astype", (VALUE, st.sampled_from(DTYPES)), {"casting": CASTING, "copy": BOOL}),
    *[Row(" ".join(name for name in OTHERS if "operator" in name), args) for args in ((VALUE, OPERAND), (NUMBER, VALUE))],
    *[Row("item.get", (VALUE, INDEX)), Row("item.set item.add item.multiply", (VALUE, INDEX, OPERAND))] * 3,
)  # fmt: skip
FUNCTIONS = [(name, row) for row in TABLE for name in row.names.split()]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """A call of one of the functions, with up to three of its options."""
    name, row = draw(st.sampled_from(FUNCTIONS))
    args = tuple(draw(arg) for arg in row.args)
    chosen = draw(st.lists(st.sampled_from(list(row.options)), max_size=3, unique=True)) if row.options else []
    if "where" in chosen and row.options is UFUNC and "out" not in chosen:
        chosen.append("out")  # elsewhere nobody says what the result is
    return Call(name, args, {key: draw(row.options[key]) for key in chosen}, row.is_strict)


@st.composite
def numpy_programs(draw: st.DrawFn) -> tuple[Calls, tuple[Any, ...]]:
    """A program and arguments for it; NumPy refuses no call of it but the last, if that one."""
    args = draw(st.lists(operands(), min_size=1, max_size=3))
    program, values = Calls([]), list(args)
    for call in draw(st.lists(calls(), min_size=1, max_size=3)):
        found = attempt(call.run, [values])
        if isinstance(found, Exception):
            if call.is_strict and not isinstance(found, ComplexWarning):
                return Calls([*program.calls, call]), tuple(args)
        elif all(_is_array(y) for y in found):
            program.calls.append(call)
            values += found
    return program, tuple(args)


@st.composite
def operands(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Whole numbers, others, or those that arithmetic treats specially, of any dtype and layout."""
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    shape, dtype = draw(st.sampled_from(SHAPES)), np.dtype(draw(st.sampled_from(DTYPES)))
    how = draw(st.sampled_from(("whole", "any", "any", "special")))
    x = np.asarray(random.integers(0 if dtype.kind == "u" else -3, 5, shape))
    if how == "special":
        x = np.asarray(special_array(random, shape, dtype))
    elif dtype.kind in "fc" and how == "any":
        x = random.normal(size=shape) * 2
    if dtype.kind == "c" and how != "special":
        x = x + 1j * random.integers(-2, 3, shape)
    return laid_out(np.asarray(x, dtype), draw(st.sampled_from(LAYOUTS)))


def _is_array(y: Any) -> bool:
    return isinstance(y, (np.ndarray, np.generic, int, float, complex)) and np.size(y) <= LARGEST


# ---- what is compared

#: What functrans refuses although NumPy does not: where a value would have to be known, and what it has not.
REFUSALS = (ConcretizationError, TracerConversionError, TracedMaskError, UnknownFunctionError, UnsupportedArgumentError)


def attempt(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Results, or the error in their place; one is NumPy's warning that an imaginary part is lost."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", ComplexWarning)
        try:
            return function(*args)
        except Exception as error:  # whatever NumPy raises
            return error


def assert_same_outcome(program: Calls, args: Sequence[Any], found: Any) -> None:
    """Raise AssertionError unless results are NumPy's, or an error stands for an error."""
    wanted = natively_ordered(attempt(program, args))
    if isinstance(found, REFUSALS) or isinstance(wanted, AttributeError):
        return  # NumPy refuses nothing by the latter: it stumbles, for instance over places to insert at as booleans
    if isinstance(wanted, Exception):
        assert isinstance(found, Exception), f"{program.calls[-1]} is refused by NumPy: {wanted!r}"
        return
    if isinstance(found, Exception):
        raise AssertionError(f"{program} is refused") from found
    pairs = list(map(_without_overflow, found, wanted))
    try:
        assert len(found) == len(wanted)
        assert_all_close([y for y, _ in pairs], [z for _, z in pairs])
    except AssertionError:
        nudged = natively_ordered(attempt(program, list(map(_nudged, args))))
        if len(program.calls) == 1 or isinstance(nudged, Exception) or not _differ(nudged, wanted):
            raise  # and more than by what rounding of the first of several calls does to the others


def natively_ordered(results: Any) -> Any:
    """Results in the byte order of the machine, in which functrans gives all of them."""
    if isinstance(results, Exception):
        return results
    return [y.astype(y.dtype.newbyteorder("=")) for y in map(np.asarray, results)]


def _without_overflow(found: Any, wanted: Any) -> tuple[Any, Any]:
    """Two results, zero where both are complex and not finite: which part is infinite then, or NaN, is up to libraries."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.dtype.kind != "c" or wanted.dtype.kind != "c" or found.shape != wanted.shape:
        return found, wanted
    is_beyond = ~np.isfinite(found) & ~np.isfinite(wanted)
    return np.where(is_beyond, found.dtype.type(0), found), np.where(is_beyond, wanted.dtype.type(0), wanted)


def _nudged(x: Any) -> Any:
    return x * x.dtype.type(1 + 16 * np.finfo(x.dtype).eps) if x.dtype.kind in "fc" else x


def _differ(nudged: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether results change as much with the last digits of the arguments."""
    try:
        assert_all_close(nudged, wanted)
    except AssertionError:
        return True
    return False
