"""custom_rule: a function with rules of its own for any of forward, reverse and Taylor mode, and for lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import factorial
from typing import Any

from .. import tree
from ..control.custom_rule import Rules, custom_rule_call
from ..core.avals import ZERO
from ..core.trace import typeof
from ..errors import CustomRuleError
from ..primitives.foundation import scale, zeros
from .arguments import hides_internals, input_leaf
from .custom_rules import CallArguments, CustomFunction, check_rule, flat_jvp_rule, flat_vjp_rule, pair
from .rule_checks import check_rules


class custom_rule(CustomFunction):
    """A function for which some transformations have rules of their own; the others follow.

    Forward mode uses the jvp rule, or else transposes the vjp rule. Reverse mode uses the vjp rule, or else transposes
    the jvp rule. Taylor mode uses the jet rule, or else forward mode. `vmap` uses the batch rule, or else maps the
    function and its other rules. What can come from no rule comes from the function itself. So a function with nothing
    but a hand-written vjp still has forward mode, Hessians and Taylor mode.

    Args:
        fun: the function; arguments and results are arrays, scalars and pytrees. May be left out, for use as a
            decorator with rules.
        jvp: `(primals, tangents) -> (result, tangent)`, linear in the tangents; primals and tangents are tuples.
        vjp: a pair of functions: `forward(*args) -> (result, residuals)` and `backward(residuals, cotangent) ->` a
            tuple of cotangents, None for zero.
        batch: `(axis_size, is_mapped, *args) -> (result, is result mapped)`; mapped arrays have lanes along a leading
            axis; the flags are pytrees of booleans, like the arguments (a tuple) and the result. Derivatives of a
            mapped function are those of this rule's code.
        jet: `(primals, series) -> (result, result series)`, with the derivatives by t as in `functrans.jet`.
        nondiff_argnums: positional arguments that are not differentiated, and may be anything; rules receive them
            first.
        check: arguments at which to compare each rule with the function at once (differences, the dot-product
            identity, the symmetry of second derivatives, a loop over lanes).

    Raises:
        CustomRuleError: a rule returns another structure, shape or dtype than the function, or fails its check.

    Example:
        >>> import numpy as np, functrans as ft
        >>> @ft.custom_rule
        ... def f(x):
        ...     return np.log1p(np.exp(x))
        >>> @f.def_jvp(check=(0.5,))
        ... def f_jvp(primals, tangents):
        ...     (x,), (dx,) = primals, tangents
        ...     return f(x), dx / (1 + np.exp(-x))
        >>> float(ft.grad(f)(100.0)), round(float(ft.grad(ft.grad(f))(0.0)), 3)
        (1.0, 0.25)
    """

    def __new__(cls, fun: Callable[..., Any] | None = None, **rules: Any) -> Any:
        return super().__new__(cls) if fun is not None else partial(cls, **rules)

    def __init__(
        self,
        fun: Callable[..., Any],
        *,
        jvp: Callable[..., Any] | None = None,
        vjp: tuple[Callable[..., Any], Callable[..., Any]] | None = None,
        batch: Callable[..., Any] | None = None,
        jet: Callable[..., Any] | None = None,
        nondiff_argnums: int | Iterable[int] = (),
        check: Sequence[Any] | None = None,
    ):
        super().__init__(fun, nondiff_argnums)
        self.jvp, self.vjp, self.batch, self.jet = jvp, vjp, batch, jet
        self.check(check)

    def def_jvp(self, rule: Callable[..., Any] | None = None, *, check: Sequence[Any] | None = None) -> Any:
        """Set the rule for forward mode; usable as a decorator."""
        return self._define("jvp", rule, check)

    def def_vjp(
        self, forward: Callable[..., Any], backward: Callable[..., Any], *, check: Sequence[Any] | None = None
    ) -> None:
        """Set the rule for reverse mode."""
        self._define("vjp", (forward, backward), check)

    def def_batch(self, rule: Callable[..., Any] | None = None, *, check: Sequence[Any] | None = None) -> Any:
        """Set the rule for lanes; usable as a decorator."""
        return self._define("batch", rule, check)

    def def_jet(self, rule: Callable[..., Any] | None = None, *, check: Sequence[Any] | None = None) -> Any:
        """Set the rule for Taylor mode; usable as a decorator."""
        return self._define("jet", rule, check)

    def _define(self, kind: str, rule: Any, check: Sequence[Any] | None) -> Any:
        if rule is None:
            return partial(self._define, kind, check=check)
        setattr(self, kind, rule)
        self.check(check)
        return rule

    def check(self, args: Sequence[Any] | None) -> None:
        """Compare the rules with the function at some arguments.

        Raises:
            CustomRuleError: a rule is off; the message names it and shows what was found and expected.
        """
        if args is not None:
            check_rules(self, tuple(args))

    @hides_internals
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = CallArguments(self, self.positional(args, kwargs))
        rules = Rules(
            None if self.jvp is None else flat_jvp_rule(self.name, call, self.jvp, "def_jvp"),
            None if self.vjp is None else flat_vjp_rule(self.name, call, *self.vjp),
            None if self.batch is None else self._flat_batch(call, self.batch),
            None if self.jet is None else self._flat_jet(call, self.jet),
        )
        outs = custom_rule_call.bind(*call.leaves, function=call.function(self.fun), rule=rules, name=self.name)
        return call.out_tree.unflatten(outs)

    def _flat_batch(self, call: CallArguments, rule: Callable[..., Any]) -> Callable[..., Any]:
        def flat_rule(size: int, mapped: Sequence[bool], *leaves: Any) -> tuple[list[Any], list[bool]]:
            flags, args = call.treedef.unflatten(mapped), call.treedef.unflatten(leaves)
            outs, out_flags = pair(rule(*call.nondiff, size, flags, *args), self.name, "def_batch")
            flat, call.out_tree = tree.flatten(outs)
            flat = [input_leaf(y) for y in flat]
            are_mapped = [bool(flag) for flag in tree.flatten_prefix(out_flags, outs)]
            for y, is_mapped in zip(flat, are_mapped):
                if is_mapped and typeof(y).shape[:1] != (size,):
                    raise CustomRuleError(
                        f"The batch rule of `{self.name}` returned {typeof(y)} for {size} lanes.",
                        "What it calls mapped has the lanes along its leading axis.",
                        "Move the axis to the front, or say False for this result.",
                    )
            return flat, are_mapped

        return flat_rule

    def _flat_jet(self, call: CallArguments, rule: Callable[..., Any]) -> Callable[..., Any]:
        def flat_rule(order: int, series: Sequence[Any]) -> list[Any]:
            primals = call.treedef.unflatten([s[0] for s in series])
            terms = [
                call.treedef.unflatten([_derivative(s, k) for s in series]) for k in range(1, order + 1)
            ]
            by_argument = tuple([term[i] for term in terms] for i in range(len(primals)))
            outs, out_terms = pair(rule(*call.nondiff, tuple(primals), by_argument), self.name, "def_jet")
            flat, call.out_tree = tree.flatten(outs)
            flat = [input_leaf(y) for y in flat]
            coefficients: list[list[Any]] = [[y] for y in flat]
            if not isinstance(out_terms, (tuple, list)) or len(out_terms) != order:
                raise CustomRuleError(
                    f"The jet rule of `{self.name}` returned {len(out_terms)} derivatives for a series of {order}.",
                    "There is one for each term of the series.",
                    "Return a list of as many derivatives.",
                )
            for k, term in enumerate(out_terms, 1):
                leaves, structure = tree.flatten(term)
                leaves = [input_leaf(x) for x in leaves]
                check_rule(self.name, f"derivatives of order {k}", leaves, structure, flat, call.out_tree)
                for own, x in zip(coefficients, leaves):
                    own.append(scale(x, 1 / factorial(k)))
            return coefficients

        return flat_rule


def _derivative(series: Sequence[Any], k: int) -> Any:
    """The k-th derivative of a series, from its Taylor coefficient."""
    c = series[k]
    return zeros(typeof(series[0]).strong()) if c is ZERO else scale(c, float(factorial(k)))
