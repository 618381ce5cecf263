"""jit: trace a function once for each signature, and run the program."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial, update_wrapper
from operator import attrgetter
from sys import modules
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from .. import tree
from ..compiler.backends.cpu.dispatch import native_call
from ..compiler.garbage import fewer_collections
from ..compiler.program import compile_jaxpr
from ..control.call import Call, call
from ..core.avals import told_apart
from ..core.devices import placed
from ..core.jaxpr import Jaxpr
from ..core.primitive import registry
from ..core.staging import trace_to_jaxpr
from ..core.trace import EVAL, Params, current_trace, named_axes, typeof
from ..errors import StaticArgumentError
from ..settings import changes, runs_python
from .arguments import FlatFunction, check_function, hides_internals, input_leaves, is_concrete, name_of, own_results
from .marked import Marked, check_apart, parameters_of
from .no_tangents import without_leaves
from .quick_calls import NO_CALLS, Static, quick_call
from .traces import clear_traces, traces_of

if TYPE_CHECKING:
    from .lowered import Lowered


#: How many traces of a function are kept; before it gets one more, the first is forgotten.
MOST_TRACES = 2048


class Staged(NamedTuple):
    """What tracing a function for one signature gave: a jaxpr, the tracers it captured, the structure of results.

    Attributes:
        donated: the numbers of the jaxpr's inputs that are donated.
    """

    jaxpr: Jaxpr
    captured: list[Any]
    out_tree: Any
    donated: tuple[int, ...]


class Signature(NamedTuple):
    """What a trace depends on: the static arguments, and structure and types of the others.

    Attributes:
        static: pairs of numbers and values, and pairs of names and values; nothing at all if none are declared.
    """

    static: tuple[tuple[Any, ...], ...]
    treedef: Any
    avals: tuple[Any, ...]
    axes: tuple[Any, ...]


class Jitted:
    """A function that is traced once for each signature of its arguments; made by `jit` and `checkpoint`.

    Args:
        primitive: what the trace is bound as when a transformation is under way, with parameters `params`.
    """

    __slots__ = ("__dict__", "__weakref__", "_quick")  # which machine code reads quicker than from a dictionary

    def __init__(
        self,
        fun: Callable[..., Any],
        static_argnums: int | Iterable[int] = (),
        static_argnames: str | Iterable[str] = (),
        donate_argnums: int | Iterable[int] = (),
        donate_argnames: str | Iterable[str] = (),
        primitive: Call = call,
        params: Params | None = None,
    ):
        self.transformation = "jit" if primitive is call else primitive.name
        check_function(fun, self.transformation)
        self.static = Marked.of("static", static_argnums, static_argnames)
        self.donated = Marked.of("donate", donate_argnums, donate_argnames)
        self.static.check(fun)
        self.donated.check(fun)
        check_apart(self.static, self.donated)
        update_wrapper(self, fun)
        self.fun = fun
        self.primitive = primitive
        self.params = params or {}
        self.name = name_of(fun)
        self._traces, self._staged = traces_of(fun, (primitive, self.static, self.donated))
        self._quick = NO_CALLS
        _everywhere.add(self)

    @cached_property
    def _parameters(self) -> tuple[str, ...]:
        return parameters_of(self.fun)

    def __repr__(self) -> str:
        return f"<{self.transformation} of {self.fun!r}>"

    def __reduce__(self) -> Any:
        """Copies and pickles are of the function and the options; what was traced and compiled stays here."""
        if _found_by_name(self):
            return self.__qualname__
        return _made_again, (self.fun, self.static, self.donated, self.primitive.name, self.params)

    def __get__(self, instance: Any, owner: Any) -> Any:
        """As a method: `self` is the first argument, to be marked as static unless it is a pytree."""
        return self if instance is None else partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(args, kwargs)

    @hides_internals
    def _call(self, args: Any, kwargs: Any) -> Any:
        if runs_python():
            return self.fun(*args, **kwargs)
        leaves, signature, rebuild = self._signature(args, kwargs)
        staged = self._stage(signature, rebuild)
        operands = [*staged.captured, *leaves]
        trace = current_trace.get()
        if trace is EVAL and is_concrete(operands):
            if staged.captured:  # arrays on a GPU
                with placed(operands, partial(self._name_of_operand, len(staged.captured))):
                    program = compile_jaxpr(staged.jaxpr, staged.donated)
                    return staged.out_tree.unflatten(own_results(program(*operands), operands, program.donated))
            program = compile_jaxpr(staged.jaxpr, staged.donated)
            results = own_results(program(*operands), operands, program.donated)
            if not changes.blocks:
                self._remember(args, kwargs, signature, program, leaves, staged.out_tree)
        else:
            params = {"jaxpr": staged.jaxpr, "name": self.name, **self.params}
            results = trace.process(self.primitive, operands, params)
        return staged.out_tree.unflatten(results)

    def _name_of_operand(self, captured: int, i: int) -> str:
        return f"an array that `{self.name}` closes over" if i < captured else f"argument {i - captured}"

    def _remember(
        self, args: Any, kwargs: Any, signature: Signature, program: Any, leaves: Sequence[Any], out_tree: Any
    ) -> None:
        """Keep a quicker way to the program that was just run, if there is one."""
        count = changes.count
        numbered, named = signature.static or ((), ())
        static = Static({i: v.value for i, v in numbered}, {name: v.value for name, v in named})
        found = quick_call(program, leaves, args, kwargs, signature.treedef, out_tree, static)
        if found is not None:
            self._quick = self._quick.with_one(found, bool(kwargs), count)
            if isinstance(Jitted.__call__, FunctionType):
                Jitted.__call__ = native_call(Jitted)  # from now on somebody has to look at `_quick`

    @hides_internals
    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """What a call with these arguments (arrays or ShapeDtypeStructs) would run, to look at.

        With `backend="cuda"`, unless the function itself takes an argument of this name, that is what would run on a
        GPU (`cuda`, `cubin`); there need not be one.

        Example:
            >>> import numpy as np, functrans as ft
            >>> ft.jit(lambda x: np.sin(x) * 2).lower(np.ones(3)).jaxpr
            { lambda a:f64[3] .
                b:f64[3] = sin a
                c:f64[3] = multiply b 2
              in (c) }
        """
        from .lowering import lowered_for  # there is much of it, and most programs are never looked at

        backend = None if takes_argument(self.fun, "backend") else kwargs.pop("backend", None)
        leaves, signature, rebuild = self._signature(args, kwargs)
        return lowered_for(self, self._stage(signature, rebuild), leaves, args, kwargs, signature, rebuild, backend)

    def staged_for(self, args: Any, kwargs: Any) -> Staged:
        """The trace for the signature of these arguments."""
        return self.flattened(args, kwargs)[1]

    def flattened(self, args: Any, kwargs: Any) -> tuple[list[Any], Staged]:
        """The arguments that are traced, as a list, and the trace for their signature."""
        leaves, signature, rebuild = self._signature(args, kwargs)
        return leaves, self._stage(signature, rebuild)

    def _signature(self, args: Any, kwargs: Any) -> tuple[list[Any], Signature, Callable[..., Any]]:
        if not self.static:
            leaves, treedef = tree.flatten((args, kwargs))
            static: Any = ()
        else:
            numbers, names = self.static.places(self._parameters, args, kwargs)
            static = (
                tuple((i, _static(args[i], f"argument {i}")) for i in numbers),
                tuple((name, _static(kwargs[name], f"argument {name!r}")) for name in names),
            )
            dynamic = tuple([a for i, a in enumerate(args) if i not in numbers])
            leaves, treedef = tree.flatten((dynamic, {k: v for k, v in kwargs.items() if k not in names}))
        leaves = input_leaves(leaves, partial(self._name_of_leaf, treedef, static))
        signature = Signature(static, treedef, tuple(map(typeof, leaves)), named_axes())
        return leaves, signature, partial(_merge_static, treedef, static)

    def _name_of_leaf(self, treedef: Any, static: Any, i: int) -> str:
        """What to call a leaf of the arguments that are not static."""
        kind, first, *inner = treedef.paths()[i]
        for number, _ in sorted(static[0]) if static and kind == 0 else ():
            first += number <= first
        name = f"{'argument' if kind == 0 else 'keyword argument'} {first}{''.join(f'[{entry!r}]' for entry in inner)}"
        return f"{name} of `{self.name}`"

    def _stage(self, signature: Signature, rebuild: Callable[..., Any]) -> Staged:
        staged = self._staged.get(signature)
        if staged is None:
            flat = FlatFunction(lambda *args, **kwargs: without_leaves(self.fun(*args, **kwargs)), rebuild, {}, False)

            def function(*leaves: Any) -> list[Any]:
                args, flat.kwargs = rebuild(leaves)
                flat.rebuild = lambda _: args
                return flat(*leaves)

            with fewer_collections():
                jaxpr, captured = trace_to_jaxpr(function, signature.avals)
            staged = Staged(jaxpr, captured, flat.out_tree, self._donated(signature, len(captured)))
            if is_concrete(captured):  # captured tracers belong to this call only
                if len(self._staged) >= MOST_TRACES:
                    self._staged.pop(next(iter(list(self._staged))), None)
                self._staged[signature] = staged
        return staged


    def _donated(self, signature: Signature, captured: int) -> tuple[int, ...]:
        """The numbers of the donated leaves, after so many inputs that are captured."""
        if not self.donated:
            return ()
        numbered = range(captured, captured + signature.treedef.num_leaves)
        args, kwargs = _merge_static(signature.treedef, signature.static, numbered)
        numbers, names = self.donated.places(self._parameters, args, kwargs)
        static_numbers, static_names = (dict(group) for group in signature.static or ((), ()))
        given = [args[i] for i in sorted(numbers) if i not in static_numbers]
        given += [kwargs[name] for name in names if name not in static_names]
        return tuple(sorted(tree.leaves(given)))


def _found_by_name(jitted: Jitted) -> bool:
    """Whether it is what a module has under its name, as with a decorator."""
    try:
        return attrgetter(jitted.__qualname__)(modules[jitted.__module__]) is jitted
    except (AttributeError, KeyError, TypeError):  # what it was made of has no name, or a local one
        return False


def _made_again(fun: Any, static: Marked, donated: Marked, primitive: str, params: Params) -> Jitted:
    options = (static.numbers, static.names, donated.numbers, donated.names)
    return Jitted(fun, *options, registry[primitive], params)


#: All that are alive.
_everywhere: WeakSet[Jitted] = WeakSet()


def takes_argument(fun: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of a name; also if nobody knows."""
    try:
        return name in inspect.signature(fun).parameters
    except (TypeError, ValueError):
        return True


def forget_traces() -> None:
    """Forget all traces, and the programs of the last calls."""
    clear_traces()
    for jitted in list(_everywhere):
        jitted._quick = NO_CALLS


def _merge_static(treedef: Any, static: Any, leaves: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = treedef.unflatten(leaves)
    if not static:
        return list(args), kwargs
    by_number, by_name = static
    merged = list(args)
    for number, value in sorted(by_number):
        merged.insert(number, value.value)
    return merged, {**kwargs, **{name: value.value for name, value in by_name}}


class _Static:
    """A static argument; equal to another only if types and zeros agree too (1 is not True, nor 1.0, nor 0.0 -0.0)."""

    __slots__ = ("hash", "key", "value")

    def __init__(self, value: Any):
        self.value = value
        self.key = type(value), told_apart(value)
        self.hash = hash(self.key)

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self.key == other.key

    def __lt__(self, other: _Static) -> bool:
        return False


def _static(value: Any, name: str) -> _Static:
    try:
        return _Static(value)
    except TypeError:
        raise StaticArgumentError(
            f"The static {name} of a jitted function is of type {type(value).__name__}, which is not hashable.",
            "Static arguments are part of the key under which a trace is kept.",
            "Pass a tuple instead of a list and a frozen dataclass instead of a dict, or let the argument be traced.",
        ) from None


def jit(
    fun: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    donate_argnums: int | Iterable[int] = (),
    donate_argnames: str | Iterable[str] = (),
) -> Any:
    """Trace a function once for each signature of its arguments, and run the resulting program from then on.

    A signature is the pytree structure, shapes and dtypes of the arguments, and the values of static ones. Python
    code of `fun` runs only while tracing; arrays it captures are constants of the program.

    Args:
        fun: a pure function of arrays, scalars and pytrees of them. May be left out, for use as a decorator with
            options.
        static_argnums, static_argnames: arguments that are known while tracing; they must be hashable.
        donate_argnums, donate_argnames: arguments whose memory the program may overwrite and hand out as results. After
            a call, also one that raises, nobody knows what is in them: NumPy has no way to make an array invalid, so
            that to look at one gives no error. A result of the same shape and dtype is the donated array itself, as
            with `out=` of NumPy's functions. The memory is reused where that is safe, else a copy is: read-only arrays,
            views, and arrays that share memory with another argument stay as they are. Means nothing under another
            transformation.

    Raises:
        ConcretizationError: `fun` needs the value of a traced array (`float`, `int`, `range`). It may use `if` on a
            traced value: both ways are traced (docs/python_if.md).
        TooManyPathsError: it uses `if` on traced values so often that there are too many ways to go.
        StaticArgumentError: a static argument is not hashable.
        UnsupportedDtypeError: an argument is not an array.

    Example:
        >>> import numpy as np, functrans as ft
        >>> @ft.jit
        ... def norm(x):
        ...     return np.sqrt(np.sum(x * x))
        >>> norm(np.array([3.0, 4.0]))
        np.float64(5.0)

        A donated argument is updated where it is:

        >>> @ft.jit(donate_argnames="params")
        ... def step(params, gradient):
        ...     return params - 0.5 * gradient
        >>> params = np.array([3.0, 4.0])
        >>> updated = step(params, np.array([2.0, 2.0]))
        >>> updated
        array([2., 3.])
        >>> updated is params
        True
    """
    if fun is None:
        return partial(
            jit,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            donate_argnums=donate_argnums,
            donate_argnames=donate_argnames,
        )
    return Jitted(fun, static_argnums, static_argnames, donate_argnums, donate_argnames)
