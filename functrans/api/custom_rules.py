"""custom_jvp and custom_vjp: functions with derivative rules of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial, update_wrapper
from types import FunctionType, MethodType
from typing import Any

from .. import tree
from ..control.closed_rules import Rules
from ..control.closures import captured_tracers
from ..control.custom_rules import call_with_rules
from ..errors import ArgumentIndexError, CustomRuleError
from ..primitives.foundation import add_tangents
from .arguments import check_function, hides_internals, name_of, normalize_argnums
from .flat_rules import CustomCallArguments, KnownTypes, check_structure, flat_jvp_rule, flat_vjp_rule
from .symbolic_zeros import SymbolicZero


class CustomFunction:
    """A function with rules of its own: what custom_jvp, custom_vjp and custom_rule have in common."""

    def __new__(cls, fun: Callable[..., Any] | None = None, *args: Any, **options: Any) -> Any:
        return super().__new__(cls) if fun is not None else partial(cls, *args, **options)

    def __init__(
        self,
        fun: Callable[..., Any],
        nondiff_argnums: int | Iterable[int] = (),
        nondiff_argnames: str | Iterable[str] = (),
    ):
        check_function(fun, type(self).__name__)
        update_wrapper(self, fun, updated=())
        self.fun = fun
        self.name = name_of(fun)
        self.known_types = KnownTypes()
        self.signature = _signature(fun)
        # Defaults of functions that are not written in Python are often no values (np.sum), and are left out.
        self.arity = len(self.signature.parameters) if isinstance(fun, (FunctionType, MethodType)) else 0
        numbers = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        names = (nondiff_argnames,) if isinstance(nondiff_argnames, str) else tuple(nondiff_argnames)
        self.nondiff_argnums = (*numbers, *(n for n in map(self._number, names) if n not in numbers))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.fun!r}>"

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else partial(self, instance)

    @hides_internals
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = self._positional(args, kwargs)
        call = CustomCallArguments(self.fun, self.name, self.nondiff_argnums, given, self.known_types)
        rules = self.flat_rules(call)
        captured = captured_tracers([self.fun, *self.user_rules(), *call.nondiff])
        outs = call_with_rules(call.function, rules, self.name, captured, call.leaves)
        return call.out_tree.unflatten(outs)

    def user_rules(self) -> tuple[Any, ...]:
        """The rules as they were given."""
        raise NotImplementedError

    def flat_rules(self, call: CustomCallArguments) -> Rules:
        """The rules for one call."""
        raise NotImplementedError

    def _number(self, name: str) -> int:
        """The position of a parameter."""
        parameters = list(self.signature.parameters.values()) if self.signature else []
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD or p.kind is p.POSITIONAL_ONLY]
        if name not in positional:
            raise ArgumentIndexError(
                f"nondiff_argnames names {name!r}, which is no positional parameter of `{self.name}`.",
                f"These are {', '.join(positional) or 'not known'}.",
                "Correct the name, or give the parameter a position: rules receive arguments by position.",
            )
        return positional.index(name)

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position, defaults filled in."""
        if self.signature is None or (not kwargs and len(args) >= self.arity):
            return args
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if any(name in kwargs for name in bound.kwargs):
            raise CustomRuleError(
                f"`{self.name}`, which has a custom rule, was called with keyword-only arguments.",
                "Rules receive arguments by position.",
                "Give the arguments positions, or close over them.",
            )
        return bound.args

    def missing_rule(self, method: str) -> CustomRuleError:
        return CustomRuleError(
            f"`{self.name}` was called before its rule was defined.",
            "A function that is made for a rule needs it before its first use.",
            f"Define it with `@{self.name}.{method}`.",
        )


def _signature(fun: Callable[..., Any]) -> inspect.Signature | None:
    """The signature of a function; None for a builtin that does not tell."""
    try:
        return inspect.signature(fun)
    except (TypeError, ValueError):
        return None


class custom_jvp(CustomFunction):
    """A function with its own rule for forward mode, from which reverse and Taylor mode follow.

    Args:
        fun: the function; arguments and results are arrays, scalars and pytrees. May be left out, for use as a
            decorator with options.
        nondiff_argnums, nondiff_argnames: positional arguments that are not differentiated, and may be anything.

    The rule, set by `defjvp`, is called as `rule(*nondiff_args, primals, tangents)` with two tuples and returns
    `(result, tangent of the result)`; it must be linear in the tangents. Traced values that function and rule close
    over, and traced nondiff_args, are differentiated through the code that computes the result.

    Raises:
        CustomRuleError: the rule is missing, or returns another structure, shape or dtype than the function.

    Example:
        >>> import numpy as np, functrans as ft
        >>> @ft.custom_jvp
        ... def log1pexp(x):
        ...     return np.log1p(np.exp(x))
        >>> @log1pexp.defjvp
        ... def log1pexp_jvp(primals, tangents):
        ...     (x,), (dx,) = primals, tangents
        ...     return log1pexp(x), dx / (1 + np.exp(-x))
        >>> ft.grad(log1pexp)(100.0)
        np.float64(1.0)
    """

    rule: Callable[..., Any] | None = None
    symbolic_zeros = False

    def defjvp(self, jvp: Callable[..., Any] | None = None, symbolic_zeros: bool = False) -> Any:
        """Set the rule; usable as a decorator.

        Args:
            symbolic_zeros: whether tangents that are zero whatever the arguments are arrive as
                `functrans.custom_derivatives.SymbolicZero`, not as arrays.
        """
        if jvp is None:
            return partial(self.defjvp, symbolic_zeros=symbolic_zeros)
        self.rule, self.symbolic_zeros = jvp, symbolic_zeros
        return jvp

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Set one rule for each argument: `rule(tangent, result, *primals)` gives its contribution; None for zero.

        Example:
            >>> import numpy as np, functrans as ft
            >>> f = ft.custom_jvp(lambda x, y: x * np.sin(y))
            >>> f.defjvps(lambda dx, z, x, y: dx * np.sin(y), lambda dy, z, x, y: x * np.cos(y) * dy)
            >>> ft.grad(f, 1)(2.0, 0.0)
            np.float64(2.0)
        """

        def rule(*args: Any) -> Any:
            *nondiff, primals, tangents = args
            if len(rules) != len(primals):
                raise CustomRuleError(
                    f"`{self.name}` has {len(rules)} rules by argument for {len(primals)} differentiable arguments.",
                    "There is one for each of them.",
                    f"Call `{self.name}.defjvps` with as many functions, None where the derivative is zero.",
                )
            result = self(*self._interleaved(nondiff, primals))
            total = tree.map(SymbolicZero.from_primal_value, result)
            for term in (one(t, result, *primals) for one, t in zip(rules, tangents) if one is not None):
                check_structure(self.name, "jvp", "tangent", tree.structure(term), "the result", tree.structure(result))
                total = tree.map(_sum, total, term)
            return result, total

        self.defjvp(rule)

    def _interleaved(self, nondiff: Sequence[Any], primals: Sequence[Any]) -> list[Any]:
        """All arguments in their order."""
        args = list(primals)
        numbers = normalize_argnums(self.nondiff_argnums, len(nondiff) + len(primals), "nondiff_argnums")
        for number, value in zip(sorted(numbers), nondiff):
            args.insert(number, value)
        return args

    def user_rules(self) -> tuple[Any, ...]:
        return (self.rule,)

    def flat_rules(self, call: CustomCallArguments) -> Rules:
        if self.rule is None:
            raise self.missing_rule("defjvp")
        return Rules(jvp=flat_jvp_rule(call, self.rule, self.symbolic_zeros))


def _sum(x: Any, y: Any) -> Any:
    """The sum of two tangents, each of which may be symbolically zero."""
    if isinstance(x, SymbolicZero) or isinstance(y, SymbolicZero):
        return y if isinstance(x, SymbolicZero) else x
    return add_tangents(x, y)


class custom_vjp(CustomFunction):
    """A function with its own rule for reverse mode; forward mode is its transpose.

    Args:
        fun: the function; arguments and results are arrays, scalars and pytrees. May be left out, for use as a
            decorator with options.
        nondiff_argnums, nondiff_argnames: positional arguments that are not differentiated, and may be anything.

    The rule, set by `defvjp(forward, backward)`, has two halves: `forward(*args)` returns `(result, residuals)`,
    with any pytree of arrays as residuals, and `backward(*nondiff_args, residuals, cotangent)` returns a tuple with
    one cotangent for each differentiable argument (None for zero); it must be linear in the cotangent. Traced values
    that function and rule close over, and traced nondiff_args, are differentiated through the code of `forward`.

    Raises:
        CustomRuleError: the rule is missing, or returns another structure, shape or dtype than it should.

    Example:
        >>> import numpy as np, functrans as ft
        >>> @ft.custom_vjp
        ... def clip_gradient(x):
        ...     return x
        >>> clip_gradient.defvjp(lambda x: (x, None), lambda res, ct: (np.clip(ct, -1, 1),))
        >>> float(ft.grad(lambda x: clip_gradient(x) * 10.0)(2.0))
        1.0
    """

    rule: tuple[Callable[..., Any], Callable[..., Any]] | None = None
    symbolic_zeros = False

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any], symbolic_zeros: bool = False) -> None:
        """Set the rule.

        Args:
            symbolic_zeros: whether the leaves of the arguments of `fwd` are CustomVJPPrimal, with `value` and
                `perturbed` (whether the derivative is wanted), and cotangents that are zero whatever the arguments
                are arrive in `bwd` as SymbolicZero (both in `functrans.custom_derivatives`).
        """
        self.rule, self.symbolic_zeros = (fwd, bwd), symbolic_zeros

    def user_rules(self) -> tuple[Any, ...]:
        return self.rule or ()

    def flat_rules(self, call: CustomCallArguments) -> Rules:
        if self.rule is None:
            raise self.missing_rule("defvjp")
        return Rules(vjp=flat_vjp_rule(call, *self.rule, self.symbolic_zeros))
