"""What an index outside an array means, in compiled code on the CPU and on the emulated GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
from functrans.compiler.instructions import PythonRun
from tests.helpers.bits import assert_same_bits
from tests.helpers.cuda.device import is_possible
from tests.helpers.cuda.running import ORDERS, emulated, lowered
from tests.helpers.tiers import interpreted, staged

READS = {
    "rows": lambda x, i, mode: fnp.at(x)[i].get(mode=mode),
    "columns": lambda x, i, mode: fnp.at(x)[:, i].get(mode=mode),
    "elements": lambda x, i, mode: fnp.at(x)[i, i[0]].get(mode=mode),
}
UPDATES = {
    "rows": lambda x, i, mode: fnp.at(x)[i].set(x[0] + x.dtype.type(1), mode=mode),
    "columns": lambda x, i, mode: fnp.at(x)[:, i].set(x.dtype.type(1), mode=mode),
    "elements": lambda x, i, mode: fnp.at(x)[i, i[0]].add(x.dtype.type(1), mode=mode),
    "extremes": lambda x, i, mode: fnp.at(x)[i].max(x.dtype.type(2), mode=mode),
}
CASES = [(f, mode) for f in READS.values() for mode in ("clip", "wrap", "fill")]
CASES += [(f, mode) for f in UPDATES.values() for mode in ("clip", "wrap", "drop")]


def values(dtype: str, extent: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(-9, 9, (extent, 5)).astype(dtype)


@settings(max_examples=20)
@given(
    case=st.sampled_from(CASES),
    dtype=st.sampled_from(["f8", "f4", "i4", "i8"]),
    extent=st.integers(1, 6),
    indices=st.lists(st.integers(-20, 20), min_size=1, max_size=6),
    order=st.sampled_from(ORDERS),
)
def test_modes(case: Any, dtype: str, extent: int, indices: list[int], order: int) -> None:
    function, mode = case
    x, i = values(dtype, extent), np.array([indices, indices[::-1]])
    jaxpr = staged(lambda x, i: [function(x, i, mode)], (x, i))
    wanted = interpreted(jaxpr, (x, i))
    assert_same_bits([ft.jit(function, static_argnums=2)(x, i, mode)], wanted)
    if is_possible():
        assert not any(isinstance(step, PythonRun) for step in lowered(jaxpr, (x, i)).assembled.block)
        assert_same_bits(emulated(jaxpr, (x, i), order), wanted)


@pytest.mark.parametrize("mode", ["wrap", "fill"])
def test_derivatives_of_what_is_read(mode: str) -> None:
    x, i = values("f8", 6), np.array([7, -8, 3, 3])
    gradient = ft.grad(lambda x: np.sum(fnp.at(x)[i].get(mode=mode, **({"fill_value": 2.0} if mode == "fill" else {})) ** 2))
    wanted = np.zeros_like(x)
    for k in i:
        if mode == "wrap" or -6 <= k < 6:
            wanted[k % 6] += 2 * x[k % 6]
    np.testing.assert_array_equal(ft.jit(gradient)(x), wanted)
    np.testing.assert_array_equal(gradient(x), wanted)


def test_an_update_that_is_dropped_leaves_the_array_alone_in_loops() -> None:
    """Where the array is at home in the carry of a loop."""
    x = values("f8", 6)

    def f(x: Any) -> Any:
        return ft.lax.fori_loop(0, 9, lambda k, x: fnp.at(x)[np.stack([k, k - 9])].add(1.0, mode="drop"), x)

    wanted = x.copy()
    for k in range(9):
        for i in (k, k - 9):
            if -6 <= i < 6:
                wanted[i] += 1
    np.testing.assert_array_equal(ft.jit(f)(x), wanted)
