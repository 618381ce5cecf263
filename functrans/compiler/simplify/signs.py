"""Which values are known to be NaN, or at least zero and not -0.0: roots and powers of them have short forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.jaxpr import Atom, Eqn

if TYPE_CHECKING:
    from .rewriting import Rewriter

# A table, not rules of primitives: what one family of rewritings needs to know of a few of them, at a glance.
#: Functions with such values, whatever real number they are of.
_ALWAYS = {"absolute", "fabs", "square", "exp", "exp2", "hypot", "cosh"}
#: Functions with such values where all operands are such.
_KEEP = {
    "add", "add_any", "multiply", "divide", "sqrt", "power", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod",
    "reshape", "transpose", "broadcast_to", "slice", "reverse", "concatenate", "convert",
}  # fmt: skip
#: The same, of the first operand.
_KEEP_FIRST = {"gather", "dynamic_slice"}
#: All functions of which anything is known.
SIGNED = {*_ALWAYS, *_KEEP, *_KEEP_FIRST, "select"}


def is_nonnegative(rewriter: Rewriter, eqn: Eqn) -> bool:
    """Whether the result of an equation is NaN, or at least zero and not -0.0."""
    name, inputs = eqn.primitive.name, eqn.inputs
    if eqn.outputs[0].aval.dtype.kind != "f":
        return False
    if name in _ALWAYS or (name == "multiply" and inputs[0] is inputs[1]):
        return True
    operands = inputs[:1] if name in _KEEP_FIRST else inputs[1:] if name == "select" else inputs
    for atom in operands:  # noqa: SIM110 (called very often)
        if not _is_known(rewriter, atom):
            return False
    return True


def _is_known(rewriter: Rewriter, atom: Atom) -> bool:
    if atom in rewriter.nonnegative:
        return True
    value: Any = rewriter.constant(atom)
    if value is None:
        return False
    return atom.aval.dtype.kind in "biuf" and value >= 0 and str(value) != "-0.0"
