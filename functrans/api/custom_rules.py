"""custom_jvp and custom_vjp: functions with derivative rules of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial, update_wrapper
from typing import Any

from .. import tree
from ..control.custom_rules import custom_jvp_call, custom_vjp_call
from ..core.avals import ZERO, float0, is_inexact
from ..core.paths import leaves_of
from ..core.trace import typeof
from ..errors import CustomRuleError
from ..primitives.foundation import add_tangents
from .arguments import FlatFunction, describe_leaf, hides_internals, input_leaf, normalize_argnums


class CustomFunction:
    """A function and the arguments of one call of it, flat."""

    def __init__(self, fun: Callable[..., Any], nondiff_argnums: int | Iterable[int] = ()):
        if not callable(fun):
            raise TypeError(f"{type(self).__name__} expects a function, not a {type(fun).__name__}")
        update_wrapper(self, fun)
        self.fun = fun
        self.name = getattr(fun, "__name__", type(fun).__name__)
        self.nondiff_argnums = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else partial(self, instance)

    def positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position, defaults filled in."""
        if not kwargs:
            return args
        bound = inspect.signature(self.fun).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise CustomRuleError(
                f"`{self.name}`, which has a custom rule, was called with keyword-only arguments.",
                "Rules receive arguments by position.",
                "Give the arguments positions, or close over them.",
            )
        return bound.args

    def missing_rule(self, method: str) -> CustomRuleError:
        return CustomRuleError(
            f"`{self.name}` was called before its derivative rule was defined.",
            "A function with a custom rule needs the rule before its first use.",
            f"Define it with `@{self.name}.{method}`.",
        )


class CallArguments:
    """The arguments of one call: leaves of the differentiable ones, and the way back."""

    def __init__(self, custom: CustomFunction, args: tuple[Any, ...]):
        numbers = set(normalize_argnums(custom.nondiff_argnums, len(args), "nondiff_argnums"))
        self.args = args
        self.nondiff = [a for i, a in enumerate(args) if i in numbers]
        self.places = [i for i in range(len(args)) if i not in numbers]
        leaves, self.treedef = tree.flatten(tuple(args[i] for i in self.places))
        self.leaves = [input_leaf(x) for x in leaves]
        self.out_tree: Any = None

    def rebuild(self, leaves: Sequence[Any]) -> list[Any]:
        everything = list(self.args)
        for i, value in zip(self.places, self.treedef.unflatten(leaves)):
            everything[i] = value
        return everything

    def function(self, fun: Callable[..., Any]) -> Callable[..., list[Any]]:
        """The function of flat leaves; remembers the structure of its result."""
        flat = FlatFunction(fun, self.rebuild, {}, False)

        def call(*leaves: Any) -> list[Any]:
            outs = leaves_of(map(input_leaf, flat(*leaves)), flat.out_tree)
            self.out_tree = flat.out_tree
            return outs

        return call


class custom_jvp(CustomFunction):
    """A function with its own rule for forward mode, from which reverse and Taylor mode follow.

    Args:
        fun: the function; arguments and results are arrays, scalars and pytrees.
        nondiff_argnums: positional arguments that are not differentiated, and may be anything.

    The rule, set by `defjvp`, is called as `rule(*nondiff_args, primals, tangents)` with two tuples and returns
    `(result, tangent of the result)`; it must be linear in the tangents.

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

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule; usable as a decorator."""
        self.rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Set one rule for each argument: `rule(tangent, result, *primals)` gives its contribution; None for zero."""

        def rule(*args: Any) -> Any:
            *nondiff, primals, tangents = args
            result = self(*self._interleave(nondiff, primals))
            total: Any = ZERO
            for one, t in zip(rules, tangents, strict=True):
                if one is not None:
                    term = one(t, result, *primals)
                    total = term if total is ZERO else tree.map(add_tangents, total, term)
            return result, tree.map(lambda y: y * 0, result) if total is ZERO else total

        self.rule = rule

    def _interleave(self, nondiff: Sequence[Any], primals: Sequence[Any]) -> list[Any]:
        args = list(primals)
        for i, value in sorted(zip(self.nondiff_argnums, nondiff)):
            args.insert(i, value)
        return args

    @hides_internals
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise self.missing_rule("defjvp")
        call = CallArguments(self, self.positional(args, kwargs))
        outs = custom_jvp_call.bind(
            *call.leaves,
            function=call.function(self.fun),
            rule=flat_jvp_rule(self.name, call, self.rule, "defjvp"),
            name=self.name,
        )
        return call.out_tree.unflatten(outs)


class custom_vjp(CustomFunction):
    """A function with its own rule for reverse mode; forward mode is its transpose.

    Args:
        fun: the function; arguments and results are arrays, scalars and pytrees.
        nondiff_argnums: positional arguments that are not differentiated, and may be anything.

    The rule, set by `defvjp(forward, backward)`, has two halves: `forward(*args)` returns `(result, residuals)`,
    with any pytree of arrays as residuals, and `backward(*nondiff_args, residuals, cotangent)` returns a tuple with
    one cotangent for each differentiable argument (None for zero); it must be linear in the cotangent.

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

    forward: Callable[..., Any] | None = None
    backward: Callable[..., Any] | None = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Set the rule."""
        self.forward, self.backward = forward, backward

    @hides_internals
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.forward is None or self.backward is None:
            raise self.missing_rule("defvjp")
        call = CallArguments(self, self.positional(args, kwargs))
        outs = custom_vjp_call.bind(
            *call.leaves,
            function=call.function(self.fun),
            rule=flat_vjp_rule(self.name, call, self.forward, self.backward),
            name=self.name,
        )
        return call.out_tree.unflatten(outs)


def flat_jvp_rule(name: str, call: CallArguments, rule: Callable[..., Any], method: str) -> Callable[..., list[Any]]:
    """A rule for tangents on flat leaves, checked."""

    def flat_rule(*leaves: Any) -> list[Any]:
        half = len(leaves) // 2
        primals, tangents = call.treedef.unflatten(leaves[:half]), call.treedef.unflatten(leaves[half:])
        outs, out_tangents = pair(rule(*call.nondiff, tuple(primals), tuple(tangents)), name, method)
        flat, out_tree = tree.flatten(outs)
        flat_tangents, tangent_tree = tree.flatten(out_tangents)
        call.out_tree = out_tree
        flat = [input_leaf(y) for y in flat]
        flat_tangents = [t if getattr(t, "dtype", None) == float0 else input_leaf(t) for t in flat_tangents]
        check_rule(name, "tangents", flat_tangents, tangent_tree, flat, out_tree)
        return leaves_of([*flat, *flat_tangents], out_tree, tangent_tree)

    return flat_rule


def flat_vjp_rule(
    name: str, call: CallArguments, forward: Callable[..., Any], backward: Callable[..., Any]
) -> Callable[..., Any]:
    """A rule for cotangents on flat leaves, checked."""

    def flat_rule(*leaves: Any) -> Any:
        outs, residuals = pair(forward(*call.rebuild(leaves)), name, "defvjp (forward)")
        flat, out_tree = tree.flatten(outs)
        flat_residuals, residual_tree = tree.flatten(residuals)
        call.out_tree = out_tree
        avals = [typeof(x) for x in leaves]

        def flat_backward(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            given = residual_tree.unflatten(residuals), out_tree.unflatten(cotangents)
            return _cotangents(name, backward(*call.nondiff, *given), call.treedef, avals)

        results = leaves_of(map(input_leaf, flat), out_tree)
        return results, leaves_of(map(input_leaf, flat_residuals), residual_tree), flat_backward

    return flat_rule


def _cotangents(name: str, found: Any, treedef: Any, avals: Sequence[Any]) -> list[Any]:
    """What the backward rule returned, flat and checked."""
    children = treedef.children()
    if not isinstance(found, (tuple, list)) or len(found) != len(children):
        shown = f"{len(found)} values" if isinstance(found, (tuple, list)) else f"a {type(found).__name__}"
        raise CustomRuleError(
            f"The backward rule of `{name}` returned {shown} for {len(children)} differentiable arguments.",
            "It returns a tuple with one cotangent for each of them.",
            "Return a tuple, with None where the cotangent is zero.",
        )
    flat: list[Any] = []
    for child, cotangent in zip(children, found):
        if cotangent is None:
            flat += [ZERO] * child.num_leaves
            continue
        leaves, structure = tree.flatten(cotangent)
        if structure != child:
            raise CustomRuleError(
                f"The backward rule of `{name}` returned a cotangent of structure {structure} for an argument "
                f"of structure {child}.",
                "A cotangent has the structure of its argument.",
                "Build it with functrans.tree.map over the argument.",
            )
        flat += leaves
    return [_checked(name, c, aval, describe_leaf(treedef, i)) for i, (c, aval) in enumerate(zip(flat, avals))]


def _checked(function: str, c: Any, aval: Any, name: str) -> Any:
    if c is ZERO or getattr(c, "dtype", None) == float0 or not is_inexact(aval.dtype):
        return ZERO
    c = input_leaf(c)
    have = typeof(c)
    if have.shape != aval.shape or (have.dtype != aval.dtype and not have.weak and not aval.weak):
        raise CustomRuleError(
            f"The backward rule of `{function}` returned a cotangent of type {have} for argument {name} of type "
            f"{aval}.",
            "A cotangent has the shape and dtype of its argument.",
            "Sum it over broadcast axes, or convert it with `.astype(...)`.",
        )
    return c


def pair(value: Any, name: str, rule: str) -> tuple[Any, Any]:
    """What a rule returned, as the pair that it should be."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise CustomRuleError(
            f"The {rule} rule of `{name}` returned a {type(value).__name__} instead of a pair.",
            "It returns the result and, with it, its tangent (defjvp) or the residuals (defvjp).",
            "Return `(result, tangent)` or `(result, residuals)`.",
        )
    return value[0], value[1]


def check_rule(
    name: str, what: str, found: Sequence[Any], found_tree: Any, results: Sequence[Any], out_tree: Any
) -> None:
    """Raise CustomRuleError unless what a rule returned has the structure and types of the results."""
    if found_tree != out_tree:
        raise CustomRuleError(
            f"The rule of `{name}` returned {what} of structure {found_tree} for results of structure {out_tree}.",
            f"There is one of the {what} for each result.",
            "Return both with the same structure.",
        )
    for i, (t, y) in enumerate(zip(found, results)):
        want = typeof(y)
        if not is_inexact(want.dtype):
            continue
        have = typeof(t)
        if have.shape != want.shape or (have.dtype != want.dtype and not have.weak and not want.weak):
            raise CustomRuleError(
                f"The rule of `{name}` returned a tangent of type {have} for a result of type {want}"
                f"{describe_leaf(out_tree, i)}.",
                "A tangent has the shape and dtype of its primal.",
                "Broadcast it, or convert it with `.astype(...)`.",
            )


