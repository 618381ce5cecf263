"""Loops: scan, while_loop, fori_loop, map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..api.arguments import at, describe_leaf, hides_internals, input_leaf, input_leaves, own_results
from ..api.vmap import vmap
from ..control.agreement import meet, with_result_types
from ..control.checkpoint import checkpoint_call
from ..control.loop import entry_aval
from ..control.progress import bar_text
from ..control.scan import scan as scan_primitive
from ..control.schedule import LOGARITHMIC, Budget
from ..control.while_loop import while_loop as while_primitive
from ..core.avals import PYTHON_SCALARS
from ..core.interning import interned
from ..core.jaxpr import Jaxpr, memoized
from ..core.staging import trace_closed
from ..core.trace import Traced, typeof
from ..errors import CarryMismatchError, ConditionError, ScanLengthError
from ..primitives.foundation import convert, reshape
from ..primitives.structural import concatenate, slice_axis
from ..tree import structure_text
from . import as_python
from .programs import Program, leaf_name, operand_leaves, staged, with_common_operands
from .unrolling import unrolled


@hides_internals
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    *,
    checkpoint: bool | int | str | None = None,
    budget: int | None = None,
    progress: bool | str = False,
) -> tuple[Any, Any]:
    """A loop over the leading axis of `xs` that carries a value from step to step and collects another.

    As if written::

        ys = []
        for x in xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, np.stack(ys)

    but `f` is traced once. Everything differentiates, batches and stages; `f` may close over traced values.

    Args:
        f: `(carry, x) -> (carry, y)`, all pytrees; y may be None.
        init: the first carry. Its structure, shapes and dtypes stay the same from step to step.
        xs: a pytree of arrays with the same leading extent; None for a loop of `length` steps without inputs.
        length: the number of steps; needed only if there are no xs.
        reverse: whether to start at the last element. Each y stands where its x stands.
        unroll: how many steps to write out in a row in the program; True for all of them.
        checkpoint: what reverse mode keeps. None: the residuals of every step. True: the carry of every step, all else
            is computed again. An integer k: k carries, chosen by the binomial schedule; "log": about log2(length) of
            them. The forward pass then keeps nothing, and the backward pass runs it again in pieces.
        budget: instead of `checkpoint`: how many bytes of carries to keep.
        progress: True or a text for a progress bar (needs tqdm). It shows the forward loop, once, also under `jit`,
            `grad` and `vmap`.

    Returns:
        The last carry, and the ys stacked along a new leading axis.

    Raises:
        CarryMismatchError: the carry changes its structure, a shape or a dtype; the message names the leaf and line.
        ScanLengthError: extents of xs differ, or length is negative, missing, or no integer.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.scan(lambda total, x: (total + x, total * x), 0.0, np.array([1.0, 2.0, 3.0]))
        (np.float64(6.0), array([0., 2., 9.]))
    """
    done = as_python.scan(f, init, xs, length, reverse)
    if done is not as_python.TRACED:
        return done
    return _scan(f, init, xs, length, reverse, unroll, checkpoint, budget, progress, _Caller("scan"))


class _Caller(NamedTuple):
    """The function that a user called, and how many values of the carry are not the user's but its own."""

    name: str
    own: int = 0

    def carry(self, carry_tree: Any, position: int = 0) -> tuple[Any, int]:
        """The structure of the user's part of a carry, and which of its leaves one is."""
        return (carry_tree.children()[self.own], position - self.own) if self.own else (carry_tree, position)


def _scan(
    f: Any, init: Any, xs: Any, length: Any, reverse: bool, unroll: Any, checkpoint: Any, budget: Any, progress: Any,
    caller: _Caller,
) -> tuple[Any, Any]:  # fmt: skip
    leaves, carry_tree = tree.flatten(init)
    place = lambda i: f"in the carry of {caller.name}{at(describe_leaf(*caller.carry(carry_tree, i)))}"  # noqa: E731
    carry = input_leaves(leaves, place)
    elements, xs_tree = operand_leaves(xs, "xs")
    count = _scan_length(elements, xs_tree, length)
    x_avals = [entry_aval(typeof(x)) for x in elements]

    def rebuild(leaves: Sequence[Any]) -> Any:
        return carry_tree.unflatten(leaves[: carry_tree.num_leaves]), xs_tree.unflatten(leaves[carry_tree.num_leaves :])

    program, carry = _stage_body(f, rebuild, carry, x_avals, carry_tree, caller, _carry_and_output)
    carry_out, y_tree = program.out_tree.children()
    params = {
        "consts": len(program.captured),
        "carry": len(carry),
        "length": count,
        "reverse": bool(reverse),
        "slots": _slots(checkpoint, budget, carry),
        "progress": bar_text(progress, "scan"),
    }
    body = interned(program.jaxpr)
    body = remembered_carry(body) if checkpoint is True else body
    args = [*program.captured, *carry, *elements]
    outs = own_results(unrolled(scan_primitive, unroll, args, {**params, "body": body}), args)
    return carry_out.unflatten(outs[: len(carry)]), y_tree.unflatten(outs[len(carry) :])


@hides_internals
def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    *,
    checkpoint: bool | int | str | None = None,
    budget: int | None = None,
    progress: bool | str = False,
) -> Any:
    """`body_fun` again and again, as long as `cond_fun` holds; with derivatives of every kind.

    Reverse mode keeps the residuals of each step on a stack that grows with the loop, or, with `checkpoint` or
    `budget`, a bounded number of carries. Under `vmap` each lane stops for itself.

    Args:
        cond_fun: `carry -> boolean scalar`.
        body_fun: `carry -> carry`, of the same structure, shapes and dtypes.
        init_val: the first carry, a pytree.
        checkpoint, budget, progress: as for `scan`. The progress bar counts steps, as their number is not known.

    Returns:
        The first carry for which the condition does not hold.

    Raises:
        CarryMismatchError: the carry changes its structure, a shape or a dtype; the message names the leaf and line.
        ConditionError: cond_fun returns anything but a boolean scalar.

    Example:
        >>> import functrans as ft
        >>> def sqrt(a):  # Newton's iteration
        ...     return ft.lax.while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: (x + a / x) / 2, a)
        >>> round(float(ft.grad(sqrt)(4.0)), 12)
        0.25
    """
    done = as_python.while_loop(cond_fun, body_fun, init_val)
    if done is not as_python.TRACED:
        return done
    return _while_loop(cond_fun, body_fun, init_val, checkpoint, budget, progress, _Caller("while_loop"))


def _while_loop(
    cond_fun: Any, body_fun: Any, init_val: Any, checkpoint: Any, budget: Any, progress: Any, caller: _Caller
) -> Any:
    carry, carry_tree = operand_leaves(init_val, "init_val")

    def rebuild(leaves: Sequence[Any]) -> Any:
        return (carry_tree.unflatten(leaves),)

    body, carry = _stage_body(body_fun, rebuild, carry, [], carry_tree, caller, _carry_only)
    cond = staged(cond_fun, rebuild, [typeof(c) for c in carry])
    _check_condition(cond)
    programs, common = with_common_operands([cond, body])
    cond_jaxpr, body_jaxpr = (interned(program) for program in programs)
    slots = _slots(checkpoint, budget, carry)
    args = [*common, *carry]
    outs = while_primitive.bind(
        *args,
        cond=cond_jaxpr,
        body=remembered_carry(body_jaxpr) if checkpoint is True else body_jaxpr,
        consts=len(common),
        carry=len(carry),
        slots=slots,
        progress=bar_text(progress, "while_loop"),
    )
    return carry_tree.unflatten(own_results(outs[1:], args))


@hides_internals
def fori_loop(
    lower: Any,
    upper: Any,
    body_fun: Callable[[Any, Any], Any],
    init_val: Any,
    *,
    unroll: int | bool = 1,
    checkpoint: bool | int | str | None = None,
    budget: int | None = None,
    progress: bool | str = False,
) -> Any:
    """`for i in range(lower, upper): val = body_fun(i, val)`; the bounds may be traced, in reverse mode too.

    Args:
        lower, upper: integer scalars.
        body_fun: `(i, val) -> val`, of the same structure, shapes and dtypes.
        init_val: the first value, a pytree.
        unroll, checkpoint, budget, progress: as for `scan`; a loop with traced bounds is never unrolled.

    Raises:
        CarryMismatchError: the value changes its structure, a shape or a dtype.
        ScanLengthError: a bound is not an integer scalar.

    Example:
        >>> import functrans as ft
        >>> power = ft.jit(lambda x, n: ft.lax.fori_loop(0, n, lambda i, y: y * x, 1.0))
        >>> float(ft.grad(power)(3.0, 4))
        108.0
    """
    lower, upper = input_leaf(lower), input_leaf(upper)
    _check_bound(lower, "lower")
    _check_bound(upper, "upper")
    done = as_python.fori_loop(lower, upper, body_fun, init_val)
    if done is not as_python.TRACED:
        return done
    text = "fori_loop" if progress is True else progress
    if not isinstance(lower, Traced) and not isinstance(upper, Traced):

        def step(carry: Any, _: Any) -> Any:
            i, value = carry
            return (i + 1, body_fun(i, value)), None

        length = max(0, int(upper) - int(lower))
        caller = _Caller("fori_loop", 1)
        (_, value), _ = _scan(step, (lower, init_val), None, length, False, unroll, checkpoint, budget, text, caller)
        return value
    _, _, value = _while_loop(
        lambda carry: carry[0] < carry[1],
        lambda carry: (carry[0] + 1, carry[1], body_fun(carry[0], carry[2])),
        (lower, upper, init_val),
        checkpoint,
        budget,
        text,
        _Caller("fori_loop", 2),
    )
    return value


@hides_internals
def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """`f` on each element along the leading axis of `xs`, one after the other; the results stacked.

    Args:
        f: a function of one pytree.
        xs: a pytree of arrays with the same leading extent.
        batch_size: how many elements to do at once, by vmap.

    Raises:
        ScanLengthError: extents of xs differ, there is no array, or batch_size is not a positive integer.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.lax.map(lambda x: x**2, np.array([1.0, 2.0, 3.0]), batch_size=2)
        array([1., 4., 9.])
    """
    if batch_size is None:
        return scan(lambda _, x: (None, f(x)), None, xs)[1]
    if not isinstance(batch_size, (int, np.integer)) or isinstance(batch_size, bool) or batch_size < 1:
        raise ScanLengthError(
            f"map was given batch_size={batch_size!r}.", "It is how many elements run at once.",
            "Give a positive integer.",
        )  # fmt: skip
    leaves, treedef = operand_leaves(xs, "xs")
    length = _scan_length(leaves, treedef, None)
    whole = length // batch_size * batch_size
    parts: list[Any] = []
    if whole:
        blocks = [
            reshape(part, shape=(whole // batch_size, int(batch_size), *typeof(part).shape[1:]))
            for part in (_rows(x, 0, whole) for x in leaves)
        ]
        ys = scan(lambda _, block: (None, vmap(f)(block)), None, treedef.unflatten(blocks))[1]
        parts.append(tree.map(lambda y: reshape(y, shape=(whole, *typeof(y).shape[2:])), ys))
    if whole < length or not parts:
        rest = treedef.unflatten([_rows(x, whole, length) for x in leaves])
        parts.append(vmap(f)(rest))
    return parts[0] if len(parts) == 1 else tree.map(lambda x, y: concatenate(x, y, axis=0), *parts)


def _rows(x: Any, start: int, stop: int) -> Any:
    return x if (start, stop) == (0, typeof(x).shape[0]) else slice_axis(x, start, stop, axis=0)


@memoized
def remembered_carry(body: Jaxpr) -> Jaxpr:
    """A body of which the derivative keeps what goes in and computes the rest again."""
    return trace_closed(lambda *args: checkpoint_call.bind(*args, jaxpr=body, name="step"), body.in_avals)


def _stage_body(
    function: Callable[..., Any],
    rebuild: Callable[[Sequence[Any]], Any],
    carry: Sequence[Any],
    x_avals: Sequence[Any],
    carry_tree: Any,
    caller: _Caller,
    carry_structure: Callable[[Program], Any],
) -> tuple[Program, list[Any]]:
    """Trace the body of a loop until its carry has the same types before and after: Python scalars give way."""
    while True:
        avals = [typeof(c) for c in carry]
        program = staged(function, rebuild, [*avals, *x_avals])
        found_tree = carry_structure(program)
        if found_tree != carry_tree:
            was, became = (structure_text(caller.carry(treedef)[0]) for treedef in (carry_tree, found_tree))
            raise CarryMismatchError(
                f"The carry of {caller.name} changes its structure: it was {was} and became {became}.",
                "What one step returns is what the next one is given.",
                "Return a carry of the same structure (it comes first in the pair that the body of a scan returns).",
                source=program.source_of(0),
            )
        met = [
            _carry_type(program, position, before, after, carry_tree, caller)
            for position, (before, after) in enumerate(zip(avals, program.jaxpr.out_avals))
        ]
        if met == avals:
            return program._replace(jaxpr=with_result_types(program.jaxpr, avals)), list(carry)
        carry = [_as_type(c, aval) for c, aval in zip(carry, met)]


def _carry_type(program: Program, position: int, before: Any, after: Any, carry_tree: Any, caller: _Caller) -> Any:
    """The type that a carry must have before the step so that the step can return it."""
    met = meet(before, after)
    if met is None or (not before.weak and met.dtype != before.dtype):
        leaf = leaf_name(*caller.carry(carry_tree, position))
        begin = f"x.astype({str(after.dtype)!r})" if before.shape == after.shape else f"an array of type {after}"
        raise CarryMismatchError(
            f"The carry of {caller.name} changes its type: {leaf} was {before} and became {after}.",
            "What one step returns is what the next one is given, in one compiled program.",
            f"Begin with {begin}, or convert what the body returns (`.astype`, `.reshape`).",
            source=program.source_of(position),
        )
    return met if before.weak else before


def _as_type(x: Any, aval: Any) -> Any:
    """An initial carry in the type that the loop needs; a Python scalar stays one if it may."""
    if typeof(x) == aval:
        return x
    if aval.weak and type(x) in PYTHON_SCALARS:
        return aval.dtype.type(x).item()
    return convert(x, dtype=aval.dtype)


def _carry_and_output(program: Program) -> Any:
    """The structure of the carry in the pair that the body of a scan returns."""
    children = program.out_tree.children()
    if program.out_tree.type is not tuple or len(children) != 2:
        is_leaf = program.out_tree.num_nodes == program.out_tree.num_leaves == 1
        found = "one value" if is_leaf else structure_text(program.out_tree)
        raise CarryMismatchError(
            f"The body of scan returned {found} instead of a pair.",
            "It returns the next carry, and what to collect from this step.",
            "Return `(carry, y)`, with None for y if there is nothing to collect.",
            source=program.source_of(0),
        )
    return children[0]


def _carry_only(program: Program) -> Any:
    return program.out_tree


def _check_condition(cond: Program) -> None:
    avals = cond.jaxpr.out_avals
    if len(avals) == 1 and avals[0].shape == () and avals[0].dtype.kind == "b":
        return
    shown = ", ".join(str(aval) for aval in avals) or "nothing"
    raise ConditionError(
        f"The condition of while_loop returned {shown}.",
        "It says whether the loop goes on, so it is one boolean.",
        "Compare with something (`x > 0`), and reduce arrays with np.any or np.all.",
        source=cond.source_of(0),
    )


def _scan_length(leaves: Sequence[Any], treedef: Any, length: Any) -> int:
    """The number of steps."""
    if length is not None and (not isinstance(length, (int, np.integer)) or isinstance(length, bool) or length < 0):
        raise ScanLengthError(
            f"scan was given length={length!r}.",
            "It is the number of steps, which is part of the program.",
            "Give an integer that is not negative; for a traced number of steps use fori_loop or while_loop.",
        )
    extents: dict[str, int] = {}
    for position, x in enumerate(leaves):
        shape = typeof(x).shape
        if not shape:
            raise ScanLengthError(
                f"A scan goes over {leaf_name(treedef, position)} of xs, which is a scalar.",
                "It goes along the leading axis of each array.",
                "Close over values that are the same in every step.",
            )
        extents[leaf_name(treedef, position)] = shape[0]
    count = length if length is not None else next(iter(extents.values()), None)
    if count is None:
        raise ScanLengthError(
            "scan was given neither xs nor a length.", "The number of steps is not known.", "Give `length=`."
        )
    if any(extent != count for extent in extents.values()):
        shown = ", ".join(f"{name} {extent}" for name, extent in extents.items())
        raise ScanLengthError(
            f"A scan goes over arrays of different lengths: {shown}"
            + (f"; length={length}." if length is not None else "."),
            "All are walked along together.",
            "Cut or pad them to one length.",
        )
    return int(count)


def _check_bound(x: Any, name: str) -> None:
    aval = typeof(x)
    if aval.shape or aval.dtype.kind not in "iu":
        raise ScanLengthError(
            f"The {name} bound of fori_loop is {aval}.", "Bounds are integer scalars.", "Convert it with `int(...)`."
        )


def _slots(checkpoint: Any, budget: Any, carry: Sequence[Any]) -> Any:
    """What the loop primitives are told about the states to keep."""
    if budget is not None:
        if checkpoint is not None:
            raise TypeError("give checkpoint= or budget=, not both")
        if not isinstance(budget, (int, np.integer)) or isinstance(budget, bool) or budget <= 0:
            raise ValueError(f"budget is a positive number of bytes, not {budget!r}")
        state = sum(typeof(c).size * typeof(c).dtype.itemsize for c in carry)
        if budget < state:
            raise ValueError(f"a budget of {budget} bytes has no room for one carry of {state} bytes")
        return Budget(int(budget))
    if checkpoint is None or isinstance(checkpoint, bool):
        return None
    if checkpoint == LOGARITHMIC:
        return LOGARITHMIC
    if not isinstance(checkpoint, (int, np.integer)) or checkpoint < 1:
        raise ValueError(f"checkpoint is True, a positive number of carries, or {LOGARITHMIC!r}, not {checkpoint!r}")
    return int(checkpoint)

