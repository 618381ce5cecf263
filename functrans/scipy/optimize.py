"""functrans.optimize under SciPy's name: minima, roots and fixed points that differentiate."""

from ..core.libraries import absent_from
from ..optimize import OptimizeResult, fixed_point, minimize, root

OptimizeResults = OptimizeResult  # JAX's name

__getattr__ = absent_from(__name__)

__all__ = ["OptimizeResult", "OptimizeResults", "fixed_point", "minimize", "root"]
