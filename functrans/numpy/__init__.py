"""NumPy-named functions over primitives."""

from __future__ import annotations

from typing import Any as _Any

import numpy as _np

from ..core.array import Array as ndarray  # noqa: F401
from ..core.dtypes import bfloat16 as _bfloat16
from ..core.primitive import registry as _registry
from ..primitives.foundation import Elementwise as _Elementwise
from . import assignment as _assignment
from . import averages as _averages
from . import contractions as _contractions
from . import creation as _creation
from . import differences as _differences
from . import einstein as _einstein
from . import elementwise as _elementwise
from . import fft as fft
from . import histograms as _histograms
from . import indexing as _indexing
from . import joining as _joining
from . import linalg as linalg
from . import lines as _lines
from . import manipulation as _manipulation
from . import nan_reductions as _nan_reductions
from . import padding as _padding
from . import polynomials as _polynomials
from . import protocols as _protocols
from . import quantiles as _quantiles
from . import ranges as _ranges
from . import reductions as _reductions
from . import scipy_ufuncs as _scipy_ufuncs  # noqa: F401
from . import sets as _sets
from . import sorting as _sorting
from . import ufunc_methods as _ufunc_methods  # noqa: F401
from . import vectorizing as _vectorizing
from .concatenators import c_ as c_
from .concatenators import r_ as r_
from .protocols import apply_function as apply_function
from .protocols import apply_ufunc as apply_ufunc
from .ranges import mgrid as mgrid
from .ranges import ogrid as ogrid
from .selected import apply_function_to_selected as apply_function_to_selected
from .selected import apply_ufunc_to_selected as apply_ufunc_to_selected
from .selected import attribute_of_selected as attribute_of_selected

for _primitive in list(_registry.values()):
    if isinstance(_primitive, _Elementwise):
        _protocols.register_elementwise(_primitive)

_MODULES = (
    _assignment, _averages, _contractions, _creation, _differences, _einstein, _elementwise, _histograms, _indexing,
    _joining, _lines, _manipulation, _nan_reductions, _padding, _polynomials, _quantiles, _ranges, _reductions, _sets,
    _sorting, _vectorizing,
)  # fmt: skip
for _module in _MODULES:
    globals().update(_protocols.register(_module, _np))
# NumPy's own ufuncs, by all of their names, and its constants and types.
globals().update({_n: _f for _n, _f in vars(_np).items() if isinstance(_f, _np.ufunc) and _f in _protocols.UFUNCS})
globals().update({_n: getattr(_np, _n) for _n in _protocols.CONSTANTS if hasattr(_np, _n)})
_protocols.complete_tracers()


def __getattr__(name: str) -> _Any:
    """`bfloat16`, whose package is imported when it is asked for."""
    if name == "bfloat16":
        return _bfloat16().type
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
