"""Programs on the emulated GPU against the interpreter: every primitive, and random programs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from functrans.compiler.backends.cuda.operations import OF_CUDA
from functrans.compiler.instructions import PythonRun, blocks_of
from functrans.compiler.operations import LIBRARY
from tests import fuzz
from tests.helpers.cases import all_cases
from tests.helpers.cuda.running import ORDERS, emulated, lowered, prepare_all
from tests.helpers.frames import settled
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

CASES = all_cases()
#: Errors that are allowed for, against the largest element of a result.
TOLERANCES = {"f": 2e-6, "d": 1e-12, "F": 2e-6, "D": 1e-12, "e": 2e-3}


def tolerance(args):
    found = [TOLERANCES.get(np.asarray(x).dtype.char, 1e-12) for x in args if not isinstance(x, float)]
    return max(found, default=1e-12)


SHARES = 6


@pytest.mark.parametrize("share", range(SHARES))
def test_every_primitive(share):
    programs = [(case, staged(case.function, case.args)) for case in CASES[share::SHARES]]
    prepare_all([(jaxpr, case.args) for case, jaxpr in programs])
    failed = {}
    for case, jaxpr in programs:
        wanted = interpreted(jaxpr, case.args)
        for order in ORDERS:
            try:
                found = emulated(jaxpr, case.args, order)
                allowed = max(case.tolerance * 1e-7, tolerance(case.args))
                assert_all_close(settled(case, found), settled(case, wanted), allowed)
            except Exception as error:
                failed[f"{case.name}, order {order}"] = f"{type(error).__name__}: {error}"
    assert not failed, "\n".join(f"{name}: {text[:500]}" for name, text in failed.items())


#: What compiled programs leave to libraries, and to functions of users, though arrays are small: docs/gpu.md says so.
LEFT = {
    "eig", "sylvester", "fft", "sort", "argsort", "fresnel_c", "fresnel_s", "cosine_integral",
    "sine_integral",
    "integer", "python_number", *(set(LIBRARY) - OF_CUDA),
}  # fmt: skip


def calls_in(block):
    """The names of what a block calls through Python."""
    for instruction in block:
        if isinstance(instruction, PythonRun) and not instruction.is_rare:
            yield instruction.name
        for inner in blocks_of(instruction):
            yield from calls_in(inner)


def test_what_is_left_to_libraries_is_known():
    """Of real numbers and integers; a reduction over no axes is none."""
    found = set()
    for case in CASES:
        is_usual = case.direct and {np.asarray(x).dtype.char for x in case.args} <= set("dfilI")
        if not is_usual or not all(map(np.size, case.args)):
            continue
        jaxpr = staged(case.function, case.args)
        if all(eqn.params.get("axes") != () and all(v.aval.size for v in eqn.outputs) for eqn in jaxpr.eqns):
            found.update(calls_in(lowered(jaxpr, case.args).assembled.block))
    assert found == LEFT


@settings(max_examples=15)
@given(case=fuzz.cases(fuzz.COMPILED, False), way=fuzz.WAYS["cuda"])
def test_random_programs(case, way):
    case.check_emulated(*way)
