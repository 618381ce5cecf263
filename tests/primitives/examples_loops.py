"""Loops and branches around which every rule of the primitives of control flow is checked."""

from __future__ import annotations

from typing import Any

import numpy as np

import functrans as ft
from functrans import lax
from tests.helpers.cases import ControlExample

_random = np.random.default_rng(12)
W = _random.normal(size=(3, 3)) * 0.4
C = _random.normal(size=3)
XS = _random.normal(size=(4, 3))
Z = C + 1j * _random.normal(size=3)


def recurrence(w: Any, c: Any, xs: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        c = np.tanh(w @ c + x)
        return c, np.sum(c**2)

    return lax.scan(step, c, xs)


def recurrence_reversed(w: Any, c: Any, xs: Any) -> Any:
    return lax.scan(lambda c, x: (np.sin(w @ c) * x, c * x), c, xs, reverse=True)


def recurrence_without_inputs(c: Any) -> Any:
    return lax.scan(lambda c, _: (c * np.cos(c), None), c, None, length=3)


def recurrence_of_no_steps(c: Any, xs: Any) -> Any:
    return lax.scan(lambda c, x: (c * x, c + x), c, xs[:0])


def counting(c: Any) -> Any:
    return lax.scan(lambda carry, _: ((carry[0] + 1, carry[1] * carry[0]), carry[0]), (1, c), None, length=4)


def scan_in_scan(w: Any, xs: Any) -> Any:
    def row(c: Any, x: Any) -> Any:
        inner, ys = lax.scan(lambda d, e: (d * np.cos(e + c[0]), d + e), x[0], x)
        return np.tanh(w @ c) + inner, ys * c

    return lax.scan(row, xs[0], xs)


def recurrence_with_few_states(w: Any, c: Any, xs: Any) -> Any:
    return lax.scan(lambda c, x: (np.tanh(w @ c + x), np.sum(c * x)), c, xs, checkpoint=2)


def recurrence_with_one_state(w: Any, c: Any, xs: Any) -> Any:
    return lax.scan(lambda c, x: (np.tanh(w @ c + x), np.sum(c * x)), c, xs, checkpoint=1, reverse=True)


def pulled_back(w: Any, c: Any, xs: Any) -> Any:
    out, pull = ft.vjp(recurrence_with_few_states, w, c, xs)
    return pull(out)


def grown(c: Any) -> Any:
    return lax.while_loop(
        lambda carry: np.sum(np.abs(carry[0]) ** 2) < 400,
        lambda carry: (carry[0] * (1.3 + carry[1] ** 2), carry[1] * 0.9 + 0.1),
        (np.exp(c), np.sin(c)),
    )


def never_grown(c: Any) -> Any:
    return lax.while_loop(lambda x: np.sum(x) > 1e6, lambda x: x * x, c)


def grown_with_few_states(c: Any) -> Any:
    return lax.while_loop(lambda x: np.sum(x) < 50, lambda x: x * 1.2 + np.sin(x) ** 2, np.exp(c), checkpoint=3)


def halved_each_for_itself(c: Any) -> Any:
    return ft.vmap(lambda x: lax.while_loop(lambda x: x > 0.3, lambda x: x * 0.6, np.exp(x)))(c)


def power(c: Any, n: Any) -> Any:
    return lax.fori_loop(0, n, lambda i, y: y * np.cos(c * i), c)


def while_in_scan(c: Any, xs: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        c = lax.while_loop(lambda u: np.sum(u**2) < 8, lambda u: u * 1.5 + x * 0.1, c)
        return c * 0.3, np.sum(c)

    return lax.scan(step, np.exp(c), xs)


def chosen(x: Any, y: Any) -> Any:
    return lax.cond(np.sum(x.real) > 0, lambda u: (np.sin(u) * y, u), lambda u: (u * u, np.exp(y) * u), x)


def chosen_of_three(x: Any, n: Any) -> Any:
    return lax.switch(n, [np.sin, lambda u: u * u * 3, lambda u: np.zeros_like(u)], x)


def chosen_lanewise(x: Any) -> Any:
    return ft.vmap(lambda e: lax.cond(e > 0, np.log, lambda e: e * e, e))(x)


def chosen_loop(x: Any) -> Any:
    def grow(u: Any) -> Any:
        return lax.while_loop(lambda v: np.sum(v**2) < 40, lambda v: v * 1.5 + np.sin(u + v), u)

    return lax.cond(np.sum(x) > 0, grow, lambda u: u * np.cos(u), x)


def pulled_back_choice(x: Any) -> Any:
    lanes = np.stack([x, -x])
    return ft.vmap(ft.grad(lambda u: np.sum(chosen_loop(u) ** 2)))(lanes)


def pulled_back_choice_for_all(x: Any, n: Any) -> Any:
    def chosen(u: Any) -> Any:
        return np.sum(lax.switch(n, [lambda u: u * 2, lambda u: grown(u)[0]], u) ** 2)

    return ft.vmap(ft.grad(chosen))(np.stack([x, x * 0.5]))


def pulled_back_growth(x: Any) -> Any:
    return ft.jit(ft.grad(lambda u: np.sum(grown(u)[0] ** 2)))(x)


EXAMPLES = [
    ControlExample("scan", recurrence, (W, C, XS)),
    ControlExample("scan", recurrence, (W.astype("f4"), C.astype("f4"), XS.astype("f4"))),
    ControlExample("scan", recurrence_reversed, (W, C, XS)),
    ControlExample("scan", recurrence_without_inputs, (C,)),
    ControlExample("scan", recurrence_without_inputs, (Z,)),
    ControlExample("scan", recurrence_of_no_steps, (C, XS)),
    ControlExample("scan", counting, (0.7,)),
    ControlExample("scan", counting, (C,)),
    ControlExample("scan", scan_in_scan, (W, XS)),
    ControlExample("scan", recurrence_with_few_states, (W, C, XS)),
    ControlExample("scan", recurrence_with_one_state, (W, C, XS)),
    ControlExample("reverse_sweep", pulled_back, (W, C, XS)),
    ControlExample("while_loop", grown, (C,)),
    ControlExample("while_loop", grown, (Z,)),
    ControlExample("while_loop", never_grown, (C,)),
    ControlExample("while_loop", grown_with_few_states, (C,)),
    ControlExample("while_loop", halved_each_for_itself, (C,)),
    ControlExample("while_loop", while_in_scan, (C, XS)),
    ControlExample("scan", power, (C, 3)),
    ControlExample("cond", chosen, (np.abs(C), C)),
    ControlExample("cond", chosen, (-np.abs(C), C)),
    ControlExample("cond", chosen, (Z, C)),
    ControlExample("cond", chosen_of_three, (C, np.int32(1))),
    ControlExample("cond", chosen_lanewise, (C,)),
    ControlExample("cond", chosen_loop, (np.abs(C),)),
    ControlExample("cond", chosen_loop, (-np.abs(C),)),
    ControlExample("choose_entries", pulled_back_choice, (C,)),
    ControlExample("empty_stack", pulled_back_choice, (C,)),
    ControlExample("stack_length", pulled_back_choice_for_all, (C, np.int64(1))),
    ControlExample("stack_length", pulled_back_choice_for_all, (C, np.int64(0))),
    ControlExample("while_loop", pulled_back_growth, (C,)),
]
