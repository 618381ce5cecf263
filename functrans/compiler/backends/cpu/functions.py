"""Functions for CPython in machine code: a low-level function that CPython calls, and for each of them a table.

Its arguments are `self, args, count`, where `self` is a capsule; the table is what stands behind its head, 16 bytes
from its beginning. A method gets the object as `self`, and `names`, a tuple or null: those of the arguments that stand
behind the others. What cannot be had this way (other Python implementations, debug builds with larger object headers)
has no such functions.
"""

from __future__ import annotations

import ctypes
import sys
from array import array
from collections.abc import Callable, Mapping
from typing import Any

from .engine import engine
from .lowlevel.modules import Module
from .lowlevel.translation import PREFIX


def is_possible() -> bool:
    """Whether objects are laid out as such texts expect."""
    is_usual = object.__basicsize__ == 16 and "t" not in getattr(sys, "abiflags", "")
    return sys.implementation.name == "cpython" and sys.maxsize > 2**32 and is_usual


class Method(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)
    ]  # fmt: skip


_FASTCALL, _KEYWORDS = 0x80, 0x2
_new_function = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_new_descriptor = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_void_p)(
    ("PyDescr_NewMethod", ctypes.pythonapi)
)


def method(module: Module, addresses: Mapping[str, int | None]) -> Method:
    """What CPython calls, compiled.

    Args:
        module: with one exported function.
        addresses: of this process, by the symbols of the module.
    """
    return Method(b"program", _compiled(module, addresses), _FASTCALL, None)


def call_method(module: Module, addresses: Mapping[str, int | None]) -> Method:
    """The same for a method `__call__` with any arguments."""
    signature = b"__call__($self, /, *args, **kwargs)\n--\n\n"
    return Method(b"__call__", _compiled(module, addresses), _FASTCALL | _KEYWORDS, signature)


def _compiled(module: Module, addresses: Mapping[str, int | None]) -> int:
    (found,) = engine().plain.added(module, {PREFIX + name: at or 0 for name, at in addresses.items()}).values()
    return found


def descriptor(made: Method, owner: type) -> Any:
    """A method of a class."""
    return _new_descriptor(owner, ctypes.addressof(made))


def function(made: Method, table: array[int], kept: Any) -> Callable[..., Any]:
    """A function with a table.

    Args:
        kept: all that it reads. It is the function's module, so that it lives as long as the function itself.
    """
    capsule = _new_capsule(table.buffer_info()[0], None, None)
    return _new_function(ctypes.addressof(made), capsule, (capsule, table, kept))
