"""The primitives under JAX's names."""


from ..primitives.selection import stop_gradient
from ..primitives.sorting import top_k
from .branches import cond, switch
from .collectives import all_gather, axis_index, axis_size, pmax, pmean, pmin, psum
from .convolution import (
    ConvDimensionNumbers,
    conv,
    conv_dimension_numbers,
    conv_general_dilated,
    conv_transpose,
    conv_with_general_padding,
)
from .implicit import custom_linear_solve, custom_root
from .loops import fori_loop, map, scan, while_loop
from .reductions import associative_scan, cumlogsumexp, cummax, cummin, cumprod, cumsum, reduce
from .slicing import dynamic_slice, dynamic_update_slice

__all__ = [
    "ConvDimensionNumbers", "all_gather", "associative_scan", "axis_index", "axis_size", "cond", "conv",
    "conv_dimension_numbers", "conv_general_dilated", "conv_transpose", "conv_with_general_padding", "cumlogsumexp",
    "cummax", "cummin", "cumprod", "cumsum", "custom_linear_solve", "custom_root", "dynamic_slice",
    "dynamic_update_slice", "fori_loop", "map", "pmax", "pmean", "pmin", "psum", "reduce", "scan", "stop_gradient",
    "switch", "top_k", "while_loop",
]  # fmt: skip
