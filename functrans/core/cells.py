"""Cells: traced arrays that can be assigned into, and the views that are taken from them.

An assignment swaps the payload of a cell for that of a scatter. It is written through to what the cell is a view of,
and makes views stale that share elements with what was assigned.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, TypeVar

import numpy as np

from ..errors import (
    ArgumentMutationError,
    DtypeMismatchError,
    ForeignAssignmentError,
    StaleViewError,
    ViewAssignmentError,
)
from .dtypes import can_cast
from .trace import Trace, Traced, current_trace, operators

C = TypeVar("C", bound="Cell")


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

    def __init__(self, base: Cell, index: Any, restore: Callable[[Any], Any] | None):
        self.base, self.index, self.restore = base, index, restore

    def written(self, view: Cell) -> Any:
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


class Cell(Traced):
    """A value that can be assigned into, while its trace is the current one.

    Attributes:
        payload: the slots that an assignment swaps.
        origin: unset, or ARGUMENT, or the View that says where this was taken from.
        views: unset, or weak references to the views taken from this.
    """

    __slots__ = ("__weakref__", "origin", "views")
    payload: ClassVar[tuple[str, ...]] = ()

    def __getitem__(self, index: Any) -> Any:
        result, is_view = operators.getitem(self, index)
        return view_of(self, result, _frozen(index)) if is_view else result

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Cell) and value.is_view_of(self, index):
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

    def is_view_of(self, base: Cell, index: Any) -> bool:
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
        if not can_cast(result.dtype, self.aval.dtype, casting="same_kind"):
            raise DtypeMismatchError(
                f"An augmented assignment would turn {result.aval} into {self.aval}.",
                "As in NumPy, an in-place operation keeps the dtype of its left side.",
                "Write `x = x + ...` instead, or convert with `.astype(...)` first.",
            )
        self._assign(operators.setitem(self, ..., result))
        return self

    def _assign(self, result: Cell, index: Any = ...) -> None:
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
    if result is base or not isinstance(base, Cell) or not isinstance(result, Cell):
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


def _retire_views(base: Cell, index: Any) -> None:
    """Make the views of an array stale, but for those that share no element with `base[index]`."""
    kept: list[Any] = []
    for ref in getattr(base, "views", ()):
        view = ref()
        if view is None:
            continue
        if _are_disjoint(view.origin.index, index, base.aval.shape):
            kept.append(ref)
        else:
            _retire_views(view, ...)
            view.trace = STALE
    base.views = kept


def _frozen(index: Any) -> Any:
    """An index that stays as it is if a traced integer in it is assigned into."""
    if type(index) is tuple:
        return tuple(map(_frozen, index))
    return index.twin() if isinstance(index, Cell) else index


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
    if isinstance(x, Cell):
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


def argument(tracer: C) -> C:
    """Mark a tracer as standing for an argument, which may not be assigned into."""
    tracer.origin = ARGUMENT
    return tracer
