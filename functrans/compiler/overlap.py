"""Whether places in memory have elements in common."""

from __future__ import annotations

from collections.abc import Sequence

from .loopnest import Load, index_strides, point
from .places import Place

#: After so many attempts to find a common element, places count as overlapping.
MOST_ATTEMPTS = 2000


def accessed(load: Load, place: Place, shape: Sequence[int]) -> Place:
    """The elements of a place that a load reads over a space; all of them where some index is computed."""
    index, strides = load.index, place.strides
    for i in index:
        if i.terms:
            return place
    if place.shape == shape and index == point(len(shape)):
        return place
    offset = place.offset + sum([i.offset * stride for i, stride in zip(index, strides)])
    ways = tuple(index_strides(index, strides, len(shape)))
    return tuple.__new__(Place, (place.slot, offset, tuple(shape), place.dtype, ways))


def are_same(x: Place, y: Place) -> bool:
    """Whether two places are the same elements in the same order, but for axes of extent one."""
    return (x.slot, x.offset, x.dtype, _moves(x)) == (y.slot, y.offset, y.dtype, _moves(y))


def _moves(place: Place) -> list[tuple[int, int]]:
    return [(extent, stride) for extent, stride in zip(place.shape, place.strides) if extent != 1]


def do_overlap(x: Place, y: Place) -> bool:
    """Whether two places have memory in common: no only where that is certain."""
    if x.slot != y.slot or 0 in x.shape or 0 in y.shape:
        return False
    ranges: dict[int, tuple[int, int]] = {}
    for place, sign in ((x, 1), (y, -1)):
        for extent, stride in _moves(place):
            far = sign * (extent - 1) * (1 if stride > 0 else -1)
            low, high = ranges.get(abs(stride), (0, 0))
            ranges[abs(stride)] = (low + min(far, 0), high + max(far, 0))
    ranges.pop(0, None)
    distance = y.offset - x.offset
    # The elements share a byte if the sum of moves lies in this range.
    return _is_possible(ranges, distance - x.dtype.itemsize + 1, distance + y.dtype.itemsize - 1)


def _is_possible(ranges: dict[int, tuple[int, int]], first: int, last: int) -> bool:
    """Whether a sum of strides, each times a number from its range, is in [first, last]: no only where that is certain.

    From the largest stride to the smallest, only few numbers leave what the others can cover.
    """
    strides = sorted(ranges, reverse=True)
    spans = [(0, 0)]  # of what the smaller strides cover
    for stride in reversed(strides):
        low, high = ranges[stride]
        spans.insert(0, (spans[0][0] + low * stride, spans[0][1] + high * stride))
    attempts = [(0, first, last)]
    for _ in range(MOST_ATTEMPTS):
        if not attempts:
            return False
        number, first, last = attempts.pop()
        if number == len(strides):
            if first <= 0 <= last:
                return True
            continue
        stride, (low, high), (near, far) = strides[number], ranges[strides[number]], spans[number + 1]
        begin, end = max(low, -((far - first) // stride)), min(high, (last - near) // stride)
        if end - begin >= MOST_ATTEMPTS:
            return True
        attempts += [(number + 1, first - k * stride, last - k * stride) for k in range(begin, end + 1)]
    return True


def with_units(place: Place, shape: Sequence[int]) -> Place | None:
    """The same elements under a shape that differs in axes of extent one only; None if this one differs otherwise."""
    rest = _moves(place)
    if [n for n in shape if n != 1] != [extent for extent, _ in rest]:
        return None
    strides: list[int] = []
    step = place.dtype.itemsize
    for extent in reversed(shape):
        strides.insert(0, step if extent == 1 else rest.pop()[1])
        step = strides[0] * extent
    return place._replace(shape=tuple(shape), strides=tuple(strides))

