"""Inlining: the equations of a program in the place of the equation that runs it, at any depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...core.jaxpr import Atom, Eqn, Jaxpr, Var


def inline(jaxpr: Jaxpr) -> Jaxpr:
    """The same program without calls, functions with rules of their own, and implicit functions."""
    return _inlined(jaxpr, program_of)


def inline_secluded(jaxpr: Jaxpr) -> Jaxpr:
    """The same program without a checkpoint that is the only one: no other one can share work with it."""
    while True:
        secluded = [eqn for eqn in jaxpr.eqns if secluded_program(eqn) is not None]
        if len(secluded) != 1:
            return jaxpr
        (only,) = secluded
        jaxpr = inline(_inlined(jaxpr, lambda eqn, only=only: secluded_program(eqn) if eqn is only else None))


def program_of(eqn: Eqn) -> Jaxpr | None:
    """The program that an equation stands for."""
    if not eqn.primitive.stands_for_program:
        return None
    return eqn.primitive.program_to_run(eqn.params, [a.aval for a in eqn.inputs])


def secluded_program(eqn: Eqn) -> Jaxpr | None:
    """The program that an equation stands for, where none of its kind is beside it."""
    return eqn.primitive.secluded_program(eqn.params) if eqn.primitive.holds_programs else None


def _inlined(jaxpr: Jaxpr, program_of: Callable[[Eqn], Jaxpr | None]) -> Jaxpr:
    """A program with others in the place of equations that stand for them."""
    if all(program_of(eqn) is None for eqn in jaxpr.eqns):
        return jaxpr
    eqns: list[Eqn] = []
    frames = [_Frame(jaxpr, jaxpr.inputs, None)]  # a stack of our own: programs may be nested deeply
    while True:
        frame = frames[-1]
        called = frame.advance(eqns, program_of)
        if called is not None:
            frames.append(called)
            continue
        frames.pop()
        results = [frame.env.get(a, a) for a in frame.jaxpr.outputs]
        if frame.call is None:
            return Jaxpr(jaxpr.inputs, eqns, results)
        frames[-1].env.update(zip(frame.call.outputs, results))


class _Frame:
    """A program that is being inlined: how far we are, and what its variables are called outside."""

    def __init__(self, jaxpr: Jaxpr, inputs: Sequence[Atom], call: Eqn | None):
        self.jaxpr = jaxpr
        self.call = call
        self.rest = iter(jaxpr.eqns)
        self.env: dict[Atom, Atom] = dict(zip(jaxpr.inputs, inputs, strict=True))

    def advance(self, eqns: list[Eqn], program_of: Callable[[Eqn], Jaxpr | None]) -> _Frame | None:
        """Append equations up to the next call, whose frame is returned; None: this was the last one."""
        for eqn in self.rest:
            inputs = [self.env.get(a, a) for a in eqn.inputs]
            program = program_of(eqn)
            if program is not None:
                return _Frame(program, inputs, eqn)
            if self.call is None:
                eqns.append(eqn._replace(inputs=inputs))
                continue
            outputs = [Var(v.aval) for v in eqn.outputs]  # a program may be called twice
            self.env.update(zip(eqn.outputs, outputs))
            eqns.append(Eqn(eqn.primitive, inputs, eqn.params, outputs, eqn.source or self.call.source))
        return None
