"""The emulated device with arrays that behave as CuPy's, for compiled functions from call to kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from functrans.compiler import program
from tests.helpers.cuda.device import Emulator
from tests.helpers.stand_in_cupy import installed, ndarray


class EmulatedGpu(Emulator):
    """A device; the contract is `Device`."""

    def is_array(self, x: Any) -> bool:
        return isinstance(x, ndarray)

    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        return ndarray(super().empty(shape, dtype))

    def view(self, pointer: int, shape: Sequence[int], dtype: Any, strides: Sequence[int], owner: Any) -> Any:
        return ndarray(super().view(pointer, shape, dtype, strides, owner), base=owner)

    def pointer(self, array: Any) -> int:
        return array.data.ptr

    def owns_memory(self, array: Any) -> bool:
        return array.base is None and super().owns_memory(array._host)

    def upload(self, host: Any) -> Any:
        return ndarray(super().upload(np.asarray(host)))

    def download(self, array: Any) -> np.ndarray:
        return array.get()


@contextmanager
def emulated_gpu(order: int = 0) -> Iterator[EmulatedGpu]:
    """In this block there is CuPy, and one GPU."""
    device = EmulatedGpu(order)
    with installed(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "has_driver", lambda: True)
        patch.setattr(program, "gpu", lambda number: device)
        yield device
