"""What tracing costs, side by side with JAX and autograd: import, eager derivatives, staging, calls of jit.

python benchmarks/tracing.py            print the table
python benchmarks/tracing.py --record   and keep it in benchmarks/results/
python benchmarks/tracing.py --count    files and Python calls of one eager grad(f)(x) of three operations
"""

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from harness import OURS, Row, interleave, measure, print_table, write_record

import functrans as ft

MOST_FILES, MOST_CALLS = 9, 300
MOST_IMPORT, MOST_PER_EQUATION = 0.35, 10e-6  # seconds


def three_operations(np: ModuleType, x):
    return np.sin(x) * x + x


def chain(np: ModuleType, x):
    """1,300 operations."""
    for _ in range(325):
        x = np.sin(x) * np.cos(x) + 0.5
    return x


@dataclass
class Library:
    module: str  # what a user imports
    numpy: ModuleType  # the NumPy its functions are written with
    grad: Callable
    jit: Callable | None = None
    make_jaxpr: Callable | None = None
    wait: Callable = lambda result: result


def libraries() -> dict[str, Library]:
    """functrans, and those of its peers that are installed."""
    found = {OURS: Library("functrans", np, ft.grad, ft.jit, ft.make_jaxpr)}
    try:
        import jax

        jax.config.update("jax_enable_x64", True)
        found["JAX"] = Library("jax", jax.numpy, jax.grad, jax.jit, jax.make_jaxpr, jax.block_until_ready)
    except ImportError:
        print("JAX is not installed: left out")
    try:
        import autograd
        import autograd.numpy

        found["autograd"] = Library("autograd", autograd.numpy, autograd.grad)
    except ImportError:
        print("autograd is not installed: left out")
    return found


def imports(found: dict[str, Library]) -> list[Row]:
    """Each import in a fresh interpreter; the second row leaves out what NumPy alone takes."""

    def sampler(module: str) -> Callable[[], float]:
        code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        command = [sys.executable, "-c", code]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # the first round compiles for the others

        def seconds() -> float:
            return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)

        return seconds

    modules = {name: library.module for name, library in found.items()} | {"NumPy": "numpy"}
    seconds = interleave({name: sampler(module) for name, module in modules.items()}, rounds=9)
    above = {name: seconds[name] - seconds["NumPy"] for name in found}
    return [Row("import", seconds), Row("import, above NumPy's own", above, MOST_IMPORT)]


def eager_grad(label: str, function: Callable, found: dict[str, Library]) -> Row:
    def contender(library: Library) -> Callable[[], object]:
        gradient = library.grad(lambda x: function(library.numpy, x))
        x = library.numpy.float64(0.7)
        return lambda: library.wait(gradient(x))

    seconds = measure({name: contender(library) for name, library in found.items()})
    return Row(label, seconds, seconds.get("autograd"))


def staging(found: dict[str, Library]) -> Row:
    def stage(library: Library):
        # A new function each time, as a cache would otherwise answer.
        return library.make_jaxpr(lambda x: chain(library.numpy, x))(0.7)

    staged = {name: library for name, library in found.items() if library.make_jaxpr}
    seconds = measure({name: lambda library=library: stage(library) for name, library in staged.items()})
    per_equation = {name: seconds[name] / len(stage(library).eqns) for name, library in staged.items()}
    return Row("staging, per equation", per_equation, MOST_PER_EQUATION)


def jit_call(found: dict[str, Library]) -> Row:
    """A compiled function of ten numbers, where the call costs more than the work."""

    def contender(library: Library) -> Callable[[], object]:
        compiled = library.jit(lambda x: three_operations(library.numpy, x))
        x = library.numpy.linspace(0.0, 1.0, 10)
        return lambda: library.wait(compiled(x))

    functions = {name: contender(library) for name, library in found.items() if library.jit}
    x = np.linspace(0.0, 1.0, 10)
    functions["NumPy"] = lambda: three_operations(np, x)
    return Row("jit call, 3 operations", measure(functions))


def count_calls() -> bool:
    """Print the files and calls of one warm eager gradient; return whether they are few enough."""
    package = str(Path(ft.__file__).parent)
    gradient = ft.grad(lambda x: three_operations(np, x))
    x = np.float64(0.7)
    gradient(x)
    calls: Counter[str] = Counter()

    def profile(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(package):
            calls[frame.f_code.co_filename.removeprefix(package).lstrip("/\\")] += 1

    sys.setprofile(profile)
    try:
        gradient(x)
    finally:
        sys.setprofile(None)

    for file, count in calls.most_common():
        print(f"{count:5} calls  {file}")
    print(f"{calls.total()} calls in {len(calls)} files; at most {MOST_CALLS} and {MOST_FILES}")
    return calls.total() <= MOST_CALLS and len(calls) <= MOST_FILES


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="write the figures to benchmarks/results/")
    parser.add_argument("--count", action="store_true", help="count Python calls instead")
    options = parser.parse_args()
    if options.count:
        sys.exit(not count_calls())

    found = libraries()
    rows = [
        *imports(found),
        eager_grad("eager grad, 3 operations", three_operations, found),
        eager_grad("eager grad, 1,300 operations", chain, found),
        staging(found),
        jit_call(found),
    ]
    print_table(rows)
    if options.record:
        print(f"written to {write_record('tracing', rows)}")


if __name__ == "__main__":
    main()
