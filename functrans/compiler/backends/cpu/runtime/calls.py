"""Checks of indices, BLAS and LAPACK."""

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
  %extents_0 = insertelement <8 x i64> poison, i64 %extent, i64 0
  %extents = shufflevector <8 x i64> %extents_0, <8 x i64> poison, <8 x i32> zeroinitializer
  %doubles = add <8 x i64> %extents, %extents
  %rest = and i64 %count, 7
  %whole = sub i64 %count, %rest
  %are_many = icmp sgt i64 %whole, 0
  br i1 %are_many, label %look_8, label %few
look_8:
  %k = phi i64 [0, %entry], [%k_next, %look_8]
  %bad_8 = phi <8 x i64> [zeroinitializer, %entry], [%worse_8, %look_8]
  %place_8 = getelementptr i64, ptr %numbers, i64 %k
  %numbers_8 = load <8 x i64>, ptr %place_8, align 8
  %shifted_8 = add <8 x i64> %numbers_8, %extents
  %outside_8 = icmp uge <8 x i64> %shifted_8, %doubles
  %wide_8 = sext <8 x i1> %outside_8 to <8 x i64>
  %worse_8 = or <8 x i64> %bad_8, %wide_8
  %k_next = add nuw nsw i64 %k, 8
  %more_8 = icmp slt i64 %k_next, %whole
  br i1 %more_8, label %look_8, label %few
few:
  %found_8 = phi <8 x i64> [zeroinitializer, %entry], [%worse_8, %look_8]
  %found = call i64 @llvm.vector.reduce.or.v8i64(<8 x i64> %found_8)
  %is_bad = icmp ne i64 %found, 0
  %any = icmp sgt i64 %rest, 0
  br i1 %any, label %look, label %done
look:
  %i = phi i64 [%whole, %few], [%next, %look]
  %bad = phi i1 [%is_bad, %few], [%worse, %look]
  get i64 %number = %numbers[%i]
  %shifted = add i64 %number, %extent
  %outside = icmp uge i64 %shifted, %twice
  %worse = or i1 %bad, %outside
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %look, label %done
done:
  %result = phi i1 [%is_bad, %few], [%worse, %look]
  br i1 %result, label %wrong, label %fine
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
#: numbers), and that of C; then the number of parts of each product, or 0 if parts are products; the ways in B and in C
#: to their next columns, if these are divided, otherwise 0; and the ways in A and C to their next rows, if those are.
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
  %are_whole = icmp eq i64 %parts, 0
  %pieces = select i1 %are_whole, i64 1, i64 %parts
  %first_piece = select i1 %are_whole, i64 0, i64 %begin
  %last_piece = select i1 %are_whole, i64 1, i64 %end
  %first_matrix = select i1 %are_whole, i64 %begin, i64 0
  %last_matrix = select i1 %are_whole, i64 %end, i64 %batch
  %low = mul i64 %first_piece, %extent
  %first = sdiv i64 %low, %pieces
  %high = mul i64 %last_piece, %extent
  %last = sdiv i64 %high, %pieces
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
  %i = phi i64 [%first_matrix, %entry], [%next, %matrix]
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
  %more = icmp slt i64 %next, %last_matrix
  br i1 %more, label %matrix, label %done
done:
  ret i64 0
}
""".replace("POINTERS", _pointers)

#: With how many arguments functions of LAPACK are called, whatever the number that they have.
LIBRARY_ARGUMENTS = 20

_loads = "".join(
    f"  %q{i} = getelementptr ptr, ptr %pointers, i64 {i}\n  %x{i} = load ptr, ptr %q{i}\n"
    for i in range(LIBRARY_ARGUMENTS)
)
_arguments = ", ".join(f"ptr %x{i}" for i in range(LIBRARY_ARGUMENTS))

#: `run_clear`: slot and offset of a number that becomes zero.
RUN_CLEAR = """
define i64 @run_clear(ptr %a, ptr %slots) {
entry:
  get i64 %slot = %a[0]
  get i64 %offset = %a[1]
  get ptr %base = %slots[%slot]
  %place = getelementptr i8, ptr %base, i64 %offset
  store i64 0, ptr %place
  ret i64 0
}
"""

#: `run_library`, for `run_kernel` and `run_parallel`: a function of LAPACK for some of the matrices of a batch. The
#: arguments: the function; whether it may fail, and slot and offset of where to say so with a one; and for each of the
#: arguments of the function three numbers: slot, offset and way to that of the next matrix, or 0 and an address, or -1
#: for what it says at its end.
RUN_LIBRARY = f"""
define i64 @run_library(ptr %a, ptr %slots, i64 %begin, i64 %end) {{
entry:
  %pointers = alloca ptr, i64 {LIBRARY_ARGUMENTS}
  %info = alloca i64
  store i64 0, ptr %info
  get ptr %function = %a[0]
  get i64 %may_fail = %a[1]
  get i64 %failed_slot = %a[2]
  get i64 %failed_offset = %a[3]
  %given = getelementptr i64, ptr %a, i64 4
  br label %matrix
matrix:
  %i = phi i64 [%begin, %entry], [%i_next, %called]
  %there = icmp slt i64 %i, %end
  br i1 %there, label %argument, label %done
argument:
  %k = phi i64 [0, %matrix], [%k_next, %found]
  %k0 = mul i64 %k, 3
  %k1 = add i64 %k0, 1
  %k2 = add i64 %k0, 2
  get i64 %slot = %given[%k0]
  get i64 %offset = %given[%k1]
  get i64 %way = %given[%k2]
  %is_info = icmp slt i64 %slot, 0
  %is_slot = icmp sgt i64 %slot, 0
  br i1 %is_slot, label %array, label %constant
array:
  get i64 %base = %slots[%slot]
  %far = mul i64 %i, %way
  %start = add i64 %base, %offset
  %address = add i64 %start, %far
  br label %found
constant:
  %info_address = ptrtoint ptr %info to i64
  %other = select i1 %is_info, i64 %info_address, i64 %offset
  br label %found
found:
  %pointer = phi i64 [%address, %array], [%other, %constant]
  %place = getelementptr i64, ptr %pointers, i64 %k
  store i64 %pointer, ptr %place
  %k_next = add i64 %k, 1
  %more = icmp slt i64 %k_next, {LIBRARY_ARGUMENTS}
  br i1 %more, label %argument, label %call
call:
{_loads}  call void %function({_arguments})
  %says = load i32, ptr %info
  %is_wrong = icmp ne i32 %says, 0
  br label %called
called:
  %i_next = add i64 %i, 1
  %cares = icmp ne i64 %may_fail, 0
  %has_failed = and i1 %cares, %is_wrong
  br i1 %has_failed, label %failed, label %matrix
failed:
  get ptr %failed_base = %slots[%failed_slot]
  %failed_place = getelementptr i8, ptr %failed_base, i64 %failed_offset
  store atomic i64 1, ptr %failed_place monotonic, align 8
  br label %done
done:
  ret i64 0
}}
"""

#: `run_permute`: slot and offset of pivots; slot and offset of orders, how many of these there are and how long they
#: are; how many pivots there are for each. Element j of an order changes places with that at pivot j.
RUN_PERMUTE = """
define i64 @run_permute(ptr %a, ptr %slots) {
entry:
  get i64 %pivot_slot = %a[0]
  get i64 %pivot_offset = %a[1]
  get i64 %order_slot = %a[2]
  get i64 %order_offset = %a[3]
  get i64 %batch = %a[4]
  get i64 %length = %a[5]
  get i64 %count = %a[6]
  get ptr %pivot_base = %slots[%pivot_slot]
  get ptr %order_base = %slots[%order_slot]
  %pivots = getelementptr i8, ptr %pivot_base, i64 %pivot_offset
  %orders = getelementptr i8, ptr %order_base, i64 %order_offset
  br label %lane
lane:
  %i = phi i64 [0, %entry], [%i_next, %next_lane]
  %there = icmp slt i64 %i, %batch
  br i1 %there, label %begin, label %done
begin:
  %skipped = mul i64 %i, %count
  %before = mul i64 %i, %length
  %own = getelementptr i32, ptr %pivots, i64 %skipped
  %order = getelementptr i32, ptr %orders, i64 %before
  br label %step
step:
  %j = phi i64 [0, %begin], [%j_next, %change]
  %more = icmp slt i64 %j, %count
  br i1 %more, label %change, label %next_lane
change:
  %pivot_at = getelementptr i32, ptr %own, i64 %j
  %pivot = load i32, ptr %pivot_at
  %here = getelementptr i32, ptr %order, i64 %j
  %other = getelementptr i32, ptr %order, i32 %pivot
  %x = load i32, ptr %here
  %y = load i32, ptr %other
  store i32 %y, ptr %here
  store i32 %x, ptr %other
  %j_next = add i64 %j, 1
  br label %step
next_lane:
  %i_next = add i64 %i, 1
  br label %lane
done:
  ret i64 0
}
"""
