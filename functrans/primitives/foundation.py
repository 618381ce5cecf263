"""The family of elementwise functions, and the few primitives that the rules of all others are written in.

Cotangents are summed (`add_any`), scaled (`scale`), and brought to the type of their primal (`convert`, `reshape`,
`broadcast_to`, `reduce_sum`); `full` makes arrays out of nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy import ndarray

from ..core.avals import BOOL, INT, PYTHON_SCALARS, ZERO, ShapedArray, StackAval, Zero, is_inexact, real_dtype
from ..core.devices import is_device_type
from ..core.dtypes import kind_of, resolve_dtypes, result_type
from ..core.errstate import ERROR_STATE, IGNORING
from ..core.primitive import Lowered, Primitive, UndefinedPrimal, is_hole
from ..core.trace import Params, Traced, current_trace, operators, typeof
from ..core.tracer import ufunc_primitives
from ..errors import ShapeMismatchError, TracedMaskError, UnsupportedDtypeError
from .python_operators import OF_BOOLS, PYTHON_OPERATORS, with_integers

Shape = tuple[int, ...]
#: The derivative of a result with respect to one operand: a function `(y, *xs) -> dy/dx`, a number where it is
#: constant, or None where it is zero.
Derivative = Callable[..., Any] | int | float | None


class Plain(Primitive):
    """A primitive without parameters, which computes element by element."""

    is_pointwise = True
    lowers_by_dtype = True

    def __call__(self, *args: Any) -> Any:
        try:
            return current_trace.get().process(self, args, {})[0]
        except TracedMaskError:
            return operators.for_each_selected(self, args)


class Linear(Primitive):
    """A primitive of one operand that is linear in it: its tangent is itself on the tangent."""

    never_fails = True

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        return [self(primals[0], **params)], [self(tangents[0], **params)]


class Moving(Primitive):
    """A primitive that moves the elements of its first operand: a power is still a power after that (powers.py)."""

    takes_notes = True
    only_moves = True

    def jvp_noting(
        self, primals: Sequence[Any], tangents: Sequence[Any], notes: Sequence[Any], **params: Any
    ) -> tuple[Any, Any, Any]:
        x, *others = primals
        note = notes[0] and notes[0].moved(lambda part: self(part, *others, **params), typeof(x).shape)
        return *self.jvp(primals, tangents, **params), [note]


class View(Moving):
    """A primitive whose result is in memory where its operand is, at other strides."""

    only_indexes = True

    def view(self, place: Any, **params: Any) -> Any:
        """Where the result is, given where the operand is (compiler/places.py); None if it must be copied."""
        raise NotImplementedError(f"{self.name} has no view rule")


class Elementwise(Plain):
    """A function of each element; operands broadcast and promote as NumPy's ufuncs do.

    Args:
        ufunc: the NumPy (or SciPy) ufunc behind it; its type resolution decides the dtype of the result.
        derivatives: one for each operand.
        operator: whether it is an operator of Python, which makes Python scalars of Python scalars.
        commutes, work: as of every primitive.
    """

    never_fails = True

    def __init__(
        self, name: str, ufunc: Any, derivatives: Sequence[Derivative] = (), operator: bool = False,
        commutes: bool = False, work: int | None = None,
    ):  # fmt: skip
        super().__init__(name)
        self.__doc__ = f"`{name}` of each element; operands broadcast and promote as NumPy's ufuncs do."
        self.ufunc = ufunc
        self.derivatives = tuple(derivatives) or (None,) * ufunc.nin
        self.slopes = tuple([(derivative, callable(derivative)) for derivative in self.derivatives])
        self.operator = operator
        self.commutes = self.commutes or commutes
        self.work = work
        self.python_operator = PYTHON_OPERATORS[name] if operator else ufunc
        self._dtypes: dict[Any, tuple[np.dtype[Any], bool]] = {}
        self._casts: dict[Any, np.dtype[Any] | None] = {}
        if not operator:  # an operator is weak on Python scalars, its ufunc is not: protocols.apply_ufunc
            ufunc_primitives[ufunc] = self

    def abstract_eval(self, *avals: ShapedArray) -> list[ShapedArray]:
        key = tuple([a[1:] for a in avals])  # the dtype, and whether it is weak
        known = self._dtypes.get(key)
        if known is None:
            weak = self.operator and all(a.weak for a in avals)
            known = self._dtypes[key] = (self.resolve_dtypes(avals)[self.ufunc.nin], weak)
        shape = avals[0].shape if len(avals) == 1 else broadcast_shapes(*[a.shape for a in avals])
        return [tuple.__new__(ShapedArray, (shape, *known))]

    def resolve_dtypes(self, avals: Sequence[ShapedArray]) -> tuple[np.dtype[Any], ...]:
        """The dtypes that operands are cast to, and those of the results."""
        if all(a.weak for a in avals):
            counts = self.operator and self.python_operator not in OF_BOOLS
            kinds = [INT if counts and a.dtype == BOOL else a.dtype for a in avals]
        else:
            kinds = [type(a.dtype.type(0).item()) if a.weak and a.dtype != BOOL else a.dtype for a in avals]
        try:
            return resolve_dtypes(self.ufunc, (*kinds, *(None,) * self.ufunc.nout))
        except TypeError:
            shown = ", ".join(a.dtype.name for a in avals)
            raise UnsupportedDtypeError(
                f"`{self.name}` is not defined for operands of dtype {shown}.",
                "NumPy has no loop for them.",
                "Convert the operands with `.astype(...)`.",
            ) from None

    def operand_dtypes(self, avals: Sequence[ShapedArray]) -> Sequence[np.dtype[Any]]:
        return self.resolve_dtypes(avals)[: self.ufunc.nin]

    def stage(self, trace: Any, args: Sequence[Any], params: Params) -> list[Any]:
        return trace.record(self, with_integers(self, args) if len(args) > 1 else args, params)

    def impl(self, *xs: Any) -> list[Any]:
        if not self.operator:
            return [self.ufunc(xs[0]) if len(xs) == 1 else self.ufunc(*xs)]
        if type(xs[0]) in PYTHON_SCALARS and type(xs[-1]) in PYTHON_SCALARS:
            if self.python_operator not in OF_BOOLS:
                xs = tuple(int(x) if type(x) is bool else x for x in xs)
            return [self.ufunc(*xs).item()]
        if type(xs[0]) is complex:  # it would take a NumPy float for a Python one
            return [self.ufunc(*xs)]
        return [self.python_operator(*xs)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        y = current_trace.get().process(self, primals, {})[0]
        token = ERROR_STATE.set(IGNORING)  # an infinite derivative is an answer, not an accident
        try:
            return [y], [self.tangent(y, primals, tangents)]
        finally:
            ERROR_STATE.reset(token)

    def tangent(self, y: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        """The tangent of a result: the sum of the tangents of the operands, times the derivatives by them."""
        total: Any = ZERO
        want = typeof(y)
        for t, (derivative, is_function) in zip(tangents, self.slopes):
            if t is ZERO or derivative is None:
                continue
            if is_function:
                t = scale(t, derivative(y, *primals))
            elif derivative != 1:
                t = scale(t, derivative)
            if typeof(t) != want:
                t = match(t, y)
            total = t if total is ZERO else add_any(total, t)
        return total

    def transpose(self, cotangents: Sequence[Any], *args: Any) -> list[Any]:
        """For the operators of linear programs that users write: add, subtract, negative, and products."""
        (ct,) = cotangents
        constant = all(type(d) in (int, float) for d in self.derivatives)
        if not constant or any(not is_hole(a) and not _may_be_zero(a) for a in args):
            return super().transpose(cotangents, *args)
        return [
            unbroadcast(ct if d == 1 else scale(ct, d), a.aval) if is_hole(a) else None
            for d, a in zip(self.derivatives, args, strict=True)
        ]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(*align_ranks(values, mapped))], [True]

    def lower(self, result: Any, *xs: Any) -> Any:
        """Only where all operands are cast to one dtype."""
        key = tuple([x.aval[1:] for x in xs])
        if key not in self._casts:
            dtypes = set(self.resolve_dtypes([x.aval for x in xs])[: len(xs)])
            self._casts[key] = dtypes.pop() if len(dtypes) == 1 else None
        dtype = self._casts[key]
        if dtype is None:
            return None
        return lambda index: result.apply(self.name, *[x.broadcast(index) for x in xs], computes_in=dtype)


def _may_be_zero(x: Any) -> bool:
    """Whether a known summand leaves a function linear; a traced one is given the benefit of the doubt."""
    return isinstance(x, Traced) or not np.any(x)


class Full(Primitive):
    """An array of one value: `full(value, shape=, dtype=)`; the value is a constant of the program."""

    never_fails = True
    only_indexes = True
    fills = True

    def abstract_eval(self, *, value: Any, shape: Shape, dtype: np.dtype[Any]) -> list[ShapedArray]:
        return [ShapedArray(shape, dtype)]

    def impl(self, *, value: Any, shape: Shape, dtype: np.dtype[Any]) -> list[Any]:
        is_zero = repr(value) in ("0", "0.0", "False")  # and not -0.0
        return [np.zeros(shape, dtype) if is_zero else np.full(shape, value, dtype)]

    def lower(self, result: Any, *, value: Any, **params: Any) -> Any:
        return lambda index: result.constant(value)

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        return None


class AddAny(Plain):
    """The sum of two tangents or cotangents of one shape."""

    never_fails = True
    work = 1
    commutes = True

    def abstract_eval(self, x: ShapedArray, y: ShapedArray) -> list[ShapedArray]:
        if x == y:
            return [x]
        return [ShapedArray(x.shape, result_type(x.dtype, y.dtype), x.weak and y.weak)]

    def impl(self, x: Any, y: Any) -> list[Any]:
        return [x + y]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return [self(*primals)], [add_tangents(*tangents)]

    def transpose(self, cotangents: Sequence[Any], x: Any, y: Any) -> list[Any]:
        (ct,) = cotangents
        by_x = unbroadcast(ct, x.aval) if isinstance(x, UndefinedPrimal) else None
        return [by_x, unbroadcast(ct, y.aval) if isinstance(y, UndefinedPrimal) else None]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(*all_mapped(size, values, mapped))], [True]

    def lower(self, result: Any, x: Any, y: Any) -> Any:
        return lambda index: result.apply("add", x.at(index), y.at(index))


class Scale(Plain):
    """`scale(t, c)`: a (co)tangent times a derivative, where an exactly zero t gives zero whatever c is.

    That makes `where(mask, f(x), 0)` safe to differentiate at points where f' is infinite or NaN (docs/semantics.md).
    The operands broadcast. As a function it is bilinear. Its derivative by c is a product of two (co)tangents, the
    inner t and an outer one: there a zero of either counts (`scale_both`).

    Args:
        both: whether an exactly zero c gives zero too.
    """

    never_fails = True
    work = 2

    def __init__(self, name: str, both: bool = False):
        super().__init__(name)
        self.both = both

    def abstract_eval(self, t: ShapedArray, c: ShapedArray) -> list[ShapedArray]:
        if t == c:
            return [t]
        return [ShapedArray(broadcast_shapes(t.shape, c.shape), promoted(t, c), t.weak and c.weak)]

    def impl(self, t: Any, c: Any) -> list[Any]:
        y = t * c
        # One pass over y finds out whether there is a NaN, as of 0 * inf, that may have to be mended; no GPU is asked.
        elements = y.ravel("K") if type(y) is ndarray and y.ndim > 1 else y
        total = elements.dot(elements) if type(y) is ndarray else y  # in less time than the sum of the elements
        if is_device_type(type(y)) or total != total:
            is_zero = np.logical_or(np.equal(t, 0), np.equal(c, 0)) if self.both else np.equal(t, 0)
            y = np.where(is_zero, typeof(y).dtype.type(0), y)[()]
        return [y]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        (t, c), (dt, dc) = primals, tangents
        with np.errstate(all="ignore"):
            y = self(t, c)
            by_t = ZERO if dt is ZERO else match(self(dt, c), y)
            by_c = ZERO if dc is ZERO else match(scale_both(t, dc), y)
            return [y], [add_tangents(by_t, by_c)]

    def transpose(self, cotangents: Sequence[Any], t: Any, c: Any) -> list[Any]:
        (ct,) = cotangents
        if not isinstance(t, UndefinedPrimal):
            return [None, unbroadcast(scale_both(ct, t), c.aval)]
        if isinstance(c, UndefinedPrimal):
            return super().transpose(cotangents, t, c)
        return [unbroadcast(self(ct, c), t.aval), None]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool]) -> tuple[Any, Any]:
        return [self(*align_ranks(values, mapped))], [True]

    def lower(self, result: Any, t: Any, c: Any) -> Any:
        return lambda index: result.apply(self.name, t.broadcast(index), c.broadcast(index))


class Convert(Linear):
    """A cast to another dtype; from complex to real it takes the real part."""

    takes_notes = True  # a power in another precision is still that power
    only_moves = True
    is_pointwise = True
    lowers_by_dtype = True

    def abstract_eval(self, x: ShapedArray, *, dtype: np.dtype[Any]) -> list[ShapedArray]:
        return [ShapedArray(x.shape, dtype)]

    def impl(self, x: Any, *, dtype: np.dtype[Any]) -> list[Any]:
        if type(x) in PYTHON_SCALARS:
            return [np.asarray(x).astype(dtype)[()]]
        if x.dtype.kind == "c" and dtype.kind not in "cb":
            x = x.real
        return [x.astype(dtype)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, dtype: np.dtype[Any]) -> tuple[Any, Any]:
        tangent = self(tangents[0], dtype=dtype) if is_inexact(dtype) else ZERO
        return [self(primals[0], dtype=dtype)], [tangent]

    def jvp_noting(
        self, primals: Sequence[Any], tangents: Sequence[Any], notes: Sequence[Any], *, dtype: np.dtype[Any]
    ) -> tuple[Any, Any, Any]:
        keeps = kind_of(typeof(primals[0]).dtype) == kind_of(dtype)
        return *self.jvp(primals, tangents, dtype=dtype), [notes[0] if keeps else None]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, dtype: np.dtype[Any]) -> list[Any]:
        return [unbroadcast(cotangents[0], x.aval)]

    def batch(self, size: int, values: Sequence[Any], mapped: Any, *, dtype: np.dtype[Any]) -> tuple[Any, Any]:
        return [self(values[0], dtype=dtype)], [True]

    def lower(self, result: Any, x: Any, *, dtype: np.dtype[Any]) -> Any:
        return lambda index: result.cast(x.at(index))

    def assemble(self, assembler: Any, block: Any, sources: Any, targets: Any, params: Any) -> bool:
        """A Python scalar that becomes one of NumPy is copied."""
        is_copy = sources[0].dtype == targets[0].dtype
        if is_copy:
            assembler.copy(block, sources[0], targets[0])
        return is_copy


class Reshape(View, Linear):
    """The same elements in row-major order under another shape."""

    def abstract_eval(self, x: ShapedArray, *, shape: Shape) -> list[ShapedArray]:
        if x.size != ShapedArray(shape, x.dtype).size:
            raise ShapeMismatchError(
                f"An array of shape {x.shape} cannot be reshaped to {shape}.",
                "A reshape keeps the number of elements.",
                "Correct the shape; -1 stands for the one extent that follows from the others.",
            )
        return [ShapedArray(shape, x.dtype)]

    def impl(self, x: Any, *, shape: Shape) -> list[Any]:
        y = np.reshape(x, shape)
        return [y if shape else y[()]]  # a scalar, as everywhere: NumPy rounds other products and powers of 0-d arrays

    def transpose(self, cotangents: Sequence[Any], x: Any, *, shape: Shape) -> list[Any]:
        return [self(cotangents[0], shape=x.aval.shape)]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, shape: Shape) -> tuple[Any, Any]:
        return [self(values[0], shape=(size, *shape))], [True]

    def lower(self, result: Any, x: Any, *, shape: Shape) -> Any:
        """Only where axes of extent one come and go."""
        have = x.aval.shape
        if [n for n in have if n != 1] != [n for n in shape if n != 1]:
            return None
        return lambda index: x.at(result.without_units(index, shape, have))

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        return None

    def view(self, place: Any, *, shape: Shape) -> Any:
        return place.viewed(shape)


class BroadcastTo(View, Linear):
    """NumPy's broadcast_to: new leading axes, and axes of extent one stretched."""

    lowers_by_dtype = True

    def abstract_eval(self, x: ShapedArray, *, shape: Shape) -> list[ShapedArray]:
        if broadcast_shapes(x.shape, shape) != shape:
            raise ShapeMismatchError(
                f"An array of shape {x.shape} cannot be broadcast to {shape}.",
                "Only axes of extent 1 are stretched, and new axes are put in front.",
                "Insert axes with `x[:, None]`, or correct the shape.",
            )
        return [ShapedArray(shape, x.dtype)]

    def impl(self, x: Any, *, shape: Shape) -> list[Any]:
        return [np.broadcast_to(x, shape)]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, shape: Shape) -> list[Any]:
        return [unbroadcast(cotangents[0], x.aval)]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, shape: Shape) -> tuple[Any, Any]:
        return [self(pad_rank(values[0], len(shape)), shape=(size, *shape))], [True]

    def lower(self, result: Any, x: Any, *, shape: Shape) -> Any:
        return x.broadcast

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        return None

    def view(self, place: Any, *, shape: Shape) -> Any:
        return place.broadcast(shape)


class ReduceSum(Linear):
    """The sum over some axes, which disappear; NumPy's pairwise summation."""

    work = 1

    def abstract_eval(self, x: ShapedArray, *, axes: Shape) -> list[ShapedArray]:
        return [ShapedArray(without(x.shape, axes), x.dtype)]

    def impl(self, x: Any, *, axes: Shape) -> list[Any]:
        return [x.sum(axis=axes, dtype=x.dtype.type)]

    def transpose(self, cotangents: Sequence[Any], x: Any, *, axes: Shape) -> list[Any]:
        return [restore_axes(cotangents[0], x.aval.shape, axes)]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], *, axes: Shape) -> tuple[Any, Any]:
        return [self(values[0], axes=tuple(axis + 1 for axis in axes))], [True]

    def lower_reduction(self, result: Any, x: Any, *, axes: Shape) -> Lowered | None:
        return reduced("add", result, x, axes)

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        return params["axes"]


def reduced(combine: str, result: Any, x: Any, axes: Shape) -> Lowered:
    """How a kernel combines the elements of x along some axes."""
    ndim = x.aval.ndim
    order = [*(axis for axis in range(ndim) if axis not in axes), *axes]
    places = [order.index(axis) for axis in range(ndim)]
    shape = tuple(x.aval.shape[axis] for axis in order)
    return Lowered(shape, len(axes), combine, lambda index: result.cast(x.at(tuple(index[i] for i in places))))


full = Full("full")
add_any = AddAny("add_any")
scale = Scale("scale")
scale_both = Scale("scale_both", both=True)
convert = Convert("convert")
reshape = Reshape("reshape")
broadcast_to = BroadcastTo("broadcast_to")
reduce_sum = ReduceSum("reduce_sum")


def promoted(*avals: ShapedArray) -> np.dtype[Any]:
    """The dtype in which values meet, by NumPy 2's rules (NEP 50)."""
    return _promoted(*[a[1:] for a in avals])


@lru_cache(maxsize=1024)
def _promoted(*kinds: tuple[np.dtype[Any], bool]) -> np.dtype[Any]:
    if all(weak for _, weak in kinds):
        return result_type(*(dtype for dtype, _ in kinds))
    return result_type(*(dtype.type(0).item() if weak else dtype for dtype, weak in kinds))


def broadcast_shapes(*shapes: Shape) -> Shape:
    """NumPy's broadcast_shapes, which takes several times as long.

    Raises:
        ShapeMismatchError: the shapes do not broadcast.
    """
    found = shapes[0]
    for shape in shapes[1:]:
        if shape == found or not shape:
            continue
        longer, shorter = (found, shape) if len(found) >= len(shape) else (shape, found)
        extents = list(longer)
        for axis, (n, m) in enumerate(zip(longer[len(longer) - len(shorter) :], shorter), len(longer) - len(shorter)):
            if n == 1:
                extents[axis] = m
            elif m not in (n, 1):
                raise _broadcasting_error(shapes)
        found = tuple(extents)
    return found


def _broadcasting_error(shapes: Sequence[Shape]) -> Exception:
    return ShapeMismatchError(
        f"Arrays of shapes {' and '.join(map(str, shapes))} cannot be broadcast together.",
        "Aligned at the right, two extents must be equal or one of them 1.",
        "Insert axes with `x[:, None]`, or transpose one of the arrays.",
    )


def without(shape: Shape, axes: Shape) -> Shape:
    """A shape without some of its axes."""
    return tuple(extent for axis, extent in enumerate(shape) if axis not in axes)


def restore_axes(x: Any, shape: Shape, axes: Shape) -> Any:
    """The transpose of a sum: an array without `axes`, repeated along them to `shape`."""
    if axes != tuple(range(len(axes))):  # leading axes are new to the broadcast
        x = reshape(x, shape=tuple(1 if axis in axes else extent for axis, extent in enumerate(shape)))
    return broadcast_to(x, shape=shape)


def zeros(aval: ShapedArray) -> Any:
    """An array of zeros; a Python zero for a weak type, a stack without entries for a stack."""
    if type(aval) is StackAval:
        return operators.empty_stack(aval=aval)
    return aval.dtype.type(0).item() if aval.weak else full(value=0, shape=aval.shape, dtype=aval.dtype)


def instantiate(t: Any, aval: ShapedArray) -> Any:
    """An array in place of a symbolic zero."""
    return zeros(aval) if t is ZERO else t


def add_tangents(x: Any, y: Any) -> Any:
    """The sum of two tangents or cotangents, either of which may be ZERO."""
    if x is ZERO:
        return y
    return x if y is ZERO else add_any(x, y)


def match(t: Any, like: Any) -> Any:
    """A tangent broadcast and cast to the type of its primal."""
    if type(t) is Zero:
        return t
    have, want = typeof(t), typeof(like)
    if have == want:
        return t
    if have.dtype != want.dtype or (have.weak and not want.weak):
        t = convert(t, dtype=want.dtype)
    return t if have.shape == want.shape else broadcast_to(t, shape=want.shape)


def unbroadcast(ct: Any, aval: ShapedArray) -> Any:
    """A cotangent summed and cast to the type of its primal: the transpose of `match`.

    The cotangent of a weak primal keeps its own precision, since a Python scalar has none.
    """
    have = typeof(ct)
    if have == aval:
        return ct
    if have.shape != aval.shape:
        lead = len(have.shape) - len(aval.shape)
        stretched = (i + lead for i, extent in enumerate(aval.shape) if extent == 1 != have.shape[i + lead])
        axes = (*(i for i in range(lead) if have.shape[i] != 1), *stretched)
        if axes:
            ct = reduce_sum(ct, axes=axes)
        if typeof(ct).shape != aval.shape:
            ct = reshape(ct, shape=aval.shape)
    if have.dtype is aval.dtype:
        return ct
    dtype = real_dtype(have.dtype) if aval.weak and aval.dtype.kind == "f" else aval.dtype
    if have.dtype == dtype or (aval.weak and kind_of(have.dtype) == aval.dtype.kind):
        return ct
    return convert(ct, dtype=dtype)


def pad_rank(x: Any, ndim: int) -> Any:
    """A mapped operand of lower rank with axes of extent one after its lanes, so that lanes do not broadcast."""
    shape = typeof(x).shape
    missing = ndim + 1 - len(shape)
    return reshape(x, shape=(shape[0], *(1,) * missing, *shape[1:])) if missing else x


def align_ranks(values: Sequence[Any], mapped: Sequence[bool]) -> list[Any]:
    """Operands of a broadcasting primitive, with the lanes of the mapped ones leading."""
    ndim = max(len(typeof(v).shape) - is_mapped for v, is_mapped in zip(values, mapped))
    return [pad_rank(v, ndim) if is_mapped else v for v, is_mapped in zip(values, mapped)]


def broadcast_lanes(x: Any, size: int) -> Any:
    """A value that is the same for all lanes, with a leading axis of lanes."""
    if type(typeof(x)) is StackAval:
        return operators.broadcast_stack(x, size)
    return broadcast_to(x, shape=(size, *typeof(x).shape))


def all_mapped(size: int, values: Sequence[Any], mapped: Sequence[bool]) -> list[Any]:
    """Operands all of which have lanes, for rules that treat them alike."""
    return [v if is_mapped else broadcast_lanes(v, size) for v, is_mapped in zip(values, mapped, strict=True)]
