"""Loops and branches: instructions that hold blocks of others.

A step is four numbers: the slot of a loop's element, the slot of the whole array, the offset of the first element, and
the way to the next. A swap is two slots, of arrays that change places after each step. A tape is an array: the slot of
the number of the step at which Python is to place the entries anew; the arguments of `run_python` for that; how many
entries there are, and four numbers for each, as for steps.
"""

from __future__ import annotations

from ..lowlevel.language import Words, byte, exported, null
from .blocks import run_block, run_python, worked


def exchange(pairs: Words, count: int, slots: Words) -> None:
    """The addresses in pairs of slots change places."""
    for k in range(count):
        first, second = pairs[2 * k :]
        slots[first], slots[second] = slots[second], slots[first]


def place_steps(steps: Words, count: int, slots: Words) -> None:
    """The slots of a loop's elements name the first ones."""
    for k in range(count):
        slot, whole, offset = steps[4 * k :]
        slots[slot] = slots[whole] + offset


def move_steps(steps: Words, count: int, slots: Words) -> None:
    """The slots of a loop's elements name the next ones."""
    for k in range(count):
        step = steps[4 * k :]
        slots[step[0]] = slots[step[0]] + step[3]


def turn_tape(tape: Words, step: int, slots: Words) -> int:
    """Have the entries of a tape placed for a step, if Python is to do that."""
    if tape == null or slots[tape[0]] != step:
        return 0
    return run_python(tape[1], slots)


def move_tape(tape: Words, slots: Words) -> None:
    """The slots of the entries name those of the next step."""
    if tape != null:
        move_steps(tape[3:], tape[2], slots)


@exported
def run_loop(a: Words, slots: Words) -> int:
    """A loop of some length.

    The arguments: code and count of the body; the length, or -1 and then slot and offset of the length; the work of a
    step; numbers of steps and swaps; the tape, or null; steps and swaps.
    """
    code, count, length, length_slot, length_offset, work, n_steps, n_swaps, tape = a[0:]
    steps = a[9:]
    swaps = steps[4 * n_steps :]
    place_steps(steps, n_steps, slots)
    if length < 0:
        place = slots[length_slot] + length_offset
        length = place[0]
    for k in range(length):
        if turn_tape(tape, k, slots) != 0 or run_block(code, count, slots) != 0:
            return 1
        move_steps(steps, n_steps, slots)
        move_tape(tape, slots)
        exchange(swaps, n_swaps, slots)
        if worked(slots, work) != 0:
            return 1
    return 0


@exported
def run_while(a: Words, slots: Words) -> int:
    """A loop that goes on while a test says so.

    The arguments: code and count of the test, code and count of the body, slot and offset of the boolean, slot and
    offset of the count, the work of a step, the number of swaps; the tape, or null; swaps.
    """
    test, test_count, code, count, going_slot, going_offset, times_slot, times_offset, work, n_swaps, tape = a[0:]
    going = slots[going_slot] + going_offset
    times = slots[times_slot] + times_offset
    k = 0
    while True:
        if run_block(test, test_count, slots) != 0:
            return 1
        if byte(going) == 0:
            break
        if turn_tape(tape, k, slots) != 0 or run_block(code, count, slots) != 0:
            return 1
        move_tape(tape, slots)
        exchange(a[11:], n_swaps, slots)
        if worked(slots, work) != 0:
            return 1
        k += 1
    times[0] = k
    return 0


@exported
def run_branch(a: Words, slots: Words) -> int:
    """One of several blocks: slot and offset of the index, then code and count of each block."""
    place = slots[a[0]] + a[1]
    code, count = a[2 * place[0] + 2 :]
    return run_block(code, count, slots)
