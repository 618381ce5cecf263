"""Operations on arrays without elements, and reductions over no axes, in native programs: no return to Python."""

import numpy as np
import pytest

import functrans as ft
from functrans.primitives import reductions
from functrans.primitives.contractions import dot_general
from functrans.primitives.foundation import reduce_sum
from tests.helpers.oracles import same_bits

NAMES = ["reduce_prod", "reduce_any", "reduce_all", "reduce_and", "reduce_or", "reduce_xor"]
PRODUCT = {"dimension_numbers": (((1,), (0,)), ((), ()))}
FUNCTIONS = {
    "sine": lambda x: np.sin(x) + 1,
    "cumulative sum": lambda x: np.cumsum(x, axis=0),
    "sorted": lambda x: np.sort(x, axis=0),
    "joined": lambda x: np.concatenate([x, x[:0]]),
    "product": lambda x: dot_general(x, x.T, **PRODUCT),
    "sum of nothing": lambda x: (np.sum(x, axis=0)[None], np.prod(x, axis=1)[:, None])[x.shape[0] > 0] + x,
    "gathered": lambda x: x[np.zeros(0, int)],
    "gathered and added": lambda x: ft.numpy.at(x)[:, np.zeros(0, int)].add(1.0),
    "loop": lambda x: ft.lax.fori_loop(0, 3, lambda i, y: y * 2 + i, x),
}


def agree(function, *args):
    kernels = str(ft.jit(function).lower(*args).kernels)
    assert "Python" not in kernels, kernels
    assert same_bits(ft.jit(function)(*args), function(*args))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_functions_of_arrays_without_elements(name, shape):
    agree(FUNCTIONS[name], np.zeros(shape))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64])
def test_reductions_over_no_axes_and_of_no_elements(name, dtype):
    reduce = getattr(reductions, name)
    x = np.array([[3, 0, 1], [2, 1, 0]]).astype(dtype)
    agree(lambda x: reduce(x, axes=()), x if "an" not in name[-3:] and "al" not in name[-3:] else x != 0)
    agree(lambda x: reduce(x, axes=(0,)), x[:0] if name[-3:] not in ("any", "all") else x[:0] != 0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex128])
def test_sums_over_no_axes(dtype):
    x = np.array([-0.0, 1.5, np.nan], dtype)
    agree(lambda x: reduce_sum(x, axes=()), x)
    agree(lambda x: reduce_sum(x, axes=(0,)), x[:0])


def test_determinants_of_no_rows():
    agree(np.linalg.det, np.zeros((0, 0)))


def test_wrong_indices_are_refused_though_nothing_is_computed():
    with pytest.raises(IndexError):
        ft.jit(lambda x, i: x[i])(np.zeros((3, 0)), np.array([5]))
    with pytest.raises(IndexError):
        ft.jit(lambda x, i: ft.numpy.at(x)[i].set(0.0))(np.zeros((3, 0)), np.array([5]))
