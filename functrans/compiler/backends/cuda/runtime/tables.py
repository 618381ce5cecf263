"""The table of a quick way into a program for a GPU: what `enter_gpu` (enter.py) knows of the call.

It begins with: whether a call is under way; how many arguments and results there are, and whether the one result is
returned as such; code, its count and the slots of the program, and the slot for codes of errors; then objects: the way
in Python; what tells the current stream, and the one that is expected; what tells the current device, or 0; (no object)
the driver's function that tells the context of the thread; the type of arrays, what makes one, and the number of their
device; what is to be told of each run, and what; the names of attributes. Records of arguments follow (the slot, dtype,
shape, strides), then those of results (the slot, and what an array is made of).
"""

from __future__ import annotations

(
    BUSY, COUNT, RESULTS, SINGLE, CODE, STEPS, SLOTS, ERROR_SLOT, OTHER, STREAM_OF, STREAM, DEVICE_OF, CONTEXT_OF,
    ARRAY_TYPE, EMPTY, DEVICE, REMEMBER, PROGRAM, DATA, PTR, DEVICE_ID, DTYPE, SHAPE, STRIDES, RECORDS,
) = range(25)  # fmt: skip
