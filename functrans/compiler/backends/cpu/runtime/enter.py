"""The function that CPython calls for a quick way into a program: from Python objects to memory, and back.

`enter(self, args, count)` works by a table, to which `self`, a capsule, points. The table begins with the fields named
in `FIELDS`, and goes on with records:

* of nests among the arguments: the number of the object, its type, how many parts it has, its `KINDS`, and for a
  dictionary the keys. Arguments are objects 0, 1, ...; the parts of nests are numbered on from there.
* of leaves that are arrays: the number of the object, the slot, the dtype object, the number of axes, the flags that
  it must have, extents, strides;
* of leaves that are numbers: the number of the object, the slot, 0, where it goes, its type, how it is read (`READS`);
* of results: the slot, the number of axes, the dtype object, what is made of it (`MAKES`), extents; for a number the
  place of its value stands for the slot; for an argument, or an array in the memory of one, the number of that object;
* of what is returned, from the outside in: what it is (`KINDS`), how many parts it has (or which result it is, or a
  dictionary with the same keys, which need not grow), the number of what it is a part of, the kind of that, and its
  place there (or its key).

Another table has the spans of arrays among the arguments, if any is overwritten: the slot, where the elements begin and
end, counted from the address there, and whether it is overwritten. What is overwritten must have nothing in common with
others. To see that, spans are sorted by where they begin: their numbers stand behind them, in the order of the call
before, which mostly is the right one still.

Up to the label `hold` nothing is called that could run Python code, so that objects need no references of their own.
From there on those that are parts of nests have one: what runs meanwhile may change the nests. Results belong to a
tuple until each is handed on to what is returned. A new object is given to what it is a part of at once, so that
dropping the outermost drops all.
"""

from __future__ import annotations

#: What the table begins with: whether a call is under way; how many arguments; code, its count and the slots of the
#: program; whether others may run meanwhile; how many results, objects, nests, leaves; how many objects are returned;
#: room for pointers to the objects among the arguments, and to those that are returned; the place of a number of calls,
#: after which the caller wants to be asked; the table of spans, and how many there are.
FIELDS = (
    "BUSY", "ARGUMENTS", "CODE", "COUNT", "SLOTS", "SHARES", "RESULTS", "OBJECTS", "NESTS", "LEAVES", "RETURNED",
    "ROOM", "MADE", "CALLS", "SPANS", "SPAN_COUNT",
)  # fmt: skip
#: What a nest is; a leaf among what is returned, and what is nowhere a part.
KINDS = {"leaf": 0, "tuple": 1, "list": 2, "dict": 3, "none": 4, "root": 5}
#: How a number is read: as the eight or sixteen bytes of an object, or from a Python integer.
READS = {"bytes": 0, "long": 1, "complex": 2}
#: What is made of a result: a new array, NumPy's scalar, or Python's float, int, bool, complex; an argument itself, or
#: an array of another type in its memory.
MAKES = {"array": 0, "scalar": 1, "float": 2, "int": 3, "bool": 4, "complex": 5, "argument": 6, "view": 7}

ENTER = """
define ptr @enter(ptr %self, ptr %args, i64 %count) {
entry:
  %position = alloca i64
  %key_room = alloca ptr
  %value_room = alloca ptr
  %overflow = alloca i32
  %table_at = getelementptr i8, ptr %self, i64 16
  %table = load ptr, ptr %table_at
  get i64 %busy = %table[BUSY]
  get i64 %wanted = %table[ARGUMENTS]
  get ptr %code = %table[CODE]
  get i64 %steps = %table[COUNT]
  get ptr %slots = %table[SLOTS]
  get i64 %shares = %table[SHARES]
  get i64 %results = %table[RESULTS]
  get i64 %objects = %table[OBJECTS]
  get i64 %nests = %table[NESTS]
  get i64 %leaves = %table[LEAVES]
  get i64 %returned = %table[RETURNED]
  get ptr %room = %table[ROOM]
  get ptr %made = %table[MADE]
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
  br i1 %more_arguments, label %copy, label %nest
copy:
  get ptr %given = %args[%c]
  %given_to = getelementptr ptr, ptr %room, i64 %c
  store ptr %given, ptr %given_to
  %c_next = add i64 %c, 1
  br label %argument

nest:
  %n = phi i64 [0, %argument], [%n_next, %unpacked]
  %u = phi ptr [%records, %argument], [%u_next, %unpacked]
  %to = phi i64 [%count, %argument], [%to_next, %unpacked]
  %more_nests = icmp slt i64 %n, %nests
  br i1 %more_nests, label %unpack, label %leaf
unpack:
  get i64 %whose = %u[0]
  get ptr %nest_type = %u[1]
  get i64 %size = %u[2]
  get i64 %kind = %u[3]
  %keys = getelementptr i64, ptr %u, i64 4
  get ptr %container = %room[%whose]
  get ptr %has_type = %container[1]
  %parts = getelementptr ptr, ptr %room, i64 %to
  %to_next = add i64 %to, %size
  %is_type = icmp eq ptr %has_type, %nest_type
  br i1 %is_type, label %which, label %other
which:
  switch i64 %kind, label %unpacked [i64 TUPLE, label %sized i64 LIST, label %sized i64 DICT, label %dict]
sized:
  get i64 %has_size = %container[2]
  %is_size = icmp eq i64 %has_size, %size
  br i1 %is_size, label %where, label %other
where:
  %in_tuple = getelementptr i8, ptr %container, i64 TUPLE_ITEMS
  get ptr %in_list = %container[3]
  %is_tuple = icmp eq i64 %kind, TUPLE
  %items = select i1 %is_tuple, ptr %in_tuple, ptr %in_list
  br label %item
item:
  %m = phi i64 [0, %where], [%m_next, %take]
  %more_items = icmp slt i64 %m, %size
  br i1 %more_items, label %take, label %unpacked
take:
  get ptr %part = %items[%m]
  %part_to = getelementptr ptr, ptr %parts, i64 %m
  store ptr %part, ptr %part_to
  %m_next = add i64 %m, 1
  br label %item
dict:
  %dict_size = call i64 @PyDict_Size(ptr %container)
  %is_dict_size = icmp eq i64 %dict_size, %size
  store i64 0, ptr %position
  br i1 %is_dict_size, label %pair, label %other
pair:
  %d = phi i64 [0, %dict], [%d_next, %keep]
  %more_pairs = icmp slt i64 %d, %size
  br i1 %more_pairs, label %next_pair, label %unpacked
next_pair:
  %has_pair = call i32 @PyDict_Next(ptr %container, ptr %position, ptr %key_room, ptr %value_room)
  %no_pair = icmp eq i32 %has_pair, 0
  br i1 %no_pair, label %other, label %key
key:
  %key_is = load ptr, ptr %key_room
  get ptr %key_wanted = %keys[%d]
  %is_key = icmp eq ptr %key_is, %key_wanted
  br i1 %is_key, label %keep, label %spelt
spelt:
  get ptr %key_type = %key_is[1]
  get ptr %key_type_wanted = %key_wanted[1]
  %is_text = icmp eq ptr %key_type, TEXT_TYPE
  %is_text_wanted = icmp eq ptr %key_type_wanted, TEXT_TYPE
  %are_texts = and i1 %is_text, %is_text_wanted
  br i1 %are_texts, label %compare_texts, label %other
compare_texts:
  %difference = call i32 @PyUnicode_Compare(ptr %key_is, ptr %key_wanted)
  %same_text = icmp eq i32 %difference, 0
  br i1 %same_text, label %keep, label %other
keep:
  %value_of = load ptr, ptr %value_room
  %value_to = getelementptr ptr, ptr %parts, i64 %d
  store ptr %value_of, ptr %value_to
  %d_next = add i64 %d, 1
  br label %pair
unpacked:
  %keys_count = phi i64 [0, %which], [0, %item], [%size, %pair]
  %u_next = getelementptr i64, ptr %keys, i64 %keys_count
  %n_next = add i64 %n, 1
  br label %nest

leaf:
  %i = phi i64 [0, %nest], [%i_next, %taken]
  %r = phi ptr [%u, %nest], [%r_next, %taken]
  %has_more = icmp slt i64 %i, %leaves
  br i1 %has_more, label %look, label %apart
look:
  get i64 %number = %r[0]
  get i64 %slot = %r[1]
  get ptr %dtype = %r[2]
  get i64 %ndim = %r[3]
  %rest = getelementptr i64, ptr %r, i64 5
  get ptr %x = %room[%number]
  get ptr %type = %x[1]
  %place = getelementptr ptr, ptr %slots, i64 %slot
  %is_number = icmp eq ptr %dtype, null
  br i1 %is_number, label %scalar, label %array
scalar:
  get ptr %wanted_type = %r[4]
  get i64 %how = %r[5]
  %after_number = getelementptr i64, ptr %r, i64 6
  %cell = inttoptr i64 %ndim to ptr
  %bytes_at = getelementptr i8, ptr %x, i64 16
  %second_at = getelementptr i8, ptr %x, i64 24
  %second_to = getelementptr i8, ptr %cell, i64 8
  %is_wanted = icmp eq ptr %type, %wanted_type
  br i1 %is_wanted, label %read, label %other
read:
  switch i64 %how, label %read_bytes [i64 LONG, label %read_long i64 COMPLEX, label %read_complex]
read_long:
  %integer = call i64 @PyLong_AsLongLongAndOverflow(ptr %x, ptr %overflow)
  %too_large = load i32, ptr %overflow
  %fits_long = icmp eq i32 %too_large, 0
  store i64 %integer, ptr %cell
  br i1 %fits_long, label %was_read, label %other
read_complex:
  %second = load i64, ptr %second_at
  store i64 %second, ptr %second_to
  br label %read_bytes
read_bytes:
  %bytes = load i64, ptr %bytes_at
  store i64 %bytes, ptr %cell
  br label %was_read
was_read:
  store ptr %cell, ptr %place
  br label %taken
array:
  %is_array = icmp eq ptr %type, ARRAY_TYPE
  br i1 %is_array, label %fields, label %other
fields:
  get ptr %data = %x[2]
  get i32 %has_ndim32 = %x[3]
  get ptr %extents = %x[4]
  get ptr %strides = %x[5]
  get ptr %has_dtype = %x[7]
  get i32 %flags = %x[8]
  %has_ndim = sext i32 %has_ndim32 to i64
  get i64 %wanted_flags = %r[4]
  %all_flags = zext i32 %flags to i64
  %has_flags = and i64 %all_flags, %wanted_flags
  %is_usable = icmp eq i64 %has_flags, %wanted_flags
  %same_dtype = icmp eq ptr %has_dtype, %dtype
  %same_ndim = icmp eq i64 %has_ndim, %ndim
  %same_type = and i1 %same_dtype, %same_ndim
  %fits = and i1 %same_type, %is_usable
  br i1 %fits, label %axes, label %other
axes:
  %wanted_strides = getelementptr i64, ptr %rest, i64 %ndim
  %after_strides = getelementptr i64, ptr %wanted_strides, i64 %ndim
  br label %axis
axis:
  %a = phi i64 [0, %axes], [%a_next, %same_axis]
  %more_axes = icmp slt i64 %a, %ndim
  br i1 %more_axes, label %compare, label %fitting
compare:
  get i64 %extent = %extents[%a]
  get i64 %stride = %strides[%a]
  get i64 %wanted_extent = %rest[%a]
  get i64 %wanted_stride = %wanted_strides[%a]
  %same_extent = icmp eq i64 %extent, %wanted_extent
  %same_stride = icmp eq i64 %stride, %wanted_stride
  %same = and i1 %same_extent, %same_stride
  br i1 %same, label %same_axis, label %other
same_axis:
  %a_next = add i64 %a, 1
  br label %axis
fitting:
  store ptr %data, ptr %place
  br label %taken
taken:
  %r_next = phi ptr [%after_number, %was_read], [%after_strides, %fitting]
  %i_next = add i64 %i, 1
  br label %leaf

apart:
  get i64 %span_count = %table[SPAN_COUNT]
  get ptr %spans = %table[SPANS]
  %records_size = shl i64 %span_count, 2
  %order = getelementptr i64, ptr %spans, i64 %records_size
  br label %sort
sort:
  %v = phi i64 [0, %apart], [%v_next, %sorted]
  %more_to_sort = icmp slt i64 %v, %span_count
  br i1 %more_to_sort, label %insert, label %walk
insert:
  get i64 %inserted = %order[%v]
  %inserted_first = call i64 @span_end(ptr %spans, i64 %inserted, i64 1, ptr %slots)
  br label %earlier
earlier:
  %e = phi i64 [%v, %insert], [%e_before, %shift]
  %has_earlier = icmp sgt i64 %e, 0
  br i1 %has_earlier, label %compare_spans, label %sorted
compare_spans:
  %e_before = sub i64 %e, 1
  get i64 %other_span = %order[%e_before]
  %other_first = call i64 @span_end(ptr %spans, i64 %other_span, i64 1, ptr %slots)
  %is_later = icmp ugt i64 %other_first, %inserted_first
  br i1 %is_later, label %shift, label %sorted
shift:
  %shifted_to = getelementptr i64, ptr %order, i64 %e
  store i64 %other_span, ptr %shifted_to
  br label %earlier
sorted:
  %inserted_to = getelementptr i64, ptr %order, i64 %e
  store i64 %inserted, ptr %inserted_to
  %v_next = add i64 %v, 1
  br label %sort
walk:
  %f = phi i64 [0, %sort], [%f_next, %walked]
  %end_of_any = phi i64 [0, %sort], [%end_of_any_next, %walked]
  %end_of_overwritten = phi i64 [0, %sort], [%end_of_overwritten_next, %walked]
  %more_to_walk = icmp slt i64 %f, %span_count
  br i1 %more_to_walk, label %visit, label %hold
visit:
  get i64 %visited = %order[%f]
  %visited_first = call i64 @span_end(ptr %spans, i64 %visited, i64 1, ptr %slots)
  %visited_last = call i64 @span_end(ptr %spans, i64 %visited, i64 2, ptr %slots)
  %visited_place = shl i64 %visited, 2
  %visited_record = getelementptr i64, ptr %spans, i64 %visited_place
  get i64 %overwritten = %visited_record[3]
  %is_overwritten = icmp ne i64 %overwritten, 0
  %must_be_over = select i1 %is_overwritten, i64 %end_of_any, i64 %end_of_overwritten
  %clashes = icmp ult i64 %visited_first, %must_be_over
  br i1 %clashes, label %other, label %walked
walked:
  %is_furthest = icmp ugt i64 %visited_last, %end_of_any
  %end_of_any_next = select i1 %is_furthest, i64 %visited_last, i64 %end_of_any
  %is_further = icmp ugt i64 %visited_last, %end_of_overwritten
  %is_end = and i1 %is_further, %is_overwritten
  %end_of_overwritten_next = select i1 %is_end, i64 %visited_last, i64 %end_of_overwritten
  %f_next = add i64 %f, 1
  br label %walk

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
  %found = call ptr @PyTuple_New(i64 %results)
  %no_tuple = icmp eq ptr %found, null
  br i1 %no_tuple, label %failed, label %begin
begin:
  %found_items = getelementptr i8, ptr %found, i64 TUPLE_ITEMS
  br label %result
result:
  %j = phi i64 [0, %begin], [%j_next, %allocated]
  %q = phi ptr [%r, %begin], [%q_next, %allocated]
  %more_results = icmp slt i64 %j, %results
  br i1 %more_results, label %make, label %run
make:
  get i64 %result_slot = %q[0]
  get i64 %rank = %q[1]
  get ptr %result_type = %q[2]
  get i64 %as = %q[3]
  %shape = getelementptr i64, ptr %q, i64 4
  %y_to = getelementptr ptr, ptr %found_items, i64 %j
  %rank32 = trunc i64 %rank to i32
  switch i64 %as, label %allocated [
    i64 TO_ARRAY, label %new_array i64 TO_ARGUMENT, label %hand_out i64 TO_VIEW, label %new_view
  ]
hand_out:
  get ptr %donated = %room[%result_slot]
  call void @Py_IncRef(ptr %donated)
  store ptr %donated, ptr %y_to
  br label %allocated
new_view:
  get ptr %owner = %room[%result_slot]
  get ptr %owner_data = %owner[2]
  call void @Py_IncRef(ptr %result_type)
  %view = call ptr NEW_ARRAY(
    ptr ARRAY_TYPE, ptr %result_type, i32 %rank32, ptr %shape, ptr null, ptr %owner_data, i32 CARRAY, ptr null)
  %no_view = icmp eq ptr %view, null
  br i1 %no_view, label %dropped, label %based
based:
  store ptr %view, ptr %y_to
  call void @Py_IncRef(ptr %owner)
  %not_based = call i32 SET_BASE(ptr %view, ptr %owner)
  %is_based = icmp eq i32 %not_based, 0
  br i1 %is_based, label %allocated, label %dropped
new_array:
  call void @Py_IncRef(ptr %result_type)
  %y = call ptr NEW_ARRAY(
    ptr ARRAY_TYPE, ptr %result_type, i32 %rank32, ptr %shape, ptr null, ptr null, i32 0, ptr null)
  %no_array = icmp eq ptr %y, null
  br i1 %no_array, label %dropped, label %new
new:
  store ptr %y, ptr %y_to
  get ptr %y_data = %y[2]
  %y_place = getelementptr ptr, ptr %slots, i64 %result_slot
  store ptr %y_data, ptr %y_place
  br label %allocated
allocated:
  %q_next = getelementptr i64, ptr %shape, i64 %rank
  %j_next = add i64 %j, 1
  br label %result

run:
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
  %k = phi i64 [0, %ran], [%k_next, %finished]
  %p = phi ptr [%r, %ran], [%p_next, %finished]
  %unfinished = icmp slt i64 %k, %results
  br i1 %unfinished, label %one, label %give
one:
  get ptr %value_at = %p[0]
  get i64 %axes_of = %p[1]
  get ptr %dtype_of = %p[2]
  get i64 %makes = %p[3]
  %after = getelementptr i64, ptr %p, i64 4
  switch i64 %makes, label %finished [
    i64 TO_SCALAR, label %to_scalar i64 TO_FLOAT, label %to_float i64 TO_INT, label %to_int i64 TO_BOOL, label %to_bool
    i64 TO_COMPLEX, label %to_complex
  ]
to_scalar:
  %new_scalar = call ptr NEW_SCALAR(ptr %value_at, ptr %dtype_of, ptr null)
  br label %converted
to_float:
  %float_value = load double, ptr %value_at
  %new_float = call ptr @PyFloat_FromDouble(double %float_value)
  br label %converted
to_int:
  %int_value = load i64, ptr %value_at
  %new_int = call ptr @PyLong_FromLongLong(i64 %int_value)
  br label %converted
to_bool:
  %byte_value = load i8, ptr %value_at
  %bool_value = zext i8 %byte_value to i64
  %new_bool = call ptr @PyBool_FromLong(i64 %bool_value)
  br label %converted
to_complex:
  %imaginary_at = getelementptr i8, ptr %value_at, i64 8
  %real = load double, ptr %value_at
  %imaginary = load double, ptr %imaginary_at
  %new_complex = call ptr @PyComplex_FromDoubles(double %real, double %imaginary)
  br label %converted
converted:
  %converted_one = phi ptr [%new_scalar, %to_scalar], [%new_float, %to_float], [%new_int, %to_int],
    [%new_bool, %to_bool], [%new_complex, %to_complex]
  %not_converted = icmp eq ptr %converted_one, null
  %converted_to = getelementptr ptr, ptr %found_items, i64 %k
  store ptr %converted_one, ptr %converted_to
  br i1 %not_converted, label %dropped, label %finished
finished:
  %p_next = getelementptr i64, ptr %after, i64 %axes_of
  %k_next = add i64 %k, 1
  br label %finish

give:
  %g = phi i64 [0, %finish], [%g_next, %given_one]
  %w = phi ptr [%p, %finish], [%w_next, %given_one]
  %more_to_give = icmp slt i64 %g, %returned
  br i1 %more_to_give, label %build, label %done
build:
  get i64 %built_kind = %w[0]
  get i64 %built_size = %w[1]
  get ptr %pattern = %w[1]
  get i64 %parent_number = %w[2]
  get i64 %parent_kind = %w[3]
  get i64 %parent_place = %w[4]
  get ptr %parent_key = %w[4]
  %w_next = getelementptr i64, ptr %w, i64 5
  %built_to = getelementptr ptr, ptr %made, i64 %g
  switch i64 %built_kind, label %a_leaf [
    i64 TUPLE, label %a_tuple i64 LIST, label %a_list i64 DICT, label %a_dict i64 NONE, label %a_none
  ]
a_leaf:
  %own_at = getelementptr ptr, ptr %found_items, i64 %built_size
  %own = load ptr, ptr %own_at
  store ptr null, ptr %own_at
  br label %built
a_tuple:
  %new_tuple = call ptr @PyTuple_New(i64 %built_size)
  br label %built
a_list:
  %new_list = call ptr @PyList_New(i64 %built_size)
  br label %built
a_dict:
  %new_dict = call ptr @PyDict_Copy(ptr %pattern)
  br label %built
a_none:
  call void @Py_IncRef(ptr NO_VALUE)
  br label %built
built:
  %z = phi ptr [%own, %a_leaf], [%new_tuple, %a_tuple], [%new_list, %a_list], [%new_dict, %a_dict],
    [NO_VALUE, %a_none]
  store ptr %z, ptr %built_to
  %not_built = icmp eq ptr %z, null
  br i1 %not_built, label %undone, label %attach
attach:
  get ptr %parent = %made[%parent_number]
  switch i64 %parent_kind, label %given_one [
    i64 TUPLE, label %into_tuple i64 LIST, label %into_list i64 DICT, label %into_dict
  ]
into_tuple:
  %tuple_items = getelementptr i8, ptr %parent, i64 TUPLE_ITEMS
  %tuple_item = getelementptr ptr, ptr %tuple_items, i64 %parent_place
  store ptr %z, ptr %tuple_item
  br label %given_one
into_list:
  get ptr %list_items = %parent[3]
  %list_item = getelementptr ptr, ptr %list_items, i64 %parent_place
  store ptr %z, ptr %list_item
  br label %given_one
into_dict:
  %not_set = call i32 @PyDict_SetItem(ptr %parent, ptr %parent_key, ptr %z)
  call void @Py_DecRef(ptr %z)
  %is_set = icmp eq i32 %not_set, 0
  br i1 %is_set, label %given_one, label %undone
given_one:
  %g_next = add i64 %g, 1
  br label %give

done:
  %root = load ptr, ptr %made
  call void @Py_DecRef(ptr %found)
  br label %release
undone:
  %is_first = icmp eq i64 %g, 0
  br i1 %is_first, label %dropped, label %drop_root
drop_root:
  %unwanted = load ptr, ptr %made
  call void @Py_DecRef(ptr %unwanted)
  br label %dropped
dropped:
  call void @Py_DecRef(ptr %found)
  br label %failed
failed:
  br label %release
release:
  %answer = phi ptr [%root, %done], [null, %failed]
  br label %let_go
let_go:
  %l = phi i64 [%count, %release], [%l_next, %let_one_go]
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
define internal i64 @span_end(ptr %spans, i64 %number, i64 %which, ptr %slots) {
  %place = shl i64 %number, 2
  %record = getelementptr i64, ptr %spans, i64 %place
  get i64 %slot = %record[0]
  get i64 %offset = %record[%which]
  get i64 %base = %slots[%slot]
  %end = add i64 %base, %offset
  ret i64 %end
}
declare i64 @PyDict_Size(ptr)
declare i32 @PyDict_Next(ptr, ptr, ptr, ptr)
declare i32 @PyUnicode_Compare(ptr, ptr)
declare i64 @PyLong_AsLongLongAndOverflow(ptr, ptr)
declare ptr @PyTuple_New(i64)
declare ptr @PyList_New(i64)
declare ptr @PyDict_Copy(ptr)
declare i32 @PyDict_SetItem(ptr, ptr, ptr)
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyBool_FromLong(i64)
declare ptr @PyComplex_FromDoubles(double, double)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
"""
