"""What the function that CPython calls for a quick way into a program does for the results (enter.py)."""

from __future__ import annotations

#: What is made of a result: a new array, NumPy's scalar, or Python's float, int, bool, complex; an argument itself, or
#: an array of another type in its memory.
MAKES = {"array": 0, "scalar": 1, "float": 2, "int": 3, "bool": 4, "complex": 5, "argument": 6, "view": 7}

#: `allocate`: arrays for results, null for numbers; how many there are, which is fewer than are wanted after an error.
ALLOCATE = """
define internal i64 @allocate(ptr %table, ptr %records, ptr %room, ptr %found, ptr %slots) {
entry:
  get i64 %results = %table[RESULTS]
  br label %result
result:
  %j = phi i64 [0, %entry], [%j_next, %allocated]
  %q = phi ptr [%records, %entry], [%q_next, %allocated]
  %more_results = icmp slt i64 %j, %results
  br i1 %more_results, label %make, label %done
make:
  get i64 %result_slot = %q[0]
  get i64 %rank = %q[1]
  get ptr %result_type = %q[2]
  get i64 %as = %q[3]
  %shape = getelementptr i64, ptr %q, i64 4
  %y_to = getelementptr ptr, ptr %found, i64 %j
  store ptr null, ptr %y_to
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
  br i1 %no_view, label %failed, label %based
based:
  store ptr %view, ptr %y_to
  call void @Py_IncRef(ptr %owner)
  %not_based = call i32 SET_BASE(ptr %view, ptr %owner)
  %is_based = icmp eq i32 %not_based, 0
  br i1 %is_based, label %allocated, label %begun
new_array:
  call void @Py_IncRef(ptr %result_type)
  %y = call ptr NEW_ARRAY(
    ptr ARRAY_TYPE, ptr %result_type, i32 %rank32, ptr %shape, ptr null, ptr null, i32 0, ptr null)
  %no_array = icmp eq ptr %y, null
  br i1 %no_array, label %failed, label %new
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
begun:
  %begun_too = add i64 %j, 1
  ret i64 %begun_too
failed:
  ret i64 %j
done:
  ret i64 %results
}
"""

#: `finish`: numbers as objects; the records after those of results, or null after an error.
FINISH = """
define internal ptr @finish(ptr %table, ptr %records, ptr %found) {
entry:
  get i64 %results = %table[RESULTS]
  br label %finish
finish:
  %k = phi i64 [0, %entry], [%k_next, %finished]
  %p = phi ptr [%records, %entry], [%p_next, %finished]
  %unfinished = icmp slt i64 %k, %results
  br i1 %unfinished, label %one, label %done
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
  %converted_to = getelementptr ptr, ptr %found, i64 %k
  store ptr %converted_one, ptr %converted_to
  br i1 %not_converted, label %failed, label %finished
finished:
  %p_next = getelementptr i64, ptr %after, i64 %axes_of
  %k_next = add i64 %k, 1
  br label %finish
done:
  ret ptr %p
failed:
  ret ptr null
}
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyBool_FromLong(i64)
declare ptr @PyComplex_FromDoubles(double, double)
"""

#: `build`: what is returned, of all results; null after an error.
BUILD = """
define internal ptr @build(ptr %table, ptr %records, ptr %found) {
entry:
  get i64 %returned = %table[RETURNED]
  get ptr %made = %table[MADE]
  br label %give
give:
  %g = phi i64 [0, %entry], [%g_next, %given_one]
  %w = phi ptr [%records, %entry], [%w_next, %given_one]
  %more_to_give = icmp slt i64 %g, %returned
  br i1 %more_to_give, label %build, label %done
build:
  get i64 %built_kind = %w[0]
  get i64 %built_size = %w[1]
  get ptr %pattern = %w[2]
  get i64 %parent_number = %w[3]
  get i64 %parent_kind = %w[4]
  get i64 %parent_place = %w[5]
  get ptr %parent_key = %w[5]
  %w_next = getelementptr i64, ptr %w, i64 6
  %built_to = getelementptr ptr, ptr %made, i64 %g
  switch i64 %built_kind, label %a_leaf [
    i64 TUPLE, label %a_tuple i64 LIST, label %a_list i64 DICT, label %a_dict i64 NONE, label %a_none
    i64 NAMED, label %a_named
  ]
a_leaf:
  %own_at = getelementptr ptr, ptr %found, i64 %built_size
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
a_named:
  %new_named = call ptr @PyType_GenericAlloc(ptr %pattern, i64 %built_size)
  br label %built
a_none:
  call void @Py_IncRef(ptr NO_VALUE)
  br label %built
built:
  %z = phi ptr [%own, %a_leaf], [%new_tuple, %a_tuple], [%new_list, %a_list], [%new_dict, %a_dict],
    [%new_named, %a_named], [NO_VALUE, %a_none]
  store ptr %z, ptr %built_to
  %not_built = icmp eq ptr %z, null
  br i1 %not_built, label %undone, label %attach
attach:
  get ptr %parent = %made[%parent_number]
  switch i64 %parent_kind, label %given_one [
    i64 TUPLE, label %into_tuple i64 NAMED, label %into_tuple i64 LIST, label %into_list i64 DICT, label %into_dict
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
  ret ptr %root
undone:
  %is_first = icmp eq i64 %g, 0
  br i1 %is_first, label %failed, label %drop_root
drop_root:
  %unwanted = load ptr, ptr %made
  call void @Py_DecRef(ptr %unwanted)
  br label %failed
failed:
  ret ptr null
}
declare ptr @PyTuple_New(i64)
declare ptr @PyList_New(i64)
declare ptr @PyDict_Copy(ptr)
declare i32 @PyDict_SetItem(ptr, ptr, ptr)
declare ptr @PyType_GenericAlloc(ptr, i64)
"""
