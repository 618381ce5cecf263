"""Arrays on a GPU through every transformation, with a stand-in for CuPy that refuses what CuPy refuses.

Nothing here runs on a GPU: `benchmarks/gpu_check.py` repeats it on one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax, nn
from functrans.core.devices import cupy_linalg, is_on_device
from functrans.errors import (
    CustomRuleError,
    DeviceFunctionError,
    DeviceMismatchError,
    MissingPackageError,
    ScalarFunctionError,
    SolverOptionError,
    TracerConversionError,
)
from functrans.primitives import determinants, linalg, special
from functrans.primitives.on_gpu import update_at
from tests.helpers.cases import Case, all_cases
from tests.helpers.oracles import direction, is_differentiable
from tests.helpers.stand_in_cupy import Traffic, installed, ndarray

#: What CuPy has no function for; a compiled program may have one of its own.
LACKING = ("spacing", "sylvester", "square_root")
#: What an error says where it is known that CuPy has no function for some operands, or none was given for a GPU.
REFUSALS = ("there is no cupyx.scipy.special", "Wrong type", "was to be traced")
TOLERANCE = {2: 2e-2, 4: 1e-4, 8: 1e-9}


@pytest.fixture(autouse=True)
def cupy() -> Iterator[Any]:
    with installed() as module, np.errstate(all="ignore"):
        yield module


def up(x: Any) -> Any:
    """What is put on the GPU of an operand: arrays, numbers stay."""
    is_empty = getattr(x, "dtype", None) == ft.float0
    return ft.device_put(x, "cuda") if isinstance(x, np.ndarray) and not is_empty else x


def same(found: Any, wanted: Any) -> None:
    """Arrays are on the GPU where they were on the host, with the same types, and values up to rounding."""
    for f, w in zip(ft.tree.leaves(found), ft.tree.leaves(wanted), strict=True):
        if isinstance(w, np.ndarray) and w.ndim and w.dtype != ft.float0:
            assert isinstance(f, ndarray), f"an array of {type(f)}"
        f, w = np.asarray(ft.device_get(f)), np.asarray(w)
        assert (f.shape, f.dtype) == (w.shape, w.dtype)
        if w.dtype.kind in "fc":
            tolerance = TOLERANCE[w.real.dtype.itemsize]
            np.testing.assert_allclose(f, w, rtol=tolerance, atol=tolerance, equal_nan=True)
        elif w.dtype != ft.float0:
            np.testing.assert_array_equal(f, w)


# ---- every primitive


def run(case: Case, args: Sequence[Any]) -> Any:
    return case.function(*args)


def compiled(case: Case, args: Sequence[Any]) -> Any:
    return ft.jit(case.function)(*args)


def pushed(case: Case, args: Sequence[Any]) -> Any:
    return ft.jvp(case.function, tuple(args), tuple(map(tangent, args)))


def pulled(case: Case, args: Sequence[Any]) -> Any:
    out, pull = ft.vjp(case.function, *args)
    return pull([tangent(y) for y in out])


def tangent(x: Any) -> Any:
    """A direction that depends on nothing but the type."""
    if not is_differentiable(ft.device_get(x)):
        return np.zeros(np.shape(x), ft.float0)
    drawn = direction(ft.device_get(x), 7)
    drawn = drawn[()] if isinstance(drawn, np.ndarray) else drawn
    return ft.device_put(drawn, "cuda") if is_on_device(x) else drawn


def mapped(case: Case, args: Sequence[Any]) -> Any:
    return ft.vmap(case.function)(*args)


def cases() -> list[Any]:
    """The first example of each primitive in each way, and the others as slow tests."""
    seen: Counter[str] = Counter()
    found = []
    for case in all_cases():
        if not any(isinstance(x, np.ndarray) for x in case.args) or case.primitive.name in (*LACKING, "implicit_root"):
            continue
        seen[case.primitive.name] += 1
        for way in (pulled, mapped, compiled, run, pushed):
            if case.is_differentiable or way not in (pulled, pushed):
                marks = [] if seen[case.primitive.name] == 1 and way in (pulled, mapped, compiled) else [pytest.mark.slow]
                found.append(pytest.param(case, way, id=f"{way.__name__}-{case.name}", marks=marks))
    return found


@pytest.mark.parametrize(("case", "way"), cases())
def test_a_primitive_does_on_the_gpu_what_it_does_on_the_host(
    case: Case, way: Callable[[Case, Sequence[Any]], Any]
) -> None:
    args = [np.stack([x, x]) for x in case.args] if way is mapped else list(case.args)
    try:
        wanted = way(case, args)
    except Exception as error:
        pytest.skip(f"not on the host either: {type(error).__name__}")
    try:
        same(way(case, list(map(up, args))), wanted)
    except (DeviceFunctionError, ScalarFunctionError) as error:
        assert any(refusal in str(error) for refusal in REFUSALS)  # noqa: PT017


@pytest.mark.parametrize(("shape", "calls"), [((5, 5), 1), ((2, 4, 3), 2), ((40, 3, 3), 0)])
def test_factors_by_cusolver_unless_matrices_are_many_and_small(
    shape: tuple[int, ...], calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, library, found = np.random.default_rng(0).normal(size=shape), cupy_linalg(), []
    factor = library.lu_factor
    monkeypatch.setattr(library, "lu_factor", lambda *args, **kwargs: found.append(args) or factor(*args, **kwargs))
    same(linalg.lu.bind(up(a)), linalg.lu.bind(a))
    assert len(found) == calls


def test_matrices_without_a_result_are_refused() -> None:
    """CuPy would return anything."""
    a = up(np.zeros((2, 3, 3)))
    for function in (linalg.cholesky, lambda a: linalg.solve(a, a)):
        with pytest.raises(np.linalg.LinAlgError):
            function(a)


def values_with_ends(count: int, dtype: str) -> Any:
    """Numbers of a dtype, the largest and the least ones and NaN among them."""
    found = (np.random.default_rng(count).normal(size=count) * 100).astype(dtype)
    if found.dtype.kind in "iu":
        found[:2] = np.iinfo(dtype).max, np.iinfo(dtype).min
    elif found.dtype.kind == "f":
        found[:6] = np.inf, -np.inf, np.nan, -np.nan, 0.0, -0.0
    return found


@pytest.mark.parametrize("dtype", "?bBhHiIlLqQefdFD")
@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.maximum, np.minimum])
def test_updates_of_the_same_places_are_those_of_numpy(ufunc: np.ufunc, dtype: str) -> None:
    if np.dtype(dtype).kind == "c" and ufunc in (np.maximum, np.minimum):
        pytest.skip("CuPy has no extremes of complex numbers")
    y, updates, places = values_with_ends(12, dtype), values_with_ends(60, dtype), np.random.default_rng(0).integers(0, 9, 60)
    there = up(y)
    update_at(ufunc, there, up(places), up(updates))
    ufunc.at(y, places, updates)
    same(there, y)


@pytest.mark.parametrize("shape", [(2, 2), (3, 2, 2)])
def test_equations_without_right_sides(shape: tuple[int, ...]) -> None:
    a, b = np.broadcast_to(np.eye(2), shape), np.ones((*shape[:-1], 0))
    same(ft.vjp(np.linalg.solve, up(a), up(b))[0], b)
    same(ft.jit(np.linalg.solve)(up(a), up(b)), b)


def test_conditions_that_are_pythons() -> None:
    x = np.arange(3.0)
    for condition in (True, False):
        function = ft.grad(lambda x, condition=condition: np.sum(np.where(condition, x * x, 2 * x)))
        same(function(up(x)), function(x))


def test_copies_and_waiting_take_arrays_from_anywhere() -> None:
    there, here = up(np.arange(3.0)), np.ones(2)
    tree = {"there": there, "here": here, "number": 3}
    assert ft.block_until_ready(tree) is tree
    moved = ft.device_put(tree, "cuda")
    assert moved["there"] is there
    assert isinstance(moved["here"], ndarray)
    for fetched in (ft.device_get(tree), ft.device_put(tree, "cpu")):
        assert fetched["here"] is here
        np.testing.assert_array_equal(fetched["there"], np.arange(3.0))


def test_a_library_that_is_missing_is_named_with_what_to_install(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> Any:
        raise ImportError('Failure finding "libcufft.so"')

    monkeypatch.setattr(cupy.fft, "fftn", missing)
    for call in (ft.jit(np.fft.fft), lambda x: ft.jvp(np.fft.fft, (x,), (x,))):
        with pytest.raises(MissingPackageError, match=r'(?s)`fft` needs .*"libcufft.so".*pip install functrans\[cuda13\]'):
            call(up(np.ones(4)))


def test_gradients_of_determinants_of_singular_matrices() -> None:
    a = np.ones((2, 5, 5)) + np.diag([0, 1.0, 2, 3, 4])
    for x in (a, np.ones((2, 5, 5))):
        same(determinants.cofactors(up(x)), determinants.cofactors(x))


@pytest.mark.parametrize("order", [0, 1, 2, 3, 10, 40])
def test_bessel_functions_of_any_order(order: int) -> None:
    x = np.array([0.0, 1e-12, 1e-3, 0.5, order - 0.1, order, order + 0.5, 29.9, 31, 200, 1e3, 1e6, np.inf, np.nan])
    for sign in (1, -1):
        for function in (special.bessel_j, special.bessel_i, special.scaled_bessel_i):
            wanted, found = function(sign * x, order=order), function(up(sign * x), order=order)
            wanted[np.isinf(x) & (function is not special.bessel_i)] = 0  # SciPy does not know
            least = 1e-12 if function is special.bessel_j else 0
            np.testing.assert_allclose(ft.device_get(found), wanted, 1e-11, least)


@pytest.mark.parametrize("name", LACKING)
def test_what_cupy_lacks_is_said_clearly(name: str) -> None:
    case = next(case for case in all_cases() if case.primitive.name == name)
    with pytest.raises(DeviceFunctionError, match=f"`{name}` cannot be computed by CuPy"):
        run(case, list(map(up, case.args)))
    with pytest.raises(DeviceFunctionError, match=f"`{name}` cannot be computed by CuPy"):
        compiled(case, list(map(up, case.args)))


# ---- programs of users


def network(params: Any, x: Any, y: Any) -> Any:
    """The loss of two layers, as in the notebook."""
    hidden = np.tanh(x @ params["w"][0] + params["b"][0])
    scores = hidden @ params["w"][1] + params["b"][1]
    return -np.mean(nn.log_softmax(scores)[np.arange(len(y), like=y), y])


def parameters() -> Any:
    random = np.random.default_rng(0)
    w = [random.normal(size=(3, 5)), random.normal(size=(5, 4))]
    return {"w": w, "b": [np.zeros(5), np.zeros(4)]}, random.normal(size=(7, 3)), random.integers(0, 4, 7)


def accumulated(x: Any) -> Any:
    """Item assignment, slices, a loop and an `if`."""
    out = np.zeros_like(x)
    out[1:] = np.sin(x[1:]) * x[:-1]
    out[[0, 0]] += 1.0
    for i in range(3):
        out[i] = out[i] * 2 if np.sum(x) > 0 else out[i]
    return np.sum(np.where(out > 0, np.sqrt(np.abs(out)), out**2))


def scanned(x: Any) -> Any:
    carry, ys = lax.scan(lambda c, u: (np.tanh(c + u), c * u), fnp.zeros(()), x)
    return carry + np.sum(ys) + lax.fori_loop(0, 3, lambda i, c: c * 0.5 + i, np.sum(x))


def solved(x: Any) -> Any:
    a = x[:4].reshape(2, 2) + 4 * fnp.eye(2)
    return np.sum(np.linalg.inv(a) @ np.linalg.cholesky(a @ a.T)) + np.linalg.slogdet(a)[1] + np.sum(np.cumsum(np.sort(x)))


VECTOR = np.array([0.5, -0.2, 1.5, 0.7, 2.0])
TRANSFORMED: dict[str, Callable[..., Any]] = {
    "grad": ft.grad,
    "jit": ft.jit,
    "jit grad": lambda f: ft.jit(ft.grad(f)),
    "grad jit": lambda f: ft.grad(ft.jit(f)),
    "hvp": lambda f: lambda x: ft.hvp(f, x, x),
    "jit hvp": lambda f: ft.jit(lambda x: ft.hvp(f, x, x)),
    "hessian": ft.hessian,
    "vmap grad": lambda f: lambda x: ft.vmap(ft.grad(f))(np.stack([x, x])),
    "grad checkpoint": lambda f: ft.grad(ft.checkpoint(f)),
    "jet": lambda f: lambda x: ft.jet(f, (x,), ([x, x],)),
    "linearize": lambda f: lambda x: ft.linearize(f, x)[1](x),
}


@pytest.mark.parametrize("transformed", TRANSFORMED.values(), ids=TRANSFORMED)
@pytest.mark.parametrize("f", [accumulated, scanned, solved])
def test_compositions(f: Callable[..., Any], transformed: Callable[..., Any]) -> None:
    same(transformed(f)(ft.device_put(VECTOR, "cuda")), transformed(f)(VECTOR))


def test_the_network_of_the_notebook() -> None:
    params, x, y = parameters()
    on_gpu, x_gpu, y_gpu = ft.device_put((params, x, y), "cuda")
    for f in (ft.value_and_grad(network), ft.jit(ft.value_and_grad(network))):
        same(f(on_gpu, x_gpu, y_gpu), f(params, x, y))
    direction_of = lambda p: ft.hvp(lambda q: network(q, x_gpu, y_gpu), p, p)  # noqa: E731
    same(direction_of(on_gpu), ft.hvp(lambda q: network(q, x, y), params, params))
    each = ft.vmap(ft.grad(network), in_axes=(None, 0, 0))
    same(each(on_gpu, x_gpu[:, None], y_gpu[:, None]), each(params, x[:, None], y[:, None]))


@pytest.mark.parametrize("point", [0.5, VECTOR, "on the GPU"])
def test_rules_are_checked_where_the_point_is(point: Any) -> None:
    point = up(VECTOR) if isinstance(point, str) else point

    @ft.custom_rule
    def f(x: Any) -> Any:
        return np.log1p(np.exp(x)), (x * x,)

    @f.def_jvp(check=(point,))
    def _(primals: Any, tangents: Any) -> Any:
        (x,), (t,) = primals, tangents
        return f(x), (t / (1 + np.exp(-x)), (2 * x * t,))

    @f.def_batch(check=(point,))
    def _(size: int, mapped: Any, x: Any) -> Any:
        return f(x), (mapped[0], (mapped[0],))

    same(ft.grad(lambda x: np.sum(f(x)[0]))(up(VECTOR)), 1 / (1 + np.exp(-VECTOR)))
    with pytest.raises(CustomRuleError, match="disagrees with differences of the function"):
        f.def_jvp(lambda primals, tangents: (f(*primals), (tangents[0], (tangents[0],))), check=(point,))
    ft.testing.check_grads(lambda x: np.sum(np.sin(x) * x), (point,), order=2)


def test_masks_select_on_the_gpu() -> None:
    f = lambda x: np.sum(x[x > 0] ** 2)  # noqa: E731
    same(ft.grad(f)(ft.device_put(VECTOR, "cuda")), ft.grad(f)(VECTOR))


SAMPLERS: dict[str, Callable[..., Any]] = {
    "normal": lambda key: ft.random.normal(key, (2, 5)), "uniform": lambda key: ft.random.uniform(key, (2, 5)),
    "gumbel": lambda key: ft.random.gumbel(key, (2, 5)), "split": lambda key: ft.random.split(key, (2, 3)),
    "fold_in": lambda key: ft.random.fold_in(key, 7), "permutation": lambda key: ft.random.permutation(key, 9),
    "randint": lambda key: ft.random.randint(key, (4,), -3, 100, np.int8),
    "choice": lambda key: ft.random.choice(key, 20, (5,), replace=False),
    "empty choice": lambda key: ft.random.choice(key, 20, (0,)), "gamma": lambda key: ft.random.gamma(key, 2.5, (4,)),
    "beta": lambda key: ft.random.beta(key, 1.0, 2.0, (3,)), "poisson": lambda key: ft.random.poisson(key, 3.5, (6,)),
    "binomial": lambda key: ft.random.binomial(key, 10, 0.3, (6,)),
    "multinomial": lambda key: ft.random.multinomial(key, 10, np.array([0.2, 0.3, 0.5], like=key)),
    "permuted": lambda key: ft.random.permutation(key, np.arange(6.0, like=key)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLERS)
def test_random_numbers_have_the_same_bits(name: str) -> None:
    key, draw = ft.random.key(3), SAMPLERS[name]
    same(draw(up(key)), draw(key))


@pytest.mark.parametrize("function", [
    lambda x: lax.top_k(x, 2), lambda x: lax.approx_min_k(x, 2, 0), lambda x: lax.sort_key_val(x, x * 2),
    lambda x: lax.sort((np.round(x), x), 0, num_keys=2), lambda x: nn.logsumexp(x + 1j * x, axis=1),
])  # fmt: skip
def test_functions_of_the_library_outside_of_transformations(function: Callable[..., Any]) -> None:
    x = np.random.default_rng(0).normal(size=(4, 5)) * 3
    same(function(up(x)), function(x))


def test_elements_taken_of_arrays_outside_of_transformations() -> None:
    x, i = np.arange(12.0).reshape(3, 4), np.array([0, -1])
    for mode in ("raise", "clip", "wrap"):
        same(fnp.take(up(x), up(i), 1, mode=mode), fnp.take(x, i, 1, mode=mode))


@pytest.mark.parametrize("scalar", [2.0, 3, np.float32(2), np.int8(3), True])
def test_numbers_mix_with_arrays_of_the_gpu_as_on_the_host(scalar: Any) -> None:
    for dtype in (np.float32, np.float64, np.int32, np.complex64):
        x = np.arange(1, 4).astype(dtype)
        for f in (lambda x, s: x * s + s, lambda x, s: s / x, lambda x, s: np.maximum(x, s)):
            same(ft.jit(f)(up(x), scalar), f(x, scalar))
            if dtype is not np.int32:
                same(ft.vjp(f, up(x), scalar)[0], f(x, scalar))


def test_functions_that_make_arrays_follow_their_operands() -> None:
    same(nn.one_hot(up(np.array([0, 2])), 3), nn.one_hot(np.array([0, 2]), 3))
    same(fnp.asarray(up(VECTOR)), VECTOR)
    same(ft.vmap(lambda x: fnp.zeros(3))(up(VECTOR)), np.zeros((5, 3)))
    same(ft.jacfwd(lambda x: fnp.array([x[0], 1.0, x[1] ** 2]))(up(VECTOR)), ft.jacfwd(lambda x: fnp.array([x[0], 1.0, x[1] ** 2]))(VECTOR))  # fmt: skip


def test_what_a_derivative_keeps_is_safe_from_its_owner() -> None:
    x = up(VECTOR.copy())
    _, pull = ft.vjp(lambda x: x**2, x)
    x[...] = 0.0
    same(pull(up(np.ones(5)))[0], 2 * VECTOR)


def test_results_share_no_memory_with_arguments() -> None:
    x = up(VECTOR)
    for f in (ft.jit(lambda x: x), ft.vmap(lambda x: x), lambda x: ft.grad(lambda y: np.sum(y * x))(x)):
        f(x)[...] = 0.0
        same(x, VECTOR)


# ---- where arrays are


def test_a_mixture_is_named_by_its_path() -> None:
    tree = {"w": up(VECTOR), "b": [VECTOR]}
    loss = lambda p, *_: np.sum(p["w"] * p["b"][0])  # noqa: E731
    for f in (ft.grad(loss), ft.jit(loss), ft.vmap(loss), lambda p: ft.jvp(loss, (p,), (p,))):
        with pytest.raises(DeviceMismatchError, match=r"\['w'\] is on GPU 0, .*\['b'\]\[0\] on the host"):
            f(tree)
    with pytest.raises(DeviceMismatchError, match=r"argument 0 is on GPU 0, argument 1\[0\] on the host"):
        ft.grad(lambda x, y: np.sum(x * y[0]))(up(VECTOR), (VECTOR,))
    with pytest.raises(TypeError, match="keyword argument y on the host"):
        ft.jit(lambda x, y: x + y)(up(VECTOR), y=VECTOR)


def test_a_captured_host_array_is_refused_by_an_operation_and_moved_once_by_a_program() -> None:
    table = np.arange(5.0)
    with pytest.raises(DeviceMismatchError, match="operand 0 of `multiply` is on GPU 0, operand 1 of `multiply` on the"):
        ft.grad(lambda x: np.sum(x * table))(up(VECTOR))
    with pytest.raises(DeviceMismatchError, match="operand 1 of `gather` on the host"):
        ft.grad(lambda x: np.sum(x[np.array([0, 1])]))(up(VECTOR))
    f, x = ft.jit(lambda x: x * table), up(VECTOR)
    Traffic.to_device = 0
    for _ in range(3):
        same(f(x), VECTOR * table)
    assert Traffic.to_device == 1


def test_a_captured_array_of_the_gpu_decides_where_a_program_runs() -> None:
    table = up(VECTOR)
    f = ft.jit(lambda s: s * table)
    same(f(2.0), 2 * VECTOR)
    same(ft.grad(lambda s: np.sum(s * table))(2.0), np.sum(VECTOR))
    with pytest.raises(DeviceMismatchError, match="closes over is on GPU 0, argument 0 on the host"):
        f(VECTOR)


def test_two_devices() -> None:
    first, second = up(VECTOR), ft.device_put(VECTOR, "cuda:1")
    same(ft.grad(lambda x: np.sum(np.sin(x)[1:]))(second), np.append(0.0, np.cos(VECTOR[1:])))
    assert ft.jit(lambda x: np.sin(x) * np.arange(5.0))(second).device.id == 1
    assert ft.jit(lambda s: s * second)(2.0).device.id == 1
    with pytest.raises(DeviceMismatchError, match=r"argument 0 is on GPU 0, argument 1 on GPU 1"):
        ft.jit(np.add)(first, second)
    assert ft.device_put(first, "cuda:1").device.id == 1
    same(ft.device_put(second, "cuda:0"), VECTOR)


def test_nothing_is_fetched_behind_the_users_back() -> None:
    params, x, y = parameters()
    on_gpu, x, y = ft.device_put((params, x, y), "cuda")
    f = ft.jit(ft.value_and_grad(lambda p: np.sum(np.tanh(x @ p["w"][0]))))
    f(on_gpu)
    Traffic.to_host = 0
    f(on_gpu)
    ft.grad(lambda p: np.sum(np.tanh(x @ p["w"][0]) * 0.5))(on_gpu)
    assert Traffic.to_host == 0


def test_device_put_and_get() -> None:
    tree = {"a": np.arange(3), "n": 2.5, "none": None, "s": np.float32(1)}
    there = ft.device_put(tree, "cuda")
    assert isinstance(there["a"], ndarray)
    assert there["n"] == 2.5
    back = ft.device_get(there)
    assert type(back["s"]) is np.float32
    np.testing.assert_array_equal(back["a"], tree["a"])
    assert ft.device_put(there, "cuda")["a"] is there["a"]
    assert isinstance(ft.device_put(there, "cpu")["a"], np.ndarray)
    assert ft.block_until_ready(there) is there
    for move in (ft.device_put, ft.device_get):
        with pytest.raises(TracerConversionError, match=f"`{move.__name__}` was called with a traced array"):
            ft.jit(lambda x, move=move: move(x))(VECTOR)


def test_indices_out_of_bounds_raise_on_the_gpu_too() -> None:
    for f in (lambda x: x[up(np.array([9]))], lambda x: fnp.at(x)[up(np.array([-6]))].add(1.0)):
        with pytest.raises(IndexError, match="out of bounds"):
            ft.vjp(f, up(VECTOR))


def test_callbacks_see_the_host() -> None:
    seen: list[Any] = []
    f = lambda x: ft.pure_callback(lambda v: seen.append(type(v)) or np.sort(v), ft.ShapeDtypeStruct((5,), float), x)  # noqa: E731
    same(ft.jit(f)(up(VECTOR)), np.sort(VECTOR))
    assert seen == [np.ndarray]


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "unique": lambda x: fnp.unique(x),
    "setdiff1d": lambda x: fnp.setdiff1d(x, x[:2]),
    "nonzero": lambda x: x[fnp.nonzero(x > 0)],
    "insert": lambda x: np.insert(x, 1, x[0]),
    "delete": lambda x: np.delete(x, 1),
    "histogram": lambda x: np.histogram(x, 3),
    "polyint": lambda x: np.polyint(x),
    "pad": lambda x: np.pad(x, 2, mode="reflect"),
    "linspace": lambda x: fnp.linspace(x[0], x[1], 4),
    "lstsq": lambda x: np.linalg.lstsq(np.stack([x, x**2], axis=1), x, rcond=None)[0],
    "tile and roll": lambda x: np.roll(np.tile(x, 2), 3),
    "quantile": lambda x: np.quantile(x, 0.3),
    "interp": lambda x: np.interp(x[2], np.sort(x), x),
    "fft": lambda x: np.abs(np.fft.rfft(x)),
    "convolve": lambda x: np.convolve(x, x, "same"),
}


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_that_work_with_arrays_of_their_own(f: Callable[[Any], Any]) -> None:
    same(ft.jvp(f, (up(VECTOR),), (up(VECTOR),)), ft.jvp(f, (VECTOR,), (VECTOR,)))


SOLVERS: dict[str, Callable[[Any], Any]] = {
    **{
        method: lambda x, method=method: ft.optimize.minimize(
            lambda y: np.sum((y - x) ** 2 + y**4), 0 * x, method=method, tol=1e-9
        ).x
        for method in ("BFGS", "L-BFGS", "Newton-CG")
    },
    "root": lambda x: ft.optimize.root(lambda y: y**3 + y - x, 0 * x).x,
    "fixed_point": lambda x: ft.optimize.fixed_point(lambda y: np.cos(y) / 2 + x, x),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_work_where_they_begin(name: str) -> None:
    found, wanted = SOLVERS[name](up(VECTOR)), SOLVERS[name](VECTOR)
    assert isinstance(found, ndarray)
    np.testing.assert_allclose(ft.device_get(found), wanted, atol=1e-5)


def test_what_only_scipy_can_do_is_not_done_on_a_gpu() -> None:
    with pytest.raises(SolverOptionError, match=r"'trust-ncg' while tracing, or with arrays on a GPU"):
        ft.optimize.minimize(lambda y: np.sum(y**2), up(VECTOR), method="trust-ncg")


@pytest.mark.parametrize("method", ["set", "add", "max", "divide"])
def test_updates_by_numbers(method: str):
    """Outside of transformations too: what becomes of a number belongs where the array is."""
    x, i = np.ones((3, 4)), np.array([0, 0])
    for update in (lambda x, i: fnp.at(x)[i], lambda x, i: fnp.at(x)[1:], lambda x, i: fnp.at(x)[i, i]):
        same(getattr(update(up(x), up(i)), method)(2.0), getattr(update(x, i), method)(2.0))


BFLOAT16 = {
    "gradients": ft.grad(lambda x: np.sum(np.sin(x @ x.T) * 2.0)),
    "lanes": ft.vmap(lambda row: np.tanh(row) * row),
    "loops": lambda x: lax.scan(lambda c, row: (c * 0.5 + row, c), x[0], x),
    "updates": lambda x: fnp.at(x)[0].add(1.5),
    "choices": lambda x: ft.jvp(lambda x: np.where(x > 1, x, 0.0), (x,), (x,)),
    "series": lambda x: ft.jet(np.sin, (x,), ([x, x],)),
    "compiled": ft.jit(lambda x: (nn.softmax(x) @ x.T, x.sum(), x.astype(np.float32), x[0, 0])),
}


@pytest.mark.parametrize("name", BFLOAT16)
def test_bfloat16(name: str):
    function, x = BFLOAT16[name], np.linspace(0.1, 2, 12).reshape(3, 4).astype(fnp.bfloat16)
    for _ in range(3):  # the quick way in, too
        found, wanted = ft.device_get(function(up(x))), function(x)
        for f, w in zip(ft.tree.leaves(found), ft.tree.leaves(wanted), strict=True):
            f, w = np.asarray(f), np.asarray(w)
            assert (f.shape, f.dtype) == (w.shape, w.dtype)
            np.testing.assert_allclose(f.astype(float), w.astype(float), rtol=2e-2, atol=2e-2)
