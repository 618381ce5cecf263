"""Both backends on one program: the oracle, and native code compiled quickly, thoroughly, and divided among threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import functrans as ft
from functrans.compiler.assembly import Assembled
from functrans.compiler.backends.cpu import encoding, native, tiers
from functrans.compiler.backends.interpreter import InterpretedProgram
from functrans.compiler.program import fused
from functrans.core.jaxpr import Jaxpr
from functrans.settings import config
from tests.helpers.limits import changed

#: How native code is made: what the limits of the backend are set to.
TIERS: dict[str, list[tuple[Any, str, int]]] = {
    "quick": [(tiers, "PAYS", 1 << 60)],
    "thorough": [(tiers, "PAYS", -1)],
    "threads": [(tiers, "PAYS", -1), (encoding, "WORTH_THREADS", -1), (encoding, "WORTH_WAKING", -1)],
}
#: The same for what is compiled quickly at first and thoroughly after some calls, with threads for a part of it.
LATER: list[tuple[Any, str, int]] = [
    (tiers, "PAYS", 1000), (encoding, "WORTH_THREADS", 2000), (encoding, "WORTH_WAKING", 3000),
]  # fmt: skip


@contextmanager
def tier(name: str) -> Iterator[None]:
    """Programs that are compiled in this block are compiled so."""
    with changed(TIERS[name]), config.using(threads=2 if name == "threads" else 1):
        yield


@contextmanager
def later() -> Iterator[None]:
    """Functions that are called in this block again and again go all the ways that there are for users."""
    before, config.threads = config.threads, 2  # in a block of `using` none would take the quick way in
    try:
        with changed(LATER):
            yield
    finally:
        config.threads = before


def staged(function: Callable[..., Any], args: Sequence[Any]) -> Jaxpr:
    """The program of a function, as traced."""
    with np.errstate(all="ignore"):
        return ft.jit(function).lower(*args).jaxpr


def interpreted(jaxpr: Jaxpr, args: Sequence[Any]) -> list[Any]:
    """What the oracle makes of a program, not simplified. The byte order of results is that of the machine."""
    with np.errstate(all="ignore"), config.using(backend="interpreter"):
        return in_order(InterpretedProgram(jaxpr)(*args))


def natively(
    jaxpr: Jaxpr, args: Sequence[Any], name: str = "thorough", donated: tuple[int, ...] = ()
) -> list[Any]:
    """What native code makes of it, compiled anew. Donated arguments are copied first, to arrays that may be given away.

    Raises:
        AssertionError: an argument was overwritten that was not donated.
    """
    with tier(name):
        program = native.NativeProgram(jaxpr, fused, donated)
        before = list(map(_bytes, args))
        for _ in range(2 if donated else 1):  # twice, since what a run leaves behind is there in the next one
            results = in_order(program(*[np.array(x) if i in donated else x for i, x in enumerate(args)]))
        assert list(map(_bytes, args)) == before
        return results


def _bytes(x: Any) -> Any:
    return x.tobytes() if isinstance(x, np.ndarray) else None


def in_order(results: Sequence[Any]) -> list[Any]:
    """Results with arrays in the byte order of the machine; that of an argument may be another."""
    is_array = [isinstance(y, np.ndarray | np.generic) for y in results]
    return [np.asarray(y).astype(y.dtype.newbyteorder("=")) if is_ else y for y, is_ in zip(results, is_array)]


def assembled(function: Any, *args: Any) -> Assembled:
    """The instructions of a function."""
    program = native.NativeProgram(staged(function, args), fused)
    with tier("quick"):
        program(*args)
    (binding,) = program.bindings.values()
    return binding.assembled
