"""Sequential loops: Lorenz, leapfrog, n-body, Durbin, Cholesky, Gram-Schmidt, cavity flow. By hand in Numba."""

from __future__ import annotations

import numpy as np

from .row import NUMBA, Row


class Lorenz(Row):
    """10,000 steps of Runge and Kutta's method of order four for Lorenz' system."""

    label = "Lorenz, RK4 scan, 1e4 steps"
    steps, h = 10_000, 1e-3
    at_most = 0.08e-6 * steps
    issue = "JAX 5.5 us a step; 0.08 us"

    def data(self):
        return (np.array([1.0, 1.1, 20.0]),)

    def final(self, lib):
        np = lib.np

        def slope(u):
            x, y, z = u
            return np.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])

        def step(u, _):
            h = self.h
            k1 = slope(u)
            k2 = slope(u + 0.5 * h * k1)
            k3 = slope(u + 0.5 * h * k2)
            k4 = slope(u + h * k3)
            return u + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4), None

        return lambda u: lib.lax.scan(step, u, None, length=self.steps)[0]

    def function(self, lib):
        return self.final(lib)

    def numba(self, numba):
        steps, h = self.steps, self.h

        @numba.njit
        def slope(x, y, z):
            return 10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z

        @numba.njit
        def run(u):
            x, y, z = u
            for _ in range(steps):
                a1, b1, c1 = slope(x, y, z)
                a2, b2, c2 = slope(x + 0.5 * h * a1, y + 0.5 * h * b1, z + 0.5 * h * c1)
                a3, b3, c3 = slope(x + 0.5 * h * a2, y + 0.5 * h * b2, z + 0.5 * h * c2)
                a4, b4, c4 = slope(x + h * a3, y + h * b3, z + h * c3)
                x += h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
                y += h / 6.0 * (b1 + 2.0 * b2 + 2.0 * b3 + b4)
                z += h / 6.0 * (c1 + 2.0 * c2 + 2.0 * c3 + c4)
            return np.array([x, y, z])

        return run


class LorenzGradient(Lorenz):
    """How the final state depends on the first."""

    label = "gradient of Lorenz, RK4 scan, 1e4 steps"
    issue = "JAX 5.5 us a step, hand-written adjoint 0.037; 0.08 us"
    rtol = 1e-5  # a chaotic system

    def function(self, lib):
        final = self.final(lib)
        return lib.grad(lambda u: lib.np.sum(final(u) ** 2))

    def numba(self, numba):
        steps, h = self.steps, self.h

        @numba.njit
        def slope(x, y, z):
            return 10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z

        @numba.njit
        def back(x, y, z, a, b, c):
            return -10.0 * a + (28.0 - z) * b + y * c, 10.0 * a - b + x * c, -x * b - 8.0 / 3.0 * c

        @numba.njit
        def gradient(u):
            xs = np.empty((steps, 3))
            x, y, z = u
            for i in range(steps):
                xs[i, 0], xs[i, 1], xs[i, 2] = x, y, z
                a1, b1, c1 = slope(x, y, z)
                a2, b2, c2 = slope(x + 0.5 * h * a1, y + 0.5 * h * b1, z + 0.5 * h * c1)
                a3, b3, c3 = slope(x + 0.5 * h * a2, y + 0.5 * h * b2, z + 0.5 * h * c2)
                a4, b4, c4 = slope(x + h * a3, y + h * b3, z + h * c3)
                x += h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
                y += h / 6.0 * (b1 + 2.0 * b2 + 2.0 * b3 + b4)
                z += h / 6.0 * (c1 + 2.0 * c2 + 2.0 * c3 + c4)
            p, q, r = 2.0 * x, 2.0 * y, 2.0 * z
            for i in range(steps - 1, -1, -1):
                x, y, z = xs[i, 0], xs[i, 1], xs[i, 2]
                a1, b1, c1 = slope(x, y, z)
                x2, y2, z2 = x + 0.5 * h * a1, y + 0.5 * h * b1, z + 0.5 * h * c1
                a2, b2, c2 = slope(x2, y2, z2)
                x3, y3, z3 = x + 0.5 * h * a2, y + 0.5 * h * b2, z + 0.5 * h * c2
                a3, b3, c3 = slope(x3, y3, z3)
                x4, y4, z4 = x + h * a3, y + h * b3, z + h * c3
                s = h / 6.0
                u4, v4, w4 = back(x4, y4, z4, s * p, s * q, s * r)
                u3, v3, w3 = back(x3, y3, z3, 2 * s * p + h * u4, 2 * s * q + h * v4, 2 * s * r + h * w4)
                k = 0.5 * h
                u2, v2, w2 = back(x2, y2, z2, 2 * s * p + k * u3, 2 * s * q + k * v3, 2 * s * r + k * w3)
                u1, v1, w1 = back(x, y, z, s * p + k * u2, s * q + k * v2, s * r + k * w2)
                p, q, r = p + u1 + u2 + u3 + u4, q + v1 + v2 + v3 + v4, r + w1 + w2 + w3 + w4
            return np.array([p, q, r])

        return gradient


class ByHand(Row):
    """A loop that JAX takes 4-22 times as long for as hand-written Numba."""

    peers = (NUMBA,)
    factor = 1.3
    issue = "JAX 4-22 times slower than hand-written Numba; within 1.3 of Numba"


class Leapfrog(ByHand):
    """A star in Henon and Heiles' potential."""

    label = "leapfrog, Henon-Heiles, 1e5 steps"
    steps, h = 100_000, 1e-2
    rtol = 1e-6

    def data(self):
        return np.array([0.0, 0.1]), np.array([0.45, 0.0])

    def function(self, lib):
        np = lib.np
        h = self.h

        def force(q):
            return np.stack([-q[0] - 2.0 * q[0] * q[1], -q[1] - q[0] ** 2 + q[1] ** 2])

        def step(_, state):
            q, p = state
            p = p + 0.5 * h * force(q)
            q = q + h * p
            return q, p + 0.5 * h * force(q)

        return lambda q, p: lib.lax.fori_loop(0, self.steps, step, (q, p))

    def numba(self, numba):
        steps, h = self.steps, self.h

        @numba.njit
        def force(x, y):
            return -x - 2.0 * x * y, -y - x * x + y * y

        @numba.njit
        def run(position, momentum):
            x, y = position
            u, v = momentum
            for _ in range(steps):
                a, b = force(x, y)
                u += 0.5 * h * a
                v += 0.5 * h * b
                x += h * u
                y += h * v
                a, b = force(x, y)
                u += 0.5 * h * a
                v += 0.5 * h * b
            return np.array([x, y]), np.array([u, v])

        return run


class Bodies(ByHand):
    """Gravitation between bodies, symplectic Euler steps."""

    def __init__(self, bodies: int, steps: int):
        self.bodies, self.steps = bodies, steps
        self.label = f"n-body, {bodies} bodies, {steps} steps"

    def data(self):
        rng = np.random.default_rng(0)
        x, v = rng.normal(size=(2, self.bodies, 3))
        return x, 0.1 * v, rng.uniform(0.1, 1.0, self.bodies)

    def function(self, lib):
        np = lib.np

        def acceleration(x, m):
            apart = x[None, :, :] - x[:, None, :]
            distance2 = np.sum(apart**2, axis=2) + 1e-2
            return np.sum(apart * (m / (distance2 * np.sqrt(distance2)))[:, :, None], axis=1)

        def run(x, v, m):
            def step(_, state):
                x, v = state
                v = v + 1e-3 * acceleration(x, m)
                return x + 1e-3 * v, v

            return lib.lax.fori_loop(0, self.steps, step, (x, v))

        return run

    def numba(self, numba):
        steps = self.steps

        @numba.njit(fastmath=True, error_model="numpy")
        def run(x, v, m):
            x, v = x.copy(), v.copy()
            n = len(m)
            for _ in range(steps):
                for i in range(n):
                    a = b = c = 0.0
                    for j in range(n):
                        p, q, r = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
                        d = p * p + q * q + r * r + 1e-2
                        w = m[j] / (d * np.sqrt(d))
                        a += w * p
                        b += w * q
                        c += w * r
                    v[i, 0] += 1e-3 * a
                    v[i, 1] += 1e-3 * b
                    v[i, 2] += 1e-3 * c
                for i in range(n):
                    for k in range(3):
                        x[i, k] += 1e-3 * v[i, k]
            return x, v

        return run


class Durbin(ByHand):
    """Levinson and Durbin's recursion for a Toeplitz system."""

    label = "Durbin, n = 1000"
    size = 1000

    def data(self):
        return (0.5 ** np.arange(1, self.size + 1) + 1e-3 * np.random.default_rng(0).normal(size=self.size),)

    def function(self, lib):
        np, put = lib.np, lib.put

        def durbin(r):
            n = r.shape[0]
            places = np.arange(n)

            def step(k, state):
                y, alpha, beta = state
                beta = beta * (1.0 - alpha**2)
                mirrored = np.where(places < k, y[(k - 1 - places) % n], 0.0)
                alpha = -(r[k] + np.sum(np.where(places < k, r[(k - 1 - places) % n] * y, 0.0))) / beta
                return put(y + alpha * mirrored, k, alpha), alpha, beta

            y = put(np.zeros_like(r), 0, -r[0])
            return lib.lax.fori_loop(1, n, step, (y, -r[0], 1.0))[0]

        return durbin

    def numba(self, numba):
        @numba.njit(fastmath=True, error_model="numpy")
        def durbin(r):
            n = len(r)
            y, z = np.zeros(n), np.zeros(n)
            y[0] = alpha = -r[0]
            beta = 1.0
            for k in range(1, n):
                beta *= 1.0 - alpha * alpha
                total = 0.0
                for i in range(k):
                    total += r[k - i - 1] * y[i]
                alpha = -(r[k] + total) / beta
                for i in range(k):
                    z[i] = y[i] + alpha * y[k - i - 1]
                for i in range(k):
                    y[i] = z[i]
                y[k] = alpha
            return y

        return durbin


class Cholesky(ByHand):
    """Column by column."""

    label = "Cholesky by a loop over columns, n = 200"
    size = 200

    def data(self):
        a = np.random.default_rng(0).normal(size=(self.size, self.size))
        return (a @ a.T + self.size * np.eye(self.size),)

    def function(self, lib):
        np = lib.np

        def cholesky(a):
            n = a.shape[0]
            rows = np.arange(n)

            def step(j, lower):
                column = a[:, j] - lower @ lower[j]
                return lib.put(lower, (slice(None), j), np.where(rows >= j, column / np.sqrt(column[j]), 0.0))

            return lib.lax.fori_loop(0, n, step, np.zeros_like(a))

        return cholesky

    def numba(self, numba):
        @numba.njit(fastmath=True, error_model="numpy")
        def cholesky(a):
            n = len(a)
            lower = np.zeros_like(a)
            for i in range(n):
                for j in range(i + 1):
                    total = a[i, j]
                    for k in range(j):
                        total -= lower[i, k] * lower[j, k]
                    lower[i, j] = np.sqrt(total) if i == j else total / lower[j, j]
            return lower

        return cholesky


class CholeskyByNumbers(ByHand):
    """Number by number, in three loops."""

    label = "Cholesky by three loops over numbers, n = 100"
    size = 100
    data = Cholesky.data
    numba = Cholesky.numba

    def function(self, lib):
        np, loop = lib.np, lib.lax.fori_loop

        def cholesky(a):
            def row(i, lower):
                def entry(j, lower):
                    total = loop(0, j, lambda k, rest: rest - lower[i, k] * lower[j, k], a[i, j])
                    return lib.put(lower, (i, j), np.where(i == j, np.sqrt(total), total / lower[j, j]))

                return loop(0, i + 1, entry, lower)

            return loop(0, a.shape[0], row, np.zeros_like(a))

        return cholesky


class GramSchmidt(ByHand):
    """Modified, column by column."""

    label = "Gram-Schmidt by a loop over columns, 240 x 200"

    def data(self):
        return (np.random.default_rng(0).normal(size=(240, 200)),)

    def function(self, lib):
        np, put = lib.np, lib.put

        def gram_schmidt(a):
            n = a.shape[1]
            columns = np.arange(n)

            def step(k, state):
                a, q, r = state
                column = a[:, k]
                unit = column / np.sqrt(np.sum(column**2))
                row = np.where(columns >= k, unit @ a, 0.0)
                later = np.where(columns > k, row, 0.0)
                return a - unit[:, None] * later, put(q, (slice(None), k), unit), put(r, k, row)

            return lib.lax.fori_loop(0, n, step, (a, np.zeros_like(a), np.zeros((n, n))))[1:]

        return gram_schmidt

    def numba(self, numba):
        @numba.njit(fastmath=True, error_model="numpy")
        def gram_schmidt(a):
            m, n = a.shape
            a = a.copy()
            q, r = np.zeros_like(a), np.zeros((n, n))
            for k in range(n):
                total = 0.0
                for i in range(m):
                    total += a[i, k] * a[i, k]
                r[k, k] = np.sqrt(total)
                for i in range(m):
                    q[i, k] = a[i, k] / r[k, k]
                for i in range(m):
                    for j in range(k + 1, n):
                        r[k, j] += q[i, k] * a[i, j]
                for i in range(m):
                    for j in range(k + 1, n):
                        a[i, j] -= q[i, k] * r[k, j]
            return q, r

        return gram_schmidt


class Cavity(ByHand):
    """Flow in a cavity whose lid moves: finite differences for velocity, iterations for pressure."""

    label = "cavity flow, 64 x 64, 50 steps of 20 iterations"
    size, steps, iterations = 64, 50, 20
    dt, density, viscosity = 1e-3, 1.0, 0.1

    def data(self):
        return tuple(np.zeros((self.size, self.size)) for _ in range(3))

    def function(self, lib):
        np, put = lib.np, lib.put
        d = 2.0 / (self.size - 1)
        dt, density, viscosity = self.dt, self.density, self.viscosity
        inner = (slice(1, -1), slice(1, -1))

        def along(f):
            return (f[1:-1, 2:] - f[1:-1, :-2]) / (2.0 * d)

        def across(f):
            return (f[2:, 1:-1] - f[:-2, 1:-1]) / (2.0 * d)

        def neighbours(f):
            return f[1:-1, 2:] + f[1:-1, :-2] + f[2:, 1:-1] + f[:-2, 1:-1]

        def step(_, state):
            u, v, p = state
            source = density * (
                (along(u) + across(v)) / dt - along(u) ** 2 - 2.0 * across(u) * along(v) - across(v) ** 2
            )

            def relax(_, p):
                p = put(p, inner, 0.25 * (neighbours(p) - d * d * source))
                p = put(p, (slice(None), -1), p[:, -2])
                p = put(p, 0, p[1])
                p = put(p, (slice(None), 0), p[:, 1])
                return put(p, -1, 0.0)

            p = lib.lax.fori_loop(0, self.iterations, relax, p)

            def moved(f, slope):
                here = f[1:-1, 1:-1]
                advected = u[1:-1, 1:-1] * (here - f[1:-1, :-2]) + v[1:-1, 1:-1] * (here - f[:-2, 1:-1])
                diffused = viscosity * (neighbours(f) - 4.0 * here) / (d * d)
                return here + dt * (diffused - advected / d - slope / density)

            wall = np.zeros(self.size)
            new_u, new_v = moved(u, along(p)), moved(v, across(p))
            u = put(put(np.zeros_like(u), inner, new_u), -1, wall + 1.0)
            return u, put(np.zeros_like(v), inner, new_v), p

        return lambda u, v, p: lib.lax.fori_loop(0, self.steps, step, (u, v, p))

    def numba(self, numba):
        d = 2.0 / (self.size - 1)
        steps, iterations = self.steps, self.iterations
        dt, density, viscosity = self.dt, self.density, self.viscosity

        @numba.njit(fastmath=True, error_model="numpy")
        def run(u, v, p):
            n = len(u)
            u, v, p = u.copy(), v.copy(), p.copy()
            new_u, new_v, new_p, source = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
            half = 1.0 / (2.0 * d)
            for _ in range(steps):
                for i in range(1, n - 1):
                    for j in range(1, n - 1):
                        ux, uy = (u[i, j + 1] - u[i, j - 1]) * half, (u[i + 1, j] - u[i - 1, j]) * half
                        vx, vy = (v[i, j + 1] - v[i, j - 1]) * half, (v[i + 1, j] - v[i - 1, j]) * half
                        source[i, j] = d * d * density * ((ux + vy) / dt - ux * ux - 2.0 * uy * vx - vy * vy)
                for _ in range(iterations):
                    for i in range(1, n - 1):
                        for j in range(1, n - 1):
                            around = p[i, j + 1] + p[i, j - 1] + p[i + 1, j] + p[i - 1, j]
                            new_p[i, j] = 0.25 * (around - source[i, j])
                    for i in range(n):
                        new_p[i, n - 1] = new_p[i, n - 2] if 0 < i < n - 1 else p[i, n - 2]
                    for j in range(n):
                        new_p[0, j] = new_p[1, j]
                    for i in range(n):
                        new_p[i, 0] = new_p[i, 1]
                    for j in range(n):
                        new_p[n - 1, j] = 0.0
                    p, new_p = new_p, p
                for i in range(1, n - 1):
                    for j in range(1, n - 1):
                        a, b = u[i, j], v[i, j]
                        around = u[i, j + 1] + u[i, j - 1] + u[i + 1, j] + u[i - 1, j]
                        moved = (a * (a - u[i, j - 1]) + b * (a - u[i - 1, j])) / d
                        slope = (p[i, j + 1] - p[i, j - 1]) * half / density
                        new_u[i, j] = a + dt * (viscosity * (around - 4.0 * a) / (d * d) - moved - slope)
                        around = v[i, j + 1] + v[i, j - 1] + v[i + 1, j] + v[i - 1, j]
                        moved = (a * (b - v[i, j - 1]) + b * (b - v[i - 1, j])) / d
                        slope = (p[i + 1, j] - p[i - 1, j]) * half / density
                        new_v[i, j] = b + dt * (viscosity * (around - 4.0 * b) / (d * d) - moved - slope)
                for j in range(n):
                    new_u[n - 1, j] = 1.0
                u, new_u = new_u, u
                v, new_v = new_v, v
            return u, v, p

        return run


ROWS: list[Row] = [
    Lorenz(), LorenzGradient(), Leapfrog(), Bodies(5, 10_000), Bodies(100, 100), Durbin(), Cholesky(),
    CholeskyByNumbers(), GramSchmidt(), Cavity(),
]  # fmt: skip
