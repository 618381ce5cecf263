"""Every example of every primitive as a function of flat arguments, with a readable name."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import functrans
from functrans.core.primitive import Primitive, registry
from functrans.core.trace import typeof
from functrans.tree import leaves
from tests.helpers.examples import Example
from tests.helpers.oracles import is_differentiable, precision

EXAMPLES = Path(__file__).parents[1] / "primitives"


class Case(NamedTuple):
    """One example, ready to run.

    Attributes:
        function: takes `args`, returns a list.
        direct: whether the function is the primitive itself, and no program around it.
    """

    name: str
    primitive: Primitive
    function: Callable[..., Sequence[Any]]
    args: tuple[Any, ...]
    smooth: bool
    tolerance: float
    direct: bool

    @property
    def is_differentiable(self) -> bool:
        """Whether derivatives can be held against differences."""
        return self.smooth and any(map(is_differentiable, self.args))

    @property
    def is_double(self) -> bool:
        """Whether difference quotients are accurate."""
        return all(precision(x) == 8 for x in self.args if is_differentiable(x))


class ControlExample(NamedTuple):
    """A function around a primitive that holds programs or speaks of named axes.

    Attributes:
        primitive: its name in the registry; running or differentiating the function must use it.
        function: takes `args`, returns an array or a pytree of them.
    """

    primitive: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    smooth: bool = True
    tolerance: float = 1e-5


def import_all_primitives() -> None:
    """Import every module of the package, so that every primitive is registered."""
    for module in pkgutil.walk_packages(functrans.__path__, "functrans."):
        if ".backends." not in module.name:
            importlib.import_module(module.name)


@cache
def all_cases() -> tuple[Case, ...]:
    """The examples in `tests/primitives/examples_*.py`, in the order of the files."""
    import_all_primitives()
    cases: list[Case] = []
    seen: Counter[str] = Counter()
    for path in sorted(EXAMPLES.glob("examples_*.py")):
        for example in importlib.import_module(f"tests.primitives.{path.stem}").EXAMPLES:
            name = _name(example)
            seen[name] += 1
            cases.append(_case(example, name if seen[name] == 1 else f"{name}#{seen[name]}"))
    return tuple(cases)


def _case(example: Example | ControlExample, name: str) -> Case:
    primitive = registry[example.primitive]
    if isinstance(example, ControlExample):
        return Case(
            name, primitive, _flat(example.function), example.args, example.smooth, example.tolerance, direct=False
        )
    args = tuple(_frozen(x) for x in example.args)
    params = dict(example.params)
    return Case(
        name, primitive, lambda *xs: primitive.bind(*xs, **params), args, example.smooth, example.tolerance, True
    )


@cache
def _flat(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    return lambda *xs: leaves(function(*xs))


def _frozen(x: Any) -> Any:
    """An operand that nobody can write to."""
    if isinstance(x, np.ndarray):
        x = x.copy()
        x.flags.writeable = False
    return x


def _name(example: Example | ControlExample) -> str:
    types = ",".join(str(typeof(x)) for x in example.args)
    if isinstance(example, ControlExample):
        return f"{example.primitive}-{example.function.__name__}({types})"
    params = ",".join(f"{key}={_short(value)}" for key, value in example.params.items())
    return f"{example.primitive}({types})" + (f"[{params}]" if params else "")


def _short(value: Any) -> str:
    if isinstance(value, np.dtype):
        return value.name
    text = str(value).replace(" ", "")
    return text if len(text) <= 40 else text[:37] + "..."
