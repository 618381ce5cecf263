"""Whether the rules of a function agree with it, and with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import tree
from ..core.avals import float0, is_inexact
from ..core.devices import beside
from ..core.dtypes import finfo
from ..core.trace import typeof
from ..errors import (
    ConcretizationError,
    CustomRuleError,
    NonDifferentiableError,
    TracerConversionError,
    UnknownFunctionError,
)
from .arguments import describe_leaf, input_leaf, normalize_argnums
from .devices import device_get
from .flat_rules import check_structure
from .grad import jvp, vjp
from .jet import jet
from .vmap import vmap

#: What is raised where a rule cannot be differentiated; that is no fault of it.
NOT_DIFFERENTIABLE = (ConcretizationError, NonDifferentiableError, TracerConversionError, UnknownFunctionError)
LANES = 3


def check_rules(custom: Any, args: tuple[Any, ...]) -> None:
    """Compare the rules of a custom_rule with the function at some arguments, along random directions.

    Raises:
        CustomRuleError: a rule is off.
    """
    numbers = normalize_argnums(custom.nondiff_argnums, len(args), "nondiff_argnums")
    places = [i for i in range(len(args)) if i not in numbers]
    point = tree.map(input_leaf, tuple(args[i] for i in places))

    def of_point(function: Callable[..., Any], *xs: Any) -> Any:
        given = list(args)
        for i, x in zip(places, xs):
            given[i] = x
        return function(*given)

    ours, plain = partial(of_point, custom), partial(of_point, custom.fun)
    random = np.random.default_rng(0)
    if custom.jvp is not None or custom.vjp is not None:
        _check_derivatives(custom, ours, plain, point, random)
    if custom.jet is not None:
        without_rule = type(custom)(custom.fun, jvp=custom.jvp, vjp=custom.vjp, nondiff_argnums=numbers)
        without_rule.symbolic_zeros = custom.symbolic_zeros
        _check_jet(custom.name, ours, partial(of_point, without_rule), point, random)
    if custom.batch is not None:
        _check_batch(custom.name, ours, plain, point, random)


def _check_derivatives(custom: Any, ours: Any, plain: Any, point: Any, random: np.random.Generator) -> None:
    u, v = _direction(point, random), _direction(point, random)
    forward = "jvp" if custom.jvp is not None else "vjp"
    reverse = "vjp" if custom.vjp is not None else "jvp"
    compare = partial(_compare, custom.name)
    out, tangent = jvp(ours, point, u)
    compare(reverse, "the value of the function", out, plain(*point))
    compare(forward, "differences of the function", tangent, _difference(plain, point, u))
    ct = _direction(out, random)
    pulled = vjp(ours, *point)[1](ct)
    compare(reverse, "the dot-product identity (v . J u = J' v . u)", _pairing(pulled, u), _pairing(ct, tangent))

    def slope(direction: Any, *xs: Any) -> Any:
        return _pairing(ct, jvp(ours, xs, direction)[1])

    try:
        first, second = jvp(partial(slope, u), point, v)[1], jvp(partial(slope, v), point, u)[1]
    except NOT_DIFFERENTIABLE:
        return
    compare(forward, "the symmetry of second derivatives", first, second)


def _check_jet(name: str, ours: Any, plain: Any, point: Any, random: np.random.Generator) -> None:
    """Against Taylor mode as it would be without the rule."""
    terms = [_direction(point, random) for _ in range(3)]
    series = tuple(list(by_argument) for by_argument in zip(*terms))
    found, expected = jet(ours, point, series), jet(plain, point, series)
    _compare(name, "jet", "the value of the function", found[0], expected[0])
    _compare(name, "jet", "Taylor mode without it", found[1], expected[1])


def _check_batch(name: str, ours: Any, plain: Any, point: Any, random: np.random.Generator) -> None:
    """Against a loop: with lanes in all arguments, and with lanes in one of them."""
    u = _direction(point, random)
    lanes = [tree.map(partial(_moved, 0.1 * k), point, u) for k in range(LANES)]
    flags = [tuple(i == j for j in range(len(point))) for i in range(len(point))]
    for mapped in {(True,) * len(point), *flags}:
        given = [tuple(a if m else b for a, b, m in zip(lane, point, mapped)) for lane in lanes]
        stacked = tuple(_stacked([g[i] for g in given]) if m else point[i] for i, m in enumerate(mapped))
        expected = _stacked([plain(*lane) for lane in given])
        found = vmap(ours, in_axes=tuple(0 if m else None for m in mapped), axis_size=LANES)(*stacked)
        shown = ", ".join("mapped" if m else "not mapped" for m in mapped)
        _compare(name, "batch", f"a loop over lanes (arguments: {shown})", found, expected)


def _stacked(values: Sequence[Any]) -> Any:
    return tree.map(lambda *xs: np.stack(xs), *values)


def _difference(function: Any, point: Any, u: Any) -> Any:
    """The derivative along u by central differences."""
    step = max([_precision(t.dtype) for t in tree.leaves(u) if t.dtype != float0], default=1.0) ** (1 / 3)
    above, below = (function(*tree.map(partial(_moved, s), point, u)) for s in (step, -step))
    return tree.map(lambda a, b: _quotient(_on_host(a), _on_host(b), 2 * step), above, below)


def _on_host(x: Any) -> Any:
    return np.asarray(device_get(x))


def _quotient(a: Any, b: Any, step: float) -> Any:
    return (a - b) / step if is_inexact(a.dtype) else np.zeros(a.shape, float0)


def _precision(dtype: np.dtype[Any]) -> float:
    return float(finfo(dtype).eps)


def _moved(step: float, x: Any, t: Any) -> Any:
    """x + step t, in the dtype of x; integers stay where they are."""
    return x if t.dtype == float0 else x + t.dtype.type(step) * t


def _direction(values: Any, random: np.random.Generator) -> Any:
    """Random numbers like some values, where these are; float0 for integers."""

    def one(x: Any) -> Any:
        aval = typeof(x)
        if not is_inexact(aval.dtype):
            return np.zeros(aval.shape, float0)
        draw = random.normal(size=aval.shape)
        if aval.dtype.kind == "c":
            draw = draw + 1j * random.normal(size=aval.shape)
        return beside(x, np.asarray(draw).astype(aval.dtype)[()])

    return tree.map(one, values)


def _pairing(x: Any, y: Any) -> Any:
    """The real part of the sum of products, without conjugation."""
    pairs = zip(tree.leaves(x), tree.leaves(y), strict=True)
    return sum(np.sum(np.real(a * b)) for a, b in pairs if float0 not in (a.dtype, b.dtype))


def _compare(name: str, rule: str, against: str, found: Any, expected: Any) -> None:
    """Raise CustomRuleError if numbers differ by more than the error of differences."""
    numbers, structure = tree.flatten(expected)
    check_structure(name, rule, "result", tree.structure(found), "that of the function", structure)
    for i, (x, y) in enumerate(zip(tree.leaves(found), numbers, strict=True)):
        x, y = _on_host(x), _on_host(y)
        if float0 in (x.dtype, y.dtype):
            continue
        precision = max([_precision(a.dtype) for a in (x, y) if is_inexact(a.dtype)], default=0.0)
        finite = [np.abs(a[np.isfinite(a)]).max(initial=1.0) for a in (x, y)]
        if x.shape == y.shape and np.all(np.abs(x - y) <= precision ** (1 / 3) * max(finite)):
            continue
        where = describe_leaf(structure, i)
        raise CustomRuleError(
            f"The {rule} rule of `{name}` disagrees with {against}{f' at {where}' if where else ''}: found "
            f"{_shown(x)}, expected {_shown(y)}.",
            "A rule is compared with the function, along random directions, when `check` asks for it.",
            "Correct the rule; or, where the function is not smooth, check it at another point.",
        )


def _shown(x: Any) -> str:
    return np.array2string(x, precision=8, threshold=8)
