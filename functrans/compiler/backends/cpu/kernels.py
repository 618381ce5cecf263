"""Native kernels: layouts for the arrays at hand, and the calls."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...fuse import KernelStep
from ...loopnest import Kernel, Load
from .codegen import Layout, kernel_function
from .engine import engine

#: What reductions begin with.
IDENTITIES = {"add": -0.0, "maximum": -np.inf, "minimum": np.inf}
_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Plan(NamedTuple):
    """How to call a kernel on arrays with some strides.

    Attributes:
        function: the native function.
        arguments: its arguments, without addresses.
        addresses: for each load, the place of its address among the arguments, its operand, and an offset in bytes.
        outputs: for each output, the place of its address.
        begins: whether reductions begin with what is in the results.
    """

    function: Callable[[int], None]
    arguments: array[int]
    addresses: tuple[tuple[int, int, int], ...]
    outputs: tuple[int, ...]
    begins: bool


class NativeKernel:
    """A kernel step as a function from operands to results. Machine code is made for the strides that it meets."""

    def __init__(self, step: KernelStep):
        self.kernel = step.kernel
        self.loads = step.kernel.loads()
        self.places = {operand: i for i, operand in enumerate(step.kernel.operands)}
        self.dtypes = [operand.aval.dtype for operand in step.kernel.operands]
        self.plans: dict[Any, Plan] = {}
        parallel = len(self.kernel.shape) - self.kernel.reduced
        self.results = [
            (self.kernel.shape[:parallel] if o.combine else self.kernel.shape, o.expression.dtype)
            for o in self.kernel.outputs
        ]

    def __call__(self, *operands: Any) -> list[Any]:
        arrays = [
            x if type(x) is np.ndarray and x.dtype == dtype and x.flags.aligned else np.array(x, dtype)
            for x, dtype in zip(operands, self.dtypes)
        ]
        strides = tuple([x.strides for x in arrays])
        plan = self.plans.get(strides)
        if plan is None:
            plan = self.plans[strides] = make_plan(self.kernel, self.loads, self.places, strides)
        results = [np.empty(shape, dtype) for shape, dtype in self.results]
        if plan.begins:
            for result, output in zip(results, self.kernel.outputs):
                result[...] = IDENTITIES[output.combine]
        arguments = plan.arguments[:]
        for place, operand, offset in plan.addresses:
            arguments[place] = arrays[operand].__array_interface__["data"][0] + offset
        for place, result in zip(plan.outputs, results):
            arguments[place] = result.__array_interface__["data"][0]
        plan.function(arguments.buffer_info()[0])
        return [result if result.shape else result[()] for result in results]


def make_plan(
    kernel: Kernel, loads: Sequence[Load], places: dict[Any, int], strides: Sequence[tuple[int, ...]]
) -> Plan:
    """Merge loops, choose their order, and compile the function for it."""
    rank, parallel = len(kernel.shape), len(kernel.shape) - kernel.reduced
    moves: list[list[int]] = []
    offsets: list[int] = []
    for load in loads:
        own = strides[places[load.operand]]
        moves.append([sum(i.factor(a) * s for i, s in zip(load.index, own)) for a in range(rank)])
        offsets.append(sum(i.offset * s for i, s in zip(load.index, own)))
    for output in kernel.outputs:
        extents = kernel.shape[:parallel] if output.combine else kernel.shape
        moves.append([*contiguous(extents, output.expression.dtype.itemsize), *[0] * (rank - len(extents))])
    groups = [
        merged(range(parallel), kernel.shape, moves),
        merged(range(parallel, rank), kernel.shape, moves),
    ]
    loops, reduced = loop_order(*groups, moves[: len(loads)])
    sizes = [e.dtype.itemsize for e in (*loads, *(o.expression for o in kernel.outputs))]
    by_loop = [[move[axis] for axis, _ in loops] for move in moves]
    steps = tuple(
        "none" if not move[-1] else "one" if move[-1] == size else "any" for move, size in zip(by_loop, sizes)
    )
    layout = Layout(len(loops), reduced, steps)
    address = engine().address("kernel", kernel_function(kernel, layout, "kernel"))
    arguments = array("q", [extent for _, extent in loops])
    addresses: list[int] = []
    for move in by_loop:
        addresses.append(len(arguments))
        arguments.extend([0, *move])
    count = len(loads)
    return Plan(
        _FUNCTION(address),
        arguments,
        tuple((addresses[k], places[load.operand], offsets[k]) for k, load in enumerate(loads)),
        tuple(addresses[count:]),
        reduced is None and kernel.reduced > 0,
    )


def contiguous(shape: Sequence[int], itemsize: int) -> list[int]:
    """The strides of a new array."""
    strides: list[int] = []
    for extent in reversed(shape):
        strides.append(itemsize)
        itemsize *= max(extent, 1)
    return strides[::-1]


def merged(axes: Sequence[int], shape: Sequence[int], moves: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Loops over some axes, as (axis whose strides it has, extent): neighbours that everything walks alike are one."""
    loops: list[tuple[int, int]] = []
    for axis in axes:
        extent = shape[axis]
        if extent == 1:
            continue
        if loops and all(move[loops[-1][0]] == move[axis] * extent for move in moves):
            loops[-1] = (axis, loops[-1][1] * extent)
        else:
            loops.append((axis, extent))
    return loops


def loop_order(
    parallel: list[tuple[int, int]], reduced: list[tuple[int, int]], moves: Sequence[Sequence[int]]
) -> tuple[list[tuple[int, int]], int | None]:
    """All loops, outermost first, and the place of the one that is reduced in registers, if one is.

    That is the innermost loop, if the loads move least along it; otherwise the last parallel loop is the innermost,
    and what is reduced is added up in the results.
    """
    if not reduced:
        return parallel or [(0, 1)], None

    def distance(loop: tuple[int, int]) -> int:
        return sum(abs(move[loop[0]]) for move in moves)

    if len(reduced) == 1 and (not parallel or distance(reduced[0]) <= distance(parallel[-1])):
        return [*parallel, *reduced], len(parallel)
    return [*parallel[:-1], *reduced, *parallel[-1:]], None
