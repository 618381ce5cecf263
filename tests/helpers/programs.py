"""Random programs for Hypothesis: expression graphs over a table of NumPy operations, with inputs to run them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

Shape = tuple[int, ...]
#: Intermediate values are kept below this, so that rounding errors stay small relative to results.
LARGEST = 1e3


class Operation(NamedTuple):
    """A row of the table.

    Attributes:
        draw: given `st.data`-like draw and the operands' shapes, parameters for `apply`; None if it does not fit.
        apply: takes parameters and operands.
        is_smooth: whether it has derivatives of all orders everywhere.
        takes_complex: whether it is defined for complex operands, and stays complex.
    """

    name: str
    arity: int
    draw: Callable[..., Any]
    apply: Callable[..., Any]
    is_smooth: bool = True
    takes_complex: bool = True


def _plain(draw: Any, *shapes: Shape) -> Any:
    return ()


def _broadcasting(draw: Any, *shapes: Shape) -> Any:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return None
    return ()


def _axis(draw: Any, shape: Shape) -> Any:
    return (draw(st.integers(-len(shape), len(shape) - 1)),) if shape and all(shape) else None


def _axis_or_none(draw: Any, shape: Shape) -> Any:
    return (draw(st.sampled_from([None, *range(len(shape))])),)


def _permutation(draw: Any, shape: Shape) -> Any:
    return (tuple(draw(st.permutations(range(len(shape))))),)


def _new_shape(draw: Any, shape: Shape) -> Any:
    size = int(np.prod(shape))
    if size == 0:
        return ((0,),)
    divisors = [d for d in range(1, size + 1) if size % d == 0]
    first = draw(st.sampled_from(divisors))
    return (draw(st.sampled_from([(first, size // first), (size,), (first, -1), (1, size)])),)


def _basic_index(draw: Any, shape: Shape) -> Any:
    index: list[Any] = []
    for extent in shape:
        choices: list[Any] = [slice(None), slice(None, None, -1), slice(1, None), slice(None, -1), slice(None, None, 2)]
        if extent:
            choices += [draw(st.integers(-extent, extent - 1))]
        index.append(draw(st.sampled_from(choices)))
    index = index[: draw(st.integers(0, len(index)))] if index else index
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))), None)
    return (tuple(index),)


def _advanced_index(draw: Any, shape: Shape) -> Any:
    if not shape or not shape[0]:
        return None
    positions = st.lists(st.integers(-shape[0], shape[0] - 1), min_size=1, max_size=3)
    return (np.array(draw(positions)),)


def _position(draw: Any, shape: Shape) -> Any:
    if not shape or not all(shape):
        return None
    return (tuple(draw(st.integers(0, extent - 1)) for extent in shape[: draw(st.integers(1, len(shape)))]),)


def _matrix_product(draw: Any, a: Shape, b: Shape) -> Any:
    try:
        np.zeros(a) @ np.zeros(b)
    except ValueError:
        return None
    return ()


def _same_shape(draw: Any, a: Shape, b: Shape) -> Any:
    return (draw(st.integers(-len(a), len(a) - 1)),) if a == b and a else None


def _widths(draw: Any, shape: Shape) -> Any:
    return (tuple((draw(st.integers(0, 2)), draw(st.integers(0, 1))) for _ in shape),)


def _assign(position: Any, x: Any) -> Any:
    y = np.zeros_like(x)
    y[...] = x * 2
    y[position] = x[position] * x[position]
    return y


def _accumulate(position: Any, x: Any) -> Any:
    y = x.copy()
    y[position] += np.sin(y[position])
    y[0] *= 3
    return y


TABLE = [
    Operation("sin", 1, _plain, np.sin),
    Operation("tanh", 1, _plain, np.tanh, takes_complex=False),
    Operation("bell", 1, _plain, lambda x: np.exp(-x * x), takes_complex=False),
    Operation("square", 1, _plain, lambda x: x**2),
    Operation("cubed", 1, _plain, lambda x: x**3 / 3),
    Operation("arctan", 1, _plain, np.arctan, takes_complex=False),
    Operation("length", 1, _plain, lambda x: np.sqrt(1 + x * x), takes_complex=False),
    Operation("abs", 1, _plain, np.abs, is_smooth=False, takes_complex=False),
    Operation("conjugate", 1, _plain, lambda x: np.conj(x) * 2),
    Operation("add", 2, _broadcasting, lambda x, y: x + y),
    Operation("subtract", 2, _broadcasting, lambda x, y: 1.5 - x - y),
    Operation("multiply", 2, _broadcasting, lambda x, y: x * y),
    Operation("divide", 2, _broadcasting, lambda x, y: x / (1 + y * y), takes_complex=False),
    Operation("maximum", 2, _broadcasting, np.maximum, is_smooth=False, takes_complex=False),
    Operation("where", 2, _broadcasting, lambda x, y: np.where(x > 0, x, y * 2), is_smooth=False, takes_complex=False),
    Operation("arctan2", 2, _broadcasting, lambda x, y: np.arctan2(x, 2 + y * y), takes_complex=False),
    Operation("transpose", 1, _permutation, lambda p, x: np.transpose(x, p)),
    Operation("reshape", 1, _new_shape, lambda shape, x: np.reshape(x, shape)),
    Operation("flip", 1, _axis, lambda axis, x: np.flip(x, axis)),
    Operation("roll", 1, _axis, lambda axis, x: np.roll(x, 1, axis)),
    Operation("concatenate", 2, _same_shape, lambda axis, x, y: np.concatenate([x, y], axis)),
    Operation("stack", 2, _same_shape, lambda axis, x, y: np.stack([x, y], axis)),
    Operation("pad", 1, _widths, lambda widths, x: np.pad(x, widths) if x.ndim else x),
    Operation("basic index", 1, _basic_index, lambda index, x: x[index]),
    Operation("advanced index", 1, _advanced_index, lambda index, x: x[index]),
    Operation("assign", 1, _position, _assign),
    Operation("accumulate", 1, _position, _accumulate),
    Operation("sum", 1, _axis_or_none, lambda axis, x: np.sum(x, axis)),
    Operation("mean", 1, _axis, lambda axis, x: np.mean(x, axis, keepdims=True)),
    Operation("prod", 1, _axis, lambda axis, x: np.prod(x, axis)),
    Operation("cumsum", 1, _axis, lambda axis, x: np.cumsum(x, axis)),
    Operation("max", 1, _axis, lambda axis, x: np.max(x, axis), is_smooth=False, takes_complex=False),
    Operation("sort", 1, _axis, lambda axis, x: np.sort(x, axis), is_smooth=False, takes_complex=False),
    Operation("matmul", 2, _matrix_product, lambda x, y: x @ y),
    Operation("gram", 1, lambda draw, s: () if len(s) == 2 else None, lambda x: x @ x.T),
]  # fmt: skip


class Step(NamedTuple):
    """One application: operands are inputs and earlier results, by number."""

    operation: Operation
    params: tuple[Any, ...]
    operands: tuple[int, ...]


class Program(NamedTuple):
    """A function of arrays; its result is that of the last step."""

    steps: tuple[Step, ...]

    def __call__(self, *inputs: Any) -> Any:
        values = list(inputs)
        for step in self.steps:
            values.append(step.operation.apply(*step.params, *(values[i] for i in step.operands)))
        return values[-1]

    def __repr__(self) -> str:
        return "; ".join(f"{s.operation.name}{s.params or ''} of {s.operands}" for s in self.steps)


class Example(NamedTuple):
    """A program, inputs, and other arrays of the types of inputs and result (tangents and cotangents)."""

    program: Program
    inputs: tuple[np.ndarray, ...]
    tangents: tuple[np.ndarray, ...]
    cotangent: np.ndarray


def table(smooth: bool, dtype: str) -> list[Operation]:
    """The operations that may be used."""
    return [op for op in TABLE if (op.is_smooth or not smooth) and (op.takes_complex or not dtype.startswith("c"))]


@st.composite
def examples(
    draw: st.DrawFn,
    smooth: bool = False,
    dtypes: tuple[str, ...] = ("f8",),
    max_steps: int = 6,
) -> Example:
    """Programs of up to `max_steps` operations on one or two inputs."""
    dtype = draw(st.sampled_from(dtypes))
    operations = table(smooth, dtype)
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    shapes = [(3,), (2, 3), (), (1, 3), (2, 1, 2), (3, 3), (4,), (0, 2)]
    inputs = tuple(random_array(random, draw(st.sampled_from(shapes)), dtype) for _ in range(draw(st.integers(1, 2))))
    values: list[Any] = list(inputs)
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, max_steps))):
        operation = draw(st.sampled_from(operations))
        # A later result is drawn more often, so that programs are deep rather than wide.
        places = [*range(len(values)), len(values) - 1, len(values) - 1]
        operands = tuple(draw(st.sampled_from(places)) for _ in range(operation.arity))
        params = operation.draw(draw, *(np.shape(values[i]) for i in operands))
        if params is None:
            continue
        step = Step(operation, params, operands)
        value = np.asarray(operation.apply(*params, *(values[i] for i in operands)))
        if value.size > 60 or not np.all(np.abs(value) < LARGEST):
            continue
        steps.append(step)
        values.append(value)
    assume(steps)
    tangents = tuple(random_array(random, x.shape, dtype) for x in inputs)
    return Example(Program(tuple(steps)), inputs, tangents, random_array(random, values[-1].shape, values[-1].dtype))


def random_array(random: np.random.Generator, shape: Shape, dtype: Any) -> np.ndarray:
    """Between -1.5 and 1.5, in both parts if complex."""
    x = random.uniform(-1.5, 1.5, shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * random.uniform(-1.5, 1.5, shape)
    return np.asarray(x).astype(dtype)
