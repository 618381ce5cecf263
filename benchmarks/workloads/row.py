"""What a row of the CPU benchmark is, and what functrans and JAX are to a workload that is written for both."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

OURS = "functrans"
JAX = "JAX"
TORCH = "torch.compile"
NUMBA = "Numba"
NUMPY = "NumPy by hand"
CONTENDERS = (OURS, JAX, TORCH, NUMBA, NUMPY)

FIRST, CALL, MEMORY = "first call", "call", "memory"


class Row:
    """One workload. Subclasses write it once for functrans and JAX, and by hand for the others they have.

    Attributes:
        label: its name in the table.
        kind: what is measured: the first call of a compiled function, a call, or peak memory.
        at_most: what functrans may take, in seconds or bytes.
        factor: what functrans may take as a multiple of the best of `peers`.
        multiple_of: another row, and what functrans may take as a multiple of its own time there.
        slack: what is added to that, as it is too little to tell.
        rtol: how far results may differ.
        renews: whether what a call returns is its first argument the next time, which is donated.
        issue: what the issue says of today's peers and what to reach.
    """

    label = ""
    kind = CALL
    at_most: float | None = None
    factor: float | None = None
    peers: tuple[str, ...] = ()
    multiple_of: tuple[str, float] | None = None
    slack = 0.0
    rtol = 1e-9
    renews = False
    issue = ""
    #: Contenders that are left out.
    skip: tuple[str, ...] = ()

    def data(self) -> tuple[Any, ...]:
        """The arguments: pytrees of NumPy arrays."""
        raise NotImplementedError

    def function(self, lib: Any) -> Callable[..., Any]:
        """The function to compile, for functrans and JAX."""
        raise NotImplementedError

    #: Builders of the function of the other contenders; None where there is none.
    torch: Callable[[Any], Callable[..., Any]] | None = None
    numba: Callable[[Any], Callable[..., Any]] | None = None
    numpy: Callable[[], Callable[..., Any]] | None = None

    def contenders(self) -> list[str]:
        written = {OURS: True, JAX: JAX not in self.skip, TORCH: self.torch, NUMBA: self.numba, NUMPY: self.numpy}
        return [name for name in CONTENDERS if written[name]]


def library(name: str) -> Any:
    """functrans or JAX, with one name for the few things that they spell differently."""
    if name == OURS:
        ft = importlib.import_module("functrans")
        return SimpleNamespace(name=name, np=np, put=_assign, nn=ft.nn, lax=ft.lax, jit=ft.jit, grad=ft.grad,
                               value_and_grad=ft.value_and_grad, hessian=ft.hessian, jvp=ft.jvp, vmap=ft.vmap,
                               tree=ft.tree, checkpoint=ft.checkpoint)  # fmt: skip
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    return SimpleNamespace(name=name, np=jax.numpy, put=lambda x, i, v: x.at[i].set(v), nn=jax.nn, lax=jax.lax,
                           jit=jax.jit, grad=jax.grad, value_and_grad=jax.value_and_grad, hessian=jax.hessian,
                           jvp=jax.jvp, vmap=jax.vmap, tree=jax.tree, checkpoint=jax.checkpoint)  # fmt: skip


def _assign(x: Any, index: Any, value: Any) -> Any:
    x = x.copy()  # arguments of a traced function may not be assigned to
    x[index] = value
    return x


def leaves(tree: Any) -> list[Any]:
    """The leaves of tuples, lists and dicts, whosever arrays they are."""
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, tuple | list):
        return [leaf for part in tree for leaf in leaves(part)]
    return [] if tree is None else [tree]


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """A tree of tuples, lists and dicts with a function applied to its leaves."""
    if isinstance(tree, dict):
        return {key: mapped(function, part) for key, part in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(mapped(function, part) for part in tree)
    return function(tree)
