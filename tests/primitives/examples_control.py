"""Small functions around the primitives that hold programs or speak of named axes."""

from __future__ import annotations

from typing import Any

import numpy as np

import functrans as ft
from functrans.primitives.collectives import all_gather, axis_index, psum
from tests.helpers.cases import ControlExample

_random = np.random.default_rng(11)
X = _random.normal(size=3)
Y = _random.normal(size=(2, 3))
C = X + 1j * _random.normal(size=3)
N = np.array([2, 0, 1])


def jitted(x: Any, y: Any) -> Any:
    return ft.jit(lambda x, y: (np.sin(x) * y, y * 2))(x, y)


def jitted_on_constants(x: Any) -> Any:
    return ft.jit(lambda x: (x * Y, N))(x)


def jitted_twice(x: Any, y: Any) -> Any:
    return ft.jit(lambda x: ft.jit(lambda z: np.exp(z) * x)(y))(x)


def jitted_on_captured(x: Any, y: Any) -> Any:
    return ft.jit(lambda z: z * np.sin(x))(y)


def jitted_without_results(x: Any) -> Any:
    ft.jit(lambda x: ())(x)
    return x


def jitted_on_unused(x: Any, n: Any) -> Any:
    return ft.jit(lambda x, n: (n + 1, np.cos(x), x))(x, n)


def checkpointed(x: Any, y: Any) -> Any:
    return ft.checkpoint(lambda x, y: (np.sin(np.sin(x)) * y, x * 3))(x, y)


def checkpointed_on_captured(x: Any, y: Any) -> Any:
    return ft.checkpoint(lambda z: np.sin(z * x) * z)(y)


def checkpointed_twice(x: Any) -> Any:
    return ft.checkpoint(lambda x: ft.checkpoint(lambda z: np.exp(np.sin(z)))(x * x))(x)


@ft.custom_jvp
def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


@softplus.defjvp
def _softplus_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return softplus(x), dx / (1 + np.exp(-x))


@ft.custom_jvp
def product_and_count(x: Any, y: Any) -> Any:
    return x * y, np.full((), 2)


@product_and_count.defjvp
def _product_and_count_jvp(primals: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = primals, tangents
    return product_and_count(x, y), (dx * y + x * dy, np.zeros((), ft.float0))


def softplus_of_captured(x: Any, y: Any) -> Any:
    return softplus(x * y)


def softplus_jitted(x: Any) -> Any:
    return ft.jit(softplus)(x)


@ft.custom_vjp
def cube(x: Any) -> Any:
    return x**3


cube.defvjp(lambda x: (x**3, x), lambda x, ct: (ct * 3 * x**2,))


@ft.custom_vjp
def sine_times(x: Any, y: Any) -> Any:
    return np.sin(x) * y, np.cos(y)


def _sine_times_forward(x: Any, y: Any) -> Any:
    return (np.sin(x) * y, np.cos(y)), (x, y)


def _sine_times_backward(residuals: Any, cts: Any) -> Any:
    (x, y), (by_product, by_cosine) = residuals, cts
    return by_product * np.cos(x) * y, by_product * np.sin(x) - by_cosine * np.sin(y)


sine_times.defvjp(_sine_times_forward, _sine_times_backward)


def cube_jitted(x: Any) -> Any:
    return ft.jit(cube)(x)


def cube_checkpointed(x: Any) -> Any:
    return ft.checkpoint(cube)(x)


def derivative_of_cube(x: Any, t: Any) -> Any:
    return ft.jvp(cube, (x,), (t,))


def sum_of_lanes(x: Any) -> Any:
    return ft.vmap(lambda r: psum(np.sin(r), axis_name="i") * r, axis_name="i")(x)


def sum_of_unmapped(x: Any) -> Any:
    return ft.vmap(lambda _: psum(x, axis_name="i"), axis_name="i")(N)


def sum_over_outer_lanes(x: Any) -> Any:
    return ft.vmap(ft.vmap(lambda e: e * psum(e, axis_name="i")), axis_name="i")(x)


def sum_jitted(x: Any) -> Any:
    return ft.vmap(ft.jit(lambda r: r / (1 + psum(r**2, axis_name="i"))), axis_name="i")(x)


def sum_checkpointed(x: Any) -> Any:
    return ft.vmap(ft.checkpoint(lambda r: np.sin(psum(r**2, axis_name="i"))), axis_name="i")(x)


def gathered(x: Any) -> Any:
    return ft.vmap(lambda r: all_gather(r, axis_name="i", axis_size=2) * np.cos(r), axis_name="i")(x)


def gathered_over_outer_lanes(x: Any) -> Any:
    inner = ft.vmap(lambda e: all_gather(e, axis_name="i", axis_size=2) * e)
    return ft.vmap(inner, axis_name="i")(x)


def pulled_back_gather(x: Any, ct: Any) -> Any:
    def lane(r: Any, ct: Any) -> Any:
        return ft.vjp(lambda r: all_gather(np.sin(r), axis_name="i", axis_size=2), r)[1](ct)[0]

    return ft.vmap(lane, axis_name="i")(x, ct)


def pulled_back_gather_over_outer_lanes(x: Any, ct: Any) -> Any:
    def lane(r: Any, ct: Any) -> Any:
        return ft.vjp(lambda r: all_gather(np.sin(r), axis_name="i", axis_size=2), r)[1](ct)[0]

    return ft.vmap(ft.vmap(lane), axis_name="i")(x, ct)


def lane_numbers(x: Any) -> Any:
    return ft.vmap(lambda r: r * axis_index(axis_name="i"), axis_name="i")(x)


def lane_numbers_alone(x: Any) -> Any:
    return ft.vmap(lambda r: axis_index(axis_name="i"), axis_name="i")(x)


@ft.custom_rule
def softplus_by_rule(x: Any) -> Any:
    return np.log1p(np.exp(x))


@softplus_by_rule.def_jvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    return softplus_by_rule(x), t / (1 + np.exp(-x))


@ft.custom_rule
def product_by_rule(x: Any, y: Any) -> Any:
    return np.sin(x) * y


product_by_rule.def_vjp(
    lambda x, y: (product_by_rule(x, y), (x, y)), lambda xy, ct: (ct * np.cos(xy[0]) * xy[1], ct * np.sin(xy[0]))
)


EXAMPLES = [
    ControlExample("custom_call", softplus_by_rule, (X,)),
    ControlExample("custom_call", product_by_rule, (X, X + 1)),
    ControlExample("call", jitted, (X, Y)),
    ControlExample("call", jitted, (X.astype("f4"), Y.astype("f4"))),
    ControlExample("call", jitted, (C, 2.5)),
    ControlExample("call", jitted_on_constants, (X,)),
    ControlExample("call", jitted_twice, (X, Y)),
    ControlExample("call", jitted_on_captured, (X, Y)),
    ControlExample("call", jitted_on_unused, (X, N)),
    ControlExample("call", jitted_without_results, (X,)),
    ControlExample("checkpoint", checkpointed, (X, Y)),
    ControlExample("checkpoint", checkpointed, (C, C)),
    ControlExample("checkpoint", checkpointed_on_captured, (X, Y)),
    ControlExample("checkpoint", checkpointed_twice, (X,)),
    ControlExample("custom_call", softplus, (X,)),
    ControlExample("custom_call", softplus, (X.astype("f4"),)),
    ControlExample("custom_call", softplus, (0.5,)),
    ControlExample("custom_call", product_and_count, (X, X + 1)),
    ControlExample("custom_call", softplus_of_captured, (X, Y)),
    ControlExample("custom_call", softplus_jitted, (X,)),
    ControlExample("custom_call", cube, (X,)),
    ControlExample("custom_call", cube, (C,)),
    ControlExample("custom_call", sine_times, (X, X + 1)),
    ControlExample("custom_call", sine_times, (X.astype("f4"), X.astype("f4"))),
    ControlExample("custom_call", cube_jitted, (X,)),
    ControlExample("custom_call", cube_checkpointed, (X,)),
    ControlExample("custom_linear", derivative_of_cube, (X, X + 1)),
    ControlExample("psum", sum_of_lanes, (Y,)),
    ControlExample("psum", sum_of_lanes, (Y.astype("f4"),)),
    ControlExample("psum", sum_of_unmapped, (X,)),
    ControlExample("psum", sum_over_outer_lanes, (Y,)),
    ControlExample("psum", sum_jitted, (Y,)),
    ControlExample("psum", sum_checkpointed, (Y,)),
    ControlExample("all_gather", gathered, (Y,)),
    ControlExample("all_gather", gathered_over_outer_lanes, (Y,)),
    ControlExample("psum_scatter", pulled_back_gather, (Y, _random.normal(size=(2, 2, 3)))),
    ControlExample("psum_scatter", pulled_back_gather_over_outer_lanes, (Y, _random.normal(size=(2, 3, 2)))),
    ControlExample("axis_index", lane_numbers, (Y,)),
    ControlExample("axis_index", lane_numbers_alone, (Y,)),
]
