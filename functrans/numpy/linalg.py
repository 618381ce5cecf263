"""functrans.numpy.linalg: NumPy's own functions, which come back to ours on traced arrays."""

from __future__ import annotations

import numpy as _np
from numpy.linalg import LinAlgError as LinAlgError

from . import decompositions as _decompositions
from . import equations as _equations
from . import matrix_products as _matrix_products
from . import norms as _norms
from .protocols import register as _register

for _module in (_matrix_products, _decompositions, _equations, _norms):
    globals().update(_register(_module, _np.linalg))
