"""The truth value of an array that is not known while tracing: who can follow both outcomes."""

from __future__ import annotations

from ..errors import AmbiguousTruthError
from .trace import EVAL, Trace, Traced, current_trace


class Undecided(BaseException):
    """A function wants to know which way to go, and its trace cannot tell: it must be staged first.

    No error, and never seen by users: whoever began the trace catches it. It is no Exception, so that an `except`
    clause on its way does not; should a bare `except:` do it all the same, the trace still has it as `undecided`.
    """

    def __init__(self, trace: Trace, predicate: Traced):
        self.trace = trace
        self.predicate = predicate
        self.is_handled = False


def truth_value(predicate: Traced) -> bool:
    """`bool(predicate)` on the path that is being traced: the innermost trace that can tell decides.

    Raises:
        AmbiguousTruthError: it has not exactly one element.
    """
    size = predicate.aval.size
    if size != 1:
        raise AmbiguousTruthError(
            f"The truth value of an {'array with more than one element' if size else 'empty array'} is ambiguous "
            f"(type {predicate.aval}).",
            "`if`, `while`, `and`, `not` and `assert` go one way or the other for the whole array.",
            "Use np.any or np.all, or choose by element with np.where.",
        )
    trace = current_trace.get()
    while trace is not EVAL:
        outcome = trace.decide(predicate)
        if outcome is not None:
            return outcome
        trace = trace.parent
    raise predicate.trace.leak_error(predicate, "bool")
