"""Abstract values: what is known of an array before its elements are."""

from __future__ import annotations

from math import prod
from typing import Any, Final, NamedTuple

import numpy as np

from ..errors import UnsupportedDtypeError
from .dtypes import is_bfloat16


class ShapedArray(NamedTuple):
    """The type of an array: its shape and dtype, and whether it is a Python scalar.

    A weak value came from a Python number and takes the dtype of whatever it meets (NEP 50).
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    weak: bool = False

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    def strong(self) -> ShapedArray:
        """The same type, no longer weak."""
        return ShapedArray(self.shape, self.dtype) if self.weak else self

    def with_shape(self, shape: tuple[int, ...]) -> ShapedArray:
        return ShapedArray(shape, self.dtype, self.weak)

    def with_lanes(self, size: int) -> ShapedArray:
        """The type of many such arrays along a leading axis."""
        return tuple.__new__(ShapedArray, ((size, *self.shape), self.dtype, False))

    def without_lanes(self) -> ShapedArray:
        """The type of one lane."""
        return tuple.__new__(ShapedArray, (self.shape[1:], self.dtype, False))

    def __str__(self) -> str:
        return f"{short_dtype(self.dtype)}[{','.join(map(str, self.shape))}]{'*' if self.weak else ''}"


class StackAval(NamedTuple):
    """The type of a stack: one entry for each step of a loop whose number of steps is not known while tracing.

    Only loops make and read stacks. Lanes are an axis of the entries.
    """

    entry: ShapedArray | StackAval

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.entry.dtype

    @property
    def weak(self) -> bool:
        return False

    def strong(self) -> StackAval:
        return self

    def with_lanes(self, size: int) -> StackAval:
        """The type of a stack whose entries have lanes."""
        return StackAval(self.entry.with_lanes(size))

    def without_lanes(self) -> StackAval:
        """The type of one lane of the stack."""
        return StackAval(self.entry.without_lanes())

    def __str__(self) -> str:
        return f"stack({self.entry})"


class Zero:
    """The symbolic zero tangent or cotangent: there is one instance, `ZERO`, whatever the type of the primal.

    Rules receive it in place of an array of zeros, and return it where a derivative is zero by definition.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "ZERO"

    def __bool__(self) -> bool:
        raise TypeError("compare a symbolic zero with `t is ZERO`")


ZERO: Final = Zero()

BOOL: Final = np.dtype(np.bool_)
INT: Final = np.dtype(np.int64)
#: The type of a derivative with respect to an integer or a boolean, as in JAX: it holds nothing.
float0: Final = np.dtype([("float0", np.void, 0)])

#: What a Python scalar is taken for.
PYTHON_SCALARS: Final[dict[type, ShapedArray]] = {
    bool: ShapedArray((), BOOL, True),
    int: ShapedArray((), INT, True),
    float: ShapedArray((), np.dtype(np.float64), True),
    complex: ShapedArray((), np.dtype(np.complex128), True),
}

#: The dtypes of NumPy that arrays may have; bfloat16 (dtypes.py) is another.
SUPPORTED_DTYPES: Final = frozenset(
    np.dtype(t)
    for t in (
        np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
        np.float16, np.float32, np.float64, np.complex64, np.complex128,
    )
)  # fmt: skip

#: What the type of an operand may be. Arrays of other libraries have an `aval` too, which is another thing.
AVALS: Final = (ShapedArray, StackAval)
#: The types of scalars, Python's and NumPy's.
SCALARS: Final = {**PYTHON_SCALARS, **{dtype.type: ShapedArray((), dtype) for dtype in SUPPORTED_DTYPES}}
_PREFIXES: Final = {"f": "f", "i": "i", "u": "u", "c": "c"}


def short_dtype(dtype: np.dtype[Any]) -> str:
    """`f64` for float64, `bool` for bool: as jaxprs are printed."""
    if is_bfloat16(dtype):
        return "bf16"
    prefix = _PREFIXES.get(dtype.kind)
    return dtype.name if prefix is None else f"{prefix}{8 * dtype.itemsize}"


def is_supported(dtype: np.dtype[Any]) -> bool:
    """Whether a traced array may have this dtype."""
    return dtype in SUPPORTED_DTYPES or (is_bfloat16(dtype) and dtype.isnative)


def supported_dtype(dtype: Any) -> np.dtype[Any]:
    """A dtype that a traced array may have.

    Raises:
        UnsupportedDtypeError: it may not.
    """
    dtype = np.dtype(dtype)
    if not is_supported(dtype):
        raise unsupported(dtype)
    return dtype


def unsupported(dtype: Any) -> UnsupportedDtypeError:
    """The error for an array whose dtype cannot be traced."""
    return UnsupportedDtypeError(
        f"A value of type array of dtype {dtype} cannot be traced.",
        "Transformations work on arrays of bool, int8-64, uint8-64, float16-64, bfloat16, complex64 and "
        "complex128.",
        "Convert it with `.astype(...)`, or keep it out of the traced function (a closure, or static_argnums of jit).",
    )


def no_array(x: Any) -> UnsupportedDtypeError:
    """The error for an object that is no array at all."""
    return UnsupportedDtypeError(
        f"A value of type {type(x).__name__} cannot be traced.",
        "Transformations work on arrays of bool, int8-64, uint8-64, float16-64, bfloat16, complex64 and complex128, "
        "and on pytrees of them: tuples, lists, dicts, and classes that are registered.",
        "Register its class (functrans.tree_util.register_dataclass, register_pytree_node_class) if it holds arrays; "
        "otherwise keep it out of the traced function (a closure, or static_argnums of jit, as for the `self` of a "
        "method).",
    )


def refuse_other_operators(x: Any) -> None:
    """Raise UnsupportedDtypeError for arrays whose operators mean something else than those of other arrays."""
    if isinstance(x, np.ma.MaskedArray):
        raise UnsupportedDtypeError(
            f"A masked array of dtype {x.dtype} cannot be traced.",
            "Traced arrays have no masks: what is masked would count as if it were not.",
            "Pass `x.filled(value)`, or `x.data` and `x.mask` one by one, and use np.where or `where=`.",
        )
    if isinstance(x, np.matrix):
        raise UnsupportedDtypeError(
            f"A np.matrix of dtype {x.dtype} cannot be traced.",
            "Its `*` is the product of matrices, and that of traced arrays multiplies element by element.",
            "Pass `np.asarray(x)`, and write products of matrices as `x @ y`.",
        )


def is_inexact(dtype: np.dtype[Any]) -> bool:
    """Whether values of this dtype have derivatives: floats and complex numbers."""
    return dtype.kind in "fc" or is_bfloat16(dtype)


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """float32 for complex64, float64 for complex128, and any other dtype as it is."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


class ShapeDtypeStruct:
    """A stand-in for an array of which only shape and dtype matter.

    Example:
        >>> import functrans as ft
        >>> ft.ShapeDtypeStruct((3, 2), "float32")
        ShapeDtypeStruct(shape=(3, 2), dtype=float32)
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Any, dtype: Any):
        self.shape = tuple(int(extent) for extent in shape)
        self.dtype = np.dtype(dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return ShapedArray(self.shape, self.dtype).size

    @property
    def aval(self) -> ShapedArray:
        return ShapedArray(self.shape, self.dtype)

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeDtypeStruct) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))


def told_apart(value: Any) -> Any:
    """What stands for a parameter in a key: numbers by how they are written, for 0.0 is not -0.0, nor 1 True."""
    if isinstance(value, (bool, int, float, complex, np.generic)):
        return type(value), repr(value)
    if isinstance(value, tuple):
        return (type(value), *map(told_apart, value))
    return value
