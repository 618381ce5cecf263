"""What programs for GPUs run on the host: launches, copies, and products by cuBLAS.

These are instructions for the machine of the CPU backend (../../cpu/runtime). Each checks what CUDA returns. The first
three arguments are the slot of errors, the number of the instruction, and the slot of the stream, or of the handle of
cuBLAS; then comes the function of CUDA.
"""

from __future__ import annotations

from ...cpu.lowlevel.language import Words, c_int, exported, null, room

#: Where the arguments of a kernel begin among those of `launch`.
FIRST_ARGUMENT = 13
#: CUDA's numbers of half precision and of bfloat16; of single precision for sums, and of cuBLAS's own choice of how.
HALF, BFLOAT, SINGLE_SUMS, ANY_ALGORITHM = 2, 14, 68, -1


def checked(code: int, slots: Words, error: int, number: int) -> int:
    """Note a code other than 0 in a slot, and the number of the instruction in the one after it, to end the program."""
    if code == 0:
        return 0
    slots[error], slots[error + 1] = code, number
    return 1


def argument_of(a: Words, k: int, slots: Words) -> int:
    """The k-th argument of a launch: a slot and an offset, or -1 and a number."""
    slot, number = a[FIRST_ARGUMENT + 2 * k :]
    return number if slot < 0 else slots[slot] + number


@exported
def launch(a: Words, slots: Words) -> int:
    """cuLaunchKernel; the kernel, blocks along three axes, threads along three axes, bytes of shared memory; how many
    arguments; these."""
    error, number, stream_slot, function, kernel, gx, gy, gz, bx, by, bz, shared, count = a[0:]
    values, places = room(count), room(count)
    for k in range(count):
        values[k] = argument_of(a, k, slots)
        places[k] = values[k:]
    code = function(kernel, gx, gy, gz, bx, by, bz, shared, slots[stream_slot], places, null)
    return checked(c_int(code), slots, error, number)


@exported
def fetch(a: Words, slots: Words) -> int:
    """A copy to the host, without waiting: cuMemcpyDtoHAsync, cuStreamSynchronize (for `download`); the slot of memory
    of the host, slot and offset on the device; bytes."""
    error, number, stream_slot, function, _, host_slot, slot, offset, size = a[0:]
    code = function(slots[host_slot], slots[slot] + offset, size, slots[stream_slot])
    return checked(c_int(code), slots, error, number)


@exported
def download(a: Words, slots: Words) -> int:
    """`fetch`, and then wait."""
    if fetch(a, slots) != 0:
        return 1
    function = a[4]
    return checked(c_int(function(slots[a[2]])), slots, a[0], a[1])


@exported
def upload(a: Words, slots: Words) -> int:
    """A copy from the host, without waiting: cuMemcpyHtoDAsync; the slot of memory of the host, slot and offset on the
    device; bytes."""
    error, number, stream_slot, function, host_slot, slot, offset, size = a[0:]
    code = function(slots[slot] + offset, slots[host_slot], size, slots[stream_slot])
    return checked(c_int(code), slots, error, number)


@exported
def clear(a: Words, slots: Words) -> int:
    """cuMemsetD8Async; slot, bytes."""
    error, number, stream_slot, function, slot, size = a[0:]
    return checked(c_int(function(slots[slot], 0, size, slots[stream_slot])), slots, error, number)


@exported
def stop_if(a: Words, slots: Words) -> int:
    """End the program unless a number of the host is 0; its only argument is the slot of that."""
    number = slots[a[0]]
    return number[0] != 0


@exported
def wait(a: Words, slots: Words) -> int:
    """cuStreamSynchronize."""
    error, number, stream_slot, function = a[0:]
    return checked(c_int(function(slots[stream_slot])), slots, error, number)


@exported
def product(a: Words, slots: Words) -> int:
    """A function of cuBLAS for strided batches.

    Then the transpositions of A and B, m, n, k; alpha (two numbers); slot, offset, leading dimension and way to the
    next matrix of A, of B; beta (two numbers); the same of C; how many there are.
    """
    error, number, handle_slot, function, x_turned, y_turned, m, n, k = a[0:]
    x_slot, x_offset, x_lead, x_way, y_slot, y_offset, y_lead, y_way = a[11:]
    z_slot, z_offset, z_lead, z_way, batch = a[21:]
    x, y, z = slots[x_slot] + x_offset, slots[y_slot] + y_offset, slots[z_slot] + z_offset
    code = function(
        slots[handle_slot], x_turned, y_turned, m, n, k, a[9:], x, x_lead, x_way, y, y_lead, y_way, a[19:],
        z, z_lead, z_way, batch,
    )  # fmt: skip
    return checked(c_int(code), slots, error, number)


@exported
def product_of_halves(a: Words, slots: Words) -> int:
    """`product` of matrices of half precision."""
    return typed_product(a, slots, HALF)


@exported
def product_of_bfloats(a: Words, slots: Words) -> int:
    """`product` of matrices of bfloat16."""
    return typed_product(a, slots, BFLOAT)


def typed_product(a: Words, slots: Words, dtype: int) -> int:
    """The same for the function of cuBLAS that is told of dtypes."""
    error, number, handle_slot, function, x_turned, y_turned, m, n, k = a[0:]
    x_slot, x_offset, x_lead, x_way, y_slot, y_offset, y_lead, y_way = a[11:]
    z_slot, z_offset, z_lead, z_way, batch = a[21:]
    x, y, z = slots[x_slot] + x_offset, slots[y_slot] + y_offset, slots[z_slot] + z_offset
    code = function(
        slots[handle_slot], x_turned, y_turned, m, n, k, a[9:], x, dtype, x_lead, x_way, y, dtype, y_lead, y_way,
        a[19:], z, dtype, z_lead, z_way, batch, SINGLE_SUMS, ANY_ALGORITHM,
    )  # fmt: skip
    return checked(c_int(code), slots, error, number)
