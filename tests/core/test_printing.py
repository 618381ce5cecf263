"""The text of jaxprs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

import functrans as ft
from functrans.core.printing import jaxpr_text

X = np.ones((2, 3), "f4")


def test_one_equation_a_line():
    jaxpr = ft.make_jaxpr(lambda x, y: (np.sin(x) * y, x))(X, 2.0)
    assert str(jaxpr) == (
        "{ lambda a:f32[2,3] b:f64[]* .\n"
        "    c:f32[2,3] = sin a\n"
        "    d:f32[2,3] = multiply c b\n"
        "  in (d, a) }"
    )  # fmt: skip


def test_literals_and_parameters():
    text = str(ft.make_jaxpr(lambda x: np.sum(x * 2.5 + X, axis=1) + (1 + 2j))(X))
    assert "multiply a 2.5" in text
    assert "<f32[2,3]>" in text
    assert "[axes=(1,)]" in text
    assert "(1+2j)" in text


def test_dtypes_as_parameters():
    assert "convert[dtype=i32] a" in str(ft.make_jaxpr(lambda x: x.astype("i4"))(X))


def test_inner_jaxprs_are_indented_and_names_go_on():
    text = str(ft.make_jaxpr(ft.jit(lambda x: np.sin(x) * 2.0))(1.0))
    assert text == (
        "{ lambda a:f64[]* .\n"
        "    e:f64[] = call[jaxpr={ lambda b:f64[]* .\n"
        "            c:f64[] = sin b\n"
        "            d:f64[] = multiply c 2\n"
        "          in (d) } name=<lambda>] a\n"
        "  in (e) }"
    )


def test_sources():
    def f(x):  # type: ignore[no-untyped-def]
        y = np.sin(x)
        return y * 2

    jaxpr = ft.make_jaxpr(f)(1.0)
    line = f.__code__.co_firstlineno
    assert jaxpr_text(jaxpr, sources=True).splitlines()[1:3] == [
        f"{'    b:f64[] = sin a':60}  # test_printing.py:{line + 1} (f)",
        f"{'    c:f64[] = multiply b 2':60}  # test_printing.py:{line + 2} (f)",
    ]
    assert "#" not in str(jaxpr)


def test_many_names():
    def f(x):  # type: ignore[no-untyped-def]
        for _ in range(800):
            x = np.sin(x)
        return x

    text = str(ft.make_jaxpr(f)(1.0))
    assert " aa:f64[] = sin z" in text
    assert " aaa:f64[] = sin zz" in text


def test_lowered_text():
    lowered = ft.jit(lambda x: np.sin(x) + 1).lower(X)
    assert "sin" in lowered.as_text()
    assert "# test_printing.py" in lowered.as_text()
    assert "#" not in lowered.as_text(sources=False)
    assert repr(lowered).startswith("<Lowered <lambda>: 2 equations")


def test_tracers_say_what_they_are():
    shown = []
    ft.jit(lambda x: shown.append(repr(x)) or x)(X)
    ft.vmap(lambda x: shown.append(f"{x}") or x)(X)
    ft.jvp(lambda x: shown.append(str(x)) or x, (1.0,), (2.0,))
    assert shown[0] == "JaxprTracer<f32[2,3]>"
    assert shown[1].startswith("BatchTracer<f32[3], mapped")
    assert shown[2] == "JVPTracer<primal=1.0, tangent=2.0>"


def test_an_index_is_printed_as_it_is_written():
    x, i = np.ones((3, 4, 5)), np.array([0, 2])
    for f, text in (
        (lambda x, i: x[i], "gather[spec=x[i] fill=0] a b"),
        (lambda x, i: x[:, i], "gather[spec=x[:,i] fill=0]"),
        (lambda x, i: x[i, :, i], "gather[spec=x[i,:,j] fill=0]"),
        (lambda x, i: x[:, i, i], "gather[spec=x[:,i,j] fill=0]"),
        (lambda x, i: np.take(x, i, axis=1, mode="clip"), "gather[spec=x[:,i]/clip fill=0]"),
        (lambda x, i: ft.vmap(lambda x, i: x[:, i], out_axes=1)(x, np.stack([i, i, i])), "->"),
    ):  # fmt: skip
        assert text in str(ft.make_jaxpr(f)(x, i))


def test_a_jaxpr_is_text_in_a_fresh_process():
    program = "import functrans as ft; print(ft.make_jaxpr(lambda x: x * 2)(1.0))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "multiply" in run.stdout
