"""SciPy, imported when something of it is first needed: it takes longer to load than the rest of the library."""

from __future__ import annotations

import ctypes
import glob
import importlib.util
from functools import cache, cached_property
from typing import Any, NamedTuple

from ..core.devices import is_on_device
from .on_gpu import special_function


@cache
def special() -> Any:
    """scipy.special."""
    import scipy.special

    return scipy.special


@cache
def linalg() -> Any:
    """scipy.linalg."""
    import scipy.linalg

    return scipy.linalg


@cache
def signal() -> Any:
    """scipy.signal."""
    import scipy.signal

    return scipy.signal


@cache
def c_function(name: str, signature: str) -> int:
    """The address of a function of scipy.special for native code, 0 if there is none with this signature."""
    import scipy.special.cython_special

    capsules = scipy.special.cython_special.__pyx_capi__
    for variant in (name, f"__pyx_fuse_0{name}", f"__pyx_fuse_1{name}"):
        if variant in capsules and _CAPSULE_NAME(capsules[variant]) == signature.encode():
            return int(_CAPSULE_POINTER(capsules[variant], signature.encode()))
    return 0


@cache
def blas(name: str) -> int:
    """The address of a function of BLAS for native code: `dgemm` and so on.

    Its integers may have 32 or 64 bits: point to small ones that are written with 64, lowest byte first.
    """
    library, ending = _openblas()
    if library is not None and hasattr(library, f"scipy_{name}_{ending}"):
        return ctypes.cast(library[f"scipy_{name}_{ending}"], ctypes.c_void_p).value or 0
    import scipy.linalg.cython_blas

    capsule = scipy.linalg.cython_blas.__pyx_capi__[name]
    return int(_CAPSULE_POINTER(capsule, _CAPSULE_NAME(capsule)))


@cache
def lapack(name: str) -> int:
    """The address of a function of LAPACK for native code: `dpotrf` and so on. Its integers have 32 bits."""
    library = _lapack()
    if library is not None and hasattr(library, f"scipy_{name}_"):
        return ctypes.cast(library[f"scipy_{name}_"], ctypes.c_void_p).value or 0
    import scipy.linalg.cython_lapack

    capsule = scipy.linalg.cython_lapack.__pyx_capi__[name]
    return int(_CAPSULE_POINTER(capsule, _CAPSULE_NAME(capsule)))


class Threads(NamedTuple):
    """What tells and sets how many threads a library uses."""

    get: Any
    set: Any


#: Those of the libraries in wheels that functions have been taken from.
library_threads: list[Threads] = []


def _note_threads(library: ctypes.CDLL, ending: str) -> None:
    names = (f"scipy_openblas_{what}_num_threads{ending}" for what in ("get", "set"))
    functions = [getattr(library, name, None) for name in names]
    if None not in functions:
        library_threads.append(Threads(*functions))


@cache
def _openblas() -> tuple[ctypes.CDLL | None, str]:
    """The library in the wheels of NumPy, which is in memory already, or SciPy, which loads in a tenth of the time of
    scipy.linalg; and how the names of its functions end. None if there is none.

    NumPy's comes first: it is the one that the interpreter multiplies with, and often the newer one.
    """
    wheels = ("numpy", "libscipy_openblas64_*.so*", "64_"), ("scipy", "libscipy_openblas-*.so*", "")
    for package, pattern, ending in wheels:
        library = _wheel_library(package, pattern)
        if library is not None:
            _note_threads(library, ending)
            return library, ending
    return None, ""


@cache
def _lapack() -> ctypes.CDLL | None:
    """The library in the wheel of SciPy, None if there is none."""
    library = _wheel_library("scipy", "libscipy_openblas-*.so*")
    if library is not None:
        _note_threads(library, "")
    return library


@cache
def _wheel_library(package: str, pattern: str) -> ctypes.CDLL | None:
    """A library that came with a package; None if there is none."""
    found = importlib.util.find_spec(package)
    folders = (found.submodule_search_locations if found is not None else None) or ()
    for path in (path for folder in folders for path in glob.glob(f"{folder}.libs/{pattern}")):
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None


_CAPSULE_NAME = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
_CAPSULE_POINTER = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


@cache
def optimize() -> Any:
    """scipy.optimize."""
    import scipy.optimize

    return scipy.optimize


#: The ufuncs of scipy.special that have a primitive, by name.
late_ufuncs: dict[str, LateUfunc] = {}


class LateUfunc:
    """Stands for a ufunc of scipy.special until it is called."""

    nout = 1
    signature = None

    def __init__(self, name: str, nin: int = 1):
        self.__name__ = name
        self.nin = nin
        late_ufuncs[name] = self

    @cached_property
    def ufunc(self) -> Any:
        """The ufunc itself; SciPy keeps those to itself whose names begin with an underscore."""
        return getattr(special()._ufuncs if self.__name__.startswith("_") else special(), self.__name__)

    def __call__(self, *xs: Any) -> Any:
        return special_function(self.__name__, *xs) if any(map(is_on_device, xs)) else self.ufunc(*xs)

    def resolve_dtypes(self, dtypes: Any) -> Any:
        """As numpy.ufunc.resolve_dtypes."""
        return self.ufunc.resolve_dtypes(dtypes)


class LateOutput(LateUfunc):
    """Stands for one of the results of a ufunc of scipy.special that has several, of one dtype."""

    nout = 2

    def __init__(self, name: str, output: int):
        self.__name__ = name
        self.nin = 1
        self.output = output

    def __call__(self, *xs: Any) -> Any:
        return super().__call__(*xs)[self.output]


def known_ufunc(ufunc: Any) -> Any:
    """The stand-in for a ufunc of scipy.special, if that is what it is and there is one; else the ufunc."""
    stand_in = late_ufuncs.get(ufunc.__name__)
    return stand_in if stand_in is not None and stand_in.ufunc is ufunc else ufunc
