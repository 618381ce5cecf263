"""The quick way into a native program: a function for CPython, written in LLVM IR, that reads NumPy's array structs.

It takes the leaves of the arguments as positional arguments, and runs the program if each of them is an array of just
the type, shape and strides that the program was made for, or a Python float where one is expected. Whatever else it is
given, it returns NotImplemented, and the caller goes the general way. So it does while another call is under way:
making an array may collect garbage, and so let another thread in.

The layouts read here are those of the public structs of CPython (`PyObject`, `PyFloatObject`) and of NumPy's C API
(`PyArrayObject_fields`) for 64-bit machines. What cannot be had this way (other Python implementations, debug builds
with larger object headers) has no entry.
"""

from __future__ import annotations

import ctypes
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...instructions import Place
from .engine import engine, once
from .runtime import HEADER, PATIENCE, expanded

#: The table that the function works by begins with: whether a call is under way; how many arguments; code, its count
#: and the slots of the program; whether others may run meanwhile; how many results. Then come the records of arguments:
#: slot, the dtype object, the number of axes, extents, strides (or, for a scalar of eight bytes: slot, 0, where it
#: goes, its type); and those of results: slot, number of axes, type number, extents.
RECORDS = 7

ENTER = """
define ptr @enter(ptr %self, ptr %args, i64 %count) {
entry:
  %table_at = getelementptr i8, ptr %self, i64 16
  %table = load ptr, ptr %table_at
  get i64 %busy = %table[BUSY]
  get i64 %wanted = %table[ARGUMENTS]
  get ptr %code = %table[CODE]
  get i64 %steps = %table[COUNT]
  get ptr %slots = %table[SLOTS]
  get i64 %shares = %table[SHARES]
  get i64 %results = %table[RESULTS]
  %is_free = icmp eq i64 %busy, 0
  %is_all = icmp eq i64 %count, %wanted
  %may = and i1 %is_free, %is_all
  br i1 %may, label %argument, label %other
argument:
  %i = phi i64 [0, %entry], [%i_next, %taken]
  %r = phi i64 [RECORDS, %entry], [%r_next, %taken]
  %has_more = icmp slt i64 %i, %count
  br i1 %has_more, label %look, label %allocate
look:
  get ptr %x = %args[%i]
  %type_at = getelementptr i8, ptr %x, i64 8
  %type = load ptr, ptr %type_at
  %r1 = add i64 %r, 1
  %r2 = add i64 %r, 2
  %r3 = add i64 %r, 3
  get i64 %slot = %table[%r]
  get ptr %dtype = %table[%r1]
  get i64 %ndim = %table[%r2]
  %place = getelementptr ptr, ptr %slots, i64 %slot
  %is_number = icmp eq ptr %dtype, null
  br i1 %is_number, label %number, label %array
number:
  get ptr %wanted_type = %table[%r3]
  %is_wanted = icmp eq ptr %type, %wanted_type
  br i1 %is_wanted, label %read, label %other
read:
  %value_at = getelementptr i8, ptr %x, i64 16
  %value = load i64, ptr %value_at
  %room = inttoptr i64 %ndim to ptr
  store i64 %value, ptr %room
  store ptr %room, ptr %place
  br label %taken
array:
  %is_array = icmp eq ptr %type, ARRAY_TYPE
  br i1 %is_array, label %fields, label %other
fields:
  %has_dtype_at = getelementptr i8, ptr %x, i64 56
  %has_dtype = load ptr, ptr %has_dtype_at
  %has_ndim_at = getelementptr i8, ptr %x, i64 24
  %has_ndim32 = load i32, ptr %has_ndim_at
  %has_ndim = sext i32 %has_ndim32 to i64
  %flags_at = getelementptr i8, ptr %x, i64 64
  %flags = load i32, ptr %flags_at
  %aligned = and i32 %flags, 256
  %is_aligned = icmp ne i32 %aligned, 0
  %same_dtype = icmp eq ptr %has_dtype, %dtype
  %same_ndim = icmp eq i64 %has_ndim, %ndim
  %same_type = and i1 %same_dtype, %same_ndim
  %fits = and i1 %same_type, %is_aligned
  br i1 %fits, label %axes, label %other
axes:
  %data_at = getelementptr i8, ptr %x, i64 16
  %data = load ptr, ptr %data_at
  %extents_at = getelementptr i8, ptr %x, i64 32
  %extents = load ptr, ptr %extents_at
  %strides_at = getelementptr i8, ptr %x, i64 40
  %strides = load ptr, ptr %strides_at
  %after_extents = add i64 %r3, %ndim
  br label %axis
axis:
  %a = phi i64 [0, %axes], [%a_next, %same_axis]
  %more_axes = icmp slt i64 %a, %ndim
  br i1 %more_axes, label %compare, label %fitting
compare:
  %e = add i64 %r3, %a
  %s = add i64 %after_extents, %a
  get i64 %extent = %extents[%a]
  get i64 %stride = %strides[%a]
  get i64 %wanted_extent = %table[%e]
  get i64 %wanted_stride = %table[%s]
  %same_extent = icmp eq i64 %extent, %wanted_extent
  %same_stride = icmp eq i64 %stride, %wanted_stride
  %same = and i1 %same_extent, %same_stride
  br i1 %same, label %same_axis, label %other
same_axis:
  %a_next = add i64 %a, 1
  br label %axis
fitting:
  %axis_numbers = shl i64 %ndim, 1
  store ptr %data, ptr %place
  br label %taken
taken:
  %rest = phi i64 [1, %read], [%axis_numbers, %fitting]
  %r_next = add i64 %r3, %rest
  %i_next = add i64 %i, 1
  br label %argument
allocate:
  store i64 1, ptr %busy_at
  %found = call ptr @PyTuple_New(i64 %results)
  %no_tuple = icmp eq ptr %found, null
  br i1 %no_tuple, label %failed, label %result
result:
  %j = phi i64 [0, %allocate], [%j_next, %made]
  %q = phi i64 [%r, %allocate], [%q_next, %made]
  %more_results = icmp slt i64 %j, %results
  br i1 %more_results, label %make, label %run
make:
  %q1 = add i64 %q, 1
  %q2 = add i64 %q, 2
  %q3 = add i64 %q, 3
  get i64 %to = %table[%q]
  get i64 %rank = %table[%q1]
  get i64 %number_of_type = %table[%q2]
  %shape = getelementptr i64, ptr %table, i64 %q3
  %rank32 = trunc i64 %rank to i32
  %type32 = trunc i64 %number_of_type to i32
  %y = call ptr NEW_ARRAY(
    ptr ARRAY_TYPE, i32 %rank32, ptr %shape, i32 %type32, ptr null, ptr null, i32 0, i32 0, ptr null)
  %no_array = icmp eq ptr %y, null
  br i1 %no_array, label %dropped, label %made
made:
  %kept = call i32 @PyTuple_SetItem(ptr %found, i64 %j, ptr %y)
  %y_data_at = getelementptr i8, ptr %y, i64 16
  %y_data = load ptr, ptr %y_data_at
  %y_place = getelementptr ptr, ptr %slots, i64 %to
  store ptr %y_data, ptr %y_place
  %q_next = add i64 %q3, %rank
  %j_next = add i64 %j, 1
  br label %result
run:
  get i64 %work = %slots[WORK_LEFT]
  store i64 PATIENCE, ptr %work_at
  %lets_go = icmp ne i64 %shares, 0
  br i1 %lets_go, label %alone, label %together
alone:
  %thread = call ptr @PyEval_SaveThread()
  %status_alone = call i64 RUN_PROGRAM(ptr %code, i64 %steps, ptr %slots)
  call void @PyEval_RestoreThread(ptr %thread)
  br label %ran
together:
  %status_together = call i64 RUN_PROGRAM(ptr %code, i64 %steps, ptr %slots)
  br label %ran
ran:
  %status = phi i64 [%status_alone, %alone], [%status_together, %together]
  store i64 0, ptr %busy_at
  %ended = icmp ne i64 %status, 0
  br i1 %ended, label %dropped, label %finish
finish:
  %k = phi i64 [0, %ran], [%k_next, %finished]
  %p = phi i64 [%r, %ran], [%p_next, %finished]
  %unfinished = icmp slt i64 %k, %results
  br i1 %unfinished, label %one, label %done
one:
  %p1 = add i64 %p, 1
  %p3 = add i64 %p, 3
  get i64 %axes_of = %table[%p1]
  %is_scalar = icmp eq i64 %axes_of, 0
  br i1 %is_scalar, label %scalar, label %finished
scalar:
  %offset = shl i64 %k, 3
  %item_offset = add i64 %offset, 24
  %item_at = getelementptr i8, ptr %found, i64 %item_offset
  %zero_d = load ptr, ptr %item_at
  %number_of_it = call ptr AS_SCALAR(ptr %zero_d)
  store ptr %number_of_it, ptr %item_at
  br label %finished
finished:
  %p_next = add i64 %p3, %axes_of
  %k_next = add i64 %k, 1
  br label %finish
done:
  ret ptr %found
dropped:
  call void @Py_DecRef(ptr %found)
  br label %failed
failed:
  store i64 0, ptr %busy_at
  ret ptr null
other:
  call void @Py_IncRef(ptr NOT_IMPLEMENTED)
  ret ptr NOT_IMPLEMENTED
}
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
"""
#: The numbers of PyArray_New and PyArray_Return in the table of NumPy's C API.
_NEW_ARRAY, _RETURN = 93, 76


def is_possible() -> bool:
    """Whether objects are laid out as this file expects."""
    is_usual = object.__basicsize__ == 16 and "t" not in getattr(sys, "abiflags", "")
    return sys.implementation.name == "cpython" and sys.maxsize > 2**32 and is_usual


@once
def _method() -> _Method:
    """The function, linked to the addresses that belong to this process."""
    api = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    table = ctypes.cast(pointer_of(api, None), ctypes.POINTER(ctypes.c_void_p))
    addresses = {
        "ARRAY_TYPE": id(np.ndarray), "NOT_IMPLEMENTED": id(NotImplemented), "NEW_ARRAY": table[_NEW_ARRAY],
        "AS_SCALAR": table[_RETURN], "RUN_PROGRAM": engine().runtime["run_program"],
    }  # fmt: skip
    text = ENTER.replace("PATIENCE", str(PATIENCE)).replace("[RECORDS,", f"[{RECORDS},").replace("i64 [R", "i64 [R")
    for name in addresses:  # as symbols, so that the text is the same in every process
        text = text.replace(name, f"@functrans_{name}") + f"@functrans_{name} = external global i8\n"
    for number, name in enumerate(("BUSY", "ARGUMENTS", "CODE", "COUNT", "SLOTS", "SHARES", "RESULTS")):
        text = text.replace(f"[{name}]", f"[{number}]")
    symbols = {f"functrans_{name}": address for name, address in addresses.items()}
    (address,) = engine().plain.added(expanded(text), ["enter"], symbols)
    return _Method(b"program", address, _FASTCALL, None)


class _Method(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)
    ]  # fmt: skip


_FASTCALL = 0x80
_new_function = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)


class Entry:
    """A way into a program: `call` takes the leaves of the arguments, and returns a tuple of results or NotImplemented.

    Args:
        arguments: the places, and the type of scalar that is expected, if one is.
        program: code, its count, and the slots.
        shares: whether other Python threads may run meanwhile.
        kept: what the program needs to stay alive.
    """

    __slots__ = ("call", "kept")

    def __init__(
        self,
        arguments: Sequence[tuple[Place, type | None]],
        results: Sequence[Place],
        program: tuple[int, int, int],
        shares: bool,
        kept: Any,
    ):
        room = array("q", [0] * max(len(arguments), 1))
        numbers = [0, len(arguments), *program, int(shares), len(results)]
        for i, (place, scalar) in enumerate(arguments):
            if scalar is not None:
                numbers += [HEADER + place.slot, 0, room.buffer_info()[0] + 8 * i, id(scalar)]
            else:
                dtype = np.dtype(place.dtype.str)  # the one object that all arrays of a native type share
                numbers += [HEADER + place.slot, id(dtype), len(place.shape), *place.shape, *place.strides]
        for place in results:
            numbers += [HEADER + place.slot, len(place.shape), place.dtype.num, *place.shape]
        table = array("q", numbers)
        capsule = _new_capsule(table.buffer_info()[0], None, None)
        self.call: Callable[..., Any] = _new_function(ctypes.addressof(_method()), capsule, None)
        self.kept = room, table, capsule, kept
