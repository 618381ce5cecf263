"""SciPy's functions for arrays and traced values, with JAX's names and signatures (`jax.scipy`)."""

from . import linalg, special, stats

__all__ = ["linalg", "special", "stats"]
