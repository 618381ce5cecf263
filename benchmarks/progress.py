"""What a progress bar costs on loops of 100,000 steps.

python benchmarks/progress.py            print the table
python benchmarks/progress.py --record   and keep it in benchmarks/results/

Processor time, medians of rounds in which both take turns. The last row has the bar alone, over as many steps that take
as long but sleep: the rows before it differ by what a busy machine adds, which is more than that.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from harness import OURS, Row, interleave, print_table, write_record

import functrans as ft
from functrans import lax
from functrans.control.progress import run_shown

STEPS = 100_000
MOST = 0.01  # of the loop
ROUNDS = 15
PLAIN = "without a bar"

Loop = Callable[[], object]


def step(u):
    return u + 0.01 * np.sin(u)


def scan(numbers: int, progress: bool) -> Loop:
    u = np.linspace(0.0, 1.0, numbers)
    loop = ft.jit(lambda u: lax.scan(lambda u, _: (step(u), None), u, None, length=STEPS, progress=progress)[0])
    return lambda: loop(u)


def fori_loop(numbers: int, progress: bool) -> Loop:
    """Its bounds are traced: the number of steps is not known to the bar."""
    u = np.linspace(0.0, 1.0, numbers)
    loop = ft.jit(lambda u, n: lax.fori_loop(0, n, lambda _, u: step(u), u, progress=progress))
    return lambda: loop(u, STEPS)


def sleeping_loop(progress: bool, seconds: float) -> Loop:
    """Steps that take no processor time."""

    def run(block: range) -> int:
        time.sleep(len(block) / STEPS * seconds)
        return len(block)

    def in_blocks() -> None:  # as with a bar: to fall asleep and wake up takes processor time, too
        block = 1
        while block < STEPS:
            run(range(block))
            block *= 4

    return lambda: run_shown(range(STEPS), "sleep", run) if progress else in_blocks()


def sampler(loop: Loop) -> Callable[[], float]:
    loop()  # traces, compiles, and imports tqdm

    def seconds() -> float:
        started = time.process_time()
        loop()
        return time.process_time() - started

    return seconds


def medians(loop: Callable[[bool], Loop]) -> dict[str, float]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        return interleave({OURS: sampler(loop(True)), PLAIN: sampler(loop(False))}, ROUNDS)


def row(label: str, loop: Callable[[bool], Loop]) -> Row:
    seconds = medians(loop)
    return Row(label, seconds, (1 + MOST) * seconds[PLAIN])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="write the figures to benchmarks/results/")
    options = parser.parse_args()
    rows = [
        row(f"{loop.__name__} of {numbers:,} numbers", partial(loop, numbers))
        for numbers in (1_000, 5_000)
        for loop in (scan, fori_loop)
    ]
    whole = rows[0].seconds[PLAIN]
    alone = medians(lambda progress: sleeping_loop(progress, whole))
    rows.append(Row("the bar alone", alone, alone[PLAIN] + MOST * whole))
    print_table(rows)
    for one in rows[:-1]:
        print(f"{one.label}: {one.seconds[OURS] / one.seconds[PLAIN] - 1:+.2%}")
    print(f"the bar alone: {(alone[OURS] - alone[PLAIN]) / whole:+.2%} of the shorter scan")
    if options.record:
        print(f"written to {write_record('progress', rows)}")


if __name__ == "__main__":
    main()
