"""Ctrl-C while something runs that would not end otherwise."""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import Timer
from typing import Any

import pytest


def interrupted(run: Callable[[], Any], after: float = 0.1) -> None:
    """Run what only Ctrl-C ends, which comes after some seconds: on a busy machine perhaps before all has begun."""
    timer = Timer(after, signal.raise_signal, [signal.SIGINT])

    def run_on() -> None:
        timer.start()
        run()

    with pytest.raises(KeyboardInterrupt):
        run_on()
    timer.join()
