"""What the second half of a program is given of the first one, and what it computes again: the smallest cut.

The values of the first half are a graph. Those that the second half reads are made of others, these of others still,
back to the inputs; on every way from there to what is read, something must be kept. To keep a value costs what it takes
to write and to read it; to make it again, the operations. So what is kept is a minimum cut of the graph, one with these
costs as capacities, and what lies behind the cut is computed again. What nothing but the second half needs costs
nothing there: it is not computed in the first half.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from ..compiler.simplify.sharing import equation_key
from ..core.avals import ShapedArray, is_inexact
from ..core.jaxpr import Atom, Eqn, Jaxpr, Var, memoized, prune, substitute
from .partial_eval import partial_eval_jaxpr

#: What it costs to keep a number, in additions: so many vectors are added while one is written to memory and read.
KEEPING = 8
#: Of so many equations a cut is looked for at a time: that takes more than the square of their number.
WINDOW = 64


@memoized
def split_jaxpr(
    jaxpr: Jaxpr, unknown: tuple[bool, ...], forced: tuple[bool, ...] | None = None
) -> tuple[Jaxpr, Jaxpr, tuple[bool, ...]]:
    """As `partial_eval_jaxpr`, with fewest residuals where inputs and results are there anyway."""
    known, rest, out_unknown = partial_eval_jaxpr(jaxpr, unknown, forced)
    count = out_unknown.count(False)
    return *with_fewest_residuals(known, rest, count, {*known.inputs, *known.outputs[:count]}), out_unknown


def with_fewest_residuals(known: Jaxpr, rest: Jaxpr, count: int, at_hand: Collection[Any]) -> tuple[Jaxpr, Jaxpr]:
    """Halves of a program that keep less, where that is cheaper: the second one computes the others again.

    Args:
        count: how many results of `known` are no residuals.
        at_hand: variables of `known` that cost nothing if they are residuals.
    """
    known = _shared(known)
    residuals = known.outputs[count:]
    makers = _repeatable(known)
    kept, again = _cut(known, count, makers, at_hand)
    names: dict[Atom, Var] = dict(zip(residuals, rest.inputs))  # what the rest calls it
    aliases = {var: names[r] for r, var in zip(residuals, rest.inputs) if names[r] is not var}
    names.update((v, Var(v.aval)) for v in kept if v not in names)
    eqns: list[Eqn] = []
    for eqn in again:
        outputs = [names.setdefault(v, Var(v.aval)) for v in eqn.outputs]
        eqns.append(eqn._replace(inputs=[names.get(a, a) for a in eqn.inputs], outputs=outputs))
    known_outputs = [*known.outputs[:count], *kept]
    rest_outputs = [aliases.get(a, a) if type(a) is Var else a for a in rest.outputs]
    return (
        Jaxpr(known.inputs, prune(known.eqns, known_outputs), known_outputs),
        Jaxpr(
            [*(names[v] for v in kept), *rest.inputs[len(residuals) :]],
            [*eqns, *substitute(rest.eqns, aliases)],
            rest_outputs,
        ),
    )


def _shared(jaxpr: Jaxpr) -> Jaxpr:
    """The same program where equal equations have the same results, so that these are kept once."""
    alive: list[Any] = []
    seen: dict[Any, Sequence[Var]] = {}
    names: dict[Var, Atom] = {}
    eqns: list[Eqn] = []
    for given in jaxpr.eqns:
        (eqn,) = substitute([given], names)
        if not eqn.primitive.has_effects(eqn.params):
            try:
                first = seen.setdefault(equation_key(eqn, False, alive), eqn.outputs)
            except TypeError:  # a parameter is not hashable: there is no telling what is equal to it
                first = eqn.outputs
            if first is not eqn.outputs:
                names.update(zip(eqn.outputs, first))
                continue
        eqns.append(eqn)
    return Jaxpr(jaxpr.inputs, eqns, [names.get(a, a) if type(a) is Var else a for a in jaxpr.outputs])


def _repeatable(known: Jaxpr) -> dict[Atom, Eqn]:
    """The equations that may be run again, by their results.

    A function that jumps, as a comparison does, is not asked twice about numbers that are themselves computed again: of
    `x == max(x)` nothing would be left if x were rounded, or simplified, in another way the second time.
    """
    makers: dict[Atom, Eqn] = {}
    computed: set[Atom] = set()
    for eqn in known.eqns:
        if not _is_cheap(eqn):
            continue
        (out,) = eqn.outputs
        reads_computed = any(a in computed for a in eqn.inputs if type(a) is Var)
        if not is_inexact(out.aval.dtype):
            if reads_computed:
                continue
        elif reads_computed or _work(eqn):
            computed.add(out)
        makers[out] = eqn
    return makers


def _is_cheap(eqn: Eqn) -> bool:
    p, atoms = eqn.primitive, (*eqn.inputs, *eqn.outputs)
    if len(eqn.outputs) != 1 or p.holds_programs or p.may_name_axes or p.has_effects(eqn.params):
        return False
    is_of_arrays = all(isinstance(a.aval, ShapedArray) for a in atoms)
    return is_of_arrays and _work(eqn) is not None and not p.may_fail([a.aval for a in eqn.inputs], eqn.params)


def _work(eqn: Eqn) -> int | None:
    return eqn.primitive.work_on(eqn.inputs, eqn.params)


def _cut(
    known: Jaxpr, count: int, makers: dict[Atom, Eqn], at_hand: Collection[Any]
) -> tuple[list[Atom], list[Eqn]]:
    """What is kept of the first half, and the equations that make the other residuals of that, in order.

    So many equations at a time have a cut of their own: what others before them have made may be kept for them.
    """
    first = {v for eqn in prune(known.eqns, known.outputs[:count]) for v in eqn.outputs}
    windows = {v: k // WINDOW for k, eqn in enumerate(known.eqns) for v in eqn.outputs}
    residuals: dict[int | None, dict[Any, None]] = {}
    for r in known.outputs[count:]:
        residuals.setdefault(windows.get(r) if type(r) is Var else None, {})[r] = None
    kept = residuals.pop(None, {})  # nobody makes these
    free, behind = {*at_hand, *kept}, set[Any]()
    for window in sorted(residuals, key=int):
        own = {v: eqn for eqn in known.eqns[window * WINDOW :][:WINDOW] for v in eqn.outputs if v in makers}
        more, further = _cut_of(residuals[window], own, first, free)
        kept.update(dict.fromkeys(more))
        free.update(more)
        behind |= further
    return [*kept], [eqn for eqn in known.eqns if any(v in behind and v not in kept for v in eqn.outputs)]


def _cut_of(
    residuals: Collection[Any], makers: dict[Atom, Eqn], first: Collection[Any], free: Collection[Any]
) -> tuple[list[Var], set[Any]]:
    """What is kept for some residuals, and what is made of that.

    Args:
        first: what the first half computes anyway.
        free: what costs nothing if it is kept.
    """
    network = Network()
    todo, met = list(residuals), dict.fromkeys(residuals)
    for r in residuals:
        network.connect((r, OUT), SINK, UNLIMITED)
    while todo:
        v = todo.pop()
        network.connect((v, IN), (v, OUT), 0 if v in free else KEEPING * _room(v))
        eqn = makers.get(v)
        if eqn is None:
            network.connect(SOURCE, (v, IN), UNLIMITED)
            continue
        operands = [a for a in eqn.inputs if type(a) is Var]
        if v in first:
            network.connect(SOURCE, (v, IN), (_work(eqn) or 0) * max(map(_room, (*operands, v))))
        for a in operands:
            network.connect((a, OUT), (v, IN), UNLIMITED)
            if a not in met:
                met[a] = None
                todo.append(a)
    behind = network.cut_next_to_sink()
    return [v for v in met if (v, OUT) in behind and (v, IN) not in behind], {v for v in met if (v, IN) in behind}


def _room(v: Var) -> int:
    """The bytes of an array; of a stack, which is kept or not whatever it costs, none."""
    return v.aval.size * v.aval.dtype.itemsize if isinstance(v.aval, ShapedArray) else 0


SOURCE, SINK = "source", "sink"
IN, OUT = "in", "out"
UNLIMITED = 2**62


class Network:
    """A graph with capacities, and a minimum cut of it between SOURCE and SINK.

    Attributes:
        left: what more can flow from a node to another, the way back to where something came from included.
    """

    def __init__(self) -> None:
        self.left: dict[Any, dict[Any, int]] = {SOURCE: {}, SINK: {}}

    def connect(self, a: Any, b: Any, capacity: int) -> None:
        """Let so much flow from a to b."""
        self.left.setdefault(a, {})[b] = capacity
        self.left.setdefault(b, {}).setdefault(a, 0)

    def cut_next_to_sink(self) -> set[Any]:
        """What lies behind the minimum cut that leaves least there."""
        while self._sends_more():
            pass
        behind, nodes = {SINK}, [SINK]
        for node in nodes:
            for before in self.left[node]:
                if before not in behind and self.left[before][node]:
                    behind.add(before)
                    nodes.append(before)
        return behind

    def _sends_more(self) -> bool:
        """Look for ways to SINK, each node once unless it is on one, and send along each what it can take.

        Returns:
            Whether there was one: sending may open others.
        """
        found = False
        path, met = [SOURCE], {SOURCE}
        others = {SOURCE: iter([*self.left[SOURCE]])}
        while path:
            node = path[-1]
            if node == SINK:
                found = True
                first = self._send(path)
                met.difference_update(path[first + 1 :])
                del path[first + 1 :]
                continue
            following = next((n for n in others[node] if n not in met and self.left[node][n]), None)
            if following is None:
                path.pop()
                continue
            path.append(following)
            met.add(following)
            others[following] = iter([*self.left[following]])
        return found

    def _send(self, path: Sequence[Any]) -> int:
        """Send along a way what it can take; the number of the first step that takes no more."""
        steps = list(pairwise(path))
        amount = min(self.left[a][b] for a, b in steps)
        for a, b in steps:
            self.left[a][b] -= amount
            self.left[b][a] += amount
        return next(i for i, (a, b) in enumerate(steps) if not self.left[a][b])
