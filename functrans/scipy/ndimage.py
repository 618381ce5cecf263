"""Values of arrays between their elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..core.avals import is_inexact
from ..core.trace import typeof
from ..errors import ShapeMismatchError, UnsupportedArgumentError
from ..numpy.common import as_operand
from ..numpy.indexing import take


def map_coordinates(input: Any, coordinates: Sequence[Any], order: int, mode: str = "constant", cval: Any = 0.0) -> Any:
    """The values of an array at coordinates, by the nearest element (order 0) or linearly between elements (1).

    It differentiates in the array and, for order 1, in the coordinates.

    Args:
        coordinates: one array for each axis, which broadcast.
        mode: what is beyond the ends: "constant" (cval), "nearest" (the last element), "wrap" (the array again),
            "mirror" (backwards, without the last element) or "reflect" (backwards, with it).

    Raises:
        ShapeMismatchError: there is not one array of coordinates for each axis. UnsupportedArgumentError: another
            order or mode.

    Example:
        >>> import numpy as np
        >>> from functrans.scipy import ndimage
        >>> ndimage.map_coordinates(np.array([[0.0, 1.0], [2.0, 3.0]]), [[0.5, 1.0], [0.5, 0.0]], order=1)
        array([1.5, 2. ])
    """
    x, points = as_operand(input), [as_operand(c) for c in coordinates]
    if len(points) != typeof(x).ndim:
        raise ShapeMismatchError(
            f"map_coordinates was given {len(points)} arrays of coordinates for an array of type {typeof(x)}.",
            "There is one for each axis.",
            "Unpack an array of points along its first axis.",
        )
    if order not in (0, 1) or mode not in _PLACES:
        raise UnsupportedArgumentError(
            f"map_coordinates was called with order={order!r} and mode={mode!r}.",
            f"The orders are 0 and 1, the modes {', '.join(_PLACES)}.",
            "Choose of these.",
        )
    ends = [_neighbours(c, order) for c in points]
    total: Any = 0.0
    for corner in product(*ends):
        places = [place.astype(int) for place, _ in corner]
        weight: Any = 1.0
        for _, share in corner:
            weight = share * weight
        total = total + weight * _values(x, places, mode, cval)
    return total if is_inexact(typeof(x).dtype) else np.rint(total).astype(typeof(x).dtype)


def _neighbours(c: Any, order: int) -> list[tuple[Any, Any]]:
    """The places beside each coordinate, and what each of them counts."""
    if order == 0:
        return [(np.floor(np.add(c, 0.5)), 1.0)]
    below = np.floor(c)
    return [(below, 1.0 - (c - below)), (below + 1, c - below)]


def _values(x: Any, places: Sequence[Any], mode: str, cval: Any) -> Any:
    """Elements at whole places, which may lie beyond the ends."""
    shape = typeof(x).shape
    inside: Any = True
    flat: Any = 0
    for place, extent in zip(places, shape, strict=True):
        inside = inside & (place >= 0) & (place < extent)
        flat = flat * extent + _PLACES[mode](place, extent)
    values = take(np.ravel(x), flat)
    return np.where(inside, values, cval) if mode == "constant" else values


def _mirrored(place: Any, extent: int) -> Any:
    period = max(2 * (extent - 1), 1)
    return np.abs((place + extent - 1) % period - (extent - 1))


def _reflected(place: Any, extent: int) -> Any:
    turned = place % (2 * extent)
    return np.minimum(turned, 2 * extent - 1 - turned)


_PLACES: dict[str, Callable[[Any, int], Any]] = {
    "constant": lambda place, extent: np.clip(place, 0, extent - 1),
    "nearest": lambda place, extent: np.clip(place, 0, extent - 1),
    "wrap": lambda place, extent: place % extent,
    "mirror": _mirrored,
    "reflect": _reflected,
}
