"""The words of low-level functions, which stand in the runtime: Python that is translated to LLVM IR, and never run.

A value is a 64-bit number, which may be an address, a float, or a truth value. `x[i]` is the i-th 64-bit number in
memory from address x on, and `x[i:]` the address of it. A name that is no variable is a number known beforehand, or
another such function; what is called and is a variable is the address of a function. There are `if`, `while`, `for ...
in range`, `break`, `continue` and `return`; numbers are signed, `//` and `>>` are for numbers that are not negative.
Floats have `+`, `-`, `*`, `/`, `**` and comparisons, with each other only: `float(n)` is that of a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Words:
    """The address of 64-bit numbers."""

    def __getitem__(self, index: int | slice) -> Any: ...
    def __setitem__(self, index: int, value: Any) -> None: ...
    def __add__(self, offset: int) -> Any: ...


#: The address of nothing.
null: Any = 0


def exported(function: F) -> F:
    """A function whose address is wanted; others are only called by those."""
    function.is_exported = True
    return function


def external(function: F) -> F:
    """The declaration of a function of C. `CInt` and `float` are types of C, all else is a 64-bit number."""
    function.is_external = True
    return function


def pure(function: F) -> F:
    """A function that does nothing but to compute its result."""
    function.is_pure = True
    return function


#: C's int, a number of 32 bits.
CInt = int


class Symbol(str):
    """The name of an address that is another one in each process: who links the functions knows it."""

    __slots__ = ()


def address(name: str) -> Any:
    """An address that is known when functions are linked."""
    return Symbol(name)


# ---- what is not a function but an operation


def room(words: int) -> Any:
    """The address of so many numbers, until the function returns."""


def copy(target: Any, source: Any, words: int) -> None:
    """Copy so many numbers."""


def is_below(x: int, y: int) -> bool:
    """Whether x is less than y, as numbers without signs."""


def byte(address: Any) -> int:
    """The byte at an address, without a sign."""


def int32(address: Any) -> int:
    """The 32-bit number at an address."""


def set_int32(address: Any, value: int) -> None:
    """Put the low half of a number there."""


def float64(address: Any) -> float:
    """The float at an address."""


def float32(address: Any) -> float:
    """The 32-bit float at an address."""


def floor(x: float) -> float:
    """The largest whole float that is not above x."""


def absolute(x: float) -> float:
    """The size of x."""


def c_int(value: int) -> CInt:
    """The low half of a number as C's int, for functions that are known by their address."""


def pause() -> None:
    """Tell the processor that a loop waits."""


def atomic_load(address: Any) -> int:
    """Read what other threads write, in an order that all agree on. So are the others but for the relaxed ones."""


def atomic_store(address: Any, value: int) -> None:
    """Write what other threads read."""


def atomic_add(address: Any, value: int) -> int:
    """Add to a number; what it was."""


def atomic_exchange(address: Any, value: int) -> int:
    """Write a number; what it was."""


def atomic_replace(address: Any, expected: int, value: int) -> bool:
    """Write a number if it is what was expected; whether it was."""


def relaxed_load(address: Any) -> int:
    """Read what other threads write, in no order."""


def relaxed_store(address: Any, value: int) -> None:
    """Write what other threads read, in no order."""
