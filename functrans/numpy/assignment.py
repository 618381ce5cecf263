"""Writing elements: NumPy's functions that do it in place, on traced arrays, and `at`, which makes new arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.avals import BOOL, INT
from ..core.cells import view_of
from ..core.devices import here, place_of
from ..core.trace import Traced, typeof
from ..core.tracer import Tracer
from ..primitives.elementwise import add, divide, less, maximum, minimum, multiply, power, subtract
from ..primitives.foundation import full
from ..primitives.indexing import scatter_add, scatter_max, scatter_min, scatter_multiply
from ..primitives.masks import known_mask, leading_mask
from ..primitives.selection import select
from ..primitives.subscripts import Subscript, as_array, converted, getitem, parse, read, setitem, write
from .common import as_operand, cast, check_cast, normalize_axis, stretched, with_shape
from .indexing import take
from .positions import along_axis, cell, default_fill, index_mode
from .protocols import METHODS, PROPERTIES, SETTERS, UFUNC_METHODS

# ---- in place


def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """numpy.put: writes into the flattened array, repeating the values as needed."""
    array = cell(a, "a")
    ind = as_operand(ind)
    ind = with_shape(ind, (typeof(ind).size,))
    if typeof(ind).size:
        flat = with_shape(array, (array.size,))
        subscript = parse((array.size,), ind, index_mode(mode))
        array[...] = with_shape(write(flat, subscript, _cycled(v, ind.size, array.dtype)), array.shape)


def _cycled(values: Any, count: int, dtype: np.dtype[Any]) -> Any:
    """The elements of an array in order, over and over, up to a count, in a dtype."""
    values = converted(values, dtype)
    size = typeof(values).size
    if size == 0:
        raise ValueError("Cannot insert from an empty array!")
    flat = with_shape(values, (size,))
    return stretched(flat, (count,)) if size == 1 else np.take(flat, here(np.arange(count) % size))


def _flat(x: Any) -> Any:
    """ndarray.flat as an array of one axis, whose elements are those of x: `x.flat[::n + 1] = 1`."""
    return view_of(x, with_shape(x, (x.size,)), restore=lambda flat: with_shape(flat, x.shape))


def _set_flat(x: Any, values: Any) -> None:
    """`x.flat = values`, which are repeated as needed."""
    x[...] = with_shape(_cycled(values, x.size, x.dtype), x.shape)


def place(arr: Any, mask: Any, vals: Any) -> None:
    """numpy.place: writes where a mask holds, repeating the values as needed."""
    array = cell(arr, "arr")
    mask = _mask(mask, array.shape)
    size = typeof(vals := converted(vals, array.dtype)).size
    if size == 0:
        raise ValueError("Cannot insert from an empty array!")
    before = np.cumsum(with_shape(mask, (array.size,))) - 1
    taken = take(with_shape(vals, (size,)), before % size)
    array[...] = select(mask, with_shape(taken, array.shape), array)


def putmask(a: Any, mask: Any, values: Any) -> None:
    """numpy.putmask: writes the elements of `values` at their own positions, repeated, where a mask holds."""
    array = cell(a, "a")
    mask = _mask(mask, array.shape)
    array[...] = select(mask, with_shape(_cycled(values, array.size, array.dtype), array.shape), array)


def _mask(mask: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(mask, Traced):
        return with_shape(cast(mask, BOOL), shape)
    return here(np.asarray(mask, BOOL)).reshape(shape)


def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    """numpy.put_along_axis."""
    array = cell(arr, "arr")
    if axis is None:
        put(array, indices, values)
        return
    index = along_axis(array.shape, as_operand(indices), normalize_axis(axis, array.ndim))
    array[index] = values


def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    """numpy.copyto."""
    array = cell(dst, "dst")
    src = as_operand(src)
    check_cast(src, array.dtype, casting)
    src = converted(src, array.dtype)
    array[...] = src if where is True else select(where, src, array)


def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """numpy.fill_diagonal: writes along the main diagonal, repeating the values as needed."""
    array = cell(a, "a")
    shape = array.shape
    if len(shape) < 2:
        raise ValueError("array must be at least 2-d")
    if len(shape) > 2 and len(set(shape)) != 1:
        raise ValueError("All dimensions of input must be of equal length")
    step = 1 + int(np.cumprod(shape[:0:-1])[: len(shape) - 1].sum()) if len(shape) > 2 else shape[1] + 1
    end = shape[1] * shape[1] if len(shape) == 2 and not wrap else array.size
    places = tuple(map(here, np.unravel_index(np.arange(0, min(end, array.size), step), shape)))
    array[places] = _cycled(val, len(places[0]), array.dtype)


def _fill(a: Any, value: Any) -> None:
    """ndarray.fill."""
    cell(a, "a")[...] = value


# ---- as a function


class at:
    """`at(x)[index].set(v)`: a new array with some elements changed; `x` itself stays as it is.

    Also `add`, `subtract`, `multiply`, `divide`, `power`, `min`, `max` (each applied once for every time that an
    element is named), `apply(f)`, and `get`. `x` may be an array, a tracer or a nested list.

    Each takes `mode`, for indices that point outside: "raise" (default), "clip", "wrap", or "drop" (leaves out such
    updates; `get` calls it "fill" and gives `fill_value`, by default NaN or the integer farthest from zero).

    Example:
        >>> import numpy as np, functrans.numpy as fnp
        >>> fnp.at(np.zeros(3))[[0, 0, 2]].add(1.0)
        array([2., 0., 1.])
        >>> fnp.at(np.arange(3.0))[7].get(mode="fill", fill_value=-1.0)
        np.float64(-1.0)
    """

    __slots__ = ("array",)

    def __init__(self, x: Any):
        x = as_array(x) if isinstance(x, (list, tuple)) else x
        self.array = x if isinstance(x, Tracer) or hasattr(x, "dtype") else here(np.asarray(x))

    def __getitem__(self, index: Any) -> _Place:
        return _Place(self.array, index)


class _Place:
    """`at(x)[index]`, to be read or changed."""

    __slots__ = ("array", "index")

    def __init__(self, array: Any, index: Any):
        self.array, self.index = array, index

    def get(self, *, mode: str | None = None, fill_value: Any = None) -> Any:
        """The elements."""
        subscript = self._subscript(mode)
        fill = default_fill(typeof(self.array).dtype) if fill_value is None else fill_value
        is_filled = subscript.spec is not None and subscript.spec.mode == "drop"
        return read(self.array, subscript, fill if is_filled else 0)

    def set(self, values: Any, *, mode: str | None = None) -> Any:
        """The array with the elements replaced; of several values for one element the last stays."""
        with place_of([self.array]):
            if index_mode(mode) == "raise":
                return setitem(self.array, self.index, values)
            return write(self.array, self._subscript(mode), converted(values, typeof(self.array).dtype))

    def add(self, values: Any, *, mode: str | None = None) -> Any:
        """The array with values added to the elements."""
        return self._combine(add, scatter_add, values, mode)

    def subtract(self, values: Any, *, mode: str | None = None) -> Any:
        """The array with values subtracted from the elements."""
        return self._combine(subtract, lambda x, v, *i, spec: scatter_add(x, -v, *i, spec=spec), values, mode)

    def multiply(self, values: Any, *, mode: str | None = None) -> Any:
        """The array with the elements multiplied by values."""
        return self._combine(multiply, scatter_multiply, values, mode)

    mul = multiply

    def divide(self, values: Any, *, mode: str | None = None) -> Any:
        """The array with the elements divided by values."""
        return self._combine(divide, _by_product(divide), values, mode)

    def power(self, values: Any, *, mode: str | None = None) -> Any:
        """The array with the elements raised to powers."""
        return self._combine(power, _by_product(power), values, mode)

    def min(self, values: Any, *, mode: str | None = None) -> Any:
        """The array with each element replaced by the least of itself and its values."""
        return self._combine(minimum, scatter_min, values, mode)

    def max(self, values: Any, *, mode: str | None = None) -> Any:
        """The array with each element replaced by the greatest of itself and its values."""
        return self._combine(maximum, scatter_max, values, mode)

    def apply(self, function: Callable[[Any], Any], *, mode: str | None = None) -> Any:
        """The array with a function applied to the elements, once even if they are named several times."""
        return self.set(function(self.get(mode=mode)), mode=mode)

    def _combine(self, operation: Callable[..., Any], scatter: Callable[..., Any], values: Any, mode: Any) -> Any:
        x, dtype = self.array, typeof(self.array).dtype
        values = as_array(values) if isinstance(values, (list, tuple)) else as_operand(values)
        check_cast(values, dtype)
        if operation is divide:
            check_cast(dtype.type(1) / dtype.type(1), dtype)
        by_mask = leading_mask(self.index)
        with place_of([x]):
            if by_mask is not None and known_mask(by_mask[0]) is None:
                return setitem(x, self.index, operation(getitem(x, self.index)[0], values))
            subscript = self._subscript(mode)
            if subscript.spec is None:
                return write(x, subscript, converted(operation(read(x, subscript), values), dtype))
            return write(x, subscript, converted(values, dtype), scatter)

    def _subscript(self, mode: str | None) -> Subscript:
        mode = index_mode(mode)
        subscript = parse(typeof(self.array).shape, self.index, mode)
        if mode != "clip" or subscript.spec is None:
            return subscript
        extents = [subscript.region.shape[axis] for axis in subscript.spec.axes]
        return subscript._replace(indices=tuple(map(_from_start, subscript.indices, extents)))


def _from_start(index: Any, extent: int) -> Any:
    """Negative indices counted from the end, as everywhere but in numpy.take with mode "clip"."""
    index = cast(index, INT)
    return select(less(index, 0), add(index, extent), index)


def _by_product(operation: Callable[..., Any]) -> Callable[..., Any]:
    """A scatter that divides by the product of the values for an element, or raises to their product."""

    def scatter(x: Any, values: Any, *indices: Any, spec: Any) -> Any:
        aval = typeof(x)
        ones = full(value=1, shape=aval.shape, dtype=aval.dtype)
        return operation(x, scatter_multiply(ones, values, *indices, spec=spec))

    return scatter


def _ufunc_at(method: str) -> Callable[..., None]:
    """ufunc.at: combines values into an array in place, once for every time that an element is named."""

    def update(a: Any, indices: Any, b: Any) -> None:
        array = cell(a, "a")
        array[...] = getattr(at(array)[indices], method)(b)

    return update


for _ufunc, _method in (
    (np.add, "add"), (np.subtract, "subtract"), (np.multiply, "multiply"), (np.divide, "divide"),
    (np.minimum, "min"), (np.maximum, "max"),
):  # fmt: skip
    UFUNC_METHODS[_ufunc, "at"] = _ufunc_at(_method)
METHODS.update(put=put, fill=_fill)
PROPERTIES.update(flat=_flat)
SETTERS.update(flat=_set_flat)
