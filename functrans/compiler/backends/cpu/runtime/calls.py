"""Checks of indices, BLAS and LAPACK."""

from __future__ import annotations

from ..lowlevel.language import CInt, Words, atomic_store, exported, external, int32, room, set_int32


@external
def any_outside(numbers: Words, count: int, extent: int) -> CInt: ...


#: `any_outside(numbers, count, extent)`: whether a number is not in [-extent, extent), eight of them at a time.
#: Low-level functions have no vectors.
ANY_OUTSIDE = """
define internal i32 @any_outside(i64 %address, i64 %count, i64 %extent) {
entry:
  %numbers = inttoptr i64 %address to ptr
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
  br label %look
look:
  %i = phi i64 [%whole, %few], [%next, %one]
  %bad = phi i1 [%is_bad, %few], [%worse, %one]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %done
one:
  %place = getelementptr i64, ptr %numbers, i64 %i
  %number = load i64, ptr %place
  %shifted = add i64 %number, %extent
  %outside = icmp uge i64 %shifted, %twice
  %worse = or i1 %bad, %outside
  %next = add nuw nsw i64 %i, 1
  br label %look
done:
  %result = zext i1 %bad to i32
  ret i32 %result
}
"""


@exported
def run_check(a: Words, slots: Words) -> int:
    """A look whether indices are within bounds.

    The arguments: slot and offset of int64 numbers, how many, the extent that they must fit; what to run if one does
    not.
    """
    slot, offset, count, extent, otherwise, arguments = a[0:]
    if any_outside(slots[slot] + offset, count, extent) != 0:
        return otherwise(arguments, slots)
    return 0


@exported
def run_gemm(a: Words, slots: Words, begin: int, end: int) -> int:
    """Some parts of a product of matrices, for `run_kernel` and `run_parallel`.

    The arguments: the function of BLAS; slot, offset and way to the next matrix of A, of B and of C; how many there
    are; then what the pointers of the call point to: both transpositions, m, n, k, alpha (two numbers), the leading
    dimensions of A, of B, beta (two numbers), and that of C; then the number of parts of each product, or 0 if parts
    are products; the ways in B and in C to their next columns, if these are divided, otherwise 0; and the ways in A and
    C to their next rows, if those are. Each part is a call of its own, whoever runs it: how BLAS rounds depends on
    where what it is given begins and ends.
    """
    function, a_slot, a_offset, a_way, b_slot, b_offset, b_way, c_slot, c_offset, c_way, batch = a[0:]
    parts, b_column, c_column, a_row, c_row = a[23:]
    x, y, z = slots[a_slot] + a_offset, slots[b_slot] + b_offset, slots[c_slot] + c_offset
    size = room(2)
    size[0], size[1] = a[13], a[14]
    first, last, turns = begin, end, begin + 1
    if parts != 0:
        first, last, turns = 0, batch, end
    for part in range(begin, turns):
        skipped = 0
        if parts != 0:
            divided = size[1:] if b_column != 0 else size
            extent = a[14] if b_column != 0 else a[13]
            skipped = part * extent // parts
            divided[0] = (part + 1) * extent // parts - skipped
        u, v, w = x + skipped * a_row, y + skipped * b_column, z + skipped * (c_column + c_row)
        if size[0] != 0 and size[1] != 0:
            for i in range(first, last):
                function(
                    a[11:], a[12:], size, size[1:], a[15:], a[16:], u + i * a_way, a[18:], v + i * b_way, a[19:],
                    a[20:], w + i * c_way, a[22:],
                )  # fmt: skip
    return 0


#: With how many arguments functions of LAPACK are called, whatever the number that they have.
LIBRARY_ARGUMENTS = 20


@exported
def run_clear(a: Words, slots: Words) -> int:
    """A number becomes zero: slot and offset."""
    place = slots[a[0]] + a[1]
    place[0] = 0
    return 0


@exported
def run_library(a: Words, slots: Words, begin: int, end: int) -> int:
    """A function of LAPACK for some of the matrices of a batch, for `run_kernel` and `run_parallel`.

    The arguments: the function; whether it may fail, and slot and offset of where to say so with a one; and for each of
    the arguments of the function three numbers: slot, offset and way to that of the next matrix, or 0 and an address,
    or -1 for what it says at its end.
    """
    function, may_fail, failed_slot, failed_offset = a[0:]
    info, x = room(1), room(LIBRARY_ARGUMENTS)
    info[0] = 0
    for i in range(begin, end):
        for k in range(LIBRARY_ARGUMENTS):
            slot, offset, way = a[4 + 3 * k :]
            if slot > 0:
                x[k] = slots[slot] + offset + i * way
            else:
                x[k] = info if slot < 0 else offset
        function(
            x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9], x[10], x[11], x[12], x[13], x[14], x[15], x[16],
            x[17], x[18], x[19],
        )  # fmt: skip
        if may_fail != 0 and int32(info) != 0:
            failed = slots[failed_slot] + failed_offset
            atomic_store(failed, 1)
            return 0
    return 0


@exported
def run_permute(a: Words, slots: Words) -> int:
    """Element j of an order changes places with that at pivot j, 32-bit numbers.

    The arguments: slot and offset of pivots; slot and offset of orders, how many of these there are and how long they
    are; how many pivots there are for each.
    """
    pivot_slot, pivot_offset, order_slot, order_offset, batch, length, count = a[0:]
    pivots, order = slots[pivot_slot] + pivot_offset, slots[order_slot] + order_offset
    for _ in range(batch):
        for j in range(count):
            here, there = order + 4 * j, order + 4 * int32(pivots + 4 * j)
            x, y = int32(here), int32(there)
            set_int32(here, y)
            set_int32(there, x)
        pivots, order = pivots + 4 * count, order + 4 * length
    return 0
