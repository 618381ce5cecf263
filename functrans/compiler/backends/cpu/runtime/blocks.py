"""How a program runs: instruction after instruction, and out to Python where need be."""

from __future__ import annotations

from ..lowlevel.language import Words, exported, null
from .header import FRAME, LOOK, PATIENCE, STOPPED, WORK_LEFT
from .objects import (
    Py_DecRef,
    PyErr_CheckSignals,
    PyEval_RestoreThread,
    PyEval_SaveThread,
    PyGILState_Ensure,
    PyGILState_Release,
    PyObject_CallOneArg,
)


def run_block(code: Words, count: int, slots: Words) -> int:
    """Instruction after instruction: a function, and its arguments."""
    for k in range(count):
        function, arguments = code[2 * k :]
        status = function(arguments, slots)
        if status != 0:
            return status
    return 0


@exported
def run_program(code: Words, count: int, slots: Words) -> int:
    """All instructions of a program."""
    return run_block(code, count, slots)


# ---- the ways to Python


@exported
def run_python(a: Words, slots: Words) -> int:
    """Call a Python function, the argument, with the frame.

    An exception stays with the thread, where Python finds it when the program has ended.
    """
    state = PyGILState_Ensure()
    result = PyObject_CallOneArg(a[0], slots[FRAME])
    Py_DecRef(result)  # which may be null
    PyGILState_Release(state)
    return result == null


@exported
def look_for_signals(a: Words, slots: Words) -> int:
    """Let Python run the handlers of signals, and other threads go on."""
    slots[WORK_LEFT] = PATIENCE
    state = PyGILState_Ensure()
    PyEval_RestoreThread(PyEval_SaveThread())
    found = PyErr_CheckSignals()
    PyGILState_Release(state)
    return found


@exported
def run_sharing(code: Words, count: int, slots: Words) -> int:
    """`run_program` without the lock of the interpreter."""
    thread = PyEval_SaveThread()
    status = run_block(code, count, slots)
    PyEval_RestoreThread(thread)
    return status


def worked(slots: Words, amount: int) -> int:
    """Count work, and now and then look whether somebody wants the program to end."""
    left = slots[WORK_LEFT] - amount
    slots[WORK_LEFT] = left
    if left >= 0:
        return 0
    look = slots[LOOK]
    return look(null, slots)


# ---- instructions that run one function


@exported
def run_kernel(a: Words, slots: Words) -> int:
    """All of a kernel: function, begin, end, and the arguments of the kernel."""
    function, begin, end = a[0:]
    return function(a[3:], slots, begin, end)


@exported
def run_function(a: Words, slots: Words) -> int:
    """A function, and its arguments."""
    function = a[0]
    return function(a[1:], slots)


@exported
def run_lanes(a: Words, slots: Words) -> int:
    """A loop over lanes, some of which may refuse their indices: `run_kernel` or `run_parallel` and its arguments.

    Then, for each failure, what raises its error, and its arguments. A status above one is that of lanes that have
    refused: two, and the number of the failure.
    """
    function, arguments = a[0:]
    status = function(arguments, slots)
    if status <= 1:
        return status
    slots[STOPPED] = 0
    otherwise, arguments = a[2 * status - 2 :]
    return otherwise(arguments, slots)
