"""Progress bars of loops: tqdm, imported when the first one is wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
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
    return order if text is None else chain.from_iterable(_step_blocks(order, text))


def run_shown(order: range, text: str, run: Callable[[range], int], most: int = sys.maxsize) -> None:
    """Run a loop in blocks of steps, with a progress bar.

    Args:
        run: runs so many steps, and returns how many of them there were before the loop ended.
        most: the longest block. Lengths are powers of two, so that few programs for blocks have to be made.
    """
    with _bar(order, text) as bar:
        for block in _blocks(order, most):
            done = run(block)
            bar.update(done)
            if done < len(block):
                return


def _blocks(order: range, most: int = sys.maxsize) -> Iterator[range]:
    """Blocks of steps that take as long as a bar may stand still: a step itself costs no more than without one."""
    begin, size = 0, 1
    while begin < len(order):
        rest = min(len(order) - begin, most)
        block = order[begin : begin + min(size, 1 << rest.bit_length() - 1)]
        started = perf_counter()
        yield block
        begin += len(block)
        size = _next_size(size, (perf_counter() - started) / INTERVAL)


def _next_size(size: int, share: float) -> int:
    """How many steps to run next, after so many that took this share of the interval."""
    if share < 1 / 8:
        return 4 * size
    if share < 1 / 2:
        return 2 * size
    return size if share <= 2 else max(1, size // 2)


def _step_blocks(order: range, text: str) -> Iterator[Iterator[int]]:
    """The steps of each block, between which the bar moves on."""
    with _bar(order, text) as bar:
        for block in _blocks(order):
            steps = iter(block)
            try:
                yield steps
            except GeneratorExit:  # the loop has stopped at a step that it did not run
                bar.update(len(block) - length_hint(steps) - 1)
                raise
            bar.update(len(block))


def _bar(order: range, text: str) -> Any:
    total = None if order is UNENDING else len(order)
    return _tqdm()(total=total, desc=text, mininterval=INTERVAL)


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
