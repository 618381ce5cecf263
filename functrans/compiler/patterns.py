"""What rules make of equations (`Primitive.lower`): remembered by dtypes, and used for operands of all sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.avals import ShapedArray
from ..core.jaxpr import Eqn
from .builder import Builder
from .costs import measured
from .loopnest import ORIGIN, Apply, Expression, Index, Load, expressions_in, point, rebuilt


class Reader:
    """An operand in a rule: its elements by index.

    Args:
        shape: that of the result.
    """

    def __init__(self, value: Any, aval: ShapedArray, shape: tuple[int, ...]):
        self.value = value
        self.aval = aval
        self.shape = shape

    def at(self, index: Index) -> Expression:
        """The element at an index of the rank of the operand."""
        return tuple.__new__(Load, (self.value, index, self.aval.dtype))

    def broadcast(self, index: Index) -> Expression:
        """The element that broadcasting puts at an index of the result: that index where both have an extent of one."""
        shape = self.aval.shape
        own = index[len(index) - len(shape) :]
        if 1 in shape and shape != self.shape:
            wanted = self.shape[len(self.shape) - len(shape) :]
            own = tuple([ORIGIN if n == 1 != m else i for i, n, m in zip(own, shape, wanted)])
        return tuple.__new__(Load, (self.value, own, self.aval.dtype))


class Pattern(NamedTuple):
    """What a rule makes of operands at the point of the result.

    Attributes:
        expression: loads in it are of the numbers of operands.
        loads: these.
        applied: the operations, operands first; constants: what else there is, by id.
        cost, operations: what it takes to compute it.
        is_supported: whether the backend knows all that.
    """

    expression: Expression
    loads: Sequence[Load]
    applied: Sequence[Apply]
    constants: Mapping[int, Expression]
    cost: int
    operations: int
    is_supported: bool

    def of(self, elements: Sequence[Expression]) -> Expression:
        """The same with other expressions in the place of the loads."""
        results = dict(self.constants)
        results.update(zip(map(id, self.loads), elements))
        for applied in self.applied:
            results[id(applied)] = rebuilt(applied, results)
        return results[id(self.expression)]


#: Patterns by what they depend on, and how many are kept.
_kept: dict[Any, Pattern | None] = {}
MOST_KEPT = 4096


def pattern_of(eqn: Eqn, supports: Callable[[Expression], bool]) -> Pattern | None:
    """What the rule of an equation with one result makes; None if it has to be asked for these very operands.

    Args:
        supports: whether the backend knows a dtype, and an operation on operands of their dtypes.
    """
    primitive, inputs, params, (var,), _ = eqn
    if not primitive.lowers_by_dtype:
        return None
    shape, dtype, _ = var.aval
    kinds: list[Any] = [supports, primitive, _units(shape), dtype]
    for atom in inputs:
        own, *others = atom.aval
        kinds.append((_units(own), *others))
    key = (*kinds, *params.items()) if params else tuple(kinds)
    try:
        return _kept[key]
    except KeyError:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        found = _kept[key] = _found(eqn, supports)
        return found


def _units(shape: tuple[int, ...]) -> Any:
    """How many axes there are, and which of them have extent one."""
    return tuple([n == 1 for n in shape]) if 1 in shape else len(shape)


def _found(eqn: Eqn, supports: Callable[[Expression], bool]) -> Pattern | None:
    (var,) = eqn.outputs
    readers = [Reader(number, atom.aval, var.aval.shape) for number, atom in enumerate(eqn.inputs)]
    rule = eqn.primitive.lower(Builder(var.aval), *readers, **eqn.params)
    if rule is None:
        return None
    expression = rule(point(len(var.aval.shape)))
    everything = expressions_in([expression])
    loads = [e for e in everything if type(e) is Load]
    applied = [e for e in everything if type(e) is Apply]
    constants = {id(e): e for e in everything if type(e) is not Load and type(e) is not Apply}
    return Pattern(expression, loads, applied, constants, *measured(everything), all(map(supports, everything)))
