"""What a kernel came to in one place of memory is what it comes to in another one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functrans.compiler.backends.cpu import links
from functrans.compiler.instructions import KernelRun
from functrans.compiler.loopnest import Apply, Kernel, Load, Output, constant, point
from functrans.compiler.places import Place, contiguous_strides

F8 = np.dtype("f8")
X, Y = (Load(k, point(2), F8) for k in range(2))
SUM = Apply("add", (X, Apply("multiply", (Y, constant(3.5, F8)), F8)), F8)
#: Element by element, a copy beside it, sums of rows, sums of columns that are added up in the results.
KERNELS = {
    "elements": Kernel((3, 5), 0, (Output(SUM, None),), (0, 1)),
    "two results": Kernel((3, 5), 0, (Output(SUM, None), Output(X, None)), (0, 1)),
    "rows": Kernel((3, 5), 1, (Output(SUM, "add"),), (0, 1)),
    "columns": Kernel((50, 40), 1, (Output(Load(0, point(2)[::-1], F8), "add"),), (0,)),
}


@st.composite
def runs(draw: st.DrawFn) -> list[KernelRun]:
    """A kernel over arrays that are in several slots, or in one, some where others are."""
    kernel = KERNELS[draw(st.sampled_from(sorted(KERNELS)))]
    kept = kernel.shape[: len(kernel.shape) - kernel.reduced]
    whole = kernel.shape[::-1] if len(kernel.operands) == 1 else kernel.shape
    shapes = [whole for _ in kernel.operands] + [kept for _ in kernel.outputs]

    def place(shape: tuple[int, ...]) -> Place:
        strides = contiguous_strides(shape, 8)
        if draw(st.booleans()):
            strides = (*strides[:-1], 16)
        return Place(draw(st.integers(0, 3)), draw(st.sampled_from([0, 8, 120])), shape, F8, strides)

    found = [[place(shape) for shape in shapes] for _ in range(4)]
    count = len(kernel.operands)
    return [KernelRun(kernel, tuple(places[:count]), tuple(places[count:])) for places in found]


def described(found: list[Any]) -> list[Any]:
    return [(link[:-1], link.writer.text) for link in found]


@settings(max_examples=100)
@given(runs(), st.booleans())
def test_elsewhere(some: list[KernelRun], keeps_first: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(links, "_kept", {})
        kept = [described(links.links_of(run, keeps_first)) for run in some for _ in range(2)]
    for run, known in zip((run for run in some for _ in range(2)), kept):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(links, "_kept", {})
            assert known == described(links.links_of(run, keeps_first))


def test_no_more_is_kept_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_kept", {})
    monkeypatch.setattr(links, "MOST_KEPT", 5)
    kernel = KERNELS["elements"]
    for n in range(1, 30):
        place = Place(0, 0, (n, 5), F8, (40, 8))
        links.links_of(KernelRun(kernel.over((n, 5)), (place, place), (place._replace(slot=1),)))
        assert len(links._kept) <= 5


def test_a_second_shape_works_out_no_loops_for_arrays_that_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = KERNELS["elements"]
    monkeypatch.setattr(links, "_kept", {})
    places = [Place(slot, 0, (3, 5), F8, (40, 8)) for slot in range(3)]
    first = links.links_of(KernelRun(kernel, tuple(places[:2]), tuple(places[2:])))
    monkeypatch.setattr(links, "_new_links", lambda *_: pytest.fail("worked out again"))
    others = [place._replace(slot=place.slot + 7, offset=64) for place in places]
    second = links.links_of(KernelRun(kernel, tuple(others[:2]), tuple(others[2:])))
    assert [link.writer for link in first] == [link.writer for link in second]
    assert first[0].arguments != second[0].arguments
