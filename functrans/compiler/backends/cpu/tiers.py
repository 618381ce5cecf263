"""How well the functions of a program are compiled: quickly at first, and thoroughly once that pays.

LLVM takes ten times as long to compile thoroughly, and the longer the text the longer. So a function is compiled
thoroughly only when it has done as much work, in all calls together, as makes up for that; at once, if it does as much
in one call. When that is depends on nothing but the number of calls, the estimated work and the length of the text.
"""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ....errors import NativeCompilationWarning
from ....source import current_source
from ...inspection.texts import kernel_text
from ...loopnest import Kernel
from .engine import engine
from .writer import Writer

#: The work after which a function is worth compiling thoroughly, about in nanoseconds, if its text has
PAYS = 500_000
#: so many lines at most; longer ones take longer to compile, line for line.
SHORT_TEXT = 512
#: More calls than there will ever be.
NEVER = 1 << 62


class CompilationFailure(Exception):
    """LLVM refused a kernel."""

    def __init__(self, writer: Writer, text: str):
        shown = kernel_text(writer.subject) if isinstance(writer.subject, Kernel) else writer.subject
        super().__init__(f"LLVM could not compile this kernel:\n\n{shown}\n\nIt says: {text.strip()}")

    def warn(self, consequence: str) -> None:
        """Tell the user, with what comes of it."""
        text, source = NativeCompilationWarning(f"{self}\n\n{consequence}"), current_source()
        if source is None:
            warnings.warn(text, stacklevel=2)
        else:
            warnings.warn_explicit(text, None, source.file, source.line)


class Written(NamedTuple):
    """A function that instructions call.

    Attributes:
        arguments, place: where they look for its address.
        work: what it does in a call of the program, about in nanoseconds.
        is_guess: whether that stands on a guess how long a loop is.
    """

    arguments: array[int]
    place: int
    writer: Writer
    work: int
    is_guess: bool = False

    def repeated(self, times: int, is_guess: bool) -> Written:
        """The same in a loop of so many steps; a product of guesses would be no guess."""
        if is_guess and self.is_guess:
            return self
        return self._replace(work=self.work * times, is_guess=self.is_guess or is_guess)


class Tiers:
    """The functions of a program.

    Attributes:
        calls_left: one number, which counts down how often the program may be called until there are functions worth
            compiling thoroughly; at zero, `improve` is to be called first.
        quick: those that are not yet compiled thoroughly, by their text, and the work of each text.
    """

    def __init__(self, functions: Sequence[Written]):
        self.codes: list[Any] = []  # kept, for somebody may still be running them
        self.calls_left = array("q", [NEVER])
        self.calls = self.waited = 0
        self.functions: dict[str, list[Written]] = {}
        for function in functions:
            self.functions.setdefault(function.writer.text, []).append(function)
        self.quick = {text: sum(f.work for f in group) for text, group in self.functions.items()}
        self._compile([text for text, work in self.quick.items() if work >= self.price(text)], is_quick=False)
        self._compile(list(self.quick), is_quick=True)
        self._wait()

    def improve(self) -> None:
        """Compile thoroughly what has come to be worth it, and what would be after as many calls again."""
        self.calls += self.waited
        self.calls_left[0] = NEVER
        due = [text for text, work in self.quick.items() if 2 * self.calls * work >= self.price(text)]
        try:
            self._compile(due, is_quick=False)
        except CompilationFailure as failure:
            failure.warn("The function stays as it was compiled at first, with fewer optimisations.")
            self.quick.clear()
        finally:
            self._wait()

    def compile_thoroughly(self) -> None:
        """Compile everything thoroughly now."""
        self._compile(list(self.quick), is_quick=False)
        self._wait()

    def price(self, text: str) -> int:
        """The work that makes up for compiling a text thoroughly."""
        return PAYS * max(self.functions[text][0].writer.length, SHORT_TEXT) // SHORT_TEXT

    def _wait(self) -> None:
        """Set how many calls there may be until something is worth compiling thoroughly."""
        needed = min((-(-self.price(text) // max(work, 1)) for text, work in self.quick.items()), default=NEVER)
        self.waited = min(max(needed - self.calls, 1), NEVER)
        self.calls_left[0] = self.waited

    def _compile(self, texts: Iterable[str], is_quick: bool) -> None:
        """Put the addresses of compiled functions where the instructions look for them."""
        groups = [self.functions[text] for text in texts]
        if not groups:
            return
        writers = [group[0].writer for group in groups]
        try:
            codes = engine().compile(writers, is_quick)
        except RuntimeError:
            raise failure_among(writers, is_quick) from None
        self.codes += codes
        for group, code in zip(groups, codes):
            for function in group:
                function.arguments[function.place] = code.address
            if not is_quick:
                self.quick.pop(group[0].writer.text, None)


def failure_among(writers: Sequence[Writer], is_quick: bool) -> CompilationFailure:
    """Which of some functions LLVM refuses, and why."""
    for writer in writers:
        try:
            engine().compile([writer], is_quick)
        except RuntimeError as error:
            return CompilationFailure(writer, str(error))
    return CompilationFailure(writers[0], "each function compiles alone, but not all of them together")
