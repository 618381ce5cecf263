"""Low-level functions to test the translation with; those that ask for no memory run as Python too."""

from __future__ import annotations

from math import inf, nan

from functrans.compiler.backends.cpu.lowlevel.language import (
    CInt,
    Words,
    address,
    atomic_add,
    atomic_exchange,
    atomic_load,
    atomic_replace,
    atomic_store,
    byte,
    c_int,
    copy,
    exported,
    external,
    float64,
    int32,
    is_below,
    null,
    pause,
    relaxed_load,
    relaxed_store,
    room,
    set_int32,
)

LIMIT, LEAST, MOST = 7, 0, 1 << 40
CLOSE, INFINITE, UNDEFINED = 1e-9, inf, nan
WHERE = address("WHERE")
CALLED = address("CALLED")


@external
def abs(x: CInt) -> CInt: ...


@exported
def greatest_divisor(x: int, y: int) -> int:
    while y != 0:
        x, y = y, x % y
    return x


@exported
def steps_to_one(x: int) -> int:
    """Collatz's sequence, cut at a hundred steps."""
    steps = 0
    while x > 1 and steps < 100:
        x = x // 2 if x % 2 == 0 else 3 * x + 1
        steps += 1
    return steps


@exported
def steps_of_newton(x: int, y: int) -> int:
    """How many steps of Newton's method lead to the square root of x**2 + y**2 / 4."""
    square = float(x) ** 2.0 + float(y) * float(y) / 4.0
    root, steps = 1.0 + square, 0
    while root * root - square > CLOSE * (1.0 + square):
        root -= (root * root - square) / (2.0 * root)
        steps += 1
    return steps


@exported
def comparisons_of_floats(x: int, y: int) -> int:
    """Which comparisons hold of a quarter and a half of two numbers, or of what is no number."""
    a, b = float(x) / 4.0, -float(y) / 2.0
    if x == y:
        a = UNDEFINED if x > 0 else INFINITE
    found = 0
    if a == b:
        found += 1
    if a != b:
        found += 2
    if a < b:
        found += 4
    if a <= b:
        found += 8
    if not a > b:
        found += 16
    if a >= b or b > a:
        found += 32
    return found


@exported
def primes_below(x: int) -> int:
    found = 0
    for n in range(2, x):
        is_prime = True
        for d in range(2, n):
            if d * d > n:
                break
            if n % d == 0:
                is_prime = False
                break
        if not is_prime:
            continue
        found += 1
    return found


@exported
def kind_of(x: int, y: int) -> int:
    """Branches within branches, some of which return."""
    if x < y:
        if x in (LEAST, LIMIT) or (y > 2 * x and not x < 0):
            return 1
        z = 10
    elif x == y:
        return 2
    else:
        z = 20 if y not in (3, 4, 5) and x > 0 else 30
    is_odd = (x & 1 == 1) or y == -1
    if is_odd:
        z += 1
    return z + (x >> 1 if x >= 0 else -x) + (1 << (y & 3)) + min(x, y, ) * 2 - max(x, LIMIT) | 1


@exported
def first_repeated(x: int) -> int:
    """A loop that has no other end than from within."""
    tail = x
    while True:
        tail = (tail * tail + 1) % 1000
        x = (x * x + 1) % 1000
        x = (x * x + 1) % 1000
        if x == tail:
            return x


@exported
def sort(values: Words, count: int) -> int:
    """By insertion; how many were moved."""
    moved = 0
    for k in range(1, count):
        place, value = k, values[k]
        while place > 0 and values[place - 1] > value:
            values[place] = values[place - 1]
            place -= 1
            moved += 1
        values[place] = value
    return moved


@exported
def sum_of_pairs(values: Words, count: int) -> int:
    """Numbers that follow each other, and addresses of the rest."""
    total = 0
    for k in range(count):
        first, second = values[2 * k :]
        rest = values[2 * k :]
        total += first * second + twice(rest[1])
    last = k = count - 1
    return total + last - k + square_of(values)


def twice(x: int) -> int:
    return add_to(x, x)


def add_to(x: int, y: int) -> int:
    return x + y


def square_of(values: Words) -> int:
    put(values, values[0] * values[0])
    return values[0]


def put(values: Words, x: int) -> None:
    if x > MOST:
        return
    values[0] = x


# ---- what only runs as machine code


@exported
def memory_operations(values: Words) -> int:
    """From four numbers to ten; whether all is as it should be."""
    mine = room(4)
    copy(mine, values, 4)
    set_int32(mine + 8, 5)
    values[4], values[5], values[6] = byte(mine), int32(mine), mine[1]
    values[7] = is_below(mine[2], mine[3])
    values[8], values[9] = abs(c_int(mine[0])), WHERE
    return CALLED(values, float_bits(float64(values)) == values[0])


def float_bits(x: float) -> int:
    return fetch(x)


def fetch(x: float) -> int:
    place = keep(x)
    return place[0]


@external
def keep(x: float) -> Words: ...


@exported
def atomic_operations(values: Words) -> int:
    place = values[1:]
    atomic_store(place, 3)
    before = atomic_add(place, 4)
    pause()
    taken = atomic_replace(place, 7, 8) and not atomic_replace(place, 7, 9)
    relaxed_store(values, relaxed_load(place) + atomic_load(place))
    return before + atomic_exchange(place, 100) if taken else null
