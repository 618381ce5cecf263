"""Long formulas: a function each in the text of a kernel or loop, however often they are needed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cpu.engine import engine
from functrans.compiler.backends.cpu.formulas import LONG
from functrans.compiler.backends.cpu.native import NativeProgram
from functrans.compiler.program import fused
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, natively, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
OPERATIONS = (np.tanh, np.sinh, np.cos, np.expm1, np.log1p, np.arctan, np.exp)
FOUND = [1.5, -0.25, 0.0, -0.0, np.nan, np.inf, -np.inf]


def in_kernel(x: Any, chosen: list[Any]) -> Any:
    total = x * 0.5
    for operation in chosen:
        total = operation(total) + x * 0.25
    return total


def in_loop(x: Any, chosen: list[Any]) -> Any:
    return lax.fori_loop(0, 3, lambda _, y: in_kernel(y, chosen), x)


@given(
    st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=4),
    st.sampled_from(["f8", "f4", "f2", "c16"]),
    st.sampled_from([in_kernel, in_loop]),
    st.sampled_from(["quick", "thorough"]),
)
@settings(max_examples=20)
def test_values(chosen: list[Any], dtype: str, place: Any, tier: str) -> None:
    x = np.asarray(FOUND[:3] if dtype == "c16" else FOUND, dtype)
    args = (x,) if place is in_kernel else (x[0],)
    program = staged(lambda x: place(x, [*chosen, *chosen]), args)
    assert_all_close(natively(program, args, tier), interpreted(program, args), 1e-2 if dtype == "f2" else 1e-5)


@pytest.mark.parametrize("place", [in_kernel, in_loop])
def test_one_function_for_each_formula_and_dtype(place: Any) -> None:
    def text(count: int) -> str:
        return ft.jit(lambda x: place(x, [np.tanh] * count)).lower(np.float64(1.0)).llvm

    few, many = text(2), text(8)
    assert few.count("alwaysinline") == many.count("alwaysinline") == 1
    assert many.count("\n") - few.count("\n") < 6 * 10


def test_the_length_of_a_text_counts_every_use() -> None:
    def length(count: int) -> int:
        program = NativeProgram(staged(lambda x: in_kernel(x, [np.tanh] * count), (np.ones(3),)), fused)
        program(np.ones(3))
        (binding,) = program.bindings.values()
        ((written,),) = binding.tiers.functions.values()
        return written.writer.length

    one, two, nine = map(length, (1, 2, 9))
    assert nine - one == 8 * (two - one) > 8 * LONG


def test_thorough_compilation_puts_formulas_in_their_places() -> None:
    text = ft.jit(lambda x: in_kernel(x, [np.tanh] * 3)).lower(np.ones(5)).llvm
    assert "_formula" in text
    compiler = engine().thorough
    assert "_formula" not in str(compiler.optimized(text, compiler.machine))


def vectors_in(function: Any, x: Any) -> list[str]:
    """The main loops over vectors that LLVM's passes make of a kernel, not those over what is left."""
    compiler, text = engine().thorough, ft.jit(function).lower(x).llvm
    return re.findall(r"^vector\.body\d*:", str(compiler.optimized(text, compiler.machine)), re.MULTILINE)


@pytest.mark.parametrize("reduction", [np.sum, np.max, np.prod, np.any])
@pytest.mark.parametrize("shape", [(40, 600), (4, 5, 600)])
def test_a_reduction_is_one_loop_over_vectors(reduction: Any, shape: tuple[int, ...]) -> None:
    """LLVM makes no other one for rows of nothing, which there are not."""
    assert len(vectors_in(lambda x: reduction(x * x - 1.0, axis=-1), np.ones(shape))) <= 1


@pytest.mark.parametrize("shape", [(40, 600), (4, 5, 600)])
@pytest.mark.parametrize(
    "function", [lambda x: x / x[..., :1], lambda x: x - x[..., ::2].sum(axis=-1, keepdims=True), lambda x: (x - x[0]) / x[1]]
)
def test_loops_are_written_once(function: Any, shape: tuple[int, ...]) -> None:
    """LLVM adds this to the names of what it writes once more: loops around one that may have nothing to do, and what is
    left of a loop of which it does several steps at a time."""
    compiler, text = engine().thorough, ft.jit(function).lower(np.ones(shape)).llvm
    optimized = str(compiler.optimized(text, compiler.machine))
    assert not re.search(r"\.(us|epil)\b", optimized)


@pytest.mark.parametrize("scan", [np.cumsum, np.maximum.accumulate])
def test_the_steps_of_a_scan_are_written_once(scan: Any) -> None:
    compiler, text = engine().thorough, ft.jit(lambda x: scan(x, axis=-1)).lower(np.ones((40, 600))).llvm
    optimized = str(compiler.optimized(text, compiler.machine))
    assert ".epil" not in optimized


@pytest.mark.parametrize(
    "function", [lambda x: x * 2.0 + 1.0, lambda x: lax.fori_loop(0, 3, lambda i, c: c * 0.5 + x, x)]
)
def test_what_reads_arguments_is_left_as_it_is_written(function: Any) -> None:
    """The first argument is where all of them are, which the first pass would see."""
    compiler, text = engine().thorough, ft.jit(function).lower(np.ones(5)).llvm
    optimized = str(compiler.optimized(text, compiler.machine))
    first = "getelementptr i64, ptr %arguments, i64 0\n"
    assert optimized.count(first) == text.count(first) > 0


@pytest.mark.parametrize(
    "function", [lambda x: x * 2.0 + 1.0, lambda x: lax.fori_loop(0, 3, lambda i, c: c * 0.5 + x, x)]
)
def test_what_reads_arguments_and_what_computes_stay_apart(function: Any) -> None:
    """LLVM's passes go over loops a second time where these are put into another function."""
    compiler, text = engine().thorough, ft.jit(function).lower(np.ones(5)).llvm
    module = compiler.optimized(text, compiler.machine)
    loops = [f.name for f in module.functions if not f.is_declaration and "phi" in str(f)]
    assert loops
    assert all(name.endswith("_body") for name in loops)


def test_vectors_that_are_put_aside_are_aligned() -> None:
    """Where there are too few registers for a chain of formulas; one that lay across two lines would take longer."""
    compiler, text = engine().thorough, ft.jit(lambda x: in_kernel(x, [np.tanh, np.exp] * 3)).lower(np.ones(5)).llvm
    assembly = compiler.machine.emit_assembly(compiler.optimized(text, compiler.machine))
    assert not re.search(r"vmovup[sd]\t(%[yz]mm\d+, \d*\(%r[sb]p\)|-?\d*\(%r[sb]p\), %[yz]mm\d+)", assembly)
