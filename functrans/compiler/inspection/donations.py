"""Donated arguments: what became of the memory of each, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..assembly import Assembled
from ..donation import handed_out
from ..places import Place
from .costs import size
from .listing import Names


def donations(assembled: Assembled, names: Names, withheld: Mapping[int, str]) -> Iterator[str]:
    """What is reused for what, and what is not, and why.

    Args:
        withheld: the numbers of arguments that a call would copy first, and why, as clauses.
    """
    results = handed_out(assembled)
    for i in assembled.donated:
        place = assembled.arguments[i]
        name = names.slot(place.slot) if isinstance(place, Place) else f"argument {i}"
        if i not in assembled.overwritten:
            yield f"{name} is donated, but its memory is not reused: {_why_not(assembled, place, results)}."
            continue
        number = next((k for k, own in results.items() if own == i), None)
        use = "it is overwritten where it is" if number is None else f"result {number} is in its memory"
        yield f"{name} is donated: {use}."
        if i in withheld:
            yield f"This {name} is copied first, for {withheld[i]}."


def _why_not(assembled: Assembled, place: Any, results: Mapping[int, int]) -> str:
    """Why a donated argument is of no use, as a clause."""
    if not isinstance(place, Place) or not place.shape:
        return "it is a single number, or no array"
    if 0 in place.shape:
        return "it has no elements"
    if not place.is_contiguous:
        return "its elements do not lie in memory in row-major order, as those of a result do"
    fitting = [k for k, result in enumerate(assembled.results) if size(result) == size(place)]
    if not fitting:
        return "no result takes as many bytes"
    if all(k in results for k in fitting):
        return "all results of its size are in the memory of others"
    return "it is needed, or read at other places, while the results of its size are computed"
