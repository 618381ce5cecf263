"""The gradient of a Gaussian mixture."""

from __future__ import annotations

import numpy as np

from .row import NUMPY, Row


class Mixture(Row):
    """The gradient of the likelihood of a Gaussian mixture with full precision matrices, as factors Q = L D."""

    label = "gradient of a Gaussian mixture"
    peers = (NUMPY,)
    factor = 1.0
    at_most = 23e-3
    issue = "JAX 84, torch.compile 34, by hand in NumPy 23 ms; 23 ms"
    points, components, dimensions = 1000, 50, 32

    def data(self):
        rng = np.random.default_rng(0)
        n, k, d = self.points, self.components, self.dimensions
        lower = 0.1 * np.tril(rng.normal(size=(k, d, d)), -1)
        parameters = rng.normal(size=k), rng.normal(size=(k, d)), 0.1 * rng.normal(size=(k, d)), lower
        return parameters, rng.normal(size=(n, d))

    def function(self, lib):
        np = lib.np

        def likelihood(parameters, x):
            weights, means, log_diagonal, lower = parameters
            factors = np.tril(lower, -1) + np.exp(log_diagonal)[:, :, None] * np.eye(x.shape[1])
            centred = x[:, None, :] - means
            scaled = np.einsum("kij,nkj->nki", factors, centred)
            terms = weights + np.sum(log_diagonal, axis=1) - 0.5 * np.sum(scaled**2, axis=2)
            highest = np.max(terms, axis=1, keepdims=True)
            inner = np.log(np.sum(np.exp(terms - highest), axis=1)) + highest[:, 0]
            return np.sum(inner) - x.shape[0] * np.log(np.sum(np.exp(weights)))

        return lib.grad(likelihood)

    def torch(self, torch):
        def likelihood(weights, means, log_diagonal, lower, x):
            factors = torch.tril(lower, -1) + torch.diag_embed(torch.exp(log_diagonal))
            scaled = torch.einsum("kij,nkj->nki", factors, x[:, None, :] - means)
            terms = weights + torch.sum(log_diagonal, 1) - 0.5 * torch.sum(scaled**2, 2)
            return torch.sum(torch.logsumexp(terms, 1)) - x.shape[0] * torch.logsumexp(weights, 0)

        compiled = torch.compile(likelihood)

        def gradient(parameters, x):
            parameters = [p.detach().requires_grad_() for p in parameters]
            return torch.autograd.grad(compiled(*parameters, x), parameters)

        return gradient

    def numpy(self):
        def gradient(parameters, x):
            weights, means, log_diagonal, lower = parameters
            d = means.shape[1]
            diagonal = np.exp(log_diagonal)
            factors = np.tril(lower, -1)
            factors[:, np.arange(d), np.arange(d)] = diagonal
            centred = x[None] - means[:, None]  # (k, n, d)
            scaled = centred @ factors.transpose(0, 2, 1)
            terms = (weights + log_diagonal.sum(1))[:, None] - 0.5 * np.einsum("knd,knd->kn", scaled, scaled)
            terms -= terms.max(0)
            shares = np.exp(terms, out=terms)
            shares /= shares.sum(0)
            weighted = scaled
            weighted *= -shares[:, :, None]
            d_factors = weighted.transpose(0, 2, 1) @ centred
            d_means = -np.einsum("kni->ki", weighted)[:, None, :] @ factors
            in_component = shares.sum(1)
            prior = np.exp(weights - weights.max())
            d_weights = in_component - len(x) * prior / prior.sum()
            d_diagonal = d_factors[:, np.arange(d), np.arange(d)] * diagonal + in_component[:, None]
            return d_weights, d_means[:, 0], d_diagonal, np.tril(d_factors, -1)

        return gradient


ROWS: list[Row] = [Mixture()]
