"""Launches of kernels: what programs tell the driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple


def _text(name: str) -> str:
    """A file beside this one, which may be in an archive."""
    return __loader__.get_data(str(Path(__file__).with_name(name))).decode()


#: What all kernels are written with, in CUDA C++, and what some are: those that name the namespace.
PRELUDE: Final = _text("prelude.cuh")
DECOMPOSITIONS: Final = _text("decompositions.cuh")
#: What a kernel is called in its own text, until it has a name in a module.
NAME = "KERNEL_NAME"


class Pointer(NamedTuple):
    """An address: that of a slot, and so many bytes more."""

    slot: int
    offset: int


#: A number of at most eight bytes, by its bits, or an address.
Argument = int | Pointer

#: Bytes of shared memory that the functions of a kernel declare at most, each its own: CUDA has 48 KiB for a kernel, of
#: which functions other than reductions declare some.
MOST_DECLARED: Final = 40 << 10


class Launch(NamedTuple):
    """A kernel for some threads.

    Attributes:
        source: a function of the name NAME in CUDA C++, which stands on the prelude.
        grid, block: how many blocks there are, and threads of each.
        shared: bytes of shared memory that a block has beside what its text says.
        about: what the kernel does, for people.
        scratch: bytes of memory that the stages of one reduction share.
        declared: bytes of shared memory that its text declares for what is reduced, at most.
    """

    source: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int
    arguments: tuple[Argument, ...]
    about: str = ""
    scratch: int = 0
    declared: int = 0

    @property
    def threads_text(self) -> str:
        """How many threads there are, for people."""
        (x, y, _), (threads, *_) = self.grid, self.block
        blocks = f"{x} x {y} blocks" if y > 1 else "1 block" if x == 1 else f"{x} blocks"
        memory = f" and {self.shared} bytes of shared memory" if self.shared else ""
        return f"{blocks} of {'1 thread' if threads == 1 else f'{threads} threads'}{memory}"


def declared_by(launches: Iterable[Launch]) -> int:
    """The bytes of shared memory that the texts of launches declare, if they are functions of one kernel."""
    return sum({launch.source: launch.declared for launch in launches}.values())


def prelude_for(functions: Iterable[str]) -> str:
    """What functions are written with."""
    needs_more = any("decompositions::" in text for text in functions)
    return f"{PRELUDE}\n{DECOMPOSITIONS}" if needs_more else PRELUDE


def module_text(functions: Mapping[str, str]) -> str:
    """A module of functions, given by their names there."""
    texts = (text.replace(NAME, name) for name, text in functions.items())
    return "\n".join([prelude_for(functions.values()), *texts])


def parameters_of(source: str) -> list[str]:
    """The parameters of a kernel, as its text has them."""
    _, _, rest = source.partition(f" {NAME}(")
    inside, _, _ = rest.partition(") {")
    return [" ".join(part.split()) for part in inside.split(",")] if inside.strip() else []
