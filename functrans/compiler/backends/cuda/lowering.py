"""Kernels of a program as launches: which threads do what, and what is done in two stages."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from ...inspection.texts import kernel_text
from ...instructions import KernelRun
from ...loopnest import Apply, Expression, Kernel, Load, axis_index, cast
from ...operations.values import HALF, SINGLE
from ...places import Place, contiguous_strides
from . import layouts
from .checks import Note
from .codegen import kernel_function
from .contractions import Contraction, Tile, contraction_function, contraction_of
from .contractions import arguments_of as contraction_arguments
from .launches import Launch, Pointer
from .layouts import (
    BLOCK,
    RESIDENT,
    TILE,
    Form,
    Nest,
    along_results,
    arguments_of,
    is_short,
    lanes,
    moves,
    nest_of,
    side_by_side,
    turned,
)
from .sums import by_integers
from .updates import by_vote, walked_axes

#: The neighbouring results of a block that reduces columns, at most, and the threads that each of them then has.
COLUMNS, ROWS = 32, BLOCK // 32
#: The threads of a warp, and the loads of a row that each of them should have, if that leaves threads for a whole GPU.
WARP, LOADS = 32, 4
#: Blocks of one launch at most, for each multiprocessor: a thread then works on several points, one after the other.
WAVES = 32


class Target(NamedTuple):
    """What launches depend on beside the program.

    Attributes:
        processors: how many multiprocessors there are; 0 stands for a single block.
        is_aligned: for each slot, whether its address is a multiple of layouts.VECTOR.
        scratch: the slot of memory that the stages of one reduction share.
        is_deterministic: whether sums of floats at computed indices are to be the same each time.
        failed: the slot of what tells whether a check of indices has failed; None if there are no checks.
    """

    processors: int
    is_aligned: Sequence[bool]
    scratch: int
    failed: int | None
    is_deterministic: bool = False

    @property
    def threads(self) -> int:
        """How many run at the same time."""
        return RESIDENT * self.processors or BLOCK


def launches_of(run: KernelRun, target: Target, note: Note | None = None) -> list[Launch]:
    """A kernel as one launch, or several.

    Args:
        note: the check that it makes, of an output that has an element for each point.
    """
    if 0 in run.kernel.shape:
        return []
    return _reduction(run, target) if run.kernel.reduced else _points(run, target, note)


# ---- points


def _points(run: KernelRun, target: Target, note: Note | None = None) -> list[Launch]:
    serial, updates = walked_axes(run.kernel, target.is_deterministic)
    if serial or any(updates):
        assert note is None, "updates compute no indices"
        return _updates(run, target, serial, updates)
    nest = along_results(nest_of(run.kernel, run.sources, run.targets))
    tiles, across = turned(nest)
    has_tiles = bool(tiles) and target.processors > 0
    count = 1 if has_tiles else lanes(nest, -1, target.is_aligned)
    form = _form(nest, target, 1, count)._replace(checked=note.output if note else None)
    if has_tiles:
        form = form._replace(turned=tiles, across=across)
    else:
        form = form._replace(together=side_by_side(nest, target.is_aligned, count > 1))
    launch = _launch(nest, form, target, _tiles(nest, across) * BLOCK if has_tiles else nest.results // count, 1)
    return [launch._replace(arguments=(*launch.arguments, *note.arguments)) if note else launch]


def _updates(
    run: KernelRun, target: Target, serial: Sequence[int], updates: tuple[str | None, ...]
) -> list[Launch]:
    """A kernel in which many points may write to the same place (`walked_axes`)."""
    together = (by_vote(run, target.scratch) or by_integers(run, target.scratch)) if serial else None
    if together is not None:
        runs, size = together
        launches = [launch for part in runs for launch in _points(part, target)]
        return [launches[0]._replace(scratch=size), *launches[1:]]
    nest = nest_of(run.kernel, run.sources, run.targets, serial)
    form = _form(nest, target, 1, 1, updates)
    blocks = _blocks_with_copies(run, nest, updates, target)
    if blocks:
        return [_with_copies(_launch(nest, form._replace(has_copies=True), target, blocks * BLOCK, 1), run)]
    return [_launch(nest, form, target, nest.results, 1)]


def _blocks_with_copies(run: KernelRun, nest: Nest, updates: tuple[str | None, ...], target: Target) -> int:
    """How many blocks are to update copies of their own of what all points update; 0 if none, for there are so many
    places that points hardly meet, or so few points that it takes longer to put the copies together."""
    (place, *others), access = run.targets, nest.accesses[-1]
    if others or updates != ("atomic",) or not place.is_contiguous or access.offset != place.offset:
        return 0
    if not place.shape or prod(place.shape) * place.dtype.itemsize > layouts.MOST_COPIED:
        return 0
    blocks = nest.results // max(BLOCK, layouts.LEAST_MEETINGS * prod(place.shape))
    return min(blocks, target.threads // BLOCK) if blocks >= target.processors > 0 else 0


def _with_copies(launch: Launch, run: KernelRun) -> Launch:
    """A launch whose blocks have copies: it is told of how many elements, and has room for them."""
    (place,) = run.targets
    count = prod(place.shape)
    shared = -(-count * place.dtype.itemsize // 16) * 16  # parts of words are updated by whole words
    return launch._replace(shared=shared, arguments=(*launch.arguments, count))


def _tiles(nest: Nest, across: int) -> int:
    """How many tiles there are, along two loops and for each point of the others."""
    *others, inner = nest.extents
    edges = [-(-n // TILE) for n in (others.pop(across), inner)]
    return prod((*others, *edges))


# ---- reductions


def in_single(run: KernelRun) -> KernelRun:
    """The same with reductions of numbers in half precision done in single: they are rounded once, at the end."""
    kernel = run.kernel
    if not kernel.reduced or all(o.expression.dtype != HALF for o in kernel.outputs):
        return run
    outputs = tuple(o._replace(expression=_widened(o.expression)) for o in kernel.outputs)
    return run._replace(kernel=kernel._replace(outputs=outputs))


def _widened(expression: Expression) -> Expression:
    """A number in half precision in single; a product, which is exact there, as such."""
    if expression.dtype != HALF:
        return expression
    if isinstance(expression, Apply) and expression.operation == "multiply":
        return Apply("multiply", tuple(cast(x, SINGLE) for x in expression.operands), SINGLE)
    return cast(expression, SINGLE)


def _reduction(run: KernelRun, target: Target, may_divide: bool = True) -> list[Launch]:
    run = in_single(run)
    contraction = contraction_of(run)
    if contraction is not None and target.processors:
        return _contraction(run, contraction, target)
    nest = nest_of(run.kernel, run.sources, run.targets)
    team = _team(nest, target)
    form = _reduction_form(nest, target, team)
    parts = _parts(nest, target, form) if may_divide and target.processors else 1
    if parts == 1:
        return [_launch(nest, form, target, _units(nest, form), 1)]
    partial, last, size = _stages(run, parts, target.scratch)
    nest = nest_of(partial.kernel, partial.sources, partial.targets)
    form = _reduction_form(nest, target, team)._replace(is_divided=True)
    first = _launch(nest, form, target, _units(nest, form), parts)
    ways = [place.strides[0] for place in last.sources]
    own = len(arguments_of(nest, form))
    arguments = (*first.arguments[:own], *ways, *first.arguments[own:])
    first = first._replace(arguments=arguments, scratch=size)
    return [first, *_reduction(last, target, may_divide=False)]


def _reduction_form(nest: Nest, target: Target, team: int) -> Form:
    """The form of a reduction, whose threads load as many neighbours at once as they can."""
    if not team:
        return _by_columns(nest, _form(nest, target, team, 1), target)
    count = lanes(nest, -1, target.is_aligned) if len(nest.extents) > nest.parallel else 1
    return _form(nest, target, team, count)


def _by_columns(nest: Nest, form: Form, target: Target) -> Form:
    """The neighbouring results of a thread: what is loaded at once, or all along a short loop; and those of a block."""
    count, extent = lanes(nest, nest.parallel - 1, target.is_aligned), nest.extents[nest.parallel - 1]
    threads = nest.results // count * max(1, nest.reduced // layouts.LEAST_SHARE)
    if threads < BLOCK * target.processors:  # some multiprocessors would have nothing to do
        count = 1
    is_apart = count == 1 and extent <= layouts.MOST_LANES
    count = extent if is_apart else count
    columns = min(COLUMNS, 1 << (nest.results // count - 1).bit_length())
    return form._replace(lanes=count, is_apart=is_apart, columns=columns)


def _units(nest: Nest, form: Form) -> int:
    """What is shared out to blocks: threads, or, of columns, what a thread has neighbouring results of."""
    return nest.results * form.team if form.team else nest.results // form.lanes


def _contraction(run: KernelRun, c: Contraction, target: Target) -> list[Launch]:
    """A block for each tile of results, or several for parts of the sums."""
    tile, parts = c.shared_out(target.processors)
    if parts == 1:
        return [_tiled(c, tile, target, 1, ())]
    partial, last, size = _stages(run, parts, target.scratch)
    found = contraction_of(partial)
    assert found is not None
    first = _tiled(found, tile, target, parts, (last.sources[0].strides[0],))
    return [first._replace(scratch=size), *_reduction(last, target, may_divide=False)]


def _tiled(c: Contraction, tile: Tile, target: Target, parts: int, ways: tuple[int, ...]) -> Launch:
    grid = min(c.tiles(tile), WAVES * target.processors), parts, 1
    source, about = contraction_function(c, tile, parts > 1), kernel_text(c.nest.kernel)
    return Launch(source, grid, (BLOCK, 1, 1), 0, (*contraction_arguments(c), *ways), about)


def _team(nest: Nest, target: Target) -> int:
    """How many threads share a result; 0 for columns."""
    loads = nest.accesses[: len(nest.accesses) - len(nest.kernel.outputs)]
    last = len(nest.extents) - 1

    def distance(loop: int) -> int:
        return sum(abs(a.strides[loop]) for a in loads if a.slot is not None)

    if nest.reduced == 1:
        return 1
    by_rows = nest.parallel == 0 or distance(last) <= distance(nest.parallel - 1)
    if not by_rows:
        has_common = 1 < nest.extents[nest.parallel - 1] <= layouts.MOST_LANES
        is_many = nest.results >= target.threads // 2 and not has_common
        return 1 if is_many or nest.reduced < 2 * ROWS else 0
    if nest.reduced < layouts.SHORT_ROW:
        return 1
    is_much = nest.reduced // (WARP * lanes(nest, -1, target.is_aligned)) > layouts.WORTH_DIVIDING
    is_for_blocks = is_much and nest.results * WARP < target.threads
    return BLOCK if nest.reduced > layouts.LONG_ROW or is_for_blocks else _part_of_warp(nest, target)


def _part_of_warp(nest: Nest, target: Target) -> int:
    """How many threads of a warp share a row: so many that each has some loads on their way at a time, and no more if
    there are rows enough for all of the GPU, or most threads of a warp would have nothing to do."""
    loads = nest.reduced // lanes(nest, -1, target.is_aligned)
    team = 2
    while team < WARP and (team * 2 * LOADS <= loads or team * nest.results < target.threads):
        team *= 2
    return team


def _parts(nest: Nest, target: Target, form: Form) -> int:
    """Into how many parts to divide each reduction, so that all multiprocessors have enough on its way to them."""
    rows, count = (form.team, form.lanes) if form.team else (BLOCK // form.columns, 1)
    loads = [a for a in nest.accesses[: len(nest.accesses) - len(nest.kernel.outputs)] if a.slot is not None]
    at_once = form.lanes * sum(a.itemsize for a in loads) * layouts.LEAST_SHARE
    threads = min(target.threads, target.processors * layouts.IN_FLIGHT // max(at_once, 1))
    wanted = threads // max(nest.results * form.team or -(-_units(nest, form) // form.columns) * BLOCK, 1)
    if layouts.FEW_BLOCKS * COLUMNS < nest.results <= layouts.FEW_BLOCKS * BLOCK:  # a thread for each adds up its parts
        wanted = min(wanted, max(layouts.SHORT_ROW - 1, 2))
    return layouts.parts_of(nest.reduced // (rows * count), wanted)


def _stages(run: KernelRun, parts: int, scratch: int) -> tuple[KernelRun, KernelRun, int]:
    """A reduction into memory of its own for each part, one of these parts, and how many bytes that is."""
    kernel = run.kernel
    shape = kernel.shape[: len(kernel.shape) - kernel.reduced]
    places: list[Place] = []
    offset = 0
    for output in kernel.outputs:
        dtype = output.expression.dtype
        strides = contiguous_strides((parts, *shape), dtype.itemsize)
        places.append(Place(scratch, offset, (parts, *shape), dtype, strides))
        offset += -(-parts * int(np.prod(shape)) * dtype.itemsize // 256) * 256
    partial = [p._replace(shape=shape, strides=p.strides[1:]) for p in places]
    index = (axis_index(len(shape)), *map(axis_index, range(len(shape))))
    loads = (Load(k, index, output.expression.dtype) for k, output in enumerate(kernel.outputs))
    outputs = tuple(o._replace(expression=load) for o, load in zip(kernel.outputs, loads))
    last = Kernel((*shape, parts), 1, outputs, tuple(range(len(outputs))))
    anew = kernel._replace(outputs=tuple(o._replace(place=None) for o in kernel.outputs))
    return KernelRun(anew, run.sources, tuple(partial)), KernelRun(last, tuple(places), run.targets), offset


# ---- launches


def _form(
    nest: Nest,
    target: Target,
    team: int,
    lanes: int,
    updates: tuple[str | None, ...] = (),
) -> Form:
    reduced = len(nest.extents) - nest.parallel
    inner = nest.parallel - 1 if reduced and not team else -1
    has_terms = any(a.terms for a in nest.accesses)
    return Form(
        parallel=nest.parallel,
        reduced=reduced,
        team=team,
        lanes=lanes,
        moves=moves(nest, inner),
        is_wide=not is_short(nest),
        is_divided=False,
        is_guarded=has_terms and target.failed is not None,
        updates=updates or (None,) * len(nest.kernel.outputs),
    )


def _launch(nest: Nest, form: Form, target: Target, threads: int, parts: int) -> Launch:
    """The kernel for so many threads: one for each unit of work, if that many can be had."""
    if form.team or not form.reduced:
        per_block = BLOCK
    else:
        per_block = form.columns
    blocks = max(1, min(-(-threads // per_block), WAVES * target.processors))
    arguments = arguments_of(nest, form)
    if form.is_guarded:
        assert target.failed is not None
        arguments.append(Pointer(target.failed, 0))
    source, about = kernel_function(nest, form), kernel_text(nest.kernel)
    declared = _declared(nest, form)
    return Launch(source, (blocks, parts, 1), (BLOCK, 1, 1), 0, tuple(arguments), about, declared=declared)


def _declared(nest: Nest, form: Form) -> int:
    """The bytes of shared memory in which a block reduces: what each thread has, by columns, or each warp."""
    if not form.reduced or 0 < form.team <= WARP:
        return 0
    each = sum(output.expression.dtype.itemsize for output in nest.kernel.outputs)
    return each * (WARP if form.team else BLOCK)


__all__ = ["Target", "launches_of"]
