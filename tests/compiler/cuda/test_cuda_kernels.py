"""How kernels are divided among threads: each form on shapes of every kind, in three orders of threads."""

from __future__ import annotations

import re
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
import functrans.numpy as fnp
from functrans import nn
from functrans.compiler import extremes
from functrans.compiler.backends.cuda import layouts
from functrans.compiler.instructions import PythonRun
from tests.helpers.bits import assert_same_bits, special_array
from tests.helpers.cuda.running import DIVISIONS, ORDERS, emulated, kernels_of, lowered
from tests.helpers.oracles import assert_all_close
from tests.helpers.tiers import interpreted, staged

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

ROUNDING = {"f8": 1e-13, "f4": 1e-6}


def check(function, *args, order=0, division="usual", tolerance=1e-13):
    """The program against the interpreter; its launches."""
    jaxpr = staged(function, args)
    assert_all_close(emulated(jaxpr, args, order, division), interpreted(jaxpr, args), tolerance)
    return [launch for found in lowered(jaxpr, args, division).launches.values() for launch in found]


def values(shape, dtype="f8", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# ---- reductions


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("shape", "axis", "text", "is_divided"),
    [
        ((300, 5), 1, "", False),
        ((20, 700), 1, "of_warp", False),
        ((20, 701), 1, "of_warp", False),
        ((20, 1501), 1, "of_block", False),
        ((40, 5000), 1, "of_block", False),
        ((3, 20_001), 1, "of_block", True),
        ((70_000,), 0, "of_block", True),
        ((9000, 3), 0, "of_column", True),
        ((40, 70), 0, "of_column", False),
        ((7, 900), 0, "", False),
        ((60, 11, 7), (0, 2), "of_warp", False),
        ((1, 40), 0, "", False),
        ((40, 1), 1, "", False),
    ],
)
def test_reductions_by_shape(shape, axis, text, is_divided, order):
    x = values(shape)
    (launch,) = check(lambda x: (np.sum(x * x, axis), np.max(x, axis), np.prod(1 + x * 1e-3, axis)), x, order=order)
    assert ("is_last_block" in launch.source) == is_divided, "parts are put together by the last block"
    assert text in launch.source
    assert all(("of_warp", "of_block", "of_column")[k] not in launch.source or text for k in range(3))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(10**5,), (10**6,), (10**7,), (1000, 1000), (10**5, 100), (100, 10**5)], ids=str)
@pytest.mark.parametrize("axis", [0, -1])
def test_enough_bytes_are_on_their_way_in_sums(axis, shape, dtype):
    """Four in five of those that an H100's memory sends in the time that one takes to come, or of all; and parts are put
    together by the kernel that computes them."""
    lowered_ = ft.jit(lambda x: np.sum(x, axis)).lower(ft.ShapeDtypeStruct(shape, dtype), backend="cuda")
    (launch,) = lowered_._encoder.all_launches
    threads, size = launch.grid[0] * launch.grid[1] * launch.block[0], np.dtype(dtype).itemsize
    at_once = 16 if "Vector" in launch.source else size
    loads = min(layouts.LEAST_SHARE, prod(shape) * size // (threads * at_once))
    assert threads * loads * at_once >= 0.8 * min(132 * (18 << 10), prod(shape) * size)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("shape", "dtype", "team"),
    [
        ((4099, 17), "f8", 4),
        ((4099, 20), "f4", 2),
        ((2100, 33), "f4", 8),
        ((1100, 64), "f8", 8),
        ((300, 64), "f8", 32),  # so few rows that all threads of a warp share each
        ((300, 128), "f4", 32),
        ((1100, 520), "f4", 32),
    ],
)
def test_short_rows_are_reduced_by_parts_of_warps(shape, dtype, team, order):
    launches = check(lambda x: (np.sum(x * x, 1), np.max(x, 1)), values(shape, dtype), order=order, tolerance=1e-5)
    assert all(f"of_warp<Add, {team}>" in launch.source for launch in launches)


@settings(max_examples=30)
@given(data=st.data())
def test_reductions_of_columns(data):
    """Of few columns and of many, aligned or not, some of which share what they are computed from."""
    rows, columns = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 70))
    dtype, order = data.draw(st.sampled_from(["f8", "f4", "i2"])), data.draw(st.sampled_from(ORDERS))
    division, begin = data.draw(st.sampled_from(list(DIVISIONS))), data.draw(st.integers(0, 3))
    x = (10 * values((rows, begin + columns))).astype(dtype)

    def function(x):
        part = x[:, begin:]
        return np.sum(part, 0), np.max(part * part[:, :1], 0), np.sum(part * np.max(part, 1, keepdims=True), 0)

    check(function, x, order=order, division=division, tolerance=1e-12 if dtype == "f8" else 1e-4)


@pytest.mark.parametrize(
    ("shape", "columns", "vector"),
    [((4000, 128), 32, "Vector<float32, 4>"), ((4000, 3), 1, ""), ((9000, 8), 2, "Vector<float32, 4>"), ((40, 70), 32, "")],
)
def test_threads_side_by_side_have_as_many_columns_as_there_are(shape, columns, vector):
    launch, *_ = check(lambda x: np.sum(x, 0), values(shape, "f4"), tolerance=1e-5)
    assert f"of_column<Add, {columns}, {256 // columns}>" in launch.source
    assert vector in launch.source
    assert vector or "Vector<" not in launch.source


@pytest.mark.parametrize("division", list(DIVISIONS))
@pytest.mark.parametrize("columns", [1, 3, 5, 8])
def test_columns_that_go_to_a_part_of_an_array(columns, division):
    """Their parts lie side by side, they themselves do not."""
    x = values((5000, 6, columns))
    check(lambda z, x: ft.numpy.at(z)[:, 1 : 1 + columns].set(np.sum(x, 0)), np.ones((6, 10)), x, division=division)


@pytest.mark.parametrize("order", ORDERS)
def test_what_columns_have_in_common_is_computed_once(order):
    """Distances between bodies, which all coordinates of a force are computed from."""

    def forces(x):
        distance = x[None] - x[:, None]
        near = np.sum(distance * distance, -1) + 1e-3
        return np.sum(distance / (near * np.sqrt(near))[:, :, None], 1)

    launch, *_ = check(forces, values((70, 3)), order=order, tolerance=1e-10)
    assert all(f"a0_{k}.take" in launch.source for k in range(3))


@settings(max_examples=25)
@given(data=st.data())
def test_reductions_of_any_dtype(data):
    dtype = data.draw(st.sampled_from(["f8", "f4", "i8", "i4", "i2", "u1", "?"]))
    shape = data.draw(st.sampled_from([(3, 70), (70, 3), (2, 33, 5), (129,), (1, 1)]))
    axes = tuple(data.draw(st.sets(st.sampled_from(range(len(shape))), min_size=1)))
    order, division = data.draw(st.sampled_from(ORDERS)), data.draw(st.sampled_from(list(DIVISIONS)))
    x = special_array(np.random.default_rng(0), shape, dtype)
    x = np.where(np.isfinite(x), np.clip(x, -100, 100), x).astype(dtype) if x.dtype.kind == "f" else x

    def reductions(x):
        found = [np.max(x, axes), np.min(x, axes), np.any(x, axes), np.all(x, axes)]
        if x.dtype.kind != "f":
            found += [f.reduce(x, axes) for f in (np.bitwise_and, np.bitwise_or, np.bitwise_xor)]
        return found + ([np.sum(x, axes), np.prod(x, axes)] if x.dtype.kind in "iu" else [])

    jaxpr = staged(reductions, (x,))
    assert_same_bits(emulated(jaxpr, (x,), order, division), interpreted(jaxpr, (x,)), signs_of_zeros=False)


@pytest.mark.parametrize("dtype", ["F", "D"])
@pytest.mark.parametrize("division", ["usual", "warps", "blocks"])
def test_reductions_of_complex_numbers(division, dtype):
    x = (values((30, 70)) + 1j * values((30, 70), seed=1)).astype(dtype)
    tolerance = 1e-5 if dtype == "F" else 1e-13
    for axis in (0, 1, None):
        jaxpr = staged(lambda x: (np.sum(x, axis), np.mean(x * x, axis), np.prod(x[:5, :3], axis)), (x,))
        assert not lowered(jaxpr, (x,), division).calls_python
        assert_all_close(emulated(jaxpr, (x,), 0, division), interpreted(jaxpr, (x,)), tolerance)


def test_sums_keep_their_rounding_errors():
    x = np.full(200_001, 0.1, np.float32)
    (found,) = emulated(staged(np.sum, (x,)), (x,))
    assert abs(float(found) - np.sum(x.astype(np.float64))) <= np.spacing(found)


def test_sums_of_nothing_finite():
    for x in (np.array([1.0, np.inf, 2]), np.array([np.inf, -np.inf]), np.array([1e308, 1e308, -1e308]), np.array([np.nan])):
        check(np.sum, np.tile(x, 50))


# ---- points


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_angles_are_reduced_once_for_sine_and_cosine(dtype):
    x = np.concatenate([special_array(np.random.default_rng(0), (60,), dtype), values((60,), dtype, seed=1)])
    for function in (lambda x: np.sin(3 * x) * np.cos(3 * x), lambda x: (np.cos(x), np.sin(x), np.sin(x + 1))):
        (launch,) = check(function, x, tolerance=4 * np.finfo(dtype).eps)
        assert launch.source.count("sine_and_cosine(") == 1
    (launch,) = check(lambda x: np.sin(x) + np.cos(x + 1), x, tolerance=4 * np.finfo(dtype).eps)
    assert "sine_and_cosine(" not in launch.source


# ---- chains


def softmax(x):
    e = np.exp(x - np.max(x, -1, keepdims=True))
    return e / np.sum(e, -1, keepdims=True)


def layer_norm(x, gain, shift):
    centred = x - np.mean(x, -1, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, -1, keepdims=True) + 1e-5) * gain + shift


def logsumexp(x):
    m = np.max(x, -1, keepdims=True)
    return np.log(np.sum(np.exp(x - m), -1)) + m[..., 0]


CHAINS = {
    "softmax": (softmax, 1),
    "logsumexp": (logsumexp, 1),
    "layer norm": (layer_norm, 3),
    "gradient of softmax": (lambda x, w: ft.grad(lambda x: np.sum(softmax(x) * w))(x), 2),
    "cross-entropy": (lambda x, w: np.sum(w * (logsumexp(x)[:, None] - x), 1), 2),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("length", [257, 512, 1500])
@pytest.mark.parametrize("name", list(CHAINS))
def test_chains_of_rows_are_one_kernel(name, length, order):
    function, count = CHAINS[name]
    args = [values((40, length)), values((length,), seed=1), values((length,), seed=2)][:count]
    launches = check(function, *args, order=order, tolerance=1e-11)
    assert len(launches) == 1


@pytest.mark.parametrize(
    ("shape", "dtype", "team", "threads"),
    [
        ((40, 3), "f8", 4, 256),  # a thread for each element of few rows
        ((12_000, 3), "f8", 1, 256),
        ((9000, 10), "f4", 4, 256),
        ((900, 40), "f8", 16, 256),
        ((40, 40), "f8", 32, 256),
        ((40, 257), "f8", 32, 256),
        ((40, 1000), "f4", 128, 128),  # two rows for each of eight warps are more than shared memory has room for
        ((40, 1500), "f8", 256, 256),
    ],
)
def test_teams_are_as_large_as_rows_ask_for(shape, dtype, team, threads):
    (launch,) = check(softmax, values(shape, dtype), tolerance=1e-11 if dtype == "f8" else 1e-5)
    assert f"meet<{team}>" in launch.source
    assert launch.block == (threads, 1, 1)


@settings(max_examples=20)
@given(data=st.data())
def test_chains_of_short_rows(data):
    """Teams that are parts of warps do not wait for those that have no row left."""
    name, order = data.draw(st.sampled_from(list(CHAINS))), data.draw(st.sampled_from(ORDERS))
    rows, length = data.draw(st.integers(2, 700)), data.draw(st.integers(2, 40))
    function, count = CHAINS[name]
    args = [values((rows, length)), values((length,), seed=1), values((length,), seed=2)][:count]
    check(function, *args, order=order, tolerance=1e-11)


def masked_softmax(x, mask):
    return softmax(np.where(mask, x * 0.5, -1e9))


def causal_softmax(x):
    queries, keys = (fnp.arange(n) for n in x.shape[-2:])
    return softmax(np.where(queries[:, None] >= keys, x, -1e9))


@settings(max_examples=10)
@given(data=st.data())
def test_rows_along_several_axes_are_rows_of_one_chain(data):
    """As many launches as for a matrix of the same rows."""
    leading = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    length, order = data.draw(st.integers(2, 70)), data.draw(st.sampled_from(ORDERS))
    x, rows = values((*leading, length)), values((prod(leading), length))
    function, count = CHAINS[data.draw(st.sampled_from(["softmax", "layer norm", "gradient of softmax"]))]
    others = [values((length,), seed=1), values((length,), seed=2)][: count - 1]
    assert len(check(function, x, *others, order=order, tolerance=1e-11)) == len(check(function, rows, *others))


@settings(max_examples=10)
@given(data=st.data())
def test_what_chains_read_need_not_lie_in_rows_as_they_do(data):
    """What is broadcast along axes, turned, or made of indices is read at those of each row."""
    leading = tuple(data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=3)))
    length, order = data.draw(st.integers(30, 70)), data.draw(st.sampled_from(ORDERS))
    x = values((*leading, length))
    shape = [n if data.draw(st.booleans()) else 1 for n in x.shape]
    mask = values(shape, seed=1) < 0.7
    function, *args = data.draw(
        st.sampled_from([
            (masked_softmax, x, mask),
            (lambda x: softmax(x) + np.swapaxes(x, 0, 1), values((leading[0], leading[0], length))),
            (causal_softmax, x),
        ])
    )
    check(function, *args, order=order, tolerance=1e-11)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (masked_softmax, (values((3, 4, 50, 60)), values((50, 60)) < 0.7)),
        (causal_softmax, (values((3, 4, 50, 60)),)),
        (lambda x: ft.grad(lambda x: np.sum(np.sin(softmax(x))))(x), (values((3, 4, 20, 60)),)),
        (lambda x: (x - x.mean((2, 3), keepdims=True)) / x.std((2, 3), keepdims=True), (values((9, 8, 10, 12)),)),
    ],
)
def test_chains_of_rows_along_several_axes_are_one_kernel(function, args):
    assert len(check(function, *args, tolerance=1e-11)) == 1


def test_long_columns_are_no_rows_of_chains():
    """Threads beside each other have neighbouring columns, or each would read a number here and a number there."""
    launches = check(lambda x: np.var(x, 0), values((300, 40)), tolerance=1e-11)
    assert all("of_column<" in launch.source and "meet<" not in launch.source for launch in launches)
    *_, last = check(lambda x: np.var(x, 0), values((90, 40)), tolerance=1e-11)  # too little to be worth launches
    assert "meet<" in last.source


def test_rows_that_are_needed_one_after_the_other_share_their_place():
    def smoothed(x):
        for _ in range(4):
            x = np.exp(x - np.sum(x, 1, keepdims=True))
        return x

    x = values((90, 300)) * 1e-3
    (launch,) = check(smoothed, x, tolerance=1e-11)
    assert launch.shared == 2 * 8 * x[0].nbytes


def test_programs_of_little_arrays_are_few_launches():
    """On a CPU everything would be in the cache anyway; on a GPU it is a launch less."""
    assert len(check(softmax, values((4, 5)))) == 1


def test_few_rows_in_the_kernel_of_a_loop_keep_all_threads():
    """The links are functions of their own, which all threads of the block go through."""

    def repeated(x):
        return ft.lax.fori_loop(0, 3, lambda _, x: softmax(x), x)

    *_, launch = check(repeated, values((2, 300)), tolerance=1e-11)
    assert "meet<" not in launch.source


def test_chains_of_rows_too_long_for_shared_memory():
    (launch,) = check(softmax, values((40, 9000)))
    assert launch.shared == 0


@pytest.mark.parametrize(("shape", "dtype", "teams"), [((90, 501), "f4", 8), ((30, 2000), "f8", 1)])
def test_rows_that_several_links_read_come_from_memory_once(shape, dtype, teams):
    """Each team copies its own to shared memory first."""
    x = values(shape, dtype)
    row = teams * -(-x[0].nbytes // 16) * 16
    for function, rows in (
        (lambda x: np.exp(x - np.sum(x, 1, keepdims=True)), 1),
        (softmax, 2),  # and those of what is divided in the end
        (lambda x: (x - np.max(x, 1, keepdims=True))[::-1] * np.sum(x, 1, keepdims=True), 0),  # another row
        (lambda x: softmax(np.broadcast_to(x[0], x.shape)), 1),  # the same row for all
    ):
        launches = check(function, x, tolerance=1e-5 if dtype == "f4" else 1e-13)
        assert max(launch.shared for launch in launches) == rows * row


@pytest.mark.parametrize("order", ORDERS)
def test_blocks_for_long_rows_are_large_and_no_more_than_multiprocessors(order):
    (launch,) = check(softmax, values((6, 20_000), "f4"), order=order, tolerance=1e-5)
    assert launch.block == (1024, 1, 1)
    assert launch.grid == (4, 1, 1)


def test_few_long_rows_are_not_left_to_few_blocks():
    launches = check(softmax, values((2, 40_000)))
    assert len(launches) > 1
    assert max(prod_of(launch.grid) for launch in launches) > 2


def prod_of(numbers):
    return int(np.prod(numbers))


# ---- memory


@pytest.mark.parametrize("order", ORDERS)
def test_views_of_arguments(order):
    x = values((6, 40))
    for view in (x[:, ::2], x[::-1], x.T, x[1:, 3:], x[:, ::-1], np.broadcast_to(x[0], (6, 40)), x[:, :0], x[:, 1:2]):
        check(lambda x: (np.sin(x) + x, np.sum(x, 0), x.T * 2), view, order=order)


@settings(max_examples=30)
@given(data=st.data())
def test_what_is_side_by_side_at_a_point_is_moved_at_once(data):
    """Or not, as addresses and distances allow for it; what is written may be where it was read."""
    columns, begin = data.draw(st.integers(1, 9)), data.draw(st.integers(0, 4))
    dtype = data.draw(st.sampled_from(["f4", "f8", "i2", "i8", "F", "?"]))
    end = begin + data.draw(st.integers(1, columns))
    pairs = data.draw(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=8))
    x = (10 * values((70, columns + begin))).astype(dtype)

    def function(x):
        own = [x[:, begin + k] for k in range(end - begin)]
        made = np.stack([own[i % len(own)] * own[j % len(own)] + own[0] for i, j in pairs], 1)
        return [made, *([np.concatenate([made, x[:, len(pairs) :]], 1)] if len(pairs) <= x.shape[1] else [])]

    jaxpr, donated = staged(function, (x,)), data.draw(st.sampled_from([(), (0,)]))
    order, division = data.draw(st.sampled_from(ORDERS)), data.draw(st.sampled_from(list(DIVISIONS)))
    assert_same_bits(emulated(jaxpr, (x,), order, division, donated), interpreted(jaxpr, (x,)))


def test_elements_of_small_matrices_are_moved_four_at_a_time():
    (text,) = kernels_of(lambda a: np.linalg.det(a), values((300, 4, 4), "f4"))
    assert text.count("*(const Vector<float32, 4> *)") == 4
    (text,) = kernels_of(lambda a: np.linalg.det(a), values((300, 3, 3), "f4"))
    assert "Vector" not in text


@settings(max_examples=200)
@given(st.integers(1, 2**31 - 1) | st.integers(0, 30).map(lambda k: 2**k), st.integers(0, 2**31 - 1), st.integers(0, 9))
def test_quotients_of_indices_take_a_product_and_a_shift(number, x, back):
    exponent, multiplier = divmod(layouts.divisor(number), 1 << 32)
    for y in (x, max(x // number * number - 1, 0), x // number * number, 2**31 - 1 - back):
        assert y * multiplier >> exponent == y // number
    assert exponent < 64


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: x[1:, 1:, 1:] - x[:-1, 1:, :-1], (7, 9, 11)),
        (lambda x: x + x[0, 0], (6, 5, 8)),
        (lambda x: np.transpose(x, (2, 1, 0)) * 2, (40, 3, 40)),
        (lambda x: np.sum(x, (0, 2)), (6, 5, 8)),
        (lambda x: np.sum(x, 1), (3, 500, 7)),
        (lambda x: nn.softmax(x * np.arange(x.shape[1])[:, None], (1, 2)), (300, 6, 8)),
        (lambda x: np.cumsum(x, 1), (3, 50, 7)),
    ],
)
def test_indices_of_loops_are_found_without_division(function, shape):
    launches = check(function, values(shape))
    texts = [launch.source for launch in launches]
    assert any("Divisor" in text for text in texts)
    assert not any(re.search(r"quotient\((u|r|row)(_\d+)?, [nv]\d", text) for text in texts)


def test_sizes_are_arguments():
    def function(x):
        return np.mean(np.sin(x) * 3, 1) + 1

    assert kernels_of(function, values((60, 40))) == kernels_of(function, values((62, 80)))


def test_large_arrays_have_wide_indices():
    (text,) = kernels_of(lambda x: np.sin(x), np.broadcast_to(1.0, (3, 1 << 31)))
    assert "int64 n0" in text


# ---- indices


@pytest.mark.parametrize("order", ORDERS)
def test_gather_and_scatter(order):
    x, i, u = values((20, 6)), np.array([3, -1, 3, 0, 19, 3]), values((6, 6), seed=1)
    check(lambda x, i: x[i] * 2, x, i, order=order)
    check(lambda x, i, u: ft.numpy.at(x)[i].add(u), x, i, u, order=order)
    check(lambda x, i, u: ft.numpy.at(x)[i].set(u), x, i, u, order=order)
    check(lambda x, i, u: ft.numpy.at(x)[i].max(u), x, i, u, order=order)
    check(lambda x, i, u: ft.numpy.at(x)[i].multiply(u), x, i, u, order=order)
    check(lambda x, i: ft.numpy.at(x)[i].add(7), np.arange(20), i, order=order)
    check(lambda x, i: ft.numpy.at(x)[i].add(7), np.arange(20, dtype=np.int8), i, order=order)
    check(lambda x, i: ft.numpy.at(x)[i].max(7), np.arange(20, dtype=np.uint16), i, order=order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [2, 3])
def test_of_few_updates_of_one_place_the_last_stays(count, order):
    i, u = np.ones(count, int), np.arange(1.0, count + 1)
    check(lambda x, i, u: ft.numpy.at(x)[i].set(u), values(4), i, u, order=order)
    check(lambda x, i, u: ft.numpy.at(x)[i].multiply(u + 1j), values(4) + 0j, i, u, order=order)


@pytest.mark.parametrize("order", ORDERS)
def test_of_many_updates_of_one_place_the_last_stays(order):
    random = np.random.default_rng(0)
    i, u = random.integers(-30, 30, 500), values(500, seed=1)
    launches = check(lambda x, i, u: ft.numpy.at(x)[i].set(u), values(30), i, u, order=order)
    assert len(launches[-1].about.splitlines()) > 4, "a check, and kernels that vote"
    check(lambda x, i, u: ft.numpy.at(x)[:, i].set(u * 2), values((3, 30)), i, values((3, 500)), order=order)
    check(lambda x, i, u: ft.numpy.at(x)[i, 1].set(u), values((30, 2)), i, u, order=order)


@pytest.mark.parametrize("order", ORDERS)
def test_sums_at_indices_in_order_and_in_any(order):
    i, u = np.random.default_rng(0).integers(0, 5, 300), values(300).astype("f4")
    add = lambda x, i, u: ft.numpy.at(x)[i].add(u)  # noqa: E731
    assert [f for f in check(add, np.zeros(5, "f4"), i, u, order=order, tolerance=1e-5) if "atomic_update" in f.source]


def summed_at(x, i, u):
    return ft.numpy.at(x)[i].add(u)


@settings(max_examples=40)
@given(data=st.data())
def test_sums_at_indices_are_the_same_in_any_order_of_threads_and_of_terms(data):
    """And nearer to the exact sum than one in order; what is not finite, and zeros, count as they do there."""
    dtype = np.dtype(data.draw(st.sampled_from(["f4", "f8"])))
    random = np.random.default_rng(data.draw(st.integers(0, 100)))
    count, places = data.draw(st.integers(33, 400)), data.draw(st.integers(1, 40))
    i = random.integers(0, places, count)
    u = (random.normal(size=count) * 2.0 ** random.integers(-30, 30, count)).astype(dtype)
    if data.draw(st.booleans()):
        at = random.integers(0, count, 3)
        u[at] = random.choice([np.inf, -np.inf, np.nan, 0.0, -0.0, np.finfo(dtype).tiny / 4, np.finfo(dtype).max], 3)
    x = random.choice(np.array([0.0, -0.0, 1.5, -3.0], dtype), places)
    results = []
    with ft.config.using(deterministic=True):
        for order in ORDERS:
            terms = random.permutation(count)
            args = x, i[terms], u[terms]
            (found,) = emulated(staged(summed_at, args), args, order)
            results.append(found)
    assert_same_bits(results[1:], [results[0]] * 2)
    (wanted,) = interpreted(staged(summed_at, (x, i, u)), (x, i, u))
    sizes = np.abs(x).astype("f8")
    np.add.at(sizes, i, np.abs(u).astype("f8"))
    is_finite = np.isfinite(wanted) & np.isfinite(sizes.astype(dtype))
    np.testing.assert_array_equal(results[0][~np.isfinite(sizes)], wanted[~np.isfinite(sizes)])
    apart = np.abs(results[0].astype("f8") - wanted)[is_finite]
    assert np.all(apart <= count * np.finfo(dtype).eps * sizes[is_finite])
    untouched = np.setdiff1d(np.arange(places), i)
    assert_same_bits([results[0][untouched]], [x[untouched]])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sums_at_indices_in_any_order_are_exact_where_sums_in_order_are_not(dtype):
    large = 1 / np.finfo(dtype).eps
    u = np.array([large, *[0.4] * 50, -large], dtype)
    with ft.config.using(deterministic=True):
        args = np.zeros(2, dtype), np.ones(len(u), "i8"), u
        (found,) = emulated(staged(summed_at, args), args)
    assert found[1] == np.asarray(50 * u[1].astype("f8"), dtype)


def test_sums_at_indices_by_integers_are_kernels_of_many_threads():
    args = np.zeros((50, 4), "f4"), np.zeros(3000, "i8"), values((3000, 4), "f4")
    with ft.config.using(deterministic=True):
        launches = check(summed_at, *args, tolerance=1e-5)
        assert max(prod_of(launch.grid) for launch in launches) > 10
        few = check(summed_at, args[0], args[1][:5], args[2][:5], tolerance=1e-5)
        assert len(few) < len(launches)  # these are walked


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["e", "F", "D"])
def test_updates_of_numbers_with_parts_and_in_half_precision(dtype, order):
    random = np.random.default_rng(0)
    i, u, x = random.integers(0, 5, 90), random.integers(-3, 4, 90).astype(dtype), random.integers(-3, 4, 5).astype(dtype)
    if dtype != "e":
        u, x = u + 1j * random.integers(-3, 4, 90).astype(dtype), x * np.dtype(dtype).type(1j)

    def updated(x, i, u):
        at = ft.numpy.at(x)
        others = [at[i].max(u), at[i].min(u)] if dtype == "e" else []
        return [at[i].add(u), at[i[:6]].multiply(u[:6]), *others]

    for is_deterministic in (False, True):
        with ft.config.using(deterministic=is_deterministic):
            jaxpr = staged(updated, (x, i, u))
            encoder = lowered(jaxpr, (x, i, u))
            assert not encoder.calls_python
            assert ("atomic_update<Add>" in encoder.source.split("// ----")[-1]) is not is_deterministic
            assert_same_bits(emulated(jaxpr, (x, i, u), order), interpreted(jaxpr, (x, i, u)), signs_of_zeros=False)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", "e", "D"])
def test_blocks_update_copies_of_a_few_places(dtype, order):
    """All threads would wait for each other at these; what was there, and what nobody updates, stays."""
    random = np.random.default_rng(0)
    i, j = random.integers(0, 5, (2, 1500))
    u, x = random.integers(0, 2, (2, 1500)).astype(dtype), random.integers(0, 9, (2, 7)).astype(dtype)

    def updated(x, i, j, u):
        found = [ft.numpy.at(x)[:, i].add(u), ft.numpy.at(x)[j % 2, i].add(u[0]), ft.numpy.at(x[0])[i].add(u[1])]
        return found if dtype == "D" else [*found, ft.numpy.at(x)[:, j].max(u * 4), ft.numpy.at(x)[:, j].min(u)]

    jaxpr = staged(updated, (x, i, j, u))
    encoder = lowered(jaxpr, (x, i, j, u))
    texts = [launch.source for launches in encoder.launches.values() for launch in launches]
    assert sum(text.count("own = ") for text in texts) >= 2
    assert all("own = " in text for text in texts if "atomic_update" in text)
    assert_same_bits(emulated(jaxpr, (x, i, j, u), order), interpreted(jaxpr, (x, i, j, u)), signs_of_zeros=False)


def test_many_places_and_few_updates_have_no_copies():
    i, u = np.random.default_rng(0).integers(0, 5, 3000), values(3000).astype("f4")
    for x, count in ((np.zeros(5, "f4"), 90), (np.zeros(900, "f4"), 3000), (np.zeros(9000, "f4"), 3000)):
        assert all("own = " not in launch.source for launch in check(summed_at, x, i[:count], u[:count], tolerance=1e-5))


def test_powers_of_integers_with_exponents_that_are_known_late():
    x = np.random.default_rng(0).integers(-9, 9, (4, 5))
    for dtype, other in (("i8", "i8"), ("i1", "i1"), ("u2", "u2"), ("i4", "i8"), ("u1", "i2")):
        args = np.abs(x).astype(dtype), np.arange(5).astype(other)
        jaxpr = staged(lambda x, n: x**n + 1, args)
        assert not [i for i in lowered(jaxpr, args).assembled.block if isinstance(i, PythonRun)]
        assert_same_bits(emulated(jaxpr, args), interpreted(jaxpr, args))
    args = x, np.array([0, 1, 2, -1, 3])
    for run in (emulated, interpreted):
        with pytest.raises(ValueError, match="negative integer powers"):
            run(staged(lambda x, n: x**n, args), args)


def test_functions_of_users_are_part_of_kernels():
    ramp = ft.elementwise(lambda x, y: x * y if x > 0 else 0.0, cuda="if (x > 0) return x * y; return 0;")
    x = values(300)
    (launch,) = check(lambda x: np.sin(ramp(x, x + 1)) * 2, x)
    assert "if (x > 0) return x * y; return 0;" in launch.source
    check(lambda x: ft.grad(lambda x: np.sum(ramp(x, x)))(x), x)


@pytest.mark.parametrize("axis", [0, 1])
def test_places_of_extremes_are_found_by_kernels(axis, monkeypatch):
    monkeypatch.setattr(extremes, "MANY", 0)
    x = np.random.default_rng(0).integers(0, 5, (3, 300) if axis else (300, 3)).astype("f4")
    x[1, 1] = np.nan
    jaxpr = staged(lambda x: (np.argmax(x, axis), np.argmin(x, axis)), (x,))
    assert not lowered(jaxpr, (x,)).calls_python
    assert_same_bits(emulated(jaxpr, (x,)), interpreted(jaxpr, (x,)))
