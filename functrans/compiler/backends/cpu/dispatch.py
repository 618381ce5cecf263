"""How functions are called that have quick ways in: by a method in machine code, which asks these one after the other.

Python takes a third of a microsecond to find out that settings are as they were, that no trace is under way, and to
hand on the arguments: as long as all the rest of a call.
"""

from __future__ import annotations

import sys
from typing import Any

from ....core.trace import EVAL, current_trace
from ....settings import changes
from .engine import once
from .functions import Method, call_method, descriptor
from .runtime import CALL

#: The attribute with the quick ways, and the method for what none of them takes.
_QUICK, _GENERAL = sys.intern("_quick"), sys.intern("_call")


@once
def _method() -> Method:
    addresses = {
        "QUICK": id(_QUICK), "GENERAL": id(_GENERAL), "CURRENT_TRACE": id(current_trace), "EVAL": id(EVAL),
        "CHANGES": changes.numbers.buffer_info()[0], "NOT_IMPLEMENTED": id(NotImplemented),
    }  # fmt: skip
    return call_method(CALL, addresses)


def native_call(owner: type) -> Any:
    """The method `__call__` of a class whose instances have `_quick` and `_call` (runtime/dispatch.py)."""
    return descriptor(_method(), owner)
