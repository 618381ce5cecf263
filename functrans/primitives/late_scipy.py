"""SciPy, imported when something of it is first needed: it takes longer to load than the rest of the library."""

from __future__ import annotations

import ctypes
import glob
import importlib.util
from functools import cache, cached_property
from typing import Any


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
    """The address of a function of BLAS for native code: `dgemm` and so on."""
    library = _openblas()
    if library is not None and hasattr(library, f"scipy_{name}_"):
        return ctypes.cast(library[f"scipy_{name}_"], ctypes.c_void_p).value or 0
    import scipy.linalg.cython_blas

    capsule = scipy.linalg.cython_blas.__pyx_capi__[name]
    return int(_CAPSULE_POINTER(capsule, _CAPSULE_NAME(capsule)))


@cache
def blas_threads() -> tuple[Any, Any]:
    """What tells and sets how many threads SciPy's BLAS uses; None, None if it is not the OpenBLAS of its wheels."""
    library = _openblas()
    if library is None or not hasattr(library, "scipy_openblas_set_num_threads"):
        return None, None
    return library.scipy_openblas_get_num_threads, library.scipy_openblas_set_num_threads


@cache
def _openblas() -> ctypes.CDLL | None:
    """The library in SciPy's wheels, which loads in a tenth of the time of scipy.linalg; None if there is none."""
    scipy = importlib.util.find_spec("scipy")
    folders = (scipy.submodule_search_locations if scipy is not None else None) or ()
    found = [path for folder in folders for path in glob.glob(f"{folder}.libs/libscipy_openblas*.so*")]
    try:
        return ctypes.CDLL(found[0]) if found else None
    except OSError:
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
        """The ufunc itself."""
        return getattr(special(), self.__name__)

    def __call__(self, *xs: Any) -> Any:
        return self.ufunc(*xs)

    def resolve_dtypes(self, dtypes: Any) -> Any:
        """As numpy.ufunc.resolve_dtypes."""
        return self.ufunc.resolve_dtypes(dtypes)


def known_ufunc(ufunc: Any) -> Any:
    """The stand-in for a ufunc of scipy.special, if that is what it is and there is one; else the ufunc."""
    stand_in = late_ufuncs.get(ufunc.__name__)
    return stand_in if stand_in is not None and stand_in.ufunc is ufunc else ufunc
