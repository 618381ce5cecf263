"""checkpoint: no policy changes a derivative; what is kept and how often the rest is computed are as it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import checkpoint_policies as policies
from functrans import debug, lax
from functrans.compiler.program import simplified
from functrans.core.jaxpr import Jaxpr, check_jaxpr, sub_jaxprs
from functrans.errors import CheckpointPolicyError
from functrans.primitives.elementwise import sin
from tests.helpers.oracles import assert_close
from tests.helpers.structured_programs import structured_programs, vectors

X = np.array([0.3, -0.7, 1.1])
W = np.random.default_rng(3).normal(size=(3, 3))
POLICIES = [
    None,
    policies.nothing_saveable,
    policies.everything_saveable,
    policies.dots_saveable,
    policies.dots_with_no_batch_dims_saveable,
    policies.save_only_these_names("a", "c"),
    policies.save_any_names_but_these("b"),
    policies.save_anything_except_these_names("a", "b"),
    policies.save_from_both_policies(policies.dots_saveable, policies.save_only_these_names("b")),
]


def layers(w: Any, x: Any) -> Any:
    """Named values, dots, and a jitted part."""
    a = ft.checkpoint_name(np.exp(np.sin(x)), "a")
    b = ft.checkpoint_name(w @ a, "b")
    c = ft.jit(lambda b: ft.checkpoint_name(np.tanh(b), "c") * np.cos(b))(b)
    return np.sin(w @ c)


def drawn_policy(seed: int) -> Callable[..., bool]:
    """A policy that says anything, but always the same to the same equation."""

    def policy(primitive: Any, *avals: Any, **params: Any) -> bool:
        return bool(crc32(f"{seed} {primitive.name} {params.get('name')}".encode()) & 4)

    return policy


def count(jaxpr: Jaxpr) -> Counter[str]:
    """How many equations of each primitive run, programs inside included."""
    eqns = simplified(jaxpr).eqns
    total = Counter(eqn.primitive.name for eqn in eqns)
    for eqn in eqns:
        for inner in sub_jaxprs(eqn):
            total += count(inner)
    return total


def gradient_counts(f: Callable[..., Any], *args: Any) -> Counter[str]:
    """The equations that run for a value and its gradient."""
    return count(ft.make_jaxpr(ft.value_and_grad(lambda *xs: np.sum(f(*xs))))(*args))


def kept(f: Callable[..., Any], *args: Any) -> list[str]:
    """Where residuals come from, without lines."""
    return [origin.split(" from test")[0] for _, origin in ft.saved_residuals(f, *args)]


# ---- derivatives


@pytest.mark.parametrize("policy", POLICIES)
def test_derivatives_are_those_without_checkpoint(policy: Any) -> None:
    f = ft.checkpoint(layers, policy=policy)
    loss = lambda g: lambda w, x: np.sum(g(w, x) ** 2)  # noqa: E731
    with np.errstate(all="ignore"):
        for of in (
            lambda g: g,
            lambda g: ft.grad(loss(g), argnums=(0, 1)),
            lambda g: lambda w, x: ft.jvp(ft.grad(loss(g), argnums=1), (w, x), (w, x))[1],
            lambda g: lambda w, x: ft.grad(lambda x: np.sum(ft.grad(loss(g), argnums=1)(w, x) * x))(x),
            lambda g: ft.hessian(loss(g), argnums=1),
            lambda g: lambda w, x: ft.vmap(ft.grad(loss(g)), in_axes=(None, 0))(w, np.stack([x, 2 * x])),
            lambda g: ft.grad(lambda w, x: np.sum(ft.vmap(g, in_axes=(None, 0))(w, np.stack([x, 2 * x])))),
            lambda g: ft.jacfwd(ft.jacrev(g, argnums=1), argnums=1),
            lambda g: lambda w, x: ft.linearize(lambda x: g(w, x), x)[1](x),
        ):
            wanted = of(layers)(W, X)
            for found in (of(f)(W, X), ft.jit(of(f))(W, X), of(ft.jit(f))(W, X)):
                ft.tree.map(lambda a, b: assert_close(a, b, 1e-11), found, wanted)


@given(structured_programs(), st.integers(0, 10**6), vectors(), vectors())
@settings(max_examples=15, deadline=None)
def test_any_policy_changes_no_derivative(program: Any, seed: int, x: np.ndarray, p: np.ndarray) -> None:
    f = ft.checkpoint(program.ours, policy=drawn_policy(seed))
    with np.errstate(all="ignore"):
        for of in (
            lambda g: ft.grad(lambda x, p: np.sum(g(x, p)), argnums=(0, 1)),
            lambda g: lambda x, p: ft.jvp(ft.grad(lambda x: np.sum(g(x, p))), (x,), (p,))[1],
        ):
            ft.tree.map(lambda a, b: assert_close(a, b, 1e-9), of(f)(x, p), of(program.ours)(x, p))


@st.composite
def nested_functions(draw: st.DrawFn, depth: int = 3) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A function with checkpoints in checkpoints, each with a policy, and the same without."""
    operations: list[tuple[Callable[..., Any], Callable[..., Any]]] = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["inner"] * 2 + list("abc") + ["sin", "tanh", "dot"])) if depth else "sin"
        if kind == "inner":
            operations.append(draw(nested_functions(depth - 1)))
        elif kind in "abc":
            operations.append((lambda x, kind=kind: ft.checkpoint_name(np.exp(-x), kind), lambda x: np.exp(-x)))
        else:
            one = {"sin": np.sin, "tanh": np.tanh, "dot": lambda x: W @ x}[kind]
            operations.append((one, one))
    policy = draw(st.sampled_from(POLICIES) | st.integers(0, 10**6).map(drawn_policy))

    def run(which: int, x: Any) -> Any:
        for operation in operations:
            x = operation[which](x)
        return x

    return ft.checkpoint(lambda x: run(0, x), policy=policy), lambda x: run(1, x)


@given(nested_functions())
@settings(max_examples=25, deadline=None)
def test_checkpoints_nest(functions: Any) -> None:
    ours, plain = functions
    slope = lambda g: ft.grad(lambda x: np.sum(g(x)))  # noqa: E731
    curvature = lambda g: lambda x: ft.grad(lambda x: np.sum(slope(g)(x) * X))(x)  # noqa: E731
    with np.errstate(all="ignore"):
        for of in (slope, curvature, lambda g: lambda x: ft.vmap(slope(g))(x[None]), lambda g: ft.jit(curvature(g))):
            assert_close(of(ours)(X), of(plain)(X), 1e-10)
        check_jaxpr(ft.make_jaxpr(curvature(ours))(X))


# ---- what is kept, and how often the rest is computed


def chain(x: Any) -> Any:
    return np.sin(np.exp(ft.checkpoint_name(np.sin(x), "inner")))


@pytest.mark.parametrize("policy", [None, policies.nothing_saveable, policies.dots_saveable])
def test_without_anything_to_keep_everything_is_computed_twice(policy: Any) -> None:
    f = ft.checkpoint(chain, policy=policy)
    assert kept(f, X) == ["from the argument x"]
    counts = gradient_counts(f, X)
    assert (counts["exp"], counts["sin"]) == (2, 3)  # the last sine is of no use to the derivative


def test_everything_saveable_keeps_what_is_kept_without_checkpoint() -> None:
    f = ft.checkpoint(layers, policy=policies.everything_saveable)
    assert sorted(map(str, ft.saved_residuals(f, W, X))) == sorted(map(str, ft.saved_residuals(layers, W, X)))
    ours, plain = gradient_counts(f, W, X), gradient_counts(layers, W, X)
    for name in ("sin", "cos", "exp", "tanh", "dot_general"):
        assert ours[name] == plain[name]


def test_a_value_is_kept_by_its_name() -> None:
    f = ft.checkpoint(chain, policy=policies.save_only_these_names("inner"))
    assert kept(f, X) == ["from the argument x", "named 'inner'"]
    counts = gradient_counts(f, X)
    assert (counts["exp"], counts["sin"]) == (2, 2)


def test_a_name_speaks_for_the_value_that_has_it() -> None:
    """The derivative of exp uses its result, as it is before it gets its name."""
    f = ft.checkpoint(lambda x: ft.checkpoint_name(np.exp(x), "e"), policy=policies.save_only_these_names("e"))
    assert kept(f, X) == ["named 'e'"]
    assert gradient_counts(f, X)["exp"] == 1


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_value_may_have_several_names(name: str) -> None:
    twice = lambda x: np.sin(ft.checkpoint_name(ft.checkpoint_name(np.exp(x), "first"), "second"))  # noqa: E731
    f = ft.checkpoint(twice, policy=policies.save_only_these_names(name))
    assert kept(f, X) == [f"named {name!r}"]
    assert gradient_counts(f, X)["exp"] == 1


def test_a_named_argument_is_that_argument() -> None:
    f = ft.checkpoint(lambda x: np.sin(ft.checkpoint_name(x, "x")), policy=policies.save_only_these_names("x"))
    assert kept(f, X) == ["from the argument x"]
    assert gradient_counts(f, X)["checkpoint"] == 2


def test_names_on_trees() -> None:
    tree = {"a": X, "b": [None, 2.0]}
    named = ft.checkpoint_name(tree, "t")
    assert named["a"] is X
    assert named["b"] == [None, 2.0]
    assert ft.grad(lambda t: np.sum(ft.checkpoint_name(t, "t")["a"] ** 2))({"a": X, "b": 1.0})["a"] == pytest.approx(2 * X)


def test_assigning_into_a_named_value_writes_to_the_value() -> None:
    def f(x: Any) -> Any:
        y = np.sin(x)
        ft.checkpoint_name(y, "y")[0] = 5.0
        return y

    assert_close(ft.jit(f)(X), f(X), 0)
    assert_close(ft.jvp(f, (X,), (X,))[0], f(X), 0)


def test_dots_are_kept() -> None:
    f = ft.checkpoint(layers, policy=policies.dots_saveable)
    dots = [gradient_counts(g, W, X)["dot_general"] for g in (layers, f, ft.checkpoint(layers))]
    assert dots == [5, 5, 7]  # three of them in the derivative
    assert [k for k in kept(f, W, X) if "argument" not in k] == ["named 'b'", "output of dot_general"]


def test_convolutions_are_dots() -> None:
    image, kernel = np.ones((1, 1, 5, 5)), np.ones((1, 1, 2, 2))
    f = lambda x, w: np.sin(ft.lax.conv(x, w, (1, 1), "VALID"))  # noqa: E731
    assert "output of conv_general" in kept(ft.checkpoint(f, policy=policies.dots_saveable), image, kernel)


def test_dots_with_batch_dimensions_can_be_told_apart() -> None:
    def f(w: Any, x: Any) -> Any:
        return np.sin(np.sin(x @ w) @ np.swapaxes(x, -1, -2))

    args = W, np.ones((2, 4, 3))
    dots, dots_without_batch = policies.dots_saveable, policies.dots_with_no_batch_dims_saveable
    shapes = [
        [a.shape for a, origin in ft.saved_residuals(ft.checkpoint(f, policy=p), *args) if "dot" in origin]
        for p in (dots, dots_without_batch)
    ]
    assert shapes == [[(2, 4, 3), (2, 4, 4)], [(2, 4, 3)]]
    assert policies.checkpoint_dots is dots
    assert policies.checkpoint_dots_with_no_batch_dims is dots_without_batch


def test_all_named_values_but_some() -> None:
    f = ft.checkpoint(layers, policy=policies.save_any_names_but_these("b"))
    assert kept(f, W, X) == ["from the argument w", "from the argument x", "named 'a'", "named 'c'"]


def test_anything_but_some_names_does_not_keep_the_value_without_its_name() -> None:
    anything_but_a = policies.save_anything_except_these_names("a")
    names = kept(ft.checkpoint(layers, policy=anything_but_a), W, X)
    assert not {"named 'a'", "output of exp"} & set(names)
    assert {"named 'c'", "output of sin"} <= set(names)
    both = policies.save_from_both_policies(anything_but_a, policies.save_only_these_names("a"))
    assert "named 'a'" in kept(ft.checkpoint(layers, policy=both), W, X)


def test_either_of_two_policies_may_keep() -> None:
    both = policies.save_from_both_policies(policies.dots_saveable, policies.save_only_these_names("a"))
    assert [k for k in kept(ft.checkpoint(layers, policy=both), W, X) if "argument" not in k] == [
        "named 'a'", "named 'b'", "output of dot_general",
    ]  # fmt: skip


def test_a_policy_sees_into_nested_checkpoints_and_jitted_functions() -> None:
    inner = ft.checkpoint(ft.jit(layers))
    f = ft.checkpoint(lambda w, x: np.sin(inner(w, np.sin(x))), policy=policies.save_only_these_names("c"))
    assert kept(f, W, X) == ["from the argument w", "from the argument x", "named 'c'"]
    blind = ft.checkpoint(lambda w, x: np.sin(inner(w, np.sin(x))))
    assert [gradient_counts(g, W, X)["tanh"] for g in (f, blind)] == [2, 3]


def test_loops_and_branches_are_kept_as_a_whole() -> None:
    def f(x: Any) -> Any:
        x, _ = ft.lax.scan(lambda c, _: (np.sin(c), None), x, None, length=4)
        return np.sum(ft.lax.cond(x[0] > 0, np.exp, np.cos, x))

    assert gradient_counts(ft.checkpoint(f), X)["scan"] == 3
    assert gradient_counts(ft.checkpoint(f, policy=policies.everything_saveable), X)["scan"] == 2
    scans = ft.checkpoint(f, policy=lambda primitive, *avals, **params: primitive.name == "scan")
    assert gradient_counts(scans, X)["scan"] == 2
    assert_close(ft.grad(scans)(X), ft.grad(f)(X), 1e-12)


def test_the_backward_pass_runs_what_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []

    def counting(x: Any) -> list[Any]:
        ran.append(1)
        return [np.sin(x)]

    monkeypatch.setattr(sin, "impl", counting, raising=False)
    for policy, forward, backward in ((None, 2, 1), (policies.save_only_these_names("inner"), 2, 0)):
        ran.clear()
        with ft.config.using(backend="interpreter"):  # which calls it
            _, pull_back = ft.vjp(ft.checkpoint(lambda x: chain(x), policy=policy), X)
            assert len(ran) == forward
            pull_back(X)
            assert len(ran) == forward + backward


@pytest.mark.parametrize("policy", [None, policies.everything_saveable, policies.save_only_these_names("c")])
def test_effects_are_had_once(policy: Any) -> None:
    told: list[float] = []

    def read(x: Any) -> Any:
        told.append(-float(x))
        return x * 2

    def f(x: Any) -> Any:
        debug.callback(lambda x: told.append(float(x)), x)
        x, _ = ft.lax.scan(lambda c, _: (debug.callback(lambda c: told.append(float(c)), c) or np.sin(c), None), x, None, 2)
        return np.exp(ft.io_callback(read, ft.ShapeDtypeStruct((), float), ft.lax.stop_gradient(x)) * x)

    once = [told.clear(), f(0.5), list(told)][2]
    inner = ft.checkpoint(f, policy=policy)
    for g in (inner, ft.checkpoint(lambda x: np.sin(inner(x)), policy=policy)):
        for derivative in (ft.grad(g), ft.jit(ft.grad(g)), ft.grad(ft.jit(g)), lambda x: ft.vjp(g, x)[1](1.0)):
            told.clear()
            derivative(0.5)
            assert told == once
    assert_close(ft.grad(inner)(0.5), ft.grad(f)(0.5), 1e-12)


def test_what_is_kept_cannot_be_written_to() -> None:
    f = ft.checkpoint(lambda x: ft.checkpoint_name(np.exp(x), "y"), policy=policies.everything_saveable)
    y, pull_back = ft.vjp(f, X)
    wanted = y.copy()
    y[:] = 0
    assert_close(pull_back(np.ones(3))[0], wanted, 0)


def test_what_nobody_wants_is_not_computed() -> None:
    counts = count(ft.make_jaxpr(lambda x: ft.checkpoint(lambda x: (np.sin(x), np.exp(x)))(x)[0])(X))
    assert counts == {"sin": 1}


def test_residuals_have_names() -> None:
    def f(params: Any, x: Any, *, scale: Any) -> Any:
        return np.sum(params["w"][0] * x), scale * np.sin(x * W[0]), W[1] * x

    origins = [origin.split(" from test")[0] for _, origin in ft.saved_residuals(f, {"w": [X]}, X, scale=2.0)]
    arguments = {"from the argument params['w'][0]", "from the argument x", "from the argument scale"}
    assert set(origins) == {*arguments, "a constant", "output of sin", "output of cos"}


def test_arguments_without_names_of_their_own_have_numbers() -> None:
    assert kept(lambda *xs: xs[0] * xs[1], X, 2.0) == ["from the argument xs[0]", "from the argument xs[1]"][::-1]
    assert kept(np.sin, X) == ["output of cos"]


def test_printed_residuals_name_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    ft.print_saved_residuals(ft.checkpoint(chain, policy=policies.save_only_these_names("inner")), X)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "f64[3] from the argument x"
    assert second.startswith("f64[3] named 'inner' from test_checkpoint.py:")
    assert second.endswith("(chain)")


def test_as_a_decorator() -> None:
    @ft.remat(policy=policies.everything_saveable, static_argnums=1)
    def f(x: Any, n: int) -> Any:
        """Doc."""
        return x**n

    assert (f.__name__, f.__doc__) == ("f", "Doc.")
    assert_close(ft.grad(lambda x: np.sum(f(x, 3)))(X), 3 * X**2, 1e-14)
    assert repr(ft.checkpoint(chain)).startswith("<checkpoint of")


# ---- what bad input gets


@pytest.mark.parametrize("policy", [3, "dots_saveable", [policies.dots_saveable]])
def test_a_policy_is_a_function(policy: Any) -> None:
    with pytest.raises(CheckpointPolicyError, match=r"A checkpoint policy is of type (int|str|list)"):
        ft.checkpoint(chain, policy=policy)


def test_a_policy_is_hashable() -> None:
    class Policy:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, *args: Any, **params: Any) -> bool:
            return True

    with pytest.raises(CheckpointPolicyError, match="not hashable"):
        ft.checkpoint(chain, policy=Policy())


def test_a_policy_says_yes_or_no() -> None:
    f = ft.checkpoint(chain, policy=lambda *avals, **params: None)
    with pytest.raises(CheckpointPolicyError, match=r"returned NoneType for `sin`"):
        ft.grad(lambda x: np.sum(f(x)))(X)


def test_a_policy_with_arguments_is_called_first() -> None:
    f = ft.checkpoint(chain, policy=policies.save_only_these_names)
    with pytest.raises(CheckpointPolicyError, match=r"(?s)in the place of a name.*the result is the policy"):
        ft.grad(lambda x: np.sum(f(x)))(X)


@pytest.mark.parametrize("name", [1, None, np.sin])
def test_a_name_is_a_string(name: Any) -> None:
    with pytest.raises(CheckpointPolicyError, match="The name of a value"):
        ft.checkpoint_name(X, name)


# ---- compiled


def blocks_of(x: Any) -> Any:
    for _ in range(3):
        x = ft.checkpoint(lambda x: np.sin(np.tanh(x) * 1.5))(x)
    return np.sum(x)


def a_loop_of_checkpoints(x: Any) -> Any:
    return np.sum(lax.scan(lambda c, _: (np.sin(np.tanh(c) * 1.5), None), x, None, length=5, checkpoint=True)[0])


@pytest.mark.parametrize("f", [blocks_of, a_loop_of_checkpoints])
@pytest.mark.parametrize("derivative", [lambda f: f, ft.grad, lambda f: lambda x: ft.hvp(f, x, x)])
def test_checkpoints_do_not_return_to_python(f: Any, derivative: Any) -> None:
    wanted = derivative(f)(X)
    jitted = ft.jit(derivative(f))
    assert_close(jitted(X), wanted, 1e-12)
    assert "Python" not in jitted.lower(X).kernels


def test_a_lone_checkpoint_shares_kernels_with_what_is_around_it() -> None:
    def f(x: Any) -> Any:
        return ft.checkpoint(lambda x: np.exp(x) * 2.0)(x + 1.0) * 3.0

    assert "checkpoint" not in count(ft.make_jaxpr(f)(X))
    assert len(ft.jit(f).lower(X).cost.rows) == 1
