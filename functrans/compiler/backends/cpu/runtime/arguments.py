"""What the quick way into a program (enter.py) does with the arguments.

It takes apart what is nested, puts the addresses of arrays and the values of numbers where the program finds them, and
sees that arrays are apart from what is overwritten. Nothing here could run Python code.
"""

from __future__ import annotations

from ..lowlevel.language import Words, int32, is_below, null, room
from .objects import (
    ARRAY_TYPE,
    TEXT_TYPE,
    PyDict_Next,
    PyDict_Size,
    PyLong_AsLongLongAndOverflow,
    PyObject_RichCompareBool,
    PyUnicode_Compare,
)
from .tables import (
    DICT,
    LEAVES,
    LIST,
    NESTS,
    READ_COMPLEX,
    READ_LONG,
    SAME,
    TUPLE,
    TUPLE_ITEMS,
)

#: What PyObject_RichCompareBool calls a test for equality.
EQUAL = 2


def unpack(table: Words, records: Words, objects: Words, count: int) -> Words:
    """Note the parts of nests behind the arguments; the records after those of nests, or null for other nests."""
    parts = objects[count:]
    for _ in range(table[NESTS]):
        whose, type_, size, kind = records[0:]
        keys = records[4:]
        nest = objects[whose]
        if nest[1] != type_:
            return null
        if kind in (TUPLE, LIST):
            if nest[2] != size:
                return null
            items = nest + TUPLE_ITEMS if kind == TUPLE else nest[3]
            for k in range(size):
                parts[k] = items[k]
            records = keys
        elif kind == DICT:
            if not unpack_dict(nest, keys, size, parts):
                return null
            records = keys[size:]
        elif kind == SAME:
            if nest != keys[0] and (keys[1] == 0 or PyObject_RichCompareBool(nest, keys[0], EQUAL) != 1):
                return null
            records = keys[2:]
        else:
            records = keys
        parts = parts[size:]
    return records


def unpack_dict(nest: Words, keys: Words, size: int, parts: Words) -> bool:
    """Note the values of a dictionary; whether it has just these keys, in this order."""
    if PyDict_Size(nest) != size:
        return False
    position, key, value = room(1), room(1), room(1)
    position[0] = 0
    for k in range(size):
        if PyDict_Next(nest, position, key, value) == 0:
            return False
        if key[0] != keys[k] and not are_equal_texts(key[0], keys[k]):
            return False
        parts[k] = value[0]
    return True


def are_equal_texts(x: Words, y: Words) -> bool:
    """Whether two keys are texts, and equal."""
    return x[1] == TEXT_TYPE and y[1] == TEXT_TYPE and PyUnicode_Compare(x, y) == 0


def read(table: Words, records: Words, objects: Words, slots: Words) -> Words:
    """Put where arrays are, and where the values of numbers, into the slots; the records after those of leaves, or null
    for other leaves."""
    for _ in range(table[LEAVES]):
        number, slot, dtype = records[0:]
        x = objects[number]
        if dtype == null:
            cell, type_, how = records[3:]
            if x[1] != type_ or not read_number(x, cell, how):
                return null
            slots[slot] = cell
            records = records[6:]
        else:
            if not is_array_like(x, records):
                return null
            slots[slot] = x[2]
            records = records[2 * records[3] + 5 :]
    return records


def read_number(x: Words, cell: Words, how: int) -> bool:
    """Put the value of a number into a cell; whether it fits."""
    if how == READ_LONG:
        overflow = room(1)
        cell[0] = PyLong_AsLongLongAndOverflow(x, overflow)
        return int32(overflow) == 0
    if how == READ_COMPLEX:
        cell[1] = x[3]
    cell[0] = x[2]
    return True


def is_array_like(x: Words, record: Words) -> bool:
    """Whether an object is an array of the type, shape, strides and flags that its record says."""
    dtype, ndim, flags = record[2:]
    if x[1] != ARRAY_TYPE or x[7] != dtype or int32(x[3:]) != ndim or int32(x[8:]) & flags != flags:
        return False
    extents, strides, wanted_extents, wanted_strides = x[4], x[5], record[5:], record[5 + ndim :]
    for axis in range(ndim):
        if extents[axis] != wanted_extents[axis] or strides[axis] != wanted_strides[axis]:
            return False
    return True


def are_apart(spans: Words, count: int, slots: Words) -> bool:
    """Whether what is overwritten shares no memory with anything else."""
    order = spans[4 * count :]
    sort_spans(spans, order, count, slots)
    end_of_any = end_of_overwritten = 0
    for k in range(count):
        span = spans[4 * order[k] :]
        first, last, is_overwritten = slots[span[0]] + span[1], slots[span[0]] + span[2], span[3] != 0
        if is_below(first, end_of_any if is_overwritten else end_of_overwritten):
            return False
        if is_below(end_of_any, last):
            end_of_any = last
        if is_overwritten and is_below(end_of_overwritten, last):
            end_of_overwritten = last
    return True


def sort_spans(spans: Words, order: Words, count: int, slots: Words) -> None:
    """Put the numbers of spans in the order in which these begin, by insertion: mostly they are in order."""
    for k in range(count):
        inserted = order[k]
        first = first_of(spans[4 * inserted :], slots)
        place = k
        while place > 0 and is_below(first, first_of(spans[4 * order[place - 1] :], slots)):
            order[place] = order[place - 1]
            place -= 1
        order[place] = inserted


def first_of(span: Words, slots: Words) -> int:
    """Where a span begins."""
    return slots[span[0]] + span[1]
