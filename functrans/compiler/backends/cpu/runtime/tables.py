"""The table of a quick way into a program: what `enter` (enter.py) knows of the arguments, the program and the results.

It begins with the fields below, and goes on with records, one group after the other:

* of nests among the arguments: the number of the object, its type, how many parts it has, its kind, and for a
  dictionary the keys; for an object that must be the same as at first that, and whether it is compared with others.
  Arguments are objects 0, 1, ...; the parts of nests are numbered on from there.
* of leaves that are arrays: the number of the object, the slot, the dtype object, the number of axes, the flags that
  it must have, extents, strides;
* of leaves that are numbers: the number of the object, the slot, 0, where it goes, its type, how it is read;
* of results: the slot, the number of axes, the dtype object, what is made of it, extents; for a number the place of its
  value stands for the slot; for an argument, or an array in the memory of one, the number of that object;
* of what is returned, from the outside in: what it is, how many parts it has (or which result it is), a dictionary with
  the same keys, which need not grow, or the type of a named tuple, or 0; the number of what it is a part of, the kind
  of that, and its place there (or its key).

Another table has the spans of arrays among the arguments, if any is overwritten: the slot, where the elements begin and
end, counted from the address there, and whether it is overwritten. What is overwritten must have nothing in common with
others. To see that, spans are sorted by where they begin: their numbers stand behind them, in the order of the call
before, which mostly is the right one still.
"""

from __future__ import annotations

#: The fields: whether a call is under way; how many arguments; code, its count and the slots of the program; whether
#: others may run meanwhile; how many results, objects, nests, leaves; how many objects are returned; room for pointers
#: to the objects among the arguments, to the results, and to what is returned; the place of a number of calls, after
#: which the caller wants to be asked; the table of spans, and how many there are. Then come the records.
(
    BUSY, ARGUMENTS, CODE, COUNT, SLOTS, SHARES, RESULTS, OBJECTS, NESTS, LEAVES, RETURNED, OBJECT_ROOM, RESULT_ROOM,
    RETURNED_ROOM, CALLS, SPANS, SPAN_COUNT, RECORDS,
) = range(18)  # fmt: skip

#: What a nest is (a named tuple among arguments is a tuple); a leaf among what is returned, and what is nowhere a part.
LEAF, TUPLE, LIST, DICT, NONE, ROOT, SAME, NAMED = range(8)
KINDS = {
    "leaf": LEAF, "tuple": TUPLE, "list": LIST, "dict": DICT, "none": NONE, "root": ROOT, "same": SAME, "named": NAMED
}  # fmt: skip

#: How a number is read: as the eight or sixteen bytes of an object, or from a Python integer.
READ_BYTES, READ_LONG, READ_COMPLEX = range(3)

#: What is made of a result: a new array, NumPy's scalar, or Python's float, int, bool, complex; an argument itself, or
#: an array of another type in its memory.
TO_ARRAY, TO_SCALAR, TO_FLOAT, TO_INT, TO_BOOL, TO_COMPLEX, TO_ARGUMENT, TO_VIEW = range(8)

#: Where the items of a tuple begin, in bytes.
TUPLE_ITEMS = tuple.__basicsize__
