"""Stacks under loops on a GPU: what loops of unknown length leave for their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cuda.program import CudaProgram
from functrans.compiler.inspection.listing import blocks_in
from functrans.compiler.instructions import LoopRun, PythonRun, WhileRun
from functrans.compiler.program import fused_for_gpu
from functrans.core import stack
from functrans.errors import OutOfMemoryError
from tests.compiler.test_native_tapes import TRANSFORMED, nested, newton, power
from tests.helpers.cuda.arrays import emulated_gpu
from tests.helpers.cuda.device import Emulator, LateEmulator
from tests.helpers.cuda.running import emulated
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def check(function, *args, tolerance=1e-11):
    jaxpr = staged(function, args)
    assert_all_close(emulated(jaxpr, args), interpreted(jaxpr, args), tolerance)


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("steps", [0, 1, 16, 17, 65])
def test_gradients_for_any_number_of_steps(steps, size):
    check(ft.grad(power), np.linspace(0.1, 0.4, size), steps)


@settings(max_examples=8, deadline=None)
@given(outer=st.integers(0, 5), inner=st.integers(-1, 18), size=st.sampled_from([1, 70]))
def test_loops_in_loops(outer, inner, size):
    check(ft.grad(nested), np.linspace(0.1, 0.4, size), outer, inner)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("shape", [(3,), (2, 0), (70,)])
def test_types(dtype, shape):
    """Entries of several sizes beside each other, none of which need be aligned to more than their elements."""
    x = (np.ones(shape) * 0.3).astype(dtype)

    def loss(x, n):
        def step(i, c):
            y, k = c
            return np.where(k % 3 == 0, y * y, y * x) + x, k + np.int8(1)

        return np.sum(lax.fori_loop(0, n, step, (x, np.int8(0)))[0]).real

    check(ft.grad(loss), x, 19, tolerance=1e-4 if dtype in ("f4", "c8") else 1e-11)


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformed(name):
    function, args = TRANSFORMED[name]
    if callable(args[0]):  # a transformation, and what it is called with
        function, args = lambda x, v, f=function, g=args[0]: f(g, (x,), (v,)), (args[1][0], args[2][0])
    check(function, *args)


def instructions(block):
    for instruction in block:
        yield instruction
        for _, inner in blocks_in(instruction):
            yield from instructions(inner)


def test_python_is_called_for_blocks_and_not_for_steps(monkeypatch):
    """16, 16, 32, 64 and so on entries: their number grows with the logarithm of that of the steps."""
    x = np.linspace(0.1, 0.4, 70)
    device = Emulator()
    run = CudaProgram(staged(ft.grad(power), (x, 0)), fused_for_gpu, device)
    made, original = [], device.empty
    monkeypatch.setattr(device, "empty", lambda shape, dtype: made.append(shape) or original(shape, dtype))
    run(device.upload(x), 1000)
    (binding,) = run.bindings.values()
    found = list(instructions(binding.encoded.assembled.block))
    assert not any(isinstance(i, PythonRun) for i in found)
    assert sum(isinstance(i, (LoopRun, WhileRun)) for i in found) == 2
    assert 5 < len(made) < 12


def test_blocks_are_used_again_in_the_order_of_the_stream():
    x = np.linspace(0.1, 0.4, 70)
    with LateEmulator() as device:
        run = CudaProgram(staged(ft.grad(power), (x, 0)), fused_for_gpu, device)
        there = [device.upload(x * k) for k in (1, 2, 3)]
        found = [run(y, 40)[0] for y in there]
        for k, y in zip((1, 2, 3), found):
            np.testing.assert_allclose(device.download(y), ft.grad(power)(x * k, 40), rtol=1e-10)


def test_no_memory_for_a_block(monkeypatch):
    x = np.linspace(0.1, 0.4, 70)
    device = Emulator()
    run = CudaProgram(staged(ft.grad(power), (x, 0)), fused_for_gpu, device)
    there, original = device.upload(x), device.empty
    wanted = np.array(run(there, 10)[0])

    def empty(shape, dtype):
        if np.dtype(dtype) == np.uint8 and shape[0] > 100_000:
            raise MemoryError
        return original(shape, dtype)

    monkeypatch.setattr(device, "empty", empty)
    with pytest.raises(OutOfMemoryError, match=r"keeps for its derivative: \d+ bytes for \d+ steps, after \d+ steps"):
        run(there, 10_000)
    np.testing.assert_array_equal(run(there, 10)[0], wanted)


def test_stacks_go_from_program_to_program():
    """The derivative of a compiled function: one program leaves the stack, another one reads it."""
    x = np.linspace(0.1, 0.4, 5)
    with emulated_gpu():
        there = ft.device_put(x, "cuda")
        for function, args in ((lambda x: power(x, 40), x), (lambda x: np.sum(ft.vmap(newton)(x + 3)), x)):
            found, pull = ft.vjp(ft.jit(function), there)
            np.testing.assert_allclose(ft.device_get(pull(1.0)[0]), ft.grad(function)(args), rtol=1e-9)
            np.testing.assert_allclose(float(found), function(args), rtol=1e-9)


def test_blocks_that_are_small(monkeypatch):
    monkeypatch.setattr(stack, "BLOCK_BYTES", 64)
    check(ft.grad(power), np.linspace(0.1, 0.4, 3), 40)
    check(ft.grad(nested), np.linspace(0.1, 0.4, 3), 4, 18)
