"""A stand-in for CuPy where there is no GPU: arrays that behave as cupy.ndarray does, on memory of the host.

It has the functions, signatures and ufunc loops that a real CuPy has (cupy_api.json), gives arrays where NumPy gives
scalars, and refuses what CuPy refuses: conversion by `__array__`, NumPy's arrays among operands, arrays of another
device than the current one, methods of ufuncs and index behaviour that it lacks. Where CuPy would copy silently from
the host (indices), it raises, because nothing of ours may rely on that.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import scipy.linalg
import scipy.special

from functrans.core.devices import cupy, cupy_linalg, cupy_special, cupyx

API = json.loads(Path(__file__).with_name("cupy_api.json").read_text())
#: Functions that copy from the host because they are asked to.
FROM_HOST = ("array", "asarray", "asnumpy", "ascontiguousarray", "asfortranarray")
COMPARISONS = ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal")
#: What `ufunc.at`, `reduce` and `accumulate` are there for.
AT = {"add": "biufc", "subtract": "biufc", "maximum": "iuf", "minimum": "iuf"}
REDUCE = ("add", "multiply")
#: What CuPy's extremes at places are of, for floats.
EXTREMES = {"maximum": np.fmax, "minimum": np.fmin}
#: The dtypes of atomic operations.
ATOMIC = {"add": "iIqlQLefd", "subtract": "iI", "maximum": "iIqlQLfd", "minimum": "iIqlQLfd"}


class Device:
    """A device, as `cupy.cuda.Device`: `with` makes it the current one."""

    current = 0
    count = 2

    def __init__(self, number: int | None = None):
        self.id = Device.current if number is None else int(number)
        self.before: list[int] = []

    def __enter__(self) -> Device:
        self.before.append(Device.current)
        Device.current = self.id
        return self

    def __exit__(self, *exc: object) -> None:
        Device.current = self.before.pop()

    @property
    def compute_capability(self) -> str:
        return "90"

    def use(self) -> None:
        Device.current = self.id

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def synchronize(self) -> None:
        pass


class Stream:
    """`cupy.cuda.Stream`: all that is submitted to it is done at once."""

    current: ClassVar[list[Stream]] = []
    null: Stream
    ptds: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None):
        self.ptr = 0 if null else 2 if ptds else id(self)
        self.device_id = -1 if null or ptds else Device.current

    @property
    def done(self) -> bool:
        return True

    def __enter__(self) -> Stream:
        Stream.current.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        Stream.current.pop()

    def synchronize(self) -> None:
        pass

    def begin_capture(self, mode: int | None = None) -> None:
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")

    def end_capture(self) -> Graph:
        return Graph()


Stream.null, Stream.ptds = Stream(null=True), Stream(ptds=True)


class Graph:
    """`cupy.cuda.Graph`, of nothing."""

    def launch(self, stream: Stream | None = None) -> None:
        pass


class UnownedMemory:
    """`cupy.cuda.UnownedMemory`."""

    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1):
        self.ptr, self.size, self.owner, self.device_id = ptr, size, owner, device_id


class MemoryPointer:
    """`cupy.cuda.MemoryPointer`."""

    def __init__(self, mem: UnownedMemory, offset: int):
        self.mem, self.offset, self.ptr = mem, offset, mem.ptr + offset

    def array(self, shape: Any, dtype: Any, strides: Any) -> Any:
        """What the memory holds, for NumPy."""
        if 0 in shape:
            return np.empty(shape, dtype)
        memory = (ctypes.c_char * self.mem.size).from_address(self.mem.ptr)
        memory.owner = self.mem
        return np.ndarray(shape, dtype, memory, self.offset, strides)


class MemoryPool:
    """`cupy.get_default_memory_pool()`."""

    def used_bytes(self) -> int:
        return 0

    def free_all_blocks(self, stream: Stream | None = None) -> None:
        pass


class ElementwiseKernel:
    """`cupy.ElementwiseKernel` of one operand, whose operation is Python too."""

    def __init__(self, in_params: str, out_params: str, operation: str, name: str = "kernel"):
        (self.source,), (self.target,) = ([p.split()[1] for p in t.split(",")] for t in (in_params, out_params))
        self.operation = operation

    def __call__(self, x: ndarray) -> ndarray:
        names = {self.source: x}
        exec(self.operation, names)
        return names[self.target]


class Traffic:
    """How often memory was copied between host and device."""

    to_device = to_host = 0


class _Flags:
    def __init__(self, flags: Any):
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata


class ndarray:
    """`cupy.ndarray`."""

    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: Any, device: Any = None, base: Any = None, strides: Any = None):
        if type(host) is tuple:  # CuPy's own parameters: shape, dtype, where, strides
            shape, dtype, where = host, device, base
            if where is None:
                self._host, self._device, self.base = np.empty(shape, dtype), Device.current, None
                return
            self._host, self._device, self.base = where.array(shape, dtype, strides), where.mem.device_id, where.mem
            return
        self._host = np.asarray(host)
        self._device = Device.current if device is None else device
        self.base = base

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides"):
            return getattr(self._host, name)
        if name in API["methods"] and callable(getattr(np.ndarray, name, None)):
            return lambda *args, **kwargs: _method(self, name, args, kwargs)
        raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")

    @property
    def device(self) -> Device:
        return Device(self._device)

    @property
    def flags(self) -> Any:
        return _Flags(self._host.flags)

    @property
    def data(self) -> Any:
        memory = ModuleType("memory")
        memory.ptr, memory.device, memory.device_id = self._host.ctypes.data, self.device, self._device  # type: ignore[attr-defined]
        return memory

    @property
    def T(self) -> ndarray:
        return self._view(self._host.T)

    @property
    def mT(self) -> ndarray:
        return self._view(self._host.mT)

    @property
    def real(self) -> ndarray:
        return self._view(self._host.real)

    @real.setter
    def real(self, value: Any) -> None:
        self._host.real = _operand(value)

    @property
    def imag(self) -> ndarray:
        return self._view(self._host.imag)

    @imag.setter
    def imag(self, value: Any) -> None:
        self._host.imag = _operand(value)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self._host.__array_interface__, "version": 3, "stream": 1}

    def _view(self, host: Any) -> ndarray:
        return ndarray(host, self._device, self if self.base is None else self.base)

    # ---- conversion

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
        Traffic.to_host += 1
        return self._host.copy(order)

    def item(self, *index: Any) -> Any:
        return self.get().item(*index)

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __repr__(self) -> str:
        return repr(self._host)

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    # ---- elements

    def __getitem__(self, index: Any) -> ndarray:
        found = self._host[_index(index, self.shape)]
        return self._view(found) if isinstance(found, np.ndarray) and found.base is not None else ndarray(found)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and not isinstance(value, np.generic):
            raise TypeError(f"Unsupported type {type(value)}")
        self._host[_index(index, self.shape)] = _operand(value)

    def astype(self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True) -> Any:
        if self.dtype.kind == "c" and np.dtype(dtype).kind not in "cb":
            raise AssertionError("CuPy warns of the imaginary part that is lost")
        changed = self._host.astype(dtype, order, copy=copy)
        return self if changed is self._host else ndarray(changed)

    def copy(self, order: str = "C") -> ndarray:
        return ndarray(self._host.copy(order), Device.current)

    def view(self, dtype: Any = None, type: Any = None) -> ndarray:
        return self._view(self._host if dtype is None else self._host.view(dtype))

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> ndarray:
        return self._view(self._host.reshape(*shape, order=order))

    def ravel(self, order: str = "C") -> ndarray:
        return self._view(self._host.ravel(order))

    def transpose(self, *axes: Any) -> ndarray:
        return self._view(self._host.transpose(*axes))

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        return self._view(self._host.swapaxes(axis1, axis2))

    def fill(self, value: Any) -> None:
        self._host.fill(_operand(value))

    # ---- protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        theirs = getattr(sys.modules["cupy"], ufunc.__name__, None)
        if theirs is None:
            return NotImplemented
        for x in inputs:
            if not hasattr(x, "__cuda_array_interface__") and not isinstance(
                x, (np.ndarray, np.generic, bool, int, float, complex, tuple)
            ):
                return NotImplemented
        if ufunc.__name__ in COMPARISONS:  # what NumPy makes of its scalars there (numpy/numpy#12142)
            inputs = tuple(x.item() if isinstance(x, np.ndarray) and not x.ndim else x for x in inputs)
        return (theirs if method == "__call__" else getattr(theirs, method))(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        module: Any = sys.modules["cupy"]
        for part in function.__module__.split(".")[1:]:
            module = getattr(module, part, None)
        theirs = getattr(module, function.__name__, None)
        if theirs is None or any(t not in (ndarray, np.ndarray) for t in types):
            return NotImplemented
        return theirs(*args, **kwargs)


ndarray.__module__ = "cupy"


def _operator(name: str, ufunc: str, is_reflected: bool = False) -> Callable[..., Any]:
    def operate(self: Any, *others: Any) -> Any:
        for other in others:
            if not isinstance(other, (ndarray, np.ndarray, np.generic, bool, int, float, complex)):
                return NotImplemented
        operands = (*others, self) if is_reflected else (self, *others)
        return getattr(sys.modules["cupy"], ufunc)(*operands)

    operate.__name__ = name
    return operate


def _in_place(ufunc: str) -> Callable[..., Any]:
    def operate(self: Any, other: Any) -> Any:
        return getattr(sys.modules["cupy"], ufunc)(self, other, out=self)

    return operate


_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift", "matmul": "matmul",
}  # fmt: skip
for _name, _ufunc in _BINARY.items():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__", _ufunc))
    setattr(ndarray, f"__r{_name}__", _operator(f"__r{_name}__", _ufunc, is_reflected=True))
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", _in_place(_ufunc))
for _name, _ufunc in {
    "neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert", "eq": "equal", "ne": "not_equal",
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}.items():  # fmt: skip
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__", _ufunc))


def _index(index: Any, shape: tuple[int, ...]) -> Any:
    """An index for NumPy; integers in arrays wrap around, as CuPy's do."""
    entries = index if isinstance(index, tuple) else (index,)
    axis = 0
    found: list[Any] = []
    for entry in entries:
        if isinstance(entry, np.ndarray):
            raise AssertionError("CuPy would copy an index from the host")
        if isinstance(entry, (ndarray, list)):
            array = _operand(entry) if isinstance(entry, ndarray) else np.asarray(entry)
            if array.dtype.kind in "iu" and axis < len(shape) and shape[axis]:
                array = array % shape[axis]
            found.append(array)
            axis += array.ndim if array.dtype.kind == "b" else 1
            continue
        found.append(entry)
        if entry is Ellipsis:
            axis = len(shape) - sum(e is not None and e is not Ellipsis for e in entries[len(found) :])
        elif entry is not None:
            axis += 1
    return tuple(found)


def _operand(x: Any) -> Any:
    """What NumPy computes with in place of an operand of CuPy's.

    Raises:
        TypeError: CuPy does not take it.
    """
    if isinstance(x, ndarray):
        if x._device != Device.current:
            raise ValueError(
                f"Array device must be same as the current device: array device = {x._device} while current = "
                f"{Device.current}"
            )
        return x._host
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    return x


def _unwrapped(x: Any) -> Any:
    return type(x)(map(_unwrapped, x)) if type(x) in (list, tuple) else _operand(x)


def _wrapped(result: Any) -> Any:
    if isinstance(result, (tuple, list)):
        return tuple(map(_wrapped, result))
    return ndarray(np.array(result, copy=None)) if isinstance(result, (np.ndarray, np.generic)) else result


def _method(x: ndarray, name: str, args: Any, kwargs: Any) -> Any:
    function = getattr(sys.modules["cupy"], name, None)
    if function is not None:
        return function(x, *args, **kwargs)
    return _wrapped(getattr(_operand(x), name)(*map(_unwrapped, args), **kwargs))


class ufunc:
    """`cupy.ufunc`: the loops that CuPy has, chosen as NumPy does (NEP 50)."""

    def __init__(self, name: str, record: dict[str, Any], behind: Any):
        self.__name__ = name
        self.nin, self.nout, self.types, self.behind = record["nin"], record["nout"], record["loops"], behind

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, **kwargs: Any) -> Any:
        if set(kwargs) - {"casting", "where"}:
            raise TypeError(f"unexpected keyword arguments {sorted(kwargs)}")
        xs = [_operand(x) for x in args[: self.nin]]
        loop = self._loop(xs)
        with np.errstate(all="ignore"):
            results = self.behind(*(np.asarray(x).astype(t) for x, t in zip(xs, loop)))
        results = results if isinstance(results, tuple) else (results,)
        results = [np.asarray(r).astype(t) for r, t in zip(results, loop.rpartition(">")[2], strict=True)]
        if out is not None:
            out._host[...] = results[0].astype(out.dtype, casting="same_kind")
            return out
        wrapped = [ndarray(r if dtype is None else r.astype(dtype)) for r in results]
        return wrapped[0] if self.nout == 1 else tuple(wrapped)

    def _loop(self, xs: list[Any]) -> str:
        kinds = [x.dtype if hasattr(x, "dtype") else np.dtype(bool) if type(x) is bool else type(x)(0) for x in xs]
        for loop in self.types:
            if all(_fits(kind, np.dtype(t)) for kind, t in zip(kinds, loop)):
                return loop
        raise TypeError(f"Wrong type ({[str(k) for k in kinds]}) of arguments for cupy_{self.__name__}")

    def outer(self, a: Any, b: Any, **kwargs: Any) -> Any:
        return self(a.reshape(a.shape + (1,) * b.ndim), b, **kwargs)

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        if self.__name__ not in AT:
            raise NotImplementedError(f"`cupy_{self.__name__}.at` is not supported yet")
        if a.dtype.char not in ATOMIC[self.__name__]:
            raise TypeError(f"cupy.{self.__name__}.at does not support {a.dtype}")
        if a.dtype.kind == "f" and self.__name__ in EXTREMES:
            _extremes_at(EXTREMES[self.__name__], _operand(a), _index(indices, a.shape), _operand(b))
        else:
            self.behind.at(_operand(a), _index(indices, a.shape), _operand(b))

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        if self.__name__ not in REDUCE:
            raise NotImplementedError(f"`cupy_{self.__name__}.reduce` is not supported yet")
        return _wrapped(self.behind.reduce(_operand(array), axis, dtype, None, keepdims))

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        if self.__name__ not in REDUCE:
            raise NotImplementedError(f"`cupy_{self.__name__}.accumulate` is not supported yet")
        return _wrapped(self.behind.accumulate(_operand(array), axis, dtype))


def _fits(kind: Any, dtype: np.dtype[Any]) -> bool:
    """Whether a loop takes an operand of a dtype, or a Python number."""
    return np.can_cast(kind, dtype) if isinstance(kind, np.dtype) else np.result_type(dtype, kind) == dtype


def _function(name: str, record: dict[str, Any], behind: Any) -> Callable[..., Any]:
    parameters = record["parameters"]
    empty = inspect.Parameter.empty
    signature = parameters and inspect.Signature(
        [inspect.Parameter(n, inspect._ParameterKind(k), default=None if d else empty) for n, k, d in parameters]
    )

    def call(*args: Any, **kwargs: Any) -> Any:
        if signature:
            signature.bind(*args, **kwargs)
        if name in FROM_HOST:
            return _from_host(behind, args, kwargs)
        with np.errstate(all="ignore"):
            return _wrapped(behind(*map(_unwrapped, args), **{k: _unwrapped(v) for k, v in kwargs.items()}))

    call.__name__ = name
    return call


def _from_host(behind: Any, args: Any, kwargs: Any) -> Any:
    x, *rest = args
    kwargs.pop("blocking", None)
    if not isinstance(x, ndarray):
        Traffic.to_device += 1
        return ndarray(np.array(behind(x, *rest, **kwargs)))
    if behind is np.asarray and not rest and kwargs.get("dtype", x.dtype) == x.dtype:
        return x
    if x._device != Device.current:  # a copy between devices
        x = ndarray(x._host.copy())
    return ndarray(behind(_operand(x), *rest, **kwargs))


def _lexsort(keys: Any) -> Any:
    if not isinstance(keys, np.ndarray):
        raise AttributeError("'tuple' object has no attribute 'ndim'")
    if keys.ndim > 2:
        raise NotImplementedError("Keys with the rank of three or more is not supported in lexsort")
    return np.lexsort(keys)


def _asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    return a.get(order=order) if isinstance(a, ndarray) else np.asarray(a)


def _solve_triangular(a: Any, b: Any, trans: int = 0, lower: bool = False, unit_diagonal: bool = False) -> Any:
    """Of stacks of matrices too, by BLAS, to which a zero on the diagonal is no error; the results lie as columns."""
    assert a.dtype == b.dtype
    assert a.dtype.char in "fdFD"
    assert a.shape[:-2] == b.shape[:-2]
    trsm = scipy.linalg.get_blas_funcs("trsm", (a, b))
    x = np.empty((*b.shape[:-2], b.shape[-1], b.shape[-2]), b.dtype)
    for i in np.ndindex(a.shape[:-2]):
        x[i] = trsm(1.0, a[i], b[i], lower=lower, trans_a=trans, diag=unit_diagonal).T
    return np.swapaxes(x, -1, -2)


def _lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    assert a.ndim == 2
    assert a.dtype.char in "fdFD"
    lu, pivots, _ = scipy.linalg.get_lapack_funcs("getrf", (a,))(a)
    if not np.diagonal(lu).all():
        warnings.warn("Diagonal number is exactly zero. Singular matrix.", RuntimeWarning, stacklevel=2)
    return lu, pivots


def _extremes_at(extreme: np.ufunc, a: Any, places: Any, b: Any) -> None:
    """As CuPy's atomic operations: what is compared is in single precision, and so is what is left."""
    found = a.astype(np.float32)
    extreme.at(found, places, b.astype(np.float32))
    a[places] = found[places]


class errstate:
    """`cupyx.errstate`: whether linear algebra without a result raises an error, which it does not by itself."""

    checks = False

    def __init__(self, *, linalg: str):
        self.own = linalg == "raise"

    def __enter__(self) -> None:
        self.before, errstate.checks = errstate.checks, self.own

    def __exit__(self, *exc: object) -> None:
        errstate.checks = self.before


def _unchecked(function: Any) -> Any:
    """A function whose result is anything where there is none."""

    def unchecked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except np.linalg.LinAlgError:
            if errstate.checks:
                raise
            return np.full_like(args[-1], np.nan)

    return unchecked


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    condition = condition.astype("?", copy=False)  # which Python's numbers have not
    return np.where(condition) if x is None else np.where(condition, x, y)


def _broadcast_arrays(*args: Any) -> list[Any]:
    shape = np.broadcast_shapes(*map(np.shape, args))
    return [np.broadcast_to(x, shape) if isinstance(x, np.ndarray) else x for x in args]


def _solve(a: Any, b: Any) -> Any:
    if a.ndim > 2 and not b.size:
        raise ZeroDivisionError("division by zero")
    return np.linalg.solve(a, b)


BEHIND: dict[str, Any] = {
    "lexsort": _lexsort, "solve_triangular": _solve_triangular, "lu_factor": _lu_factor,
    "where": _where, "broadcast_arrays": _broadcast_arrays, "solve": _unchecked(_solve),
    **{name: _unchecked(getattr(np.linalg, name)) for name in ("cholesky", "inv")},
}  # fmt: skip
#: What stands for CuPy's modules; for cupyx.scipy.special its namesake.
MODULES: dict[str, Any] = {
    "cupy": np, "cupy.linalg": np.linalg, "cupy.fft": np.fft, "cupy.lib.stride_tricks": np.lib.stride_tricks,
    "cupyx.scipy.linalg": scipy.linalg,
}  # fmt: skip


def _module(name: str) -> ModuleType:
    module = ModuleType(name)
    source = MODULES.get(name, scipy.special)
    for key, record in API["modules"][name].items():
        behind = BEHIND.get(key) or getattr(source, key, None)
        if behind is not None:
            make = ufunc if record["kind"] == "ufunc" else _function
            setattr(module, key, make(key, record, behind))
    return module


class CUDARuntimeError(RuntimeError):
    """`cupy.cuda.runtime.CUDARuntimeError`."""


def modules() -> dict[str, ModuleType]:
    """The modules of a CuPy on a machine with two devices."""
    found = {name: _module(name) for name in API["modules"]}
    for name in ("cupy.lib", "cupy.cuda", "cupy.cuda.runtime", "cupyx", "cupyx.scipy"):
        found[name] = ModuleType(name)
    top: Any = found["cupy"]
    top.ndarray, top.asnumpy, top.__version__ = ndarray, _asnumpy, API["version"]
    top.matmul = ufunc("matmul", {"nin": 2, "nout": 1, "loops": np.matmul.types}, np.matmul)
    extension: Any = found["cupyx"]
    extension.errstate = errstate
    cuda: Any = found["cupy.cuda"]
    cuda.Device = Device
    cuda.Stream, cuda.Graph, cuda.UnownedMemory, cuda.MemoryPointer = Stream, Graph, UnownedMemory, MemoryPointer
    cuda.alloc_pinned_memory = bytearray
    cuda.get_current_stream = lambda device_id=-1: Stream.current[-1] if Stream.current else Stream.null
    cuda.set_allocator = lambda allocator=None: None
    top.ElementwiseKernel = ElementwiseKernel
    top.get_default_memory_pool = MemoryPool
    runtime: Any = found["cupy.cuda.runtime"]
    runtime.getDeviceCount = lambda: Device.count
    runtime.getDevice = lambda: Device.current
    runtime.getDeviceProperties = lambda number: {
        "name": b"Stand-in", "major": 9, "minor": 0, "totalGlobalMem": 1 << 30, "multiProcessorCount": 4
    }  # fmt: skip
    runtime.free = lambda ptr: None
    runtime.driverGetVersion = runtime.runtimeGetVersion = lambda: 13000
    runtime.memGetInfo = lambda: (1 << 20, 1 << 20)
    runtime.CUDARuntimeError = CUDARuntimeError
    for name, module in found.items():
        module.__spec__ = ModuleSpec(name, None)
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(found[parent], own, module)
    return found


def _forget() -> None:
    """What has been imported."""
    for module in (cupy, cupy_special, cupy_linalg, cupyx):
        module.cache_clear()


@contextmanager
def installed() -> Iterator[Any]:
    """The stand-in as `cupy` for a `with` block."""
    names = [name for name in sys.modules if name.partition(".")[0] in ("cupy", "cupyx")]
    before = {name: sys.modules.pop(name) for name in names}
    sys.modules.update(modules())
    _forget()
    try:
        yield sys.modules["cupy"]
    finally:
        _forget()
        for name in [name for name in sys.modules if name.partition(".")[0] in ("cupy", "cupyx")]:
            del sys.modules[name]
        sys.modules.update(before)
