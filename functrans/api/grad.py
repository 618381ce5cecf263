"""Derivatives: jvp, linearize, vjp, linear_transpose, grad, value_and_grad."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import compress
from threading import RLock
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..core.avals import ZERO, ShapeDtypeStruct
from ..core.devices import CUPY, UNCHANGED, is_on_device, place_of
from ..core.dtypes import kind_of
from ..core.interning import likeness
from ..core.jaxpr import Atom, Eqn, Jaxpr, Var, eval_jaxpr, literal, prune, substitute
from ..core.snapshot import Snapshots
from ..core.trace import current_trace, typeof
from ..core.tracer import Tracer
from ..errors import NonDifferentiableError, NonScalarOutputError, PytreeMismatchError
from ..transforms.forward import JVPTrace, jvp_flat, run_jvp
from ..transforms.partial_eval import PartialEvalTrace, UnknownTracer, close_over_residuals, partial_eval_flat
from ..transforms.transpose import backward_pass
from ..tree import structure_text
from ..tree_util import register_pytree_node
from .arguments import (
    FlatFunction,
    check_same_structure,
    check_tangent,
    describe_leaf,
    differentiated_name,
    hides_internals,
    input_leaf,
    input_leaves,
    name_of,
    own_results,
    positional_name,
    result_tangent,
    select_arguments,
    wraps_function,
)


class LinearProgram:
    """A recorded program from tangents to tangents.

    Attributes:
        inputs: a variable for each operand; None where there is no tangent.
        outputs: an atom for each result; ZERO where there is no tangent.
    """

    __slots__ = ("eqns", "inputs", "outputs")

    def __init__(self, eqns: Sequence[Eqn], inputs: Sequence[Any], outputs: Sequence[Any]):
        self.eqns, self.inputs, self.outputs = eqns, inputs, outputs

    def residuals(self) -> list[Any]:
        """What it keeps of the point where it was recorded."""
        return [a.value for eqn in self.eqns for a in eqn.inputs if type(a) is not Var]

    def place(self) -> AbstractContextManager[None]:
        """A `with` block in which new arrays are made where the function was run."""
        return place_of(self.residuals()) if CUPY in sys.modules else UNCHANGED

    @np.errstate(all="ignore")
    def pull_back(self, cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the primals, some of them ZERO."""
        return backward_pass(self.eqns, self.inputs, self.outputs, cotangents)

    @np.errstate(all="ignore")
    def push_forward(self, tangents: Sequence[Any]) -> list[Any]:
        """Tangents of the results, some of them ZERO."""
        outputs = [a for a in self.outputs if a is not ZERO]
        pairs = [(v, t) for v, t in zip(self.inputs, tangents) if v is not None]
        jaxpr = Jaxpr([v for v, _ in pairs], prune(self.eqns, outputs), outputs)
        found = iter(eval_jaxpr(jaxpr, *(t for _, t in pairs)))
        return [ZERO if a is ZERO else next(found) for a in self.outputs]


class Linearized(LinearProgram):
    """A function run forwards at one point: its results, and the linear program from tangents to tangents."""

    __slots__ = ("_on_device", "is_staged", "primals", "results")

    def __init__(self, function: Callable[..., Sequence[Any]], primals: Sequence[Any]):
        trace = PartialEvalTrace(current_trace.get())
        tangents: list[Any] = []
        inputs: list[Any] = []
        for p in primals:
            aval = typeof(p)
            tangent = UnknownTracer(trace, aval) if _is_of(aval.dtype, "fc") else ZERO
            tangents.append(tangent)
            inputs.append(None if tangent is ZERO else tangent.atom)
        results, out_tangents = run_jvp(JVPTrace(trace, trace.user_arrays), function, primals, tangents)
        self.results = trace.without_cells(results)
        self.primals = primals
        self.is_staged = trace.is_staged
        outputs = [ZERO if tangent is ZERO else trace.atom(tangent) for tangent in out_tangents]
        super().__init__(trace.eqns, inputs, outputs)
        on_device = filter(is_on_device, [*primals, *self.results]) if CUPY in sys.modules else iter(())
        self._on_device = next(on_device, None)

    def freeze(self) -> None:
        """Keep what the tracers of enclosing transformations hold now: they may be assigned into later."""
        twins: dict[int, Any] = {}

        def frozen(atom: Atom) -> Atom:
            if type(atom) is Var or not isinstance(atom.value, Tracer):
                return atom
            return twins.setdefault(id(atom.value), literal(atom.value.twin()))

        self.eqns = [eqn._replace(inputs=[frozen(a) for a in eqn.inputs]) for eqn in self.eqns]

    def forget_point(self) -> None:
        """Hold no arrays from now on but those that the program needs: it may be kept for long."""
        del self.primals, self.results

    def place(self) -> AbstractContextManager[None]:
        return place_of([self._on_device]) if CUPY in sys.modules else UNCHANGED


class LeafTypes(NamedTuple):
    """A structure, and types of its leaves."""

    treedef: Any
    avals: list[Any]


class Types(NamedTuple):
    """What is known of a function at a point: its name, and what it took and returned.

    Attributes:
        aux: how many results more have no derivative.
    """

    name: str
    of_primals: LeafTypes
    of_results: LeafTypes
    aux: int = 0

    def key(self) -> Any:
        """The same, to be a part of keys."""
        sides = [(side.treedef, tuple(side.avals)) for side in (self.of_primals, self.of_results)]
        return self.name, *sides, self.aux


class ClosedProgram:
    """A linear program without what it keeps of the point: the structure of the linear functions that are pytrees.

    Those of one function at several points are equal, so that who is jitted is traced for the first only.
    """

    __slots__ = ("_key", "inputs", "is_input", "is_output", "jaxpr", "types")

    def __init__(self, jaxpr: Jaxpr, is_input: Sequence[bool], is_output: Sequence[bool], types: Types):
        self.jaxpr, self.is_input, self.is_output, self.types = jaxpr, tuple(is_input), tuple(is_output), types
        own = iter(jaxpr.inputs[len(jaxpr.inputs) - sum(is_input) :])
        self.inputs = [next(own) if is_ else None for is_ in is_input]
        self._key: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return ClosedProgram, (self.jaxpr, self.is_input, self.is_output, self.types)

    def __deepcopy__(self, memo: Any) -> ClosedProgram:
        return self

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, ClosedProgram) and self.key() == other.key())

    def __hash__(self) -> int:
        return hash(self.key())

    def key(self) -> Any:
        """What equal ones have in common."""
        if self._key is None:
            alike = likeness(self.jaxpr)
            self._key = (id(self) if alike is None else alike, self.is_input, self.is_output, self.types.key())
        return self._key

    def at(self, residuals: Sequence[Any]) -> LinearProgram:
        """The program with what is kept of a point."""
        given = dict(zip(self.jaxpr.inputs, map(literal, residuals)))
        outputs = iter([given.get(a, a) if type(a) is Var else a for a in self.jaxpr.outputs])
        return LinearProgram(
            substitute(self.jaxpr.eqns, given), self.inputs, [next(outputs) if is_ else ZERO for is_ in self.is_output]
        )


#: Held while a linear function gets its structure.
_closing = RLock()


class LinearFunction:
    """A linear function of tangents or cotangents, at the point where it was made.

    It is a pytree of what it keeps of that point: jitted and mapped functions may return it, and rules may keep it.
    """

    __slots__ = ("__weakref__", "_closed", "_program", "_residuals", "_types")

    def __init__(self, program: LinearProgram, types: Types):
        self._program: LinearProgram | None = program
        self._types = types
        self._closed: ClosedProgram | None = None

    @classmethod
    def of_leaves(cls, closed: ClosedProgram, residuals: Sequence[Any]) -> LinearFunction:
        """The function of this structure; the leaves may be anything, until it is called."""
        self = object.__new__(cls)
        self._program, self._types, self._closed, self._residuals = None, closed.types, closed, residuals
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        residuals, closed = self.flattened()
        return type(self).of_leaves, (closed, residuals)

    def flattened(self) -> tuple[Sequence[Any], ClosedProgram]:
        """The leaves and the structure, which is the same each time, and in each thread."""
        if self._closed is None:
            with _closing:
                if self._closed is None:
                    self._close()
        assert self._closed is not None
        return self._residuals, self._closed

    def _close(self) -> None:
        program = self._opened()
        is_input = [v is not None for v in program.inputs]
        is_output = [a is not ZERO for a in program.outputs]
        inputs, outputs = compress(program.inputs, is_input), compress(program.outputs, is_output)
        jaxpr, self._residuals = close_over_residuals(program.eqns, list(inputs), list(outputs), numbers=True)
        self._closed = ClosedProgram(jaxpr, is_input, is_output, self._types)

    def _opened(self) -> LinearProgram:
        if self._program is None:
            assert self._closed is not None
            self._program = self._closed.at(self._residuals)
        return self._program

    def _run(self, operand: Any, taken: LeafTypes, returned: LeafTypes, what: str) -> Any:
        """What comes of a pytree of tangents or cotangents (`what`), if that and the result are to be like these."""
        program = self._opened()
        leaves, structure = tree.flatten(operand)
        if structure != taken.treedef:
            raise self._call_error(f"{what}s of structure {structure_text(structure)}")

        pairs = enumerate(zip(leaves, taken.avals))
        checked = [check_tangent(x, aval, what, partial(self._place, i)) for i, (x, aval) in pairs]
        with program.place():
            found = list(map(result_tangent, self._apply(program, checked), returned.avals))
        return returned.treedef.unflatten(own_results(found, [*leaves, *program.residuals()]))

    def _apply(self, program: LinearProgram, operands: list[Any]) -> list[Any]:
        """The program, applied to tangents or cotangents, some of them ZERO; and so are some of the results."""
        raise NotImplementedError

    def _place(self, i: int) -> str:
        """Of what the i-th tangent or cotangent is."""
        raise NotImplementedError

    def _call_error(self, given: str) -> PytreeMismatchError:
        """The error for operands that it does not take."""
        raise NotImplementedError


class PushForward(LinearFunction):
    """The tangent of the value, for tangents of the primals: at the point where the function was linearized."""

    __slots__ = ()

    @hides_internals
    def __call__(self, *tangents: Any, **named: Any) -> Any:
        types = self._types
        if named:
            raise self._call_error("keyword arguments")
        return self._run(tangents, types.of_primals, types.of_results, "tangent")

    def _apply(self, program: LinearProgram, tangents: list[Any]) -> list[Any]:
        return program.push_forward(list(map(result_tangent, tangents, self._types.of_primals.avals)))

    def _place(self, i: int) -> str:
        return f"{_of_argument(self._types.of_primals.treedef, i)} of `{self._types.name}`"

    def _call_error(self, given: str) -> PytreeMismatchError:
        types = self._types
        return PytreeMismatchError(
            f"The derivative of `{types.name}` at a point was called with {given}; it takes tangents of structure "
            f"{structure_text(types.of_primals.treedef)}.",
            f"There is one for each positional argument that `{types.name}` was given there, and like it.",
            "Call it as `f_jvp(*tangents)`, with tangents like the primals.",
        )


class PullBack(LinearFunction):
    """The cotangents of the primals, for a pytree of cotangents like the value: at the point of the call of vjp."""

    __slots__ = ()

    @hides_internals
    def __call__(self, *cotangents: Any, **named: Any) -> Any:
        types = self._types
        if named or len(cotangents) != 1:
            raise self._call_error("keyword arguments" if named else f"{len(cotangents)} arguments")
        return self._run(cotangents[0], types.of_results, types.of_primals, "cotangent")

    def _apply(self, program: LinearProgram, cotangents: list[Any]) -> list[Any]:
        return program.pull_back([*cotangents, *[ZERO] * self._types.aux])

    def _place(self, i: int) -> str:
        return f" of the result{describe_leaf(self._types.of_results.treedef, i)} of `{self._types.name}`"

    def _call_error(self, given: str) -> PytreeMismatchError:
        types = self._types
        return PytreeMismatchError(
            f"The transposed derivative of `{types.name}` at a point was called with {given}; it takes one pytree of "
            f"cotangents, of structure {structure_text(types.of_results.treedef)}.",
            f"There is one for each array that `{types.name}` returned there, and like it.",
            "Call it as `f_vjp(cotangents)`, with cotangents like the value: `f_vjp((a, b))` if that is a pair.",
        )


for _kind in (PushForward, PullBack):
    register_pytree_node(_kind, LinearFunction.flattened, _kind.of_leaves)


def value_and_grad(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """A function that returns the value of `fun` and its gradient.

    Arguments, gradient and errors are those of `grad`. With `has_aux` it returns `((value, aux), gradient)`.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
        (np.float64(5.0), array([2., 4.]))
    """

    @wraps_function(fun, "value_and_grad")
    @hides_internals
    def value_and_grad_fun(*args: Any, **kwargs: Any) -> Any:
        value, gradient, aux = _value_grad_aux(fun, argnums, has_aux, holomorphic, args, kwargs)
        return ((value, aux), gradient) if has_aux else (value, gradient)

    return value_and_grad_fun


def grad(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of `fun` (reverse mode).

    Args:
        fun: takes arrays, scalars or pytrees of them, and returns one real scalar (with `has_aux`, a pair of that
            and anything else).
        argnums: the positional argument to differentiate by, or several.
        has_aux: whether `fun` returns `(value, aux)`; the result is then `(gradient, aux)`.
        holomorphic: whether `fun` is complex differentiable; its arguments and value are then complex.

    Returns:
        A function of the same arguments. The gradient has the structure, shapes and dtypes of the argument, or is a
        tuple with one for each of several `argnums`. Complex gradients follow JAX: for a real loss, the conjugate of
        the direction of steepest ascent.

    Raises:
        NonScalarOutputError: the value is not a real scalar.
        NonDifferentiableError: an argument or the value is an integer, boolean or no array.
        ArgumentIndexError: argnums is out of range.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.grad(np.sin)(0.0)
        np.float64(1.0)
        >>> ft.grad(ft.grad(lambda x: x**3))(2.0)
        np.float64(12.0)
    """

    @wraps_function(fun, "grad")
    @hides_internals
    def grad_fun(*args: Any, **kwargs: Any) -> Any:
        _, gradient, aux = _value_grad_aux(fun, argnums, has_aux, holomorphic, args, kwargs)
        return (gradient, aux) if has_aux else gradient

    return grad_fun


def _value_grad_aux(
    fun: Callable[..., Any], argnums: Any, has_aux: bool, holomorphic: bool, args: Any, kwargs: Any
) -> tuple[Any, Any, Any]:
    selected = select_arguments(args, argnums)
    primals = input_leaves(selected.leaves, partial(differentiated_name, argnums, selected.treedef))
    avals = list(map(typeof, primals))
    _check_gradient_inputs(avals, selected.treedef, argnums, holomorphic)
    flat = FlatFunction(fun, selected.rebuild, kwargs, has_aux)
    linearized = Linearized(flat, primals)
    results, aux = flat.split(linearized.results)
    value = _check_gradient_output(results, flat.out_tree, holomorphic)
    seed = typeof(value).dtype.type(1)
    with linearized.place():
        cotangents = linearized.pull_back([seed] + [ZERO] * len(aux))
        gradients = list(map(result_tangent, cotangents, avals))
    gradient = selected.treedef.unflatten(own_results(gradients, primals))
    return value, gradient, flat.aux_tree.unflatten(aux) if has_aux else None


def _is_of(dtype: np.dtype[Any], kinds: str) -> bool:
    """Whether a dtype is of one of some kinds; the usual ones are found at once, on the way of every gradient."""
    return dtype.kind in kinds or kind_of(dtype) in kinds


def _check_gradient_inputs(avals: list[Any], treedef: Any, argnums: Any, holomorphic: bool) -> None:
    for position, aval in enumerate(avals):
        if not _is_of(aval.dtype, "c" if holomorphic else "fc"):
            raise _gradient_input_error(aval, treedef, position, argnums, holomorphic)


def _gradient_input_error(aval: Any, treedef: Any, position: int, argnums: Any, holomorphic: bool) -> Exception:
    name = differentiated_name(argnums, treedef, position)
    if holomorphic:
        return NonDifferentiableError(
            f"With holomorphic=True, {name} must be complex, but it is {aval}.",
            "A holomorphic derivative is taken by a complex variable.",
            "Convert it with `.astype(complex)`, or leave holomorphic out.",
        )
    return NonDifferentiableError(
        f"The gradient with respect to {name} was asked for, which is {aval}.",
        "Integers and booleans do not vary continuously: they have no derivative.",
        "Pass a float (`2.0` instead of `2`, or `x.astype(float)`), or choose other arguments with argnums.",
    )


def _check_gradient_output(results: list[Any], out_tree: Any, holomorphic: bool) -> Any:
    wanted = "one complex scalar" if holomorphic else "one real scalar"
    if len(results) != 1 or out_tree.num_nodes != 1:
        count = f"{len(results)} output{'s' * (len(results) != 1)}, in the structure {structure_text(out_tree)},"
        raise NonScalarOutputError(
            f"The gradient of a function with {count if results else 'no output'} was asked for.",
            f"grad wants {wanted}.",
            "Return the loss only, use has_aux=True for a pair (loss, aux), or use jacobian or vjp."
            if results
            else "Return the loss; a function without `return` returns None.",
        )
    value = input_leaf(results[0])
    aval = typeof(value)
    if aval.shape != ():
        raise NonScalarOutputError(
            f"The gradient of an output of shape {aval.shape} was asked for.",
            f"grad wants {wanted}.",
            "Reduce the output (np.sum, np.mean), or use jacrev, jacfwd or vjp.",
        )
    if not _is_of(aval.dtype, "c" if holomorphic else "f"):
        raise NonDifferentiableError(
            f"The gradient of an output of type {aval} was asked for.",
            f"grad wants {wanted}.",
            "Take np.real or np.abs of it, or set holomorphic=True."
            if aval.dtype.kind == "c"
            else "Integers and booleans (of np.argmax, comparisons, `astype(int)`) have no derivative: return a float.",
        )
    return value


def _of_argument(treedef: Any, position: int) -> str:
    return f" of {positional_name(treedef, position)}"


@hides_internals
def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """The value of `fun` at `primals`, and its derivative in the direction `tangents` (forward mode).

    Args:
        primals, tangents: tuples with one entry for each positional argument; tangents have the structure, shapes
            and dtypes of the primals (functrans.float0 for integers).
        has_aux: whether `fun` returns `(value, aux)`; the result is then `(value, tangent, aux)`.

    Raises:
        PytreeMismatchError, ShapeMismatchError, DtypeMismatchError: tangents do not fit the primals.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.0))
        (6.0, 3.0)
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise TypeError("primals and tangents of jvp are tuples with one entry for each positional argument of fun")
    leaves, treedef = tree.flatten(tuple(primals))
    tangent_leaves, tangent_tree = tree.flatten(tuple(tangents))
    check_same_structure(tangent_tree, treedef, "tangents", "primals")
    leaves = input_leaves(leaves, partial(positional_name, treedef))
    directions = [
        check_tangent(t, typeof(p), "tangent", partial(_of_argument, treedef, i))
        for i, (t, p) in enumerate(zip(tangent_leaves, leaves))
    ]
    flat = FlatFunction(fun, treedef.unflatten, {}, has_aux)
    results, out_tangents = jvp_flat(flat, leaves, directions)
    values, aux = flat.split(results)
    out = [result_tangent(t, typeof(y)) for y, t in zip(values, out_tangents)]
    out = own_results(out, [*leaves, *tangent_leaves, *values])
    pair = flat.out_tree.unflatten(values), flat.out_tree.unflatten(out)
    return (*pair, flat.aux_tree.unflatten(aux)) if has_aux else pair


@hides_internals
def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of `fun`, and its derivative at that point as a linear function.

    What does not depend on the tangent is computed once, so that many directions at one point are cheap.

    Returns:
        `(value, f_jvp)`, with has_aux `(value, f_jvp, aux)`; `f_jvp(*tangents)` is `jvp(fun, primals, tangents)[1]`.
        Like that of `vjp`, the function is a pytree.

    Example:
        >>> import numpy as np, functrans as ft
        >>> y, f_jvp = ft.linearize(np.sin, 0.0)
        >>> f_jvp(2.0)
        np.float64(2.0)
    """
    linearized, types, value, aux = _linearized(fun, primals, has_aux)
    f_jvp = PushForward(linearized, types)
    return (value, f_jvp, aux) if has_aux else (value, f_jvp)


@hides_internals
def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of `fun`, and the function from cotangents of it to cotangents of the primals (reverse mode).

    Returns:
        `(value, f_vjp)`, with has_aux `(value, f_vjp, aux)`. `f_vjp` takes one pytree like the value, and returns a
        tuple with one cotangent for each primal (dtype functrans.float0 for integers). It is a pytree of what it keeps
        of the point: jitted and mapped functions may return and take it, and a custom_vjp may keep it.

    Raises:
        PytreeMismatchError, ShapeMismatchError, DtypeMismatchError: a cotangent does not fit the value.

    Example:
        >>> import numpy as np, functrans as ft
        >>> y, f_vjp = ft.vjp(lambda x, y: x * y, 2.0, 3.0)
        >>> f_vjp(1.0)
        (3.0, 2.0)
    """
    linearized, types, value, aux = _linearized(fun, primals, has_aux)
    f_vjp = PullBack(linearized, types)
    return (value, f_vjp, aux) if has_aux else (value, f_vjp)


def _linearized(fun: Callable[..., Any], primals: Any, has_aux: bool) -> tuple[Linearized, Types, Any, Any]:
    """Run forwards on copies of the primals: the caller may overwrite them before the derivative is used."""
    leaves, treedef = tree.flatten(primals)
    snapshots = Snapshots()
    flat = FlatFunction(fun, treedef.unflatten, {}, has_aux)
    given = input_leaves(leaves, partial(positional_name, treedef))
    linearized = Linearized(flat, list(map(snapshots.of, given)))
    if linearized.is_staged:
        linearized.freeze()
    results, aux = flat.split(linearized.results)
    of_primals = LeafTypes(treedef, list(map(typeof, linearized.primals)))
    of_results = LeafTypes(flat.out_tree, list(map(typeof, results)))
    types = Types(name_of(fun), of_primals, of_results, len(aux))
    value = flat.out_tree.unflatten(own_results(list(results), linearized.residuals()))
    linearized.forget_point()
    return linearized, types, value, flat.aux_tree.unflatten(aux) if has_aux else None


@hides_internals
def linear_transpose(fun: Callable[..., Any], *primals: Any) -> Callable[..., Any]:
    """The transpose of a function that is linear in all of its arguments.

    Args:
        primals: arrays, or ShapeDtypeStructs: only their types matter.

    Returns:
        A function from a cotangent (a pytree like the result of `fun`) to a tuple of cotangents of the arguments.

    Raises:
        TransposeError: `fun` is not linear.

    Example:
        >>> import numpy as np, functrans as ft
        >>> ft.linear_transpose(lambda x: 3.0 * x, 1.0)(2.0)
        (6.0,)
    """
    leaves, treedef = tree.flatten(primals)
    avals = [x.aval if isinstance(x, ShapeDtypeStruct) else typeof(input_leaf(x)) for x in leaves]
    flat = FlatFunction(fun, treedef.unflatten, {}, False)
    trace, inputs, outs = partial_eval_flat(flat, avals)
    atoms = [trace.atom(out) for out in outs]
    program = LinearProgram(trace.eqns, [x.atom for x in inputs], atoms)
    of_results = LeafTypes(flat.out_tree, [a.aval for a in atoms])
    return PullBack(program, Types(name_of(fun), LeafTypes(treedef, avals), of_results))
