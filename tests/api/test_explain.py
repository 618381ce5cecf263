"""functrans.explain: true sentences about what the compiler did."""

import numpy as np
import pytest

import functrans as ft
from functrans.settings import processors

pytest.importorskip("llvmlite")
X = np.linspace(0.1, 2.0, 1000)
TABLE = np.arange(1000.0)


def text(f, *args, **kwargs):
    return str(ft.explain(f, *args, **kwargs))


def test_what_fuses():
    def f(x):
        return np.exp(np.sin(x) * 2.0)

    found = text(f, X)
    assert "3 equations run as 1 kernel." in found
    assert "computes sin, multiply and exp together, in one pass" in found
    assert f"line {f.__code__.co_firstlineno + 1} of test_explain.py" in found


def test_what_runs_in_python_and_where():
    def f(x):
        return ft.scipy.linalg.solve_sylvester(x, x, x) * 2

    found = text(f, np.eye(4))
    line = f.__code__.co_firstlineno + 1
    assert f"`sylvester` (line {line} of test_explain.py) runs in Python, by NumPy or SciPy" in found
    assert "is no kernel but a call of Python" in found


def test_what_lapack_does():
    found = text(lambda x: np.linalg.svd(x)[1] * 2, np.eye(4))
    assert "`svd`" in found
    assert "by LAPACK, 4 x 4, without Python" in found
    assert "runs in Python, by NumPy or SciPy" not in found
    assert "call of Python" not in found


def test_small_matrices():
    a = np.eye(3) + np.zeros((7, 1, 1))
    found = text(lambda a: np.linalg.solve(a, a), a)
    assert "A kernel over 7 computes solve (line" in found
    assert "a matrix at each point" in found
    assert "has no result for a matrix" in found
    assert "LAPACK" not in found
    found = text(np.linalg.cholesky, np.eye(9) + np.zeros((40, 1, 1)))
    assert "Loops over the rows of 40 matrices, 8 of them side by side, compute cholesky" in found
    assert "A matrix may have no result, which is an error." in found
    found = text(lambda a: ft.lax.scan(lambda x, m: (np.linalg.solve(m, x), None), np.ones(3), a)[0], a)
    assert "At 1 place in it a matrix may have no result, which is an error." in found
    assert "Indices are checked" not in found


def test_what_a_tape_is_for():
    found = text(ft.grad(lambda x: ft.lax.fori_loop(0, x.astype(int), lambda i, c: np.sin(c) * x, x)), 3.0)
    assert "for the derivative, on a tape in memory that grows in blocks" in found
    assert "from the tape of another loop" in found


def test_why_kernels_are_apart():
    found = text(lambda x: x / np.sum(x), X)
    assert "a reduction must be finished before its result is used" in found
    found = text(lambda x, w: np.tanh(x @ w) * 2, np.ones((20, 30)), np.ones((30, 40)))
    assert "A matrix product, 20 x 30 by 30 x 40, by BLAS" in found
    assert "is no kernel but a matrix product" in found
    found = text(lambda x, i: np.sin(ft.numpy.at(x)[i].add(1.0)), X, np.array([0, 1]))
    assert "is a kernel that fuses with no other" in found


def test_several_loops_that_are_one_function_each():
    def f(x):
        return [ft.lax.fori_loop(0, 3, lambda i, y: np.sin(y), y) for y in (x, 2 * x)]

    assert "2 loops, each as one function" in ft.explain(f, 1.0).sentences[0]


def test_loops_in_registers():
    def f(x):
        return ft.lax.scan(lambda c, _: (c - np.mean(c), c), x, None, 10)

    assert "Its state, 3 numbers, stays in registers." in text(f, np.ones(3))
    found = text(f, np.ones(1000))
    why = (
        "an array that is needed as a whole has 1000 elements, and 64 is the limit; nor can lanes run on their own, for "
        "lanes have to do with each other in `reduce_sum`"
    )
    assert f"Its state is in memory, not in registers: {why}." in found
    assert "A copy of x to r0 (8 kB): a loop (`scan`) changes its state where the result is to be" in found


def test_loops_over_lanes():
    found = text(ft.vmap(lambda x: ft.lax.fori_loop(0, 9, lambda i, c: np.sin(c) * x, x)), np.ones((1000, 3)))
    assert "Its 1000 lanes have nothing to do with each other: each takes all steps in one go, side by side." in found
    assert "Its state, 3 numbers a lane, stays in registers." in found


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (lambda c: np.sort(c), "`sort` is not computed element by element"),
        (lambda c: np.outer(np.tile(c, 3), np.tile(c, 3))[:3, 0], "`multiply` makes 81 elements, and 64 is the limit"),
        (lambda c: c + np.sum(ft.numpy.asarray(TABLE) * c[0]), "has 1000 elements, and 64 is the limit"),
        (lambda c: c * np.sum(np.linalg.svd(np.eye(3) + c)[1]), "is not computed element by element"),
    ],
)
def test_why_a_loop_is_not_in_registers(step, why):
    found = text(lambda x: ft.lax.scan(lambda c, _: (step(c), None), x, None, 10)[0], np.ones(3))
    assert "in memory, not in registers" in found
    assert why in found


def test_while_loops_and_branches():
    found = text(lambda x: ft.lax.while_loop(lambda c: np.sum(c) < 1e6, lambda c: c * 2.0, x), X)
    assert "A while loop" in found
    found = text(lambda x: ft.lax.cond(np.sum(x) > 0, np.sin, np.cos, x), X)
    assert "One of 2 branches runs" in found


def test_what_is_computed_twice():
    def f(x):
        y = x + 1.0
        return y, np.sort(y) * np.sum(y * y)

    found = text(f, X)
    assert "add is computed in [1], and here a second time" in found
    assert "a second time" not in text(lambda x: np.sum(np.exp(x)), X)


def test_what_is_copied_and_why():
    found = text(lambda x: (np.sort(x.T.reshape(-1)), x.T), np.ones((30, 40)))
    assert "does not lie in memory in the order of its elements" in found or "transpose" in found
    assert "a result is memory of its own" in found


def test_simplification():
    found = ft.explain(lambda x: (np.log(1 + x), np.sin(x))[0], X)
    (lines,) = (sentences for heading, sentences in found.sections if heading == "Simplification")
    together = " ".join(sentence for _, sentence in lines)
    assert "sin" in together
    assert "log1p came" in together
    assert "Simplification" not in text(lambda x: np.sin(x), X)


def test_handed_on_results():
    found = text(lambda x: (x, 3.0, np.sin(x)), X)
    assert "Result 0 is an argument, handed on as it is." in found
    assert "Result 1 is a constant" in found


def test_threads_and_compilation():
    large = ft.ShapeDtypeStruct((3_000_000,), float)
    count = min(2, processors())
    with ft.config.using(threads=2):
        found = text(lambda x: np.exp(np.sin(x)), large)
    assert f"It is divided among {count} threads." in found or count == 1
    with ft.config.using(threads=1):
        assert "divided among" not in text(lambda x: np.exp(np.sin(x)), large)
    with ft.config.using(threads=2):
        some = text(lambda x: np.sum(x), ft.ShapeDtypeStruct((100_000,), float))
    assert f"It is divided among {count} threads, if others are awake" in some or count == 1
    assert "compiled thoroughly at once" in found
    small = text(lambda x: np.exp(np.sin(x)), ft.ShapeDtypeStruct((10,), float))
    assert "threads" not in small
    assert "compiled quickly" in small


def test_jitted_functions_static_arguments_and_types():
    def power(x, n):
        return x**n

    jitted = ft.jit(power, static_argnums=1)
    assert "x:f64[5]" in text(jitted, ft.ShapeDtypeStruct((5,), float), 3)
    assert jitted.lower(X, 3).explain().sentences == ft.explain(jitted, X, 3).sentences


def test_nothing_runs():
    calls = []

    def f(x):
        ft.debug.callback(calls.append, x)
        return np.sin(x)

    assert "callback" in text(f, X)
    assert calls == []


def test_programs_of_all_kinds_have_their_sentences():
    def f(x, i):
        return np.concatenate([x, np.pad(x, 2)])[i], ft.lax.dynamic_update_slice(x, x[:2], (3,))

    found = ft.explain(ft.grad(lambda x, i: sum(np.sum(y) for y in f(x, i))), X, np.arange(5))
    assert all(sentence.endswith((".", "!")) for sentence in found.sentences)
    assert str(found)


def test_html():
    found = ft.explain(lambda x: x < 2, X)._repr_html_()
    assert found.count("<ul>") == found.count("</ul>") >= 3
    assert "<lambda>" not in found
