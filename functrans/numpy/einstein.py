"""einsum: sums of products in Einstein's notation, contracted pair by pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import opt_einsum

from ..core.avals import typeof
from ..core.tracer import view_of
from ..errors import DtypeMismatchError, EinsumNotationError, ShapeMismatchError
from ..primitives.contractions import dot_general
from ..primitives.elementwise import multiply
from ..primitives.foundation import reduce_sum
from ..primitives.structural import slice_axis
from ..primitives.structural import transpose as _transpose
from .common import as_operand, cast, with_shape
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
    target = np.result_type(*(a.dtype for a in avals)) if dtype is None else np.dtype(dtype)
    for aval in avals:
        if not np.can_cast(aval.dtype, target, casting):  # type: ignore[arg-type]
            raise DtypeMismatchError(
                f"An operand of einsum is to be cast from {aval.dtype} to {target}.",
                f"The rule casting={casting!r} does not allow it.",
                "Convert it first with `.astype(...)`, or give another rule.",
            )
    given = tuple(map(_frozen, optimize)) if isinstance(optimize, (list, tuple)) else optimize
    plan = _plan(notation, tuple(a.shape for a in avals), given)
    result = _contract_all(plan, [cast(x, target) for x in arrays])
    if len(arrays) == 1 and set(plan.terms[0]) == set(plan.output):
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
    return np.einsum_path(notation, *stand_ins, optimize=optimize, einsum_call=einsum_call)  # type: ignore[call-overload]


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


class _Plan(NamedTuple):
    """What an einsum does, but for the values: which operands to contract, step by step."""

    terms: list[Term]
    output: Term
    extents: dict[Label, int]
    path: Sequence[tuple[int, ...]]


@lru_cache(maxsize=4096)
def _plan(notation: str, shapes: tuple[tuple[int, ...], ...], optimize: Any) -> _Plan:
    terms, output = _parse(notation, shapes)
    extents: dict[Label, int] = {}
    for term, shape in zip(terms, shapes):
        own: dict[Label, int] = {}
        for label, extent in zip(term, shape):
            known = extents.setdefault(label, extent)
            if known == 1:
                extents[label] = extent
            if own.setdefault(label, extent) != extent or 1 != extent != extents[label]:
                shown = " and ".join(map(str, shapes))
                raise ShapeMismatchError(
                    f"einsum({notation!r}) was given arrays of shapes {shown}.",
                    f"The axes called {label!r} have different extents, {known} and {extent}."
                    if isinstance(label, str) else "The axes that '...' stands for do not broadcast.",
                    "Axes with one name must have one extent, or extent 1.",
                )  # fmt: skip
    return _Plan(terms, output, extents, _path(terms, output, shapes, optimize))


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


# ---- the contraction


def _contract_all(plan: _Plan, arrays: list[Any]) -> Any:
    line = [_prepared(term, x, plan.extents) for term, x in zip(plan.terms, arrays)]
    for step in plan.path:
        chosen = [line[i] for i in sorted(step)]
        line = [entry for i, entry in enumerate(line) if i not in step]
        term, result = chosen[0]
        for k, other in enumerate(chosen[1:], 2):
            needed = set(plan.output).union(*(t for t, _ in line), *(t for t, _ in chosen[k:]))
            term, result = _pair((term, result), other, needed, plan.output)
        line.append((term, result))
    while len(line) > 1:  # a path that the user gave may stop early
        line = [*line[2:], _pair(line[0], line[1], set(plan.output).union(*(t for t, _ in line[2:])), plan.output)]
    term, result = _reduced(*line[0], set(plan.output))
    return _ordered(term, result, plan.output)


def _prepared(term: Term, x: Any, extents: dict[Label, int]) -> tuple[Term, Any]:
    """An operand without repeated labels, of which it takes the diagonal, and without axes that broadcast."""
    for label in dict.fromkeys(term):
        while term.count(label) > 1:
            first = term.index(label)
            second = term.index(label, first + 1)
            x = _diagonal(x, first, second)
            term = (*(c for i, c in enumerate(term) if i not in (first, second)), label)
    shape = typeof(x).shape
    kept = [i for i, label in enumerate(term) if shape[i] != 1 or extents[label] == 1]
    return tuple(term[i] for i in kept), with_shape(x, tuple(shape[i] for i in kept))


def _diagonal(x: Any, first: int, second: int) -> Any:
    """The elements with equal indices on two axes, along a new last axis."""
    shape = typeof(x).shape
    rest = [i for i in range(len(shape)) if i not in (first, second)]
    lead, extent = tuple(shape[i] for i in rest), shape[first]
    x = _transpose(x, permutation=(*rest, first, second))
    x = with_shape(x, (*lead, extent * extent))
    return slice_axis(x, 0, extent * extent, axis=-1, stride=extent + 1)


def _reduced(term: Term, x: Any, needed: set[Label]) -> tuple[Term, Any]:
    """The sum over the axes that nobody else needs."""
    gone = tuple(i for i, label in enumerate(term) if label not in needed)
    return tuple(label for label in term if label in needed), reduce_sum(x, axes=gone) if gone else x


def _ordered(term: Term, x: Any, wanted: Term) -> Any:
    return x if term == wanted else _transpose(x, permutation=tuple(map(term.index, wanted)))


def _pair(first: tuple[Term, Any], second: tuple[Term, Any], needed: set[Label], output: Term) -> tuple[Term, Any]:
    """The contraction of two operands: of the labels they share, those needed are mapped and the others summed over."""
    a, x = _reduced(*first, needed.union(second[0]))
    b, y = _reduced(*second, needed.union(a))
    shared = [label for label in a if label in b]
    batch = [label for label in output if label in shared]
    batch += [label for label in shared if label in needed and label not in batch]
    summed = [label for label in shared if label not in needed]
    a_free = [label for label in a if label not in shared]
    b_free = [label for label in b if label not in shared]
    if not summed:
        return _outer(a, x, b, y, output)
    if (*batch, *b_free, *a_free) == output:
        a, x, b, y, a_free, b_free = b, y, a, x, b_free, a_free
    summed_axes = tuple(map(a.index, summed)), tuple(map(b.index, summed))
    batch_axes = tuple(map(a.index, batch)), tuple(map(b.index, batch))
    return (*batch, *a_free, *b_free), dot_general(x, y, dimension_numbers=(summed_axes, batch_axes))


def _outer(a: Term, x: Any, b: Term, y: Any, output: Term) -> tuple[Term, Any]:
    """The product of two operands, nothing being summed over."""
    every = {*a, *b}
    order = [label for label in output if label in every]
    order += [label for label in dict.fromkeys((*a, *b)) if label not in order]
    aligned = []
    for term, v in ((a, x), (b, y)):
        v = _ordered(term, v, tuple(label for label in order if label in term))
        extents = dict(zip((label for label in order if label in term), typeof(v).shape))
        aligned.append(with_shape(v, tuple(extents.get(label, 1) for label in order)))
    return tuple(order), multiply(*aligned)
