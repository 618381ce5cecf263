"""Python's collector of garbage: what it is kept from, and that it is there again afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest

import functrans as ft
from functrans.compiler.garbage import MANY_OBJECTS, fewer_collections, no_collection


def shown(code: str) -> list[str]:
    """What a program prints that has the collector for itself."""
    program = f"import gc\nfrom functrans.compiler.garbage import keep_what_is_imported\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_an_import_leaves_no_collection_due() -> None:
    """Of all that was imported: it would be somebody's first program that waits for it."""
    assert shown("print(*gc.get_count()[1:], gc.isenabled(), gc.get_freeze_count())") == ["0", "0", "True", "0"]


def test_an_import_looks_for_no_garbage_in_what_it_brings() -> None:
    seen = "gc.callbacks.append(lambda phase, info: sizes.append(gc.get_count()[0]))"
    program = f"import gc, numpy; sizes = [0]; {seen}; import functrans; print(max(sizes) < 10_000)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]


def test_what_there_is_becomes_old() -> None:
    young = "print(any(x is things for x in gc.get_objects(generation=0)))"
    assert shown(f"gc.disable(); things = []; {young}; keep_what_is_imported(); {young}") == ["True", "False"]
    garbage = "things.append(things); del things; keep_what_is_imported(); print(gc.collect() > 0)"
    assert shown(f"gc.disable(); gc.collect(); things = []; {garbage}") == ["True"]


def test_what_is_frozen_stays_frozen() -> None:
    count = "gc.get_freeze_count()"
    assert shown(f"gc.freeze(); n = {count}; keep_what_is_imported(); print(0 < n == {count})") == ["True"]


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_collector_is_as_it_was(is_enabled: bool) -> None:
    (gc.enable if is_enabled else gc.disable)()
    try:
        with no_collection():
            assert not gc.isenabled()
        assert gc.isenabled() == is_enabled
    finally:
        gc.enable()


def compiled(made: int, most: int) -> list[str]:
    """Whether what a compiler makes is looked at when it is done, and whether it is old then."""
    sizes = f"from functrans.compiler import garbage; garbage.MANY_OBJECTS, garbage.MOST_UNSEEN = 1000, {most}"
    made_there = f"with garbage.no_collection(): things = [[] for _ in range({made})]"
    seen = "ages = []; gc.callbacks.append(lambda phase, info: ages.append(info['generation']))"
    return shown(f"{sizes}; {seen}; gc.collect(); ages.clear()\n{made_there}\nprint(ages)")


def test_what_compilers_made_is_not_looked_at() -> None:
    assert compiled(5000, most=8000) == ["[]"]


def test_what_very_many_compilations_made_is_looked_at() -> None:
    """At once, forgotten programs among it."""
    assert "2," in compiled(5000, most=4000)[0]


@pytest.mark.parametrize("usual", [700, 0, 10**6])
def test_thresholds_are_as_they_were(usual: int) -> None:
    """Also if threads trace at the same time, and if the traced function sets its own."""
    before = gc.get_threshold()
    try:
        gc.set_threshold(usual, 11, 12)
        while_tracing = []
        with fewer_collections():
            thread = threading.Thread(target=ft.jit(lambda x: while_tracing.append(gc.get_threshold()) or x), args=(1.0,))
            thread.start()
            thread.join()
            assert gc.get_threshold() == while_tracing[0]
        assert while_tracing[0][0] == {700: MANY_OBJECTS}.get(usual, usual)
        assert gc.get_threshold() == (usual, 11, 12)
        with fewer_collections():
            gc.set_threshold(800, 5, 5)
        assert gc.get_threshold() == (800, 5, 5)
    finally:
        gc.set_threshold(*before)
