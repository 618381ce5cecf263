"""The quick way into a native program: a function for CPython, written in LLVM IR, that reads NumPy's array structs.

It takes the arguments of a call, and runs the program if they are nests of just the structure that the program was
made for, and each leaf an array of just the type, shape and strides, or a number of just the type. Whatever else it is
given, it returns NotImplemented, and the caller goes the general way. So it does while another call is under way:
making an array may collect garbage, and so let another thread in.

The layouts read here are those of the public structs of CPython (`PyObject`, `PyFloatObject`, `PyTupleObject`,
`PyListObject`) and of NumPy's C API (`PyArrayObject_fields`, scalars) for 64-bit machines.
"""

from __future__ import annotations

import ctypes
import sys
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ....core.dtypes import is_bfloat16
from ...donation import span
from ...nests import Nest, outermost_first
from ...places import Place
from .engine import engine, once
from .functions import Method, function, method
from .runtime import ENTER, HEADER, tables

#: The numbers of PyArray_Scalar, PyArray_NewFromDescr and PyArray_SetBaseObject in the table of NumPy's C API.
_NEW_SCALAR, _NEW_ARRAY, _SET_BASE = 60, 94, 282
#: Flags of arrays in that API.
_OWNS_DATA, _ALIGNED, _WRITEABLE = 0x4, 0x100, 0x400
#: What a number is made with, by the type of Python's number.
_PYTHONS = {"f": tables.TO_FLOAT, "i": tables.TO_INT, "b": tables.TO_BOOL, "c": tables.TO_COMPLEX}


@once
def _method() -> Method:
    """The function, linked to the addresses that belong to this process."""
    api = np._core._multiarray_umath._ARRAY_API
    pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    table = ctypes.cast(pointer_of(api, None), ctypes.POINTER(ctypes.c_void_p))
    addresses = {
        "ARRAY_TYPE": id(np.ndarray), "TEXT_TYPE": id(str), "NOT_IMPLEMENTED": id(NotImplemented), "NO_VALUE": id(None),
        "NEW_ARRAY": table[_NEW_ARRAY], "NEW_SCALAR": table[_NEW_SCALAR], "SET_BASE": table[_SET_BASE],
        "RUN_PROGRAM": engine().runtime["run_program"],
    }  # fmt: skip
    return method(ENTER, addresses)


class Interface(NamedTuple):
    """What a program takes and returns.

    Attributes:
        arguments: the places of the leaves, and the type of number that is expected, if one is.
        results: the places of the results, and for those without axes whether they are Python's numbers; None for
            arrays.
        inside: the nest of the arguments, a tuple; outside: that of what is returned.
    """

    arguments: Sequence[tuple[Place, type | None]]
    results: Sequence[tuple[Place, bool | None]]
    inside: Nest
    outside: Nest | int


class Entry:
    """A way into a program: `call` takes arguments, and returns what the program returns, or NotImplemented.

    Args:
        program: code, its count, the slots, which are this entry's own, and a number that counts calls down to zero.
        shares: whether other Python threads may run meanwhile.
        donated: the numbers of the arguments that the program overwrites, and for each result that is in the memory of
            one of them its number.
        kept: what the program needs to stay alive.
    """

    __slots__ = ("call", "kept")

    def __init__(
        self,
        interface: Interface,
        program: tuple[int, int, array[int], array[int]],
        shares: bool,
        donated: tuple[Collection[int], Mapping[int, int]],
        kept: Any,
    ):
        code, steps, slots, calls_left = program
        overwritten, handed_out = donated
        arguments, results, inside, _ = interface
        records = _Records(interface)
        numbers = [
            *records.of_nests(), *records.of_arguments(overwritten), *records.of_results(handed_out, slots),
            *records.of_returned(),
        ]  # fmt: skip
        counts = len(records.objects), len(results), len(records.returned)
        rooms = [array("q", [0] * (count + 1)) for count in counts]
        spans = _spans(arguments, overwritten) if overwritten else []
        span_table = array("q", [*(number for record in spans for number in record), *range(len(spans)), 0])
        table = [
            0, len(inside.parts), code, steps, slots.buffer_info()[0], int(shares), len(results), len(records.objects),
            len(records.nests), len(arguments), len(records.returned),
            *(space.buffer_info()[0] for space in (*rooms, calls_left, span_table)), len(spans),
        ]  # fmt: skip
        self.kept = rooms, span_table, records, calls_left, kept
        self.call: Callable[..., Any] = function(_method(), array("q", [*table, *numbers]), self.kept)


class _Records:
    """What stands in the table behind its fields (runtime/tables.py), and all that it points to.

    Attributes:
        interface: its nests have the keys that records point to.
        objects: the parts of the arguments, from the outside in, as they are numbered; which of them are nests.
        returned: the parts of what is returned, and with what an object for each is made.
        cells: where numbers are.
    """

    def __init__(self, interface: Interface):
        arguments, results, inside, outside = self.interface = interface
        self.objects = [part for part, *_ in outermost_first(inside)][1:]
        self.nests = [(number, part) for number, part in enumerate(self.objects) if isinstance(part, Nest)]
        self.numbers = {part: number for number, part in enumerate(self.objects) if not isinstance(part, Nest)}
        self.returned = [(*about, _pattern(about[0])) for about in outermost_first(outside)]
        self.dtypes = [_plain(place.dtype) for place, _ in (*arguments, *results)]
        self.cells = array("q", [0] * 2 * len(self.dtypes))
        self.free_cells = iter(range(self.cells.buffer_info()[0], sys.maxsize, 16))

    def of_nests(self) -> Iterator[int]:
        for number, nest in self.nests:
            yield from (number, id(nest.type), len(nest.parts), tables.KINDS[nest.kind], *map(id, nest.keys))
            if nest.is_static:
                yield int(nest.is_compared)

    def of_arguments(self, overwritten: Collection[int]) -> Iterator[int]:
        for i, ((place, scalar), dtype) in enumerate(zip(self.interface.arguments, self.dtypes)):
            yield from (self.numbers[i], HEADER + place.slot)
            if scalar is None:
                flags = _ALIGNED | _WRITEABLE | _OWNS_DATA if i in overwritten else _ALIGNED
                yield from (id(dtype), len(place.shape), flags, *place.shape, *place.strides)
            else:
                yield from (0, next(self.free_cells), id(scalar), _how_to_read(scalar))

    def of_results(self, handed_out: Mapping[int, int], slots: array[int]) -> Iterator[int]:
        """The slots of numbers are set to where these are."""
        arguments, results, *_ = self.interface
        for k, ((place, is_weak), dtype) in enumerate(zip(results, self.dtypes[len(arguments) :])):
            where, ndim, what = HEADER + place.slot, len(place.shape), tables.TO_ARRAY
            if k in handed_out:
                argument, _ = arguments[handed_out[k]]
                where = self.numbers[handed_out[k]]
                what = tables.TO_ARGUMENT if argument[2:4] == place[2:4] else tables.TO_VIEW
            elif not place.shape and is_weak is not None:
                slots[where] = where = next(self.free_cells)
                what = _PYTHONS[dtype.kind] if is_weak else tables.TO_SCALAR
            yield from (where, ndim, id(dtype), what, *place.shape)

    def of_returned(self) -> Iterator[int]:
        for part, number, parent, place, pattern in self.returned:
            where = id(parent.keys[place]) if parent is not None and parent.keys else place
            above = "root" if parent is None else _built(parent)
            yield from (tables.KINDS[_built(part)], len(part.parts) if isinstance(part, Nest) else part)
            yield from (0 if pattern is None else id(pattern), number, tables.KINDS[above], where)


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The object that stands for a dtype in most arrays."""
    return dtype if is_bfloat16(dtype) else np.dtype(dtype.str)


def _spans(
    arguments: Sequence[tuple[Place, type | None]], overwritten: Collection[int]
) -> list[tuple[int, int, int, int]]:
    """For each array with elements its slot, from where to where they go, and whether they are overwritten."""
    arrays = [(i, place) for i, (place, scalar) in enumerate(arguments) if scalar is None and 0 not in place.shape]
    return [(HEADER + place.slot, *span(0, place), int(i in overwritten)) for i, place in arrays]


def _built(part: Nest | int) -> str:
    """What kind of object is made of a part of what is returned."""
    if not isinstance(part, Nest):
        return "leaf"
    return "named" if part.kind == "tuple" and part.type is not tuple else part.kind


def _pattern(part: Nest | int) -> Any:
    """What an object is made like."""
    kind = _built(part)
    return dict.fromkeys(part.keys) if kind == "dict" else part.type if kind == "named" else None


def _how_to_read(scalar: type) -> int:
    if scalar in (int, bool):
        return tables.READ_LONG
    return tables.READ_COMPLEX if issubclass(scalar, (complex, np.complex128)) else tables.READ_BYTES
