"""When functions are compiled thoroughly: at once, after as much work as pays for it, or never; by calls of any kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cpu import tiers
from functrans.compiler.backends.cpu.engine import Engine
from functrans.compiler.backends.cpu.native import NativeProgram
from functrans.compiler.program import fused
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import staged


@pytest.fixture
def thorough(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many functions each thorough compilation was for; they are compiled quickly in truth."""
    found: list[int] = []
    compile_ = Engine.compile

    def noted(self: Engine, writers: Any, is_quick: bool) -> Any:
        if not is_quick:
            found.append(len(writers))
        return compile_(self, writers, True)

    monkeypatch.setattr(Engine, "compile", noted)
    return found


def program(function: Callable[..., Any], *args: Any) -> tuple[NativeProgram, tuple[Any, ...]]:
    return NativeProgram(staged(function, args), fused), args


def calls_until_thorough(made: NativeProgram, args: Any, thorough: list[int], most: int = 200) -> int | None:
    thorough.clear()
    for number in range(most):
        made(*args)
        if thorough:
            return number
    return None


def work_of(made: NativeProgram, args: Any) -> int:
    """The work of the one function of a program."""
    made(*args)
    (binding,) = made.bindings.values()
    (work,) = binding.tiers.quick.values()
    return work


@pytest.mark.parametrize("calls", [1, 2, 7, 50])
def test_after_as_much_work_as_pays(calls: int, thorough: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    function, x = (lambda x: x * 2.0 + np.sin(x)), np.arange(1000.0)
    monkeypatch.setattr(tiers, "PAYS", 1 << 60)
    work = work_of(*program(function, x))
    monkeypatch.setattr(tiers, "PAYS", calls * work)
    made, args = program(function, x)
    assert calls_until_thorough(made, args, thorough) == (calls if calls > 1 else 0)
    assert thorough == [1]
    for _ in range(3 * calls):
        made(*args)
    assert thorough == [1]


def test_long_texts_must_do_more_work(thorough: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer to compile."""

    def longer(x: Any) -> Any:
        for k in range(20):
            x = abs(x) * (k + 0.5)
        return x

    monkeypatch.setattr(tiers, "PAYS", 1 << 60)
    made, args = program(longer, np.ones(10))
    work = work_of(made, args)
    (binding,) = made.bindings.values()
    (text,) = binding.tiers.quick
    monkeypatch.setattr(tiers, "SHORT_TEXT", text.count("\n") // 4)
    monkeypatch.setattr(tiers, "PAYS", 3 * work)
    needed = -(-binding.tiers.price(text) // work)
    assert needed in (12, 13)
    assert calls_until_thorough(*program(longer, np.ones(10)), thorough) == needed


def test_work_in_loops_and_of_equal_functions_counts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "PAYS", 1 << 60)
    x = np.ones((30, 100))
    once = work_of(*program(lambda x: np.sin(x), x[0]))

    def looped(x: Any) -> Any:
        return lax.scan(lambda c, row: (c, np.sin(row)), 0.0, x)[1]

    made, args = program(looped, x)
    made(*args)
    (binding,) = made.bindings.values()
    assert max(binding.tiers.quick.values()) == 30 * once
    assert work_of(*program(lambda x, y: (np.sin(x), np.sin(y)), x[0], np.ones(200))) == 3 * once


def test_guesses_are_not_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops of unknown length in each other are thought to take no longer than one."""
    monkeypatch.setattr(tiers, "PAYS", 1 << 60)

    def nested(depth: int, size: int) -> Any:
        def run(x: Any, depth: int = depth) -> Any:
            body = np.sin if depth == 1 else lambda x: run(np.cos(x), depth - 1)
            return lax.while_loop(lambda x: x[0] < 1, body, x)

        made, args = program(run, np.full(size, 2.0))
        made(*args)
        (binding,) = made.bindings.values()
        return max(binding.tiers.quick.values())

    for size in (2, 5000):  # in registers, and in memory
        assert nested(3, size) < 10 * nested(1, size)  # not a million times


def test_functions_are_not_compiled_one_call_after_the_other(
    thorough: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Functions of much and of little work become worth it in a few steps, together."""
    monkeypatch.setattr(tiers, "PAYS", 20_000)
    arrays = [np.ones(10 * 2**k) for k in range(8)]
    operations = [np.sin, np.cos, np.tan, np.exp, np.log, np.sqrt, np.tanh, np.cosh]
    made, args = program(lambda *xs: [f(x) for f, x in zip(operations, xs)], *arrays)
    first = made(*args)
    for _ in range(3000):
        last = made(*args)
    assert_all_close(last, first, 1e-14)
    assert sum(thorough) == len(arrays)
    assert len(thorough) <= 6


def test_quick_ways_in_count(thorough: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(1000.0)
    monkeypatch.setattr(tiers, "PAYS", 1 << 60)
    work = work_of(*program(lambda x: x * 3.0, x))
    monkeypatch.setattr(tiers, "PAYS", 40 * work)
    thorough.clear()
    f = ft.jit(lambda x: x * 3.0)
    for number in range(100):
        np.testing.assert_array_equal(f(x), x * 3.0)
        assert bool(thorough) == (number >= 40)
    (call,) = f._quick.plain
    assert call(x) is not NotImplemented


def test_interrupted_while_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call tries again."""
    monkeypatch.setattr(tiers, "PAYS", 500)
    x = np.arange(100.0)
    made, args = program(lambda x: x * 5.0, x)
    made(*args)
    compile_ = Engine.compile

    def interrupted(self: Engine, writers: Any, is_quick: bool) -> Any:
        raise KeyboardInterrupt

    (binding,) = made.bindings.values()
    binding.tiers.calls_left[0] = 0
    monkeypatch.setattr(Engine, "compile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made(*args)
    monkeypatch.setattr(Engine, "compile", compile_)
    assert binding.tiers.quick
    for _ in range(50):
        np.testing.assert_array_equal(made(*args)[0], x * 5.0)
    assert not binding.tiers.quick
