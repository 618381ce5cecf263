"""The machine that the scripts run on."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import Any

import functrans as ft
from functrans.compiler.backends.cuda import nvrtc


def refuse_without_gpu() -> None:
    """End the process with a sentence where no GPU can be used."""
    missing = ft.devices().missing
    if missing is not None:
        print(f"This needs an NVIDIA GPU, and none can be used here. {missing}", file=sys.stderr)
        sys.exit(2)


def device_facts() -> dict[str, Any]:
    """What a record says of the machine."""
    import cupy

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    return {
        "device": properties["name"].decode(),
        "compute capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory": int(properties["totalGlobalMem"]),
        "driver": driver(),
        "CUDA of the driver": runtime.driverGetVersion(),
        "CUDA runtime": runtime.runtimeGetVersion(),
        "NVRTC": ".".join(map(str, nvrtc.version())) if nvrtc.is_available() else None,
        "CuPy": cupy.__version__,
    }


def driver() -> str | None:
    """The version of the driver itself, as its own tool tells it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.split()
    return said[0] if said else None


def slug(name: str) -> str:
    """A name for files."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
