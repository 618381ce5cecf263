"""einsum: sums of products in Einstein's notation, contracted pair by pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import opt_einsum

from ..core.cells import view_of
from ..core.dtypes import can_cast, result_type
from ..core.trace import typeof
from ..errors import DtypeMismatchError, EinsumNotationError, ShapeMismatchError
from ..primitives.contractions import dot_general
from ..primitives.elementwise import multiply
from ..primitives.foundation import reduce_sum, reshape
from ..primitives.structural import slice_axis, transpose
from .common import as_operand, cast
from .positions import cell

#: A letter, or a number for one of the axes that an ellipsis stands for, counted from the right.
Label = str | int
Term = tuple[Label, ...]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def einsum(
    *operands: Any, out: Any = None, optimize: Any = True, dtype: Any = None, order: str = "K", casting: str = "safe"
) -> Any:
    """numpy.einsum: all of its notation. Three and more operands are contracted along a path that opt_einsum finds.

    Reference:
        Smith and Gray, opt_einsum, Journal of Open Source Software 3 (2018).

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.grad(lambda x: np.einsum("i,ij,j", x, np.eye(2), x))(np.array([1.0, 2.0]))
        array([2., 4.])
    """
    notation, arrays = _split(operands)
    arrays = [as_operand(x) for x in arrays]
    avals = [typeof(x) for x in arrays]
    target = result_type(*(a.dtype for a in avals)) if dtype is None else np.dtype(dtype)
    for aval in avals:
        if not can_cast(aval.dtype, target, casting):
            raise DtypeMismatchError(
                f"An operand of einsum is to be cast from {aval.dtype} to {target}.",
                f"The rule casting={casting!r} does not allow it.",
                "Convert it first with `.astype(...)`, or give another rule.",
            )
    given = tuple(map(_frozen, optimize)) if isinstance(optimize, (list, tuple)) else optimize
    plan = _plan(notation, tuple(a.shape for a in avals), given)
    result = plan.run([cast(x, target) for x in arrays])
    if plan.is_view:
        result = view_of(arrays[0], result)
    if out is None:
        return result
    cell(out, "out")[...] = result
    return out


def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    """numpy.einsum_path: depends on shapes only."""
    notation, arrays = _split(operands)
    avals = [typeof(as_operand(x)) for x in arrays]
    stand_ins = [np.broadcast_to(np.zeros((), a.dtype), a.shape) for a in avals]
    return np.einsum_path(notation, *stand_ins, optimize=optimize, einsum_call=einsum_call)


def _frozen(step: Any) -> Any:
    return tuple(step) if isinstance(step, (list, tuple)) else step


# ---- the notation


def _split(operands: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """The subscripts as a string, and the arrays; they may come as `array, list of numbers, array, ...` as well."""
    if not operands:
        raise _notation_error("", "No operands were given.")
    if isinstance(operands[0], str):
        return operands[0], operands[1:]
    count = len(operands) // 2
    notation = ",".join(_spelled(labels) for labels in operands[1 : 2 * count : 2])
    if len(operands) % 2:
        notation += "->" + _spelled(operands[-1])
    return notation, operands[: 2 * count : 2]


def _spelled(labels: Iterable[Any]) -> str:
    spelled = ""
    for label in labels:
        if label is not Ellipsis and not 0 <= int(label) < len(_LETTERS):
            raise _notation_error(str(labels), f"The label {label} is not in the range [0, {len(_LETTERS)}).")
        spelled += "..." if label is Ellipsis else _LETTERS[int(label)]
    return spelled


def _notation_error(notation: str, why: str) -> EinsumNotationError:
    return EinsumNotationError(
        f"einsum was given the subscripts {notation!r}.",
        why,
        "Write one letter for each axis, commas between operands, and `->` before the axes of the result: 'ij,jk->ik'.",
    )


def _parse(notation: str, shapes: Sequence[tuple[int, ...]]) -> tuple[list[Term], Term]:
    """The labels of the axes of each operand, and of the result."""
    compact = notation.replace(" ", "")
    left, arrow, right = compact.partition("->")
    parts = left.split(",")
    if len(parts) != len(shapes):
        raise _notation_error(notation, f"They name {len(parts)} operand(s), but there are {len(shapes)}.")
    terms = [_term(notation, part, len(shape)) for part, shape in zip(parts, shapes)]
    hidden = tuple(sorted({label for term in terms for label in term if isinstance(label, int)}, reverse=True))
    counts = Counter(label for term in terms for label in term)
    if not arrow:
        letters = sorted(str(label) for label, count in counts.items() if count == 1 and isinstance(label, str))
        return terms, (*hidden, *letters)
    if hidden and "..." not in right:
        raise _notation_error(notation, "The axes that '...' stands for are missing from the result.")
    output = _term(notation, right, len(hidden) + len(right.replace("...", "")))
    for label in output:
        if label not in counts:
            raise _notation_error(notation, f"{label!r} of the result never appears in an operand.")
        if output.count(label) > 1:
            raise _notation_error(notation, f"{label!r} appears in the result more than once.")
    return terms, output


def _term(notation: str, part: str, ndim: int) -> Term:
    """The labels of one operand with `ndim` axes."""
    before, dots, after = part.partition("...")
    for letter in before + after:
        if letter not in _LETTERS:
            raise _notation_error(notation, f"{letter!r} is no letter, nor part of an ellipsis.")
    named = len(before) + len(after)
    if named > ndim or (not dots and named < ndim):
        raise _notation_error(notation, f"{part!r} names {named} axes, but the operand has {ndim}.")
    return (*before, *range(ndim - named - 1, -1, -1), *after)


class _Operand(NamedTuple):
    """An operand or an intermediate result: the labels and extents of its axes, and its number among the values."""

    term: Term
    shape: tuple[int, ...]
    number: int


class _Plan:
    """An einsum as a program: primitives applied to values, each of which goes to the end of the list of values."""

    def __init__(self, count: int):
        self.count = count
        self.is_view = count == 1
        self.steps: list[tuple[Callable[..., Any], tuple[int, ...]]] = []

    def apply(self, primitive: Callable[..., Any], operands: Sequence[_Operand], term: Term, shape: Any) -> _Operand:
        """Append a step; its result."""
        self.steps.append((primitive, tuple(x.number for x in operands)))
        self.count += 1
        return _Operand(term, tuple(shape), self.count - 1)

    def run(self, values: list[Any]) -> Any:
        """The result for given operands."""
        for primitive, numbers in self.steps:
            values.append(primitive(*[values[i] for i in numbers]))
        return values[-1]

    # ---- steps on one operand

    def reshape(self, x: _Operand, term: Term, shape: tuple[int, ...]) -> _Operand:
        if shape == x.shape:
            return x._replace(term=term)
        return self.apply(partial(reshape, shape=shape), [x], term, shape)

    def transpose(self, x: _Operand, term: Term) -> _Operand:
        if term == x.term:
            return x
        order = tuple(map(x.term.index, term))
        return self.apply(partial(transpose, permutation=order), [x], term, (x.shape[i] for i in order))

    def reduce(self, x: _Operand, needed: set[Label]) -> _Operand:
        """The sum over the axes that nobody else needs."""
        gone = tuple(i for i, label in enumerate(x.term) if label not in needed)
        if not gone:
            return x
        kept = [i for i in range(len(x.term)) if i not in gone]
        term, shape = tuple(x.term[i] for i in kept), [x.shape[i] for i in kept]
        self.is_view = False
        return self.apply(partial(reduce_sum, axes=gone), [x], term, shape)

    def diagonal(self, x: _Operand, first: int, second: int) -> _Operand:
        """The elements with equal indices on two axes of one label, along a last axis."""
        rest = [i for i in range(len(x.term)) if i not in (first, second)]
        order, extent, label = (*rest, first, second), x.shape[first], x.term[first]
        term, lead = tuple(x.term[i] for i in rest), tuple(x.shape[i] for i in rest)
        if order != tuple(range(len(order))):
            x = self.apply(partial(transpose, permutation=order), [x], (), (*lead, extent, extent))
        x = self.reshape(x, (), (*lead, extent * extent))
        step = partial(slice_axis, start=0, stop=extent * extent, axis=len(lead), stride=extent + 1)
        return self.apply(step, [x], (*term, label), (*lead, extent))

    def prepare(self, x: _Operand, extents: dict[Label, int]) -> _Operand:
        """x without repeated labels, of which it takes the diagonal, and without axes that broadcast."""
        for label in dict.fromkeys(x.term):
            while x.term.count(label) > 1:
                first = x.term.index(label)
                x = self.diagonal(x, first, x.term.index(label, first + 1))
        kept = [i for i, label in enumerate(x.term) if x.shape[i] != 1 or extents[label] == 1]
        return self.reshape(x, tuple(x.term[i] for i in kept), tuple(x.shape[i] for i in kept))

    # ---- steps on two

    def pair(self, x: _Operand, y: _Operand, needed: set[Label], output: Term) -> _Operand:
        """Their contraction: of the labels they share, those needed are mapped and the others summed over."""
        x = self.reduce(x, needed.union(y.term))
        y = self.reduce(y, needed.union(x.term))
        shared = [label for label in x.term if label in y.term]
        batch = [label for label in output if label in shared]
        batch += [label for label in shared if label in needed and label not in batch]
        summed = [label for label in shared if label not in needed]
        if not summed:
            return self.multiply(x, y, output)
        x_free, y_free = ([label for label in v.term if label not in shared] for v in (x, y))
        if (*batch, *y_free, *x_free) == output:
            x, y, x_free, y_free = y, x, y_free, x_free
        term = (*batch, *x_free, *y_free)
        extents = {**dict(zip(x.term, x.shape)), **dict(zip(y.term, y.shape))}
        summed_axes = tuple(map(x.term.index, summed)), tuple(map(y.term.index, summed))
        batch_axes = tuple(map(x.term.index, batch)), tuple(map(y.term.index, batch))
        contract = partial(dot_general, dimension_numbers=(summed_axes, batch_axes))
        return self.apply(contract, [x, y], term, map(extents.get, term))

    def multiply(self, x: _Operand, y: _Operand, output: Term) -> _Operand:
        """Their product, nothing being summed over."""
        every = {*x.term, *y.term}
        order = tuple(label for label in output if label in every)
        order += tuple(label for label in dict.fromkeys((*x.term, *y.term)) if label not in order)
        extents = {**dict(zip(x.term, x.shape)), **dict(zip(y.term, y.shape))}
        aligned = []
        for v in (x, y):
            v = self.transpose(v, tuple(label for label in order if label in v.term))
            aligned.append(self.reshape(v, order, tuple(extents[c] if c in v.term else 1 for c in order)))
        return self.apply(multiply, aligned, order, map(extents.get, order))


@lru_cache(maxsize=4096)
def _plan(notation: str, shapes: tuple[tuple[int, ...], ...], optimize: Any) -> _Plan:
    terms, output = _parse(notation, shapes)
    extents = _extents(notation, terms, shapes)
    plan = _Plan(len(shapes))
    line = [plan.prepare(_Operand(term, shape, i), extents) for i, (term, shape) in enumerate(zip(terms, shapes))]
    path = [*_path(terms, output, shapes, optimize)]
    while path or len(line) > 1:
        chosen = sorted(path.pop(0) if path else (0, 1))  # a path that the user gave may stop early
        first, *others = (line[i] for i in chosen)
        line = [x for i, x in enumerate(line) if i not in chosen]
        for k, other in enumerate(others, 1):
            needed = set(output).union(*(x.term for x in line), *(x.term for x in others[k:]))
            first = plan.pair(first, other, needed, output)
        line.append(first)
    plan.transpose(plan.reduce(line[0], set(output)), output)
    return plan


def _extents(notation: str, terms: Sequence[Term], shapes: Sequence[tuple[int, ...]]) -> dict[Label, int]:
    """The extent behind each label; an extent of one gives way to any other.

    Raises:
        ShapeMismatchError: a label stands for different extents.
    """
    extents: dict[Label, int] = {}
    for term, shape in zip(terms, shapes):
        own: dict[Label, int] = {}
        for label, extent in zip(term, shape):
            known = extents.setdefault(label, extent)
            if known == 1:
                extents[label] = extent
            if own.setdefault(label, extent) != extent or 1 != extent != extents[label]:
                raise ShapeMismatchError(
                    f"einsum({notation!r}) was given arrays of shapes {' and '.join(map(str, shapes))}.",
                    f"The axes called {label!r} have different extents, {known} and {extent}."
                    if isinstance(label, str) else "The axes that '...' stands for do not broadcast.",
                    "Axes with one name must have one extent, or extent 1.",
                )  # fmt: skip
    return extents


def _path(terms: Sequence[Term], output: Term, shapes: Any, optimize: Any) -> Sequence[tuple[int, ...]]:
    """Which operands to take at each step; each result goes to the end of the line."""
    if len(terms) <= 2:
        return [tuple(range(len(terms)))]
    if isinstance(optimize, tuple) and optimize and optimize[0] == "einsum_path":
        return [(*step,) for step in optimize[1:]]
    names = {label: opt_einsum.get_symbol(i) for i, label in enumerate(sorted({*sum(terms, ())}, key=str))}
    spelled = [",".join("".join(names[label] for label in term) for term in terms)]
    spelled.append("".join(names[label] for label in output))
    method = optimize[0] if isinstance(optimize, tuple) else optimize
    method = method if method in ("greedy", "optimal") else "auto"
    return opt_einsum.contract_path("->".join(spelled), *shapes, shapes=True, optimize=method)[0]
