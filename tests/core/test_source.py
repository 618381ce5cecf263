"""Where in the user's code an equation comes from."""

from __future__ import annotations

import linecache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import source as sources
from functrans.core.jaxpr import Jaxpr, sub_jaxprs
from functrans.source import Source, current_source, is_internal, where


def lines_of(jaxpr: Jaxpr) -> dict[str, str]:
    """The text of the line behind each equation, by primitive; inner jaxprs included."""
    found: dict[str, str] = {}
    for eqn in jaxpr.eqns:
        assert eqn.source is not None
        assert eqn.source.file == __file__
        found[eqn.primitive.name] = linecache.getline(eqn.source.file, eqn.source.line).strip()
        for inner in sub_jaxprs(eqn):
            found |= lines_of(inner)
    return found


def f(x: Any) -> Any:
    y = np.sin(x)  # the sine
    z = (
        y
        * 3.0  # the product
    )
    total = np.sum(z)  # the sum
    return total


X = np.ones(3)


def test_each_equation_knows_its_line():
    lines = lines_of(ft.make_jaxpr(f)(X))
    assert lines["sin"] == "y = np.sin(x)  # the sine"
    assert lines["reduce_sum"] == "total = np.sum(z)  # the sum"
    assert lines["multiply"] in ("y", "* 3.0  # the product", "z = (")


def test_derivatives_carry_the_line_of_what_they_are_derivatives_of():
    for jaxpr in (ft.make_jaxpr(ft.grad(f))(X), ft.make_jaxpr(ft.grad(ft.jit(f)))(X)):
        lines = lines_of(jaxpr)
        assert lines["sin"] == lines["cos"] == "y = np.sin(x)  # the sine"
        assert lines["reduce_sum"] == "total = np.sum(z)  # the sum"


def test_batched_equations_carry_it_too():
    lines = lines_of(ft.make_jaxpr(ft.vmap(f))(np.ones((2, 3))))
    assert lines["sin"] == "y = np.sin(x)  # the sine"
    lines = lines_of(ft.make_jaxpr(ft.vmap(ft.jit(f)))(np.ones((2, 3))))
    assert lines["sin"] == "y = np.sin(x)  # the sine"


def test_a_line_is_named_with_its_function_and_text():
    text = where()
    line = line_number("    text = where()")
    name = test_a_line_is_named_with_its_function_and_text.__name__
    assert text == f"At {__file__}:{line}, in {name}: `text = where()`."


def line_number(text: str) -> int:
    """The number of the first line of this file with a text."""
    with open(__file__) as file:
        return next(i for i, line in enumerate(file, 1) if text in line)


def test_lines_of_files_that_are_gone():
    code = compile("source = current_source()", "nowhere.py", "exec")
    namespace = {"current_source": current_source}
    exec(code, namespace)
    source = namespace["source"]
    assert isinstance(source, Source)
    assert (source.file, source.line, source.text) == ("nowhere.py", 1, "")
    assert str(source) == "nowhere.py:1 (<module>)"
    assert where(source) == "At nowhere.py:1, in <module>."


def test_the_innermost_line_of_the_user_counts():
    lines = lines_of(ft.make_jaxpr(lambda x: helper(x))(X))
    assert lines["cos"] == "return np.cos(x)  # in the helper"


def helper(x: Any) -> Any:
    return np.cos(x)  # in the helper


def test_libraries_are_not_the_user_s_wherever_they_were_installed_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By a distribution, or by pip's --target; a folder of the user may have the name of a library."""
    assert is_internal(np.__file__)
    (tmp_path / "optree").mkdir()
    (tmp_path / "optree" / "__init__.py").touch()
    monkeypatch.setattr(sources, "find_spec", lambda name: PathFinder.find_spec(name, [str(tmp_path)]))
    monkeypatch.setattr(sources, "_internal_files", {})
    sources._hidden_folders.cache_clear()
    try:
        assert is_internal(str(tmp_path / "optree" / "ops.py"))
        assert not is_internal(str(tmp_path / "site-packages" / "mine" / "numpy" / "model.py"))
    finally:
        sources._hidden_folders.cache_clear()
