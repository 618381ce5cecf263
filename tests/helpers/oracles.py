"""What rules and transformations are held against: difference quotients, the dot-product identity, Python loops."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import functrans as ft
from functrans.core.avals import ZERO
from functrans.core.trace import typeof
from functrans.transforms.forward import jvp_flat

Flat = Callable[..., Sequence[Any]]
#: Relative rounding errors that a few operations may leave, by the precision of the result.
ROUNDING = {2: 1e-2, 4: 1e-4, 8: 1e-10}
STEP = 2e-4


def is_differentiable(x: Any) -> bool:
    """Whether an operand has a tangent space."""
    return typeof(x).dtype.kind in "fc"


def precision(x: Any) -> int:
    """Bytes of one real number of a float or complex array: 2, 4 or 8."""
    dtype = np.asarray(x).dtype
    return dtype.itemsize // (2 if dtype.kind == "c" else 1)


def nonempty_subsets(items: Sequence[int], limit: int = 3) -> list[tuple[int, ...]]:
    """All nonempty subsets; of more than `limit` items the single ones, the complements of those, and all."""
    sizes = range(1, len(items) + 1) if len(items) <= limit else (1, len(items) - 1, len(items))
    return [subset for size in sizes for subset in itertools.combinations(items, size)]


def direction(x: Any, seed: int) -> Any:
    """A random tangent of an operand, at most about one large; ZERO where it has none."""
    if not is_differentiable(x):
        return ZERO
    aval = typeof(x)
    random = np.random.default_rng([seed, *aval.shape])
    t = random.uniform(-1, 1, aval.shape)
    if aval.dtype.kind == "c":
        t = t + 1j * random.uniform(-1, 1, aval.shape)
    if aval.weak:
        return complex(t) if aval.dtype.kind == "c" else float(t)
    return np.asarray(t).astype(aval.dtype)


def pushed(function: Flat, primals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """The tangents of the results of a flat function, arrays of zeros in place of ZERO."""
    results, out = jvp_flat(function, primals, tangents)
    return [np.zeros(np.shape(y), np.asarray(y).dtype) if t is ZERO else t for y, t in zip(results, out)]


def difference_quotient(function: Flat, primals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """The directional derivative by central differences of fourth order, in double precision."""

    def along(h: float) -> list[np.ndarray[Any, Any]]:
        moved = [x if t is ZERO else x + h * t for x, t in zip(primals, tangents)]
        return [_widened(y) for y in function(*moved)]

    near = zip(along(STEP), along(-STEP), along(2 * STEP), along(-2 * STEP))
    return [(8 * (a - b) - (c - d)) / (12 * STEP) for a, b, c, d in near]


def _widened(y: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(y)
    return array.astype(np.float64) if array.dtype.kind in "biu" else array


def pairing(cotangents: Sequence[Any], tangents: Sequence[Any]) -> float:
    """The product behind transposition: Re(sum(ct * t)), without conjugation."""
    total = 0.0
    for ct, t in zip(cotangents, tangents, strict=True):
        if ct is not ZERO and t is not ZERO and is_differentiable(t):
            total += float(np.real(np.sum(np.asarray(ct, dtype=complex) * t)))
    return total


def assert_same_type(found: Any, wanted: Any, what: str = "result") -> None:
    """Shape and dtype agree."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape, f"{what} has shape {found.shape}, not {wanted.shape}"
    assert found.dtype == wanted.dtype, f"{what} has dtype {found.dtype}, not {wanted.dtype}"


def assert_close(found: Any, wanted: Any, tolerance: float | None = None, what: str = "result") -> None:
    """Values agree, relative to the largest of them; NaN and infinities are the same ones."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape, f"{what} has shape {found.shape}, not {wanted.shape}"
    if wanted.dtype.kind in "biu" and tolerance is None:
        np.testing.assert_array_equal(found, wanted, err_msg=what)
        return
    if tolerance is None:
        tolerance = ROUNDING[min(precision(wanted), precision(found) if found.dtype.kind in "fc" else 8)]
    wide = complex if wanted.dtype.kind == "c" or found.dtype.kind == "c" else float
    found, wanted = found.astype(wide), wanted.astype(wide)
    finite = np.abs(wanted[np.isfinite(wanted)])
    largest = float(finite.max()) if finite.size else 0.0
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * max(largest, 1e-3), err_msg=what)


def assert_all_close(found: Sequence[Any], wanted: Sequence[Any], tolerance: float | None = None) -> None:
    """The same for lists of results, with their dtypes."""
    for i, (f, w) in enumerate(zip(found, wanted, strict=True)):
        assert_same_type(f, w, f"result {i}")
        assert_close(f, w, tolerance, f"result {i}")


def assert_trees_close(found: Any, wanted: Any) -> None:
    """The same structure, and the same numbers but for rounding; whatever there is of float0."""
    a, b = ft.tree.flatten(found), ft.tree.flatten(wanted)
    assert a[1] == b[1]
    for x, y in zip(a[0], b[0]):
        if getattr(y, "dtype", None) != ft.float0:
            np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-10)


def same_bits(a: Any, b: Any) -> bool:
    """Whether two results are indistinguishable: type, dtype, shape and every bit; of NaNs, that both are."""
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") and (
        a.dtype.kind not in "fc" or np.array_equal(np.signbit(a.real), np.signbit(b.real)) or bool(np.isnan(a).any())
    )


#: How far native code may be from NumPy, in units in the last place of the largest element of a result.
ULPS = 8


def same_but_for_rounding(a: Any, b: Any, least: float = 0.0) -> bool:
    """Whether native code gave what NumPy gives: the type, every bit of integers, and numbers but for a few ulps.

    Args:
        least: the size of what cancels, if that is larger than the results.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype or a.dtype.kind not in "fc":
        return same_bits(a, b)
    finite = np.isfinite(a) & np.isfinite(b)
    size = np.max(np.abs(b[finite]), initial=least)
    near = np.abs(a - b) <= ULPS * np.spacing(np.maximum(size, np.finfo(a.dtype).tiny).astype(a.real.dtype))
    return bool(np.all(np.where(finite, near, (a == b) | (np.isnan(a) & np.isnan(b)))))


def lanes(x: Any, count: int) -> list[Any]:
    """Different operands of one type, all as valid as x: floats scaled a little, others in another order."""
    array = np.asarray(x)
    if array.dtype.kind in "fc":
        return [(array * array.dtype.type(1 + k / 64))[()] for k in range(count)]
    return [np.roll(array, k, axis=0)[()] if array.ndim else array[()] for k in range(count)]


def lane_loop(function: Flat, values: Sequence[Any], mapped: Sequence[int], size: int) -> list[Any]:
    """What vmap should give: the function on each lane, results stacked."""
    by_lane = [function(*(v[k] if i in mapped else v for i, v in enumerate(values))) for k in range(size)]
    return [np.stack([np.asarray(y) for y in results]) for results in zip(*by_lane, strict=True)]


def stacked_operands(args: Sequence[Any], mapped: Sequence[int], size: int) -> list[Any]:
    """The operands with a leading axis of lanes on the mapped ones."""
    return [np.stack(lanes(x, size)) if i in mapped else x for i, x in enumerate(args)]


def each_tangent_subset(args: Sequence[Any], seed: int = 0) -> Iterator[list[Any]]:
    """Random tangents for every subset of the differentiable operands, ZERO for the others."""
    places = [i for i, x in enumerate(args) if is_differentiable(x)]
    for subset in nonempty_subsets(places):
        yield [direction(x, seed + i) if i in subset else ZERO for i, x in enumerate(args)]
