"""Interning: of jaxprs that are alike one is kept, so that what was derived from it serves the others too.

A loop outside `jit` is traced whenever it is run. Its body is a new jaxpr each time, but mostly the same program.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from math import prod
from typing import Any, Final

import numpy as np

from .avals import ShapedArray
from .jaxpr import Atom, Jaxpr, Literal, programs_in

#: How many jaxprs are kept, with all that was derived from them.
MOST_KEPT: Final = 64
#: A jaxpr is kept if it has so many equations and so many bytes of values at most: programs keep memory for them.
MOST_EQUATIONS, MOST_BYTES = 500, 1 << 20

_lock = threading.Lock()
_kept: OrderedDict[Any, Jaxpr] = OrderedDict()  # the one that was used last comes last


def interned(jaxpr: Jaxpr) -> Jaxpr:
    """The jaxpr, or one that is like it in all but identity: its constants and lines of code are the same, too."""
    key = likeness(jaxpr) if _is_small(jaxpr) else None
    if key is None:
        return jaxpr
    with _lock:
        found = _kept.setdefault(key, jaxpr)
        _kept.move_to_end(key)
        if len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return found


def forget_interned() -> None:
    """Keep none of them any longer."""
    with _lock:
        _kept.clear()


def likeness(jaxpr: Jaxpr) -> Any:
    """What a jaxpr has in common with those that are like it, a key while these live; None if it is like no other."""
    try:
        return _of_jaxpr(jaxpr)
    except _Unlike:
        return None


class _Unlike(Exception):
    """A jaxpr is like no other one."""


def _is_small(jaxpr: Jaxpr) -> bool:
    programs = [jaxpr]
    equations = size = 0
    while programs:
        program = programs.pop()
        equations += len(program.eqns)
        constants = (a for eqn in program.eqns for a in eqn.inputs if isinstance(a, Literal))
        size += _bytes((*program.inputs, *constants, *(v for eqn in program.eqns for v in eqn.outputs)))
        if equations > MOST_EQUATIONS or size > MOST_BYTES:
            return False
        programs += (inner for eqn in program.eqns for inner in programs_in(eqn.params))
    return True


def _bytes(atoms: Iterable[Atom]) -> int:
    avals = [atom.aval for atom in atoms]
    return sum(prod(aval.shape) * aval.dtype.itemsize for aval in avals if isinstance(aval, ShapedArray))


def _of_jaxpr(jaxpr: Jaxpr) -> Any:
    """What jaxprs that are alike have in common. Primitives and code are known by ids: the jaxpr keeps them alive."""
    numbers: dict[Atom, int] = {v: i for i, v in enumerate(jaxpr.inputs)}

    def of_atom(atom: Atom) -> Any:
        return (atom.aval, _of_value(atom.value)) if isinstance(atom, Literal) else numbers[atom]

    equations = []
    for primitive, inputs, params, outputs, source in jaxpr.eqns:
        operands = tuple(map(of_atom, inputs))
        for v in outputs:
            numbers[v] = len(numbers)
        place = None if source is None else (id(source.code), source.instruction)
        types = tuple([v.aval for v in outputs])
        equations.append((id(primitive), operands, _of_value(params), types, place))
    return (tuple(v.aval for v in jaxpr.inputs), tuple(equations), tuple(map(of_atom, jaxpr.outputs)))


def _of_value(value: Any) -> Any:
    """The same for the value of a literal or parameter."""
    kind = type(value)
    if value is None or kind in (bool, int, str, bytes):
        return kind, value
    if kind in (float, complex):
        return kind, np.array(value).tobytes()  # which tells zeros from each other
    if isinstance(value, tuple | list):
        return (kind, *map(_of_value, value))
    if kind is dict:
        return tuple([(name, _of_value(value[name])) for name in sorted(value, key=str)])
    if kind is np.ndarray or isinstance(value, np.generic):
        if value.dtype.hasobject:
            raise _Unlike
        if value.nbytes > MOST_BYTES:
            return kind, id(value)  # which the jaxpr keeps alive, too
        return kind, value.dtype, value.shape, value.tobytes()
    if isinstance(value, np.dtype):
        return value
    if isinstance(value, Jaxpr):
        return _of_jaxpr(value)
    raise _Unlike  # a function, which may close over anything; a traced value; an array elsewhere
