"""The quick way into compiled programs gives what the general way gives, for whatever it is called with."""

from __future__ import annotations

import gc
import inspect
import sys
import threading
import tracemalloc
import weakref
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.api.jit import Jitted
from functrans.compiler.backends.cpu import encoding, native, tiers
from functrans.errors import IntegerRangeError
from tests.helpers.interruptions import interrupted

Pair = namedtuple("Pair", "first second")


class Point(NamedTuple):
    x: Any
    y: Any = 0.0

    def norm(self) -> Any:
        return self.x + self.y


X = np.linspace(0.0, 1.0, 3)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are compiled quickly."""
    monkeypatch.setattr(tiers, "PAYS", 1 << 60)


@pytest.fixture
def slow_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of calls that went the general way."""
    found: list[Any] = []
    general = Jitted._call

    def noted(self: Jitted, args: Any, kwargs: Any) -> Any:
        found.append((args, kwargs))
        return general(self, args, kwargs)

    monkeypatch.setattr(Jitted, "_call", noted)
    return found


def assert_same(found: Any, wanted: Any) -> None:
    """Equal trees: types of containers, order of keys, types and bits of leaves."""
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            assert_same(found[key], wanted[key])
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted):
            assert_same(a, b)
    elif wanted is not None:
        assert np.shape(found) == np.shape(wanted)
        assert np.asarray(found).dtype == np.asarray(wanted).dtype
        assert np.asarray(found).tobytes() == np.asarray(wanted).tobytes()


DTYPES = ["f8", "f4", "i8", "i4", "u1", "?", "c16", "c8", "f2"]
NUMBERS = [2.5, -0.0, float("nan"), 3, -7, True, False, 1 + 2j, *(np.dtype(d).type(1) for d in DTYPES)]
ARRAYS = [np.ones(shape, d) for shape in ((), (2,), (0,), (2, 3)) for d in DTYPES]
ARRAYS += [np.arange(12.0).reshape(3, 4)[::2, ::-1], np.broadcast_to(np.float32(3), (2, 2)), np.arange(3, dtype=">f8")]
LEAVES = st.sampled_from([*NUMBERS, *ARRAYS])
KEYS = st.sampled_from(["a", "b", "weight", "é", "", "b0", "layer 1"])


def nests(leaves: Any) -> Any:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(KEYS, inner, max_size=3),
            st.dictionaries(st.integers(-3, 10), inner, max_size=2),
            st.builds(Pair, inner, inner),
            st.none(),
        ),
        max_leaves=6,
    )


def renewed(nest: Any) -> Any:
    """The same nest in new containers, with strings for keys that are other objects."""
    if isinstance(nest, dict):
        return {("x" + k)[1:] if isinstance(k, str) else k: renewed(v) for k, v in nest.items()}
    if isinstance(nest, Pair):
        return Pair(*map(renewed, nest))
    return type(nest)(map(renewed, nest)) if isinstance(nest, (list, tuple)) else nest


@settings(max_examples=60, deadline=None)
@given(st.lists(nests(LEAVES), max_size=3), st.dictionaries(st.sampled_from(["p", "q"]), nests(LEAVES), max_size=2))
def test_any_nest(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Arguments in any nest, returned in another order and computed with."""

    def f(*args: Any, **kwargs: Any) -> Any:
        leaves = ft.tree.leaves((args, kwargs))
        return {"z": args, "a": kwargs, "sums": [x + x for x in leaves], "n": None}

    with np.errstate(all="ignore"):
        wanted = f(*args, **kwargs)
        compiled = ft.jit(f)
        first = compiled(*args, **kwargs)
        for _ in range(3):
            assert_same(compiled(*renewed(args), **renewed(kwargs)), first)
        assert ft.tree.structure(first) == ft.tree.structure(wanted)
        for a, b in zip(ft.tree.leaves(first), ft.tree.leaves(wanted)):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("call", [
    lambda f: f({"a": X, "b": X + 1}),
    lambda f: f([(X, X + 1)] * 3),
    lambda f: f(Pair(X, [X])),
    lambda f: f(x=X, y=X),
    lambda f: f(2.0), lambda f: f(2), lambda f: f(True), lambda f: f(2j),
    lambda f: f(np.float32(2)), lambda f: f(np.complex128(2j)), lambda f: f(np.uint8(7)), lambda f: f(np.bool_(True)),
    lambda f: f(None, X), lambda f: f(), lambda f: f([], (), {}), lambda f: f(Pair(Pair(X, 1.0), {"a": Pair(2, X)})),
    lambda f: f(Point(X, 2.0)),
])  # fmt: skip
def test_these_are_quick(call: Callable[..., Any], slow_calls: list[Any]) -> None:
    f = ft.jit(lambda *args, **kwargs: (args, kwargs, [np.multiply(x, 2) for x in ft.tree.leaves((args, kwargs))]))
    first = call(f)
    for _ in range(3):
        assert_same(call(f), first)
    assert len(slow_calls) == 2


class Dict(dict):
    pass


class List(list):
    pass


class Tuple(tuple):
    pass


class Text(str):
    pass


@pytest.mark.parametrize("other", [
    {"b": X, "a": X + 1}, {"a": X, "c": X}, {"a": X}, {"a": X, "b": X, "c": X}, {"a": X, Text("b"): X},
    Dict(a=X, b=X), OrderedDict(a=X, b=X), defaultdict(list, a=X, b=X), [X, X], (X, X), Pair(X, X), List([X, X]), X, 1.0,
    {"a": X, "b": [X]}, {"a": X, "b": None}, {"a": X, "b": X[:2]}, {"a": X, "b": X.astype("f4")}, {"a": X, 1: X},
    {"a": X, "b": 2.0}, {"a": X, "b": np.ma.masked_array(X)}, Tuple((X, X)), None,
], ids=lambda x: f"{type(x).__name__}")  # fmt: skip
def test_other_containers(other: Any) -> None:
    """What was called with a dictionary before, called with something else: as if it was called so at first."""

    def f(tree: Any) -> Any:
        return ft.tree.map(lambda x: x * 2.0, tree)

    compiled = ft.jit(f)
    for _ in range(3):
        compiled({"a": X, "b": X + 1})

    def outcome(g: Callable[..., Any]) -> Any:
        try:
            return g(other)
        except Exception as error:
            return type(error), str(error)

    fresh = ft.jit(lambda tree: f(tree))
    fresh.name = compiled.name  # which messages mention
    wanted = ft.tree.map(np.asarray, outcome(fresh))
    for _ in range(3):
        found = ft.tree.map(np.asarray, outcome(compiled))
        assert_same({k: found[k] for k in wanted} if type(found) is dict else found, wanted)


def test_positional_is_not_keyword() -> None:
    f = ft.jit(lambda x, y=None, **kwargs: (x, y, kwargs))
    for _ in range(3):
        assert_same(f(X, y=X), (X, X, {}))
        assert_same(f(X, {"y": X}), (X, {"y": X}, {}))
        assert_same(f(X, z=X), (X, None, {"z": X}))
        assert_same(f(X), (X, None, {}))


def test_several_signatures_by_turns(slow_calls: list[Any]) -> None:
    f = ft.jit(lambda x: x + x)
    values = [X, 2.0, np.float32(1), [X, X]]
    g = ft.jit(lambda x: ft.tree.map(lambda a: a + a, x))
    for _ in range(4):
        for value in values[:3]:
            assert_same(f(value), value + value)
        for value in values:
            g(value)
    assert len(slow_calls) == 14


def test_static_arguments(slow_calls: list[Any]) -> None:
    f = ft.jit(lambda x, n, y=1.0: x * n + y, static_argnums=1)
    for _ in range(4):
        assert_same(f(X, 2), X * 2 + 1.0)
        assert_same(f(X, 2.0), X * 2.0 + 1.0)
        assert_same(f(X, True, X), X * True + X)
        assert_same(f(X, 1, X), X * 1 + X)
    assert len(slow_calls) == 8
    with pytest.raises(TypeError):
        f(X)


STATIC_VALUES = [1, 1.0, True, "a", "ab", None, -0.0, 0.0, (1, 2), (1.0, 2), frozenset([1]), 10**30, b"a", X.sum, len]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STATIC_VALUES), st.sampled_from(STATIC_VALUES), st.booleans()), max_size=12))
def test_static_values_by_turns(values: list[tuple[Any, Any, bool]]) -> None:
    """What is traced anew for which values does not depend on what was called before."""
    traced = []

    @ft.jit(static_argnums=0, static_argnames="b")
    def f(a: Any, x: Any, b: Any = None) -> Any:
        traced.append((a, b))
        return x + len(traced), [x]

    known: list[tuple[Any, ...]] = []
    for a, b, is_named in values * 3:
        a, b = (eval(repr(v)) if isinstance(v, (int, float, str, tuple)) else v for v in (a, b))  # other objects
        found = f(a, X, b=b) if is_named else f(a, X, b)
        key = (type(a), a, type(b), b, is_named)
        if key not in known:
            known.append(key)
        assert_same(found, (X + known.index(key) + 1, [X]))
    assert len(traced) == len(known)


def test_static_arguments_by_name(slow_calls: list[Any]) -> None:
    f = ft.jit(lambda x, mode, shape=(3,): (x if mode == "plain" else -x).reshape(shape), static_argnames=["mode", "shape"])
    for _ in range(4):
        assert_same(f(X, mode="plain"), X)
        assert_same(f(X, mode="".join(["mi", "nus"]), shape=(3, *[1])), -X.reshape(3, 1))
        assert_same(f(x=X, shape=(1, 3), mode="plain"), X.reshape(1, 3))
    assert len(slow_calls) == 6


def test_static_values_that_say_themselves_what_is_equal(slow_calls: list[Any]) -> None:
    class Size:
        def __init__(self, n: int):
            self.n = n

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Size) and self.n == other.n

        def __hash__(self) -> int:
            return hash(self.n)

    f = ft.jit(lambda size, tree: {"x": tree["x"] * size.n}, static_argnums=0)
    for _ in range(3):
        for n in (2, 3):
            assert_same(f(Size(n), {"x": X}), {"x": X * n})
    assert len(slow_calls) == 4


def test_methods(slow_calls: list[Any]) -> None:
    class Model:
        scale = 2.0

        @partial(ft.jit, static_argnums=0)
        def scaled(self, x: Any, *, shift: Any = 0.0) -> Any:
            return x * self.scale + shift

    models = [Model(), Model()]
    models[1].scale = 3.0
    for _ in range(3):
        for model in models:
            assert_same(model.scaled(X), X * model.scale + 0.0)
            assert_same(model.scaled(X, shift=1.0), X * model.scale + 1.0)
    assert len(slow_calls) == 8


def test_named_tuples_with_ways_of_their_own_are_made_by_their_classes() -> None:
    made = []

    class Checked(Pair):
        __slots__ = ()

        def __new__(cls, first: Any, second: Any) -> Any:
            made.append(cls)
            return super().__new__(cls, first, second)

    class Told(Pair):
        def __init__(self, *args: Any):
            self.told = len(args)

    f = ft.jit(lambda x: [Checked(x, x + 1.0), Told(x, x)])
    for count in range(1, 5):
        checked, told = f(X)
        assert_same(list(checked), [X, X + 1.0])
        assert type(checked) is Checked
        assert type(told) is Told
        assert told.told == 2
        assert len(made) >= count


def test_too_large_an_integer() -> None:
    f = ft.jit(lambda n: n + 1)
    for _ in range(3):
        assert f(2**63 - 2) == 2**63 - 1
        with pytest.raises(IntegerRangeError, match=r"9223372036854775808 is out of bounds for int64(.|\n)*np\.uint64"):
            f(2**63)


def test_calls_under_transformations_and_settings(slow_calls: list[Any]) -> None:
    """Who has quick ways goes the general way where another trace, or another setting, has something to say."""
    f = ft.jit(lambda x, y=2.0: np.sin(x) * y)
    for _ in range(3):
        f(X), f(X, y=3.0)
    assert len(slow_calls) == 4
    assert_same(ft.grad(lambda x: f(x, y=x))(0.5), ft.grad(lambda x: np.sin(x) * x)(0.5))
    assert_same(ft.vmap(f)(X), f(X))
    assert [type(x) for x in ft.make_jaxpr(f)(X).eqns] != []
    for backend in ("interpreter", "cpu", "interpreter"):
        before = len(slow_calls)
        with ft.config.using(backend=backend):
            np.testing.assert_allclose(f(X, y=3.0), np.sin(X) * 3.0, rtol=1e-15)
        assert len(slow_calls) == before + 1
    with pytest.raises(TypeError, match="argument"):
        f()
    with pytest.raises(TypeError, match="unexpected"):
        f(X, z=X)


def test_calls_of_jitted_functions_keep_nothing() -> None:
    """Reference counts after calls that are quick, general, or raise, with keyword arguments and without."""
    f = ft.jit(lambda x, n, *, k=1.0: (x[n] * k, [x, n]))
    array, number = X.copy(), "".join(["na", "me"])
    quick, general = ((array, 1), {}), ((array, 1), {"k": array})
    wrong = [((array, 7), {}), ((array, 1), {"k": number}), ((array,), {}), ((), {"x": array, "z": array})]

    def run(times: int) -> None:
        for _ in range(times):
            for args, kwargs in (quick, general):
                assert_same(f(*args, **kwargs)[1], [X, 1])
            for args, kwargs in wrong:
                with pytest.raises((IndexError, TypeError)):
                    f(*args, **kwargs)

    run(5)
    gc.collect()
    watched = [array, number, f, f._quick, NotImplemented, ft.jit, type(f).__call__]
    before = [sys.getrefcount(x) for x in watched]
    run(50)
    gc.collect()
    after = [sys.getrefcount(x) for x in watched]
    assert max(abs(a - b) for a, b in zip(after, before)) <= 10


def test_the_method_in_machine_code_says_what_it_takes() -> None:
    f = ft.jit(lambda x, y=1.0: x + y)
    for _ in range(3):
        f(X)
    assert list(inspect.signature(f).parameters) == ["x", "y"]
    assert list(inspect.signature(type(f).__call__).parameters) == ["self", "args", "kwargs"]
    with pytest.raises(TypeError):
        type(f).__call__(object(), X)


def test_results_are_new(slow_calls: list[Any]) -> None:
    """What is returned shares memory with nothing."""
    f = ft.jit(lambda x, y: (x, x, y + 1, {"x": x}))
    arrays: list[Any] = [X]
    for _ in range(4):
        arrays += ft.tree.leaves(f(X, X))
    assert all(not np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    assert all(a.flags.writeable and a.flags.owndata for a in arrays[1:])
    assert len(slow_calls) == 2


def test_changed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers may be emptied, and their arrays let go of, by another thread while the program runs."""
    monkeypatch.setattr(native, "LONG", -1)  # others may run meanwhile
    monkeypatch.setattr(encoding, "WORTH_THREADS", 10**12)
    size = 20_000
    f = ft.jit(lambda tree: [np.sin(np.cos(x)) for x in tree["x"]])
    wanted = np.sin(np.cos(np.full(size, 0.5)))
    tree = {"x": [np.full(size, 0.5) for _ in range(5)]}
    f(tree)
    f(tree)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            tree["x"][:] = [np.full(size, 0.5) for _ in range(5)]
            tree["x"] = list(tree["x"])

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            for found in f(tree):
                np.testing.assert_allclose(found, wanted, rtol=1e-14)
    finally:
        stop.set()
        thread.join()


def test_called_again_while_collecting_garbage() -> None:
    """Making results collects garbage, whose finalizers call the same function and change its arguments."""
    f = ft.jit(lambda tree: {"out": [x * 2.0 for x in tree["x"]], "sum": np.sum(tree["x"][0])})
    tree = {"x": [X.copy() for _ in range(4)]}
    wanted = f(tree)
    calls = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            tree["x"][:] = [X.copy() for _ in range(4)]
            calls.append(f(tree))

    before = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for _ in range(200):
            Cycle()
            assert_same(f(tree), wanted)
    finally:
        gc.set_threshold(*before)
    assert calls
    for found in calls:
        assert_same(found, wanted)


@pytest.mark.parametrize("count", [1, 8])
def test_threads(count: int) -> None:
    f = ft.jit(lambda tree: {name: [x * 2.0, y + 1] for name, (x, y) in tree.items()})
    failures: list[Any] = []

    def work(number: int) -> None:
        tree = {name: (np.full(3, float(number)), number) for name in "abc"}
        for _ in range(300):
            for x, y in f(tree).values():
                if y != number + 1 or np.any(x != 2.0 * number):
                    failures.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_nothing_is_kept_and_nothing_let_go_of_too_often() -> None:
    """Reference counts and memory after many calls that succeed, and many that go another way at any point."""
    f = ft.jit(lambda tree, a, n=1: ({"x": [x * 2.0 for x in tree["x"]], "y": (tree["y"], None, a)}, np.sum(a), n))
    arrays = [X.copy() for _ in range(3)]
    tree = {"x": arrays, "y": {"k": 2.0}}
    names = ["".join(["la", "yer"]), "".join(["o", "ther"])]
    others = [
        ({"x": arrays, "y": {"k": 2.0}, "z": X}, X), ({"x": arrays, "y": {"j": 2.0}}, X), ({"x": arrays, "y": None}, X),
        ({"x": arrays[:2], "y": {"k": 2.0}}, X), ({"x": arrays, "y": {"k": "text"}}, X), (tree, X[:2]), (tree, [X]),
    ]  # fmt: skip
    for _ in range(2):
        f(tree, X)
        f(tree, X, n=3)
    (entry, *_), (named, *_) = f._quick.plain, f._quick.named
    watched: list[Any] = [None, tree, arrays, *arrays, X, NotImplemented, dict, list, tuple, np.ndarray, True, *names]
    watched += [np.dtype("f8"), f, *f._quick.plain]

    def run(times: int) -> None:
        for _ in range(times):
            found = entry(tree, X)
            assert found is not NotImplemented
            named(tree, X, {"n": 3})
            for args in others:
                assert entry(*args) is NotImplemented
            assert entry(tree) is NotImplemented

    run(100)
    gc.collect()
    before = [sys.getrefcount(x) for x in watched]
    tracemalloc.start()
    run(10)
    gc.collect()
    start = tracemalloc.get_traced_memory()[0]
    run(5000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - start
    tracemalloc.stop()
    after = [sys.getrefcount(x) for x in watched]
    assert max(abs(a - b) for a, b in zip(after, before)) <= 20
    assert grown < 20_000

    alive = weakref.ref(entry(tree, X)[0]["x"][0])
    gc.collect()
    assert alive() is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the memory of the process")
def test_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no memory for a result: MemoryError, nothing is kept, and the next call works."""
    import resource

    monkeypatch.setattr(encoding, "WORTH_THREADS", 10**12)
    f = ft.jit(lambda tree: {"small": tree["x"] * 2.0, "large": np.broadcast_to(tree["x"], (10_000_000, 3)) * 1.0})
    tree = {"x": X.copy()}
    f(tree)
    f(tree)
    (entry,) = f._quick.plain
    before = sys.getrefcount(tree["x"])
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), limits[1]))
    try:
        for _ in range(3):
            with pytest.raises(MemoryError):
                entry(tree)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    after = sys.getrefcount(tree["x"])
    assert after == before
    assert_same(entry(tree)["small"], X * 2.0)


def test_interrupted() -> None:
    """Ctrl-C in a long program, whose arguments are held: all is let go of, and the next call works."""

    def body(state: Any) -> Any:
        return state[0] + 1, np.sin(state[1])

    f = ft.jit(lambda tree: {"x": [ft.lax.while_loop(lambda s: s[0] < tree["n"], body, (0, tree["x"]))[1]]})
    x = np.ones(100)
    f({"n": 3, "x": x})
    wanted = f({"n": 3, "x": x})
    (entry,) = f._quick.plain
    held = sys.getrefcount(x)
    for _ in range(2):
        interrupted(lambda: entry({"n": 10**12, "x": x}))
        assert sys.getrefcount(x) == held
        assert_same(entry({"n": 3, "x": x}), wanted)


def test_ways_are_forgotten() -> None:
    """Neither signatures nor orders of keys pile up."""
    f = ft.jit(lambda tree: tree["a"] + tree["b"])
    for k in range(1, 40):
        x = np.ones((40, 40))[::k]
        for _ in range(2):
            f({"a": x, "b": x})
            f({"b": x, "a": x})
    assert len(f._quick.plain) <= 4
    g = ft.jit(lambda x: x + 1.0)
    for k in range(1, 40):
        g(np.ones(200)[: 3 * k : k])
        g(np.ones(200)[: 3 * k : k])
    (program,) = [v for staged in g._staged.values() for v in staged.jaxpr.memo.values() if hasattr(v, "bindings")]
    assert len(program.bindings) <= native.MOST_BINDINGS
    for binding in program.bindings.values():
        assert len(binding.entries) <= native.MOST_ENTRIES


def test_where_there_is_no_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python implementations with other objects get the same results."""
    monkeypatch.setattr(native, "is_possible", lambda: False)
    f = ft.jit(lambda tree: [tree["x"] * 2.0, None])
    for _ in range(3):
        assert_same(f({"x": X}), [X * 2.0, None])
    assert f._quick.plain == ()
