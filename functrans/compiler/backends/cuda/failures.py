"""What programs report: refused indices, launches that fail, and kernels that fail while nobody waits for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ....errors import DeviceError, FunctransError, OutOfBoundsError
from ....source import Source
from ...instructions import PythonRun
from ...places import Place
from ..cpu.python_steps import name_line

if TYPE_CHECKING:
    from .encoded import Encoded

#: The codes of the driver for what a kernel does while it runs. They come from whatever is called next, and from then
#: on: the context cannot be used any more.
FAULTS: Final = frozenset((700, 702, 709, 710, 714, 715, 716, 717, 718, 719))
#: How many programs are remembered of those that a device has been given since it was last waited for.
MOST: Final = 16
#: How many kernels a message names.
MOST_NAMED: Final = 8


class Recent:
    """The programs that a device has been given since it was last waited for."""

    def __init__(self) -> None:
        self.programs: deque[Encoded] = deque(maxlen=MOST)
        self.add = self.programs.append
        self.clear = self.programs.clear

    def kernels(self) -> list[tuple[str, Source | None]]:
        """The kernels that may be at fault, the last ones first, with the lines that they are for."""
        return [
            encoded.about(number)
            for encoded in reversed(list(dict.fromkeys(self.programs)))
            for number in reversed(range(len(encoded.instructions)))
            if encoded.is_launch(number)
        ]


def explained(error: Exception, name: str, recent: Recent) -> Exception:
    """The error that says which kernel may have failed, if that is what one of CuPy's is about; any other as it is.

    Args:
        name: that of the device.
    """
    if getattr(error, "status", None) not in FAULTS:
        return error
    found = fault(str(error), name, recent)
    found.__suppress_context__ = True
    return found


def failure(code: int, text: str, name: str, encoded: Encoded, number: int, recent: Recent) -> DeviceError:
    """The error for a code that a function has returned, called for an instruction of a program.

    Args:
        text: what CUDA says about the code; name: that of the device.
    """
    if code in FAULTS and not encoded.is_synchronous:
        recent.add(encoded)
        return fault(text, name, recent)
    what, source = encoded.about(number)
    return DeviceError(f"{what} failed on {name}, {text}.", source=source)


def fault(text: str, name: str, recent: Recent) -> DeviceError:
    """The error for a kernel that has failed while nobody waited for it."""
    found = list(dict.fromkeys(recent.kernels()))
    useless = "The GPU cannot be used any more in this process."
    if len(found) == 1:
        return DeviceError(f"{found[0][0]} failed on {name}, {text}.", useless, source=found[0][1])
    if not found:
        return DeviceError(f"A kernel failed on {name}, {text}.", "It is none of a compiled function.", useless)
    lines = [f"  {what[0].lower()}{what[1:]} for {source or 'no known line'}" for what, source in found[:MOST_NAMED]]
    lines += [f"  and {len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []
    return DeviceError(
        f"A kernel failed on {name}, {text}.",
        "\n".join(["It is one of these, of which the first was launched last:", *lines]),
        f"{useless} `functrans.config.synchronous = True` has each kernel waited for, so that the error names the one "
        "that fails.",
    )


def raise_refused(run: PythonRun, indices: Sequence[Any]) -> None:
    """Raise the error for indices that a recurrence has refused."""
    try:
        run.function(*indices, **run.params)
    except FunctransError as error:
        name_line(error, run.source)
        raise


def raise_out_of_bounds(run: PythonRun, number: int) -> None:
    """Raise the error that the implementation of a primitive raises for an index, with the line it is for.

    The indices are other operands than the first one, or all that there is.
    """
    arrays = [np.broadcast_to(np.zeros((), p.dtype), p.shape) for p in run.sources if isinstance(p, Place)]
    first = min(1, len(arrays) - 1)
    for k, x in enumerate(arrays[first:], first):
        if x.dtype.kind not in "iu" or not np.can_cast(np.min_scalar_type(number), x.dtype):
            continue
        found = np.broadcast_to(np.asarray(number, x.dtype), x.shape)
        try:
            run.function(*arrays[:k], found, *arrays[k + 1 :], **run.params)
        except FunctransError as error:
            name_line(error, run.source)
            raise
    raise OutOfBoundsError(f"Index {number} does not fit its array.", source=run.source)
