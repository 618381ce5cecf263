"""Whether the rules of a function agree with it, and with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tree
from ..core.avals import is_inexact
from ..core.trace import typeof
from ..errors import CustomRuleError
from .arguments import describe_leaf
from .grad import jvp, vjp
from .jet import jet
from .vmap import vmap

#: The step of the differences, and how far off they may be, relative to the largest number compared.
STEP, TOLERANCE = 1e-5, 1e-5


def check_rules(custom: Any, args: tuple[Any, ...]) -> None:
    """Compare the rules of a custom_rule with the function at some arguments, along random directions.

    Raises:
        CustomRuleError: a rule is off.
    """
    numbers = {i % len(args) for i in custom.nondiff_argnums}
    places = [i for i in range(len(args)) if i not in numbers]
    point = tuple(args[i] for i in places)

    def with_point(function: Callable[..., Any]) -> Callable[..., Any]:
        def of_point(*xs: Any) -> Any:
            given = list(args)
            for i, x in zip(places, xs):
                given[i] = x
            return function(*given)

        return of_point

    ours, plain = with_point(custom), with_point(custom.fun)
    random = np.random.default_rng(0)
    u, v = _direction(point, random), _direction(point, random)
    if custom.jvp is not None or custom.vjp is not None:
        _check_derivatives(custom, ours, plain, point, u, v, random)
    if custom.jet is not None:
        _check_jet(custom.name, ours, plain, point, u)
    if custom.batch is not None:
        _check_batch(custom.name, ours, plain, point, u)


def _check_derivatives(
    custom: Any, ours: Any, plain: Any, point: Any, u: Any, v: Any, random: np.random.Generator
) -> None:
    forward = "jvp" if custom.jvp is not None else "vjp"
    out, tangent = jvp(ours, point, u)
    _compare(custom.name, forward, "differences of the function", tangent, _difference(plain, point, u))
    ct = _direction(out, random)
    (pulled, expected) = _pairing(vjp(ours, *point)[1](ct), u), _pairing(ct, tangent)
    reverse = "vjp" if custom.vjp is not None else "jvp"
    _compare(custom.name, reverse, "the dot-product identity (v . J u = J' v . u)", pulled, expected)
    slope = lambda *xs: _pairing(ct, jvp(ours, xs, u)[1])  # noqa: E731
    other = lambda *xs: _pairing(ct, jvp(ours, xs, v)[1])  # noqa: E731
    first, second = jvp(slope, point, v)[1], jvp(other, point, u)[1]
    _compare(custom.name, forward, "the symmetry of second derivatives", first, second)


def _check_jet(name: str, ours: Any, plain: Any, point: Any, u: Any) -> None:
    series = tuple([t, _scaled(t, 0.5), _scaled(t, -0.25)] for t in u)
    _, found = jet(ours, point, series)
    _, expected = jet(plain, point, series)
    _compare(name, "jet", "the function in Taylor mode", found, expected)


def _check_batch(name: str, ours: Any, plain: Any, point: Any, u: Any) -> None:
    lanes = [tree.map(lambda x, t, k=k: x + k * t, point, u) for k in range(3)]
    stacked = tree.map(lambda *xs: np.stack(xs), *lanes)
    expected = tree.map(lambda *xs: np.stack(xs), *(plain(*lane) for lane in lanes))
    _compare(name, "batch", "a loop over lanes", vmap(ours)(*stacked), expected)


def _difference(function: Any, point: Any, u: Any) -> Any:
    """The derivative along u by central differences."""
    above, below = (function(*tree.map(lambda x, t, s=s: x + s * t, point, u)) for s in (STEP, -STEP))
    return tree.map(lambda a, b: (np.asarray(a) - np.asarray(b)) / (2 * STEP), above, below)


def _direction(values: Any, random: np.random.Generator) -> Any:
    def one(x: Any) -> Any:
        aval = typeof(x)
        if not is_inexact(aval.dtype):
            return np.zeros(aval.shape, aval.dtype)
        draw = random.normal(size=aval.shape)
        return (draw + 1j * random.normal(size=aval.shape) if aval.dtype.kind == "c" else draw).astype(aval.dtype)[()]

    return tree.map(one, values)


def _scaled(x: Any, factor: float) -> Any:
    return tree.map(lambda leaf: leaf * np.asarray(leaf).dtype.type(factor), x)


def _pairing(x: Any, y: Any) -> Any:
    """The sum of products, without conjugation."""
    return sum(np.sum(a * b) for a, b in zip(tree.leaves(x), tree.leaves(y), strict=True))


def _compare(name: str, rule: str, against: str, found: Any, expected: Any) -> None:
    """Raise CustomRuleError if numbers differ."""
    numbers, structure = tree.flatten(expected)
    for i, (x, y) in enumerate(zip(tree.leaves(found), numbers, strict=True)):
        x, y = np.asarray(x), np.asarray(y)
        largest = max([1.0, *np.abs(y).ravel(), *np.abs(x[np.isfinite(x)]).ravel()])
        tolerance = TOLERANCE if y.dtype.itemsize // (1 + (y.dtype.kind == "c")) == 8 else 1e-2
        if x.shape == y.shape and np.all(np.abs(x - y) <= tolerance * largest):
            continue
        where = describe_leaf(structure, i) if len(numbers) > 1 else ""
        raise CustomRuleError(
            f"The {rule} rule of `{name}` disagrees with {against}"
            f"{f' at {where}' if where else ''}: found {x}, expected {y}.",
            "A rule was checked with random directions when it was registered.",
            "Correct the rule; or, where the function is not smooth, check it at another point.",
        )
