"""The workloads of benchmarks/cpu.py, by groups. Importing them needs NumPy only."""

from __future__ import annotations

from .row import Row


def groups() -> dict[str, list[Row]]:
    """All rows, by the names of the groups, in the order of the issue."""
    from . import (
        elementwise,
        first_calls,
        lanes,
        loops,
        matrices,
        memory,
        networks,
        recurrent,
        reductions,
        small,
        stencils,
    )

    modules = (
        first_calls, small, elementwise, reductions, matrices, loops, lanes, recurrent, stencils, networks, memory,
    )  # fmt: skip
    return {module.__name__.rpartition(".")[2]: module.ROWS for module in modules}
