"""Compiled functions of arrays on a GPU, from the call to the kernels: CuPy is a stand-in, the GPU an emulator."""

from __future__ import annotations

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cuda.program import CudaProgram
from functrans.compiler.program import compile_jaxpr
from functrans.core.devices import On
from functrans.errors import DeviceFunctionError, DeviceMismatchError, OutOfBoundsError
from tests.helpers.cases import all_cases
from tests.helpers.cuda.arrays import emulated_gpu
from tests.helpers.oracles import assert_all_close
from tests.helpers.stand_in_cupy import ndarray
from tests.helpers.tiers import staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def device():
    with emulated_gpu() as found:
        yield found


def check(function, *args, tolerance=1e-12):
    """The function jitted on arrays of the GPU and of the host."""
    wanted = ft.tree.leaves(ft.jit(function)(*args))
    found = ft.tree.leaves(ft.jit(function)(*map(up, args)))
    assert all(isinstance(y, ndarray) for y in found)
    assert_all_close([np.asarray(ft.device_get(y)) for y in found], [np.asarray(y) for y in wanted], tolerance)


def up(x):
    return ft.device_put(x, "cuda") if isinstance(x, np.ndarray) else x


def values(*shape):
    return np.random.default_rng(0).normal(size=shape)


def loss(w, x):
    return np.sum(np.tanh(x @ w) ** 2)


def test_functions_and_their_derivatives():
    w, x = values(7, 5), values(40, 7)
    check(loss, w, x)
    check(ft.grad(loss), w, x)
    check(lambda w, x: ft.jvp(ft.grad(lambda w: loss(w, x)), (w,), (w,))[1], w, x, tolerance=1e-11)
    check(ft.vmap(loss, (None, 0)), w, x)
    check(lambda x: lax.scan(lambda c, x: (np.sin(c) + x, c), x[0], x), x)
    check(lambda x, i: x[i] * 2.5, x, np.array([3, -1]))


def test_programs_are_kernels():
    with On(up(values(3))):
        assert isinstance(compile_jaxpr(staged(loss, (values(7, 5), values(4, 7)))), CudaProgram)


def test_numbers_and_constants_of_the_host():
    table = values(40)
    check(lambda x, a: x * a + table, values(40), 2.5)
    check(lambda x, a: x * a, values(40).astype("f4"), np.float32(2))
    check(lambda x: (x, x * 2, table), values(40))


def test_what_has_no_kernel_is_a_call_of_cupy_among_kernels():
    check(lambda x: np.sort(np.sin(x), 0) * 2, values(6, 4))
    check(lambda x: np.linalg.inv(np.cos(x) + 9 * np.eye(9)), values(9, 9), tolerance=1e-10)


def test_arrays_of_the_host_and_the_gpu_do_not_meet():
    with pytest.raises(DeviceMismatchError):
        ft.jit(lambda x, y: x + y)(up(values(3)), values(3))


def test_python_integers_that_a_dtype_has_not():
    """As arguments and as counters of loops, which are one kernel."""
    x = up(np.arange(3, dtype=np.uint8))
    np.testing.assert_array_equal(ft.jit(lambda x, n: x + n)(x, 200).get(), [200, 201, 202])
    counted = ft.jit(lambda x, n: lax.fori_loop(0, n, lambda i, y: y ^ i, x))
    np.testing.assert_array_equal(counted(x, 256).get(), [0, 1, 2])
    for refused in (lambda: ft.jit(lambda x, n: x + n)(x, 300), lambda: counted(x, 257)):
        with pytest.raises(OverflowError, match="out of bounds for uint8"):
            refused()


def test_nan_is_found_where_it_begins():
    x = up(np.array([1.0, 3.0]))
    with ft.debug_nans(), pytest.raises(FloatingPointError, match="`log` gave NaN of -1.0"):
        ft.jit(lambda x: np.sum(np.log(x - 2)))(x)


def test_indices_out_of_bounds():
    with pytest.raises(OutOfBoundsError, match="Index 9"):
        ft.jit(lambda x, i: x[i])(up(values(3)), up(np.array([0, 9])))


#: What gives numbers of Python; and vectors that are free to point the other way.
LEFT_OUT = ("integer", "svd")
#: What has no kernel here, and no function in CuPy.
LACKING = (
    "stdtr", "stdtrit", "hyp1f1", "hyp2f1", "spence", "dawsn", "wofz", "owens_t", "fresnel_s", "fresnel_c",
    "sylvester", "square_root",
)  # fmt: skip


def first_of_each_primitive():
    found = {}
    for case in all_cases():
        if any(isinstance(x, np.ndarray) for x in case.args) and case.primitive.name not in LEFT_OUT:
            found.setdefault(case.primitive.name, case)
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("case", first_of_each_primitive(), ids=lambda case: case.name)
def test_every_primitive(case):
    with np.errstate(all="ignore"):
        if case.primitive.name not in LACKING:
            check(case.function, *case.args, tolerance=1e-6)
            return
        with pytest.raises(DeviceFunctionError, match=f"`{case.primitive.name}` cannot be computed by CuPy"):
            ft.jit(case.function)(*map(up, case.args))
