"""Random programs through simplification, fusion and LLVM against the interpreter: `python -m tests.fuzz`.

`--backend cuda`: through kernels for GPUs, on the emulator. Calls of NumPy's functions, with any of their options, are
held against NumPy instead, and transformations within loops and branches against loops of Python.

Prints the smallest failing program that it finds, and ends with status 1.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.core.jaxpr import Jaxpr
from tests.helpers.bits import assert_same_bits
from tests.helpers.cuda.running import DIVISIONS, ORDERS, emulated
from tests.helpers.limits import limited, limits
from tests.helpers.numpy_calls import assert_same_outcome, attempt, numpy_programs
from tests.helpers.oracles import assert_all_close
from tests.helpers.programs import examples
from tests.helpers.stencil_programs import arrays, stencils
from tests.helpers.structured_programs import StructuredProgram, structured_programs, vectors
from tests.helpers.tensor_programs import tensor_programs
from tests.helpers.tiers import in_order, interpreted, later, natively, staged, tier
from tests.helpers.update_programs import LAYOUTS, inputs, laid_out, update_programs

#: Kinds of programs and their shares.
KINDS = {
    "tensors": 8, "updates": 5, "stencils": 4, "arrays": 3, "derivatives": 2, "loops": 2, "derivatives of loops": 1,
    "numpy": 8, "nestings": 2,
}  # fmt: skip
#: Those that backends are compared on; the others have oracles of their own.
COMPILED = tuple(kind for kind in KINDS if kind not in ("numpy", "nestings"))
#: Derivatives of nestings are taken until they are so large, of which rounding errors are a part.
LARGEST = 1e6


class Case:
    """A program and arguments for it.

    Attributes:
        tolerance: None if nothing rounds.
        limits: those of the compiler that are not what they usually are (tests/helpers/limits.py).
        others: arguments of other shapes, types and layouts, for which the program is run afterwards.
        donated: the numbers of the arguments that the program may overwrite.
    """

    others: tuple[tuple[Any, ...], ...] = ()
    donated: tuple[int, ...] = ()

    def __init__(
        self,
        kind: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        tolerance: float | None,
        limits: tuple[str, ...] = (),
    ):
        self.kind, self.function, self.args, self.tolerance, self.limits = kind, function, args, tolerance, limits

    def __repr__(self) -> str:
        text = f"{self.kind} of {self.function!r}"
        for args in (self.args, *self.others):
            text += f",\non {', '.join(map(_shown, args))}"
        return f"{text},\ndonated: {self.donated}, limits: {self.limits}"

    def check(self, tier_name: str) -> None:
        """Raise AssertionError unless both backends agree."""
        for args in (self.args, *self.others):
            jaxpr = staged(self.function, args)
            with limited(self.limits):
                found = natively(jaxpr, args, tier_name, self.donated)
            agree(found, jaxpr, args, self.tolerance)

    def check_emulated(self, order: int, division: str, is_watched: bool) -> None:
        """The same of kernels for a GPU, on the emulator."""
        for args in (self.args, *self.others):
            jaxpr = staged(self.function, args)
            with limited(self.limits):
                found = emulated(jaxpr, args, order, division, self.donated, is_watched)
            agree(found, jaxpr, args, self.tolerance)

    def check_calls(self) -> None:
        """The same of a jitted function that is called again and again, until it has been compiled thoroughly."""
        function = ft.jit(self.function, donate_argnums=self.donated)
        everything = self.args, *self.others
        jaxprs = [staged(self.function, args) for args in everything]
        wanted = [interpreted(jaxpr, args) for jaxpr, args in zip(jaxprs, everything)]
        with limited(self.limits), later():
            for k in [*range(len(everything)), *sorted([*range(len(everything))] * 4)]:
                args = [np.array(x) if i in self.donated else x for i, x in enumerate(everything[k])]
                found = in_order(ft.tree_util.tree_leaves(function(*args)))
                agree(found, jaxprs[k], everything[k], self.tolerance, wanted[k])


class NumpyCase(Case):
    """Calls of NumPy's functions, which are the oracle themselves."""

    def check(self, tier_name: str) -> None:
        """Raise AssertionError unless a compiled program gives what NumPy gives, or refuses what NumPy refuses."""
        with limited(self.limits), tier(tier_name):
            found = attempt(ft.jit(self.function), self.args)
        assert_same_outcome(self.function, self.args, found)

    def check_calls(self) -> None:
        """The same of lanes, and of primals."""
        lanes = attempt(ft.vmap(self.function), [np.stack([x, x]) for x in self.args])
        assert_same_outcome(self.function, self.args, lanes if isinstance(lanes, Exception) else [y[1] for y in lanes])
        tangents = tuple(np.zeros(x.shape, x.dtype if x.dtype.kind in "fc" else ft.float0) for x in self.args)
        both = attempt(ft.jvp, [self.function, self.args, tangents])
        assert_same_outcome(self.function, self.args, both if isinstance(both, Exception) else both[0])


class NestedCase(Case):
    """Loops, branches and transformations within each other, against loops of Python that are not compiled."""

    def __init__(self, program: StructuredProgram, derive: Callable[..., Any], args: tuple[Any, ...], tolerance: float):
        super().__init__("nestings", Named("derivatives", derive(program.ours), program), args, tolerance)
        self.plain = derive(program.plain)

    def check(self, tier_name: str) -> None:
        """Raise AssertionError unless the compiled program gives what Python gives."""
        with limited(self.limits), tier(tier_name):
            found = ft.jit(self.function)(*self.args)
        self.agree(found)

    def check_calls(self) -> None:
        """The same of loops and branches that are not compiled as a whole."""
        self.agree(self.function(*self.args))

    def agree(self, found: Any) -> None:
        with np.errstate(all="ignore"):
            wanted = ft.tree.leaves(self.plain(*self.args))
            if not all(np.all(np.abs(y) < LARGEST) for y in wanted):
                return
            try:
                compare(ft.tree.leaves(found), wanted, self.tolerance)
            except AssertionError:
                if are_close(ft.tree.leaves(self.plain(*map(nudged, self.args))), wanted, self.tolerance):
                    raise


def agree(found: list[Any], jaxpr: Jaxpr, args: Any, tolerance: float | None, wanted: list[Any] | None = None) -> None:
    """Raise AssertionError unless results are those of the oracle, which may be known."""
    wanted = interpreted(jaxpr, args) if wanted is None else wanted
    try:
        compare(found, wanted, tolerance)
    except AssertionError:
        if tolerance is None or not magnifies_rounding(jaxpr, args, wanted, tolerance):
            raise


def magnifies_rounding(jaxpr: Jaxpr, args: Any, wanted: list[Any], tolerance: float) -> bool:
    """Whether the oracle's own results change as much with the last digits of arguments: loops may be chaotic."""
    return not are_close(interpreted(jaxpr, list(map(nudged, args))), wanted, tolerance)


def nudged(x: Any) -> Any:
    """An argument with other last digits."""
    x = np.asarray(x)
    return x * x.dtype.type(1 + 8 * np.finfo(x.dtype).eps) if x.dtype.kind in "fc" else x


def are_close(found: list[Any], wanted: list[Any], tolerance: float) -> bool:
    """Whether results are the same but for rounding."""
    try:
        compare(found, wanted, tolerance)
    except AssertionError:
        return False
    return True


def compare(found: list[Any], wanted: list[Any], tolerance: float | None) -> None:
    """Raise AssertionError unless results are the same, but for rounding if there is a tolerance."""
    if tolerance is None:
        assert_same_bits(found, wanted, signs_of_zeros=False)
    else:
        assert [np.asarray(y).dtype for y in found] == [np.asarray(y).dtype for y in wanted]
        assert_all_close(found, wanted, tolerance)


def _shown(x: Any) -> str:
    x = np.asarray(x)
    return f"{x.dtype}{list(x.shape)} with strides {list(x.strides)}: {x.tolist() if x.size < 100 else '...'}"


class Named:
    """A function that shows what it is made of."""

    def __init__(self, name: str, function: Callable[..., Any], *parts: Any):
        self.name, self.function, self.parts = name, function, parts

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __repr__(self) -> str:
        return f"{self.name} of {', '.join(map(repr, self.parts))}" if self.name else repr(self.parts[0])


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[str, ...], may_be_large: bool = True) -> Case:
    """A program of one of some kinds, with any of its arguments donated, compiled with any limits."""
    case = _case(draw, draw(st.sampled_from(kinds)), may_be_large)
    case.donated = tuple(i for i in range(len(case.args)) if draw(st.booleans()))
    case.limits = draw(limits())
    return case


def _case(draw: st.DrawFn, kind: str, may_be_large: bool) -> Case:
    if kind == "numpy":
        return NumpyCase(kind, *draw(numpy_programs()), None)
    if kind == "updates":
        case = Case(kind, draw(update_programs()), draw(inputs()), None)
        if draw(st.booleans()):
            case.others = (draw(inputs(len(case.args))),)
        return case
    if kind == "stencils":
        program, ndim, args = draw(stencils(may_be_large))
        case = Case(kind, program, args, None)
        if draw(st.booleans()):
            case.others = (draw(arrays(ndim, len(args), may_be_large)),)
        return case
    if kind == "tensors":
        program, (args, *others), tolerance = draw(tensor_programs(may_be_large))
        case = Case(kind, program, args, tolerance)
        case.others = tuple(others)
        return case
    layouts = st.sampled_from(LAYOUTS)
    if kind == "arrays":
        example = draw(examples(dtypes=("f8", "f4", "c16", "c8")))
        args = tuple(laid_out(x, draw(layouts)) for x in example.inputs)
        is_single = any(x.dtype.char in "fF" for x in example.inputs)
        return Case(kind, example.program, args, 2e-4 if is_single else 1e-10)
    if kind == "derivatives":
        example = draw(examples(smooth=True, dtypes=("f8", "c16"), max_steps=4))
        program = example.program

        def slopes(ct: Any, *args: Any) -> Any:
            _, pull_back = ft.vjp(program, *args)
            return pull_back(ct), ft.jvp(lambda *xs: pull_back(ct), args, args)[1]

        args = tuple(laid_out(x, draw(layouts)) for x in (example.cotangent, *example.inputs))
        return Case(kind, Named("derivatives", slopes, program), args, 1e-8)
    if kind == "nestings":
        args = draw(vectors()), draw(vectors())
        return NestedCase(draw(structured_programs(are_derived=True)), draw(st.sampled_from(DERIVED)), args, 1e-6)
    program = draw(structured_programs())
    size, dtype = draw(st.sampled_from([(2, "f8"), (2, "f8"), (2, "f4"), (40, "f4")]))
    args = tuple(laid_out(draw(vectors(size, dtype)), draw(layouts)) for _ in range(2))
    if kind == "loops":
        return Case(kind, Named("", program.ours, program), args, 1e-9 if dtype == "f8" else 1e-3)
    loss = lambda x, p: np.sum(program.ours(x, p))  # noqa: E731
    which = draw(st.sampled_from([lambda f: ft.grad(f, (0, 1)), lambda f: ft.jvp(f, args, args) and ft.hessian(f)]))
    tolerance = 1e-7 if dtype == "f8" else 1e-2
    return Case(kind, Named("derivatives", lambda x, p: which(loss)(x, p), program), args, tolerance)


#: What is asked of nestings.
DERIVED: tuple[Callable[..., Any], ...] = (
    lambda f: f,
    lambda f: ft.grad(lambda x, p: np.sum(f(x, p) * p), (0, 1)),
    lambda f: lambda x, p: ft.jvp(f, (x, p), (p, x)),
)
_all_kinds = tuple(kind for kind, share in KINDS.items() for _ in range(share))
TIER = st.sampled_from(["quick", "quick", "quick", "thorough", "threads", "calls"])
#: How a program is run, by backend.
WAYS = {"cpu": TIER, "cuda": st.tuples(st.sampled_from(ORDERS), st.sampled_from(list(DIVISIONS)), st.booleans())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=list(WAYS), default="cpu")
    parser.add_argument("--kind", choices=list(KINDS), help="only programs of this kind")
    options = parser.parse_args()
    known = _all_kinds if options.backend == "cpu" else tuple(kind for kind in _all_kinds if kind in COMPILED)
    if options.kind and options.kind not in known:
        parser.error(f"Programs of kind {options.kind!r} are for the backend cpu.")
    kinds = (options.kind,) if options.kind else known
    seen: Counter[str] = Counter()
    begin = time.monotonic()

    @seed(options.seed)
    @settings(
        max_examples=options.programs,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=True,
    )
    @given(case=cases(kinds, options.backend == "cpu"), way=WAYS[options.backend])
    def check(case: Case, way: Any) -> None:
        seen[case.kind] += 1
        if sum(seen.values()) % 500 == 0:
            print(f"{sum(seen.values())} programs in {time.monotonic() - begin:.0f} s", flush=True)
        if options.backend == "cuda":
            case.check_emulated(*way)
        elif way == "calls":
            case.check_calls()
        else:
            case.check(way)

    warnings.simplefilter("ignore")
    try:
        check()
    except BaseException as error:
        print("".join(_failure(error)))
        print(f"seed {options.seed}, {dict(seen)}")
        return 1
    print(f"{sum(seen.values())} programs agree ({dict(seen)}), {time.monotonic() - begin:.0f} s")
    return 0


def _failure(error: BaseException) -> list[str]:
    """What failed: one or several errors, each with the smallest program that gives it."""
    several = error.exceptions if isinstance(error, BaseExceptionGroup) else [error]
    return [
        f"{type(e).__name__}: {e}\n{''.join(f'{note}{chr(10)}' for note in getattr(e, '__notes__', []))}\n" for e in several
    ]


if __name__ == "__main__":
    sys.exit(main())
