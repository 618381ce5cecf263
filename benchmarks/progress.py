"""What a progress bar costs on loops of 100,000 short steps.

python benchmarks/progress.py            print the table
python benchmarks/progress.py --record   and keep it in benchmarks/results/

The least processor time of several rounds: the share in question is smaller than what a busy machine adds to a median.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Callable

import numpy as np
from harness import OURS, Row, interleave, print_table, write_record

import functrans as ft
from functrans import lax

STEPS = 100_000
MOST = 0.01  # of the loop
ROUNDS = 25


def scan(progress: bool):
    loop = ft.jit(lambda xs: lax.scan(lambda c, x: (0.5 * c + x, None), 0.0, xs, progress=progress)[0])
    xs = np.ones(STEPS)
    return lambda: loop(xs)


def traced_fori_loop(progress: bool):
    """Its number of steps is not known to the bar."""
    loop = ft.jit(lambda n: lax.fori_loop(0, n, lambda i, c: 0.5 * c + 1.0, 0.0, progress=progress))
    return lambda: loop(STEPS)


def sampler(function: Callable[[], object]) -> Callable[[], float]:
    function()  # traces, and imports tqdm

    def seconds() -> float:
        started = time.process_time()
        function()
        return time.process_time() - started

    return seconds


def row(label: str, loop: Callable[[bool], Callable[[], object]]) -> Row:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        samplers = {OURS: sampler(loop(True)), "without a bar": sampler(loop(False))}
        seconds = interleave(samplers, ROUNDS, summary=min)
    return Row(label, seconds, (1 + MOST) * seconds["without a bar"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="write the figures to benchmarks/results/")
    options = parser.parse_args()
    rows = [row("scan", scan), row("fori_loop, traced bounds", traced_fori_loop)]
    print_table(rows)
    for one in rows:
        print(f"{one.label}: the bar adds {one.seconds[OURS] / one.seconds['without a bar'] - 1:+.2%}")
    if options.record:
        print(f"written to {write_record('progress', rows)}")


if __name__ == "__main__":
    main()
