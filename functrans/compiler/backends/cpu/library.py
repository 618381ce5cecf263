"""BLAS, by the addresses that SciPy gives of its functions."""

from __future__ import annotations

import threading
from functools import cache
from math import prod
from typing import NamedTuple

from ....primitives.late_scipy import blas, library_threads
from ...instructions import ProductRun
from ...places import is_row_major
from .numbers import bits_of
from .runtime import HEADER

#: Products of at least so many multiplications are divided among our threads; OpenBLAS, too, uses none for less.
WORTH_THREADS = 1 << 18


#: Products for each thread, at least, if products are what is divided among threads: so that nobody waits for long.
PRODUCTS_PER_THREAD = 4


class Division(NamedTuple):
    """How threads share products.

    Attributes:
        extent: of how many things each thread takes some; one if there is nothing to share.
        parts: how many of these are one product; 0: each is a product.
        are_large: whether BLAS would use threads of its own.
    """

    extent: int
    parts: int
    are_large: bool


def product_work(run: ProductRun) -> int:
    """What products take, about in nanoseconds."""
    return prod(run.x.shape) * run.y.shape[2] // 8


def is_large(run: ProductRun) -> bool:
    """Whether BLAS would use threads of its own for one product."""
    return prod(run.x.shape[1:]) * run.y.shape[2] > WORTH_THREADS


def division(run: ProductRun, processors: int) -> Division:
    """Share products if there are several for each thread, or parts of each if they are large."""
    batch, rows, columns = run.z.shape
    each = rows * columns * run.x.shape[2]
    are_large = is_large(run)
    if batch * each <= WORTH_THREADS or (are_large and not threads_of_blas().can_be_set):
        return Division(1, 1, are_large)
    if batch >= PRODUCTS_PER_THREAD * processors or not are_large:
        return Division(batch, 0, are_large)
    return Division(processors, processors, are_large)


def gemm_arguments(run: ProductRun, parts: int) -> list[int]:
    """The arguments of `run_gemm`, for products in some parts each, or none if parts are products.

    BLAS counts columns first: to it, what we have are transposed matrices, and z' = y' x'.
    """
    a, b, c = run.y, run.x, run.z
    dtype = c.dtype
    places = [n for p in (a, b, c) for n in (HEADER + p.slot, p.offset, p.strides[0])]
    batch, rows, columns = c.shape
    one, other = bits_of(1, dtype), bits_of(int(run.adds), dtype)
    transposed = [ord("N") if is_row_major(p) else ord("T") for p in (a, b)]
    leading = [max(p.strides[1:]) // dtype.itemsize for p in (a, b)]
    size = dtype.itemsize
    row = max(c.strides[1], columns * size)
    ways = [b.strides[1], row, 0, 0] if rows >= columns else [0, 0, a.strides[2], size]
    return [
        blas({"f": "s", "d": "d", "F": "c", "D": "z"}[dtype.char] + "gemm"), *places, batch,
        *transposed, columns, rows, a.shape[1], *one, *leading, *other, row // size, parts, *ways,
    ]  # fmt: skip


class BlasThreads:
    """The threads of BLAS and LAPACK themselves: as a context, none, for ours share the work.

    Those of OpenBLAS wait for each other in loops, which on a busy machine takes many times as long as the product.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.usual: dict[int, int] = {}  # by the numbers of libraries

    @property
    def can_be_set(self) -> bool:
        return bool(blas("dgemm") and library_threads)

    def __enter__(self) -> None:
        with self.lock:
            for number, library in enumerate(library_threads):
                if number not in self.usual:
                    self.usual[number] = library.get()
                    library.set(1)
            self.users += 1

    def __exit__(self, *exception: object) -> None:
        with self.lock:
            self.users -= 1
            if not self.users:
                for number, usual in self.usual.items():
                    library_threads[number].set(usual)
                self.usual.clear()


@cache
def threads_of_blas() -> BlasThreads:
    """The one for this process."""
    return BlasThreads()
