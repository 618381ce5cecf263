"""Tracer: stands for an array while a function is traced, and behaves like one."""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from ..errors import (
    ArgumentMutationError,
    DtypeMismatchError,
    ForeignAssignmentError,
    StaleViewError,
    ViewAssignmentError,
)
from .dtypes import can_cast
from .trace import Trace, Traced, Uncounted, current_trace

#: What the operators of a tracer mean; the primitives fill it when they are imported.
operators: Final = SimpleNamespace()
#: Primitives that are exactly what a ufunc means; others are looked up in functrans.numpy.
ufunc_primitives: Final[dict[Any, Callable[..., Any]]] = {}


@cache
def numpy_namespace() -> ModuleType:
    """`functrans.numpy`, reached only when a protocol of a tracer is used: the one import that points upwards."""
    import functrans.numpy

    return functrans.numpy


class _Argument:
    """Marks the tracers that stand for arguments of a transformed function."""


ARGUMENT: Final = _Argument()


#: The index of a view that was not made by indexing.
NO_INDEX: Final = object()


class View:
    """Where a view was taken from: `base[index]`; or, with NO_INDEX, the elements of base in another order.

    Attributes:
        restore: for views with NO_INDEX, the function from a view to its base; None if there is none.
    """

    __slots__ = ("base", "index", "restore")

    def __init__(self, base: Tracer, index: Any, restore: Callable[[Any], Any] | None):
        self.base, self.index, self.restore = base, index, restore

    def written(self, view: Tracer) -> Any:
        """What the base is after the view has become this."""
        if self.index is not NO_INDEX:
            return operators.setitem(self.base, self.index, view)
        assert self.restore is not None
        return self.restore(view)


class StaleTrace(Trace):
    """Owns the views that an assignment to their base has made out of date."""

    __slots__ = ()

    def leak_error(self, tracer: Traced, operation: str) -> Exception:
        return StaleViewError(
            f"A view of type {tracer.aval} was used in `{operation}` after the array it was taken from had "
            "been assigned into.",
            "In NumPy the view would have changed with it; a traced view cannot.",
            "Take the view again after the assignment, or take a copy (`x[...].copy()`) before it.",
        )


STALE: Final = StaleTrace()


class Tracer(Traced):
    """An array of which a trace knows more than its value, or does not know the value.

    A tracer is a cell: `x[i] = v` swaps its payload, the slots named in `payload`, for those of a scatter. It may
    be assigned into only while its trace is the current one.

    Attributes:
        origin: unset, or ARGUMENT, or the View that says where this tracer was taken from.
        views: unset, or weak references to the views taken from this tracer.
    """

    __slots__ = ("__weakref__", "origin", "views")
    payload: ClassVar[tuple[str, ...]] = ()
    __array_priority__ = 1000
    __hash__ = object.__hash__  # type: ignore[assignment]  # == is elementwise, identity is what a dict needs

    def __init__(self, trace: Trace):
        self.trace = trace

    # ---- what is known of the array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        return len(self.aval.shape)

    @property
    def size(self) -> int:
        return self.aval.size

    @property
    def itemsize(self) -> int:
        return self.aval.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.aval.size * self.aval.dtype.itemsize

    def __len__(self) -> int:
        if not self.aval.shape:
            raise TypeError("len() of unsized object")
        return self.aval.shape[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.aval}>"

    # ---- conversion to Python values: only where nothing is lost

    def concrete(self, wanted: str) -> Any:
        """The value as an array or scalar, if this tracer knows it and nothing is lost by using it.

        Raises:
            ConcretizationError: the value is not known while tracing.
            TracerConversionError: it is known, but its derivative or batch would be lost.
        """
        raise NotImplementedError

    def known(self, wanted: str) -> Any:
        """As `concrete`, for a user, who may hold a stale view."""
        if self.trace is STALE:
            raise self.trace.leak_error(self, wanted)
        return self.concrete(wanted)

    def __bool__(self) -> bool:
        return bool(self.known("bool"))

    def __int__(self) -> int:
        return int(self.known("int"))

    def __float__(self) -> float:
        return float(self.known("float"))

    def __complex__(self) -> complex:
        return complex(self.known("complex"))

    def __index__(self) -> int:
        return operator.index(self.known("index"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array out of a traced one.")
        array = np.array(self.known("array"), dtype=dtype)
        # Writing into what NumPy's asarray made of an array would change the array.
        array.flags.writeable = copy is True or array.dtype != self.dtype
        return array

    def item(self, *index: Any) -> Any:
        return self.known("item").item(*index)

    def tolist(self) -> Any:
        return self.known("tolist").tolist()

    def __format__(self, spec: str) -> str:
        return repr(self) if not spec else format(self.known("format"), spec)

    # ---- the operators

    def __pos__(self) -> Any:
        return operators.positive(self)

    def __neg__(self) -> Any:
        return operators.negative(self)

    def __abs__(self) -> Any:
        return operators.absolute(self)

    def __invert__(self) -> Any:
        return operators.invert(self)

    def __round__(self, ndigits: int | None = None) -> Any:
        return operators.round(self) if ndigits is None else numpy_namespace().round(self, ndigits)

    def __trunc__(self) -> Any:
        return operators.trunc(self)

    def __floor__(self) -> Any:
        return operators.floor(self)

    def __ceil__(self) -> Any:
        return operators.ceil(self)

    def __add__(self, other: Any) -> Any:
        return operators.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return operators.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return operators.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return operators.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return operators.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return operators.multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return operators.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return operators.divide(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return operators.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return operators.floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return operators.remainder(self, other)

    def __rmod__(self, other: Any) -> Any:
        return operators.remainder(other, self)

    def __divmod__(self, other: Any) -> Any:
        return operators.floor_divide(self, other), operators.remainder(self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return operators.floor_divide(other, self), operators.remainder(other, self)

    def __pow__(self, other: Any) -> Any:
        if self.aval.dtype.kind == "b" and self.aval.shape and type(other) is int and other == 2:
            return operators.square(self)  # as NumPy: the result is int8, that of np.power int64
        return operators.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return operators.power(other, self)

    def __matmul__(self, other: Any) -> Any:
        return operators.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return operators.matmul(other, self)

    def __and__(self, other: Any) -> Any:
        return operators.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Any:
        return operators.bitwise_and(other, self)

    def __or__(self, other: Any) -> Any:
        return operators.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Any:
        return operators.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Any:
        return operators.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Any:
        return operators.bitwise_xor(other, self)

    def __lshift__(self, other: Any) -> Any:
        return operators.left_shift(self, other)

    def __rlshift__(self, other: Any) -> Any:
        return operators.left_shift(other, self)

    def __rshift__(self, other: Any) -> Any:
        return operators.right_shift(self, other)

    def __rrshift__(self, other: Any) -> Any:
        return operators.right_shift(other, self)

    def __eq__(self, other: object) -> Any:
        return operators.equal(self, other)

    def __ne__(self, other: object) -> Any:
        return operators.not_equal(self, other)

    def __lt__(self, other: Any) -> Any:
        return operators.less(self, other)

    def __le__(self, other: Any) -> Any:
        return operators.less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return operators.greater(self, other)

    def __ge__(self, other: Any) -> Any:
        return operators.greater_equal(self, other)

    def __iadd__(self, other: Any) -> Any:
        return self._update(operators.add(self, other))

    def __isub__(self, other: Any) -> Any:
        return self._update(operators.subtract(self, other))

    def __imul__(self, other: Any) -> Any:
        return self._update(operators.multiply(self, other))

    def __itruediv__(self, other: Any) -> Any:
        return self._update(operators.divide(self, other))

    def __ifloordiv__(self, other: Any) -> Any:
        return self._update(operators.floor_divide(self, other))

    def __imod__(self, other: Any) -> Any:
        return self._update(operators.remainder(self, other))

    def __ipow__(self, other: Any) -> Any:
        return self._update(operators.power(self, other))

    def __imatmul__(self, other: Any) -> Any:
        return self._update(operators.matmul(self, other))

    def __iand__(self, other: Any) -> Any:
        return self._update(operators.bitwise_and(self, other))

    def __ior__(self, other: Any) -> Any:
        return self._update(operators.bitwise_or(self, other))

    def __ixor__(self, other: Any) -> Any:
        return self._update(operators.bitwise_xor(self, other))

    def __ilshift__(self, other: Any) -> Any:
        return self._update(operators.left_shift(self, other))

    def __irshift__(self, other: Any) -> Any:
        return self._update(operators.right_shift(self, other))

    # ---- NumPy's protocols: the meaning of every NumPy function is looked up in functrans.numpy

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        primitive = ufunc_primitives.get(ufunc)
        if primitive is not None and method == "__call__" and not kwargs:
            return primitive(*inputs)
        if any(isinstance(x, Uncounted) for x in inputs):
            return NotImplemented
        return numpy_namespace().apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Uncounted) for kind in types):
            return NotImplemented
        return numpy_namespace().apply_function(function, args, kwargs)

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        return numpy_namespace()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The other methods and properties of ndarray, which functrans.numpy adds: `x.sum()` is `np.sum(x)`."""

    # ---- indexing and assignment

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def __getitem__(self, index: Any) -> Any:
        result, is_view = operators.getitem(self, index)
        return view_of(self, result, _frozen(index)) if is_view else result

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Tracer) and value.is_view_of(self, index):
            return  # `x[i] += v`: the update of the view has been written through already
        self._check_assignable()
        self._assign(operators.setitem(self, index, value), index)

    def copy(self, order: str = "K") -> Any:
        """A cell of the current trace with the same value: assigning into one leaves the other alone."""
        if self.trace is STALE:
            raise self.trace.leak_error(self, "copy")
        trace = current_trace.get()
        return self.twin() if self.trace is trace else trace.pure(self.twin())

    def twin(self) -> Any:
        """Another tracer of the same trace with the same payload, which stays as it is if this one is assigned into."""
        twin = object.__new__(type(self))
        twin.trace = self.trace
        for slot in self.payload:
            setattr(twin, slot, getattr(self, slot))
        return twin

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def is_view_of(self, base: Tracer, index: Any) -> bool:
        """Whether this is what `base[index]` returned, base not having been assigned into otherwise since."""
        origin = getattr(self, "origin", None)
        if type(origin) is not View or origin.base is not base or self.trace is STALE:
            return False
        return _same_index(origin.index, index)

    def _check_assignable(self) -> None:
        origin = getattr(self, "origin", None)
        if type(origin) is View:
            if origin.index is NO_INDEX and origin.restore is None:
                raise ViewAssignmentError(
                    f"A view of type {self.aval} was assigned into that functrans cannot write through to its base.",
                    "NumPy would change the array it was taken from, or not, depending on the layout in memory.",
                    "Assign into the original array, or take a copy first (`x = x.copy()`).",
                )
            origin.base._check_assignable()
        if origin is ARGUMENT:
            raise ArgumentMutationError(
                f"An argument of type {self.aval} was assigned into.",
                "Transformed functions are pure: they may not change what their caller passed in.",
                "Write `x = x.copy()` first (or `x = x + ...` for an augmented assignment), and assign to that.",
            )
        if self.trace is STALE:
            raise self.trace.leak_error(self, "an assignment")
        if self.trace is not current_trace.get():
            raise ForeignAssignmentError(
                f"An array of type {self.aval} was assigned into under another transformation than the one that "
                "made it.",
                "The inner function would change a value of the outer one behind its back.",
                "Return the new value from the inner function, or make a copy inside it (`x = x.copy()`; "
                "functrans.numpy.zeros and its kin make arrays of the current transformation).",
            )

    def _update(self, result: Any) -> Any:
        """Augmented assignment: in place for arrays, as in NumPy; scalars are immutable and are replaced."""
        if not self.aval.shape:
            return result
        self._check_assignable()
        if not can_cast(result.dtype, self.dtype, casting="same_kind"):
            raise DtypeMismatchError(
                f"An augmented assignment would turn {result.aval} into {self.aval}.",
                "As in NumPy, an in-place operation keeps the dtype of its left side.",
                "Write `x = x + ...` instead, or convert with `.astype(...)` first.",
            )
        self._assign(operators.setitem(self, ..., result))
        return self

    def _assign(self, result: Tracer, index: Any = ...) -> None:
        """Take over the payload of a new value, which differs at `index` only; in the base of a view as well."""
        origin = getattr(self, "origin", None)
        _retire_views(self, index)
        for slot in self.payload:
            setattr(self, slot, getattr(result, slot))
        if type(origin) is View:
            base = origin.base
            updated = origin.written(self)
            base.views = [ref for ref in base.views if ref() is not self]
            base._assign(updated, ... if origin.index is NO_INDEX else origin.index)
            base.views.append(weakref.ref(self))


def view_of(
    base: Any, result: Any, index: Any = NO_INDEX, restore: Callable[[Any], Any] | None = None
) -> Any:
    """Remember that `result` shares memory with `base` in NumPy's eyes.

    Args:
        index: if the result is `base[index]`.
        restore: otherwise, the function that makes a base of such a result, so that it can be assigned into.
    """
    if result is base or not isinstance(base, Tracer) or not isinstance(result, Tracer):
        return result
    result.origin = View(base, index, restore)
    try:
        views = base.views
    except AttributeError:
        views = base.views = []
    if len(views) % 64 == 63:  # a loop that reads rows leaves dead references behind
        views[:] = [ref for ref in views if ref() is not None]
    views.append(weakref.ref(result))
    return result


def is_view(x: Any) -> bool:
    """Whether an array shares memory with another one in NumPy's eyes, so that its elements may lie apart."""
    return type(getattr(x, "origin", None)) is View


def _retire_views(base: Tracer, index: Any) -> None:
    """Make the views of an array stale, but for those that share no element with `base[index]`."""
    kept: list[Any] = []
    for ref in getattr(base, "views", ()):
        view = ref()
        if view is None:
            continue
        if _are_disjoint(view.origin.index, index, base.shape):
            kept.append(ref)
        else:
            _retire_views(view, ...)
            view.trace = STALE
    base.views = kept


def _frozen(index: Any) -> Any:
    """An index that stays as it is if a traced integer in it is assigned into."""
    if type(index) is tuple:
        return tuple(map(_frozen, index))
    return index.twin() if isinstance(index, Tracer) else index


def check_not_stale(values: Iterable[Any], operation: str) -> None:
    """Raise StaleViewError if there is a stale view among some values."""
    for value in values:
        if isinstance(value, Traced) and value.trace is STALE:
            raise value.trace.leak_error(value, operation)


def _same_index(a: Any, b: Any) -> bool:
    """Whether two indices of views (integers, known or not, slices, ellipses, None, tuples of them) are the same."""
    a, b = (a if isinstance(a, tuple) else (a,)), (b if isinstance(b, tuple) else (b,))
    return len(a) == len(b) and all(map(_same_entry, a, b))


def _same_entry(x: Any, y: Any) -> bool:
    if x is y:
        return True
    if type(x) is not type(y):
        return False
    if isinstance(x, Tracer):
        return x.trace is y.trace and all(getattr(x, slot) is getattr(y, slot) for slot in x.payload)
    return isinstance(x, (int, slice, np.integer)) and x == y


def _are_disjoint(a: Any, b: Any, shape: tuple[int, ...]) -> bool:
    """Whether two indices are known to share no element, by the integers and slices that they begin with."""
    for x, y, extent in zip(a if type(a) is tuple else (a,), b if type(b) is tuple else (b,), shape):
        if type(x) not in (int, slice) or type(y) not in (int, slice):
            return False
        ours, theirs = _places(x, extent), _places(y, extent)
        if not ours or not theirs or max(ours) < min(theirs) or max(theirs) < min(ours):
            return True
    return False


def _places(index: Any, extent: int) -> range:
    """The elements that an integer or a slice selects."""
    if isinstance(index, int):
        return range(index % extent, index % extent + 1)
    return range(extent)[index]


def argument(tracer: Tracer) -> Tracer:
    """Mark a tracer as standing for an argument, which may not be assigned into."""
    tracer.origin = ARGUMENT
    return tracer
