"""Kernels for processors that this machine is not, but can do what they do: the same values, vectors of their size.

And for those that it is not at all: LLVM takes the texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax

pytest.importorskip("llvmlite")

import llvmlite.binding as llvm

from functrans.compiler.backends.cpu import links
from functrans.compiler.backends.cpu.engine import Engine, engine
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, natively, staged

OLD = "64bit cmov cx8 fxsr mmx sse sse2"
SSE4 = f"{OLD} cx16 popcnt sahf sse3 sse4.1 sse4.2 ssse3"
AVX = f"{SSE4} aes avx pclmul xsave"
AVX2 = f"{AVX} avx2 bmi bmi2 f16c fma lzcnt movbe"
#: Processors and what they can do.
PROCESSORS = {
    "x86-64": OLD, "nehalem": SSE4, "sandybridge": AVX, "haswell": AVX2, "znver3": f"{AVX2} adx sse4a vaes",
    "knl": f"{AVX2} avx512f avx512cd",
    **dict.fromkeys(("skylake-avx512", "znver4"), f"{AVX2} avx512f avx512cd avx512bw avx512dq avx512vl"),
}  # fmt: skip

rng = np.random.default_rng(0)
X, Y = rng.normal(size=203), rng.normal(size=203).astype(np.float32)
H, N = rng.normal(size=101).astype(np.float16), rng.integers(-99, 100, 150)
A, B = rng.normal(size=(13, 9)), rng.normal(size=(2, 9, 21))


def relaxed(x: np.ndarray) -> np.ndarray:
    """A loop over vectors."""
    return lax.fori_loop(0, 5, lambda _, x: np.tanh(x * 0.5) + x[::-1], x)


KERNELS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "functions": (lambda x: np.sin(x) * np.exp(-x * x) + np.log1p(x * x), (X,)),
    "functions of floats": (lambda y: np.tanh(y) + np.arctan2(y, y + 1), (Y,)),
    "halves": (lambda h: (h * h + h, h.astype(np.float64) / 3), (H,)),
    "doubles as halves": (lambda x: x.astype(np.float16), (X,)),
    "rounded": (lambda x: (np.floor(x), np.rint(7 * x), x.astype(np.int8), np.trunc(x)), (X,)),
    "integers": (lambda n: (n // 7, n % -13, n.astype(np.uint8) * 3, np.abs(n) << 2), (N,)),
    "masks": (lambda n, m: np.where((n < 0) & (m > 3), n % 7, -n), (N, N[::-1].copy())),
    "sums": (lambda x, y: (x.sum(), np.max(y), np.argmin(x), np.cumsum(y)), (X, Y)),
    "products": (lambda a, b: (a @ b, np.einsum("ij,ij->i", a, a)), (A, B)),
    "complex numbers": (lambda x: np.abs(x + 1j * x**2) * np.exp(1j * x), (X,)),
    "places": (lambda x, n: x[np.abs(n)], (X, N)),
    "random bits": (lambda x: x[:64] + ft.random.normal(ft.random.key(3), (64,)), (X,)),
    "a loop": (relaxed, (X[:24],)),
}


@contextmanager
def on_processor(name: str) -> Iterator[None]:
    """What is compiled in this block is for a processor that has no more than it has."""
    has = PROCESSORS[name].split()
    features = llvm.get_host_cpu_features()
    if not all(features.get(f, False) for f in has):
        pytest.skip(f"this machine cannot do what {name} can")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llvm, "get_host_cpu_name", lambda: name)
        patch.setattr(llvm, "get_host_cpu_features", lambda: type(features)({f: f in has for f in features}))
        patch.setattr(links, "_kept", {})
        usual, engine.made[:] = engine.made[:], [Engine()]
        try:
            yield
        finally:
            engine.made[:] = usual


@pytest.mark.slow
@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("tier", ["quick", "thorough"])
def test_values_are_those_of_the_interpreter(processor: str, tier: str) -> None:
    programs = {name: (staged(function, args), args) for name, (function, args) in KERNELS.items()}
    with on_processor(processor):
        found = {name: natively(jaxpr, args, tier) for name, (jaxpr, args) in programs.items()}
    for name, (jaxpr, args) in programs.items():
        wanted = interpreted(jaxpr, args)
        assert_all_close(found[name], wanted, 2e-6 if name == "functions of floats" else 1e-12)


@pytest.mark.parametrize(("processor", "width"), [("x86-64", 2), ("haswell", 4), ("znver4", 8)])
def test_functions_are_computed_in_vectors(processor: str, width: int) -> None:
    """With the widest that the C library has for this processor."""
    if not engine().has_vector_functions:
        pytest.skip("the C library has no vector functions")
    with on_processor(processor):
        assembly = str(ft.jit(lambda x: np.sin(x) + 1).lower(X).asm)
    assert set(re.findall(r"_ZGV[b-e]N(\d+)v_sin", assembly)) >= {str(width)}


@pytest.mark.parametrize(
    ("triple", "features", "wanted"),
    [
        ("x86_64-unknown-linux-gnu", OLD, (False, 16, 16)),
        ("x86_64-unknown-linux-gnu", AVX, (False, 32, 16)),
        ("x86_64-unknown-linux-gnu", AVX2, (True, 32, 16)),
        ("x86_64-unknown-linux-gnu", f"{AVX2} avx512f", (True, 64, 32)),
        ("aarch64-unknown-linux-gnu", "neon fp-armv8", (True, 16, 32)),
    ],
)
def test_what_kernels_are_arranged_for(triple: str, features: str, wanted: tuple[bool, int, int]) -> None:
    machine = SimpleNamespace(triple=triple, features=dict.fromkeys(features.split(), True))
    assert Engine._processor(machine) == wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("triple", "processor"), [("aarch64-unknown-linux-gnu", "neoverse-n1"), ("arm64-apple-darwin", "apple-m1")]
)
def test_texts_compile_for_other_architectures(
    triple: str, processor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine(), "has_vector_functions", False)
    texts = [str(ft.jit(function).lower(*args).llvm) for function, args in KERNELS.values()]
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(triple)
    for text in texts:
        machine = target.create_target_machine(cpu=processor, opt=3)
        text = text.replace(engine().triple, triple).replace(engine().layout, str(machine.target_data))
        module = llvm.parse_assembly(text.replace(f'"{engine().cpu}"', f'"{processor}"'), llvm.create_context())
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        assert machine.emit_object(module)
