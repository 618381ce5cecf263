"""bfloat16, which NumPy has not: it is a dtype of the package ml_dtypes, and NumPy knows little of it.

It stands everywhere where float16 may: numbers of it are computed with in single precision, and each result is rounded
once. In what meets what it is like float16 as well; the two together make float32. All that NumPy cannot be asked of it
is asked here.
"""

from __future__ import annotations

from sys import modules
from typing import Any, Final

import numpy as np

#: The package that brings the dtype. As long as it is not imported, there are no such arrays.
ML_DTYPES: Final = "ml_dtypes"
HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)


def bfloat16() -> np.dtype[Any]:
    """The dtype.

    Raises:
        ImportError: ml_dtypes is not installed.
    """
    try:
        import ml_dtypes  # type: ignore[import-not-found]
    except ImportError:
        raise ImportError(
            "bfloat16 is a dtype of the package ml_dtypes, which is not installed: pip install 'functrans[bfloat16]'"
        ) from None
    return np.dtype(ml_dtypes.bfloat16)


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether this is the dtype."""
    return dtype.kind == "V" and dtype.type.__name__ == "bfloat16"


def has_bfloat16(values: Any) -> bool:
    """Whether one of some arrays and numbers is of this dtype."""
    for value in values:
        dtype = getattr(value, "dtype", None)
        if dtype is not None and dtype.kind == "V" and is_bfloat16(dtype):
            return True
    return False


def kind_of(dtype: np.dtype[Any]) -> str:
    """The kind of a dtype as NumPy says it: "f" for bfloat16, too."""
    return "f" if is_bfloat16(dtype) else dtype.kind


def is_half(dtype: np.dtype[Any]) -> bool:
    """Whether this is a float of 16 bits, which is computed with in single precision."""
    return dtype == HALF or is_bfloat16(dtype)


def single_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What NumPy is to compute in: float32 for bfloat16, and any other dtype as it is."""
    return SINGLE if is_bfloat16(dtype) else dtype


def finfo(dtype: Any) -> Any:
    """As numpy.finfo."""
    kind = _kind(dtype)
    return modules[ML_DTYPES].finfo(kind) if isinstance(kind, np.dtype) and is_bfloat16(kind) else np.finfo(dtype)


def result_type(*given: Any) -> np.dtype[Any]:
    """As numpy.result_type, of arrays, dtypes and Python scalars."""
    if ML_DTYPES not in modules:
        return np.result_type(*given)
    kinds = list(map(_kind, given))
    return _back(np.result_type(*_known_to_numpy(kinds)), kinds)


def resolve_dtypes(ufunc: Any, kinds: tuple[Any, ...], **options: Any) -> tuple[np.dtype[Any], ...]:
    """As the method of a ufunc, of dtypes, types of Python scalars, and None for results.

    Raises:
        TypeError: it has no loop for them.
    """
    if ML_DTYPES not in modules:
        return ufunc.resolve_dtypes(kinds, **options)
    everything = (*kinds, *options.get("signature", ()))
    known = tuple(_known_to_numpy(everything))
    if "signature" in options:
        options["signature"] = known[len(kinds) :]
    return tuple(_back(dtype, everything) for dtype in ufunc.resolve_dtypes(known[: len(kinds)], **options))


def can_cast(have: Any, want: Any, casting: Any = "safe") -> bool:
    """As numpy.can_cast; between float16 and bfloat16 no cast is safe."""
    if ML_DTYPES not in modules:
        return np.can_cast(have, want, casting)
    kinds = _kind(have), np.dtype(want)
    if all(isinstance(k, np.dtype) and is_half(k) for k in kinds):
        return kinds[0] == kinds[1] or casting in ("same_kind", "unsafe")
    have, want = _known_to_numpy(kinds)
    return np.can_cast(have, want, casting)


def _kind(given: Any) -> Any:
    """The dtype of something that has one or names one; all else, such as a Python scalar, as it is."""
    dtype = getattr(given, "dtype", None)
    if isinstance(dtype, np.dtype):
        return dtype
    names_one = isinstance(given, str) or (isinstance(given, type) and issubclass(given, np.generic))
    return np.dtype(given) if names_one else given


def _known_to_numpy(kinds: Any) -> list[Any]:
    """Kinds with a dtype of NumPy in the place of bfloat16: float16, or where that itself is among them float32."""
    stand_in = SINGLE if HALF in [k for k in kinds if isinstance(k, np.dtype)] else HALF
    return [stand_in if isinstance(k, np.dtype) and is_bfloat16(k) else k for k in kinds]


def _back(dtype: np.dtype[Any], kinds: Any) -> np.dtype[Any]:
    """What NumPy made of the kinds that it was given, as it is of those that there are."""
    if dtype != HALF or HALF in [k for k in kinds if isinstance(k, np.dtype)]:
        return dtype
    return next((k for k in kinds if isinstance(k, np.dtype) and is_bfloat16(k)), dtype)


def as_dtype(x: Any, dtype: np.dtype[Any]) -> Any:
    """An array of a dtype in the place where x is; of a number, one on the host."""
    return x.astype(dtype, copy=False) if hasattr(x, "astype") else np.asarray(x, dtype)
