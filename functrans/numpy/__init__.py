"""NumPy-named functions over primitives."""

from __future__ import annotations

import numpy as _np

from ..core.primitive import registry as _registry
from ..primitives.families import Elementwise as _Elementwise
from . import protocols as _protocols
from . import reductions as _reductions
from .protocols import apply_function as apply_function
from .protocols import apply_ufunc as apply_ufunc
from .protocols import tracer_attribute as tracer_attribute

for _primitive in list(_registry.values()):
    if isinstance(_primitive, _Elementwise):
        _protocols.register_elementwise(_primitive)
        globals()[_primitive.ufunc.__name__] = _primitive.ufunc

for _module in (_reductions,):
    globals().update(_protocols.register(_module, _np))
