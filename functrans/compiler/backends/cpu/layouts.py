"""Which loops a kernel gets for the arrays at hand: their number, order and extents, and how operands move in them."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod
from typing import NamedTuple

from ...accesses import Walk, jumping_axes, numbers_of, operands_of, walks_of
from ...costs import operation_cost
from ...instructions import KernelRun
from ...loopnest import Apply, Constant, Kernel, Load, derived
from ...places import Place
from .codegen import Layout, has_unknown_steps
from .held import Machine, Tile, tile_of
from .runtime import HEADER

#: What is read from memory together, in bytes.
CACHE_LINE = 64
#: With so many parts that calls may run, it does not matter whether there are more.
MANY_PARTS = 16
#: The part of the first-level cache that may be taken by what is met again, in bytes.
FIRST_CACHE = 16 * 1024
#: What lies at multiples of this distance, in bytes, contends for the same few lines of that cache,
SAME_PLACE = 4096
#: and at multiples of this one still for so few that tiles are narrow.
FEW_PLACES = 1024
#: Tiles for what does, and for what does not.
NARROW, WIDE = (64, 16), (8, 64)
#: Steps along the innermost loop, or by an index that is computed, that are part of a kernel's text; beside none and
#: one those of tiny last axes, and of arrays that are read backwards.
STEPS = (0, 1, 2, 3, 4, -1)
#: What parts of the innermost loop are multiples of, so that it is vectorised alike whatever the parts.
LANES = 64
#: An innermost loop of fewer points may give its place to a longer one, as it leaves much out of vectors.
SHORT = 16
#: So many points of that one are run at a time.
ACROSS = 128
#: What an operation costs in a vector, if it costs one alone; what an element costs that does not lie beside the one
#: before; and what it costs to begin the innermost loop.
IN_VECTOR, APART, TO_BEGIN = 0.2, 4, 12
#: The points of the innermost loop from which on divisions by what stays the same in it are prepared.
WORTH_DIVISORS = 8


class Arranged(NamedTuple):
    """A kernel for places.

    Attributes:
        layout: what its text depends on.
        arguments: those of its function.
        heads: the places among these of slots, after each of which comes an offset.
        extent: that of the loop of which a call may run a part.
        grain: what parts should be multiples of.
        begins: whether its reductions begin with what is in the results.
    """

    layout: Layout
    arguments: list[int]
    heads: list[int]
    extent: int
    grain: int
    begins: bool


def arrange(
    kernel: Kernel, sources: Sequence[Place], targets: Sequence[Place], machine: Machine, keeps_first: bool = False
) -> Arranged:
    """Merge loops, and choose their order.

    Args:
        keeps_first: a call may run a part of the first axis, whatever else is better.
    """
    rank, parallel, walks = len(kernel.shape), len(kernel.shape) - kernel.reduced, walks_of(kernel)
    heads, moves, tails, sizes = accessed_by(walks, (*sources, *targets), rank)
    columns = list(zip(*moves))
    groups = [merged(range(parallel), kernel.shape, columns), merged(range(parallel, rank), kernel.shape, columns)]
    traffic = [
        [CACHE_LINE if axis in jumps else move for axis, move in enumerate(own)] if jumps else own
        for own, jumps in zip(moves, jumping_axes(kernel))
    ]
    may_change_order = not (kernel.reduced or any(output.place for output in kernel.outputs))
    loops, reduced, split = loop_order(*groups, traffic, len(kernel.outputs))
    if groups[1] and reduced is None:
        tiled = tile_of(kernel, groups[0], moves, machine)
        if tiled is not None:
            return _in_tiles(kernel, groups, *tiled, (heads, moves, tails, sizes), keeps_first)
    across = _loop_across(kernel, loops, moves, sizes, keeps_first) if may_change_order else None
    if across is not None:
        loops = [*loops[:across], *loops[across + 1 :], loops[across]]
        split = len(loops) - 1
    still = (0,) * len(moves)
    by_loop = list(zip(*[columns[axis] if axis >= 0 else still for axis, _ in loops]))
    steps = tuple([step_of(move[-1], size) for move, size in zip(by_loop, sizes)])
    ways = tuple([tuple([step_of(way, size) for way in tail]) if tail else () for tail, size in zip(tails, sizes)])
    same = _same_elements(kernel, heads, moves)
    arguments, slots = _arguments(kernel, [extent for _, extent in loops], heads, by_loop, tails)
    begins = bool(groups[1]) and (reduced is None or len(groups[1]) > 1)
    divides = machine.has_fma and loops[-1][1] >= WORTH_DIVISORS
    may_be_tiled = may_change_order and across is None and not keeps_first
    block, columns = (tile_for(loops, by_loop) if may_be_tiled else None) or (None, None)
    if across is not None and not keeps_first:
        block = ACROSS
    split = len(loops) - 2 if columns else split
    layout = Layout(len(loops), reduced, begins, split, steps, ways, same, divides, block, columns)
    grain = block or (LANES if split == len(loops) - 1 else 1)
    arguments += [0] * has_unknown_steps(layout)
    return Arranged(layout, arguments, slots, loops[split][1], grain, begins)


def _in_tiles(
    kernel: Kernel,
    groups: Sequence[list[tuple[int, int]]],
    tile: Tile,
    parallel: Sequence[tuple[int, int]],
    accessed: tuple[list[list[int]], list[Sequence[int]], list[Sequence[int]], list[int]],
    keeps_first: bool,
) -> Arranged:
    """A sum of products that is held in registers tile by tile.

    Args:
        groups: the parallel loops, and those of the sum.
        parallel: the parallel loops in the order in which they are to be run.
        accessed: what `accessed_by` knows of operands.
    """
    heads, moves, tails, sizes = accessed
    loops, depth = [*parallel, *groups[1]], tile.depth
    by_loop = list(zip(*[[move[axis] for move in moves] for axis, _ in loops]))
    steps = tuple([step_of(way[depth], size) for way, size in zip(by_loop, sizes)])
    same = tuple(range(len(moves)))
    grains = [*[1] * depth, tile.vectors * tile.lanes, tile.rows]
    split = max(range(depth + 2), key=lambda k: min(loops[k][1] // grains[k], MANY_PARTS))
    if keeps_first:
        split = loops.index(groups[0][0])
        tile = tile._replace(is_whole=tile.is_whole and split != depth + 1)
    layout = Layout(len(loops), None, False, split, steps, ((),) * len(moves), same, tile=tile)
    arguments, slots = _arguments(kernel, [extent for _, extent in loops], heads, by_loop, tails)
    return Arranged(layout, arguments, slots, loops[split][1], grains[split], False)


def _arguments(
    kernel: Kernel,
    extents: Sequence[int],
    heads: Sequence[Sequence[int]],
    ways: Sequence[Sequence[int]],
    tails: Sequence[Sequence[int]],
) -> tuple[list[int], list[int]]:
    """What a kernel is told (extents, where operands are and how they move, numbers), and where slots are in that."""
    arguments = [*extents]
    slots: list[int] = []
    for head, way, tail in zip(heads, ways, tails):
        if len(head) == 2:
            slots.append(len(arguments))
        arguments += head
        arguments += way
        arguments += tail
    arguments += [int.from_bytes(n.value.ljust(8, b"\0"), "little", signed=True) for n in numbers_of(kernel)]
    return arguments, slots


def accessed_by(
    walks: Sequence[Walk], places: Sequence[Place], rank: int
) -> tuple[list[list[int]], list[Sequence[int]], list[Sequence[int]], list[int]]:
    """What is known of operands, from where their arrays are.

    Returns:
        For each operand its slot and offset (for a position its offset alone); how far it moves along each axis of the
        space, and with each of its terms; and how large its elements are.
    """
    heads: list[list[int]] = []
    moves: list[Sequence[int]] = []
    tails: list[Sequence[int]] = []
    sizes: list[int] = []
    for number, offsets, factors, ways in walks:
        if number < 0:
            strides: Sequence[int] = (1,)
            heads.append([offsets[0][1]])
            sizes.append(1)
        else:
            slot, offset, _, dtype, strides = places[number]
            for own, distance in offsets:
                offset += distance * strides[own]
            heads.append([HEADER + slot, offset])
            sizes.append(dtype.itemsize)
        if factors is None:
            moves.append(strides if len(strides) == rank else (*strides, *[0] * (rank - len(strides))))
        else:
            move = [0] * rank
            for axis, own, factor in factors:
                move[axis] += factor * strides[own]
            moves.append(move)
        tails.append([factor * strides[own] for own, factor in ways] if ways else ())
    return heads, moves, tails, sizes


def _loop_across(
    kernel: Kernel,
    loops: Sequence[tuple[int, int]],
    moves: Sequence[Sequence[int]],
    sizes: Sequence[int],
    keeps_first: bool,
) -> int | None:
    """The place of the loop that had better be the innermost: a long one, if that is short and has much to compute."""
    if len(loops) < 2 or loops[-1][1] >= SHORT:
        return None
    longest = 0 if keeps_first else max(range(len(loops)), key=lambda k: loops[k][1])
    if loops[longest][1] < LANES or (keeps_first and loops[0][0] != 0):
        return None
    along, across = (_cost_along(kernel, moves, sizes, loop) for loop in (loops[-1], loops[longest]))
    return longest if across < along else None


def cost_of_rows(run: KernelRun) -> float:
    """What a kernel over rows that reduces nothing costs, roughly, with the loop inside that it would have there."""
    kernel, rank = run.kernel, len(run.kernel.shape)
    _, moves, _, sizes = accessed_by(walks_of(kernel), (*run.sources, *run.targets), rank)
    loops = merged(range(rank), kernel.shape, list(zip(*moves)))
    across = _loop_across(kernel, loops, moves, sizes, True)
    return prod(kernel.shape) * _cost_along(kernel, moves, sizes, loops[-1 if across is None else across])


def _cost_along(
    kernel: Kernel, moves: Sequence[Sequence[int]], sizes: Sequence[int], loop: tuple[int, int]
) -> float:
    """What a point costs, roughly, with some loop inside, given how operands move and how large elements are."""
    axis, extent = loop
    steps = [move[axis] for move in moves]
    moving, once = _costs_where(kernel, tuple([step == 0 for step in steps]))
    width = CACHE_LINE // max(sizes)
    alone = (extent % width) / extent if extent < LANES else 0
    apart = sum(step not in (0, size) for step, size in zip(steps, sizes))
    return moving * (alone + (1 - alone) * IN_VECTOR) + apart * APART + (once + TO_BEGIN) / extent


def _costs_where(kernel: Kernel, are_still: tuple[bool, ...]) -> tuple[int, int]:
    """What operations cost at a point, and those that are done once, if some operands do not move."""
    known = _known_costs(kernel)
    found = known.get(are_still)
    if found is None:
        still = {o.source for o, is_still in zip(operands_of(kernel), are_still) if is_still and not o.terms}
        fixed: set[int] = set()
        moving = once = 0
        for e in kernel.expressions():
            if isinstance(e, Apply):
                if all(id(x) in fixed for x in e.operands):
                    fixed.add(id(e))
                    once += operation_cost(e)
                else:
                    moving += operation_cost(e)
            elif isinstance(e, Constant) or e in still:
                fixed.add(id(e))
        found = known[are_still] = moving, once
    return found


@derived
def _known_costs(kernel: Kernel) -> dict[tuple[bool, ...], tuple[int, int]]:
    """What `_costs_where` has found."""
    return {}


def tile_for(loops: Sequence[tuple[int, int]], moves: Sequence[Sequence[int]]) -> tuple[int, int] | None:
    """The extents of a tile of the two innermost loops, if something is read across them, as a transposed array is.

    The parts of it that are in one cache line would be met once in each run of the innermost loop, and the line be gone
    meanwhile. A tile is as wide as so many lines stay in the cache.
    """
    if len(loops) < 2:
        return None
    crossing = [abs(move[-1]) for move in moves if abs(move[-1]) >= CACHE_LINE > abs(move[-2]) > 0]
    if not crossing:
        return None
    lines = FIRST_CACHE // max(CACHE_LINE, *[gcd(stride, SAME_PLACE) for stride in crossing])
    tile = NARROW if any(stride % FEW_PLACES == 0 for stride in crossing) else WIDE
    return tile if loops[-1][1] > max(lines, tile[1]) else None


def step_of(move: int, size: int) -> int | None:
    """By how many elements of a size an operand moves, if that is to be part of the text."""
    step, rest = divmod(move, size)
    return step if step in STEPS and not rest else None


def _same_elements(
    kernel: Kernel, heads: Sequence[Sequence[int]], moves: Sequence[Sequence[int]]
) -> tuple[int, ...]:
    """For each operand the one whose pointer it has: that of an output, for a load of what the output overwrites."""
    first_output = len(heads) - len(kernel.outputs)
    written = heads[first_output:]
    for head in heads[:first_output]:
        if head in written:
            break
    else:
        return tuple(range(len(heads)))
    operands = operands_of(kernel)
    found = list(range(len(operands)))
    axes = [axis for axis, extent in enumerate(kernel.shape) if extent != 1]
    walks = [(tuple(head), tuple(move[axis] for axis in axes)) for head, move in zip(heads, moves)]
    for k, operand in enumerate(operands[:first_output]):
        if isinstance(operand.source, Load) and not operand.terms and walks[k] in walks[first_output:]:
            j = walks.index(walks[k], first_output)
            if operands[j].source.place is None:
                found[k] = j
    return tuple(found)


def merged(axes: Sequence[int], shape: Sequence[int], columns: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Loops over some axes, as (axis whose strides it has, extent): neighbours that everything walks alike are one.

    Args:
        columns: for each axis, how far operands move along it.
    """
    loops: list[tuple[int, int]] = []
    for axis in axes:
        extent = shape[axis]
        if extent == 1:
            continue
        if loops:
            last, outer = loops[-1]
            if columns[last] == tuple([move * extent for move in columns[axis]]):
                loops[-1] = (axis, outer * extent)
                continue
        loops.append((axis, extent))
    return loops


def loop_order(
    parallel: list[tuple[int, int]], reduced: list[tuple[int, int]], moves: Sequence[Sequence[int]], outputs: int
) -> tuple[list[tuple[int, int]], int | None, int]:
    """All loops, outermost first; which one is reduced in registers, if one is; and which may be run in part.

    The innermost loop is reduced in registers, unless memory is walked so much better along the last parallel loop that
    what is reduced had better be added up in the results.

    Args:
        moves: how far operands move along each axis, in bytes, or a cache line where they may move anywhere; those of
            the outputs are the last.
    """
    parallel = parallel or [(-1, 1)]
    if not reduced:
        return parallel, None, 0
    loads, stores = moves[: len(moves) - outputs], moves[len(moves) - outputs :]

    def traffic(loop: tuple[int, int], operands: Sequence[Sequence[int]]) -> int:
        return sum(min(abs(move[loop[0]]), CACHE_LINE) for move in operands)

    inside = reduced[-1], parallel[-1]
    in_registers, in_memory = (traffic(loop, loads) for loop in inside)
    if parallel == [(-1, 1)] or in_registers <= in_memory + 2 * traffic(inside[1], stores):
        return [*parallel, *reduced], len(parallel) + len(reduced) - 1, 0
    return [*parallel[:-1], *reduced, *parallel[-1:]], None, 0 if len(parallel) > 1 else len(reduced)
