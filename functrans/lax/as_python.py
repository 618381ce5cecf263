"""Loops and branches as Python, for `disable_jit`: what they mean, to step through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import tree
from ..numpy.common import known_value
from ..settings import runs_python

#: What is returned where a loop or branch is to be traced.
TRACED = object()


def scan(f: Callable[[Any, Any], Any], init: Any, xs: Any, length: int | None, reverse: bool) -> Any:
    """A scan step by step; TRACED for mistakes, and without steps, for then nobody knows what it would collect."""
    if not runs_python():
        return TRACED
    extents = {np.shape(x)[:1] for x in tree.leaves(xs)} | ({(length,)} if length else set())
    if len(extents) != 1 or extents & {(), (0,)}:
        return TRACED
    ((count,),) = extents
    carry, collected = init, []
    for step in reversed(range(count)) if reverse else range(count):
        carry, y = f(carry, tree.map(lambda x, i=step: x[i], xs))
        collected.append(y)
    return carry, tree.map(lambda *ys: np.stack(ys), *(collected[::-1] if reverse else collected))


def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], value: Any) -> Any:
    """A while loop, if it is known before each step whether it goes on: else it is traced from its beginning."""
    if not runs_python():
        return TRACED
    while True:
        going = known_value(cond_fun(value))
        if going is None or np.ndim(going):
            return TRACED
        if not going:
            return value
        value = body_fun(value)


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], value: Any) -> Any:
    """A loop over numbers, if these are known."""
    bounds = [known_value(lower), known_value(upper)] if runs_python() else [None]
    if any(bound is None for bound in bounds):
        return TRACED
    for i in range(*map(int, bounds)):
        value = body_fun(i, value)
    return value


def choose(index: Any, branches: Sequence[Callable[..., Any]], operands: Sequence[Any]) -> Any:
    """The branch of a number, if that is known."""
    number = known_value(index) if runs_python() else None
    return TRACED if number is None else branches[int(number)](*operands)
