"""Selected: `x[mask]` where the elements of the mask are not known, nor therefore how many they select."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..errors import TracedMaskError
from .avals import ShapedArray
from .trace import Uncounted, operators, typeof
from .tracer import numpy_namespace


class Selected(Uncounted, NDArrayOperatorsMixin):
    """The elements of a traced array that a mask selects, whatever their number: an array without a known shape.

    It stands for a copy, as `x[mask]` does in NumPy. Elementwise functions are applied to all elements, whether
    selected or not; reductions, and assignments by a mask, take those that are selected.

    Attributes:
        array: the elements, all of them, along the first axis.
        mask: which of them are selected.
        key: the mask as it was given, with its own shape.
        is_position: whether each element is its own place along an axis of the mask, as np.nonzero has them.
    """

    __slots__ = ("array", "is_position", "key", "mask")

    def __init__(self, array: Any, mask: Any, key: Any, is_position: bool = False):
        self.array, self.mask, self.key, self.is_position = array, mask, key, is_position

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def size(self) -> Any:
        """How many elements there are: a traced integer."""
        return operators.selected_size(self)

    def __repr__(self) -> str:
        return f"Selected({typeof(self.array)}, by {self.key.aval})"

    # ---- NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return numpy_namespace().apply_ufunc_to_selected(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return numpy_namespace().apply_function_to_selected(function, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """The methods of ndarray: `x[mask].sum()` is `np.sum(x[mask])`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return numpy_namespace().attribute_of_selected(self, name)

    def __getitem__(self, index: Any) -> Any:
        return operators.selected_getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.array = operators.selected_setitem(self, index, value)
        self.is_position = False

    # ---- what needs their number

    def uncounted(self, *_: Any, **__: Any) -> NoReturn:
        """Raise TracedMaskError: the number of elements would be needed."""
        raise TracedMaskError(
            f"The elements that a mask of type {self.key.aval} selects were used where their number must be known.",
            "The elements of the mask are not known while tracing, so their number is not, and shapes are fixed.",
            "Elementwise functions, reductions (np.sum, np.mean, np.max ...) and `y[mask] = ...` work without it; for "
            "others use functrans.numpy.where(mask, x, other), or functrans.numpy.nonzero(mask, size=n).",
        )

    @property
    def aval(self) -> ShapedArray:
        self.uncounted()

    @property
    def shape(self) -> tuple[int, ...]:
        self.uncounted()

    __len__ = __iter__ = __bool__ = __int__ = __float__ = __complex__ = __index__ = uncounted
    __array__ = __format__ = uncounted


class Positions(tuple[Selected, ...]):
    """`np.nonzero(mask)`: for each axis the positions of selected elements. As an index they are the mask."""

    __slots__ = ()
