"""Kernels among threads, and kernels in a row."""

from __future__ import annotations

from ..lowlevel.language import (
    CInt,
    Words,
    atomic_add,
    atomic_exchange,
    atomic_load,
    atomic_replace,
    atomic_store,
    copy,
    exported,
    external,
    pause,
    relaxed_load,
    relaxed_store,
    room,
)
from .header import STOPPED, THREADS

#: Threads. A pool is an array of numbers, in groups on cache lines of their own: LOCK, held by who runs something;
#: OPEN, whether there are parts that workers may take; ACTIVE, how many are looking or at work; NEXT, the next part to
#: be taken; then what to run; how many WORKERS there are, and how many of them are ASLEEP and not yet woken; a
#: semaphore that they sleep on; whether the caller is WAITING for the last one of them, and a semaphore that it sleeps
#: on; HABITS, what small jobs have met with lately; the processor that the CALLER is on. Parts are taken one by one, by
#: the caller too, who does all of them if nobody else comes: so on a busy machine it does not wait for threads that get
#: no processor. Who finds no part left says that there are none, so that nobody looks for more who may be on the
#: processor that the last part needs. A part that ends with another status than 0 stops the others.
(
    POOL_LOCK, POOL_OPEN, POOL_ACTIVE, POOL_NEXT, POOL_JOB, POOL_WORKERS, POOL_ASLEEP, POOL_SEMAPHORE, POOL_WAITING,
    POOL_DONE, POOL_HABITS, POOL_CALLER,
) = range(0, 96, 8)  # fmt: skip
POOL_SIZE = 96

#: The words of a mask of processors, a bit for each.
MASK_WORDS = 16

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
BACK_BITS = 32
FROM_FRONT, FROM_BACK = 1, 1 << BACK_BITS

#: How often a worker looks for more to do before it sleeps: for 60 to 120 microseconds, with a pause in between. It is
#: then awake when what is not worth dividing, between two kernels that are, has been done: to wake it takes as long.
#: The caller looks as often whether the last worker is done. If that one has lost its processor to another program, or
#: to the caller, who kept looking would use up the time that the two of them are given. Nobody offers its processor to
#: others (sched_yield) meanwhile: since Linux 6.18 who does so comes last, a whole time slice behind all others.
LOOKS = 2500

#: Where `run_parallel` is told whether a job is small.
SMALL = 3


#: Of these, other systems than Linux lack some. What stands for them then says what they do after an error, -1.
OF_LINUX = (
    "sem_init", "sem_wait", "sem_post", "getpid", "sched_getcpu", "sched_getaffinity", "sched_setaffinity"
)  # fmt: skip
ABSENT = "define i64 @functrans_absent() {\n  ret i64 -1\n}\n"


@external
def sem_init(semaphore: Words, is_shared: CInt, value: CInt) -> CInt: ...
@external
def sem_wait(semaphore: Words) -> CInt: ...
@external
def sem_post(semaphore: Words) -> CInt: ...
@external
def getpid() -> CInt: ...
@external
def sched_getcpu() -> CInt: ...
@external
def sched_getaffinity(thread: CInt, size: int, mask: Words) -> CInt: ...
@external
def sched_setaffinity(thread: CInt, size: int, mask: Words) -> CInt: ...


@exported
def start_pool(pool: Words) -> int:
    """Make a pool, of zeros, ready; whether it is not, for want of semaphores."""
    habits = pool[POOL_HABITS:]
    habits[PERIOD], habits[REST] = LEAST_PERIOD, LEAST_REST
    return sem_init(pool[POOL_SEMAPHORE:], 0, 0) != 0 or sem_init(pool[POOL_DONE:], 0, 0) != 0


def take_parts(pool: Words, step: int) -> None:
    """Take parts of the job, and run them, until none is left.

    Args:
        step: FROM_FRONT or FROM_BACK.
    """
    function, arguments, slots, extent, parts, grain, grains = pool[POOL_JOB:]
    while atomic_load(slots[STOPPED:]) == 0:
        ticket = atomic_add(pool[POOL_NEXT:], step)
        front, back = ticket & (FROM_BACK - 1), ticket >> BACK_BITS
        if front + back >= parts:
            break
        part = front if step == FROM_FRONT else parts - back - 1
        begin, end = part * grains // parts * grain, (part + 1) * grains // parts * grain
        status = function(arguments, slots, begin, min(end, extent))
        if status != 0:
            atomic_store(slots[STOPPED:], status)
            break
    atomic_store(pool[POOL_OPEN:], 0)


def count_down(number: Words) -> bool:
    """Make a number less by one, unless it is zero; whether it was not."""
    while True:
        was = atomic_load(number)
        if was <= 0:
            return False
        if atomic_replace(number, was, was - 1):
            return True


@exported
def work(pool: Words) -> int:
    """What a worker does, for good."""
    atomic_add(pool[POOL_WORKERS:], 1)
    looks = 0
    while True:
        if atomic_load(pool[POOL_OPEN:]) != 0:
            help_out(pool)
            looks = 0
        elif looks > LOOKS:
            fall_asleep(pool)
            looks = 0
        else:
            pause()
            looks += 1


def help_out(pool: Words) -> None:
    """Take parts, if there still are any. The last one to leave tells the caller, if that waits."""
    atomic_add(pool[POOL_ACTIVE:], 1)
    if atomic_load(pool[POOL_OPEN:]) != 0:
        take_parts(pool, FROM_BACK)
    if atomic_add(pool[POOL_ACTIVE:], -1) == 1 and atomic_exchange(pool[POOL_WAITING:], 0) != 0:
        sem_post(pool[POOL_DONE:])


def fall_asleep(pool: Words) -> None:
    """Sleep until somebody wakes this worker, who counts it as awake; unless there are parts just now."""
    atomic_add(pool[POOL_ASLEEP:], 1)
    if atomic_load(pool[POOL_OPEN:]) != 0 and count_down(pool[POOL_ASLEEP:]):
        return
    while sem_wait(pool[POOL_SEMAPHORE:]) != 0:
        pass
    make_way(pool)


@exported
def make_way(pool: Words) -> int:
    """Go to another processor if this thread is on that of the caller, and stay away from it.

    In virtual machines Linux takes a processor that is idle for one that its host has taken away, and lets a thread
    begin where the one runs that woke it. The two would take turns there until the scheduler evens out the load, which
    takes milliseconds.
    """
    processor = sched_getcpu()
    if processor == relaxed_load(pool[POOL_CALLER:]) and processor >= 0 and processor < 64 * MASK_WORDS:
        mask, word = room(MASK_WORDS), processor >> 6
        if sched_getaffinity(getpid(), 8 * MASK_WORDS, mask) == 0:  # what the main thread may use now
            mask[word] = mask[word] & (-1 - (1 << (processor & 63)))
            sched_setaffinity(0, 8 * MASK_WORDS, mask)
    return 0


def wake_workers(pool: Words, wanted: int) -> None:
    """Wake as many as are missing."""
    awake = atomic_load(pool[POOL_WORKERS:]) - atomic_load(pool[POOL_ASLEEP:])
    if awake < wanted:
        relaxed_store(pool[POOL_CALLER:], sched_getcpu())
    for _ in range(wanted - awake):
        if not count_down(pool[POOL_ASLEEP:]):
            return
        sem_post(pool[POOL_SEMAPHORE:])


def wait_for_workers(pool: Words) -> bool:
    """Wait until nobody is at work; whether the caller had to sleep meanwhile."""
    looks, has_slept = 0, False
    while atomic_load(pool[POOL_ACTIVE:]) != 0:
        if looks <= LOOKS:
            pause()
            looks += 1
            continue
        atomic_store(pool[POOL_WAITING:], 1)
        if atomic_load(pool[POOL_ACTIVE:]) == 0 and atomic_exchange(pool[POOL_WAITING:], 0) != 0:
            return True
        while sem_wait(pool[POOL_DONE:]) != 0:
            pass
        looks, has_slept = 0, True
    return has_slept


def has_company(pool: Words) -> bool:
    """Whether to share a small job."""
    habits = pool[POOL_HABITS:]
    resting = relaxed_load(habits[RESTING:])
    if resting > 0:
        relaxed_store(habits[RESTING:], resting - 1)
        return False
    if relaxed_load(pool[POOL_WORKERS:]) > relaxed_load(pool[POOL_ASLEEP:]):
        relaxed_store(habits[MISSED:], 0)
        relaxed_store(habits[PERIOD:], LEAST_PERIOD)
        return True
    missed, period = relaxed_load(habits[MISSED:]) + 1, relaxed_load(habits[PERIOD:])
    if missed < period:
        relaxed_store(habits[MISSED:], missed)
        return False
    relaxed_store(habits[PERIOD:], min(2 * period, MOST_PERIOD))
    relaxed_store(habits[MISSED:], 0)
    return True


def learn(pool: Words, parts: int, was_late: bool) -> None:
    """Keep in mind how a small job went that was shared.

    Args:
        was_late: whether the caller had to sleep until somebody came back.
    """
    habits = pool[POOL_HABITS:]
    rest = relaxed_load(habits[REST:])
    unhelped = 0
    if not was_late:
        taken_by_caller = relaxed_load(pool[POOL_NEXT:]) & (FROM_BACK - 1)
        if taken_by_caller <= parts:
            relaxed_store(habits[UNHELPED:], 0)
            relaxed_store(habits[REST:], max(rest - 1, LEAST_REST))
            return
        unhelped = relaxed_load(habits[UNHELPED:]) + 1
        if unhelped < PATIENCE_WITH_WORKERS:
            relaxed_store(habits[UNHELPED:], unhelped)
            return
    relaxed_store(habits[UNHELPED:], 0)
    relaxed_store(habits[RESTING:], rest)
    relaxed_store(habits[REST:], min(2 * rest, MOST_REST))


@exported
def run_parallel(a: Words, slots: Words) -> int:
    """A kernel that is divided among threads.

    The arguments: the pool, a function, how many threads it is worth, whether it is a small job, end, what parts are
    multiples of, and the arguments of the kernel.
    """
    pool, function, worth, is_small, extent, grain = a[0:]
    threads = min(slots[THREADS], worth)
    is_alone = threads <= 1 or (is_small != 0 and not has_company(pool))
    if is_alone or not atomic_replace(pool[POOL_LOCK:], 0, 1):
        return function(a[6:], slots, 0, extent)
    wait_for_workers(pool)
    grains = (extent + grain - 1) // grain
    parts = min(threads * PARTS_PER_THREAD, grains)
    job = pool[POOL_JOB:]
    job[0], job[1], job[2], job[3], job[4], job[5], job[6] = function, a[6:], slots, extent, parts, grain, grains
    atomic_store(pool[POOL_NEXT:], 0)
    atomic_store(pool[POOL_OPEN:], 1)
    wake_workers(pool, threads - 1)
    take_parts(pool, FROM_FRONT)
    atomic_store(pool[POOL_OPEN:], 0)
    was_late = wait_for_workers(pool)
    if is_small != 0:
        learn(pool, parts, was_late)
    atomic_store(pool[POOL_LOCK:], 0)
    return atomic_exchange(slots[STOPPED:], 0)


@exported
def run_rows(a: Words, slots: Words, begin: int, end: int) -> int:
    """Kernels in a row over some rows, for `run_kernel` and `run_parallel`.

    The arguments: how many rows to run at a time; the numbers of all slots, of own arrays and of kernels; slot, size of
    a row and way to the next row of own arrays, each block of which takes the place of the one before; function,
    arguments and points in a row of kernels.
    """
    block, n_slots, n_own, n_kernels = a[0:]
    own, kernels = a[4:], a[3 * n_own + 4 :]
    mine = room(n_slots)
    copy(mine, slots, n_slots)
    low = begin
    while low < end:
        high = min(low + block, end)
        for m in range(n_own):
            slot, size, way = own[3 * m :]
            mine[slot] = slots[slot] + begin * (size - way) + (begin - low) * way
        for k in range(n_kernels):
            function, arguments, points = kernels[3 * k :]
            function(arguments, mine, low * points, high * points)
        low = high
    return 0


@exported
def run_strips(a: Words, slots: Words, begin: int, end: int) -> int:
    """Strips of a staggered chain, for `run_kernel` and `run_parallel`.

    The arguments: how many rows a strip has, how many there are in all, how many to run at a time, and the number of
    kernels; function, arguments, points in a row and number of rows of each, and how many of these wait at the upper
    and at the lower border of a strip. A kernel is as many rows behind as wait below.
    """
    size, rows, block, n_kernels = a[0:]
    strip = begin
    while strip < end:
        top, bottom = strip * size, min((strip + 1) * size, rows)
        low = top
        while low < bottom:
            high = min(low + block, bottom)
            for k in range(n_kernels):
                function, arguments, points, extent, above, below = a[4 + 6 * k :]
                first = max(low - below, top + above if strip > 0 else 0)
                last = extent if high == rows else min(high - below, extent)
                if first < last:
                    function(arguments, slots, first * points, last * points)
            low = high
        strip += 1
    return 0


@exported
def run_borders(a: Words, slots: Words, begin: int, end: int) -> int:
    """The rows that have waited at borders between strips, with the arguments of `run_strips`."""
    size, _, _, n_kernels = a[0:]
    border = begin
    while border < end:
        row = (border + 1) * size
        for k in range(n_kernels):
            function, arguments, points, extent, above, below = a[4 + 6 * k :]
            first, last = row - below, min(row + above, extent)
            if first < last:
                function(arguments, slots, first * points, last * points)
        border += 1
    return 0
