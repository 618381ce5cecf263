"""Which expression in the user's line wants the value of a tracer, and what to write in its place."""

from __future__ import annotations

import ast
import builtins
import dis
import linecache
import math
import sys
from types import FrameType, ModuleType
from typing import Any, Final

import numpy as np

from ..source import user_frame

_STORES: Final = {"STORE_SUBSCR", "STORE_SLICE"}
_RANDOM: Final = (np.random.RandomState, np.random.Generator)
_BUILTINS: Final = {
    "float": "Leave `float(...)` out: what it is given is computed with as it is.",
    "int": "Write x.astype(int) instead of int(x).",
    "complex": "Write x.astype(complex) instead of complex(x).",
    "range": "Take functrans.lax.fori_loop or functrans.lax.scan for a loop over so many steps.",
}
#: Iterators of NumPy's over arrays, and what else does not look for traced values.
_ITERATORS: Final = {
    np.ndenumerate: "Loop over np.ndindex(x.shape) and read x[i].",
    np.broadcast: "Take np.broadcast_arrays, or np.broadcast_shapes for the shape.",
}
#: Methods of arrays that return what is of Python.
_METHODS: Final = {
    "item": "Leave `.item()` out: what it is called on is computed with as it is.",
    "tolist": "Leave `.tolist()` out: loop over the array, or index it.",
}
_FIXED: Final = "Shapes, axes and numbers of elements are fixed while tracing."
_POLYNOMIALS: Final = "Take np.polyval(p, x), whose coefficients begin with that of the highest power."
_STACKED: Final = "NumPy does not look for traced values inside of lists: put them together with np.stack first."


def advice(wanted: str) -> str:
    """A sentence about the expression that runs now in the user's code; nothing where none is known of it.

    Args:
        wanted: what it wants of a traced value, such as "index".
    """
    frame = user_frame()
    node = None if frame is None else _expression(frame)
    if frame is None or node is None:
        return ""
    if isinstance(node, ast.Subscript):
        is_store = dis.opname[frame.f_code.co_code[frame.f_lasti]] in _STORES
        return _about_element(node, _value_of(node.value, frame), is_store)
    if not isinstance(node, ast.Call):
        return ""
    if wanted == "index":  # by any function
        name = ast.unparse(node.func)
        return _BUILTINS.get(name, _FIXED) if _value_of(node.func, frame) is getattr(builtins, name, None) else _FIXED
    return _about_call(node, frame)


def _expression(frame: FrameType) -> ast.expr | None:
    """What the instruction that a frame is at was compiled from; None if the source cannot be read."""
    first, last, start, end = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    if first is None or last is None or start is None or end is None:
        return None
    lines = [linecache.getline(frame.f_code.co_filename, n).encode() for n in range(first, last + 1)]
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    try:
        return ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except SyntaxError:
        return None


def _about_element(node: ast.Subscript, array: Any, is_store: bool) -> str:
    """Advice on `a[i]` and `a[i] = x`, where a is no traced array."""
    name = ast.unparse(node.value)
    if array is np.r_ or array is np.c_:
        return f"Write functrans.numpy.{'r_' if array is np.r_ else 'c_'}[...]."
    if is_store:
        return (
            f"`{name}` is a plain NumPy array: make it with np.zeros_like(x), np.zeros(n, like=x) or "
            "functrans.numpy.zeros(n), or from an array a that there is with functrans.numpy.array(a) or "
            "np.array(a, like=x)."
        )
    return f"Index with functrans.numpy.take({name}, i) or functrans.numpy.asarray({name})[i]."


def _about_call(node: ast.Call, frame: FrameType) -> str:
    """Advice on a call of a function that does not take traced values, or not inside of lists."""
    function, ours = _value_of(node.func, frame), sys.modules.get("functrans.numpy")
    if isinstance(node.func, ast.Call):
        function = _value_of(node.func.func, frame)
    name = getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    if function is None and isinstance(node.func, ast.Attribute):
        return _METHODS.get(node.func.attr, "")
    if isinstance(function, type) and function in _ITERATORS:
        return _ITERATORS[function]
    if str(getattr(function, "__module__", "")).startswith("numpy.polynomial."):
        return _POLYNOMIALS
    if function is np.vectorize or isinstance(function, np.vectorize):
        return "Instead of np.vectorize take functrans.numpy.vectorize."
    if isinstance(owner, np.ufunc) and any(isinstance(arg, (ast.List, ast.Tuple)) for arg in node.args):
        return _STACKED
    if isinstance(owner, _RANDOM):
        return "Take random numbers of functrans.random, whose parameters may be traced."
    if function is getattr(builtins, name, None):
        return _BUILTINS.get(name, "")
    if name and function is getattr(math, name, None) and hasattr(np, name):
        return f"Write np.{name} instead of math.{name}."
    if not name or function is not getattr(np, name, None):
        return ""
    if name in ("array", "asarray"):
        return "Put traced values together with np.stack or functrans.numpy.array."
    if name == "arange":
        return "How many elements np.arange has must be known: write np.arange(n) * step with a number n."
    if getattr(ours, name, None) is function:
        return _STACKED
    return f"Call functrans.numpy.{name}, which takes traced values." if hasattr(ours, name) else ""


def _value_of(node: ast.expr, frame: FrameType) -> Any:
    """What a name stands for, or an attribute of a module, ufunc or random generator; None for anything else."""
    if isinstance(node, ast.Name):
        scopes = (frame.f_locals, frame.f_globals, frame.f_builtins)
        return next((scope[node.id] for scope in scopes if node.id in scope), None)
    if isinstance(node, ast.Attribute):
        owner = _value_of(node.value, frame)
        return getattr(owner, node.attr, None) if isinstance(owner, (ModuleType, np.ufunc, *_RANDOM)) else None
    return None
