"""In these tests the specification of passes is checked before and after every pass, and the text of every kernel that
was taken from an earlier kernel of the same structure is compared with its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functrans.compiler.backends.cpu import codegen, encoding
from functrans.compiler.simplify import observers
from tests.helpers.spec import check_pass


@pytest.fixture(autouse=True)
def specification() -> Iterator[None]:
    observers.append(check_pass)
    yield
    observers.remove(check_pass)


@pytest.fixture(autouse=True)
def texts(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked(kernel: Any, layout: Any, name: str) -> Any:
        found, own = codegen.kernel_function(kernel, layout, name), codegen.written(kernel, layout, name)
        assert (found.lines, found.functions) == (own.lines, own.functions)
        return found

    monkeypatch.setattr(encoding, "kernel_function", checked)
