"""What the element of a result in one lane reads: asked of the rules that write kernels (`Primitive.lower`)."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.avals import ShapedArray
from ...core.jaxpr import Eqn
from ..apart.elements import ElementBuilder, at_value, broadcast_index
from ..loopnest import INT, Apply, Expression, Index, Load, Register, expressions_in, parts

#: The number of the lane, while a rule is asked.
LANE = Register(-1, INT)
#: That as an index.
OF_LANE = at_value(LANE)

#: For each operand that an element reads, the axis along which lanes lie; None: it is the same for all lanes.
Axes = dict[int, int | None]


class _Operand:
    """An operand in a rule."""

    def __init__(self, number: int, aval: ShapedArray):
        self.number = number
        self.aval = aval

    def at(self, index: Index) -> Expression:
        return Load(self.number, index, self.aval.dtype)

    def broadcast(self, index: Index) -> Expression:
        return self.at(broadcast_index(index, self.aval.shape))


def axes_read(eqn: Eqn, axis: int) -> Axes | None:
    """Which axes of its operands are lanes if one of the result is; None if lanes read each other, or nobody knows."""
    aval = eqn.outputs[0].aval
    index = _index(len(aval.shape), axis)
    operands = [_Operand(k, a.aval) for k, a in enumerate(eqn.inputs)]
    builder = ElementBuilder(aval)
    reduction = eqn.primitive.lower_reduction(builder, *operands, **eqn.params)
    if reduction is not None:
        rest = tuple(at_value(Register(-2 - len(index) - k, INT)) for k in range(reduction.reduced))
        return _axes_of(reduction.element((*index, *rest)))
    rule = eqn.primitive.lower(builder, *operands, **eqn.params)
    return None if rule is None else _axes_of(rule(index))


def _index(rank: int, axis: int) -> Index:
    """An index of which nothing is known but the lane."""
    return tuple(OF_LANE if a == axis else at_value(Register(-2 - a, INT)) for a in range(rank))


def _axes_of(root: Expression) -> Axes | None:
    found: Axes = {}
    for e in expressions_in([root]):
        if isinstance(e, Apply) and LANE in e.operands:
            return None
        if isinstance(e, Load):
            axes = _lane_axes(e)
            own = axes[0] if axes else None
            if len(axes) > 1 or found.setdefault(e.operand, own) != own:
                return None
            others = [i for i in e.index if i != OF_LANE]
            if any(LANE in expressions_in([x]) for i in others for _, x in i.terms):
                return None
    return None if root == LANE else found


def _lane_axes(load: Load) -> Sequence[int]:
    return [axis for axis, i in enumerate(load.index) if i == OF_LANE] if parts(load) else ()
