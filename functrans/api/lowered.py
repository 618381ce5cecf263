"""A function for arguments of some types, and everything that a call runs, to look at."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from .. import tree
from ..compiler.assembly import Assembled, assemble
from ..compiler.backends.cpu.codegen import supports
from ..compiler.backends.cpu.inspection import NativeInspection
from ..compiler.backends.cpu.rows import has_library
from ..compiler.donation import shared_arrays
from ..compiler.inspection.costs import Costs, Memory, cost
from ..compiler.inspection.explaining import Explanation, Native, explained
from ..compiler.inspection.listing import Listing, Names, Row, kind, lines_of, rows
from ..compiler.inspection.profile import Profile, Timing
from ..compiler.inspection.units import escaped, html_table, plural, preformatted, section
from ..compiler.program import compile_jaxpr, native_program, simplified
from ..core.avals import ShapedArray
from ..core.devices import is_on_device
from ..core.jaxpr import Jaxpr
from ..core.printing import jaxpr_text
from ..core.trace import typeof
from ..errors import PytreeMismatchError, ShapeMismatchError
from .arguments import hides_frames, input_leaf

#: What temporaries, results, axes and so on are called, so that no argument is.
TAKEN = re.compile(r"[acioqrstvxy]\d+|t")
#: For so many seconds calls are repeated to find out how long one takes.
WHILE = 0.2


class Text(str):
    """Text that notebooks and the prompt show as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return preformatted(self)


class Compiled:
    """What `jit(f).lower(x).compile()` returns: f for arguments of these types, all of them but the static ones.

    Attributes:
        program: what runs: a function of flat arguments that returns a list of results.
    """

    def __init__(self, function: Any, signature: Any, rebuild: Callable[..., Any], program: Callable[..., list[Any]]):
        self.function, self.program = function, program
        self._signature, self._rebuild = signature, rebuild

    @hides_frames
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result.

        Raises:
            PytreeMismatchError: the arguments are not of the structure or types that the function was lowered for.
        """
        leaves, treedef = tree.flatten((args, kwargs))
        wanted = self._signature
        if treedef != wanted.treedef or tuple(typeof(input_leaf(x)) for x in leaves) != wanted.avals:
            raise PytreeMismatchError(
                f"`{self.function.name}` was compiled for other arguments than those it was called with.",
                "A compiled program is one for arguments of some structure, shapes and dtypes, and has its static "
                "arguments already.",
                "Call the jitted function itself, which compiles for any; or lower it for these.",
            )
        args, kwargs = self._rebuild(leaves)
        return self.function(*args, **kwargs)


class Lowered:
    """What `jit(f).lower(x)` returns: the program for arguments of these types, in all its stages.

    Nothing is assembled or compiled before it is asked for. Of arrays that are given, memory layouts count too, as in
    a call; for a ShapeDtypeStruct row-major order is assumed.

    Attributes:
        name: of the function.
        jaxpr: what was traced.
        donated: the numbers of its inputs that are donated.
    """

    def __init__(
        self, function: Any, staged: Any, leaves: Sequence[Any], names: list[str], signature: Any, rebuild: Any
    ):
        self.function = function
        self.name: str = function.name
        self.signature, self._rebuild = signature, rebuild
        self.jaxpr: Jaxpr = staged.jaxpr
        self.donated: tuple[int, ...] = staged.donated
        own = len(self.jaxpr.inputs) - len(leaves)  # the first inputs are what the function closes over
        self._strides = [_strides(v.aval, x) for v, x in zip(self.jaxpr.inputs, [*[None] * own, *leaves])]
        reasons = withheld(leaves) if self.donated else {}
        self._withheld = {own + i: why for i, why in reasons.items() if own + i in self.donated}
        self._names = [*[f"captured_{k}" for k in range(own)], *names]

    @property
    def simplified(self) -> Jaxpr:
        """The jaxpr that is run."""
        return simplified(self.jaxpr)

    @property
    def kernels(self) -> Text:
        """The program: numbered instructions with what they cost, kernels as nested loops, and buffers.

        Arguments have their names, temporaries are t0, t1 and so on, results r0, r1 and so on. A reduction (`+=`)
        begins with what leaves others as they are.
        """
        return Text(Listing(self.name, self._assembled, self._buffers))

    @property
    def llvm(self) -> Text:
        """The kernels in LLVM IR, as LLVM gets it. `kernel_3_1` is for the instruction that `kernels` calls [3.1]."""
        return Text(self._native.llvm(is_optimized=False))

    @property
    def optimized_llvm(self) -> Text:
        """The kernels in LLVM IR after LLVM's passes."""
        return Text(self._native.llvm(is_optimized=True))

    @property
    def asm(self) -> Text:
        """The kernels in this machine's assembly."""
        return Text(self._native.assembly())

    @property
    def memory(self) -> Memory:
        """The bytes that a call needs: arena and temporaries, constants, results."""
        return Memory(self._assembled, self._buffers)

    @property
    def cost(self) -> Costs:
        """The bytes that a call reads and writes and the operations that it does, for each instruction."""
        outer = [row for row in self._rows if not row.depth]
        return Costs([(row.number, kind(row.instruction), cost(row.instruction)) for row in outer])

    def profile(self, *args: Any, **kwargs: Any) -> Profile:
        """The time of each instruction, from running the program on these arguments again and again.

        Effects (printing, callbacks) are had as often. The code is that of functions that are called often: compiled
        thoroughly. Donated arguments are copied first, and stay as they are.

        Raises:
            ShapeMismatchError: the arguments are not of the types that the function was lowered for.
        """
        if self.donated:
            args, kwargs = tree.map(lambda x: x.copy() if isinstance(x, np.ndarray) else x, (args, kwargs))
        leaves, staged = self.function.flattened(args, kwargs)
        if staged.jaxpr is not self.jaxpr or staged.captured:
            raise ShapeMismatchError(
                f"`{self.name}` was lowered for arguments of other types than those it is to be profiled with.",
                "A profile is one of the program that was lowered.",
                "Call lower with the same arguments as profile.",
            )
        values = [np.require(np.asarray(x, v.aval.dtype), requirements="A") if isinstance(v.aval, ShapedArray) else x
                  for x, v in zip(leaves, self.jaxpr.inputs)]  # fmt: skip
        if [getattr(x, "strides", None) for x in values] != self._strides:
            values = [np.ascontiguousarray(x) if isinstance(x, np.ndarray) and x.ndim else x for x in values]
        times = self._native.times(values)
        seconds = _seconds(lambda: self.function(*args, **kwargs))
        timings = [
            Timing(
                row.number, kind(row.instruction), lines_of(row.equations), times[row.number],
                cost(row.instruction), self._native.threads_of(row),
            )
            for row in self._rows if row.number in times
        ]  # fmt: skip
        return Profile(self.name, timings, seconds, max([t.threads for t in timings], default=1))

    def explain(self) -> Explanation:
        """What the compiler made of the function, and why, in sentences."""
        inspection = self._native
        functions = len(inspection.functions())
        facts = Native(
            inspection.threads_of, inspection.wakes, inspection.is_quick, inspection.work, functions, self._withheld
        )
        return explained(
            self.name, self.jaxpr, self.simplified, self._assembled, self._rows, self._buffers, facts
        )

    def compile(self) -> Compiled:
        """The function, compiled for arguments of these types.

        Example:
            >>> import functrans as ft
            >>> ft.jit(lambda p, n: p["w"] * n, static_argnums=1).lower({"w": 2.0}, 3).compile()({"w": 5.0})
            15.0
        """
        return Compiled(self.function, self.signature, self._rebuild, compile_jaxpr(self.jaxpr, self.donated))

    def as_text(self, sources: bool = True) -> str:
        """The jaxpr that is run as text, each equation with the line of the user's code behind it."""
        return jaxpr_text(self.simplified, sources)

    def __repr__(self) -> str:
        before, after = len(self.jaxpr.eqns), len(self.simplified.eqns)
        return f"<Lowered {self.name}: {plural(before, 'equation')}, {after} after simplification>"

    def _repr_html_(self) -> str:
        parts = [
            section("kernels", preformatted(self.kernels), is_open=True),
            section("cost", html_table(*self.cost.table(), 2)),
            section("memory", html_table([], self.memory.rows(), 2)),
            section("jaxpr", preformatted(jaxpr_text(self.jaxpr, sources=True))),
            section("simplified", preformatted(self.as_text())),
        ]
        hint = "<p>More: .llvm, .optimized_llvm, .asm, .profile(...), .explain()</p>"
        return f"<p>{escaped(repr(self))}</p>{''.join(parts)}{hint}"

    # ---- what is made when first asked for

    @cached_property
    def _assembled(self) -> Assembled:
        program = native_program(self.jaxpr, self.donated)
        return assemble(program.jaxpr, program.fused, supports, self._strides, has_library, donated=self.donated)

    @cached_property
    def _buffers(self) -> Names:
        return Names(self._assembled, self._names)

    @cached_property
    def _native(self) -> NativeInspection:
        return NativeInspection(self._assembled, self._rows, native_program(self.jaxpr, self.donated).outputs)

    @cached_property
    def _rows(self) -> list[Row]:
        return rows(self._assembled)


def withheld(leaves: Sequence[Any]) -> dict[int, str]:
    """The numbers of arrays that a call would not overwrite if they were donated, and why."""
    arrays = {i: x for i, x in enumerate(leaves) if isinstance(x, np.ndarray)}
    shared = shared_arrays(arrays, {i: x.__array_interface__["data"][0] for i, x in arrays.items()}, arrays)
    found = dict.fromkeys(shared, "it has memory in common with another argument")
    found |= {i: "it is a view of memory that something else owns" for i, x in arrays.items() if not x.flags.owndata}
    return found | {i: "it may not be written to" for i, x in arrays.items() if not x.flags.writeable}


def _strides(aval: Any, value: Any) -> tuple[int, ...] | None:
    """Those of an argument in memory; in row-major order, if that is not known; None for what is no array."""
    if not isinstance(aval, ShapedArray):
        return None
    if is_on_device(value) or (isinstance(value, np.ndarray) and value.dtype == aval.dtype and value.flags.aligned):
        return value.strides
    return np.empty(aval.shape, aval.dtype).strides


def _seconds(call: Callable[[], Any]) -> float:
    """The median time of a call, after as many as it takes until all is compiled."""
    times: list[float] = []
    begin = perf_counter()
    for _ in range(25):
        call()
        if perf_counter() - begin > WHILE:
            break
    begin = perf_counter()
    while len(times) < 3 or (len(times) < 1000 and perf_counter() - begin < WHILE):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times)


def argument_names(fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], static: Any) -> list[str]:
    """What to call the leaves of arguments that are traced: `x`, `params.w`, `pair[0]`."""
    by_number, by_name = static or ((), ())
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    others = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "a")
    named = [
        (positional[i] if i < len(positional) else f"{others}_{i - len(positional)}", x)
        for i, x in enumerate(args)
        if i not in {number for number, _ in by_number}
    ]
    named += [(name, kwargs[name]) for name in sorted(kwargs) if name not in {name for name, _ in by_name}]
    return [_name(name, path) for name, x in named for path, _ in tree.leaves_with_path(x)]


def _name(name: str, path: Sequence[Any]) -> str:
    shown = name + "".join(f".{key}" if isinstance(key, str) else f"[{key}]" for key in map(tree.plain_key, path))
    return f"{shown}_" if TAKEN.fullmatch(shown) else shown
