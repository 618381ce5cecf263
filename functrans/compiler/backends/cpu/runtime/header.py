"""The header of the slots, which stand before those of a program."""

from __future__ import annotations

#: Slots before those of a program.
FRAME, WORK_LEFT, LOOK, THREADS, STOPPED, HEADER = 0, 1, 2, 3, 4, 5
#: Work, about in nanoseconds, before somebody looks whether the user wants to interrupt the program.
PATIENCE = 1 << 25
