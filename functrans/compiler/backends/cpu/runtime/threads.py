"""Kernels among threads, and kernels in a row."""

from __future__ import annotations

import platform

from .header import STOPPED

#: Threads. A pool is an array of numbers, in groups on cache lines of their own: LOCK, held by who runs something;
#: OPEN, whether there are parts that workers may take; ACTIVE, how many are looking or at work; NEXT, the next part to
#: be taken; then what to run; how many WORKERS there are, and how many of them are ASLEEP and not yet woken; a
#: semaphore that they sleep on; whether the caller is WAITING for the last one of them, and a semaphore that it sleeps
#: on; HABITS, what small jobs have met with lately. Parts are taken one by one, by the caller too, who does all of them
#: if nobody else comes: so on a busy machine it does not wait for threads that get no processor. Who finds no part left
#: says that there are none, so that nobody looks for more who may be on the processor that the last part needs. A part
#: that ends with another status than 0 stops the others.
(
    POOL_LOCK, POOL_OPEN, POOL_ACTIVE, POOL_NEXT, POOL_JOB, POOL_WORKERS, POOL_ASLEEP, POOL_SEMAPHORE, POOL_WAITING,
    POOL_DONE, POOL_HABITS,
) = range(0, 88, 8)  # fmt: skip
POOL_SIZE = 88

#: A job that is small takes about as long as it takes to wake a worker, so it is shared with those who are awake: in a
#: loop of such jobs they stay awake. Where they sleep, as many small jobs as PERIOD says go without, then one wakes
#: them all the same, and the period doubles, up to MOST_PERIOD, until one meets somebody awake. On a busy machine
#: workers are awake and get no processor, or lose it in the middle of a part: where PATIENCE_WITH_WORKERS jobs in a row
#: got no help, or the caller had to sleep until somebody came back, the next jobs go without, as many as REST says, and
#: the workers go to sleep. That doubles too, up to MOST_REST, and becomes one less with each job that went well.
MISSED, PERIOD, UNHELPED, RESTING, REST = range(5)
LEAST_PERIOD, MOST_PERIOD, PATIENCE_WITH_WORKERS, LEAST_REST, MOST_REST = 8, 1 << 10, 16, 64, 1 << 16

#: Parts for each thread: more of them even out threads that are held up, fewer cost less.
PARTS_PER_THREAD = 8

#: What NEXT is counted up by: the caller takes parts from the front, the others from the back, so that who comes again
#: for the same array mostly meets what is in its cache.
FROM_FRONT, FROM_BACK = 1, 1 << 32

#: How often a worker looks for more to do before it sleeps: for 60 to 120 microseconds, with a pause in between. It is
#: then awake when what is not worth dividing, between two kernels that are, has been done: to wake it takes as long.
#: The caller looks as often whether the last worker is done. If that one has lost its processor to another program, or
#: to the caller, who kept looking would use up the time that the two of them are given. Nobody offers its processor to
#: others (sched_yield) meanwhile: since Linux 6.18 who does so comes last, a whole time slice behind all others.
LOOKS = 2500

#: How a processor is told that a loop waits, which leaves more of it to others.
PAUSES = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"),
}
MACHINES = {"AMD64": "x86_64", "arm64": "aarch64"}
DECLARE_PAUSE, PAUSE = PAUSES.get(MACHINES.get(platform.machine(), platform.machine()), ("", ""))

WORK = f"""
declare i32 @sem_init(ptr, i32, i32)
declare i32 @sem_wait(ptr)
declare i32 @sem_post(ptr)
{DECLARE_PAUSE}
define internal void @take_parts(ptr %pool, i64 %step) {{
entry:
  %next_at = getelementptr i64, ptr %pool, i64 {POOL_NEXT}
  %job = getelementptr i64, ptr %pool, i64 {POOL_JOB}
  get ptr %function = %job[0]
  get ptr %arguments = %job[1]
  get ptr %slots = %job[2]
  get i64 %extent = %job[3]
  get i64 %parts = %job[4]
  get i64 %grain = %job[5]
  get i64 %grains = %job[6]
  %stopped_at = getelementptr i64, ptr %slots, i64 {STOPPED}
  br label %take
take:
  %stopped = load atomic i64, ptr %stopped_at seq_cst, align 8
  %goes_on = icmp eq i64 %stopped, 0
  br i1 %goes_on, label %next, label %taken
next:
  %ticket = atomicrmw add ptr %next_at, i64 %step seq_cst
  %front = and i64 %ticket, {FROM_BACK - 1}
  %back = udiv i64 %ticket, {FROM_BACK}
  %taken_in_all = add i64 %front, %back
  %there = icmp slt i64 %taken_in_all, %parts
  %left = sub i64 %parts, %back
  %hindmost = sub i64 %left, 1
  %is_from_front = icmp eq i64 %step, {FROM_FRONT}
  %part = select i1 %is_from_front, i64 %front, i64 %hindmost
  br i1 %there, label %run, label %taken
run:
  %after = add i64 %part, 1
  %low = mul i64 %part, %grains
  %first = sdiv i64 %low, %parts
  %begin = mul i64 %first, %grain
  %high = mul i64 %after, %grains
  %last = sdiv i64 %high, %parts
  %far = mul i64 %last, %grain
  %end = call i64 @llvm.smin.i64(i64 %far, i64 %extent)
  %status = call i64 %function(ptr %arguments, ptr %slots, i64 %begin, i64 %end)
  %has_ended = icmp eq i64 %status, 0
  br i1 %has_ended, label %take, label %stop
stop:
  store atomic i64 %status, ptr %stopped_at seq_cst, align 8
  br label %taken
taken:
  %open_at = getelementptr i64, ptr %pool, i64 {POOL_OPEN}
  store atomic i64 0, ptr %open_at seq_cst, align 8
  ret void
}}
define i64 @start_pool(ptr %pool) {{
  %semaphore = getelementptr i64, ptr %pool, i64 {POOL_SEMAPHORE}
  %done = getelementptr i64, ptr %pool, i64 {POOL_DONE}
  %habits = getelementptr i64, ptr %pool, i64 {POOL_HABITS}
  %period_at = getelementptr i64, ptr %habits, i64 {PERIOD}
  store i64 {LEAST_PERIOD}, ptr %period_at
  %rest_at = getelementptr i64, ptr %habits, i64 {REST}
  store i64 {LEAST_REST}, ptr %rest_at
  %status = call i32 @sem_init(ptr %semaphore, i32 0, i32 0)
  %other_status = call i32 @sem_init(ptr %done, i32 0, i32 0)
  ret i64 0
}}
define internal i1 @count_down(ptr %number_at) {{
entry:
  br label %look
look:
  %number = load atomic i64, ptr %number_at seq_cst, align 8
  %any = icmp sgt i64 %number, 0
  br i1 %any, label %try, label %none
try:
  %less = sub i64 %number, 1
  %tried = cmpxchg ptr %number_at, i64 %number, i64 %less seq_cst seq_cst
  %done = extractvalue {{i64, i1}} %tried, 1
  br i1 %done, label %one, label %look
one:
  ret i1 true
none:
  ret i1 false
}}
define i64 @work(ptr %pool) {{
entry:
  %semaphore = getelementptr i64, ptr %pool, i64 {POOL_SEMAPHORE}
  %open_at = getelementptr i64, ptr %pool, i64 {POOL_OPEN}
  %active_at = getelementptr i64, ptr %pool, i64 {POOL_ACTIVE}
  %asleep_at = getelementptr i64, ptr %pool, i64 {POOL_ASLEEP}
  %workers_at = getelementptr i64, ptr %pool, i64 {POOL_WORKERS}
  %others = atomicrmw add ptr %workers_at, i64 1 seq_cst
  br label %look
look:
  %count = phi i64 [0, %entry], [%count_next, %again], [0, %leave], [0, %tell], [0, %stay], [0, %sleep]
  %maybe = load atomic i64, ptr %open_at seq_cst, align 8
  %is_open = icmp ne i64 %maybe, 0
  br i1 %is_open, label %enter, label %again
again:
  {PAUSE}
  %count_next = add i64 %count, 1
  %tired = icmp sgt i64 %count, {LOOKS}
  br i1 %tired, label %rest, label %look
rest:
  %sleepers = atomicrmw add ptr %asleep_at, i64 1 seq_cst
  %last_look = load atomic i64, ptr %open_at seq_cst, align 8
  %is_open_now = icmp ne i64 %last_look, 0
  br i1 %is_open_now, label %stay, label %sleep
stay:
  %is_awake = call i1 @count_down(ptr %asleep_at)
  br i1 %is_awake, label %look, label %sleep
sleep:
  %status = call i32 @sem_wait(ptr %semaphore)
  %is_woken = icmp eq i32 %status, 0
  br i1 %is_woken, label %look, label %sleep
enter:
  %before = atomicrmw add ptr %active_at, i64 1 seq_cst
  %still = load atomic i64, ptr %open_at seq_cst, align 8
  %is_still_open = icmp ne i64 %still, 0
  br i1 %is_still_open, label %help, label %leave
help:
  call void @take_parts(ptr %pool, i64 {FROM_BACK})
  br label %leave
leave:
  %had = atomicrmw sub ptr %active_at, i64 1 seq_cst
  %is_last = icmp eq i64 %had, 1
  br i1 %is_last, label %tell, label %look
tell:
  call void @wake_caller(ptr %pool)
  br label %look
}}
define internal void @wake_caller(ptr %pool) {{
entry:
  %waiting_at = getelementptr i64, ptr %pool, i64 {POOL_WAITING}
  %waiting = atomicrmw xchg ptr %waiting_at, i64 0 seq_cst
  %is_waiting = icmp ne i64 %waiting, 0
  br i1 %is_waiting, label %wake, label %done
wake:
  %done_at = getelementptr i64, ptr %pool, i64 {POOL_DONE}
  %posted = call i32 @sem_post(ptr %done_at)
  br label %done
done:
  ret void
}}
define internal void @wake_workers(ptr %pool, i64 %wanted) {{
entry:
  %semaphore = getelementptr i64, ptr %pool, i64 {POOL_SEMAPHORE}
  %asleep_at = getelementptr i64, ptr %pool, i64 {POOL_ASLEEP}
  %workers_at = getelementptr i64, ptr %pool, i64 {POOL_WORKERS}
  %asleep = load atomic i64, ptr %asleep_at seq_cst, align 8
  %workers = load atomic i64, ptr %workers_at seq_cst, align 8
  %awake = sub i64 %workers, %asleep
  %missing = sub i64 %wanted, %awake
  br label %look
look:
  %k = phi i64 [0, %entry], [%k_next, %wake]
  %more = icmp slt i64 %k, %missing
  br i1 %more, label %find, label %done
find:
  %found = call i1 @count_down(ptr %asleep_at)
  br i1 %found, label %wake, label %done
wake:
  %posted = call i32 @sem_post(ptr %semaphore)
  %k_next = add i64 %k, 1
  br label %look
done:
  ret void
}}
define internal i1 @wait_for_workers(ptr %pool) {{
entry:
  %active_at = getelementptr i64, ptr %pool, i64 {POOL_ACTIVE}
  %waiting_at = getelementptr i64, ptr %pool, i64 {POOL_WAITING}
  %done_at = getelementptr i64, ptr %pool, i64 {POOL_DONE}
  br label %look
look:
  %count = phi i64 [0, %entry], [%next, %again], [0, %sleep]
  %has_slept = phi i1 [false, %entry], [%has_slept, %again], [true, %sleep]
  %active = load atomic i64, ptr %active_at seq_cst, align 8
  %is_alone = icmp eq i64 %active, 0
  br i1 %is_alone, label %done, label %busy
busy:
  %next = add i64 %count, 1
  %tired = icmp sgt i64 %count, {LOOKS}
  br i1 %tired, label %rest, label %again
again:
  {PAUSE}
  br label %look
rest:
  store atomic i64 1, ptr %waiting_at seq_cst, align 8
  %still_active = load atomic i64, ptr %active_at seq_cst, align 8
  %is_still_busy = icmp ne i64 %still_active, 0
  br i1 %is_still_busy, label %sleep, label %stay
stay:
  %waiting = atomicrmw xchg ptr %waiting_at, i64 0 seq_cst
  %nobody_tells = icmp ne i64 %waiting, 0
  br i1 %nobody_tells, label %woken, label %sleep
sleep:
  %status = call i32 @sem_wait(ptr %done_at)
  %is_woken = icmp eq i32 %status, 0
  br i1 %is_woken, label %look, label %sleep
woken:
  ret i1 true
done:
  ret i1 %has_slept
}}
define internal i1 @has_company(ptr %pool) {{
entry:
  %habits = getelementptr i64, ptr %pool, i64 {POOL_HABITS}
  %missed_at = getelementptr i64, ptr %habits, i64 {MISSED}
  %period_at = getelementptr i64, ptr %habits, i64 {PERIOD}
  %resting_at = getelementptr i64, ptr %habits, i64 {RESTING}
  %resting = load atomic i64, ptr %resting_at monotonic, align 8
  %rests = icmp sgt i64 %resting, 0
  br i1 %rests, label %rest, label %look
rest:
  %rest_left = sub i64 %resting, 1
  store atomic i64 %rest_left, ptr %resting_at monotonic, align 8
  ret i1 false
look:
  %asleep_at = getelementptr i64, ptr %pool, i64 {POOL_ASLEEP}
  %workers_at = getelementptr i64, ptr %pool, i64 {POOL_WORKERS}
  %asleep = load atomic i64, ptr %asleep_at monotonic, align 8
  %workers = load atomic i64, ptr %workers_at monotonic, align 8
  %is_awake = icmp sgt i64 %workers, %asleep
  br i1 %is_awake, label %meet, label %miss
meet:
  store atomic i64 0, ptr %missed_at monotonic, align 8
  store atomic i64 {LEAST_PERIOD}, ptr %period_at monotonic, align 8
  ret i1 true
miss:
  %missed = load atomic i64, ptr %missed_at monotonic, align 8
  %period = load atomic i64, ptr %period_at monotonic, align 8
  %missed_too = add i64 %missed, 1
  store atomic i64 %missed_too, ptr %missed_at monotonic, align 8
  %is_time = icmp sge i64 %missed_too, %period
  br i1 %is_time, label %wake, label %alone
alone:
  ret i1 false
wake:
  %double_period = shl i64 %period, 1
  %next_period = call i64 @llvm.smin.i64(i64 %double_period, i64 {MOST_PERIOD})
  store atomic i64 %next_period, ptr %period_at monotonic, align 8
  store atomic i64 0, ptr %missed_at monotonic, align 8
  ret i1 true
}}
define internal void @learn(ptr %pool, i64 %parts, i1 %was_late) {{
entry:
  %habits = getelementptr i64, ptr %pool, i64 {POOL_HABITS}
  %unhelped_at = getelementptr i64, ptr %habits, i64 {UNHELPED}
  %resting_at = getelementptr i64, ptr %habits, i64 {RESTING}
  %rest_at = getelementptr i64, ptr %habits, i64 {REST}
  %rest = load atomic i64, ptr %rest_at monotonic, align 8
  br i1 %was_late, label %badly, label %count
count:
  %next_at = getelementptr i64, ptr %pool, i64 {POOL_NEXT}
  %taken = load atomic i64, ptr %next_at monotonic, align 8
  %front = and i64 %taken, {FROM_BACK - 1}
  %is_helped = icmp sle i64 %front, %parts
  br i1 %is_helped, label %well, label %alone
alone:
  %unhelped = load atomic i64, ptr %unhelped_at monotonic, align 8
  %unhelped_too = add i64 %unhelped, 1
  store atomic i64 %unhelped_too, ptr %unhelped_at monotonic, align 8
  %is_usual = icmp sge i64 %unhelped_too, {PATIENCE_WITH_WORKERS}
  br i1 %is_usual, label %badly, label %done
badly:
  store atomic i64 0, ptr %unhelped_at monotonic, align 8
  store atomic i64 %rest, ptr %resting_at monotonic, align 8
  %double_rest = shl i64 %rest, 1
  %longer = call i64 @llvm.smin.i64(i64 %double_rest, i64 {MOST_REST})
  store atomic i64 %longer, ptr %rest_at monotonic, align 8
  br label %done
well:
  store atomic i64 0, ptr %unhelped_at monotonic, align 8
  %less = sub i64 %rest, 1
  %shorter = call i64 @llvm.smax.i64(i64 %less, i64 {LEAST_REST})
  store atomic i64 %shorter, ptr %rest_at monotonic, align 8
  br label %done
done:
  ret void
}}
"""

#: Where `run_parallel` is told whether a job is small.
SMALL = 3

#: `run_parallel`: the pool, a function, how many threads it is worth, whether it is a small job, end, what parts are
#: multiples of, and the arguments of the kernel.
RUN_PARALLEL = f"""
define i64 @run_parallel(ptr %a, ptr %slots) {{
entry:
  get ptr %pool = %a[0]
  get ptr %function = %a[1]
  get i64 %worth = %a[2]
  get i64 %small = %a[{SMALL}]
  get i64 %extent = %a[4]
  get i64 %grain = %a[5]
  %rest = getelementptr i64, ptr %a, i64 6
  %is_small = icmp ne i64 %small, 0
  get i64 %available = %slots[THREADS]
  %threads = call i64 @llvm.smin.i64(i64 %available, i64 %worth)
  %is_wanted = icmp sgt i64 %threads, 1
  br i1 %is_wanted, label %measure, label %alone
measure:
  br i1 %is_small, label %ask, label %try
ask:
  %has_company = call i1 @has_company(ptr %pool)
  br i1 %has_company, label %try, label %alone
alone:
  %status = call i64 %function(ptr %rest, ptr %slots, i64 0, i64 %extent)
  ret i64 %status
try:
  %lock = getelementptr i64, ptr %pool, i64 {POOL_LOCK}
  %locked = cmpxchg ptr %lock, i64 0, i64 1 seq_cst seq_cst
  %mine = extractvalue {{i64, i1}} %locked, 1
  br i1 %mine, label %divide, label %alone
divide:
  %was_busy = call i1 @wait_for_workers(ptr %pool)
  %most = mul i64 %threads, {PARTS_PER_THREAD}
  %beyond = add i64 %extent, %grain
  %to_last = sub i64 %beyond, 1
  %grains = sdiv i64 %to_last, %grain
  %parts = call i64 @llvm.smin.i64(i64 %most, i64 %grains)
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
  %job5 = getelementptr i64, ptr %job, i64 5
  store i64 %grain, ptr %job5
  %job6 = getelementptr i64, ptr %job, i64 6
  store i64 %grains, ptr %job6
  %next_at = getelementptr i64, ptr %pool, i64 {POOL_NEXT}
  store atomic i64 0, ptr %next_at seq_cst, align 8
  %open_at = getelementptr i64, ptr %pool, i64 {POOL_OPEN}
  store atomic i64 1, ptr %open_at seq_cst, align 8
  %helpers = sub i64 %threads, 1
  call void @wake_workers(ptr %pool, i64 %helpers)
  call void @take_parts(ptr %pool, i64 {FROM_FRONT})
  store atomic i64 0, ptr %open_at seq_cst, align 8
  %was_late = call i1 @wait_for_workers(ptr %pool)
  br i1 %is_small, label %learn, label %unlock
learn:
  call void @learn(ptr %pool, i64 %parts, i1 %was_late)
  br label %unlock
unlock:
  store atomic i64 0, ptr %lock seq_cst, align 8
  %stopped_at = getelementptr i64, ptr %slots, i64 {STOPPED}
  %stopped = atomicrmw xchg ptr %stopped_at, i64 0 seq_cst
  ret i64 %stopped
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
