"""Chains of elementwise functions and their gradients."""

from __future__ import annotations

from functools import partial

import numpy as np

from .row import JAX, NUMBA, NUMPY, TORCH, Row


class Chain(Row):
    """Ten transcendental operations in a row."""

    peers = (TORCH,)
    factor = 1 / 1.3

    def __init__(self, size: int, dtype: str, is_gradient: bool, issue: str):
        self.size, self.dtype, self.is_gradient, self.issue = size, dtype, is_gradient, issue
        self.rtol = 1e-12 if dtype == "float64" else 2e-5
        self.label = f"{'gradient of the ' if is_gradient else ''}chain of 10, 1e{round(np.log10(size))}, {dtype}"

    def data(self):
        return (np.random.default_rng(0).uniform(0.1, 2.0, self.size).astype(self.dtype),)

    @staticmethod
    def chain(np, x):
        y = np.tanh(np.sin(x) + np.cos(x))
        y = np.exp(y) + np.log(x)
        y = np.log1p(np.exp(-y))
        y = np.sqrt(np.sin(y) + 2.0)
        return np.tanh(np.cos(y)) * x

    def function(self, lib):
        chain = partial(self.chain, lib.np)
        return lib.grad(lambda x: lib.np.sum(chain(x))) if self.is_gradient else chain

    def torch(self, torch):
        if not self.is_gradient:
            return torch.compile(partial(self.chain, torch))
        total = torch.compile(lambda x: torch.sum(self.chain(torch, x)))

        def gradient(x):
            x = x.detach().requires_grad_()
            return torch.autograd.grad(total(x), x)

        return gradient


class Update(Row):
    """A step of gradient descent, into new memory or into that of the parameters."""

    peers = (NUMBA, NUMPY)
    factor = 1.1
    rtol = 1e-12

    def __init__(self, renews: bool):
        self.renews = renews
        self.label = f"update of 1e7 parameters{', donated' if renews else ''}"
        self.issue = "no slower than loops by hand" + (" that work in place" if renews else "")

    def data(self):
        p, g = np.random.default_rng(0).uniform(-1, 1, (2, 10**7))
        return p.copy(), g.copy(), 1e-3

    def function(self, lib):
        return lambda p, g, rate: p - rate * g

    def torch(self, torch):
        return (lambda p, g, rate: p.sub_(g, alpha=rate)) if self.renews else (lambda p, g, rate: p - rate * g)

    def numba(self, numba):
        @numba.njit
        def update(p, g, rate, target):
            for i in range(p.size):
                target[i] = p[i] - rate * g[i]
            return target

        return lambda p, g, rate: update(p, g, rate, p if self.renews else np.empty_like(p))

    def numpy(self):
        room = np.empty(10**7)

        def update(p, g, rate):
            return np.subtract(p, np.multiply(g, rate, out=room), out=p if self.renews else None)

        return update


class Adam(Row):
    """A step of Adam (Kingma, Ba 2015) on the weights and biases of a network: 36 arrays of three shapes."""

    peers = (JAX, TORCH)
    factor = 1.0
    rtol = 1e-12
    label = "step of Adam, 36 parameters"
    issue = "no slower than the best"
    shapes = (*[(256, 256)] * 16, *[(256,)] * 16, *[(1024, 256)] * 4)

    def data(self):
        rng = np.random.default_rng(0)
        return tuple([rng.uniform(0.1, 1, shape) for shape in self.shapes] for _ in range(4))

    @staticmethod
    def step(sqrt, parameters, means, squares, gradients):
        found = []
        for p, m, v, g in zip(parameters, means, squares, gradients):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            found.append((p - 1e-3 * (m / 0.1) / (sqrt(v / 0.001) + 1e-8), m, v))
        return found

    def function(self, lib):
        return partial(self.step, lib.np.sqrt)

    def torch(self, torch):
        return torch.compile(partial(self.step, torch.sqrt))


WIDE = "JAX 2.6, 167, 306 ms; torch.compile 1.1, 113, 132 ms; 1.3 times faster than torch.compile"
NARROW = "JAX 0.97, 76, 111 ms; torch.compile 0.62, 61, 69 ms; 1.3 times faster than torch.compile"
ROWS: list[Row] = [
    Chain(size, dtype, is_gradient, issue)
    for dtype, issue in (("float64", WIDE), ("float32", NARROW))
    for size, is_gradient in ((10**5, False), (10**7, False), (10**7, True))
]
ROWS += [Update(False), Update(True), Adam()]
