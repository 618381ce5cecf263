"""Functions of numbers that users write: Python that Numba compiles, or CUDA C++; what each backend needs of them.

The one file that imports Numba, when such a function is first compiled.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import blake2b
from itertools import count
from threading import RLock
from types import ModuleType
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from ..core.avals import PYTHON_SCALARS, ShapedArray, is_inexact, real_dtype
from ..core.dtypes import SINGLE, is_half, result_type
from ..errors import ScalarFunctionError
from . import special

#: What names of functions that users wrote begin with in kernels.
PREFIX: Final = "functrans_user_"
#: C functions that kernels know, with vector versions, by the names that Numba calls them by.
_KNOWN: Final = {
    **{name: (name, "double", 1) for name in ("sin", "cos", "tan", "exp", "exp2", "log", "log2", "log10", "expm1")},
    **{name: (name, "double", 1) for name in ("log1p", "sinh", "cosh", "tanh", "erf", "erfc")},
    **{name: (name, "double", 2) for name in ("pow", "atan2", "hypot")},
}  # fmt: skip
#: Intrinsics of LLVM that are instructions, or made of some.
_INTRINSICS: Final = (
    "fabs", "sqrt", "floor", "ceil", "trunc", "rint", "nearbyint", "round", "copysign", "fma", "fmuladd", "minnum",
    "maxnum", "abs", "smax", "smin", "umax", "umin", "ctpop", "ctlz", "cttz", "is.fpclass", "fshl", "fshr", "bswap",
    "fptosi.sat", "fptoui.sat", "usub.sat", "uadd.sat", "lifetime.start", "lifetime.end", "assume", "powi",
)  # fmt: skip
_TYPES: Final = {"f8": "double", "f4": "float", "i8": "i64", "i4": "i32", "i2": "i16", "i1": "i8", "b1": "i8"}
_CUDA_TYPES: Final = {
    "f8": "double", "f4": "float", "i8": "long long", "i4": "int", "i2": "short", "i1": "signed char",
    "u8": "unsigned long long", "u4": "unsigned int", "u2": "unsigned short", "u1": "unsigned char", "b1": "bool",
}  # fmt: skip
#: Stands for the name of a function in its own text.
_SELF: Final = "a_function_of_a_user"
_lock = RLock()


class Llvm:
    """A function in LLVM IR.

    Attributes:
        name: it depends on the text only, so that machine code is found again by the text of those that call it.
        text: its definition and that of what it calls.
        calls: the C functions with vector versions that it calls: their type and number of operands.
    """

    __slots__ = ("__weakref__", "calls", "name", "text")

    def __init__(self, text: str, calls: dict[str, tuple[str, int]]):
        self.name = PREFIX + _digest(text)
        self.text = text.replace(_SELF, self.name)
        self.calls = calls


class Signature(NamedTuple):
    """A scalar function for operands of some dtypes.

    Attributes:
        operands: the dtypes that operands are cast to.
        computed: the dtype that it gives.
        result: the dtype of results.
    """

    operands: tuple[np.dtype[Any], ...]
    computed: np.dtype[Any]
    result: np.dtype[Any]


class ScalarFunction:
    """A function from numbers to a number.

    Attributes:
        python: in Python, or None.
        cuda: in CUDA C++, an expression in the parameters or statements with `return`; or None.
        parameters: the names of its operands.
        derivatives: for each operand `(y, *xs) -> dy/dx`, a number, or None for zero; None: they are derived.
        dtype: of the results; None: what Numba finds, in the precision of the operands.
        traces: the jaxprs of the Python function, by signature.
    """

    def __init__(
        self, name: str, python: Callable[..., Any] | None, cuda: str | None, parameters: tuple[str, ...],
        derivatives: tuple[Any, ...] | None, dtype: np.dtype[Any] | None,
    ):  # fmt: skip
        self.name = name
        self.python = python
        self.cuda = cuda
        self.parameters = parameters
        self.derivatives = derivatives
        self.dtype = dtype
        self.number = next(_numbers)
        self._signatures: dict[Any, Signature] = {}
        self._ufuncs: dict[Signature, Any] = {}
        self._llvm: dict[str, Llvm | None] = {}
        self.traces: dict[Signature, Any] = {}

    def __repr__(self) -> str:
        return self.name

    def signature(self, avals: Sequence[ShapedArray]) -> Signature:
        """What operands of some types are cast to, and what comes of them."""
        key = tuple((a.dtype, a.weak) for a in avals)
        if key not in self._signatures:
            signature = self._signatures[key] = self._new_signature(avals)
            known[self.operation(signature)] = self
        return self._signatures[key]

    def operation(self, signature: Signature) -> str:
        """What the function for operands of some dtypes is called in kernels: a name that no other function has."""
        dtypes = (*signature.operands, signature.computed)
        return f"{PREFIX}{self.number}_{self.name}_{'_'.join(d.kind + str(d.itemsize) for d in dtypes)}"

    def _new_signature(self, avals: Sequence[ShapedArray]) -> Signature:
        inexact = [a.dtype for a in avals if is_inexact(a.dtype) and not a.weak]
        strong = [a.dtype for a in avals if not a.weak]
        operands = tuple(_operand_dtype(a, strong) for a in avals)
        if self.python is None:
            assert self.dtype is not None
            return Signature(operands, self.dtype, self.dtype)
        with _lock:
            computed = self._dispatcher_for(operands)[0]
        result = computed
        if self.dtype is not None:
            result = self.dtype
        elif inexact and computed.kind in "fc":
            precision = result_type(*map(real_dtype, inexact))
            result = precision if computed.kind == "f" else result_type(precision, np.complex64)
        return Signature(operands, computed, result)

    # ---- on the host

    def _dispatcher_for(self, operands: tuple[np.dtype[Any], ...]) -> tuple[np.dtype[Any], Any, Any]:
        """The dtype of the result, the function compiled by Numba, and its types."""
        types = tuple(map(numba().from_dtype, operands))
        dispatcher = _dispatcher(self.python)
        try:
            dispatcher.compile(types)
        except Exception as error:
            raise ScalarFunctionError(
                f"Numba could not compile `{self.name}` for operands of dtype {', '.join(d.name for d in operands)}.",
                f"It says: {_short(error)}",
                "A function of numbers may use arithmetic, `if`, loops and the module math; write the others with "
                "functrans.numpy.",
            ) from None
        found = dispatcher.overloads[types].signature.return_type
        try:
            return np.dtype(numba().np.numpy_support.as_dtype(found)), dispatcher, types
        except numba().core.errors.NumbaNotImplementedError:
            raise ScalarFunctionError(
                f"`{self.name}` returns {found} and not one number.",
                "It is called for each element, and gives one element.",
                "Return one number on every path through the function.",
            ) from None

    def ufunc(self, signature: Signature) -> Any:
        """The function of NumPy's arrays that Numba makes of it."""
        with _lock:
            if signature not in self._ufuncs:
                types = tuple(map(numba().from_dtype, signature.operands))
                returned = numba().from_dtype(signature.computed)
                self._ufuncs[signature] = numba().vectorize([returned(*types)], nopython=True)(self.python)
            return self._ufuncs[signature]

    def on_host(self, xs: Sequence[Any], signature: Signature) -> Any:
        """The results at arrays and numbers of the host."""
        if self.python is None:
            raise ScalarFunctionError(
                f"`{self.name}` was called with arrays of the host, and is written in CUDA C++ only.",
                "There is nothing that could run on the host.",
                "Give the function in Python too, or call it with arrays of a GPU.",
            )
        operands = [np.asarray(x, dtype) for x, dtype in zip(xs, signature.operands)]
        return np.asarray(self.ufunc(signature)(*operands)).astype(signature.result, copy=False)[()]

    def llvm(self, operation: str) -> Llvm | None:
        """The function of a name in a kernel in LLVM IR.

        None if it must be called as a ufunc: it may raise, or calls what kernels do not know.
        """
        with _lock:
            if operation not in self._llvm:
                self._llvm[operation] = found = self._new_llvm(self._of(operation))
                if found is not None:
                    definitions[found.name] = found
            return self._llvm[operation]

    def _of(self, operation: str) -> Signature:
        return next(s for s in self._signatures.values() if self.operation(s) == operation)

    def _new_llvm(self, signature: Signature) -> Llvm | None:
        dtypes = (*signature.operands, signature.computed)
        named = [_TYPES.get(d.kind.replace("u", "i") + str(d.itemsize)) for d in dtypes]
        if self.python is None or None in named or any(d.kind == "b" for d in signature.operands):
            return None
        _, dispatcher, types = self._dispatcher_for(signature.operands)
        mangled = dispatcher.overloads[types].fndesc.llvm_func_name
        return _extracted(dispatcher.inspect_llvm(types), mangled, named)

    # ---- on a GPU

    def cuda_lambda(self, operation: str) -> str | None:
        """The function of a name in a kernel in CUDA C++, to be called at once; None if it is not written in that."""
        signature = self._of(operation)
        names = [_CUDA_TYPES.get(d.kind + str(d.itemsize)) for d in (*signature.operands, signature.computed)]
        if self.cuda is None or None in names:
            return None
        *types, returned = names
        parameters = ", ".join(f"{t} {name}" for t, name in zip(types, self.parameters))
        body = self.cuda if re.search(r"\breturn\b", self.cuda) else f"return {self.cuda};"
        return f"[]({parameters}) -> {returned} {{ {body} }}"


#: The functions that are alive, by their names in kernels, which are names of operations.
known: WeakValueDictionary[str, ScalarFunction] = WeakValueDictionary()
#: The same in LLVM IR, by their names there.
definitions: WeakValueDictionary[str, Llvm] = WeakValueDictionary()
_numbers = count()


def shown_operation(operation: str) -> str:
    """The name of an operation for people: of a function that a user wrote, what they call it."""
    return known[operation].name if operation in known else operation


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()


@cache
def numba() -> Any:
    """Numba."""
    import numba
    import numba.np.numpy_support

    return numba


@cache
def _dispatcher(python: Callable[..., Any]) -> Any:
    return numba().njit(error_model="numpy")(python)


def _operand_dtype(aval: ShapedArray, strong: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
    """What an operand is cast to: a Python number to the precision of the others, a half to single precision."""
    dtype = aval.dtype
    if aval.weak and dtype.kind in "fc":
        dtype = result_type(*(d for d in strong if is_inexact(d)), dtype.type(0).item()) if strong else dtype
    return SINGLE if is_half(dtype) else dtype


def _short(error: Exception) -> str:
    """The first lines of what Numba says that say something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:4])[:400]


# ---- from Numba's module to definitions that kernels can inline


def _extracted(module: str, mangled: str, types: Sequence[str]) -> Llvm | None:
    """The definition of a function that Numba compiled, and a function of plain numbers around it."""
    found = re.search(rf'^define [^\n]*@"?{re.escape(mangled)}"?\(.*?^}}', module, re.DOTALL | re.MULTILINE)
    if found is None:
        return None
    head, _, body = found.group().partition("\n")
    if re.search(r"ret i32 (?!0\b)|%excinfo", body) or "load ptr" in body:
        return None
    calls: dict[str, tuple[str, int]] = {}
    lines = [_rewritten(line, calls) for line in body.splitlines()]
    if None in lines:
        return None
    parameters = re.findall(r"(\w+)(?: [\w()\[\], -]*?)? (%\.?[\w.]+|%\"[^\"]+\")(?=[,)])", head)
    if [t for t, _ in parameters[2:]] != list(types[:-1]):
        return None
    inner, returned = f"{_SELF}_numba", types[-1]
    arguments = ", ".join(f"{t} {name}" for t, name in parameters[2:])
    plain = ", ".join(f"{t} %x{i}" for i, t in enumerate(types[:-1]))
    text = [f"define internal i32 @{inner}(ptr %retptr, ptr %excinfo, {arguments}) alwaysinline nounwind {{", *lines]
    text += [
        f"define internal {returned} @{_SELF}({plain}) alwaysinline nounwind {{",
        f"  %place = alloca {returned}",
        f"  %status = call i32 @{inner}(ptr %place, ptr null, {plain})",
        f"  %result = load {returned}, ptr %place",
        f"  ret {returned} %result",
        "}",
    ]
    return Llvm("\n".join(text), calls)


_CALL: Final = re.compile(r"call ([^@]*?)([\w.]+) @\"?([\w.$]+)\"?\((.*)\)")


def _rewritten(line: str, calls: dict[str, tuple[str, int]]) -> str | None:
    """A line without references to attributes and metadata; None if it calls what kernels do not know."""
    line = re.sub(r", !\w+(\.\w+)* !\d+", "", line).split(" ;")[0]
    line = re.sub(r" #\d+$", "", line.rstrip())
    call = _CALL.search(line)
    if call is None:
        return None if "@" in line else line
    _, returned, name, operands = call.groups()
    plain = name.removeprefix("llvm.").rsplit(".", 1)[0] if name.startswith("llvm.") else name
    if name.startswith("llvm.") and any(plain.startswith(known) for known in _INTRINSICS):
        return line
    if plain.endswith("f") and plain[:-1] in _KNOWN and returned == "float":
        plain = plain[:-1]
    if plain not in _KNOWN or returned not in ("double", "float"):
        return None
    function, _, arity = _KNOWN[plain]
    function += "f" if returned == "float" else ""
    calls[function] = (returned, arity)
    return line[: call.start()].replace("tail ", "").replace("musttail ", "") + (
        f"call {returned} @{function}({operands}) #vector_{function}#"
    )


# ---- tracing functions that are written with the module math


#: NumPy's functions in place of those of the module math.
_NUMPY_NAMES: Final = {
    "fabs": "abs", "atan2": "arctan2", "atan": "arctan", "asin": "arcsin", "acos": "arccos", "asinh": "arcsinh",
    "acosh": "arccosh", "atanh": "arctanh", "pow": "power", "radians": "radians", "degrees": "degrees",
}  # fmt: skip


class _TracedMath:
    """Stands for the module math in functions that are traced."""

    def __getattr__(self, name: str) -> Any:
        of_numbers = getattr(math, name)
        of_arrays = getattr(special if name in ("erf", "erfc", "lgamma") else np, _NUMPY_NAMES.get(name, name), None)
        if not callable(of_numbers):
            return of_numbers
        if of_arrays is None:
            raise AttributeError(f"math.{name} has no meaning for traced values")
        return lambda *xs: (of_numbers if all(type(x) in PYTHON_SCALARS for x in xs) else of_arrays)(*xs)


def traceable(python: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with NumPy's functions in place of those of the module math."""
    if not inspect.isfunction(python):
        return python
    stand_in = _TracedMath()

    def replaced(value: Any) -> Any:
        if isinstance(value, ModuleType) and value.__name__ == "math":
            return stand_in
        is_of_math = inspect.isbuiltin(value) and getattr(value, "__module__", None) == "math"
        return getattr(stand_in, value.__name__) if is_of_math else value

    names = {name: replaced(value) for name, value in python.__globals__.items()}
    if all(names[name] is python.__globals__[name] for name in names):
        return python
    copy = type(python)(python.__code__, names, python.__name__, python.__defaults__, python.__closure__)
    copy.__kwdefaults__ = python.__kwdefaults__
    return copy
