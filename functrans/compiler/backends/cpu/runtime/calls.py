"""Checks of indices, and BLAS."""

from __future__ import annotations

#: `run_check`: slot and offset of int64 numbers, how many, the extent that they must fit; what to run if one does not.
RUN_CHECK = """
define i64 @run_check(ptr %a, ptr %slots) {
entry:
  get i64 %slot = %a[0]
  get i64 %offset = %a[1]
  get i64 %count = %a[2]
  get i64 %extent = %a[3]
  get ptr %otherwise = %a[4]
  get ptr %with = %a[5]
  get ptr %base = %slots[%slot]
  %numbers = getelementptr i8, ptr %base, i64 %offset
  %twice = shl i64 %extent, 1
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %look, label %fine
look:
  %i = phi i64 [0, %entry], [%next, %look]
  %bad = phi i1 [false, %entry], [%worse, %look]
  get i64 %number = %numbers[%i]
  %shifted = add i64 %number, %extent
  %outside = icmp uge i64 %shifted, %twice
  %worse = or i1 %bad, %outside
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %look, label %done
done:
  br i1 %worse, label %wrong, label %fine
wrong:
  %status = call i64 %otherwise(ptr %with, ptr %slots)
  ret i64 %status
fine:
  ret i64 0
}
"""

_pointers = "".join(f"  %p{i} = getelementptr i64, ptr %a, i64 {i}\n" for i in (11, 12, *range(15, 23)))

#: `run_gemm`, for `run_kernel` and `run_parallel`: some parts of a product of matrices. The arguments: the function of
#: BLAS; slot, offset and way to the next matrix of A, of B and of C; how many there are; then what the pointers of the
#: call point to: both transpositions, m, n, k, alpha (two numbers), the leading dimensions of A, of B, beta (two
#: numbers), and that of C; then the number of parts; the ways in B and in C to their next columns, if these are
#: divided, otherwise 0; and the ways in A and C to their next rows, if those are.
RUN_GEMM = """
define i64 @run_gemm(ptr %a, ptr %slots, i64 %begin, i64 %end) {
entry:
  get ptr %function = %a[0]
  get i64 %a_slot = %a[1]
  get i64 %a_offset = %a[2]
  get i64 %a_way = %a[3]
  get i64 %b_slot = %a[4]
  get i64 %b_offset = %a[5]
  get i64 %b_way = %a[6]
  get i64 %c_slot = %a[7]
  get i64 %c_offset = %a[8]
  get i64 %c_way = %a[9]
  get i64 %batch = %a[10]
  get ptr %a_base = %slots[%a_slot]
  get ptr %b_base = %slots[%b_slot]
  get ptr %c_base = %slots[%c_slot]
POINTERS  get i64 %m = %a[13]
  get i64 %n = %a[14]
  get i64 %parts = %a[23]
  get i64 %b_column = %a[24]
  get i64 %c_column = %a[25]
  get i64 %a_row = %a[26]
  get i64 %c_row = %a[27]
  %by_column = icmp ne i64 %b_column, 0
  %extent = select i1 %by_column, i64 %n, i64 %m
  %low = mul i64 %begin, %extent
  %first = sdiv i64 %low, %parts
  %high = mul i64 %end, %extent
  %last = sdiv i64 %high, %parts
  %count = sub i64 %last, %first
  %own_m = alloca i64
  %own_n = alloca i64
  %rows = select i1 %by_column, i64 %m, i64 %count
  %columns = select i1 %by_column, i64 %count, i64 %n
  store i64 %rows, ptr %own_m
  store i64 %columns, ptr %own_n
  %a_skipped = mul i64 %first, %a_row
  %b_skipped = mul i64 %first, %b_column
  %c_way_in = add i64 %c_column, %c_row
  %c_skipped = mul i64 %first, %c_way_in
  %a_start = add i64 %a_offset, %a_skipped
  %b_start = add i64 %b_offset, %b_skipped
  %c_start = add i64 %c_offset, %c_skipped
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %matrix, label %done
matrix:
  %i = phi i64 [0, %entry], [%next, %matrix]
  %a_step = mul i64 %i, %a_way
  %a_far = add i64 %a_start, %a_step
  %x = getelementptr i8, ptr %a_base, i64 %a_far
  %b_step = mul i64 %i, %b_way
  %b_far = add i64 %b_start, %b_step
  %y = getelementptr i8, ptr %b_base, i64 %b_far
  %c_step = mul i64 %i, %c_way
  %c_far = add i64 %c_start, %c_step
  %z = getelementptr i8, ptr %c_base, i64 %c_far
  call void %function(
    ptr %p11, ptr %p12, ptr %own_m, ptr %own_n, ptr %p15, ptr %p16, ptr %x, ptr %p18, ptr %y, ptr %p19, ptr %p20,
    ptr %z, ptr %p22)
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %batch
  br i1 %more, label %matrix, label %done
done:
  ret i64 0
}
""".replace("POINTERS", _pointers)
