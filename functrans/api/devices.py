"""Devices: what there is, and copies between the host and GPUs, which nothing else makes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..compiler.program import all_is_done, fault_of_kernel
from ..core.devices import cupy, is_on_device
from ..core.trace import Traced, as_supported_array
from ..errors import DeviceUnavailableError, TracerConversionError
from .arguments import hides_frames


class Device(NamedTuple):
    """A place for arrays: the host ("cpu") or a GPU ("cuda").

    Attributes:
        kind: "cpu" or "cuda".
        number: which one of its kind.
        name: what its maker calls it.
        memory: its bytes of memory, 0 if that is not known.
    """

    kind: str
    number: int
    name: str
    memory: int

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.number}"


class Devices(tuple[Device, ...]):
    """All devices there are.

    Attributes:
        missing: what is missing for the use of GPUs, in a sentence; None if there are some.
    """

    missing: str | None

    def __new__(cls, found: Iterable[Device], missing: str | None) -> Devices:
        devices = super().__new__(cls, found)
        devices.missing = missing
        return devices

    def __repr__(self) -> str:
        lines = [f"{device}: {device.name}" for device in self]
        return "\n".join(lines if self.missing is None else [*lines, f"cuda: none. {self.missing}"])


_HOST = Device("cpu", 0, "NumPy arrays in the memory of the host", 0)


def devices() -> Devices:
    """The devices there are; where no GPU can be used, what is missing.

    Example:
        >>> import functrans as ft
        >>> ft.devices()[0].kind
        'cpu'
        >>> all(device.kind == "cuda" for device in ft.devices()[1:])
        True
    """
    missing, count = _gpus()
    return Devices([_HOST, *map(_gpu, range(count))], missing)


@hides_frames
def device_put(x: Any, device: str | Device = "cuda") -> Any:
    """A copy of the arrays of a pytree on a device; those that are there already are returned as they are.

    Args:
        x: a pytree of arrays, wherever they are, and numbers. Python's numbers stay what they are: they are at home
            everywhere.
        device: "cpu", "cuda", "cuda:1" and so on, or an entry of `functrans.devices()`.

    Raises:
        DeviceUnavailableError: there is no such device.
        UnsupportedDtypeError: something in the tree is no array.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.device_put({"w": np.ones(2), "n": 3}, "cpu")
        {'w': array([1., 1.]), 'n': 3}
    """
    kind, number = _place(device)
    if kind == "cpu":
        return device_get(x)
    with cupy().cuda.Device(number):
        return tree.map(lambda leaf: _moved(leaf, number), x)


@hides_frames
def device_get(x: Any) -> Any:
    """A copy of the arrays of a pytree on the host; NumPy's arrays and numbers are returned as they are.

    It waits until the arrays have been computed.

    Example:
        >>> import functrans as ft
        >>> ft.device_get([1.0, 2])
        [1.0, 2]
    """
    return tree.map(_fetched, x)


@hides_frames
def block_until_ready(x: Any) -> Any:
    """Wait until the arrays of a pytree have been computed, and return it. What runs on the host is ready at once.

    Work on a GPU is begun by a call and not waited for, so that times are measured with this.

    Raises:
        DeviceError: a kernel has failed.

    Example:
        >>> import functrans as ft
        >>> ft.block_until_ready((1.0, 2.0))
        (1.0, 2.0)
    """
    for gpu in {leaf.device.id: leaf.device for leaf in tree.leaves(x) if is_on_device(leaf)}.values():
        try:
            gpu.synchronize()
        except RuntimeError as error:
            raise fault_of_kernel(error, gpu.id)  # noqa: B904
        all_is_done(gpu.id)
    return x


def _moved(leaf: Any, number: int) -> Any:
    _check_known(leaf, "device_put")
    leaf = as_supported_array(leaf)
    if isinstance(leaf, (np.ndarray, np.generic)) or (is_on_device(leaf) and leaf.device.id != number):
        return cupy().array(leaf)
    return leaf


def _fetched(leaf: Any) -> Any:
    _check_known(leaf, "device_get")
    if not is_on_device(leaf):
        return leaf
    try:
        return leaf.get()[()]
    except RuntimeError as error:
        raise fault_of_kernel(error, leaf.device.id)  # noqa: B904


def _check_known(leaf: Any, name: str) -> None:
    if isinstance(leaf, Traced):
        raise TracerConversionError(
            f"`{name}` was called with a traced array of type {leaf.aval}.",
            "A traced function runs where its arguments are.",
            "Copy the arguments before the function is called, or its results afterwards.",
        )


def _place(device: str | Device) -> tuple[str, int]:
    """Kind and number of a device that is there."""
    kind, _, number = str(device).partition(":")
    if kind not in ("cpu", "cuda") or not (number.isdecimal() or not number):
        raise DeviceUnavailableError(
            f"There is no device {str(device)!r}.",
            "Devices are called 'cpu', 'cuda' (the first GPU), 'cuda:1' and so on.",
            "functrans.devices() tells which there are.",
        )
    place = kind, int(number or 0)
    if kind == "cuda":
        check_gpu(place[1])
    return place


def check_gpu(number: int = 0) -> None:
    """Raise DeviceUnavailableError unless there is a GPU of this number."""
    missing, count = _gpus()
    if number < count:
        return
    raise DeviceUnavailableError(
        f"The device 'cuda:{number}' was asked for, which is not there.",
        missing or f"There {'is one GPU' if count == 1 else f'are {count} GPUs'}, counted from 0.",
        "functrans.devices() tells what is there. Programs can be looked at without a GPU: "
        "`jit(f).lower(x, backend='cuda')`.",
    )


def _gpus() -> tuple[str | None, int]:
    """What is missing for the use of GPUs, or None, and how many there are."""
    try:
        runtime = cupy().cuda.runtime
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "cupy":
            return "CuPy is not installed: `pip install 'functrans[cuda13]'`, or [cuda12] for older drivers.", 0
        return f"CuPy is installed and cannot be imported: {_first_line(error)}.", 0
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        if "NoDevice" in str(error):
            return "CuPy is installed, and the NVIDIA driver finds no GPU.", 0
        return f"CuPy is installed, and there is no NVIDIA driver that it can use ({_first_line(error)}).", 0
    return (None, count) if count else ("CuPy is installed, and the NVIDIA driver finds no GPU.", 0)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _gpu(number: int) -> Device:
    properties = cupy().cuda.runtime.getDeviceProperties(number)
    return Device("cuda", number, properties["name"].decode(), int(properties["totalGlobalMem"]))
