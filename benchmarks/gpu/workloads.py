"""What gpu_bench.py measures. Only NumPy is needed to import this."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np


class Sizes(NamedTuple):
    """How large the workloads are.

    Attributes:
        elements: of elementwise chains.
        matrices: rows and columns of what is reduced row by row.
        batches: examples of a training step.
        bodies: of a simulation.
        steps, lanes: of a vmapped loop.
        systems: of linear equations.
    """

    elements: tuple[int, ...] = (10**3, 10**4, 10**5, 10**6, 10**7, 64 * 2**20, 10**8)
    matrices: tuple[tuple[int, int], ...] = ((8192, 256), (8192, 1024), (16384, 4096))
    batches: tuple[int, ...] = (128, 8192)
    bodies: int = 4096
    steps: int = 10_000
    lanes: int = 100_000
    systems: int = 100_000


class Row(NamedTuple):
    """A workload.

    Attributes:
        make: from a contender to a function of no arguments; None where it has no such thing.
        bytes: what has to be read and written at least, where memory is the limit.
        host_only: for how many kernels a call is to take its time only, and not to be waited for; 0: it is.
    """

    name: str
    make: Callable[[Any], Callable[[], Any] | None]
    bytes: int = 0
    host_only: int = 0


def random(*shape: int) -> Any:
    """Single-precision numbers, the same for every contender."""
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def called(c: Any, f: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """The compiled function on arrays of the GPU."""
    compiled, there = c.jit(f), [c.array(x) for x in args]
    return lambda: compiled(*there)


def derived(c: Any, f: Callable[..., Any], *args: Any) -> Callable[[], Any] | None:
    """The same of the gradient by the first argument."""
    return None if c.grad is None else called(c, c.grad(f), *args)


def summed(c: Any, f: Callable[[Any], Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A number that depends on each element of a result in a way of its own."""
    inner = f(c.xp)
    return lambda x: c.xp.sum(c.xp.sin(inner(x)))


def chain(xp: Any) -> Callable[[Any], Any]:
    return lambda x: xp.exp(-x * x) * xp.sin(3 * x) + xp.log1p(xp.abs(x)) * xp.tanh(x)


def softmax(xp: Any) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
        return e / xp.sum(e, axis=-1, keepdims=True)

    return f


def layer_norm(xp: Any) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        centred = x - xp.mean(x, axis=-1, keepdims=True)
        return centred / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)

    return f


def cross_entropy(xp: Any) -> Callable[[Any, Any], Any]:
    def f(x: Any, target: Any) -> Any:
        shifted = x - xp.max(x, axis=-1, keepdims=True)
        total = xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
        return -xp.mean(xp.sum((shifted - total) * target, axis=-1))

    return f


def network(xp: Any) -> Callable[..., Any]:
    entropy = cross_entropy(xp)

    def f(params: Any, x: Any, target: Any) -> Any:
        for w, b in params[:-1]:
            x = xp.tanh(x @ w + b)
        w, b = params[-1]
        return entropy(x @ w + b, target)

    return f


def layers() -> list[Any]:
    sizes = (784, 1024, 1024, 10)
    return [(random(m, n) / np.float32(m**0.5), random(n)) for m, n in pairwise(sizes)]


def training_step(c: Any, batch: int) -> Callable[[], Any] | None:
    if c.grad is None:
        return None
    loss = network(c.xp)

    def step(params: Any, x: Any, target: Any) -> Any:
        slopes = c.grad(loss)(params, x, target)
        return [(w - 0.1 * dw, b - 0.1 * db) for (w, b), (dw, db) in zip(params, slopes)]

    return called(c, step, layers(), random(batch, 784), one_hot(batch))


def network_hvp(c: Any, batch: int) -> Callable[[], Any] | None:
    if c.hvp is None:
        return None
    loss = network(c.xp)
    product = lambda params, x, target: c.hvp(lambda p: loss(p, x, target), params, params)  # noqa: E731
    return called(c, product, layers(), random(batch, 784), one_hot(batch))


def one_hot(batch: int, classes: int = 10) -> Any:
    return np.eye(classes, dtype=np.float32)[np.arange(batch) % classes]


def accelerations(xp: Any) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        distance = x[None, :, :] - x[:, None, :]
        near = xp.sum(distance * distance, axis=-1) + 1e-3
        return xp.sum(distance / (near * xp.sqrt(near))[:, :, None], axis=1)

    return f


def lorenz(c: Any, steps: int, lanes: int) -> Callable[[], Any]:
    def step(s: Any) -> Any:
        x, y, z = s
        return x + 0.001 * (10 * (y - x)), y + 0.001 * (x * (28 - z) - y), z + 0.001 * (x * y - 8 / 3 * z)

    run, state = c.repeated(steps, step), c.array(tuple(random(3, lanes)))
    return lambda: run(state)


def cholesky_solve(c: Any, n: int, batch: int) -> Callable[[], Any]:
    a = random(batch, n, n)
    a = a @ np.swapaxes(a, -1, -2) + n * np.eye(n, dtype=np.float32)

    def solve(a: Any, b: Any) -> Any:
        lower = c.xp.linalg.cholesky(a)
        y = c.xp.linalg.solve(lower, b)
        return c.xp.linalg.solve(lower.mT, y)

    return called(c, solve, a, random(batch, n, 1))


def kernels(c: Any, count: int) -> Callable[[], Any]:
    """A program of about so many kernels that cannot become fewer: means along one axis and along the other."""

    def f(x: Any) -> Any:
        for i in range(count):
            x = x * 0.5 + c.xp.mean(x, axis=i % 2, keepdims=True)
        return x

    return called(c, f if count > 1 else lambda x: x * 0.5 + 1, random(256, 256))


def rows(sizes: Sizes) -> Iterator[Row]:
    """All workloads; what they work on is made when they are."""
    for n in sizes.elements:
        yield Row(f"elementwise chain, {n:.3g}", lambda c, n=n: called(c, chain(c.xp), random(n)), 8 * n)
        yield Row(
            f"gradient of elementwise chain, {n:.3g}", lambda c, n=n: derived(c, summed(c, chain), random(n)), 8 * n
        )
    for m, n in sizes.matrices:
        size = f"{m} x {n}"
        for f in (softmax, layer_norm):
            yield Row(f"{f.__name__}, {size}", lambda c, f=f, m=m, n=n: called(c, f(c.xp), random(m, n)), 8 * m * n)
            yield Row(
                f"gradient of {f.__name__}, {size}",
                lambda c, f=f, m=m, n=n: derived(c, summed(c, f), random(m, n)), 8 * m * n,
            )  # fmt: skip
        for name, way, passes in (("cross-entropy", called, 2), ("gradient of cross-entropy", derived, 3)):
            yield Row(
                f"{name}, {size}",
                lambda c, way=way, m=m, n=n: way(c, cross_entropy(c.xp), random(m, n), one_hot(m, n)),
                4 * passes * m * n,
            )  # fmt: skip
    for batch in sizes.batches:
        yield Row(f"training step, batch {batch}", lambda c, b=batch: training_step(c, b))
        yield Row(f"Hessian-vector product, batch {batch}", lambda c, b=batch: network_hvp(c, b))
    yield Row(f"n-body, {sizes.bodies}", lambda c: called(c, accelerations(c.xp), random(sizes.bodies, 3)))
    steps, lanes, systems = sizes.steps, sizes.lanes, sizes.systems
    yield Row(f"vmapped ode, {steps:.0e} steps, {lanes:.0e} lanes", lambda c: lorenz(c, steps, lanes))
    for n in (4, 8, 16):
        yield Row(f"Cholesky solve, {systems:.0e} of {n} x {n}", lambda c, n=n: cholesky_solve(c, n, systems))
    for count in (1, 10, 100):
        yield Row(f"host time of {count} kernels", lambda c, k=count: kernels(c, k), host_only=count)
        yield Row(f"time of {count} kernels", lambda c, k=count: kernels(c, k))
