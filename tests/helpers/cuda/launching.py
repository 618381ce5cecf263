"""Single launches, without a program around them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from functrans.compiler.backends.cuda.launches import Launch, Pointer
from tests.helpers.cuda.device import Emulator, runtime


def launch(device: Emulator, launch: Launch, arrays: Sequence[np.ndarray]) -> None:
    """Run a kernel on arrays, which are the slots that its arguments speak of."""
    kernel = device.module({"kernel": launch.source}).function("kernel", launch.shared)
    device.stream()
    values = [
        ctypes.c_int64(device.pointer(arrays[a.slot]) + a.offset if isinstance(a, Pointer) else a)
        for a in launch.arguments
    ]
    given = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
    function = runtime().emulated_cuLaunchKernel
    code = function(ctypes.c_void_p(kernel), *launch.grid, *launch.block, launch.shared, None, given, None)
    assert code == 0, device.error(code)
