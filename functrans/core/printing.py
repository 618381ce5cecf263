"""The text of a jaxpr."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, product
from string import ascii_lowercase
from typing import Any

import numpy as np

from .avals import ShapedArray, short_dtype
from .jaxpr import Atom, Eqn, Jaxpr, Literal, Var

_INDENT = "    "


def _names() -> Iterator[str]:
    for length in count(1):
        for letters in product(ascii_lowercase, repeat=length):
            yield "".join(letters)


class _Printer:
    """Names variables in the order in which they are met; inner jaxprs go on with the same names."""

    def __init__(self, sources: bool) -> None:
        self.sources = sources
        self.fresh = _names()
        self.names: dict[Var, str] = {}

    def name(self, var: Var) -> str:
        if var not in self.names:
            self.names[var] = next(self.fresh)
        return self.names[var]

    def atom(self, atom: Atom) -> str:
        return self.name(atom) if isinstance(atom, Var) else _literal(atom)

    def typed(self, var: Var) -> str:
        return f"{self.name(var)}:{var.aval}"

    def jaxpr(self, jaxpr: Jaxpr, indent: str = "") -> str:
        header = f"{{ lambda {' '.join(self.typed(v) for v in jaxpr.inputs)} ."
        lines = [line for eqn in jaxpr.eqns for line in self.eqn(eqn, indent + _INDENT)]
        result = ", ".join(self.atom(a) for a in jaxpr.outputs)
        return "\n".join([header, *lines, f"{indent}  in ({result}) }}"])

    def eqn(self, eqn: Eqn, indent: str) -> Iterator[str]:
        params = self.params(eqn.params, indent)
        inputs = [self.atom(a) for a in eqn.inputs]
        left = " ".join(self.typed(v) for v in eqn.outputs)
        text = f"{indent}{left} = {eqn.primitive.name}{params} {' '.join(inputs)}".rstrip()
        yield f"{text:<60}  # {eqn.source}" if self.sources and eqn.source is not None else text

    def params(self, params: dict[str, Any], indent: str) -> str:
        if not params:
            return ""
        return "[" + " ".join(f"{key}={self.param(value, indent)}" for key, value in params.items()) + "]"

    def param(self, value: Any, indent: str) -> str:
        inner = getattr(value, "jaxpr", value)
        if isinstance(inner, Jaxpr):
            return self.jaxpr(inner, indent + _INDENT)
        if isinstance(value, tuple) and any(isinstance(v, Jaxpr) for v in value):
            return "(" + ", ".join(self.param(v, indent) for v in value) + ")"
        if isinstance(value, np.dtype):
            return short_dtype(value)
        if callable(value) and hasattr(value, "__name__"):
            return value.__name__
        return str(value).replace(" ", "")


def _literal(literal: Literal) -> str:
    value: Any = literal.value
    aval: ShapedArray = literal.aval
    if aval.shape == ():
        try:
            return f"{value:.6g}" if isinstance(value, float) else str(value)
        except TypeError:
            return str(aval)
    return f"<{aval}>"


def jaxpr_text(jaxpr: Jaxpr, sources: bool = False) -> str:
    """A jaxpr as text, one equation a line; with `sources`, each with the line of the user's code behind it."""
    return _Printer(sources).jaxpr(jaxpr)


def jaxpr_html(jaxpr: Jaxpr) -> str:
    """A jaxpr for notebooks, each equation with the line of the user's code behind it."""
    text = jaxpr_text(jaxpr, sources=True).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<pre style="line-height: 1.3; overflow-x: auto">{text}</pre>'


Jaxpr._repr_html_ = jaxpr_html  # type: ignore[attr-defined]
Jaxpr.__repr__ = jaxpr_text  # type: ignore[method-assign]  # a jaxpr is text in notebooks and error messages
