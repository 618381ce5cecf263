"""Rewriting: one walk over the equations that folds constants, applies tables of rules, and shares what is equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.avals import ShapedArray
from ...core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var, literal
from ...core.primitive import Primitive
from ...primitives.foundation import Elementwise, broadcast_to, convert, full
from .folding import element_of, evaluated, folded, is_foldable, uniform_element
from .loops import simplify_programs
from .sharing import equation_key
from .signs import SIGNED, is_nonnegative

#: What stands for the one result of an equation, if it can be had for less; None if not.
Rule = Callable[["Rewriter", Eqn], Atom | None]
#: Rules by the name of the primitive.
Rules = Mapping[str, Sequence[Rule]]

#: Rules upon the results of rules, at most: two that undo each other shall not go on forever.
DEEPEST = 32


def rewrite(
    jaxpr: Jaxpr, rules: Rules, nested: Callable[[Jaxpr], Jaxpr], mark: Callable[[Jaxpr], Jaxpr]
) -> Jaxpr:
    """The same program with simpler equations in the place of others.

    Args:
        nested: simplifies a program that an equation holds.
        mark: called with programs that are parts of simplified ones.
    """
    rewriter = Rewriter(rules, nested, mark)
    results = rewriter.run(jaxpr)
    return Jaxpr(jaxpr.inputs, rewriter.eqns, results)


class Kind(NamedTuple):
    """What the walk needs to know of a primitive."""

    rules: Sequence[Rule]
    may_have_effects: bool
    is_foldable: bool
    is_elementwise: bool


class Rewriter:
    """The program as it is written anew, equation by equation.

    Attributes:
        eqns: the equations so far.
        definitions: for each variable of these the equation that defines it.
        uniform: the variables that are arrays of one value, and that value; of constants that were asked for, None too.
        nonnegative: variables that are NaN, or at least zero and not -0.0.
        sigmoids: variables that are 1 / (1 + exp(-x)), and x.
        shifted: variables that are x - max(x).
        source: the line of the equation that is being rewritten.
    """

    def __init__(self, rules: Rules, nested: Callable[[Jaxpr], Jaxpr], mark: Callable[[Jaxpr], Jaxpr]):
        self.rules = rules
        self.nested = nested
        self.mark = mark
        self.eqns: list[Eqn] = []
        self.definitions: dict[Atom, Eqn] = {}
        self.uniform: dict[Atom, Any] = {}
        self.nonnegative: set[Atom] = set()
        self.sigmoids: dict[Atom, Atom] = {}
        self.shifted: set[Atom] = set()
        self.source: Any = None
        self._seen: dict[Any, Sequence[Var]] = {}
        self._alive: list[Any] = []  # constants are told apart by id, so none may be freed and its id used again
        self._kinds: dict[Primitive, Kind] = {}
        self._depth = 0

    # ---- the walk

    def run(self, jaxpr: Jaxpr) -> list[Atom]:
        """Append the equations of a program whose inputs are our own; its results."""
        env: dict[Atom, Atom] = {}
        for eqn in jaxpr.eqns:
            primitive, inputs, params, outputs, source = eqn
            if env:
                renamed = [env.get(a, a) for a in inputs]
                if renamed != inputs:
                    eqn = Eqn(primitive, renamed, params, outputs, source)
            results = self.apply(eqn)
            if results is not outputs:
                env.update(zip(outputs, results))
        return [env.get(a, a) for a in jaxpr.outputs]

    def splice(self, eqns: Sequence[Eqn], env: dict[Any, Atom]) -> None:
        """Append equations from elsewhere, whose variables get new names, which are added to `env`."""
        for eqn in eqns:
            inputs = [env.get(a, a) for a in eqn.inputs]
            outputs = [Var(v.aval) for v in eqn.outputs]
            env.update(zip(eqn.outputs, self.apply(eqn._replace(inputs=inputs, outputs=outputs))))

    def apply(self, eqn: Eqn) -> Sequence[Atom]:
        """Append an equation, or simpler ones, or nothing; the atoms that stand for its results."""
        primitive = eqn.primitive
        kind = self._kinds.get(primitive) or self._kind(primitive)
        if primitive.holds_programs:
            return simplify_programs(self, eqn)
        self.source = eqn.source
        if kind.may_have_effects and primitive.has_effects(eqn.params):
            return self.append(eqn)
        simpler = self._simpler(eqn, kind)
        if simpler is not None:
            return simpler
        return self.shared(eqn, primitive.commutes and eqn.outputs[0].aval.dtype.kind != "c")

    def shared(self, eqn: Eqn, commutes: bool = False) -> Sequence[Atom]:
        """The results of an equal equation if there is one; else of this one, which is appended."""
        key = equation_key(eqn, commutes, self._alive)
        try:
            known = self._seen.setdefault(key, eqn.outputs)
        except TypeError:  # a parameter is not hashable: there is no telling what is equal to it
            return self.append(eqn)
        return self.append(eqn) if known is eqn.outputs else known

    def append(self, eqn: Eqn) -> Sequence[Atom]:
        """Append an equation as it is."""
        self.eqns.append(eqn)
        for var in eqn.outputs:
            self.definitions[var] = eqn
        primitive = eqn.primitive
        if primitive is full:
            value = element_of(**eqn.params)
            if value is not None:
                self.uniform[eqn.outputs[0]] = value
        if primitive.name in SIGNED and is_nonnegative(self, eqn):
            self.nonnegative.add(eqn.outputs[0])
        return eqn.outputs

    def _kind(self, primitive: Primitive) -> Kind:
        kind = self._kinds[primitive] = Kind(
            self.rules.get(primitive.name, ()),
            type(primitive).has_effects is not Primitive.has_effects,
            is_foldable(primitive),
            isinstance(primitive, Elementwise),
        )
        return kind

    def _simpler(self, eqn: Eqn, kind: Kind) -> Sequence[Atom] | None:
        if kind.is_elementwise:
            result = self._of_uniform(eqn)
            if result is not None:
                return [result]
        aval = eqn.outputs[0].aval if len(eqn.outputs) == 1 else None
        is_constant = kind.is_foldable
        for atom in eqn.inputs:
            if type(atom) is not Literal:
                is_constant = False
                break
        if is_constant and type(aval) is ShapedArray and aval.shape == ():
            results = folded(eqn)
            if results is not None:
                return results
        if self._depth < DEEPEST:
            self._depth += 1
            for rule in kind.rules:
                result = rule(self, eqn)
                if result is not None and result.aval == aval:
                    self._depth -= 1
                    return [result]
            self._depth -= 1
        return folded(eqn) if is_constant else None

    def _of_uniform(self, eqn: Eqn) -> Atom | None:
        """An elementwise function of arrays of one value each, as an array of one value."""
        aval = eqn.outputs[0].aval
        if aval.shape == ():
            return None
        values: list[Atom] = []
        for atom in eqn.inputs:
            value = self.constant(atom)
            if value is None:
                return None
            # An array stays one, of one element: NumPy's scalars have other powers.
            is_array = atom.aval.shape != ()
            values.append(literal(np.full(1, value, atom.aval.dtype)) if is_array else atom)
        found = evaluated(eqn._replace(inputs=values, outputs=[Var(aval.with_shape((1,)))]))
        return None if found is None else self.filled(found[0].item(), aval)

    # ---- for rules: what is known of atoms

    def definition(self, atom: Atom, *names: str) -> Eqn | None:
        """The equation that defines a variable, if its primitive has one of these names."""
        eqn = self.definitions.get(atom)
        return eqn if eqn is not None and eqn.primitive.name in names else None

    def operand(self, atom: Atom, name: str) -> Atom | None:
        """x where the atom is `name(x)`."""
        eqn = self.definitions.get(atom)
        return eqn.inputs[0] if eqn is not None and eqn.primitive.name == name else None

    def constant(self, atom: Atom) -> Any:
        """The value of a constant scalar, or of all elements of an array; None if that is not known."""
        if type(atom) is Literal and getattr(atom.aval, "shape", None) == ():
            return atom.value
        if type(atom) is Literal and atom not in self.uniform:
            self.uniform[atom] = uniform_element(atom.value)
        return self.uniform.get(atom)

    # ---- for rules: what is put in the place of an equation

    def emit(self, primitive: Primitive, *inputs: Any, **params: Any) -> Atom:
        """The result of a primitive of atoms and numbers."""
        atoms = [a if isinstance(a, (Var, Literal)) else literal(a) for a in inputs]
        (aval,) = primitive.abstract_eval(*[a.aval for a in atoms], **params)
        return self.apply(Eqn(primitive, atoms, params, [Var(aval)], self.source))[0]

    def filled(self, value: Any, aval: ShapedArray) -> Atom:
        """An array of one value."""
        if aval.shape == ():
            scalar = aval.dtype.type(value)
            return Literal(scalar.item() if aval.weak else scalar, aval)
        return self.emit(full, value=np.asarray(value).item(), shape=aval.shape, dtype=aval.dtype)

    def fit(self, atom: Atom, aval: ShapedArray) -> Atom:
        """An atom cast and broadcast to a type."""
        have = atom.aval
        if have.dtype != aval.dtype or (have.weak and not aval.weak):
            atom = self.emit(convert, atom, dtype=aval.dtype)
        return atom if have.shape == aval.shape else self.emit(broadcast_to, atom, shape=aval.shape)
