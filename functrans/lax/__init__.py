"""The primitives under JAX's names."""


from ..primitives.selection import stop_gradient
from ..primitives.sorting import top_k
from .collectives import all_gather, axis_index, axis_size, pmax, pmean, pmin, psum
from .convolution import (
    ConvDimensionNumbers,
    conv,
    conv_dimension_numbers,
    conv_general_dilated,
    conv_transpose,
    conv_with_general_padding,
)
from .slicing import dynamic_slice, dynamic_update_slice

__all__ = [
    "ConvDimensionNumbers", "all_gather", "axis_index", "axis_size", "conv", "conv_dimension_numbers",
    "conv_general_dilated", "conv_transpose", "conv_with_general_padding", "dynamic_slice", "dynamic_update_slice",
    "pmax", "pmean", "pmin", "psum", "stop_gradient", "top_k",
]  # fmt: skip
