"""The function that CPython calls for a quick way into a program: from Python objects to memory, and back.

`enter(self, args, count)` works by a table (tables.py), to which `self`, a capsule, points. Until it holds the parts of
nests nothing is called that could run Python code, so that objects need no references of their own. From there on those
parts have one: what runs meanwhile may change the nests.
"""

from __future__ import annotations

from ..lowlevel.language import Words, address, exported, null
from .arguments import are_apart, read, unpack
from .header import PATIENCE, WORK_LEFT
from .objects import NOT_IMPLEMENTED, Py_DecRef, Py_IncRef, PyEval_RestoreThread, PyEval_SaveThread
from .results import allocate, build, finish
from .tables import (
    ARGUMENTS,
    BUSY,
    CALLS,
    CODE,
    COUNT,
    OBJECT_ROOM,
    OBJECTS,
    RECORDS,
    RESULT_ROOM,
    RESULTS,
    SHARES,
    SLOTS,
    SPAN_COUNT,
    SPANS,
)

#: The address of `run_program`.
RUN_PROGRAM = address("RUN_PROGRAM")


@exported
def enter(self: Words, args: Words, count: int) -> Words:
    """Run a program with arguments that are as its table says; what it returns, NotImplemented for other arguments."""
    table = self[2]
    calls = table[CALLS]
    if table[BUSY] != 0 or count != table[ARGUMENTS] or calls[0] <= 0:
        return declined()
    objects, slots = table[OBJECT_ROOM], table[SLOTS]
    for k in range(count):
        objects[k] = args[k]
    leaves = unpack(table, table[RECORDS:], objects, count)
    if leaves == null:
        return declined()
    results = read(table, leaves, objects, slots)
    if results == null or not are_apart(table[SPANS], table[SPAN_COUNT], slots):
        return declined()
    calls[0] = calls[0] - 1
    table[BUSY] = 1
    for k in range(count, table[OBJECTS]):
        Py_IncRef(objects[k])
    answer = run(table, results, objects, slots)
    for k in range(count, table[OBJECTS]):
        Py_DecRef(objects[k])
    table[BUSY] = 0
    return answer


def declined() -> Words:
    """NotImplemented."""
    Py_IncRef(NOT_IMPLEMENTED)
    return NOT_IMPLEMENTED


def run(table: Words, records: Words, objects: Words, slots: Words) -> Words:
    """Run the program; what it returns, or null after an error.

    Args:
        records: those of results.
    """
    found = table[RESULT_ROOM]
    allocated = allocate(table, records, objects, found, slots)
    if allocated == table[RESULTS] and run_code(table, slots) == 0:
        returned = finish(table, records, found)
        if returned != null:
            answer = build(table, returned, found)
            if answer != null:
                return answer
    for k in range(allocated):
        Py_DecRef(found[k])
    return null


def run_code(table: Words, slots: Words) -> int:
    """Run the instructions, without the lock of the interpreter if others may run meanwhile."""
    slots[WORK_LEFT] = PATIENCE
    if table[SHARES] == 0:
        return RUN_PROGRAM(table[CODE], table[COUNT], slots)
    thread = PyEval_SaveThread()
    status = RUN_PROGRAM(table[CODE], table[COUNT], slots)
    PyEval_RestoreThread(thread)
    return status
