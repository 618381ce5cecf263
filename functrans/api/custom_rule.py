"""custom_rule: a function with rules of its own for any of forward, reverse and Taylor mode, and for lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..control.closed_rules import Rules
from .arguments import hides_internals
from .custom_rules import CustomFunction
from .flat_rules import CustomCallArguments, flat_batch_rule, flat_jet_rule, flat_jvp_rule, flat_vjp_rule
from .rule_checks import check_rules


class custom_rule(CustomFunction):
    """A function for which some transformations have rules of their own; the others follow.

    Forward mode uses the jvp rule, or else transposes the vjp rule. Reverse mode uses the vjp rule, or else transposes
    the jvp rule. Taylor mode uses the jet rule, or else forward mode. `vmap` uses the batch rule, or else maps the
    function and its other rules. What can come from no rule comes from the function itself. So a function with nothing
    but a hand-written vjp still has forward mode, Hessians and Taylor mode. Traced values that function and rules close
    over, and traced nondiff_args, are differentiated through the code that computes the result.

    Args:
        fun: the function; arguments and results are arrays, scalars and pytrees. May be left out, for use as a
            decorator with rules.
        jvp: `(primals, tangents) -> (result, tangent)`, linear in the tangents; primals and tangents are tuples.
        vjp: a pair of functions: `forward(*args) -> (result, residuals)` and `backward(residuals, cotangent) ->` a
            tuple of cotangents, None for zero; linear in the cotangent.
        batch: `(axis_size, is_mapped, *args) -> (result, is result mapped)`; mapped arrays have lanes along a leading
            axis; the flags are pytrees of booleans, like the arguments (a tuple) and the result. Derivatives of a
            mapped function are those of this rule's code.
        jet: `(primals, series) -> (result, result series)`, with the derivatives by t as in `functrans.jet`.
        nondiff_argnums, nondiff_argnames: positional arguments that are not differentiated, and may be anything; rules
            receive them first, but `forward` where they belong.
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

    def __init__(
        self,
        fun: Callable[..., Any],
        *,
        jvp: Callable[..., Any] | None = None,
        vjp: tuple[Callable[..., Any], Callable[..., Any]] | None = None,
        batch: Callable[..., Any] | None = None,
        jet: Callable[..., Any] | None = None,
        nondiff_argnums: int | Iterable[int] = (),
        nondiff_argnames: str | Iterable[str] = (),
        check: Sequence[Any] | None = None,
    ):
        super().__init__(fun, nondiff_argnums, nondiff_argnames)
        self.jvp, self.vjp, self.batch, self.jet = jvp, vjp, batch, jet
        self.symbolic_zeros: dict[str, bool] = {}
        self.check(check)

    def def_jvp(
        self,
        jvp: Callable[..., Any] | None = None,
        *,
        symbolic_zeros: bool = False,
        check: Sequence[Any] | None = None,
    ) -> Any:
        """Set the rule for forward mode; usable as a decorator. `symbolic_zeros` is that of `custom_jvp.defjvp`."""
        return self._define("jvp", jvp, check, symbolic_zeros)

    def def_vjp(
        self,
        fwd: Callable[..., Any],
        bwd: Callable[..., Any],
        *,
        symbolic_zeros: bool = False,
        check: Sequence[Any] | None = None,
    ) -> None:
        """Set the rule for reverse mode. `symbolic_zeros` is that of `custom_vjp.defvjp`."""
        self._define("vjp", (fwd, bwd), check, symbolic_zeros)

    def def_batch(self, batch: Callable[..., Any] | None = None, *, check: Sequence[Any] | None = None) -> Any:
        """Set the rule for lanes; usable as a decorator."""
        return self._define("batch", batch, check)

    def def_jet(self, jet: Callable[..., Any] | None = None, *, check: Sequence[Any] | None = None) -> Any:
        """Set the rule for Taylor mode; usable as a decorator."""
        return self._define("jet", jet, check)

    def _define(self, kind: str, rule: Any, check: Sequence[Any] | None, symbolic_zeros: bool = False) -> Any:
        if rule is None:
            return lambda given: self._define(kind, given, check, symbolic_zeros)
        setattr(self, kind, rule)
        self.symbolic_zeros[kind] = symbolic_zeros
        self.check(check)
        return rule

    @hides_internals
    def check(self, args: Sequence[Any] | None) -> None:
        """Compare the rules with the function at some arguments.

        Raises:
            CustomRuleError: a rule is off; the message names it and shows what was found and expected.
        """
        if args is not None:
            check_rules(self, tuple(args))

    def user_rules(self) -> tuple[Any, ...]:
        return (self.jvp, *(self.vjp or ()), self.batch, self.jet)

    def flat_rules(self, call: CustomCallArguments) -> Rules:
        symbolic = self.symbolic_zeros.get
        return Rules(
            None if self.jvp is None else flat_jvp_rule(call, self.jvp, symbolic("jvp", False)),
            None if self.vjp is None else flat_vjp_rule(call, *self.vjp, symbolic("vjp", False)),
            None if self.batch is None else flat_batch_rule(call, self.batch),
            None if self.jet is None else flat_jet_rule(call, self.jet),
        )
