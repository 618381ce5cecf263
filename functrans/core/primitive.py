"""Primitive: one operation and all that every interpreter must know of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..errors import NonDifferentiableError, TransposeError
from .avals import ShapedArray, Zero, is_inexact
from .dtypes import SINGLE, is_bfloat16, result_type
from .trace import Params, Trace, bind, bind_one, typeof


@dataclass(eq=False, slots=True)
class UndefinedPrimal:
    """The hole in a transpose rule: the operand that the primitive is linear in, known only by its type."""

    aval: ShapedArray


class SharedOperands(NamedTuple):
    """Operands of an equation that are the first inputs of programs it holds, and the same whenever those run.

    Their number is the parameter `consts`, if there is one of that name.

    Attributes:
        start, number: which operands these are.
        programs: the names of the parameters that hold the programs, or tuples of them.
        repeats: whether the programs run again and again, so that what depends on these operands only is the same.
        at_least_once: whether all of the programs are certain to run.
    """

    start: int
    number: int
    programs: tuple[str, ...]
    repeats: bool = False
    at_least_once: bool = False


#: Every primitive by name, for the completeness test and for looking around.
registry: dict[str, Primitive] = {}


def registered(name: str) -> Primitive:
    """The primitive of this name."""
    return registry[name]


class Lowered(NamedTuple):
    """How a kernel computes a reduction.

    Attributes:
        shape: of the space; its last axes are reduced, the others are those of the result.
        reduced: how many are reduced.
        combine: "add", "multiply", "maximum", "minimum", "logical_and" or "logical_or".
        element: from an index of the space to what is combined.
    """

    shape: tuple[int, ...]
    reduced: int
    combine: str
    element: Callable[..., Any]


class Primitive:
    """One operation on arrays. Subclasses write these methods, in this order; families derive most of them.

    Parameters of the operation (axes, shapes ...) are keyword arguments and hashable. Operands are arrays, Python
    scalars or tracers. In `jvp`, `transpose` and `batch` the current trace is already the one to compute in: call
    other primitives, not NumPy, on the operands. Results are always lists.
    """

    #: Whether parameters hold jaxprs or functions, so that partial evaluation splits them (`partial_eval`).
    holds_programs = False
    #: Whether `program_to_run` may know a program.
    stands_for_program = False
    #: Whether the result is the first operand with a part of it changed, so that a program may change it in place.
    updates_first = False
    #: From which operand on there are indices, by which it reads or changes the first one.
    first_index: int | None = None
    #: Whether operands may be refused for their values, as indices out of bounds are: even if nothing is computed.
    may_refuse = False
    #: Whether running it never ends with an error, whatever the values of its operands; where that depends on more,
    #: `may_fail` says so.
    never_fails = False
    #: Whether what it makes of constants is left for programs to compute: random numbers, functions of users.
    is_left_to_programs = False
    #: Whether forward mode calls `jvp_noting`, and keeps what it notes on a result for later primitives to read.
    takes_notes = False
    #: Whether `lower` looks at nothing but parameters, dtypes, ranks and which extents are one, and makes loads at
    #: fixed places or those of the result, so that what it has made once is good for arrays of other sizes.
    lowers_by_dtype = False
    #: Whether results may be Python scalars where not all operands are.
    may_be_weak = False
    #: How many additions it takes for each element of an operand or the result, where these are few: what is cheap is
    #: computed again for a derivative rather than kept. None: many. `work_on` may know more.
    work: int | None = None
    #: Whether elements of the operands are in the results as they are, or nowhere: nothing is computed with them.
    only_moves = False
    #: Whether each element of the result is computed from those at the same place of the operands, which broadcast, and
    #: parameters have nothing to do with shapes.
    is_pointwise = False
    #: Whether its two operands may be exchanged without any change of a result that is not complex (in products of
    #: complex numbers, a fused multiply-add rounds terms differently; zeros of either sign are told apart by maximum).
    commutes = False
    #: Whether kernels have index arithmetic in its place: what it makes need not be in memory to be read.
    only_indexes = False
    #: Whether the result is a part of the first operand, so that `add_cotangent` may add to the cotangent of that part.
    reads_part = False
    #: Whether `transpose` takes `totals`, cotangents that `shared_operands` have already, and adds to them.
    adds_to_totals = False
    #: Whether the result is an array of one number, the parameter `value`.
    fills = False
    #: Whether results say something of the dtype, so that more precision would be another function.
    is_of_dtype = False
    #: Whether functions among the parameters may name axes unseen, so that every vmap with a name calls `batch_named`.
    may_name_axes = False

    def __init__(self, name: str):
        self.name = name
        registry[name] = self

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> Any:
        """Copies and pickles of programs are of the same primitives, which are told apart by identity."""
        return registered, (self.name,)

    #: Bind to the current trace; for primitives with one result, which is returned.
    __call__ = bind_one
    #: Bind to the current trace; for primitives with any number of results.
    bind = bind

    def abstract_eval(self, *avals: ShapedArray, **params: Any) -> list[ShapedArray]:
        """The types of the results from the types of the operands. Raises the errors a user would see."""
        raise NotImplementedError(f"{self.name} has no abstract_eval rule")

    def impl(self, *args: Any, **params: Any) -> list[Any]:
        """The results on concrete arrays, written with NumPy functions so that CuPy arrays work too."""
        raise NotImplementedError(f"{self.name} has no impl rule")

    def computes(self, avals: Sequence[Any], params: Params) -> bool:
        """Whether something is computed with the elements of operands of these types."""
        return not (self.only_moves or self.holds_programs)

    def work_on(self, operands: Sequence[Any], params: Params) -> int | None:
        """As `work`, of these operands, which are atoms of a program: some may be constants."""
        return self.work if self.computes([atom.aval for atom in operands], params) else 0

    def operand_dtypes(self, avals: Sequence[Any]) -> Sequence[np.dtype[Any]]:
        """What operands are cast to before anything is computed; asked where one has bfloat16."""
        is_number = [aval.weak and is_inexact(aval.dtype) for aval in avals]
        if not any(is_number):
            return [aval.dtype for aval in avals]
        met = result_type(*(aval.dtype.type(0).item() if aval.weak else aval.dtype for aval in avals))
        return [met if is_ else aval.dtype for is_, aval in zip(is_number, avals)]

    def run_on_bfloat16(self, *args: Any, **params: Any) -> list[Any]:
        """The same where operands have bfloat16: in single precision, every result rounded once."""
        avals = list(map(typeof, args))
        if not self.computes(avals, params):
            return self.impl(*args, **params)
        dtypes = self.operand_dtypes(avals)
        wide = [_widened(x, aval.dtype, dtype, self.is_of_dtype) for x, aval, dtype in zip(args, avals, dtypes)]
        wanted = self.abstract_eval(*avals, **params)
        return [
            y.astype(aval.dtype, copy=False) if is_bfloat16(aval.dtype) else y
            for y, aval in zip(self.impl(*wide, **params), wanted, strict=True)
        ]

    def may_fail(self, avals: Sequence[Any], params: Params) -> bool:
        """Whether running it on operands of these types may end with an error, for their values."""
        return not self.never_fails

    def run(self, *args: Any, **params: Any) -> list[Any]:
        """The same where nothing is compiled that this is part of; only of primitives that hold programs."""
        return self.impl(*args, **params)

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """Results and their tangents. A tangent, given or returned, may be ZERO; at least one given is not.

        A tangent has its primal's shape and dtype; integers and booleans always have ZERO.
        """
        raise NonDifferentiableError(
            f"`{self.name}` has no derivative.",
            "No rule for forward mode is defined for this primitive.",
            "Use stop_gradient on its operands, or give the surrounding function a custom_jvp.",
        )

    def jvp_noting(
        self, primals: Sequence[Any], tangents: Sequence[Any], notes: Sequence[Any], **params: Any
    ) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """For primitives that take notes: results, tangents and notes, given those of the operands (None without)."""
        raise NotImplementedError(f"{self.name} takes no notes")

    def transpose(self, cotangents: Sequence[Any], *args: Any, **params: Any) -> Sequence[Any]:
        """Cotangents of the linear operands, given those of the results.

        `args` holds an UndefinedPrimal for each operand to be transposed and a value for each other one. A
        cotangent, given or returned, may be ZERO, but not all that are given are. What is returned for operands
        that are not linear is ignored.

        With `adds_to_totals` there is one more keyword argument, `totals`: for each operand the cotangent that it has
        already, or ZERO. What is returned holds that; it is the total itself where nothing was added.
        """
        raise TransposeError(
            f"`{self.name}` is not linear in the argument that is to be transposed.",
            "Only linear functions have a transpose.",
            "Use vjp for a function that is not linear.",
        )

    def add_cotangent(self, total: Any, cotangent: Any, *others: Any, **params: Any) -> None:
        """For primitives that read a part: what `transpose` returns for the first operand, added to a sum in place.

        That takes no longer than the part is large. The sum is a C-contiguous array of NumPy with the dtype of the
        cotangent.
        """
        raise NotImplementedError(f"{self.name} reads no part")

    def batch(
        self, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        """All lanes at once: mapped operands have a leading axis of extent `size`, and so have mapped results."""
        raise NotImplementedError(f"{self.name} has no batch rule")

    def lower(self, result: Any, *operands: Any, **params: Any) -> Any:
        """How a kernel computes the result element by element: a function from an index of the result to an expression.

        None: the primitive is a step of its own. The rule is written in pull style: `operands[0].at(index)` and
        `.broadcast(index)` are elements of an operand, `result.apply(name, *expressions)` is a scalar operation
        (compiler/fuse.py has the operands, builder.py the result, loopnest.py the indices).
        """
        return None

    def lower_reduction(self, result: Any, *operands: Any, **params: Any) -> Lowered | None:
        """As `lower`, for a primitive that combines the elements of a space along its last axes."""
        return None

    def lowering_key(self, avals: Sequence[Any], params: Params) -> Any:
        """What `lower` and `lower_reduction` look at, beside dtypes, ranks, and which extents are equal or small.

        Where that and the results' types agree, they make the same of operands of other sizes. By default everything
        may count: parameters, and the types of the operands.
        """
        return (*params.items(),) if self.lowers_by_dtype else (*avals, *params.items())

    def checked_operands(self, avals: Sequence[Any], **params: Any) -> Sequence[tuple[int, int]]:
        """The operands, by number, all elements of which must lie in [-n, n) before `lower` may be followed, with n."""
        return ()

    def part_of_result(self, number: int, avals: Sequence[Any], **params: Any) -> Any:
        """The region of the result that an operand becomes as it is, or broadcast (compiler/regions.py).

        None if it becomes no such part. For an update, which `updates_first`, operand 1 has one if it is fixed.
        """
        return None

    def parts_of_result(self, avals: Sequence[Any], **params: Any) -> Sequence[Any]:
        """The same for each operand."""
        return [self.part_of_result(number, avals, **params) for number in range(len(avals))]

    def continues(self, number: int, params: Params) -> int | None:
        """The number of the operand that a result is the last state of, as in a loop: it may take its memory."""
        return None

    def is_step_by_step(self, number: int, params: Params) -> bool:
        """Whether a result has an element for each step of a loop, which may lie at any strides."""
        return False

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        """For loops and branches: add the instructions that compute targets from sources (compiler/assembly.py).

        Returns:
            False if there is no way but to call `impl`.
        """
        return False

    def uses_axis(self, axis_name: Any, params: Params) -> bool:
        """Whether the primitive speaks of a named axis of an enclosing vmap (psum and its kin)."""
        return False

    def batch_named(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[Sequence[Any], Sequence[bool]]:
        """As `batch`, under the vmap whose axis the primitive names; no operand need be mapped."""
        raise NotImplementedError(f"{self.name} has no rule for named axes")

    def partial_eval(
        self, trace: Any, unknown: Sequence[bool], args: Sequence[Any], params: Params
    ) -> list[Any]:
        """For primitives that hold programs: what a PartialEvalTrace does where some operands are unknown."""
        return trace.record(self, args, params)

    def jet(self, order: int, series: Sequence[Any], /, **params: Any) -> list[Any] | None:
        """The series of the results, for primitives that know better than to have them derived from `jvp` (None).

        A series is a list of `order` + 1 coefficients, all but the first of which may be ZERO.
        """
        return None

    def inlined_jaxpr(self, params: Params) -> Any:
        """For primitives that run a program and mean nothing else by it: the jaxpr to put in their place."""
        return None

    def program_to_run(self, params: Params, avals: Sequence[Any]) -> Any:
        """As `inlined_jaxpr`, where nothing is left to be transformed: what a rule of its own is for counts no more.

        Args:
            avals: the types of the operands.
        """
        return self.inlined_jaxpr(params)

    def secluded_program(self, params: Params) -> Any:
        """For primitives whose program must not share work with others of their kind: that program.

        It may take the place of an equation that is the only one of its kind in a program, once nothing is left to be
        transformed.
        """
        return None

    def shared_operands(self, params: Params) -> SharedOperands | None:
        """For primitives that hold programs: the operands that these get as they are; None: that cannot be told."""
        return None

    def has_effects(self, params: Params) -> bool:
        """Whether running it does something beside computing results: then it is never dropped, shared or repeated."""
        return False

    def guarded(self, params: Params) -> tuple[Params, int]:
        """For primitives that may have effects: how to have them only where a boolean, one more operand, is true.

        Returns:
            Parameters, and before which operand the boolean is to stand.
        """
        raise NotImplementedError(f"the effects of {self.name} cannot be left out")

    def without_results(
        self, params: Params, wanted: Sequence[bool]
    ) -> tuple[Params, Sequence[bool], Sequence[bool]] | None:
        """How to compute less where not all results are wanted.

        Where primitives hold no programs, the others may be rounded in another way.

        Returns:
            Parameters, and which operands and which results are left; None if there is nothing to be saved.
        """
        return None

    def stage(self, trace: Any, args: Sequence[Any], params: Params) -> list[Any]:
        """What a JaxprTrace does; primitives whose parameters are Python functions stage those first."""
        return trace.record(self, args, params)


def _widened(x: Any, have: np.dtype[Any], want: np.dtype[Any], keeps: bool) -> Any:
    """An operand as one that NumPy casts to a dtype: unless that is to be kept, in float32 in place of bfloat16."""
    if not is_bfloat16(want):
        return x.astype(want) if is_bfloat16(have) else x
    rounded = x.astype(want) if hasattr(x, "astype") else want.type(x)
    return rounded if keeps else rounded.astype(SINGLE)


def is_hole(arg: Any) -> bool:
    """Whether an operand of a transpose rule is the one to be transposed."""
    return isinstance(arg, UndefinedPrimal)


__all__ = ["Primitive", "SharedOperands", "Trace", "UndefinedPrimal", "Zero", "is_hole", "registry"]
