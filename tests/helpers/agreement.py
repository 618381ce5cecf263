"""Whether a NumPy function means the same when traced: values, dtypes, lanes, and derivatives of two orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import functrans as ft
from functrans.core.avals import ZERO
from functrans.tree import leaves
from tests.helpers.oracles import (
    assert_all_close,
    assert_close,
    difference_quotient,
    direction,
    is_differentiable,
    lane_loop,
    pairing,
    pushed,
    stacked_operands,
)

LANES = 2


def check_agreement(
    function: Callable[..., Any], *args: Any, smooth: bool = True, tolerance: float | None = None, lanes: bool = True
) -> None:
    """The function under jit, grad and vmap against itself on plain arrays.

    Args:
        smooth: whether derivatives exist around the arguments.
        tolerance: relative error of values that is allowed for, by default that of a few operations.
    """

    def flat(*xs: Any) -> list[Any]:
        return list(leaves(function(*xs)))

    with np.errstate(all="ignore"):
        check_values(flat, args, tolerance)
        if lanes:
            check_lanes(flat, args, tolerance)
        if smooth and any(x.dtype in (np.float64, np.complex128) for x in map(np.asarray, args)):
            check_derivatives(flat, args)


def check_values(flat: Callable[..., list[Any]], args: Sequence[Any], tolerance: float | None) -> None:
    """Values and types under jit, and of the primals under jvp."""
    wanted = [np.asarray(y) for y in flat(*args)]
    assert_all_close(ft.jit(flat)(*args), wanted, tolerance)
    if any(map(is_differentiable, args)):
        primals, _ = ft.jvp(flat, tuple(args), tuple(_tangent(x, i) for i, x in enumerate(args)))
        assert_all_close(primals, wanted, tolerance)


def check_lanes(flat: Callable[..., list[Any]], args: Sequence[Any], tolerance: float | None) -> None:
    """vmap over all arguments against a loop."""
    mapped = tuple(range(len(args)))
    values = stacked_operands(args, mapped, LANES)
    assert_all_close(ft.vmap(flat)(*values), lane_loop(flat, values, mapped, LANES), tolerance)


def check_derivatives(flat: Callable[..., list[Any]], args: Sequence[Any]) -> None:
    """jvp, and jvp of jvp, against differences; vjp against jvp."""
    places = [i for i, x in enumerate(args) if is_differentiable(x)]

    def of_active(*xs: Any) -> list[Any]:
        everything = list(args)
        for i, x in zip(places, xs):
            everything[i] = x
        return [y for y in flat(*everything) if is_differentiable(y)]

    point = [args[i] for i in places]
    tangents = [direction(x, 1 + i) for i, x in enumerate(point)]
    found = pushed(of_active, point, tangents)
    for dy, wanted in zip(found, difference_quotient(of_active, point, tangents), strict=True):
        assert_close(dy, wanted, 1e-6, "tangent")
    cotangents = [direction(y, 11 + i) for i, y in enumerate(found)]
    _, pull_back = ft.vjp(of_active, *point)
    forward, backward = pairing(cotangents, found), pairing(pull_back(cotangents), tangents)
    assert abs(forward - backward) <= 1e-9 * max(1.0, abs(forward)), f"{forward} forwards, {backward} backwards"
    second = [direction(x, 21 + i) for i, x in enumerate(point)]

    def slope(*xs: Any) -> list[Any]:
        return pushed(of_active, xs, tangents)

    for dy, wanted in zip(pushed(slope, point, second), difference_quotient(slope, point, second), strict=True):
        assert_close(dy, wanted, 1e-5, "second tangent")


def _tangent(x: Any, seed: int) -> Any:
    t = direction(x, seed)
    return np.zeros(np.shape(x), ft.float0) if t is ZERO else t
