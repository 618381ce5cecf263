"""Sorting and Fourier transforms, by functions of NumPy."""

from __future__ import annotations

from ..lowlevel.language import Words, byte, exported, float32, float64, int32, is_below, null, pure, room, set_int32

#: What elements are, for those who compare them; else NumPy has a function that keeps equal ones in order.
INT64, INT32, UINT64, UINT32, FLOAT64, FLOAT32, BOOL = 1, 2, 3, 4, 5, 6, 7
#: Elements that are compared before anybody asks where among them those are that are sought.
BLOCK = 32
#: Eight elements that are true.
ALL_TRUE = 0x0101010101010101


@exported
def run_sort(a: Words, slots: Words, begin: int, end: int) -> int:
    """Some of the rows of an array, for `run_kernel` and `run_parallel`.

    The arguments: the function; slot and offset of the rows; bytes of a row; elements of a row; slot and offset of
    indices, or slot 0 to sort in place; what follows is for indices (`find_order`): what the elements are, if the
    function does not keep equal ones in order, and the functions that sort indices and elements; the part of the order
    that is wanted, from its first place to its last one; how many samples are taken to find it (0: all is sorted), and
    between which of them, once they are sorted, the part is likely to lie: -1 and their number are beyond them all.
    """
    function, slot, offset, size, count, order_slot, order_offset = a[0:]
    for i in range(begin, end):
        values = slots[slot] + offset + i * size
        if order_slot == 0:
            function(values, count, null)
        else:
            find_order(a, values, slots[order_slot] + order_offset + 8 * i * count)
    return 0


def find_order(a: Words, values: Words, order: Words) -> None:
    """The indices that put a row into order: the wanted part of them, at the beginning of `order`."""
    count, kind, first, last, samples = a[4], a[7], a[10], a[11], a[12]
    if samples != 0 and select(a, values, order):
        return
    if kind == BOOL:
        order_flags(values, order, count, last)
    else:
        order_all(a, values, order, count)
    if first != 0:
        for k in range(first, last):
            order[k - first] = order[k]


def order_all(a: Words, values: Words, order: Words, count: int) -> None:
    """The indices that sort elements."""
    function, kind, sort = a[0], a[7], a[8]
    for k in range(count):
        order[k] = k
    if kind == 0 or not is_sorted(values, count, kind):
        function(values, order, count, null)
        if kind != 0:
            keep_order(values, order, count, kind, sort)


def order_flags(x: Words, order: Words, count: int, last: int) -> None:
    """The indices of what is false, and then of what is true, as far as `last`."""
    falses = 0
    for k in range(count):
        falses += 1 - byte(x + k)
    if last <= falses:
        find_falses(x, order, last)
        return
    first = 0
    for k in range(count):
        flag = byte(x + k)
        order[falses if flag != 0 else first] = k
        falses += flag
        first += 1 - flag


def find_falses(x: Words, order: Words, wanted: int) -> None:
    """The indices of the first elements that are false: there are so many."""
    k, found = 0, 0
    while found < wanted:
        if (x + k) & 7 == 0 and wanted - found > 8 and (x + k)[0] == ALL_TRUE:
            k += 8
        else:
            order[found] = k
            found += 1 - byte(x + k)
            k += 1


def select(a: Words, values: Words, order: Words) -> bool:
    """The wanted part of the indices that put a row into order; False if that cannot be told without sorting it.

    Samples say between which two elements the part is likely to lie (Floyd and Rivest, "Expected time bounds for
    selection", 1975): only what is there is sorted, and counted is what is before it. The row of `order` is divided in
    four: one has the result, the others are room for what is there, its indices, and the order of both.
    """
    count, kind, first, last, samples, low, high = a[4], a[7], a[10], a[11], a[12], a[13], a[14]
    function = a[9]
    width, quarter = width_of(kind), count // 4
    found, places, chosen = order + 8 * quarter, order + 16 * quarter, order + 24 * quarter
    step = count // samples
    for k in range(samples):
        copy_element(chosen, k, values, k * step, width)
    function(chosen, samples, null)
    bounds = room(3)
    if low >= 0:
        copy_element(bounds, 0, chosen, low, width)
    if high < samples:
        copy_element(bounds + 8, 0, chosen, high, width)
    inside = collect(values, count, bounds, low >= 0, high < samples, found, quarter - 1, kind)
    begin, end = first - bounds[2], last - bounds[2]
    if begin < 0 or end > inside:
        return False
    for k in range(inside):
        copy_element(chosen, k, values, found[k], width)
    order_all(a, chosen, places, inside)
    for k in range(begin, end):
        order[k - begin] = found[places[k]]
    return True


def collect(
    x: Words, count: int, bounds: Words, has_low: bool, has_high: bool, found: Words, most: int, kind: int
) -> int:
    """The indices of elements between two bounds, and, as the third of `bounds`, how many are below the lower one.

    Returns: how many there are; -1 if it is more than `most`.
    """
    width = width_of(kind)
    below, inside, k = 0, 0, 0
    while k < count:
        stop = min(k + BLOCK, count)
        under, over = 0, 0
        for j in range(k, stop):
            if has_low and is_after(bounds, x + width * j, kind):
                under += 1
            elif has_high and is_after(x + width * j, bounds + 8, kind):
                over += 1
        below += under
        more = stop - k - under - over
        if inside + more > most:
            return -1
        if more != 0:
            for j in range(k, stop):
                found[inside] = j
                is_below_all = has_low and is_after(bounds, x + width * j, kind)
                if not (is_below_all or (has_high and is_after(x + width * j, bounds + 8, kind))):
                    inside += 1
        k = stop
    bounds[2] = below
    return inside


def copy_element(target: Words, i: int, source: Words, j: int, width: int) -> None:
    """Copy the element at j to i."""
    if width == 4:
        set_int32(target + 4 * i, int32(source + 4 * j))
    else:
        target[i] = source[j]


def is_sorted(x: Words, count: int, kind: int) -> bool:
    """Whether elements are in order already."""
    width = width_of(kind)
    for k in range(1, count):
        if is_after(x + width * (k - 1), x + width * k, kind):
            return False
    return True


def keep_order(x: Words, order: Words, count: int, kind: int, sort: Words) -> None:
    """Put the indices of equal elements into order, where `order` sorts the elements."""
    width, begin = width_of(kind), 0
    for k in range(1, count + 1):
        if k == count or is_after(x + width * order[k], x + width * order[k - 1], kind):
            if k - begin > 1:
                sort(order + 8 * begin, k - begin, null)
            begin = k


@pure
def width_of(kind: int) -> int:
    """The bytes of an element."""
    return 4 if kind in (INT32, UINT32, FLOAT32) else 8


def is_after(x: Words, y: Words, kind: int) -> bool:
    """Whether one element comes after another one; NaN comes after all numbers."""
    if kind == FLOAT64:
        a, b = float64(x), float64(y)
        return (a > b) | ((a != a) & (b == b))
    if kind == FLOAT32:
        c, d = float32(x), float32(y)
        return (c > d) | ((c != c) & (d == d))
    if kind == INT32:
        return int32(x) > int32(y)
    if kind == UINT32:
        return is_below(int32(y), int32(x))
    return is_below(y[0], x[0]) if kind == UINT64 else x[0] > y[0]


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
