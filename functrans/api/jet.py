"""jet: higher derivatives along a curve, in Taylor mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import factorial
from typing import Any

import numpy as np

from .. import tree
from ..core.trace import typeof
from ..errors import PytreeMismatchError
from ..transforms.jet import jet_flat, scaled
from .arguments import (
    FlatFunction,
    check_same_structure,
    check_tangent,
    hides_internals,
    input_leaves,
    no_name,
    own_results,
    positional_name,
    result_tangent,
)


@hides_internals
def jet(fun: Callable[..., Any], primals: Sequence[Any], series: Sequence[Any]) -> tuple[Any, Any]:
    """The value of `fun` and its derivatives of orders 1 to K along a curve, at a cost quadratic in K.

    Args:
        primals: a tuple with one entry for each positional argument: where the curve is at t = 0.
        series: for each argument, a list with its K derivatives by t at t = 0, each like the primal.

    Returns:
        `(value, derivatives)`: the K derivatives of `fun(x(t))` at t = 0, a list of pytrees like the value.

    Raises:
        PytreeMismatchError: the series differ in length, or from the structure of the primals.
        ShapeMismatchError, DtypeMismatchError: a derivative does not fit its primal.

    Example:
        >>> import numpy as np, functrans as ft
        >>> value, derivatives = ft.jet(np.sin, (0.0,), ([1.0, 0.0, 0.0],))
        >>> [float(d) for d in derivatives]
        [1.0, 0.0, -1.0]
    """
    for terms in series:
        if not isinstance(terms, (list, tuple)) and np.ndim(terms) == 0:
            raise PytreeMismatchError(
                f"jet was given a series that is no list, but of type {type(terms).__name__}.",
                "A series has one derivative for each order, the first one first.",
                "Write `[1.0]` for the first derivative alone, and `[1.0, 0.0]` for two orders.",
            )
    orders = {len(terms) for terms in series}
    if len(primals) != len(series) or len(orders) != 1 or 0 in orders:
        raise PytreeMismatchError(
            f"jet was given {len(primals)} primals and series of lengths {[len(terms) for terms in series]}.",
            "There is one series for each primal, and all have the same number of terms, at least one.",
            "Fill up the shorter series with zeros.",
        )
    (order,) = orders
    leaves, treedef = tree.flatten(tuple(primals))
    leaves = input_leaves(leaves, partial(positional_name, treedef))
    flat_terms: list[list[Any]] = []
    for k in range(order):
        terms, structure = tree.flatten(tuple(s[k] for s in series))
        check_same_structure(structure, treedef, f"series terms of order {k + 1}", "primals")
        flat_terms.append([check_tangent(t, typeof(p), "series term", no_name) for t, p in zip(terms, leaves)])
    curves = [
        [p, *(scaled(terms[i], 1.0 / factorial(k + 1)) for k, terms in enumerate(flat_terms))]
        for i, p in enumerate(leaves)
    ]
    flat = FlatFunction(fun, treedef.unflatten, {}, False)
    results = jet_flat(flat, curves, order)
    flat_derivatives = [
        result_tangent(scaled(r[k], float(factorial(k))), typeof(r[0])) for k in range(1, order + 1) for r in results
    ]
    given = [*leaves, *(t for terms in flat_terms for t in terms)]
    value, *derivatives = _rows(own_results([*(r[0] for r in results), *flat_derivatives], given), order + 1)
    return flat.out_tree.unflatten(value), [flat.out_tree.unflatten(d) for d in derivatives]


def _rows(values: list[Any], count: int) -> list[list[Any]]:
    """A flat list cut into `count` lists of one length."""
    length = len(values) // count
    return [values[i * length : (i + 1) * length] for i in range(count)]
