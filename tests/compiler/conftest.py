"""In these tests the specification of passes is checked before and after every pass, and the text of every kernel that
was taken from an earlier kernel of the same structure, and all that one came to where an earlier one of its kind was
elsewhere in memory, are compared with its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functrans.compiler.backends.cpu import chains, codegen, encoding, links
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

    monkeypatch.setattr(links, "kernel_function", checked)


@pytest.fixture(autouse=True)
def kernels_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked(run: Any, keeps_first: bool = False) -> Any:
        found = links.links_of(run, keeps_first)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(links, "_kept", {})
            own = links.links_of(run, keeps_first)
        assert [(link[:-1], link.writer.text) for link in found] == [(link[:-1], link.writer.text) for link in own]
        return found

    monkeypatch.setattr(encoding, "links_of", checked)
    monkeypatch.setattr(chains, "links_of", checked)
