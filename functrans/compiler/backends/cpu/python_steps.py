"""Calls of Python functions from native programs: they get the frame, and take and put arrays there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....core.trace import EVAL, running
from ....errors import FunctransError
from ....source import is_from_library, where
from ...instructions import ObjectPlace, Place, PythonRun


def python_step(run: PythonRun) -> Callable[[Any], None]:
    """What a program calls for a Python function."""

    def value(frame: Any, place: Place | ObjectPlace) -> Any:
        if isinstance(place, ObjectPlace):
            return frame.objects[place.number]
        found = frame.view(place)
        return found if place.shape else found[()]

    def step(frame: Any) -> None:
        try:
            with running(EVAL), np.errstate(all="ignore"):
                outs = run.function(*[value(frame, place) for place in run.sources], **run.params)
        except FunctransError as error:
            if run.source is not None and is_from_library(error):
                error.blame(run.source)
            raise
        except np.linalg.LinAlgError as error:
            if run.source is not None:
                error.add_note(where(run.source))
            raise
        for place, out in zip(run.targets, outs):
            if isinstance(place, ObjectPlace):
                frame.objects[place.number] = out
            else:
                frame.view(place)[...] = out

    return step
