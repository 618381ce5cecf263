"""Gather and scatter: reading and writing at positions that arrays of integers name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import numpy as np

from ..core.avals import INT, ZERO, ShapedArray, told_apart
from ..core.devices import is_on_device
from ..core.primitive import Primitive, is_hole
from ..core.trace import Params, typeof
from ..errors import TransposeError
from .elementwise import equal, greater_equal, less, logical_and, multiply, subtract
from .foundation import (
    Moving,
    Shape,
    add_tangents,
    align_ranks,
    all_mapped,
    broadcast_shapes,
    full,
    instantiate,
    reshape,
    scale,
    zeros,
)
from .indices import (
    Indexing,
    are_integers,
    as_arrays,
    block_order,
    dropped,
    flat_places,
    is_outside,
    moved,
    numpy_index,
    out_of_bounds,
    signed,
    within_bounds,
)
from .on_gpu import check_indices, update_at, write_in_order
from .permutations import argsort
from .selection import select
from .structural import iota, transpose


class Gather(Moving):
    """`gather(x, *indices, spec=, fill=)`: the elements of x that integer arrays name, as an Indexing says."""

    may_refuse = True
    reads_part = True
    first_index = 1

    def abstract_eval(self, x: ShapedArray, *indices: ShapedArray, spec: Indexing, fill: Any = 0) -> list[ShapedArray]:
        index = broadcast_shapes(*(i.shape for i in indices))
        return [ShapedArray(spec.result_shape(x.shape, index), x.dtype)]

    def impl(self, x: Any, *indices: Any, spec: Indexing, fill: Any = 0) -> list[Any]:
        if spec.mode == "drop":
            return [_filled_gather(x, indices, spec, fill)]
        try:
            if is_on_device(x) and spec.mode == "raise":
                check_indices(x, indices, spec.axes)
            if type(indices[0]) is int and spec == (tuple(range(len(indices))), 0, "raise", True):
                return [x[indices]]  # what integers in brackets become
            if len(indices) == 1 and type(x) is np.ndarray and np.ndim(indices[0]):
                index = signed(indices[0]) if indices[0].dtype == np.uint64 else indices[0]  # NumPy 2.0's take wants it
                y = x.take(index, spec.axes[0], mode=spec.mode)
                return [moved(y, spec.axes[0], spec.position, np.ndim(indices[0]))]
            places, natural, ndim = numpy_index(x.shape, within_bounds(x.shape, indices, spec), spec.axes)
            return [moved(x[places], natural, spec.position, ndim)]
        except IndexError as error:
            raise out_of_bounds(x.shape, indices, spec, error) from None

    def may_fail(self, avals: Sequence[Any], params: Params) -> bool:
        return params["spec"].mode == "raise"

    def jvp(self, primals: Any, tangents: Any, *, spec: Indexing, fill: Any = 0) -> tuple[Any, Any]:
        x, *indices = primals
        return [self(x, *indices, spec=spec, fill=fill)], [self(tangents[0], *indices, spec=spec)]

    def transpose(self, cotangents: Any, x: Any, *indices: Any, spec: Indexing, fill: Any = 0) -> list[Any]:
        return [scatter_add(zeros(x.aval), cotangents[0], *indices, spec=spec), *(None for _ in indices)]

    def add_cotangent(self, total: Any, cotangent: Any, *indices: Any, spec: Indexing, fill: Any = 0) -> None:
        scatter_add.update(total, cotangent, indices, spec)

    def batch(
        self, size: int, values: Any, mapped: Sequence[bool], *, spec: Indexing, fill: Any = 0
    ) -> tuple[Any, Any]:
        x, *indices = values
        if not any(mapped[1:]):
            return [self(x, *indices, spec=spec.behind_lanes(), fill=fill)], [True]
        if mapped[0]:
            indices, spec = _lane_indices(size, indices, mapped[1:]), spec.with_lanes()
        else:
            indices, spec = align_ranks(indices, mapped[1:]), spec._replace(unique=False)
        return [move_axis(self(x, *indices, spec=spec, fill=fill), spec.position, 0)], [True]

    def lower(self, result: Any, x: Any, *indices: Any, spec: Indexing, fill: Any = 0) -> Any:
        if 0 in x.aval.shape or not are_integers([i.aval for i in indices]):
            return None
        ndim = len(result.aval.shape) - (len(x.aval.shape) - len(spec.axes))

        def element(index: Any) -> Any:
            own, rest = index[spec.position :][:ndim], iter((*index[: spec.position], *index[spec.position + ndim :]))
            named, exists = {}, None
            for axis, array in zip(spec.axes, indices):
                at = own[ndim - len(array.aval.shape) :]
                at = tuple(result.fixed(0) if n == 1 else i for i, n in zip(at, array.aval.shape))
                named[axis], is_there = result.named(array.at(at), x.aval.shape[axis], spec.mode)
                exists = result.both(exists, is_there)
            found = x.at(tuple(named[axis] if axis in named else next(rest) for axis in range(len(x.aval.shape))))
            return found if exists is None else result.choose(exists, found, result.constant(fill))

        return element

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        spec = params["spec"]
        return (spec, told_apart(params.get("fill", 0)), *(avals[0].shape[axis] for axis in spec.axes))

    def checked_operands(
        self, avals: Sequence[Any], *, spec: Indexing, fill: Any = 0
    ) -> Sequence[tuple[int, int]]:
        if spec.mode != "raise":
            return ()
        return [(number, avals[0].shape[axis]) for number, axis in enumerate(spec.axes, 1)]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        (x, *indices), (target,), spec = sources, targets, params["spec"]
        if any(0 in i.shape for i in indices):  # nothing is named
            return True
        if any(x.shape[axis] == 0 for axis in spec.axes) or not are_integers(indices):
            return False
        run = assembler.python(self, sources, targets, params)
        assembler.gather(block, x, indices, target, (spec.axes, spec.position, spec.mode), params.get("fill", 0), run)
        return True


class Scatter(Primitive):
    """`scatter(x, updates, *indices, spec=)`: x with updates combined into the elements that an Indexing names.

    `updates` has the dtype of x, and the shape that a gather at these indices would return.
    """

    updates_first = True
    may_refuse = True
    first_index = 2

    def __init__(self, name: str, ufunc: Any = None):
        super().__init__(name)
        self.ufunc = ufunc
        self.combine = None if ufunc is None else ufunc.__name__

    def abstract_eval(
        self, x: ShapedArray, updates: ShapedArray, *indices: ShapedArray, spec: Indexing
    ) -> list[ShapedArray]:
        return [x.strong()]

    def computes(self, avals: Sequence[ShapedArray], params: Params) -> bool:
        return self.ufunc is not None

    def impl(self, x: Any, updates: Any, *indices: Any, spec: Indexing) -> list[Any]:
        y = x.copy()
        self.update(y, updates, indices, spec)
        return [y]

    def may_fail(self, avals: Sequence[Any], params: Params) -> bool:
        return params["spec"].mode == "raise"

    def update(self, y: Any, updates: Any, indices: Sequence[Any], spec: Indexing) -> None:
        """The same in place, in a C-contiguous array."""
        if spec.mode == "drop":
            updates, indices, spec = dropped(y, updates, indices, spec)
        try:
            if is_on_device(y) and spec.mode == "raise":
                check_indices(y, indices, spec.axes)
            places = within_bounds(y.shape, indices, spec)
            if self.ufunc is None or spec.unique or not any(map(np.ndim, indices)):
                self._write_once(y, updates, places, spec)
            else:
                self._accumulate(y, updates, places, spec)
        except IndexError as error:
            raise out_of_bounds(y.shape, indices, spec, error) from None

    def _write_once(self, y: Any, updates: Any, indices: Sequence[Any], spec: Indexing) -> None:
        if is_on_device(y):
            self._write_once_on_gpu(y, updates, indices, spec)
            return
        # NumPy writes in memory order of the index arrays: the last of equal indices wins only in row-major ones.
        self._write(y, updates, [np.ascontiguousarray(i) if np.ndim(i) > 1 else i for i in indices], spec)

    def _write_once_on_gpu(self, y: Any, updates: Any, indices: Sequence[Any], spec: Indexing) -> None:
        """On a GPU any of several updates to one element may win, unless they are made one after the other."""
        if self.ufunc is None and not spec.unique and any(map(np.ndim, indices)):
            flat, ndim = flat_places(y.shape, indices, spec.axes)
            updates = np.broadcast_to(moved(updates, spec.position, 0, ndim), flat.shape)
            write_in_order(y.reshape(-1), flat.reshape(-1), updates.reshape(-1))
        else:
            self._write(y, updates, indices, spec)

    def _write(self, y: Any, updates: Any, indices: Sequence[Any], spec: Indexing) -> None:
        places, natural, ndim = numpy_index(y.shape, indices, spec.axes)
        updates = moved(updates, spec.position, natural, ndim)
        y[places] = updates if self.ufunc is None else self.ufunc(y[places], updates)

    def _accumulate(self, y: Any, updates: Any, indices: Sequence[Any], spec: Indexing) -> None:
        if y.ndim == 1 and type(y) is np.ndarray:
            places, natural, ndim = numpy_index(y.shape, indices, spec.axes)
            self.ufunc.at(y, places, moved(updates, spec.position, natural, ndim))
            return
        # ufunc.at is several times faster with one flat index: 0.2 ms against 1.1 for 1000 rows of 64.
        flat, ndim = flat_places(y.shape, indices, spec.axes)
        updates = np.broadcast_to(moved(updates, spec.position, 0, ndim), flat.shape)
        add_at = self.ufunc.at if type(y) is np.ndarray else partial(update_at, self.ufunc)
        add_at(y.reshape(-1), flat.reshape(-1), updates.reshape(-1))

    def batch(self, size: int, values: Any, mapped: Sequence[bool], *, spec: Indexing) -> tuple[Any, Any]:
        x, updates, *indices = values
        x, updates = all_mapped(size, (x, updates), mapped[:2])
        if not any(mapped[2:]):
            return [self(x, updates, *indices, spec=spec.behind_lanes())], [True]
        indices = _lane_indices(size, indices, mapped[2:])
        return [self(x, move_axis(updates, 0, spec.position), *indices, spec=spec.with_lanes())], [True]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        (x, updates, *indices), (target,), spec = sources, targets, params["spec"]
        if any(0 in i.shape for i in indices):  # nothing is named
            assembler.copy(block, x, target)
            return True
        if any(x.shape[axis] == 0 for axis in spec.axes) or not are_integers(indices):
            return False
        run = assembler.python(self, sources, targets, params)
        which = (spec.axes, spec.position, spec.mode)
        return assembler.scatter(block, x, updates, indices, target, which, self.combine, run)


class LinearScatter(Scatter):
    """A scatter that is linear in x and updates together."""

    def jvp(self, primals: Any, tangents: Any, *, spec: Indexing) -> tuple[Any, Any]:
        x, updates, *indices = primals
        dx, du = instantiate(tangents[0], typeof(x)), instantiate(tangents[1], typeof(updates))
        return [self(x, updates, *indices, spec=spec)], [self(dx, du, *indices, spec=spec)]


class ScatterSet(LinearScatter):
    """Overwrites elements; of several updates to one element the last in row-major order stays."""

    def transpose(self, cotangents: Any, x: Any, updates: Any, *indices: Any, spec: Indexing) -> list[Any]:
        (ct,) = cotangents
        by_x = by_updates = None
        if is_hole(updates):  # before by_x, which may overwrite what is read here
            by_updates = gather(ct, *indices, spec=spec)
            if not spec.unique:
                last = _is_last(typeof(ct).shape, indices, spec)
                after = len(updates.aval.shape) - spec.position - len(typeof(last).shape)
                last = reshape(last, shape=typeof(last).shape + (1,) * after)
                by_updates = select(last, by_updates, typeof(ct).dtype.type(0))
        if is_hole(x):
            by_x = self(ct, zeros(typeof(updates) if not is_hole(updates) else updates.aval), *indices, spec=spec)
        return [by_x, by_updates, *(None for _ in indices)]


class ScatterAdd(LinearScatter):
    """Adds updates to elements."""

    def transpose(self, cotangents: Any, x: Any, updates: Any, *indices: Any, spec: Indexing) -> list[Any]:
        (ct,) = cotangents
        by_updates = gather(ct, *indices, spec=spec) if is_hole(updates) else None
        return [ct if is_hole(x) else None, by_updates, *(None for _ in indices)]


class ScatterMultiply(Scatter):
    """Multiplies elements by updates; linear in x."""

    def jvp(self, primals: Any, tangents: Any, *, spec: Indexing) -> tuple[Any, Any]:
        x, updates, *indices = primals
        dx, du = tangents[:2]
        y = self(x, updates, *indices, spec=spec)
        by_x = ZERO if dx is ZERO else self(dx, updates, *indices, spec=spec)
        if du is ZERO:
            return [y], [by_x]
        others = gather(x, *indices, spec=spec)
        if not spec.unique:
            others = multiply(others, _product_of_others(typeof(x).shape, updates, indices, spec))
        by_updates = scatter_add(zeros(typeof(x)), scale(du, others), *indices, spec=spec)
        return [y], [add_tangents(by_x, by_updates)]

    def transpose(self, cotangents: Any, x: Any, updates: Any, *indices: Any, spec: Indexing) -> list[Any]:
        if is_hole(updates):
            raise TransposeError(
                "`scatter_multiply` is not linear in its updates.",
                "Several updates may meet in one element.",
                "Use vjp for a function that is not linear.",
            )
        return [self(cotangents[0], updates, *indices, spec=spec), *(None for _ in (updates, *indices))]


class ScatterExtreme(Scatter):
    """Replaces elements by the least or greatest of themselves and their updates; ties share the derivative."""

    def jvp(self, primals: Any, tangents: Any, *, spec: Indexing) -> tuple[Any, Any]:
        x, updates, *indices = primals
        y = self(x, updates, *indices, spec=spec)
        dtype = typeof(x).dtype
        one, zero = dtype.type(1), dtype.type(0)
        x_wins, update_wins = equal(x, y), equal(updates, gather(y, *indices, spec=spec))
        ties = scatter_add(select(x_wins, one, zero), select(update_wins, one, zero), *indices, spec=spec)
        share = select(equal(ties, zero), zero, 1 / ties)  # no winner: the result is NaN
        dx = select(x_wins, instantiate(tangents[0], typeof(x)), zero)
        du = select(update_wins, instantiate(tangents[1], typeof(updates)), zero)
        return [y], [scale(scatter_add(dx, du, *indices, spec=spec), share)]


class ElementNumber(Primitive):
    """`element_number(index, of=, axis=, mode=)`: which elements integers name along an axis of an array; -1 for none.

    Simplified programs compare them with positions where that is better than a scatter (simplify/one_hot.py).

    Args:
        of: the shape of the array, which is not empty.
        mode: as in an Indexing.
    """

    may_refuse = True

    def abstract_eval(self, index: ShapedArray, *, of: Shape, axis: int, mode: str) -> list[ShapedArray]:
        return [ShapedArray(index.shape, INT)]

    def impl(self, index: Any, *, of: Shape, axis: int, mode: str) -> list[Any]:
        extent, index = of[axis], signed(index)
        outside = is_outside(index, extent)
        if mode == "raise" and np.any(outside):
            raise out_of_bounds(of, [index], Indexing((axis,)), IndexError())
        if mode == "clip":
            return [np.clip(index, 0, extent - 1)]
        if mode == "wrap":
            return [np.remainder(index, extent)]
        return [np.where(outside, -1, np.where(index < 0, index + extent, index))[()]]

    def batch(self, size: int, values: Any, mapped: Any, **params: Any) -> tuple[Any, Any]:
        return [self(values[0], **params)], [True]

    def lower(self, result: Any, index: Any, *, of: Shape, axis: int, mode: str) -> Any:
        return lambda point: result.element_number(index.at(point), of[axis], mode)

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        return params["of"][params["axis"]], params["mode"]

    def checked_operands(self, avals: Sequence[Any], *, of: Shape, axis: int, mode: str) -> Sequence[tuple[int, int]]:
        return [(0, of[axis])] if mode == "raise" else ()


gather = Gather("gather")
scatter_set = ScatterSet("scatter_set")
scatter_add = ScatterAdd("scatter_add", np.add)
scatter_multiply = ScatterMultiply("scatter_multiply", np.multiply)
scatter_min = ScatterExtreme("scatter_min", np.minimum)
scatter_max = ScatterExtreme("scatter_max", np.maximum)
element_number = ElementNumber("element_number")


# ---- parts of the rules


def move_axis(x: Any, source: int, target: int) -> Any:
    """One axis moved, the others in order."""
    if source == target:
        return x
    return transpose(x, permutation=block_order(typeof(x).ndim, source, target, 1))


def _lane_indices(size: int, indices: Sequence[Any], mapped: Sequence[bool]) -> list[Any]:
    """Index arrays with leading lanes, and before them the numbers of the lanes themselves."""
    aligned = align_ranks(indices, mapped)
    ndim = max(typeof(i).ndim for i in aligned)
    return [reshape(_numbers(size), shape=(size,) + (1,) * (ndim - 1)), *aligned]


def _numbers(count: int) -> Any:
    return iota(shape=(count,), axis=0, dtype=INT)


def _is_last(x: Shape, indices: Sequence[Any], spec: Indexing) -> Any:
    """For each position of the index arrays, whether no later position names the same element of x."""
    shape = broadcast_shapes(*(typeof(i).shape for i in indices))
    order = reshape(_numbers(ShapedArray(shape, INT).size), shape=shape)
    inner = spec._replace(axes=tuple(range(len(indices))), position=0)
    slots = full(value=-1, shape=tuple(x[axis] for axis in spec.axes), dtype=INT)
    return equal(gather(scatter_set(slots, order, *indices, spec=inner), *indices, spec=inner), order)


def _product_of_others(x: Shape, updates: Any, indices: Sequence[Any], spec: Indexing) -> Any:
    """For each update, the product of all others to the same element of x.

    Without division, so that zeros are no exception in any order of derivative: the updates are sorted by element,
    and products of runs before and after each one are built by doubling (Hillis and Steele 1986).
    """
    index_shape = broadcast_shapes(*(typeof(i).shape for i in indices))
    width, count = len(index_shape), ShapedArray(index_shape, INT).size
    extents = tuple(x[axis] for axis in spec.axes)
    slots = reshape(_numbers(ShapedArray(extents, INT).size), shape=extents)
    inner = spec._replace(axes=tuple(range(len(indices))), position=0)
    slot = reshape(gather(slots, *indices, spec=inner, fill=-1), shape=(count,))

    ndim = typeof(updates).ndim
    leading = transpose(updates, permutation=block_order(ndim, spec.position, 0, width))
    rest = typeof(leading).shape[width:]
    order = argsort(slot)
    row = Indexing((0,), unique=True)
    slot, rows = gather(slot, order, spec=row), gather(reshape(leading, shape=(count, *rest)), order, spec=row)
    product = multiply(_run_products(rows, slot, 1), _run_products(rows, slot, -1))
    product = scatter_set(zeros(typeof(product)), product, order, spec=row)
    product = reshape(product, shape=index_shape + rest)
    return transpose(product, permutation=block_order(ndim, 0, spec.position, width))


def _run_products(rows: Any, slot: Any, direction: int) -> Any:
    """For each row the product of the rows before it (direction 1) or after it (-1) that have the same slot."""
    aval = typeof(rows)
    one = aval.dtype.type(1)

    def shifted(values: Any, by: int) -> Any:
        source = subtract(_numbers(aval.shape[0]), direction * by)
        inside = logical_and(greater_equal(source, 0), less(source, aval.shape[0]))
        row = Indexing((0,), mode="clip")
        same = logical_and(equal(gather(slot, source, spec=row), slot), inside)
        same = reshape(same, shape=(aval.shape[0],) + (1,) * (aval.ndim - 1))
        return select(same, gather(values, source, spec=row), one)

    products = shifted(rows, 1)
    reach = 1
    while reach < aval.shape[0]:
        products = multiply(products, shifted(products, reach))
        reach *= 2
    return products


def _filled_gather(x: Any, indices: Sequence[Any], spec: Indexing, fill: Any) -> Any:
    fill = x.dtype.type(fill)
    indices = as_arrays(x, indices)
    outside = reduce(np.logical_or, map(is_outside, indices, (x.shape[a] for a in spec.axes)))
    if not all(x.shape[axis] for axis in spec.axes):
        return np.full_like(x, fill, shape=spec.result_shape(x.shape, outside.shape))
    safe = [np.where(outside, 0, i) for i in indices]
    (y,) = gather.impl(x, *safe, spec=spec._replace(mode="raise"))
    after = np.ndim(y) - spec.position - outside.ndim
    return np.where(outside.reshape(outside.shape + (1,) * after), fill, y)[()]
