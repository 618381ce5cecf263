"""What the function that CPython calls for a quick way into a program does with the arguments (enter.py).

It takes apart what is nested, puts the addresses of arrays and the values of numbers where the program finds them, and
sees that arrays are apart from what is overwritten. Nothing here could run Python code.
"""

from __future__ import annotations

#: How a number is read: as the eight or sixteen bytes of an object, or from a Python integer.
READS = {"bytes": 0, "long": 1, "complex": 2}
#: What PyObject_RichCompareBool calls a test for equality.
EQUAL = 2

#: `unpack`: the parts of nests to where objects are kept, behind the arguments; the records after those of nests, or
#: null if something is not as it was.
UNPACK = """
define internal ptr @unpack(ptr %table, ptr %records, ptr %room, i64 %count) {
entry:
  %position = alloca i64
  %key_room = alloca ptr
  %value_room = alloca ptr
  get i64 %nests = %table[NESTS]
  br label %nest
nest:
  %n = phi i64 [0, %entry], [%n_next, %unpacked]
  %u = phi ptr [%records, %entry], [%u_next, %unpacked]
  %to = phi i64 [%count, %entry], [%to_next, %unpacked]
  %more_nests = icmp slt i64 %n, %nests
  br i1 %more_nests, label %unpack, label %done
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
  switch i64 %kind, label %unpacked [
    i64 TUPLE, label %sized i64 LIST, label %sized i64 DICT, label %dict i64 SAME, label %same
  ]
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
same:
  get ptr %object_wanted = %keys[0]
  get i64 %is_plain = %keys[1]
  %is_object = icmp eq ptr %container, %object_wanted
  br i1 %is_object, label %unpacked, label %maybe
maybe:
  %may_differ = icmp ne i64 %is_plain, 0
  br i1 %may_differ, label %compare_objects, label %other
compare_objects:
  %equals = call i32 @PyObject_RichCompareBool(ptr %container, ptr %object_wanted, i32 EQUAL)
  %is_equal = icmp eq i32 %equals, 1
  br i1 %is_equal, label %unpacked, label %other
unpacked:
  %keys_count = phi i64 [0, %which], [0, %item], [%size, %pair], [2, %same], [2, %compare_objects]
  %u_next = getelementptr i64, ptr %keys, i64 %keys_count
  %n_next = add i64 %n, 1
  br label %nest
done:
  ret ptr %u
other:
  ret ptr null
}
declare i64 @PyDict_Size(ptr)
declare i32 @PyDict_Next(ptr, ptr, ptr, ptr)
declare i32 @PyUnicode_Compare(ptr, ptr)
declare i32 @PyObject_RichCompareBool(ptr, ptr, i32)
"""

#: `read`: where arrays are, and the values of numbers, to the slots; the records after those of leaves, or null.
READ = """
define internal ptr @read(ptr %table, ptr %records, ptr %room, ptr %slots) {
entry:
  %overflow = alloca i32
  get i64 %leaves = %table[LEAVES]
  br label %leaf
leaf:
  %i = phi i64 [0, %entry], [%i_next, %taken]
  %r = phi ptr [%records, %entry], [%r_next, %taken]
  %has_more = icmp slt i64 %i, %leaves
  br i1 %has_more, label %look, label %done
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
done:
  ret ptr %r
other:
  ret ptr null
}
declare i64 @PyLong_AsLongLongAndOverflow(ptr, ptr)
"""

#: `are_apart`: whether what is overwritten shares no memory with anything else.
ARE_APART = """
define internal i1 @are_apart(ptr %spans, i64 %span_count, ptr %slots) {
entry:
  %records_size = shl i64 %span_count, 2
  %order = getelementptr i64, ptr %spans, i64 %records_size
  br label %sort
sort:
  %v = phi i64 [0, %entry], [%v_next, %sorted]
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
  br i1 %more_to_walk, label %visit, label %apart
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
  br i1 %clashes, label %over, label %walked
walked:
  %is_furthest = icmp ugt i64 %visited_last, %end_of_any
  %end_of_any_next = select i1 %is_furthest, i64 %visited_last, i64 %end_of_any
  %is_further = icmp ugt i64 %visited_last, %end_of_overwritten
  %is_end = and i1 %is_further, %is_overwritten
  %end_of_overwritten_next = select i1 %is_end, i64 %visited_last, i64 %end_of_overwritten
  %f_next = add i64 %f, 1
  br label %walk
apart:
  ret i1 true
over:
  ret i1 false
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
"""
