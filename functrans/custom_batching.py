"""Functions with a rule of their own for lanes, under the names of `jax.custom_batching`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from . import tree
from .api.custom_rule import custom_rule
from .api.flat_rules import CustomCallArguments
from .control.closed_rules import Rules
from .lax.loops import map as map_lanes


class custom_vmap(custom_rule):
    """A function for which `vmap` has a rule; a `functrans.custom_rule` that has no other.

    Derivatives are those of the code of the function, and lanes of them those of that code.

    Args:
        fun: the function; arguments and results are arrays, scalars and pytrees.

    Raises:
        CustomRuleError: lanes are wanted and the rule is missing, or it returns another structure, shape or dtype than
            the function.

    Example:
        >>> import numpy as np, functrans as ft
        >>> @ft.custom_batching.custom_vmap
        ... def product(x, y):
        ...     return x @ y
        >>> @product.def_vmap
        ... def product_of_lanes(axis_size, in_batched, xs, y):
        ...     return xs @ y, True  # one product of matrices
        >>> ft.vmap(product, in_axes=(0, None))(np.eye(2), np.array([3.0, 4.0]))
        array([3., 4.])
    """

    def __init__(self, fun: Callable[..., Any]):
        super().__init__(fun)

    def flat_rules(self, call: CustomCallArguments) -> Rules:
        rules = super().flat_rules(call)
        return rules if rules.batch is not None else rules._replace(batch=self._without_rule)

    def _without_rule(self, size: int, mapped: Sequence[bool], values: Sequence[Any]) -> NoReturn:
        raise self.missing_rule("def_vmap")

    def def_vmap(self, vmap_rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule, which is returned; usable as a decorator.

        Args:
            vmap_rule: `(axis_size, in_batched, *args) -> (result, is result batched)`; batched arrays have lanes along
                a leading axis. `in_batched` has a boolean for each array of the arguments, and there is to be one for
                each array of the result, or one for all.
        """
        return self.def_batch(vmap_rule)


def sequential_vmap(fun: Callable[..., Any]) -> custom_vmap:
    """A function whose lanes `vmap` computes one after the other, by `functrans.lax.map`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.vmap(ft.custom_batching.sequential_vmap(np.cumsum))(np.arange(6.0).reshape(2, 3))
        array([[ 0.,  1.,  3.],
               [ 3.,  7., 12.]])
    """
    mapped = custom_vmap(fun)

    @mapped.def_vmap
    def one_by_one(axis_size: int, in_batched: Any, *args: Any) -> tuple[Any, Any]:
        leaves, structure = tree.flatten(args)
        flags = tree.leaves(in_batched)

        def lane(batched: list[Any]) -> Any:
            found = iter(batched)
            here = [next(found) if is_batched else x for x, is_batched in zip(leaves, flags)]
            return fun(*tree.unflatten(structure, here))

        result = map_lanes(lane, [x for x, is_batched in zip(leaves, flags) if is_batched])
        return result, tree.map(lambda _: True, result)

    return mapped


__all__ = ["custom_vmap", "sequential_vmap"]
