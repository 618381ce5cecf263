"""Cofactors and their derivatives as kernels: singular matrices are like others."""

from itertools import product

import numpy as np
import pytest

from functrans.primitives.determinants import cofactor_derivative, cofactors
from tests.compiler.cuda.test_cuda_programs import calls_in
from tests.helpers.cuda.running import emulated, lowered
from tests.helpers.tiers import interpreted, staged

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("dtype", "order", "n"), [*product("d", [0, 1, 2], [3, 4, 6]), ("D", 1, 6)])
def test_derivatives_of_cofactors(dtype, order, n):
    args = [RANDOM.normal(size=(2, n, n)).astype(dtype) for _ in range(order + 1)]
    args[0][0, 0] = args[0][0, 1]
    jaxpr = staged(cofactor_derivative.bind if order else cofactors.bind, args)
    assert not list(calls_in(lowered(jaxpr, args).assembled.block))
    (wanted,), (found,) = interpreted(jaxpr, args), emulated(jaxpr, args)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-11 * np.max(np.abs(wanted)))
