"""What runs instructions: a few functions in LLVM IR that are the same for every program.

An instruction is an address of a function and one of its arguments, an array of 64-bit numbers. The function gets
these and the slots, and returns 0, or another number to end the program. A block is an array of instructions, and a
loop is an instruction with blocks among its arguments: so a whole program runs without a way back to Python, and
nothing but its kernels is ever compiled.

The first slots are the header: the number of the frame, how much work is left until somebody is to look for signals,
the address of the function that does, and how many threads to use.
"""

from __future__ import annotations

import re

#: Slots before those of a program.
FRAME, WORK_LEFT, LOOK, THREADS, HEADER = 0, 1, 2, 3, 4
#: Work, about in nanoseconds, before somebody looks whether the user wants to interrupt the program.
PATIENCE = 1 << 25


def expanded(text: str) -> str:
    """LLVM IR, from text in which `get TYPE %name = %array[index]` stands for a load from an array of numbers."""

    def load(match: re.Match[str]) -> str:
        type_, name, source, index = match.groups()
        number = {"WORK_LEFT": WORK_LEFT, "LOOK": LOOK, "THREADS": THREADS}.get(index, index)
        return f"%{name}_at = getelementptr i64, ptr %{source}, i64 {number}\n  %{name} = load {type_}, ptr %{name}_at"

    return re.sub(r"get (\w+) %(\w+) = %(\w+)\[(%?\w+)\]", load, text)


#: `run_block(code, count, slots)`: instruction after instruction.
RUN_BLOCK = """
define internal i64 @run_block(ptr %code, i64 %count, ptr %slots) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %step, label %done
step:
  %k = phi i64 [0, %entry], [%next, %go_on]
  %function_at = getelementptr {ptr, ptr}, ptr %code, i64 %k
  %function = load ptr, ptr %function_at
  %arguments_at = getelementptr {ptr, ptr}, ptr %code, i64 %k, i32 1
  %arguments = load ptr, ptr %arguments_at
  %status = call i64 %function(ptr %arguments, ptr %slots)
  %ended = icmp ne i64 %status, 0
  br i1 %ended, label %failed, label %go_on
go_on:
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %step, label %done
failed:
  ret i64 %status
done:
  ret i64 0
}
define i64 @run_program(ptr %code, i64 %count, ptr %slots) {
  %status = call i64 @run_block(ptr %code, i64 %count, ptr %slots)
  ret i64 %status
}
"""

#: `worked(slots, amount)`: count work, and now and then look whether somebody wants the program to end.
WORKED = """
define internal i64 @worked(ptr %slots, i64 %amount) {
entry:
  get i64 %had = %slots[WORK_LEFT]
  %left = sub i64 %had, %amount
  store i64 %left, ptr %had_at
  %enough = icmp sge i64 %left, 0
  br i1 %enough, label %fine, label %look
fine:
  ret i64 0
look:
  get ptr %looks = %slots[LOOK]
  %status = call i64 %looks(ptr null, ptr %slots)
  ret i64 %status
}
"""

#: `exchange(pairs, count, slots)`: the addresses in pairs of slots change places.
EXCHANGE = """
define internal void @exchange(ptr %pairs, i64 %count, ptr %slots) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %pair, label %done
pair:
  %k = phi i64 [0, %entry], [%next, %pair]
  %first = shl i64 %k, 1
  %second = or i64 %first, 1
  get i64 %a = %pairs[%first]
  get i64 %b = %pairs[%second]
  get i64 %x = %slots[%a]
  get i64 %y = %slots[%b]
  store i64 %y, ptr %x_at
  store i64 %x, ptr %y_at
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %pair, label %done
done:
  ret void
}
"""

#: `place_steps` puts the slots of a loop's elements at the first ones, `move_steps` at the next ones. A step is four
#: numbers: its slot, the slot of the whole array, the offset of the first element, and the way to the next.
STEPS = """
define internal void @place_steps(ptr %steps, i64 %count, ptr %slots) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %step, label %done
step:
  %k = phi i64 [0, %entry], [%next, %step]
  %q0 = shl i64 %k, 2
  %q1 = add i64 %q0, 1
  %q2 = add i64 %q0, 2
  get i64 %slot = %steps[%q0]
  get i64 %whole = %steps[%q1]
  get i64 %offset = %steps[%q2]
  get i64 %base = %slots[%whole]
  %address = add i64 %base, %offset
  %slot_place = getelementptr i64, ptr %slots, i64 %slot
  store i64 %address, ptr %slot_place
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %step, label %done
done:
  ret void
}
define internal void @move_steps(ptr %steps, i64 %count, ptr %slots) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %step, label %done
step:
  %k = phi i64 [0, %entry], [%next, %step]
  %q0 = shl i64 %k, 2
  %q3 = or i64 %q0, 3
  get i64 %slot = %steps[%q0]
  get i64 %stride = %steps[%q3]
  get i64 %address = %slots[%slot]
  %moved = add i64 %address, %stride
  store i64 %moved, ptr %address_at
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %step, label %done
done:
  ret void
}
"""

#: `run_kernel`: function, begin, end, and the arguments of the kernel.
RUN_KERNEL = """
define i64 @run_kernel(ptr %a, ptr %slots) {
  get ptr %function = %a[0]
  get i64 %begin = %a[1]
  get i64 %end = %a[2]
  %rest = getelementptr i64, ptr %a, i64 3
  %status = tail call i64 %function(ptr %rest, ptr %slots, i64 %begin, i64 %end)
  ret i64 %status
}
"""

#: Threads. A pool is an array of numbers, in groups on cache lines of their own: LOCK, held by who runs something; OPEN,
#: whether workers may take parts of it; ACTIVE, how many are looking or at work; NEXT, the next part to be taken; then
#: what to run, and a semaphore that workers sleep on. Parts are taken one by one, by the caller too, who does all of
#: them if nobody else comes: so on a busy machine it does not wait for threads that get no processor.
POOL_LOCK, POOL_OPEN, POOL_ACTIVE, POOL_NEXT, POOL_JOB, POOL_SEMAPHORE, POOL_SIZE = 0, 8, 16, 24, 32, 40, 48
#: Parts for each thread: more of them even out threads that are held up, fewer cost less.
PARTS_PER_THREAD = 4
#: How often a worker looks for more to do before it sleeps: for about 20 microseconds.
LOOKS = 5000

WORK = f"""
declare i32 @sem_init(ptr, i32, i32)
declare i32 @sem_wait(ptr)
declare i32 @sem_post(ptr)
declare i32 @sched_yield()
define internal void @take_parts(ptr %pool) {{
entry:
  %next_at = getelementptr i64, ptr %pool, i64 {POOL_NEXT}
  %job = getelementptr i64, ptr %pool, i64 {POOL_JOB}
  get ptr %function = %job[0]
  get ptr %arguments = %job[1]
  get ptr %slots = %job[2]
  get i64 %extent = %job[3]
  get i64 %parts = %job[4]
  br label %take
take:
  %part = atomicrmw add ptr %next_at, i64 1 seq_cst
  %there = icmp slt i64 %part, %parts
  br i1 %there, label %run, label %done
run:
  %after = add i64 %part, 1
  %low = mul i64 %part, %extent
  %begin = sdiv i64 %low, %parts
  %high = mul i64 %after, %extent
  %end = sdiv i64 %high, %parts
  %status = call i64 %function(ptr %arguments, ptr %slots, i64 %begin, i64 %end)
  br label %take
done:
  ret void
}}
define i64 @start_pool(ptr %pool) {{
  %semaphore = getelementptr i64, ptr %pool, i64 {POOL_SEMAPHORE}
  %status = call i32 @sem_init(ptr %semaphore, i32 0, i32 0)
  ret i64 0
}}
define i64 @work(ptr %pool) {{
entry:
  %semaphore = getelementptr i64, ptr %pool, i64 {POOL_SEMAPHORE}
  %open_at = getelementptr i64, ptr %pool, i64 {POOL_OPEN}
  %active_at = getelementptr i64, ptr %pool, i64 {POOL_ACTIVE}
  br label %sleep
sleep:
  %woken = call i32 @sem_wait(ptr %semaphore)
  br label %look
look:
  %count = phi i64 [0, %sleep], [%count_next, %again], [0, %leave]
  %maybe = load atomic i64, ptr %open_at seq_cst, align 8
  %is_open = icmp ne i64 %maybe, 0
  br i1 %is_open, label %enter, label %again
again:
  %count_next = add i64 %count, 1
  %tired = icmp sgt i64 %count, {LOOKS}
  br i1 %tired, label %sleep, label %look
enter:
  %before = atomicrmw add ptr %active_at, i64 1 seq_cst
  %still = load atomic i64, ptr %open_at seq_cst, align 8
  %is_still_open = icmp ne i64 %still, 0
  br i1 %is_still_open, label %help, label %leave
help:
  call void @take_parts(ptr %pool)
  br label %leave
leave:
  %had = atomicrmw sub ptr %active_at, i64 1 seq_cst
  br label %look
}}
define internal void @wait_for_workers(ptr %pool) {{
entry:
  %active_at = getelementptr i64, ptr %pool, i64 {POOL_ACTIVE}
  br label %look
look:
  %count = phi i64 [0, %entry], [%next, %look_again]
  %active = load atomic i64, ptr %active_at seq_cst, align 8
  %is_alone = icmp eq i64 %active, 0
  br i1 %is_alone, label %done, label %busy
busy:
  %next = add i64 %count, 1
  %many = icmp sgt i64 %count, 200
  br i1 %many, label %yield, label %look_again
yield:
  %yielded = call i32 @sched_yield()
  br label %look_again
look_again:
  br label %look
done:
  ret void
}}
"""

#: `run_parallel`: the pool, or null, then as `run_kernel`.
RUN_PARALLEL = f"""
define i64 @run_parallel(ptr %a, ptr %slots) {{
entry:
  get ptr %pool = %a[0]
  get ptr %function = %a[1]
  get i64 %extent = %a[3]
  %rest = getelementptr i64, ptr %a, i64 4
  get i64 %threads = %slots[THREADS]
  %is_wanted = icmp sgt i64 %threads, 1
  br i1 %is_wanted, label %try, label %alone
alone:
  %status = call i64 %function(ptr %rest, ptr %slots, i64 0, i64 %extent)
  ret i64 %status
try:
  %lock = getelementptr i64, ptr %pool, i64 {POOL_LOCK}
  %locked = cmpxchg ptr %lock, i64 0, i64 1 seq_cst seq_cst
  %mine = extractvalue {{i64, i1}} %locked, 1
  br i1 %mine, label %divide, label %alone
divide:
  call void @wait_for_workers(ptr %pool)
  %most = mul i64 %threads, {PARTS_PER_THREAD}
  %parts = call i64 @llvm.smin.i64(i64 %most, i64 %extent)
  %job = getelementptr i64, ptr %pool, i64 {POOL_JOB}
  store ptr %function, ptr %job
  %job1 = getelementptr i64, ptr %job, i64 1
  store ptr %rest, ptr %job1
  %job2 = getelementptr i64, ptr %job, i64 2
  store ptr %slots, ptr %job2
  %job3 = getelementptr i64, ptr %job, i64 3
  store i64 %extent, ptr %job3
  %job4 = getelementptr i64, ptr %job, i64 4
  store i64 %parts, ptr %job4
  %next_at = getelementptr i64, ptr %pool, i64 {POOL_NEXT}
  store atomic i64 0, ptr %next_at seq_cst, align 8
  %open_at = getelementptr i64, ptr %pool, i64 {POOL_OPEN}
  store atomic i64 1, ptr %open_at seq_cst, align 8
  %semaphore = getelementptr i64, ptr %pool, i64 {POOL_SEMAPHORE}
  br label %wake
wake:
  %k = phi i64 [1, %divide], [%k_next, %wake]
  %posted = call i32 @sem_post(ptr %semaphore)
  %k_next = add i64 %k, 1
  %more = icmp slt i64 %k_next, %threads
  br i1 %more, label %wake, label %go
go:
  call void @take_parts(ptr %pool)
  store atomic i64 0, ptr %open_at seq_cst, align 8
  call void @wait_for_workers(ptr %pool)
  store atomic i64 0, ptr %lock seq_cst, align 8
  ret i64 0
}}
"""

#: `run_rows`, for `run_kernel` and `run_parallel`: kernels in a row over some rows. The arguments: how many rows to run
#: at a time; the numbers of all slots, of own arrays and of kernels; slot and way to the next row of own arrays, each
#: block of which takes the place of the one before; function, arguments and points in a row of kernels.
RUN_ROWS = """
define i64 @run_rows(ptr %a, ptr %slots, i64 %begin, i64 %end) {
entry:
  get i64 %block = %a[0]
  get i64 %n_slots = %a[1]
  get i64 %n_own = %a[2]
  get i64 %n_kernels = %a[3]
  %own = getelementptr i64, ptr %a, i64 4
  %own_size = shl i64 %n_own, 1
  %kernels = getelementptr i64, ptr %own, i64 %own_size
  %mine = alloca i64, i64 %n_slots
  %bytes = shl i64 %n_slots, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %mine, ptr %slots, i64 %bytes, i1 false)
  br label %rows
rows:
  %b = phi i64 [%begin, %entry], [%e, %ran]
  %left = icmp slt i64 %b, %end
  br i1 %left, label %place, label %done
place:
  %far = add i64 %b, %block
  %e = call i64 @llvm.smin.i64(i64 %far, i64 %end)
  %back = sub i64 %begin, %b
  br label %move
move:
  %m = phi i64 [0, %place], [%m_next, %moved]
  %more_own = icmp slt i64 %m, %n_own
  br i1 %more_own, label %moved, label %run
moved:
  %m0 = shl i64 %m, 1
  %m1 = or i64 %m0, 1
  get i64 %slot = %own[%m0]
  get i64 %way = %own[%m1]
  get i64 %base = %slots[%slot]
  %shift = mul i64 %back, %way
  %there = add i64 %base, %shift
  %mine_at = getelementptr i64, ptr %mine, i64 %slot
  store i64 %there, ptr %mine_at
  %m_next = add i64 %m, 1
  br label %move
run:
  %k = phi i64 [0, %move], [%k_next, %kernel]
  %more_kernels = icmp slt i64 %k, %n_kernels
  br i1 %more_kernels, label %kernel, label %ran
kernel:
  %k0 = mul i64 %k, 3
  %k1 = add i64 %k0, 1
  %k2 = add i64 %k0, 2
  get ptr %function = %kernels[%k0]
  get ptr %arguments = %kernels[%k1]
  get i64 %points = %kernels[%k2]
  %low = mul i64 %b, %points
  %high = mul i64 %e, %points
  %status = call i64 %function(ptr %arguments, ptr %mine, i64 %low, i64 %high)
  %k_next = add i64 %k, 1
  br label %run
ran:
  br label %rows
done:
  ret i64 0
}
"""

#: `run_function`: a function, and its arguments.
RUN_FUNCTION = """
define i64 @run_function(ptr %a, ptr %slots) {
  get ptr %function = %a[0]
  %rest = getelementptr i64, ptr %a, i64 1
  %status = tail call i64 %function(ptr %rest, ptr %slots)
  ret i64 %status
}
"""

#: `run_loop`: code and count of the body; the length, or -1 and then slot and offset of the length; the work of a step;
#: numbers of steps and swaps; these.
RUN_LOOP = """
define i64 @run_loop(ptr %a, ptr %slots) {
entry:
  get ptr %code = %a[0]
  get i64 %count = %a[1]
  get i64 %fixed = %a[2]
  get i64 %work = %a[5]
  get i64 %n_steps = %a[6]
  get i64 %n_swaps = %a[7]
  %steps = getelementptr i64, ptr %a, i64 8
  %swaps_at = shl i64 %n_steps, 2
  %swaps = getelementptr i64, ptr %steps, i64 %swaps_at
  call void @place_steps(ptr %steps, i64 %n_steps, ptr %slots)
  %is_fixed = icmp sge i64 %fixed, 0
  br i1 %is_fixed, label %begin, label %find
find:
  get i64 %length_slot = %a[3]
  get i64 %length_offset = %a[4]
  get ptr %length_base = %slots[%length_slot]
  %length_at = getelementptr i8, ptr %length_base, i64 %length_offset
  %found = load i64, ptr %length_at
  br label %begin
begin:
  %length = phi i64 [%fixed, %entry], [%found, %find]
  %any = icmp sgt i64 %length, 0
  br i1 %any, label %step, label %done
step:
  %k = phi i64 [0, %begin], [%next, %go_on]
  %status = call i64 @run_block(ptr %code, i64 %count, ptr %slots)
  %ended = icmp ne i64 %status, 0
  br i1 %ended, label %failed, label %ran
ran:
  call void @move_steps(ptr %steps, i64 %n_steps, ptr %slots)
  call void @exchange(ptr %swaps, i64 %n_swaps, ptr %slots)
  %signal = call i64 @worked(ptr %slots, i64 %work)
  %interrupted = icmp ne i64 %signal, 0
  br i1 %interrupted, label %failed, label %go_on
go_on:
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %length
  br i1 %more, label %step, label %done
failed:
  ret i64 1
done:
  ret i64 0
}
"""

#: `run_while`: code and count of the test, code and count of the body, slot and offset of the boolean, slot and offset
#: of the count, the work of a step, the number of swaps; these.
RUN_WHILE = """
define i64 @run_while(ptr %a, ptr %slots) {
entry:
  get ptr %test = %a[0]
  get i64 %test_count = %a[1]
  get ptr %code = %a[2]
  get i64 %count = %a[3]
  get i64 %going_slot = %a[4]
  get i64 %going_offset = %a[5]
  get i64 %times_slot = %a[6]
  get i64 %times_offset = %a[7]
  get i64 %work = %a[8]
  get i64 %n_swaps = %a[9]
  %swaps = getelementptr i64, ptr %a, i64 10
  get ptr %going_base = %slots[%going_slot]
  %going_place = getelementptr i8, ptr %going_base, i64 %going_offset
  br label %ask
ask:
  %k = phi i64 [0, %entry], [%next, %go_on]
  %asked = call i64 @run_block(ptr %test, i64 %test_count, ptr %slots)
  %unclear = icmp ne i64 %asked, 0
  br i1 %unclear, label %failed, label %answer
answer:
  %going = load i8, ptr %going_place
  %stops = icmp eq i8 %going, 0
  br i1 %stops, label %done, label %step
step:
  %status = call i64 @run_block(ptr %code, i64 %count, ptr %slots)
  %ended = icmp ne i64 %status, 0
  br i1 %ended, label %failed, label %ran
ran:
  call void @exchange(ptr %swaps, i64 %n_swaps, ptr %slots)
  %signal = call i64 @worked(ptr %slots, i64 %work)
  %interrupted = icmp ne i64 %signal, 0
  br i1 %interrupted, label %failed, label %go_on
go_on:
  %next = add nuw nsw i64 %k, 1
  br label %ask
failed:
  ret i64 1
done:
  get ptr %times_base = %slots[%times_slot]
  %times_place = getelementptr i8, ptr %times_base, i64 %times_offset
  store i64 %k, ptr %times_place
  ret i64 0
}
"""

#: `run_branch`: slot and offset of the index, then code and count of each block.
RUN_BRANCH = """
define i64 @run_branch(ptr %a, ptr %slots) {
  get i64 %index_slot = %a[0]
  get i64 %index_offset = %a[1]
  get ptr %index_base = %slots[%index_slot]
  %index_place = getelementptr i8, ptr %index_base, i64 %index_offset
  %index = load i64, ptr %index_place
  %first = shl i64 %index, 1
  %code_number = add i64 %first, 2
  %count_number = add i64 %first, 3
  get ptr %code = %a[%code_number]
  get i64 %count = %a[%count_number]
  %status = call i64 @run_block(ptr %code, i64 %count, ptr %slots)
  ret i64 %status
}
"""

#: `run_gemm`: the function of BLAS; slot, offset and way to the next matrix of A, of B and of C; how many there are;
#: then what the pointers of the call point to: both transpositions, m, n, k, alpha (two numbers), the leading
#: dimensions of A, of B, beta (two numbers), and that of C.
#: `run_check`: slot and offset of int64 numbers, how many, the extent that they must fit; what to run if one does not.
RUN_CHECK = """
define i64 @run_check(ptr %a, ptr %slots) {
entry:
  get i64 %slot = %a[0]
  get i64 %offset = %a[1]
  get i64 %count = %a[2]
  get i64 %extent = %a[3]
  get ptr %otherwise = %a[4]
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
  %status = call i64 %otherwise(ptr null, ptr %slots)
  ret i64 %status
fine:
  ret i64 0
}
"""

RUN_GEMM = """
define i64 @run_gemm(ptr %a, ptr %slots) {
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
  %p11 = getelementptr i64, ptr %a, i64 11
  %p12 = getelementptr i64, ptr %a, i64 12
  %p13 = getelementptr i64, ptr %a, i64 13
  %p14 = getelementptr i64, ptr %a, i64 14
  %p15 = getelementptr i64, ptr %a, i64 15
  %p16 = getelementptr i64, ptr %a, i64 16
  %p17 = getelementptr i64, ptr %a, i64 17
  %p18 = getelementptr i64, ptr %a, i64 18
  %p19 = getelementptr i64, ptr %a, i64 19
  %p20 = getelementptr i64, ptr %a, i64 20
  %p21 = getelementptr i64, ptr %a, i64 21
  %p22 = getelementptr i64, ptr %a, i64 22
  br label %matrix
matrix:
  %i = phi i64 [0, %entry], [%next, %matrix]
  %a_step = mul i64 %i, %a_way
  %a_far = add i64 %a_offset, %a_step
  %x = getelementptr i8, ptr %a_base, i64 %a_far
  %b_step = mul i64 %i, %b_way
  %b_far = add i64 %b_offset, %b_step
  %y = getelementptr i8, ptr %b_base, i64 %b_far
  %c_step = mul i64 %i, %c_way
  %c_far = add i64 %c_offset, %c_step
  %z = getelementptr i8, ptr %c_base, i64 %c_far
  call void %function(
    ptr %p11, ptr %p12, ptr %p13, ptr %p14, ptr %p15, ptr %p16, ptr %x, ptr %p18, ptr %y, ptr %p19, ptr %p20, ptr %z,
    ptr %p22)
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %batch
  br i1 %more, label %matrix, label %done
done:
  ret i64 0
}
"""

_PARTS = (
    RUN_BLOCK, WORKED, EXCHANGE, STEPS, RUN_KERNEL, WORK, RUN_PARALLEL, RUN_ROWS, RUN_FUNCTION, RUN_LOOP, RUN_WHILE, RUN_BRANCH,
    RUN_CHECK, RUN_GEMM,
)  # fmt: skip
#: The text of all, and the functions that instructions name.
TEXT = expanded("".join(_PARTS))
FUNCTIONS = re.findall(r"define i64 @(\w+)", TEXT)
