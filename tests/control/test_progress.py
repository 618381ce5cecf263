"""Progress bars of loops: how many, what they count, what they cost, and what there is without tqdm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.control import progress
from functrans.errors import MissingPackageError

C = np.linspace(0.1, 0.9, 3)


class Bar:
    """What functrans needs of tqdm, written down."""

    shown: ClassVar[list[Bar]] = []

    def __init__(self, total: int | None, desc: str, mininterval: float):
        self.total, self.desc = total, desc
        self.n = self.updates = 0
        self.is_closed = False
        self.shown.append(self)

    def update(self, n: int) -> None:
        assert not self.is_closed
        self.n += n
        self.updates += 1

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.is_closed = True


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Bar]]:
    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=Bar))
    monkeypatch.setattr(Bar, "shown", [])
    return Bar.shown


def by_scan(c: Any, **options: Any) -> Any:
    return np.sum(lax.scan(lambda c, _: (np.sin(c), None), c, None, length=40, progress="scan", **options)[0])


def by_fori_loop(c: Any, **options: Any) -> Any:
    return np.sum(lax.fori_loop(0, 40, lambda i, c: np.sin(c), c, progress="fori_loop", **options))


def by_traced_fori_loop(c: Any, **options: Any) -> Any:
    def loop(c: Any, n: Any) -> Any:
        return lax.fori_loop(0, n, lambda i, c: np.sin(c), c, progress="traced", **options)

    return np.sum(ft.jit(loop)(c, 40))


def by_while_loop(c: Any, **options: Any) -> Any:
    def step(s: Any) -> Any:
        return s[0] + 1, np.sin(s[1])

    return np.sum(lax.while_loop(lambda s: s[0] < 40, step, (0, c), progress="while", **options)[1])


@pytest.mark.parametrize("loop", [by_scan, by_fori_loop, by_traced_fori_loop, by_while_loop])
@pytest.mark.parametrize(
    "transform",
    [
        lambda f: f,
        ft.jit,
        ft.grad,
        lambda f: ft.jit(ft.grad(f)),
        ft.hessian,
        lambda f: lambda c: ft.jvp(f, (c,), (c,)),
        lambda f: lambda c: ft.vmap(f)(np.stack([c, c])),
        lambda f: lambda c: ft.vmap(ft.grad(f))(np.stack([c, c])),
        lambda f: ft.grad(lambda c: f(c, checkpoint=3)),
        lambda f: ft.grad(lambda c: f(c, checkpoint=True)),
    ],
    ids=["eager", "jit", "grad", "jit grad", "hessian", "jvp", "vmap", "vmap grad", "checkpoint=3", "checkpoint=True"],
)
def test_the_forward_loop_is_shown_once(loop: Any, transform: Any, bars: list[Bar]) -> None:
    transform(loop)(C)
    (bar,) = bars
    assert bar.n == 40
    assert bar.is_closed
    assert bar.total == (40 if loop in (by_scan, by_fori_loop) else None)


def test_a_compiled_loop_is_shown_each_time(bars: list[Bar]) -> None:
    compiled = ft.jit(by_scan)
    compiled(C)
    compiled(C)
    assert [bar.n for bar in bars] == [40, 40]


def test_lanes_are_counted_together(bars: list[Bar]) -> None:
    def loop(n: Any) -> Any:
        return lax.fori_loop(0, n, lambda i, c: c + i, 0, progress=True)

    np.testing.assert_array_equal(ft.vmap(loop)(np.array([3, 10, 0])), [3, 45, 0])
    assert [(bar.desc, bar.n) for bar in bars] == [("fori_loop", 10)]


@pytest.mark.parametrize("unroll", [7, True])
def test_an_unrolled_loop_has_one_bar(unroll: Any, bars: list[Bar]) -> None:
    by_scan(C, unroll=unroll)
    assert len(bars) == 1


def test_the_name_of_the_loop_is_the_text_by_default(bars: list[Bar]) -> None:
    lax.scan(lambda c, _: (c, None), 0.0, None, length=2, progress=True)
    lax.while_loop(lambda c: c < 2, lambda c: c + 1, 0, progress=True)
    assert [bar.desc for bar in bars] == ["scan", "while_loop"]


def test_loops_without_steps(bars: list[Bar]) -> None:
    lax.scan(lambda c, _: (c, None), 0.0, None, length=0, progress=True)
    lax.while_loop(lambda c: c < 0, lambda c: c + 1, 0, progress=True)
    assert [(bar.n, bar.is_closed) for bar in bars] == [(0, True)] * 2


def test_no_bar_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)  # to import it is an error
    lax.scan(lambda c, _: (c, None), 0.0, None, length=2)
    lax.fori_loop(0, 2, lambda i, c: c, 0.0, progress=False)


# ---- what it costs: the bar moves on a few times a second, however fast or slow the steps are


@pytest.mark.parametrize("order", [range(10**6), range(10**6 - 1, -1, -1)])
def test_fast_steps_come_in_large_blocks(order: range, bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "perf_counter", lambda: 0.0)
    assert list(progress.steps_shown(order, "fast")) == list(order)
    (bar,) = bars
    assert bar.n == len(order)
    assert bar.updates <= 2 * len(order).bit_length()  # first longer and longer blocks, then what is left


def test_slow_steps_are_shown_one_by_one(bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(progress, "perf_counter", lambda: float(next(clock)))
    for step in progress.steps_shown(range(50), "slow"):
        assert bars[0].n == step


def test_steps_that_become_slow(bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress, "perf_counter", lambda: now)
    behind = []
    for step in progress.steps_shown(range(6_000), "slower"):
        now += 1e-3 if step < 5_000 else 1e-1
        behind.append(step - bars[0].n)
    assert max(behind[:5_000]) > 50
    assert max(behind[5_500:]) < 10


@pytest.mark.parametrize("order", [range(1_000), progress.UNENDING])
@pytest.mark.parametrize("last", [0, 1, 2, 100, 511, 512])
def test_a_loop_that_stops_early(order: range, last: int, bars: list[Bar]) -> None:
    for step in progress.steps_shown(order, "stops"):
        if step == last:
            break
    (bar,) = bars
    assert bar.n == last
    assert bar.is_closed


# ---- tqdm itself


def test_tqdm_draws_it(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    lax.scan(lambda c, _: (np.sin(c), None), 1.0, None, length=25, progress="relaxation")
    lax.while_loop(lambda c: c < 30, lambda c: c + 1, 0, progress="search")
    out, err = capsys.readouterr()
    assert out == ""
    assert "relaxation: 100%" in err
    assert "25/25" in err
    assert "search: 30it" in err


@pytest.mark.parametrize(
    "call",
    [
        lambda: lax.scan(lambda c, _: (c, None), 0.0, None, length=2, progress=True),  # the line
        lambda: lax.fori_loop(0, 2, lambda i, c: c, 0.0, progress="text"),  # the line
        lambda: ft.jit(lambda n: lax.fori_loop(0, n, lambda i, c: c, 0.0, progress=True))(3),  # the line
        lambda: lax.while_loop(lambda c: c < 2, lambda c: c + 1, 0, progress=True),  # the line
    ],
    ids=["scan", "fori_loop", "traced fori_loop", "while_loop"],
)
def test_without_tqdm(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError) as caught:
        call()
    assert isinstance(caught.value, MissingPackageError)
    text = str(caught.value)
    assert "tqdm is not installed" in text
    assert "test_progress.py" in text
    assert "pip install 'functrans[progress]'" in text


@pytest.mark.parametrize("value", [3, 2.5, None, ["text"]])
def test_what_is_no_text(value: Any) -> None:
    for loop in (
        lambda: lax.scan(lambda c, _: (c, None), 0.0, None, length=2, progress=value),
        lambda: lax.fori_loop(0, 2, lambda i, c: c, 0.0, progress=value),
    ):
        with pytest.raises(TypeError, match="a boolean or the text of a progress bar"):
            loop()


# ---- blocks of steps, which compiled loops are run in


@pytest.mark.parametrize("length", [0, 1, 2, 3, 127, 128, 1_000])
def test_blocks_are_powers_of_two(length: int, bars: list[Bar]) -> None:
    ran: list[range] = []

    def run(block: range) -> int:
        ran.append(block)
        return len(block)

    progress.run_shown(range(length), "blocks", run, most=100)
    assert [step for block in ran for step in block] == list(range(length))
    assert {len(block) for block in ran} <= {1, 2, 4, 8, 16, 32, 64}
    assert [(bar.n, bar.is_closed) for bar in bars] == [(length, True)]


@pytest.mark.parametrize("last", [0, 1, 2, 100, 511, 512])
def test_a_block_that_stops_early(last: int, bars: list[Bar]) -> None:
    progress.run_shown(progress.UNENDING, "stops", lambda block: min(len(block), last - block[0]))
    assert [(bar.n, bar.is_closed) for bar in bars] == [(last, True)]


@pytest.mark.parametrize("length", [0, 1, 5, 1_000])
@pytest.mark.parametrize("reverse", [False, True])
def test_scans_in_blocks(length: int, reverse: bool, bars: list[Bar]) -> None:
    xs = {"a": np.linspace(0.0, 1.0, length), "b": np.arange(length)}

    def loop(w: Any, **options: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            c, count = carry
            c = np.sin(w * c) + x["a"]
            return (c, count + x["b"]), (c[:2], count)

        return lax.scan(step, (np.ones(3), 0), xs, length=length, reverse=reverse, **options)

    for run in (loop, ft.jit(loop, static_argnames="progress")):
        (c, count), ys = run(0.9, progress=True)
        (expected, expected_count), expected_ys = loop(0.9)
        np.testing.assert_allclose(c, expected, rtol=1e-13)
        assert count == expected_count
        for y, expected_y in zip(ys, expected_ys, strict=True):
            np.testing.assert_allclose(y, expected_y, rtol=1e-13)
    assert [bar.n for bar in bars] == [length] * 2


def test_derivatives_of_loops_in_blocks(bars: list[Bar]) -> None:
    def loss(c: Any, **options: Any) -> Any:
        return np.sum(lax.scan(lambda c, x: (np.sin(c * x), c), c, np.linspace(0.9, 1.1, 300), **options)[1])

    for derivative in (ft.grad, ft.hessian, lambda f: ft.jit(ft.grad(f))):
        shown = derivative(lambda c: loss(c, progress=True))(C)
        np.testing.assert_allclose(shown, derivative(loss)(C), rtol=1e-12)
    assert [bar.n for bar in bars] == [300] * 3


def test_conditions_with_effects_are_asked_once(bars: list[Bar]) -> None:
    asked: list[int] = []

    def goes_on(i: Any) -> Any:
        ft.debug.callback(lambda i: asked.append(int(i)), i)
        return i < 100

    assert lax.while_loop(goes_on, lambda i: i + 1, 0, progress=True) == 100
    assert asked == list(range(101))


def test_a_failing_step_closes_the_bar(bars: list[Bar]) -> None:
    def check(i: Any) -> None:
        if i == 5:
            raise RuntimeError("at step 5")

    def step(i: Any) -> Any:
        ft.debug.callback(check, i)
        return i + 1

    with pytest.raises(RuntimeError, match="at step 5"):
        ft.jit(lambda: lax.while_loop(lambda i: i < 100, step, 0, progress=True))()
    assert [bar.is_closed for bar in bars] == [True]
