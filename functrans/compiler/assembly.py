"""Assembly: every value of a program gets a place in memory, and every step becomes an instruction.

The result is a tree: blocks of instructions, of which loops and branches hold further blocks. Nothing here depends on
what runs the instructions. Temporaries that are never alive together share a place in the arena. What an equation
overwrites in part, an update at an index for one, is overwritten in place if nobody needs the array from before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.avals import ShapedArray
from ..core.jaxpr import Eqn, Jaxpr, Literal
from ..core.snapshot import is_immutable
from ..core.trace import Params
from ..source import Source
from . import accumulations, checks, convolution, extremes, regions, rows, tapes
from .apart import PlacedLoop
from .arena import assign_offsets
from .blocks import BlockAssembler, Fused, OpenBlock
from .carried import Carried, begun, ended
from .fuse import KernelStep
from .instructions import (
    Block,
    BranchRun,
    KernelRun,
    LoopRun,
    ProductRun,
    PythonRun,
    StackStep,
    Step,
    WhileRun,
    at,
    copying,
)
from .loopnest import Constant, Expression, Kernel, Load, Output, axis_index, cast, constant
from .matrices import element_by_element, linear_algebra
from .overlap import are_same
from .partials import divided_reduction
from .places import Axes, ObjectPlace, Place, Slot, as_matrices, as_numbers, contiguous_strides
from .recurring import add_recurrence
from .small_products import batches_of_products, brought_into_rows, factors_for_library, multiplied_by_kernel


class Assembled(NamedTuple):
    """A program in places.

    Attributes:
        slots: what all addresses stand for.
        arena: the size of the arena, in bytes.
        objects: how many values are no arrays.
        results: where the results are: each in memory of its own, new or that of a donated argument.
        donated: the numbers of the donated arguments; overwritten: of those that are overwritten, or handed out as
            results.
        origins: the step that each instruction is for, by the id of the instruction.
        remarks: why there are these instructions, as a sentence, by the id of the first of them.
    """

    block: Block
    slots: list[Slot]
    arena: int
    objects: int
    arguments: list[Place | ObjectPlace]
    results: list[Place | ObjectPlace]
    donated: tuple[int, ...]
    overwritten: tuple[int, ...]
    origins: dict[int, Eqn | KernelStep]
    remarks: dict[int, str]


def has_no_library(name: str) -> bool:
    """That of a backend without libraries."""
    return False


def assemble(
    jaxpr: Jaxpr,
    fused: Callable[[Jaxpr], Fused],
    supports: Callable[[Expression], bool],
    strides: Sequence[tuple[int, ...] | str | None],
    has_library: Callable[[str], bool] = has_no_library,
    has_launches: bool = False,
    donated: tuple[int, ...] = (),
) -> Assembled:
    """Give everything in a program a place.

    Args:
        fused: simplifies a jaxpr and makes kernels of it (compiler/fuse.py).
        supports: whether the backend knows a dtype, and an operation on operands of their dtypes.
        strides: those of the arguments; None for one that is no array, or tapes.ON_TAPES.
        has_library: whether the backend has one: "lapack" for compiler/matrices.py, "sort" and "fft" for
            compiler/rows.py.
        has_launches: whether instructions are launches on a GPU. Each takes microseconds, and so does a call of Python;
            but one may go over all that there is. So the backend divides large reductions itself, scans arrays, and
            sums up products of rows and columns by tiles that threads share; its library multiplies numbers of half
            precision and bfloat16. It goes through stacks in loops of instructions only, without chains over groups of
            rows.
        donated: the numbers of arguments that may be overwritten: those that lie in row-major order are.
    """
    assembler = Assembler(fused, supports, has_library, has_launches)
    arguments = [assembler.argument(v.aval, own) for v, own in zip(jaxpr.inputs, strides, strict=True)]
    results = [
        assembler.contiguous("result", a.aval) if isinstance(a.aval, ShapedArray) else assembler.object()
        for a in jaxpr.outputs
    ]
    lent = {place.slot: i for i, place in enumerate(arguments) if i in donated and can_be_overwritten(place)}
    top = BlockAssembler(assembler, fused(jaxpr), arguments, results, [], lent)
    block = top.run()
    overwritten = tuple(lent[slot] for slot in top.homes.lent.taken)
    arena = assign_offsets([slot for slot in assembler.slots if slot.kind == "temporary"])
    notes = assembler.origins, assembler.remarks
    return Assembled(block, assembler.slots, arena, assembler.objects, arguments, results, donated, overwritten, *notes)


def can_be_overwritten(place: Place | ObjectPlace) -> bool:
    """Whether a donated argument lies in memory as a result would."""
    return isinstance(place, Place) and bool(place.shape) and 0 not in place.shape and place.is_contiguous


class Assembler:
    """Hands out places, and makes blocks."""

    def __init__(
        self,
        fused: Callable[[Jaxpr], Fused],
        supports: Callable[[Expression], bool],
        has_library: Callable[[str], bool],
        has_launches: bool = False,
    ):
        self.fused = fused
        self.supports = supports
        self.has_library = has_library
        self.has_launches = has_launches
        self.slots: list[Slot] = []
        self.objects = 0
        self.now = 0
        self.constants: dict[Any, Place] = {}  # by the ids and dtypes of values, by numbers, and by other places
        self.values: list[Any] = []  # those of constants, so that none has the id of another one
        self.source: Source | None = None  # of the equation that is being assembled
        self.times: dict[int, int] = {}  # when an instruction runs, by its id
        self.checked: set[tuple[int, Place, int]] = set()  # indices, by block and extent
        self.open: list[OpenBlock] = []  # those that are being assembled, each in the one before
        self.ahead: Block = []  # instructions that have been put in front of the loop that they are for
        self.overwritten: set[int] = set()  # slots with arrays that are changed in place
        self.origins: dict[int, Eqn | KernelStep] = {}
        self.remarks: dict[int, str] = {}
        self.on_tapes: dict[int, int] = {}  # stacks of stacks that are, or hold such some levels below, by number
        self.blocks: list[Block] = []  # all there have been, so that none has the id of another one

    @property
    def product_types(self) -> str:
        """The dtypes of matrices that a library multiplies, by their characters."""
        return "eEfdFD" if self.has_launches else "fdFD"

    # ---- places

    def slot(self, kind: str, size: int = 0, value: Any = None) -> int:
        self.slots.append(Slot(kind, size, self.now + 1, value))
        return len(self.slots) - 1

    def argument(self, aval: Any, strides: tuple[int, ...] | str | None) -> Place | ObjectPlace:
        """Where an argument is."""
        if isinstance(strides, tuple):
            return Place(self.slot("argument"), 0, aval.shape, aval.dtype, strides)
        place = self.object()
        if strides == tapes.ON_TAPES:
            self.on_tapes[place.number] = 0
        return place

    def object(self) -> ObjectPlace:
        self.objects += 1
        return ObjectPlace(self.objects - 1)

    def contiguous(self, kind: str, aval: ShapedArray) -> Place:
        """Room for an array."""
        itemsize = aval.dtype.itemsize
        slot = self.slot(kind, aval.size * itemsize)
        return tuple.__new__(Place, (slot, 0, aval.shape, aval.dtype, contiguous_strides(aval.shape, itemsize)))

    def temporary(self, aval: Any) -> Place | ObjectPlace:
        return self.contiguous("temporary", aval) if isinstance(aval, ShapedArray) else self.object()

    def constant(self, literal: Literal) -> Place:
        """Where a constant is, of which there is a copy if it could be changed by others."""
        key = id(literal.value), literal.aval.dtype
        place = self.constants.get(key)
        if place is None:
            value, dtype = literal.value, literal.aval.dtype
            is_ready = type(value) is np.ndarray and value.dtype == dtype and value.flags.c_contiguous
            if not (is_ready and is_immutable(value)):
                value = np.array(value, dtype, order="C")
            place = Place(self.slot("constant", 0, value), 0, value.shape, value.dtype, value.strides)
            self.constants[key] = place
            self.values.append(literal.value)
        return place

    def in_row_major_order(self, place: Place) -> Place | None:
        """The elements of a constant array, for those who only read them; None for what is no such array."""
        slot = self.slots[place.slot]
        if slot.kind != "constant" or place.nbytes > slot.value.nbytes:
            return None
        found = self.constants.get(place)
        if found is None:
            value = np.ndarray(place.shape, place.dtype, slot.value, place.offset, place.strides).copy()
            found = place._replace(slot=self.slot("constant", 0, value), offset=0, strides=value.strides)
            self.constants[place] = found
        return found

    def number(self, constant: Constant) -> Place:
        """Where a number is that is part of a kernel."""
        place = self.constants.get(constant)
        if place is None:
            value = np.array(constant.number)
            place = self.constants[constant] = Place(self.slot("constant", 0, value), 0, (), value.dtype, ())
        return place

    def use(self, place: Place | ObjectPlace) -> None:
        """A place is in use now."""
        if isinstance(place, Place):
            self.slots[place.slot].use(self.now)

    # ---- blocks

    def block(
        self, jaxpr: Jaxpr, inputs: Sequence[Place | ObjectPlace], outputs: Sequence[Place | ObjectPlace]
    ) -> Block:
        """The instructions that compute `outputs` from `inputs`."""
        return BlockAssembler(self, self.fused(jaxpr), inputs, outputs, []).run()

    def loop_body(
        self,
        jaxpr: Jaxpr,
        consts: Sequence[Place | ObjectPlace],
        before: Sequence[Place],
        xs: Sequence[Place | ObjectPlace],
        after: Sequence[Place],
        ys: Sequence[Place | ObjectPlace],
        is_sure: bool = False,
    ) -> tuple[Block, tuple[tuple[int, int], ...], list[tuple[Place, Place, regions.Region]]]:
        """The instructions of a loop's body, which slots of the carry are exchanged after it, and what it expects.

        Those that the body leaves alone, or overwrites in place, are not exchanged. The body expects that what
        surrounds some regions is copied from one place of the carry to the other one before the loop.

        Args:
            is_sure: whether the loop has a first step for sure.
        """
        assembler = BlockAssembler(self, self.fused(jaxpr), [*consts, *before, *xs], [*after, *ys], before)
        slots = frozenset(place.slot for place in consts if isinstance(place, Place))
        block = assembler.run(slots if is_sure else frozenset())
        pairs = enumerate(zip(before, after))
        swaps = tuple((b.slot, a.slot) for i, (b, a) in pairs if i not in assembler.stayed)
        return block, swaps, [(before[i], after[i], region) for i, region in assembler.homes.lasting]

    def step(self, block: Block, instruction: Any, places: Sequence[Place | ObjectPlace]) -> None:
        """Add an instruction that uses some places."""
        self.now += 1
        self.times[id(instruction)] = self.now
        for place in places:
            self.use(place)
        block.append(instruction)

    def copy(self, block: Block, source: Place | ObjectPlace, target: Place | ObjectPlace) -> None:
        """Add the instruction that copies an array, unless it is there already."""
        if isinstance(source, Place) and isinstance(target, Place):
            if are_same(source, target):
                return
            # Along the lines that are written: those that are read across can be met again.
            if not target.is_contiguous:
                order = sorted(range(len(target.shape)), key=lambda axis: -abs(target.strides[axis]))
                source, target = (place.transposed(order) for place in (source, target))
            source, target = as_numbers(source), as_numbers(target)
            self.step(block, KernelRun(copying(source), (source,), (target,)), (source, target))
        elif source != target:  # a stack that a loop leaves is written where it is wanted
            self.step(block, PythonRun(_same, {}, (source,), (target,), "copy"), (source, target))

    def note_origin(self, block: Block, step: Eqn | KernelStep) -> None:
        """Instructions, those in loops that were added for the same step included, are for a step of the program."""
        for instruction in block:
            self.origins.setdefault(id(instruction), step)
            if isinstance(instruction, LoopRun):
                self.note_origin([i for i in instruction.body if id(i) not in self.origins], step)

    def remark(self, block: Block, start: int, sentence: str) -> None:
        """Say why there are the instructions of a block from a number on."""
        if len(block) > start:
            self.remarks[id(block[start])] = sentence

    def python(
        self, primitive: Any, sources: Sequence[Any], targets: Sequence[Any], params: Params, avals: Sequence[Any] = ()
    ) -> PythonRun:
        """The instruction that calls the implementation of a primitive.

        Args:
            avals: the types of the operands, where it matters which of them are Python numbers.
        """
        is_number = [isinstance(aval, ShapedArray) and aval.weak and not aval.shape for aval in avals]
        function = _of_numbers(primitive.impl, is_number) if any(is_number) else primitive.impl
        return PythonRun(function, params, tuple(sources), tuple(targets), primitive.name, self.source)

    def kernel(self, block: Block, kernel: Kernel, sources: Sequence[Place], targets: Sequence[Place]) -> None:
        """Add the instruction that runs a kernel; several for a large reduction, so that threads can share it."""
        products = [] if self.has_launches else batches_of_products(kernel, sources, targets)
        if products and {product.x.dtype.char for product in products} <= set(self.product_types):
            for product, target in zip(products, targets):
                self.contract(block, product.x, product.y, target, product.x_axes, product.y_axes)
            return
        if not self.has_launches:
            sources = brought_into_rows(self, block, kernel, sources)
        divided = None if self.has_launches else divided_reduction(kernel, sources)
        if divided is not None:
            sources = self.partial_results(block, divided.pieces, sources)
            kernel = divided.last
        self.step(block, KernelRun(kernel, tuple(sources), tuple(targets)), (*sources, *targets))

    def partial_results(self, block: Block, pieces: Sequence[Kernel], sources: Sequence[Place]) -> list[Place]:
        """Run the parts of a reduction; one array of their results for each output."""
        first = pieces[0]
        shape = (sum(piece.shape[0] for piece in pieces), *first.shape[1 : len(first.shape) - first.reduced])
        arrays = [self.contiguous("temporary", ShapedArray(shape, o.expression.dtype)) for o in first.outputs]
        start, others = 0, len(shape) - 1
        for piece in pieces:
            stop = start + piece.shape[0]
            box = (start, *[0] * others), (stop, *shape[1:]), (1,) * len(shape)
            targets = [place.sliced(*box) for place in arrays]
            self.step(block, KernelRun(piece, tuple(sources), tuple(targets)), (*sources, *targets))
            start = stop
        return arrays

    def contiguous_copy(self, block: Block, place: Place) -> Place:
        """A copy of an array in row-major order."""
        target = self.contiguous("temporary", ShapedArray(place.shape, place.dtype))
        self.copy(block, place, target)
        return target

    def fill_with_zeros(self, block: Block, target: Place) -> None:
        """Add the instruction that sets an array to zero."""
        target = as_numbers(target)
        zero = Output(constant(0, target.dtype), None)
        self.step(block, KernelRun(Kernel(target.shape, 0, (zero,), ()), (), (target,)), (target,))

    def converted(self, block: Block, source: Place, dtype: np.dtype[Any]) -> Place:
        """An array in some dtype; a copy, if it has another one."""
        if source.dtype == dtype:
            return source
        target = self.contiguous("temporary", ShapedArray(source.shape, dtype))
        self.convert(block, source, target)
        return target

    def convert(self, block: Block, source: Place, target: Place) -> None:
        """Add the instruction that copies an array to one of the same shape, in the dtype of that one."""
        if source.dtype == target.dtype:
            self.copy(block, source, target)
            return
        space = tuple(map(axis_index, range(len(target.shape))))
        element = cast(Load(0, space, source.dtype), target.dtype)
        self.kernel(block, Kernel(target.shape, 0, (Output(element, None),), (0,)), (source,), (target,))

    def contract(
        self, block: Block, x: Place, y: Place, z: Place, x_axes: Sequence[Axes], y_axes: Sequence[Axes]
    ) -> None:
        """Add the instructions for a sum of products.

        Args:
            x_axes: those of the batch, those that are left, and those that are summed over.
            y_axes: those of the batch, those that are summed over, and those that are left.
            z: has the axes of the batch, those left of x, and those left of y.
        """
        a, b = self.matrices(block, x, x_axes), self.matrices(block, y, y_axes)
        c = z.reshaped((a.shape[0], a.shape[1], b.shape[2]))
        if not self.has_launches:
            if multiplied_by_kernel(self, block, a, b, c):
                return
            a, b = factors_for_library(self, block, a, b)
        self.multiply(block, a, b, c)

    def multiply(self, block: Block, x: Place, y: Place, z: Place, adds: bool = False) -> None:
        """Add the instruction that multiplies matrices."""
        self.step(block, ProductRun(x, y, z, adds), (x, y, z))

    def matrices(self, block: Block, place: Place, groups: Sequence[Axes]) -> Place:
        """An array as a batch of matrices that BLAS can read; a copy, if there is no such view of it.

        Constants are copied now, others when the program runs.
        """
        found = as_matrices(place, groups)
        if found is not None:
            return found
        ordered = place.transposed(permutation=[axis for group in groups for axis in group])
        target = self.in_row_major_order(ordered) or self.contiguous_copy(block, ordered)
        return target.reshaped(tuple(prod(place.shape[axis] for axis in group) for group in groups))

    # ---- parts of arrays, convolutions, and what libraries and loops do

    check = checks.check
    concatenate = regions.concatenate
    pad = regions.pad
    update_region = regions.update_region
    gather = regions.gather
    integer_power = regions.integer_power
    scatter = regions.scatter
    convolve = convolution.convolve
    linear_algebra = linear_algebra
    element_by_element = element_by_element
    sort = rows.sort
    argsort = rows.argsort
    fourier = rows.fourier
    accumulate = accumulations.accumulate
    arg_extreme = extremes.arg_extreme

    # ---- loops and branches

    can_loop = tapes.can_loop

    def loop(
        self,
        block: Block,
        body: Jaxpr,
        length: int | Place,
        is_reverse: bool,
        consts: Sequence[Place | ObjectPlace],
        carry: Sequence[Place],
        xs: Sequence[Place | ObjectPlace],
        finals: Sequence[Place],
        ys: Sequence[Place | ObjectPlace],
    ) -> None:
        """Add the instruction that runs `consts, carry, x -> carry, y` once for each element of the xs and ys.

        The latter may be stacks, and constants too. A step that kernels compute writes a row in row-major order: where
        ys do not have those, they are copied from there in the end.
        """
        tape, x_along, y_along = tapes.along(self, body, xs, ys)
        along = tapes.wholes(x_along), tapes.wholes(y_along)
        loop = PlacedLoop(body, None, consts, carry, along[0], finals, along[1], length, is_reverse)
        why = add_recurrence(self, block, loop, tape)
        if why is None:
            return
        turned = [way for way in y_along if isinstance(way, Place) and not way.is_contiguous]
        rows = {way: self.contiguous("temporary", ShapedArray(way.shape, way.dtype)) for way in turned}
        y_along = [rows.get(way, way) if isinstance(way, Place) else way for way in y_along]
        state = [Carried(self, final) for final in finals]
        before, after = [c.before for c in state], [c.after for c in state]
        since = self.now
        x_steps, y_steps = ([self.element(way) for way in group] for group in (x_along, y_along))
        parts = [*map(at, x_steps)], after, [*map(at, y_steps)]
        is_sure = isinstance(length, int) and length > 0
        tapes.note_read(self, tape)
        inner, swaps, expected = self.loop_body(body, consts, before, *parts, is_sure)
        tapes.note_written(self, tape)
        self.repeated(since)
        steps = tuple(step for step in (*x_steps, *y_steps) if isinstance(step, Step))
        begins = begun(self, block, state, carry, swaps, length, expected)
        run = LoopRun(inner, length, is_reverse, steps, swaps, why, tape, begins)
        counter = [length] if isinstance(length, Place) else []
        self.step(block, run, [*counter, *consts, *(p for c in state for p in c.places), *xs, *ys, *rows.values()])
        ended(self, block, state)
        for way, row in rows.items():
            self.copy(block, row, way)

    def repeat(
        self,
        block: Block,
        places: Sequence[Place],
        depth: int,
        body: Callable[[Block, list[Place]], None],
    ) -> None:
        """Add loops over the first axes of some places, around what `body` adds for their elements."""
        if not depth:
            body(block, list(places))
            return
        if places[0].shape[0] == 1:
            first = [p._replace(shape=p.shape[1:], strides=p.strides[1:]) for p in places]
            self.repeat(block, first, depth - 1, body)
            return
        since = self.now
        steps = [self.element(place) for place in places]
        inner: Block = []
        self.repeat(inner, [*map(at, steps)], depth - 1, body)
        self.repeated(since)
        self.step(block, LoopRun(inner, places[0].shape[0], False, tuple(steps), ()), places)

    def while_loop(
        self,
        block: Block,
        cond: Jaxpr,
        body: Jaxpr,
        consts: Sequence[Place | ObjectPlace],
        carry: Sequence[Place],
        count: Place,
        finals: Sequence[Place],
        ys: Sequence[ObjectPlace],
    ) -> None:
        """Add the instruction that runs `consts, carry -> carry, y` as long as `consts, carry -> boolean` holds.

        The ys are stacks.
        """
        tape, _, along = tapes.along(self, body, (), ys)
        loop = PlacedLoop(body, cond, consts, carry, (), finals, tapes.wholes(along), count=count)
        why = add_recurrence(self, block, loop, tape)
        if why is None:
            return
        state = [Carried(self, final) for final in finals]
        before, after = [c.before for c in state], [c.after for c in state]
        since = self.now
        going = self.contiguous("temporary", cond.outputs[0].aval)
        test = self.block(cond, [*consts, *before], [going])
        inner, swaps, expected = self.loop_body(body, consts, before, [], after, [*map(at, along)])
        tapes.note_written(self, tape)
        self.repeated(since)
        begins = begun(self, block, state, carry, swaps, None, expected)
        run = WhileRun(test, going, inner, swaps, count, why, tape, begins)
        self.step(block, run, [going, count, *consts, *(p for c in state for p in c.places)])
        ended(self, block, state)

    def branch(
        self,
        block: Block,
        index: Place,
        branches: Sequence[Jaxpr],
        operands: Sequence[Place | ObjectPlace],
        results: Sequence[Place | ObjectPlace],
    ) -> None:
        """Add the instruction that runs one of several programs."""
        blocks = tuple(self.block(branch, operands, results) for branch in branches)
        for place in results:
            if isinstance(place, ObjectPlace):
                self.on_tapes.pop(place.number, None)
        self.step(block, BranchRun(index, blocks), [index, *operands, *results])

    def element(self, along: Place | StackStep) -> Step | StackStep:
        return Step(self.slot("step"), along) if isinstance(along, Place) else along

    def repeated(self, since: int) -> None:
        """What was there before a loop and is used in it must last until its end."""
        self.now += 1
        for slot in self.slots:
            if slot.first <= since < slot.last:
                slot.last = self.now


def _of_numbers(function: Callable[..., Sequence[Any]], is_number: Sequence[bool]) -> Callable[..., Sequence[Any]]:
    """A function given Python numbers where it would be given arrays of one: these would not be weak."""

    def of_numbers(*operands: Any, **params: Any) -> Sequence[Any]:
        return function(*(x.item() if weak else x for x, weak in zip(operands, is_number)), **params)

    return of_numbers


def _same(x: Any) -> list[Any]:
    return [x]
