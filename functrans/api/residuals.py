"""What the backward pass of a function keeps: saved_residuals and print_saved_residuals."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from .. import tree
from ..control.call import Call
from ..control.programs import inlined
from ..core.avals import is_inexact
from ..core.jaxpr import Atom, Jaxpr, Var
from ..primitives.names import name as name_primitive
from ..transforms.forward import jvp_jaxpr
from ..transforms.partial_eval import partial_eval_jaxpr
from .arguments import hides_internals
from .jit import Jitted


@hides_internals
def saved_residuals(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> list[tuple[Any, str]]:
    """What reverse mode keeps of a function between its forward and its backward pass.

    Args:
        args, kwargs: arrays or ShapeDtypeStructs; the derivative is by those that are floats or complex.

    Returns:
        For each value that is kept its type, and a text that says what it is: an argument, a constant, or the output
        of a primitive, with the line of the user's code behind it.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.saved_residuals(lambda x, y: x * y, 1.0, 2.0)[0][1]
        'from the argument y'
    """
    staged = Jitted(fun).staged_for(args, kwargs)
    jaxpr = inlined(staged.jaxpr)
    active = tuple(is_inexact(aval.dtype) for aval in jaxpr.in_avals)
    derived, _ = jvp_jaxpr(jaxpr, active)
    known, _, out_unknown = partial_eval_jaxpr(derived, (*[False] * len(active), *[True] * sum(active)))
    inputs = ["from a traced value of outside"] * len(staged.captured)
    inputs += [f"from the argument {name}" for name in _argument_names(fun, args, kwargs)]
    unnamed = _without_names(known)
    found: dict[Any, tuple[Any, str]] = {}
    for atom in known.outputs[out_unknown.count(False) :]:
        found.setdefault(unnamed.get(atom, atom), (atom.aval, _origin(known, atom, inputs)))
    return list(found.values())


@hides_internals
def print_saved_residuals(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Print what `saved_residuals` returns, a line for each value.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.print_saved_residuals(lambda x: np.sum(np.sin(x)), np.ones(3))
        f64[3] output of cos from <doctest functrans.api.residuals.print_saved_residuals[1]>:1 (<lambda>)
    """
    for aval, origin in saved_residuals(fun, *args, **kwargs):
        print(aval, origin)  # noqa: T201, that is what it is for


def _argument_names(fun: Callable[..., Any], args: Any, kwargs: Any) -> list[str]:
    """What each leaf of the arguments is called, as one would write it: `w['bias'][0]`."""
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        parameters = []
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")
    positional += [f"{variadic}[{i}]" for i in range(len(args) - len(positional))]
    names: list[str] = []
    for group, place, *path in tree.structure((args, kwargs)).paths():
        if group == 0:
            place = positional[place]
        names.append(place + "".join(f"[{entry!r}]" for entry in path))
    return names


def _without_names(jaxpr: Jaxpr) -> dict[Atom, Atom]:
    """For each value with a name the variable that it had before."""
    unnamed: dict[Atom, Atom] = {}
    for eqn in jaxpr.eqns:
        if eqn.primitive is name_primitive:
            unnamed[eqn.outputs[0]] = unnamed.get(eqn.inputs[0], eqn.inputs[0])
    return unnamed


def _origin(jaxpr: Jaxpr, atom: Atom, inputs: Sequence[str]) -> str:
    """Where a value of a program comes from, given that of its inputs."""
    if not isinstance(atom, Var):
        return "a constant"
    if atom in jaxpr.inputs:
        return inputs[jaxpr.inputs.index(atom)]
    unnamed = _without_names(jaxpr)
    for eqn in jaxpr.eqns:
        if eqn.primitive is name_primitive and atom in (eqn.outputs[0], unnamed[eqn.outputs[0]]):
            return f"named {eqn.params['name']!r} from {eqn.source}"
    eqn = next(eqn for eqn in jaxpr.eqns if atom in eqn.outputs)
    if isinstance(eqn.primitive, Call):
        program = eqn.params["jaxpr"]
        result = program.outputs[list(eqn.outputs).index(atom)]
        return _origin(program, result, [_origin(jaxpr, a, inputs) for a in eqn.inputs])
    return f"output of {eqn.primitive.name} from {eqn.source}"
