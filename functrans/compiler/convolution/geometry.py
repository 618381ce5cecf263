"""Which elements a convolution multiplies, as places in memory: windows are views that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod
from typing import NamedTuple

from ..places import Axes, Place, contiguous_strides

Shape = tuple[int, ...]


class Steps(NamedTuple):
    """How a convolution moves along each axis of space."""

    strides: Shape
    padding: tuple[tuple[int, int], ...]
    x_dilation: Shape
    w_dilation: Shape


class Phase(NamedTuple):
    """Every so-manieth result along an axis: a convolution of its own, of an operand without gaps.

    Attributes:
        first, step: the results are those numbered first, first + step, and so on.
        tap, tap_step: so are the elements of the window that meet elements of the operand and not the gaps.
        positions, window: how many of both there are.
        start: the element that the first tap of the first result meets, negative if it lies in the padding.
        stride, dilation: the distance of elements that neighbouring results, and neighbouring taps, meet.
    """

    first: int
    step: int
    positions: int
    tap: int
    tap_step: int
    window: int
    start: int
    stride: int
    dilation: int

    @property
    def end(self) -> int:
        """One after the last element that is met."""
        return self.start + (self.positions - 1) * self.stride + (self.window - 1) * self.dilation + 1


def phases(window: int, positions: int, steps: Steps, axis: int) -> list[Phase]:
    """The phases of a convolution along one axis, as many as dilation of the operand makes.

    Result i and tap k meet element (stride i + w_dilation k - low) / x_dilation, if that is an integer. Among results
    that lie x_dilation / gcd(stride, x_dilation) apart, that holds for the same taps.
    """
    stride, (low, _), gaps, dilation = (group[axis] for group in steps)
    by_stride, by_tap = gcd(stride, gaps), gcd(dilation, gaps)
    step, tap_step = gaps // by_stride, gaps // by_tap
    found: list[Phase] = []
    for first in range(min(step, positions)):
        met = [tap for tap in range(tap_step) if (stride * first + dilation * tap - low) % gaps == 0]
        tap = met[0] if met else window
        start = (stride * first + dilation * tap - low) // gaps
        results, taps = len(range(first, positions, step)), len(range(tap, window, tap_step))
        found.append(Phase(first, step, results, tap, tap_step, taps, start, stride // by_stride, dilation // by_tap))
    return found


class Parts(NamedTuple):
    """A convolution without gaps and padding, as places.

    Attributes:
        image: (batch, groups, channels, *space).
        w: (groups, features, channels, *window).
        z: (batch, groups, features, *positions).
        strides, dilation: steps along the image from position to position, and from tap to tap.
    """

    image: Place
    w: Place
    z: Place
    strides: Shape
    dilation: Shape

    @property
    def window(self) -> Shape:
        return self.w.shape[3:]

    @property
    def positions(self) -> Shape:
        return self.z.shape[3:]

    @property
    def windows(self) -> Place:
        """What each position and tap meets: (batch, groups, channels, *window, *positions)."""
        lead, own = self.image.strides[:3], self.image.strides[3:]
        by_tap = (step * s for step, s in zip(self.dilation, own))
        by_position = (step * s for step, s in zip(self.strides, own))
        shape = (*self.image.shape[:3], *self.window, *self.positions)
        return self.image._replace(shape=shape, strides=(*lead, *by_tap, *by_position))

    @property
    def has_long_window(self) -> bool:
        """Whether there are more taps than positions, as when the derivative by the weights is taken."""
        return prod(self.window) > prod(self.positions)

    @property
    def work(self) -> int:
        """How many products are summed up."""
        return prod(self.z.shape) * prod(self.w.shape[2:])


def split(place: Place, axis: int, inner: int) -> Place:
    """An axis as two, of which the second one has this extent."""
    shape, strides = list(place.shape), list(place.strides)
    shape[axis : axis + 1] = shape[axis] // inner, inner
    strides[axis : axis + 1] = strides[axis] * inner, strides[axis]
    return place._replace(shape=tuple(shape), strides=tuple(strides))


def part(place: Place, axis: int, start: int, stop: int, step: int = 1) -> Place:
    """Some of an array along an axis."""
    starts = [start if a == axis else 0 for a in range(len(place.shape))]
    limits = [stop if a == axis else extent for a, extent in enumerate(place.shape)]
    return place.sliced(starts, limits, [step if a == axis else 1 for a in range(len(place.shape))])


def ordered(place: Place, axes: Axes) -> Place:
    """The axes in another order."""
    return place.transposed(axes)


def repeated(place: Place, axis: int, extents: Sequence[int]) -> Place:
    """The same again along new axes before one."""
    shape, strides = place.shape, place.strides
    return place._replace(
        shape=(*shape[:axis], *extents, *shape[axis:]), strides=(*strides[:axis], *[0] * len(extents), *strides[axis:])
    )


def pieces(extent: int, size: int) -> list[tuple[int, int, int]]:
    """A range in whole blocks of some size and a rest: (start, stop, size of blocks)."""
    whole = extent - extent % size
    return [(a, b, n) for a, b, n in ((0, whole, size), (whole, extent, extent - whole)) if a < b]


def blocks(extents: Sequence[int], room: float) -> tuple[int, int]:
    """How to divide points into blocks of neighbours: the axis that is divided, and into parts of what extent.

    The axes after that are in a block as a whole.
    """
    inner = 1
    for axis in reversed(range(len(extents))):
        if inner * extents[axis] > room or axis == 0:
            size = int(max(1, min(extents[axis], room / inner)))
            count = -(-extents[axis] // size)
            return axis, -(-extents[axis] // count)
        inner *= extents[axis]
    return 0, 1


def compact(parts: Parts, whole: Sequence[int]) -> tuple[Place, tuple[Shape, Shape]]:
    """How to store windows so that the longer of taps and positions are neighbours in memory.

    Args:
        whole: the axes of space along which all taps and positions are stored, so that elements that several of
            them meet are there as often; along the others the image is stored as it is.

    Returns:
        The view of the image that is to be stored in row-major order, and the strides (of the window, of positions)
        of the copy, in elements.
    """
    rank, own = len(parts.window), parts.image.strides[3:]
    short, long = (parts.window, parts.dilation), (parts.positions, parts.strides)
    if parts.has_long_window:
        short, long = long, short
    (few, few_steps), (many, many_steps) = short, long
    shape = (
        *parts.image.shape[:3],
        *(few[i] for i in whole),
        *(many[i] if i in whole else parts.image.shape[3 + i] for i in range(rank)),
    )
    strides = (
        *parts.image.strides[:3],
        *(few_steps[i] * own[i] for i in whole),
        *((many_steps[i] if i in whole else 1) * own[i] for i in range(rank)),
    )
    stored = contiguous_strides(shape, 1)
    of_few = dict(zip(whole, stored[3:]))
    of_many = stored[len(shape) - rank :]
    found = (
        tuple(of_few[i] if i in whole else few_steps[i] * of_many[i] for i in range(rank)),
        tuple(of_many[i] if i in whole else many_steps[i] * of_many[i] for i in range(rank)),
    )
    return parts.image._replace(shape=shape, strides=strides), found[::-1] if parts.has_long_window else found
