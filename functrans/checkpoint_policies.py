"""Policies for `checkpoint`: which intermediate values may be kept for the backward pass. The names are JAX's.

A policy is a function `policy(primitive, *avals, **params) -> bool` that is asked for each equation of the program that
is differentiated, with the types of its operands. What it refuses is computed again when it is needed. The values that
equations of loops and branches have inside are kept or not together with the whole.

Example:
    >>> import numpy as np, functrans as ft
    >>> def layer(w, x):
    ...     return np.tanh(ft.checkpoint_name(w @ x, "product"))
    >>> policy = ft.checkpoint_policies.save_only_these_names("product")
    >>> ft.grad(lambda w: np.sum(ft.checkpoint(layer, policy=policy)(w, np.ones(2))))(np.zeros((1, 2)))
    array([[1., 1.]])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .core.primitive import Primitive
from .errors import CheckpointPolicyError
from .primitives.contractions import dot_general
from .primitives.convolution import conv_general
from .primitives.names import name as name_primitive

Policy = Callable[..., bool]


def nothing_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keep nothing but the arguments; as without a policy."""
    return False


def everything_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keep what reverse mode keeps without `checkpoint`."""
    return True


def dots_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keep the results of contractions and convolutions, which are the expensive ones."""
    return primitive in (dot_general, conv_general)


checkpoint_dots = dots_saveable


def dots_with_no_batch_dims_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keep the results of contractions without batch dimensions: of a layer's weights, but not of attention."""
    return primitive is dot_general and not any(params["dimension_numbers"][1])


checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable


def save_only_these_names(*names: str) -> Policy:
    """Keep the values that `checkpoint_name` gave one of these names.

    Raises:
        CheckpointPolicyError: a name is no string.

    Example:
        >>> import numpy as np, functrans as ft
        >>> layer = lambda x: np.sin(ft.checkpoint_name(np.exp(x), 'exponential'))
        >>> saving = ft.checkpoint(layer, policy=ft.checkpoint_policies.save_only_these_names('exponential'))
        >>> round(float(ft.grad(saving)(1.0)), 6) == round(float(ft.grad(layer)(1.0)), 6)
        True
    """
    wanted = _checked(names)

    def policy(primitive: Primitive, *avals: Any, **params: Any) -> bool:
        return primitive is name_primitive and params["name"] in wanted

    policy.__name__ = _shown("save_only_these_names", names)
    return policy


def save_any_names_but_these(*names: str) -> Policy:
    """Keep the values that have a name, except for these; and none without a name."""
    refused = _checked(names)

    def policy(primitive: Primitive, *avals: Any, **params: Any) -> bool:
        return primitive is name_primitive and params["name"] not in refused

    policy.__name__ = _shown("save_any_names_but_these", names)
    return policy


def save_anything_except_these_names(*names: str) -> Policy:
    """Keep everything, except for the values that `checkpoint_name` gave one of these names."""
    refused = _checked(names)

    def policy(primitive: Primitive, *avals: Any, **params: Any) -> bool:
        return not (primitive is name_primitive and params["name"] in refused)

    policy.__name__ = _shown("save_anything_except_these_names", names)
    policy.refused_names = refused  # the value itself, not only its name
    return policy


def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
    """Keep what one of two policies keeps."""

    def policy(primitive: Primitive, *avals: Any, **params: Any) -> bool:
        return policy_1(primitive, *avals, **params) or policy_2(primitive, *avals, **params)

    policy.__name__ = "save_from_both_policies"
    first, second = (getattr(one, "refused_names", frozenset()) for one in (policy_1, policy_2))
    policy.refused_names = first & second
    return policy


def _shown(function: str, names: tuple[str, ...]) -> str:
    """How a policy is printed as a parameter of an equation."""
    return f"{function}({', '.join(map(repr, names))})"


def _checked(names: tuple[str, ...]) -> frozenset[str]:
    for name in names:
        if not isinstance(name, str):
            raise CheckpointPolicyError(
                f"A policy was made of {name!r}, of type {type(name).__name__}, in the place of a name.",
                "It goes by the names that checkpoint_name gives, which are strings.",
                "Write `policy=save_only_these_names('a', 'b')`; the result is the policy.",
            )
    return frozenset(names)
