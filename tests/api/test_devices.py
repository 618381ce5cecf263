"""What `functrans.devices()` says on machines that lack this or that, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import functrans as ft
from functrans.errors import DeviceUnavailableError

ROOT = Path(__file__).parents[2]
#: A package `cupy` that tells when it is imported, and what its runtime says of the GPUs.
STUB = """
print("cupy was imported")
{first}
class _Error(RuntimeError):
    pass
class runtime:
    CUDARuntimeError = _Error
    @staticmethod
    def getDeviceCount():
        {count}
class cuda:
    runtime = runtime
"""


def said(tmp_path: Path, program: str, stub: str | None) -> str:
    """What a program prints where this is the package `cupy`; None: there is none."""
    if stub is not None:
        (tmp_path / "cupy").mkdir()
        (tmp_path / "cupy" / "__init__.py").write_text(stub)
    else:
        program = f"import sys; sys.modules['cupy'] = None\n{program}"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=600
    )
    return run.stdout


def test_the_package_imports_cupy_only_when_a_gpu_is_asked_for(tmp_path: Path) -> None:
    program = (
        "import numpy as np, functrans as ft\n"
        "ft.jit(ft.grad(lambda x: np.sum(np.sin(x))))(np.ones(3)); ft.device_get(np.ones(2)); ft.device_put(2.0, 'cpu')\n"
        "print('now'); ft.devices()"
    )
    assert said(tmp_path, program, STUB.format(first="", count="return 0")).split("\n")[:2] == ["now", "cupy was imported"]


ASK = """
import functrans as ft
print(ft.devices().missing)
try:
    ft.device_put(1.0, "cuda")
except ft.errors.DeviceUnavailableError as error:
    print(error.why)
"""


@pytest.mark.parametrize(
    ("stub", "sentence"),
    [
        (None, "CuPy is not installed: `pip install 'functrans[cuda13]'`, or [cuda12] for older drivers."),
        (
            STUB.format(first="raise ImportError('libcudart is missing')", count="pass"),
            "CuPy is installed and cannot be imported: libcudart is missing.",
        ),
        (
            STUB.format(first="", count="raise _Error('cudaErrorInsufficientDriver: the driver is too old')"),
            "CuPy is installed, and there is no NVIDIA driver that it can use (cudaErrorInsufficientDriver: the driver is "
            "too old).",
        ),
        (
            STUB.format(first="", count="raise _Error('cudaErrorNoDevice: no CUDA-capable device is detected')"),
            "CuPy is installed, and the NVIDIA driver finds no GPU.",
        ),
        (STUB.format(first="", count="return 0"), "CuPy is installed, and the NVIDIA driver finds no GPU."),
    ],
    ids=["no cupy", "broken cupy", "no driver", "no device", "zero devices"],
)
def test_one_sentence_says_what_is_missing(tmp_path: Path, stub: str | None, sentence: str) -> None:
    lines = [line for line in said(tmp_path, ASK, stub).splitlines() if line != "cupy was imported"]
    assert lines == [sentence, sentence]


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "tpu:0", ""])
def test_devices_that_do_not_exist(device: str) -> None:
    with pytest.raises(DeviceUnavailableError, match="There is no device"):
        ft.device_put(1.0, device)


def test_devices_are_shown_as_text() -> None:
    found = ft.devices()
    assert repr(found).startswith("cpu: ")
    assert str(found[0]) == "cpu"
    assert (found.missing is None) == (len(found) > 1)
    assert (found.missing is None) or f"cuda: none. {found.missing}" in repr(found)
