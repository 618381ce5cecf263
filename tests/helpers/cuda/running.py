"""Programs on the emulator, and the kernels that they come to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from functrans.compiler.backends.cuda import layouts
from functrans.compiler.backends.cuda.encoding import Encoder
from functrans.compiler.backends.cuda.launches import NAME, Launch, Pointer
from functrans.compiler.backends.cuda.program import CudaProgram, bound
from functrans.compiler.program import fused_for_gpu
from functrans.core.jaxpr import Jaxpr
from tests.helpers.cuda.device import Emulator, prepare
from tests.helpers.tiers import staged

#: Limits of how kernels are divided among threads, so that small arrays meet what large ones do.
DIVISIONS: dict[str, dict[str, int]] = {
    "usual": {},
    "warps": {"SHORT_ROW": 1, "WORTH_DIVIDING": 1, "LEAST_SHARE": 1},
    "blocks": {"SHORT_ROW": 1, "LONG_ROW": 1, "WORTH_DIVIDING": 1, "LEAST_SHARE": 1},
    "wide": {"FEW": 0},
    "tiles": {"LEAST_EDGE": 1, "LEAST_TILE": 1},
    "sequences": {"LITTLE_WORK": 0},
    "launches": {"LITTLE_WORK": 0, "FEW_BLOCKS": 0},
}
ORDERS = (0, 1, 2)


@contextmanager
def divided(name: str) -> Iterator[None]:
    """Programs that are lowered in this block are divided among threads so."""
    before = {key: getattr(layouts, key) for key in DIVISIONS[name]}
    for key, value in DIVISIONS[name].items():
        setattr(layouts, key, value)
    try:
        yield
    finally:
        for key, value in before.items():
            setattr(layouts, key, value)


def on_device(device: Emulator, args: Sequence[Any]) -> list[Any]:
    """Arguments as arrays of a device, of the byte order of the machine; numbers stay what they are."""
    return [device.upload(native_order(x)) if isinstance(x, np.ndarray) else x for x in args]


def to_give_away(device: Emulator, x: Any) -> Any:
    """A copy of an array of a device, which may be overwritten, in row-major order."""
    if not isinstance(x, np.ndarray):
        return x
    found = device.empty(x.shape, x.dtype)
    found[...] = x
    return found


def native_order(x: np.ndarray) -> np.ndarray:
    """An array in the byte order of the machine."""
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def emulated(
    jaxpr: Jaxpr,
    args: Sequence[Any],
    order: int = 0,
    division: str = "usual",
    donated: tuple[int, ...] = (),
    is_watched: bool = False,
) -> list[Any]:
    """The results of a program. Donated arguments are copied first, to arrays that may be given away.

    Args:
        is_watched: whether it fails if threads touch the same memory without having waited for each other.
    """
    device = Emulator(order, order != 1, is_watched)
    given = on_device(device, args)
    for i in donated:
        given[i] = to_give_away(device, given[i])
    with divided(division):
        results = CudaProgram(jaxpr, fused_for_gpu, device, donated)(*given)
    return [np.array(y) if isinstance(y, np.ndarray) else y for y in results]


def lowered(jaxpr: Jaxpr, args: Sequence[Any], division: str = "usual", at_end: bool = True) -> Encoder:
    """The launches of a program, for arguments at the end or at the beginning of pages."""
    device = Emulator(at_end=at_end)
    program = CudaProgram(jaxpr, fused_for_gpu, device)
    values = [
        x if own is None else program.argument(x, *own)
        for x, own in zip(on_device(device, args), program.types)
    ]
    key = [None if own is None else program.layout(x) for x, own in zip(values, program.types)]
    with divided(division):
        found = bound(program.jaxpr, fused_for_gpu, key, device.processors)
    check_promises(found.all_launches)
    return found


_PARAMETERS = re.compile(rf"KERNEL[^;{{]*\b{NAME}\(([^)]*)\)")


def check_promises(launches: Iterable[Launch]) -> None:
    """What kernels say to be nowhere else may be read by ways that see no writes, so that it must not be written to.

    The emulator does not take them at their word: a GPU does.
    """
    for launch in launches:
        found = _PARAMETERS.search(launch.source)
        assert found, launch.source
        parameters = [p for p in found[1].split(",") if p.strip()]
        pointers = [(a.slot, p) for a, p in zip(launch.arguments, parameters, strict=True) if isinstance(a, Pointer)]
        read = {slot for slot, p in pointers if p.strip().startswith("const ")}
        both = read & {slot for slot, p in pointers if not p.strip().startswith("const ")}
        promised = [p.strip() for slot, p in pointers if slot in both and "__restrict__" in p]
        assert not promised, f"{promised} of {launch.about}:\n{launch.source}"


def kernels_of(function: Callable[..., Any], *args: Any, division: str = "usual") -> list[str]:
    """The texts of the kernels of a function."""
    return list(lowered(staged(function, args), args, division).functions.values())


def prepare_all(programs: Sequence[tuple[Jaxpr, Sequence[Any]]], division: str = "usual") -> list[str]:
    """Compile the kernels of many programs together; their texts."""
    found = [lowered(jaxpr, args, division, at_end) for at_end in (True, False) for jaxpr, args in programs]
    texts = list(dict.fromkeys(text for encoder in found for text in encoder.functions.values()))
    prepare(texts)
    return texts
