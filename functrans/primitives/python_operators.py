"""What Python's operators and integers are to elementwise functions."""

from __future__ import annotations

import operator as op
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..core.avals import BOOL, INT, PYTHON_SCALARS
from ..core.trace import typeof
from ..errors import IntegerRangeError


def _power(x: Any, y: Any) -> Any:
    """x**y in the dtype that numpy.power says.

    That of the operator is another one for booleans, and in NumPy 2.0 also for scalars y of NumPy.
    """
    is_other = getattr(x, "dtype", None) == BOOL or (isinstance(x, np.ndarray) and type(y) not in PYTHON_SCALARS)
    return np.power(x, y) if is_other else x**y


#: Several times faster on NumPy scalars than the ufuncs they stand for.
PYTHON_OPERATORS: Final = {
    "positive": op.pos, "negative": op.neg, "absolute": op.abs, "invert": op.inv, "add": op.add,
    "subtract": op.sub, "multiply": op.mul, "divide": op.truediv, "floor_divide": op.floordiv, "remainder": op.mod,
    "power": _power, "bitwise_and": op.and_, "bitwise_or": op.or_, "bitwise_xor": op.xor, "left_shift": op.lshift,
    "right_shift": op.rshift, "equal": op.eq, "not_equal": op.ne, "less": op.lt, "less_equal": op.le,
    "greater": op.gt, "greater_equal": op.ge,
}  # fmt: skip
#: The operators that make a bool of Python bools; to all others these are 0 and 1, unlike NumPy's.
OF_BOOLS: Final = (op.and_, op.or_, op.xor)


def with_integers(function: Any, args: Sequence[Any]) -> list[Any]:
    """Operands of an elementwise function, with Python integers that a constant of a program may be.

    Raises:
        IntegerRangeError: NumPy would refuse to cast one of them.
    """
    if all(type(x) is not int or 0 <= x < 128 for x in args):  # every dtype of integers has those
        return list(args)
    dtypes = function.resolve_dtypes(list(map(typeof, args)))
    return [_constant(x, dtype, function.name) if type(x) is int else x for x, dtype in zip(args, dtypes)]


def _constant(number: int, dtype: np.dtype[Any], name: str) -> Any:
    """A Python integer that is to be cast to a dtype."""
    if has_integer(dtype if dtype.kind in "iu" else INT, number):
        return number
    if dtype.kind in "fc":
        return dtype.type(number)
    raise integer_range_error(number, dtype, name)


def has_integer(dtype: np.dtype[Any], number: int) -> bool:
    """Whether a number is one of a dtype of integers."""
    info = np.iinfo(dtype)
    return info.min <= number <= info.max


def integer_range_error(number: int, dtype: np.dtype[Any], name: str) -> IntegerRangeError:
    """The error for a Python integer that the dtype of an operation has not."""
    return IntegerRangeError(
        f"The Python integer {number} is out of bounds for {dtype.name}, in which `{name}` computes.",
        "A Python number takes the dtype of the array that it meets.",
        "Convert the array with `.astype(...)`, or give the number a dtype of its own: `np.int64(...)`.",
    )
