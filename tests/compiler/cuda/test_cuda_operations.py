"""Every scalar operation of kernels for GPUs against NumPy, for every dtype, on the emulator."""

from __future__ import annotations

import numpy as np
import pytest

from functrans.compiler.backends.cuda.lowering import Target, launches_of
from functrans.compiler.backends.cuda.operations import OF_CUDA, supports
from functrans.compiler.instructions import KernelRun
from functrans.compiler.loopnest import Apply, Kernel, Load, Output, axis_index, constant
from functrans.compiler.operations import COMPLEX_LIBRARY, LIBRARY, SPECIAL
from functrans.compiler.places import Place, contiguous_strides
from tests.helpers.cuda.device import Emulator, prepare
from tests.helpers.cuda.launching import launch
from tests.helpers.operations import ALL, KIND_NAMES, difference, operands_of

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

POINT = (axis_index(0),)


def place(slot, size, dtype):
    return Place(slot, 0, (size,), dtype, contiguous_strides((size,), dtype.itemsize))


def launch_of(case, size):
    loads = tuple(Load(k, POINT, dtype) for k, dtype in enumerate(case.dtypes))
    kernel = Kernel((size,), 0, (Output(Apply(case.name, loads, case.result), None),), tuple(range(len(loads))))
    sources = tuple(place(k, size, dtype) for k, dtype in enumerate(case.dtypes))
    run = KernelRun(kernel, sources, (place(len(loads), size, case.result),))
    (found,) = launches_of(run, Target(4, [False] * (len(loads) + 1), 0, None))
    return found


CASES = [
    case for table in ALL.values() for found in table.values() for case in found
    if supports(Apply(case.name, tuple(Load(k, (), d) for k, d in enumerate(case.dtypes)), case.result))
]  # fmt: skip


@pytest.mark.parametrize("kind", list(ALL), ids=KIND_NAMES.get)
def test_operations(kind):
    failed = {}
    cases = [case for case in CASES if case.dtypes[0].kind == kind]
    prepare([launch_of(case, 3).source for case in cases])
    for case in cases:
        operands = operands_of(case)
        device = Emulator()
        arrays = [device.upload(np.ascontiguousarray(x)) for x in operands]
        got = device.empty(operands[0].shape, case.result)
        launch(device, launch_of(case, len(got)), [*arrays, got])
        try:
            with np.errstate(all="ignore"):
                compare(case, np.array(got), operands)
        except AssertionError as error:
            failed[repr(case)] = str(error)[:300]
    assert not failed, "\n".join(f"{name}: {text}" for name, text in failed.items())


def compare(case, got, operands):
    """Special functions are not SciPy's here, which has errors of its own near poles and roots."""
    wanted = case.expected(*operands)
    if case.name not in (*SPECIAL, *LIBRARY):
        difference(case, got, wanted, operands)
        return
    usual = ~np.isneginf(operands[0]) & (np.abs(wanted) < 1e12)
    np.testing.assert_allclose(got[usual], wanted[usual], 1e3 * np.finfo(got.dtype).eps, 4e-15, err_msg=repr(case))


def test_kernels_have_all_operations():
    known = {case.name for table in ALL.values() for found in table.values() for case in found}
    here = {case.name for case in CASES}
    assert known - here == {*LIBRARY, *COMPLEX_LIBRARY} - OF_CUDA - here


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 7, -1, -4, 0.5])
def test_powers_of_complex_numbers(exponent):
    z = np.array([0, 1, 1j, -2 + 0.5j, 3 - 4j, 1e-3])
    kernel = Kernel(z.shape, 0, (
        Output(Apply("power", (Load(0, POINT, z.dtype), constant(exponent, z.dtype)), z.dtype), None),
    ), (0,))  # fmt: skip
    run = KernelRun(kernel, (place(0, 6, z.dtype),), (place(1, 6, z.dtype),))
    device = Emulator()
    got = device.empty(z.shape, z.dtype)
    (found,) = launches_of(run, Target(4, [False, False], 0, None))
    launch(device, found, [device.upload(z), got])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, z**exponent, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sines_of_single_precision(name):
    """Within two units in the last place, also beside multiples of pi; zeros keep their sign, large angles are CUDA's."""
    rng, dtype, function = np.random.default_rng(0), np.dtype(np.float32), getattr(np, name)
    multiples = rng.integers(-67_000, 67_000, 8000) * (np.pi / 2)
    sizes = np.exp(rng.uniform(np.log(1e-42), np.log(105_614), 8000)) * rng.choice([-1, 1], 8000)
    x = np.concatenate([multiples, sizes, rng.uniform(-9, 9, 8000), [105_615, -1e9, 3e38, 0.0, -0.0]]).astype(dtype)
    special = np.array([np.inf, -np.inf, np.nan], dtype)
    kernel = Kernel((len(x) + 3,), 0, (Output(Apply(name, (Load(0, POINT, dtype),), dtype), None),), (0,))
    run = KernelRun(kernel, (place(0, len(x) + 3, dtype),), (place(1, len(x) + 3, dtype),))
    device = Emulator()
    got = device.empty(kernel.shape, dtype)
    (found,) = launches_of(run, Target(4, [False, False], 0, None))
    launch(device, found, [device.upload(np.concatenate([x, special])), got])
    wanted = function(x.astype(np.float64))
    assert np.max(np.abs(got[:-3] - wanted) / np.spacing(np.abs(wanted).astype(dtype))) < 2
    assert list(np.signbit(got[-5:-3])) == [False, name == "sin"]
    assert np.all(np.isnan(got[-3:]))
