"""Programs on the emulated GPU against the interpreter: every primitive, and random programs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import fuzz
from tests.helpers.cases import all_cases
from tests.helpers.cuda.running import DIVISIONS, ORDERS, emulated, prepare_all
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

CASES = all_cases()
#: Errors that are allowed for, against the largest element of a result.
TOLERANCES = {"f": 2e-6, "d": 1e-12, "F": 2e-6, "D": 1e-12, "e": 2e-3}


def tolerance(args):
    found = [TOLERANCES.get(np.asarray(x).dtype.char, 1e-12) for x in args if not isinstance(x, float)]
    return max(found, default=1e-12)


def test_every_primitive():
    programs = [(case, staged(case.function, case.args)) for case in CASES]
    prepare_all([(jaxpr, case.args) for case, jaxpr in programs])
    failed = {}
    for case, jaxpr in programs:
        wanted = interpreted(jaxpr, case.args)
        for order in ORDERS:
            try:
                found = emulated(jaxpr, case.args, order)
                assert_all_close(found, wanted, max(case.tolerance * 1e-7, tolerance(case.args)))
            except Exception as error:
                failed[f"{case.name}, order {order}"] = f"{type(error).__name__}: {error}"
    assert not failed, "\n".join(f"{name}: {text[:500]}" for name, text in failed.items())


@settings(max_examples=40)
@given(case=fuzz.cases(tuple(fuzz.KINDS)), order=st.sampled_from(ORDERS), division=st.sampled_from(list(DIVISIONS)))
def test_random_programs(case, order, division):
    jaxpr = staged(case.function, case.args)
    fuzz.agree(emulated(jaxpr, case.args, order, division), jaxpr, case.args, case.tolerance)
