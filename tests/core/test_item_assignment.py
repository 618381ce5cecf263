"""Item assignment: a traced function changes arrays exactly as the same function on NumPy arrays does, or says no."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
from functrans.errors import (
    ArgumentMutationError,
    ConcretizationError,
    DtypeMismatchError,
    ForeignAssignmentError,
    InvalidIndexError,
    OutOfBoundsError,
    ShapeMismatchError,
    StaleViewError,
    TracedMaskError,
    TracerConversionError,
    ViewAssignmentError,
)

X = np.array([0.3, -1.2, 0.8, 2.0, -0.5, 1.1])
M = np.arange(12.0).reshape(3, 4) / 7 - 0.6


def primal(f: Callable[..., Any], *args: Any) -> Any:
    """The value as forward mode computes it."""
    return ft.jvp(f, args, tuple(np.ones_like(x) for x in args))[0]


def lane(f: Callable[..., Any], *args: Any) -> Any:
    """The value as vmap computes it in one of two lanes."""
    stacked = [np.stack([x + 1 if np.asarray(x).dtype.kind == "f" else x, x]) for x in args]
    return ft.vmap(f)(*stacked)[1]


def jitted(f: Callable[..., Any], *args: Any) -> Any:
    return ft.jit(f)(*args)


TRANSFORMED = [primal, lane, jitted]
everywhere = pytest.mark.parametrize("run", TRANSFORMED, ids=lambda run: run.__name__)


def complex_step(f: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """The Jacobian of an analytic function, on plain complex arrays."""
    columns = []
    for i in range(x.size):
        z = x.astype(complex)
        z.flat[i] += 1e-30j
        columns.append(np.imag(f(z)) / 1e-30)
    return np.moveaxis(np.array(columns), 0, -1).reshape(*np.shape(columns[0]), *x.shape)


def check(f: Callable[[Any], Any], x: np.ndarray) -> None:
    """Value and derivative under every transformation against the same function on plain arrays."""
    wanted = f(x.copy())
    for run in TRANSFORMED:
        np.testing.assert_allclose(run(f, x), wanted, rtol=1e-12, atol=1e-14)
    jacobian = complex_step(f, x)
    for found in (ft.jacrev(f)(x), ft.jacfwd(f)(x), ft.jacrev(ft.jit(f))(x), ft.jit(ft.jacfwd(f))(x)):
        np.testing.assert_allclose(found, jacobian, rtol=1e-10, atol=1e-12)
    lanes = ft.vmap(ft.jacrev(f))(np.stack([x, x * 0.5]))
    np.testing.assert_allclose(lanes[1], complex_step(f, x * 0.5), rtol=1e-10, atol=1e-12)


# ---- programs that mean the same on plain arrays


def loop(x):
    out = np.zeros_like(x)
    for i in range(len(x)):
        out[i] = x[i] * x[i - 1]
    return out


def recurrence(x):
    out = x.copy()
    for i in range(1, len(out)):
        out[i] += out[i - 1] * out[i]
    return out


def slices(x):
    out = np.zeros_like(x)
    out[1:] = np.sin(x[:-1])
    out[::-2] *= x[::2]
    out[2:5] += 1.0
    out[-1:0:-3] = x[:2]
    return out


def overwritten(x):
    out = x * 2.0
    out[:4] = x[2:] * x[:4]
    out[1:3] = 0.0
    out[...] = out + x
    out[:] -= 0.5
    return out


def duplicates(x):
    out = np.zeros_like(x)
    out[[0, 2, 0, 2, 2]] = x[:5] * x[1:]
    out[[1, 1]] += x[3]
    out[np.array([[3, 4], [4, 3]])] = x[:4].reshape(2, 2) ** 2
    return out


def masks(x):
    out = x * x
    out[np.array([True, False, True, False, False, True])] = x[:3]
    out[np.arange(6) > 3] *= x[0]
    return out


def rows_of_views(x):
    out = np.zeros_like(x)
    for row, source in zip(out, x):
        row[...] = source * source
        row[1:3] += source[0]
    return out


def nested_views(x):
    out = x.copy()
    out[1][2] = x[0, 0] * x[0, 1]
    out[0][1:][0] += x[2, 2]
    out[:, 2][:2] = x[2, :2]
    view = out[1:]
    inner = view[0]
    inner[3] = view[1, 0] * 2.0
    view[1, 0] = inner[3] * x[1, 1]
    return out


def disjoint_views(x):
    out = x.copy()
    first, second, third = out
    first[...] = second * third
    second *= 2.0
    third[1:] = first[:3] * second[:3]
    return out


def transposed(x):
    out = np.zeros_like(x)
    out.T[1] = x[:, 0]
    out.T[2:, 0] += x[1, :2]
    columns = np.moveaxis(out, 1, 0)
    columns[0] = x[:, 3] * x[:, 2]
    np.flip(out)[0, 0] = x[0, 0] ** 2
    return out


def reshaped(x):
    out = np.zeros_like(x.reshape(-1) * 1.0).reshape(3, 2, 2)
    out[1] = x[:2, :2]
    out[:, 0, None][2, 0] = x[2, :2]
    left, right = np.split(out, 2, axis=1)
    left[0] = x[0, 0]
    right += x[1, 1] * x[1, 2]
    return out


def mixed_indices(x):
    out = np.zeros_like(x)
    out[1:, [0, 2]] = x[:2, :2]
    out[[0, 2], 1:3] *= 3.0
    out[[[0], [2]], [3, 1]] += x[1:, 2:]
    out[None, 0, ..., None] = x[None, 0, :, None] * 2.0
    out[0, [3, 3]] = x[2, :2]
    return out


def through_functions(x):
    out = np.zeros_like(x)
    np.fill_diagonal(out, x[0, 0])
    np.put(out, [5, -1, 5], [x[1, 1], x[2, 2], x[1, 2]])
    np.add.at(out, ([0, 0, 1], [1, 1, 2]), x[:, 0])
    np.copyto(out, x, where=np.arange(4) == 3)
    np.put_along_axis(out, np.array([[0], [1], [0]]), x[:, 1:2], 1)
    np.multiply(out, x, out=out)
    return out


def scalars_are_values(x):
    out = x.copy()
    first = out[0]
    out[0] = 5.0
    first += 1.0
    out[1] = first * out[0]
    return out


def copies_are_apart(x):
    out = x.copy()
    twins = out.copy(), out[1:].copy(), out[[0, 1]], out + 0.0, fnp.array(out), out.flatten(), out.astype(out.dtype)
    for twin in twins:
        twin[0] = 100.0
    return out


@pytest.mark.parametrize(
    "f",
    [loop, recurrence, slices, overwritten, duplicates, masks, scalars_are_values, copies_are_apart],
    ids=lambda f: f.__name__,
)
def test_vectors(f):
    check(f, X)


@pytest.mark.parametrize(
    "f",
    [rows_of_views, nested_views, disjoint_views, transposed, reshaped, mixed_indices, through_functions],
    ids=lambda f: f.__name__,
)
def test_matrices(f):
    check(f, M)


def test_second_derivatives():
    wanted = [complex_step(lambda y, i=i: complex_step_row(recurrence, y, i), X) for i in (3, 5)]
    hessian = ft.hessian(recurrence)(X)
    np.testing.assert_allclose(hessian[[3, 5]], wanted, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ft.jit(ft.hessian(recurrence))(X), hessian)


def complex_step_row(f: Callable[[Any], Any], x: np.ndarray, i: int) -> Any:
    """Central differences of one element, on complex arrays; for second derivatives by complex step over them."""
    steps = np.eye(x.size) * 1e-5
    return np.array([(f(x + d)[i] - f(x - d)[i]) / 2e-5 for d in steps])


# ---- random programs


INDICES = {
    1: ["0", "-1", "1:", "::2", "::-1", "1:1", "...", "None", "[0, 0, 1]", "[-1]", "np.arange(len({0})) > 1"],
    2: ["0", "-1", "1:", ":, 0", "0, 1", "::-1, 1:", "..., -1", "[0, 1, 0]", "[1, 0], 1", ":, [0, 0]", "{0} > 0.2"],
    3: ["0", ":, 1", "..., 0", "0, :, 1", "[0], :, [1, 0]", "1:, 0", "None, 0, ::-1"],
}
VIEWS = [
    "{0}.T", "np.flip({0})", "{0}[...]", "{0}[None]", "{0}.reshape(-1)", "np.swapaxes({0}, 0, -1)", "{0}.ravel()",
    "{0}[..., None]", "{0}.reshape(-1, order='F')", "np.split({0}, [1])[1]", "np.diagonal({0})",
    "np.lib.stride_tricks.sliding_window_view({0}, 2, axis=0)", "np.broadcast_to({0}, (2, *{0}.shape))",
]  # fmt: skip
#: What writes into an array without item assignment.
CALLS = [
    "{0}.fill(0.5)", "np.sin({0}, out={0})", "np.add({0}, {1}, out={0})", "np.negative({0}[::-1], out={0})",
    "np.copyto({0}, {1})", "np.put({0}, [0, -1], 0.5)", "np.cumsum({0}, axis=0, out={0})", "np.fill_diagonal({0}, 0.5)",
    "np.add.at({0}, [0, 0], 0.5)", "np.nan_to_num({0}, copy=False)", "{0}.ravel()[-1] += 0.5",
]  # fmt: skip
VALUES = ["0.5", "{1} * 2.0", "x[0, 0] * x[1, 1]", "np.sin({1})", "x[0, 2]"]


@st.composite
def programs(draw) -> str:
    """The text of a function of one matrix `x`, valid on plain arrays; each line was tried on one."""
    state: dict[str, Any] = {"np": np, "x": M.copy()}
    lines: list[str] = []
    arrays = ["x"]

    def attempt(line: str) -> bool:
        trial = {name: value.copy() if name == "x" else value for name, value in state.items()}
        try:
            exec(line, trial)  # the line is one of ours
        except (ValueError, IndexError, TypeError):
            return False
        state.update({k: v for k, v in trial.items() if not k.startswith("__") and k != "x"})
        lines.append(line)
        return True

    for number in range(draw(st.integers(3, 9))):
        source, other = draw(st.sampled_from(arrays)), draw(st.sampled_from(arrays))
        name = f"a{number}"
        index = draw(st.sampled_from(INDICES.get(np.ndim(state[source]), ["..."]))).format(source)
        kind = draw(st.sampled_from(["new", "view", "view", "set", "set", "update", "update", "call", "call"]))
        if kind == "new" or len(arrays) == 1:
            made = draw(st.sampled_from(["{0}.copy()", "np.zeros_like({0})", "{0} * {0}", "np.sin({0})"]))
            line = f"{name} = {made.format(source)}"
        elif source == "x":
            continue
        elif kind == "view":
            line = f"{name} = " + draw(st.sampled_from([*VIEWS, f"{source}[{index}]"])).format(source)
        elif kind == "call":
            line = draw(st.sampled_from(CALLS)).format(source, other)
        else:
            value = draw(st.sampled_from(VALUES)).format(source, f"{other}[{index}]")
            line = f"{source}[{index}] {'=' if kind == 'set' else draw(st.sampled_from(['+=', '*=', '-=']))} {value}"
        if attempt(line) and name in state and isinstance(state[name], np.ndarray):
            arrays.append(name)
    total = " + ".join(f"np.sum(np.sin({name}))" for name in arrays)
    return "def f(x):\n    " + "\n    ".join([*lines, f"return {total}"])


@given(programs())
def test_random_programs(text: str):
    space: dict[str, Any] = {"np": np}
    exec(text, space)  # the program is one of ours
    f = space["f"]
    wanted = f(M.copy())
    try:
        found = [run(f, M) for run in TRANSFORMED]
    except (StaleViewError, ViewAssignmentError, TracedMaskError) as error:
        event(type(error).__name__)
        return
    event("ran")
    np.testing.assert_allclose(found, [wanted] * len(found), rtol=1e-9, atol=1e-12)
    if " > " not in text:  # an order of complex numbers is no order of their real parts
        np.testing.assert_allclose(ft.grad(f)(M), complex_step(f, M), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ft.jit(ft.grad(f))(M), ft.grad(f)(M), rtol=1e-9, atol=1e-12)


# ---- what shares memory with what


FUNCTIONS = [
    "x[1:]", "x[0]", "x[..., 0]", "x[None]", "x[:, None]", "x[[0, 1]]", "x[x > 0]", "x[np.array(0)]", "x.T",
    "np.transpose(x)", "x.reshape(4, 3)", "x.reshape(3, 2, 2)", "x.ravel()", "x.flatten()", "x.copy()", "np.copy(x)",
    "fnp.array(x)", "fnp.asarray(x)", "np.swapaxes(x, 0, 1)", "np.moveaxis(x, 0, 1)", "np.squeeze(x)",
    "np.expand_dims(x, 0)", "np.atleast_1d(x)", "np.atleast_2d(x)", "np.atleast_3d(x)", "np.broadcast_to(x, (2, 3, 4))",
    "np.split(x, 3)[0]", "np.hsplit(x, 2)[1]", "np.flip(x)", "np.fliplr(x)", "np.rot90(x)", "np.diagonal(x)",
    "np.diag(x)", "np.real(x)", "x.real", "x.astype(x.dtype)", "+x", "np.positive(x)", "abs(x)", "np.concatenate([x])",
    "np.stack([x])[0]", "np.where(True, x, x)", "np.clip(x, None, None)", "np.roll(x, 1)", "np.repeat(x, 1, axis=0)",
    "np.tile(x, 1)", "np.take(x, [0, 1], axis=0)", "np.sum(x, axis=())", "np.nan_to_num(x)", "np.sort(x)",
    "np.tril(x)", "np.triu(x)", "np.round(x, 2)", "np.pad(x, 0)", "np.conj(x)", "np.maximum(x, x)", "np.cumsum(x, 0)",
    "np.delete(x, 0, 0)", "np.append(x, x)", "np.meshgrid(x[0], x[1])[0]", "np.einsum('ij->ji', x)",
    "np.einsum('ii->i', x[:, :3])", "fnp.ascontiguousarray(x)", "np.squeeze(x[:1])", "np.rollaxis(x, 1)",
    "np.unstack(x)[0]", "np.matrix_transpose(x)", "x.mT", "np.ravel(x[0])", "np.reshape(x[0], (2, 2))",
    "np.compress([1, 0, 1], x, axis=0)", "np.triu(x[0])", "x.squeeze()", "x.swapaxes(0, 1)", "x.conj()",
    "np.lib.stride_tricks.sliding_window_view(x, 2, 0)", "np.lib.stride_tricks.sliding_window_view(x, (1, 1))",
    "np.meshgrid(x[0], x[1], copy=False)[0]", "np.meshgrid(x[0], x[1], copy=False, sparse=True)[1]",
    "np.meshgrid(x[0])[0]", "np.nan_to_num(x, copy=False)", "np.nan_to_num(x * 1j, copy=False)", "np.block(x)",
    "np.block([x])", "np.apply_along_axis(lambda v: v, 0, x)", "np.pad(x, 0, mode='wrap')", "np.delete(x, [], 0)",
    "np.insert(x, [], 0, 0)", "x.reshape((3, 4), order='F')", "x.reshape((4, 3), order='F')", "x.T.ravel('F')",
    "np.reshape(x, (3, 2, 2), order='F')", "np.reshape(x, (3, 4), copy=True)", "np.trim_zeros(x[0] * 0 + 1)",
    "x[0, ::-1].ravel()", "x[:, 0].ravel()", "x[0].ravel()", "np.ravel(x[::2, 0], order='F')", "x[0, ::-1].reshape(-1)",
]  # fmt: skip


@everywhere
@pytest.mark.parametrize("expression", FUNCTIONS)
def test_views_and_copies_are_numpys(expression: str, run):
    """Writing into the result changes x as in NumPy, or is refused; so does reading it after x was written into."""
    code = compile(expression, "expression", "eval")

    def write_result(x):
        x = x * 1.0
        y = eval(code, {"np": np, "fnp": fnp, "x": x})  # one of the expressions above
        y[...] = 7.0
        return x

    def read_result(x):
        x = x * 1.0
        y = eval(code, {"np": np, "fnp": fnp, "x": x})  # one of the expressions above
        x[...] = 7.0
        return y * 1.0

    refusals = (StaleViewError, ViewAssignmentError, TracedMaskError, ConcretizationError)
    for f in (write_result, read_result):
        try:
            found = run(f, M)
        except refusals:
            continue
        except ft.errors.UnknownFunctionError:
            pytest.skip("not a function that functrans traces")
        np.testing.assert_array_equal(found, f(M), err_msg=f.__name__)


# ---- indices and values that are traced


@pytest.mark.parametrize("i", [0, 2, -1])
@everywhere
def test_traced_integers(run, i):
    def f(x, i):
        out = x.copy()
        out[i] = x[i] * out[i - 1]
        out[i, 1] += 2.0
        row = out[i - 1]
        row[0] = 9.0
        row *= out[i, 2]
        out[i, 1:][[0, 0]] = x[0, i]
        return out

    i = np.int64(i)
    wanted = f(M, i)
    np.testing.assert_allclose(ft.vmap(f)(np.stack([M] * 3), np.array([0, int(i), 1]))[1], wanted)
    if run is not lane:
        np.testing.assert_allclose(run(lambda x: f(x, i), M), wanted)
        np.testing.assert_allclose(ft.jit(f)(M, i), wanted)
        derivative = complex_step(lambda x: f(x, i), M)
        np.testing.assert_allclose(ft.jit(ft.jacrev(f))(M, i), derivative, atol=1e-12)


def test_an_index_that_changes_later_does_not_move_a_view():
    def f(x, i):
        out, i = x.copy(), i.copy()
        row = out[i]
        i[...] = 2
        row[0] = 7.0
        return out

    wanted = M.copy()
    wanted[1, 0] = 7.0
    np.testing.assert_array_equal(ft.jit(f)(M, 1), wanted)


def test_traced_masks_take_values_that_are_the_same_for_all():
    def f(x, mask):
        out = x.copy()
        out[mask] = 0.5
        out[mask[:, 0]] = x[0] * 2.0
        out[x > 1.0, ...] = x[0, 0]
        return out

    mask = M > 0.1
    np.testing.assert_array_equal(ft.jit(f)(M, mask), f(M, mask))
    np.testing.assert_allclose(ft.jit(ft.jacrev(f))(M, mask), complex_step_at(f, M, mask))
    np.testing.assert_array_equal(lane(f, M, mask), f(M, mask))


def complex_step_at(f: Callable[..., Any], x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """As complex_step; comparisons see the real part."""
    return complex_step(lambda z: f(z, mask), x)


def test_an_integer_that_is_known_under_grad_bounds_a_slice():
    def f(x):
        i = np.argmax(x)
        out = x[:i] * 2.0
        return np.sum(out) + x[i] ** 2

    np.testing.assert_allclose(ft.grad(f)(X), [2.0, 2.0, 2.0, 4.0, 0.0, 0.0])


def test_values_are_cast_to_the_dtype_of_the_array():
    def f(x):
        out = np.zeros_like(x, dtype=np.int32)
        out[0] = 2.9
        out[1:3] = x[:2] * 10
        out[3] = True
        single = np.zeros_like(x, dtype=np.float32)
        single[:] = x
        return out, single

    for wanted, *found in zip(f(X), ft.jit(f)(X), ft.jvp(f, (X,), (X,))[0]):
        for y in found:
            assert y.dtype == wanted.dtype
            np.testing.assert_array_equal(y, wanted)


def test_creation_functions_make_cells_of_the_current_transformation():
    def f(x, zeros):
        out = zeros(3)
        for i in range(3):
            out[i] = x[i] * x[0]
        return out

    wanted = f(X, np.zeros)
    for run in TRANSFORMED:
        np.testing.assert_array_equal(run(lambda x: f(x, fnp.zeros), X), wanted)
        np.testing.assert_array_equal(run(lambda x: f(x, lambda n: np.zeros(n, like=x)), X), wanted)
    np.testing.assert_array_equal(f(X, fnp.zeros), wanted)
    nested = ft.vmap(ft.grad(lambda x: np.sum(ft.jit(lambda y: f(y, fnp.zeros))(x))))(np.stack([X, X]))
    np.testing.assert_allclose(nested[0], [2 * X[0] + X[1] + X[2], X[0], X[0], 0, 0, 0])


def test_linear_transpose_of_assignments():
    def f(x):
        out = fnp.zeros(4)
        out[1:3] = x[:2] * 3.0
        out[0] = x[0]
        return out

    (found,) = ft.linear_transpose(f, X[:3])(np.array([1.0, 2.0, 4.0, 8.0]))
    np.testing.assert_array_equal(found, [7.0, 12.0, 0.0])


# ---- nests


def test_a_copy_inside_belongs_to_the_inner_transformation():
    def outer(x):
        def inner(a):
            out = x.copy()
            out[0] = a * x[1]
            return out * a

        return ft.vmap(inner)(np.array([1.0, 2.0]))

    wanted = np.stack([[a * (a * X[1] if i == 0 else X[i]) for i in range(6)] for a in (1.0, 2.0)])
    for run in (primal, jitted):
        np.testing.assert_allclose(run(outer, X), wanted)
    assert ft.jacrev(outer)(X)[1, 0, 1] == 4.0


def test_residuals_of_vjp_and_linearize_stay_as_they_were():
    def pulled(x):
        c = x.copy()
        _, pull = ft.vjp(lambda a: a * c, x)
        c[0] = 100.0
        return pull(c)[0]

    def pushed(x):
        c = x.copy()
        _, push = ft.linearize(lambda a: a * c, x)
        c[0] = 100.0
        return push(c)

    wanted = X * X
    wanted[0] = 100.0 * X[0]
    for f in (pulled, pushed):
        for run in (primal, jitted, lane):
            np.testing.assert_allclose(run(f, X), wanted)


def test_buffers_of_the_caller_are_not_kept():
    buffer = np.ones(6)

    def f(x):
        out = np.zeros_like(x)
        out[...] = buffer
        out *= x
        buffer[:] = 50.0
        return np.sum(out)

    np.testing.assert_array_equal(ft.grad(f)(X), np.ones(6))


# ---- what is refused


@everywhere
def test_arguments_are_not_assigned_into(run):
    def item(x):
        x[0] = 1.0
        return x

    def augmented(x):
        x += 1.0
        return x

    def through_a_view(x):
        x[1:3][0] = 1.0
        return x

    def through_a_function(x):
        np.put(x, [0], 1.0)
        return x

    for f in (item, augmented, through_a_view, through_a_function):
        with pytest.raises(ArgumentMutationError, match=r"x = x\.copy\(\)"):
            run(f, X)

    def copied(x):
        x = x.copy()
        return item(augmented(through_a_view(through_a_function(x))))

    np.testing.assert_array_equal(run(copied, X), copied(X))


@everywhere
@pytest.mark.parametrize(
    "use",
    [
        lambda v: v * 2, lambda v: v, lambda v: v[0], lambda v: v.copy(), lambda v: np.sum(v), lambda v: v.T[0],
        lambda v: float(v[0]), lambda v: np.asarray(v), lambda v: bool(v.any()), lambda v: v.tolist(), list,
        lambda v: v.__setitem__(0, 1.0),
    ],
)  # fmt: skip
def test_stale_views_are_not_used(run, use):
    def f(x):
        out = x.copy()
        view = out[1:3]
        out[2] = 5.0
        return use(view)

    with pytest.raises(StaleViewError, match=r"Take the view again after the assignment"):
        run(f, X)


@everywhere
def test_views_of_views_go_stale(run):
    def f(x):
        out = x.copy()
        inner = out[1:][1:]
        out[3] = 1.0
        return inner * 1.0

    with pytest.raises(StaleViewError):
        run(f, X)


@everywhere
def test_views_that_share_nothing_with_an_assignment_stay_good(run):
    def f(x):
        out = x.copy()
        first, second, third = out[0], out[1:3, 1:], out[1:, 0]
        out[1:, 0] = 3.0
        out[0, :2] = second[0, :2]
        out[-1, 1] = 8.0
        return out[1] * 1.0, first, second, third

    with pytest.raises(StaleViewError):
        run(f, M)

    def g(x):
        out = x.copy()
        first, second = out[0], out[1:3, 1:]
        out[1:, 0] = 3.0
        return first + second[0, 0]

    np.testing.assert_array_equal(run(g, M), g(M))


@everywhere
def test_views_that_cannot_be_written_through(run):
    def merged(x):
        out = x * 1.0
        out.T.reshape(-1)[0] = 1.0
        return out

    def diagonal(x):
        out = x * 1.0
        np.diagonal(out)[...] = 1.0
        return out

    for f in (merged, diagonal):
        with pytest.raises(ViewAssignmentError, match="take a copy first"):
            run(f, M)


@everywhere
def test_plain_arrays_cannot_hold_traced_values(run):
    def f(x):
        out = np.zeros(3)
        out[0] = x[0]
        return out

    error = ConcretizationError if run is jitted else TracerConversionError
    with pytest.raises(error, match=r"np\.zeros_like\(x\), np\.zeros\(n, like=x\) or functrans\.numpy\.zeros"):
        run(f, X)
    for inplace in (lambda out, x: np.put(out, x.astype(int), 1), lambda out, x: np.copyto(out, x)):
        with pytest.raises((ConcretizationError, TracerConversionError)):
            run(lambda x, g=inplace: g(np.zeros(6), x), X)


def test_plain_arrays_of_known_values_are_not_written_into():
    """In NumPy, x would change with what asarray makes of it."""

    def f(x):
        signs = (x > 0) * 1
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(signs)[0] = 5
        with pytest.raises(ValueError, match="Unable to avoid copy"):
            np.array(signs, copy=False)
        for copy in (np.array(signs), np.asarray(signs, float)):
            copy[0] = 5
        return x * signs

    np.testing.assert_array_equal(ft.jvp(f, (M,), (M,))[0], M * (M > 0))


@pytest.mark.parametrize("transform", [ft.jit, ft.vmap])
def test_plain_tables_are_not_indexed_by_traced_integers(transform):
    table, i = np.arange(4.0), np.array([1, 2])
    with pytest.raises((ConcretizationError, TracerConversionError), match=r"functrans\.numpy\.take\(table, i\)"):
        transform(lambda i: table[i])(i)
    np.testing.assert_array_equal(transform(lambda i: fnp.take(table, i))(i), table[i])
    np.testing.assert_array_equal(transform(lambda i: fnp.asarray(table)[i])(i), table[i])


@everywhere
def test_values_of_an_outer_transformation_are_not_changed(run):
    def f(x):
        out = x.copy()

        def inner(a):
            out[0] = a
            return a

        return ft.vmap(inner)(x)

    with pytest.raises(ForeignAssignmentError, match="copy inside it"):
        run(f, X)


def test_a_cell_is_of_no_use_afterwards():
    kept = []

    def f(x):
        kept.append(x.copy())
        return np.sum(x)

    ft.grad(f)(X)
    with pytest.raises((ForeignAssignmentError, ft.errors.LeakedTracerError)):
        kept[0][0] = 1.0


@everywhere
def test_errors_are_numpys(run):
    def case(statement: str, error: type[Exception], builtin: type[Exception], match: str) -> None:
        def f(x):
            out = x.copy()
            exec(statement, {"out": out, "x": x, "np": np})  # one of the statements below
            return out

        with pytest.raises(builtin):
            f(M)
        with pytest.raises(error, match=match) as caught:
            run(f, M)
        assert isinstance(caught.value, builtin)

    case("out[3] = 1.0", OutOfBoundsError, IndexError, "Index 3 is out of bounds for axis 0 with size 3")
    case("out[0, -5]", OutOfBoundsError, IndexError, "Index -5 is out of bounds for axis 1 with size 4")
    case("out[0] = out[[0, 7]][0]", OutOfBoundsError, IndexError, "Index 7 is out of bounds")
    case("out[:, [0, 7]] = 1.0", OutOfBoundsError, IndexError, "Index 7 is out of bounds")
    case("out[0, 0, 0]", InvalidIndexError, IndexError, "Too many indices")
    case("out[1.0]", InvalidIndexError, IndexError, "indexed by an object of type float")
    case("out[np.array([0.5])] = 1", InvalidIndexError, IndexError, "dtype float64")
    case("out['a']", InvalidIndexError, IndexError, "indexed by an object of type str")
    case("out[..., 0, ...]", InvalidIndexError, IndexError, "single ellipsis")
    case("out[np.ones(2, bool)]", InvalidIndexError, IndexError, "boolean mask with extent 2")
    case("out[[0, 1], [0, 1, 2]]", InvalidIndexError, IndexError, "broadcast to one shape")
    case("out[0] = np.ones(3)", ShapeMismatchError, ValueError, r"\(3,\) was to be stored in elements of shape \(4,\)")
    case("out[0] = x", ShapeMismatchError, ValueError, "was to be stored")
    case("out[0, 0] = 1j", DtypeMismatchError, TypeError, r"Store `value\.real`")
    case("out[0].astype(int).__iadd__(0.5)", DtypeMismatchError, TypeError, "in-place")


def test_masks_and_slices_that_decide_shapes_say_what_to_do():
    with pytest.raises(TracedMaskError, match=r"functrans\.numpy\.where\(mask, x, other\)"):
        ft.jit(lambda x: x[x > 0])(X)
    with pytest.raises(TracedMaskError):
        ft.vmap(lambda x: x[x > 0])(M)
    with pytest.raises(ConcretizationError, match=r"functrans\.lax\.dynamic_slice"):
        ft.jit(lambda x, i: x[i : i + 2])(X, 1)
    np.testing.assert_array_equal(ft.grad(lambda x: np.sum(x[x > 0]))(X), (X > 0) * 1.0)


def test_out_of_bounds_is_noticed_in_compiled_programs():
    f = ft.jit(lambda x, i: x[i])
    assert f(X, 5) == X[5]
    with pytest.raises(OutOfBoundsError, match="Index 6 is out of bounds for axis 0 with size 6"):
        f(X, 6)
    g = ft.jit(lambda x, i: fnp.at(x)[i].set(1.0))
    with pytest.raises(OutOfBoundsError):
        g(X, np.array([0, -7]))


def test_reading_rows_in_a_loop_does_not_pile_up():
    sizes = []

    def f(x):
        out = x.copy()
        for _ in range(500):
            out[0]
        sizes.append(len(out.views))
        return np.sum(out)

    ft.grad(f)(M)
    assert sizes[0] < 100


@pytest.mark.parametrize("index", ["i", "(i, slice(1, 3))", "(0, j)", "(slice(None), i, None)"])
def test_an_augmented_assignment_at_unknown_places_is_one(index: str):
    at = eval(f"lambda i, j: {index}")

    def f(x: Any, i: Any, j: Any) -> Any:
        x = x.copy()
        x[at(i, j)] *= np.sin(x[at(j, i)])
        return x

    x = np.linspace(1, 2, 36).reshape(3, 3, 4)
    np.testing.assert_allclose(ft.jit(f)(x, 1, 2), f(x, 1, 2), rtol=1e-12)
    assert str(ft.make_jaxpr(f)(x, 1, 2)).count("scatter_set") == 1
    inner = ft.make_jaxpr(lambda x, i, j: ft.jvp(lambda x: f(x, i, j), (x,), (x,))[1])(x, 1, 2)
    assert str(inner).count("scatter_set") == 2  # of values, and of tangents


def test_an_augmented_assignment_at_another_place_than_before():
    def f(x: Any, i: Any) -> Any:
        x, i = x.copy(), i.copy()
        row = x[i[0]]
        i[0] = 2
        row += 1.0
        x[i[0]] = row
        return x

    x = np.arange(12.0).reshape(3, 4)
    for i in range(3):
        np.testing.assert_array_equal(ft.jit(f)(x, np.array([i])), f(x, np.array([i])))
