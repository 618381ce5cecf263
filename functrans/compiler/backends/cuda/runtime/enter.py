"""The function that CPython calls for a quick way into a program for a GPU, by a table (tables.py)."""

from __future__ import annotations

from ...cpu.lowlevel.language import Words, address, exported, null, room
from ...cpu.runtime.header import PATIENCE, WORK_LEFT
from ...cpu.runtime.objects import (
    Py_DecRef,
    Py_IncRef,
    PyErr_Clear,
    PyEval_RestoreThread,
    PyEval_SaveThread,
    PyLong_AsLongLong,
    PyObject_CallNoArgs,
    PyObject_CallObject,
    PyObject_CallOneArg,
    PyObject_GetAttr,
    PyObject_RichCompareBool,
    PyObject_Vectorcall,
    PyTuple_New,
)
from ...cpu.runtime.tables import TUPLE_ITEMS
from ..layouts import VECTOR
from .tables import (
    ARRAY_TYPE,
    BUSY,
    CODE,
    CONTEXT_OF,
    COUNT,
    DATA,
    DEVICE,
    DEVICE_ID,
    DEVICE_OF,
    DTYPE,
    EMPTY,
    ERROR_SLOT,
    OTHER,
    PROGRAM,
    PTR,
    RECORDS,
    REMEMBER,
    RESULTS,
    SHAPE,
    SINGLE,
    SLOTS,
    STEPS,
    STREAM,
    STREAM_OF,
    STRIDES,
)

#: The address of `run_program`.
RUN_PROGRAM = address("RUN_PROGRAM")
#: What PyObject_RichCompareBool calls a test for equality.
EQUAL = 2


@exported
def enter_gpu(self: Words, args: Words, count: int) -> Words:
    """Run a program, or call the way in Python."""
    table = self[2]
    if table[BUSY] == 0 and count == table[COUNT]:
        table[BUSY] = 1
        found = run(table, args, count)
        if found == null:
            PyErr_Clear()
        table[BUSY] = 0
        if found != null:
            return found
    return PyObject_Vectorcall(table[OTHER], args, count, null)


def run(table: Words, args: Words, count: int) -> Words:
    """Run the program; what it returns, or null if it is not for this call."""
    if not is_expected(table):
        return null
    records = read(table, args, count)
    if records == null:
        return null
    found = allocate(table, records)
    if found == null:
        return null
    Py_DecRef(PyObject_CallOneArg(table[REMEMBER], table[PROGRAM]))
    if run_code(table) != 0:
        Py_DecRef(found)
        return null
    if table[SINGLE] == 0:
        return found
    items = found + TUPLE_ITEMS
    only = items[0]
    Py_IncRef(only)
    Py_DecRef(found)
    return only


def is_expected(table: Words) -> bool:
    """Whether the device and the stream are those of the table, and the thread has a context."""
    device_of, context_of = table[DEVICE_OF], table[CONTEXT_OF]
    if device_of != null and not is_equal(PyObject_CallNoArgs(device_of), table[DEVICE]):
        return False
    context = room(1)
    context[0] = null
    context_of(context)
    if context[0] == null:
        return False
    stream = PyObject_CallOneArg(table[STREAM_OF], table[DEVICE])
    Py_DecRef(stream)
    return stream == table[STREAM]


def read(table: Words, args: Words, count: int) -> Words:
    """Put the addresses of arguments into slots; the records after theirs, or null for other arguments."""
    records, slots = table[RECORDS:], table[SLOTS]
    for k in range(count):
        slot, dtype, shape, strides = records[0:]
        x = args[k]
        if x[1] != table[ARRAY_TYPE]:
            return null
        where = address_of(x, table)
        if where == null or where & (VECTOR - 1) != 0:
            return null
        if not (has(x, table[DTYPE], dtype) and has(x, table[SHAPE], shape) and has(x, table[STRIDES], strides)):
            return null
        slots[slot] = where
        records = records[4:]
    return records


def allocate(table: Words, records: Words) -> Words:
    """Make arrays for results, in a tuple; null after an error."""
    slots = table[SLOTS]
    found = PyTuple_New(table[RESULTS])
    if found == null:
        return null
    items = found + TUPLE_ITEMS
    for k in range(table[RESULTS]):
        slot, made_of = records[2 * k :]
        y = PyObject_CallObject(table[EMPTY], made_of)
        items[k] = y
        slots[slot] = null if y == null else address_of(y, table)
        if slots[slot] == null:
            Py_DecRef(found)
            return null
    return found


def run_code(table: Words) -> int:
    """Run the instructions, without the lock of the interpreter."""
    slots = table[SLOTS]
    slots[WORK_LEFT], slots[table[ERROR_SLOT]] = PATIENCE, 0
    thread = PyEval_SaveThread()
    status = RUN_PROGRAM(table[CODE], table[STEPS], slots)
    PyEval_RestoreThread(thread)
    return status


def address_of(x: Words, table: Words) -> int:
    """Where an array is on the device, or 0: it is on another one, or cannot be asked."""
    data = PyObject_GetAttr(x, table[DATA])
    if data == null:
        return null
    is_here = has(data, table[DEVICE_ID], table[DEVICE])
    number = PyObject_GetAttr(data, table[PTR])
    Py_DecRef(data)
    if number == null:
        return null
    where = PyLong_AsLongLong(number)
    Py_DecRef(number)
    return where if is_here else null


def has(x: Words, name: Words, wanted: Words) -> bool:
    """Whether an attribute of an object is equal to something."""
    return is_equal(PyObject_GetAttr(x, name), wanted)


def is_equal(found: Words, wanted: Words) -> bool:
    """Whether two objects are equal, the first one not null; it is let go of."""
    if found == null:
        return False
    same = PyObject_RichCompareBool(found, wanted, EQUAL)
    Py_DecRef(found)
    return same == 1
