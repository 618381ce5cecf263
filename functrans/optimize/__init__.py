"""Minima, roots and fixed points, with derivatives of where they lie."""

from .minimize import minimize
from .result import OptimizeResult
from .root import fixed_point, root

__all__ = ["OptimizeResult", "fixed_point", "minimize", "root"]
