"""What is read side by side along another axis than it is written: through tiles in shared memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.bits import assert_same_bits
from tests.helpers.cuda.running import ORDERS, emulated, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def values(shape, dtype="f8"):
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def launches(function, *args):
    found = lowered(staged(function, args), args).launches.values()
    return [launch for own in found for launch in own]


def check(function, *args, order=0, division="usual"):
    jaxpr = staged(function, args)
    assert_all_close(emulated(jaxpr, args, order, division), interpreted(jaxpr, args), 1e-14)


SQUARE, WIDE = values((40, 40)), values((33, 70))
#: Functions with what they do of arrays, and how many tiles their kernels hold.
PROGRAMS = {
    "a transpose": (lambda x: np.copy(x.T), (WIDE,), 1),
    "elementwise work": (lambda x, y: np.sqrt(x.T) * 2 + y, (WIDE, values((70, 33))), 1),
    "both ways": (lambda x: x + x.T, (SQUARE,), 1),
    "two operands": (lambda x, y: x.T * y.T, (WIDE, values((33, 70), "f4")), 2),
    "more than there is room for": (lambda x, y: x.T * np.swapaxes(y, 0, 1), (WIDE + 0j, WIDE * 1j), 1),
    "leading axes": (lambda x: np.swapaxes(x, -1, -2) + 1, (values((2, 3, 20, 50)),), 1),
    "axes in between": (lambda x: np.transpose(x, (2, 1, 0)) + 1, (values((20, 3, 50)),), 1),
    "single bytes": (lambda x: ~x.T, (values((40, 64), "?"),), 1),
    "half precision": (lambda x: x.T + x.T, (values((40, 64), "f2"),), 1),
    "reversed": (lambda x: x.T[::-1, ::-1] * 2, (WIDE,), 1),
    "an operand that is repeated": (lambda x, y: x.T + y, (WIDE, values(33)), 1),
    "indices among operands": (lambda x: x.T * np.arange(33), (WIDE,), 1),
    "two results": (lambda x: (x.T + 1, x.T * 2), (WIDE,), 1),
    "few columns": (lambda x: x.T + 1, (values((400, 3)),), 0),
    "few rows": (lambda x: x.T + 1, (values((3, 400)),), 0),
    "neighbours that are not far": (lambda x: x[:, ::2] + 1, (WIDE,), 0),
    "nothing turned": (lambda x: x + 1, (WIDE,), 0),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    function, args, tiles = PROGRAMS[name]
    assert [launch.source.count("__shared__") for launch in launches(function, *args)] == [tiles]
    for order in ORDERS:
        check(function, *args, order=order, division="wide" if order == 2 else "usual")


def test_what_is_loaded_at_computed_indices_is_not_turned():
    x, i = values((40, 60)), np.arange(59, -1, -1)
    function = lambda x, i: x.T[i] + x.T  # noqa: E731
    assert max(launch.source.count("__shared__") for launch in launches(function, x, i)) == 1
    check(function, x, i)


def test_results_that_lie_across_are_written_side_by_side():
    """An update of a part that lies across: the loops are those of what is written."""
    x, y = values((50, 60)), values((60, 50))

    def function(x, y):
        z = np.zeros_like(x)
        z.T[...] = np.sqrt(y)
        return z + 0 * x

    check(function, x, y)


@settings(max_examples=20)
@given(
    shape=st.lists(st.integers(1, 70), min_size=2, max_size=3).map(tuple),
    permutation=st.permutations(range(3)),
    dtype=st.sampled_from(["f8", "f4", "i1", "F"]),
    order=st.sampled_from(ORDERS),
)
def test_any_permutation(shape, permutation, dtype, order):
    axes = [axis for axis in permutation if axis < len(shape)]
    x = values(shape, dtype)
    jaxpr = staged(lambda x: np.transpose(x, axes) + x.dtype.type(1), (x,))
    assert_same_bits(emulated(jaxpr, (x,), order), interpreted(jaxpr, (x,)))
