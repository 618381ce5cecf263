"""Passes from jaxpr to jaxpr, after which there is less to do: inline, drop, compute in single precision with bfloat16,
rewrite (fold, apply rules, share), put axes in order, drop.

A simplified program is only ever run: what rules of derivatives need to see (calls, functions with rules of their own,
names) is gone. The README of this folder says what may change, and what may not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...core.jaxpr import Jaxpr
from .dead_code import drop_unused
from .inlining import inline, inline_secluded
from .order import batch_first
from .precision import compute_in_single
from .rewriting import rewrite
from .tables import ALL_RULES, EXACT_RULES

Pass = Callable[[Jaxpr], Jaxpr]

#: Called with the name of each pass and the jaxprs before and after it. The tests put the checker of jaxprs here.
observers: list[Callable[[str, Jaxpr, Jaxpr], None]] = []


def simplify(jaxpr: Jaxpr, exact: bool = False) -> Jaxpr:
    """An equivalent jaxpr with less to do.

    Args:
        exact: leave out the rules that change results by rounding, or where something overflows on the way: every
            result is bit for bit that of the given program, but for the signs of symbolic zeros that became arrays.
    """
    key = simplify, exact
    if key in jaxpr.memo:
        return jaxpr.memo[key] or jaxpr
    result = jaxpr
    for name, transform in passes(exact).items():
        before, result = result, transform(result)
        for observe in observers:
            observe(name, before, result)
    if result is not jaxpr:
        jaxpr.memo[key] = result
    return _marked(result, exact)


def passes(exact: bool = False) -> dict[str, Pass]:
    """The passes, in order."""
    rules = EXACT_RULES if exact else ALL_RULES
    nested, mark = partial(simplify, exact=exact), partial(_marked, exact=exact)
    found: dict[str, Pass] = {
        "inline": inline,
        "drop what is not used": partial(drop_unused, exact=exact),
        "inline a checkpoint without others": inline_secluded,
        "compute in single precision": partial(compute_in_single, exact=exact),
        "rewrite": partial(rewrite, rules=rules, nested=nested, mark=mark),
    }
    if not exact:
        found["put batches first"] = partial(batch_first, rules=rules, nested=nested, mark=mark)
    found["drop what is no longer used"] = partial(drop_unused, mark=mark, exact=exact)
    return found


def _marked(jaxpr: Jaxpr, exact: bool) -> Jaxpr:
    """The jaxpr, known to be simplified already."""
    jaxpr.memo[simplify, exact] = None
    return jaxpr
