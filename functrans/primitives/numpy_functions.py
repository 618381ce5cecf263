"""What NumPy sorts and transforms with: C functions, by their addresses.

Sorting: the functions of `PyArray_ArrFuncs`, which NumPy's C interface hands out for each dtype. Fourier transforms:
the loops of the generalised ufuncs that numpy.fft calls, from the public fields of `PyUFuncObject`. None of them wants
Python's lock.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

#: The place of `PyDataType_GetArrFuncs` in the table of NumPy's C interface.
GET_FUNCTIONS = 365
#: The places in `PyArray_ArrFuncs` of some of `sort[3]` and `argsort[3]`: 21 casts and 12 functions come before. The
#: first of each three is the quickest one, the last one is stable.
SORTS = {"sort": 33, "argsort": 36, "stable argsort": 38}

#: The ufunc of numpy.fft for each kind of transform, for even and for odd numbers of real points.
UFUNCS = {
    "fft": ("fft", "fft"), "ifft": ("ifft", "ifft"), "rfft": ("rfft_n_even", "rfft_n_odd"), "irfft": ("irfft", "irfft"),
}  # fmt: skip


class _UFunc(ctypes.Structure):
    """The first fields of `PyUFuncObject`."""

    _fields_ = (
        ("references", ctypes.c_ssize_t), ("type", ctypes.c_void_p),
        ("nin", ctypes.c_int), ("nout", ctypes.c_int), ("nargs", ctypes.c_int), ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)), ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
    )  # fmt: skip


@cache
def sort_function(dtype: np.dtype[Any], name: str) -> int:
    """The address of `int sort(values, count, NULL)`, or of `int argsort(values, int64 indices, count, NULL)`.

    The former sorts in place; the latter puts indices, which are there, into order. 0 if there is none.
    """
    table = _c_interface()
    if table is None or not dtype.isnative:
        return 0
    functions = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(table[GET_FUNCTIONS])(dtype)
    return ctypes.cast(functions, ctypes.POINTER(ctypes.c_void_p))[SORTS[name]] or 0


@cache
def fourier_function(kind: str, is_odd: bool, dtype: np.dtype[Any]) -> tuple[int, int]:
    """The address of a loop `void loop(arguments, dimensions, steps, data)`, and its data; 0, 0 if there is none.

    Its arguments are points, a factor and results.

    Args:
        dtype: of the points.
        is_odd: whether the number of real points is odd.
    """
    ufunc = getattr(getattr(np.fft, "_pocketfft_umath", None), UFUNCS[kind][is_odd], None)
    if ufunc is None:
        return 0, 0
    fields = _UFunc.from_address(id(ufunc))
    loops = [types[0] for types in ufunc.types]
    if (fields.nin, fields.nout, fields.ntypes) != (2, 1, len(loops)) or ufunc.nin != 2 or dtype.char not in loops:
        return 0, 0
    number = loops.index(dtype.char)
    return fields.functions[number] or 0, (fields.data[number] or 0) if fields.data else 0


@cache
def _c_interface() -> Any:
    """The table of NumPy's C functions; None if it is not where it has always been."""
    module = getattr(getattr(np, "_core", None), "_multiarray_umath", None)
    if not hasattr(module, "_ARRAY_API"):
        return None
    pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )(module._ARRAY_API, None)
    return ctypes.cast(pointer, ctypes.POINTER(ctypes.c_void_p))
