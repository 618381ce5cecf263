"""Kernels compiled by NVRTC for each generation of GPUs, which need not be there."""

from __future__ import annotations

import getpass
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

from functrans.compiler.backends.cuda import nvrtc
from functrans.compiler.backends.cuda.launches import module_text, prelude_for
from functrans.errors import CudaCompilationError

ARCHITECTURES = ("sm_80", "sm_90", "sm_120")
#: Bytes of memory of its own that a thread may have: CUDA's functions, and its division, keep some registers there (at
#: most 64 bytes, as of NVRTC 13.5).
FEW_BYTES = 128
#: Leaves out most of what the compiler does to make kernels fast, and three quarters of its time.
QUICKLY = ("--Ofast-compile=max",)
#: What is made of kernels is kept here for the next time.
FOLDER = Path(tempfile.gettempdir()) / f"functrans-emulator-{getpass.getuser()}"
#: How many kernels are compiled together.
TOGETHER = 100
_RESOURCES = re.compile(r"Function properties for (kernel_\d+)\n\D*(\d+) bytes stack frame")


def memory_of_threads(texts: Sequence[str], architecture: str, options: tuple[str, ...] = ()) -> dict[str, int]:
    """The bytes of memory of its own that a thread of each kernel has; kernels have the name NAME."""
    found: dict[str, int] = {}
    for start in range(0, len(texts), TOGETHER):
        functions = {f"kernel_{k}": text for k, text in enumerate(texts[start : start + TOGETHER], start)}
        try:
            image, log = nvrtc.compiled_with_log(module_text(functions), architecture, ("--ptxas-options=-v", *options))
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


def check_pending(thoroughly: bool) -> None:
    """Check the kernels that were left for later."""
    made_by = dict(_pending)
    _pending.clear()
    check_kernels(list(made_by), made_by, thoroughly)


#: Kernels that are still to be checked, and the tests that they were first made in.
_pending: dict[str, str] = {}


def check_kernels(texts: Sequence[str], made_by: Mapping[str, str] | None = None, thoroughly: bool = True) -> None:
    """Raise an error unless kernels compile for all generations of GPUs, and their threads need no memory to spill to.

    Those that have been found well are remembered. Without NVRTC there is nothing to check.

    Args:
        thoroughly: whether memory is looked at for each generation. Otherwise that is done for one, which depends on the
            text alone: that a kernel compiles for the others is found out in a quarter of the time.
    """
    if not nvrtc.is_available():
        return
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    for k, architecture in enumerate(ARCHITECTURES):
        whole = [t for t in texts if thoroughly or crc32(t.encode()) % len(ARCHITECTURES) == k]
        _check(whole, architecture, (), made_by or {})
        _check([t for t in texts if t not in whole], architecture, QUICKLY, made_by or {})


def _check(texts: Sequence[str], architecture: str, options: tuple[str, ...], made_by: Mapping[str, str]) -> None:
    marks = {text: FOLDER / f"{_key(text, architecture, options)}.well" for text in texts}
    missing = [text for text in texts if not marks[text].exists()]
    for text, size in memory_of_threads(missing, architecture, options).items():
        origin = f"\nfirst made in {made_by[text]}" if text in made_by else ""
        found = f"{size} bytes for each thread on {architecture}:\n{text}{origin}"
        assert size <= FEW_BYTES or options == QUICKLY, found
        marks[text].touch()


def _key(text: str, architecture: str, options: tuple[str, ...]) -> str:
    options = (*nvrtc.OPTIONS, *options)
    made_by = f"{nvrtc.version()} {options} {architecture} {FEW_BYTES}\n{prelude_for([text])}\n"
    return blake2b((made_by + text).encode(), digest_size=16).hexdigest()
