"""jit(f).lower(x): the program in all its stages. Properties are held, not texts."""

import builtins
import re
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.compiler.backends.cpu import inspection
from functrans.compiler.inspection.costs import size
from functrans.compiler.inspection.listing import rows
from functrans.compiler.inspection.profile import Profile, Timing
from functrans.compiler.instructions import BranchRun, ChainRun, KernelRun, LoopRun, PythonRun, RecurrenceRun, WhileRun

llvm = pytest.importorskip("llvmlite.binding")
X = np.linspace(0.1, 2.0, 1000)


def chain(x):
    return np.exp(np.sin(x) * 2.0) + x


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def mlp(params, x):
    for w, b in params:
        x = np.tanh(x @ w + b)
    return np.mean(x * x)


def in_registers(x):
    return ft.lax.scan(lambda c, _: (c * 0.5 + 1.0, c), x, None, 10)


def in_memory(x):
    return ft.lax.scan(lambda c, _: (np.sin(c) + np.mean(c), None), x, None, 10)[0]


def in_lanes(x):
    return ft.lax.scan(lambda c, _: (np.sin(c) + 1.0, None), x, None, 10)[0]


def until(x):
    return ft.lax.while_loop(lambda c: np.sum(c) < 1e6, lambda c: c * 2.0, x)


def either(x):
    return ft.lax.cond(np.sum(x) > 0, np.sin, np.cos, x)


def through_python(x):
    return np.linalg.svd(np.outer(x[:4], x[:4]))[1] * 2


PARAMS = [(np.ones((20, 30)), np.zeros(30)), (np.ones((30, 5)), np.zeros(5))]
PROGRAMS: list[tuple[Any, tuple[Any, ...]]] = [
    (chain, (X,)),
    (softmax, (np.ones((300, 100)),)),
    (ft.grad(mlp), (PARAMS, np.ones((8, 20)))),
    (in_registers, (np.ones(3),)),
    (in_memory, (X,)),
    (in_lanes, (X,)),
    (until, (X,)),
    (either, (X,)),
    (through_python, (X,)),
    (ft.grad(lambda x: np.sum(in_memory(x))), (X,)),
    (lambda x, i: x[i].sum(), (X, np.arange(7))),
    (lambda x: x, (X,)),
]


@pytest.fixture(params=range(len(PROGRAMS)))
def lowered(request):
    f, args = PROGRAMS[request.param]
    return ft.jit(f).lower(*args)


def all_rows(lowered):
    return rows(lowered._assembled)


def test_every_instruction_is_in_the_listing(lowered):
    text = str(lowered.kernels)
    numbers = re.findall(r"# \[([\w.]+)\]", text)
    found = all_rows(lowered)
    assert numbers == [row.number for row in found]
    for row in found:
        if isinstance(row.instruction, PythonRun):
            assert row.instruction.name in text
    assert repr(lowered.kernels) == text


@pytest.mark.parametrize(
    ("f", "kind", "words"),
    [
        (in_registers, RecurrenceRun, "for t in range(10):"),
        (in_memory, LoopRun, "for t in range(10):"),
        (in_lanes, RecurrenceRun, "for lane in range("),
        (until, WhileRun, "while True:"),
        (either, BranchRun, "case 1:"),
        (chain, KernelRun, "exp(sin(x[i0]) * 2.0) + x[i0]"),
        (lambda x: np.sum(x.reshape(10, 100), 1), KernelRun, "+="),
    ],
)
def test_instructions_show(f, kind, words):
    lowered = ft.jit(f).lower(np.ones(3) if f is in_registers else X)
    assert any(isinstance(row.instruction, kind) for row in all_rows(lowered))
    assert words in str(lowered.kernels).replace("v0", "x[i0]")


def test_loops_hold_what_is_in_them():
    found = all_rows(ft.jit(in_memory).lower(X))
    (loop,) = (row for row in found if isinstance(row.instruction, LoopRun))
    inside = [row for row in found if row.number.startswith(f"{loop.number}.")]
    assert inside
    assert all(row.depth == loop.depth + 1 for row in inside)


def test_instructions_know_their_lines():
    found = all_rows(ft.jit(softmax).lower(np.ones((300, 100))))
    sources = {eqn.source.text for row in found for eqn in row.equations}
    assert any("np.exp(x - x.max" in text for text in sources)
    assert any("e / e.sum" in text for text in sources)


def test_arguments_have_their_names():
    text = str(ft.jit(mlp).lower(PARAMS, np.ones((8, 20))).kernels)
    assert "params[0][0]:f64[20,30]" in text
    text = str(ft.jit(lambda t0, *, key: t0 + key["a"]).lower(X, key={"a": X}).kernels)
    assert "t0_:f64[1000], key.a:f64[1000]" in text
    scaled = ft.jit(lambda n, x: x * n, static_argnums=0)
    assert "(x:f64[1000])" in str(scaled.lower(3, X).kernels)


def test_bytes_and_operations_of_an_elementwise_program():
    cost = ft.jit(lambda x, y: np.sin(x) * y + 1.0).lower(X, X).cost.total
    assert cost == (16000, 8000, 3000, True)
    half = X.astype(np.float32)
    assert ft.jit(chain).lower(half).cost.total[:2] == (4000, 4000)


def test_bytes_of_broadcasts_reductions_and_stencils():
    x = np.ones((50, 40))
    lower = lambda f, *args: ft.jit(f).lower(*args).cost.total  # noqa: E731
    assert lower(lambda x, y: x + y, x, np.ones(40))[:3] == (16000 + 320, 16000, 2000)
    assert lower(lambda x: np.sum(x, 1), x)[:3] == (16000, 400, 2000)
    assert lower(lambda x: x[2:] + x[1:-1] + x[:-2], X)[:3] == (8000, 998 * 8, 2 * 998)
    assert lower(lambda x: x.T * 2.0, x)[:3] == (16000, 16000, 2000)


def test_operations_of_products_and_loops():
    x = np.ones((30, 40))
    cost = ft.jit(lambda x, y: x @ y).lower(x, np.ones((40, 50))).cost.total
    assert cost == ((30 * 40 + 40 * 50) * 8, 30 * 50 * 8, 2 * 30 * 40 * 50, True)
    registers = ft.jit(in_registers).lower(np.ones(3)).cost.total
    assert registers == (24, 24 + 240, 10 * 3 * 2, True)
    assert not ft.jit(until).lower(X).cost.total.is_complete
    assert not ft.jit(through_python).lower(X).cost.total.is_complete


def test_chains_count_what_stays_in_the_cache_once():
    x = np.ones((300, 100))
    lowered = ft.jit(softmax).lower(x)
    chains = [row.instruction for row in all_rows(lowered) if isinstance(row.instruction, ChainRun)]
    if chains:  # the kernels are chained: memory is read and written once
        assert lowered.cost.total[:2] == (x.nbytes, x.nbytes)
    else:
        assert lowered.cost.total.read > x.nbytes


def test_the_total_is_that_of_the_rows(lowered):
    cost = lowered.cost
    for k in range(3):
        assert cost.total[k] == sum(row[2][k] for row in cost.rows)
    assert "total" in repr(cost)
    assert "<table>" in cost._repr_html_()


def test_memory(lowered):
    memory = lowered.memory
    assembled = lowered._assembled
    assert memory.results == sum(map(size, assembled.results))
    assert memory.peak == memory.arena + memory.constants + memory.results
    for temporary in memory.temporaries:
        assert temporary.offset + temporary.size <= memory.arena
        assert temporary.name in repr(memory)
    assert "<table>" in memory._repr_html_()


def test_memory_of_temporaries_that_share_room():
    def f(x):
        for _ in range(6):
            x = np.sort(x)
        return x

    memory = ft.jit(f).lower(X).memory
    assert memory.arguments == memory.results == 8000
    assert [t.size for t in memory.temporaries] == 5 * [8000]
    assert memory.arena <= 3 * 8064


def test_llvm_parses_and_names_the_instructions(lowered):
    for text in (lowered.llvm, lowered.optimized_llvm):
        module = llvm.parse_assembly(text)
        module.verify()
        names = {f.name for f in module.functions if not f.is_declaration and f.name.startswith("kernel_")}
        for row in all_rows(lowered):
            if not isinstance(row.instruction, (KernelRun, RecurrenceRun)):
                continue
            assert names, f"nothing was compiled for {row.number}"


def test_equal_kernels_are_shown_once():
    text = ft.jit(lambda x: np.sort(np.sin(np.sort(np.sin(x))))).lower(X).llvm
    assert len(re.findall(r"define i64 @kernel", text)) == 2  # sines, and copies of them to be sorted


def test_assembly_of_a_chain_is_vectorised():
    features = llvm.get_host_cpu_features()
    text = ft.jit(chain).lower(np.ones(100_000)).asm
    assert "kernel_1" in text
    if features.get("avx2"):
        assert "ymm" in text or "zmm" in text
    elif features.get("sse2"):
        assert "xmm" in text


def test_looking_runs_nothing_and_needs_types_only():
    calls = []

    def f(x):
        ft.debug.callback(calls.append, x)
        return np.sin(x) * 2

    lowered = ft.jit(f).lower(ft.ShapeDtypeStruct((1000,), np.float32))
    assert "f32[1000]" in str(lowered.kernels)
    assert lowered.llvm
    assert lowered.asm
    assert lowered.cost.total.written
    assert lowered._repr_html_()
    assert calls == []


def test_layouts_of_arrays_count():
    x = np.asfortranarray(np.ones((30, 40)))
    assert "strides 8,240" in str(ft.jit(lambda x: x * 2).lower(x).kernels)
    assert "strides" not in str(ft.jit(lambda x: x * 2).lower(ft.ShapeDtypeStruct((30, 40), float)).kernels)


def test_the_native_program_shows_whatever_runs():
    with ft.config.using(backend="interpreter"):
        assert "for i0 in range(1000):" in str(ft.jit(chain).lower(X).kernels)


def test_html(lowered):
    html = lowered._repr_html_()
    assert html.count("<details") == html.count("</details>") == 5
    assert "# [" not in html or "&lt;" in html or "<pre" in html
    assert ft.make_jaxpr(lambda x: x < 2)(X)._repr_html_().startswith("<pre")
    assert "{ lambda" in ft.make_jaxpr(lambda x: x < 2)(X)._repr_html_()


# ---- profiles


@pytest.mark.parametrize("number", [0, 1, 2, 4, 7])
def test_profiles_have_a_row_for_each_outer_instruction(number):
    f, args = PROGRAMS[number]
    jitted = ft.jit(f)
    lowered = jitted.lower(*args)
    profile = lowered.profile(*args)
    assert [row.number for row in profile.rows] == [row.number for row in all_rows(lowered) if not row.depth]
    assert all(row.seconds >= 0 for row in profile.rows)  # an instruction may take less than can be measured
    assert profile.seconds > 0
    assert [row.cost for row in profile.rows] == [cost for _, _, cost in lowered.cost.rows]
    text = repr(profile)
    assert "GB/s" in text
    assert "the call itself" in text
    assert profile._repr_html_().count("<tr>") == len(profile.rows) + 2


def test_rows_of_a_profile_have_the_times_of_their_instructions(monkeypatch):
    def elapsed(self: Any, code: int, count: int, slots: int) -> tuple[int, int]:
        return self.run(code, count, slots), 100 + 1000 * count  # a clock that no other program can disturb

    def f(x):
        return np.sum(np.sin(np.sort(x)))

    monkeypatch.setattr(inspection._Timer, "elapsed", elapsed)
    x = np.random.default_rng(0).normal(size=2_000)
    profile = ft.jit(f).lower(x).profile(x)
    assert len(profile.rows) >= 2
    for row in profile.rows:
        assert row.seconds * 1e6 == pytest.approx(round(row.seconds * 1e6))
        assert 1 <= round(row.seconds * 1e6) <= 4
        assert row.bandwidth == pytest.approx(row.cost.bytes / row.seconds)
    assert profile.rest == pytest.approx(profile.seconds - sum(row.seconds for row in profile.rows))


def test_no_instruction_takes_more_than_all_of_a_call():
    cost = ft.jit(chain).lower(X).cost.rows[0][2]
    rows = [Timing("1", "kernel", "", 3e-6, cost, 1), Timing("2", "kernel", "", 1e-6, cost, 1)]
    for seconds, shares in [(2e-6, ["75%", "25%", "0%"]), (8e-6, ["38%", "12%", "50%"])]:
        table = Profile("f", rows, seconds, 1).table()[1]
        assert [row[4] for row in table] == shares


def test_profiling_changes_no_results():
    rng = np.random.default_rng(1)
    x, i = rng.normal(size=50), rng.integers(0, 50, 20)

    def f(x, i):
        x = x.copy()
        x[i] += 1.0
        return np.sort(x)[i], x

    jitted = ft.jit(f)
    before = jitted(x, i)
    jitted.lower(x, i).profile(x, i)
    for old, new in zip(before, jitted(x, i)):
        np.testing.assert_array_equal(old, new)


def test_errors_of_the_program_come_out_of_a_profile():
    jitted = ft.jit(lambda x, i: x[i])
    lowered = jitted.lower(X, np.array([1, 2]))
    with pytest.raises(IndexError):
        lowered.profile(X, np.array([1, 2000]))
    assert lowered.profile(X, np.array([1, 2])).rows


def test_a_profile_is_of_the_program_that_was_lowered():
    lowered = ft.jit(chain).lower(X)
    with pytest.raises(ft.errors.ShapeMismatchError, match="lowered for arguments of other types"):
        lowered.profile(X[:10])
    assert lowered.profile(X[::-1].copy()[::-1]).rows  # of another layout only


def test_plots():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    x = np.ones((300, 100))
    profile = ft.jit(softmax).lower(x).profile(x)
    axes = profile.plot()
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert len(axes.collections) == len(profile.rows)
    other = matplotlib.pyplot.figure().subplots()
    assert profile.plot(other) is other
    matplotlib.pyplot.close("all")


def test_plots_without_matplotlib(monkeypatch):
    real = builtins.__import__

    def fail(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    profile = ft.jit(chain).lower(X).profile(X)
    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(ft.errors.MissingPackageError, match=r"functrans\[plots\]"):
        profile.plot()
