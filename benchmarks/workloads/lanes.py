"""Batched loops, `vmap` of a function with a loop in it: differential equations, filters, Newton's iteration."""

from __future__ import annotations

import numpy as np

from .loops import Lorenz
from .row import JAX, NUMBA, Row


class Batched(Row):
    """What a batch of loops takes should be what a loop over the batch takes."""

    peers = (JAX, NUMBA)
    factor = 1.0
    issue = "no slower than the best"


class LorenzLanes(Batched):
    """Many starting points of Lorenz' system."""

    rtol = 1e-5  # a chaotic system

    def __init__(self, lanes: int, steps: int):
        self.lanes, self.steps, self.h = lanes, steps, 1e-3
        self.label = f"vmap of Lorenz, RK4 scan, {lanes} lanes, {steps} steps"

    def data(self):
        return (np.random.default_rng(0).normal(size=(self.lanes, 3)) + np.array([1.0, 1.1, 20.0]),)

    def final(self, lib):
        return lib.vmap(Lorenz.final(self, lib))

    def function(self, lib):
        return self.final(lib)

    def numba(self, numba):
        one = Lorenz.numba(self, numba)

        @numba.njit(parallel=True)
        def run(u):
            found = np.empty_like(u)
            for lane in numba.prange(len(u)):
                found[lane] = one(u[lane])
            return found

        return run


class LorenzLanesGradient(LorenzLanes):
    """How the final states depend on the first ones."""

    peers = (JAX,)
    numba = None

    def __init__(self, lanes: int, steps: int):
        super().__init__(lanes, steps)
        self.label = f"gradient of {self.label}"

    def function(self, lib):
        final = self.final(lib)
        return lib.grad(lambda u: lib.np.sum(final(u) ** 2))


class Filters(Batched):
    """A recursive filter of order two, row by row."""

    label = "vmap of a recursive filter (scan), 1000 rows of 1000"

    def data(self):
        return (np.random.default_rng(0).normal(size=(1000, 1000)),)

    def function(self, lib):
        def step(state, x):
            y = 0.2 * x + state[0]
            return (0.3 * x - 0.5 * y + state[1], 0.1 * x - 0.2 * y), y

        return lib.vmap(lambda row: lib.lax.scan(step, (0.0, 0.0), row)[1])

    def numba(self, numba):
        @numba.njit(parallel=True)
        def filtered(rows):
            found = np.empty_like(rows)
            for i in numba.prange(len(rows)):
                a = b = 0.0
                for k in range(rows.shape[1]):
                    x = rows[i, k]
                    y = 0.2 * x + a
                    a, b = 0.3 * x - 0.5 * y + b, 0.1 * x - 0.2 * y
                    found[i, k] = y
            return found

        return filtered


class Newton(Batched):
    """Kepler's equation for many anomalies: each stops when it is exact enough."""

    label = "vmap of Newton's iteration (while_loop), 1e5 lanes"

    def data(self):
        rng = np.random.default_rng(0)
        return rng.uniform(0.0, 6.0, 100_000), rng.uniform(0.0, 0.9, 100_000)

    def function(self, lib):
        np = lib.np

        def eccentric(mean, e):
            def error(x):
                return x - e * np.sin(x) - mean

            def step(x):
                return x - error(x) / (1.0 - e * np.cos(x))

            return lib.lax.while_loop(lambda x: abs(error(x)) > 1e-12, step, mean)

        return lib.vmap(eccentric)

    def numba(self, numba):
        @numba.njit(parallel=True)
        def run(means, es):
            found = np.empty_like(means)
            for i in numba.prange(len(means)):
                x = mean = means[i]
                e = es[i]
                while abs(x - e * np.sin(x) - mean) > 1e-12:
                    x -= (x - e * np.sin(x) - mean) / (1.0 - e * np.cos(x))
                found[i] = x
            return found

        return run


ROWS = [
    LorenzLanes(1000, 1000), LorenzLanesGradient(1000, 1000), LorenzLanes(100_000, 100),
    LorenzLanesGradient(100_000, 100), Filters(), Newton(),
]  # fmt: skip
