"""What loops and branches say to bad input: which leaf, what it was and became, on which line, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.errors import BranchMismatchError, CarryMismatchError, ConditionError, ScanLengthError

XS = np.arange(3.0)


def widening(c: Any, x: Any) -> Any:
    return {"a": c["a"], "b": np.stack([c["b"], x])}, None


def test_a_carry_that_changes_its_shape() -> None:
    with pytest.raises(CarryMismatchError) as caught:
        lax.scan(widening, {"a": 1.0, "b": np.float64(2.0)}, XS)
    text = str(caught.value)
    assert "leaf ['b'] was f64[] and became f64[2]" in text
    assert "in widening: `return {" in text
    assert "one compiled program" in text
    assert "astype" in text


@pytest.mark.parametrize(
    "loop",
    [
        lambda body, c: lax.scan(lambda c, x: (body(c), x), c, XS),
        lambda body, c: lax.while_loop(lambda c: True, body, c),
        lambda body, c: lax.fori_loop(0, 3, lambda i, c: body(c), c),
        lambda body, c: ft.jit(lambda n: lax.fori_loop(0, n, lambda i, c: body(c), c))(3),
    ],
    ids=["scan", "while_loop", "fori_loop", "traced fori_loop"],
)
class TestCarries:
    def test_dtype(self, loop: Any) -> None:
        with pytest.raises(CarryMismatchError, match=r"was f32\[\] and became f64\[\]"):
            loop(lambda c: c * np.float64(2), np.float32(1))

    def test_integers_that_become_floats(self, loop: Any) -> None:
        with pytest.raises(CarryMismatchError, match=r"was i64\[\] and became f64\[\]"):
            loop(lambda c: c / 2, np.int64(1))

    def test_where_and_what_to_write(self, loop: Any, request: Any) -> None:
        name = request.node.callspec.id.split()[-1]
        with pytest.raises(CarryMismatchError) as caught:
            loop(lambda c: {"a": c["a"] * 1.1, "b": c["b"]}, {"a": np.arange(3), "b": 1.0})
        text = str(caught.value)
        assert f"The carry of {name} changes its type: leaf ['a'] was i64[3] and became f64[3]" in text
        assert "Begin with x.astype('float64')," in text
        with pytest.raises(CarryMismatchError, match=rf"carry of {name} .*: it was \* and became \(\*, \*\)"):
            loop(lambda c: (c, c), 1.0)

    def test_structure(self, loop: Any) -> None:
        with pytest.raises(CarryMismatchError, match=r"structure: .*\(\*, \*\).*became.*\(\*, \*, \*\)"):
            loop(lambda c: (*c, c[0]), (1.0, 2.0))


@pytest.mark.parametrize("c", [0, 0.0, np.float32(0)], ids=["int", "float", "float32"])
def test_python_scalars_take_the_type_of_the_body(c: Any) -> None:
    total, _ = lax.scan(lambda c, x: (c + x, None), c, XS.astype("f4"))
    assert total == 3.0
    assert total.dtype == np.float32


def test_a_python_scalar_stays_one() -> None:
    """As in plain Python, where `rate` would not widen float32 parameters."""

    def step(carry: Any, x: Any) -> Any:
        rate, w = carry
        return (rate * 0.9, w - rate * x), None

    (rate, w), _ = lax.scan(step, (0.1, np.float32(1)), XS.astype("f4"))
    assert w.dtype == np.float32
    assert np.isclose(rate, 0.1 * 0.9**3)


def test_the_body_of_a_scan_returns_a_pair() -> None:
    with pytest.raises(CarryMismatchError, match="one value instead of a pair"):
        lax.scan(lambda c, x: c, 0.0, XS)


@pytest.mark.parametrize("length", [-1, 2.0, True, "3", np.float64(3)])
def test_lengths(length: Any) -> None:
    with pytest.raises(ScanLengthError, match="length="):
        lax.scan(lambda c, x: (c, None), 0.0, None, length=length)


def test_a_traced_length() -> None:
    with pytest.raises(ScanLengthError, match="fori_loop or while_loop"):
        ft.jit(lambda n: lax.scan(lambda c, x: (c, None), 0.0, None, length=n))(3)


def test_arrays_of_different_lengths() -> None:
    with pytest.raises(ScanLengthError, match=r"leaf \['a'\] 3, leaf \['b'\] 2"):
        lax.scan(lambda c, x: (c, None), 0.0, {"a": XS, "b": XS[1:]})
    with pytest.raises(ScanLengthError, match="length=4"):
        lax.scan(lambda c, x: (c, None), 0.0, XS, length=4)
    with pytest.raises(ScanLengthError, match="which is a scalar"):
        lax.scan(lambda c, x: (c, None), 0.0, (XS, 1.0))
    with pytest.raises(ScanLengthError, match="neither xs nor a length"):
        lax.scan(lambda c, x: (c, None), 0.0)
    with pytest.raises(ScanLengthError, match="different lengths: 2, 3"):
        lax.associative_scan(lambda a, b: a, (XS, XS[1:]))


def test_bounds() -> None:
    with pytest.raises(ScanLengthError, match=r"upper bound of fori_loop is f64\[\]"):
        lax.fori_loop(0, 2.5, lambda i, c: c, 0.0)


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_batch_sizes(size: Any) -> None:
    with pytest.raises(ScanLengthError, match="batch_size="):
        lax.map(np.sin, XS, batch_size=size)


@pytest.mark.parametrize("unroll", [0, -1, 1.5])
def test_unrolling(unroll: Any) -> None:
    with pytest.raises(ValueError, match="unroll"):
        lax.scan(lambda c, x: (c, None), 0.0, XS, unroll=unroll)


def test_conditions() -> None:
    with pytest.raises(ConditionError, match=r"returned f64\[\]"):
        lax.while_loop(lambda c: c, lambda c: c, np.float64(1))
    with pytest.raises(ConditionError, match=r"returned bool\[3\]"):
        lax.while_loop(lambda c: c > 0, lambda c: c, XS)
    with pytest.raises(ConditionError, match=r"predicate of cond is bool\[3\]"):
        lax.cond(XS > 0, lambda: 1, lambda: 2)
    with pytest.raises(ConditionError, match=r"index of switch is f64\[\]"):
        lax.switch(np.float64(1), [lambda: 1, lambda: 2])


def test_branches_of_different_structure() -> None:
    with pytest.raises(BranchMismatchError, match=r"false_fun \*, true_fun \(\*, \*\)"):
        lax.cond(True, lambda x: (x, x), lambda x: x, 1.0)


def test_branches_of_different_types() -> None:
    def wide(x: Any) -> Any:
        return {"y": np.stack([x, x])}

    with pytest.raises(BranchMismatchError) as caught:
        lax.switch(0, [lambda x: {"y": x}, wide], np.float64(1))
    text = str(caught.value)
    assert r"leaf ['y'] is f64[] in branches[0] and f64[2] in branches[1]" in text
    assert "in wide: `return {" in text


def test_branches_of_different_dtypes() -> None:
    with pytest.raises(BranchMismatchError, match=r"f64\[\] in false_fun and f32\[\] in true_fun"):
        lax.cond(True, lambda: np.float32(1), lambda: np.float64(1))
    assert ft.jit(lambda p: lax.cond(p, lambda: 0.0, lambda: np.float32(1)))(True).dtype == np.float32


def test_no_branches() -> None:
    with pytest.raises(BranchMismatchError, match="no branches"):
        lax.switch(0, [])


def test_combining_functions() -> None:
    with pytest.raises(CarryMismatchError, match=r"given \(f64\[1\]\) and returned \(c128\[1\]\)"):
        lax.associative_scan(lambda a, b: a * 1j, XS)
