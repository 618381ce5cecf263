"""Array: one type for annotations and checks, whatever library an array is of."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from .devices import is_device_type, is_on_device
from .trace import Traced


class _ArrayType(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, (np.ndarray, np.generic, Traced)) or is_on_device(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, (np.ndarray, np.generic, Traced)) or cls is subclass or is_device_type(subclass)


class Array(metaclass=_ArrayType):
    """For annotations and `isinstance`: NumPy arrays and scalars, CuPy arrays, and tracers.

    Example:
        >>> import numpy as np, functrans as ft
        >>> isinstance(np.zeros(3), ft.Array), isinstance([1.0], ft.Array)
        (True, False)
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("functrans.Array is a type to check against; make arrays with numpy or functrans.numpy")
