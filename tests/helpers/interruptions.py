"""Ctrl-C while something runs that would not end otherwise."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest


def interrupted(run: Callable[[], Any], meanwhile: Callable[[], Any] = lambda: time.sleep(0.1)) -> None:
    """Run what only Ctrl-C ends, which comes when something else is done in another thread.

    On a busy machine that may be before all has begun: it is waited for from the start.
    """

    def interrupt() -> None:
        meanwhile()
        signal.raise_signal(signal.SIGINT)

    other = Thread(target=interrupt)

    def run_on() -> None:
        other.start()
        run()

    with pytest.raises(KeyboardInterrupt):
        run_on()
    other.join()
