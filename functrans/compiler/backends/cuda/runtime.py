"""What programs for GPUs run on the host, in LLVM IR: launches, copies, and products by cuBLAS; graphs.py has more.

These are instructions for the machine of the CPU backend (../cpu/runtime): functions of an array of 64-bit numbers and
the slots. Each checks what CUDA returns. A code other than 0 goes to a slot, with the number of the instruction to the
one after it, and ends the program.
"""

from __future__ import annotations

from ..cpu.engine import engine, once
from ..cpu.runtime import expanded
from .graphs import ARGUMENT, REPLAY

#: `checked(code, slots, error, number)`.
CHECKED = """
define internal i64 @checked(i32 %code, ptr %slots, i64 %error, i64 %number) {
entry:
  %failed = icmp ne i32 %code, 0
  br i1 %failed, label %note, label %fine
note:
  %wide = zext i32 %code to i64
  %code_at = getelementptr i64, ptr %slots, i64 %error
  store i64 %wide, ptr %code_at
  %number_at = getelementptr i64, ptr %code_at, i64 1
  store i64 %number, ptr %number_at
  ret i64 1
fine:
  ret i64 0
}
"""

#: `launch`: slot of errors, number of the instruction, slot of the stream; cuLaunchKernel; the kernel, blocks along
#: three axes, threads along three axes, bytes of shared memory; how many arguments; these.
LAUNCH = f"""
define i64 @launch(ptr %a, ptr %slots) {{
entry:
  get i64 %error = %a[0]
  get i64 %number = %a[1]
  get i64 %stream_slot = %a[2]
  get ptr %function = %a[3]
  get ptr %kernel = %a[4]
  get i32 %gx = %a[5]
  get i32 %gy = %a[6]
  get i32 %gz = %a[7]
  get i32 %bx = %a[8]
  get i32 %by = %a[9]
  get i32 %bz = %a[10]
  get i32 %shared = %a[11]
  get i64 %count = %a[12]
  get ptr %stream = %slots[%stream_slot]
  %values = alloca i64, i64 %count
  %places = alloca ptr, i64 %count
  br label %look
look:
  %k = phi i64 [0, %entry], [%next, %one]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %one, label %go
one:
{ARGUMENT}
  %value_at = getelementptr i64, ptr %values, i64 %k
  store i64 %value, ptr %value_at
  %place_at = getelementptr ptr, ptr %places, i64 %k
  store ptr %value_at, ptr %place_at
  %next = add nuw nsw i64 %k, 1
  br label %look
go:
  %code = call i32 %function(ptr %kernel, i32 %gx, i32 %gy, i32 %gz, i32 %bx, i32 %by, i32 %bz, i32 %shared,
    ptr %stream, ptr %places, ptr null)
  %status = call i64 @checked(i32 %code, ptr %slots, i64 %error, i64 %number)
  ret i64 %status
}}
"""

#: `download`: slot of errors, number, slot of the stream; cuMemcpyDtoHAsync, cuStreamSynchronize; the slot of memory
#: of the host, slot and offset on the device; bytes. `fetch`: the same, without waiting. `upload`: the other way round,
#: without waiting.
COPIES = """
define i64 @fetch(ptr %a, ptr %slots) {
  get i64 %error = %a[0]
  get i64 %number = %a[1]
  get i64 %stream_slot = %a[2]
  get ptr %copy = %a[3]
  get i64 %host_slot = %a[5]
  get i64 %slot = %a[6]
  get i64 %offset = %a[7]
  get i64 %size = %a[8]
  get ptr %stream = %slots[%stream_slot]
  get ptr %host = %slots[%host_slot]
  get i64 %base = %slots[%slot]
  %from = add i64 %base, %offset
  %code = call i32 %copy(ptr %host, i64 %from, i64 %size, ptr %stream)
  %status = call i64 @checked(i32 %code, ptr %slots, i64 %error, i64 %number)
  ret i64 %status
}
define i64 @download(ptr %a, ptr %slots) {
entry:
  get i64 %error = %a[0]
  get i64 %number = %a[1]
  get i64 %stream_slot = %a[2]
  get ptr %wait = %a[4]
  get ptr %stream = %slots[%stream_slot]
  %status = call i64 @fetch(ptr %a, ptr %slots)
  %ended = icmp ne i64 %status, 0
  br i1 %ended, label %done, label %settle
settle:
  %waited = call i32 %wait(ptr %stream)
  %status_then = call i64 @checked(i32 %waited, ptr %slots, i64 %error, i64 %number)
  ret i64 %status_then
done:
  ret i64 %status
}
define i64 @upload(ptr %a, ptr %slots) {
  get i64 %error = %a[0]
  get i64 %number = %a[1]
  get i64 %stream_slot = %a[2]
  get ptr %copy = %a[3]
  get i64 %host_slot = %a[4]
  get i64 %slot = %a[5]
  get i64 %offset = %a[6]
  get i64 %size = %a[7]
  get ptr %stream = %slots[%stream_slot]
  get ptr %host = %slots[%host_slot]
  get i64 %base = %slots[%slot]
  %to = add i64 %base, %offset
  %code = call i32 %copy(i64 %to, ptr %host, i64 %size, ptr %stream)
  %status = call i64 @checked(i32 %code, ptr %slots, i64 %error, i64 %number)
  ret i64 %status
}
"""

#: `clear`: slot of errors, number, slot of the stream; cuMemsetD8Async; slot, bytes. `stop_if`: the slot of a number of
#: the host, which ends the program unless it is 0.
FLAGS = """
define i64 @clear(ptr %a, ptr %slots) {
  get i64 %error = %a[0]
  get i64 %number = %a[1]
  get i64 %stream_slot = %a[2]
  get ptr %function = %a[3]
  get i64 %slot = %a[4]
  get i64 %size = %a[5]
  get ptr %stream = %slots[%stream_slot]
  get i64 %base = %slots[%slot]
  %code = call i32 %function(i64 %base, i8 0, i64 %size, ptr %stream)
  %status = call i64 @checked(i32 %code, ptr %slots, i64 %error, i64 %number)
  ret i64 %status
}
define i64 @stop_if(ptr %a, ptr %slots) {
  get i64 %slot = %a[0]
  get ptr %host = %slots[%slot]
  %found = load i64, ptr %host
  %is_set = icmp ne i64 %found, 0
  %status = zext i1 %is_set to i64
  ret i64 %status
}
"""

#: `product`: slot of errors, number, slot of the handle; a function of cuBLAS for strided batches; the transpositions
#: of A and B, m, n, k; alpha (two numbers); slot, offset, leading dimension and way to the next matrix of A, of B; beta
#: (two numbers); the same of C; how many there are.
PRODUCT = """
define i64 @product(ptr %a, ptr %slots) {
  get i64 %error = %a[0]
  get i64 %number = %a[1]
  get i64 %handle_slot = %a[2]
  get ptr %function = %a[3]
  get i32 %x_turned = %a[4]
  get i32 %y_turned = %a[5]
  get i64 %m = %a[6]
  get i64 %n = %a[7]
  get i64 %k = %a[8]
  %alpha = getelementptr i64, ptr %a, i64 9
  get i64 %x_slot = %a[11]
  get i64 %x_offset = %a[12]
  get i64 %x_lead = %a[13]
  get i64 %x_way = %a[14]
  get i64 %y_slot = %a[15]
  get i64 %y_offset = %a[16]
  get i64 %y_lead = %a[17]
  get i64 %y_way = %a[18]
  %beta = getelementptr i64, ptr %a, i64 19
  get i64 %z_slot = %a[21]
  get i64 %z_offset = %a[22]
  get i64 %z_lead = %a[23]
  get i64 %z_way = %a[24]
  get i64 %batch = %a[25]
  get ptr %handle = %slots[%handle_slot]
  get ptr %x_base = %slots[%x_slot]
  get ptr %y_base = %slots[%y_slot]
  get ptr %z_base = %slots[%z_slot]
  %x = getelementptr i8, ptr %x_base, i64 %x_offset
  %y = getelementptr i8, ptr %y_base, i64 %y_offset
  %z = getelementptr i8, ptr %z_base, i64 %z_offset
  %code = call i32 %function(ptr %handle, i32 %x_turned, i32 %y_turned, i64 %m, i64 %n, i64 %k, ptr %alpha,
    ptr %x, i64 %x_lead, i64 %x_way, ptr %y, i64 %y_lead, i64 %y_way, ptr %beta, ptr %z, i64 %z_lead, i64 %z_way,
    i64 %batch)
  %status = call i64 @checked(i32 %code, ptr %slots, i64 %error, i64 %number)
  ret i64 %status
}
"""


def _product_of(name: str, dtype: int) -> str:
    """The same for the function of cuBLAS that is told of dtypes: one for matrices, and single precision (68) for sums.

    The algorithm is its choice (-1).
    """
    return (
        PRODUCT.replace("@product", f"@{name}")
        .replace("ptr %x,", f"ptr %x, i32 {dtype},")
        .replace("ptr %y,", f"ptr %y, i32 {dtype},")
        .replace("ptr %z,", f"ptr %z, i32 {dtype},")
        .replace("i64 %batch)\n", "i64 %batch, i32 68, i32 -1)\n")
    )


#: `product_of_halves` and `product_of_bfloats`: CUDA's numbers of half precision and of bfloat16.
PRODUCTS_OF_HALVES = _product_of("product_of_halves", 2) + _product_of("product_of_bfloats", 14)

#: `wait`: slot of errors, number, slot of the stream; cuStreamSynchronize.
WAIT = """
define i64 @wait(ptr %a, ptr %slots) {
  get i64 %error = %a[0]
  get i64 %number = %a[1]
  get i64 %stream_slot = %a[2]
  get ptr %function = %a[3]
  get ptr %stream = %slots[%stream_slot]
  %code = call i32 %function(ptr %stream)
  %status = call i64 @checked(i32 %code, ptr %slots, i64 %error, i64 %number)
  ret i64 %status
}
"""

NAMES = (
    "launch", "fetch", "download", "upload", "clear", "stop_if", "product", "product_of_halves", "product_of_bfloats",
    "wait", "replay",
)  # fmt: skip


@once
def functions() -> dict[str, int]:
    """The addresses of these functions, and of those of the machine."""
    parts = (CHECKED, LAUNCH, COPIES, FLAGS, PRODUCT, PRODUCTS_OF_HALVES, WAIT, REPLAY)
    text = engine().module_text(expanded("".join(parts)), {})
    return {**engine().runtime, **dict(zip(NAMES, engine().plain.added(text, NAMES)))}
