"""SciPy's functions for arrays and traced values, with JAX's names and signatures (`jax.scipy`)."""

from . import fft, integrate, interpolate, linalg, ndimage, optimize, signal, sparse, special, stats

__all__ = ["fft", "integrate", "interpolate", "linalg", "ndimage", "optimize", "signal", "sparse", "special", "stats"]
