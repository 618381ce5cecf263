"""Native code against the interpreter: bit for bit where nothing rounds, within a stated error otherwise."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cpu import tiers
from tests.fuzz import Case, cases
from tests.helpers.bits import assert_same_bits, special_array
from tests.helpers.cases import all_cases
from tests.helpers.limits import LIMITS
from tests.helpers.oracles import assert_all_close
from tests.helpers.programs import examples
from tests.helpers.tiers import TIERS, assembled, interpreted, natively, staged
from tests.helpers.update_programs import LAYOUTS, laid_out

fnp = ft.numpy
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
TIER = st.sampled_from(["quick", "quick", "quick", "thorough", "threads"])


def check(function: Any, args: Any, tolerance: float | None = None, tier: str = "thorough") -> None:
    """Raise AssertionError unless both backends agree."""
    Case("a function", function, tuple(args), tolerance).check(tier)


# ---- random programs


@settings(max_examples=30)
@given(case=cases(("tensors",)), tier=st.one_of(TIER, st.just("calls")))
def test_programs_for_arrays_of_any_shape(case: Case, tier: str) -> None:
    case.check_calls() if tier == "calls" else case.check(tier)


@settings(max_examples=60)
@given(case=cases(("updates",)), tier=TIER)
def test_updates_views_and_reads(case: Case, tier: str) -> None:
    case.check(tier)


@settings(max_examples=60)
@given(case=cases(("arrays",)), tier=TIER)
def test_programs_of_array_operations(case: Case, tier: str) -> None:
    case.check(tier)


@settings(max_examples=15)
@given(case=cases(("numpy",)), tier=st.one_of(TIER, st.just("calls")))
def test_calls_of_numpy_with_any_options(case: Case, tier: str) -> None:
    """Against NumPy itself; what it refuses is refused."""
    case.check_calls() if tier == "calls" else case.check(tier)


@settings(max_examples=25)
@given(case=cases(("derivatives",)), tier=TIER)
def test_derivatives(case: Case, tier: str) -> None:
    case.check(tier)


@settings(max_examples=25)
@given(case=cases(("loops",)), tier=TIER)
def test_loops_and_branches(case: Case, tier: str) -> None:
    case.check(tier)


@settings(max_examples=5)
@given(case=cases(("derivatives of loops",)), tier=TIER)
def test_derivatives_of_loops(case: Case, tier: str) -> None:
    case.check(tier)


EXACT = {
    "subtract", "conjugate", "multiply", "maximum", "where", "transpose", "reshape", "flip", "roll", "concatenate",
    "stack", "pad", "basic index", "advanced index", "max", "sort", "add", "square",
}  # fmt: skip


@settings(max_examples=50)
@given(example=examples(dtypes=("f8", "f4")), tier=TIER, seed=st.integers(0, 1000))
def test_infinities_and_nans(example: Any, tier: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    args = [special_array(random, x.shape, x.dtype) for x in example.inputs]
    jaxpr = staged(example.program, args)
    found, wanted = natively(jaxpr, args, tier), interpreted(jaxpr, args)
    if {step.operation.name for step in example.program.steps} <= EXACT:
        assert_same_bits(found, wanted, signs_of_zeros=False)
    else:
        for y, z in zip(found, wanted):
            assert np.asarray(y).shape == np.asarray(z).shape


def read_in_functions(module: Any) -> set[str]:
    """The names that functions of a module look up in it as they run."""
    found: set[str] = set()
    pending = [compile(inspect.getsource(module), module.__name__, "exec")]
    for code in pending:
        inner = [part for part in code.co_consts if isinstance(part, CodeType)]
        found.update(name for part in inner for name in part.co_names)
        pending += inner
    return found


def test_limits_are_read_where_they_are_set() -> None:
    """A limit that a module has only imported, or no longer reads, would change nothing, and nobody would notice."""
    read = {module: read_in_functions(module) for changes in LIMITS.values() for module, _, _ in changes}
    library = "".join(path.read_text() for path in Path(ft.__file__).parent.rglob("*.py"))
    for name, changes in LIMITS.items():
        for module, key, value in changes:
            what = f"{name}: {module.__name__}.{key}"
            assert key in read[module] or f" {module.__name__.rpartition('.')[2]}.{key}" in library, what
            assert value != getattr(module, key), f"{what} is {value} as it is"


# ---- every primitive

CASES = all_cases()
#: Every so many of the examples in one test: they compile faster together than pytest counts them.
SHARES = 20


@pytest.mark.parametrize("share", range(SHARES))
def test_every_primitive(share: int) -> None:
    for number, case in enumerate(CASES[share::SHARES]):
        tier = "thorough" if number % 10 == 0 else "quick"
        try:
            jaxpr = staged(case.function, case.args)
            assert_all_close(natively(jaxpr, case.args, tier), interpreted(jaxpr, case.args), None)
        except Exception as error:
            error.add_note(f"in {case.name}, compiled in the way {tier!r}")
            raise


@pytest.mark.slow
@pytest.mark.parametrize("tier", [*TIERS])
@pytest.mark.parametrize("share", range(SHARES))
def test_every_primitive_in_every_way(share: int, tier: str) -> None:
    for case in CASES[share::SHARES]:
        jaxpr = staged(case.function, case.args)
        assert_all_close(natively(jaxpr, case.args, tier), interpreted(jaxpr, case.args), None)


# ---- arguments


def both_ways(x: Any, y: Any) -> Any:
    """Reads every element of two arrays in several orders."""
    z = fnp.concatenate([x.reshape(-1), y.reshape(-1) * 2])
    return x * 3 - 1, np.transpose(y)[::-1] if y.ndim else y, z, np.sum(x, axis=0) if x.ndim else x


@pytest.mark.parametrize("tier", [*TIERS])
@pytest.mark.parametrize("layout", sorted(set(LAYOUTS)))
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (0, 3), (4, 0), (2, 3, 4), (1, 1), (0,)], ids=str)
def test_layouts(layout: str, shape: Any, tier: str) -> None:
    args = [laid_out(np.arange(np.prod(shape), dtype=t).reshape(shape), layout) for t in ("f8", "i4")]
    before = [x.copy() for x in args]
    check(both_ways, args, None, tier)
    assert_same_bits(args, before)


@pytest.mark.parametrize("tier", ["quick", "thorough"])
@pytest.mark.parametrize(("dtype", "stride"), [("c16", 24), ("c16", 8), ("c8", 12), ("c8", 4)])
def test_strides_of_parts_of_elements(dtype: str, stride: int, tier: str) -> None:
    """One and a half elements, as of a complex field of a record, or half a one: no whole number of steps."""
    numbers = np.arange(40.0).astype(np.dtype(dtype).char.lower())
    x = np.ndarray((9,), dtype, numbers, 0, (stride,))
    check(lambda x: (x * 3 - 1, x[::-1], np.sum(x)), [x], None, tier)


@pytest.mark.parametrize("tier", ["quick", "thorough"])
def test_layouts_one_after_the_other(tier: str) -> None:
    """One function, whose arguments are laid out otherwise in each call."""
    f = ft.jit(both_ways)
    x = np.arange(24.0).reshape(2, 3, 4)
    for _ in range(3):
        for layout in LAYOUTS:
            y = laid_out(x, layout)
            assert_same_bits([*f(y, y)], [*both_ways(y.astype("f8"), y.astype("f8"))])


def test_arguments_that_share_memory() -> None:
    x = np.arange(12.0)
    f = ft.jit(lambda a, b: (fnp.at(a)[1:].set(b[:-1]), a + b, b))
    for a, b in ((x, x), (x[:6], x[3:9]), (x[::-1], x), (x[::2], x[1::2]), (np.broadcast_to(x[:1], (6,)), x[:6])):
        n = min(len(a), len(b))
        a, b = a[:n], b[:n]
        shifted, total, same = f(a, b)
        np.testing.assert_array_equal(shifted, [a[0], *b[:-1]])
        np.testing.assert_array_equal(total, a + b)
        np.testing.assert_array_equal(same, b)
        assert not any(np.shares_memory(y, x) for y in (shifted, total, same))
        np.testing.assert_array_equal(x, np.arange(12.0))


def test_results_are_fresh() -> None:
    f = ft.jit(lambda x: (x, x, x * 2, fnp.ones(3), x[::-1]))
    x = np.arange(3.0)
    first = f(x)
    for y in first:
        y[...] = 7
    np.testing.assert_array_equal(x, np.arange(3.0))
    for y, z in zip(f(x), ([0, 1, 2], [0, 1, 2], [0, 2, 4], [1, 1, 1], [2, 1, 0])):
        np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize("x", [3, 2.5, True, 1 + 2j, np.float32(1.5), np.int8(3), np.array(2.0), np.bool_(False)])
def test_scalars(x: Any) -> None:
    f = ft.jit(lambda x, y: (x + 1, x * y, x, np.sin(x * 0.5)))
    y = np.arange(3, dtype="f4")
    with ft.config.using(backend="interpreter"):
        wanted = f(x, y)
    for _ in range(10):
        found = f(x, y)
        assert_all_close(found, wanted, 1e-6)
        assert [type(a) for a in found] == [type(a) for a in wanted]


def test_many_calls_of_what_was_compiled_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The results stay the same when the code becomes better."""
    random = np.random.default_rng(0)
    f = ft.jit(lambda x: (x * 3 - np.max(x), np.sin(x), lax.scan(lambda c, a: (c + a, c * a), 0.0, x)))
    x = random.normal(size=9)
    first = ft.tree.leaves(f(x))
    monkeypatch.setattr(tiers, "PAYS", 500)
    for _ in range(100):
        assert_all_close(ft.tree.leaves(f(x)), first, 1e-15)


@pytest.mark.parametrize("args", [
    (np.zeros(4), np.zeros(3)),
    (np.zeros(3), np.zeros((3, 1))),
    (np.zeros(3, "f4"), np.zeros(3, "i8")),
    (np.zeros(3, "c8"), 2),
    ([1.0, 2.0], np.zeros(2)),
], ids=str)  # fmt: skip
def test_other_types_are_other_programs(args: Any) -> None:
    """A function that has been called often, with something else: another program, or NumPy's error."""
    f = ft.jit(lambda x, y: np.add(x, y))
    for _ in range(5):
        f(np.ones(3), np.ones(3))
    try:
        wanted = np.add(*args)
    except ValueError:
        with pytest.raises(ValueError):
            f(*args)
        return
    if isinstance(args[0], list):
        with pytest.raises(TypeError):
            f(*args)
        return
    found = f(*args)
    assert_same_bits([found], [wanted])


# ---- what is overwritten where it is


def test_old_versions_of_an_updated_array() -> None:
    def f(x: Any) -> Any:
        a = x * 2
        view, turned = a[1:3], a[::-1]
        b = fnp.at(a)[1].set(100)
        c = fnp.at(a)[2].set(-5)
        d = fnp.at(b)[0].set(view[0])
        return a.sum(), view * 1, turned + 0, b, c, d

    check(f, [np.arange(5)])
    check(lambda x: f(x)[1:], [np.arange(5)])


def test_updates_of_views() -> None:
    def f(x: Any) -> Any:
        a = (x + 1).reshape(2, 3)
        row = a[0]
        changed = fnp.at(row)[1].set(9)
        turned = fnp.at(np.transpose(a))[0].set(7)
        return a + 0, changed, turned, fnp.at(a.reshape(-1))[::2].add(a.reshape(-1)[1::2])

    check(f, [np.arange(6)])


SELF_UPDATES = {
    "up": lambda y: fnp.at(y)[1:].set(y[:-1]),
    "down": lambda y: fnp.at(y)[:-1].set(y[1:]),
    "turned": lambda y: fnp.at(y)[::-1].set(y),
    "added": lambda y: fnp.at(y)[1:].add(y[:-1]),
    "scattered": lambda y: fnp.at(y)[np.array([0, 0, 1])].set(y[3:6]),
    "gathered": lambda y: fnp.at(y)[np.array([1, 2, 3])].add(y[np.array([0, 1, 2])]),
    "slid": lambda y: lax.dynamic_update_slice(y, y[:3], (np.int64(y.shape[0] - 5),)),
    "first row": lambda y: fnp.at(y.reshape(2, -1))[1].set(y.reshape(2, -1)[0]),
    "repeated": lambda y: fnp.at(np.broadcast_to(y, (2, *y.shape)))[0].set(y[::-1]),
    "transposed": lambda y: fnp.at(y[:4].reshape(2, 2))[:].set(y[:4].reshape(2, 2).T),
}


@pytest.mark.parametrize("size", [6, 64])
@pytest.mark.parametrize("name", [*SELF_UPDATES])
def test_an_update_that_reads_what_it_overwrites(name: str, size: int) -> None:
    update = SELF_UPDATES[name]
    for tier in ("quick", "thorough"):
        check(lambda x: update(x + 1), [np.arange(size)], None, tier)
        check(lambda x: 3 - update((x + 1)[::-1]), [np.arange(size)], None, tier)
        check(lambda x: (lambda y: 3 - update(np.sort(y)))(x + 1), [np.arange(size)], None, tier)


def rotated(carry: Any, x: Any) -> Any:
    """Two arrays that change places, one of them updated."""
    a, b = carry
    return (fnp.at(b)[0].add(x), a), a


def shifted(carry: Any, x: Any) -> Any:
    """An array whose elements move up by one, and its version from before."""
    (a,) = carry
    return (fnp.at(a)[1:].set(a[:-1]),), fnp.at(a)[0].set(x)


def read_late(carry: Any, x: Any) -> Any:
    """An update of a carry that is read again after that."""
    a, b = carry
    c = fnp.at(a)[1].set(x)
    return (c, b + a), c - a


def twice(carry: Any, x: Any) -> Any:
    """One carry becomes both."""
    a, _ = carry
    c = fnp.at(a)[2].add(x)
    return (c, c), c[::-1]


def viewed(carry: Any, x: Any) -> Any:
    """A carry becomes a view of what it was."""
    a, b = carry
    c = fnp.at(a)[0].set(x)
    return (c[::-1], fnp.at(b)[1:].set(c[:-1])), b


def nested(carry: Any, x: Any) -> Any:
    """A loop in the loop updates the same array, which is read afterwards too."""
    a, b = carry
    c = lax.fori_loop(0, 3, lambda i, y: fnp.at(y)[i].add(b[i] + x), a)
    d, _ = lax.scan(lambda y, z: (fnp.at(y)[0].set(z), y[1]), c, b)
    return (d, c - a), lax.cond(x > 2, lambda: fnp.at(a)[1].set(0), lambda: c)


@pytest.mark.parametrize("size", [4, 300], ids=["in registers", "in memory"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("step", [rotated, shifted, read_late, twice, viewed, nested])
def test_carries_that_are_updated(step: Any, reverse: bool, size: int) -> None:
    count = 1 if step is shifted else 2
    first = [np.arange(float(size)) * (k + 1) for k in range(count)]

    def f(xs: Any, *first: Any) -> Any:
        carry, ys = lax.scan(step, tuple(first), xs, reverse=reverse)
        return carry, ys, tuple(x + 0 for x in first)

    for length in (0, 1, 2, 5):
        for tier in ("quick", "thorough"):
            check(f, [np.arange(float(length)) + 1, *first], None, tier)
            # a carry that nobody else sees may be updated where it is
            check(lambda xs, *first: f(xs, *(x * 2 for x in first))[:2], [np.arange(float(length)), *first], None, tier)


@pytest.mark.parametrize("size", [4, 300], ids=["in registers", "in memory"])
def test_while_loops_that_update(size: int) -> None:
    def f(n: Any, x: Any) -> Any:
        def body(carry: Any) -> Any:
            k, a, b = carry
            c = fnp.at(a)[k].set(b[0])
            return k + 1, c, fnp.at(b)[0].add(a[k] + c[k])

        return lax.while_loop(lambda c: c[0] < n, body, (0, x * 1, x + 1))

    for n in (0, 1, 3):
        check(f, [n, np.arange(float(size))])
    x = np.arange(float(size))
    check(lambda x: lax.fori_loop(0, 3, lambda i, a: fnp.at(a)[i].set(a[i + 1]), x), [x])
    np.testing.assert_array_equal(x, np.arange(float(size)))


def test_branches_that_update_what_is_needed_afterwards() -> None:
    def f(p: Any, x: Any) -> Any:
        y = x * 2
        z = lax.cond(p, lambda: fnp.at(y)[0].set(50), lambda: y)
        w = lax.cond(p, lambda a: fnp.at(a)[1].set(60), lambda a: a[::-1] + 0, z)
        return y, z, w

    for p in (True, False):
        check(f, [p, np.arange(4.0)])


@pytest.mark.parametrize("size", [4, 300], ids=["in registers", "in memory"])
def test_what_is_outside_of_loops_and_branches_is_left_alone(size: int) -> None:
    """Loops and branches that update values from outside: the next step, and whoever comes later, sees the old ones."""

    def f(p: Any, x: Any) -> Any:
        y, z, w = x * 2, x + 1, x * 3

        def step(c: Any, k: Any) -> Any:
            d = fnp.at(y)[k].add(100) * 2
            return c + d, fnp.at(fnp.at(z)[k].set(-1))[0].add(c[k])[:2] + 0

        total, parts = lax.scan(step, x * 0, np.arange(3))
        less = lax.cond(p, lambda: fnp.at(w)[0].set(50) * 2, lambda: w * fnp.at(w)[1].set(7)[::-1])
        count, _ = lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, fnp.at(z)[c[0]].set(5) * c[1]), (0, z * 1))
        return total, parts, less, y, z, w, count

    for p in (True, False):
        for tier in ("quick", "thorough"):
            check(f, [p, np.arange(float(size))], None, tier)
            check(lambda p, x: f(p, x)[:3], [p, np.arange(float(size))], None, tier)


@pytest.mark.parametrize("layout", ["owned", "turned", "part", "other dtype", "may be written"])
def test_constants_that_nobody_can_change_are_read_where_they_are(layout: str) -> None:
    table = np.arange(12.0).reshape(3, 4) if layout == "part" else np.arange(12.0)
    table = {"turned": table[::-1].copy()[::-1], "part": table[1], "other dtype": table.astype("f4")}.get(layout, table)
    table = table.copy() if layout == "owned" else table
    table.flags.writeable = layout == "may be written"
    function = lambda x: x + table  # noqa: E731
    x = np.ones(table.shape)
    constants = [slot.value for slot in assembled(function, x).slots if slot.kind == "constant"]
    assert any(value is table for value in constants) == (layout in ("owned", "other dtype"))
    jitted, wanted = ft.jit(function), function(x)
    np.testing.assert_array_equal(jitted(x), wanted)
    if layout == "may be written":
        compiled = jitted.lower(x).compile()
        table += 1
        np.testing.assert_array_equal(compiled(x), wanted)
