"""What a program spends its time on: a table, and a roofline plot."""

from __future__ import annotations

import threading
from functools import cache
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ...errors import MissingPackageError
from .costs import Cost
from .units import amount, bytes_text, escaped, html_table, seconds_text, table

#: The arrays that are copied to measure the bandwidth of memory have so many bytes, more than caches hold.
COPIED = 1 << 27


class Timing(NamedTuple):
    """The time of one instruction.

    Attributes:
        number: as in the listing of the program.
        what: what the instruction is.
        lines: of the user's code.
        seconds: the median of several runs.
        threads: how many threads it is divided among.
    """

    number: str
    what: str
    lines: str
    seconds: float
    cost: Cost
    threads: int

    @property
    def bandwidth(self) -> float:
        """Bytes a second, read and written."""
        return self.cost.bytes / self.seconds if self.seconds else 0.0

    @property
    def speed(self) -> float:
        """Operations a second."""
        return self.cost.operations / self.seconds if self.seconds else 0.0


class Profile:
    """Where a call spends its time.

    Attributes:
        rows: a Timing for each instruction; loops are one with all of their steps.
        seconds: the time of a whole call, the median of several.
    """

    def __init__(self, name: str, rows: list[Timing], seconds: float, threads: int):
        self.name = name
        self.rows = rows
        self.seconds = seconds
        self.threads = threads

    @property
    def bandwidth(self) -> float:
        """Bytes a second, read and written, of copying large arrays on this machine, measured when first asked for."""
        return copy_bandwidth(self.threads)

    @property
    def rest(self) -> float:
        """The seconds of a call that no instruction takes: looking at the arguments, making the results."""
        return self.seconds - sum(row.seconds for row in self.rows)

    @property
    def whole(self) -> float:
        """What shares are shares of: the seconds of a call, or of all instructions if these took longer one by one."""
        return max(self.seconds, self.seconds - self.rest)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows as text."""
        head = ["", "instruction", "lines", "time", "share", "bytes", "GB/s", "operations", "GFLOP/s", "threads"]
        found = []
        for row in self.rows:
            more = "" if row.cost.is_complete else "+"
            found.append([
                row.number, row.what, row.lines, seconds_text(row.seconds), f"{row.seconds / self.whole:.0%}",
                bytes_text(row.cost.bytes) + more, f"{row.bandwidth / 1e9:.3g}", amount(row.cost.operations) + more,
                f"{row.speed / 1e9:.3g}", str(row.threads),
            ])  # fmt: skip
        rest = ["", "the call itself", "", seconds_text(max(self.rest, 0)), f"{max(self.rest, 0) / self.whole:.0%}"]
        return head, [*found, [*rest, *[""] * (len(head) - len(rest))]]

    @property
    def summary(self) -> str:
        """One sentence."""
        return (
            f"{self.name}: {seconds_text(self.seconds)} a call; large arrays are copied here at "
            f"{self.bandwidth / 1e9:.3g} GB/s, read and written."
        )

    def __repr__(self) -> str:
        return f"{self.summary}\n\n{table(*self.table(), 3)}"

    def _repr_html_(self) -> str:
        return f"<p>{escaped(self.summary)}</p>{html_table(*self.table(), 3)}"

    def plot(self, axes: Any = None) -> Any:
        """A roofline plot: operations a second over operations a byte, under what memory and arithmetic allow.

        The slope is the bandwidth of copying large arrays; what finds its data in caches may lie above it. The top is
        the speed of a product of float64 matrices.

        Args:
            axes: of Matplotlib; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            MissingPackageError: there is no Matplotlib.
        """
        if axes is None:
            axes = _pyplot().subplots()[1]
        shown = [row for row in self.rows if row.cost.operations and row.cost.bytes and row.seconds]
        intensities = [row.cost.operations / row.cost.bytes for row in shown]
        top = product_speed()
        ridge = top / self.bandwidth
        low, high = min([0.1 * ridge, *intensities]) / 2, max([10 * ridge, *intensities]) * 2
        axes.plot([low, ridge, high], [low * self.bandwidth / 1e9, top / 1e9, top / 1e9], color="black", lw=1)
        axes.annotate(f"copy: {self.bandwidth / 1e9:.3g} GB/s", (low, low * self.bandwidth / 1e9))
        axes.annotate(f"matrix product: {top / 1e9:.3g} GFLOP/s", (ridge, top / 1e9))
        for row, intensity in zip(shown, intensities):
            axes.scatter([intensity], [row.speed / 1e9], s=20 + 180 * row.seconds / self.whole)
            axes.annotate(f"[{row.number}] {row.what}", (intensity, row.speed / 1e9))
        axes.set(
            xscale="log", yscale="log", xlabel="operations a byte", ylabel="operations a nanosecond (GFLOP/s)",
            title=f"{self.name}: {seconds_text(self.seconds)} a call",
        )  # fmt: skip
        return axes


@cache
def copy_bandwidth(threads: int) -> float:
    """Bytes a second, read and written, of so many threads that copy parts of a large array."""
    source, target = np.ones(COPIED, np.uint8), np.ones(COPIED, np.uint8)
    bounds = [COPIED * k // threads for k in range(threads + 1)]

    def copy(k: int) -> None:
        target[bounds[k] : bounds[k + 1]] = source[bounds[k] : bounds[k + 1]]

    best = float("inf")
    for _ in range(5):
        workers = [threading.Thread(target=copy, args=(k,)) for k in range(1, threads)]
        start = perf_counter()
        for worker in workers:
            worker.start()
        copy(0)
        for worker in workers:
            worker.join()
        best = min(best, perf_counter() - start)
    return 2 * COPIED / best


@cache
def product_speed() -> float:
    """Operations a second of a product of float64 matrices."""
    n = 768
    x = np.ones((n, n))
    best = float("inf")
    for _ in range(5):
        start = perf_counter()
        np.matmul(x, x)
        best = min(best, perf_counter() - start)
    return 2 * n**3 / best


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingPackageError(
            "A plot was asked for, and Matplotlib is not installed.",
            "It draws the plots, and functrans does not need it for anything else.",
            "Install it (`pip install 'functrans[plots]'`), or print the profile, which is a table.",
        ) from error
    return pyplot
