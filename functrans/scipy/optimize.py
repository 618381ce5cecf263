"""functrans.optimize under SciPy's name: minima, roots and fixed points that differentiate."""

from ..optimize import OptimizeResult, fixed_point, minimize, root

OptimizeResults = OptimizeResult  # JAX's name

__all__ = ["OptimizeResult", "OptimizeResults", "fixed_point", "minimize", "root"]
