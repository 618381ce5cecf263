"""Kernels compiled by NVRTC for each generation of GPUs, which need not be there."""

from __future__ import annotations

import getpass
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from functrans.compiler.backends.cuda import nvrtc
from functrans.compiler.backends.cuda.launches import module_text, prelude_for
from functrans.errors import CudaCompilationError

ARCHITECTURES = ("sm_80", "sm_90", "sm_120")
#: Bytes of memory of its own that a thread may have: CUDA's functions, and its division, keep some registers there (at
#: most 64 bytes, as of NVRTC 13.5).
FEW_BYTES = 128
#: What is made of kernels is kept here for the next time.
FOLDER = Path(tempfile.gettempdir()) / f"functrans-emulator-{getpass.getuser()}"
#: How many kernels are compiled together.
TOGETHER = 100
_RESOURCES = re.compile(r"Function properties for (kernel_\d+)\n\D*(\d+) bytes stack frame")


def memory_of_threads(texts: Sequence[str], architecture: str) -> dict[str, int]:
    """The bytes of memory of its own that a thread of each kernel has; kernels have the name NAME."""
    found: dict[str, int] = {}
    for start in range(0, len(texts), TOGETHER):
        functions = {f"kernel_{k}": text for k, text in enumerate(texts[start : start + TOGETHER], start)}
        try:
            image, log = nvrtc.compiled_with_log(module_text(functions), architecture, ("--ptxas-options=-v",))
        except CudaCompilationError as error:
            error.add_note("\n".join(functions.values()))
            raise
        assert image.startswith(b"\x7fELF")
        found.update({texts[int(name.split("_")[1])]: int(size) for name, size in _RESOURCES.findall(log)})
    assert set(found) == set(texts)
    return found


def check_later(texts: Sequence[str]) -> None:
    """Have kernels checked together with others: it takes NVRTC as long to begin with a module as to add five to it."""
    for text in texts:
        _pending.setdefault(text, os.environ.get("PYTEST_CURRENT_TEST", "no test"))


def check_pending() -> None:
    """Check the kernels that were left for later."""
    made_by = dict(_pending)
    _pending.clear()
    check_kernels(list(made_by), made_by)


#: Kernels that are still to be checked, and the tests that they were first made in.
_pending: dict[str, str] = {}


def check_kernels(texts: Sequence[str], made_by: Mapping[str, str] | None = None) -> None:
    """Raise an error unless kernels compile for all generations of GPUs, and their threads need no memory to spill to.

    Those that have been found well are remembered. Without NVRTC there is nothing to check.
    """
    if not nvrtc.is_available():
        return
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    for architecture in ARCHITECTURES:
        marks = {text: FOLDER / f"{_key(text, architecture)}.well" for text in texts}
        for text, size in memory_of_threads([t for t in texts if not marks[t].exists()], architecture).items():
            origin = f"\nfirst made in {made_by[text]}" if made_by else ""
            assert size <= FEW_BYTES, f"{size} bytes for each thread on {architecture}:\n{text}{origin}"
            marks[text].touch()


def _key(text: str, architecture: str) -> str:
    made_by = f"{nvrtc.version()} {nvrtc.OPTIONS} {architecture} {FEW_BYTES}\n{prelude_for([text])}\n"
    return blake2b((made_by + text).encode(), digest_size=16).hexdigest()
