"""Arguments on their way in and results on their way out: flattening, names, checks and copies for all of the API."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .. import tree
from ..compiler.program import fault_of_kernel
from ..core.avals import ZERO, ShapedArray, float0, is_inexact
from ..core.cells import check_not_stale
from ..core.devices import CUPY, copied, is_device_type, placed
from ..core.dtypes import can_cast, kind_of
from ..core.libraries import about_scipy, hidden_by
from ..core.paths import Leaves
from ..core.trace import Traced, as_supported_array, typeof
from ..core.tracer import Tracer
from ..errors import (
    ArgumentIndexError,
    ConcretizationError,
    DtypeMismatchError,
    FunctransError,
    PytreeMismatchError,
    ShapeMismatchError,
    TracerConversionError,
    UnsupportedDtypeError,
)
from ..primitives.foundation import convert, zeros
from ..source import library_frames_of, user_traceback
from ..tree import paths, structure_text
from ..tree_util import keystr

F = TypeVar("F", bound=Callable[..., Any])
#: What most results are, and may be.
_USUAL = (Traced, np.ndarray, np.number, np.bool, int, float, complex)


def hides_internals(function: F) -> F:
    """Let exceptions out of a public function without the frames of the library.

    What it makes out of nothing belongs where the arrays among its arguments are.
    """
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount]
    is_method = parameters[:1] == ("self",)
    is_packed = "args" in parameters and "kwargs" in parameters

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            if CUPY not in sys.modules:
                return function(*args, **kwargs)
            with place_of_arguments(*args[1:]) if is_packed else place_of_arguments(args[is_method:], kwargs):
                return function(*args, **kwargs)
        except Exception as error:
            raise _for_users(error)  # noqa: B904

    return wrapper


def hides_frames(function: F) -> F:
    """Let exceptions out of a public function, whose arguments may be anywhere, without the frames of the library."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise _for_users(error)  # noqa: B904

    return wrapper


def _for_users(error: Exception) -> Exception:
    """What users see of an error."""
    shown = fault_of_kernel(_behind_their_words(error))
    return shown.with_traceback(user_traceback(error.__traceback__))


def place_of_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> AbstractContextManager[None]:
    """A `with` block in which new arrays are made where those among some arguments are.

    Raises:
        DeviceMismatchError: these are not all in one place.
    """
    leaves, treedef = tree.flatten((args, kwargs))
    return placed(leaves, lambda i: argument_name(treedef, i))


def argument_name(treedef: Any, position: int) -> str:
    """What to call a leaf of `(args, kwargs)`: `argument 0['w']`."""
    kind, *path = treedef.paths()[position]
    inner = "".join(f"[{entry!r}]" for entry in path[1:])
    return f"{'argument' if kind == 0 else 'keyword argument'} {path[0]}{inner}"


def _behind_their_words(error: Exception) -> Exception:
    """Our error, where NumPy or SciPy replaced it by one that says nothing; where ours is lost, theirs gets a note."""
    ours = hidden_by(error)
    if ours is not None:
        return ours
    if isinstance(error, FunctransError):
        return error
    is_iterator = str(error).startswith("Iterator operand is flagged as")
    note = about_scipy(library_frames_of(error)) or (_NO_ITERATOR if is_iterator else "")
    if note and not hasattr(error, "__notes__"):
        error.add_note(f"If a traced value was involved: {note}")
    return error


_NO_ITERATOR = "np.nditer does not take it. Loop over np.ndindex(x.shape) and read x[i], or over x.flat."


def check_function(fun: Any, taker: str) -> None:
    """Refuse what cannot be called.

    Raises:
        TypeError: fun is no function.
    """
    if not callable(fun):
        raise TypeError(f"{taker} expects a function, not {type(fun).__name__}")


def name_of(fun: Any) -> str:
    """What messages call a function."""
    return getattr(fun, "__name__", type(fun).__name__)


def wraps_function(fun: Any, transformation: str) -> Any:
    """`functools.wraps`, for what can be called only.

    Raises:
        TypeError: fun is no function.
    """
    check_function(fun, transformation)
    return wraps(fun)


class FlatFunction:
    """A function of flat leaves: rebuilds the pytrees it was written for, and flattens what it returns.

    Attributes:
        out_tree: the structure of the result, once it has been called.
        aux: what came back beside the result, with `has_aux`, as flat leaves; `aux_tree` its structure.
    """

    __slots__ = ("aux_count", "aux_tree", "function", "has_aux", "kwargs", "out_tree", "rebuild")

    def __init__(
        self, function: Callable[..., Any], rebuild: Callable[[Sequence[Any]], Any], kwargs: Any, has_aux: bool
    ):
        self.function = function
        self.rebuild = rebuild
        self.kwargs = kwargs
        self.has_aux = has_aux

    def __call__(self, *leaves: Any) -> list[Any]:
        out = self.function(*self.rebuild(leaves), **self.kwargs)
        flat_aux: list[Any] = []
        if self.has_aux:
            out, aux = _result_and_aux(out)
            flat_aux, self.aux_tree = tree.flatten(aux)
        flat, self.out_tree = tree.flatten(out)
        if not all(isinstance(y, _USUAL) for y in flat):
            _name_unsupported(flat, lambda i: f"in the result of the function{at(describe_leaf(self.out_tree, i))}")
        self.aux_count = len(flat_aux)
        results = Leaves(flat + flat_aux)
        results.structure = (self.out_tree, self.aux_tree) if self.has_aux else (self.out_tree,)
        check_not_stale(results, "return")
        return results

    def split(self, leaves: list[Any]) -> tuple[list[Any], list[Any]]:
        """Leaves of the result and of aux."""
        count = len(leaves) - self.aux_count
        return leaves[:count], leaves[count:]


def at(place: str) -> str:
    """Where in a pytree something stands, as the end of a sentence."""
    return f", at {place}" if place else ""


def _result_and_aux(out: Any) -> tuple[Any, Any]:
    if isinstance(out, tuple) and len(out) == 2:
        return out
    raise PytreeMismatchError(
        f"With has_aux=True the function must return a pair (result, aux), but it returned {type(out).__name__}.",
        "The second element is passed through without being differentiated.",
        "Return `(result, aux)`, or leave has_aux out.",
    )


class Selected(NamedTuple):
    """The arguments that a transformation is about, flat, and the way back to all of them."""

    leaves: list[Any]
    treedef: Any
    rebuild: Callable[[Sequence[Any]], Any]


def select_arguments(args: tuple[Any, ...], argnums: int | Sequence[int]) -> Selected:
    """Pick positional arguments by number; one number stands for the argument itself, several for a tuple."""
    if isinstance(argnums, (int, np.integer)):
        return _one_argument(args, normalize_argnums((argnums,), len(args), "argnums")[0])
    numbers = normalize_argnums(argnums, len(args), "argnums")
    leaves, treedef = tree.flatten(tuple(args[i] for i in numbers))

    def rebuild(flat: Sequence[Any]) -> list[Any]:
        everything = list(args)
        for i, value in zip(numbers, treedef.unflatten(flat)):
            everything[i] = value
        return everything

    return Selected(leaves, treedef, rebuild)


def _one_argument(args: tuple[Any, ...], number: int) -> Selected:
    leaves, treedef = tree.flatten(args[number])

    def rebuild(flat: Sequence[Any]) -> list[Any]:
        return [*args[:number], treedef.unflatten(flat), *args[number + 1 :]]

    return Selected(leaves, treedef, rebuild)


def normalize_argnums(argnums: Iterable[int], count: int, name: str) -> tuple[int, ...]:
    """Non-negative argument numbers.

    Raises:
        ArgumentIndexError: a number is out of range, not an integer, or there twice.
    """
    result: list[int] = []
    for number in argnums if hasattr(argnums, "__iter__") else (argnums,):
        if not isinstance(number, (int, np.integer)) or not -count <= number < count:
            raise ArgumentIndexError(
                f"{name}={number!r} names an argument that is not there.",
                f"There {'is' if count == 1 else 'are'} {count} positional argument{'s' * (count != 1)}; keyword "
                "arguments have no number.",
                "Pass the argument by position, or correct the number.",
            )
        if number % count in result:
            raise ArgumentIndexError(
                f"{name}={argnums!r} names an argument twice.",
                "Each argument can be chosen once.",
                "Leave out the repetition.",
            )
        result.append(int(number) % count)
    return tuple(result)


def describe_leaf(treedef: Any, position: int) -> str:
    """Where in a pytree a leaf stands, as one would write it: `['w'][0]`; nothing for a bare leaf.

    That takes as long as there are leaves: for messages, once one is needed.
    """
    return keystr(paths(treedef)[position])


def no_name() -> str:
    """What to call something that has no name of its own."""
    return ""


def input_leaf(x: Any) -> Any:
    """An argument as something to compute with: base-class arrays, scalars, and tracers.

    Raises:
        UnsupportedDtypeError: it is not an array of a supported dtype.
    """
    x = as_supported_array(x)
    return np.asarray(x) if isinstance(x, np.ndarray) and type(x) is not np.ndarray else x


def input_leaves(leaves: Sequence[Any], place: Callable[[int], str]) -> list[Any]:
    """Arguments as `input_leaf` has them.

    Args:
        place: says which one the i-th is, for the message.

    Raises:
        UnsupportedDtypeError: one is not an array of a supported dtype.
    """
    try:
        return list(map(input_leaf, leaves))
    except UnsupportedDtypeError:
        _name_unsupported(leaves, place)
        raise


def _name_unsupported(leaves: Sequence[Any], place: Callable[[int], str]) -> None:
    """Raise UnsupportedDtypeError for the first of some values that is not an array of a supported dtype."""
    for i, x in enumerate(leaves):
        try:
            as_supported_array(x)
        except UnsupportedDtypeError as error:
            raise UnsupportedDtypeError(f"{error.what} It is {place(i)}.", error.why, error.repair) from None


def differentiated_name(argnums: Any, treedef: Any, position: int) -> str:
    """What to call a leaf of the arguments that are differentiated: `argument 0['w']`."""
    return f"argument {argnums}{describe_leaf(treedef, position)}"


def positional_name(treedef: Any, position: int) -> str:
    """What to call a leaf of a tuple of arguments: `argument 0['w']`."""
    first, *inner = paths(treedef)[position]
    return f"argument {keystr([first], simple=True)}{keystr(inner)}"


def result_tangent(t: Any, aval: ShapedArray) -> Any:
    """A tangent or cotangent for the user: an array where it is ZERO, float0 for integers and booleans."""
    if t is not ZERO and aval.dtype.kind in "fc":
        return t  # at once, as most are
    if not is_inexact(aval.dtype):
        return np.zeros(aval.shape, float0)
    return zeros(aval) if t is ZERO else t


def own_results(results: list[Any], inputs: Sequence[Any], donated: Collection[int] = ()) -> list[Any]:
    """Results that their receiver may write to: copies of those that share memory with another or with an input.

    Traced ones are copied in any case, which takes nothing but a tracer: they may be what the function closes over.

    Args:
        donated: the numbers of inputs whose memory may be handed out.
    """
    taken: set[int] = set()
    for i, x in enumerate(inputs):
        if i in donated:
            continue
        if type(x) is np.ndarray or is_device_type(type(x)):
            taken.add(id(_owner(x)))
    for i, result in enumerate(results):
        is_host = type(result) is np.ndarray
        if is_host or is_device_type(type(result)):
            owner = _owner(result)
            if id(owner) in taken or (is_host and not result.flags.writeable):
                results[i] = owner = copied(result)
            taken.add(id(owner))
        elif isinstance(result, Tracer):
            results[i] = result.twin()
    return results


def gives_its_own(function: F) -> F:
    """Let an array, or several, that a function returns share no memory with its arguments, nor with each other."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        inputs = (*args, *kwargs.values())
        if isinstance(result, (list, tuple)):
            return type(result)(own_results(list(result), inputs))
        return own_results([result], inputs)[0]

    return wrapper


def _owner(array: Any) -> Any:
    return array if array.base is None else array.base


def check_tangent(t: Any, aval: ShapedArray, what: str, name: Callable[[], str]) -> Any:
    """A tangent or cotangent given by the user, ready for use; ZERO for integers and booleans.

    Args:
        what: "tangent" or "cotangent"; name: says which one, for the message.

    Raises:
        ShapeMismatchError, DtypeMismatchError: it has not the type of its primal.
    """
    if getattr(t, "dtype", None) == float0 or t is ZERO:
        if is_inexact(aval.dtype) and t is not ZERO:
            raise DtypeMismatchError(
                _mismatch(what, name(), "float0", str(aval)),
                f"float0 is the dtype of {what}s of integers and booleans, which have none.",
                f"Pass a {what} of dtype {aval.dtype.name}.",
            )
        return ZERO
    t = input_leaf(t)
    found = typeof(t)
    if found.shape != aval.shape:
        raise ShapeMismatchError(
            f"The {what}{name()} has shape {found.shape}, but its primal has shape {aval.shape}.",
            f"A {what} has the shape and dtype of its primal.",
            f"Reshape or broadcast the {what}.",
        )
    if not is_inexact(aval.dtype):
        raise DtypeMismatchError(
            f"The {what}{name()} is {found}, but its primal is {aval}, which has no derivative.",
            "Integers and booleans have tangents of dtype functrans.float0 only.",
            f"Convert the primal to a float, or pass `np.zeros({aval.shape}, functrans.float0)`.",
        )
    if found.dtype == aval.dtype or (found.weak and can_cast(found.dtype, aval.dtype, "same_kind")):
        return t if found.weak == aval.weak or not found.weak else convert(t, dtype=aval.dtype)
    if aval.weak and kind_of(found.dtype) == aval.dtype.kind:
        return t
    raise DtypeMismatchError(
        _mismatch(what, name(), str(found), str(aval)),
        f"A {what} has the shape and dtype of its primal.",
        f"Convert it with `.astype('{aval.dtype.name}')`.",
    )


def _mismatch(what: str, name: str, found: str, wanted: str) -> str:
    return f"The {what}{name} is {found}, but its primal is {wanted}."


def check_same_structure(found: Any, wanted: Any, what: str, reference: str) -> None:
    """Raise PytreeMismatchError unless two structures agree."""
    if found != wanted:
        raise PytreeMismatchError(
            f"The {what} have another pytree structure than the {reference}: {structure_text(found)} against "
            f"{structure_text(wanted)}.",
            f"There is one leaf of the {what} for each leaf of the {reference}.",
            "Build them with functrans.tree.map over the same tree.",
        )


def is_concrete(leaves: Iterable[Any]) -> bool:
    """Whether no leaf is a tracer."""
    return not any(isinstance(x, Traced) for x in leaves)


def known_value(x: Any) -> Any:
    """A value as an array, where it is known while tracing and nothing is lost by looking at it; else None."""
    if not isinstance(x, Tracer):
        return x
    try:
        return x.concrete("array")
    except (ConcretizationError, TracerConversionError):
        return None
