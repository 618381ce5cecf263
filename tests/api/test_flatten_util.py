"""A pytree as a vector, and back, under every transformation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.errors import DtypeMismatchError, ShapeMismatchError, UnsupportedDtypeError
from functrans.flatten_util import ravel_pytree

TREE = {"w": np.arange(6.0).reshape(2, 3), "b": (1.5, None, np.array([2.0]))}
MIXED = {"f4": np.ones(2, "f4"), "i8": np.arange(3), "c8": np.array([1 + 2j], "c8"), "bool": np.array(True)}


def same(found: Any, wanted: Any) -> None:
    assert ft.tree.structure(found) == ft.tree.structure(wanted)
    for f, w in zip(ft.tree.leaves(found), ft.tree.leaves(wanted)):
        np.testing.assert_array_equal(f, w)
        assert np.shape(f) == np.shape(w)
        assert np.asarray(f).dtype == np.asarray(w).dtype


@pytest.mark.parametrize("tree", [TREE, MIXED, 2.0, np.ones((2, 0)), [], {"empty": None}], ids=str)
def test_there_and_back(tree: Any) -> None:
    vector, unravel = ravel_pytree(tree)
    assert vector.shape == (sum(np.size(x) for x in ft.tree.leaves(tree)),)
    same(unravel(vector), tree)
    same(ft.jit(lambda tree: ravel_pytree(tree)[0])(tree), vector)
    same(ft.jit(unravel)(vector), tree)


def test_the_order_is_that_of_the_leaves() -> None:
    np.testing.assert_array_equal(ravel_pytree(TREE)[0], [1.5, 2, 0, 1, 2, 3, 4, 5])
    assert ravel_pytree(MIXED)[0].dtype == np.complex128
    assert ravel_pytree([])[0].dtype == np.float64


def test_derivatives() -> None:
    vector, unravel = ravel_pytree(TREE)
    loss = lambda tree: np.sum(tree["w"] ** 3) * tree["b"][0] + tree["b"][2][0] ** 2  # noqa: E731
    flat = lambda vector: loss(unravel(vector))  # noqa: E731
    same(unravel(ft.grad(flat)(vector)), ft.tree.map(np.asarray, ft.grad(loss)(TREE)))
    hessian = ft.hessian(flat)(vector)
    np.testing.assert_allclose(hessian, hessian.T)
    assert hessian[1, 1] == 2
    lanes = ft.vmap(unravel)(np.stack([vector, 2 * vector]))
    np.testing.assert_array_equal(lanes["w"], np.stack([TREE["w"], 2 * TREE["w"]]))
    gradient = ft.grad(lambda tree: np.sum(ravel_pytree(tree)[0] ** 2))(TREE)
    np.testing.assert_array_equal(gradient["w"], 2 * TREE["w"])


def test_the_dtype_of_a_vector_may_change_if_the_leaves_have_one() -> None:
    vector, unravel = ravel_pytree(TREE)
    assert unravel(vector.astype("f4"))["w"].dtype == np.float32
    assert unravel(vector * 1j)["w"].dtype == np.complex128


def test_bad_input() -> None:
    vector, unravel = ravel_pytree(MIXED)
    with pytest.raises(DtypeMismatchError, match=r"float64 was to become a pytree of several dtypes"):
        unravel(vector.real)
    for bad in (vector[:-1], vector[None], vector[0]):
        with pytest.raises(ShapeMismatchError, match="pytree with 7 elements"):
            unravel(bad)
    with pytest.raises(UnsupportedDtypeError):
        ravel_pytree({"a": "text"})
