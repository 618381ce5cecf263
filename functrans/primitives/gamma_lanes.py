"""Gamma variates in compiled programs: a loop in which each lane draws until it accepts (random_gamma.py draws so too).

Marsaglia and Tsang's method draws a normal number x until v = 1 + c x is positive, and all of that until what it leads
to is accepted. Here both are one loop: a lane whose v is not positive goes on with the next of the inner keys, one that
is rejected with fresh keys. So each key is used for what `draw_log_gamma` uses it for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import BOOL, ShapedArray
from ..core.dtypes import as_dtype
from ..core.jaxpr import Jaxpr
from ..core.staging import trace_closed
from ..core.trace import typeof
from .elementwise import (
    add,
    bitwise_and,
    divide,
    equal,
    greater_equal,
    invert,
    less,
    less_equal,
    log,
    log1p,
    multiply,
    negative,
    select,
    sqrt,
    square,
    subtract,
)
from .foundation import broadcast_to, full, reshape
from .random import UINT32, fold_in, random_bits
from .reductions import reduce_any
from .special import erfinv


class Loop(NamedTuple):
    """The programs of the loop.

    Attributes:
        start: `key, a -> d, c, state`, whose types are those of the variables of the other programs.
        cond, body: `d, c, state -> goes_on` and `d, c, state -> state`.
        finish: `key, a, d, log_cube -> log_variate`.
    """

    start: Jaxpr
    cond: Jaxpr
    body: Jaxpr
    finish: Jaxpr


def descendant(keys: Any, number: int) -> Any:
    """One of the keys derived from each of some keys."""
    return fold_in(keys, np.uint32(number))


def uniform(keys: Any, dtype: np.dtype[Any]) -> Any:
    return random_bits(keys, shape=(), dtype=dtype)


def normal(keys: Any, dtype: np.dtype[Any]) -> Any:
    """One standard normal number for each key; in single precision, for short floats, as erfinv is."""
    low = np.nextafter(dtype.type(-1), dtype.type(0))
    drawn = add(multiply(uniform(keys, dtype), dtype.type(1) - low), low)
    return multiply(dtype.type(np.sqrt(2)), erfinv(drawn))


def keys_of_lanes(key: Any, count: int) -> Any:
    """`count` keys derived from each of an array of keys, in a row."""
    batch = typeof(key).shape[:-1]
    found = fold_in(reshape(key, shape=(*batch, 1, 2)), np.arange(count, dtype=UINT32))
    return reshape(found, shape=(prod(batch) * count, 2))


def fresh_keys(state: Any) -> list[Any]:
    """What a lane begins with, or begins again with: its next state, and keys for normal and for uniform numbers."""
    return [descendant(state, k) for k in range(3)]


def for_keys(x: Any) -> Any:
    """Booleans of lanes as booleans of their keys."""
    (n,) = typeof(x).shape
    return broadcast_to(reshape(x, shape=(n, 1)), shape=(n, 2))


@lru_cache(maxsize=64)
def loop_of(key: ShapedArray, a: ShapedArray) -> Loop:
    """The loop for the types of keys and shape parameters."""
    n, dtype = a.size, a.dtype
    number = dtype.type

    def lanes(key: Any) -> Any:
        return keys_of_lanes(key, prod(a.shape[key.ndim - 1 :]))

    def start(key: Any, a: Any) -> list[Any]:
        a = reshape(a, shape=(n,))
        d = subtract(select(less(a, number(1)), add(a, number(1)), a), number(1 / 3))
        keys = fresh_keys(descendant(lanes(key), 0))
        runs = full(value=True, shape=(n,), dtype=BOOL)
        return [d, divide(number(1 / 3), sqrt(d)), runs, *keys, full(value=0, shape=(n,), dtype=dtype)]

    def step(d: Any, c: Any, runs: Any, state: Any, normal_key: Any, uniform_key: Any, log_cube: Any) -> list[Any]:
        drawn = normal(descendant(normal_key, 1), dtype)
        x, v = as_dtype(drawn, dtype), as_dtype(add(number(1), multiply(drawn, c)), dtype)
        squared, cube, u = square(x), multiply(multiply(v, v), v), uniform(uniform_key, dtype)
        log_of_cube = log(cube)
        bound = add(multiply(squared, number(0.5)), multiply(d, add(subtract(number(1), cube), log_of_cube)))
        is_outside = greater_equal(u, subtract(number(1), multiply(number(0.0331), square(squared))))
        is_rejected = bitwise_and(is_outside, greater_equal(log(u), bound))
        is_positive = invert(less_equal(v, number(0)))
        is_accepted = bitwise_and(is_positive, invert(is_rejected))
        goes_on = bitwise_and(runs, invert(is_accepted))
        begins_again, draws_again = (for_keys(bitwise_and(goes_on, x)) for x in (is_positive, invert(is_positive)))
        old = [state, select(draws_again, descendant(normal_key, 0), normal_key), uniform_key]
        keys = [select(begins_again, new, other) for new, other in zip(fresh_keys(state), old)]
        return [goes_on, *keys, select(bitwise_and(runs, is_accepted), log_of_cube, log_cube)]

    def finish(key: Any, a: Any, d: Any, log_cube: Any) -> list[Any]:
        shape, a = a.shape, reshape(a, shape=(n,))
        log_u = log1p(negative(uniform(descendant(lanes(key), 1), dtype)))
        is_boosted = bitwise_and(less(a, number(1)), invert(equal(log_u, number(0))))
        boost = select(is_boosted, multiply(log_u, divide(number(1), a)), number(0))
        return [reshape(add(add(log(d), log_cube), boost), shape=shape)]

    first = trace_closed(start, [key, a])
    variables = first.out_avals
    body = trace_closed(step, variables)
    cond = trace_closed(lambda d, c, runs, *_: [reduce_any(runs, axes=(0,))], variables)
    return Loop(first, cond, body, trace_closed(finish, [key, a, variables[0], variables[-1]]))


def assemble(assembler: Any, block: list[Any], key: Any, a: Any, target: Any) -> None:
    """Add the instructions that draw the logarithms of gamma variates, if there are any to draw."""
    if 0 in a.shape:
        return
    loop = loop_of(ShapedArray(key.shape, key.dtype), ShapedArray(a.shape, a.dtype))
    given = [assembler.temporary(aval) for aval in loop.start.out_avals]
    block += assembler.block(loop.start, [key, a], given)
    fixed, state = given[:2], given[2:]
    finals: Sequence[Any] = [assembler.temporary(aval) for aval in loop.body.out_avals]
    count = assembler.temporary(ShapedArray((), np.dtype(np.int64)))
    assembler.while_loop(block, loop.cond, loop.body, fixed, state, count, finals, ())
    block += assembler.block(loop.finish, [key, a, given[0], finals[-1]], [target])
