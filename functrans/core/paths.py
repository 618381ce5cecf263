"""Python `if` on values that are not known: a function is traced once for each way through it, and the ways meet.

The first run takes every decision as true. For each decision the function is run again, up to it the same way and
there the other. Up to there it must do the same, so that nothing is recorded anew: the equations before a decision
are shared, and so are their variables. What comes after it, on either side, are the branches of a cond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np

from ..errors import ConditionalExceptionError, FunctransError, ImpureFunctionError, TooManyPathsError
from ..settings import config
from ..source import Source, current_source, user_traceback
from .avals import told_apart
from .cells import argument
from .jaxpr import Atom, Eqn, Literal, Var, literal, substitute
from .libraries import hidden_by
from .primitive import Primitive
from .recording import JaxprTrace, JaxprTracer
from .snapshot import same_bits
from .trace import Params, Traced, as_supported_array, running, typeof

#: Where two ways meet: `joining.join(decision, false, true)` is the Block that does either (control/joining.py).
joining: Final = SimpleNamespace()


class Leaves(list[Any]):
    """Results that know the pytrees they are the leaves of, so that they can be told from those of another run."""

    __slots__ = ("structure",)
    structure: tuple[Any, ...]


def leaves_of(values: Iterable[Any], *structure: Any) -> Leaves:
    """Values as the leaves of pytrees."""
    leaves = Leaves(values)
    leaves.structure = structure
    return leaves


class Decision(NamedTuple):
    """One place where Python went one way by the truth value of a variable.

    Attributes:
        value: stands for all variables that hold the same value as the predicate.
        outcome: the way it went.
        eqns, constants: how many of them had been recorded before.
    """

    predicate: Var
    value: Var
    outcome: bool
    eqns: int
    constants: int
    source: Source | None


class Block(NamedTuple):
    """What happens from some place in a function up to its end.

    Attributes:
        structure: what there is to know of the results beside their types: the pytrees they were, if it is known.
    """

    eqns: list[Eqn]
    outputs: list[Atom]
    structure: Any


class Run(NamedTuple):
    """One way through a function: its trace, and the results or the exception that it ended with."""

    trace: JaxprTrace
    end: Block | Exception


class Replay(JaxprTrace):
    """Another run, which goes the other way at one decision of an earlier one; up to there all must be the same."""

    __slots__ = ("ahead", "earlier")

    def __init__(self, earlier: JaxprTrace, turn: int):
        super().__init__(earlier.parent, earlier.paths)
        decision = earlier.decisions[turn]
        self.captured, self.snapshots = earlier.captured, earlier.snapshots
        self.earlier = earlier
        #: Decisions to be met again, the last of them with the other outcome.
        self.ahead = [*earlier.decisions[:turn], decision._replace(outcome=not decision.outcome)]

    def record(self, primitive: Primitive, args: Sequence[Any], params: Params) -> list[JaxprTracer]:
        place = len(self.eqns)
        if place >= self.ahead[-1].eqns:
            return super().record(primitive, args, params)
        eqn = self.earlier.eqns[place]
        if eqn.primitive is not primitive or len(eqn.inputs) != len(args):
            self.differ(f"there was `{primitive.name}` in place of `{eqn.primitive.name}`")
        if not all(map(self.is_same, eqn.inputs, args)):
            self.differ(f"`{primitive.name}` had other operands")
        if params != eqn.params:
            out_avals = primitive.abstract_eval(*[a.aval for a in eqn.inputs], **params)
            if out_avals != [v.aval for v in eqn.outputs]:
                self.differ(f"the result of `{primitive.name}` had another type")
        self.eqns.append(eqn)
        return [JaxprTracer(self, v.aval, v) for v in eqn.outputs]

    def constant(self, value: Any) -> JaxprTracer:
        place = len(self.constants)
        if place >= self.ahead[-1].constants:
            return super().constant(value)
        var, known = self.earlier.constants[place]
        if not self.is_same(literal(known), value):
            self.differ("a constant had another value")
        self.constants.append((var, known))
        return JaxprTracer(self, var.aval, var)

    def differ(self, difference: str) -> NoReturn:
        assert self.paths is not None
        self.paths.fail(impure(difference))

    def is_same(self, atom: Atom, value: Any) -> bool:
        """Whether an operand is what it was before."""
        if isinstance(value, Traced):
            return self.variable(value, "if") is atom
        if self.captures(value):
            return self.of_gpu(self.snapshots.of(value)) is atom
        if not isinstance(atom, Literal) or typeof(value) != atom.aval:
            return False
        value, known = as_supported_array(value), atom.value
        if type(value) is np.ndarray and type(known) is np.ndarray:
            return value is known or same_bits(value, known)
        return bool(atom.aval.shape) or np.asarray(value).tobytes() == np.asarray(known).tobytes()


class Paths:
    """The ways through one function.

    Args:
        function: takes one value for each input, and returns a sequence of values.
        inputs: variables that stand for its arguments.
    """

    __slots__ = ("count", "equal", "failure", "function", "inputs", "lines")

    def __init__(self, function: Callable[..., Sequence[Any]], inputs: Sequence[Var]):
        self.function = function
        self.inputs = inputs
        self.count = 1
        self.lines: dict[Any, int] = {}
        self.equal = EqualValues()
        self.failure: FunctransError | None = None

    def fail(self, error: FunctransError) -> NoReturn:
        """Raise an error that holds even if the function catches it."""
        self.failure = error
        raise error

    def follow(self, trace: JaxprTrace) -> Block:
        """All that the function does, whichever way it goes; `trace` is for the first run."""
        found = self.rest(self.run(trace), 0)
        if isinstance(found, Exception):
            raise found
        return found

    def run(self, trace: JaxprTrace) -> Run:
        """Go one way through the function."""
        args = [argument(JaxprTracer(trace, v.aval, v)) for v in self.inputs]
        try:
            with running(trace):
                results = self.function(*args)
                outputs = [trace.atom(out) for out in results]
        except Exception as error:
            if self.failure is not None:
                raise self.failure from None
            error = hidden_by(error) or error
            if isinstance(error, FunctransError):
                for decision in trace.decisions:
                    error.add_note(f"This is traced for {_outcome(decision)}.")
                raise error
            if not trace.decisions:
                raise error
            return Run(trace, error)
        if self.failure is not None:
            raise self.failure
        if isinstance(trace, Replay) and len(trace.decisions) < len(trace.ahead):
            raise impure("it ended earlier")
        return Run(trace, Block(*without_constants(trace, outputs), getattr(results, "structure", None)))

    def rest(self, run: Run, given: int) -> Block | Exception:
        """What comes after the first `given` decisions of a run, whichever way the others go."""
        trace, found = run
        decisions = trace.decisions
        if not decisions:
            return found
        stops = [0, *(decision.eqns for decision in decisions)]
        eqns, _ = without_constants(trace, ())
        if isinstance(found, Block):
            found = found._replace(eqns=eqns[stops[-1] :])
        for turn in reversed(range(given, len(decisions))):
            other = self.rest(self.run(Replay(trace, turn)), turn + 1)
            found = _met(decisions[turn], other, found)
            if isinstance(found, Block):
                found = found._replace(eqns=[*eqns[stops[turn] : stops[turn + 1]], *found.eqns])
        return found

    def decide(self, trace: JaxprTrace, predicate: Var) -> bool:
        """Which way a run goes: as it did by an equal value before, as it is told to, or else as if it were true."""
        decisions = trace.decisions
        value = self.equal.representative(predicate, trace.eqns[decisions[-1].eqns if decisions else 0 :])
        for decision in decisions:
            if decision.value is value:
                return decision.outcome
        place = len(decisions)
        if isinstance(trace, Replay) and place < len(trace.ahead):
            decision = trace.ahead[place]
            if decision.predicate is not predicate or decision.eqns != len(trace.eqns):
                self.fail(impure("it decided by another value"))
        else:
            source = current_source()
            decision = Decision(predicate, value, True, len(trace.eqns), len(trace.constants), source)
            self.count += 1
            line = source and (source.code, source.line)
            self.lines[line] = self.lines.get(line, 0) + 1
            if self.count > config.max_paths:
                self.fail(too_many_paths(source, self.lines[line]))
        decisions.append(decision)
        return decision.outcome


class EqualValues:
    """Which variables hold the same value because it was computed in the same way."""

    __slots__ = ("alive", "known", "representatives")

    def __init__(self) -> None:
        self.representatives: dict[Var, Var] = {}
        self.known: dict[Any, Sequence[Var]] = {}
        self.alive: list[Any] = []  # constants are told apart by id, so none may be freed and its id used again

    def representative(self, var: Var, eqns: Sequence[Eqn]) -> Var:
        """One variable for all that are equal to this one; `eqns` are those recorded since the last decision."""
        for eqn in eqns:
            if not eqn.outputs or eqn.outputs[0] in self.representatives or eqn.primitive.has_effects(eqn.params):
                continue
            params = [(name, told_apart(value)) for name, value in sorted(eqn.params.items())]
            key = eqn.primitive, *map(self._key, eqn.inputs), *params
            try:
                same = self.known.setdefault(key, eqn.outputs)
            except TypeError:  # a parameter that is not hashable
                continue
            self.representatives.update(zip(eqn.outputs, same))
        return self.representatives.get(var, var)

    def _key(self, atom: Atom) -> Any:
        if isinstance(atom, Var):
            return self.representatives.get(atom, atom)
        self.alive.append(atom.value)
        return atom.aval, id(atom.value) if atom.aval.shape else np.asarray(atom.value).tobytes()


def without_constants(trace: JaxprTrace, outputs: Sequence[Atom]) -> tuple[list[Eqn], list[Atom]]:
    """The equations of a trace and the given results, constants that were made tracers being constants again."""
    if not trace.constants:
        return trace.eqns, list(outputs)
    atoms: dict[Var, Atom] = {var: literal(value) for var, value in trace.constants}
    return substitute(trace.eqns, atoms), [atoms.get(a, a) if isinstance(a, Var) else a for a in outputs]


def _met(decision: Decision, false: Block | Exception, true: Block | Exception) -> Block | Exception:
    """Either of two ways; an exception if both end with one."""
    if isinstance(true, Exception):
        return true if isinstance(false, Exception) else _raise(decision, True, true)
    return _raise(decision, False, false) if isinstance(false, Exception) else joining.join(decision, false, true)


def _raise(decision: Decision, outcome: bool, error: Exception) -> NoReturn:
    cause = error.with_traceback(user_traceback(error.__traceback__))
    shown = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
    raise ConditionalExceptionError(
        f"`{shown}` was raised where the condition is {str(outcome).lower()}, and no exception where it is not.",
        "Both ways are traced, and the program chooses when it runs: whether there is an exception cannot depend on a "
        "traced value.",
        "Check the arguments outside the transformed function, or return a value that tells (NaN, a flag).",
        source=decision.source,
    ) from cause


def _outcome(decision: Decision) -> str:
    text = f"`{decision.source.text}`" if decision.source and decision.source.text else "a condition"
    line = f" (line {decision.source.line})" if decision.source else ""
    return f"{text}{line} being {str(decision.outcome).lower()}"


def too_many_paths(source: Source | None, times: int) -> TooManyPathsError:
    """The error for a function that would have to be traced more often than is allowed."""
    text = source.text if source is not None else ""
    what = f"Python decides by traced values so often that there are more than {config.max_paths} ways to go."
    limit = "The limit is `functrans.config.max_paths`."
    if times < 3:
        return TooManyPathsError(
            what,
            "The function is traced once for each of them, and what comes after a decision is there twice.",
            f"Use functrans.lax.cond or functrans.numpy.where for some of them, so that the ways meet again. {limit}",
            source,
        )
    loop = "Use functrans.lax.while_loop for a loop that ends when a traced value says so"
    return TooManyPathsError(
        what,
        f"This line decided {times} times: it stands in a loop or a recursion, and each round doubles the ways.",
        f"{loop}."
        if text.startswith("while")
        else f"{loop}, and functrans.lax.cond or functrans.numpy.where for a choice within a loop. {limit}",
        source,
    )


def impure(difference: str) -> ImpureFunctionError:
    """The error for a function that does not do the same again."""
    return ImpureFunctionError(
        f"A function was traced again with the same arguments, and did something else: {difference}.",
        "It decides by traced values (`if`), and is traced once for each way that it can go; up to there it must do "
        "the same each time.",
        "Keep random numbers, counters, caches and other outside state out of the function; pass them in as arguments.",
    )
