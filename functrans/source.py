"""Where in the user's code something happened: every equation and every error message says it."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import takewhile
from traceback import walk_tb
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple

_HIDDEN_PACKAGES = ("numpy", "scipy", "optree", "opt_einsum")
#: As it is in code objects: bytecode that was moved has the old name.
_PACKAGE = os.path.dirname(sys._getframe().f_code.co_filename) + os.sep
_internal_files: dict[str, bool] = {}


class Source(NamedTuple):
    """One place in a program: a code object and the index of the instruction that ran.

    The line number is worked out only when somebody asks, so that recording a source costs nothing much.
    """

    code: CodeType | CodeElsewhere
    instruction: int

    @property
    def file(self) -> str:
        return self.code.co_filename

    @property
    def line(self) -> int:
        for start, end, line in self.code.co_lines():
            if start <= self.instruction < end and line is not None:
                return line
        return self.code.co_firstlineno

    @property
    def text(self) -> str:
        """The line of source itself, or nothing where the file cannot be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line} ({self.code.co_name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _elsewhere, (self.file, self.line, self.code.co_name)  # code objects cannot be pickled


class CodeElsewhere(NamedTuple):
    """What a pickle has in place of a code object: one line of it."""

    co_filename: str
    co_firstlineno: int
    co_name: str

    def co_lines(self) -> list[tuple[int, int, int]]:
        return []


@lru_cache(maxsize=4096)
def _elsewhere(file: str, line: int, name: str) -> Source:
    """The place that a pickle speaks of."""
    return Source(CodeElsewhere(file, line, name), 0)


#: The source that equations staged now should carry, while a jaxpr is re-traced; None: look at the stack.
inherited_source: ContextVar[Source | None] = ContextVar("inherited_source", default=None)


def is_internal(filename: str) -> bool:
    """Whether a file belongs to functrans, or to a library that only passes calls on."""
    known = _internal_files.get(filename)
    if known is None:
        known = filename.startswith((_PACKAGE, "<__array_function__", *_hidden_folders()))
        _internal_files[filename] = known
    return known


@cache
def _hidden_folders() -> tuple[str, ...]:
    """Where the libraries are, wherever they were installed to; they are not imported for that."""
    specs = map(find_spec, _HIDDEN_PACKAGES)
    return tuple(folder + os.sep for spec in specs if spec for folder in spec.submodule_search_locations or ())


def current_source() -> Source | None:
    """The source for an equation recorded now: the innermost frame that is not ours, unless one is inherited."""
    inherited = inherited_source.get()
    if inherited is not None:
        return inherited
    frame = user_frame()
    return None if frame is None else Source(frame.f_code, frame.f_lasti)


class one_source:
    """`with one_source():` looks for the source once, for a block in which no code of a user's runs."""

    __slots__ = ("token",)

    def __enter__(self) -> None:
        self.token = inherited_source.set(current_source())

    def __exit__(self, *exc: object) -> None:
        inherited_source.reset(self.token)


def user_frame() -> FrameType | None:
    """The innermost frame that is not ours."""
    known = _internal_files
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        internal = known.get(code.co_filename)
        if internal is None:
            internal = is_internal(code.co_filename)
        if not internal:
            return frame
        frame = frame.f_back
    return None


def library_frames() -> Iterator[FrameType]:
    """What runs between here and the user's code, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame.f_code.co_filename):
        yield frame
        frame = frame.f_back


def where(source: Source | None = None) -> str:
    """A sentence that names a line of the user's code, or an empty string if there is none."""
    source = source or current_source()
    if source is None:
        return ""
    text = source.text
    return f'At {source.file}:{source.line}, in {source.code.co_name}' + (f": `{text}`." if text else ".")


def user_source(error: BaseException) -> Source | None:
    """The innermost line of the user's code that an error was raised under."""
    found, traceback = None, error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        found = found if is_internal(code.co_filename) else Source(code, traceback.tb_lasti)
        traceback = traceback.tb_next
    return found


def library_frames_of(error: BaseException) -> list[FrameType]:
    """What ran of libraries, innermost first, when an error was raised; nothing if the user's own code raised it."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)][::-1]
    return list(takewhile(lambda frame: is_internal(frame.f_code.co_filename), frames))


def is_from_library(error: BaseException) -> bool:
    """Whether no line of the user's code lies between where an error was caught and where it was raised."""
    traceback = error.__traceback__
    while traceback is not None:
        if not is_internal(traceback.tb_frame.f_code.co_filename):
            return False
        traceback = traceback.tb_next
    return True


def user_traceback(traceback: TracebackType | None) -> TracebackType | None:
    """The same traceback without internal frames; FUNCTRANS_FULL_TRACEBACK=1 keeps them all."""
    if os.environ.get("FUNCTRANS_FULL_TRACEBACK", "0") not in ("", "0"):
        return traceback
    kept: list[TracebackType] = []
    while traceback is not None:
        if not is_internal(traceback.tb_frame.f_code.co_filename):
            kept.append(traceback)
        traceback = traceback.tb_next
    chain: TracebackType | None = None
    for entry in reversed(kept):
        chain = TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return chain
