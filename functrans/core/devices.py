"""Where arrays are: in the memory of the host (NumPy's), or of a GPU (CuPy's). The one door to CuPy.

CuPy's arrays reach CuPy through NumPy's protocols, so that rules and implementations need not know of it. What they
make out of nothing, or of numbers only, has no operand to say where it belongs: it goes to the place of the arrays that
are computed with, of which `exemplar` is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from functools import cache
from types import ModuleType
from typing import Any, Final

import numpy as np

from ..errors import DeviceFunctionError, DeviceMismatchError, FunctransError, MissingPackageError

#: As long as this module is not imported, there are no arrays but those of the host.
CUPY: Final = "cupy"
#: An array of the GPU on which new arrays are made; None: they are made on the host.
exemplar: ContextVar[Any] = ContextVar("exemplar", default=None)


@cache
def cupy() -> ModuleType:
    """CuPy, imported when it is first needed.

    Raises:
        ImportError: it is not installed.
    """
    import cupy  # type: ignore[import-not-found]

    return cupy


@cache
def cupy_special() -> Any:
    """cupyx.scipy.special."""
    import cupyx.scipy.special  # type: ignore[import-not-found]

    return cupyx.scipy.special


@cache
def cupy_linalg() -> Any:
    """cupyx.scipy.linalg."""
    import cupyx.scipy.linalg  # type: ignore[import-not-found]

    return cupyx.scipy.linalg


@cache
def cupyx() -> Any:
    """cupyx."""
    import cupyx  # type: ignore[import-not-found]

    return cupyx


@cache
def is_device_type(kind: type) -> bool:
    """Whether this is the type of arrays in the memory of a GPU."""
    return kind.__name__ == "ndarray" and kind.__module__.partition(".")[0] == "cupy"


def is_on_device(x: Any) -> bool:
    """Whether x is an array in the memory of a GPU."""
    return is_device_type(type(x))


def on_host(x: Any) -> Any:
    """The value of an array where a shape depends on it; that of one on a GPU is waited for and copied."""
    return x.get() if is_on_device(x) else np.asarray(x)


def here(x: Any) -> Any:
    """An array that the library has made, at the place of those that are computed with."""
    place = exemplar.get()
    return np.array(x, like=place) if place is not None and isinstance(x, np.ndarray) else x


def in_place(impl: Callable[..., list[Any]], args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """The results of an implementation; those that are made of numbers only go where new arrays are made."""
    results = impl(*args, **params)
    return results if any(isinstance(x, np.ndarray) or is_on_device(x) for x in args) else list(map(here, results))


def copied(x: Any) -> Any:
    """A copy of an array where it is; CuPy's own go to the current GPU."""
    if not is_on_device(x):
        return x.copy()
    with x.device:
        return x.copy()


def beside(x: Any, made: Any) -> Any:
    """An array that the library has made, in the place where x is."""
    return np.array(made, like=x) if is_on_device(x) else here(made)


def eye_like(x: Any, n: int, dtype: Any) -> Any:
    """The identity matrix in the place where x is."""
    if type(x) is np.ndarray:
        return np.eye(n, dtype=dtype)
    numbers = np.arange(n, like=x)
    return (numbers[:, None] == numbers).astype(dtype)


def empty_here(shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
    """A new array in the place where such are made now."""
    place = exemplar.get()
    return np.empty(shape, dtype) if place is None else np.empty(shape, dtype, like=place)


class On:
    """`with On(array):` makes new arrays where this one is; None: on the host."""

    __slots__ = ("array", "device", "token")

    def __init__(self, array: Any):
        self.array = array
        self.device = None if array is None else array.device

    def __enter__(self) -> None:
        if self.device is not None:
            self.device.__enter__()
        self.token: Token[Any] = exemplar.set(self.array)

    def __exit__(self, *exc: Any) -> None:
        exemplar.reset(self.token)
        if self.device is None:
            return
        try:
            self.device.__exit__(*exc)
        except RuntimeError:  # after a fault of a kernel CUDA refuses this, too; what is under way says more
            if exc[0] is None:
                raise


#: A `with` block that changes nothing.
UNCHANGED: Final = nullcontext()


def placed(values: Sequence[Any], name: Callable[[int], str]) -> AbstractContextManager[None]:
    """A `with` block in which new arrays are made where some values are; numbers and tracers are anywhere.

    Args:
        name: what to call a value in a message.

    Raises:
        DeviceMismatchError: they are not all in one place.
    """
    for value in values:
        if is_device_type(type(value)):
            return On(common_place(values, name))
    if exemplar.get() is not None and any(isinstance(x, np.ndarray) for x in values):
        return On(None)
    return UNCHANGED


def checked(x: Any) -> AbstractContextManager[None]:
    """A `with` block in which linear algebra on an array raises LinAlgError where there is no result, as NumPy does.

    On a GPU that means to wait for it, which CuPy does only if it is told to.
    """
    return cupyx().errstate(linalg="raise") if is_on_device(x) else UNCHANGED


def place_of(values: Sequence[Any]) -> AbstractContextManager[None]:
    """A `with` block in which new arrays are made on the GPU where some of the values are, if there are such."""
    first = next(filter(is_on_device, values), None)
    return UNCHANGED if first is None else On(first)


def common_place(values: Sequence[Any], name: Callable[[int], str]) -> Any:
    """One of the arrays on a GPU among some values, None if there is none.

    Raises:
        DeviceMismatchError: others are on the host or on another GPU.
    """
    first = next((i for i, x in enumerate(values) if is_on_device(x)), None)
    if first is None:
        return None
    place = values[first]
    for i, x in enumerate(values):
        is_host = isinstance(x, np.ndarray) and x.dtype.itemsize > 0  # float0 holds nothing
        if is_host or (is_on_device(x) and x.device != place.device):
            raise mixture(name(first), place, name(i), x)
    return place


def mixture(name: str, x: Any, other_name: str, other: Any) -> DeviceMismatchError:
    """The error for two arrays in different places."""
    return DeviceMismatchError(
        f"Arrays in different places meet: {name} is on {place_name(x)}, {other_name} on {place_name(other)}.",
        "Arrays are never copied between the host and a GPU, or between GPUs, unless that is asked for.",
        f"Copy one of them first: `functrans.device_put(..., 'cuda')` or `functrans.device_get(...)`; "
        f"{other_name} is an array of type {np.dtype(other.dtype).name}{list(other.shape)}.",
    )


def place_name(x: Any) -> str:
    """Where an array is, for a message."""
    return f"GPU {x.device.id}" if is_on_device(x) else "the host"


def explain_failure(operation: str, args: Sequence[Any], error: Exception) -> None:
    """Raise an error that says more, if an operation failed for where its operands are.

    Raises:
        DeviceMismatchError: they are in different places.
        DeviceFunctionError: CuPy lacks a function for it.
        MissingPackageError: CuPy has not found a library of CUDA.
    """
    if not any(map(is_on_device, args)):
        return
    common_place(args, lambda i: f"operand {i} of `{operation}`")
    if isinstance(error, FunctransError):
        return
    if isinstance(error, ImportError):
        raise missing_library(f"`{operation}`", error) from None
    if isinstance(error, (NotImplementedError, AttributeError, TypeError)):
        raise DeviceFunctionError(
            f"`{operation}` cannot be computed by CuPy on these operands.",
            f"It says: {type(error).__name__}: {error}",
            "Use functrans.device_get on the operands and compute it on the host, or write it with other functions.",
        ) from error


def missing_library(what: str, error: ImportError) -> MissingPackageError:
    """The error for what needs a library of CUDA that CuPy does not find."""
    return MissingPackageError(
        f"{what} needs a library of CUDA that CuPy cannot load.",
        f"It says: {error}",
        "functrans's extras bring all of them: pip install functrans[cuda13], or functrans[cuda12] for older drivers.",
    )
