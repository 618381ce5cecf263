"""Limits of the compiler, set so that tiny arrays and short programs are treated as large and long ones are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from functrans.compiler import (
    accesses,
    accumulations,
    chains,
    dividing,
    extremes,
    fuse,
    matrix_loops,
    overlap,
    partials,
    patchworks,
    plans,
    ranges,
    recurrence,
    recurring,
    regions,
    small_matrices,
    small_products,
    staggered,
    unrolling,
)
from functrans.compiler.apart import access, collector, elements, equations, programs, updates
from functrans.compiler.backends.cpu import (
    arenas,
    codegen,
    formulas,
    layouts,
    library,
    links,
    native,
    side_by_side,
    staging,
    streams,
)
from functrans.compiler.backends.cpu import chains as rows
from functrans.compiler.backends.cpu import lanes as blocks_of_lanes
from functrans.compiler.convolution import held, loops, products
from functrans.compiler.lanes import apart as lanes
from functrans.compiler.simplify import folding, pieces, sharing
from functrans.core import stack
from functrans.primitives import contractions

#: What is set together, by what comes of it.
LIMITS: dict[str, list[tuple[Any, str, Any]]] = {
    "parts": [
        (partials, "WORTH_PARTS", 1), (partials, "PARTS", 4), (partials, "ELEMENTS_OF_PART", 40),
        (partials, "LEAST_EXTENT", 2),
    ],
    "chains": [(chains, "FEWEST_ELEMENTS", 1)],
    "chains of products": [(chains, "FEWEST_ELEMENTS", 1), (chains, "FEWEST_ROWS", 2)],
    "products by a library": [
        (contractions, "_SHORT", 0), (contractions, "_WORTH_A_CALL", 0), (contractions, "_FEW_TERMS", 0),
    ],
    "short chains": [(chains, "MOST_LINKS", 2)],
    "few rows at a time": [(rows, "CACHE", 1 << 9), (rows, "WORTH_BLOCK", 1), (rows, "FIRST_CACHE", 1 << 8)],
    "staggered chains": [(staggered, "LARGE", 0), (staggered, "FEWEST_STRIPS", 1), (staggered, "ROWS_OF_STRIP", 1)],
    "tiles": [(layouts, "FIRST_CACHE", 1), (layouts, "NARROW", (5, 3)), (layouts, "WIDE", (3, 4))],
    "small parts for threads": [(layouts, "LANES", 2)],
    "loops across": [(layouts, "SHORT", 64), (layouts, "LANES", 2), (layouts, "APART", 0), (layouts, "ACROSS", 3)],
    "rows side by side": [
        *[(module, "GROUP", 3) for module in (chains, rows, side_by_side)], (layouts, "SHORT", 64),
        (side_by_side, "SHORT", 64), (layouts, "LANES", 2), (layouts, "TO_BEGIN", 1000),
    ],
    "results one by one": [(streams, "MOST_STREAMS", 0), (streams, "CACHE", 0), (streams, "WORTH_A_LOOP", 0)],
    "steps as arguments": [(layouts, "STEPS", (0,))],
    "divisors": [(layouts, "WORTH_DIVISORS", 1)],
    "free kernels": [(regions, "KERNEL_CALL", 0)],
    "whole patchworks": [(patchworks, "WORTH_CALLS", 1000), (patchworks, "WORTH_CALLS_COPIED", 1000)],
    "small kernels": [(fuse, "LARGEST_KERNEL", 2)],
    "everything stored": [(fuse, "CHEAP", -1)],
    "everything computed again": [(fuse, "CHEAP", 1000)],
    "short expressions": [(fuse, "LARGEST_EXPRESSION", 3)],
    "batches by a library": [(small_products, "FEWEST_ROWS", 1)],
    "few rows by kernels": [(small_products, "LARGE", 1)],
    "factors transposed": [(small_products, "WORTH_TRANSPOSING", 2)],
    "operands in rows": [(small_products, "FEWEST_READ", 2), (small_products, "FEWEST_TIMES", 2)],
    "nothing written out": [(unrolling, "TINY", 0), (fuse, "FEW", 0)],
    "much written out": [(unrolling, "TINY", 8), (unrolling, "MOST_LOADS", 64), (unrolling, "MOST_OUTPUTS", 32)],
    "few lanes": [(lanes, "FEWEST_LANES", 2)],
    "blocks of lanes": [
        (blocks_of_lanes, "FEWEST", 2), (blocks_of_lanes, "MOST", 4), (blocks_of_lanes, "MOST_APART", 2),
        (blocks_of_lanes, "FEWEST_STREAMED", 2), (blocks_of_lanes, "MOST_STREAMED", 4),
    ],
    "staged": [(staging, "MANY", 1), (staging, "BLOCK", 3)],
    "arrays in memory": [
        *[(module, "LARGEST_ARRAY", 1) for module in (access, collector, elements, equations, programs)],
        *[(module, "LARGEST_CHOICE", 1) for module in (collector, elements, equations, updates)],
    ],
    "indices in memory": [(module, "LARGEST_CHOICE", 1) for module in (collector, elements, equations, updates)],
    "stored numbers": [
        (equations, "LARGEST_COST", 2), (equations, "WORTH_STORING", 0), (programs, "WORTH_STORING", 0),
    ],
    "long steps": [(collector, "LARGEST_BODY", 40)],
    "divided loops": [(dividing, "FEWEST_STEPS", 1)],
    "many steps": [(recurrence, "FEW_STEPS", 1), (recurring, "FEW_STEPS", 1)],
    "growing tapes": [(stack, "FIRST_BLOCK", 1), (stack, "FIRST_BYTES", 8), (stack, "BLOCK_BYTES", 64)],
    "row after row": [(accumulations, "SHORT", 1), (accumulations, "WIDE", 1 << 20)],
    "places by NumPy": [(extremes, "MANY", 0)],
    "no small matrices": [(small_matrices, "MOST_OPERATIONS", 0)],
    "small matrices in loops": [(matrix_loops, "FEWEST_ROWS", 1), (matrix_loops, "FEWEST", matrix_loops.TOGETHER)],
    "no matrices in loops": [(matrix_loops, "MOST_ROWS", 0)],
    "convolutions by products": [
        (products, "SPEED", 1e-9), (products, "CALL", 0), (products, "COPY_APART", 0), (products, "COPY", 0),
    ],
    "convolutions by kernels": [(module, "SPEED", 1e9) for module in (held, products)],
    "convolutions in tiles": [
        (held, "SPEED", 1e-9), (held, "SPEED_BY_TAPS", 1e-9), (held, "ROOM", 256), (held, "TERMS", 5),
        (held, "NEIGHBOURS", 2),
    ],
    "pieces of windows": [(products, "ROOM", 64), (products, "FEW_POSITIONS", 2)],
    "pieces of convolutions": [(loops, "TAPS", 2), (loops, "FEATURES", 1), (loops, "BLOCK", 32), (loops, "ROOM", 256)],
    "threads for products": [(library, "WORTH_THREADS", 1)],
    "lent arenas": [(arenas, "LARGE", 0)],
    "long programs": [(native, "LONG", 0)],
    "no search": [(overlap, "MOST_ATTEMPTS", 0), (ranges, "PATIENCE", 3)],
    "no folding": [(folding, "SMALL", 0), (folding, "RESULT_LIMIT", 0), (sharing, "COMPARED", 0)],
    "no pieces": [(pieces, "FEW_ROWS", 0), (pieces, "MOST_PARTS", 0)],
    "formulas once": [(formulas, "LONG", 0)],
    "blocks of additions": [(codegen, "BLOCK", 8)],
    "numbers in the text": [(accesses, "MOST_NUMBERS", 0), (accesses, "MOST_TOGETHER", 0)],
}  # fmt: skip


@contextmanager
def limited(names: Collection[str]) -> Iterator[None]:
    """What is compiled in this block is compiled with these limits, from plans and texts that are not kept for others."""
    changes = [change for name in names for change in LIMITS[name]]
    changes += [(codegen, "_kept", {}), (links, "_kept", {}), (plans, "_kept", {})] if changes else []
    with changed(changes):
        yield


@contextmanager
def changed(changes: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """Attributes of modules have other values in this block: the last of several."""
    before = [(module, key, getattr(module, key)) for module, key, _ in changes]
    for module, key, value in changes:
        setattr(module, key, value)
    try:
        yield
    finally:
        for module, key, value in reversed(before):
            setattr(module, key, value)


@st.composite
def limits(draw: st.DrawFn) -> tuple[str, ...]:
    """Names of limits: none, or any."""
    if draw(st.booleans()):
        return ()
    share = draw(st.sampled_from([3, 1]))
    return tuple(name for name in LIMITS if not draw(st.integers(0, share)))
