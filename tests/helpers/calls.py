"""How much Python a function runs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls_in(run: Callable[[], Any], of_c: bool = False) -> Counter[str]:
    """How often Python functions of each file are called; those of other packages and generated ones as well.

    Args:
        of_c: count functions of C too, for the file of whoever calls them.
    """
    calls: Counter[str] = Counter()
    events = ("call", "c_call") if of_c else ("call",)

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event in events:
            calls[frame.f_code.co_filename] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
    return calls
