"""Shapes, axes, joining, padding and differences, traced: NumPy's values, types, errors and derivatives."""

import inspect
import itertools

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.errors import ConcretizationError, StaleViewError, TracerConversionError
from functrans.numpy.protocols import FUNCTIONS
from tests.helpers.agreement import check_agreement

X = np.random.default_rng(0).permutation(np.linspace(-2.0, 2.3, 12)).reshape(3, 4)
V = X.ravel()
CUBE = X.reshape(3, 2, 2)
INTS = (X * 5).astype(int)

SHAPES = {
    "reshape": lambda x: np.reshape(x, (2, -1)),
    "reshape_in_column_order": lambda x: np.reshape(x, (2, -1), order="F"),
    "ravel": np.ravel,
    "ravel_in_column_order": lambda x: np.ravel(x, "F"),
    "transpose": np.transpose,
    "transpose_axes": lambda x: np.transpose(x.reshape(3, 2, 2), (-1, 0, 1)),
    "permute_dims": lambda x: np.permute_dims(x, (1, 0)),
    "matrix_transpose": np.matrix_transpose,
    "swapaxes": lambda x: np.swapaxes(x.reshape(3, 2, 2), 0, -1),
    "moveaxis": lambda x: np.moveaxis(x.reshape(3, 2, 2), (0, 1), (-1, 0)),
    "rollaxis": lambda x: np.rollaxis(x.reshape(3, 2, 2), 2, 1),
    "squeeze": lambda x: np.squeeze(x[:1, None], axis=(0, 1)),
    "squeeze_all": lambda x: np.squeeze(x[:1, None]),
    "squeeze_number": lambda x: np.squeeze(x[0, 0], axis=-1),
    "expand_dims": lambda x: np.expand_dims(x, (0, -1)),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 3, 4)),
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, np.ones((2, 1, 1))),
    "atleast_1d": lambda x: np.atleast_1d(x[0, 0], x[0]),
    "atleast_2d": lambda x: np.atleast_2d(x[0, 0], x[0], x),
    "atleast_3d": lambda x: np.atleast_3d(x[0, 0], x[0], x, x[None]),
    "flip": np.flip,
    "flip_axis": lambda x: np.flip(x, -1),
    "flipud": np.flipud,
    "fliplr": np.fliplr,
    **{f"rot90_{k}": lambda x, k=k: np.rot90(x, k) for k in range(5)},
    "rot90_axes": lambda x: np.rot90(x.reshape(3, 2, 2), 1, (2, 0)),
    "roll": lambda x: np.roll(x, 5),
    "roll_axes": lambda x: np.roll(x, (1, -2), (0, 1)),
    "roll_one_axis_twice": lambda x: np.roll(x, (1, 2), 1),
    "methods": lambda x: (
        x.T, x.mT, x.reshape(2, 6), x.reshape((2, 6)), x.reshape(-1), x.transpose(1, 0), x.transpose((1, 0)),
        x.transpose(), x.flatten(), x.ravel(), x.swapaxes(0, 1), x[:1].squeeze(), x.repeat(2, 1),
    ),
}  # fmt: skip
JOINING = {
    "stack": lambda x: np.stack([x, 2 * x], -1),
    "stack_with_dtype": lambda x: np.stack([x, x], dtype="c16"),
    "concatenate": lambda x: np.concatenate([x, x[:, :1]], axis=-1),
    "concatenate_flat": lambda x: np.concatenate([x, x[0]], None),
    "concat": lambda x: np.concat([x, np.ones((1, 4), "i4")]),
    **{
        f"{name}_{ndim}": lambda x, name=name, ndim=ndim: getattr(np, name)([x[0, 0], x[0], x, x[None]][ndim : ndim + 1] * 2)
        for name in ("hstack", "vstack", "dstack", "column_stack")
        for ndim in range(4)
    },
    "row_stack": lambda x: fnp.row_stack([x, x]) if not isinstance(x, np.ndarray) else np.vstack([x, x]),
    "append": lambda x: np.append(x, [[1, 2, 3, 4]], 0),
    "block": lambda x: np.block([[x, np.ones((3, 1))], [np.zeros((1, 5))]]),
    "block_of_one_row": lambda x: np.block([x, 2 * x]),
    "block_of_one_array": np.block,
    "split": lambda x: np.split(x, [1, 3, 2, -1], 1),
    "split_evenly": lambda x: np.split(x, 2, 1),
    "array_split": lambda x: np.array_split(x, 3, 1),
    "hsplit": lambda x: np.hsplit(x, 2),
    "vsplit": lambda x: np.vsplit(x, [2, 9]),
    "dsplit": lambda x: np.dsplit(x.reshape(3, 2, 2), 2),
    "unstack": lambda x: np.unstack(x, axis=1),
    "tile": lambda x: np.tile(x, (2, 1, 2)),
    "tile_number": lambda x: np.tile(x, 2),
    "tile_nothing": lambda x: np.tile(x, (0, 1)),
    "repeat": lambda x: np.repeat(x, 2),
    "repeat_number": lambda x: np.repeat(x[0, 0], 2, 0),
    "repeat_each": lambda x: np.repeat(x, [1, 0, 2, 1], 1),
    "repeat_none": lambda x: np.repeat(x[:0], [], 0),
    "resize": lambda x: np.resize(x, (3, 7)),
    "resize_to_nothing": lambda x: np.resize(x, (0, 7)),
    "insert": lambda x: np.insert(x, 1, 5.0, 1),
    "insert_many_at_one_place": lambda x: np.insert(x, 1, [7, 8, 9], axis=1),
    "insert_column": lambda x: np.insert(x, [1], [[7], [8], [9]], axis=1),
    "insert_each": lambda x: np.insert(x, [1, 1, 3], [[7.0, 8.0, 9.0]], 1),
    "insert_flat": lambda x: np.insert(x, [0, -1], [1.0, 2.0]),
    "insert_nothing": lambda x: np.insert(x, [], np.zeros((3, 0))),
    "insert_slice": lambda x: np.insert(x, slice(0, 2), 1.0),
    "delete": lambda x: np.delete(x, 1, 1),
    "delete_flat": lambda x: np.delete(x, [0, 2]),
    "delete_slice": lambda x: np.delete(x, slice(None, None, 2), 1),
}
MODES = ("constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp", "maximum", "mean", "median", "minimum")
PADDING = {
    **{f"{mode}_far": lambda x, mode=mode: np.pad(x, ((1, 2), (5, 7)), mode) for mode in MODES},
    **{f"{mode}": lambda x, mode=mode: np.pad(x, 2, mode) for mode in MODES},
    "odd_reflections": lambda x: np.pad(x, ((1, 2), (5, 7)), "reflect", reflect_type="odd"),
    "odd_symmetric": lambda x: np.pad(x, ((1, 2), (5, 7)), "symmetric", reflect_type="odd"),
    "values": lambda x: np.pad(x, ((1, 2), (5, 7)), constant_values=((1, 2), (3, 4))),
    "two_values": lambda x: np.pad(x, (1, 2), constant_values=(1, 2)),
    "own_value": lambda x: np.pad(x, 1, constant_values=x[0, 0]),
    "end_values": lambda x: np.pad(x, (1, 3), "linear_ramp", end_values=(1, 2)),
    "stat_length": lambda x: np.pad(x, (1, 3), "mean", stat_length=2),
    "no_width": lambda x: np.pad(x, 0, "edge"),
}
POSITIONS = np.array([0.0, 1.0, 3.0, 4.5])
DIFFERENCES = {
    "diff": lambda x: np.diff(x, 2),
    "diff_of_order_zero": lambda x: np.diff(x, 0),
    "diff_with_ends": lambda x: np.diff(x, axis=0, prepend=1.0, append=x),
    "diff_of_nothing": lambda x: np.diff(x, 6),
    "ediff1d": lambda x: np.ediff1d(x, [1.0, 2.0], 3.0),
    **{
        f"gradient_{name}_{order}": lambda x, order=order, args=args: np.gradient(x, *args, edge_order=order)
        for order in (1, 2)
        for name, args in {"uniform": (), "step": (0.7,), "steps": (0.5, 2.0), "positions": (0.5, POSITIONS)}.items()
    },
    "gradient_axis": lambda x: np.gradient(x, [0, 1, 3], axis=0),
    "trapezoid": lambda x: np.trapezoid(x, dx=0.5, axis=0),
    "trapezoid_at_positions": lambda x: np.trapezoid(x, POSITIONS),
    "trapezoid_at_own_positions": lambda x: np.trapezoid(x, x**2, axis=0),
}


def each(*tables):
    cases = {name: function for table in tables for name, function in table.items()}
    return pytest.mark.parametrize("function", cases.values(), ids=cases.keys())


@each(SHAPES, JOINING, PADDING, DIFFERENCES)
def test_agrees_with_numpy(function):
    if function is JOINING["row_stack"]:
        np.testing.assert_array_equal(ft.jit(function)(X), np.vstack([X, X]))
        return
    check_agreement(function, X)


@each(PADDING)
@pytest.mark.parametrize("dtype", ["i4", "u8", "f4", "c8"])
def test_padding_has_numpys_dtypes(function, dtype):
    check_agreement(function, INTS.astype(dtype), lanes=False)


@each(PADDING)
def test_padding_spreads_nan_as_far_as_numpy(function):
    x = X.copy()
    x[1, 2] = np.nan
    np.testing.assert_allclose(ft.jit(function)(x), function(x), rtol=1e-12)


def test_positions_of_gradient_and_trapezoid_are_differentiable():
    check_agreement(lambda x, s: np.gradient(x, s, axis=1), X, POSITIONS)
    check_agreement(lambda x, s: np.gradient(x, s, axis=1, edge_order=2), X, np.float64(0.7))
    check_agreement(lambda x, s: np.trapezoid(x, s), X, POSITIONS)


@pytest.mark.parametrize("axis", [-2, -1, 0, 1])
def test_positions_may_have_other_axes_than_what_is_integrated(axis):
    """An axis is counted in each of them."""
    arrays = [np.arange(np.prod(shape, dtype=float)).reshape(shape) ** 2 for shape in ((2, 3), (2, 3, 3), (3, 2, 3))]
    for y, s in itertools.product(arrays, repeat=2):
        try:
            wanted = np.trapezoid(y, s, axis=axis)
        except ValueError:
            with pytest.raises(ValueError):
                ft.jit(np.trapezoid, static_argnames="axis")(y, s, axis=axis)
        else:
            found = ft.jit(np.trapezoid, static_argnames="axis")(y, s, axis=axis)
            np.testing.assert_allclose(found, wanted, rtol=1e-12, strict=True)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64])
@pytest.mark.parametrize("edge_order", [1, 2])
def test_positions_of_any_dtype(dtype, edge_order):
    positions = np.arange(X.shape[1]) % 2 if dtype is bool else np.arange(X.shape[1]) ** 2 % 11
    check_agreement(lambda x, s: np.gradient(x, s, axis=1, edge_order=edge_order), X, positions.astype(dtype))


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308])
def test_the_gradient_at_a_point_is_that_between_its_neighbours(value, edge_order):
    """What is at the point itself has no part in it."""
    x = np.stack([np.where(np.arange(5) == k, value, V[:5]) for k in range(5)])
    gradient = lambda x: np.gradient(x, 0.5, axis=1, edge_order=edge_order)  # noqa: E731
    with np.errstate(all="ignore"):
        wanted = gradient(x)
        inside = (np.eye(5) > 0)[:, 1:-1]
        assert np.all(np.isfinite(wanted[:, 1:-1][inside]))
        for found in (ft.jit(gradient)(x), ft.vmap(gradient)(x[None])[0]):
            np.testing.assert_allclose(found, wanted, 1e-14)


def test_differences_of_booleans_are_whether_they_differ():
    check_agreement(lambda x: np.diff(x > 0), X)


def test_traced_shifts_and_repetitions():
    np.testing.assert_array_equal(ft.jit(lambda x, n: np.roll(x, n, 1))(X, np.int64(5)), np.roll(X, 5, 1))
    np.testing.assert_array_equal(ft.jit(lambda x, n: np.roll(x, n, (0, 1)))(X, np.array([1, 2])), np.roll(X, (1, 2), (0, 1)))
    found = ft.jit(lambda x, n: fnp.repeat(x, n, total_repeat_length=5))(V[:3], np.array([2, 0, 3]))
    np.testing.assert_array_equal(found, np.repeat(V[:3], [2, 0, 3]))


def test_shapes_of_tracers_are_plain_numbers():
    seen = []
    ft.jit(lambda x: seen.append((np.shape(x), np.ndim(x), np.size(x), np.size(x, 1), len(x))) or x)(X)
    assert seen == [((3, 4), 2, 12, 4, 3)]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.reshape(x, (5, -1)),
        lambda x: np.reshape(x, (-1, -1)),
        lambda x: np.reshape(x, (12,), order="Q"),
        lambda x: np.transpose(x, (0, 0)),
        lambda x: np.transpose(x, (0,)),
        lambda x: np.swapaxes(x, 0, 2),
        lambda x: np.moveaxis(x, (0, 1), 0),
        lambda x: np.rollaxis(x, 0, 4),
        lambda x: np.squeeze(x, 0),
        lambda x: np.broadcast_to(x, (4, 3)),
        lambda x: np.stack([x, x[0]]),
        lambda x: np.concatenate([x, x[0]]),
        lambda x: np.concatenate([x, x], 2),
        lambda x: np.concatenate([x, x], dtype=int),
        lambda x: np.split(x, 3, 1),
        lambda x: np.array_split(x, 0),
        lambda x: np.dsplit(x, 2),
        lambda x: np.block([[x], x]),
        lambda x: np.repeat(x, -1),
        lambda x: np.insert(x, 9, 1.0, axis=0),
        lambda x: np.insert(x, 1, 1j),
        lambda x: np.delete(x, 9, axis=0),
        lambda x: np.pad(x, -1),
        lambda x: np.pad(x, 1.5),
        lambda x: np.pad(x, 1, "edges"),
        lambda x: np.pad(x, 1, "edge", constant_values=1),
        lambda x: np.pad(x[:0], 1, "edge"),
        lambda x: np.diff(x, -1),
        lambda x: np.diff(x[0, 0]),
        lambda x: np.gradient(x, 1.0, 2.0, 3.0),
        lambda x: np.gradient(x, np.ones(3), axis=1),
        lambda x: np.gradient(x[:1], axis=0),
        lambda x: np.rot90(x, axes=(0, 0)),
        lambda x: np.fliplr(x[0]),
    ],
)
def test_mistakes_raise_what_numpy_raises(function):
    with pytest.raises(Exception) as numpys:
        function(X)
    with pytest.raises(type(numpys.value)):
        ft.jit(function)(X)


def test_repetitions_that_are_not_known_say_what_is_needed():
    with pytest.raises(ConcretizationError, match="total_repeat_length"):
        ft.jit(lambda x, n: np.repeat(x, n))(V, np.array(2))


def test_views_follow_the_array_or_raise():
    def stale(x):
        x = x.copy()
        row = x.T
        x[0, 0] = 1.0
        return row + 1

    def copied(x):
        x = x.copy()
        flat = x.flatten()
        x[0, 0] = 1.0
        return flat

    def through_a_part(x):
        x = x.copy()
        left, _ = np.split(x, 2, axis=1)
        left[0] = 0.0
        return x

    with pytest.raises(StaleViewError):
        ft.jit(stale)(X)
    np.testing.assert_array_equal(ft.jit(copied)(X), X.ravel())
    np.testing.assert_array_equal(ft.jit(through_a_part)(X), through_a_part(X))


def test_results_can_be_stored_in_traced_arrays_only():
    def concatenated(x):
        out = np.zeros_like(x, shape=(6, 4), dtype=np.float32)
        assert np.concatenate([x, x], out=out) is out
        return out

    np.testing.assert_array_equal(ft.jit(concatenated)(X), concatenated(X))
    with pytest.raises(TracerConversionError):
        ft.jit(lambda x: np.concatenate([x, x], out=np.zeros((6, 4))))(X)


NAMES = (
    "reshape ravel transpose permute_dims matrix_transpose swapaxes moveaxis rollaxis squeeze expand_dims broadcast_to "
    "broadcast_arrays flip flipud fliplr rot90 roll append insert delete resize tile repeat pad diff ediff1d gradient "
    "trapezoid stack hstack vstack dstack column_stack block split array_split hsplit vsplit dsplit unstack sum prod mean "
    "var std max min any all ptp argmax argmin cumsum cumprod cumulative_sum cumulative_prod average median quantile "
    "percentile nansum nanprod nanmean nanvar nanstd nanmax nanmin nanargmax nanargmin nancumsum nancumprod nanmedian "
    "nanquantile nanpercentile cov corrcoef histogram histogram_bin_edges digitize sort argsort partition argpartition "
    "searchsorted count_nonzero"
)


@pytest.mark.parametrize("name", NAMES.split())
def test_takes_the_parameters_of_numpy(name):
    ours = inspect.signature(FUNCTIONS[getattr(np, name)]).parameters
    theirs = inspect.signature(getattr(np, name)).parameters
    accepted = set(ours) | {"kwargs", "varargs"}
    assert set(theirs) <= accepted, f"{name} lacks {set(theirs) - accepted}"
    positional = [p for p, v in theirs.items() if v.kind is not v.KEYWORD_ONLY]
    assert [p for p, v in ours.items() if v.kind is not v.KEYWORD_ONLY][: len(positional)] == positional
