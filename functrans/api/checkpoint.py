"""checkpoint: what the backward pass keeps of a function, and what it computes again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from .. import tree
from ..control.checkpoint import Policy, checkpoint_call
from ..core.cells import view_of
from ..errors import CheckpointPolicyError
from ..primitives.names import name as name_primitive
from .arguments import hides_internals, input_leaf
from .jit import Jitted


def checkpoint(
    fun: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    policy: Policy | None = None,
) -> Any:
    """A function that keeps less for the backward pass, and computes the rest again there.

    Args:
        fun: a pure function; it is traced, as by `jit`. May be left out, for use as a decorator with options.
        static_argnums: arguments that are known while tracing; they must be hashable.
        policy: which intermediate values may be kept, besides the arguments; one of `functrans.checkpoint_policies`,
            or a hashable function `policy(primitive, *avals, **params) -> bool` that is asked for each equation. By
            default none are.

    Raises:
        CheckpointPolicyError: the policy is no function, or does not say True or False.

    Example:
        >>> import numpy as np, functrans as ft
        >>> @ft.checkpoint(policy=ft.checkpoint_policies.dots_saveable)
        ... def layer(w, x):
        ...     return np.tanh(w @ x)
        >>> ft.print_saved_residuals(lambda w, x: np.sum(layer(w, x)), np.ones((2, 3)), np.ones(3))
        f64[2,3] from the argument w
        f64[3] from the argument x
        f64[2] output of dot_general from <doctest functrans.api.checkpoint.checkpoint[1]>:3 (layer)
    """
    if fun is None:
        return partial(checkpoint, static_argnums=static_argnums, policy=policy)
    _check_policy(policy)
    return Jitted(fun, static_argnums, primitive=checkpoint_call, params={"policy": policy})


def _check_policy(policy: Any) -> None:
    why = "A policy is asked `policy(primitive, *avals, **params)` for each equation, and remembered with its answers."
    repair = "Pass one of functrans.checkpoint_policies, or a function that returns True where values may be kept."
    if policy is not None and not callable(policy):
        raise CheckpointPolicyError(f"A checkpoint policy is of type {type(policy).__name__}.", why, repair)
    try:
        hash(policy)
    except TypeError:
        what = f"A checkpoint policy is of type {type(policy).__name__}, which is not hashable."
        raise CheckpointPolicyError(what, why, repair) from None


@hides_internals
def checkpoint_name(x: Any, name: str) -> Any:
    """The same value, with a name that policies of `checkpoint` go by.

    Args:
        x: an array or a pytree of arrays.

    Raises:
        CheckpointPolicyError: the name is no string.

    Example:
        >>> import numpy as np, functrans as ft
        >>> policy = ft.checkpoint_policies.save_only_these_names("hidden")
        >>> @ft.checkpoint(policy=policy)
        ... def f(x):
        ...     return np.cos(ft.checkpoint_name(np.exp(np.sin(x)), "hidden"))
        >>> ft.print_saved_residuals(f, np.ones(3))
        f64[3] from the argument x
        f64[3] named 'hidden' from <doctest functrans.api.checkpoint.checkpoint_name[2]>:3 (f)
    """
    if not isinstance(name, str):
        raise CheckpointPolicyError(
            f"The name of a value is {name!r}, of type {type(name).__name__}.",
            "Policies such as save_only_these_names compare names.",
            "Pass a string.",
        )

    def named(leaf: Any) -> Any:
        leaf = input_leaf(leaf)
        return view_of(leaf, name_primitive(leaf, name=name), restore=lambda view: view)

    return tree.map(named, x)
