"""Progress bars of loops: tqdm, imported when the first one is wanted."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import length_hint
from time import perf_counter
from typing import Any

from ..errors import MissingPackageError

#: The steps of a loop that ends when a condition says so.
UNENDING = range(sys.maxsize)
#: Seconds from one redrawing of a bar to the next, about. A redrawing takes some 0.3 ms.
INTERVAL = 0.2


def bar_text(progress: bool | str, name: str) -> str | None:
    """The text of the bar that `progress=` asks for; None for no bar.

    Raises:
        TypeError: progress is neither a boolean nor a text.
        MissingPackageError: there is no tqdm.
    """
    if not isinstance(progress, (bool, str)):
        raise TypeError(f"progress is a boolean or the text of a progress bar, not {progress!r}")
    if progress is False:
        return None
    _tqdm()
    return progress if isinstance(progress, str) else name


def steps_shown(order: range, text: str | None) -> Iterable[int]:
    """The steps of a loop, with a progress bar if there is a text for it."""
    return order if text is None else chain.from_iterable(_blocks(order, text))


def _blocks(order: range, text: str) -> Iterator[Iterator[int]]:
    """Blocks of steps, between which the bar moves on, so that a step itself costs no more than without a bar."""
    total = None if order is UNENDING else len(order)
    with _tqdm()(total=total, desc=text, mininterval=INTERVAL) as bar:
        begin, size = 0, 1
        while begin < len(order):
            block = order[begin : begin + size]
            steps, started = iter(block), perf_counter()
            try:
                yield steps
            except GeneratorExit:  # the loop has stopped at a step that it did not run
                bar.update(len(block) - length_hint(steps) - 1)
                raise
            bar.update(len(block))
            begin += size
            seconds = perf_counter() - started
            size = 2 * size if seconds < INTERVAL / 2 else max(1, size // 2) if seconds > 2 * INTERVAL else size


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise MissingPackageError(
            "A progress bar was asked for, and tqdm is not installed.",
            "It draws the bars, and functrans does not need it for anything else.",
            "Install it (`pip install 'functrans[progress]'`), or leave progress out.",
        ) from error
    return tqdm
