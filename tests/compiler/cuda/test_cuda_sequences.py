"""Launches of one block after others, as part of these."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax, nn
from functrans.compiler.backends.cuda import layouts, sequences
from functrans.compiler.backends.cuda.program import CudaProgram
from functrans.compiler.program import fused_for_gpu
from tests.helpers.cuda.device import Emulator
from tests.helpers.cuda.running import DIVISIONS, ORDERS, emulated, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged


def launches(function, *args, order=0, division="usual", tolerance=1e-11):
    """The program against the interpreter; its launches."""
    jaxpr = staged(lambda *args: ft.tree.leaves(function(*args)), args)
    assert_all_close(emulated(jaxpr, args, order, division), interpreted(jaxpr, args), tolerance)
    return [launch for found in lowered(jaxpr, args, division).launches.values() for launch in found]


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("function", "shape", "count"),
    [
        (lambda x: np.sqrt(np.mean(x * x)), (70_000,), 1),
        (lambda x: x / np.sqrt(np.sum(x * x)), (70_000,), 2),
        (lambda x: (x - np.mean(x)) / np.std(x), (70_000,), 3),
        (lambda x: np.sqrt(np.mean(x * x, 0) + 1), (20_000, 5), 1),
        (lambda x: -np.mean(np.max(x, 1)), (300, 40), 1),
        (lambda x: np.sum(x) + np.cumsum(x[:40])[::-1] * 2, (70_000,), 1),
        (lambda x: np.sum(np.cumsum(x)), (70_000,), 3),
    ],
)
def test_what_is_computed_from_results_of_reductions(function, shape, count, order):
    assert len(launches(function, values(*shape), order=order)) == count


@settings(max_examples=30)
@given(data=st.data())
def test_programs_of_reductions_of_reductions(data):
    """Of any shape, in any number of blocks: nothing is read before it is there."""
    rows, columns = data.draw(st.sampled_from([1, 3, 40, 700])), data.draw(st.sampled_from([1, 7, 64, 300]))
    kinds = data.draw(st.lists(st.sampled_from("rcsent"), min_size=2, max_size=5))
    order, division = data.draw(st.sampled_from(ORDERS)), data.draw(st.sampled_from(list(DIVISIONS)))
    steps = {
        "r": lambda x: x + np.mean(x, 1, keepdims=True),
        "c": lambda x: x - np.max(x, 0),
        "s": lambda x: x * np.sum(x * x) ** -0.5,
        "e": lambda x: np.sin(x) + 2,
        "n": lambda x: x / np.sqrt(np.mean(x * x, 1) + 1)[:, None],
        "t": lambda x: x + np.std(x),
    }

    def function(x):
        totals = []
        for kind in kinds:
            x = steps[kind](x)
            totals.append(np.sum(np.cos(x)))
        return x, np.stack(totals)

    launches(function, values(rows, columns), order=order, division=division, tolerance=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_blocks_are_counted_from_zero_again_in_the_next_call(order):
    """And by each frame for itself."""
    x = values(70_000)
    jaxpr = staged(lambda x: (np.sum(x), np.sqrt(np.mean(x * x))), (x,))
    wanted = interpreted(jaxpr, (x,))
    device = Emulator(order)
    program = CudaProgram(jaxpr, fused_for_gpu, device)
    for _ in range(3):
        assert_all_close(list(map(np.array, program(device.upload(x)))), wanted, 1e-12)
    (binding,) = program.bindings.values()
    assert binding.encoded.counts_blocks
    for _ in range(70):  # as if there were so many streams
        binding.frames.by_stream.clear()
        found = program(device.upload(x))
    assert_all_close(list(map(np.array, found)), wanted, 1e-12)


@pytest.mark.parametrize("division", ["usual", "sequences", "launches"])
@pytest.mark.parametrize("order", ORDERS)
def test_loops_of_products_and_norms(order, division):
    """Steps of power iteration and of conjugate gradients: a product of a matrix and a vector, and what is little."""
    a, b = values(300, 300), values(300, seed=1)
    a = a @ a.T + 300 * np.eye(300)

    def power(_, x):
        y = a @ x
        return y / np.sqrt(np.sum(y * y))

    def gradients(_, state):
        x, r, p, old = state
        y = a @ p
        step = old / np.sum(p * y)
        x, r = x + step * p, r - step * y
        new = np.sum(r * r)
        return x, r, r + new / old * p, new

    def function(b):
        return lax.fori_loop(0, 3, power, b), lax.fori_loop(0, 3, gradients, (b * 0, b, b, np.sum(b * b)))[0]

    launches(function, b, order=order, division=division, tolerance=1e-9)
    encoder = lowered(staged(lambda b: lax.fori_loop(0, 3, power, b), (b,)), (b,), division)
    (*_, loop) = encoder.assembled.block
    assert sum(len(encoder.launches[id(i)]) for i in loop.body) == (4 if division == "launches" else 1)


def test_what_comes_after_uses_no_cache_that_sees_no_writes():
    found = launches(lambda x: np.sqrt(np.mean(x * x)) + np.cumsum(x[:5]), values(70_000))
    (launch,) = found
    head, *functions = launch.source.split("FUNCTION void ")[1:]
    assert "is_last_block(counter)" in launch.source
    assert "__restrict__" in head
    kernel = functions[-1].partition("KERNEL")[2]
    assert not any("__restrict__" in function.partition("KERNEL")[0] for function in functions)
    first = kernel.count("__restrict__")
    assert first == len(re.findall(r"__restrict__ const m0_", kernel)) > 0


def test_what_takes_many_blocks_is_a_launch_of_its_own():
    x = values(300, 400)
    assert len(launches(lambda x: (np.sum(x), np.sum(x) * x), x)) == 2
    with ft.config.using(synchronous=True):
        assert len(launches(lambda x: np.sqrt(np.mean(x * x)), values(70_000))) == 3


def test_what_comes_after_has_a_few_blocks_or_one(monkeypatch):
    """And launches that become one are not too many."""
    x = values(70_000)

    def function(x):
        y = x[:900] * np.sum(x)
        return y, np.sin(np.sum(y))

    assert len(launches(function, x)) == 1
    monkeypatch.setattr(layouts, "FEW_BLOCKS", 1)
    assert len(launches(function, x)) == 2
    monkeypatch.setattr(sequences, "MOST_LAUNCHES", 1)
    assert len(launches(function, x)) == 4


def test_rows_of_several_blocks_are_not_left_to_one():
    """A softmax takes longer than a launch: four blocks that have a row each do it in a quarter of the time."""
    x = values(4, 3000)
    first, *others = launches(lambda x: nn.softmax(x + np.sum(x[:, :8])), x)
    assert [launch.grid for launch in others] == [(4, 1, 1)]
    assert first.grid == (1, 1, 1)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [9, 16, 32])
def test_decompositions_of_a_few_matrices_are_part_of_what_is_around_them(size, order):
    """Of as many as a block has room for."""
    a, b = values(2, size, size) + size * np.eye(size), values(2, size, 1, seed=1)

    def function(a, b):
        x = np.linalg.solve(a, np.sin(b))
        return np.sqrt(np.mean(x * x)), x + 1

    (launch,) = launches(function, a, b, order=order, tolerance=1e-9)
    assert launch.declared <= 40 << 10
    many = np.broadcast_to(a[:1], (300, size, size))
    assert len(launches(function, many, np.broadcast_to(b[:1], (300, size, 1)))) > 1
