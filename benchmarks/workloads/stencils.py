"""Stencils, and two kernels of an ocean model. Numba by hand, in parallel."""

from __future__ import annotations

import numpy as np

from .row import JAX, NUMBA, TORCH, Row


class Stencil(Row):
    peers = (JAX, TORCH, NUMBA)
    factor = 1.0
    issue = "JAX within 25 % of Numba; no slower than the best"


class Jacobi(Stencil):
    label = "Jacobi, 1000 x 1000, 50 steps"
    size, steps = 1000, 50

    def data(self):
        return (np.random.default_rng(0).normal(size=(self.size, self.size)),)

    def function(self, lib):
        def step(_, a):
            inner = 0.2 * (a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + a[2:, 1:-1] + a[:-2, 1:-1])
            return lib.put(a, (slice(1, -1), slice(1, -1)), inner)

        return lambda a: lib.lax.fori_loop(0, self.steps, step, a)

    def numba(self, numba):
        steps = self.steps

        @numba.njit(parallel=True, fastmath=True)
        def run(a):
            a, b = a.copy(), a.copy()
            n = len(a)
            for _ in range(steps):
                for i in numba.prange(1, n - 1):
                    for j in range(1, n - 1):
                        b[i, j] = 0.2 * (a[i, j] + a[i, j - 1] + a[i, j + 1] + a[i + 1, j] + a[i - 1, j])
                a, b = b, a
            return a

        return run


class Heat(Stencil):
    label = "heat 3D, 120 x 120 x 120, 20 steps"
    size, steps = 120, 20

    def data(self):
        return (np.random.default_rng(0).normal(size=(self.size,) * 3),)

    def function(self, lib):
        inner = (slice(1, -1),) * 3

        def step(_, a):
            here = a[1:-1, 1:-1, 1:-1]
            new = (
                0.125 * (a[2:, 1:-1, 1:-1] - 2.0 * here + a[:-2, 1:-1, 1:-1])
                + 0.125 * (a[1:-1, 2:, 1:-1] - 2.0 * here + a[1:-1, :-2, 1:-1])
                + 0.125 * (a[1:-1, 1:-1, 2:] - 2.0 * here + a[1:-1, 1:-1, :-2])
                + here
            )
            return lib.put(a, inner, new)

        return lambda a: lib.lax.fori_loop(0, self.steps, step, a)

    def numba(self, numba):
        steps = self.steps

        @numba.njit(parallel=True, fastmath=True)
        def run(a):
            a, b = a.copy(), a.copy()
            n = len(a)
            for _ in range(steps):
                for i in numba.prange(1, n - 1):
                    for j in range(1, n - 1):
                        for k in range(1, n - 1):
                            b[i, j, k] = (
                                0.125 * (a[i + 1, j, k] - 2.0 * a[i, j, k] + a[i - 1, j, k])
                                + 0.125 * (a[i, j + 1, k] - 2.0 * a[i, j, k] + a[i, j - 1, k])
                                + 0.125 * (a[i, j, k + 1] - 2.0 * a[i, j, k] + a[i, j, k - 1])
                                + a[i, j, k]
                            )
                a, b = b, a
            return a

        return run


class Fdtd(Stencil):
    """Finite differences in time for Maxwell's equations in two dimensions, on a staggered grid."""

    label = "FDTD 2D, 800 x 900, 30 steps"
    shape, steps = (800, 900), 30

    def data(self):
        rng = np.random.default_rng(0)
        return (*(rng.normal(size=self.shape) for _ in range(3)), np.arange(self.steps, dtype=float))

    def function(self, lib):
        put = lib.put

        def run(ex, ey, hz, source):
            def step(t, fields):
                ex, ey, hz = fields
                ey = put(ey, 0, source[t])
                ey = put(ey, slice(1, None), ey[1:] - 0.5 * (hz[1:] - hz[:-1]))
                ex = put(ex, (slice(None), slice(1, None)), ex[:, 1:] - 0.5 * (hz[:, 1:] - hz[:, :-1]))
                curl = ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1]
                return ex, ey, put(hz, (slice(None, -1), slice(None, -1)), hz[:-1, :-1] - 0.7 * curl)

            return lib.lax.fori_loop(0, self.steps, step, (ex, ey, hz))

        return run

    def numba(self, numba):
        steps = self.steps

        @numba.njit(parallel=True, fastmath=True)
        def run(ex, ey, hz, source):
            ex, ey, hz = ex.copy(), ey.copy(), hz.copy()
            m, n = hz.shape
            for t in range(steps):
                for i in numba.prange(m):
                    for j in range(n):
                        if i == 0:
                            ey[i, j] = source[t]
                        else:
                            ey[i, j] -= 0.5 * (hz[i, j] - hz[i - 1, j])
                    for j in range(1, n):
                        ex[i, j] -= 0.5 * (hz[i, j] - hz[i, j - 1])
                for i in numba.prange(m - 1):
                    for j in range(n - 1):
                        hz[i, j] -= 0.7 * (ex[i, j + 1] - ex[i, j] + ey[i + 1, j] - ey[i, j])
            return ex, ey, hz

        return run


# ---- the ocean


def density(s, t, p, root):
    """Density of sea water by the international equation of state of 1980 (Fofonoff, Millard 1983).

    Salinity in psu, temperature in degrees C, pressure in bar.
    """
    pure = 999.842594 + t * (
        6.793952e-2 + t * (-9.095290e-3 + t * (1.001685e-4 + t * (-1.120083e-6 + t * 6.536332e-9)))
    )
    a = 8.24493e-1 + t * (-4.0899e-3 + t * (7.6438e-5 + t * (-8.2467e-7 + t * 5.3875e-9)))
    b = -5.72466e-3 + t * (1.0227e-4 - t * 1.6546e-6)
    surface = pure + s * (a + b * root + 4.8314e-4 * s)
    k = 19652.21 + t * (148.4206 + t * (-2.327105 + t * (1.360477e-2 - t * 5.155288e-5)))
    k = k + s * (54.6746 + t * (-0.603459 + t * (1.09987e-2 - t * 6.1670e-5)))
    k = k + s * root * (7.944e-2 + t * (1.6483e-2 - t * 5.3009e-4))
    linear = 3.239908 + t * (1.43713e-3 + t * (1.16092e-4 - t * 5.77905e-7))
    linear = linear + s * (2.2838e-3 + t * (-1.0981e-5 - t * 1.6078e-6)) + 1.91075e-4 * s * root
    square = 8.50935e-5 + t * (-6.12293e-6 + t * 5.2787e-8) + s * (-9.9348e-7 + t * (2.0816e-8 + t * 9.1697e-10))
    return surface / (1.0 - p / (k + p * (linear + p * square)))


class State(Stencil):
    label = "ocean: equation of state, 1M cells"
    issue = "JAX 38, torch.compile 27 ms; no slower than the best"

    def data(self):
        rng = np.random.default_rng(0)
        shape = (200, 200, 25)
        depth = np.linspace(0.0, 500.0, 25) + np.zeros(shape)
        return rng.uniform(0.01, 40.0, shape), rng.uniform(-2.0, 30.0, shape), depth

    def function(self, lib):
        return lambda s, t, p: density(s, t, p, lib.np.sqrt(s))

    def torch(self, torch):
        return torch.compile(lambda s, t, p: density(s, t, p, torch.sqrt(s)))

    def numba(self, numba):
        inner = numba.njit(density, fastmath=True)

        @numba.njit(parallel=True, fastmath=True, error_model="numpy")
        def run(s, t, p):
            y = np.empty_like(s)
            for i in numba.prange(s.shape[0]):
                for j in range(s.shape[1]):
                    for k in range(s.shape[2]):
                        y[i, j, k] = inner(s[i, j, k], t[i, j, k], p[i, j, k], np.sqrt(s[i, j, k]))
            return y

        return run


class Mixing(Stencil):
    """Diffusion of a tracer along surfaces of equal density: slopes, tapered where steep, fluxes, divergence."""

    label = "ocean: isoneutral mixing, 1M cells"
    issue = "JAX 246, torch.compile 510 ms; no slower than the best"
    shape = (200, 200, 25)
    steep, width, kappa, tiny = 4e-3, 1e-3, 1000.0, 1e-12

    def data(self):
        rng = np.random.default_rng(0)
        temperature = rng.uniform(0.0, 20.0, self.shape) + np.linspace(10.0, 0.0, self.shape[2])
        salinity = rng.uniform(33.0, 36.0, self.shape)
        mask = (rng.uniform(size=self.shape) > 0.1).astype(float)
        spacing = np.linspace(200.0, 10.0, self.shape[2])
        return temperature, salinity, mask, spacing

    def mixing(self, np, put, t, s, mask, dz):
        dx = dy = 1e4
        alpha, beta = -0.2 - 5e-3 * t, 0.77 + 1e-4 * s

        def east(f):
            return (f[1:] - f[:-1]) / dx

        def north(f):
            return (f[:, 1:] - f[:, :-1]) / dy

        def up(f):
            return (f[:, :, 1:] - f[:, :, :-1]) / dz[:-1]

        def taper(slope):
            return 0.5 * (1.0 + np.tanh((self.steep - np.abs(slope)) / self.width))

        mask_e, mask_n, mask_u = mask[1:] * mask[:-1], mask[:, 1:] * mask[:, :-1], mask[:, :, 1:] * mask[:, :, :-1]
        dt_e, dt_n, dt_u = east(t) * mask_e, north(t) * mask_n, up(t) * mask_u
        ds_e, ds_n, ds_u = east(s) * mask_e, north(s) * mask_n, up(s) * mask_u

        flux_e = flux_n = 0.0
        upward_e = upward_n = 0.0
        for side in (0, 1):  # the cells on either side of a face
            for level in (0, 1):  # the interfaces below and above
                a, b = alpha[side : side + t.shape[0] - 1], beta[side : side + t.shape[0] - 1]
                low = slice(level, level + t.shape[2] - 1)
                du_t, du_s = dt_u[side : side + t.shape[0] - 1], ds_u[side : side + t.shape[0] - 1]
                vertical = np.minimum(a[:, :, low] * du_t + b[:, :, low] * du_s, -self.tiny)
                slope = -(a[:, :, low] * dt_e[:, :, low] + b[:, :, low] * ds_e[:, :, low]) / vertical
                tapered = self.kappa * taper(slope)
                flux_e = flux_e + 0.25 * tapered * (dt_e[:, :, low] + slope * du_t)
                upward_e = upward_e + 0.25 * tapered * slope * (dt_e[:, :, low] + slope * du_t)
                a, b = alpha[:, side : side + t.shape[1] - 1], beta[:, side : side + t.shape[1] - 1]
                du_t, du_s = dt_u[:, side : side + t.shape[1] - 1], ds_u[:, side : side + t.shape[1] - 1]
                vertical = np.minimum(a[:, :, low] * du_t + b[:, :, low] * du_s, -self.tiny)
                slope = -(a[:, :, low] * dt_n[:, :, low] + b[:, :, low] * ds_n[:, :, low]) / vertical
                tapered = self.kappa * taper(slope)
                flux_n = flux_n + 0.25 * tapered * (dt_n[:, :, low] + slope * du_t)
                upward_n = upward_n + 0.25 * tapered * slope * (dt_n[:, :, low] + slope * du_t)
        east_part = (flux_e[1:, 1:-1] - flux_e[:-1, 1:-1]) / dx
        north_part = (flux_n[1:-1, 1:] - flux_n[1:-1, :-1]) / dy
        upward = 0.5 * (upward_e[1:, 1:-1] + upward_e[:-1, 1:-1] + upward_n[1:-1, 1:] + upward_n[1:-1, :-1])
        up_part = (upward[:, :, 1:] - upward[:, :, :-1]) / dz[1:-1]
        inner = (slice(1, -1), slice(1, -1), slice(1, -1))
        change = (east_part + north_part)[:, :, 1:] + up_part
        return put(np.zeros_like(t), inner, change * mask[1:-1, 1:-1, 1:-1])

    def function(self, lib):
        return lambda *arrays: self.mixing(lib.np, lib.put, *arrays)

    def torch(self, torch):
        def put(x, index, value):
            x[index] = value
            return x

        def minimum(x, y):
            return torch.clamp(x, max=y)

        names = type("names", (), {"tanh": torch.tanh, "abs": torch.abs, "minimum": staticmethod(minimum),
                                   "zeros_like": torch.zeros_like})  # fmt: skip
        return torch.compile(lambda *arrays: self.mixing(names, put, *arrays))

    def numba(self, numba):
        steep, width, kappa, tiny = self.steep, self.width, self.kappa, self.tiny
        dx = dy = 1e4

        @numba.njit(fastmath=True, error_model="numpy")
        def triad(t, s, mask, dz, x, y, z, p, q, h, side, level):
            """Fluxes through the face between cells x, y and p, q, of the cell of the side and the level."""
            i, j = (p, q) if side else (x, y)
            k = z + level
            face = mask[x, y, k] * mask[p, q, k] / h
            t_h, s_h = (t[p, q, k] - t[x, y, k]) * face, (s[p, q, k] - s[x, y, k]) * face
            floor = mask[i, j, z] * mask[i, j, z + 1] / dz[z]
            t_z, s_z = (t[i, j, z + 1] - t[i, j, z]) * floor, (s[i, j, z + 1] - s[i, j, z]) * floor
            a, b = -0.2 - 5e-3 * t[i, j, k], 0.77 + 1e-4 * s[i, j, k]
            slope = -(a * t_h + b * s_h) / min(a * t_z + b * s_z, -tiny)
            tapered = kappa * 0.5 * (1.0 + np.tanh((steep - abs(slope)) / width))
            flux = 0.25 * tapered * (t_h + slope * t_z)
            return flux, slope * flux

        @numba.njit(parallel=True, fastmath=True, error_model="numpy")
        def run(t, s, mask, dz):
            nx, ny, nz = t.shape
            flux_e, flux_n = np.zeros_like(t), np.zeros_like(t)
            up_e, up_n = np.zeros_like(t), np.zeros_like(t)
            for index in numba.prange(nx):
                x = np.int64(index)  # an unsigned one would make sums with it floats
                for y in range(ny):
                    for z in range(nz - 1):
                        if x + 1 < nx:
                            for side in range(2):
                                for level in range(2):
                                    f, u = triad(t, s, mask, dz, x, y, z, x + 1, y, dx, side, level)
                                    flux_e[x, y, z] += f
                                    up_e[x, y, z] += u
                        if y + 1 < ny:
                            for side in range(2):
                                for level in range(2):
                                    f, u = triad(t, s, mask, dz, x, y, z, x, y + 1, dy, side, level)
                                    flux_n[x, y, z] += f
                                    up_n[x, y, z] += u
            change = np.zeros_like(t)
            for x in numba.prange(1, nx - 1):
                for y in range(1, ny - 1):
                    below = 0.5 * (up_e[x, y, 0] + up_e[x - 1, y, 0] + up_n[x, y, 0] + up_n[x, y - 1, 0])
                    for z in range(1, nz - 1):
                        here = 0.5 * (up_e[x, y, z] + up_e[x - 1, y, z] + up_n[x, y, z] + up_n[x, y - 1, z])
                        across = (flux_e[x, y, z] - flux_e[x - 1, y, z]) / dx
                        across += (flux_n[x, y, z] - flux_n[x, y - 1, z]) / dy
                        change[x, y, z] = (across + (here - below) / dz[z]) * mask[x, y, z]
                        below = here
            return change

        return run


ROWS: list[Row] = [Jacobi(), Heat(), Fdtd(), State(), Mixing()]
