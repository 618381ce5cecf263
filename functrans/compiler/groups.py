"""What fusion knows of values, and the groups of them that become kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.jaxpr import Atom
from .loopnest import Expression, Load, Output

#: The shape of an iteration space, and how many of its last axes are reduced.
Space = tuple[tuple[int, ...], int]


class Value:
    """A variable or constant, as rules and groups see it.

    Attributes:
        uses: how many equations and results need it.
        step: the number of the step that computes it; -1 for what is there from the beginning.
        expression: what it is at the index that is the point of its own space, if a kernel can compute it again; for
            a view in terms of other values.
        equation: the number of what computes it in a kernel, or moves it.
        is_number: whether all of its elements are one number, which kernels call by the number of the variable.
        is_view: whether it moves the elements of others only, and is not in memory; then it belongs to no step.
        shown: the expression of a view that is in memory after its step after all, for groups up to that step.
        is_stored: whether it is in memory after its step.
        rule: makes what its rule made of its operands; None for what is not computed element by element.
        inlined: which operands readers at other places compute again with it, since they are cheap or nobody else needs
            them; the others they read. In turns: those of a turn are among what those of the turn before read.
        elsewhere: the expression for such readers, once one has asked for it (`_Fuser.elsewhere`).
        written: how many elements have to be written out together so that what they read, if it is computed again with
            them, is computed once.
        checks: the equations whose operands must have been checked before it is computed, by number.
        operations: how many there are in the expression for a reader of one element.
        read: how often that expression stands for a reader of a value of the same shape at the same place.
    """

    expression: Expression | None = None
    elsewhere: Expression | None = None
    shown: Expression | None = None
    rule: Callable[[], Expression] | None = None
    inlined: Sequence[Sequence[Value]] = ()
    equation: int | None = None
    is_number = False
    is_view = False
    checks: frozenset[int] = frozenset()
    cost = 0
    operations = 0
    written = 1

    def __init__(self, atom: Atom, uses: int, step: int = -1, is_stored: bool = True):
        self.atom = atom
        self.aval: Any = atom.aval
        self.uses = uses
        self.step = step
        self.is_stored = is_stored
        self.read: dict[Value, int] = {}

    def count(self, operand: Value, most: int) -> None:
        """Count the operations of an operand."""
        self.operations = min(self.operations + operand.operations, most)

    def take_over(self, operand: Value, is_same: bool, most: int) -> None:
        """Count what it takes to compute an operand again, at the same place or at another: so many operations at most,
        for what operands share is counted for each."""
        self.cost += operand.cost
        self.count(operand, most)
        if is_same:
            for value, count in operand.read.items():
                self.read[value] = self.read.get(value, 0) + count


class Inside(NamedTuple):
    """All expressions that one is made of, operands first; and the values that it reads, load by load.

    Attributes:
        is_computed: whether what it reads depends on what it reads.
    """

    everything: Sequence[Expression]
    leaves: Sequence[Load]
    is_computed: bool


class Group:
    """What one kernel computes: values over a shape, or reductions over the last axes of one."""

    __slots__ = ("again", "checks", "operations", "reduced", "shape", "values")

    def __init__(self, shape: tuple[int, ...], reduced: int):
        self.shape = shape
        self.reduced = reduced
        self.values: list[tuple[Value, Output]] = []
        self.again: dict[Any, int] = {}
        self.checks: set[int] = set()
        self.operations = 0
