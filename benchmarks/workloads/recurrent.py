"""Gradients of recurrent networks as scans, beside gradients written by hand."""

from __future__ import annotations

import numpy as np

from .row import NUMBA, NUMPY, Row


def sigmoid(np, x):
    return 1.0 / (1.0 + np.exp(-x))


class Lstm(Row):
    """A long short-term memory: 64 steps, a batch of 16, 32 inputs, 64 units."""

    label = "gradient of an LSTM (scan)"
    peers = (NUMPY,)
    factor = 1.2
    issue = "JAX 11.2, by hand 3.0 ms; within 1.2 of hand-written"
    steps, batch, inputs, units = 64, 16, 32, 64

    def data(self):
        rng = np.random.default_rng(0)
        weights = (
            rng.normal(size=(self.inputs, 4 * self.units)) / np.sqrt(self.inputs),
            rng.normal(size=(self.units, 4 * self.units)) / np.sqrt(self.units),
            0.1 * rng.normal(size=4 * self.units),
        )
        return weights, rng.normal(size=(self.steps, self.batch, self.inputs))

    def function(self, lib):
        np = lib.np
        units = self.units

        def loss(weights, xs):
            w, u, b = weights

            def step(state, x):
                h, c = state
                gates = x @ w + h @ u + b
                i, f, g, o = (gates[:, k * units : (k + 1) * units] for k in range(4))
                c = sigmoid(np, f) * c + sigmoid(np, i) * np.tanh(g)
                h = sigmoid(np, o) * np.tanh(c)
                return (h, c), h

            zero = np.zeros((xs.shape[1], units))
            _, hs = lib.lax.scan(step, (zero, zero), xs)
            return np.sum(hs**2)

        return lib.grad(loss)

    def numpy(self):
        n = self.units

        def gradient(weights, xs):
            w, u, b = weights
            steps, batch, _ = xs.shape
            inner = (xs.reshape(steps * batch, -1) @ w + b).reshape(steps, batch, 4 * n)
            gates = np.empty((steps, batch, 4 * n))
            cs, hs = np.zeros((steps + 1, batch, n)), np.zeros((steps + 1, batch, n))
            tanhs = np.empty((steps, batch, n))
            for t in range(steps):
                a = inner[t] + hs[t] @ u
                s = 1.0 / (1.0 + np.exp(-a))
                s[:, 2 * n : 3 * n] = np.tanh(a[:, 2 * n : 3 * n])
                gates[t] = s
                cs[t + 1] = s[:, n : 2 * n] * cs[t] + s[:, :n] * s[:, 2 * n : 3 * n]
                tanhs[t] = np.tanh(cs[t + 1])
                hs[t + 1] = s[:, 3 * n :] * tanhs[t]
            d_gates = np.empty_like(gates)
            dh, dc = np.zeros((batch, n)), np.zeros((batch, n))
            for t in range(steps - 1, -1, -1):
                i, f, g, o = (gates[t][:, k * n : (k + 1) * n] for k in range(4))
                dh = dh + 2.0 * hs[t + 1]
                dc = dc + dh * o * (1.0 - tanhs[t] ** 2)
                d = d_gates[t]
                d[:, :n] = dc * g * i * (1.0 - i)
                d[:, n : 2 * n] = dc * cs[t] * f * (1.0 - f)
                d[:, 2 * n : 3 * n] = dc * i * (1.0 - g**2)
                d[:, 3 * n :] = dh * tanhs[t] * o * (1.0 - o)
                dc = dc * f
                dh = d @ u.T
            flat = d_gates.reshape(steps * batch, 4 * n)
            return xs.reshape(steps * batch, -1).T @ flat, hs[:-1].reshape(steps * batch, n).T @ flat, flat.sum(0)

        return gradient


class Rnn(Row):
    """A recurrent network of 16 units, 1000 steps, no batch."""

    label = "gradient of an RNN of 16 units (scan), 1000 steps"
    peers = (NUMBA,)
    factor = 1.2
    issue = "JAX 2.8 us a step, by hand 0.86 us; within 1.2 of hand-written"
    steps, units = 1000, 16

    def data(self):
        rng = np.random.default_rng(0)
        n = self.units
        weights = (rng.normal(size=(n, n)) / np.sqrt(n), rng.normal(size=(n, n)) / np.sqrt(n))
        return weights, rng.normal(size=(self.steps, n))

    def function(self, lib):
        np = lib.np

        def loss(weights, xs):
            w, u = weights

            def step(h, x):
                h = np.tanh(w @ h + u @ x)
                return h, h

            _, hs = lib.lax.scan(step, np.zeros(self.units), xs)
            return np.sum(hs**2)

        return lib.grad(loss)

    def numba(self, numba):
        @numba.njit(fastmath=True)
        def gradient(weights, xs):
            w, u = weights
            steps, n = xs.shape
            hs = np.zeros((steps + 1, n))
            for t in range(steps):
                for i in range(n):
                    a = 0.0
                    for j in range(n):
                        a += w[i, j] * hs[t, j] + u[i, j] * xs[t, j]
                    hs[t + 1, i] = np.tanh(a)
            d_w, d_u = np.zeros((n, n)), np.zeros((n, n))
            dh, da = np.zeros(n), np.empty(n)
            for t in range(steps - 1, -1, -1):
                for i in range(n):
                    h = hs[t + 1, i]
                    da[i] = (dh[i] + 2.0 * h) * (1.0 - h * h)
                    dh[i] = 0.0
                for i in range(n):
                    for j in range(n):
                        d_w[i, j] += da[i] * hs[t, j]
                        d_u[i, j] += da[i] * xs[t, j]
                        dh[j] += da[i] * w[i, j]
            return d_w, d_u

        return gradient


ROWS: list[Row] = [Lstm(), Rnn()]
