"""Jacobians, Hessians and Hessian-vector products: jvp, vjp and vmap put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import tree
from ..core.devices import here
from ..core.dtypes import kind_of
from ..core.trace import typeof
from ..errors import NonDifferentiableError
from ..primitives.foundation import reshape
from ..primitives.structural import slice
from ..source import one_source
from .arguments import (
    describe_leaf,
    differentiated_name,
    hides_internals,
    input_leaves,
    own_results,
    select_arguments,
    wraps_function,
)
from .grad import grad, jvp, vjp
from .vmap import vmap


def jacfwd(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """A function that returns the Jacobian of `fun`, column by column: for more outputs than inputs.

    Args:
        fun: takes and returns arrays, scalars or pytrees of them (with `has_aux`, a pair of those and anything else).
        argnums: the positional argument to differentiate by, or several.
        has_aux: whether `fun` returns `(value, aux)`.
        holomorphic: whether `fun` is complex differentiable; its arguments and results are then complex.

    Returns:
        A function of the same arguments. The Jacobian is a pytree like the result of `fun`, with a pytree like the
        argument (a tuple of them for several argnums) at each leaf; its leaves have the shape of the output's leaf
        followed by that of the argument's. With `has_aux`, `(jacobian, aux)`.

    Raises:
        NonDifferentiableError: an argument or a result is an integer or boolean, or complex without `holomorphic`.
        ArgumentIndexError: argnums is out of range.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.jacfwd(lambda x: x**2)(np.array([1.0, 2.0]))
        array([[2., 0.],
               [0., 4.]])
    """

    @wraps_function(fun, "jacfwd")
    @hides_internals
    def jacobian_fun(*args: Any, **kwargs: Any) -> Any:
        selected = select_arguments(args, argnums)
        leaves = input_leaves(selected.leaves, partial(differentiated_name, argnums, selected.treedef))
        _check_leaves(leaves, selected.treedef, "argument", "c" if holomorphic else "f")

        def push_forward(*tangents: Any) -> Any:
            function: Callable[..., Any] = lambda *xs: fun(*selected.rebuild(xs), **kwargs)  # noqa: E731
            out, column, *aux = jvp(function, tuple(leaves), tangents, has_aux=has_aux)
            _check_leaves(*tree.flatten(out), "output", "c" if holomorphic else "fc")
            return column, tuple(aux)

        columns, aux = _of_basis(push_forward, leaves, (-1, None))

        def by_argument(column: Any) -> Any:
            shape = typeof(column).shape[: -1 if _has_axis(leaves) else None]
            return selected.treedef.unflatten(
                _shaped(part, (*shape, *typeof(x).shape)) for part, x in zip(_split(column, leaves, -1), leaves)
            )

        with one_source():
            jacobian = _owned(tree.map(by_argument, columns), leaves)
        return (jacobian, aux[0]) if has_aux else jacobian

    return jacobian_fun


def jacrev(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """A function that returns the Jacobian of `fun`, row by row: for more inputs than outputs.

    Arguments, results and errors are those of `jacfwd`; an argument may be complex where the results are real.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.jacrev(lambda x: np.array([1.0, 2.0]) * x)(3.0)
        array([1., 2.])
    """

    @wraps_function(fun, "jacrev")
    @hides_internals
    def jacobian_fun(*args: Any, **kwargs: Any) -> Any:
        selected = select_arguments(args, argnums)
        leaves = input_leaves(selected.leaves, partial(differentiated_name, argnums, selected.treedef))
        _check_leaves(leaves, selected.treedef, "argument", "c" if holomorphic else "fc")
        function: Callable[..., Any] = lambda *xs: fun(*selected.rebuild(xs), **kwargs)  # noqa: E731
        out, pull_back, *aux = vjp(function, *leaves, has_aux=has_aux)
        out_leaves, out_tree = tree.flatten(out)
        _check_leaves(out_leaves, out_tree, "output", "c" if holomorphic else "f")
        rows = _of_basis(lambda *cts: pull_back(out_tree.unflatten(cts)), out_leaves, 0)
        with one_source():
            rows_by_output = [
                [
                    _shaped(part, (*typeof(y).shape, *typeof(x).shape))
                    for part, y in zip(_split(row, out_leaves, 0), out_leaves)
                ]
                for row, x in zip(rows, leaves)
            ]
            jacobian = out_tree.unflatten(selected.treedef.unflatten(parts) for parts in zip(*rows_by_output))
            jacobian = _owned(jacobian, leaves)
        return (jacobian, aux[0]) if has_aux else jacobian

    return jacobian_fun


jacobian = jacrev


def hessian(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """A function that returns the Hessian of `fun`: forward mode over reverse mode.

    Returns:
        A function of the same arguments; for an argument of shape s and a scalar result, an array of shape s + s.
        Pytrees nest as in `jacfwd(jacrev(fun))`. Arguments and errors are those of `jacfwd`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.hessian(lambda x: x[0] * x[1] ** 2)(np.array([1.0, 2.0]))
        array([[0., 4.],
               [4., 2.]])
    """
    return jacfwd(jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)


def hvp(fun: Callable[..., Any], x: Any, v: Any) -> Any:
    """The Hessian of a scalar function at `x` times `v`, at the cost of about two gradients: `jvp` of `grad`.

    Args:
        fun: takes one argument and returns a real scalar.
        x, v: pytrees of one structure, shapes and dtypes.

    Returns:
        A pytree like `x`.

    Raises:
        NonScalarOutputError: `fun` returns something else.
        PytreeMismatchError, ShapeMismatchError, DtypeMismatchError: v is not like x.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
        array([ 6., 12.])
    """
    return jvp(grad(fun), (x,), (v,))[1]


def _owned(jacobian: Any, inputs: Sequence[Any]) -> Any:
    """A pytree of arrays that the caller may write to."""
    leaves, treedef = tree.flatten(jacobian)
    return treedef.unflatten(own_results(leaves, inputs))


def _check_leaves(leaves: Sequence[Any], treedef: Any, what: str, kinds: str) -> None:
    for i, x in enumerate(leaves):
        if kind_of(typeof(x).dtype) not in kinds:
            raise NonDifferentiableError(
                f"The Jacobian was asked for of an {what} of type {typeof(x)}{describe_leaf(treedef, i)}.",
                "Derivatives are taken of and by real values, or complex ones with holomorphic=True.",
                "Convert it with `.astype(float)`, split complex values into parts, or choose other arguments.",
            )


def _of_basis(function: Callable[..., Any], leaves: Sequence[Any], out_axes: Any) -> Any:
    """What a function makes of the unit vectors of the space of all leaves together, along an axis of its results.

    A number has one unit vector, for which no axis is needed, and no vmap: the gradient of a loss is one row.
    """
    if _has_axis(leaves):
        return vmap(function, out_axes=out_axes)(*_basis(leaves))
    aval = typeof(leaves[0])
    return function(here(np.ones(aval.shape, aval.dtype)))


def _has_axis(leaves: Sequence[Any]) -> bool:
    """Whether results for the unit vectors have an axis for them."""
    return len(leaves) != 1 or typeof(leaves[0]).size != 1


def _basis(leaves: Sequence[Any]) -> list[Any]:
    """The unit vectors of the space of all leaves together: for each leaf an array with one row for each of them."""
    sizes = [typeof(x).size for x in leaves]
    total, start = sum(sizes), 0
    basis: list[Any] = []
    for x, size in zip(leaves, sizes):
        aval = typeof(x)
        block = np.zeros((total, *aval.shape), aval.dtype)
        block.reshape(total, size)[start + np.arange(size), np.arange(size)] = 1
        block.flags.writeable = False  # so that nobody has to copy it
        basis.append(here(block))
        start += size
    return basis


def _split(x: Any, leaves: Sequence[Any], axis: int) -> list[Any]:
    """Parts of the first (0) or last (-1) axis, one for each leaf."""
    if len(leaves) == 1:
        return [x]
    starts, limits = [0] * typeof(x).ndim, list(typeof(x).shape)
    strides = (1,) * len(starts)
    limits[axis] = 0
    parts: list[Any] = []
    for leaf in leaves:
        starts[axis], limits[axis] = limits[axis], limits[axis] + typeof(leaf).size
        parts.append(slice(x, starts=tuple(starts), limits=tuple(limits), strides=strides))
    return parts


def _shaped(x: Any, shape: tuple[int, ...]) -> Any:
    """A part in the shape that it has in the Jacobian, where what has no axes is one of NumPy's scalars."""
    return x if shape and typeof(x).shape == shape else reshape(x, shape=shape)
