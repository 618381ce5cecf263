"""Errors of floating-point arithmetic are ignored where derivatives are computed, and only there."""

from __future__ import annotations

import numpy as np
import pytest

import functrans as ft
from functrans.core import errstate
from functrans.primitives import foundation


@pytest.fixture(params=["by NumPy's variable", "through np.errstate"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    if request.param == "through np.errstate":
        monkeypatch.setattr(foundation, "ERROR_STATE", errstate.ThroughErrstate())
        monkeypatch.setattr(foundation, "IGNORING", None)


def test_an_infinite_derivative_is_no_error():
    with np.errstate(all="raise"):
        assert ft.grad(np.sqrt)(0.0) == np.inf
        with pytest.raises(FloatingPointError):
            np.log(np.zeros(2))


def test_the_state_is_as_before_after_an_error():
    before = np.geterr()
    with pytest.raises(ZeroDivisionError):
        ft.grad(lambda x: np.sin(x) / (1 // 0))(1.0)
    assert np.geterr() == before
