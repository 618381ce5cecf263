"""The array primitives, one family or topic a file; importing this package defines all of them."""

from . import (
    collectives,
    complex,
    contractions,
    convolution,
    cumulative,
    determinants,
    dynamic_slice,
    elementwise,
    fft,
    foundation,
    incomplete,
    indexing,
    linalg,
    names,
    permutations,
    powers,
    python_numbers,
    random,
    random_gamma,
    reductions,
    roots,
    selection,
    sorting,
    special,
    spectral,
    structural,
    subscripts,
    zeta,
)

__all__ = [
    "collectives", "complex", "contractions", "convolution", "cumulative", "determinants", "dynamic_slice",
    "elementwise", "fft", "foundation", "incomplete", "indexing", "linalg", "names", "permutations", "powers",
    "python_numbers", "random", "random_gamma", "reductions", "roots", "selection", "sorting", "special", "spectral",
    "structural", "subscripts", "zeta",
]  # fmt: skip
