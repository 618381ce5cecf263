"""Programs on a GPU: primitives, networks, loops, and what Hypothesis draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np

import functrans as ft
from functrans import lax, nn

from .cases import Case, Scope, Skip, same, up

T = TypeVar("T")


def primitives(_: Scope) -> Iterator[Case]:
    """Every primitive of the test suite, eager, compiled, differentiated and batched: first one example of each."""
    from tests import test_gpu_arrays as suite
    from tests.helpers import frames

    for parameter in in_turn(suite.cases(), lambda p: (p.values[0].primitive.name, p.values[1])):
        case, way = parameter.values
        yield parameter.id, lambda case=case, way=way: primitive(suite, frames, case, way)


def in_turn(items: Iterable[T], kind: Callable[[T], Hashable]) -> list[T]:
    """The first item of each kind, the second one of each, and so on: there may be time for some of them only."""
    seen: Counter[Hashable] = Counter()
    ranked = []
    for item in items:
        ranked.append((seen[kind(item)], item))
        seen[kind(item)] += 1
    return [item for _, item in sorted(ranked, key=itemgetter(0))]


def primitive(suite: Any, frames: Any, case: Any, way: Callable[..., Any]) -> None:
    is_frame = frames.has_frames(case)
    if is_frame and way in (suite.pushed, suite.pulled):
        raise Skip("the vectors are determined up to phases only")
    args = [np.stack([x, x]) for x in case.args] if way is suite.mapped else list(case.args)
    try:
        wanted = way(case, args)
    except Exception as error:
        raise Skip(f"not on the host either: {type(error).__name__}") from None
    try:
        found = ft.block_until_ready(way(case, list(map(suite.up, args))))
    except (ft.errors.DeviceFunctionError, ft.errors.ScalarFunctionError) as error:
        if not any(refusal in str(error) for refusal in suite.REFUSALS):
            raise
        raise Skip(str(error).partition("\n")[0]) from None
    if is_frame:
        found, wanted = frames.settled(case, ft.device_get(found)), frames.settled(case, wanted)
    same(found, wanted)


Functions = dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]


def loss(params: Any, x: Any, y: Any) -> Any:
    scores = np.tanh(x @ params[0]) @ params[1]
    return -np.mean(np.take_along_axis(nn.log_softmax(scores), y[:, None], axis=1))


def norm(x: Any) -> Any:
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)


def chain(x: Any) -> Any:
    return np.sum(np.exp(-x * x) * np.sin(3 * x) + np.log1p(np.abs(x)))


def lorenz(s: Any) -> Any:
    def step(_: Any, s: Any) -> Any:
        return s + 0.01 * np.stack([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])

    return lax.fori_loop(0, 100, step, s)


def networks(random: np.random.Generator) -> Functions:
    """Networks and what they are made of."""
    x, y = random.normal(size=(64, 33)), random.integers(0, 10, 64)
    params = [random.normal(size=(33, 40)) / 6, random.normal(size=(40, 10)) / 6]
    convolved = lambda w, x: np.sum(np.sin(lax.conv(x, w, (1, 1), "SAME")))  # noqa: E731
    return {
        "value and gradient of a network": (ft.value_and_grad(loss), (params, x, y)),
        "Hessian-vector product of a network": (lambda p, x, y: ft.hvp(lambda q: loss(q, x, y), p, p), (params, x, y)),
        "gradients of single examples": (
            ft.vmap(ft.grad(loss), in_axes=(None, 0, 0)), (params, x[:, None], y[:, None])
        ),
        "softmax": (nn.softmax, (x,)),
        "gradient of softmax": (ft.grad(lambda x: np.sum(nn.softmax(x) ** 2)), (x,)),
        "layer norm": (norm, (x,)),
        "gradient of layer norm": (ft.grad(lambda x: np.sum(np.cos(norm(x)))), (x,)),
        "convolution": (
            ft.value_and_grad(convolved), (random.normal(size=(16, 8, 3, 3)) / 9, random.normal(size=(4, 8, 20, 20)))
        ),
        "half precision": (
            lambda x, w: (np.sum(x, 1), np.max(x), nn.softmax(x), x @ w),
            (x.astype(np.float16), random.normal(size=(33, 64)).astype(np.float16)),
        ),
        "bfloat16": (
            lambda x, w: (np.sum(x, 1), np.max(x), nn.softmax(x), ft.grad(lambda x: np.sum(np.tanh(x @ w) * 0.5))(x)),
            (x.astype(ft.numpy.bfloat16), random.normal(size=(33, 64)).astype(ft.numpy.bfloat16)),
        ),
    }  # fmt: skip


def loops(random: np.random.Generator) -> Functions:
    """Loops in one kernel, in one for all lanes, and of kernels."""
    x = random.normal(size=(64, 33))
    grown = lambda x: lax.while_loop(lambda c: np.sum(c * c) < 1e4, lambda c: c * 1.1 + np.sin(c), x).sum()  # noqa: E731
    return {
        "vmapped differential equation": (ft.vmap(lorenz), (1 + random.normal(size=(1000, 3)),)),
        "gradient through a loop": (ft.grad(lambda s: np.sum(lorenz(s)[0])), (np.ones(3),)),
        "gradient of a while loop": (ft.grad(grown), (1 + random.normal(size=200) ** 2,)),
        "while loop": (lambda x: lax.while_loop(lambda c: c < 100.0, lambda c: c * 1.5, x), (1.0 + x[0, 0] ** 2,)),
        "scan": (lambda x: lax.scan(lambda c, u: (np.tanh(c + u), c), x[0], x), (x,)),
        "branches": (
            lambda x: lax.cond(np.sum(x) > 0, lambda x: np.sin(x) @ x.T, lambda x: x @ np.cos(x).T, x), (x,)
        ),
    }


def elements(random: np.random.Generator) -> Functions:
    """Elements of arrays: chains, reductions, scans, transposes, indices."""
    x, y = random.normal(size=(64, 33)), random.integers(0, 10, 64)
    return {
        "elementwise chain": (ft.value_and_grad(chain), (random.normal(size=100_003),)),
        "sums of rows and columns": (
            lambda x: (x.sum(0), x.sum(1), x.max(0), x.min()), (random.normal(size=(257, 1025)),)
        ),
        "cumulative sums": (lambda x: np.cumsum(x, axis=1), (x,)),
        "cumulative operations of long rows, and backwards": (
            lambda x: (np.cumsum(x), np.maximum.accumulate(x[::-1]), lax.cumlogsumexp(x, reverse=True)),
            (random.uniform(size=40_000),),
        ),
        "cumulative operations of columns": (
            lambda x: (np.cumsum(x, 0), np.cumprod(1 + x * 1e-4, 0)), (random.uniform(size=(5000, 8)),)
        ),
        "transposes": (
            lambda x, y: (np.sqrt(np.abs(x.T)) + y, np.transpose(y.reshape(33, 8, 8), (2, 1, 0)) * 2.0), (x, x.T.copy())
        ),
        "complex numbers": (lambda z: (np.exp(z) * np.conj(z), np.abs(np.sum(z, 0))), (x + 1j * x[::-1],)),
        "indices beyond the array": (
            lambda x, i: tuple(ft.numpy.at(x)[i * 9].get(mode=mode) for mode in ("clip", "wrap", "fill")), (x, y)
        ),
        "sorting": (lambda x: (np.sort(x, axis=1), np.argsort(x, axis=1)), (x,)),
        "scatter with collisions": (
            lambda x, i: ft.numpy.at(np.zeros_like(x)[:5]).__getitem__(i % 5).add(x), (x[:, 0], y)
        ),
        "random numbers": (lambda k: (ft.random.normal(k, (1000,)), ft.random.bits(k, (77,))), (ft.random.key(7),)),
        "numbers of the host": (lambda x, a, n: x * a + n, (x, 2.5, 3)),
    }  # fmt: skip


def functions() -> Functions:
    """All of them."""
    random = np.random.default_rng(0)
    return {**networks(random), **loops(random), **elements(random)}


def in_single(x: Any) -> Any:
    """Arrays of double precision in single."""
    return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype == np.float64 else x


def programs(_: Scope) -> Iterator[Case]:
    """Networks, loops, row chains, updates and derivatives, compiled."""
    for name, (function, args) in functions().items():
        for dtype, given in (("float64", args), ("float32", ft.tree.map(in_single, args))):
            yield f"{name}, {dtype}", lambda f=function, a=given: same(ft.jit(f)(*up(a)), f(*a))


def divisions(_: Scope) -> Iterator[Case]:
    """The same with kernels divided among threads as those of other shapes are, and with sums in order."""
    from tests.helpers.cuda.running import DIVISIONS, divided

    def check(name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        with divided(name), ft.config.using(deterministic=True):
            same(ft.jit(lambda *args: function(*args))(*up(args)), function(*args))

    for division in DIVISIONS:
        for name, (function, args) in functions().items():
            yield f"{name}, {division}", lambda d=division, f=function, a=args: check(d, f, a)


def random_programs(scope: Scope) -> Iterator[Case]:
    """Programs that Hypothesis draws, against the interpreter on the host."""
    from hypothesis import HealthCheck, Phase, given, settings

    from tests.fuzz import KINDS, cases
    from tests.helpers.tiers import interpreted, staged

    def check(kind: str) -> None:
        @settings(
            max_examples=scope.sizes.examples, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
        )  # fmt: skip
        @given(case=cases((kind,)))
        def run(case: Any) -> None:
            if scope.left() < 0:
                return
            wanted = interpreted(staged(case.function, case.args), case.args)
            same(ft.tree.leaves(ft.jit(case.function)(*up(list(case.args)))), wanted, case.tolerance or 0.0)

        run()

    for kind in KINDS:
        yield kind, lambda kind=kind: check(kind)
