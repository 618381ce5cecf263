"""Donated arguments of programs for GPUs, on the emulator. Random programs have them too (test_cuda_programs.py)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cuda.program import CudaProgram
from functrans.compiler.program import fused_for_gpu
from tests.helpers.cuda.arrays import emulated_gpu
from tests.helpers.cuda.device import Emulator
from tests.helpers.cuda.running import ORDERS, emulated, to_give_away
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

set_at = lambda x, index, value: ft.numpy.at(x)[index].set(value)  # noqa: E731
RELAX = lambda i, u: set_at(u, slice(1, -1), 0.5 * (u[2:] + u[:-2]))  # noqa: E731
FUNCTIONS = {
    "update": lambda x, y: x - 0.1 * y,
    "two updates": lambda x, y: (0.9 * y + x, x * y),
    "assignment": lambda x, y: set_at(set_at(x, slice(3, 9), y[3:9]), 0, 2.0),
    "assignment at computed places": lambda x, y: ft.numpy.at(x)[(y * 10).astype(int)].add(1.0),
    "softmax": lambda x, y: (np.exp(x - np.max(x)) / np.sum(np.exp(x - np.max(x))), y),
    "loop": lambda x, y: lax.fori_loop(0, 4, RELAX, x),
    "loop of odd length": lambda x, y: lax.fori_loop(0, 3, RELAX, x + y),
    "loop of unknown length": lambda x, y: lax.while_loop(lambda u: np.sum(u * u) > 9, lambda u: RELAX(0, u) * 0.7, x),
    "loop in a loop": lambda x, y: lax.fori_loop(0, 3, lambda i, u: lax.fori_loop(0, 3, RELAX, u) + y, x),
    "loop as one kernel": lambda x, y: lax.fori_loop(1, 50, lambda i, u: set_at(u, i, u[i - 1] * 0.5), x),
}


def values(seed: int = 0, size: int = 300) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, size)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results(name: str, order: int) -> None:
    args = values(), values(1)
    jaxpr = staged(FUNCTIONS[name], args)
    wanted = interpreted(jaxpr, args)
    for donated in ((), (0,), (1,), (0, 1)):
        assert_all_close(emulated(jaxpr, args, order, donated=donated), wanted, 1e-12)


@pytest.mark.parametrize("columns", [9, 100, 3000])
def test_what_a_row_has_one_of_is_overwritten_when_all_threads_have_read_it(columns: int) -> None:
    def scaled(x: Any, s: Any) -> Any:
        by = np.sin(s) * np.exp(s)
        return x * by[:, None], np.max(x * by[:, None], 1), s * 2 + by

    args = values(size=5 * columns).reshape(5, columns), values(1, 5)
    jaxpr = staged(scaled, args)
    wanted = interpreted(jaxpr, args)
    for order in ORDERS:
        assert_all_close(emulated(jaxpr, args, order, donated=(1,)), wanted, 1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_result_is_the_donated_array(name: str) -> None:
    args = values(), values(1)
    jaxpr = staged(FUNCTIONS[name], args)
    device = Emulator()
    program = CudaProgram(jaxpr, fused_for_gpu, device, (0, 1))
    for _ in range(3):
        given = [to_give_away(device, x) for x in args]
        results = program(*given)
        assert any(results[0] is x for x in given)
        assert_all_close(results, interpreted(jaxpr, args), 1e-12)


def on_gpu(device: Any, seed: int) -> Any:
    """An array that may be given away."""
    found = device.empty((300,), np.dtype(float))
    found[...] = ft.device_put(values(seed), "cuda")
    return found


def test_calls_with_arrays_of_cupy() -> None:
    with emulated_gpu() as device:
        step = ft.jit(lambda x, y: (x - 0.1 * y, y), donate_argnums=(0, 1))
        x, y = on_gpu(device, 0), on_gpu(device, 1)
        results = step(x, y)
        assert results[0] is x
        assert results[1] is y
        np.testing.assert_allclose(ft.device_get(x), values() - 0.1 * values(1), rtol=1e-14)
        for other in (y[:], y[::-1], y[5:200]):  # views stay as they are, and so does what they show
            shown = ft.device_get(other)
            results = ft.jit(lambda x: (x * 2, x), donate_argnums=0)(other)
            np.testing.assert_array_equal(ft.device_get(results[0]), shown * 2)
            np.testing.assert_array_equal(ft.device_get(results[1]), shown)
        both = ft.jit(lambda x, y: x * 2 + y, donate_argnums=0)(y, y[::-1])
        np.testing.assert_allclose(ft.device_get(both), values(1) * 2 + values(1)[::-1], rtol=1e-14)
        np.testing.assert_array_equal(ft.device_get(y), values(1))


def test_repeated_calls_overwrite_only_what_is_given() -> None:
    with emulated_gpu() as device:
        step = ft.jit(lambda x, y: (x * 2 + y, np.reshape(x, (20, 15))), donate_argnums=0)
        update = ft.jit(lambda x, y: x * 2 + y, donate_argnums=0)
        for seed in range(4):
            x, y = on_gpu(device, seed), on_gpu(device, seed + 1)
            before, other = values(seed), values(seed + 1)
            for given, wanted in ((x[:], before), (y, other), (x, before)):  # a view, one array twice, and a gift
                results = [ft.device_get(result) for result in step(given, y)]
                assert_all_close(results, [wanted * 2 + other, wanted.reshape(20, 15)], 1e-14)
                np.testing.assert_array_equal(ft.device_get(y), other)
            x = on_gpu(device, seed)
            assert update(x, y) is x
            assert_all_close([ft.device_get(x)], [before * 2 + other], 1e-14)


def test_what_is_reused_is_shown_without_a_gpu() -> None:
    lowered = ft.jit(lambda x, y: x - 0.1 * y, donate_argnums=0).lower(values(), values(1), backend="cuda")
    assert lowered.memory.reused == {0: 0}
    assert lowered.memory.peak == lowered.memory.arena + lowered.memory.constants
