"""Kernels that have nothing to do with each other run at the same time, in the memory that is theirs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functrans.compiler import parallel
from functrans.compiler.arena import assign_offsets
from functrans.compiler.instructions import KernelRun, ParallelRun, copying
from functrans.compiler.parallel import in_parallel
from functrans.compiler.places import Place, Slot

F8 = np.dtype("f8")
#: How many numbers each array has.
EXTENT = 6


def part(slot, start, stop):
    return Place(slot, 8 * start, (stop - start,), F8, (8,))


def copy(source, target):
    return KernelRun(copying(source), (source,), (target,))


@st.composite
def blocks(draw):
    """Copies of parts of arrays to others, of which the first two have numbers from the beginning."""
    slots = [Slot("argument", 0, 0), Slot("argument", 0, 0)]
    block, times = [], {}
    written = [0, 1]
    for now in range(1, draw(st.integers(1, 14)) + 1):
        target = draw(st.integers(0, len(slots)))
        if target == len(slots):
            slots.append(Slot("temporary", 8 * EXTENT, now))
        source = draw(st.sampled_from([slot for slot in written if slot != target] or [1 - target % 2]))
        length = draw(st.integers(1, EXTENT))
        begins = [draw(st.integers(0, EXTENT - length)) for _ in range(2)]
        run = copy(*(part(slot, begin, begin + length) for slot, begin in zip((source, target), begins)))
        block.append(run)
        times[id(run)] = now
        written = sorted({*written, target})
        for slot in (source, target):
            slots[slot].use(now)
    return block, slots, times


def run_block(block, slots, offsets, is_reversed):
    """What the arguments have at the end, and all that was copied, by instruction: what nobody wrote counts as zero."""
    memory = np.zeros(1000)
    seen = {}
    memory[: 2 * EXTENT] = np.arange(2 * EXTENT)

    def view(place):
        slot = place.slot
        begin = (EXTENT * slot if slot < 2 else 2 * EXTENT + offsets[slot] // 8) + place.offset // 8
        return memory[begin : begin + place.shape[0]]

    def execute(run):
        (source,), (target,) = run.sources, run.targets
        seen[id(run)] = view(source).copy()
        view(target)[...] = view(source)

    for instruction in block:
        runs = instruction.members if isinstance(instruction, ParallelRun) else (instruction,)
        for run in reversed(runs) if is_reversed else runs:
            execute(run)
    return memory[: 2 * EXTENT], seen


@settings(max_examples=300)
@given(drawn=blocks(), is_reversed=st.booleans(), most=st.sampled_from([1 << 20, 8, 3]))
def test_programs_compute_the_same_in_the_memory_that_they_have_then(drawn, is_reversed, most):
    block, slots, times = drawn
    apart = {k: 8 * EXTENT * (k - 2) for k in range(len(slots))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "LITTLE_WORK", most)
        found = in_parallel(block, slots, times)
    runs = [run for i in found for run in (i.members if isinstance(i, ParallelRun) else (i,))]
    assert sorted(map(id, runs)) == sorted(map(id, block))
    assign_offsets([slot for slot in slots if slot.kind == "temporary"])
    shared = {k: slot.offset for k, slot in enumerate(slots)}
    # what an array has where nobody has written yet, is whatever was there: only what is known counts
    wanted, of_runs = run_block(block, slots, apart, False)
    got, found_of_runs = run_block(found, slots, shared, is_reversed)
    known = known_elements(block)
    for run in block:
        is_known = known[id(run)]
        np.testing.assert_array_equal(found_of_runs[id(run)][is_known], of_runs[id(run)][is_known])
    np.testing.assert_array_equal(got[known["end"]], wanted[known["end"]])


def known_elements(block):
    """For each copy, which of its elements somebody has written before; and those of the arguments in the end."""
    has = {0: np.ones(EXTENT, bool), 1: np.ones(EXTENT, bool)}
    found = {}
    for run in block:
        (source,), (target,) = run.sources, run.targets
        given_, taken = (
            has.setdefault(p.slot, np.zeros(EXTENT, bool))[p.offset // 8 : p.offset // 8 + p.shape[0]]
            for p in (source, target)
        )
        found[id(run)] = given_.copy()
        taken[...] = given_
    found["end"] = np.concatenate([has[0], has[1]])
    return found


def numbered(*runs):
    slots = [Slot("argument", 0, 0) for _ in range(10)]
    return in_parallel(runs, slots, {id(run): k for k, run in enumerate(runs, 1)})


def members(block):
    return [len(i.members) if isinstance(i, ParallelRun) else 1 for i in block]


def test_what_depends_on_nothing_between_rises_and_what_nothing_depends_on_sinks():
    first, second, third = copy(part(0, 0, 4), part(1, 0, 4)), copy(part(1, 0, 4), part(2, 0, 4)), copy(part(0, 0, 2), part(3, 0, 2))
    assert members(numbered(first, second)) == [1, 1]
    assert members(numbered(first, third)) == [2]
    assert numbered(first, second, third) == [first, ParallelRun((second, third))]
    after_second = copy(part(2, 0, 4), part(4, 0, 4))
    assert numbered(first, second, third, after_second)[1] == ParallelRun((second, third))
    fourth = copy(part(3, 0, 2), part(5, 0, 2))
    assert numbered(first, third, second, fourth) == [ParallelRun((first, third)), ParallelRun((second, fourth))]


def test_parts_of_one_array_are_written_at_the_same_time_if_they_have_nothing_in_common():
    assert members(numbered(copy(part(0, 0, 3), part(1, 0, 3)), copy(part(0, 1, 4), part(1, 3, 6)))) == [2]
    assert members(numbered(copy(part(0, 0, 3), part(1, 0, 3)), copy(part(0, 1, 4), part(1, 2, 5)))) == [1, 1]
    assert members(numbered(copy(part(0, 0, 3), part(1, 0, 3)), copy(part(2, 1, 4), part(0, 2, 5)))) == [1, 1]


def test_only_one_member_has_much_to_do(monkeypatch):
    monkeypatch.setattr(parallel, "LITTLE_WORK", 4)
    large, other = copy(part(0, 0, 6), part(1, 0, 6)), copy(part(0, 0, 6), part(2, 0, 6))
    little = [copy(part(0, 0, 2), part(k, 0, 2)) for k in (3, 4, 5)]
    assert members(numbered(large, other)) == [1, 1]
    assert members(numbered(large, *little[:2])) == [3]
    assert members(numbered(*little, large)) == [3, 1]
