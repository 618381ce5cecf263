"""Solutions of equations, whose derivatives come from the equation and not from the way it was solved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..compiler.program import compile_jaxpr
from ..core.avals import ZERO
from ..core.jaxpr import Jaxpr, eval_jaxpr, memoized
from ..core.primitive import is_hole
from ..core.trace import Params, typeof
from ..primitives.foundation import add_any, all_mapped, instantiate, scale
from ..transforms.batching import batch_jaxpr
from ..transforms.forward import jvp_flat
from ..transforms.transpose import transpose_jaxpr
from .loop import Flags, olds, partition, with_inputs
from .programs import HoldsPrograms, guarded


class LinearSolve(HoldsPrograms):
    """The x with A x = b, for a linear function A known by its program.

    With A x = b also dA x + A dx = db, so that dx solves the same equation with another right side; and the transpose
    of solving with A is solving with the transpose of A.

    Params:
        matvec: `consts, x -> A x`; vecmat: `consts, y -> transpose(A) y`, with the same constants.
        solve: `consts, b -> x, aux`; transpose_solve: the same for the transpose, or None.
        counts: how many constants matvec, solve and transpose_solve have; they are the first operands, then comes b.
        aux: how many results of solve are no part of x.
    """

    def abstract_eval(self, *avals: Any, solve: Jaxpr, **params: Any) -> list[Any]:
        return solve.out_avals

    def impl(self, *args: Any, solve: Jaxpr, counts: tuple[int, int, int], **params: Any) -> list[Any]:
        _, consts, _, b = partition(args, counts)
        return compile_jaxpr(solve)(*consts, *b)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
        counts = params["counts"]
        consts = primals[: sum(counts)]
        of_matvec, db = tangents[: counts[0]], tangents[sum(counts) :]
        outs = self.bind(*primals, **params)
        x = outs[: len(db)]
        matvec, still = params["matvec"], [ZERO] * len(x)
        _, moved = jvp_flat(
            lambda *args: eval_jaxpr(matvec, *args), [*consts[: counts[0]], *x], [*of_matvec, *still]
        )
        right = [_difference(t, m) for t, m in zip(db, moved)]
        if all(r is ZERO for r in right):
            return outs, [ZERO] * len(outs)
        filled = [instantiate(r, typeof(y).strong()) for r, y in zip(right, x)]
        dx = self.bind(*consts, *filled, **params)[: len(x)]
        return outs, [*dx, *[ZERO] * params["aux"]]

    def transpose(self, cotangents: Sequence[Any], *args: Any, **params: Any) -> list[Any]:
        counts = params["counts"]
        if params["transpose_solve"] is None or any(map(is_hole, args[: sum(counts)])):
            return list(super().transpose(cotangents, *args, **params))
        of_matvec, of_solve, of_transpose, b = partition(args, counts)
        cts = [instantiate(ct, aval) for ct, aval in zip(cotangents, params["solve"].out_avals[: len(b)])]
        found = self.bind(*of_matvec, *of_transpose, *of_solve, *cts, **transposed_params(params, len(b)))
        return [*[None] * sum(counts), *found]

    def batch_named(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[list[Any], list[bool]]:
        counts = params["counts"]
        flags = partition(mapped, counts)
        *consts, b = partition(values, counts)
        lanes = all_mapped(size, b, flags[3])
        everywhere = (True,) * len(lanes)

        def batched(program: Jaxpr | None, consts_mapped: Sequence[bool]) -> Jaxpr | None:
            if program is None:
                return None
            forced = (True,) * len(program.outputs)
            return batch_jaxpr(program, size, (*consts_mapped, *everywhere), forced, axis_name)[0]

        changed = {
            "matvec": batched(params["matvec"], flags[0]),
            "vecmat": batched(params["vecmat"], flags[0]),
            "solve": batched(params["solve"], flags[1]),
            "transpose_solve": batched(params["transpose_solve"], flags[2]),
        }
        outs = self.bind(*(c for group in consts for c in group), *lanes, **{**params, **changed})
        return outs, [True] * len(outs)

    def program_to_run(self, params: Params, avals: Sequence[Any]) -> Jaxpr:
        transpose = params["transpose_solve"]
        return solving_program(params, params["matvec"].in_avals, transpose.in_avals if transpose else [])

    def guarded(self, params: Params) -> tuple[Params, int]:
        return guarded_solve(params)


class Root(HoldsPrograms):
    """An x with f(x) = 0, found by a program; its derivative is that of the implicit function.

    With f(c, x(c)) = 0 also f_c dc + f_x dx = 0.

    Params:
        function: `consts, x -> f(x)`.
        solve: `consts, first guess -> x, aux`.
        tangent_solve: `function's consts, its own consts, x, y -> v` with f_x v = y.
        counts: how many constants function, solve and tangent_solve have; the first operands, then comes the guess.
        aux: how many results of solve are no part of x.
    """

    def abstract_eval(self, *avals: Any, solve: Jaxpr, **params: Any) -> list[Any]:
        return solve.out_avals

    def impl(self, *args: Any, solve: Jaxpr, counts: tuple[int, int, int], **params: Any) -> list[Any]:
        _, consts, _, guess = partition(args, counts)
        return compile_jaxpr(solve)(*consts, *guess)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
        of_function, _, of_tangent, guess = partition(primals, params["counts"])
        outs = self.bind(*primals, **params)
        x = outs[: len(guess)]
        moving = [*tangents[: len(of_function)], *[ZERO] * len(x)]
        if all(t is ZERO for t in moving):
            return outs, [ZERO] * len(outs)
        _, moved = jvp_flat(lambda *args: eval_jaxpr(params["function"], *args), [*of_function, *x], moving)
        if all(t is ZERO for t in moved):
            return outs, [ZERO] * len(outs)
        avals = params["function"].out_avals
        right = [instantiate(ZERO, a.strong()) if t is ZERO else scale(t, -1) for t, a in zip(moved, avals)]
        dx = eval_jaxpr(params["tangent_solve"], *of_function, *of_tangent, *x, *right)
        return outs, [*dx, *[ZERO] * params["aux"]]

    def batch_named(
        self, axis_name: Any, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any
    ) -> tuple[list[Any], list[bool]]:
        counts = params["counts"]
        of_function, of_solve, of_tangent, of_guess = map(tuple, partition(mapped, counts))
        guess = values[sum(counts) :]
        lanes = all_mapped(size, guess, of_guess)
        x = (True,) * len(lanes)

        def batched(program: Jaxpr, flags: Flags) -> Jaxpr:
            return batch_jaxpr(program, size, flags, (True,) * len(program.outputs), axis_name)[0]

        changed = {
            "function": batched(params["function"], (*of_function, *x)),
            "solve": batched(params["solve"], (*of_solve, *x)),
            "tangent_solve": batched(params["tangent_solve"], (*of_function, *of_tangent, *x, *x)),
        }
        outs = self.bind(*values[: sum(counts)], *lanes, **{**params, **changed})
        return outs, [True] * len(outs)

    def program_to_run(self, params: Params, avals: Sequence[Any]) -> Jaxpr:
        of_tangent = params["tangent_solve"].in_avals[params["counts"][0] :]
        return solving_program(params, params["function"].in_avals, of_tangent)

    def guarded(self, params: Params) -> tuple[Params, int]:
        return guarded_solve(params)


def solving_program(params: Params, of_first: Sequence[Any], of_last: Sequence[Any]) -> Jaxpr:
    """The program that solves, of all operands: it uses neither the first constants nor the last ones."""
    first, own, last = params["counts"]
    rest = len(params["solve"].inputs) - own
    flags = (*olds(0, first), *olds(own, last), *olds(rest, 0))
    return with_inputs(params["solve"], flags, (*of_first[:first], *of_last[:last]))


def guarded_solve(params: Params) -> tuple[Params, int]:
    """Guard the program that solves; the others are made to be differentiated, and may run more or less often."""
    first, solve, last = params["counts"]
    return {**params, "solve": guarded(params["solve"]), "counts": (first, solve + 1, last)}, first


def transposed_params(params: Params, count: int) -> Params:
    """What to solve with the transpose of a linear function: the roles of the programs change."""
    _, solve, transpose_solve = params["counts"]
    return {
        **params,
        "matvec": params["vecmat"],
        "vecmat": params["matvec"],
        "solve": first_results(params["transpose_solve"], count),
        "transpose_solve": params["solve"],
        "counts": (params["counts"][0], transpose_solve, solve),
        "aux": 0,
    }


@memoized
def first_results(jaxpr: Jaxpr, count: int) -> Jaxpr:
    """The same program with its first results only."""
    return Jaxpr(jaxpr.inputs, jaxpr.eqns, jaxpr.outputs[:count])


@memoized
def transposed_matvec(matvec: Jaxpr, consts: int) -> Jaxpr:
    """`consts, y -> transpose(A) y` from `consts, x -> A x`."""
    linear = (*[False] * consts, *[True] * (len(matvec.inputs) - consts))
    avals = tuple(aval.strong() for aval in matvec.out_avals)
    transposed, _ = transpose_jaxpr(matvec, linear, (True,) * len(avals), avals, linear[consts:])
    return transposed


def _difference(x: Any, y: Any) -> Any:
    """x - y of tangents."""
    if y is ZERO:
        return x
    minus = scale(y, -1)
    return minus if x is ZERO else add_any(x, minus)


linear_solve = LinearSolve("linear_solve")
implicit_root = Root("implicit_root")
