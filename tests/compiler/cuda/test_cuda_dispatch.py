"""Compiled functions of arrays on a GPU: dispatch, kernels and launches, with a stand-in for CuPy over the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax, nn
from functrans.compiler import program
from functrans.errors import (
    DeviceMismatchError,
    DeviceUnavailableError,
    ScalarFunctionError,
    UnsupportedArgumentError,
)
from tests import test_gpu_arrays as arrays
from tests.helpers.cuda.device import Emulator, is_possible
from tests.helpers.stand_in_cupy import installed, ndarray

pytestmark = pytest.mark.skipif(not is_possible(), reason="no C++ compiler for the emulator")


class EmulatedGpu(Emulator):
    """The emulator behind arrays of the stand-in."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number

    def is_array(self, x: Any) -> bool:
        return isinstance(x, ndarray) and x.device.id == self.number

    def empty(self, shape: Any, dtype: Any) -> Any:
        return ndarray(super().empty(shape, dtype), self.number)

    def view(self, pointer: int, shape: Any, dtype: Any, strides: Any, owner: Any) -> Any:
        return ndarray(super().view(pointer, shape, dtype, strides, owner), self.number)

    def pointer(self, array: Any) -> int:
        return array.data.ptr

    def upload(self, host: Any) -> Any:
        return ndarray(super().upload(host), self.number)

    def download(self, array: Any) -> Any:
        return array.get()


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(program, "gpu", cache(EmulatedGpu))
    monkeypatch.setattr(program, "has_driver", lambda: True)
    with installed(), np.errstate(all="ignore"):
        yield


def same(f: Any, *args: Any) -> None:
    """A compiled function gives on the GPU what it gives on the host."""
    found, wanted = ft.jit(f)(*ft.device_put(args, "cuda")), f(*args)
    for y, w in zip(ft.tree.leaves(found), ft.tree.leaves(wanted), strict=True):
        assert isinstance(y, ndarray) or not isinstance(w, np.ndarray)
        np.testing.assert_allclose(ft.device_get(y), w, rtol=1e-9, atol=1e-9)
        assert np.asarray(ft.device_get(y)).dtype == np.asarray(w).dtype


RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(6, 40))


def test_programs() -> None:
    same(lambda x: np.sin(x) * 2 + x[:, ::-1], X)
    same(ft.grad(lambda x: np.sum(nn.softmax(x)[:, :3] ** 2)), X)
    same(ft.grad(lambda x: np.sum(nn.log_softmax(x)[:, 0])), RANDOM.normal(size=(64, 1000)))
    same(lambda x: lax.scan(lambda c, u: (np.tanh(c + u), c[:3]), x[0], x), X)
    same(lambda x, i: (x[:, i], np.cumsum(x, axis=1), np.sort(x, axis=1)), X, np.array([3, 1, 3]))
    same(lambda x, s: (x, x @ x.T * s, 2.5), X, 3.0)


@pytest.mark.parametrize("transformed", ["jit grad", "jit hvp", "grad jit"])
@pytest.mark.parametrize("f", [arrays.accumulated, arrays.scanned, arrays.solved])
def test_compositions(f: Any, transformed: str) -> None:
    function = arrays.TRANSFORMED[transformed](f)
    arrays.same(function(ft.device_put(arrays.VECTOR, "cuda")), function(arrays.VECTOR))


def test_the_network_of_the_notebook() -> None:
    arrays.test_the_network_of_the_notebook()


def test_constants_move_once_and_decide_where_a_program_runs() -> None:
    table, on_gpu = np.arange(40.0), ft.device_put(np.arange(40.0), "cuda:1")
    same(lambda x: x * table, X)
    f = ft.jit(lambda s: s * on_gpu)
    assert f(2.0).device.id == 1
    np.testing.assert_array_equal(f(2.0).get(), 2 * table)
    with pytest.raises(DeviceMismatchError):
        f(X[0])


def test_a_function_of_a_user_is_printed_into_kernels() -> None:
    f = ft.elementwise(lambda x, n: x * x + n, cuda="x * x + n", name="fused")
    same(lambda x: np.sqrt(f(x, 1)) + 1, X)
    text = ft.jit(lambda x: np.sqrt(f(x, 1)) + 1).lower(X, backend="cuda").cuda
    assert "[](double x, long long n) -> double { return x * x + n; }(" in text
    same(lambda x: ft.elementwise(lambda x: x if x > 0 else -x * 0.5)(x) + 1, X)


def softsign_slope(y: Any, x: Any) -> Any:
    return 1 / (1 + np.abs(x)) ** 2


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: f,
        lambda f: ft.grad(lambda x: np.sum(f(x) ** 2)),
        lambda f: lambda x: ft.jvp(f, (x,), (x,))[1],
        lambda f: lambda x: ft.hvp(lambda x: np.sum(f(x) ** 2), x, x),
        lambda f: ft.vmap(f),
        lambda f: ft.vmap(ft.grad(lambda x: np.sum(f(x)))),
        lambda f: lambda x: lax.fori_loop(0, 3, lambda _, c: f(c) + x, x),
    ],
)
def test_functions_of_users_in_cuda_go_through_transformations(transform: Any) -> None:
    def in_python(x: Any) -> Any:
        return x / (1 + abs(x))

    both = ft.elementwise(in_python, cuda="x / (1 + fabs(x))", derivatives=softsign_slope)
    only = ft.elementwise(cuda="x / (1 + fabs(x))", parameters="x", dtype=float, derivatives=softsign_slope, name="only")
    wanted = transform(in_python)(X)
    for f in (both, only):
        found = ft.jit(transform(f))(ft.device_put(X, "cuda"))
        np.testing.assert_allclose(ft.device_get(found), wanted, rtol=1e-12)
    np.testing.assert_allclose(ft.jit(transform(both))(X), wanted, rtol=1e-12)  # on the host
    with pytest.raises(ScalarFunctionError, match="arrays of the host, and is written in CUDA C"):
        ft.jit(only)(X)


def test_lowering_needs_no_gpu() -> None:
    f = ft.jit(lambda x: (x, nn.softmax(x)))
    for lowered in (f.lower(X, backend="cuda"), f.lower(ft.ShapeDtypeStruct((6, 40), float), backend="cuda")):
        assert lowered.kernels_in_cuda
        assert "KERNEL" in lowered.cuda
        assert "exp(" in lowered.kernels
        with pytest.raises(UnsupportedArgumentError, match="lowered for a GPU"):
            _ = lowered.asm
    assert "define" in f.lower(X).llvm
    assert "KERNEL" in f.lower(ft.device_put(X, "cuda")).cuda  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedArgumentError, match="There is no backend 'tpu'"):
        f.lower(X, backend="tpu")
    assert ft.jit(lambda backend: backend * 2).lower(backend=X).jaxpr.in_avals[0].shape == X.shape


def test_a_program_cannot_be_compiled_for_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functrans.api.devices.cupy", missing)
    with pytest.raises(DeviceUnavailableError, match="CuPy is not installed"):
        ft.jit(np.sin).lower(X, backend="cuda").compile()


def missing() -> Any:
    raise ModuleNotFoundError("No module named 'cupy'", name="cupy")
