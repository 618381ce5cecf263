"""Arrays of all layouts, the libraries of CUDA, and arrays that other libraries know too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import functrans as ft
from functrans.core.devices import cupy

from .cases import Case, Scope, Skip, same, up


def layouts(_: Scope) -> Iterator[Case]:
    """Arrays that are not contiguous, not aligned, reversed, empty, or very large."""
    base = cupy().arange(1, 4097, dtype=np.float64)
    views = {
        "every other element": base[::2], "reversed": base[::-1], "transposed": base.reshape(64, 64).T,
        "broadcast": cupy().broadcast_to(base[:64], (64, 64)), "not aligned to 16 bytes": base[1:1001],
        "empty": base[:0], "one element": base[3:4], "zero axes": base[5],
        "not aligned to 8 bytes": cupy().arange(202, dtype=np.float32)[1:-1],
        "complex, not aligned to 16 bytes": base[1:1001].view(np.complex128),
    }  # fmt: skip
    functions = {
        "chain": lambda x: np.sqrt(x) * 2 + x, "sum": lambda x: np.sum(x * x), "cumulative sum": lambda x: np.cumsum(x)
    }  # fmt: skip
    for view, x in views.items():
        for name, f in functions.items():
            yield f"{name} of: {view}", lambda f=f, x=x: same(ft.jit(f)(x), f(x.get()))

    def between_elements() -> None:
        x = cupy().zeros(808, np.uint8)[2:802].view(np.float32)
        try:
            ft.jit(lambda x: x + 1)(x)
        except ft.errors.UnsupportedArgumentError:
            return
        raise AssertionError("an array that begins between elements was taken")

    def two_gpus() -> None:
        if len(ft.devices()) < 3:
            raise Skip("there is one GPU")
        x, y = up(np.ones(5)), ft.device_put(np.ones(5), "cuda:1")
        same(ft.jit(lambda x: np.sin(x) * 2)(y), 2 * np.sin(np.ones(5)))
        try:
            ft.jit(np.add)(x, y)
        except ft.errors.DeviceMismatchError:
            return
        raise AssertionError("arrays of two GPUs met")

    yield "arrays of two GPUs", two_gpus
    yield "not aligned to its elements", between_elements
    yield "more than 2**31 elements", lambda: very_large()


def very_large() -> None:
    count = 2**31 + 3
    free, _ = cupy().cuda.runtime.memGetInfo()
    if free < 4 * count:
        raise Skip(f"{free >> 20} MiB are free, {4 * count >> 20} wanted")
    x = cupy().zeros(count, np.int8)
    x[-1] = 5
    y = ft.jit(lambda x: x * np.int8(2) + np.int8(1))(x)
    assert int(y[0]) == 1
    assert int(y[-1]) == 11
    del y
    assert int(ft.jit(lambda x: np.max(x))(x)) == 5
    cupy().get_default_memory_pool().free_all_blocks()


def libraries(_: Scope) -> Iterator[Case]:
    """cuBLAS, cuSOLVER and cuFFT."""
    random = np.random.default_rng(1)
    for dtype in (np.float32, np.float64, np.complex64, np.complex128):
        a, b = random.normal(size=(2, 6, 17, 17))
        a = (a + 1j * b if np.dtype(dtype).kind == "c" else a).astype(dtype)
        spd = (a @ np.conj(np.swapaxes(a, -1, -2)) + 17 * np.eye(17)).astype(dtype)
        functions = {
            "matmul": lambda a, s: a @ s, "gradient of matmul": lambda a, s: ft.vjp(np.matmul, a, s)[1](a),
            "einsum": lambda a, s: np.einsum("bij,bkj->ik", a, s), "cholesky": lambda a, s: np.linalg.cholesky(s),
            "solve": lambda a, s: np.linalg.solve(s, a),
            "gradient of solve": lambda a, s: ft.vjp(np.linalg.solve, s, a)[1](a),
            "gradient of cholesky": lambda a, s: ft.vjp(np.linalg.cholesky, s)[1](a),
            "inv": lambda a, s: np.linalg.inv(s),
            "eigvalsh": lambda a, s: np.linalg.eigvalsh(s),
            "singular values": lambda a, s: np.linalg.svd(a, compute_uv=False),
            "slogdet": lambda a, s: np.linalg.slogdet(s)[1], "fft": lambda a, s: np.fft.ifft2(np.fft.fft2(a) * 2),
        }  # fmt: skip
        for name, f in functions.items():
            yield f"{name}, {np.dtype(dtype).name}", lambda f=f, a=a, s=spd: same(ft.jit(f)(up(a), up(s)), f(a, s))


def neighbours(_: Scope) -> Iterator[Case]:
    """CuPy's own functions on our results, and arrays of others by DLPack."""

    def cupy_kernels() -> None:
        y = ft.jit(lambda x: np.sin(x))(cupy().arange(5.0))
        assert type(y) is cupy().ndarray
        double = cupy().ElementwiseKernel("float64 x", "float64 y", "y = 2 * x", "twice")
        same(double(y), 2 * np.sin(np.arange(5.0)))
        assert int(y.__cuda_array_interface__["data"][0]) == y.data.ptr

    def torch_tensors() -> None:
        try:
            import torch
        except ImportError:
            raise Skip("torch is not installed") from None
        if not torch.cuda.is_available():
            raise Skip("torch has no CUDA")
        tensor = torch.arange(6.0, dtype=torch.float64, device="cuda")
        y = ft.jit(lambda x: x * 2 + 1)(cupy().from_dlpack(tensor))
        back = torch.from_dlpack(y)
        assert torch.equal(back, tensor * 2 + 1)

    yield "kernels of CuPy", cupy_kernels
    yield "tensors of torch", torch_tensors


