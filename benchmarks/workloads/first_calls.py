"""First calls: tracing, compiling and running once; and again at a second shape."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np

from .networks import loss_of_perceptron
from .row import FIRST, JAX, Row


class First(Row):
    """A first call, and the first at a second shape."""

    kind = FIRST
    second = 5e-3

    def __init__(self, label: str, at_most: float, issue: str):
        self.label, self.at_most, self.issue = label, at_most, issue

    def at_second_shape(self) -> Row:
        """The row of the second shape."""
        other = copy.copy(self)
        other.label, other.at_most, other.issue = f"{self.label}: second shape", self.second, "JAX the same again; 5 ms"
        return other

    def other_data(self) -> tuple[Any, ...]:
        """Arguments of another shape."""
        raise NotImplementedError


class WarmUp(First):
    """What is compiled first in every process."""

    def data(self):
        return (np.linspace(0.0, 1.0, 5),)

    other_data = data

    def function(self, lib):
        return lambda x: lib.np.cos(x) + x

    def torch(self, torch):
        return torch.compile(lambda x: torch.cos(x) + x)


class Tiny(First):
    """Two operations."""

    def data(self):
        return (np.linspace(0.0, 1.0, 10),)

    def other_data(self):
        return (np.linspace(0.0, 1.0, 20),)

    def function(self, lib):
        return lambda x: lib.np.sin(x) * 2.0 + 1.0

    def torch(self, torch):
        return torch.compile(lambda x: torch.sin(x) * 2.0 + 1.0)


class Fifty(Tiny):
    """Fifty operations in a row."""

    def function(self, lib):
        return partial(self._chain, lib.np)

    def torch(self, torch):
        return torch.compile(partial(self._chain, torch))

    @staticmethod
    def _chain(np, x):
        for i in range(10):
            x = np.tanh(x * (1.0 + 0.01 * i) + 0.5) * np.cos(x) + x
        return x


class Gradient(First):
    """The gradient of the loss of a perceptron with three layers."""

    widths = (10, 32, 32, 1)

    def data(self):
        return self._data(64)

    def other_data(self):
        return self._data(48)

    def _data(self, batch):
        rng = np.random.default_rng(0)
        layers = [
            (rng.normal(size=(m, n)) / np.sqrt(m), np.zeros(n)) for m, n in zip(self.widths[:-1], self.widths[1:])
        ]
        return layers, rng.normal(size=(batch, self.widths[0])), rng.normal(size=(batch, self.widths[-1]))

    loss = staticmethod(loss_of_perceptron)

    def function(self, lib):
        return lib.grad(partial(self.loss, lib.np))

    def torch(self, torch):
        loss = torch.compile(partial(self.loss, torch))

        def gradient(layers, x, y):
            flat = [p.detach().requires_grad_() for layer in layers for p in layer]
            return torch.autograd.grad(loss(list(zip(flat[::2], flat[1::2])), x, y), flat)

        return gradient


class Hessian(Gradient):
    """Its Hessian."""

    widths = (5, 8, 8, 1)

    def function(self, lib):
        return lib.hessian(partial(self.loss, lib.np))

    torch = None


class UnrolledLstm(First):
    """The gradient of a long short-term memory, 50 steps written out by Python's own loop."""

    steps = 50
    second = 3.0
    skip = (JAX,)  # takes minutes

    def data(self):
        return self._data(8)

    def other_data(self):
        return self._data(9)

    def _data(self, batch):
        rng = np.random.default_rng(0)
        inputs, units = 8, 16
        weights = (
            rng.normal(size=(inputs, 4 * units)) / np.sqrt(inputs),
            rng.normal(size=(units, 4 * units)) / np.sqrt(units),
            np.zeros(4 * units),
        )
        return weights, rng.normal(size=(self.steps, batch, inputs))

    def function(self, lib):
        np = lib.np

        def sigmoid(x):
            return 1.0 / (1.0 + np.exp(-x))

        def loss(weights, xs):
            w, u, b = weights
            units = u.shape[0]
            h = c = np.zeros((xs.shape[1], units))
            for t in range(self.steps):
                gates = xs[t] @ w + h @ u + b
                i, f, g, o = (gates[:, k * units : (k + 1) * units] for k in range(4))
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            return np.sum(h**2)

        return lib.grad(loss)


ROWS: list[Row] = [
    WarmUp("warm-up", 1.0, ""),
    Tiny("first call: tiny function", 12e-3, "JAX 48 ms, torch.compile 1.3 s and more; 12 ms"),
    Fifty("first call: 50 operations", 30e-3, "JAX 107 ms; 30 ms"),
    Gradient("first call: gradient of a 3-layer MLP", 60e-3, "JAX 320 ms; 60 ms"),
    Hessian("first call: its Hessian", 200e-3, "JAX 930 ms; 200 ms"),
    UnrolledLstm("first call: gradient of an unrolled LSTM", 3.0, "JAX over 100 s; 3 s"),
]
