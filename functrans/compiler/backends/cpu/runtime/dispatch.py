"""The method that is called when a jitted function is: it tries the quick ways of the last calls, one after the other.

`call(self, args, count, names)` reads `self._quick`: what a state of the settings is counted as, the ways for calls
without keyword arguments, and those for calls with, which take them as one more argument, a dictionary. If settings
are as they were and no trace is under way, it asks way after way until one does not return NotImplemented. What nobody
takes goes to `self._call(args, kwargs)`.
"""

from __future__ import annotations

from ..lowlevel.language import Words, address, copy, exported, null, room
from .objects import (
    NOT_IMPLEMENTED,
    Py_DecRef,
    Py_IncRef,
    PyContextVar_Get,
    PyDict_New,
    PyDict_SetItem,
    PyLong_AsLongLong,
    PyObject_GetAttr,
    PyObject_Vectorcall,
    PyObject_VectorcallMethod,
    PyTuple_New,
)
from .tables import TUPLE_ITEMS

#: The places in `self._quick`, and in the numbers of `settings.changes`.
STATE, PLAIN, NAMED = 0, 1, 2
CHANGE_COUNT, BLOCKS = 0, 1

#: The names of the two attributes, the variable of the current trace and what it is when none is under way, and where
#: the numbers of `settings.changes` are.
QUICK = address("QUICK")
GENERAL = address("GENERAL")
CURRENT_TRACE = address("CURRENT_TRACE")
EVAL = address("EVAL")
CHANGES = address("CHANGES")


@exported
def call(self: Words, args: Words, count: int, names: Words) -> Words:
    """Call a jitted function."""
    if names != null and names[2] > 0:
        return call_by_name(self, args, count, names)
    found = ask(self, args, count, PLAIN)
    return call_generally(self, args, count, PyDict_New()) if found == NOT_IMPLEMENTED else found


def call_by_name(self: Words, args: Words, count: int, names: Words) -> Words:
    """The same with keyword arguments."""
    dictionary = dictionary_of(names + TUPLE_ITEMS, args[count:], names[2])
    if dictionary == null:
        return null
    given = room(count + 1)
    copy(given, args, count)
    given[count] = dictionary
    found = ask(self, given, count + 1, NAMED)
    if found == NOT_IMPLEMENTED:
        return call_generally(self, args, count, dictionary)
    Py_DecRef(dictionary)
    return found


def dictionary_of(names: Words, values: Words, count: int) -> Words:
    """A dictionary; null after an error."""
    made = PyDict_New()
    if made == null:
        return null
    for k in range(count):
        if PyDict_SetItem(made, names[k], values[k]) != 0:
            Py_DecRef(made)
            return null
    return made


def ask(self: Words, args: Words, count: int, which: int) -> Words:
    """Ask the ways; what one of them returns, or null after an error, or NotImplemented."""
    quick = PyObject_GetAttr(self, QUICK)
    if quick == null:
        return null
    fields = quick + TUPLE_ITEMS
    found = NOT_IMPLEMENTED
    if PyLong_AsLongLong(fields[STATE]) == CHANGES[CHANGE_COUNT] and CHANGES[BLOCKS] == 0:
        trace = room(1)
        if PyContextVar_Get(CURRENT_TRACE, null, trace) != 0:
            found = null
        else:
            Py_DecRef(trace[0])
            if trace[0] == EVAL:
                found = ask_each(fields[which], args, count)
    Py_DecRef(quick)
    return found


def ask_each(ways: Words, args: Words, count: int) -> Words:
    """Ask one way after the other."""
    items = ways + TUPLE_ITEMS
    for k in range(ways[2]):
        found = PyObject_Vectorcall(items[k], args, count, null)
        if found != NOT_IMPLEMENTED:
            return found
        Py_DecRef(found)
    return NOT_IMPLEMENTED


def call_generally(self: Words, args: Words, count: int, names: Words) -> Words:
    """`self._call(args, names)`; `names` is given away, and null after an error."""
    if names == null:
        return null
    positional = PyTuple_New(count)
    if positional == null:
        Py_DecRef(names)
        return null
    items = positional + TUPLE_ITEMS
    for k in range(count):
        Py_IncRef(args[k])
        items[k] = args[k]
    given = room(3)
    given[0], given[1], given[2] = self, positional, names
    found = PyObject_VectorcallMethod(GENERAL, given, 3, null)
    Py_DecRef(positional)
    Py_DecRef(names)
    return found
