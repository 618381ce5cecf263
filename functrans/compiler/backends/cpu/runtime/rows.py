"""Sorting and Fourier transforms, by functions of NumPy."""

from __future__ import annotations

from ..lowlevel.language import Words, exported, float32, float64, int32, is_below, null, room

#: What elements are, for those who compare them; else NumPy has a function that keeps equal ones in order.
INT64, INT32, UINT64, UINT32, FLOAT64, FLOAT32 = 1, 2, 3, 4, 5, 6


@exported
def run_sort(a: Words, slots: Words, begin: int, end: int) -> int:
    """Some of the rows of an array, for `run_kernel` and `run_parallel`.

    The arguments: the function; slot and offset of the rows; bytes of a row; elements of a row; slot and offset of
    indices, or slot 0 to sort in place; what the elements are, if the function does not keep equal ones in order, and
    the function that sorts indices.
    """
    function, slot, offset, size, count, order_slot, order_offset, kind, sort = a[0:]
    for i in range(begin, end):
        values = slots[slot] + offset + i * size
        if order_slot == 0:
            function(values, count, null)
        else:
            order = slots[order_slot] + order_offset + 8 * i * count
            for k in range(count):
                order[k] = k
            if kind == 0 or not is_sorted(values, count, kind):
                function(values, order, count, null)
                if kind != 0:
                    keep_order(values, order, count, kind, sort)
    return 0


def is_sorted(x: Words, count: int, kind: int) -> bool:
    """Whether elements are in order already."""
    for k in range(1, count):
        if is_after(x, k - 1, k, kind):
            return False
    return True


def keep_order(x: Words, order: Words, count: int, kind: int, sort: Words) -> None:
    """Put the indices of equal elements into order, where `order` sorts the elements."""
    begin = 0
    for k in range(1, count + 1):
        if k == count or is_after(x, order[k], order[k - 1], kind):
            if k - begin > 1:
                sort(order + 8 * begin, k - begin, null)
            begin = k


def is_after(x: Words, i: int, j: int, kind: int) -> bool:
    """Whether one element comes after another one; NaN comes after all numbers."""
    if kind == FLOAT64:
        a, b = float64(x[i:]), float64(x[j:])
        return a > b or (a != a and b == b)
    if kind == FLOAT32:
        c, d = float32(x + 4 * i), float32(x + 4 * j)
        return c > d or (c != c and d == d)
    if kind == INT32:
        return int32(x + 4 * i) > int32(x + 4 * j)
    if kind == UINT32:
        return is_below(int32(x + 4 * j), int32(x + 4 * i))
    return is_below(x[j], x[i]) if kind == UINT64 else x[i] > x[j]


@exported
def run_fourier(a: Words, slots: Words, begin: int, end: int) -> int:
    """Some of the lanes of a transform, for `run_kernel` and `run_parallel`.

    The arguments: the loop of the ufunc and its data; the address of the factor; how many outer and inner lanes there
    are, and whether a part is one of the outer ones; slot, offset and three strides of the points, the last one of
    which is along the transform; the same of the results; how many points and results there are along the transform.
    """
    function, data, factor, outer, inner, by_outer = a[0:]
    x_slot, x_offset, x_outer, x_inner, x_step = a[6:]
    y_slot, y_offset, y_outer, y_inner, y_step = a[11:]
    first, last, low, high = 0, outer, begin, end
    if by_outer != 0:
        first, last, low, high = begin, end, 0, inner
    extents, steps, arrays = room(3), room(5), room(3)
    extents[0], extents[1], extents[2] = high - low, a[16], a[17]
    steps[0], steps[1], steps[2], steps[3], steps[4] = x_inner, 0, y_inner, x_step, y_step
    x, y = slots[x_slot] + x_offset + low * x_inner, slots[y_slot] + y_offset + low * y_inner
    arrays[1] = factor
    for i in range(first, last):
        arrays[0], arrays[2] = x + i * x_outer, y + i * y_outer
        function(arrays, extents, steps, data)
    return 0
