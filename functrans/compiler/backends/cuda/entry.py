"""The quick way into a program for a GPU: a function for CPython in LLVM IR, for arrays of just some types and layouts.

CuPy's arrays and streams are asked through their attributes, in C: there is no public layout of them. What the function
is not for (other arrays, another stream, a thread without a context, another call under way in its frame, no memory for
a result, a launch that fails) goes to the way in Python, which takes three microseconds more, and says what is wrong.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ..cpu.engine import engine, once
from ..cpu.functions import Method, function, method
from ..cpu.runtime import PATIENCE
from .device import Quick
from .layouts import VECTOR

#: What the table begins with: whether a call is under way; how many arguments and results there are, and whether the
#: one result is returned as such; code, its count and the slots of the program, and the slot for codes of errors; then
#: objects: the way in Python; what tells the current stream, and the one that is expected; what tells the current
#: device, or 0; (no object) the driver's function that tells the context of the thread; the type of arrays, what makes
#: one, and the number of their device; what is to be told of each run, and what; the names of attributes. Records of
#: arguments follow (the slot, dtype, shape, strides), then those of results (the slot, and what an array is made of).
FIELDS: Final = (
    "BUSY", "COUNT", "RESULTS", "SINGLE", "CODE", "STEPS", "SLOTS", "ERROR_SLOT", "OTHER", "STREAM_OF", "STREAM",
    "DEVICE_OF", "CONTEXT_OF", "ARRAY_TYPE", "EMPTY", "DEVICE", "REMEMBER", "PROGRAM", "DATA", "PTR", "DEVICE_ID",
    "DTYPE", "SHAPE", "STRIDES",
)  # fmt: skip
NAMES: Final = ("data", "ptr", "device_id", "dtype", "shape", "strides")

ENTER: Final = """
define ptr @enter_gpu(ptr %self, ptr %args, i64 %count) {
entry:
  %context_at = alloca ptr
  %table_at = getelementptr i8, ptr %self, i64 16
  %table = load ptr, ptr %table_at
  get i64 %busy = %table[BUSY]
  get i64 %wanted = %table[COUNT]
  get i64 %results = %table[RESULTS]
  get i64 %single = %table[SINGLE]
  get ptr %code = %table[CODE]
  get i64 %steps = %table[STEPS]
  get ptr %slots = %table[SLOTS]
  get i64 %error_slot = %table[ERROR_SLOT]
  get ptr %array_type = %table[ARRAY_TYPE]
  get ptr %device = %table[DEVICE]
  %records = getelementptr i64, ptr %table, i64 RECORDS
  %is_free = icmp eq i64 %busy, 0
  %is_all = icmp eq i64 %count, %wanted
  %may = and i1 %is_free, %is_all
  br i1 %may, label %begin, label %other
begin:
  store i64 1, ptr %busy_at
  get ptr %device_of = %table[DEVICE_OF]
  %is_alone = icmp eq ptr %device_of, null
  br i1 %is_alone, label %prepare, label %look
look:
  %current = call ptr @PyObject_CallNoArgs(ptr %device_of)
  %is_current = call i1 @is_equal(ptr %current, ptr %device)
  br i1 %is_current, label %prepare, label %unsuited
prepare:
  get ptr %context_of = %table[CONTEXT_OF]
  store ptr null, ptr %context_at
  %context_code = call i32 %context_of(ptr %context_at)
  %context = load ptr, ptr %context_at
  %has_context = icmp ne ptr %context, null
  br i1 %has_context, label %ask, label %unsuited
ask:
  get ptr %stream_of = %table[STREAM_OF]
  get ptr %stream = %table[STREAM]
  %found_stream = call ptr @PyObject_CallOneArg(ptr %stream_of, ptr %device)
  %is_stream = icmp eq ptr %found_stream, %stream
  call void @Py_DecRef(ptr %found_stream)
  br i1 %is_stream, label %argument, label %unsuited

argument:
  %i = phi i64 [0, %ask], [%i_next, %fitting]
  %r = phi ptr [%records, %ask], [%r_next, %fitting]
  %more_arguments = icmp slt i64 %i, %count
  br i1 %more_arguments, label %one, label %allocate
one:
  get ptr %x = %args[%i]
  get ptr %type = %x[1]
  get i64 %slot = %r[0]
  get ptr %dtype = %r[1]
  get ptr %shape = %r[2]
  get ptr %strides = %r[3]
  %is_array = icmp eq ptr %type, %array_type
  br i1 %is_array, label %locate, label %unsuited
locate:
  %address = call i64 @address_of(ptr %x, ptr %table)
  %is_there = icmp ne i64 %address, 0
  br i1 %is_there, label %aligned, label %unsuited
aligned:
  %bits = and i64 %address, VECTOR_BITS
  %is_aligned = icmp eq i64 %bits, 0
  br i1 %is_aligned, label %typed, label %unsuited
typed:
  get ptr %dtype_name = %table[DTYPE]
  %is_typed = call i1 @has(ptr %x, ptr %dtype_name, ptr %dtype)
  br i1 %is_typed, label %shaped, label %unsuited
shaped:
  get ptr %shape_name = %table[SHAPE]
  %is_shaped = call i1 @has(ptr %x, ptr %shape_name, ptr %shape)
  br i1 %is_shaped, label %strided, label %unsuited
strided:
  get ptr %strides_name = %table[STRIDES]
  %is_strided = call i1 @has(ptr %x, ptr %strides_name, ptr %strides)
  br i1 %is_strided, label %fitting, label %unsuited
fitting:
  %place = getelementptr i64, ptr %slots, i64 %slot
  store i64 %address, ptr %place
  %i_next = add i64 %i, 1
  %r_next = getelementptr i64, ptr %r, i64 4
  br label %argument

allocate:
  get ptr %empty = %table[EMPTY]
  %found = call ptr @PyTuple_New(i64 %results)
  %no_tuple = icmp eq ptr %found, null
  br i1 %no_tuple, label %unsuited, label %filled
filled:
  %found_items = getelementptr i8, ptr %found, i64 TUPLE_ITEMS
  br label %result
result:
  %j = phi i64 [0, %filled], [%j_next, %placed]
  %q = phi ptr [%r, %filled], [%q_next, %placed]
  %more_results = icmp slt i64 %j, %results
  br i1 %more_results, label %make, label %tell
make:
  get i64 %y_slot = %q[0]
  get ptr %made_of = %q[1]
  %y = call ptr @PyObject_CallObject(ptr %empty, ptr %made_of)
  %no_array = icmp eq ptr %y, null
  br i1 %no_array, label %dropped, label %made
made:
  %y_to = getelementptr ptr, ptr %found_items, i64 %j
  store ptr %y, ptr %y_to
  %y_address = call i64 @address_of(ptr %y, ptr %table)
  %is_made = icmp ne i64 %y_address, 0
  br i1 %is_made, label %placed, label %dropped
placed:
  %y_place = getelementptr i64, ptr %slots, i64 %y_slot
  store i64 %y_address, ptr %y_place
  %q_next = getelementptr i64, ptr %q, i64 2
  %j_next = add i64 %j, 1
  br label %result

tell:
  get ptr %remember = %table[REMEMBER]
  get ptr %program = %table[PROGRAM]
  %told = call ptr @PyObject_CallOneArg(ptr %remember, ptr %program)
  call void @Py_DecRef(ptr %told)
  get i64 %work = %slots[WORK_LEFT]
  store i64 PATIENCE, ptr %work_at
  %error_at = getelementptr i64, ptr %slots, i64 %error_slot
  store i64 0, ptr %error_at
  %thread = call ptr @PyEval_SaveThread()
  %status = call i64 RUN_PROGRAM(ptr %code, i64 %steps, ptr %slots)
  call void @PyEval_RestoreThread(ptr %thread)
  %ended = icmp ne i64 %status, 0
  br i1 %ended, label %dropped, label %done
done:
  store i64 0, ptr %busy_at
  %is_single = icmp ne i64 %single, 0
  br i1 %is_single, label %unpack, label %whole
unpack:
  %only = load ptr, ptr %found_items
  call void @Py_IncRef(ptr %only)
  call void @Py_DecRef(ptr %found)
  ret ptr %only
whole:
  ret ptr %found

dropped:
  call void @Py_DecRef(ptr %found)
  br label %unsuited
unsuited:
  call void @PyErr_Clear()
  store i64 0, ptr %busy_at
  br label %other
other:
  get ptr %in_python = %table[OTHER]
  %answer = call ptr @PyObject_Vectorcall(ptr %in_python, ptr %args, i64 %count, ptr null)
  ret ptr %answer
}
define internal i64 @address_of(ptr %array, ptr %table) {
entry:
  get ptr %data_name = %table[DATA]
  get ptr %ptr_name = %table[PTR]
  get ptr %device_name = %table[DEVICE_ID]
  get ptr %device = %table[DEVICE]
  %data = call ptr @PyObject_GetAttr(ptr %array, ptr %data_name)
  %no_data = icmp eq ptr %data, null
  br i1 %no_data, label %nowhere, label %where
where:
  %is_here = call i1 @has(ptr %data, ptr %device_name, ptr %device)
  %number = call ptr @PyObject_GetAttr(ptr %data, ptr %ptr_name)
  call void @Py_DecRef(ptr %data)
  %no_number = icmp eq ptr %number, null
  br i1 %no_number, label %nowhere, label %read
read:
  %address = call i64 @PyLong_AsLongLong(ptr %number)
  call void @Py_DecRef(ptr %number)
  %here = select i1 %is_here, i64 %address, i64 0
  ret i64 %here
nowhere:
  ret i64 0
}
define internal i1 @has(ptr %object, ptr %name, ptr %wanted) {
  %found = call ptr @PyObject_GetAttr(ptr %object, ptr %name)
  %is = call i1 @is_equal(ptr %found, ptr %wanted)
  ret i1 %is
}
define internal i1 @is_equal(ptr %found, ptr %wanted) {
entry:
  %nothing = icmp eq ptr %found, null
  br i1 %nothing, label %other, label %compare
compare:
  %same = call i32 @PyObject_RichCompareBool(ptr %found, ptr %wanted, i32 2)
  call void @Py_DecRef(ptr %found)
  %is = icmp eq i32 %same, 1
  ret i1 %is
other:
  ret i1 false
}
declare ptr @PyObject_GetAttr(ptr, ptr)
declare ptr @PyObject_CallNoArgs(ptr)
declare ptr @PyObject_CallOneArg(ptr, ptr)
declare ptr @PyObject_CallObject(ptr, ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare i32 @PyObject_RichCompareBool(ptr, ptr, i32)
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyTuple_New(i64)
declare void @PyErr_Clear()
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
"""


@once
def _method() -> Method:
    numbers = {
        **{name: number for number, name in enumerate(FIELDS)},
        "RECORDS": len(FIELDS), "TUPLE_ITEMS": tuple.__basicsize__, "PATIENCE": PATIENCE, "VECTOR_BITS": VECTOR - 1,
    }  # fmt: skip
    return method("enter_gpu", ENTER, numbers, {"RUN_PROGRAM": engine().runtime["run_program"]})


class Leaf(NamedTuple):
    """What is expected of an argument."""

    slot: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Made(NamedTuple):
    """An array that is to be made for a result."""

    slot: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Held:
    """What an entry holds while it is of use."""

    __slots__ = ("__weakref__", "objects", "table")

    def __init__(self, table: array[int], objects: Any):
        self.table, self.objects = table, objects

    def let_go(self) -> None:
        """Have all calls go the way in Python from now on, unless one is under way."""
        if not self.table[0]:
            self.table[0] = 1
            self.objects = None


def entry(
    device: Quick,
    stream: Any,
    leaves: Sequence[Leaf],
    results: Sequence[Made],
    is_single: bool,
    run: tuple[int, int, array[int], int],
    context_of: int,
    remember: tuple[Callable[[Any], None], Any],
    in_python: Callable[..., Any],
    kept: Any,
) -> tuple[Callable[..., Any], Held]:
    """A way into a program, for one stream, and what it holds.

    Args:
        is_single: whether the one result is returned as such, and not in a tuple.
        run: code, its count, the slots, which are this entry's own, and the slot for codes of errors.
        context_of: the address of `cuCtxGetCurrent`.
        remember: what is called for each run, and with what.
        in_python: the way for what this one is not for.
        kept: what the program needs to stay alive, until it is let go of.
    """
    code, steps, slots, error_slot = run
    told, what = remember
    made_of = [(result.shape, result.dtype) for result in results]
    needed = (device, stream, leaves, made_of, told, what, in_python)
    table = [
        0, len(leaves), len(results), int(is_single), code, steps, slots.buffer_info()[0], error_slot, id(in_python),
        id(device.stream_of), id(stream), 0 if device.device_of is None else id(device.device_of),
        context_of, id(device.array_type), id(device.empty), id(device.number), id(told), id(what), *map(id, NAMES),
    ]  # fmt: skip
    for leaf in leaves:
        table += [leaf.slot, id(leaf.dtype), id(leaf.shape), id(leaf.strides)]
    for result, parts in zip(results, made_of):
        table += [result.slot, id(parts)]
    held = Held(array("q", table), (slots, kept))
    return function(_method(), held.table, (needed, held)), held
