"""Rules that are wrong: what `check` finds of what they compute, and what is said of what they return."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.custom_derivatives import SymbolicZero
from functrans.errors import ArgumentIndexError, CustomRuleError

X, V = np.array([0.4, 1.1, -0.7]), np.array([0.3, -1.0, 0.7])


def wave(x: Any, y: Any) -> Any:
    return np.sin(x) * y, np.sum(x * y)


def wave_push(primals: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = primals, tangents
    return wave(x, y), (np.cos(x) * y * dx + np.sin(x) * dy, np.sum(dx * y + x * dy))


def wave_back(residuals: Any, cts: Any) -> Any:
    (x, y), (du, dv) = residuals, cts
    return np.cos(x) * y * du + y * dv, np.sin(x) * du + x * dv


def wave_lanes(size: int, mapped: Any, x: Any, y: Any) -> Any:
    return (np.sin(x) * y, np.sum(x * y, axis=-1)), True


def wave_series(primals: Any, terms: Any) -> Any:
    return ft.jet(wave, primals, terms)


def changed(rule: Any, change: Any) -> Any:
    return lambda *args: change(rule(*args))


TRUE: dict[str, Any] = {
    "jvp": wave_push,
    "vjp": (lambda x, y: (wave(x, y), (x, y)), wave_back),
    "batch": wave_lanes,
    "jet": wave_series,
}
FALSE: dict[str, tuple[str, Any, str]] = {
    "tangent": (
        "jvp", changed(wave_push, lambda out: (out[0], (out[1][0] * 2, out[1][1]))),
        r"jvp .* differences .*\[0\]",
    ),
    "value": ("jvp", changed(wave_push, lambda out: ((out[0][0] + 1, out[0][1]), out[1])), "jvp .* the value of"),
    "tree": ("jvp", lambda p, t: (wave(*p)[0], wave_push(p, t)[1][0]), "jvp .* structure"),
    "cotangent": ("vjp", (TRUE["vjp"][0], changed(wave_back, lambda out: (out[0], -out[1]))), "vjp .* differences"),
    "lanes": (
        "batch", changed(wave_lanes, lambda out: ((out[0][0], out[0][1][::-1]), True)),
        r"batch .* loop over lanes .*\[1\]",
    ),
    "no lanes": ("batch", lambda n, m, x, y: (wave_lanes(n, m, x, y)[0], m[0]), r"batch .* type f64\[3,3\]"),
    "terms": (
        "jet", changed(wave_series, lambda out: (out[0], [*out[1][:2], wave(X, X)])),
        r"jet .* Taylor mode .*\[2\]",
    ),
    "jet value": ("jet", changed(wave_series, lambda out: (wave(X, X), out[1])), "jet .* the value of"),
    "second derivatives": (
        "jvp",
        lambda p, t: (wave(*p), wave_push((lax.stop_gradient(p[0]), p[1]), t)[1]),
        "jvp .* symmetry of second derivatives",
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16"])
def test_check_accepts_true_rules(dtype: str):
    args = X.astype(dtype), V.astype(dtype)
    if dtype == "c16":
        args = args[0] + 0.5j, args[1] - 1j
    for kind, rule in TRUE.items():
        ft.custom_rule(wave, **{kind: rule}, check=args)
    ft.custom_rule(wave, **TRUE, check=args)
    f = ft.custom_rule(wave)
    assert f.def_jvp(check=args)(wave_push) is wave_push
    f.def_vjp(*TRUE["vjp"], check=args)
    f.def_batch(wave_lanes, check=args)
    f.def_jet(wave_series, check=args)
    f.check(args)


@pytest.mark.parametrize("case", FALSE)
def test_check_rejects_false_rules(case: str):
    kind, rule, text = FALSE[case]
    with pytest.raises(CustomRuleError, match=f"The {text}"):
        ft.custom_rule(wave, **{kind: rule}, check=(X, V))
    f = ft.custom_rule(wave, **{kind: rule})
    with pytest.raises(CustomRuleError, match="`wave`"):
        f.check((X, V))


def test_check_of_two_rules_that_differ():
    """The vjp rule is half of what the jvp rule says."""
    half = changed(wave_back, lambda out: (out[0] / 2, out[1] / 2))
    with pytest.raises(CustomRuleError, match="The vjp rule of `wave` disagrees with the dot-product") as caught:
        ft.custom_rule(wave, jvp=wave_push, vjp=(TRUE["vjp"][0], half), check=(X, V))
    found, expected = map(float, re.findall(r"-?\d+\.\d+", caught.value.what))
    assert found == pytest.approx(expected / 2, rel=1e-6)


def test_check_with_integers_scalars_and_nondiff_arguments():
    f = ft.custom_rule(lambda g, x, n: (g(x) * n, n), nondiff_argnames="g")
    f.def_jvp(lambda g, p, t: (f(g, *p), (np.cos(p[0]) * t[0] * p[1], np.zeros((), ft.float0))), check=(np.sin, 0.5, 3))
    f.def_batch(lambda g, size, m, x, n: ((g(x) * n, n), (any(m), m[1])), check=(np.sin, 0.5, 3))
    with pytest.raises(CustomRuleError, match=r"found \[?1\.\]?, expected"):
        ft.custom_rule(lambda x: x * 2, jvp=lambda p, t: (p[0] * 2, t[0] / t[0]), check=(0.5,))


# ---- what bad rules get


def bad(**rules: Any) -> Any:
    f = ft.custom_rule(lambda x, y: {"u": x * y}, **rules)
    f.name = "f"
    return f


def fine(x: Any, y: Any) -> Any:
    return {"u": x * y}, (x, y)


def by_jvp(rule: Any) -> Any:
    return lambda: ft.jvp(bad(jvp=rule), (X, X), (V, V))


def by_vjp(back: Any, forward: Any = fine) -> Any:
    return lambda: ft.vjp(bad(vjp=(forward, back)), X, X)[1]({"u": V})


def by_vmap(rule: Any, wrap: Any = lambda f: f) -> Any:
    return lambda: ft.vmap(wrap(bad(batch=rule)))(np.stack([X, V]), np.stack([X, V]))


def by_jet(rule: Any) -> Any:
    return lambda: ft.jet(bad(jet=rule), (X, X), ([V, V], [V, V]))


U = {"u": X * X}
BAD = {
    "no pair": (by_jvp(lambda p, t: X), "The jvp rule of `f` returned an object of type ndarray instead of a pair"),
    "triple": (by_jvp(lambda p, t: (U, U, U)), "The jvp rule of `f` returned 3 values instead of a pair"),
    "structure": (by_jvp(lambda p, t: (U, X)), r"The jvp rule of `f` returned a tangent of structure"),
    "shape": (
        by_jvp(lambda p, t: (U, {"u": X[:1]})),
        r"jvp rule of `f` returned a tangent of type f64\[1\] for result\['u'\]",
    ),
    "dtype": (
        by_jvp(lambda p, t: (U, {"u": X.astype("f4")})),
        r"jvp rule of `f` .* f32\[3\] for result\['u'\] of type f64\[3\]",
    ),
    "complex": (by_jvp(lambda p, t: (U, {"u": X * 1j})), r"jvp rule of `f` .* c128\[3\]"),
    "zero": (by_jvp(lambda p, t: (U, {"u": SymbolicZero.from_primal_value(1.0)})), r"jvp rule of `f` .* f64\[\]"),
    "jitted result": (lambda: ft.jvp(ft.jit(bad(jvp=lambda p, t: ({"u": X[:1]}, {"u": X[:1]}))), (X, X), (V, V)),
                      r"jvp rule of `f` returned a result of type f64\[1\], but `f` itself one of type f64\[3\]"),
    "jitted tree": (lambda: ft.jvp(ft.jit(bad(jvp=lambda p, t: (X, X))), (X, X), (V, V)),
                    r"jvp rule of `f` returned a result of structure \*, but `f` itself one of structure \{'u': \*\}"),
    "no forward pair": (
        by_vjp(lambda r, ct: (V, V), lambda x, y: U),
        "The forward rule of `f` returned an object of type dict instead",
    ),
    "no tuple": (by_vjp(lambda r, ct: X), "The backward rule of `f` returned an object of type ndarray for 2 differentiable arguments"),
    "one cotangent": (
        by_vjp(lambda r, ct: (X,)),
        "The backward rule of `f` returned 1 value for 2 differentiable arguments",
    ),
    "cotangent tree": (
        by_vjp(lambda r, ct: (X, (X,))),
        r"backward rule of `f` returned a cotangent of structure \(\*,\) for argument 1 of structure \*",
    ),
    "cotangent shape": (
        by_vjp(lambda r, ct: (X, X[:1])),
        r"backward rule of `f` .* f64\[1\] for argument 1 of type f64\[3\]",
    ),
    "cotangent dtype": (
        by_vjp(lambda r, ct: (X.astype("f4"), X)),
        r"backward rule of `f` .* f32\[3\] for argument 0 of type f64\[3\]",
    ),
    "batch pair": (by_vmap(lambda n, m, x, y: {"u": x}), "The batch rule of `f` returned an object of type dict instead of a pair"),
    "lanes": (
        by_vmap(lambda n, m, x, y: ({"u": x[0]}, True)),
        r"batch rule of `f` returned f64\[3\] for result\['u'\] of 2 lanes",
    ),
    "flags": (by_vmap(lambda n, m, x, y: ({"u": x}, (True,))), "The batch rule of `f` returned flags of structure"),
    "jitted lanes": (by_vmap(lambda n, m, x, y: ({"u": x[:, :1]}, True), ft.jit),
                     r"batch rule of `f` returned a result of type f64\[1\], but `f` itself one of type f64\[3\]"),
    "jet pair": (by_jet(lambda p, s: U), "The jet rule of `f` returned an object of type dict instead of a pair"),
    "jet terms": (by_jet(lambda p, s: (U, [U])), "The jet rule of `f` returned 1 value where 2 derivatives belong"),
    "jet number": (by_jet(lambda p, s: (U, 3)), "The jet rule of `f` returned an object of type int where 2 derivatives belong"),
    "jet tree": (by_jet(lambda p, s: (U, [U, X])), "The jet rule of `f` returned a derivative of order 2 of structure"),
    "jet shape": (
        by_jet(lambda p, s: (U, [{"u": X[:1]}, U])),
        r"jet rule of `f` .* derivative of order 1 of type f64\[1\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_rules(case: str):
    run, text = BAD[case]
    with pytest.raises(CustomRuleError, match=text):
        run()


#: What the rules of `bad` may do to the result, and how it is called.
OTHERS = {
    "an array": (lambda u: u, r"structure \*, but .* structure \{'u': \*\}"),
    "one more": (lambda u: {"u": u, "v": u}, r"structure \{'u': \*, 'v': \*\}, but .* structure \{'u': \*\}"),
    "a list": (lambda u: [u], r"structure \[\*\], but .* structure \{'u': \*\}"),
    "one axis more": (lambda u: {"u": u[..., None]}, r"type f64\[3,1\], but .* type f64\[3\]"),
    "one axis less": (lambda u: {"u": u[..., 0]}, r"type f64\[\], but .* type f64\[3\]"),
    "longer": (lambda u: {"u": np.concatenate([u, u], -1)}, r"type f64\[6\], but .* type f64\[3\]"),
    "half as precise": (lambda u: {"u": u.astype("f4")}, r"type f32\[3\], but .* type f64\[3\]"),
}
RULES_OF = {
    "jvp": lambda other: by_jvp(lambda p, t: (other(p[0] * p[1]), other(t[0] * p[1] + p[0] * t[1]))),
    "vjp": lambda other: by_vjp(lambda r, ct: (V, V), lambda x, y: (other(x * y), None)),
    "batch": lambda other: by_vmap(lambda n, m, x, y: (other(x * y), True)),
    "jet": lambda other: by_jet(lambda p, s: (other(p[0] * p[1]), [other(t) for t in s[0]])),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", RULES_OF)
def test_results_by_rules_are_like_those_of_the_function(kind: str, other: str):
    """Whoever calls: directly, from a jitted function, and as one."""
    change, text = OTHERS[other]
    run = RULES_OF[kind](change)
    with pytest.raises(CustomRuleError, match=f"The {kind} rule of `f` returned a result of {text}"):
        run()
    with pytest.raises(CustomRuleError, match=f"The {kind} rule of `f` returned a result of {text}"):
        ft.jit(run)()
    RULES_OF[kind](lambda u: {"u": u})  # which is right


def test_functions_with_rules_are_traced_once_to_compare_types():
    runs: list[Any] = []

    @ft.custom_jvp
    def f(x: Any) -> Any:
        runs.append(x)
        return np.sin(x)

    f.defjvp(lambda p, t: (np.sin(p[0]), np.cos(p[0]) * t[0]))
    for _ in range(3):
        ft.grad(lambda x: np.sum(f(x)))(X)
    assert len(runs) == 1
    ft.vmap(ft.grad(f))(X)
    assert len(runs) == 2


def test_functions_that_nobody_can_trace_have_rules_for_all_results():
    f = ft.custom_jvp(lambda x: float(x) if x > 0 else 0)
    f.defjvp(lambda p, t: (p[0] * 1.0, t[0]))
    assert ft.grad(f)(2.0) == ft.grad(f)(-2.0) == 1.0


def test_functions_that_take_long_to_trace_are_not_traced_to_the_end():
    steps: list[int] = []

    def f(x: Any) -> Any:
        for i in range(20_000):
            steps.append(i)
            x = x + 1.0
        return x

    f = ft.custom_jvp(f)
    f.defjvp(lambda p, t: (p[0] + 20_000.0, t[0]))
    for _ in range(2):
        assert ft.jvp(f, (1.0,), (3.0,)) == (20_001.0, 3.0)
    assert len(steps) < 10_000


def test_rules_may_follow_a_function_that_changes():
    """What a function once returned is no measure of what it returns now."""
    count = 1
    f = ft.custom_jvp(lambda x: (x,) * count)
    f.defjvp(lambda p, t: ((p[0],) * count, (t[0],) * count))
    for count in (1, 2, 1, 3):
        assert f(2.0) == (2.0,) * count
        assert ft.jvp(f, (2.0,), (3.0,)) == ((2.0,) * count, (3.0,) * count)


def test_a_function_for_a_rule_for_lanes_without_one():
    f = ft.custom_batching.custom_vmap(lambda x: x * 2.0)
    assert f(3.0) == ft.jit(f)(3.0) == 6.0
    assert ft.grad(f)(3.0) == 2.0
    for wrap in (lambda f: f, ft.jit):
        with pytest.raises(CustomRuleError, match=r"called before its rule was defined[^@]*@<lambda>\.def_vmap"):
            ft.vmap(wrap(f))(X)


def test_bad_nondiff_arguments():
    with pytest.raises(ArgumentIndexError, match="nondiff_argnames names 'z', .* parameter of `wave`"):
        ft.custom_jvp(wave, nondiff_argnames=("z",))
    with pytest.raises(ArgumentIndexError, match="no positional parameter"):
        ft.custom_vjp(lambda x, *, n: x, nondiff_argnames="n")
    f = ft.custom_vjp(wave, nondiff_argnums=2)
    f.defvjp(*TRUE["vjp"])
    with pytest.raises(ArgumentIndexError, match="nondiff_argnums"):
        f(X, X)
    with pytest.raises(TypeError, match="custom_rule expects a function, not int"):
        ft.custom_rule(3)  # type: ignore[arg-type]
