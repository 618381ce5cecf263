"""The function that CPython calls for a quick way into a program: from Python objects to memory, and back.

`enter(self, args, count)` works by a table, to which `self`, a capsule, points. The table begins with the fields named
in `FIELDS`, and goes on with records:

* of nests among the arguments: the number of the object, its type, how many parts it has, its `KINDS`, and for a
  dictionary the keys; for an object that must be the same as at first that, and whether it is compared with others.
  Arguments are objects 0, 1, ...; the parts of nests are numbered on from there.
* of leaves that are arrays: the number of the object, the slot, the dtype object, the number of axes, the flags that
  it must have, extents, strides;
* of leaves that are numbers: the number of the object, the slot, 0, where it goes, its type, how it is read (`READS`);
* of results: the slot, the number of axes, the dtype object, what is made of it (`MAKES`), extents; for a number the
  place of its value stands for the slot; for an argument, or an array in the memory of one, the number of that object;
* of what is returned, from the outside in: what it is (`KINDS`), how many parts it has (or which result it is), a
  dictionary with the same keys, which need not grow, or the type of a named tuple, or 0; the number of what it is a
  part of, the kind of that, and its place there (or its key).

Another table has the spans of arrays among the arguments, if any is overwritten: the slot, where the elements begin and
end, counted from the address there, and whether it is overwritten. What is overwritten must have nothing in common with
others. To see that, spans are sorted by where they begin: their numbers stand behind them, in the order of the call
before, which mostly is the right one still.

Up to the label `hold` nothing is called that could run Python code, so that objects need no references of their own.
From there on those that are parts of nests have one: what runs meanwhile may change the nests. Results are the
function's until each is handed on to what is returned. A new object is given to what it is a part of at once, so that
dropping the outermost drops all.
"""

from __future__ import annotations

from .arguments import ARE_APART, READ, UNPACK
from .results import ALLOCATE, BUILD, FINISH

#: What the table begins with: whether a call is under way; how many arguments; code, its count and the slots of the
#: program; whether others may run meanwhile; how many results, objects, nests, leaves; how many objects are returned;
#: room for pointers to the objects among the arguments, to the results, and to what is returned; the place of a number
#: of calls, after which the caller wants to be asked; the table of spans, and how many there are.
FIELDS = (
    "BUSY", "ARGUMENTS", "CODE", "COUNT", "SLOTS", "SHARES", "RESULTS", "OBJECTS", "NESTS", "LEAVES", "RETURNED",
    "ROOM", "FOUND", "MADE", "CALLS", "SPANS", "SPAN_COUNT",
)  # fmt: skip
#: What a nest is (a named tuple among arguments is a tuple); a leaf among what is returned, and what is nowhere a part.
KINDS = {"leaf": 0, "tuple": 1, "list": 2, "dict": 3, "none": 4, "root": 5, "same": 6, "named": 7}

ENTER = UNPACK + READ + ARE_APART + ALLOCATE + FINISH + BUILD + """
define ptr @enter(ptr %self, ptr %args, i64 %count) {
entry:
  %table_at = getelementptr i8, ptr %self, i64 16
  %table = load ptr, ptr %table_at
  get i64 %busy = %table[BUSY]
  get i64 %wanted = %table[ARGUMENTS]
  get ptr %slots = %table[SLOTS]
  get i64 %objects = %table[OBJECTS]
  get i64 %results = %table[RESULTS]
  get ptr %room = %table[ROOM]
  get ptr %found = %table[FOUND]
  get ptr %calls_at = %table[CALLS]
  %calls = load i64, ptr %calls_at
  %records = getelementptr i64, ptr %table, i64 RECORDS
  %is_free = icmp eq i64 %busy, 0
  %is_all = icmp eq i64 %count, %wanted
  %has_calls = icmp sgt i64 %calls, 0
  %is_fine = and i1 %is_free, %is_all
  %may = and i1 %is_fine, %has_calls
  br i1 %may, label %argument, label %other
argument:
  %c = phi i64 [0, %entry], [%c_next, %copy]
  %more_arguments = icmp slt i64 %c, %count
  br i1 %more_arguments, label %copy, label %unpack
copy:
  get ptr %given = %args[%c]
  %given_to = getelementptr ptr, ptr %room, i64 %c
  store ptr %given, ptr %given_to
  %c_next = add i64 %c, 1
  br label %argument
unpack:
  %leaf_records = call ptr @unpack(ptr %table, ptr %records, ptr %room, i64 %count)
  %not_unpacked = icmp eq ptr %leaf_records, null
  br i1 %not_unpacked, label %other, label %read
read:
  %result_records = call ptr @read(ptr %table, ptr %leaf_records, ptr %room, ptr %slots)
  %not_read = icmp eq ptr %result_records, null
  br i1 %not_read, label %other, label %compare
compare:
  get ptr %spans = %table[SPANS]
  get i64 %span_count = %table[SPAN_COUNT]
  %are_apart = call i1 @are_apart(ptr %spans, i64 %span_count, ptr %slots)
  br i1 %are_apart, label %hold, label %other

hold:
  %calls_left = sub i64 %calls, 1
  store i64 %calls_left, ptr %calls_at
  store i64 1, ptr %busy_at
  br label %held
held:
  %h = phi i64 [%count, %hold], [%h_next, %hold_one]
  %more_to_hold = icmp slt i64 %h, %objects
  br i1 %more_to_hold, label %hold_one, label %allocate
hold_one:
  get ptr %kept = %room[%h]
  call void @Py_IncRef(ptr %kept)
  %h_next = add i64 %h, 1
  br label %held
allocate:
  %allocated = call i64 @allocate(ptr %table, ptr %result_records, ptr %room, ptr %found, ptr %slots)
  %are_all = icmp eq i64 %allocated, %results
  br i1 %are_all, label %run, label %dropped

run:
  get ptr %code = %table[CODE]
  get i64 %steps = %table[COUNT]
  get i64 %shares = %table[SHARES]
  get i64 %work = %slots[WORK_LEFT]
  store i64 PATIENCE, ptr %work_at
  %lets_go = icmp ne i64 %shares, 0
  br i1 %lets_go, label %alone, label %together
alone:
  %thread = call ptr @PyEval_SaveThread()
  %status_alone = call i64 RUN_PROGRAM(ptr %code, i64 %steps, ptr %slots)
  call void @PyEval_RestoreThread(ptr %thread)
  br label %ran
together:
  %status_together = call i64 RUN_PROGRAM(ptr %code, i64 %steps, ptr %slots)
  br label %ran
ran:
  %status = phi i64 [%status_alone, %alone], [%status_together, %together]
  %ended = icmp ne i64 %status, 0
  br i1 %ended, label %dropped, label %finish
finish:
  %returned_records = call ptr @finish(ptr %table, ptr %result_records, ptr %found)
  %not_finished = icmp eq ptr %returned_records, null
  br i1 %not_finished, label %dropped, label %build
build:
  %root = call ptr @build(ptr %table, ptr %returned_records, ptr %found)
  %not_built = icmp eq ptr %root, null
  br i1 %not_built, label %dropped, label %let_go

dropped:
  %made = phi i64 [%allocated, %allocate], [%results, %ran], [%results, %finish], [%results, %build]
  br label %drop
drop:
  %d = phi i64 [0, %dropped], [%d_next, %drop_one]
  %more_to_drop = icmp slt i64 %d, %made
  br i1 %more_to_drop, label %drop_one, label %let_go
drop_one:
  get ptr %unwanted = %found[%d]
  call void @Py_DecRef(ptr %unwanted)
  %d_next = add i64 %d, 1
  br label %drop
let_go:
  %l = phi i64 [%count, %build], [%count, %drop], [%l_next, %let_one_go]
  %answer = phi ptr [%root, %build], [null, %drop], [%answer, %let_one_go]
  %more_to_let_go = icmp slt i64 %l, %objects
  br i1 %more_to_let_go, label %let_one_go, label %leave
let_one_go:
  get ptr %held_object = %room[%l]
  call void @Py_DecRef(ptr %held_object)
  %l_next = add i64 %l, 1
  br label %let_go
leave:
  store i64 0, ptr %busy_at
  ret ptr %answer
other:
  call void @Py_IncRef(ptr NOT_IMPLEMENTED)
  ret ptr NOT_IMPLEMENTED
}
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
"""
