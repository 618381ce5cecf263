"""Random programs before and after simplification: the same bits, on ordinary and on special inputs.

Exactly simplified programs agree bit for bit; derivatives but for the signs of zeros, since there a symbolic zero may
have become an array or gone again. The rules that change roundings are held to a tolerance, where values are ordinary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.compiler.backends.interpreter import InterpretedProgram
from functrans.compiler.simplify import simplify
from functrans.core.jaxpr import Jaxpr
from tests.helpers.bits import assert_same_bits, special_array
from tests.helpers.oracles import assert_all_close
from tests.helpers.programs import Example, examples
from tests.helpers.structured_programs import StructuredProgram, structured_programs, vectors

fnp = ft.numpy


def run(jaxpr: Jaxpr, args: Any) -> list[Any]:
    with np.errstate(all="ignore"):
        return InterpretedProgram(jaxpr)(*args)


def check(function: Callable[..., Any], args: Any, others: Any = (), signs_of_zeros: bool = True) -> None:
    """Simplify the program for these arguments, and run it on them and on others of the same types."""
    with np.errstate(all="ignore"):
        jaxpr = ft.jit(function).lower(*args).jaxpr
    exact, close = simplify(jaxpr, exact=True), simplify(jaxpr)
    for values in (args, *others):
        assert_same_bits(run(exact, values), run(jaxpr, values), signs_of_zeros)
    single = any(np.asarray(x).dtype == np.float32 for x in args)
    assert_all_close(run(close, args), run(jaxpr, args), 1e-3 if single else 1e-9)


# ---- the operations of research code


@given(example=examples(dtypes=("f8", "f4", "c16")), seed=st.integers(0, 1000))
def test_programs(example: Example, seed: int) -> None:
    random = np.random.default_rng(seed)
    others = [[special_array(random, x.shape, x.dtype) for x in example.inputs] for _ in range(3)]
    check(example.program, example.inputs, others)


@given(example=examples(smooth=True, dtypes=("f8", "c16"), max_steps=4))
def test_derivatives(example: Example) -> None:
    def pulled_back(*args: Any) -> Any:
        _, pull_back = ft.vjp(example.program, *args[:-1])
        return pull_back(args[-1])

    def pushed_forward(*args: Any) -> Any:
        return ft.jvp(example.program, args, example.tangents)

    check(pulled_back, (*example.inputs, example.cotangent), signs_of_zeros=False)
    check(pushed_forward, example.inputs, signs_of_zeros=False)


@settings(max_examples=30)
@given(program=structured_programs(), x=vectors(), p=vectors())
def test_loops_and_branches(program: StructuredProgram, x: Any, p: Any) -> None:
    check(program.ours, (x, p))


@settings(max_examples=15)
@given(program=structured_programs(), x=vectors(), p=vectors())
def test_derivatives_of_loops_and_branches(program: StructuredProgram, x: Any, p: Any) -> None:
    check(lambda x, p: ft.grad(lambda x, p: np.sum(program.ours(x, p)), (0, 1))(x, p), (x, p), signs_of_zeros=False)


# ---- operations that there are rules for, on all dtypes

UNARY: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "times one": ("iufc", lambda x: x * 1),
    "over one": ("fc", lambda x: x / 1),
    "over four": ("fc", lambda x: x / 4),
    "over a third": ("fc", lambda x: x / 3),
    "minus zero": ("iufc", lambda x: x - 0),
    "plus minus zero": ("fc", lambda x: x + -0.0),
    "plus zero": ("iufc", lambda x: x + 0),
    "negative": ("iufc", lambda x: -x),
    "times minus one": ("ifc", lambda x: x * -1),
    "absolute": ("iuf", abs),
    "square": ("iufc", np.square),
    "zeroth power": ("iufc", lambda x: x**0),
    "first power": ("iuf", lambda x: x**1),
    "cube of integers": ("iu", lambda x: x**3),
    "root": ("f", lambda x: x**0.5 if np.ndim(x) else x),
    "not": ("b", np.logical_not),
    "invert": ("biu", lambda x: ~x),
    "conjugate": ("iufc", np.conj),
    "transpose": ("biufc", lambda x: x.T),
    "reshape": ("biufc", lambda x: x.reshape(-1, 2)),
    "flatten": ("biufc", lambda x: x.reshape(2, -1)),
    "flip": ("biufc", lambda x: x[::-1]),
    "flip the other axis": ("biufc", lambda x: x[:, ::-1]),
    "first rows": ("biufc", lambda x: np.concatenate([x, x])[: len(x)]),
    "middle rows": ("biufc", lambda x: np.concatenate([x[1:], x[:1]])),
    "row of a stack": ("biufc", lambda x: np.stack([x, x[::-1]])[1]),
    "elements": ("biufc", lambda x: np.stack([x[0, 0], x[-1, -1]]).reshape(1, 2)),
    "repeated": ("biuf", lambda x: np.max(np.broadcast_to(x, (3, *np.shape(x))), 0)),
    "through double": ("iuf", lambda x: x.astype("f8").astype(x.dtype) if x.dtype.itemsize < 8 else x),
    "through less": ("biuf", lambda x: x.astype("f4").astype(x.dtype) if x.dtype.kind in "bf" else x),
    "assigned": ("biufc", lambda x: _assigned(x)),
    "where": ("biufc", lambda x: np.where(np.eye(*np.shape(x), dtype=bool), x, x)),
    "ones": ("iufc", lambda x: x * fnp.ones_like(x)),
    "exp": ("f", np.exp),  # the signs of a complex zero may be those of a NaN
}
BINARY: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "add": ("biufc", lambda x, y: x + y),
    "subtract": ("iufc", lambda x, y: x - y),
    "add negative": ("iufc", lambda x, y: x + -y),
    "subtract negative": ("iufc", lambda x, y: x - -y),
    "multiply": ("biufc", lambda x, y: x * y),
    "multiply negatives": ("iufc", lambda x, y: -x * -y),
    "divide": ("fc", lambda x, y: x / y),
    "divide negatives": ("fc", lambda x, y: -x / -y),
    "maximum": ("biuf", np.maximum),
    "where": ("biufc", lambda x, y: np.where(x == y, x, y)),
    "where not": ("biufc", lambda x, y: np.where(np.logical_not(x == y), x, y)),
    "where never": ("biufc", lambda x, y: np.where(False, x, y)),
    "and": ("biu", lambda x, y: x & y),
    "or": ("biu", lambda x, y: x | y),
}


def _assigned(x: Any) -> Any:
    y = fnp.zeros_like(x)
    y[...] = x
    y[0] = x[0]
    return y


@st.composite
def programs_of_rules(draw: st.DrawFn, dtype: str) -> tuple[str, Callable[..., Any]]:
    """Programs of up to eight such operations on two arrays."""
    kind = np.dtype(dtype).kind
    unary = [name for name, (kinds, _) in UNARY.items() if kind in kinds]
    binary = [name for name, (kinds, _) in BINARY.items() if kind in kinds]
    steps: list[tuple[str, tuple[int, ...]]] = []
    for count in range(2, 2 + draw(st.integers(1, 8))):
        # A later result is drawn more often, so that rules meet each other's results.
        places = st.sampled_from([*range(count), count - 1, count - 1])
        if draw(st.booleans()):
            steps.append((draw(st.sampled_from(unary)), (draw(places),)))
        else:
            steps.append((draw(st.sampled_from(binary)), (draw(places), draw(places))))

    def program(x: Any, y: Any) -> Any:
        values = [x, y]
        for name, operands in steps:
            given = [values[i] for i in operands]
            if len(given) == 1:
                values.append(UNARY[name][1](given[0]))
            elif np.shape(given[0]) == np.shape(given[1]):
                values.append(BINARY[name][1](*given))
            else:
                values.append(given[1])
        return values[2:]

    return "; ".join(f"{name} {operands}" for name, operands in steps), program


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "c16", "c8", "i8", "i1", "u1", "u8", "?"])
def test_programs_of_what_there_are_rules_for(dtype: str) -> None:
    @settings(max_examples=60)
    @given(drawn=programs_of_rules(dtype), seed=st.integers(0, 1000))
    def held(drawn: Any, seed: int) -> None:
        random = np.random.default_rng(seed)
        x, y = (special_array(random, (2, 2), dtype) for _ in range(2))
        jaxpr = ft.jit(drawn[1]).lower(x, y).jaxpr
        shorter = simplify(jaxpr, exact=True)
        for _ in range(3):
            assert_same_bits(run(shorter, (x, y)), run(jaxpr, (x, y)))
            x, y = (special_array(random, (2, 2), dtype) for _ in range(2))

    held()
