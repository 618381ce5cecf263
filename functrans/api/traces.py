"""Traces of functions, kept with the functions themselves: they live as long as these, and no longer."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakSet, ref

_ATTRIBUTE = "_functrans_traces"

#: All that are alive.
_everywhere: WeakSet[Traces] = WeakSet()


class Traces:
    """What was traced of one function.

    Attributes:
        tables: for each choice of options, the traces by signature.
    """

    __slots__ = ("__weakref__", "owner", "surroundings", "tables")

    def __init__(self, fun: FunctionType | None = None):
        self.owner = (lambda: None) if fun is None else ref(fun)
        self.surroundings = [] if fun is None else _surroundings(fun)
        self.tables: dict[Hashable, dict[Any, Any]] = {}
        _everywhere.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Traces, ())  # a function may be pickled with its attributes; its traces stay here

    def is_of(self, fun: FunctionType) -> bool:
        """Whether these are traces of a function (attributes are copied by `functools.wraps`) as it is now."""
        now = _surroundings(fun)
        return self.owner() is fun and len(now) == len(self.surroundings) and all(map(_is, now, self.surroundings))


def traces_of(fun: Callable[..., Any], options: Hashable) -> tuple[Traces, dict[Any, Any]]:
    """The traces of a function under some options, by signature, and what keeps them.

    All that are made of one function object share them, unless something that it uses was replaced meanwhile: its code,
    its defaults, a variable of an enclosing function or of its module. Other callables have traces of their own.
    """
    if type(fun) is not FunctionType:
        traces = Traces()
    else:
        found = vars(fun).get(_ATTRIBUTE)
        traces = found if isinstance(found, Traces) and found.is_of(fun) else Traces(fun)
        vars(fun)[_ATTRIBUTE] = traces
    return traces, traces.tables.setdefault(options, {})


def clear_traces() -> None:
    """Forget all traces."""
    for traces in list(_everywhere):
        for table in list(traces.tables.values()):
            table.clear()


def _is(x: Any, y: Any) -> bool:
    return x is y


def _surroundings(fun: FunctionType) -> list[Any]:
    """What a function looks up when it runs, but for the attributes of these things."""
    code = fun.__code__
    variables = map(fun.__globals__.get, _names(code))
    return [code, fun.__defaults__, fun.__kwdefaults__, *map(_content, fun.__closure__ or ()), *variables]


@lru_cache(maxsize=4096)
def _names(code: CodeType) -> tuple[str, ...]:
    """The names of variables of modules, and of attributes, in code and the code of functions inside."""
    inner = [name for part in code.co_consts if isinstance(part, CodeType) for name in _names(part)]
    return tuple(dict.fromkeys([*code.co_names, *inner]))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it has none yet
        return None
