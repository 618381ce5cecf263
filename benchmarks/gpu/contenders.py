"""Who is measured by gpu_bench.py: names of NumPy, and transformations. Only NumPy is needed to import this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

OURS, JAX, TORCH, CUPY = "functrans", "JAX", "torch.compile", "CuPy"


class Ours:
    """functrans."""

    def __init__(self) -> None:
        import functrans as ft

        self.ft, self.xp, self.version = ft, np, ""
        self.jit, self.grad, self.vmap, self.block = ft.jit, ft.grad, ft.vmap, ft.block_until_ready

    def array(self, x: Any) -> Any:
        return self.ft.device_put(x, "cuda")

    def repeated(self, count: int, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A compiled function of a state of vectors: as many steps, of each lane for itself."""
        return self.jit(self.vmap(lambda state: self.ft.lax.fori_loop(0, count, lambda _, s: step(s), state)))

    def hvp(self, f: Callable[..., Any], x: Any, v: Any) -> Any:
        return self.ft.hvp(f, x, v)


class Jax:
    """JAX."""

    def __init__(self) -> None:
        import jax

        self.jax, self.xp, self.version = jax, jax.numpy, jax.__version__
        jax.config.update("jax_default_matmul_precision", "highest")  # as the others: no TF32
        self.jit, self.grad, self.vmap, self.block = jax.jit, jax.grad, jax.vmap, jax.block_until_ready
        assert jax.default_backend() == "gpu", "this JAX has no GPU"

    def array(self, x: Any) -> Any:
        return self.jax.tree.map(self.jax.device_put, x)

    def repeated(self, count: int, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return self.jit(self.vmap(lambda state: self.jax.lax.fori_loop(0, count, lambda _, s: step(s), state)))

    def hvp(self, f: Callable[..., Any], x: Any, v: Any) -> Any:
        return self.jax.jvp(self.jax.grad(f), (x,), (v,))[1]


class Torch:
    """torch.compile over torch.func."""

    def __init__(self) -> None:
        import torch

        self.torch, self.version = torch, torch.__version__
        torch.set_float32_matmul_precision("highest")
        assert torch.cuda.is_available(), "this torch has no GPU"
        self.xp, self.grad, self.vmap = _TorchNames(torch), torch.func.grad, torch.func.vmap

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        self.torch.compiler.reset()  # a function that is compiled for many shapes is not compiled any more
        return self.torch.compile(f, dynamic=False)

    def array(self, x: Any) -> Any:
        if isinstance(x, (list, tuple)):
            return type(x)(map(self.array, x))
        return self.torch.from_numpy(np.ascontiguousarray(x)).cuda()

    def block(self, x: Any) -> Any:
        self.torch.cuda.synchronize()
        return x

    def repeated(self, count: int, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return python_loop(count, self.jit(step))

    def hvp(self, f: Callable[..., Any], x: Any, v: Any) -> Any:
        return self.torch.func.jvp(self.torch.func.grad(f), (x,), (v,))[1]


class Cupy:
    """CuPy, call by call; it has no derivatives."""

    def __init__(self) -> None:
        import cupy

        self.cupy, self.xp, self.grad, self.hvp, self.vmap = cupy, cupy, None, None, None
        self.version = cupy.__version__
        cupy.cuda.runtime.getDeviceCount()

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return f

    def array(self, x: Any) -> Any:
        return type(x)(map(self.array, x)) if isinstance(x, (list, tuple)) else self.cupy.asarray(x)

    def block(self, x: Any) -> Any:
        self.cupy.cuda.Device().synchronize()
        return x

    def repeated(self, count: int, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return python_loop(count, step)


def python_loop(count: int, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """As many steps, one after the other, where there is no loop on the GPU."""

    def run(state: Any) -> Any:
        for _ in range(count):
            state = step(state)
        return state

    return run


class _TorchNames:
    """NumPy's names for what the workloads use of torch."""

    def __init__(self, torch: Any):
        self.torch, self.linalg = torch, torch.linalg

    def __getattr__(self, name: str) -> Any:
        return getattr(self.torch, name)

    def sum(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return self.torch.sum(x) if axis is None else self.torch.sum(x, axis, keepdim=keepdims)

    def mean(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return self.torch.mean(x) if axis is None else self.torch.mean(x, axis, keepdim=keepdims)

    def max(self, x: Any, axis: Any, keepdims: bool = False) -> Any:
        return self.torch.amax(x, axis, keepdim=keepdims)

    def stack(self, xs: Any, axis: int = 0) -> Any:
        return self.torch.stack(xs, axis)


CONTENDERS: dict[str, Any] = {OURS: Ours, JAX: Jax, TORCH: Torch, CUPY: Cupy}
