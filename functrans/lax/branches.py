"""Branches: cond and switch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..api.arguments import hides_internals, input_leaf, own_results
from ..control.agreement import meet, with_result_types
from ..control.cond import cond as cond_primitive
from ..core.avals import BOOL
from ..core.interning import interned
from ..core.trace import typeof
from ..errors import BranchMismatchError, ConditionError
from ..primitives.elementwise import maximum, minimum
from ..primitives.foundation import convert
from ..tree import structure_text
from . import as_python
from .programs import Program, leaf_name, operand_leaves, staged, with_common_operands

_INDEX = np.dtype(np.int64)


@hides_internals
def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """`true_fun(*operands)` if the predicate holds, else `false_fun(*operands)`; both are traced, one runs.

    Under `vmap` with a predicate that differs between lanes, the branches that some lane takes run, and lanes that do
    not take a branch leave no trace in it: no NaN, no error.

    Args:
        pred: a boolean scalar; a number counts as true if it is not zero.
        true_fun, false_fun: functions of the operands (pytrees), which may close over traced values. They return
            pytrees of the same structure, shapes and dtypes.

    Raises:
        BranchMismatchError: the branches return different structures, shapes or dtypes.
        ConditionError: the predicate is not a scalar.

    Example:
        >>> import numpy as np, functrans as ft
        >>> f = ft.jit(lambda x: ft.lax.cond(x > 0, np.sin, lambda x: x * 2, x))
        >>> float(f(-1.0)), float(ft.grad(f)(0.0))
        (-2.0, 2.0)
    """
    pred = input_leaf(pred)
    _check_scalar(pred, "cond", "predicate", "bcfiu")
    index = convert(convert(pred, dtype=BOOL), dtype=_INDEX)
    return _choose("cond", index, (false_fun, true_fun), ("false_fun", "true_fun"), operands)


@hides_internals
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`; an index out of range takes the first or last branch.

    Args:
        index: an integer scalar.
        branches: functions as in `cond`.

    Raises:
        BranchMismatchError: the branches return different structures, shapes or dtypes, or there are none.
        ConditionError: the index is not an integer scalar.

    Example:
        >>> import numpy as np, functrans as ft
        >>> [float(ft.lax.switch(i, [np.sin, np.cos, np.exp], 0.0)) for i in (0, 1, 2, 7)]
        [0.0, 1.0, 1.0, 1.0]
    """
    branches = tuple(branches)
    if not branches:
        raise BranchMismatchError("switch was given no branches.", "It runs one of them.", "Give at least one.")
    index = input_leaf(index)
    _check_scalar(index, "switch", "index", "iu")
    clamped = maximum(minimum(convert(index, dtype=_INDEX), len(branches) - 1), 0)
    return _choose("switch", clamped, branches, [f"branches[{i}]" for i in range(len(branches))], operands)


def _check_scalar(x: Any, name: str, role: str, kinds: str) -> None:
    aval = typeof(x)
    if aval.shape == () and aval.dtype.kind in kinds:
        return
    raise ConditionError(
        f"The {role} of {name} is {aval}.",
        f"It decides which way the whole computation goes, so it is one {'integer' if kinds == 'iu' else 'boolean'}.",
        "Reduce it with np.any or np.all, use functrans.numpy.where for a choice by element, or vmap the function.",
    )


def _choose(
    name: str, index: Any, functions: Sequence[Callable[..., Any]], names: Sequence[str], operands: tuple[Any, ...]
) -> Any:
    """Trace all branches, make their results agree, and bind."""
    done = as_python.choose(index, functions, operands)
    if done is not as_python.TRACED:
        return done
    leaves, treedef = operand_leaves(operands, "operands")
    avals = [typeof(x) for x in leaves]
    programs = [staged(function, treedef.unflatten, avals) for function in functions]
    _check_structures(name, programs, names)
    avals = [
        _common_type(name, programs, names, position, [program.jaxpr.out_avals[position] for program in programs])
        for position in range(len(programs[0].jaxpr.outputs))
    ]
    jaxprs, common = with_common_operands(programs)
    branches = tuple(interned(with_result_types(jaxpr, avals)) for jaxpr in jaxprs)
    args = [*common, *leaves]
    outs = cond_primitive.bind(index, *args, branches=branches)
    return programs[0].out_tree.unflatten(own_results(outs, args))


def _check_structures(name: str, programs: Sequence[Program], names: Sequence[str]) -> None:
    first = programs[0]
    for program, branch in zip(programs, names):
        if program.out_tree != first.out_tree:
            raise BranchMismatchError(
                f"The branches of {name} return different structures: {names[0]} {structure_text(first.out_tree)}, "
                f"{branch} {structure_text(program.out_tree)}.",
                "Whichever branch runs, what comes after it must find the same pytree.",
                "Return the same structure from all branches.",
                source=program.source_of(0),
            )


def _common_type(
    name: str, programs: Sequence[Program], names: Sequence[str], position: int, avals: Sequence[Any]
) -> Any:
    """The type of one result, whichever branch runs."""
    for program, branch, aval in zip(programs, names, avals):
        if meet(aval, avals[0]) is None:
            raise BranchMismatchError(
                f"The branches of {name} return different types: {leaf_name(program.out_tree, position)} is {avals[0]} "
                f"in {names[0]} and {aval} in {branch}.",
                "Whichever branch runs, what comes after it must find the same shapes and dtypes.",
                "Broadcast or convert the result of one of them (`.astype(...)`).",
                source=program.source_of(position),
            )
    return reduce(lambda x, y: meet(x, y) or x, avals)
