"""Passes from jaxpr to jaxpr that keep every value bit for bit: inline, fold, share, drop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var, prune
from ..core.primitive import Primitive
from ..core.trace import EVAL, running

#: Results larger than this are left to run time: a program should not carry arrays that it can make.
FOLD_LIMIT = 64


def simplify(jaxpr: Jaxpr) -> Jaxpr:
    """An equivalent jaxpr with less to do."""
    state = _Simplifier()
    outputs = state.run(jaxpr, jaxpr.inputs)
    return Jaxpr(jaxpr.inputs, _without_unused(state.eqns, outputs), outputs)


def _without_unused(eqns: Sequence[Eqn], outputs: Sequence[Atom]) -> list[Eqn]:
    """The equations that the outputs depend on, less what programs inside of them compute for nobody."""
    needed = {a for a in outputs if isinstance(a, Var)}
    kept: list[Eqn] = []
    for eqn in reversed(prune(eqns, outputs)):
        wanted = [v in needed for v in eqn.outputs]
        if not any(wanted) and not eqn.primitive.has_effects(eqn.params):
            continue
        smaller = None if all(wanted) else eqn.primitive.without_results(eqn.params, wanted)
        if smaller is not None:
            params, operands, results = smaller
            inputs = [a for a, is_kept in zip(eqn.inputs, operands) if is_kept]
            eqn = eqn._replace(params=params, inputs=inputs, outputs=[v for v, k in zip(eqn.outputs, results) if k])
        kept.append(eqn)
        needed.update(a for a in eqn.inputs if isinstance(a, Var))
    return kept[::-1]


class _Simplifier:
    """Rewrites equations one after the other; each variable of the old program has an atom in the new one."""

    def __init__(self) -> None:
        self.eqns: list[Eqn] = []
        self.seen: dict[Any, Sequence[Var]] = {}
        self.alive: list[Any] = []  # constants are told apart by id, so none may be freed and its id used again

    def run(self, jaxpr: Jaxpr, inputs: Sequence[Atom]) -> list[Atom]:
        """Append the equations of a jaxpr applied to atoms; its results."""
        env: dict[Var, Atom] = dict(zip(jaxpr.inputs, inputs, strict=True))

        def read(atom: Atom) -> Atom:
            return env[atom] if isinstance(atom, Var) else atom

        for eqn in jaxpr.eqns:
            env.update(zip(eqn.outputs, self.apply(eqn, [read(a) for a in eqn.inputs])))
        return [read(a) for a in jaxpr.outputs]

    def apply(self, eqn: Eqn, inputs: list[Atom]) -> Sequence[Atom]:
        """The atoms that stand for the results of an equation."""
        body = eqn.primitive.inlined_jaxpr(eqn.params)
        if body is not None:
            return self.run(body, inputs)
        has_effects = eqn.primitive.has_effects(eqn.params)
        simpler = None if has_effects else _identity(eqn, inputs) or _folded(eqn, inputs)
        if simpler is not None:
            return simpler
        self.alive += [a.value for a in inputs if isinstance(a, Literal)]
        key = None if has_effects else _key(eqn.primitive, inputs, eqn.params)
        shared = self.seen.get(key) if key is not None else None
        if shared is not None:
            return shared
        outputs = [Var(v.aval) for v in eqn.outputs]
        self.eqns.append(eqn._replace(inputs=inputs, outputs=outputs))
        if key is not None:
            self.seen[key] = outputs
        return outputs


def _identity(eqn: Eqn, inputs: Sequence[Atom]) -> Sequence[Atom] | None:
    """The operand that the result is equal to: `scale(1, c)` is c, a reshape to the same shape its operand."""
    if len(eqn.outputs) != 1:
        return None
    name, out = eqn.primitive.name, eqn.outputs[0].aval
    if name == "scale":
        t, c = inputs
        if isinstance(t, Literal) and t.aval.shape == () and t.value == 1 and c.aval == out:
            return [c]
    if name in ("reshape", "broadcast_to", "convert", "name") and inputs[0].aval == out:
        return [inputs[0]]
    return None


def _folded(eqn: Eqn, inputs: Sequence[Atom]) -> Sequence[Atom] | None:
    """The results as constants, if all operands are and the results are small."""
    if not inputs or not all(isinstance(a, Literal) for a in inputs):
        return None
    if any(v.aval.size > FOLD_LIMIT for v in eqn.outputs):
        return None
    try:
        with running(EVAL), np.errstate(all="ignore"):
            values = eqn.primitive.impl(*(a.value for a in inputs), **eqn.params)  # type: ignore[union-attr]
    except Exception:  # what fails is to fail when the program runs, if it gets there
        return None
    return [Literal(value, v.aval) for value, v in zip(values, eqn.outputs)]


def _key(primitive: Primitive, inputs: Sequence[Atom], params: dict[str, Any]) -> Any:
    """Equal for equations that compute the same; None where that cannot be told."""
    operands = tuple(a if isinstance(a, Var) else _literal_key(a) for a in inputs)
    key = primitive, operands, tuple((name, _param_key(params[name])) for name in sorted(params))
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _param_key(value: Any) -> Any:
    """Numbers by how they are written: 0.0 is not -0.0, nor 1 True."""
    return (type(value), repr(value)) if isinstance(value, (bool, int, float, complex)) else value


def _literal_key(literal: Literal) -> Any:
    """Scalars by their bits (0.0 is not -0.0), arrays by identity."""
    if literal.aval.shape == ():
        return literal.aval, np.asarray(literal.value).tobytes()
    return id(literal.value)
