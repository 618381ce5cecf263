"""What the quick way into a program (enter.py) does for the results."""

from __future__ import annotations

from ..lowlevel.language import Words, byte, c_int, float64, null
from .objects import (
    ARRAY_TYPE,
    NEW_ARRAY,
    NEW_SCALAR,
    NO_VALUE,
    SET_BASE,
    Py_DecRef,
    Py_IncRef,
    PyBool_FromLong,
    PyComplex_FromDoubles,
    PyDict_Copy,
    PyDict_SetItem,
    PyFloat_FromDouble,
    PyList_New,
    PyLong_FromLongLong,
    PyTuple_New,
    PyType_GenericAlloc,
)
from .tables import (
    DICT,
    LEAF,
    LIST,
    NAMED,
    RESULTS,
    RETURNED,
    RETURNED_ROOM,
    TO_ARGUMENT,
    TO_ARRAY,
    TO_BOOL,
    TO_FLOAT,
    TO_INT,
    TO_SCALAR,
    TO_VIEW,
    TUPLE,
    TUPLE_ITEMS,
)

#: Flags of an array in the memory of another: contiguous, aligned, writeable.
CARRAY = 0x1 | 0x100 | 0x400


def allocate(table: Words, records: Words, objects: Words, found: Words, slots: Words) -> int:
    """Make arrays for results, null for numbers; how many there are, which is fewer than are wanted after an error."""
    for k in range(table[RESULTS]):
        slot, ndim, dtype, makes = records[0:]
        shape = records[4:]
        found[k] = null
        if makes == TO_ARRAY:
            Py_IncRef(dtype)
            y = NEW_ARRAY(ARRAY_TYPE, dtype, ndim, shape, null, null, 0, null)
            if y == null:
                return k
            found[k] = y
            slots[slot] = y[2]
        elif makes == TO_ARGUMENT:
            found[k] = objects[slot]
            Py_IncRef(objects[slot])
        elif makes == TO_VIEW:
            owner = objects[slot]
            Py_IncRef(dtype)
            y = NEW_ARRAY(ARRAY_TYPE, dtype, ndim, shape, null, owner[2], CARRAY, null)
            if y == null:
                return k
            found[k] = y
            Py_IncRef(owner)
            if c_int(SET_BASE(y, owner)) != 0:
                return k + 1
        records = shape[ndim:]
    return table[RESULTS]


def finish(table: Words, records: Words, found: Words) -> Words:
    """Make objects of numbers; the records after those of results, or null after an error."""
    for k in range(table[RESULTS]):
        place, ndim, dtype, makes = records[0:]
        if makes not in (TO_ARRAY, TO_ARGUMENT, TO_VIEW):
            found[k] = number_of(place, dtype, makes)
            if found[k] == null:
                return null
        records = records[4 + ndim :]
    return records


def number_of(place: Words, dtype: Words, makes: int) -> Words:
    """An object for the number at a place."""
    if makes == TO_SCALAR:
        return NEW_SCALAR(place, dtype, null)
    if makes == TO_FLOAT:
        return PyFloat_FromDouble(float64(place))
    if makes == TO_INT:
        return PyLong_FromLongLong(place[0])
    if makes == TO_BOOL:
        return PyBool_FromLong(byte(place))
    return PyComplex_FromDoubles(float64(place), float64(place[1:]))


def build(table: Words, records: Words, found: Words) -> Words:
    """What is returned, of all results; null after an error.

    Results are the function's until each is handed on to what is returned. A new object is given to what it is a part
    of at once, so that dropping the outermost drops all.
    """
    made = table[RETURNED_ROOM]
    for k in range(table[RETURNED]):
        kind, size, pattern, parent, parent_kind, place = records[0:]
        if kind == LEAF:
            made[k] = found[size]
            found[size] = null
        else:
            made[k] = new_nest(kind, size, pattern)
        if made[k] == null or not attach(made[k], made, parent, parent_kind, place):
            if k != 0:
                Py_DecRef(made[0])
            return null
        records = records[6:]
    return made[0]


def new_nest(kind: int, size: int, pattern: Words) -> Words:
    """An object for parts, or None."""
    if kind == TUPLE:
        return PyTuple_New(size)
    if kind == LIST:
        return PyList_New(size)
    if kind == DICT:
        return PyDict_Copy(pattern)
    if kind == NAMED:
        return PyType_GenericAlloc(pattern, size)
    Py_IncRef(NO_VALUE)
    return NO_VALUE


def attach(x: Words, made: Words, parent: int, parent_kind: int, place: int) -> bool:
    """Give an object to what it is a part of, if it is; whether that went well."""
    if parent_kind in (TUPLE, NAMED):
        items = made[parent] + TUPLE_ITEMS
        items[place] = x
    elif parent_kind == LIST:
        items = made[parent][3]
        items[place] = x
    elif parent_kind == DICT:
        status = PyDict_SetItem(made[parent], place, x)
        Py_DecRef(x)
        return status == 0
    return True
