"""Python functions on their way into the primitives of control flow: traced, given common operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import tree
from ..api.arguments import FlatFunction, describe_leaf, input_leaves
from ..core.jaxpr import Jaxpr, Var
from ..core.recording import identity
from ..core.staging import trace_to_jaxpr
from ..core.trace import typeof
from ..source import Source


class Program(NamedTuple):
    """A function of flat operands as a jaxpr.

    Attributes:
        jaxpr: has the captured tracers as leading inputs.
        captured: the tracers of enclosing transformations that the function used.
        out_tree: the structure of what it returned.
        function: the function itself, for messages.
    """

    jaxpr: Jaxpr
    captured: list[Any]
    out_tree: Any
    function: Any

    def source_of(self, position: int) -> Source | None:
        """The line that computes one of the results, or else the one on which the function begins."""
        result = self.jaxpr.outputs[position] if position < len(self.jaxpr.outputs) else None
        for eqn in self.jaxpr.eqns:
            if any(v is result for v in eqn.outputs):
                return eqn.source
        code = getattr(self.function, "__code__", None)
        return None if code is None else Source(code, 0)


def staged(
    function: Callable[..., Any], rebuild: Callable[[Sequence[Any]], Sequence[Any]], avals: Sequence[Any]
) -> Program:
    """Trace a function of pytrees; `rebuild` makes its positional arguments of leaves."""
    flat = FlatFunction(function, rebuild, {}, False)
    jaxpr, captured = trace_to_jaxpr(flat, avals)
    return Program(jaxpr, captured, flat.out_tree, function)


def with_common_operands(programs: Sequence[Program]) -> tuple[list[Jaxpr], list[Any]]:
    """Jaxprs that all take what any of them captured, before the operands that they have anyway; and that."""
    common = list({identity(value): value for program in programs for value in program.captured}.values())
    avals = tuple(map(typeof, common))
    jaxprs: list[Jaxpr] = []
    for program in programs:
        places = {identity(value): i for i, value in enumerate(program.captured)}
        order = [places.get(identity(value)) for value in common]
        inputs = program.jaxpr.inputs
        leading = [Var(aval) if i is None else inputs[i] for i, aval in zip(order, avals)]
        jaxprs.append(Jaxpr([*leading, *inputs[len(program.captured) :]], program.jaxpr.eqns, program.jaxpr.outputs))
    return jaxprs, common


def leaf_name(treedef: Any, position: int) -> str:
    """How a message calls a leaf."""
    name = describe_leaf(treedef, position)
    return f"leaf {name}" if name else "value"


def operand_leaves(values: Any, name: str) -> tuple[list[Any], Any]:
    """The leaves of a pytree as operands, and its structure.

    Args:
        name: what the argument is called, for the message.
    """
    leaves, treedef = tree.flatten(values)
    return input_leaves(leaves, lambda i: f"`{name}{describe_leaf(treedef, i)}`"), treedef
