"""Reductions and what is made of them: softmax, logsumexp, layer norm and its gradient."""

from __future__ import annotations

import numpy as np

from .row import JAX, NUMBA, TORCH, Row


class Sum(Row):
    label = "sum of 1e5"
    peers = (JAX, TORCH, NUMBA)
    factor = 1.0
    rtol = 1e-11
    issue = "JAX 103, torch.compile 62, parallel Numba 7 us; no slower than the best"

    def data(self):
        return (np.random.default_rng(0).normal(size=100_000),)

    def function(self, lib):
        return lambda x: lib.np.sum(x)

    def torch(self, torch):
        return torch.compile(torch.sum)

    def numba(self, numba):
        @numba.njit(parallel=True, fastmath=True)
        def total(x):
            s = 0.0
            for i in numba.prange(x.size):
                s += x[i]
            return s

        return total


class Wide(Row):
    """Something on 2000 x 1000 numbers along an axis. By hand: rows divided among threads; columns, blocks of them."""

    peers = (JAX, TORCH, NUMBA)
    factor = 1.0
    rtol = 1e-11
    name = ""
    today = ""

    def __init__(self, axis: int):
        self.axis = axis
        self.label = f"2000 x 1000: {self.name}, axis {axis}"
        self.issue = f"{self.today}; no slower than the best"

    def data(self):
        return (np.random.default_rng(0).normal(size=(2000, 1000)),)


class Softmax(Wide):
    name = "softmax"
    today = "JAX 3.8, torch.compile 3.5 ms"

    def function(self, lib):
        np = lib.np

        def softmax(x):
            e = np.exp(x - np.max(x, axis=self.axis, keepdims=True))
            return e / np.sum(e, axis=self.axis, keepdims=True)

        return softmax

    def torch(self, torch):
        return torch.compile(lambda x: torch.softmax(x, self.axis))

    def numba(self, numba):
        @numba.njit(parallel=True, fastmath=True, error_model="numpy")
        def rows(x):
            y = np.empty_like(x)
            for i in numba.prange(x.shape[0]):
                highest = -np.inf
                for j in range(x.shape[1]):
                    highest = max(highest, x[i, j])
                total = 0.0
                for j in range(x.shape[1]):
                    e = np.exp(x[i, j] - highest)
                    y[i, j] = e
                    total += e
                for j in range(x.shape[1]):
                    y[i, j] /= total
            return y

        @numba.njit(parallel=True, fastmath=True, error_model="numpy")
        def columns(x):
            y = np.empty_like(x)
            width = 128
            for block in numba.prange((x.shape[1] + width - 1) // width):
                low, high = block * width, min((block + 1) * width, x.shape[1])
                highest = np.full(high - low, -np.inf)
                total = np.zeros(high - low)
                for i in range(x.shape[0]):
                    for j in range(low, high):
                        highest[j - low] = max(highest[j - low], x[i, j])
                for i in range(x.shape[0]):
                    for j in range(low, high):
                        e = np.exp(x[i, j] - highest[j - low])
                        y[i, j] = e
                        total[j - low] += e
                for i in range(x.shape[0]):
                    for j in range(low, high):
                        y[i, j] /= total[j - low]
            return y

        return rows if self.axis == 1 else columns


class LogSumExp(Wide):
    name = "logsumexp"
    today = "JAX 3.3, torch.compile 3.6 ms"

    def function(self, lib):
        np = lib.np

        def logsumexp(x):
            highest = np.max(x, axis=self.axis, keepdims=True)
            return np.log(np.sum(np.exp(x - highest), axis=self.axis)) + np.squeeze(highest, self.axis)

        return logsumexp

    def torch(self, torch):
        return torch.compile(lambda x: torch.logsumexp(x, self.axis))

    def numba(self, numba):
        @numba.njit(parallel=True, fastmath=True)
        def rows(x):
            y = np.empty(x.shape[0])
            for i in numba.prange(x.shape[0]):
                highest = -np.inf
                for j in range(x.shape[1]):
                    highest = max(highest, x[i, j])
                total = 0.0
                for j in range(x.shape[1]):
                    total += np.exp(x[i, j] - highest)
                y[i] = np.log(total) + highest
            return y

        @numba.njit(parallel=True, fastmath=True)
        def columns(x):
            y = np.empty(x.shape[1])
            width = 128
            for block in numba.prange((x.shape[1] + width - 1) // width):
                low, high = block * width, min((block + 1) * width, x.shape[1])
                highest = np.full(high - low, -np.inf)
                total = np.zeros(high - low)
                for i in range(x.shape[0]):
                    for j in range(low, high):
                        highest[j - low] = max(highest[j - low], x[i, j])
                for i in range(x.shape[0]):
                    for j in range(low, high):
                        total[j - low] += np.exp(x[i, j] - highest[j - low])
                y[low:high] = np.log(total) + highest
            return y

        return rows if self.axis == 1 else columns


def layer_norm(np, x, axis):
    """Without weights."""
    centred = x - np.mean(x, axis=axis, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=axis, keepdims=True) + 1e-5)


def torch_layer_norm(torch, x, axis):
    """The same in PyTorch's words."""
    if axis == 1:
        return torch.nn.functional.layer_norm(x, (x.shape[1],))
    centred = x - torch.mean(x, axis, keepdim=True)
    return centred / torch.sqrt(torch.mean(centred**2, axis, keepdim=True) + 1e-5)


class LayerNorm(Wide):
    name = "layer norm"
    today = "JAX 7.0, torch.compile 2.7, parallel Numba 1.6 ms"

    def function(self, lib):
        return lambda x: layer_norm(lib.np, x, self.axis)

    def torch(self, torch):
        return torch.compile(lambda x: torch_layer_norm(torch, x, self.axis))

    def numba(self, numba):
        @numba.njit(parallel=True, fastmath=True)
        def rows(x):
            y = np.empty_like(x)
            m, n = x.shape
            for i in numba.prange(m):
                mean = 0.0
                for j in range(n):
                    mean += x[i, j]
                mean /= n
                variance = 0.0
                for j in range(n):
                    variance += (x[i, j] - mean) ** 2
                scale = 1.0 / np.sqrt(variance / n + 1e-5)
                for j in range(n):
                    y[i, j] = (x[i, j] - mean) * scale
            return y

        @numba.njit(parallel=True, fastmath=True)
        def columns(x):
            y = np.empty_like(x)
            m, n = x.shape
            width = 128
            for block in numba.prange((n + width - 1) // width):
                low, high = block * width, min((block + 1) * width, n)
                mean = np.zeros(high - low)
                scale = np.zeros(high - low)
                for i in range(m):
                    for j in range(low, high):
                        mean[j - low] += x[i, j]
                mean /= m
                for i in range(m):
                    for j in range(low, high):
                        scale[j - low] += (x[i, j] - mean[j - low]) ** 2
                scale = 1.0 / np.sqrt(scale / m + 1e-5)
                for i in range(m):
                    for j in range(low, high):
                        y[i, j] = (x[i, j] - mean[j - low]) * scale[j - low]
            return y

        return rows if self.axis == 1 else columns


class LayerNormGradient(Wide):
    name = "gradient of layer norm"
    today = "JAX 11.7, torch.compile 4.2 ms"
    peers = (JAX, TORCH)

    def data(self):
        rng = np.random.default_rng(0)
        return rng.normal(size=(2000, 1000)), rng.normal(size=(2000, 1000))

    def function(self, lib):
        return lib.grad(lambda x, w: lib.np.sum(layer_norm(lib.np, x, self.axis) * w))

    def torch(self, torch):
        loss = torch.compile(lambda x, w: torch.sum(torch_layer_norm(torch, x, self.axis) * w))

        def gradient(x, w):
            x = x.detach().requires_grad_()
            return torch.autograd.grad(loss(x, w), x)

        return gradient


ROWS: list[Row] = [
    Sum(), *(kind(axis) for kind in (Softmax, LogSumExp, LayerNorm, LayerNormGradient) for axis in (1, 0))
]  # fmt: skip
