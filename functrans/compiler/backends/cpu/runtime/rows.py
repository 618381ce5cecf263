"""Sorting and Fourier transforms, by functions of NumPy."""

from __future__ import annotations

#: `run_sort`, for `run_kernel` and `run_parallel`: some of the rows of an array. The arguments: the function; slot and
#: offset of the rows; bytes of a row; elements of a row; slot and offset of indices, or slot 0 to sort in place.
RUN_SORT = """
define i64 @run_sort(ptr %a, ptr %slots, i64 %begin, i64 %end) {
entry:
  get ptr %function = %a[0]
  get i64 %slot = %a[1]
  get i64 %offset = %a[2]
  get i64 %size = %a[3]
  get i64 %count = %a[4]
  get i64 %order_slot = %a[5]
  get i64 %order_offset = %a[6]
  get ptr %base = %slots[%slot]
  get ptr %order_base = %slots[%order_slot]
  %by_index = icmp ne i64 %order_slot, 0
  %order_size = shl i64 %count, 3
  br label %row
row:
  %i = phi i64 [%begin, %entry], [%i_next, %sorted]
  %more = icmp slt i64 %i, %end
  br i1 %more, label %look, label %done
look:
  %skipped = mul i64 %i, %size
  %far = add i64 %offset, %skipped
  %values = getelementptr i8, ptr %base, i64 %far
  br i1 %by_index, label %begin_order, label %in_place
in_place:
  call i32 %function(ptr %values, i64 %count, ptr null)
  br label %sorted
begin_order:
  %order_skipped = mul i64 %i, %order_size
  %order_far = add i64 %order_offset, %order_skipped
  %order = getelementptr i8, ptr %order_base, i64 %order_far
  br label %number
number:
  %k = phi i64 [0, %begin_order], [%k_next, %number]
  %at = getelementptr i64, ptr %order, i64 %k
  store i64 %k, ptr %at
  %k_next = add i64 %k, 1
  %any_more = icmp slt i64 %k_next, %count
  br i1 %any_more, label %number, label %indirect
indirect:
  call i32 %function(ptr %values, ptr %order, i64 %count, ptr null)
  br label %sorted
sorted:
  %i_next = add i64 %i, 1
  br label %row
done:
  ret i64 0
}
"""

#: `run_fourier`, for `run_kernel` and `run_parallel`: some of the lanes of a transform. The arguments: the loop of the
#: ufunc and its data; the address of the factor; how many outer and inner lanes there are, and whether a part is one of
#: the outer ones; slot, offset and three strides of the points, the last one of which is along the transform; the same
#: of the results; how many points and results there are along the transform.
RUN_FOURIER = """
define i64 @run_fourier(ptr %a, ptr %slots, i64 %begin, i64 %end) {
entry:
  get ptr %function = %a[0]
  get ptr %data = %a[1]
  get ptr %factor = %a[2]
  get i64 %outer = %a[3]
  get i64 %inner = %a[4]
  get i64 %by_outer = %a[5]
  get i64 %x_slot = %a[6]
  get i64 %x_offset = %a[7]
  get i64 %x_outer = %a[8]
  get i64 %x_inner = %a[9]
  get i64 %x_step = %a[10]
  get i64 %y_slot = %a[11]
  get i64 %y_offset = %a[12]
  get i64 %y_outer = %a[13]
  get i64 %y_inner = %a[14]
  get i64 %y_step = %a[15]
  get i64 %points = %a[16]
  get i64 %results = %a[17]
  get ptr %x_base = %slots[%x_slot]
  get ptr %y_base = %slots[%y_slot]
  %arguments = alloca [3 x ptr]
  %extents = alloca [3 x i64]
  %steps = alloca [5 x i64]
  %is_by_outer = icmp ne i64 %by_outer, 0
  %first = select i1 %is_by_outer, i64 %begin, i64 0
  %last = select i1 %is_by_outer, i64 %end, i64 %outer
  %low = select i1 %is_by_outer, i64 0, i64 %begin
  %high = select i1 %is_by_outer, i64 %inner, i64 %end
  %lanes = sub i64 %high, %low
  store i64 %lanes, ptr %extents
  %extents_1 = getelementptr i64, ptr %extents, i64 1
  store i64 %points, ptr %extents_1
  %extents_2 = getelementptr i64, ptr %extents, i64 2
  store i64 %results, ptr %extents_2
  store i64 %x_inner, ptr %steps
  %steps_1 = getelementptr i64, ptr %steps, i64 1
  store i64 0, ptr %steps_1
  %steps_2 = getelementptr i64, ptr %steps, i64 2
  store i64 %y_inner, ptr %steps_2
  %steps_3 = getelementptr i64, ptr %steps, i64 3
  store i64 %x_step, ptr %steps_3
  %steps_4 = getelementptr i64, ptr %steps, i64 4
  store i64 %y_step, ptr %steps_4
  %factor_place = getelementptr ptr, ptr %arguments, i64 1
  store ptr %factor, ptr %factor_place
  %y_place = getelementptr ptr, ptr %arguments, i64 2
  %x_skipped = mul i64 %low, %x_inner
  %x_start = add i64 %x_offset, %x_skipped
  %y_skipped = mul i64 %low, %y_inner
  %y_start = add i64 %y_offset, %y_skipped
  br label %lane
lane:
  %i = phi i64 [%first, %entry], [%i_next, %transform]
  %more = icmp slt i64 %i, %last
  br i1 %more, label %transform, label %done
transform:
  %x_way = mul i64 %i, %x_outer
  %x_far = add i64 %x_start, %x_way
  %x = getelementptr i8, ptr %x_base, i64 %x_far
  store ptr %x, ptr %arguments
  %y_way = mul i64 %i, %y_outer
  %y_far = add i64 %y_start, %y_way
  %y = getelementptr i8, ptr %y_base, i64 %y_far
  store ptr %y, ptr %y_place
  call void %function(ptr %arguments, ptr %extents, ptr %steps, ptr %data)
  %i_next = add i64 %i, 1
  br label %lane
done:
  ret i64 0
}
"""
