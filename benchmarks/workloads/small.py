"""Calls that take microseconds: tiny functions, pytrees, small arrays."""

from __future__ import annotations

import numpy as np

from .row import NUMBA, Row


class TinyCall(Row):
    label = "call of a tiny function"
    at_most = 1e-6
    issue = "JAX 10 us, Numba 2.6 us; 1 us"

    def data(self):
        return (np.linspace(0.0, 1.0, 3),)

    def function(self, lib):
        return lambda x: lib.np.sin(x) * 2.0 + 1.0

    def numba(self, numba):
        return numba.njit(lambda x: np.sin(x) * 2.0 + 1.0)


class Pairs(Row):
    label = "call with a pytree of 50 leaves: pairs"
    at_most = 8e-6
    issue = "JAX 38 us; 8 us"

    def data(self):
        return ([(np.full(3, float(i)), np.full(2, 1.0)) for i in range(25)],)

    def function(self, lib):
        return lambda layers: [(w * 2.0, b + 1.0) for w, b in layers]


class Flat(Pairs):
    label = "call with a pytree of 50 leaves: list, one result"

    def data(self):
        return ([np.full(3, float(i)) for i in range(50)],)

    def function(self, lib):
        return lambda arrays: arrays[0] + 2.0 * arrays[-1]


class Names(Pairs):
    label = "call with a pytree of 50 leaves: dict"

    def data(self):
        return ({f"layer {i}": layer for i, layer in enumerate(super().data()[0])},)

    def function(self, lib):
        return lambda layers: {name: (w * 2.0, b + 1.0) for name, (w, b) in layers.items()}


class Small(Row):
    """Something on 64 x 100 numbers."""

    peers = (NUMBA,)
    factor = 1.0
    issue = "JAX and torch.compile 35-80 us, Numba 5-40 us; no slower than Numba"

    def data(self):
        return (np.random.default_rng(0).normal(size=(64, 100)),)


class SmallLayerNorm(Small):
    label = "64 x 100: layer norm"

    def function(self, lib):
        np = lib.np

        def layer_norm(x):
            mean = np.mean(x, axis=1, keepdims=True)
            variance = np.var(x, axis=1, keepdims=True)
            return (x - mean) / np.sqrt(variance + 1e-5)

        return layer_norm

    def torch(self, torch):
        return torch.compile(lambda x: torch.nn.functional.layer_norm(x, (x.shape[1],)))

    def numba(self, numba):
        @numba.njit(fastmath=True, error_model="numpy")
        def layer_norm(x):
            y = np.empty_like(x)
            rows, columns = x.shape
            for i in range(rows):
                mean = 0.0
                for j in range(columns):
                    mean += x[i, j]
                mean /= columns
                variance = 0.0
                for j in range(columns):
                    variance += (x[i, j] - mean) ** 2
                scale = 1.0 / np.sqrt(variance / columns + 1e-5)
                for j in range(columns):
                    y[i, j] = (x[i, j] - mean) * scale
            return y

        return layer_norm


class SmallSoftmax(Small):
    label = "64 x 100: softmax"

    def function(self, lib):
        np = lib.np

        def softmax(x):
            e = np.exp(x - np.max(x, axis=1, keepdims=True))
            return e / np.sum(e, axis=1, keepdims=True)

        return softmax

    def torch(self, torch):
        return torch.compile(lambda x: torch.softmax(x, 1))

    def numba(self, numba):
        @numba.njit(fastmath=True, error_model="numpy")
        def softmax(x):
            y = np.empty_like(x)
            rows, columns = x.shape
            for i in range(rows):
                highest = x[i, 0]
                for j in range(1, columns):
                    highest = max(highest, x[i, j])
                total = 0.0
                for j in range(columns):
                    y[i, j] = np.exp(x[i, j] - highest)
                    total += y[i, j]
                for j in range(columns):
                    y[i, j] /= total
            return y

        return softmax


class SmallSum(Small):
    def __init__(self, axis):
        self.axis = axis
        self.label = f"64 x 100: sum along axis {axis}" if axis is not None else "64 x 100: sum"

    def function(self, lib):
        return lambda x: lib.np.sum(x, axis=self.axis)

    def torch(self, torch):
        return torch.compile(lambda x: torch.sum(x, dim=self.axis))

    def numba(self, numba):
        @numba.njit(fastmath=True)
        def total(x):
            s = 0.0
            for i in range(x.shape[0]):
                for j in range(x.shape[1]):
                    s += x[i, j]
            return s

        @numba.njit(fastmath=True)
        def down(x):
            s = np.zeros(x.shape[1])
            for i in range(x.shape[0]):
                for j in range(x.shape[1]):
                    s[j] += x[i, j]
            return s

        @numba.njit(fastmath=True)
        def along(x):
            s = np.empty(x.shape[0])
            for i in range(x.shape[0]):
                t = 0.0
                for j in range(x.shape[1]):
                    t += x[i, j]
                s[i] = t
            return s

        return {None: total, 0: down, 1: along}[self.axis]


ROWS: list[Row] = [
    TinyCall(), Pairs(), Flat(), Names(), SmallLayerNorm(), SmallSoftmax(), SmallSum(None), SmallSum(0), SmallSum(1)
]  # fmt: skip
