"""A pytree of arrays as one vector, and back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from . import numpy as fnp
from . import tree
from .api.arguments import hides_internals, input_leaf
from .core.dtypes import result_type
from .core.trace import typeof
from .errors import DtypeMismatchError, ShapeMismatchError


@hides_internals
def ravel_pytree(pytree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """All elements of a pytree of arrays in one vector, and the function that makes such a pytree of such a vector.

    Args:
        pytree: of arrays and scalars; both count as arrays.

    Returns:
        The vector, of the dtype that the leaves promote to, and `unravel`. If all leaves have one dtype, what `unravel`
        returns has the dtype of its argument; otherwise each leaf gets back its own, and the argument must have the
        dtype of the vector. Integers beyond 2**53 that meet floats are rounded.

    Raises:
        UnsupportedDtypeError: a leaf is no array. ShapeMismatchError, DtypeMismatchError: by `unravel`.

    Example:
        >>> import numpy as np
        >>> from functrans.flatten_util import ravel_pytree
        >>> vector, unravel = ravel_pytree({"w": np.ones((2, 2)), "b": 3.0})
        >>> vector
        array([3., 1., 1., 1., 1.])
        >>> unravel(2 * vector)["w"]
        array([[2., 2.],
               [2., 2.]])
    """
    leaves, treedef = tree.flatten(pytree)
    leaves = [input_leaf(leaf) for leaf in leaves]
    avals = [typeof(leaf) for leaf in leaves]
    dtypes = [aval.dtype for aval in avals]
    dtype = result_type(*dtypes) if dtypes else np.dtype(float)
    parts = [fnp.astype(fnp.ravel(fnp.asarray(leaf)), dtype) for leaf in leaves]
    vector = fnp.concatenate(parts) if parts else fnp.zeros(0)
    ends = list(accumulate((aval.size for aval in avals), initial=0))

    @hides_internals
    def unravel(vector: Any) -> Any:
        aval = typeof(vector)
        if aval.shape != (ends[-1],):
            raise ShapeMismatchError(
                f"A vector of shape {aval.shape} was to become a pytree with {ends[-1]} elements.",
                "`unravel` is for vectors like the one that ravel_pytree returned with it.",
                f"Pass a vector of shape ({ends[-1]},).",
            )
        if len(set(dtypes)) > 1 and aval.dtype != dtype:
            raise DtypeMismatchError(
                f"A vector of dtype {aval.dtype} was to become a pytree of several dtypes.",
                f"They were put together in a vector of dtype {dtype}.",
                f"Convert it with `.astype('{dtype.name}')`.",
            )
        pieces = [vector[start:end].copy() for start, end in pairwise(ends)]  # no views of the caller's vector
        restored = [fnp.reshape(piece, a.shape) for piece, a in zip(pieces, avals)]
        if len(set(dtypes)) > 1:
            restored = [_converted(x, a.dtype) for x, a in zip(restored, avals)]
        return treedef.unflatten(restored)

    return vector, unravel


def _converted(x: Any, dtype: np.dtype[Any]) -> Any:
    x = x if dtype.kind == "c" or typeof(x).dtype.kind != "c" else fnp.real(x)
    return fnp.astype(x, dtype)
