"""The method that is called when a jitted function is: it tries the quick ways of the last calls, one after the other.

`call(self, args, count, names)` reads `self._quick`: what a state of the settings is counted as, the ways for calls
without keyword arguments, and those for calls with, which take them as one more argument, a dictionary. If settings
are as they were and no trace is under way, it asks way after way until one does not return NotImplemented. What nobody
takes goes to `self._call(args, kwargs)`.
"""

from __future__ import annotations

#: The places in `self._quick`, and in the numbers of `settings.changes`.
STATE, PLAIN, NAMED = 0, 1, 2
COUNT, BLOCKS = 0, 1

CALL = """
define ptr @call(ptr %self, ptr %args, i64 %count, ptr %names) {
entry:
  %has_names = icmp ne ptr %names, null
  br i1 %has_names, label %measure, label %plain
measure:
  get i64 %extra = %names[2]
  %any_names = icmp sgt i64 %extra, 0
  br i1 %any_names, label %named, label %plain
plain:
  %found = call ptr @ask(ptr %self, ptr %args, i64 %count, i64 PLAIN)
  %is_none = icmp eq ptr %found, NOT_IMPLEMENTED
  br i1 %is_none, label %plainly, label %answered
answered:
  ret ptr %found
plainly:
  %no_names = call ptr @PyDict_New()
  %answer = call ptr @general(ptr %self, ptr %args, i64 %count, ptr %no_names)
  ret ptr %answer
named:
  %after = add i64 %count, 1
  %given = alloca ptr, i64 %after
  %bytes = shl i64 %count, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %given, ptr %args, i64 %bytes, i1 false)
  %values = getelementptr ptr, ptr %args, i64 %count
  %items = getelementptr i8, ptr %names, i64 TUPLE_ITEMS
  %dictionary = call ptr @dictionary(ptr %items, ptr %values, i64 %extra)
  %last = getelementptr ptr, ptr %given, i64 %count
  store ptr %dictionary, ptr %last
  %no_dictionary = icmp eq ptr %dictionary, null
  br i1 %no_dictionary, label %failed, label %ask_named
ask_named:
  %found_named = call ptr @ask(ptr %self, ptr %given, i64 %after, i64 NAMED)
  %is_none_named = icmp eq ptr %found_named, NOT_IMPLEMENTED
  br i1 %is_none_named, label %by_name, label %answered_named
answered_named:
  call void @Py_DecRef(ptr %dictionary)
  ret ptr %found_named
by_name:
  %answer_named = call ptr @general(ptr %self, ptr %args, i64 %count, ptr %dictionary)
  ret ptr %answer_named
failed:
  ret ptr null
}
define internal ptr @dictionary(ptr %names, ptr %values, i64 %count) {
entry:
  %made = call ptr @PyDict_New()
  %not_made = icmp eq ptr %made, null
  br i1 %not_made, label %failed, label %pair
pair:
  %i = phi i64 [0, %entry], [%next, %set]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %set, label %done
set:
  get ptr %name = %names[%i]
  get ptr %value = %values[%i]
  %status = call i32 @PyDict_SetItem(ptr %made, ptr %name, ptr %value)
  %next = add i64 %i, 1
  %is_set = icmp eq i32 %status, 0
  br i1 %is_set, label %pair, label %drop
drop:
  call void @Py_DecRef(ptr %made)
  br label %failed
failed:
  ret ptr null
done:
  ret ptr %made
}
define internal ptr @ask(ptr %self, ptr %args, i64 %count, i64 %which) {
entry:
  %trace_room = alloca ptr
  %quick = call ptr @PyObject_GetAttr(ptr %self, ptr QUICK)
  %no_quick = icmp eq ptr %quick, null
  br i1 %no_quick, label %failed, label %compare
compare:
  %fields = getelementptr i8, ptr %quick, i64 TUPLE_ITEMS
  get ptr %state = %fields[STATE]
  %then = call i64 @PyLong_AsLongLong(ptr %state)
  %now_at = getelementptr i64, ptr CHANGES, i64 COUNT
  %now = load i64, ptr %now_at
  %blocks_at = getelementptr i64, ptr CHANGES, i64 BLOCKS
  %blocks = load i64, ptr %blocks_at
  %is_same = icmp eq i64 %then, %now
  %no_blocks = icmp eq i64 %blocks, 0
  %is_known = and i1 %is_same, %no_blocks
  br i1 %is_known, label %look, label %nobody
look:
  %status = call i32 @PyContextVar_Get(ptr CURRENT_TRACE, ptr null, ptr %trace_room)
  %is_read = icmp eq i32 %status, 0
  br i1 %is_read, label %check, label %unread
check:
  %trace = load ptr, ptr %trace_room
  call void @Py_DecRef(ptr %trace)
  %is_eval = icmp eq ptr %trace, EVAL
  br i1 %is_eval, label %begin, label %nobody
begin:
  get ptr %ways = %fields[%which]
  get i64 %way_count = %ways[2]
  %way_items = getelementptr i8, ptr %ways, i64 TUPLE_ITEMS
  br label %next
next:
  %i = phi i64 [0, %begin], [%i_next, %dropped]
  %more = icmp slt i64 %i, %way_count
  br i1 %more, label %try, label %nobody
try:
  get ptr %way = %way_items[%i]
  %found = call ptr @PyObject_Vectorcall(ptr %way, ptr %args, i64 %count, ptr null)
  %is_none = icmp eq ptr %found, NOT_IMPLEMENTED
  %i_next = add i64 %i, 1
  br i1 %is_none, label %dropped, label %done
dropped:
  call void @Py_DecRef(ptr %found)
  br label %next
nobody:
  br label %done
unread:
  br label %done
done:
  %answer = phi ptr [%found, %try], [NOT_IMPLEMENTED, %nobody], [null, %unread]
  call void @Py_DecRef(ptr %quick)
  ret ptr %answer
failed:
  ret ptr null
}
define internal ptr @general(ptr %self, ptr %args, i64 %count, ptr %names) {
entry:
  %given = alloca ptr, i64 3
  %no_names = icmp eq ptr %names, null
  br i1 %no_names, label %failed, label %collect
collect:
  %tuple = call ptr @PyTuple_New(i64 %count)
  %no_tuple = icmp eq ptr %tuple, null
  br i1 %no_tuple, label %dropped, label %begin
begin:
  %items = getelementptr i8, ptr %tuple, i64 TUPLE_ITEMS
  br label %item
item:
  %i = phi i64 [0, %begin], [%next, %take]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %take, label %ask
take:
  get ptr %x = %args[%i]
  call void @Py_IncRef(ptr %x)
  %x_to = getelementptr ptr, ptr %items, i64 %i
  store ptr %x, ptr %x_to
  %next = add i64 %i, 1
  br label %item
ask:
  store ptr %self, ptr %given
  %second = getelementptr ptr, ptr %given, i64 1
  store ptr %tuple, ptr %second
  %third = getelementptr ptr, ptr %given, i64 2
  store ptr %names, ptr %third
  %found = call ptr @PyObject_VectorcallMethod(ptr GENERAL, ptr %given, i64 3, ptr null)
  call void @Py_DecRef(ptr %tuple)
  br label %dropped
dropped:
  %answer = phi ptr [%found, %ask], [null, %collect]
  call void @Py_DecRef(ptr %names)
  ret ptr %answer
failed:
  ret ptr null
}
declare ptr @PyDict_New()
declare i32 @PyDict_SetItem(ptr, ptr, ptr)
declare ptr @PyTuple_New(i64)
declare i64 @PyLong_AsLongLong(ptr)
declare i32 @PyContextVar_Get(ptr, ptr, ptr)
declare ptr @PyObject_GetAttr(ptr, ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare ptr @PyObject_VectorcallMethod(ptr, ptr, i64, ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
"""
