"""Implicit differentiation: custom_root and custom_linear_solve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import tree
from ..api.arguments import hides_internals, input_leaf, is_concrete
from ..api.grad import jvp
from ..control.implicit import implicit_root, linear_solve, transposed_matvec
from ..core.jaxpr import Jaxpr, eval_jaxpr
from ..core.trace import EVAL, current_trace, typeof
from ..errors import CustomRuleError
from ..tree import structure_text
from .programs import Program, operand_leaves, staged


@hides_internals
def custom_linear_solve(
    matvec: Callable[[Any], Any],
    b: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    transpose_solve: Callable[[Callable[[Any], Any], Any], Any] | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Any:
    """The x with `matvec(x) = b`, found by `solve`, with derivatives of the equation and not of the solver.

    Everything that `matvec` closes over, and `b`, may be differentiated, to any order; `solve` itself never is.

    Args:
        matvec: a linear function from pytrees like b to pytrees like b; it may close over traced values.
        b: a pytree of arrays.
        solve: `solve(matvec, b) -> x`. It is called as it stands outside of transformations and traced under them.
        transpose_solve: `transpose_solve(vecmat, b) -> x` for the transpose, needed in reverse mode unless `symmetric`.
        symmetric: whether matvec is its own transpose; `solve` then serves for both.
        has_aux: whether `solve` returns `(x, aux)`; so does this function then.

    Raises:
        CustomRuleError: matvec or solve returns something unlike b.
        TransposeError: reverse mode without transpose_solve.

    Example:
        >>> import numpy as np, functrans as ft
        >>> def solved(a, b):
        ...     return ft.lax.custom_linear_solve(lambda x: a * x, b, lambda matvec, b: b / a, symmetric=True)
        >>> [float(g) for g in ft.grad(solved, (0, 1))(2.0, 6.0)]
        [-1.5, 0.5]
    """
    leaves, b_tree = operand_leaves(b, "b")
    if current_trace.get() is EVAL and is_concrete(leaves):
        return _checked_solution(solve(matvec, b), leaves, b_tree, has_aux)
    avals = [typeof(x).strong() for x in leaves]
    of_matvec = _staged_function(matvec, avals, b_tree, "matvec")
    consts = len(of_matvec.captured)
    vecmat = of_matvec.jaxpr if symmetric else transposed_matvec(of_matvec.jaxpr, consts)
    of_solve = _staged_solver(solve, matvec, avals, b_tree, has_aux, "solve")
    of_transpose: Program | None = of_solve if symmetric else None
    if transpose_solve is not None and not symmetric:
        transposed = _as_function(vecmat, of_matvec.captured, b_tree)
        of_transpose = _staged_solver(transpose_solve, transposed, avals, b_tree, has_aux, "transpose_solve")
    captured_by_transpose = of_transpose.captured if of_transpose is not None else []
    outs = linear_solve.bind(
        *of_matvec.captured, *of_solve.captured, *captured_by_transpose, *leaves,
        matvec=of_matvec.jaxpr,
        vecmat=vecmat,
        solve=of_solve.jaxpr,
        transpose_solve=of_transpose.jaxpr if of_transpose is not None else None,
        counts=(consts, len(of_solve.captured), len(captured_by_transpose)),
        aux=len(of_solve.jaxpr.outputs) - len(leaves),
    )  # fmt: skip
    return of_solve.out_tree.unflatten(outs)


@hides_internals
def custom_root(
    f: Callable[[Any], Any],
    initial_guess: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    tangent_solve: Callable[[Callable[[Any], Any], Any], Any],
    has_aux: bool = False,
) -> Any:
    """An x with `f(x) = 0`, found by `solve`, with the derivatives of the implicit function.

    Everything that `f` closes over may be differentiated, to any order, in forward and reverse mode; the first guess
    and `solve` are not.

    Args:
        f: from pytrees like the guess to pytrees like the guess; it may close over traced values.
        initial_guess: where `solve` begins.
        solve: `solve(f, initial_guess) -> x`. It is called as it stands outside of transformations and traced under
            them.
        tangent_solve: `tangent_solve(g, y) -> v` solves the linear equation `g(v) = y`, g being the derivative of f.
            For scalars `lambda g, y: y / g(1.0)` does.
        has_aux: whether `solve` returns `(x, aux)`; so does this function then.

    Raises:
        CustomRuleError: f, solve or tangent_solve returns something unlike the guess.

    Example:
        >>> import functrans as ft
        >>> def newton(f, x):
        ...     step = lambda x: x - f(x) / ft.grad(f)(x)
        ...     return ft.lax.while_loop(lambda x: abs(f(x)) > 1e-12, step, x)
        >>> def square_root(a):
        ...     return ft.lax.custom_root(lambda x: x * x - a, 1.0, newton, lambda g, y: y / g(1.0))
        >>> round(float(ft.grad(ft.grad(square_root))(4.0)), 12)
        -0.03125
    """
    leaves, x_tree = operand_leaves(initial_guess, "initial_guess")
    if current_trace.get() is EVAL and is_concrete(leaves):
        return _checked_solution(solve(f, initial_guess), leaves, x_tree, has_aux)
    avals = [typeof(x).strong() for x in leaves]
    of_function = _staged_function(f, avals, x_tree, "f")
    of_solve = _staged_solver(solve, f, avals, x_tree, has_aux, "solve")
    of_tangent = _staged_tangent_solve(of_function, tangent_solve, avals, x_tree)
    outs = implicit_root.bind(
        *of_function.captured, *of_solve.captured, *of_tangent.captured, *leaves,
        function=of_function.jaxpr,
        solve=of_solve.jaxpr,
        tangent_solve=_with_consts_first(of_tangent, len(of_function.captured)),
        counts=(len(of_function.captured), len(of_solve.captured), len(of_tangent.captured)),
        aux=len(of_solve.jaxpr.outputs) - len(leaves),
    )  # fmt: skip
    return of_solve.out_tree.unflatten(outs)


def _staged_tangent_solve(
    of_function: Program, tangent_solve: Callable[..., Any], avals: Sequence[Any], x_tree: Any
) -> Program:
    """`consts of f, x, y -> v` with f_x v = y, as a linear solve that can be transposed."""
    consts = [typeof(c) for c in of_function.captured]

    def solved(given: Sequence[Any], x: Any, y: Any) -> Any:
        function = _as_function(of_function.jaxpr, given, x_tree)
        derivative = lambda v: jvp(function, (x,), (v,))[1]  # noqa: E731
        return custom_linear_solve(derivative, y, tangent_solve, tangent_solve)

    def rebuild(flat: Sequence[Any]) -> Any:
        given, x, y = flat[: len(consts)], flat[len(consts) :][: len(avals)], flat[len(consts) + len(avals) :]
        return given, x_tree.unflatten(x), x_tree.unflatten(y)

    return staged(solved, rebuild, [*consts, *avals, *avals])


def _with_consts_first(of_tangent: Program, consts: int) -> Jaxpr:
    """The program with the constants of f before those that tangent_solve captured itself."""
    own = len(of_tangent.captured)
    inputs = of_tangent.jaxpr.inputs
    ordered = [*inputs[own : own + consts], *inputs[:own], *inputs[own + consts :]]
    return Jaxpr(ordered, of_tangent.jaxpr.eqns, of_tangent.jaxpr.outputs)


def _staged_function(function: Callable[[Any], Any], avals: Sequence[Any], x_tree: Any, name: str) -> Program:
    """A function from pytrees like x to such pytrees as a program."""
    program = staged(function, lambda flat: (x_tree.unflatten(flat),), avals)
    _check_program(program, program.out_tree, avals, x_tree, name)
    return program


def _staged_solver(
    solve: Callable[..., Any], function: Callable[..., Any], avals: Sequence[Any], x_tree: Any, has_aux: bool, name: str
) -> Program:
    program = staged(lambda x: solve(function, x), lambda flat: (x_tree.unflatten(flat),), avals)
    found_tree = program.out_tree
    if has_aux:
        children = found_tree.children()
        if len(children) != 2:
            raise CustomRuleError(
                f"With has_aux=True `{name}` returns a pair `(x, aux)`, but it returned {structure_text(found_tree)}.",
                "The second element is passed through.",
                "Return `(x, aux)`, or leave has_aux out.",
            )
        found_tree = children[0]
    _check_program(program, found_tree, avals, x_tree, name)
    return program


def _as_function(jaxpr: Jaxpr, consts: Sequence[Any], x_tree: Any) -> Callable[[Any], Any]:
    """A program with its constants as a function of a pytree."""
    return lambda x: x_tree.unflatten(eval_jaxpr(jaxpr, *consts, *tree.leaves(x)))


def _check_program(program: Program, found_tree: Any, avals: Sequence[Any], x_tree: Any, name: str) -> None:
    _check_types(program.jaxpr.out_avals[: found_tree.num_leaves], found_tree, avals, x_tree, name, program)


def _checked_solution(found: Any, leaves: Sequence[Any], x_tree: Any, has_aux: bool) -> Any:
    """What `solve` returned, which is like what it was given."""
    found_leaves, found_tree = tree.flatten(found[0] if has_aux else found)
    found_avals, avals = [typeof(input_leaf(x)) for x in found_leaves], [typeof(x) for x in leaves]
    _check_types(found_avals, found_tree, avals, x_tree, "solve", None)
    return found


def _check_types(
    found: Sequence[Any], found_tree: Any, wanted: Sequence[Any], x_tree: Any, name: str, program: Program | None
) -> None:
    """Raise CustomRuleError unless what a function returned is like what it was given."""
    if found_tree != x_tree:
        raise CustomRuleError(
            f"`{name}` returned the structure {structure_text(found_tree)} for a problem of structure "
            f"{structure_text(x_tree)}.",
            "The solution, the guess, the right side and the value of the function are pytrees of one kind.",
            "Return a pytree like the argument.",
            source=program.source_of(0) if program is not None else None,
        )
    for position, (have, want) in enumerate(zip(found, wanted)):
        if have.shape != want.shape:
            raise CustomRuleError(
                f"`{name}` returned {have} for {want}.",
                "The solution, the guess, the right side and the value of the function have the same shapes.",
                "Return arrays of the shapes of the argument.",
                source=program.source_of(position) if program is not None else None,
            )
