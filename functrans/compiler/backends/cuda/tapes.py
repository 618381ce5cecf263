"""Stacks under loops of launches: their blocks are memory of the device, made as the loop goes on."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ....core.avals import ShapedArray, StackAval
from ....core.stack import Stack, no_memory
from ...instructions import Tape
from ...places import Place
from ..cpu.tapes import Reel, Spool
from .device import Device


class DeviceSpool(Spool):
    """Memory of a device for the stacks that one run of a loop writes."""

    __slots__ = ("device",)

    def __init__(self, record: int, spare: list[Any], device: Device):
        super().__init__(record, spare)
        self.device = device

    def memory(self, size: int, count: int) -> Any:
        try:
            return self.device.empty((size,), np.dtype(np.uint8))
        except MemoryError:
            raise no_memory(size, count, self.room) from None

    def address(self, block: Any) -> int:
        return self.device.pointer(block)


class DeviceReel(Reel):
    """What Python does for a loop of launches with a tape. The number of steps is one that has been read back.

    Args:
        mail: the slot of the address of that number; None if it is known.
    """

    def __init__(self, device: Device, mail: int | None, tape: Tape, *others: Any):
        super().__init__(tape, *others)
        self.device, self.mail = device, mail

    def spool(self, spare: list[Any]) -> Spool:
        return DeviceSpool(self.record, spare, self.device)

    def address(self, block: Any) -> int:
        return self.device.pointer(block)

    def number(self, frame: Any, place: Place) -> int:
        assert self.mail is not None
        return ctypes.c_int64.from_address(frame.slots[self.mail]).value

    def zeros(self, aval: StackAval, length: int) -> Stack:
        assert isinstance(aval.entry, ShapedArray)
        stack = Stack(aval)
        stack.blocks, stack.starts = [self.device.upload(np.zeros((length, *aval.entry.shape), aval.dtype))], [0]
        stack.length = stack.room = length
        return stack
