"""What solvers return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..core.trace import Traced
from ..tree_util import register_dataclass

RUNNING: Final = -1
CONVERGED: Final = 0
TOO_MANY_ITERATIONS: Final = 1
STALLED: Final = 2
NOT_A_NUMBER: Final = 3

_MESSAGES: Final = {
    CONVERGED: "Converged.",
    TOO_MANY_ITERATIONS: "Stopped after the largest number of iterations.",
    STALLED: "Stopped: no step made the function smaller, by more than rounding errors.",
    NOT_A_NUMBER: "Stopped: the function or its derivative is infinite or NaN.",
}


@dataclass(repr=False)
class OptimizeResult:
    """What a solver found; a pytree, so that transformed functions may return it.

    Attributes:
        x: the solution.
        fun: the function there.
        jac: its gradient there (`minimize`), else None.
        success: whether the solver is content; status: why it stopped, 0 if content; message: that in words.
        nit: the number of iterations; nfev, njev: of the values and derivatives of the function.
        text: what SciPy said, if it was SciPy.
    """

    x: Any
    fun: Any
    jac: Any
    success: Any
    status: Any
    nit: Any
    nfev: Any
    njev: Any
    text: str | None = None

    @property
    def message(self) -> Any:
        """Why the solver stopped, in words; for many lanes a list."""
        if self.text is not None:
            return self.text
        if isinstance(self.status, Traced):
            return "The status is not known while tracing."
        if np.ndim(self.status):
            return [_MESSAGES[int(status)] for status in np.ravel(self.status)]
        return _MESSAGES[int(self.status)]

    def __repr__(self) -> str:
        names = ("message", "success", "status", "fun", "x", "jac", "nit", "nfev", "njev")
        return "\n".join(f"{name:>8}: {getattr(self, name)}" for name in names)


register_dataclass(OptimizeResult, meta_fields=("text",))
