"""vectorize: a function of scalars or small arrays for arrays of them, by vmap."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import partial, wraps
from typing import Any, Final

import numpy as np

from ..api.arguments import check_function
from ..api.vmap import vmap
from ..core.trace import typeof
from ..errors import ShapeMismatchError
from ..primitives.foundation import broadcast_shapes
from .common import as_operand, cast, with_shape
from .creation import asarray

_CORE: Final = r"\((?:\w+(?:,\w+)*)?\)"
_SIGNATURE: Final = re.compile(rf"({_CORE}(?:,{_CORE})*)->({_CORE}(?:,{_CORE})*)")

Names = tuple[str, ...]


def vectorize(
    pyfunc: Callable[..., Any] | None = None,
    otypes: str | Sequence[Any] | None = None,
    doc: str | None = None,
    excluded: Collection[int | str] = (),
    cache: bool = False,
    signature: str | None = None,
) -> Any:
    """numpy.vectorize for functions that can be traced: `pyfunc` runs once, for all elements together.

    Args:
        pyfunc: a function of scalars, or of arrays with the axes in `signature`; None makes a decorator.
        otypes: dtypes of the results.
        excluded: positions and names of arguments that are passed as they are.
        cache: without effect.
        signature: the axes that `pyfunc` works on, such as `"(m,n),(n)->(m)"`; the axes before them broadcast.

    Raises:
        ShapeMismatchError: an operand or a result has not the axes of the signature, or axes do not broadcast.

    Example:
        >>> import numpy as np, functrans as ft
        >>> clipped = ft.numpy.vectorize(lambda x, top: top if x > top else x)
        >>> clipped(np.array([1.0, 2.0, 3.0]), 2.0)
        array([1., 2., 2.])
        >>> distance = ft.numpy.vectorize(lambda x, y: np.sqrt(np.sum((x - y) ** 2)), signature="(n),(n)->()")
        >>> distance(np.eye(2)[:, None], np.eye(2)).shape
        (2, 2)
    """
    if pyfunc is None:
        return partial(vectorize, otypes=otypes, doc=doc, excluded=excluded, cache=cache, signature=signature)
    check_function(pyfunc, "vectorize")
    axes = None if signature is None else _parsed(signature)
    dtypes = None if otypes is None else [np.dtype(t) for t in otypes]

    @wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        positions = [i for i in range(len(args)) if i not in excluded]
        names = [name for name in kwargs if name not in excluded]
        operands = [as_operand(x) for x in (*(args[i] for i in positions), *(kwargs[name] for name in names))]

        def of_one(*values: Any) -> Any:
            everything = list(args)
            for i, value in zip(positions, values):
                everything[i] = value
            return pyfunc(*everything, **kwargs | dict(zip(names, values[len(positions) :])))

        results, is_single = _applied(of_one, operands, axes)
        if dtypes is not None:
            if len(dtypes) != len(results):
                raise _count_error(len(results), len(dtypes), "otypes")
            results = [cast(x, dtype) for x, dtype in zip(results, dtypes)]
        return results[0] if is_single else tuple(results)

    if doc is not None:
        vectorized.__doc__ = doc
    return vectorized


def _parsed(signature: str) -> tuple[list[Names], list[Names]]:
    """Names of the axes of operands and of results."""
    found = _SIGNATURE.fullmatch(re.sub(r"\s+", "", signature))
    if found is None:
        raise ValueError(f"not a valid gufunc signature: {signature}")
    inputs, outputs = ([tuple(re.findall(r"\w+", core)) for core in re.findall(_CORE, side)] for side in found.groups())
    return inputs, outputs


def _applied(
    function: Callable[..., Any], operands: Sequence[Any], axes: tuple[list[Names], list[Names]] | None
) -> tuple[list[Any], bool]:
    """The results of a function for all elements, and whether it returns one value and no tuple."""
    shapes = [typeof(x).shape for x in operands]
    inputs, outputs = axes or ([()] * len(operands), None)
    if len(inputs) != len(operands):
        raise TypeError(f"wrong number of positional arguments: expected {len(inputs)}, got {len(operands)}")
    extents: dict[str, int] = {}
    for i, (shape, names) in enumerate(zip(shapes, inputs)):
        _match(shape[max(0, len(shape) - len(names)) :], names, extents, f"Argument {i}")
    loops = [shape[: len(shape) - len(names)] for shape, names in zip(shapes, inputs)]
    loop = broadcast_shapes(*loops) if loops else ()
    is_single: list[bool] = []

    def of_one(*values: Any) -> list[Any]:
        found = function(*values)
        is_single[:] = [not isinstance(found, tuple)]
        results = [asarray(x) for x in ([found] if is_single[0] else found)]
        if outputs is not None:
            if len(results) != len(outputs):
                raise _count_error(len(results), len(outputs), "signature")
            for i, (x, names) in enumerate(zip(results, outputs)):
                _match(typeof(x).shape, names, extents, f"Result {i}")
        return results

    call = of_one
    for axis in range(len(loop)):
        mapped = [len(own) > axis and own[-1 - axis] != 1 for own in loops]
        if any(mapped):
            call = vmap(call, in_axes=tuple(0 if m else None for m in mapped))
    bare = [
        with_shape(x, (*(n for n in own if n != 1), *shape[len(own) :]))
        for x, shape, own in zip(operands, shapes, loops)
    ]
    ndim = sum(extent != 1 for extent in loop)
    return [with_shape(x, (*loop, *typeof(x).shape[ndim:])) for x in call(*bare)], is_single[0]


def _match(shape: tuple[int, ...], names: Names, extents: dict[str, int], what: str) -> None:
    """Note the extents of named axes, or hold a shape against those that are known."""
    if len(shape) != len(names) or any(extents.setdefault(name, n) != n for name, n in zip(names, shape)):
        known = ", ".join(f"{name}={extents[name]}" for name in names if name in extents)
        raise ShapeMismatchError(
            f"{what} of a vectorized function has the shape {shape} where the signature has ({','.join(names)})"
            f"{f', with {known}' if known else ''}.",
            "The last axes of each operand, and all axes of what the function returns, are those of the signature.",
            "Correct the shape or the signature.",
        )


def _count_error(found: int, wanted: int, where: str) -> Exception:
    return ShapeMismatchError(
        f"A vectorized function returned {found} result{'s' * (found != 1)}, but its {where} has {wanted}.",
        f"There is one entry of the {where} for each result.",
        f"Return a tuple of {wanted}, or correct the {where}.",
    )
