"""In these tests the specification of passes is checked before and after every pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functrans.compiler.simplify import observers
from tests.helpers.spec import check_pass


@pytest.fixture(autouse=True)
def specification() -> Iterator[None]:
    observers.append(check_pass)
    yield
    observers.remove(check_pass)
