"""Kernels compiled for GPUs, on a machine that need not have one: for each generation, without memory for spills."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler.backends.cuda import nvrtc
from functrans.compiler.backends.cuda.launches import NAME, module_text
from functrans.compiler.backends.cuda.numbers import placing
from functrans.errors import CudaCompilationError
from functrans.settings import config
from tests.helpers.cases import all_cases
from tests.helpers.cuda.cubins import (
    ARCHITECTURES,
    FEW_BYTES,
    check_kernels,
    check_later,
    check_pending,
    memory_of_threads,
)
from tests.helpers.cuda.device import is_possible
from tests.helpers.cuda.running import kernels_of, lowered
from tests.helpers.tiers import staged

pytestmark = [
    pytest.mark.skipif(not nvrtc.is_available(), reason="NVRTC is not installed: pip install nvidia-cuda-nvrtc"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

architectures = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.mark.skipif(is_possible(), reason="kernels are compiled where they are run, on the emulator")
def test_kernels_of_every_primitive():
    for case in all_cases():
        encoder = lowered(staged(case.function, case.args), case.args)
        check_kernels(list(dict.fromkeys(encoder.functions.values())))


@pytest.mark.parametrize("thoroughly", [True, False])
def test_kernels_whose_threads_need_memory_are_refused(thoroughly):
    text = f"KERNEL {NAME}(int64 *x) {{ volatile int64 mine[64]; mine[x[0]] = x[1]; x[2] = mine[x[3]]; }}"
    with pytest.raises(AssertionError, match=r"512 bytes for each thread on sm_"):
        check_kernels([text], thoroughly=thoroughly)
    check_later([text])
    with pytest.raises(AssertionError, match="first made in .*test_kernels_whose_threads_need_memory_are_refused"):
        check_pending(thoroughly)
    check_pending(thoroughly)


@pytest.mark.parametrize("thoroughly", [True, False])
@architectures
def test_kernels_that_do_not_compile_for_some_gpu_are_refused(architecture, thoroughly):
    text = f"""#if __CUDA_ARCH__ == {architecture.removeprefix("sm_")}0
        #error not here
        #endif
        KERNEL {NAME}(int64 *x) {{}}"""
    with pytest.raises(CudaCompilationError, match="not here"):
        check_kernels([text], thoroughly=thoroughly)


@architectures
def test_arithmetic_needs_no_memory_of_its_own(architecture):
    x = np.ones((64, 512), np.float32)
    texts = [
        *kernels_of(lambda x: (x * 2 + 1) * x, x),
        *kernels_of(lambda x: np.sum(x * x, 1), x),
        *kernels_of(lambda x: np.sum(x * x, 0), np.ones((4096, 64), np.float32)),
    ]
    assert set(memory_of_threads(texts, architecture).values()) == {0}
    # For sm_120 ptxas 13 puts one number of a chain aside, to do with 48 registers.
    assert max(memory_of_threads(kernels_of(softmax, x), architecture).values()) <= 8


@architectures
def test_numbers_of_the_host_need_no_memory_of_their_own(architecture):
    texts = [launch.source for launch in placing([(0, 0), (1, 0), (1, 8)], 2)]
    assert set(memory_of_threads(texts, architecture).values()) == {0}


@pytest.mark.skipif(not is_possible(), reason="g++ is needed")
def test_what_nvrtc_opens_by_name_is_found_beside_it(tmp_path, monkeypatch):
    builtins, library = tmp_path / "libnvrtc-builtins.so.99.0", tmp_path / "libnvrtc.so.99"
    text = f"""#include <dlfcn.h>
    extern "C" int nvrtcVersion(int *major, int *) {{
      *major = dlopen("{builtins.name}", RTLD_LAZY) ? 99 : 0;
      return 0;
    }}"""
    for path, source in ((builtins, "int nothing;"), (library, text)):
        command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", path, f"-Wl,-soname,{path.name}", "-ldl"]
        subprocess.run(command, input=source, text=True, check=True)
    monkeypatch.setattr(nvrtc, "_candidates", lambda: [str(library)])
    assert [version for version, _ in nvrtc._loaded()] == [99]


def softmax(x):
    e = np.exp(x - np.max(x, -1, keepdims=True))
    return e / np.sum(e, -1, keepdims=True)


@pytest.mark.parametrize(
    ("dtype", "instruction"), [("f4", "ld.global.nc.v4.f32"), ("f8", "ld.global.nc.v2.f64"), ("i4", "ld.global.nc.v4.u32")]
)
def test_aligned_neighbours_are_loaded_together(dtype, instruction):
    x = np.ones((8, 64), dtype)
    for function in (lambda x: x * x + x, lambda x: np.sum(x * x, 1), lambda x, y=x[0]: x * y):
        for text in kernels_of(function, x, division="warps"):
            ptx = nvrtc.ptx(module_text({"kernel": text}), "sm_90")
            assert instruction in ptx.replace("s32", "u32").replace("b32", "u32" if dtype == "i4" else "f32").replace(
                "b64", "f64"
            ), ptx


@architectures
def test_tiles_are_turned_in_shared_memory(architecture):
    x = np.ones((64, 512), "f4")
    (text,) = kernels_of(lambda x, y: np.sin(x.T) + y, x, x.T.copy())
    assert set(memory_of_threads([text], architecture).values()) <= set(range(FEW_BYTES + 1))
    ptx = nvrtc.ptx(module_text({"kernel": text}), architecture)
    assert "st.shared.f32" in ptx.replace("b32", "f32")
    assert "bar.sync" in ptx or "barrier.sync" in ptx


@architectures
@pytest.mark.parametrize(("dtype", "lanes"), [("f4", 4), ("f8", 2)])
def test_scans_move_neighbours_together_and_keep_all_in_registers(dtype, lanes, architecture):
    x = np.ones((64, 512), dtype)
    texts = [kernels_of(lambda x: np.cumsum(x, 1), x, division=name)[0] for name in ("usual", "blocks")]
    assert set(memory_of_threads(texts, architecture).values()) <= set(range(FEW_BYTES + 1))
    for text in texts:
        ptx = nvrtc.ptx(module_text({"kernel": text}), architecture)
        assert re.search(rf"ld\.global(\.nc)?\.v{lanes}\.", ptx), ptx
        assert re.search(rf"st\.global\.v{lanes}\.", ptx), ptx
        assert "shfl.sync.up" in ptx


def test_many_operands_are_loaded_one_by_one_and_stay_in_registers():
    x = np.ones((100, 64))
    (text,) = kernels_of(lambda x: sum(x[k] for k in range(1, 100, 2)) * 2.0, x)
    assert "Vector" not in text
    check_kernels([text])


def test_neighbours_that_are_not_aligned_are_loaded_one_by_one():
    x = np.ones(65, "f4")
    for function in (lambda x: x * x, lambda x: x[1:] * 2.0):
        (text,) = kernels_of(function, x)
        assert "Vector" not in text


def test_cubins_are_kept_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCTRANS_CACHE_DIR", str(tmp_path))
    calls = []
    original = nvrtc.compiled
    monkeypatch.setattr(nvrtc, "compiled", lambda *args: calls.append(args) or original(*args))
    source = module_text({"kernel": f"KERNEL {NAME}(float32 *x) {{ *x *= 2; }}"})
    with config.using(disk_cache=True):
        first = nvrtc.cubin(source, "sm_90")
        assert nvrtc.cubin(source, "sm_90") == first
        assert len(calls) == 1
        nvrtc.cubin(source, "sm_80")
        assert len(calls) == 2
        for path in tmp_path.rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[:-7] + b"damaged")
        assert nvrtc.cubin(source, "sm_90") == first
        assert len(calls) == 3


def test_a_library_that_the_driver_understands_is_preferred():
    """Wheels of several versions may be installed, and a driver loads nothing that a later version has compiled."""
    found = [(13, "thirteen"), (12, "twelve")]
    assert [nvrtc.chosen(found, newest) for newest in (None, 13, 12, 11)] == ["thirteen", "thirteen", "twelve", "thirteen"]
    assert nvrtc.chosen([], 13) is None


def test_texts_that_do_not_compile():
    with pytest.raises(CudaCompilationError, match="expected an expression"):
        nvrtc.cubin(module_text({"kernel": f"KERNEL {NAME}() {{ const int x = ; }}"}), "sm_90")


def test_lowering_for_a_gpu_needs_none():
    found = ft.jit(softmax).lower(np.ones((64, 512), "f4"), backend="cuda")
    assert "KERNEL" in found.cuda
    assert found.cubin("sm_90").startswith(b"\x7fELF")
    assert found.cubin("sm_120") != found.cubin("sm_90")


def test_a_lane_of_a_loop_keeps_its_state_in_registers():
    """Three numbers, their derivatives, and what a lane needs to stop on its own."""

    def step(s):
        x, y, z = s
        return s + 0.01 * np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    def end(s):
        return lax.fori_loop(0, 100, lambda i, s: step(s), s)

    def stopped(s):
        return lax.while_loop(lambda s: s[0] < 9, step, s)

    s = np.ones((1000, 3))
    texts = [t for f in (end, stopped) for t in kernels_of(ft.vmap(f), s) if "const int64 lanes" in t]
    texts += [t for t in kernels_of(ft.grad(lambda s: np.sum(ft.vmap(end)(s))), s) if "const int64 lanes" in t]
    assert len(texts) == 4
    for architecture in ARCHITECTURES:
        assert set(memory_of_threads(texts, architecture).values()) == {0}
