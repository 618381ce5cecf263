"""Calls of Python functions from native programs: they get the frame, and take and put arrays there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....core.trace import EVAL, running
from ....errors import FunctransError
from ....source import Source, is_from_library, where
from ...instructions import PythonRun
from ...places import ObjectPlace, Place


def python_step(
    run: PythonRun, compute: Callable[[PythonRun, Sequence[Any]], Sequence[Any]]
) -> Callable[[Any], None]:
    """What a program calls for a Python function.

    Args:
        compute: calls the function on operands, where the program runs.
    """

    def value(frame: Any, place: Place | ObjectPlace) -> Any:
        return frame.objects[place.number] if isinstance(place, ObjectPlace) else frame.view(place)

    def step(frame: Any) -> None:
        try:
            outs = compute(run, [value(frame, place) for place in run.sources])
        except (FunctransError, np.linalg.LinAlgError) as error:
            name_line(error, run.source)
            raise
        for place, out in zip(run.targets, outs):
            if isinstance(place, ObjectPlace):
                frame.objects[place.number] = out
            else:
                frame.view(place)[...] = out

    return step


def computed_on_host(run: PythonRun, operands: Sequence[Any]) -> Sequence[Any]:
    """The results of a function on arrays of NumPy; arrays without axes become scalars, as NumPy has them."""
    with running(EVAL), np.errstate(all="ignore"):
        return run.function(*[x[()] if type(x) is np.ndarray and not x.ndim else x for x in operands], **run.params)


def name_line(error: FunctransError | np.linalg.LinAlgError, source: Source | None) -> None:
    """Have an error of a step of a program name the line that the step is for, if that is known.

    What a function of the user raises names its own line.
    """
    if source is None:
        return
    if not isinstance(error, FunctransError):
        error.add_note(where(source))
    elif is_from_library(error):
        error.blame(source)
