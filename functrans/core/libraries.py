"""What to use instead of SciPy's functions, which compute with plain numbers, and of names of JAX's that are not here.

And which errors of ours they hide.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import accumulate
from traceback import walk_tb
from types import FrameType
from typing import Any, Final, NoReturn

import numpy as np

from ..errors import ConcretizationError, FunctransError, TracerConversionError
from ..source import library_frames, library_frames_of, user_source

_OURS: Final = {
    "functrans.integrate.odeint, which takes traced values": ("integrate.odeint", "integrate.solve_ivp"),
    "functrans.optimize.root, whose solution has derivatives": tuple(
        f"optimize.{name}"
        for name in ("bisect", "brenth", "brentq", "fsolve", "newton", "ridder", "root", "root_scalar", "toms748")
    ),
    "functrans.optimize.minimize, whose solution has derivatives": tuple(
        f"optimize.{name}"
        for name in (
            "curve_fit", "fmin", "fmin_bfgs", "fmin_cg", "fmin_l_bfgs_b", "fmin_ncg", "least_squares", "leastsq",
            "minimize", "minimize_scalar",
        )
    ),
    "functrans.optimize.fixed_point, which takes traced values": ("optimize.fixed_point",),
    "np.interp": ("interpolate.interp1d",),
    "np.linalg.norm(x[:, None] - y, axis=-1)": ("spatial.distance.cdist",),
    "functrans.optimize.root of `lambda w: w * np.exp(w) - z`, whose solution has derivatives": ("special.lambertw",),
    "np.linalg.eig or functrans.scipy.linalg.eigh, for what the eigenvalues are wanted for": (
        "linalg.hessenberg", "linalg.rsf2csf", "linalg.schur",
    ),
    "`v @ np.diag(f(w)) @ np.linalg.inv(v)` with `w, v = np.linalg.eig(a)`, or expm and sqrtm of "
    "functrans.scipy.linalg": tuple(
        f"linalg.{name}"
        for name in (
            "coshm", "cosm", "fractional_matrix_power", "funm", "logm", "signm", "sinhm", "sinm", "tanhm", "tanm",
        )
    ),
    "np.sum(w * f(x)), with the places x and the weights w of np.polynomial.legendre.leggauss": (
        "integrate.fixed_quad", "integrate.quad", "integrate.quad_vec",
    ),
}  # fmt: skip
#: What NumPy says instead of what `__index__` raised, for a shape of one extent.
_NO_SHAPE: Final = "expected a sequence of integers or a single integer, got"
_OURS_TO_SHOW: Final = (ConcretizationError, TracerConversionError)
_INSTEAD: Final = {f"scipy.{name}": ours for ours, names in _OURS.items() for name in names}

#: What to do instead of what JAX has under a name that is not here.
_ABSENT: Final = {
    "An index out of bounds is an error as it is, functrans.debug_nans finds where NaN begins, and a function that "
    "functrans.debug.callback calls may raise.": ("checkify",),
    "It is functrans.jet, functrans.integrate.odeint or functrans.scipy.sparse.linalg; there is no checkify, since an "
    "index out of bounds is an error as it is, and functrans.debug_nans finds where NaN begins.": ("experimental",),
    "Programs run on one device: use functrans.vmap.": (
        "Mesh", "NamedSharding", "P", "distributed", "make_mesh", "pmap", "set_mesh", "shard_map", "sharding", "smap",
    ),
    "Call functrans.devices().": ("default_backend", "device_count", "local_device_count", "local_devices"),
    "dtypes are NumPy's: float64 unless another one is asked for.": (
        "default_matmul_precision", "enable_x64", "numpy_dtype_promotion",
    ),
    "Lines of the user's code are in every program: see functrans.jit(f).lower(x).": ("named_call", "named_scope"),
    "Call functrans.jit(f).lower(x).profile(x).": ("profiler",),
    "Programs cannot be exported; machine code is kept on disk for the next process (docs/caching.md).": ("export",),
    "Known values are NumPy's arrays, and computed with at once.": ("ensure_compile_time_eval",),
    "A call returns when all effects were had.": ("effects_barrier",),
    "A tracer that has leaked is an error that names the line.": ("check_tracer_leaks", "checking_leaks"),
    "Assign into an array of functrans.numpy.zeros, which may be changed.": ("Ref", "new_ref", "ref"),
    "Use functrans.explain(f, x).": ("explain_cache_misses", "log_compiles"),
    "Use functrans.jit(f).lower(x), which shows it.": ("xla_computation",),
    "It is in functrans.tree, as map, leaves, structure, flatten and unflatten.": (
        "tree_flatten", "tree_leaves", "tree_map", "tree_structure", "tree_unflatten",
    ),
    "Set a breakpoint of Python's inside `with functrans.disable_jit():`.": ("debug.breakpoint",),
}  # fmt: skip
_REPAIRS: Final = {f"functrans.{name}": repair for repair, names in _ABSENT.items() for name in names}


def about_scipy(frames: Iterable[FrameType] | None = None) -> str:
    """The repair where a function of SciPy was called, by default where one runs now; nothing where none was.

    Args:
        frames: what runs between the user's code and the library, innermost first.
    """
    called = None
    for frame in library_frames() if frames is None else frames:
        found = next(filter(None, map(_public_name, _functions_of(frame))), None)
        if found and found not in _INSTEAD and (ours := _namesake(found)):
            return f"Call {ours}, which takes traced values."
        called = found or called
    return "" if called is None else _about_plain(called)


def _about_plain(called: str) -> str:
    """The repair where a function of SciPy's that is not here was called, or wanted."""
    if called in _INSTEAD:
        return f"{called} computes with plain numbers: take {_INSTEAD[called]}."
    return (
        f"{called} computes with plain numbers: write it with NumPy functions, or have functrans.pure_callback call it "
        "and functrans.custom_jvp say its derivative."
    )


def absent_from(module: str) -> Callable[[str], NoReturn]:
    """`__getattr__` for a module of ours: names that it lacks, of JAX's or SciPy's, have a sentence on what to use."""

    def __getattr__(name: str) -> NoReturn:
        full = f"{module}.{name}"
        repair = _REPAIRS.get(full, "")
        theirs = full.removeprefix("functrans.")
        if not repair and theirs.startswith("scipy.") and not name.startswith("_"):
            known = sys.modules.get(module.removeprefix("functrans."))
            numpys = _in_numpy(theirs)
            is_theirs = theirs in _INSTEAD or hasattr(known, name)
            repair = f"Use {numpys}." if numpys else _about_plain(theirs) if is_theirs else ""
        text = f"module {module!r} has no attribute {name!r}" + (f". {repair}" if repair else "")
        raise AttributeError(text, name=name, obj=sys.modules[module])

    return __getattr__


def _functions_of(frame: FrameType) -> Iterable[tuple[str, ...]]:
    """What may be running in a frame, as module and names: its function, or the method of an object of the library.

    A library may wrap its functions (SciPy's do), so that there is no frame of the one that was called but one of a
    wrapper, whose variables hold it. Its distributions are objects of classes with other names.
    """
    name = frame.f_code.co_name
    yield frame.f_globals.get("__name__", ""), name
    for variable, value in frame.f_locals.items():
        if variable == "self":
            owner = type(value).__name__.removesuffix("_gen")
            yield type(value).__module__, owner, *([] if name in ("__init__", "__call__") else [name])
        elif callable(value) and hasattr(value, "__name__"):
            yield getattr(value, "__module__", None) or "", value.__name__


def _public_name(function: tuple[str, ...]) -> str | None:
    """The name by which users know a function of SciPy's; None for what is not theirs or not public."""
    (library, *path), names = function[0].split("."), function[1:]
    for package in accumulate(path, "{}.{}".format, initial=library) if library == "scipy" else ():
        if names[0] in getattr(sys.modules.get(package), "__all__", ()):
            return ".".join([package, *names])
    return None


def _namesake(called: str) -> str:
    """The function of ours, or of NumPy's, that a function of SciPy's has its name from."""
    path = called.split(".")
    for n in range(len(path) - 1, 1, -1):
        found: Any = sys.modules.get("functrans." + ".".join(path[:n]))
        for name in path[n:]:
            found = getattr(found, name, None)
        if found is not None:
            return f"functrans.{called}"
    return _in_numpy(called)


def _in_numpy(called: str) -> str:
    """The function of NumPy's that has the name of one of SciPy's."""
    path = called.split(".")
    _, package, name = path if len(path) == 3 else ("", "", "")
    numpys = {"fft": np.fft, "linalg": np.linalg}.get(package)
    return f"np.{package}.{name}" if hasattr(numpys, name) else ""


class Keeper:
    """A `sys.excepthook` that knows of one error: compiled code prints what a function raised, and raises another one.

    It is there from when the error is raised under a function of SciPy's until some error gets to the user.

    Attributes:
        error: is not printed.
        frames: those of libraries that ran when it was raised.
        before: the hook for all other errors.
    """

    def __init__(self, error: Exception, before: Callable[..., Any]):
        self.error = error
        self.frames = list(library_frames())
        self.before = before

    def __call__(self, kind: Any, value: Any, traceback: Any) -> None:
        if value is not self.error:
            self.before(kind, value, traceback)


def kept_from_print(error: Exception) -> Exception:
    """An error that is to be raised; where a function of SciPy's runs, it is kept."""
    if about_scipy():
        hook = sys.excepthook
        sys.excepthook = Keeper(error, hook.before if isinstance(hook, Keeper) else hook)
    return error


def hidden_by(error: Exception) -> Exception | None:
    """Our error in place of which NumPy or SciPy raised one that says nothing; None: there is no such error.

    `ndarray[i] = tracer` calls `float`, whose error becomes a cause. Compiled code of SciPy's prints it, or goes on in
    spite of it until something else fails.
    """
    hook, found = sys.excepthook, None
    if isinstance(hook, Keeper):
        sys.excepthook = hook.before
        found = hook.error if any(frame in hook.frames for frame, _ in walk_tb(error.__traceback__)) else None
    if isinstance(error, FunctransError):
        return None
    if type(error) is TypeError and str(error).startswith(_NO_SHAPE) and "Tracer<" in str(error):
        tracer = str(error).removeprefix(_NO_SHAPE).strip(" '")
        found = ConcretizationError(
            f"A shape was given by a traced value ({tracer}).",
            "Shapes are fixed while tracing: the function is traced once, for all values of its arguments.",
            "Mark the argument with static_argnums, or make an array that is large enough and choose with np.where.",
            user_source(error),
        ).with_traceback(error.__traceback__)
    is_numpys = type(error) is ValueError and str(error).startswith("setting an array element with a sequence")
    if isinstance(error.__cause__, _OURS_TO_SHOW) and (is_numpys or library_frames_of(error)):
        found = error.__cause__
    if found is not None:
        found.__suppress_context__ = True  # else theirs would be shown too, and first, with all frames of the library
    return found
