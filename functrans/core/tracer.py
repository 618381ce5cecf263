"""Tracer: stands for an array while a function is traced, and behaves like one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .cells import STALE, Cell
from .trace import Trace, Uncounted, operators

#: Primitives that are exactly what a ufunc means; others are looked up in functrans.numpy.
ufunc_primitives: Final[dict[Any, Callable[..., Any]]] = {}


@cache
def numpy_namespace() -> ModuleType:
    """`functrans.numpy`, reached only when a protocol of a tracer is used: the one import that points upwards."""
    import functrans.numpy

    return functrans.numpy


class Tracer(Cell):
    """An array of which a trace knows more than its value, or does not know the value."""

    __slots__ = ()
    __array_priority__ = 1000
    __hash__ = object.__hash__  # type: ignore[assignment]  # == is elementwise, identity is what a dict needs

    def __init__(self, trace: Trace):
        self.trace = trace

    # ---- what is known of the array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        return len(self.aval.shape)

    @property
    def size(self) -> int:
        return self.aval.size

    @property
    def itemsize(self) -> int:
        return self.aval.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.aval.size * self.aval.dtype.itemsize

    def __len__(self) -> int:
        if not self.aval.shape:
            raise TypeError("len() of unsized object")
        return self.aval.shape[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.aval}>"

    # ---- conversion to Python values: only where nothing is lost

    def concrete(self, wanted: str) -> Any:
        """The value as an array or scalar, if this tracer knows it and nothing is lost by using it.

        Raises:
            ConcretizationError: the value is not known while tracing.
            TracerConversionError: it is known, but its derivative or batch would be lost.
        """
        raise NotImplementedError

    def known(self, wanted: str) -> Any:
        """As `concrete`, for a user, who may hold a stale view."""
        if self.trace is STALE:
            raise self.trace.leak_error(self, wanted)
        return self.concrete(wanted)

    def __bool__(self) -> bool:
        return bool(self.known("bool"))

    def __int__(self) -> int:
        return int(self.known("int"))

    def __float__(self) -> float:
        return float(self.known("float"))

    def __complex__(self) -> complex:
        return complex(self.known("complex"))

    def __index__(self) -> int:
        return operator.index(self.known("index"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array out of a traced one.")
        array = np.array(self.known("array"), dtype=dtype)
        # Writing into what NumPy's asarray made of an array would change the array.
        array.flags.writeable = copy is True or array.dtype != self.dtype
        return array

    def item(self, *index: Any) -> Any:
        return self.known("item").item(*index)

    def tolist(self) -> Any:
        return self.known("tolist").tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.known("pickle").__reduce_ex__(protocol)

    def __format__(self, spec: str) -> str:
        return repr(self) if not spec else format(self.known("format"), spec)

    # ---- the operators

    def __pos__(self) -> Any:
        return operators.positive(self)

    def __neg__(self) -> Any:
        return operators.negative(self)

    def __abs__(self) -> Any:
        return operators.absolute(self)

    def __invert__(self) -> Any:
        return operators.invert(self)

    def __round__(self, ndigits: int | None = None) -> Any:
        return operators.round(self) if ndigits is None else numpy_namespace().round(self, ndigits)

    def __trunc__(self) -> Any:
        return operators.trunc(self)

    def __floor__(self) -> Any:
        return operators.floor(self)

    def __ceil__(self) -> Any:
        return operators.ceil(self)

    def __add__(self, other: Any) -> Any:
        return operators.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return operators.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return operators.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return operators.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return operators.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return operators.multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return operators.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return operators.divide(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return operators.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return operators.floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return operators.remainder(self, other)

    def __rmod__(self, other: Any) -> Any:
        return operators.remainder(other, self)

    def __divmod__(self, other: Any) -> Any:
        return operators.floor_divide(self, other), operators.remainder(self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return operators.floor_divide(other, self), operators.remainder(other, self)

    def __pow__(self, other: Any) -> Any:
        if self.aval.dtype.kind == "b" and self.aval.shape and type(other) is int and other == 2:
            return operators.square(self)  # as NumPy: the result is int8, that of np.power int64
        return operators.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return operators.power(other, self)

    def __matmul__(self, other: Any) -> Any:
        return operators.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return operators.matmul(other, self)

    def __and__(self, other: Any) -> Any:
        return operators.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Any:
        return operators.bitwise_and(other, self)

    def __or__(self, other: Any) -> Any:
        return operators.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Any:
        return operators.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Any:
        return operators.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Any:
        return operators.bitwise_xor(other, self)

    def __lshift__(self, other: Any) -> Any:
        return operators.left_shift(self, other)

    def __rlshift__(self, other: Any) -> Any:
        return operators.left_shift(other, self)

    def __rshift__(self, other: Any) -> Any:
        return operators.right_shift(self, other)

    def __rrshift__(self, other: Any) -> Any:
        return operators.right_shift(other, self)

    def __eq__(self, other: object) -> Any:
        return operators.equal(self, other)

    def __ne__(self, other: object) -> Any:
        return operators.not_equal(self, other)

    def __lt__(self, other: Any) -> Any:
        return operators.less(self, other)

    def __le__(self, other: Any) -> Any:
        return operators.less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return operators.greater(self, other)

    def __ge__(self, other: Any) -> Any:
        return operators.greater_equal(self, other)

    def __iadd__(self, other: Any) -> Any:
        return self._update(operators.add(self, other))

    def __isub__(self, other: Any) -> Any:
        return self._update(operators.subtract(self, other))

    def __imul__(self, other: Any) -> Any:
        return self._update(operators.multiply(self, other))

    def __itruediv__(self, other: Any) -> Any:
        return self._update(operators.divide(self, other))

    def __ifloordiv__(self, other: Any) -> Any:
        return self._update(operators.floor_divide(self, other))

    def __imod__(self, other: Any) -> Any:
        return self._update(operators.remainder(self, other))

    def __ipow__(self, other: Any) -> Any:
        return self._update(operators.power(self, other))

    def __imatmul__(self, other: Any) -> Any:
        return self._update(operators.matmul(self, other))

    def __iand__(self, other: Any) -> Any:
        return self._update(operators.bitwise_and(self, other))

    def __ior__(self, other: Any) -> Any:
        return self._update(operators.bitwise_or(self, other))

    def __ixor__(self, other: Any) -> Any:
        return self._update(operators.bitwise_xor(self, other))

    def __ilshift__(self, other: Any) -> Any:
        return self._update(operators.left_shift(self, other))

    def __irshift__(self, other: Any) -> Any:
        return self._update(operators.right_shift(self, other))

    # ---- NumPy's protocols: the meaning of every NumPy function is looked up in functrans.numpy

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        primitive = ufunc_primitives.get(ufunc)
        if primitive is not None and method == "__call__" and not kwargs:
            return primitive(*inputs)
        if any(isinstance(x, Uncounted) for x in inputs):
            return NotImplemented
        return numpy_namespace().apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Uncounted) for kind in types):
            return NotImplemented
        return numpy_namespace().apply_function(function, args, kwargs)

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        return numpy_namespace()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The other methods and properties of ndarray, which functrans.numpy adds: `x.sum()` is `np.sum(x)`."""

    # ---- iteration; indexing and assignment are in cells.py

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())
