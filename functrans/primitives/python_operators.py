"""What Python's operators and integers are to elementwise functions."""

from __future__ import annotations

import operator as op
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..core.avals import BOOL, INT, PYTHON_SCALARS, ZERO, ShapedArray
from ..core.primitive import Primitive
from ..core.trace import Traced, typeof
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


class FittingInteger(Primitive):
    """`fitting_integer(n, dtype=, centre=, user=)`: n + centre, a Python integer, in a dtype that must have it.

    Args:
        centre: what lies in the middle of the numbers of the dtype, so that n is to be in [-extent, extent).
        user: who computes in this dtype, for the error.
    """

    may_refuse = True

    def abstract_eval(self, n: ShapedArray, *, dtype: np.dtype[Any], **params: Any) -> list[ShapedArray]:
        return [ShapedArray(n.shape, dtype)]

    def impl(self, n: Any, *, dtype: np.dtype[Any], centre: int, user: str) -> list[Any]:
        extent = _extent(dtype)
        outside = np.less(n, -extent) | np.greater_equal(n, extent)
        if np.any(outside):
            number = n if np.ndim(n) == 0 else n[outside][0]
            raise integer_range_error(int(number) + centre, dtype, user)
        return [np.add(n, centre).astype(dtype)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        return [self(primals[0], **params)], [ZERO]

    def batch(self, size: int, values: Sequence[Any], mapped: Sequence[bool], **params: Any) -> tuple[Any, Any]:
        return [self(values[0], **params)], [True]

    def lower(self, result: Any, n: Any, *, centre: int, **params: Any) -> Any:
        wide = result.of(INT)
        return lambda index: result.cast(wide.apply("add", n.at(index), wide.constant(centre)))

    def checked_operands(self, avals: Sequence[Any], *, dtype: np.dtype[Any], **params: Any) -> Any:
        return [(0, _extent(dtype))]


def _extent(dtype: np.dtype[Any]) -> int:
    """How many numbers a dtype has on either side of its middle; of uint64, those that are int64 as well."""
    return 2 ** (8 * dtype.itemsize - 1) if dtype != np.uint64 else 2**62


fitting_integer = FittingInteger("fitting_integer")


def fitting(x: Any, dtype: np.dtype[Any], user: str) -> Any:
    """A Python integer that is traced, or lanes of such, in a dtype of integers, where it is computed with.

    It raises IntegerRangeError when its value is one that the dtype has not.
    """
    if dtype == INT:
        return x
    centre = _extent(dtype) if dtype.kind == "u" else 0
    return fitting_integer(x - centre if centre else x, dtype=dtype, centre=centre, user=user)


def is_traced_integer(x: Any) -> bool:
    """Whether x is a Python integer whose value need not be known."""
    return isinstance(x, Traced) and x.aval.weak and x.aval.dtype == INT


def with_integers(function: Any, args: Sequence[Any]) -> list[Any]:
    """Operands of an elementwise function, with Python integers that a constant of a program may be.

    Those that are traced, beside arrays of other integers, are looked at when the program runs.

    Raises:
        IntegerRangeError: NumPy would refuse to cast one of them.
    """
    if all(0 <= x < 128 if type(x) is int else not is_traced_integer(x) for x in args):  # every dtype has those
        return list(args)
    dtypes = function.resolve_dtypes(list(map(typeof, args)))
    return [_operand(x, dtype, function.name) for x, dtype in zip(args, dtypes)]


def _operand(x: Any, dtype: np.dtype[Any], name: str) -> Any:
    if type(x) is int:
        return _constant(x, dtype, name)
    return fitting(x, dtype, name) if dtype.kind in "iu" and is_traced_integer(x) else x


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
