"""Settings: limits and choices that belong to no single call."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

_DEFAULTS: Mapping[str, Any] = {
    "max_paths": 16, "backend": "cpu", "threads": None, "debug_nans": False, "disable_jit": False,
    "deterministic": False, "synchronous": False, "cuda_graphs": True,
    "disk_cache": os.environ.get("FUNCTRANS_CACHE", "1") != "0", "disk_cache_size": 256,
}  # fmt: skip
_BACKENDS = ("cpu", "interpreter")

#: What enclosing `config.using(...)` blocks have set, for this thread or task.
_overrides: ContextVar[Mapping[str, Any]] = ContextVar("config_overrides", default=MappingProxyType({}))


class Changes:
    """What tells those who remember something that depends on settings whether these have changed.

    Attributes:
        numbers: both counts, where machine code reads them.
        debugging: how often, globally and by `using` blocks under way, `debug_nans` or `disable_jit` is set; if not at
            all, which costs nothing to ask, neither is set here.
    """

    __slots__ = ("debugging", "numbers")

    def __init__(self) -> None:
        self.numbers = array("q", [0, 0])
        self.debugging = 0

    @property
    def count(self) -> int:
        """How many times a setting was changed."""
        return self.numbers[0]

    @property
    def blocks(self) -> int:
        """How many `using` blocks are under way, in any thread."""
        return self.numbers[1]

    def note(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Settings were changed."""
        self.numbers[0] += 1
        more = _debugging(new) - _debugging(old)
        self.debugging += more  # without a call in between, in which another thread might count

    def enter(self, settings: Mapping[str, Any]) -> None:
        """A `using` block begins."""
        self.note({}, settings)
        self.numbers[1] += 1

    def leave(self, settings: Mapping[str, Any]) -> None:
        """A `using` block ends."""
        less = _debugging(settings)
        self.debugging -= less
        self.numbers[1] -= 1


def _debugging(settings: Mapping[str, Any]) -> int:
    return int(bool(settings.get("debug_nans")) or bool(settings.get("disable_jit")))


changes = Changes()


class Config:
    """The settings, as attributes. Assigning to one sets it everywhere; `using` sets it for a block of code.

    Attributes:
        max_paths: along how many paths a function is traced at most whose Python `if`s depend on traced values
            (docs/python_if.md). 16 to begin with.
        backend: what runs jitted programs: "cpu", native code, or "interpreter", NumPy call by call.
        debug_nans: whether the first operation that gives NaN raises NaNError, naming its line (`debug_nans`). False to
            begin with.
        disable_jit: whether jitted functions, loops and branches run as Python (`disable_jit`). False to begin with.
        threads: how many threads a program uses for large arrays; None, to begin with, for as many as there are
            processors that the process may run on.
        deterministic: whether programs on a GPU give the same bits each time: sums of floats at computed indices are
            then done as sums of integers or in order, which takes longer. False to begin with.
        synchronous: whether programs on a GPU wait for each kernel, so that the error for one that fails names it.
            False to begin with.
        cuda_graphs: whether launches in a row become CUDA graphs when they are seen again. True to begin with.
        disk_cache: whether machine code is kept on disk for the next process (docs/caching.md). True to begin with,
            unless the environment variable FUNCTRANS_CACHE is 0.
        disk_cache_size: the room for it in MiB, 256 to begin with.

    Example:
        >>> import functrans as ft
        >>> ft.config.max_paths
        16
        >>> with ft.config.using(max_paths=64):
        ...     ft.config.max_paths
        64
    """

    max_paths: int
    backend: str
    threads: int | None
    debug_nans: bool
    disable_jit: bool
    deterministic: bool
    synchronous: bool
    cuda_graphs: bool
    disk_cache: bool
    disk_cache_size: int

    def __init__(self) -> None:
        vars(self).update(_values=dict(_DEFAULTS))

    def __getattr__(self, name: str) -> Any:
        overrides = _overrides.get()
        if name in overrides:
            return overrides[name]
        try:
            return vars(self)["_values"][name]
        except KeyError:
            raise AttributeError(_unknown(name)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        values = vars(self)["_values"]
        old = {name: values.get(name)}
        values[name] = _checked(name, value)
        changes.note(old, {name: value})

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_DEFAULTS]

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={getattr(self, name)!r}' for name in _DEFAULTS)})"

    @contextmanager
    def using(self, **settings: Any) -> Iterator[Config]:
        """Settings for a `with` block, in this thread or task only.

        Raises:
            AttributeError: there is no setting of this name.
            ValueError: the value is none of those that the setting can have.
        """
        checked = {name: _checked(name, value) for name, value in settings.items()}
        token = _overrides.set({**_overrides.get(), **checked})
        changes.enter(checked)
        try:
            yield self
        finally:
            changes.leave(checked)
            _overrides.reset(token)


def _checked(name: str, value: Any) -> Any:
    if name not in _DEFAULTS:
        raise AttributeError(_unknown(name))
    if name == "backend":
        if value not in _BACKENDS:
            raise ValueError(f"config.backend is one of {', '.join(map(repr, _BACKENDS))}, not {value!r}")
        return value
    if isinstance(_DEFAULTS[name], bool):
        if not isinstance(value, bool):
            raise ValueError(f"config.{name} is True or False, not {value!r}")
        return value
    if name == "threads" and value is None:
        return value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"config.{name} is a positive integer, not {value!r}")
    return value


def _unknown(name: str) -> str:
    return (
        f"there is no setting {name!r}; there are {', '.join(_DEFAULTS)}, set by `config.threads = 2` or, for a while, "
        "`with config.using(threads=2):`"
    )


config = Config()


def debug_nans(enable: bool = True) -> AbstractContextManager[Config]:
    """A `with` block in which the first operation that gives NaN, of operands without, raises and names its line.

    Jitted functions run as they are, and once more step by step if a result has NaN or they fail; what has effects has
    them twice then. Outside of transformations NumPy runs by itself: `np.errstate(invalid="raise")` is for that.
    `config.debug_nans = True` sets it everywhere.

    Args:
        enable: False switches it off for the block.

    Example:
        >>> import numpy as np, functrans as ft
        >>> @ft.jit
        ... def f(x):
        ...     y = x - 2.0
        ...     return np.sum(np.log(y))
        >>> with ft.debug_nans():
        ...     f(np.array([3.0, 1.0]))
        Traceback (most recent call last):
        functrans.errors.NaNError: `log` gave NaN of -1.0, at element (1,) of f64[2], and no operand has NaN.
        At <doctest functrans.settings.debug_nans[1]>:4, in f: `return np.sum(np.log(y))`.
        `config.debug_nans` is set: the first operation that does so is an error.
        Keep such operands away from it: np.where on what it is given, not on what it returns.
    """
    return config.using(debug_nans=enable)


def disable_jit(disable: bool = True) -> AbstractContextManager[Config]:
    """A `with` block in which jitted functions, loops and branches run as Python, to print, break and step in them.

    Values are then concrete, unless a transformation under way (`vmap`) makes them tracers. A loop or branch that
    depends on what such a transformation does not know is traced as usual. `config.disable_jit = True` sets it
    everywhere.

    Args:
        disable: False has programs traced and compiled as usual in the block.

    Example:
        >>> import numpy as np, functrans as ft
        >>> @ft.jit
        ... def f(x):
        ...     print(x)
        ...     return 2 * x
        >>> with ft.disable_jit():
        ...     y = f(np.array([1.0, 2.0]))
        [1. 2.]
    """
    return config.using(disable_jit=disable)


def runs_python() -> bool:
    """Whether jitted functions, loops and branches are to run as Python."""
    return changes.debugging > 0 and config.disable_jit


def processors() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count() -> int:
    """How many threads to use: as many as `config.threads` says, and no more than there are processors."""
    return min(config.threads or processors(), processors())
