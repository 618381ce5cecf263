"""Rules written by users, for pytrees, as rules on flat values; and every check of what they return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial
from typing import Any

import numpy as np

from .. import tree
from ..control.custom_rules import check_types
from ..core.avals import ZERO, ShapedArray, float0, is_inexact
from ..core.dtypes import can_cast
from ..core.paths import Leaves, leaves_of
from ..core.staging import types_of_results
from ..core.trace import typeof
from ..errors import CustomRuleError
from ..primitives.foundation import instantiate, match, scale, unbroadcast
from ..tree import structure_text
from .arguments import FlatFunction, describe_leaf, input_leaf, input_leaves, normalize_argnums
from .symbolic_zeros import CustomVJPPrimal, SymbolicZero

Rule = Callable[..., Any]


class KnownTypes:
    """Structures and types of results that a function with rules was seen to have, for those of its arguments."""

    __slots__ = ("seen",)
    MOST_KEPT = 256

    def __init__(self) -> None:
        self.seen: set[Any] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        return (KnownTypes, ())  # a copy of the function may be another one

    def add(self, types: Any) -> None:
        if len(self.seen) >= self.MOST_KEPT:
            self.seen.clear()
        self.seen.add(types)


class CustomCallArguments:
    """The arguments of one call of a function with rules: leaves of the differentiable ones, and the way back.

    Attributes:
        fun, name: the function, and what it is called; nondiff: the arguments that are not differentiated.
        out_tree: the structure of the result, once it is known.
    """

    def __init__(
        self, fun: Callable[..., Any], name: str, nondiff_argnums: Sequence[int], args: Sequence[Any], known: KnownTypes
    ):
        self.fun, self.name = fun, name
        numbers = set(normalize_argnums(nondiff_argnums, len(args), "nondiff_argnums"))
        self.args = args
        self.nondiff = [a for i, a in enumerate(args) if i in numbers]
        self.places = [i for i in range(len(args)) if i not in numbers]
        leaves, self.treedef = tree.flatten(tuple(args[i] for i in self.places))
        self.leaves = input_leaves(leaves, self.place)
        self.out_tree: Any = None
        self._own_tree: Any = None
        self._known = known

    def place(self, i: int) -> str:
        """What to call a leaf."""
        first, *inner = self.treedef.paths()[i]
        return f"argument {self.places[first]}{''.join(f'[{entry!r}]' for entry in inner)}"

    def all_of(self, leaves: Sequence[Any]) -> list[Any]:
        """All arguments, with other leaves."""
        everything = list(self.args)
        for i, value in zip(self.places, self.treedef.unflatten(leaves)):
            everything[i] = value
        return everything

    def function(self, *leaves: Any) -> Leaves:
        """The function of flat leaves; it notes the structure of its result."""
        flat = FlatFunction(self.fun, self.all_of, {}, False)
        outs = leaves_of(map(input_leaf, flat(*leaves)), flat.out_tree)
        self.out_tree = self._own_tree = flat.out_tree
        self._known.add(self._types(list(map(typeof, outs)), flat.out_tree))
        return outs

    def results(self, value: Any, kind: str) -> tuple[list[Any], Any]:
        """Leaves and structure of what a rule returned for the result."""
        leaves, structure = tree.flatten(value)
        outs = [input_leaf(y) for y in leaves]
        self.check_results(list(map(typeof, outs)), structure, kind)
        return outs, structure

    def check_results(self, avals: Sequence[ShapedArray] | None, structure: Any, kind: str) -> None:
        """Raise CustomRuleError unless what a rule returned for the result is like what the function returns.

        Where the function has not run, it is traced, once for each type of arguments, to learn what that is. What
        cannot be traced may return anything.

        Args:
            avals: types of the leaves, for one lane; None if they are not known.
        """
        if self._own_tree is not None:  # who transforms the program of the function compares types
            self._check_structure(structure, self._own_tree, kind)
        elif avals is None or self._types(avals, structure) not in self._known.seen:
            wanted, own_tree = self._traced()
            if own_tree is not None:
                self._check_structure(structure, own_tree, kind)
                check_types(avals or (), wanted, kind, self.name)
            if avals is not None:
                self._known.add(self._types(avals, structure))
        self.out_tree = structure

    def _types(self, avals: Sequence[ShapedArray], structure: Any) -> Any:
        return self.treedef, tuple(map(typeof, self.leaves)), structure, tuple([aval.strong() for aval in avals])

    def _traced(self) -> tuple[list[ShapedArray], Any]:
        """Types and structure of what the function returns; None for the latter if it cannot be traced."""
        flat = FlatFunction(self.fun, self.all_of, {}, False)
        try:
            avals = types_of_results(lambda *xs: list(map(input_leaf, flat(*xs))), list(map(typeof, self.leaves)))
        except Exception:  # it may want values, as a function of SciPy does, and say so in any way; or take long
            return [], None
        return avals, flat.out_tree

    def _check_structure(self, found: Any, wanted: Any, kind: str) -> None:
        if found != wanted:
            raise CustomRuleError(
                f"The {kind} rule of `{self.name}` returned a result of structure {structure_text(found)}, but "
                f"`{self.name}` itself one of structure {structure_text(wanted)}.",
                "A rule returns what the function returns, and its derivative with it.",
                "Return the same containers in both.",
            )


def flat_jvp_rule(call: CustomCallArguments, rule: Rule, symbolic: bool) -> Callable[..., Any]:
    """`primals, tangents -> results, tangents`."""

    def flat_rule(primals: list[Any], tangents: list[Any]) -> tuple[Leaves, list[Any]]:
        given = [_given(t, typeof(p), symbolic) for t, p in zip(tangents, primals)]
        found = rule(*call.nondiff, call.treedef.unflatten(primals), call.treedef.unflatten(given))
        result, tangent = _pair(found, call.name, "jvp", "(result, tangent)")
        outs, structure = call.results(result, "jvp")
        leaves, tangent_tree = tree.flatten(tangent)
        check_structure(call.name, "jvp", "tangent", tangent_tree, "the result", structure)
        out_tangents = [
            _checked(t, y, call.name, "jvp", "tangent", structure, i) for i, (t, y) in enumerate(zip(leaves, outs))
        ]
        return leaves_of(outs, structure), out_tangents

    return flat_rule


def flat_vjp_rule(call: CustomCallArguments, forward: Rule, backward: Rule, symbolic: bool) -> Callable[..., Any]:
    """`primals, which are differentiated -> results, residuals, backward`."""

    def flat_rule(primals: list[Any], perturbed: list[bool]) -> Any:
        given = list(map(CustomVJPPrimal, primals, perturbed)) if symbolic else primals
        found = forward(*call.all_of(given))
        result, residuals = _pair(found, call.name, "forward", "(result, residuals)")
        outs, structure = call.results(result, "vjp")
        kept, residual_tree = tree.flatten(residuals)
        avals = [typeof(y).strong() for y in outs]

        def flat_backward(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            cts = [_given(c, aval, symbolic) for c, aval in zip(cotangents, avals)]
            found = backward(*call.nondiff, residual_tree.unflatten(residuals), structure.unflatten(cts))
            return _cotangents(call, found, in_avals)

        in_avals = [typeof(p) for p in primals]
        return leaves_of(outs, structure), leaves_of(map(input_leaf, kept), residual_tree), flat_backward

    return flat_rule


def flat_batch_rule(call: CustomCallArguments, rule: Rule) -> Callable[..., Any]:
    """`size, mapped, values -> results, which of them are mapped`."""

    def flat_rule(size: int, mapped: Sequence[bool], values: Sequence[Any]) -> tuple[Leaves, list[bool]]:
        found = rule(*call.nondiff, size, call.treedef.unflatten(mapped), *call.treedef.unflatten(values))
        result, flags = _pair(found, call.name, "batch", "(result, is result mapped)")
        leaves, structure = tree.flatten(result)
        outs = list(map(input_leaf, leaves))
        try:
            are_mapped = [bool(flag) for flag in tree.flatten_prefix(flags, result)]
        except ValueError:
            call.check_results(None, structure, "batch")
            raise CustomRuleError(
                f"The batch rule of `{call.name}` returned flags of structure "
                f"{structure_text(tree.structure(flags))} for a result of structure {structure_text(structure)}.",
                "They say for each array of the result, or for a container of them, whether it is mapped.",
                "Return a flag, or a pytree of flags like the result.",
            ) from None
        for i, (y, is_mapped) in enumerate(zip(outs, are_mapped)):
            if is_mapped and typeof(y).shape[:1] != (size,):
                raise CustomRuleError(
                    f"The batch rule of `{call.name}` returned {typeof(y)} for result{describe_leaf(structure, i)} of "
                    f"{size} lanes.",
                    "What it calls mapped has the lanes along its leading axis.",
                    "Move the axis to the front, or say False for this result.",
                )
        avals = [typeof(y).without_lanes() if is_mapped else typeof(y) for y, is_mapped in zip(outs, are_mapped)]
        call.check_results(avals, structure, "batch")
        return leaves_of(outs, structure), are_mapped

    return flat_rule


def flat_jet_rule(call: CustomCallArguments, rule: Rule) -> Callable[..., Any]:
    """`order, series -> series of the results`, with Taylor coefficients."""

    def flat_rule(order: int, series: Sequence[Sequence[Any]]) -> Leaves:
        primals = call.treedef.unflatten([s[0] for s in series])
        terms = [call.treedef.unflatten([_derivative(s, k) for s in series]) for k in range(1, order + 1)]
        by_argument = tuple([term[i] for term in terms] for i in range(len(primals)))
        found = rule(*call.nondiff, primals, by_argument)
        result, derivatives = _pair(found, call.name, "jet", "(result, derivatives)")
        outs, structure = call.results(result, "jet")
        if not isinstance(derivatives, (tuple, list)) or len(derivatives) != order:
            raise CustomRuleError(
                f"The jet rule of `{call.name}` returned {_counted(derivatives)} where {order} derivatives belong.",
                "There is one for each term of the series that it is given.",
                "Return a list of as many derivatives.",
            )
        rows: list[list[Any]] = [[y] for y in outs]
        for k, term in enumerate(derivatives, 1):
            leaves, term_tree = tree.flatten(term)
            check_structure(call.name, "jet", f"derivative of order {k}", term_tree, "the result", structure)
            for i, (row, d) in enumerate(zip(rows, leaves)):
                d = _checked(d, row[0], call.name, "jet", f"derivative of order {k}", structure, i)
                row.append(d if d is ZERO else scale(d, 1 / factorial(k)))
        return leaves_of(rows, structure)

    return flat_rule


def _derivative(series: Sequence[Any], k: int) -> Any:
    """The k-th derivative of a series, from its Taylor coefficient."""
    c = series[k]
    return _given(c, typeof(series[0]).strong(), False) if c is ZERO else scale(c, float(factorial(k)))


def _given(t: Any, aval: ShapedArray, symbolic: bool) -> Any:
    """A tangent or cotangent for the user's rule."""
    if not symbolic and not is_inexact(aval.dtype):
        return np.zeros(aval.shape, float0)
    return SymbolicZero(aval.strong()) if symbolic and t is ZERO else instantiate(t, aval)


def _cotangents(call: CustomCallArguments, found: Any, avals: Sequence[ShapedArray]) -> list[Any]:
    """What a backward rule returned, flat and checked."""
    children = call.treedef.children()
    kind = "backward"
    if not isinstance(found, (tuple, list)) or len(found) != len(children):
        count = f"{len(children)} differentiable argument{'s' * (len(children) != 1)}"
        raise CustomRuleError(
            f"The {kind} rule of `{call.name}` returned {_counted(found)} for {count}.",
            "It returns a tuple with one cotangent for each of them.",
            "Return a tuple, with None where the cotangent is zero.",
        )
    flat: list[Any] = []
    for place, child, cotangent in zip(call.places, children, found):
        if cotangent is None:
            flat += [ZERO] * child.num_leaves
            continue
        leaves, structure = tree.flatten(cotangent)
        check_structure(call.name, kind, "cotangent", structure, f"argument {place}", child)
        flat += leaves
    cotangents: list[Any] = []
    for i, (c, aval) in enumerate(zip(flat, avals, strict=True)):
        if c is ZERO or _is_zero(c, aval):
            cotangents.append(ZERO)
            continue
        c = _as_leaf(c)
        if not _fits(typeof(c), aval):
            raise _misfit(c, aval, call.name, kind, "cotangent", call.place(i))
        cotangents.append(unbroadcast(c, aval))
    return cotangents


def _counted(value: Any) -> str:
    """`3 values`, or what it is instead of a sequence."""
    if not isinstance(value, (tuple, list)):
        return f"an object of type {type(value).__name__}"
    return f"{len(value)} value{'s' * (len(value) != 1)}"


def _pair(value: Any, name: str, kind: str, wanted: str) -> tuple[Any, Any]:
    """What a rule returned, as the pair that it should be."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise CustomRuleError(
            f"The {kind} rule of `{name}` returned {_counted(value)} instead of a pair.",
            f"It returns `{wanted}`.",
            "Put the two into a tuple; a result of several arrays is one pytree.",
        )
    return value[0], value[1]


def check_structure(name: str, kind: str, what: str, found: Any, of: str, wanted: Any) -> None:
    """Raise CustomRuleError unless a derivative that a rule returned has the structure of its primal."""
    if found != wanted:
        raise CustomRuleError(
            f"The {kind} rule of `{name}` returned a {what} of structure {structure_text(found)} for {of} of structure "
            f"{structure_text(wanted)}.",
            "The two have the same structure.",
            f"Build the {what} with functrans.tree.map over {of}.",
        )


def _is_zero(t: Any, aval: ShapedArray) -> bool:
    """Whether there is no derivative: by type, or because the rule says so."""
    if not is_inexact(aval.dtype) or getattr(t, "dtype", None) == float0:
        return True
    return isinstance(t, SymbolicZero) and t.shape == aval.shape


def _fits(have: ShapedArray, want: ShapedArray) -> bool:
    """Whether a derivative has the type of its primal; Python scalars have any of their kind."""
    if have.shape != want.shape:
        return False
    return have.dtype == want.dtype or (
        (have.weak or want.weak) and can_cast(have.dtype, want.dtype, "same_kind")
    )


def _checked(t: Any, y: Any, name: str, kind: str, what: str, structure: Any, i: int) -> Any:
    """A tangent of the i-th result."""
    aval = typeof(y)
    if _is_zero(t, aval):
        return ZERO
    t = _as_leaf(t)
    if not _fits(typeof(t), aval):
        raise _misfit(t, aval, name, kind, what, f"result{describe_leaf(structure, i)}")
    return match(t, y)


def _as_leaf(t: Any) -> Any:
    return t if isinstance(t, SymbolicZero) else input_leaf(t)


def _misfit(t: Any, aval: ShapedArray, name: str, kind: str, what: str, place: str) -> CustomRuleError:
    """The error for a derivative that has not the type of its primal."""
    return CustomRuleError(
        f"The {kind} rule of `{name}` returned a {what} of type {typeof(t)} for {place} of type {aval}.",
        f"A {what} has the shape and dtype of its primal.",
        "Sum it over broadcast axes, or broadcast it; convert it with `.astype(...)`.",
    )
