"""Work on a GPU in a process of its own: a crash, a kernel that hangs or ruins the context ends nobody else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any


def answers(command: Sequence[str], limit: float, environment: Mapping[str, str] | None = None) -> Iterator[Any]:
    """The objects that a process prints, one on a line, and what it says on standard error at the end if it fails.

    The last answer is `{"end": how}`, where `how` is None if the process has ended by itself and well.

    Args:
        limit: after so many seconds it is killed.
    """
    begin = time.monotonic()
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(command, stdout=pipe, stderr=errors, text=True, errors="replace", env=environment) as process,
    ):
        assert process.stdout is not None
        watch = threading.Timer(limit, process.kill)
        watch.start()
        try:
            yield from filter(None, map(answer_in, process.stdout))
            status = process.wait()
        finally:
            watch.cancel()
            process.kill()
        errors.seek(0)
        said = errors.read()[-3000:].strip()
    took = time.monotonic() - begin
    how = f"it was ended after {took:.0f} s" if took >= limit else f"it ended after {took:.0f} s with status {status}"
    yield {"end": f"{how}\n{said}".strip() if status else None}


def finished(command: Sequence[str], limit: float) -> tuple[int, str]:
    """The status of a process, and what it has said. After so many seconds it is killed, with all that it has started.

    Raises:
        subprocess.TimeoutExpired: it was killed.
    """
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=limit)
        except BaseException:
            with suppress(ProcessLookupError):  # it may be at its end, and what it has started not
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, said


def answer_in(line: str) -> dict[str, Any]:
    """The object that a line holds; nothing if that is something else, a warning of a library for one."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
